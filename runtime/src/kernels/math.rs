//! Elementary functions of one `f32`, without branches, so that they can be built for vectors.
//!
//! `FUSED` says whether the target has a fused multiply-add. Polynomials are minimax fits (Remez exchange, relative
//! error below 1e-8); the argument of a denormal number may count as zero.

/// `a * b + c`, rounded once where the target can.
#[inline(always)]
pub(super) fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// The polynomial with these coefficients, the constant one first.
#[inline(always)]
fn poly<const FUSED: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[N - 1];
    for i in (0..N - 1).rev() {
        sum = fma::<FUSED>(sum, x, coefficients[i]);
    }
    sum
}

/// Adding and subtracting it rounds to the nearest integer, which stands in the low bits of the sum.
const ROUNDER: f32 = 12_582_912.0; // 1.5 * 2^23

/// log(2) in two parts; the first has nine bits, so that its product with an exponent is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `e^x`.
#[inline(always)]
pub(super) fn exp<const FUSED: bool>(x: f32) -> f32 {
    // Beyond these the result is 0 or infinite; a comparison with NaN lets it pass.
    let x = if x < -104.0 { -104.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    // e^x = 2^n * e^r, |r| <= log(2) / 2
    let rounded = fma::<FUSED>(x, std::f32::consts::LOG2_E, ROUNDER);
    let n = rounded - ROUNDER;
    let r = fma::<FUSED>(n, -LN_2_LOW, fma::<FUSED>(n, -LN_2_HIGH, x));
    // e^r = 1 + (r + r^2 q(r))
    let q = poly::<FUSED, 5>(r, [0.499_999_93, 0.166_665_15, 0.041_668_45, 0.008_369_411, 0.001_381_341_2]);
    let y = 1.0 + fma::<FUSED>(r * r, q, r);
    // In two steps, because 2^128 is no number though the product may be one.
    let n = (rounded.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    y * power_of_two(n >> 1) * power_of_two(n - (n >> 1))
}

/// `2^n`, for an exponent that a normal number can have.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

/// The natural logarithm.
#[inline(always)]
pub(super) fn log<const FUSED: bool>(x: f32) -> f32 {
    // x = 2^e (1 + f), the second factor between the square roots of 1/2 and 2
    let bits = x.to_bits() as i32;
    let e = bits.wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits() as i32) >> 23;
    let f = f32::from_bits(bits.wrapping_sub(e << 23) as u32) - 1.0;
    let e = e as f32;
    // log(1 + f) = f - f^2 / 2 + f^3 p(f)
    let p = poly::<FUSED, 9>(f, LOG);
    let square = f * f;
    let tail = fma::<FUSED>(e, LN_2_LOW, f * square * p);
    let y = fma::<FUSED>(e, LN_2_HIGH, f + fma::<FUSED>(-0.5, square, tail));
    let y = if x < f32::MIN_POSITIVE { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    // Infinity and NaN are their own logarithms.
    if x < f32::INFINITY { y } else { x }
}

const LOG: [f32; 9] = [
    0.333_333_1,
    -0.249_999_85,
    0.200_021_88,
    -0.166_693_33,
    0.142_191_57,
    -0.123_828_71,
    0.118_694_77,
    -0.117_993_796,
    0.069_334_58,
];

/// The hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh<const FUSED: bool>(x: f32) -> f32 {
    let square = x * x;
    let q = poly::<FUSED, 5>(square, [-0.333_332_73, 0.133_311_8, -0.053_715_866, 0.020_556_422, -0.005_608_346]);
    let near = fma::<FUSED>(x * square, q, x);
    // tanh |x| = 1 - 2 / (e^(2 |x|) + 1)
    let far = 1.0 - 2.0 / (exp::<FUSED>(2.0 * x.abs()) + 1.0);
    if x.abs() < 0.625 { near } else { far.copysign(x) }
}

/// The logistic function `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FUSED>(-x))
}
