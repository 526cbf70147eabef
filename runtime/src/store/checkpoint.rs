//! The file of a checkpoint: a line with the SHA-256 of all that follows, a line of JSON, the tensors as safetensors.

use indexmap::IndexMap;
use ndarray::{ArrayD, arr1};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::origin::Origin;
use super::write::safetensors;
use crate::data::{DataError, Fault, hex, parse_safetensors};
use crate::program::Form;
use crate::train::{Checkpoint, EpochRecord, Position};

/// How a file starts; the number is that of the format.
const MAGIC: &str = "spnc checkpoint 3 ";
const TENSOR: &str = "tensor/";
const SUMS: &str = "sums";

/// What is not a tensor.
#[derive(Serialize, Deserialize)]
struct Head {
    origin: Origin,
    position: Position,
    epoch_seconds: f64,
    seconds: f64,
    form: Vec<Form>,
    records: Vec<Value>,
}

/// A checkpoint as a file holds it.
pub(super) fn encode(origin: &Origin, checkpoint: &Checkpoint) -> std::io::Result<Vec<u8>> {
    let records = checkpoint.records.iter().map(|record| serde_json::to_value(record).map(exact));
    let head = Head {
        origin: origin.clone(),
        position: checkpoint.position,
        epoch_seconds: checkpoint.epoch_seconds,
        seconds: checkpoint.seconds,
        form: checkpoint.form.clone(),
        records: records.collect::<Result<_, _>>()?,
    };
    let tensors = checkpoint.tensors.iter().map(|(name, value)| (format!("{TENSOR}{name}"), value.clone()));
    let sums = (SUMS.to_owned(), arr1(&checkpoint.sums).into_dyn());
    let tensors: IndexMap<String, ArrayD<f64>> = tensors.chain([sums]).collect();
    let body = [serde_json::to_string(&head)?.as_bytes(), b"\n", &safetensors(&tensors)?].concat();
    Ok([format!("{MAGIC}{}\n", hex(&Sha256::digest(&body))).as_bytes(), &body].concat())
}

/// The checkpoint in a file, and what it was made of.
///
/// # Errors
///
/// When a single bit of it is not as it was written.
pub(super) fn decode(place: &str, bytes: &[u8]) -> Result<(Origin, Checkpoint), DataError> {
    let damaged = |found: &str| {
        let error = DataError::new(Fault::Damaged, place, "a whole checkpoint of this version of spnc", found);
        error.help("start the run anew with `spnc run`")
    };
    let rest = bytes.strip_prefix(MAGIC.as_bytes()).ok_or_else(|| damaged("a file of another kind"))?;
    let (hash, body) = split_line(rest).ok_or_else(|| damaged("a truncated one"))?;
    if hash != hex(&Sha256::digest(body)).as_bytes() {
        return Err(damaged("one that is truncated, or was changed after it was written"));
    }
    let (head, tensors) = split_line(body).ok_or_else(|| damaged("one without tensors"))?;
    let head: Head = serde_json::from_slice(head).map_err(|error| damaged(&error.to_string()))?;
    let records = head.records.into_iter().map(|record| serde_json::from_value::<EpochRecord>(inexact(record)));
    let records = records.collect::<Result<_, _>>().map_err(|error| damaged(&error.to_string()))?;
    let mut tensors = parse_safetensors(place, tensors)?;
    let sums = tensors.shift_remove(SUMS).ok_or_else(|| damaged("one without sums"))?;
    let named = |(name, value): (String, _)| Some((name.strip_prefix(TENSOR)?.to_owned(), value));
    let checkpoint = Checkpoint {
        position: head.position,
        tensors: tensors.into_iter().filter_map(named).collect(),
        sums: sums.into_iter().collect(),
        records,
        epoch_seconds: head.epoch_seconds,
        seconds: head.seconds,
        form: head.form,
    };
    Ok((head.origin, checkpoint))
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// How a number is written whose every bit counts: reading decimals may miss the last one.
const BITS: &str = "bits:";

/// Replaces every number with a fraction by its bits.
fn exact(value: Value) -> Value {
    each(value, &|leaf| {
        let number = leaf.as_f64().filter(|_| leaf.is_f64());
        number.map_or(leaf, |x| Value::String(format!("{BITS}{:016x}", x.to_bits())))
    })
}

/// The opposite of [`exact`].
fn inexact(value: Value) -> Value {
    each(value, &|leaf| {
        let bits = leaf.as_str().and_then(|text| u64::from_str_radix(text.strip_prefix(BITS)?, 16).ok());
        bits.map_or(leaf, |bits| Value::from(f64::from_bits(bits)))
    })
}

/// Applies `f` to all that is no list and no object.
fn each(value: Value, f: &dyn Fn(Value) -> Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(|value| each(value, f)).collect(),
        Value::Object(values) => values.into_iter().map(|(name, value)| (name, each(value, f))).collect(),
        leaf @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => f(leaf),
    }
}
