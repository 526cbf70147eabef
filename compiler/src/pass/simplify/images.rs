//! Laws about convolutions and poolings.

use crate::pass::rewrite::Rewriter;
use crate::tir::build::{Build, left_out};
use crate::tir::{Einsum, Op, Type, Value};
use crate::window::{ConvRole, Window};

/// A convolution with a window of one element that moves by one is a product of channels.
pub fn conv(cx: &mut Rewriter, op: &Op, ty: &Type) -> Option<Value> {
    let Op::Conv { role, window, groups: 1, a, b } = *op else { return None };
    window.is_point().then(|| match role {
        // y[b, i, j, o] = sum x[b, i, j, c] w[c, o]
        ConvRole::Forward => {
            let w = channels(cx, b);
            cx.contract(einsum(b"bijc", b"co", b"bijo"), a, w)
        }
        ConvRole::ByInput => {
            let w = channels(cx, b);
            cx.contract(einsum(b"bijo", b"co", b"bijc"), a, w)
        }
        ConvRole::ByWeight => {
            let w = cx.contract(einsum(b"bijc", b"bijo", b"co"), a, b);
            cx.reshape(w, ty.shape.clone())
        }
    })
}

/// A window of one element without padding sees some pixels and leaves out the others.
pub fn pool(cx: &mut Rewriter, window: Window, a: Value, ty: &Type) -> Option<Value> {
    sees_one(window).then(|| cx.slice(vec![0; 4], steps(window), a, ty.shape.clone()))
}

/// The transpose of such a pooling puts zeros between the pixels and behind them.
pub fn unpool(cx: &mut Rewriter, window: Window, a: Value, ty: &Type) -> Option<Value> {
    sees_one(window).then(|| {
        let around = left_out(&[0; 4], &steps(window), &cx.ty(a).shape.clone(), &ty.shape);
        cx.pad(0.0, around, a)
    })
}

fn sees_one(window: Window) -> bool {
    window.size == [1, 1] && window.pad_lo == [0, 0] && window.pad_hi == [0, 0]
}

fn steps(window: Window) -> Vec<usize> {
    vec![1, window.stride[0], window.stride[1], 1]
}

/// Weights `f32[1, 1, C, O]` as `f32[C, O]`.
fn channels(cx: &mut Rewriter, w: Value) -> Value {
    let shape = cx.ty(w).shape[2..].to_vec();
    cx.reshape(w, shape)
}

fn einsum(lhs: &[u8], rhs: &[u8], out: &[u8]) -> Einsum {
    Einsum { lhs: lhs.to_vec(), rhs: rhs.to_vec(), out: out.to_vec() }.canonical()
}
