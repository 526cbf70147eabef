//! What became of a network: zeros tensor by tensor, what is left of it, budgets asked and reached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ndarray::{Axis, Ix2};
use spnc_runtime::program::Choice;
use spnc_runtime::store::{AxisReport, BudgetReport, GroupReport, Remaining, Sparsity};
use spnc_runtime::train::{Tally, tally, tally_groups};

use crate::diag::Sources;
use crate::exec::{self, Network};
use crate::lower::to_tir;
use crate::model::{Budget, Model, ParamId};
use crate::tir::interp::{self, Tensor};
use crate::tir::zeros::{self, Pattern};

/// A budget counts as met if it is missed by no more than this: a penalty that pulls from one side stops just there.
const TOLERANCE: f64 = 0.005;

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Closing {
    /// Zeros, tensor by tensor.
    pub sparsity: Vec<Sparsity>,
    /// Budgets.
    pub budgets: Vec<BudgetReport>,
    /// What is left.
    pub remaining: Remaining,
    /// What the last steps of training left out.
    pub choices: Vec<Choice>,
}

impl Closing {
    /// Counts, for lasting tensors that `tensor` gives by name, and everything else that functions read.
    pub fn new(model: &Model, sources: &Sources, tensor: &dyn Fn(&str) -> Option<Tensor>) -> Closing {
        let effective = exec::optimised(to_tir::effective(model, sources));
        let values = interp::run(&effective, tensor).expect("lasting tensors and the clock are given");
        let values: BTreeMap<Arc<str>, Tensor> = values.into_iter().collect();
        let network = Network::new(model, sources);
        let reads: BTreeSet<Arc<str>> = network.reads().into_iter().filter(|name| values.contains_key(name)).collect();
        let value = |name: &str| values.get(name).cloned().or_else(|| tensor(name));
        let counted = count(model, &network, &value);
        Closing {
            sparsity: sparsity(model, &values, &reads, counted.as_ref()),
            budgets: model.budgets.iter().enumerate().map(|(i, b)| budget(model, i, b, &values)).collect(),
            remaining: remaining(model, reads.iter().map(|name| (&**name, &values[name])).collect(), counted.as_ref()),
            choices: vec![],
        }
    }

    /// Whether every budget is met.
    pub fn meets_budgets(&self) -> bool {
        self.budgets.iter().all(|budget| budget.met)
    }
}

fn effective_name(model: &Model, param: ParamId) -> String {
    format!("effective.{}", model.params[param.0 as usize].path)
}

fn tally_of(model: &Model, param: ParamId, values: &BTreeMap<Arc<str>, Tensor>) -> Tally {
    tally(values[effective_name(model, param).as_str()].view())
}

/// Zeros of the parameters that the network reads; of all where no model is applied to data.
fn sparsity(
    model: &Model,
    values: &BTreeMap<Arc<str>, Tensor>,
    network: &BTreeSet<Arc<str>>,
    counted: Option<&Counted>,
) -> Vec<Sparsity> {
    let ids = (0..model.params.len() as u32).map(ParamId);
    let is_shown = |id: &ParamId| network.is_empty() || network.contains(effective_name(model, *id).as_str());
    ids.filter(is_shown)
        .map(|id| {
            let weights = tally_of(model, id, values);
            let tensor = model.params[id.0 as usize].path.to_string();
            let name = effective_name(model, id);
            let live = counted.and_then(|counted| counted.elements.get(name.as_str()));
            let kept = live
                .map_or_else(|| kept(model, id, &zeros::pattern(&values[name.as_str()])), |live| kept(model, id, live));
            Sparsity { tensor, weights, density: weights.density(), groups: groups(model, id, values), kept }
        })
        .collect()
}

/// The groups of a tensor: once for each named group that it is in; joined ones stand with their first tensor.
fn groups(model: &Model, param: ParamId, values: &BTreeMap<Arc<str>, Tensor>) -> Vec<GroupReport> {
    let mut reports = vec![];
    for group in &model.groups {
        for (index, view) in group.views.iter().enumerate().filter(|(_, view)| view.params.first() == Some(&param)) {
            let value = values[format!("view.{}.{index}", group.name).as_str()].view();
            let groups = tally_groups(value.into_dimensionality::<Ix2>().expect("a view has groups and members"));
            reports.push(GroupReport { name: format!("{} by {}", group.name, view.by), groups });
        }
    }
    reports
}

fn budget(model: &Model, index: usize, budget: &Budget, values: &BTreeMap<Arc<str>, Tensor>) -> BudgetReport {
    let total: u64 = budget.weights.iter().map(|(_, weight)| weight).sum();
    let left = |(param, weight): &(ParamId, u64)| tally_of(model, *param, values).density() * *weight as f64;
    let counted = budget.weights.iter().map(left).sum::<f64>() / total.max(1) as f64;
    let used = values[format!("budget.{index}").as_str()].iter().copied().next().unwrap_or(f64::NAN);
    let met = counted <= budget.limit + TOLERANCE;
    BudgetReport { text: budget.text.clone(), asked: budget.limit, counted, model: used, met }
}

/// What is live in the network: which elements of its parameters, and its operations, dense and live.
struct Counted {
    elements: BTreeMap<Arc<str>, Pattern>,
    flops: u64,
    live_flops: u64,
}

/// Counts, unless that would take too long.
fn count(model: &Model, network: &Network, value: &dyn Fn(&str) -> Option<Tensor>) -> Option<Counted> {
    if model_flops(model) > exec::COUNTED {
        return None;
    }
    let dense = network.dense();
    let flops = 2 * dense.multiply_adds;
    let live = network.live(value).unwrap_or(dense);
    Some(Counted { elements: live.elements, flops, live_flops: 2 * live.multiply_adds })
}

fn model_flops(model: &Model) -> u64 {
    model.instances.iter().map(|instance| instance.flops).sum()
}

/// Counts parameters and operations; with no model applied to data there are none.
fn remaining(model: &Model, values: BTreeMap<&str, &Tensor>, counted: Option<&Counted>) -> Remaining {
    let live = |counted: &Counted| values.keys().map(|name| zeros::count(&counted.elements[*name])).sum();
    Remaining {
        parameters: values.values().map(|value| value.len() as u64).sum(),
        non_zero: values.values().map(|value| value.iter().filter(|x| **x != 0.0).count() as u64).sum(),
        live: counted.map(live),
        flops: counted.map_or_else(|| model_flops(model), |counted| counted.flops),
        live_flops: counted.map(|counted| counted.live_flops),
    }
}

/// What is left of a parameter along its named axes: `pattern` is zero where nothing is.
fn kept(model: &Model, param: ParamId, pattern: &Pattern) -> Vec<AxisReport> {
    let axes = model.params[param.0 as usize].ty.axes.iter().enumerate();
    let named = axes.filter_map(|(index, axis)| Some((Axis(index), axis.name.as_ref()?)));
    named
        .map(|(axis, name)| {
            let slices = pattern.axis_iter(axis);
            let kept = slices.filter(|slice| slice.iter().any(|bit| *bit != 0)).count();
            AxisReport { axis: name.to_string(), of: pattern.len_of(axis), kept }
        })
        .collect()
}
