//! A program and all that it takes to train or to evaluate it: what `run`, `resume`, `eval` and `predict` have in common.

mod args;
mod closing;
mod keeper;
mod progress;
mod setup;
mod table;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ndarray::ArrayD;
use serde_json::json;
use sha2::{Digest, Sha256};
use spnc_runtime::data::Dataset;
use spnc_runtime::program::{Clock, Program, Role};
use spnc_runtime::store::{self, Origin, Report, Seconds, StepSeconds};
use spnc_runtime::train::{self, Checkpoint, EpochRecord, Observer, Outcome, Position, Progress, TrainError};

pub use self::args::{OfRun, Training};
pub use self::keeper::{Every, Keeper};
pub use self::progress::Show;
pub use self::setup::Setup;

use self::closing::Closing;
use self::progress::Watcher;
use super::bench;
use super::evaluator;
use super::exit::Exit;
use super::front::{Front, Stage};
use super::output;
use crate::diag::Diagnostic;
use crate::exec::{self, BatchSizes, Built, Compiled};
use crate::lower::interface;
use crate::model::Model;
use crate::tir::interp::Tensor;

/// A program, compiled.
#[derive(Debug)]
pub struct Job {
    setup: Setup,
    /// Its texts.
    pub front: Front,
    /// The program.
    pub model: Model,
    /// Its plan.
    pub plan: train::Plan,
    /// Its data.
    pub data: Dataset,
    /// Its functions.
    pub built: Built,
    /// When compiling began.
    start: Instant,
    /// Seconds from text to machine code; reading data is not compiling.
    compile: f64,
}

/// What a program is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Training, and the evaluation of what reports are about.
    Training,
    /// The evaluation of every split.
    Evaluation,
    /// The evaluation of what reports are about.
    Reports,
    /// Neither: other functions of it are compiled.
    Prediction,
    /// Timing it: what training needs, if it can be trained.
    Timing,
}

impl Job {
    /// Compiles a program as far as its functions.
    ///
    /// # Errors
    ///
    /// What is wrong with it or its data, which has been said.
    pub fn new(setup: Setup, purpose: Purpose) -> Result<Job, Exit> {
        Job::elaborated(setup, purpose, Front::elaborate)
    }

    fn elaborated(
        setup: Setup,
        purpose: Purpose,
        elaborate: fn(&mut Front) -> Result<Stage<Model>, Exit>,
    ) -> Result<Job, Exit> {
        let start = Instant::now();
        let mut front = Front::new(&setup.source);
        let stage = elaborate(&mut front)?;
        let mut model = front.expect(stage)?;
        if let (Some(plan), Some(batch)) = (&mut model.plan, setup.batch) {
            plan.batch = Some(batch);
        }
        let plan = plan(&setup, &front, &model, purpose)?;
        let data = front.take_data(&model)?;
        let built = Built::new(&model, &front.sources, &sizes(&plan, &data, purpose));
        Ok(Job { setup, front, model, plan, data, built, start, compile: 0.0 })
    }

    /// The program with its start values.
    ///
    /// # Errors
    ///
    /// When there is no machine code for this machine, which has been said.
    pub fn program(&mut self) -> Result<Box<dyn Program>, Exit> {
        let mut program = self.setup.evaluator.program(&self.built)?;
        self.begin(program.as_mut());
        Ok(program)
    }

    /// The same in machine code, whatever the evaluator.
    ///
    /// # Errors
    ///
    /// As for [`Job::program`].
    pub fn compiled(&mut self) -> Result<Compiled, Exit> {
        let compiled = self.setup.evaluator.compiled(&self.built);
        let mut compiled = compiled.map_err(|error| output::fail(&error.to_string(), None))?;
        self.begin(&mut compiled);
        Ok(compiled)
    }

    /// Ends compiling, and gives the tensors their start values.
    fn begin(&mut self, program: &mut dyn Program) {
        self.compile = (self.start.elapsed() - self.front.files.reading).as_secs_f64();
        program.init(self.plan.seed);
    }

    /// A program compiled as the run in `folder` compiled it, and that run.
    ///
    /// # Errors
    ///
    /// When the folder is not that of a whole run, or its program has changed since, which has been said.
    pub fn of_run(
        folder: &Path,
        data: &[PathBuf],
        threads: Option<NonZeroUsize>,
        purpose: Purpose,
    ) -> Result<(Job, store::Run), Exit> {
        let run = store::read(folder).map_err(|error| output::data_error(&error))?;
        let setup = Setup::of_run(folder, &run.report.origin, data, threads)?;
        Ok((Job::of_origin(folder, &run.report.origin, setup, purpose)?, run))
    }

    /// A program compiled as this setup says, if it still is the one of the run in `folder`, which holds its numbers: files that it started
    /// from are not needed again.
    ///
    /// # Errors
    ///
    /// As for [`Job::of_run`].
    pub fn of_origin(folder: &Path, origin: &Origin, setup: Setup, purpose: Purpose) -> Result<Job, Exit> {
        let job = Job::elaborated(setup, purpose, Front::elaborate_without_starts)?;
        let found = Origin { program_hash: job.origin().program_hash, ..origin.clone() };
        match origin.difference(&found) {
            Some(difference) => Err(output::data_error(&store::changed(folder, &difference))),
            None => Ok(job),
        }
    }

