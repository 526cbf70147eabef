//! Regularizers and their derivatives as formulas, for `spnc grad --math`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::ad::math::{self, Formulas};
use crate::diag::Sources;
use crate::exec;
use crate::lower::to_tir;
use crate::model::{Model, TermKind};
use crate::tir::{Func, Op};

/// A regularizer: its source text, and its formulas if they fit on a page.
#[derive(Debug)]
pub struct Regularizer {
    text: String,
    formulas: Option<Formulas>,
}

/// Every term of the objective that does not depend on data.
pub fn of(model: &Model, sources: &Sources) -> Vec<Regularizer> {
    let terms = model.terms.iter().enumerate().filter(|(_, term)| term.kind != TermKind::Loss);
    terms
        .map(|(index, term)| {
            let func = differentiated(model, sources, index);
            let formulas = math::formulas(&func, "f", &|input| axes(model, input));
            Regularizer { text: term.text.clone(), formulas }
        })
        .collect()
}

/// A term and its derivatives by every parameter that it sees, under the paths that the program gives them.
fn differentiated(model: &Model, sources: &Sources, index: usize) -> Func {
    let mut func = to_tir::term(model, sources, index);
    let seen: BTreeSet<String> =
        func.params().filter_map(|(name, ..)| Some(name.strip_prefix("effective.")?.to_owned())).collect();
    for def in &mut func.defs {
        if let Op::Param(name) = &mut def.op {
            *name = shown(name, &seen);
        }
    }
    let value = func.result("value").expect("a term has a value");
    let inputs: Vec<_> = func.params().map(|(name, input, ty)| (Arc::clone(name), input, ty.clone())).collect();
    for (name, input, ty) in inputs.into_iter().filter(|(name, ..)| param(model, name).is_some()) {
        let gradient = func.push(Op::Grad(value, input), ty, None);
        func.results.push((format!("grad.{name}").into(), gradient));
    }
    exec::optimised(func)
}

/// The name of an input in formulas: a path is the effective tensor, `raw(path)` the free one behind it.
fn shown(name: &str, seen: &BTreeSet<String>) -> Arc<str> {
    match name.strip_prefix("effective.") {
        Some(path) => path.into(),
        None if seen.contains(name) => format!("raw({name})").into(),
        None => name.into(),
    }
}

fn param<'a>(model: &'a Model, name: &str) -> Option<&'a crate::model::Param> {
    let path = name.strip_prefix("raw(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(name);
    model.params.iter().find(|param| &*param.path == path)
}

/// An index for each axis of an input: the first letter of its name, or the whole name where two begin alike.
fn axes(model: &Model, input: &str) -> Vec<String> {
    let Some(param) = param(model, input) else { return vec![] };
    let letters = ["i", "j", "k", "l", "m", "n"];
    let names = param.ty.axes.iter().enumerate().map(|(position, axis)| match &axis.name {
        Some(name) => name.to_lowercase(),
        None => letters.get(position).map_or_else(|| format!("i{position}"), |letter| (*letter).to_owned()),
    });
    let names: Vec<String> = names.collect();
    let firsts: BTreeSet<char> = names.iter().filter_map(|name| name.chars().next()).collect();
    let is_told_apart = firsts.len() == names.len();
    names.iter().map(|name| if is_told_apart { name.chars().take(1).collect() } else { name.clone() }).collect()
}

/// One block for each regularizer.
pub fn text(regularizers: &[Regularizer]) -> String {
    if regularizers.is_empty() {
        return "the objective has no regularizer\n".to_owned();
    }
    regularizers.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn block(regularizer: &Regularizer) -> String {
    let Some(Formulas { value, gradients, names }) = &regularizer.formulas else {
        return format!("{}\n  too long for a formula; spnc emit FILE --stage grad shows it\n", regularizer.text);
    };
    let lines = std::iter::once(value).chain(gradients).map(|line| format!("  {line}\n"));
    let names = names.iter().map(|line| format!("  where {line}\n"));
    format!("{}\n{}", regularizer.text, lines.chain(names).collect::<String>())
}

/// An array of objects: `term`, `value`, `gradients`, `names`.
pub fn json(regularizers: &[Regularizer]) -> Value {
    let object = |regularizer: &Regularizer| {
        let formulas = regularizer.formulas.as_ref();
        json!({
            "term": regularizer.text,
            "value": formulas.map(|formulas| &formulas.value),
            "gradients": formulas.map(|formulas| &formulas.gradients),
            "names": formulas.map(|formulas| &formulas.names),
        })
    };
    regularizers.iter().map(object).collect()
}
