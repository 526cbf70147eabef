//! `dce`: drops definitions that no result needs. Inputs stay: they are part of what callers see.

use crate::tir::{Func, Op, Value};

/// Runs the pass.
pub fn run(func: &mut Func) {
    let live = live(func);
    let mut map = vec![Value(u32::MAX); func.defs.len()];
    let mut defs = Vec::with_capacity(func.defs.len());
    for (index, mut def) in std::mem::take(&mut func.defs).into_iter().enumerate() {
        if live[index] {
            for operand in def.op.operands_mut() {
                *operand = map[operand.0 as usize];
            }
            map[index] = Value(defs.len() as u32);
            defs.push(def);
        }
    }
    func.defs = defs;
    for (_, value) in &mut func.results {
        *value = map[value.0 as usize];
    }
}

fn live(func: &Func) -> Vec<bool> {
    let mut live: Vec<bool> = func.defs.iter().map(|def| matches!(def.op, Op::Param(_))).collect();
    for (_, value) in &func.results {
        live[value.0 as usize] = true;
    }
    for value in func.values().rev() {
        if live[value.0 as usize] {
            for operand in func.def(value).op.operands() {
                live[operand.0 as usize] = true;
            }
        }
    }
    live
}
