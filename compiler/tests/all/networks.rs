//! Random networks, one step in every way that there is: the interpreter, machine code with and without wide vectors, as a whole and in the form
//! that fits the zeros.

use crate::support;

use std::fmt::Write;
use std::num::NonZeroUsize;

use proptest::prelude::*;
use proptest::sample::select;
use spnc::codegen::{Options, Target};
use spnc::exec::{self, BatchSizes, Built, Interpreted};
use spnc_runtime::program::{Clock, Element, Entry, FieldMut, Form, Program};
use spnc_runtime::random::fill_uniform;

const BATCH: usize = 16;

/// What a network begins with: it makes features of digits.
const STEMS: [&str; 3] = ["features", "maps", "sequence"];

/// A block of a convolutional network. Everything is smooth: at a kink, rounding decides between two derivatives.
const BLOCKS: [&str; 9] = [
    "Conv2d[Out = 8] |> gelu",
    "LinearConv2d[Out = 12] |> BatchNorm |> silu",
    "LinearConv2d[Out = 8](stride: 2) |> BatchNorm |> softplus",
    "LinearConv2d[Out = 16, K = 1] |> BatchNorm |> silu",
    "Depthwise |> BatchNorm |> silu",
    "Conv2d[Out = 8](groups: 4) |> tanh",
    "Residual(Depthwise) |> silu",
    "DenseConnection(Inner)",
    "Pool",
];

const RECURRENCES: [&str; 3] = ["Rnn", "Lstm", "Gru"];

/// What makes weights sparse.
const METHODS: [&str; 10] = [
    "",
    "sparsify net.{fc1, fc2}.w with MagnitudeMask",
    "sparsify outputs with SignedCompetition",
    "sparsify outputs with GroupThreshold(start: -0.5)",
    "sparsify inputs with ScaledGroupThreshold(start: -1)",
    "sparsify net.{fc1, fc2}.w with FixedSparsity(0.9)",
    "sparsify outputs with SignedCompetition(rectify: true)",
    "sparsify outputs with StructuredMask",
    "proximal net.{fc1, fc2}.w with prox_l1(5e-2)",
    "proximal inputs with prox_l21(5e-1)",
];

const PENALTIES: [&str; 5] =
    ["", "+ 1e-3 * l1(net.fc1.w)", "+ 1e-3 * l21(outputs)", "+ 1e-3 * l12(inputs)", "+ 1e-4 * l2_squared(net.fc2.w)"];

/// Adam divides by no less than a hundredth: a gradient that is zero but for rounding would move a weight as far as any other.
const OPTIMIZERS: [&str; 4] = [
    "sgd(lr: 0.1)",
    "sgd(lr: 0.05, momentum: 0.9, weight_decay: 1e-3)",
    "sgd(lr: 0.05, momentum: 0.9, nesterov: true)",
    "adam(lr: 1e-3, eps: 1e-2)",
];

/// A random network, its objective and its optimizer.
#[derive(Clone, Debug)]
struct Network {
    stem: &'static str,
    blocks: Vec<&'static str>,
    masked: bool,
    recurrence: &'static str,
    method: &'static str,
    penalty: &'static str,
    optimizer: &'static str,
}

fn network() -> impl Strategy<Value = Network> {
    let body =
        (select(&STEMS[..]), prop::collection::vec(select(&BLOCKS[..]), 1..4), any::<bool>(), select(&RECURRENCES[..]));
    (body, select(&METHODS[..]), select(&PENALTIES[..]), select(&OPTIMIZERS[..])).prop_map(
        |((stem, blocks, masked, recurrence), method, penalty, optimizer)| Network {
            stem,
            blocks,
            masked,
            recurrence,
            method,
            penalty,
            optimizer,
        },
    )
}

