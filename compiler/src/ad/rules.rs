//! The derivative of every op: the whole calculus of the compiler is this file and the two below it.
//!
//! A cotangent `ct` times a slope is written `mulz ct, slope` where the slope can be infinite or not a
//! number at some point, so that **a cotangent of zero stays zero**. Where a function has no derivative,
//! it is given one: `abs' = sign`, the first of the largest in a window gets all, and `sqrt'`, `(x^p)'` for `p < 1`, `min'`, `max'` of two equal operands are 0.

mod images;
mod rows;

use super::Sweep;
use crate::scalar::{Binary, Unary};
use crate::tir::build::{Build, Builder, complement, inverse};
use crate::tir::{DType, Einsum, Op, Reduction, Value};
use crate::window::Pooling;

/// The operands that a cotangent can flow to.
pub fn differentiable(op: &Op) -> Vec<Value> {
    match op {
        Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Uniform { .. } | Op::Quantile(_, _) => vec![],
        Op::Unary(f, a) => {
            if is_flat(*f) {
                vec![]
            } else {
                vec![*a]
            }
        }
        Op::Binary(f, a, b) => {
            if f.is_predicate() {
                vec![]
            } else {
                vec![*a, *b]
            }
        }
        Op::Select(_, a, b) => vec![*a, *b],
        Op::Convert(a) | Op::Reshape(a) | Op::Broadcast(a, _) => vec![*a],
        Op::Transpose(a, _) | Op::Reduce(_, a, _) => vec![*a],
        Op::Contract(_, a, b) | Op::Conv { a, b, .. } => vec![*a, *b],
        Op::Pool(_, _, a) | Op::Unpool(_, a) | Op::Pad { a, .. } | Op::Slice { a, .. } => vec![*a],
        Op::Concat(parts, _) => parts.clone(),
        Op::UnpoolMax { ct, .. } => vec![*ct],
        Op::Gather { table: a, .. } | Op::Scatter { values: a, .. } | Op::CumSum { a, .. } => vec![*a],
        Op::TopK(..) => vec![],
        Op::Sparse { .. } => unreachable!("{COMPRESSED}"),
        Op::WithGradient(_, b) => vec![*b],
        Op::Grad(_, _) => unreachable!("a gradient above the sweep is written out already"),
    }
}

const COMPRESSED: &str = "weights are compressed after derivatives are taken";

/// Whether the derivative is zero everywhere (or there is none: bools).
fn is_flat(f: Unary) -> bool {
    match f {
        Unary::Not | Unary::Sign | Unary::Floor | Unary::Ceil => true,
        Unary::Neg | Unary::Abs | Unary::Sqrt | Unary::Exp | Unary::Log | Unary::Erf | Unary::ErfInv => false,
        Unary::Tanh | Unary::Sigmoid | Unary::Sin | Unary::Cos => false,
    }
}

/// Gives the operands of `y` their share of `ct`, the cotangent of `y`.
pub fn vjp(s: &mut Sweep, y: Value, ct: Value) {
    match s.build.func.def(y).op.clone() {
        Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Uniform { .. } | Op::Quantile(_, _) => {}
        Op::Unary(f, a) => unary(s, f, a, y, ct),
        Op::Binary(f, a, b) => binary(s, f, [a, b], y, ct),
        // The chosen operand gets the cotangent, the other one exactly zero.
        Op::Select(cond, a, b) => {
            let zero = s.build.constant_like(0.0, ct);
            s.give(a, |f| f.select(cond, ct, zero));
            s.give(b, |f| f.select(cond, zero, ct));
        }
        Op::Convert(a) => s.give(a, |f| f.convert(ct, DType::F32)),
        // The transpose of repeating is adding up.
        Op::Broadcast(a, dims) => {
            let added = complement(&dims, s.build.ty(y).rank());
            s.give(a, |f| f.reduce(Reduction::Sum, ct, added));
        }
        Op::Transpose(a, perm) => s.give(a, |f| f.transpose(ct, inverse(&perm))),
        Op::Reshape(a) => {
            let shape = s.build.ty(a).shape.clone();
            s.give(a, |f| f.reshape(ct, shape));
        }
        // The transpose of adding up is repeating.
        Op::Reduce(Reduction::Sum, a, axes) => s.give(a, |f| spread(f, ct, a, &axes)),
        // The extreme elements share the cotangent equally, the others get exactly zero.
        Op::Reduce(Reduction::Max | Reduction::Min, a, axes) => s.give(a, |f| to_extremes(f, ct, y, a, &axes)),
        // y = sum a b, so d/da is the sum of ct b over what a has not, and so for b.
        Op::Contract(einsum, a, b) => {
            let Einsum { lhs, rhs, out } = einsum;
            let to_a = Einsum { lhs: out.clone(), rhs: rhs.clone(), out: lhs.clone() };
            s.give(a, |f| f.contract(to_a, ct, b));
            s.give(b, |f| f.contract(Einsum { lhs, rhs: out, out: rhs }, a, ct));
        }
        Op::Conv { role, window, groups, a, b } => images::conv(s, role, window, groups, [a, b], ct),
        Op::Pool(how, window, a) => images::pool(s, how, window, a, ct),
        Op::Unpool(window, a) => s.give(a, |f| f.pool(Pooling::Sum, window, ct)),
        Op::UnpoolMax { window, x, ct: a } => s.give(a, |f| images::at_largest(f, window, x, ct)),
        Op::Pad { lo, gap, a, .. } => rows::pad(s, &lo, &gap, a, ct),
        Op::Slice { start, step, a } => rows::slice(s, &start, &step, a, ct),
        Op::Concat(parts, axis) => rows::concat(s, &parts, axis, ct),
        Op::Gather { batch, table, index } => rows::gather(s, batch, table, index, ct),
        Op::Scatter { batch, values, index } => rows::scatter(s, batch, values, index, ct),
        Op::TopK(..) => unreachable!("a bool is never active"),
        Op::Sparse { .. } => unreachable!("{COMPRESSED}"),
        // An element is added to all sums behind it, so it gets what they got.
        Op::CumSum { a, axis, reverse } => s.give(a, |f| f.cumsum(ct, axis, !reverse)),
        // The derivative of the second operand is declared to be the derivative of the value.
        Op::WithGradient(_, b) => s.give(b, |_| ct),
        Op::Grad(_, _) => unreachable!("a gradient above the sweep is written out already"),
    }
}

