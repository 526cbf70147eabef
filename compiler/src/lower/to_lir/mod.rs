//! TIR → LIR: loop nests, calls and memory for a planned function.
//!
//! `pass::fuse` says what is computed together; here each group becomes a kernel ([`nest`]) or a call, cut into slices
//! ([`slices`]), over buffers that share the arena ([`arena`]).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::lir::{self, BufferId, Call, Gemm, Matrix, Place, Quantile, Role, Routine, Run, Step, Task};
use crate::pass::fuse::{self, Cluster, Kind, Phase, Plan, Product, product};
use crate::tir::{self, Value};

mod arena;
mod beside;
mod collapse;
mod join;
mod label;
mod nest;
pub mod once;
mod panels;
mod reuse;
mod slices;
mod task;

use panels::Panels;

#[cfg(test)]
mod tests;

/// Lowers functions without derivatives into one program. The `lasting` tensors are shared by all functions: an input
/// with such a name reads it and a result with such a name updates it in place.
///
/// # Panics
///
/// If a derivative is left; in debug builds, if what comes out breaks an invariant of the IR.
pub fn lower(funcs: &[tir::Func], lasting: &[(Arc<str>, tir::Type)]) -> lir::Module {
    finish(schedule(funcs, lasting, false))
}

/// Lowers a function that is called often with the same `lasting` tensors, none of which it updates. What depends on them alone is
/// in a function of its own, [`once::name`], to be called before the other one whenever they have changed; there is none where nothing does.
///
/// # Panics
///
/// As [`lower`].
pub fn lower_given(func: &tir::Func, lasting: &[(Arc<str>, tir::Type)]) -> lir::Module {
    let mut module = schedule(std::slice::from_ref(func), lasting, true);
    once::split(&mut module);
    finish(module)
}

/// The functions, a call in each step, without places for buffers. `are_given` says that none updates a lasting tensor.
fn schedule(funcs: &[tir::Func], lasting: &[(Arc<str>, tir::Type)], are_given: bool) -> lir::Module {
    let (module, known, inputs) = (lir::Module::default(), HashMap::new(), HashMap::new());
    let mut program = Program { module, known, inputs, are_given };
    for (name, ty) in lasting {
        let _ = program.buffer(name, Role::Lasting, ty);
    }
    let names: BTreeSet<&str> = lasting.iter().map(|(name, _)| &**name).collect();
    for func in funcs {
        let lowered = FuncLowering::new(&mut program, fuse::plan(func, &names)).lower();
        program.module.funcs.push(lowered);
    }
    program.module
}

/// Joins steps and plans the memory.
fn finish(mut module: lir::Module) -> lir::Module {
    for index in 0..module.funcs.len() {
        let steps = std::mem::take(&mut module.funcs[index].steps);
        let joined = join::run(&module, steps);
        module.funcs[index].steps = beside::run(&module, joined);
    }
    arena::plan(&mut module);
    if cfg!(debug_assertions)
        && let Err(errors) = lir::verify(&module)
    {
        panic!("lowering broke the IR: {errors:?}\n{}", lir::print(&module));
    }
    module
}

/// The element type in memory.
fn dtype(dtype: tir::DType) -> lir::DType {
    match dtype {
        tir::DType::F32 => lir::DType::F32,
        tir::DType::I32 => lir::DType::I32,
        tir::DType::Bool => lir::DType::Bool,
    }
}

/// What all functions share.
struct Program {
    module: lir::Module,
    /// Kernels by their text, to find equal ones.
    known: HashMap<String, lir::KernelId>,
    /// Inputs that are not lasting tensors: functions that take the same one share it.
    inputs: HashMap<(Arc<str>, tir::Type), BufferId>,
    /// Whether lasting tensors stay as they are.
    are_given: bool,
}

impl Program {
    fn buffer(&mut self, name: &str, role: Role, ty: &tir::Type) -> BufferId {
        let buffer = lir::Buffer { name: name.into(), role, dtype: dtype(ty.dtype), len: ty.len().max(1), offset: 0 };
        self.module.buffers.push(buffer);
        BufferId(self.module.buffers.len() as u32 - 1)
    }

    fn input(&mut self, name: &Arc<str>, ty: &tir::Type) -> BufferId {
        let key = (Arc::clone(name), ty.clone());
        if let Some(known) = self.inputs.get(&key) {
            return *known;
        }
        let buffer = self.buffer(name, Role::Input, ty);
        let _ = self.inputs.insert(key, buffer);
        buffer
    }

    /// Whether a buffer holds the same numbers in every call.
    fn is_given(&self, id: BufferId) -> bool {
        self.are_given && self.module.buffer(id).role == Role::Lasting
    }

    fn kernel(&mut self, kernel: lir::Kernel) -> lir::KernelId {
        let next = lir::KernelId(self.module.kernels.len() as u32);
        let id = *self.known.entry(lir::print::kernel(&kernel)).or_insert(next);
        if id == next {
            self.module.kernels.push(kernel);
        }
        id
    }
}

