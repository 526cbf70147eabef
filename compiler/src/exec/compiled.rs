//! A program run by machine code, in `f32`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::ArrayD;
use spnc_runtime::program::{Clock, Description, Element, Entry, FieldMut, Program};

use super::blame;
use super::forms::{self, Forms};
use super::host::{Host, outside_name, write};
use super::interpreted::prepare;
use super::{Built, Step};
use crate::codegen::{self, Executable, Observe, Options};
use crate::lir::{self, BufferId};
use crate::lower::to_lir;
use crate::tir::interp::{Keep, Plan, Tensor};
use crate::tir::{DType, Func, Type};

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
    /// Where a field goes that no function reads.
    unread: Vec<f32>,
}

/// A step of training in all its forms.
#[derive(Debug)]
struct Train {
    whole: Call,
    /// Counts the live positions of each class.
    counts: Option<Call>,
    narrow: Option<Narrow>,
}

/// A step that has room for so many live positions of each class.
#[derive(Debug)]
struct Narrow {
    call: Call,
    capacities: Vec<usize>,
}

/// The functions of a program in machine code, and the memory that they share.
#[derive(Debug)]
struct Machine {
    code: Executable,
    /// The buffers of the lasting tensors, in the order of their indices.
    tensors: Vec<BufferId>,
    /// The buffers of the constant tensors.
    literals: Vec<BufferId>,
    /// By variant and batch.
    train: BTreeMap<(usize, usize), Train>,
    evaluate: BTreeMap<usize, Call>,
    events: Vec<Call>,
    effective: Call,
}

/// A function, with its inputs and outputs looked up.
#[derive(Debug)]
struct Call {
    index: usize,
    fields: Vec<Option<BufferId>>,
    seed: Option<BufferId>,
    step: Option<BufferId>,
    epoch: Option<BufferId>,
    progress: Option<BufferId>,
    samples: Option<BufferId>,
    /// Results that are no lasting tensors, by name, with their shapes.
    outputs: Vec<(Arc<str>, BufferId, Vec<usize>)>,
    /// The outputs that are terms of the objective or partial results, in their order.
    numbered: Vec<BufferId>,
}

impl Machine {
    fn new(built: &Built, forms: &[Option<Forms>], options: Options) -> Result<Machine, codegen::Error> {
        let counts: Vec<Option<Func>> = forms.iter().map(|forms| forms.as_ref().map(Forms::counts)).collect();
        let narrow: Vec<Option<Func>> = forms.iter().map(|forms| forms.as_ref().and_then(Forms::narrowed)).collect();
        let module = lowered(built, counts.iter().chain(&narrow).flatten());
        let code = codegen::compile(&module, options)?;
        let find = |name: &str| module.lasting(name).expect("every lasting tensor was declared");
        let call = |func: &Func| Call::new(func, &module, &code, built);
        let train = built.train.iter().enumerate().map(|(index, step)| {
            let capacities = forms[index].as_ref().and_then(|forms| forms.capacities.clone());
            let narrow = narrow[index].as_ref().zip(capacities);
            let train = Train {
                whole: call(&step.func),
                counts: counts[index].as_ref().map(call),
                narrow: narrow.map(|(func, capacities)| Narrow { call: call(func), capacities }),
            };
            ((step.variant, step.batch), train)
        });
        Ok(Machine {
            tensors: built.interface.description.tensors.iter().map(|t| find(&t.name)).collect(),
            literals: built.interface.literals.iter().map(|(name, _)| find(name)).collect(),
            train: train.collect(),
            evaluate: built.evaluate.iter().map(|(n, func)| (*n, call(func))).collect(),
            events: built.events.iter().map(call).collect(),
            effective: call(&built.effective),
            code,
        })
    }
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
            unread: vec![],
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

    /// One step as [`Program::train_step`] does it, but on this thread alone and call by call: see [`Executable::run_by_calls`]. What it
    /// costs to tell which form has room is not part of any call.
    pub fn train_step_by_calls(&mut self, (variant, samples): (usize, usize), clock: Clock, observe: Observe<'_>) {
        let train = &self.machine.train[&(variant, samples)];
        let call = train.form(&mut self.machine.code, self.host.seed, clock);
        call.prepare(&mut self.machine.code, self.host.seed, clock, samples);
        self.machine.code.run_by_calls(call.index, observe);
    }

