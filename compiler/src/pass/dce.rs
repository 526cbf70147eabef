//! `dce`: drops definitions that no result needs. Inputs stay: they are part of what callers see.

use std::collections::{BTreeMap, BTreeSet};

use crate::tir::{Func, Op, Value};

/// Runs the pass.
pub fn run(func: &mut Func) {
    keep(func, |op| matches!(op, Op::Param(_)));
}

/// Drops inputs that no result needs, too.
pub fn prune(func: &mut Func) {
    keep(func, |_| false);
}

/// The function of one of the results alone.
///
/// # Panics
///
/// If there is no result of this name.
pub fn of_result(func: &Func, name: &str) -> Func {
    let result = func.result(name).expect("a result of the function");
    let mut needed = BTreeSet::new();
    let mut open = vec![result];
    while let Some(value) = open.pop() {
        if needed.insert(value) {
            open.extend(func.def(value).op.operands());
        }
    }
    let mut new = Func::new(func.name.clone());
    let mut map: BTreeMap<Value, Value> = BTreeMap::new();
    for value in needed {
        let mut def = func.def(value).clone();
        def.op.operands_mut().into_iter().for_each(|operand| *operand = map[operand]);
        let _ = map.insert(value, new.push(def.op, def.ty, def.origin));
    }
    new.results.push((name.into(), map[&result]));
    new
}

/// Keeps what results need, and what else `is_kept` says.
fn keep(func: &mut Func, is_kept: fn(&Op) -> bool) {
    let live = live(func, is_kept);
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

fn live(func: &Func, is_kept: fn(&Op) -> bool) -> Vec<bool> {
    let mut live: Vec<bool> = func.defs.iter().map(|def| is_kept(&def.op)).collect();
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
