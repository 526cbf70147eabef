//! Rules about ops that choose, move or add up elements by their positions.

use super::{Checked, check, check_const, expect_dtype, expect_one_of, expect_shape, expect_type};
use crate::tir::{DType, Func, SparseRole, Type, Value};

/// `lo`, `hi` and `gap` new elements `value` around and between those of `a`.
pub fn check_pad(func: &Func, value: f64, [lo, hi, gap]: [&[usize]; 3], a: Value, ty: &Type) -> Checked {
    expect_dtype(func, a, ty.dtype)?;
    check_const(value, ty.dtype)?;
    let shape = &func.ty(a).shape;
    let fits = [lo, hi, gap].iter().all(|list| list.len() == shape.len());
    check(fits, || format!("{lo:?}, {hi:?}, {gap:?} do not fit the operand's {} axes", shape.len()))?;
    let size = |d: usize| lo[d] + shape[d] + gap[d] * shape[d].saturating_sub(1) + hi[d];
    expect_shape(&ty.shape, &(0..shape.len()).map(size).collect::<Vec<_>>())
}

/// The elements of `a` at `start + i step`.
pub fn check_slice(func: &Func, [start, step]: [&[usize]; 2], a: Value, ty: &Type) -> Checked {
    expect_dtype(func, a, ty.dtype)?;
    let shape = &func.ty(a).shape;
    let fits = [start, step, &ty.shape].iter().all(|list| list.len() == shape.len());
    check(fits, || format!("{start:?}, {step:?}, {ty} do not fit the operand's {} axes", shape.len()))?;
    check(!step.contains(&0), || format!("a step of 0 in {step:?}"))?;
    let is_inside = |d: usize| ty.shape[d] == 0 || start[d] + (ty.shape[d] - 1) * step[d] < shape[d];
    check((0..shape.len()).all(is_inside), || format!("{ty} from {start:?} by {step:?} leaves {shape:?}"))
}

/// `parts` one behind the other along `axis`.
pub fn check_concat(func: &Func, parts: &[Value], axis: usize, ty: &Type) -> Checked {
    check(!parts.is_empty(), || "nothing to put together".into())?;
    check(axis < ty.rank(), || format!("there is no axis {axis}"))?;
    let total: usize = parts.iter().map(|part| func.ty(*part).shape.get(axis).copied().unwrap_or(0)).sum();
    parts.iter().try_for_each(|part| {
        let mut expected = ty.clone();
        expected.shape[axis] = func.ty(*part).shape.get(axis).copied().unwrap_or(0);
        expect_type(func, *part, &expected)
    })?;
    check(total == ty.shape[axis], || format!("{} elements along axis {axis}, expected {total}", ty.shape[axis]))
}

/// `rows` (a table) and `picked` (its rows at `index`), one of which is the result.
pub fn check_rows(func: &Func, batch: usize, [rows, picked]: [&Type; 2], index: Value) -> Checked {
    expect_dtype(func, index, DType::I32)?;
    let index = &func.ty(index).shape;
    check(rows.dtype == picked.dtype, || format!("{rows} and {picked} have different elements"))?;
    check(batch < rows.rank() && batch <= index.len(), || format!("there are no {batch} axes in common"))?;
    let expected = [index, &rows.shape[batch + 1..]].concat();
    check(index[..batch] == rows.shape[..batch], || format!("{index:?} and {rows} differ in the first {batch} axes"))?;
    check(picked.shape == expected, || format!("{picked} stands for rows of shape {expected:?}"))
}

/// Two of `y`, `w`, `x` and a pattern; the third one is the result.
pub fn check_sparse(func: &Func, role: SparseRole, [a, b, pattern]: [Value; 3], ty: &Type) -> Checked {
    [a, b].iter().try_for_each(|operand| expect_dtype(func, *operand, DType::F32))?;
    expect_one_of(ty.dtype, &[DType::F32])?;
    expect_dtype(func, pattern, DType::I32)?;
    let [w, y, x] = match role {
        SparseRole::Product => [func.ty(a), ty, func.ty(b)],
        SparseRole::Sampled => [ty, func.ty(a), func.ty(b)],
    };
    let ranks = [w, y, x, func.ty(pattern)].map(Type::rank);
    check(ranks == [1, 2, 2, 1], || format!("{w}, {y}, {x} and their pattern have {ranks:?} axes"))?;
    check(y.shape[1] == x.shape[1], || format!("{y} and {x} differ in the last axis"))?;
    let [plain, ordered] = [1, 2].map(|n| y.shape[0] + 1 + n * w.len());
    let len = func.ty(pattern).len();
    check(len == plain || len == ordered, || format!("a pattern of {len} numbers, expected {plain} or {ordered}"))
}

/// The `k` largest along the last axis of `a`.
pub fn check_top_k(func: &Func, a: Value, k: usize, ty: &Type) -> Checked {
    expect_type(func, a, &ty.with_dtype(DType::F32))?;
    check(ty.dtype == DType::Bool, || format!("the result has elements of {}, expected bool", ty.dtype))?;
    let is_enough = ty.shape.last().is_some_and(|n| k <= *n);
    check(is_enough, || format!("there are no {k} elements along the last axis of {ty}"))
}

/// Sums along `axis`.
pub fn check_cumsum(func: &Func, a: Value, axis: usize, ty: &Type) -> Checked {
    expect_type(func, a, ty)?;
    expect_one_of(ty.dtype, &[DType::F32])?;
    check(axis < ty.rank(), || format!("there is no axis {axis}"))
}
