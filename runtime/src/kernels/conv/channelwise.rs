//! Convolutions of each channel by itself: vectors run along the channels of both factors, and weights need no packing.

use std::ops::Range;

use super::slide::{Part, Slide, Taps, WHOLE_TILES};
use super::tile::Tile;
use super::weight::Pairs;
use super::{Args, ConvShape};
use crate::kernels::gemm::Before;
use crate::kernels::vector::Vector;

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
                    (1, 6) => tiles::<V, 6, 1>(slide, &part, channel, args),
                    (2, 6) => tiles::<V, 4, 2>(slide, &part, channel, args),
                    (_, 6) => tiles::<V, 2, 4>(slide, &part, channel, args),
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
    const { assert!(WHOLE_TILES.is_multiple_of(P)) };
    let taps = [0, 1].map(|dim| slide.taps(part.plane, dim));
    let masks = masks::<V, R>(slide.groups - channel);
    for pixel in part.pixels.clone().step_by(P) {
        let tile = Tile::<P>::new(slide, part, pixel);
        let count = P.min(part.pixels.end - pixel);
        // SAFETY: the caller's promise; the channels of some pixels of the result, which nobody else writes.
        unsafe {
            let sums = sums::<V, P, R>(slide, taps, &tile, channel, args);
            for (to, sums) in tile.to.iter().zip(&sums).take(count) {
                for v in 0..R {
                    sums[v].store_masked(args.to.add(to * slide.groups + channel + v * V::LEN), masks[v]);
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
unsafe fn sums<V: Vector, const P: usize, const R: usize>(
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
            let tap = down.tap(kh) * slide.from.taps[1] + right.tap(kw);
            let weights = args.b.wrapping_add(tap * slide.groups + channel);
            let offset = [down.offset(kh), right.offset(kw)];
            // SAFETY: weights of this tap.
            let row = std::array::from_fn(|v| unsafe { V::load_masked(weights.add(v * V::LEN), masks[v]) });
            match tile.run(slide, args.a, offset, channel) {
                // SAFETY: all pixels see numbers of the factor.
                Some((x, step)) => unsafe { add_seen(&mut sums, |p| x.wrapping_add(p * step), row, masks) },
                None => {
                    let seen = tile.seen(slide, args.a, offset, channel);
                    // SAFETY: what the pixels see, which may be zeros.
                    unsafe { add_seen(&mut sums, |p| seen[p], row, masks) }
                }
            }
        }
    }
    sums
}

/// Adds to the sums of each pixel the products of what it sees and the weights of a tap.
///
/// # Safety
///
/// The channels that the masks mean can be read at the place of each pixel.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn add_seen<V: Vector, const P: usize, const R: usize>(
    sums: &mut [[V; R]; P],
    seen: impl Fn(usize) -> *const f32,
    row: [V; R],
    masks: [V::Mask; R],
) {
    for (p, sums) in sums.iter_mut().enumerate() {
        for v in 0..R {
            // SAFETY: the caller's promise.
            let x = unsafe { V::load_masked(seen(p).add(v * V::LEN), masks[v]) };
            sums[v] = x.mul_add(row[v], sums[v]);
        }
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
                _ => add_block::<V, 1, VECTORS>(pairs, channels.end - first, factors, to, before),
            }
        }
    }
}

/// [`add`] for `R` vectors, which have room for all or some of the channels that are left; `C` chains of sums, which the
/// pixels join in turn, keep the arithmetic busy.
///
/// # Safety
///
/// As for [`add`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn add_block<V: Vector, const C: usize, const R: usize>(
    pairs: &Pairs,
    left: usize,
    [x, y]: [*const f32; 2],
    weights: *mut f32,
    before: Before,
) {
    let masks = masks::<V, R>(left);
    let place = |v: usize| weights.wrapping_add(v * V::LEN);
    let mut sums = [[V::splat(0.0); R]; C];
    if before == Before::Kept {
        // SAFETY: weights.
        sums[0] = std::array::from_fn(|v| unsafe { V::load_masked(place(v), masks[v]) });
    }
    let (whole, rest) = pairs.all().as_chunks::<C>();
    for pairs in whole {
        for c in 0..C {
            // SAFETY: channels of a pixel of each factor.
            sums[c] = unsafe { with_product(sums[c], x.add(pairs[c][0]), y.add(pairs[c][1]), masks) };
        }
    }
    for pair in rest {
        // SAFETY: channels of a pixel of each factor.
        sums[0] = unsafe { with_product(sums[0], x.add(pair[0]), y.add(pair[1]), masks) };
    }
    for v in 0..R {
        let sum = (1..C).fold(sums[0][v], |sum, c| sums[c][v].mul_add(V::splat(1.0), sum));
        // SAFETY: weights.
        unsafe { sum.store_masked(place(v), masks[v]) };
    }
}

/// Sums with the products of the channels of a pixel added.
///
/// # Safety
///
/// The channels that the masks mean can be read.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn with_product<V: Vector, const R: usize>(
    mut sums: [V; R],
    x: *const f32,
    y: *const f32,
    masks: [V::Mask; R],
) -> [V; R] {
    for v in 0..R {
        // SAFETY: the caller's promise.
        let [x, y] = [x, y].map(|from| unsafe { V::load_masked(from.add(v * V::LEN), masks[v]) });
        sums[v] = x.mul_add(y, sums[v]);
    }
    sums
}