fn unary(s: &mut Sweep, f: Unary, a: Value, y: Value, ct: Value) {
    s.give(a, |b| match f {
        // d(-a) = -da
        Unary::Neg => b.unary(Unary::Neg, ct),
        // d|a| = sign(a) da
        Unary::Abs => {
            let sign = b.unary(Unary::Sign, a);
            b.mul(ct, sign)
        }
        // d sqrt(a) = da / 2y, and 0 where y = 0
        Unary::Sqrt => {
            let slope = sqrt_slope(b, y);
            b.mul(ct, slope)
        }
        // d exp(a) = y da
        Unary::Exp => b.binary(Binary::MulZ, ct, y),
        // d log(a) = da / a
        Unary::Log => {
            let slope = reciprocal(b, a);
            b.binary(Binary::MulZ, ct, slope)
        }
        // d erf(a) = 2/sqrt(pi) exp(-a^2) da
        Unary::Erf => {
            let square = b.mul(a, a);
            let exponent = b.unary(Unary::Neg, square);
            let bell = b.unary(Unary::Exp, exponent);
            let slope = scaled(b, std::f64::consts::FRAC_2_SQRT_PI, bell);
            b.mul(ct, slope)
        }
        // d erfinv(a) = sqrt(pi)/2 exp(y^2) da
        Unary::ErfInv => {
            let square = b.mul(y, y);
            let bell = b.unary(Unary::Exp, square);
            let slope = scaled(b, 1.0 / std::f64::consts::FRAC_2_SQRT_PI, bell);
            b.binary(Binary::MulZ, ct, slope)
        }
        // d tanh(a) = (1 - y^2) da
        Unary::Tanh => {
            let square = b.mul(y, y);
            let slope = one_minus(b, square);
            b.mul(ct, slope)
        }
        // d sigmoid(a) = y (1 - y) da
        Unary::Sigmoid => {
            let rest = one_minus(b, y);
            let slope = b.mul(y, rest);
            b.mul(ct, slope)
        }
        // d sin(a) = cos(a) da
        Unary::Sin => {
            let slope = b.unary(Unary::Cos, a);
            b.mul(ct, slope)
        }
        // d cos(a) = -sin(a) da
        Unary::Cos => {
            let sin = b.unary(Unary::Sin, a);
            let slope = b.unary(Unary::Neg, sin);
            b.mul(ct, slope)
        }
        Unary::Not | Unary::Sign | Unary::Floor | Unary::Ceil => unreachable!("{f} is flat: it is never active"),
    });
}

