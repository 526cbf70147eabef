//! A function ready to run: its calls with all addresses resolved.

use spnc_runtime::kernels::Isa;
use spnc_runtime::kernels::gemm::{Layout, ProductShape, product};
use spnc_runtime::kernels::quantile::quantile;

use super::arena::Arena;
use super::call::{Bound, Code};
use crate::lir::{self, Call};

/// The steps of a function.
pub(super) struct Plan {
    /// How many slices each step has for these threads: at most as many as in LIR.
    pub slices: Vec<usize>,
    /// The calls of each step.
    steps: Vec<Vec<Planned>>,
}

/// A call, and how it is cut.
struct Planned {
    /// Positions along the extent that is cut.
    extent: usize,
    /// Positions in a slice.
    chunk: usize,
    /// The slice that does the first ones.
    first: usize,
    work: Work,
}

/// Machine code of a kernel: pointers to its params, then the range of its first row dimension.
type Entry = unsafe extern "C" fn(*const *mut f32, usize, usize);

enum Work {
    Kernel { entry: Entry, args: Vec<*mut f32> },
    Quantile { from: *mut f32, len: usize, share: *mut f32, to: *mut f32, work: *mut f32 },
    Routine(Bound),
}

// SAFETY: the pointers lead into the arena, which lives as long as the plan's `Executable`; who may follow them, and when,
// is what the contract of `Plan::run` says.
#[expect(unsafe_code, reason = "threads share the plan")]
unsafe impl Sync for Plan {}

// SAFETY: as above.
#[expect(unsafe_code, reason = "an executable may move to another thread")]
unsafe impl Send for Plan {}

impl Plan {
    /// Resolves the addresses of a function's calls, which so many threads will run.
    pub fn new(func: &lir::Func, resolver: &Resolver<'_>, threads: usize) -> Plan {
        let (mut slices, mut steps) = (vec![], vec![]);
        for step in &func.steps {
            let together = together(step, threads);
            let planned = |(call, first): (&Call, &usize)| resolver.call(call, *first, together);
            slices.push(step.slices.div_ceil(together));
            steps.push(step.calls.iter().zip(&step.starts).map(planned).collect());
        }
        Plan { slices, steps }
    }

    /// Runs one slice of a step.
    ///
    /// # Safety
    ///
    /// All earlier steps have run, no other slice of another step runs at the same time, and nobody else uses the arena.
    #[expect(unsafe_code, reason = "the only call into generated code")]
    pub unsafe fn run(&self, step: usize, slice: usize) {
        for call in 0..self.steps[step].len() {
            // SAFETY: the same promise.
            unsafe { self.run_call(step, call, slice) };
        }
    }

    /// Runs one slice of one call of a step.
    ///
    /// # Safety
    ///
    /// As for [`Plan::run`], and the slice has run all calls before it.
    #[expect(unsafe_code, reason = "the only call into generated code")]
    pub unsafe fn run_call(&self, step: usize, call: usize, slice: usize) {
        let call = &self.steps[step][call];
        let Some(slice) = slice.checked_sub(call.first) else { return };
        let start = (slice * call.chunk).min(call.extent);
        let end = (start + call.chunk).min(call.extent);
        if start < end {
            // SAFETY: the caller's promise; slices of a step write to different elements, which is an
            // invariant of LIR.
            unsafe { call.work.run(start, end) };
        }
    }
}

/// How many neighbouring slices of a step a thread does as one: its share of a product by itself, each of whose slices would bring factors
/// into order anew and end within a tile. Products, like all routines, give the same bits however they are cut.
fn together(step: &lir::Step, threads: usize) -> usize {
    match (&step.calls[..], &step.starts[..]) {
        ([Call::Gemm(_)], [0]) => step.slices.div_ceil(threads),
        _ => 1,
    }
}

/// Where code and numbers of a module are.
pub(super) struct Resolver<'a> {
    pub module: &'a lir::Module,
    /// The code of each kernel.
    pub entries: &'a [*const u8],
    pub arena: &'a Arena,
    pub isa: Isa,
}

impl Resolver<'_> {
    /// A call that begins with a slice, so many of which are done as one.
    fn call(&self, call: &Call, first: usize, together: usize) -> Planned {
        let (extent, chunk) = call.cut(self.module);
        let work = match call {
            Call::Run(run) => self.kernel(run),
            Call::Gemm(gemm) => self.product(gemm),
            Call::Quantile(quantile) => Work::Quantile {
                from: self.place(quantile.from),
                len: quantile.len,
                share: self.place(quantile.share),
                to: self.place(quantile.to),
                work: self.place(quantile.work),
            },
            Call::Routine(routine) => self.routine(routine),
        };
        Planned { extent, chunk: chunk * together, first, work }
    }

    #[expect(unsafe_code, reason = "generated code becomes a function")]
    fn kernel(&self, run: &lir::Run) -> Work {
        let entry = self.entries[run.kernel.0 as usize];
        // SAFETY: `codegen::compile` generated the code at this address with this signature.
        let entry = unsafe { std::mem::transmute::<*const u8, Entry>(entry) };
        Work::Kernel { entry, args: run.args.iter().map(|place| self.place(*place)).collect() }
    }

    fn product(&self, gemm: &lir::Gemm) -> Work {
        let layout = |matrix: &lir::Matrix| Layout { stack: matrix.stack, row: matrix.row, col: matrix.col };
        let shape = ProductShape {
            sizes: [gemm.m, gemm.n, gemm.k],
            stack: gemm.stack,
            terms: gemm.terms,
            a: layout(&gemm.a),
            b: layout(&gemm.b),
            c: layout(&gemm.c),
            in_panels: gemm.in_panels,
            cut: gemm.cut,
        };
        let [a, b, to] = [&gemm.a, &gemm.b, &gemm.c].map(|matrix| self.place(matrix.place));
        let from = [a.cast_const(), b.cast_const(), std::ptr::null()];
        Work::Routine(Bound { code: Code::Product(product(self.isa), shape), from, to, work: std::ptr::null_mut() })
    }

    fn routine(&self, routine: &lir::Routine) -> Work {
        let from = |index: usize| routine.from.get(index).map_or(std::ptr::null_mut(), |from| self.place(*from));
        let work = routine.work.map_or(std::ptr::null_mut(), |work| self.place(work));
        let from = [0, 1, 2].map(|index| from(index).cast_const());
        Work::Routine(Bound { code: Code::of(&routine.task, self.isa), from, to: self.place(routine.to), work })
    }

    fn place(&self, place: lir::Place) -> *mut f32 {
        self.arena.at(self.module.buffer(place.buffer).offset + 4 * place.start)
    }
}

impl Work {
    /// # Safety
    ///
    /// As for [`Plan::run`].
    #[expect(unsafe_code, reason = "the only call into generated code")]
    unsafe fn run(&self, start: usize, end: usize) {
        match self {
            // SAFETY: the code reaches what LIR's verifier has checked to lie in its buffers.
            Work::Kernel { entry, args } => unsafe { entry(args.as_ptr(), start, end) },
            Work::Quantile { from, len, share, to, work } => {
                // SAFETY: the places lie in their buffers and do not overlap, as LIR's verifier has checked.
                unsafe {
                    let numbers = std::slice::from_raw_parts(*from, *len);
                    let work = std::slice::from_raw_parts_mut(*work, *len);
                    **to = quantile(numbers, **share, work);
                }
            }
            // SAFETY: operands and result lie in their buffers and do not overlap, as LIR's verifier has checked.
            Work::Routine(routine) => unsafe { routine.run(start, end) },
        }
    }
}
