//! Steps that multiply by the weights that are not zero, and by no others.
//!
//! A mask that a step leaves alone (a state that only events change, a weight that is not trained) says once and for all which elements of a
//! matrix are zero. Where it is a factor of a weight, products with the weight need the elements of its *pattern* only, and so do the weight's gradient,
//! its penalties and its update:
//!
//! | step        | question                                                                     |
//! |-------------|------------------------------------------------------------------------------|
//! | [`outside`] | which values are zero, or as they were, outside of the pattern?              |
//! | [`demand`]  | which values are wanted as a whole, which only within the pattern?           |
//! | [`mod@write`] | the function on vectors of elements, with [`Op::Sparse`] for products        |
//!
//! Lasting tensors that a step wants and changes within the pattern only are *stored* as vectors of these elements while the function is in use. That an
//! optimizer's state is zero outside of the pattern is *assumed* and has to be looked at before; the step keeps it so.
//!
//! Nothing of this is decided here by numbers: how many elements a pattern has, and whether the function is worth its price, is up to
//! whoever asks for it.

mod demand;
mod find;
mod groups;
mod outside;
mod tables;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::dce;
use super::narrow::Inputs;
use crate::scalar::Binary;
use crate::tir::build::{Build, Builder};
use crate::tir::zeros::depends;
use crate::tir::{DType, Func, Op, Reduction, Value};
use groups::Groups;
use outside::Facts;
pub use tables::{Places, Table, Tables};
use write::Written;

/// The matrices of a function that can be compressed.
#[derive(Clone, Debug)]
pub struct Compression {
    func: Func,
    /// Each with a pattern of its own.
    pub patterns: Vec<Pattern>,
}

/// A matrix that tells which elements of a weight are zero.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The path of the first matrix with it.
    pub name: String,
    /// What says so.
    mask: Mask,
    /// Rows and columns.
    pub shape: [usize; 2],
    /// Whether it is another one after a step; else it is the same in every step.
    pub moves: bool,
    /// Lasting tensors that stay zero outside of the pattern if they are.
    pub assumed: BTreeSet<Arc<str>>,
}

/// A value that is not zero where a pattern has elements.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mask {
    value: Value,
    /// If it has a number for each group of elements, these groups.
    groups: Option<Groups>,
}

/// How one pattern is to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which one.
    pub pattern: usize,
    /// How many elements it has; if it moves, for how many there is room.
    pub non_zeros: usize,
    /// Tensors of [`Pattern::assumed`] that are zero outside of it.
    pub zeros: BTreeSet<Arc<str>>,
}

/// A function on compressed matrices.
#[derive(Clone, Debug)]
pub struct Compressed {
    /// It takes the pattern's tables as inputs, see [`Tables`], and stored tensors by their new names.
    pub func: Func,
    /// The patterns in use.
    pub tables: Vec<Tables>,
    /// The lasting tensors that are stored compressed.
    pub stored: Vec<Stored>,
}

/// A lasting tensor of which a function has the elements of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The tensor.
    pub tensor: Arc<str>,
    /// What the function calls it.
    pub name: Arc<str>,
    /// The index of the pattern.
    pub pattern: usize,
}

impl Compression {
    /// Looks for matrices with patterns in an optimised function. `is_lasting` says which inputs live as long as the run.
    pub fn of(func: &Func, is_lasting: &dyn Fn(&str) -> bool, inputs: &Inputs<'_>) -> Compression {
        Compression { func: func.clone(), patterns: find::patterns(func, is_lasting, inputs) }
    }

    /// What was found of matrices, in words: which values have patterns of zeros, and what is zero outside of them, element by element.
    pub fn facts(&self) -> Vec<(Value, String)> {
        let of = |pattern: &Pattern| {
            let facts = Facts::of(&self.func, &pattern.mask, pattern.shape, &|name| pattern.assumed.contains(name));
            let is_told = |value: &Value| *value != pattern.mask.value && facts.is_zero(*value);
            let told = self.func.values().filter(is_told);
            let told = told.filter(|value| !matches!(self.func.def(*value).op, Op::Const(_)));
            let moves = if pattern.moves { "which steps change" } else { "which is fixed" };
            let word = format!("elements: zero outside of {}, {moves}", pattern.mask.value);
            let own = (pattern.mask.value, format!("elements: may be zero, in a pattern {moves}"));
            told.map(|value| (value, word.clone())).chain([own]).collect::<Vec<_>>()
        };
        self.patterns.iter().flat_map(of).collect()
    }

