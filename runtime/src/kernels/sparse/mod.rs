//! Products with a matrix of which few elements, scattered, are not zero.
//!
//! The matrix is *compressed*: its non-zeros lie row after row in a vector of values, and a *pattern* of integers says
//! where they stand. The other factor and the result hold a feature in each row, its samples side by side.
//!
//! # Patterns
//!
//! A pattern of `rows` rows and `n` non-zeros is `rows + 1` starts (row `r` has the non-zeros from `start[r]` to
//! `start[r + 1]`, exclusive; the first start is 0, the last `n`, and they do not decrease), then `n` columns, then,
//! if it is *ordered*, `n` places: non-zero `k` has the value `values[place[k]]`, and no place occurs twice. So a matrix
//! and its transpose share one vector of values. All are `i32`, passed as a pointer to `f32`, which has the same size.
//!
//! # Blocks
//!
//! Where neighbouring rows have their non-zeros in the same columns, as those of a matrix whose groups are blocks do, two or four
//! of them are computed together and read the rows of the other factor once. That is found out as they are met: no pattern
//! has to promise it, and no sum is made in another order.

mod product;
mod sampled;

use super::Isa;
use super::routine::{Routine, built};

/// The sizes of a compressed matrix and of what it is multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct SparseShape {
    /// Rows of the matrix; also the positions of the extent.
    pub rows: usize,
    /// Columns of the matrix.
    pub columns: usize,
    /// Its non-zeros.
    pub non_zeros: usize,
    /// Samples: the length of the rows of the other factor and of the result.
    pub batch: usize,
    /// Whether the pattern has places.
    pub is_ordered: bool,
}

impl SparseShape {
    /// How many integers the pattern has.
    pub fn pattern_len(&self) -> usize {
        self.rows + 1 + self.non_zeros * if self.is_ordered { 2 } else { 1 }
    }
}

/// From values `[non_zeros]`, rows `x: [columns, batch]` and a pattern the product `[rows, batch]` of the matrix and `x`. The
/// work buffer is not used.
///
/// Beside what [`Routine`] says, the pattern is one, and its columns and places are those of the shape.
pub fn product(isa: Isa) -> Routine<SparseShape> {
    built::<product::Product>(isa)
}

/// From rows `p: [rows, batch]` and `q: [columns, batch]` and a pattern the elements of `p · qᵀ` at the non-zeros,
/// `[non_zeros]`, each where the pattern has its value. The work buffer is not used.
///
/// Beside what [`Routine`] says, the pattern is one, and its columns and places are those of the shape.
pub fn sampled(isa: Isa) -> Routine<SparseShape> {
    built::<sampled::Sampled>(isa)
}

/// A pattern in memory.
#[derive(Clone, Copy)]
struct Pattern {
    starts: *const i32,
    columns: *const i32,
    places: *const i32,
}

impl Pattern {
    /// The pattern of this shape at a pointer.
    #[inline(always)]
    fn at(s: &SparseShape, start: *const f32) -> Pattern {
        let starts = start.cast::<i32>();
        let columns = starts.wrapping_add(s.rows + 1);
        Pattern { starts, columns, places: columns.wrapping_add(s.non_zeros) }
    }

    /// The first non-zero of a row and the one behind its last.
    ///
    /// # Safety
    ///
    /// The pattern has the row.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads memory")]
    unsafe fn row(&self, row: usize) -> [usize; 2] {
        // SAFETY: there is one start more than rows.
        unsafe { [*self.starts.add(row) as usize, *self.starts.add(row + 1) as usize] }
    }

    /// The column of a non-zero.
    ///
    /// # Safety
    ///
    /// The pattern has the non-zero.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads memory")]
    unsafe fn column(&self, k: usize) -> usize {
        // SAFETY: the caller's promise.
        unsafe { *self.columns.add(k) as usize }
    }

    /// Where the value of a non-zero stands; `ORDERED` is what the shape says.
    ///
    /// # Safety
    ///
    /// The pattern has the non-zero.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads memory")]
    unsafe fn place<const ORDERED: bool>(&self, k: usize) -> usize {
        // SAFETY: the caller's promise; an ordered pattern has a place for each non-zero.
        if ORDERED { unsafe { *self.places.add(k) as usize } } else { k }
    }

    /// How many rows from this one on, 4, 2 or 1 of those before `end`, are to be computed together: they have non-zeros in the same
    /// columns, and the values of a column lie as far apart as [`Pattern::step`] says.
    ///
    /// # Safety
    ///
    /// The pattern has the rows before `end`, and `row` is one of them.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads memory")]
    unsafe fn alike<const ORDERED: bool>(&self, row: usize, end: usize) -> usize {
        let mut alike = 1;
        // SAFETY: rows before the end.
        while alike < 4 && row + alike < end && unsafe { self.is_like::<ORDERED>(row, row + alike) } {
            alike += 1;
        }
        if alike == 3 { 2 } else { alike }
    }

    /// Whether a later row can be computed together with one.
    ///
    /// # Safety
    ///
    /// The pattern has both rows.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads memory")]
    unsafe fn is_like<const ORDERED: bool>(&self, row: usize, later: usize) -> bool {
        // SAFETY: rows of the pattern, and as many non-zeros as both have.
        unsafe {
            let [[first, last], [start, end]] = [self.row(row), self.row(later)];
            let count = last - first;
            if end - start != count || count > 0 && self.column(first) != self.column(start) {
                return false;
            }
            // Without a way out in the middle, so that many are compared at a time.
            let mut differences = 0;
            for k in 0..count {
                differences |= *self.columns.add(first + k) ^ *self.columns.add(start + k);
            }
            if ORDERED {
                let step = (later - row) as i32;
                for k in 0..count {
                    differences |= (*self.places.add(first + k) + step) ^ *self.places.add(start + k);
                }
            }
            differences == 0
        }
    }

    /// How far apart the values of a column are in rows that are [alike](Pattern::alike), of which this is one.
    ///
    /// # Safety
    ///
    /// The pattern has the row.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads memory")]
    unsafe fn step<const ORDERED: bool>(&self, row: usize) -> usize {
        // SAFETY: the caller's promise.
        let [first, last] = unsafe { self.row(row) };
        if ORDERED { 1 } else { last - first }
    }
}
