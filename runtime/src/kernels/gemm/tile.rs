//! A tile of the result in registers.
//!
//! Tiles of each size are routines of their own: by themselves they are given all registers.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::Matrix;
use crate::kernels::Isa;
use crate::kernels::routine::{Args, Body, Routine, built};
use crate::kernels::vector::{Vector, load_row, load_row_masked};

/// How many rows a tile of two vectors has at most.
#[inline(always)]
pub fn tallest<V: Vector>() -> usize {
    V::PAIRS
}

/// How many rows the next tile has where so many are left: about as many as those behind it, since additions to few sums wait for one
/// another. Tiles of more than six rows have an even number of them. Many rows fill their tiles, whatever their number.
#[inline(always)]
pub fn height<V: Vector>(left: usize) -> usize {
    let heights = const { &heights(V::PAIRS) };
    heights.get(left).map_or(tallest::<V>(), |height| usize::from(*height))
}

/// The heights of tiles of at most so many rows, for few rows that are left: divisions take long.
const fn heights(most: usize) -> [u8; MANY_ROWS] {
    let mut heights = [0; MANY_ROWS];
    let mut left = 0;
    while left < MANY_ROWS {
        heights[left] = even_height(most, left) as u8;
        left += 1;
    }
    heights
}

/// From so many rows on, the next tile has as many as it can have: the square of the most.
const MANY_ROWS: usize = 144;

/// The height of the next tile of at most so many rows, where so many are left.
const fn even_height(most: usize, left: usize) -> usize {
    if left == 0 {
        return 0;
    }
    let share = left.div_ceil(left.div_ceil(most));
    if share <= 6 || share.is_multiple_of(2) {
        share
    } else if share < left {
        share + 1
    } else {
        left.div_ceil(2)
    }
}

/// How many columns the tiles of a panel have where so many are left: those of two vectors, or what is left if three hold it. A last
/// vector by itself takes longer than its share, since each number of the first factor is read for one addition.
#[inline(always)]
pub fn width<V: Vector>(left: usize) -> usize {
    let two = 2 * V::LEN;
    if left <= widest::<V>() { left } else { left.min(two) }
}

/// How many columns a tile has at most: three vectors of sums for half as many rows need more than sixteen registers.
#[inline(always)]
fn widest<V: Vector>() -> usize {
    if V::PAIRS > 6 { 3 * V::LEN } else { 2 * V::LEN }
}

/// In how many parts so many rows of so many columns are computed: three vectors have sums for half of the rows that two have.
#[inline(always)]
pub fn parts<V: Vector>(height: usize, width: usize) -> usize {
    if width > 2 * V::LEN && height > 6 { 2 } else { 1 }
}

/// How many vectors tiles of so few rows may have, the most first; none where there are enough rows for tiles of two vectors.
#[inline(always)]
pub fn wide(rows: usize) -> Option<&'static [usize]> {
    match rows {
        1 => Some(&[8, 4, 2, 1]),
        2 => Some(&[6, 4, 2, 1]),
        3 => Some(&[4, 2, 1]),
        _ => None,
    }
}

/// How many vectors the next tile has where so many columns of all are left: the fewest that hold the rest, else the most that do not
/// go beyond it; none if nothing is left, or less than a vector altogether.
#[inline(always)]
pub fn next<V: Vector>(widths: &[usize], columns: usize, left: usize) -> Option<usize> {
    let all = widths.iter().copied();
    let ends = all.clone().rev().find(|vectors| (left..=columns).contains(&(vectors * V::LEN)));
    let fits = || all.clone().find(|vectors| vectors * V::LEN <= left);
    (left > 0).then(|| ends.or_else(fits)).flatten()
}

/// A tile, and what is added to it.
#[derive(Clone, Copy)]
pub struct Tile {
    /// How many products.
    pub length: usize,
    /// Where the rows of the first factor are: numbers from one row to the next and from each number to the next one of its row. Copied
    /// rows lie side by side, a number of each, then the next one of each.
    pub rows: Option<[usize; 2]>,
    /// Numbers from one row of the second factor to the next.
    pub pitch: usize,
    /// Whether what is read of the second factor is also copied, each row behind the one before.
    pub copies: bool,
    /// Elements of the result from one row to the next, and from one column to the next.
    pub result: [usize; 2],
    /// How many columns the tile has.
    pub width: usize,
    /// Whether products are added to what the result holds.
    pub is_kept: bool,
}

/// From rows of the first factor and columns of the second one a tile of so many rows and columns, see [`width`] and [`parts`].
/// Copies of the columns go to the third pointer.
#[inline(always)]
pub fn of_size<V: Vector>(height: usize, width: usize) -> Routine<Tile> {
    match width.div_ceil(V::LEN) {
        ..=1 => of_height::<1>(V::ISA, height),
        2 => of_height::<2>(V::ISA, height),
        _ => of_half_height(V::ISA, height),
    }
}

/// Three vectors.
#[inline(always)]
fn of_half_height(isa: Isa, height: usize) -> Routine<Tile> {
    match height {
        1 => built::<Size<1, 3>>(isa),
        2 => built::<Size<2, 3>>(isa),
        3 => built::<Size<3, 3>>(isa),
        4 => built::<Size<4, 3>>(isa),
        5 => built::<Size<5, 3>>(isa),
        _ => built::<Size<6, 3>>(isa),
    }
}

