//! Elements of given matrices in the order in which products read them.

use std::sync::Arc;

use indexmap::IndexMap;
use ndarray::arr1;

use crate::tir::interp::Tensor;
use crate::tir::{Func, Op, SparseRole, Type, Value};

/// Where products read the elements of a given matrix by places, gives them the same elements in their own order, and a pattern without
/// places: they are found without looking up where they are.
pub(super) fn in_order(func: &Func, given: &mut IndexMap<Arc<str>, Tensor>) -> Func {
    let mut new = Func::new(func.name.clone());
    let mut map: Vec<Value> = Vec::with_capacity(func.defs.len());
    for value in func.values() {
        let def = func.def(value);
        let mut op = def.op.clone();
        op.operands_mut().into_iter().for_each(|operand| *operand = map[operand.0 as usize]);
        if let Some(ordered) = Ordered::of(func, value)
            && let Some([elements, pattern]) = ordered.resolved(given)
            && let Op::Sparse { a, pattern: at, .. } = &mut op
        {
            let [named_elements, named_pattern] = ordered.names();
            for (slot, name, numbers) in [(a, named_elements, elements), (at, named_pattern, pattern)] {
                let ty = Type::new(new.ty(*slot).dtype, [numbers.len()]);
                *slot = new.push(Op::Param(name.clone()), ty, None);
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
    /// Which definition it is.
    value: Value,
}

impl<'a> Ordered<'a> {
    fn of(func: &'a Func, value: Value) -> Option<Ordered<'a>> {
        let Op::Sparse { role: SparseRole::Product, a, pattern, .. } = &func.def(value).op else { return None };
        let before = func.ty(value).shape[0] + 1 + func.ty(*a).len();
        let has_places = func.ty(*pattern).len() > before;
        match (&func.def(*a).op, &func.def(*pattern).op) {
            (Op::Param(elements), Op::Param(pattern)) if has_places => {
                Some(Ordered { elements, pattern, before, value })
            }
            _ => None,
        }
    }

    /// What the new inputs are called: the elements and the pattern.
    fn names(&self) -> [Arc<str>; 2] {
        [self.elements, self.pattern].map(|name| format!("{name}.of{}", self.value).into())
    }

    /// The elements in the order of the product, and the pattern without places, if both are given.
    fn resolved(&self, given: &IndexMap<Arc<str>, Tensor>) -> Option<[Vec<f64>; 2]> {
        let (elements, pattern) = (given.get(self.elements)?, given.get(self.pattern)?);
        let numbers: Vec<f64> = pattern.iter().copied().collect();
        let (plain, places) = numbers.split_at(self.before);
        Some([places.iter().map(|place| elements[[*place as usize]]).collect(), plain.to_vec()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tir::{interp, parse};

    /// A matrix of two rows and three columns, whose three elements are stored column by column.
    const ORDERED: &str = "func f {
  %0 = param w : f32[3]
  %1 = param at : i32[9]
  %2 = param x : f32[3, 2]
  %3 = sparse_product %0, %2, %1 : f32[2, 2]
  return y = %3
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
        let y = |func: &Func, given: &IndexMap<Arc<str>, Tensor>| {
            let input = |name: &str| if name == "x" { Some(x.clone()) } else { given.get(name).cloned() };
            interp::run(func, &input).expect("all inputs are there")["y"].clone()
        };
        let before = y(&func, &given);
        let new = in_order(&func, &mut given);
        assert_eq!(before, ndarray::arr2(&[[10., 100.], [4., 40.]]).into_dyn());
        assert_eq!(y(&new, &given), before);
        let product = new.values().find(|value| matches!(new.def(*value).op, Op::Sparse { .. })).expect("the product");
        assert!(Ordered::of(&new, product).is_none());
    }

    #[test]
    fn elements_that_change_stay_where_they_are() {
        let func = parse::func(ORDERED).expect("a function");
        assert_eq!(in_order(&func, &mut IndexMap::new()), func);
    }
}
