//! Laws about sums of equal ops on different operands, as unrolled recurrences make them: a parameter that is used in every
//! step gets a share of its derivative from every step. One op on all operands, one behind the other, does the same.

use crate::pass::rewrite::Rewriter;
use crate::tir::build::Build;
use crate::tir::{Einsum, Op, Reduction, Value};

/// `op(x) + op(y)` as `op(x, y)`. The second comes first: a backward sweep goes through time from its end.
pub fn sum(cx: &mut Rewriter, a: Value, b: Value) -> Option<Value> {
    if !cx.used_once(a) || !cx.used_once(b) {
        return None;
    }
    let [first, second] = [b, a].map(|value| cx.op(value).clone());
    if let (Op::Contract(einsum, x0, y0), Op::Contract(other, x1, y1)) = (&first, &second) {
        return if einsum == other { contracts(cx, einsum, [*x0, *x1], [*y0, *y1], b) } else { None };
    }
    if let (Op::Reduce(Reduction::Sum, x0, axes), Op::Reduce(Reduction::Sum, x1, other)) = (&first, &second) {
        return if axes == other { reductions(cx, [*x0, *x1], axes) } else { None };
    }
    let (Op::Scatter { batch, values: x0, index: i0 }, Op::Scatter { batch: other, values: x1, index: i1 }) =
        (first, second)
    else {
        return None;
    };
    if batch == other { scatters(cx, batch, [x0, x1], [i0, i1], b) } else { None }
}

/// x₀y₀ + x₁y₁ as the product of x₀, x₁ side by side with y₀, y₁ one above the other, where the result is larger than what is
/// copied for it.
fn contracts(cx: &mut Rewriter, einsum: &Einsum, x: [Value; 2], y: [Value; 2], result: Value) -> Option<Value> {
    let label = einsum.lhs.iter().find(|label| !einsum.out.contains(label))?;
    let place = |labels: &[u8]| labels.iter().position(|l| l == label).expect("what is summed over occurs in both");
    let (x_axis, y_axis) = (place(&einsum.lhs), place(&einsum.rhs));
    let copied = cx.ty(x[0]).len() + cx.ty(y[0]).len();
    if copied > cx.ty(result).len() || !fit(cx, x, x_axis) || !fit(cx, y, y_axis) {
        return None;
    }
    let x = cx.concat(x.to_vec(), x_axis);
    let y = cx.concat(y.to_vec(), y_axis);
    Some(cx.contract(einsum.clone(), x, y))
}

/// Whether two tensors can stand one behind the other along `axis`.
fn fit(cx: &Rewriter, [a, b]: [Value; 2], axis: usize) -> bool {
    let without = |value: Value| {
        let mut shape = cx.ty(value).shape.clone();
        let _ = shape.remove(axis);
        shape
    };
    cx.ty(a).rank() == cx.ty(b).rank() && without(a) == without(b)
}

fn reductions(cx: &mut Rewriter, x: [Value; 2], axes: &[usize]) -> Option<Value> {
    // What is computed element by element would have to be written down first.
    let axis = *axes.first()?;
    let is_stored = x.iter().all(|value| is_stored(cx, *value));
    (is_stored && fit(cx, x, axis)).then(|| {
        let all = cx.concat(x.to_vec(), axis);
        cx.reduce(Reduction::Sum, all, axes.to_vec())
    })
}

fn is_stored(cx: &Rewriter, value: Value) -> bool {
    matches!(cx.op(value), Op::Concat(..) | Op::Contract(..) | Op::Slice { .. } | Op::Param(_))
}

fn scatters(cx: &mut Rewriter, batch: usize, values: [Value; 2], index: [Value; 2], result: Value) -> Option<Value> {
    let has_axis = index.iter().all(|index| cx.ty(*index).rank() > batch);
    (has_axis && fit(cx, values, batch) && fit(cx, index, batch)).then(|| {
        let rows = cx.ty(result).shape[batch];
        let values = cx.concat(values.to_vec(), batch);
        let index = cx.concat(index.to_vec(), batch);
        cx.scatter(batch, values, index, rows)
    })
}
