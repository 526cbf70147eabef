//! Pooling: what windows that slide over images see, added up or the largest of it, and the transposes.
//!
//! Images are dense, row-major, channels last: `x` is `[batch, height, width, channels]`, `y` is
//! `[batch, out_height, out_width, channels]`. What lies outside of `x` does not count: the sum of a window that sees
//! nothing is 0, its largest element negative infinity. NaN is never the largest.

use std::ops::Range;

use super::routine::{Args, Body, Routine, built};
use super::vector::Vector;
use super::{Isa, LANES};

/// The sizes of images and of the windows over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PoolShape {
    /// Images.
    pub batch: usize,
    /// Rows of an image.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Numbers in a pixel; each is pooled for itself.
    pub channels: usize,
    /// Taps of the window, in both directions.
    pub size: [usize; 2],
    /// Pixels between neighbouring windows.
    pub stride: [usize; 2],
    /// Pixels between neighbouring taps.
    pub dilation: [usize; 2],
    /// Pixels before the image over which windows reach, in both directions.
    pub pad: [usize; 2],
    /// Rows of windows.
    pub out_height: usize,
    /// Windows in a row.
    pub out_width: usize,
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pooling {
    /// From `x`: the sum over each window.
    Sum,
    /// From `x`: the largest element of each window.
    Max,
    /// From `y`, as large as `x`: the sum over the windows that see an element.
    Unpool,
    /// From `x` and `y`, as large as `x`: each element of `y` goes to the first largest element of its window.
    UnpoolMax,
}

impl PoolShape {
    /// How many positions there are.
    pub fn extent(&self, pooling: Pooling) -> usize {
        match pooling {
            Pooling::Sum | Pooling::Max => self.batch * self.out_height,
            Pooling::Unpool => self.batch * self.height,
            Pooling::UnpoolMax => self.batch,
        }
    }

    /// The taps of a row or column of windows that lie in the image.
    fn taps(&self, dim: usize, window: usize) -> Range<usize> {
        let (start, dilation) = (window * self.stride[dim], self.dilation[dim]);
        let first = self.pad[dim].saturating_sub(start).div_ceil(dilation);
        let end = (self.pad[dim] + [self.height, self.width][dim]).saturating_sub(start).div_ceil(dilation);
        first..end.min(self.size[dim]).max(first)
    }

    /// The row or column of the image that a tap inside of it lies on.
    fn tapped(&self, dim: usize, window: usize, tap: usize) -> usize {
        window * self.stride[dim] + tap * self.dilation[dim] - self.pad[dim]
    }

    /// The windows that may see a row or column of the image.
    fn windows(&self, dim: usize, at: usize) -> Range<usize> {
        let reach = (self.size[dim] - 1) * self.dilation[dim];
        let (at, count) = (at + self.pad[dim], [self.out_height, self.out_width][dim]);
        let first = at.saturating_sub(reach).div_ceil(self.stride[dim]);
        first..(at / self.stride[dim] + 1).min(count).max(first)
    }

    /// Whether a window that may see a row or column of the image does.
    fn sees(&self, dim: usize, window: usize, at: usize) -> bool {
        (at + self.pad[dim] - window * self.stride[dim]).is_multiple_of(self.dilation[dim])
    }
}

/// The routine for it. The work buffer is not used, nor is the second factor but by `UnpoolMax`, whose factors are `x`
/// and `y`.
pub fn routine(pooling: Pooling, isa: Isa) -> Routine<PoolShape> {
    match pooling {
        Pooling::Sum => built::<Pool<Sum>>(isa),
        Pooling::Max => built::<Pool<Max>>(isa),
        Pooling::Unpool => built::<Unpool>(isa),
        Pooling::UnpoolMax => built::<UnpoolMax>(isa),
    }
}

/// A way to make one number of those that a window sees.
trait Fold {
    const START: f32;
    fn fold(so_far: f32, x: f32) -> f32;
}

struct Sum;
struct Max;

impl Fold for Sum {
    const START: f32 = 0.0;

    #[inline(always)]
    fn fold(so_far: f32, x: f32) -> f32 {
        so_far + x
    }
}

impl Fold for Max {
    const START: f32 = f32::NEG_INFINITY;

    #[inline(always)]
    fn fold(so_far: f32, x: f32) -> f32 {
        if x > so_far { x } else { so_far }
    }
}

struct Pool<F>(F);
struct Unpool;
struct UnpoolMax;

impl<F: Fold> Body for Pool<F> {
    type Shape = PoolShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &PoolShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent(Pooling::Sum));
        for position in args.first..args.last {
            let (n, oh) = (position / s.out_height, position % s.out_height);
            for ow in 0..s.out_width {
                // SAFETY: a pixel of the result, which nobody else writes.
                let to = unsafe { pixel_mut(args.to, position * s.out_width + ow, s.channels) };
                let window = Seen::new(s, [oh, ow]);
                to.fill(F::START);
                for (kh, kw) in window.down.clone().flat_map(|kh| window.right.clone().map(move |kw| (kh, kw))) {
                    let at = n * s.height * s.width + window.pixel(kh, kw);
                    // SAFETY: a pixel of an image.
                    let x = unsafe { pixel(args.a, at, s.channels) };
                    to.iter_mut().zip(x).for_each(|(to, x)| *to = F::fold(*to, *x));
                }
            }
        }
    }
}

