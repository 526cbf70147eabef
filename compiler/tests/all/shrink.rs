//! `spnc shrink`: smaller networks compute what the trained ones did.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use ndarray::{ArrayD, Axis};
use proptest::prelude::*;
use serde_json::Value;
use spnc::diag::Sources;
use spnc::lower::to_tir;
use spnc::model::{DType, DataFacts, DataSpec, Field, Model, Refusal, World};
use spnc::shrink::{Smaller, Trained, WEIGHTS, shrink};
use spnc::tir::interp::{self, Tensor};
use spnc::{ad, elaborate, resolve, syntax};
use spnc_runtime::random;
use spnc_runtime::store::{self, Folder};

/// Images of digits, and one file of tensors.
struct Digits(Vec<(String, Tensor)>);

impl World for Digits {
    fn data(&mut self, _: &DataSpec) -> Result<DataFacts, Refusal> {
        let field = |name: &str, dtype, shape: &[usize]| Field { name: name.into(), dtype, shape: shape.to_vec() };
        let fields = vec![field("image", DType::F32, &[8, 8]), field("label", DType::I32, &[])];
        Ok(DataFacts { fields, constants: vec![] })
    }

    fn load(&mut self, file: &str, _: Option<&str>) -> Result<ArrayD<f64>, Refusal> {
        Err(Refusal { code: "E0901", title: format!("no `{file}` here"), argument: None, help: None })
    }

    fn tensors(&mut self, file: &str) -> Result<Vec<(String, ArrayD<f64>)>, Refusal> {
        assert_eq!(file, WEIGHTS);
        Ok(self.0.clone())
    }
}

fn compile(text: &str, tensors: Vec<(String, Tensor)>) -> (Model, Sources) {
    let mut sources = Sources::default();
    let file = sources.add("main.spnet", text);
    let (parsed, errors) = syntax::parse(file, text);
    assert!(errors.is_empty(), "{errors:?}\n{text}");
    let program = resolve::resolve(&parsed, &mut sources, &mut |path| Err(path.to_owned()), &[]);
    let program = program.unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    let model = elaborate::elaborate(&program, &mut Digits(tensors));
    (model.unwrap_or_else(|errors| panic!("{errors:?}\n{text}")), sources)
}

/// A program around a network of these layers and this way through them.
fn program(layers: &str, way: &str) -> String {
    format!(
        "use std.layers.{{BatchNorm, Dense, DenseConnection, Depthwise, Linear, LinearConv2d, Lstm, Gru, Rnn, Residual, flatten, global_pool, resize}}

data digits = digits()

/// A convolution, its norm, relu.
layer Block[Out](x: [B, C, H, W]) -> [B, Out, H, W] {{
    conv = LinearConv2d[Out = Out]
    norm = BatchNorm
    x |> conv |> norm |> relu
}}

/// A filter for each channel, its norm, relu.
layer Each(x: [B, C, H, W]) -> [B, C, H, W] {{
    filter = Depthwise
    norm = BatchNorm
    x |> filter |> norm |> relu
}}

layer Net(image: [B, H, W]) -> [B, 10] {{
{layers}    {way}
}}

model net = Net

minimize cross_entropy(net(digits.image), digits.label)

train {{
    epochs    = 1
    batch     = 32
    optimizer = sgd(lr: 0.1)
}}
"
    )
}

/// A number in 0..n that depends on a seed and a place.
fn pick(seed: u64, place: u64, n: usize) -> usize {
    (random::uniform(seed as i32, 0, place, 0) * n as f32) as usize
}