    /// What is left of a program with these numbers: what a report says of it beside what training did.
    pub fn remaining(&self, program: &dyn Program, clock: Clock) -> (Vec<store::Sparsity>, store::Remaining) {
        let closing = self.closing_at(program, clock);
        (closing.sparsity, closing.remaining)
    }

    /// The time that compiling took.
    pub fn seconds(&self) -> Seconds {
        Seconds { compile: self.compile, train: 0.0, step: None }
    }

    /// What runs it.
    pub fn evaluator(&self) -> evaluator::Choice {
        self.setup.evaluator
    }

    /// What a run of this program is made of.
    pub fn origin(&self) -> Origin {
        let texts: String = self.front.texts().into_iter().map(|(_, text)| text).collect();
        let folders = self.setup.source.search().into_iter();
        Origin {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: format!("{}.spnet", self.front.name()),
            program_hash: store::hash(&texts),
            data_hash: if self.model.data.is_empty() { String::new() } else { self.data.hash() },
            constants_hash: self.constants_hash(),
            seed: self.plan.seed,
            settings: self.setup.settings(),
            folders: folders.map(|folder| std::path::absolute(&folder).unwrap_or(folder)).collect(),
        }
    }

    fn constants_hash(&self) -> String {
        let all = self.built.interface.literals.iter().zip(&self.model.literals);
        let mut literals = all.filter(|(_, literal)| !literal.is_start).map(|(literal, _)| literal).peekable();
        if literals.peek().is_none() {
            return String::new();
        }
        let mut hasher = Sha256::new();
        for (name, value) in literals {
            hasher.update(format!("{name} {:?}\n", value.shape()));
            value.iter().for_each(|x| hasher.update(x.to_le_bytes()));
        }
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Says that the program is compiled, to programs that read it.
    pub fn say_compiled(&self, show: Show) {
        if !show.json {
            return;
        }
        let tensors = self.built.interface.description.tensors.iter();
        let sizes = tensors.filter(|t| t.role == Role::Param).map(|t| t.shape.iter().product::<usize>());
        output::print_json(&json!({
            "event": "compiled",
            "program": self.front.name(),
            "seconds": self.compile,
            "parameters": sizes.sum::<usize>(),
            "epochs": self.plan.epochs(),
            "seed": self.plan.seed,
        }));
    }

    /// Trains, from the start or from a checkpoint; then counts, saves and says.
    ///
    /// # Errors
    ///
    /// When a number went bad, the run cannot be saved, was interrupted or missed a budget, which has been said.
    pub fn train(
        &self,
        program: &mut dyn Program,
        keeper: Keeper,
        from: Option<&Checkpoint>,
        show: Show,
    ) -> Result<(), Exit> {
        let kinds = self.model.terms.iter().map(|term| term.kind).collect();
        let mut session = Session { watcher: Watcher::new(show, self.plan.epochs(), kinds), keeper };
        let start = Instant::now();
        let now = || start.elapsed().as_secs_f64();
        let (stop, watch) = (stop_on_interrupt(), &mut session);
        let outcome = match from {
            None => train::train(program, &self.data, &self.plan, &now, watch, &stop),
            Some(from) => train::resume(program, &self.data, &self.plan, from, &now, watch, &stop),
        };
        session.watcher.finish();
        self.finish(program, outcome.map_err(|error| train_error(&error))?, session.keeper, show)
    }

    fn finish(&self, program: &mut dyn Program, outcome: Outcome, keeper: Keeper, show: Show) -> Result<(), Exit> {
        let closing = self.closing(program, &outcome);
        let is_timed = !closing.choices.is_empty() && !outcome.interrupted;
        // What a step costs is not worth losing the run for.
        let step = if is_timed { bench::step_seconds(self, program, outcome.clock).ok().flatten() } else { None };
        let report = self.report(keeper.origin, &closing, &outcome, step);
        let run = store::Run { model: store::Held::by(program, outcome.clock), history: outcome.records, report };
        let path = keeper.folder.save(&run, &self.front.texts()).map_err(|error| output::data_error(&error))?;
        if show.json {
            output::print_json(&Done { event: "done", folder: path.display().to_string(), report: &run.report });
        } else if !show.quiet {
            output::print(&table::text(&closing, run.report.metrics.iter(), run.report.seconds));
            output::print(&format!("saved      {}\n", path.display()));
        }
        if outcome.interrupted {
            output::note(&format!("interrupted: {} steps were done, saved in {}", outcome.clock.step, path.display()));
            output::note(&format!(" help: go on with it: `spnc resume {}`", path.display()));
            return Err(Exit::Interrupted);
        }
        if closing.meets_budgets() { Ok(()) } else { Err(Exit::BudgetMissed) }
    }

    fn closing(&self, program: &dyn Program, outcome: &Outcome) -> Closing {
        self.closing_at(program, outcome.clock)
    }

    fn closing_at(&self, program: &dyn Program, clock: Clock) -> Closing {
        let infos = &self.built.interface.description.tensors;
        let scalars = exec::scalars(exec::short_seed(self.plan.seed), clock);
        let given = |name: &str| -> Option<Tensor> {
            let scalar = scalars.iter().find(|(known, _)| *known == name).map(|(_, x)| ArrayD::from_elem(vec![], *x));
            let literals = || {
                let mut literals = self.built.interface.literals.iter();
                literals.find(|(known, _)| **known == *name).map(|(_, value)| value.clone())
            };
            let tensor = || infos.iter().position(|info| info.name == name).map(|index| program.read(index));
            scalar.or_else(literals).or_else(tensor)
        };
        Closing { choices: program.choices(), ..Closing::new(&self.model, &self.front.sources, &given) }
    }

    fn report(&self, origin: Origin, closing: &Closing, outcome: &Outcome, step: Option<StepSeconds>) -> Report {
        Report {
            origin,
            epochs: outcome.clock.epoch,
            steps: outcome.clock.step,
            progress: outcome.clock.progress,
            interrupted: outcome.interrupted,
            seconds: Seconds { compile: self.compile, train: outcome.seconds, step },
            metrics: outcome.metrics.clone(),
            sparsity: closing.sparsity.clone(),
            budgets: closing.budgets.clone(),
            remaining: closing.remaining,
            choices: closing.choices.clone(),
        }
    }
}

fn plan(setup: &Setup, front: &Front, model: &Model, purpose: Purpose) -> Result<train::Plan, Exit> {
    let Some(plan) = &model.plan else {
        return match purpose {
            Purpose::Timing => Ok(train::Plan { batch: Some(1), ..train::Plan::default() }),
            Purpose::Training | Purpose::Evaluation | Purpose::Reports | Purpose::Prediction => {
                front.expect(Err(vec![no_plan(front)]))
            }
        };
    };
    Ok(train::Plan {
        batch: plan.batch,
        seed: setup.seed.unwrap_or(plan.seed),
        limit: setup.limit,
        whole_batches: model.states.iter().any(|state| state.carried),
        stages: interface::stages(plan, setup.epochs),
    })
}

/// A program that doesn't say how it is trained; the place is its end, where that could stand.
fn no_plan(front: &Front) -> Diagnostic {
    let title = format!("`{}` has no `train {{ … }}`, so there is nothing to run", front.name());
    let diagnostic = Diagnostic::new("E0514", title, front.end(), "expected `train { … }` after this");
    diagnostic.help("add `train { epochs = 20, batch = 64, optimizer = sgd(lr: 0.1) }`")
}

fn sizes(plan: &train::Plan, data: &Dataset, purpose: Purpose) -> BatchSizes {
    let batches = plan.batches(data);
    match purpose {
        Purpose::Timing if plan.stages.is_empty() => BatchSizes::default(),
        Purpose::Training | Purpose::Timing => {
            BatchSizes { train: batches.train_sizes(), evaluate: batches.evaluate_sizes() }
        }
        Purpose::Evaluation => BatchSizes { train: vec![], evaluate: batches.and_training().evaluate_sizes() },
        Purpose::Reports => BatchSizes { train: vec![], evaluate: batches.evaluate_sizes() },
        Purpose::Prediction => BatchSizes::default(),
    }
}

/// Set by Ctrl-C: the running step is the last one. A second Ctrl-C ends the process at once.
fn stop_on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let handler = move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        output::note(&format!("warning: Ctrl-C will not save the run: {error}"));
    }
    stop
}

