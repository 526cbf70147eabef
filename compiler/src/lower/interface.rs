//! What a runtime sees of a program: its fields, lasting tensors, terms and reports, and the names under which the
//! lowered functions take and return them.

use std::sync::Arc;

use ndarray::ArrayD;
use spnc_runtime::program::{Description, Element, FieldInfo, Role, TensorInfo};
use spnc_runtime::train;

use super::to_tir::cuts::{self, Cut};
use crate::model::{Axis, DType, Model, ParamId, Plan, Size, Stage, State, StateId, Type};

/// A program's outside.
#[derive(Clone, Debug)]
pub struct Interface {
    /// What the trainer sees.
    pub description: Description,
    /// The names of the batch fields in lowered functions, in the order of `description.fields`.
    pub field_names: Vec<Arc<str>>,
    /// Constant tensors, by the name under which functions read them.
    pub literals: Vec<(Arc<str>, ArrayD<f64>)>,
    /// What `evaluate` returns for `report` to work on.
    pub partials: Vec<Cut>,
}

/// The interface of a program.
pub fn of(model: &Model) -> Interface {
    let fields = model.data.iter().flat_map(|data| data.facts.fields.iter().map(move |field| (data, field)));
    let (field_names, infos) = fields
        .map(|(data, field)| {
            let element = match field.dtype {
                DType::F32 => Element::Real,
                DType::I32 | DType::Bool => Element::Integer,
            };
            let info = FieldInfo { name: field.name.to_string(), element, shape: field.shape.clone() };
            (field_name(&data.name, &field.name), info)
        })
        .unzip();
    Interface {
        description: Description {
            fields: infos,
            tensors: tensors(model),
            terms: terms(model),
            reports: reports(model),
            events: model.plan.iter().flat_map(|plan| &plan.events).map(|event| event.name.clone()).collect(),
        },
        field_names,
        literals: model.literals.iter().enumerate().map(|(i, l)| (literal_name(i), l.value.clone())).collect(),
        partials: cuts::of(model),
    }
}

/// The stages of a plan, as the trainer does them. `epochs` replaces those of every phase.
pub fn stages(plan: &Plan, epochs: Option<usize>) -> Vec<train::Stage> {
    let single = plan.phases().count() == 1;
    let stage = |stage: &Stage| match stage {
        Stage::Fire(event) => train::Stage::Fire(*event),
        Stage::Phase(phase) => train::Stage::Phase(train::Phase {
            name: if single { String::new() } else { phase.name.clone() },
            epochs: epochs.unwrap_or(phase.epochs),
            variant: phase.variant,
            fresh: phase.fresh,
            every_steps: phase.every_steps.clone(),
            every_epoch: phase.every_epoch.clone(),
        }),
    };
    plan.stages.iter().map(stage).collect()
}

fn tensors(model: &Model) -> Vec<TensorInfo> {
    let params = model.params.iter().map(|p| TensorInfo {
        name: p.path.to_string(),
        role: Role::Param,
        shape: known_shape(&p.ty),
    });
    let states = model.states.iter().map(|state| TensorInfo {
        name: state.path.to_string(),
        role: role(state),
        shape: shape_at(&state.ty, model.carried_batch()),
    });
    params.chain(states).collect()
}

fn role(state: &State) -> Role {
    match state {
        State { carried: true, .. } => Role::Carried,
        State { of_optimizer: true, .. } => Role::OptimizerState,
        State { .. } => Role::State,
    }
}

fn shape_at(ty: &Type, batch: usize) -> Vec<usize> {
    let at = |axis: &Axis| match axis.size {
        Size::Batch => Axis { name: None, size: Size::Known(batch) },
        Size::Known(_) | Size::Var(_) => axis.clone(),
    };
    known_shape(&Type { dtype: ty.dtype, axes: ty.axes.iter().map(at).collect() })
}

fn terms(model: &Model) -> Vec<String> {
    model.terms.iter().map(|t| t.text.clone()).collect()
}

fn reports(model: &Model) -> Vec<String> {
    let name = |report: &str, label: &str| {
        if label.is_empty() { report.to_owned() } else { format!("{report} {label}") }
    };
    model
        .reports
        .iter()
        .flat_map(|r| r.values.iter().map(|(label, _)| name(&r.name, label)).collect::<Vec<_>>())
        .collect()
}

/// The shape of a tensor that does not depend on the batch.
///
/// # Panics
///
/// If it does: `elaborate` promises that parameters and states do not.
pub fn known_shape(ty: &Type) -> Vec<usize> {
    ty.axes
        .iter()
        .map(|axis| match axis.size {
            Size::Known(n) => n,
            Size::Batch | Size::Var(_) => panic!("a lasting tensor has an axis of unknown size"),
        })
        .collect()
}

/// The name of a batch field in lowered functions.
pub fn field_name(data: &str, field: &str) -> Arc<str> {
    format!("{data}.{field}").into()
}

/// The name of a constant tensor in lowered functions.
pub fn literal_name(index: usize) -> Arc<str> {
    format!("literal.{index}").into()
}

/// The name of a parameter in lowered functions: its path.
pub fn param_name(model: &Model, param: ParamId) -> Arc<str> {
    model.params[param.0 as usize].path.clone()
}

/// The name of a state in lowered functions: its path.
pub fn state_name(model: &Model, state: StateId) -> Arc<str> {
    model.states[state.0 as usize].path.clone()
}
