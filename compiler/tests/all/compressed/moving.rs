//! Patterns that steps change themselves: thresholds, competitions, proximal steps.

use proptest::prelude::*;
use spnc::tir::Op;
use spnc_runtime::program::{Clock, Program};

use super::*;

/// A program whose weights are sparse by a method.
fn program(method: &str, optimizer: &str) -> String {
    format!(
        "use std.layers.{{Dense, flatten}}
use std.norms.l1
use std.optim.{{adam, sgd}}
use std.prox.{{prox_l1, prox_l21}}
use std.sparse.{{AdaptiveThreshold, Competition, FixedSparsity, GroupThreshold, RowColumnCompetition, SignedCompetition, StrongestEdges}}

data digits = digits()

layer Net(image: [B, H, W]) -> [B, 10] {{
    fc1 = Dense[Out = 96]
    fc2 = Dense[Out = 80]
    fc3 = Dense[Out = 10]
    image |> flatten |> fc1 |> relu |> fc2 |> relu |> fc3
}}

model net = Net

group neurons = net.{{fc1, fc2}}.w by Out
group rows = net.{{fc1, fc2}}.w by In
group tiles = net.{{fc1, fc2}}.w by blocks(4, 8)

{method}

minimize cross_entropy(net(digits.image / 16), digits.label) + 1e-3 * l1(net.fc1.w)

report accuracy(net(digits.image / 16), digits.label)

train {{ epochs = 1, batch = {BATCH}, optimizer = {optimizer}, seed = 1 }}
"
    )
}

/// Inputs of a step after a while: weights of which a share is not zero, thresholds that cut some of them.
fn inputs(built: &Built, func: &Func, density: f64, seed: u64) -> Values {
    let mut given = super::inputs(built, func, 1.0, seed, true);
    for (name, value) in &mut given {
        if name.ends_with(".beta") {
            value.mapv_inplace(|beta| 0.3 * beta);
        } else if ["net.fc1.w", "net.fc2.w"].contains(&&**name) {
            let mut draws = vec![0.0; value.len()];
            fill_uniform(seed as i32, 0, value.len() as u64, 0, &mut draws);
            let is_cut = |draw: f32| f64::from(draw) >= density;
            value.iter_mut().zip(draws).filter(|(_, draw)| is_cut(*draw)).for_each(|(weight, _)| *weight = 0.0);
        }
    }
    given
}

/// The elements of a pattern that moves: those that are not zero and some others.
fn with_others(positions: &[usize], len: usize, every: usize) -> Vec<usize> {
    (0..len).filter(|at| at % every == 0 || positions.binary_search(at).is_ok()).collect()
}

/// Compresses the step of a program and compares it with the whole one. Returns how many patterns move.
fn check(text: &str, density: f64, seed: u64, every: usize) -> usize {
    let (built, mut forms) = built(text);
    let step = &built.train[0];
    let given = inputs(&built, &step.func, density, seed);
    let there = positions(&forms, &given);
    let moving = forms.patterns().iter().zip(there);
    let room = |(pattern, there): (&Pattern, Vec<usize>)| {
        if pattern.moves { with_others(&there, pattern.shape.iter().product(), every) } else { there }
    };
    let positions: Vec<Vec<usize>> = moving.map(room).collect();
    let compressed = compress(&mut forms, &given, &positions);
    check_step(&forms, &compressed, step, &given, &positions);
    check_strays(&forms, &compressed, &given, &positions);
    forms.patterns().iter().filter(|pattern| pattern.moves).count()
}

/// A pattern covers what is not zero, and one without its last element does not if that one is.
fn check_strays(forms: &Forms, compressed: &Compressed, given: &Values, positions: &[Vec<usize>]) {
    let Some(strays) = forms.strays(compressed) else { return };
    let look = |positions: &[Vec<usize>]| {
        let mut inputs = given.clone();
        for tables in &compressed.tables {
            let Some((name, _, ty)) = strays.params().find(|(name, ..)| ***name == *tables.outside()) else { continue };
            let mut outside = vec![f32::NAN; ty.len()];
            forms.patterns()[tables.pattern].mark_outside(&[], &positions[tables.pattern], &mut outside);
            let outside = outside.into_iter().map(f64::from).collect();
            let outside = ArrayD::from_shape_vec(&ty.shape[..], outside).expect("as many as there are");
            let _ = inputs.insert(name.clone(), outside);
        }
        interp::run(&strays, &|name| inputs.get(name).cloned()).expect("all inputs are there")
    };
    let none: Vec<Vec<usize>> = vec![vec![]; positions.len()];
    let (covered, uncovered) = (look(positions), look(&none));
    for tables in compressed.tables.iter().filter(|tables| forms.patterns()[tables.pattern].moves) {
        let [count, stray] = ["count", "stray"].map(|name| format!("{name}.{}", tables.pattern));
        assert_eq!(covered[stray.as_str()].sum(), 0.0);
        assert_eq!(uncovered[stray.as_str()], uncovered[count.as_str()]);
    }
}

