//! Calls: arguments find their inputs, functions are inlined, layers take settings or become instances.

use std::rc::Rc;

use super::errors::ShapeMistake;
use super::value::{Label, LayerValue, Member, Scope, Tensor, Value};
use super::{CallSite, Elab, Eval, Failed, Frame};
use crate::diag::Span;
use crate::model::Symbol;
use crate::resolve::hir::{
    Arg, AxesPattern, Block, DefId, DefKind, Expr, ExprKind, Fn, Input, InputType, Layer, LocalDef, LocalKind, Name,
};
use crate::scalar::Binary;

/// How deep calls may nest: far beyond what a network needs, and a bound on what a recursion without an end costs.
const MAX_CALLS: usize = 512;

/// How many calls a program may consist of: a recursion that branches grows beyond any memory before it gets deep.
const MAX_WORK: usize = 250_000;

/// An argument, evaluated.
#[derive(Clone, Debug)]
pub(super) struct ArgValue {
    /// What it is called in the call.
    pub name: Option<Name>,
    /// Its value.
    pub value: Value,
    /// Where it stands.
    pub span: Span,
}

impl<'p> Elab<'p, '_> {
    /// `f(x, p: 0.5)`.
    pub(super) fn call_expr(&mut self, frame: &mut Frame<'p>, f: &'p Expr, args: &'p [Arg], span: Span) -> Eval<Value> {
        let callee = self.eval(frame, f);
        let args = self.args(frame, args);
        let model = match f.kind {
            ExprKind::Def(def) if matches!(self.def(def).kind, DefKind::Model(_)) => Some(def),
            _ => None,
        };
        match (callee?, model) {
            (callee, Some(def)) => self.apply_model(def, callee, args, span),
            (callee, None) => self.call(callee, args, span),
        }
    }

    /// The values of arguments; mistakes in one don't keep the others from being looked at.
    pub(super) fn args(&mut self, frame: &mut Frame<'p>, args: &'p [Arg]) -> Vec<ArgValue> {
        let value = |arg: &'p Arg| {
            let value = self.eval(frame, &arg.value).unwrap_or(Value::Poison);
            ArgValue { name: arg.name.clone(), value, span: arg.value.span }
        };
        args.iter().map(value).collect()
    }

    /// A call of anything that can be called.
    pub(super) fn call(&mut self, callee: Value, args: Vec<ArgValue>, span: Span) -> Eval<Value> {
        let args = match callee {
            Value::Fn(def) => self.with_vectors(def, args)?,
            _ => args,
        };
        if let Value::Fn(_) | Value::Prim(_) = callee
            && let Some(index) = args.iter().position(|arg| is_set(&arg.value))
        {
            return self.call_over_set(&callee, &args, index, span);
        }
        match callee {
            Value::Fn(def) => self.call_fn(def, args, span),
            Value::Prim(name) => self.prim(name, args, span),
            Value::Layer(layer) => self.call_layer(layer, args, span),
            Value::Instance(instance) => self.apply(&instance, args, span),
            Value::Instances(chain) => self.apply_chain(&chain, args, span),
            Value::Chain(layers) => self.apply_unnamed_chain(&layers, args, span),
            Value::Poison => Err(Failed),
            other => Err(self.blame(ShapeMistake::NotCallable { span, found: other.kind() })),
        }
    }

    /// `f(set)` is the sum of `f` over the members.
    fn call_over_set(&mut self, callee: &Value, args: &[ArgValue], index: usize, span: Span) -> Eval<Value> {
        let Value::Set(members) = args[index].value.clone() else { return Err(Failed) };
        let mut sum: Option<Value> = None;
        for value in self.over_members(&members, span, |elab, member| {
            let mut args = args.to_vec();
            args[index].value = member;
            elab.call(callee.clone(), args, span)
        })? {
            self.check_scalar_of_set(&value, args[index].span, &members, span)?;
            sum = Some(match sum {
                Some(sum) => self.binary(Binary::Add, (&sum, span), (&value, span), span)?,
                None => value,
            });
        }
        Ok(sum.unwrap_or(Value::Number(0.0)))
    }

    /// What `work` makes of each member of a set.
    pub(super) fn over_members(
        &mut self,
        members: &Rc<Vec<Member>>,
        span: Span,
        mut work: impl FnMut(&mut Self, Value) -> Eval<Value>,
    ) -> Eval<Vec<Value>> {
        let mut values = vec![];
        for member in members.iter() {
            let tensor = self.member_tensor(member, span)?;
            values.push(work(self, Value::Tensor(tensor))?);
        }
        Ok(values)
    }

    fn check_scalar_of_set(&mut self, value: &Value, at: Span, members: &[Member], span: Span) -> Eval<()> {
        match value {
            Value::Tensor(tensor) if !tensor.labels.is_empty() && members.len() > 1 => {
                let (found, n) = (self.shown(tensor), members.len());
                Err(self.blame(super::errors::GroupMistake::SetIsNotATensor { span, set: at, n, found }))
            }
            _ => Ok(()),
        }
    }

    /// Inlines a function.
    pub(super) fn call_fn(&mut self, def: DefId, args: Vec<ArgValue>, span: Span) -> Eval<Value> {
        let DefKind::Fn(function) = &self.def(def).kind else { return Err(Failed) };
        let name = &self.def(def).name;
        self.enter(name, span, |elab| elab.inline(function, name, args, span))
    }

    /// Runs `work` as the body of a call.
    pub(super) fn enter<T>(&mut self, name: &Name, span: Span, work: impl FnOnce(&mut Self) -> Eval<T>) -> Eval<T> {
        if self.calls.len() >= MAX_CALLS {
            let mistake =
                ShapeMistake::TooDeep { span, name: name.text.clone(), declared: name.span, limit: MAX_CALLS };
            return Err(self.blame(mistake));
        }
        self.work += 1;
        if self.work > MAX_WORK {
            let (name, declared) = (name.text.clone(), name.span);
            let first = self.work == MAX_WORK + 1;
            let mistake = ShapeMistake::TooMuch { span, name, declared, limit: MAX_WORK };
            return Err(if first { self.blame(mistake) } else { Failed });
        }
        self.calls.push(CallSite { name: name.text.clone(), span });
        let result = stacker::maybe_grow(256 * 1024, 4 * 1024 * 1024, || work(self));
        let _ = self.calls.pop();
        result
    }

    fn inline(&mut self, function: &'p Fn, name: &'p Name, args: Vec<ArgValue>, span: Span) -> Eval<Value> {
        let mut frame = self.new_frame(&function.locals, &name.text, None);
        self.bind_inputs(&mut frame, &function.inputs, args, name, span)?;
        let value = self.block(&mut frame, &function.body)?;
        self.returned(&mut frame, value, &function.result, function.body.value.span)
    }

    /// A frame with a scope of its own, in which each size is an unknown.
    pub(super) fn new_frame(&mut self, locals: &'p [LocalDef], owner: &Symbol, instance: Option<usize>) -> Frame<'p> {
        let scope = self.new_scope();
        let mut size = |local: &LocalDef| match local.kind {
            LocalKind::Size => {
                let var = self.sizes.fresh(&local.name.text, owner, local.name.span);
                Some(Value::Size(Label::new(&local.name.text, scope), var))
            }
            LocalKind::Rest | LocalKind::Input | LocalKind::Binding => None,
            LocalKind::Param | LocalKind::State | LocalKind::Measure => None,
        };
        let values = locals.iter().map(&mut size).collect();
        Frame {
            locals,
            values,
            scope,
            owner: owner.clone(),
            instance,
            fields: None,
            conditional: false,
            in_handler: false,
        }
    }

    /// Gives every input its argument or its default.
    pub(super) fn bind_inputs(
        &mut self,
        frame: &mut Frame<'p>,
        inputs: &'p [Input],
        args: Vec<ArgValue>,
        callee: &Name,
        span: Span,
    ) -> Eval<()> {
        let slots = self.slots(frame.locals, inputs, args, callee)?;
        self.bind_slots(frame, inputs, slots, callee, span)
    }

    /// Gives every input what stands in its slot, or its default.
    pub(super) fn bind_slots(
        &mut self,
        frame: &mut Frame<'p>,
        inputs: &'p [Input],
        slots: Vec<Option<ArgValue>>,
        callee: &Name,
        span: Span,
    ) -> Eval<()> {
        for (input, slot) in inputs.iter().zip(slots) {
            self.bind_input(frame, input, slot, callee, span)?;
        }
        Ok(())
    }

    /// Which argument belongs to which input.
    pub(super) fn slots(
        &mut self,
        locals: &'p [LocalDef],
        inputs: &'p [Input],
        args: Vec<ArgValue>,
        callee: &Name,
    ) -> Eval<Vec<Option<ArgValue>>> {
        let name_of = |input: &Input| &locals[input.local.0 as usize].name.text;
        let mut slots: Vec<Option<ArgValue>> = inputs.iter().map(|_| None).collect();
        for arg in args {
            let slot = match &arg.name {
                Some(name) => inputs.iter().position(|input| *name_of(input) == name.text),
                None => slots.iter().position(Option::is_none),
            };
            match slot {
                Some(slot) if slots[slot].is_none() => slots[slot] = Some(arg),
                Some(_) | None => {
                    let names = inputs.iter().map(|input| name_of(input).clone()).collect();
                    return Err(self.blame_argument(arg, &callee.text, names, Some(callee.span)));
                }
            }
        }
        Ok(slots)
    }

    /// An argument that no input takes.
    pub(super) fn blame_argument(
        &mut self,
        arg: ArgValue,
        callee: &str,
        inputs: Vec<Symbol>,
        declared: Option<Span>,
    ) -> Failed {
        let callee = callee.into();
        match arg.name {
            Some(name) if inputs.contains(&name.text) => {
                self.blame(ShapeMistake::ArgumentTwice { span: name.span, callee, name: name.text })
            }
            Some(name) => {
                self.blame(ShapeMistake::NoSuchArgument { span: name.span, callee, name: name.text, inputs, declared })
            }
            None => self.blame(ShapeMistake::TooManyArguments { span: arg.span, callee, inputs, declared }),
        }
    }

    fn bind_input(
        &mut self,
        frame: &mut Frame<'p>,
        input: &'p Input,
        arg: Option<ArgValue>,
        callee: &Name,
        span: Span,
    ) -> Eval<()> {
        let (value, at) = match (arg, &input.default) {
            (Some(arg), _) => (arg.value, arg.span),
            (None, Some(default)) => (self.eval(frame, default)?, default.span),
            (None, None) => {
                let missing = frame.locals[input.local.0 as usize].name.text.clone();
                let callee_name = callee.text.clone();
                let declared = Some(callee.span);
                return Err(self.blame(ShapeMistake::MissingArgument { span, callee: callee_name, missing, declared }));
            }
        };
        let value = match &input.ty {
            Some(InputType::Tensor(pattern)) => self.match_input(frame, pattern, value, at)?,
            Some(InputType::Axis) => {
                Value::Axes(self.axis_labels(&value, at)?.into_iter().map(|l| (l, None)).collect())
            }
            None => self.loosen(value, at)?,
        };
        let name = &frame.locals[input.local.0 as usize].name;
        let value = self.received(frame, name, value)?;
        frame.values[input.local.0 as usize] = Some(value);
        Ok(())
    }

    /// A set of one tensor stands for it.
    fn loosen(&mut self, value: Value, span: Span) -> Eval<Value> {
        match &value {
            Value::Set(members) if members.len() == 1 => {
                let members = members.clone();
                Ok(Value::Tensor(self.member_tensor(&members[0], span)?))
            }
            _ => Ok(value),
        }
    }

    /// What a call gives back: checked against the signature, with the caller's names for its axes.
    pub(super) fn returned(
        &mut self,
        frame: &mut Frame<'p>,
        value: Value,
        result: &'p [AxesPattern],
        span: Span,
    ) -> Eval<Value> {
        let value = match result {
            [] => value,
            [pattern] => self.match_result(frame, pattern, value, span)?,
            several => self.match_results(frame, several, value, span)?,
        };
        Ok(self.restored(value, frame.scope))
    }

    /// A value with the names that its axes have outside of `scope`.
    pub(super) fn restored(&self, value: Value, scope: Scope) -> Value {
        match value {
            Value::Tensor(tensor) => Value::Tensor(self.restored_tensor(tensor, scope)),
            Value::Tuple(values) => Value::Tuple(values.into_iter().map(|v| self.restored(v, scope)).collect()),
            Value::Size(label, size) if label.scope == scope => match self.sizes.find(size) {
                crate::model::Size::Known(n) => Value::Number(n as f64),
                crate::model::Size::Batch | crate::model::Size::Var(_) => Value::Size(label, size),
            },
            other => other,
        }
    }

    fn restored_tensor(&self, tensor: Tensor, scope: Scope) -> Tensor {
        let outer = |label: Label| if label.scope == scope { self.origins.get(&label).cloned() } else { Some(label) };
        let labels = tensor.labels.into_iter().map(|label| label.and_then(outer)).collect();
        Tensor { expr: tensor.expr, labels }
    }

    /// The parentheses behind a layer: its settings, or the inputs of an instance without a name.
    fn call_layer(&mut self, layer: LayerValue, args: Vec<ArgValue>, span: Span) -> Eval<Value> {
        let definition = self.layer(layer.def);
        let takes_settings = layer.settings.is_none() && !definition.settings.is_empty();
        if takes_settings && !args.iter().any(|arg| self.looks_like_an_input(definition, arg)) {
            let name = &self.def(layer.def).name;
            let slots = self.slots(&definition.locals, &definition.settings, args, name)?;
            let settings = slots.into_iter().map(|slot| slot.map(|arg| arg.value)).collect();
            return Ok(Value::Layer(LayerValue { settings: Some(Rc::new(settings)), span, ..layer }));
        }
        let instance = self.unnamed_instance(&layer)?;
        self.apply(&instance, args, span)
    }

    /// Settings are numbers; what has axes, or the name of an input, is an input.
    fn looks_like_an_input(&self, layer: &Layer, arg: &ArgValue) -> bool {
        match (&arg.name, &arg.value) {
            (Some(name), _) => {
                layer.inputs.iter().any(|input| layer.locals[input.local.0 as usize].name.text == name.text)
            }
            (None, Value::Tensor(tensor)) => !tensor.labels.is_empty(),
            (None, Value::Set(_)) => true,
            (None, _) => false,
        }
    }

    /// The value of a function or a call that lacks its first arguments.
    pub(super) fn call_with(
        &mut self,
        frame: &mut Frame<'p>,
        partial: &'p Expr,
        first: Vec<ArgValue>,
        span: Span,
    ) -> Eval<Value> {
        let (f, written) = match &partial.kind {
            ExprKind::Call(f, args) => (self.eval(frame, f)?, self.args(frame, args)),
            _ => (self.eval(frame, partial)?, vec![]),
        };
        self.call(f, first.into_iter().chain(written).collect(), span)
    }

    /// A definition.
    pub(super) fn def(&self, def: DefId) -> &'p crate::resolve::hir::Def {
        &self.program.defs[def.0 as usize]
    }

    /// A definition that is a layer.
    pub(super) fn layer(&self, def: DefId) -> &'p Layer {
        match &self.def(def).kind {
            DefKind::Layer(layer) => layer,
            DefKind::Const(_) | DefKind::Fn(_) | DefKind::Data(_) => unreachable!("only layers become layer values"),
            DefKind::Model(_) | DefKind::Group(_) | DefKind::Sparsified(_) => {
                unreachable!("only layers become layer values")
            }
        }
    }

    /// Bindings and the value they end in, with what they bind forgotten by nobody: names are unique in a definition.
    pub(super) fn branch(&mut self, frame: &mut Frame<'p>, block: &'p Block) -> Eval<Value> {
        let outer = std::mem::replace(&mut frame.conditional, true);
        let value = self.block(frame, block);
        frame.conditional = outer;
        value
    }
}

fn is_set(value: &Value) -> bool {
    matches!(value, Value::Set(members) if members.len() != 1)
}