/// Gives tensors the start values of a file, or of the folder of a run.
///
/// # Errors
///
/// When it can't be read or is not of this program, which has been said.
pub fn start_from(program: &mut dyn Program, path: &Path) -> Result<(), Exit> {
    let values = store::read_start_values(path).map_err(|error| output::data_error(&error))?;
    store::apply_start_values(program, &values).map_err(|error| output::data_error(&error))
}

/// Says why a run ended early.
pub fn train_error(error: &TrainError) -> Exit {
    output::note(&format!("error[{}]: {error}", error.code()));
    match error {
        TrainError::NonFinite { .. } => Exit::BadNumbers,
        TrainError::Field { .. } | TrainError::Checkpoint { .. } | TrainError::Short { .. } => Exit::Errors,
    }
}

/// Who watches a run: one shows it, one keeps it.
struct Session {
    watcher: Watcher,
    keeper: Keeper,
}

impl Observer for Session {
    fn step(&mut self, progress: &Progress<'_>) {
        self.watcher.step(progress);
    }

    fn epoch(&mut self, record: &EpochRecord) {
        self.watcher.epoch(record);
    }

    fn is_checkpoint_due(&mut self, at: &Position) -> bool {
        self.keeper.is_due(at)
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.keeper.keep(&checkpoint);
    }
}

#[derive(serde::Serialize)]
struct Done<'a> {
    event: &'static str,
    folder: String,
    #[serde(flatten)]
    report: &'a Report,
}
