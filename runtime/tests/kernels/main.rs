//! Routines over whole tensors against their definitions.
//!
//! Beside the library, not inside: so the routines, each built for every instruction set, are compiled once and not once more for its tests.

mod conv;
mod gemm;
mod pooling;
mod rows;
mod sparse;
mod support;
mod turn;
