//! What plans, events and phases do, against the arithmetic written out: interpreted and compiled.

use std::collections::BTreeMap;

use crate::support::Evaluator::{Interpreter, Jit};
use crate::support::{Evaluator, Trained, train_text};

/// Runs `check` on a program trained by both evaluators, and makes sure that they agree.
#[track_caller]
fn trained(text: &str, check: impl Fn(&Trained)) {
    let [interpreted, compiled] = [Interpreter, Jit].map(|evaluator| train_text(text, &[], None, evaluator));
    for (name, value) in &interpreted.lasting {
        close(value.iter(), compiled.lasting[name].iter(), name);
    }
    check(&interpreted);
}

#[track_caller]
fn close<'a>(a: impl Iterator<Item = &'a f64>, b: impl Iterator<Item = &'a f64>, what: &str) {
    let (a, b): (Vec<f64>, Vec<f64>) = (a.copied().collect(), b.copied().collect());
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
    assert!(a.len() == b.len() && a.iter().zip(&b).all(near), "{what}: {a:?} is not {b:?}");
}

#[track_caller]
fn has(trained: &Trained, name: &str, expected: &[f64]) {
    let value = trained.lasting.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", trained.lasting.keys()));
    close(value.iter(), expected.iter(), name);
}

/// A layer of four numbers that starts at 1, 2, 3, 4, with these lines behind the parameter; its objective is ½ Σ (w − 3)².
fn four(lines: &str, rest: &str) -> String {
    format!(
        "layer Four() -> [N] {{\n    param w: [N: 4] = positions(4) + 1\n    {lines}\n    w\n}}\n\
         model net = Four\nminimize 0.5 * sum((net() - 3)^2)\n{rest}\n"
    )
}

fn steps(w: [f64; 4], n: usize, rate: f64) -> [f64; 4] {
    (0..n).fold(w, |w, _| w.map(|w| w - rate * (w - 3.0)))
}

const START: [f64; 4] = [1.0, 2.0, 3.0, 4.0];

#[test]
fn a_step_goes_forward_backward_then_optimizer_proximal_and_writes() {
    let text = four(
        "state seen: [N: 4] = 0\n    state after: [N: 4] = 0\n    state epochs: [] = 0\n    seen <- w\n\
         \x20   every 2 steps { after <- w }\n    every epoch { epochs <- epochs + 1 }",
        "use std.prox.prox_l1\nproximal net.w with prox_l1(0.5)\ntrain { epochs = 3, optimizer = sgd(lr: 0.1) }",
    );
    let prox = |w: f64| w.signum() * (w.abs() - 0.05).max(0.0);
    let mut w = [START; 4];
    for step in 0..3 {
        w[step + 1] = w[step].map(|w| prox(w - 0.1 * (w - 3.0)));
    }
    trained(&text, |run| {
        has(run, "net.w", &w[3]);
        // Writes of a step see its forward pass; those of `every` see the new parameters, after step 2 of 3.
        has(run, "net.seen", &w[2]);
        has(run, "net.after", &w[2]);
        has(run, "net.epochs", &[3.0]);
    });
}

#[test]
fn writes_of_one_step_or_event_read_what_was_before_all_of_them() {
    let text = four(
        "state a: [] = 1\n    state b: [] = 2\n    a <- b\n    b <- a\n\
         \x20   on swap { raw(w) <- full_like(w, a), a <- b, b <- a }",
        "train {\n    optimizer = sgd(lr: 0.1)\n    phase { epochs = 1 }\n    fire swap\n}",
    );
    trained(&text, |run| {
        has(run, "net.w", &[2.0; 4]);
        has(run, "net.a", &[1.0]);
        has(run, "net.b", &[2.0]);
    });
}

#[test]
fn phases_have_rates_clocks_and_optimizers_of_their_own() {
    let text = four(
        "",
        "fn falling(at = progress) = 0.4 - 0.2 * at\n\
         train {\n    optimizer = sgd(lr: falling())\n    phase { epochs = 2 }\n    phase { epochs = 2, lr = 0.1 }\n\
         \x20   repeat round in 1..2 { phase { epochs = 1, lr = 0.05 * round } }\n\
         \x20   phase { epochs = 7, optimizer = frozen }\n    phase { epochs = 2 }\n}",
    );
    let rates = [0.4, 0.3, 0.1, 0.1, 0.05, 0.1, 0.4, 0.3];
    let w = rates.iter().fold(START, |w, rate| steps(w, 1, *rate));
    trained(&text, |run| has(run, "net.w", &w));
}

