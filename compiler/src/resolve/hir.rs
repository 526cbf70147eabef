//! HIR: a program with no names left to look up.
//!
//! Every file of the program and every library module it imports has become one list of definitions. A name
//! is now a [`DefId`], a [`Local`] of the definition it stands in, or a [`Builtin`]. What still is text is
//! looked up by the next stage, because it depends on shapes: axis names, and the segments of paths into models.
//! Syntactic sugar is gone: `x |> f(2)` is a call, percent literals are numbers.

use std::sync::Arc;

use crate::diag::Span;

/// An interned-by-sharing name.
pub type Symbol = Arc<str>;

/// A definition, as an index into [`Program::defs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DefId(pub u32);

/// A name bound inside a function or layer, as an index into its `locals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Local(pub u32);

/// A name with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The text.
    pub text: Symbol,
    /// Where it stands.
    pub span: Span,
}

/// A whole program.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Every named definition, of the main file and of all modules it reaches.
    pub defs: Vec<Def>,
    /// Everything bound at the top level: in blocks of declarations, and by the plan's `repeat` and `for`.
    pub locals: Vec<LocalDef>,
    /// The unnamed declarations of the main file, in source order.
    pub decls: Vec<Decl>,
}

/// A named definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Def {
    /// Its name.
    pub name: Name,
    /// The module it stands in: empty for the main file, else as `std.norms`.
    pub module: Symbol,
    /// Its doc comment, without the slashes; empty where there is none.
    pub doc: String,
    /// What it is.
    pub kind: DefKind,
}

/// What a definition is.
#[derive(Clone, Debug, PartialEq)]
pub enum DefKind {
    /// `const lambda = 2e-4`; `--set` has already replaced the value.
    Const(Expr),
    /// `fn`.
    Fn(Fn),
    /// `layer`.
    Layer(Layer),
    /// `data mnist = idx("mnist") { … }`.
    Data(Data),
    /// `model net = LeNet300`.
    Model(Expr),
    /// `group neurons = …`.
    Group(GroupExpr),
    /// The name after `as` of the `sparsify` declaration with this index into [`Program::decls`].
    Sparsified(usize),
}

/// A function.
#[derive(Clone, Debug, PartialEq)]
pub struct Fn {
    /// Everything bound in it: sizes of the signature, inputs, bindings.
    pub locals: Vec<LocalDef>,
    /// Its inputs.
    pub inputs: Vec<Input>,
    /// What stands after `->`: nothing, one type, or one for each of several results.
    pub result: Vec<AxesPattern>,
    /// Its body.
    pub body: Block,
}

/// A layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Everything bound in it.
    pub locals: Vec<LocalDef>,
    /// The sizes in `[…]` behind its name, which an instance may set: `Dense[Out = 300]`.
    pub sizes: Vec<LayerSize>,
    /// The first parentheses, where there are two.
    pub settings: Vec<Input>,
    /// The inputs.
    pub inputs: Vec<Input>,
    /// What stands after `->`: nothing, one type, or one for each of several results.
    pub result: Vec<AxesPattern>,
    /// Its body.
    pub body: Block,
}

/// A size that an instance of a layer may set.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSize {
    /// Its name.
    pub local: Local,
    /// What stands behind `=`: its value where nothing else says it.
    pub default: Option<Expr>,
}

/// A name bound in a function or layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalDef {
    /// Its name and where it is bound.
    pub name: Name,
    /// What it is.
    pub kind: LocalKind,
}

/// What a local name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalKind {
    /// A size of the signature; it also names axes.
    Size,
    /// `...S`: any number of axes.
    Rest,
    /// A setting or an input.
    Input,
    /// `x = …`.
    Binding,
    /// `param`.
    Param,
    /// `state`.
    State,
    /// `measure`.
    Measure,
}

/// A setting or an input.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name.
    pub local: Local,
    /// What stands behind `:`.
    pub ty: Option<InputType>,
    /// What stands behind `=`.
    pub default: Option<Expr>,
}

/// The declared type of an input.
#[derive(Clone, Debug, PartialEq)]
pub enum InputType {
    /// A tensor with these axes.
    Tensor(AxesPattern),
    /// `over: axis`: an axis name.
    Axis,
}

/// `f32[B, H, row: N, ...S]`.
#[derive(Clone, Debug, PartialEq)]
pub struct AxesPattern {
    /// `f32`, `i32` or `bool`, where it is written.
    pub dtype: Option<Symbol>,
    /// The axes.
    pub axes: Vec<AxisPattern>,
    /// Where it stands.
    pub span: Span,
}

/// One axis of a pattern or of a shape.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisPattern {
    /// `row: N`, or `N` (named by itself), or `3` and `In * 2` (unnamed).
    Axis {
        /// The name, where there is one.
        name: Option<Name>,
        /// The local that the name is, where the name is a size of the signature (`In`, short for `In: In`).
        local: Option<Local>,
        /// The size: a [`ExprKind::Local`] that is bound by matching, or an expression that must be equal.
        size: Expr,
    },
    /// `...S`.
    Rest(Local, Span),
}