impl Network {
    /// The program.
    fn text(&self) -> String {
        let mut layers = String::new();
        let mut flow = match self.stem {
            "maps" => "reshape(image, [B, 1, H, W]) |> enter".to_owned(),
            "sequence" => "transpose(image, H, B, W)".to_owned(),
            _ => "flatten(image)".to_owned(),
        };
        if self.stem == "maps" {
            layers.push_str("    enter = Conv2d[Out = 8]\n");
            for index in 0..self.blocks.len() {
                let _ = writeln!(layers, "    block{index} = Block{index}");
                let _ = write!(flow, " |> block{index}");
            }
            flow += " |> global_pool";
        } else if self.stem == "sequence" {
            let _ = writeln!(layers, "    recurrence = {}[Hidden = 24]", self.recurrence);
            flow += " |> recurrence |> newest";
        }
        let blocks: String = self.blocks.iter().enumerate().map(|(index, block)| self.block(index, block)).collect();
        let masks = if self.stem == "maps" && self.masked && self.has_norm() { MASKS } else { "" };
        let Network { method, penalty, optimizer, .. } = self;
        format!(
            "use std.layers.{{BatchNorm, Conv2d, Dense, DenseConnection, Depthwise, Gru, LinearConv2d, Lstm, Residual, Rnn, flatten, global_pool}}
use std.norms.{{l1, l12, l2_squared, l21}}
use std.optim.{{adam, sgd}}
use std.prox.{{prox_l1, prox_l21}}
use std.sparse.{{FixedSparsity, GroupThreshold, MagnitudeMask, ScaledGroupThreshold, SignedCompetition, StructuredMask}}

data digits = digits()

fn newest(x: [T, B, F]) -> [B, F] = last(x, T)

layer Inner[C](x: [B, C, H, W]) -> [B, 4, H, W] {{
    conv = Conv2d[Out = 4]
    conv(x) |> tanh
}}

layer Pool(x: [B, C, H, W]) -> [B, C, OutH, OutW] {{ max_pool(x, 2, stride: 1) }}

{blocks}
layer Net(image: [B, H, W]) -> [B, 10] {{
{layers}    fc1 = Dense[Out = 512]
    fc2 = Dense[Out = 160]
    fc3 = Dense[Out = 10]
    {flow} |> fc1 |> silu |> fc2 |> gelu |> fc3
}}

model net = Net

group outputs = net.{{fc1, fc2}}.w by Out
group inputs = net.{{fc1, fc2}}.w by In
{masks}
{method}

minimize cross_entropy(net(digits.image / 16), digits.label) {penalty}

train {{ epochs = 1, batch = {BATCH}, optimizer = {optimizer}, seed = 1 }}
"
        )
    }

    fn has_norm(&self) -> bool {
        self.blocks.iter().any(|block| block.contains("BatchNorm"))
    }

    /// The layer of a block.
    fn block(&self, index: usize, block: &str) -> String {
        if self.stem != "maps" {
            return String::new();
        }
        let mut layers = String::new();
        let mut flow = "x".to_owned();
        for (part, text) in block.split(" |> ").enumerate() {
            if text.starts_with(char::is_uppercase) {
                let _ = writeln!(layers, "    part{part} = {text}");
                let _ = write!(flow, " |> part{part}");
            } else {
                let _ = write!(flow, " |> {text}");
            }
        }
        format!("layer Block{index}(x: [B, C, H, W]) -> [B, OutC, OutH, OutW] {{\n{layers}    {flow}\n}}\n\n")
    }
}

/// Masks on the channels behind batch norm.
const MASKS: &str = "
group channels = net.**.live by each
sparsify channels with StructuredMask as channel
";

fn number(seed: u64, name: &str, len: usize) -> Vec<f64> {
    let mut numbers = vec![0.0; len];
    fill_uniform(seed as i32, 0, name.bytes().map(u64::from).sum(), 0, &mut numbers);
    numbers.into_iter().map(f64::from).collect()
}

/// Makes zeros: masks with a share of ones, shut channels, weights that a proximal step has made zero.
fn sparsify(program: &mut dyn Program, density: f64, seed: u64) {
    let tensors = program.description().tensors.clone();
    for (index, tensor) in tensors.iter().enumerate() {
        let mut value = program.read(index);
        let draws = number(seed, &tensor.name, value.len());
        for (x, draw) in value.iter_mut().zip(draws) {
            *x = match tensor.name.as_str() {
                name if name.ends_with(".mask") => f64::from(u8::from(draw < density)),
                name if name.ends_with(".s") => {
                    if draw < density {
                        0.6
                    } else {
                        -0.6
                    }
                }
                name if ["net.fc1.w", "net.fc2.w"].contains(&name) && draw > density => 0.0,
                name if name.ends_with(".b") || name.ends_with(".shift") => 0.2 * (draw - 0.5),
                _ => *x,
            };
        }
        program.write(index, &value);
    }
}

