//! Where positions go along the axes that an op mixes up: padding, slices, concatenations, reshapes.

use std::ops::Range;

use super::mask::Move;
use crate::tir::{Func, Op, Value};

/// An axis of an operand and an axis of the result that its positions go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which operand.
    pub operand: usize,
    /// Its axis.
    pub axis: usize,
    /// The axis of the result.
    pub result: usize,
    /// How positions of the operand become positions of the result.
    pub there: Move,
    /// How positions of the result become positions of the operand.
    pub back: Move,
    /// Whether a position of the result needs all of its places, as in a merged axis, and not just one of them.
    pub is_factor: bool,
}

/// The places of a definition, as far as they can be said; none for an axis whose positions all depend on each other.
#[expect(clippy::wildcard_enum_match_arm, reason = "all other ops either keep an axis or mix all of it")]
pub fn places(func: &Func, value: Value) -> Vec<Place> {
    let def = func.def(value);
    match &def.op {
        Op::Pad { value, lo, hi, gap, a } if *value == 0.0 => {
            let len = |axis: usize| func.ty(*a).shape[axis];
            (0..lo.len()).map(|axis| padded(0, axis, [lo[axis], hi[axis], gap[axis]], len(axis))).collect()
        }
        Op::Slice { start, step, a } => {
            let whole = &func.ty(*a).shape;
            (0..start.len())
                .map(|axis| sliced(axis, [start[axis], step[axis]], def.ty.shape[axis], whole[axis]))
                .collect()
        }
        Op::Concat(parts, axis) => {
            let sizes: Vec<usize> = parts.iter().map(|part| func.ty(*part).shape[*axis]).collect();
            let before = |part: usize| sizes[..part].iter().sum::<usize>();
            let total = def.ty.shape[*axis];
            let place =
                |part: usize| padded(part, *axis, [before(part), total - before(part) - sizes[part], 0], sizes[part]);
            (0..parts.len()).map(place).collect()
        }
        Op::Reshape(a) => reshaped(&func.ty(*a).shape, &def.ty.shape),
        _ => vec![],
    }
}

fn padded(operand: usize, axis: usize, [lo, hi, gap]: [usize; 3], len: usize) -> Place {
    let (there, back) = (Move::Pad { lo, hi, gap }, Move::Slice { start: lo, step: gap + 1, len });
    Place { operand, axis, result: axis, there, back, is_factor: false }
}

fn sliced(axis: usize, [start, step]: [usize; 2], len: usize, whole: usize) -> Place {
    let last = start + len.saturating_sub(1) * step + usize::from(len > 0);
    let back = Move::Pad { lo: start, hi: whole - last, gap: step - 1 };
    Place { operand: 0, axis, result: axis, there: Move::Slice { start, step, len }, back, is_factor: false }
}

/// Axes that become one, and axes that fall apart.
fn reshaped(from: &[usize], to: &[usize]) -> Vec<Place> {
    let mut places = vec![];
    for (old, new) in blocks(from, to) {
        if new.len() == 1 {
            for axis in old.clone() {
                let (merge, split) = merged(&from[old.clone()], axis - old.start);
                places.push(Place { operand: 0, axis, result: new.start, there: merge, back: split, is_factor: true });
            }
        } else if old.len() == 1 {
            for result in new.clone() {
                let (merge, split) = merged(&to[new.clone()], result - new.start);
                places.push(Place { operand: 0, axis: old.start, result, there: split, back: merge, is_factor: true });
            }
        }
    }
    places
}

/// How an axis goes into what is made of all of these, and back.
fn merged(sizes: &[usize], axis: usize) -> (Move, Move) {
    let (outer, inner) = (sizes[..axis].iter().product(), sizes[axis + 1..].iter().product());
    (Move::Merge { outer, inner }, Move::Split { outer, size: sizes[axis] })
}

/// The smallest runs of axes of both shapes that have equally many positions.
fn blocks(from: &[usize], to: &[usize]) -> Vec<(Range<usize>, Range<usize>)> {
    let (mut blocks, mut old, mut new) = (vec![], 0..0, 0..0);
    let size = |shape: &[usize], range: &Range<usize>| shape[range.clone()].iter().product::<usize>();
    while old.end < from.len() && new.end < to.len() {
        (old.end, new.end) = (old.end + 1, new.end + 1);
        loop {
            let sizes = [size(from, &old), size(to, &new)];
            match sizes[0].cmp(&sizes[1]) {
                std::cmp::Ordering::Less if old.end < from.len() => old.end += 1,
                std::cmp::Ordering::Greater if new.end < to.len() => new.end += 1,
                std::cmp::Ordering::Less | std::cmp::Ordering::Greater | std::cmp::Ordering::Equal => break,
            }
        }
        blocks.push((old.clone(), new.clone()));
        (old, new) = (old.end..old.end, new.end..new.end);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_become_one_are_in_one_block() {
        assert_eq!(blocks(&[8, 4, 5, 6], &[8, 120]), [(0..1, 0..1), (1..4, 1..2)]);
        assert_eq!(blocks(&[8, 120], &[8, 4, 30]), [(0..1, 0..1), (1..2, 1..3)]);
        assert_eq!(blocks(&[6, 4], &[8, 3]), [(0..2, 0..2)]);
    }

    #[test]
    fn a_slice_goes_back_to_where_it_was() {
        let place = sliced(0, [1, 2], 3, 8);
        assert_eq!(place.back, Move::Pad { lo: 1, hi: 2, gap: 1 });
        assert_eq!(place.there, Move::Slice { start: 1, step: 2, len: 3 });
    }
}
