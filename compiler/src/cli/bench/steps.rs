//! Steps of training on batches of the program's data, as a run does them.

use spnc_runtime::data::{Bits, Split};
use spnc_runtime::program::{Clock, Entry, Form, Program};

use super::subject::Place;
use crate::cli::exit::Exit;
use crate::cli::job::Job;
use crate::cli::output;
use crate::codegen::Observe;
use crate::exec::Compiled;

/// Steps of a program, one after the other.
pub struct Steps<'a> {
    job: &'a Job,
    program: Compiled,
    at: Place,
    batch: usize,
    per_epoch: usize,
    /// For each field of the program, its index in the data.
    fields: Vec<usize>,
    /// The samples of an epoch in order.
    order: Vec<usize>,
    /// How many of them have been seen.
    seen: usize,
}

impl<'a> Steps<'a> {
    /// The steps that follow this place of training.
    ///
    /// # Errors
    ///
    /// When there are fewer samples than a batch has, which has been said.
    pub fn new(job: &'a Job, program: Compiled, at: Place) -> Result<Steps<'a>, Exit> {
        let batches = job.plan.batches(&job.data);
        let batch = batches.train_sizes()[0];
        let infos = program.description().fields.iter();
        let own = |name: &str| job.data.fields().iter().position(|info| info.name == name);
        let fields: Vec<usize> =
            infos.map(|field| own(&field.name).expect("the fields were found when the program was compiled")).collect();
        let order = job.data.order(Split::Train, batch, Some(Bits::new(job.plan.seed, 0)));
        if order.len() < batch && !fields.is_empty() {
            let message = format!("the training split has {} samples, fewer than a batch of {batch}", order.len());
            return Err(output::fail(&message, Some("`--batch N` with fewer samples")));
        }
        Ok(Steps { job, program, at, batch, per_epoch: batches.per_epoch, fields, order, seen: 0 })
    }

    /// The steps that would follow this place of training, were the program not about to stop: a copy of it does them.
    ///
    /// # Errors
    ///
    /// As for [`Self::new`], or when there is no machine code for this machine, which has been said.
    pub fn after(job: &'a Job, program: &dyn Program, at: Place) -> Result<Steps<'a>, Exit> {
        let mut copy = compiled(job)?;
        copy_tensors(program, &mut copy);
        copy.set_form(&program.form());
        Steps::new(job, copy, at)
    }

    /// The same in the form that a run would choose at the beginning of an epoch, and whether that leaves anything out.
    pub fn adapted(mut self) -> (Steps<'a>, bool) {
        self.program.adapt(self.at.variant, self.at.clock, u64::MAX);
        let leaves_out = self.program.form().iter().any(|form| *form != Form::Whole);
        (self, leaves_out)
    }

    /// The same steps, computed as a whole.
    ///
    /// # Errors
    ///
    /// When there is no machine code for this machine, which has been said.
    pub fn whole(&self) -> Result<Steps<'a>, Exit> {
        let mut program = compiled(self.job)?.whole();
        copy_tensors(&self.program, &mut program);
        Steps::new(self.job, program, self.at)
    }

    /// The program with its tensors.
    pub fn program(&self) -> &Compiled {
        &self.program
    }

    /// Samples in a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Does a step, from fetching its samples on.
    pub fn step(&mut self) {
        self.gather();
        let _ = self.program.train_step(self.at.variant, self.batch, self.at.clock);
        self.advance();
    }

    /// Does a step call by call: see [`Compiled::train_step_by_calls`].
    pub fn step_by_calls(&mut self, observe: Observe<'_>) {
        self.gather();
        self.program.train_step_by_calls((self.at.variant, self.batch), self.at.clock, observe);
        self.advance();
    }

    fn gather(&mut self) {
        for (field, &from) in self.fields.iter().enumerate() {
            let (data, rows) = (&self.job.data, &self.order[self.seen..self.seen + self.batch]);
            self.program.fill(Entry::Train(self.at.variant), self.batch, field, &data.batch(Split::Train, rows, from));
        }
    }

    fn advance(&mut self) {
        let left = self.order.len().saturating_sub(self.seen + self.batch);
        self.seen = if left < self.batch { 0 } else { self.seen + self.batch };
        let Clock { step, epoch, progress } = self.at.clock;
        self.at.clock = Clock { step: step + 1, epoch: epoch + 1.0 / self.per_epoch as f64, progress };
    }
}

/// The program of a job in machine code, with its start values.
fn compiled(job: &Job) -> Result<Compiled, Exit> {
    let program = job.evaluator().compiled(&job.built);
    let mut program = program.map_err(|error| output::fail(&error.to_string(), None))?;
    program.init(job.plan.seed);
    Ok(program)
}

fn copy_tensors(from: &dyn Program, to: &mut Compiled) {
    for tensor in 0..from.description().tensors.len() {
        to.write(tensor, &from.read(tensor));
    }
}
