//! The run folder.

pub(crate) mod numbers;
