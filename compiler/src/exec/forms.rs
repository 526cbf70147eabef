//! Which form of a step runs: the whole one, one that is narrowed to what is alive, or one on compressed matrices.
//!
//! A form is chosen when an epoch begins and every so many steps. What it is chosen by are the lasting tensors, the clock and the form before, and
//! nothing else.
//!
//! *Narrowed* steps: room is made for the live positions of the steps to come as far as they can be told; a step with more of them is computed as a
//! whole. *Compressed* steps: masks that steps leave alone say which elements of a matrix are not zero. An event that changes such a mask ends the form.
//! What a step changes itself, by a threshold, a competition or a proximal step, has room for some more elements than there are; each step is
//! looked at before, and one that has no room is computed as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spnc_runtime::program::{Choice, CompressedMatrix, Form, Role};

use super::break_even::{cost, is_sparse};
use super::{Built, Step, optimise};
use crate::pass::compress::{Compressed, Compression, Pattern, Use};
use crate::pass::narrow::{Class, Inputs, Narrowing, SCATTERED, can_be_zero, work, work_at};
use crate::tir::{Func, Value};

/// How many of the steps to come are looked at.
pub const LOOKED_AT: u64 = 16;

/// How far apart they are.
pub const APART: u64 = 7;

/// What choosing may cost, in steps' work (a unit is about 25 ps): generating the code of a form anew takes a fraction of a second.
const CHOOSING: f64 = 8e10;

/// In which share of the steps a pattern that steps change is made anew, about: from none at all to each one near the beginning of training.
const REMADE: f64 = 0.25;

/// What it costs then to look at an element of the matrix, in multiplications of a product.
const SCANNED: f64 = 40.0;

/// What it costs then to put an element of the pattern into tables.
const TABLED: f64 = 1000.0;

/// What generating code costs for each definition of a step, in multiplications of a product: about a quarter of a millisecond.
const GENERATED: f64 = 1e7;

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
    /// How many definitions it has.
    n_defs: usize,
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
#[derive(Clone, Debug)]
pub struct Seen {
    /// How many elements it has.
    pub non_zeros: usize,
    /// What a multiplication with one of them costs beside one of a dense product.
    pub cost: f64,
    /// Tensors that are zero outside of it.
    pub zeros: BTreeSet<Arc<str>>,
}

