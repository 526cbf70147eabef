//! The network of a program as it evaluates, and what of each of its values is alive: can be non-zero and matters to an output.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diag::Sources;
use crate::lower::interface::literal_name;
use crate::lower::to_tir;
use crate::model::{Application, Bound, ExprId, Model, Node, Op, ParamId, Size, StateId, Symbol};
use crate::tir::interp::Tensor;
use crate::tir::zeros::constants;
use crate::tir::zeros::known::{self, Given, Known};
use crate::tir::zeros::{self, Pattern, Zeros};
use crate::tir::{Func, Value};

/// For each axis of a value, which of its positions are meant.
pub type Masks = Vec<Vec<bool>>;

/// Positions along an axis of a value that are the same number for every sample, but not zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The value.
    pub expr: ExprId,
    /// The axis.
    pub axis: usize,
    /// How many positions.
    pub positions: usize,
}

/// What is known of a network with its trained numbers.
pub struct Facts<'a> {
    /// The program.
    pub model: &'a Model,
    /// What the outputs need, operands before users.
    pub cone: Vec<ExprId>,
    /// The expressions that stand for parameters as the network sees them.
    pub params: BTreeMap<ExprId, ParamId>,
    /// Named values inside of layers that are the same for all samples, in training too: what is left of a parameterisation. They become
    /// parameters.
    pub baked: BTreeMap<ExprId, Vec<Symbol>>,
    /// Where each value is alive, axis by axis.
    pub alive: BTreeMap<ExprId, Masks>,
    /// What differs from sample to sample.
    pub varies: BTreeSet<ExprId>,
    /// Channels or features behind activations that are the same number for every sample, but not zero.
    pub fixed: Vec<Fixed>,
    /// The network on one sample, and where it computes each expression.
    func: Func,
    places: BTreeMap<ExprId, Value>,
}

impl<'a> Facts<'a> {
    /// The facts of a program; `value` gives parameters (`effective.<path>`), states and constant tensors by the names of inputs.
    pub fn new(model: &'a Model, sources: &Sources, value: &dyn Fn(&str) -> Option<Tensor>) -> Facts<'a> {
        let params: BTreeMap<ExprId, ParamId> =
            (0..model.params.len() as u32).map(ParamId).map(|id| (effective(model, id), id)).collect();
        let baked = baked(model, &params);
        let cone = cone(model, &params, &baked);
        let (func, places) = to_tir::traced_network(model, sources);
        let (alive, fixed) = alive(model, (&func, &places), &cone, value);
        let mut facts = Facts { model, cone, params, baked, alive, varies: BTreeSet::new(), fixed, func, places };
        facts.varies = facts.varying();
        facts
    }

    /// The node of an expression.
    pub fn node(&self, id: ExprId) -> &'a Node {
        self.model.graph.node(id)
    }

    /// The operands that are part of the network: none of a parameter, of `a with gradient of b` only `a`.
    pub fn operands(&self, id: ExprId) -> Vec<ExprId> {
        operands(self.model, &self.params, &self.baked, id)
    }

    /// The sizes of an expression for one sample.
    pub fn shape(&self, id: ExprId) -> Vec<usize> {
        shape(self.node(id))
    }

    /// Whether nothing of a value is alive.
    pub fn is_dead(&self, id: ExprId) -> bool {
        self.alive.get(&id).is_some_and(|masks| masks.iter().any(|mask| !mask.contains(&true)))
    }

    /// The expression of a parameter as the network sees it, where the network reads it.
    pub fn param(&self, id: ParamId) -> Option<ExprId> {
        let expr = effective(self.model, id);
        self.alive.contains_key(&expr).then_some(expr)
    }

    /// The expression of a state, where the network reads it.
    pub fn state(&self, id: StateId) -> Option<ExprId> {
        self.cone.iter().copied().find(|expr| self.node(*expr).op == Op::State(id))
    }

