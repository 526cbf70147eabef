//! Building a [`Func`] definition by definition, with the types of results worked out.
//!
//! [`Build`] says how; a [`Builder`] appends to a function, and a pass that writes a function anew has a
//! builder of its own. The operands that are given must fit, as the verifier demands.

use std::sync::Arc;

use super::{DType, Einsum, Func, Op, Origin, Reduction, SparseRole, Type, Value};
use crate::scalar::{Binary, Unary};
use crate::window::{ConvRole, Pooling, Window};

/// Appends to a function; what it appends carries `origin`.
#[derive(Debug)]
pub struct Builder<'a> {
    /// The function that grows.
    pub func: &'a mut Func,
    /// Where the next definitions come from.
    pub origin: Option<Arc<Origin>>,
}

impl Build for Builder<'_> {
    fn func(&self) -> &Func {
        self.func
    }

    fn push(&mut self, op: Op, ty: Type) -> Value {
        self.func.push(op, ty, self.origin.clone())
    }
}

/// Makes definitions; each method returns a value of the definition that its name says.
pub trait Build {
    /// The function so far.
    fn func(&self) -> &Func;

    /// The definition `op` of type `ty`, or a value equal to it.
    fn push(&mut self, op: Op, ty: Type) -> Value;

    /// The type of `value`.
    fn ty(&self, value: Value) -> &Type {
        self.func().ty(value)
    }

    /// A tensor of type `ty`, all of whose elements are `number`.
    fn constant(&mut self, number: f64, ty: Type) -> Value {
        self.push(Op::Const(number), ty)
    }

    /// All elements `number`, of the type of `like`.
    fn constant_like(&mut self, number: f64, like: Value) -> Value {
        let ty = self.ty(like).clone();
        self.constant(number, ty)
    }

    /// `f` of each element.
    fn unary(&mut self, f: Unary, a: Value) -> Value {
        let ty = self.ty(a).clone();
        self.push(Op::Unary(f, a), ty)
    }

    /// `f` of each pair of elements.
    fn binary(&mut self, f: Binary, a: Value, b: Value) -> Value {
        let ty = binary_type(f, self.ty(a));
        self.push(Op::Binary(f, a, b), ty)
    }

    /// `a + b`.
    fn add(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Add, a, b)
    }

    /// `a * b`.
    fn mul(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Mul, a, b)
    }

    /// `if_true` where `cond` holds, else `if_false`.
    fn select(&mut self, cond: Value, if_true: Value, if_false: Value) -> Value {
        let ty = self.ty(if_true).clone();
        self.push(Op::Select(cond, if_true, if_false), ty)
    }

    /// The same numbers as `dtype`.
    fn convert(&mut self, a: Value, dtype: DType) -> Value {
        let ty = self.ty(a).with_dtype(dtype);
        self.push(Op::Convert(a), ty)
    }

    /// `a` repeated along new axes: its axis `i` is axis `dims[i]` of `shape`.
    fn broadcast(&mut self, a: Value, dims: Vec<usize>, shape: Vec<usize>) -> Value {
        let ty = Type::new(self.ty(a).dtype, shape);
        self.push(Op::Broadcast(a, dims), ty)
    }

    /// `a` with axis `perm[i]` as axis `i`.
    fn transpose(&mut self, a: Value, perm: Vec<usize>) -> Value {
        let shape: Vec<usize> = perm.iter().map(|axis| self.ty(a).shape[*axis]).collect();
        let ty = Type::new(self.ty(a).dtype, shape);
        self.push(Op::Transpose(a, perm), ty)
    }

    /// The elements of `a`, in order, under another shape.
    fn reshape(&mut self, a: Value, shape: Vec<usize>) -> Value {
        let ty = Type::new(self.ty(a).dtype, shape);
        self.push(Op::Reshape(a), ty)
    }

    /// The elements of `a` along `axes` combined.
    fn reduce(&mut self, reduction: Reduction, a: Value, axes: Vec<usize>) -> Value {
        let kept = complement(&axes, self.ty(a).rank());
        let shape: Vec<usize> = kept.iter().map(|axis| self.ty(a).shape[*axis]).collect();
        let ty = Type::new(self.ty(a).dtype, shape);
        self.push(Op::Reduce(reduction, a, axes), ty)
    }

    /// The sum of products of `a` and `b` that `einsum` says.
    fn contract(&mut self, einsum: Einsum, a: Value, b: Value) -> Value {
        let shape = einsum.out_shape(self.ty(a), self.ty(b));
        let ty = Type::new(self.ty(a).dtype, shape);
        self.push(Op::Contract(einsum, a, b), ty)
    }

    /// The tensor of a convolution that `role` says, of the given shape.
    fn conv(&mut self, role: ConvRole, window: Window, groups: usize, [a, b]: [Value; 2], shape: Vec<usize>) -> Value {
        self.push(Op::Conv { role, window, groups, a, b }, Type::f32(shape))
    }

    /// What each window sees of the image combined.
    fn pool(&mut self, how: Pooling, window: Window, a: Value) -> Value {
        let mut shape = self.ty(a).shape.clone();
        for d in 0..2 {
            shape[1 + d] = window.output(d, shape[1 + d]).expect("the window fits");
        }
        self.push(Op::Pool(how, window, a), Type::f32(shape))
    }

    /// Every element of `a` added to those of an image of this shape that its window sees.
    fn unpool(&mut self, window: Window, a: Value, shape: Vec<usize>) -> Value {
        self.push(Op::Unpool(window, a), Type::f32(shape))
    }

    /// Every element of `ct` added where the largest element of `x` stands that its window sees.
    fn unpool_max(&mut self, window: Window, x: Value, ct: Value) -> Value {
        let ty = self.ty(x).clone();
        self.push(Op::UnpoolMax { window, x, ct }, ty)
    }

    /// `a` with new elements `value` before, behind and between its own.
    fn pad(&mut self, value: f64, [lo, hi, gap]: [Vec<usize>; 3], a: Value) -> Value {
        let Type { dtype, shape } = self.ty(a).clone();
        let size = |d: usize| lo[d] + shape[d] + gap[d] * shape[d].saturating_sub(1) + hi[d];
        let ty = Type::new(dtype, (0..shape.len()).map(size).collect::<Vec<_>>());
        self.push(Op::Pad { value, lo, hi, gap, a }, ty)
    }

    /// The elements of `a` from `start` by `step`, `shape` many.
    fn slice(&mut self, start: Vec<usize>, step: Vec<usize>, a: Value, shape: Vec<usize>) -> Value {
        let ty = Type::new(self.ty(a).dtype, shape);
        self.push(Op::Slice { start, step, a }, ty)
    }

    /// At least one tensor, one behind the other along `axis`.
    fn concat(&mut self, parts: Vec<Value>, axis: usize) -> Value {
        let mut ty = self.ty(parts[0]).clone();
        ty.shape[axis] = parts.iter().map(|part| self.ty(*part).shape[axis]).sum();
        self.push(Op::Concat(parts, axis), ty)
    }

    /// The rows of `table` at `index`, with `batch` leading axes in common.
    fn gather(&mut self, batch: usize, table: Value, index: Value) -> Value {
        let Type { dtype, shape } = self.ty(table).clone();
        let shape = [&self.ty(index).shape, &shape[batch + 1..]].concat();
        self.push(Op::Gather { batch, table, index }, Type::new(dtype, shape))
    }

    /// A table of `rows` rows, to which `values` are added at `index`, with `batch` leading axes in common.
    fn scatter(&mut self, batch: usize, values: Value, index: Value, rows: usize) -> Value {
        let rest = &self.ty(values).shape[self.ty(index).rank()..];
        let shape = [&self.ty(index).shape[..batch], &[rows], rest].concat();
        self.push(Op::Scatter { batch, values, index }, Type::f32(shape))
    }

    /// The product of the matrix with the elements `w` at a pattern, of `rows` rows, and `x`.
    fn sparse_product(&mut self, w: Value, x: Value, pattern: Value, rows: usize) -> Value {
        let ty = Type::f32([rows, self.ty(x).shape[1]]);
        self.push(Op::Sparse { role: SparseRole::Product, a: w, b: x, pattern }, ty)
    }

    /// The `count` elements of `y xᵀ` at a pattern.
    fn sparse_sampled(&mut self, y: Value, x: Value, pattern: Value, count: usize) -> Value {
        self.push(Op::Sparse { role: SparseRole::Sampled, a: y, b: x, pattern }, Type::f32([count]))
    }

    /// Whether each element is among the `k` largest along the last axis.
    fn top_k(&mut self, a: Value, k: usize) -> Value {
        let ty = self.ty(a).with_dtype(DType::Bool);
        self.push(Op::TopK(a, k), ty)
    }

    /// Running sums along `axis`, from its end if `reverse`.
    fn cumsum(&mut self, a: Value, axis: usize, reverse: bool) -> Value {
        let ty = self.ty(a).clone();
        self.push(Op::CumSum { a, axis, reverse }, ty)
    }
}

