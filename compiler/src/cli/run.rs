//! `spnc run`: compile, train, and say what became of the network.

use std::path::PathBuf;

use spnc_runtime::store::Folder;

use super::evaluator;
use super::exit::Exit;
use super::job::{self, Job, Keeper, Purpose, Setup, Training};
use super::output;
use super::source::Source;

/// Compile and train a program, and say what became of it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Train every phase for so many epochs, whatever the program says.
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
    #[command(flatten)]
    training: Training,
}

const EXAMPLES: &str = "\
Examples:
  spnc run examples/quickstart.spnet
  spnc run model.spnet --set lambda=1e-4 --epochs 5 --limit 1000
  spnc run model.spnet --init runs/model-1 --json | jq .reports
  spnc run model.spnet --checkpoint-every epoch

Exit status:
  3 a budget was missed; 4 a number became infinite, or is none; 130 interrupted: the running step was
  finished, and the run saved, so that `spnc resume` can go on with it";

/// Compiles, trains, says, saves.
pub fn run(args: &Args) -> Result<(), Exit> {
    let setup = Setup {
        source: args.source.clone(),
        evaluator: args.evaluator,
        epochs: args.epochs,
        batch: None,
        limit: args.limit.map(|limit| limit as usize),
        seed: args.seed,
        init: args.init.clone(),
    };
    let mut job = Job::new(setup, Purpose::Training)?;
    let mut program = job.program()?;
    if let Some(path) = &args.init {
        job::start_from(program.as_mut(), path)?;
    }
    let folder = claim(args, &job)?;
    job.say_compiled(args.training.show);
    let keeper = Keeper::new(folder, job.origin(), job.front.texts(), args.training.checkpoint_every);
    job.train(program.as_mut(), keeper, None, args.training.show)
}

fn claim(args: &Args, job: &Job) -> Result<Folder, Exit> {
    let folder = match &args.out {
        Some(path) => Folder::claim_at(path),
        None => Folder::claim(std::path::Path::new("runs"), &job.front.name()),
    };
    folder.map_err(|error| output::data_error(&error))
}
