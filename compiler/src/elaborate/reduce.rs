//! Reductions over named axes, and contractions.

use super::arith::At;
use super::errors::ShapeMistake;
use super::value::{Label, Tensor, Value};
use super::{Elab, Eval};
use crate::diag::Span;
use crate::model::{DType, ExprId, Op, Reduction, Size};
use crate::scalar::{Binary, Unary};

impl Elab<'_, '_> {
    /// The positions of the named axes in a tensor; all where none is named.
    pub(super) fn positions(&mut self, tensor: &Tensor, at: Span, axes: &[At<'_>]) -> Eval<Vec<usize>> {
        if axes.is_empty() {
            return Ok((0..tensor.labels.len()).collect());
        }
        let mut positions = vec![];
        for (value, span) in axes {
            for label in self.axis_labels(value, *span)? {
                positions.push(self.position(tensor, at, &label, *span)?);
            }
        }
        positions.sort_unstable();
        positions.dedup();
        Ok(positions)
    }

    /// The axes that an argument names.
    pub(super) fn axis_labels(&mut self, value: &Value, span: Span) -> Eval<Vec<Label>> {
        match value {
            Value::Poison => Err(super::Failed),
            Value::Size(label, _) => Ok(vec![label.clone()]),
            Value::Axes(axes) => Ok(axes.iter().map(|(label, _)| label.clone()).collect()),
            other => Err(self.blame(ShapeMistake::NotAnAxis { span, found: other.kind() })),
        }
    }

    fn position(&mut self, tensor: &Tensor, at: Span, label: &Label, span: Span) -> Eval<usize> {
        let same = |own: &Option<Label>| {
            own.as_ref() == Some(label) || self.relation(own.as_ref(), Some(label)) == super::align::Relation::Same
        };
        let found: Vec<usize> = (0..tensor.labels.len()).filter(|&i| same(&tensor.labels[i])).collect();
        match found.as_slice() {
            [position] => Ok(*position),
            [] => {
                let (name, found) = (label.name.clone(), self.shown(tensor));
                let own: Vec<&Label> = tensor.labels.iter().flatten().collect();
                let foreign = own.iter().any(|own| own.name == name && own.scope != label.scope);
                let known = own.into_iter().filter(|own| own.scope == label.scope);
                let names = known.filter_map(|own| self.shown_name(own)).collect();
                Err(self.blame(ShapeMistake::NoSuchAxis { span, tensor: at, name, found, names, foreign }))
            }
            [_, _, ..] => {
                let (name, shown) = (label.name.clone(), self.shown(tensor));
                Err(self.blame(ShapeMistake::AmbiguousAxis { span, operands: vec![(at, shown)], name }))
            }
        }
    }

    /// All elements along axes combined.
    pub(super) fn reduce(&mut self, how: Reduction, tensor: &Tensor, positions: &[usize], span: Span) -> Tensor {
        if positions.is_empty() {
            return tensor.clone();
        }
        let axes = self.axes(tensor);
        let left = (0..axes.len()).filter(|i| !positions.contains(i)).map(|i| axes[i].clone()).collect();
        if let Some(value) = self.reduced_constant(how, tensor, positions) {
            return self.emit(Op::Const(value), self.dtype(tensor), left, span);
        }
        if how == Reduction::Sum
            && let Some(contraction) = self.contraction(tensor, positions)
        {
            return self.emit(contraction, DType::F32, left, span);
        }
        let dtype = self.dtype(tensor);
        self.emit(Op::Reduce(how, tensor.expr, positions.to_vec()), dtype, left, span)
    }

    fn reduced_constant(&self, how: Reduction, tensor: &Tensor, positions: &[usize]) -> Option<f64> {
        let Op::Const(value) = self.build.graph.node(tensor.expr).op else { return None };
        let shape = self.shape(tensor);
        let known = |&p: &usize| if let Size::Known(n) = shape[p] { Some(n as f64) } else { None };
        let count: f64 = positions.iter().map(known).product::<Option<f64>>()?;
        match how {
            Reduction::Sum => Some(value * count),
            Reduction::Max | Reduction::Min => (count > 0.0).then_some(value),
        }
    }

    /// A sum of a product of two tensors of which at least one was repeated is never materialised: Σ_k a[.., k] b[k, ..].
    fn contraction(&self, product: &Tensor, positions: &[usize]) -> Option<Op> {
        let Op::Binary(Binary::Mul, a, b) = self.build.graph.node(product.expr).op else { return None };
        let ((a, a_dims), (b, b_dims)) = (self.before_repetition(a), self.before_repetition(b));
        let rank = product.labels.len();
        let repeats = a_dims.len() < rank || b_dims.len() < rank;
        let covers = (0..rank).all(|dim| a_dims.contains(&dim) || b_dims.contains(&dim));
        let in_both = positions.iter().all(|dim| a_dims.contains(dim) && b_dims.contains(dim));
        if !(repeats && covers && in_both && a_dims.len() + b_dims.len() > rank) {
            return None;
        }
        let labels = |dims: &[usize]| dims.iter().map(|&dim| dim as u8).collect::<Vec<u8>>();
        let out = (0..rank).filter(|dim| !positions.contains(dim)).map(|dim| dim as u8).collect();
        Some(Op::Contract { lhs: labels(&a_dims), rhs: labels(&b_dims), out, a, b })
    }

    fn before_repetition(&self, expr: ExprId) -> (ExprId, Vec<usize>) {
        let node = self.build.graph.node(expr);
        match &node.op {
            Op::Broadcast(a, dims) => (*a, dims.clone()),
            _ => (expr, (0..node.ty.axes.len()).collect()),
        }
    }

    /// The mean along axes.
    pub(super) fn mean(&mut self, tensor: &Tensor, positions: &[usize], span: Span) -> Eval<Tensor> {
        let shape = self.shape(tensor);
        let sizes: Vec<Size> = positions.iter().map(|&p| shape[p]).collect();
        let sum = self.reduce(Reduction::Sum, tensor, positions, span);
        let count = self.count(&sizes, span)?;
        let count = self.spread(&count, &[], &self.axes(&sum), span);
        Ok(self.zip(Binary::Div, &sum, &count, span))
    }

    /// The mean squared distance from the mean, along axes.
    pub(super) fn variance(&mut self, tensor: &Tensor, positions: &[usize], span: Span) -> Eval<Tensor> {
        let mean = self.mean(tensor, positions, span)?;
        let axes = self.axes(tensor);
        let dims: Vec<usize> = (0..axes.len()).filter(|i| !positions.contains(i)).collect();
        let mean = self.spread(&mean, &dims, &axes, span);
        let distance = self.zip(Binary::Sub, tensor, &mean, span);
        let square = self.zip(Binary::Mul, &distance, &distance, span);
        self.mean(&square, positions, span)
    }

    /// The root of the variance.
    pub(super) fn deviation(&mut self, tensor: &Tensor, positions: &[usize], span: Span) -> Eval<Tensor> {
        let variance = self.variance(tensor, positions, span)?;
        Ok(self.map(Unary::Sqrt, &variance, span))
    }

    /// The position of the first largest element along an axis: min over i of (i where x = max x, else n).
    pub(super) fn argmax(&mut self, tensor: &Tensor, position: usize, span: Span) -> Eval<Tensor> {
        let axes = self.axes(tensor);
        let largest = self.reduce(Reduction::Max, tensor, &[position], span);
        let dims: Vec<usize> = (0..axes.len()).filter(|&i| i != position).collect();
        let largest = self.spread(&largest, &dims, &axes, span);
        let is_largest = self.zip(Binary::Eq, tensor, &largest, span);
        let n = match self.sizes.find(axes[position].1) {
            Size::Known(n) => n as f64,
            Size::Batch => {
                return Err(self.blame(ShapeMistake::NotANumber { span, found: "the size of the batch".into() }));
            }
            Size::Var(var) => return Err(self.blame_unknown_size(var, span)),
        };
        let index = self.emit(Op::Iota(position), DType::I32, axes.clone(), span);
        let beyond = self.emit(Op::Const(n), DType::I32, axes.clone(), span);
        let first = Op::Select(is_largest.expr, index.expr, beyond.expr);
        let first = self.emit(first, DType::I32, axes, span);
        Ok(self.reduce(Reduction::Min, &first, &[position], span))
    }

    /// `a @ b`: the last axis of `a` against the second-to-last of `b` (its only one, where it has one), by size. Axes of `b`
    /// before these two belong to the axes of `a` before its last two.
    pub(super) fn matmul(&mut self, a: At<'_>, b: At<'_>, span: Span) -> Eval<Value> {
        let (left, right) = (self.real(a.0, a.1), self.real(b.0, b.1));
        let (left, right) = (left?, right?);
        let operands = vec![(a.1, self.shown(&left)), (b.1, self.shown(&right))];
        let (n, m) = (left.labels.len(), right.labels.len());
        if n == 0 || m == 0 || m > 2 && m > n || n + m > 200 {
            return Err(self.blame(ShapeMistake::NoMatrices { span, operands }));
        }
        let (left_axes, right_axes) = (self.axes(&left), self.axes(&right));
        let labels = product_labels(n as u8, m as u8);
        for (label, axis) in labels.rhs.iter().zip(&right_axes).filter(|(label, _)| usize::from(**label) < n) {
            let (x, y) = (left_axes[usize::from(*label)].1, axis.1);
            if !self.sizes.unify(x, y) {
                let sizes = (self.shown_size(x), self.shown_size(y));
                return Err(self.blame(ShapeMistake::ContractedSizes { span, operands, sizes }));
            }
        }
        let mut axes = left_axes[..n - 1].to_vec();
        axes.extend((m >= 2).then(|| right_axes[m - 1].clone()));
        let ProductLabels { lhs, rhs, out } = labels;
        let op = Op::Contract { lhs, rhs, out, a: left.expr, b: right.expr };
        Ok(Value::Tensor(self.emit(op, DType::F32, axes, span)))
    }
}

/// The labels of a contraction.
struct ProductLabels {
    lhs: Vec<u8>,
    rhs: Vec<u8>,
    out: Vec<u8>,
}

/// `@` of `n` and `m` axes: the axes of the left side are 0 to n - 1, and n is the column of the right side.
fn product_labels(n: u8, m: u8) -> ProductLabels {
    let contracted = n - 1;
    let column = (m >= 2).then_some(n);
    let batch = m.saturating_sub(2);
    // The batch axes of the right side stand right before the rows of the left side.
    let first = contracted.saturating_sub(1 + batch);
    let rhs = (first..first + batch).chain([contracted]).chain(column).collect();
    ProductLabels { lhs: (0..n).collect(), rhs, out: (0..contracted).chain(column).collect() }
}
