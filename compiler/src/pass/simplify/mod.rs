//! `simplify`: the laws of algebra.
//!
//! A law is used where both sides are equal for all tame numbers (see [`super::facts`]), up to the rounding of
//! the last digits: `x * 0` is 0 only where `x` is known to be tame; a quotient by a constant, or by one
//! number for many elements, becomes a product with its reciprocal. Work is done before it is repeated along new axes, and factors that
//! a sum does not run over stand in front of it.

mod algebra;
mod images;
mod one_hot;
mod positions;
mod shapes;
mod stacks;
mod sums;

use super::rewrite::{Rewriter, rewrite};
use crate::tir::{Func, Op, Type, Value};

/// Runs the pass.
pub fn run(func: &mut Func) {
    rewrite(func, rule);
}

fn rule(cx: &mut Rewriter, op: &Op, ty: &Type) -> Option<Value> {
    let specific = match op {
        Op::Unary(f, a) => algebra::unary(cx, *f, *a),
        Op::Binary(f, a, b) => algebra::binary(cx, *f, *a, *b),
        Op::Select(c, a, b) => algebra::select(cx, [*c, *a, *b], ty),
        Op::Convert(a) => algebra::convert(cx, *a, ty),
        Op::Iota(axis) => shapes::iota(cx, *axis, ty),
        Op::Broadcast(a, dims) => shapes::broadcast(cx, *a, dims, ty),
        Op::Transpose(a, perm) => shapes::transpose(cx, *a, perm, ty),
        Op::Reshape(a) => shapes::reshape(cx, *a, ty),
        Op::Reduce(by, a, axes) => sums::reduce(cx, *by, *a, axes, ty),
        Op::Param(_) | Op::Const(_) | Op::Contract(..) | Op::Uniform { .. } => None,
        Op::Conv { .. } => images::conv(cx, op, ty),
        Op::Pool(_, window, a) => images::pool(cx, *window, *a, ty),
        Op::Unpool(window, a) | Op::UnpoolMax { window, ct: a, .. } => images::unpool(cx, *window, *a, ty),
        Op::Pad { value, lo, hi, gap, a } => positions::pad(cx, *value, [lo, hi, gap], *a, ty),
        Op::Slice { start, step, a } => positions::slice(cx, start, step, *a, ty),
        Op::Concat(parts, axis) => positions::concat(cx, parts, *axis, ty),
        Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } => None,
        Op::Quantile(..) | Op::Sparse { .. } | Op::WithGradient(..) | Op::Grad(..) => None,
    };
    specific.or_else(|| shapes::work_before_repeating(cx, op, ty))
}
