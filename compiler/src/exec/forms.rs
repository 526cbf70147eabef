//! Which form of a step runs: the whole one, one that is narrowed to what is alive, or one on compressed matrices.
//!
//! A form is chosen when an epoch begins, and stays until the next one. What it is chosen by are the lasting tensors, the clock and the form before, and
//! nothing else.
//!
//! *Narrowed* steps: room is made for the live positions of the steps to come as far as they can be told; a step with more of them is computed as a
//! whole. *Compressed* steps: masks that steps leave alone say which elements of a matrix are not zero. An event that changes such a mask ends the form.

use std::collections::BTreeSet;
use std::sync::Arc;

use spnc_runtime::program::{Choice, CompressedMatrix, Form, Role};

use super::break_even::is_sparse;
use super::{Built, Step, optimise};
use crate::pass::compress::{Compressed, Compression, Pattern, Use};
use crate::pass::narrow::{Class, Inputs, Narrowing, can_be_zero, work};
use crate::tir::Func;

/// How many of the steps to come are looked at.
pub const LOOKED_AT: u64 = 16;

/// How far apart they are.
pub const APART: u64 = 7;

/// Another form has to save so much of the work of a step.
const WORTHWHILE: f64 = 0.9;

/// What is known of a step's forms.
#[derive(Clone, Debug)]
pub struct Forms {
    narrowing: Option<Narrowing>,
    compression: Option<Compression>,
    /// The tensors on which patterns depend.
    watched: BTreeSet<Arc<str>>,
    /// The work of the whole step.
    work: f64,
    /// The form in use.
    form: Form,
    /// Between which forms it was chosen.
    compared: Option<Vec<Form>>,
}

/// The function of a form that is not the whole one.
#[derive(Clone, Debug)]
pub enum SpecialForm {
    /// With room for so many live positions of each class.
    Narrowed(Func, Vec<usize>),
    /// On compressed matrices.
    Compressed(Compressed),
}

/// What was seen of a pattern.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How many elements it has.
    pub non_zeros: usize,
    /// Tensors that are zero outside of it.
    pub zeros: BTreeSet<Arc<str>>,
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

impl SpecialForm {
    /// The function itself.
    pub fn func(&self) -> &Func {
        match self {
            SpecialForm::Narrowed(func, _) => func,
            SpecialForm::Compressed(compressed) => &compressed.func,
        }
    }
}

impl Forms {
    /// The forms of a step; `None` where nothing of it can be left out.
    pub fn of(built: &Built, step: &Step, zeros: &BTreeSet<Arc<str>>) -> Option<Forms> {
        let fields = &built.interface.field_names;
        let is_field = |name: &str| fields.iter().any(|field| &**field == name);
        let inputs = Inputs { is_field: &is_field, has_zeros: &|name| zeros.contains(name) };
        let narrowing = Some(Narrowing::of(&step.func, &inputs)).filter(|of| !of.classes.is_empty());
        let tensors = &built.interface.description.tensors;
        let is_lasting = |name: &str| tensors.iter().any(|tensor| tensor.name == name);
        let compression = Some(Compression::of(&step.func, &is_lasting)).filter(|of| !of.patterns.is_empty());
        let is_any = narrowing.is_some() || compression.is_some();
        let (watched, work) = (BTreeSet::new(), work(&step.func));
        let forms = Forms { narrowing, compression, watched, work, form: Form::Whole, compared: None };
        let masks = forms.masks();
        let of_masks = masks.iter().flat_map(|func| func.params().map(|(name, ..)| name.clone()));
        let assumed = forms.patterns().iter().flat_map(|pattern| pattern.assumed.iter().cloned());
        let watched = of_masks.chain(assumed).collect();
        is_any.then_some(Forms { watched, ..forms })
    }

    /// The tensors on which patterns, and what is assumed of them, depend.
    pub fn watched(&self) -> &BTreeSet<Arc<str>> {
        &self.watched
    }

    /// The form in use.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// What the form in use leaves out.
    pub fn choices(&self) -> Vec<Choice> {
        match &self.form {
            Form::Whole => vec![],
            Form::Narrowed(rooms) => {
                let sizes = self.sizes();
                let cut = rooms.iter().zip(&sizes).filter(|(room, size)| room < size);
                let choice = |(kept, total): (&usize, &usize)| ("axes".to_owned(), "narrowed", *kept, *total);
                choices(cut.map(choice))
            }
            Form::Compressed(matrices) => choices(matrices.iter().map(|matrix| {
                let pattern = &self.patterns()[matrix.pattern];
                (pattern.name.clone(), "compressed", matrix.non_zeros, pattern.shape.iter().product())
            })),
        }
    }

    /// How many positions each class of axes has.
    pub fn sizes(&self) -> Vec<usize> {
        self.narrowing.iter().flat_map(|narrowing| &narrowing.classes).map(|class| class.size).collect()
    }

