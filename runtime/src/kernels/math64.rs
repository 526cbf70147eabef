//! Elementary functions of `f32` that are computed in `f64` and rounded once, without branches.
//!
//! They are rarer than those in `math`, and double precision makes short work of their cancellations. Polynomials are
//! minimax fits (Remez exchange); errors before rounding stay below 1e-8 of the result.

/// The polynomial with these coefficients, the constant one first.
#[inline(always)]
fn poly<const FUSED: bool, const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = coefficients[N - 1];
    for i in (0..N - 1).rev() {
        sum = fma::<FUSED>(sum, x, coefficients[i]);
    }
    sum
}

#[inline(always)]
fn fma<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Adding and subtracting it rounds to the nearest integer, which stands in the low bits of the sum.
const ROUNDER: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// log(2) in two parts; the first has 40 bits, so that its product with an exponent is exact.
const LN_2_HIGH: f64 = 0.693_147_180_559_208_2;
const LN_2_LOW: f64 = 7.371_002_565_167_799e-13;

/// `e^x`, infinite or zero as an `f32` where the result does not fit one.
#[inline(always)]
fn exp<const FUSED: bool>(x: f64) -> f64 {
    let x = if x < -300.0 { -300.0 } else { x };
    let x = if x > 300.0 { 300.0 } else { x };
    // e^x = 2^n * e^r, |r| <= log(2) / 2
    let rounded = fma::<FUSED>(x, std::f64::consts::LOG2_E, ROUNDER);
    let n = rounded - ROUNDER;
    let r = fma::<FUSED>(n, -LN_2_LOW, fma::<FUSED>(n, -LN_2_HIGH, x));
    let n = rounded.to_bits().wrapping_sub(ROUNDER.to_bits());
    poly::<FUSED, 9>(r, EXP) * f64::from_bits(n.wrapping_add(1023) << 52)
}

const EXP: [f64; 9] = [
    0.999_999_999_999_737_8,
    0.999_999_999_979_031_7,
    0.500_000_000_066_902_6,
    0.166_666_668_988_211_78,
    0.041_666_664_070_626_37,
    0.008_333_264_352_642_646,
    0.001_388_919_031_006_962_4,
    0.000_199_169_075_690_367_9,
    2.472_575_190_359_591_6e-5,
];

/// The natural logarithm of a positive normal number.
#[inline(always)]
fn log_positive<const FUSED: bool>(x: f64) -> f64 {
    // x = 2^e m, the second factor between the square roots of 1/2 and 2
    const BELOW_ONE: u64 = 1.0f64.to_bits() - std::f64::consts::FRAC_1_SQRT_2.to_bits();
    let shifted = x.to_bits().wrapping_add(BELOW_ONE) >> 52;
    let m = f64::from_bits(x.to_bits().wrapping_sub(shifted.wrapping_sub(1023) << 52));
    // 2^52 + shifted, whose low bits are those of an integer below 2^52.
    let e = f64::from_bits(shifted | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1023.0);
    // log m = 2 atanh s = 2 s (1 + s^2 r(s^2)), s = (m - 1) / (m + 1)
    let s = (m - 1.0) / (m + 1.0);
    let r = poly::<FUSED, 6>(s * s, ATANH);
    fma::<FUSED>(e, LN_2_HIGH, fma::<FUSED>(e, LN_2_LOW, 2.0 * fma::<FUSED>(s * s * s, r, s)))
}

const ATANH: [f64; 6] = [
    0.333_333_333_333_309_9,
    0.200_000_000_056_974_8,
    0.142_857_120_415_648_55,
    0.111_114_339_495_301_4,
    0.090_699_807_447_580_15,
    0.083_125_826_559_271_43,
];

/// `x^y`.
#[inline(always)]
pub(super) fn pow<const FUSED: bool>(x: f32, y: f32) -> f32 {
    let (x, y) = (f64::from(x), f64::from(y));
    let size = x.abs();
    let log = log_positive::<FUSED>(size);
    let log = if size == 0.0 { f64::NEG_INFINITY } else { log };
    let log = if size < f64::INFINITY { log } else { size };
    let exponent = log * y;
    // 1 to any power, and anything to the power 0, is 1.
    let exponent = if size == 1.0 || y == 0.0 { 0.0 } else { exponent };
    let power = exp::<FUSED>(exponent) as f32;
    let (whole, odd) = parity(y);
    let power = if x < 0.0 && size < f64::INFINITY && !whole { f32::NAN } else { power };
    let power = if x.is_sign_negative() && odd { -power } else { power };
    if x == 1.0 || y == 0.0 { 1.0 } else { power }
}

/// Whether a number is an integer, and whether it is an odd one. Beyond 2^51 all that were an `f32` are even.
#[inline(always)]
fn parity(y: f64) -> (bool, bool) {
    let huge = y.abs() > 2_251_799_813_685_248.0;
    let rounded = y + ROUNDER;
    let whole = huge || rounded - ROUNDER == y;
    (whole, whole && !huge && rounded.to_bits() & 1 == 1)
}

/// pi/2 in two parts; the first has 25 bits, so that its product with a quadrant number is exact.
const HALF_PI_HIGH: f64 = 1.570_796_310_901_641_8;
const HALF_PI_LOW: f64 = 1.589_325_477_352_819_6e-8;

/// Arguments below it are reduced exactly enough by [`sin`] and [`cos`].
pub(super) const LARGE_ANGLE: f32 = 134_217_728.0; // 2^27

