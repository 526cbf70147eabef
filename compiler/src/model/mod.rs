//! The elaborated program: every layer instance, every axis and size, groups as views, the objective, the plan.
//!
//! All tensor expressions live in one [`Graph`]. Broadcasting has been made explicit and axes have positions, but they
//! still carry the names that messages and `emit --stage model` print, and the batch size is still the
//! symbol [`Size::Batch`]: `lower` fixes it, once for each batch size that occurs.
//!
//! Invariants, once `elaborate` has returned without a diagnostic:
//!
//! - no [`Size::Var`] is left;
//! - operands come before their users, elementwise operands have equal types (sizes and element types);
//! - every shape is as the op's own documentation says, in the same words as in `tir::Op`.

pub mod count;
mod print;
pub mod verify;

use std::sync::Arc;

use ndarray::ArrayD;

use crate::diag::Span;
use crate::scalar::{Binary, Unary};
use crate::window::{ConvRole, Pooling, Window};

pub use print::{print, ty as print_type};

/// An interned-by-sharing name.
pub type Symbol = Arc<str>;

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);
    };
}

index! {
    /// A tensor expression: an index into [`Graph::nodes`].
    ExprId
}
index! {
    /// A free parameter: an index into [`Model::params`].
    ParamId
}
index! {
    /// A state: an index into [`Model::states`].
    StateId
}
index! {
    /// A data set: an index into [`Model::data`].
    DataId
}

/// The size of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// So many elements.
    Known(usize),
    /// The number of samples in the batch.
    Batch,
    /// Not inferred yet; only while elaborating.
    Var(u32),
}

/// An axis of a tensor expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// The name it has at this place, if it has one.
    pub name: Option<Symbol>,
    /// Its size.
    pub size: Size,
}

/// The type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// A real number.
    F32,
    /// A signed integer.
    I32,
    /// True or false.
    Bool,
}

/// An element type and the axes, outermost first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// The type of each element.
    pub dtype: DType,
    /// The axes.
    pub axes: Vec<Axis>,
}

/// All tensor expressions of a program, operands before users, equal ones shared where that was cheap to see.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// A tensor expression.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// The type of the result.
    pub ty: Type,
    /// The source text it stands for.
    pub span: Span,
    /// The layer instance or declaration that computes it, as `net.fc1`.
    pub path: Symbol,
}

/// How elements are combined along axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Addition.
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

