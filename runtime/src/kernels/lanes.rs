//! Elementwise routines on blocks of [`LANES`] numbers, built for each instruction set.
//!
//! Errors against the exact result, in units of the last place of an `f32`: `exp`, `log` 1.5; `tanh`, `sigmoid` 2.5;
//! `erf`, `erfinv`, `sin`, `cos`, `pow` 0.6. With fused multiply-add or without, results may differ within that; on one
//! instruction set they depend on nothing but the argument.

use super::{Isa, LANES, math, math64};
use crate::random;

/// Writes a function of each of [`LANES`] numbers at the first pointer to the second, which may be the same.
pub type UnaryRoutine = unsafe extern "C" fn(*const f32, *mut f32);

/// Writes a function of each pair of [`LANES`] numbers at the first two pointers to the third.
pub type BinaryRoutine = unsafe extern "C" fn(*const f32, *const f32, *mut f32);

/// Writes `count` draws, the last argument but one, to the pointer: arguments as in [`random::fill_uniform`].
pub type UniformRoutine = unsafe extern "C" fn(i32, i32, u64, u64, usize, *mut f32);

/// A function of one number that there is a routine for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// Natural exponential.
    Exp,
    /// Natural logarithm.
    Log,
    /// Hyperbolic tangent.
    Tanh,
    /// The logistic function.
    Sigmoid,
    /// The error function.
    Erf,
    /// Its inverse.
    ErfInv,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
}

impl Function {
    /// All of them.
    pub const ALL: [Function; 8] = [
        Function::Exp,
        Function::Log,
        Function::Tanh,
        Function::Sigmoid,
        Function::Erf,
        Function::ErfInv,
        Function::Sin,
        Function::Cos,
    ];

    /// The routine for it.
    pub fn routine(self, isa: Isa) -> UnaryRoutine {
        match self {
            Function::Exp => unary::<Exp>(isa),
            Function::Log => unary::<Log>(isa),
            Function::Tanh => unary::<Tanh>(isa),
            Function::Sigmoid => unary::<Sigmoid>(isa),
            Function::Erf => unary::<Erf>(isa),
            Function::ErfInv => unary::<ErfInv>(isa),
            Function::Sin => unary::<Sin>(isa),
            Function::Cos => unary::<Cos>(isa),
        }
    }
}

/// The routine for the first number to the power of the second.
pub fn pow(isa: Isa) -> BinaryRoutine {
    match isa {
        Isa::Portable => pow_portable,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => pow_avx2,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => pow_avx512,
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2 | Isa::Avx512 => unavailable(isa),
    }
}

/// The routine that fills a row with draws.
pub fn uniform(isa: Isa) -> UniformRoutine {
    match isa {
        Isa::Portable => uniform_portable,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => uniform_avx2,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => uniform_avx512,
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2 | Isa::Avx512 => unavailable(isa),
    }
}

/// A function of one number, written without branches.
trait Lane {
    fn apply<const FUSED: bool>(x: f32) -> f32;

    /// What replaces `y`, the vectorised result, where `x` lies outside its domain.
    #[inline(always)]
    fn mended(_x: f32, y: f32) -> f32 {
        y
    }

    /// Whether `mended` has to look at `x`.
    #[inline(always)]
    fn is_outside(_x: f32) -> bool {
        false
    }
}

struct Exp;
struct Log;
struct Tanh;
struct Sigmoid;
struct Erf;
struct ErfInv;
struct Sin;
struct Cos;

impl Lane for Exp {
    #[inline(always)]
    fn apply<const FUSED: bool>(x: f32) -> f32 {
        math::exp::<FUSED>(x)
    }
}

impl Lane for Log {
    #[inline(always)]
    fn apply<const FUSED: bool>(x: f32) -> f32 {
        math::log::<FUSED>(x)
    }
}

