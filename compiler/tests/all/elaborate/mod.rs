//! Programs to models: every example elaborates to a model that verifies, and small programs give the models that are expected.

mod layers;
mod primitives;

use std::fs;
use std::path::{Path, PathBuf};

use spnc::diag::{Diagnostic, Sources, Span};
use spnc::model::{Model, verify};
use spnc::tir::interp::{self, Tensor};
use spnc::{elaborate, lower, resolve, syntax};

use crate::common::Fake;

fn try_elaborate(name: &str, text: &str) -> Result<(Model, Sources), (Vec<Diagnostic>, Sources)> {
    let mut sources = Sources::default();
    let file = sources.add(name, text);
    let (ast, errors) = syntax::parse(file, text);
    assert!(errors.is_empty(), "{name}: {errors:?}");
    let mut read = |module: &str| Err(format!("there is no `{module}`"));
    let program = match resolve::resolve(&ast, &mut sources, &mut read, &[]) {
        Ok(program) => program,
        Err(errors) => return Err((errors, sources)),
    };
    match elaborate::elaborate(&program, &mut Fake) {
        Ok(model) => Ok((model, sources)),
        Err(errors) => Err((errors, sources)),
    }
}

fn text_at(sources: &Sources, span: Span) -> &str {
    &sources.text(span.file)[span.start as usize..span.end as usize]
}

/// The model of a program that has no mistakes.
#[track_caller]
fn elaborated(name: &str, text: &str) -> (Model, Sources) {
    match try_elaborate(name, text) {
        Ok((model, sources)) => {
            verify::verify(&model).unwrap_or_else(|errors| panic!("{name}:\n{}", errors.join("\n")));
            (model, sources)
        }
        Err((errors, sources)) => {
            let show = |d: &Diagnostic| {
                let at = d.primary.as_ref().map(|(span, label)| {
                    let (line, column) = sources.line_column(*span);
                    format!("{}:{line}:{column} `{}` {label}", sources.name(span.file), text_at(&sources, *span))
                });
                format!("{} {}\n  {at:?}\n  {:?}", d.code, d.title, d.secondary)
            };
            panic!("{name}:\n{}", errors.iter().map(show).collect::<Vec<String>>().join("\n"))
        }
    }
}

fn programs(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("its entries too").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "spnet"));
    paths.sort();
    paths
}

#[test]
fn every_example_elaborates() {
    for path in programs("../examples") {
        let text = fs::read_to_string(&path).expect("the example can be read");
        let name = path.file_name().expect("it has a name").to_string_lossy();
        let _ = elaborated(&name, &text);
    }
}

/// The terms of the objective of a program without data, at its start.
#[track_caller]
fn terms(text: &str) -> Vec<f64> {
    let (model, sources) = elaborated("test", text);
    let literal = |name: &str| -> Option<Tensor> {
        let index = (0..model.literals.len()).find(|index| *lower::interface::literal_name(*index) == *name)?;
        Some(model.literals[index].value.clone())
    };
    let seed = || Tensor::from_elem(ndarray::IxDyn(&[]), 1.0);
    let start = |name: &str| if name == "seed" { Some(seed()) } else { literal(name) };
    let tensors = interp::run(&lower::to_tir::init(&model, &sources), &start).expect("every start has its inputs");
    let clock = |name: &str| ["seed", "step", "epoch", "progress"].contains(&name).then(seed);
    let input = |name: &str| tensors.get(name).cloned().or_else(|| literal(name)).or_else(|| clock(name));
    let func = lower::to_tir::objective(&model, &sources, 1);
    let results = interp::run(&func, &input).expect("the objective has its inputs");
    (0..model.terms.len()).map(|i| results[&*format!("term.{i}")].sum()).collect()
}

/// What `load("t.npz", "w")` gives here.
fn w(row: usize, col: usize) -> f64 {
    (row * 3 + col) as f64 - 5.0
}

fn cells() -> impl Iterator<Item = (usize, usize)> {
    (0..4).flat_map(|row| (0..3).map(move |col| (row, col)))
}

/// A model whose only parameter starts as the 4 by 3 matrix `w`, and a function of views that tells any two orders apart.
const WEIGHTS: &str = r#"
layer Weights() -> [Row, Col] {
    param w: [Row: 4, Col: 3] = load("t.npz", "w")
    w
}
model net = Weights
fn weigh(v: [G, M]) = sum((sum(v^2, M) + 1) * sum(v, M)^3)
"#;

