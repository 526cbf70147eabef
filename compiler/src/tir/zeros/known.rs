//! Zeros that only the numbers show. What is computed from parameters and states alone — the share of a branch, the mask of
//! a unit, a threshold — is the same for every sample. Where such a value is zero, whatever uses it together with data sees a
//! zero, though no rule of an op says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Pattern, depends, pattern};
use crate::scalar::Binary;
use crate::tir::interp::{self, Tensor};
use crate::tir::{DType, Func, Op, Value};

/// A function that says where values that are the same for every sample are zero.
#[derive(Clone, Debug)]
pub struct Known {
    /// The function; what varies reads these values times inputs `known.<value>`.
    pub func: Func,
    /// The patterns of these inputs: with them the function computes what it did before.
    pub patterns: BTreeMap<Arc<str>, Pattern>,
    /// Where the function computes each value of the one that it was made from.
    pub places: Vec<Value>,
}

/// The inputs of a function that are the same for every sample.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// Whether an input is one of them.
    pub has: &'a dyn Fn(&str) -> bool,
    /// Its numbers.
    pub value: &'a dyn Fn(&str) -> Option<Tensor>,
}

/// Computes what depends only on `fixed` inputs, on one that `is_lasting` chooses among them, and marks the zeros where it
/// meets what varies. Zeros of what is made of positions and constants are no sparsity.
pub fn reveal(func: &Func, fixed: Given<'_>, is_lasting: &dyn Fn(&str) -> bool) -> Known {
    let varies = depends(func, &|name| !(fixed.has)(name));
    let lasting = depends(func, is_lasting);
    let mut met = vec![false; func.defs.len()];
    for (def, _) in func.defs.iter().zip(&varies).filter(|(_, varies)| **varies) {
        def.op.operands().into_iter().for_each(|operand| met[operand.0 as usize] = true);
    }
    let is_marked = |at: &Value| {
        let (index, def) = (at.0 as usize, func.def(*at));
        let is_computed = !matches!(def.op, Op::Param(_));
        is_computed && def.ty.dtype != DType::I32 && met[index] && lasting[index] && !varies[index]
    };
    let mut patterns = BTreeMap::new();
    for some in few(func, func.values().filter(is_marked)) {
        let found = values(func, some, fixed.value).into_iter();
        let with_zeros = found.filter(|(_, found)| found.iter().any(|x| *x == 0.0));
        patterns.extend(with_zeros.map(|(at, found)| (at, pattern(&found))));
    }
    marked(func, &patterns, &varies, "known")
}

/// From how many elements on values are computed by themselves: the numbers of all weights would be more than training needs.
const FEW: usize = 1 << 20;

/// The values in groups of neighbours that have few elements together.
fn few(func: &Func, values: impl Iterator<Item = Value>) -> Vec<Vec<Value>> {
    let (mut groups, mut room) = (vec![], 0);
    for value in values {
        let len = func.ty(value).shape.iter().product();
        match groups.last_mut() {
            Some(group) if len <= room => Vec::push(group, value),
            _ => {
                groups.push(vec![value]);
                room = FEW;
            }
        }
        room = room.saturating_sub(len);
    }
    groups
}

/// The numbers of some values, which depend on inputs that `value` gives.
///
/// # Panics
///
/// If they depend on others, too.
pub fn values(func: &Func, at: Vec<Value>, value: &dyn Fn(&str) -> Option<Tensor>) -> Vec<(Value, Tensor)> {
    let found = interp::run(&part(func, &at), value).expect("what does not vary depends on inputs that are given");
    at.into_iter().zip(found.into_values()).collect()
}

/// The definitions that some values need, with these values as results.
fn part(func: &Func, results: &[Value]) -> Func {
    let mut needed = vec![false; func.defs.len()];
    results.iter().for_each(|value| needed[value.0 as usize] = true);
    for value in func.values().rev() {
        if needed[value.0 as usize] {
            func.def(value).op.operands().into_iter().for_each(|operand| needed[operand.0 as usize] = true);
        }
    }
    let mut part = Func::new("part");
    let mut places = BTreeMap::new();
    for value in func.values().filter(|value| needed[value.0 as usize]) {
        let mut def = func.def(value).clone();
        def.op.operands_mut().into_iter().for_each(|operand| *operand = places[operand]);
        let _ = places.insert(value, part.push(def.op, def.ty, def.origin));
    }
    part.results = results.iter().map(|value| (value.to_string().into(), places[value])).collect();
    part
}

