//! TIR, the tensor IR.
//!
//! A [`Func`] is a straight line of single-assignment definitions over whole tensors: no loops, no
//! buffers, no layouts. A [`Value`] may only refer to values defined above it, so program order is a
//! topological order and no pass ever has to sort. Every shape is a list of known sizes: a program
//! is lowered once for each batch size that occurs.
//!
//! Broadcasting, transposition and conversion are explicit; elementwise operands have equal shapes.
//!
//! | who       | where                                     |
//! |-----------|-------------------------------------------|
//! | built by  | `lower::to_tir`                           |
//! | rewritten | `ad` (expands [`Op::Grad`]), `pass::*`    |
//! | consumed  | `lower::to_lir`                           |
//! | text form | [`mod@print`], [`parse`]                      |
//! | checked   | [`verify`]                                |
//! | executed  | [`interp`], the reference, in `f64`       |
//! | analysed  | [`zeros`]: the zero rule of each op       |
//!
//! # Parameters and results
//!
//! A function's inputs are named ([`Op::Param`]) and so are its results. **A result that has the name of an
//! input is that input's new value**: this is how a training step updates weights and states in place.
//! All reads of an input see its value from before the step.
//!
//! # Images
//!
//! What a window slides over has the axes batch, height, width, channels, in this order: `f32[B, H, W, C]`. Weights of a
//! convolution have the axes `f32[KH, KW, Cin / groups, Cout]`.

pub mod arbitrary;
pub mod build;
pub mod interp;
pub mod parse;
mod print;
pub mod verify;
pub mod zeros;

use std::fmt;
use std::sync::Arc;

use crate::scalar::{Binary, Unary};
use crate::window::{ConvRole, Pooling, Window};

/// A tensor-valued definition, printed `%3`. An index into [`Func::defs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub u32);

/// The type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// A real number: `f32` in compiled code, `f64` in the interpreter.
    F32,
    /// A signed integer.
    I32,
    /// True or false.
    Bool,
}

/// An element type and a shape, printed `f32[64, 784]`; `f32[]` is a scalar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// The type of each element.
    pub dtype: DType,
    /// The size of each axis, outermost first.
    pub shape: Vec<usize>,
}

/// How [`Op::Reduce`] combines elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Addition; 0 over nothing.
    Sum,
    /// The largest; negative infinity over nothing.
    Max,
    /// The smallest; infinity over nothing.
    Min,
}

/// What [`Op::Sparse`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SparseRole {
    /// The product of a compressed matrix and a dense one.
    Product,
    /// Of the product of a dense matrix and a dense one's transpose the elements where the pattern has some.
    Sampled,
}

/// Which axes of two operands are multiplied and summed: an Einstein summation.
///
/// Each axis of the operands and of the result carries a label. A label that does not occur in
/// `out` is summed over. Within one list no label repeats; every label of `out` occurs in `lhs` or `rhs`,
/// and a label that is summed over occurs in both. Printed `ij,jk->ik`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Einsum {
    /// Labels of the first operand's axes.
    pub lhs: Vec<u8>,
    /// Labels of the second operand's axes.
    pub rhs: Vec<u8>,
    /// Labels of the result's axes.
    pub out: Vec<u8>,
}