#[test]
fn optimizer_states_are_kept_from_phase_to_phase_unless_fresh_is_asked_for() {
    let plan = |fresh: bool| {
        four(
            "",
            &format!(
                "train {{\n    optimizer = sgd(lr: 0.1, momentum: 0.5)\n    phase {{ epochs = 2 }}\n\
                 \x20   phase {{ epochs = 1, fresh = {fresh} }}\n}}"
            ),
        )
    };
    for fresh in [false, true] {
        let (mut w, mut v) = (START, [0.0; 4]);
        for step in 0..3 {
            if step == 2 && fresh {
                v = [0.0; 4];
            }
            for i in 0..4 {
                v[i] = 0.5 * v[i] + (w[i] - 3.0);
                w[i] -= 0.1 * v[i];
            }
        }
        trained(&plan(fresh), |run| {
            has(run, "net.w", &w);
            has(run, "optimizer.net.w.velocity", &v);
        });
    }
}

#[test]
fn gradients_are_clipped_by_their_norm_over_all_that_is_trained() {
    let text = "layer Three() -> [] {\n    param a: [] = 3\n    param b: [] = 4\n    param c: [] = 12\n\
                \x20   0.5 * a^2 + 0.5 * b^2 + 0.5 * c^2\n}\nmodel net = Three\nminimize net()\n\
                train { epochs = 1, clip = 1, optimizer = sgd(lr: 1), optimizer for net.c = frozen }\n";
    trained(text, |run| {
        has(run, "net.a", &[3.0 - 0.6]);
        has(run, "net.b", &[4.0 - 0.8]);
        has(run, "net.c", &[12.0]);
    });
    trained(&text.replace("clip = 1,", "clip = 100,"), |run| has(run, "net.a", &[0.0]));
}

#[test]
fn events_reach_the_tensors_that_they_are_fired_on() {
    let text = "use std.sparse.MagnitudeMask\nlayer Two() -> [] {\n    param a: [4] = positions(4) + 1\n\
                \x20   param b: [4] = positions(4) + 1\n    sum(a) + sum(b)\n}\nmodel net = Two\n\
                group weights = net.{a, b} by whole\nsparsify weights with MagnitudeMask as mask\n\
                minimize 0 * net()\n\
                train {\n    epochs = 1\n    optimizer = sgd(lr: 1)\n    fire keep(0.75) on net.a\n\
                \x20   for w in weights { fire keep(0.5) on w, phase { } }\n    fire keep(0.25) on mask.net.b\n}\n";
    let text = text.replace("mask.net.b", "net.b");
    trained(&text, |run| {
        has(run, "mask.net.a.mask", &[0.0, 0.0, 1.0, 1.0]);
        has(run, "mask.net.b.mask", &[0.0, 0.0, 0.0, 1.0]);
    });
}

#[test]
fn groups_with_the_longest_weights_are_kept() {
    let text = "use std.sparse.GroupMask\nlayer Table() -> [] {\n    param w: [Row: 4, 2] = reshape(positions(8), [4, 2])\n    sum(w)\n}\n\
                model net = Table\ngroup rows = net.w by Row\nsparsify rows with GroupMask as mask\nminimize 0 * net()\n\
                train {\n    epochs = 1\n    optimizer = sgd(lr: 1)\n    fire keep(0.75)\n    phase { }\n    fire keep(0.25)\n}\n";
    trained(text, |run| has(run, "mask.net.w.mask", &[0.0, 0.0, 0.0, 1.0]));
}

