//! The npz format of numpy: a zip archive of npy files.

use std::io::{Cursor, Read};

use ::zip::ZipArchive;
use ::zip::result::ZipError;

use super::{Tensors, npy};
use crate::data::error::{DataError, Fault};

/// How an archive with members starts.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// How an archive without members starts.
pub(super) const EMPTY: &[u8] = b"PK\x05\x06";

/// Reads every member of an archive.
pub(super) fn parse(place: &str, bytes: &[u8]) -> Result<Tensors, DataError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(place, &error))?;
    let mut tensors = Tensors::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(|error| damaged(place, &error))?;
        let name = member.name().strip_suffix(".npy").unwrap_or(member.name()).to_owned();
        let place = format!("{place}, array `{name}`");
        let mut bytes = Vec::new();
        let _ = member.read_to_end(&mut bytes).map_err(|error| DataError::io(&place, &error))?;
        if !bytes.starts_with(npy::MAGIC) {
            return Err(DataError::new(Fault::Damaged, place, "an array in npy form", "other bytes"));
        }
        let _ = tensors.insert(name, npy::parse(&place, &bytes)?);
    }
    if tensors.is_empty() {
        return Err(DataError::new(Fault::Damaged, place, "at least one array", "an empty archive"));
    }
    Ok(tensors)
}

fn damaged(place: &str, error: &ZipError) -> DataError {
    let error = DataError::new(Fault::Damaged, place, "a zip archive of arrays", format!("a damaged one ({error})"));
    error.help("write the file anew with `numpy.savez`")
}
