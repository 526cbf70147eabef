//! Whole neurons, channels and units go, in networks of all kinds.

use std::collections::BTreeMap;

use ndarray::Axis;
use proptest::prelude::*;
use spnc::tir::interp::Tensor;
use spnc_runtime::random;

use super::{check, compile, program, sizes, starts, zero};

/// A number in 0..n that depends on a seed and a place.
fn pick(seed: u64, place: u64, n: usize) -> usize {
    (random::uniform(seed as i32, 0, place, 0) * n as f32) as usize
}

/// Makes norms differ from channel to channel, and some channels, units and inputs zero.
fn kill(values: &mut BTreeMap<String, Tensor>, seed: u64) {
    let names: Vec<String> = values.keys().cloned().collect();
    for (place, name) in names.iter().enumerate() {
        let dice = |at: usize, n: usize| pick(seed, (place * 1000 + at) as u64, n);
        let value = values.get_mut(name).expect("it is there");
        if name.ends_with("norm.shift") || name.ends_with("running_mean") {
            value.iter_mut().enumerate().for_each(|(at, x)| *x = dice(at, 100) as f64 / 50.0 - 1.0);
        }
        let axis = if value.ndim() == 2 { 1 } else { 0 };
        if name.ends_with(".w") && value.len_of(Axis(axis)) != 10 && dice(997, 2) == 0 {
            for at in (0..value.len_of(Axis(axis))).filter(|at| dice(500 + at, 3) == 0) {
                value.index_axis_mut(Axis(axis), at).fill(0.0);
            }
        }
    }
    for (place, name) in names.iter().enumerate().filter(|(_, name)| name.ends_with("norm.scale")) {
        for at in 0..values[name].len() {
            let fate = pick(seed, (place * 1000 + 700 + at) as u64, 5);
            if fate < 3 {
                values.get_mut(name).expect("it is there")[[at]] = 0.0;
            }
            if fate < 2 {
                values.get_mut(&name.replace("scale", "shift")).expect("it is there")[[at]] = 0.0;
            }
        }
    }
}