#[test]
fn hysteresis_keeps_masks_between_its_bounds() {
    // mean |w| = 2.5; with quality 0 weights below 2.25 go and come back from 2.75 on.
    let text = four(
        "",
        "use std.sparse.HysteresisMask\nsparsify net.w with HysteresisMask(quality: 0) as mask\n\
         train { epochs = 2, optimizer = sgd(lr: 0.5) }",
    );
    // Step 1 sees w (all kept) and cuts 1 and 2; step 2 sees w * mask, and its gradient reaches all.
    let first = steps(START, 1, 0.5);
    let masked = [0.0, 0.0, first[2], first[3]];
    let second: Vec<f64> = first.iter().zip(masked).map(|(w, seen)| w - 0.5 * (seen - 3.0)).collect();
    // |first| = [2, 2.5, 3, 3.5], mean 2.75: bounds 2.475 and 3.025.
    trained(&text, |run| {
        has(run, "net.w", &second);
        has(run, "mask.net.w.mask", &[0.0, 0.0, 1.0, 1.0]);
    });
    let kept = |quality: &str| text.replace("quality: 0", quality);
    trained(&kept("quality: 0, band: 2"), |run| has(run, "mask.net.w.mask", &[1.0; 4]));
}

#[test]
fn reweighting_rounds_refresh_the_weights_and_keep_the_product() {
    for (weigh, omega) in [
        ("reweight_l1", (|theta: f64, tau: f64| theta.abs() + tau) as fn(f64, f64) -> f64),
        ("reweight_l2", |theta, tau| (theta * theta + tau).sqrt()),
        ("half", |theta, tau| theta.abs().powf(1.5) + tau),
    ] {
        let text = four(
            "",
            &format!(
                "use std.sparse.{{Reweighted, reweight_l1, reweight_l2, reweight_focuss}}\n\
                 fn half(theta, tau) = reweight_focuss(theta, tau, 0.5)\n\
                 sparsify net.w with Reweighted(weigh: {weigh}) as rw\n\
                 train {{\n    optimizer = sgd(lr: 0.01)\n    repeat round in 1..3 {{\n        phase {{ epochs = 2 }}\n\
                 \x20       fire reweight(tau: 0.1 * 0.5^round)\n    }}\n}}"
            ),
        );
        let (mut q, mut weights) = (START, [1.0; 4]);
        for round in 1..=3 {
            for i in 0..4 {
                for _ in 0..2 {
                    q[i] -= 0.01 * (q[i] * weights[i] - 3.0) * weights[i];
                }
                let theta = q[i] * weights[i];
                weights[i] = omega(theta, 0.1 * 0.5_f64.powi(round));
                q[i] = theta / weights[i];
            }
        }
        trained(&text, |run| {
            has(run, "net.w", &q);
            has(run, "rw.net.w.omega", &weights);
        });
    }
}

#[test]
fn the_sharpness_of_masks_is_refreshed_after_epochs_or_for_each_mask() {
    let text = |own: &str| {
        four(
            "",
            &format!(
                "use std.sparse.StructuredMask\ngroup cells = net.w by each\n\
                 sparsify cells with StructuredMask(gamma: 0.5, power: 0.7, own: {own}, refresh: 2) as mask\n\
                 minimize 0.01 * sum(mask.soft)\ntrain {{ epochs = 5, optimizer = sgd(lr: 0.01) }}"
            ),
        )
    };
    let sharpness = |n: f64| (1.0 + 0.5 * n).powf(0.7);
    trained(&text("false"), |run| has(run, "mask.net.w.beta", &[sharpness(5.0); 4]));
    // Drawn counts after step 4 are those that β saw; it was not refreshed after step 5.
    trained(&text("true"), |run| {
        let (draws, beta) = (&run.lasting["mask.net.w.draws"], &run.lasting["mask.net.w.beta"]);
        for (draws, beta) in draws.iter().zip(beta) {
            let possible = [*draws, draws - 1.0].map(sharpness);
            assert!(possible.iter().any(|x| (x - beta).abs() < 1e-4), "{beta} after {draws} draws");
        }
    });
}

