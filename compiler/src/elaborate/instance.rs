//! Layer instances: made from layers, found again by their paths, applied.

use std::rc::Rc;

use super::call::ArgValue;
use super::errors::ShapeMistake;
use super::value::{InstanceRef, Label, LayerValue, Tensor, Value};
use super::{Elab, Eval, Failed, Frame, Mode, Phase};
use crate::diag::Span;
use crate::model::{DType, ExprId, Op, Output, ParamId, Size, StateId, Symbol, Type};
use crate::resolve::hir::{DefId, Expr, ExprKind, Input, InputType, Layer, Name};

/// A layer instance.
pub(super) struct Inst {
    /// As `net.fc1`.
    pub path: Symbol,
    /// The layer.
    pub def: DefId,
    /// One for each size that the layer declares.
    pub sizes: Vec<Size>,
    /// Its parameters, created when it is first applied.
    pub params: Vec<(Symbol, ParamId)>,
    /// Its states.
    pub states: Vec<(Symbol, StateId)>,
    /// Types of the inputs and the result at the first application.
    pub signature: Option<(Vec<Type>, Vec<Type>)>,
    /// Whether it has been applied.
    pub applied: bool,
}

impl Inst {
    /// The parameter of this name.
    pub(super) fn param(&self, name: &str) -> Option<ParamId> {
        self.params.iter().find(|(own, _)| **own == *name).map(|(_, id)| *id)
    }

    /// The state of this name.
    pub(super) fn state(&self, name: &str) -> Option<StateId> {
        self.states.iter().find(|(own, _)| **own == *name).map(|(_, id)| *id)
    }
}

