//! `contract`: sums of products become contractions, and contractions lose what need not be multiplied.
//!
//! A sum over axes of a product is a true contraction if each factor varies along a result axis that the other one does
//! not vary along: then the product has more elements than either factor, and must never be materialised. Other sums of
//! products (a norm, a weighted mean) stay fused reductions.

use super::rewrite::{Rewriter, rewrite};
use crate::scalar::Binary;
use crate::tir::build::{Build, complement};
use crate::tir::{Einsum, Func, Op, Reduction, Type, Value};

/// Runs the pass.
pub fn run(func: &mut Func) {
    rewrite(func, rule);
}

fn rule(cx: &mut Rewriter, op: &Op, ty: &Type) -> Option<Value> {
    if let Op::Reduce(Reduction::Sum, a, axes) = op
        && let Op::Binary(Binary::Mul, x, y) = *cx.op(*a)
    {
        return recognise(cx, [x, y], &complement(axes, cx.ty(*a).rank()));
    }
    if let Op::Contract(einsum, a, b) = op {
        return narrow(cx, einsum, [*a, *b], ty).or_else(|| relabel(cx, einsum, [*a, *b]));
    }
    None
}

/// A factor of a product, and the axes of the product along which it varies, as labels.
struct Factor {
    value: Value,
    labels: Vec<u8>,
}

fn recognise(cx: &mut Rewriter, factors: [Value; 2], kept: &[usize]) -> Option<Value> {
    let [x, y] = factors.map(|value| stripped(cx, value));
    let out: Vec<u8> = kept.iter().map(|axis| *axis as u8).collect();
    let sizes: Vec<usize> = cx.ty(factors[0]).shape.clone();
    let wide = |label: &&u8| sizes[usize::from(**label)] > 1;
    let own = |a: &Factor, b: &Factor| out.iter().filter(wide).any(|l| a.labels.contains(l) && !b.labels.contains(l));
    let summed = x.labels.iter().filter(wide).any(|l| y.labels.contains(l) && !out.contains(l));
    let covered = out.iter().all(|l| x.labels.contains(l) || y.labels.contains(l));
    if !(own(&x, &y) && own(&y, &x) && summed && covered) {
        return None;
    }
    let x = without_own_sums(cx, x, &y.labels, &out);
    let y = without_own_sums(cx, y, &x.labels, &out);
    let einsum = Einsum { lhs: x.labels, rhs: y.labels, out };
    Some(cx.contract(einsum, x.value, y.value))
}

/// A factor of a product without the axes along which it is only repeated.
fn stripped(cx: &Rewriter, value: Value) -> Factor {
    if let Op::Broadcast(x, dims) = cx.op(value) {
        return Factor { value: *x, labels: dims.iter().map(|dim| *dim as u8).collect() };
    }
    Factor { value, labels: (0..cx.ty(value).rank() as u8).collect() }
}

/// Sums `factor` over the axes that neither the other factor nor the result has.
fn without_own_sums(cx: &mut Rewriter, factor: Factor, other: &[u8], out: &[u8]) -> Factor {
    let is_own = |label: &u8| !other.contains(label) && !out.contains(label);
    let axes: Vec<usize> = (0..factor.labels.len()).filter(|i| is_own(&factor.labels[*i])).collect();
    if axes.is_empty() {
        return factor;
    }
    let labels = factor.labels.iter().copied().filter(|label| !is_own(label)).collect();
    Factor { value: cx.reduce(Reduction::Sum, factor.value, axes), labels }
}

/// A contraction of what is repeated along some axes: of less, and the result repeated instead. One that sums over
/// nothing is elementwise.
fn narrow(cx: &mut Rewriter, einsum: &Einsum, operands: [Value; 2], ty: &Type) -> Option<Value> {
    let x = relabelled(strip_constant(cx, operands[0]), &einsum.lhs);
    let y = relabelled(strip_constant(cx, operands[1]), &einsum.rhs);
    let sums = einsum.lhs.iter().any(|label| !einsum.out.contains(label));
    if sums && x.labels.len() == einsum.lhs.len() && y.labels.len() == einsum.rhs.len() {
        return None;
    }
    // A label that was summed over and that neither factor varies along any more counts how often they repeat.
    let times = repetitions(cx, einsum, operands, [&x, &y]);
    let varies = |label: &u8| x.labels.contains(label) || y.labels.contains(label);
    let out: Vec<u8> = einsum.out.iter().copied().filter(varies).collect();
    let x = without_own_sums(cx, x, &y.labels, &out);
    let y = without_own_sums(cx, y, &x.labels, &out);
    let places: Vec<usize> = (0..einsum.out.len()).filter(|i| out.contains(&einsum.out[*i])).collect();
    let product = product(cx, [x, y], out);
    let times = cx.constant_like(times, product);
    let total = if cx.is(times, 1.0) { product } else { cx.mul(product, times) };
    Some(if places.len() == ty.rank() { total } else { cx.broadcast(total, places, ty.shape.clone()) })
}

