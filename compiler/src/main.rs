//! The `spnc` binary: all of it is in [`spnc::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    spnc::cli::main()
}