#[test]
fn joined_groups_die_together() {
    let text = "use std.norms.l21\nuse std.sparse.GroupThreshold\nlayer Net() -> [] {\n    param a: [In: 3, Out: 2] = 0.1 * (reshape(positions(6), [In: 3, Out: 2]) + 1)\n\
                \x20   param b: [Out: 2] = positions(2) + 1\n    param c: [In: 4, Next: 3] = 0.01 * (reshape(positions(12), [In: 4, Next: 3]) + 1)\n\
                \x20   sum(a) + sum(b) + sum(c)\n}\nmodel net = Net\n\
                group units = join(net.a by Out, net.b by Out, net.c by In / 2)\n\
                sparsify units with GroupThreshold(start: 0.25) as gate\nminimize net() + l21(raw(units))\n\
                report norms = l21(raw(units))\ntrain { epochs = 1, optimizer = frozen }\n";
    let a = |i: usize, o: usize| 0.1 * (2 * i + o + 1) as f64;
    let c = |i: usize, n: usize| 0.01 * (3 * i + n + 1) as f64;
    let norm = |unit: usize| {
        let of_a: f64 = (0..3).map(|i| a(i, unit).powi(2)).sum();
        let of_c: f64 = (0..2).flat_map(|i| (0..3).map(move |n| c(2 * unit + i, n).powi(2))).sum();
        (of_a + ((unit + 1) as f64).powi(2) + of_c).sqrt()
    };
    let factor = [0, 1].map(|unit| (1.0 - 0.25_f64.exp() / norm(unit)).max(0.0));
    assert!(factor[0] == 0.0 && factor[1] > 0.0, "one unit dies, the other lives: {factor:?}");
    trained(text, |run| {
        let of_a: Vec<f64> = (0..6).map(|i| a(i / 2, i % 2) * factor[i % 2]).collect();
        let of_b: Vec<f64> = (0..2).map(|o| (o + 1) as f64 * factor[o]).collect();
        let of_c: Vec<f64> = (0..12).map(|i| c(i / 3, i % 3) * factor[i / 6]).collect();
        for (name, expected) in [("net.a", of_a), ("net.b", of_b), ("net.c", of_c)] {
            close(run.tensors[name].iter(), expected.iter(), name);
        }
        close([run.outcome.metrics["norms"]].iter(), [norm(0) + norm(1)].iter(), "norms");
    });
}

#[test]
fn an_element_in_two_groups_is_multiplied_by_both_factors() {
    let text = "use std.sparse.GroupThreshold\nlayer Net() -> [] {\n    param w: [Row: 2, Col: 2] = reshape(positions(4), [Row: 2, Col: 2])\n    sum(w)\n}\n\
                model net = Net\ngroup units = join(net.w by Row, net.w by Col)\n\
                sparsify units with GroupThreshold(start: 0) as gate\nminimize net()\ntrain { epochs = 1, optimizer = frozen }\n";
    let w = [0.0, 1.0, 2.0, 3.0_f64];
    let norm = |unit: usize| {
        let (row, col) = ([w[2 * unit], w[2 * unit + 1]], [w[unit], w[2 + unit]]);
        row.iter().chain(&col).map(|x| x * x).sum::<f64>().sqrt()
    };
    let factor = [0, 1].map(|unit| (1.0 - 1.0 / norm(unit)).max(0.0));
    let expected: Vec<f64> = (0..4).map(|i| w[i] * factor[i / 2] * factor[i % 2]).collect();
    trained(text, |run| close(run.tensors["net.w"].iter(), expected.iter(), "net.w"));
}

#[test]
fn proximal_operators_see_joined_groups() {
    let text = "use std.prox.prox_l21\nlayer Net() -> [] {\n    param a: [Out: 2] = positions(2) + 3\n    param b: [Out: 2] = 4 * positions(2) + 4\n    0 * (sum(a) + sum(b))\n}\n\
                model net = Net\ngroup units = join(net.a by Out, net.b by Out)\nproximal units with prox_l21(10)\nminimize net()\n\
                train { epochs = 1, optimizer = sgd(lr: 0.1) }\n";
    let shrunk = |a: f64, b: f64| (1.0 - 1.0 / (a * a + b * b).sqrt()) * a;
    trained(text, |run| {
        has(run, "net.a", &[shrunk(3.0, 4.0), shrunk(4.0, 8.0)]);
        has(run, "net.b", &[shrunk(4.0, 3.0), shrunk(8.0, 4.0)]);
    });
}

