//! Steps that are narrowed to what is alive compute what whole steps do.

use crate::support;

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use ndarray::ArrayD;
use spnc::codegen::Options;
use spnc::exec::{self, BatchSizes, Built, Forms};
use spnc::tir::interp;
use spnc::tir::{DType, Func, Op};
use spnc_runtime::program::Form;
use spnc_runtime::random::fill_uniform;

const BATCH: usize = 6;

/// A program of a network on the digits: `declarations` declare the layer `Net` and what is sparse in it.
fn program(declarations: &str) -> String {
    format!(
        "use std.layers.{{BatchNorm, Dense, Depthwise, LinearConv2d, Lstm, Pointwise, flatten, global_pool}}
use std.norms.l21
use std.sparse.{{Competition, GroupThreshold, SignedCompetition, StructuredMask}}

data digits = digits()

{declarations}

model net = Net

minimize cross_entropy(net(digits.image / 16), digits.label)

train {{ epochs = 1, batch = {BATCH}, optimizer = sgd(lr: 0.1, momentum: 0.9, weight_decay: 1e-3), seed = 1 }}
"
    )
}

/// The inputs of a step: start values of the lasting tensors, made-up samples, a clock.
fn inputs(built: &Built, func: &Func) -> BTreeMap<Arc<str>, ArrayD<f64>> {
    let seed = |name: &str| (name == "seed").then(|| ArrayD::from_elem(vec![], 1.0));
    let starts = interp::run(&built.init, &seed).expect("starts depend on the seed");
    let made_up = |name: &Arc<str>, shape: &[usize], dtype: DType| {
        let mut numbers = vec![0.0; shape.iter().product::<usize>().max(1)];
        fill_uniform(1, 0, name.len() as u64, 0, &mut numbers);
        let scale = if dtype == DType::I32 { 10.0 } else { 16.0 };
        let numbers = numbers.iter().map(|x| f64::from(*x) * scale);
        let numbers = numbers.map(|x| if dtype == DType::I32 { x.floor() } else { x }).collect();
        ArrayD::from_shape_vec(shape, numbers).expect("as many as there are")
    };
    let value = |name: &Arc<str>, shape: &[usize], dtype| match starts.get(name) {
        Some(start) => start.clone(),
        None => made_up(name, shape, dtype),
    };
    func.params().map(|(name, _, ty)| (name.clone(), value(name, &ty.shape, ty.dtype))).collect()
}

fn assert_close(found: &IndexMap<Arc<str>, ArrayD<f64>>, expected: &IndexMap<Arc<str>, ArrayD<f64>>, tolerance: f64) {
    for (name, expected) in expected {
        let size = expected.iter().fold(1e-3, |most: f64, x| most.max(x.abs()));
        for (a, b) in found[name].iter().zip(expected) {
            assert!((a - b).abs() <= tolerance * size, "{name}: {a} and {b}");
        }
    }
}

/// How many elements products and convolutions compute.
fn products(func: &Func) -> usize {
    let is_product = |op: &Op| matches!(op, Op::Contract(..) | Op::Conv { .. });
    func.defs.iter().filter(|def| is_product(&def.op)).map(|def| def.ty.len()).sum()
}

/// Room from live positions and sizes.
type Rooms = dyn Fn(&[usize], &[usize]) -> Vec<usize>;

/// Narrows the step of a program as much as its start allows, and compares. Returns the live positions and the sizes of its classes.
fn check(declarations: &str) -> Vec<(usize, usize)> {
    check_rooms(declarations, &|counts, _| counts.to_vec()).0
}

/// The same with the room that `rooms` makes of live positions and sizes. Returns also how many elements products and convolutions compute.
fn check_rooms(declarations: &str, rooms: &Rooms) -> (Vec<(usize, usize)>, usize) {
    let compiled = support::compile(&program(declarations)).unwrap_or_else(|errors| panic!("{errors}"));
    let sizes = BatchSizes { train: vec![BATCH], evaluate: vec![] };
    let built = Built::new(&compiled.model, &compiled.sources, &sizes);
    let (step, zeros) = (&built.train[0], exec::tensors_with_zeros(&built));
    let mut forms = Forms::of(&built, step, &zeros).expect("something of it can be left out");
    let inputs = inputs(&built, &step.func);
    let given = |name: &str| inputs.get(name).cloned();
    let counting = forms.counts().expect("it has dead positions");
    let counts = interp::run(&counting, &given).expect("all inputs are there");
    let counts: Vec<usize> = counts.values().map(|count| count[[]] as usize).collect();
    let room = rooms(&counts, &forms.sizes()).into_iter().map(|room| room.max(1)).collect();
    forms.set(Form::Narrowed(room));
    let narrowed = forms.special().expect("it is narrowed").func().clone();
    let computed = [&narrowed, &step.func].map(products);
    assert!(computed[0] < computed[1], "{computed:?} elements, {counts:?} of {:?} live", forms.sizes());
    let expected = interp::run(&step.func, &given).expect("all inputs are there");
    assert_close(&interp::run(&narrowed, &given).expect("all inputs are there"), &expected, 1e-9);
    let compiled = exec::run_compiled(&narrowed, &given, Options::default()).expect("code for this machine");
    assert_close(&compiled, &expected, 2e-4);
    (counts.into_iter().zip(forms.sizes()).collect(), computed[0])
}

