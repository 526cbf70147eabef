//! Pixels in classes that see the same taps: nothing is multiplied with what lies outside of a factor, and where the pixels of a
//! class lie is listed once, for the tiles of all channels of the result.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use std::ops::Range;

use super::Args;
use super::dense::{Block, Vectors, add_products, blocks};
use super::places::{PLACES, Places, Stretch, TILE};
use super::slide::{Part, Slide, Taps};
use super::window::Window;
use crate::kernels::vector::Vector;

/// Up to how many numbers a panel stays in a first-level cache of 32 KB, beside what tiles see.
const SMALL_PANEL: usize = 6 * 1024;

/// About how many numbers of the factor are read again and again, for one panel after the other: few for small panels, more for
/// large ones, which are read as often as these numbers are.
const FEW: usize = 16 * 1024;
const MANY: usize = 64 * 1024;

/// How many small images are gone through together, within this many numbers: a class has few pixels of each.
const IMAGES: usize = 16;
const MOST: usize = 128 * 1024;

/// Computes the pixels of a part, which see these taps as far as they lie in the factor.
///
/// # Safety
///
/// As for [`dense::compute`](super::dense::compute).
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub unsafe fn compute<V: Vector>(slide: &Slide, part: &Part, taps: [Taps; 2], args: Args, packed: *const f32) {
    let mut classes = Classes::new(slide, part, taps, 2 * V::LEN);
    while classes.advance() {
        for group in 0..slide.groups {
            for (first, vectors) in blocks::<V>(slide.width) {
                let panel = packed.wrapping_add(slide.panel(group, first));
                let block = Block { slide, part, taps, group, first, panel };
                // SAFETY: the caller's promise; the pixels are listed.
                unsafe { block.compute_class::<V>(vectors, &classes, args) };
            }
        }
    }
}

/// The pixels of a part, class by class: those that see the same taps, of as many images or rows as are gone through together.
pub struct Classes<'a> {
    slide: &'a Slide,
    part: &'a Part,
    taps: [Taps; 2],
    /// How many channels of the result a panel has.
    lanes: usize,
    /// The rows and the columns of the plane by the taps that they see.
    stretches: [Vec<Stretch>; 2],
    /// The pixels that are gone through now, and how many of their classes have had their turn.
    pixels: Range<usize>,
    done: usize,
    /// The taps that the pixels of the class see whose turn it is, as numbers among those of the part.
    pub seen: [Range<usize>; 2],
    /// Where these pixels are.
    pub places: Places,
}

impl<'a> Classes<'a> {
    /// Before the first class of a part whose pixels see these taps as far as they lie in the factor.
    pub fn new(slide: &'a Slide, part: &'a Part, taps: [Taps; 2], lanes: usize) -> Classes<'a> {
        let stretches = [0, 1].map(|dim| Stretch::all(slide, part, taps[dim], dim).collect::<Vec<_>>());
        let (first, done) = (part.pixels.start, stretches[0].len() * stretches[1].len());
        let (pixels, seen) = (first..first, [0..0, 0..0]);
        Classes { slide, part, taps, lanes, stretches, pixels, done, seen, places: Places::of(part.pixels.len()) }
    }

    /// Lists the pixels of the next class; whether there is one.
    pub fn advance(&mut self) -> bool {
        if self.done == self.stretches[0].len() * self.stretches[1].len() {
            if self.pixels.end == self.part.pixels.end {
                return false;
            }
            self.pixels = self.pixels.end..self.end(self.pixels.end);
            self.done = 0;
        }
        let [down, right] = &self.stretches;
        let (down, right) = (&down[self.done / right.len()], &right[self.done % right.len()]);
        let part = Part { pixels: self.pixels.clone(), ..*self.part };
        self.places.list(self.slide, &part, self.taps, [down, right]);
        self.seen = [down.taps.clone(), right.taps.clone()];
        self.done += 1;
        true
    }

    /// Where the pixels from this one on end that are listed together: with an image or a row, if possible.
    fn end(&self, first: usize) -> usize {
        let ([rows, columns], from) = (self.part.size, &self.slide.from);
        let (channels, panel) = (from.pitch[2], from.taps[0] * from.taps[1] * from.run * self.lanes);
        let much = if panel <= SMALL_PANEL { FEW } else { MANY } / channels;
        let images = if columns <= TILE { (IMAGES * rows * columns).min(MOST / channels) } else { 0 };
        let last = first + much.max(images).clamp(TILE, PLACES);
        let whole = |pixels: usize| Some(last - last % pixels).filter(|end| *end > first);
        whole(rows * columns).or(whole(columns)).unwrap_or(last).min(self.part.pixels.end)
    }
}

/// Whether tiles of eight pixels do less for nothing than tiles of twelve, over so many pixels.
fn is_shorter_better(pixels: usize) -> bool {
    pixels.next_multiple_of(8) < pixels.next_multiple_of(12)
}

