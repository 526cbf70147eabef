//! [`rows`](super::rows) where half a vector has room for the channels of `y`: vectors hold those of two neighbouring pixels, a *duo*, and
//! sums over the first and over the second pixels of duos, which are added up in the end.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::ConvShape;
use super::rows::{Lines, TAPS, pixel};
use crate::kernels::conv::Before;
use crate::kernels::conv::ahead::Ahead;
use crate::kernels::vector::Vector;

impl Lines<'_> {
    /// A tile of `A` channels of `x`, three taps, and half a vector of channels of `y`.
    ///
    /// # Safety
    ///
    /// As for [`Lines::add_rows`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    pub unsafe fn add_in_duos<V: Vector, const A: usize>(
        &self,
        mask: <V::Half as Vector>::Mask,
        to: *mut f32,
        ahead: &mut Ahead,
    ) {
        let (s, image) = (self.weights.s, &self.weights.image);
        let place = |a: usize, tap: usize| to.wrapping_add((tap * image.run + a) * s.out_channels);
        let mut sums = [[V::splat(0.0); TAPS]; A];
        if self.before == Before::Kept {
            for a in 0..A {
                for tap in 0..TAPS {
                    // SAFETY: a row of weights.
                    let kept = unsafe { V::Half::load_masked(place(a, tap), mask) };
                    sums[a][tap] = V::of_halves([kept, V::Half::splat(0.0)]);
                }
            }
        }
        for row in self.rows.clone() {
            ahead.ask::<V>();
            if let Some([x, y]) = self.factors(row) {
                // SAFETY: a row of each factor.
                unsafe { self.add_line_of_duos::<V, A>(&mut sums, x, y, mask) };
            }
        }
        for a in 0..A {
            for tap in 0..TAPS {
                let [first, second] = sums[a][tap].halves();
                // SAFETY: a row of weights.
                unsafe { first.add(second).store_masked(place(a, tap), mask) };
            }
        }
    }

    /// Adds the products of a row of `x` and one of `y`.
    ///
    /// # Safety
    ///
    /// As for [`Lines::add_rows`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn add_line_of_duos<V: Vector, const A: usize>(
        &self,
        sums: &mut [[V; TAPS]; A],
        mut x: *const f32,
        y: *const f32,
        mask: <V::Half as Vector>::Mask,
    ) {
        let (s, image, numbers) = (self.weights.s, &self.weights.image, V::Half::mask(A));
        let mut local = *sums;
        // SAFETY: the channels that the mask means of pixels of `y`, and `A` of pixels of `x`.
        unsafe {
            // What the third tap of the first duo meets.
            let mut third = duo::<V>(s, y, image.pad[1].wrapping_sub(2), mask);
            for column in (0..image.size[1]).step_by(2) {
                let mut first = duo::<V>(s, y, column + image.pad[1], mask);
                let mut second = duo::<V>(s, y, (column + image.pad[1]).wrapping_sub(1), mask);
                let mut beside = V::Half::splat(0.0);
                if column + 1 < image.size[1] {
                    beside = V::Half::load_masked(x.wrapping_add(image.pitch[2]), numbers);
                } else {
                    // The last pixel has none beside it: zeros times zeros, not times what is no number.
                    [first, second, third] = [lone(first), lone(second), lone(third)];
                }
                let seen = V::of_halves([V::Half::load_masked(x, numbers), beside]);
                for a in 0..A {
                    let number = seen.spread(a);
                    local[a][0] = number.mul_add(first, local[a][0]);
                    local[a][1] = number.mul_add(second, local[a][1]);
                    local[a][2] = number.mul_add(third, local[a][2]);
                }
                third = first;
                x = x.wrapping_add(2 * image.pitch[2]);
            }
        }
        *sums = local;
    }
}

/// The duo of a row of `y` from a column on; zeros beside the row.
///
/// # Safety
///
/// The row has the channels that the mask means.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn duo<V: Vector>(s: &ConvShape, y: *const f32, column: usize, mask: <V::Half as Vector>::Mask) -> V {
    // SAFETY: the caller's promise.
    let [low, high] =
        unsafe { [pixel::<V::Half>(s, y, column, mask), pixel::<V::Half>(s, y, column.wrapping_add(1), mask)] };
    V::of_halves([low, high])
}

/// The first pixel of a duo, beside zeros.
#[inline(always)]
fn lone<V: Vector>(duo: V) -> V {
    V::of_halves([duo.halves()[0], V::Half::splat(0.0)])
}
