//! LIR, the loop IR: what the machine will do, over planned memory.
//!
//! A [`Module`] is one *arena* (a block of memory), the [`Buffer`]s planned in it, [`Kernel`]s (generated loop
//! nests) and [`Func`]s (straight lists of [`Step`]s). Nothing is decided later than here but instructions and
//! registers: shapes, addresses, fusion, what is vectorised and where work is cut for threads are all data.
//!
//! | who       | where                |
//! |-----------|----------------------|
//! | built by  | `lower::to_lir`      |
//! | consumed  | `codegen`            |
//! | text form | [`mod@print`], [`mod@parse`] |
//! | checked   | [`mod@verify`]           |
//! | executed  | [`interp`], in `f32` |
//!
//! # Memory
//!
//! Every element takes four bytes: `f32`, `i32`, or a bool as a mask (all ones or all zeros). A buffer is a run of
//! elements at a byte offset of the arena that is a multiple of 64. Lasting tensors come first and belong to all
//! functions; then inputs, which functions may share, and the outputs of each, which overlap with nothing; then scratch, which overlaps with the
//! scratch of other functions and, where lifetimes allow, of the same function. Scratch holds nothing between calls; what one
//! function computes for another to read is kept, which overlaps with nothing either.
//! A function's inputs keep their values while it runs; lasting tensors are read and written in place.
//!
//! # Steps, calls, slices
//!
//! A function runs its steps in order, each after all of the one before. A step is a list of [`Call`]s, cut into
//! [`Step::slices`] slices: a slice runs its part of each call, in order, and may run on any thread at any time. So a
//! slice may read only what earlier steps wrote and what *the same slice* of earlier calls in the step wrote,
//! and no two slices write the same element. A call is cut along one extent of its *output*: its slice `i` does the
//! positions from `i * chunk` to `min((i + 1) * chunk, extent)`, possibly none. That is slice `i` of the step, or, where calls that
//! are too small to be cut run beside one another, one so many behind it as [`Step::starts`] says. The cut does not depend on the number of
//! threads, so neither do results; what gives the same bits however it is cut may be done in fewer slices. Each call has a label, the layer or tensor that it works for, which changes nothing.
//!
//! # Kernels
//!
//! A kernel has *rows*: the points of the box [`Kernel::rows`] (no dimension: one row), all independent. For each
//! row it runs its [`Phase`]s in order. A phase runs its instructions at each point of the box [`Phase::inner`] (no
//! dimension: once), outermost dimension first. Values are numbered through the whole kernel. An instruction may use
//!
//! - values of the same phase above it, but not a [`Inst::Fold`];
//! - of an earlier phase: folds, and any value where that phase has no inner dimension (a *row value*).
//!
//! A fold combines its operand over all points of the inner box, into a value for the row. It is kept in registers; the order
//! of combination is the back end's, but the same on every run.
//!
//! Memory is reached through *params*: pointers to elements, given by each [`Run`]. A load or store of param `p` with
//! strides `s` touches element `Σ index[d] * s[d]`, where the dimensions `d` are those of the rows, then those of the phase's
//! inner box. A stride of 0 repeats (a broadcast), others may be anything. Stores of a phase happen at each point, after all its
//! instructions, in order. A param that is stored to is reached everywhere in the kernel (loads and stores, all phases)
//! with the same strides for the same row dimensions, and different rows touch different elements of it; within a phase loads and stores of
//! it have the same strides. So an update in place is safe whatever is vectorised, and a later phase of a row may read what an earlier
//! one of the same row stored. Two params of one run overlap only if neither is stored to.
//!
//! [`Lanes`] says which dimension the vector runs along. The first row dimension is the one that is cut; if the lanes run
//! along it, chunks are multiples of 16.
//!
//! # Invariants
//!
//! See [`mod@verify`].

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

mod access;
pub mod call;
pub mod interp;
pub mod kernel;
pub mod parse;
pub mod print;
pub mod routine;
#[cfg(test)]
mod tests;
pub mod verify;

pub use call::{Call, Gemm, Matrix, Quantile, Run};
pub use kernel::{Def, Fold, Inst, Kernel, Lanes, Param, ParamId, Phase, Store, Value};
pub use parse::parse;
pub use print::print;
pub use routine::{Routine, Task};
pub use spnc_runtime::kernels::gemm::{Cut, PANEL, Terms};
pub use verify::verify;

/// An index into [`Module::buffers`], printed `@3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// An index into [`Module::kernels`], printed `k3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelId(pub u32);

