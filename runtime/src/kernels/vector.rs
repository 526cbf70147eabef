//! Vectors as wide as an instruction set has them.
//!
//! Values of these types exist only in routines that are built for their instruction set (`super::routine`), whose
//! callers promise that the machine has it.

use super::Isa;

/// A vector of `f32`.
pub(super) trait Vector: Copy {
    /// The instruction set.
    const ISA: Isa;
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

    /// The sum of each number of one vector and that of the other.
    fn add(self, other: Self) -> Self;

    /// A number of `then` where one of this vector is larger than that of `than`, else one of `other`. NaN is larger than nothing.
    fn where_larger(self, than: Self, then: Self, other: Self) -> Self;

    /// The same where they are equal.
    fn where_equal(self, to: Self, then: Self, other: Self) -> Self;

    /// The sum of the numbers of each vector.
    fn totals(of: [Self; 4]) -> [f32; 4];

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
    /// [`Self::LEN`] numbers can be written.
    #[expect(unsafe_code, reason = "writes memory")]
    unsafe fn store(self, to: *mut f32);

    /// Some machines do this in microcode: whole vectors are better written by [`Vector::store`].
    ///
    /// # Safety
    ///
    /// The numbers that the mask means can be written.
    #[expect(unsafe_code, reason = "writes memory")]
    unsafe fn store_masked(self, to: *mut f32, mask: Self::Mask);

    /// Asks for the cache line of a number that is soon needed; any address will do.
    fn prefetch(from: *const f32);

    /// Turns a square of as many rows as a vector has numbers: row `i` of `to` becomes column `i` of `from`. Both have
    /// their rows the second number of elements apart.
    ///
    /// # Safety
    ///
    /// The square can be read at the first pointer and written at the second; they do not overlap.
    #[expect(unsafe_code, reason = "reads and writes memory")]
    unsafe fn turn(from: (*const f32, usize), to: (*mut f32, usize));
}

/// `R` vectors from a number on. This, and what else works on vectors, is a plain loop: a closure would be compiled by itself, without
/// the instruction set, so that every vector would be passed to a call through memory.
///
/// # Safety
///
/// As many numbers as the vectors hold can be read.
#[inline(always)]
#[expect(unsafe_code, reason = "reads memory")]
#[expect(clippy::needless_range_loop, reason = "vectors are in step with pointers")]
pub(super) unsafe fn load_row<V: Vector, const R: usize>(from: *const f32) -> [V; R] {
    let mut row = [V::splat(0.0); R];
    for v in 0..R {
        // SAFETY: the caller's promise.
        row[v] = unsafe { V::load(from.add(v * V::LEN)) };
    }
    row
}

/// The same as far as masks mean numbers; zeros elsewhere.
///
/// # Safety
///
/// The numbers that the masks mean can be read.
#[inline(always)]
#[expect(unsafe_code, reason = "reads memory")]
pub(super) unsafe fn load_row_masked<V: Vector, const R: usize>(from: *const f32, masks: &[V::Mask; R]) -> [V; R] {
    let mut row = [V::splat(0.0); R];
    for v in 0..R {
        // SAFETY: the caller's promise.
        row[v] = unsafe { V::load_masked(from.wrapping_add(v * V::LEN), masks[v]) };
    }
    row
}

/// Vectors of 128 bits, which every 64-bit machine has in some form; products are rounded before they are added.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; 4]);

