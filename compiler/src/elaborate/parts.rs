//! Parts of tensors put together and taken apart (`concat`, `slice`, `pad`), rows of tables (`gather`), and what depends on an
//! order (`top_k`, `cumsum`, `positions`).

use super::align::{AxisOf, Relation};
use super::arith::At;
use super::errors::PartMistake;
use super::prims::Args;
use super::value::{Label, Tensor, Value};
use super::{Elab, Eval};
use crate::diag::Span;
use crate::model::{DType, Op, Size};

impl Elab<'_, '_> {
    /// The size of an axis that has to be a number.
    pub(super) fn known_size(&mut self, size: Size, tensor: &Tensor, span: Span) -> Eval<usize> {
        match self.sizes.find(size) {
            Size::Known(n) => Ok(n),
            Size::Var(var) => Err(self.blame_unknown_size(var, span)),
            Size::Batch => {
                let found = self.shown(tensor);
                Err(self.blame(PartMistake::Batch { span, op: "this", tensor: span, found }))
            }
        }
    }

    /// A whole number that is at least `least`.
    pub(super) fn whole_from(&mut self, (value, span): At<'_>, name: &'static str, least: usize) -> Eval<usize> {
        let number = self.number(value, span)?;
        if number.fract() == 0.0 && (least as f64..=f64::from(i32::MAX)).contains(&number) {
            return Ok(number as usize);
        }
        Err(self.blame(PartMistake::Whole { span, name, least, found: number }))
    }

    /// The position and the size of the one axis that an argument names.
    pub(super) fn one_axis(
        &mut self,
        op: &'static str,
        tensor: &Tensor,
        at: Span,
        axis: At<'_>,
    ) -> Eval<(usize, usize)> {
        let positions = self.positions(tensor, at, &[axis])?;
        let [position] = positions.as_slice() else {
            return Err(self.blame(PartMistake::SeveralAxes { span: axis.1, op, n: positions.len() }));
        };
        let size = self.shape(tensor)[*position];
        if size == Size::Batch {
            let found = self.shown(tensor);
            return Err(self.blame(PartMistake::Batch { span: axis.1, op, tensor: at, found }));
        }
        Ok((*position, self.known_size(size, tensor, at)?))
    }

    /// `concat(a, b, …, over: axis)`.
    pub(super) fn concat(&mut self, args: &Args) -> Eval<Value> {
        let parts: Vec<Tensor> =
            args.axes().into_iter().map(|(value, at)| self.tensor(value, at)).collect::<Eval<_>>()?;
        let spans: Vec<Span> = args.axes().into_iter().map(|(_, at)| at).collect();
        let Some(first) = parts.first().cloned() else {
            return Err(self.blame(PartMistake::NoParts { span: args.span }));
        };
        let labels = self.axis_labels(args.at(0).0, args.at(0).1)?;
        let named = |part: &&Tensor| labels.iter().any(|label| self.has_axis(part, label));
        let guide = parts.iter().position(|part| named(&part)).unwrap_or(0);
        let (axis, _) = self.one_axis("concat", &parts[guide], spans[guide], args.at(0))?;
        let same = parts.iter().all(|part| self.dtype(part) == self.dtype(&first));
        let dtype = if same { self.dtype(&first) } else { DType::F32 };
        let mut axes = self.axes(&parts[guide]);
        let mut total = 0;
        for (part, span) in parts.iter().zip(&spans) {
            if !self.joins(&axes, part, axis) {
                let operands = parts.iter().zip(&spans).map(|(part, span)| (*span, self.shown(part))).collect();
                let name = labels[0].name.clone();
                return Err(self.blame(PartMistake::Concat { span: args.span, operands, axis: name }));
            }
            let size = self.shape(part)[axis];
            total += self.known_size(size, part, *span)?;
        }
        axes[axis].1 = Size::Known(total);
        let parts = parts.iter().zip(spans).map(|(part, span)| self.convert(part, dtype, span).expr).collect();
        Ok(Value::Tensor(self.emit(Op::Concat(parts, axis), dtype, axes, args.span)))
    }

    fn has_axis(&self, tensor: &Tensor, label: &Label) -> bool {
        tensor.labels.iter().any(|own| self.relation(own.as_ref(), Some(label)) == Relation::Same)
    }

    /// Whether a part has these axes, but for the size of one.
    fn joins(&mut self, axes: &[AxisOf], part: &Tensor, axis: usize) -> bool {
        let own = self.axes(part);
        own.len() == axes.len()
            && own.iter().zip(axes).enumerate().filter(|(i, _)| *i != axis).all(|(_, (a, b))| {
                self.relation(a.0.as_ref(), b.0.as_ref()) != Relation::Different && self.sizes.unify(a.1, b.1)
            })
    }