/// A network of random parts.
fn random_network(recipe: &[u8]) -> String {
    let (mut layers, mut way) = (String::new(), "image |> reshape([B, 1, H, W]) |> first".to_owned());
    layers.push_str("    first = Block[Out = 5]\n");
    let (mut channels, mut pools) = (5, 0);
    for (n, part) in recipe.iter().enumerate() {
        let text = match part % 6 {
            0 => {
                channels = 4 + usize::from(part / 6) % 4;
                format!("Block[Out = {channels}]")
            }
            1 => "Each".to_owned(),
            2 => format!("Residual(Block[Out = {channels}])"),
            3 => {
                channels += 3;
                "DenseConnection(Block[Out = 3])".to_owned()
            }
            4 => "BatchNorm".to_owned(),
            _ => {
                pools += 1;
                if pools < 3 {
                    way.push_str(if part / 6 % 2 == 0 { " |> max_pool(2)" } else { " |> avg_pool(2)" });
                }
                continue;
            }
        };
        layers.push_str(&format!("    part{n} = {text}\n"));
        way.push_str(&format!(" |> part{n}"));
    }
    layers.push_str("    fc1 = Dense[Out = 12]\n    fc2 = Dense[Out = 10]\n");
    way.push_str(if recipe.len().is_multiple_of(2) { " |> flatten" } else { " |> global_pool" });
    program(&layers, &format!("{way} |> fc1 |> relu |> fc2"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_with_dead_parts_compute_the_same(recipe in prop::collection::vec(any::<u8>(), 1..5), seed: u64) {
        let text = random_network(&recipe);
        let (model, sources) = compile(&text, vec![]);
        let mut values = starts(&model, &sources);
        kill(&mut values, seed);
        let _ = check(&text, &values);
    }
}

#[test]
fn neurons_and_pixels_go() {
    let text =
        program("    fc1 = Dense[Out = 6]\n    fc2 = Dense[Out = 10]\n", "image |> flatten |> fc1 |> relu |> fc2");
    let (model, sources) = compile(&text, vec![]);
    let mut values = starts(&model, &sources);
    // Two units feed nothing; nothing reads the first forty pixels.
    zero(&mut values, "effective.net.fc2.w", 0, &[1, 4]);
    zero(&mut values, "effective.net.fc1.w", 0, &(0..40).collect::<Vec<_>>());
    let smaller = check(&text, &values);
    assert_eq!(sizes(&smaller, "net.fc1.w"), [24, 4]);
    assert_eq!(smaller.tensors["net.fc1_inputs.at"].iter().copied().next(), Some(40.0));
    assert!(smaller.text.contains("image |> flatten |> fc1_inputs |> fc1 |> relu |> fc2"), "{}", smaller.text);
    assert!(smaller.dense.is_empty(), "{:?}", smaller.dense);
}

#[test]
fn a_sum_keeps_what_is_alive_in_one_of_its_branches() {
    let layers = "    first = Block[Out = 4]\n    block = Residual(Block[Out = 4])\n    fc = Dense[Out = 10]\n";
    let text = program(layers, "image |> reshape([B, 1, H, W]) |> first |> block |> global_pool |> fc");
    let (model, sources) = compile(&text, vec![]);
    let mut values = starts(&model, &sources);
    // Channel 0 is dead in both branches, channel 2 in the second one.
    zero(&mut values, "effective.net.first.norm.scale", 0, &[0]);
    zero(&mut values, "effective.net.block.body.norm.scale", 0, &[0, 2]);
    let smaller = check(&text, &values);
    assert_eq!(sizes(&smaller, "net.first.conv.w"), [3, 1, 3, 3]);
    assert_eq!(sizes(&smaller, "net.block.body.conv.w"), [3, 3, 3, 3]);
    let kept: Vec<(&str, usize)> = smaller.dense.iter().map(|dense| (&*dense.tensor, dense.positions)).collect();
    assert_eq!(kept, [("net.block.body.conv.w", 1)]);
}

/// A unit of a recurrence without a way out goes, with its rows and columns in all gates.
#[test]
fn units_of_recurrences_go() {
    for cell in ["Rnn", "Gru", "Lstm"] {
        let layers = format!("    cell = {cell}[Hidden = 5]\n    fc = Dense[Out = 10]\n");
        let text = program(&layers, "transpose(image, H, B, W) |> cell |> last(H) |> fc");
        let (model, sources) = compile(&text, vec![]);
        let mut values = starts(&model, &sources);
        zero(&mut values, "effective.net.fc.w", 0, &[1, 3]);
        zero(&mut values, "effective.net.cell.step.u", 0, &[1, 3]);
        let smaller = check(&text, &values);
        assert_eq!(smaller.tensors["net.cell.step.u"].shape().last(), Some(&3), "{cell}");
        assert_eq!(smaller.tensors["net.cell.step.u"].shape()[0], 3, "{cell}");
    }
}

/// A carry that starts as a number needs its axes where a cell is applied to it.
#[test]
fn units_of_a_cell_of_ones_own_go() {
    let cell = "layer Cell[Hidden](x: [B, I], h: [B, Hidden]) -> [B, Hidden] {
    own = Dense[Out = Hidden]
    back = Linear[Out = Hidden]
    tanh(own(x) + back(h))
}

/// The last state of a cell.
layer Read(image: [B, H, W]) -> [B, 5] {
    cell = Cell[Hidden = 5]
    states = scan(cell, image, over: H, from: full([B, 5], 0))
    last(states, H)
}

layer Net";
    let text = program("    read = Read\n    fc = Dense[Out = 10]\n", "image |> read |> fc");
    let text = text.replace("layer Net", cell);
    let (model, sources) = compile(&text, vec![]);
    let mut values = starts(&model, &sources);
    zero(&mut values, "effective.net.fc.w", 0, &[1, 3]);
    let _ = check(&text, &values);
}

#[test]
fn what_is_combined_into_one_number_stays() {
    let norm = "layer Centred(x: [B, F]) -> [B, F] = x - mean(x, F)\n\nlayer Net";
    let layers = "    fc1 = Dense[Out = 6]\n    centred = Centred\n    fc2 = Dense[Out = 10]\n";
    let text = program(layers, "image |> flatten |> fc1 |> centred |> fc2").replace("layer Net", norm);
    let (model, sources) = compile(&text, vec![]);
    let mut values = starts(&model, &sources);
    zero(&mut values, "effective.net.fc1.w", 1, &[2, 5]);
    let smaller = check(&text, &values);
    assert_eq!(sizes(&smaller, "net.fc1.w"), [64, 6]);
    assert_eq!(smaller.dense[0].why, "all of it is combined into one number");
}

/// Behind a norm whose scale is zero stands its shift: relu makes a zero of a negative one, and a number of a positive one.
#[test]
fn a_shift_that_relu_cuts_off_goes() {
    let layers = "    first = Block[Out = 4]\n    second = Block[Out = 3]\n    fc = Dense[Out = 10]\n";
    let text = program(layers, "image |> reshape([B, 1, H, W]) |> first |> second |> global_pool |> fc");
    let (model, sources) = compile(&text, vec![]);
    let mut values = starts(&model, &sources);
    zero(&mut values, "effective.net.first.norm.scale", 0, &[0, 2]);
    let shift = values.get_mut("effective.net.first.norm.shift").expect("it is there");
    (shift[[0]], shift[[2]]) = (-0.5, 0.5);
    let smaller = check(&text, &values);
    assert_eq!(sizes(&smaller, "net.first.conv.w"), [3, 1, 3, 3]);
    assert_eq!(sizes(&smaller, "net.second.conv.w"), [3, 3, 3, 3]);
    let last = smaller.dense.last().expect("the other shift");
    assert_eq!((&*last.tensor, last.positions, last.of), ("an activation in net.first", 1, 3));
}
