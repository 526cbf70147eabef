//! A program run by machine code, in `f32`.

use std::collections::BTreeSet;

use ndarray::ArrayD;
use spnc_runtime::program::{
    Choice, Clock, CompressedMatrix, CopyField, Description, Entry, FieldMut, Form, Numbers, Program,
};

use super::blame;
use super::fields::{Field, Fields};
use super::forms::{self, Forms, Seen};
use super::host::{Host, outside_name, short_seed, write};
use super::interpreted::prepare;
use super::machine::{Machine, Train};
use super::{Built, Step};
use crate::codegen::{self, Observe, Options};
use crate::lir::BufferId;
use crate::pass::compress::Pattern;
use crate::tir::interp::{Keep, Plan, Tensor};

/// A program run by machine code.
#[derive(Debug)]
pub struct Compiled {
    host: Host,
    machine: Machine,
    terms: Vec<f64>,
    /// What steps of other forms are made from, and what [`Program::explain_non_finite`] runs again.
    built: Built,
    options: Options,
    /// For each step of `built` what can be left out of it.
    forms: Vec<Option<Forms>>,
    /// The compressed step that holds elements of lasting tensors, if one does.
    held: Option<Held>,
    /// When forms were last chosen such that only live positions can change what is chosen.
    looked: Option<Look>,
    fields: Fields,
}

/// A step that keeps the elements of its patterns by themselves.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// The step, by variant and batch.
    key: (usize, usize),
    /// Whether they have changed, and the lasting tensors have not followed.
    is_ahead: bool,
}

/// A choice of forms that stands until there are other live positions, or something other than steps of the same variant changes lasting tensors.
#[derive(Debug)]
struct Look {
    variant: usize,
    /// For how many steps it was made: for fewer of them other forms are worth even less.
    ahead: u64,
    /// The least and the most live positions of each class of axes, if there are any classes.
    counts: Vec<(usize, usize)>,
}

impl Compiled {
    /// Generates machine code; tensors are zero until [`Program::init`].
    ///
    /// # Errors
    ///
    /// When code cannot be generated for this machine.
    pub fn new(built: &Built, options: Options) -> Result<Compiled, codegen::Error> {
        let zeros = forms::tensors_with_zeros(built);
        let forms: Vec<_> = built.train.iter().map(|step| Forms::of(built, step, &zeros)).collect();
        let mut compiled = Compiled {
            machine: Machine::new(built, &forms, options)?,
            terms: vec![0.0; built.interface.description.terms.len()],
            built: built.clone(),
            options,
            forms,
            held: None,
            looked: None,
            fields: Fields::new(built.interface.field_names.len()),
            host: Host::new(built),
        };
        compiled.write_literals();
        Ok(compiled)
    }

    /// The same program, all of whose steps are computed as a whole, whatever is zero.
    pub fn whole(mut self) -> Compiled {
        self.forms.fill(None);
        self
    }

    /// One step as [`Program::train_step`] does it, but on this thread alone and call by call: see [`run_by_calls`](codegen::Executable::run_by_calls). What it
    /// costs to tell which form has room is not part of any call.
    pub fn train_step_by_calls(&mut self, key: (usize, usize), clock: Clock, observe: Observe<'_>) {
        self.load(key, clock);
        let Machine { code, train, .. } = &mut self.machine;
        let call = train[&key].call(code, self.host.seed, clock);
        call.prepare(code, self.host.seed, clock, key.1);
        code.run_by_calls(call.index, observe);
    }

    /// Generates the code anew, in other forms; the lasting tensors keep their values.
    fn change_forms(&mut self) {
        let mut new = Machine::new(&self.built, &self.forms, self.options).expect("this machine has had code before");
        for (from, to) in self.machine.tensors.iter().zip(&new.tensors) {
            new.code.floats_mut(*to).copy_from_slice(self.machine.code.floats(*from));
        }
        self.machine = new;
        self.write_literals();
        self.refresh_all_patterns();
    }

    /// What the function of effective parameters gave last under the first name that is asked for.
    fn shown(&self, is_asked: impl Fn(&str) -> bool) -> Option<ArrayD<f64>> {
        let (_, buffer, shape) = self.machine.shown.iter().find(|(name, ..)| is_asked(name))?;
        Some(widen(self.machine.code.floats(*buffer), shape))
    }

