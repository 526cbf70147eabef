//! Which contractions are matrix products, and of what.
//!
//! The labels of a contraction fall into four kinds: of both operands and the result (a *stack* of products),
//! of the left operand and the result (*rows*), of the right one and the result (*columns*), of both operands
//! only (*summed*). It is a matrix product if the labels of each kind step through memory as one; where rows or columns do not,
//! their outer labels may number products of the stack that share the other factor, and where summed labels do not, one of them
//! may number products that are added up (*terms*).

use std::collections::BTreeMap;

use spnc_runtime::kernels::gemm::Terms;

use super::index::{self, contiguous};
use crate::tir::{Einsum, Func, Op, Value};

/// Products with fewer multiplications are loops: they can be fused, and packing would cost more than it gains.
const SMALL: usize = 4096;

/// The fewest multiplications of each product where several are added up: each goes through the result once more.
const SMALL_TERM: usize = 32768;

/// The fewest numbers of a matrix that a single row is multiplied by: with fewer of them, what comes behind the product is better
/// fused with it.
const LARGE_MATRIX: usize = 16384;

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
    /// The first element.
    pub start: usize,
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
    /// How many results.
    pub stack: usize,
    /// The products that each of them is the sum of.
    pub terms: Terms,
    /// The left factor, `m × k`.
    pub a: Matrix,
    /// The right factor, `k × n`.
    pub b: Matrix,
    /// The result, `m × n`; its base is the contraction's value.
    pub c: Matrix,
}

/// What lies in memory below transpositions, repetitions, reshapes and slices of a value, and where its elements are in that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The value that must be in memory.
    pub base: Value,
    /// The element that the first one is.
    pub start: usize,
    /// How far one position along each axis moves.
    pub strides: Vec<usize>,
}

/// A value as a view of what must be in memory.
pub fn view(func: &Func, value: Value) -> View {
    let shape = &func.ty(value).shape;
    let mut space = vec![];
    let mut map = index::enter(shape, &mut space);
    let axes: Vec<Option<usize>> = map.iter().map(|index| index.terms.first().map(|term| term.axis)).collect();
    let mut below = value;
    while is_view(&func.def(below).op)
        && let Ok(mut operands) = index::operands(func, below, &map, &space)
    {
        (below, map) = operands.remove(0);
    }
    let strides = index::strides(&map, &func.ty(below).shape, space.len());
    let strides = axes.into_iter().map(|axis| axis.map_or(0, |axis| strides[axis])).collect();
    // A reshape that the axes cannot follow still has its elements where those of the value below it are.
    let inner = base(func, below);
    let (base, first) = if inner == value { (inner, 0) } else { run(func, inner) };
    View { base, start: first + index::start(&map, &func.ty(below).shape), strides }
}

fn is_view(op: &Op) -> bool {
    matches!(op, Op::Transpose(..) | Op::Broadcast(..) | Op::Reshape(_) | Op::Slice { .. })
}

/// A value as a run of neighbouring elements of what must be in memory: the latter, and the first element.
pub fn run(func: &Func, value: Value) -> (Value, usize) {
    let shape = &func.ty(value).shape;
    let View { base: below, start, strides } = view(func, value);
    let mut steps = strides.iter().zip(contiguous(shape)).zip(shape);
    let neighbours = steps.all(|((step, expected), size)| *size == 1 || *step == expected);
    if neighbours { (below, start) } else { (base(func, value), 0) }
}

