//! Data as programs see it: what the braces compute, the numbers of a data set, streams of text, windows of series.

use crate::support::Evaluator::{Interpreter, Jit};
use crate::support::{Trained, compile, train_text};

/// Fields with draws, and parameters that gather what the objective sees of them: each moves by its factor in every step.
const DRAWS: &str = "\
data table = synthetic(samples: 40, features: 2) {
    noise  = normal(full_like(y, 0), 1)
    moved  = if training { y + 100 } else { y }
}

layer Watch(x: [B], y: [B]) -> [B] {
    param spread: [] = 0
    param twice: [] = 0
    param mean_of: [] = 0
    spread * var(x, B) + twice * abs(x - table.noise) + mean_of * mean(x, B) + y
}

model watch = Watch
minimize mean(watch(table.noise, table.moved))
report read = mean(table.y)
report seen = mean(table.moved)
train { batch = 8, epochs = 3, optimizer = sgd(lr: 1) }
";

fn value(trained: &Trained, path: &str) -> f64 {
    trained.lasting[path].sum()
}

#[test]
fn draws_in_fields_differ_between_samples_and_steps_and_are_the_same_at_every_use() {
    let run = |seed, evaluator| train_text(DRAWS, &[], Some(seed), evaluator);
    let [first, again, other] = [(1, Jit), (1, Jit), (2, Jit)].map(|(seed, evaluator)| run(seed, evaluator));
    // 12 steps, each with a variance of about 1 over its samples.
    let spread = -value(&first, "watch.spread");
    assert!((6.0..20.0).contains(&spread), "{spread}");
    assert_eq!(value(&first, "watch.twice"), 0.0);
    assert_eq!(value(&first, "watch.mean_of"), value(&again, "watch.mean_of"));
    assert_ne!(value(&first, "watch.mean_of"), value(&other, "watch.mean_of"));
    let interpreted = run(1, Interpreter);
    assert!((value(&interpreted, "watch.mean_of") - value(&first, "watch.mean_of")).abs() < 1e-3);
}

#[test]
fn what_tests_training_leaves_the_samples_of_an_evaluation_alone() {
    let trained = train_text(DRAWS, &[], None, Jit);
    assert_eq!(trained.outcome.metrics["read"], trained.outcome.metrics["seen"]);
    let objective = trained.outcome.records[0].objective;
    assert!((objective - 100.0).abs() < 20.0, "{objective}: training sees the moved field");
}

#[test]
fn images_are_augmented_in_training_only() {
    let text = "\
data set = synthetic(samples: 20, image: [2, 9, 12]) { image = image / 255 |> random_crop(pad: 2) |> random_flip(W) }
layer Scale[C, H, W](x: [B, C, H, W]) -> [B, C, H, W] {
    param w: [C, H, W] = 0
    x * w
}
model net = Scale
minimize mean(net(set.image))
report mean(set.image)
train { batch = 4, epochs = 1, optimizer = sgd(lr: 1) }
";
    let plain = text.replace(" |> random_crop(pad: 2) |> random_flip(W)", "");
    let [augmented, plain] = [text, &plain].map(|text| train_text(text, &[], None, Jit));
    assert_ne!(augmented.lasting["net.w"], plain.lasting["net.w"]);
    let metric = |trained: &Trained| *trained.outcome.metrics.values().next().expect("there is a report");
    assert_eq!(metric(&augmented), metric(&plain));
}

/// A table of what follows each token: what half of the tokens of a synthetic text can be foretold by.
#[test]
fn a_table_of_pairs_learns_a_text() {
    let text = "\
use std.layers.Embedding
data corpus = synthetic(tokens: 20000, vocabulary: 20, window: 10, validation: 20%)
model net = Embedding[Rows = corpus.vocabulary, Out = corpus.vocabulary]
const logits = net(corpus.token)
minimize cross_entropy(logits, corpus.target)
report chance = corpus.vocabulary
report likely = perplexity(logits, corpus.target)
train { batch = 4, epochs = 3, optimizer = sgd(lr: 2, momentum: 0.9) }
";
    let trained = train_text(text, &[], None, Jit);
    assert_eq!(trained.lasting["net.table"].shape(), [20, 20]);
    let metrics = &trained.outcome.metrics;
    assert_eq!((metrics["chance"], metrics.len()), (20.0, 4));
    // The best there is: 0.525 for what follows, 0.025 for each other, exp(0.525 * 0.644 + 0.475 * 3.689) = 8.09.
    for name in ["likely", "validation likely"] {
        assert!((7.5..9.0).contains(&metrics[name]), "{name}: {}", metrics[name]);
    }
}

/// Each series follows from itself and the one before it.
#[test]
fn a_matrix_learns_series() {
    let text = "\
data speeds = synthetic(steps: 800, series: 5, past: 3) {
    past = (past - speeds.mean) / speeds.deviation
    next = (next - speeds.mean) / speeds.deviation
}
layer Linear[T, N](past: [B, T, N]) -> [B, N] {
    param w: [T, N, M: N] = 0
    sum(reshape(past, [B, T, N, 1]) * w, T, N)
}
model net = Linear
minimize squared(net(speeds.past), speeds.next)
report mean_squared_error(net(speeds.past), speeds.next)
train { batch = 32, epochs = 20, optimizer = sgd(lr: 0.1) }
";
    let trained = train_text(text, &[], None, Jit);
    let error = trained.outcome.metrics.values().next().expect("there is a report");
    // Noise of 0.4 in series whose deviation is about 0.6.
    assert!((0.2..0.7).contains(error), "{error}");
}

#[test]
fn only_some_data_sets_have_numbers() {
    let error = compile("data table = csv(\"x.csv\")\nminimize mean(table.x) * table.vocabulary\n").err();
    assert!(error.is_some_and(|error| error.contains("vocabulary")), "a table has no vocabulary");
}