    /// Gives a compressed step the elements of the lasting tensors, unless it has the newest ones or cannot compute the step at this place, and
    /// whatever does compute it the batch in its order.
    fn load(&mut self, key: (usize, usize), clock: Clock) {
        self.fields.turn_rows(&mut self.machine, key);
        if self.held.is_some_and(|held| held.key != key) {
            self.release();
        }
        let Machine { code, train, .. } = &mut self.machine;
        let Some(step) = train.get_mut(&key) else { return };
        step.follow(code, self.host.seed, clock, key.1);
        let covered = step.compressed().filter(|step| step.is_covered);
        let is_covered = covered.is_some();
        match covered {
            None => self.release(),
            Some(step) => {
                if self.held.is_none() {
                    step.load(code);
                }
                self.held = Some(Held { key, is_ahead: true });
            }
        }
        self.fields.arrange(&mut self.machine, key, is_covered);
    }

    /// Puts back into the lasting tensors what a compressed step has changed, for those who read them. The step goes on with its own elements.
    fn settle(&mut self) {
        let Some(held @ Held { is_ahead: true, .. }) = self.held else { return };
        if let Some(step) = self.machine.train[&held.key].compressed() {
            step.store(&mut self.machine.code);
        }
        self.held = Some(Held { is_ahead: false, ..held });
    }

    /// The same before lasting tensors, or what is held of them, change otherwise: a compressed step takes its elements from them anew.
    fn release(&mut self) {
        self.settle();
        self.held = None;
    }

    /// Where each pattern of a step has elements at this place of the run.
    fn positions(&mut self, key: (usize, usize), clock: Clock) -> Vec<Vec<usize>> {
        let Some(masks) = &self.machine.train[&key].masks else { return vec![] };
        masks.run(&mut self.machine.code, self.host.seed, clock, key.1);
        let there = |buffer: BufferId| {
            let mask = self.machine.code.floats(buffer).iter().enumerate();
            mask.filter(|(_, number)| **number != 0.0).map(|(at, _)| at).collect()
        };
        masks.outputs.iter().map(|(_, buffer, _)| there(*buffer)).collect()
    }

    /// What is to be said of the patterns of a step.
    fn seen(&self, index: usize, positions: &[Vec<usize>]) -> Vec<Seen> {
        let patterns = self.forms[index].iter().flat_map(Forms::patterns).zip(positions);
        let seen = |(pattern, positions): (&Pattern, &Vec<usize>)| {
            let zeros = pattern.assumed.iter().filter(|name| self.is_zero_outside(name, positions));
            Seen::of(pattern, positions, zeros.cloned().collect())
        };
        patterns.map(seen).collect()
    }

    /// Whether a lasting tensor has no elements but at these positions, which increase.
    fn is_zero_outside(&self, name: &str, positions: &[usize]) -> bool {
        let mut inside = positions.iter().peekable();
        let tensor = self.machine.code.floats(self.machine.tensors[self.index_of(name)]).iter().enumerate();
        let mut outside = tensor.filter(|(at, _)| inside.next_if(|position| *position == at).is_none());
        outside.all(|(_, element)| *element == 0.0)
    }

    fn refresh_all_patterns(&mut self) {
        let keys: Vec<(usize, usize)> = self.machine.train.keys().copied().collect();
        keys.into_iter().for_each(|key| self.refresh_patterns(key));
    }

    /// Tells a compressed step what its patterns are now.
    fn refresh_patterns(&mut self, key: (usize, usize)) {
        if self.machine.train[&key].compressed().is_none() {
            return;
        }
        let positions = self.positions(key, Clock::START);
        let index = self.built.train.iter().position(|step| (step.variant, step.batch) == key);
        let Machine { code, train, .. } = &mut self.machine;
        let Some(step) = train.get_mut(&key).and_then(Train::compressed_mut) else { return };
        if step.fits(&positions) {
            return;
        }
        if step.has_room(&positions) {
            step.set_patterns(code, &positions);
        } else if let Some(index) = index {
            // Steps of another variant have changed a matrix that this one leaves alone. It chooses anew when its turn comes.
            self.make_whole(index, key);
        }
    }

