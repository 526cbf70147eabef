//! A matrix times a vector, where rows of the matrix and the vector lie in order: several rows are summed together, each by vectors.

#![expect(clippy::needless_range_loop, reason = "sums are in step with pointers; plain loops unroll")]

use super::Matrix;
use crate::kernels::vector::{Vector, load_row};

/// Rows that are summed together.
const ROWS: usize = 4;

/// Vectors of a row that have sums of their own, since additions wait for one another.
const APART: usize = 2;

/// A matrix with `k` columns times a vector: one number for each row, added to what the result holds if that is kept.
#[derive(Clone, Copy)]
pub struct Dots {
    pub matrix: Matrix,
    pub vector: *const f32,
    pub k: usize,
    pub to: Matrix,
    pub is_kept: bool,
}

impl Dots {
    /// The rows below `count`.
    ///
    /// # Safety
    ///
    /// Matrix and vector can be read, and the result written.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    pub unsafe fn run<V: Vector>(&self, count: usize) {
        let mut row = 0;
        while row < count {
            let together = ROWS.min(count - row);
            // The last row stands for those that there are not.
            let mut rows = [std::ptr::null(); ROWS];
            for r in 0..ROWS {
                rows[r] = self.matrix.at(row + r.min(together - 1), 0).cast_const();
            }
            // SAFETY: the caller's promise.
            unsafe {
                let sums = self.sums::<V>(rows);
                for r in 0..together {
                    let to = self.to.at(row + r, 0);
                    *to = if self.is_kept { *to + sums[r] } else { sums[r] };
                }
            }
            row += together;
        }
    }

    /// # Safety
    ///
    /// As for [`Self::run`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn sums<V: Vector>(&self, rows: [*const f32; ROWS]) -> [f32; ROWS] {
        let mut sums = [[V::splat(0.0); APART]; ROWS];
        let whole = self.k / (APART * V::LEN) * (APART * V::LEN);
        // SAFETY: the caller's promise.
        unsafe {
            for at in (0..whole).step_by(APART * V::LEN) {
                let x = load_row::<V, APART>(self.vector.add(at));
                for r in 0..ROWS {
                    let row = load_row::<V, APART>(rows[r].add(at));
                    for v in 0..APART {
                        sums[r][v] = x[v].mul_add(row[v], sums[r][v]);
                    }
                }
            }
            let mut at = whole;
            while at < self.k {
                let mask = V::mask(self.k - at);
                let x = V::load_masked(self.vector.add(at), mask);
                for r in 0..ROWS {
                    sums[r][0] = x.mul_add(V::load_masked(rows[r].add(at), mask), sums[r][0]);
                }
                at += V::LEN;
            }
        }
        let mut totals = [V::splat(0.0); ROWS];
        for r in 0..ROWS {
            totals[r] = sums[r][0].add(sums[r][1]);
        }
        V::totals(totals)
    }
}