/// Bindings, and the value they end in.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// In order.
    pub stmts: Vec<Stmt>,
    /// The value.
    pub value: Box<Expr>,
}

/// One line of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// All of it.
    pub span: Span,
}

/// What a line of a block does.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `x = e`, `h: [B, Hidden] = e`.
    Bind {
        /// The name.
        local: Local,
        /// The annotation.
        ty: Option<AxesPattern>,
        /// The value.
        value: Expr,
    },
    /// `(m, v) = e`.
    BindTuple(Vec<Local>, Expr),
    /// `param w: [In, Out] ~ he_normal(fan_in: In)`.
    Param {
        /// The name.
        local: Local,
        /// Its axes.
        ty: AxesPattern,
        /// How it starts.
        start: Start,
    },
    /// `state mask: [G] = 1`.
    State {
        /// The name.
        local: Local,
        /// Its axes.
        ty: AxesPattern,
        /// How it starts.
        start: Start,
    },
    /// `measure density = e`.
    Measure(Local, Expr),
    /// `running <- e`, `raw(w) <- e`.
    Update(Target, Expr),
    /// `on reweight(tau) { … }`: bindings and updates.
    On {
        /// The event.
        event: Name,
        /// What it is fired with.
        inputs: Vec<Input>,
        /// What happens.
        body: Vec<Stmt>,
    },
    /// `every 100 steps { … }`, `every epoch { … }`: bindings and updates.
    Every(Interval, Vec<Stmt>),
}

/// What `<-` writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Whether a free parameter is meant: it stood in `raw(…)`.
    pub raw: bool,
    /// A name of this layer, or a path that starts at one.
    pub path: Expr,
}

/// How often something happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Interval {
    /// At the end of every epoch.
    Epoch,
    /// After so many steps.
    Steps(Expr),
}

/// How a parameter or state starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// `= e`: this value, broadcast.
    Value(Expr),
    /// `~ e`: a call of a distribution: a function whose trailing input `u` or draws fill the shape; see `std.init`.
    Draw(Expr),
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number; `15%` is 0.15.
    Number(f64),
    /// A string.
    Str(Symbol),
    /// `true` or `false`.
    Bool(bool),
    /// A name bound in the surrounding function or layer.
    Local(Local),
    /// A named definition.
    Def(DefId),
    /// A word the compiler knows.
    Builtin(Builtin),
    /// A name nobody binds, in a place where an axis may be meant: `sum(x, Out)`.
    AxisName(Symbol),
    /// `a.b`, a path with one more segment.
    Field(Box<Expr>, Segment),
    /// `f(x, p: 0.5)`.
    Call(Box<Expr>, Vec<Arg>),
    /// `Dense[Out = 300]`.
    Sized(Box<Expr>, Vec<(Name, Expr)>),
    /// `-x`, `not x`.
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `a .. b`.
    Range(Box<Expr>, Box<Expr>),
    /// `if c { a } else { b }`; the condition is decided when compiling where it can be, else it selects elementwise.
    If(Box<Expr>, Block, Block),
    /// `{ … }`.
    Block(Block),
    /// `(a, b)`.
    Tuple(Vec<Expr>),
    /// `[B, N]`: the shape argument of `reshape`.
    Shape(Vec<AxisPattern>),
    /// `a with gradient of b`.
    WithGradient(Box<Expr>, Box<Expr>),
    /// `mean over set of f(…)`.
    Over(Over, Box<Expr>, Box<Expr>),
    /// `net.fc1.w by In`, inside an expression.
    Group(Box<GroupExpr>),
    /// `raw(net.fc1.w)`: the free tensor.
    Raw(Box<Expr>),
    /// `join(net.fc1.w by Out, net.fc2.w by In)`: groups of several tensors as one.
    Join(Vec<Expr>),
}

/// How `over` combines the members of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The mean.
    Mean,
    /// The largest.
    Max,
    /// A list, for reports.
    Each,
}

/// A segment of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Segment {
    /// A name, or the number of a member of a `chain`.
    Name(Name),
    /// `{fc1, fc2}`.
    OneOf(Vec<Name>, Span),
    /// A segment with stars: `conv*`, `*`.
    Glob(Name),
    /// `**`: any number of segments.
    Any(Span),
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// `p` in `f(p: 0.5)`.
    pub name: Option<Name>,
    /// The value.
    pub value: Expr,
}

/// Operators of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`.
    Neg,
    /// `not`.
    Not,
}

/// Operators of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `+`.
    Add,
    /// `-`.
    Sub,
    /// `*`.
    Mul,
    /// `/`.
    Div,
    /// `^`.
    Pow,
    /// `@`.
    MatMul,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
    /// `==`.
    Eq,
    /// `!=`.
    Ne,
    /// `and`.
    And,
    /// `or`.
    Or,
}

