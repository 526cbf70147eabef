//! Where buffers stand in the arena.
//!
//! Lasting tensors, inputs, outputs and what is kept each have a place of their own. Scratch comes behind them, function by function over the
//! same range, and within a function two buffers share memory if no step needs both.

use std::collections::BTreeMap;

use crate::lir::{BufferId, Func, Module, Role};

/// Buffers begin at multiples of this, in bytes.
const ALIGNMENT: usize = 64;

/// Gives every buffer its offset.
pub fn plan(module: &mut Module) {
    let mut end = 0;
    for buffer in module.buffers.iter_mut().filter(|buffer| buffer.role != Role::Scratch) {
        buffer.offset = end;
        end += size(buffer.len);
    }
    let mut arena = end;
    for index in 0..module.funcs.len() {
        for (id, start, stop) in share(module, &module.funcs[index]) {
            module.buffers[id.0 as usize].offset = end + start;
            arena = arena.max(end + stop);
        }
    }
    module.arena = arena;
}

fn size(len: usize) -> usize {
    (4 * len).next_multiple_of(ALIGNMENT)
}

/// The steps that need a buffer.
#[derive(Clone, Copy)]
struct Life {
    id: BufferId,
    first: usize,
    last: usize,
}

/// The scratch buffers of a function: begin and end of each in its scratch range. The largest are placed first,
/// each at the lowest gap among those it meets.
fn share(module: &Module, func: &Func) -> Vec<(BufferId, usize, usize)> {
    let mut lives = lives(module, func);
    lives.sort_by_key(|life| (std::cmp::Reverse(module.buffer(life.id).len), life.first));
    let mut placed: Vec<(Life, usize, usize)> = vec![];
    for life in lives {
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(other, _, _)| life.first <= other.last && other.first <= life.last)
            .map(|(_, start, stop)| (*start, *stop))
            .collect();
        taken.sort_unstable();
        let need = size(module.buffer(life.id).len);
        let mut start = 0;
        for (begin, end) in taken {
            if begin >= start + need {
                break;
            }
            start = start.max(end);
        }
        placed.push((life, start, start + need));
    }
    placed.into_iter().map(|(life, start, stop)| (life.id, start, stop)).collect()
}

fn lives(module: &Module, func: &Func) -> Vec<Life> {
    let mut lives: BTreeMap<BufferId, Life> = BTreeMap::new();
    for (number, step) in func.steps.iter().enumerate() {
        for id in step.calls.iter().flat_map(|call| call.needed(module)) {
            if module.buffer(id).role == Role::Scratch {
                lives.entry(id).or_insert(Life { id, first: number, last: number }).last = number;
            }
        }
    }
    lives.into_values().collect()
}
