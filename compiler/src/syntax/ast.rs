//! AST: what the text says, form by form, before any name is looked up.
//!
//! Every node knows its place. Parentheses are gone (precedence is in the tree), comments too, but for doc
//! comments; sugar is kept, so that [`print`](fn@super::print) gives the program back.

use std::sync::Arc;

use crate::diag::Span;

/// A shared piece of text.
pub type Symbol = Arc<str>;

/// A name with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The text.
    pub text: Symbol,
    /// Where it stands.
    pub span: Span,
}

/// A file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The `//!` lines it starts with, without the slashes.
    pub doc: String,
    /// Its declarations, in order.
    pub items: Vec<Item>,
}

/// A declaration.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The `///` lines above it, without the slashes.
    pub doc: String,
    /// What it declares.
    pub kind: ItemKind,
    /// All of it but the doc comment.
    pub span: Span,
}

/// What an item declares.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `use std.layers.{Dense, flatten}`.
    Use(Use),
    /// `const lambda = 2e-4`.
    Const(Name, Expr),
    /// `fn f(x) = …`.
    Fn(Fn),
    /// `layer Dense[Out](x: [B, In]) -> [B, Out] { … }`.
    Layer(Layer),
    /// `data mnist = idx("mnist")`.
    Data(Data),
    /// `model net = LeNet300`.
    Model(Name, Expr),
    /// `group neurons = net.fc1.w by In`.
    Group(Name, Expr),
    /// `sparsify neurons with Own as mask`.
    Sparsify(Sparsify),
    /// `proximal neurons with prox_l21(1e-4)`: target and operator.
    Proximal(Expr, Expr),
    /// `budget params(net) <= 15% by one_sided(10)`.
    Budget(Budget),
    /// `minimize e`.
    Minimize(Expr),
    /// `report e`, `report error = e`.
    Report(Option<Name>, Expr),
    /// `train { … }`.
    Train(Vec<PlanEntry>),
    /// `init net from "weights.safetensors"`.
    Init(Init),
}

/// An import: names of one module.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// `std.layers`, segment by segment; empty where only a name was written.
    pub module: Vec<Name>,
    /// The names, each with what it is called here.
    pub names: Vec<UseName>,
    /// Whether they stood in braces.
    pub braces: bool,
}

/// An imported name.
#[derive(Clone, Debug, PartialEq)]
pub struct UseName {
    /// What it is called in its module.
    pub name: Name,
    /// What it is called here, after `as`.
    pub alias: Option<Name>,
}

/// A function.
#[derive(Clone, Debug, PartialEq)]
pub struct Fn {
    /// Its name.
    pub name: Name,
    /// What it takes.
    pub inputs: Vec<Input>,
    /// What stands after `->`: nothing, one type, or several.
    pub result: Vec<TensorType>,
    /// What it computes.
    pub body: Body,
}

/// A layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its name.
    pub name: Name,
    /// The sizes in brackets, with their defaults.
    pub sizes: Vec<(Name, Option<Expr>)>,
    /// The first parentheses, where there are two.
    pub settings: Option<Vec<Input>>,
    /// The inputs.
    pub inputs: Vec<Input>,
    /// What stands after `->`.
    pub result: Vec<TensorType>,
    /// What it computes.
    pub body: Body,
}

/// A setting or an input.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: Name,
    /// What stands after `:`.
    pub ty: Option<InputType>,
    /// What stands after `=`.
    pub default: Option<Expr>,
}

/// The type of an input.
#[derive(Clone, Debug, PartialEq)]
pub enum InputType {
    /// A tensor.
    Tensor(TensorType),
    /// `axis`: a name of an axis.
    Axis(Span),
}

/// `f32[B, row: N, ...S]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorType {
    /// `f32`, `i32` or `bool`, where it is written.
    pub dtype: Option<Name>,
    /// The axes.
    pub axes: Vec<Axis>,
    /// All of it.
    pub span: Span,
}

/// One axis of a type or shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Axis {
    /// `B`, `3`, `In * K`.
    Size(Expr),
    /// `row: N`.
    Named(Name, Expr),
    /// `...S`.
    Rest(Name),
}

/// The body of a function or layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// `= e`.
    Expr(Expr),
    /// `{ … }`.
    Block(Block),
}

/// Lines, and the value on the last one.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// All but the last line.
    pub stmts: Vec<Stmt>,
    /// The last line.
    pub value: Box<Expr>,
    /// With the braces.
    pub span: Span,
}

/// A line of a block that is not its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// All of it.
    pub span: Span,
}

/// What a line does.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `param w: [In, Out] ~ he_normal(fan_in: In)`.
    Param(Name, TensorType, Start),
    /// `state mask: [G] = 1`.
    State(Name, TensorType, Start),
    /// `measure density = e`.
    Measure(Name, Expr),
    /// `x = e`, `h: [B, Hidden] = e`.
    Bind(Name, Option<TensorType>, Expr),
    /// `(m, v) = e`.
    BindTuple(Vec<Name>, Expr),
    /// `mask <- e`, `raw(w) <- e`.
    Update(Target, Expr),
    /// `on reweight(tau) { … }`.
    On(Name, Vec<Input>, Vec<Stmt>),
    /// `every 100 steps { … }`.
    Every(Interval, Vec<Stmt>),
}

