//! What a run is asked to do: phases of training, and events between them.

/// The plan of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Samples in a batch; `None`: all of them.
    pub batch: Option<usize>,
    /// What the order of the samples depends on.
    pub seed: u64,
    /// Use only so many samples of each split, the first ones.
    pub limit: Option<usize>,
    /// Whether there are whole batches only, in evaluations too: for programs that carry states from batch to batch.
    pub whole_batches: bool,
    /// What is done, in order.
    pub stages: Vec<Stage>,
}

/// A part of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Training for some epochs.
    Phase(Phase),
    /// An event of the program.
    Fire(usize),
}

/// Epochs of training that are all alike. Events are named by their index in the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    /// What it is called in records; empty in a plan of one phase.
    pub name: String,
    /// How often the training split is seen.
    pub epochs: usize,
    /// Which updates of the program its steps do.
    pub variant: usize,
    /// Whether optimizer states begin at their start values again.
    pub fresh: bool,
    /// Events that are fired after every so many steps of the run.
    pub every_steps: Vec<(u64, usize)>,
    /// Events that are fired at the end of each epoch.
    pub every_epoch: Vec<usize>,
}

impl Plan {
    /// The epochs of all phases.
    pub fn epochs(&self) -> usize {
        self.phases().map(|phase| phase.epochs).sum()
    }

    /// Its phases, in order.
    pub fn phases(&self) -> impl Iterator<Item = &Phase> {
        self.stages.iter().filter_map(|stage| match stage {
            Stage::Phase(phase) => Some(phase),
            Stage::Fire(_) => None,
        })
    }
}