impl Lane for Tanh {
    #[inline(always)]
    fn apply<const FUSED: bool>(x: f32) -> f32 {
        math::tanh::<FUSED>(x)
    }
}

impl Lane for Sigmoid {
    #[inline(always)]
    fn apply<const FUSED: bool>(x: f32) -> f32 {
        math::sigmoid::<FUSED>(x)
    }
}

impl Lane for Erf {
    #[inline(always)]
    fn apply<const FUSED: bool>(x: f32) -> f32 {
        math64::erf::<FUSED>(x)
    }
}

impl Lane for ErfInv {
    #[inline(always)]
    fn apply<const FUSED: bool>(x: f32) -> f32 {
        math64::erfinv::<FUSED>(x)
    }
}

impl Lane for Sin {
    #[inline(always)]
    fn apply<const FUSED: bool>(x: f32) -> f32 {
        math64::sin::<FUSED>(x)
    }

    #[inline(always)]
    fn mended(x: f32, y: f32) -> f32 {
        if Self::is_outside(x) { libm::sin(f64::from(x)) as f32 } else { y }
    }

    #[inline(always)]
    fn is_outside(x: f32) -> bool {
        x.abs() >= math64::LARGE_ANGLE
    }
}

impl Lane for Cos {
    #[inline(always)]
    fn apply<const FUSED: bool>(x: f32) -> f32 {
        math64::cos::<FUSED>(x)
    }

    #[inline(always)]
    fn mended(x: f32, y: f32) -> f32 {
        if Self::is_outside(x) { libm::cos(f64::from(x)) as f32 } else { y }
    }

    #[inline(always)]
    fn is_outside(x: f32) -> bool {
        x.abs() >= math64::LARGE_ANGLE
    }
}

