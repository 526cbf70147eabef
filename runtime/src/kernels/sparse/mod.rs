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
}

#[cfg(test)]
mod tests;
