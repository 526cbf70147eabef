//! Pixels in classes that see the same taps: nothing is multiplied with what lies outside of a factor, and where the pixels of a
//! class lie is listed once, for the tiles of all channels of the result.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::Args;
use super::dense::{Block, add_products, blocks};
use super::places::{PLACES, Places, Stretch, TILE};
use super::slide::{Part, Slide, Taps};
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
    let mut places = Places::NONE;
    let mut first = part.pixels.start;
    while first < part.pixels.end {
        let part = Part { pixels: first..end::<V>(slide, part, first), ..*part };
        for down in Stretch::all(slide, &part, taps[0], 0) {
            for right in Stretch::all(slide, &part, taps[1], 1) {
                places.list(slide, &part, taps, [&down, &right]);
                let class = Class { places: &places, down: &down, right: &right };
                for group in 0..slide.groups {
                    for (first, vectors) in blocks::<V>(slide.width) {
                        let panel = packed.wrapping_add(slide.panel(group, first));
                        let block = Block { slide, part: &part, taps, group, first, panel };
                        // SAFETY: the caller's promise; the pixels are listed.
                        unsafe { block.compute_class::<V>(vectors, &class, args) };
                    }
                }
            }
        }
        first = part.pixels.end;
    }
}

/// Where the pixels from this one on end that are listed together: with an image or a row, if possible.
fn end<V: Vector>(slide: &Slide, part: &Part, first: usize) -> usize {
    let ([rows, columns], channels) = (part.size, slide.from.pitch[2]);
    let panel = slide.from.taps[0] * slide.from.taps[1] * slide.from.run * 2 * V::LEN;
    let much = if panel <= SMALL_PANEL { FEW } else { MANY } / channels;
    let images = if columns <= TILE { (IMAGES * rows * columns).min(MOST / channels) } else { 0 };
    let last = first + much.max(images).clamp(TILE, PLACES);
    let whole = |pixels: usize| Some(last - last % pixels).filter(|end| *end > first);
    whole(rows * columns).or(whole(columns)).unwrap_or(last).min(part.pixels.end)
}

/// Pixels that see the same taps.
struct Class<'a> {
    places: &'a Places,
    down: &'a Stretch,
    right: &'a Stretch,
}

impl Block<'_> {
    /// # Safety
    ///
    /// As for [`compute`]; the pixels are those of the part.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn compute_class<V: Vector>(&self, vectors: usize, class: &Class<'_>, args: Args) {
        // SAFETY: the caller's promise.
        unsafe {
            match (vectors, V::PAIRS) {
                (1, 12) => self.tiles::<V, 12, 1>(class, args),
                (1, _) => self.tiles::<V, 8, 1>(class, args),
                (_, 12) => self.tiles::<V, 12, 2>(class, args),
                (_, 6) => self.tiles::<V, 6, 2>(class, args),
                (_, _) => self.tiles::<V, 4, 2>(class, args),
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
    unsafe fn tiles<V: Vector, const P: usize, const R: usize>(&self, class: &Class<'_>, args: Args) {
        let (masks, places) = (self.masks::<V, R>(), class.places);
        for pixel in (0..places.count()).step_by(P) {
            // SAFETY: the caller's promise.
            let sums = unsafe { self.sums_of_class::<V, P, R>(class, pixel, args.a) };
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

    /// # Safety
    ///
    /// As for [`Self::compute_class`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn sums_of_class<V: Vector, const P: usize, const R: usize>(
        &self,
        class: &Class<'_>,
        pixel: usize,
        from: *const f32,
    ) -> [[V; R]; P] {
        let (slide, [down, right]) = (self.slide, self.taps);
        let [_, row_pitch, pixel_pitch] = slide.from.pitch;
        let seen = class.places.seen::<P>(pixel, from.wrapping_add(self.group * slide.from.run));
        // Taps side by side see one run of numbers.
        let (rows, columns) = (class.down.taps.len(), class.right.taps.len());
        let (together, apart) = if slide.groups == 1 && right.are_side_by_side() { (columns, 1) } else { (1, columns) };
        let (len, width) = (together * slide.from.run, slide.from.run * R * V::LEN);
        let mut sums = [[V::splat(0.0); R]; P];
        for kh in 0..rows {
            for kw in 0..apart {
                let at = down.apart(kh) * row_pitch + right.apart(kw) * pixel_pitch;
                let tap =
                    down.tap(class.down.taps.start + kh) * slide.from.taps[1] + right.tap(class.right.taps.start + kw);
                // SAFETY: the panel has a row for each channel of each tap, and all of them lie in the image.
                unsafe { add_products(&mut sums, &seen, at, self.panel.wrapping_add(tap * width), len) };
            }
        }
        sums
    }
}