    /// `slice(x, axis, start..end, step: 1)`.
    pub(super) fn slice(&mut self, args: &Args) -> Eval<Value> {
        let tensor = self.tensor(args.at(0).0, args.at(0).1)?;
        let (axis, size) = self.one_axis("slice", &tensor, args.at(0).1, args.at(1))?;
        let (range, span) = args.at(2);
        let Value::Range(start, end) = range else {
            return Err(self.blame(PartMistake::NotARange { span, found: range.kind() }));
        };
        let range = (self.number(start, span)?, self.number(end, span)?);
        let step = args.given(3).map_or(Ok(1), |step| self.whole_from(step, "step", 1))?;
        let whole = range.0.fract() == 0.0 && range.1.fract() == 0.0;
        if !(whole && range.0 >= 0.0 && range.0 < range.1 && range.1 <= size as f64) {
            let found = self.shown(&tensor);
            return Err(self.blame(PartMistake::Outside { span, tensor: args.at(0).1, found, range, size }));
        }
        Ok(Value::Tensor(self.part(&tensor, axis, range.0 as usize..range.1 as usize, step, args.span)))
    }

    /// Every `step`th element of a range along an axis.
    pub(super) fn part(
        &mut self,
        a: &Tensor,
        axis: usize,
        range: std::ops::Range<usize>,
        step: usize,
        span: Span,
    ) -> Tensor {
        let mut axes = self.axes(a);
        let n = range.len().div_ceil(step);
        if axes[axis].1 == Size::Known(n) {
            return a.clone();
        }
        axes[axis].1 = Size::Known(n);
        let (mut starts, mut steps) = (vec![0; axes.len()], vec![1; axes.len()]);
        (starts[axis], steps[axis]) = (range.start, step);
        let dtype = self.dtype(a);
        self.emit(Op::Slice { start: starts, step: steps, a: a.expr }, dtype, axes, span)
    }

    /// `pad(x, axis, before, after, value: 0)`.
    pub(super) fn pad(&mut self, args: &Args) -> Eval<Value> {
        let tensor = self.tensor(args.at(0).0, args.at(0).1)?;
        let (axis, size) = self.one_axis("pad", &tensor, args.at(0).1, args.at(1))?;
        let (before, after) = (self.whole_from(args.at(2), "before", 0)?, self.whole_from(args.at(3), "after", 0)?);
        let value = args.given(4).map_or(Ok(0.0), |(value, span)| self.number(value, span))?;
        if before + after == 0 {
            return Ok(Value::Tensor(tensor));
        }
        let mut axes = self.axes(&tensor);
        axes[axis].1 = Size::Known(size + before + after);
        let (mut lo, mut hi) = (vec![0; axes.len()], vec![0; axes.len()]);
        (lo[axis], hi[axis]) = (before, after);
        let dtype = self.dtype(&tensor);
        Ok(Value::Tensor(self.emit(Op::Pad { value, lo, hi, a: tensor.expr }, dtype, axes, args.span)))
    }

    /// `gather(table, index)`, `gather(table, index, over: axis)`: the axes of the index stand where the axis stood; leading axes that
    /// both have by name stay where they are.
    pub(super) fn gather(&mut self, args: &Args) -> Eval<Value> {
        let (table, at) = (self.tensor(args.at(0).0, args.at(0).1)?, args.at(0).1);
        let index = self.index(args.at(1))?;
        if table.labels.is_empty() {
            return Err(self.blame(PartMistake::NoTable { span: at }));
        }
        let axis = match args.given(2) {
            Some(over) => self.one_axis("gather", &table, at, over)?.0,
            None => 0,
        };
        let (table_axes, index_axes) = (self.axes(&table), self.axes(&index));
        let _ = self.known_axis("gather", &table, axis, at)?;
        let batch = self.common(&table_axes[..axis], &index_axes);
        let before: Vec<usize> = (batch..axis).collect();
        let rest = axis + 1..table_axes.len();
        let order: Vec<usize> = (0..batch).chain([axis]).chain(before.iter().copied()).chain(rest.clone()).collect();
        let turned = self.transpose(&table, &order, args.span);
        let middle = before.iter().map(|&i| table_axes[i].clone());
        let axes: Vec<_> =
            index_axes.iter().cloned().chain(middle).chain(rest.map(|i| table_axes[i].clone())).collect();
        let dtype = self.dtype(&table);
        let op = Op::Gather { batch, table: turned.expr, index: index.expr };
        let (new, old) = (index_axes.len() - batch, before.len());
        let found = self.emit(op, dtype, axes.clone(), args.span);
        let back: Vec<usize> = (0..batch)
            .chain(batch + new..batch + new + old)
            .chain(batch..batch + new)
            .chain(batch + new + old..axes.len())
            .collect();
        Ok(Value::Tensor(self.transpose(&found, &back, args.span)))
    }

