//! About how much a function has to do.

use crate::tir::{Func, Op, SparseRole, Value};
use crate::window::ConvRole;

/// What an element of a result costs, in multiplications of a product: it goes through memory.
const ELEMENT: f64 = 4.0;

/// What a number costs that is picked by itself.
const PICKED: f64 = 40.0;

/// What calling a routine costs, however little it has to do: about a microsecond.
const CALL: f64 = 40_000.0;

/// What a multiplication with an element of a compressed matrix costs whose neighbours are zero: loads are not shared. At a batch of 64,
/// 5 % of 300 × 784 weights take an eighth of the time of all of them.
pub const SCATTERED: f64 = 2.5;

/// A product of fewer samples costs as much.
const LEAST_BATCH: usize = 8;

/// Rows of fewer numbers are picked one by one.
const SHORT: usize = 8;

/// Multiplications of products, and what everything else costs in terms of them.
pub fn work(func: &Func) -> f64 {
    work_at(func, &|_| SCATTERED)
}

/// The same of a function on compressed matrices. `cost` says what a multiplication with an element of a matrix costs, by the name of its pattern's
/// table.
pub fn work_at(func: &Func, cost: &dyn Fn(&str) -> f64) -> f64 {
    func.values().map(|value| work_of(func, value, cost)).sum()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others cost what they write")]
fn work_of(func: &Func, value: Value, cost: &dyn Fn(&str) -> f64) -> f64 {
    let def = func.def(value);
    let len = def.ty.len() as f64;
    match &def.op {
        Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_) => 0.0,
        Op::Contract(einsum, a, b) => {
            let sizes = einsum.lhs.iter().zip(&func.ty(*a).shape).chain(einsum.rhs.iter().zip(&func.ty(*b).shape));
            let summed = sizes.filter(|(label, _)| einsum.rhs.contains(label) && !einsum.out.contains(label));
            // Each label that is summed over occurs in both operands.
            len * summed.map(|(_, size)| (*size as f64).sqrt()).product::<f64>()
        }
        Op::Conv { role, groups, a, b, .. } => {
            let [weights, out] = match role {
                ConvRole::Forward => [*b, value],
                ConvRole::ByInput => [*b, *a],
                ConvRole::ByWeight => [value, *b],
            };
            let [weights, out] = [weights, out].map(|value| func.ty(value));
            weights.len() as f64 / *groups as f64 * out.len() as f64 / (out.shape[3] / groups) as f64
        }
        Op::Gather { index, .. } => CALL + len * picked(&def.ty.shape[func.ty(*index).rank()..]),
        Op::Sparse { role, a, b, pattern } => {
            let values = if *role == SparseRole::Product { *a } else { value };
            let cost = if let Op::Param(table) = &func.def(*pattern).op { cost(table) } else { SCATTERED };
            cost * (func.ty(values).len() * func.ty(*b).shape[1].max(LEAST_BATCH)) as f64
        }
        Op::Scatter { values, index, .. } => {
            let values = func.ty(*values);
            CALL + ELEMENT * len + values.len() as f64 * picked(&values.shape[func.ty(*index).rank()..])
        }
        Op::CumSum { .. } => CALL + ELEMENT * len,
        _ => ELEMENT * len,
    }
}

/// What an element of a row of these axes costs.
fn picked(row: &[usize]) -> f64 {
    if row.iter().product::<usize>() < SHORT { PICKED } else { ELEMENT }
}
