//! Laws about single elements.

use super::{positions, stacks};
use crate::pass::rewrite::Rewriter;
use crate::scalar::{Binary, Unary};
use crate::tir::build::Build;
use crate::tir::{DType, Op, Type, Value};

/// So many products are cheaper than as many quotients, even with one quotient on top.
const MANY: usize = 4;

pub fn unary(cx: &mut Rewriter, f: Unary, a: Value) -> Option<Value> {
    match (f, cx.op(a).clone()) {
        // --x = x, !!x = x
        (Unary::Neg, Op::Unary(Unary::Neg, x)) | (Unary::Not, Op::Unary(Unary::Not, x)) => Some(x),
        // -(x - y) = y - x
        (Unary::Neg, Op::Binary(Binary::Sub, x, y)) => Some(cx.binary(Binary::Sub, y, x)),
        // -(x c) = x (-c)
        (Unary::Neg, Op::Binary(Binary::Mul, x, c)) if cx.number(c).is_some() => {
            let minus_c = cx.unary_number(Unary::Neg, c);
            Some(cx.mul(x, minus_c))
        }
        (Unary::Not, Op::Binary(Binary::Eq, x, y)) => Some(cx.binary(Binary::Ne, x, y)),
        (Unary::Not, Op::Binary(Binary::Ne, x, y)) => Some(cx.binary(Binary::Eq, x, y)),
        // |-x| = |x|
        (Unary::Abs, Op::Unary(Unary::Neg, x)) => Some(cx.unary(Unary::Abs, x)),
        (Unary::Abs, _) if cx.range(a).lo >= 0.0 => Some(a),
        (_, _) => None,
    }
}

pub fn binary(cx: &mut Rewriter, f: Binary, a: Value, b: Value) -> Option<Value> {
    match f {
        Binary::Add => add(cx, a, b),
        Binary::Sub => sub(cx, a, b),
        Binary::Mul => mul(cx, a, b),
        Binary::MulZ => mulz(cx, a, b),
        Binary::Div => div(cx, a, b),
        Binary::Pow => pow(cx, a, b),
        Binary::And => logical(cx, [a, b], 1.0),
        Binary::Or => logical(cx, [a, b], 0.0),
        Binary::Ne => ne(cx, a, b),
        Binary::Min | Binary::Max => (a == b).then_some(a),
        Binary::Gt | Binary::Ge => compare(cx, a, b, f),
        Binary::Lt => compare(cx, b, a, Binary::Gt),
        Binary::Le => compare(cx, b, a, Binary::Ge),
        Binary::Eq => None,
    }
}

/// `a > b` and `a >= b` where bounds decide. What is not a number compares with nothing, so the operands must be tame.
fn compare(cx: &mut Rewriter, a: Value, b: Value, f: Binary) -> Option<Value> {
    let [ra, rb] = [cx.range(a), cx.range(b)];
    let [least, most] = [f.apply(ra.lo, rb.hi), f.apply(ra.hi, rb.lo)];
    let decided = ra.tame && rb.tame && least == most;
    decided.then(|| {
        let ty = cx.ty(a).with_dtype(DType::Bool);
        cx.constant(least, ty)
    })
}

fn add(cx: &mut Rewriter, a: Value, b: Value) -> Option<Value> {
    if cx.is(a, 0.0) {
        return Some(b);
    }
    if cx.is(b, 0.0) {
        return Some(a);
    }
    if a == b {
        let two = cx.constant_like(2.0, a);
        return Some(cx.mul(a, two));
    }
    // x + -y = x - y
    if let Some(y) = cx.negated(b) {
        return Some(cx.binary(Binary::Sub, a, y));
    }
    if let Some(x) = cx.negated(a) {
        return Some(cx.binary(Binary::Sub, b, x));
    }
    positions::sum_of_padded(cx, a, b).or_else(|| stacks::sum(cx, a, b))
}

fn sub(cx: &mut Rewriter, a: Value, b: Value) -> Option<Value> {
    if cx.is(b, 0.0) {
        return Some(a);
    }
    if cx.is(a, 0.0) {
        return Some(cx.unary(Unary::Neg, b));
    }
    // x - -y = x + y
    let y = cx.negated(b)?;
    Some(cx.add(a, y))
}