impl Vector for Plain {
    const ISA: Isa = Isa::Portable;
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
    fn add(self, other: Plain) -> Plain {
        Plain(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }

    #[inline(always)]
    fn where_larger(self, than: Plain, then: Plain, other: Plain) -> Plain {
        let chosen = |lane: usize| if self.0[lane] > than.0[lane] { then.0[lane] } else { other.0[lane] };
        Plain(std::array::from_fn(chosen))
    }

    #[inline(always)]
    fn where_equal(self, to: Plain, then: Plain, other: Plain) -> Plain {
        let chosen = |lane: usize| if self.0[lane] == to.0[lane] { then.0[lane] } else { other.0[lane] };
        Plain(std::array::from_fn(chosen))
    }

    #[inline(always)]
    fn totals(of: [Plain; 4]) -> [f32; 4] {
        of.map(|Plain([a, b, c, d])| (a + b) + (c + d))
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
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) };
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "writes memory")]
    unsafe fn store_masked(self, to: *mut f32, mask: usize) {
        if mask == 4 {
            // SAFETY: the caller's promise.
            unsafe { self.store(to) };
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(to, mask) }.copy_from_slice(&self.0[..mask]);
    }

    #[inline(always)]
    fn prefetch(_: *const f32) {}

    #[inline(always)]
    #[expect(unsafe_code, reason = "reads and writes memory")]
    unsafe fn turn((from, pitch): (*const f32, usize), (to, to_pitch): (*mut f32, usize)) {
        // SAFETY: the rows of the square.
        let rows: [Plain; 4] = std::array::from_fn(|row| unsafe { Plain::load(from.add(row * pitch)) });
        for lane in 0..4 {
            let column = Plain(rows.map(|row| row.0[lane]));
            // SAFETY: a row of the turned square.
            unsafe { column.store(to.add(lane * to_pitch)) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;
    use crate::kernels::Isa;

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
        const ISA: Isa = Isa::Avx2;
        const LEN: usize = 8;
        const PAIRS: usize = 6;
        type Mask = usize;

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
        fn add(self, other: Avx2) -> Avx2 {
            // SAFETY: the machine has the instruction.
            Avx2(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn where_larger(self, than: Avx2, then: Avx2, other: Avx2) -> Avx2 {
            // SAFETY: the machine has the instructions.
            Avx2(unsafe { _mm256_blendv_ps(other.0, then.0, _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, than.0)) })
        }

        #[inline(always)]
        fn where_equal(self, to: Avx2, then: Avx2, other: Avx2) -> Avx2 {
            // SAFETY: the machine has the instructions.
            Avx2(unsafe { _mm256_blendv_ps(other.0, then.0, _mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, to.0)) })
        }

        #[inline(always)]
        fn totals([a, b, c, d]: [Avx2; 4]) -> [f32; 4] {
            // SAFETY: the machine has the instructions; four numbers have 128 bits.
            unsafe {
                // Sums of neighbours, twice: each half holds a partial sum of each vector.
                let pairs = [_mm256_hadd_ps(a.0, b.0), _mm256_hadd_ps(c.0, d.0)];
                let halves = _mm256_hadd_ps(pairs[0], pairs[1]);
                let sums = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps::<1>(halves));
                std::mem::transmute::<__m128, [f32; 4]>(sums)
            }
        }

        #[inline(always)]
        fn mask(count: usize) -> usize {
            count.min(8)
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Avx2 {
            // SAFETY: the machine has the instruction; the caller's promise.
            Avx2(unsafe { _mm256_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn load_masked(from: *const f32, mask: usize) -> Avx2 {
            if mask == 8 {
                // SAFETY: the caller's promise.
                return unsafe { Avx2::load(from) };
            }
            // SAFETY: the machine has the instructions, and eight masks follow the eighth; the caller's promise.
            Avx2(unsafe { _mm256_maskload_ps(from, _mm256_loadu_si256(MASKS.as_ptr().add(8 - mask).cast())) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the machine has the instruction; the caller's promise.
            unsafe { _mm256_storeu_ps(to, self.0) };
        }

        /// By the binary digits of how many they are: the instruction for it takes as long as dozens of stores on some machines.
        #[inline(always)]
        unsafe fn store_masked(self, mut to: *mut f32, mask: usize) {
            if mask == 8 {
                // SAFETY: the caller's promise.
                return unsafe { self.store(to) };
            }
            // SAFETY: the machine has the instructions; the caller's promise, for four, two and one number.
            unsafe {
                let mut rest = _mm256_castps256_ps128(self.0);
                if mask & 4 != 0 {
                    _mm_storeu_ps(to, rest);
                    (to, rest) = (to.add(4), _mm256_extractf128_ps::<1>(self.0));
                }
                if mask & 2 != 0 {
                    _mm_storel_pd(to.cast(), _mm_castps_pd(rest));
                    (to, rest) = (to.add(2), _mm_movehl_ps(rest, rest));
                }
                if mask & 1 != 0 {
                    _mm_store_ss(to, rest);
                }
            }
        }

        #[inline(always)]
        fn prefetch(from: *const f32) {
            // SAFETY: the machine has the instruction, which reads nothing that the program would see.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) };
        }

        #[inline(always)]
        unsafe fn turn((from, pitch): (*const f32, usize), (to, to_pitch): (*mut f32, usize)) {
            // SAFETY: the machine has the instructions; halves of rows of the square and of the turned one.
            unsafe {
                for half in 0..2 {
                    // Row `i` has what rows `i` and `i + 4` hold in this half.
                    let pair = |row: usize| {
                        let at = from.add(row * pitch + 4 * half);
                        let low = _mm256_castps128_ps256(_mm_loadu_ps(at));
                        _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(at.add(4 * pitch)))
                    };
                    let [a, b, c, d] = [pair(0), pair(1), pair(2), pair(3)];
                    let [low_ab, high_ab] = [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)];
                    let [low_cd, high_cd] = [_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d)];
                    let to = |row: usize| to.add((4 * half + row) * to_pitch);
                    _mm256_storeu_ps(to(0), _mm256_shuffle_ps::<0x44>(low_ab, low_cd));
                    _mm256_storeu_ps(to(1), _mm256_shuffle_ps::<0xee>(low_ab, low_cd));
                    _mm256_storeu_ps(to(2), _mm256_shuffle_ps::<0x44>(high_ab, high_cd));
                    _mm256_storeu_ps(to(3), _mm256_shuffle_ps::<0xee>(high_ab, high_cd));
                }
            }
        }
    }

    #[expect(unsafe_code, reason = "instructions that not every machine has")]
    impl Vector for Avx512 {
        const ISA: Isa = Isa::Avx512;
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
        fn add(self, other: Avx512) -> Avx512 {
            // SAFETY: the machine has the instruction.
            Avx512(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn where_larger(self, than: Avx512, then: Avx512, other: Avx512) -> Avx512 {
            // SAFETY: the machine has the instructions.
            Avx512(unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, than.0), other.0, then.0) })
        }

        #[inline(always)]
        fn where_equal(self, to: Avx512, then: Avx512, other: Avx512) -> Avx512 {
            // SAFETY: the machine has the instructions.
            Avx512(unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, to.0), other.0, then.0) })
        }

        #[inline(always)]
        fn totals(of: [Avx512; 4]) -> [f32; 4] {
            let mut halves = [Avx2::splat(0.0); 4];
            for (half, Avx512(all)) in halves.iter_mut().zip(of) {
                // SAFETY: the machine has the instructions.
                *half = Avx2(unsafe { _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps::<1>(all)) });
            }
            Avx2::totals(halves)
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
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the machine has the instruction; the caller's promise.
            unsafe { _mm512_storeu_ps(to, self.0) };
        }

        #[inline(always)]
        unsafe fn store_masked(self, to: *mut f32, mask: __mmask16) {
            // SAFETY: the machine has the instruction; the caller's promise.
            unsafe { _mm512_mask_storeu_ps(to, mask, self.0) };
        }

        #[inline(always)]
        fn prefetch(from: *const f32) {
            Avx2::prefetch(from);
        }

        #[inline(always)]
        unsafe fn turn((from, pitch): (*const f32, usize), (to, to_pitch): (*mut f32, usize)) {
            for [row, col] in [[0, 0], [0, 8], [8, 0], [8, 8]] {
                // SAFETY: a quarter of the square, which becomes the one across the diagonal.
                unsafe {
                    let (from, to) = (from.add(row * pitch + col), to.add(col * to_pitch + row));
                    Avx2::turn((from, pitch), (to, to_pitch));
                }
            }
        }
    }
}
