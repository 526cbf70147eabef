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
//! threads, so neither do results. Each call has a label, the layer or tensor that it works for, which changes nothing.
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
pub mod interp;
pub mod parse;
pub mod print;
pub mod routine;
#[cfg(test)]
mod tests;
pub mod verify;

pub use parse::parse;
pub use print::print;
pub use routine::{Routine, Task};
pub use spnc_runtime::kernels::gemm::{Cut, PANEL, Terms};
pub use verify::verify;

use crate::scalar::{Binary, Unary};

/// An index into [`Module::buffers`], printed `@3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// An index into [`Module::kernels`], printed `k3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelId(pub u32);

/// A value in a kernel, printed `%3`: instructions are numbered through all phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub u32);

/// An index into [`Kernel::params`], printed `p3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamId(pub u32);

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

/// How [`Inst::Fold`] combines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fold {
    /// Addition, from 0.
    Sum,
    /// The largest, from negative infinity (`i32`: the smallest integer).
    Max,
    /// The smallest, from infinity (`i32`: the largest integer).
    Min,
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

/// Which dimension of a kernel vectors run along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lanes {
    /// The last row dimension: a vector holds neighbouring rows, in every phase. Folds need no horizontal step.
    Rows,
    /// The last inner dimension of each phase. Row values are scalars, spread where an inner box uses them; a phase
    /// without inner dimensions is scalar code.
    Inner,
}

/// A pointer that a kernel is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Param {
    /// The type of the elements it points to.
    pub dtype: DType,
}

/// What an instruction computes at each point. Operands have equal types unless it is said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Inst {
    /// An element of a param: one stride for each row dimension, then for each inner dimension.
    Load(ParamId, Vec<usize>),
    /// This number (bools: 0 or 1).
    Const(f64),
    /// The position along a dimension (rows first, then inner), an `i32`.
    Index(usize),
    /// A function of a value.
    Unary(Unary, Value),
    /// A function of two values of one type.
    Binary(Binary, Value, Value),
    /// Where the first (bool) holds the second, else the third.
    Select(Value, Value, Value),
    /// The same number in the result's type; to `i32` rounds toward zero and saturates, to bool tests `!= 0`.
    Convert(Value),
    /// A number in [0, 1): `spnc_runtime::random` at the position `Σ index[d] * strides[d]`; `seed` and `step` are `i32`.
    Uniform {
        /// The run's seed.
        seed: Value,
        /// The step that draws.
        step: Value,
        /// Which place of the program draws.
        site: u64,
        /// One for each row dimension, then for each inner dimension.
        strides: Vec<usize>,
    },
    /// The value combined over the inner box; a row value. Only in a phase that has inner dimensions.
    Fold(Fold, Value),
}

/// One definition of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Def {
    /// What is computed.
    pub inst: Inst,
    /// Its type.
    pub dtype: DType,
}

/// Writes a value to an element of a param.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// Where.
    pub param: ParamId,
    /// One stride for each row dimension, then for each inner dimension.
    pub strides: Vec<usize>,
    /// What: of this phase or a row value of an earlier one; not a fold of this phase.
    pub value: Value,
}

/// A loop over an inner box, or code that runs once for each row.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Phase {
    /// The inner box, outermost dimension first; empty: once for each row.
    pub inner: Vec<usize>,
    /// The instructions; the first one's number follows the last of the phase before.
    pub defs: Vec<Def>,
    /// What is written, at each point.
    pub stores: Vec<Store>,
}

/// A generated loop nest.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// The pointers it is given.
    pub params: Vec<Param>,
    /// The sizes of the row dimensions, outermost first; the first one is cut into slices.
    pub rows: Vec<usize>,
    /// Which dimension is vectorised.
    pub lanes: Lanes,
    /// What is done for each row.
    pub phases: Vec<Phase>,
}

/// An element of a buffer that a pointer is made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The buffer.
    pub buffer: BufferId,
    /// The element, counted from the start of the buffer.
    pub start: usize,
}

/// A call of a kernel, cut along its first row dimension (no row dimension: an extent of 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which one.
    pub kernel: KernelId,
    /// One for each param.
    pub args: Vec<Place>,
    /// Positions in a slice.
    pub chunk: usize,
}

/// A matrix in memory, or a stack of them. Transposition is a matter of strides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Matrix {
    /// The first element.
    pub place: Place,
    /// Elements from one row to the next.
    pub row: usize,
    /// Elements from one column to the next.
    pub col: usize,
    /// Elements from one matrix of the stack to the next; 0 repeats.
    pub stack: usize,
}

/// `c[s] = a[s] · b[s]` for each matrix `s` of a stack, or a sum of such products; `a` is `m × k`, `b` is `k × n`, all `f32`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gemm {
    /// Rows of `a` and `c`.
    pub m: usize,
    /// Columns of `b` and `c`.
    pub n: usize,
    /// Columns of `a`, rows of `b`.
    pub k: usize,
    /// How many results, at least 1.
    pub stack: usize,
    /// The products that each of them is the sum of.
    pub terms: Terms,
    /// The first factor.
    pub a: Matrix,
    /// The second factor.
    pub b: Matrix,
    /// Whether the columns of `b` lie in panels of [`PANEL`] side by side; `b.col` is from one panel to the next then.
    pub in_panels: bool,
    /// The result; overlaps with neither factor.
    pub c: Matrix,
    /// What is cut: not columns that lie in panels.
    pub cut: Cut,
    /// Positions in a slice.
    pub chunk: usize,
}