#[inline(always)]
fn of_height<const W: usize>(isa: Isa, height: usize) -> Routine<Tile> {
    match height {
        1 => built::<Size<1, W>>(isa),
        2 => built::<Size<2, W>>(isa),
        3 => built::<Size<3, W>>(isa),
        4 => built::<Size<4, W>>(isa),
        5 => built::<Size<5, W>>(isa),
        6 => built::<Size<6, W>>(isa),
        8 => built::<Size<8, W>>(isa),
        10 => built::<Size<10, W>>(isa),
        _ => built::<Size<12, W>>(isa),
    }
}

/// The same for few rows and so many vectors, as [`wide`] has them.
#[inline(always)]
pub fn of_few<V: Vector>(height: usize, vectors: usize) -> Routine<Tile> {
    match (height, vectors) {
        (_, 1 | 2) => of_size::<V>(height, vectors * V::LEN),
        (1, 4) => built::<Size<1, 4>>(V::ISA),
        (1, _) => built::<Size<1, 8>>(V::ISA),
        (2, 4) => built::<Size<2, 4>>(V::ISA),
        (2, _) => built::<Size<2, 6>>(V::ISA),
        (_, _) => built::<Size<3, 4>>(V::ISA),
    }
}

/// So many rows of so many vectors.
struct Size<const R: usize, const W: usize>;

/// The most columns of a tile whose elements may be apart.
const WIDEST: usize = 128;

impl<const R: usize, const W: usize> Body for Size<R, W> {
    type Shape = Tile;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(tile: &Tile, Args { a, b, c: copy, to, .. }: Args) {
        let [row, col] = tile.result;
        let from = [a, b, copy];
        // SAFETY: the caller's promise; the place has room for as many rows.
        unsafe {
            if col == 1 {
                return add::<V, R, W>(tile, from, to);
            }
            let mut place = [[0.0; WIDEST]; R];
            let c = Matrix { start: to, row, col };
            for row in 0..R {
                for col in 0..if tile.is_kept { tile.width } else { 0 } {
                    place[row][col] = *c.at(row, col);
                }
            }
            let in_order = Tile { result: [WIDEST, 1], ..*tile };
            add::<V, R, W>(&in_order, from, place.as_mut_ptr().cast());
            for row in 0..R {
                for col in 0..tile.width {
                    *c.at(row, col) = place[row][col];
                }
            }
        }
    }
}

/// Adds to a tile whose rows lie in order.
///
/// # Safety
///
/// The factors can be read and the result written, and the copy if there is one.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn add<V: Vector, const R: usize, const W: usize>(tile: &Tile, from: [*const f32; 3], to: *mut f32) {
    let mut sums = [[V::splat(0.0); W]; R];
    let is_whole = tile.width == W * V::LEN;
    let mut masks = [V::mask(0); W];
    for v in 0..W {
        masks[v] = V::mask(tile.width.saturating_sub(v * V::LEN));
    }
    let row = |r: usize| to.wrapping_add(r * tile.result[0]);
    // SAFETY: the caller's promise.
    unsafe {
        if tile.is_kept && is_whole {
            for r in 0..R {
                sums[r] = load_row::<V, W>(row(r));
            }
        } else if tile.is_kept {
            for r in 0..R {
                sums[r] = load_row_masked::<V, W>(row(r), &masks);
            }
        }
        if tile.is_kept {
            // The tile below is likely to be next, and its rows are far apart.
            for r in R..2 * R {
                V::prefetch(row(r));
            }
        }
        match (tile.rows, tile.copies) {
            (None, false) => sum::<V, R, W, false>(tile, from, [1, R], &masks, &mut sums),
            (None, true) => sum::<V, R, W, true>(tile, from, [1, R], &masks, &mut sums),
            (Some(rows), false) => sum::<V, R, W, false>(tile, from, rows, &masks, &mut sums),
            (Some(rows), true) => sum::<V, R, W, true>(tile, from, rows, &masks, &mut sums),
        }
        if is_whole {
            for r in 0..R {
                for v in 0..W {
                    sums[r][v].store(row(r).wrapping_add(v * V::LEN));
                }
            }
        } else {
            for r in 0..R {
                for v in 0..W {
                    sums[r][v].store_masked(row(r).wrapping_add(v * V::LEN), masks[v]);
                }
            }
        }
    }
}

/// Adds the products of rows whose numbers lie so far apart and of columns, which are copied if that is asked for.
///
/// # Safety
///
/// As for [`add`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn sum<V: Vector, const R: usize, const W: usize, const COPIES: bool>(
    tile: &Tile,
    [rows, mut columns, copy]: [*const f32; 3],
    [apart, step]: [usize; 2],
    masks: &[V::Mask; W],
    sums: &mut [[V; W]; R],
) {
    // From each pointer, one instruction's address reaches three rows.
    let mut threes = [0, 1, 2, 3].map(|three| rows.wrapping_add(3 * three * apart));
    let mut copy = copy.cast_mut();
    for _ in 0..tile.length {
        // SAFETY: the caller's promise.
        unsafe {
            let factors = match COPIES && V::MASKS_ARE_FREE {
                true => load_row_masked::<V, W>(columns, masks),
                false => load_row::<V, W>(columns),
            };
            if COPIES {
                for v in 0..W {
                    factors[v].store(copy.add(v * V::LEN));
                }
                copy = copy.add(W * V::LEN);
            }
            for r in 0..R {
                let x = V::splat(*threes[r / 3].wrapping_add(r % 3 * apart));
                for v in 0..W {
                    sums[r][v] = x.mul_add(factors[v], sums[r][v]);
                }
            }
        }
        columns = columns.wrapping_add(tile.pitch);
        for three in 0..R.div_ceil(3) {
            threes[three] = threes[three].wrapping_add(step);
        }
    }
}