fn mul(cx: &mut Rewriter, a: Value, b: Value) -> Option<Value> {
    // Numbers stand behind.
    if cx.number(a).is_some() && cx.number(b).is_none() {
        return Some(cx.mul(b, a));
    }
    if let Some(number) = cx.number(b) {
        return mul_number(cx, a, b, number);
    }
    factors_out(cx, Binary::Mul, a, b).or_else(|| repeated_factors(cx, a, b)).or_else(|| repeated_factors(cx, b, a))
}

/// (x c) d = x (c d), where c and d are repeated along the same axes: their product is a small one.
fn repeated_factors(cx: &mut Rewriter, a: Value, b: Value) -> Option<Value> {
    let Op::Broadcast(d, dims) = cx.op(b).clone() else { return None };
    let Op::Binary(Binary::Mul, x, y) = *cx.op(a) else { return None };
    let repeated = |value: Value| {
        if let Op::Broadcast(c, others) = cx.op(value) { (*others == dims).then_some(*c) } else { None }
    };
    let (x, c) = repeated(y).map(|c| (x, c)).or_else(|| repeated(x).map(|c| (y, c)))?;
    let product = cx.mul(c, d);
    let shape = cx.ty(a).shape.clone();
    let product = cx.broadcast(product, dims, shape);
    Some(cx.mul(x, product))
}

/// Signs and numbers stand behind products, where they meet others and the additions below.
fn factors_out(cx: &mut Rewriter, f: Binary, a: Value, b: Value) -> Option<Value> {
    // (-x) y = -(x y), and so for y
    if let Some(x) = cx.negated(a) {
        return Some(cx.minus(f, x, b));
    }
    if let Some(y) = cx.negated(b) {
        return Some(cx.minus(f, a, y));
    }
    // (x c) y = (x y) c, and so for y
    let ([x, y], number) = match (cx.times_number(a), cx.times_number(b)) {
        (Some((x, number)), _) => ([x, b], number),
        (None, Some((y, number))) => ([a, y], number),
        (None, None) => return None,
    };
    let product = cx.binary(f, x, y);
    let number = cx.constant_like(number, product);
    Some(cx.mul(product, number))
}

fn mul_number(cx: &mut Rewriter, a: Value, b: Value, number: f64) -> Option<Value> {
    if number == 0.0 && cx.range(a).tame {
        return Some(b);
    }
    if number == 1.0 {
        return Some(a);
    }
    if number == -1.0 {
        return Some(cx.unary(Unary::Neg, a));
    }
    let absorbed = cx.absorbs(a).then(|| absorb(cx, a, number));
    absorbed.or_else(|| absorb_in_repeated(cx, a, number))
}

/// `value * number`, for a value that [`Rewriter::absorbs`] it.
fn absorb(cx: &mut Rewriter, value: Value, number: f64) -> Value {
    match *cx.op(value) {
        // (-x) c = x (-c)
        Op::Unary(Unary::Neg, x) => {
            let minus = cx.constant_like(-number, x);
            cx.mul(x, minus)
        }
        // (c / y) d = (c d) / y
        Op::Binary(Binary::Div, c, y) => {
            let product = absorb(cx, c, number);
            cx.binary(Binary::Div, product, y)
        }
        // (x c) d = x (c d)
        Op::Binary(f, x, c) => {
            let product = absorb(cx, c, number);
            cx.binary(f, x, product)
        }
        Op::Select(cond, a, b) => {
            let [a, b] = [a, b].map(|value| absorb(cx, value, number));
            cx.select(cond, a, b)
        }
        Op::Const(constant) => cx.constant_like(constant * number, value),
        Op::Unary(..) | Op::Convert(_) | Op::Broadcast(..) | Op::Transpose(..) | Op::Param(_) | Op::Iota(_) => {
            unreachable!("{value} absorbs nothing")
        }
        Op::Reshape(_) | Op::Reduce(..) | Op::Contract(..) | Op::Uniform { .. } | Op::Quantile(..) => {
            unreachable!("{value} absorbs nothing")
        }
        Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => {
            unreachable!("{value} absorbs nothing")
        }
        Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) => unreachable!("{value} absorbs nothing"),
        Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } => {
            unreachable!("{value} absorbs nothing")
        }
        Op::Sparse { .. } | Op::WithGradient(..) | Op::Grad(..) => unreachable!("{value} absorbs nothing"),
    }
}

