//! Routines of the runtime, of random sizes and cut into slices of random length, against the interpreter.

use proptest::prelude::*;
use spnc_runtime::kernels::conv::Phase;
use spnc_runtime::kernels::sparse::SparseShape;
use spnc_runtime::kernels::turn::TurnShape;

use super::{check, check_given};
use crate::lir::routine::{Conv, Pool, Rows, Windows};
use crate::lir::{Buffer, BufferId, Call, DType, Func, Module, Place, Role, Routine, Step, Task, print, verify};
use crate::window::{ConvRole, Window};

/// A program that does the tasks, which have the same operands and the same result, in slices of about this length.
fn module(tasks: &[Task], chunk: usize) -> Module {
    let mut module = Module::default();
    let mut place = |role, (len, dtype): (usize, DType)| {
        let name = format!("t{}", module.buffers.len()).into();
        module.buffers.push(Buffer { name, role, dtype, len: len.max(1), offset: module.arena });
        module.arena += (4 * len.max(1)).next_multiple_of(64);
        Place { buffer: BufferId(module.buffers.len() as u32 - 1), start: 0 }
    };
    let from: Vec<Place> = tasks[0].operands().into_iter().map(|span| place(Role::Input, span)).collect();
    let to = place(Role::Output, tasks[0].result());
    let room = tasks.iter().map(Task::work_len).max().unwrap_or(0);
    let work = (room > 0).then(|| place(Role::Scratch, (room, DType::F32)));
    let step = |task: &Task| {
        let slices = task.extent().div_ceil(chunk);
        let call = Call::Routine(Routine { task: *task, from: from.clone(), to, work, chunk });
        Step::alone(call, slices, "".into())
    };
    let steps = tasks.iter().filter(|task| task.extent() > 0).map(step).collect();
    let inputs = from.iter().map(|place| place.buffer).collect();
    module.funcs.push(Func { name: "f".into(), inputs, outputs: vec![to.buffer], steps });
    assert_eq!(verify(&module), Ok(()), "{}", print(&module));
    assert_eq!(crate::lir::parse(&print(&module)).as_ref(), Ok(&module));
    module
}

prop_compose! {
    fn windows()(
        size in prop::array::uniform2(1usize..4),
        stride in prop::array::uniform2(1usize..3),
        dilation in prop::array::uniform2(1usize..3),
        pad_lo in prop::array::uniform2(0usize..2),
        pad_hi in prop::array::uniform2(0usize..2),
        more in prop::array::uniform2(0usize..9),
        batch in 1usize..4,
        channels in prop_oneof![1usize..5, Just(16), Just(20)],
    ) -> Windows {
        let window = Window { size, stride, dilation, pad_lo, pad_hi };
        let input = [0, 1].map(|d| window.reach(d) + more[d]);
        let output = [0, 1].map(|d| window.output(d, input[d]).expect("the window fits"));
        Windows { window, batch, input, output, channels }
    }
}

prop_compose! {
    fn rows()(batch in 1usize..3, n in 1usize..12, count in 1usize..9, rest in 1usize..20, shared in any::<bool>()) -> Rows {
        Rows { batch, n, count, rest, shared }
    }
}

/// Checks what is computed of a matrix that has elements where `filled` says; ordered, their values lie column by column.
fn check_sparse([rows, columns]: [usize; 2], filled: &[bool], batch: usize, is_ordered: bool, chunk: usize) {
    let at: Vec<[usize; 2]> = (0..rows * columns).filter(|i| filled[*i]).map(|i| [i / columns, i % columns]).collect();
    let mut by_column: Vec<usize> = (0..at.len()).collect();
    by_column.sort_by_key(|k| (at[*k][1], at[*k][0]));
    let place = |k: usize| by_column.iter().position(|other| *other == k).expect("all are there");
    let starts = (0..=rows).map(|row| at.iter().filter(|[of, _]| *of < row).count());
    let places = (0..if is_ordered { at.len() } else { 0 }).map(place);
    let pattern = starts.chain(at.iter().map(|[_, column]| *column)).chain(places).map(|number| number as f64);
    let shape = SparseShape { rows, columns, non_zeros: at.len(), batch, is_ordered };
    for task in [Task::SparseProduct(shape), Task::SparseSampled(shape)] {
        let module = module(&[task], chunk);
        check_given(&module, chunk as u64, &[(module.funcs[0].inputs[2], pattern.clone().collect())].into());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn convolutions(
        mut windows in windows(),
        groups in prop_oneof![Just(1usize), Just(2)],
        outs in prop_oneof![1usize..5, Just(16), Just(33)],
        role in 0usize..3,
        chunk in 1usize..20,
    ) {
        windows.channels *= groups;
        let conv = Conv { windows, out_channels: outs * groups, groups };
        let tasks = Phase::ALL.map(|phase| Task::Conv(ConvRole::ALL[role], phase, conv));
        check(&module(&tasks, chunk), chunk as u64);
    }

    #[test]
    fn pooling(windows in windows(), pool in 0usize..4, chunk in 1usize..20) {
        let pool = [Pool::Sum, Pool::Max, Pool::Unpool, Pool::UnpoolMax][pool];
        check(&module(&[Task::Pool(pool, windows)], chunk), chunk as u64);
    }

    #[test]
    fn rows_of_tables(rows in rows(), dtype in 0usize..3, chunk in 1usize..20) {
        let dtype = [DType::F32, DType::I32, DType::Bool][dtype];
        check(&module(&[Task::Gather(rows, dtype)], chunk), chunk as u64);
        check(&module(&[Task::Scatter(rows)], chunk), chunk as u64);
    }

    #[test]
    fn compressed_matrices(
        size in prop::array::uniform2(1usize..20),
        filled in prop::collection::vec(prop::bool::weighted(0.3), 400),
        batch in prop_oneof![1usize..20, Just(64)],
        is_ordered: bool,
        chunk in 1usize..20,
    ) {
        prop_assume!(filled[..size[0] * size[1]].contains(&true));
        check_sparse(size, &filled, batch, is_ordered, chunk);
    }

    #[test]
    fn turned_axes(
        [rows, columns] in prop::array::uniform2(1usize..70), middle in prop_oneof![Just(1), 1usize..40], dtype in 0usize..3, chunk in 1usize..20,
    ) {
        let dtype = [DType::F32, DType::I32, DType::Bool][dtype];
        check(&module(&[Task::Turn(TurnShape { rows, middle, columns }, dtype)], chunk), chunk as u64);
    }

    #[test]
    fn the_largest_and_running_sums(
        [outer, n, inner] in prop::array::uniform3(1usize..30),
        k in 0usize..30,
        reverse: bool,
        chunk in 1usize..20,
    ) {
        check(&module(&[Task::TopK { rows: outer, n, k: k.min(n) }], chunk), chunk as u64);
        check(&module(&[Task::CumSum { outer, n, inner, reverse }], chunk), chunk as u64);
    }
}
