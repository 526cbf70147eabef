//! The npy format of numpy: a header that is a Python literal, then the elements.

use std::io::Cursor;

use ndarray::{ArrayD, ShapeBuilder};
use ndarray_npy::npy::header::{Header, Layout};

use super::elements::{Kind, Order};
use super::{Tensor, Values};
use crate::data::error::{DataError, Fault};

/// How such a file starts.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// No header of a plain array comes near to this.
const LONGEST_HEADER: usize = 10_000;

/// Reads a whole file.
pub(super) fn parse(place: &str, bytes: &[u8]) -> Result<Tensor, DataError> {
    let (header, data) = read_header(place, bytes)?;
    let described = header.type_descriptor.as_string().map_or("", String::as_str);
    let (kind, order) = element(described).ok_or_else(|| wrong_type(place, &header))?;
    let shape = header.shape;
    let expected = kind.length(&shape);
    if expected != Some(data.len()) {
        let wanted = expected.map_or("more than a file can have".to_owned(), |length| length.to_string());
        let expected = format!("{wanted} bytes for shape {shape:?} of type `{described}`");
        let error = DataError::new(Fault::Damaged, place, expected, data.len().to_string());
        return Err(error.help("the file is damaged: write it anew"));
    }
    let values = kind.decode(data, order).map_err(|found| {
        DataError::new(Fault::Value, place, "integers of 32 bits", found).help("save it as `int32` or `float64`")
    })?;
    let values = if header.layout == Layout::Fortran { transposed(&shape, values) } else { values };
    Ok(Tensor { shape, values })
}

/// Splits off the header, once it is known to be harmless: short, of plain characters, hardly nested.
fn read_header<'a>(place: &str, bytes: &'a [u8]) -> Result<(Header, &'a [u8]), DataError> {
    let damaged = |found: &str| {
        let error = DataError::new(Fault::Damaged, place, "the header of an npy file", found);
        error.help("write the file anew with `numpy.save`")
    };
    let length = |range: std::ops::Range<usize>| {
        let bytes = bytes.get(range)?;
        Some(bytes.iter().rev().fold(0_usize, |sum, &byte| sum << 8 | usize::from(byte)))
    };
    let (start, length) = match bytes.get(6) {
        Some(1) => (10, length(8..10)),
        Some(_) => (12, length(8..12)),
        None => (0, None),
    };
    let length = length.ok_or_else(|| damaged("the end of the file"))?;
    if length > LONGEST_HEADER {
        return Err(damaged(&format!("one of {length} bytes")));
    }
    let text = bytes.get(start..start + length).ok_or_else(|| damaged("the end of the file"))?;
    if !is_plain(text) {
        return Err(damaged("other bytes"));
    }
    let header = Header::from_reader(&mut Cursor::new(bytes)).map_err(|error| damaged(&error.to_string()))?;
    if header.shape.len() > 16 {
        return Err(damaged(&format!("one of {} axes", header.shape.len())));
    }
    Ok((header, &bytes[start + length..]))
}

fn is_plain(header: &[u8]) -> bool {
    let mut depth = 0_i32;
    header.iter().all(|byte| {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => (),
        }
        depth <= 4 && (byte.is_ascii_graphic() || *byte == b' ' || *byte == b'\n') && *byte != b'\\'
    })
}

/// The element type that numpy writes as `<f4`.
fn element(described: &str) -> Option<(Kind, Order)> {
    let order = match described.as_bytes().first()? {
        b'<' | b'|' | b'=' => Order::Little,
        b'>' => Order::Big,
        _ => return None,
    };
    let kind = match &described[1..] {
        "b1" => Kind::Bool,
        "u1" => Kind::U8,
        "i1" => Kind::I8,
        "u2" => Kind::U16,
        "i2" => Kind::I16,
        "u4" => Kind::U32,
        "i4" => Kind::I32,
        "u8" => Kind::U64,
        "i8" => Kind::I64,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        _ => return None,
    };
    Some((kind, order))
}

fn wrong_type(place: &str, header: &Header) -> DataError {
    let found = format!("type {}", header.type_descriptor);
    let expected = "elements of type bool, int8 to int64, uint8 to uint64, float32 or float64";
    DataError::new(Fault::Value, place, expected, found).help("convert it with `.astype(\"float32\")` before saving")
}

/// Elements in Fortran's order → row-major.
fn transposed(shape: &[usize], values: Values) -> Values {
    fn reorder<T: Copy>(shape: &[usize], values: Vec<T>) -> Vec<T> {
        let array = ArrayD::from_shape_vec(shape.f(), values).expect("the length was checked against the shape");
        array.iter().copied().collect()
    }
    match values {
        Values::U8(values) => Values::U8(reorder(shape, values)),
        Values::I32(values) => Values::I32(reorder(shape, values)),
        Values::F32(values) => Values::F32(reorder(shape, values)),
        Values::F64(values) => Values::F64(reorder(shape, values)),
    }
}
