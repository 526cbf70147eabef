//! Where numbers first went bad: the epoch is run again from its start.
//!
//! A step updates parameters in place, so when the objective is infinite or not a number, what it was computed from is gone, and the
//! step that spoilt a parameter may lie before the one that shows it. Runs are deterministic: the same steps again, checked one by one,
//! lead to the same place, and this time the step before it is known.

use super::run::Trainer;
use super::{Phase, Position, TrainError};
use crate::program::Numbers;

/// The lasting tensors at a place of a run: the parameters and the states of their optimizers, so in the program's own precision.
#[derive(Debug, Default)]
pub(super) struct Mark {
    tensors: Vec<Numbers>,
    at: Position,
}

impl Trainer<'_> {
    /// Remembers where the run is.
    pub(super) fn set_mark(&mut self) {
        let count = self.program.description().tensors.len();
        let Mark { tensors, at } = &mut self.mark;
        tensors.resize(count, Numbers::Single(vec![]));
        tensors.iter_mut().enumerate().for_each(|(index, to)| self.program.copy(index, to));
        *at = self.at;
    }

    /// The first step of this epoch that gives a number that is not finite, and what it is.
    pub(super) fn find_non_finite(&mut self, phase: &Phase) -> TrainError {
        let first = self.mark.at.index;
        self.rewind();
        let bad = (first..self.batches.per_epoch).find(|_| !self.replay(phase));
        self.rewind();
        for _ in first..bad.unwrap_or(first) {
            let _ = self.replay(phase);
        }
        self.explain(phase, bad)
    }

    /// Says what the next step makes bad, if `bad` is its index.
    fn explain(&mut self, phase: &Phase, bad: Option<usize>) -> TrainError {
        if bad.is_none() {
            let first = Some("in the effective parameters, after the epoch".to_owned());
            return TrainError::NonFinite { step: self.at.steps, term: None, first };
        }
        let (clock, samples) = (self.clock(), self.gather_batch(phase));
        let first = self.program.explain_non_finite(phase.variant, samples, clock);
        let terms = self.program.train_step(phase.variant, samples, clock);
        let term = terms.iter().position(|term| !term.is_finite());
        let term = term.and_then(|term| self.program.description().terms.get(term).cloned());
        TrainError::NonFinite { step: clock.step + 1, term, first }
    }

    /// Goes back to the start of the epoch.
    fn rewind(&mut self) {
        for (index, kept) in self.mark.tensors.iter().enumerate() {
            let tensor = kept.tensor(&self.program.description().tensors[index].shape);
            self.program.write(index, &tensor);
        }
        self.at = self.mark.at;
    }

    /// Does one step again; whether its terms and everything it left behind are finite.
    fn replay(&mut self, phase: &Phase) -> bool {
        let mut tensors = 0..self.program.description().tensors.len();
        self.advance(phase) && tensors.all(|index| self.program.read(index).iter().all(|x| x.is_finite()))
    }
}
