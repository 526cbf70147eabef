//! Steps on compressed matrices compute what whole steps do.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use ndarray::{ArrayD, arr1};
use proptest::prelude::*;
use spnc::codegen::Options;
use spnc::exec::{self, BatchSizes, Built, Forms, Inference, Seen, SpecialForm};
use spnc::pass::compress::{Compressed, Pattern, Table};
use spnc::tir::{DType, Func, interp};
use spnc_runtime::program::{CompressedMatrix, Form};
use spnc_runtime::random::fill_uniform;

const BATCH: usize = 24;

type Values = BTreeMap<Arc<str>, ArrayD<f64>>;
type Results = IndexMap<Arc<str>, ArrayD<f64>>;

/// A program of a masked network on the digits, with something more in the objective and an optimizer.
fn program(network: &str, more: &str, optimizer: &str) -> String {
    format!(
        "use std.layers.{{Dense, Lstm, flatten}}
use std.norms.{{l1, l21}}
use std.optim.{{adam, sgd}}
use std.sparse.MagnitudeMask

data digits = digits()

{network}

model net = Net

group neurons = net.{{fc1, fc2}}.w by In
sparsify net.{{fc1, fc2}}.w with MagnitudeMask as kept

minimize cross_entropy(net(digits.image / 16), digits.label) {more}

report accuracy(net(digits.image / 16), digits.label)

train {{ epochs = 1, batch = {BATCH}, optimizer = {optimizer}, seed = 1 }}
"
    )
}

const NETWORK: &str = "layer Net(image: [B, H, W]) -> [B, 10] {
    fc1 = Dense[Out = 96]
    fc2 = Dense[Out = 80]
    fc3 = Dense[Out = 10]
    image |> flatten |> fc1 |> relu |> fc2 |> relu |> fc3
}";

/// The inputs of a step after a while: masks with some ones, optimizer states that are zero where the mask is, unless it was pruned `lately`.
fn inputs(built: &Built, func: &Func, density: f64, seed: u64, lately: bool) -> Values {
    let start = |name: &str| (name == "seed").then(|| ArrayD::from_elem(vec![], 1.0));
    let starts = interp::run(&built.init, &start).expect("starts depend on the seed");
    let draws = |name: &str, len: usize| {
        let mut numbers = vec![0.0; len];
        fill_uniform(seed as i32, 0, name.bytes().map(u64::from).sum(), 0, &mut numbers);
        numbers.into_iter().map(f64::from)
    };
    let value = |name: &str, shape: &[usize], dtype| {
        let len = shape.iter().product::<usize>().max(1);
        let mask: Vec<f64> = draws(&mask_name(name), len).map(|x| f64::from(u8::from(x < density))).collect();
        let numbers: Vec<f64> = match name {
            name if name.ends_with(".mask") => mask,
            name if name.starts_with("optimizer.") && name.contains(".w.") => {
                let kept = |mask: f64| if lately { 1.0 } else { mask };
                draws(name, len).zip(mask).map(|(x, mask)| 0.01 * x * kept(mask)).collect()
            }
            name => match starts.get(name) {
                Some(start) => start.iter().copied().collect(),
                None if dtype == DType::I32 => draws(name, len).map(|x| (x * 10.0).floor()).collect(),
                None => draws(name, len).map(|x| x * 16.0).collect(),
            },
        };
        ArrayD::from_shape_vec(shape, numbers).expect("as many as there are")
    };
    func.params().map(|(name, _, ty)| (name.clone(), value(name, &ty.shape, ty.dtype))).collect()
}

/// The mask that belongs to a state of the optimizer.
fn mask_name(name: &str) -> String {
    let parameter = name.strip_prefix("optimizer.").and_then(|rest| rest.rsplit_once('.'));
    parameter.map_or(name.to_owned(), |(parameter, _)| format!("kept.{parameter}.mask"))
}

