//! The lasso examples reproduce what is published, interpreted and compiled.
//!
//! The tables lie in `../shared/data`, or where `SPNET_DATA` says; without them these tests say so and do nothing.

use crate::support::Evaluator::{Interpreter, Jit, Whole};
use crate::support::{Evaluator, Trained, data_folder, example, train_text};

/// "The Elements of Statistical Learning", table 3.3: intercept, then the eight predictors.
const PROSTATE_LASSO: [f64; 9] = [2.468, 0.533, 0.169, 0.0, 0.002, 0.094, 0.0, 0.0, 0.0];
const PROSTATE_LEAST_SQUARES: [f64; 9] = [2.465, 0.680, 0.263, -0.141, 0.210, 0.305, -0.288, -0.021, 0.267];

/// "Least Angle Regression", least squares.
const DIABETES_LEAST_SQUARES: [f64; 10] =
    [-10.01, -239.82, 519.85, 324.38, -792.18, 476.74, 101.04, 177.06, 751.27, 67.63];

/// The order in which predictors enter as lambda comes down, each with a lambda between its entry and the next.
const DIABETES_PATH: [(&str, usize); 10] = [
    ("920", 3),
    ("600", 9),
    ("400", 4),
    ("200", 7),
    ("110", 2),
    ("80", 10),
    ("30", 5),
    ("10", 8),
    ("5.2", 6),
    ("1.8", 1),
];

#[test]
fn prostate_has_the_coefficients_of_the_book() {
    for evaluator in [Interpreter, Jit] {
        let Some(lasso) = train("lasso_prostate.spnet", &[], evaluator) else { return };
        close(&prostate(&lasso), &PROSTATE_LASSO, evaluator);
        close(&[lasso.outcome.metrics["test_error"]], &[0.479], evaluator);
        let Some(least_squares) = train("lasso_prostate.spnet", &[("lambda", "0")], evaluator) else { return };
        close(&prostate(&least_squares), &PROSTATE_LEAST_SQUARES, evaluator);
        close(&[least_squares.outcome.metrics["test_error"]], &[0.521], evaluator);
    }
}

#[test]
fn what_the_book_drops_is_exactly_zero() {
    let Some(lasso) = train("lasso_prostate.spnet", &[], Jit) else { return };
    let zeros: Vec<usize> = (0..9).filter(|&i| prostate(&lasso)[i] == 0.0).collect();
    assert_eq!(zeros, [3, 6, 7, 8]);
}

#[test]
fn diabetes_has_the_published_least_squares() {
    for evaluator in [Interpreter, Jit] {
        let Some(trained) = train("lasso_diabetes.spnet", &[], evaluator) else { return };
        close(&weights(&trained), &DIABETES_LEAST_SQUARES, evaluator);
    }
}

#[test]
fn diabetes_enters_in_the_published_order() {
    let mut seen = vec![];
    for (lambda, newcomer) in DIABETES_PATH {
        let Some(trained) = train("lasso_diabetes.spnet", &[("lambda", lambda)], Jit) else { return };
        let alive = weights(&trained).into_iter().enumerate().filter(|(_, w)| *w != 0.0).map(|(i, _)| i + 1);
        let new: Vec<usize> = alive.filter(|i| !seen.contains(i)).collect();
        assert_eq!(new, [newcomer], "at lambda = {lambda}");
        seen.push(newcomer);
    }
}

fn train(name: &str, sets: &[(&str, &str)], evaluator: Evaluator) -> Option<Trained> {
    if data_folder().is_none() {
        println!("skipped: no ../shared/data, and SPNET_DATA names no folder");
        return None;
    }
    Some(train_text(&example(name), sets, None, evaluator))
}

fn weights(trained: &Trained) -> Vec<f64> {
    trained.tensors["net.w"].iter().copied().collect()
}

fn prostate(trained: &Trained) -> Vec<f64> {
    trained.tensors["net.b"].iter().copied().chain(weights(trained)).collect()
}

/// Every number within 0.01 in `f64`; within 2 % in `f32`, or 0.001, to which small ones are published.
#[track_caller]
fn close(found: &[f64], expected: &[f64], evaluator: Evaluator) {
    let allowed = |y: f64| match evaluator {
        Interpreter => 1e-2,
        Jit | Whole => (2e-2 * y.abs()).max(1e-3),
    };
    let is_close = |(x, y): (&f64, &f64)| (x - y).abs() <= allowed(*y);
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(is_close), "{found:?}, not {expected:?}");
}
