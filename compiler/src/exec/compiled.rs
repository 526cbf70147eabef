//! A program run by machine code, in `f32`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::ArrayD;
use spnc_runtime::program::{Clock, Description, Element, Entry, FieldMut, Program};

use super::blame;
use super::host::{Host, outside_name, write};
use super::interpreted::prepare;
use super::{Built, Step};
use crate::codegen::{self, Executable, Options};
use crate::lir::{self, BufferId};
use crate::lower::to_lir;
use crate::tir::interp::{Keep, Plan, Tensor};
use crate::tir::{DType, Func, Type};

/// A program run by machine code.
#[derive(Debug)]
pub struct Compiled {
    host: Host,
    code: Executable,
    /// The buffers of the lasting tensors, in the order of their indices.
    tensors: Vec<BufferId>,
    /// The buffers of the constant tensors.
    literals: Vec<BufferId>,
    /// By variant and batch.
    train: BTreeMap<(usize, usize), Call>,
    evaluate: BTreeMap<usize, Call>,
    events: Vec<Call>,
    effective: Call,
    terms: Vec<f64>,
    /// What [`Program::explain_non_finite`] runs again.
    trained: Vec<Step>,
    /// Where a field goes that no function reads.
    unread: Vec<f32>,
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

impl Compiled {
    /// Generates machine code; tensors are zero until [`Program::init`].
    ///
    /// # Errors
    ///
    /// When code cannot be generated for this machine.
    pub fn new(built: &Built, options: Options) -> Result<Compiled, codegen::Error> {
        let module = schedule(built);
        let code = codegen::compile(&module, options)?;
        let find = |name: &str| module.lasting(name).expect("every lasting tensor was declared");
        let call = |func: &Func| Call::new(func, &module, &code, built);
        let description = &built.interface.description;
        let mut compiled = Compiled {
            tensors: description.tensors.iter().map(|t| find(&t.name)).collect(),
            literals: built.interface.literals.iter().map(|(name, _)| find(name)).collect(),
            train: built.train.iter().map(|step| ((step.variant, step.batch), call(&step.func))).collect(),
            evaluate: built.evaluate.iter().map(|(n, func)| (*n, call(func))).collect(),
            events: built.events.iter().map(call).collect(),
            effective: call(&built.effective),
            terms: vec![0.0; description.terms.len()],
            trained: built.train.clone(),
            unread: vec![],
            host: Host::new(built),
            code,
        };
        compiled.write_literals();
        Ok(compiled)
    }

    fn write_literals(&mut self) {
        for ((_, value), buffer) in self.host.interface.literals.iter().zip(&self.literals) {
            narrow(value, self.code.floats_mut(*buffer));
        }
    }

    fn tensor_values(&self) -> Vec<Tensor> {
        (0..self.tensors.len()).map(|index| self.read(index)).collect()
    }
}

/// The program as loop nests over planned memory: what is compiled, and what `emit --stage lir` shows.
pub fn schedule(built: &Built) -> lir::Module {
    let tensors = built.interface.description.tensors.iter().map(|t| (Arc::from(t.name.as_str()), t.shape.clone()));
    let literals = built.interface.literals.iter().map(|(name, value)| (name.clone(), value.shape().to_vec()));
    let lasting: Vec<(Arc<str>, Type)> =
        tensors.chain(literals).map(|(n, shape)| (n, Type::new(DType::F32, shape))).collect();
    let steps = built.train.iter().map(|step| &step.func);
    let evaluations = built.evaluate.iter().map(|(_, func)| func);
    let funcs: Vec<Func> = steps.chain(evaluations).chain(&built.events).chain([&built.effective]).cloned().collect();
    to_lir::lower(&funcs, &lasting)
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
        code.run(self.index);
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
            Entry::Train(variant) => &self.train[&(variant, samples)],
            Entry::Evaluate => &self.evaluate[&samples],
        };
        let info = &self.host.interface.description.fields[index];
        match (call.fields[index], info.element) {
            (Some(buffer), Element::Real) => FieldMut::F32(self.code.floats_mut(buffer)),
            (Some(buffer), Element::Integer) => FieldMut::I32(self.code.integers_mut(buffer)),
            (None, Element::Real | Element::Integer) => {
                self.unread.resize(samples * info.shape.iter().product::<usize>(), 0.0);
                FieldMut::F32(&mut self.unread)
            }
        }
    }

    fn train_step(&mut self, variant: usize, samples: usize, clock: Clock) -> &[f64] {
        let call = &self.train[&(variant, samples)];
        call.run(&mut self.code, self.host.seed, clock, samples);
        for (term, buffer) in self.terms.iter_mut().zip(&call.numbered) {
            *term = f64::from(self.code.floats(*buffer)[0]);
        }
        &self.terms
    }

    fn fire(&mut self, event: usize, clock: Clock) {
        self.events[event].run(&mut self.code, self.host.seed, clock, 1);
    }

    fn evaluate(&mut self, samples: usize, split: usize, clock: Clock) {
        let call = &self.evaluate[&samples];
        call.run(&mut self.code, self.host.seed, clock, split);
        let code = &self.code;
        self.host
            .accumulate(split, |index, to| to.extend(code.floats(call.numbered[index]).iter().map(|x| f64::from(*x))));
    }

    fn finish_evaluation(&mut self) -> Vec<f64> {
        let (code, buffers) = (&self.code, &self.tensors);
        let infos = self.host.interface.description.tensors.clone();
        let tensor = |name: &str| {
            let index = infos.iter().position(|t| t.name == name)?;
            Some(widen(code.floats(buffers[index]), &infos[index].shape))
        };
        self.host.finish(&tensor)
    }

    fn read(&self, tensor: usize) -> ArrayD<f64> {
        let shape = &self.host.interface.description.tensors[tensor].shape;
        widen(self.code.floats(self.tensors[tensor]), shape)
    }

    fn write(&mut self, tensor: usize, value: &ArrayD<f64>) {
        let shape = &self.host.interface.description.tensors[tensor].shape;
        assert_eq!(value.shape(), shape.as_slice(), "a tensor keeps its shape");
        narrow(value, self.code.floats_mut(self.tensors[tensor]));
    }

    fn effective(&mut self) -> Vec<(String, ArrayD<f64>)> {
        let clock = Clock { step: 0, epoch: 0.0, progress: 0.0 };
        self.effective.run(&mut self.code, self.host.seed, clock, 1);
        let values = self.effective.outputs.iter();
        values.map(|(name, buffer, shape)| (outside_name(name), widen(self.code.floats(*buffer), shape))).collect()
    }

    fn live_flops(&self, effective: &[(String, ArrayD<f64>)]) -> Option<u64> {
        let infos = &self.host.interface.description.tensors;
        let tensor = |name: &str| infos.iter().position(|t| t.name == name).map(|index| self.read(index));
        self.host.live_flops(effective, &tensor)
    }

    fn explain_non_finite(&mut self, variant: usize, samples: usize, clock: Clock) -> Option<String> {
        let tensors = self.tensor_values();
        let step = self.trained.iter().find(|step| (step.variant, step.batch) == (variant, samples))?;
        let mut plan = Plan::new(&step.func, Keep::All);
        for (index, name) in self.host.interface.field_names.iter().enumerate() {
            let Some(buffer) = self.train[&(variant, samples)].fields[index] else { continue };
            match self.host.interface.description.fields[index].element {
                Element::Real => write(&mut plan, name, self.code.floats(buffer).iter().map(|x| f64::from(*x))),
                Element::Integer => {
                    write(&mut plan, name, self.code.integers_mut(buffer).iter().map(|x| f64::from(*x)))
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