/// `func` with a product behind each value that has a pattern; what varies reads the product with the input `<prefix>.<value>`.
pub fn marked(func: &Func, patterns: &BTreeMap<Value, Pattern>, varies: &[bool], prefix: &str) -> Known {
    let mut known = Known { func: Func::new(&*func.name), patterns: BTreeMap::new(), places: vec![] };
    let (mut plain, mut product) = (vec![], vec![]);
    for value in func.values() {
        let def = func.def(value);
        let places: &Vec<Value> = if varies[value.0 as usize] { &product } else { &plain };
        let mut op = def.op.clone();
        op.operands_mut().into_iter().for_each(|operand| *operand = places[operand.0 as usize]);
        let new = known.func.push(op, def.ty.clone(), def.origin.clone());
        plain.push(new);
        product.push(patterns.get(&value).map_or(new, |pattern| known.mark(new, (prefix, value), pattern)));
    }
    let results = func.results.iter().map(|(name, value)| (Arc::clone(name), plain[value.0 as usize]));
    known.func.results = results.collect();
    known.places = plain;
    known
}

impl Known {
    /// `value` times a new input with this pattern.
    fn mark(&mut self, value: Value, (prefix, old): (&str, Value), pattern: &Pattern) -> Value {
        let name: Arc<str> = format!("{prefix}.{}", old.0).into();
        let (ty, origin) = (self.func.ty(value).clone(), self.func.def(value).origin.clone());
        let times = if ty.dtype == DType::Bool { Binary::And } else { Binary::Mul };
        let mask = self.func.push(Op::Param(Arc::clone(&name)), ty.clone(), origin.clone());
        let _ = self.patterns.insert(name, pattern.clone());
        self.func.push(Op::Binary(times, value, mask), ty, origin)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, arr2};
    use proptest::prelude::*;

    use super::*;
    use crate::tir::zeros::{count, live, numbers};
    use crate::tir::{arbitrary, parse, verify};

    /// Two branches; the share of the second is cut off by its threshold.
    const BRANCHES: &str = "func network {
        %0 = param x : f32[1, 2]
        %1 = param alpha : f32[2]
        %2 = param w1 : f32[2, 2]
        %3 = param w2 : f32[2, 2]
        %4 = const 0.5 : f32[2]
        %5 = gt %1, %4 : bool[2]
        %6 = const 0.0 : f32[2]
        %7 = select %5, %1, %6 : f32[2]
        %8 = slice %7, start [0], step [1] : f32[1]
        %9 = slice %7, start [1], step [1] : f32[1]
        %10 = contract ij,jk->ik %0, %2 : f32[1, 2]
        %11 = contract ij,jk->ik %0, %3 : f32[1, 2]
        %12 = broadcast %8, [0] : f32[1, 2]
        %13 = broadcast %9, [0] : f32[1, 2]
        %14 = mul %10, %12 : f32[1, 2]
        %15 = mul %11, %13 : f32[1, 2]
        %16 = add %14, %15 : f32[1, 2]
        return y = %16
    }";

    #[test]
    fn a_branch_without_a_share_is_dead() {
        let func = parse::func(BRANCHES).expect("TIR");
        let value = |name: &str| match name {
            "alpha" => Some(arr1(&[0.75, 0.25]).into_dyn()),
            "w1" | "w2" => Some(arr2(&[[1.0, 2.0], [3.0, 0.0]]).into_dyn()),
            _ => None,
        };
        let fixed = Given { has: &|name| value(name).is_some(), value: &value };
        let known = reveal(&func, fixed, &|name| name == "alpha");
        verify::assert_valid(&known.func, "marking zeros");
        let live =
            live(&known.func, &|name| known.patterns.get(name).cloned().or_else(|| Some(pattern(&value(name)?))));
        let left = |name: &str| count(&live.elements[name]);
        assert_eq!([left("alpha"), left("w1"), left("w2")], [1, 3, 0]);
        assert_eq!(live.multiply_adds, 3);
    }

    const LASTING: [&str; 3] = ["w", "b", "s"];

    proptest! {
        #[test]
        fn what_is_not_live_can_go_at_once(recipe in prop::collection::vec(any::<u32>(), 0..80), seed: u32, zeros: u64) {
            let mut func = arbitrary::func(&recipe);
            func.results.truncate(1);
            let inputs = arbitrary::sparse_inputs(&func, seed, &["w"], zeros);
            let value = |name: &str| LASTING.contains(&name).then(|| inputs[name].clone());
            let is_lasting = |name: &str| LASTING.contains(&name);
            let known = reveal(&func, Given { has: &is_lasting, value: &value }, &is_lasting);
            verify::assert_valid(&known.func, "marking zeros");
            let marked = |name: &str| known.patterns.get(name).cloned();
            let live = live(&known.func, &|name| marked(name).or_else(|| Some(pattern(&value(name)?))));
            let pruned = |name: &str| {
                let kept = live.elements.get(name);
                let given = marked(name).map(|marked| numbers(&marked)).or_else(|| inputs.get(name).cloned())?;
                Some(if let Some(kept) = kept { given * numbers(kept) } else { given })
            };
            let before = interp::run(&func, &|name| inputs.get(name).cloned()).expect("every input");
            prop_assert_eq!(interp::run(&known.func, &pruned).expect("every input"), before);
        }
    }
}
