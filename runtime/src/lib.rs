//! The training runtime below the `spnc` compiler: tensors, kernels, data, training, files.
//!
//! It knows nothing of the compiler: it trains anything that implements [`program::Program`].

pub mod data;
pub mod float;
pub mod huge_pages;
pub mod kernels;
pub mod pool;
pub mod program;
pub mod random;
pub mod store;
pub mod train;