impl Block<'_> {
    /// # Safety
    ///
    /// As for [`compute`]; the pixels are those of the part.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn compute_class<V: Vector>(&self, vectors: Vectors, class: &Classes<'_>, args: Args) {
        let short = is_shorter_better(class.places.count());
        // SAFETY: the caller's promise.
        unsafe {
            match (vectors, V::PAIRS) {
                (Vectors::Half, _) if short => self.tiles::<V::Half, 8, 1>(class, args),
                (Vectors::Half, _) => self.tiles::<V::Half, 12, 1>(class, args),
                (Vectors::One, 12) => self.tiles::<V, 12, 1>(class, args),
                (Vectors::One, 6) if !short => self.tiles::<V, 12, 1>(class, args),
                (Vectors::One, _) => self.tiles::<V, 8, 1>(class, args),
                (Vectors::Two, 12) if short => self.tiles::<V, 8, 2>(class, args),
                (Vectors::Two, 12) => self.tiles::<V, 12, 2>(class, args),
                (Vectors::Two, 6) => self.tiles::<V, 6, 2>(class, args),
                (Vectors::Two, _) => self.tiles::<V, 4, 2>(class, args),
            }
        }
    }

    /// By tiles of `P` pixels and `R` vectors.
    ///
    /// # Safety
    ///
    /// As for [`Self::compute_class`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn tiles<V: Vector, const P: usize, const R: usize>(&self, class: &Classes<'_>, args: Args) {
        let (masks, places) = (self.masks::<V, R>(), &class.places);
        let (window, seen) =
            (self.class_window(class, R * V::LEN), args.a.wrapping_add(self.group * self.slide.from.run));
        for pixel in (0..places.count()).step_by(P) {
            for first in places.seen::<P>(pixel, args.a) {
                self.ask_below::<V>(first, class.seen[0].len(), 1);
            }
            for p in 0..P {
                self.ask_result::<V, R>(args.to, places.to(places.count().min(pixel + P + p)));
            }
            // SAFETY: the caller's promise.
            let sums = unsafe {
                match &window {
                    Some(window) => window.sums::<V, P, R>(&places.seen::<P>(pixel, seen), self.panel),
                    None => self.sums_of_class::<V, P, R>(class, pixel, args.a),
                }
            };
            let left = places.count() - pixel;
            // A plain loop of known length: the sums stay in registers.
            for p in 0..P {
                if p < left {
                    // SAFETY: a pixel of the result.
                    unsafe { self.store(&sums[p], args.to, places.to(pixel + p), &masks) };
                }
            }
        }
    }

    /// Taps side by side see one run of numbers: how many do so together, and how many such runs there are in a row of taps.
    #[inline(always)]
    fn runs(&self, columns: usize) -> [usize; 2] {
        if self.slide.groups == 1 && self.taps[1].are_side_by_side() { [columns, 1] } else { [1, columns] }
    }

    /// The numbers that pixels of a class see, where they are few. `lanes` is how long a row of the panel is.
    fn class_window(&self, class: &Classes<'_>, lanes: usize) -> Option<Window> {
        let (slide, [down, right]) = (self.slide, self.taps);
        let [rows, columns] = &class.seen;
        let [together, apart] = self.runs(columns.len());
        let run = slide.from.run;
        Window::of([rows.len(), apart], together * run, lanes, |kh, kw| {
            let at = down.apart(kh) * slide.from.pitch[1] + right.apart(kw) * slide.from.pitch[2];
            let tap = down.tap(rows.start + kh) * slide.from.taps[1] + right.tap(columns.start + kw);
            [at, tap * run]
        })
    }

    /// # Safety
    ///
    /// As for [`Self::compute_class`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn sums_of_class<V: Vector, const P: usize, const R: usize>(
        &self,
        class: &Classes<'_>,
        pixel: usize,
        from: *const f32,
    ) -> [[V; R]; P] {
        let (slide, [down, right]) = (self.slide, self.taps);
        let [_, row_pitch, pixel_pitch] = slide.from.pitch;
        let seen = class.places.seen::<P>(pixel, from.wrapping_add(self.group * slide.from.run));
        let [kept_rows, kept_columns] = &class.seen;
        let (rows, columns) = (kept_rows.len(), kept_columns.len());
        let [together, apart] = self.runs(columns);
        let (len, width) = (together * slide.from.run, slide.from.run * R * V::LEN);
        let mut sums = [[V::splat(0.0); R]; P];
        for kh in 0..rows {
            for kw in 0..apart {
                let at = down.apart(kh) * row_pitch + right.apart(kw) * pixel_pitch;
                let tap = down.tap(kept_rows.start + kh) * slide.from.taps[1] + right.tap(kept_columns.start + kw);
                // SAFETY: the panel has a row for each channel of each tap, and all of them lie in the image.
                unsafe { add_products(&mut sums, &seen, at, self.panel.wrapping_add(tap * width), len) };
            }
        }
        sums
    }
}