#[inline(never)] // as `routine::built`
fn unary<F: Lane>(isa: Isa) -> UnaryRoutine {
    match isa {
        Isa::Portable => unary_portable::<F>,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unary_avx2::<F>,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unary_avx512::<F>,
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2 | Isa::Avx512 => unavailable(isa),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn unavailable(isa: Isa) -> ! {
    panic!("{isa:?} is not one of `Isa::available()`")
}

/// # Safety
///
/// `from` is valid for reads and `to` for writes of [`LANES`] numbers; they overlap wholly or not at all.
#[inline(always)]
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe fn map<F: Lane, const FUSED: bool>(from: *const f32, to: *mut f32) {
    // SAFETY: the caller promises that `LANES` numbers can be read, and has chosen `FUSED` where the machine has the instructions.
    let x = unsafe { block::<FUSED>(from) };
    let mut y = [0.0; LANES];
    for lane in 0..LANES {
        y[lane] = F::apply::<FUSED>(x[lane]);
    }
    if x.iter().any(|x| F::is_outside(*x)) {
        y = std::array::from_fn(|lane| F::mended(x[lane], y[lane]));
    }
    // SAFETY: the caller promises that `LANES` numbers can be written.
    unsafe { to.cast::<[f32; LANES]>().write_unaligned(y) };
}

/// Reads a block as generated code has just written it, 128 bits at a time: a wider load would wait until all of them have reached
/// the cache, a load as wide as the store takes the number on its way there.
///
/// # Safety
///
/// [`LANES`] numbers can be read; with `WIDE` the machine has AVX.
#[inline(always)]
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe fn block<const WIDE: bool>(from: *const f32) -> [f32; LANES] {
    #[cfg(target_arch = "x86_64")]
    if WIDE {
        // The compiler would make one wide load of four narrow ones, if it knew what they are.
        let part = |at: usize| {
            let part: std::arch::x86_64::__m128;
            // SAFETY: the caller's promise.
            unsafe {
                std::arch::asm!("vmovups {part}, xmmword ptr [{from}]", part = out(xmm_reg) part, from = in(reg) from.add(4 * at),
                    options(pure, readonly, nostack, preserves_flags));
            }
            part
        };
        let parts = [part(0), part(1), part(2), part(3)];
        // SAFETY: both are sixteen numbers.
        return unsafe { std::mem::transmute::<[std::arch::x86_64::__m128; 4], [f32; LANES]>(parts) };
    }
    // SAFETY: the caller's promise.
    unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
}

/// # Safety
///
/// As for [`map`], with two operands.
#[inline(always)]
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe fn map_pow<const FUSED: bool>(base: *const f32, exponent: *const f32, to: *mut f32) {
    // SAFETY: as in `map`, for each.
    let (x, e) = unsafe { (block::<FUSED>(base), block::<FUSED>(exponent)) };
    let mut y = [0.0; LANES];
    for lane in 0..LANES {
        y[lane] = math64::pow::<FUSED>(x[lane], e[lane]);
    }
    // SAFETY: the caller promises that `LANES` numbers can be written.
    unsafe { to.cast::<[f32; LANES]>().write_unaligned(y) };
}

/// # Safety
///
/// `to` is valid for writes of `count` numbers.
#[inline(always)]
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe fn fill(seed: i32, step: i32, site: u64, first: u64, count: usize, to: *mut f32) {
    // SAFETY: the caller promises room for `count` numbers; any bytes are a number.
    let row = unsafe { std::slice::from_raw_parts_mut(to, count) };
    random::fill_uniform(seed, step, site, first, row);
}

/// # Safety
///
/// As for [`map`].
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe extern "C" fn unary_portable<F: Lane>(from: *const f32, to: *mut f32) {
    // SAFETY: the same promise.
    unsafe { map::<F, false>(from, to) }
}

/// # Safety
///
/// As for [`map_pow`].
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe extern "C" fn pow_portable(base: *const f32, exponent: *const f32, to: *mut f32) {
    // SAFETY: the same promise.
    unsafe { map_pow::<false>(base, exponent, to) }
}

/// # Safety
///
/// As for [`fill`].
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe extern "C" fn uniform_portable(seed: i32, step: i32, site: u64, first: u64, count: usize, to: *mut f32) {
    // SAFETY: the same promise.
    unsafe { fill(seed, step, site, first, count, to) }
}

/// # Safety
///
/// As for [`map`]. The machine has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe extern "C" fn unary_avx2<F: Lane>(from: *const f32, to: *mut f32) {
    // SAFETY: the same promise.
    unsafe { map::<F, true>(from, to) }
}

/// # Safety
///
/// As for [`map_pow`]. The machine has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe extern "C" fn pow_avx2(base: *const f32, exponent: *const f32, to: *mut f32) {
    // SAFETY: the same promise.
    unsafe { map_pow::<true>(base, exponent, to) }
}

/// # Safety
///
/// As for [`fill`]. The machine has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe extern "C" fn uniform_avx2(seed: i32, step: i32, site: u64, first: u64, count: usize, to: *mut f32) {
    // SAFETY: the same promise.
    unsafe { fill(seed, step, site, first, count, to) }
}

/// # Safety
///
/// As for [`map`]. The machine has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe extern "C" fn unary_avx512<F: Lane>(from: *const f32, to: *mut f32) {
    // SAFETY: the same promise.
    unsafe { map::<F, true>(from, to) }
}

/// # Safety
///
/// As for [`map_pow`]. The machine has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe extern "C" fn pow_avx512(base: *const f32, exponent: *const f32, to: *mut f32) {
    // SAFETY: the same promise.
    unsafe { map_pow::<true>(base, exponent, to) }
}

/// # Safety
///
/// As for [`fill`]. The machine has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
#[expect(unsafe_code, reason = "generated code passes pointers")]
unsafe extern "C" fn uniform_avx512(seed: i32, step: i32, site: u64, first: u64, count: usize, to: *mut f32) {
    // SAFETY: the same promise.
    unsafe { fill(seed, step, site, first, count, to) }
}

#[cfg(test)]
mod tests;
