//! Vectors as wide as an instruction set has them.
//!
//! Values of these types exist only in routines that are built for their instruction set (`super::routine`), whose
//! callers promise that the machine has it.

/// A vector of `f32`.
pub(super) trait Vector: Copy {
    /// How many numbers it holds; a divisor of 16.
    const LEN: usize;
    /// How many vectors of sums, in pairs, fit into the registers beside what is added to them: half of their number.
    const PAIRS: usize;
    /// Which of the numbers are meant.
    type Mask: Copy;

    /// The same number everywhere.
    fn splat(x: f32) -> Self;

    /// `self · factor + sum`, rounded once where the instruction set has it.
    fn mul_add(self, factor: Self, sum: Self) -> Self;

    /// The first `count` numbers; all of them for a larger one.
    fn mask(count: usize) -> Self::Mask;

    /// # Safety
    ///
    /// [`Self::LEN`] numbers can be read.
    #[expect(unsafe_code, reason = "reads memory")]
    unsafe fn load(from: *const f32) -> Self;

    /// Zero where the mask does not mean a number.
    ///
    /// # Safety
    ///
    /// The numbers that the mask means can be read.
    #[expect(unsafe_code, reason = "reads memory")]
    unsafe fn load_masked(from: *const f32, mask: Self::Mask) -> Self;

    /// # Safety
    ///
    /// The numbers that the mask means can be written.
    #[expect(unsafe_code, reason = "writes memory")]
    unsafe fn store_masked(self, to: *mut f32, mask: Self::Mask);
}

/// Vectors of 128 bits, which every 64-bit machine has in some form; products are rounded before they are added.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; 4]);

impl Vector for Plain {
    const LEN: usize = 4;
    const PAIRS: usize = 4;
    type Mask = usize;

    #[inline(always)]
    fn splat(x: f32) -> Plain {
        Plain([x; 4])
    }

    #[inline(always)]
    fn mul_add(self, factor: Plain, sum: Plain) -> Plain {
        Plain(std::array::from_fn(|lane| self.0[lane] * factor.0[lane] + sum.0[lane]))
    }

    #[inline(always)]
    fn mask(count: usize) -> usize {
        count.min(4)
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "reads memory")]
    unsafe fn load(from: *const f32) -> Plain {
        // SAFETY: the caller's promise.
        Plain(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "reads memory")]
    unsafe fn load_masked(from: *const f32, mask: usize) -> Plain {
        if mask == 4 {
            // SAFETY: the caller's promise.
            return unsafe { Plain::load(from) };
        }
        let mut to = [0.0; 4];
        // SAFETY: the caller's promise.
        to[..mask].copy_from_slice(unsafe { std::slice::from_raw_parts(from, mask) });
        Plain(to)
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "writes memory")]
    unsafe fn store_masked(self, to: *mut f32, mask: usize) {
        if mask == 4 {
            // SAFETY: the caller's promise.
            unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) };
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(to, mask) }.copy_from_slice(&self.0[..mask]);
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;

    /// 256 bits.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256);

    /// 512 bits.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    /// Eight masks that mean a number, before eight that do not.
    static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

    #[expect(unsafe_code, reason = "instructions that not every machine has")]
    impl Vector for Avx2 {
        const LEN: usize = 8;
        const PAIRS: usize = 6;
        type Mask = __m256i;

        #[inline(always)]
        fn splat(x: f32) -> Avx2 {
            // SAFETY: the machine has the instruction.
            Avx2(unsafe { _mm256_set1_ps(x) })
        }

        #[inline(always)]
        fn mul_add(self, factor: Avx2, sum: Avx2) -> Avx2 {
            // SAFETY: the machine has the instruction.
            Avx2(unsafe { _mm256_fmadd_ps(self.0, factor.0, sum.0) })
        }

        #[inline(always)]
        fn mask(count: usize) -> __m256i {
            // SAFETY: the machine has the instruction, and eight masks follow the eighth.
            unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - count.min(8)).cast()) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Avx2 {
            // SAFETY: the machine has the instruction; the caller's promise.
            Avx2(unsafe { _mm256_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn load_masked(from: *const f32, mask: __m256i) -> Avx2 {
            // SAFETY: the machine has the instruction; the caller's promise.
            Avx2(unsafe { _mm256_maskload_ps(from, mask) })
        }

        #[inline(always)]
        unsafe fn store_masked(self, to: *mut f32, mask: __m256i) {
            // SAFETY: the machine has the instruction; the caller's promise.
            unsafe { _mm256_maskstore_ps(to, mask, self.0) };
        }
    }

    #[expect(unsafe_code, reason = "instructions that not every machine has")]
    impl Vector for Avx512 {
        const LEN: usize = 16;
        const PAIRS: usize = 12;
        type Mask = __mmask16;

        #[inline(always)]
        fn splat(x: f32) -> Avx512 {
            // SAFETY: the machine has the instruction.
            Avx512(unsafe { _mm512_set1_ps(x) })
        }

        #[inline(always)]
        fn mul_add(self, factor: Avx512, sum: Avx512) -> Avx512 {
            // SAFETY: the machine has the instruction.
            Avx512(unsafe { _mm512_fmadd_ps(self.0, factor.0, sum.0) })
        }

        #[inline(always)]
        fn mask(count: usize) -> __mmask16 {
            ((1u32 << count.min(16)) - 1) as __mmask16
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Avx512 {
            // SAFETY: the machine has the instruction; the caller's promise.
            Avx512(unsafe { _mm512_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn load_masked(from: *const f32, mask: __mmask16) -> Avx512 {
            // SAFETY: the machine has the instruction; the caller's promise.
            Avx512(unsafe { _mm512_maskz_loadu_ps(mask, from) })
        }

        #[inline(always)]
        unsafe fn store_masked(self, to: *mut f32, mask: __mmask16) {
            // SAFETY: the machine has the instruction; the caller's promise.
            unsafe { _mm512_mask_storeu_ps(to, mask, self.0) };
        }
    }
}