    /// Of tensors that are zero outside of a pattern, those that stay so for no other reason than that these are: a velocity that is zero now does
    /// not stay so where a hidden weight decays into it.
    pub fn kept_zero(&self, pattern: usize, zeros: &BTreeSet<Arc<str>>) -> BTreeSet<Arc<str>> {
        let Pattern { mask, shape, .. } = &self.patterns[pattern];
        find::assumed(&self.func, mask, *shape, &|name| zeros.contains(name))
    }

    /// The function that tells where patterns have elements: 1 or 0, `mask.0`, `mask.1`, … `None` if there are no such patterns.
    pub fn masks(&self, of: &dyn Fn(&Pattern) -> bool) -> Option<Func> {
        let mut func = Func { name: format!("{}.masks", self.func.name), results: vec![], ..self.func.clone() };
        for (index, pattern) in self.patterns.iter().enumerate().filter(|(_, pattern)| of(pattern)) {
            let numbers = pattern.ones(&mut func);
            func.results.push((format!("mask.{index}").into(), numbers));
        }
        dce::prune(&mut func);
        (!func.results.is_empty()).then_some(func)
    }

    /// The function that looks at patterns in use which move: how many elements are not zero, `count.0`, `count.1`, …, and how many of these, or groups
    /// of them, *stray* outside of the pattern, `stray.0`, `stray.1`, … It takes [`Tables::outside`] of each. `None` if none of them moves.
    pub fn strays(&self, tables: &[Tables]) -> Option<Func> {
        let mut func = Func { name: format!("{}.strays", self.func.name), results: vec![], ..self.func.clone() };
        for of in tables.iter().filter(|of| self.patterns[of.pattern].moves) {
            let pattern = &self.patterns[of.pattern];
            let numbers = pattern.is_there(&mut func);
            let ty = func.ty(numbers).clone();
            let axes: Vec<usize> = (0..ty.rank()).collect();
            let outside = func.push(Op::Param(of.outside().into()), ty, None);
            let mut build = Builder { func: &mut func, origin: None };
            let strays = build.binary(Binary::Mul, numbers, outside);
            let strays = build.reduce(Reduction::Sum, strays, axes.clone());
            let count = build.reduce(Reduction::Sum, numbers, axes);
            let elements = build.constant_like(pattern.grain() as f64, count);
            let count = build.binary(Binary::Mul, count, elements);
            let results = [("count", count), ("stray", strays)];
            func.results.extend(results.map(|(name, value)| (format!("{name}.{}", of.pattern).into(), value)));
        }
        dce::prune(&mut func);
        (!func.results.is_empty()).then_some(func)
    }

    /// The function with some patterns in use.
    pub fn compressed(&self, uses: &[Use]) -> Compressed {
        let name = format!("{}.compressed", self.func.name);
        let mut result = Compressed { func: Func { name, ..self.func.clone() }, tables: vec![], stored: vec![] };
        let mut masks: Vec<Option<Value>> = self.patterns.iter().map(|pattern| Some(pattern.mask.value)).collect();
        // Patterns that move come last: they are made from whole tensors, not from what is stored of them.
        let (moving, fixed): (Vec<&Use>, Vec<&Use>) = uses.iter().partition(|of| self.patterns[of.pattern].moves);
        for of in fixed.into_iter().chain(moving) {
            let Some(mask) = masks[of.pattern] else { continue };
            if self.patterns[of.pattern].moves && self.reads(of.pattern, &result.stored) {
                continue;
            }
            let prefix = format!("{}.pattern.{}", self.func.name, of.pattern);
            let mut pattern = self.patterns[of.pattern].clone();
            pattern.mask.value = mask;
            let Written { func, stored, tables, whole } = write::run(&result.func, &pattern, of, &prefix);
            masks.iter_mut().for_each(|mask| *mask = mask.and_then(|mask| whole.get(&mask).copied()));
            result.func = func;
            result.stored.extend(stored);
            result.tables.push(Tables { pattern: of.pattern, non_zeros: of.non_zeros, prefix, used: tables });
        }
        result
    }

    /// Whether a pattern's mask is made from one of these tensors.
    fn reads(&self, pattern: usize, stored: &[Stored]) -> bool {
        let is_stored = |name: &str| stored.iter().any(|stored| *stored.tensor == *name);
        depends(&self.func, &is_stored)[self.patterns[pattern].mask.value.0 as usize]
    }
}

