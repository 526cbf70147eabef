//! The functions of a program in machine code, and the memory that they share.

use std::collections::BTreeMap;
use std::sync::Arc;

use spnc_runtime::program::{Clock, Element, Entry, Form};

use super::Built;
use super::batch::{self, Place, take_turned};
use super::compressed::CompressedStep;
use super::forms::{Forms, SpecialForm};
use crate::codegen::{self, Executable, Options};
use crate::lir::{self, BufferId};
use crate::lower::to_lir;
use crate::pass::compress::Pattern;
use crate::tir::{DType, Func, Type, Value};

/// A step of training in all its forms.
#[derive(Debug)]
pub(super) struct Train {
    pub whole: Call,
    /// Counts the live positions of each class of axes.
    pub counts: Option<Call>,
    /// Tells where the elements of patterns are.
    pub masks: Option<Call>,
    /// The form in use, unless it is the whole one.
    pub special: Option<Special>,
}

/// A step that computes less than all.
#[derive(Debug)]
pub(super) enum Special {
    /// With room for so many live positions of each class.
    Narrowed(Call, Vec<usize>),
    /// On compressed matrices.
    Compressed(CompressedStep),
}

/// The functions of a program in machine code, and the memory that they share.
#[derive(Debug)]
pub(super) struct Machine {
    pub code: Executable,
    /// The buffers of the lasting tensors, in the order of their indices.
    pub tensors: Vec<BufferId>,
    /// The buffers of the constant tensors.
    pub literals: Vec<BufferId>,
    /// By variant and batch.
    pub train: BTreeMap<(usize, usize), Train>,
    pub evaluate: BTreeMap<usize, Call>,
    pub events: Vec<Call>,
    pub effective: Call,
    /// Where the results of `effective` are, by name, with their shapes: those that are lasting tensors as they are need not be computed.
    pub shown: Vec<(Arc<str>, BufferId, Vec<usize>)>,
}

/// A function, with its inputs and outputs looked up.
#[derive(Debug)]
pub(super) struct Call {
    pub index: usize,
    pub fields: Vec<Option<Place>>,
    seed: Option<BufferId>,
    step: Option<BufferId>,
    epoch: Option<BufferId>,
    progress: Option<BufferId>,
    samples: Option<BufferId>,
    /// Results that are no lasting tensors, by name, with their shapes.
    pub outputs: Vec<(Arc<str>, BufferId, Vec<usize>)>,
    /// The outputs that are terms of the objective or partial results, in their order.
    pub numbered: Vec<BufferId>,
}

impl Machine {
    /// Generates the code of all functions; steps in the forms that are chosen.
    pub fn new(built: &Built, forms: &[Option<Forms>], options: Options) -> Result<Machine, codegen::Error> {
        let fields = &built.interface.field_names;
        let functions: Vec<Functions> = forms.iter().map(|forms| Functions::of(forms, fields)).collect();
        let whole = built.train.iter().zip(&functions).map(|(step, functions)| functions.whole(&step.func, fields));
        let further = functions.iter().flat_map(Functions::all).cloned();
        let module = lowered(built, whole.chain(further), &stored(&functions));
        let code = codegen::compile(&module, options)?;
        let find = |name: &str| module.lasting(name).expect("every lasting tensor was declared");
        let call = |func: &Func| Call::new(func, &module, &code, built);
        let special = |form: &SpecialForm, functions: &Functions, patterns: &[Pattern]| match form {
            SpecialForm::Narrowed(func, capacities) => Special::Narrowed(call(func), capacities.clone()),
            SpecialForm::Compressed(compressed) => {
                let strays = functions.strays.as_ref().map(call);
                let step = CompressedStep::new(compressed, patterns, call(&compressed.func), strays, &module);
                Special::Compressed(step)
            }
        };
        let train = built.train.iter().zip(forms).zip(&functions).map(|((step, forms), functions)| {
            let patterns = forms.as_ref().map_or(&[][..], Forms::patterns);
            let train = Train {
                whole: call(&step.func),
                counts: functions.counts.as_ref().map(call),
                masks: functions.masks.as_ref().map(call),
                special: functions.special.as_ref().map(|form| special(form, functions, patterns)),
            };
            ((step.variant, step.batch), train)
        });
        let effective = call(&computed(&built.effective, &|name| module.lasting(name).is_some()));
        let shown = |(name, value): &(Arc<str>, Value)| {
            let output = effective.outputs.iter().find(|(known, ..)| known == name).map(|(_, buffer, _)| *buffer);
            let buffer =
                output.unwrap_or_else(|| find(kept(&built.effective, *value).expect("all others are computed")));
            (Arc::clone(name), buffer, built.effective.ty(*value).shape.clone())
        };
        Ok(Machine {
            shown: built.effective.results.iter().map(shown).collect(),
            tensors: built.interface.description.tensors.iter().map(|t| find(&t.name)).collect(),
            literals: built.interface.literals.iter().map(|(name, _)| find(name)).collect(),
            train: train.collect(),
            evaluate: built.evaluate.iter().map(|(n, func)| (*n, call(func))).collect(),
            events: built.events.iter().map(call).collect(),
            effective,
            code,
        })
    }
}

