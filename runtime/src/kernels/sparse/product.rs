//! Compressed times dense: each row of the result is a sum of rows of the other factor.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::{Pattern, SparseShape};
use crate::kernels::routine::{Args, Body};
use crate::kernels::vector::Vector;

/// See [`super::product()`].
pub struct Product;

impl Body for Product {
    type Shape = SparseShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &SparseShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.rows);
        let factors = Factors { values: args.a, x: args.b, batch: s.batch, pattern: Pattern::at(s, args.c) };
        for row in args.first..args.last {
            // SAFETY: a row of the pattern, and the one of the result, which nobody else writes.
            unsafe {
                let to = args.to.add(row * s.batch);
                match (s.batch, s.is_ordered) {
                    (1, true) => *to = factors.number::<true>(row),
                    (1, false) => *to = factors.number::<false>(row),
                    (_, true) => factors.row::<V, true>(row, to),
                    (_, false) => factors.row::<V, false>(row, to),
                }
            }
        }
    }
}

/// What is multiplied.
#[derive(Clone, Copy)]
struct Factors {
    values: *const f32,
    x: *const f32,
    batch: usize,
    pattern: Pattern,
}

impl Factors {
    /// A row of the result of a single sample. Every fourth non-zero has a sum of its own, so that additions need not wait for one another.
    ///
    /// # Safety
    ///
    /// The pattern has the row.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn number<const ORDERED: bool>(&self, row: usize) -> f32 {
        let mut sums = [0.0; 4];
        // SAFETY: non-zeros of the row; their columns are elements of the other factor, their places ones of the values.
        unsafe {
            let [first, last] = self.pattern.row(row);
            let whole = first + (last - first) / 4 * 4;
            for k in (first..whole).step_by(4) {
                for c in 0..4 {
                    sums[c] += *self.values.add(self.pattern.place::<ORDERED>(k + c))
                        * *self.x.add(self.pattern.column(k + c));
                }
            }
            for k in whole..last {
                sums[0] += *self.values.add(self.pattern.place::<ORDERED>(k)) * *self.x.add(self.pattern.column(k));
            }
        }
        (sums[0] + sums[1]) + (sums[2] + sums[3])
    }

    /// A row of the result, in blocks of samples that fit into the registers.
    ///
    /// # Safety
    ///
    /// The pattern has the row, and nobody else touches the row at `to`.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn row<V: Vector, const ORDERED: bool>(&self, row: usize, to: *mut f32) {
        let mut n = 0;
        // SAFETY: the caller's promise; each block lies within the row.
        unsafe {
            let of = self.pattern.row(row);
            while n + 8 * V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 8, 1>(of, n, to);
                n += 8 * V::LEN;
            }
            if n + 4 * V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 4, 2>(of, n, to);
                n += 4 * V::LEN;
            }
            if n + 2 * V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 2, 4>(of, n, to);
                n += 2 * V::LEN;
            }
            if n + V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 1, 4>(of, n, to);
                n += V::LEN;
            }
            if n < self.batch {
                self.block::<V, ORDERED, false, 1, 4>(of, n, to);
            }
        }
    }

    /// `R` vectors of samples of a row of the result, from sample `n` on; the last vector goes beyond the batch unless they are
    /// `WHOLE`. Every `C`th non-zero has its own sums, so that additions need not wait for one another.
    ///
    /// # Safety
    ///
    /// As for [`Factors::row`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn block<V: Vector, const ORDERED: bool, const WHOLE: bool, const R: usize, const C: usize>(
        &self,
        [first, last]: [usize; 2],
        n: usize,
        to: *mut f32,
    ) {
        let mut sums = [[V::splat(0.0); R]; C];
        let whole = first + (last - first) / C * C;
        // SAFETY: non-zeros of the row.
        unsafe {
            for k in (first..whole).step_by(C) {
                for c in 0..C {
                    self.add::<V, ORDERED, WHOLE, R>(k + c, n, &mut sums[c]);
                }
            }
            for k in whole..last {
                self.add::<V, ORDERED, WHOLE, R>(k, n, &mut sums[0]);
            }
        }
        for v in 0..R {
            let sum = sums[1..].iter().fold(sums[0][v], |sum, other| sum.add(other[v]));
            let at = n + v * V::LEN;
            // SAFETY: samples of the row of the result.
            unsafe {
                if WHOLE { sum.store(to.add(at)) } else { sum.store_masked(to.add(at), V::mask(self.batch - at)) }
            };
        }
    }

    /// Adds the product of a non-zero and what it is multiplied with.
    ///
    /// # Safety
    ///
    /// The pattern has the non-zero.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn add<V: Vector, const ORDERED: bool, const WHOLE: bool, const R: usize>(
        &self,
        k: usize,
        n: usize,
        sums: &mut [V; R],
    ) {
        // SAFETY: its column is a row of the other factor, its place one of the values.
        let (x, value) = unsafe {
            let value = *self.values.add(self.pattern.place::<ORDERED>(k));
            (self.x.add(self.pattern.column(k) * self.batch + n), V::splat(value))
        };
        for v in 0..R {
            let at = x.wrapping_add(v * V::LEN);
            // SAFETY: samples of the row, those within the batch.
            let x =
                unsafe { if WHOLE { V::load(at) } else { V::load_masked(at, V::mask(self.batch - n - v * V::LEN)) } };
            sums[v] = value.mul_add(x, sums[v]);
        }
    }
}
