//! Slices, padding, concatenations and running sums of transposes are transposes of them.

use super::{View, unview_all};
use crate::pass::rewrite::Rewriter;
use crate::tir::build::{Build, inverse};
use crate::tir::{Op, Type, Value};

/// What stands for each axis of a transpose, for the axes of what is transposed.
fn behind<T: Clone>(items: &[T], perm: &[usize]) -> Vec<T> {
    inverse(perm).iter().map(|axis| items[*axis].clone()).collect()
}

/// A value under a transpose.
fn transposed(cx: &Rewriter, a: Value) -> Option<(Value, Vec<usize>)> {
    if let Op::Transpose(x, perm) = cx.op(a) { Some((*x, perm.clone())) } else { None }
}

pub fn slice(cx: &mut Rewriter, start: &[usize], step: &[usize], a: Value, ty: &Type) -> Option<Value> {
    let (x, perm) = transposed(cx, a)?;
    let op = Op::Slice { start: behind(start, &perm), step: behind(step, &perm), a: x };
    let value = cx.push(op, Type::new(ty.dtype, behind(&ty.shape, &perm)));
    Some(cx.transpose(value, perm))
}

pub fn pad(cx: &mut Rewriter, op: &Op, a: Value, ty: &Type) -> Option<Value> {
    let Op::Pad { value, lo, hi, gap, .. } = op else { return None };
    let (x, perm) = transposed(cx, a)?;
    let [lo, hi, gap] = [lo, hi, gap].map(|sizes| behind(sizes, &perm));
    let value = cx.push(Op::Pad { value: *value, lo, hi, gap, a: x }, Type::new(ty.dtype, behind(&ty.shape, &perm)));
    Some(cx.transpose(value, perm))
}

/// All operands must be known behind the transpose of one of them.
pub fn concat(cx: &mut Rewriter, operands: &[Value], axis: usize, ty: &Type) -> Option<Value> {
    let perm = operands.iter().find_map(|operand| Some(transposed(cx, *operand)?.1))?;
    let view = View::Transpose(perm.clone());
    let operands = unview_all(cx, operands, &view)?;
    let value = cx.push(Op::Concat(operands, perm[axis]), Type::new(ty.dtype, behind(&ty.shape, &perm)));
    Some(cx.transpose(value, perm))
}

pub fn cumsum(cx: &mut Rewriter, a: Value, axis: usize, reverse: bool) -> Option<Value> {
    let (x, perm) = transposed(cx, a)?;
    let ty = cx.ty(x).clone();
    let value = cx.push(Op::CumSum { a: x, axis: perm[axis], reverse }, ty);
    Some(cx.transpose(value, perm))
}
