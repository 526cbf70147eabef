//! Events: what layers do between steps, when a plan fires them or every so many steps.
//!
//! While the training program is traced, `on EVENT { … }` and `every … { … }` are only put aside, with the names that they see. The plan
//! then runs them: their expressions become nodes like all others, which read parameters and states as they are when the event happens.

use super::call::ArgValue;
use super::errors::{EventMistake, ShapeMistake};
use super::value::{Member, Target, Tensor, Value};
use super::{CallSite, Elab, Eval, Failed, Frame, Mode, Phase};
use crate::diag::Span;
use crate::model::{self, DType, Event, ExprId, ParamId, Size, StateId, Symbol, Written};
use crate::resolve::hir::{self, Expr, ExprKind, Input, Interval, Name, Stmt, StmtKind};

/// When a handler runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum When {
    /// At an event.
    On(Name),
    /// After so many steps.
    Steps(u64),
    /// At the end of each epoch.
    Epoch,
}

/// Lines of a layer that wait for their event.
#[derive(Clone)]
pub(super) struct Handler<'p> {
    pub when: When,
    /// The instance that they belong to.
    pub instance: usize,
    inputs: &'p [Input],
    body: &'p [Stmt],
    frame: Frame<'p>,
    calls: Vec<CallSite>,
    span: Span,
}

/// What is to be written, with the place that says so.
pub(super) type Write = (Written, ExprId, Span);