fn fill(program: &mut dyn Program, seed: u64) {
    for index in 0..program.description().fields.len() {
        let info = program.description().fields[index].clone();
        let draws = number(seed + 1, &info.name, BATCH * info.shape.iter().product::<usize>());
        let values = draws.into_iter().map(|x| match info.element {
            Element::Real => 16.0 * x,
            Element::Integer => (10.0 * x).floor(),
        });
        match program.field(Entry::Train(0), BATCH, index) {
            FieldMut::F32(to) => to.iter_mut().zip(values).for_each(|(to, x)| *to = x as f32),
            FieldMut::F64(to) => to.iter_mut().zip(values).for_each(|(to, x)| *to = x),
            FieldMut::I32(to) => to.iter_mut().zip(values).for_each(|(to, x)| *to = x as i32),
        }
    }
}

/// The lasting tensors after some steps, each in its own order of elements; the form of the steps.
fn learned(mut program: impl Program, density: f64, seed: u64) -> (Vec<Vec<f64>>, Vec<Form>) {
    program.init(seed);
    sparsify(&mut program, density, seed);
    let clock = Clock::START;
    program.adapt(0, clock, u64::MAX);
    for step in 0..2 {
        fill(&mut program, seed + step);
        let _ = program.train_step(0, BATCH, Clock { step, ..clock });
    }
    let count = program.description().tensors.len();
    ((0..count).map(|index| program.read(index).into_iter().collect()).collect(), program.form())
}

/// Takes a network through all ways; whether its steps were narrowed or compressed.
fn check(network: &Network, density: f64, seed: u64) -> bool {
    let compiled = support::compile(&network.text()).unwrap_or_else(|errors| panic!("{errors}\n{}", network.text()));
    let built = Built::new(&compiled.model, &compiled.sources, &BatchSizes { train: vec![BATCH], evaluate: vec![] });
    let code = |target, threads| {
        let options = Options { target, threads: NonZeroUsize::new(threads).expect("a thread") };
        exec::Compiled::new(&built, options).expect("code for this machine")
    };
    let (expected, _) = learned(Interpreted::new(&built), density, seed);
    let (live, form) = learned(code(Target::Native, 1), density, seed);
    let ways = [
        ("whole", learned(code(Target::Native, 1).whole(), density, seed).0),
        ("portable", learned(code(Target::Baseline, 1), density, seed).0),
        ("live on two threads", learned(code(Target::Native, 2), density, seed).0),
        ("live", live.clone()),
    ];
    assert!(ways[2].1 == live, "the number of threads changes nothing");
    for (way, found) in &ways {
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let size = expected.iter().fold(5e-2, |most: f64, x| most.max(x.abs()));
            let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let name = &built.interface.description.tensors[index].name;
            assert!(worst <= 2e-3 * size, "{way}: {name} is {worst} off of {size}\n{}", network.text());
        }
    }
    form.iter().any(|form| *form != Form::Whole)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_way_computes_the_same(network in network(), density in 0.02f64..1.0, seed in 1u64..1000) {
        let _ = check(&network, density, seed);
    }
}

/// The forms are tested, and not left aside because nothing is gained.
#[test]
fn sparse_networks_have_forms() {
    let [convolution, masks] = [BLOCKS[1], METHODS[1]];
    let network = |stem, method| Network {
        stem,
        blocks: vec![convolution; 3],
        masked: true,
        recurrence: RECURRENCES[0],
        method,
        penalty: PENALTIES[0],
        optimizer: OPTIMIZERS[1],
    };
    assert!(check(&network("maps", ""), 0.3, 1), "channels are left out");
    assert!(check(&network("features", masks), 0.05, 1), "weights are left out");
}
