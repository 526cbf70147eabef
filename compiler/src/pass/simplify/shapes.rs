//! Laws about shapes.

use crate::pass::rewrite::{Rewriter, elementwise, with_operands};
use crate::tir::build::{Build, inverse};
use crate::tir::{Op, Type, Value};

/// Positions along one of several axes are repeated along the others.
pub fn iota(cx: &mut Rewriter, axis: usize, ty: &Type) -> Option<Value> {
    (ty.rank() > 1).then(|| {
        let line = cx.push(Op::Iota(0), Type::new(ty.dtype, [ty.shape[axis]]));
        cx.broadcast(line, vec![axis], ty.shape.clone())
    })
}

pub fn broadcast(cx: &mut Rewriter, a: Value, dims: &[usize], ty: &Type) -> Option<Value> {
    if dims.len() == ty.rank() {
        return Some(a);
    }
    if let Some(number) = cx.number(a) {
        return Some(cx.constant(number, ty.clone()));
    }
    if let Op::Broadcast(x, inner) = cx.op(a).clone() {
        let through = inner.iter().map(|dim| dims[*dim]).collect();
        return Some(cx.broadcast(x, through, ty.shape.clone()));
    }
    // Axes of size 1 are repeated once either way.
    let wide: Vec<usize> = (0..dims.len()).filter(|i| cx.ty(a).shape[*i] != 1).collect();
    (wide.len() < dims.len()).then(|| {
        let shape = wide.iter().map(|i| cx.ty(a).shape[*i]).collect();
        let narrow = cx.reshape(a, shape);
        cx.broadcast(narrow, wide.iter().map(|i| dims[*i]).collect(), ty.shape.clone())
    })
}

pub fn transpose(cx: &mut Rewriter, a: Value, perm: &[usize], ty: &Type) -> Option<Value> {
    if perm.is_sorted() {
        return Some(a);
    }
    if let Some(number) = cx.number(a) {
        return Some(cx.constant(number, ty.clone()));
    }
    if let Op::Transpose(x, inner) = cx.op(a).clone() {
        return Some(cx.transpose(x, perm.iter().map(|axis| inner[*axis]).collect()));
    }
    if let Op::Broadcast(x, dims) = cx.op(a).clone() {
        return Some(transpose_repeated(cx, x, &dims, perm, ty));
    }
    // Only axes of size 1 change places: the elements stay in order.
    let wide = perm.iter().filter(|axis| cx.ty(a).shape[**axis] != 1);
    wide.is_sorted().then(|| cx.reshape(a, ty.shape.clone()))
}

/// The transpose of `x` repeated along new axes: `x` repeated along other ones, itself transposed if need be.
fn transpose_repeated(cx: &mut Rewriter, x: Value, dims: &[usize], perm: &[usize], ty: &Type) -> Value {
    let place = inverse(perm);
    let mut order: Vec<usize> = (0..dims.len()).collect();
    order.sort_by_key(|i| place[dims[*i]]);
    let places = order.iter().map(|i| place[dims[*i]]).collect();
    let x = cx.transpose(x, order);
    cx.broadcast(x, places, ty.shape.clone())
}

pub fn reshape(cx: &mut Rewriter, a: Value, ty: &Type) -> Option<Value> {
    if cx.ty(a).shape == ty.shape {
        return Some(a);
    }
    if let Some(number) = cx.number(a) {
        return Some(cx.constant(number, ty.clone()));
    }
    if let Op::Reshape(x) = *cx.op(a) {
        return Some(cx.reshape(x, ty.shape.clone()));
    }
    // One element, repeated.
    if let Op::Broadcast(x, dims) = cx.op(a).clone()
        && dims.is_empty()
    {
        return Some(cx.broadcast(x, vec![], ty.shape.clone()));
    }
    None
}

/// `f(repeat x, repeat y)` is `repeat f(x, y)` if one operand varies along every axis along which any of them does.
pub fn work_before_repeating(cx: &mut Rewriter, op: &Op, ty: &Type) -> Option<Value> {
    let operands = elementwise(op)?;
    let axes: Vec<Vec<usize>> = operands.iter().map(|operand| varies_along(cx, *operand)).collect::<Option<_>>()?;
    let widest = axes.iter().max_by_key(|axes| axes.len())?.clone();
    if widest.len() == ty.rank() || axes.iter().flatten().any(|axis| !widest.contains(axis)) {
        return None;
    }
    let shape: Vec<usize> = widest.iter().map(|axis| ty.shape[*axis]).collect();
    let operands: Vec<Value> = operands.iter().map(|operand| narrowed(cx, *operand, &widest, &shape)).collect();
    let narrow = cx.push(with_operands(op, &operands), Type::new(ty.dtype, shape));
    Some(cx.broadcast(narrow, widest, ty.shape.clone()))
}

/// The axes that a repeated or constant value is not repeated along.
fn varies_along(cx: &Rewriter, value: Value) -> Option<Vec<usize>> {
    if cx.number(value).is_some() {
        return Some(vec![]);
    }
    if let Op::Broadcast(_, dims) = cx.op(value) { Some(dims.clone()) } else { None }
}

/// `value`, which does not vary along other axes, with only `axes`.
fn narrowed(cx: &mut Rewriter, value: Value, axes: &[usize], shape: &[usize]) -> Value {
    if let Some(number) = cx.number(value) {
        let dtype = cx.ty(value).dtype;
        return cx.constant(number, Type::new(dtype, shape));
    }
    let Op::Broadcast(x, dims) = cx.op(value).clone() else {
        unreachable!("only repeated and constant values vary along known axes")
    };
    let position = |dim: &usize| axes.iter().position(|axis| axis == dim).expect("no axis is left out");
    let dims = dims.iter().map(position).collect();
    cx.broadcast(x, dims, shape.to_vec())
}
