//! Bands: rows of a factor copied with zeros around them, so that no tap of any window lies outside and a row of taps sees
//! one run of numbers. A band fits into the second-level cache and is copied while it is needed: on the way there its rows
//! would pass through the cache anyway.

use std::mem::MaybeUninit;

use super::slide::{Image, Part, Slide, Taps};

/// How many numbers a band has at most.
const BAND: usize = 16 * 1024;

/// Up to how many channels a copy saves more than it costs: what is saved is finding out, once for each tap and tile, what its pixels
/// see.
const CHANNELS: usize = 128;

/// Room for a band.
#[repr(align(64))]
pub struct Buffer(MaybeUninit<[f32; BAND]>);

impl Buffer {
    #[inline(always)]
    pub fn new() -> Buffer {
        Buffer(MaybeUninit::uninit())
    }
}

/// How a window slides over the bands of a plane: as it slides over its factor, if that had zeros around each image.
pub struct Banded<'a> {
    /// Over the factor as it is.
    slide: &'a Slide,
    /// Over the bands.
    pub over: Slide,
    /// What the pixels see of them.
    pub taps: [Taps; 2],
    /// Where the first row and the first column of the zeros lie beside those of the factor.
    start: [isize; 2],
}

impl<'a> Banded<'a> {
    /// For the pixels of a plane of this size, which see these taps; none where the factor is better left where it is.
    pub fn new(slide: &'a Slide, size: [usize; 2], taps: [Taps; 2]) -> Option<Banded<'a>> {
        let from = &slide.from;
        let channels = from.pitch[2];
        if from.is_whole || slide.is_channelwise || channels > CHANNELS || taps.iter().any(|taps| taps.count == 0) {
            return None;
        }
        let reach = |dim: usize| (taps[dim].offset(taps[dim].count - 1) - taps[dim].offset(0)) as usize + 1;
        let padded = [0, 1].map(|dim| (size[dim] - 1) * slide.step[dim] + reach(dim));
        let start = taps.map(|taps| taps.offset(0));
        let [down, right] = taps.map(Taps::at_origin);
        let (seen, right, run) = match slide.groups == 1 && right.is_run(from.taps[1]) {
            true => ([from.taps[0], 1], right.first(), from.run * from.taps[1]),
            false => (from.taps, right, from.run),
        };
        let pitch = [padded[0] * padded[1] * channels, padded[1] * channels, channels];
        let image = Image { size: padded, pitch, taps: seen, run, pad: [0; 2], is_whole: true };
        let banded = Banded { slide, over: slide.over(image), taps: [down, right], start };
        (reach(0) * pitch[1] <= BAND).then_some(banded)
    }

    /// The first row of the zeros that the pixels of a row of the plane see, counted through all images.
    fn top(&self, row: usize, rows: usize) -> usize {
        row / rows * self.over.from.size[0] + row % rows * self.over.step[0]
    }

    /// The rows that the pixels of these rows see.
    fn seen(&self, first: usize, end: usize, rows: usize) -> std::ops::Range<usize> {
        let reach = self.taps[0].offset(self.taps[0].count - 1) as usize + 1;
        self.top(first, rows)..self.top(end - 1, rows) + reach
    }

    /// Which rows of taps, as bits, meet nothing but zeros from a row of the plane.
    pub fn zeros(&self, row: usize) -> u8 {
        let outside = |kh: usize| {
            let at = (row * self.slide.step[0]).wrapping_add_signed(self.start[0] + self.taps[0].offset(kh));
            at >= self.slide.from.size[0]
        };
        (0..self.taps[0].count.min(8)).filter(|kh| outside(*kh)).fold(0, |zeros, kh| zeros | 1 << kh)
    }

    /// Where the pixels from this one on end whose band there is room for.
    pub fn end(&self, part: &Part, pixel: usize) -> usize {
        let [rows, columns] = part.size;
        let (first, last) = (pixel / columns, part.pixels.end.div_ceil(columns));
        let fits = |end: usize| self.seen(first, end, rows).len() * self.over.from.pitch[1] <= BAND;
        let end = (first + 1..last).take_while(|end| fits(end + 1)).last().map_or(first + 1, |end| end + 1);
        part.pixels.end.min(end * columns)
    }

    /// Copies what the pixels of a part see; gives the place where the first image begins, or would begin.
    ///
    /// # Safety
    ///
    /// The part ends where [`Self::end`] says; `from` is the factor.
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    pub unsafe fn copy(&self, part: &Part, from: *const f32, buffer: &mut Buffer) -> *const f32 {
        let (columns, pitch) = (part.size[1], self.over.from.pitch[1]);
        let rows = self.seen(part.pixels.start / columns, part.pixels.end.div_ceil(columns), part.size[0]);
        debug_assert!(rows.len() * pitch <= BAND, "a band that fits");
        let start = buffer.0.as_mut_ptr().cast::<f32>();
        for (at, row) in rows.clone().enumerate() {
            // SAFETY: a row of the band.
            unsafe { self.copy_row(row, from, start.add(at * pitch)) };
        }
        start.wrapping_sub(rows.start * pitch)
    }

    /// # Safety
    ///
    /// As for [`Self::copy`]; `to` has room for a row.
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn copy_row(&self, row: usize, from: *const f32, to: *mut f32) {
        let ([rows, columns], [images_pitch, row_pitch, channels]) = (self.slide.from.size, self.slide.from.pitch);
        let [padded_rows, padded_columns] = self.over.from.size;
        let (image, row) = (row / padded_rows, (row % padded_rows).wrapping_add_signed(self.start[0]));
        // The columns of the row, as places in the copy.
        let inside = |column: usize| column.saturating_add_signed(-self.start[1]).min(padded_columns);
        let (first, last) = if row < rows { (inside(0), inside(columns)) } else { (padded_columns, padded_columns) };
        let skipped = first.saturating_add_signed(self.start[1]);
        // A row of zeros has no place in the factor.
        let place = if row < rows { image * images_pitch + row * row_pitch + skipped * channels } else { 0 };
        let from = from.wrapping_add(place);
        // SAFETY: zeros, numbers and zeros fill the row; the numbers are some of the row of the factor, which lies elsewhere.
        unsafe {
            to.write_bytes(0, first * channels);
            to.add(first * channels).copy_from_nonoverlapping(from, (last - first) * channels);
            to.add(last * channels).write_bytes(0, (padded_columns - last) * channels);
        }
    }
}