/// What a node computes. The words of `tir::Op` hold; what differs is said here.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A free parameter, its value before the step.
    Param(ParamId),
    /// A state, its value before the step.
    State(StateId),
    /// A field of the current batch (its index in [`DataFacts::fields`]): `[Batch, …]`.
    Field(DataId, usize),
    /// A tensor read by `load`: an index into [`Model::literals`].
    Literal(usize),
    /// A number that the trainer knows; a scalar.
    Clock(Clock),
    /// The derivative of the whole objective by a free parameter, in training; only optimizers use it.
    Gradient(ParamId),
    /// Every element is this number.
    Const(f64),
    /// The number of elements along an axis, as an `f32` scalar; only for [`Size::Batch`] (others are constants). In a report it
    /// counts the whole split.
    SizeOf(Size),
    /// The position along one axis of the result.
    Iota(usize),
    /// A function of each element.
    Unary(Unary, ExprId),
    /// A function of each pair of elements.
    Binary(Binary, ExprId, ExprId),
    /// `where(c, a, b)`.
    Select(ExprId, ExprId, ExprId),
    /// Another element type.
    Convert(ExprId),
    /// Axis `i` of the operand is axis `dims[i]` of the result.
    Broadcast(ExprId, Vec<usize>),
    /// Axis `i` of the result is axis `perm[i]` of the operand.
    Transpose(ExprId, Vec<usize>),
    /// The same elements in row-major order.
    Reshape(ExprId),
    /// All elements along the axes combined.
    Reduce(Reduction, ExprId, Vec<usize>),
    /// A sum of products, with a label for each axis: `lhs`, `rhs`, result, as in `tir::Einsum`.
    Contract {
        /// Labels of the first operand's axes.
        lhs: Vec<u8>,
        /// Labels of the second operand's axes.
        rhs: Vec<u8>,
        /// Labels of the result's axes.
        out: Vec<u8>,
        /// The first operand.
        a: ExprId,
        /// The second operand.
        b: ExprId,
    },
    /// A convolution with zero padding: `x: [B, C, H, W]`, `w: [Out, C / groups, KH, KW]` to `[B, Out, Ho, Wo]`; by input (transposed):
    /// `x: [B, In, Ho, Wo]`, `w: [In, Out / groups, KH, KW]` to `[B, Out, H, W]`, where the window slides over the result.
    Conv {
        /// Forward or by input.
        role: ConvRole,
        /// The window over height and width.
        window: Window,
        /// Channels are split into so many groups.
        groups: usize,
        /// The images.
        x: ExprId,
        /// The weights.
        w: ExprId,
    },
    /// What each window sees combined: `[B, C, H, W]` to `[B, C, Ho, Wo]`.
    Pool(Pooling, Window, ExprId),
    /// The elements of `a` with new ones before and behind them.
    Pad {
        /// What the new elements are.
        value: f64,
        /// How many stand before, along each axis.
        lo: Vec<usize>,
        /// How many stand behind.
        hi: Vec<usize>,
        /// The tensor.
        a: ExprId,
    },
    /// The elements at `start[d] + i step[d]` along axis `d`, as many as the type says.
    Slice {
        /// The first position.
        start: Vec<usize>,
        /// From one position to the next.
        step: Vec<usize>,
        /// The tensor.
        a: ExprId,
    },
    /// The tensors (at least one) one behind the other along one axis.
    Concat(Vec<ExprId>, usize),
    /// Rows of a table by their numbers: `[batch.., N, rest..]`, `i32[batch.., I..]` to `[batch.., I.., rest..]`.
    Gather {
        /// How many leading axes both have in common.
        batch: usize,
        /// The rows.
        table: ExprId,
        /// Their numbers.
        index: ExprId,
    },
    /// Whether an element is among the `k` largest along the last axis.
    TopK(ExprId, usize),
    /// The sum of all elements up to each one along an axis, itself included.
    CumSum(ExprId, usize),
    /// Independent numbers in [0, 1) that depend on seed, step, this site and the position.
    Uniform {
        /// Which place draws: derived from the path and the number of the draw in it.
        site: u64,
        /// Whether each step draws afresh; starts draw once.
        each_step: bool,
    },
    /// The smallest element that at least a share `q` of the elements does not exceed.
    Quantile(ExprId, ExprId),
    /// `a with gradient of b`.
    WithGradient(ExprId, ExprId),
}

/// Numbers that the trainer supplies; scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clock {
    /// Steps done in this run (`f32`).
    Step,
    /// Epochs done in this run, with their fraction (`f32`).
    Epoch,
    /// Share of the phase that is done (`f32`).
    Progress,
}

/// An elaborated program.
#[derive(Clone, Debug)]
pub struct Model {
    /// All tensor expressions.
    pub graph: Graph,
    /// The free parameters, in declaration order of their instances.
    pub params: Vec<Param>,
    /// The states: of layers, of parameterisations, of optimizers.
    pub states: Vec<State>,
    /// Constant tensors.
    pub literals: Vec<Literal>,
    /// The layer instances, outer before inner.
    pub instances: Vec<Instance>,
    /// The named groups: each a set of views.
    pub groups: Vec<Group>,
    /// One for each tensor under `sparsify`.
    pub sparsified: Vec<Sparsified>,
    /// What is minimised is the sum of these.
    pub terms: Vec<Term>,
    /// What is reported on the test split.
    pub reports: Vec<Report>,
    /// Budgets, each also a term.
    pub budgets: Vec<Budget>,
    /// Measures of instances.
    pub measures: Vec<Measure>,
    /// The evaluation-mode result of each application of a model to data, outermost ones only.
    pub outputs: Vec<Output>,
    /// How instances are applied in evaluation programs, inner applications before outer ones.
    pub applications: Vec<Application>,
    /// What is bound to names inside of instances, in evaluation programs.
    pub bound: Vec<Bound>,
    /// The data sets.
    pub data: Vec<DataSet>,
    /// The plan; `None` where there is no `train`.
    pub plan: Option<Plan>,
}

