//! Files of named tensors: npy, npz and safetensors → arrays.

mod elements;
mod npy;
mod npz;
mod safetensors;
mod source;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use ndarray::ArrayD;

use super::Values;
use super::csv::{Header, Table};
use super::error::{DataError, Fault, list, near_miss, quoted};
use super::files::{self, Source};
pub(crate) use safetensors::{NOTE, checksum};
pub(crate) use source::{open_npy, open_npz};

/// A tensor as a file holds it, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    shape: Vec<usize>,
    values: Values,
}

impl Tensor {
    fn to_array(&self) -> ArrayD<f64> {
        let values = match &self.values {
            Values::U8(values) => values.iter().map(|&x| f64::from(x)).collect(),
            Values::I32(values) => values.iter().map(|&x| f64::from(x)).collect(),
            Values::F32(values) => values.iter().map(|&x| f64::from(x)).collect(),
            Values::F64(values) => values.clone(),
        };
        ArrayD::from_shape_vec(self.shape.clone(), values).expect("readers check the length against the shape")
    }
}

/// Named tensors in the order of their file; that of an npy file has no name.
type Tensors = IndexMap<String, Tensor>;

/// All tensors of an npy, npz or safetensors file by name; that of an npy file is named by the empty string.
///
/// # Errors
///
/// What is wrong with the file.
pub fn read_tensors(path: &Path) -> Result<IndexMap<String, ArrayD<f64>>, DataError> {
    let tensors = read(path)?;
    Ok(tensors.into_iter().map(|(name, tensor)| (name, tensor.to_array())).collect())
}

/// All tensors of the bytes of a safetensors file by name.
pub(crate) fn parse_safetensors(place: &str, bytes: &[u8]) -> Result<IndexMap<String, ArrayD<f64>>, DataError> {
    let tensors = safetensors::parse(place, bytes)?;
    Ok(tensors.into_iter().map(|(name, tensor)| (name, tensor.to_array())).collect())
}

/// One tensor of a file that is looked up in each directory of `search`; `name` may be left out where there is only one.
///
/// # Errors
///
/// What is wrong with the file, or that it has no such tensor.
pub fn load(file: &str, name: Option<&str>, search: &[PathBuf]) -> Result<ArrayD<f64>, DataError> {
    let path = files::locate(file, search)?;
    let tensors = if is_table(&path) { table(&path)? } else { read(&path)? };
    let chosen = match name {
        Some(name) => tensors.get(name),
        None if tensors.len() == 1 => tensors.values().next(),
        None => None,
    };
    chosen.map(Tensor::to_array).ok_or_else(|| not_there(&path, name, &tensors))
}

/// All tensors of a file that is looked up in each directory of `search`, by name.
///
/// # Errors
///
/// What is wrong with the file.
pub fn load_all(file: &str, search: &[PathBuf]) -> Result<IndexMap<String, ArrayD<f64>>, DataError> {
    read_tensors(&files::locate(file, search)?)
}

/// Whether a file is a table by its name, packed or not.
fn is_table(path: &Path) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    name.trim_end_matches(".gz").ends_with(".csv")
}

/// The numbers of a csv file as a matrix; a first line that is not all numbers names the columns.
fn table(path: &Path) -> Result<Tensors, DataError> {
    let source = Source::open(path)?;
    let place = source.place.clone();
    let table = Table::read(&place, &source.bytes()?, b',', Header::IfNotNumbers)?;
    let (n, width) = (table.len(), table.names.len());
    let cells = (0..n).flat_map(|row| (0..width).map(move |column| (row, column)));
    let values = cells.map(|(row, column)| table.number(row, column)).collect::<Result<_, _>>()?;
    Ok(IndexMap::from([(String::new(), Tensor { shape: vec![n, width], values: Values::F64(values) })]))
}

fn not_there(path: &Path, name: Option<&str>, tensors: &Tensors) -> DataError {
    let names = || tensors.keys().map(String::as_str);
    let place = quoted(path);
    match name {
        None => {
            let error = DataError::new(Fault::Name, place, format!("a name, one of {}", list(names())), "none");
            error.help("name the tensor as the second argument")
        }
        Some(_) if names().eq([""]) => {
            let error = DataError::new(Fault::Name, place, "no name: the file holds one array", "one");
            error.help("leave the second argument out")
        }
        Some(name) => {
            let error =
                DataError::new(Fault::Name, place, format!("a tensor ({})", list(names())), format!("`{name}`"));
            match near_miss(name, names()) {
                Some(near) => error.help(format!("write \"{near}\"")),
                None => error,
            }
        }
    }
}

/// Reads whichever of the formats it is, by the first bytes; safetensors, which has no magic, by its name.
fn read(path: &Path) -> Result<Tensors, DataError> {
    let source = Source::open(path)?;
    let place = source.place.clone();
    let named_so = path.extension().is_some_and(|extension| extension == "safetensors");
    parse(&place, &source.bytes()?, named_so)
}

fn parse(place: &str, bytes: &[u8], named_safetensors: bool) -> Result<Tensors, DataError> {
    if bytes.starts_with(npy::MAGIC) {
        Ok(IndexMap::from([(String::new(), npy::parse(place, bytes)?)]))
    } else if bytes.starts_with(npz::MAGIC) || bytes.starts_with(npz::EMPTY) {
        npz::parse(place, bytes)
    } else if named_safetensors {
        safetensors::parse(place, bytes)
    } else {
        let start = bytes.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        let found = if bytes.is_empty() { "an empty file".to_owned() } else { format!("one that starts with {start}") };
        let error =
            DataError::new(Fault::Damaged, place, "an npy or npz file, or a safetensors file of that ending", found);
        Err(error.help("write it with `numpy.save` or `numpy.savez`"))
    }
}

#[cfg(test)]
mod tests;
