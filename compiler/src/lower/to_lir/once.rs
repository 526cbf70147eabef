//! Takes work out of a function that is the same in every call, as long as the lasting tensors are.
//!
//! A network whose weights are given packs those of a convolution in the order that suits the machine, and clears the borders around
//! images: that is done once, and what it leaves is kept.

use std::collections::BTreeSet;

use crate::lir::{BufferId, Call, Func, Module, Role, Step};

/// Moves the steps of the last function that depend on lasting tensors alone into a function of their own in front of it, called
/// [`name`]. There is none if there are no such steps.
pub fn split(module: &mut Module) {
    let Some(func) = module.funcs.pop() else { return };
    let varying = varying(module, &func);
    let Func { name: rest, inputs, outputs, steps } = func;
    let (always, once): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(|step| varies(module, step, &varying));
    let of = |steps: &[Step], what: fn(&Call, &Module) -> Vec<BufferId>| -> BTreeSet<BufferId> {
        steps.iter().flat_map(|step| &step.calls).flat_map(|call| what(call, module)).collect()
    };
    let kept: Vec<BufferId> = of(&once, Call::written).intersection(&of(&always, Call::read)).copied().collect();
    for id in kept {
        module.buffers[id.0 as usize].role = Role::Kept;
    }
    if !once.is_empty() {
        module.funcs.push(Func { name: name(&rest), inputs: vec![], outputs: vec![], steps: once });
    }
    module.funcs.push(Func { name: rest, inputs, outputs, steps: always });
}

/// The name of the function that does what another one needs done once.
pub fn name(func: &str) -> String {
    format!("{func}.once")
}

/// The buffers that hold other numbers in another call, or at another step of the same one.
fn varying(module: &Module, func: &Func) -> BTreeSet<BufferId> {
    let is_named = |id: &BufferId| matches!(module.buffer(*id).role, Role::Input | Role::Output);
    let all = (0..module.buffers.len()).map(|index| BufferId(index as u32));
    let written = func.steps.iter().flat_map(|step| &step.calls).flat_map(|call| call.written(module));
    let updated = written.filter(|id| module.buffer(*id).role == Role::Lasting);
    let mut varying: BTreeSet<BufferId> = all.filter(is_named).chain(updated).collect();
    loop {
        let steps = func.steps.iter().filter(|step| varies(module, step, &varying));
        let found: BTreeSet<BufferId> =
            steps.flat_map(|step| &step.calls).flat_map(|call| call.written(module)).collect();
        if found.is_subset(&varying) {
            return varying;
        }
        varying.extend(found);
    }
}

/// Whether a step reads or writes a buffer that varies.
fn varies(module: &Module, step: &Step, varying: &BTreeSet<BufferId>) -> bool {
    step.calls.iter().any(|call| call.needed(module).iter().any(|id| varying.contains(id)))
}
