//! Steps that compute only what is alive: a function is written anew for the case that few positions along some of its axes are.
//!
//! Masks, thresholds and proximal steps make whole channels, neurons and hidden units zero while a network trains, and they may
//! come back in any step. What decides it is *known* before a step looks at its data: vectors that are computed from lasting tensors,
//! the clock and draws alone. [`Facts`] follows such vectors through the step, forward (where can a value be non-zero?) and
//! backward (where is it needed?), and axes that must be cut alike are joined into [`Class`]es. A position of a class is *live* where
//! some value of it is non-zero and needed; all others can be left out, and nothing changes.
//!
//! A function narrowed to `capacity` positions of a class lists the live ones anew in each step ([`mod@write`]), takes the weights and fields
//! at these positions, computes on tensors of that size, and puts gradients back among zeros. It is valid in steps with at most
//! so many live positions; [`Narrowing::counts`] is the function that tells. Positions beyond the live ones are filled up with dead
//! ones, which are computed as always.
//!
//! An op that mixes an axis up (a padding of channels, a concatenation, a reshape that makes one axis of several) works on the whole of it: what is cut
//! is put back before it and taken again behind it.
//!
//! Only values along which samples run are cut ("sampled" values): they are most of the work. Weights, their gradients and their updates keep
//! their sizes.

pub(super) mod facts;
mod labels;
mod mask;
mod mixed;
mod work;
mod write;

use std::collections::BTreeMap;

use facts::Facts;
pub use facts::{Inputs, can_be_zero};
use mask::Mask;
pub use work::{SCATTERED, work, work_at};

use crate::tir::{Func, Op, Value};

/// What can be left out of a function.
#[derive(Clone, Debug)]
pub struct Narrowing {
    func: Func,
    facts: Facts,
    /// The class of an axis of a sampled value, if it has one.
    class_of: BTreeMap<(Value, usize), usize>,
    /// Axes that are cut alike.
    pub classes: Vec<Class>,
}

/// Axes that are cut alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// How many positions they have.
    pub size: usize,
    /// Outside of these positions, no value is both non-zero and needed.
    live: Mask,
}

impl Narrowing {
    /// Analyses an optimised function.
    pub fn of(func: &Func, inputs: &Inputs<'_>) -> Narrowing {
        let facts = Facts::of(func, inputs);
        let axes = Axes::joined(func, &facts);
        let (class_of, classes) = axes.classes(func, &facts);
        Narrowing { func: func.clone(), facts, class_of, classes }
    }

    /// What was found of values along their axes, in words: outside of which positions they are zero, and outside of which nobody needs them.
    pub fn facts(&self) -> Vec<(Value, String)> {
        let along = |value: Value, masks: &[Mask], what: &str| -> Vec<(Value, String)> {
            let axes = masks.iter().enumerate().filter(|(_, mask)| **mask != Mask::All);
            axes.map(|(axis, mask)| (value, format!("axis {axis}: {what} outside of {mask}"))).collect()
        };
        let of = |value: Value| {
            let index = value.0 as usize;
            let zero = along(value, &self.facts.non_zero[index], "zero");
            zero.into_iter().chain(along(value, &self.facts.needed[index], "not needed"))
        };
        let is_told = |value: &Value| !matches!(self.func.def(*value).op, Op::Const(_));
        self.func.values().filter(is_told).flat_map(of).collect()
    }

    /// The function that counts the live positions of each class in a step, `live.0`, `live.1`, …: `f32[]`.
    pub fn counts(&self) -> Func {
        write::counts(self)
    }

    /// The function with room for so many positions of each class. A class with as many as it has positions is left whole.
    pub fn narrowed(&self, capacities: &[usize]) -> Func {
        write::narrowed(self, capacities)
    }
}

/// Axes of sampled values, joined where an op demands equal positions: a forest of trees.
struct Axes {
    /// The first axis of each value among all axes.
    start: Vec<usize>,
    parent: Vec<usize>,
    /// Outside of which positions nothing is live.
    live: Vec<Mask>,
}

impl Axes {
    fn joined(func: &Func, facts: &Facts) -> Axes {
        let mut start = vec![];
        let mut count = 0;
        for def in &func.defs {
            start.push(count);
            count += def.ty.rank();
        }
        let mut axes = Axes { start, parent: (0..count).collect(), live: vec![Mask::none(); count] };
        for value in func.values() {
            axes.join_around(func, facts, value);
        }
        axes
    }

    /// Joins what the definition of `value` ties together.
    fn join_around(&mut self, func: &Func, facts: &Facts, value: Value) {
        let labels = &facts.labels[value.0 as usize];
        let operands = func.def(value).op.operands();
        let around = operands.iter().zip(&labels.operands).chain([(&value, &labels.result)]);
        let sampled: Vec<(&Value, &Vec<Option<u8>>)> = around.filter(|(v, _)| facts.sampled[v.0 as usize]).collect();
        let mut by_label: BTreeMap<u8, usize> = BTreeMap::new();
        for (of, labels) in sampled {
            for (axis, label) in labels.iter().enumerate() {
                let at = self.start[of.0 as usize] + axis;
                self.enlarge(at, &facts.live(*of, axis));
                if let Some(label) = label {
                    let other = *by_label.entry(*label).or_insert(at);
                    self.join(at, other);
                }
            }
        }
        self.keep_result(facts, value, &by_label);
    }

    /// What comes of sampled values and is not sampled itself is put back among zeros.
    fn keep_result(&mut self, facts: &Facts, value: Value, by_label: &BTreeMap<u8, usize>) {
        if facts.sampled[value.0 as usize] {
            return;
        }
        for (axis, label) in facts.labels[value.0 as usize].result.iter().enumerate() {
            if let Some(at) = label.and_then(|label| by_label.get(&label)) {
                self.enlarge(*at, &facts.live(value, axis));
            }
        }
    }

    fn root(&self, axis: usize) -> usize {
        let mut root = axis;
        while self.parent[root] != root {
            root = self.parent[root];
        }
        root
    }

    fn enlarge(&mut self, axis: usize, live: &Mask) {
        let root = self.root(axis);
        self.live[root] = self.live[root].or(live);
    }

    fn join(&mut self, a: usize, b: usize) {
        let [a, b] = [self.root(a), self.root(b)];
        if a != b {
            self.parent[a] = b;
            let live = std::mem::replace(&mut self.live[a], Mask::none());
            self.live[b] = self.live[b].or(&live);
        }
    }

    /// The classes that can have dead positions, and the axes in them.
    fn classes(&self, func: &Func, facts: &Facts) -> (BTreeMap<(Value, usize), usize>, Vec<Class>) {
        let (mut class_of, mut classes, mut by_root) = (BTreeMap::new(), vec![], BTreeMap::new());
        for value in func.values().filter(|value| facts.sampled[value.0 as usize]) {
            for (axis, size) in func.ty(value).shape.iter().enumerate() {
                let root = self.root(self.start[value.0 as usize] + axis);
                if self.live[root] == Mask::All || self.live[root].is_none() {
                    continue;
                }
                let class = *by_root.entry(root).or_insert_with(|| {
                    classes.push(Class { size: *size, live: self.live[root].clone() });
                    classes.len() - 1
                });
                let _ = class_of.insert((value, axis), class);
            }
        }
        (class_of, classes)
    }
}
