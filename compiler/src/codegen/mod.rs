//! LIR to machine code, by Cranelift.
//!
//! [`compile`] turns every kernel of a module into a function and every [`lir::Func`] into a list of calls, and returns
//! an [`Executable`]: machine code, the arena it works on, and the threads that run it.
//!
//! Generated vectors have 128 bits, which any x86-64 with SSE4.1 and any AArch64 has, and 256 with AVX2, by a back end of our own; wider
//! ones are used by the runtime's routines and matrix products, which generated code calls.

use std::num::NonZeroUsize;

use cranelift::codegen::CodegenError;
use cranelift::prelude::isa::OwnedTargetIsa;
use cranelift::prelude::settings::{self, Configurable, SetError};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Module as _, ModuleError, default_libcall_names};
use spnc_runtime::kernels::Isa;

use crate::lir;

mod arena;
mod call;
mod executable;
mod facts;
mod generate;
mod kernel;
mod memory;
mod plan;
mod point;
mod routines;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod wide;

pub use executable::{Executable, Observe};

/// How code is generated and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many threads run it.
    pub threads: NonZeroUsize,
    /// Which instructions it may use.
    pub target: Target,
}

/// Which instructions generated code and the routines that it calls may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whatever this machine has.
    Native,
    /// What every supported machine has: results are those of a machine without wide vectors.
    Baseline,
}

/// Why there is no machine code. Never the program's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Cranelift knows no code for this machine.
    #[error("no machine code can be generated for this machine: {0}")]
    UnsupportedHost(String),
    /// A setting that this version of Cranelift does not have.
    #[error("the code generator does not know a setting: {0}")]
    Setting(#[from] SetError),
    /// A function that could not be generated.
    #[error("the code generator failed: {0}")]
    Codegen(#[from] Box<CodegenError>),
    /// A function that could not be linked.
    #[error("linking generated code failed: {0}")]
    Link(#[from] Box<ModuleError>),
}

/// The text of a module's kernels, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In Cranelift's intermediate form.
    pub clif: String,
    /// As instructions of this machine.
    pub asm: String,
}

impl Target {
    /// The instructions of routines.
    pub(crate) fn isa(self) -> Isa {
        match self {
            Target::Native => Isa::best(),
            Target::Baseline => Isa::Portable,
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options { threads: NonZeroUsize::MIN, target: Target::Native }
    }
}

/// Generates code for all functions of a module, and lays out its arena, zeroed.
pub fn compile(module: &lir::Module, options: Options) -> Result<Executable, Error> {
    let mut jit = new_jit(options.target)?;
    let ids = generate::define(&mut jit, &module.kernels, options)?;
    jit.finalize_definitions().map_err(Box::new)?;
    let entries: Vec<*const u8> = ids.into_iter().map(|id| jit.get_finalized_function(id)).collect();
    Ok(Executable::new(jit, &entries, module, options))
}

/// Prints the code of all kernels of a module.
pub fn list(module: &lir::Module, target: Target) -> Result<Listing, Error> {
    let mut jit = new_jit(target)?;
    let imports = routines::Imports::declare(&mut jit)?;
    let mut generator = generate::Generator::new(jit.isa(), imports, target.isa());
    let mut listing = Listing::default();
    for (index, kernel) in module.kernels.iter().enumerate() {
        #[cfg(target_arch = "x86_64")]
        if let Some(wide) = generator.wide(index, kernel) {
            listing.clif += &format!("{}\n", generator.context.func.display());
            listing.asm += &format!("k{index}:\n{}\n", wide.text());
            continue;
        }
        generator.build(index, kernel, 4);
        generator.context.set_disasm(true);
        listing.clif += &format!("{}\n", generator.context.func.display());
        let code = generator.context.compile(jit.isa(), &mut Default::default());
        let code = code.map_err(|error| Box::new(error.inner))?;
        listing.asm += &format!("k{index}:\n{}\n", code.vcode.as_deref().unwrap_or_default());
    }
    drop_code(jit);
    Ok(listing)
}

fn new_jit(target: Target) -> Result<JITModule, Error> {
    let mut builder = JITBuilder::with_isa(machine(target)?, default_libcall_names());
    routines::register(&mut builder, target.isa());
    Ok(JITModule::new(builder))
}

fn machine(target: Target) -> Result<OwnedTargetIsa, Error> {
    let mut flags = settings::builder();
    // Loops are laid out, and common values shared, before Cranelift sees the code.
    flags.set("opt_level", "none")?;
    flags.set("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" })?;
    flags.set("unwind_info", "false")?;
    flags.set("use_colocated_libcalls", "false")?;
    flags.set("is_pic", "false")?;
    let mut host = cranelift_native::builder().map_err(|reason| Error::UnsupportedHost(reason.into()))?;
    if target == Target::Baseline && cfg!(target_arch = "x86_64") {
        for feature in ["has_avx", "has_avx2", "has_fma", "has_bmi1", "has_bmi2", "has_lzcnt", "has_popcnt"] {
            host.set(feature, "false")?;
        }
    }
    host.finish(settings::Flags::new(flags)).map_err(|error| Box::new(error).into())
}

/// Gives the pages of generated code back, which a `JITModule` does not do by itself.
#[expect(unsafe_code, reason = "only we know that the code does not run any more")]
fn drop_code(jit: JITModule) {
    // SAFETY: the callers own all pointers into the code, and neither runs it nor keeps them.
    unsafe { jit.free_memory() };
}
