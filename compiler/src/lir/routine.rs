//! Work that routines of the runtime do: convolutions, windows, rows picked by number, the largest of a row, running sums.
//!
//! A [`Task`] says what is done to contiguous operands, a [`Routine`] where they are. The text form of a task is its name
//! and its sizes, in the order of [`Task::sizes`].

use spnc_runtime::kernels::conv::{ConvShape, Phase, Role};
use spnc_runtime::kernels::pooling::{PoolShape, Pooling};
use spnc_runtime::kernels::rows::{SumShape, TableShape};
use spnc_runtime::kernels::sparse::SparseShape;
use spnc_runtime::kernels::turn::TurnShape;

use super::{DType, Place};
use crate::window::{ConvRole, Window};

/// A call of a routine. It is cut along an extent of its output that the routine knows; see [`Task::extent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routine {
    /// What is done.
    pub task: Task,
    /// The operands, in order.
    pub from: Vec<Place>,
    /// The result; overlaps with no operand.
    pub to: Place,
    /// Room of [`Task::work_len`] numbers, if it needs any.
    pub work: Option<Place>,
    /// Positions in a slice.
    pub chunk: usize,
}

/// What a routine does. All tensors are row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// A phase of the computation of one of the three tensors of a convolution from the other two: see `tir::Op::Conv`. Its phases
    /// share operands, result and room to work in.
    Conv(ConvRole, Phase, Conv),
    /// A walk of a window over two axes.
    Pool(Pool, Windows),
    /// `table [batch, n, rest]` of any type, `index [batch, count]` to `[batch, count, rest]`; an index outside gives zeros.
    Gather(Rows, DType),
    /// `values [batch, count, rest]`, `index [batch, count]` to `[batch, n, rest]`: sums; what has an index outside is dropped.
    Scatter(Rows),
    /// Of each row of `[rows, n]` the mask of the `k` largest, equal ones in order.
    TopK {
        /// How many rows.
        rows: usize,
        /// The length of each.
        n: usize,
        /// How many are chosen.
        k: usize,
    },
    /// Running sums along the middle axis of `[outer, n, inner]`.
    CumSum {
        /// The axes before.
        outer: usize,
        /// The axis that is summed along.
        n: usize,
        /// The axes behind.
        inner: usize,
        /// Whether it begins at the end.
        reverse: bool,
    },
    /// Elements of a compressed matrix, `x [columns, batch]` and a pattern to the product `[rows, batch]`.
    SparseProduct(SparseShape),
    /// `y [rows, batch]`, `x [columns, batch]` and a pattern to the elements of `y xᵀ` at the pattern.
    SparseSampled(SparseShape),
    /// `[rows, middle, columns]` of any type to `[columns, middle, rows]`.
    Turn(TurnShape, DType),
}

/// What a window does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pool {
    /// Sums each window.
    Sum,
    /// The largest of each window.
    Max,
    /// Every number goes to all elements of its window.
    Unpool,
    /// Operands `x` and a number for each window, which goes to the first largest element of it.
    UnpoolMax,
}

/// The sizes of a window's walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Windows {
    /// The window.
    pub window: Window,
    /// Images.
    pub batch: usize,
    /// Height and width of what the window walks over.
    pub input: [usize; 2],
    /// How many windows there are, down and across.
    pub output: [usize; 2],
    /// Channels; of a convolution those of its input.
    pub channels: usize,
}

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Where the window goes.
    pub windows: Windows,
    /// Channels of the output.
    pub out_channels: usize,
    /// Groups of channels that have nothing to do with each other.
    pub groups: usize,
}

/// Sizes of a table and of what is picked from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rows {
    /// How many tables.
    pub batch: usize,
    /// Rows of each.
    pub n: usize,
    /// Rows that are picked.
    pub count: usize,
    /// The length of a row.
    pub rest: usize,
    /// Whether all tables have the same numbers, which then are there once: `index [count]`.
    pub shared: bool,
}

/// The length and type of an operand or a result.
pub type Span = (usize, DType);

