//! Register tiles: some pixels of a result, and what the taps of a window see from them.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::slide::{Part, Slide};

/// How many numbers are read at once where a window reaches beyond the image.
pub const CHUNK: usize = 512;

/// What is read there.
pub static ZEROS: [f32; CHUNK] = [0.0; CHUNK];

/// Neighbouring pixels of a plane, as many as `P`.
pub struct Tile<const P: usize> {
    /// Where in the factor the pixel without an offset lies; before the start if need be.
    at: [isize; P],
    /// Its row and column.
    row: [isize; P],
    col: [isize; P],
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
        let mut tile = Tile { at: [0; P], row: [0; P], col: [0; P], to: [0; P], is_run };
        let [image_pitch, row_pitch, pixel_pitch] = slide.from.pitch;
        let start = |n: usize, row: usize| n * image_pitch + row * slide.step[0] * row_pitch;
        let mut at = start(n, row) + col * slide.step[1] * pixel_pitch;
        let mut to = slide.place(part.plane, [n, row, col]);
        for pixel in 0..P {
            tile.at[pixel] = at as isize;
            tile.row[pixel] = (row * slide.step[0]) as isize;
            tile.col[pixel] = (col * slide.step[1]) as isize;
            tile.to[pixel] = to;
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

    /// Whether the row at this offset lies in the image for any of the pixels.
    #[inline(always)]
    pub fn meets_row(&self, slide: &Slide, down: isize) -> bool {
        self.row.iter().fold(false, |meets, row| meets | (((row + down) as usize) < slide.from.size[0]))
    }

    /// Whether all pixels lie in one row, each right of the one before.
    #[inline(always)]
    pub fn is_run(&self) -> bool {
        self.is_run
    }

    /// What the first pixel sees at this offset, and how many numbers further on the next one does, if the pixels lie in
    /// one row and none of them sees anything outside of the image; else as [`Self::seen`].
    #[inline(always)]
    pub fn run(
        &self,
        slide: &Slide,
        from: *const f32,
        [down, right]: [isize; 2],
        start: usize,
    ) -> Option<(*const f32, usize)> {
        let [_, row_pitch, pixel_pitch] = slide.from.pitch;
        let [rows, cols] = slide.from.size;
        let is_row = ((self.row[0] + down) as usize) < rows;
        let is_inside = ((self.col[0] + right) as usize) < cols && ((self.col[P - 1] + right) as usize) < cols;
        let at = self.at[0] + down * row_pitch as isize + right * pixel_pitch as isize + start as isize;
        (self.is_run && is_row && is_inside).then(|| (from.wrapping_offset(at), slide.step[1] * pixel_pitch))
    }

    /// What each pixel sees at this offset, in rows and columns, from the number `start` of the pixel there on; zeros
    /// outside of the image.
    #[inline(always)]
    pub fn seen(&self, slide: &Slide, from: *const f32, [down, right]: [isize; 2], start: usize) -> [*const f32; P] {
        let [_, row_pitch, pixel_pitch] = slide.from.pitch;
        let [rows, cols] = slide.from.size;
        let offset = down * row_pitch as isize + right * pixel_pitch as isize + start as isize;
        let mut seen = [ZEROS.as_ptr(); P];
        for pixel in 0..P {
            let is_row = ((self.row[pixel] + down) as usize) < rows;
            let is_column = ((self.col[pixel] + right) as usize) < cols;
            let at = from.wrapping_offset(self.at[pixel] + offset);
            seen[pixel] = std::hint::select_unpredictable(is_row & is_column, at, ZEROS.as_ptr());
        }
        seen
    }
}
