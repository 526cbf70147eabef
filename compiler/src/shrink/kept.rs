//! Which positions of each value stay: those that are alive, and what hangs together with them.

use std::collections::BTreeSet;
use std::ops::Range;

use super::facts::{Facts, Masks};
use super::links::{At, Link, Links};
use super::values::Values;
use crate::model::{ExprId, Symbol};

/// What stays of each value.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The values.
    pub values: Values,
    masks: Vec<Masks>,
    /// For each axis with positions that stay without being alive: why.
    reasons: Vec<Vec<Option<String>>>,
}

/// Why an axis of something dead stays.
pub const AT_LEAST_ONE: &str = "a size is at least one";

/// A layer takes a part of its input by itself where that is at most this share of what there is: to pick a part costs a copy.
const WORTH_A_COPY: f64 = 0.8;

impl Kept {
    /// What stays of the network if the instances in `rigid` keep their sizes. `takers` are the layers that may take a part of their inputs:
    /// paths, expressions and the axes along which they could.
    pub fn new(facts: &Facts<'_>, takers: &[(Symbol, ExprId, usize)], rigid: &BTreeSet<Symbol>) -> Kept {
        let all = Kept::settled(facts, takers, rigid);
        let is_worth = |(path, expr, axis): &&(Symbol, ExprId, usize)| {
            let taken = count(&all.masks[all.values.seen(path, *expr)][*axis]);
            (taken as f64) <= WORTH_A_COPY * count(&all.masks[all.values.of(*expr)][*axis]) as f64
        };
        let cuts: Vec<(Symbol, ExprId, usize)> = takers.iter().filter(is_worth).cloned().collect();
        Kept::settled(facts, &cuts, rigid)
    }

    fn settled(facts: &Facts<'_>, cuts: &[(Symbol, ExprId, usize)], rigid: &BTreeSet<Symbol>) -> Kept {
        let values = Values::new(facts, cuts);
        let links = Links::of(facts, &values);
        let mut kept = Kept::alive(facts, values);
        kept.keep_rigid(facts, rigid);
        loop {
            // Both ways: from the outputs back to the data the links stand in the other order.
            while kept.sweep(links.iter()) | kept.sweep(links.iter().rev()) {}
            if !kept.leave_no_axis_empty(facts) {
                return kept;
            }
        }
    }

