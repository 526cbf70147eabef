//! `fold`: constant folding, in `f64`. A result that is not finite is not folded, so that it appears where the
//! program makes it.

use super::rewrite::{Rewriter, rewrite};
use crate::tir::build::Build;
use crate::tir::{DType, Func, Op, Reduction, Type, Value};
use crate::window::Pooling;

/// Runs the pass.
pub fn run(func: &mut Func) {
    rewrite(func, rule);
}

fn rule(cx: &mut Rewriter, op: &Op, ty: &Type) -> Option<Value> {
    let number = fold(cx, op, ty)?;
    let fits = ty.dtype != DType::I32 || (number.fract() == 0.0 && number.abs() < f64::from(i32::MAX));
    (number.is_finite() && fits).then(|| cx.constant(number, ty.clone()))
}

/// The number that every element of `op` is.
fn fold(cx: &Rewriter, op: &Op, ty: &Type) -> Option<f64> {
    match op {
        Op::Unary(f, a) => Some(f.apply(cx.number(*a)?)),
        Op::Binary(f, a, b) => Some(f.apply(cx.number(*a)?, cx.number(*b)?)),
        Op::Select(c, a, b) => cx.number(if cx.number(*c)? != 0.0 { *a } else { *b }),
        Op::Convert(a) => Some(convert(cx.number(*a)?, ty.dtype)),
        Op::Broadcast(a, _) | Op::Transpose(a, _) | Op::Reshape(a) => cx.number(*a),
        Op::Reduce(Reduction::Sum, a, _) => {
            let combined = cx.ty(*a).len() / ty.len().max(1);
            Some(cx.number(*a)? * combined as f64)
        }
        Op::Reduce(Reduction::Max | Reduction::Min, a, _) => cx.number(*a).filter(|_| !cx.ty(*a).is_empty()),
        Op::Slice { a, .. } => cx.number(*a),
        Op::Pad { value, a, .. } => cx.number(*a).filter(|number| number == value),
        Op::Concat(parts, _) => {
            let number = cx.number(parts[0])?;
            parts.iter().all(|part| cx.is(*part, number)).then_some(number)
        }
        // Sums of zeros, and rows of a table of zeros.
        Op::Pool(Pooling::Sum, _, a) | Op::Unpool(_, a) | Op::UnpoolMax { ct: a, .. } => zero(cx, *a),
        Op::Gather { table: a, .. } | Op::Scatter { values: a, .. } | Op::CumSum { a, .. } => zero(cx, *a),
        Op::Conv { .. } | Op::Pool(Pooling::Max, ..) | Op::TopK(..) => None,
        Op::Contract(..)
        | Op::Sparse { .. }
        | Op::Quantile(..)
        | Op::Uniform { .. }
        | Op::WithGradient(..)
        | Op::Grad(..) => None,
        Op::Param(_) | Op::Const(_) | Op::Iota(_) => None,
    }
}

/// 0, if every element is.
fn zero(cx: &Rewriter, a: Value) -> Option<f64> {
    cx.number(a).filter(|number| *number == 0.0)
}

fn convert(number: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => number,
        DType::I32 => number.trunc(),
        DType::Bool => f64::from(u8::from(number != 0.0)),
    }
}
