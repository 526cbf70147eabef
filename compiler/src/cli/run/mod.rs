//! `spnc run`: compile, train, and say what became of the network.

mod closing;
mod progress;
mod table;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indexmap::IndexMap;
use ndarray::ArrayD;
use serde_json::json;
use spnc_runtime::data::Dataset;
use spnc_runtime::program::Program;
use spnc_runtime::store::{self, Folder, Report, Seconds};
use spnc_runtime::train::{self, Outcome, Phase, Stage, TrainError};

use self::closing::Closing;
use self::progress::{Show, Watcher};
use super::evaluator::{self, Evaluator};
use super::exit::Exit;
use super::front::Front;
use super::output;
use super::source::Source;
use crate::exec::{BatchSizes, Built};
use crate::model::Model;
use crate::tir::interp::Tensor;

/// Compile and train a program, and say what became of it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Train for so many epochs, whatever the program says.
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Use only so many samples of each split, the first ones.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Keep the run in this folder, which must be new or empty [default: runs/NAME-1, runs/NAME-2, …].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Start values by path: an npz or safetensors file, or the folder of a run.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    #[command(flatten)]
    evaluator: evaluator::Choice,
    /// Draw start values, batches and everything random from this seed, whatever the program says.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print one object a line on standard output: `compiled`, an `epoch` each, `done`.
    #[arg(long)]
    json: bool,
    /// Print nothing but errors.
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  spnc run examples/quickstart.spnet
  spnc run model.spnet --set lambda=1e-4 --epochs 5 --limit 1000
  spnc run model.spnet --init runs/model-1 --json | jq .reports

Exit status:
  3 a budget was missed; 4 a number became infinite, or is none; 130 interrupted: the running step was
  finished, and the run saved";

/// Compiles, trains, says, saves.
pub fn run(args: &Args) -> Result<(), Exit> {
    let start = Instant::now();
    let mut front = Front::new(&args.source);
    let model = front.model()?;
    let plan = plan(args, &model)?;
    let data = front.take_data(&model)?;
    let batches = plan.batches(&data);
    let sizes = BatchSizes { train: batches.train_sizes(), evaluate: batches.evaluate_sizes() };
    let built = Built::new(&model, &front.sources, &sizes);
    let mut program = args.evaluator.program(&built)?;
    let compile = (start.elapsed() - front.files.reading).as_secs_f64();
    program.init(plan.seed);
    if let Some(path) = &args.init {
        let values = store::read_start_values(path).map_err(|error| output::data_error(&error))?;
        store::apply_start_values(program.as_mut(), &values).map_err(|error| output::data_error(&error))?;
    }
    let folder = claim(args, &front)?;
    let mut job = Job { args, front, model, built, plan, data, compile };
    job.say_compiled();
    let outcome = job.train(program.as_mut())?;
    job.finish(program.as_mut(), outcome, folder)
}

/// What is trained, and how.
struct Job<'a> {
    args: &'a Args,
    front: Front,
    model: Model,
    built: Built,
    plan: train::Plan,
    data: Dataset,
    /// Seconds from text to machine code; reading data is not compiling.
    compile: f64,
}

fn plan(args: &Args, model: &Model) -> Result<train::Plan, Exit> {
    let Some(plan) = &model.plan else {
        return Err(output::fail("the program has no `train { … }`, so there is nothing to run", None));
    };
    let phase = Phase { epochs: args.epochs.unwrap_or(plan.epochs), ..Phase::default() };
    Ok(train::Plan {
        batch: plan.batch,
        seed: args.seed.unwrap_or(plan.seed),
        limit: args.limit.map(|limit| limit as usize),
        stages: vec![Stage::Phase(phase)],
    })
}

