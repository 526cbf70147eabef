//! A call of one of the runtime's routines, with its addresses.

use spnc_runtime::kernels::Isa;
use spnc_runtime::kernels::Routine;
use spnc_runtime::kernels::conv::{self, ConvShape};
use spnc_runtime::kernels::gemm::ProductShape;
use spnc_runtime::kernels::pooling::{self, PoolShape};
use spnc_runtime::kernels::rows::{self, SumShape, TableShape, TopShape};
use spnc_runtime::kernels::sparse::{self, SparseShape};
use spnc_runtime::kernels::turn::{self, TurnShape};

use crate::lir::Task;
use crate::lir::routine::runtime_role;

/// A routine and where its operands, its result and its room to work in are.
pub(super) struct Bound {
    pub code: Code,
    pub from: [*const f32; 3],
    pub to: *mut f32,
    pub work: *mut f32,
}

/// A routine with its shape.
pub(super) enum Code {
    Product(Routine<ProductShape>, ProductShape),
    Conv(Routine<ConvShape>, ConvShape),
    Pool(Routine<PoolShape>, PoolShape),
    Rows(Routine<TableShape>, TableShape),
    TopK(Routine<TopShape>, TopShape),
    CumSum(Routine<SumShape>, SumShape),
    Sparse(Routine<SparseShape>, SparseShape),
    Turn(Routine<TurnShape>, TurnShape),
}

impl Code {
    /// The routine for a task.
    pub fn of(task: &Task, isa: Isa) -> Code {
        match *task {
            Task::Conv(role, phase, conv) => Code::Conv(conv::routine(runtime_role(role), phase, isa), conv.shape()),
            Task::Pool(pool, windows) => Code::Pool(pooling::routine(pool.routine(), isa), windows.shape()),
            Task::Gather(rows, _) => Code::Rows(rows::gather(isa), rows.shape()),
            Task::Scatter(rows) => Code::Rows(rows::scatter(isa), rows.shape()),
            Task::TopK { rows, n, k } => Code::TopK(rows::top_k(isa), TopShape { rows, width: n, k }),
            Task::CumSum { outer, n, inner, reverse } => {
                Code::CumSum(rows::cumsum(isa), SumShape { outer, len: n, inner, reverse })
            }
            Task::SparseProduct(shape) => Code::Sparse(sparse::product(isa), shape),
            Task::SparseSampled(shape) => Code::Sparse(sparse::sampled(isa), shape),
            Task::Turn(shape, _) => Code::Turn(turn::turn(isa), shape),
        }
    }
}

impl Bound {
    /// Does the positions from `first` to `last`.
    ///
    /// # Safety
    ///
    /// As for [`Routine`].
    #[expect(unsafe_code, reason = "calls a routine over memory that the compiler has planned")]
    pub unsafe fn run(&self, first: usize, last: usize) {
        let Bound { code, from, to, work } = self;
        // SAFETY: the caller's promise.
        unsafe {
            match code {
                Code::Product(routine, shape) => routine(shape, from, *to, *work, first, last),
                Code::Conv(routine, shape) => routine(shape, from, *to, *work, first, last),
                Code::Pool(routine, shape) => routine(shape, from, *to, *work, first, last),
                Code::Rows(routine, shape) => routine(shape, from, *to, *work, first, last),
                Code::TopK(routine, shape) => routine(shape, from, *to, *work, first, last),
                Code::CumSum(routine, shape) => routine(shape, from, *to, *work, first, last),
                Code::Sparse(routine, shape) => routine(shape, from, *to, *work, first, last),
                Code::Turn(routine, shape) => routine(shape, from, *to, *work, first, last),
            }
        }
    }
}
