//! Pixels that lie in a factor of which no tap of any window lies outside, be it a [band](super::band): where they lie is listed once,
//! for the tiles of all channels of the result.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::Args;
use super::band::{Banded, Buffer};
use super::dense::{Block, add_products, blocks};
use super::places::{PLACES, Places};
use super::slide::{Part, Slide, Taps};
use crate::kernels::vector::Vector;

/// Room for a band and for places in it.
pub struct Room {
    buffer: Buffer,
    places: Places,
}

impl Room {
    #[inline(always)]
    pub fn new() -> Room {
        Room { buffer: Buffer::new(), places: Places::NONE }
    }
}

/// A part whose pixels can be listed.
pub struct Listed<'a> {
    /// Over the factor as it is.
    slide: &'a Slide,
    part: &'a Part,
    taps: [Taps; 2],
    banded: Option<Banded<'a>>,
}

impl<'a> Listed<'a> {
    /// For a part whose pixels see these taps, unless some of them lie outside and are better left there.
    pub fn new(slide: &'a Slide, part: &'a Part, taps: [Taps; 2]) -> Option<Listed<'a>> {
        let banded = Banded::new(slide, part.size, taps);
        (banded.is_some() || slide.from.is_whole).then_some(Listed { slide, part, taps, banded })
    }

    /// Computes the part, as much at a time as there is room for.
    ///
    /// # Safety
    ///
    /// As for [`dense::compute`](super::dense::compute).
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    pub unsafe fn compute<V: Vector>(&self, room: &mut Room, args: Args, packed: *const f32) {
        let (mut first, last) = (self.part.pixels.start, self.part.pixels.end);
        while first < last {
            let end = self.banded.as_ref().map_or(last, |banded| banded.end(self.part, first)).min(first + PLACES);
            let part = Part { pixels: first..end, ..*self.part };
            let (slide, taps, from) = match &self.banded {
                None => (self.slide, self.taps, args.a),
                // SAFETY: the caller's promise.
                Some(banded) => (&banded.over, banded.taps, unsafe { banded.copy(&part, args.a, &mut room.buffer) }),
            };
            room.places.list(slide, &part, self.banded.as_ref());
            for group in 0..slide.groups {
                for (first, vectors) in blocks::<V>(slide.width) {
                    let panel = packed.wrapping_add(slide.panel(group, first));
                    let block = Block { slide, part: &part, taps, group, first, panel };
                    // SAFETY: the caller's promise; the pixels are listed.
                    unsafe { block.compute_listed::<V>(vectors, &room.places, Args { a: from, ..args }) };
                }
            }
            first = end;
        }
    }
}

impl Block<'_> {
    /// # Safety
    ///
    /// As for [`Listed::compute`]; the pixels are those of the part.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn compute_listed<V: Vector>(&self, vectors: usize, places: &Places, args: Args) {
        // SAFETY: the caller's promise.
        unsafe {
            match (vectors, V::PAIRS) {
                (1, _) => self.tiles::<V, 8, 1>(places, args),
                (_, 6) => self.tiles::<V, 6, 2>(places, args),
                (_, _) => self.tiles::<V, 4, 2>(places, args),
            }
        }
    }

    /// By tiles of `P` pixels and `R` vectors.
    ///
    /// # Safety
    ///
    /// As for [`Self::compute_listed`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn tiles<V: Vector, const P: usize, const R: usize>(&self, places: &Places, args: Args) {
        let masks = self.masks::<V, R>();
        for pixel in (0..places.count()).step_by(P) {
            // SAFETY: the caller's promise.
            let sums = unsafe { self.sums_listed::<V, P, R>(places, pixel, args.a) };
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
    /// As for [`Self::compute_listed`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn sums_listed<V: Vector, const P: usize, const R: usize>(
        &self,
        places: &Places,
        pixel: usize,
        from: *const f32,
    ) -> [[V; R]; P] {
        let (run, [down, right]) = (self.slide.from.run, self.taps);
        let [_, row_pitch, pixel_pitch] = self.slide.from.pitch;
        let seen = places.seen::<P>(pixel, from.wrapping_add(self.group * run));
        let zeros = places.zeros::<P>(pixel);
        let mut sums = [[V::splat(0.0); R]; P];
        for kh in (0..down.count).filter(|kh| zeros.checked_shr(*kh as u32).is_none_or(|zeros| zeros & 1 == 0)) {
            for kw in 0..right.count {
                let at = down.offset(kh) as usize * row_pitch + right.offset(kw) as usize * pixel_pitch;
                let tap = down.tap(kh) * self.slide.from.taps[1] + right.tap(kw);
                let rows = self.panel.wrapping_add(tap * run * R * V::LEN);
                // SAFETY: the panel has a row for each channel of each tap, and all of them lie in the image.
                unsafe { add_products(&mut sums, &seen, at, rows, run) };
            }
        }
        sums
    }
}