    /// Whether what was seen of the patterns of a step is what steps leave alone: none moves, and what may be zero outside of patterns is, or is not
    /// written there.
    fn are_fixed(&self, index: usize, key: (usize, usize), seen: &[Seen]) -> bool {
        let step = self.machine.train[&key].compressed();
        let is_held = |pattern: usize, name: &str| {
            step.is_some_and(|step| step.holds(pattern, self.machine.tensors[self.index_of(name)]))
        };
        let mut patterns = self.forms[index].iter().flat_map(Forms::patterns).zip(seen).enumerate();
        patterns.all(|(index, (pattern, seen))| {
            !pattern.moves && pattern.assumed.iter().all(|name| seen.zeros.contains(name) || is_held(index, name))
        })
    }

    /// The index of a lasting tensor.
    fn index_of(&self, name: &str) -> usize {
        let mut tensors = self.host.interface.description.tensors.iter();
        tensors.position(|tensor| tensor.name == *name).expect("assumptions are about lasting tensors")
    }

    /// Ends compressed forms that an event has made wrong.
    fn check_patterns(&mut self, event: usize) {
        for index in 0..self.forms.len() {
            let Step { variant, batch, .. } = self.built.train[index];
            let Some(forms) = &self.forms[index] else { continue };
            let Form::Compressed(matrices) = forms.form().clone() else { continue };
            let written = self.built.events[event].results.iter();
            if written.clone().any(|(name, _)| forms.watched().contains(name)) {
                let positions = self.positions((variant, batch), Clock::START);
                let seen = self.seen(index, &positions);
                let step = self.machine.train[&(variant, batch)].compressed();
                let fits = step.is_some_and(|step| step.fits(&positions));
                let holds = |matrix: &CompressedMatrix| {
                    let zeros = &seen[matrix.pattern].zeros;
                    matrix.zeros.iter().all(|name| zeros.contains(name.as_str()))
                };
                if !fits || !matrices.iter().all(holds) {
                    self.make_whole(index, (variant, batch));
                }
            }
        }
    }

    /// A step's form, with the elements that patterns have now if steps change them.
    fn form_of(&self, step: &Step, forms: Option<&Forms>) -> Form {
        let mut form = forms.map(|forms| forms.form().clone()).unwrap_or_default();
        let compressed = self.machine.train[&(step.variant, step.batch)].compressed();
        if let (Form::Compressed(matrices), Some(compressed)) = (&mut form, compressed) {
            for matrix in matrices {
                matrix.elements = compressed.moving_elements(matrix.pattern).unwrap_or_default().to_vec();
            }
        }
        form
    }

    fn make_whole(&mut self, index: usize, key: (usize, usize)) {
        if let Some(forms) = &mut self.forms[index] {
            forms.set(Form::Whole);
        }
        if let Some(train) = self.machine.train.get_mut(&key) {
            train.special = None;
        }
    }

    /// Whether states are updated in evaluations of so many samples.
    fn evaluation_changes_tensors(&self, samples: usize) -> bool {
        let tensors = &self.host.interface.description.tensors;
        let mut results = self.built.evaluate.iter().filter(|(n, _)| *n == samples).flat_map(|(_, func)| &func.results);
        results.any(|(name, _)| tensors.iter().any(|tensor| *tensor.name == **name))
    }

    fn write_literals(&mut self) {
        for ((_, value), buffer) in self.host.interface.literals.iter().zip(&self.machine.literals) {
            narrow(value, self.machine.code.floats_mut(*buffer));
        }
    }

    fn tensor_values(&self) -> Vec<Tensor> {
        (0..self.machine.tensors.len()).map(|index| self.read(index)).collect()
    }

    /// The least and the most live positions of each class of a step, in some of the steps to come.
    fn live_positions(&mut self, key: (usize, usize), clock: Clock) -> Vec<(usize, usize)> {
        let Some(counts) = &self.machine.train[&key].counts else { return vec![] };
        let mut found = vec![(usize::MAX, 0); counts.outputs.len()];
        for ahead in 0..forms::LOOKED_AT {
            let clock = Clock { step: clock.step + ahead * forms::APART, ..clock };
            counts.run(&mut self.machine.code, self.host.seed, clock, key.1);
            for ((least, most), (_, buffer, _)) in found.iter_mut().zip(&counts.outputs) {
                let count = self.machine.code.floats(*buffer)[0] as usize;
                (*least, *most) = (count.min(*least), count.max(*most));
            }
        }
        found
    }
}

