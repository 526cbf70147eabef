//! Where the pixels of a part lie in a factor of which no tap of any window lies outside: found once for all channels of the result.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::band::Banded;
use super::slide::{Part, Slide};

/// How many pixels are listed at most.
pub const PLACES: usize = 1024;

/// The largest tile.
const TILE: usize = 12;

/// Pixels of a part, one after the other; the last one is repeated until a tile is full.
pub struct Places {
    /// Where in the factor what a pixel sees begins.
    at: [usize; PLACES + TILE],
    /// The number of the pixel among those of the result.
    to: [usize; PLACES + TILE],
    /// The rows of taps, as bits, that meet nothing but zeros, as far as there are bits.
    zeros: [u8; PLACES + TILE],
    count: usize,
}

impl Places {
    pub const NONE: Places =
        Places { at: [0; PLACES + TILE], to: [0; PLACES + TILE], zeros: [0; PLACES + TILE], count: 0 };

    /// Lists the pixels of a part over which this window slides.
    pub fn list(&mut self, slide: &Slide, part: &Part, banded: Option<&Banded<'_>>) {
        let ([rows, columns], [image_pitch, row_pitch, pixel_pitch]) = (part.size, slide.from.pitch);
        debug_assert!(part.pixels.len() <= PLACES, "a part that there is room for");
        self.count = 0;
        let mut pixel = part.pixels.start;
        while pixel < part.pixels.end {
            let (line, column) = (pixel / columns, pixel % columns);
            let (image, row) = (line / rows, line % rows);
            let end = part.pixels.end.min(pixel + columns - column);
            let at = image * image_pitch + row * slide.step[0] * row_pitch + column * slide.step[1] * pixel_pitch;
            let to = slide.place(part.plane, [image, row, column]);
            let zeros = banded.map_or(0, |banded| banded.zeros(row));
            for further in 0..end - pixel {
                let at = at + further * slide.step[1] * pixel_pitch;
                self.set(self.count + further, at, to + further * slide.hop(), zeros);
            }
            self.count += end - pixel;
            pixel = end;
        }
        let Some(last) = self.count.checked_sub(1) else { return };
        for place in self.count..self.count + TILE {
            self.set(place, self.at[last], self.to[last], self.zeros[last]);
        }
    }

    #[inline(always)]
    fn set(&mut self, place: usize, at: usize, to: usize, zeros: u8) {
        (self.at[place], self.to[place], self.zeros[place]) = (at, to, zeros);
    }

    /// How many pixels are listed.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Where in the factor `P` pixels see their first number.
    #[inline(always)]
    pub fn seen<const P: usize>(&self, first: usize, from: *const f32) -> [*const f32; P] {
        const { assert!(P <= TILE) };
        let mut seen = [from; P];
        for pixel in 0..P {
            seen[pixel] = from.wrapping_add(self.at[first + pixel]);
        }
        seen
    }

    /// The number of a pixel among those of the result.
    #[inline(always)]
    pub fn to(&self, pixel: usize) -> usize {
        self.to[pixel]
    }

    /// Which rows of taps, as bits, meet nothing but zeros from any of `P` pixels.
    #[inline(always)]
    pub fn zeros<const P: usize>(&self, first: usize) -> u8 {
        let mut zeros = u8::MAX;
        for pixel in 0..P {
            zeros &= self.zeros[first + pixel];
        }
        zeros
    }
}
