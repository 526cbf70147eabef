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
mod outside;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::dce;
use crate::scalar::Binary;
use crate::tir::build::{Build, Builder};
use crate::tir::zeros::depends;
use crate::tir::{DType, Func, Op, Value};
use outside::{Facts, Outside};

/// The matrices of a function that can be compressed.
#[derive(Clone, Debug)]
pub struct Compression {
    func: Func,
    /// Each with a pattern of its own.
    pub patterns: Vec<Pattern>,
}

/// A matrix that tells which elements of a weight are zero, the same in every step.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The path of the first matrix with it.
    pub name: String,
    /// The pattern has an element where this is not zero.
    mask: Value,
    /// Rows and columns.
    pub shape: [usize; 2],
    /// Lasting tensors that stay zero outside of the pattern if they are.
    pub assumed: BTreeSet<Arc<str>>,
}

/// How one pattern is to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which one.
    pub pattern: usize,
    /// How many elements it has.
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

/// The inputs that say where the elements of a pattern stand, in the order of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The index of the pattern.
    pub pattern: usize,
    /// How many elements it has.
    pub non_zeros: usize,
    /// How their names begin; [`Table::suffix`] follows.
    pub prefix: String,
}

/// One of a pattern's tables, `i32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The position of each element in the matrix, row by row.
    Positions,
    /// The row of each element.
    Rows,
    /// The column of each element.
    Columns,
    /// The pattern of the matrix, for [`Op::Sparse`].
    ByRow,
    /// The ordered pattern of its transpose.
    ByColumn,
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

impl Tables {
    /// What the function calls one of them.
    pub fn name(&self, table: Table) -> String {
        format!("{}.{}", self.prefix, table.suffix())
    }
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 5] = [Table::Positions, Table::Rows, Table::Columns, Table::ByRow, Table::ByColumn];

    /// The end of its name.
    pub fn suffix(self) -> &'static str {
        match self {
            Table::Positions => "positions",
            Table::Rows => "rows",
            Table::Columns => "columns",
            Table::ByRow => "by_row",
            Table::ByColumn => "by_column",
        }
    }

    /// How many numbers it has.
    fn len(self, [rows, columns]: [usize; 2], non_zeros: usize) -> usize {
        match self {
            Table::Positions | Table::Rows | Table::Columns => non_zeros,
            Table::ByRow => rows + 1 + non_zeros,
            Table::ByColumn => columns + 1 + 2 * non_zeros,
        }
    }

    /// Its numbers, for the positions of the elements of a matrix, which increase.
    pub fn numbers(self, [rows, columns]: [usize; 2], positions: &[usize]) -> Vec<i32> {
        let int = |number: usize| i32::try_from(number).expect("matrices have fewer than 2³¹ elements");
        let row = |at: &usize| at / columns;
        let column = |at: &usize| at % columns;
        let starts = |of: &dyn Fn(&usize) -> usize, count: usize| {
            let mut starts = vec![0; count + 1];
            positions.iter().for_each(|at| starts[of(at) + 1] += 1);
            (0..count).for_each(|i| starts[i + 1] += starts[i]);
            starts
        };
        let numbers: Vec<usize> = match self {
            Table::Positions => positions.to_vec(),
            Table::Rows => positions.iter().map(row).collect(),
            Table::Columns => positions.iter().map(column).collect(),
            Table::ByRow => starts(&row, rows).into_iter().chain(positions.iter().map(column)).collect(),
            Table::ByColumn => {
                let mut order: Vec<usize> = (0..positions.len()).collect();
                order.sort_by_key(|k| (column(&positions[*k]), *k));
                let rows = order.iter().map(|k| row(&positions[*k]));
                starts(&column, columns).into_iter().chain(rows).chain(order.iter().copied()).collect()
            }
        };
        numbers.into_iter().map(int).collect()
    }
}

/// Smaller matrices are left as they are.
const SMALL: usize = 4096;

impl Compression {
    /// Looks for matrices with patterns in an optimised function. `is_lasting` says which inputs live as long as the run.
    pub fn of(func: &Func, is_lasting: &dyn Fn(&str) -> bool) -> Compression {
        let is_fixed = fixed(func, is_lasting);
        let mut patterns: Vec<Pattern> = vec![];
        for matrix in matrices(func) {
            let Some(mask) = mask_of(func, matrix, &is_fixed) else { continue };
            if patterns.iter().all(|known| known.mask != mask) {
                let shape = &func.ty(mask).shape;
                let assumed = assumed(func, mask, is_lasting);
                let name = name_of(func, matrix);
                patterns.push(Pattern { name, mask, shape: [shape[0], shape[1]], assumed });
            }
        }
        Compression { func: func.clone(), patterns }
    }