fn claim(args: &Args, front: &Front) -> Result<Folder, Exit> {
    let folder = match &args.out {
        Some(path) => Folder::claim_at(path),
        None => Folder::claim(std::path::Path::new("runs"), &front.name()),
    };
    folder.map_err(|error| output::data_error(&error))
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

impl Job<'_> {
    fn show(&self) -> Show {
        match (self.args.json, self.args.quiet) {
            (true, _) => Show::Json,
            (false, true) => Show::Nothing,
            (false, false) => Show::Live,
        }
    }

    fn say_compiled(&self) {
        if self.show() != Show::Json {
            return;
        }
        let tensors = &self.built.interface.description.tensors;
        output::print_json(&json!({
            "event": "compiled",
            "program": self.front.name(),
            "seconds": self.compile,
            "parameters": tensors.iter().filter(|t| t.role == spnc_runtime::program::Role::Param).map(|t| {
                t.shape.iter().product::<usize>()
            }).sum::<usize>(),
            "epochs": self.plan.epochs(),
            "seed": self.plan.seed,
        }));
    }

    fn train(&mut self, program: &mut dyn Program) -> Result<Outcome, Exit> {
        let kinds = self.model.terms.iter().map(|term| term.kind).collect();
        let mut watcher = Watcher::new(self.show(), self.plan.epochs(), kinds);
        let start = Instant::now();
        let now = || start.elapsed().as_secs_f64();
        let stop = stop_on_interrupt();
        let outcome = train::train(program, &self.data, &self.plan, &now, &mut watcher, &stop);
        watcher.finish();
        outcome.map_err(|error| {
            output::note(&format!("error[{}]: {error}", error.code()));
            match error {
                TrainError::NonFinite { .. } => Exit::BadNumbers,
                TrainError::Field { .. } | TrainError::Checkpoint { .. } => Exit::Errors,
            }
        })
    }

    /// Counts, saves and says.
    fn finish(&self, program: &mut dyn Program, outcome: Outcome, folder: Folder) -> Result<(), Exit> {
        let closing = self.closing(program, &outcome);
        let report = self.report(&closing, &outcome);
        let run = store::Run { model: store::Model::of(program), history: outcome.records, report };
        let path = folder.save(&run, &self.texts()).map_err(|error| output::data_error(&error))?;
        match self.show() {
            Show::Live => {
                output::print(&table::text(&closing, run.report.metrics.iter(), run.report.seconds));
                output::print(&format!("saved      {}\n", path.display()));
            }
            Show::Json => {
                output::print_json(&Done { event: "done", folder: path.display().to_string(), report: &run.report })
            }
            Show::Nothing => {}
        }
        if outcome.interrupted {
            output::note(&format!("interrupted: {} steps were done, saved in {}", outcome.clock.step, path.display()));
            return Err(Exit::Interrupted);
        }
        if closing.meets_budgets() { Ok(()) } else { Err(Exit::BudgetMissed) }
    }

    fn closing(&self, program: &dyn Program, outcome: &Outcome) -> Closing {
        let infos = &self.built.interface.description.tensors;
        let scalar = |x: f64| Some(ArrayD::from_elem(vec![], x));
        let given = |name: &str| -> Option<Tensor> {
            match name {
                "seed" => scalar(f64::from(self.plan.seed as u32 as i32)),
                "step" => scalar(outcome.clock.step as f64),
                "epoch" => scalar(outcome.clock.epoch),
                "progress" => scalar(outcome.clock.progress),
                _ => {
                    let literals = &self.built.interface.literals;
                    let literal = literals.iter().find(|(known, _)| **known == *name).map(|(_, value)| value.clone());
                    let tensor = || infos.iter().position(|info| info.name == name).map(|index| program.read(index));
                    literal.or_else(tensor)
                }
            }
        };
        Closing::new(&self.model, &self.front.sources, &given)
    }

    fn report(&self, closing: &Closing, outcome: &Outcome) -> Report {
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: format!("{}.spnet", self.front.name()),
            program_hash: store::hash(self.front.text()),
            data_hash: if self.model.data.is_empty() { String::new() } else { self.data.hash() },
            seed: self.plan.seed,
            settings: self.settings(),
            epochs: outcome.clock.epoch,
            steps: outcome.clock.step,
            interrupted: outcome.interrupted,
            seconds: Seconds { compile: self.compile, train: outcome.seconds },
            metrics: outcome.metrics.clone(),
            sparsity: closing.sparsity.clone(),
            budgets: closing.budgets.clone(),
            remaining: closing.remaining,
        }
    }

    fn settings(&self) -> IndexMap<String, String> {
        let sets = self.args.source.set.iter().map(|set| (set.name.clone(), set.value.clone()));
        let limit = self.plan.limit.map(|limit| ("--limit".to_owned(), limit.to_string()));
        let evaluator = match self.args.evaluator.evaluator {
            Evaluator::Jit => "jit",
            Evaluator::Interpreter => "interpreter",
        };
        let epochs = [("--epochs".to_owned(), self.plan.epochs().to_string())];
        let evaluator = [("--evaluator".to_owned(), evaluator.to_owned())];
        sets.chain(epochs).chain(limit).chain(evaluator).collect()
    }

    /// The program's files: its own, and the modules that it imports, the library aside.
    fn texts(&self) -> Vec<(String, String)> {
        self.front.texts()
    }
}

#[derive(serde::Serialize)]
struct Done<'a> {
    event: &'static str,
    folder: String,
    #[serde(flatten)]
    report: &'a Report,
}
