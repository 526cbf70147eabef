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
        // SAFETY: rows of the pattern and of the result, which nobody else writes.
        unsafe {
            if s.is_ordered {
                factors.rows::<V, true>(args.first, args.last, args.to);
            } else {
                factors.rows::<V, false>(args.first, args.last, args.to);
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
    /// Rows of the result that starts at `to`.
    ///
    /// # Safety
    ///
    /// The pattern has the rows, and nobody else touches those of the result.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn rows<V: Vector, const ORDERED: bool>(&self, first: usize, last: usize, to: *mut f32) {
        let mut row = first;
        while row < last {
            // SAFETY: the caller's promise.
            unsafe {
                let to = to.add(row * self.batch);
                if self.batch == 1 {
                    *to = self.number::<ORDERED>(row);
                    row += 1;
                    continue;
                }
                let alike = self.pattern.alike::<ORDERED>(row, last);
                match alike {
                    4 => self.four::<V, ORDERED>(row, to),
                    2 => self.two::<V, ORDERED>(row, to, 0),
                    _ => self.one::<V, ORDERED>(row, to),
                }
                row += alike;
            }
        }
    }

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
    unsafe fn one<V: Vector, const ORDERED: bool>(&self, row: usize, to: *mut f32) {
        let mut n = 0;
        // SAFETY: the caller's promise; each block lies within the row.
        unsafe {
            while n + 8 * V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 1, 8, 1>(row, n, to);
                n += 8 * V::LEN;
            }
            if n + 4 * V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 1, 4, 2>(row, n, to);
                n += 4 * V::LEN;
            }
            if n + 2 * V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 1, 2, 4>(row, n, to);
                n += 2 * V::LEN;
            }
            if n + V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 1, 1, 4>(row, n, to);
                n += V::LEN;
            }
            if n < self.batch {
                self.block::<V, ORDERED, false, 1, 1, 4>(row, n, to);
            }
        }
    }

    /// Two rows that are alike, from sample `n` on; sums are those of [`Factors::one`].
    ///
    /// # Safety
    ///
    /// The pattern has the rows, they are alike, and nobody else touches the rows at `to`.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn two<V: Vector, const ORDERED: bool>(&self, row: usize, to: *mut f32, mut n: usize) {
        // SAFETY: the caller's promise; each block lies within the rows.
        unsafe {
            while n + 8 * V::LEN <= self.batch {
                for part in 0..2 {
                    self.block::<V, ORDERED, true, 2, 4, 1>(row, n + part * 4 * V::LEN, to);
                }
                n += 8 * V::LEN;
            }
            if n + 4 * V::LEN <= self.batch {
                for part in 0..2 {
                    self.block::<V, ORDERED, true, 2, 2, 2>(row, n + part * 2 * V::LEN, to);
                }
                n += 4 * V::LEN;
            }
            while n + V::LEN <= self.batch {
                self.block::<V, ORDERED, true, 2, 1, 4>(row, n, to);
                n += V::LEN;
            }
            if n < self.batch {
                self.block::<V, ORDERED, false, 2, 1, 4>(row, n, to);
            }
        }
    }

    /// Four rows that are alike; sums are those of [`Factors::one`].
    ///
    /// # Safety
    ///
    /// The pattern has the rows, they are alike, and nobody else touches the rows at `to`.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn four<V: Vector, const ORDERED: bool>(&self, row: usize, to: *mut f32) {
        let mut n = 0;
        // SAFETY: the caller's promise; each block lies within the rows.
        unsafe {
            while n + 8 * V::LEN <= self.batch {
                for part in 0..4 {
                    self.block::<V, ORDERED, true, 4, 2, 1>(row, n + part * 2 * V::LEN, to);
                }
                n += 8 * V::LEN;
            }
            if n + 4 * V::LEN <= self.batch {
                for part in 0..4 {
                    self.block::<V, ORDERED, true, 4, 1, 2>(row, n + part * V::LEN, to);
                }
                n += 4 * V::LEN;
            }
            if n < self.batch {
                self.two::<V, ORDERED>(row, to, n);
                self.two::<V, ORDERED>(row + 2, to.add(2 * self.batch), n);
            }
        }
    }

    /// `R` vectors of samples of `B` rows of the result that are alike, from sample `n` on; the last vector goes beyond the batch unless
    /// they are `WHOLE`. Every `C`th non-zero has its own sums, so that additions need not wait for one another.
    ///
    /// # Safety
    ///
    /// As for [`Factors::four`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn block<
        V: Vector,
        const ORDERED: bool,
        const WHOLE: bool,
        const B: usize,
        const R: usize,
        const C: usize,
    >(
        &self,
        row: usize,
        n: usize,
        to: *mut f32,
    ) {
        let mut sums = [[[V::splat(0.0); R]; B]; C];
        // SAFETY: non-zeros of the row.
        unsafe {
            let ([first, last], step) = (self.pattern.row(row), self.pattern.step::<ORDERED>(row));
            let whole = first + (last - first) / C * C;
            for k in (first..whole).step_by(C) {
                for c in 0..C {
                    self.add::<V, ORDERED, WHOLE, B, R>(k + c, step, n, &mut sums[c]);
                }
            }
            for k in whole..last {
                self.add::<V, ORDERED, WHOLE, B, R>(k, step, n, &mut sums[0]);
            }
        }
        for i in 0..B {
            for v in 0..R {
                let mut sum = sums[0][i][v];
                for c in 1..C {
                    sum = sum.add(sums[c][i][v]);
                }
                let at = n + v * V::LEN;
                // SAFETY: samples of a row of the result.
                unsafe {
                    let to = to.add(i * self.batch + at);
                    if WHOLE { sum.store(to) } else { sum.store_masked(to, V::mask(self.batch - at)) }
                };
            }
        }
    }

    /// Adds the products of a column's non-zeros in `B` rows and what they are multiplied with.
    ///
    /// # Safety
    ///
    /// The pattern has the non-zero `k`, and values of the other rows follow at this step.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn add<V: Vector, const ORDERED: bool, const WHOLE: bool, const B: usize, const R: usize>(
        &self,
        k: usize,
        step: usize,
        n: usize,
        sums: &mut [[V; R]; B],
    ) {
        // SAFETY: its column is a row of the other factor, its place one of the values.
        let (row, values) = unsafe {
            let values = self.values.add(self.pattern.place::<ORDERED>(k));
            (self.x.add(self.pattern.column(k) * self.batch + n), values)
        };
        let mut x = [V::splat(0.0); R];
        for v in 0..R {
            let at = row.wrapping_add(v * V::LEN);
            // SAFETY: samples of the row, those within the batch.
            x[v] =
                unsafe { if WHOLE { V::load(at) } else { V::load_masked(at, V::mask(self.batch - n - v * V::LEN)) } };
        }
        for i in 0..B {
            // SAFETY: a value of the column.
            let value = V::splat(unsafe { *values.add(i * step) });
            for v in 0..R {
                sums[i][v] = value.mul_add(x[v], sums[i][v]);
            }
        }
    }
}