#[test]
fn neurons_below_their_threshold_cost_nothing() {
    let classes = check(
        "layer Net(image: [B, H, W]) -> [B, 10] {
    fc1 = Dense[Out = 24]
    fc2 = Dense[Out = 20]
    fc3 = Dense[Out = 10]
    image |> flatten |> fc1 |> relu |> fc2 |> relu |> fc3
}
group neurons = net.{fc1, fc2, fc3}.w by In
sparsify neurons with GroupThreshold(start: 0.3)",
    );
    for neurons in [64, 24, 20] {
        assert!(classes.iter().any(|(live, size)| *size == neurons && live < size), "{classes:?}");
    }
}

/// Draws at the start keep about half of the channels: behind a residual sum those of either branch, which a convolution that looks at each
/// channel by itself keeps, too.
#[test]
fn channels_that_are_not_drawn_cost_nothing() {
    let classes = check(
        "layer Net(image: [B, H, W]) -> [B, 10] {
    conv1 = LinearConv2d[Out = 8]
    norm1 = BatchNorm
    conv2 = LinearConv2d[Out = 8]
    norm2 = BatchNorm
    each = Depthwise
    norm3 = BatchNorm
    conv3 = LinearConv2d[Out = 12](stride: 2)
    norm4 = BatchNorm
    fc = Dense[Out = 10]
    low = reshape(image, [B, 1, H, W]) |> conv1 |> norm1 |> relu
    mid: [B, C, H, W] = relu(norm2(conv2(low)) + low) |> max_pool(3, stride: 1, padding: 1)
    way = pad(avg_pool(mid, 1, stride: 2), C, 2, 2)
    high = relu(norm4(conv3(relu(norm3(each(mid))))) + way)
    high |> global_pool |> fc
}
group filters = net.**.live by each
sparsify filters with StructuredMask",
    );
    for channels in [8, 12] {
        assert!(classes.iter().any(|(live, size)| *size == channels && live < size), "{classes:?}");
    }
}

#[test]
fn a_flattened_image_loses_the_pixels_of_dead_channels() {
    let classes = check(
        "layer Net(image: [B, H, W]) -> [B, 10] {
    conv = LinearConv2d[Out = 8]
    norm = BatchNorm
    fc1 = Dense[Out = 12]
    fc2 = Dense[Out = 10]
    maps = reshape(image, [B, 1, H, W]) |> conv |> norm |> relu |> max_pool(2)
    maps |> flatten |> fc1 |> relu |> fc2
}
group filters = net.norm.live by each
sparsify filters with StructuredMask",
    );
    assert!(classes.iter().any(|(live, size)| *size == 8 && live < size), "{classes:?}");
    assert!(classes.iter().any(|(live, size)| *size == 128 && live < size), "{classes:?}");
}

#[test]
fn hidden_units_that_are_not_drawn_cost_nothing() {
    let classes = check(
        "layer Net(image: [B, H, W]) -> [B, 10] {
    lstm = Lstm[Hidden = 12]
    fc = Dense[Out = 10]
    fc(last(lstm(transpose(image, H, B, W)), H))
}
group units = net.lstm.step.live by each
sparsify units with StructuredMask",
    );
    assert!(classes.iter().any(|(live, size)| live < size), "{classes:?}");
}

#[test]
fn branches_of_a_concatenation_keep_their_own_channels() {
    let classes = check(
        "layer Net(image: [B, H, W]) -> [B, 10] {
    left = LinearConv2d[Out = 6]
    norm1 = BatchNorm
    right = LinearConv2d[Out = 10]
    norm2 = BatchNorm
    join = Pointwise[Out = 7]
    fc = Dense[Out = 10]
    x: [B, C, H, W] = reshape(image, [B, 1, H, W])
    a: [B, D, H, W] = relu(norm1(left(x)))
    concat(a, relu(norm2(right(x))), over: D) |> join |> relu |> global_pool |> fc
}
group filters = net.{norm1, norm2}.live by each
sparsify filters with StructuredMask",
    );
    assert!(classes.iter().any(|(live, size)| *size == 16 && live < size), "{classes:?}");
}

