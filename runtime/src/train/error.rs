//! What can end a run early.

use ndarray::ArrayD;

use super::Checkpoint;
use crate::data::{Dataset, Split};
use crate::program::{Description, FieldInfo, TensorInfo};

/// Why a run ended before its plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// The program reads a field that the data does not have in this form.
    #[error("the program reads field `{}` of {:?} samples, found {found}", expected.name, expected.shape)]
    Field {
        /// What the program expects.
        expected: FieldInfo,
        /// What the data has under this name.
        found: String,
    },
    /// A checkpoint is not one of this program.
    #[error("the checkpoint does not fit the program: expected {expected}, found {found}")]
    Checkpoint {
        /// A tensor of the program, with its shape.
        expected: String,
        /// What the checkpoint has in its place.
        found: String,
    },
    /// A split does not fill a batch, where only whole ones will do.
    #[error(
        "the {split:?} split has fewer samples than a batch, and states are carried over whole batches of {batch} only"
    )]
    Short {
        /// The split.
        split: Split,
        /// Samples in a batch.
        batch: usize,
    },
    /// A number is infinite or not a number.
    #[error("{}", describe(*step, term.as_deref(), first.as_deref()))]
    NonFinite {
        /// The step, counted from 1.
        step: u64,
        /// The first term of the objective that is not finite, where one is.
        term: Option<String>,
        /// The first value that is not finite, and where the program computes it.
        first: Option<String>,
    },
}

impl TrainError {
    /// The code of the diagnostic.
    pub fn code(&self) -> &'static str {
        match self {
            TrainError::Field { .. } => "E0907",
            TrainError::Checkpoint { .. } => "E0910",
            TrainError::Short { .. } => "E0912",
            TrainError::NonFinite { .. } => "E0908",
        }
    }
}

/// The tensors of the program as a checkpoint has them.
pub(super) fn match_tensors<'a>(
    program: &Description,
    checkpoint: &'a Checkpoint,
) -> Result<Vec<&'a ArrayD<f64>>, TrainError> {
    let fits = |info: &TensorInfo| {
        let value = checkpoint.tensors.get(&info.name);
        value.filter(|value| value.shape() == info.shape).ok_or_else(|| TrainError::Checkpoint {
            expected: format!("`{}` of shape {:?}", info.name, info.shape),
            found: value.map_or("none".to_owned(), |value| format!("{:?}", value.shape())),
        })
    };
    if checkpoint.sums.len() != program.terms.len() {
        let of = |n| format!("an objective of {n} terms");
        let (expected, found) = (of(program.terms.len()), of(checkpoint.sums.len()));
        return Err(TrainError::Checkpoint { expected, found });
    }
    program.tensors.iter().map(fits).collect()
}

fn describe(step: u64, term: Option<&str>, first: Option<&str>) -> String {
    let term = term.map_or("a parameter".to_owned(), |term| format!("the term `{term}`"));
    let first = first.map_or(String::new(), |first| format!("; the first such value is {first}"));
    format!("in step {step}, {term} is infinite or not a number{first}")
}

/// The index in the data of each field of the program.
pub(super) fn match_fields(program: &Description, data: &Dataset) -> Result<Vec<usize>, TrainError> {
    program.fields.iter().map(|field| match_field(field, data.fields())).collect()
}

fn match_field(expected: &FieldInfo, fields: &[FieldInfo]) -> Result<usize, TrainError> {
    let index = fields.iter().position(|field| field.name == expected.name);
    match index.map(|index| (index, &fields[index])) {
        Some((index, field)) if field == expected => Ok(index),
        found => {
            let found = found.map_or("none".to_owned(), |(_, field)| format!("{:?} {:?}", field.element, field.shape));
            Err(TrainError::Field { expected: expected.clone(), found })
        }
    }
}
