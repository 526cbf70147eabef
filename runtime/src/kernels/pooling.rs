//! Pooling: what windows that slide over images see, added up or the largest of it, and the transposes.
//!
//! Images are dense, row-major, channels last: `x` is `[batch, height, width, channels]`, `y` is
//! `[batch, out_height, out_width, channels]`. What lies outside of `x` does not count: the sum of a window that sees
//! nothing is 0, its largest element negative infinity. NaN is never the largest.

use std::ops::Range;

use super::Isa;
use super::routine::{Args, Body, Routine, built};
use super::vector::Vector;

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
        let (reach, beyond) = ((self.size[dim] - 1) * dilation, self.pad[dim] + [self.height, self.width][dim]);
        // Most windows reach over no edge: nothing has to be divided.
        if start >= self.pad[dim] && start + reach < beyond {
            return 0..self.size[dim];
        }
        let first = self.pad[dim].saturating_sub(start).div_ceil(dilation);
        let end = beyond.saturating_sub(start).div_ceil(dilation);
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
    fn fold<V: Vector>(so_far: V, x: V) -> V;
}

struct Sum;
struct Max;

impl Fold for Sum {
    const START: f32 = 0.0;

    #[inline(always)]
    fn fold<V: Vector>(so_far: V, x: V) -> V {
        so_far.add(x)
    }
}

impl Fold for Max {
    const START: f32 = f32::NEG_INFINITY;

    #[inline(always)]
    fn fold<V: Vector>(so_far: V, x: V) -> V {
        x.where_larger(so_far, x, so_far)
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
                let window = Seen::new(s, [oh, ow]);
                // SAFETY: an image, and a pixel of the result, which nobody else writes.
                unsafe {
                    let x = args.a.add(n * s.height * s.width * s.channels);
                    let to = args.to.add((position * s.out_width + ow) * s.channels);
                    match window.side() {
                        2 => pool::<V, F, 2>(&window, x, to),
                        3 => pool::<V, F, 3>(&window, x, to),
                        _ => pool::<V, F, 0>(&window, x, to),
                    }
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
            // SAFETY: an image, and the result for it, which nobody else writes.
            let (x, to) = unsafe { (args.a.add(n * image), pixel_mut(args.to, n, image)) };
            let (row, mut cleared) = (s.width * s.channels, 0);
            for number in 0..windows {
                let window = Seen::new(s, [number / s.out_width, number % s.out_width]);
                // Rows are cleared just before they are needed, while they are in the first-level cache.
                let needed = window.last_row().map_or(0, |last| (last + 1) * row);
                if needed > cleared {
                    to[cleared..needed].fill(0.0);
                    cleared = needed;
                }
                // SAFETY: a pixel of `y`, the image and the result for it.
                unsafe {
                    let y = args.b.add((n * windows + number) * s.channels);
                    let to = to.as_mut_ptr();
                    match window.side() {
                        2 => unpool_max::<V, 2>(&window, x, y, to),
                        3 => unpool_max::<V, 3>(&window, x, y, to),
                        _ => unpool_max::<V, 0>(&window, x, y, to),
                    }
                }
            }
            to[cleared..].fill(0.0);
        }
    }
}

/// Makes one number of what a window sees, for each channel. The window sees `SIDE` rows of as many pixels: so few that loops over
/// them are no loops; or, if that is 0, any number.
///
/// # Safety
///
/// `x` is the image; `to` is a pixel that nobody else uses.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn pool<V: Vector, F: Fold, const SIDE: usize>(window: &Seen<'_>, x: *const f32, to: *mut f32) {
    let (channels, [rows, columns]) = (window.shape.channels, window.size::<SIDE>());
    let (first, [down, right]) = (window.first(), window.hops());
    for start in (0..channels).step_by(V::LEN) {
        // The last vector begins early enough to be whole: what it makes once more is the same.
        let channel = start.min(channels.saturating_sub(V::LEN));
        let mask = V::mask(channels - channel);
        let mut folded = V::splat(F::START);
        for row in 0..rows {
            for column in 0..columns {
                let place = first + row * down + column * right + channel;
                // SAFETY: channels of a pixel.
                folded = F::fold(folded, unsafe { V::load_masked(x.add(place), mask) });
            }
        }
        // SAFETY: channels of the result.
        unsafe { folded.store_masked(to.add(channel), mask) };
    }
}

