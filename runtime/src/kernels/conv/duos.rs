//! Windows of three taps side by side, of few channels of the result: half a vector has room for them, so a vector holds those of two
//! neighbouring pixels, a *duo*. What both see through a tap is a duo of the factor, of which one channel after the other is spread over
//! its half. Two rows of the result are computed together: the duos that both see are read and spread once.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::dense::Block;
use super::rows::TAPS;
use super::{Args, ahead};
use crate::kernels::vector::Vector;

/// The most duos of a row in a tile.
const DUOS: usize = 8;

/// The most duos of the factor that they see.
const SEEN: usize = seen(DUOS);

/// The most numbers of half a vector.
const HALF: usize = 8;

/// What is read where a window reaches beyond the image.
static ZEROS: [f32; HALF] = [0.0; HALF];

/// How many duos of the factor so many of a row see.
const fn seen(duos: usize) -> usize {
    2 * duos + TAPS - 2
}

/// Computes a block of whole rows.
///
/// # Safety
///
/// As for [`dense::compute`](super::dense::compute), where
/// [`Slide::is_in_duos`](super::slide::Slide::is_in_duos) holds and the block has half a vector of channels.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub unsafe fn compute<V: Vector>(block: &Block<'_>, args: Args) {
    let columns = block.slide.to[1];
    let is_short = columns.next_multiple_of(DUOS) < columns.next_multiple_of(2 * DUOS);
    // SAFETY: the caller's promise.
    unsafe { if is_short { by_tiles::<V, { DUOS / 2 }>(block, args) } else { by_tiles::<V, DUOS>(block, args) } }
}

/// By tiles of `P` duos of two rows or, where there is no other, of one.
///
/// # Safety
///
/// As for [`compute`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn by_tiles<V: Vector, const P: usize>(block: &Block<'_>, args: Args) {
    let (slide, [rows, columns]) = (block.slide, block.slide.to);
    let asks = slide.numbers().map(|numbers| block.is_first() && ahead::is_far(numbers));
    let (mut flat, end) = (block.part.pixels.start / columns, block.part.pixels.end / columns);
    while flat < end {
        let [image, row] = [flat / rows, flat % rows];
        let height = if row + 1 < rows && flat + 1 < end { 2 } else { 1 };
        let to = slide.place(block.part.plane, [image, row, 0]);
        for column in (0..columns).step_by(2 * P) {
            let tile = Tile::<P> { block, place: [image, row, column], height };
            tile.ask::<V>(args, to, asks);
            // SAFETY: the caller's promise; the pixels are some of these rows.
            unsafe {
                let sums = tile.sums::<V>(args.a);
                for line in 0..height {
                    tile.store(&sums[line], args.to, to + line * columns + column);
                }
            }
        }
        flat += height;
    }
}

/// `P` duos of one row or two of the result.
struct Tile<'a, const P: usize> {
    block: &'a Block<'a>,
    /// The image, the first row and the first column.
    place: [usize; 3],
    height: usize,
}