const METHODS: [&str; 11] = [
    "sparsify neurons with SignedCompetition",
    "sparsify neurons with SignedCompetition(rectify: true)",
    "sparsify net.{fc1, fc2}.w with RowColumnCompetition",
    "sparsify neurons with Competition",
    "sparsify net.{fc1, fc2}.w with FixedSparsity(0.8)",
    "sparsify net.{fc1, fc2}.w with FixedSparsity(0.8, gaussian: true)",
    "sparsify net.{fc1, fc2}.w with AdaptiveThreshold",
    "sparsify net.{fc1, fc2}.w with StrongestEdges(400)",
    "proximal net.{fc1, fc2}.w with prox_l1(1e-2)",
    "sparsify tiles with GroupThreshold",
    "proximal tiles with prox_l21(1e-2)",
];

/// Each method says by itself which weights are zero: nothing in the compiler knows it.
#[test]
fn every_method_has_patterns_that_move() {
    for method in METHODS {
        assert_eq!(check(&program(method, "sgd(lr: 0.1)"), 0.3, 1, 7), 2, "{method}");
    }
}

/// A closed threshold passes no gradient on: those of weights are computed within the blocks that are open, and so are their sums.
#[test]
fn gradients_of_thresholds_are_computed_in_open_blocks() {
    let (built, mut forms) = built(&program("sparsify tiles with GroupThreshold", "sgd(lr: 0.1)"));
    let given = inputs(&built, &built.train[0].func, 0.3, 1);
    let positions = positions(&forms, &given);
    let compressed = compress(&mut forms, &given, &positions);
    let products = |func: &Func| {
        let by_weight = |value| matches!(func.def(value).op, Op::Contract(..)) && func.ty(value).shape == [64, 96];
        func.values().filter(|value| by_weight(*value)).count()
    };
    assert_eq!((products(&built.train[0].func), products(&compressed.func)), (1, 0));
}

/// Nothing is zero for a reason in a dense network, and what is drawn anew in each step has no pattern to follow.
#[test]
fn what_has_no_reason_to_be_zero_has_no_pattern() {
    let (_, built) = compiled(&program("", "adam(lr: 0.1)"));
    let zeros = exec::tensors_with_zeros(&built);
    assert!(Forms::of(&built, &built.train[0], &zeros).is_none_or(|forms| forms.patterns().is_empty()));
}

/// What is learned does not depend on the form.
#[test]
fn a_competition_learns_the_same_in_either_form() {
    let [whole, live] = trained(include_str!("../../programs/competing.spnet"));
    let has_elements =
        |form: &Form| matches!(form, Form::Compressed(of) if of.iter().any(|of| !of.elements.is_empty()));
    assert!(live.form.iter().any(has_elements), "{:?}", live.form);
    for (whole, live) in whole.outcome.records.iter().zip(&live.outcome.records) {
        let change = (whole.objective - live.objective).abs() / whole.objective;
        assert!(change < 0.02, "epoch {}: {} and {}", whole.epoch, whole.objective, live.objective);
    }
}

/// A weight becomes dense from one step to the next: there is no room for its elements, and the step is computed as a whole.
#[test]
fn a_step_without_room_is_computed_as_a_whole() {
    let (_, built) = compiled(&program("sparsify neurons with SignedCompetition", "sgd(lr: 0.1, momentum: 0.9)"));
    let compiled = || exec::Compiled::new(&built, Options::default()).expect("code for this machine");
    let mut programs = [compiled().whole(), compiled()];
    let clock = Clock::START;
    let given = |density| inputs(&built, &built.train[0].func, density, 1);
    for (density, ahead) in [(0.02, u64::MAX), (1.0, 0), (0.02, 0)] {
        let given = given(density);
        let learned = programs.each_mut().map(|program| {
            program.init(1);
            write(program, &given);
            program.adapt(0, clock, ahead);
            fill(program, &given);
            let _ = program.train_step(0, BATCH, clock);
            let names = program.description().tensors.clone().into_iter().map(|tensor| Arc::from(tensor.name));
            names.enumerate().map(|(index, name)| (name, program.read(index))).collect::<Results>()
        });
        assert!(matches!(programs[1].form()[0], Form::Compressed(_)));
        assert_close(&learned[1], &learned[0], 1e-4);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn every_compressed_step_is_the_whole_one(
        method in prop::sample::select(&METHODS[..]),
        density in 0.01f64..1.0,
        seed in 1u64..1000,
        every in 2usize..400,
        optimizer in prop_oneof![
            Just("sgd(lr: 0.1)"),
            Just("sgd(lr: 0.1, momentum: 0.9, weight_decay: 1e-3)"),
            Just("adam(lr: 1e-2)"),
        ],
    ) {
        let _ = check(&program(method, optimizer), density, seed, every);
    }
}