/// The lowering of one function.
struct FuncLowering<'a> {
    program: &'a mut Program,
    plan: Plan,
    inputs: Vec<BufferId>,
    outputs: Vec<BufferId>,
    /// The buffer of each input value.
    params: HashMap<Value, BufferId>,
    /// Where each node's value is in memory, and where else it is stored.
    homes: Vec<Vec<Place>>,
    /// What is copied at the end: from, to.
    copies: Vec<(Place, Place)>,
    /// Where given factors of products are in panels.
    panels: HashMap<Panels, BufferId>,
    steps: Vec<Step>,
}

impl<'a> FuncLowering<'a> {
    fn new(program: &'a mut Program, plan: Plan) -> FuncLowering<'a> {
        let homes = vec![vec![]; plan.nodes.len()];
        let (inputs, outputs, params) = (vec![], vec![], HashMap::new());
        let (copies, panels, steps) = (vec![], HashMap::new(), vec![]);
        FuncLowering { program, plan, inputs, outputs, params, homes, copies, panels, steps }
    }

    fn lower(mut self) -> lir::Func {
        self.place_inputs();
        self.place_nodes();
        for (cluster, phases) in std::mem::take(&mut self.plan.clusters) {
            let label = label::of(&self.plan, &cluster, &|name| self.program.module.lasting(name).is_some());
            for call in self.calls(&cluster, &phases) {
                self.push(call, label.clone());
            }
        }
        for (from, to) in std::mem::take(&mut self.copies) {
            let label = self.program.module.buffer(to.buffer).name.clone();
            let call = self.copy(from, to);
            self.push(call, label);
        }
        let name = std::mem::take(&mut self.plan.func.name);
        lir::Func { name, inputs: self.inputs, outputs: self.outputs, steps: self.steps }
    }

    fn push(&mut self, call: Call, label: Arc<str>) {
        let (extent, chunk) = call.cut(&self.program.module);
        self.steps.push(Step::alone(call, extent.div_ceil(chunk), label));
    }

    fn place_inputs(&mut self) {
        let func = &self.plan.func;
        let params: Vec<_> = func.params().map(|(name, value, ty)| (name.clone(), value, ty.clone())).collect();
        for (name, value, ty) in params {
            let buffer = self.program.module.lasting(&name).unwrap_or_else(|| {
                self.inputs.push(self.program.input(&name, &ty));
                self.inputs[self.inputs.len() - 1]
            });
            let _ = self.params.insert(value, buffer);
        }
    }

    /// Gives every node that must be in memory its buffers.
    fn place_nodes(&mut self) {
        let results: Vec<(Arc<str>, tir::Type)> = self
            .plan
            .func
            .results
            .iter()
            .map(|(name, value)| (name.clone(), self.plan.func.ty(*value).clone()))
            .collect();
        let needed = needed(&self.plan);
        let reused = reuse::of(&self.plan, &needed);
        let mut buffers = vec![];
        for (name, ty) in results {
            let lasting = self.program.module.lasting(&name);
            let buffer = lasting.unwrap_or_else(|| {
                self.outputs.push(self.program.buffer(&name, Role::Output, &ty));
                self.outputs[self.outputs.len() - 1]
            });
            buffers.push(Place { buffer, start: 0 });
        }
        for (index, node) in self.plan.nodes.iter().enumerate().filter(|(_, node)| node.part.is_none()) {
            let mut homes: Vec<Place> = node.results.iter().map(|result| buffers[*result]).collect();
            if homes.is_empty() && needed[index] && !reused.contains_key(&index) {
                let ty = self.plan.func.ty(node.value);
                let buffer = self.program.buffer(&node.value.to_string(), Role::Scratch, ty);
                homes.push(Place { buffer, start: 0 });
            }
            let extra = if node.is_nest() { vec![] } else { homes.split_off(1) };
            let late = node.late.iter().map(|result| buffers[*result]);
            self.copies.extend(extra.into_iter().chain(late).map(|to| (homes[0], to)));
            self.homes[index] = homes;
        }
        for index in reused.keys() {
            let mut root = index;
            while let Some(old) = reused.get(root) {
                root = old;
            }
            self.homes[*index] = self.homes[*root].clone();
        }
        self.place_parts();
    }

    /// Parts are where the value is that they are of.
    fn place_parts(&mut self) {
        for (index, node) in self.plan.nodes.iter().enumerate() {
            if let Some(part) = &node.part {
                let whole = self.plan.node_of[part.whole.0 as usize].expect("what is put together is a node");
                self.homes[index] = vec![Place { start: part.start, ..self.homes[whole][0] }];
            }
        }
    }

    /// Where an input or a node's value is.
    fn place(&self, value: Value) -> Place {
        let node = || self.plan.node_of[value.0 as usize].and_then(|node| self.homes[node].first());
        let param = self.params.get(&value).map(|buffer| Place { buffer: *buffer, start: 0 });
        param.or_else(|| node().copied()).expect("what is read has a place")
    }

    /// Where the elements of a value are that lie in memory one behind the other.
    fn run_of(&self, value: Value) -> Place {
        let (base, start) = product::run(&self.plan.func, value);
        let place = self.place(base);
        Place { start: place.start + start, ..place }
    }

    fn calls(&mut self, cluster: &Cluster, phases: &[Phase]) -> Vec<Call> {
        let node = &self.plan.nodes[cluster.members[0]];
        match &node.kind {
            Kind::Join => vec![],
            Kind::Product(product) => {
                let gemm = self.gemm(product);
                self.product(gemm)
            }
            Kind::Quantile => vec![Call::Quantile(self.quantile(node.value))],
            Kind::Routine => self.routines(node.value),
            Kind::Map | Kind::Copy | Kind::Fold(_) | Kind::Dot => {
                let memory = nest::Memory { params: &self.params, homes: &self.homes };
                let (kernel, args) = nest::build(&self.plan, cluster, phases, &memory);
                vec![self.run(kernel, args)]
            }
        }
    }

    fn run(&mut self, kernel: lir::Kernel, args: Vec<Place>) -> Call {
        let chunk = slices::of_kernel(&kernel);
        Call::Run(Run { kernel: self.program.kernel(kernel), args, chunk })
    }

    /// A product, and before the first one that reads a given factor in panels what copies it there.
    fn product(&mut self, gemm: Gemm) -> Vec<Call> {
        let Some(panels) = Panels::of(&gemm).filter(|_| self.program.is_given(gemm.b.place.buffer)) else {
            return vec![Call::Gemm(gemm)];
        };
        let mut calls = vec![];
        let known = self.panels.get(&panels).copied();
        let buffer = known.unwrap_or_else(|| {
            let name = format!("{}.panels", self.program.module.buffer(gemm.b.place.buffer).name);
            let buffer = self.program.buffer(&name, Role::Scratch, &tir::Type::f32([panels.len()]));
            calls.extend(panels.copies(buffer).into_iter().map(|(kernel, args)| self.run(kernel, args)));
            buffer
        });
        let _ = self.panels.insert(panels, buffer);
        calls.push(Call::Gemm(panels.read(&gemm, buffer)));
        calls
    }

    fn gemm(&self, product: &Product) -> Gemm {
        let matrix = |m: &product::Matrix| {
            let place = self.place(m.base);
            let place = Place { start: place.start + m.start, ..place };
            Matrix { place, row: m.row, col: m.col, stack: m.stack }
        };
        let (cut, chunk) = slices::of_product(product);
        let Product { m, n, k, stack, terms, .. } = *product;
        let [a, b, c] = [&product.a, &product.b, &product.c].map(matrix);
        Gemm { m, n, k, stack, terms, a, b, in_panels: false, c, cut, chunk }
    }

    fn quantile(&mut self, value: Value) -> Quantile {
        let tir::Op::Quantile(from, share) = self.plan.func.def(value).op else {
            panic!("a quantile node is a quantile")
        };
        let ty = self.plan.func.ty(from).clone();
        let work = self.room(value, ty.len());
        let [from, share, to] = [from, share, value].map(|v| self.run_of(v));
        Quantile { from, len: ty.len(), share, to, work }
    }

    /// Room for so many numbers while a value is computed.
    fn room(&mut self, value: Value, len: usize) -> Place {
        let buffer = self.program.buffer(&format!("{value}.work"), Role::Scratch, &tir::Type::f32([len]));
        Place { buffer, start: 0 }
    }

    fn routines(&mut self, value: Value) -> Vec<Call> {
        let tasks = task::all(&self.plan.func, value);
        let operands = product::routine_operands(&self.plan.func, value);
        let from = operands.into_iter().map(|operand| self.run_of(operand)).collect();
        let room = tasks.iter().map(Task::work_len).max().filter(|len| *len > 0);
        let work = room.map(|len| self.room(value, len));
        let to = self.place(value);
        let base = |task| Routine { chunk: slices::of_task(&task), task, from: Vec::clone(&from), to, work };
        tasks.into_iter().map(|task| Call::Routine(base(task))).collect()
    }

    fn copy(&mut self, from: Place, to: Place) -> Call {
        let lir::Buffer { dtype, len, .. } = *self.program.module.buffer(from.buffer);
        self.run(nest::copy(dtype, [len], [[1], [1]]), vec![from, to])
    }
}

/// For each node whether it must be in memory: somebody reads it who does not stand beside it.
fn needed(plan: &Plan) -> Vec<bool> {
    let mut needed: Vec<bool> = plan.nodes.iter().map(|node| !node.late.is_empty() || !node.is_nest()).collect();
    for (cluster, phases) in &plan.clusters {
        let phase_of = |node: usize| phases.iter().position(|phase| phase.members.contains(&node));
        for reader in &cluster.members {
            for read in &plan.nodes[*reader].reads {
                let Some(node) = plan.node_of[read.base.0 as usize] else { continue };
                let kept = match phase_of(node) {
                    Some(phase) => {
                        let varies = !phases[phase].inner.is_empty() && !plan.nodes[node].folds();
                        varies && phase_of(*reader) != Some(phase)
                    }
                    None => true,
                };
                needed[node] |= kept;
            }
        }
    }
    needed
}