/// Words the compiler knows. Everything else is library text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// A primitive function: `exp`, `sum`, `where`, …; the list is `resolve::builtins`.
    Prim(&'static str),
    /// Whether this is a training program.
    Training,
    /// The number of steps done in this run.
    Step,
    /// The number of epochs done in this run, with its fraction.
    Epoch,
    /// How much of the phase is done, 0 to 1.
    Progress,
}

/// `EXPR by …`; for a named group also `join(…)` or a list of groups.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupExpr {
    /// A path (pattern) of tensors.
    pub target: Expr,
    /// How each is cut into groups; `None` where the target has its own groups.
    pub by: Option<GroupBy>,
    /// All of it.
    pub span: Span,
}

/// How a tensor is cut into groups.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupBy {
    /// One group for each index of these axes; with a number behind `/`, for each run of so many indices.
    Axes(Vec<Name>, Option<Box<Expr>>),
    /// One group.
    Whole,
    /// Every element its own group.
    Each,
    /// Blocks of this many elements along each axis.
    Blocks(Vec<Expr>),
}

/// An unnamed declaration.
#[derive(Clone, Debug, PartialEq)]
pub struct Decl {
    /// What it is.
    pub kind: DeclKind,
    /// All of it.
    pub span: Span,
}

/// What an unnamed declaration says.
#[derive(Clone, Debug, PartialEq)]
pub enum DeclKind {
    /// `sparsify neurons with Own as mask`.
    Sparsify {
        /// A group, or a path.
        target: Expr,
        /// Layers or instances, the first one applied first.
        with: Vec<Expr>,
        /// The name after `as`.
        name: Option<Name>,
    },
    /// `proximal neurons with prox_l21(1e-4)`.
    Proximal {
        /// A group, or a path.
        target: Expr,
        /// A function or a call that lacks its threshold.
        with: Expr,
    },
    /// `budget params(net) <= 15% by one_sided(10)`.
    Budget {
        /// What is counted.
        quantity: Quantity,
        /// The model.
        of: Expr,
        /// The share asked for.
        limit: Expr,
        /// A penalty: a function or a call that lacks (used share, asked share).
        by: Expr,
    },
    /// `minimize e`.
    Minimize(Expr),
    /// `report e`, `report name = e`.
    Report(Option<Name>, Expr),
    /// `train { … }`.
    Train(Train),
    /// `init net from "weights.safetensors" { … }`.
    Init(Init),
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Parameters.
    Params,
    /// Floating-point operations of one sample's forward pass.
    Flops,
}

/// The training plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// Settings and stages, in order.
    pub entries: Vec<PlanEntry>,
}

/// An entry of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanEntry {
    /// What it says.
    pub kind: PlanKind,
    /// All of it.
    pub span: Span,
}

/// What an entry of the plan says.
#[derive(Clone, Debug, PartialEq)]
pub enum PlanKind {
    /// `epochs = 20`, `optimizer = sgd(…)`; each name once in a block.
    Setting(Name, Expr),
    /// `optimizer for mask.s = …`: a path and an instance.
    OptimizerFor(Expr, Expr),
    /// `phase dense { … }`: settings and `every`.
    Phase(Option<Name>, Vec<PlanEntry>),
    /// `repeat round in 1..8 { … }`.
    Repeat(Local, Expr, Vec<PlanEntry>),
    /// `for w in weights { … }`.
    For(Local, Expr, Vec<PlanEntry>),
    /// `fire prune(0.7) on w`.
    Fire(Fire),
    /// `every 100 steps { fire refresh }`: events to fire.
    Every(Interval, Vec<PlanEntry>),
}

/// `fire prune(0.7) on w`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fire {
    /// The event.
    pub event: Name,
    /// What it is fired with.
    pub args: Vec<Arg>,
    /// Which tensors or layers it is for; all of them where nothing is said.
    pub on: Option<Expr>,
}

/// `init net from "weights.safetensors" { fc1.w = "layers.0.weight" }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Init {
    /// What is started: a model, or a path (pattern) of tensors.
    pub target: Expr,
    /// The file.
    pub file: Expr,
    /// Paths below the target, and what they are called in the file.
    pub names: Vec<Mapping>,
}

/// `fc1.w = "layers.0.weight"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// A path below the target.
    pub path: Vec<Segment>,
    /// What it is called in the file.
    pub file_name: Expr,
    /// Where the path stands.
    pub span: Span,
}

/// `data mnist = idx("mnist", …) { image = … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// The reader: `idx`, `csv`, `digits`, …
    pub source: Name,
    /// Its arguments.
    pub args: Vec<Arg>,
    /// The fields in the braces, each a function of the raw fields of the same data.
    pub fields: Vec<(Name, Expr)>,
}
