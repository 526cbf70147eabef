//! Training: a [`Program`], a [`Dataset`] and a [`Plan`] → an [`Outcome`].
//!
//! Every epoch sees each sample of the training split once, in an order that depends on seed and epoch only; the last
//! batch may be smaller. After each epoch the split that reports are about is evaluated, every sample once. Nothing is
//! allocated from one step to the next. The clock is the caller's, so that a run depends on nothing but its inputs.

mod batches;
mod count;
mod error;
mod record;
mod replay;

use std::sync::atomic::{AtomicBool, Ordering};

use indexmap::IndexMap;
use ndarray::ArrayD;

pub use batches::{Batches, Plan};
pub use count::{Tally, tally, tally_groups};
pub use error::TrainError;
pub use record::{EpochRecord, Outcome, Progress, TermValue};

use crate::data::{Bits, Dataset, Split, shuffle};
use crate::program::{Clock, Entry, Program, Role};

/// Who watches a run.
pub trait Observer {
    /// After each step.
    fn step(&mut self, progress: &Progress<'_>);

    /// After each epoch and its evaluation.
    fn epoch(&mut self, record: &EpochRecord);
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
    let mut trainer = Trainer::new(program, data, plan, now, stop)?;
    let start = now();
    let mut records = Vec::new();
    let mut interrupted = false;
    for epoch in 0..plan.epochs {
        match trainer.epoch(epoch, observer)? {
            Some(record) => {
                observer.epoch(&record);
                records.push(record);
            }
            None => {
                interrupted = true;
                break;
            }
        }
    }
    let metrics = match records.last() {
        Some(last) if !interrupted => last.reports.clone(),
        None if !interrupted => trainer.evaluate().unwrap_or_default(),
        Some(_) | None => IndexMap::new(),
    };
    Ok(Outcome { records, metrics, clock: trainer.clock(), interrupted, seconds: now() - start })
}

/// A run under way.
struct Trainer<'a> {
    program: &'a mut dyn Program,
    data: &'a Dataset,
    now: &'a dyn Fn() -> f64,
    stop: &'a AtomicBool,
    batches: Batches,
    seed: u64,
    epochs: usize,
    /// For each field of the program, its index in the data.
    fields: Vec<usize>,
    /// The order of the samples in this epoch.
    order: Vec<usize>,
    /// The samples of the evaluated split.
    evaluated: Vec<usize>,
    /// The sum over samples of each term, in this epoch.
    sums: Vec<f64>,
    steps: u64,
    /// The lasting tensors and the steps done when this epoch began.
    epoch_start: (Vec<ArrayD<f64>>, u64),
}

