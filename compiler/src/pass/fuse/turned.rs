//! Factors that many small products read across their rows are turned once.
//!
//! Each step of a recurrence multiplies its few rows with the same matrix, and backwards with its transpose. A product brings
//! a factor into order before it begins, and for few rows that takes as long as the product does; where the sums run along the
//! rows of a matrix, twice as long. A copy that is transposed once serves all steps.

use std::collections::BTreeMap;

use crate::tir::{Einsum, Func, Op, Type, Value};

/// So many products make a copy worth it.
const MANY: usize = 8;

/// Products of more rows take much longer than bringing the factor into order.
const FEW_ROWS: usize = 64;

/// The function with such factors transposed.
pub fn run(func: &Func) -> Func {
    let uses = uses(func);
    let mut out = Func::new(func.name.clone());
    let mut map: Vec<Value> = Vec::with_capacity(func.defs.len());
    let mut turned: BTreeMap<Value, Value> = BTreeMap::new();
    for value in func.values() {
        let mut def = func.def(value).clone();
        let factor = across(func, &def.op).filter(|factor| uses[factor] >= MANY);
        for operand in def.op.operands_mut() {
            *operand = map[operand.0 as usize];
        }
        if let (Some(factor), Op::Contract(Einsum { rhs, .. }, _, b)) = (factor, &mut def.op) {
            rhs.reverse();
            *b = *turned.entry(factor).or_insert_with(|| turn(&mut out, *b));
        }
        map.push(out.push(def.op, def.ty, def.origin));
    }
    out.results = func.results.iter().map(|(name, value)| (name.clone(), map[value.0 as usize])).collect();
    out
}

/// A transposed copy of a matrix.
fn turn(out: &mut Func, matrix: Value) -> Value {
    let def = out.def(matrix).clone();
    let ty = Type::new(def.ty.dtype, [def.ty.shape[1], def.ty.shape[0]]);
    let view = out.push(Op::Transpose(matrix, vec![1, 0]), ty.clone(), def.origin.clone());
    out.push(Op::Convert(view), ty, def.origin)
}

/// How many products of few rows sum along the rows of each matrix.
fn uses(func: &Func) -> BTreeMap<Value, usize> {
    let mut uses = BTreeMap::new();
    for factor in func.defs.iter().filter_map(|def| across(func, &def.op)) {
        *uses.entry(factor).or_default() += 1;
    }
    uses
}

/// The sizes of axes that a transpose turns around: the first, what is in the middle (1 if nothing is), the last, where axes that stay side by side are one.
/// `None` if it does anything else.
pub fn sides(shape: &[usize], axes: &[usize]) -> Option<[usize; 3]> {
    // The axes of the result, as runs of axes of the operand; where there is one position there is nothing to order.
    let mut runs: Vec<(usize, usize)> = vec![];
    let long = |axis: &usize| shape[*axis] != 1;
    let order: Vec<usize> = (0..shape.len()).filter(long).collect();
    for axis in axes.iter().copied().filter(long) {
        let place = order.iter().position(|other| *other == axis)?;
        match runs.last_mut() {
            Some((_, end)) if *end == place => *end += 1,
            _ => runs.push((place, place + 1)),
        }
    }
    let is_turned = runs.windows(2).all(|pair| pair[1].1 == pair[0].0);
    let size = |(start, end): (usize, usize)| order[start..end].iter().map(|axis| shape[*axis]).product();
    match runs[..] {
        [last, first] if is_turned => Some([size(first), 1, size(last)]),
        [last, middle, first] if is_turned => Some([size(first), size(middle), size(last)]),
        _ => None,
    }
}

/// The right factor of a product of few rows, if it is a matrix along whose rows the sums run.
fn across(func: &Func, op: &Op) -> Option<Value> {
    let Op::Contract(Einsum { lhs, rhs, out }, a, b) = op else { return None };
    let [column, summed] = rhs[..] else { return None };
    let is_product = out.contains(&column) && !lhs.contains(&column) && !out.contains(&summed);
    let sizes = lhs.iter().zip(&func.ty(*a).shape).filter(|(label, _)| out.contains(label));
    let rows: usize = sizes.map(|(_, size)| *size).product();
    let is_wide = func.ty(*b).shape.iter().all(|size| *size >= FEW_ROWS);
    (is_product && is_wide && (2..=FEW_ROWS).contains(&rows)).then_some(*b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::fuse::product;
    use crate::tir::parse;

    /// A recurrence of so many steps that multiplies with the transpose of a matrix.
    fn recurrence(steps: usize) -> Func {
        let mut text = "func f {\n%0 = param x : f32[20, 80]\n%1 = param u : f32[80, 80]\n".to_owned();
        for step in 0..steps {
            let x = if step == 0 { 0 } else { step + 1 };
            text += &format!("%{} = contract ab,cb->ac %{x}, %1 : f32[20, 80]\n", step + 2);
        }
        parse::func(&format!("{text}return y = %{}\n}}\n", steps + 1)).expect("a function")
    }

    fn copies(func: &Func) -> usize {
        func.defs.iter().filter(|def| matches!(def.op, Op::Convert(_))).count()
    }

    #[test]
    fn many_products_share_a_transposed_copy() {
        let func = run(&recurrence(10));
        assert_eq!(copies(&func), 1);
        let mut products = func.values().filter_map(|value| product::of(&func, value));
        assert!(products.all(|product| product.b.col == 1));
    }

    #[test]
    fn few_products_read_the_matrix_as_it_is() {
        assert_eq!(run(&recurrence(3)), recurrence(3));
    }

    #[test]
    fn axes_that_stay_side_by_side_are_one() {
        assert_eq!(sides(&[64, 784], &[1, 0]), Some([64, 1, 784]));
        assert_eq!(sides(&[50, 20, 5, 5], &[2, 3, 1, 0]), Some([50, 20, 25]));
        assert_eq!(sides(&[5, 5, 20, 50], &[3, 2, 0, 1]), Some([25, 20, 50]));
        assert_eq!(
            sides(&[20, 1, 5, 5], &[2, 3, 1, 0]),
            Some([20, 1, 25]),
            "where there is one position nothing is ordered"
        );
        assert_eq!(sides(&[64, 28, 28, 3], &[0, 3, 1, 2]), None, "the first axis stays");
        assert_eq!(sides(&[64, 784], &[0, 1]), None);
        assert_eq!(sides(&[2, 3, 4, 5], &[3, 1, 2, 0]), Some([2, 12, 5]));
        assert_eq!(sides(&[2, 3, 4, 5], &[1, 0, 3, 2]), None);
    }
}
