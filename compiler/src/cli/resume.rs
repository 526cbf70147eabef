//! `spnc resume`: go on with a run that was interrupted.

use std::path::PathBuf;

use serde_json::json;
use spnc_runtime::store::{self, Folder};

use super::exit::Exit;
use super::job::{Every, Job, Keeper, Purpose, Setup, Show};
use super::output;

/// Go on with a run that was interrupted, as if it had never been.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The folder of the run.
    run: PathBuf,
    /// Look for data here first.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// How many threads run the machine code [default: one for each processor]; the result is the same for any number.
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
    /// Keep the run after every so many steps, or after every `epoch`.
    #[arg(long, value_name = "N|epoch")]
    checkpoint_every: Option<Every>,
    #[command(flatten)]
    show: Show,
}

const EXAMPLES: &str = "\
Examples:
  spnc resume runs/model-1
  spnc resume runs/model-1 --checkpoint-every 1000

The program is the copy in the folder of the run; constants, seed and everything else are those of the run.";

/// Compiles, goes on from the checkpoint, says, saves.
pub fn run(args: &Args) -> Result<(), Exit> {
    let (folder, origin, checkpoint) = Folder::open(&args.run).map_err(|error| output::data_error(&error))?;
    let mut job = Job::new(Setup::of_run(&args.run, &origin, &args.data, args.threads)?, Purpose::Training)?;
    if let Some(difference) = origin.difference(&job.origin()) {
        return Err(output::data_error(&store::changed(&args.run, &difference)));
    }
    let mut program = job.program()?;
    job.say_compiled(args.show);
    let position = checkpoint.position;
    match args.show.json {
        true => output::print_json(&json!({ "event": "resumed", "step": position.steps, "epoch": position.epochs })),
        false if !args.show.quiet => output::print(&format!("resumed    after step {}\n", position.steps)),
        false => {}
    }
    let keeper = Keeper::new(folder, origin, job.front.texts(), args.checkpoint_every);
    job.train(program.as_mut(), keeper, Some(&checkpoint), args.show)
}
