//! Dense times dense where a pattern has non-zeros: the gradient of a compressed factor.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::{Pattern, SparseShape};
use crate::kernels::routine::{Args, Body};
use crate::kernels::vector::Vector;

/// See [`super::sampled()`].
pub struct Sampled;

/// How many non-zeros are computed together, to be summed across in one go.
const TOGETHER: usize = 4;

impl Body for Sampled {
    type Shape = SparseShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &SparseShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.rows);
        let factors = Factors { p: args.a, q: args.b, batch: s.batch, pattern: Pattern::at(s, args.c), to: args.to };
        // SAFETY: rows of the pattern and of the factor; the places of their non-zeros are nobody else's.
        unsafe {
            if s.is_ordered {
                factors.rows::<V, true>(args.first, args.last);
            } else {
                factors.rows::<V, false>(args.first, args.last);
            }
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

/// Some of the batch, and where rows that are alike have their values.
#[derive(Clone, Copy)]
struct Samples {
    /// The first one.
    n: usize,
    /// How many vectors of them.
    vectors: usize,
    /// See [`Pattern::step`].
    step: usize,
}

impl Factors {
    /// The non-zeros of rows.
    ///
    /// # Safety
    ///
    /// The pattern has the rows, and nobody else touches the places of their non-zeros.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn rows<V: Vector, const ORDERED: bool>(&self, first: usize, last: usize) {
        let mut row = first;
        while row < last {
            // SAFETY: the caller's promise.
            unsafe {
                let alike = self.pattern.alike::<ORDERED>(row, last);
                match alike {
                    4 => self.together::<V, ORDERED, 4, 2>(row),
                    2 => self.together::<V, ORDERED, 2, 4>(row),
                    _ => self.one::<V, ORDERED>(row),
                }
                row += alike;
            }
        }
    }

    /// The non-zeros of a row, over blocks of samples of which the row's own part fits into registers. What a later block gives is
    /// added to what those before gave.
    ///
    /// # Safety
    ///
    /// The pattern has the row, and nobody else touches the places of its non-zeros.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn one<V: Vector, const ORDERED: bool>(&self, row: usize) {
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
    /// As for [`Factors::one`].
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
                    self.give(self.pattern.place::<ORDERED>(k + i), n, sums[i]);
                }
            }
            if whole < last {
                // The last one stands for those that there are not.
                let of = [0, 1, 2, 3].map(|i| (whole + i).min(last - 1));
                let sums = self.sums::<V, WHOLE, R>(&p, n, of);
                for k in whole..last {
                    self.give(self.pattern.place::<ORDERED>(k), n, sums[k - whole]);
                }
            }
        }
    }

    /// The non-zeros of `B` rows that are alike, over blocks of as many samples as [`Factors::one`] takes, in the columns of `T`
    /// non-zeros together.
    ///
    /// # Safety
    ///
    /// The pattern has the rows, they are alike, and nobody else touches the places of their non-zeros.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn together<V: Vector, const ORDERED: bool, const B: usize, const T: usize>(&self, row: usize) {
        // SAFETY: the caller's promise.
        let step = unsafe { self.pattern.step::<ORDERED>(row) };
        let mut n = 0;
        while n < self.batch {
            let left = (self.batch - n) / V::LEN;
            let vectors = if left > 8 { 8 } else { 1 << left.max(1).ilog2() };
            let of = Samples { n, vectors, step };
            // SAFETY: the caller's promise; the block lies within the rows.
            unsafe {
                if left > 0 {
                    self.columns::<V, ORDERED, true, B, T>(row, of);
                } else {
                    self.columns::<V, ORDERED, false, B, T>(row, of);
                }
            }
            n += vectors * V::LEN;
        }
    }

    /// What samples give to the non-zeros of rows that are alike.
    ///
    /// # Safety
    ///
    /// As for [`Factors::together`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn columns<V: Vector, const ORDERED: bool, const WHOLE: bool, const B: usize, const T: usize>(
        &self,
        row: usize,
        of: Samples,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let [first, last] = self.pattern.row(row);
            let whole = first + (last - first) / T * T;
            for k in (first..whole).step_by(T) {
                self.tile::<V, ORDERED, WHOLE, B, T>(row, k, of);
            }
            for k in whole..last {
                self.tile::<V, ORDERED, WHOLE, B, 1>(row, k, of);
            }
        }
    }

    /// The same for the columns of `T` non-zeros from `k` on.
    ///
    /// # Safety
    ///
    /// As for [`Factors::together`]; the row has the non-zeros.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn tile<V: Vector, const ORDERED: bool, const WHOLE: bool, const B: usize, const T: usize>(
        &self,
        row: usize,
        k: usize,
        Samples { n, vectors, step }: Samples,
    ) {
        let mut sums = [[V::splat(0.0); TOGETHER]; T];
        let mut q = [self.q; T];
        for t in 0..T {
            // SAFETY: the column of a non-zero is a row of the factor.
            q[t] = unsafe { self.q.add(self.pattern.column(k + t) * self.batch) };
        }
        // As many times as is known when it runs: unrolled, it would not fit into the registers.
        for v in 0..vectors {
            let mut p = [V::splat(0.0); B];
            for i in 0..B {
                // SAFETY: samples of one of the rows.
                p[i] = unsafe { self.vector::<V, WHOLE>(self.p.add((row + i) * self.batch), n + v * V::LEN) };
            }
            for t in 0..T {
                // SAFETY: samples of the row.
                let q = unsafe { self.vector::<V, WHOLE>(q[t], n + v * V::LEN) };
                for i in 0..B {
                    sums[t][i] = p[i].mul_add(q, sums[t][i]);
                }
            }
        }
        for t in 0..T {
            let totals = V::totals(sums[t]);
            for i in 0..B {
                // SAFETY: the place of a non-zero.
                unsafe { self.give(self.pattern.place::<ORDERED>(k + t) + i * step, n, totals[i]) };
            }
        }
    }

    /// The samples of a row from `n` on; those within the batch unless they are `WHOLE`.
    ///
    /// # Safety
    ///
    /// The row has the batch's samples.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn vector<V: Vector, const WHOLE: bool>(&self, row: *const f32, n: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { if WHOLE { V::load(row.add(n)) } else { V::load_masked(row.add(n), V::mask(self.batch - n)) } }
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
            // SAFETY: the caller's promise.
            samples[v] = unsafe { self.vector::<V, WHOLE>(row, n + v * V::LEN) };
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

    /// Gives the non-zero at a place what the samples from `n` on make.
    ///
    /// # Safety
    ///
    /// It is the place of a non-zero, and nobody else touches it.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn give(&self, place: usize, n: usize, sum: f32) {
        // SAFETY: the caller's promise; earlier samples have written there.
        unsafe {
            let to = self.to.add(place);
            *to = if n == 0 { sum } else { *to + sum };
        }
    }
}
