//! Convolutions: the three tensors of the trilinear form ⟨y, x ∗ w⟩, each from the other two.
//!
//! Tensors are dense, row-major, channels last, and start at multiples of 64 bytes where speed matters:
//! `x` is `[batch, height, width, in_channels]`, `w` is `[kernel.., in_channels / groups, out_channels]`, `y` is
//! `[batch, out_height, out_width, out_channels]`. The window slides without being mirrored; what lies outside of `x`
//! counts as zero.
//!
//! A convolution is done in up to three [`Phase`]s, one after the other, each cut along an extent of its own. They
//! share a work buffer of [`ConvShape::work_len`] numbers, which need not be initialised.

mod ahead;
mod channelwise;
mod dense;
mod duos;
mod listed;
mod places;
mod rows;
mod slide;
mod tile;
mod weight;
mod window;

use self::slide::Slide;
use super::Isa;
use super::routine::{Args, Body, NARROW, Routine, built};
use super::vector::Vector;

/// What becomes of the numbers that the result holds before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Before {
    /// They are overwritten.
    Dropped,
    /// What is computed is added to them.
    Kept,
}

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
        let copies = if self.copy_len(role) == 0 { 0 } else { self.batch };
        match (role, phase) {
            (Role::Forward, Phase::Pack) => Slide::new(self, role).packed_extent() + copies,
            (Role::ByInput, Phase::Pack) => Slide::new(self, role).packed_extent(),
            (Role::ByWeight, Phase::Pack) => copies,
            (Role::Forward | Role::ByInput, Phase::Compute) => Slide::new(self, role).extent(),
            (Role::ByWeight, Phase::Compute) => self.weights_extent(),
            (Role::Forward | Role::ByInput, Phase::Combine) => 0,
            (Role::ByWeight, Phase::Combine) => self.combined_extent(),
        }
    }

    /// How many numbers the work buffer has that the phases of a call share.
    pub fn work_len(&self, role: Role) -> usize {
        match role {
            Role::Forward => Slide::new(self, role).packed_len() + self.copy_len(role),
            Role::ByInput => Slide::new(self, role).packed_len(),
            Role::ByWeight => self.shares_len() + self.copy_len(role),
        }
    }

    /// Which of its two factors the packing phase reads.
    pub fn packs(&self, role: Role) -> [bool; 2] {
        let weights = role != Role::ByWeight && Slide::new(self, role).packed_extent() > 0;
        [role != Role::ByInput && self.copy_len(role) > 0, weights]
    }

    /// Multiplications, each with an addition, that the windows ask for, also of zeros around the image.
    pub fn products(&self) -> usize {
        self.batch * self.out_height * self.out_width * self.weights()
    }

    /// Those of [`ConvShape::products`] whose taps lie inside of the image.
    pub fn products_inside(&self) -> usize {
        let taps = self.kernel[0] * self.kernel[1];
        let inside: usize = (0..2).map(|dim| self.taps_inside(dim)).product();
        self.batch * inside * (self.weights() / taps.max(1))
    }

    /// How many pairs of a window and a tap along one dimension lie inside of the image.
    fn taps_inside(&self, dim: usize) -> usize {
        let (size, windows) = ([self.height, self.width][dim], [self.out_height, self.out_width][dim]);
        let is_inside = |window: usize, tap: usize| {
            let padded = window * self.stride[dim] + tap * self.dilation[dim];
            (self.pad[dim]..self.pad[dim] + size).contains(&padded)
        };
        (0..windows).map(|window| (0..self.kernel[dim]).filter(|tap| is_inside(window, *tap)).count()).sum()
    }

    /// Numbers in `w`.
    pub fn weights(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.in_channels / self.groups * self.out_channels
    }

    /// Whether narrow vectors hold all that vectors run along, the channels of the result, or of `y` for `ByWeight`, and wide ones
    /// have no room for those of two pixels.
    fn is_narrow(&self, role: Role) -> bool {
        let channels = match role {
            _ if self.is_channelwise() => self.groups,
            Role::Forward | Role::ByInput => Slide::new(self, role).width,
            Role::ByWeight => self.per_group()[1],
        };
        let is_in_duos = match role {
            Role::Forward | Role::ByInput => Slide::new(self, role).is_in_duos(),
            Role::ByWeight => self.weights_are_in_duos(),
        };
        channels <= NARROW && !is_in_duos
    }

    /// Channels of `x` and of `y` in a group.
    fn per_group(&self) -> [usize; 2] {
        [self.in_channels / self.groups, self.out_channels / self.groups]
    }
}

