//! Checks LIR. What holds for every valid module:
//!
//! - **Arena.** Every buffer has elements, begins at a multiple of 64 bytes and lies inside the arena. Lasting tensors
//!   come first and overlap with nothing; inputs, outputs and what is kept overlap with nothing. What is kept is written by one function. Scratch buffers of one function overlap only
//!   if no step needs both.
//! - **Steps.** Every call has positions to do and none of them beyond [`Step::slices`](super::Step::slices). In a step of several calls,
//!   what one slice writes no other slice touches. Every call has a label, which may be empty, and a slice that it starts at.
//! - **Runs.** One arg for each param, of its type; every access of every phase lies inside its buffer. Args
//!   overlap only if neither is stored to.
//! - **Products.** Factors and result lie inside their buffers; the result has no element twice and overlaps with neither factor.
//! - **Routines.** As many operands as the task has, of its lengths and types; the result and the room to work in overlap with
//!   nothing else. One that is cut stands alone in its step.
//! - **Kernels.** Every dimension has at least two positions or is the only one; strides are as many as loops; params, dimensions and
//!   values exist; values are visible where they are used, and of the right type. A param that is stored to is
//!   reached with the same strides everywhere along rows, within a phase with the same strides altogether, and
//!   no two points of a phase reach the same element. Chunks along lanes are multiples of 16.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{
    BufferId, Call, Cut, DType, Def, Func, Gemm, Inst, Kernel, Lanes, Matrix, Module, ParamId, Phase, Place, Role,
    Routine, Run, Step, Value,
};
use crate::scalar::{Binary, Unary};

