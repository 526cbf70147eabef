//! Laws about ops that choose and move elements: slices, padding, tensors one behind the other.

use crate::pass::rewrite::Rewriter;
use crate::scalar::Binary;
use crate::tir::build::Build;
use crate::tir::{Op, Type, Value};

/// A slice: where it starts, its steps, and what it is cut from.
struct Cut {
    start: Vec<usize>,
    step: Vec<usize>,
    from: Value,
}

pub fn slice(cx: &mut Rewriter, start: &[usize], step: &[usize], a: Value, ty: &Type) -> Option<Value> {
    if cx.ty(a).shape == ty.shape {
        return Some(a);
    }
    let cut = Cut { start: start.to_vec(), step: step.to_vec(), from: a };
    let op = cx.op(a).clone();
    if let Op::Slice { start, step, a } = op {
        return Some(slice_of_slice(cx, &cut, &Cut { start, step, from: a }, ty));
    }
    if let Op::Broadcast(x, dims) = op {
        return Some(slice_of_repeated(cx, &cut, x, &dims, ty));
    }
    if let Op::Concat(parts, axis) = op {
        return slice_of_concat(cx, &cut, &parts, axis, ty);
    }
    let Op::Pad { lo, gap, a, value, .. } = op else { return None };
    slice_of_pad(cx, &cut, [&lo, &gap], a, value, ty)
}

/// The elements at `start + step i` of those at `inner.start + inner.step i`.
fn slice_of_slice(cx: &mut Rewriter, outer: &Cut, inner: &Cut, ty: &Type) -> Value {
    let start = (0..ty.rank()).map(|d| inner.start[d] + inner.step[d] * outer.start[d]).collect();
    let step = (0..ty.rank()).map(|d| inner.step[d] * outer.step[d]).collect();
    cx.slice(start, step, inner.from, ty.shape.clone())
}

/// What does not reach into the padding is cut from what was padded; what lies in it altogether is constant.
fn slice_of_pad(
    cx: &mut Rewriter,
    cut: &Cut,
    [lo, gap]: [&[usize]; 2],
    a: Value,
    value: f64,
    ty: &Type,
) -> Option<Value> {
    let whole = cx.ty(a).shape.clone();
    let last = |d: usize| cut.start[d] + (ty.shape[d].max(1) - 1) * cut.step[d];
    if (0..ty.rank()).any(|d| gap[d] == 0 && (last(d) < lo[d] || cut.start[d] >= lo[d] + whole[d])) {
        return Some(cx.constant(value, ty.clone()));
    }
    let is_inside = |d: usize| {
        let ends = cut.start[d] >= lo[d] && last(d) < lo[d] + whole[d] + gap[d] * whole[d].saturating_sub(1);
        ends && cut.step[d].is_multiple_of(gap[d] + 1) && (cut.start[d] - lo[d]).is_multiple_of(gap[d] + 1)
    };
    (0..ty.rank()).all(is_inside).then(|| {
        let start = (0..ty.rank()).map(|d| (cut.start[d] - lo[d]) / (gap[d] + 1)).collect();
        let step = (0..ty.rank()).map(|d| cut.step[d] / (gap[d] + 1)).collect();
        cx.slice(start, step, a, ty.shape.clone())
    })
}

/// What lies in one part is cut from that part.
fn slice_of_concat(cx: &mut Rewriter, cut: &Cut, parts: &[Value], axis: usize, ty: &Type) -> Option<Value> {
    let first = cut.start[axis];
    let last = first + ty.shape[axis].checked_sub(1)? * cut.step[axis];
    let mut before = 0;
    for part in parts {
        let len = cx.ty(*part).shape[axis];
        if before <= first && last < before + len {
            let mut start = cut.start.clone();
            start[axis] -= before;
            return Some(cx.slice(start, cut.step.clone(), *part, ty.shape.clone()));
        }
        before += len;
    }
    None
}

fn slice_of_repeated(cx: &mut Rewriter, cut: &Cut, x: Value, dims: &[usize], ty: &Type) -> Value {
    let of = |list: &[usize]| dims.iter().map(|dim| list[*dim]).collect::<Vec<_>>();
    let x = cx.slice(of(&cut.start), of(&cut.step), x, of(&ty.shape));
    cx.broadcast(x, dims.to_vec(), ty.shape.clone())
}

pub fn pad(cx: &mut Rewriter, value: f64, [lo, hi, gap]: [&[usize]; 3], a: Value, ty: &Type) -> Option<Value> {
    if cx.ty(a).shape == ty.shape {
        return Some(a);
    }
    let Op::Pad { value: inner_value, lo: inner_lo, hi: inner_hi, gap: inner_gap, a: x } = cx.op(a).clone() else {
        return None;
    };
    let is_plain = gap.iter().all(|gap| *gap == 0) && value.to_bits() == inner_value.to_bits();
    is_plain.then(|| {
        let sum = |a: &[usize], b: &[usize]| a.iter().zip(b).map(|(a, b)| a + b).collect();
        cx.pad(value, [sum(lo, &inner_lo), sum(hi, &inner_hi), inner_gap], x)
    })
}

pub fn concat(cx: &mut Rewriter, parts: &[Value], axis: usize, ty: &Type) -> Option<Value> {
    if let [part] = parts {
        return Some(*part);
    }
    if let Some(flat) = flattened(cx, parts, axis) {
        return Some(cx.concat(flat, axis));
    }
    if let Some(joined) = neighbours(cx, parts, axis) {
        return Some(cx.concat(joined, axis));
    }
    if axis == 0 { concat_of_reshapes(cx, parts, ty) } else { None }
}

