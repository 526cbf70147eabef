//! What a run reports: after each step, after each epoch, at its end.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::Tally;
use crate::program::Clock;

/// Where an epoch is, after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress<'a> {
    /// The epoch of the run, from 0.
    pub epoch: usize,
    /// The name of the phase.
    pub phase: &'a str,
    /// The step in this epoch, from 0.
    pub index: usize,
    /// Steps in an epoch.
    pub of: usize,
    /// Samples done in this epoch.
    pub samples: usize,
    /// Seconds spent in this epoch.
    pub seconds: f64,
    /// The terms of the objective in this step.
    pub terms: &'a [f64],
}

/// A term of the objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TermValue {
    /// Its source text.
    pub text: String,
    /// Its value.
    pub value: f64,
}

/// An epoch that is done. As JSON it is a line of `history.jsonl`; what is not a number is written as `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Epochs of the run that are done, this one included.
    pub epoch: usize,
    /// The name of its phase; empty in a plan of one phase.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// Steps done in the run.
    pub step: u64,
    /// Samples trained on in this epoch.
    pub samples: usize,
    /// Seconds spent on training in this epoch, evaluation not counted.
    pub seconds: f64,
    /// The sum of the terms.
    pub objective: f64,
    /// Each term, averaged over the samples of the epoch as they were seen, while the parameters changed.
    pub terms: Vec<TermValue>,
    /// The reported numbers after the epoch, by name.
    #[serde(with = "crate::store::numbers")]
    pub reports: IndexMap<String, f64>,
    /// Exact zeros among all effective parameters after the epoch.
    pub zeros: Tally,
    /// Floating-point operations of one sample's forward pass that are left after the epoch, where there are zeros and counting is
    /// cheap. A step of training takes about three times as many for each sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_flops: Option<u64>,
}

impl EpochRecord {
    /// Samples trained on in a second.
    pub fn speed(&self) -> f64 {
        self.samples as f64 / self.seconds.max(1e-9)
    }
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Its whole epochs.
    pub records: Vec<EpochRecord>,
    /// The reported numbers at the end; none when interrupted.
    pub metrics: IndexMap<String, f64>,
    /// Where it ended.
    pub clock: Clock,
    /// Whether it was stopped before its plan was done.
    pub interrupted: bool,
    /// Seconds from start to end, evaluations included.
    pub seconds: f64,
}