/// What a definition computes from its operands. The type of the result stands in [`Def::ty`].
///
/// Keep this set small: prefer composing existing ops to adding one.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The function's input with this name.
    Param(Arc<str>),
    /// Every element is this number (bools: 0 or 1).
    Const(f64),
    /// The position along one axis of the result (`i32` or `f32`).
    Iota(usize),
    /// A function of each element.
    Unary(Unary, Value),
    /// A function of each pair of elements; both operands have the same type.
    Binary(Binary, Value, Value),
    /// Where the first (bool) operand holds the second, elsewhere the third.
    Select(Value, Value, Value),
    /// The same numbers in another element type; to `i32` rounds toward zero, to bool tests `!= 0`.
    Convert(Value),
    /// Repetition along new axes: axis `i` of the operand is axis `dims[i]` of the result, sizes equal;
    /// `dims` increases strictly.
    Broadcast(Value, Vec<usize>),
    /// Axis `i` of the result is axis `perm[i]` of the operand.
    Transpose(Value, Vec<usize>),
    /// The same elements in row-major order under another shape.
    Reshape(Value),
    /// All elements along the given axes combined; `axes` increases strictly.
    Reduce(Reduction, Value, Vec<usize>),
    /// A sum of products of two tensors.
    Contract(Einsum, Value, Value),
    /// One of the three tensors of ⟨y, x * w⟩ from the other two, where `x * w` is the cross-correlation with zero padding:
    /// `y[b, i, j, o] = sum x[b, i s + k d - p, j s + l d - p, c] w[k, l, c, o]` over `k`, `l` and the channels `c` of the group
    /// of `o`. `x: f32[B, H, W, Cin]`, `w: f32[KH, KW, Cin / groups, Cout]`, `y: f32[B, Ho, Wo, Cout]`.
    Conv {
        /// What is computed: `y` from `(x, w)`, `x` from `(y, w)`, or `w` from `(x, y)`.
        role: ConvRole,
        /// The window over the input.
        window: Window,
        /// Channels are split into so many groups; an output channel sees the input channels of its group.
        groups: usize,
        /// The first operand.
        a: Value,
        /// The second operand.
        b: Value,
    },
    /// What each window sees combined: `f32[B, H, W, C]` to `f32[B, Ho, Wo, C]`.
    Pool(Pooling, Window, Value),
    /// The transpose of the pooling that sums: every element goes to all elements that its window sees, where they are
    /// added. `f32[B, Ho, Wo, C]` to `f32[B, H, W, C]`.
    Unpool(Window, Value),
    /// Every element of `ct` goes to the first (in row-major order) of the largest elements of `x` that its window sees,
    /// where they are added; 0 elsewhere. Has the type of `x`.
    UnpoolMax {
        /// The window.
        window: Window,
        /// What is compared: `f32[B, H, W, C]`.
        x: Value,
        /// What goes there: `f32[B, Ho, Wo, C]`.
        ct: Value,
    },
    /// The elements of `a` with others around and between them: along axis `d` first `lo[d]` new ones, then those of `a`
    /// with `gap[d]` new ones between neighbours, then `hi[d]` new ones.
    Pad {
        /// What the new elements are.
        value: f64,
        /// How many stand before.
        lo: Vec<usize>,
        /// How many stand behind.
        hi: Vec<usize>,
        /// How many stand between two neighbours.
        gap: Vec<usize>,
        /// The tensor.
        a: Value,
    },
    /// Some elements: those at `start[d] + i step[d]` along axis `d`, as many as the result's type says.
    Slice {
        /// The first position.
        start: Vec<usize>,
        /// From one position to the next; at least 1.
        step: Vec<usize>,
        /// The tensor.
        a: Value,
    },
    /// The tensors (at least one) one behind the other along one axis.
    Concat(Vec<Value>, usize),
    /// Rows of a table by their numbers: `table: T[batch.., N, rest..]`, `index: i32[batch.., I..]` to
    /// `T[batch.., I.., rest..]`. A number outside 0..N gives 0, so this is the product of `index`, one-hot, with the table.
    Gather {
        /// How many leading axes both have in common.
        batch: usize,
        /// The rows.
        table: Value,
        /// Their numbers.
        index: Value,
    },
    /// The transpose of [`Op::Gather`]: `values: f32[batch.., I.., rest..]`, `index: i32[batch.., I..]` to
    /// `f32[batch.., N, rest..]`: row `n` is the sum of all values whose number is `n`. Numbers outside 0..N are left out.
    Scatter {
        /// How many leading axes both have in common.
        batch: usize,
        /// What is added up.
        values: Value,
        /// Where.
        index: Value,
    },
    /// Whether an element is among the `k` largest along the last axis; among equal ones those that stand first.
    /// `f32` to `bool`; its derivative is zero.
    TopK(Value, usize),
    /// The sum of all elements up to each one along an axis, itself included (`f32`).
    CumSum {
        /// The numbers.
        a: Value,
        /// Along which axis.
        axis: usize,
        /// Whether the sums start at the end.
        reverse: bool,
    },
    /// Independent numbers in [0, 1), a pure function of `seed`, `step` (`i32[]` each), `site` and the element's
    /// row-major position: see `spnc_runtime::random`.
    Uniform {
        /// The run's seed.
        seed: Value,
        /// The step that draws.
        step: Value,
        /// Which place of the program draws.
        site: u64,
    },
    /// One of two tensors of ⟨y, W x⟩ from the other two, where the matrix `W: [R, C]` is *compressed*: `w: f32[n]` are its elements that
    /// need not be zero, and a pattern says where they stand. `x: f32[C, B]`, `y: f32[R, B]`.
    ///
    /// The pattern, `i32`, is `R + 1` starts (row `r` has the elements from `start[r]` to `start[r + 1]`), then `n` columns, then, if it is
    /// *ordered*, `n` places: element `k` is `w[place[k]]`, and no place occurs twice. Starts do not decrease and end with `n`. See
    /// `spnc_runtime::kernels::sparse`.
    Sparse {
        /// What is computed: `y` from `(w, x)`, or `w` from `(y, x)`.
        role: SparseRole,
        /// The first operand.
        a: Value,
        /// The second operand.
        b: Value,
        /// Where the elements stand.
        pattern: Value,
    },
    /// The smallest element `v` of the one-axis operand (first) for which at least a share `q` (second, a scalar) of the
    /// elements is `<= v`; for `q <= 0` the smallest element. Its derivative is zero.
    Quantile(Value, Value),
    /// The value of the first operand, the derivative of the second (`a with gradient of b`).
    WithGradient(Value, Value),
    /// The derivative of a scalar (first) by an earlier value (second). `ad` replaces it; no pass runs before that.
    Grad(Value, Value),
}

