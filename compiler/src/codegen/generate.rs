//! Kernels to functions, one after the other or several at a time.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cranelift::codegen::Context;
use cranelift::codegen::ir::{Signature, UserFuncName};
use cranelift::codegen::isa::TargetIsa;
use cranelift::frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift::prelude::{AbiParam, types};
use cranelift_jit::JITModule;
use cranelift_module::{FuncId, Module as _, ModuleReloc};
use spnc_runtime::kernels::Isa;

#[cfg(target_arch = "x86_64")]
use super::wide;
use super::{Error, Options, kernel, memory, routines};
use crate::lir;

/// Defines the functions of all kernels. The code is the same for any number of threads.
pub(super) fn define(
    jit: &mut JITModule,
    kernels: &[lir::Kernel],
    Options { threads, target }: Options,
) -> Result<Vec<FuncId>, Error> {
    let imports = routines::Imports::declare(jit)?;
    let signature = signature(jit.isa());
    let declare = |_| Ok(jit.declare_anonymous_function(&signature).map_err(Box::new)?);
    let ids: Vec<FuncId> = kernels.iter().map(declare).collect::<Result<_, Error>>()?;
    let mut codes = generate(jit.isa(), &imports, kernels, &ids, (threads, target.isa()))?;
    codes.sort_unstable_by_key(|code| code.index);
    for code in codes {
        let id = ids[code.index];
        jit.define_function_bytes(id, code.alignment, &code.bytes, &code.relocs).map_err(Box::new)?;
    }
    Ok(ids)
}

/// The machine code of a kernel's function.
struct Code {
    /// The number of the kernel.
    index: usize,
    alignment: u64,
    bytes: Vec<u8>,
    relocs: Vec<ModuleReloc>,
}

/// The code of all kernels, in any order: each thread takes the next one that nobody has taken.
fn generate(
    isa: &dyn TargetIsa,
    imports: &routines::Imports,
    kernels: &[lir::Kernel],
    ids: &[FuncId],
    (threads, routines): (NonZeroUsize, Isa),
) -> Result<Vec<Code>, Error> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut generator = Generator::new(isa, imports.clone(), routines);
        let mut codes = vec![];
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(kernel) = kernels.get(index) else { return Ok(codes) };
            codes.push(generator.code(index, kernel, ids[index])?);
        }
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads.get().min(kernels.len())).map(|_| scope.spawn(work)).collect();
        let own = work();
        let others =
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        let all: Vec<Vec<Code>> = [own].into_iter().chain(others).collect::<Result<_, Error>>()?;
        Ok(all.into_iter().flatten().collect())
    })
}

/// What is used again from one function to the next.
pub(super) struct Generator<'a> {
    pub context: Context,
    isa: &'a dyn TargetIsa,
    builder: FunctionBuilderContext,
    imports: routines::Imports,
    loads: memory::Loads,
    /// What routines are built for, and vectors of eight with them.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "vectors have four numbers there"))]
    routines: Isa,
}

impl Generator<'_> {
    pub fn new(isa: &dyn TargetIsa, imports: routines::Imports, routines: Isa) -> Generator<'_> {
        let loads = memory::Loads::of(isa);
        Generator { context: Context::new(), isa, builder: FunctionBuilderContext::new(), imports, loads, routines }
    }

    /// Builds the function of a kernel in `self.context`, with vectors of so many numbers.
    pub fn build(&mut self, index: usize, kernel: &lir::Kernel, width: usize) {
        self.context.clear();
        self.context.func.signature = signature(self.isa);
        self.context.func.name = UserFuncName::testcase(format!("k{index}"));
        self.imports.next_function();
        let builder = FunctionBuilder::new(&mut self.context.func, &mut self.builder);
        let builder = kernel::Emitter::emit(kernel, &mut self.imports, self.loads, width, builder);
        builder.finalize(self.isa.frontend_config());
    }

    /// The machine code of a kernel with vectors of eight numbers, whose function is built in `self.context` then. `None` if it has no use for them or the
    /// machine does not have them.
    #[cfg(target_arch = "x86_64")]
    pub fn wide(&mut self, index: usize, kernel: &lir::Kernel) -> Option<wide::Encoded> {
        if self.routines == Isa::Portable || !cfg!(unix) || kernel::widest(kernel) == 4 {
            return None;
        }
        self.build(index, kernel, 8);
        let (imports, routines) = (&self.imports, self.routines);
        wide::generate(&self.context.func, &|reference| imports.address(reference, routines))
    }

    /// The machine code of a kernel, whose function the module knows as `id`.
    fn code(&mut self, index: usize, kernel: &lir::Kernel, id: FuncId) -> Result<Code, Error> {
        #[cfg(target_arch = "x86_64")]
        if let Some(wide) = self.wide(index, kernel) {
            return Ok(Code { index, alignment: wide::ALIGNMENT, bytes: wide.bytes, relocs: vec![] });
        }
        self.build(index, kernel, 4);
        let _ = self.context.compile(self.isa, &mut Default::default()).map_err(|error| Box::new(error.inner))?;
        let code = self.context.compiled_code().expect("it was compiled just now");
        let relocs = code.buffer.relocs().iter();
        Ok(Code {
            index,
            alignment: u64::from(code.buffer.alignment),
            bytes: code.code_buffer().to_vec(),
            relocs: relocs.map(|reloc| ModuleReloc::from_mach_reloc(reloc, &self.context.func, id)).collect(),
        })
    }
}

/// A table of pointers, and the range of the first row dimension.
fn signature(isa: &dyn TargetIsa) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.extend([AbiParam::new(types::I64); 3]);
    signature
}
