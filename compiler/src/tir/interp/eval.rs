//! What each op means: one `match`, and a function for each op that is more than a line.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array3, ArrayD, ArrayView3, ArrayViewD, ArrayViewMutD, Axis};

use super::{images, rows, sparse};
use crate::scalar::Binary;
use crate::tir::{DType, Def, Einsum, Func, Op, Reduction, SparseRole, Type, Value};

/// The operands of a definition, by value.
type Operands<'a> = &'a dyn Fn(Value) -> ArrayViewD<'a, f64>;

/// Evaluates one definition into `out`, row-major.
pub fn eval(func: &Func, def: &Def, get: Operands<'_>, out: &mut [f64]) {
    let ty = &def.ty;
    match &def.op {
        Op::Param(_) => unreachable!("inputs are given"),
        Op::Const(number) => out.fill(*number),
        Op::Iota(axis) => iota(ty, *axis, out),
        Op::Unary(function, a) => map(flat(&get(*a)), out, |x| wrap(ty, function.apply(x))),
        Op::Binary(function, a, b) => binary(*function, ty, flat(&get(*a)), flat(&get(*b)), out),
        Op::Select(c, a, b) => select([flat(&get(*c)), flat(&get(*a)), flat(&get(*b))], out),
        Op::Convert(a) => map(flat(&get(*a)), out, |x| convert(ty.dtype, x)),
        Op::Broadcast(a, dims) => repeat(&get(*a), dims, view_mut(ty, out)),
        Op::Transpose(a, perm) => view_mut(ty, out).assign(&get(*a).permuted_axes(perm.as_slice())),
        Op::Reshape(a) | Op::WithGradient(a, _) => out.copy_from_slice(flat(&get(*a))),
        Op::Reduce(how, a, axes) => view_mut(ty, out).assign(&reduce(*how, &get(*a), axes)),
        Op::Contract(einsum, a, b) => view_mut(ty, out).assign(&contract(einsum, &get(*a), &get(*b))),
        Op::Uniform { seed, step, site } => uniform(scalar(&get(*seed)), scalar(&get(*step)), *site, out),
        Op::Quantile(a, q) => out.fill(quantile(flat(&get(*a)), scalar(&get(*q)))),
        Op::Conv { role, window, groups, a, b } => {
            images::conv(*role, window, *groups, [&get(*a), &get(*b)], &ty.shape, out);
        }
        Op::Pool(how, window, a) => images::pool(*how, window, &get(*a), &ty.shape, out),
        Op::Unpool(window, a) => images::unpool(window, &get(*a), &ty.shape, out),
        Op::UnpoolMax { window, x, ct } => images::unpool_max(window, &get(*x), &get(*ct), out),
        Op::Pad { value, lo, gap, a, hi: _ } => {
            out.fill(*value);
            rows::pad(lo, gap, &get(*a), view_mut(ty, out));
        }
        Op::Slice { start, step, a } => rows::slice(start, step, &get(*a), view_mut(ty, out)),
        Op::Concat(parts, axis) => {
            let parts: Vec<_> = parts.iter().map(|part| get(*part)).collect();
            rows::concat(&parts, *axis, view_mut(ty, out));
        }
        Op::Gather { batch, table, index } => rows::gather(*batch, &get(*table), &get(*index), out),
        Op::Scatter { batch, values, index } => {
            rows::scatter(*batch, &get(*values), &get(*index), &ty.shape, out);
        }
        Op::Sparse { role, a, b, pattern } => {
            let [a, b, pattern] = [a, b, pattern].map(|value| get(*value));
            out.fill(0.0);
            match role {
                SparseRole::Product => sparse::product([&a, &b, &pattern], ty.shape[0], out),
                SparseRole::Sampled => sparse::sampled([&a, &b, &pattern], out),
            }
        }
        Op::TopK(a, k) => rows::top_k(flat(&get(*a)), *k, *ty.shape.last().expect("it has a last axis"), out),
        Op::CumSum { a, axis, reverse } => {
            out.copy_from_slice(flat(&get(*a)));
            rows::cumsum(*axis, *reverse, view_mut(ty, out));
        }
        Op::Grad(..) => panic!("{} still asks for a derivative", func.name),
    }
}

/// The elements of a slot.
fn flat<'a>(view: &ArrayViewD<'a, f64>) -> &'a [f64] {
    view.to_slice().expect("slots are contiguous")
}

fn scalar(view: &ArrayViewD<'_, f64>) -> f64 {
    flat(view)[0]
}

fn view_mut<'a>(ty: &Type, out: &'a mut [f64]) -> ArrayViewMutD<'a, f64> {
    ArrayViewMutD::from_shape(ty.shape.as_slice(), out).expect("a slot has the length of its value")
}

fn map(a: &[f64], out: &mut [f64], function: impl Fn(f64) -> f64) {
    out.iter_mut().zip(a).for_each(|(out, a)| *out = function(*a));
}

/// Integers wrap at 32 bits.
fn wrap(ty: &Type, x: f64) -> f64 {
    match ty.dtype {
        DType::I32 => f64::from(x as i64 as i32),
        DType::F32 | DType::Bool => x,
    }
}

fn binary(function: Binary, ty: &Type, a: &[f64], b: &[f64], out: &mut [f64]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = wrap(ty, function.apply(*a, *b));
    }
}

fn select([c, a, b]: [&[f64]; 3], out: &mut [f64]) {
    for (((out, c), a), b) in out.iter_mut().zip(c).zip(a).zip(b) {
        *out = if *c == 0.0 { *b } else { *a };
    }
}

