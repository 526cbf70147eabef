//! Steps on compressed matrices compute what whole steps do.

use crate::support;

mod blocks;
mod fixed;
mod inference;
mod moving;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use indexmap::IndexMap;
use ndarray::{ArrayD, arr1};
use spnc::codegen::Options;
use spnc::exec::{self, BatchSizes, Built, Forms, Inference, Seen, SpecialForm, Step};
use spnc::pass::compress::{Compressed, Pattern};
use spnc::tir::{DType, Func, interp};
use spnc_runtime::kernels::Isa;
use spnc_runtime::program::{CompressedMatrix, CopyField, Entry, FieldMut, Form, Program};
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
            // Those of other tensors are not zero either: the first step of Adam says no more than the sign of a gradient.
            name if name.starts_with("optimizer.") => {
                let is_free = lately || !name.contains(".w.");
                let kept = |mask: f64| if is_free { 1.0 } else { mask };
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
        Seen::of(pattern, positions, pattern.assumed.iter().filter(is_outside).cloned().collect())
    };
    forms.patterns().iter().zip(positions).map(seen).collect()
}

/// A step with all its patterns in use, whether that is worth it or not.
fn compress(forms: &mut Forms, given: &Values, positions: &[Vec<usize>]) -> Compressed {
    let matrix = |(pattern, Seen { non_zeros, zeros, .. }): (usize, Seen)| CompressedMatrix {
        pattern,
        non_zeros,
        zeros: zeros.iter().map(|name| name.to_string()).collect(),
        elements: vec![],
    };
    forms.set(Form::Compressed(seen(forms, given, positions).into_iter().enumerate().map(matrix).collect()));
    let Some(SpecialForm::Compressed(compressed)) = forms.special() else { panic!("its form was set") };
    compressed
}

/// Adds tables and stored elements to the inputs.
fn with_tables(forms: &Forms, of: &Compressed, given: &Values, positions: &[Vec<usize>]) -> Values {
    let mut inputs = given.clone();
    for tables in &of.tables {
        for table in &tables.used {
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

/// Compares a compressed step with the whole one, by the interpreter and in machine code.
fn check_step(forms: &Forms, compressed: &Compressed, step: &Step, given: &Values, positions: &[Vec<usize>]) {
    let expected = interp::run(&step.func, &|name| given.get(name).cloned()).expect("all inputs are there");
    let inputs = with_tables(forms, compressed, given, positions);
    let input = |name: &str| inputs.get(name).cloned();
    let found = interp::run(&compressed.func, &input).expect("all inputs are there");
    assert_close(&put_back(compressed, given, positions, found), &expected, 1e-9);
    let found = exec::run_compiled(&compressed.func, &input, Options::default()).expect("code for this machine");
    assert_close(&put_back(compressed, given, positions, found), &expected, 2e-4);
}

/// Compresses a step and compares it with the whole one. Returns what is stored.
fn check_given(built: &Built, forms: &mut Forms, given: &Values) -> Vec<String> {
    let positions = positions(forms, given);
    let compressed = compress(forms, given, &positions);
    check_step(forms, &compressed, &built.train[0], given, &positions);
    compressed.stored.iter().map(|stored| stored.tensor.to_string()).collect()
}

/// A program trained in whole steps, and in those of its forms.
fn trained(text: &str) -> [support::Trained; 2] {
    [support::Evaluator::Whole, support::Evaluator::Jit].map(|by| support::train_text(text, &[], None, by))
}

/// Writes all lasting tensors.
fn write(program: &mut exec::Compiled, given: &Values) {
    let names: Vec<String> = program.description().tensors.iter().map(|tensor| tensor.name.clone()).collect();
    names.iter().enumerate().for_each(|(index, name)| program.write(index, &given[name.as_str()]));
}

/// Fills the fields of a batch, in the order in which the program asks for them.
fn fill(program: &mut exec::Compiled, given: &Values) {
    for index in 0..program.description().fields.len() {
        let name = format!("digits.{}", program.description().fields[index].name);
        program.fill(Entry::Train(0), BATCH, index, &Given(&given[name.as_str()]));
    }
}

/// A field of a batch: samples along the first axis.
struct Given<'a>(&'a ArrayD<f64>);

impl CopyField for Given<'_> {
    fn samples(&self, some: Range<usize>, to: FieldMut<'_>) {
        let width = self.0.len() / BATCH;
        let numbers = self.0.iter().skip(some.start * width);
        match to {
            FieldMut::F32(to) => to.iter_mut().zip(numbers).for_each(|(to, x)| *to = *x as f32),
            FieldMut::F64(to) => to.iter_mut().zip(numbers).for_each(|(to, x)| *to = *x),
            FieldMut::I32(to) => to.iter_mut().zip(numbers).for_each(|(to, x)| *to = *x as i32),
        }
    }

    fn elements(&self, some: Range<usize>, _isa: Isa, to: &mut [f32]) {
        let numbers: Vec<f64> = self.0.iter().copied().collect();
        let width = numbers.len() / BATCH;
        let turned = some.flat_map(|element| (0..BATCH).map(move |sample| sample * width + element));
        to.iter_mut().zip(turned).for_each(|(to, at)| *to = numbers[at] as f32);
    }
}
