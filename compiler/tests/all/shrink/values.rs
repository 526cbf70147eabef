//! What layers compute, and what `sparsify` lines make of it, stays as tensors of the smaller program.

use spnc::shrink::{Trained, shrink};
use spnc::tir::interp::Tensor;

use super::{check, compile, program, sizes, starts, zero};

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

/// Positions that stand beside images are a tensor without the batch.
#[test]
fn positions_beside_images_are_kept() {
    let own = "layer Ramp[Out](x: [B, C, H, W]) -> [B, Out, H, W] {
    conv = LinearConv2d[Out = Out]
    ramp = reshape(positions(Out) / Out, [Out, 1, 1])
    grid = reshape(positions(H) / H, [H, 1]) + reshape(positions(W) / W, [1, W])
    relu(conv(x) + ramp) * grid
}
";
    let layers = "    first = Block[Out = 5]\n    ramp = Ramp[Out = 6]\n    fc = Dense[Out = 10]\n";
    let way = "image |> reshape([B, 1, H, W]) |> first |> ramp |> flatten |> fc";
    let text = format!("{}\n{own}", program(layers, way));
    let (model, sources) = compile(&text, vec![]);
    let mut values = starts(&model, &sources);
    zero(&mut values, "effective.net.first.norm.scale", 0, &[0, 3]);
    let smaller = check(&text, &values);
    assert_eq!(sizes(&smaller, "net.ramp.conv.w"), [6, 3, 3, 3]);
    let fixed = smaller.tensors.iter().filter(|(path, _)| path.starts_with("net.ramp.fixed"));
    let elements: usize = fixed.map(|(_, value)| value.len()).sum();
    // Six channels; height and width.
    assert_eq!(elements, 6 + 8 * 8, "{}", smaller.text);
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

/// A layer that cannot get smaller itself leaves its reader what is behind a factor: the reader takes that part.
#[test]
fn readers_take_what_a_factor_leaves() {
    let factor = "layer Factor[F](x: [...S, F]) -> [...S, F] {
    state s: [F] = 1
    x * s
}

sparsify net.first with Factor as masks
";
    let layers = "    first = Lstm[Hidden = 6]\n    fc = Dense[Out = 10]\n";
    let sequence = (layers, "last(transpose(image, H, B, W) |> first, H) |> fc", "net.first.step.u", vec![6, 4, 6]);
    let layers = "    first = Residual(Dense[Out = 64])\n    fc = Dense[Out = 10]\n";
    let sum = (layers, "image |> flatten |> first |> fc", "net.first.body.w", vec![64, 64]);
    for (layers, way, whole, size) in [sequence, sum] {
        let text = format!("{}\n{factor}", program(layers, way));
        let (model, sources) = compile(&text, vec![]);
        let mut values = starts(&model, &sources);
        let n = values["masks.net.first.s"].len();
        zero(&mut values, "masks.net.first.s", 0, &(0..n).step_by(2).collect::<Vec<_>>());
        let smaller = check(&text, &values);
        assert_eq!(sizes(&smaller, whole), size, "{}", smaller.text);
        assert_eq!(sizes(&smaller, "net.fc.w"), [n / 2, 10], "{}", smaller.text);
    }
}

const UNITS: &str = "layer Unit[Out](x: [B, In]) -> [B, Out] {
    param w: [In, Out] ~ he_normal(fan_in: In)
    live = full([Out], 1)
    (x @ w) * live
}
";

/// What a `sparsify` line makes of constants has no tensor of its own. Layers of one size have one value, which stays whole where one of them needs it.
#[test]
fn sparsified_constants_become_parameters() {
    for (out, share, number, left) in [(7, "0.5", 0.5, 4), (8, "0.5", 0.5, 8), (7, "progress", 1.0, 4)] {
        let layers = format!("    one = Unit[Out = 8]\n    two = Unit[Out = {out}]\n    fc = Dense[Out = 10]\n");
        let program = program(&layers, "image |> flatten |> one |> relu |> two |> relu |> fc");
        let share =
            format!("layer Share(w: [...S]) -> [...S] = w * {share}\n\nsparsify net.*.live with Share as shares\n");
        let text = format!("{program}\n{UNITS}\n{share}");
        let (model, sources) = compile(&text, vec![]);
        let mut values = starts(&model, &sources);
        zero(&mut values, "effective.net.fc.w", 0, &[1, 4, 6]);
        let _ = values.insert("progress".into(), Tensor::from_elem(vec![], 1.0));
        let smaller = check(&text, &values);
        assert_eq!(sizes(&smaller, "net.two.w"), [8, left]);
        for path in ["net.one.live", "net.two.live"] {
            assert!(smaller.tensors[path].iter().all(|x| *x == number), "{path}: {}", smaller.text);
        }
    }
}

#[test]
fn what_is_drawn_anew_in_every_batch_is_said() {
    let own = format!(
        "{UNITS}\nlayer Drawn(w: [...S]) -> [...S] = w * float(bernoulli(full_like(w, 0.5)))\n\nsparsify net.one.live with Drawn as drawn\n"
    );
    let layers = "    one = Unit[Out = 8]\n    fc = Dense[Out = 10]\n";
    let text = format!("{}\n{own}", program(layers, "image |> flatten |> one |> relu |> fc"));
    let (model, sources) = compile(&text, vec![]);
    let mut values = starts(&model, &sources);
    zero(&mut values, "effective.net.fc.w", 0, &[1]);
    let value = |name: &str| values.get(name).cloned().or_else(|| Some(Tensor::zeros(vec![])));
    let trained = Trained { model: &model, sources: &sources, value: &value, set: &[], seed: 1 };
    let unable = shrink(&trained, &[].into()).expect_err("it draws");
    assert_eq!(&*unable.path, "net.one");
    assert!(unable.why.contains("`live`"), "{}", unable.why);
}

/// Axes keep the names that they come with, where those of images would be in other places.
#[test]
fn transposed_axes_keep_their_names() {
    let layers = "    emb = Embedding[Rows = 17, Out = 6]\n    fc = Dense[Out = 10]\n";
    let way = "a: [T, B, W, E] = emb(int(transpose(8 * abs(image), H, B, W)))\n    fc(mean(transpose(mean(a, W), B, T, E), T))";
    let text = program(layers, way).replace("Dense,", "Dense, Embedding,");
    let (model, sources) = compile(&text, vec![]);
    let mut values = starts(&model, &sources);
    zero(&mut values, "effective.net.emb.table", 1, &[0, 3]);
    let smaller = check(&text, &values);
    assert_eq!(sizes(&smaller, "net.emb.table"), [17, 4]);
}
