//! Vectors of the x86 instruction sets.

use std::arch::x86_64::*;

use super::Vector;
use crate::kernels::Isa;

/// 256 bits.
#[derive(Clone, Copy)]
pub struct Avx2(__m256);

/// 512 bits.
#[derive(Clone, Copy)]
pub struct Avx512(__m512);

/// 128 bits, with the instructions of [`Avx2`].
#[derive(Clone, Copy)]
pub struct Half(__m128);

/// For each number of a half its place in both halves of sixteen numbers.
static SPREAD: [[i32; 16]; 8] = {
    let mut places = [[0; 16]; 8];
    let mut at = 0;
    while at < 8 * 16 {
        places[at / 16][at % 16] = (at / 16 + at % 16 / 8 * 8) as i32;
        at += 1;
    }
    places
};

/// Eight masks that mean a number, before eight that do not.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[expect(unsafe_code, reason = "instructions that not every machine has")]
impl Vector for Avx2 {
    const ISA: Isa = Isa::Avx2;
    const LEN: usize = 8;
    const PAIRS: usize = 6;
    type Mask = usize;
    type Half = Half;

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
    fn of_halves([low, high]: [Half; 2]) -> Avx2 {
        // SAFETY: the machine has the instructions.
        Avx2(unsafe { _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low.0), high.0) })
    }

    #[inline(always)]
    fn halves(self) -> [Half; 2] {
        // SAFETY: the machine has the instructions.
        unsafe { [Half(_mm256_castps256_ps128(self.0)), Half(_mm256_extractf128_ps::<1>(self.0))] }
    }

    #[inline(always)]
    fn spread(self, number: usize) -> Avx2 {
        // SAFETY: the machine has the instructions.
        Avx2(unsafe { _mm256_permutevar_ps(self.0, _mm256_set1_epi32(number as i32)) })
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
    fn total(self) -> f32 {
        let [low, high] = self.halves();
        low.add(high).total()
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
        // SAFETY: the machine has the instructions; the caller's promise, for one half and what is left.
        unsafe {
            let mut rest = Half(_mm256_castps256_ps128(self.0));
            if mask & 4 != 0 {
                rest.store(to);
                (to, rest) = (to.add(4), Half(_mm256_extractf128_ps::<1>(self.0)));
            }
            rest.store_masked(to, mask % 4);
        }
    }

    #[inline(always)]
    unsafe fn unlike(integers: *const i32, other: *const i32) -> u32 {
        // SAFETY: the machine has the instructions; the caller's promise.
        unsafe {
            let equal = _mm256_cmpeq_epi32(_mm256_loadu_si256(integers.cast()), _mm256_set1_epi32(*other));
            _mm256_movemask_ps(_mm256_castsi256_ps(equal)) as u32 ^ 0xff
        }
    }

    #[inline(always)]
    fn prefetch(from: *const f32) {
        // SAFETY: the machine has the instruction, which reads nothing that the program would see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) };
    }

    #[inline(always)]
    unsafe fn turn(rows: *const *const f32, at: usize, to: *mut f32, pitch: usize) {
        // SAFETY: the machine has the instructions; halves of the rows' elements, and rows of the square.
        unsafe {
            for half in 0..2 {
                // Rows that are four apart, side by side.
                let mut pairs = [_mm256_setzero_ps(); 4];
                for (row, pair) in pairs.iter_mut().enumerate() {
                    let at = at + 4 * half;
                    let [low, high] = [(*rows.add(row)).add(at), (*rows.add(row + 4)).add(at)];
                    *pair = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high));
                }
                let [a, b, c, d] = pairs;
                let [low_ab, high_ab] = [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)];
                let [low_cd, high_cd] = [_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d)];
                let to = to.add(4 * half * pitch);
                _mm256_storeu_ps(to, _mm256_shuffle_ps::<0x44>(low_ab, low_cd));
                _mm256_storeu_ps(to.add(pitch), _mm256_shuffle_ps::<0xee>(low_ab, low_cd));
                _mm256_storeu_ps(to.add(2 * pitch), _mm256_shuffle_ps::<0x44>(high_ab, high_cd));
                _mm256_storeu_ps(to.add(3 * pitch), _mm256_shuffle_ps::<0xee>(high_ab, high_cd));
            }
        }
    }
}

