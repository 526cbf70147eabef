//! `spnc predict`: what the network of a run computes from samples of a file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use ndarray::{ArrayD, Axis, Slice, concatenate};
use spnc_runtime::data::{DataError, Fault, read_tensors};
use spnc_runtime::program::{Clock, Program};
use spnc_runtime::store;

use super::evaluator::{Choice, Evaluator};
use super::exit::Exit;
use super::format::count;
use super::job::{Job, OfRun, Purpose};
use super::output;
use crate::exec::{self, Inference};
use crate::lower::to_tir;
use crate::model::{Model, Size};
use crate::tir::Func;
use crate::tir::interp::{self, Tensor};

/// Compute the outputs of the network of a run from samples of a file.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    of: OfRun,
    /// The samples: an npz or safetensors file with a tensor `[samples, …]` for each field that the network reads, by its name.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where the outputs go: an npz file with a tensor `output.MODEL` for each model.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  spnc predict runs/quickstart-1 --input digits.npz --output answers.npz

  python -c 'import numpy; numpy.savez(\"digits.npz\", image=numpy.zeros((3, 8, 8)))'   makes such an input;
  answers.npz then holds `output.net` of shape [3, 10]";

/// The most samples that are computed at once.
const BATCH: usize = 256;

/// Computes, batch by batch, and writes.
pub fn run(args: &Args) -> Result<(), Exit> {
    let (mut job, run) = Job::of_run(&args.of.run, &args.of.data, args.of.threads, Purpose::Prediction)?;
    let mut program = job.program()?;
    let fields = Fields::read(&args.input, &job).map_err(|error| output::data_error(&error))?;
    store::apply_model(program.as_mut(), &run.model).map_err(|error| output::data_error(&error))?;
    let tensors = tensors(&job, program.as_ref(), run.report.clock());
    let outputs = predict(&job, &fields, &tensors, job.evaluator())?;
    store::write_npz(&args.output, &outputs)
        .map_err(|error| output::fail(&format!("cannot write `{}`: {error}", args.output.display()), None))?;
    for (name, value) in &outputs {
        output::print(&format!("{name} {:?} in {}\n", value.shape(), args.output.display()));
    }
    Ok(())
}

/// The samples of a file, by the names of fields in functions.
struct Fields {
    n: usize,
    values: IndexMap<String, ArrayD<f64>>,
}

impl Fields {
    /// Reads the fields that the network reads, and checks them.
    fn read(path: &Path, job: &Job) -> Result<Fields, DataError> {
        let given = read_tensors(path)?;
        let place = format!("`{}`", path.display());
        let func = predictor(job, cut(job, 1)[0].1);
        let interface = &job.built.interface;
        let mut fields = Fields { n: 1, values: IndexMap::new() };
        let named = interface.description.fields.iter().zip(&interface.field_names);
        for (info, name) in named.filter(|(_, name)| func.params().any(|(read, ..)| read == *name)) {
            let value = given.get(&info.name).ok_or_else(|| missing(&place, &info.name, &given))?;
            if value.ndim() == 0 || value.shape()[1..] != info.shape[..] {
                let expected = format!("`{}` of shape [samples, {}", info.name, shape(&info.shape));
                return Err(DataError::new(Fault::Disagreement, place, expected, format!("{:?}", value.shape())));
            }
            if !fields.values.is_empty() && fields.n != value.shape()[0] {
                let expected =
                    format!("{} samples of `{}`, as of the fields before it", count(fields.n as u64), info.name);
                return Err(DataError::new(Fault::Disagreement, place, expected, count(value.shape()[0] as u64)));
            }
            if value.is_empty() {
                return Err(DataError::new(Fault::Disagreement, place, format!("samples of `{}`", info.name), "none"));
            }
            fields.n = value.shape()[0];
            let _ = fields.values.insert(name.to_string(), value.clone());
        }
        Ok(fields)
    }

    /// `size` samples of a field; behind the last one it is repeated.
    fn take(&self, name: &str, first: usize, size: usize) -> Option<Tensor> {
        let rows: Vec<usize> = (first..first + size).map(|row| row.min(self.n - 1)).collect();
        Some(self.values.get(name)?.select(Axis(0), &rows))
    }
}

/// The sizes of a sample, as the rest of a list.
fn shape(sizes: &[usize]) -> String {
    let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
    format!("{}]", sizes.join(", "))
}

fn missing(place: &str, name: &str, given: &IndexMap<String, ArrayD<f64>>) -> DataError {
    let names: Vec<String> = given.keys().map(|name| format!("`{name}`")).collect();
    let found = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let error = DataError::new(Fault::Name, place, format!("a tensor `{name}`, which the network reads"), found);
    error.help("name the tensors of the file by the fields of the program's data")
}

