//! `spnc explain`: what a diagnostic code means.

use super::exit::Exit;
use super::output;

/// The pages of `docs/errors`, by code.
const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/error_pages.rs"));

/// Explain a diagnostic code: what it means, a wrong example, a right one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spnc explain E0301")]
pub struct Args {
    /// The code, as messages print it: E0301.
    code: String,
}

/// Prints the page of a code.
pub fn run(args: &Args) -> Result<(), Exit> {
    let code = args.code.to_uppercase();
    match PAGES.iter().find(|(known, _)| *known == code) {
        Some((_, page)) => {
            output::print(page);
            Ok(())
        }
        None => Err(output::fail(&format!("there is no diagnostic `{}`", args.code), nearest(&code).as_deref())),
    }
}

fn nearest(code: &str) -> Option<String> {
    let distance = |known: &str| strsim::osa_distance(known, code);
    let (known, _) = PAGES.iter().min_by_key(|(known, _)| distance(known)).filter(|(known, _)| distance(known) < 3)?;
    Some(format!("spnc explain {known}"))
}
