//! What the trainer asks of a program: the boundary between the runtime and whatever it trains.
//!
//! The compiler implements [`Program`] twice: by machine code, in `f32`, and by the reference interpreter, in
//! `f64`. The trainer, the evaluator and the run folder work with either.

use std::ops::Range;

use ndarray::ArrayD;
use serde::{Deserialize, Serialize};

use crate::kernels::Isa;

/// The number type of a batch field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Real numbers.
    Real,
    /// Integers: labels, indices.
    Integer,
}

/// A field of a batch, as the program expects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// As in the data set.
    pub name: String,
    /// The number type.
    pub element: Element,
    /// The shape of one sample.
    pub shape: Vec<usize>,
}

/// What a tensor is to training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A free parameter.
    Param,
    /// A state of a layer or of a parameterisation.
    State,
    /// A state of an optimizer.
    OptimizerState,
    /// A state of the sequence of batches: it starts anew with every epoch and every evaluation and is not saved with the network.
    Carried,
}

/// A tensor that lives as long as the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its path, as `net.fc1.w`.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// What a program is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The fields of the data that it reads.
    pub fields: Vec<FieldInfo>,
    /// Its lasting tensors, in the order of their indices.
    pub tensors: Vec<TensorInfo>,
    /// The terms of the objective: source texts.
    pub terms: Vec<String>,
    /// The reported numbers, by name.
    pub reports: Vec<String>,
    /// The events that a plan can fire, by name.
    pub events: Vec<String>,
}

/// Which of its functions a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// One step of training, in this variant.
    Train(usize),
    /// Evaluation of one batch.
    Evaluate,
}

/// The place a batch field is copied to: row-major, one sample after the other.
#[derive(Debug)]
pub enum FieldMut<'a> {
    /// Single precision.
    F32(&'a mut [f32]),
    /// Double precision.
    F64(&'a mut [f64]),
    /// Integers.
    I32(&'a mut [i32]),
}

/// What copies a field of a batch to where it goes, maybe a part at a time and by several threads at once.
pub trait CopyField: Sync {
    /// Copies these samples, one after the other.
    fn samples(&self, some: Range<usize>, to: FieldMut<'_>);

    /// Copies these elements of all samples, one element after the other: the numbers that the samples have there side by side. What turns them
    /// are the instructions of `isa`, which the machine has.
    fn elements(&self, some: Range<usize>, isa: Isa, to: &mut [f32]);
}

/// The numbers of a tensor, row-major, in the precision that its program computes in.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// Single precision.
    Single(Vec<f32>),
    /// Double precision.
    Double(Vec<f64>),
}

impl Numbers {
    /// The tensor of this shape that they are.
    ///
    /// # Panics
    ///
    /// If there are more or fewer of them than the shape has elements.
    pub fn tensor(&self, shape: &[usize]) -> ArrayD<f64> {
        let numbers = match self {
            Numbers::Single(numbers) => numbers.iter().copied().map(f64::from).collect(),
            Numbers::Double(numbers) => numbers.clone(),
        };
        ArrayD::from_shape_vec(shape, numbers).expect("a tensor has as many numbers as its shape says")
    }
}

/// Where in the run a step is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Steps done before this one.
    pub step: u64,
    /// Epochs of the run done before this step, with their fraction.
    pub epoch: f64,
    /// Share of the phase done before this step, 0 to 1.
    pub progress: f64,
}

impl Clock {
    /// Where a run begins.
    pub const START: Clock = Clock { step: 0, epoch: 0.0, progress: 0.0 };
}

/// How a step is computed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// All of it.
    #[default]
    Whole,
    /// With room for so many live positions in each class of axes.
    Narrowed(Vec<usize>),
    /// With these matrices compressed.
    Compressed(Vec<CompressedMatrix>),
}

/// A matrix of which a step computes the elements that are not zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompressedMatrix {
    /// Its number among the matrices of the step that can be compressed.
    pub pattern: usize,
    /// How many elements it has, or for how many there is room if steps change which ones they are.
    pub non_zeros: usize,
    /// The tensors that were seen to be zero where it is.
    pub zeros: Vec<String>,
    /// The positions of the elements, if steps change them; none yet before the first of these steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<usize>,
}