impl<'a> Trainer<'a> {
    fn new(
        program: &'a mut dyn Program,
        data: &'a Dataset,
        plan: &Plan,
        now: &'a dyn Fn() -> f64,
        stop: &'a AtomicBool,
    ) -> Result<Trainer<'a>, TrainError> {
        let batches = plan.batches(data);
        let fields = error::match_fields(program.description(), data)?;
        let sums = vec![0.0; program.description().terms.len()];
        let (order, evaluated) = ((0..batches.n_train).collect(), (0..batches.n_evaluated).collect());
        let (seed, epochs) = (plan.seed, plan.epochs);
        let epoch_start = (vec![], 0);
        Ok(Trainer {
            program,
            data,
            now,
            stop,
            batches,
            seed,
            epochs,
            fields,
            order,
            evaluated,
            sums,
            steps: 0,
            epoch_start,
        })
    }

    /// One epoch and its evaluation; `None` when interrupted.
    fn epoch(&mut self, epoch: usize, observer: &mut dyn Observer) -> Result<Option<EpochRecord>, TrainError> {
        if self.batches.per_epoch > 1 {
            shuffle(&mut self.order, Bits::new(self.seed, SHUFFLE + epoch as u64));
        }
        self.sums.fill(0.0);
        self.epoch_start = (self.tensors(), self.steps);
        let start = (self.now)();
        for index in 0..self.batches.per_epoch {
            self.step(epoch, index, start, observer)?;
            if self.stop.load(Ordering::Relaxed) && !self.is_done() {
                return Ok(None);
            }
        }
        let seconds = (self.now)() - start;
        let zeros = self.count()?;
        Ok(self.evaluate().map(|reports| self.record(epoch, seconds, reports, zeros)))
    }

    fn is_done(&self) -> bool {
        self.steps == self.batches.per_epoch as u64 * self.epochs as u64
    }

    fn step(&mut self, epoch: usize, index: usize, start: f64, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let rows = self.batches.train_rows(index);
        let (clock, samples) = (self.clock(), rows.len());
        self.gather_batch(index);
        let terms = self.program.train_step(samples, clock);
        if !terms.iter().all(|term| term.is_finite()) {
            return Err(self.find_non_finite());
        }
        self.sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term * samples as f64);
        self.steps += 1;
        let seconds = (self.now)() - start;
        let done = rows.end;
        observer.step(&Progress { epoch, index, of: self.batches.per_epoch, samples: done, seconds, terms });
        Ok(())
    }

    /// Where the run is: what the next step gets.
    fn clock(&self) -> Clock {
        let per_epoch = self.batches.per_epoch as f64;
        let total = (per_epoch * self.epochs as f64).max(1.0);
        let steps = self.steps as f64;
        Clock { step: self.steps, epoch: steps / per_epoch, progress: steps / total }
    }

    /// Copies a batch of this epoch into the program's fields.
    fn gather_batch(&mut self, index: usize) {
        let rows = self.batches.train_rows(index);
        for (field, &from) in self.fields.iter().enumerate() {
            let place = self.program.field(Entry::Train, rows.len(), field);
            self.data.gather(Split::Train, &self.order[rows.clone()], from, place);
        }
    }

    /// The reported numbers by name; `None` when interrupted.
    fn evaluate(&mut self) -> Option<IndexMap<String, f64>> {
        let clock = self.clock();
        let split = self.batches.split;
        let interruptible = !self.is_done();
        for index in 0..self.batches.evaluations {
            if interruptible && self.stop.load(Ordering::Relaxed) {
                let _ = self.program.finish_evaluation();
                return None;
            }
            let rows = self.batches.evaluated_rows(index);
            for (field, &from) in self.fields.iter().enumerate() {
                let place = self.program.field(Entry::Evaluate, rows.len(), field);
                self.data.gather(split, &self.evaluated[rows.clone()], from, place);
            }
            self.program.evaluate(rows.len(), self.batches.n_evaluated, clock);
        }
        let values = self.program.finish_evaluation();
        Some(self.program.description().reports.iter().cloned().zip(values).collect())
    }

    /// Counts the zeros of the effective parameters; an error if one is not finite.
    fn count(&mut self) -> Result<Tally, TrainError> {
        let mut total = Tally::default();
        for (name, value) in self.program.effective() {
            let described = self.program.description().tensors.iter();
            if !described.into_iter().any(|tensor| tensor.role == Role::Param && tensor.name == name) {
                continue;
            }
            if !value.iter().all(|x| x.is_finite()) {
                return Err(self.find_non_finite());
            }
            total = total + tally(value.view());
        }
        Ok(total)
    }

    fn record(&self, epoch: usize, seconds: f64, reports: IndexMap<String, f64>, zeros: Tally) -> EpochRecord {
        let samples = self.batches.n_train;
        let means = self.sums.iter().map(|sum| sum / samples as f64);
        let texts = self.program.description().terms.iter();
        let terms: Vec<TermValue> =
            texts.zip(means).map(|(text, value)| TermValue { text: text.clone(), value }).collect();
        let objective = terms.iter().map(|term| term.value).sum();
        EpochRecord { epoch: epoch + 1, step: self.steps, samples, seconds, objective, terms, reports, zeros }
    }
}

/// The uses of random bits that epochs have for themselves: this one and those above it.
const SHUFFLE: u64 = 1 << 40;

#[cfg(test)]
mod tests;
