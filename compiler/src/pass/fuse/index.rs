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

/// A position along one axis of a value: a fixed part and the terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Index {
    /// The position at the start of the space.
    pub start: usize,
    /// What moves it.
    pub terms: Vec<Term>,
}

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
            return Index::default();
        }
        space.push(size);
        Index { start: 0, terms: vec![Term { axis: space.len() - 1, scale: 1 }] }
    };
    shape.iter().map(|size| index(*size)).collect()
}

/// For each axis of the space, how far one position moves in a row-major value of this shape.
pub fn strides(map: &Map, shape: &[usize], n_axes: usize) -> Vec<usize> {
    let mut strides = vec![0; n_axes];
    for (index, stride) in map.iter().zip(contiguous(shape)) {
        for term in &index.terms {
            strides[term.axis] += term.scale * stride;
        }
    }
    strides
}

/// The element of a row-major value of this shape that the start of the space reaches.
pub fn start(map: &Map, shape: &[usize]) -> usize {
    map.iter().zip(contiguous(shape)).map(|(index, stride)| index.start * stride).sum()
}

/// The position of the same element under another shape, if it is affine.
pub fn reshape(map: &Map, from: &[usize], to: &[usize], space: &[usize]) -> Option<Map> {
    let mut result: Map = vec![Index::default(); to.len()];
    let moves = strides(map, from, space.len());
    let to_strides = contiguous(to);
    let mut rest = start(map, from);
    for (index, stride) in result.iter_mut().zip(&to_strides) {
        (index.start, rest) = (rest / stride, rest % stride);
    }
    for (axis, step) in moves.into_iter().enumerate().filter(|(_, step)| *step > 0) {
        let target = (0..to.len()).find(|t| to[*t] > 1 && to_strides[*t] <= step)?;
        let (scale, rest) = (step / to_strides[target], step % to_strides[target]);
        if rest != 0 {
            return None;
        }
        result[target].terms.push(Term { axis, scale });
    }
    let last =
        |index: &Index| index.start + index.terms.iter().map(|term| term.scale * (space[term.axis] - 1)).sum::<usize>();
    result.iter().zip(to).all(|(index, size)| last(index) < *size).then_some(result)
}

/// The operands of an elementwise op or a view, and where their elements are when the result's is at `map`;
/// `Err` names what must be in memory: the operand of a reshape whose position is not affine, draws of which a part is wanted.
pub fn operands(func: &Func, value: Value, map: &Map, space: &[usize]) -> Result<Vec<(Value, Map)>, Value> {
    let shape = |v: Value| &func.ty(v).shape[..];
    let op = &func.def(value).op;
    let moved = match op {
        Op::Broadcast(_, dims) => dims.iter().map(|dim| map[*dim].clone()).collect(),
        Op::Transpose(_, perm) => tir::build::inverse(perm).iter().map(|axis| map[*axis].clone()).collect(),
        Op::Reshape(a) => reshape(map, shape(value), shape(*a), space).ok_or(*a)?,
        Op::Slice { start, step, .. } => map.iter().zip(start.iter().zip(step)).map(sliced).collect(),
        // Draws are counted from the first element: a part of them is cut out of memory.
        Op::Uniform { .. } if start(map, shape(value)) > 0 => return Err(value),
        Op::Uniform { .. } => vec![],
        Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Unary(..) | Op::Binary(..) => map.clone(),
        Op::Select(..) | Op::Convert(_) | Op::WithGradient(..) => map.clone(),
        Op::Reduce(..) | Op::Contract(..) | Op::Quantile(..) | Op::Grad(..) => panic!("{value} is not elementwise"),
        Op::Concat(..) | Op::Pad { .. } => panic!("{value} is put together in memory"),
        Op::Sparse { .. } => panic!("{value} is not elementwise"),
        Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => panic!("{value} is not elementwise"),
        Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } => {
            panic!("{value} is not elementwise")
        }
    };
    let n_operands = if matches!(op, Op::WithGradient(..)) { 1 } else { usize::MAX };
    Ok(op.operands().into_iter().take(n_operands).map(|operand| (operand, moved.clone())).collect())
}

/// Every `step`th position from `start` on.
fn sliced((index, (start, step)): (&Index, (&usize, &usize))) -> Index {
    let terms = index.terms.iter().map(|term| Term { scale: term.scale * step, ..*term }).collect();
    Index { start: start + index.start * step, terms }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(axis: usize, scale: usize) -> Term {
        Term { axis, scale }
    }

    fn at(start: usize, terms: &[Term]) -> Index {
        Index { start, terms: terms.to_vec() }
    }

    #[test]
    fn splitting_an_axis_is_affine_and_joining_two_is_not() {
        let mut space = vec![];
        let map = enter(&[4, 1, 6], &mut space);
        assert_eq!(reshape(&map, &[4, 1, 6], &[24], &space), Some(vec![at(0, &[term(0, 6), term(1, 1)])]));
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
    fn a_part_of_an_axis_is_affine_under_another_shape_if_it_stays_within_a_row() {
        let mut space = vec![];
        let map = vec![at(9, &enter(&[3], &mut space)[0].terms)];
        assert_eq!(reshape(&map, &[24], &[4, 6], &space), Some(vec![at(1, &[]), at(3, &[term(0, 1)])]));
        let map = vec![at(10, &map[0].terms)];
        assert_eq!(reshape(&map, &[24], &[4, 6], &space), None);
    }

    #[test]
    fn incompatible_factors_are_not_affine() {
        let mut space = vec![];
        let map = enter(&[4, 6], &mut space);
        assert_eq!(reshape(&map, &[4, 6], &[6, 4], &space), None);
    }
}