#[test]
fn a_ramp_of_the_objective_follows_the_epochs_of_the_run() {
    let text = four(
        "",
        "use std.schedules.cubic_ramp\nminimize cubic_ramp(0, 2, epochs: 1..3) * sum(net.w)\n\
         train {\n    optimizer = sgd(lr: 0.1)\n    phase { epochs = 2 }\n    phase { epochs = 3 }\n}",
    );
    let ramp = |t: f64| 2.0 - 2.0 * (1.0 - ((t - 1.0) / 2.0).clamp(0.0, 1.0)).powi(3);
    let w = (0..5).fold(START, |w, step| w.map(|w| w - 0.1 * (w - 3.0 + ramp(f64::from(step)))));
    trained(&text, |run| has(run, "net.w", &w));
}

#[test]
fn stacked_parameterisations_work_one_after_the_other() {
    let text = four(
        "",
        "use std.sparse.{Reweighted, MagnitudeMask}\n\
         sparsify net.w with Reweighted then MagnitudeMask as stack\n\
         train {\n    epochs = 0\n    optimizer = sgd(lr: 0.1)\n    fire reweight(0.5)\n    fire keep(0.5)\n    phase { }\n}",
    );
    trained(&text, |run| {
        let theta: Vec<f64> = START.iter().map(|w| w.abs() + 0.5).collect();
        has(run, "stack.net.w.omega", &theta);
        has(run, "stack.2.net.w.mask", &[0.0, 0.0, 1.0, 1.0]);
        close(run.tensors["net.w"].iter(), [0.0, 0.0, 3.0, 4.0].iter(), "net.w");
    });
}

#[test]
fn values_inside_of_layers_and_their_results_can_be_made_sparse() {
    let text = "use std.sparse.SignedCompetition\nuse std.norms.l1\nlayer Inner() -> [N] {\n    param w: [N: 4] = positions(4) + 1\n    strength = 2 * w\n    strength\n}\n\
                layer Double(x: [N]) -> [N] = 2 * x\nlayer Net() -> [N] {\n    inner = Inner\n    double = Double\n    double(inner())\n}\nmodel net = Net\n\
                group wires = net.inner.strength by whole\nsparsify wires with SignedCompetition as competition\n\
                sparsify net.double with Halved\nlayer Halved(x: [...S]) -> [...S] = x / 2\n\
                minimize sum(net())\nreport total = sum(net())\nreport l1(wires)\nreport betas = sum(competition.beta)\n\
                train { epochs = 1, optimizer = frozen }\n";
    // σ(β) = 1/(n(n + 1)) = 1/20 of the sum of all strengths.
    let strengths: Vec<f64> = START.iter().map(|w| 2.0 * w).collect();
    let bar = strengths.iter().sum::<f64>() / 20.0;
    let kept: f64 = strengths.iter().map(|s| (s - bar).max(0.0)).sum();
    trained(text, |run| {
        let expected = BTreeMap::from([("total", kept), ("l1(wires)", kept), ("betas", -(19.0_f64.ln()))]);
        for (name, value) in expected {
            close([run.outcome.metrics[name]].iter(), [value].iter(), name);
        }
    });
}

#[test]
fn every_evaluator_draws_alike_in_events() {
    let text = four(
        "on shake(size) { raw(w) <- w + normal(full_like(w, 0), size) }",
        "train {\n    optimizer = sgd(lr: 0.1)\n    repeat round in 1..3 { fire shake(0.1 * round), phase { epochs = 1 } }\n}",
    );
    let runs: Vec<Trained> =
        [Interpreter, Jit].map(|evaluator: Evaluator| train_text(&text, &[], None, evaluator)).into();
    close(runs[0].lasting["net.w"].iter(), runs[1].lasting["net.w"].iter(), "net.w");
    let still = steps(START, 3, 0.1);
    assert!(runs[0].lasting["net.w"].iter().zip(still).all(|(shaken, still)| (shaken - still).abs() > 1e-6));
}

#[test]
fn one_threshold_over_all_scales_cuts_the_smallest_of_any_layer() {
    let text = "use std.sparse.MagnitudeMask\nlayer Scale[N](x: [N]) -> [N] {\n    param scale: [N] = x\n    scale\n}\n\
                layer Net() -> [] {\n    a = Scale\n    b = Scale\n    sum(a(positions(4))) + sum(b(positions(2) + 10))\n}\nmodel net = Net\n\
                sparsify join(net.*.scale by whole) with MagnitudeMask as mask\nminimize net()\nreport left = sum(mask.density)\n\
                train {\n    epochs = 1\n    optimizer = frozen\n    fire keep(50%)\n    phase { }\n}\n";
    trained(text, |run| {
        close(run.tensors["net.a.scale"].iter(), [0.0, 0.0, 0.0, 3.0].iter(), "a");
        close(run.tensors["net.b.scale"].iter(), [10.0, 11.0].iter(), "b");
        close([run.outcome.metrics["left"]].iter(), [0.5].iter(), "left");
    });
}

