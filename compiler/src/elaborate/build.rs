//! Appends nodes to the graph; equal nodes become one.

use std::collections::HashMap;

use super::value::{Label, Tensor};
use super::{Elab, Eval};
use crate::diag::Span;
use crate::model::{Axis, DType, ExprId, Graph, Node, Op, Size, Symbol, Type};
use crate::scalar::{Binary, Unary};
use crate::window::Window;

/// The graph so far, and where to find each of its nodes by what it computes.
#[derive(Default)]
pub(super) struct Builder {
    /// The graph.
    pub graph: Graph,
    seen: HashMap<Vec<u64>, ExprId>,
}

impl Builder {
    /// The node for `op`; an old one where there is one.
    fn push(&mut self, node: Node) -> ExprId {
        let key = key(&node.op, &node.ty);
        if let Some(&old) = self.seen.get(&key) {
            return old;
        }
        let id = self.graph.push(node);
        let _ = self.seen.insert(key, id);
        id
    }
}

/// What tells two computations apart. Names of axes don't.
fn key(op: &Op, ty: &Type) -> Vec<u64> {
    let mut key = op_key(op);
    key.push(u64::MAX);
    key.push(ty.dtype as u64);
    key.extend(ty.axes.iter().map(|axis| size_key(axis.size)));
    key
}

fn size_key(size: Size) -> u64 {
    match size {
        Size::Known(n) => n as u64,
        Size::Batch => 1 << 62,
        Size::Var(var) => (1 << 63) | u64::from(var),
    }
}

fn window_key(window: &Window) -> Vec<u64> {
    let Window { size, stride, dilation, pad_lo, pad_hi } = window;
    [size, stride, dilation, pad_lo, pad_hi].into_iter().flatten().map(|&n| n as u64).collect()
}

fn op_key(op: &Op) -> Vec<u64> {
    let id = |e: ExprId| u64::from(e.0);
    let list = |tag: u64, e: ExprId, list: &[usize]| {
        [tag, id(e)].into_iter().chain(list.iter().map(|&i| i as u64)).collect::<Vec<u64>>()
    };
    match op {
        Op::Param(p) => vec![0, u64::from(p.0)],
        Op::State(s) => vec![1, u64::from(s.0)],
        Op::Field(d, field) => vec![2, u64::from(d.0), *field as u64],
        Op::Literal(index) => vec![3, *index as u64],
        Op::Clock(clock) => vec![4, *clock as u64],
        Op::Gradient(p) => vec![5, u64::from(p.0)],
        Op::Const(value) => vec![6, value.to_bits()],
        Op::SizeOf(size) => vec![7, size_key(*size)],
        Op::Iota(axis) => vec![8, *axis as u64],
        Op::Unary(f, a) => vec![9, *f as u64, id(*a)],
        Op::Binary(f, a, b) => vec![10, *f as u64, id(*a), id(*b)],
        Op::Select(c, a, b) => vec![11, id(*c), id(*a), id(*b)],
        Op::Convert(a) => vec![12, id(*a)],
        Op::Broadcast(a, dims) => list(13, *a, dims),
        Op::Transpose(a, perm) => list(14, *a, perm),
        Op::Reshape(a) => vec![15, id(*a)],
        Op::Reduce(how, a, axes) => list(16 + *how as u64, *a, axes),
        Op::Contract { lhs, rhs, out, a, b } => {
            let labels = |labels: &[u8]| labels.iter().map(|&l| u64::from(l)).collect::<Vec<u64>>();
            [vec![20, id(*a), id(*b)], labels(lhs), vec![u64::MAX], labels(rhs), vec![u64::MAX], labels(out)].concat()
        }
        Op::Conv { role, window, groups, x, w } => {
            [vec![24, *role as u64, *groups as u64, id(*x), id(*w)], window_key(window)].concat()
        }
        Op::Pool(how, window, a) => [vec![25, *how as u64, id(*a)], window_key(window)].concat(),
        Op::Pad { value, lo, hi, a } => [list(26, *a, lo), list(value.to_bits(), *a, hi)].concat(),
        Op::Slice { start, step, a } => [list(27, *a, start), list(27, *a, step)].concat(),
        Op::Concat(parts, axis) => [28, *axis as u64].into_iter().chain(parts.iter().map(|part| id(*part))).collect(),
        Op::Gather { batch, table, index } => vec![29, *batch as u64, id(*table), id(*index)],
        Op::TopK(a, k) => vec![30, *k as u64, id(*a)],
        Op::CumSum(a, axis) => vec![31, *axis as u64, id(*a)],
        Op::Uniform { site, each_step } => vec![21, *site, u64::from(*each_step)],
        Op::Quantile(a, q) => vec![22, id(*a), id(*q)],
        Op::WithGradient(a, b) => vec![23, id(*a), id(*b)],
    }
}

