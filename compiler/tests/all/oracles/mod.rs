//! Every reference value and gradient of the oracle files goes through the text of the standard library: what a user writes,
//! compiled as a user's program is.
//!
//! Some files lie here, beside the scripts that wrote them; others in `../shared/oracles`, or where `SPNET_ORACLES` says. Without
//! those the test says so and leaves them out.

use crate::support;

mod program;

use std::path::PathBuf;
use std::sync::Arc;
use std::{env, fs};

use crate::support::Compiled;
use ndarray::ArrayD;
use program::{Array, Case, Question, question};
use spnc::codegen::{self, Options};
use spnc::exec::optimised;
use spnc::lower::{to_lir, to_tir};
use spnc::tir::{Func, Type, Value, interp};

/// The value of each input by name, for a function of a question.
type Inputs<'a> = &'a dyn Fn(&str) -> Option<ArrayD<f64>>;

/// The gradient of a question's objective.
type Evaluate = fn(&Func, Inputs) -> Vec<(String, ArrayD<f64>)>;

#[test]
fn the_library_agrees_with_the_references_in_f64() {
    check_all(interpreted, 1e-12);
}

#[test]
fn the_library_agrees_with_the_references_in_machine_code() {
    check_all(compiled, 1e-5);
}

fn compiled(func: &Func, inputs: Inputs) -> Vec<(String, ArrayD<f64>)> {
    let lasting: Vec<(Arc<str>, Type)> = func.params().map(|(name, _, ty)| (name.clone(), ty.clone())).collect();
    let module = to_lir::lower(std::slice::from_ref(func), &lasting);
    let mut code = codegen::compile(&module, Options::default()).expect("code for this machine");
    for (name, _) in &lasting {
        let buffer = module.lasting(name).expect("it was declared");
        let value = inputs(name).expect("every input has a value");
        code.floats_mut(buffer).iter_mut().zip(&value).for_each(|(to, from)| *to = *from as f32);
    }
    code.run(code.func(&func.name).expect("it was compiled"));
    let scheduled = module.func(&func.name).expect("it was scheduled");
    let result = |(name, value): &(Arc<str>, Value)| {
        let buffer = module.output(scheduled, name)?;
        let elements = code.floats(buffer).iter().map(|x| f64::from(*x)).collect();
        let shape = func.ty(*value).shape.clone();
        Some((name.to_string(), ArrayD::from_shape_vec(shape, elements).expect("a buffer has the tensor's length")))
    };
    func.results.iter().filter_map(result).collect()
}

fn interpreted(func: &Func, inputs: Inputs) -> Vec<(String, ArrayD<f64>)> {
    let results = interp::run(func, inputs).expect("every input has a value");
    results.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// Asks every case and reports all that differ.
fn check_all(evaluate: Evaluate, tolerance: f64) {
    let cases = cases();
    let wrong: Vec<String> = cases.iter().flat_map(|case| check(case, evaluate, tolerance)).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What the case says differently.
fn check(case: &Case, evaluate: Evaluate, tolerance: f64) -> Vec<String> {
    let question = question(case);
    let compiled = match support::compile(&question.text) {
        Ok(compiled) => compiled,
        Err(errors) => return vec![format!("{}: {errors}\n{}", case.name, question.text)],
    };
    let results = ask(case, &question, &compiled, evaluate);
    let result = |name: &str| results.iter().find(|(n, _)| n == name).map(|(_, value)| value);
    let differs = |what: &str, path: &str, expected: &Array| {
        let found = result(&format!("grad.{path}")).expect("every parameter has a gradient");
        compare(found, expected, tolerance).map(|how| format!("{}, {what}: {how}", case.name))
    };
    let gradient = |(name, expected): (&String, &Array)| differs(name, &question.params[name], expected);
    let value = differs("value", "net.cotangent", &case.value);
    value.into_iter().chain(case.gradients.iter().filter_map(gradient)).collect()
}

/// The objective is `sum(cotangent * value)`, so its derivative by `cotangent` is the value.
fn ask(case: &Case, question: &Question, compiled: &Compiled, evaluate: Evaluate) -> Vec<(String, ArrayD<f64>)> {
    let starts = interp::run(&optimised(to_tir::init(&compiled.model, &compiled.sources)), &seed).expect("only a seed");
    let func = optimised(to_tir::gradient(&compiled.model, &compiled.sources, 1));
    let given = |path: &str| -> Option<Vec<f64>> {
        if path == "net.cotangent" {
            return Some(
                case.cotangent.as_ref().map_or_else(|| vec![1.0; case.value.data.len()], |ct| ct.data.clone()),
            );
        }
        let name = question.params.iter().find(|(_, param)| *param == path)?.0;
        let vectors = program::vectors(case);
        let vector = vectors.into_iter().find(|(n, _)| n == name).map(|(_, data)| data);
        vector.or_else(|| Some(case.inputs.get(name)?.data.clone()))
    };
    let inputs = |path: &str| -> Option<ArrayD<f64>> {
        let Some(start) = starts.get(path) else { return seed(path) };
        let Some(data) = given(path) else { return Some(start.clone()) };
        Some(ArrayD::from_shape_vec(start.raw_dim(), data).expect("as many elements as declared"))
    };
    evaluate(&func, &inputs)
}

fn seed(name: &str) -> Option<ArrayD<f64>> {
    ["seed", "step", "epoch", "progress"].contains(&name).then(|| ndarray::arr0(0.0).into_dyn())
}

/// How the found tensor differs, relative to the largest element expected.
fn compare(found: &ArrayD<f64>, expected: &Array, tolerance: f64) -> Option<String> {
    let size = expected.data.iter().fold(f64::MIN_POSITIVE, |size, x| size.max(x.abs()));
    let bad = |(x, y): (&f64, &f64)| x.is_nan() || (x - y).abs() > tolerance * size;
    if found.len() != expected.data.len() {
        return Some(format!("{} elements, expected {}", found.len(), expected.data.len()));
    }
    let position = found.iter().zip(&expected.data).position(bad)?;
    let element = found.iter().nth(position).copied().unwrap_or(f64::NAN);
    Some(format!("element {position} is {element:e}, expected {:e}", expected.data[position]))
}

/// The cases beside this file, and the shared ones if they are there.
fn cases() -> Vec<Case> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/all/oracles");
    let shared = folder();
    if shared.is_none() {
        println!("partly skipped: no ../shared/oracles, and SPNET_ORACLES names no folder");
    }
    [own].into_iter().chain(shared).flat_map(cases_in).collect()
}

fn cases_in(folder: PathBuf) -> Vec<Case> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder can be listed")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let read = |path: &PathBuf| -> Vec<Case> {
        let text = fs::read_to_string(path).expect("an oracle file can be read");
        serde_json::from_str(&text).expect("an oracle file holds cases")
    };
    files.iter().flat_map(read).collect()
}

fn folder() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let near = root.ancestors().map(|dir| dir.join("shared/oracles"));
    env::var_os("SPNET_ORACLES").map(PathBuf::from).into_iter().chain(near).find(|dir| dir.is_dir())
}