    /// The function that tells where patterns have elements: 1 or 0, `mask.0`, `mask.1`, …
    pub fn masks(&self) -> Func {
        let mut func = Func { name: format!("{}.masks", self.func.name), results: vec![], ..self.func.clone() };
        for (index, pattern) in self.patterns.iter().enumerate() {
            let mut build = Builder { func: &mut func, origin: None };
            let is_there = if build.ty(pattern.mask).dtype == DType::Bool {
                pattern.mask
            } else {
                let zero = build.constant_like(0.0, pattern.mask);
                build.binary(Binary::Ne, pattern.mask, zero)
            };
            let numbers = build.convert(is_there, DType::F32);
            func.results.push((format!("mask.{index}").into(), numbers));
        }
        dce::prune(&mut func);
        func
    }

    /// The function with some patterns in use, in their order.
    pub fn compressed(&self, uses: &[Use]) -> Compressed {
        let name = format!("{}.compressed", self.func.name);
        let mut result = Compressed { func: Func { name, ..self.func.clone() }, tables: vec![], stored: vec![] };
        let mut masks: Vec<Option<Value>> = self.patterns.iter().map(|pattern| Some(pattern.mask)).collect();
        for of in uses {
            let Some(mask) = masks[of.pattern] else { continue };
            let prefix = format!("{}.pattern.{}", self.func.name, of.pattern);
            let (func, stored, new) = write::run(&result.func, mask, of, &prefix);
            masks.iter_mut().for_each(|mask| *mask = mask.and_then(|mask| new.get(&mask).copied()));
            result.func = func;
            result.stored.extend(stored);
            result.tables.push(Tables { pattern: of.pattern, non_zeros: of.non_zeros, prefix });
        }
        result
    }
}

/// Which values are the same in every step: they come from lasting tensors that the function does not change.
fn fixed(func: &Func, is_lasting: &dyn Fn(&str) -> bool) -> Vec<bool> {
    let varies = depends(func, &|name| !is_lasting(name) || func.result(name).is_some());
    varies.into_iter().map(|varies| !varies).collect()
}

/// The matrices that something is multiplied with.
fn matrices(func: &Func) -> BTreeSet<Value> {
    let factors =
        func.defs.iter().filter_map(|def| if let Op::Contract(_, a, b) = def.op { Some([a, b]) } else { None });
    factors.flatten().filter(|value| func.ty(*value).rank() == 2 && func.ty(*value).len() >= SMALL).collect()
}

/// The parameter that a matrix is, or the place in the program that computes it.
fn name_of(func: &Func, matrix: Value) -> String {
    let def = func.def(matrix);
    if let Op::Param(name) = &def.op {
        return name.to_string();
    }
    def.origin.as_ref().map(|origin| origin.path.clone()).unwrap_or_default()
}

/// A fixed value outside of whose pattern the matrix is zero.
fn mask_of(func: &Func, matrix: Value, is_fixed: &[bool]) -> Option<Value> {
    if is_fixed[matrix.0 as usize] {
        return Some(matrix);
    }
    let shape = &func.ty(matrix).shape;
    let is_mask = |value: &Value| {
        let def = func.def(*value);
        is_fixed[value.0 as usize] && def.ty.shape == *shape && !matches!(def.op, Op::Const(_) | Op::Broadcast(..))
    };
    let candidates = func.values().take_while(|value| *value < matrix).filter(is_mask);
    let mut candidates = candidates;
    candidates.find(|mask| Facts::of(func, *mask, &|_| false).is_zero(matrix))
}

/// The most tensors that the function keeps zero outside of a pattern together.
fn assumed(func: &Func, mask: Value, may_be: &dyn Fn(&str) -> bool) -> BTreeSet<Arc<str>> {
    let shape = &func.ty(mask).shape;
    let tensors = func.params().filter(|(name, _, ty)| ty.shape == *shape && may_be(name));
    let mut assumed: BTreeSet<Arc<str>> =
        tensors.filter(|(name, ..)| func.result(name).is_some()).map(|(name, ..)| name.clone()).collect();
    loop {
        let facts = Facts::of(func, mask, &|name| assumed.contains(name));
        let stays = |name: &str| func.result(name).is_some_and(|value| facts.outside(value) == Outside::Zero);
        let closed: BTreeSet<Arc<str>> = assumed.iter().filter(|name| stays(name)).cloned().collect();
        if closed.len() == assumed.len() {
            return assumed;
        }
        assumed = closed;
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
        let compression = Compression::of(&func, &|name| name != "x");
        let [pattern] = &compression.patterns[..] else { panic!("one pattern: {:?}", compression.patterns) };
        assert_eq!((pattern.shape, pattern.mask), ([64, 80], Value(1)));
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
