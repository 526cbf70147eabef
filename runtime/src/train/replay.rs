//! Where numbers first went bad: the epoch is run again from its start.
//!
//! A step updates parameters in place, so when the objective is infinite or not a number, what it was computed from is gone, and the
//! step that spoilt a parameter may lie before the one that shows it. Runs are deterministic: the same steps again, checked one by one,
//! lead to the same place, and this time the step before it is known.

use ndarray::ArrayD;

use super::run::Trainer;
use super::{Phase, Position, TrainError};

/// The lasting tensors at a place of a run.
#[derive(Debug, Default)]
pub(super) struct Mark {
    tensors: Vec<Kept>,
    at: Position,
}

/// A tensor, in single precision where that loses nothing: there is one for each parameter and each state of its optimizer.
#[derive(Debug)]
enum Kept {
    Single(ArrayD<f32>),
    Double(ArrayD<f64>),
}

impl Kept {
    fn of(tensor: ArrayD<f64>) -> Kept {
        let single = tensor.mapv(|x| x as f32);
        let is_same = single.iter().zip(&tensor).all(|(a, b)| f64::from(*a) == *b);
        if is_same { Kept::Single(single) } else { Kept::Double(tensor) }
    }

    fn tensor(&self) -> ArrayD<f64> {
        match self {
            Kept::Single(tensor) => tensor.mapv(f64::from),
            Kept::Double(tensor) => tensor.clone(),
        }
    }
}

impl Trainer<'_> {
    /// Remembers where the run is.
    pub(super) fn set_mark(&mut self) {
        let count = self.program.description().tensors.len();
        let tensors = (0..count).map(|index| Kept::of(self.program.read(index))).collect();
        self.mark = Mark { tensors, at: self.at };
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
            self.program.write(index, &kept.tensor());
        }
        self.at = self.mark.at;
    }

    /// Does one step again; whether its terms and everything it left behind are finite.
    fn replay(&mut self, phase: &Phase) -> bool {
        let mut tensors = 0..self.program.description().tensors.len();
        self.advance(phase) && tensors.all(|index| self.program.read(index).iter().all(|x| x.is_finite()))
    }
}