/// Where a definition comes from, for people: printed behind the definition as a comment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The source position, as `file:line:column`; empty where there is none.
    pub place: String,
    /// The layer instance or declaration, as `net.fc1`; empty where there is none.
    pub path: String,
    /// Whether this computes a cotangent of what stands at `place`.
    pub cotangent: bool,
}

/// One definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Def {
    /// What is computed.
    pub op: Op,
    /// The type of the result.
    pub ty: Type,
    /// Where it comes from.
    pub origin: Option<Arc<Origin>>,
}

/// A function of named tensors to named tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Func {
    /// Its name: `train_step`, `evaluate`, …
    pub name: String,
    /// The definitions, operands before uses.
    pub defs: Vec<Def>,
    /// What it returns, by name.
    pub results: Vec<(Arc<str>, Value)>,
}

/// The functions of a program.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Module {
    /// In the order they are printed.
    pub funcs: Vec<Func>,
}

impl Type {
    /// A type with this element type and shape.
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>) -> Type {
        Type { dtype, shape: shape.into() }
    }

    /// `f32` of this shape.
    pub fn f32(shape: impl Into<Vec<usize>>) -> Type {
        Type::new(DType::F32, shape)
    }

    /// A type with no axes.
    pub fn scalar(dtype: DType) -> Type {
        Type::new(dtype, [])
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// This shape with another element type.
    pub fn with_dtype(&self, dtype: DType) -> Type {
        Type::new(dtype, self.shape.clone())
    }
}

impl Op {
    /// The operands, in order.
    pub fn operands(&self) -> Vec<Value> {
        match self {
            Op::Param(_) | Op::Const(_) | Op::Iota(_) => vec![],
            Op::Unary(_, a) | Op::Convert(a) | Op::Reshape(a) => vec![*a],
            Op::Broadcast(a, _) | Op::Transpose(a, _) | Op::Reduce(_, a, _) => vec![*a],
            Op::Binary(_, a, b) | Op::Contract(_, a, b) | Op::Quantile(a, b) => vec![*a, *b],
            Op::WithGradient(a, b) | Op::Grad(a, b) => vec![*a, *b],
            Op::Select(c, a, b) => vec![*c, *a, *b],
            Op::Uniform { seed, step, site: _ } => vec![*seed, *step],
            Op::Conv { a, b, .. } => vec![*a, *b],
            Op::Pool(_, _, a) | Op::Unpool(_, a) | Op::TopK(a, _) => vec![*a],
            Op::Pad { a, .. } | Op::Slice { a, .. } | Op::CumSum { a, .. } => vec![*a],
            Op::UnpoolMax { x, ct, window: _ } => vec![*x, *ct],
            Op::Concat(parts, _) => parts.clone(),
            Op::Gather { table, index, batch: _ } => vec![*table, *index],
            Op::Scatter { values, index, batch: _ } => vec![*values, *index],
            Op::Sparse { a, b, pattern, role: _ } => vec![*a, *b, *pattern],
        }
    }