/// Ranges of samples, and how many of each are computed at once. Where states are carried that is as many as a batch of the plan has,
/// with samples that are there to fill the last one; every sample finds these states at their start.
fn cut(job: &Job, n: usize) -> Vec<(Range<usize>, usize)> {
    if job.plan.whole_batches {
        return vec![(0..n, job.model.carried_batch())];
    }
    let batch = n.min(BATCH);
    let whole = n / batch * batch;
    [(0..whole, batch), (whole..n, n - whole)].into_iter().filter(|(rows, _)| !rows.is_empty()).collect()
}

/// What the models compute from `batch` samples.
fn predictor(job: &Job, batch: usize) -> Func {
    exec::optimised(to_tir::predict(&job.model, &job.front.sources, batch))
}

/// What functions read at `clock` that is the same for every sample.
pub fn tensors(job: &Job, program: &dyn Program, clock: Clock) -> IndexMap<String, Tensor> {
    let interface = &job.built.interface;
    let lasting = interface.description.tensors.iter().enumerate();
    let lasting = lasting.map(|(index, info)| (info.name.clone(), program.read(index)));
    let literals = interface.literals.iter().map(|(name, value)| (name.to_string(), value.clone()));
    let scalars = exec::scalars(exec::short_seed(job.plan.seed), clock);
    let scalars = scalars.map(|(name, value)| (name.to_owned(), ArrayD::from_elem(vec![], value)));
    lasting.chain(literals).chain(scalars).collect()
}

fn predict(
    job: &Job,
    fields: &Fields,
    tensors: &IndexMap<String, Tensor>,
    evaluator: Choice,
) -> Result<IndexMap<String, ArrayD<f64>>, Exit> {
    let mut parts: IndexMap<String, Vec<Tensor>> = IndexMap::new();
    for (rows, size) in cut(job, fields.n) {
        let mut predictor = Predictor::new(predictor(job, size), tensors, evaluator)?;
        for first in rows.step_by(size) {
            for (name, value) in predictor.call(&|name| fields.take(name, first, size)) {
                parts.entry(name).or_default().push(value);
            }
        }
    }
    let whole = |(name, parts): (String, Vec<Tensor>)| {
        let value = joined(&job.model, &name, &parts, fields.n);
        (name, value)
    };
    Ok(parts.into_iter().map(whole).collect())
}

/// The outputs of all batches as one: those of `n` samples, one after the other along the axis of the batch, where there is one.
fn joined(model: &Model, name: &str, parts: &[Tensor], n: usize) -> Tensor {
    let output = model.outputs.iter().find(|output| name.strip_prefix("output.") == Some(&*output.name));
    let axes = output.map(|output| &model.graph.node(output.value).ty.axes);
    match axes.and_then(|axes| axes.iter().position(|axis| axis.size == Size::Batch)) {
        None => parts[0].clone(),
        Some(axis) => {
            let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
            let all = concatenate(Axis(axis), &views).expect("batches differ along this axis only");
            all.slice_axis(Axis(axis), Slice::from(..n)).to_owned()
        }
    }
}

/// A function that is called for one batch after the other.
enum Predictor<'a> {
    Compiled(Box<Inference>),
    /// With all that is the same for every sample.
    Interpreted(Func, &'a IndexMap<String, Tensor>),
}

impl<'a> Predictor<'a> {
    fn new(func: Func, tensors: &'a IndexMap<String, Tensor>, evaluator: Choice) -> Result<Predictor<'a>, Exit> {
        match evaluator.evaluator {
            Evaluator::Interpreter => Ok(Predictor::Interpreted(func, tensors)),
            Evaluator::Jit => match Inference::new(&func, &|name| tensors.get(name).cloned(), evaluator.options()) {
                Ok(network) => Ok(Predictor::Compiled(Box::new(network))),
                Err(error) => Err(output::fail(&error.to_string(), None)),
            },
        }
    }

    fn call(&mut self, fields: &dyn Fn(&str) -> Option<Tensor>) -> Vec<(String, Tensor)> {
        match self {
            Predictor::Compiled(network) => {
                network.call(fields).into_iter().map(|(name, value)| (name.to_string(), value)).collect()
            }
            Predictor::Interpreted(func, tensors) => {
                let given = |name: &str| fields(name).or_else(|| tensors.get(name).cloned());
                let results = interp::run(func, &given).expect("every input was given");
                results.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
            }
        }
    }
}
