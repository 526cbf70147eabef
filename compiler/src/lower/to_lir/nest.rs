//! A cluster as a kernel: the order of its loops, what is vectorised, and the instructions of its phases.

use std::collections::{BTreeSet, HashMap};

use super::{collapse, dtype};
use crate::lir::{self, BufferId, Def, Fold, Inst, Kernel, Lanes, Param, ParamId, Place, Store};
use crate::pass::fuse::{Cluster, Index, Kind, Map, Node, Phase, Plan, Term, index, product::base};
use crate::scalar::Binary;
use crate::tir::{self, Op, Value};

/// Where values are in memory.
pub struct Memory<'a> {
    /// The buffer of each input.
    pub params: &'a HashMap<Value, BufferId>,
    /// The places that each node is stored to; readers use the first.
    pub homes: &'a [Vec<Place>],
}

/// The kernel of a cluster, and where its params point.
pub fn build(plan: &Plan, cluster: &Cluster, phases: &[Phase], memory: &Memory<'_>) -> (Kernel, Vec<Place>) {
    let loops = Loops::new(plan, cluster);
    let rows = loops.pick(&cluster.rows);
    let kernel = Kernel { params: vec![], rows: loops.sizes(&rows), lanes: Lanes::Rows, phases: vec![] };
    let mut nest =
        Nest { plan, cluster, memory, kernel, args: vec![], known: HashMap::new(), n_values: 0, unstored: vec![] };
    for phase in phases {
        let order = [rows.clone(), loops.pick(&phase.inner)].concat();
        PhaseNest::new(&mut nest, loops.sizes(&order), order).emit(&phase.members);
    }
    nest.store_rows();
    let Nest { mut kernel, args, .. } = nest;
    collapse::run(&mut kernel);
    kernel.lanes = lanes(&kernel);
    (kernel, args)
}

/// A kernel that copies a box of elements, from some strides to others.
pub fn copy<const N: usize>(dtype: lir::DType, sizes: [usize; N], [from, to]: [[usize; N]; 2]) -> Kernel {
    let def = Def { inst: Inst::Load(ParamId(0), from.into()), dtype };
    let store = Store { param: ParamId(1), strides: to.into(), value: lir::Value(0) };
    let phase = lir::Phase { inner: vec![], defs: vec![def], stores: vec![store] };
    Kernel { params: vec![Param { dtype }; 2], rows: sizes.into(), lanes: Lanes::Rows, phases: vec![phase] }
}

/// The axes of a cluster in the order in which they are looped over.
struct Loops<'a> {
    dims: &'a [usize],
    /// All axes, outermost first.
    order: Vec<usize>,
}

impl Loops<'_> {
    /// Large steps outside, so that memory is walked through in order; what touches most memory decides.
    fn new<'a>(plan: &Plan, cluster: &'a Cluster) -> Loops<'a> {
        let mut accesses = accesses(plan, cluster);
        let touched = |steps: &[usize]| -> usize {
            steps.iter().zip(&cluster.dims).filter(|(step, _)| **step > 0).map(|(_, size)| size).product()
        };
        accesses.sort_by_key(|steps| std::cmp::Reverse(touched(steps)));
        let mut order: Vec<usize> = vec![];
        for dim in 0..cluster.dims.len() {
            let inside = |other: &usize| {
                let both = accesses.iter().find(|steps| steps[dim] > 0 && steps[*other] > 0);
                both.is_some_and(|steps| steps[*other] < steps[dim])
            };
            let place = order.iter().position(inside).unwrap_or(order.len());
            order.insert(place, dim);
        }
        Loops { dims: &cluster.dims, order }
    }

    fn pick(&self, dims: &BTreeSet<usize>) -> Vec<usize> {
        self.order.iter().copied().filter(|dim| dims.contains(dim)).collect()
    }

    fn sizes(&self, dims: &[usize]) -> Vec<usize> {
        dims.iter().map(|dim| self.dims[*dim]).collect()
    }
}

/// How far each axis of the cluster steps, for all that members read and write.
fn accesses(plan: &Plan, cluster: &Cluster) -> Vec<Vec<usize>> {
    let spread = |axes: &[usize], strides: &[usize]| {
        let mut steps = vec![0; cluster.dims.len()];
        axes.iter().zip(strides).for_each(|(axis, stride)| steps[*axis] = *stride);
        steps
    };
    let mut all = vec![];
    for (node, axes) in cluster.iter() {
        let node = &plan.nodes[node];
        all.push(spread(axes, &node.own_strides()));
        all.extend(node.reads.iter().map(|read| spread(axes, &read.strides)));
    }
    all
}

