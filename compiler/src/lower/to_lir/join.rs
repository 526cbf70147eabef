//! Puts calls into one step where a slice of one needs only the same slice of the other.
//!
//! Each step ends with all threads waiting for each other, and what a slice has just computed is still in its cache.

use crate::lir::{Call, Cut, Gemm, Module, Run, Step, verify};

/// Joins neighbouring steps.
pub fn run(module: &Module, steps: Vec<Step>) -> Vec<Step> {
    let mut joined: Vec<Step> = vec![];
    for step in steps {
        match joined.last().and_then(|last| join(module, last, &step)) {
            Some(both) => *joined.last_mut().expect("there is a last one") = both,
            None => joined.push(step),
        }
    }
    joined
}

/// Two steps as one, if that is valid and leaves as much to do at once.
fn join(module: &Module, first: &Step, second: &Step) -> Option<Step> {
    let both = |calls: &[Call], slices| {
        let labels = [&first.labels[..], &second.labels].concat();
        Step { slices, calls: [&first.calls[..], calls].concat(), starts: vec![0; labels.len()], labels }
    };
    if first.slices == 1 && second.slices == 1 {
        return Some(both(&second.calls, 1));
    }
    let [Call::Gemm(gemm @ Gemm { cut: Cut::Rows, .. })] = &first.calls[..] else {
        return None;
    };
    let [Call::Run(run)] = &second.calls[..] else {
        return None;
    };
    // The slices of the product serve both: each copies a factor anew, so there should not be more. A kernel that goes through
    // the product as one long row does as many elements.
    let extent = module.kernel(run.kernel).extent();
    let per_row = [1, gemm.n].into_iter().find(|per_row| extent == per_row * gemm.m)?;
    let run = Run { chunk: gemm.chunk * per_row, ..run.clone() };
    let step = both(&[Call::Run(run)], first.slices);
    verify::slices_are_apart(module, &step).then_some(step)
}
