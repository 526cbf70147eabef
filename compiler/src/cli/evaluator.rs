//! What runs a program: machine code or the interpreter.

use std::num::NonZeroUsize;

use clap::ValueEnum;
use spnc_runtime::program::Program;

use super::exit::Exit;
use super::output;
use crate::codegen::{self, Options, Target};
use crate::exec::{Built, Compiled, Interpreted};

/// How a program is run.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Choice {
    /// What runs it: machine code in single precision, or the interpreter in double.
    #[arg(long, value_enum, default_value_t = Evaluator::Jit)]
    pub evaluator: Evaluator,
    /// How many threads run the machine code [default: one for each processor]; the result is the same for any number.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Which instructions machine code may use; results differ by rounding.
    #[arg(long, value_enum, default_value_t = Kernels::Native)]
    pub kernels: Kernels,
    /// Which form steps of training have; results differ by rounding.
    #[arg(long, value_enum, default_value_t = Form::Live)]
    pub forms: Form,
}

/// What runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Evaluator {
    /// Machine code, in single precision.
    Jit,
    /// The reference interpreter, in double precision.
    Interpreter,
}

/// Which instructions machine code may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kernels {
    /// All that this machine has.
    Native,
    /// Those that every supported machine has.
    Portable,
}

/// Which form steps of training have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Where channels, neurons or hidden units are zero, only what is alive is computed.
    Live,
    /// Everything is computed, zeros too.
    Whole,
}

impl Choice {
    /// What machine code is generated for, and run by.
    pub fn options(self) -> Options {
        let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let target = match self.kernels {
            Kernels::Native => Target::Native,
            Kernels::Portable => Target::Baseline,
        };
        Options { threads: self.threads.unwrap_or_else(processors), target }
    }

    /// The program, ready to be trained.
    ///
    /// # Errors
    ///
    /// When there is no machine code for this machine, which has been said.
    pub fn program(self, built: &Built) -> Result<Box<dyn Program>, Exit> {
        match self.evaluator {
            Evaluator::Interpreter => Ok(Box::new(Interpreted::new(built))),
            Evaluator::Jit => match self.compiled(built) {
                Ok(compiled) => Ok(Box::new(compiled)),
                Err(error) => Err(output::fail(&error.to_string(), Some("--evaluator interpreter"))),
            },
        }
    }

    /// The program in machine code, whatever the evaluator.
    ///
    /// # Errors
    ///
    /// When there is none for this machine.
    pub fn compiled(self, built: &Built) -> Result<Compiled, codegen::Error> {
        let compiled = Compiled::new(built, self.options())?;
        Ok(match self.forms {
            Form::Live => compiled,
            Form::Whole => compiled.whole(),
        })
    }
}
