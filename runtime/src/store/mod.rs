//! The run folder.

pub(crate) mod numbers;
mod write;

pub use write::{write_npz, write_safetensors};
