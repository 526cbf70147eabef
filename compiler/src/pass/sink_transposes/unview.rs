//! What a view is of: the other operands of an op that is moved before a view have to be seen without it.

use super::{View, split, view_of};
use crate::pass::rewrite::{Rewriter, elementwise, with_operands};
use crate::tir::build::{Build, inverse};
use crate::tir::{Op, Type, Value};

/// Whether `value` is known behind `view` without any work.
pub fn can_unview(cx: &Rewriter, value: Value, view: &View) -> bool {
    is_known(cx, value, view, DEEPEST)
}

/// How many elementwise definitions one above the other are looked through.
const DEEPEST: usize = 4;

fn is_known(cx: &Rewriter, value: Value, view: &View, depth: usize) -> bool {
    if cx.number(value).is_some() || view_of(cx, value).as_ref() == Some(view) {
        return true;
    }
    match (view, cx.op(value)) {
        (View::Transpose(_), Op::Contract(..)) => depth == DEEPEST && cx.used_once(value),
        (View::Transpose(_), Op::Broadcast(x, _)) => cx.ty(*x).len() < cx.ty(value).len(),
        (View::Transpose(_), Op::Iota(_) | Op::Uniform { .. }) => true,
        (View::Transpose(_), op) => {
            let known = |operands: Vec<Value>| operands.iter().all(|operand| is_known(cx, *operand, view, depth - 1));
            depth > 0 && elementwise(op).is_some_and(known)
        }
        (View::Reshape(shape), Op::Broadcast(_, dims)) => split(dims, &cx.ty(value).shape, shape).is_some(),
        // One number has no order; toward fewer axes, so that this ends.
        (View::Reshape(shape), _) => cx.ty(value).len() == 1 && shape.len() < cx.ty(value).rank(),
    }
}

/// `value` behind `view`: what gives `value` when it is viewed.
pub fn unview(cx: &mut Rewriter, value: Value, view: &View) -> Value {
    match (view, cx.op(value).clone()) {
        (View::Transpose(perm), Op::Const(number)) => {
            let ty = behind(cx.ty(value), perm);
            cx.constant(number, ty)
        }
        (View::Reshape(shape), Op::Const(number)) => {
            let ty = Type::new(cx.ty(value).dtype, shape.clone());
            cx.constant(number, ty)
        }
        (View::Transpose(_), Op::Transpose(x, _)) => x,
        (View::Transpose(perm), Op::Contract(..)) => cx.transpose(value, inverse(perm)),
        (View::Transpose(perm), Op::Broadcast(x, dims)) => {
            let shape = behind(cx.ty(value), perm).shape;
            let places: Vec<usize> = dims.iter().map(|dim| perm[*dim]).collect();
            let mut order: Vec<usize> = (0..dims.len()).collect();
            order.sort_by_key(|axis| places[*axis]);
            let x = if order.is_sorted() { x } else { cx.transpose(x, order.clone()) };
            cx.broadcast(x, order.iter().map(|axis| places[*axis]).collect(), shape)
        }
        (View::Transpose(perm), Op::Iota(axis)) => {
            let ty = behind(cx.ty(value), perm);
            cx.push(Op::Iota(perm[axis]), ty)
        }
        // Draws have the order of the program.
        (View::Transpose(perm), Op::Uniform { .. }) => cx.transpose(value, inverse(perm)),
        (View::Transpose(perm), op) if elementwise(&op).is_some() => {
            let ty = behind(cx.ty(value), perm);
            let operands = elementwise(&op).expect("just asked");
            let operands: Vec<Value> = operands.iter().map(|operand| unview(cx, *operand, view)).collect();
            cx.push(with_operands(&op, &operands), ty)
        }
        (View::Reshape(shape), Op::Broadcast(x, dims)) => {
            let kept = split(&dims, &cx.ty(value).shape, shape).expect("the caller has asked");
            let inner = kept.iter().map(|axis| shape[*axis]).collect::<Vec<_>>();
            let x = if cx.ty(x).shape == inner { x } else { cx.reshape(x, inner) };
            if kept.len() == shape.len() { x } else { cx.broadcast(x, kept, shape.clone()) }
        }
        (View::Reshape(shape), _) => cx.reshape(value, shape.clone()),
        (View::Transpose(_), op) => unreachable!("{op} is not known behind a transpose"),
    }
}

/// The type of what a transpose by `perm` makes this type of.
fn behind(ty: &Type, perm: &[usize]) -> Type {
    Type::new(ty.dtype, inverse(perm).iter().map(|axis| ty.shape[*axis]).collect::<Vec<_>>())
}
