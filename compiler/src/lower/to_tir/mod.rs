//! `model::Model` to `tir::Func`s: axis names go, the batch size becomes a number, and every function that a run needs is
//! written out.
//!
//! | function       | inputs                                             | results                                          |
//! |----------------|----------------------------------------------------|--------------------------------------------------|
//! | [`init`]       | `seed`                                             | every parameter and state by path                |
//! | [`train_step`] | lasting tensors by path, fields, `seed`, clock     | their new values by path, `term.0`, `term.1`, …  |
//! | [`event`]      | lasting tensors by path, `seed`, clock             | new values of those that it writes, by path      |
//! | [`objective`]  | what a step has                                    | `term.0`, …                                      |
//! | [`gradient`]   | the same                                           | `objective`, `term.0`, …, `grad.<path>`          |
//! | [`evaluate`]   | the same, and `samples`, the size of the split     | `partial.0`, …: what this batch adds, see [`cuts`]; carried states by path |
//! | [`report`]     | `partial.0`, … of the whole split, `samples`, lasting tensors | `report.0`, …                         |
//! | [`effective`]  | lasting tensors                                    | `effective.<path>`, `view.<group>.<n>`, `measure.<path>`, `budget.<n>` |
//! | [`predict`]    | lasting tensors, fields                            | `output.<model>`                                 |
//! | [`term`]       | parameters, also as `effective.<path>`, clock      | `value`                                          |
//! | [`network`]    | the same, and `effective.<path>`                   | `output.<model>`                                 |
//!
//! The clock is `step` (`i32[]`), `epoch` and `progress` (`f32[]`). A function takes only the inputs it reads.

pub mod cuts;
mod emit;

use std::collections::BTreeMap;

use crate::diag::Sources;
use crate::model::{self, ExprId, Model, Written};
use crate::tir::{Func, Op, Type, Value};

use emit::Emitter;

/// Draws every parameter and state.
pub fn init(model: &Model, sources: &Sources) -> Func {
    let mut emitter = Emitter::new("init", model, sources, model.carried_batch());
    let params = model.params.iter().map(|p| (&p.path, p.start));
    for (path, start) in params.chain(model.states.iter().map(|s| (&s.path, s.start))) {
        let value = emitter.emit(start);
        emitter.result(path, value);
    }
    emitter.finish()
}

/// The name of a step of training; its variant is left out where there is one only.
pub fn step_name(model: &Model, variant: usize, batch: usize) -> String {
    let several = model.plan.as_ref().is_some_and(|plan| plan.variants.len() > 1);
    if several { format!("train_step.{variant}@{batch}") } else { format!("train_step@{batch}") }
}

/// One step of training on a batch of `batch` samples, in phases that do what this variant does.
pub fn train_step(model: &Model, sources: &Sources, variant: usize, batch: usize) -> Func {
    let mut emitter = Emitter::new(step_name(model, variant, batch), model, sources, batch);
    let _ = emit_objective(&mut emitter, model);
    if let Some(variant) = model.plan.as_ref().and_then(|plan| plan.variants.get(variant)) {
        let params = model.params.iter().zip(&variant.params).filter_map(|(p, new)| Some((&p.path, (*new)?)));
        let state = |(id, new): &(model::StateId, ExprId)| (&model.states[id.0 as usize].path, *new);
        emit_writes(&mut emitter, params.chain(variant.optimizer_states.iter().map(state)));
    }
    emit_writes(&mut emitter, model.states.iter().filter_map(|s| Some((&s.path, s.update?))));
    emitter.finish()
}

/// An event of the plan: the new values of what it writes.
pub fn event(model: &Model, sources: &Sources, index: usize) -> Func {
    let mut emitter = Emitter::new(format!("event.{index}"), model, sources, 1);
    let event = &model.plan.as_ref().expect("only plans have events").events[index];
    let writes = event.writes.iter().map(|(written, new)| match written {
        Written::Param(id) => (&model.params[id.0 as usize].path, *new),
        Written::State(id) => (&model.states[id.0 as usize].path, *new),
    });
    emit_writes(&mut emitter, writes);
    emitter.finish()
}

fn emit_writes<'a>(emitter: &mut Emitter<'_>, writes: impl Iterator<Item = (&'a model::Symbol, ExprId)>) {
    for (path, new) in writes {
        let value = emitter.emit(new);
        emitter.result(path, value);
    }
}

/// The terms of the objective.
pub fn objective(model: &Model, sources: &Sources, batch: usize) -> Func {
    let mut emitter = Emitter::new(format!("objective@{batch}"), model, sources, batch);
    let _ = emit_objective(&mut emitter, model);
    emitter.finish()
}

/// The objective and its derivative by every free parameter.
pub fn gradient(model: &Model, sources: &Sources, batch: usize) -> Func {
    let mut emitter = Emitter::new(format!("gradient@{batch}"), model, sources, batch);
    let loss = emit_objective(&mut emitter, model);
    emitter.result("objective", loss);
    for (index, param) in model.params.iter().enumerate() {
        let value = emitter.emit_gradient(index);
        emitter.result(&format!("grad.{}", param.path), value);
    }
    emitter.finish()
}

