//! Laws about reductions.

use super::one_hot;
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
    if let Op::Binary(Binary::Add | Binary::Sub, x, y) = *cx.op(a)
        && vanishes(cx, y, axes)
    {
        return Some(cx.reduce(Reduction::Sum, x, axes.to_vec()));
    }
    if let Op::Binary(Binary::Add, x, y) = *cx.op(a)
        && vanishes(cx, x, axes)
    {
        return Some(cx.reduce(Reduction::Sum, y, axes.to_vec()));
    }
    if let Some(sum) = one_hot::sum(cx, a, axes) {
        return Some(sum);
    }
    if let Some(sum) = deep(cx, a, axes, ty) {
        return Some(sum);
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

/// The factors of a product that stand not deeper than this are looked at one by one.
const DEEPEST: usize = 6;

/// The factors of a product of products.
fn factors(cx: &Rewriter, value: Value, depth: usize, found: &mut Vec<Value>) {
    if let Op::Binary(Binary::Mul, x, y) = *cx.op(value)
        && depth < DEEPEST
    {
        factors(cx, x, depth + 1, found);
        factors(cx, y, depth + 1, found);
    } else {
        found.push(value);
    }
}

/// Whether `value` is the same all along `axes`.
fn is_in_front(cx: &Rewriter, value: Value, axes: &[usize]) -> bool {
    let apart = |dims: &[usize]| dims.iter().all(|dim| !axes.contains(dim));
    cx.number(value).is_some() || matches!(cx.op(value), Op::Broadcast(_, dims) if apart(dims))
}

/// Factors that are the same all along `axes` stand in front of the sum, however deep in the product they are.
fn deep(cx: &mut Rewriter, a: Value, axes: &[usize], ty: &Type) -> Option<Value> {
    let mut all = vec![];
    factors(cx, a, 0, &mut all);
    let (front, rest): (Vec<Value>, Vec<Value>) = all.into_iter().partition(|value| is_in_front(cx, *value, axes));
    let rest = rest.into_iter().reduce(|x, y| cx.mul(x, y));
    if front.is_empty() || rest.is_none() {
        return None;
    }
    let sum = cx.reduce(Reduction::Sum, rest?, axes.to_vec());
    let front = front.into_iter().map(|value| in_front(cx, value, axes, ty)).collect::<Option<Vec<Value>>>()?;
    let front = front.into_iter().reduce(|x, y| cx.mul(x, y))?;
    Some(cx.mul(front, sum))
}

/// Whether the sum along `axes` is zero, because `value` is a multiple of what is left of `x` when its mean along `axes` is taken
/// away.
fn vanishes(cx: &Rewriter, value: Value, axes: &[usize]) -> bool {
    let mut all = vec![];
    factors(cx, value, 0, &mut all);
    all.retain(|value| !is_in_front(cx, *value, axes));
    let [left] = all[..] else { return false };
    let Op::Binary(Binary::Sub, x, mean) = *cx.op(left) else { return false };
    let Op::Broadcast(mean, dims) = cx.op(mean) else { return false };
    let kept = complement(axes, cx.ty(x).rank());
    let Op::Binary(Binary::Mul, sum, share) = *cx.op(*mean) else { return false };
    let count: usize = axes.iter().map(|axis| cx.ty(x).shape[*axis]).product();
    let is_share = cx.number(share).is_some_and(|share| (share * count as f64 - 1.0).abs() < 1e-9);
    *dims == kept && is_share && *cx.op(sum) == Op::Reduce(Reduction::Sum, x, axes.to_vec())
}
