//! Which elements of a function's values can be non-zero, and which still matter to its results.
//!
//! Some inputs have elements that are zero and stay it: pruned weights. An element of any other value is a *zero* if it is zero
//! whatever all other elements of the inputs are. An element *matters* if, while the zeros stay, a change of it could change a
//! result. So the elements of the inputs that are zero or do not matter can be removed, all at once. A weight is
//! *live* if it is non-zero and matters; the multiply-adds that are left are those of two non-zero numbers into an
//! element that matters.
//!
//! Each op has one rule forward ([`Forward::rule`]) and one backward ([`Backward::rule`]).

pub mod constants;
mod count;
mod images;
pub mod known;
mod moves;

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{ArrayD, Axis, Zip};

use super::build::inverse;
use super::interp::Tensor;
use super::interp::eval::{contract, repeat};
use super::{Def, Einsum, Func, Op, Reduction, Type, Value};
use crate::scalar::{Binary, Unary};

/// Of each element of a tensor 0 (zero, does not matter) or 1: a byte, since there are patterns of all values of a function at a time.
pub type Pattern = ArrayD<u8>;

/// 1 where the element is not zero.
pub fn pattern(numbers: &Tensor) -> Pattern {
    numbers.mapv(|x| u8::from(x != 0.0))
}

/// A pattern as numbers, for what is computed from it.
pub fn numbers(pattern: &Pattern) -> Tensor {
    pattern.mapv(f64::from)
}

/// How many elements are 1.
pub fn count(pattern: &Pattern) -> u64 {
    pattern.iter().map(|bit| u64::from(*bit)).sum()
}

/// What [`analyse`] finds, for each value of the function.
#[derive(Clone, Debug)]
pub struct Zeros {
    /// 1 where an element can be non-zero.
    pub non_zero: Vec<Pattern>,
    /// 1 where a change of the element could change a result while the zeros stay.
    pub matters: Vec<Pattern>,
}

/// What is left of a network when everything is removed that can no longer matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// For each input with a pattern: 1 where an element is non-zero and matters.
    pub elements: BTreeMap<Arc<str>, Pattern>,
    /// Multiplications followed by additions that are left in contractions and convolutions of what varies from sample to
    /// sample: of what is computed from other inputs than those with patterns.
    pub multiply_adds: u64,
    /// The same, by the paths of the layer instances that they come from.
    pub by_path: BTreeMap<String, u64>,
}

/// Analyses `func`: `non_zero` gives the patterns of the inputs that have zeros; all elements of the others are taken for non-zero.
///
/// # Panics
///
/// If a pattern has not the shape of its input.
pub fn analyse(func: &Func, non_zero: &dyn Fn(&str) -> Option<Pattern>) -> Zeros {
    let mut forward = Forward { func, given: non_zero, non_zero: Vec::with_capacity(func.defs.len()) };
    for value in func.values() {
        let pattern = forward.rule(func.def(value));
        forward.non_zero.push(pattern);
    }
    let non_zero = forward.non_zero;
    let zeros = func.defs.iter().map(|def| zeros(&def.ty)).collect();
    let mut backward = Backward { func, non_zero: &non_zero, matters: zeros };
    for (_, value) in &func.results {
        backward.matters[value.0 as usize].fill(1);
    }
    func.values().rev().for_each(|value| backward.rule(value));
    let matters = backward.matters;
    Zeros { non_zero, matters }
}

/// What is left of `func` when elements of the inputs with patterns are removed until none is left that is zero or does
/// not matter.
pub fn live(func: &Func, non_zero: &dyn Fn(&str) -> Option<Pattern>) -> Live {
    let mut given: BTreeMap<Arc<str>, Pattern> =
        func.params().filter_map(|(name, ..)| Some((Arc::clone(name), non_zero(name)?))).collect();
    let varies = depends(func, &|name| !given.contains_key(name));
    loop {
        let zeros = analyse(func, &|name| given.get(name).cloned());
        let left: BTreeMap<Arc<str>, Pattern> = func
            .params()
            .filter(|(name, ..)| given.contains_key(*name))
            .map(|(name, value, _)| (Arc::clone(name), zeros.live(value)))
            .collect();
        if left == given {
            let by_path = zeros.multiply_adds(func, &varies);
            return Live { elements: left, multiply_adds: by_path.values().sum(), by_path };
        }
        given = left;
    }
}