/// What `weigh` makes of groups.
fn weigh(groups: &[Vec<f64>]) -> f64 {
    let weigh = |group: &Vec<f64>| {
        let square: f64 = group.iter().map(|x| x * x).sum();
        (square + 1.0) * group.iter().sum::<f64>().powi(3)
    };
    groups.iter().map(weigh).sum()
}

#[track_caller]
fn assert_terms(program: &str, expected: &[f64]) {
    let found = terms(&format!("{WEIGHTS}{program}"));
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(close), "{found:?} is not {expected:?}");
}

fn grouped(n: usize, group: impl Fn(usize, usize) -> usize) -> Vec<Vec<f64>> {
    (0..n).map(|g| cells().filter(|&(r, c)| group(r, c) == g).map(|(r, c)| w(r, c)).collect()).collect()
}

#[test]
fn groups_hold_the_elements_that_their_axes_say() {
    assert_terms("group g = net.w by Row\nminimize weigh(g)", &[weigh(&grouped(4, |r, _| r))]);
    assert_terms("group g = net.w by Col\nminimize weigh(g)", &[weigh(&grouped(3, |_, c| c))]);
    assert_terms("group g = net.w by (Col, Row)\nminimize weigh(g)", &[weigh(&grouped(12, |r, c| r * 3 + c))]);
    assert_terms("group g = net.w by each\nminimize weigh(g)", &[weigh(&grouped(12, |r, c| r * 3 + c))]);
    assert_terms("group g = net.w by whole\nminimize weigh(g)", &[weigh(&grouped(1, |_, _| 0))]);
    assert_terms("group g = net.w by blocks(2, 3)\nminimize weigh(g)", &[weigh(&grouped(2, |r, _| r / 2))]);
    assert_terms("group g = net.w by blocks(2, 1)\nminimize weigh(g)", &[weigh(&grouped(6, |r, c| r / 2 * 3 + c))]);
}

#[test]
fn a_parameterisation_sees_its_groups_and_its_result_comes_back_in_place() {
    // Each element is multiplied by the number of its group, and by its place in the group.
    let marked = "
layer Mark[G, M](w: [G, M]) -> [G, M] {
    param at: [G] = 1
    step = one_hot(int(sum(full_like(w, 1), M)) - 1, M)
    w * (1 + sum(w * step, M))
}
fn read(w: [Row, Col]) = sum(sum(w, Row)^3)
";
    for (by, group) in [("Row", 0), ("Col", 1)] {
        let last = |r: usize, c: usize| if group == 0 { w(r, 2) } else { w(3, c) };
        let column = |c: usize| (0..4).map(|r| w(r, c) * (1.0 + last(r, c))).sum::<f64>().powi(3);
        let program = format!("{marked}group g = net.w by {by}\nsparsify g with Mark\nminimize read(net.w)");
        assert_terms(&program, &[(0..3).map(column).sum()]);
    }
}

#[test]
fn stacked_parameterisations_apply_in_order_and_raw_reads_the_free_tensor() {
    let text = "
layer Double(w: [...S]) -> [...S] = 2 * w
layer AddOne(w: [...S]) -> [...S] = w + 1
fn total(w: [...S]) = sum(w)
sparsify net.w with Double then AddOne as both
minimize total(net.w) + total(raw(net.w))
";
    let total: f64 = cells().map(|(r, c)| w(r, c)).sum();
    assert_terms(text, &[2.0 * total + 12.0, total]);
}

