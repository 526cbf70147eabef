//! Windows of three taps side by side that move by one pixel: tiles within a row of the result, in which a number of
//! the factor is read once for all three taps.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::Args;
use super::dense::{Block, Vectors};
use crate::kernels::vector::Vector;

/// Taps side by side.
pub const TAPS: usize = 3;

/// The most pixels that a tile sees.
const SEEN: usize = 16 + TAPS - 1;

/// How many numbers are read at once where a window reaches beyond the image.
const CHUNK: usize = 512;

/// What is read there.
static ZEROS: [f32; CHUNK] = [0.0; CHUNK];

/// Computes a block of whole rows.
///
/// # Safety
///
/// As for [`dense::compute`](super::dense::compute), where
/// [`Slide::is_by_row`](super::slide::Slide::is_by_row) holds.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub unsafe fn compute<V: Vector>(block: &Block<'_>, vectors: Vectors, args: Args) {
    // SAFETY: the caller's promise.
    unsafe {
        match vectors {
            Vectors::Half => one::<V::Half>(block, args),
            Vectors::One => one::<V>(block, args),
            Vectors::Two => two::<V>(block, args),
        }
    }
}

/// The widest of these tiles that leave the least over.
fn best(widths: [usize; 3], block: &Block<'_>) -> Option<usize> {
    widths.into_iter().min_by_key(|width| block.slide.to[1].next_multiple_of(*width))
}

/// A block of one vector of channels.
///
/// # Safety
///
/// As for [`compute`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn one<V: Vector>(block: &Block<'_>, args: Args) {
    // SAFETY: the caller's promise.
    unsafe {
        match (V::PAIRS, best(if V::PAIRS == 12 { [16, 14, 8] } else { [10, 8, 7] }, block)) {
            (12, Some(14)) => by_row::<V, 14, 1, 1>(block, args),
            (12, Some(16)) => by_row::<V, 16, 1, 1>(block, args),
            (_, Some(10)) => by_row::<V, 10, 1, 1>(block, args),
            (_, Some(7)) => by_row::<V, 7, 1, 1>(block, args),
            (_, _) => by_row::<V, 8, 1, 1>(block, args),
        }
    }
}

/// A block of two vectors of channels: beside the sums, some machines have registers for what three taps see and three weights only
/// of one of them at a time.
///
/// # Safety
///
/// As for [`compute`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn two<V: Vector>(block: &Block<'_>, args: Args) {
    // SAFETY: the caller's promise.
    unsafe {
        match (V::PAIRS, best([10, 8, 7], block)) {
            (12, Some(10)) => by_row::<V, 10, 2, 2>(block, args),
            (12, Some(7)) => by_row::<V, 7, 2, 2>(block, args),
            (12, _) => by_row::<V, 8, 2, 2>(block, args),
            (_, Some(10)) => by_row::<V, 10, 1, 2>(block, args),
            (_, Some(7)) => by_row::<V, 7, 1, 2>(block, args),
            (_, _) => by_row::<V, 8, 1, 2>(block, args),
        }
    }
}

/// By tiles of `P` pixels and `R` of the `W` vectors that the panel is wide.
///
/// # Safety
///
/// As for [`compute`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn by_row<V: Vector, const P: usize, const R: usize, const W: usize>(block: &Block<'_>, args: Args) {
    for first in (0..W).step_by(R) {
        // SAFETY: the caller's promise; the rows of the panel have these vectors.
        unsafe { by_row_of_vectors::<V, P, R, W>(&block.starting_at::<V>(first), args) };
    }
}

