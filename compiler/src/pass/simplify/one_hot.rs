//! Laws about sums of one-hot tensors: of all elements along an axis, one counts. It is picked by its number.

use crate::pass::rewrite::Rewriter;
use crate::scalar::{Binary, Unary};
use crate::tir::build::{Build, complement};
use crate::tir::{DType, Op, Reduction, Value};

/// Along shorter axes a product with zeros and a one, as part of the loop that makes the numbers, is as good as a look-up.
const LONG: usize = 256;

/// Elements of sums that stand not deeper than this are picked one by one.
const DEEPEST: usize = 6;

/// A tensor that is 1 where the position along an axis is the number that belongs to the other positions, and 0 elsewhere.
struct OneHot {
    /// The numbers, `i32`.
    index: Value,
    /// Where the axes of `index` are.
    dims: Vec<usize>,
    /// Along which the positions run.
    axis: usize,
    /// How many there are.
    size: usize,
}

/// The sum along `axes` of what is one-hot along one of them, or of its product with something.
pub fn sum(cx: &mut Rewriter, a: Value, axes: &[usize]) -> Option<Value> {
    if let Some(hot) = OneHot::find(cx, a, axes) {
        return Some(hot.count(cx, a, axes));
    }
    let Op::Binary(Binary::Mul, x, y) = *cx.op(a) else { return None };
    let (hot, of) = match (OneHot::find(cx, x, axes), OneHot::find(cx, y, axes)) {
        (Some(hot), _) => (hot, y),
        (None, Some(hot)) => (hot, x),
        (None, None) => return None,
    };
    let rank = cx.ty(a).rank();
    let is_row = hot.axis + 1 == rank && hot.dims == complement(&[hot.axis], rank);
    if !is_row || hot.size < LONG {
        return None;
    }
    let picked = hot.pick(cx, of, 0)?;
    let inside = hot.inside(cx);
    let picked = cx.mul(picked, inside);
    let rest = axes.iter().copied().filter(|axis| *axis != hot.axis).collect();
    Some(cx.reduce(Reduction::Sum, picked, rest))
}

impl OneHot {
    /// What `value` is, if it is one-hot along one of `axes`.
    fn find(cx: &Rewriter, value: Value, axes: &[usize]) -> Option<OneHot> {
        let Op::Convert(is_there) = *cx.op(value) else { return None };
        let Op::Binary(Binary::Eq, x, y) = *cx.op(is_there) else { return None };
        if cx.ty(value).dtype != DType::F32 || cx.ty(x).dtype != DType::I32 {
            return None;
        }
        [(x, y), (y, x)].into_iter().find_map(|(index, positions)| {
            let axis = positions_along(cx, positions).filter(|axis| axes.contains(axis))?;
            let Op::Broadcast(index, dims) = cx.op(index).clone() else { return None };
            let size = cx.ty(value).shape[axis];
            (!dims.contains(&axis)).then_some(OneHot { index, dims, axis, size })
        })
    }

    /// 1 where the number is one of a position, else 0.
    fn inside(&self, cx: &mut Rewriter) -> Value {
        let [zero, size] = [0.0, self.size as f64].map(|number| cx.constant_like(number, self.index));
        let above = cx.binary(Binary::Ge, self.index, zero);
        let below = cx.binary(Binary::Lt, self.index, size);
        let both = cx.binary(Binary::And, above, below);
        cx.convert(both, DType::F32)
    }

    /// The sum of `value`, which is one-hot itself: the axis has a one or none.
    fn count(&self, cx: &mut Rewriter, value: Value, axes: &[usize]) -> Value {
        let inside = self.inside(cx);
        let shift = |axis: &usize| axis - usize::from(*axis > self.axis);
        let mut shape = cx.ty(value).shape.clone();
        let _ = shape.remove(self.axis);
        let counts = cx.broadcast(inside, self.dims.iter().map(shift).collect(), shape);
        let rest = axes.iter().filter(|axis| **axis != self.axis).map(shift).collect();
        cx.reduce(Reduction::Sum, counts, rest)
    }