impl Body for Unpool {
    type Shape = PoolShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &PoolShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent(Pooling::Unpool));
        for position in args.first..args.last {
            let (n, ih) = (position / s.height, position % s.height);
            for iw in 0..s.width {
                // SAFETY: a pixel of the result, which nobody else writes.
                let to = unsafe { pixel_mut(args.to, position * s.width + iw, s.channels) };
                to.fill(0.0);
                for oh in s.windows(0, ih).filter(|oh| s.sees(0, *oh, ih)) {
                    for ow in s.windows(1, iw).filter(|ow| s.sees(1, *ow, iw)) {
                        // SAFETY: a pixel of `y`.
                        let y = unsafe { pixel(args.a, (n * s.out_height + oh) * s.out_width + ow, s.channels) };
                        to.iter_mut().zip(y).for_each(|(to, y)| *to += y);
                    }
                }
            }
        }
    }
}

impl Body for UnpoolMax {
    type Shape = PoolShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &PoolShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent(Pooling::UnpoolMax));
        let (image, windows) = (s.height * s.width * s.channels, s.out_height * s.out_width);
        for n in args.first..args.last {
            // SAFETY: an image, the result for it, which nobody else writes, and what its windows get.
            let (x, to) = unsafe { (pixel(args.a, n, image), pixel_mut(args.to, n, image)) };
            to.fill(0.0);
            for number in 0..windows {
                let window = Seen::new(s, [number / s.out_width, number % s.out_width]);
                // SAFETY: a pixel of `y`.
                let y = unsafe { pixel(args.b, n * windows + number, s.channels) };
                let (blocks, rest) = y.as_chunks::<LANES>();
                let (quarters, singles) = rest.as_chunks::<{ LANES / 4 }>();
                for (block, y) in blocks.iter().enumerate() {
                    window.pass_on(x, block * LANES, *y, to);
                }
                for (quarter, y) in quarters.iter().enumerate() {
                    window.pass_on(x, blocks.len() * LANES + quarter * (LANES / 4), *y, to);
                }
                for (single, y) in singles.iter().enumerate() {
                    window.pass_on(x, s.channels - singles.len() + single, [*y], to);
                }
            }
        }
    }
}

/// What a window sees of an image.
struct Seen<'a> {
    shape: &'a PoolShape,
    at: [usize; 2],
    /// Its taps that lie in the image.
    down: Range<usize>,
    right: Range<usize>,
}

impl<'a> Seen<'a> {
    #[inline(always)]
    fn new(shape: &'a PoolShape, at: [usize; 2]) -> Seen<'a> {
        Seen { shape, at, down: shape.taps(0, at[0]), right: shape.taps(1, at[1]) }
    }

    /// The pixel of the image, counted from its first one, that a tap lies on.
    #[inline(always)]
    fn pixel(&self, kh: usize, kw: usize) -> usize {
        self.shape.tapped(0, self.at[0], kh) * self.shape.width + self.shape.tapped(1, self.at[1], kw)
    }

    /// Adds what a window gets, for `N` channels from this one on, to the first largest element of the window.
    #[inline(always)]
    fn pass_on<const N: usize>(&self, x: &[f32], channel: usize, y: [f32; N], to: &mut [f32]) {
        let place = |kh: usize, kw: usize| self.pixel(kh, kw) * self.shape.channels + channel;
        // Which tap, counted from 0, has the largest so far: the first one, where all are negative infinity.
        let (mut found, mut largest, mut tap) = ([0u32; N], [f32::NEG_INFINITY; N], 0);
        for kh in self.down.clone() {
            for kw in self.right.clone() {
                let x = &x[place(kh, kw)..][..N];
                for lane in 0..N {
                    let is_larger = x[lane] > largest[lane];
                    found[lane] = if is_larger { tap } else { found[lane] };
                    largest[lane] = if is_larger { x[lane] } else { largest[lane] };
                }
                tap += 1;
            }
        }
        tap = 0;
        for kh in self.down.clone() {
            for kw in self.right.clone() {
                let to = &mut to[place(kh, kw)..][..N];
                for lane in 0..N {
                    to[lane] += if found[lane] == tap { y[lane] } else { 0.0 };
                }
                tap += 1;
            }
        }
    }
}

/// # Safety
///
/// There are `channels` numbers at this pixel, and nobody writes them.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn pixel<'a>(start: *const f32, index: usize, channels: usize) -> &'a [f32] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(start.add(index * channels), channels) }
}

/// # Safety
///
/// There is room for `channels` numbers at this pixel, and nobody else uses it.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn pixel_mut<'a>(start: *mut f32, index: usize, channels: usize) -> &'a mut [f32] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(start.add(index * channels), channels) }
}

#[cfg(test)]
mod tests;
