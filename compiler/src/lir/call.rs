//! Calls: loop nests, products, quantiles and routines over places in memory.

use super::{Cut, KernelId, Module, PANEL, Place, Routine, Terms};

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
