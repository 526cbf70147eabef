//! Masks that steps leave alone.

use proptest::prelude::*;
use spnc_runtime::program::{Clock, Program};

use super::*;

/// Compresses the step of a program and compares it with the whole one. Returns what is stored.
fn check(text: &str, density: f64, seed: u64, lately: bool) -> Vec<String> {
    let (built, mut forms) = built(text);
    let given = inputs(&built, &built.train[0].func, density, seed, lately);
    check_given(&built, &mut forms, &given)
}

/// Weights and the optimizer's state are kept as vectors of elements, and nothing is computed in their full size.
#[test]
fn momentum_is_stored_compressed() {
    let text = program(NETWORK, "+ 1e-3 * l21(neurons)", "sgd(lr: 0.1, momentum: 0.9)");
    let stored = check(&text, 0.05, 1, false);
    for layer in ["fc1", "fc2"] {
        for tensor in
            [format!("net.{layer}.w"), format!("optimizer.net.{layer}.w.velocity"), format!("kept.net.{layer}.w.mask")]
        {
            assert!(stored.contains(&tensor), "{tensor} is not among {stored:?}");
        }
    }
}

/// A velocity that is not zero where the mask is moves the weight there: both are kept whole.
#[test]
fn what_moves_outside_of_the_pattern_is_whole() {
    let stored = check(&program(NETWORK, "", "sgd(lr: 0.1, momentum: 0.9)"), 0.05, 1, true);
    assert!(!stored.iter().any(|name| name.ends_with("velocity") || name.starts_with("net.")), "{stored:?}");
}

/// Weight decay reaches weights that the mask hides.
#[test]
fn decayed_weights_are_whole() {
    let text = program(NETWORK, "", "sgd(lr: 0.1, momentum: 0.9, weight_decay: 1e-3)");
    let stored = check(&text, 0.05, 1, false);
    assert!(!stored.contains(&"net.fc1.w".to_owned()), "{stored:?}");
}

