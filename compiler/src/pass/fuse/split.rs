//! Cuts long reductions in two, so that threads can share the first part.
//!
//! A reduction of many elements to few has no independent rows to hand out. It becomes a reduction of the
//! inner axes, which has, and a short one of what is left: the total of a weight matrix is the sum of the sums of its rows.
//! A reduction of images to their channels goes image by image, so that memory is walked through in order.

use std::collections::BTreeMap;

use crate::tir::{Def, Einsum, Func, Op, Reduction, Type, Value};

/// Below this number of elements a reduction is not worth cutting.
const LONG: usize = 4096;

/// With this number of independent rows a reduction is left as it is.
const ENOUGH_ROWS: usize = 32;

/// With so many images, or more, a reduction to channels goes image by image.
const ENOUGH_IMAGES: usize = 8;

/// If an image has so many pixels, or more.
const ENOUGH_PIXELS: usize = 16;

/// With so many channels, or more, what is read of a pixel is long enough to be read by itself.
const MANY_CHANNELS: usize = 1024;

/// The function with long reductions cut in two.
pub fn run(func: &Func) -> Func {
    let mut out = Func::new(func.name.clone());
    let mut map: Vec<Value> = vec![];
    let groups = groups(func);
    for value in func.values() {
        let mut def = func.def(value).clone();
        for operand in def.op.operands_mut() {
            *operand = map[operand.0 as usize];
        }
        map.push(if let Op::Reduce(reduction, operand, axes) = def.op.clone() {
            cut(&mut out, &groups, def, reduction, operand, &axes)
        } else if let Op::Contract(einsum, lhs, rhs) = def.op.clone() {
            cut_contraction(&mut out, &groups, def, einsum, lhs, rhs)
        } else {
            out.push(def.op, def.ty, def.origin)
        });
    }
    out.results = func.results.iter().map(|(name, value)| (name.clone(), map[value.0 as usize])).collect();
    out
}

/// For each shape that is reduced to one axis, that axis: a total that goes the same way can share the nest.
fn groups(func: &Func) -> BTreeMap<&[usize], usize> {
    let mut groups = BTreeMap::new();
    for def in &func.defs {
        if let Op::Reduce(_, operand, axes) = &def.op {
            let shape = &func.ty(*operand).shape[..];
            let mut kept = (0..shape.len()).filter(|axis| !axes.contains(axis));
            if let (Some(axis), None) = (kept.next(), kept.next()) {
                let _ = groups.entry(shape).or_insert(axis);
            }
        }
    }
    groups
}

/// Whether a reduction of a value of this shape leaves its last axes, and the first one is worth being reduced by itself at
/// the end.
pub fn goes_by_images(shape: &[usize], axes: &[usize]) -> bool {
    let reduced = axes.len();
    let leading = axes.iter().copied().eq(0..reduced) && (2..shape.len()).contains(&reduced);
    leading
        && shape[0] >= ENOUGH_IMAGES
        && shape[1..reduced].iter().product::<usize>() >= ENOUGH_PIXELS
        && shape[reduced..].iter().product::<usize>() < MANY_CHANNELS
}

/// Appends the reduction, in one part or two.
fn cut(
    out: &mut Func,
    groups: &BTreeMap<&[usize], usize>,
    def: Def,
    reduction: Reduction,
    operand: Value,
    axes: &[usize],
) -> Value {
    let shape = out.ty(operand).shape.clone();
    let total: usize = shape.iter().product();
    if total >= LONG && goes_by_images(&shape, axes) {
        return keep_one(out, def, reduction, operand, axes, 0);
    }
    if total < LONG || def.ty.len() >= ENOUGH_ROWS {
        return out.push(def.op, def.ty, def.origin);
    }
    let enough = |axis: &usize| shape[*axis] >= ENOUGH_ROWS;
    let group = groups.get(&shape[..]).filter(|axis| enough(axis));
    match axes.iter().position(|axis| Some(axis) == group).or_else(|| axes.iter().position(enough)) {
        Some(first) if axes.len() > 1 => keep_one(out, def, reduction, operand, axes, first),
        _ => fold_axis(out, def, reduction, operand, axes),
    }
}

/// Appends the contraction, or one that keeps another label and the sum over that.
fn cut_contraction(
    out: &mut Func,
    groups: &BTreeMap<&[usize], usize>,
    def: Def,
    mut einsum: Einsum,
    lhs: Value,
    rhs: Value,
) -> Value {
    let shape = &out.ty(lhs).shape[..];
    let total: usize = shape.iter().product();
    let sizes: Vec<(u8, usize)> = einsum.lhs.iter().copied().zip(shape.iter().copied()).collect();
    let enough = |(label, size): &(u8, usize)| *size >= ENOUGH_ROWS && !einsum.out.contains(label);
    let group = groups.get(shape).map(|axis| sizes[*axis]).filter(enough);
    let kept = group.or_else(|| sizes.into_iter().find(enough));
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
    fn a_total_goes_the_way_of_the_groups() {
        let text = "func f {
            %0 = param w : f32[784, 300]
            %1 = reduce_sum %0, [0, 1] : f32[]
            %2 = reduce_sum %0, [0] : f32[300]
            return total = %1
            return columns = %2
            }
            ";
        let func = run(&crate::tir::parse::func(text).expect("a function"));
        assert_eq!(reductions(&func), [Type::f32([300]), Type::f32([]), Type::f32([300])]);
    }

    #[test]
    fn sums_over_images_go_image_by_image() {
        let mut func = Func::new("f");
        let x = func.push(Op::Param("x".into()), Type::f32([64, 8, 8, 40]), None);
        let sum = func.push(Op::Reduce(Reduction::Sum, x, vec![0, 1, 2]), Type::f32([40]), None);
        func.results.push(("sum".into(), sum));
        assert_eq!(reductions(&run(&func)), [Type::f32([64, 40]), Type::f32([40])]);
    }

    #[test]
    fn short_ones_stay() {
        assert_eq!(reductions(&total(&[64, 10])), [Type::f32([])]);
    }
}
