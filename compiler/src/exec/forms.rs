//! Which form of a step runs: the whole one, or one that is narrowed to what is alive.
//!
//! A form is chosen when an epoch begins, from the live positions of the steps to come as far as they can be told then, and stays
//! until the next one. A step with more live positions than its form has room for is computed as a whole. So what runs depends on
//! the lasting tensors, the clock and the form before, and on nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use spnc_runtime::program::Role;

use super::{Built, Step, optimise};
use crate::pass::narrow::{Inputs, Narrowing, can_be_zero, work};
use crate::tir::Func;

/// How many of the steps to come are looked at.
pub const LOOKED_AT: u64 = 16;

/// How far apart they are.
pub const APART: u64 = 7;

/// A narrowed form has to save so much of the work of a step.
const WORTHWHILE: f64 = 0.9;

/// What is known of a step's forms.
#[derive(Clone, Debug)]
pub struct Forms {
    narrowing: Narrowing,
    /// The work of the whole step.
    work: f64,
    /// Room in each class, where a narrowed form is in use.
    pub capacities: Option<Vec<usize>>,
}

/// The lasting tensors with elements that can be exactly zero for a reason: what a step or an event computes by a mask, a threshold or
/// a proximal step, and the states of layers, where masks are kept, which may start with zeros.
pub fn tensors_with_zeros(built: &Built) -> BTreeSet<Arc<str>> {
    let funcs: Vec<&Func> = built.train.iter().map(|step| &step.func).chain(&built.events).collect();
    let tensors = &built.interface.description.tensors;
    let states = tensors.iter().filter(|tensor| tensor.role == Role::State);
    let mut found: BTreeSet<Arc<str>> = states.map(|tensor| tensor.name.as_str().into()).collect();
    loop {
        let before = found.len();
        for func in &funcs {
            let can = can_be_zero(func, &|name| found.contains(name));
            let results = func.results.iter().filter(|(_, value)| can[value.0 as usize]);
            found
                .extend(results.map(|(name, _)| name.clone()).filter(|name| tensors.iter().any(|t| *t.name == **name)));
        }
        if found.len() == before {
            return found;
        }
    }
}

impl Forms {
    /// The forms of a step; `None` where nothing of it can be left out.
    pub fn of(built: &Built, step: &Step, zeros: &BTreeSet<Arc<str>>) -> Option<Forms> {
        let fields = &built.interface.field_names;
        let is_field = |name: &str| fields.iter().any(|field| &**field == name);
        let inputs = Inputs { is_field: &is_field, has_zeros: &|name| zeros.contains(name) };
        let narrowing = Narrowing::of(&step.func, &inputs);
        let is_any = !narrowing.classes.is_empty();
        is_any.then(|| Forms { narrowing, work: work(&step.func), capacities: None })
    }

    /// How many positions each class of axes has.
    pub fn sizes(&self) -> Vec<usize> {
        self.narrowing.classes.iter().map(|class| class.size).collect()
    }

    /// The function that counts live positions: `live.0`, `live.1`, …
    pub fn counts(&self) -> Func {
        optimise(self.narrowing.counts())
    }

    /// The narrowed form in use.
    pub fn narrowed(&self) -> Option<Func> {
        self.capacities.as_ref().map(|capacities| optimise(self.narrowing.narrowed(capacities)))
    }

    /// Chooses a form for steps with at least and at most so many live positions of each class; whether it is another one than before.
    pub fn choose(&mut self, counts: &[(usize, usize)]) -> bool {
        let wanted: Vec<usize> =
            self.narrowing.classes.iter().zip(counts).map(|(class, c)| room(class.size, *c)).collect();
        if self.capacities.as_ref().is_some_and(|now| is_near(now, &wanted, counts)) {
            return false;
        }
        let narrowed = work(&optimise(self.narrowing.narrowed(&wanted))) + work(&self.counts());
        let is_worthwhile = narrowed < WORTHWHILE * self.work;
        let wanted = is_worthwhile.then_some(wanted);
        let is_new = self.capacities != wanted;
        self.capacities = wanted;
        is_new
    }
}

/// Room for `most` of `size` positions, and some more if their number varies, in whole vectors.
fn room(size: usize, (least, most): (usize, usize)) -> usize {
    let vector = if size >= 32 { 8 } else { 4 };
    let spare = if least == most { 0 } else { vector / 2 };
    (most + spare).max(1).next_multiple_of(vector).min(size)
}

/// Whether a form with these capacities still serves: everything has room, and little of it is wasted.
fn is_near(now: &[usize], wanted: &[usize], counts: &[(usize, usize)]) -> bool {
    let fits = now.iter().zip(counts).all(|(room, (_, most))| most <= room);
    fits && 10 * wanted.iter().sum::<usize>() >= 9 * now.iter().sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_whole_vectors_and_never_more_than_there_is() {
        assert_eq!(room(64, (17, 17)), 24);
        assert_eq!(room(64, (14, 15)), 24);
        assert_eq!(room(16, (8, 8)), 8);
        assert_eq!(room(10, (9, 9)), 10);
        assert_eq!(room(64, (0, 0)), 8);
    }

    #[test]
    fn a_form_stays_while_it_has_room_and_wastes_little() {
        assert!(is_near(&[24, 16], &[24, 16], &[(20, 20), (16, 16)]));
        assert!(!is_near(&[24, 16], &[24, 24], &[(20, 20), (17, 17)]));
        assert!(!is_near(&[64, 64], &[32, 64], &[(20, 20), (64, 64)]));
    }
}