/// (x repeat y) c = x repeat (y c): there are fewer products to make.
fn absorb_in_repeated(cx: &mut Rewriter, value: Value, number: f64) -> Option<Value> {
    let Op::Binary(f @ (Binary::Mul | Binary::MulZ), x, y) = *cx.op(value) else { return None };
    let repeated = [x, y].into_iter().find(|value| matches!(cx.op(*value), Op::Broadcast(..)))?;
    if !cx.used_once(value) {
        return None;
    }
    let number = cx.constant_like(number, repeated);
    let scaled = cx.mul(repeated, number);
    Some(if repeated == x { cx.binary(f, scaled, y) } else { cx.binary(f, x, scaled) })
}

/// The first operand is a cotangent, the second a slope.
fn mulz(cx: &mut Rewriter, ct: Value, slope: Value) -> Option<Value> {
    if cx.is(ct, 0.0) {
        return Some(ct);
    }
    // 0 times a number that is no number is 0 by definition, so a slope of 0 does the rest.
    if cx.is(slope, 0.0) && cx.range(ct).tame {
        return Some(slope);
    }
    let never_zero = cx.number(ct).is_some_and(|ct| ct != 0.0) || cx.range(ct).is_positive();
    if never_zero || cx.range(slope).tame {
        return Some(cx.mul(ct, slope));
    }
    factors_out(cx, Binary::MulZ, ct, slope)
}

fn div(cx: &mut Rewriter, a: Value, b: Value) -> Option<Value> {
    // x / c = x (1/c), if 1/c is a number in single precision, too
    if let Some(number) = cx.number(b)
        && (1e-37..1e37).contains(&number.abs())
    {
        let reciprocal = cx.constant_like(number.recip(), b);
        return Some(cx.mul(a, reciprocal));
    }
    // x / repeat y = x repeat (1/y): there are fewer quotients to make.
    if let Op::Broadcast(y, _) = *cx.op(b)
        && cx.number(a).is_none()
        && cx.ty(b).len() >= MANY * cx.ty(y).len()
    {
        let one = cx.constant_like(1.0, b);
        let reciprocal = cx.binary(Binary::Div, one, b);
        return Some(cx.mul(a, reciprocal));
    }
    if let Some(x) = cx.negated(a) {
        return Some(cx.minus(Binary::Div, x, b));
    }
    // (x c) / y = (x / y) c
    let (x, number) = cx.times_number(a)?;
    let quotient = cx.binary(Binary::Div, x, b);
    let number = cx.constant_like(number, quotient);
    Some(cx.mul(quotient, number))
}

fn pow(cx: &mut Rewriter, a: Value, b: Value) -> Option<Value> {
    let exponent = cx.number(b)?;
    // x^-n = 1 / x^n
    if [-0.5, -1.0, -2.0].contains(&exponent) {
        let positive = cx.constant_like(-exponent, b);
        let power = cx.binary(Binary::Pow, a, positive);
        let one = cx.constant_like(1.0, a);
        return Some(cx.binary(Binary::Div, one, power));
    }
    if exponent == 0.5 {
        return Some(cx.unary(Unary::Sqrt, a));
    }
    if exponent == 1.5 {
        let root = cx.unary(Unary::Sqrt, a);
        return Some(cx.mul(a, root));
    }
    if exponent == 0.0 {
        return Some(cx.constant_like(1.0, a));
    }
    let is_small = exponent.fract() == 0.0 && (1.0..=4.0).contains(&exponent);
    is_small.then(|| power(cx, a, exponent as u32))
}

/// `x^n` by squaring.
fn power(cx: &mut Rewriter, x: Value, n: u32) -> Value {
    if n == 1 {
        return x;
    }
    let half = power(cx, x, n / 2);
    let even = cx.mul(half, half);
    if n.is_multiple_of(2) { even } else { cx.mul(even, x) }
}

/// `neutral` leaves the other operand, its opposite decides.
fn logical(cx: &mut Rewriter, [a, b]: [Value; 2], neutral: f64) -> Option<Value> {
    if a == b || cx.is(b, neutral) {
        return Some(a);
    }
    if cx.is(a, neutral) {
        return Some(b);
    }
    [a, b].into_iter().find(|value| cx.is(*value, 1.0 - neutral))
}

