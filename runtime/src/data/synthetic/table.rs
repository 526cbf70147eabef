//! Samples of a teacher that looks at a few features only, so that what should be found is known.
//!
//! Features are independent and standard normal. The linear teacher is y = Σ w_i x_i over its support, each w_i of
//! random sign and between 1 and 2 in size; with `hidden: H` it is y = Σ_j v_j tanh(Σ_i w_ij x_i / √informative) with H
//! such units. Noise of standard deviation `noise` is added. With `classes: C` there are C such outputs and y is the
//! index of the largest.

use super::super::args::{Args, Request};
use super::super::error::DataError;
use super::super::order::{Bits, shuffle};
use super::super::split::hold_out;
use super::super::{Column, Dataset, Values};
use super::{n_test, seed};
use crate::program::Element;

const ARGS: &[&str] = &["samples", "features", "informative", "noise", "classes", "hidden", "seed", "test", "hold_out"];

/// `synthetic(samples: 1000, features: 20, informative: 5, noise: 0.1, …)`; a fifth is for testing unless `test` says otherwise.
pub(super) fn open(request: &Request) -> Result<Dataset, DataError> {
    let args = Args::new(request, ARGS)?;
    let samples = args.count("samples", 2, MOST)?.unwrap_or(1000);
    let features = args.count("features", 1, MOST / samples)?.unwrap_or(20);
    let informative = args.count("informative", 1, features)?.unwrap_or(5.min(features));
    let classes = args.count("classes", 0, 1000)?.unwrap_or(0);
    let hidden = args.count("hidden", 0, 1000)?.unwrap_or(0);
    let noise = args.number("noise", 0.0, 1e6)?.unwrap_or(0.1);
    if classes == 1 {
        return Err(args.fault("classes", "0 (a regression) or at least 2", "1"));
    }
    let seed = seed(&args)?;
    let n_test = n_test(&args, samples)?;
    let teacher = Teacher::new(seed, features, informative, hidden, classes.max(1), noise);
    let draws = Bits::new(seed, FEATURES);
    let x: Vec<f64> = (0..(samples * features) as u64).map(|i| draws.normal(i)).collect();
    let outputs: Vec<f64> = x.chunks_exact(features).enumerate().flat_map(|(row, x)| teacher.apply(row, x)).collect();
    let y = match classes {
        0 => Column::new("y", Element::Real, vec![], Values::F64(outputs)),
        _ => Column::new("y", Element::Integer, vec![], Values::I32(outputs.chunks(classes).map(argmax).collect())),
    };
    let x = Column::new("x", Element::Real, vec![features], Values::F64(x));
    let mut data = Dataset::new(vec![x, y], samples - n_test, n_test);
    data.about = teacher.about();
    data.support = Some(teacher.support);
    hold_out(&args, data)
}

/// More numbers than this are not for a toy.
const MOST: usize = 100_000_000;

/// The uses of random bits.
const FEATURES: u64 = 1;
const WEIGHTS: u64 = 2;
const NOISE: u64 = 3;
const SUPPORT: u64 = 4;
const OUTPUTS: u64 = 5;

/// Who knows the answer.
struct Teacher {
    support: Vec<usize>,
    /// For each output (linear) or hidden unit, a weight for each feature of the support.
    weights: Vec<Vec<f64>>,
    /// For each output, a weight for each hidden unit; empty for a linear teacher.
    readout: Vec<Vec<f64>>,
    outputs: usize,
    noise: f64,
    noise_draws: Bits,
}

impl Teacher {
    fn new(seed: u64, features: usize, informative: usize, hidden: usize, outputs: usize, noise: f64) -> Teacher {
        let mut support: Vec<usize> = (0..features).collect();
        shuffle(&mut support, Bits::new(seed, SUPPORT));
        support.truncate(informative);
        support.sort_unstable();
        let units = if hidden == 0 { outputs } else { hidden };
        let weights = matrix(Bits::new(seed, WEIGHTS), units, informative);
        let readout = if hidden == 0 { vec![] } else { matrix(Bits::new(seed, OUTPUTS), outputs, hidden) };
        Teacher { support, weights, readout, outputs, noise, noise_draws: Bits::new(seed, NOISE) }
    }

    /// The outputs for one sample.
    fn apply(&self, row: usize, x: &[f64]) -> Vec<f64> {
        let linear = |weights: &Vec<f64>| weights.iter().zip(&self.support).map(|(w, &i)| w * x[i]).sum::<f64>();
        let units = self.weights.iter().map(linear);
        let mut outputs: Vec<f64> = if self.readout.is_empty() {
            units.collect()
        } else {
            let scale = (self.support.len() as f64).sqrt();
            let units: Vec<f64> = units.map(|unit| libm::tanh(unit / scale)).collect();
            self.readout.iter().map(|v| v.iter().zip(&units).map(|(v, unit)| v * unit).sum()).collect()
        };
        for (index, output) in outputs.iter_mut().enumerate() {
            *output += self.noise * self.noise_draws.normal((row * self.outputs + index) as u64);
        }
        outputs
    }

