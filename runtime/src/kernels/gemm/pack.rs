//! Copies of parts of the factors.

#![expect(clippy::needless_range_loop, reason = "vectors are in step with pointers; plain loops unroll")]

use std::cell::RefCell;
use std::mem::MaybeUninit;

use super::tile;
use super::{Matrix, STRETCH};
use crate::kernels::turn::TOGETHER;
use crate::kernels::vector::{Vector, load_row, load_row_masked};

/// How many numbers a block of the smaller factor has at most: half of a second-level cache.
pub const BLOCK: usize = 64 * 1024;

/// How many numbers a panel of either factor has at most: three of the longest vectors for each number of a stretch.
const PANEL_LEN: usize = 3 * 16 * STRETCH;

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
        room.reserve_exact((BLOCK + PANEL_LEN) / 16);
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

    /// The last of the rows of a tile, from one on, where the tile has so many.
    #[inline(always)]
    pub fn from(self, row: usize, height: usize) -> Rows {
        let [apart, step] = self.apart.unwrap_or([1, height]);
        Rows { start: self.start.wrapping_add(row * apart), apart: Some([apart, step]) }
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
    let (most, mut count) = (PANEL_LEN / length.max(1), 0);
    while count < left && count + tile::tallest::<V>() <= most {
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
    let mut row = 0;
    while row < count {
        let (height, first) = (tile::height::<V>(left - row), row);
        row += height;
        // Tiles of neighbouring rows are copied together, since their numbers lie together.
        while from.row == 1 && row < count && tile::height::<V>(left - row) == height {
            row += height;
        }
        let (from, to) = (from.from(first, 0), to.wrapping_add(first * length));
        // SAFETY: the caller's promise.
        unsafe {
            match if from.row == 1 { height } else { 0 } {
                4 => side_by_side::<4>(from, length, row - first, to),
                6 => side_by_side::<6>(from, length, row - first, to),
                8 => side_by_side::<8>(from, length, row - first, to),
                10 => side_by_side::<10>(from, length, row - first, to),
                12 => side_by_side::<12>(from, length, row - first, to),
                _ => one_by_one(from, length, [row - first, height], to),
            }
        }
    }
}

/// Rows that lie side by side, of whole tiles of `R` rows.
///
/// # Safety
///
/// As for [`rows`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn side_by_side<const R: usize>(from: Matrix, length: usize, count: usize, to: *mut f32) {
    for at in 0..length {
        let mut row = 0;
        while row < count {
            // A fixed number is copied by few instructions.
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(from.at(row, at), to.add(row * length + at * R), R) };
            row += R;
        }
    }
}

/// Rows of whole tiles of so many rows.
///
/// # Safety
///
/// As for [`rows`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn one_by_one(from: Matrix, length: usize, [count, height]: [usize; 2], to: *mut f32) {
    let mut first = 0;
    while first < count {
        for at in 0..length {
            for row in 0..height {
                // SAFETY: the caller's promise.
                unsafe { *to.add(first * length + at * height + row) = *from.at(first + row, at) };
            }
        }
        first += height;
    }
}

/// How many numbers a panel has for each one of so many columns: as many as the vectors that hold them.
#[inline(always)]
pub fn pitch<V: Vector>(width: usize) -> usize {
    width.next_multiple_of(V::LEN)
}

/// Copies `width` columns of `length` numbers: whole vectors for each number, zeros behind the last column.
///
/// # Safety
///
/// The columns, which three vectors hold, can be read, and [`pitch`] times `length` numbers be written at `to`.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub unsafe fn columns<V: Vector>(from: Matrix, length: usize, width: usize, to: *mut f32) {
    let pitch = pitch::<V>(width);
    // SAFETY: the caller's promise.
    unsafe {
        match (from.col, pitch / V::LEN) {
            (1, 1) => in_order::<V, 1>(from, length, width, to),
            (1, 2) => in_order::<V, 2>(from, length, width, to),
            (1, _) => in_order::<V, 3>(from, length, width, to),
            _ => apart::<V>(from, length, [width, pitch], to),
        }
    }
}

/// Columns that lie side by side and fill `W` vectors, but for the last one.
///
/// # Safety
///
/// As for [`columns`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn in_order<V: Vector, const W: usize>(from: Matrix, length: usize, width: usize, to: *mut f32) {
    let mut masks = [V::mask(0); W];
    for v in 0..W {
        masks[v] = V::mask(width - v * V::LEN);
    }
    for at in 0..length {
        // SAFETY: the caller's promise.
        unsafe {
            let row = match width == W * V::LEN {
                true => load_row::<V, W>(from.at(at, 0)),
                false => load_row_masked::<V, W>(from.at(at, 0), &masks),
            };
            for v in 0..W {
                row[v].store(to.add((at * W + v) * V::LEN));
            }
        }
    }
}

/// Columns whose numbers do not lie side by side.
///
/// # Safety
///
/// As for [`columns`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn apart<V: Vector>(from: Matrix, length: usize, [width, pitch]: [usize; 2], to: *mut f32) {
    let whole = if from.row == 1 { width / V::LEN * V::LEN } else { 0 };
    let mut first = 0;
    // SAFETY: the caller's promise.
    unsafe {
        while first < whole {
            turned::<V>(from.from(0, first), length, (to.add(first), pitch));
            first += V::LEN;
        }
        for at in 0..length {
            for col in whole..pitch {
                *to.add(at * pitch + col) = if col < width { *from.at(at, col) } else { 0.0 };
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
unsafe fn turned<V: Vector>(from: Matrix, length: usize, (to, pitch): (*mut f32, usize)) {
    let whole = length / V::LEN * V::LEN;
    // SAFETY: the caller's promise.
    unsafe {
        let mut columns = [std::ptr::null(); TOGETHER];
        for (col, column) in columns[..V::LEN].iter_mut().enumerate() {
            *column = from.at(0, col).cast_const();
        }
        let mut at = 0;
        while at < whole {
            V::turn(columns.as_ptr(), at, to.add(at * pitch), pitch);
            at += V::LEN;
        }
        for at in whole..length {
            for col in 0..V::LEN {
                *to.add(at * pitch + col) = *from.at(at, col);
            }
        }
    }
}