    /// Whether a value is computed from the numbers of positions alone, as the weights of an interpolation.
    pub fn is_made_of_positions(&self, id: ExprId) -> bool {
        // Most values depend on data: what they are made of need not be looked at.
        if self.varies.contains(&id) {
            return false;
        }
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.operands(id));
            }
        }
        let is_lasting = |id: &ExprId| self.params.contains_key(id) || self.baked.contains_key(id);
        let is_given = |id: &ExprId| {
            is_lasting(id) || matches!(self.node(*id).op, Op::State(_) | Op::Field(..) | Op::Literal(_) | Op::Clock(_))
        };
        let is_drawn = |id: &ExprId| matches!(self.node(*id).op, Op::Uniform { .. } | Op::Gradient(_) | Op::SizeOf(_));
        let has_positions = seen.iter().any(|id| matches!(self.node(*id).op, Op::Iota(_)));
        has_positions && !seen.iter().any(|id| is_given(id) || is_drawn(id))
    }

    /// The states that the network reads and carries from batch to batch.
    pub fn carried(&self) -> impl Iterator<Item = (ExprId, &'a Symbol)> {
        let state = |id: ExprId| if let Op::State(state) = self.node(id).op { Some(state) } else { None };
        let states = self.cone.iter().filter_map(move |id| Some((*id, &self.model.states[state(*id)?.0 as usize])));
        states.filter(|(_, state)| state.carried).map(|(id, state)| (id, &state.path))
    }

    /// The application of an instance that shows most of what it does: the first of those with the fewest constant inputs, since what is made
    /// of a constant (a carry's start) has been simplified.
    pub fn application(&self, path: &str) -> Option<&'a Application> {
        let own = self.model.applications.iter().filter(|application| *application.path == *path);
        own.filter(|application| self.is_used(application)).min_by_key(|application| self.constant_inputs(application))
    }

    fn constant_inputs(&self, application: &Application) -> usize {
        let varies = |input: &Option<ExprId>| input.is_some_and(|input| self.varies.contains(&input));
        application.inputs.iter().filter(|(_, input)| !varies(input)).count()
    }

    /// How often an instance is applied.
    pub fn applications(&self, path: &str) -> usize {
        let own = self.model.applications.iter().filter(|application| *application.path == *path);
        own.filter(|application| self.is_used(application)).count()
    }

    /// Whether an output needs what an application computes.
    pub fn is_used(&self, application: &Application) -> bool {
        application.results.iter().any(|result| self.alive.contains_key(result))
    }

    /// Whether an application computes what an output needs and what does not become a parameter.
    pub fn computes(&self, application: &Application) -> bool {
        let stays = |result: &ExprId| self.alive.contains_key(result) && !self.baked.contains_key(result);
        application.results.iter().any(stays)
    }

    /// The instances right below one, in order.
    pub fn children(&self, path: &str) -> Vec<Symbol> {
        let below: Vec<&Symbol> =
            self.model.instances.iter().map(|instance| &instance.path).filter(|own| is_below(own, path)).collect();
        let is_direct = |own: &&&Symbol| !below.iter().any(|other| is_below(own, other));
        below.iter().filter(is_direct).map(|own| (*own).clone()).collect()
    }

    /// The named values below an instance that become parameters, as far as the network reads them.
    pub fn baked_below(&self, path: &str) -> Vec<(ExprId, Symbol)> {
        let read = self.baked.iter().filter(|(expr, _)| self.alive.contains_key(expr));
        let own = read.flat_map(|(expr, paths)| paths.iter().map(|own| (*expr, own.clone())));
        own.filter(|(_, own)| is_below(own, path)).collect()
    }

    /// A value inside of an instance that differs from what the text of its layer says, but is no parameter either.
    pub fn lost_below(&self, path: &str) -> Option<&'a str> {
        let read = self.model.bound.iter().filter(|bound| self.alive.contains_key(&bound.value));
        let mut lost = read.filter(|bound| bound.is_sparsified && !self.baked.contains_key(&bound.value));
        lost.find_map(|bound| is_below(&bound.path, path).then(|| &bound.path[path.len() + 1..]))
    }

    /// The numbers of a value that is the same for all samples.
    pub fn number(&self, id: ExprId, value: &dyn Fn(&str) -> Option<Tensor>) -> Tensor {
        let found = known::values(&self.func, vec![self.places[&id]], value);
        found.into_iter().next().expect("one was asked for").1
    }

    fn varying(&self) -> BTreeSet<ExprId> {
        let mut varies = BTreeSet::new();
        for &id in &self.cone {
            let is_source = match self.node(id).op {
                Op::Field(..) => true,
                Op::State(state) => self.model.states[state.0 as usize].carried,
                _ => false,
            };
            let is_source = is_source && !self.baked.contains_key(&id);
            if is_source || self.operands(id).iter().any(|operand| varies.contains(operand)) {
                let _ = varies.insert(id);
            }
        }
        varies
    }
}

