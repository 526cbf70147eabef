//! Copies of parts of the factors.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use super::tile::{self, ROWS};
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
    /// The rows of a tile from one on: where they are, or, if rows are copied, in the copy that begins with a given one.
    #[inline(always)]
    pub fn of(from: Matrix, length: usize, row: usize, copied: Option<(*const f32, usize)>) -> Rows {
        match copied {
            Some((copy, first)) => Rows { start: copy.wrapping_add((row - first) * length), apart: None },
            None => Rows::in_place(from.from(row, 0)),
        }
    }

    /// Rows that are left where they are.
    #[inline(always)]
    pub fn in_place(from: Matrix) -> Rows {
        Rows { start: from.start, apart: Some([from.row, from.col]) }
    }
}

/// How many of the rows that are left, of so many numbers each, the next tiles have whose copies a panel has room for.
#[inline(always)]
pub fn rows_in_panel<V: Vector>(length: usize, left: usize) -> usize {
    let (most, mut count) = (PANEL / length.max(1), 0);
    while count < left && count + ROWS <= most {
        count += tile::height::<V>(left - count);
    }
    count
}

/// Copies the first `count` of the rows that are `left`, of `length` numbers each, tile by tile: of each tile a number of each row, then
/// the next one of each.
///
/// # Safety
///
/// The rows can be read, and as many numbers be written at `to`; tiles of [`tile::height`] end with the last of the rows.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub unsafe fn rows<V: Vector>(from: Matrix, length: usize, [count, left]: [usize; 2], to: *mut f32) {
    let (mut row, mut first) = (0, 0);
    while row < count {
        let height = tile::height::<V>(left - row);
        if height == ROWS && from.row == 1 {
            // Tiles of neighbouring rows are copied together, since their numbers lie together.
            row += ROWS;
            if row < count && tile::height::<V>(left - row) == ROWS {
                continue;
            }
            // SAFETY: the caller's promise.
            unsafe { side_by_side(from.from(first, 0), length, row - first, to.add(first * length)) };
        } else {
            // SAFETY: the caller's promise.
            unsafe { one_tile(from.from(row, 0), length, height, to.add(row * length)) };
            row += height;
        }
        first = row;
    }
}

/// Rows of whole tiles that lie side by side.
///
/// # Safety
///
/// As for [`rows`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn side_by_side(from: Matrix, length: usize, count: usize, to: *mut f32) {
    for at in 0..length {
        let mut row = 0;
        while row < count {
            // A fixed number is copied by two instructions.
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(from.at(row, at), to.add(row * length + at * ROWS), ROWS) };
            row += ROWS;
        }
    }
}

/// The rows of one tile.
///
/// # Safety
///
/// As for [`rows`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn one_tile(from: Matrix, length: usize, height: usize, to: *mut f32) {
    for at in 0..length {
        for row in 0..height {
            // SAFETY: the caller's promise.
            unsafe { *to.add(at * height + row) = *from.at(row, at) };
        }
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
