//! Where a run is, and all that it needs to go on from there as if it had never stopped.

use indexmap::IndexMap;
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};

use super::EpochRecord;
use crate::program::Form;

/// How far a run is. The events that follow a step are done with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The stage of the plan.
    pub stage: usize,
    /// Epochs of this phase that are done.
    pub epoch: usize,
    /// Steps of this epoch that are done.
    pub index: usize,
    /// Epochs of the run that are done.
    pub epochs: usize,
    /// Steps of the run that are done.
    pub steps: u64,
}

/// A run between two steps. Random numbers are functions of seed and step, so they leave nothing to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// How far it is.
    pub position: Position,
    /// Every lasting tensor, by path.
    pub tensors: IndexMap<String, ArrayD<f64>>,
    /// The sum over samples of each term of the objective, in this epoch.
    pub sums: Vec<f64>,
    /// The epochs that are done.
    pub records: Vec<EpochRecord>,
    /// Seconds spent on training in this epoch.
    pub epoch_seconds: f64,
    /// Seconds since the start of the run.
    pub seconds: f64,
    /// In which form the program computes its steps: see [`Program::form`](crate::program::Program::form).
    pub form: Vec<Form>,
}