impl Seen {
    /// A pattern with elements at these positions, which increase, and tensors that are zero outside of it.
    pub fn of(pattern: &Pattern, positions: &[usize], zeros: BTreeSet<Arc<str>>) -> Seen {
        Seen { non_zeros: positions.len(), cost: cost(pattern.shape, positions), zeros }
    }
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
        let compression = Some(Compression::of(&step.func, &is_lasting, &inputs)).filter(|of| !of.patterns.is_empty());
        let is_any = narrowing.is_some() || compression.is_some();
        let (watched, work, n_defs) = (BTreeSet::new(), work(&step.func), step.func.defs.len());
        let forms = Forms { narrowing, compression, watched, work, n_defs, form: Form::Whole, compared: None };
        let masks = forms.compression.as_ref().and_then(|of| of.masks(&|pattern| !pattern.moves));
        let of_masks = masks.iter().flat_map(|func| func.params().map(|(name, ..)| name.clone()));
        let assumed = forms.patterns().iter().flat_map(|pattern| pattern.assumed.iter().cloned());
        let watched = of_masks.chain(assumed).collect();
        is_any.then_some(Forms { watched, ..forms })
    }

    /// What is known of the zeros of the step's values, in words.
    pub fn facts(&self) -> BTreeMap<Value, Vec<String>> {
        let along = self.narrowing.iter().flat_map(Narrowing::facts);
        let mut facts: BTreeMap<Value, Vec<String>> = BTreeMap::new();
        for (value, fact) in along.chain(self.compression.iter().flat_map(Compression::facts)) {
            facts.entry(value).or_default().push(fact);
        }
        facts
    }

    /// After how many steps another choice is worth its price.
    pub fn chooses_every(&self) -> usize {
        (CHOOSING / self.work.max(1.0)) as usize
    }

    /// The tensors on which patterns that no step changes, and what is assumed of them, depend.
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
        self.compression.as_ref().and_then(|compression| compression.masks(&|_| true)).map(optimise)
    }

    /// The function that looks whether the patterns of a compressed form cover what is not zero, if steps change them:
    /// see [`Compression::strays`].
    pub fn strays(&self, compressed: &Compressed) -> Option<Func> {
        self.compression.as_ref().and_then(|compression| compression.strays(&compressed.tables)).map(optimise)
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

    /// Chooses a form for the steps `ahead`, with at least and at most so many live positions of each class, and for patterns as they were seen; whether
    /// it is another one than before. What is saved has to be worth the code that is generated.
    pub fn choose(&mut self, counts: &[(usize, usize)], seen: &[Seen], ahead: u64) -> bool {
        let narrowed = [false, true].into_iter().filter_map(|apart| self.narrowed_form(counts, apart));
        let mut forms: Vec<Form> = narrowed.chain(self.compressed_form(seen)).collect();
        forms.dedup();
        let price = GENERATED * self.n_defs as f64 / ahead as f64;
        if self.compared.as_ref() == Some(&forms) || self.work < price {
            return false;
        }
        let works = forms.iter().map(|form| (self.work_of(form, seen), form));
        let best = works.min_by(|a, b| a.0.total_cmp(&b.0)).filter(|(work, _)| *work < WORTHWHILE * self.work);
        if best.is_some_and(|(work, form)| *form != self.form && self.work_now(counts, seen) - work < price) {
            return false;
        }
        let best = best.map_or(Form::Whole, |(_, form)| form.clone());
        let is_new = best != self.form;
        (self.form, self.compared) = (best, Some(forms));
        is_new
    }

    /// The work of a step as it is computed now.
    fn work_now(&self, counts: &[(usize, usize)], seen: &[Seen]) -> f64 {
        let serves = match &self.form {
            Form::Whole => true,
            Form::Narrowed(rooms) => rooms.iter().zip(counts).all(|(room, (_, most))| most <= room),
            Form::Compressed(matrices) => matrices.iter().all(|of| seen[of.pattern].non_zeros <= of.non_zeros),
        };
        if serves { self.work_of(&self.form, seen) } else { self.work }
    }

    /// Goes back to a form that was chosen before; which elements patterns have that steps change is not kept here.
    pub fn set(&mut self, mut form: Form) {
        if let Form::Compressed(matrices) = &mut form {
            matrices.iter_mut().for_each(|matrix| matrix.elements.clear());
        }
        (self.form, self.compared) = (form, None);
    }

    fn work_of(&self, form: &Form, seen: &[Seen]) -> f64 {
        match self.special_of(form) {
            None => self.work,
            Some(SpecialForm::Narrowed(func, _)) => work(&func) + self.counts().map_or(0.0, |func| work(&func)),
            Some(SpecialForm::Compressed(compressed)) => {
                let cost = |name: &str| {
                    let tables = compressed.tables.iter().find(|tables| tables.has(name));
                    tables.map_or(SCATTERED, |tables| seen[tables.pattern].cost)
                };
                work_at(&compressed.func, &cost) + self.following(&compressed)
            }
        }
    }

    /// The work of following patterns that steps change: looking at them before each step, and making some of them anew.
    fn following(&self, compressed: &Compressed) -> f64 {
        let Some(looking) = self.strays(compressed).map(|func| work(&func)) else { return 0.0 };
        let moving = compressed.tables.iter().filter(|tables| self.patterns()[tables.pattern].moves);
        let making = moving.map(|tables| {
            let [rows, columns] = self.patterns()[tables.pattern].shape;
            SCANNED * (rows * columns) as f64 + TABLED * tables.non_zeros as f64
        });
        looking + REMADE * (looking + making.sum::<f64>())
    }

    /// The narrowed form for so many live positions, with or without branches that are cut by themselves.
    fn narrowed_form(&self, counts: &[(usize, usize)], apart: bool) -> Option<Form> {
        let (classes, sizes) = (&self.narrowing.as_ref()?.classes, self.sizes());
        let wanted = rooms(classes, counts, apart);
        let is_alike = |now: &[usize]| {
            let cut = |rooms: &[usize], class: usize| rooms[class] < sizes[class];
            (0..classes.len()).all(|class| !classes[class].is_branch || cut(now, class) == cut(&wanted, class))
        };
        let rooms = match &self.form {
            Form::Narrowed(now) if is_alike(now) && is_near(now, &wanted, counts) => now.clone(),
            Form::Narrowed(_) | Form::Whole | Form::Compressed(_) => wanted,
        };
        (rooms != sizes).then_some(Form::Narrowed(rooms))
    }

    fn compressed_form(&self, seen: &[Seen]) -> Option<Form> {
        let compression = self.compression.as_ref()?;
        let patterns = compression.patterns.iter().zip(seen).enumerate();
        let sparse = patterns.filter(|(_, (pattern, seen))| is_sparse(pattern.shape, seen.non_zeros, seen.cost));
        let matrices: Vec<CompressedMatrix> = sparse
            .map(|(index, (pattern, Seen { non_zeros, zeros, .. }))| {
                let zeros = compression.kept_zero(index, zeros).iter().map(|name| name.to_string()).collect();
                let non_zeros = if pattern.moves { self.room_for(index, *non_zeros) } else { *non_zeros };
                CompressedMatrix { pattern: index, non_zeros, zeros, elements: vec![] }
            })
            .collect();
        (!matrices.is_empty()).then_some(Form::Compressed(matrices))
    }

    /// Room for the elements of a pattern that moves: what it has now, if that still serves.
    fn room_for(&self, index: usize, count: usize) -> usize {
        let [rows, columns] = self.patterns()[index].shape;
        let wanted = elements_room(rows * columns, count);
        let now = if let Form::Compressed(matrices) = &self.form { matrices.as_slice() } else { &[] };
        let now = now.iter().find(|matrix| matrix.pattern == index).map(|matrix| matrix.non_zeros);
        now.filter(|now| is_near(&[*now], &[wanted], &[(count, count)])).unwrap_or(wanted)
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

/// Room for the live positions of each class. A branch has room of its own, if any may, where that is clearly less than what it is inside of.
fn rooms(classes: &[Class], counts: &[(usize, usize)], apart: bool) -> Vec<usize> {
    let own = |class: usize| room(classes[class].size, counts[class]);
    let of = |class: usize| {
        let Class { size, is_branch, within, .. } = classes[class];
        let around = within.map_or(size, own);
        if is_branch && !(apart && 4 * own(class) <= 3 * around) { size } else { own(class) }
    };
    (0..classes.len()).map(of).collect()
}

/// Room for `most` of `size` positions, and some more if their number varies, in whole vectors.
fn room(size: usize, (least, most): (usize, usize)) -> usize {
    let vector = if size >= 32 { 8 } else { 4 };
    let spare = if least == most { 0 } else { vector / 2 };
    (most + spare).max(1).next_multiple_of(vector).min(size)
}

/// Room for `count` of `size` elements of a matrix, and for some that come and go.
fn elements_room(size: usize, count: usize) -> usize {
    (count + count / 16).next_multiple_of(64).min(size)
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