/// The parts of the parts, and no empty ones.
fn flattened(cx: &Rewriter, parts: &[Value], axis: usize) -> Option<Vec<Value>> {
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        if let Op::Concat(inner, inner_axis) = cx.op(*part)
            && *inner_axis == axis
            && cx.used_once(*part)
        {
            flat.extend(inner);
        } else if cx.ty(*part).shape[axis] > 0 {
            flat.push(*part);
        }
    }
    let is_new = flat != parts && !flat.is_empty();
    is_new.then_some(flat)
}

/// Slices of one tensor that stand there one behind the other are one slice.
fn neighbours(cx: &mut Rewriter, parts: &[Value], axis: usize) -> Option<Vec<Value>> {
    let mut joined: Vec<Value> = Vec::with_capacity(parts.len());
    for part in parts {
        match joined.last().and_then(|last| joint(cx, *last, *part, axis)) {
            Some(both) => *joined.last_mut().expect("it has a last one") = both,
            None => joined.push(*part),
        }
    }
    (joined.len() < parts.len()).then_some(joined)
}

fn joint(cx: &mut Rewriter, a: Value, b: Value, axis: usize) -> Option<Value> {
    let [a_cut, b_cut] = [cut(cx, a)?, cut(cx, b)?];
    let [mut shape, b_shape] = [a, b].map(|value| cx.ty(value).shape.clone());
    let is_plain = a_cut.step[axis] == 1 && a_cut.step == b_cut.step && a_cut.from == b_cut.from;
    let mut next = a_cut.start.clone();
    next[axis] += shape[axis];
    (is_plain && next == b_cut.start).then(|| {
        shape[axis] += b_shape[axis];
        cx.slice(a_cut.start, a_cut.step, a_cut.from, shape)
    })
}

fn cut(cx: &Rewriter, value: Value) -> Option<Cut> {
    let Op::Slice { start, step, a } = cx.op(value) else { return None };
    Some(Cut { start: start.clone(), step: step.clone(), from: *a })
}

/// In row-major order the elements stand one behind the other, too, before the parts are reshaped.
fn concat_of_reshapes(cx: &mut Rewriter, parts: &[Value], ty: &Type) -> Option<Value> {
    let below: Option<Vec<Value>> = parts.iter().map(|part| under_reshape(cx, *part)).collect();
    let below = below?;
    let row = |cx: &Rewriter, value: Value| cx.ty(value).shape.get(1..).map(<[usize]>::to_vec);
    let rows = row(cx, below[0])?;
    below.iter().all(|value| row(cx, *value).as_ref() == Some(&rows)).then(|| {
        let joined = cx.concat(below, 0);
        cx.reshape(joined, ty.shape.clone())
    })
}

fn under_reshape(cx: &Rewriter, value: Value) -> Option<Value> {
    if let Op::Reshape(x) = cx.op(value) { Some(*x) } else { None }
}

/// Tensors that are 0 except for parts that touch: in their sum the parts stand side by side.
pub fn sum_of_padded(cx: &mut Rewriter, a: Value, b: Value) -> Option<Value> {
    // (x + y) + b = x + (y + b)
    side_by_side(cx, a, b).or_else(|| touching_term(cx, a, b)).or_else(|| touching_term(cx, b, a))
}

/// `sum + part`, where `part` touches one of the terms of `sum`.
fn touching_term(cx: &mut Rewriter, sum: Value, part: Value) -> Option<Value> {
    let Op::Binary(Binary::Add, x, y) = *cx.op(sum) else { return None };
    if !cx.used_once(sum) {
        return None;
    }
    let [to_y, to_x] = [y, x].map(|term| side_by_side(cx, term, part));
    match (to_y, to_x) {
        (Some(joined), _) => Some(cx.add(x, joined)),
        (None, Some(joined)) => Some(cx.add(y, joined)),
        (None, None) => None,
    }
}

fn side_by_side(cx: &mut Rewriter, a: Value, b: Value) -> Option<Value> {
    let [a, b] = [zero_padded(cx, a)?, zero_padded(cx, b)?];
    let differs: Vec<usize> = (0..a.lo.len()).filter(|d| (a.lo[*d], a.hi[*d]) != (b.lo[*d], b.hi[*d])).collect();
    let &[axis] = differs.as_slice() else { return None };
    let size = |cx: &Rewriter, part: &Padded| cx.ty(part.inner).shape[axis];
    let [first, second] = if a.lo[axis] < b.lo[axis] { [a, b] } else { [b, a] };
    (first.lo[axis] + size(cx, &first) == second.lo[axis]).then(|| {
        let mut hi = first.hi.clone();
        hi[axis] = second.hi[axis];
        let gap = vec![0; hi.len()];
        let joined = cx.concat(vec![first.inner, second.inner], axis);
        cx.pad(0.0, [first.lo, hi, gap], joined)
    })
}

/// A tensor with zeros around it.
struct Padded {
    lo: Vec<usize>,
    hi: Vec<usize>,
    inner: Value,
}

fn zero_padded(cx: &Rewriter, value: Value) -> Option<Padded> {
    let Op::Pad { value: number, lo, hi, gap, a } = cx.op(value) else { return None };
    let is_plain = *number == 0.0 && gap.iter().all(|gap| *gap == 0);
    is_plain.then(|| Padded { lo: lo.clone(), hi: hi.clone(), inner: *a })
}
