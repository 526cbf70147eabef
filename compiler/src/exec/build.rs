//! A model's functions, lowered, differentiated and optimised: what both evaluators run.

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
    /// One for each size of [`BatchSizes::train`].
    pub train: Vec<(usize, Func)>,
    /// One for each size of [`BatchSizes::evaluate`].
    pub evaluate: Vec<(usize, Func)>,
    /// Reports from accumulated partial results.
    pub report: Func,
    /// Tensors as the network sees them.
    pub effective: Func,
}

impl Built {
    /// Lowers and optimises what a run needs.
    pub fn new(model: &Model, sources: &Sources, sizes: &BatchSizes) -> Built {
        let each = |sizes: &[usize], lower: fn(&Model, &Sources, usize) -> Func| {
            sizes.iter().map(|&n| (n, optimised(lower(model, sources, n)))).collect()
        };
        Built {
            interface: interface::of(model),
            init: optimised(to_tir::init(model, sources)),
            train: each(&sizes.train, to_tir::train_step),
            evaluate: each(&sizes.evaluate, to_tir::evaluate),
            report: optimised(to_tir::report(model, sources)),
            effective: optimised(to_tir::effective(model, sources)),
        }
    }
}

/// Differentiates what a function asks for, then runs the default passes.
pub fn optimised(func: Func) -> Func {
    let mut func = func;
    pass::run(&mut func, pass::BEFORE_GRAD, |_, _| ());
    let mut func = ad::grad(&func);
    pass::run(&mut func, pass::O1, |_, _| ());
    func
}
