//! Matrices turned: what a sample holds side by side becomes rows of samples, and back.

use super::Isa;
use super::routine::{Args, Body, Routine, built};
use super::vector::Vector;

/// The sizes of a tensor whose axes are turned around: of a matrix, or of one with an axis, or several that stay together, in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct TurnShape {
    /// The first axis before, the last one after.
    pub rows: usize,
    /// What stays in the middle; 1 for a matrix.
    pub middle: usize,
    /// The last axis before, the first one after.
    pub columns: usize,
}

/// Rows of the result in a position: a cache line of the matrix that is read, so that no two positions share one.
const BLOCK: usize = 16;

/// How many rows [`turn_rows`] turns at most: those that fill a cache line of the result.
pub const TOGETHER: usize = 16;

/// How far ahead in a row, in numbers, memory is asked for before it is read.
pub const AHEAD: usize = 128;

impl TurnShape {
    /// How many positions [`turn`] has.
    pub fn extent(&self) -> usize {
        let along = if self.is_tall() { self.middle } else { self.columns };
        along.div_ceil(BLOCK)
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.rows * self.middle * self.columns
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the number at a place of the result is read.
    pub fn source(&self, at: usize) -> usize {
        let (row, middle, column) = (at % self.rows, at / self.rows % self.middle, at / (self.rows * self.middle));
        (row * self.middle + middle) * self.columns + column
    }

    /// Whether rows are what many of can be turned together: weights of convolutions, `[out, in, taps]`. Else it is columns.
    fn is_tall(&self) -> bool {
        self.middle > 1 && self.rows >= self.columns
    }
}

/// From `[rows, middle, columns]` of 32-bit numbers of any type `[columns, middle, rows]`. Only the first operand is used, and no work buffer.
pub fn turn(isa: Isa) -> Routine<TurnShape> {
    built::<Turn>(isa)
}

/// Turns up to [`TOGETHER`] rows of equal length, wherever they lie: the numbers that they hold at element `i` become `to[i * pitch..]`. Rows are
/// asked for [`AHEAD`] of their being read.
///
/// # Panics
///
/// If there are more rows, they have different lengths, or `to` ends before the last of their elements.
pub fn turn_rows(isa: Isa, rows: &[&[f32]], to: &mut [f32], pitch: usize) {
    let columns = rows.first().map_or(0, |row| row.len());
    assert!(rows.len() <= TOGETHER && rows.iter().all(|row| row.len() == columns), "rows that can be turned together");
    if columns == 0 {
        return;
    }
    assert!(rows.len() <= pitch && (columns - 1) * pitch + rows.len() <= to.len(), "room for the turned rows");
    assert!(isa.is_available(), "{isa:?} is not one of `Isa::available()`");
    let mut starts = [std::ptr::null(); TOGETHER];
    starts.iter_mut().zip(rows).for_each(|(start, row)| *start = row.as_ptr());
    let strip = Strip { rows: starts, count: rows.len(), pitch };
    let unused = [std::ptr::null(); 3];
    // SAFETY: the machine has the instruction set, the rows have as many elements, and the result has room for them.
    #[expect(unsafe_code, reason = "a routine over memory that has just been looked at")]
    unsafe {
        built::<Ahead>(isa)(&strip, &unused, to.as_mut_ptr(), std::ptr::null_mut(), 0, columns);
    }
}

/// Some rows of a matrix.
struct Strip {
    /// Where they begin.
    rows: [*const f32; TOGETHER],
    /// How many there are.
    count: usize,
    /// The elements from one row of the result to the next.
    pitch: usize,
}

impl Strip {
    /// Turns the columns from one number to another; the first of them becomes the row at `to`. If `ASKS`, rows are asked for ahead.
    ///
    /// # Safety
    ///
    /// The rows have these elements, and there is room for them in rows of the result which nobody else writes.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn turn<V: Vector, const ASKS: bool>(&self, [first, last]: [usize; 2], to: *mut f32) {
        // Sides of squares, and what is left of both sides.
        let whole_rows = self.count - self.count % V::LEN;
        let whole_columns = first + (last - first) / V::LEN * V::LEN;
        for column in (first..whole_columns).step_by(V::LEN) {
            // SAFETY: elements of the rows, and rows of the result; any memory may be asked for.
            unsafe {
                let to = to.add((column - first) * self.pitch);
                if ASKS {
                    for row in &self.rows[..self.count] {
                        V::prefetch(row.wrapping_add(column + AHEAD));
                    }
                }
                for row in (0..whole_rows).step_by(V::LEN) {
                    V::turn(self.rows.as_ptr().add(row), column, to.add(row), self.pitch);
                }
                self.each([whole_rows, self.count], [column, column + V::LEN], to);
            }
        }
        // SAFETY: the same.
        unsafe { self.each([0, self.count], [whole_columns, last], to.add((whole_columns - first) * self.pitch)) };
    }

