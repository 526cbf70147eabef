//! `spnc check`: every mistake, and nothing else.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::exit::Exit;
use super::front::Front;
use super::output;
use super::source::{Setting, Source};
use crate::diag;

/// Check programs: every mistake, and nothing else.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  spnc check model.spnet\n  cat model.spnet | spnc check - --json")]
pub struct Args {
    /// The programs; `-` reads standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Set a constant of the programs, once for each constant: `--set lambda=1e-4`.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<Setting>,
    /// Look for data here, after the program's own folder and before `SPNET_DATA`.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// Print an object a program on standard output: `file` and `diagnostics`.
    #[arg(long)]
    json: bool,
}

/// Checks one program after the other.
pub fn run(args: &Args) -> Result<(), Exit> {
    let mut result = Ok(());
    for file in &args.files {
        let source = Source { file: file.clone(), set: args.set.clone(), data: args.data.clone() };
        result = check(&source, args.json).and(result);
    }
    result
}

fn check(source: &Source, json: bool) -> Result<(), Exit> {
    let mut front = Front::new(source);
    let stage = front.elaborate()?.map(|_| ());
    if !json {
        return front.expect(stage);
    }
    let mistakes = stage.err().unwrap_or_default();
    let diagnostics: Vec<Value> = mistakes.iter().map(|mistake| diag::to_json(mistake, &front.sources)).collect();
    output::print_json(&json!({ "file": source.file.display().to_string(), "diagnostics": diagnostics }));
    if mistakes.is_empty() { Ok(()) } else { Err(Exit::Errors) }
}
