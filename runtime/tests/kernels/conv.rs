//! Every role on every instruction set of this machine against sums in `f64`, over all kinds of shapes.

use proptest::prelude::*;
use spnc_runtime::kernels::Isa;
use spnc_runtime::kernels::conv::{ConvShape, Phase, Role, routine};

use crate::support::{Call, Tensor, same_bits};

const ROLES: [Role; 3] = [Role::Forward, Role::ByInput, Role::ByWeight];

/// What convolutions mean.
trait Meaning {
    fn lens(&self) -> [usize; 3];
    fn tapped(&self, dim: usize, window: usize, tap: usize) -> Option<usize>;
    fn each_product(&self, visit: impl FnMut(usize, usize, usize));
}

impl Meaning for ConvShape {
    /// How many numbers `x`, `w` and `y` have.
    fn lens(&self) -> [usize; 3] {
        let x = self.batch * self.height * self.width * self.in_channels;
        [x, self.weights(), self.batch * self.out_height * self.out_width * self.out_channels]
    }

    /// The row or column of `x` that a tap of a window lies on, unless outside.
    fn tapped(&self, dim: usize, window: usize, tap: usize) -> Option<usize> {
        let padded = window * self.stride[dim] + tap * self.dilation[dim];
        padded.checked_sub(self.pad[dim]).filter(|at| *at < [self.height, self.width][dim])
    }

    /// Calls `visit` with the places in `x`, `w` and `y` of each product.
    fn each_product(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let [cin, cout] = [self.in_channels / self.groups, self.out_channels / self.groups];
        let axes =
            [self.batch, self.out_height, self.out_width, self.kernel[0], self.kernel[1], cin, self.out_channels];
        for flat in 0..axes.iter().product() {
            let [n, oh, ow, kh, kw, ci, co] = place(flat, axes);
            let (Some(ih), Some(iw)) = (self.tapped(0, oh, kh), self.tapped(1, ow, kw)) else { continue };
            let x = ((n * self.height + ih) * self.width + iw) * self.in_channels + co / cout * cin + ci;
            let w = ((kh * self.kernel[1] + kw) * cin + ci) * self.out_channels + co;
            visit(x, w, ((n * self.out_height + oh) * self.out_width + ow) * self.out_channels + co);
        }
    }
}

fn place<const N: usize>(mut flat: usize, axes: [usize; N]) -> [usize; N] {
    let mut place = [0; N];
    for axis in (0..N).rev() {
        place[axis] = flat % axes[axis];
        flat /= axes[axis];
    }
    place
}

/// The result, and for each of its elements the sum of the sizes of its terms.
fn exact(shape: &ConvShape, role: Role, a: &[f32], b: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let len = shape.lens()[result(role)];
    let (mut sums, mut sizes) = (vec![0.0; len], vec![0.0; len]);
    shape.each_product(|x, w, y| {
        let (a_at, b_at, at) = match role {
            Role::Forward => (x, w, y),
            Role::ByInput => (y, w, x),
            Role::ByWeight => (x, y, w),
        };
        let term = f64::from(a[a_at]) * f64::from(b[b_at]);
        sums[at] += term;
        sizes[at] += term.abs();
    });
    (sums, sizes)
}

/// Which of `x`, `w` and `y` a role computes.
fn result(role: Role) -> usize {
    match role {
        Role::Forward => 2,
        Role::ByInput => 0,
        Role::ByWeight => 1,
    }
}

fn call(shape: &ConvShape, role: Role, margin: usize) -> Call {
    let [x, w, y] = shape.lens();
    let (a, b) = match role {
        Role::Forward => (x, w),
        Role::ByInput => (y, w),
        Role::ByWeight => (x, y),
    };
    Call {
        a: Tensor::random(0, margin, a),
        b: Tensor::random(1, margin, b),
        to: Tensor::new(margin, &vec![f32::NAN; shape.lens()[result(role)]]),
        work: Tensor::new(margin, &vec![f32::NAN; shape.work_len(role)]),
    }
}

fn run(call: &Call, shape: &ConvShape, role: Role, isa: Isa, cuts: i32) -> Vec<f32> {
    let mut call = call.clone();
    for phase in Phase::ALL {
        call.run(routine(role, phase, isa), shape, shape.extent(role, phase), cuts);
    }
    call.to.content().to_vec()
}

