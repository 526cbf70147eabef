//! Matching tensors with the axes that a signature or an annotation declares: sizes unify, axes get their local names.

use super::align::Relation;
use super::errors::{PartMistake, PatternRole, ShapeMistake};
use super::value::{Label, Tensor, Value};
use super::{Elab, Eval, Failed, Frame};
use crate::diag::Span;
use crate::model::{DType, Size, Type};
use crate::resolve::hir::{AxesPattern, AxisPattern, Expr, ExprKind, Local, LocalKind};

impl<'p> Elab<'p, '_> {
    /// An argument under its input's declared type: its axes get the names of the signature.
    pub(super) fn match_input(
        &mut self,
        frame: &mut Frame<'p>,
        pattern: &'p AxesPattern,
        value: Value,
        span: Span,
    ) -> Eval<Value> {
        match value {
            Value::Poison => {
                self.poison_sizes(frame, pattern);
                return Ok(Value::Poison);
            }
            Value::Number(_) | Value::Bool(_) if self.takes_scalars(frame, pattern) => return Ok(value),
            Value::Tensor(_) | Value::Number(_) | Value::Bool(_) | Value::Size(..) | Value::Set(_) => {}
            other => {
                let (found, declared) = (other.kind(), pattern.span);
                return Err(self.blame(ShapeMistake::NotATensor { span, found, declared: Some(declared) }));
            }
        }
        let tensor = self.tensor(&value, span)?;
        let tensor = self.with_declared_type(pattern, tensor, span)?;
        self.match_axes(frame, pattern, &tensor, span, PatternRole::Input).map(Value::Tensor)
    }

    /// What a pattern would have bound is not known because of a mistake elsewhere.
    fn poison_sizes(&mut self, frame: &mut Frame<'p>, pattern: &'p AxesPattern) {
        for axis in &pattern.axes {
            match axis {
                AxisPattern::Axis { size: Expr { kind: ExprKind::Local(local), .. }, .. } => {
                    if let Some(Value::Size(_, size)) = frame.values[local.0 as usize] {
                        self.sizes.poison(size);
                    }
                }
                AxisPattern::Axis { .. } => {}
                AxisPattern::Rest(local, _) => {
                    let _ = frame.values[local.0 as usize].get_or_insert(Value::Poison);
                }
            }
        }
    }

    fn takes_scalars(&self, frame: &mut Frame<'p>, pattern: &'p AxesPattern) -> bool {
        match pattern.axes.as_slice() {
            [] => true,
            [AxisPattern::Rest(local, _)] => match &mut frame.values[local.0 as usize] {
                Some(Value::Axes(axes)) => axes.is_empty(),
                slot => {
                    *slot = Some(Value::Axes(vec![]));
                    true
                }
            },
            _ => false,
        }
    }

    fn with_declared_type(&mut self, pattern: &AxesPattern, tensor: Tensor, span: Span) -> Eval<Tensor> {
        let found = self.dtype(&tensor);
        let declared = declared_type(pattern);
        match (declared, found) {
            (DType::F32, _) | (DType::I32, DType::I32 | DType::Bool) | (DType::Bool, DType::Bool) => {
                Ok(self.convert(&tensor, declared, span))
            }
            (DType::I32 | DType::Bool, _) => {
                Err(self.blame(ShapeMistake::ElementType { span, found, declared, at: pattern.span }))
            }
        }
    }

    /// A result under the declared one: it must have these axes, in this order.
    pub(super) fn match_result(
        &mut self,
        frame: &mut Frame<'p>,
        pattern: &'p AxesPattern,
        value: Value,
        span: Span,
    ) -> Eval<Value> {
        match value {
            Value::Poison => Err(Failed),
            Value::Tuple(_) => Ok(value),
            Value::Number(_) | Value::Bool(_) if pattern.axes.is_empty() => Ok(value),
            Value::Tensor(_) | Value::Number(_) | Value::Bool(_) | Value::Size(..) | Value::Set(_) => {
                let tensor = self.tensor(&value, span)?;
                let tensor = self.with_declared_type(pattern, tensor, span)?;
                self.match_axes(frame, pattern, &tensor, span, PatternRole::Result).map(Value::Tensor)
            }
            other => {
                let (found, declared) = (other.kind(), Some(pattern.span));
                Err(self.blame(ShapeMistake::NotATensor { span, found, declared }))
            }
        }
    }

    /// Several results under their declared types.
    pub(super) fn match_results(
        &mut self,
        frame: &mut Frame<'p>,
        patterns: &'p [AxesPattern],
        value: Value,
        span: Span,
    ) -> Eval<Value> {
        match value {
            Value::Poison => Err(Failed),
            Value::Tuple(values) if values.len() == patterns.len() => {
                let pairs = patterns.iter().zip(values);
                let matched = pairs.map(|(pattern, value)| self.match_result(frame, pattern, value, span));
                Ok(Value::Tuple(matched.collect::<Eval<Vec<Value>>>()?))
            }
            other => {
                let found = if let Value::Tuple(values) = &other { Some(values.len()) } else { None };
                let (owner, declared, expected) = (frame.owner.clone(), patterns[0].span, patterns.len());
                let kind = other.kind();
                Err(self.blame(PartMistake::Results { span, owner, declared, found, kind, expected }))
            }
        }
    }

    /// A tensor with the names of a pattern.
    pub(super) fn match_axes(
        &mut self,
        frame: &mut Frame<'p>,
        pattern: &'p AxesPattern,
        tensor: &Tensor,
        span: Span,
        role: PatternRole,
    ) -> Eval<Tensor> {
        let axes = self.axes(tensor);
        let rest = pattern.axes.iter().position(|axis| matches!(axis, AxisPattern::Rest(..)));
        let named = pattern.axes.len() - usize::from(rest.is_some());
        if axes.len() < named || rest.is_none() && axes.len() > named {
            return Err(self.blame_pattern(frame, pattern, tensor, span, role));
        }
        let mut left = axes.as_slice();
        let mut labels = vec![];
        for axis in &pattern.axes {
            let width = if let AxisPattern::Rest(..) = axis { axes.len() - named } else { 1 };
            let (found, others) = left.split_at(width);
            left = others;
            match self.match_axis(frame, axis, found, tensor, role)? {
                Some(matched) => labels.extend(matched),
                None => return Err(self.blame_pattern(frame, pattern, tensor, span, role)),
            }
        }
        Ok(Tensor { expr: tensor.expr, labels })
    }

    /// The names that the axes `found` get from one entry of a pattern; `None` where they don't fit.
    fn match_axis(
        &mut self,
        frame: &mut Frame<'p>,
        axis: &'p AxisPattern,
        found: &[(Option<Label>, Size)],
        tensor: &Tensor,
        role: PatternRole,
    ) -> Eval<Option<Vec<Option<Label>>>> {
        let (name, size) = match axis {
            AxisPattern::Rest(local, _) => return Ok(self.match_rest(frame, *local, found, role)),
            AxisPattern::Axis { name, local: _, size } => (name, size),
        };
        let [(own, found)] = found else { return Ok(None) };
        let label = name.as_ref().map(|name| Label::new(&name.text, frame.scope));
        let swapped = role != PatternRole::Input && self.is_elsewhere(label.as_ref(), own.as_ref(), tensor);
        if swapped || !self.match_size(frame, size, *found)? {
            return Ok(None);
        }
        Ok(Some(vec![self.renamed(label, own.as_ref(), role)]))
    }

    /// Whether a declared name belongs to another axis of the tensor than to the one called `own`.
    fn is_elsewhere(&self, label: Option<&Label>, own: Option<&Label>, tensor: &Tensor) -> bool {
        let is = |own: Option<&Label>| self.relation(own, label) == Relation::Same;
        label.is_some() && !is(own) && tensor.labels.iter().any(|label| is(label.as_ref()))
    }

    fn renamed(&mut self, label: Option<Label>, own: Option<&Label>, role: PatternRole) -> Option<Label> {
        let Some(label) = label else { return own.cloned() };
        if role == PatternRole::Input
            && let Some(own) = own
            && *own != label
        {
            let _ = self.origins.entry(label.clone()).or_insert_with(|| own.clone());
        }
        Some(label)
    }

    /// Makes a declared size equal to the one found; false where it can't be.
    fn match_size(&mut self, frame: &mut Frame<'p>, declared: &'p Expr, found: Size) -> Eval<bool> {
        if let ExprKind::AxisName(_) = declared.kind {
            return Ok(true);
        }
        let declared = match self.eval(frame, declared)? {
            Value::Size(_, size) => size,
            other => Size::Known(self.whole(&other, declared.span)?),
        };
        Ok(self.sizes.unify(declared, found))
    }

    fn match_rest(
        &mut self,
        frame: &mut Frame<'p>,
        local: Local,
        found: &[(Option<Label>, Size)],
        role: PatternRole,
    ) -> Option<Vec<Option<Label>>> {
        let name = &frame.locals[local.0 as usize].name.text;
        if let Some(Value::Axes(bound)) = frame.values[local.0 as usize].clone() {
            let mut fits = |size: Option<Size>, found: Size| size.is_none_or(|size| self.sizes.unify(size, found));
            let all = bound.len() == found.len() && bound.iter().zip(found).all(|(own, found)| fits(own.1, found.1));
            return all.then(|| bound.into_iter().map(|(label, _)| Some(label)).collect());
        }
        let scope = frame.scope;
        let label = |i: usize| Label { name: name.clone(), nth: Some(i as u32), scope };
        let axes: Vec<(Label, Option<Size>)> = (0..found.len()).map(|i| (label(i), Some(found[i].1))).collect();
        for ((label, _), (own, _)) in axes.iter().zip(found).filter(|_| role == PatternRole::Input) {
            let _ = self.renamed(Some(label.clone()), own.as_ref(), role);
        }
        frame.values[local.0 as usize] = Some(Value::Axes(axes.clone()));
        Some(axes.into_iter().map(|(label, _)| Some(label)).collect())
    }

    /// The type that a `param` or `state` declares. Sizes that are not known stay unknowns.
    pub(super) fn declared(
        &mut self,
        frame: &mut Frame<'p>,
        pattern: &'p AxesPattern,
    ) -> Eval<(Type, Vec<Option<Label>>)> {
        let (mut axes, mut labels) = (vec![], vec![]);
        for axis in &pattern.axes {
            match axis {
                AxisPattern::Axis { name, local: _, size } => {
                    let size = match self.eval(frame, size)? {
                        Value::Size(_, found) => self.sizes.find(found),
                        other => Size::Known(self.whole(&other, size.span)?),
                    };
                    axes.push(crate::model::Axis { name: name.as_ref().map(|name| name.text.clone()), size });
                    labels.push(name.as_ref().map(|name| Label::new(&name.text, frame.scope)));
                }
                AxisPattern::Rest(local, span) => {
                    let Value::Axes(rest) = self.local(frame, *local, *span)? else { return Err(Failed) };
                    for (label, size) in rest {
                        let size = size.map_or(Size::Known(1), |size| self.sizes.find(size));
                        axes.push(crate::model::Axis { name: self.shown_name(&label), size });
                        labels.push(Some(label));
                    }
                }
            }
        }
        Ok((Type { dtype: declared_type(pattern), axes }, labels))
    }

    fn blame_pattern(
        &mut self,
        frame: &mut Frame<'p>,
        pattern: &'p AxesPattern,
        tensor: &Tensor,
        span: Span,
        role: PatternRole,
    ) -> Failed {
        let (found, expected) = (self.shown(tensor), self.shown_pattern(frame, pattern));
        let owner = frame.owner.clone();
        self.blame(ShapeMistake::Pattern { span, found, expected, declared: pattern.span, role, owner })
    }

    /// A pattern for messages, with the sizes that are known already.
    fn shown_pattern(&mut self, frame: &mut Frame<'p>, pattern: &'p AxesPattern) -> String {
        let mut shown = vec![];
        for axis in &pattern.axes {
            shown.push(match axis {
                AxisPattern::Axis { name, local: _, size } => {
                    let size = self.shown_pattern_size(frame, size);
                    match (name, size) {
                        (Some(name), Some(size)) => format!("{}: {size}", name.text),
                        (Some(name), None) => name.text.to_string(),
                        (None, size) => size.unwrap_or_else(|| "?".into()),
                    }
                }
                AxisPattern::Rest(local, _) => match &frame.values[local.0 as usize] {
                    Some(Value::Axes(axes)) => {
                        let axes: Vec<_> =
                            axes.iter().filter_map(|(label, size)| Some((Some(label.clone()), (*size)?))).collect();
                        self.shown_axes(&axes).trim_matches(['[', ']']).to_string()
                    }
                    _ => format!("...{}", frame.locals[local.0 as usize].name.text),
                },
            });
        }
        format!("[{}]", shown.join(", "))
    }

    fn shown_pattern_size(&mut self, frame: &mut Frame<'p>, size: &'p Expr) -> Option<String> {
        let known = |elab: &Self, size: Size| match elab.sizes.find(size) {
            Size::Var(_) => None,
            size @ (Size::Known(_) | Size::Batch) => Some(elab.shown_size(size)),
        };
        match &size.kind {
            ExprKind::Number(n) => Some(n.to_string()),
            ExprKind::Local(local) if frame.locals[local.0 as usize].kind == LocalKind::Size => {
                match &frame.values[local.0 as usize] {
                    Some(Value::Size(_, size)) => known(self, *size),
                    _ => None,
                }
            }
            ExprKind::AxisName(_) => None,
            _ => match self.eval(frame, size) {
                Ok(Value::Number(n)) => Some(n.to_string()),
                Ok(_) | Err(Failed) => None,
            },
        }
    }
}

fn declared_type(pattern: &AxesPattern) -> DType {
    match pattern.dtype.as_deref() {
        Some("i32") => DType::I32,
        Some("bool") => DType::Bool,
        Some(_) | None => DType::F32,
    }
}