    fn known_axis(&mut self, op: &'static str, tensor: &Tensor, axis: usize, span: Span) -> Eval<usize> {
        let size = self.shape(tensor)[axis];
        if size == Size::Batch {
            let found = self.shown(tensor);
            return Err(self.blame(PartMistake::Batch { span, op, tensor: span, found }));
        }
        self.known_size(size, tensor, span)
    }

    /// How many leading axes have one name and one size.
    fn common(&mut self, a: &[AxisOf], b: &[AxisOf]) -> usize {
        let same = |(a, b): &(&AxisOf, &AxisOf)| {
            self.relation(a.0.as_ref(), b.0.as_ref()) == Relation::Same && self.sizes.unify(a.1, b.1)
        };
        a.iter().zip(b).take_while(same).count()
    }

    fn index(&mut self, (value, span): At<'_>) -> Eval<Tensor> {
        let tensor = self.tensor(value, span)?;
        match (self.dtype(&tensor), &self.build.graph.node(tensor.expr).op) {
            (DType::I32, _) => Ok(tensor),
            (_, Op::Const(number)) if number.fract() == 0.0 => Ok(self.convert(&tensor, DType::I32, span)),
            (found, _) => {
                let found = if found == DType::Bool { "truth values" } else { "real numbers" };
                Err(self.blame(PartMistake::Index { span, found }))
            }
        }
    }

    /// `top_k(x, k, axes…)`: whether each element is among the `k` largest over these axes; over all where none is named.
    pub(super) fn top_k(&mut self, args: &Args) -> Eval<Value> {
        let (x, at) = (self.real(args.at(0).0, args.at(0).1)?, args.at(0).1);
        let k = self.whole_from(args.at(1), "k", 1)?;
        let over = self.positions(&x, at, &args.axes())?;
        let axes = self.axes(&x);
        let mut n = 1;
        for &axis in &over {
            n *= self.known_axis("top_k", &x, axis, at)?;
        }
        if k > n {
            let (span, found) = (args.at(1).1, self.shown(&x));
            return Err(self.blame(PartMistake::TopK { span, tensor: at, found, k, n }));
        }
        let order: Vec<usize> = (0..axes.len()).filter(|i| !over.contains(i)).chain(over.iter().copied()).collect();
        let turned = self.transpose(&x, &order, args.span);
        let turned_axes = self.axes(&turned);
        let mut flat = turned_axes[..axes.len() - over.len()].to_vec();
        flat.push((None, Size::Known(n)));
        let flat = self.reshape(&turned, flat, args.span);
        let flat_axes = self.axes(&flat);
        let mask = self.emit(Op::TopK(flat.expr, k), DType::Bool, flat_axes, args.span);
        let mask = self.reshape(&mask, turned_axes, args.span);
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, &old)| back[old] = new);
        Ok(Value::Tensor(self.transpose(&mask, &back, args.span)))
    }

    /// `cumsum(x, axis)`.
    pub(super) fn cumsum(&mut self, args: &Args) -> Eval<Value> {
        let x = self.real(args.at(0).0, args.at(0).1)?;
        let (axis, _) = self.one_axis("cumsum", &x, args.at(0).1, args.at(1))?;
        let axes = self.axes(&x);
        Ok(Value::Tensor(self.emit(Op::CumSum(x.expr, axis), DType::F32, axes, args.span)))
    }

    /// `size(x, axis)`: a number, and the axis itself where an axis is meant.
    pub(super) fn size_of_axis(&mut self, args: &Args) -> Eval<Value> {
        let x = self.tensor(args.at(0).0, args.at(0).1)?;
        let positions = self.positions(&x, args.at(0).1, &[args.at(1)])?;
        let [position] = positions.as_slice() else {
            return Err(self.blame(PartMistake::SeveralAxes { span: args.at(1).1, op: "size", n: positions.len() }));
        };
        let size = self.shape(&x)[*position];
        match (&x.labels[*position], size) {
            (Some(label), size) => Ok(Value::Size(label.clone(), size)),
            (None, size) => Ok(Value::Number(self.known_size(size, &x, args.at(0).1)? as f64)),
        }
    }

    /// `positions(n)`: 0, 1, …, n - 1.
    pub(super) fn counted(&mut self, args: &Args) -> Eval<Value> {
        let (value, span) = args.at(0);
        let label = if let Value::Size(label, _) = value { Some(label.clone()) } else { None };
        let size = Size::Known(self.whole(value, span)?);
        Ok(Value::Tensor(self.emit(Op::Iota(0), DType::F32, vec![(label, size)], args.span)))
    }
}
