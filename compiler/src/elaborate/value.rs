//! What an expression can be while the program is traced: tensors of the graph, and all that is known when compiling.

use std::rc::Rc;

use crate::diag::Span;
use crate::model::{ExprId, ParamId, Size, StateId, Symbol};
use crate::resolve::hir::DefId;

/// A naming scope: each application of a function or layer has its own, the top level is [`TOP`].
pub(super) type Scope = u32;

/// The scope of declarations outside of functions and layers.
pub(super) const TOP: Scope = 0;

/// The name of an axis. Equal texts of two scopes are different names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Label {
    /// The text.
    pub name: Symbol,
    /// Which axis of a rest `...S` it is.
    pub nth: Option<u32>,
    /// Where the name is known.
    pub scope: Scope,
}

/// A tensor expression and what its axes are called where it stands.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    /// The node; its type has the sizes.
    pub expr: ExprId,
    /// One for each axis.
    pub labels: Vec<Option<Label>>,
}

/// A layer with some of its sizes and settings: not yet an instance.
#[derive(Clone, Debug)]
pub(super) struct LayerValue {
    /// The definition.
    pub def: DefId,
    /// The sizes that were given.
    pub sizes: Vec<(Symbol, Size, Span)>,
    /// The settings that were given, one slot for each that is declared; `None` before the settings' parentheses.
    pub settings: Option<Rc<Vec<Option<Value>>>>,
    /// Where its instance lives if it is applied as it is: it came in as a setting or an input of this path.
    pub home: Option<Symbol>,
    /// Where it is written.
    pub span: Span,
}

/// An instance, with the settings of the place that made it.
#[derive(Clone, Debug)]
pub(super) struct InstanceRef {
    /// An index into `Elab::instances`.
    pub id: usize,
    /// One slot for each declared setting.
    pub settings: Rc<Vec<Option<Value>>>,
}

/// How a tensor is seen as `[G, M]`; checked against its shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cut {
    /// One group for each index of these axes.
    Axes(Vec<usize>),
    /// One group for each run of so many indices of an axis.
    Runs(usize, usize),
    /// One group.
    Whole,
    /// Every element its own.
    Each,
    /// Blocks with this many elements along each axis.
    Blocks(Vec<usize>),
}

/// What a path leads to.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// A parameter.
    Param(ParamId),
    /// A state.
    State(StateId),
    /// A value computed inside an instance, in the program that is being traced.
    Inner,
    /// Groups of several tensors as one: views with equal numbers of groups, side by side.
    Joined(Rc<Vec<Member>>),
}

/// A member of a set of tensors.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its path.
    pub path: Symbol,
    /// The tensor.
    pub target: Target,
    /// How it is cut into groups, and the text of that; `None`: as it is.
    pub cut: Option<(Cut, String)>,
    /// Whether the free tensor is meant.
    pub raw: bool,
}

/// An axis of a shape argument; its size is inferred where there is none.
pub(super) type ShapeAxis = (Option<Label>, Option<Size>);

/// What an expression is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A tensor.
    Tensor(Tensor),
    /// A number known when compiling.
    Number(f64),
    /// A truth value known when compiling.
    Bool(bool),
    /// A string.
    Text(Symbol),
    /// A size of a signature: a number, and the name of an axis.
    Size(Label, Size),
    /// Names of axes.
    Axes(Vec<(Label, Option<Size>)>),
    /// The shape argument of `reshape`.
    Shape(Vec<ShapeAxis>),
    /// `a .. b`.
    Range(Box<Value>, Box<Value>),
    /// Several values.
    Tuple(Vec<Value>),
    /// One value for each member of a set.
    List(Vec<(String, Value)>),
    /// A function.
    Fn(DefId),
    /// A primitive function.
    Prim(&'static str),
    /// A layer.
    Layer(LayerValue),
    /// `chain(3, Layer)`: one for each member.
    Chain(Vec<LayerValue>),
    /// An instance.
    Instance(InstanceRef),
    /// The instances of a chain.
    Instances(Vec<InstanceRef>),
    /// A data set: an index into `Elab::data`.
    Data(usize),
    /// A set of tensors.
    Set(Rc<Vec<Member>>),
    /// What came of a mistake that is reported already.
    Poison,
}

impl Member {
    /// Whether it is cut into groups already.
    pub(super) fn is_view(&self) -> bool {
        self.cut.is_some() || matches!(self.target, Target::Joined(_))
    }
}

impl Label {
    /// A name of this scope.
    pub(super) fn new(name: &Symbol, scope: Scope) -> Label {
        Label { name: name.clone(), nth: None, scope }
    }
}

impl Value {
    /// What kind of thing this is, for messages: with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Tensor(_) => "a tensor",
            Value::Number(_) => "a number",
            Value::Bool(_) => "a truth value",
            Value::Text(_) => "a string",
            Value::Size(..) => "a size",
            Value::Axes(_) => "an axis",
            Value::Shape(_) => "a shape",
            Value::Range(..) => "a range",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Fn(_) | Value::Prim(_) => "a function",
            Value::Layer(_) => "a layer",
            Value::Chain(_) | Value::Instances(_) => "a chain of layers",
            Value::Instance(_) => "a layer instance",
            Value::Data(_) => "a data set",
            Value::Set(_) => "a set of tensors",
            Value::Poison => "a mistake",
        }
    }
}
