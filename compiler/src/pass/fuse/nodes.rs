//! Which values get computed into memory, and what each of them reads.
//!
//! Reductions, contractions and results are [`Node`]s. An elementwise value is computed wherever it is used,
//! as often as it is used, unless that would repeat expensive work: then it is a node too. Views never are, but where nothing
//! else can give their elements.

use std::collections::{BTreeMap, HashSet};

use super::index::{self, Map};
use super::parts::Part;
use super::product::{self, Product, base};
use super::turned;
use crate::scalar::{Binary, Unary};
use crate::tir::{Func, Op, Reduction, Type, Value};

/// Elementwise work that is worth a buffer rather than a repetition, in additions.
pub const EXPENSIVE: u32 = 16;

/// The same for work whose results are then repeated along new axes, so that the buffer is small: a division is enough.
const EXPENSIVE_TO_REPEAT: u32 = 4;

/// Matrices with shorter sides are transposed by loops, which can be fused.
const TURNED: usize = 16;

/// So are tensors of fewer numbers, if something stays in the middle.
const TURNED_NUMBERS: usize = 1024;

/// How a node is computed.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// The elementwise value or view, at each point of the space.
    Map,
    /// A copy of the input, for a result of another name.
    Copy,
    /// A reduction over the axes of the space that are not kept.
    Fold(Reduction),
    /// A contraction as loops: products, summed over the axes that are not kept.
    Dot,
    /// A matrix product, by the runtime.
    Product(Product),
    /// A quantile, by the runtime.
    Quantile,
    /// A convolution, a walk of a window, rows picked by number, …, by the runtime.
    Routine,
    /// Nothing is left to do: its parts have been computed where they belong.
    Join,
}

/// Elements of an input or of another node that a node reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// An [`Op::Param`] or the value of a node.
    pub base: Value,
    /// The element that the start of the reader's space reads.
    pub start: usize,
    /// For each axis of the reader's space, how many elements one position moves.
    pub strides: Vec<usize>,
}

/// A value that is computed into memory, or would be if all its readers were not beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Which one.
    pub value: Value,
    /// How.
    pub kind: Kind,
    /// The box it is computed over, without axes of size 1: those of its result, then those it combines.
    pub space: Vec<usize>,
    /// How many axes of the space the result has.
    pub kept: usize,
    /// Where the elements are that it combines: the operand of a fold, both of a dot product; else its own.
    pub maps: Vec<Map>,
    /// All that is read from memory.
    pub reads: Vec<Read>,
    /// The results (indices into [`Func::results`]) that it writes directly.
    pub results: Vec<usize>,
    /// The results that must wait until the end, because their old values are still needed.
    pub late: Vec<usize>,
    /// The box of another value that it is computed into; strides are those of its space.
    pub part: Option<Part>,
}

impl Node {
    /// Whether it is computed by a loop nest.
    pub fn is_nest(&self) -> bool {
        match self.kind {
            Kind::Map | Kind::Copy | Kind::Fold(_) | Kind::Dot => true,
            Kind::Product(_) | Kind::Quantile | Kind::Routine | Kind::Join => false,
        }
    }

    /// Whether it combines several points into one.
    pub fn folds(&self) -> bool {
        self.kept < self.space.len()
    }

    /// The number of points of its space.
    pub fn points(&self) -> usize {
        self.space.iter().product()
    }

    /// How far one position along each axis of its space moves in its result, or in what it is a part of.
    pub fn own_strides(&self) -> Vec<usize> {
        if let Some(part) = &self.part {
            return part.strides.clone();
        }
        let mut strides = index::contiguous(&self.space[..self.kept]);
        strides.resize(self.space.len(), 0);
        strides
    }
}

/// The nodes of a function in program order, and for each value its node.
pub fn choose(func: &Func, parts: BTreeMap<Value, Part>) -> (Vec<Node>, Vec<Option<usize>>) {
    let mut choice = Choice::new(func, parts);
    choice.mark_required();
    choice.mark_turned();
    let costs = choice.mark_repeated();
    choice.mark_shared(&costs);
    loop {
        match choice.build() {
            Ok(nodes) => return (nodes, choice.node_of),
            Err(value) => choice.mark(value),
        }
    }
}

