//! The task of the runtime that an op is.

use spnc_runtime::kernels::conv::Phase;
use spnc_runtime::kernels::sparse::SparseShape;
use spnc_runtime::kernels::turn::TurnShape;

use crate::lir::Task;
use crate::lir::routine::{Conv, Pool, Rows, Windows};
use crate::pass::fuse::{product, turned};
use crate::tir::{Func, Op, SparseRole, Value};
use crate::window::{ConvRole, Pooling, Window};

/// The tasks that compute `value`, one after the other.
pub fn all(func: &Func, value: Value) -> Vec<Task> {
    let task = of(func, value);
    let Task::Conv(role, _, conv) = task else { return vec![task] };
    Phase::ALL.map(|phase| Task::Conv(role, phase, conv)).into_iter().filter(|task| task.extent() > 0).collect()
}

/// The task that computes `value`.
///
/// # Panics
///
/// If no routine does.
pub fn of(func: &Func, value: Value) -> Task {
    let shape = |value: Value| &func.ty(value).shape[..];
    let to = shape(value);
    match &func.def(value).op {
        Op::Conv { role, window, groups, a, b } => {
            let [x, w, y] = match role {
                ConvRole::Forward => [shape(*a), shape(*b), to],
                ConvRole::ByInput => [to, shape(*b), shape(*a)],
                ConvRole::ByWeight => [shape(*a), to, shape(*b)],
            };
            Task::Conv(
                *role,
                Phase::Compute,
                Conv { windows: windows(*window, x, y), out_channels: w[3], groups: *groups },
            )
        }
        Op::Pool(Pooling::Sum, window, a) => Task::Pool(Pool::Sum, windows(*window, shape(*a), to)),
        Op::Pool(Pooling::Max, window, a) => Task::Pool(Pool::Max, windows(*window, shape(*a), to)),
        Op::Unpool(window, a) => Task::Pool(Pool::Unpool, windows(*window, to, shape(*a))),
        Op::UnpoolMax { window, ct, .. } => Task::Pool(Pool::UnpoolMax, windows(*window, to, shape(*ct))),
        Op::Gather { batch, table, index } => {
            let rows = rows(*batch, shape(*table), shape(*index));
            Task::Gather(Rows { shared: is_shared(func, value), ..rows }, super::dtype(func.ty(*table).dtype))
        }
        Op::Scatter { batch, index, .. } => {
            Task::Scatter(Rows { shared: is_shared(func, value), ..rows(*batch, to, shape(*index)) })
        }
        Op::TopK(_, k) => {
            let n = to[to.len() - 1];
            Task::TopK { rows: func.ty(value).len() / n, n, k: *k }
        }
        Op::CumSum { axis, reverse, .. } => Task::CumSum {
            outer: to[..*axis].iter().product(),
            n: to[*axis],
            inner: to[axis + 1..].iter().product(),
            reverse: *reverse,
        },
        Op::Sparse { role, a, b, pattern } => {
            let [rows, columns] = [if *role == SparseRole::Product { to[0] } else { shape(*a)[0] }, shape(*b)[0]];
            let non_zeros = if *role == SparseRole::Product { shape(*a)[0] } else { to[0] };
            let is_ordered = shape(*pattern)[0] > rows + 1 + non_zeros;
            let sparse = SparseShape { rows, columns, non_zeros, batch: shape(*b)[1], is_ordered };
            match role {
                SparseRole::Product => Task::SparseProduct(sparse),
                SparseRole::Sampled => Task::SparseSampled(sparse),
            }
        }
        Op::Transpose(a, axes) => {
            let [rows, middle, columns] = turned::sides(shape(*a), axes).expect("axes that are turned around");
            Task::Turn(TurnShape { rows, middle, columns }, super::dtype(func.ty(value).dtype))
        }
        Op::Param(_)
        | Op::Const(_)
        | Op::Iota(_)
        | Op::Unary(..)
        | Op::Binary(..)
        | Op::Select(..)
        | Op::Convert(_)
        | Op::Broadcast(..)
        | Op::Reshape(_)
        | Op::Slice { .. }
        | Op::Reduce(..)
        | Op::Contract(..)
        | Op::Pad { .. }
        | Op::Concat(..)
        | Op::Uniform { .. }
        | Op::Quantile(..)
        | Op::WithGradient(..)
        | Op::Grad(..) => panic!("{value} is not a routine's"),
    }
}

fn windows(window: Window, input: &[usize], output: &[usize]) -> Windows {
    Windows { window, batch: input[0], input: [input[1], input[2]], output: [output[1], output[2]], channels: input[3] }
}

fn rows(batch: usize, table: &[usize], index: &[usize]) -> Rows {
    let size = |axes: &[usize]| axes.iter().product();
    Rows {
        batch: size(&table[..batch]),
        n: table[batch],
        count: size(&index[batch..]),
        rest: size(&table[batch + 1..]),
        shared: false,
    }
}

/// Whether the numbers of rows are the same for the whole batch, so that they are read once.
fn is_shared(func: &Func, value: Value) -> bool {
    product::routine_operands(func, value) != func.def(value).op.operands()
}
