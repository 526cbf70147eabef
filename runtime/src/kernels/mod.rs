//! Vector kernels that compiled programs call by pointer: everything that the code generator, whose vectors are 128
//! bits wide, would do slower.
//!
//! Elementwise routines work on blocks of [`LANES`] numbers. Each is written once, as a branch-free function of one
//! number, and built for several instruction sets; [`Isa::best`] says which of them this machine has. Routines over
//! whole tensors ([`Routine`]) do a part of an extent.

pub mod conv;
pub mod gemm;
pub mod lanes;
mod math;
mod math64;
pub mod peak;
pub mod pooling;
pub mod prefetch;
pub mod quantile;
mod routine;
pub mod rows;
pub mod sparse;
pub mod turn;
mod vector;

pub use routine::Routine;

/// How many numbers an elementwise routine takes at once.
pub const LANES: usize = 16;

/// An instruction set that routines are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// Whatever the target has: nothing is asked for.
    Portable,
    /// 256-bit vectors and fused multiply-add.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

impl Isa {
    /// The widest one that this machine has.
    pub fn best() -> Isa {
        [Isa::Avx512, Isa::Avx2].into_iter().find(|isa| isa.is_available()).unwrap_or(Isa::Portable)
    }

    /// All that this machine has, the plainest first.
    pub fn available() -> Vec<Isa> {
        [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                let parts = [is_x86_feature_detected!("avx512f"), is_x86_feature_detected!("avx512vl")];
                let wide = [is_x86_feature_detected!("avx512dq"), is_x86_feature_detected!("avx512bw")];
                Isa::Avx2.is_available() && parts.iter().chain(&wide).all(|part| *part)
            }
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => false,
        }
    }
}