/// The start values of a program: `effective.<path>` and states.
fn starts(model: &Model, sources: &Sources) -> BTreeMap<String, Tensor> {
    let init = ad::grad(&to_tir::init(model, sources));
    let found = interp::run(&init, &|_| Some(ArrayD::zeros(vec![]))).expect("starts depend on the seed");
    let is_param = |name: &str| model.params.iter().any(|param| *param.path == *name);
    let named = found.into_iter().filter(|(name, _)| !name.starts_with("optimizer."));
    named
        .map(|(name, value)| (if is_param(&name) { format!("effective.{name}") } else { name.to_string() }, value))
        .collect()
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

/// What a network computes from two images.
fn outputs(model: &Model, sources: &Sources, values: &dyn Fn(&str) -> Option<Tensor>) -> Tensor {
    let func = ad::grad(&to_tir::network_at(model, sources, 2));
    let image =
        || ArrayD::from_shape_fn(vec![2, 8, 8], |at| ((at[0] * 64 + at[1] * 8 + at[2]) * 37 % 64) as f64 / 32.0 - 1.0);
    let given = |name: &str| if name == "digits.image" { Some(image()) } else { values(name) };
    let found = interp::run(&func, &given).expect("every input is given");
    found.into_values().next().expect("one output")
}

/// Shrinks a network with these numbers and compares; gives the smaller program.
fn check(text: &str, values: &BTreeMap<String, Tensor>) -> Smaller {
    let (model, sources) = compile(text, vec![]);
    let value = |name: &str| values.get(name).cloned();
    let trained = Trained { model: &model, sources: &sources, value: &value, set: &[], seed: 1 };
    let smaller = shrink(&trained, &[].into()).expect("it can be written");
    let tensors: Vec<(String, Tensor)> =
        smaller.tensors.iter().map(|(path, value)| (path.clone(), value.clone())).collect();
    let (small, small_sources) = compile(&smaller.text, tensors);
    let new = |name: &str| smaller.tensors.get(name.strip_prefix("effective.").unwrap_or(name)).cloned();
    let (before, after) = (outputs(&model, &sources, &value), outputs(&small, &small_sources, &new));
    let difference = before.iter().zip(&after).fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
    let largest = before.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
    assert!(difference <= 1e-9 * largest, "{difference} of {largest}\n{}", smaller.text);
    smaller
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

/// Sets positions along an axis of a tensor to zero.
fn zero(values: &mut BTreeMap<String, Tensor>, name: &str, axis: usize, at: &[usize]) {
    let value = values.get_mut(name).unwrap_or_else(|| panic!("{name}"));
    at.iter().for_each(|at| value.index_axis_mut(Axis(axis), *at).fill(0.0));
}

fn sizes(smaller: &Smaller, path: &str) -> Vec<usize> {
    smaller.tensors[path].shape().to_vec()
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

const WHOLE: &str = "use std.layers.{Dense, Dropout, flatten}
use std.sparse.SignedCompetition

const width = 12

data digits = digits()

/// A scale for each feature, from a competition.
layer Scaled[F](x: [B, F]) -> [B, F] {
    param alpha: [F] = 1
    compete = SignedCompetition
    a: [F] = reshape(compete(reshape(alpha, [1, F])), [F])
    x * a
}

layer Net(image: [B, H, W]) -> [B, 10] {
    fc1 = Dense[Out = width]
    scaled = Scaled
    drop = Dropout(0.2)
    fc2 = Dense[Out = 10]
    image |> flatten |> fc1 |> relu |> scaled |> drop |> fc2
}

model net = Net

minimize cross_entropy(net(digits.image / 16), digits.label) + 1e-3 * sum(abs(net.fc1.w))

report accuracy(net(digits.image / 16), digits.label)
report features = sum(float(net.scaled.a != 0))

train {
    batch     = 32
    optimizer = sgd(lr: 0.1, momentum: 0.9)
    seed      = 1
    phase first { epochs = 2 }
    phase second { epochs = 1, lr = 0.01 }
}
";

fn spnc(folder: &Path, args: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spnc"));
    let output = command.args(args).current_dir(folder).env_remove("SPNET_DATA").output().expect("spnc starts");
    let text = |bytes| String::from_utf8(bytes).expect("spnc prints UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn succeed(folder: &Path, args: &[&str]) -> String {
    let (is_done, stdout, stderr) = spnc(folder, args);
    assert!(is_done, "{args:?}: {stderr}");
    stdout
}

/// A folder with a run of [`WHOLE`] in which half of the features have lost.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("whole.spnet"), WHOLE).expect("written");
    let _ = succeed(folder.path(), &["run", "whole.spnet", "--limit", "200", "--out", "dense", "-q"]);
    let mut run = store::read(&folder.path().join("dense")).expect("a run");
    for part in [&mut run.model.free, &mut run.model.effective] {
        let alpha = part.get_mut("net.scaled.alpha").expect("it is there");
        alpha.iter_mut().skip(1).step_by(2).for_each(|x| *x = 0.0);
    }
    let sources = [("whole.spnet".to_owned(), WHOLE.to_owned())];
    let claimed = Folder::claim_at(&folder.path().join("run")).expect("a folder");
    let _ = claimed.save(&run, &sources).expect("saved");
    folder
}

fn reports(folder: &Path, run: &str) -> Value {
    let text = succeed(folder, &["eval", run, "--json"]);
    serde_json::from_str::<Value>(&text).expect("JSON")["reports"].clone()
}

#[test]
fn a_run_becomes_a_smaller_run() {
    let folder = trained();
    let path = folder.path();
    let text = succeed(path, &["shrink", "run", "--json"]);
    let certificate: Value = serde_json::from_str(&text).expect("JSON");
    assert!(certificate["largest_difference"].as_f64().expect("a number") < 1e-4, "{certificate}");
    assert_eq!(certificate["left_out"], serde_json::json!(["net.drop"]));
    // fc1: 64 × 6 + 6, the scale, fc2: 6 × 10 + 10.
    assert_eq!(certificate["after"]["parameters"], 64 * 6 + 6 + 6 + 60 + 10);
    assert_eq!(certificate["before"]["latency_ms"].as_object().expect("by size").len(), 2);
    let program = std::fs::read_to_string(path.join("run-small/whole.spnet")).expect("written");
    for line in
        ["    param a: [F] = 1\n", "fc1 = Dense[Out = 6]", "optimizer = sgd(lr: 0.1, momentum: 0.9)", "epochs    = 1\n"]
    {
        assert!(program.contains(line), "{line}: {program}");
    }
    assert!(!program.contains("alpha") && !program.contains("abs("), "{program}");
    let accuracy = "accuracy(net(digits.image / 16), digits.label)";
    let (before, after) = (reports(path, "run"), reports(path, "run-small"));
    assert_eq!(before[accuracy], after[accuracy]);
    // It trains on, and so does what came of that.
    let _ = succeed(path, &["run", "run-small/whole.spnet", "--limit", "64", "--out", "on", "-q"]);
    let _ = succeed(path, &["eval", "on"]);
}

/// Branches without a share go with their layers. Where a layer is only that, the size of its shares was known from a parameter that goes.
#[test]
fn branches_that_lost_go() {
    let layers = "    first = Dense[Out = 6]\n    gain = Gain\n    branches = Branches\n    fc = Dense[Out = 10]\n";
    let program = program(layers, "image |> flatten |> first |> gain |> branches |> fc");
    let branches = "layer Gain(x: [B, F]) -> [B, F] {
    param s: [N: 3] = 4 * positions(3)
    compete = Competition
    share: [N] = reshape(compete(reshape(s, [1, 3])), [3])
    sum(share, N) * x
}

layer Branches(x: [B, I]) -> [B, 6] {
    param s: [N: 3] = 4 * positions(3)
    compete = Competition
    share: [N] = reshape(compete(reshape(s, [1, 3])), [3])
    a = Dense[Out = 6]
    b = Dense[Out = 6]
    c = Dense[Out = 6]
    element(share, N, 0) * a(x) + element(share, N, 1) * b(x) + element(share, N, 2) * c(x)
}

layer Net";
    let text = format!("use std.sparse.Competition\n{}", program.replace("layer Net", branches));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    std::fs::write(path.join("branches.spnet"), text).expect("written");
    let _ = succeed(path, &["run", "branches.spnet", "--epochs", "0", "--out", "run", "-q"]);
    let text = succeed(path, &["shrink", "run", "--json"]);
    let certificate: Value = serde_json::from_str(&text).expect("JSON");
    assert!(certificate["largest_difference"].as_f64().expect("a number") < 1e-4, "{certificate}");
    let left = certificate["left"].as_array().expect("by tensor");
    let gone =
        left.iter().filter(|left| left["after"] == serde_json::json!([0, 0])).map(|left| left["tensor"].as_str());
    assert_eq!(gone.flatten().collect::<Vec<_>>(), ["net.branches.a.w", "net.branches.b.w"]);
    let program = std::fs::read_to_string(path.join("run-small/branches.spnet")).expect("written");
    assert!(program.contains("    param share: [N: 3] = 1\n"), "{program}");
    assert!(program.contains("    param share: [3] = 0\n"), "{program}");
    assert!(program.contains("    c = Dense[Out = 6]\n") && !program.contains("    a = Dense"), "{program}");
}

/// A factor on what a layer computes stays, as a parameter or a state, where it is neither zero nor one: behind a layer that is applied as it is,
/// and in one that is written anew.
#[test]
fn factors_of_results_stay() {
    let way = "image |> reshape([B, 1, H, W]) |> block |> flatten |> fc1 |> relu |> fc2";
    let layers = "    block = Block[Out = 5]\n    fc1 = Dense[Out = 6]\n    fc2 = Dense[Out = 10]\n";
    let kinds = [
        ("param s: [C] = 1\n    factor: [C] = clamp(s, 0, 1)", "factor", "effective.masks.net"),
        ("state s: [C] = 1", "s", "masks.net"),
    ];
    for (lines, factor, prefix) in kinds {
        let masks = format!(
            "layer Factor[C](x: [B, C, ...S]) -> [B, C, ...S] {{\n    {lines}\n    x * {factor}\n}}\n\n\
             sparsify net.{{block, fc1}} with Factor as masks\n"
        );
        let text = format!("{}\n{masks}", program(layers, way));
        let (model, sources) = compile(&text, vec![]);
        let mut values = starts(&model, &sources);
        for (name, n) in [("block", 5), ("fc1", 6)] {
            let shares = (0..n).map(|at| [0.0, 0.5, 1.0][at % 3]).collect();
            let shares = Tensor::from_shape_vec(vec![n], shares).expect("as many");
            assert!(values.insert(format!("{prefix}.{name}.s"), shares).is_some(), "it has a start");
        }
        let smaller = check(&text, &values);
        assert_eq!(sizes(&smaller, "net.block.conv.w"), [3, 1, 3, 3]);
        assert_eq!(sizes(&smaller, "net.fc1.w"), [3 * 64, 4]);
        let factors = |path: &str| smaller.tensors[path].iter().copied().collect::<Vec<f64>>();
        assert_eq!(factors(&format!("net.block.masks_{factor}")), [0.5, 1.0, 0.5], "{}", smaller.text);
        assert_eq!(factors(&format!("net.masks_fc1_{factor}")), [0.5, 1.0, 0.5, 1.0], "{}", smaller.text);
    }
}

/// What a layer of one's own computes from its parameters becomes a parameter, and gets smaller with what it is multiplied by.
#[test]
fn computed_weights_get_smaller() {
    let gated = "layer Gated[Out](x: [B, In]) -> [B, Out] {
    param w: [In, Out] ~ he_normal(fan_in: In)
    live = full([Out], 1)
    kept: [In, Out] = tanh(w)
    (x @ kept) * live
}

layer Soft(w: [...S]) -> [...S] {
    param s: [...S] = 1
    w * clamp(s, 0, 1)
}

group live = net.gated.live by each

sparsify live with Soft as soft
";
    let layers = "    gated = Gated[Out = 6]\n    fc2 = Dense[Out = 10]\n";
    let text = format!("{}\n{gated}", program(layers, "image |> flatten |> gated |> relu |> fc2"));
    let (model, sources) = compile(&text, vec![]);
    let mut values = starts(&model, &sources);
    zero(&mut values, "effective.soft.net.gated.live.s", 0, &[0, 2, 5]);
    let smaller = check(&text, &values);
    assert_eq!(sizes(&smaller, "net.gated.kept"), [64, 3]);
    assert_eq!(sizes(&smaller, "net.fc2.w"), [3, 10]);
}

/// What a layer computes from positions alone is a tensor of the smaller program.
#[test]
fn weights_of_an_interpolation_are_kept() {
    for [height, width] in [[6, 5], [6, 6]] {
        let way =
            format!("image |> reshape([B, 1, H, W]) |> block |> resize({height}, {width}) |> fixed |> flatten |> fc2");
        let text = program("    block = Block[Out = 5]\n    fixed = Each\n    fc2 = Dense[Out = 10]\n", &way);
        let (model, sources) = compile(&text, vec![]);
        let mut values = starts(&model, &sources);
        zero(&mut values, "effective.net.block.norm.scale", 0, &[1, 3]);
        let smaller = check(&text, &values);
        assert_eq!(sizes(&smaller, "net.block.conv.w"), [3, 1, 3, 3]);
        // A layer is called `fixed` already.
        assert_eq!(sizes(&smaller, "net.fixed_2"), [8, width], "{}", smaller.text);
    }
}

/// Where one of two layers of the library is written anew, the other one keeps its name.
#[test]
fn a_copy_is_told_from_its_layer() {
    let layers = "    one = Lstm[Hidden = 6]\n    two = Lstm[Hidden = 5]\n    fc2 = Dense[Out = 10]\n";
    let masks = "layer Live(w: [...S]) -> [...S] {
    param s: [...S] = 1
    w * s
}

group units = net.one.step.live by each

sparsify units with Live as units_left
";
    let way = "last(transpose(image, H, B, W) |> one |> two, H) |> fc2";
    let text = format!("{}\n{masks}", program(layers, way));
    let (model, sources) = compile(&text, vec![]);
    let mut values = starts(&model, &sources);
    zero(&mut values, "effective.units_left.net.one.step.live.s", 0, &[0, 2]);
    let smaller = check(&text, &values);
    assert!(smaller.text.contains("one = Lstm2[Hidden = 4]"), "{}", smaller.text);
    assert!(smaller.text.contains("two = Lstm[Hidden = 5]"), "{}", smaller.text);
}

