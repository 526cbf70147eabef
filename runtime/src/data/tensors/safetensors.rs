//! The safetensors format: a JSON header, then the elements. A file that we wrote carries a checksum of its tensors in the header.

use ::safetensors::{Dtype, SafeTensors, View};
use sha2::{Digest, Sha256};

use super::elements::{Kind, Order};
use super::{Tensor, Tensors};
use crate::data::error::{DataError, Fault};
use crate::data::hex;

/// The entry of the metadata that is ours.
pub(crate) const NOTE: &str = "spnc";

/// What stands before the checksum at the end of the note.
const SUM: &str = "sha256:";

/// The end of a note: the SHA-256 of the names, element types, shapes and bytes of all tensors, in the order of their names.
pub(crate) fn checksum<'a, V: View>(tensors: impl Iterator<Item = (&'a str, V)>) -> String {
    let mut tensors: Vec<(&str, V)> = tensors.collect();
    tensors.sort_unstable_by_key(|(name, _)| *name);
    let mut hasher = Sha256::new();
    for (name, tensor) in tensors {
        hasher.update(format!("{name} {:?} {:?}\n", tensor.dtype(), tensor.shape()));
        hasher.update(tensor.data());
    }
    format!("{SUM}{}", hex(&hasher.finalize()))
}

/// Refuses tensors that are not those which the note was written for; files of others have no note.
fn check_sum(place: &str, bytes: &[u8], file: &SafeTensors<'_>) -> Result<(), DataError> {
    let metadata = SafeTensors::read_metadata(bytes).ok().and_then(|(_, head)| head.metadata().clone());
    let note = metadata.and_then(|metadata| metadata.get(NOTE).cloned()).unwrap_or_default();
    match note.rfind(SUM) {
        Some(at) if note[at..] != checksum(file.iter()) => {
            let found = "others: the file was changed or damaged after that";
            let error = DataError::new(Fault::Damaged, place, "the tensors that were written into it", found);
            Err(error.help("take a whole copy of the file, or make the run again"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads every tensor of a file, in the order of their names.
pub(super) fn parse(place: &str, bytes: &[u8]) -> Result<Tensors, DataError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        let error = DataError::new(Fault::Damaged, place, "a safetensors file", format!("a damaged one ({error})"));
        error.help("take a whole copy of the file")
    })?;
    check_sum(place, bytes, &file)?;
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
