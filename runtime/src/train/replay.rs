//! Where numbers first went bad: the epoch is run again from its start.
//!
//! A step updates parameters in place, so when the objective is infinite or not a number, what it was computed from is gone, and the
//! step that spoilt a parameter may lie before the one that shows it. Runs are deterministic: the same steps again, checked one by one,
//! lead to the same place, and this time the step before it is known.

use ndarray::ArrayD;

use super::{TrainError, Trainer};

impl Trainer<'_> {
    /// The lasting tensors, in the order of their indices.
    pub(super) fn tensors(&self) -> Vec<ArrayD<f64>> {
        (0..self.program.description().tensors.len()).map(|index| self.program.read(index)).collect()
    }

    /// The first step of this epoch that gives a number that is not finite, and what it is.
    pub(super) fn find_non_finite(&mut self) -> TrainError {
        self.rewind();
        let bad = (0..self.batches.per_epoch).find(|&index| !self.replay(index));
        self.rewind();
        for index in 0..bad.unwrap_or(0) {
            let _ = self.replay(index);
        }
        self.explain(bad)
    }

    /// Says what the step with index `bad` of this epoch, the next to be done, makes bad.
    fn explain(&mut self, bad: Option<usize>) -> TrainError {
        let Some(index) = bad else {
            let first = Some("in the effective parameters, after the epoch".to_owned());
            return TrainError::NonFinite { step: self.steps, term: None, first };
        };
        let (clock, samples) = (self.clock(), self.batches.train_rows(index).len());
        self.gather_batch(index);
        let first = self.program.explain_non_finite(samples, clock);
        let terms = self.program.train_step(samples, clock);
        let term = terms.iter().position(|term| !term.is_finite());
        let term = term.and_then(|term| self.program.description().terms.get(term).cloned());
        TrainError::NonFinite { step: clock.step + 1, term, first }
    }

    /// Goes back to the start of the epoch.
    fn rewind(&mut self) {
        for (index, tensor) in self.epoch_start.0.iter().enumerate() {
            self.program.write(index, tensor);
        }
        self.steps = self.epoch_start.1;
    }

    /// Does one step again; whether its terms and everything it left behind are finite.
    fn replay(&mut self, index: usize) -> bool {
        let (clock, samples) = (self.clock(), self.batches.train_rows(index).len());
        self.gather_batch(index);
        let terms = self.program.train_step(samples, clock).iter().all(|term| term.is_finite());
        self.steps += 1;
        terms && self.tensors().iter().flatten().all(|x| x.is_finite())
    }
}
