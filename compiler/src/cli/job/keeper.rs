//! Keeping a run while it trains.

use std::str::FromStr;

use spnc_runtime::store::{Folder, Origin};
use spnc_runtime::train::{Checkpoint, Position};

use crate::cli::output;

/// How often a run is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After every so many steps.
    Steps(u64),
    /// After every epoch.
    Epoch,
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Every, String> {
        match (text, text.parse()) {
            ("epoch", _) => Ok(Every::Epoch),
            (_, Ok(steps @ 1..)) => Ok(Every::Steps(steps)),
            (_, Ok(0) | Err(_)) => Err("expected `epoch`, or a number of steps".to_owned()),
        }
    }
}

/// Writes the checkpoints of a run.
#[derive(Debug)]
pub struct Keeper {
    /// Where to.
    pub folder: Folder,
    /// What the run is made of.
    pub origin: Origin,
    texts: Vec<(String, String)>,
    every: Option<Every>,
}

impl Keeper {
    /// A keeper of a run of this origin and these texts.
    pub fn new(folder: Folder, origin: Origin, texts: Vec<(String, String)>, every: Option<Every>) -> Keeper {
        Keeper { folder, origin, texts, every }
    }

    /// Whether a checkpoint is due.
    pub fn is_due(&self, at: &Position) -> bool {
        match self.every {
            None => false,
            Some(Every::Steps(every)) => at.index > 0 && at.steps.is_multiple_of(every),
            Some(Every::Epoch) => at.index == 0,
        }
    }

    /// Writes a checkpoint. Where that fails the one before it stays, and the run goes on.
    pub fn keep(&mut self, checkpoint: &Checkpoint) {
        if let Err(error) = self.folder.checkpoint(&self.origin, checkpoint, &self.texts) {
            output::note(&format!("warning[{}]: {error}, so this checkpoint is lost", error.code()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_kept_after_steps_or_epochs() {
        assert_eq!("epoch".parse(), Ok(Every::Epoch));
        assert_eq!("100".parse(), Ok(Every::Steps(100)));
        for wrong in ["0", "-1", "epochs", ""] {
            assert!(wrong.parse::<Every>().is_err(), "{wrong}");
        }
    }
}