/// A free parameter.
#[derive(Clone, Debug)]
pub struct Param {
    /// As `net.fc1.w`.
    pub path: Symbol,
    /// `f32`, all sizes known.
    pub ty: Type,
    /// Its start value.
    pub start: ExprId,
    /// What stands for it in training programs: itself, or what `sparsify` makes of it.
    pub effective_train: ExprId,
    /// The same in evaluation programs.
    pub effective_eval: ExprId,
    /// Where it is declared.
    pub span: Span,
}

/// A state.
#[derive(Clone, Debug)]
pub struct State {
    /// As `net.norm.running_mean`, or `optimizer.net.fc1.w.velocity`.
    pub path: Symbol,
    /// All sizes known, but for the batch axis of a carried one.
    pub ty: Type,
    /// Its start value.
    pub start: ExprId,
    /// Its value after a step; `None` where nothing writes it in each step, and for the states of optimizers, which
    /// [`Variant`]s write.
    pub update: Option<ExprId>,
    /// Its value after a batch of an evaluation; only carried states have one.
    pub update_eval: Option<ExprId>,
    /// Whether an optimizer owns it.
    pub of_optimizer: bool,
    /// Whether it belongs to the sequence of batches: it has the batch axis, starts anew with every epoch and every evaluation, and is
    /// not part of the saved network.
    pub carried: bool,
}

/// A constant tensor.
#[derive(Clone, Debug)]
pub struct Literal {
    /// As `file.npz:name`.
    pub name: Symbol,
    /// Its elements.
    pub value: ArrayD<f64>,
}

/// A layer instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// As `net.fc1`.
    pub path: Symbol,
    /// The layer's name.
    pub layer: Symbol,
    /// Where the layer is declared.
    pub declared: Span,
    /// Its sizes, as inferred.
    pub sizes: Vec<(Symbol, Size)>,
    /// Those of the sizes that its inputs say, so that nobody needs to give them.
    pub inferred: Vec<Symbol>,
    /// What sizes are where nobody gives them: those with a number as default.
    pub defaults: Vec<(Symbol, usize)>,
    /// Types of the inputs and of the result at its first application.
    pub signature: Option<(Vec<Type>, Vec<Type>)>,
    /// Its own parameters (not those of inner instances).
    pub params: Vec<ParamId>,
    /// Floating-point operations of one sample's forward pass spent in its own contractions, two for each multiply-add, for
    /// all uses together.
    pub flops: u64,
}

/// An application of an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    /// The path of the instance.
    pub path: Symbol,
    /// The settings that were given, by name; `None` where one is no text that could stand elsewhere.
    pub settings: Vec<(Symbol, Option<String>)>,
    /// The tensors that go in, by the names of the inputs; `None` where nothing that is computed needs one.
    pub inputs: Vec<(Symbol, Option<ExprId>)>,
    /// What comes out.
    pub results: Vec<ExprId>,
}

/// A value that has a name inside of an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Its path, as `net.norm.a`.
    pub path: Symbol,
    /// Its value.
    pub value: ExprId,
    /// Whether it depends on data in training programs.
    pub trains_on_data: bool,
}

/// A named group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: Symbol,
    /// One for each tensor.
    pub views: Vec<View>,
}