/// Whether each value depends on one of the inputs that `is` chooses.
pub fn depends(func: &Func, is: &dyn Fn(&str) -> bool) -> Vec<bool> {
    let mut depends: Vec<bool> = Vec::with_capacity(func.defs.len());
    for def in &func.defs {
        let is_input = matches!(&def.op, Op::Param(name) if is(name));
        depends.push(is_input || def.op.operands().iter().any(|operand| depends[operand.0 as usize]));
    }
    depends
}

impl Zeros {
    /// 1 where an element of `value` can be non-zero and matters.
    pub fn live(&self, value: Value) -> Pattern {
        let index = value.0 as usize;
        &self.non_zero[index] * &self.matters[index]
    }
}

fn zeros(ty: &Type) -> Pattern {
    Pattern::zeros(ty.shape.as_slice())
}

fn ones(ty: &Type) -> Pattern {
    Pattern::ones(ty.shape.as_slice())
}

/// Whether each element holds in either pattern.
fn or(a: &Pattern, b: &Pattern) -> Pattern {
    Zip::from(a).and(b).map_collect(|a, b| a | b)
}

/// Whether any element along the axes, which are in order, holds.
fn any_along(a: &Pattern, axes: &[usize]) -> Pattern {
    let Some((last, axes)) = axes.split_last() else { return a.clone() };
    let over = |a: &Pattern, axis: usize| a.fold_axis(Axis(axis), 0, |any, bit| any | bit);
    axes.iter().rev().fold(over(a, *last), |a, axis| over(&a, *axis))
}

/// Walks from the inputs: where can a value be non-zero?
struct Forward<'a> {
    func: &'a Func,
    given: &'a dyn Fn(&str) -> Option<Pattern>,
    non_zero: Vec<Pattern>,
}

impl Forward<'_> {
    fn of(&self, value: Value) -> &Pattern {
        &self.non_zero[value.0 as usize]
    }

    fn rule(&self, def: &Def) -> Pattern {
        let ty = &def.ty;
        match &def.op {
            Op::Param(name) => self.param(name, ty),
            Op::Const(number) => {
                if *number == 0.0 {
                    zeros(ty)
                } else {
                    ones(ty)
                }
            }
            Op::Unary(function, a) => {
                if keeps_zero(*function) {
                    self.of(*a).clone()
                } else {
                    ones(ty)
                }
            }
            Op::Binary(function, a, b) => self.binary(*function, *a, *b),
            // A condition that never holds chooses the second.
            Op::Select(c, a, b) => or(&(self.of(*c) * self.of(*a)), self.of(*b)),
            Op::Convert(a) | Op::WithGradient(a, _) => self.of(*a).clone(),
            Op::Broadcast(a, dims) => repeated(self.of(*a), dims, ty),
            Op::Transpose(a, perm) => self.of(*a).view().permuted_axes(perm.as_slice()).to_owned(),
            Op::Reshape(a) => reshaped(self.of(*a), ty),
            Op::Reduce(how, a, axes) => self.reduce(*how, *a, axes, ty),
            Op::Contract(einsum, a, b) => contracted(einsum, self.of(*a), self.of(*b)),
            Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => self.moved(&def.op, ty),
            Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) => self.moved(&def.op, ty),
            Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } => self.moved(&def.op, ty),
            Op::Iota(_) | Op::Uniform { .. } | Op::Quantile(..) | Op::Grad(..) => ones(ty),
            // What a pattern says is not known here.
            Op::Sparse { .. } => ones(ty),
        }
    }

    fn param(&self, name: &str, ty: &Type) -> Pattern {
        let Some(given) = (self.given)(name) else { return ones(ty) };
        assert_eq!(given.shape(), ty.shape, "the pattern of {name} has the shape of the input");
        given
    }

    fn binary(&self, function: Binary, a: Value, b: Value) -> Pattern {
        let (a_non_zero, b_non_zero) = (self.of(a), self.of(b));
        match function {
            Binary::Mul | Binary::MulZ | Binary::And => a_non_zero * b_non_zero,
            // 0 / 0 is no number.
            Binary::Div => or(a_non_zero, &(1 - b_non_zero)),
            Binary::Pow if self.is_positive(b) => a_non_zero.clone(),
            Binary::Pow | Binary::Le | Binary::Ge | Binary::Eq => Pattern::ones(a_non_zero.raw_dim()),
            Binary::Add | Binary::Sub | Binary::Min | Binary::Max => or(a_non_zero, b_non_zero),
            Binary::Lt | Binary::Gt | Binary::Ne | Binary::Or => or(a_non_zero, b_non_zero),
        }
    }

    fn is_positive(&self, value: Value) -> bool {
        matches!(self.func.def(value).op, Op::Const(number) if number > 0.0)
    }

    fn reduce(&self, how: Reduction, a: Value, axes: &[usize], ty: &Type) -> Pattern {
        let is_over_nothing = self.func.ty(a).is_empty();
        match how {
            Reduction::Max | Reduction::Min if is_over_nothing => ones(ty),
            Reduction::Sum | Reduction::Max | Reduction::Min => any_along(self.of(a), axes),
        }
    }
}