impl Task {
    /// Its name in the text form.
    pub fn name(&self) -> &'static str {
        match self {
            Task::Conv(role, ..) => role.name(),
            Task::Pool(Pool::Sum, _) => "pool_sum",
            Task::Pool(Pool::Max, _) => "pool_max",
            Task::Pool(Pool::Unpool, _) => "unpool",
            Task::Pool(Pool::UnpoolMax, _) => "unpool_max",
            Task::Gather(_, DType::F32) => "gather",
            Task::Gather(_, DType::I32) => "gather_i32",
            Task::Gather(_, DType::Bool) => "gather_bool",
            Task::Scatter(_) => "scatter",
            Task::TopK { .. } => "top_k",
            Task::CumSum { .. } => "cumsum",
            Task::SparseProduct(_) => "sparse_product",
            Task::SparseSampled(_) => "sparse_sampled",
            Task::Turn(_, DType::F32) => "turn",
            Task::Turn(_, DType::I32) => "turn_i32",
            Task::Turn(_, DType::Bool) => "turn_bool",
        }
    }

    /// All its sizes.
    pub fn sizes(&self) -> Vec<usize> {
        match *self {
            Task::Conv(_, phase, Conv { windows, out_channels, groups }) => {
                [windows.sizes(), vec![out_channels, groups, phase as usize]].concat()
            }
            Task::Pool(_, windows) => windows.sizes(),
            Task::Gather(Rows { batch, n, count, rest, shared }, _)
            | Task::Scatter(Rows { batch, n, count, rest, shared }) => {
                vec![batch, n, count, rest, usize::from(shared)]
            }
            Task::TopK { rows, n, k } => vec![rows, n, k],
            Task::CumSum { outer, n, inner, reverse } => vec![outer, n, inner, usize::from(reverse)],
            Task::SparseProduct(s) | Task::SparseSampled(s) => {
                vec![s.rows, s.columns, s.non_zeros, s.batch, usize::from(s.is_ordered)]
            }
            Task::Turn(TurnShape { rows, middle, columns }, _) => vec![rows, middle, columns],
        }
    }

    /// The task with this name and these sizes.
    pub fn from_sizes(name: &str, sizes: &[usize]) -> Option<Task> {
        let conv = |role| {
            let (windows, rest) = Windows::from_sizes(sizes)?;
            let [out_channels, groups, phase] = *rest else { return None };
            Some(Task::Conv(role, *Phase::ALL.get(phase)?, Conv { windows, out_channels, groups }))
        };
        let pool = |pool| Windows::from_sizes(sizes).map(|(windows, _)| Task::Pool(pool, windows));
        let rows = || {
            let [batch, n, count, rest, shared] = *sizes else { return None };
            Some(Rows { batch, n, count, rest, shared: shared > 0 })
        };
        let sparse = || {
            let [rows, columns, non_zeros, batch, is_ordered] = *sizes else { return None };
            Some(SparseShape { rows, columns, non_zeros, batch, is_ordered: is_ordered > 0 })
        };
        let turn = |dtype| {
            let [rows, middle, columns] = *sizes else { return None };
            Some(Task::Turn(TurnShape { rows, middle, columns }, dtype))
        };
        match (name, sizes) {
            ("conv", _) => conv(ConvRole::Forward),
            ("conv_by_input", _) => conv(ConvRole::ByInput),
            ("conv_by_weight", _) => conv(ConvRole::ByWeight),
            ("pool_sum", _) => pool(Pool::Sum),
            ("pool_max", _) => pool(Pool::Max),
            ("unpool", _) => pool(Pool::Unpool),
            ("unpool_max", _) => pool(Pool::UnpoolMax),
            ("gather", _) => rows().map(|rows| Task::Gather(rows, DType::F32)),
            ("gather_i32", _) => rows().map(|rows| Task::Gather(rows, DType::I32)),
            ("gather_bool", _) => rows().map(|rows| Task::Gather(rows, DType::Bool)),
            ("scatter", _) => rows().map(Task::Scatter),
            ("top_k", &[rows, n, k]) => Some(Task::TopK { rows, n, k }),
            ("cumsum", &[outer, n, inner, reverse]) => Some(Task::CumSum { outer, n, inner, reverse: reverse > 0 }),
            ("sparse_product", _) => sparse().map(Task::SparseProduct),
            ("sparse_sampled", _) => sparse().map(Task::SparseSampled),
            ("turn", _) => turn(DType::F32),
            ("turn_i32", _) => turn(DType::I32),
            ("turn_bool", _) => turn(DType::Bool),
            (_, _) => None,
        }
    }

    /// What it reads.
    pub fn operands(&self) -> Vec<Span> {
        let f32 = |len| (len, DType::F32);
        match *self {
            Task::Conv(role, _, conv) => {
                let [x, w, y] = [conv.windows.input_len(), conv.weights(), conv.output_len()].map(f32);
                match role {
                    ConvRole::Forward => vec![x, w],
                    ConvRole::ByInput => vec![y, w],
                    ConvRole::ByWeight => vec![x, y],
                }
            }
            Task::Pool(Pool::Sum | Pool::Max, windows) => vec![f32(windows.input_len())],
            Task::Pool(Pool::Unpool, windows) => vec![f32(windows.output_len())],
            Task::Pool(Pool::UnpoolMax, windows) => vec![f32(windows.input_len()), f32(windows.output_len())],
            Task::Gather(rows, dtype) => vec![(rows.table(), dtype), (rows.indices(), DType::I32)],
            Task::Scatter(rows) => vec![f32(rows.picked()), (rows.indices(), DType::I32)],
            Task::TopK { rows, n, .. } => vec![f32(rows * n)],
            Task::CumSum { outer, n, inner, .. } => vec![f32(outer * n * inner)],
            Task::SparseProduct(s) => {
                vec![f32(s.non_zeros), f32(s.columns * s.batch), (s.pattern_len(), DType::I32)]
            }
            Task::SparseSampled(s) => {
                vec![f32(s.rows * s.batch), f32(s.columns * s.batch), (s.pattern_len(), DType::I32)]
            }
            Task::Turn(turn, dtype) => vec![(turn.len(), dtype)],
        }
    }

    /// What it writes.
    pub fn result(&self) -> Span {
        let f32 = |len| (len, DType::F32);
        match *self {
            Task::Conv(ConvRole::Forward, _, conv) => f32(conv.output_len()),
            Task::Conv(ConvRole::ByInput, _, conv) => f32(conv.windows.input_len()),
            Task::Conv(ConvRole::ByWeight, _, conv) => f32(conv.weights()),
            Task::Pool(Pool::Sum | Pool::Max, windows) => f32(windows.output_len()),
            Task::Pool(Pool::Unpool | Pool::UnpoolMax, windows) => f32(windows.input_len()),
            Task::Gather(rows, dtype) => (rows.picked(), dtype),
            Task::Scatter(rows) => f32(rows.table()),
            Task::TopK { rows, n, .. } => (rows * n, DType::Bool),
            Task::CumSum { outer, n, inner, .. } => f32(outer * n * inner),
            Task::SparseProduct(s) => f32(s.rows * s.batch),
            Task::SparseSampled(s) => f32(s.non_zeros),
            Task::Turn(turn, dtype) => (turn.len(), dtype),
        }
    }

    /// The extent that is cut, as the routine has it. An extent of 0 means that there is nothing to do.
    pub fn extent(&self) -> usize {
        match self {
            Task::Conv(role, phase, conv) => conv.shape().extent(runtime_role(*role), *phase),
            Task::Pool(pool, windows) => windows.shape().extent(pool.routine()),
            Task::Gather(rows, _) => rows.shape().gather_extent(),
            Task::Scatter(rows) => rows.shape().scatter_extent(),
            Task::TopK { rows, .. } => *rows,
            Task::SparseProduct(sparse) | Task::SparseSampled(sparse) => sparse.rows,
            Task::Turn(turn, _) => turn.extent(),
            Task::CumSum { outer, n, inner, reverse } => {
                SumShape { outer: *outer, len: *n, inner: *inner, reverse: *reverse }.extent()
            }
        }
    }

    /// How many numbers it needs room for.
    pub fn work_len(&self) -> usize {
        match self {
            Task::Conv(role, _, conv) => conv.shape().work_len(runtime_role(*role)),
            Task::Pool(..) | Task::Gather(..) | Task::Scatter(_) | Task::TopK { .. } | Task::CumSum { .. } => 0,
            Task::SparseProduct(_) | Task::SparseSampled(_) | Task::Turn(..) => 0,
        }
    }

    /// About how much there is to do, in multiplications or elements.
    pub fn work(&self) -> usize {
        match self {
            Task::Conv(_, _, conv) => conv.output_len() * conv.weights() / conv.out_channels,
            Task::Pool(_, windows) => windows.output_len() * windows.window.size.iter().product::<usize>(),
            Task::Gather(..) | Task::Scatter(_) | Task::TopK { .. } | Task::CumSum { .. } => {
                8 * self.operands()[0].0.max(self.result().0)
            }
            Task::SparseProduct(s) | Task::SparseSampled(s) => 4 * s.non_zeros * s.batch.max(FEW_SAMPLES),
            Task::Turn(..) => 4 * self.result().0,
        }
    }
}