impl Elab<'_, '_> {
    /// A tensor of these axes.
    pub(super) fn emit(&mut self, op: Op, dtype: DType, axes: Vec<(Option<Label>, Size)>, span: Span) -> Tensor {
        let (labels, sizes): (Vec<Option<Label>>, Vec<Size>) = axes.into_iter().unzip();
        let axes = labels.iter().zip(sizes).map(|(label, size)| self.axis(label.as_ref(), size)).collect();
        let node = Node { op, ty: Type { dtype, axes }, span, path: self.path.clone() };
        Tensor { expr: self.build.push(node), labels }
    }

    fn axis(&self, label: Option<&Label>, size: Size) -> Axis {
        Axis { name: label.and_then(|label| self.shown_name(label)), size: self.sizes.find(size) }
    }

    /// What a label is called for people: the axes of a rest go by the caller's names.
    pub(super) fn shown_name(&self, label: &Label) -> Option<Symbol> {
        match label.nth {
            None => Some(label.name.clone()),
            Some(_) => self.origins.get(label).and_then(|outer| self.shown_name(outer)),
        }
    }

    /// The element type of a tensor.
    pub(super) fn dtype(&self, tensor: &Tensor) -> DType {
        self.build.graph.node(tensor.expr).ty.dtype
    }

    /// The sizes of a tensor, as far as they are known.
    pub(super) fn shape(&self, tensor: &Tensor) -> Vec<Size> {
        let axes = &self.build.graph.node(tensor.expr).ty.axes;
        axes.iter().map(|axis| self.sizes.find(axis.size)).collect()
    }

    /// Names and sizes of a tensor.
    pub(super) fn axes(&self, tensor: &Tensor) -> Vec<(Option<Label>, Size)> {
        tensor.labels.iter().cloned().zip(self.shape(tensor)).collect()
    }

    /// Names and sizes of a tensor, for messages: `[B: batch, In: 784]`.
    pub(super) fn shown(&self, tensor: &Tensor) -> String {
        self.shown_axes(&self.axes(tensor))
    }

    /// Names and sizes for messages.
    pub(super) fn shown_axes(&self, axes: &[(Option<Label>, Size)]) -> String {
        let axis = |(label, size): &(Option<Label>, Size)| match label.as_ref().and_then(|l| self.shown_name(l)) {
            Some(name) => format!("{name}: {}", self.shown_size(*size)),
            None => self.shown_size(*size),
        };
        format!("[{}]", axes.iter().map(axis).collect::<Vec<String>>().join(", "))
    }

    /// A size for messages.
    pub(super) fn shown_size(&self, size: Size) -> String {
        match self.sizes.find(size) {
            Size::Known(n) => n.to_string(),
            Size::Batch => "batch".into(),
            Size::Var(_) => "?".into(),
        }
    }

    /// A number as a scalar.
    pub(super) fn constant(&mut self, value: f64, span: Span) -> Tensor {
        self.emit(Op::Const(value), DType::F32, vec![], span)
    }

    /// A number with the shape and the element type of a tensor.
    pub(super) fn constant_like(&mut self, value: f64, like: &Tensor, dtype: DType, span: Span) -> Tensor {
        let axes = self.axes(like);
        self.emit(Op::Const(value), dtype, axes, span)
    }

    /// A tensor in another element type.
    pub(super) fn convert(&mut self, tensor: &Tensor, dtype: DType, span: Span) -> Tensor {
        if self.dtype(tensor) == dtype {
            return tensor.clone();
        }
        let axes = self.axes(tensor);
        if let Op::Const(value) = self.build.graph.node(tensor.expr).op {
            return self.emit(Op::Const(value), dtype, axes, span);
        }
        self.emit(Op::Convert(tensor.expr), dtype, axes, span)
    }

    /// A function of each element.
    pub(super) fn map(&mut self, f: Unary, a: &Tensor, span: Span) -> Tensor {
        let (axes, dtype) = (self.axes(a), self.dtype(a));
        self.emit(Op::Unary(f, a.expr), dtype, axes, span)
    }

