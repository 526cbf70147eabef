//! `Forward` and `ByInput`: sums over taps and channels in register tiles of pixels × channels of the result.
//!
//! The weights are packed into panels: for each group and each block of up to two vectors of channels of the result,
//! for each tap, for each channel of the factor, a row of that many weights, with zeros beyond the last channel. Each
//! element of the result is summed in the order of the panel, so that it does not depend on the tile it falls into.

use super::slide::{BLOCK, Part, Slide, Taps};
use super::tile::{CHUNK, MOST, Tile};
use super::{Args, ConvShape, Role};
use crate::kernels::vector::Vector;

/// The widest vector; panels have room for whole ones.
const WIDEST: usize = 16;

/// About how many numbers of the factor are read again and again, for one panel after the other.
const IN_CACHE: usize = 32 * 1024;

impl Slide {
    /// Numbers in the panels of a group.
    fn panels(&self) -> usize {
        self.from.taps[0] * self.from.taps[1] * self.from.run * self.width.next_multiple_of(WIDEST)
    }

    /// Numbers in all panels.
    pub(super) fn packed_len(&self) -> usize {
        self.groups * self.panels()
    }

    /// How many positions packing the weights has: the taps of each group.
    pub(super) fn packed_extent(&self) -> usize {
        self.groups * self.from.taps[0] * self.from.taps[1]
    }

    /// The panel of a block of channels of a group.
    fn panel(&self, group: usize, block: usize) -> usize {
        group * self.panels() + self.from.taps[0] * self.from.taps[1] * self.from.run * block
    }
}

/// The blocks of channels of a group, by vectors of this kind: the first channel, how many vectors.
fn blocks<V: Vector>(width: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..width).step_by(2 * V::LEN).map(move |first| (first, if width - first > V::LEN { 2 } else { 1 }))
}

/// Brings the weights of one position into panels.
///
/// # Safety
///
/// `w` has the weights of the shape, and `to`, which nobody else uses, has room for the panels.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub(super) unsafe fn pack<V: Vector>(s: &ConvShape, slide: &Slide, position: usize, w: *const f32, to: *mut f32) {
    let taps = slide.from.taps[0] * slide.from.taps[1];
    let (group, tap) = (position / taps, position % taps);
    let [cin, cout] = s.per_group();
    // From one channel of the factor, and of the result, to the next.
    let (start, from_step, to_step) = match slide.role {
        Role::Forward => (tap * slide.from.run * s.out_channels + group * cout, s.out_channels, 1),
        Role::ByInput | Role::ByWeight => (tap * cin * s.out_channels + group * cout, 1, s.out_channels),
    };
    for (first, vectors) in blocks::<V>(slide.width) {
        let (lanes, channels) = (vectors * V::LEN, (slide.width - first).min(vectors * V::LEN));
        for from in 0..slide.from.run {
            let at = slide.panel(group, first) + (tap * slide.from.run + from) * lanes;
            // SAFETY: a row of a panel, which this position writes alone.
            let row = unsafe { std::slice::from_raw_parts_mut(to.add(at), lanes) };
            for (lane, weight) in row[..channels].iter_mut().enumerate() {
                // SAFETY: a weight.
                *weight = unsafe { *w.add(start + from * from_step + (first + lane) * to_step) };
            }
            row[channels..].fill(0.0);
        }
    }
}