/// What a routine reads to compute a value: numbers of rows that are the same for the whole batch are read once.
pub fn routine_operands(func: &Func, value: Value) -> Vec<Value> {
    let op = &func.def(value).op;
    let mut operands = op.operands();
    if let Op::Gather { batch, index, .. } | Op::Scatter { batch, index, .. } = op
        && let Op::Broadcast(list, dims) = &func.def(*index).op
        && dims.iter().copied().eq(*batch..func.ty(*index).rank())
    {
        operands[1] = *list;
    }
    operands
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
    let [a, b] = [*lhs, *rhs].map(|operand| view(func, operand));
    let c_strides = contiguous(&func.ty(value).shape);
    let labels = Labels {
        sizes: sizes(func, einsum, *lhs, *rhs),
        a: einsum.lhs.iter().copied().zip(a.strides.iter().copied()).collect(),
        b: einsum.rhs.iter().copied().zip(b.strides.iter().copied()).collect(),
        c: einsum.out.iter().copied().zip(c_strides).collect(),
    };
    labels.product(einsum, value, &a, &b)
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

/// Which labels number products: the first ones of the rows, or of the columns, those of the stack; one that is summed those
/// that are added up.
#[derive(Clone, Copy)]
struct Numbering {
    rows: usize,
    cols: usize,
    term: Option<u8>,
}

impl Labels {
    fn product(&self, einsum: &Einsum, value: Value, a: &View, b: &View) -> Option<Product> {
        let is_row = |l: &&u8| !self.b.contains_key(l);
        let is_col = |l: &&u8| !self.a.contains_key(l);
        let (rows, cols) = (einsum.out.iter().filter(is_row).count(), einsum.out.iter().filter(is_col).count());
        let cuts: Vec<(usize, usize)> =
            (0..rows.max(1)).map(|n| (n, 0)).chain((1..cols.max(1)).map(|n| (0, n))).collect();
        let mut terms: Vec<u8> = self.summed(einsum).filter(|l| self.sizes[l] > 1).collect();
        terms.sort_by_key(|label| self.sizes[label]);
        let terms = std::iter::once(None).chain(terms.into_iter().map(Some));
        let mut all =
            terms.flat_map(|term| cuts.iter().map(move |(rows, cols)| Numbering { rows: *rows, cols: *cols, term }));
        all.find_map(|numbering| self.product_with(einsum, value, a, b, numbering))
    }

    fn summed(&self, einsum: &Einsum) -> impl Iterator<Item = u8> {
        einsum.lhs.iter().copied().filter(|label| !self.c.contains_key(label))
    }

    fn product_with(&self, einsum: &Einsum, value: Value, a: &View, b: &View, numbering: Numbering) -> Option<Product> {
        let labels = |wanted: fn(&Labels, &u8) -> bool| einsum.out.iter().copied().filter(move |l| wanted(self, l));
        let both = labels(|of, l| of.a.contains_key(l) && of.b.contains_key(l));
        let (rows, cols) = (labels(|of, l| !of.b.contains_key(l)), labels(|of, l| !of.a.contains_key(l)));
        let stack =
            self.merge(both.chain(rows.clone().take(numbering.rows)).chain(cols.clone().take(numbering.cols)))?;
        let rows = self.merge(rows.skip(numbering.rows))?;
        let cols = self.merge(cols.skip(numbering.cols))?;
        let sum = self.merge(self.summed(einsum).filter(|label| Some(*label) != numbering.term))?;
        let terms = self.merge(numbering.term.into_iter())?;
        let has_rows = rows.size > 1 || stack.size == 1 && cols.size * sum.size >= LARGE_MATRIX;
        let worthwhile = has_rows && cols.size > 1 && sum.size > 1;
        let least = if numbering.term.is_some() { SMALL_TERM } else { SMALL };
        (worthwhile && rows.size * cols.size * sum.size >= least).then_some(Product {
            m: rows.size,
            n: cols.size,
            k: sum.size,
            stack: stack.size,
            terms: Terms { count: terms.size, a: terms.a, b: terms.b },
            a: Matrix { base: a.base, row: rows.a, col: sum.a, stack: stack.a, start: a.start },
            b: Matrix { base: b.base, row: sum.b, col: cols.b, stack: stack.b, start: b.start },
            c: Matrix { base: value, row: rows.c, col: cols.c, stack: stack.c, start: 0 },
        })
    }

    /// The labels as one dimension, if each steps as far as all positions of the next one do.
    fn merge(&self, labels: impl Iterator<Item = u8>) -> Option<Dim> {
        let stride = |of: &BTreeMap<u8, usize>, label: &u8| of.get(label).copied().unwrap_or(0);
        let mut labels: Vec<u8> = labels.filter(|label| self.sizes[label] > 1).collect();
        labels.sort_by_key(|l| std::cmp::Reverse((stride(&self.c, l), stride(&self.a, l), stride(&self.b, l))));
        let Some(last) = labels.last() else {
            return Some(Dim { size: 1, a: 0, b: 0, c: 0 });
        };
        let joins =
            |of: &BTreeMap<u8, usize>, pair: &[u8]| stride(of, &pair[0]) == stride(of, &pair[1]) * self.sizes[&pair[1]];
        let all = labels.windows(2).all(|pair| [&self.a, &self.b, &self.c].iter().all(|of| joins(of, pair)));
        let size = labels.iter().map(|label| self.sizes[label]).product();
        let [a, b, c] = [&self.a, &self.b, &self.c].map(|of| stride(of, last));
        all.then_some(Dim { size, a, b, c })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tir::parse;

    /// A row times a matrix of so many columns.
    fn row_times(columns: usize) -> Option<Product> {
        let params = format!("%0 = param x : f32[1, 256]\n%1 = param w : f32[256, {columns}]");
        let text =
            format!("func f {{\n{params}\n%2 = contract ab,bc->ac %0, %1 : f32[1, {columns}]\nreturn y = %2\n}}\n");
        let func = parse::func(&text).expect("a function");
        of(&func, Value(2))
    }

    #[test]
    fn a_single_row_is_a_factor_of_a_large_matrix_only() {
        let product = row_times(LARGE_MATRIX / 256).expect("a product");
        assert_eq!((product.m, product.n, product.k), (1, LARGE_MATRIX / 256, 256));
        assert_eq!(row_times(LARGE_MATRIX / 256 - 1), None);
    }
}
