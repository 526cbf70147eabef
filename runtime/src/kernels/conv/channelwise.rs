//! Convolutions of each channel by itself: vectors run along the channels of both factors, and weights need no packing.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use std::ops::Range;

use super::listed::Classes;
use super::slide::{Slide, Taps};
use super::weight::Pairs;
use super::{Args, ConvShape};
use crate::kernels::conv::Before;
use crate::kernels::vector::{Vector, load_row, load_row_masked};

/// The most vectors of channels in a tile.
const VECTORS: usize = 4;

/// How many pixels are gone through before those channels take their turn that have no room in the same tile: what their windows see
/// stays in a first-level cache.
const STRIP: usize = 12;

impl ConvShape {
    /// Whether each channel has a group of its own, in both images.
    pub(super) fn is_channelwise(&self) -> bool {
        self.groups == self.in_channels && self.groups == self.out_channels && self.groups > 1
    }
}

/// `Forward` and `ByInput` of the positions of `args`.
///
/// # Safety
///
/// As for [`Routine`](crate::kernels::Routine).
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub unsafe fn compute<V: Vector>(slide: &Slide, args: Args) {
    for part in slide.parts(args.first..args.last) {
        let taps = [0, 1].map(|dim| slide.taps(part.plane, dim));
        let mut classes = Classes::new(slide, &part, taps, V::LEN);
        while classes.advance() {
            let count = classes.places.count();
            let strip = if slide.groups > VECTORS * V::LEN { STRIP } else { count.max(1) };
            for first in (0..count).step_by(strip) {
                for (channel, vectors) in blocks::<V>(0..slide.groups) {
                    let pixels = first..count.min(first + strip);
                    let block = Block { slide, taps, class: &classes, pixels, channel };
                    // SAFETY: the caller's promise.
                    unsafe {
                        match (vectors, V::PAIRS) {
                            (1, 12) => block.tiles::<V, 8, 1>(args),
                            (2, 12) => block.tiles::<V, 8, 2>(args),
                            (_, 12) => block.tiles::<V, 4, 4>(args),
                            (1, 6) => block.tiles::<V, 8, 1>(args),
                            (2, 6) => block.tiles::<V, 6, 2>(args),
                            (_, 6) => block.tiles::<V, 3, 4>(args),
                            (1, _) => block.tiles::<V, 4, 1>(args),
                            (2, _) => block.tiles::<V, 2, 2>(args),
                            (_, _) => block.tiles::<V, 1, 4>(args),
                        }
                    }
                }
            }
        }
    }
}

/// Channels in blocks of up to [`VECTORS`]: the first channel, and one, two or four vectors that have room for the block.
fn blocks<V: Vector>(channels: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
    channels.clone().step_by(VECTORS * V::LEN).map(move |first| match channels.end - first {
        left if left <= V::LEN => (first, 1),
        left if left <= 2 * V::LEN => (first, 2),
        _ => (first, VECTORS),
    })
}

/// Pixels that see the same taps × channels from one on.
struct Block<'a> {
    slide: &'a Slide,
    taps: [Taps; 2],
    class: &'a Classes<'a>,
    /// Some of those that are listed.
    pixels: Range<usize>,
    channel: usize,
}

impl Block<'_> {
    /// By tiles of `P` pixels and `R` vectors.
    ///
    /// # Safety
    ///
    /// As for [`compute`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn tiles<V: Vector, const P: usize, const R: usize>(&self, args: Args) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.slide.groups - self.channel >= R * V::LEN {
                true => self.tiles_of::<V, P, R, true>(args),
                false => self.tiles_of::<V, P, R, false>(args),
            }
        }
    }

    /// [`Self::tiles`], where `WHOLE` tells that all vectors are full.
    ///
    /// # Safety
    ///
    /// As for [`compute`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn tiles_of<V: Vector, const P: usize, const R: usize, const WHOLE: bool>(&self, args: Args) {
        let (groups, places) = (self.slide.groups, &self.class.places);
        let masks = masks::<V, R>(groups - self.channel);
        for pixel in self.pixels.clone().step_by(P) {
            let left = self.pixels.end - pixel;
            // SAFETY: the caller's promise; the channels of some pixels of the result, which nobody else writes.
            unsafe {
                let sums = self.sums::<V, P, R, WHOLE>(pixel, args, &masks);
                for p in 0..P {
                    if p < left {
                        let to = args.to.wrapping_add(places.to(pixel + p) * groups + self.channel);
                        store::<V, R, WHOLE>(&sums[p], to, &masks);
                    }
                }
            }
        }
    }

    /// # Safety
    ///
    /// As for [`compute`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn sums<V: Vector, const P: usize, const R: usize, const WHOLE: bool>(
        &self,
        pixel: usize,
        args: Args,
        masks: &[V::Mask; R],
    ) -> [[V; R]; P] {
        let (slide, [down, right], [rows, columns]) = (self.slide, self.taps, &self.class.seen);
        let [_, row_pitch, pixel_pitch] = slide.from.pitch;
        let seen = self.class.places.seen::<P>(pixel, args.a.wrapping_add(self.channel));
        let mut sums = [[V::splat(0.0); R]; P];
        for kh in 0..rows.len() {
            for kw in 0..columns.len() {
                let tap = down.tap(rows.start + kh) * slide.from.taps[1] + right.tap(columns.start + kw);
                let weights = args.b.wrapping_add(slide.weights_of(tap) * slide.groups + self.channel);
                let at = down.apart(kh) * row_pitch + right.apart(kw) * pixel_pitch;
                // SAFETY: weights of this tap.
                let row = unsafe { load::<V, R, WHOLE>(weights, masks) };
                for p in 0..P {
                    // SAFETY: the tap lies in the factor from all pixels.
                    unsafe { add_seen::<V, R, WHOLE>(&mut sums[p], seen[p].wrapping_add(at), &row, masks) };
                }
            }
        }
        sums
    }
}