/// Where each pattern of a step has elements.
fn positions(forms: &Forms, given: &Values) -> Vec<Vec<usize>> {
    let masks = forms.masks().expect("it has patterns");
    let masks = interp::run(&masks, &|name| given.get(name).cloned()).expect("all inputs are there");
    let there = |mask: &ArrayD<f64>| mask.iter().enumerate().filter(|(_, x)| **x != 0.0).map(|(at, _)| at).collect();
    masks.values().map(there).collect()
}

/// What is to be said of the patterns of a step.
fn seen(forms: &Forms, given: &Values, positions: &[Vec<usize>]) -> Vec<Seen> {
    let seen = |(pattern, positions): (&Pattern, &Vec<usize>)| {
        let is_zero = |at: usize, x: f64| x == 0.0 || positions.binary_search(&at).is_ok();
        let is_outside = |name: &&Arc<str>| given[*name].iter().enumerate().all(|(at, x)| is_zero(at, *x));
        Seen { non_zeros: positions.len(), zeros: pattern.assumed.iter().filter(is_outside).cloned().collect() }
    };
    forms.patterns().iter().zip(positions).map(seen).collect()
}

/// A step with all its patterns in use, whether that is worth it or not.
fn compress(forms: &mut Forms, given: &Values, positions: &[Vec<usize>]) -> Compressed {
    let matrix = |(pattern, Seen { non_zeros, zeros }): (usize, Seen)| CompressedMatrix {
        pattern,
        non_zeros,
        zeros: zeros.iter().map(|name| name.to_string()).collect(),
    };
    forms.set(Form::Compressed(seen(forms, given, positions).into_iter().enumerate().map(matrix).collect()));
    let Some(SpecialForm::Compressed(compressed)) = forms.special() else { panic!("its form was set") };
    compressed
}

/// Adds tables and stored elements to the inputs.
fn with_tables(forms: &Forms, of: &Compressed, given: &Values, positions: &[Vec<usize>]) -> Values {
    let mut inputs = given.clone();
    for tables in &of.tables {
        for table in Table::ALL {
            let numbers = table.numbers(forms.patterns()[tables.pattern].shape, &positions[tables.pattern]);
            let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
            let _ = inputs.insert(tables.name(table).into(), arr1(&numbers).into_dyn());
        }
    }
    for stored in &of.stored {
        let tensor: Vec<f64> = given[&stored.tensor].iter().copied().collect();
        let elements: Vec<f64> = positions[stored.pattern].iter().map(|at| tensor[*at]).collect();
        let _ = inputs.insert(stored.name.clone(), arr1(&elements).into_dyn());
    }
    inputs
}

/// Puts stored elements back among those of the tensors before the step.
fn put_back(of: &Compressed, given: &Values, positions: &[Vec<usize>], mut results: Results) -> Results {
    for stored in &of.stored {
        let Some(elements) = results.shift_remove(&stored.name) else { continue };
        let mut tensor = given[&stored.tensor].clone();
        let slice = tensor.as_slice_mut().expect("tensors are contiguous");
        positions[stored.pattern].iter().zip(elements).for_each(|(at, element)| slice[*at] = element);
        let _ = results.insert(stored.tensor.clone(), tensor);
    }
    results
}

fn assert_close(found: &Results, expected: &Results, tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (name, expected) in expected {
        let size = expected.iter().fold(1e-3, |most: f64, x| most.max(x.abs()));
        for (a, b) in found[name].iter().zip(expected) {
            assert!((a - b).abs() <= tolerance * size, "{name}: {a} and {b}");
        }
    }
}

/// A program and its functions.
fn compiled(text: &str) -> (support::Compiled, Built) {
    let compiled = support::compile(text).unwrap_or_else(|errors| panic!("{errors}"));
    let sizes = BatchSizes { train: vec![BATCH], evaluate: vec![] };
    let built = Built::new(&compiled.model, &compiled.sources, &sizes);
    (compiled, built)
}

/// The functions of a program, and what is known of its step.
fn built(text: &str) -> (Built, Forms) {
    let (_, built) = compiled(text);
    let zeros = exec::tensors_with_zeros(&built);
    let forms = Forms::of(&built, &built.train[0], &zeros).expect("it has masks");
    (built, forms)
}

