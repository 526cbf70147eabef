//! What tests of whole programs share: from text to an elaborated model, and from a model to trained parameters.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use ndarray::ArrayD;
use spnc::codegen::Options;
use spnc::diag::{Diagnostic, Sources};
use spnc::exec::{self, BatchSizes, Built, Interpreted};
use spnc::model::{DType, DataArg, DataFacts, DataSpec, Field, Model, Refusal, World};
use spnc::{elaborate, lower, resolve, syntax};
use spnc_runtime::data::{self, Arg, Dataset, Request};
use spnc_runtime::program::{Element, Form, Program};
use spnc_runtime::train::{EpochRecord, Observer, Outcome, Plan, Progress, train};

/// A program without mistakes.
pub struct Compiled {
    /// What it means.
    pub model: Model,
    /// Its texts.
    pub sources: Sources,
}

/// Compiles a program that imports nothing but the library, in a world without files.
///
/// # Errors
///
/// Its mistakes, in one text.
pub fn compile(text: &str) -> Result<Compiled, String> {
    compile_with(text, &mut |path| Err(format!("there is no {path}")))
}

/// Compiles a program with modules of its own, in a world without files.
///
/// # Errors
///
/// Its mistakes, in one text.
pub fn compile_with(text: &str, read: &mut dyn FnMut(&str) -> Result<String, String>) -> Result<Compiled, String> {
    compile_in(text, read, &[], &mut Shapes)
}

fn compile_in(
    text: &str,
    read: &mut dyn FnMut(&str) -> Result<String, String>,
    sets: &[(&str, &str)],
    world: &mut dyn World,
) -> Result<Compiled, String> {
    let mut sources = Sources::default();
    let file = sources.add("main.spnet", text);
    let (parsed, errors) = syntax::parse(file, text);
    if !errors.is_empty() {
        return Err(messages(&errors, &sources));
    }
    let sets: Vec<(String, String)> = sets.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let program = resolve::resolve(&parsed, &mut sources, read, &sets).map_err(|errors| messages(&errors, &sources))?;
    let model = elaborate::elaborate(&program, world).map_err(|errors| messages(&errors, &sources))?;
    Ok(Compiled { model, sources })
}

fn messages(errors: &[Diagnostic], sources: &Sources) -> String {
    let line = |error: &Diagnostic| match &error.primary {
        Some((span, label)) => {
            let (line, column) = sources.line_column(*span);
            format!("{}:{line}:{column}: {} {}: {label}", sources.name(span.file), error.code, error.title)
        }
        None => format!("{} {}", error.code, error.title),
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Data sets that consist of names and shapes: those of the files that the examples read.
struct Shapes;

impl World for Shapes {
    fn data(&mut self, spec: &DataSpec) -> Result<DataFacts, Refusal> {
        let field = |name: &str, dtype, shape: &[usize]| Field { name: name.into(), dtype, shape: shape.to_vec() };
        let label = || field("label", DType::I32, &[]);
        let table = |columns| vec![field("x", DType::F32, &[columns]), field("y", DType::F32, &[])];
        let is_diabetes = format!("{:?}", spec.args).contains("diabetes");
        let fields = match spec.source.as_str() {
            "idx" => vec![field("image", DType::F32, &[28, 28]), label()],
            "digits" => vec![field("image", DType::F32, &[8, 8]), label()],
            "synthetic" => table(2),
            "csv" if is_diabetes => table(10),
            "csv" => table(8),
            other => {
                return Err(Refusal {
                    code: "E0901",
                    title: format!("no shapes of `{other}` here"),
                    argument: None,
                    help: None,
                });
            }
        };
        Ok(DataFacts { fields, constants: vec![] })
    }

    fn load(&mut self, file: &str, _name: Option<&str>) -> Result<ArrayD<f64>, Refusal> {
        Err(Refusal { code: "E0901", title: format!("no `{file}` here"), argument: None, help: None })
    }

    fn tensors(&mut self, file: &str) -> Result<Vec<(String, ArrayD<f64>)>, Refusal> {
        Err(Refusal { code: "E0901", title: format!("no `{file}` here"), argument: None, help: None })
    }
}

/// Who runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluator {
    /// The reference interpreter.
    Interpreter,
    /// Machine code.
    Jit,
    /// Machine code whose steps are never narrowed.
    Whole,
}

/// A program that has been trained.
#[derive(Debug)]
pub struct Trained {
    /// Effective parameters by path, and measures.
    pub tensors: BTreeMap<String, ArrayD<f64>>,
    /// Free parameters and states by path.
    pub lasting: BTreeMap<String, ArrayD<f64>>,
    /// How it went.
    pub outcome: Outcome,
    /// The form that its steps had at the end.
    pub form: Vec<Form>,
}

/// The folder of real data sets, where it is there: `SPNET_DATA`, or `shared/data` beside or above the project.
pub fn data_folder() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let near = root.ancestors().map(|dir| dir.join("shared/data"));
    std::env::var_os("SPNET_DATA").map(PathBuf::from).into_iter().chain(near).find(|dir| dir.is_dir())
}