/// A tensor seen as groups, or several tensors whose groups are joined.
#[derive(Clone, Debug)]
pub struct View {
    /// The path of the tensor; of joined ones as `join(net.fc1.w, net.fc2.w)`.
    pub path: Symbol,
    /// The parameters that it shows: one, several where groups are joined, none of a value inside of a layer.
    pub params: Vec<ParamId>,
    /// How it was cut, as `In`.
    pub by: String,
    /// The number of groups.
    pub n_groups: usize,
    /// The number of members in each.
    pub n_members: usize,
    /// The effective tensor in evaluation programs as `[G, M]`.
    pub effective: ExprId,
}

/// A tensor under a sparse parameterisation.
#[derive(Clone, Debug)]
pub struct Sparsified {
    /// The tensor.
    pub param: ParamId,
    /// The view that the parameterisation works on.
    pub view: View,
    /// Its measure `density` in training programs, where it has one.
    pub density: Option<ExprId>,
    /// Its measure `density` in evaluation programs.
    pub density_eval: Option<ExprId>,
    /// As `mask` or `sparsify.net.fc1.w`.
    pub path: Symbol,
}

/// A term of the objective: a scalar.
#[derive(Clone, Debug)]
pub struct Term {
    /// Its source text on one line.
    pub text: String,
    /// Its value in training programs.
    pub value: ExprId,
    /// What kind it is.
    pub kind: TermKind,
}

/// What a term of the objective is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermKind {
    /// It depends on data.
    Loss,
    /// It depends on parameters only.
    Penalty,
    /// It keeps a budget.
    Budget,
}

/// A reported number (or several: `each over`).
#[derive(Clone, Debug)]
pub struct Report {
    /// Its name or source text.
    pub name: String,
    /// Its value in evaluation programs: scalars, each with what tells it from its neighbours.
    pub values: Vec<(String, ExprId)>,
}

/// A budget.
#[derive(Clone, Debug)]
pub struct Budget {
    /// As `params(net) <= 15%`.
    pub text: String,
    /// What it counts.
    pub quantity: Quantity,
    /// The share asked for.
    pub limit: f64,
    /// The share that the penalty sees, in training programs: a scalar.
    pub used: ExprId,
    /// For each tensor that counts: its weight (parameters, or FLOPs of one sample) as an integer. Sum = the dense total.
    pub weights: Vec<(ParamId, u64)>,
    /// Where it stands.
    pub span: Span,
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Parameters.
    Params,
    /// Floating-point operations.
    Flops,
}

/// A number that an instance measures.
#[derive(Clone, Debug)]
pub struct Measure {
    /// As `mask.density`.
    pub path: Symbol,
    /// Its value in evaluation programs.
    pub value: ExprId,
}

/// What a model computes from data.
#[derive(Clone, Debug)]
pub struct Output {
    /// The model's name.
    pub name: Symbol,
    /// In evaluation programs.
    pub value: ExprId,
}

/// A data set.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// Its name in the program.
    pub name: Symbol,
    /// What the file says: handed to the runtime to open it again.
    pub spec: DataSpec,
    /// What it is made of.
    pub facts: DataFacts,
}

/// What a data set is made of, as the world outside says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataFacts {
    /// The fields, as they are read.
    pub fields: Vec<Field>,
    /// Numbers that a program can use by name: `ptb.vocabulary`.
    pub constants: Vec<(Symbol, f64)>,
}

/// A field of a data set as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Symbol,
    /// `F32` or `I32`.
    pub dtype: DType,
    /// The shape of one sample.
    pub shape: Vec<usize>,
}

/// What a `data` declaration asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSpec {
    /// The reader: `idx`, `csv`, …
    pub source: String,
    /// Its arguments, by position (empty name) or by name.
    pub args: Vec<(String, DataArg)>,
}

/// An argument of a `data` declaration.
#[derive(Clone, Debug, PartialEq)]
pub enum DataArg {
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// Several numbers: `[3, 32, 32]`.
    List(Vec<f64>),
}

/// A training plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Samples in a batch; `None`: all of them.
    pub batch: Option<usize>,
    /// The seed.
    pub seed: u64,
    /// What is done, in order.
    pub stages: Vec<Stage>,
    /// What steps do, in the phases.
    pub variants: Vec<Variant>,
    /// What stages fire, and what happens every so many steps.
    pub events: Vec<Event>,
}

