//! Laws about convolutions.

use crate::pass::rewrite::Rewriter;
use crate::tir::build::Build;
use crate::tir::{Einsum, Op, Type, Value};
use crate::window::ConvRole;

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

/// Weights `f32[1, 1, C, O]` as `f32[C, O]`.
fn channels(cx: &mut Rewriter, w: Value) -> Value {
    let shape = cx.ty(w).shape[2..].to_vec();
    cx.reshape(w, shape)
}

fn einsum(lhs: &[u8], rhs: &[u8], out: &[u8]) -> Einsum {
    Einsum { lhs: lhs.to_vec(), rhs: rhs.to_vec(), out: out.to_vec() }.canonical()
}
