//! Convolutions: the three tensors of the trilinear form ⟨y, x ∗ w⟩, each from the other two.
//!
//! Tensors are dense, row-major, channels last, and start at multiples of 64 bytes where speed matters:
//! `x` is `[batch, height, width, in_channels]`, `w` is `[kernel.., in_channels / groups, out_channels]`, `y` is
//! `[batch, out_height, out_width, out_channels]`. The window slides without being mirrored; what lies outside of `x`
//! counts as zero.
//!
//! A convolution is done in up to three [`Phase`]s, one after the other, each cut along an extent of its own. They
//! share a work buffer of [`ConvShape::work_len`] numbers, which need not be initialised.

use super::Isa;
use super::routine::{Args, Body, Routine, built};

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Rows of an image.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Channels of the image.
    pub in_channels: usize,
    /// Channels of the result.
    pub out_channels: usize,
    /// Taps of the window, in both directions.
    pub kernel: [usize; 2],
    /// Pixels between neighbouring windows.
    pub stride: [usize; 2],
    /// Pixels between neighbouring taps.
    pub dilation: [usize; 2],
    /// Zeros before the image, in both directions.
    pub pad: [usize; 2],
    /// Rows of the result.
    pub out_height: usize,
    /// Pixels in a row of the result.
    pub out_width: usize,
    /// Into how many groups the channels fall that have nothing to do with each other.
    pub groups: usize,
}

/// Which of the three tensors is computed from the other two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// `y` from `x` and `w`.
    Forward,
    /// `x` from `y` and `w`.
    ByInput,
    /// `w` from `x` and `y`.
    ByWeight,
}

/// A part of the work that has to be done before the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Brings factors into an order that suits the machine: reads the factors, writes the work buffer.
    Pack,
    /// Computes: reads the factors and the work buffer, writes the result or the work buffer.
    Compute,
    /// Adds up what the slices have found: reads the work buffer, writes the result.
    Combine,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Phase; 3] = [Phase::Pack, Phase::Compute, Phase::Combine];
}

impl ConvShape {
    /// How many positions a phase has; without any, it is to be left out.
    pub fn extent(&self, role: Role, phase: Phase) -> usize {
        match (role, phase) {
            (Role::Forward, Phase::Compute) => self.batch * self.out_height,
            (Role::ByInput, Phase::Compute) => self.batch * self.height,
            (Role::ByWeight, Phase::Compute) => self.kernel[0] * self.kernel[1] * self.in_channels / self.groups,
            (Role::Forward | Role::ByInput | Role::ByWeight, Phase::Pack | Phase::Combine) => 0,
        }
    }

    /// How many numbers the work buffer has that the phases of a call share.
    pub fn work_len(&self, _role: Role) -> usize {
        0
    }

    /// Multiplications, each with an addition, that the windows ask for, also of zeros around the image.
    pub fn products(&self) -> usize {
        self.batch * self.out_height * self.out_width * self.weights()
    }

    /// Numbers in `w`.
    pub fn weights(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.in_channels / self.groups * self.out_channels
    }

    /// The row or column of `x` that a tap of a window lies on, unless outside.
    fn tapped(&self, dim: usize, window: usize, tap: usize) -> Option<usize> {
        let padded = window * self.stride[dim] + tap * self.dilation[dim];
        padded.checked_sub(self.pad[dim]).filter(|at| *at < [self.height, self.width][dim])
    }

    fn per_group(&self) -> [usize; 2] {
        [self.in_channels / self.groups, self.out_channels / self.groups]
    }
}

/// The routine for a phase. The factors of `Forward` are `x` and `w`, those of `ByInput` `y` and `w`, those of
/// `ByWeight` `x` and `y`.
pub fn routine(role: Role, phase: Phase, isa: Isa) -> Routine<ConvShape> {
    match (role, phase) {
        (Role::Forward, _) => built::<Forward>(isa),
        (Role::ByInput, _) => built::<ByInput>(isa),
        (Role::ByWeight, _) => built::<ByWeight>(isa),
    }
}

struct Forward;
struct ByInput;
struct ByWeight;