fn binary(s: &mut Sweep, f: Binary, [a, b]: [Value; 2], y: Value, ct: Value) {
    match f {
        // d(a + b) = da + db
        Binary::Add => {
            s.give(a, |_| ct);
            s.give(b, |_| ct);
        }
        // d(a - b) = da - db
        Binary::Sub => {
            s.give(a, |_| ct);
            s.give(b, |f| f.unary(Unary::Neg, ct));
        }
        // d(a a) = 2 a da
        Binary::Mul if a == b => s.give(a, |f| {
            let slope = scaled(f, 2.0, a);
            f.binary(Binary::MulZ, ct, slope)
        }),
        // d(a b) = b da + a db; for `mulz` too, which is zero, with slope zero for b, where a = 0.
        Binary::Mul | Binary::MulZ => {
            s.give(a, |f| f.binary(Binary::MulZ, ct, b));
            s.give(b, |f| f.binary(Binary::MulZ, ct, a));
        }
        Binary::Div => div(s, [a, b], y, ct),
        Binary::Pow => pow(s, [a, b], y, ct),
        Binary::Min => extreme(s, Binary::Lt, [a, b], ct),
        Binary::Max => extreme(s, Binary::Gt, [a, b], ct),
        Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => unreachable!("a bool is never active"),
        Binary::Eq | Binary::Ne | Binary::And | Binary::Or => unreachable!("a bool is never active"),
    }
}

/// d(a / b) = (da - y db) / b
fn div(s: &mut Sweep, [a, b]: [Value; 2], y: Value, ct: Value) {
    let slope = reciprocal(&mut s.build, b);
    let share = s.build.binary(Binary::MulZ, ct, slope);
    s.give(a, |_| share);
    s.give(b, |f| {
        let product = f.binary(Binary::MulZ, share, y);
        f.unary(Unary::Neg, product)
    });
}

/// d(a ^ b) = b a^(b-1) da + y log(a) db. The slope by `a` is 0 where a = 0 and b < 1, the slope by `b` is 0 where a <= 0.
fn pow(s: &mut Sweep, [a, b]: [Value; 2], y: Value, ct: Value) {
    s.give(a, |f| {
        let one = f.constant_like(1.0, a);
        let zero = f.constant_like(0.0, a);
        let exponent = f.binary(Binary::Sub, b, one);
        let power = f.binary(Binary::Pow, a, exponent);
        let slope = f.mul(b, power);
        let [at_zero, is_root] = [f.binary(Binary::Eq, a, zero), f.binary(Binary::Lt, b, one)];
        let kink = f.binary(Binary::And, at_zero, is_root);
        let slope = f.select(kink, zero, slope);
        f.binary(Binary::MulZ, ct, slope)
    });
    s.give(b, |f| {
        let zero = f.constant_like(0.0, a);
        let log = f.unary(Unary::Log, a);
        let product = f.mul(y, log);
        let positive = f.binary(Binary::Gt, a, zero);
        let slope = f.select(positive, product, zero);
        f.binary(Binary::MulZ, ct, slope)
    });
}

/// The operand that is strictly `beyond` the other one gets the cotangent; at a tie neither does.
fn extreme(s: &mut Sweep, beyond: Binary, [a, b]: [Value; 2], ct: Value) {
    for [this, other] in [[a, b], [b, a]] {
        s.give(this, |f| {
            let wins = f.binary(beyond, this, other);
            let zero = f.constant_like(0.0, ct);
            f.select(wins, ct, zero)
        });
    }
}

/// Repeats `ct` along `axes` to the shape of `like`.
fn spread(f: &mut Builder, ct: Value, like: Value, axes: &[usize]) -> Value {
    let shape = f.ty(like).shape.clone();
    f.broadcast(ct, complement(axes, shape.len()), shape)
}

fn to_extremes(f: &mut Builder, ct: Value, y: Value, a: Value, axes: &[usize]) -> Value {
    let extreme = spread(f, y, a, axes);
    let is_extreme = f.binary(Binary::Eq, a, extreme);
    let ones = f.convert(is_extreme, DType::F32);
    let count = f.reduce(Reduction::Sum, ones, axes.to_vec());
    let share = f.binary(Binary::Div, ct, count);
    let share = spread(f, share, a, axes);
    let zero = f.constant_like(0.0, a);
    f.select(is_extreme, share, zero)
}

fn sqrt_slope(f: &mut Builder, y: Value) -> Value {
    let half = f.constant_like(0.5, y);
    let zero = f.constant_like(0.0, y);
    let quotient = f.binary(Binary::Div, half, y);
    let positive = f.binary(Binary::Gt, y, zero);
    f.select(positive, quotient, zero)
}

fn reciprocal(f: &mut Builder, a: Value) -> Value {
    let one = f.constant_like(1.0, a);
    f.binary(Binary::Div, one, a)
}

fn one_minus(f: &mut Builder, a: Value) -> Value {
    let one = f.constant_like(1.0, a);
    f.binary(Binary::Sub, one, a)
}

fn scaled(f: &mut Builder, factor: f64, a: Value) -> Value {
    let factor = f.constant_like(factor, a);
    f.mul(factor, a)
}
