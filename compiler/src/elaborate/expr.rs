//! Expressions to values.

use std::rc::Rc;

use super::errors::{GroupMistake, ShapeMistake};
use super::value::{Label, LayerValue, TOP, Tensor, Value};
use super::{Elab, Eval, Failed, Frame, Mode, Phase};
use crate::diag::Span;
use crate::model::{Clock, DType, Op, Size, Symbol};
use crate::resolve::hir::{Builtin, DefId, DefKind, Expr, ExprKind, Local, LocalKind, Name, Over, UnaryOp};
use crate::scalar::{Binary, Unary};

impl<'p> Elab<'p, '_> {
    /// The value of an expression.
    pub(super) fn eval(&mut self, frame: &mut Frame<'p>, expr: &'p Expr) -> Eval<Value> {
        stacker::maybe_grow(128 * 1024, 4 * 1024 * 1024, || self.eval_kind(frame, expr))
    }

    fn eval_kind(&mut self, frame: &mut Frame<'p>, expr: &'p Expr) -> Eval<Value> {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Number(x) => Ok(Value::Number(*x)),
            ExprKind::Str(text) => Ok(Value::Text(text.clone())),
            ExprKind::Bool(b) => Ok(Value::Bool(*b)),
            ExprKind::Local(local) => self.local(frame, *local, span),
            ExprKind::Def(def) => self.def_value(*def, span),
            ExprKind::Builtin(builtin) => self.builtin(*builtin, span),
            ExprKind::AxisName(name) => self.axis_name(frame, name, span),
            ExprKind::Field(..) => self.field(frame, expr, false),
            ExprKind::Call(f, args) => self.call_expr(frame, f, args, span),
            ExprKind::Sized(layer, sizes) => self.sized(frame, layer, sizes, span),
            ExprKind::Unary(op, a) => self.unary_expr(frame, *op, a, span),
            ExprKind::Binary(op, a, b) => {
                let (x, y) = (self.eval(frame, a), self.eval(frame, b));
                self.operator(*op, (&x?, a.span), (&y?, b.span), span)
            }
            ExprKind::Range(a, b) => {
                let (start, end) = (self.eval(frame, a), self.eval(frame, b));
                Ok(Value::Range(Box::new(start?), Box::new(end?)))
            }
            ExprKind::If(..) => self.if_expr(frame, expr),
            ExprKind::Block(block) => self.block(frame, block),
            ExprKind::Tuple(values) => {
                let values: Vec<Eval<Value>> = values.iter().map(|value| self.eval(frame, value)).collect();
                Ok(Value::Tuple(values.into_iter().collect::<Eval<Vec<Value>>>()?))
            }
            ExprKind::Shape(axes) => Ok(Value::Shape(self.shape_argument(frame, axes)?)),
            ExprKind::WithGradient(a, b) => {
                let (x, y) = (self.eval(frame, a), self.eval(frame, b));
                self.with_gradient((&x?, a.span), (&y?, b.span), span)
            }
            ExprKind::Over(how, set, f) => self.over(frame, *how, set, f, span),
            ExprKind::Group(group) => self.group_value(frame, group).map(Value::Set),
            ExprKind::Raw(path) => match path.kind {
                ExprKind::Local(local) => {
                    let name = &frame.locals[local.0 as usize].name;
                    self.raw_local(frame, name, span)
                }
                ExprKind::Field(..) => self.field(frame, path, true),
                _ => self.members(frame, expr).map(|members| Value::Set(Rc::new(members))),
            },
            ExprKind::Join(parts) => {
                if self.phase == Phase::Discover {
                    return Err(Failed);
                }
                Ok(Value::Set(Rc::new(vec![self.join(frame, parts, span)?])))
            }
        }
    }

    /// What a local is bound to.
    pub(super) fn local(&mut self, frame: &Frame<'p>, local: Local, span: Span) -> Eval<Value> {
        match frame.values.get(local.0 as usize) {
            Some(Some(Value::Poison)) => Err(Failed),
            Some(Some(value)) => Ok(value.clone()),
            // A rest that is named where there is no signature.
            Some(None) if frame.scope == TOP && frame.locals[local.0 as usize].kind == LocalKind::Rest => {
                Err(self.blame(ShapeMistake::NoRestHere { span }))
            }
            None => Err(self.blame(ShapeMistake::NoRestHere { span })),
            Some(None) => {
                let def = &frame.locals[local.0 as usize];
                let (name, bound) = (def.name.text.clone(), def.name.span);
                let rest = def.kind == LocalKind::Rest;
                Err(self.blame(ShapeMistake::NotBound { span, name, bound, rest }))
            }
        }
    }

    /// What a definition stands for.
    pub(super) fn def_value(&mut self, id: DefId, span: Span) -> Eval<Value> {
        let def = self.def(id);
        match &def.kind {
            DefKind::Const(expr) => self.enter(&def.name, span, |elab| elab.eval_top(expr)),
            DefKind::Fn(_) => Ok(Value::Fn(id)),
            DefKind::Layer(_) => {
                Ok(Value::Layer(LayerValue { def: id, sizes: vec![], settings: None, home: None, span }))
            }
            DefKind::Data(_) => self.data_value(id),
            DefKind::Model(expr) => self.model_value(id, expr),
            DefKind::Group(_) => self.named_group(id).map(Value::Set),
            DefKind::Sparsified(_) => {
                let (name, declared) = (def.name.text.clone(), def.name.span);
                let inside = self.parameter_of(&name);
                Err(self.blame(GroupMistake::NotAValue { span, name, declared, inside }))
            }
        }
    }

    fn builtin(&mut self, builtin: Builtin, span: Span) -> Eval<Value> {
        let clock = match builtin {
            Builtin::Prim(name) => return Ok(Value::Prim(name)),
            Builtin::Training => return Ok(Value::Bool(self.mode == Mode::Train)),
            Builtin::Step => Clock::Step,
            Builtin::Epoch => Clock::Epoch,
            Builtin::Progress => Clock::Progress,
        };
        Ok(Value::Tensor(self.emit(Op::Clock(clock), DType::F32, vec![], span)))
    }

    fn axis_name(&mut self, frame: &Frame<'p>, name: &Symbol, span: Span) -> Eval<Value> {
        if let Some(data) = frame.fields
            && let Some(tensor) = self.raw_field(data, name, span)?
        {
            return Ok(Value::Tensor(tensor));
        }
        Ok(Value::Axes(vec![(Label::new(name, frame.scope), None)]))
    }

    /// `Dense[Out = 300]`.
    fn sized(&mut self, frame: &mut Frame<'p>, layer: &'p Expr, sizes: &'p [(Name, Expr)], span: Span) -> Eval<Value> {
        let mut layer = match self.eval(frame, layer)? {
            Value::Layer(layer) => layer,
            Value::Poison => return Err(Failed),
            other => return Err(self.blame(ShapeMistake::NotALayer { span: layer.span, found: other.kind() })),
        };
        for (name, size) in sizes {
            let known = self.size_names(layer.def);
            if !known.contains(&name.text) {
                let (callee, declared) = (self.def(layer.def).name.text.clone(), self.def(layer.def).name.span);
                let (name, span) = (name.text.clone(), name.span);
                return Err(self.blame(ShapeMistake::NoSuchSize { span, callee, name, known, declared }));
            }
            let value = match self.eval(frame, size)? {
                Value::Size(_, size) => size,
                other => Size::Known(self.whole(&other, size.span)?),
            };
            layer.sizes.push((name.text.clone(), value, size.span));
        }
        Ok(Value::Layer(LayerValue { span, ..layer }))
    }

    /// The sizes that an instance of a layer may set.
    pub(super) fn size_names(&self, def: DefId) -> Vec<Symbol> {
        let layer = self.layer(def);
        layer.sizes.iter().map(|size| layer.locals[size.local.0 as usize].name.text.clone()).collect()
    }

    fn unary_expr(&mut self, frame: &mut Frame<'p>, op: UnaryOp, a: &'p Expr, span: Span) -> Eval<Value> {
        let value = self.eval(frame, a)?;
        match op {
            UnaryOp::Neg => self.unary(Unary::Neg, (&value, a.span), span),
            UnaryOp::Not => self.unary(Unary::Not, (&value, a.span), span),
        }
    }

    /// One branch where the condition is known, else both and a selection.
    fn if_expr(&mut self, frame: &mut Frame<'p>, expr: &'p Expr) -> Eval<Value> {
        let ExprKind::If(condition, then, otherwise) = &expr.kind else { return Err(Failed) };
        match self.eval(frame, condition)? {
            Value::Bool(true) => self.branch(frame, then),
            Value::Bool(false) => self.branch(frame, otherwise),
            c => {
                let (a, b) = (self.branch(frame, then), self.branch(frame, otherwise));
                self.select((&c, condition.span), (&a?, then.value.span), (&b?, otherwise.value.span), expr.span)
            }
        }
    }

    /// `mean over set of f(…)`.
    fn over(&mut self, frame: &mut Frame<'p>, how: Over, set: &'p Expr, f: &'p Expr, span: Span) -> Eval<Value> {
        let members = match self.eval(frame, set)? {
            Value::Set(members) => members,
            Value::Poison => return Err(Failed),
            other => return Err(self.blame(GroupMistake::NotASet { span: set.span, found: other.kind() })),
        };
        let values = self.over_members(&members, set.span, |elab, member| {
            let first = super::call::ArgValue { name: None, value: member, span: set.span };
            elab.call_with(frame, f, vec![first], f.span)
        })?;
        let combine = match how {
            Over::Each => {
                let names = members.iter().map(|member| member.path.to_string());
                return Ok(Value::List(names.zip(values).collect()));
            }
            Over::Mean => Binary::Add,
            Over::Max => Binary::Max,
        };
        let n = values.len() as f64;
        let mut values = values.into_iter();
        let mut result = values.next().unwrap_or(Value::Number(0.0));
        for value in values {
            result = self.binary(combine, (&result, span), (&value, span), span)?;
        }
        match how {
            Over::Mean => self.binary(Binary::Div, (&result, span), (&Value::Number(n), span), span),
            Over::Max | Over::Each => Ok(result),
        }
    }

    /// A value that has to be a tensor but is neither a tensor nor a number.
    pub(super) fn single_tensor(&mut self, value: &Value, span: Span) -> Eval<Tensor> {
        match value {
            Value::Poison => Err(Failed),
            Value::Set(members) => match members.as_slice() {
                [member] => self.member_tensor(member, span),
                members => {
                    let n = members.len();
                    Err(self.blame(GroupMistake::SetIsNotATensor { span, set: span, n, found: "".into() }))
                }
            },
            Value::Axes(axes) => match axes.as_slice() {
                [(label, None)] if label.nth.is_none() => {
                    Err(self.blame(ShapeMistake::AxisIsNotAValue { span, name: label.name.clone() }))
                }
                _ => Err(self.blame(ShapeMistake::NotATensor { span, found: value.kind(), declared: None })),
            },
            other => Err(self.blame(ShapeMistake::NotATensor { span, found: other.kind(), declared: None })),
        }
    }

    /// A value that must be a string.
    pub(super) fn text(&mut self, value: &Value, span: Span) -> Eval<Symbol> {
        match value {
            Value::Poison => Err(Failed),
            Value::Text(text) => Ok(text.clone()),
            other => Err(self.blame(ShapeMistake::NotAString { span, found: other.kind() })),
        }
    }

    /// Records that a size stays unknown where it is needed.
    pub(super) fn blame_unknown_size(&mut self, var: u32, span: Span) -> Failed {
        if self.placeholders || self.sizes.is_poisoned(var) {
            return Failed;
        }
        self.blame_missing_size(var, span)
    }

    /// Records that a size stays unknown, whatever the reason.
    pub(super) fn blame_missing_size(&mut self, var: u32, span: Span) -> Failed {
        self.sizes.poison(Size::Var(var));
        let facts = self.sizes.var(var).clone();
        let settable = self.program.defs.iter().any(|def| {
            def.name.text == facts.owner
                && matches!(&def.kind, DefKind::Layer(layer) if layer.sizes.iter().any(|size| {
                    layer.locals[size.local.0 as usize].name.text == facts.name
                }))
        });
        let (name, owner, declared) = (facts.name, facts.owner, facts.span);
        self.blame(ShapeMistake::UnknownSize { span, name, owner, declared, settable })
    }
}
