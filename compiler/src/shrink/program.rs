//! The whole smaller program: what is taken over of the program that was trained, and the layers that are new.

use std::fmt::Write;

use super::layers::{Definition, Layers, Unable};
use super::{Trained, WEIGHTS};
use crate::model::count::reachable;
use crate::model::{Model, Op, Report, Stage, Symbol, TermKind};
use crate::syntax::ast::{Expr, ItemKind, PlanEntry, PlanKind};

/// Writes the program.
pub fn write(layers: &mut Layers<'_>, trained: &Trained<'_>) -> Result<String, Unable> {
    let model = trained.model;
    let mut names: Vec<&Symbol> = vec![];
    for output in &model.outputs {
        if !names.contains(&&output.name) {
            names.push(&output.name);
        }
    }
    let mut models = String::new();
    for name in names {
        if layers.facts.application(name).is_none() {
            return Err(Unable::new(name, "it is not one layer"));
        }
        let text = layers.instance(name, name)?;
        let _ = write!(models, "model {name} = {text}\n\ninit {name} from \"{WEIGHTS}\"\n\n");
    }
    let data = data(layers);
    let goal = goal(layers, model);
    let plan = plan(layers, trained);
    layers.texts.need(&goal);
    layers.texts.need(&plan);
    let definitions: String = layers.definitions.iter().map(definition).collect();
    let copies: String = layers.texts.copies.iter().map(|text| format!("{text}\n")).collect();
    Ok(format!("{}{}{data}{copies}{definitions}{models}{goal}{plan}", DOC, uses(layers)))
}

const DOC: &str = "//! What is left of a trained network: layers with the sizes that are left, and the numbers that they were trained to.\n\n";

/// A new layer with its doc comment.
fn definition(own: &Definition) -> String {
    let shown = own.of.iter().take(SHOWN).map(|path| format!(" `{path}`")).collect::<Vec<_>>().join(",");
    let more = if own.of.len() > SHOWN { format!(" and {} more", own.of.len() - SHOWN) } else { String::new() };
    let end = if own.of.is_empty() { "" } else { "." };
    format!("/// {}{shown}{more}{end}\nlayer {}{}\n\n", own.about, own.name, own.text)
}

const SHOWN: usize = 6;

fn uses(layers: &Layers<'_>) -> String {
    let line = |(module, names): (&String, &std::collections::BTreeSet<String>)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match names[..] {
            [only] => format!("use {module}.{only}\n"),
            _ => format!("use {module}.{{{}}}\n", names.join(", ")),
        }
    };
    let uses: String = layers.texts.imports.iter().map(line).collect();
    if uses.is_empty() { uses } else { uses + "\n" }
}

/// The data, and what its declarations need.
fn data(layers: &mut Layers<'_>) -> String {
    let spans: Vec<_> = layers
        .texts
        .main()
        .iter()
        .filter(|item| matches!(item.kind, ItemKind::Data(_)))
        .map(|item| item.span)
        .collect();
    let mut text = String::new();
    for span in spans {
        let own = layers.texts.slice(span).trim_end();
        layers.texts.need(own.split_once('=').map_or("", |(_, source)| source));
        let _ = write!(text, "{own}\n\n");
    }
    text
}

/// What is minimised and reported, as far as it is about data.
fn goal(layers: &Layers<'_>, model: &Model) -> String {
    let losses: Vec<&str> =
        model.terms.iter().filter(|term| term.kind == TermKind::Loss).map(|term| term.text.as_str()).collect();
    let mut text = String::new();
    if !losses.is_empty() {
        let _ = write!(text, "minimize {}\n\n", losses.join("\n       + "));
    }
    let items = layers.texts.main().iter().filter(|item| matches!(item.kind, ItemKind::Report(..)));
    let reports: String = items
        .zip(&model.reports)
        .filter(|(_, report)| is_about_data(model, report))
        .map(|(item, _)| format!("{}\n", layers.texts.slice(item.span).trim_end()))
        .collect();
    if reports.is_empty() { text } else { text + &reports + "\n" }
}

fn is_about_data(model: &Model, report: &Report) -> bool {
    let roots: Vec<_> = report.values.iter().map(|(_, value)| *value).collect();
    reachable(&model.graph, &roots).into_iter().any(|id| matches!(model.graph.node(id).op, Op::Field(..)))
}

/// One phase, as the last one was.
fn plan(layers: &Layers<'_>, trained: &Trained<'_>) -> String {
    let entries = layers.texts.main().iter().find_map(|item| match &item.kind {
        ItemKind::Train(entries) => Some(entries),
        _ => None,
    });
    let Some(entries) = entries else { return String::new() };
    let text = |name: &str| setting(entries, name).map(|expr| layers.texts.slice(expr.span).to_owned());
    let epochs = trained.model.plan.as_ref().map_or(1, |plan| plan.stages.iter().rev().find_map(epochs).unwrap_or(1));
    let settings = [
        ("epochs", Some(epochs.to_string())),
        ("batch", text("batch")),
        ("clip", text("clip")),
        ("optimizer", text("optimizer").or_else(|| Some("sgd(lr: 0.01, momentum: 0.9)".to_owned()))),
        ("seed", Some(trained.seed.to_string())),
    ];
    let lines: String =
        settings.into_iter().filter_map(|(name, text)| Some(format!("    {name:<9} = {}\n", text?))).collect();
    format!("train {{\n{lines}}}\n")
}

fn epochs(stage: &Stage) -> Option<usize> {
    match stage {
        Stage::Phase(phase) => Some(phase.epochs),
        Stage::Fire(_) => None,
    }
}

/// A setting of the plan: its own, or that of its last phase that has one.
fn setting<'a>(entries: &'a [PlanEntry], name: &str) -> Option<&'a Expr> {
    let own = entries.iter().find_map(|entry| match &entry.kind {
        PlanKind::Setting(known, value) if *known.text == *name => Some(value),
        _ => None,
    });
    let inner = |entry: &'a PlanEntry| match &entry.kind {
        PlanKind::Phase(_, inner) | PlanKind::Repeat(_, _, inner) | PlanKind::For(_, _, inner) => setting(inner, name),
        _ => None,
    };
    own.or_else(|| entries.iter().rev().find_map(inner))
}