impl Body for Forward {
    type Shape = ConvShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run(s: &ConvShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent(Role::Forward, Phase::Compute));
        let row = s.out_width * s.out_channels;
        for position in args.first..args.last {
            let (n, oh) = (position / s.out_height, position % s.out_height);
            // SAFETY: a row of the result, which nobody else writes.
            let to = unsafe { std::slice::from_raw_parts_mut(args.to.add(position * row), row) };
            to.fill(0.0);
            s.each_tap(oh, |ih, ow, iw, tap| {
                let [cin, cout] = s.per_group();
                for ci in 0..s.in_channels {
                    let group = ci / cin;
                    // SAFETY: an element of an image, and a row of weights.
                    let (x, w) = unsafe {
                        let x = *args.a.add(((n * s.height + ih) * s.width + iw) * s.in_channels + ci);
                        let w = args.b.add((tap * cin + ci % cin) * s.out_channels + group * cout);
                        (x, std::slice::from_raw_parts(w, cout))
                    };
                    let to = &mut to[ow * s.out_channels + group * cout..][..cout];
                    to.iter_mut().zip(w).for_each(|(to, w)| *to += x * w);
                }
            });
        }
    }
}

impl ConvShape {
    /// Calls `visit` for each tap of the windows of a row of `y`: the row of `x`, the columns of `y` and `x`, the tap.
    #[inline(always)]
    fn each_tap(&self, oh: usize, mut visit: impl FnMut(usize, usize, usize, usize)) {
        for kh in 0..self.kernel[0] {
            let Some(ih) = self.tapped(0, oh, kh) else { continue };
            for (kw, ow) in (0..self.kernel[1]).flat_map(|kw| (0..self.out_width).map(move |ow| (kw, ow))) {
                if let Some(iw) = self.tapped(1, ow, kw) {
                    visit(ih, ow, iw, kh * self.kernel[1] + kw);
                }
            }
        }
    }
}

impl Body for ByInput {
    type Shape = ConvShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run(s: &ConvShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent(Role::ByInput, Phase::Compute));
        let row = s.width * s.in_channels;
        for position in args.first..args.last {
            let (n, row_of_x) = (position / s.height, position % s.height);
            // SAFETY: a row of the result, which nobody else writes.
            let to = unsafe { std::slice::from_raw_parts_mut(args.to.add(position * row), row) };
            to.fill(0.0);
            for oh in 0..s.out_height {
                s.each_tap(oh, |ih, ow, iw, tap| {
                    if ih != row_of_x {
                        return;
                    }
                    let [cin, cout] = s.per_group();
                    for ci in 0..s.in_channels {
                        let group = ci / cin;
                        // SAFETY: the channels of a group of a pixel, and a row of weights.
                        let (y, w) = unsafe {
                            let pixel = (n * s.out_height + oh) * s.out_width + ow;
                            let y = args.a.add(pixel * s.out_channels + group * cout);
                            let w = args.b.add((tap * cin + ci % cin) * s.out_channels + group * cout);
                            (std::slice::from_raw_parts(y, cout), std::slice::from_raw_parts(w, cout))
                        };
                        to[iw * s.in_channels + ci] += y.iter().zip(w).map(|(y, w)| y * w).sum::<f32>();
                    }
                });
            }
        }
    }
}

impl Body for ByWeight {
    type Shape = ConvShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run(s: &ConvShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent(Role::ByWeight, Phase::Compute));
        let [cin, cout] = s.per_group();
        for position in args.first..args.last {
            let (tap, ci) = (position / cin, position % cin);
            // SAFETY: a row of weights, which nobody else writes.
            let to = unsafe { std::slice::from_raw_parts_mut(args.to.add(position * s.out_channels), s.out_channels) };
            to.fill(0.0);
            for (n, oh) in (0..s.batch).flat_map(|n| (0..s.out_height).map(move |oh| (n, oh))) {
                s.each_tap(oh, |ih, ow, iw, at| {
                    if at != tap {
                        return;
                    }
                    for group in 0..s.groups {
                        // SAFETY: an element of an image, and the channels of a group of a pixel.
                        let (x, y) = unsafe {
                            let pixel = (n * s.out_height + oh) * s.out_width + ow;
                            let y = args.b.add(pixel * s.out_channels + group * cout);
                            let of_x = ((n * s.height + ih) * s.width + iw) * s.in_channels + group * cin + ci;
                            (*args.a.add(of_x), std::slice::from_raw_parts(y, cout))
                        };
                        let to = &mut to[group * cout..][..cout];
                        to.iter_mut().zip(y).for_each(|(to, y)| *to += x * y);
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
