//! The one form that routines over whole tensors have, and how they are built for each instruction set.

use super::Isa;
#[cfg(target_arch = "x86_64")]
use super::vector::{Avx2, Avx512};
use super::vector::{Plain, Vector};

/// A routine over tensors: what it computes follows from a shape; it reads the tensors at up to three pointers (most
/// routines need fewer), writes the one at the next, uses the work buffer at the last, and does the positions
/// from the first number to the second, exclusive, of an extent. Any cut of the extent into ranges, done in any order
/// or at the same time, gives the same bits.
///
/// # Safety
///
/// The shape is consistent. The pointers that are used lead to as many numbers as it says, all of them initialised; the
/// tensors that are read overlap with nothing that is written; nobody else touches what this call writes. The range
/// lies within the extent. The machine has the instruction set that the routine was asked for.
pub type Routine<Shape> = unsafe extern "C" fn(&Shape, &[*const f32; 3], *mut f32, *mut f32, usize, usize);

/// What a call of a routine is given beside its shape.
#[derive(Clone, Copy)]
pub(super) struct Args {
    pub a: *const f32,
    pub b: *const f32,
    pub c: *const f32,
    pub to: *mut f32,
    pub work: *mut f32,
    pub first: usize,
    pub last: usize,
}

/// How many numbers a vector of the instruction set below the widest has.
pub(super) const NARROW: usize = 8;

/// What a routine does, written once.
pub(super) trait Body {
    /// What tells sizes.
    type Shape;

    /// Whether vectors of [`NARROW`] numbers hold all that vectors run along: longer ones would be half empty at best.
    #[inline(always)]
    fn is_narrow(_: &Self::Shape) -> bool {
        false
    }

    /// Does the positions of a range, with vectors of one kind.
    ///
    /// # Safety
    ///
    /// As for [`Routine`].
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(shape: &Self::Shape, args: Args);
}

/// The routine that does this on an instruction set.
#[inline(never)] // else whoever asks for a routine, in whatever crate, compiles the bodies of all of them once more
pub(super) fn built<B: Body>(isa: Isa) -> Routine<B::Shape> {
    match isa {
        Isa::Portable => portable::<B>,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::<B>,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::<B>,
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2 | Isa::Avx512 => panic!("{isa:?} is not one of `Isa::available()`"),
    }
}

/// # Safety
///
/// As for [`Routine`].
#[expect(unsafe_code, reason = "compiled programs pass pointers")]
unsafe extern "C" fn portable<B: Body>(
    shape: &B::Shape,
    from: &[*const f32; 3],
    to: *mut f32,
    work: *mut f32,
    first: usize,
    last: usize,
) {
    let [a, b, c] = *from;
    // SAFETY: the same promise.
    unsafe { B::run::<Plain>(shape, Args { a, b, c, to, work, first, last }) }
}

/// # Safety
///
/// As for [`Routine`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[expect(unsafe_code, reason = "compiled programs pass pointers")]
unsafe extern "C" fn avx2<B: Body>(
    shape: &B::Shape,
    from: &[*const f32; 3],
    to: *mut f32,
    work: *mut f32,
    first: usize,
    last: usize,
) {
    let [a, b, c] = *from;
    // SAFETY: the same promise.
    unsafe { B::run::<Avx2>(shape, Args { a, b, c, to, work, first, last }) }
}

/// # Safety
///
/// As for [`Routine`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
#[expect(unsafe_code, reason = "compiled programs pass pointers")]
unsafe extern "C" fn avx512<B: Body>(
    shape: &B::Shape,
    from: &[*const f32; 3],
    to: *mut f32,
    work: *mut f32,
    first: usize,
    last: usize,
) {
    if B::is_narrow(shape) {
        // SAFETY: the same promise; a machine with AVX-512 has what this one asks for.
        return unsafe { avx2::<B>(shape, from, to, work, first, last) };
    }
    let [a, b, c] = *from;
    // SAFETY: the same promise.
    unsafe { B::run::<Avx512>(shape, Args { a, b, c, to, work, first, last }) }
}
