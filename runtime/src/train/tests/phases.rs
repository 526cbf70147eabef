//! What is done when: phases, events, tensors that begin anew.

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::machine::{Call, Machine, START, data};
use crate::train::{EpochRecord, Observer, Outcome, Phase, Plan, Progress, Stage, train};

/// Notes nothing.
pub struct Nobody;

impl Observer for Nobody {
    fn step(&mut self, _progress: &Progress<'_>) {}

    fn epoch(&mut self, _record: &EpochRecord) {}
}

pub fn phase() -> impl Strategy<Value = Phase> {
    let every_steps = prop::collection::vec((1_u64..5, 0_usize..4), 0..3);
    let every_epoch = prop::collection::vec(0_usize..4, 0..2);
    (0_usize..4, 0_usize..3, any::<bool>(), every_steps, every_epoch).prop_map(
        |(epochs, variant, fresh, every_steps, every_epoch)| {
            let name = format!("phase{variant}");
            Phase { name, epochs, variant, fresh, every_steps, every_epoch }
        },
    )
}

pub fn plan() -> impl Strategy<Value = Plan> {
    let stage = prop_oneof![3 => phase().prop_map(Stage::Phase), 1 => (0_usize..4).prop_map(Stage::Fire)];
    let batch = prop::option::of(1_usize..6);
    (prop::collection::vec(stage, 0..5), batch, any::<u64>()).prop_map(|(stages, batch, seed)| Plan {
        whole_batches: false,
        batch,
        seed,
        limit: None,
        stages,
    })
}

fn run(plan: &Plan, n: usize, n_test: usize) -> (Machine, Outcome) {
    let mut machine = Machine::new();
    let data = data(n, n_test);
    let outcome = train(&mut machine, &data, plan, &|| 0.0, &mut Nobody, &AtomicBool::new(false)).expect("finite");
    (machine, outcome)
}

/// A step of a variant, an event, a whole evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Step(usize),
    Fire(usize),
    Evaluate,
}

fn deeds(calls: &[Call]) -> Vec<Deed> {
    let deed = |call: &Call| match call {
        Call::Step { variant, .. } => Deed::Step(*variant),
        Call::Fire { event, .. } => Deed::Fire(*event),
        Call::Evaluate { .. } => Deed::Evaluate,
    };
    calls.iter().map(deed).collect()
}

/// The plan, read aloud.
fn expected(plan: &Plan, per_epoch: usize) -> Vec<Deed> {
    let (mut deeds, mut steps) = (vec![], 0);
    for stage in &plan.stages {
        let phase = match stage {
            Stage::Fire(event) => {
                deeds.push(Deed::Fire(*event));
                continue;
            }
            Stage::Phase(phase) => phase,
        };
        for _ in 0..phase.epochs {
            for _ in 0..per_epoch {
                deeds.push(Deed::Step(phase.variant));
                steps += 1;
                deeds.extend(phase.every_steps.iter().filter(|(n, _)| steps % n == 0).map(|(_, e)| Deed::Fire(*e)));
            }
            deeds.extend(phase.every_epoch.iter().map(|event| Deed::Fire(*event)));
            deeds.push(Deed::Evaluate);
        }
    }
    let ends_in_evaluation = matches!(plan.stages.last(), Some(Stage::Phase(phase)) if phase.epochs > 0);
    deeds.extend((!ends_in_evaluation).then_some(Deed::Evaluate));
    deeds
}

