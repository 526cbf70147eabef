//! Convolutions of each channel by itself: vectors run along the channels of both factors, and weights need no packing.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use std::ops::Range;

use super::slide::{Part, Slide, Taps, WHOLE_TILES};
use super::tile::Tile;
use super::weight::Pairs;
use super::{Args, ConvShape};
use crate::kernels::gemm::Before;
use crate::kernels::vector::{Vector, load_row, load_row_masked};

/// The most vectors of channels in a tile.
const VECTORS: usize = 4;

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
        for (channel, vectors) in blocks::<V>(0..slide.groups) {
            // SAFETY: the caller's promise.
            unsafe {
                match (vectors, V::PAIRS) {
                    (1, 12) => tiles::<V, 8, 1>(slide, &part, channel, args),
                    (2, 12) => tiles::<V, 8, 2>(slide, &part, channel, args),
                    (_, 12) => tiles::<V, 4, 4>(slide, &part, channel, args),
                    (1, 6) => tiles::<V, 8, 1>(slide, &part, channel, args),
                    (2, 6) => tiles::<V, 6, 2>(slide, &part, channel, args),
                    (_, 6) => tiles::<V, 3, 4>(slide, &part, channel, args),
                    (1, _) => tiles::<V, 4, 1>(slide, &part, channel, args),
                    (2, _) => tiles::<V, 2, 2>(slide, &part, channel, args),
                    (_, _) => tiles::<V, 1, 4>(slide, &part, channel, args),
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

/// By tiles of `P` pixels and `R` vectors from a channel on.
///
/// # Safety
///
/// As for [`compute`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn tiles<V: Vector, const P: usize, const R: usize>(slide: &Slide, part: &Part, channel: usize, args: Args) {
    // SAFETY: the caller's promise.
    unsafe {
        match slide.groups - channel >= R * V::LEN {
            true => tiles_of::<V, P, R, true>(slide, part, channel, args),
            false => tiles_of::<V, P, R, false>(slide, part, channel, args),
        }
    }
}

/// [`tiles`], where `WHOLE` tells that all vectors are full.
///
/// # Safety
///
/// As for [`compute`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn tiles_of<V: Vector, const P: usize, const R: usize, const WHOLE: bool>(
    slide: &Slide,
    part: &Part,
    channel: usize,
    args: Args,
) {
    const { assert!(WHOLE_TILES.is_multiple_of(P)) };
    let taps = [0, 1].map(|dim| slide.taps(part.plane, dim));
    let masks = masks::<V, R>(slide.groups - channel);
    for pixel in part.pixels.clone().step_by(P) {
        let tile = Tile::<P>::new(slide, part, pixel);
        let count = P.min(part.pixels.end - pixel);
        // SAFETY: the caller's promise; the channels of some pixels of the result, which nobody else writes.
        unsafe {
            let sums = sums::<V, P, R, WHOLE>(slide, taps, &tile, channel, args);
            for p in 0..P {
                let to = args.to.wrapping_add(tile.to[p] * slide.groups + channel);
                if p < count {
                    store::<V, R, WHOLE>(&sums[p], to, &masks);
                }
            }
        }
    }
}

/// Which of the channels that are left the vectors of a tile have.
#[inline(always)]
fn masks<V: Vector, const R: usize>(left: usize) -> [V::Mask; R] {
    std::array::from_fn(|v| V::mask(left.saturating_sub(v * V::LEN)))
}

/// # Safety
///
/// As for [`compute`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn sums<V: Vector, const P: usize, const R: usize, const WHOLE: bool>(
    slide: &Slide,
    [down, right]: [Taps; 2],
    tile: &Tile<P>,
    channel: usize,
    args: Args,
) -> [[V; R]; P] {
    let masks = masks::<V, R>(slide.groups - channel);
    let mut sums = [[V::splat(0.0); R]; P];
    for kh in (0..down.count).filter(|kh| tile.meets_row(slide, down.offset(*kh))) {
        for kw in 0..right.count {
            let tap = slide.weights_of(down.tap(kh) * slide.from.taps[1] + right.tap(kw));
            let weights = args.b.wrapping_add(tap * slide.groups + channel);
            let offset = [down.offset(kh), right.offset(kw)];
            // SAFETY: weights of this tap.
            let row = unsafe { load::<V, R, WHOLE>(weights, &masks) };
            match tile.run(slide, args.a, offset, channel) {
                Some((mut x, step)) => {
                    for p in 0..P {
                        // SAFETY: all pixels see numbers of the factor.
                        unsafe { add_seen::<V, R, WHOLE>(&mut sums[p], x, &row, &masks) };
                        x = x.wrapping_add(step);
                    }
                }
                None => {
                    let seen = tile.seen(slide, args.a, offset, channel);
                    for p in 0..P {
                        // SAFETY: what the pixel sees, which may be zeros.
                        unsafe { add_seen::<V, R, WHOLE>(&mut sums[p], seen[p], &row, &masks) };
                    }
                }
            }
        }
    }
    sums
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