/// Compresses the step of a program and compares it with the whole one. Returns what is stored.
fn check(text: &str, density: f64, seed: u64, lately: bool) -> Vec<String> {
    let (built, mut forms) = built(text);
    let step = &built.train[0];
    let given = inputs(&built, &step.func, density, seed, lately);
    let positions = positions(&forms, &given);
    let compressed = compress(&mut forms, &given, &positions);
    let expected = interp::run(&step.func, &|name| given.get(name).cloned()).expect("all inputs are there");
    let inputs = with_tables(&forms, &compressed, &given, &positions);
    let input = |name: &str| inputs.get(name).cloned();
    let found = interp::run(&compressed.func, &input).expect("all inputs are there");
    assert_close(&put_back(&compressed, &given, &positions, found), &expected, 1e-9);
    let found = exec::run_compiled(&compressed.func, &input, Options::default()).expect("code for this machine");
    assert_close(&put_back(&compressed, &given, &positions, found), &expected, 2e-4);
    compressed.stored.iter().map(|stored| stored.tensor.to_string()).collect()
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
        let _ = forms.choose(&[], &seen);
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

/// A program trained in whole steps, and in those of its forms.
fn trained(text: &str) -> [support::Trained; 2] {
    [support::Evaluator::Whole, support::Evaluator::Jit].map(|by| support::train_text(text, &[], None, by))
}

/// An event prunes between two epochs: what is learned does not depend on the form.
#[test]
fn a_pruned_run_learns_the_same_in_either_form() {
    let text = "use std.layers.{Dense, flatten}
use std.sparse.MagnitudeMask

data digits = digits()

layer Net(image: [B, H, W]) -> [B, 10] {
    fc1 = Dense[Out = 96]
    fc2 = Dense[Out = 80]
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

/// A network whose weights are given computes what it computes when they are inputs: what depends on weights alone is computed once, and
/// sparse weights are multiplied compressed.
#[test]
fn a_sparse_network_infers_what_it_is() {
    let (compiled, built) = compiled(&program(NETWORK, "", "sgd(lr: 0.1)"));
    for (density, n_compressed) in [(0.05, 2), (1.0, 0)] {
        for batch in [1, 7, 16] {
            let func = exec::optimised(spnc::lower::to_tir::predict(&compiled.model, &compiled.sources, batch));
            let given = inputs(&built, &func, density, 1, false);
            let input = |name: &str| given.get(name).cloned();
            let weights = |name: &str| input(name).filter(|_| !name.starts_with("digits."));
            let expected = interp::run(&func, &input).expect("all inputs are there");
            let mut network = Inference::new(&func, &weights, Options::default()).expect("code for this machine");
            assert_eq!(network.compressed.len(), n_compressed);
            for _ in 0..2 {
                let found = network.call(&|name| input(name).filter(|_| name.starts_with("digits.")));
                assert_close(&found, &expected, 1e-4);
            }
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
    fc1 = Dense[Out = 96]
    fc2 = Dense[Out = 10]
    image |> flatten |> fc1 |> relu |> fc2
}

model net = Net

proximal net.fc1.w with prox_l1(6e-2)

minimize cross_entropy(net(digits.image / 16), digits.label)

report accuracy(net(digits.image / 16), digits.label)

train {
    batch     = 64
    optimizer = sgd(lr: 0.05)
    seed      = 1

    repeat round in 1..3 {
        phase { epochs = 2 }
        phase { epochs = 1, optimizer for net.fc1.w = frozen }
    }
}
";
    let [whole, live] = trained(text);
    assert!(live.form.iter().any(|form| matches!(form, Form::Compressed(_))), "{:?}", live.form);
    let zeros = |of: &support::Trained| of.lasting["net.fc1.w"].iter().filter(|x| **x == 0.0).count() as f64;
    assert!((zeros(&whole) / zeros(&live) - 1.0).abs() < 0.01, "{} and {}", zeros(&whole), zeros(&live));
    let objective = |of: &support::Trained| of.outcome.records.last().expect("epochs").objective;
    assert!((objective(&whole) - objective(&live)).abs() < 1e-3, "{} and {}", objective(&whole), objective(&live));
}
