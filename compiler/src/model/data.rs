//! Data sets and files, and what elaboration asks of the world where they are.

use ndarray::ArrayD;

use super::{DType, Symbol};

/// A data set.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// Its name in the program.
    pub name: Symbol,
    /// What the file says: handed to the runtime to open it again.
    pub spec: DataSpec,
    /// What it is made of.
    pub facts: DataFacts,
}

/// What a data set is made of, as the world outside says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataFacts {
    /// The fields, as they are read.
    pub fields: Vec<Field>,
    /// Numbers that a program can use by name: `ptb.vocabulary`.
    pub constants: Vec<(Symbol, f64)>,
}

/// A field of a data set as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Symbol,
    /// `F32` or `I32`.
    pub dtype: DType,
    /// The shape of one sample.
    pub shape: Vec<usize>,
}

/// What a `data` declaration asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSpec {
    /// The reader: `idx`, `csv`, …
    pub source: String,
    /// Its arguments, by position (empty name) or by name.
    pub args: Vec<(String, DataArg)>,
}

/// An argument of a `data` declaration.
#[derive(Clone, Debug, PartialEq)]
pub enum DataArg {
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// Several numbers: `[3, 32, 32]`.
    List(Vec<f64>),
}

/// Why the world outside does not give what it is asked for: the facts of a diagnostic but its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code of the diagnostic: `E09` and two digits.
    pub code: &'static str,
    /// One line.
    pub title: String,
    /// The argument of a `data` declaration that it is about; the file goes by `file`.
    pub argument: Option<Box<str>>,
    /// A way out.
    pub help: Option<String>,
}

/// What elaboration asks of the world outside: files are opened by `cli`, with the runtime's readers.
pub trait World {
    /// What a data set is made of.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words for the user, and a way out where there is one.
    fn data(&mut self, spec: &DataSpec) -> Result<DataFacts, Refusal>;

    /// A tensor of a file.
    ///
    /// # Errors
    ///
    /// As for [`World::data`].
    fn load(&mut self, file: &str, name: Option<&str>) -> Result<ArrayD<f64>, Refusal>;

    /// All tensors of a file by name, in its order.
    ///
    /// # Errors
    ///
    /// As for [`World::data`].
    fn tensors(&mut self, file: &str) -> Result<Vec<(String, ArrayD<f64>)>, Refusal>;
}
