//! The derivatives of ops with a window.

use super::Sweep;
use crate::scalar::{Binary, Unary};
use crate::tir::build::{Build, Builder};
use crate::tir::{DType, Type, Value};
use crate::window::{ConvRole, Pooling, Window};

/// The form ⟨y, x * w⟩ is linear in each of its three tensors, so each derivative is the same form in another role.
pub fn conv(s: &mut Sweep, role: ConvRole, window: Window, groups: usize, [a, b]: [Value; 2], ct: Value) {
    let [to_a, to_b] = match role {
        // x_ct from (ct, w); w_ct from (x, ct)
        ConvRole::Forward => [(ConvRole::ByInput, [ct, b]), (ConvRole::ByWeight, [a, ct])],
        // y_ct from (ct, w); w_ct from (ct, y)
        ConvRole::ByInput => [(ConvRole::Forward, [ct, b]), (ConvRole::ByWeight, [ct, a])],
        // x_ct from (y, ct); y_ct from (x, ct)
        ConvRole::ByWeight => [(ConvRole::ByInput, [b, ct]), (ConvRole::Forward, [a, ct])],
    };
    for (operand, (role, operands)) in [(a, to_a), (b, to_b)] {
        let shape = s.build.ty(operand).shape.clone();
        s.give(operand, |f| f.conv(role, window, groups, operands, shape));
    }
}

/// A sum gives every element that it saw its cotangent, a maximum the first of the largest.
pub fn pool(s: &mut Sweep, how: Pooling, window: Window, a: Value, ct: Value) {
    let shape = s.build.ty(a).shape.clone();
    s.give(a, |f| match how {
        Pooling::Sum => f.unpool(window, ct, shape),
        Pooling::Max => f.unpool_max(window, a, ct),
    });
}

/// What stands in `ct` where the first of the largest elements of `x` stands: the transpose of `unpool_max`. One look at
/// each element of the window, in order; the first that is as large as the largest is taken.
pub fn at_largest(f: &mut Builder, window: Window, x: Value, ct: Value) -> Value {
    let largest = f.pool(Pooling::Max, window, x);
    let Type { shape, .. } = f.ty(largest).clone();
    let zero = f.constant(0.0, Type::f32(shape.clone()));
    let mut open = f.constant(1.0, Type::new(DType::Bool, shape.clone()));
    let mut taken = zero;
    for tap in (0..window.size[0]).flat_map(|k| (0..window.size[1]).map(move |l| [k, l])) {
        let [seen, its_ct] = [(x, f64::NEG_INFINITY), (ct, 0.0)].map(|(a, outside)| {
            let padded = padded(f, window, a, outside);
            tapped(f, window, padded, tap, &shape)
        });
        let is_largest = f.binary(Binary::Eq, seen, largest);
        let is_first = f.binary(Binary::And, open, is_largest);
        taken = f.select(is_first, its_ct, taken);
        let is_smaller = f.unary(Unary::Not, is_largest);
        open = f.binary(Binary::And, open, is_smaller);
    }
    taken
}

fn padded(f: &mut Builder, window: Window, a: Value, outside: f64) -> Value {
    let around = |[rows, cols]: [usize; 2]| vec![0, rows, cols, 0];
    f.pad(outside, [around(window.pad_lo), around(window.pad_hi), vec![0; 4]], a)
}

/// What the window sees as its element `tap` from each of its positions.
fn tapped(f: &mut Builder, window: Window, padded: Value, tap: [usize; 2], shape: &[usize]) -> Value {
    let start = vec![0, tap[0] * window.dilation[0], tap[1] * window.dilation[1], 0];
    let step = vec![1, window.stride[0], window.stride[1], 1];
    f.slice(start, step, padded, shape.to_vec())
}