/// Beyond the break-even nothing is compressed.
#[test]
fn dense_masks_are_left_alone() {
    let (built, mut forms) = built(&program(NETWORK, "", "sgd(lr: 0.1)"));
    for (density, is_compressed) in [(0.01, true), (0.6, false)] {
        let given = inputs(&built, &built.train[0].func, density, 1, false);
        let seen = seen(&forms, &given, &positions(&forms, &given));
        let _ = forms.choose(&[], &seen, u64::MAX);
        assert_eq!(matches!(forms.form(), Form::Compressed(_)), is_compressed, "{density}: {:?}", forms.form());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn every_compressed_step_is_the_whole_one(
        density in 0.002f64..1.0,
        seed in 1u64..1000,
        lately: bool,
        more in prop_oneof![Just(""), Just("+ 1e-3 * l21(neurons)"), Just("+ 1e-3 * l1(net.fc1.w)")],
        optimizer in prop_oneof![
            Just("sgd(lr: 0.1)"),
            Just("sgd(lr: 0.1, momentum: 0.9)"),
            Just("sgd(lr: 0.1, momentum: 0.9, weight_decay: 1e-3)"),
            Just("adam(lr: 1e-2)"),
        ],
    ) {
        let _ = check(&program(NETWORK, more, optimizer), density, seed, lately);
    }
}

/// A step goes on with the elements that it has while others read the tensors, and takes them anew when somebody has written these.
#[test]
fn elements_are_taken_anew_from_tensors_that_were_written() {
    let (_, built) = compiled(&program(NETWORK, "", "sgd(lr: 0.1, momentum: 0.9)"));
    let compiled = || exec::Compiled::new(&built, Options::default()).expect("code for this machine");
    let given = inputs(&built, &built.train[0].func, 0.01, 1, false);
    let mut programs = [compiled().whole(), compiled()];
    let learned = programs.each_mut().map(|program| {
        let tensors = program.description().tensors.clone();
        let weight = tensors.iter().position(|tensor| tensor.name == "net.fc1.w").expect("it has a first layer");
        program.init(1);
        write(program, &given);
        for round in 0..4 {
            program.adapt(0, Clock::START, u64::MAX - round);
            fill(program, &given);
            let _ = program.train_step(0, BATCH, Clock::START);
            let _ = program.effective(Clock::START);
            let _ = program.train_step(0, BATCH, Clock::START);
            let halved = program.read(weight) / 2.0;
            program.write(weight, &halved);
        }
        let _ = program.train_step(0, BATCH, Clock::START);
        let values = tensors.into_iter().enumerate();
        values.map(|(index, tensor)| (Arc::from(tensor.name), program.read(index))).collect::<Results>()
    });
    assert!(matches!(programs[1].form()[0], Form::Compressed(_)), "{:?}", programs[1].form());
    assert_close(&learned[1], &learned[0], 1e-4);
}

/// An event prunes between two epochs: what is learned does not depend on the form.
#[test]
fn a_pruned_run_learns_the_same_in_either_form() {
    let text = "use std.layers.{Dense, flatten}
use std.sparse.MagnitudeMask

data digits = digits()

layer Net(image: [B, H, W]) -> [B, 10] {
    fc1 = Dense[Out = 512]
    fc2 = Dense[Out = 512]
    fc3 = Dense[Out = 10]
    image |> flatten |> fc1 |> relu |> fc2 |> relu |> fc3
}

model net = Net

sparsify net.{fc1, fc2}.w with MagnitudeMask as kept

minimize cross_entropy(net(digits.image / 16), digits.label)

report accuracy(net(digits.image / 16), digits.label)

train {
    batch     = 64
    optimizer = sgd(lr: 0.02)
    seed      = 1

    phase { epochs = 1 }
    fire keep(0.2)
    phase { epochs = 2 }
    fire keep(0.1)
    phase { epochs = 2 }
}
";
    let [whole, live] = trained(text);
    assert!(whole.form.iter().all(|form| *form == Form::Whole), "{:?}", whole.form);
    assert!(live.form.iter().any(|form| matches!(form, Form::Compressed(of) if of.len() == 2)), "{:?}", live.form);
    // The gradient of the last batch may differ in a unit that is on in one of the runs, just so.
    for (name, expected) in whole.lasting.iter().filter(|(name, _)| !name.starts_with("optimizer.")) {
        let size = expected.iter().fold(0.1, |most: f64, x| most.max(x.abs()));
        for (a, b) in live.lasting[name].iter().zip(expected) {
            assert!((a - b).abs() <= 1e-3 * size, "{name}: {a} and {b}");
        }
    }
}

/// Between epochs in which a proximal step makes weights zero they are frozen: frozen steps multiply them compressed, each time by another pattern.
#[test]
fn frozen_weights_are_compressed_anew() {
    let text = "use std.layers.{Dense, flatten}
use std.optim.frozen
use std.prox.prox_l1

data digits = digits()

layer Net(image: [B, H, W]) -> [B, 10] {
    fc1 = Dense[Out = 512]
    fc2 = Dense[Out = 512]
    fc3 = Dense[Out = 10]
    image |> flatten |> fc1 |> relu |> fc2 |> relu |> fc3
}

model net = Net

proximal net.fc2.w with prox_l1(6e-2)

minimize cross_entropy(net(digits.image / 16), digits.label)

report accuracy(net(digits.image / 16), digits.label)

train {
    batch     = 64
    optimizer = sgd(lr: 0.05)
    seed      = 1

    repeat round in 1..3 {
        phase { epochs = 2 }
        phase { epochs = 4, optimizer for net.fc2.w = frozen }
    }
}
";
    let [whole, live] = trained(text);
    assert!(live.form.iter().any(|form| matches!(form, Form::Compressed(_))), "{:?}", live.form);
    let zeros = |of: &support::Trained| of.lasting["net.fc2.w"].iter().filter(|x| **x == 0.0).count() as f64;
    assert!((zeros(&whole) / zeros(&live) - 1.0).abs() < 0.01, "{} and {}", zeros(&whole), zeros(&live));
    let objective = |of: &support::Trained| of.outcome.records.last().expect("epochs").objective;
    assert!((objective(&whole) - objective(&live)).abs() < 1e-3, "{} and {}", objective(&whole), objective(&live));
}