/// All roles, all instruction sets, whole and cut.
fn check(shape: &ConvShape, margin: usize, cuts: i32) {
    let mut products = 0;
    shape.each_product(|_, _, _| products += 1);
    assert_eq!(shape.products_inside(), products, "{shape:?}");
    for role in ROLES {
        let call = call(shape, role, margin);
        let (sums, sizes) = exact(shape, role, call.a.content(), call.b.content());
        for isa in Isa::available() {
            let found = run(&call, shape, role, isa, 0);
            for (at, ((found, sum), size)) in found.iter().zip(&sums).zip(&sizes).enumerate() {
                let error = (f64::from(*found) - sum).abs();
                assert!(error <= 2e-6 * (size + 1e-30), "{role:?} {isa:?} {shape:?}: {found} at {at}, not {sum}");
            }
            let cut = run(&call, shape, role, isa, cuts);
            assert!(same_bits(&found, &cut), "{role:?} {isa:?} {shape:?}: other bits when cut");
        }
    }
}

/// A window along one axis and the size of the image: taps, stride, dilation, zeros before and after, size.
fn axis() -> impl Strategy<Value = [usize; 6]> {
    let window = prop_oneof![Just((3, 1, 1)), (1usize..=5, 1usize..=3, 1usize..=3)];
    (window, 0usize..=4, 0usize..=4, 0usize..16).prop_map(|((taps, stride, dilation), lo, hi, extra)| {
        let reach = (taps - 1) * dilation + 1;
        [taps, stride, dilation, lo, hi, (reach + extra).saturating_sub(lo + hi).max(1)]
    })
}

fn shapes() -> impl Strategy<Value = ConvShape> {
    let per_group = prop_oneof![1usize..=5, 12usize..=20, 28usize..=36];
    let channels = (prop_oneof![Just(1usize), Just(2), Just(3)], per_group.clone(), per_group).prop_flat_map(
        |(groups, cin, cout)| {
            let depthwise = (1usize..40).prop_map(|channels| [channels, channels, channels]);
            prop_oneof![3 => Just([groups, groups * cin, groups * cout]), 1 => depthwise]
        },
    );
    // From eight images on they are cut into whole ones.
    let batch = prop_oneof![4 => 1usize..=3, 1 => 8usize..=9];
    (batch, axis(), axis(), channels).prop_map(|(batch, h, w, channels)| shape(batch, h, w, channels))
}

/// So many images under windows along both axes, with so many groups, channels and channels of the result.
fn shape(batch: usize, h: [usize; 6], w: [usize; 6], [groups, in_channels, out_channels]: [usize; 3]) -> ConvShape {
    let out = |[taps, stride, dilation, lo, hi, size]: [usize; 6]| {
        (size + lo + hi - ((taps - 1) * dilation + 1)) / stride + 1
    };
    ConvShape {
        batch,
        height: h[5],
        width: w[5],
        in_channels,
        out_channels,
        kernel: [h[0], w[0]],
        stride: [h[1], w[1]],
        dilation: [h[2], w[2]],
        pad: [h[3], w[3]],
        out_height: out(h),
        out_width: out(w),
        groups,
    }
}

/// Few channels of whole strides of columns, which `ByInput` takes as one pixel each.
fn few_channels_in_strides() -> impl Strategy<Value = ConvShape> {
    let right = (1usize..=6, 1usize..=4, 0usize..=5, 0usize..=4, 1usize..=20);
    let right = right.prop_map(|(taps, stride, lo, hi, strides)| {
        let strides = strides.max(taps.saturating_sub(lo + hi).div_ceil(stride));
        [taps, stride, 1, lo, hi, strides * stride]
    });
    (1usize..=9, axis(), right, 1usize..=8, 1usize..=20)
        .prop_map(|(batch, h, w, cin, cout)| shape(batch, h, w, [1, cin.min(16 / w[1]), cout]))
}