impl<'p> Elab<'p, '_> {
    /// Puts the lines of an event aside.
    pub(super) fn keep_handler(&mut self, frame: &mut Frame<'p>, stmt: &'p Stmt) -> Eval<()> {
        let Some(instance) = frame.instance else { return Ok(()) };
        if (self.mode, self.phase) != (Mode::Train, Phase::Trace) {
            return Ok(());
        }
        let (when, inputs, body): (When, &'p [Input], &'p [Stmt]) = match &stmt.kind {
            StmtKind::On { event, inputs, body } => (When::On(event.clone()), inputs, body),
            StmtKind::Every(Interval::Epoch, body) => (When::Epoch, &[], body),
            StmtKind::Every(Interval::Steps(n), body) => (When::Steps(self.step_count(frame, n)?), &[], body),
            StmtKind::Bind { .. } | StmtKind::BindTuple(..) | StmtKind::Param { .. } | StmtKind::State { .. } => {
                return Ok(());
            }
            StmtKind::Measure(..) | StmtKind::Update(..) => return Ok(()),
        };
        let (calls, span) = (self.calls.clone(), stmt.span);
        let frame = Frame { in_handler: true, ..frame.clone() };
        let handler = Handler { when, instance, inputs, body, frame, calls, span };
        let _ = self.handlers.insert((instance, span), handler);
        Ok(())
    }

    /// The number in `every 100 steps`.
    pub(super) fn step_count(&mut self, frame: &mut Frame<'p>, n: &'p Expr) -> Eval<u64> {
        let value = self.eval(frame, n)?;
        let found = self.number(&value, n.span)?;
        if found.fract() == 0.0 && (1.0..=9_007_199_254_740_992.0).contains(&found) {
            return Ok(found as u64);
        }
        Err(self.blame(EventMistake::Steps { span: n.span, found }))
    }

    /// The handlers that run at some time.
    pub(super) fn handlers_of(&self, is_it: impl Fn(&When) -> bool) -> Vec<Handler<'p>> {
        self.handlers.values().filter(|handler| is_it(&handler.when)).cloned().collect()
    }

    /// What handlers write when they run as one event.
    pub(super) fn event(
        &mut self,
        name: String,
        handlers: &[Handler<'p>],
        (args, fired): (&[ArgValue], Option<Span>),
    ) -> Eval<Event> {
        let mut writes: Vec<Write> = vec![];
        for handler in handlers {
            self.run_handler(handler, args, fired.unwrap_or(handler.span), &mut writes)?;
        }
        for (index, (written, value, span)) in writes.iter().enumerate() {
            self.check_reads(*value, *span)?;
            if let Some((.., first)) = writes[..index].iter().find(|(old, ..)| old == written) {
                let (span, first, path, event) = (*span, *first, self.written_path(*written), name.into());
                return Err(self.blame(EventMistake::WrittenTwice { span, first, path, event }));
            }
        }
        Ok(Event { name, writes: writes.into_iter().map(|(written, value, _)| (written, value)).collect() })
    }

    fn written_path(&self, written: Written) -> Symbol {
        match written {
            Written::Param(id) => self.params[id.0 as usize].path.clone(),
            Written::State(id) => self.states[id.0 as usize].path.clone(),
        }
    }

    fn run_handler(
        &mut self,
        handler: &Handler<'p>,
        args: &[ArgValue],
        fired: Span,
        writes: &mut Vec<Write>,
    ) -> Eval<()> {
        let name = match &handler.when {
            When::On(name) => name.clone(),
            When::Steps(_) | When::Epoch => Name { text: "every".into(), span: handler.span },
        };
        let path: Symbol = format!("{}.{}", self.instances[handler.instance].path, name.text).into();
        let _ = self.draws.remove(&path);
        let known = self.diags.len();
        let mut frame = handler.frame.clone();
        let calls = std::mem::replace(&mut self.calls, handler.calls.clone());
        let result = self.within(path, |elab| {
            elab.bind_inputs(&mut frame, handler.inputs, args.to_vec(), &name, fired)?;
            handler.body.iter().try_for_each(|stmt| match &stmt.kind {
                StmtKind::Update(target, value) => {
                    writes.extend(elab.writes(&mut frame, target, value, stmt.span)?);
                    Ok(())
                }
                _ => elab.stmt(&mut frame, stmt),
            })
        });
        self.calls = calls;
        if let When::On(_) = handler.when {
            self.show_fired(known, fired);
        }
        result
    }

    /// Shows, beside what went wrong in a handler, what made it run.
    fn show_fired(&mut self, known: usize, fired: Span) {
        for diagnostic in &mut self.diags[known..] {
            let (primary, secondary) = (diagnostic.primary.iter(), diagnostic.secondary.iter());
            if primary.chain(secondary).all(|(shown, _)| *shown != fired) {
                diagnostic.secondary.push((fired, "when this is fired".into()));
            }
        }
    }

    /// An event has no batch at hand.
    fn check_reads(&mut self, value: ExprId, span: Span) -> Eval<()> {
        let of_batch = |id: &ExprId| {
            let node = self.build.graph.node(*id);
            let of_batch = node.ty.axes.iter().any(|axis| self.sizes.find(axis.size) == Size::Batch);
            of_batch
                || matches!(node.op, model::Op::Field(..) | model::Op::SizeOf(Size::Batch) | model::Op::Gradient(_))
        };
        let reads = model::count::reachable(&self.build.graph, &[value]);
        match reads.iter().find(|id| of_batch(id)) {
            Some(id) => {
                let at = self.build.graph.node(*id).span;
                Err(self.blame(EventMistake::ReadsTheBatch { span, at }))
            }
            None => Ok(()),
        }
    }

    /// What one line `target <- e` writes.
    pub(super) fn writes(
        &mut self,
        frame: &mut Frame<'p>,
        target: &'p hir::Target,
        expr: &'p Expr,
        span: Span,
    ) -> Eval<Vec<Write>> {
        let value = self.eval(frame, expr)?;
        let value = self.tensor(&value, expr.span)?;
        if let ExprKind::Local(local) = target.path.kind {
            let name = &frame.locals[local.0 as usize].name;
            let declared = self.local(frame, local, span)?;
            let declared = self.tensor(&declared, span)?;
            let value = self.as_written(&value, expr.span, &declared, span)?;
            return self.local_writes(frame, name, target.raw, &value, span);
        }
        let mut writes = vec![];
        for member in self.members(frame, &target.path)? {
            let written = self.written(&member, target, span)?;
            let declared = self.target_tensor(&Member { raw: true, ..member }, span)?;
            let value = self.as_written(&value, expr.span, &declared, span)?;
            writes.push((written, value.expr, span));
        }
        Ok(writes)
    }

    fn written(&mut self, member: &Member, target: &hir::Target, span: Span) -> Eval<Written> {
        match (&member.target, target.raw) {
            (Target::State(id), false) => Ok(Written::State(*id)),
            (Target::Param(id), true) if member.cut.is_none() => Ok(Written::Param(*id)),
            (Target::Param(_) | Target::State(_) | Target::Inner | Target::Joined(_), raw) => {
                let (path, is_param) = (member.path.clone(), matches!(member.target, Target::Param(_)));
                Err(self.blame(EventMistake::CannotWrite { span, path, raw, is_param }))
            }
        }
    }

    /// A value with the element type and the axes of what it is written to.
    fn as_written(&mut self, value: &Tensor, at: Span, declared: &Tensor, span: Span) -> Eval<Tensor> {
        let (found, expected) = (self.dtype(value), self.dtype(declared));
        if found == DType::F32 && expected != DType::F32 {
            return Err(self.blame(ShapeMistake::ElementType { span: at, found, declared: expected, at: span }));
        }
        let value = self.convert(value, expected, at);
        self.broadcast_to(&value, at, declared, span)
    }

    /// A write of a state or a parameter of this layer, or of the free tensors that the layer stands for.
    fn local_writes(
        &mut self,
        frame: &Frame<'p>,
        name: &Name,
        raw: bool,
        value: &Tensor,
        span: Span,
    ) -> Eval<Vec<Write>> {
        let Some(instance) = frame.instance else { return Err(Failed) };
        let own = &self.instances[instance];
        let (state, param): (Option<StateId>, Option<ParamId>) = (own.state(&name.text), own.param(&name.text));
        match (raw, state, param) {
            (false, Some(id), _) => Ok(vec![(Written::State(id), value.expr, span)]),
            (true, _, Some(id)) => Ok(vec![(Written::Param(id), value.expr, span)]),
            (true, _, None) => self.free_writes(instance, name, value, span),
            (false, None, _) => {
                Err(self.blame(ShapeMistake::NotAState { span, name: name.text.clone(), bound: name.span }))
            }
        }
    }

    /// `raw(w) <- …` where `w` is what a parameterisation is given.
    fn free_writes(&mut self, instance: usize, name: &Name, value: &Tensor, span: Span) -> Eval<Vec<Write>> {
        let layer = self.layer(self.instances[instance].def);
        let is_input = |input: &Input| layer.locals[input.local.0 as usize].name.text == name.text;
        let first = layer.inputs.first().is_some_and(is_input);
        let Some(&view) = self.stands_for.get(&instance).filter(|_| first) else {
            let (name, bound) = (name.text.clone(), name.span);
            return Err(self.blame(EventMistake::StandsForNothing { span, name, bound }));
        };
        let member = self.sparse[view].member.clone();
        let parts = match &member.target {
            Target::Joined(parts) => parts.to_vec(),
            Target::Param(_) | Target::State(_) | Target::Inner => vec![member.clone()],
        };
        let free = |part: &Member| if let Target::Param(id) = part.target { Some(id) } else { None };
        let Some(ids) = parts.iter().map(free).collect::<Option<Vec<ParamId>>>() else {
            let (name, bound) = (name.text.clone(), name.span);
            return Err(self.blame(EventMistake::StandsForNothing { span, name, bound }));
        };
        let likes: Vec<Tensor> = ids.iter().map(|id| self.raw_param(*id)).collect();
        let tensors = match (&member.target, &member.cut) {
            (Target::Joined(_), _) => {
                let likes: Vec<(Tensor, &Member)> = likes.into_iter().zip(&parts).collect();
                self.parts_of(value, &likes, span)
            }
            (_, Some((cut, _))) => vec![self.unview(value, cut, &likes[0], span)],
            (_, None) => vec![value.clone()],
        };
        Ok(ids.into_iter().zip(tensors).map(|(id, tensor)| (Written::Param(id), tensor.expr, span)).collect())
    }

    /// The free tensor behind a name of a layer: `raw(w)`.
    pub(super) fn raw_local(&mut self, frame: &Frame<'p>, name: &Name, span: Span) -> Eval<Value> {
        let labelled = |tensor: Tensor, frame: &Frame<'p>| {
            let slot = frame.locals.iter().position(|local| local.name.span == name.span);
            match slot.and_then(|slot| frame.values[slot].clone()) {
                Some(Value::Tensor(own)) if own.labels.len() == tensor.labels.len() => {
                    Value::Tensor(Tensor { expr: tensor.expr, labels: own.labels })
                }
                _ => Value::Tensor(tensor),
            }
        };
        let Some(instance) = frame.instance else { return Err(Failed) };
        if let Some(id) = self.instances[instance].param(&name.text) {
            return Ok(labelled(self.raw_param(id), frame));
        }
        let Some(&view) = self.stands_for.get(&instance) else {
            let (name, bound) = (name.text.clone(), name.span);
            return Err(self.blame(EventMistake::StandsForNothing { span, name, bound }));
        };
        let member = Member { raw: true, ..self.sparse[view].member.clone() };
        let tensor = self.member_tensor(&member, span)?;
        Ok(labelled(tensor, frame))
    }
}