/// Which dimension to vectorise: the one along which fewer accesses are scattered.
fn lanes(kernel: &Kernel) -> Lanes {
    let longest = kernel.phases.iter().filter_map(|phase| phase.inner.last()).max();
    let (Some(inner), Some(row)) = (longest, kernel.rows.last()) else {
        return if kernel.rows.is_empty() { Lanes::Inner } else { Lanes::Rows };
    };
    let rows = scattered(kernel, |_| Some(kernel.rows.len() - 1));
    let inners = scattered(kernel, |phase| (kernel.rows.len() + phase.inner.len()).checked_sub(1));
    let short = |size: usize| size < 4;
    match inners.cmp(&rows) {
        _ if short(*inner) && !short(*row) => Lanes::Rows,
        _ if short(*row) && !short(*inner) => Lanes::Inner,
        std::cmp::Ordering::Greater => Lanes::Rows,
        std::cmp::Ordering::Less | std::cmp::Ordering::Equal => Lanes::Inner,
    }
}

/// How many accesses of inner phases are neither to neighbours nor to one element along the dimension that `along` picks.
fn scattered(kernel: &Kernel, along: impl Fn(&lir::Phase) -> Option<usize>) -> usize {
    let mut count = 0;
    for phase in kernel.phases.iter().filter(|phase| !phase.inner.is_empty()) {
        let far = |strides: &[usize]| along(phase).is_some_and(|dim| strides[dim] > 1);
        let points: usize = phase.inner.iter().product();
        let loads = phase.defs.iter().filter(|def| matches!(&def.inst, Inst::Load(_, strides) if far(strides)));
        let stores = phase.stores.iter().filter(|store| far(&store.strides));
        count += points * (loads.count() + stores.count());
    }
    count
}

/// A kernel under construction.
struct Nest<'a> {
    plan: &'a Plan,
    cluster: &'a Cluster,
    memory: &'a Memory<'a>,
    kernel: Kernel,
    args: Vec<Place>,
    /// The values of members that later phases may use: those that do not vary within a row.
    known: HashMap<usize, lir::Value>,
    n_values: u32,
    /// Row values that have yet to be stored: the member, its strides along the rows.
    unstored: Vec<(usize, Vec<usize>)>,
}

impl Nest<'_> {
    fn param(&mut self, place: Place, dtype: lir::DType) -> ParamId {
        let found = self.args.iter().position(|arg| *arg == place);
        let index = found.unwrap_or_else(|| {
            self.args.push(place);
            self.kernel.params.push(Param { dtype });
            self.args.len() - 1
        });
        ParamId(index as u32)
    }

    /// Stores what was combined, in a phase without inner loops after all others.
    fn store_rows(&mut self) {
        let mut stores = vec![];
        for (node, strides) in std::mem::take(&mut self.unstored) {
            let value = self.known[&node];
            let dtype = dtype(self.plan.func.ty(self.plan.nodes[node].value).dtype);
            for home in &self.memory.homes[node] {
                stores.push(Store { param: self.param(*home, dtype), strides: strides.clone(), value });
            }
        }
        if !stores.is_empty() {
            match self.kernel.phases.last_mut().filter(|phase| phase.inner.is_empty()) {
                Some(phase) => phase.stores.extend(stores),
                None => self.kernel.phases.push(lir::Phase { inner: vec![], defs: vec![], stores }),
            }
        }
    }
}

/// One phase of a kernel under construction.
struct PhaseNest<'n, 'a> {
    nest: &'n mut Nest<'a>,
    phase: lir::Phase,
    /// The sizes of the loops, rows first.
    loops: Vec<usize>,
    /// Which axis of the cluster each loop is.
    order: Vec<usize>,
    /// What has been computed, at which position.
    done: HashMap<(Value, Map), lir::Value>,
    /// The values of the members of this phase.
    members: HashMap<usize, lir::Value>,
}

