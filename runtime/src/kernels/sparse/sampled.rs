//! Dense times dense where a pattern has non-zeros: the gradient of a compressed factor.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::{Pattern, SparseShape};
use crate::kernels::routine::{Args, Body};
use crate::kernels::vector::Vector;

/// See [`super::sampled()`].
pub struct Sampled;

/// How many non-zeros of a row are computed together, to be summed across in one go.
const TOGETHER: usize = 4;

impl Body for Sampled {
    type Shape = SparseShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &SparseShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.rows);
        let factors = Factors { p: args.a, q: args.b, batch: s.batch, pattern: Pattern::at(s, args.c), to: args.to };
        for row in args.first..args.last {
            // SAFETY: a row of the pattern and of the factor; the places of its non-zeros are nobody else's.
            unsafe { if s.is_ordered { factors.row::<V, true>(row) } else { factors.row::<V, false>(row) } };
        }
    }
}

/// What is multiplied, and where the products go.
#[derive(Clone, Copy)]
struct Factors {
    p: *const f32,
    q: *const f32,
    batch: usize,
    pattern: Pattern,
    to: *mut f32,
}

impl Factors {
    /// The non-zeros of a row, over blocks of samples of which the row's own part fits into registers. What a later block gives is
    /// added to what those before gave.
    ///
    /// # Safety
    ///
    /// The pattern has the row, and nobody else touches the places of its non-zeros.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn row<V: Vector, const ORDERED: bool>(&self, row: usize) {
        let mut n = 0;
        // SAFETY: the caller's promise; each block lies within the row.
        unsafe {
            while n + 8 * V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 8>(row, n);
                n += 8 * V::LEN;
            }
            if n + 4 * V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 4>(row, n);
                n += 4 * V::LEN;
            }
            if n + 2 * V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 2>(row, n);
                n += 2 * V::LEN;
            }
            if n + V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 1>(row, n);
                n += V::LEN;
            }
            if n < self.batch {
                self.block::<V, ORDERED, false, 1>(row, n);
            }
        }
    }

    /// What the `R` vectors of samples from `n` on give to the non-zeros of a row; the vector goes beyond the batch unless it is
    /// `WHOLE`.
    ///
    /// # Safety
    ///
    /// As for [`Factors::row`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn block<V: Vector, const ORDERED: bool, const WHOLE: bool, const R: usize>(&self, row: usize, n: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let [first, last] = self.pattern.row(row);
            let p = self.samples::<V, WHOLE, R>(self.p.add(row * self.batch), n);
            let whole = first + (last - first) / TOGETHER * TOGETHER;
            for k in (first..whole).step_by(TOGETHER) {
                let sums = self.sums::<V, WHOLE, R>(&p, n, [k, k + 1, k + 2, k + 3]);
                for i in 0..TOGETHER {
                    self.give::<ORDERED>(k + i, n, sums[i]);
                }
            }
            if whole < last {
                // The last one stands for those that there are not.
                let of = [0, 1, 2, 3].map(|i| (whole + i).min(last - 1));
                let sums = self.sums::<V, WHOLE, R>(&p, n, of);
                for k in whole..last {
                    self.give::<ORDERED>(k, n, sums[k - whole]);
                }
            }
        }
    }

    /// The samples from `n` on of a row that starts at a pointer.
    ///
    /// # Safety
    ///
    /// The row has the batch's samples.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn samples<V: Vector, const WHOLE: bool, const R: usize>(&self, row: *const f32, n: usize) -> [V; R] {
        let mut samples = [V::splat(0.0); R];
        for v in 0..R {
            let at = n + v * V::LEN;
            // SAFETY: samples of the row, those within the batch.
            samples[v] = unsafe {
                if WHOLE { V::load(row.add(at)) } else { V::load_masked(row.add(at), V::mask(self.batch - at)) }
            };
        }
        samples
    }

    /// The products of samples of a row and those of the rows that non-zeros choose.
    ///
    /// # Safety
    ///
    /// The pattern has the non-zeros.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn sums<V: Vector, const WHOLE: bool, const R: usize>(
        &self,
        p: &[V; R],
        n: usize,
        of: [usize; TOGETHER],
    ) -> [f32; TOGETHER] {
        let mut sums = [V::splat(0.0); TOGETHER];
        for i in 0..TOGETHER {
            // SAFETY: the column of a non-zero is a row of the factor.
            let q = unsafe { self.samples::<V, WHOLE, R>(self.q.add(self.pattern.column(of[i]) * self.batch), n) };
            for v in 0..R {
                sums[i] = p[v].mul_add(q[v], sums[i]);
            }
        }
        V::totals(sums)
    }

    /// Gives a non-zero what the samples from `n` on make.
    ///
    /// # Safety
    ///
    /// The pattern has the non-zero, and nobody else touches its place.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn give<const ORDERED: bool>(&self, k: usize, n: usize, sum: f32) {
        // SAFETY: the place of the non-zero, which earlier samples have written.
        unsafe {
            let to = self.to.add(self.pattern.place::<ORDERED>(k));
            *to = if n == 0 { sum } else { *to + sum };
        }
    }
}