/// `to` becomes the smallest of the `len` numbers at `from` that at least a share `share` (a scalar in memory) of
/// them does not exceed. Done by slice 0 alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantile {
    /// The numbers, `f32`.
    pub from: Place,
    /// How many.
    pub len: usize,
    /// The share, one `f32`.
    pub share: Place,
    /// One `f32`.
    pub to: Place,
    /// Room for `len` elements that the routine may overwrite.
    pub work: Place,
}

/// A piece of work over memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A generated kernel.
    Run(Run),
    /// A matrix product, by the runtime.
    Gemm(Gemm),
    /// A quantile, by the runtime.
    Quantile(Quantile),
    /// A convolution, a walk of a window, rows picked by number, …, by the runtime. If the step has several slices, it is
    /// the step's only call.
    Routine(Routine),
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

impl Call {
    /// The extent that is cut, and the positions in a slice.
    pub fn cut(&self, module: &Module) -> (usize, usize) {
        match self {
            Call::Run(run) => (module.kernel(run.kernel).extent(), run.chunk),
            Call::Gemm(gemm) => (gemm.extent(), gemm.chunk),
            Call::Quantile(_) => (1, 1),
            Call::Routine(routine) => (routine.task.extent(), routine.chunk),
        }
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

impl Call {
    /// What kind of code does it: `nest`, `gemm`, `conv`, …
    pub fn kind(&self) -> &'static str {
        match self {
            Call::Run(_) => "nest",
            Call::Gemm(_) => "gemm",
            Call::Quantile(_) => "quantile",
            Call::Routine(routine) => routine.task.kind(),
        }
    }

    /// The multiplications and additions of products and convolutions; of other work, which memory bounds, none are counted.
    pub fn flops(&self) -> u64 {
        match self {
            Call::Gemm(Gemm { m, n, k, stack, terms, .. }) => 2 * (m * n * k * stack * terms.count) as u64,
            Call::Routine(routine) => routine.task.flops(),
            Call::Run(_) | Call::Quantile(_) => 0,
        }
    }
}

impl Gemm {
    /// The extent that is cut.
    pub fn extent(&self) -> usize {
        match self.cut {
            Cut::Stack => self.stack,
            Cut::Rows => self.m,
            Cut::Cols => self.n,
        }
    }

    /// The sizes and strides of the columns of `b`: panels, if they lie in panels, and columns side by side.
    pub(crate) fn columns(&self) -> [(usize, usize); 2] {
        match self.in_panels {
            true => [(self.n.div_ceil(PANEL), self.b.col), (PANEL, 1)],
            false => [(1, 0), (self.n, self.b.col)],
        }
    }
}

impl Kernel {
    /// The extent that is cut: the first row dimension.
    pub fn extent(&self) -> usize {
        self.rows.first().copied().unwrap_or(1)
    }

    /// The number of the first value of each phase.
    pub fn phase_starts(&self) -> Vec<u32> {
        let starts = self.phases.iter().scan(0, |next, phase| {
            let start = *next;
            *next += phase.defs.len() as u32;
            Some(start)
        });
        starts.collect()
    }

    /// The definition of a value, and the index of its phase.
    pub fn def(&self, value: Value) -> (&Def, usize) {
        let mut index = value.0 as usize;
        for (number, phase) in self.phases.iter().enumerate() {
            match phase.defs.get(index) {
                Some(def) => return (def, number),
                None => index -= phase.defs.len(),
            }
        }
        panic!("no value {value} in the kernel")
    }

    /// For each value how many loops it must stand in. Below the number of row dimensions, it varies with none of the row loops
    /// further in and may be computed before they are entered; at that number, once for each row, at the start
    /// of its phase and not earlier (it may use a fold, or read what an earlier phase stored); above it, in that many of the loops.
    pub fn depths(&self) -> Vec<usize> {
        let mut depths: Vec<usize> = vec![];
        for def in self.phases.iter().flat_map(|phase| &phase.defs) {
            let own = match &def.inst {
                Inst::Load(_, strides) | Inst::Uniform { strides, .. } => innermost(strides),
                Inst::Index(dim) => dim + 1,
                Inst::Fold(..) => self.rows.len(),
                Inst::Const(_) | Inst::Unary(..) | Inst::Binary(..) | Inst::Select(..) | Inst::Convert(_) => 0,
            };
            let used = if matches!(def.inst, Inst::Fold(..)) { vec![] } else { def.inst.operands() };
            depths.push(used.iter().map(|v| depths[v.0 as usize]).fold(own, usize::max));
        }
        depths
    }
}

/// One more than the last dimension with a stride, 0 if there is none.
fn innermost(strides: &[usize]) -> usize {
    strides.iter().rposition(|stride| *stride != 0).map_or(0, |dim| dim + 1)
}

impl Inst {
    /// The param and the strides of a load.
    pub fn load(&self) -> Option<(ParamId, &[usize])> {
        if let Inst::Load(param, strides) = self { Some((*param, strides)) } else { None }
    }

    /// The operands, in order.
    pub fn operands(&self) -> Vec<Value> {
        match self {
            Inst::Load(..) | Inst::Const(_) | Inst::Index(_) => vec![],
            Inst::Unary(_, a) | Inst::Convert(a) | Inst::Fold(_, a) => vec![*a],
            Inst::Binary(_, a, b) => vec![*a, *b],
            Inst::Select(c, a, b) => vec![*c, *a, *b],
            Inst::Uniform { seed, step, .. } => vec![*seed, *step],
        }
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

impl Fold {
    /// Its name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Fold::Sum => "sum",
            Fold::Max => "max",
            Fold::Min => "min",
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

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Display for ParamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
