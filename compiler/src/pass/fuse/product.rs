//! Which contractions are matrix products, and of what.
//!
//! The labels of a contraction fall into four kinds: of both operands and the result (a *stack* of products),
//! of the left operand and the result (*rows*), of the right one and the result (*columns*), of both operands
//! only (*summed*). It is a matrix product if the labels of each kind step through memory as one.

use std::collections::BTreeMap;

use super::index::contiguous;
use crate::tir::{Einsum, Func, Op, Value};

/// Products with fewer multiplications are loops: they can be fused, and packing would cost more than it gains.
const SMALL: usize = 4096;

/// A matrix, or a stack of them: strides in elements of a row-major value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// The value that must be in memory.
    pub base: Value,
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next.
    pub col: usize,
    /// From one matrix to the next.
    pub stack: usize,
}

/// A matrix product that computes a whole value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// The length of the sums.
    pub k: usize,
    /// How many products.
    pub stack: usize,
    /// The left factor, `m × k`.
    pub a: Matrix,
    /// The right factor, `k × n`.
    pub b: Matrix,
    /// The result, `m × n`; its base is the contraction's value.
    pub c: Matrix,
}

/// A value that is looked at through transpositions, repetitions and reshapes: what lies below, and its stride for each axis.
pub fn view(func: &Func, value: Value) -> (Value, Vec<usize>) {
    let shape = &func.ty(value).shape;
    if let Op::Transpose(a, perm) = &func.def(value).op {
        let (base, strides) = view(func, *a);
        return (base, perm.iter().map(|from| strides[*from]).collect());
    }
    if let Op::Broadcast(a, dims) = &func.def(value).op {
        let (base, below) = view(func, *a);
        let mut strides = vec![0; shape.len()];
        dims.iter().zip(below).for_each(|(dim, stride)| strides[*dim] = stride);
        return (base, strides);
    }
    (base(func, value), contiguous(shape))
}

/// The value below reshapes: the same elements in the same order.
pub fn base(func: &Func, value: Value) -> Value {
    if let Op::Reshape(a) = &func.def(value).op { base(func, *a) } else { value }
}

/// The matrix product that a contraction is, if it is a worthwhile one.
pub fn of(func: &Func, value: Value) -> Option<Product> {
    let Op::Contract(einsum, lhs, rhs) = &func.def(value).op else {
        return None;
    };
    let (a, a_strides) = view(func, *lhs);
    let (b, b_strides) = view(func, *rhs);
    let c_strides = contiguous(&func.ty(value).shape);
    let labels = Labels {
        sizes: sizes(func, einsum, *lhs, *rhs),
        a: einsum.lhs.iter().copied().zip(a_strides).collect(),
        b: einsum.rhs.iter().copied().zip(b_strides).collect(),
        c: einsum.out.iter().copied().zip(c_strides).collect(),
    };
    labels.product(einsum, value, a, b)
}

/// The size of each label.
fn sizes(func: &Func, einsum: &Einsum, lhs: Value, rhs: Value) -> BTreeMap<u8, usize> {
    let left = einsum.lhs.iter().copied().zip(func.ty(lhs).shape.iter().copied());
    let right = einsum.rhs.iter().copied().zip(func.ty(rhs).shape.iter().copied());
    left.chain(right).collect()
}

/// Sizes, and strides in the three tensors, by label.
struct Labels {
    sizes: BTreeMap<u8, usize>,
    a: BTreeMap<u8, usize>,
    b: BTreeMap<u8, usize>,
    c: BTreeMap<u8, usize>,
}

/// One kind of labels as a single dimension.
struct Dim {
    size: usize,
    a: usize,
    b: usize,
    c: usize,
}

impl Labels {
    fn product(&self, einsum: &Einsum, value: Value, a: Value, b: Value) -> Option<Product> {
        let stack = self.merge(einsum.out.iter().filter(|l| self.a.contains_key(l) && self.b.contains_key(l)))?;
        let rows = self.merge(einsum.out.iter().filter(|l| !self.b.contains_key(l)))?;
        let cols = self.merge(einsum.out.iter().filter(|l| !self.a.contains_key(l)))?;
        let sum = self.merge(einsum.lhs.iter().filter(|l| !self.c.contains_key(l)))?;
        let worthwhile = rows.size > 1 && cols.size > 1 && sum.size > 1;
        (worthwhile && rows.size * cols.size * sum.size >= SMALL).then_some(Product {
            m: rows.size,
            n: cols.size,
            k: sum.size,
            stack: stack.size,
            a: Matrix { base: a, row: rows.a, col: sum.a, stack: stack.a },
            b: Matrix { base: b, row: sum.b, col: cols.b, stack: stack.b },
            c: Matrix { base: value, row: rows.c, col: cols.c, stack: stack.c },
        })
    }

    /// The labels as one dimension, if each steps as far as all positions of the next one do.
    fn merge<'a>(&self, labels: impl Iterator<Item = &'a u8>) -> Option<Dim> {
        let stride = |of: &BTreeMap<u8, usize>, label: &u8| of.get(label).copied().unwrap_or(0);
        let mut labels: Vec<&u8> = labels.filter(|label| self.sizes[label] > 1).collect();
        labels.sort_by_key(|l| std::cmp::Reverse((stride(&self.c, l), stride(&self.a, l), stride(&self.b, l))));
        let Some(last) = labels.last() else {
            return Some(Dim { size: 1, a: 0, b: 0, c: 0 });
        };
        let joins =
            |of: &BTreeMap<u8, usize>, pair: &[&u8]| stride(of, pair[0]) == stride(of, pair[1]) * self.sizes[pair[1]];
        let all = labels.windows(2).all(|pair| [&self.a, &self.b, &self.c].iter().all(|of| joins(of, pair)));
        let size = labels.iter().map(|label| self.sizes[*label]).product();
        let [a, b, c] = [&self.a, &self.b, &self.c].map(|of| stride(of, last));
        all.then_some(Dim { size, a, b, c })
    }
}
