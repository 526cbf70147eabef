//! Which matrices of a function have a pattern, and which value says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Pattern;
use super::outside::{Facts, Outside};
use crate::pass::narrow::{Inputs, can_be_zero};
use crate::tir::zeros::depends;
use crate::tir::{Def, Func, Op, Value};

/// Smaller matrices are left as they are.
const SMALL: usize = 4096;

/// What values are made of.
struct Sources {
    /// Which values are the same in every step: they come from lasting tensors that the function does not change.
    is_fixed: Vec<bool>,
    /// Which values are not, but are known before the step, and can be zero for a reason.
    is_known: Vec<bool>,
}

/// The patterns of a function's matrices. `is_lasting` says which inputs live as long as the run.
pub fn patterns(func: &Func, is_lasting: &dyn Fn(&str) -> bool, inputs: &Inputs<'_>) -> Vec<Pattern> {
    let sources = Sources::of(func, is_lasting, inputs);
    let mut patterns: Vec<Pattern> = vec![];
    for (matrix, mask) in sources.masks(func) {
        let &[rows, columns] = func.ty(matrix).shape.as_slice() else { continue };
        let shape = [rows, columns];
        if patterns.iter().all(|known| known.mask != mask || known.shape != shape) {
            let moves = !sources.is_fixed[mask.0 as usize];
            let assumed = if moves { BTreeSet::new() } else { assumed(func, mask, shape, is_lasting) };
            patterns.push(Pattern { name: name_of(func, matrix), mask, shape, moves, assumed });
        }
    }
    patterns
}

impl Sources {
    fn of(func: &Func, is_lasting: &dyn Fn(&str) -> bool, inputs: &Inputs<'_>) -> Sources {
        let varies = depends(func, &|name| !is_lasting(name) || func.result(name).is_some());
        let of_fields = depends(func, inputs.is_field);
        let drawn = drawn(func);
        let can_be_zero = can_be_zero(func, inputs.has_zeros);
        let is_known = (0..func.defs.len()).map(|i| varies[i] && !of_fields[i] && !drawn[i] && can_be_zero[i]);
        Sources { is_known: is_known.collect(), is_fixed: varies.iter().map(|varies| !varies).collect() }
    }

    /// Matrices, each with a value outside of whose pattern it is zero: a fixed one if there is one.
    fn masks(&self, func: &Func) -> BTreeMap<Value, Value> {
        let matrices = matrices(func);
        let is_fixed = |value: &Value| self.is_fixed[value.0 as usize];
        let mut found: BTreeMap<Value, Value> =
            matrices.iter().filter(|matrix| is_fixed(matrix)).map(|matrix| (*matrix, *matrix)).collect();
        let is_known = |value: &Value| self.is_known[value.0 as usize];
        for mask in func.values().filter(is_fixed).chain(func.values().filter(is_known)) {
            let is_open = |matrix: &Value| *matrix >= mask && !found.contains_key(matrix);
            let fits = |matrix: &Value| func.ty(*matrix).len() == func.ty(mask).len();
            let open: Vec<Value> = matrices.iter().copied().filter(is_open).filter(fits).collect();
            let Some(&[rows, columns]) = open.first().map(|matrix| func.ty(*matrix).shape.as_slice()) else { continue };
            if !is_plain(func, mask) {
                let facts = Facts::of(func, mask, [rows, columns], &|_| false);
                found.extend(open.into_iter().filter(|matrix| facts.is_zero(*matrix)).map(|matrix| (matrix, mask)));
            }
        }
        found
    }
}

/// Whether a value has the same element everywhere or all along rows or columns: it says nothing of single elements.
fn is_plain(func: &Func, value: Value) -> bool {
    let Def { op, ty, .. } = func.def(value);
    matches!(op, Op::Const(_)) || matches!(op, Op::Broadcast(..)) && ty.rank() <= 2
}

/// Which values depend on random draws.
fn drawn(func: &Func) -> Vec<bool> {
    let mut drawn: Vec<bool> = Vec::with_capacity(func.defs.len());
    for def in &func.defs {
        let is_drawn = matches!(def.op, Op::Uniform { .. });
        drawn.push(is_drawn || def.op.operands().iter().any(|operand| drawn[operand.0 as usize]));
    }
    drawn
}

/// The matrices that something is multiplied with.
fn matrices(func: &Func) -> BTreeSet<Value> {
    let factors =
        func.defs.iter().filter_map(|def| if let Op::Contract(_, a, b) = def.op { Some([a, b]) } else { None });
    factors.flatten().filter(|value| func.ty(*value).rank() == 2 && func.ty(*value).len() >= SMALL).collect()
}

/// The parameter that a matrix is, or the place in the program that computes it.
fn name_of(func: &Func, matrix: Value) -> String {
    let def = func.def(matrix);
    if let Op::Param(name) = &def.op {
        return name.to_string();
    }
    def.origin.as_ref().map(|origin| origin.path.clone()).unwrap_or_default()
}

/// The most tensors of those that `may_be` chooses that the function keeps zero outside of a pattern, provided that these are.
pub(super) fn assumed(
    func: &Func,
    mask: Value,
    shape: [usize; 2],
    may_be: &dyn Fn(&str) -> bool,
) -> BTreeSet<Arc<str>> {
    let len = func.ty(mask).len();
    let tensors = func.params().filter(|(name, _, ty)| ty.len() == len && may_be(name));
    let mut assumed: BTreeSet<Arc<str>> =
        tensors.filter(|(name, ..)| func.result(name).is_some()).map(|(name, ..)| name.clone()).collect();
    loop {
        let facts = Facts::of(func, mask, shape, &|name| assumed.contains(name));
        let stays = |name: &str| func.result(name).is_some_and(|value| facts.outside(value) == Outside::Zero);
        let closed: BTreeSet<Arc<str>> = assumed.iter().filter(|name| stays(name)).cloned().collect();
        if closed.len() == assumed.len() {
            return assumed;
        }
        assumed = closed;
    }
}