impl Einsum {
    /// The same contraction with the labels `a`, `b`, … in the order in which they first occur.
    pub fn canonical(&self) -> Einsum {
        let mut seen: Vec<u8> = vec![];
        let mut letter = |label: &u8| {
            let position = seen.iter().position(|l| l == label).unwrap_or_else(|| {
                seen.push(*label);
                seen.len() - 1
            });
            b'a' + position as u8
        };
        let mut letters = |labels: &[u8]| labels.iter().map(&mut letter).collect();
        Einsum { lhs: letters(&self.lhs), rhs: letters(&self.rhs), out: letters(&self.out) }
    }

    /// The shape of the result for operands of these types.
    pub fn out_shape(&self, lhs: &Type, rhs: &Type) -> Vec<usize> {
        let left = self.lhs.iter().zip(&lhs.shape);
        let right = self.rhs.iter().zip(&rhs.shape);
        let sizes: Vec<(&u8, &usize)> = left.chain(right).collect();
        let size = |label: &u8| sizes.iter().find(|(l, _)| *l == label).map(|(_, size)| **size);
        self.out.iter().map(|label| size(label).expect("a label of the result is one of an operand")).collect()
    }
}

/// What a slice leaves out: how many elements before, behind and between those that it takes, along each axis.
pub fn left_out(start: &[usize], step: &[usize], part: &[usize], whole: &[usize]) -> [Vec<usize>; 3] {
    let along = |d: usize| match part[d] {
        0 => [0, whole[d], 0],
        count => [start[d], whole[d] - 1 - start[d] - (count - 1) * step[d], step[d] - 1],
    };
    [0, 1, 2].map(|list| (0..whole.len()).map(|d| along(d)[list]).collect())
}

/// The axes below `rank` that are not in `axes`, in order.
pub fn complement(axes: &[usize], rank: usize) -> Vec<usize> {
    (0..rank).filter(|axis| !axes.contains(axis)).collect()
}

/// The permutation that undoes `perm`.
pub fn inverse(perm: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; perm.len()];
    for (i, axis) in perm.iter().enumerate() {
        inverse[*axis] = i;
    }
    inverse
}

fn binary_type(f: Binary, operand: &Type) -> Type {
    if f.is_predicate() { operand.with_dtype(DType::Bool) } else { operand.clone() }
}