/// Computes the positions of `args` from the factor `args.a` and packed weights.
///
/// # Safety
///
/// As for [`Routine`](crate::kernels::Routine); `args.a` is the factor as [`Slide::from`] describes it, `packed` are
/// the panels.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub(super) unsafe fn compute<V: Vector>(slide: &Slide, args: Args, packed: *const f32) {
    let stretch = (IN_CACHE / slide.from.pitch[2]).next_multiple_of(BLOCK);
    for part in slide.parts(args.first..args.last) {
        let taps = [0, 1].map(|dim| slide.taps(part.plane, dim));
        for first in part.pixels.clone().step_by(stretch) {
            let part = Part { pixels: first..part.pixels.end.min(first + stretch), ..part };
            for group in 0..slide.groups {
                for (block, vectors) in blocks::<V>(slide.width) {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let panel = packed.add(slide.panel(group, block));
                        let block = Block { slide, part: &part, taps, group, first: block, panel };
                        match (vectors, V::PAIRS) {
                            (1, 12) => block.compute::<V, 24, 1>(args),
                            (1, 6) => block.compute::<V, 12, 1>(args),
                            (1, _) => block.compute::<V, 8, 1>(args),
                            (_, 12) => block.compute::<V, 12, 2>(args),
                            (_, 6) => block.compute::<V, 6, 2>(args),
                            (_, _) => block.compute::<V, 4, 2>(args),
                        }
                    }
                }
            }
        }
    }
}

/// Pixels of a plane × a block of channels.
struct Block<'a> {
    slide: &'a Slide,
    part: &'a Part,
    taps: [Taps; 2],
    group: usize,
    /// The first channel within the group.
    first: usize,
    panel: *const f32,
}

impl Block<'_> {
    /// By tiles of `P` pixels and `R` vectors.
    ///
    /// # Safety
    ///
    /// As for [`compute`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn compute<V: Vector, const P: usize, const R: usize>(&self, args: Args) {
        const { assert!(P <= MOST && BLOCK.is_multiple_of(P)) };
        let slide = self.slide;
        let first = self.group * slide.width + self.first;
        let masks: [V::Mask; R] =
            std::array::from_fn(|v| V::mask((slide.width - self.first).saturating_sub(v * V::LEN)));
        for pixel in self.part.pixels.clone().step_by(P) {
            let tile = Tile::<P>::new(slide, self.part, pixel);
            // SAFETY: the caller's promise.
            let sums = unsafe { self.sums::<V, P, R>(&tile, args.a) };
            for p in 0..P.min(self.part.pixels.end - pixel) {
                for v in 0..R {
                    // SAFETY: the channels of this block of a pixel of the result, which nobody else writes.
                    unsafe {
                        let to = args.to.add(tile.to[p] * slide.groups * slide.width + first + v * V::LEN);
                        sums[p][v].store_masked(to, masks[v]);
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
    unsafe fn sums<V: Vector, const P: usize, const R: usize>(&self, tile: &Tile<P>, from: *const f32) -> [[V; R]; P] {
        let (slide, run) = (self.slide, self.slide.from.run);
        let [down, right] = self.taps;
        let mut sums = [[V::splat(0.0); R]; P];
        for (kh, kw) in (0..down.count).flat_map(|kh| (0..right.count).map(move |kw| (kh, kw))) {
            let tap = down.tap(kh) * slide.from.taps[1] + right.tap(kw);
            for start in (0..run).step_by(CHUNK) {
                let offset = [down.offset(kh), right.offset(kw)];
                let seen = tile.seen(slide, from, offset, self.group * run + start);
                // SAFETY: the panel has a row for each channel of each tap.
                unsafe {
                    let rows = self.panel.add((tap * run + start) * R * V::LEN);
                    add_products(&mut sums, &seen, rows, CHUNK.min(run - start));
                }
            }
        }
        sums
    }
}

/// Adds to the sums of each pixel the products of what it sees and the rows of a panel.
///
/// # Safety
///
/// Each pixel sees `len` numbers, and the panel has as many rows.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn add_products<V: Vector, const P: usize, const R: usize>(
    sums: &mut [[V; R]; P],
    seen: &[*const f32; P],
    rows: *const f32,
    len: usize,
) {
    let mut local = *sums;
    for at in 0..len {
        let mut row = [V::splat(0.0); R];
        for v in 0..R {
            // SAFETY: a row of the panel.
            row[v] = unsafe { V::load(rows.add((at * R + v) * V::LEN)) };
        }
        for p in 0..P {
            // SAFETY: one of the numbers that the pixel sees.
            let x = V::splat(unsafe { *seen[p].add(at) });
            for v in 0..R {
                local[p][v] = x.mul_add(row[v], local[p][v]);
            }
        }
    }
    *sums = local;
}
