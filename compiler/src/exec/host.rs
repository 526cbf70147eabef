//! What both evaluators leave to the interpreter: start values, and the end of an evaluation.

use std::cell::RefCell;

use ndarray::ArrayD;
use spnc_runtime::program::Clock;

use super::network::Count;
use super::{Built, Network};
use crate::lower::interface::Interface;
use crate::model::Reduction;
use crate::pass::dce;
use crate::tir::Func;
use crate::tir::interp::{self, Keep, Plan, Tensor};

/// The part of a program that always runs in the interpreter.
#[derive(Debug)]
pub struct Host {
    /// Names, shapes, constants.
    pub interface: Interface,
    /// The run's seed, as programs see it.
    pub seed: i32,
    /// Run once, and not kept ready: its buffers are as large as the network, in `f64`.
    init: Func,
    report: Plan,
    network: Option<Network>,
    /// What was left of it when it was counted last.
    counted: RefCell<Option<Count>>,
    partials: Vec<Vec<f64>>,
    split: usize,
    fresh: bool,
}

impl Host {
    /// The host part of a program.
    pub fn new(built: &Built) -> Host {
        let shapes = built.interface.partials.len();
        Host {
            interface: built.interface.clone(),
            seed: 0,
            init: built.init.clone(),
            report: Plan::new(&built.report, Keep::Results),
            network: built.network.clone(),
            counted: RefCell::default(),
            partials: vec![vec![]; shapes],
            split: 0,
            fresh: true,
        }
    }

    /// Gives the start values of all lasting tensors, in the order of their indices, one after the other: together, and with what they are made
    /// from, they are several times as large as the network. Programs see the lower 32 bits of the seed.
    pub fn init(&self, mut give: impl FnMut(usize, Tensor)) {
        let scalar = ArrayD::from_elem(vec![], f64::from(self.seed));
        let given = |name: &str| match name {
            "seed" => Some(scalar.clone()),
            _ => self.literal(name),
        };
        for (index, info) in self.interface.description.tensors.iter().enumerate() {
            let start = interp::run(&dce::of_result(&self.init, &info.name), &given);
            let start = start.expect("starts depend on the seed and on constants only").swap_remove(info.name.as_str());
            give(index, start.expect("every tensor has a start"));
        }
    }

    /// The constant tensor with this name.
    pub fn literal(&self, name: &str) -> Option<Tensor> {
        literal(&self.interface.literals, name)
    }

    /// Adds what a batch contributes: `partial(i, to)` appends the elements of partial result `i` to `to`.
    pub fn accumulate(&mut self, split: usize, mut partial: impl FnMut(usize, &mut Vec<f64>)) {
        self.split = split;
        let mut batch = vec![];
        for (index, cut) in self.interface.partials.iter().enumerate() {
            batch.clear();
            partial(index, &mut batch);
            let total = &mut self.partials[index];
            if self.fresh {
                total.clone_from(&batch);
            } else {
                total.iter_mut().zip(&batch).for_each(|(total, x)| *total = combine(cut.by, *total, *x));
            }
        }
        self.fresh = false;
    }

    /// The reported numbers at `clock`; `tensor` gives lasting tensors by name.
    pub fn finish(&mut self, clock: Clock, tensor: &dyn Fn(&str) -> Option<Tensor>) -> Vec<f64> {
        self.fresh = true;
        self.write_partials();
        let names: Vec<_> = self.report.func().params().map(|(name, ..)| name.clone()).collect();
        let scalars = scalars(self.seed, clock);
        for name in names.iter().filter(|name| !name.starts_with("partial.")) {
            let scalar =
                scalars.iter().find(|(known, _)| *known == &**name).map(|(_, value)| ArrayD::from_elem(vec![], *value));
            let value = match &**name {
                "samples" => ArrayD::from_elem(vec![], self.split as f64),
                name => scalar
                    .or_else(|| tensor(name))
                    .or_else(|| self.literal(name))
                    .expect("reports read the seed, the clock, lasting tensors and constants"),
            };
            write(&mut self.report, name, value.iter().copied());
        }
        self.report.run();
        let scalar =
            |i: usize| self.report.result(&format!("report.{i}")).map(|v| v.iter().copied().next().unwrap_or(f64::NAN));
        (0..self.interface.description.reports.len()).map(|i| scalar(i).expect("every report is a result")).collect()
    }

    /// As [`spnc_runtime::program::Program::live_flops`]; `tensor` gives results of `effective` and lasting tensors by name.
    pub fn live_flops(&self, tensor: &dyn Fn(&str) -> Option<Tensor>) -> Option<u64> {
        let value = |name: &str| tensor(name).or_else(|| self.literal(name));
        Some(2 * self.network.as_ref()?.multiply_adds(&value, &mut self.counted.borrow_mut())?)
    }

    fn write_partials(&mut self) {
        for (index, total) in self.partials.iter().enumerate() {
            write(&mut self.report, &format!("partial.{index}"), total.iter().copied());
        }
    }
}

/// The seed of a program as functions take it: the lower half of its bits.
pub fn short_seed(seed: u64) -> i32 {
    seed as u32 as i32
}

/// The seed and the clock by the names of inputs.
pub fn scalars(seed: i32, clock: Clock) -> [(&'static str, f64); 4] {
    let Clock { step, epoch, progress } = clock;
    [("seed", f64::from(seed)), ("step", step as f64), ("epoch", epoch), ("progress", progress)]
}

/// Writes an input, if the function takes it.
pub fn write(plan: &mut Plan, name: &str, values: impl Iterator<Item = f64>) {
    if let Some(slot) = plan.input(name) {
        slot.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
    }
}

/// The name of a result of `effective` to the runtime: an effective tensor goes by the path of its parameter.
pub fn outside_name(name: &str) -> &str {
    name.strip_prefix("effective.").unwrap_or(name)
}

fn literal(literals: &[(std::sync::Arc<str>, Tensor)], name: &str) -> Option<Tensor> {
    literals.iter().find(|(n, _)| &**n == name).map(|(_, value)| value.clone())
}

fn combine(by: Reduction, a: f64, b: f64) -> f64 {
    match by {
        Reduction::Sum => a + b,
        Reduction::Max => a.max(b),
        Reduction::Min => a.min(b),
    }
}