#[test]
fn operands_align_by_name_before_position() {
    let sum = |f: &dyn Fn(usize, usize) -> f64| cells().map(|(r, c)| f(r, c)).sum::<f64>();
    let row = |r: usize| (0..3).map(|c| w(r, c)).sum::<f64>();
    let col = |c: usize| (0..4).map(|r| w(r, c)).sum::<f64>();
    // A vector of row sums meets rows, though it would fit no other way by position.
    let by_row = "fn f(w: [R, C]) = sum(sum(w, C) * w * w)\nminimize f(net.w)";
    assert_terms(by_row, &[sum(&|r, c| row(r) * w(r, c) * w(r, c))]);
    let both = "fn f(w: [R, C]) = sum((w - sum(w, C) - sum(w, R))^2)\nminimize f(net.w)";
    assert_terms(both, &[sum(&|r, c| (w(r, c) - row(r) - col(c)).powi(2))]);
    // The same names in another order are turned.
    let turned = "fn f(w: [R, C]) = sum(w * transpose(2 * w + 1, C, R))\nminimize f(net.w)";
    assert_terms(turned, &[sum(&|r, c| w(r, c) * (2.0 * w(r, c) + 1.0))]);
    // Unnamed axes align from the right.
    let unnamed = "fn g(w: [R, C]) = reshape(sum(w, R), [3])\nfn f(w: [R, C]) = sum(w * g(w) * w)\nminimize f(net.w)";
    assert_terms(unnamed, &[sum(&|r, c| w(r, c) * w(r, c) * col(c))]);
}

#[test]
fn names_come_back_from_calls() {
    let row = |r: usize| (0..3).map(|c| w(r, c)).sum::<f64>();
    let expected = (0..4).map(|r| row(r).powi(2)).sum::<f64>();
    let text = "
fn squared_sums(x: [A, B]) -> [A] = sum(x, B)^2
fn same(x: [...S, Z]) -> [...S, Z] = x
fn f(w: [R, C]) = sum(sum(squared_sums(same(w)), R))
minimize f(net.w)
";
    assert_terms(text, &[expected]);
}

#[test]
fn reductions_and_indices_have_their_plain_meaning() {
    let mean = |f: &dyn Fn(usize, usize) -> f64| cells().map(|(r, c)| f(r, c)).sum::<f64>() / 12.0;
    let m = mean(&|r, c| w(r, c));
    let var = mean(&|r, c| (w(r, c) - m).powi(2));
    assert_terms("minimize var(net.w)\nminimize std(net.w)\nminimize mean(net.w)", &[var, var.sqrt(), m]);
    // The largest of each row is in the last column, of each column in the last row.
    let text = "
fn f(w: [R, C]) = sum(float(argmax(-abs(w), C)) * sum(w, C))
fn g(w: [R, C]) = sum(one_hot(argmax(w, C), C) * w)
fn h(w: [R, C]) = sum(max(w, R)) + min(w) + max(2, 3) + sum(min(w, 0))
minimize f(net.w) + g(net.w) + h(net.w) + quantile(net.w, 50%)
";
    let nearest = |r: usize| (0..3).min_by(|&a, &b| w(r, a).abs().total_cmp(&w(r, b).abs())).unwrap_or(0) as f64;
    let row = |r: usize| (0..3).map(|c| w(r, c)).sum::<f64>();
    let f = (0..4).map(|r| nearest(r) * row(r)).sum();
    let g = (0..4).map(|r| w(r, 2)).sum();
    let negative: f64 = cells().map(|(r, c)| w(r, c).min(0.0)).sum();
    let h = (0..3).map(|c| w(3, c)).sum::<f64>() + w(0, 0) + 3.0 + negative;
    assert_terms(text, &[f, g, h, 0.0]);
}

#[test]
fn products_contract_by_size_and_by_name() {
    let gram: f64 =
        (0..3).flat_map(|a| (0..3).map(move |b| (0..4).map(|r| w(r, a) * w(r, b)).sum::<f64>().powi(3))).sum();
    let text = "
fn gram(w: [R, C]) = sum((transpose(w, C, R) @ w)^3)
fn named(w: [R, C]) {
    v: [R, D] = reshape(w, [R, 3])
    sum(sum(reshape(w, [R, C, 1]) * reshape(v, [R, 1, D]), R)^3)
}
minimize gram(net.w) + named(net.w)
";
    assert_terms(text, &[gram, gram]);
}

#[test]
fn what_is_known_when_compiling_is_decided_then() {
    let text = "
fn power(x, n) = if n == 0 { 1 } else { x * power(x, n - 1) }
fn span(r) = r.end - r.start
fn choose(x) = if training { x } else { 0 }
fn count(w: [R, C]) = R * C + R
minimize power(2, 10) + span(2..12) + choose(3) + count(net.w)
";
    assert_terms(text, &[1024.0, 10.0, 3.0, 16.0]);
}

