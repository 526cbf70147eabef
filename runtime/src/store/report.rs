//! What `report.json` says about a run.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::Origin;
use crate::program::{Choice, Clock};
use crate::train::Tally;

/// A run in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it is a run of.
    #[serde(flatten)]
    pub origin: Origin,
    /// Epochs done, with their fraction.
    pub epochs: f64,
    /// Steps done.
    pub steps: u64,
    /// The share of its last phase that was done, 0 to 1.
    #[serde(default = "whole")]
    pub progress: f64,
    /// Whether it was stopped before its plan was done.
    pub interrupted: bool,
    /// How long it took.
    pub seconds: Seconds,
    /// The reported numbers at the end, by name; what is not a number is `null`.
    #[serde(with = "super::numbers")]
    pub metrics: IndexMap<String, f64>,
    /// Zeros at the end, tensor by tensor.
    pub sparsity: Vec<Sparsity>,
    /// Budgets, asked and reached.
    pub budgets: Vec<BudgetReport>,
    /// What is left of the network.
    pub remaining: Remaining,
    /// What steps of training left out at the end.
    #[serde(default)]
    pub choices: Vec<Choice>,
}

impl Report {
    /// Where the run ended.
    pub fn clock(&self) -> Clock {
        Clock { step: self.steps, epoch: self.epochs, progress: self.progress }
    }
}

/// All of a phase.
fn whole() -> f64 {
    1.0
}

/// What is left of a network's parameters, and of the floating-point operations of one sample's forward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remaining {
    /// Its parameters.
    pub parameters: u64,
    /// Those that are not exactly zero.
    pub non_zero: u64,
    /// Those that are not zero and still matter to an output; not counted for very large networks.
    pub live: Option<u64>,
    /// Operations of the dense network, two for each multiply-add.
    pub flops: u64,
    /// Operations with what is live only; not counted for very large networks.
    pub live_flops: Option<u64>,
}

/// Durations in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// From text to machine code.
    pub compile: f64,
    /// From the first step to the last evaluation.
    pub train: f64,
    /// A step, where its form at the end leaves something out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepSeconds>,
}

/// How long a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepSeconds {
    /// In its form at the end of training.
    pub now: f64,
    /// Computed as a whole.
    pub whole: f64,
}

/// The zeros of a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sparsity {
    /// Its path.
    pub tensor: String,
    /// Its elements.
    pub weights: Tally,
    /// The share of them that is not zero.
    pub density: f64,
    /// Its groups, once for each named group that it is in.
    pub groups: Vec<GroupReport>,
    /// What is left along each of its named axes: filters, channels, units.
    #[serde(default)]
    pub kept: Vec<AxisReport>,
}

/// What is left of a tensor along one of its axes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AxisReport {
    /// The name of the axis.
    pub axis: String,
    /// Its size.
    pub of: usize,
    /// Positions at which something is live, or not zero where that is not counted.
    pub kept: usize,
}

/// The zero groups of a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    /// The name of the group and how it was cut, as `neurons by In`.
    pub name: String,
    /// Its groups.
    pub groups: Tally,
}

/// A budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetReport {
    /// As `params(net) <= 15%`.
    pub text: String,
    /// The share asked for.
    pub asked: f64,
    /// The share that exact zeros leave: what counts.
    pub counted: f64,
    /// The share that the penalty saw.
    pub model: f64,
    /// Whether the counted share is within what was asked.
    pub met: bool,
}
