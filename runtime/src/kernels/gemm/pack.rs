//! Copies of parts of the factors.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use super::tile::ROWS;
use super::{Matrix, STRETCH};
use crate::kernels::vector::{Vector, load_row, load_row_masked};

/// How many numbers a block of the smaller factor has at most: half of a second-level cache.
pub const BLOCK: usize = 64 * 1024;

/// How many numbers a panel of either factor has at most: two of the longest vectors for each number of a stretch.
const PANEL: usize = 2 * 16 * STRETCH;

/// How many rows or columns of so many numbers a block has room for.
#[inline(always)]
pub fn in_block(length: usize) -> usize {
    BLOCK / length.max(1)
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "memory that is reached by pointers")] [f32; 16]);

thread_local! {
    /// Room for a block and a panel. On the stack, it would be looked through page by page at each call.
    static ROOM: RefCell<Vec<MaybeUninit<Line>>> = const { RefCell::new(vec![]) };
}

/// Where this thread has room for a block and, behind it, for a panel. Both are written before they are read.
pub fn room() -> [*mut f32; 2] {
    let start = ROOM.with_borrow_mut(|room| {
        room.reserve_exact((BLOCK + PANEL) / 16);
        room.as_mut_ptr().cast::<f32>()
    });
    [start, start.wrapping_add(BLOCK)]
}

/// Rows of the first factor as a tile reads them.
#[derive(Clone, Copy)]
pub struct Rows {
    pub start: *const f32,
    /// See [`super::tile::Tile::rows`].
    pub apart: Option<[usize; 2]>,
}

impl Rows {
    /// Rows that are left where they are.
    #[inline(always)]
    pub fn in_place(from: Matrix) -> Rows {
        Rows { start: from.start, apart: Some([from.row, from.col]) }
    }

    /// `height` rows of `length` numbers, copied.
    ///
    /// # Safety
    ///
    /// The rows can be read, and as many numbers be written at `to`.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    pub unsafe fn copied(from: Matrix, length: usize, height: usize, to: *mut f32) -> Rows {
        // SAFETY: the caller's promise.
        unsafe {
            if height == ROWS && from.row == 1 {
                for at in 0..length {
                    // A fixed number is copied by two instructions.
                    std::ptr::copy_nonoverlapping(from.at(0, at), to.add(at * ROWS), ROWS);
                }
            } else {
                for at in 0..length {
                    for row in 0..height {
                        *to.add(at * height + row) = *from.at(row, at);
                    }
                }
            }
        }
        Rows { start: to, apart: None }
    }
}

/// Copies `width` columns of `length` numbers: two vectors for each number, zeros behind the last column.
///
/// # Safety
///
/// The columns can be read, and two vectors of `length` numbers be written at `to`; two vectors have at least as many numbers as there are
/// columns.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub unsafe fn columns<V: Vector>(from: Matrix, length: usize, width: usize, to: *mut f32) {
    let pitch = 2 * V::LEN;
    // SAFETY: the caller's promise.
    unsafe {
        if from.col == 1 && width == pitch {
            for at in 0..length {
                let [low, high] = load_row::<V, 2>(from.at(at, 0));
                low.store(to.add(at * pitch));
                high.store(to.add(at * pitch + V::LEN));
            }
        } else if from.col == 1 {
            let masks = [V::mask(width), V::mask(width.saturating_sub(V::LEN))];
            for at in 0..length {
                let [low, high] = load_row_masked::<V, 2>(from.at(at, 0), &masks);
                low.store(to.add(at * pitch));
                high.store(to.add(at * pitch + V::LEN));
            }
        } else {
            let whole = if from.row == 1 { width / V::LEN * V::LEN } else { 0 };
            let mut first = 0;
            while first < whole {
                turned::<V>(from.from(0, first), length, to.add(first));
                first += V::LEN;
            }
            for at in 0..length {
                for col in whole..pitch {
                    *to.add(at * pitch + col) = if col < width { *from.at(at, col) } else { 0.0 };
                }
            }
        }
    }
}

/// As many columns as a vector has numbers, each of whose numbers lie in order.
///
/// # Safety
///
/// As for [`columns`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn turned<V: Vector>(from: Matrix, length: usize, to: *mut f32) {
    let (pitch, whole) = (2 * V::LEN, length / V::LEN * V::LEN);
    // SAFETY: the caller's promise.
    unsafe {
        let mut at = 0;
        while at < whole {
            V::turn((from.at(at, 0), from.col), (to.add(at * pitch), pitch));
            at += V::LEN;
        }
        for at in whole..length {
            for col in 0..V::LEN {
                *to.add(at * pitch + col) = *from.at(at, col);
            }
        }
    }
}
