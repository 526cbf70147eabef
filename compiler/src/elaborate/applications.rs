//! What is remembered of applications: enough to write the program of a network down again.

use super::Elab;
use super::instance::Inst;
use super::value::{InstanceRef, LayerValue, Value};
use crate::model::{Application, ExprId, Size, Symbol};
use crate::resolve::hir::{AxisPattern, DefId, ExprKind, Input, InputType, Layer, LayerSize, Local};

impl<'p> Elab<'p, '_> {
    /// The tensors that an application is given.
    pub(super) fn input_tensors(&self, frame: &super::Frame<'p>, layer: &Layer) -> Vec<(Symbol, ExprId)> {
        let named = |input: &Input| {
            let name = layer.locals[input.local.0 as usize].name.text.clone();
            let given = frame.values[input.local.0 as usize].as_ref().map_or(vec![], tensors);
            given.into_iter().map(move |tensor| (name.clone(), tensor))
        };
        layer.inputs.iter().flat_map(named).collect()
    }

    /// Remembers an application in the program that is being traced: what the layer computes, and what comes out.
    pub(super) fn record_application(
        &mut self,
        instance: &InstanceRef,
        inputs: Vec<(Symbol, ExprId)>,
        [computed, value]: [&Value; 2],
    ) {
        let Inst { path, def, .. } = &self.instances[instance.id];
        let application = Application {
            path: path.clone(),
            settings: self.given_settings(*def, &instance.settings),
            inputs: inputs.into_iter().map(|(name, tensor)| (name, Some(tensor))).collect(),
            computed: tensors(computed),
            results: tensors(value),
        };
        self.applications.push(application);
    }

    fn given_settings(&self, def: DefId, given: &[Option<Value>]) -> Vec<(Symbol, Option<String>)> {
        let layer = self.layer(def);
        let name = |setting: &Input| layer.locals[setting.local.0 as usize].name.text.clone();
        let given = layer.settings.iter().zip(given).filter_map(|(setting, value)| Some((setting, value.as_ref()?)));
        given.map(|(setting, value)| (name(setting), self.text_of(value))).collect()
    }

    /// A value as it could stand in any program with the same definitions.
    fn text_of(&self, value: &Value) -> Option<String> {
        match value {
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Text(text) => Some(format!("{text:?}")),
            Value::Size(_, size) => match self.sizes.find(*size) {
                Size::Known(n) => Some(n.to_string()),
                Size::Batch | Size::Var(_) => None,
            },
            Value::Range(from, to) => Some(format!("{}..{}", self.text_of(from)?, self.text_of(to)?)),
            Value::Tuple(values) => {
                let texts = values.iter().map(|value| self.text_of(value)).collect::<Option<Vec<_>>>()?;
                Some(format!("({})", texts.join(", ")))
            }
            Value::Fn(def) => Some(self.def(*def).name.text.to_string()),
            Value::Prim(name) => Some((*name).to_owned()),
            Value::Layer(layer) => self.text_of_layer(layer),
            _ => None,
        }
    }

    fn text_of_layer(&self, layer: &LayerValue) -> Option<String> {
        let size = |(name, size, _): &(Symbol, Size, _)| match self.sizes.find(*size) {
            Size::Known(n) => Some(format!("{name} = {n}")),
            Size::Batch | Size::Var(_) => None,
        };
        let sizes = layer.sizes.iter().map(size).collect::<Option<Vec<_>>>()?;
        let settings = layer.settings.as_ref().map_or(vec![], |given| self.given_settings(layer.def, given));
        let setting = |(name, text): (Symbol, Option<String>)| Some(format!("{name}: {}", text?));
        let settings = settings.into_iter().map(setting).collect::<Option<Vec<_>>>()?;
        let sizes = if sizes.is_empty() { String::new() } else { format!("[{}]", sizes.join(", ")) };
        let settings = if settings.is_empty() { String::new() } else { format!("({})", settings.join(", ")) };
        Some(format!("{}{sizes}{settings}", self.def(layer.def).name.text))
    }

    /// The sizes of a layer that stand by themselves as the size of an axis of an input.
    pub(super) fn inferred_sizes(&self, def: DefId) -> Vec<Symbol> {
        let layer = self.layer(def);
        let is_said = |local: Local| layer.inputs.iter().any(|input| says(input, local));
        let said = layer.sizes.iter().map(|size| size.local).filter(|local| is_said(*local));
        said.map(|local| layer.locals[local.0 as usize].name.text.clone()).collect()
    }

    /// The sizes of a layer whose default is a number.
    pub(super) fn default_numbers(&self, def: DefId) -> Vec<(Symbol, usize)> {
        let layer = self.layer(def);
        let number = |size: &LayerSize| match size.default.as_ref()?.kind {
            ExprKind::Number(number) => Some((layer.locals[size.local.0 as usize].name.text.clone(), number as usize)),
            _ => None,
        };
        layer.sizes.iter().filter_map(number).collect()
    }
}

fn says(input: &Input, local: Local) -> bool {
    let Some(InputType::Tensor(pattern)) = &input.ty else { return false };
    pattern.axes.iter().any(|axis| match axis {
        AxisPattern::Axis { size, .. } => matches!(size.kind, ExprKind::Local(own) if own == local),
        AxisPattern::Rest(..) => false,
    })
}

/// The tensors that a value consists of.
fn tensors(value: &Value) -> Vec<ExprId> {
    match value {
        Value::Tensor(tensor) => vec![tensor.expr],
        Value::Tuple(values) => values.iter().flat_map(tensors).collect(),
        _ => vec![],
    }
}
