//! Tensor expressions: what is computed from what, with types whose axes still have names.

use super::{DataId, ExprId, ParamId, StateId, Symbol};
use crate::diag::Span;
use crate::scalar::{Binary, Unary};
use crate::window::{ConvRole, Pooling, Window};

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
    /// A field of the current batch (its index in [`fields`](super::DataFacts::fields)): `[Batch, …]`.
    Field(DataId, usize),
    /// A tensor read by `load`: an index into [`literals`](super::Model::literals).
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