/// The routine for a phase. The factors of `Forward` are `x` and `w`, those of `ByInput` `y` and `w`, those of
/// `ByWeight` `x` and `y`.
pub fn routine(role: Role, phase: Phase, isa: Isa) -> Routine<ConvShape> {
    match (role, phase) {
        (Role::Forward, Phase::Pack) => built::<Pack<Forward>>(isa),
        (Role::ByInput, Phase::Pack) => built::<Pack<ByInput>>(isa),
        (Role::ByWeight, Phase::Pack) => built::<Pack<ByWeight>>(isa),
        (Role::Forward, Phase::Compute) => built::<Compute<Forward>>(isa),
        (Role::ByInput, Phase::Compute) => built::<Compute<ByInput>>(isa),
        (Role::ByWeight, Phase::Compute) => built::<Compute<ByWeight>>(isa),
        (Role::Forward | Role::ByInput | Role::ByWeight, Phase::Combine) => built::<Combine>(isa),
    }
}

/// A role that routines are built for.
trait Computed {
    const ROLE: Role;
}

struct Forward;
struct ByInput;
struct ByWeight;

impl Computed for Forward {
    const ROLE: Role = Role::Forward;
}

impl Computed for ByInput {
    const ROLE: Role = Role::ByInput;
}

impl Computed for ByWeight {
    const ROLE: Role = Role::ByWeight;
}

struct Pack<R>(R);
struct Compute<R>(R);
struct Combine;

impl<R: Computed> Body for Pack<R> {
    type Shape = ConvShape;

    #[inline(always)]
    fn is_narrow(s: &ConvShape) -> bool {
        s.is_narrow(R::ROLE)
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &ConvShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent(R::ROLE, Phase::Pack));
        let slide = Slide::new(s, R::ROLE);
        let (weights, copy) = match R::ROLE {
            Role::Forward | Role::ByInput => (slide.packed_extent(), slide.packed_len()),
            Role::ByWeight => (0, s.shares_len()),
        };
        if R::ROLE == Role::ByWeight && !weight::reads_copy::<V>(s) {
            return;
        }
        for position in args.first..args.last {
            // SAFETY: the caller's promise; panels and images of the copy are different parts of the work buffer.
            unsafe {
                match position.checked_sub(weights) {
                    None => dense::pack::<V>(s, &slide, position, args.b, args.work),
                    Some(image) => s.copy_image(image, args.a, args.work.add(copy)),
                }
            }
        }
    }
}

impl<R: Computed> Body for Compute<R> {
    type Shape = ConvShape;

    #[inline(always)]
    fn is_narrow(s: &ConvShape) -> bool {
        s.is_narrow(R::ROLE)
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &ConvShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent(R::ROLE, Phase::Compute));
        let copied = match R::ROLE {
            Role::Forward => s.copy_len(R::ROLE) > 0,
            Role::ByInput => false,
            Role::ByWeight => weight::reads_copy::<V>(s),
        };
        // SAFETY: the caller's promise; the packing phase has filled the work buffer.
        unsafe {
            match R::ROLE {
                Role::Forward | Role::ByInput => {
                    let slide = Slide::new(s, R::ROLE);
                    let from = if copied { args.work.add(slide.packed_len()) } else { args.a };
                    match s.is_channelwise() {
                        true => channelwise::compute::<V>(&slide, args),
                        false => dense::compute::<V>(&slide, Args { a: from, ..args }, args.work),
                    }
                }
                Role::ByWeight => {
                    let x = if copied { args.work.add(s.shares_len()) } else { args.a };
                    weight::compute::<V>(s, args, x);
                }
            }
        }
    }
}

impl Body for Combine {
    type Shape = ConvShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &ConvShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent(Role::ByWeight, Phase::Combine));
        // SAFETY: the caller's promise.
        unsafe { weight::combine(s, args) };
    }
}