    /// Generates the code anew, in other forms; the lasting tensors keep their values.
    fn change_forms(&mut self) {
        let mut new = Machine::new(&self.built, &self.forms, self.options).expect("this machine has had code before");
        for (from, to) in self.machine.tensors.iter().zip(&new.tensors) {
            new.code.floats_mut(*to).copy_from_slice(self.machine.code.floats(*from));
        }
        self.machine = new;
        self.write_literals();
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

/// The program as loop nests over planned memory: what is compiled, and what `emit --stage lir` shows.
pub fn schedule(built: &Built) -> lir::Module {
    lowered(built, std::iter::empty())
}

/// The same with further functions.
fn lowered<'a>(built: &'a Built, further: impl Iterator<Item = &'a Func>) -> lir::Module {
    let tensors = built.interface.description.tensors.iter().map(|t| (Arc::from(t.name.as_str()), t.shape.clone()));
    let literals = built.interface.literals.iter().map(|(name, value)| (name.clone(), value.shape().to_vec()));
    let lasting: Vec<(Arc<str>, Type)> =
        tensors.chain(literals).map(|(n, shape)| (n, Type::new(DType::F32, shape))).collect();
    let steps = built.train.iter().map(|step| &step.func);
    let evaluations = built.evaluate.iter().map(|(_, func)| func);
    let funcs: Vec<Func> =
        steps.chain(evaluations).chain(&built.events).chain([&built.effective]).chain(further).cloned().collect();
    to_lir::lower(&funcs, &lasting)
}

impl Train {
    /// The form for this step of the run: the narrowed one where all that is alive has room.
    fn form(&self, code: &mut Executable, seed: i32, clock: Clock) -> &Call {
        let (Some(counts), Some(narrow)) = (&self.counts, &self.narrow) else { return &self.whole };
        counts.run(code, seed, clock, 1);
        let mut rooms = counts.outputs.iter().zip(&narrow.capacities);
        let has_room = rooms.all(|((_, buffer, _), capacity)| code.floats(*buffer)[0] <= *capacity as f32);
        if has_room { &narrow.call } else { &self.whole }
    }
}

impl Call {
    fn new(func: &Func, module: &lir::Module, code: &Executable, built: &Built) -> Call {
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
            fields: built.interface.field_names.iter().map(|name| input(name)).collect(),
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
    fn run(&self, code: &mut Executable, seed: i32, clock: Clock, split: usize) {
        self.prepare(code, seed, clock, split);
        code.run(self.index);
    }

    /// Writes the inputs that say where in the run it is.
    fn prepare(&self, code: &mut Executable, seed: i32, clock: Clock, split: usize) {
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

impl Program for Compiled {
    fn description(&self) -> &Description {
        &self.host.interface.description
    }

    fn init(&mut self, seed: u64) {
        let starts = self.host.init(seed);
        for (index, start) in starts.iter().enumerate() {
            self.write(index, start);
        }
    }

    fn field(&mut self, entry: Entry, samples: usize, index: usize) -> FieldMut<'_> {
        let call = match entry {
            Entry::Train(variant) => &self.machine.train[&(variant, samples)].whole,
            Entry::Evaluate => &self.machine.evaluate[&samples],
        };
        let info = &self.host.interface.description.fields[index];
        match (call.fields[index], info.element) {
            (Some(buffer), Element::Real) => FieldMut::F32(self.machine.code.floats_mut(buffer)),
            (Some(buffer), Element::Integer) => FieldMut::I32(self.machine.code.integers_mut(buffer)),
            (None, Element::Real | Element::Integer) => {
                self.unread.resize(samples * info.shape.iter().product::<usize>(), 0.0);
                FieldMut::F32(&mut self.unread)
            }
        }
    }

    fn train_step(&mut self, variant: usize, samples: usize, clock: Clock) -> &[f64] {
        let train = &self.machine.train[&(variant, samples)];
        let call = train.form(&mut self.machine.code, self.host.seed, clock);
        call.run(&mut self.machine.code, self.host.seed, clock, samples);
        for (term, buffer) in self.terms.iter_mut().zip(&call.numbered) {
            *term = f64::from(self.machine.code.floats(*buffer)[0]);
        }
        &self.terms
    }

    fn adapt(&mut self, variant: usize, clock: Clock) {
        let mut is_new = false;
        for index in 0..self.forms.len() {
            let Step { variant: of, batch, .. } = self.built.train[index];
            if of == variant && self.forms[index].is_some() {
                let counts = self.live_positions((of, batch), clock);
                is_new |= self.forms[index].as_mut().is_some_and(|forms| forms.choose(&counts));
            }
        }
        if is_new {
            self.change_forms();
        }
    }

    fn form(&self) -> Vec<Option<Vec<usize>>> {
        self.forms.iter().map(|forms| forms.as_ref().and_then(|forms| forms.capacities.clone())).collect()
    }

    fn set_form(&mut self, form: &[Option<Vec<usize>>]) {
        if self.form() == form {
            return;
        }
        for (forms, capacities) in self.forms.iter_mut().zip(form) {
            if let Some(forms) = forms {
                forms.capacities = capacities.clone().filter(|capacities| capacities.len() == forms.sizes().len());
            }
        }
        self.change_forms();
    }

    fn fire(&mut self, event: usize, clock: Clock) {
        self.machine.events[event].run(&mut self.machine.code, self.host.seed, clock, 1);
    }

    fn evaluate(&mut self, samples: usize, split: usize, clock: Clock) {
        let call = &self.machine.evaluate[&samples];
        call.run(&mut self.machine.code, self.host.seed, clock, split);
        let code = &self.machine.code;
        self.host
            .accumulate(split, |index, to| to.extend(code.floats(call.numbered[index]).iter().map(|x| f64::from(*x))));
    }

    fn finish_evaluation(&mut self) -> Vec<f64> {
        let (code, buffers) = (&self.machine.code, &self.machine.tensors);
        let infos = self.host.interface.description.tensors.clone();
        let tensor = |name: &str| {
            let index = infos.iter().position(|t| t.name == name)?;
            Some(widen(code.floats(buffers[index]), &infos[index].shape))
        };
        self.host.finish(&tensor)
    }

    fn read(&self, tensor: usize) -> ArrayD<f64> {
        let shape = &self.host.interface.description.tensors[tensor].shape;
        widen(self.machine.code.floats(self.machine.tensors[tensor]), shape)
    }

    fn write(&mut self, tensor: usize, value: &ArrayD<f64>) {
        let shape = &self.host.interface.description.tensors[tensor].shape;
        assert_eq!(value.shape(), shape.as_slice(), "a tensor keeps its shape");
        narrow(value, self.machine.code.floats_mut(self.machine.tensors[tensor]));
    }

    fn effective(&mut self) -> Vec<(String, ArrayD<f64>)> {
        let clock = Clock { step: 0, epoch: 0.0, progress: 0.0 };
        self.machine.effective.run(&mut self.machine.code, self.host.seed, clock, 1);
        let values = self.machine.effective.outputs.iter();
        values
            .map(|(name, buffer, shape)| (outside_name(name), widen(self.machine.code.floats(*buffer), shape)))
            .collect()
    }

    fn live_flops(&self, effective: &[(String, ArrayD<f64>)]) -> Option<u64> {
        let infos = &self.host.interface.description.tensors;
        let tensor = |name: &str| infos.iter().position(|t| t.name == name).map(|index| self.read(index));
        self.host.live_flops(effective, &tensor)
    }

    fn explain_non_finite(&mut self, variant: usize, samples: usize, clock: Clock) -> Option<String> {
        let tensors = self.tensor_values();
        let step = self.built.train.iter().find(|step| (step.variant, step.batch) == (variant, samples))?;
        let mut plan = Plan::new(&step.func, Keep::All);
        for (index, name) in self.host.interface.field_names.iter().enumerate() {
            let Some(buffer) = self.machine.train[&(variant, samples)].whole.fields[index] else { continue };
            match self.host.interface.description.fields[index].element {
                Element::Real => write(&mut plan, name, self.machine.code.floats(buffer).iter().map(|x| f64::from(*x))),
                Element::Integer => {
                    write(&mut plan, name, self.machine.code.integers_mut(buffer).iter().map(|x| f64::from(*x)))
                }
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
