//! A run that is interrupted and goes on is a run that was never interrupted.

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::machine::{Machine, data};
use super::phases::{Nobody, plan};
use crate::train::{Checkpoint, EpochRecord, Observer, Outcome, Plan, Position, Progress, TrainError, resume, train};

/// Stops after so many steps and keeps the checkpoints.
struct Stopper<'a> {
    stop: &'a AtomicBool,
    left: usize,
    kept: Vec<Checkpoint>,
}

impl Observer for Stopper<'_> {
    fn step(&mut self, _progress: &Progress<'_>) {
        self.left = self.left.saturating_sub(1);
        self.stop.store(self.left == 0, Ordering::Relaxed);
    }

    fn epoch(&mut self, _record: &EpochRecord) {}

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.kept.push(checkpoint);
    }
}

/// Keeps a checkpoint wherever that is possible.
struct Keeper(Vec<Checkpoint>);

impl Observer for Keeper {
    fn step(&mut self, _progress: &Progress<'_>) {}

    fn epoch(&mut self, _record: &EpochRecord) {}

    fn is_checkpoint_due(&mut self, _at: &Position) -> bool {
        true
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.0.push(checkpoint);
    }
}

const SAMPLES: (usize, usize) = (11, 4);

/// Runs until all is done, in pieces of so many steps.
fn run_in_pieces(plan: &Plan, pieces: &[usize]) -> (Machine, Outcome) {
    let (data, stop) = (data(SAMPLES.0, SAMPLES.1), AtomicBool::new(false));
    let mut last: Option<Checkpoint> = None;
    let mut pieces = pieces.iter();
    loop {
        stop.store(false, Ordering::Relaxed);
        let left = pieces.next().copied().unwrap_or(usize::MAX);
        let mut observer = Stopper { stop: &stop, left, kept: vec![] };
        // Each piece is another process: nothing is left but the checkpoint.
        let mut machine = Machine::new();
        let outcome = match &last {
            None => train(&mut machine, &data, plan, &|| 0.0, &mut observer, &stop),
            Some(from) => resume(&mut machine, &data, plan, from, &|| 0.0, &mut observer, &stop),
        };
        let outcome = outcome.expect("finite");
        if !outcome.interrupted {
            return (machine, outcome);
        }
        last = observer.kept.pop();
        assert!(last.is_some() && observer.kept.is_empty(), "an interrupted run keeps one checkpoint");
    }
}

proptest! {
    #[test]
    fn interrupted_anywhere_is_never_interrupted(plan in plan(), pieces in prop::collection::vec(1_usize..9, 0..6)) {
        let (whole, expected) = run_in_pieces(&plan, &[]);
        let (machine, outcome) = run_in_pieces(&plan, &pieces);
        prop_assert_eq!(machine.tensors, whole.tensors);
        prop_assert_eq!(outcome, expected);
        let tail = &whole.calls[whole.calls.len() - machine.calls.len()..];
        prop_assert_eq!(&machine.calls[..], tail, "the last piece does what the whole run did there");
    }

    #[test]
    fn every_checkpoint_leads_to_the_same_end(plan in plan(), pick in any::<prop::sample::Index>()) {
        let (data, stop) = (data(SAMPLES.0, SAMPLES.1), AtomicBool::new(false));
        let (mut machine, mut keeper) = (Machine::new(), Keeper(vec![]));
        let expected = train(&mut machine, &data, &plan, &|| 0.0, &mut keeper, &stop).expect("finite");
        prop_assume!(!keeper.0.is_empty());
        let mut again = Machine::new();
        let from = pick.get(&keeper.0);
        let outcome = resume(&mut again, &data, &plan, from, &|| 0.0, &mut Nobody, &stop).expect("finite");
        prop_assert_eq!(outcome, expected);
        prop_assert_eq!(again.tensors, machine.tensors);
    }
}

#[test]
fn a_checkpoint_of_another_program_is_refused() {
    let checkpoint = Checkpoint {
        position: Position::default(),
        tensors: Default::default(),
        sums: vec![0.0; 2],
        records: vec![],
        epoch_seconds: 0.0,
        seconds: 0.0,
        form: vec![],
    };
    let (data, stop) = (data(2, 0), AtomicBool::new(false));
    let error = resume(&mut Machine::new(), &data, &Plan::default(), &checkpoint, &|| 0.0, &mut Nobody, &stop);
    let error = error.expect_err("no tensors");
    assert!(matches!(error, TrainError::Checkpoint { .. }), "{error}");
    assert_eq!(error.to_string(), "the checkpoint does not fit the program: expected `net.w` of shape [2], found none");
}
