//! Networks whose weights are given.

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
