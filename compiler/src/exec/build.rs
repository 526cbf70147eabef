//! A model's functions, lowered, differentiated and optimised: what both evaluators run.

use super::Network;
use crate::ad;
use crate::diag::Sources;
use crate::lower::interface::{self, Interface};
use crate::lower::to_tir;
use crate::model::Model;
use crate::pass;
use crate::tir::Func;

/// The batch sizes that a run will meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchSizes {
    /// In training.
    pub train: Vec<usize>,
    /// In evaluation.
    pub evaluate: Vec<usize>,
}

/// The optimised functions of a program.
#[derive(Clone, Debug)]
pub struct Built {
    /// Names, shapes, constants.
    pub interface: Interface,
    /// Draws the lasting tensors.
    pub init: Func,
    /// One for each variant of the plan and each size of [`BatchSizes::train`].
    pub train: Vec<Step>,
    /// One for each size of [`BatchSizes::evaluate`].
    pub evaluate: Vec<(usize, Func)>,
    /// One for each event of the plan.
    pub events: Vec<Func>,
    /// Reports from accumulated partial results.
    pub report: Func,
    /// Tensors as the network sees them.
    pub effective: Func,
    /// The network on one sample, where it is small enough to count what is left of it after every epoch.
    pub network: Option<Network>,
}

/// The most operations of a sample that are counted after every epoch.
const COUNTED: u64 = 200_000_000;

/// A step of training.
#[derive(Clone, Debug)]
pub struct Step {
    /// The variant of the plan.
    pub variant: usize,
    /// Samples in a batch.
    pub batch: usize,
    /// The function.
    pub func: Func,
}

impl Built {
    /// Lowers and optimises what a run needs.
    pub fn new(model: &Model, sources: &Sources, sizes: &BatchSizes) -> Built {
        let variants = model.plan.as_ref().map_or(1, |plan| plan.variants.len());
        let n_events = model.plan.as_ref().map_or(0, |plan| plan.events.len());
        let step = |variant, batch| {
            let func = optimised(to_tir::train_step(model, sources, variant, batch));
            Step { variant, batch, func }
        };
        let is_counted = model.instances.iter().map(|instance| instance.flops).sum::<u64>() <= COUNTED;
        let steps = |variant| sizes.train.iter().map(move |&batch| step(variant, batch));
        Built {
            interface: interface::of(model),
            init: optimised(to_tir::init(model, sources)),
            train: (0..variants).flat_map(steps).collect(),
            evaluate: sizes.evaluate.iter().map(|&n| (n, optimised(to_tir::evaluate(model, sources, n)))).collect(),
            events: (0..n_events).map(|event| optimised(to_tir::event(model, sources, event))).collect(),
            report: optimised(to_tir::report(model, sources)),
            effective: optimised(to_tir::effective(model, sources)),
            network: is_counted.then(|| Network::new(model, sources)),
        }
    }
}

/// Differentiates what a function asks for, then runs the default passes.
pub fn optimised(func: Func) -> Func {
    let mut func = func;
    pass::run(&mut func, pass::BEFORE_GRAD, |_, _| ());
    optimise(ad::grad(&func))
}

/// Runs the default passes over a function without derivatives.
pub fn optimise(func: Func) -> Func {
    let mut func = func;
    pass::run(&mut func, pass::O1, |_, _| ());
    func
}
