//! The plan of a training run: phases, the steps and events in them.

use super::{ExprId, ParamId, StateId};

/// A training plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Samples in a batch; `None`: all of them.
    pub batch: Option<usize>,
    /// The seed.
    pub seed: u64,
    /// What is done, in order.
    pub stages: Vec<Stage>,
    /// What steps do, in the phases.
    pub variants: Vec<Variant>,
    /// What stages fire, and what happens every so many steps.
    pub events: Vec<Event>,
}

/// A stage of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Training for some epochs.
    Phase(Phase),
    /// An event, as an index into [`Plan::events`].
    Fire(usize),
}

/// Training for some epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Its name, unique in the plan.
    pub name: String,
    /// How often the training split is seen.
    pub epochs: usize,
    /// What a step does: an index into [`Plan::variants`].
    pub variant: usize,
    /// Whether optimizers forget their states before it.
    pub fresh: bool,
    /// Events after every so many steps, counted over the run.
    pub every_steps: Vec<(u64, usize)>,
    /// Events at the end of every epoch.
    pub every_epoch: Vec<usize>,
}

/// What a step does to free parameters and to the states of optimizers. Phases whose settings are equal share one.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Variant {
    /// The new value of each parameter, optimizer and proximal operators applied; `None` where it stays.
    pub params: Vec<Option<ExprId>>,
    /// The new values of the optimizers' states that it writes.
    pub optimizer_states: Vec<(StateId, ExprId)>,
}

/// Writes between steps. They read the values of that moment; all right sides are computed before anything is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// As `reweight(tau: 0.05)`.
    pub name: String,
    /// What is written.
    pub writes: Vec<(Written, ExprId)>,
}

/// What an event writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Written {
    /// A free parameter.
    Param(ParamId),
    /// A state.
    State(StateId),
}

impl Plan {
    /// Its phases, in order.
    pub fn phases(&self) -> impl Iterator<Item = &Phase> {
        self.stages.iter().filter_map(|stage| match stage {
            Stage::Phase(phase) => Some(phase),
            Stage::Fire(_) => None,
        })
    }
}