impl Machine {
    /// Where a field of a batch goes, if what is expected to run reads it.
    pub fn place(&self, entry: Entry, samples: usize, field: usize) -> Option<Place> {
        let call = match entry {
            Entry::Train(variant) => self.train[&(variant, samples)].expected(),
            Entry::Evaluate => &self.evaluate[&samples],
        };
        call.fields[field]
    }

    /// What the step as a whole reads of a field, if it does: the numbers of one sample after the other.
    pub fn trained_on(
        &mut self,
        key @ (_, samples): (usize, usize),
        field: usize,
        element: Element,
    ) -> Option<Vec<f64>> {
        let Place { buffer, is_turned } = self.train[&key].whole.fields[field]?;
        let widened = |numbers: &[f32]| numbers.iter().map(|x| f64::from(*x)).collect();
        let numbers = match element {
            Element::Real if is_turned => {
                let turned = self.code.floats(buffer);
                widened(&batch::columns(turned, turned.len() / samples))
            }
            Element::Real => widened(self.code.floats(buffer)),
            Element::Integer => self.code.integers_mut(buffer).iter().map(|x| f64::from(*x)).collect(),
        };
        Some(numbers)
    }

    /// Says which elements patterns have that steps change, as a form has it.
    pub fn set_moving_elements(&mut self, key: (usize, usize), form: &Form) {
        let Form::Compressed(matrices) = form else { return };
        let Some(step) = self.train.get_mut(&key).and_then(Train::compressed_mut) else { return };
        for matrix in matrices {
            step.set_moving_elements(&mut self.code, matrix.pattern, &matrix.elements);
        }
    }
}

/// What a step's forms add to the functions of a program.
#[derive(Default)]
struct Functions {
    counts: Option<Func>,
    masks: Option<Func>,
    special: Option<SpecialForm>,
    strays: Option<Func>,
}

impl Functions {
    /// A step on compressed matrices takes the `fields` turned that it reads so.
    fn of(forms: &Option<Forms>, fields: &[Arc<str>]) -> Functions {
        let of = |forms: &Forms| {
            let mut special = forms.special();
            if let Some(SpecialForm::Compressed(compressed)) = &mut special {
                take_turned(&mut compressed.func, fields);
            }
            let strays = special.as_ref().and_then(|special| match special {
                SpecialForm::Narrowed(..) => None,
                SpecialForm::Compressed(compressed) => forms.strays(compressed),
            });
            Functions { counts: forms.counts(), masks: forms.masks(), special, strays }
        };
        forms.as_ref().map(of).unwrap_or_default()
    }

    /// The step as a whole: if no other form of it is in use, it may take its fields turned.
    fn whole(&self, step: &Func, fields: &[Arc<str>]) -> Func {
        let mut step = step.clone();
        let reads_fields = |func: &Func| func.params().any(|(name, ..)| fields.contains(name));
        if self.special.is_none() && !self.all().any(reads_fields) {
            take_turned(&mut step, fields);
        }
        step
    }

    fn all(&self) -> impl Iterator<Item = &Func> {
        let before = [&self.counts, &self.masks, &self.strays].into_iter().flatten();
        before.chain(self.special.iter().map(SpecialForm::func))
    }
}

/// What compressed steps keep from step to step: vectors of elements of tensors, and what is outside of patterns that move.
fn stored(forms: &[Functions]) -> Vec<(Arc<str>, Type)> {
    let mut stored = vec![];
    for form in forms {
        let Some(SpecialForm::Compressed(compressed)) = &form.special else { continue };
        // A state that a step writes without looking at it is a result alone.
        let func = &compressed.func;
        let ty = |name: &str| {
            let param = func.params().find(|(param, ..)| ***param == *name).map(|(_, value, _)| value);
            param.or_else(|| func.result(name)).map(|value| func.ty(value).clone())
        };
        stored.extend(compressed.stored.iter().filter_map(|of| Some((of.name.clone(), ty(&of.name)?))));
        let is_outside = |name: &str| compressed.tables.iter().any(|tables| tables.outside() == *name);
        let params = form.strays.iter().flat_map(Func::params).filter(|(name, ..)| is_outside(name));
        stored.extend(params.map(|(name, _, ty)| (name.clone(), ty.clone())));
    }
    stored
}

/// The program as loop nests over planned memory: what is compiled, and what `emit --stage lir` shows.
pub fn schedule(built: &Built) -> lir::Module {
    let whole = |func| Functions::default().whole(func, &built.interface.field_names);
    lowered(built, built.train.iter().map(|step| whole(&step.func)), &[])
}