/// What one batch of a split contributes to the reports.
pub fn evaluate(model: &Model, sources: &Sources, batch: usize) -> Func {
    let mut emitter = Emitter::new(format!("evaluate@{batch}"), model, sources, batch);
    emitter.split_samples = true;
    for (index, cut) in cuts::of(model).iter().enumerate() {
        let value = emitter.emit(cut.expr);
        emitter.result(&format!("partial.{index}"), value);
    }
    for state in &model.states {
        if let Some(update) = state.update_eval {
            let value = emitter.emit(update);
            emitter.result(&state.path, value);
        }
    }
    emitter.finish()
}

/// The reports, from what the batches of a split contributed.
pub fn report(model: &Model, sources: &Sources) -> Func {
    let mut emitter = Emitter::new("report", model, sources, 1);
    emitter.split_samples = true;
    for (index, cut) in cuts::of(model).iter().enumerate() {
        emitter.replace_by_input(cut.expr, &format!("partial.{index}"));
    }
    let values: Vec<ExprId> = model.reports.iter().flat_map(|r| r.values.iter().map(|(_, id)| *id)).collect();
    for (index, id) in values.into_iter().enumerate() {
        let value = emitter.emit(id);
        emitter.result(&format!("report.{index}"), value);
    }
    emitter.finish()
}

/// Parameters as the network sees them, group views and measures, in evaluation programs; the shares that the penalties of budgets
/// see.
pub fn effective(model: &Model, sources: &Sources) -> Func {
    let mut emitter = Emitter::new("effective", model, sources, 1);
    for param in &model.params {
        let value = emitter.emit(param.effective_eval);
        emitter.result(&format!("effective.{}", param.path), value);
    }
    for group in &model.groups {
        for (index, view) in group.views.iter().enumerate() {
            let value = emitter.emit(view.effective);
            emitter.result(&format!("view.{}.{index}", group.name), value);
        }
    }
    for measure in &model.measures {
        let value = emitter.emit(measure.value);
        emitter.result(&format!("measure.{}", measure.path), value);
    }
    for (index, budget) in model.budgets.iter().enumerate() {
        let value = emitter.emit(budget.used);
        emitter.result(&format!("budget.{index}"), value);
    }
    emitter.finish()
}

/// What each model computes from data, in evaluation programs.
pub fn predict(model: &Model, sources: &Sources, batch: usize) -> Func {
    let mut emitter = Emitter::new(format!("predict@{batch}"), model, sources, batch);
    for output in &model.outputs {
        let value = emitter.emit(output.value);
        emitter.result(&format!("output.{}", output.name), value);
    }
    emitter.finish()
}

/// What each model computes from one sample and from parameters as it sees them: the function whose zeros are what can be removed.
pub fn network(model: &Model, sources: &Sources) -> Func {
    emitted_network(model, sources, 1).finish()
}

/// [`network`] on `batch` samples.
pub fn network_at(model: &Model, sources: &Sources, batch: usize) -> Func {
    emitted_network(model, sources, batch).finish()
}

/// [`network`], and where it computes each expression.
pub fn traced_network(model: &Model, sources: &Sources) -> (Func, BTreeMap<ExprId, Value>) {
    let emitter = emitted_network(model, sources, 1);
    let values = emitter.values();
    (emitter.finish(), values)
}

fn emitted_network<'a>(model: &'a Model, sources: &'a Sources, batch: usize) -> Emitter<'a> {
    let mut emitter = Emitter::new("network", model, sources, batch);
    for param in &model.params {
        emitter.replace_by_input(param.effective_eval, &format!("effective.{}", param.path));
    }
    for output in &model.outputs {
        let value = emitter.emit(output.value);
        emitter.result(&format!("output.{}", output.name), value);
    }
    emitter
}

/// One term of the objective, `value`, from parameters as it sees them: inputs `effective.<path>` where they are sparsified.
pub fn term(model: &Model, sources: &Sources, index: usize) -> Func {
    let mut emitter = Emitter::new(format!("term.{index}"), model, sources, 1);
    for param in &model.params {
        if !matches!(model.graph.node(param.effective_train).op, model::Op::Param(_)) {
            emitter.replace_by_input(param.effective_train, &format!("effective.{}", param.path));
        }
    }
    let value = emitter.emit(model.terms[index].value);
    emitter.result("value", value);
    emitter.finish()
}

/// Emits every term as a result, and their sum.
fn emit_objective(emitter: &mut Emitter<'_>, model: &Model) -> Value {
    let mut sum = None;
    for (index, term) in model.terms.iter().enumerate() {
        let value = emitter.emit(term.value);
        emitter.result(&format!("term.{index}"), value);
        sum = Some(match sum {
            None => value,
            Some(sum) => emitter.add(sum, value),
        });
    }
    let loss = sum.unwrap_or_else(|| emitter.push(Op::Const(0.0), Type::f32([])));
    emitter.objective = Some(loss);
    loss
}