    /// The elements of `value` at the numbers, along its last axis; anything where a number is none of a position.
    fn pick(&self, cx: &mut Rewriter, value: Value, depth: usize) -> Option<Value> {
        let shape = cx.ty(self.index).shape.clone();
        if depth > DEEPEST || cx.ty(value).dtype != DType::F32 {
            return None;
        }
        match cx.op(value).clone() {
            Op::Const(number) => {
                let ty = crate::tir::Type::f32(shape);
                Some(cx.constant(number, ty))
            }
            Op::Broadcast(x, dims) if !dims.contains(&self.axis) => Some(cx.broadcast(x, dims, shape)),
            Op::Broadcast(x, dims) if dims == [self.axis] => Some(cx.gather(0, x, self.index)),
            Op::Unary(f @ (Unary::Neg | Unary::Abs), x) => {
                let x = self.pick(cx, x, depth + 1)?;
                Some(cx.unary(f, x))
            }
            Op::Binary(f @ (Binary::Add | Binary::Sub | Binary::Mul), x, y) => {
                let x = self.pick(cx, x, depth + 1)?;
                let y = self.pick(cx, y, depth + 1)?;
                Some(cx.binary(f, x, y))
            }
            Op::Contract(..) | Op::Param(_) => Some(cx.gather(shape.len(), value, self.index)),
            Op::Broadcast(..) | Op::Unary(..) | Op::Binary(..) | Op::Iota(_) | Op::Select(..) | Op::Convert(_) => None,
            Op::Transpose(..) | Op::Reshape(_) | Op::Reduce(..) | Op::Conv { .. } | Op::Pool(..) => None,
            Op::Unpool(..) | Op::UnpoolMax { .. } | Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) => None,
            Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } | Op::Uniform { .. } => None,
            Op::Quantile(..) | Op::Sparse { .. } | Op::WithGradient(..) | Op::Grad(..) => None,
        }
    }
}

/// The axis along which `value` is the position.
fn positions_along(cx: &Rewriter, value: Value) -> Option<usize> {
    match cx.op(value) {
        Op::Iota(axis) => Some(*axis),
        Op::Broadcast(line, dims) if dims.len() == 1 && matches!(cx.op(*line), Op::Iota(_)) => Some(dims[0]),
        Op::Broadcast(..) | Op::Param(_) | Op::Const(_) | Op::Unary(..) | Op::Binary(..) | Op::Select(..) => None,
        Op::Convert(_) | Op::Transpose(..) | Op::Reshape(_) | Op::Reduce(..) | Op::Contract(..) => None,
        Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } | Op::Pad { .. } => None,
        Op::Slice { .. } | Op::Concat(..) | Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) => None,
        Op::CumSum { .. } | Op::Sparse { .. } | Op::Uniform { .. } | Op::Quantile(..) => None,
        Op::WithGradient(..) | Op::Grad(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::pass;
    use crate::tir::interp::{self, Tensor};
    use crate::tir::{Func, Op, parse};

    fn func() -> Func {
        parse::func(include_str!("../../../tests/golden/pass/simplify/one_hot.tir")).expect("a golden file")
    }

    /// Numbers for all inputs; among the indices are some outside.
    fn input(func: &Func, name: &str) -> Option<Tensor> {
        let (_, _, ty) = func.params().find(|(own, ..)| ***own == *name)?;
        let mut at = 0;
        Some(Tensor::from_shape_simple_fn(ty.shape.as_slice(), || {
            at += 1;
            if name == "i" {
                [-1, 0, 7, 299, 300][at % 5] as f64
            } else {
                f64::from(at as u32 * 7919 % 31) / 31.0 - 0.4
            }
        }))
    }

    #[test]
    fn numbers_outside_pick_nothing() {
        let before = func();
        let mut after = before.clone();
        pass::run(&mut after, pass::O1, |_, _| ());
        assert!(after.defs.iter().any(|def| matches!(def.op, Op::Gather { .. })), "{after}");
        let [before, after] = [before, after].map(|func| {
            let mut results: Vec<(Arc<str>, Tensor)> =
                interp::run(&func, &|name| input(&func, name)).expect("inputs for all").into_iter().collect();
            results.sort_by(|a, b| a.0.cmp(&b.0));
            results
        });
        for ((name, a), (_, b)) in before.iter().zip(&after) {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{name}: {a} became {b}");
        }
    }
}