#[test]
fn a_set_is_summed_over_and_combined_otherwise_on_request() {
    let text = "
layer Two() {
    first = Weights
    second = Weights
    first() + 2 * second()
}
model two = Two
group all = two.*.w by Row
fn total(w: [...S]) = sum(w)
minimize total(all) + (mean over all of total) + (max over all of total) + total(two.{first, second}.w)
";
    let total: f64 = cells().map(|(r, c)| w(r, c)).sum();
    assert_terms(text, &[2.0 * total, total, total, 2.0 * total]);
}

#[test]
fn a_budget_counts_as_the_manual_says() {
    let text = "
layer Half(w: [...S]) -> [...S] {
    measure density = 0.5
    w
}
layer Net(x: [B, N]) -> [B, 2] {
    param v: [N, 4] ~ normal(0, 1)
    param u: [4, 2] ~ normal(0, 1)
    param b: [2] = 0
    x @ v @ u + b
}
data table = csv(\"table.csv\")
model net = Net
sparsify net.v with Half
budget params(net) <= 90% by report_share(1)
budget flops(net) <= 90% by report_share(1)
fn report_share(used, limit, weight) = weight * used + limit
minimize mean(net(table.x))
";
    let (model, _) = elaborated("budget", text);
    let weights = |i: usize| model.budgets[i].weights.iter().map(|(_, weight)| *weight).collect::<Vec<u64>>();
    assert_eq!(weights(0), [32, 8, 2]);
    assert_eq!(weights(1), [2 * 8 * 4, 2 * 4 * 2]);
    assert_eq!(model.instances[0].flops, 2 * 8 * 4 + 2 * 4 * 2);
    let texts: Vec<&str> = model.terms.iter().map(|term| term.text.as_str()).collect();
    assert_eq!(texts, ["mean(net(table.x))", "budget params(net) <= 90%", "budget flops(net) <= 90%"]);
}

/// A program that uses most of the language, for what follows.
const BROAD: &str = r#"
use std.layers.{Dense, Dropout, LayerNorm, flatten}
use std.norms.{l1, l21, pnorm}
use std.sparse.{AdaptiveThreshold, GroupThreshold, one_sided}
use std.prox.prox_l1
use std.schedules.{cosine, cubic_ramp}
const width = 6
data digits = digits() { image = image / 16 }
fn power(x, n) = if n == 0 { 1 } else { x * power(x, n - 1) }
layer Block[Out](rate = 0.1)(x: [B, N]) -> [B, Out] {
    fc = Dense[Out = Out]
    norm = LayerNorm
    drop = Dropout(rate)
    state seen: [Out] = 0
    h: [B, Out] = x |> fc |> norm |> relu |> drop
    seen <- lerp(mean(h, B), seen, 0.9)
    measure alive = mean(float(h > 0))
    h
}
layer Net(image: [B, H, W]) -> [B, 10] {
    blocks = chain(2, Block[Out = width](rate: 0.2))
    last = Dense[Out = 10]
    (a, b) = (flatten(image), 2)
    logits = a |> blocks |> last
    logits * b with gradient of logits
}
model net = Net
group neurons = net.blocks.*.fc.w by In
group tiles = net.last.w by blocks(2, 5)
sparsify neurons with GroupThreshold(start: -3)
sparsify net.last.w with AdaptiveThreshold(counted: true) as mask
proximal net.last.b with prox_l1(1e-3)
budget flops(net) <= 99% by one_sided(10)
minimize cross_entropy(net(digits.image), digits.label) + 1e-3 * l21(neurons)
       + power(0.1, 3) * pnorm(tiles, p: 0.5) + cubic_ramp(0, 1e-3, epochs: 1..3) * l1(raw(net.last.w)) + 0 * mask.b^2
report accuracy(net(digits.image), digits.label)
report each over neurons of l1
train {
    epochs = 2
    batch = 8
    optimizer = adam(lr: cosine(0.1))
    optimizer for mask.b = sgd(lr: 0.01, momentum: 0.9)
}
"#;

#[test]
fn the_broad_program_prints_as_it_is_known_to() {
    let text = BROAD.replace("budget flops(net) <= 99% by one_sided(10)\n", "");
    let (model, _) = elaborated("broad", &text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/model/broad.model");
    expect_test::expect_file![path].assert_eq(&spnc::model::print(&model));
}

#[test]
fn no_damage_to_a_program_makes_elaboration_panic() {
    let words: Vec<&str> = BROAD.split_inclusive([' ', '(', ')', ',', '.', '[', ']', '\n']).collect();
    for damaged in (1..words.len()).step_by(17) {
        for kind in 0..3 {
            let mut words = words.clone();
            match kind {
                0 => words[damaged] = "",
                1 => words.swap(damaged - 1, damaged),
                _ => words[damaged] = words[(damaged * 7) % words.len()],
            }
            survives(&words.concat());
        }
    }
}

/// Elaborates a program if it parses; whatever it says, it must say it by diagnostics.
fn survives(text: &str) {
    let mut sources = Sources::default();
    let file = sources.add("damaged", text);
    let (ast, errors) = syntax::parse(file, text);
    let mut read = |module: &str| Err(format!("there is no `{module}`"));
    if errors.is_empty()
        && let Ok(program) = resolve::resolve(&ast, &mut sources, &mut read, &[])
    {
        match elaborate::elaborate(&program, &mut Fake) {
            Ok(model) => verify::verify(&model).unwrap_or_else(|errors| panic!("{text}\n{}", errors.join("\n"))),
            Err(errors) => assert!(!errors.is_empty(), "no model, no mistake:\n{text}"),
        }
    }
}

#[test]
fn paths_into_instances_mean_what_this_program_computes() {
    let text = "
layer Double(w: [...S]) -> [...S] {
    twice = 2 * w
    measure density = 0.5
    twice
}
layer Square() -> [Row, Col] {
    param w: [Row: 4, Col: 3] = load(\"t.npz\", \"w\")
    hidden = w * w
    measure size = sum(abs(w))
    if training { hidden } else { w }
}
model sq = Square
sparsify sq.w with Double as both
group hidden = sq.hidden by Row
group twice = both.twice by whole
fn total(w: [...S]) = sum(w)
minimize total(sq.hidden) + weigh(hidden) + sq.size + both.density + weigh(twice) + 0 * sum(sq())
";
    let double = |groups: Vec<Vec<f64>>, f: &dyn Fn(f64) -> f64| -> Vec<Vec<f64>> {
        groups.into_iter().map(|group| group.into_iter().map(f).collect()).collect()
    };
    let hidden = double(grouped(4, |r, _| r), &|x| 4.0 * x * x);
    let twice = double(grouped(1, |_, _| 0), &|x| 2.0 * x);
    let total = hidden.iter().flatten().sum();
    let size = twice.iter().flatten().map(|x| x.abs()).sum();
    assert_terms(text, &[total, weigh(&hidden), size, 0.5, weigh(&twice), 0.0]);
}

#[test]
fn members_of_a_chain_and_settings_that_are_layers_have_paths() {
    let text = "
layer Shift(start = 1)(x: [...S]) -> [...S] {
    param amount: [] = start
    x + amount
}
layer Twice(inner)(x: [...S]) -> [...S] = inner(inner(x))
layer Net() -> [Row, Col] {
    param w: [Row: 4, Col: 3] = load(\"t.npz\", \"w\")
    shifts = chain(2, Shift(start: 3))
    again = Twice(inner: Shift(start: 10))
    w |> shifts |> again
}
model net2 = Net
minimize sum(net2()) + net2.shifts.0.amount + net2.shifts.1.amount + net2.again.inner.amount
";
    let total: f64 = cells().map(|(r, c)| w(r, c) + 26.0).sum();
    assert_terms(text, &[total, 3.0, 3.0, 10.0]);
}

#[test]
fn starts_come_from_files_under_their_paths_or_under_the_names_that_are_given() {
    let program = |names: &str, file: &str| {
        format!(
            "use std.layers.Dense\ndata d = csv(\"c\")\nmodel net = Dense[Out = 3]\nminimize squared(sum(net(d.x)), sum(d.y))\n\
             init net from \"{file}\" {names}\n"
        )
    };
    let starts = |text: &str| {
        let (model, sources) = elaborated("test", text);
        let literal = |name: &str| -> Option<Tensor> {
            let index = (0..model.literals.len()).find(|index| *lower::interface::literal_name(*index) == *name)?;
            Some(model.literals[index].value.clone())
        };
        interp::run(&lower::to_tir::init(&model, &sources), &literal).expect("no start is drawn")
    };
    let named = "{ w = \"layers.0.weight\", b = \"layers.0.bias\" }";
    for (names, file) in [(named, "dense.safetensors"), ("{ unused = \"head.*\" }", "extra.safetensors")] {
        let values = starts(&program(names, file));
        assert_eq!(values["net.w"][[2, 1]], 5.0);
        assert_eq!(values["net.b"].iter().copied().collect::<Vec<f64>>(), [1.0, 2.0, 3.0]);
    }
    let only_w = program("{ w = \"layers.0.weight\", unused = \"*bias\" }", "dense.safetensors");
    let (model, _) = elaborated("test", &only_w.replace("init net from", "init net.w from"));
    assert_eq!(model.literals.len(), 1);
}

#[test]
fn sets_can_be_averaged_compared_and_listed_in_the_objective() {
    let program = |objective: &str| {
        format!(
            "use std.norms.l1\nlayer Two() -> [] {{\n    param a: [2] = positions(2)\n    param b: [3] = positions(3)\n    sum(a) + sum(b)\n}}\n\
             model net = Two\ngroup weights = net.{{a, b}} by whole\ngroup both = (net.a by each, net.b by whole)\nminimize {objective}\n"
        )
    };
    for (objective, expected) in [
        ("l1(weights)", vec![4.0]),
        ("mean over weights of l1", vec![2.0]),
        ("max over weights of l1", vec![3.0]),
        ("each over weights of l1", vec![1.0, 3.0]),
        ("l1(both)", vec![4.0]),
        ("l1(join(net.a by whole, net.b by whole))", vec![4.0]),
        ("{\n    sum = l1(weights)\n    sum^2\n}", vec![16.0]),
    ] {
        assert_eq!(terms(&program(objective)), expected, "{objective}");
    }
}

/// A function of a vector takes all numbers of a set, where one of a tensor is summed over a set's members.
#[test]
fn a_set_of_numbers_is_a_vector_to_a_function_of_one() {
    let program = |objective: &str| {
        format!(
            "use std.sparse.{{average, weighted}}\n\
             layer Two() -> [] {{\n    param a: [] = 2\n    param b: [] = 6\n    param c: [3] = 1\n    a + b + sum(c)\n}}\n\
             fn largest(x: [N], least = 0) = max(max(x), least)\nfn size(x: [...S]) = count(x)\n\
             model net = Two\ngroup numbers = net.{{a, b}} by whole\nminimize {objective}\n"
        )
    };
    for (objective, expected) in [
        ("average(net.{a, b})", 4.0),
        ("average(each over net.{a, b} of abs)", 4.0),
        ("average(each over net.{a, c} of size)", 2.0),
        ("weighted(net.{a, b}, each over net.{a, c} of size)", 5.0),
        ("weighted(size: net.{a, b}, density: each over net.{a, c} of size)", 2.5),
        ("largest(net.{a, b}, least: 7)", 7.0),
    ] {
        assert_eq!(terms(&program(objective)), [expected], "{objective}");
    }
}

const PLANNED: &str = r#"
use std.layers.{Dense, flatten}
use std.sparse.{Reweighted, MagnitudeMask}
data digits = digits()
layer Net(image: [B, H, W]) -> [B, 10] {
    fc1 = Dense[Out = 6]
    fc2 = Dense[Out = 10]
    state seen: [] = 0
    every 50 steps { seen <- seen + 1 }
    image |> flatten |> fc1 |> relu |> fc2
}
model net = Net
group weights = net.*.w by each
group units = join(net.fc1.w by Out, net.fc1.b by Out, net.fc2.w by In)
sparsify weights with Reweighted then MagnitudeMask as rw
minimize cross_entropy(net(digits.image / 16), digits.label)
train {
    batch = 64
    optimizer = sgd(lr: 0.1)
    phase dense { epochs = 20 }
    repeat round in 1..2 {
        fire reweight(tau: 0.1 * 0.5^round)
        phase { epochs = 10, fresh = true }
    }
    for w in weights {
        fire prune(0.7) on w
        phase tune { epochs = 2, lr = 0.01, every epoch { fire prune(0.1) on w } }
    }
}
"#;

#[test]
fn a_plan_prints_its_stages_and_what_events_write() {
    let (model, _) = elaborated("planned", PLANNED);
    let printed = spnc::model::print(&model);
    let plan = printed.split_once("\nplan\n").expect("there is a plan").1;
    expect_test::expect_file!["../../golden/model/planned.plan"].assert_eq(plan);
}