/// The text of an example.
pub fn example(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    std::fs::read_to_string(path).expect("the example is there")
}

/// Trains a program on its one data set, if it has one, as `spnc run --set … --seed …` does.
///
/// # Panics
///
/// If it has a mistake, or its numbers go bad.
pub fn train_text(text: &str, sets: &[(&str, &str)], seed: Option<u64>, evaluator: Evaluator) -> Trained {
    let mut world = Files::default();
    let mut no_modules = |path: &str| Err(format!("there is no {path}"));
    let Compiled { model, sources } =
        compile_in(text, &mut no_modules, sets, &mut world).unwrap_or_else(|errors| panic!("{errors}"));
    let data = world.opened.pop().unwrap_or_else(Dataset::empty);
    let plan = model.plan.as_ref().expect("the program has a plan");
    let seed = seed.unwrap_or(plan.seed);
    let stages = lower::interface::stages(plan, None);
    let plan = Plan { batch: plan.batch, seed, stages, ..Plan::default() };
    let batches = plan.batches(&data);
    let sizes = BatchSizes { train: batches.train_sizes(), evaluate: batches.evaluate_sizes() };
    let built = Built::new(&model, &sources, &sizes);
    let compiled = || exec::Compiled::new(&built, Options::default()).expect("code for this machine");
    let mut program: Box<dyn Program> = match evaluator {
        Evaluator::Interpreter => Box::new(Interpreted::new(&built)),
        Evaluator::Jit => Box::new(compiled()),
        Evaluator::Whole => Box::new(compiled().whole()),
    };
    program.init(seed);
    let outcome = train(program.as_mut(), &data, &plan, &|| 0.0, &mut Nobody, &AtomicBool::new(false));
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
    let infos = program.description().tensors.clone();
    let lasting = infos.into_iter().enumerate().map(|(index, info)| (info.name, program.read(index))).collect();
    let names = program.effective(outcome.clock).into_iter();
    let tensors = names.filter_map(|name| program.computed(&name).map(|value| (name, value))).collect();
    Trained { tensors, lasting, outcome, form: program.form() }
}

struct Nobody;

impl Observer for Nobody {
    fn step(&mut self, _progress: &Progress<'_>) {}

    fn epoch(&mut self, _record: &EpochRecord) {}
}

/// The real files.
#[derive(Default)]
struct Files {
    opened: Vec<Dataset>,
}

impl World for Files {
    fn data(&mut self, spec: &DataSpec) -> Result<DataFacts, Refusal> {
        let arg = |arg: &DataArg| match arg {
            DataArg::Number(number) => Arg::Number(*number),
            DataArg::Text(text) => Arg::Text(text.clone()),
            DataArg::Bool(truth) => Arg::Bool(*truth),
            DataArg::List(numbers) => Arg::List(numbers.clone()),
        };
        let args = spec.args.iter().map(|(name, value)| (name.clone(), arg(value))).collect();
        let request = Request { source: spec.source.clone(), args };
        let folders: Vec<PathBuf> = data_folder().into_iter().collect();
        let data = data::open(&request, &folders).map_err(|error| Refusal {
            code: error.code(),
            title: error.to_string(),
            argument: error.argument,
            help: None,
        })?;
        let dtype = |element| match element {
            Element::Real => DType::F32,
            Element::Integer => DType::I32,
        };
        let field = |name: &str, element, shape: &[usize]| Field {
            name: name.into(),
            dtype: dtype(element),
            shape: shape.to_vec(),
        };
        let fields = data.fields().iter().map(|info| field(&info.name, info.element, &info.shape)).collect();
        let constants = data.constants.iter().map(|(name, value)| (name.as_str().into(), *value)).collect();
        self.opened.push(data);
        Ok(DataFacts { fields, constants })
    }

    fn load(&mut self, file: &str, _name: Option<&str>) -> Result<ArrayD<f64>, Refusal> {
        Err(Refusal { code: "E0901", title: format!("no `{file}` here"), argument: None, help: None })
    }

    fn tensors(&mut self, file: &str) -> Result<Vec<(String, ArrayD<f64>)>, Refusal> {
        Err(Refusal { code: "E0901", title: format!("no `{file}` here"), argument: None, help: None })
    }
}
