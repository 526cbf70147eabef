//! Training works: the examples on the built-in digits learn, and neurons of theirs become exactly zero.

use crate::support::Evaluator::Jit;
use crate::support::{Trained, example, train_text};
use ndarray::Axis;

#[test]
fn quickstart_learns_while_neurons_vanish() {
    let trained = train_text(&example("quickstart.spnet"), &[], None, Jit);
    assert!(accuracy(&trained) >= 0.95, "{}", accuracy(&trained));
    let dead: usize = ["net.fc1.w", "net.fc2.w", "net.fc3.w"].iter().map(|w| dead_rows(&trained, w)).sum();
    assert!(dead >= 214 / 2, "{dead} of 214 neurons are zero");
}

#[test]
fn a_method_of_ones_own_learns_while_neurons_vanish() {
    let trained = train_text(&example("own_method.spnet"), &[], None, Jit);
    assert!(accuracy(&trained) >= 0.95, "{}", accuracy(&trained));
    assert!(dead_rows(&trained, "net.fc2.w") >= 30, "{} of 100 neurons are zero", dead_rows(&trained, "net.fc2.w"));
}

fn accuracy(trained: &Trained) -> f64 {
    trained.outcome.metrics.values().copied().next().expect("the example reports its accuracy")
}

/// The incoming neurons of a layer all of whose weights are zero.
fn dead_rows(trained: &Trained, path: &str) -> usize {
    trained.tensors[path].axis_iter(Axis(0)).filter(|row| row.iter().all(|w| *w == 0.0)).count()
}