    /// Applies each link once; whether anything is new.
    fn sweep<'l>(&mut self, links: impl Iterator<Item = &'l Link>) -> bool {
        let mut grown = false;
        for link in links {
            grown |= self.apply(link);
        }
        grown
    }

    fn alive(facts: &Facts<'_>, values: Values) -> Kept {
        let none = |shape: &Vec<usize>| shape.iter().map(|size| vec![false; *size]).collect::<Masks>();
        let mut masks: Vec<Masks> = values.shapes.iter().map(none).collect();
        for id in &facts.cone {
            masks[values.of(*id)] = facts.alive[id].clone();
        }
        let reasons = masks.iter().map(|axes| vec![None; axes.len()]).collect();
        Kept { values, masks, reasons }
    }

    /// Parameters of these instances stay whole.
    fn keep_rigid(&mut self, facts: &Facts<'_>, rigid: &BTreeSet<Symbol>) {
        for (expr, param) in facts.params.iter().filter(|(expr, _)| facts.alive.contains_key(expr)) {
            let path = &facts.model.params[param.0 as usize].path;
            if rigid.iter().any(|rigid| super::facts::is_below(path, rigid)) {
                let value = self.values.of(*expr);
                for axis in 0..self.masks[value].len() {
                    let why = "its layer fits no other size".to_owned();
                    let _ = self.grow(At { value, axis }, 0, &vec![true; self.masks[value][axis].len()], Some(why));
                }
            }
        }
    }

    /// Which positions of an expression stay.
    pub fn of(&self, id: ExprId) -> &Masks {
        &self.masks[self.values.of(id)]
    }

    /// Which positions stay of what the instance at `path` sees of an expression.
    pub fn seen(&self, path: &str, id: ExprId) -> &Masks {
        &self.masks[self.values.seen(path, id)]
    }

    /// The sizes that are left of an expression.
    pub fn shape(&self, id: ExprId) -> Vec<usize> {
        self.of(id).iter().map(|mask| count(mask)).collect()
    }

    /// Why positions stay along an axis that are not alive.
    pub fn reason(&self, id: ExprId, axis: usize) -> Option<&str> {
        self.reasons[self.values.of(id)][axis].as_deref()
    }

    fn apply(&mut self, link: &Link) -> bool {
        match link {
            Link::Alike { a: (a, from_a), b: (b, from_b), len } => {
                let grown = self.copy((*a, *from_a), (*b, *from_b), *len);
                self.copy((*b, *from_b), (*a, *from_a), *len) || grown
            }
            Link::Has { outer, inner } => {
                let len = self.masks[inner.value][inner.axis].len();
                self.copy((*inner, 0), (*outer, 0), len)
            }
            Link::Whole { at, why } => {
                let all = vec![true; self.masks[at.value][at.axis].len()];
                self.grow(*at, 0, &all, Some((*why).to_owned()))
            }
            Link::Reshaped { a, b } => {
                let grown = self.reshape(a, b);
                self.reshape(b, a) || grown
            }
        }
    }

    fn copy(&mut self, from: (At, usize), to: (At, usize), len: usize) -> bool {
        let mask = self.masks[from.0.value][from.0.axis][from.1..from.1 + len].to_vec();
        let why = self.reasons[from.0.value][from.0.axis].clone();
        self.grow(to.0, to.1, &mask, why)
    }

    /// Keeps the positions of `mask` from position `from` on; whether that is new.
    fn grow(&mut self, at: At, from: usize, mask: &[bool], why: Option<String>) -> bool {
        let own = &mut self.masks[at.value][at.axis];
        let mut grown = false;
        for (own, new) in own[from..].iter_mut().zip(mask) {
            grown |= *new && !*own;
            *own |= *new;
        }
        let reason = &mut self.reasons[at.value][at.axis];
        if grown && reason.is_none() {
            *reason = why;
        }
        grown
    }

    fn reshape(&mut self, from: &(usize, Range<usize>), to: &(usize, Range<usize>)) -> bool {
        let elements = self.elements(from);
        let sizes: Vec<usize> = to.1.clone().map(|axis| self.masks[to.0][axis].len()).collect();
        let why = from.1.clone().find_map(|axis| self.reasons[from.0][axis].clone());
        let mut grown = false;
        for (i, axis) in to.1.clone().enumerate() {
            let inner: usize = sizes[i + 1..].iter().product();
            let mut mask = vec![false; sizes[i]];
            elements
                .iter()
                .enumerate()
                .filter(|(_, kept)| **kept)
                .for_each(|(at, _)| mask[at / inner % sizes[i]] = true);
            grown |= self.grow(At { value: to.0, axis }, 0, &mask, why.clone());
        }
        grown
    }

    /// Which elements of a run of axes stay, in row-major order.
    fn elements(&self, (value, axes): &(usize, Range<usize>)) -> Vec<bool> {
        axes.clone().fold(vec![true], |outer, axis| {
            let mask = &self.masks[*value][axis];
            outer.iter().flat_map(|outer| mask.iter().map(move |inner| *outer && *inner)).collect()
        })
    }

    /// A size is at least one; what nothing needs of a concatenation is left out of it.
    fn leave_no_axis_empty(&mut self, facts: &Facts<'_>) -> bool {
        let mut grown = false;
        for value in 0..self.masks.len() {
            for axis in 0..self.masks[value].len() {
                let is_empty = !self.masks[value][axis].is_empty() && count(&self.masks[value][axis]) == 0;
                let is_part = facts.cone.get(value).is_some_and(|id| is_dead_part(facts, *id));
                if is_empty && !is_part {
                    grown |= self.grow(At { value, axis }, 0, &[true], Some(AT_LEAST_ONE.to_owned()));
                }
            }
        }
        grown
    }
}

fn is_dead_part(facts: &Facts<'_>, id: ExprId) -> bool {
    let is_concat = |user: &&ExprId| matches!(facts.node(**user).op, crate::model::Op::Concat(..));
    facts.is_dead(id) && facts.cone.iter().filter(is_concat).any(|user| facts.operands(*user).contains(&id))
}

/// How many positions a mask keeps.
pub fn count(mask: &[bool]) -> usize {
    mask.iter().filter(|kept| **kept).count()
}