/// Non-zeros take as long for one sample, which fills no vector, as for so many.
const FEW_SAMPLES: usize = 12;

impl Task {
    /// Its name without the operand that is computed: the three of a convolution are one kind.
    pub fn kind(&self) -> &'static str {
        let name = self.name();
        name.split_once("_by_").map_or(name, |(kind, _)| kind)
    }

    /// Multiplications and additions, where it is a product; none with the zeros around an image.
    pub fn flops(&self) -> u64 {
        match self {
            Task::Conv(_, Phase::Compute, conv) => 2 * conv.shape().products_inside() as u64,
            Task::Conv(_, Phase::Pack | Phase::Combine, _) => 0,
            Task::Pool(..) | Task::Gather(..) | Task::Scatter(_) | Task::TopK { .. } | Task::CumSum { .. } => 0,
            Task::SparseProduct(s) | Task::SparseSampled(s) => 2 * (s.non_zeros * s.batch) as u64,
            Task::Turn(..) => 0,
        }
    }
}

/// The runtime's name for it.
pub fn runtime_role(role: ConvRole) -> Role {
    match role {
        ConvRole::Forward => Role::Forward,
        ConvRole::ByInput => Role::ByInput,
        ConvRole::ByWeight => Role::ByWeight,
    }
}

impl Pool {
    /// The runtime's name for it.
    pub fn routine(self) -> Pooling {
        match self {
            Pool::Sum => Pooling::Sum,
            Pool::Max => Pooling::Max,
            Pool::Unpool => Pooling::Unpool,
            Pool::UnpoolMax => Pooling::UnpoolMax,
        }
    }
}

