//! Vectors as wide as an instruction set has them.
//!
//! Values of these types exist only in routines that are built for their instruction set (`super::routine`), whose
//! callers promise that the machine has it.

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
pub(super) use self::x86::{Avx2, Avx512};
use super::Isa;

/// A vector of `f32`.
pub(super) trait Vector: Copy {
    /// The instruction set.
    const ISA: Isa;
    /// How many numbers it holds; a divisor of 16.
    const LEN: usize;
    /// How many vectors of sums, in pairs, fit into the registers beside what is added to them: half of their number.
    const PAIRS: usize;
    /// Whether reading through a mask takes no longer than reading whole vectors.
    const MASKS_ARE_FREE: bool = false;
    /// Which of the numbers are meant.
    type Mask: Copy;
    /// A vector of half as many numbers, which some machines add and multiply in half the time; this one, where there is none.
    type Half: Vector;

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

    /// A vector of two halves; the first one, where it has none.
    fn of_halves(halves: [Self::Half; 2]) -> Self;

    /// Its halves; itself and zeros, where it has none.
    fn halves(self) -> [Self::Half; 2];

    /// One of the numbers of each half, by its place, everywhere in that half.
    fn spread(self, number: usize) -> Self;

    /// The sum of the numbers of each vector.
    fn totals(of: [Self; 4]) -> [f32; 4];

    /// The sum of the numbers.
    fn total(self) -> f32;

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

    /// Which of the first [`Self::LEN`] integers differ from another one, the first of them in the lowest bit.
    ///
    /// # Safety
    ///
    /// So many integers can be read, and the other one.
    #[expect(unsafe_code, reason = "reads memory")]
    unsafe fn unlike(integers: *const i32, other: *const i32) -> u32;

    /// Asks for the cache line of a number that is soon needed; any address will do.
    fn prefetch(from: *const f32);

    /// Turns a square of as many rows as a vector has numbers: row `i` of `to` becomes what the rows hold at element `at + i`. Rows
    /// of `to` are `pitch` elements apart.
    ///
    /// # Safety
    ///
    /// There are as many pointers, each to a row of which the elements can be read; the square can be written and does not overlap with
    /// any row.
    #[expect(unsafe_code, reason = "reads and writes memory")]
    unsafe fn turn(rows: *const *const f32, at: usize, to: *mut f32, pitch: usize);
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
    type Half = Plain;

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
    fn of_halves([all, _]: [Plain; 2]) -> Plain {
        all
    }

    #[inline(always)]
    fn halves(self) -> [Plain; 2] {
        [self, Plain::splat(0.0)]
    }

    #[inline(always)]
    fn spread(self, number: usize) -> Plain {
        Plain::splat(self.0[number])
    }

    #[inline(always)]
    fn totals(of: [Plain; 4]) -> [f32; 4] {
        of.map(|Plain([a, b, c, d])| (a + b) + (c + d))
    }

    #[inline(always)]
    fn total(self) -> f32 {
        let [a, b, c, d] = self.0;
        (a + c) + (b + d)
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
    #[expect(unsafe_code, reason = "reads memory")]
    unsafe fn unlike(integers: *const i32, other: *const i32) -> u32 {
        // SAFETY: the caller's promise.
        let (integers, other) = unsafe { (integers.cast::<[i32; 4]>().read_unaligned(), *other) };
        integers.iter().zip(0..).map(|(integer, bit)| u32::from(*integer != other) << bit).sum()
    }

    #[inline(always)]
    fn prefetch(_: *const f32) {}

    #[inline(always)]
    #[expect(unsafe_code, reason = "reads and writes memory")]
    unsafe fn turn(rows: *const *const f32, at: usize, to: *mut f32, pitch: usize) {
        // SAFETY: elements of the rows.
        let rows: [Plain; 4] = std::array::from_fn(|row| unsafe { Plain::load((*rows.add(row)).add(at)) });
        for lane in 0..4 {
            let column = Plain(rows.map(|row| row.0[lane]));
            // SAFETY: a row of the turned square.
            unsafe { column.store(to.add(lane * pitch)) };
        }
    }
}
