//! The lowered program computes what the tensor program says, in single precision.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::lower;
use crate::lir::{self, interp::Arena};
use crate::tir::{self, Func, Type, arbitrary, interp::Tensor};

type Inputs = BTreeMap<Arc<str>, Tensor>;

/// The inputs of the function that have new values among its results.
fn updated(func: &Func) -> Vec<(Arc<str>, Type)> {
    let params = func.params().filter(|(name, _, _)| func.result(name).is_some());
    params.map(|(name, _, ty)| (Arc::clone(name), ty.clone())).collect()
}

/// Lowers a function, checks what comes out, and runs it.
fn run(func: &Func, inputs: &Inputs) -> BTreeMap<Arc<str>, Vec<f64>> {
    let module = lower(std::slice::from_ref(func), &updated(func));
    let text = lir::print(&module);
    assert_eq!(lir::verify(&module), Ok(()), "{text}");
    assert_eq!(lir::parse(&text).as_ref(), Ok(&module), "{text}");
    let mut arena = Arena::new(&module);
    let lowered = &module.funcs[0];
    for (name, tensor) in inputs {
        if let Some(id) = module.lasting(name).or_else(|| module.input(lowered, name)) {
            arena.write(&module, id, tensor.iter().copied());
        }
    }
    arena.run(&module, lowered);
    let place = |name: &str| module.lasting(name).or_else(|| module.output(lowered, name)).expect("a result's buffer");
    func.results.iter().map(|(name, _)| (Arc::clone(name), arena.read(&module, place(name)))).collect()
}

/// Runs the function both ways and compares all results.
fn check(func: &Func, inputs: &Inputs) {
    let expected = tir::interp::run(func, &|name| inputs.get(name).cloned()).expect("inputs for all");
    let found = run(func, inputs);
    for (name, tensor) in &expected {
        let scale = tensor.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
        for (a, b) in tensor.iter().zip(&found[name]) {
            let close = (a - b).abs() <= 2e-5 * scale || a == b || a.is_nan() && b.is_nan();
            assert!(close, "{name}: {a} became {b}\n{}\n{}", func, print_lowered(func));
        }
    }
}

fn print_lowered(func: &Func) -> String {
    lir::print(&lower(std::slice::from_ref(func), &updated(func)))
}

/// Checks a function given as text, on arbitrary inputs.
fn check_text(text: &str) -> String {
    let func = tir::parse::func(text).expect("a function");
    check(&func, &arbitrary::inputs(&func, 1));
    print_lowered(&func)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn lowered_functions_agree_with_the_interpreter(recipe in prop::collection::vec(any::<u32>(), 0..120), seed in 0_u32..100) {
        let func = arbitrary::func(&recipe);
        check(&func, &arbitrary::inputs(&func, seed));
    }
}
