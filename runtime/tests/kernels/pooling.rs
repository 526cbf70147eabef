//! Every pooling on every instruction set of this machine against loops over all windows.

use proptest::prelude::*;
use spnc_runtime::kernels::Isa;
use spnc_runtime::kernels::pooling::{PoolShape, Pooling, routine};

use crate::support::{Call, Tensor, same_bits};

const POOLINGS: [Pooling; 4] = [Pooling::Sum, Pooling::Max, Pooling::Unpool, Pooling::UnpoolMax];

/// What poolings mean.
trait Meaning {
    fn seen(&self, y: usize) -> Vec<usize>;
    fn lens(&self) -> [usize; 2];
}

impl Meaning for PoolShape {
    /// The places in `x` that the window of an element of `y` sees, in order.
    fn seen(&self, y: usize) -> Vec<usize> {
        let (channel, ow) = (y % self.channels, y / self.channels % self.out_width);
        let oh = y / self.channels / self.out_width % self.out_height;
        let n = y / self.channels / self.out_width / self.out_height;
        let at = |dim: usize, window: usize, tap: usize| {
            (window * self.stride[dim] + tap * self.dilation[dim]).checked_sub(self.pad[dim])
        };
        let taps = (0..self.size[0]).flat_map(|kh| (0..self.size[1]).map(move |kw| (kh, kw)));
        taps.filter_map(|(kh, kw)| Some((at(0, oh, kh)?, at(1, ow, kw)?)))
            .filter(|(ih, iw)| *ih < self.height && *iw < self.width)
            .map(|(ih, iw)| ((n * self.height + ih) * self.width + iw) * self.channels + channel)
            .collect()
    }

    fn lens(&self) -> [usize; 2] {
        let images = self.batch * self.channels;
        [images * self.height * self.width, images * self.out_height * self.out_width]
    }
}

fn expected(shape: &PoolShape, pooling: Pooling, a: &[f32], b: &[f32]) -> Vec<f32> {
    let [x_len, y_len] = shape.lens();
    let windows = (0..y_len).map(|y| shape.seen(y));
    let mut to = vec![0.0; x_len];
    match pooling {
        Pooling::Sum => return windows.map(|seen| seen.iter().fold(0.0, |sum, at| sum + a[*at])).collect(),
        Pooling::Max => {
            return windows.map(|seen| seen.iter().fold(f32::NEG_INFINITY, |m, at| m.max(a[*at]))).collect();
        }
        Pooling::Unpool => windows.enumerate().for_each(|(y, seen)| seen.iter().for_each(|at| to[*at] += a[y])),
        Pooling::UnpoolMax => windows.enumerate().for_each(|(y, seen)| {
            // Of equal ones `max_by` takes the last.
            if let Some(at) = seen.iter().rev().max_by(|i, j| a[**i].total_cmp(&a[**j])) {
                to[*at] += b[y];
            }
        }),
    }
    to
}

fn check(shape: &PoolShape, margin: usize, cuts: i32, site: u64) {
    let [x_len, y_len] = shape.lens();
    for pooling in POOLINGS {
        let (a, to) = if pooling == Pooling::Unpool { (y_len, x_len) } else { (x_len, y_len) };
        let to = if pooling == Pooling::UnpoolMax { x_len } else { to };
        // Few different numbers, so that some are equal.
        let coarse: Vec<f32> = Tensor::random(site, 0, a).content().iter().map(|x| (4.0 * x).round() + 0.0).collect();
        let before = Call {
            a: Tensor::new(margin, &coarse),
            b: Tensor::random(site + 1, margin, y_len),
            to: Tensor::new(margin, &vec![f32::NAN; to]),
            work: Tensor::new(0, &[]),
        };
        let expected = expected(shape, pooling, before.a.content(), before.b.content());
        for (isa, cuts) in Isa::available().into_iter().flat_map(|isa| [(isa, 0), (isa, cuts)]) {
            let mut call = before.clone();
            call.run(routine(pooling, isa), shape, shape.extent(pooling), cuts);
            assert!(same_bits(call.to.content(), &expected), "{pooling:?} {isa:?} {shape:?}");
        }
    }
}

/// Taps, stride, dilation, reach over the image before and after, size.
fn axis() -> impl Strategy<Value = [usize; 6]> {
    let window = (1usize..=4, 1usize..=3, 1usize..=3);
    (window, 0usize..=4, 0usize..=4, 0usize..10).prop_map(|((taps, stride, dilation), lo, hi, extra)| {
        let reach = (taps - 1) * dilation + 1;
        [taps, stride, dilation, lo, hi, (reach + extra).saturating_sub(lo + hi).max(1)]
    })
}

fn shapes() -> impl Strategy<Value = PoolShape> {
    let channels = prop_oneof![1usize..=5, 14usize..=36];
    (1usize..=3, axis(), axis(), channels).prop_map(|(batch, h, w, channels)| {
        let out = |[taps, stride, dilation, lo, hi, size]: [usize; 6]| {
            (size + lo + hi - ((taps - 1) * dilation + 1)) / stride + 1
        };
        PoolShape {
            batch,
            height: h[5],
            width: w[5],
            channels,
            size: [h[0], w[0]],
            stride: [h[1], w[1]],
            dilation: [h[2], w[2]],
            pad: [h[3], w[3]],
            out_height: out(h),
            out_width: out(w),
        }
    })
}

proptest! {
    #[test]
    fn all_poolings_agree_with_loops_over_windows(
        shape in shapes(), margin in 0usize..20, cuts in 1i32..1000, site in 0u64..1000,
    ) {
        check(&shape, margin, cuts, site);
    }
}

/// A window of nothing but negative infinity passes on to its first element; NaN is passed over.
#[test]
fn extremes_of_a_window() {
    let shape = PoolShape {
        batch: 1,
        height: 1,
        width: 4,
        channels: 1,
        size: [1, 2],
        stride: [1, 2],
        dilation: [1, 1],
        pad: [0, 0],
        out_height: 1,
        out_width: 2,
    };
    for isa in Isa::available() {
        let x = [f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NAN, 1.0];
        let mut call = Call {
            a: Tensor::new(0, &x),
            b: Tensor::new(0, &[2.0, 3.0]),
            to: Tensor::new(0, &[9.0; 4]),
            work: Tensor::new(0, &[]),
        };
        call.run(routine(Pooling::UnpoolMax, isa), &shape, shape.extent(Pooling::UnpoolMax), 0);
        assert_eq!(call.to.content(), [2.0, 0.0, 0.0, 3.0]);
        call.to = Tensor::new(0, &[9.0; 2]);
        call.run(routine(Pooling::Max, isa), &shape, shape.extent(Pooling::Max), 0);
        assert_eq!(call.to.content(), [f32::NEG_INFINITY, 1.0]);
    }
}