/// What elementwise work on one element costs, in additions; views and what is in memory are free.
fn own_cost(op: &Op) -> u32 {
    match op {
        Op::Unary(unary, _) => unary_cost(*unary),
        Op::Binary(Binary::Div, ..) => 4,
        Op::Binary(Binary::Pow, ..) | Op::Uniform { .. } => 30,
        Op::Binary(..) | Op::Select(..) | Op::Convert(_) => 1,
        Op::Param(_) | Op::Const(_) | Op::Iota(_) => 0,
        Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_) | Op::WithGradient(..) => 0,
        Op::Slice { .. } | Op::Reduce(..) | Op::Contract(..) | Op::Quantile(..) => 0,
        Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } | Op::Concat(..) | Op::Pad { .. } => 0,
        Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } | Op::Sparse { .. } => 0,
        Op::Grad(..) => panic!("derivatives are taken before code is generated"),
    }
}

/// Whether a routine of the runtime computes it.
fn is_routine(op: &Op) -> bool {
    match op {
        Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => true,
        Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } | Op::Sparse { .. } => true,
        Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Unary(..) | Op::Binary(..) | Op::Select(..) => false,
        Op::Convert(_) | Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_) | Op::Slice { .. } => false,
        Op::Reduce(..) | Op::Contract(..) | Op::Uniform { .. } | Op::Quantile(..) => false,
        Op::WithGradient(..) | Op::Concat(..) | Op::Pad { .. } | Op::Grad(..) => false,
    }
}

fn unary_cost(unary: Unary) -> u32 {
    match unary {
        Unary::Neg | Unary::Not | Unary::Abs | Unary::Sign | Unary::Floor | Unary::Ceil => 1,
        Unary::Sqrt => 4,
        Unary::Exp | Unary::Log | Unary::Erf | Unary::ErfInv => 20,
        Unary::Tanh | Unary::Sigmoid | Unary::Sin | Unary::Cos => 20,
    }
}

/// Whether the value is computed element by element from its operands.
fn is_elementwise(op: &Op) -> bool {
    matches!(op, Op::Unary(..) | Op::Binary(..) | Op::Select(..) | Op::Convert(_) | Op::Uniform { .. })
}

struct Choice<'a> {
    func: &'a Func,
    live: Vec<bool>,
    /// Which values are nodes.
    chosen: Vec<bool>,
    node_of: Vec<Option<usize>>,
    parts: BTreeMap<Value, Part>,
}

