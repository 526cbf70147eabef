//! Data and files, as a program asks for them while it is compiled and while it runs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ndarray::ArrayD;
use spnc_runtime::data::{self, Arg, DataError, Dataset, Request};
use spnc_runtime::program::{Element, FieldInfo};

use crate::model::{DType, DataArg, DataFacts, DataSpec, Field, Refusal, World};

/// The folders that files are looked for in, and the data sets that have been opened.
#[derive(Debug)]
pub struct Files {
    search: Vec<PathBuf>,
    opened: Vec<(DataSpec, Dataset)>,
    /// How long data sets took to be read.
    pub reading: Duration,
}

impl Files {
    /// A world whose files are looked for in these folders, in order.
    pub fn new(search: Vec<PathBuf>) -> Files {
        Files { search, opened: vec![], reading: Duration::ZERO }
    }

    /// The data set that a declaration asks for, opened if it was not yet.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn dataset(&mut self, spec: &DataSpec) -> Result<&Dataset, DataError> {
        let index = match self.opened.iter().position(|(known, _)| known == spec) {
            Some(index) => index,
            None => {
                let start = Instant::now();
                let dataset = data::open(&request(spec), &self.search)?;
                self.reading += start.elapsed();
                self.opened.push((spec.clone(), dataset));
                self.opened.len() - 1
            }
        };
        Ok(&self.opened[index].1)
    }

    /// Gives an opened data set away.
    ///
    /// # Panics
    ///
    /// If it has not been opened.
    pub fn take(&mut self, spec: &DataSpec) -> Dataset {
        let index = self.opened.iter().position(|(known, _)| known == spec).expect("it has been opened");
        self.opened.swap_remove(index).1
    }
}

impl World for Files {
    fn data(&mut self, spec: &DataSpec) -> Result<DataFacts, Refusal> {
        let dataset = self.dataset(spec).map_err(in_words)?;
        let fields = dataset.fields().iter().map(field).collect();
        let constants = dataset.constants.iter().map(|(name, value)| (name.as_str().into(), *value)).collect();
        Ok(DataFacts { fields, constants })
    }

    fn load(&mut self, file: &str, name: Option<&str>) -> Result<ArrayD<f64>, Refusal> {
        data::load(file, name, &self.search).map_err(in_words)
    }

    fn tensors(&mut self, file: &str) -> Result<Vec<(String, ArrayD<f64>)>, Refusal> {
        data::load_all(file, &self.search).map(|tensors| tensors.into_iter().collect()).map_err(in_words)
    }
}

fn field(info: &FieldInfo) -> Field {
    let dtype = match info.element {
        Element::Real => DType::F32,
        Element::Integer => DType::I32,
    };
    Field { name: info.name.as_str().into(), dtype, shape: info.shape.clone() }
}

fn in_words(error: DataError) -> Refusal {
    Refusal { code: error.code(), title: error.to_string(), argument: error.argument, help: error.help }
}

fn request(spec: &DataSpec) -> Request {
    let arg = |arg: &DataArg| match arg {
        DataArg::Number(number) => Arg::Number(*number),
        DataArg::Text(text) => Arg::Text(text.clone()),
        DataArg::Bool(b) => Arg::Bool(*b),
        DataArg::List(numbers) => Arg::List(numbers.clone()),
    };
    let args = spec.args.iter().map(|(name, value)| (name.clone(), arg(value))).collect();
    Request { source: spec.source.clone(), args }
}