/// Digits through two convolutions, whose channels are masked.
const MASKED_CHANNELS: &str = "use std.layers.{Conv2d, BatchNorm, Dense}\nuse std.sparse.UnitMask\ndata d = digits()\n\
    layer Block[Out](x: [B, C, H, W]) -> [B, Out, H, W] {\n    conv = Conv2d[Out = Out]\n    bn = BatchNorm\n    x |> conv |> bn |> relu\n}\n\
    layer Net(image: [B, H, W]) -> [B, 10] {\n    one = Block[Out = 3]\n    two = Block[Out = 4]\n    head = Dense[Out = 10]\n\
    \x20   reshape(image, [B, 1, H, W]) |> one |> two |> pooled |> head\n}\nfn pooled(x: [B, C, H, W]) = mean(x, H, W)\nmodel net = Net\n\
    sparsify net.{one, two} with UnitMask(own: true, refresh: 4, gamma: 0.05) as mask\n\
    minimize cross_entropy(net(d.image / 16), d.label) + 0.1 * sum(mask.soft)\nreport kept = sum(mask.density)\n\
    train { epochs = 1, batch = 240, optimizer = sgd(lr: 0.1), optimizer for mask.s = sgd(lr: 1), clip = 5 }\n";

#[test]
fn masks_on_the_results_of_layers_are_drawn_counted_and_trained() {
    trained(MASKED_CHANNELS, |run| {
        // 1437 samples in batches of 240: six steps; every mask saw the sharpness of its own draws after step 4.
        for layer in ["one", "two"] {
            let [s, beta, draws] = ["s", "beta", "draws"].map(|name| &run.lasting[&format!("mask.net.{layer}.{name}")]);
            assert!(s.iter().all(|s| *s < 0.0), "the penalty closes masks: {s}");
            for (beta, draws) in beta.iter().zip(draws) {
                let counted = (0..=2).map(|later| (1.0 + 0.05 * (draws - f64::from(later))).powf(0.7));
                assert!((1.0..=7.0).contains(draws), "started at 1, drawn at most six times: {draws}");
                assert!(counted.into_iter().any(|x| (x - beta).abs() < 1e-4), "{beta} after {draws} draws");
            }
        }
    });
}

#[test]
fn masks_on_hidden_units_are_drawn_once_for_all_steps_of_a_sequence() {
    for layer in ["Rnn", "Gru", "Lstm"] {
        let text = format!(
            "use std.layers.{{{layer}, Dense}}\nuse std.sparse.StructuredMask\ndata d = digits()\n\
             layer Net(image: [B, H, W]) -> [B, 10] {{\n    rnn = {layer}[Hidden = 5]\n    head = Dense[Out = 10]\n\
             \x20   hs: [T, B, Hidden] = rnn(transpose(image, H, B, W))\n    head(mean(hs, T))\n}}\nmodel net = Net\n\
             group units = net.rnn.step.live by each\nsparsify units with StructuredMask as mask\n\
             minimize cross_entropy(net(d.image / 16), d.label) + 0.1 * sum(mask.soft)\n\
             report kept = sum(mask.density)\n\
             train {{ epochs = 1, batch = 479, optimizer = sgd(lr: 0.1), optimizer for mask.s = sgd(lr: 3) }}\n"
        );
        trained(&text, |run| {
            let (s, draws) = (&run.lasting["mask.net.rnn.step.live.s"], &run.lasting["mask.net.rnn.step.live.draws"]);
            assert_eq!(s.len(), 5);
            assert!(s.iter().all(|s| *s < 0.0), "{layer}: the penalty closes masks: {s}");
            assert!(draws.iter().all(|n| (1.0..=4.0).contains(n)), "{layer}: three steps: {draws}");
        });
    }
}