/// A program with these steps in all their forms, and with further lasting tensors.
fn lowered(built: &Built, steps: impl Iterator<Item = Func>, stored: &[(Arc<str>, Type)]) -> lir::Module {
    let tensors = built.interface.description.tensors.iter().map(|t| (Arc::from(t.name.as_str()), t.shape.clone()));
    let literals = built.interface.literals.iter().map(|(name, value)| (name.clone(), value.shape().to_vec()));
    let whole = tensors.chain(literals).map(|(n, shape)| (n, Type::new(DType::F32, shape)));
    let lasting: Vec<(Arc<str>, Type)> = whole.chain(stored.iter().cloned()).collect();
    let evaluations = built.evaluate.iter().map(|(_, func)| func);
    let effective = computed(&built.effective, &|name| lasting.iter().any(|(known, _)| **known == *name));
    let funcs = steps.chain(evaluations.chain(&built.events).cloned()).chain([effective]);
    let funcs: Vec<Func> = funcs.collect();
    to_lir::lower(&funcs, &lasting)
}

/// A function without the results that are lasting tensors as they are.
fn computed(func: &Func, is_lasting: &dyn Fn(&str) -> bool) -> Func {
    let mut func = func.clone();
    let is_kept = |value| kept(&func, value).is_some_and(is_lasting);
    let results = func.results.iter().filter(|(_, value)| !is_kept(*value)).cloned().collect();
    func.results = results;
    func
}

/// The input that a value is.
fn kept(func: &Func, value: Value) -> Option<&str> {
    func.params().find(|(_, param, _)| *param == value).map(|(name, ..)| &**name)
}

impl Train {
    /// The compressed step, if that is its form.
    pub fn compressed(&self) -> Option<&CompressedStep> {
        match &self.special {
            Some(Special::Compressed(step)) => Some(step),
            Some(Special::Narrowed(..)) | None => None,
        }
    }

    /// The same, to be changed.
    pub fn compressed_mut(&mut self) -> Option<&mut CompressedStep> {
        match &mut self.special {
            Some(Special::Compressed(step)) => Some(step),
            Some(Special::Narrowed(..)) | None => None,
        }
    }

    /// What computes the next step, unless it turns out to have no room.
    pub fn expected(&self) -> &Call {
        self.compressed().filter(|step| step.is_covered).map_or(&self.whole, |step| &step.call)
    }

    /// Looks at the patterns that steps change, before a step.
    pub fn follow(&mut self, code: &mut Executable, seed: i32, clock: Clock, samples: usize) {
        if let (Some(Special::Compressed(step)), Some(masks)) = (&mut self.special, &self.masks) {
            step.follow(code, masks, seed, clock, samples);
        }
    }

    /// What computes this step of the run: a special form where all that is alive has room.
    pub fn call(&self, code: &mut Executable, seed: i32, clock: Clock) -> &Call {
        let (narrowed, capacities) = match &self.special {
            None => return &self.whole,
            Some(Special::Compressed(step)) => return if step.is_covered { &step.call } else { &self.whole },
            Some(Special::Narrowed(narrowed, capacities)) => (narrowed, capacities),
        };
        let Some(counts) = &self.counts else { return &self.whole };
        counts.run(code, seed, clock, 1);
        let mut rooms = counts.outputs.iter().zip(capacities);
        let has_room = rooms.all(|((_, buffer, _), capacity)| code.floats(*buffer)[0] <= *capacity as f32);
        if has_room { narrowed } else { &self.whole }
    }
}

impl Call {
    pub fn new(func: &Func, module: &lir::Module, code: &Executable, built: &Built) -> Call {
        let scheduled = module.func(&func.name).expect("every function was scheduled");
        let input = |name: &str| module.input(scheduled, name);
        let outputs: Vec<_> = func
            .results
            .iter()
            .filter_map(|(name, value)| {
                Some((name.clone(), module.output(scheduled, name)?, func.ty(*value).shape.clone()))
            })
            .collect();
        let numbered = outputs.iter().filter(|(name, ..)| name.starts_with("term.") || name.starts_with("partial."));
        Call {
            index: code.func(&func.name).expect("every function was compiled"),
            fields: built.interface.field_names.iter().map(|name| Place::of(name, scheduled, module)).collect(),
            seed: input("seed"),
            step: input("step"),
            epoch: input("epoch"),
            progress: input("progress"),
            samples: input("samples"),
            numbered: numbered.map(|(_, buffer, _)| *buffer).collect(),
            outputs,
        }
    }

    /// Runs the function at this place of the run.
    pub fn run(&self, code: &mut Executable, seed: i32, clock: Clock, split: usize) {
        self.prepare(code, seed, clock, split);
        code.run(self.index);
    }

    /// Writes the inputs that say where in the run it is.
    pub fn prepare(&self, code: &mut Executable, seed: i32, clock: Clock, split: usize) {
        let mut integer = |buffer: Option<BufferId>, value: i32| {
            if let Some(buffer) = buffer {
                code.integers_mut(buffer)[0] = value;
            }
        };
        integer(self.seed, seed);
        integer(self.step, clock.step as i32);
        let mut real = |buffer: Option<BufferId>, value: f64| {
            if let Some(buffer) = buffer {
                code.floats_mut(buffer)[0] = value as f32;
            }
        };
        real(self.epoch, clock.epoch);
        real(self.progress, clock.progress);
        real(self.samples, split as f64);
    }
}
