//! Blocks: bindings, parameters, states and their updates, measures.

use super::errors::{PatternRole, ShapeMistake};
use super::text;
use super::value::{self, Label, Member, TOP, Tensor, Value};
use super::{Elab, Eval, Failed, Frame, Mode, Phase};
use crate::diag::Span;
use crate::model::{DType, ExprId, Op, Param, ParamId, Size, State, StateId, Symbol, Type, Written};
use crate::resolve::hir::{AxesPattern, Block, Expr, Local, Name, Start, Stmt, StmtKind, Target};

impl<'p> Elab<'p, '_> {
    /// The value of a block. A binding that fails is passed over, so that the others are still looked at.
    pub(super) fn block(&mut self, frame: &mut Frame<'p>, block: &'p Block) -> Eval<Value> {
        for stmt in &block.stmts {
            if self.stmt(frame, stmt).is_err() {
                poison(frame, stmt);
            }
        }
        self.eval(frame, &block.value)
    }

    /// One line.
    pub(super) fn stmt(&mut self, frame: &mut Frame<'p>, stmt: &'p Stmt) -> Eval<()> {
        match &stmt.kind {
            StmtKind::Bind { local, ty, value } => self.bind(frame, *local, ty.as_ref(), value),
            StmtKind::BindTuple(locals, value) => self.bind_tuple(frame, locals, value),
            StmtKind::Param { local, ty, start } => self.param(frame, *local, ty, start, stmt.span),
            StmtKind::State { local, ty, start } => self.state(frame, *local, ty, start, stmt.span),
            StmtKind::Measure(local, value) => self.measure(frame, *local, value),
            StmtKind::Update(target, value) => self.update(frame, target, value, stmt.span),
            StmtKind::On { .. } | StmtKind::Every(..) => self.keep_handler(frame, stmt),
        }
    }

    fn bind(&mut self, frame: &mut Frame<'p>, local: Local, ty: Option<&'p AxesPattern>, expr: &'p Expr) -> Eval<()> {
        let value = self.eval(frame, expr)?;
        let value = match ty {
            Some(pattern) => {
                let tensor = self.tensor(&value, expr.span)?;
                let role = PatternRole::Annotation;
                Value::Tensor(self.match_axes(frame, pattern, &tensor, expr.span, role)?)
            }
            None => value,
        };
        self.bind_value(frame, local, value)
    }

    fn bind_value(&mut self, frame: &mut Frame<'p>, local: Local, value: Value) -> Eval<()> {
        let name = self.local_name(frame, local);
        let value = self.named(frame, name, value)?;
        let Some(instance) = frame.instance.filter(|_| !frame.in_handler) else {
            frame.values[local.0 as usize] = Some(value);
            return Ok(());
        };
        let path = self.member_path(instance, &name.text);
        let value = self.sparse_value(&path, value)?;
        if let Value::Tensor(tensor) = &value {
            let _ = self.inner.insert((self.mode, path), self.at_the_top(tensor));
        }
        frame.values[local.0 as usize] = Some(value);
        Ok(())
    }

    /// A tensor of an instance, seen from the top level: its axes keep their texts.
    pub(super) fn at_the_top(&self, tensor: &Tensor) -> Tensor {
        let top = |label: &Label| self.shown_name(label).map(|name| Label::new(&name, TOP));
        let labels = tensor.labels.iter().map(|label| label.as_ref().and_then(top)).collect();
        Tensor { expr: tensor.expr, labels }
    }

    fn bind_tuple(&mut self, frame: &mut Frame<'p>, locals: &'p [Local], expr: &'p Expr) -> Eval<()> {
        match self.eval(frame, expr)? {
            Value::Tuple(values) if values.len() == locals.len() => {
                for (&local, value) in locals.iter().zip(values) {
                    self.bind_value(frame, local, value)?;
                }
                Ok(())
            }
            Value::Poison => Err(Failed),
            other => {
                let found = if let Value::Tuple(values) = &other { Some(values.len()) } else { None };
                let (span, kind, expected) = (expr.span, other.kind(), locals.len());
                Err(self.blame(ShapeMistake::NotATuple { span, found, kind, expected }))
            }
        }
    }

    fn local_name(&self, frame: &Frame<'p>, local: Local) -> &'p Name {
        &frame.locals[local.0 as usize].name
    }

    /// The path of a name of an instance.
    pub(super) fn member_path(&self, instance: usize, name: &Symbol) -> Symbol {
        format!("{}.{name}", self.instances[instance].path).into()
    }

    fn param(
        &mut self,
        frame: &mut Frame<'p>,
        local: Local,
        pattern: &'p AxesPattern,
        start: &'p Start,
        span: Span,
    ) -> Eval<()> {
        let Some(instance) = frame.instance else { return Err(self.blame(ShapeMistake::OutsideOfALayer { span })) };
        let name = &self.local_name(frame, local).text;
        let (ty, labels) = self.declared(frame, pattern)?;
        let id = match self.instances[instance].param(name) {
            Some(id) => {
                let declared = self.params[id.0 as usize].ty.clone();
                self.check_same_type(&declared, &ty, &self.member_path(instance, name), span)?;
                id
            }
            None => self.new_param(frame, instance, name, ty, start, span)?,
        };
        let tensor = Tensor { expr: self.effective(id, span)?.expr, labels };
        frame.values[local.0 as usize] = Some(Value::Tensor(tensor));
        Ok(())
    }

    fn new_param(
        &mut self,
        frame: &mut Frame<'p>,
        instance: usize,
        name: &Symbol,
        ty: Type,
        start: &'p Start,
        span: Span,
    ) -> Eval<ParamId> {
        self.check_type(&ty, span)?;
        if ty.dtype != DType::F32 {
            return Err(self.blame(ShapeMistake::ParamIsNotReal { span, name: name.clone(), found: ty.dtype }));
        }
        let path = self.member_path(instance, name);
        let start = self.start(frame, &path, &ty, start)?;
        let id = ParamId(self.params.len() as u32);
        let own = self.leaf(Op::Param(id), &ty, span);
        let effective = own.expr;
        self.params.push(Param { path, ty, start, effective_train: effective, effective_eval: effective, span });
        self.instances[instance].params.push((name.clone(), id));
        Ok(id)
    }

    /// A node of a declared type.
    pub(super) fn leaf(&mut self, op: Op, ty: &Type, span: Span) -> Tensor {
        let label = |name: &Symbol| Label::new(name, TOP);
        let axes = ty.axes.iter().map(|axis| (axis.name.as_ref().map(label), axis.size)).collect();
        self.emit(op, ty.dtype, axes, span)
    }

    /// The start value of a parameter or state, broadcast to its type.
    fn start(&mut self, frame: &mut Frame<'p>, path: &Symbol, ty: &Type, start: &'p Start) -> Eval<ExprId> {
        let (expr, shape) = match start {
            Start::Value(expr) => (expr, None),
            Start::Draw(expr) => (expr, Some(ty.clone())),
        };
        let outer = std::mem::replace(&mut self.draw_shape, shape);
        let value = self.within(path.clone(), |elab| {
            let value = elab.eval(frame, expr)?;
            elab.tensor(&value, expr.span)
        });
        self.draw_shape = outer;
        let value = self.convert(&value?, ty.dtype, expr.span);
        let like = self.leaf(Op::Const(0.0), ty, expr.span);
        let bare = Tensor { expr: value.expr, labels: vec![None; value.labels.len()] };
        Ok(self.broadcast_to(&bare, expr.span, &like, expr.span)?.expr)
    }

    /// A lasting tensor needs all of its sizes, and room in memory.
    fn check_type(&mut self, ty: &Type, span: Span) -> Eval<()> {
        let mut elements = 1u64;
        for axis in &ty.axes {
            match axis.size {
                Size::Known(n) => elements = elements.saturating_mul(n as u64),
                Size::Batch => return Err(self.blame(ShapeMistake::BatchLasts { span })),
                Size::Var(var) if self.sizes.is_poisoned(var) => return Err(Failed),
                Size::Var(var) => return Err(self.blame_missing_size(var, span)),
            }
        }
        if elements > super::finish::MAX_ELEMENTS {
            return Err(self.blame(ShapeMistake::TooLarge { span, elements }));
        }
        Ok(())
    }

    /// A state that has the batch axis once belongs to the sequence of batches; true for such a one.
    fn check_state_type(&mut self, ty: &Type, span: Span) -> Eval<bool> {
        let of_batch = |axis: &&crate::model::Axis| self.sizes.find(axis.size) == Size::Batch;
        if self.optimizing || ty.axes.iter().filter(of_batch).count() != 1 {
            return self.check_type(ty, span).map(|()| false);
        }
        let others = ty.axes.iter().filter(|axis| !of_batch(axis)).cloned().collect();
        self.check_type(&Type { dtype: ty.dtype, axes: others }, span).map(|()| true)
    }

    fn check_same_type(&mut self, old: &Type, new: &Type, path: &Symbol, span: Span) -> Eval<()> {
        let same = |(a, b): (&crate::model::Axis, &crate::model::Axis)| self.sizes.unify(a.size, b.size);
        if old.axes.len() == new.axes.len() && old.axes.iter().zip(&new.axes).all(same) {
            return Ok(());
        }
        let (old, new) = (self.shown_type(old), self.shown_type(new));
        Err(self.blame(ShapeMistake::OtherSizes { span, path: path.clone(), old, new }))
    }

    /// Names and sizes of a declared type.
    pub(super) fn shown_type(&self, ty: &Type) -> String {
        let label = |name: &Symbol| Label::new(name, TOP);
        let axes: Vec<_> = ty.axes.iter().map(|axis| (axis.name.as_ref().map(label), axis.size)).collect();
        self.shown_axes(&axes)
    }

    fn state(
        &mut self,
        frame: &mut Frame<'p>,
        local: Local,
        pattern: &'p AxesPattern,
        start: &'p Start,
        span: Span,
    ) -> Eval<()> {
        let Some(instance) = frame.instance else { return Err(self.blame(ShapeMistake::OutsideOfALayer { span })) };
        let name = &self.local_name(frame, local).text;
        let (ty, labels) = self.declared(frame, pattern)?;
        let id = match self.instances[instance].state(name) {
            Some(id) => {
                let declared = self.states[id.0 as usize].ty.clone();
                self.check_same_type(&declared, &ty, &self.member_path(instance, name), span)?;
                id
            }
            None => {
                let carried = self.check_state_type(&ty, span)?;
                let path = self.member_path(instance, name);
                let start = self.start(frame, &path, &ty, start)?;
                let id = StateId(self.states.len() as u32);
                let (update, update_eval, of_optimizer) = (None, None, self.optimizing);
                self.states.push(State { path, ty: ty.clone(), start, update, update_eval, of_optimizer, carried });
                self.instances[instance].states.push((name.clone(), id));
                id
            }
        };
        let tensor = Tensor { expr: self.leaf(Op::State(id), &ty, span).expr, labels };
        frame.values[local.0 as usize] = Some(Value::Tensor(tensor));
        Ok(())
    }

    /// `running <- e`: the state's value after the step.
    fn update(&mut self, frame: &mut Frame<'p>, target: &'p Target, expr: &'p Expr, span: Span) -> Eval<()> {
        if frame.conditional {
            let name = text::expr(self.program, &target.path).into();
            return Err(self.blame(ShapeMistake::UpdateInIf { span, name }));
        }
        let writes = self.writes(frame, target, expr, span)?;
        if self.phase == Phase::Discover {
            return Ok(());
        }
        let by = self.calls.last().map_or(span, |call| call.span);
        for (written, value, _) in writes {
            let Written::State(id) = written else { continue };
            if self.mode == Mode::Eval && !self.states[id.0 as usize].carried {
                continue;
            }
            if let Some(first) = self.written.insert(id, by) {
                let path = self.states[id.0 as usize].path.clone();
                return Err(self.blame(ShapeMistake::WrittenTwice { span, first, second: by, path }));
            }
            let state = &mut self.states[id.0 as usize];
            match self.mode {
                Mode::Train if state.of_optimizer => self.optimizer_writes.push((id, value)),
                Mode::Train => state.update = Some(value),
                Mode::Eval => state.update_eval = Some(value),
            }
        }
        Ok(())
    }

    fn measure(&mut self, frame: &mut Frame<'p>, local: Local, expr: &'p Expr) -> Eval<()> {
        let value = self.eval(frame, expr)?;
        let tensor = self.real(&value, expr.span)?;
        if !tensor.labels.is_empty() {
            let found = self.shown(&tensor);
            return Err(self.blame(ShapeMistake::NotAScalar { span: expr.span, what: "a measure", found }));
        }
        if let Some(instance) = frame.instance {
            let path = self.member_path(instance, &self.local_name(frame, local).text);
            let _ = self.measures.insert((self.mode, path), tensor.expr);
        }
        frame.values[local.0 as usize] = Some(Value::Tensor(tensor));
        Ok(())
    }

    /// What a path leads to in the program that is being traced.
    pub(super) fn target_tensor(&mut self, member: &Member, span: Span) -> Eval<Tensor> {
        match &member.target {
            value::Target::Param(id) if member.raw => Ok(self.raw_param(*id)),
            value::Target::Param(id) => self.effective(*id, span),
            value::Target::State(id) => {
                let ty = self.states[id.0 as usize].ty.clone();
                Ok(self.leaf(Op::State(*id), &ty, span))
            }
            value::Target::Inner => self.inner_tensor(&member.path).ok_or(Failed),
            value::Target::Joined(parts) => self.joined_view(parts, member.raw, span),
        }
    }

    /// The free tensor of a parameter.
    pub(super) fn raw_param(&mut self, id: ParamId) -> Tensor {
        let param = &self.params[id.0 as usize];
        let (ty, span) = (param.ty.clone(), param.span);
        self.leaf(Op::Param(id), &ty, span)
    }
}

fn poison(frame: &mut Frame<'_>, stmt: &Stmt) {
    let mut set = |local: Local| frame.values[local.0 as usize] = Some(Value::Poison);
    match &stmt.kind {
        StmtKind::Bind { local, .. } | StmtKind::Param { local, .. } | StmtKind::State { local, .. } => set(*local),
        StmtKind::Measure(local, _) => set(*local),
        StmtKind::BindTuple(locals, _) => locals.iter().for_each(|local| set(*local)),
        StmtKind::Update(..) | StmtKind::On { .. } | StmtKind::Every(..) => {}
    }
}
