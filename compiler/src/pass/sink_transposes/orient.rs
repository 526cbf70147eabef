//! Chooses the order of axes in which a contraction is written, where some of its uses see a transpose on their other side.

use crate::pass::rewrite::elementwise;
use crate::tir::build::{Build, Builder, inverse};
use crate::tir::{Einsum, Func, Op, Value};

/// Rewrites each contraction that meets a transpose as a transpose of a contraction.
pub fn run(func: &mut Func) {
    let wanted = wanted(func);
    if wanted.iter().all(Option::is_none) {
        return;
    }
    let old = std::mem::replace(func, Func::new(func.name.clone()));
    let mut map: Vec<Value> = Vec::with_capacity(old.defs.len());
    for (mut def, wanted) in old.defs.into_iter().zip(wanted) {
        for operand in def.op.operands_mut() {
            *operand = map[operand.0 as usize];
        }
        map.push(match (def.op, wanted) {
            (Op::Contract(einsum, a, b), Some(perm)) => {
                let mut build = Builder { func, origin: def.origin };
                let out = inverse(&perm).iter().map(|axis| einsum.out[*axis]).collect();
                let value = build.contract(Einsum { out, ..einsum }, a, b);
                build.transpose(value, perm)
            }
            (op, _) => func.push(op, def.ty, def.origin),
        });
    }
    func.results = old.results.into_iter().map(|(name, value)| (name, map[value.0 as usize])).collect();
}

/// For each contraction that is an operand beside a transposed value, that value's permutation.
fn wanted(func: &Func) -> Vec<Option<Vec<usize>>> {
    let views = views(func);
    let mut wanted: Vec<Option<Vec<usize>>> = vec![None; func.defs.len()];
    for def in &func.defs {
        let Some(operands) = elementwise(&def.op) else { continue };
        let Some(view) = operands.iter().find_map(|operand| views[operand.0 as usize].clone()) else { continue };
        for operand in operands {
            if matches!(func.def(operand).op, Op::Contract(..)) {
                let _ = wanted[operand.0 as usize].get_or_insert_with(|| view.clone());
            }
        }
    }
    wanted
}

/// The permutation of each value that is a transpose, or will be one when transposes have sunk.
fn views(func: &Func) -> Vec<Option<Vec<usize>>> {
    let mut views: Vec<Option<Vec<usize>>> = Vec::with_capacity(func.defs.len());
    for def in &func.defs {
        let view = if let Op::Transpose(_, perm) = &def.op {
            Some(perm.clone())
        } else {
            elementwise(&def.op).and_then(|operands| operands.iter().find_map(|o| views[o.0 as usize].clone()))
        };
        views.push(view);
    }
    views
}
