//! `sink-transposes`: moves transposes and reshapes toward the results.
//!
//! A parameterisation works on a view `[G, M]` of a weight: the view is a transpose and a reshape, and its result goes
//! back by the opposite ones. Elementwise work and reductions of a view are moved before the view, so that the two
//! meet and cancel (in `simplify`) and the work is done in the order in which the weight lies in memory. A view moves
//! below an op only if the op's other operands need no view of their own for that. A contraction writes its result
//! in any order of axes: one that meets a view elsewhere is first written as a view of the contraction in that order (see [`orient`]).

mod boxes;
mod orient;
mod unview;

use super::rewrite::{Rewriter, elementwise, rewrite, with_operands};
use super::{contract, dce};
use crate::tir::build::{Build, complement, inverse};
use crate::tir::{Einsum, Func, Op, Reduction, Type, Value};
use unview::{can_unview, unview};

/// Runs the pass.
pub fn run(func: &mut Func) {
    orient::run(func);
    rewrite(func, sink);
    dce::run(func);
    rewrite(func, swallow);
    contract::run(func);
}

fn sink(cx: &mut Rewriter, op: &Op, ty: &Type) -> Option<Value> {
    if elementwise(op).is_some() {
        return sink_elementwise(cx, op, ty);
    }
    match op {
        Op::Transpose(a, perm) => transpose(cx, *a, perm),
        Op::Reshape(a) => reshape(cx, *a, ty),
        Op::Reduce(by, a, axes) => reduce(cx, *by, *a, axes),
        Op::Slice { start, step, a } => boxes::slice(cx, start, step, *a, ty),
        Op::Pad { a, .. } => boxes::pad(cx, op, *a, ty),
        Op::Concat(operands, axis) => boxes::concat(cx, operands, *axis, ty),
        Op::CumSum { a, axis, reverse } => boxes::cumsum(cx, *a, *axis, *reverse),
        // What takes images takes them in one order of axes only.
        Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => None,
        Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::Sparse { .. } => None,
        Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Broadcast(..) | Op::Contract(..) => None,
        Op::Uniform { .. } | Op::Quantile(..) | Op::WithGradient(..) | Op::Grad(..) => None,
        Op::Unary(..) | Op::Binary(..) | Op::Select(..) | Op::Convert(_) => None,
    }
}

/// A view of a value: the same elements in another order or under another shape.
#[derive(Clone, Debug, PartialEq)]
enum View {
    /// Axis `i` is axis `perm[i]` of the value.
    Transpose(Vec<usize>),
    /// Row-major order is kept; this is the shape of the value.
    Reshape(Vec<usize>),
}

/// `f(view x, y)` is `view f(x, unview y)`.
fn sink_elementwise(cx: &mut Rewriter, op: &Op, ty: &Type) -> Option<Value> {
    let operands = elementwise(op)?;
    let views = || operands.iter().filter_map(|operand| view_of(cx, *operand));
    let view = views().find(|view| *view == images()).or_else(|| views().next())?;
    let operands = unview_all(cx, &operands, &view)?;
    let shape = cx.ty(operands[0]).shape.clone();
    let value = cx.push(with_operands(op, &operands), Type::new(ty.dtype, shape));
    Some(apply(cx, value, view, ty))
}

/// Images as programs see them, channels before pixels. In memory channels are last: that is what convolutions take, so whatever
/// meets such a view gets the order of memory, even if it has to be transposed.
fn images() -> View {
    View::Transpose(vec![0, 3, 1, 2])
}

/// All values behind a view, unless one of them has to be transposed for that and the view is not of images.
fn unview_all(cx: &mut Rewriter, values: &[Value], view: &View) -> Option<Vec<Value>> {
    let known: Vec<bool> = values.iter().map(|value| can_unview(cx, *value, view)).collect();
    if *view != images() && known.contains(&false) {
        return None;
    }
    let unview = |(value, known): (&Value, bool)| match known {
        true => unview(cx, *value, view),
        false => cx.transpose(*value, vec![0, 2, 3, 1]),
    };
    Some(values.iter().zip(known).map(unview).collect())
}

fn view_of(cx: &Rewriter, value: Value) -> Option<View> {
    if let Op::Transpose(_, perm) = cx.op(value) {
        return Some(View::Transpose(perm.clone()));
    }
    if let Op::Reshape(x) = cx.op(value) {
        return Some(View::Reshape(cx.ty(*x).shape.clone()));
    }
    None
}

fn apply(cx: &mut Rewriter, value: Value, view: View, ty: &Type) -> Value {
    match view {
        View::Transpose(perm) => cx.transpose(value, perm),
        View::Reshape(_) => cx.reshape(value, ty.shape.clone()),
    }
}

/// The axes of the shape `from` that hold the same elements as `axes` of its reshape `to`, if there are such.
fn split(axes: &[usize], to: &[usize], from: &[usize]) -> Option<Vec<usize>> {
    let mut kept = vec![];
    for block in blocks(to, from) {
        let wide = |axis: &usize| to[*axis] != 1;
        let [inside, all] = [
            block.to.clone().filter(wide).filter(|axis| axes.contains(axis)).count(),
            block.to.clone().filter(wide).count(),
        ];
        if inside == all && all > 0 {
            kept.extend(block.from);
        } else if inside > 0 {
            return None;
        }
    }
    Some(kept)
}

