//! Generated code against LIR's interpreter.
//!
//! Both compute in `f32` and neither fuses multiplications with additions, so that everything but elementary
//! functions and the order of sums agrees bit for bit; see [`tolerance`] for the rest.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use spnc_runtime::random;

use super::{Options, Target, compile};
use crate::lir::interp::Arena;
use crate::lir::{BufferId, DType, Module, Role};

mod calls;
mod random_nests;
mod routines;
mod wide;

#[test]
fn a_training_step_agrees_with_the_interpreter() {
    let text = include_str!("../../../tests/golden/lir/lenet300_step.lir");
    check(&crate::lir::parse(text).expect("a golden file parses"), 1);
}

/// What buffers hold before a run that do not hold just anything.
type Given = BTreeMap<BufferId, Vec<f64>>;

/// How far a number of compiled code may be from the interpreter's: elementary functions differ by some units of the last
/// place, and sums by their order.
fn tolerance(expected: f64) -> f64 {
    1e-5 * (10.0 + expected.abs())
}

/// Runs the only function of a module in the interpreter and in compiled code, on both targets, by one thread and by
/// two, from equal memory, and compares all buffers but scratch.
#[track_caller]
fn check(module: &Module, seed: u64) {
    check_given(module, seed, &BTreeMap::new());
}

/// The same, where some buffers hold given numbers.
#[track_caller]
fn check_given(module: &Module, seed: u64, given: &Given) {
    let mut expected = Arena::new(module);
    for id in readable(module) {
        expected.write(module, id, start(module, id, seed, given));
    }
    expected.run(module, &module.funcs[0]);
    for target in [Target::Native, Target::Baseline] {
        let alone = run(module, seed, given, target, 1);
        for (id, found) in readable(module).into_iter().zip(&alone) {
            compare(module, id, &expected.read(module, id), found, target);
        }
        let shared = run(module, seed, given, target, 2);
        assert_eq!(shared, alone, "{target:?}, 2 threads\n{}", text(module));
    }
}

/// The bits of all buffers but scratch after a run.
fn run(module: &Module, seed: u64, given: &Given, target: Target, threads: usize) -> Vec<Vec<u32>> {
    let threads = NonZeroUsize::new(threads).expect("at least one thread");
    let mut program = compile(module, Options { threads, target }).expect("the host is supported");
    for id in readable(module) {
        let numbers = start(module, id, seed, given);
        match module.buffer(id).dtype {
            DType::F32 => program.floats_mut(id).iter_mut().zip(numbers).for_each(|(to, from)| *to = from as f32),
            DType::I32 => program.integers_mut(id).iter_mut().zip(numbers).for_each(|(to, from)| *to = from as i32),
            DType::Bool => program.integers_mut(id).iter_mut().zip(numbers).for_each(|(to, from)| *to = -(from as i32)),
        }
    }
    program.run(0);
    readable(module).into_iter().map(|id| program.floats(id).iter().map(|number| number.to_bits()).collect()).collect()
}

fn readable(module: &Module) -> Vec<BufferId> {
    let ids = (0..module.buffers.len() as u32).map(BufferId);
    ids.filter(|id| module.buffer(*id).role != Role::Scratch).collect()
}

/// What a buffer holds before a run.
fn start(module: &Module, id: BufferId, seed: u64, given: &Given) -> Vec<f64> {
    if let Some(numbers) = given.get(&id) {
        return numbers.clone();
    }
    let buffer = module.buffer(id);
    let draw = |index: usize| f64::from(random::uniform(seed as i32, 0, u64::from(id.0), index as u64));
    let number = |index: usize| match buffer.dtype {
        DType::F32 if draw(index) < 0.05 => 0.0,
        DType::F32 => f64::from((4.0 * draw(index) - 2.0) as f32),
        DType::I32 => (20.0 * draw(index) - 10.0).trunc(),
        DType::Bool => f64::from(u8::from(draw(index) < 0.5)),
    };
    (0..buffer.len).map(number).collect()
}

#[track_caller]
fn compare(module: &Module, id: BufferId, expected: &[f64], found: &[u32], target: Target) {
    let buffer = module.buffer(id);
    for (index, (expected, bits)) in expected.iter().zip(found).enumerate() {
        let found = match buffer.dtype {
            DType::F32 => f64::from(f32::from_bits(*bits)),
            DType::I32 => f64::from(*bits as i32),
            DType::Bool => f64::from(u8::from(*bits == u32::MAX)),
        };
        let same = found == *expected || found.is_nan() && expected.is_nan();
        let close = buffer.dtype == DType::F32 && (found - expected).abs() <= tolerance(*expected);
        assert!(
            same || close,
            "{}[{index}] on {target:?}: {found}, expected {expected}\n{}",
            buffer.name,
            text(module)
        );
    }
}

fn text(module: &Module) -> String {
    crate::lir::print::print(module)
}
