//! Which buffer each value of a plan lives in: values that are not kept hand theirs on after their last use.

use std::collections::BTreeMap;

use super::Keep;
use crate::tir::{Def, Func, Op, Value};

/// Values to buffers.
pub struct Assignment {
    /// The buffer of each value.
    pub slot_of: Vec<usize>,
    /// The length of each buffer.
    pub lens: Vec<usize>,
}

/// Whether a definition is given rather than computed in each run.
pub fn is_leaf(def: &Def) -> bool {
    matches!(def.op, Op::Param(_)) || is_constant(def)
}

/// Whether a definition is the same in each run.
pub fn is_constant(def: &Def) -> bool {
    matches!(def.op, Op::Const(_) | Op::Iota(_))
}

/// Gives each value a buffer of its length. Leaves and results have theirs to themselves.
pub fn assign(func: &Func, keep: Keep) -> Assignment {
    let last_uses = last_uses(func);
    let own = own_slots(func, keep);
    let mut result = Assignment { slot_of: Vec::with_capacity(func.defs.len()), lens: vec![] };
    let mut free: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for value in func.values() {
        let len = func.ty(value).len();
        let reused = if own[value.0 as usize] { None } else { free.get_mut(&len).and_then(Vec::pop) };
        result.slot_of.push(reused.unwrap_or_else(|| {
            result.lens.push(len);
            result.lens.len() - 1
        }));
        // Only after the result has its buffer: an op must not write where it reads.
        for dead in last_uses[value.0 as usize].iter().filter(|dead| !own[dead.0 as usize]) {
            free.entry(func.ty(*dead).len()).or_default().push(result.slot_of[dead.0 as usize]);
        }
    }
    result
}

fn own_slots(func: &Func, keep: Keep) -> Vec<bool> {
    let mut own: Vec<bool> = func.defs.iter().map(|def| keep == Keep::All || is_leaf(def)).collect();
    for (_, value) in &func.results {
        own[value.0 as usize] = true;
    }
    own
}

/// For each definition the values that nothing reads after it.
fn last_uses(func: &Func) -> Vec<Vec<Value>> {
    let mut last: Vec<Value> = func.values().collect();
    for value in func.values() {
        func.def(value).op.operands().into_iter().for_each(|operand| last[operand.0 as usize] = value);
    }
    let mut dead_after = vec![vec![]; func.defs.len()];
    for value in func.values() {
        dead_after[last[value.0 as usize].0 as usize].push(value);
    }
    dead_after
}