/// Neighbouring axes of two shapes that hold the same elements.
struct Block {
    to: std::ops::Range<usize>,
    from: std::ops::Range<usize>,
}

/// Cuts two shapes of one size into the smallest blocks whose sizes agree. Axes of size 1 belong to some block.
fn blocks(to: &[usize], from: &[usize]) -> Vec<Block> {
    let mut blocks = vec![];
    let mut block = Block { to: 0..0, from: 0..0 };
    while block.to.end < to.len() || block.from.end < from.len() {
        let [left, right] = [size(to, &block.to), size(from, &block.from)];
        let from_is_done = block.from.end == from.len();
        if block.to.end < to.len() && (left <= right || from_is_done) {
            block.to.end += 1;
        } else {
            block.from.end += 1;
        }
        if size(to, &block.to) == size(from, &block.from) {
            let next = Block { to: block.to.end..block.to.end, from: block.from.end..block.from.end };
            blocks.push(std::mem::replace(&mut block, next));
        }
    }
    blocks
}

fn size(shape: &[usize], axes: &std::ops::Range<usize>) -> usize {
    shape[axes.clone()].iter().product()
}

fn transpose(cx: &mut Rewriter, a: Value, perm: &[usize]) -> Option<Value> {
    if perm.is_sorted() {
        return Some(a);
    }
    let Op::Transpose(x, inner) = cx.op(a).clone() else { return None };
    Some(cx.transpose(x, perm.iter().map(|axis| inner[*axis]).collect()))
}

/// What is still a transpose of a contraction is the contraction, written in that order from the start.
fn swallow(cx: &mut Rewriter, op: &Op, ty: &Type) -> Option<Value> {
    if let Op::Transpose(a, perm) = op
        && let Op::Contract(einsum, x, y) = cx.op(*a).clone()
        && cx.used_once(*a)
    {
        let out = perm.iter().map(|axis| einsum.out[*axis]).collect();
        return Some(cx.push(Op::Contract(Einsum { out, ..einsum }, x, y), ty.clone()));
    }
    None
}

fn reshape(cx: &mut Rewriter, a: Value, ty: &Type) -> Option<Value> {
    if cx.ty(a).shape == ty.shape {
        return Some(a);
    }
    if let Op::Transpose(x, perm) = cx.op(a).clone() {
        return reshape_transposed(cx, a, x, &perm, ty);
    }
    if let Op::Reshape(x) = *cx.op(a) { Some(cx.reshape(x, ty.shape.clone())) } else { None }
}

/// A reshape that only splits axes, and joins some that are neighbours in `x` too, comes before the transpose.
fn reshape_transposed(cx: &mut Rewriter, a: Value, x: Value, perm: &[usize], ty: &Type) -> Option<Value> {
    let mut blocks = blocks(&ty.shape, &cx.ty(a).shape);
    let neighbours = |block: &Block| perm[block.from.clone()].windows(2).all(|pair| pair[0] + 1 == pair[1]);
    if !blocks.iter().all(|block| neighbours(block) && !block.from.is_empty()) {
        return None;
    }
    blocks.sort_by_key(|block| perm[block.from.start]);
    let order: Vec<usize> = blocks.iter().flat_map(|block| block.to.clone()).collect();
    let shape = order.iter().map(|axis| ty.shape[*axis]).collect();
    let x = cx.reshape(x, shape);
    Some(cx.transpose(x, inverse(&order)))
}

/// A reduction of a view is a view of a reduction along the axes where the same elements are.
fn reduce(cx: &mut Rewriter, by: Reduction, a: Value, axes: &[usize]) -> Option<Value> {
    if let Op::Transpose(x, perm) = cx.op(a).clone() {
        return Some(reduce_transposed(cx, by, x, &perm, axes));
    }
    let Op::Reshape(x) = *cx.op(a) else { return None };
    let [to, from] = [cx.ty(a).shape.clone(), cx.ty(x).shape.clone()];
    let under = split(axes, &to, &from)?;
    let kept: Vec<usize> = complement(axes, to.len()).iter().map(|axis| to[*axis]).collect();
    let reduced = cx.reduce(by, x, under);
    Some(cx.reshape(reduced, kept))
}

fn reduce_transposed(cx: &mut Rewriter, by: Reduction, x: Value, perm: &[usize], axes: &[usize]) -> Value {
    let mut under: Vec<usize> = axes.iter().map(|axis| perm[*axis]).collect();
    under.sort_unstable();
    let left = complement(&under, perm.len());
    let kept = complement(axes, perm.len());
    let position = |axis: &usize| left.iter().position(|l| *l == perm[*axis]).expect("it is not reduced");
    let order: Vec<usize> = kept.iter().map(position).collect();
    let reduced = cx.reduce(by, x, under);
    cx.transpose(reduced, order)
}