    fn about(&self) -> String {
        let kind = if self.readout.is_empty() { "linear" } else { "two-layer" };
        format!("a {kind} teacher that looks at the features {:?}", self.support)
    }
}

/// Weights of random sign, between 1 and 2 in size.
fn matrix(draws: Bits, rows: usize, columns: usize) -> Vec<Vec<f64>> {
    let weight = |index: usize| {
        let draw = 4.0 * draws.uniform(index as u64) - 2.0;
        if draw < 0.0 { draw / 2.0 - 1.0 } else { draw / 2.0 + 1.0 }
    };
    (0..rows).map(|row| (0..columns).map(|column| weight(row * columns + column)).collect()).collect()
}

/// The index of the largest; the first of several.
fn argmax(outputs: &[f64]) -> i32 {
    (1..outputs.len()).fold(0, |best, index| if outputs[index] > outputs[best] { index } else { best }) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Arg, Split};
    use crate::program::FieldMut;

    fn synthetic(args: &[(&str, f64)]) -> Result<Dataset, DataError> {
        let args = args.iter().map(|&(name, x)| (name.to_owned(), Arg::Number(x))).collect();
        open(&Request { source: "synthetic".into(), args })
    }

    fn training(data: &Dataset, field: usize) -> Vec<f64> {
        let rows: Vec<usize> = (0..data.n(Split::Train)).collect();
        let mut out = vec![0.0; rows.len() * data.fields()[field].shape.iter().product::<usize>()];
        data.gather(Split::Train, &rows, field, FieldMut::F64(&mut out));
        out
    }

    /// The correlation of each feature with the target: n times the weight for the linear teacher.
    fn covariance(data: &Dataset, features: usize) -> Vec<f64> {
        let (x, y) = (training(data, 0), training(data, 1));
        let mean = y.iter().sum::<f64>() / y.len() as f64;
        let product = |i: usize| y.iter().enumerate().map(|(row, y)| (y - mean) * x[row * features + i]).sum::<f64>();
        (0..features).map(|i| product(i) / y.len() as f64).collect()
    }

    #[test]
    fn the_target_depends_on_the_support_only() {
        for hidden in [0.0, 4.0] {
            let args =
                [("samples", 4000.0), ("features", 12.0), ("informative", 3.0), ("hidden", hidden), ("noise", 0.0)];
            let data = synthetic(&args).expect("known arguments");
            let support = data.support.clone().expect("known");
            let covariance = covariance(&data, 12);
            let outside = (0..12).filter(|i| !support.contains(i)).map(|i| covariance[i].abs()).fold(0.0, f64::max);
            let inside = support.iter().map(|&i| covariance[i].abs()).fold(0.0, f64::max);
            assert_eq!(support.len(), 3);
            assert!(outside < 0.2 && inside > 2.0 * outside, "{inside} {outside}");
            assert!(data.about.contains(&format!("{support:?}")));
        }
    }

    #[test]
    fn linear_weights_are_between_one_and_two() {
        let args = [("samples", 20_000.0), ("features", 6.0), ("informative", 6.0), ("noise", 0.0)];
        let covariance = covariance(&synthetic(&args).expect("known arguments"), 6);
        assert!(covariance.iter().all(|w| (0.85..2.15).contains(&w.abs())), "{covariance:?}");
    }

    #[test]
    fn classes_are_labels_and_all_occur() {
        let data = synthetic(&[("classes", 3.0), ("seed", 5.0)]).expect("known arguments");
        let labels = training(&data, 1);
        assert_eq!(data.fields()[1].element, Element::Integer);
        assert!((0..3).all(|class| labels.contains(&f64::from(class))));
        assert_eq!((data.n(Split::Train), data.n(Split::Test)), (800, 200));
    }

    #[test]
    fn a_seed_is_a_data_set() {
        let hash = |seed| synthetic(&[("seed", seed)]).expect("known arguments").hash();
        assert_eq!(hash(1.0), hash(1.0));
        assert_ne!(hash(1.0), hash(2.0));
    }

    #[test]
    fn impossible_requests_are_refused() {
        assert!(synthetic(&[("informative", 30.0)]).is_err());
        assert!(synthetic(&[("classes", 1.0)]).is_err());
        assert!(synthetic(&[("samples", 1e8), ("features", 10.0)]).is_err());
        assert!(synthetic(&[("samples", 1e300)]).is_err());
    }
}
