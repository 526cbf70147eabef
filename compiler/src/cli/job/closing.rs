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
use crate::pass::dce;
use crate::tir::Func;
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
        let values = Values { func: exec::optimised(to_tir::effective(model, sources)), tensor };
        let network = Network::new(model, sources);
        let has = |name: &Arc<str>| values.func.result(name).is_some();
        let reads: BTreeSet<Arc<str>> = network.reads().into_iter().filter(has).collect();
        let counted = count(model, &network, &|name| values.get(name).or_else(|| tensor(name)));
        let sparsity: Vec<Sparsity> =
            (0..model.params.len() as u32).map(|id| sparsity(model, ParamId(id), &values, counted.as_ref())).collect();
        Closing {
            budgets: model.budgets.iter().enumerate().map(|(i, b)| budget(i, b, &sparsity, &values)).collect(),
            remaining: remaining(model, &reads, &sparsity, counted.as_ref()),
            sparsity: shown(model, sparsity, &reads),
            choices: vec![],
        }
    }

    /// Whether every budget is met.
    pub fn meets_budgets(&self) -> bool {
        self.budgets.iter().all(|budget| budget.met)
    }
}

/// Parameters as the network sees them, views and budgets. Each is computed when it is asked for: all of them in double precision
/// would be more than training needs.
struct Values<'a> {
    func: Func,
    tensor: &'a dyn Fn(&str) -> Option<Tensor>,
}

impl Values<'_> {
    fn get(&self, name: &str) -> Option<Tensor> {
        let is_result = self.func.result(name).is_some();
        let values = is_result.then(|| interp::run(&dce::of_result(&self.func, name), self.tensor));
        values?.expect("lasting tensors and the clock are given").swap_remove(name)
    }

    fn of(&self, name: &str) -> Tensor {
        self.get(name).expect("a result of the function")
    }
}

fn effective_name(model: &Model, param: ParamId) -> String {
    format!("effective.{}", model.params[param.0 as usize].path)
}

/// Zeros of a parameter.
fn sparsity(model: &Model, id: ParamId, values: &Values<'_>, counted: Option<&Counted>) -> Sparsity {
    let (tensor, name) = (model.params[id.0 as usize].path.to_string(), effective_name(model, id));
    let value = values.of(&name);
    let weights = tally(value.view());
    let live = counted.and_then(|counted| counted.elements.get(name.as_str()));
    let kept = live.map_or_else(|| kept(model, id, &zeros::pattern(&value)), |live| kept(model, id, live));
    Sparsity { tensor, weights, density: weights.density(), groups: groups(model, id, values), kept }
}

/// The parameters that the network reads; all where no model is applied to data.
fn shown(model: &Model, sparsity: Vec<Sparsity>, network: &BTreeSet<Arc<str>>) -> Vec<Sparsity> {
    let ids = (0..model.params.len() as u32).map(ParamId);
    let is_shown = |id: &ParamId| network.is_empty() || network.contains(effective_name(model, *id).as_str());
    ids.zip(sparsity).filter(|(id, _)| is_shown(id)).map(|(_, sparsity)| sparsity).collect()
}

/// The groups of a tensor: once for each named group that it is in; joined ones stand with their first tensor.
fn groups(model: &Model, param: ParamId, values: &Values<'_>) -> Vec<GroupReport> {
    let mut reports = vec![];
    for group in &model.groups {
        for (index, view) in group.views.iter().enumerate().filter(|(_, view)| view.params.first() == Some(&param)) {
            let value = values.of(&format!("view.{}.{index}", group.name));
            let groups =
                tally_groups(value.view().into_dimensionality::<Ix2>().expect("a view has groups and members"));
            reports.push(GroupReport { name: format!("{} by {}", group.name, view.by), groups });
        }
    }
    reports
}

fn budget(index: usize, budget: &Budget, sparsity: &[Sparsity], values: &Values<'_>) -> BudgetReport {
    let total: u64 = budget.weights.iter().map(|(_, weight)| weight).sum();
    let left = |(param, weight): &(ParamId, u64)| sparsity[param.0 as usize].density * *weight as f64;
    let counted = budget.weights.iter().map(left).sum::<f64>() / total.max(1) as f64;
    let used = values.of(&format!("budget.{index}")).iter().copied().next().unwrap_or(f64::NAN);
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

/// Counts parameters that the network reads and operations; with no model applied to data there are none.
fn remaining(
    model: &Model,
    network: &BTreeSet<Arc<str>>,
    sparsity: &[Sparsity],
    counted: Option<&Counted>,
) -> Remaining {
    let ids = (0..model.params.len() as u32).map(ParamId);
    let read = ids.zip(sparsity).filter(|(id, _)| network.contains(effective_name(model, *id).as_str()));
    let weights = read.fold(Tally::default(), |all, (_, own)| all + own.weights);
    let live = |counted: &Counted| network.iter().map(|name| zeros::count(&counted.elements[name])).sum();
    Remaining {
        parameters: weights.total as u64,
        non_zero: (weights.total - weights.zeros) as u64,
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