/// As [`stripped`], and a constant varies along no axis.
fn strip_constant(cx: &mut Rewriter, value: Value) -> Factor {
    if let Some(number) = cx.number(value)
        && cx.ty(value).rank() > 0
    {
        let scalar = Type::scalar(cx.ty(value).dtype);
        return Factor { value: cx.constant(number, scalar), labels: vec![] };
    }
    stripped(cx, value)
}

/// A factor whose labels were positions in `labels`.
fn relabelled(factor: Factor, labels: &[u8]) -> Factor {
    let labels = factor.labels.iter().map(|position| labels[usize::from(*position)]).collect();
    Factor { labels, ..factor }
}

fn repetitions(cx: &Rewriter, einsum: &Einsum, operands: [Value; 2], factors: [&Factor; 2]) -> f64 {
    let shape = &cx.ty(operands[0]).shape;
    let labels = einsum.lhs.iter().zip(shape);
    let lost = labels.filter(|(label, _)| {
        !einsum.out.contains(label) && factors.iter().all(|factor| !factor.labels.contains(label))
    });
    lost.map(|(_, size)| *size as f64).product()
}

/// The sum of products of two factors: a contraction if something is summed over, else a product of each pair of elements.
fn product(cx: &mut Rewriter, [x, y]: [Factor; 2], out: Vec<u8>) -> Value {
    let is_summed = x.labels.iter().any(|label| !out.contains(label));
    let einsum = Einsum { lhs: x.labels.clone(), rhs: y.labels.clone(), out: out.clone() };
    if is_summed {
        return cx.contract(einsum, x.value, y.value);
    }
    let shape = einsum.out_shape(cx.ty(x.value), cx.ty(y.value));
    let [x, y] = [x, y].map(|factor| spread(cx, factor, &out, &shape));
    cx.mul(x, y)
}

/// A factor, repeated and transposed to the axes of `out`.
fn spread(cx: &mut Rewriter, factor: Factor, out: &[u8], shape: &[usize]) -> Value {
    let place = |label: &u8| out.iter().position(|l| l == label).expect("nothing is summed over");
    let mut order: Vec<usize> = (0..factor.labels.len()).collect();
    order.sort_by_key(|i| place(&factor.labels[*i]));
    let dims: Vec<usize> = order.iter().map(|i| place(&factor.labels[*i])).collect();
    let value = if order.is_sorted() { factor.value } else { cx.transpose(factor.value, order) };
    if dims.len() == out.len() { value } else { cx.broadcast(value, dims, shape.to_vec()) }
}

/// A contraction reads its operands in any order of axes: it needs no transpose of them. Its labels become canonical.
fn relabel(cx: &mut Rewriter, einsum: &Einsum, operands: [Value; 2]) -> Option<Value> {
    let [(a, lhs), (b, rhs)] = [(operands[0], &einsum.lhs), (operands[1], &einsum.rhs)];
    let [(x, lhs), (y, rhs)] = [untransposed(cx, a, lhs), untransposed(cx, b, rhs)];
    let relabelled = Einsum { lhs, rhs, out: einsum.out.clone() }.canonical();
    ([x, y] != operands || relabelled != *einsum).then(|| cx.contract(relabelled, x, y))
}

fn untransposed(cx: &Rewriter, value: Value, labels: &[u8]) -> (Value, Vec<u8>) {
    let Op::Transpose(x, perm) = cx.op(value) else { return (value, labels.to_vec()) };
    let mut under = vec![0; labels.len()];
    for (label, axis) in labels.iter().zip(perm) {
        under[*axis] = *label;
    }
    (*x, under)
}