impl Windows {
    /// As the runtime has it.
    pub fn shape(&self) -> PoolShape {
        let Windows { window, batch, input: [height, width], output: [out_height, out_width], channels } = *self;
        let Window { size, stride, dilation, pad_lo: pad, .. } = window;
        PoolShape { batch, height, width, channels, size, stride, dilation, pad, out_height, out_width }
    }

    fn sizes(&self) -> Vec<usize> {
        let Windows { window, batch, input, output, channels } = *self;
        let Window { size, stride, dilation, pad_lo, pad_hi } = window;
        [&[batch, channels][..], &input, &output, &size, &stride, &dilation, &pad_lo, &pad_hi].concat()
    }

    fn from_sizes(sizes: &[usize]) -> Option<(Windows, &[usize])> {
        let ([batch, channels], pairs) = sizes.split_first_chunk()?;
        let (pairs, rest) = pairs.split_at_checked(14)?;
        let pair = |index: usize| [pairs[2 * index], pairs[2 * index + 1]];
        let [input, output, size, stride, dilation, pad_lo, pad_hi] = std::array::from_fn(pair);
        let window = Window { size, stride, dilation, pad_lo, pad_hi };
        Some((Windows { window, batch: *batch, input, output, channels: *channels }, rest))
    }

    /// Elements of what the window walks over.
    pub fn input_len(&self) -> usize {
        self.batch * self.input[0] * self.input[1] * self.channels
    }

    /// One for each window and channel.
    pub fn output_len(&self) -> usize {
        self.batch * self.output[0] * self.output[1] * self.channels
    }

    /// The element of the input that the window at `output` has at `tap` along an axis; `None` in the margin.
    pub fn input_at(&self, axis: usize, output: usize, tap: usize) -> Option<usize> {
        self.window.sees(axis, output, tap, self.input[axis])
    }
}

impl Conv {
    /// As the runtime has it.
    pub fn shape(&self) -> ConvShape {
        let PoolShape { batch, height, width, channels: in_channels, size: kernel, stride, dilation, .. } =
            self.windows.shape();
        let PoolShape { pad, out_height, out_width, .. } = self.windows.shape();
        let Conv { out_channels, groups, .. } = *self;
        ConvShape {
            batch,
            height,
            width,
            in_channels,
            out_channels,
            kernel,
            stride,
            dilation,
            pad,
            out_height,
            out_width,
            groups,
        }
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.windows.batch * self.windows.output[0] * self.windows.output[1] * self.out_channels
    }

    /// Elements of the kernel.
    pub fn weights(&self) -> usize {
        let [height, width] = self.windows.window.size;
        height * width * self.windows.channels / self.groups * self.out_channels
    }
}

impl Rows {
    /// As the runtime has it.
    pub fn shape(&self) -> TableShape {
        TableShape { batch: self.batch, rows: self.n, indices: self.count, width: self.rest, shared: self.shared }
    }

    fn table(&self) -> usize {
        self.batch * self.n * self.rest
    }

    /// How many numbers of rows are in memory.
    fn indices(&self) -> usize {
        if self.shared { self.count } else { self.batch * self.count }
    }

    fn picked(&self) -> usize {
        self.batch * self.count * self.rest
    }
}