    /// Turns rows and columns, both from one number to another, element by element, as bits.
    ///
    /// # Safety
    ///
    /// As for [`Self::turn`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn each(&self, rows: [usize; 2], columns: [usize; 2], to: *mut f32) {
        for column in columns[0]..columns[1] {
            for row in rows[0]..rows[1] {
                // SAFETY: an element of a row, and its place in the result.
                unsafe {
                    let to = to.add((column - columns[0]) * self.pitch + row);
                    *to.cast::<u32>() = *self.rows[row].add(column).cast::<u32>();
                }
            }
        }
    }
}

struct Turn;

impl Body for Turn {
    type Shape = TurnShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &TurnShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent());
        if s.is_tall() {
            // SAFETY: the same promise.
            return unsafe { tall::<V>(s, args) };
        }
        let columns = [args.first * BLOCK, s.columns.min(args.last * BLOCK)];
        let pitch = s.middle * s.rows;
        for first in (0..pitch).step_by(TOGETHER) {
            let count = TOGETHER.min(pitch - first);
            let mut rows = [std::ptr::null(); TOGETHER];
            for (at, start) in (first..).zip(&mut rows[..count]) {
                *start = args.a.wrapping_add(s.source(at));
            }
            // SAFETY: rows of the tensor, and rows of the result that nobody else writes.
            unsafe {
                let to = args.to.add(columns[0] * pitch + first);
                Strip { rows, count, pitch }.turn::<V, false>(columns, to);
            }
        }
    }
}

/// Turns parts of rows that lie in the middle, from one position to another: what becomes a row of the result is turned in a small square first.
///
/// # Safety
///
/// As for [`Routine`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn tall<V: Vector>(s: &TurnShape, args: Args) {
    let (first, last) = (args.first * BLOCK * s.columns, s.middle.min(args.last * BLOCK) * s.columns);
    for row in (0..s.rows).step_by(TOGETHER) {
        let count = TOGETHER.min(s.rows - row);
        let mut rows = [std::ptr::null(); TOGETHER];
        for (at, start) in rows.iter_mut().enumerate() {
            // Where there are not so many, the last one once more: whole squares are turned.
            *start = args.a.wrapping_add((row + at.min(count - 1)) * s.middle * s.columns);
        }
        let mut square = [0.0; TOGETHER * TOGETHER];
        for at in (first..last).step_by(V::LEN) {
            let width = V::LEN.min(last - at);
            // SAFETY: elements of the rows; as many rows of the square as a vector has numbers.
            unsafe {
                if width == V::LEN {
                    for part in (0..TOGETHER).step_by(V::LEN) {
                        V::turn(rows.as_ptr().add(part), at, square.as_mut_ptr().add(part), TOGETHER);
                    }
                } else {
                    Strip { rows, count, pitch: TOGETHER }.each([0, count], [at, at + width], square.as_mut_ptr());
                }
            }
            for (at, numbers) in (at..at + width).zip(square.chunks_exact(TOGETHER)) {
                let place = (at % s.columns * s.middle + at / s.columns) * s.rows + row;
                // SAFETY: a part of a row of the result that nobody else writes, as bits.
                unsafe { store::<V>(numbers, count, args.to.add(place)) };
            }
        }
    }
}

/// Writes the first numbers of a row of a square.
///
/// # Safety
///
/// So many can be written.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn store<V: Vector>(numbers: &[f32], count: usize, to: *mut f32) {
    if count == TOGETHER {
        for part in (0..TOGETHER).step_by(V::LEN) {
            // SAFETY: the caller's promise; a square has so many columns.
            unsafe { V::load(numbers.as_ptr().add(part)).store(to.add(part)) };
        }
    } else {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr().cast::<u32>(), to.cast(), count) };
    }
}

/// [`turn_rows`], with a position for each column.
struct Ahead;

impl Body for Ahead {
    type Shape = Strip;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the caller has looked at")]
    unsafe fn run<V: Vector>(strip: &Strip, args: Args) {
        // SAFETY: the same promise.
        unsafe { strip.turn::<V, true>([args.first, args.last], args.to.add(args.first * strip.pitch)) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_become_columns(count in 1..=TOGETHER, columns in 0usize..70, extra in 0usize..5, apart in 0usize..9) {
            let numbers: Vec<f32> = (0..count * (columns + apart)).map(|x| x as f32).collect();
            let rows: Vec<&[f32]> = (0..count).rev().map(|row| &numbers[row * (columns + apart)..][..columns]).collect();
            let pitch = count + extra;
            for isa in Isa::available() {
                let mut turned = vec![-1.0; columns * pitch];
                turn_rows(isa, &rows, &mut turned, pitch);
                let expected = |at: usize| rows.get(at % pitch).map_or(-1.0, |row| row[at / pitch]);
                prop_assert!(turned.iter().enumerate().all(|(at, x)| *x == expected(at)), "{isa:?}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "room for the turned rows")]
    fn the_result_has_room() {
        turn_rows(Isa::Portable, &[&[1.0, 2.0], &[3.0, 4.0]], &mut [0.0; 3], 2);
    }
}
