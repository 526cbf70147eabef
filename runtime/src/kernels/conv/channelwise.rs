//! Convolutions of each channel by itself: vectors run along the channels of both factors, and weights need no packing.

use std::ops::Range;

use super::slide::{Part, Slide, Taps, WHOLE_TILES};
use super::tile::Tile;
use super::weight::Pairs;
use super::{Args, ConvShape};
use crate::kernels::gemm::Before;
use crate::kernels::vector::Vector;

/// Vectors of channels in a tile.
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
        // SAFETY: the caller's promise.
        unsafe {
            match V::PAIRS {
                12 => tiles::<V, 4>(slide, &part, args),
                6 => tiles::<V, 2>(slide, &part, args),
                _ => tiles::<V, 1>(slide, &part, args),
            }
        }
    }
}

/// By tiles of `P` pixels.
///
/// # Safety
///
/// As for [`compute`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn tiles<V: Vector, const P: usize>(slide: &Slide, part: &Part, args: Args) {
    const { assert!(WHOLE_TILES.is_multiple_of(P)) };
    let taps = [0, 1].map(|dim| slide.taps(part.plane, dim));
    for pixel in part.pixels.clone().step_by(P) {
        let tile = Tile::<P>::new(slide, part, pixel);
        let count = P.min(part.pixels.end - pixel);
        for channel in (0..slide.groups).step_by(VECTORS * V::LEN) {
            let masks = masks::<V>(slide.groups - channel);
            // SAFETY: the caller's promise; the channels of some pixels of the result, which nobody else writes.
            unsafe {
                let sums = sums::<V, P>(slide, taps, &tile, channel, args);
                for (to, sums) in tile.to.iter().zip(&sums).take(count) {
                    for v in 0..VECTORS {
                        sums[v].store_masked(args.to.add(to * slide.groups + channel + v * V::LEN), masks[v]);
                    }
                }
            }
        }
    }
}

/// Which of the channels that are left the vectors of a tile have.
#[inline(always)]
fn masks<V: Vector>(left: usize) -> [V::Mask; VECTORS] {
    std::array::from_fn(|v| V::mask(left.saturating_sub(v * V::LEN)))
}

/// # Safety
///
/// As for [`compute`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn sums<V: Vector, const P: usize>(
    slide: &Slide,
    [down, right]: [Taps; 2],
    tile: &Tile<P>,
    channel: usize,
    args: Args,
) -> [[V; VECTORS]; P] {
    let masks = masks::<V>(slide.groups - channel);
    let mut sums = [[V::splat(0.0); VECTORS]; P];
    for kh in 0..down.count {
        for kw in 0..right.count {
            let tap = down.tap(kh) * slide.from.taps[1] + right.tap(kw);
            let seen = tile.seen(slide, args.a, [down.offset(kh), right.offset(kw)], channel);
            let weights = args.b.wrapping_add(tap * slide.groups + channel);
            let mut row = [V::splat(0.0); VECTORS];
            for v in 0..VECTORS {
                // SAFETY: weights of this tap.
                row[v] = unsafe { V::load_masked(weights.add(v * V::LEN), masks[v]) };
            }
            for p in 0..P {
                for v in 0..VECTORS {
                    // SAFETY: what the pixel sees, which may be zeros.
                    let x = unsafe { V::load_masked(seen[p].add(v * V::LEN), masks[v]) };
                    sums[p][v] = x.mul_add(row[v], sums[p][v]);
                }
            }
        }
    }
    sums
}

/// Adds to weights of a tap the products of pixels, for the channels of a range that is no longer than a tile.
///
/// # Safety
///
/// The factors have the channels at all of these pixels; nobody else uses the weights.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub unsafe fn add<V: Vector>(
    pairs: &Pairs,
    channels: Range<usize>,
    [x, y]: [*const f32; 2],
    weights: *mut f32,
    before: Before,
) {
    for first in channels.clone().step_by(VECTORS * V::LEN) {
        let masks = masks::<V>(channels.end - first);
        let place = |v: usize| weights.wrapping_add(first + v * V::LEN);
        let mut sums = [V::splat(0.0); VECTORS];
        if before == Before::Kept {
            // SAFETY: weights.
            sums = std::array::from_fn(|v| unsafe { V::load_masked(place(v), masks[v]) });
        }
        for [of_x, of_y] in pairs.all() {
            for v in 0..VECTORS {
                let at = first + v * V::LEN;
                // SAFETY: channels of a pixel of each factor.
                let [x, y] =
                    unsafe { [V::load_masked(x.add(of_x + at), masks[v]), V::load_masked(y.add(of_y + at), masks[v])] };
                sums[v] = x.mul_add(y, sums[v]);
            }
        }
        for v in 0..VECTORS {
            // SAFETY: weights.
            unsafe { sums[v].store_masked(place(v), masks[v]) };
        }
    }
}
