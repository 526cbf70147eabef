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
//! A sum of two values is alive where either of them is, and so is what it is added to next: where a network adds branches, all of them would be
//! cut like the stream that they go into. Such sums are [`seams`]: a branch with fewer live positions can be a class of its own inside of the stream's
//! ([`Class::within`]), computed by itself, and put among zeros where it is added. Whether that is worth going through memory once more is for those to
//! say who choose capacities.
//!
//! Only values along which samples run are cut ("sampled" values): they are most of the work. Weights, their gradients and their updates keep
//! their sizes.

mod axes;
pub(super) mod facts;
mod labels;
mod mask;
mod mixed;
mod seams;
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
    /// The classes of axes of sampled values.
    axes: BTreeMap<(Value, usize), Classes>,
    /// The classes that a definition computes in along the axes with a label.
    labels: BTreeMap<(Value, u8), Classes>,
    /// Axes that are cut alike; those inside of others come last.
    pub classes: Vec<Class>,
}

/// The classes that something can be cut by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Classes {
    /// A branch's own.
    branch: Option<usize>,
    /// That of everything that sums tie together.
    stream: Option<usize>,
}

/// Axes that are cut alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// How many positions they have.
    pub size: usize,
    /// Whether it is what a branch computes, and can be cut by itself. Without room of its own it is cut like the class it is inside of, if there is
    /// one: an axis that is alive everywhere has none.
    pub is_branch: bool,
    /// The class that it is inside of.
    pub within: Option<usize>,
    /// Outside of these positions, no value is both non-zero and needed.
    live: Mask,
}

impl Narrowing {
    /// Analyses an optimised function.
    pub fn of(func: &Func, inputs: &Inputs<'_>) -> Narrowing {
        let facts = Facts::of(func, inputs);
        let axes::Found { axes, labels, classes } = axes::find(func, &facts);
        Narrowing { func: func.clone(), facts, axes, labels, classes }
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

    /// The function with room for so many positions of each class. A class with as many as it has positions is left whole; one that has as many
    /// as the class that it is inside of is cut like that.
    pub fn narrowed(&self, capacities: &[usize]) -> Func {
        write::narrowed(self, capacities)
    }
}
