//! Laws about reductions.

use crate::pass::rewrite::Rewriter;
use crate::scalar::{Binary, Unary};
use crate::tir::build::{Build, complement};
use crate::tir::{Op, Reduction, Type, Value};

pub fn reduce(cx: &mut Rewriter, by: Reduction, a: Value, axes: &[usize], ty: &Type) -> Option<Value> {
    if axes.is_empty() {
        return Some(a);
    }
    if axes.iter().all(|axis| cx.ty(a).shape[*axis] == 1) {
        return Some(cx.reshape(a, ty.shape.clone()));
    }
    if let Op::Reduce(inner_by, x, inner) = cx.op(a).clone()
        && inner_by == by
    {
        return Some(both(cx, by, x, &inner, axes));
    }
    if let Op::Broadcast(x, dims) = cx.op(a).clone() {
        return Some(of_repeated(cx, by, a, x, &dims, axes, ty));
    }
    if by == Reduction::Sum { sum(cx, a, axes, ty) } else { None }
}

/// A reduction of a reduction combines over the axes of both.
fn both(cx: &mut Rewriter, by: Reduction, x: Value, inner: &[usize], outer: &[usize]) -> Value {
    let kept = complement(inner, cx.ty(x).rank());
    let mut axes: Vec<usize> = inner.iter().copied().chain(outer.iter().map(|axis| kept[*axis])).collect();
    axes.sort_unstable();
    cx.reduce(by, x, axes)
}

/// The sum of n equal elements is n times one of them; the largest is one of them.
fn of_repeated(
    cx: &mut Rewriter,
    by: Reduction,
    a: Value,
    x: Value,
    dims: &[usize],
    axes: &[usize],
    ty: &Type,
) -> Value {
    let sizes = axes.iter().filter(|axis| !dims.contains(axis)).map(|axis| cx.ty(a).shape[*axis]);
    let times = if by == Reduction::Sum { sizes.product::<usize>() } else { 1 };
    let inner = (0..dims.len()).filter(|i| axes.contains(&dims[*i])).collect();
    let reduced = cx.reduce(by, x, inner);
    let times = cx.constant_like(times as f64, reduced);
    let total = if by == Reduction::Sum { cx.mul(reduced, times) } else { reduced };
    let left = dims.iter().filter(|dim| !axes.contains(dim));
    let places = left.map(|dim| dim - axes.iter().filter(|axis| *axis < dim).count()).collect();
    cx.broadcast(total, places, ty.shape.clone())
}

/// What is constant along `axes` stands in front of the sum.
fn sum(cx: &mut Rewriter, a: Value, axes: &[usize], ty: &Type) -> Option<Value> {
    if let Op::Unary(Unary::Neg, x) = *cx.op(a) {
        let sum = cx.reduce(Reduction::Sum, x, axes.to_vec());
        return Some(cx.unary(Unary::Neg, sum));
    }
    let Op::Binary(f @ (Binary::Mul | Binary::MulZ | Binary::Div), x, y) = *cx.op(a) else { return None };
    // sum c x = c sum x. A cotangent c of zero stays zero.
    if f != Binary::Div
        && let Some(c) = in_front(cx, x, axes, ty)
    {
        let sum = cx.reduce(Reduction::Sum, y, axes.to_vec());
        return Some(cx.binary(f, c, sum));
    }
    // sum x c = (sum x) c, sum x / c = (sum x) / c
    if f == Binary::MulZ {
        return None;
    }
    let c = in_front(cx, y, axes, ty)?;
    let sum = cx.reduce(Reduction::Sum, x, axes.to_vec());
    Some(cx.binary(f, sum, c))
}

/// `value` without `axes`, if it is the same all along them.
fn in_front(cx: &mut Rewriter, value: Value, axes: &[usize], ty: &Type) -> Option<Value> {
    if let Some(number) = cx.number(value) {
        return Some(cx.constant(number, ty.with_dtype(cx.ty(value).dtype)));
    }
    let Op::Broadcast(x, dims) = cx.op(value).clone() else { return None };
    if dims.iter().any(|dim| axes.contains(dim)) {
        return None;
    }
    let places = dims.iter().map(|dim| dim - axes.iter().filter(|axis| *axis < dim).count()).collect();
    Some(cx.broadcast(x, places, ty.shape.clone()))
}