#[expect(unsafe_code, reason = "instructions that not every machine has")]
impl Vector for Half {
    const ISA: Isa = Isa::Avx2;
    const LEN: usize = 4;
    const PAIRS: usize = 6;
    type Mask = usize;
    type Half = Half;

    #[inline(always)]
    fn splat(x: f32) -> Half {
        // SAFETY: the machine has the instruction.
        Half(unsafe { _mm_set1_ps(x) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Half, sum: Half) -> Half {
        // SAFETY: the machine has the instruction.
        Half(unsafe { _mm_fmadd_ps(self.0, factor.0, sum.0) })
    }

    #[inline(always)]
    fn add(self, other: Half) -> Half {
        // SAFETY: the machine has the instruction.
        Half(unsafe { _mm_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn where_larger(self, than: Half, then: Half, other: Half) -> Half {
        // SAFETY: the machine has the instructions.
        Half(unsafe { _mm_blendv_ps(other.0, then.0, _mm_cmp_ps::<_CMP_GT_OQ>(self.0, than.0)) })
    }

    #[inline(always)]
    fn where_equal(self, to: Half, then: Half, other: Half) -> Half {
        // SAFETY: the machine has the instructions.
        Half(unsafe { _mm_blendv_ps(other.0, then.0, _mm_cmp_ps::<_CMP_EQ_OQ>(self.0, to.0)) })
    }

    #[inline(always)]
    fn of_halves([all, _]: [Half; 2]) -> Half {
        all
    }

    #[inline(always)]
    fn halves(self) -> [Half; 2] {
        [self, Half::splat(0.0)]
    }

    #[inline(always)]
    fn spread(self, number: usize) -> Half {
        // SAFETY: the machine has the instructions.
        Half(unsafe { _mm_permutevar_ps(self.0, _mm_set1_epi32(number as i32)) })
    }

    #[inline(always)]
    fn totals([a, b, c, d]: [Half; 4]) -> [f32; 4] {
        // SAFETY: the machine has the instructions; four numbers have 128 bits.
        unsafe {
            let sums = _mm_hadd_ps(_mm_hadd_ps(a.0, b.0), _mm_hadd_ps(c.0, d.0));
            std::mem::transmute::<__m128, [f32; 4]>(sums)
        }
    }

    #[inline(always)]
    fn total(self) -> f32 {
        // SAFETY: the machine has the instructions.
        unsafe {
            let pairs = _mm_add_ps(self.0, _mm_movehl_ps(self.0, self.0));
            _mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehdup_ps(pairs)))
        }
    }

    #[inline(always)]
    fn mask(count: usize) -> usize {
        count.min(4)
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Half {
        // SAFETY: the machine has the instruction; the caller's promise.
        Half(unsafe { _mm_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn load_masked(from: *const f32, mask: usize) -> Half {
        if mask == 4 {
            // SAFETY: the caller's promise.
            return unsafe { Half::load(from) };
        }
        // SAFETY: the machine has the instructions, and eight masks follow the eighth; the caller's promise.
        Half(unsafe { _mm_maskload_ps(from, _mm_loadu_si128(MASKS.as_ptr().add(8 - mask).cast())) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the machine has the instruction; the caller's promise.
        unsafe { _mm_storeu_ps(to, self.0) };
    }

    #[inline(always)]
    unsafe fn store_masked(self, mut to: *mut f32, mask: usize) {
        if mask == 4 {
            // SAFETY: the caller's promise.
            return unsafe { self.store(to) };
        }
        // SAFETY: the machine has the instructions; the caller's promise, for two and one number.
        unsafe {
            let mut rest = self.0;
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
    unsafe fn unlike(integers: *const i32, other: *const i32) -> u32 {
        // SAFETY: the machine has the instructions; the caller's promise.
        unsafe {
            let equal = _mm_cmpeq_epi32(_mm_loadu_si128(integers.cast()), _mm_set1_epi32(*other));
            _mm_movemask_ps(_mm_castsi128_ps(equal)) as u32 ^ 0xf
        }
    }

    #[inline(always)]
    fn prefetch(from: *const f32) {
        Avx2::prefetch(from);
    }

    #[inline(always)]
    unsafe fn turn(rows: *const *const f32, at: usize, to: *mut f32, pitch: usize) {
        // SAFETY: the machine has the instructions; elements of the rows and rows of the square.
        unsafe {
            let mut square = [_mm_setzero_ps(); 4];
            for (row, numbers) in square.iter_mut().enumerate() {
                *numbers = _mm_loadu_ps((*rows.add(row)).add(at));
            }
            let [a, b, c, d] = &mut square;
            _MM_TRANSPOSE4_PS(a, b, c, d);
            for (row, numbers) in square.iter().enumerate() {
                _mm_storeu_ps(to.add(row * pitch), *numbers);
            }
        }
    }
}

#[expect(unsafe_code, reason = "instructions that not every machine has")]
impl Vector for Avx512 {
    const ISA: Isa = Isa::Avx512;
    const LEN: usize = 16;
    const PAIRS: usize = 12;
    const MASKS_ARE_FREE: bool = true;
    type Mask = __mmask16;
    type Half = Avx2;

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
    fn of_halves([low, high]: [Avx2; 2]) -> Avx512 {
        // SAFETY: the machine has the instructions.
        Avx512(unsafe { _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low.0), high.0) })
    }

    #[inline(always)]
    fn halves(self) -> [Avx2; 2] {
        // SAFETY: the machine has the instructions.
        unsafe { [Avx2(_mm512_castps512_ps256(self.0)), Avx2(_mm512_extractf32x8_ps::<1>(self.0))] }
    }

    #[inline(always)]
    fn spread(self, number: usize) -> Avx512 {
        // SAFETY: the machine has the instructions; sixteen places.
        unsafe { Avx512(_mm512_permutexvar_ps(_mm512_loadu_si512(SPREAD[number % 8].as_ptr().cast()), self.0)) }
    }

    #[inline(always)]
    fn totals(of: [Avx512; 4]) -> [f32; 4] {
        let mut halves = [Avx2::splat(0.0); 4];
        for (half, all) in halves.iter_mut().zip(of) {
            let [low, high] = all.halves();
            *half = low.add(high);
        }
        Avx2::totals(halves)
    }

    #[inline(always)]
    fn total(self) -> f32 {
        let [low, high] = self.halves();
        low.add(high).total()
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
    unsafe fn unlike(integers: *const i32, other: *const i32) -> u32 {
        // SAFETY: the machine has the instructions; the caller's promise.
        u32::from(unsafe { _mm512_cmpneq_epi32_mask(_mm512_loadu_si512(integers.cast()), _mm512_set1_epi32(*other)) })
    }

    #[inline(always)]
    fn prefetch(from: *const f32) {
        Avx2::prefetch(from);
    }

    #[inline(always)]
    unsafe fn turn(rows: *const *const f32, at: usize, to: *mut f32, pitch: usize) {
        // SAFETY: the machine has the instructions; quarters of the rows' elements and rows of the square.
        unsafe {
            for quarter in 0..4 {
                // Rows that are four, eight and twelve apart, side by side.
                let mut fours = [_mm512_setzero_ps(); 4];
                for (row, four) in fours.iter_mut().enumerate() {
                    let mut parts = [_mm_setzero_ps(); 4];
                    for (index, part) in parts.iter_mut().enumerate() {
                        *part = _mm_loadu_ps((*rows.add(row + 4 * index)).add(at + 4 * quarter));
                    }
                    let low = _mm512_insertf32x4::<1>(_mm512_castps128_ps512(parts[0]), parts[1]);
                    *four = _mm512_insertf32x4::<3>(_mm512_insertf32x4::<2>(low, parts[2]), parts[3]);
                }
                let [a, b, c, d] = fours;
                let [low_ab, high_ab] = [_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)];
                let [low_cd, high_cd] = [_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)];
                let to = to.add(4 * quarter * pitch);
                _mm512_storeu_ps(to, _mm512_shuffle_ps::<0x44>(low_ab, low_cd));
                _mm512_storeu_ps(to.add(pitch), _mm512_shuffle_ps::<0xee>(low_ab, low_cd));
                _mm512_storeu_ps(to.add(2 * pitch), _mm512_shuffle_ps::<0x44>(high_ab, high_cd));
                _mm512_storeu_ps(to.add(3 * pitch), _mm512_shuffle_ps::<0xee>(high_ab, high_cd));
            }
        }
    }
}
