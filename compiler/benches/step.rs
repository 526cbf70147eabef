//! A training step of LeNet-300-100, batch 64, as generated code: how long compiling it takes, and running it.

use std::hint::black_box;
use std::num::NonZeroUsize;

use criterion::{Criterion, criterion_group, criterion_main};
use spnc::codegen::{self, Executable, Options, Target};
use spnc::lir::{self, BufferId, DType, Module, Role};
use spnc_runtime::random;

fn module() -> Module {
    lir::parse(include_str!("../tests/golden/lir/lenet300_step.lir")).expect("a golden file parses")
}

/// The program with small random weights and data.
fn program(module: &Module, threads: usize) -> Executable {
    let threads = NonZeroUsize::new(threads).expect("at least one thread");
    let mut program = codegen::compile(module, Options { threads, target: Target::Native }).expect("the host is known");
    for (index, buffer) in module.buffers.iter().enumerate().filter(|(_, buffer)| buffer.role != Role::Scratch) {
        let id = BufferId(index as u32);
        match buffer.dtype {
            DType::F32 => random::fill_uniform(1, 2, index as u64, 0, program.floats_mut(id)),
            DType::I32 | DType::Bool => program.integers_mut(id).fill(1),
        }
        if buffer.role == Role::Lasting {
            program.floats_mut(id).iter_mut().for_each(|weight| *weight = (*weight - 0.5) * 0.1);
        }
    }
    program
}

fn bench(c: &mut Criterion) {
    let module = module();
    let _ = c.bench_function("compile LeNet-300-100 step", |b| b.iter(|| program_of(&module)));
    for threads in [1, 2] {
        let mut program = program(&module, threads);
        let _ = c.bench_function(&format!("run LeNet-300-100 step, {threads} threads"), |b| b.iter(|| program.run(0)));
    }
}

fn program_of(module: &Module) -> Executable {
    black_box(codegen::compile(module, Options::default()).expect("the host is known"))
}

criterion_group!(benches, bench);
criterion_main!(benches);
