//! The command line: the only part of the compiler that touches files, the clock and the terminal.
//!
//! A file for each command; what they share is `source` (a program and its settings), `front` (text to model), `job` (model to a
//! program that runs), `world` (data and files as the program sees them) and `exit` (how a command ends).

mod bench;
mod check;
mod completions;
mod emit;
mod eval;
mod evaluator;
mod exit;
mod explain;
mod format;
mod front;
mod grad;
mod gradcheck;
mod gradient;
mod job;
mod math;
mod opt;
mod output;
mod plot;
mod point;
mod predict;
mod resume;
mod run;
mod samples;
mod shrink;
mod source;
mod summary;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Compiles and trains .spnet programs: sparse neural networks, described in text.
#[derive(Debug, Parser)]
#[command(name = "spnc", version, after_help = EXAMPLES, arg_required_else_help = true, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  spnc run examples/quickstart.spnet            train, and say what became zero
  spnc check model.spnet                        every mistake, and nothing else
  spnc emit model.spnet --stage grad            the gradient as IR, line by line
  spnc explain E0301                            what a code means

Exit status:
  0 done; 1 errors in the program, its data or files; 2 wrong command line; 3 ran, but a budget was
  missed; 4 numbers went bad (NaN, infinity); 130 interrupted";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Resume(resume::Args),
    Eval(eval::Args),
    Predict(predict::Args),
    Shrink(shrink::Args),
    Bench(bench::Args),
    Plot(plot::Args),
    Check(check::Args),
    Emit(emit::Args),
    Grad(grad::Args),
    Gradcheck(gradcheck::Args),
    Summary(summary::Args),
    Opt(opt::Args),
    Explain(explain::Args),
    Completions(completions::Args),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Resume(args) => resume::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Shrink(args) => shrink::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Plot(args) => plot::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Emit(args) => emit::run(&args),
        Command::Grad(args) => grad::run(&args),
        Command::Gradcheck(args) => gradcheck::run(&args),
        Command::Summary(args) => summary::run(&args),
        Command::Opt(args) => opt::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    result.err().map_or(ExitCode::SUCCESS, ExitCode::from)
}

/// The command line as clap sees it, for completions and tests.
fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
