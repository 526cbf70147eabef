//! Where pixels that see the same taps lie in a factor: found once for all channels of the result.

use std::ops::Range;

use super::slide::{Part, Slide, Taps};

/// How many pixels are listed at most, so that their places stay in a near cache.
pub const PLACES: usize = 2304;

/// The largest tile.
pub const TILE: usize = 12;

/// Neighbouring rows, or columns, of a plane, from which the same taps lie in the factor and the others outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub at: Range<usize>,
    pub taps: Range<usize>,
}

impl Stretch {
    /// The stretches into which the rows (`dim` 0) or columns (1) of a plane fall.
    pub fn all(slide: &Slide, part: &Part, taps: Taps, dim: usize) -> impl Iterator<Item = Stretch> {
        let (size, step, len) = (part.size[dim], slide.step[dim], slide.from.size[dim]);
        // Taps lie one behind the other: those inside are neighbours.
        let inside = move |at: usize| {
            let is_inside = |tap: &usize| (at * step).checked_add_signed(taps.offset(*tap)).is_some_and(|at| at < len);
            let first = (0..taps.count).find(is_inside).unwrap_or(0);
            first..(first..taps.count).find(|tap| !is_inside(tap)).unwrap_or(taps.count)
        };
        let mut first = 0;
        std::iter::from_fn(move || {
            let taps = (first < size).then(|| inside(first))?;
            let end = (first + 1..size).find(|at| inside(*at) != taps).unwrap_or(size);
            let at = std::mem::replace(&mut first, end)..end;
            Some(Stretch { at, taps })
        })
    }

    /// The row or column of the factor on which the first of the taps lies from this row or column of the plane.
    fn first(&self, at: usize, step: usize, taps: Taps) -> usize {
        if self.taps.is_empty() { 0 } else { (at * step).wrapping_add_signed(taps.offset(self.taps.start)) }
    }
}

/// Pixels of a part from which the same taps lie in the factor, row by row; the last one is repeated until a tile is full.
pub struct Places {
    /// Where in the factor the first number is that a pixel sees.
    at: Vec<usize>,
    /// The number of the pixel among those of the result.
    to: Vec<usize>,
    count: usize,
}

impl Places {
    /// None, with room for as many as are listed at once of so many pixels.
    pub fn of(pixels: usize) -> Places {
        let room = pixels.min(PLACES) + TILE;
        Places { at: Vec::with_capacity(room), to: Vec::with_capacity(room), count: 0 }
    }

    /// Lists the pixels of a part that lie in these rows and columns of their images and see these taps.
    pub fn list(&mut self, slide: &Slide, part: &Part, taps: [Taps; 2], [down, right]: [&Stretch; 2]) {
        let ([rows, columns], [image_pitch, row_pitch, pixel_pitch]) = (part.size, slide.from.pitch);
        debug_assert!(part.pixels.len() <= PLACES, "a part that there is room for");
        let first = right.first(right.at.start, slide.step[1], taps[1]);
        self.at.clear();
        self.to.clear();
        for image in part.pixels.start / (rows * columns)..part.pixels.end.div_ceil(rows * columns) {
            for row in down.at.clone() {
                let start = (image * rows + row) * columns;
                let inside = |pixel: usize| pixel.saturating_sub(start).clamp(right.at.start, right.at.end);
                let seen = inside(part.pixels.start)..inside(part.pixels.end);
                let at = image * image_pitch + down.first(row, slide.step[0], taps[0]) * row_pitch;
                let to = slide.place(part.plane, [image, row, 0]);
                let further = |column: usize| first + (column - right.at.start) * slide.step[1];
                self.at.extend(seen.clone().map(|column| at + further(column) * pixel_pitch));
                self.to.extend(seen.map(|column| to + column * slide.hop()));
            }
        }
        self.count = self.at.len();
        if let (Some(at), Some(to)) = (self.at.last().copied(), self.to.last().copied()) {
            self.at.extend([at; TILE]);
            self.to.extend([to; TILE]);
        }
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
        let at = &self.at[first..first + P];
        for pixel in 0..P {
            seen[pixel] = from.wrapping_add(at[pixel]);
        }
        seen
    }

    /// The number of a pixel among those of the result.
    #[inline(always)]
    pub fn to(&self, pixel: usize) -> usize {
        self.to[pixel]
    }
}