/// Windows of three taps side by side that move by one pixel, over few channels: some machines take two pixels and two rows at a time.
fn few_channels() -> impl Strategy<Value = ConvShape> {
    let image = (1usize..=3, 1usize..=9, 1usize..=40);
    let window = (1usize..=4, 0usize..=3, 0usize..=3, 0usize..=3, 0usize..=3);
    let channels = (1usize..=2, 1usize..=20, 1usize..=10);
    (image, window, channels).prop_map(
        |((batch, height, width), (taps, top, bottom, left, right), (groups, cin, cout))| {
            let out = |size: usize, taps: usize, zeros: usize| size + zeros + 1 - taps;
            let (height, width) = (height.max(taps), width.max(3));
            ConvShape {
                batch,
                height,
                width,
                in_channels: groups * cin,
                out_channels: groups * cout,
                kernel: [taps, 3],
                stride: [1; 2],
                dilation: [1; 2],
                pad: [top, left],
                out_height: out(height, taps, top + bottom),
                out_width: out(width, 3, left + right),
                groups,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn few_channels_agree_with_sums_in_f64(shape in few_channels(), margin in 0usize..20, cuts in 1i32..1000) {
        check(&shape, margin, cuts);
    }

    #[test]
    fn few_channels_in_strides_agree_with_sums_in_f64(
        shape in few_channels_in_strides(), margin in 0usize..20, cuts in 1i32..1000
    ) {
        check(&shape, margin, cuts);
    }

    #[test]
    fn all_roles_agree_with_sums_in_f64(shape in shapes(), margin in 0usize..20, cuts in 1i32..1000) {
        check(&shape, margin, cuts);
    }
}

/// A square image and window.
fn square(batch: usize, size: usize, channels: [usize; 2], taps: usize, pad: usize) -> ConvShape {
    let out = size + 2 * pad - taps + 1;
    ConvShape {
        batch,
        height: size,
        width: size,
        in_channels: channels[0],
        out_channels: channels[1],
        kernel: [taps; 2],
        stride: [1; 2],
        dilation: [1; 2],
        pad: [pad; 2],
        out_height: out,
        out_width: out,
        groups: 1,
    }
}

/// Layers of networks that are in use, on small batches.
#[test]
fn layers_of_known_networks() {
    check(&square(1, 28, [1, 20], 5, 0), 0, 1);
    check(&square(2, 12, [20, 50], 5, 0), 0, 2);
    check(&square(1, 16, [3, 16], 3, 1), 0, 3);
    check(&square(1, 16, [16, 16], 3, 1), 0, 4);
    check(&square(3, 8, [64, 64], 3, 1), 0, 5);
    check(&square(9, 8, [16, 24], 3, 1), 0, 14);
    check(&square(3, 4, [64, 128], 1, 0), 0, 6);
    check(&square(1, 30, [3, 8], 3, 1), 0, 7);
    check(&square(9, 32, [8, 8], 3, 1), 0, 15);
    check(&ConvShape { stride: [2; 2], out_height: 8, out_width: 8, ..square(2, 16, [16, 32], 3, 1) }, 0, 8);
    check(&ConvShape { stride: [2; 2], out_height: 16, out_width: 16, ..square(9, 32, [8, 16], 3, 1) }, 0, 16);
    // More pixels than are listed at once, with taps outside and without; rows longer than that; images that are nothing but edges.
    check(&square(20, 12, [4, 8], 3, 1), 0, 10);
    check(&square(10, 16, [5, 9], 1, 0), 0, 11);
    check(&ConvShape { height: 2, out_height: 2, ..square(1, 60, [300, 7], 3, 1) }, 0, 12);
    check(&square(17, 2, [130, 9], 3, 1), 0, 13);
    for channels in [8, 24, 64, 72] {
        check(&ConvShape { groups: channels, ..square(2, 9, [channels, channels], 3, 1) }, 0, 9);
    }
}

/// A pixel of `y` that is no number spoils the weights of those taps alone through which it sees the image.
#[test]
fn what_lies_beside_the_image_meets_no_numbers() {
    let shape = ConvShape { pad: [1, 2], out_width: 9, ..square(1, 7, [16, 8], 3, 1) };
    let mut call = call(&shape, Role::ByWeight, 0);
    let mut y = call.b.content().to_vec();
    for row in y.chunks_exact_mut(9 * 8) {
        row[8 * 8..].fill(f32::NAN);
    }
    call.b = Tensor::new(0, &y);
    for isa in Isa::available() {
        let found = run(&call, &shape, Role::ByWeight, isa, 0);
        for (tap, weights) in found.chunks_exact(16 * 8).enumerate() {
            assert!(weights.iter().all(|weight| weight.is_nan() == (tap % 3 == 0)), "{isa:?}, tap {tap}");
        }
    }
}
