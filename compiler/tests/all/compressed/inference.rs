//! Networks whose weights are given.

use std::num::NonZero;

use spnc::exec::Callable;
use spnc::tir;

use super::*;

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

/// What convolutions make of given weights alone is computed once: also after other images, and anew with other weights.
#[test]
fn given_weights_of_convolutions_are_packed_when_they_change() {
    check_given(
        "func net {
  %0 = param image : f32[2, 9, 9, 3]
  %1 = param w1 : f32[3, 3, 3, 16]
  %2 = param w2 : f32[3, 3, 16, 24]
  %3 = param w3 : f32[3, 3, 12, 24]
  %4 = conv %0, %1, window [3, 3] stride [1, 1] pad [1, 1] [1, 1], groups 1 : f32[2, 9, 9, 16]
  %5 = conv %4, %2, window [3, 3] stride [2, 2] pad [1, 1] [1, 1], groups 1 : f32[2, 5, 5, 24]
  %6 = conv %5, %3, window [3, 3] stride [1, 1] pad [1, 1] [1, 1], groups 2 : f32[2, 5, 5, 24]
  return out = %6
}
",
    );
}

/// The same for products, of factors in either order, of one that two products read and of one that all products of a stack do.
#[test]
fn given_weights_of_products_are_packed_when_they_change() {
    check_given(
        "func net {
  %0 = param image : f32[70, 300]
  %1 = param w1 : f32[300, 45]
  %2 = param w2 : f32[300, 45]
  %3 = param w3 : f32[32, 20]
  %4 = contract bi,ij->bj %0, %1 : f32[70, 45]
  %5 = contract bj,ij->bi %4, %2 : f32[70, 300]
  %6 = contract bi,ij->bj %5, %1 : f32[70, 45]
  %7 = mul %6, %4 : f32[70, 45]
  %8 = param images : f32[20, 3, 40]
  %9 = contract ij,jbk->ibk %3, %8 : f32[32, 3, 40]
  return out = %7
  return outs = %9
}
",
    );
}

/// A function whose inputs are images and weights, which change after some calls, against the interpreter.
fn check_given(text: &str) {
    let func = tir::parse::func(text).expect("a function");
    let draw = |name: &str, ty: &tir::Type, seed: i32| {
        let mut numbers = vec![0.0; ty.len()];
        fill_uniform(seed, 0, name.bytes().map(u64::from).sum(), 0, &mut numbers);
        let numbers = numbers.into_iter().map(|x| f64::from(x) - 0.5).collect();
        ArrayD::from_shape_vec(ty.shape.as_slice(), numbers).expect("as many as there are")
    };
    let is_weight = |name: &str| !name.starts_with("image");
    for threads in [1, 2].map(|count| NonZero::new(count).expect("a thread")) {
        let options = Options { threads, ..Options::default() };
        let mut code = Callable::given(&func, &is_weight, options).expect("code for this machine");
        for [images, weights] in [[1, 2], [3, 2], [3, 4]] {
            let drawn = |name: &str, ty: &tir::Type| draw(name, ty, if is_weight(name) { weights } else { images });
            let inputs: Values = func.params().map(|(name, _, ty)| (name.clone(), drawn(name, ty))).collect();
            let expected = interp::run(&func, &|name| inputs.get(name).cloned()).expect("all inputs are there");
            let is_new = |name: &str| images == 1 || !is_weight(name) || weights == 4;
            let found = code.call(&|name| inputs.get(name).filter(|_| is_new(name)).cloned());
            assert_close(&found, &expected, 1e-5);
        }
    }
}