/// The type of an element: four bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// A single-precision number.
    F32,
    /// A signed integer.
    I32,
    /// A mask: all ones for true, all zeros for false.
    Bool,
}

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A tensor that lives as long as the run, shared by all functions.
    Lasting,
    /// An input, written before a function that takes it is called.
    Input,
    /// An output of one function, read after it was called.
    Output,
    /// An intermediate of one function.
    Scratch,
    /// What one function leaves for others to read.
    Kept,
}

/// A run of elements in the arena.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Buffer {
    /// The tensor's name; for scratch the TIR value it holds (`%12`), for people only.
    pub name: Arc<str>,
    /// What it is for.
    pub role: Role,
    /// The type of each element.
    pub dtype: DType,
    /// The number of elements, at least 1.
    pub len: usize,
    /// The position in the arena in bytes, a multiple of 64.
    pub offset: usize,
}

/// An element of a buffer that a pointer is made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The buffer.
    pub buffer: BufferId,
    /// The element, counted from the start of the buffer.
    pub start: usize,
}

/// Calls that are cut into slices together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The number of slices, at least 1; no call has positions beyond.
    pub slices: usize,
    /// What each slice does, in order.
    pub calls: Vec<Call>,
    /// For each call the slice that does its first positions.
    pub starts: Vec<usize>,
    /// For each call the layer or tensor that it works for, as `net.fc1`, for people only; empty where that is unknown.
    pub labels: Vec<Arc<str>>,
}

/// A function: fill its inputs, call it, read its outputs. Its updates of lasting tensors happen in place.
#[derive(Clone, Debug, PartialEq)]
pub struct Func {
    /// Its name: `train_step@64`, …
    pub name: String,
    /// Inputs that are not lasting tensors, by name.
    pub inputs: Vec<BufferId>,
    /// Results that are not lasting tensors, by name.
    pub outputs: Vec<BufferId>,
    /// What it does.
    pub steps: Vec<Step>,
}

/// A compiled program before code generation.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Module {
    /// The size of the arena in bytes, a multiple of 64.
    pub arena: usize,
    /// All buffers; the lasting ones first, in the order they were given.
    pub buffers: Vec<Buffer>,
    /// Loop nests, no two alike.
    pub kernels: Vec<Kernel>,
    /// The functions.
    pub funcs: Vec<Func>,
}

impl Module {
    /// The buffer with this index.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }

    /// The kernel with this index.
    pub fn kernel(&self, id: KernelId) -> &Kernel {
        &self.kernels[id.0 as usize]
    }

    /// The function with this name.
    pub fn func(&self, name: &str) -> Option<&Func> {
        self.funcs.iter().find(|f| f.name == name)
    }

    /// The lasting tensor with this name.
    pub fn lasting(&self, name: &str) -> Option<BufferId> {
        let found = self.buffers.iter().position(|b| b.role == Role::Lasting && &*b.name == name);
        found.map(|index| BufferId(index as u32))
    }

    /// The buffer of a function's input with this name.
    pub fn input(&self, func: &Func, name: &str) -> Option<BufferId> {
        func.inputs.iter().copied().find(|id| &*self.buffer(*id).name == name)
    }

    /// The buffer of a function's output with this name.
    pub fn output(&self, func: &Func, name: &str) -> Option<BufferId> {
        func.outputs.iter().copied().find(|id| &*self.buffer(*id).name == name)
    }
}

impl Step {
    /// A step of one call.
    pub fn alone(call: Call, slices: usize, label: Arc<str>) -> Step {
        Step { slices, calls: vec![call], starts: vec![0], labels: vec![label] }
    }

    /// The positions of a call, given by its place among the calls, that a slice does.
    pub fn positions(&self, module: &Module, call: usize, slice: usize) -> Range<usize> {
        let (extent, chunk) = self.calls[call].cut(module);
        let position = |slice: usize| (slice.saturating_sub(self.starts[call]) * chunk).min(extent);
        position(slice)..position(slice + 1)
    }

    /// The calls, each with the layer or tensor that it works for.
    pub fn labelled(&self) -> impl Iterator<Item = (&Call, &Arc<str>)> {
        self.calls.iter().zip(&self.labels)
    }
}

impl DType {
    /// Its name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::I32 => "i32",
            DType::Bool => "bool",
        }
    }
}

impl fmt::Display for BufferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

impl fmt::Display for KernelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}", self.0)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