/// How a parameter or state starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// `= e`.
    Value(Expr),
    /// `~ e`.
    Draw(Expr),
}

/// What `<-` writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Whether it stood in `raw(…)`.
    pub raw: bool,
    /// The name or path.
    pub path: Expr,
}

/// How often something happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Interval {
    /// `every epoch`.
    Epoch,
    /// `every 100 steps`.
    Steps(Expr),
}

/// `data mnist = idx("mnist") { image = image / 255 }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// Its name.
    pub name: Name,
    /// The reader.
    pub source: Name,
    /// The reader's arguments.
    pub args: Vec<Arg>,
    /// The fields in the braces.
    pub fields: Vec<(Name, Expr)>,
}

/// `sparsify weights with Weigh then Cut as mask`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparsify {
    /// What is made sparse.
    pub target: Expr,
    /// How; the first one is applied first.
    pub with: Vec<Expr>,
    /// The name after `as`.
    pub name: Option<Name>,
}

/// `budget params(net) <= 15% by one_sided(10)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// `params` or `flops`.
    pub quantity: Name,
    /// Of what.
    pub of: Expr,
    /// The share.
    pub limit: Expr,
    /// The penalty.
    pub by: Expr,
}

/// `init net from "weights.safetensors" { fc1.w = "layers.0.weight" }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Init {
    /// What is started.
    pub target: Expr,
    /// The file.
    pub file: Expr,
    /// Paths below the target, and what they are called in the file.
    pub names: Vec<(Expr, Expr)>,
}

/// An entry of the training plan.
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
    /// `epochs = 20`.
    Setting(Name, Expr),
    /// `optimizer for mask.s = sgd(lr: 0.1)`.
    OptimizerFor(Expr, Expr),
    /// `phase dense { … }`.
    Phase(Option<Name>, Vec<PlanEntry>),
    /// `repeat round in 1..8 { … }`.
    Repeat(Name, Expr, Vec<PlanEntry>),
    /// `for w in weights { … }`.
    For(Name, Expr, Vec<PlanEntry>),
    /// `fire prune(0.7) on w`.
    Fire(Expr, Option<Expr>),
    /// `every epoch { … }`.
    Every(Interval, Vec<PlanEntry>),
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
    /// `2e-4`, `15%`: the value and the text.
    Number(f64, Symbol),
    /// `"mnist"`, without quotes and escapes.
    Str(Symbol),
    /// `true`, `false`.
    Bool(bool),
    /// A name.
    Name(Symbol),
    /// `a.b`.
    Field(Box<Expr>, Segment),
    /// `f(x, p: 0.5)`.
    Call(Box<Expr>, Vec<Arg>),
    /// `Dense[Out = 300]`.
    Sized(Box<Expr>, Vec<(Name, Expr)>),
    /// `-x`, `not x`.
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `a..b`.
    Range(Box<Expr>, Box<Expr>),
    /// `x |> f`.
    Pipe(Box<Expr>, Box<Expr>),
    /// `a with gradient of b`.
    WithGradient(Box<Expr>, Box<Expr>),
    /// `if c { a } else { b }`; the second block of an `else if` holds only another `if`.
    If(Box<Expr>, Block, Block),
    /// `{ … }`.
    Block(Block),
    /// `(a, b)`.
    Tuple(Vec<Expr>),
    /// `[B, N]`.
    Shape(Vec<Axis>),
    /// `mean over set of e`.
    Over(Over, Box<Expr>, Box<Expr>),
    /// `net.fc1.w by In`.
    By(Box<Expr>, By),
}

/// How `over` combines the members of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// `mean over`.
    Mean,
    /// `max over`.
    Max,
    /// `each over`.
    Each,
}

/// How a tensor is cut into groups.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// `In`, `(Out, KH)`, `In / 16`.
    Axes(Vec<Name>, Option<Box<Expr>>),
    /// `whole`.
    Whole,
    /// `each`.
    Each,
    /// `blocks(4, 4)`.
    Blocks(Vec<Expr>),
}

/// A segment of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Segment {
    /// `w`, `0`.
    Name(Name),
    /// `{fc1, fc2}`.
    OneOf(Vec<Name>, Span),
    /// `conv*`, `*`.
    Glob(Name),
    /// `**`.
    Any(Span),
}

/// An argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// `p` in `p: 0.5`.
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
#[expect(missing_docs, reason = "`BinaryOp::text` says what each looks like, and the operators are the usual ones")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    MatMul,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    And,
    Or,
}

impl Expr {
    /// The name that it is, if it is one.
    pub fn as_name(&self) -> Option<Name> {
        if let ExprKind::Name(text) = &self.kind {
            return Some(Name { text: text.clone(), span: self.span });
        }
        None
    }
}

impl BinaryOp {
    /// What it looks like.
    pub fn text(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Pow => "^",
            BinaryOp::MatMul => "@",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
        }
    }
}

impl Over {
    /// The word before `over`.
    pub fn text(self) -> &'static str {
        match self {
            Over::Mean => "mean",
            Over::Max => "max",
            Over::Each => "each",
        }
    }
}
