//! `spnc opt`: passes over a file of tensor IR.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;

use super::exit::Exit;
use super::output;
use crate::pass;
use crate::tir::{Module, parse, verify};
use crate::{ad, tir};

/// Run passes over a file of tensor IR, and print what becomes of it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  spnc emit model.spnet --stage tir > model.tir\n  spnc opt model.tir --passes grad,simplify,dce"
)]
pub struct Args {
    /// The file, as `spnc emit --stage tir` prints it; `-` reads standard input.
    file: PathBuf,
    /// The passes, in order; `grad` writes out the derivatives. Without it: all of them, as `spnc run` does.
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(pass_names()))]
    passes: Option<Vec<String>>,
}

const GRAD: &str = "grad";

fn pass_names() -> Vec<&'static str> {
    std::iter::once(GRAD).chain(pass::ALL.iter().map(|pass| pass.name)).collect()
}

/// Prints the module after the passes.
pub fn run(args: &Args) -> Result<(), Exit> {
    let mut module = read(args)?;
    for func in &mut module.funcs {
        match &args.passes {
            Some(names) => names.iter().for_each(|name| run_pass(name, func)),
            None => {
                pass::run(func, pass::BEFORE_GRAD, |_, _| ());
                *func = ad::grad(func);
                pass::run(func, pass::O1, |_, _| ());
            }
        }
    }
    output::print(&module.to_string());
    Ok(())
}

fn run_pass(name: &str, func: &mut tir::Func) {
    if name == GRAD {
        *func = ad::grad(func);
    } else {
        let pass = *pass::named(name).expect("the command line takes known passes only");
        pass::run(func, &[pass], |_, _| ());
    }
}

/// The module in the file, which must be valid.
fn read(args: &Args) -> Result<Module, Exit> {
    let text = output::read(&args.file)?;
    let name = args.file.display();
    let module = parse::module(&String::from_utf8_lossy(&text))
        .map_err(|error| output::fail(&format!("{name}: {error}"), None))?;
    match verify::verify_module(&module) {
        Ok(()) => Ok(module),
        Err(errors) => {
            errors.iter().for_each(|(func, error)| output::note(&format!("error: {name}: in {func}, {error}")));
            Err(Exit::Errors)
        }
    }
}