fn convert(to: DType, x: f64) -> f64 {
    match to {
        DType::F32 => x,
        DType::I32 => f64::from(x as i32),
        DType::Bool => f64::from(u8::from(x != 0.0)),
    }
}

fn iota(ty: &Type, axis: usize, out: &mut [f64]) {
    let inner: usize = ty.shape[axis + 1..].iter().product();
    out.iter_mut().enumerate().for_each(|(pos, out)| *out = (pos / inner % ty.shape[axis]) as f64);
}

/// Writes `a` with its axis `i` as axis `dims[i]` of `out`, repeated along the others.
pub fn repeat<T: Clone>(a: &ArrayViewD<'_, T>, dims: &[usize], mut out: ArrayViewMutD<'_, T>) {
    let new = (0..out.ndim()).filter(|dim| !dims.contains(dim));
    let aligned = new.fold(a.view(), |a, dim| a.insert_axis(Axis(dim)));
    let repeated = aligned.broadcast(out.raw_dim()).expect("a verified broadcast fits");
    out.assign(&repeated);
}

/// `a` with the elements along `axes` combined.
pub fn reduce(how: Reduction, a: &ArrayViewD<'_, f64>, axes: &[usize]) -> ArrayD<f64> {
    let step = |a: Option<ArrayD<f64>>, axis: &usize| Some(reduce_axis(how, a.as_ref()?.view(), Axis(*axis)));
    let first = |axis: &usize| reduce_axis(how, a.view(), Axis(*axis));
    match axes.split_last() {
        None => a.to_owned(),
        Some((last, axes)) => axes.iter().rev().fold(Some(first(last)), step).expect("it starts with a value"),
    }
}

fn reduce_axis(how: Reduction, a: ArrayViewD<'_, f64>, axis: Axis) -> ArrayD<f64> {
    match how {
        Reduction::Sum => a.sum_axis(axis),
        Reduction::Max => a.fold_axis(axis, f64::NEG_INFINITY, |max, x| Binary::Max.apply(*x, *max)),
        Reduction::Min => a.fold_axis(axis, f64::INFINITY, |min, x| Binary::Min.apply(*x, *min)),
    }
}

/// The sum of products, as a batch of matrix products: labels in both operands and the result are batches, labels in
/// one operand and the result are rows or columns, the others are summed over.
pub fn contract(einsum: &Einsum, a: &ArrayViewD<'_, f64>, b: &ArrayViewD<'_, f64>) -> ArrayD<f64> {
    let Einsum { lhs, rhs, out } = einsum;
    let batch = labels(lhs, |label| rhs.contains(label) && out.contains(label));
    let rows = labels(lhs, |label| !rhs.contains(label));
    let summed = labels(lhs, |label| !out.contains(label));
    let cols = labels(rhs, |label| !lhs.contains(label));
    let (a, a_shape) = arrange(a, lhs, [&batch, &rows, &summed]);
    let (b, b_shape) = arrange(b, rhs, [&batch, &summed, &cols]);
    let product = multiply(
        a.to_shape(a_shape).expect("groups cover the axes").view(),
        b.to_shape(b_shape).expect("groups cover the axes").view(),
    );
    let sizes_of_a = &a.shape()[..batch.len() + rows.len()];
    let sizes = [sizes_of_a, &b.shape()[batch.len() + summed.len()..]].concat();
    let order = [batch, rows, cols].concat();
    let perm: Vec<usize> = out.iter().map(|label| position(&order, *label)).collect();
    product.into_shape_with_order(sizes).expect("the product has the result's elements").permuted_axes(perm)
}

fn labels(list: &[u8], choose: impl Fn(&u8) -> bool) -> Vec<u8> {
    list.iter().copied().filter(choose).collect()
}

fn position(list: &[u8], label: u8) -> usize {
    list.iter().position(|other| *other == label).expect("a verified contraction knows its labels")
}

/// The tensor with its axes in the order of `groups`, and the shape that has each group as one axis.
fn arrange<'a>(a: &ArrayViewD<'a, f64>, list: &[u8], groups: [&[u8]; 3]) -> (ArrayViewD<'a, f64>, [usize; 3]) {
    let size = |group: &[u8]| group.iter().map(|label| a.shape()[position(list, *label)]).product();
    let shape = groups.map(size);
    let perm: Vec<usize> = groups.concat().iter().map(|label| position(list, *label)).collect();
    (a.clone().permuted_axes(perm), shape)
}

/// A product of matrices for each index of the first axis.
fn multiply(a: ArrayView3<'_, f64>, b: ArrayView3<'_, f64>) -> Array3<f64> {
    let mut product = Array3::zeros((a.dim().0, a.dim().1, b.dim().2));
    for ((a, b), mut product) in a.outer_iter().zip(b.outer_iter()).zip(product.outer_iter_mut()) {
        general_mat_mul(1.0, &a, &b, 0.0, &mut product);
    }
    product
}

fn uniform(seed: f64, step: f64, site: u64, out: &mut [f64]) {
    let mut draws = vec![0.0; out.len()];
    spnc_runtime::random::fill_uniform(seed as i32, step as i32, site, 0, &mut draws);
    out.iter_mut().zip(draws).for_each(|(out, draw)| *out = f64::from(draw));
}

/// The smallest element that at least a share `q` of the elements does not exceed.
fn quantile(elements: &[f64], q: f64) -> f64 {
    let n = elements.len() as f64;
    let mut rank = (q * n).ceil().clamp(1.0, n);
    // The product may have been rounded up to the next rank.
    while rank > 1.0 && (rank - 1.0) / n >= q {
        rank -= 1.0;
    }
    let mut elements = elements.to_vec();
    *elements.select_nth_unstable_by(rank as usize - 1, f64::total_cmp).1
}
