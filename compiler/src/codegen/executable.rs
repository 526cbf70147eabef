//! A compiled program: code, memory, threads.

use cranelift_jit::JITModule;
use spnc_runtime::pool::Pool;

use super::Options;
use super::arena::Arena;
use super::plan::Plan;
use crate::lir::{self, Buffer, BufferId};

/// Machine code of all functions of a module, the arena they work on, and the threads that run them.
pub struct Executable {
    /// Owns the pages that the plans point into. `None` only while dropping.
    code: Option<JITModule>,
    plans: Vec<Plan>,
    /// Names of the functions, as the plans are ordered.
    names: Vec<String>,
    /// The buffers of the module.
    buffers: Vec<Buffer>,
    arena: Arena,
    pool: Pool,
}

impl Executable {
    pub(super) fn new(code: JITModule, entries: &[*const u8], module: &lir::Module, options: Options) -> Executable {
        let arena = Arena::new(module.arena);
        let plans =
            module.funcs.iter().map(|func| Plan::new(func, module, entries, &arena, options.target.isa())).collect();
        let names = module.funcs.iter().map(|func| func.name.clone()).collect();
        let buffers = module.buffers.clone();
        Executable { code: Some(code), plans, names, buffers, arena, pool: Pool::new(options.threads) }
    }

    /// The index of a function, for [`Executable::run`].
    pub fn func(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Runs a function. Its inputs must have been written; nothing is allocated.
    ///
    /// # Panics
    ///
    /// If there is no function with this index.
    #[expect(unsafe_code, reason = "the only call into generated code")]
    pub fn run(&mut self, func: usize) {
        let plan = &self.plans[func];
        let work = |step, slice| {
            // SAFETY: the pool runs steps in order, and `&mut self` keeps everyone else from the arena.
            unsafe { plan.run(step, slice) };
        };
        self.pool.run(&plan.slices, &work);
    }

    /// Runs all slices of one call of a step, to measure it: after the calls before it, this is what [`Executable::run`] does.
    ///
    /// # Panics
    ///
    /// If there is no such function, step or call.
    #[expect(unsafe_code, reason = "the only call into generated code")]
    pub fn run_call(&mut self, func: usize, step: usize, call: usize) {
        let plan = &self.plans[func];
        for slice in 0..plan.slices[step] {
            // SAFETY: one thread runs it, and `&mut self` keeps everyone else from the arena.
            unsafe { plan.run_call(step, call, slice) };
        }
    }

    /// How many threads run it.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The numbers in a buffer; a bool is a mask, an integer has its own bits.
    pub fn floats(&self, buffer: BufferId) -> &[f32] {
        let Buffer { offset, len, .. } = self.buffers[buffer.0 as usize];
        self.arena.elements(offset, len)
    }

    /// The numbers in a buffer, to be written.
    pub fn floats_mut(&mut self, buffer: BufferId) -> &mut [f32] {
        let Buffer { offset, len, .. } = self.buffers[buffer.0 as usize];
        self.arena.elements_mut(offset, len)
    }

    /// The integers (or masks) in a buffer, to be read or written.
    pub fn integers_mut(&mut self, buffer: BufferId) -> &mut [i32] {
        let Buffer { offset, len, .. } = self.buffers[buffer.0 as usize];
        self.arena.integers_mut(offset, len)
    }
}

impl std::fmt::Debug for Executable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executable")
            .field("funcs", &self.names)
            .field("threads", &self.threads())
            .finish_non_exhaustive()
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        self.plans.clear();
        if let Some(code) = self.code.take() {
            super::drop_code(code);
        }
    }
}
