//! Where values go on in different ways: sums of branches, and, backwards, what branches need of the gradient of such a sum.

use std::collections::BTreeSet;

use super::facts::Facts;
use crate::scalar::Binary;
use crate::tir::{Func, Op, Value};

/// Operands that may be cut in their own way along an axis: the definition, the number of the operand, and its axis.
pub fn find(func: &Func, facts: &Facts) -> BTreeSet<(Value, usize, usize)> {
    let sums: BTreeSet<Value> = func.values().filter(|value| is_sum(func, facts, *value)).collect();
    let added = sums.iter().flat_map(|sum| func.def(*sum).op.operands());
    let streams: BTreeSet<Value> = sums.iter().copied().chain(added).collect();
    let mut seams = BTreeSet::new();
    for value in func.values() {
        let labels = &facts.labels[value.0 as usize];
        for (at, operand) in func.def(value).op.operands().into_iter().enumerate() {
            for (axis, label) in labels.operands[at].iter().enumerate().filter(|(_, label)| label.is_some()) {
                let is_seam = if sums.contains(&value) {
                    let result = labels.result.iter().position(|own| own == label);
                    result.is_some_and(|result| {
                        facts.non_zero[operand.0 as usize][axis] != facts.non_zero[value.0 as usize][result]
                    })
                } else {
                    streams.contains(&operand) && facts.used(func, value, at, axis) != facts.live(operand, axis)
                };
                if is_seam {
                    let _ = seams.insert((value, at, axis));
                }
            }
        }
    }
    seams
}

/// Whether a value is the sum of two that vary from sample to sample.
fn is_sum(func: &Func, facts: &Facts, value: Value) -> bool {
    let is_sampled = |value: &Value| facts.sampled[value.0 as usize];
    matches!(&func.def(value).op, Op::Binary(Binary::Add | Binary::Sub, a, b) if a != b && is_sampled(a) && is_sampled(b))
}
