//! The library's layers, losses and augmentations: what must hold of them, and formulas written out by hand.

use super::{elaborated, terms};

#[track_caller]
fn assert_program(uses: &str, text: &str, expected: &[f64]) {
    let prelude = "fn wave(n) = sin(positions(n))\nfn differ(a: [...S], b: [...S]) = sum(abs(a - b))\n";
    let found = terms(&format!("use std.layers.{{{uses}}}\n{prelude}{text}"));
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(close), "{found:?} is not {expected:?}");
}

/// Images of 2 samples, 3 channels, 4 × 5 pixels.
const IMAGES: &str = "fn images() {\n    x: [B, C, H, W] = reshape(wave(120), [2, 3, 4, 5])\n    x\n}\n";

/// A sequence of 3 steps, 2 samples, 2 features.
const SEQUENCE: &str = "fn sequence() {\n    x: [T, B, F] = reshape(wave(12), [3, 2, 2])\n    x\n}\n";

fn wave(i: usize) -> f64 {
    (i as f64).sin()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn a_convolution_of_one_pixel_is_a_dense_layer_over_channels() {
    let text = format!(
        "{IMAGES}
fn matrix(w: [Out, In, KH, KW]) = transpose(sum(w, KH, KW), In, Out)
layer Net(x: [B, C, H, W]) {{
    one = Conv2d[Out = 4, K = 1]
    y = one(x)
    by_hand: [B, H, W, Out] = transpose(x, B, H, W, C) @ matrix(one.w)
    differ(y, transpose(by_hand, B, Out, H, W))
}}
model net = Net
minimize net(images())
"
    );
    assert_program("Conv2d", &text, &[0.0]);
}

#[test]
fn a_depthwise_convolution_treats_each_channel_by_itself() {
    let text = format!(
        "{IMAGES}
fn second(w: [Out, In, KH, KW]) = slice(w, Out, 1..2)
layer Net(x: [B, C, H, W]) {{
    depth = Depthwise
    found: [B, C, H, W] = depth(x)
    differ(slice(found, C, 1..2), conv2d(slice(x, C, 1..2), second(depth.w), padding: 1))
}}
model net = Net
minimize net(images())
"
    );
    assert_program("Depthwise", &text, &[0.0]);
}

#[test]
fn resizing_to_the_same_size_and_flipping_twice_change_nothing() {
    let text = format!(
        "{IMAGES}
fn twice(x: [B, C, H, W]) = differ(flip(flip(x, W), W), x)
fn mirrored(x: [B, C, H, W]) = differ(random_flip(x, H, rate: 1), flip(x, H)) + differ(random_flip(x, W, rate: 0), x)
fn squeezed(x: [B, C, H, W]) = sum(x, H, W)
minimize differ(resize(images(), 4, 5), images())
minimize differ(resize(images(), 4, 5, align_corners: true), images())
minimize twice(images())
minimize mirrored(images())
minimize differ(random_crop(images(), pad: 0), images())
minimize differ(global_pool(images()), squeezed(avg_pool(images(), (4, 5))))
"
    );
    assert_program("resize, global_pool", &text, &[0.0; 6]);
}

#[test]
fn resizing_interpolates_between_pixels() {
    let text = "
fn row() = reshape(positions(3)^2, [1, 1, 1, 3])
fn weigh(x: [A, B, C, D]) = sum(reshape(x, [D]) * 10^positions(D))
minimize weigh(resize(row(), 1, 5, align_corners: true))
minimize weigh(resize(row(), 1, 6))
";
    // 0, 1, 4 at the places 0, 1/2, 1, 3/2, 2, and at (i + 1/2) / 2 - 1/2, held at the ends.
    let aligned = [0.0, 0.5, 1.0, 2.5, 4.0];
    let edges = [0.0, 0.25, 0.75, 1.75, 3.25, 4.0];
    let weigh = |row: &[f64]| row.iter().rev().fold(0.0, |sum, x| sum * 10.0 + x);
    assert_program("resize", text, &[weigh(&aligned), weigh(&edges)]);
}

#[test]
fn a_random_crop_moves_each_sample_as_a_whole() {
    // Every sample is constant, so what is left of it is a rectangle: height times width of what is not zero.
    let text = "
fn ones() = full([64, 1, 6, 6], 1)
fn rows(x: [B, C, H, W]) = max(x, C, W)
fn columns(x: [B, C, H, W]) = max(x, C, H)
fn area(x: [B, C, H, W]) = sum(x, C, H, W)
fn check(x: [B, C, H, W]) = sum(abs(area(x) - sum(max(x, C, W), H) * sum(max(x, C, H), W)))
fn smallest(x: [B, C, H, W]) = min(sum(x, C, H, W))
minimize check(random_crop(ones(), pad: 2))
minimize float(smallest(random_crop(ones(), pad: 2)) >= 16)
minimize float(sum(random_crop(ones(), pad: 2)) < 64 * 36)
";
    assert_program("Dense", text, &[0.0, 1.0, 1.0]);
}

#[test]
fn batch_normalisation_is_mean_and_variance_of_everything_but_channels() {
    let text = format!(
        "{IMAGES}
layer Net(x: [B, C, H, W]) {{
    norm = BatchNorm(eps: 0.1)
    y: [B, C, H, W] = norm(x)
    sum(y * reshape(wave(120), [B, C, H, W]))
}}
model net = Net
minimize net(images())
"
    );
    let mut expected = 0.0;
    for c in 0..3 {
        let places: Vec<usize> = (0..2).flat_map(|b| (0..20).map(move |i| b * 60 + c * 20 + i)).collect();
        let mean = places.iter().map(|&i| wave(i)).sum::<f64>() / 40.0;
        let var = places.iter().map(|&i| (wave(i) - mean).powi(2)).sum::<f64>() / 40.0;
        expected += places.iter().map(|&i| (wave(i) - mean) / (var + 0.1).sqrt() * wave(i)).sum::<f64>();
    }
    assert_program("BatchNorm", &text, &[expected]);
}

/// Weights of a recurrent layer, as waves: a copy of the layer in which every parameter starts so.
fn with_waves(layer: &str) -> String {
    let text = include_str!("../../../../stdlib/layers.spnet");
    let start = text.find(&format!("layer {layer}[")).expect("the library has the layer");
    let end = start + text[start..].find("\n}\n").expect("it ends") + 3;
    let text = text[start..end].replace(&format!("layer {layer}["), &format!("layer Waves{layer}["));
    let text = text.replace("step = LstmStep", "step = WavesLstmStep").replace("step = GruStep", "step = WavesGruStep");
    text.lines()
        .map(|line| match line.split_once(": [").filter(|_| line.trim_start().starts_with("param")) {
            Some((name, rest)) => {
                let axes = rest.split(']').next().unwrap_or(rest);
                let sizes: Vec<&str> = axes.split(", ").map(|axis| axis.split(": ").last().unwrap_or(axis)).collect();
                format!("{name}: [{axes}] = reshape(wave({}), [{}])", sizes.join(" * "), sizes.join(", "))
            }
            None => line.to_owned(),
        })
        .collect::<Vec<String>>()
        .join("\n")
        + "\n"
}

#[test]
fn an_lstm_is_its_four_gates() {
    let text = format!(
        "{SEQUENCE}{}{}
layer Net(x: [T, B, F]) {{
    lstm = WavesLstm[Hidden = 3]
    y: [T, B, Hidden] = lstm(x)
    sum(y * reshape(wave(18), [3, 2, 3]))
}}
model net = Net
minimize net(sequence())
",
        with_waves("LstmStep"),
        with_waves("Lstm")
    );
    let mut expected = 0.0;
    for b in 0..2 {
        let (mut h, mut c) = ([0.0; 3], [0.0; 3]);
        for t in 0..3 {
            // w: [In: 2, Gate: 4, Hidden: 3], u: [3, 4, 3], b: [4, 3]
            let gate = |g: usize, j: usize| {
                let x: f64 = (0..2).map(|i| wave(t * 4 + b * 2 + i) * wave(i * 12 + g * 3 + j)).sum();
                let before: f64 = (0..3).map(|k| h[k] * wave(k * 12 + g * 3 + j)).sum();
                x + before + wave(g * 3 + j)
            };
            let new: Vec<f64> =
                (0..3).map(|j| sigmoid(gate(1, j)) * c[j] + sigmoid(gate(0, j)) * gate(2, j).tanh()).collect();
            let out: Vec<f64> = (0..3).map(|j| sigmoid(gate(3, j)) * new[j].tanh()).collect();
            h.copy_from_slice(&out);
            c.copy_from_slice(&new);
            expected += (0..3).map(|j| h[j] * wave(t * 6 + b * 3 + j)).sum::<f64>();
        }
    }
    assert_program("Dense", &text, &[expected]);
}

#[test]
fn a_gru_is_its_three_gates() {
    let text = format!(
        "{SEQUENCE}{}{}
layer Net(x: [T, B, F]) {{
    gru = WavesGru[Hidden = 3]
    y: [T, B, Hidden] = gru(x)
    sum(y * reshape(wave(18), [3, 2, 3]))
}}
model net = Net
minimize net(sequence())
",
        with_waves("GruStep"),
        with_waves("Gru")
    );
    let mut expected = 0.0;
    for b in 0..2 {
        let mut h = [0.0; 3];
        for t in 0..3 {
            let input = |g: usize, j: usize| {
                (0..2).map(|i| wave(t * 4 + b * 2 + i) * wave(i * 9 + g * 3 + j)).sum::<f64>() + wave(g * 3 + j)
            };
            let before = |g: usize, j: usize| (0..3).map(|k| h[k] * wave(k * 9 + g * 3 + j)).sum::<f64>();
            let step = |j: usize| {
                let (r, z) = (sigmoid(input(0, j) + before(0, j)), sigmoid(input(1, j) + before(1, j)));
                let new = (input(2, j) + r * (before(2, j) + wave(j))).tanh();
                (1.0 - z) * new + z * h[j]
            };
            h = [step(0), step(1), step(2)];
            expected += (0..3).map(|j| h[j] * wave(t * 6 + b * 3 + j)).sum::<f64>();
        }
    }
    assert_program("Dense", &text, &[expected]);
}

#[test]
fn a_graph_convolution_sums_over_neighbours() {
    let text = "
fn nodes() {
    x: [B, N, F] = reshape(wave(12), [2, 3, 2])
    x
}
fn neighbours() = reshape(cos(positions(9)), [3, 3])
fn folded(y: [N, M]) {
    z: [N, B, F] = reshape(y, [N, 2, 2])
    transpose(z, B, N, F)
}
fn by_hand(x: [B, N, F], a: [Row, Col], w: [In, Out]) = folded(a @ reshape(transpose(x, N, B, F), [3, 4])) @ w
layer Net(x: [B, N, F]) {
    conv = GraphConv[Out = 2]
    y = conv(x, neighbours())
    sum((y - by_hand(x, neighbours(), conv.w))^2)
}
model net = Net
minimize net(nodes())
";
    assert_program("GraphConv", text, &[0.0]);
}

#[test]
fn attention_with_equal_scores_is_the_mean_and_causal_attention_sees_nothing_ahead() {
    let text = "
fn matrix(v: [F, Heads, D]) = reshape(v, [F, 4])
layer Net(x: [B, T, F]) {
    look = Attention[Heads = 2](causal: true)
    y: [B, T, F] = look(x, x)
    changed = concat(slice(x, T, 0..2), 5 + slice(x, T, 2..4), over: T)
    z: [B, T, F] = look(changed, changed)
    differ(slice(y, T, 0..2), slice(z, T, 0..2))
}
layer Even(x: [B, T, F]) {
    look = Attention
    still = full([B, T, F], 0)
    y: [B, T, F] = look(still, x)
    differ(y, still + reshape(mean(x, T) @ matrix(look.value) @ look.out, [B, 1, F]))
}
fn x() {
    x: [B, T, F] = reshape(wave(32), [2, 4, 4])
    x
}
model net = Net
model even = Even
minimize net(x())
minimize even(x())
";
    assert_program("Attention", text, &[0.0, 0.0]);
}

#[test]
fn losses_and_metrics_are_their_formulas() {
    let text = "
fn logits() {
    x: [B, C] = reshape(wave(12), [3, 4])
    x
}
fn label() = int(positions(3))
fn scene() {
    x: [B, C, H, W] = reshape(wave(24), [1, 2, 3, 4])
    x
}
fn truth() {
    y: i32[B, H, W] = int(remainder(reshape(positions(12), [1, 3, 4]), 2))
    y
}
minimize cross_entropy(logits(), label(), smoothing: 0.1)
minimize perplexity(logits(), label())
minimize top_k_accuracy(logits(), label(), k: 2)
minimize mean_iou(scene(), truth())
minimize pixel_accuracy(scene(), truth())
minimize mean_absolute_percentage_error(positions(4), 2 * positions(4))
minimize huber(3 * positions(2), full([2], 0))
";
    let row = |r: usize| (0..4).map(|c| wave(r * 4 + c)).collect::<Vec<f64>>();
    let log_share = |r: usize, c: usize| row(r)[c] - row(r).iter().map(|x| x.exp()).sum::<f64>().ln();
    let right = |r: usize| log_share(r, r);
    let spread = |r: usize| (0..4).map(|c| log_share(r, c)).sum::<f64>() / 4.0;
    let smoothed = -(0..3).map(|r| 0.9 * right(r) + 0.1 * spread(r)).sum::<f64>() / 3.0;
    let perplexity = (-(0..3).map(right).sum::<f64>() / 3.0).exp();
    let among_two = |r: usize| f64::from(row(r).iter().filter(|x| **x > row(r)[r]).count() < 2);
    let found = |i: usize| usize::from(wave(12 + i) > wave(i));
    let agree = (0..12).filter(|&i| found(i) == i % 2).count() as f64;
    let iou = |class: usize| {
        let both = (0..12).filter(|&i| found(i) == class && i % 2 == class).count() as f64;
        both / (0..12).filter(|&i| found(i) == class || i % 2 == class).count() as f64
    };
    let expected = [
        smoothed,
        perplexity,
        (0..3).map(among_two).sum::<f64>() / 3.0,
        (iou(0) + iou(1)) / 2.0,
        agree / 12.0,
        50.0,
        (3.0 - 0.5) / 2.0,
    ];
    assert_program("Dense", text, &expected);
}

#[test]
fn a_state_with_the_batch_axis_is_carried_and_written_in_evaluation() {
    let text = "
use std.layers.CarriedLstm
data table = csv(\"table.csv\")
fn total(h: [T, B, F]) = sum(last(h, T), F)
layer Net(x: [B, N]) -> [B] {
    lstm = CarriedLstm[Hidden = 3]
    steps: [T, B, F] = reshape(transpose(x, N, B), [N, B, 1])
    total(lstm(steps))
}
model net = Net
minimize mean(net(table.x)^2)
report mean(net(table.x))
train {
    epochs = 1
    batch = 5
    optimizer = sgd(lr: 0.1)
}
";
    let (model, _) = elaborated("carried", text);
    let carried: Vec<&str> = model.states.iter().filter(|s| s.carried).map(|s| &*s.path).collect();
    assert_eq!(carried, ["net.lstm.h", "net.lstm.c"]);
    let of_layers = || model.states.iter().filter(|s| !s.of_optimizer);
    assert!(of_layers().all(|s| s.update.is_some() && s.update_eval.is_some() == s.carried));
    assert_eq!(model.carried_batch(), 5);
}
