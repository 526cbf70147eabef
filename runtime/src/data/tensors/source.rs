//! `npy(…)` and `npz(…)`: arrays whose first axis counts samples → fields.
//!
//! Floating-point arrays, and arrays of bytes with more than one axis, are real fields; other integers are integer
//! fields. Arrays of an npz file whose names end in `_train` and `_test` are the two splits of one field; else
//! `test` (a share or a number of samples) and `seed` draw a test split.

use std::path::{Path, PathBuf};

use super::{Tensor, Tensors, read};
use crate::data::args::{Args, Request};
use crate::data::error::{DataError, Fault, quoted};
use crate::data::split::{draw_test, hold_out};
use crate::data::{Column, Dataset, Values, files};
use crate::program::Element;

/// `npy("x.npy", target: "y.npy")`: fields `x` and `y`.
pub(crate) fn open_npy(request: &Request, search: &[PathBuf]) -> Result<Dataset, DataError> {
    let args = Args::new(request, &["file", "target", "test", "hold_out", "seed"])?;
    let mut arrays = Vec::new();
    for (field, file) in [("x", Some(args.file()?)), ("y", args.text("target")?)] {
        let Some(file) = file else { continue };
        let path = files::locate(file, search)?;
        match read(&path)?.swap_remove("") {
            Some(tensor) => arrays.push(Array { name: field.to_owned(), place: quoted(&path), tensor }),
            None => {
                let error = DataError::new(Fault::Damaged, quoted(&path), "an npy file", "a file of named arrays");
                return Err(error.help(format!("write `npz(\"{file}\")`")));
            }
        }
    }
    draw(&args, arrays)
}

/// `npz("file.npz")`: a field for each array, under its name.
pub(crate) fn open_npz(request: &Request, search: &[PathBuf]) -> Result<Dataset, DataError> {
    let args = Args::new(request, &["file", "test", "hold_out", "seed"])?;
    let path = files::locate(args.file()?, search)?;
    let tensors = read(&path)?;
    if tensors.contains_key("") {
        let error = DataError::new(Fault::Damaged, quoted(&path), "a file of named arrays", "an npy file");
        return Err(error.help(format!("write `npy(\"{}\")`", args.file()?)));
    }
    if tensors.keys().all(|name| name.ends_with("_train") || name.ends_with("_test")) {
        return in_splits(&args, &path, tensors);
    }
    let array = |(name, tensor): (String, Tensor)| Array { place: member(&path, &name), name, tensor };
    draw(&args, tensors.into_iter().map(array).collect())
}

/// An array on its way to a field.
struct Array {
    name: String,
    place: String,
    tensor: Tensor,
}

fn member(path: &Path, name: &str) -> String {
    format!("{}, array `{name}`", quoted(path))
}

/// Fields whose samples are cut into splits here.
fn draw(args: &Args<'_>, arrays: Vec<Array>) -> Result<Dataset, DataError> {
    let n = samples(&arrays)?;
    let (train, test) = draw_test(args, n)?;
    let rows: Vec<usize> = train.iter().chain(&test).copied().collect();
    let columns = arrays.into_iter().map(|array| column(array, Some(&rows))).collect::<Result<_, _>>()?;
    hold_out(args, Dataset::new(columns, train.len(), test.len()))
}

/// Fields whose two splits are arrays of their own.
fn in_splits(args: &Args<'_>, path: &Path, tensors: Tensors) -> Result<Dataset, DataError> {
    if args.get("test").is_some() {
        return Err(args.fault("test", "one way to split", "arrays named `…_train` and `…_test` besides it"));
    }
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (name, tensor) in tensors {
        let (part, field) = match name.strip_suffix("_train") {
            Some(field) => (&mut train, field),
            None => (&mut test, name.strip_suffix("_test").unwrap_or(&name)),
        };
        part.push(Array { name: field.to_owned(), place: member(path, &name), tensor });
    }
    [&mut train, &mut test].into_iter().for_each(|part| part.sort_by(|a, b| a.name.cmp(&b.name)));
    let names = |part: &[Array]| part.iter().map(|array| array.name.clone()).collect::<Vec<_>>();
    if names(&train) != names(&test) {
        let (expected, found) = (format!("the fields {:?} in both splits", names(&train)), names(&test));
        return Err(DataError::new(
            Fault::Disagreement,
            quoted(path),
            expected,
            format!("{found:?} in the test split"),
        ));
    }
    let (n_train, n_test) = (samples(&train)?, samples(&test)?);
    let joined = train.into_iter().zip(test).map(|(train, test)| column(join(train, test)?, None));
    hold_out(args, Dataset::new(joined.collect::<Result<_, _>>()?, n_train, n_test))
}

/// The number of samples, in which all arrays must agree.
fn samples(arrays: &[Array]) -> Result<usize, DataError> {
    let first = &arrays[0];
    for array in arrays {
        match array.tensor.shape.first() {
            None | Some(0) => {
                let found = format!("shape {:?}", array.tensor.shape);
                return Err(DataError::new(Fault::Value, &array.place, "at least one sample", found));
            }
            Some(n) if *n != first.tensor.shape[0] => {
                let expected = format!("{} samples, as {} has", first.tensor.shape[0], first.place);
                return Err(DataError::new(Fault::Disagreement, &array.place, expected, n.to_string()));
            }
            Some(_) => (),
        }
    }
    Ok(first.tensor.shape[0])
}

/// Puts the test samples behind the training samples.
fn join(train: Array, test: Array) -> Result<Array, DataError> {
    let disagree = |expected: String, found: String| {
        DataError::new(Fault::Disagreement, &test.place, format!("{expected} as in {}", train.place), found)
    };
    let (shape, other) = (&train.tensor.shape[1..], &test.tensor.shape[1..]);
    if shape != other {
        return Err(disagree(format!("samples of shape {shape:?}"), format!("{other:?}")));
    }
    let values = match (train.tensor.values, test.tensor.values) {
        (Values::U8(a), Values::U8(b)) => Values::U8([a, b].concat()),
        (Values::I32(a), Values::I32(b)) => Values::I32([a, b].concat()),
        (Values::F32(a), Values::F32(b)) => Values::F32([a, b].concat()),
        (Values::F64(a), Values::F64(b)) => Values::F64([a, b].concat()),
        (Values::U8(_) | Values::I32(_) | Values::F32(_) | Values::F64(_), _) => {
            let error =
                DataError::new(Fault::Disagreement, &test.place, "the element type of its training array", "another");
            return Err(error);
        }
    };
    let shape = [&[train.tensor.shape[0] + test.tensor.shape[0]], shape].concat();
    Ok(Array { name: train.name, place: train.place, tensor: Tensor { shape, values } })
}

/// A field of the samples `rows`, or of all in their order.
fn column(array: Array, rows: Option<&[usize]>) -> Result<Column, DataError> {
    let Array { name, place, tensor: Tensor { shape, values } } = array;
    let shape = shape[1..].to_vec();
    if let Some((at, found)) = values.not_finite() {
        let sample = at / shape.iter().product::<usize>().max(1);
        let place = format!("{place}, sample {sample}");
        return Err(DataError::new(Fault::Value, place, "finite numbers", found.to_string()));
    }
    let element = match &values {
        Values::U8(_) if shape.is_empty() => Element::Integer,
        Values::I32(_) => Element::Integer,
        Values::U8(_) | Values::F32(_) | Values::F64(_) => Element::Real,
    };
    let width = shape.iter().product();
    let values = rows.map_or_else(|| values.clone(), |rows| values.select(rows, width));
    Ok(Column::new(&name, element, shape, values))
}
