mod machine;
mod phases;
mod resume;

use std::cell::Cell;
use std::sync::atomic::Ordering;

use ndarray::ArrayD;
use proptest::prelude::*;

use super::*;
use crate::data::{Column, Values};
use crate::program::{Clock, Description, Element, Entry, FieldInfo, FieldMut, Role, TensorInfo};

/// Adds up what it sees: no model, but every call is known.
#[derive(Default)]
struct Ledger {
    description: Description,
    batch: Vec<f64>,
    seen: Vec<Vec<f64>>,
    clocks: Vec<Clock>,
    evaluated: Vec<f64>,
    splits: Vec<usize>,
    weight: f64,
    bad_step: Option<u64>,
    terms: [f64; 2],
}

impl Ledger {
    fn new() -> Ledger {
        let tensor = |name: &str, role| TensorInfo { name: name.into(), role, shape: vec![] };
        let description = Description {
            fields: vec![FieldInfo { name: "x".into(), element: Element::Real, shape: vec![] }],
            tensors: vec![tensor("w", Role::Param), tensor("optimizer.w.v", Role::OptimizerState)],
            terms: vec!["mean(x)".into(), "1".into()],
            reports: vec!["total".into()],
            events: vec![],
        };
        Ledger { description, ..Ledger::default() }
    }
}

impl Program for Ledger {
    fn description(&self) -> &Description {
        &self.description
    }

    fn init(&mut self, _seed: u64) {}

    fn field(&mut self, _entry: Entry, samples: usize, _index: usize) -> FieldMut<'_> {
        self.batch.resize(samples, 0.0);
        FieldMut::F64(&mut self.batch)
    }

    fn train_step(&mut self, _variant: usize, samples: usize, clock: Clock) -> &[f64] {
        assert_eq!(self.batch.len(), samples);
        let bad = self.bad_step == Some(clock.step);
        self.terms = [self.batch.iter().sum::<f64>() / samples as f64, if bad { f64::NAN } else { 1.0 }];
        self.seen.push(self.batch.clone());
        self.clocks.push(clock);
        &self.terms
    }

    fn fire(&mut self, _event: usize, _clock: Clock) {}

    fn evaluate(&mut self, samples: usize, split: usize, _clock: Clock) {
        assert_eq!(self.batch.len(), samples);
        self.evaluated.extend(&self.batch);
        self.splits.push(split);
    }

    fn finish_evaluation(&mut self, _clock: Clock) -> Vec<f64> {
        vec![self.evaluated.iter().sum()]
    }

    fn read(&self, _tensor: usize) -> ArrayD<f64> {
        ArrayD::from_elem(vec![], self.weight)
    }

    fn write(&mut self, _tensor: usize, value: &ArrayD<f64>) {
        self.weight = value.sum();
    }

    fn effective(&mut self, _clock: Clock) -> Vec<String> {
        vec!["w".to_owned(), "mask.density".to_owned()]
    }

    fn computed(&self, name: &str) -> Option<ArrayD<f64>> {
        Some(if name == "w" { self.read(0) } else { ArrayD::from_elem(vec![], 0.0) })
    }

    fn explain_non_finite(&mut self, _variant: usize, _samples: usize, _clock: Clock) -> Option<String> {
        Some("`log(x)` of `net.fc1`".into())
    }
}

/// Samples 0, 1, …: the training ones first.
fn data(n_train: usize, n_test: usize) -> Dataset {
    let values = Values::F64((0..n_train + n_test).map(|i| i as f64).collect());
    Dataset::new(vec![Column::new("x", Element::Real, vec![], values)], n_train, n_test)
}

#[derive(Default)]
struct Watcher<'a> {
    steps: usize,
    epochs: usize,
    stop_after: Option<(usize, &'a AtomicBool)>,
}

impl Observer for Watcher<'_> {
    fn step(&mut self, _progress: &Progress<'_>) {
        self.steps += 1;
        if let Some((steps, stop)) = self.stop_after {
            stop.store(self.steps >= steps, Ordering::Relaxed);
        }
    }

    fn epoch(&mut self, _record: &EpochRecord) {
        self.epochs += 1;
    }
}

fn plan(epochs: usize, batch: Option<usize>, seed: u64) -> Plan {
    let phase = Phase { epochs, ..Phase::default() };
    Plan { batch, seed, stages: vec![Stage::Phase(phase)], ..Plan::default() }
}