impl Pattern {
    /// How many elements the mask tells of at a time.
    fn grain(&self) -> usize {
        let groups = self.mask.groups.as_ref();
        groups.map_or(1, |groups| self.shape.iter().product::<usize>() / groups.count())
    }

    /// Says for the mask's elements, or groups of them, how many lie outside of a pattern that had its elements at the positions `before` (if
    /// any) and has them at others now.
    pub fn mark_outside(&self, before: &[usize], now: &[usize], outside: &mut [f32]) {
        let (all, group) = (self.grain() as f32, self.mask.groups.as_ref().map(Groups::group_at));
        let index = |at: &usize| group.as_ref().map_or(*at, |group| group(*at));
        if before.is_empty() {
            outside.fill(all);
        }
        before.iter().for_each(|at| outside[index(at)] = all);
        now.iter().for_each(|at| outside[index(at)] -= 1.0);
    }

    /// 1 where the mask has an element that is not zero, else 0.
    fn is_there(&self, func: &mut Func) -> Value {
        let value = self.mask.value;
        let mut build = Builder { func, origin: None };
        let is_there = if build.ty(value).dtype == DType::Bool {
            value
        } else {
            let zero = build.constant_like(0.0, value);
            build.binary(Binary::Ne, value, zero)
        };
        build.convert(is_there, DType::F32)
    }

    /// A matrix that is 1 where the pattern has an element, else 0.
    fn ones(&self, func: &mut Func) -> Value {
        let mut ones = self.is_there(func);
        let mut build = Builder { func, origin: None };
        if let Some(Groups { shape, axes }) = &self.mask.groups {
            ones = build.reshape(ones, axes.iter().map(|axis| shape[*axis]).collect());
            ones = build.broadcast(ones, axes.clone(), shape.clone());
        }
        build.reshape(ones, self.shape.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tir::parse;

    /// A masked weight, its gradient and its update: all of it on vectors of elements.
    #[test]
    fn a_masked_product_is_learned_on_its_elements() {
        let func = parse::func(
            "func step {
  %0 = param w : f32[64, 80]
  %1 = param mask : f32[64, 80]
  %2 = mul %0, %1 : f32[64, 80]
  %3 = param x : f32[8, 64]
  %4 = contract ab,bc->ac %3, %2 : f32[8, 80]
  %5 = contract ab,ac->bc %3, %4 : f32[64, 80]
  %6 = mul %5, %1 : f32[64, 80]
  %7 = sub %0, %6 : f32[64, 80]
  return y = %4
  return w = %7
}
",
        )
        .expect("a function");
        let inputs = Inputs { is_field: &|name| name == "x", has_zeros: &|_| false };
        let compression = Compression::of(&func, &|name| name != "x", &inputs);
        let [pattern] = &compression.patterns[..] else { panic!("one pattern: {:?}", compression.patterns) };
        assert_eq!((pattern.shape, &pattern.mask), ([64, 80], &Mask { value: Value(1), groups: None }));
        let of = Use { pattern: 0, non_zeros: 7, zeros: BTreeSet::new() };
        let mut compressed = compression.compressed(&[of]);
        crate::pass::run(&mut compressed.func, crate::pass::O1, |_, _| ());
        assert_eq!(
            compressed.func.to_string(),
            "func step.compressed {
  %0 = param step.pattern.0.w : f32[7]
  %1 = param step.pattern.0.mask : f32[7]
  %2 = mul %0, %1 : f32[7]
  %3 = param x : f32[8, 64]
  %4 = transpose %3, [1, 0] : f32[64, 8]
  %5 = param step.pattern.0.by_column : i32[95]
  %6 = sparse_product %2, %4, %5 : f32[80, 8]
  %7 = transpose %6, [1, 0] : f32[8, 80]
  %8 = param step.pattern.0.by_row : i32[72]
  %9 = sparse_sampled %4, %6, %8 : f32[7]
  %10 = mul %9, %1 : f32[7]
  %11 = sub %0, %10 : f32[7]
  return y = %7
  return step.pattern.0.w = %11
}
"
        );
        let stored: Vec<&str> = compressed.stored.iter().map(|stored| &*stored.tensor).collect();
        assert_eq!(stored, ["mask", "w"]);
    }
}
