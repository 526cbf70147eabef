//! What became of each parameter, and what stays dense for which reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::effective_name;
use super::facts::{Facts, Fixed};
use super::kept::{AT_LEAST_ONE, Kept, count};
use super::links::WINDOW;
use crate::model::{ExprId, Model, ParamId, Symbol};
use crate::tir::interp::Tensor;

/// What is left of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Left {
    /// Its path in the network that was trained.
    pub tensor: String,
    /// Its sizes there.
    pub before: Vec<usize>,
    /// The sizes that are left; zeros if all of it is gone.
    pub after: Vec<usize>,
    /// How many of the numbers that are left are zero: scattered, so that no slice of the tensor can go. Of matrices and more: that
    /// a bias is zero says nothing.
    pub zeros: usize,
}

/// Positions along an axis of a parameter that stay although nothing of them is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dense {
    /// The parameter, or where the value is computed.
    pub tensor: String,
    /// The name of the axis, or its number.
    pub axis: String,
    /// How many positions could go by themselves, as nothing of them is alive or they are the same for all samples.
    pub positions: usize,
    /// Of so many that stay.
    pub of: usize,
    /// Why they stay.
    pub why: String,
}

/// What is left of each parameter that the network reads; `held` are those that the smaller program has.
pub fn left(
    facts: &Facts<'_>,
    kept: &Kept,
    held: &BTreeSet<ExprId>,
    value: &dyn Fn(&str) -> Option<Tensor>,
) -> Vec<Left> {
    let model = facts.model;
    let sizes_left = |expr| match held.contains(&expr) {
        true => kept.shape(expr),
        false => vec![0; facts.shape(expr).len()],
    };
    let read = (0..model.params.len() as u32).map(ParamId).filter_map(|id| Some((id, facts.param(id)?)));
    let row = |(id, expr)| {
        let whole = value(&effective_name(model, id)).expect("a run has a value for every parameter");
        let part = super::part(&whole, kept.of(expr));
        let zeros =
            if part.ndim() > 1 && held.contains(&expr) { part.iter().filter(|x| **x == 0.0).count() } else { 0 };
        Left { tensor: path(model, id).to_string(), before: facts.shape(expr), after: sizes_left(expr), zeros }
    };
    let read_baked = facts.baked.iter().filter(|(expr, _)| facts.alive.contains_key(expr));
    let values = read_baked.flat_map(|(expr, paths)| paths.iter().map(move |path| (expr, path)));
    let value_row = |(expr, path): (&ExprId, &Symbol)| Left {
        tensor: path.to_string(),
        before: facts.shape(*expr),
        after: sizes_left(*expr),
        zeros: 0,
    };
    read.map(row).chain(values.map(value_row)).collect()
}

/// Where positions stay although nothing of them is alive, of parameters that the smaller program has.
pub fn dense(facts: &Facts<'_>, kept: &Kept, held: &BTreeSet<ExprId>) -> Vec<Dense> {
    let model = facts.model;
    let mut found = vec![];
    for id in (0..model.params.len() as u32).map(ParamId) {
        let expr = facts.param(id).filter(|expr| facts.shape(*expr).len() > 1 && held.contains(expr));
        let Some(expr) = expr else { continue };
        for (axis, mask) in kept.of(expr).iter().enumerate() {
            let positions = count(mask) - count(&facts.alive[&expr][axis]);
            if positions > 0 {
                let name = &model.params[id.0 as usize].ty.axes[axis].name;
                let axis_name = name.as_ref().map_or_else(|| axis.to_string(), Symbol::to_string);
                let why = kept.reason(expr, axis).map_or_else(|| shared(facts, kept, expr, axis), str::to_owned);
                found.push(Dense {
                    tensor: path(model, id).to_string(),
                    axis: axis_name,
                    positions,
                    of: count(mask),
                    why,
                });
            }
        }
    }
    // Of a tensor that is dead, these axes stay in any case; that is only worth a line where there is no other.
    let is_usual = |own: &Dense| own.why == AT_LEAST_ONE || own.why == WINDOW;
    if !found.iter().all(is_usual) {
        found.retain(|own| !is_usual(own));
    }
    // The steps of a recurrence are values of their own with one thing to say.
    for own in facts.fixed.iter().map(|fixed| same(facts, kept, fixed)) {
        if !found.contains(&own) {
            found.push(own);
        }
    }
    found
}

/// What would have to be added to the bias of what reads it, which padding forbids behind a convolution.
fn same(facts: &Facts<'_>, kept: &Kept, fixed: &Fixed) -> Dense {
    let node = facts.node(fixed.expr);
    let name = node.ty.axes[fixed.axis].name.as_ref();
    Dense {
        tensor: format!("an activation in {}", node.path),
        axis: name.map_or_else(|| fixed.axis.to_string(), Symbol::to_string),
        positions: fixed.positions,
        of: count(&kept.of(fixed.expr)[fixed.axis]),
        why: "they are one number for all samples, which is not zero".to_owned(),
    }
}

fn path(model: &Model, id: ParamId) -> &Symbol {
    &model.params[id.0 as usize].path
}

/// What has the same positions along an axis and is alive there: a state that is carried from batch to batch, or another parameter.
fn shared(facts: &Facts<'_>, kept: &Kept, expr: ExprId, axis: usize) -> String {
    let mask = &kept.of(expr)[axis];
    let dead: &Vec<bool> = &mask.iter().zip(&facts.alive[&expr][axis]).map(|(kept, alive)| *kept && !*alive).collect();
    let is_needed =
        |own: &[bool], alive: &[bool]| own == mask && alive.iter().zip(dead).any(|(alive, dead)| *alive && *dead);
    let needs =
        |other: ExprId| kept.of(other).iter().zip(&facts.alive[&other]).any(|(own, alive)| is_needed(own, alive));
    if let Some(path) = facts.carried().find_map(|(id, path)| needs(id).then_some(path)) {
        return format!(
            "`{path}` is carried from batch to batch and counts as data, so its units stay; `live` counts fewer"
        );
    }
    let mut others: BTreeMap<&str, ()> = BTreeMap::new();
    for (other, id) in facts.params.iter().filter(|(other, _)| **other != expr && facts.alive.contains_key(other)) {
        if needs(*other) {
            let _ = others.insert(path(facts.model, *id), ());
        }
    }
    match others.keys().next() {
        Some(other) => format!("`{other}` has them"),
        None => "what they are joined with is alive".to_owned(),
    }
}
