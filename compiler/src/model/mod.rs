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
mod data;
mod graph;
mod plan;
mod print;
mod roots;
pub mod verify;

use std::sync::Arc;

use ndarray::ArrayD;

use crate::diag::Span;

pub use data::{DataArg, DataFacts, DataSet, DataSpec, Field, Refusal, World};
pub use graph::{Axis, Clock, DType, Graph, Node, Op, Reduction, Size, Type};
pub use plan::{Event, Phase, Plan, Stage, Variant, Written};
pub use print::{print, ty as print_type};
pub use roots::each_root;

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
    /// Whether it is what a parameter starts from (`init … from`), and so nothing to a network whose numbers are there.
    pub is_start: bool,
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
    /// What its layer computes.
    pub computed: Vec<ExprId>,
    /// What comes out: that, or what a `sparsify` line on the instance makes of it.
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
    /// Whether a `sparsify` line made it from something else.
    pub is_sparsified: bool,
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

impl Model {
    /// How many samples wide carried states are: the plan's batch.
    pub fn carried_batch(&self) -> usize {
        self.plan.as_ref().and_then(|plan| plan.batch).unwrap_or(1)
    }
}
