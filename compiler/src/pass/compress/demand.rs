//! Which values are wanted as a whole, and which only within a pattern.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::outside::{Facts, Outside};
use crate::pass::rewrite::elementwise;
use crate::tir::{Einsum, Op, Reduction, Value};

/// What is wanted of the values of a function.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The lasting tensors that are wanted within the pattern only.
    pub stored: BTreeSet<Arc<str>>,
    /// Which values are wanted as a whole.
    pub whole: Vec<bool>,
    /// Of which the elements of the pattern are wanted.
    pub within: Vec<bool>,
}

/// How a contraction uses a matrix with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    /// The matrix.
    pub matrix: Value,
    /// Whether it is the first operand.
    pub is_first: bool,
    /// Its axis that the result has; the other one is summed over.
    pub kept: usize,
}

impl Demand {
    /// Looks at a function, last value to first. The tensors of `zeros` are zero outside of the pattern.
    pub fn of(facts: &Facts<'_>, zeros: &BTreeSet<Arc<str>>) -> Demand {
        let tensors = facts.func.params().filter(|(_, value, _)| facts.has_elements(*value));
        let mut stored: BTreeSet<Arc<str>> = tensors
            .filter(|(name, value, _)| stays(facts, name, *value, zeros))
            .map(|(name, ..)| name.clone())
            .collect();
        loop {
            let demand = Demand::with(facts, stored.clone());
            let whole = facts.func.params().filter(|(_, value, _)| demand.whole[value.0 as usize]);
            let whole: BTreeSet<&Arc<str>> = whole.map(|(name, ..)| name).collect();
            if stored.iter().all(|name| !whole.contains(name)) {
                return demand;
            }
            stored.retain(|name| !whole.contains(name));
        }
    }

    /// What is wanted if these tensors are stored.
    pub fn with(facts: &Facts<'_>, stored: BTreeSet<Arc<str>>) -> Demand {
        let none = vec![false; facts.func.defs.len()];
        let mut demand = Demand { stored, whole: none.clone(), within: none };
        for (name, value) in &facts.func.results {
            let is_stored = demand.stored.contains(name);
            demand.want(*value, is_stored);
        }
        facts.func.values().rev().for_each(|value| demand.pass(facts, value));
        demand
    }

    fn want(&mut self, value: Value, within: bool) {
        let of = if within { &mut self.within } else { &mut self.whole };
        of[value.0 as usize] = true;
    }

    /// What a value wants of its operands.
    fn pass(&mut self, facts: &Facts<'_>, value: Value) {
        let index = value.0 as usize;
        let is_put_back = facts.is_put_back(value);
        self.within[index] |= self.whole[index] && is_put_back;
        if self.within[index] {
            self.pass_within(facts, value);
        }
        if self.whole[index] && !is_put_back {
            self.pass_whole(facts, value);
        }
    }

    fn pass_within(&mut self, facts: &Facts<'_>, value: Value) {
        let op = &facts.func.def(value).op;
        if let Some(operands) = elementwise(op) {
            operands.into_iter().for_each(|operand| self.want(operand, true));
        } else if let Op::Reshape(a) = op {
            self.want(*a, true);
        } else if is_direct(facts, value) {
            op.operands().into_iter().for_each(|operand| self.want(operand, false));
        } else if !matches!(op, Op::Param(name) if self.stored.contains(name)) {
            self.want(value, false);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all other ops want their operands whole")]
    fn pass_whole(&mut self, facts: &Facts<'_>, value: Value) {
        let op = &facts.func.def(value).op;
        let matrix = match op {
            Op::Contract(einsum, a, b) => factor(einsum, [*a, *b], facts).map(|factor| factor.matrix),
            Op::Reduce(Reduction::Sum, a, axes) if facts.sums_within(value, *a, axes) => Some(*a),
            _ => None,
        };
        op.operands().into_iter().for_each(|operand| self.want(operand, matrix == Some(operand)));
    }
}

/// Whether a tensor changes within the pattern only.
fn stays(facts: &Facts<'_>, name: &Arc<str>, value: Value, zeros: &BTreeSet<Arc<str>>) -> bool {
    facts.func.result(name).is_none_or(|result| match facts.outside(result) {
        Outside::Zero => zeros.contains(name),
        Outside::Kept(of) => of == value,
        Outside::Any => false,
    })
}

/// Whether the elements of a pattern are made from whole operands.
pub fn is_direct(facts: &Facts<'_>, value: Value) -> bool {
    let func = facts.func;
    match &func.def(value).op {
        Op::Const(_) => true,
        Op::Broadcast(a, _) => func.ty(*a).len() < func.ty(value).len(),
        Op::Contract(einsum, ..) => facts.is_matrix(value) && is_sampled(einsum),
        Op::Param(_) | Op::Iota(_) | Op::Unary(..) | Op::Binary(..) | Op::Select(..) | Op::Convert(_) => false,
        Op::Transpose(..) | Op::Reshape(_) | Op::Reduce(..) | Op::Conv { .. } | Op::Pool(..) => false,
        Op::Unpool(..) | Op::UnpoolMax { .. } | Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) => false,
        Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } | Op::Sparse { .. } => false,
        Op::Uniform { .. } | Op::Quantile(..) | Op::WithGradient(..) | Op::Grad(..) => false,
    }
}

/// Whether each element is a sum of products of a row of one operand and a row of the other.
fn is_sampled(einsum: &Einsum) -> bool {
    let Einsum { lhs, rhs, out } = einsum;
    let [a, b] = [0, 1].map(|axis| out.get(axis));
    let only = |label: Option<&u8>, is: &[u8], not: &[u8]| label.is_some_and(|l| is.contains(l) && !not.contains(l));
    let is_matrix = only(a, lhs, rhs) && only(b, rhs, lhs) || only(a, rhs, lhs) && only(b, lhs, rhs);
    is_matrix && out.len() == 2 && lhs.len() == rhs.len()
}

/// The matrix of a contraction that makes it a product of compressed rows.
pub fn factor(einsum: &Einsum, operands: [Value; 2], facts: &Facts<'_>) -> Option<Factor> {
    let sides = [(&einsum.lhs, &einsum.rhs), (&einsum.rhs, &einsum.lhs)];
    let of = |(side, (own, other)): (usize, (&Vec<u8>, &Vec<u8>))| {
        let matrix = operands[side];
        let is_kept = |label: &u8| einsum.out.contains(label) && !other.contains(label);
        let kept: Vec<usize> = (0..own.len()).filter(|axis| is_kept(&own[*axis])).collect();
        let &[kept] = kept.as_slice() else { return None };
        let is_summed = own.len() == 2 && !einsum.out.contains(&own[1 - kept]);
        let rest = other.iter().all(|label| einsum.out.contains(label) || own.contains(label));
        let is_product = is_summed && rest && operands[0] != operands[1];
        let is_product = is_product && facts.is_zero(matrix) && facts.is_matrix(matrix);
        is_product.then_some(Factor { matrix, is_first: side == 0, kept })
    };
    sides.into_iter().enumerate().find_map(of)
}
