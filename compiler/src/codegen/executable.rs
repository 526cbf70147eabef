//! A compiled program: code, memory, threads.

use std::sync::{Arc, Mutex, PoisonError};

use cranelift_jit::JITModule;
use spnc_runtime::float::FlushDenormals;
use spnc_runtime::pool::Pool;

use super::Options;
use super::arena::Arena;
use super::plan::{Plan, Resolver};
use crate::lir::{self, Buffer, BufferId};

/// Machine code of all functions of a module, the arena they work on, and the threads that run them.
pub struct Executable {
    /// Owns the pages that the plans point into. `None` only while dropping.
    code: Option<JITModule>,
    plans: Vec<Plan>,
    /// The functions, as the plans are ordered.
    funcs: Vec<lir::Func>,
    /// The buffers of the module.
    buffers: Vec<Buffer>,
    arena: Arena,
    pool: Pool,
}

/// Who measures a call: is given it, the layer or tensor that it works for, and the work, which is to be done once.
pub type Observe<'a> = &'a mut dyn FnMut(&lir::Call, &Arc<str>, &mut dyn FnMut());

impl Executable {
    pub(super) fn new(code: JITModule, entries: &[*const u8], module: &lir::Module, options: Options) -> Executable {
        let arena = Arena::new(module.arena);
        let resolver = Resolver { module, entries, arena: &arena, isa: options.target.isa() };
        let plans = module.funcs.iter().map(|func| Plan::new(func, &resolver, options.threads.get())).collect();
        let (funcs, buffers) = (module.funcs.clone(), module.buffers.clone());
        Executable { code: Some(code), plans, funcs, buffers, arena, pool: Pool::new(options.threads) }
    }

    /// The index of a function, for [`Executable::run`].
    pub fn func(&self, name: &str) -> Option<usize> {
        self.funcs.iter().position(|func| func.name == name)
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

    /// Runs a function on this thread alone, one call after the other, so that each can be measured.
    ///
    /// # Panics
    ///
    /// If there is no function with this index, or `observe` does not do the work once.
    #[expect(unsafe_code, reason = "the only call into generated code")]
    pub fn run_by_calls(&mut self, func: usize, observe: Observe<'_>) {
        let _flush = FlushDenormals::on();
        let plan = &self.plans[func];
        for (number, step) in self.funcs[func].steps.iter().enumerate() {
            for (index, (call, label)) in step.labelled().enumerate() {
                let mut done = false;
                let mut work = || {
                    assert!(!std::mem::replace(&mut done, true), "a call is done once");
                    for slice in 0..plan.slices[number] {
                        // SAFETY: one thread runs all calls in order, and `&mut self` keeps everyone else from the arena.
                        unsafe { plan.run_call(number, index, slice) };
                    }
                };
                observe(call, label, &mut work);
                assert!(done, "a call is done before the next one");
            }
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

    /// Has the numbers in a buffer written by all threads, in parts of so many of them (the last one may be shorter), which are counted
    /// from 0.
    pub fn write_parts(&mut self, buffer: BufferId, part: usize, write: &(dyn Fn(usize, &mut [f32]) + Sync)) {
        let Buffer { offset, len, .. } = self.buffers[buffer.0 as usize];
        let parts = Mutex::new(self.arena.elements_mut(offset, len).chunks_mut(part).enumerate());
        let next = |_, _| {
            let next = parts.lock().unwrap_or_else(PoisonError::into_inner).next();
            if let Some((index, part)) = next {
                write(index, part);
            }
        };
        self.pool.run(&[len.div_ceil(part)], &next);
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
            .field("funcs", &self.funcs.iter().map(|func| &func.name).collect::<Vec<_>>())
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
