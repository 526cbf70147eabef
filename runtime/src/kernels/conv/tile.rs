//! Register tiles: some pixels of a result, and what the taps of a window see from them.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::slide::{Part, Slide};

/// Neighbouring pixels of a plane, as many as `P`, over a factor of which no tap of any window lies outside.
pub struct Tile<const P: usize> {
    /// Where in the factor each of them sees its first number.
    at: [usize; P],
    /// The number of the pixel among those of the result.
    pub to: [usize; P],
    /// Whether all pixels lie in one row, each right of the one before.
    is_run: bool,
}

impl<const P: usize> Tile<P> {
    /// The tile from this pixel of a part on. Beyond its last pixel that one is repeated.
    #[inline(always)]
    pub fn new(slide: &Slide, part: &Part, first: usize) -> Tile<P> {
        let [rows, cols] = part.size;
        let (mut n, rest) = (first / (rows * cols), first % (rows * cols));
        let (mut row, mut col) = (rest / cols, rest % cols);
        let is_run = col + P <= cols && first + P <= part.pixels.end;
        let mut tile = Tile { at: [0; P], to: [0; P], is_run };
        let [image_pitch, row_pitch, pixel_pitch] = slide.from.pitch;
        let start = |n: usize, row: usize| n * image_pitch + row * slide.step[0] * row_pitch;
        let mut at = start(n, row) + col * slide.step[1] * pixel_pitch;
        let mut to = slide.place(part.plane, [n, row, col]);
        for pixel in 0..P {
            (tile.at[pixel], tile.to[pixel]) = (at, to);
            if first + pixel + 1 < part.pixels.end {
                (col, at, to) = (col + 1, at + slide.step[1] * pixel_pitch, to + slide.hop());
                if col == cols {
                    (col, row) = (0, row + 1);
                    (n, row) = if row == rows { (n + 1, 0) } else { (n, row) };
                    (at, to) = (start(n, row), slide.place(part.plane, [n, row, 0]));
                }
            }
        }
        tile
    }

    /// Whether all pixels lie in one row, each right of the one before.
    #[inline(always)]
    pub fn is_run(&self) -> bool {
        self.is_run
    }

    /// Where in the factor each pixel sees its first number.
    #[inline(always)]
    pub fn seen(&self, from: *const f32) -> [*const f32; P] {
        let mut seen = [from; P];
        for pixel in 0..P {
            seen[pixel] = from.wrapping_add(self.at[pixel]);
        }
        seen
    }
}