/// Whether the path `own` lies below the path `other`.
pub fn is_below(own: &str, other: &str) -> bool {
    own.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether the path `own` is `other` or lies below it.
pub fn is_within(own: &str, other: &str) -> bool {
    own == other || is_below(own, other)
}

/// The sizes of a node for one sample.
pub fn shape(node: &Node) -> Vec<usize> {
    let size = |size: Size| if let Size::Known(n) = size { n } else { 1 };
    node.ty.axes.iter().map(|axis| size(axis.size)).collect()
}

fn effective(model: &Model, id: ParamId) -> ExprId {
    model.params[id.0 as usize].effective_eval
}

fn operands(
    model: &Model,
    params: &BTreeMap<ExprId, ParamId>,
    baked: &BTreeMap<ExprId, Vec<Symbol>>,
    id: ExprId,
) -> Vec<ExprId> {
    match &model.graph.node(id).op {
        _ if params.contains_key(&id) || baked.contains_key(&id) => vec![],
        Op::WithGradient(a, _) => vec![*a],
        op => op.operands(),
    }
}

/// Values with names that are computed from parameters and states alone, or that a `sparsify` line made of constants.
fn baked(model: &Model, params: &BTreeMap<ExprId, ParamId>) -> BTreeMap<ExprId, Vec<Symbol>> {
    let reads_data = model.graph.reading_data();
    let is_leaf = |id: ExprId| params.contains_key(&id) || model.graph.node(id).op.operands().is_empty();
    let fixed = model.bound.iter().filter(|bound| !bound.trains_on_data && !reads_data[bound.value.0 as usize]);
    let mut baked: BTreeMap<ExprId, Vec<Symbol>> = BTreeMap::new();
    for bound in fixed.filter(|bound| !is_leaf(bound.value) && is_lasting(model, bound)) {
        baked.entry(bound.value).or_default().push(bound.path.clone());
    }
    baked
}

/// Whether a value is the same in each batch of an evaluation, and not what the text of its layer makes of constants.
fn is_lasting(model: &Model, bound: &Bound) -> bool {
    let needs = crate::model::count::reachable(&model.graph, &[bound.value]);
    let changes = |id: &ExprId| match model.graph.node(*id).op {
        Op::State(state) => model.states[state.0 as usize].carried,
        Op::Uniform { .. } => true,
        _ => false,
    };
    let lasts = |id: &ExprId| matches!(model.graph.node(*id).op, Op::Param(_) | Op::State(_));
    (bound.is_sparsified || needs.iter().any(lasts)) && !needs.iter().any(changes)
}

fn cone(model: &Model, params: &BTreeMap<ExprId, ParamId>, baked: &BTreeMap<ExprId, Vec<Symbol>>) -> Vec<ExprId> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<ExprId> = model.outputs.iter().map(|output| output.value).collect();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(operands(model, params, baked, id));
        }
    }
    seen.into_iter().collect()
}

fn alive(
    model: &Model,
    (func, values): (&Func, &BTreeMap<ExprId, Value>),
    cone: &[ExprId],
    value: &dyn Fn(&str) -> Option<Tensor>,
) -> (BTreeMap<ExprId, Masks>, Vec<Fixed>) {
    let lasting = lasting(model);
    let literals: BTreeSet<Arc<str>> = (0..model.literals.len()).map(literal_name).collect();
    let fixed: BTreeMap<&str, Tensor> = func
        .params()
        .filter(|(name, ..)| lasting.contains(*name) || literals.contains(*name))
        .filter_map(|(name, ..)| Some((&**name, value(name)?)))
        .collect();
    let given = Given { has: &|name| fixed.contains_key(name), value: &|name| fixed.get(name).cloned() };
    let known = known::reveal(func, given, &|name| lasting.contains(name));
    let before = known.places.clone();
    let (known, numbers) = constants::reveal(&known, &|name| fixed.get(name).cloned());
    let number = |id: &ExprId| &numbers[before[values[id].0 as usize].0 as usize];
    let same = cone.iter().filter_map(|id| same_for_all(model, *id, number(id))).collect();
    let zeros = analysed(&known, &|name| fixed.get(name).filter(|_| lasting.contains(name)).map(zeros::pattern));
    let masks = |id: &ExprId| {
        let place: Value = known.places[values[id].0 as usize];
        (*id, projected(&zeros.live(place), &shape(model.graph.node(*id))))
    };
    (cone.iter().map(masks).collect(), same)
}

/// Channels or features of an activation that are known, but not zero.
fn same_for_all(model: &Model, expr: ExprId, numbers: &Tensor) -> Option<Fixed> {
    let node = model.graph.node(expr);
    let axis = if numbers.ndim() == 4 { 1 } else { numbers.ndim().checked_sub(1)? };
    let is_activation = matches!(node.op, Op::Select(..) | Op::Unary(..)) && numbers.ndim() > 1;
    let is_known = numbers.iter().all(|x| !x.is_nan());
    let positions = if is_activation && !is_known { constants::fixed_positions(numbers, axis) } else { 0 };
    (positions > 0).then_some(Fixed { expr, axis, positions })
}

/// The inputs that training changes.
fn lasting(model: &Model) -> BTreeSet<Arc<str>> {
    let params = model.params.iter().map(|param| format!("effective.{}", param.path).into());
    let states = model.states.iter().filter(|state| !state.carried).map(|state| Arc::clone(&state.path));
    params.chain(states).collect()
}

/// Where values are alive once everything is gone that can go.
fn analysed(known: &Known, given: &dyn Fn(&str) -> Option<Pattern>) -> Zeros {
    let func: &Func = &known.func;
    let live = zeros::live(func, &|name| known.patterns.get(name).cloned().or_else(|| given(name)));
    zeros::analyse(func, &|name| live.elements.get(name).cloned())
}

/// Along each axis, the positions at which a pattern is not zero all over.
fn projected(pattern: &Pattern, shape: &[usize]) -> Masks {
    let along = |axis: usize| {
        let slices = pattern.axis_iter(ndarray::Axis(axis));
        slices.map(|slice| slice.iter().any(|bit| *bit != 0)).collect()
    };
    (0..shape.len()).map(along).collect()
}
