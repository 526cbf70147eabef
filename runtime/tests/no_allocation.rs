//! From one step of training to the next nothing is allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::AtomicBool;

use ndarray::ArrayD;
use spnc_runtime::data::{self, Request};
use spnc_runtime::program::{Clock, Description, Element, Entry, FieldInfo, FieldMut, Program};
use spnc_runtime::train::{EpochRecord, Observer, Phase, Plan, Progress, Stage, train};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting.
struct Counting;

#[expect(unsafe_code, reason = "an allocator can only be written so")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Reads its fields and computes nothing.
struct Idle {
    description: Description,
    images: Vec<f32>,
    labels: Vec<i32>,
}

impl Program for Idle {
    fn description(&self) -> &Description {
        &self.description
    }

    fn init(&mut self, _seed: u64) {}

    fn field(&mut self, _entry: Entry, samples: usize, index: usize) -> FieldMut<'_> {
        match index {
            0 => FieldMut::F32(&mut self.images[..samples * 64]),
            _ => FieldMut::I32(&mut self.labels[..samples]),
        }
    }

    fn train_step(&mut self, _variant: usize, _samples: usize, _clock: Clock) -> &[f64] {
        &[1.0]
    }

    fn fire(&mut self, _event: usize, _clock: Clock) {}

    fn evaluate(&mut self, _samples: usize, _split: usize, _clock: Clock) {}

    fn finish_evaluation(&mut self, _clock: Clock) -> Vec<f64> {
        vec![]
    }

    fn read(&self, _tensor: usize) -> ArrayD<f64> {
        unreachable!("there are no tensors")
    }

    fn write(&mut self, _tensor: usize, _value: &ArrayD<f64>) {}

    fn effective(&mut self, _clock: Clock) -> Vec<String> {
        vec![]
    }

    fn computed(&self, _name: &str) -> Option<ArrayD<f64>> {
        None
    }

    fn explain_non_finite(&mut self, _variant: usize, _samples: usize, _clock: Clock) -> Option<String> {
        None
    }
}

/// Notes the number of allocations at each step of an epoch.
struct Witness {
    at_step: Vec<usize>,
}

impl Observer for Witness {
    fn step(&mut self, _progress: &Progress<'_>) {
        self.at_step.push(ALLOCATIONS.get());
    }

    fn epoch(&mut self, _record: &EpochRecord) {}
}

#[test]
fn steps_allocate_nothing() {
    let field = |name: &str, element, shape| FieldInfo { name: name.into(), element, shape };
    let description = Description {
        fields: vec![field("image", Element::Real, vec![8, 8]), field("label", Element::Integer, vec![])],
        terms: vec!["1".into()],
        ..Description::default()
    };
    let digits = data::open(&Request { source: "digits".into(), args: vec![] }, &[]).expect("built in");
    let mut idle = Idle { description, images: vec![0.0; 1437 * 64], labels: vec![0; 1437] };
    let mut witness = Witness { at_step: Vec::with_capacity(1000) };
    let phase = Phase { epochs: 2, every_steps: vec![(2, 0)], ..Phase::default() };
    let plan = Plan { batch: Some(64), seed: 1, stages: vec![Stage::Phase(phase)], ..Plan::default() };
    let _ = train(&mut idle, &digits, &plan, &|| 0.0, &mut witness, &AtomicBool::new(false)).expect("finite");
    assert_eq!(witness.at_step.len(), 2 * 23);
    for epoch in witness.at_step.chunks(23) {
        assert_eq!(epoch[0], epoch[22], "allocated between steps");
    }
}