/// Whether the function is 0 at 0.
pub fn keeps_zero(function: Unary) -> bool {
    match function {
        Unary::Neg | Unary::Abs | Unary::Sign | Unary::Sqrt | Unary::Floor | Unary::Ceil => true,
        Unary::Erf | Unary::ErfInv | Unary::Tanh | Unary::Sin => true,
        Unary::Not | Unary::Exp | Unary::Log | Unary::Sigmoid | Unary::Cos => false,
    }
}

fn repeated(a: &Pattern, dims: &[usize], ty: &Type) -> Pattern {
    let mut out = zeros(ty);
    repeat(&a.view(), dims, out.view_mut());
    out
}

/// Where a sum of products of ones has a 1.
fn contracted(einsum: &Einsum, a: &Pattern, b: &Pattern) -> Pattern {
    pattern(&contract(einsum, &numbers(a).view(), &numbers(b).view()))
}

fn reshaped(a: &Pattern, ty: &Type) -> Pattern {
    a.to_shape(ty.shape.as_slice()).expect("a verified reshape keeps the number of elements").to_owned()
}

/// Walks from the results: which operands matter to a value that does?
struct Backward<'a> {
    func: &'a Func,
    non_zero: &'a [Pattern],
    matters: Vec<Pattern>,
}

impl Backward<'_> {
    fn non_zero(&self, value: Value) -> &Pattern {
        &self.non_zero[value.0 as usize]
    }

    fn add(&mut self, value: Value, matters: &Pattern) {
        Zip::from(&mut self.matters[value.0 as usize]).and(matters).for_each(|old, new| *old |= new);
    }

    fn rule(&mut self, value: Value) {
        let def = self.func.def(value);
        let matters = self.matters[value.0 as usize].clone();
        match &def.op {
            Op::Param(_) | Op::Const(_) | Op::Iota(_) => {}
            Op::Unary(_, a) | Op::Convert(a) | Op::WithGradient(a, _) => self.add(*a, &matters),
            Op::Binary(function, a, b) => self.binary(*function, [*a, *b], &matters),
            Op::Select(c, a, b) => self.select([*c, *a, *b], &matters),
            Op::Broadcast(a, dims) => self.broadcast(*a, dims, &matters),
            Op::Transpose(a, perm) => self.add(*a, &matters.permuted_axes(inverse(perm))),
            Op::Reshape(a) => self.add(*a, &reshaped(&matters, self.func.ty(*a))),
            Op::Reduce(_, a, axes) => self.reduce(*a, axes, &matters),
            Op::Contract(einsum, a, b) => self.contract(einsum, *a, *b, &matters),
            Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => self.moved(value, &matters),
            Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) => self.moved(value, &matters),
            Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } => self.moved(value, &matters),
            Op::Uniform { .. } | Op::Quantile(..) | Op::Grad(..) | Op::Sparse { .. } => {
                self.all_of(&def.op.operands(), &matters)
            }
        }
    }

    fn binary(&mut self, function: Binary, [a, b]: [Value; 2], matters: &Pattern) {
        match function {
            Binary::Mul | Binary::MulZ | Binary::And => {
                let (a_matters, b_matters) = (matters * self.non_zero(b), matters * self.non_zero(a));
                self.add(a, &a_matters);
                self.add(b, &b_matters);
            }
            Binary::Add | Binary::Sub | Binary::Min | Binary::Max | Binary::Div | Binary::Pow | Binary::Or => {
                self.add(a, matters);
                self.add(b, matters);
            }
            Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge | Binary::Eq | Binary::Ne => {
                self.add(a, matters);
                self.add(b, matters);
            }
        }
    }

    /// Between two zeros the condition does not matter; where it never holds, the first does not.
    fn select(&mut self, [c, a, b]: [Value; 3], matters: &Pattern) {
        let c_matters = matters * or(self.non_zero(a), self.non_zero(b));
        let a_matters = matters * self.non_zero(c);
        self.add(c, &c_matters);
        self.add(a, &a_matters);
        self.add(b, matters);
    }

    fn broadcast(&mut self, a: Value, dims: &[usize], matters: &Pattern) {
        let new: Vec<usize> = (0..matters.ndim()).filter(|dim| !dims.contains(dim)).collect();
        self.add(a, &any_along(matters, &new));
    }

    fn reduce(&mut self, a: Value, axes: &[usize], matters: &Pattern) {
        let ty = self.func.ty(a);
        let kept: Vec<usize> = (0..ty.rank()).filter(|axis| !axes.contains(axis)).collect();
        self.add(a, &repeated(matters, &kept, ty));
    }

    fn contract(&mut self, einsum: &Einsum, a: Value, b: Value, matters: &Pattern) {
        let Einsum { lhs, rhs, out } = einsum.clone();
        let to_a = Einsum { lhs: out.clone(), rhs: rhs.clone(), out: lhs.clone() };
        let to_b = Einsum { lhs: out, rhs: lhs, out: rhs };
        let a_matters = contracted(&to_a, matters, self.non_zero(b));
        let b_matters = contracted(&to_b, matters, self.non_zero(a));
        self.add(a, &a_matters);
        self.add(b, &b_matters);
    }

    /// Every element of every operand matters if any of the result does.
    fn all_of(&mut self, operands: &[Value], matters: &Pattern) {
        if matters.iter().any(|bit| *bit != 0) {
            operands.iter().for_each(|operand| self.matters[operand.0 as usize].fill(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, arr2};
    use proptest::prelude::*;

    use super::*;
    use crate::tir::{arbitrary, interp, parse};

    /// Three inputs, three hidden units, two outputs.
    const NETWORK: &str = "func network {
        %0 = param x : f32[1, 3]
        %1 = param w1 : f32[3, 3]
        %2 = param b1 : f32[3]
        %3 = param w2 : f32[3, 2]
        %4 = contract ij,jk->ik %0, %1 : f32[1, 3]
        %5 = broadcast %2, [1] : f32[1, 3]
        %6 = add %4, %5 : f32[1, 3]
        %7 = const 0.0 : f32[1, 3]
        %8 = gt %6, %7 : bool[1, 3]
        %9 = select %8, %6, %7 : f32[1, 3]
        %10 = contract ij,jk->ik %9, %3 : f32[1, 2]
        return y = %10
    }";

    /// The first unit feeds nothing; the second has neither inputs nor bias; of the third one weight is gone.
    #[test]
    fn what_a_dead_unit_had_is_dead() {
        let func = parse::func(NETWORK).expect("TIR");
        let given = |name: &str| match name {
            "w1" => Some(arr2(&[[1, 0, 1], [1, 0, 0], [1, 0, 1]]).into_dyn()),
            "b1" => Some(arr1(&[1, 0, 1]).into_dyn()),
            "w2" => Some(arr2(&[[0, 0], [1, 1], [1, 1]]).into_dyn()),
            _ => None,
        };
        let live = live(&func, &given);
        assert_eq!(live.elements["w1"], arr2(&[[0, 0, 1], [0, 0, 0], [0, 0, 1]]).into_dyn());
        assert_eq!(live.elements["b1"], arr1(&[0, 0, 1]).into_dyn());
        assert_eq!(live.elements["w2"], arr2(&[[0, 0], [0, 0], [1, 1]]).into_dyn());
        assert_eq!(live.multiply_adds, 4);
    }

    #[test]
    fn a_dense_network_lives() {
        let func = parse::func(NETWORK).expect("TIR");
        let live = live(&func, &|name| (name == "w1").then(|| Pattern::ones(vec![3, 3])));
        assert_eq!(live.elements["w1"], Pattern::ones(vec![3, 3]));
        assert_eq!(live.multiply_adds, 9 + 6);
    }

    /// Evaluates at `inputs`; an empty result would hide everything.
    fn results(func: &Func, inputs: &BTreeMap<Arc<str>, Tensor>) -> Vec<Tensor> {
        let results = interp::run(func, &|name| inputs.get(name).cloned()).expect("every input");
        results.into_values().collect()
    }

    /// A random function of sparse inputs and the inputs themselves.
    fn sparse_case() -> impl Strategy<Value = (Func, BTreeMap<Arc<str>, Tensor>)> {
        (prop::collection::vec(any::<u32>(), 0..80), any::<u32>(), any::<u64>()).prop_map(|(recipe, seed, zeros)| {
            let mut func = arbitrary::func(&recipe);
            func.results.truncate(1);
            let inputs = arbitrary::sparse_inputs(&func, seed, &["x", "w", "b"], zeros);
            (func, inputs)
        })
    }

    proptest! {
        #[test]
        fn a_zero_is_zero((func, inputs) in sparse_case()) {
            let zeros = analyse(&func, &|name| ["x", "w", "b"].contains(&name).then(|| pattern(&inputs[name])));
            let mut plan = interp::Plan::new(&func, interp::Keep::All);
            plan.set_inputs(&|name| inputs.get(name).cloned()).expect("every input");
            plan.run();
            for value in func.values() {
                for (x, can) in plan.value(value).iter().zip(&zeros.non_zero[value.0 as usize]) {
                    prop_assert!(*can == 1 || *x == 0.0, "{value} of {func}");
                }
            }
        }

        #[test]
        fn changing_what_does_not_matter_changes_nothing((func, inputs) in sparse_case()) {
            let zeros = analyse(&func, &|name| ["x", "w", "b"].contains(&name).then(|| pattern(&inputs[name])));
            let before = results(&func, &inputs);
            for name in ["x", "w", "b", "s"] {
                let (_, value, _) = func.params().find(|(n, ..)| &***n == name).expect("an input");
                let matters = zeros.matters[value.0 as usize].iter().zip(&inputs[name]).enumerate();
                for (index, _) in matters.filter(|(_, (matters, x))| **matters == 0 && **x != 0.0) {
                    let mut changed = inputs.clone();
                    let tensor = changed.get_mut(name).expect("an input");
                    tensor.as_slice_mut().expect("contiguous")[index] += 0.7;
                    prop_assert_eq!(&results(&func, &changed), &before, "element {} of {} in\n{}", index, name, func);
                }
            }
        }

        #[test]
        fn what_is_not_live_can_go_at_once((func, inputs) in sparse_case()) {
            let live = live(&func, &|name| ["x", "w", "b"].contains(&name).then(|| pattern(&inputs[name])));
            let mut pruned = inputs.clone();
            for (name, kept) in &live.elements {
                *pruned.get_mut(name).expect("an input") *= &numbers(kept);
            }
            prop_assert_eq!(results(&func, &pruned), results(&func, &inputs));
        }
    }
}