impl<'n, 'a> PhaseNest<'n, 'a> {
    fn new(nest: &'n mut Nest<'a>, loops: Vec<usize>, order: Vec<usize>) -> PhaseNest<'n, 'a> {
        let inner = loops[nest.kernel.rows.len()..].to_vec();
        let phase = lir::Phase { inner, defs: vec![], stores: vec![] };
        PhaseNest { nest, phase, loops, order, done: HashMap::new(), members: HashMap::new() }
    }

    fn emit(mut self, members: &[usize]) {
        for member in members {
            self.emit_member(*member);
        }
        self.nest.kernel.phases.push(self.phase);
    }

    fn emit_member(&mut self, member: usize) {
        let plan = self.nest.plan;
        let node = &plan.nodes[member];
        let maps: Vec<Map> = node.maps.iter().map(|map| self.enter(member, map)).collect();
        let value = match &node.kind {
            Kind::Map => self.emit_op(node.value, &maps[0]),
            Kind::Copy => self.emit_value(node.value, &maps[0]),
            Kind::Fold(_) => {
                let operand = plan.func.def(node.value).op.operands()[0];
                self.emit_value(operand, &maps[0])
            }
            Kind::Dot => self.emit_dot(node.value, &maps),
            Kind::Product(_) | Kind::Quantile | Kind::Routine | Kind::Join => {
                panic!("calls are not members of nests")
            }
        };
        self.finish_member(member, node, value);
    }

    /// Folds the value of a member if it is to be, and stores it.
    fn finish_member(&mut self, member: usize, node: &Node, value: lir::Value) {
        let ty = dtype(self.nest.plan.func.ty(node.value).dtype);
        let strides = self.along_loops(member, &node.own_strides());
        if node.folds() {
            let folded = self.push(Inst::Fold(fold(&node.kind), value), ty);
            let _ = self.nest.known.insert(member, folded);
            self.nest.unstored.push((member, strides[..self.nest.kernel.rows.len()].to_vec()));
            return;
        }
        let _ = self.members.insert(member, value);
        if self.phase.inner.is_empty() {
            let _ = self.nest.known.insert(member, value);
        }
        for home in &self.nest.memory.homes[member] {
            let param = self.nest.param(*home, ty);
            self.phase.stores.push(Store { param, strides: strides.clone(), value });
        }
    }

    fn emit_dot(&mut self, value: Value, maps: &[Map]) -> lir::Value {
        let operands = self.nest.plan.func.def(value).op.operands();
        let lhs = self.emit_value(operands[0], &maps[0]);
        let rhs = self.emit_value(operands[1], &maps[1]);
        self.push(Inst::Binary(Binary::Mul, lhs, rhs), lir::DType::F32)
    }

    /// A map over a member's space as one over the loops.
    fn enter(&self, member: usize, map: &Map) -> Map {
        let axes = self.nest.cluster.axes_of(member).expect("a member of the cluster");
        let position = |axis: usize| self.order.iter().position(|dim| *dim == axes[axis]).expect("a loop of the phase");
        let enter = |term: &Term| Term { axis: position(term.axis), scale: term.scale };
        let enter = |index: &Index| Index { start: index.start, terms: index.terms.iter().map(enter).collect() };
        map.iter().map(enter).collect()
    }

    /// Strides over a member's space as strides over the loops.
    fn along_loops(&self, member: usize, strides: &[usize]) -> Vec<usize> {
        let axes = self.nest.cluster.axes_of(member).expect("a member of the cluster");
        let stride = |dim: &usize| axes.iter().position(|axis| axis == dim).map_or(0, |axis| strides[axis]);
        self.order.iter().map(stride).collect()
    }

    /// The element of a value at a position: known, loaded or computed.
    fn emit_value(&mut self, value: Value, map: &Map) -> lir::Value {
        let key = (value, map.clone());
        if let Some(done) = self.done.get(&key) {
            return *done;
        }
        let below = base(&self.nest.plan.func, value);
        let node = self.nest.plan.node_of[below.0 as usize];
        let member = node.and_then(|n| self.members.get(&n).or_else(|| self.nest.known.get(&n)).copied());
        let home = self.nest.memory.params.get(&below).map(|buffer| Place { buffer: *buffer, start: 0 });
        let home = home.or_else(|| self.nest.memory.homes[node?].first().copied());
        let result = match (member, home) {
            (Some(member), _) => member,
            (None, Some(home)) => self.load(home, value, map),
            (None, None) => self.emit_op(value, map),
        };
        let _ = self.done.insert(key, result);
        result
    }