/// [`by_row`] for the first `R` vectors of the block.
///
/// # Safety
///
/// As for [`compute`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn by_row_of_vectors<V: Vector, const P: usize, const R: usize, const W: usize>(block: &Block<'_>, args: Args) {
    let (slide, pixels, columns) = (block.slide, &block.part.pixels, block.slide.to[1]);
    let masks = block.masks::<V, R>();
    for flat in pixels.start / columns..pixels.end / columns {
        let place = [flat / block.part.size[0], flat % block.part.size[0]];
        let to = slide.place(block.part.plane, [place[0], place[1], 0]);
        let below = place[0] * slide.from.pitch[0] + (place[1] * slide.step[0] + 1) * slide.from.pitch[1];
        for column in (0..columns).step_by(P) {
            let windows = P.min(columns - column);
            block.ask_below::<V>(args.a.wrapping_add(below + column * slide.from.pitch[2]), 1, windows);
            for p in 0..windows {
                block.ask_result::<V, R>(args.to, to + columns + column + p);
            }
            // SAFETY: the caller's promise; the pixels are some of the row.
            unsafe {
                let sums = sums::<V, P, R, W>(block, args.a, place, column);
                for p in 0..windows {
                    block.store(&sums[p], args.to, to + column + p, &masks);
                }
            }
        }
    }
}

/// The sums of the pixels from a column of a row of an image on.
///
/// # Safety
///
/// As for [`compute`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn sums<V: Vector, const P: usize, const R: usize, const W: usize>(
    block: &Block<'_>,
    from: *const f32,
    [image, row]: [usize; 2],
    column: usize,
) -> [[V; R]; P] {
    const { assert!(P + TAPS - 1 <= SEEN) };
    let (slide, run, [down, right]) = (block.slide, block.slide.from.run, block.taps);
    let left = right.offset(0);
    let mut sums = [[V::splat(0.0); R]; P];
    for kh in 0..down.count {
        let at = (row * slide.step[0]).wrapping_add_signed(down.offset(kh));
        if at >= slide.from.size[0] {
            continue;
        }
        let start = image * slide.from.pitch[0] + at * slide.from.pitch[1] + block.group * run;
        for first in (0..run).step_by(CHUNK) {
            let mut seen = [ZEROS.as_ptr(); SEEN];
            let column_of = |q: usize| (column + q).wrapping_add_signed(left);
            let is_inside = |q: usize| column_of(q) < slide.from.size[1];
            let number = |q: usize| {
                from.wrapping_add((start + first).wrapping_add(column_of(q).wrapping_mul(slide.from.pitch[2])))
            };
            if is_inside(0) && is_inside(P + TAPS - 2) {
                for q in 0..P + TAPS - 1 {
                    seen[q] = number(q);
                }
            } else {
                for q in 0..P + TAPS - 1 {
                    seen[q] = std::hint::select_unpredictable(is_inside(q), number(q), ZEROS.as_ptr());
                }
            }
            let tap = down.tap(kh) * TAPS;
            let panel = [0, 1, 2].map(|kw| block.panel.wrapping_add(((tap + kw) * run + first) * W * V::LEN));
            // SAFETY: the panels have a row for each channel, and each pixel as many numbers.
            unsafe { add_products::<V, P, R, W>(&mut sums, &seen, panel, CHUNK.min(run - first)) };
        }
    }
    sums
}

/// Adds to the sums the products of what their pixels see and the rows of the panels of the three taps.
///
/// # Safety
///
/// Each pixel sees `len` numbers, and the panels have as many rows.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn add_products<V: Vector, const P: usize, const R: usize, const W: usize>(
    sums: &mut [[V; R]; P],
    seen: &[*const f32; SEEN],
    panels: [*const f32; TAPS],
    len: usize,
) {
    let mut local = *sums;
    for at in 0..len {
        let mut row = [[V::splat(0.0); R]; TAPS];
        for tap in 0..TAPS {
            for v in 0..R {
                // SAFETY: a row of a panel.
                row[tap][v] = unsafe { V::load(panels[tap].add((at * W + v) * V::LEN)) };
            }
        }
        // SAFETY: one of the numbers that the pixel sees.
        let number = |q: usize| V::splat(unsafe { *seen[q].add(at) });
        let [mut left, mut middle] = [number(0), number(1)];
        for p in 0..P {
            let right = number(p + 2);
            for v in 0..R {
                local[p][v] = left.mul_add(row[0][v], local[p][v]);
                local[p][v] = middle.mul_add(row[1][v], local[p][v]);
                local[p][v] = right.mul_add(row[2][v], local[p][v]);
            }
            [left, middle] = [middle, right];
        }
    }
    *sums = local;
}