/// What steps of training leave out, of one matrix or of axes that are cut alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Choice {
    /// The path of the matrix, or `axes`.
    pub of: String,
    /// `compressed` or `narrowed`.
    pub form: String,
    /// The elements, or positions, that steps compute.
    pub kept: usize,
    /// Those that there are.
    pub total: usize,
}

/// A program that can be trained.
pub trait Program {
    /// What it is made of.
    fn description(&self) -> &Description;

    /// Gives every tensor its start value.
    fn init(&mut self, seed: u64);

    /// Where field `index` of a batch of `samples` samples goes, before [`Program::train_step`] or [`Program::evaluate`].
    fn field(&mut self, entry: Entry, samples: usize, index: usize) -> FieldMut<'_>;

    /// Has field `index` of a batch of `samples` samples filled by `copy`, in the order in which the program reads it.
    fn fill(&mut self, entry: Entry, samples: usize, index: usize, copy: &dyn CopyField) {
        copy.samples(0..samples, self.field(entry, samples, index));
    }

    /// One step on the batch in the fields, with the updates of `variant`. Returns the value of each term of the objective.
    fn train_step(&mut self, variant: usize, samples: usize, clock: Clock) -> &[f64];

    /// Looks at the lasting tensors before a step of this variant, and may compute it and the others `ahead`, in all so many, in another form. What a form
    /// is chosen by are the tensors, the clock, the steps ahead and the form before; results differ by rounding only.
    fn adapt(&mut self, _variant: usize, _clock: Clock, _ahead: u64) {}

    /// After how many steps of an epoch [`Program::adapt`] is worth its time again.
    fn adapts_every(&self, _variant: usize) -> usize {
        usize::MAX
    }

    /// The form of each step.
    fn form(&self) -> Vec<Form> {
        vec![]
    }

    /// What the forms of its steps leave out.
    fn choices(&self) -> Vec<Choice> {
        vec![]
    }

    /// Goes back to a form, as [`Program::form`] gave it.
    fn set_form(&mut self, _form: &[Form]) {}

    /// Does the writes of an event: all read the tensors as they are, then all are written.
    fn fire(&mut self, event: usize, clock: Clock);

    /// Adds the batch in the fields to the running evaluation of a split that has `split` samples in all.
    fn evaluate(&mut self, samples: usize, split: usize, clock: Clock);

    /// Ends the running evaluation and returns the reported numbers, as they are at `clock`; the next [`Program::evaluate`] starts a new one.
    fn finish_evaluation(&mut self, clock: Clock) -> Vec<f64>;

    /// The value of a lasting tensor.
    fn read(&self, tensor: usize) -> ArrayD<f64>;

    /// Copies a lasting tensor without widening its numbers; what was in `to` before is gone, its room is used again where it fits.
    fn copy(&self, tensor: usize, to: &mut Numbers) {
        *to = Numbers::Double(self.read(tensor).into_raw_vec_and_offset().0);
    }

    /// Overwrites a lasting tensor.
    ///
    /// # Panics
    ///
    /// If the shape differs from the described one.
    fn write(&mut self, tensor: usize, value: &ArrayD<f64>);

    /// Computes parameters as the network sees them (by path) and the values of measures; their names.
    fn effective(&mut self, clock: Clock) -> Vec<String>;

    /// One of those, as it was computed last.
    fn computed(&self, name: &str) -> Option<ArrayD<f64>>;

    /// The floating-point operations of one sample's forward pass that are left with the effective parameters that were computed last,
    /// where some number is zero and counting is cheap.
    fn live_flops(&self) -> Option<u64> {
        None
    }

    /// Runs the batch in the fields of [`Entry::Train`] again and says which value of which layer is the first that is not
    /// finite; `None` where all are.
    fn explain_non_finite(&mut self, variant: usize, samples: usize, clock: Clock) -> Option<String>;
}
