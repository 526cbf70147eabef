//! A model as text: `spnc emit --stage model`.
//!
//! Instances with their types and costs, parameters, states, groups, sparsity, the objective, reports, data and the plan. The
//! tensor expressions themselves are better read one stage later, as `tir`.

use std::fmt::Write;

use super::count::elements;
use super::{
    Axis, DType, DataArg, Event, Instance, Model, Param, Plan, Size, Sparsified, Stage, TermKind, Type, View, Written,
};

/// The whole model.
pub fn print(model: &Model) -> String {
    let mut out = String::new();
    section(&mut out, "data", model.data.iter().map(data_set));
    section(&mut out, "instances", model.instances.iter().map(|instance| self::instance(model, instance)));
    section(&mut out, "parameters", model.params.iter().map(|param| self::param(model, param)));
    section(&mut out, "states", model.states.iter().map(|state| format!("{}: {}", state.path, ty(&state.ty))));
    let views = model.groups.iter().flat_map(|group| group.views.iter().map(move |view| (group, view)));
    section(&mut out, "groups", views.map(|(group, view)| format!("{}: {}", group.name, self::view(view))));
    section(&mut out, "sparsified", model.sparsified.iter().map(sparsified));
    section(&mut out, "minimize", model.terms.iter().map(|term| format!("{}  // {}", term.text, kind(term.kind))));
    section(&mut out, "budgets", model.budgets.iter().map(|budget| budget_line(model, budget)));
    section(&mut out, "reports", model.reports.iter().map(|report| report.name.clone()));
    section(&mut out, "measures", model.measures.iter().map(|measure| measure.path.to_string()));
    section(&mut out, "plan", plan(model).into_iter());
    out
}

/// A type as `f32[B: batch, In: 784]`.
pub fn ty(ty: &Type) -> String {
    let axes: Vec<String> = ty.axes.iter().map(axis).collect();
    format!("{}[{}]", dtype(ty.dtype), axes.join(", "))
}

fn axis(axis: &Axis) -> String {
    match &axis.name {
        Some(name) => format!("{name}: {}", size(axis.size)),
        None => size(axis.size),
    }
}

fn size(size: Size) -> String {
    match size {
        Size::Known(n) => n.to_string(),
        Size::Batch => "batch".into(),
        Size::Var(_) => "?".into(),
    }
}

fn dtype(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f32",
        DType::I32 => "i32",
        DType::Bool => "bool",
    }
}

fn section(out: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return;
    }
    let gap = if out.is_empty() { "" } else { "\n" };
    let _ = writeln!(out, "{gap}{title}");
    for line in lines {
        let _ = writeln!(out, "  {line}");
    }
}

fn data_set(data: &super::DataSet) -> String {
    let arg = |(name, value): &(String, DataArg)| {
        let value = match value {
            DataArg::Number(x) => x.to_string(),
            DataArg::Text(text) => format!("{text:?}"),
            DataArg::Bool(b) => b.to_string(),
            DataArg::List(numbers) => format!("{numbers:?}"),
        };
        if name.is_empty() { value } else { format!("{name}: {value}") }
    };
    let args: Vec<String> = data.spec.args.iter().map(arg).collect();
    let field = |field: &super::Field| format!("{}: {}{:?}", field.name, dtype(field.dtype), field.shape);
    let constant = |(name, value): &(super::Symbol, f64)| format!("{name} = {value}");
    let facts = data.facts.fields.iter().map(field).chain(data.facts.constants.iter().map(constant));
    let facts: Vec<String> = facts.collect();
    format!("{} = {}({})  // {}", data.name, data.spec.source, args.join(", "), facts.join(", "))
}

