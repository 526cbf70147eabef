//! Elements of given matrices in the order in which products read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use ndarray::arr1;

use crate::tir::interp::Tensor;
use crate::tir::{Func, Op, SparseRole, Type, Value};

/// Where products read the elements of a given matrix by places, gives them the same elements in their own order, and a pattern without
/// places: they are found without looking up where they are. Products of the same matrix, as all steps of a recurrence, share them.
pub(super) fn in_order(func: &Func, given: &mut IndexMap<Arc<str>, Tensor>) -> Func {
    let mut new = Func::new(func.name.clone());
    let mut map: Vec<Value> = Vec::with_capacity(func.defs.len());
    let mut made: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    for value in func.values() {
        let def = func.def(value);
        let mut op = def.op.clone();
        op.operands_mut().into_iter().for_each(|operand| *operand = map[operand.0 as usize]);
        if let Some(ordered) = Ordered::of(func, value)
            && let Some(resolved) = ordered.resolved(given)
            && let Op::Sparse { a, pattern, .. } = &mut op
        {
            for (slot, (name, numbers)) in [a, pattern].into_iter().zip(resolved) {
                let ty = Type::new(new.ty(*slot).dtype, [numbers.len()]);
                *slot = *made.entry(name.clone()).or_insert_with(|| new.push(Op::Param(name.clone()), ty, None));
                let _ = given.insert(name, arr1(&numbers).into_dyn());
            }
        }
        map.push(new.push(op, def.ty.clone(), def.origin.clone()));
    }
    new.results = func.results.iter().map(|(name, value)| (name.clone(), map[value.0 as usize])).collect();
    new
}

/// A product that reads the elements of a matrix by places.
struct Ordered<'a> {
    /// The inputs that are the elements and the pattern.
    elements: &'a Arc<str>,
    pattern: &'a Arc<str>,
    /// How many numbers of the pattern come before the places.
    before: usize,
}

impl<'a> Ordered<'a> {
    fn of(func: &'a Func, value: Value) -> Option<Ordered<'a>> {
        let Op::Sparse { role: SparseRole::Product, a, pattern, .. } = &func.def(value).op else { return None };
        let before = func.ty(value).shape[0] + 1 + func.ty(*a).len();
        let has_places = func.ty(*pattern).len() > before;
        match (&func.def(*a).op, &func.def(*pattern).op) {
            (Op::Param(elements), Op::Param(pattern)) if has_places => Some(Ordered { elements, pattern, before }),
            _ => None,
        }
    }

    /// The elements in the order of the product, and the pattern without places, if both are given: names and numbers.
    fn resolved(&self, given: &IndexMap<Arc<str>, Tensor>) -> Option<[(Arc<str>, Vec<f64>); 2]> {
        let (elements, pattern) = (given.get(self.elements)?, given.get(self.pattern)?);
        let numbers: Vec<f64> = pattern.iter().copied().collect();
        let (plain, places) = numbers.split_at(self.before);
        let elements = places.iter().map(|place| elements[[*place as usize]]).collect();
        let name = format!("{}.by.{}", self.elements, self.pattern);
        Some([(name.into(), elements), (format!("{}.plain", self.pattern).into(), plain.to_vec())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tir::{interp, parse};

    /// Two products of a matrix of two rows and three columns, whose three elements are stored column by column.
    const ORDERED: &str = "func f {
  %0 = param w : f32[3]
  %1 = param at : i32[9]
  %2 = param x : f32[3, 2]
  %3 = sparse_product %0, %2, %1 : f32[2, 2]
  %4 = add %2, %2 : f32[3, 2]
  %5 = sparse_product %0, %4, %1 : f32[2, 2]
  return y = %3
  return twice = %5
}
";

    #[test]
    fn products_read_given_elements_one_after_the_other() {
        let func = parse::func(ORDERED).expect("a function");
        // Row 0 has elements in columns 0 and 2, row 1 in column 1.
        let at = arr1(&[0., 2., 3., 0., 2., 1., 0., 2., 1.]).into_dyn();
        let mut given: IndexMap<Arc<str>, Tensor> = IndexMap::new();
        let _ = given.insert("w".into(), arr1(&[1., 2., 3.]).into_dyn());
        let _ = given.insert("at".into(), at);
        let x = ndarray::arr2(&[[1., 10.], [2., 20.], [3., 30.]]).into_dyn();
        let results = |func: &Func, given: &IndexMap<Arc<str>, Tensor>| {
            let input = |name: &str| if name == "x" { Some(x.clone()) } else { given.get(name).cloned() };
            interp::run(func, &input).expect("all inputs are there")
        };
        let before = results(&func, &given);
        let new = in_order(&func, &mut given);
        assert_eq!(before["y"], ndarray::arr2(&[[10., 100.], [4., 40.]]).into_dyn());
        assert_eq!(results(&new, &given), before);
        let reads = |value: Value| {
            let Op::Sparse { a, pattern, .. } = &new.def(value).op else { return None };
            Some((*a, *pattern, Ordered::of(&new, value).is_some()))
        };
        let reads: Vec<_> = new.values().filter_map(reads).collect();
        let [(.., has_places), _] = reads[..] else { panic!("two products") };
        assert!(!has_places);
        assert_eq!(reads[0], reads[1], "both read the same");
    }

    #[test]
    fn elements_that_change_stay_where_they_are() {
        let func = parse::func(ORDERED).expect("a function");
        assert_eq!(in_order(&func, &mut IndexMap::new()), func);
    }
}