    /// The operands, to be rewritten.
    pub fn operands_mut(&mut self) -> Vec<&mut Value> {
        match self {
            Op::Param(_) | Op::Const(_) | Op::Iota(_) => vec![],
            Op::Unary(_, a) | Op::Convert(a) | Op::Reshape(a) => vec![a],
            Op::Broadcast(a, _) | Op::Transpose(a, _) | Op::Reduce(_, a, _) => vec![a],
            Op::Binary(_, a, b) | Op::Contract(_, a, b) | Op::Quantile(a, b) => vec![a, b],
            Op::WithGradient(a, b) | Op::Grad(a, b) => vec![a, b],
            Op::Select(c, a, b) => vec![c, a, b],
            Op::Uniform { seed, step, site: _ } => vec![seed, step],
            Op::Conv { a, b, .. } => vec![a, b],
            Op::Pool(_, _, a) | Op::Unpool(_, a) | Op::TopK(a, _) => vec![a],
            Op::Pad { a, .. } | Op::Slice { a, .. } | Op::CumSum { a, .. } => vec![a],
            Op::UnpoolMax { x, ct, window: _ } => vec![x, ct],
            Op::Concat(parts, _) => parts.iter_mut().collect(),
            Op::Gather { table, index, batch: _ } => vec![table, index],
            Op::Scatter { values, index, batch: _ } => vec![values, index],
            Op::Sparse { a, b, pattern, role: _ } => vec![a, b, pattern],
        }
    }
}

impl Func {
    /// An empty function.
    pub fn new(name: impl Into<String>) -> Func {
        Func { name: name.into(), defs: vec![], results: vec![] }
    }

    /// The definition of `value`.
    pub fn def(&self, value: Value) -> &Def {
        &self.defs[value.0 as usize]
    }

    /// The type of `value`.
    pub fn ty(&self, value: Value) -> &Type {
        &self.def(value).ty
    }

    /// Appends a definition.
    pub fn push(&mut self, op: Op, ty: Type, origin: Option<Arc<Origin>>) -> Value {
        self.defs.push(Def { op, ty, origin });
        Value(self.defs.len() as u32 - 1)
    }

    /// All values, in program order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = Value> + use<> {
        (0..self.defs.len() as u32).map(Value)
    }

    /// The inputs, by name, in program order.
    pub fn params(&self) -> impl Iterator<Item = (&Arc<str>, Value, &Type)> {
        self.values().filter_map(|value| {
            let def = self.def(value);
            if let Op::Param(name) = &def.op { Some((name, value, &def.ty)) } else { None }
        })
    }

    /// The result with this name.
    pub fn result(&self, name: &str) -> Option<Value> {
        self.results.iter().find(|(n, _)| &**n == name).map(|(_, value)| *value)
    }
}

impl Module {
    /// The function with this name.
    pub fn func(&self, name: &str) -> Option<&Func> {
        self.funcs.iter().find(|f| f.name == name)
    }
}

impl SparseRole {
    /// Its name in the text forms.
    pub fn name(self) -> &'static str {
        match self {
            SparseRole::Product => "sparse_product",
            SparseRole::Sampled => "sparse_sampled",
        }
    }
}

impl DType {
    /// Its name in the text forms.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::I32 => "i32",
            DType::Bool => "bool",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        write!(f, "{}[{}]", self.dtype, sizes.join(", "))
    }
}
