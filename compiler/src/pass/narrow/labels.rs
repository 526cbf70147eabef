//! Which axes of an op's operands and of its result are about the same positions.

use crate::tir::build::complement;
use crate::tir::{Func, Op, Value};

/// Axes with the same label have the same positions: what stands at one of them in the result depends only on what stands there in
/// the operands that have the label (or on all of it where the result does not have it). An axis without a label is mixed up by the op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// For each operand, for each of its axes.
    pub operands: Vec<Vec<Option<u8>>>,
    /// For each axis of the result.
    pub result: Vec<Option<u8>>,
}

/// The labels of a definition.
pub fn of(func: &Func, value: Value) -> Labels {
    let def = func.def(value);
    let rank = |value: &Value| func.ty(*value).rank();
    let own = numbered(def.ty.rank());
    match &def.op {
        Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Uniform { .. } | Op::Quantile(..) | Op::Grad(..) => {
            all_mixed(func, value)
        }
        Op::Sparse { .. } => all_mixed(func, value),
        Op::Unary(..) | Op::Binary(..) | Op::Select(..) | Op::Convert(_) | Op::WithGradient(..) => {
            Labels { operands: vec![own.clone(); def.op.operands().len()], result: own }
        }
        Op::Broadcast(_, dims) => one(dims.iter().map(|dim| own[*dim]).collect(), own),
        Op::Transpose(_, perm) => {
            let mut operand = vec![None; perm.len()];
            perm.iter().zip(&own).for_each(|(axis, label)| operand[*axis] = *label);
            one(operand, own)
        }
        Op::Reshape(a) => reshape(&func.ty(*a).shape, &def.ty.shape),
        Op::Reduce(_, a, axes) => {
            let operand = numbered(rank(a));
            let result = complement(axes, operand.len()).into_iter().map(|axis| operand[axis]).collect();
            one(operand, result)
        }
        Op::Contract(einsum, ..) => {
            let labels = |of: &[u8]| of.iter().copied().map(Some).collect();
            Labels { operands: vec![labels(&einsum.lhs), labels(&einsum.rhs)], result: labels(&einsum.out) }
        }
        Op::Conv { groups, a, b, .. } => conv(func, value, *groups, [*a, *b]),
        Op::Pool(..) | Op::Unpool(..) => one(image(1), image(1)),
        Op::UnpoolMax { .. } => Labels { operands: vec![image(1); 2], result: image(1) },
        Op::Pad { lo, hi, gap, .. } => {
            let kept = |axis: usize| lo[axis] == 0 && hi[axis] == 0 && gap[axis] == 0;
            kept_axes(own.len(), kept)
        }
        Op::Slice { start, step, a } => {
            let kept = |axis: usize| start[axis] == 0 && step[axis] == 1;
            kept_axes(own.len(), |axis| kept(axis) && func.ty(*a).shape[axis] == def.ty.shape[axis])
        }
        Op::Concat(parts, along) => {
            let axes = without(&own, *along);
            Labels { operands: vec![axes.clone(); parts.len()], result: axes }
        }
        Op::Gather { batch, table, index } => {
            let (index, result) = (numbered(rank(index)), own);
            let mut rows: Vec<Option<u8>> = result[..*batch].to_vec();
            rows.push(None);
            rows.extend(&result[index.len()..]);
            debug_assert_eq!(rows.len(), rank(table));
            Labels { operands: vec![rows, index], result }
        }
        Op::Scatter { batch, values, index } => {
            let (values, index) = (numbered(rank(values)), numbered(rank(index)));
            let mut result: Vec<Option<u8>> = values[..*batch].to_vec();
            result.push(None);
            result.extend(&values[index.len()..]);
            Labels { operands: vec![values, index], result }
        }
        Op::TopK(..) => one(without(&own, own.len() - 1), without(&own, own.len() - 1)),
        Op::CumSum { axis, .. } => one(without(&own, *axis), without(&own, *axis)),
    }
}

fn numbered(rank: usize) -> Vec<Option<u8>> {
    (0..rank as u8).map(Some).collect()
}

fn one(operand: Vec<Option<u8>>, result: Vec<Option<u8>>) -> Labels {
    Labels { operands: vec![operand], result }
}

fn without(labels: &[Option<u8>], axis: usize) -> Vec<Option<u8>> {
    labels.iter().enumerate().map(|(at, label)| label.filter(|_| at != axis)).collect()
}

fn kept_axes(rank: usize, is_kept: impl Fn(usize) -> bool) -> Labels {
    let axes: Vec<Option<u8>> = (0..rank).map(|axis| is_kept(axis).then_some(axis as u8)).collect();
    one(axes.clone(), axes)
}

/// The axes of an image: samples, then what the window mixes up, then channels.
fn image(channels: u8) -> Vec<Option<u8>> {
    vec![Some(0), None, None, Some(channels)]
}

/// No axis of the result is one of an operand.
fn all_mixed(func: &Func, value: Value) -> Labels {
    let mixed = |value: &Value| vec![None; func.ty(*value).rank()];
    Labels { operands: func.def(value).op.operands().iter().map(mixed).collect(), result: mixed(&value) }
}

/// Axes of the same size with as many elements behind them are the same axis.
fn reshape(from: &[usize], to: &[usize]) -> Labels {
    let behind = |shape: &[usize], axis: usize| shape[axis + 1..].iter().product::<usize>();
    let twin = |axis: usize| {
        let is_twin = |other: &usize| to[*other] == from[axis] && behind(to, *other) == behind(from, axis);
        (0..to.len()).find(is_twin).filter(|_| from[axis] > 1)
    };
    let operand: Vec<Option<u8>> = (0..from.len()).map(|axis| twin(axis).map(|axis| axis as u8)).collect();
    let result = (0..to.len() as u8).map(|axis| Some(axis).filter(|_| operand.contains(&Some(axis)))).collect();
    one(operand, result)
}

/// Channels of the input are label 1, those of the output 2; of a convolution that looks at each channel by itself both are 1.
fn conv(func: &Func, value: Value, groups: usize, [a, b]: [Value; 2]) -> Labels {
    use crate::window::ConvRole;
    let Op::Conv { role, .. } = func.def(value).op else { unreachable!("it is a convolution") };
    let (x, y) = match role {
        ConvRole::Forward => (a, value),
        ConvRole::ByInput => (value, a),
        ConvRole::ByWeight => (a, b),
    };
    let [from, to] = [x, y].map(|image| func.ty(image).shape[3]);
    let [image_in, weights, image_out] = match groups {
        1 => [image(1), vec![None, None, Some(1), Some(2)], image(2)],
        _ if groups == from && groups == to => [image(1), vec![None, None, None, Some(1)], image(1)],
        _ => [without(&image(1), 3), vec![None; 4], without(&image(1), 3)],
    };
    match role {
        ConvRole::Forward => Labels { operands: vec![image_in, weights], result: image_out },
        ConvRole::ByInput => Labels { operands: vec![image_out, weights], result: image_in },
        ConvRole::ByWeight => Labels { operands: vec![image_in, image_out], result: weights },
    }
}