/// Of eight channels that are added to others, two are alive: all of the branch is computed on these two, forward and backward, whether the
/// channels that they are added to are all alive or but six of them.
#[test]
fn branches_with_few_live_channels_are_computed_by_themselves() {
    let text = |stem: usize| {
        format!(
            "/// The first of the groups are alive.
layer First[K, G, M](w: [G, M]) -> [G, M] {{
    state mask: [G] = float(positions(G) < K)
    w * mask
}}
layer Net(image: [B, H, W]) -> [B, 10] {{
    conv1 = LinearConv2d[Out = 8]
    norm1 = BatchNorm
    conv2 = LinearConv2d[Out = 16]
    norm2 = BatchNorm
    conv3 = LinearConv2d[Out = 8]
    norm3 = BatchNorm
    conv4 = LinearConv2d[Out = 8]
    norm4 = BatchNorm
    fc = Dense[Out = 10]
    low = reshape(image, [B, 1, H, W]) |> conv1 |> norm1 |> relu
    mid = relu(norm3(conv3(relu(norm2(conv2(low))))) + low)
    high = relu(norm4(conv4(mid)) + mid)
    high |> global_pool |> fc
}}
group stem = net.norm1.live by each
group branches = net.{{norm3, norm4}}.live by each
sparsify stem with First[K = {stem}]
sparsify branches with First[K = 2]"
        )
    };
    for stem in [8, 6] {
        let (classes, apart) = check_rooms(&text(stem), &|counts, _| counts.to_vec());
        assert!(classes.contains(&(2, 8)), "the branches: {classes:?}");
        assert_eq!(classes.contains(&(6, 8)), stem == 6, "what they are added to: {classes:?}");
        if stem == 6 {
            let like_stream = |counts: &[usize], sizes: &[usize]| {
                let room = |(count, size): (&usize, &usize)| if *count == 2 { *size } else { *count };
                counts.iter().zip(sizes).map(room).collect()
            };
            let (_, joined) = check_rooms(&text(stem), &like_stream);
            assert!(apart < joined, "{apart} and {joined} elements");
        }
    }
}

/// All live units are negative, so that the largest of each sample is one of the dead ones.
#[test]
fn zeros_that_are_the_largest_are_not_left_out() {
    let classes = check(
        "layer Net(image: [B, H, W]) -> [B, 10] {
    fc1 = Dense[Out = 24]
    fc2 = Dense[Out = 20]
    fc3 = Dense[Out = 10]
    state live1: [Hidden: 24] = float(positions(24) < 6)
    state live2: [Units: 20] = float(positions(20) < 6)
    low: [B, Hidden] = relu(fc1(flatten(image))) * live1
    high: [B, Units] = (-1 - abs(fc2(low))) * live2
    largest = max(high, Units) with gradient of mean(high, Units)
    fc3(high) + reshape(largest, [B, 1])
}",
    );
    assert_eq!(classes, [(6, 24)], "the units whose largest is asked for stay");
}

/// Without anything that makes zeros there is nothing to look for.
#[test]
fn a_dense_network_has_one_form() {
    let text = program(
        "layer Net(image: [B, H, W]) -> [B, 10] {
    fc1 = Dense[Out = 12]
    fc2 = Dense[Out = 10]
    image |> flatten |> fc1 |> relu |> fc2
}",
    );
    let compiled = support::compile(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let sizes = BatchSizes { train: vec![BATCH], evaluate: vec![] };
    let built = Built::new(&compiled.model, &compiled.sources, &sizes);
    let zeros = exec::tensors_with_zeros(&built);
    assert!(zeros.is_empty(), "{zeros:?}");
    assert!(Forms::of(&built, &built.train[0], &zeros).is_none());
}

/// Channels that are cut before the first epoch are left out of every step, and the network learns what it learns as a whole.
#[test]
fn a_run_learns_the_same_in_either_form() {
    let text = "use std.layers.{BatchNorm, Dense, LinearConv2d, global_pool}

data digits = digits()

layer Net(image: [B, H, W]) -> [B, 10] {
    conv1 = LinearConv2d[Out = 32]
    norm1 = BatchNorm
    conv2 = LinearConv2d[Out = 64]
    norm2 = BatchNorm
    fc = Dense[Out = 10]
    maps = reshape(image, [B, 1, H, W]) |> conv1 |> norm1 |> relu |> conv2 |> norm2 |> relu
    maps |> global_pool |> fc
}

model net = Net

/// Half of the channels of each layer lose scale and shift, whatever these are.
layer Half[G, M](w: [G, M]) -> [G, M] {
    state mask: [G] = 1
    on cut() { mask <- mask * float(positions(G) - 2 * floor(positions(G) / 2) == 0) }
    w * mask
}

group channels = net.{norm1, norm2}.live by each
sparsify channels with Half

minimize cross_entropy(net(digits.image / 16), digits.label)

report accuracy(net(digits.image / 16), digits.label)

train {
    batch     = 64
    optimizer = sgd(lr: 0.05, momentum: 0.9)
    seed      = 1

    fire cut()
    phase { epochs = 2 }
}
";
    let [whole, live] =
        [support::Evaluator::Whole, support::Evaluator::Jit].map(|by| support::train_text(text, &[], None, by));
    assert!(whole.form.iter().all(|form| *form == Form::Whole), "{:?}", whole.form);
    let Some(Form::Narrowed(rooms)) = live.form.first() else { panic!("{:?}", live.form) };
    assert!(rooms.contains(&16) && rooms.contains(&32), "half of 32 and of 64 channels: {rooms:?}");
    for (name, expected) in &whole.lasting {
        let size = expected.iter().fold(0.1, |most: f64, x| most.max(x.abs()));
        for (a, b) in live.lasting[name].iter().zip(expected) {
            assert!((a - b).abs() <= 2e-2 * size, "{name}: {a} and {b}");
        }
    }
}