/// Sizes that are equal before can differ afterwards.
#[test]
fn a_square_of_computed_weights_loses_rows() {
    let own = "layer Tanh[Out](x: [B, In]) -> [B, Out] {
    param w: [In, Out] ~ he_normal(fan_in: In)
    kept = tanh(w)
    x @ kept
}
";
    let layers = "    one = Tanh[Out = 8]\n    two = Tanh[Out = 8]\n    fc2 = Dense[Out = 10]\n";
    let text = format!("{}\n{own}", program(layers, "image |> flatten |> one |> relu |> two |> relu |> fc2"));
    let (model, sources) = compile(&text, vec![]);
    let mut values = starts(&model, &sources);
    zero(&mut values, "effective.net.one.w", 1, &[1, 4, 5]);
    let smaller = check(&text, &values);
    assert_eq!(sizes(&smaller, "net.two.kept"), [5, 8]);
}

/// The number in its start goes with no other size.
#[test]
fn a_layer_that_fits_one_size_keeps_it() {
    let gate = "layer Gate(x: [B, F]) -> [B, F] {
    param open: [F] = float(positions(6) > 0)
    open * x
}

layer Net";
    let layers = "    first = Dense[Out = 6]\n    gate = Gate\n    fc = Dense[Out = 10]\n";
    let text = program(layers, "image |> flatten |> first |> gate |> fc").replace("layer Net", gate);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    std::fs::write(path.join("gate.spnet"), text).expect("written");
    let _ = succeed(path, &["run", "gate.spnet", "--epochs", "0", "--out", "run", "-q"]);
    let (is_done, _, stderr) = spnc(path, &["shrink", "run"]);
    assert!(!is_done && stderr.contains("1 of 6 positions could go, but its layer fits no other size"), "{stderr}");
}

#[test]
fn what_cannot_be_shrunk_is_said() {
    let folder = trained();
    let path = folder.path();
    let refused = |args: &[&str]| {
        let (is_done, _, stderr) = spnc(path, args);
        assert!(!is_done, "{args:?}");
        stderr
    };
    assert!(refused(&["shrink", "nowhere"]).contains("E0901"));
    assert!(refused(&["shrink", "dense"]).contains("nothing in this network is zero"));
    assert!(!path.join("dense-small").exists());
    let _ = succeed(path, &["shrink", "run", "--out", "small", "--samples", "8"]);
    assert!(refused(&["shrink", "run", "--out", "small"]).contains("a new or empty folder"));
    std::fs::write(path.join("run/whole.spnet"), WHOLE.replace("width = 12", "width = 13")).expect("written");
    assert!(refused(&["shrink", "run"]).contains("E0910"));
}
