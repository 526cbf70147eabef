//! How a command ends when it does not simply end.

use std::process::ExitCode;

/// Why the exit status is not 0. What there is to say has been said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Errors in the program, its data or files.
    Errors,
    /// It ran, but a budget was missed.
    BudgetMissed,
    /// A number became infinite, or is none.
    BadNumbers,
    /// Stopped by Ctrl-C.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        // 2 is clap's: a wrong command line.
        ExitCode::from(match exit {
            Exit::Errors => 1,
            Exit::BudgetMissed => 3,
            Exit::BadNumbers => 4,
            Exit::Interrupted => 130,
        })
    }
}
