//! Where an element of a value is, seen from a loop nest: affine functions of the loops' positions.
//!
//! A nest iterates over a *space*, a box with no axis of size 1. An [`Index`] gives the position along one axis of
//! a value as a sum of multiples of positions in the space; a [`Map`] has one for each axis of the value.

use crate::tir::{self, Func, Op, Value};

/// A multiple of the position along an axis of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    /// The axis of the space.
    pub axis: usize,
    /// The factor, at least 1.
    pub scale: usize,
}

/// A position along one axis of a value.
pub type Index = Vec<Term>;

/// The position of an element: one index for each axis.
pub type Map = Vec<Index>;

/// The row-major strides of a shape.
pub fn contiguous(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Appends the axes of `shape` to `space` (but those of size 1) and says where they are.
pub fn enter(shape: &[usize], space: &mut Vec<usize>) -> Map {
    let mut index = |size: usize| {
        if size == 1 {
            return vec![];
        }
        space.push(size);
        vec![Term { axis: space.len() - 1, scale: 1 }]
    };
    shape.iter().map(|size| index(*size)).collect()
}

/// For each axis of the space, how far one position moves in a row-major value of this shape.
pub fn strides(map: &Map, shape: &[usize], n_axes: usize) -> Vec<usize> {
    let mut strides = vec![0; n_axes];
    for (index, stride) in map.iter().zip(contiguous(shape)) {
        for term in index {
            strides[term.axis] += term.scale * stride;
        }
    }
    strides
}

/// The position of the same element under another shape, if it is affine.
pub fn reshape(map: &Map, from: &[usize], to: &[usize], space: &[usize]) -> Option<Map> {
    let mut result: Map = vec![vec![]; to.len()];
    let moves = strides(map, from, space.len());
    let to_strides = contiguous(to);
    for (axis, step) in moves.into_iter().enumerate().filter(|(_, step)| *step > 0) {
        let target = (0..to.len()).find(|t| to[*t] > 1 && to_strides[*t] <= step)?;
        let (scale, rest) = (step / to_strides[target], step % to_strides[target]);
        if rest != 0 {
            return None;
        }
        result[target].push(Term { axis, scale });
    }
    let last = |index: &Index| index.iter().map(|term| term.scale * (space[term.axis] - 1)).sum::<usize>();
    result.iter().zip(to).all(|(index, size)| last(index) < *size).then_some(result)
}

/// The operands of an elementwise op or a view, and where their elements are when the result's is at `map`;
/// `Err` names the operand of a reshape whose position is not affine.
pub fn operands(func: &Func, value: Value, map: &Map, space: &[usize]) -> Result<Vec<(Value, Map)>, Value> {
    let shape = |v: Value| &func.ty(v).shape[..];
    let op = &func.def(value).op;
    let moved = match op {
        Op::Broadcast(_, dims) => dims.iter().map(|dim| map[*dim].clone()).collect(),
        Op::Transpose(_, perm) => tir::build::inverse(perm).iter().map(|axis| map[*axis].clone()).collect(),
        Op::Reshape(a) => reshape(map, shape(value), shape(*a), space).ok_or(*a)?,
        Op::Uniform { .. } => vec![],
        Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Unary(..) | Op::Binary(..) => map.clone(),
        Op::Select(..) | Op::Convert(_) | Op::WithGradient(..) => map.clone(),
        Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => panic!("no code yet for a window"),
        Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) => panic!("no code yet for positions"),
        Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } => panic!("no code yet for rows"),
        Op::Reduce(..) | Op::Contract(..) | Op::Quantile(..) | Op::Grad(..) => panic!("{value} is not elementwise"),
    };
    let n_operands = if matches!(op, Op::WithGradient(..)) { 1 } else { usize::MAX };
    Ok(op.operands().into_iter().take(n_operands).map(|operand| (operand, moved.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(axis: usize, scale: usize) -> Term {
        Term { axis, scale }
    }

    #[test]
    fn splitting_an_axis_is_affine_and_joining_two_is_not() {
        let mut space = vec![];
        let map = enter(&[4, 1, 6], &mut space);
        assert_eq!(reshape(&map, &[4, 1, 6], &[24], &space), Some(vec![vec![term(0, 6), term(1, 1)]]));
        let mut space = vec![];
        let map = enter(&[24], &mut space);
        assert_eq!(reshape(&map, &[24], &[4, 6], &space), None);
    }

    #[test]
    fn joining_what_was_split_gives_it_back() {
        let mut space = vec![];
        let map = enter(&[4, 6], &mut space);
        let flat = reshape(&map, &[4, 6], &[24], &space).expect("split");
        assert_eq!(reshape(&flat, &[24], &[4, 6], &space), Some(map));
    }

    #[test]
    fn incompatible_factors_are_not_affine() {
        let mut space = vec![];
        let map = enter(&[4, 6], &mut space);
        assert_eq!(reshape(&map, &[4, 6], &[6, 4], &space), None);
    }
}
