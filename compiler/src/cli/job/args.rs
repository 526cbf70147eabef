//! What the commands about runs have in common on the command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::{Every, Show};
use crate::cli::source::folder;

/// A run that was made before, and what it needs on this machine.
#[derive(Debug, clap::Args)]
pub struct OfRun {
    /// The folder of the run.
    pub run: PathBuf,
    /// Look for data here first.
    #[arg(long, value_name = "DIR", value_parser = folder())]
    pub data: Vec<PathBuf>,
    /// How many threads run the machine code [default: one for each processor]; the result is the same for any number.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// What becomes of a run while it trains.
#[derive(Debug, clap::Args)]
pub struct Training {
    /// Keep the run after every so many steps, or after every `epoch`, so that `spnc resume` can go on with it.
    #[arg(long, value_name = "N|epoch")]
    pub checkpoint_every: Option<Every>,
    /// How much is shown.
    #[command(flatten)]
    pub show: Show,
}
