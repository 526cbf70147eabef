//! Groups that are blocks of a matrix: masks of whole blocks.

use proptest::prelude::*;

use super::*;

/// A network with a mask for each block, so many rows by so many columns.
fn in_blocks([rows, columns]: [usize; 2], more: &str, optimizer: &str) -> String {
    format!(
        "use std.layers.{{Dense, flatten}}
use std.norms.l21

data digits = digits()

layer BlockMask[G, M](w: [G, M]) -> [G, M] {{
    state mask: [G] = 1
    on open(gate: [G]) {{ mask <- gate }}
    w * mask
}}

{NETWORK}

model net = Net

group blocks = net.{{fc1, fc2}}.w by blocks({rows}, {columns})

sparsify blocks with BlockMask as kept

minimize cross_entropy(net(digits.image / 16), digits.label) {more}

report accuracy(net(digits.image / 16), digits.label)

train {{ epochs = 1, batch = {BATCH}, optimizer = {optimizer}, seed = 1 }}
"
    )
}

/// Compresses the step of a program and compares it with the whole one. Returns what is stored.
fn check(text: &str, density: f64, seed: u64) -> Vec<String> {
    let (built, mut forms) = built(text);
    let mut given = inputs(&built, &built.train[0].func, density, seed, false);
    let states = given.iter_mut().filter(|(name, _)| name.starts_with("optimizer."));
    states.for_each(|(_, state)| state.fill(0.0));
    check_given(&built, &mut forms, &given)
}

/// Of a weight and of its velocity the elements of blocks that are left are kept.
#[test]
fn weights_in_blocks_are_stored_compressed() {
    let stored = check(&in_blocks([4, 4], "", "sgd(lr: 0.1, momentum: 0.9)"), 0.1, 1);
    for layer in ["fc1", "fc2"] {
        for tensor in [format!("net.{layer}.w"), format!("optimizer.net.{layer}.w.velocity")] {
            assert!(stored.contains(&tensor), "{tensor} is not among {stored:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn every_step_in_blocks_is_the_whole_one(
        block in prop_oneof![Just([4, 4]), Just([8, 1]), Just([1, 4]), Just([2, 8]), Just([16, 8])],
        density in 0.01f64..1.0,
        seed in 1u64..1000,
        more in prop_oneof![Just(""), Just("+ 1e-3 * l21(blocks)")],
        optimizer in prop_oneof![
            Just("sgd(lr: 0.1)"),
            Just("sgd(lr: 0.1, momentum: 0.9)"),
            Just("sgd(lr: 0.1, momentum: 0.9, weight_decay: 1e-3)"),
            Just("adam(lr: 1e-2)"),
        ],
    ) {
        let _ = check(&in_blocks(block, more, optimizer), density, seed);
    }
}