impl<'p> Elab<'p, '_> {
    /// The instance at `path`: the one that was there before, or a new one.
    pub(super) fn instance(&mut self, path: Symbol, layer: &LayerValue) -> Eval<InstanceRef> {
        let names = self.size_names(layer.def);
        let id = match self.instances.get_index_of(&path) {
            Some(id) => id,
            None => {
                let owner = &self.def(layer.def).name.text;
                let sizes = names.iter().map(|name| self.sizes.fresh(name, owner, layer.span)).collect();
                let (params, states) = (vec![], vec![]);
                let new =
                    Inst { path: path.clone(), def: layer.def, sizes, params, states, signature: None, applied: false };
                self.instances.insert_full(path.clone(), new).0
            }
        };
        if self.instances[id].def != layer.def {
            return Err(self.blame(ShapeMistake::TwoLayers { span: layer.span, path }));
        }
        for (name, size, span) in &layer.sizes {
            let slot = names.iter().position(|own| own == name).expect("`sized` has checked the name");
            let own = self.instances[id].sizes[slot];
            if !self.sizes.unify(own, *size) {
                let (old, new) = (self.shown_size(own), self.shown_size(*size));
                return Err(self.blame(ShapeMistake::OtherSizes { span: *span, path, old, new }));
            }
        }
        let n = self.layer(layer.def).settings.len();
        let settings = layer.settings.clone().unwrap_or_else(|| Rc::new(vec![None; n]));
        Ok(InstanceRef { id, settings })
    }

    /// What a name is bound to: a layer becomes an instance with that name. In a function, which may be called several times,
    /// the names are numbered.
    pub(super) fn named(&mut self, frame: &Frame<'p>, name: &Name, value: Value) -> Eval<Value> {
        if !matches!(value, Value::Layer(_) | Value::Chain(_)) {
            return Ok(value);
        }
        let path = self.path_of_name(frame, name);
        match value {
            Value::Layer(layer) => self.instance(path, &layer).map(Value::Instance),
            Value::Chain(layers) => self.chain_at(&path, &layers).map(Value::Instances),
            other => Ok(other),
        }
    }

    fn path_of_name(&mut self, frame: &Frame<'p>, name: &Name) -> Symbol {
        match frame.instance {
            Some(owner) => self.member_path(owner, &name.text),
            None => self.unnamed_path(&name.text),
        }
    }

    /// What a setting or an input is bound to: a layer stays one, to be made an instance under each name that it is given, and where it
    /// is applied as it is, under its own.
    pub(super) fn received(&mut self, frame: &Frame<'p>, name: &Name, value: Value) -> Eval<Value> {
        match value {
            Value::Layer(layer) => {
                let home = Some(self.path_of_name(frame, name));
                Ok(Value::Layer(LayerValue { home, ..layer }))
            }
            other => self.named(frame, name, other),
        }
    }

    fn chain_at(&mut self, path: &Symbol, layers: &[LayerValue]) -> Eval<Vec<InstanceRef>> {
        let member = |(i, layer)| self.instance(format!("{path}.{i}").into(), layer);
        layers.iter().enumerate().map(member).collect()
    }

    /// An instance that is applied where it is written: it goes by its layer's name, numbered from the second one on.
    pub(super) fn unnamed_instance(&mut self, layer: &LayerValue) -> Eval<InstanceRef> {
        let path = match &layer.home {
            Some(home) => home.clone(),
            None => self.unnamed_path(&self.def(layer.def).name.text),
        };
        self.instance(path, layer)
    }

    fn unnamed_path(&mut self, name: &Symbol) -> Symbol {
        let count = self.unnamed.entry((self.path.clone(), name.clone())).or_insert(0);
        *count += 1;
        let name = if *count == 1 { name.to_string() } else { format!("{name}_{count}") };
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path).into() }
    }

    /// Applies the members of a chain, one after the other.
    pub(super) fn apply_chain(&mut self, chain: &[InstanceRef], args: Vec<ArgValue>, span: Span) -> Eval<Value> {
        let mut args = args;
        for instance in chain {
            let value = self.apply(instance, std::mem::take(&mut args), span)?;
            args = vec![ArgValue { name: None, value, span }];
        }
        args.pop().map(|arg| arg.value).ok_or(Failed)
    }

    /// A chain that is applied where it is written.
    pub(super) fn apply_unnamed_chain(
        &mut self,
        layers: &[LayerValue],
        args: Vec<ArgValue>,
        span: Span,
    ) -> Eval<Value> {
        let path = self.unnamed_path(&"chain".into());
        let chain = self.chain_at(&path, layers)?;
        self.apply_chain(&chain, args, span)
    }

    /// Applies an instance to arguments.
    pub(super) fn apply(&mut self, instance: &InstanceRef, args: Vec<ArgValue>, span: Span) -> Eval<Value> {
        self.apply_with(instance, span, |elab, frame, inputs, name| elab.bind_inputs(frame, inputs, args, name, span))
    }

    /// Applies an instance that nothing applies to placeholders, so that its parameters exist.
    pub(super) fn apply_to_placeholders(&mut self, instance: &InstanceRef, span: Span) -> Eval<Value> {
        self.apply_with(instance, span, |elab, frame, inputs, _| elab.bind_placeholders(frame, inputs, span))
    }

    fn apply_with(
        &mut self,
        instance: &InstanceRef,
        span: Span,
        bind: impl FnOnce(&mut Self, &mut Frame<'p>, &'p [Input], &'p Name) -> Eval<()>,
    ) -> Eval<Value> {
        let def = self.def(self.instances[instance.id].def);
        let layer = self.layer(self.instances[instance.id].def);
        let path = self.instances[instance.id].path.clone();
        self.instances[instance.id].applied = true;
        self.unnamed.retain(|(owner, _), _| *owner != path);
        let result = self.enter(&def.name, span, |elab| {
            elab.within(path.clone(), |elab| {
                let mut frame = elab.new_frame(&layer.locals, &def.name.text, Some(instance.id));
                elab.bind_sizes(&mut frame, layer, instance.id);
                elab.default_sizes(&mut frame, layer, true)?;
                elab.bind_settings(&mut frame, layer, instance, &def.name, span)?;
                bind(elab, &mut frame, &layer.inputs, &def.name)?;
                elab.default_sizes(&mut frame, layer, false)?;
                let inputs = elab.input_types(&frame, layer);
                let given = elab.input_tensors(&frame, layer);
                let value = elab.block(&mut frame, &layer.body)?;
                let value = elab.returned(&mut frame, value, &layer.result, layer.body.value.span)?;
                elab.sign(instance.id, inputs, &value);
                Ok((given, value))
            })
        });
        let result = result.and_then(|(given, computed)| {
            let value = self.sparse_value(&path, computed.clone())?;
            self.record_application(instance, given, [&computed, &value]);
            Ok(value)
        });
        if result.is_err() {
            let _ = self.failed_instances.insert(path);
        }
        result
    }

    fn bind_sizes(&self, frame: &mut Frame<'p>, layer: &Layer, id: usize) {
        for (declared, size) in layer.sizes.iter().zip(&self.instances[id].sizes) {
            let label = Label::new(&layer.locals[declared.local.0 as usize].name.text, frame.scope);
            frame.values[declared.local.0 as usize] = Some(Value::Size(label, *size));
        }
    }

    /// Sizes that nothing has said are what they are by default: numbers before the inputs are looked at, what depends on other
    /// sizes after that.
    fn default_sizes(&mut self, frame: &mut Frame<'p>, layer: &'p Layer, numbers: bool) -> Eval<()> {
        for declared in &layer.sizes {
            let (Some(default), Some(Value::Size(_, size))) =
                (&declared.default, frame.values[declared.local.0 as usize].clone())
            else {
                continue;
            };
            let is_number = matches!(default.kind, ExprKind::Number(_) | ExprKind::Def(_));
            if is_number == numbers && matches!(self.sizes.find(size), Size::Var(_)) {
                let value = self.eval(frame, default)?;
                let n = self.whole(&value, default.span)?;
                let _ = self.sizes.unify(size, Size::Known(n));
            }
        }
        Ok(())
    }

    fn bind_settings(
        &mut self,
        frame: &mut Frame<'p>,
        layer: &'p Layer,
        instance: &InstanceRef,
        name: &'p Name,
        span: Span,
    ) -> Eval<()> {
        let given =
            instance.settings.iter().map(|value| value.clone().map(|value| ArgValue { name: None, value, span }));
        let given: Vec<Option<ArgValue>> = given.collect();
        self.bind_slots(frame, &layer.settings, given, name, span)
    }

    fn bind_placeholders(&mut self, frame: &mut Frame<'p>, inputs: &'p [Input], span: Span) -> Eval<()> {
        for input in inputs {
            let tensor = match &input.ty {
                Some(InputType::Tensor(pattern)) => {
                    for axis in &pattern.axes {
                        if let crate::resolve::hir::AxisPattern::Rest(local, _) = axis {
                            frame.values[local.0 as usize] = Some(Value::Axes(vec![]));
                        }
                    }
                    let (ty, labels) = self.declared(frame, pattern)?;
                    Tensor { expr: self.leaf(Op::Const(0.0), &ty, span).expr, labels }
                }
                Some(InputType::Axis) | None => self.emit(Op::Const(0.0), DType::F32, vec![], span),
            };
            frame.values[input.local.0 as usize] = Some(Value::Tensor(tensor));
        }
        Ok(())
    }

    fn input_types(&self, frame: &Frame<'p>, layer: &Layer) -> Vec<Type> {
        let bound = |input: &Input| frame.values[input.local.0 as usize].as_ref();
        let types = layer.inputs.iter().filter_map(bound).flat_map(|value| self.value_types(value));
        types.collect()
    }

    /// The types of the tensors that a value consists of.
    fn value_types(&self, value: &Value) -> Vec<Type> {
        match value {
            Value::Tensor(tensor) => {
                let node = &self.build.graph.node(tensor.expr).ty;
                let axis = |(label, size): (Option<Label>, Size)| crate::model::Axis {
                    name: label.and_then(|label| self.shown_name(&label)),
                    size,
                };
                vec![Type { dtype: node.dtype, axes: self.axes(tensor).into_iter().map(axis).collect() }]
            }
            Value::Number(_) => vec![Type { dtype: DType::F32, axes: vec![] }],
            Value::Tuple(values) => values.iter().flat_map(|value| self.value_types(value)).collect(),
            _ => vec![],
        }
    }

    fn sign(&mut self, id: usize, inputs: Vec<Type>, result: &Value) {
        if self.instances[id].signature.is_none() {
            let results = self.value_types(result);
            self.instances[id].signature = Some((inputs, results));
        }
    }

    /// What a `model` declaration stands for: an instance whose path is its name.
    pub(super) fn model_value(&mut self, id: DefId, expr: &'p Expr) -> Eval<Value> {
        if let Some(value) = self.models.get(&(self.mode, id)) {
            return Ok(value.clone());
        }
        let name = &self.def(id).name;
        let value = self.enter(name, expr.span, |elab| elab.eval_top(expr))?;
        let value = match value {
            Value::Layer(layer) => Value::Instance(self.instance(name.text.clone(), &layer)?),
            Value::Chain(layers) => Value::Instances(self.chain_at(&name.text, &layers)?),
            Value::Instance(_) | Value::Instances(_) => value,
            Value::Poison => return Err(Failed),
            other => return Err(self.blame(ShapeMistake::NotALayer { span: expr.span, found: other.kind() })),
        };
        let _ = self.models.insert((self.mode, id), value.clone());
        Ok(value)
    }

    /// Applies a model. At the top level the same arguments give the same forward pass.
    pub(super) fn apply_model(&mut self, id: DefId, model: Value, args: Vec<ArgValue>, span: Span) -> Eval<Value> {
        let tensor = |arg: &ArgValue| match (&arg.name, &arg.value) {
            (None, Value::Tensor(tensor)) => Some(tensor.expr),
            _ => None,
        };
        let key: Option<Vec<ExprId>> = args.iter().map(tensor).collect();
        let key = key.filter(|_| self.calls.is_empty()).map(|key| (self.mode, id, key));
        if let Some(value) = key.as_ref().and_then(|key| self.applied.get(key)) {
            return Ok(value.clone());
        }
        let value = self.call(model, args, span)?;
        if let Some(key) = key {
            let _ = self.applied.insert(key, value.clone());
        }
        if let Value::Tensor(tensor) = &value
            && (self.mode, self.phase) == (Mode::Eval, Phase::Trace)
            && self.path.is_empty()
        {
            self.outputs.push(Output { name: self.def(id).name.text.clone(), value: tensor.expr });
        }
        Ok(value)
    }
}
