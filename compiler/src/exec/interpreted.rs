//! A program run by the reference interpreter, in `f64`.

use std::collections::BTreeMap;

use ndarray::ArrayD;
use spnc_runtime::program::{Clock, Description, Entry, FieldMut, Program};

use super::Built;
use super::blame;
use super::host::{Host, outside_name, scalars, short_seed, write};
use crate::tir::interp::{Keep, Plan, Tensor};

/// A program run by the reference interpreter.
#[derive(Debug)]
pub struct Interpreted {
    host: Host,
    tensors: Vec<Tensor>,
    /// By variant and batch.
    train: BTreeMap<(usize, usize), Plan>,
    evaluate: BTreeMap<usize, Plan>,
    events: Vec<Plan>,
    effective: Plan,
    terms: Vec<f64>,
    /// Where a field goes that no function reads.
    unread: Vec<f64>,
}

impl Interpreted {
    /// Makes a program ready to run; its tensors are zero until [`Program::init`].
    pub fn new(built: &Built) -> Interpreted {
        let plan = |func| Plan::new(func, Keep::Results);
        let description = &built.interface.description;
        Interpreted {
            host: Host::new(built),
            tensors: description.tensors.iter().map(|t| ArrayD::zeros(t.shape.as_slice())).collect(),
            train: built.train.iter().map(|step| ((step.variant, step.batch), plan(&step.func))).collect(),
            evaluate: built.evaluate.iter().map(|(n, func)| (*n, plan(func))).collect(),
            events: built.events.iter().map(plan).collect(),
            effective: plan(&built.effective),
            terms: vec![0.0; description.terms.len()],
            unread: vec![],
        }
    }
}

impl Program for Interpreted {
    fn description(&self) -> &Description {
        &self.host.interface.description
    }

    fn init(&mut self, seed: u64) {
        self.host.seed = short_seed(seed);
        self.tensors.clear();
        self.host.init(|_, start| self.tensors.push(start));
    }

    fn field(&mut self, entry: Entry, samples: usize, index: usize) -> FieldMut<'_> {
        let plan = match entry {
            Entry::Train(variant) => self.train.get_mut(&(variant, samples)),
            Entry::Evaluate => self.evaluate.get_mut(&samples),
        };
        let plan = plan.expect("the batch size was announced");
        match plan.input(&self.host.interface.field_names[index]) {
            Some(slot) => FieldMut::F64(slot),
            None => {
                let sample: usize = self.host.interface.description.fields[index].shape.iter().product();
                self.unread.resize(samples * sample, 0.0);
                FieldMut::F64(&mut self.unread)
            }
        }
    }

    fn train_step(&mut self, variant: usize, samples: usize, clock: Clock) -> &[f64] {
        let plan = self.train.get_mut(&(variant, samples)).expect("the batch size was announced");
        prepare(plan, &self.host, &self.tensors, clock);
        plan.run();
        keep(plan, &self.host, &mut self.tensors);
        for (index, term) in self.terms.iter_mut().enumerate() {
            *term = plan.result(&format!("term.{index}")).map_or(0.0, |value| value.sum());
        }
        &self.terms
    }

    fn fire(&mut self, event: usize, clock: Clock) {
        let plan = &mut self.events[event];
        prepare(plan, &self.host, &self.tensors, clock);
        plan.run();
        keep(plan, &self.host, &mut self.tensors);
    }

    fn evaluate(&mut self, samples: usize, split: usize, clock: Clock) {
        let plan = self.evaluate.get_mut(&samples).expect("the batch size was announced");
        prepare(plan, &self.host, &self.tensors, clock);
        write(plan, "samples", std::iter::once(split as f64));
        plan.run();
        keep(plan, &self.host, &mut self.tensors);
        self.host.accumulate(split, |index, to| {
            to.extend(plan.result(&format!("partial.{index}")).expect("every partial result is one").iter());
        });
    }

    fn finish_evaluation(&mut self, clock: Clock) -> Vec<f64> {
        let (infos, tensors) = (self.host.interface.description.tensors.clone(), &self.tensors);
        self.host.finish(clock, &|name| infos.iter().position(|t| t.name == name).map(|i| tensors[i].clone()))
    }

    fn read(&self, tensor: usize) -> ArrayD<f64> {
        self.tensors[tensor].clone()
    }

    fn write(&mut self, tensor: usize, value: &ArrayD<f64>) {
        self.tensors[tensor].assign(value);
    }

    fn effective(&mut self, clock: Clock) -> Vec<String> {
        prepare(&mut self.effective, &self.host, &self.tensors, clock);
        self.effective.run();
        self.effective.results().map(|(name, _)| outside_name(name).to_owned()).collect()
    }

    fn computed(&self, name: &str) -> Option<ArrayD<f64>> {
        let mut results = self.effective.results();
        results.find(|(known, _)| outside_name(known) == name).map(|(_, value)| value.to_owned())
    }

    fn live_flops(&self) -> Option<u64> {
        let infos = &self.host.interface.description.tensors;
        let tensor = |name: &str| infos.iter().position(|t| t.name == name).map(|i| self.tensors[i].clone());
        self.host.live_flops(&|name| self.effective.result(name).map(|value| value.to_owned()).or_else(|| tensor(name)))
    }

    fn explain_non_finite(&mut self, variant: usize, samples: usize, clock: Clock) -> Option<String> {
        let trained = self.train.get_mut(&(variant, samples)).expect("the batch size was announced");
        let mut plan = Plan::new(trained.func(), Keep::All);
        for name in &self.host.interface.field_names {
            if let Some(given) = trained.input(name) {
                write(&mut plan, name, given.iter().copied());
            }
        }
        prepare(&mut plan, &self.host, &self.tensors, clock);
        plan.run();
        blame::first_bad(&plan, f64::MAX)
    }
}

/// Takes the new values of lasting tensors from a function that has run.
fn keep(plan: &Plan, host: &Host, tensors: &mut [Tensor]) {
    for (tensor, info) in tensors.iter_mut().zip(&host.interface.description.tensors) {
        if let Some(new) = plan.result(&info.name) {
            tensor.assign(&new);
        }
    }
}

/// Gives a function everything but the fields: lasting tensors, constants, seed and clock.
pub fn prepare(plan: &mut Plan, host: &Host, tensors: &[Tensor], clock: Clock) {
    for (info, tensor) in host.interface.description.tensors.iter().zip(tensors) {
        write(plan, &info.name, tensor.iter().copied());
    }
    for (name, value) in &host.interface.literals {
        write(plan, name, value.iter().copied());
    }
    for (name, value) in scalars(host.seed, clock) {
        write(plan, name, std::iter::once(value));
    }
}