/// A stage of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Training for some epochs.
    Phase(Phase),
    /// An event, as an index into [`Plan::events`].
    Fire(usize),
}

/// Training for some epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Its name, unique in the plan.
    pub name: String,
    /// How often the training split is seen.
    pub epochs: usize,
    /// What a step does: an index into [`Plan::variants`].
    pub variant: usize,
    /// Whether optimizers forget their states before it.
    pub fresh: bool,
    /// Events after every so many steps, counted over the run.
    pub every_steps: Vec<(u64, usize)>,
    /// Events at the end of every epoch.
    pub every_epoch: Vec<usize>,
}

/// What a step does to free parameters and to the states of optimizers. Phases whose settings are equal share one.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Variant {
    /// The new value of each parameter, optimizer and proximal operators applied; `None` where it stays.
    pub params: Vec<Option<ExprId>>,
    /// The new values of the optimizers' states that it writes.
    pub optimizer_states: Vec<(StateId, ExprId)>,
}

/// Writes between steps. They read the values of that moment; all right sides are computed before anything is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// As `reweight(tau: 0.05)`.
    pub name: String,
    /// What is written.
    pub writes: Vec<(Written, ExprId)>,
}

/// What an event writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Written {
    /// A free parameter.
    Param(ParamId),
    /// A state.
    State(StateId),
}

/// Why the world outside does not give what it is asked for: the facts of a diagnostic but its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code of the diagnostic: `E09` and two digits.
    pub code: &'static str,
    /// One line.
    pub title: String,
    /// A way out.
    pub help: Option<String>,
}

/// What elaboration asks of the world outside: files are opened by `cli`, with the runtime's readers.
pub trait World {
    /// What a data set is made of.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words for the user, and a way out where there is one.
    fn data(&mut self, spec: &DataSpec) -> Result<DataFacts, Refusal>;

    /// A tensor of a file.
    ///
    /// # Errors
    ///
    /// As for [`World::data`].
    fn load(&mut self, file: &str, name: Option<&str>) -> Result<ArrayD<f64>, Refusal>;

    /// All tensors of a file by name, in its order.
    ///
    /// # Errors
    ///
    /// As for [`World::data`].
    fn tensors(&mut self, file: &str) -> Result<Vec<(String, ArrayD<f64>)>, Refusal>;
}

impl Plan {
    /// Its phases, in order.
    pub fn phases(&self) -> impl Iterator<Item = &Phase> {
        self.stages.iter().filter_map(|stage| match stage {
            Stage::Phase(phase) => Some(phase),
            Stage::Fire(_) => None,
        })
    }
}

impl Graph {
    /// The node behind `id`.
    pub fn node(&self, id: ExprId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// For each node, whether it depends on data.
    pub fn reading_data(&self) -> Vec<bool> {
        let mut reading: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let operands = node.op.operands();
            let reads = matches!(node.op, Op::Field(..)) || operands.iter().any(|operand| reading[operand.0 as usize]);
            reading.push(reads);
        }
        reading
    }

    /// Appends a node.
    pub fn push(&mut self, node: Node) -> ExprId {
        self.nodes.push(node);
        ExprId(self.nodes.len() as u32 - 1)
    }
}

impl Op {
    /// The operands, in order.
    pub fn operands(&self) -> Vec<ExprId> {
        match self {
            Op::Param(_) | Op::State(_) | Op::Field(..) | Op::Literal(_) | Op::Clock(_) => vec![],
            Op::Gradient(_) | Op::Const(_) | Op::SizeOf(_) | Op::Iota(_) | Op::Uniform { .. } => vec![],
            Op::Unary(_, a) | Op::Convert(a) | Op::Reshape(a) => vec![*a],
            Op::Broadcast(a, _) | Op::Transpose(a, _) | Op::Reduce(_, a, _) => vec![*a],
            Op::Binary(_, a, b) | Op::Contract { a, b, .. } => vec![*a, *b],
            Op::Quantile(a, b) | Op::WithGradient(a, b) => vec![*a, *b],
            Op::Select(c, a, b) => vec![*c, *a, *b],
            Op::Conv { x, w, .. } => vec![*x, *w],
            Op::Pool(_, _, a) | Op::TopK(a, _) | Op::CumSum(a, _) => vec![*a],
            Op::Pad { a, .. } | Op::Slice { a, .. } => vec![*a],
            Op::Concat(parts, _) => parts.clone(),
            Op::Gather { table, index, batch: _ } => vec![*table, *index],
        }
    }