impl<const P: usize> Tile<'_, P> {
    /// How many of its columns there are.
    #[inline(always)]
    fn columns(&self) -> usize {
        (self.block.slide.to[1] - self.place[2]).min(2 * P)
    }

    /// Asks for what is needed of the factor and of the result, if that is asked for, for the tile below; `to` is the first pixel of the first
    /// row of this one.
    #[inline(always)]
    fn ask<V: Vector>(&self, args: Args, to: usize, asks: [bool; 2]) {
        let (slide, [image, row, column]) = (self.block.slide, self.place);
        let [image_pitch, row_pitch, pixel_pitch] = slide.from.pitch;
        let seen = args.a.wrapping_add(image * image_pitch + column * pixel_pitch);
        let channels = slide.groups * slide.width;
        for line in row + self.height..row + 2 * self.height {
            if asks[0] {
                ahead::ask::<V>(seen.wrapping_add((line + 1) * row_pitch), self.columns() * pixel_pitch);
            }
            if asks[1] {
                let pixel = to + (line - row) * slide.to[1] + column;
                ahead::ask::<V>(args.to.wrapping_add(pixel * channels), self.columns() * channels);
            }
        }
    }

    /// Its sums.
    ///
    /// # Safety
    ///
    /// As for [`compute`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn sums<V: Vector>(&self, from: *const f32) -> [[V; P]; 2] {
        let (block, [image, row, _]) = (self.block, self.place);
        let (slide, run, down) = (block.slide, block.slide.from.run, block.taps[0]);
        let places = self.places();
        let mut sums = [[V::splat(0.0); P]; 2];
        for line in 0..down.count + self.height - 1 {
            let at = (row + line).wrapping_add_signed(down.offset(0));
            if at >= slide.from.size[0] {
                continue;
            }
            // The row of taps through which each row of the tile sees this one, if there is one.
            let through = [Some(line), line.checked_sub(1).filter(|_| self.height == 2)];
            let through = through.map(|kh| kh.filter(|kh| *kh < down.count));
            let start = image * slide.from.pitch[0] + at * slide.from.pitch[1] + block.group * run;
            for first in (0..run).step_by(V::Half::LEN) {
                let panel = |kh: usize| {
                    let tap = down.tap(kh) * TAPS;
                    [0, 1, 2].map(|kw| block.panel.wrapping_add(((tap + kw) * run + first) * V::Half::LEN))
                };
                let len = V::Half::LEN.min(run - first);
                // SAFETY: the panels have a row for each channel, and each pixel as many numbers.
                unsafe {
                    let duos = duos::<V, P>(from.wrapping_add(start + first), &places, len);
                    let [upper, lower] = &mut sums;
                    match through {
                        [Some(a), Some(b)] => add_products([upper, lower], &duos, [panel(a), panel(b)], len),
                        [Some(a), None] => add_products([upper], &duos, [panel(a)], len),
                        [None, Some(b)] => add_products([lower], &duos, [panel(b)], len),
                        [None, None] => {}
                    }
                }
            }
        }
        sums
    }

    /// Where in a row of the factor the pixels lie that the tile sees; nowhere, if they lie beside it.
    #[inline(always)]
    fn places(&self) -> [Option<usize>; SEEN + 1] {
        let (slide, left) = (self.block.slide, self.block.taps[1].offset(0));
        let mut places = [None; SEEN + 1];
        for q in 0..seen(P) + 1 {
            let column = (self.place[2] + q).wrapping_add_signed(left);
            places[q] = (column < slide.from.size[1]).then_some(column.wrapping_mul(slide.from.pitch[2]));
        }
        places
    }

    /// Writes the sums of a row from this pixel on.
    ///
    /// # Safety
    ///
    /// As for [`compute`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn store<V: Vector>(&self, sums: &[V; P], to: *mut f32, pixel: usize) {
        let (columns, masks) = (self.columns(), self.block.masks::<V::Half, 1>());
        for duo in 0..P {
            let halves = sums[duo].halves();
            for half in 0..2 {
                if 2 * duo + half < columns {
                    // SAFETY: a pixel of the result.
                    unsafe { self.block.store(&[halves[half]], to, pixel + 2 * duo + half, &masks) };
                }
            }
        }
    }
}

/// Duos of pixels side by side, of which each has so many numbers.
///
/// # Safety
///
/// They can be read at these places of a row.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn duos<V: Vector, const P: usize>(
    row: *const f32,
    places: &[Option<usize>; SEEN + 1],
    len: usize,
) -> [V; SEEN] {
    let mask = V::Half::mask(len);
    let mut pixels = [ZEROS.as_ptr(); SEEN + 1];
    for q in 0..seen(P) + 1 {
        let place = places[q];
        let number = row.wrapping_add(place.unwrap_or(0));
        pixels[q] = std::hint::select_unpredictable(place.is_some(), number, ZEROS.as_ptr());
    }
    let mut duos = [V::splat(0.0); SEEN];
    // SAFETY: the caller's promise.
    let mut low = unsafe { V::Half::load_masked(pixels[0], mask) };
    for q in 0..seen(P) {
        // SAFETY: the caller's promise.
        let high = unsafe { V::Half::load_masked(pixels[q + 1], mask) };
        duos[q] = V::of_halves([low, high]);
        low = high;
    }
    duos
}

/// Adds to the sums of each row the products of what its pixels see and the rows of the panels of its three taps.
///
/// # Safety
///
/// The panels have `len` rows, no more than half a vector has numbers.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn add_products<V: Vector, const P: usize, const H: usize>(
    sums: [&mut [V; P]; H],
    duos: &[V; SEEN],
    panels: [[*const f32; TAPS]; H],
    len: usize,
) {
    let mut local = [[V::splat(0.0); P]; H];
    for h in 0..H {
        local[h] = *sums[h];
    }
    for at in 0..len {
        let mut weights = [[V::splat(0.0); TAPS]; H];
        for h in 0..H {
            for tap in 0..TAPS {
                // SAFETY: a row of a panel.
                let row = unsafe { V::Half::load(panels[h][tap].add(at * V::Half::LEN)) };
                weights[h][tap] = V::of_halves([row, row]);
            }
        }
        let mut left = duos[0].spread(at);
        for duo in 0..P {
            let [middle, right] = [duos[2 * duo + 1].spread(at), duos[2 * duo + 2].spread(at)];
            for h in 0..H {
                local[h][duo] = left.mul_add(weights[h][0], local[h][duo]);
                local[h][duo] = middle.mul_add(weights[h][1], local[h][duo]);
                local[h][duo] = right.mul_add(weights[h][2], local[h][duo]);
            }
            left = right;
        }
    }
    for h in 0..H {
        *sums[h] = local[h];
    }
}