/// The widest vector.
const WIDEST: usize = 16;

/// As many zeros as the widest vector holds, before as many ones.
static ZEROS_AND_ONES: [[f32; WIDEST]; 2] = [[0.0; WIDEST], [1.0; WIDEST]];

/// Adds what a window gets to the first largest element that it sees, for each channel; as [`pool`] sees it.
///
/// # Safety
///
/// `x` is the image, `to` the result for it, which nobody else uses; `y` is a pixel.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn unpool_max<V: Vector, const SIDE: usize>(window: &Seen<'_>, x: *const f32, y: *const f32, to: *mut f32) {
    let (channels, [rows, columns]) = (window.shape.channels, window.size::<SIDE>());
    let (first, [down, right]) = (window.first(), window.hops());
    for start in (0..channels).step_by(V::LEN) {
        // The last vector begins early enough to be whole.
        let channel = start.min(channels.saturating_sub(V::LEN));
        let (mask, zero) = (V::mask(channels - channel), V::splat(0.0));
        // Which tap, counted from 0, has the largest so far: the first one, where all are negative infinity.
        let (mut found, mut largest) = (zero, V::splat(f32::NEG_INFINITY));
        for row in 0..rows {
            for column in 0..columns {
                let place = first + row * down + column * right + channel;
                // SAFETY: channels of a pixel.
                let x = unsafe { V::load_masked(x.add(place), mask) };
                found = x.where_larger(largest, V::splat((row * columns + column) as f32), found);
                largest = x.where_larger(largest, x, largest);
            }
        }
        // SAFETY: channels of a pixel.
        let y = unsafe { V::load_masked(y.add(channel), mask) };
        // Nothing for channels that have got it before.
        // SAFETY: as many zeros as there are of them, less than a vector, and ones.
        let gets_it = unsafe { V::load(ZEROS_AND_ONES.as_ptr().cast::<f32>().add(WIDEST - (start - channel))) };
        let y = gets_it.where_larger(zero, y, zero);
        for row in 0..rows {
            for column in 0..columns {
                let place = first + row * down + column * right + channel;
                let gets = found.where_equal(V::splat((row * columns + column) as f32), y, zero);
                // SAFETY: channels of a pixel of the result.
                unsafe {
                    let to = to.add(place);
                    V::load_masked(to, mask).add(gets).store_masked(to, mask);
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

    /// The number of the first pixel that it sees; where it sees nothing, any.
    #[inline(always)]
    fn first(&self) -> usize {
        let s = self.shape;
        if self.down.is_empty() || self.right.is_empty() {
            return 0;
        }
        let [row, column] =
            [(0, &self.down), (1, &self.right)].map(|(dim, taps)| s.tapped(dim, self.at[dim], taps.start));
        (row * s.width + column) * s.channels
    }

    /// How many numbers lie between neighbouring taps, in both directions.
    #[inline(always)]
    fn hops(&self) -> [usize; 2] {
        [self.shape.dilation[0] * self.shape.width * self.shape.channels, self.shape.dilation[1] * self.shape.channels]
    }

    /// The last row of the image that it sees.
    #[inline(always)]
    fn last_row(&self) -> Option<usize> {
        (!self.down.is_empty()).then(|| self.shape.tapped(0, self.at[0], self.down.end - 1))
    }

    /// How many rows it sees, if they are few and of as many pixels; else 0.
    #[inline(always)]
    fn side(&self) -> usize {
        let is_square = self.down.len() == self.right.len() && self.down.len() <= 3;
        if is_square { self.down.len() } else { 0 }
    }

    /// How many rows and columns it sees, of which its side is known to be `SIDE`.
    #[inline(always)]
    fn size<const SIDE: usize>(&self) -> [usize; 2] {
        if SIDE == 0 { [self.down.len(), self.right.len()] } else { [SIDE; 2] }
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
