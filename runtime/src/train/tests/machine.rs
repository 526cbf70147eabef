//! A program that computes nothing of use, but notes what it is asked, and whose numbers depend on every call.

use ndarray::{ArrayD, arr0, arr1};

use crate::data::{Column, Dataset, Values};
use crate::program::{Clock, Description, Element, Entry, FieldInfo, FieldMut, Program, Role, TensorInfo};

/// What the program was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    Step { variant: usize, batch: Vec<f64>, clock: Clock, velocity: f64, carried: f64 },
    Fire { event: usize, clock: Clock },
    Evaluate { samples: usize, split: usize, carried: f64 },
}

/// The program.
#[derive(Clone)]
pub struct Machine {
    description: Description,
    pub tensors: Vec<ArrayD<f64>>,
    pub calls: Vec<Call>,
    batch: Vec<f64>,
    terms: [f64; 2],
    evaluated: f64,
}

pub const PARAM: usize = 0;
pub const VELOCITY: usize = 1;
pub const CARRIED: usize = 3;

/// Where the velocity begins.
pub const START: f64 = 0.25;

impl Machine {
    pub fn new() -> Machine {
        let tensor = |name: &str, role, shape: &[usize]| TensorInfo { name: name.into(), role, shape: shape.to_vec() };
        let description = Description {
            fields: vec![FieldInfo { name: "x".into(), element: Element::Real, shape: vec![] }],
            tensors: vec![
                tensor("net.w", Role::Param, &[2]),
                tensor("optimizer.net.w.velocity", Role::OptimizerState, &[]),
                tensor("net.mean", Role::State, &[]),
                tensor("net.h", Role::Carried, &[]),
            ],
            terms: vec!["loss".into(), "penalty".into()],
            reports: vec!["total".into()],
            events: (0..4).map(|n| format!("event{n}")).collect(),
        };
        let tensors =
            vec![arr1(&[0.5, 0.75]).into_dyn(), arr0(START).into_dyn(), arr0(0.0).into_dyn(), arr0(0.0).into_dyn()];
        Machine { description, tensors, calls: vec![], batch: vec![], terms: [0.0; 2], evaluated: 0.0 }
    }

    fn scalar(&self, tensor: usize) -> f64 {
        self.tensors[tensor].sum()
    }

    /// Makes every number depend on every other and on `x`.
    fn mix(&mut self, x: f64) {
        let sum: f64 = self.tensors.iter().flatten().sum();
        let mixed = |old: f64, factor: f64| (old * 0.75 + (sum + x) * factor).fract();
        for (index, tensor) in self.tensors.iter_mut().enumerate().filter(|(index, _)| *index != CARRIED) {
            tensor.mapv_inplace(|old| mixed(old, 1.3 + index as f64));
        }
    }
}

impl Program for Machine {
    fn description(&self) -> &Description {
        &self.description
    }

    fn init(&mut self, _seed: u64) {}

    fn field(&mut self, _entry: Entry, samples: usize, _index: usize) -> FieldMut<'_> {
        self.batch.resize(samples, 0.0);
        FieldMut::F64(&mut self.batch)
    }

    fn train_step(&mut self, variant: usize, samples: usize, clock: Clock) -> &[f64] {
        assert_eq!(self.batch.len(), samples);
        let (batch, carried) = (self.batch.clone(), self.scalar(CARRIED));
        let seen: f64 = batch.iter().enumerate().map(|(place, x)| (place + 1) as f64 * x).sum();
        self.calls.push(Call::Step { variant, batch, clock, velocity: self.scalar(VELOCITY), carried });
        self.mix(seen + variant as f64 + clock.progress);
        self.tensors[CARRIED] += 1.0;
        self.terms = [self.scalar(PARAM), self.scalar(VELOCITY)];
        &self.terms
    }

    fn fire(&mut self, event: usize, clock: Clock) {
        self.calls.push(Call::Fire { event, clock });
        self.mix(event as f64 + 0.5);
    }

    fn evaluate(&mut self, samples: usize, split: usize, _clock: Clock) {
        self.calls.push(Call::Evaluate { samples, split, carried: self.scalar(CARRIED) });
        self.evaluated += self.batch.iter().sum::<f64>() + self.scalar(PARAM) + self.scalar(CARRIED);
        self.tensors[CARRIED] += 1.0;
    }

    fn finish_evaluation(&mut self, _clock: Clock) -> Vec<f64> {
        vec![std::mem::take(&mut self.evaluated)]
    }

    fn read(&self, tensor: usize) -> ArrayD<f64> {
        self.tensors[tensor].clone()
    }

    fn write(&mut self, tensor: usize, value: &ArrayD<f64>) {
        self.tensors[tensor].assign(value);
    }

    fn effective(&mut self, _clock: Clock) -> Vec<String> {
        vec!["net.w".to_owned()]
    }

    fn computed(&self, name: &str) -> Option<ArrayD<f64>> {
        (name == "net.w").then(|| self.read(PARAM))
    }

    fn explain_non_finite(&mut self, _variant: usize, _samples: usize, _clock: Clock) -> Option<String> {
        None
    }
}

/// Samples 0, 1, …: the training ones first.
pub fn data(n_train: usize, n_test: usize) -> Dataset {
    let values = Values::F64((0..n_train + n_test).map(|i| i as f64).collect());
    Dataset::new(vec![Column::new("x", Element::Real, vec![], values)], n_train, n_test)
}