    /// A function of each pair of elements of two tensors that are aligned already and of one element type.
    pub(super) fn zip(&mut self, f: Binary, a: &Tensor, b: &Tensor, span: Span) -> Tensor {
        let dtype = if f.is_predicate() { DType::Bool } else { self.dtype(a) };
        let axes = self.axes(a);
        self.emit(Op::Binary(f, a.expr, b.expr), dtype, axes, span)
    }

    /// A binary function with a number as its second operand.
    pub(super) fn zip_number(&mut self, f: Binary, a: &Tensor, b: f64, span: Span) -> Tensor {
        let b = self.constant_like(b, a, self.dtype(a), span);
        self.zip(f, a, &b, span)
    }

    /// Another order of axes.
    pub(super) fn transpose(&mut self, a: &Tensor, perm: &[usize], span: Span) -> Tensor {
        if perm.iter().enumerate().all(|(i, &p)| i == p) {
            return a.clone();
        }
        let axes = self.axes(a);
        let axes = perm.iter().map(|&p| axes[p].clone()).collect();
        let dtype = self.dtype(a);
        self.emit(Op::Transpose(a.expr, perm.to_vec()), dtype, axes, span)
    }

    /// Other axes with as many elements.
    pub(super) fn reshape(&mut self, a: &Tensor, axes: Vec<(Option<Label>, Size)>, span: Span) -> Tensor {
        let sizes: Vec<Size> = axes.iter().map(|(_, size)| self.sizes.find(*size)).collect();
        if sizes == self.shape(a) {
            return Tensor { expr: a.expr, labels: axes.into_iter().map(|(label, _)| label).collect() };
        }
        let dtype = self.dtype(a);
        self.emit(Op::Reshape(a.expr), dtype, axes, span)
    }

    /// Repetition along new axes: axis `i` of the tensor is axis `dims[i]`, in any order; an axis of one element is
    /// repeated where the result has more.
    pub(super) fn spread(&mut self, a: &Tensor, dims: &[usize], axes: &[(Option<Label>, Size)], span: Span) -> Tensor {
        let (a, dims) = self.drop_ones(a, dims, axes, span);
        let mut order: Vec<usize> = (0..dims.len()).collect();
        order.sort_by_key(|&i| dims[i]);
        let a = self.transpose(&a, &order, span);
        let dims: Vec<usize> = order.iter().map(|&i| dims[i]).collect();
        let labels = || axes.iter().map(|(label, _)| label.clone()).collect();
        if dims.len() == axes.len() {
            return Tensor { expr: a.expr, labels: labels() };
        }
        let dtype = self.dtype(&a);
        if let Op::Const(value) = self.build.graph.node(a.expr).op {
            return self.emit(Op::Const(value), dtype, axes.to_vec(), span);
        }
        self.emit(Op::Broadcast(a.expr, dims), dtype, axes.to_vec(), span)
    }

    fn drop_ones(
        &mut self,
        a: &Tensor,
        dims: &[usize],
        axes: &[(Option<Label>, Size)],
        span: Span,
    ) -> (Tensor, Vec<usize>) {
        let own = self.axes(a);
        let kept = |i: &usize| own[*i].1 == self.sizes.find(axes[dims[*i]].1);
        let kept: Vec<usize> = (0..own.len()).filter(kept).collect();
        if kept.len() == own.len() {
            return (a.clone(), dims.to_vec());
        }
        let left = kept.iter().map(|&i| own[i].clone()).collect();
        (self.reshape(a, left, span), kept.iter().map(|&i| dims[i]).collect())
    }

    /// A scalar that counts the elements along axes, the batch included.
    pub(super) fn count(&mut self, sizes: &[Size], span: Span) -> Eval<Tensor> {
        let mut known = 1.0;
        let mut batches = 0;
        for &size in sizes {
            match self.sizes.find(size) {
                Size::Known(n) => known *= n as f64,
                Size::Batch => batches += 1,
                Size::Var(var) => return Err(self.blame_unknown_size(var, span)),
            }
        }
        let mut count = self.constant(known, span);
        for _ in 0..batches {
            let batch = self.emit(Op::SizeOf(Size::Batch), DType::F32, vec![], span);
            count = self.zip(Binary::Mul, &batch, &count, span);
        }
        Ok(count)
    }
}
