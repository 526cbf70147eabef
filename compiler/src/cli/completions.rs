//! `spnc completions`: what a shell needs to complete the command line.

use clap_complete::Shell;

use super::exit::Exit;
use super::output;

/// Print the completions of a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spnc completions fish > ~/.config/fish/completions/spnc.fish")]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> Result<(), Exit> {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut super::command(), "spnc", &mut script);
    output::print(&String::from_utf8_lossy(&script));
    Ok(())
}