fn ne(cx: &mut Rewriter, a: Value, b: Value) -> Option<Value> {
    // convert(c) != 0 is c
    if let Op::Convert(cond) = *cx.op(a)
        && cx.ty(cond).dtype == DType::Bool
        && cx.is(b, 0.0)
    {
        return Some(cond);
    }
    None
}

pub fn select(cx: &mut Rewriter, [cond, a, b]: [Value; 3], ty: &Type) -> Option<Value> {
    if a == b {
        return Some(a);
    }
    if let Some(cond) = cx.number(cond) {
        return Some(if cond != 0.0 { a } else { b });
    }
    if let Op::Unary(Unary::Not, cond) = *cx.op(cond) {
        return Some(cx.select(cond, b, a));
    }
    // where(c, where(c, x, y), z) = where(c, x, z), and so for the other side
    if let Op::Select(inner, x, _) = *cx.op(a)
        && inner == cond
    {
        return Some(cx.select(cond, x, b));
    }
    if let Op::Select(inner, _, y) = *cx.op(b)
        && inner == cond
    {
        return Some(cx.select(cond, a, y));
    }
    // where(c, -x, 0) = -where(c, x, 0)
    if cx.is(b, 0.0)
        && let Some(x) = cx.negated(a)
    {
        let chosen = cx.select(cond, x, b);
        return Some(cx.unary(Unary::Neg, chosen));
    }
    let is_truth = cx.is(a, 1.0) && cx.is(b, 0.0);
    is_truth.then(|| if ty.dtype == DType::Bool { cond } else { cx.convert(cond, ty.dtype) })
}

pub fn convert(cx: &mut Rewriter, a: Value, ty: &Type) -> Option<Value> {
    if cx.ty(a).dtype == ty.dtype {
        return Some(a);
    }
    // A bool keeps its value through numbers of either type.
    if let Op::Convert(inner) = *cx.op(a)
        && cx.ty(inner).dtype == DType::Bool
    {
        return Some(cx.convert(inner, ty.dtype));
    }
    None
}

impl Rewriter {
    /// `x`, if `value` is `-x`.
    fn negated(&self, value: Value) -> Option<Value> {
        if let Op::Unary(Unary::Neg, x) = *self.op(value) { Some(x) } else { None }
    }

    /// `x` and a number, if `value` is their product.
    fn times_number(&self, value: Value) -> Option<(Value, f64)> {
        let Op::Binary(Binary::Mul, x, number) = *self.op(value) else { return None };
        self.number(number).map(|number| (x, number))
    }

    /// Whether a factor can be multiplied into `value` for nothing.
    fn absorbs(&self, value: Value) -> bool {
        match *self.op(value) {
            Op::Const(_) | Op::Unary(Unary::Neg, _) => true,
            Op::Binary(Binary::Mul, _, c) | Op::Binary(Binary::Div, c, _) if self.number(c).is_some() => true,
            Op::Binary(Binary::Mul | Binary::MulZ, _, y) => self.used_once(value) && self.absorbs(y),
            Op::Select(_, a, b) => self.used_once(value) && self.absorbs(a) && self.absorbs(b),
            Op::Unary(..) | Op::Binary(..) | Op::Convert(_) | Op::Broadcast(..) | Op::Transpose(..) => false,
            Op::Param(_) | Op::Iota(_) | Op::Reshape(_) | Op::Reduce(..) | Op::Contract(..) => false,
            Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => false,
            Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) => false,
            Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } | Op::Sparse { .. } => false,
            Op::Uniform { .. } | Op::Quantile(..) | Op::WithGradient(..) | Op::Grad(..) => false,
        }
    }

    /// `-(a f b)`
    fn minus(&mut self, f: Binary, a: Value, b: Value) -> Value {
        let result = self.binary(f, a, b);
        self.unary(Unary::Neg, result)
    }

    /// `f` of a constant.
    fn unary_number(&mut self, f: Unary, constant: Value) -> Value {
        let number = self.number(constant).expect("the caller has seen that it is one");
        self.constant_like(f.apply(number), constant)
    }
}