impl Choice<'_> {
    fn new(func: &Func, parts: BTreeMap<Value, Part>) -> Choice<'_> {
        let n = func.defs.len();
        let mut live = vec![false; n];
        func.results.iter().for_each(|(_, value)| live[value.0 as usize] = true);
        for value in func.values().rev().map(|v| v.0 as usize) {
            if live[value] {
                func.defs[value].op.operands().iter().for_each(|operand| live[operand.0 as usize] = true);
            }
        }
        Choice { func, live, chosen: vec![false; n], node_of: vec![None; n], parts }
    }

    fn live_values(&self) -> impl DoubleEndedIterator<Item = Value> + use<> {
        let live = self.live.clone();
        self.func.values().filter(move |value| live[value.0 as usize])
    }

    /// Makes what lies below reshapes of this value a node, unless it is an input.
    fn mark(&mut self, value: Value) {
        let value = base(self.func, value);
        if !matches!(self.func.def(value).op, Op::Param(_)) {
            self.chosen[value.0 as usize] = true;
        }
    }

    /// What cannot be computed where it is used, and what must be in memory for other reasons.
    fn mark_required(&mut self) {
        for value in self.live_values() {
            let op = &self.func.def(value).op;
            if matches!(op, Op::Reduce(..) | Op::Contract(..) | Op::Quantile(..)) {
                self.mark(value);
            }
            if matches!(op, Op::Quantile(..)) || is_routine(op) {
                self.mark(value);
                let operands = product::routine_operands(self.func, value);
                operands.into_iter().for_each(|operand| self.mark(product::run(self.func, operand).0));
            }
            if let Op::Concat(parts, _) = op {
                self.mark(value);
                parts.iter().for_each(|part| self.mark(*part));
            }
            if let Some(product) = product::of(self.func, value) {
                [product.a.base, product.b.base].into_iter().for_each(|operand| self.mark(operand));
            }
        }
        for (_, value) in &self.func.results {
            self.mark(*value);
        }
    }

    /// Expensive values with several readers.
    fn mark_shared(&mut self, costs: &[u32]) {
        let mut roots: Vec<Vec<Value>> = vec![vec![]; self.func.defs.len()];
        for value in self.live_values().rev() {
            let (index, def) = (value.0 as usize, self.func.def(value));
            let expensive = |v: Value| costs[v.0 as usize] >= EXPENSIVE;
            if is_elementwise(&def.op) && roots[index].len() > 1 && expensive(value) {
                self.mark(value);
            }
            let own = if self.chosen[index] { vec![value] } else { roots[index].clone() };
            for operand in def.op.operands() {
                add_roots(&mut roots[operand.0 as usize], &own);
            }
        }
    }

    /// The operands of a broadcast or a contraction, and how many times the loops over it read elements of each.
    fn readings(&self, value: Value) -> (Vec<Value>, usize) {
        let def = self.func.def(value);
        if let Op::Broadcast(a, _) = &def.op {
            return (vec![*a], def.ty.len());
        }
        let Op::Contract(einsum, lhs, rhs) = &def.op else { return (vec![], 0) };
        let sides = [(&einsum.lhs, *lhs), (&einsum.rhs, *rhs)];
        let labels = sides.iter().flat_map(|(labels, side)| labels.iter().zip(&self.func.ty(*side).shape));
        (vec![*lhs, *rhs], labels.collect::<BTreeMap<_, _>>().values().copied().product())
    }

    /// Expensive values that would be computed again for each element of a larger shape, or of the other operand of a contraction. Returns
    /// the work that computing each value from memory takes.
    fn mark_repeated(&mut self) -> Vec<u32> {
        let mut costs: Vec<u32> = vec![];
        for (def, value) in self.func.defs.iter().zip(self.func.values()) {
            let (read, points) = self.readings(value);
            for a in read {
                let repeats = points >= 4 * self.func.ty(a).len();
                if costs[a.0 as usize] >= EXPENSIVE_TO_REPEAT && self.live[value.0 as usize] && repeats {
                    self.mark(a);
                    costs[a.0 as usize] = 0;
                }
            }
            let below = def.op.operands().iter().map(|v| costs[v.0 as usize]).fold(0, u32::saturating_add);
            let own = below.saturating_add(own_cost(&def.op));
            costs.push(if self.chosen[value.0 as usize] { 0 } else { own });
        }
        costs
    }

    /// Whether it is turned around, and what is turned lies in memory: a routine reads it in the order it lies in.
    fn is_turned(&self, value: Value) -> bool {
        let Op::Transpose(a, axes) = &self.func.def(value).op else { return false };
        let (below, start) = product::run(self.func, *a);
        let is_node = self.chosen[below.0 as usize];
        self.is_worth_turning(*a, axes) && start == 0 && (is_node || matches!(self.func.def(below).op, Op::Param(_)))
    }

    fn is_worth_turning(&self, a: Value, axes: &[usize]) -> bool {
        match turned::sides(&self.func.ty(a).shape, axes) {
            Some([rows, 1, columns]) => rows.min(columns) >= TURNED,
            Some([rows, _, columns]) => rows.max(columns) >= TURNED && self.func.ty(a).len() >= TURNED_NUMBERS,
            None => false,
        }
    }

    /// Gradients by the weights of convolutions, whose axes have another order than those of the weights: loops that read them across their rows would
    /// take longer than turning them.
    fn mark_turned(&mut self) {
        for value in self.live_values() {
            if !is_elementwise(&self.func.def(value).op) {
                continue;
            }
            for operand in self.func.def(value).op.operands() {
                let Op::Transpose(a, axes) = &self.func.def(operand).op else { continue };
                if is_routine(&self.func.def(base(self.func, *a)).op) && self.is_worth_turning(*a, axes) {
                    self.mark(operand);
                }
            }
        }
    }

    /// The nodes; `Err` names a value that has to be one too.
    fn build(&mut self) -> Result<Vec<Node>, Value> {
        let mut nodes = vec![];
        for value in self.live_values().filter(|v| self.chosen[v.0 as usize]) {
            self.node_of[value.0 as usize] = Some(nodes.len());
            nodes.push(self.node(value)?);
        }
        for (index, (name, value)) in self.func.results.iter().enumerate() {
            let value = base(self.func, *value);
            if let Op::Param(param) = &self.func.def(value).op {
                if param != name {
                    nodes.push(self.copy(value, index)?);
                }
            } else {
                nodes[self.node_of[value.0 as usize].expect("results are nodes")].results.push(index);
            }
        }
        Ok(nodes)
    }

    fn node(&self, value: Value) -> Result<Node, Value> {
        let def = self.func.def(value);
        if let Op::Reduce(reduction, operand, axes) = &def.op {
            return self.fold(value, *reduction, *operand, axes);
        }
        if let Op::Quantile(from, share) = &def.op {
            return Ok(self.call(value, Kind::Quantile, &[*from, *share]));
        }
        if let Op::Concat(parts, _) = &def.op {
            return Ok(self.call(value, Kind::Join, parts));
        }
        if is_routine(&def.op) || self.is_turned(value) {
            return Ok(self.call(value, Kind::Routine, &product::routine_operands(self.func, value)));
        }
        if let Op::Contract(..) = &def.op {
            let Some(product) = product::of(self.func, value) else { return self.dot(value) };
            return Ok(self.call(value, Kind::Product(product), &[product.a.base, product.b.base]));
        }
        let mut node = empty(value, Kind::Map, &def.ty);
        let map = node.maps[0].clone();
        node.part = self.parts.get(&value).map(|part| along(part, &map));
        for (operand, map) in index::operands(self.func, value, &map, &node.space)? {
            self.read(operand, map, &mut node, &mut HashSet::new())?;
        }
        Ok(node)
    }

    fn copy(&self, param: Value, result: usize) -> Result<Node, Value> {
        let mut node = empty(param, Kind::Copy, self.func.ty(param));
        self.read(param, node.maps[0].clone(), &mut node, &mut HashSet::new())?;
        node.results.push(result);
        Ok(node)
    }

    fn call(&self, value: Value, kind: Kind, operands: &[Value]) -> Node {
        let mut node = empty(value, kind, self.func.ty(value));
        let read = |operand: &Value| {
            let (base, start) = product::run(self.func, *operand);
            Read { base, start, strides: vec![] }
        };
        node.reads = operands.iter().map(read).collect();
        node
    }

    fn fold(&self, value: Value, reduction: Reduction, operand: Value, axes: &[usize]) -> Result<Node, Value> {
        let shape = &self.func.ty(operand).shape;
        let mut node = empty(value, Kind::Fold(reduction), self.func.ty(value));
        let mut kept = std::mem::take(&mut node.maps[0]).into_iter();
        let mut map = vec![];
        for (axis, size) in shape.iter().enumerate() {
            map.push(match axes.contains(&axis) {
                true => index::enter(&[*size], &mut node.space).remove(0),
                false => kept.next().expect("the result has the axes that are kept"),
            });
        }
        node.maps = vec![map.clone()];
        self.read(operand, map, &mut node, &mut HashSet::new())?;
        Ok(node)
    }

    fn dot(&self, value: Value) -> Result<Node, Value> {
        let Op::Contract(einsum, lhs, rhs) = &self.func.def(value).op else { panic!("a dot product is a contraction") };
        let mut node = empty(value, Kind::Dot, self.func.ty(value));
        let mut labels = einsum.out.clone();
        let mut places = std::mem::take(&mut node.maps[0]);
        for (label, size) in einsum.lhs.iter().zip(&self.func.ty(*lhs).shape) {
            if !labels.contains(label) {
                labels.push(*label);
                places.extend(index::enter(&[*size], &mut node.space));
            }
        }
        let place = |label: &u8| places[labels.iter().position(|l| l == label).expect("a known label")].clone();
        for (operand, of) in [(*lhs, &einsum.lhs), (*rhs, &einsum.rhs)] {
            let map: Map = of.iter().map(place).collect();
            node.maps.push(map.clone());
            self.read(operand, map, &mut node, &mut HashSet::new())?;
        }
        let _own = node.maps.remove(0);
        Ok(node)
    }

    /// Adds all that computing `value` at `map` reads from memory.
    fn read(&self, value: Value, map: Map, node: &mut Node, seen: &mut HashSet<(Value, Map)>) -> Result<(), Value> {
        let below = base(self.func, value);
        if matches!(self.func.def(below).op, Op::Param(_)) || self.chosen[below.0 as usize] {
            let shape = &self.func.ty(value).shape;
            let strides = index::strides(&map, shape, node.space.len());
            let read = Read { base: below, start: index::start(&map, shape), strides };
            if !node.reads.contains(&read) {
                node.reads.push(read);
            }
            return Ok(());
        }
        if seen.insert((value, map.clone())) {
            for (operand, map) in index::operands(self.func, value, &map, &node.space)? {
                self.read(operand, map, node, seen)?;
            }
        }
        Ok(())
    }
}

/// A node over the axes of its result.
fn empty(value: Value, kind: Kind, ty: &Type) -> Node {
    let mut space = vec![];
    let maps = vec![index::enter(&ty.shape, &mut space)];
    Node { value, kind, kept: space.len(), space, maps, reads: vec![], results: vec![], late: vec![], part: None }
}

/// A part with strides for the axes of its space only.
fn along(part: &Part, map: &Map) -> Part {
    let axes = map.iter().zip(&part.strides).filter(|(index, _)| !index.terms.is_empty());
    Part { strides: axes.map(|(_, stride)| *stride).collect(), ..part.clone() }
}

/// Adds what is new; beyond two nobody counts.
fn add_roots(roots: &mut Vec<Value>, more: &[Value]) {
    for root in more {
        if roots.len() < 2 && !roots.contains(root) {
            roots.push(*root);
        }
    }
}