/// Which of the channels that are left the vectors of a tile have.
#[inline(always)]
fn masks<V: Vector, const R: usize>(left: usize) -> [V::Mask; R] {
    std::array::from_fn(|v| V::mask(left.saturating_sub(v * V::LEN)))
}

/// Adds to the sums of a pixel the products of what it sees and the weights of a tap.
///
/// # Safety
///
/// The channels that the masks mean can be read at this place; with `WHOLE` these are all.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn add_seen<V: Vector, const R: usize, const WHOLE: bool>(
    sums: &mut [V; R],
    seen: *const f32,
    row: &[V; R],
    masks: &[V::Mask; R],
) {
    // SAFETY: the caller's promise.
    let x = unsafe { load::<V, R, WHOLE>(seen, masks) };
    for v in 0..R {
        sums[v] = x[v].mul_add(row[v], sums[v]);
    }
}

/// The channels that the masks mean; with `WHOLE` these are all.
///
/// # Safety
///
/// They can be read.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn load<V: Vector, const R: usize, const WHOLE: bool>(from: *const f32, masks: &[V::Mask; R]) -> [V; R] {
    // SAFETY: the caller's promise.
    unsafe { if WHOLE { load_row(from) } else { load_row_masked(from, masks) } }
}

/// Writes the channels that the masks mean; with `WHOLE` these are all.
///
/// # Safety
///
/// They can be written.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn store<V: Vector, const R: usize, const WHOLE: bool>(sums: &[V; R], to: *mut f32, masks: &[V::Mask; R]) {
    for v in 0..R {
        let to = to.wrapping_add(v * V::LEN);
        // SAFETY: the caller's promise.
        unsafe { if WHOLE { sums[v].store(to) } else { sums[v].store_masked(to, masks[v]) } };
    }
}

/// Adds to weights of a tap the products of pixels, for the channels of a range.
///
/// # Safety
///
/// The factors have the channels at all of these pixels; nobody else uses the weights.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub unsafe fn add<V: Vector>(
    pairs: &Pairs,
    channels: Range<usize>,
    factors: [*const f32; 2],
    weights: *mut f32,
    before: Before,
) {
    for (first, vectors) in blocks::<V>(channels.clone()) {
        let (factors, to) = (factors.map(|factor| factor.wrapping_add(first)), weights.wrapping_add(first));
        // SAFETY: the caller's promise, for some of the channels.
        unsafe {
            match vectors {
                1 => add_block::<V, 4, 1>(pairs, channels.end - first, factors, to, before),
                2 => add_block::<V, 2, 2>(pairs, channels.end - first, factors, to, before),
                _ => add_block::<V, 2, VECTORS>(pairs, channels.end - first, factors, to, before),
            }
        }
    }
}

/// [`add`] for `R` vectors, which have room for all or some of the channels that are left.
///
/// # Safety
///
/// As for [`add`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn add_block<V: Vector, const C: usize, const R: usize>(
    pairs: &Pairs,
    left: usize,
    factors: [*const f32; 2],
    weights: *mut f32,
    before: Before,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match left >= R * V::LEN {
            true => add_chains::<V, C, R, true>(pairs, left, factors, weights, before),
            false => add_chains::<V, C, R, false>(pairs, left, factors, weights, before),
        }
    }
}

/// [`add_block`], where `WHOLE` tells that all vectors are full; `C` chains of sums, which the pixels join in turn, keep the arithmetic
/// busy.
///
/// # Safety
///
/// As for [`add`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn add_chains<V: Vector, const C: usize, const R: usize, const WHOLE: bool>(
    pairs: &Pairs,
    left: usize,
    [x, y]: [*const f32; 2],
    weights: *mut f32,
    before: Before,
) {
    let masks = masks::<V, R>(left);
    let mut sums = [[V::splat(0.0); R]; C];
    if before == Before::Kept {
        // SAFETY: weights.
        sums[0] = unsafe { load::<V, R, WHOLE>(weights, &masks) };
    }
    let (whole, rest) = pairs.all().as_chunks::<C>();
    for pairs in whole {
        for c in 0..C {
            // SAFETY: channels of a pixel of each factor.
            sums[c] = unsafe { with_product::<V, R, WHOLE>(sums[c], x.add(pairs[c][0]), y.add(pairs[c][1]), &masks) };
        }
    }
    for pair in rest {
        // SAFETY: channels of a pixel of each factor.
        sums[0] = unsafe { with_product::<V, R, WHOLE>(sums[0], x.add(pair[0]), y.add(pair[1]), &masks) };
    }
    for v in 0..R {
        let mut sum = sums[0][v];
        for c in 1..C {
            sum = sum.add(sums[c][v]);
        }
        // SAFETY: weights.
        unsafe { sum.store_masked(weights.wrapping_add(v * V::LEN), masks[v]) };
    }
}

/// Sums with the products of the channels of a pixel added.
///
/// # Safety
///
/// The channels that the masks mean can be read; with `WHOLE` these are all.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn with_product<V: Vector, const R: usize, const WHOLE: bool>(
    mut sums: [V; R],
    x: *const f32,
    y: *const f32,
    masks: &[V::Mask; R],
) -> [V; R] {
    // SAFETY: the caller's promise.
    let (x, y) = unsafe { (load::<V, R, WHOLE>(x, masks), load::<V, R, WHOLE>(y, masks)) };
    for v in 0..R {
        sums[v] = x[v].mul_add(y[v], sums[v]);
    }
    sums
}