    fn load(&mut self, home: Place, value: Value, map: &Map) -> lir::Value {
        let ty = self.nest.plan.func.ty(value);
        let strides = index::strides(map, &ty.shape, self.loops.len());
        let dtype = dtype(ty.dtype);
        let start = home.start + index::start(map, &ty.shape);
        let param = self.nest.param(Place { start, ..home }, dtype);
        self.push(Inst::Load(param, strides), dtype)
    }

    /// Computes an element from those of the operands.
    fn emit_op(&mut self, value: Value, map: &Map) -> lir::Value {
        let plan = self.nest.plan;
        let def = plan.func.def(value);
        let operands = index::operands(&plan.func, value, map, &self.loops).expect("what is not affine is in memory");
        let v: Vec<lir::Value> = operands.iter().map(|(operand, map)| self.emit_value(*operand, map)).collect();
        let ty = dtype(def.ty.dtype);
        let inst = match &def.op {
            Op::Const(number) => Inst::Const(*number),
            Op::Iota(axis) => return self.emit_position(&map[*axis], ty),
            Op::Unary(unary, _) => Inst::Unary(*unary, v[0]),
            Op::Binary(binary, ..) => Inst::Binary(*binary, v[0], v[1]),
            Op::Select(..) => Inst::Select(v[0], v[1], v[2]),
            Op::Convert(a) if plan.func.ty(*a).dtype == def.ty.dtype => return v[0],
            Op::Convert(_) => Inst::Convert(v[0]),
            Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_) | Op::WithGradient(..) => return v[0],
            Op::Slice { .. } => return v[0],
            Op::Uniform { site, .. } => {
                let strides = index::strides(map, &def.ty.shape, self.loops.len());
                Inst::Uniform { seed: v[0], step: v[1], site: *site, strides }
            }
            Op::Param(_) | Op::Reduce(..) | Op::Contract(..) | Op::Quantile(..) => panic!("{value} is in memory"),
            Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => panic!("{value} is in memory"),
            Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } => {
                panic!("{value} is in memory")
            }
            Op::Concat(..) | Op::Pad { .. } | Op::Sparse { .. } => panic!("{value} is in memory"),
            Op::Grad(..) => panic!("derivatives are taken before code is generated"),
        };
        self.push(inst, ty)
    }

    /// A number and a sum of multiples of loop positions.
    fn emit_position(&mut self, index: &Index, ty: lir::DType) -> lir::Value {
        let start = (index.start > 0).then(|| self.push(Inst::Const(index.start as f64), lir::DType::I32));
        let mut sum = start;
        for term in &index.terms {
            let mut position = self.push(Inst::Index(term.axis), lir::DType::I32);
            if term.scale > 1 {
                let scale = self.push(Inst::Const(term.scale as f64), lir::DType::I32);
                position = self.push(Inst::Binary(Binary::Mul, position, scale), lir::DType::I32);
            }
            let add = |nest: &mut Self, sum| nest.push(Inst::Binary(Binary::Add, sum, position), lir::DType::I32);
            sum = Some(sum.map_or(position, |sum| add(self, sum)));
        }
        let position = sum.unwrap_or_else(|| self.push(Inst::Const(0.0), lir::DType::I32));
        match ty {
            lir::DType::I32 => position,
            lir::DType::F32 | lir::DType::Bool => self.push(Inst::Convert(position), ty),
        }
    }

    fn push(&mut self, inst: Inst, dtype: lir::DType) -> lir::Value {
        self.phase.defs.push(Def { inst, dtype });
        self.nest.n_values += 1;
        lir::Value(self.nest.n_values - 1)
    }
}

/// How a member combines.
fn fold(kind: &Kind) -> Fold {
    match kind {
        Kind::Fold(tir::Reduction::Max) => Fold::Max,
        Kind::Fold(tir::Reduction::Min) => Fold::Min,
        Kind::Fold(tir::Reduction::Sum) | Kind::Dot => Fold::Sum,
        Kind::Map | Kind::Copy | Kind::Product(_) | Kind::Quantile | Kind::Routine | Kind::Join => {
            panic!("only reductions combine")
        }
    }
}