    /// The operands, to be rewritten.
    pub fn operands_mut(&mut self) -> Vec<&mut ExprId> {
        match self {
            Op::Param(_) | Op::State(_) | Op::Field(..) | Op::Literal(_) | Op::Clock(_) => vec![],
            Op::Gradient(_) | Op::Const(_) | Op::SizeOf(_) | Op::Iota(_) | Op::Uniform { .. } => vec![],
            Op::Unary(_, a) | Op::Convert(a) | Op::Reshape(a) => vec![a],
            Op::Broadcast(a, _) | Op::Transpose(a, _) | Op::Reduce(_, a, _) => vec![a],
            Op::Binary(_, a, b) | Op::Contract { a, b, .. } => vec![a, b],
            Op::Quantile(a, b) | Op::WithGradient(a, b) => vec![a, b],
            Op::Select(c, a, b) => vec![c, a, b],
            Op::Conv { x, w, .. } => vec![x, w],
            Op::Pool(_, _, a) | Op::TopK(a, _) | Op::CumSum(a, _) => vec![a],
            Op::Pad { a, .. } | Op::Slice { a, .. } => vec![a],
            Op::Concat(parts, _) => parts.iter_mut().collect(),
            Op::Gather { table, index, batch: _ } => vec![table, index],
        }
    }
}

impl Model {
    /// How many samples wide carried states are: the plan's batch.
    pub fn carried_batch(&self) -> usize {
        self.plan.as_ref().and_then(|plan| plan.batch).unwrap_or(1)
    }
}

/// Visits every place of a model that names a tensor expression.
pub fn each_root(model: &mut Model, visit: &mut impl FnMut(&mut ExprId)) {
    for param in &mut model.params {
        visit(&mut param.start);
        visit(&mut param.effective_train);
        visit(&mut param.effective_eval);
    }
    for state in &mut model.states {
        visit(&mut state.start);
        state.update.iter_mut().for_each(&mut *visit);
        state.update_eval.iter_mut().for_each(&mut *visit);
    }
    let views = model.groups.iter_mut().flat_map(|group| &mut group.views);
    views.for_each(|view| visit(&mut view.effective));
    for sparsified in &mut model.sparsified {
        visit(&mut sparsified.view.effective);
        sparsified.density.iter_mut().for_each(&mut *visit);
        sparsified.density_eval.iter_mut().for_each(&mut *visit);
    }
    model.terms.iter_mut().for_each(|term| visit(&mut term.value));
    model.reports.iter_mut().flat_map(|report| &mut report.values).for_each(|(_, value)| visit(value));
    model.budgets.iter_mut().for_each(|budget| visit(&mut budget.used));
    model.measures.iter_mut().for_each(|measure| visit(&mut measure.value));
    model.outputs.iter_mut().for_each(|output| visit(&mut output.value));
    model.plan.iter_mut().for_each(|plan| each_root_of_plan(plan, visit));
}

fn each_root_of_plan(plan: &mut Plan, visit: &mut impl FnMut(&mut ExprId)) {
    for variant in &mut plan.variants {
        variant.params.iter_mut().flatten().for_each(&mut *visit);
        variant.optimizer_states.iter_mut().for_each(|(_, value)| visit(value));
    }
    plan.events.iter_mut().flat_map(|event| &mut event.writes).for_each(|(_, value)| visit(value));
}
