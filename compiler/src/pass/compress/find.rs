//! Which matrices of a function have a pattern, and which value says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::groups::Groups;
use super::outside::{Facts, Outside};
use super::{Mask, Pattern};
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
            let moves = !sources.is_fixed[mask.value.0 as usize];
            let assumed = if moves { BTreeSet::new() } else { assumed(func, &mask, shape, is_lasting) };
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
    fn masks(&self, func: &Func) -> BTreeMap<Value, Mask> {
        let is_fixed = |value: &Value| self.is_fixed[value.0 as usize];
        let is_known = |value: &Value| self.is_known[value.0 as usize];
        let masks: Vec<Value> = func.values().filter(is_fixed).chain(func.values().filter(is_known)).collect();
        let masks: Vec<Value> = masks.into_iter().filter(|mask| !is_plain(func, *mask)).collect();
        let mut groups: BTreeMap<usize, Vec<Groups>> = BTreeMap::new();
        let mask_of = |matrix: Value| {
            if is_fixed(&matrix) {
                return Some(Mask { value: matrix, groups: None });
            }
            let len = func.ty(matrix).len();
            let groups = groups.entry(len).or_insert_with(|| Groups::all(func, len));
            let earlier = masks.iter().filter(|mask| **mask <= matrix);
            earlier.flat_map(|mask| masks_of(func, *mask, len, groups)).find(|mask| is_zero_outside(func, matrix, mask))
        };
        let open: Vec<Value> = matrices(func).into_iter().collect();
        let found = open.iter().copied().map(mask_of);
        open.iter().copied().zip(found).filter_map(|(matrix, mask)| Some((matrix, mask?))).collect()
    }
}

/// What a value can be for matrices of so many elements: a mask with an element for each, or with one for each group.
fn masks_of(func: &Func, value: Value, len: usize, groups: &[Groups]) -> Vec<Mask> {
    let own = func.ty(value).len();
    let of_elements = (own == len).then_some(Mask { value, groups: None });
    let of_groups = groups.iter().filter(|groups| groups.count() == own);
    of_elements.into_iter().chain(of_groups.map(|of| Mask { value, groups: Some(of.clone()) })).collect()
}

fn is_zero_outside(func: &Func, matrix: Value, mask: &Mask) -> bool {
    let &[rows, columns] = func.ty(matrix).shape.as_slice() else { return false };
    Facts::of(func, mask, [rows, columns], &|_| false).is_zero(matrix)
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

/// The parameter that a matrix is, or the place in the program that computes it: of elements in another order, of the elements.
fn name_of(func: &Func, matrix: Value) -> String {
    let mut open = VecDeque::from([matrix]);
    while let Some(value) = open.pop_front() {
        let Def { op, origin, .. } = func.def(value);
        let path = origin.as_ref().map_or("", |origin| &origin.path);
        if let Op::Param(name) = op {
            return name.to_string();
        }
        if !path.is_empty() {
            return path.to_owned();
        }
        open.extend(op.operands());
    }
    String::new()
}

/// The most tensors of those that `may_be` chooses that the function keeps zero outside of a pattern, provided that these are.
pub(super) fn assumed(
    func: &Func,
    mask: &Mask,
    shape: [usize; 2],
    may_be: &dyn Fn(&str) -> bool,
) -> BTreeSet<Arc<str>> {
    let tensors = func.params().filter(|(name, _, ty)| ty.len() == shape[0] * shape[1] && may_be(name));
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
