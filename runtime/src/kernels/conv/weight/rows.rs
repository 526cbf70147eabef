//! Gradients by the weights of three taps side by side whose window moves by one pixel: a number of `x` is read once for
//! all three, while the pixels of `y` pass by.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::{ConvShape, Weights};
use crate::kernels::conv::Before;
use crate::kernels::conv::ahead::Ahead;
use crate::kernels::vector::Vector;

use std::ops::Range;

/// Taps side by side.
const TAPS: usize = 3;

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
        let (tiles, mask) = (tiles(run), V::mask(width));
        for tile in 0..tiles {
            let rows = tile * run / tiles..(tile + 1) * run / tiles;
            let part = Lines { x: self.x.wrapping_add(rows.start), ..self.clone() };
            // SAFETY: the rows of this tile.
            unsafe {
                let to = to.add(rows.start * pitch);
                match rows.len() {
                    1 => part.add::<V, 1>(mask, to, ahead),
                    2 => part.add::<V, 2>(mask, to, ahead),
                    3 => part.add::<V, 3>(mask, to, ahead),
                    4 => part.add::<V, 4>(mask, to, ahead),
                    5 => part.add::<V, 5>(mask, to, ahead),
                    6 => part.add::<V, 6>(mask, to, ahead),
                    7 => part.add::<V, 7>(mask, to, ahead),
                    _ => part.add::<V, CHANNELS>(mask, to, ahead),
                }
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
            let down = row % s.out_height * s.stride[0] + self.kh * s.dilation[0];
            if let Some(ih) = down.checked_sub(image.pad[0]).filter(|ih| *ih < image.size[0]) {
                let x = self.x.wrapping_add(row / s.out_height * image.pitch[0] + ih * image.pitch[1]);
                let y = self.y.wrapping_add(row * s.out_width * s.out_channels);
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
unsafe fn pixel<V: Vector>(s: &ConvShape, y: *const f32, column: usize, mask: V::Mask) -> V {
    match column < s.out_width {
        // SAFETY: the caller's promise.
        true => unsafe { V::load_masked(y.add(column * s.out_channels), mask) },
        false => V::splat(0.0),
    }
}