    /// The matrices that can be compressed.
    pub fn patterns(&self) -> &[Pattern] {
        self.compression.as_ref().map_or(&[], |compression| &compression.patterns)
    }

    /// The function that counts live positions, if any axis has dead ones: `live.0`, `live.1`, …
    pub fn counts(&self) -> Option<Func> {
        self.narrowing.as_ref().map(|narrowing| optimise(narrowing.counts()))
    }

    /// The function that tells where patterns have elements, if there are any: `mask.0`, `mask.1`, …
    pub fn masks(&self) -> Option<Func> {
        self.compression.as_ref().map(|compression| optimise(compression.masks()))
    }

    /// The form in use, unless it is the whole one.
    pub fn special(&self) -> Option<SpecialForm> {
        self.special_of(&self.form)
    }

    fn special_of(&self, form: &Form) -> Option<SpecialForm> {
        match form {
            Form::Whole => None,
            Form::Narrowed(capacities) => {
                let narrowed = self.narrowing.as_ref()?.narrowed(capacities);
                Some(SpecialForm::Narrowed(optimise(narrowed), capacities.clone()))
            }
            Form::Compressed(matrices) => {
                let uses: Vec<Use> = matrices.iter().map(used).collect();
                let mut compressed = self.compression.as_ref()?.compressed(&uses);
                compressed.func = optimise(compressed.func);
                Some(SpecialForm::Compressed(compressed))
            }
        }
    }

    /// Whether this can be the form of this step.
    pub fn admits(&self, form: &Form) -> bool {
        match form {
            Form::Whole => true,
            Form::Narrowed(capacities) => capacities.len() == self.sizes().len(),
            Form::Compressed(matrices) => matrices.iter().all(|matrix| matrix.pattern < self.patterns().len()),
        }
    }

    /// Chooses a form for steps with at least and at most so many live positions of each class, and for patterns as they were seen; whether it
    /// is another one than before.
    pub fn choose(&mut self, counts: &[(usize, usize)], seen: &[Seen]) -> bool {
        let forms: Vec<Form> = [self.narrowed_form(counts), self.compressed_form(seen)].into_iter().flatten().collect();
        if self.compared.as_ref() == Some(&forms) {
            return false;
        }
        let works = forms.iter().map(|form| (self.work_of(form), form));
        let best = works.min_by(|a, b| a.0.total_cmp(&b.0)).filter(|(work, _)| *work < WORTHWHILE * self.work);
        let best = best.map_or(Form::Whole, |(_, form)| form.clone());
        let is_new = best != self.form;
        (self.form, self.compared) = (best, Some(forms));
        is_new
    }

    /// Goes back to a form that was chosen before.
    pub fn set(&mut self, form: Form) {
        (self.form, self.compared) = (form, None);
    }

    fn work_of(&self, form: &Form) -> f64 {
        let counted = if matches!(form, Form::Narrowed(_)) { self.counts() } else { None };
        self.special_of(form).map_or(self.work, |form| work(form.func())) + counted.map_or(0.0, |func| work(&func))
    }

    fn narrowed_form(&self, counts: &[(usize, usize)]) -> Option<Form> {
        let narrowing = self.narrowing.as_ref()?;
        if let Form::Narrowed(now) = &self.form
            && is_near(now, &rooms(&narrowing.classes, counts), counts)
        {
            return Some(self.form.clone());
        }
        Some(Form::Narrowed(rooms(&narrowing.classes, counts)))
    }

    fn compressed_form(&self, seen: &[Seen]) -> Option<Form> {
        let patterns = self.patterns().iter().zip(seen).enumerate();
        let sparse = patterns.filter(|(_, (pattern, seen))| is_sparse(pattern.shape, seen.non_zeros));
        let matrices: Vec<CompressedMatrix> = sparse
            .map(|(pattern, (_, Seen { non_zeros, zeros }))| {
                let zeros = zeros.iter().map(|name| name.to_string()).collect();
                CompressedMatrix { pattern, non_zeros: *non_zeros, zeros }
            })
            .collect();
        (!matrices.is_empty()).then_some(Form::Compressed(matrices))
    }
}

/// Each of them once.
fn choices(of: impl Iterator<Item = (String, &'static str, usize, usize)>) -> Vec<Choice> {
    let choices = of.map(|(of, form, kept, total)| Choice { of, form: form.to_owned(), kept, total });
    choices.collect::<BTreeSet<_>>().into_iter().collect()
}

fn used(matrix: &CompressedMatrix) -> Use {
    let zeros = matrix.zeros.iter().map(|name| name.as_str().into()).collect();
    Use { pattern: matrix.pattern, non_zeros: matrix.non_zeros, zeros }
}

fn rooms(classes: &[Class], counts: &[(usize, usize)]) -> Vec<usize> {
    classes.iter().zip(counts).map(|(class, counts)| room(class.size, *counts)).collect()
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
