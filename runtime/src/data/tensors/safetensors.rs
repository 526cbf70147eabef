//! The safetensors format: a JSON header, then the elements.

use ::safetensors::{Dtype, SafeTensors};

use super::elements::{Kind, Order};
use super::{Tensor, Tensors};
use crate::data::error::{DataError, Fault};

/// Reads every tensor of a file, in the order of their names.
pub(super) fn parse(place: &str, bytes: &[u8]) -> Result<Tensors, DataError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        let error = DataError::new(Fault::Damaged, place, "a safetensors file", format!("a damaged one ({error})"));
        error.help("take a whole copy of the file")
    })?;
    let mut views: Vec<_> = file.iter().collect();
    views.sort_unstable_by_key(|(name, _)| *name);
    let mut tensors = Tensors::new();
    for (name, view) in views {
        let place = format!("{place}, tensor `{name}`");
        let kind = element(view.dtype()).ok_or_else(|| {
            let expected = "elements of type BOOL, I8 to I64, U8 to U64, F32 or F64";
            DataError::new(Fault::Value, &place, expected, view.dtype().to_string()).help("convert it to F32")
        })?;
        let shape = view.shape().to_vec();
        if kind.length(&shape) != Some(view.data().len()) {
            let expected = format!("the bytes of shape {shape:?}");
            return Err(DataError::new(Fault::Damaged, place, expected, view.data().len().to_string()));
        }
        let values = kind
            .decode(view.data(), Order::Little)
            .map_err(|found| DataError::new(Fault::Value, &place, "integers of 32 bits", found))?;
        let _ = tensors.insert(name.to_owned(), Tensor { shape, values });
    }
    Ok(tensors)
}

/// The element types that are read.
const KINDS: [(Dtype, Kind); 11] = [
    (Dtype::BOOL, Kind::Bool),
    (Dtype::U8, Kind::U8),
    (Dtype::I8, Kind::I8),
    (Dtype::U16, Kind::U16),
    (Dtype::I16, Kind::I16),
    (Dtype::U32, Kind::U32),
    (Dtype::I32, Kind::I32),
    (Dtype::U64, Kind::U64),
    (Dtype::I64, Kind::I64),
    (Dtype::F32, Kind::F32),
    (Dtype::F64, Kind::F64),
];

fn element(dtype: Dtype) -> Option<Kind> {
    KINDS.iter().find(|(known, _)| *known == dtype).map(|&(_, kind)| kind)
}
