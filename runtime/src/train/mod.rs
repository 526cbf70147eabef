//! Training: a [`Program`], a [`Dataset`] and a [`Plan`] → an [`Outcome`].
//!
//! Every epoch sees each sample of the training split once, in an order that depends on seed and epoch only; the last
//! batch may be smaller. After each epoch the splits that reports are about are evaluated, every sample once. Nothing is
//! allocated from one step to the next. The clock is the caller's, so that a run depends on nothing but its inputs.
//!
//! After a step come the events of `every N steps` that are due, after the last step of an epoch those of `every epoch`, then the
//! evaluation. Carried states begin anew with every epoch and every evaluation; training finds them as it left them.

mod batches;
mod checkpoint;
mod count;
mod error;
mod evaluate;
mod plan;
mod record;
mod replay;
mod run;

use std::sync::atomic::AtomicBool;

use indexmap::IndexMap;

pub use batches::{Batches, Evaluated};
pub use checkpoint::{Checkpoint, Position};
pub use count::{Tally, tally, tally_groups};
pub use error::TrainError;
pub use plan::{Phase, Plan, Stage};
pub use record::{EpochRecord, Outcome, Progress, TermValue};

use crate::data::Dataset;
use crate::program::{Clock, Program};
use run::Trainer;

/// Who watches a run.
pub trait Observer {
    /// After each step.
    fn step(&mut self, progress: &Progress<'_>);

    /// After each epoch and its evaluation.
    fn epoch(&mut self, record: &EpochRecord);

    /// Whether to keep the run as it is here; asked after each step, and once more after each epoch.
    fn is_checkpoint_due(&mut self, _at: &Position) -> bool {
        false
    }

    /// Keeps the run as it is: when a checkpoint is due, and when the run is interrupted.
    fn checkpoint(&mut self, _checkpoint: Checkpoint) {}
}

/// Trains `program`, whose tensors hold their start values, as `plan` says.
///
/// `now` gives seconds from any start. Once `stop` is set, the running step is the last; the epoch that it cuts short
/// leaves no record.
///
/// # Errors
///
/// When a field of the program is not in the data, or a number is no longer finite.
pub fn train(
    program: &mut dyn Program,
    data: &Dataset,
    plan: &Plan,
    now: &dyn Fn() -> f64,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Outcome, TrainError> {
    Trainer::new(program, data, plan, plan.batches(data), now, stop)?.run(observer)
}

/// Goes on with a run: `program` holds its start values, which begin anew where the plan says so, and `checkpoint` was kept of a run
/// of the same program, data and plan. What follows is what would have followed there, bit for bit.
///
/// # Errors
///
/// As for [`train`], and when the checkpoint has other tensors than the program.
pub fn resume(
    program: &mut dyn Program,
    data: &Dataset,
    plan: &Plan,
    checkpoint: &Checkpoint,
    now: &dyn Fn() -> f64,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Outcome, TrainError> {
    let mut trainer = Trainer::new(program, data, plan, plan.batches(data), now, stop)?;
    trainer.go_to(checkpoint)?;
    trainer.run(observer)
}

/// Evaluates every split, the training split too, at a place of the run: the reported numbers by name. Those that a run reports, too,
/// are the same here.
///
/// # Errors
///
/// When a field of the program is not in the data.
pub fn evaluate(
    program: &mut dyn Program,
    data: &Dataset,
    plan: &Plan,
    clock: Clock,
) -> Result<IndexMap<String, f64>, TrainError> {
    evaluate_on(program, data, plan, plan.batches(data).and_training(), clock)
}

/// Evaluates what a run reports at its end: the same without the training split, where there is another.
///
/// # Errors
///
/// As for [`evaluate()`].
pub fn report(
    program: &mut dyn Program,
    data: &Dataset,
    plan: &Plan,
    clock: Clock,
) -> Result<IndexMap<String, f64>, TrainError> {
    evaluate_on(program, data, plan, plan.batches(data), clock)
}

fn evaluate_on(
    program: &mut dyn Program,
    data: &Dataset,
    plan: &Plan,
    batches: Batches,
    clock: Clock,
) -> Result<IndexMap<String, f64>, TrainError> {
    let stop = AtomicBool::new(false);
    let mut trainer = Trainer::new(program, data, plan, batches, &|| 0.0, &stop)?;
    Ok(trainer.evaluate(clock, || false).expect("nothing stops it"))
}

#[cfg(test)]
mod tests;
