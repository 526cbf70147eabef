//! What is timed: a program at its start, or the network of a run as it was left.

use std::path::Path;

use indexmap::IndexMap;
use ndarray::ArrayD;
use spnc_runtime::data::DataError;
use spnc_runtime::program::{Clock, Program};
use spnc_runtime::store::{self, Origin};
use spnc_runtime::train::{Checkpoint, Phase, Plan, Stage};

use super::Args;
use crate::cli::evaluator::{self, Evaluator, Form, Kernels};
use crate::cli::exit::Exit;
use crate::cli::job::{self, Job, Purpose, Setup};
use crate::cli::output;
use crate::cli::source::Source;
use crate::exec::Compiled;

/// A program with the tensors that it is timed with.
pub struct Subject {
    /// The program.
    pub job: Job,
    /// Its code and tensors.
    pub program: Compiled,
    /// Where it is.
    pub clock: Clock,
    /// Where in its training it is; `None` where it can't be trained.
    pub at: Option<Place>,
}

/// A place in the training of a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Which updates the steps do.
    pub variant: usize,
    /// What they are told.
    pub clock: Clock,
}

/// What the folder of a run holds.
enum Saved {
    /// A run that was saved, to its end or interrupted.
    Run(Box<store::Run>),
    /// A run that was killed: all that is left is what was kept on its way.
    Kept(Box<(Origin, Checkpoint)>),
}

impl Subject {
    /// Compiles the program, and gives its tensors their values.
    ///
    /// # Errors
    ///
    /// What is wrong with it, its data or the folder, which has been said.
    pub fn load(args: &Args) -> Result<Subject, Exit> {
        match &args.subject {
            path if path.is_dir() => of_run(args),
            path if path.exists() || path == Path::new("-") => of_file(args),
            path => Err(output::fail(
                &format!("there is no `{}`: expected a program or the folder of a run", path.display()),
                Some("`spnc bench model.spnet`, or `spnc run model.spnet` first and `spnc bench runs/model-1` then"),
            )),
        }
    }
}

fn of_file(args: &Args) -> Result<Subject, Exit> {
    let source = Source { file: args.subject.clone(), set: args.set.clone(), data: args.data.clone() };
    let evaluator = evaluator::Choice {
        evaluator: Evaluator::Jit,
        threads: args.threads,
        kernels: Kernels::Native,
        forms: Form::Live,
    };
    let (batch, init) = (args.batch.map(Into::into), args.init.clone());
    let mut job =
        Job::new(Setup { source, evaluator, batch, init, epochs: None, limit: None, seed: None }, Purpose::Timing)?;
    let mut program = job.compiled()?;
    if let Some(path) = &args.init {
        job::start_from(&mut program, path)?;
    }
    let at = place(&job.plan, 0.0, 0);
    for stage in &job.plan.stages {
        match stage {
            Stage::Fire(event) => program.fire(*event, Clock::START),
            Stage::Phase(_) => break,
        }
    }
    Ok(Subject { job, program, clock: at.map_or(Clock::START, |at| at.clock), at })
}

fn of_run(args: &Args) -> Result<Subject, Exit> {
    if !args.set.is_empty() || args.init.is_some() {
        let message = "a run has its constants and its tensors already: `--set` and `--init` are for programs";
        return Err(output::fail(message, Some("bench the program in its folder")));
    }
    let saved = Saved::read(&args.subject).map_err(|error| output::data_error(&error))?;
    let setup = Setup::of_run(&args.subject, saved.origin(), &args.data, args.threads)?;
    let setup = Setup { batch: args.batch.map(Into::into), ..setup };
    let mut job = Job::of_origin(&args.subject, saved.origin(), setup, Purpose::Timing)?;
    let mut program = job.compiled()?;
    let ended = match &saved {
        Saved::Run(run) => {
            store::apply_model(&mut program, &run.model).map_err(|error| output::data_error(&error))?;
            run.report.clock()
        }
        Saved::Kept(kept) => {
            let (_, checkpoint) = &**kept;
            write(&mut program, &checkpoint.tensors);
            let per_epoch = job.plan.batches(&job.data).per_epoch;
            let steps = checkpoint.position.steps;
            Clock { step: steps, epoch: steps as f64 / per_epoch as f64, progress: 1.0 }
        }
    };
    let at = place(&job.plan, ended.epoch, ended.step);
    Ok(Subject { job, program, clock: at.map_or(ended, |at| at.clock), at })
}

/// Gives a program its tensors of a checkpoint; states that were carried in batches of another size stay as they begin.
fn write(program: &mut Compiled, tensors: &IndexMap<String, ArrayD<f64>>) {
    for (index, info) in program.description().tensors.clone().iter().enumerate() {
        if let Some(value) = tensors.get(&info.name).filter(|value| value.shape() == info.shape) {
            program.write(index, value);
        }
    }
}

impl Saved {
    fn read(folder: &Path) -> Result<Saved, DataError> {
        match store::read(folder) {
            Ok(run) => Ok(Saved::Run(Box::new(run))),
            Err(error) => match store::read_checkpoint(folder) {
                Ok(kept) => Ok(Saved::Kept(Box::new(kept))),
                Err(_) => Err(error),
            },
        }
    }

    fn origin(&self) -> &Origin {
        match self {
            Saved::Run(run) => &run.report.origin,
            Saved::Kept(kept) => &kept.0,
        }
    }
}

/// Where a plan is after so many epochs.
pub fn place(plan: &Plan, epochs: f64, step: u64) -> Option<Place> {
    let (phase, progress) = phase(plan, epochs)?;
    Some(Place { variant: phase.variant, clock: Clock { step, epoch: epochs, progress } })
}

/// The phase that a plan is in after so many epochs, and the share of it that is done; the last one for a plan that is done.
fn phase(plan: &Plan, epochs: f64) -> Option<(&Phase, f64)> {
    let mut begin = 0.0;
    for phase in plan.phases() {
        let length = phase.epochs as f64;
        if epochs < begin + length {
            return Some((phase, (epochs - begin) / length));
        }
        begin += length;
    }
    plan.phases().last().map(|phase| (phase, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_in_the_phase_that_its_epochs_have_reached() {
        let phase = |variant, epochs| Stage::Phase(Phase { variant, epochs, ..Phase::default() });
        let plan = Plan { stages: vec![phase(0, 4), Stage::Fire(0), phase(1, 2)], ..Plan::default() };
        let at = |epochs| place(&plan, epochs, 0).map(|place| (place.variant, place.clock.progress));
        assert_eq!(at(0.0), Some((0, 0.0)));
        assert_eq!(at(3.0), Some((0, 0.75)));
        assert_eq!(at(4.0), Some((1, 0.0)));
        assert_eq!(at(6.0), Some((1, 1.0)));
        assert_eq!(place(&Plan::default(), 0.0, 0), None);
    }
}