/// The sine of `x` radians, below [`LARGE_ANGLE`].
#[inline(always)]
pub(super) fn sin<const FUSED: bool>(x: f32) -> f32 {
    turned::<FUSED>(x, 0)
}

/// The cosine of `x` radians, below [`LARGE_ANGLE`].
#[inline(always)]
pub(super) fn cos<const FUSED: bool>(x: f32) -> f32 {
    turned::<FUSED>(x, 1)
}

/// The sine of `x` plus a number of quarter turns.
#[inline(always)]
fn turned<const FUSED: bool>(x: f32, quarters: u64) -> f32 {
    let x = f64::from(x);
    let rounded = fma::<FUSED>(x, std::f64::consts::FRAC_2_PI, ROUNDER);
    let n = rounded - ROUNDER;
    let r = fma::<FUSED>(n, -HALF_PI_LOW, fma::<FUSED>(n, -HALF_PI_HIGH, x));
    let square = r * r;
    let sine = fma::<FUSED>(r * square, poly::<FUSED, 5>(square, SIN), r);
    let cosine = fma::<FUSED>(square, poly::<FUSED, 5>(square, COS), 1.0);
    let quadrant = rounded.to_bits().wrapping_add(quarters);
    let value = if quadrant & 1 == 0 { sine } else { cosine };
    (if quadrant & 2 == 0 { value } else { -value }) as f32
}

const SIN: [f64; 5] = [
    -0.166_666_666_666_636,
    0.008_333_333_330_895_152,
    -0.000_198_412_667_393_772_73,
    2.755_593_764_278_250_5e-6,
    -2.480_074_378_433_703e-8,
];

const COS: [f64; 5] = [
    -0.499_999_999_999_601_9,
    0.041_666_666_635_011_215,
    -0.001_388_888_486_121_402_5,
    2.479_979_311_365_327_5e-5,
    -2.723_079_718_239_076e-7,
];

/// The error function.
#[inline(always)]
pub(super) fn erf<const FUSED: bool>(x: f32) -> f32 {
    let x = f64::from(x);
    let near = x * poly::<FUSED, 9>(x * x, ERF);
    // erf t = 1 - e^(p(t - 5/2)) for t from 1; at 4 it rounds to 1.
    let t = if x.abs() > 4.0 { 4.0 } else { x.abs() };
    let far = 1.0 - exp::<FUSED>(poly::<FUSED, 10>(t - 2.5, LOG_ERFC));
    let value = if x.abs() < 1.0 { near } else { far.copysign(x) };
    value as f32
}

const ERF: [f64; 9] = [
    1.128_379_167_094_713_2,
    -0.376_126_388_901_002_2,
    0.112_837_913_183_366_22,
    -0.026_866_134_012_166_826,
    0.005_223_786_525_855_681,
    -0.000_854_270_296_752_544_8,
    0.000_119_573_297_493_987_59,
    -1.391_405_777_976_548_2e-5,
    1.060_116_786_427_878_8e-6,
];

const LOG_ERFC: [f64; 10] = [
    -7.806_815_266_181_744,
    -5.352_680_650_430_374,
    -0.943_893_513_870_017_3,
    -0.010_858_730_942_633_841,
    0.002_162_592_778_766_819_3,
    -0.000_423_923_945_580_107_8,
    7.817_968_146_018_463e-5,
    -8.198_986_451_317_041e-6,
    5.198_195_262_799_251e-6,
    7.844_101_577_750_424e-7,
];

/// The inverse of the error function.
#[inline(always)]
pub(super) fn erfinv<const FUSED: bool>(x: f32) -> f32 {
    let x = f64::from(x);
    // erfinv x = x p(w), w = -log(1 - x^2)
    let rest = (1.0 - x) * (1.0 + x);
    let w = -log_positive::<FUSED>(if rest > 0.0 { rest } else { 1.0 });
    let near = poly::<FUSED, 12>(w - 3.0, ERFINV_NEAR);
    let far = poly::<FUSED, 10>(w.sqrt() - 3.3, ERFINV_FAR);
    let value = x * (if w < 6.0 { near } else { far });
    let value = if rest == 0.0 { x * f64::INFINITY } else { value };
    (if rest >= 0.0 { value } else { f64::NAN }) as f32
}

const ERFINV_NEAR: [f64; 12] = [
    1.623_542_009_815_816_2,
    0.241_630_393_912_856_5,
    -0.005_738_163_462_752_65,
    -0.000_836_156_779_092_025,
    0.000_195_099_440_118_531_42,
    -1.273_409_768_611_575_3e-5,
    -1.766_727_875_205_468_1e-6,
    4.554_264_223_664_051_6e-7,
    -1.952_452_325_749_806e-8,
    -6.304_616_631_669_276e-9,
    6.795_389_381_185_887e-10,
    3.533_673_793_299_627e-11,
];

const ERFINV_FAR: [f64; 10] = [
    3.134_161_514_834_767,
    1.005_769_149_372_245_4,
    0.004_844_746_406_238_8,
    -0.003_293_324_343_701_604,
    0.002_091_191_495_705_699,
    -0.001_417_711_562_979_192,
    0.000_877_686_355_334_387_7,
    -0.000_349_589_054_744_699_6,
    -2.186_625_056_733_86e-5,
    6.330_796_157_591_115e-5,
];