impl Program for Compiled {
    fn description(&self) -> &Description {
        &self.host.interface.description
    }

    fn init(&mut self, seed: u64) {
        self.release();
        self.looked = None;
        self.host.seed = short_seed(seed);
        let Machine { code, tensors, .. } = &mut self.machine;
        self.host.init(|index, start| narrow(&start, code.floats_mut(tensors[index])));
    }

    fn field(&mut self, entry: Entry, samples: usize, index: usize) -> FieldMut<'_> {
        let info = &self.host.interface.description.fields[index];
        self.fields.slot(&mut self.machine, Field { entry, samples, index, info })
    }

    fn fill(&mut self, entry: Entry, samples: usize, index: usize, copy: &dyn CopyField) {
        let info = &self.host.interface.description.fields[index];
        let isa = self.options.target.isa();
        self.fields.fill(&mut self.machine, Field { entry, samples, index, info }, isa, copy);
    }

    fn train_step(&mut self, variant: usize, samples: usize, clock: Clock) -> &[f64] {
        let _ = self.looked.take_if(|look| look.variant != variant);
        self.load((variant, samples), clock);
        let Machine { code, train, .. } = &mut self.machine;
        let call = train[&(variant, samples)].call(code, self.host.seed, clock);
        call.run(code, self.host.seed, clock, samples);
        for (term, buffer) in self.terms.iter_mut().zip(&call.numbered) {
            *term = f64::from(code.floats(*buffer)[0]);
        }
        &self.terms
    }

    fn adapt(&mut self, variant: usize, clock: Clock, ahead: u64) {
        let _ = self.looked.take_if(|look| look.variant != variant || look.ahead < ahead);
        if self.looked.as_ref().is_some_and(|look| look.counts.is_empty()) {
            return;
        }
        self.settle();
        // What is left over of the samples of an epoch is a step by itself, once in an epoch: not worth a form.
        let of_variant = (0..self.forms.len()).filter(|index| self.built.train[*index].variant == variant);
        let Some(index) = of_variant.max_by_key(|index| self.built.train[*index].batch) else { return };
        let key = (variant, self.built.train[index].batch);
        if self.forms[index].is_none() {
            return;
        }
        let counts = self.live_positions(key, clock);
        if self.looked.as_ref().is_some_and(|look| look.counts == counts) {
            return;
        }
        self.release();
        let positions = self.positions(key, clock);
        let seen = self.seen(index, &positions);
        let Some(forms) = &mut self.forms[index] else { return };
        match (forms.choose(&counts, &seen, ahead), forms.form()) {
            (true, Form::Whole) => self.make_whole(index, key),
            (true, Form::Narrowed(_) | Form::Compressed(_)) => self.change_forms(),
            (false, _) => self.refresh_all_patterns(),
        }
        self.looked = self.are_fixed(index, key, &seen).then_some(Look { variant, ahead, counts });
    }

    fn adapts_every(&self, variant: usize) -> usize {
        let steps = self.built.train.iter().zip(&self.forms).filter(|(step, _)| step.variant == variant);
        // The largest batch has the most work, and the fewest steps.
        steps.filter_map(|(_, forms)| Some(forms.as_ref()?.chooses_every())).min().unwrap_or(usize::MAX)
    }

    fn form(&self) -> Vec<Form> {
        self.built.train.iter().zip(&self.forms).map(|(step, forms)| self.form_of(step, forms.as_ref())).collect()
    }

    fn choices(&self) -> Vec<Choice> {
        let all: BTreeSet<Choice> = self.forms.iter().flatten().flat_map(Forms::choices).collect();
        all.into_iter().collect()
    }

    fn set_form(&mut self, form: &[Form]) {
        self.release();
        self.looked = None;
        if self.form() == form {
            return;
        }
        for (forms, form) in self.forms.iter_mut().zip(form) {
            if let Some(forms) = forms.as_mut().filter(|forms| forms.admits(form)) {
                forms.set(form.clone());
            }
        }
        self.change_forms();
        self.built.train.iter().zip(form).for_each(|(step, form)| {
            self.machine.set_moving_elements((step.variant, step.batch), form);
        });
    }

    fn fire(&mut self, event: usize, clock: Clock) {
        self.release();
        self.looked = None;
        self.machine.events[event].run(&mut self.machine.code, self.host.seed, clock, 1);
        self.check_patterns(event);
    }

    fn evaluate(&mut self, samples: usize, split: usize, clock: Clock) {
        if self.evaluation_changes_tensors(samples) {
            self.release();
            self.looked = None;
        }
        self.settle();
        let call = &self.machine.evaluate[&samples];
        call.run(&mut self.machine.code, self.host.seed, clock, split);
        let code = &self.machine.code;
        self.host
            .accumulate(split, |index, to| to.extend(code.floats(call.numbered[index]).iter().map(|x| f64::from(*x))));
    }

    fn finish_evaluation(&mut self, clock: Clock) -> Vec<f64> {
        self.settle();
        let (code, buffers) = (&self.machine.code, &self.machine.tensors);
        let infos = self.host.interface.description.tensors.clone();
        let tensor = |name: &str| {
            let index = infos.iter().position(|t| t.name == name)?;
            Some(widen(code.floats(buffers[index]), &infos[index].shape))
        };
        self.host.finish(clock, &tensor)
    }

    fn read(&self, tensor: usize) -> ArrayD<f64> {
        let mut numbers = Numbers::Single(vec![]);
        self.copy(tensor, &mut numbers);
        numbers.tensor(&self.host.interface.description.tensors[tensor].shape)
    }

    fn copy(&self, tensor: usize, to: &mut Numbers) {
        let mut numbers = match std::mem::replace(to, Numbers::Single(vec![])) {
            Numbers::Single(numbers) => numbers,
            Numbers::Double(_) => vec![],
        };
        let buffer = self.machine.tensors[tensor];
        numbers.clear();
        numbers.extend_from_slice(self.machine.code.floats(buffer));
        let ahead = self.held.filter(|held| held.is_ahead);
        if let Some(step) = ahead.and_then(|held| self.machine.train[&held.key].compressed()) {
            step.put_back(&self.machine.code, buffer, &mut numbers);
        }
        *to = Numbers::Single(numbers);
    }

    fn write(&mut self, tensor: usize, value: &ArrayD<f64>) {
        let shape = &self.host.interface.description.tensors[tensor].shape;
        assert_eq!(value.shape(), shape.as_slice(), "a tensor keeps its shape");
        self.release();
        self.looked = None;
        narrow(value, self.machine.code.floats_mut(self.machine.tensors[tensor]));
    }

    fn effective(&mut self, clock: Clock) -> Vec<String> {
        self.settle();
        self.machine.effective.run(&mut self.machine.code, self.host.seed, clock, 1);
        self.machine.shown.iter().map(|(name, ..)| outside_name(name).to_owned()).collect()
    }

    fn computed(&self, name: &str) -> Option<ArrayD<f64>> {
        self.shown(|known| outside_name(known) == name)
    }

    fn live_flops(&self) -> Option<u64> {
        let infos = &self.host.interface.description.tensors;
        let tensor = |name: &str| infos.iter().position(|t| t.name == name).map(|index| self.read(index));
        self.host.live_flops(&|name| self.shown(|known| known == name).or_else(|| tensor(name)))
    }

    fn explain_non_finite(&mut self, variant: usize, samples: usize, clock: Clock) -> Option<String> {
        self.fields.arrange(&mut self.machine, (variant, samples), false);
        let tensors = self.tensor_values();
        let step = self.built.train.iter().find(|step| (step.variant, step.batch) == (variant, samples))?;
        let mut plan = Plan::new(&step.func, Keep::All);
        for (index, name) in self.host.interface.field_names.iter().enumerate() {
            let element = self.host.interface.description.fields[index].element;
            if let Some(numbers) = self.machine.trained_on((variant, samples), index, element) {
                write(&mut plan, name, numbers.into_iter());
            }
        }
        prepare(&mut plan, &self.host, &tensors, clock);
        plan.run();
        blame::first_bad(&plan, f64::from(f32::MAX))
    }
}

/// The tensor of this shape whose elements a buffer holds.
pub fn widen(values: &[f32], shape: &[usize]) -> Tensor {
    let values = values.iter().map(|x| f64::from(*x)).collect();
    ArrayD::from_shape_vec(shape, values).expect("a buffer has the length of its tensor")
}

/// Writes a tensor to a buffer.
pub fn narrow(from: &Tensor, to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from as f32);
}
