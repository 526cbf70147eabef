//! Gradients by the weights of three taps side by side whose window moves by one pixel: a number of `x` is read once for
//! all three, while the pixels of `y` pass by.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::{ConvShape, Weights};
use crate::kernels::conv::Before;
use crate::kernels::conv::ahead::Ahead;
use crate::kernels::vector::Vector;

use std::ops::Range;

/// Taps side by side.
pub const TAPS: usize = 3;

/// The most channels of `x` in a tile.
const CHANNELS: usize = 8;

/// Into how many tiles so many channels of `x` fall.
pub fn tiles(channels: usize) -> usize {
    channels.div_ceil(CHANNELS)
}

/// Rows of `y`, counted through all images, from a channel of each factor on.
#[derive(Clone)]
pub struct Lines<'a> {
    pub weights: &'a Weights<'a>,
    pub rows: Range<usize>,
    /// The row of taps.
    pub kh: usize,
    /// What becomes of the sums that are there.
    pub before: Before,
    pub x: *const f32,
    pub y: *const f32,
}

impl Lines<'_> {
    /// The rows of weights of these taps, in tiles of equal height, as far as possible.
    ///
    /// # Safety
    ///
    /// As for [`Weights::sum`]; `to` is the first row of the first tap, of which `width` numbers are meant.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    pub unsafe fn add_rows<V: Vector>(&self, width: usize, to: *mut f32, ahead: &mut Ahead) {
        let (run, pitch) = (self.weights.image.run, self.weights.s.out_channels);
        let tiles = tiles(run);
        for tile in 0..tiles {
            let rows = tile * run / tiles..(tile + 1) * run / tiles;
            let part = Lines { x: self.x.wrapping_add(rows.start), ..self.clone() };
            // SAFETY: the rows of this tile.
            unsafe {
                let to = to.add(rows.start * pitch);
                match rows.len() {
                    1 => part.add_some::<V, 1>(width, to, ahead),
                    2 => part.add_some::<V, 2>(width, to, ahead),
                    3 => part.add_some::<V, 3>(width, to, ahead),
                    4 => part.add_some::<V, 4>(width, to, ahead),
                    5 => part.add_some::<V, 5>(width, to, ahead),
                    6 => part.add_some::<V, 6>(width, to, ahead),
                    7 => part.add_some::<V, 7>(width, to, ahead),
                    _ => part.add_some::<V, CHANNELS>(width, to, ahead),
                }
            }
        }
    }

    /// A tile of `A` channels of `x`, three taps, and as many channels of `y` as a vector or half of one has room for.
    ///
    /// # Safety
    ///
    /// As for [`Self::add_rows`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn add_some<V: Vector, const A: usize>(&self, width: usize, to: *mut f32, ahead: &mut Ahead) {
        // SAFETY: the caller's promise.
        unsafe {
            match width <= V::Half::LEN {
                true => self.add_in_duos::<V, A>(V::Half::mask(width), to, ahead),
                false => self.add::<V, A>(V::mask(width), to, ahead),
            }
        }
    }

    /// A tile of `A` channels of `x`, three taps, and a vector of channels of `y`.
    ///
    /// # Safety
    ///
    /// As for [`Self::add_rows`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn add<V: Vector, const A: usize>(&self, mask: V::Mask, to: *mut f32, ahead: &mut Ahead) {
        let (s, image) = (self.weights.s, &self.weights.image);
        let place = |a: usize, tap: usize| to.wrapping_add((tap * image.run + a) * s.out_channels);
        let mut sums = [[V::splat(0.0); TAPS]; A];
        if self.before == Before::Kept {
            for a in 0..A {
                for tap in 0..TAPS {
                    // SAFETY: a row of weights.
                    sums[a][tap] = unsafe { V::load_masked(place(a, tap), mask) };
                }
            }
        }
        for row in self.rows.clone() {
            ahead.ask::<V>();
            if let Some([x, y]) = self.factors(row) {
                // SAFETY: a row of each factor.
                unsafe { self.add_line::<V, A>(&mut sums, x, y, mask) };
            }
        }
        for a in 0..A {
            for tap in 0..TAPS {
                // SAFETY: a row of weights.
                unsafe { sums[a][tap].store_masked(place(a, tap), mask) };
            }
        }
    }

    /// Where a row of `y` lies and the one of `x` that it meets, if there is one.
    #[inline(always)]
    pub(super) fn factors(&self, row: usize) -> Option<[*const f32; 2]> {
        let (s, image) = (self.weights.s, &self.weights.image);
        let down = row % s.out_height * s.stride[0] + self.kh * s.dilation[0];
        let ih = down.checked_sub(image.pad[0]).filter(|ih| *ih < image.size[0])?;
        let x = self.x.wrapping_add(row / s.out_height * image.pitch[0] + ih * image.pitch[1]);
        Some([x, self.y.wrapping_add(row * s.out_width * s.out_channels)])
    }

    /// Adds the products of a row of `x` and one of `y`.
    ///
    /// # Safety
    ///
    /// As for [`Self::add_rows`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn add_line<V: Vector, const A: usize>(
        &self,
        sums: &mut [[V; TAPS]; A],
        mut x: *const f32,
        y: *const f32,
        mask: V::Mask,
    ) {
        let (s, image) = (self.weights.s, &self.weights.image);
        let mut local = *sums;
        // SAFETY: the channels that the mask means of a pixel of `y`.
        unsafe {
            // What the second and the third tap of the column before the first one meet.
            let mut second = pixel::<V>(s, y, image.pad[1].wrapping_sub(1), mask);
            let mut third = pixel::<V>(s, y, image.pad[1].wrapping_sub(2), mask);
            for column in 0..image.size[1] {
                let first = pixel::<V>(s, y, column + image.pad[1], mask);
                for a in 0..A {
                    let number = V::splat(*x.add(a));
                    local[a][0] = number.mul_add(first, local[a][0]);
                    local[a][1] = number.mul_add(second, local[a][1]);
                    local[a][2] = number.mul_add(third, local[a][2]);
                }
                [second, third] = [first, second];
                x = x.wrapping_add(image.pitch[2]);
            }
        }
        *sums = local;
    }
}

/// The channels of a pixel of a row of `y` that the mask means; zeros beside the row.
///
/// # Safety
///
/// The row has these channels.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub unsafe fn pixel<V: Vector>(s: &ConvShape, y: *const f32, column: usize, mask: V::Mask) -> V {
    match column < s.out_width {
        // SAFETY: the caller's promise.
        true => unsafe { V::load_masked(y.add(column * s.out_channels), mask) },
        false => V::splat(0.0),
    }
}