/// All that is wrong with a module: one sentence each.
pub fn verify(module: &Module) -> Result<(), Vec<String>> {
    let mut errors = vec![];
    check_arena(module, &mut errors);
    for (index, kernel) in module.kernels.iter().enumerate() {
        let mut found = vec![];
        check_kernel(kernel, &mut found);
        errors.extend(found.into_iter().map(|error| format!("k{index}: {error}")));
    }
    if errors.is_empty() {
        check_kept(module, &mut errors);
        for func in &module.funcs {
            let mut found = vec![];
            check_func(module, func, &mut found);
            errors.extend(found.into_iter().map(|error| format!("{:?}: {error}", func.name)));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn require(errors: &mut Vec<String>, holds: bool, error: impl FnOnce() -> String) {
    if !holds {
        errors.push(error());
    }
}

fn bytes(module: &Module, id: BufferId) -> Range<usize> {
    let buffer = module.buffer(id);
    buffer.offset..buffer.offset + 4 * buffer.len
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

fn check_arena(module: &Module, errors: &mut Vec<String>) {
    let mut scratch = false;
    let mut fixed: Vec<Range<usize>> = vec![];
    for (index, buffer) in module.buffers.iter().enumerate() {
        let range = bytes(module, BufferId(index as u32));
        require(errors, buffer.offset.is_multiple_of(64), || format!("@{index} is not aligned"));
        require(errors, buffer.len > 0 && range.end <= module.arena, || format!("@{index} is not inside the arena"));
        let first = buffer.role != Role::Lasting || !scratch;
        require(errors, first, || format!("@{index} is lasting and comes after others"));
        scratch |= buffer.role != Role::Lasting;
        if buffer.role != Role::Scratch {
            fixed.push(range);
        }
    }
    fixed.sort_by_key(|range| range.start);
    let end = fixed.last().map_or(0, |range| range.end);
    require(errors, fixed.windows(2).all(|pair| !overlap(&pair[0], &pair[1])), || "tensors with a name overlap".into());
    let low = module.buffers.iter().find(|b| b.role == Role::Scratch && b.offset < end);
    require(errors, low.is_none(), || "scratch overlaps with a tensor that has a name".into());
}

/// What is kept is there for all functions once one of them was called.
fn check_kept(module: &Module, errors: &mut Vec<String>) {
    let kept = |id: &BufferId| module.buffer(*id).role == Role::Kept;
    let written = |func: &Func| -> BTreeSet<BufferId> {
        let calls = func.steps.iter().flat_map(|step| &step.calls);
        calls.flat_map(|call| call.written(module)).filter(kept).collect()
    };
    let mut writers: BTreeMap<BufferId, usize> = BTreeMap::new();
    module.funcs.iter().flat_map(written).for_each(|id| *writers.entry(id).or_default() += 1);
    for id in (0..module.buffers.len()).map(|index| BufferId(index as u32)).filter(kept) {
        let count = writers.get(&id).copied().unwrap_or(0);
        require(errors, count == 1, || format!("{id} is kept and written by {count} functions"));
    }
}

fn check_func(module: &Module, func: &Func, errors: &mut Vec<String>) {
    for (index, step) in func.steps.iter().enumerate() {
        let mut found = vec![];
        let is_whole = [step.labels.len(), step.starts.len()] == [step.calls.len(); 2];
        require(&mut found, is_whole, || "not every call has a label and a start".into());
        let calls = step.calls.iter().zip(&step.starts);
        calls.for_each(|(call, start)| check_call(module, step, (call, *start), &mut found));
        if found.is_empty() {
            require(&mut found, slices_are_apart(module, step), || "slices may touch the same element".into());
        }
        errors.extend(found.into_iter().map(|error| format!("step {index}: {error}")));
    }
    check_lives(module, func, errors);
}

/// Scratch that overlaps must not be needed by steps that overlap.
fn check_lives(module: &Module, func: &Func, errors: &mut Vec<String>) {
    let mut lives: Vec<(BufferId, usize, usize)> = vec![];
    for (number, step) in func.steps.iter().enumerate() {
        for buffer in step.calls.iter().flat_map(|call| call.needed(module)) {
            match lives.iter_mut().find(|(id, _, _)| *id == buffer) {
                Some(life) => life.2 = number,
                None => lives.push((buffer, number, number)),
            }
        }
    }
    for (index, a) in lives.iter().enumerate() {
        for b in &lives[..index] {
            let meet = a.1 <= b.2 && b.1 <= a.2 && overlap(&bytes(module, a.0), &bytes(module, b.0));
            require(errors, !meet, || format!("{} and {} share memory that both need", a.0, b.0));
        }
    }
}

fn check_call(module: &Module, step: &Step, (call, start): (&Call, usize), errors: &mut Vec<String>) {
    let (extent, chunk) = call.cut(module);
    let covered = chunk > 0 && extent > 0 && start.saturating_add(extent.div_ceil(chunk)) <= step.slices;
    require(errors, covered, || {
        format!("{extent} positions by {chunk} are not {} slices", step.slices.saturating_sub(start))
    });
    match call {
        Call::Run(run) => check_run(module, run, errors),
        Call::Gemm(gemm) => check_gemm(module, gemm, errors),
        Call::Quantile(q) => {
            for (place, len) in [(q.from, q.len), (q.work, q.len), (q.share, 1), (q.to, 1)] {
                check_inside(module, place, len - 1, DType::F32, errors);
            }
        }
        Call::Routine(routine) => {
            let alone = extent <= chunk || step.calls.len() == 1;
            require(errors, alone, || "a routine that is cut has company".into());
            check_routine(module, routine, errors);
        }
    }
}

fn check_routine(module: &Module, routine: &Routine, errors: &mut Vec<String>) {
    let Routine { task, from, to, work, .. } = routine;
    let operands = task.operands();
    require(errors, operands.len() == from.len(), || format!("{} has {} operands", task.name(), operands.len()));
    let room = work.map(|work| (work, (task.work_len(), DType::F32)));
    let enough = room.is_some() || task.work_len() == 0;
    require(errors, enough, || format!("{} needs room to work in", task.name()));
    let all = from.iter().copied().zip(operands).chain([(*to, task.result())]).chain(room);
    for (place, (len, dtype)) in all {
        check_inside(module, place, len.saturating_sub(1), dtype, errors);
    }
    for written in [to].into_iter().chain(work) {
        let others = from.iter().chain([to]).chain(work).filter(|other| *other != written);
        let clash = |other: &Place| overlap(&bytes(module, other.buffer), &bytes(module, written.buffer));
        require(errors, !others.into_iter().any(clash), || format!("{} overlaps with what it reads", task.name()));
    }
}

/// The element `last` after a place must be in the buffer, which must hold this type.
fn check_inside(module: &Module, place: Place, last: usize, dtype: DType, errors: &mut Vec<String>) {
    let buffer = module.buffer(place.buffer);
    let inside = place.start + last < buffer.len;
    require(errors, inside, || {
        format!("element {} of {} is beyond its {}", place.start + last, place.buffer, buffer.len)
    });
    require(errors, buffer.dtype == dtype, || format!("{} holds {}, not {dtype}", place.buffer, buffer.dtype));
}

/// The largest position that strides reach in a box.
fn reach(sizes: &[usize], strides: &[usize]) -> usize {
    sizes.iter().zip(strides).map(|(size, stride)| (size - 1) * stride).sum()
}

/// Whether no two points of the box are at the same place: each stride passes all that the smaller ones reach.
fn distinct(sizes: &[usize], strides: &[usize]) -> bool {
    let mut dims: Vec<(usize, usize)> =
        strides.iter().copied().zip(sizes.iter().copied()).filter(|(_, size)| *size > 1).collect();
    dims.sort_unstable();
    let mut reached = 0;
    dims.into_iter().all(|(stride, size)| {
        let beyond = stride > reached;
        reached += stride * (size - 1);
        beyond
    })
}

fn check_run(module: &Module, run: &Run, errors: &mut Vec<String>) {
    let kernel = module.kernel(run.kernel);
    require(errors, run.args.len() == kernel.params.len(), || format!("{} has other params", run.kernel));
    let grain = kernel.lanes == Lanes::Rows && kernel.rows.len() == 1 && run.chunk < kernel.extent();
    require(errors, !grain || run.chunk.is_multiple_of(16), || "a slice ends within a vector".into());
    for phase in &kernel.phases {
        let sizes = [&kernel.rows[..], &phase.inner].concat();
        for (param, strides) in accesses(phase) {
            if let Some(place) = run.args.get(param.0 as usize) {
                check_inside(module, *place, reach(&sizes, strides), kernel.params[param.0 as usize].dtype, errors);
            }
        }
    }
    for (index, stored) in run.args.iter().enumerate().filter(|(index, _)| kernel.is_stored(*index)) {
        let clash = run.args.iter().enumerate().any(|(other, place)| {
            other != index && overlap(&bytes(module, place.buffer), &bytes(module, stored.buffer))
        });
        require(errors, !clash, || format!("p{index} is stored to and overlaps with another"));
    }
}

/// All loads and stores of a phase.
fn accesses(phase: &Phase) -> Vec<(ParamId, &[usize])> {
    let loads = phase.defs.iter().filter_map(|def| def.inst.load());
    loads.chain(phase.stores.iter().map(|store| (store.param, &store.strides[..]))).collect()
}

fn check_gemm(module: &Module, gemm: &Gemm, errors: &mut Vec<String>) {
    let Gemm { m, n, k, stack, terms, .. } = *gemm;
    require(errors, m * n * k * stack * terms.count > 0, || "a product of nothing".into());
    let (a, b, c) = (&gemm.a, &gemm.b, &gemm.c);
    let [panels, columns] = gemm.columns();
    for (matrix, rows, [outer, inner], term) in
        [(a, m, [(1, 0), (k, a.col)], terms.a), (b, k, [panels, columns], terms.b), (c, m, [(1, 0), (n, c.col)], 0)]
    {
        let sizes = [stack, terms.count, rows, outer.0, inner.0];
        let reached = reach(&sizes, &[matrix.stack, term, matrix.row, outer.1, inner.1]);
        check_inside(module, matrix.place, reached, DType::F32, errors);
    }
    require(errors, !gemm.in_panels || gemm.cut != Cut::Cols, || "panels are cut".into());
    require(errors, distinct(&[stack, m, n], &[c.stack, c.row, c.col]), || "the product has an element twice".into());
    for factor in [a, b] {
        let clash = overlap(&bytes(module, factor.place.buffer), &bytes(module, c.place.buffer));
        require(errors, !clash, || "a product overlaps with its factor".into());
    }
}

/// Whether, between the calls of a step, what one slice writes no other slice touches.
pub fn slices_are_apart(module: &Module, step: &Step) -> bool {
    let clash = |call: usize, i: usize, other: usize, j: usize| {
        let (a, b) = (touched(module, step, call, i), touched(module, step, other, j));
        let clash = |a: &Touched, b: &Touched| {
            a.buffer == b.buffer && (a.written || b.written) && overlap(&a.elements, &b.elements)
        };
        a.iter().any(|a| b.iter().any(|b| clash(a, b)))
    };
    let pairs = || (0..step.slices).flat_map(|i| (0..step.slices).map(move |j| (i, j))).filter(|(i, j)| i != j);
    (0..step.calls.len()).all(|call| (0..call).all(|other| pairs().all(|(i, j)| !clash(call, i, other, j))))
}

/// Elements of a buffer that all that a slice of a call touches lies between.
struct Touched {
    buffer: BufferId,
    elements: Range<usize>,
    written: bool,
}

fn touched(module: &Module, step: &Step, call: usize, slice: usize) -> Vec<Touched> {
    let range = step.positions(module, call, slice);
    if range.is_empty() {
        return vec![];
    }
    let span = |place: Place, sizes: &[usize], strides: &[usize], cut: Option<usize>, written: bool| {
        let mut sizes = sizes.to_vec();
        let mut first = place.start;
        if let Some(cut) = cut {
            sizes[cut] = range.len();
            first += range.start * strides[cut];
        }
        Touched { buffer: place.buffer, elements: first..first + reach(&sizes, strides) + 1, written }
    };
    match &step.calls[call] {
        Call::Run(run) => {
            let kernel = module.kernel(run.kernel);
            let cut = (!kernel.rows.is_empty()).then_some(0);
            let of_phase = |phase: &Phase| {
                let sizes = [&kernel.rows[..], &phase.inner].concat();
                let span = |(param, strides): (ParamId, &[usize])| {
                    let index = param.0 as usize;
                    span(run.args[index], &sizes, strides, cut, kernel.is_stored(index))
                };
                accesses(phase).into_iter().map(span).collect::<Vec<_>>()
            };
            kernel.phases.iter().flat_map(of_phase).collect()
        }
        Call::Gemm(gemm @ Gemm { m, n, k, stack, terms, a, b, c, cut, .. }) => {
            let span = |matrix: &Matrix, rows: usize, columns: [(usize, usize); 2], term: (usize, usize)| {
                let [outer, inner] = columns;
                let sizes = [*stack, rows, outer.0, inner.0, term.0];
                let strides = [matrix.stack, matrix.row, outer.1, inner.1, term.1];
                let is = |other: &Matrix| std::ptr::eq(matrix, other);
                let cut = match cut {
                    Cut::Stack => Some(0),
                    Cut::Rows => (!is(b)).then_some(1),
                    Cut::Cols => (!is(a)).then_some(3),
                };
                span(matrix.place, &sizes, &strides, cut, is(c))
            };
            vec![
                span(a, *m, [(1, 0), (*k, a.col)], (terms.count, terms.a)),
                span(b, *k, gemm.columns(), (terms.count, terms.b)),
                span(c, *m, [(1, 0), (*n, c.col)], (1, 0)),
            ]
        }
        Call::Routine(routine) => {
            let Routine { task, from, to, work, .. } = routine;
            let operands = from.iter().zip(task.operands()).map(|(place, (len, _))| (*place, len));
            let all = operands.chain([(*to, task.result().0)]).chain(work.map(|work| (work, task.work_len())));
            let (read, written) = (routine.read(), routine.written());
            let touched = all.filter(|(place, _)| read.contains(place) || written.contains(place));
            touched.map(|(place, len)| span(place, &[len], &[1], None, written.contains(&place))).collect()
        }
        Call::Quantile(q) => {
            let all = [(q.from, q.len, false), (q.share, 1, false), (q.to, 1, true), (q.work, q.len, true)];
            all.map(|(place, len, written)| span(place, &[len], &[1], None, written)).into()
        }
    }
}

fn check_kernel(kernel: &Kernel, errors: &mut Vec<String>) {
    let starts = kernel.phase_starts();
    for (number, (phase, start)) in kernel.phases.iter().zip(&starts).enumerate() {
        let context = Context { kernel, phase, number, start: *start };
        let sizes = [&kernel.rows[..], &phase.inner].concat();
        require(errors, sizes.iter().all(|size| *size > 0), || format!("phase {number} has no points"));
        for (index, def) in phase.defs.iter().enumerate() {
            if let Err(error) = context.check_def(def, index) {
                errors.push(format!("%{}: {error}", *start as usize + index));
            }
        }
        for store in &phase.stores {
            let dtype = kernel.params.get(store.param.0 as usize).map(|param| param.dtype);
            let value = context.dtype(store.value, phase.defs.len());
            require(errors, store.strides.len() == sizes.len(), || format!("store {}: strides", store.param));
            require(errors, value.is_ok() && value.ok() == dtype, || format!("store {}: type", store.param));
        }
        if errors.is_empty() {
            check_stored(kernel, phase, &sizes, errors);
        }
    }
}

/// Params that are stored to are reached in one way only.
fn check_stored(kernel: &Kernel, phase: &Phase, sizes: &[usize], errors: &mut Vec<String>) {
    let n_rows = kernel.rows.len();
    for store in &phase.stores {
        require(errors, distinct(sizes, &store.strides), || format!("{} has an element twice", store.param));
    }
    for (param, strides) in accesses(phase).into_iter().filter(|(param, _)| kernel.is_stored(param.0 as usize)) {
        let here = phase.stores.iter().filter(|store| store.param == param);
        require(errors, here.into_iter().all(|s| s.strides == strides), || format!("{param} is reached in two ways"));
        let all = kernel.phases.iter().flat_map(|phase| &phase.stores).filter(|store| store.param == param);
        let mut rows = all.map(|store| &store.strides[..n_rows]);
        require(errors, rows.all(|rows| *rows == strides[..n_rows]), || format!("{param} is reached along other rows"));
    }
}

/// A phase, and what its values may refer to.
struct Context<'a> {
    kernel: &'a Kernel,
    phase: &'a Phase,
    number: usize,
    start: u32,
}

impl Context<'_> {
    /// The type of an operand of the definition `index`, if it is visible there.
    fn dtype(&self, value: Value, index: usize) -> Result<DType, String> {
        if value.0 >= self.start + index as u32 {
            return Err(format!("{value} comes later"));
        }
        let (def, phase) = self.kernel.def(value);
        let fold = matches!(def.inst, Inst::Fold(..));
        match phase == self.number {
            true if fold => Err(format!("{value} is known after the phase only")),
            false if !fold && !self.kernel.phases[phase].inner.is_empty() => {
                Err(format!("{value} varies within the row"))
            }
            _ => Ok(def.dtype),
        }
    }

    fn check_def(&self, def: &Def, index: usize) -> Result<(), String> {
        let n_loops = self.kernel.rows.len() + self.phase.inner.len();
        let operands: Result<Vec<DType>, String> =
            def.inst.operands().into_iter().map(|value| self.dtype(value, index)).collect();
        let types = operands?;
        let holds = match &def.inst {
            Inst::Load(param, strides) => {
                let dtype = self.kernel.params.get(param.0 as usize).map(|param| param.dtype);
                strides.len() == n_loops && dtype == Some(def.dtype)
            }
            Inst::Const(_) | Inst::Convert(_) => true,
            Inst::Index(dim) => *dim < n_loops && def.dtype == DType::I32,
            Inst::Unary(unary, _) => unary_fits(*unary, types[0], def.dtype),
            Inst::Binary(binary, ..) => types[0] == types[1] && binary_fits(*binary, types[0], def.dtype),
            Inst::Select(..) => types == [DType::Bool, def.dtype, def.dtype],
            Inst::Uniform { strides, .. } => strides.len() == n_loops && types == [DType::I32, DType::I32],
            Inst::Fold(..) => types[0] == def.dtype && !self.phase.inner.is_empty() && def.dtype != DType::Bool,
        };
        if holds { Ok(()) } else { Err("has the wrong type or strides".into()) }
    }
}

fn unary_fits(unary: Unary, operand: DType, result: DType) -> bool {
    let expected = match unary {
        Unary::Not => operand == DType::Bool,
        Unary::Neg | Unary::Abs | Unary::Sign => operand != DType::Bool,
        Unary::Sqrt | Unary::Exp | Unary::Log | Unary::Erf | Unary::ErfInv | Unary::Tanh => operand == DType::F32,
        Unary::Sigmoid | Unary::Sin | Unary::Cos | Unary::Floor | Unary::Ceil => operand == DType::F32,
    };
    expected && operand == result
}

fn binary_fits(binary: Binary, operand: DType, result: DType) -> bool {
    if matches!(binary, Binary::And | Binary::Or) {
        operand == DType::Bool && result == DType::Bool
    } else if binary.is_predicate() {
        result == DType::Bool
    } else {
        operand == result && operand != DType::Bool
    }
}