proptest! {
    #[test]
    fn a_plan_is_done_in_its_order(plan in plan(), n in 1_usize..12) {
        let (machine, outcome) = run(&plan, n, 3);
        let per_epoch = n.div_ceil(plan.batch.unwrap_or(n).min(n));
        prop_assert_eq!(deeds(&machine.calls), expected(&plan, per_epoch));
        let names: Vec<&str> = outcome.records.iter().map(|record| record.phase.as_str()).collect();
        let phases = plan.phases().flat_map(|phase| std::iter::repeat_n(phase.name.as_str(), phase.epochs));
        prop_assert_eq!(names, phases.collect::<Vec<_>>());
        prop_assert!(outcome.records.iter().map(|record| record.epoch).eq(1..=plan.epochs()));
    }

    #[test]
    fn the_clock_counts_over_the_run_and_progress_over_the_phase(plan in plan(), n in 1_usize..12) {
        let (machine, _) = run(&plan, n, 0);
        let per_epoch = n.div_ceil(plan.batch.unwrap_or(n).min(n));
        let clocks = machine.calls.iter().filter_map(|call| match call {
            Call::Step { clock, .. } => Some(clock),
            Call::Fire { .. } | Call::Evaluate { .. } => None,
        });
        let in_phase = |phase: &Phase| {
            let total = phase.epochs * per_epoch;
            (0..total).map(move |step| step as f64 / total as f64)
        };
        let mut progress = plan.phases().flat_map(in_phase);
        for (step, clock) in clocks.enumerate() {
            prop_assert_eq!(clock.step, step as u64);
            prop_assert_eq!(clock.epoch, step as f64 / per_epoch as f64);
            prop_assert_eq!(Some(clock.progress), progress.next());
        }
        prop_assert_eq!(progress.next(), None);
    }

    #[test]
    fn optimizer_states_begin_anew_where_a_phase_is_fresh(plan in plan(), n in 1_usize..12) {
        let (machine, _) = run(&plan, n, 0);
        let per_epoch = n.div_ceil(plan.batch.unwrap_or(n).min(n));
        let steps: Vec<f64> = machine.calls.iter().filter_map(|call| match call {
            Call::Step { velocity, .. } => Some(*velocity),
            Call::Fire { .. } | Call::Evaluate { .. } => None,
        }).collect();
        let mut first = 0;
        for phase in plan.phases() {
            if phase.fresh && phase.epochs > 0 {
                prop_assert_eq!(steps[first], START);
            }
            let others = &steps[first..first + phase.epochs * per_epoch];
            prop_assert!(others.iter().skip(1).all(|velocity| *velocity != START));
            first += others.len();
        }
    }

    #[test]
    fn carried_states_belong_to_an_epoch_or_an_evaluation(plan in plan(), n in 1_usize..12, n_test in 1000_usize..1100) {
        let (machine, _) = run(&plan, n, n_test);
        let (mut step, mut evaluated, mut done) = (0, 0, 0);
        let per_epoch = n.div_ceil(plan.batch.unwrap_or(n).min(n));
        for call in &machine.calls {
            match call {
                Call::Step { carried, .. } => {
                    prop_assert_eq!(*carried, f64::from(step));
                    step = (step + 1) % per_epoch as u32;
                }
                Call::Evaluate { carried, samples, split } => {
                    prop_assert_eq!(*carried, f64::from(evaluated));
                    (evaluated, done) = (evaluated + 1, done + samples);
                    if done == *split {
                        (evaluated, done) = (0, 0);
                    }
                }
                Call::Fire { .. } => {}
            }
        }
    }
}

#[test]
fn an_event_sees_the_time_after_its_step_and_before_the_next() {
    let phase = Phase { epochs: 2, every_steps: vec![(3, 1)], every_epoch: vec![2], ..Phase::default() };
    let stages = vec![Stage::Fire(0), Stage::Phase(phase), Stage::Fire(3)];
    let (machine, _) = run(&Plan { batch: Some(5), stages, ..Plan::default() }, 10, 0);
    let fired: Vec<(usize, u64, f64)> = machine
        .calls
        .iter()
        .filter_map(|call| match call {
            Call::Fire { event, clock } => Some((*event, clock.step, clock.progress)),
            Call::Step { .. } | Call::Evaluate { .. } => None,
        })
        .collect();
    assert_eq!(fired, [(0, 0, 0.0), (2, 2, 0.5), (1, 3, 0.75), (2, 4, 1.0), (3, 4, 1.0)]);
}