fn instance(model: &Model, instance: &Instance) -> String {
    let sizes: Vec<String> = instance.sizes.iter().map(|(name, n)| format!("{name} = {}", size(*n))).collect();
    let sizes = if sizes.is_empty() { String::new() } else { format!("[{}]", sizes.join(", ")) };
    let types = |types: &[Type]| types.iter().map(ty).collect::<Vec<String>>().join(", ");
    let signature = instance.signature.as_ref();
    let signature = signature.map_or(String::new(), |(i, o)| format!("({}) -> {}", types(i), types(o)));
    let own: u64 = instance.params.iter().map(|id| elements(&model.params[id.0 as usize].ty)).sum();
    let parameters = if own == 0 { String::new() } else { format!("{own} parameters") };
    let flops = if instance.flops == 0 { String::new() } else { format!("{} FLOPs", instance.flops) };
    let costs: Vec<String> = [parameters, flops].into_iter().filter(|cost| !cost.is_empty()).collect();
    let costs = if costs.is_empty() { String::new() } else { format!("  // {}", costs.join(", ")) };
    format!("{}: {}{sizes}{signature}{costs}", instance.path, instance.layer)
}

fn param(model: &Model, param: &Param) -> String {
    let under = model.sparsified.iter().find(|it| model.params[it.param.0 as usize].path == param.path);
    let under = under.map_or(String::new(), |it| format!("  // under {}", it.path));
    format!("{}: {}{under}", param.path, ty(&param.ty))
}

fn view(view: &View) -> String {
    format!("{} by {}  // {} groups of {}", view.path, view.by, view.n_groups, view.n_members)
}

fn sparsified(it: &Sparsified) -> String {
    let density = if it.density.is_some() { ", measures its density" } else { "" };
    format!("{}: {}{density}", it.path, view(&it.view))
}

fn kind(kind: TermKind) -> &'static str {
    match kind {
        TermKind::Loss => "depends on data",
        TermKind::Penalty => "depends on parameters",
        TermKind::Budget => "keeps a budget",
    }
}

fn budget_line(model: &Model, budget: &super::Budget) -> String {
    let total: u64 = budget.weights.iter().map(|(_, weight)| weight).sum();
    let prunable = |id: &super::ParamId| model.sparsified.iter().any(|it| it.param == *id);
    let rest: u64 = budget.weights.iter().filter(|(id, _)| !prunable(id)).map(|(_, weight)| weight).sum();
    format!("{}  // of {total}, {rest} of them never pruned", budget.text)
}

fn plan(model: &Model) -> Vec<String> {
    let Some(plan) = &model.plan else { return vec![] };
    let batch = plan.batch.map_or("all".into(), |n| n.to_string());
    let settings = [format!("batch = {batch}"), format!("seed = {}", plan.seed)];
    settings.into_iter().chain(plan.stages.iter().map(|stage| self::stage(model, plan, stage))).collect()
}

fn stage(model: &Model, plan: &Plan, stage: &Stage) -> String {
    let phase = match stage {
        Stage::Fire(event) => return format!("fire {}", event_text(model, &plan.events[*event])),
        Stage::Phase(phase) => phase,
    };
    let variant = if plan.variants.len() > 1 { format!(", variant {}", phase.variant) } else { String::new() };
    let fresh = if phase.fresh { ", fresh" } else { "" };
    let every_steps = phase.every_steps.iter();
    let every_steps =
        every_steps.map(|(n, event)| format!("; every {n} steps {}", event_text(model, &plan.events[*event])));
    let every_epoch = phase.every_epoch.iter();
    let every_epoch = every_epoch.map(|event| format!("; every epoch {}", event_text(model, &plan.events[*event])));
    let every: String = every_steps.chain(every_epoch).collect();
    format!("{}: {} epochs{variant}{fresh}{every}", phase.name, phase.epochs)
}

fn event_text(model: &Model, event: &Event) -> String {
    let writes = event.writes.iter().map(|(written, _)| match written {
        Written::Param(id) => format!("raw({})", model.params[id.0 as usize].path),
        Written::State(id) => model.states[id.0 as usize].path.to_string(),
    });
    format!("{} writes {}", event.name, writes.collect::<Vec<String>>().join(", "))
}
