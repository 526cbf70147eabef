//! Machine code with vectors of eight numbers, for x86-64 with AVX2.
//!
//! Cranelift generates vectors of 128 bits on this machine, but its intermediate form has wider ones, and loop nests are written with either. This
//! is a back end for what they are written with:
//!
//! | step         | makes                                                         |
//! |--------------|---------------------------------------------------------------|
//! | [`select`]   | instructions of the machine, on virtual registers             |
//! | [`allocate`] | registers for them, by the allocator that Cranelift has, too  |
//! | [`encode`]   | bytes                                                         |
//!
//! What it does not know it leaves to Cranelift, with vectors of 128 bits.

mod allocate;
mod code;
mod encode;
mod select;

use cranelift::codegen::ir;

pub(super) use encode::{ALIGNMENT, Encoded};

/// The machine code of a function that takes up to three pointers or integers and returns nothing, and its text. `routine` gives the addresses of functions
/// that it calls. `None` if it has anything that is not known here.
pub(super) fn generate(func: &ir::Function, routine: &dyn Fn(ir::FuncRef) -> Option<u64>) -> Option<Encoded> {
    let code = select::select(func, routine)?;
    let places = allocate::allocate(&code)?;
    encode::encode(&code, &places)
}
