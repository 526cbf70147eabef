//! Other shapes of the same elements: `reshape`, `transpose`, `one_hot`, `full_like`.

use super::arith::At;
use super::errors::ShapeMistake;
use super::prims::Args;
use super::value::{Label, ShapeAxis, Tensor, Value};
use super::{Elab, Eval, Frame};
use crate::diag::Span;
use crate::model::{DType, Op, Size};
use crate::resolve::hir::{AxisPattern, Expr, ExprKind};
use crate::scalar::Binary;

impl<'p> Elab<'p, '_> {
    /// `[B, N]`, where `N` may be a size that is not known yet, or a new name.
    pub(super) fn shape_argument(&mut self, frame: &mut Frame<'p>, axes: &'p [AxisPattern]) -> Eval<Vec<ShapeAxis>> {
        let mut shape = vec![];
        for axis in axes {
            match axis {
                AxisPattern::Axis { name, local: _, size } => {
                    let label = name.as_ref().map(|name| Label::new(&name.text, frame.scope));
                    shape.push((label, self.shape_size(frame, size)?));
                }
                AxisPattern::Rest(local, span) => match self.local(frame, *local, *span)? {
                    Value::Axes(axes) => shape.extend(axes.into_iter().map(|(label, size)| (Some(label), size))),
                    other => return Err(self.blame(ShapeMistake::NotAnAxis { span: *span, found: other.kind() })),
                },
            }
        }
        Ok(shape)
    }

    fn shape_size(&mut self, frame: &mut Frame<'p>, size: &'p Expr) -> Eval<Option<Size>> {
        match size.kind {
            ExprKind::AxisName(_) => return Ok(None),
            ExprKind::Local(local) if local.0 as usize >= frame.values.len() => return Ok(None),
            _ => {}
        }
        match self.eval(frame, size)? {
            Value::Size(_, size) => Ok(Some(self.sizes.find(size))),
            other => Ok(Some(Size::Known(self.whole(&other, size.span)?))),
        }
    }

    /// A value that must be a size: a whole number from 1 that an index can hold.
    pub(super) fn whole(&mut self, value: &Value, span: Span) -> Eval<usize> {
        let number = self.number(value, span)?;
        if number.fract() == 0.0 && (1.0..=f64::from(i32::MAX)).contains(&number) {
            return Ok(number as usize);
        }
        Err(self.blame(ShapeMistake::BadSize { span, found: number }))
    }

    /// `reshape(x, [B, N])`: at most one size is inferred.
    pub(super) fn reshape_to(&mut self, tensor: &Tensor, at: Span, shape: &[ShapeAxis], span: Span) -> Eval<Tensor> {
        let unknown = |size: Option<Size>| size.is_none_or(|size| matches!(self.sizes.find(size), Size::Var(_)));
        let open: Vec<usize> = (0..shape.len()).filter(|&i| unknown(shape[i].1)).collect();
        let mut sizes: Vec<Size> = shape.iter().map(|(_, size)| size.unwrap_or(Size::Known(1))).collect();
        let own = self.shape(tensor);
        let wanted: Vec<Size> = (0..sizes.len()).filter(|i| !open.contains(i)).map(|i| sizes[i]).collect();
        let fits = match (self.quotient(&own, &wanted, span)?, open.as_slice()) {
            (Some(rest), [inferred]) => {
                let known = shape[*inferred].1.is_none_or(|var| self.sizes.unify(var, rest));
                sizes[*inferred] = rest;
                known
            }
            (Some(rest), []) => rest == Size::Known(1),
            (Some(_) | None, _) => false,
        };
        let axes: Vec<(Option<Label>, Size)> = shape.iter().map(|(label, _)| label.clone()).zip(sizes).collect();
        if !fits {
            let (found, asked) = (self.shown(tensor), self.shown_shape(shape));
            return Err(self.blame(ShapeMistake::Reshape { span, tensor: at, found, asked, open: open.len() }));
        }
        Ok(self.reshape(tensor, axes, span))
    }

    /// `full([B, N], value)`: a number in a shape whose sizes are known.
    pub(super) fn full(&mut self, args: &Args) -> Eval<Value> {
        let (Value::Shape(shape), at) = args.at(0) else {
            return Err(self.blame(ShapeMistake::NotAShape { span: args.at(0).1, found: args.at(0).0.kind() }));
        };
        let mut axes = vec![];
        for (label, size) in shape {
            match size.map(|size| self.sizes.find(size)) {
                Some(Size::Var(var)) => return Err(self.blame_unknown_size(var, at)),
                Some(size) => axes.push((label.clone(), size)),
                None => {
                    let asked = self.shown_shape(shape);
                    return Err(self.blame(ShapeMistake::OpenShape { span: at, asked }));
                }
            }
        }
        let value = self.number(args.at(1).0, args.at(1).1)?;
        Ok(Value::Tensor(self.emit(Op::Const(value), DType::F32, axes, args.span)))
    }

    fn shown_shape(&self, shape: &[ShapeAxis]) -> String {
        let shown = |size: &Option<Size>| size.map_or("?".into(), |size| self.shown_size(size));
        let axis = |(label, size): &ShapeAxis| match label.as_ref().and_then(|label| self.shown_name(label)) {
            Some(name) => format!("{name}: {}", shown(size)),
            None => shown(size),
        };
        format!("[{}]", shape.iter().map(axis).collect::<Vec<String>>().join(", "))
    }

    /// The size that `whole` has beyond the sizes `part`; `None` where it doesn't divide.
    fn quotient(&mut self, whole: &[Size], part: &[Size], span: Span) -> Eval<Option<Size>> {
        let (n, batches) = self.product(whole, span)?;
        let (m, part_batches) = self.product(part, span)?;
        let divides = m != 0 && n % m == 0;
        Ok(match batches.checked_sub(part_batches) {
            Some(0) if divides => Some(Size::Known((n / m) as usize)),
            Some(1) if n == m => Some(Size::Batch),
            Some(_) | None => None,
        })
    }

    fn product(&mut self, sizes: &[Size], span: Span) -> Eval<(u128, usize)> {
        let (mut known, mut batches) = (1u128, 0);
        for &size in sizes {
            match self.sizes.find(size) {
                Size::Known(n) => known = known.saturating_mul(n as u128),
                Size::Batch => batches += 1,
                Size::Var(var) => return Err(self.blame_unknown_size(var, span)),
            }
        }
        Ok((known, batches))
    }

    /// `transpose(x, A, B, …)`: the axes in their new order.
    pub(super) fn transpose_to(&mut self, tensor: &Tensor, at: Span, axes: &[At<'_>], span: Span) -> Eval<Tensor> {
        let mut perm = vec![];
        for axis in axes {
            let labels = self.axis_labels(axis.0, axis.1)?;
            for label in labels {
                let named = Value::Axes(vec![(label, None)]);
                perm.extend(self.positions(tensor, at, &[(&named, axis.1)])?);
            }
        }
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if sorted != (0..tensor.labels.len()).collect::<Vec<usize>>() {
            let found = self.shown(tensor);
            return Err(self.blame(ShapeMistake::NotAnOrder { span, tensor: at, found, named: axes.len() }));
        }
        Ok(self.transpose(tensor, &perm, span))
    }

    /// `one_hot(x, n)`: a new last axis, 1 at the position that `x` gives.
    pub(super) fn one_hot(&mut self, index: &Tensor, n: At<'_>, span: Span) -> Eval<Tensor> {
        let label = if let Value::Size(label, _) = n.0 { Some(label.clone()) } else { None };
        let size = Size::Known(self.whole(n.0, n.1)?);
        let mut axes = self.axes(index);
        let dims: Vec<usize> = (0..axes.len()).collect();
        axes.push((label, size));
        let dtype = self.dtype(index);
        let index = self.spread(index, &dims, &axes, span);
        let position = self.emit(Op::Iota(dims.len()), dtype, axes, span);
        let hot = self.zip(Binary::Eq, &index, &position, span);
        Ok(self.convert(&hot, DType::F32, span))
    }
}
