//! How numbers for groups of elements are repeated over them.

use crate::tir::{Func, Op, Value};

/// Blocks of matrices, and values with a number for each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The elements of a matrix with their axes split.
    pub shape: Vec<usize>,
    /// The axes that tell the groups apart.
    pub axes: Vec<usize>,
}

impl Groups {
    /// Those over which a function repeats numbers, as elements of matrices with so many.
    pub fn all(func: &Func, len: usize) -> Vec<Groups> {
        let mut all = vec![];
        for value in func.values().filter(|value| func.ty(*value).len() == len) {
            let of = Groups::of(func, value);
            all.extend(of.filter(|of| !all.contains(of)));
        }
        all
    }

    /// Those over which a value repeats numbers; rows and columns are none.
    fn of(func: &Func, value: Value) -> Option<Groups> {
        let Op::Broadcast(_, axes) = &func.def(value).op else { return None };
        let shape = &func.ty(value).shape;
        let others = (0..shape.len()).filter(|axis| !axes.contains(axis));
        let is_split = shape.len() > 2 && !axes.is_empty() && others.map(|axis| shape[axis]).product::<usize>() > 1;
        is_split.then(|| Groups { shape: shape.clone(), axes: axes.clone() })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.axes.iter().map(|axis| self.shape[*axis]).product()
    }

    /// Which group an element belongs to, by its position.
    pub fn group_at(&self) -> impl Fn(usize) -> usize + use<> {
        let behind = |axis: usize| self.shape[axis + 1..].iter().product();
        let steps: Vec<[usize; 2]> = self.axes.iter().map(|axis| [behind(*axis), self.shape[*axis]]).collect();
        move |at| steps.iter().fold(0, |group, [step, size]| group * size + at / step % size)
    }

    /// Whether a value repeats a number for each of them.
    pub fn are_repeated(&self, func: &Func, value: Value) -> bool {
        Groups::of(func, value).is_some_and(|of| of == *self)
    }

    /// Whether summing a value over these axes gives a number for each of them.
    pub fn are_summed(&self, func: &Func, value: Value, axes: &[usize]) -> bool {
        let others = (0..self.shape.len()).filter(|axis| !axes.contains(axis));
        func.ty(value).shape == self.shape && others.eq(self.axes.iter().copied())
    }
}
