//! Matrices turned: what a sample holds side by side becomes rows of samples, and back.

use super::Isa;
use super::routine::{Args, Body, Routine, built};
use super::vector::Vector;

/// The sizes of a matrix that is turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct TurnShape {
    /// Rows before, columns after.
    pub rows: usize,
    /// Columns before, rows after.
    pub columns: usize,
}

/// Rows of the result in a position: a cache line of the matrix that is read, so that no two positions share one.
const BLOCK: usize = 16;

impl TurnShape {
    /// How many positions [`turn`] has.
    pub fn extent(&self) -> usize {
        self.columns.div_ceil(BLOCK)
    }
}

/// From a matrix `[rows, columns]` of 32-bit numbers of any type the turned one, `[columns, rows]`. Only the first operand
/// is used, and no work buffer.
pub fn turn(isa: Isa) -> Routine<TurnShape> {
    built::<Turn>(isa)
}

struct Turn;

impl Body for Turn {
    type Shape = TurnShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &TurnShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent());
        let (first, last) = (args.first * BLOCK, s.columns.min(args.last * BLOCK));
        // Sides of squares, and what is left of both sides.
        let whole_rows = s.rows - s.rows % V::LEN;
        let whole_columns = first + (last - first) / V::LEN * V::LEN;
        for column in (first..whole_columns).step_by(V::LEN) {
            for row in (0..whole_rows).step_by(V::LEN) {
                // SAFETY: a square of the matrix and one of the result, whose rows nobody else writes.
                unsafe {
                    let (from, to) = (args.a.add(row * s.columns + column), args.to.add(column * s.rows + row));
                    V::turn((from, s.columns), (to, s.rows));
                }
            }
            // SAFETY: elements of the matrix and of rows of the result that nobody else writes.
            unsafe { each(s, args, [whole_rows, s.rows], [column, column + V::LEN]) };
        }
        // SAFETY: the same.
        unsafe { each(s, args, [0, s.rows], [whole_columns, last]) };
    }
}

/// Turns rows and columns, both from one number to another, element by element, as bits.
///
/// # Safety
///
/// As for [`Routine`]; nobody else writes the rows of the result that the columns become.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn each(s: &TurnShape, args: Args, rows: [usize; 2], columns: [usize; 2]) {
    let (from, to) = (args.a.cast::<u32>(), args.to.cast::<u32>());
    for column in columns[0]..columns[1] {
        for row in rows[0]..rows[1] {
            // SAFETY: an element of either matrix.
            unsafe { *to.add(column * s.rows + row) = *from.add(row * s.columns + column) };
        }
    }
}
