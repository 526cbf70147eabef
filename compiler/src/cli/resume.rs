//! `spnc resume`: go on with a run that was interrupted.

use serde_json::json;
use spnc_runtime::store::{self, Folder};

use super::exit::Exit;
use super::job::{Job, Keeper, OfRun, Purpose, Setup, Training};
use super::output;

/// Go on with a run that was interrupted, as if it had never been.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    of: OfRun,
    #[command(flatten)]
    training: Training,
}

const EXAMPLES: &str = "\
Examples:
  spnc resume runs/model-1
  spnc resume runs/model-1 --checkpoint-every 1000

The program is the copy in the folder of the run; constants, seed and everything else are those of the run.";

/// Compiles, goes on from the checkpoint, says, saves.
pub fn run(args: &Args) -> Result<(), Exit> {
    let (folder, origin, checkpoint) = Folder::open(&args.of.run).map_err(|error| output::data_error(&error))?;
    let mut job = Job::new(Setup::of_run(&args.of.run, &origin, &args.of.data, args.of.threads)?, Purpose::Training)?;
    if let Some(difference) = origin.difference(&job.origin()) {
        return Err(output::data_error(&store::changed(&args.of.run, &difference)));
    }
    let mut program = job.program()?;
    job.say_compiled(args.training.show);
    let position = checkpoint.position;
    match args.training.show.json {
        true => output::print_json(&json!({ "event": "resumed", "step": position.steps, "epoch": position.epochs })),
        false if !args.training.show.quiet => output::print(&format!("resumed    after step {}\n", position.steps)),
        false => {}
    }
    let keeper = Keeper::new(folder, origin, job.front.texts(), args.training.checkpoint_every);
    job.train(program.as_mut(), keeper, Some(&checkpoint), args.training.show)
}
