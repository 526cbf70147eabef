//! Cuts long reductions in two, so that threads can share the first part.
//!
//! A reduction of many elements to few has no independent rows to hand out. It becomes a reduction of the
//! inner axes, which has, and a short one of what is left: the total of a weight matrix is the sum of the sums of its rows.

use crate::tir::{Def, Einsum, Func, Op, Reduction, Type, Value};

/// Below this number of elements a reduction is not worth cutting.
const LONG: usize = 4096;

/// With this number of independent rows a reduction is left as it is.
const ENOUGH_ROWS: usize = 32;

/// The function with long reductions cut in two.
pub fn run(func: &Func) -> Func {
    let mut out = Func::new(func.name.clone());
    let mut map: Vec<Value> = vec![];
    for value in func.values() {
        let mut def = func.def(value).clone();
        for operand in def.op.operands_mut() {
            *operand = map[operand.0 as usize];
        }
        map.push(if let Op::Reduce(reduction, operand, axes) = def.op.clone() {
            cut(&mut out, def, reduction, operand, &axes)
        } else if let Op::Contract(einsum, lhs, rhs) = def.op.clone() {
            cut_contraction(&mut out, def, einsum, lhs, rhs)
        } else {
            out.push(def.op, def.ty, def.origin)
        });
    }
    out.results = func.results.iter().map(|(name, value)| (name.clone(), map[value.0 as usize])).collect();
    out
}

/// Appends the reduction, in one part or two.
fn cut(out: &mut Func, def: Def, reduction: Reduction, operand: Value, axes: &[usize]) -> Value {
    let shape = out.ty(operand).shape.clone();
    let total: usize = shape.iter().product();
    if total < LONG || def.ty.len() >= ENOUGH_ROWS {
        return out.push(def.op, def.ty, def.origin);
    }
    match axes.iter().position(|axis| shape[*axis] >= ENOUGH_ROWS) {
        Some(first) if axes.len() > 1 => keep_one(out, def, reduction, operand, axes, first),
        _ => fold_axis(out, def, reduction, operand, axes),
    }
}

/// Appends the contraction, or one that keeps another label and the sum over that.
fn cut_contraction(out: &mut Func, def: Def, mut einsum: Einsum, lhs: Value, rhs: Value) -> Value {
    let sizes: Vec<(u8, usize)> = einsum.lhs.iter().copied().zip(out.ty(lhs).shape.iter().copied()).collect();
    let total: usize = sizes.iter().map(|(_, size)| size).product();
    let kept = sizes.into_iter().find(|(label, size)| *size >= ENOUGH_ROWS && !einsum.out.contains(label));
    let Some((label, size)) = kept.filter(|_| total >= LONG && def.ty.len() == 1) else {
        return out.push(def.op, def.ty, def.origin);
    };
    einsum.out.insert(0, label);
    let ty = Type::new(def.ty.dtype, [&[size], &def.ty.shape[..]].concat());
    let rows = out.push(Op::Contract(einsum, lhs, rhs), ty, def.origin.clone());
    out.push(Op::Reduce(Reduction::Sum, rows, vec![0]), def.ty, def.origin)
}

/// Reduces all axes but one, then that one.
fn keep_one(out: &mut Func, def: Def, reduction: Reduction, operand: Value, axes: &[usize], kept: usize) -> Value {
    let shape = &out.ty(operand).shape;
    let others: Vec<usize> = axes.iter().copied().filter(|axis| *axis != axes[kept]).collect();
    let left: Vec<usize> = (0..shape.len()).filter(|axis| !others.contains(axis)).collect();
    let ty = Type::new(def.ty.dtype, left.iter().map(|axis| shape[*axis]).collect::<Vec<_>>());
    let rows = out.push(Op::Reduce(reduction, operand, others), ty, def.origin.clone());
    let last = left.iter().filter(|axis| **axis < axes[kept]).count();
    out.push(Op::Reduce(reduction, rows, vec![last]), def.ty, def.origin)
}

/// Views a single long axis as a matrix of about as many rows as it needs, and reduces its rows first.
fn fold_axis(out: &mut Func, def: Def, reduction: Reduction, operand: Value, axes: &[usize]) -> Value {
    let ty = out.ty(operand).clone();
    let long = axes.iter().copied().max_by_key(|axis| ty.shape[*axis]).expect("a reduction has an axis");
    let Some(rows) = (ENOUGH_ROWS..=4 * ENOUGH_ROWS).find(|rows| ty.shape[long].is_multiple_of(*rows)) else {
        return out.push(def.op, def.ty, def.origin);
    };
    let mut shape = ty.shape.clone();
    shape[long] /= rows;
    shape.insert(long, rows);
    let view = out.push(Op::Reshape(operand), Type::new(ty.dtype, shape), def.origin.clone());
    let axes: Vec<usize> = axes.iter().map(|axis| axis + usize::from(*axis > long)).collect();
    let first = axes.iter().position(|axis| *axis == long).expect("it is one of them");
    let axes = [&axes[..=first], &[long + 1], &axes[first + 1..]].concat();
    keep_one(out, def, reduction, view, &axes, first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(shape: &[usize]) -> Func {
        let mut func = Func::new("f");
        let w = func.push(Op::Param("w".into()), Type::f32(shape), None);
        let axes = (0..shape.len()).collect();
        let sum = func.push(Op::Reduce(Reduction::Sum, w, axes), Type::f32([]), None);
        func.results.push(("sum".into(), sum));
        run(&func)
    }

    fn reductions(func: &Func) -> Vec<Type> {
        func.defs.iter().filter(|def| matches!(def.op, Op::Reduce(..))).map(|def| def.ty.clone()).collect()
    }

    #[test]
    fn the_total_of_a_matrix_goes_by_rows() {
        assert_eq!(reductions(&total(&[784, 300])), [Type::f32([784]), Type::f32([])]);
    }

    #[test]
    fn the_total_of_a_long_vector_goes_by_parts() {
        assert_eq!(reductions(&total(&[6400])), [Type::f32([32]), Type::f32([])]);
    }

    #[test]
    fn short_ones_stay() {
        assert_eq!(reductions(&total(&[64, 10])), [Type::f32([])]);
    }
}