fn run(ledger: &mut Ledger, data: &Dataset, plan: &Plan) -> Result<Outcome, TrainError> {
    let ticks = Cell::new(0.0);
    let now = || {
        ticks.set(ticks.get() + 1.0);
        ticks.get()
    };
    train(ledger, data, plan, &now, &mut Watcher::default(), &AtomicBool::new(false))
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

proptest! {
    #[test]
    fn every_sample_is_seen_once_an_epoch_and_evaluated_once(
        n in 1_usize..40, n_test in 0_usize..20, batch in 1_usize..50, seed: u64,
    ) {
        let mut ledger = Ledger::new();
        let outcome = run(&mut ledger, &data(n, n_test), &plan(2, Some(batch), seed)).expect("finite");
        let per_epoch = ledger.seen.len() / 2;
        for epoch in ledger.seen.chunks(per_epoch) {
            prop_assert_eq!(sorted(epoch.concat()), (0..n).map(|i| i as f64).collect::<Vec<_>>());
        }
        let evaluated: Vec<f64> = if n_test > 0 { (n..n + n_test).collect() } else { (0..n).collect::<Vec<_>>() }
            .into_iter().map(|i| i as f64).collect();
        prop_assert_eq!(&ledger.evaluated[..evaluated.len()], &evaluated[..]);
        prop_assert_eq!(ledger.evaluated.len(), 2 * evaluated.len());
        prop_assert!(ledger.splits.iter().all(|&split| split == evaluated.len()));
        // The mean over samples does not depend on how they were cut.
        prop_assert!((outcome.records[0].terms[0].value - (n - 1) as f64 / 2.0).abs() < 1e-9);
    }

    #[test]
    fn the_order_depends_on_seed_and_epoch_only(n in 8_usize..40, seed: u64) {
        let seen = |epochs, seed| {
            let mut ledger = Ledger::new();
            let _ = run(&mut ledger, &data(n, 0), &plan(epochs, Some(5), seed)).expect("finite");
            ledger.seen
        };
        let (one, two) = (seen(1, seed), seen(2, seed));
        prop_assert_eq!(&one[..], &two[..one.len()]);
        prop_assert_ne!(&two[..one.len()], &two[one.len()..], "each epoch has its own order");
        prop_assert_ne!(one, seen(1, seed.wrapping_add(1)));
    }
}

#[test]
fn full_batches_keep_the_order_of_the_file() {
    let mut ledger = Ledger::new();
    let _ = run(&mut ledger, &data(5, 0), &plan(1, None, 3)).expect("finite");
    assert_eq!(ledger.seen, [[0.0, 1.0, 2.0, 3.0, 4.0]]);
}

#[test]
fn the_clock_runs_from_start_to_end() {
    let mut ledger = Ledger::new();
    let outcome = run(&mut ledger, &data(10, 0), &plan(3, Some(4), 0)).expect("finite");
    let clock = |step: u64| Clock { step, epoch: step as f64 / 3.0, progress: step as f64 / 9.0 };
    assert_eq!(ledger.clocks, (0..9).map(clock).collect::<Vec<_>>());
    assert_eq!(outcome.clock, clock(9));
    assert_eq!(outcome.clock.progress, 1.0);
}

#[test]
fn a_limit_takes_the_first_samples_of_each_split() {
    let mut ledger = Ledger::new();
    let _ = run(&mut ledger, &data(10, 5), &Plan { limit: Some(3), ..plan(1, Some(2), 0) }).expect("finite");
    assert_eq!(sorted(ledger.seen.concat()), [0.0, 1.0, 2.0]);
    assert_eq!(ledger.evaluated, [10.0, 11.0, 12.0]);
}

#[test]
fn without_data_an_epoch_is_a_step() {
    let mut ledger = Ledger::new();
    ledger.description.fields.clear();
    ledger.batch = vec![4.0];
    let outcome = run(&mut ledger, &Dataset::empty(), &plan(3, Some(64), 0)).expect("finite");
    assert_eq!((ledger.seen.len(), outcome.records.len()), (3, 3));
}

#[test]
fn no_epochs_still_evaluate() {
    let outcome = run(&mut Ledger::new(), &data(3, 2), &plan(0, None, 0)).expect("finite");
    assert_eq!(outcome.metrics["total"], 7.0);
}

#[test]
fn a_stop_ends_after_the_running_step() {
    let (mut ledger, stop) = (Ledger::new(), AtomicBool::new(false));
    let mut watcher = Watcher { stop_after: Some((5, &stop)), ..Watcher::default() };
    let outcome = train(&mut ledger, &data(10, 0), &plan(3, Some(4), 0), &|| 0.0, &mut watcher, &stop).expect("finite");
    assert_eq!((ledger.seen.len(), outcome.records.len(), watcher.epochs), (5, 1, 1));
    assert!(outcome.interrupted && outcome.metrics.is_empty());
    assert_eq!(outcome.clock.step, 5);
}

#[test]
fn a_stop_in_the_very_last_step_loses_nothing() {
    let (mut ledger, stop) = (Ledger::new(), AtomicBool::new(false));
    let mut watcher = Watcher { stop_after: Some((3, &stop)), ..Watcher::default() };
    let outcome = train(&mut ledger, &data(10, 0), &plan(1, Some(4), 0), &|| 0.0, &mut watcher, &stop).expect("finite");
    assert!(!outcome.interrupted && outcome.records.len() == 1);
}

#[test]
fn a_bad_number_names_step_term_and_source() {
    let mut ledger = Ledger { bad_step: Some(4), ..Ledger::new() };
    let error = run(&mut ledger, &data(10, 0), &plan(3, Some(4), 0)).expect_err("not a number");
    assert_eq!(
        error.to_string(),
        "in step 5, the term `1` is infinite or not a number; the first such value is `log(x)` of `net.fc1`"
    );
}

#[test]
fn a_bad_parameter_is_traced_back_to_the_step_that_spoilt_it() {
    let mut ledger = Ledger { weight: f64::INFINITY, ..Ledger::new() };
    let error = run(&mut ledger, &data(10, 0), &plan(1, Some(4), 0)).expect_err("infinite");
    assert!(error.to_string().starts_with("in step 1, a parameter is infinite"), "{error}");
}

#[test]
fn zeros_of_parameters_are_counted_and_measures_are_not() {
    let outcome = run(&mut Ledger::new(), &data(4, 0), &plan(1, None, 0)).expect("finite");
    assert_eq!(outcome.records[0].zeros, Tally { total: 1, zeros: 1 });
}

#[test]
fn a_field_of_another_shape_is_refused() {
    let mut ledger = Ledger::new();
    ledger.description.fields[0].shape = vec![2];
    let error = run(&mut ledger, &data(4, 0), &plan(1, None, 0)).expect_err("scalars are no pairs");
    assert!(error.to_string().contains("found Real []"), "{error}");
}
