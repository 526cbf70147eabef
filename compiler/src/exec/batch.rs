//! Where the fields of a batch lie, and in which order: a step on compressed matrices reads samples turned, and it is cheaper to copy them so.

use std::sync::Arc;

use crate::codegen::Executable;
use crate::lir::{self, BufferId};
use crate::pass::dce;
use crate::tir::{DType, Func, Op, Value};

/// Where a field of a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub buffer: BufferId,
    /// Whether the numbers that the samples have for an element lie side by side, and not those that a sample has.
    pub is_turned: bool,
}

impl Place {
    /// Where a function reads a field, if it does.
    pub fn of(field: &str, func: &lir::Func, module: &lir::Module) -> Option<Place> {
        let place = |name: &str, is_turned| Some(Place { buffer: module.input(func, name)?, is_turned });
        place(field, false).or_else(|| place(&turned(field), true))
    }
}

/// What a field is called that is read turned.
fn turned(field: &str) -> String {
    format!("{field}.turned")
}

/// Copies a matrix of so many rows from a buffer to another, turned.
pub(super) fn turn(code: &mut Executable, from: BufferId, to: BufferId, rows: usize) {
    let numbers = code.floats(from).to_vec();
    let columns = numbers.len() / rows;
    let turned = code.floats_mut(to);
    for (row, numbers) in numbers.chunks(columns).enumerate() {
        numbers.iter().enumerate().for_each(|(column, number)| turned[column * rows + row] = *number);
    }
}

/// Has a function take those of its fields turned, `[elements, samples]`, that it reads only so.
pub(super) fn take_turned(func: &mut Func, fields: &[Arc<str>]) {
    let params: Vec<(Value, Arc<str>)> = func
        .params()
        .filter(|(name, _, ty)| fields.contains(name) && ty.dtype == DType::F32)
        .map(|(name, value, _)| (value, name.clone()))
        .collect();
    for (field, name) in params {
        let Some(readers) = turned_readers(func, field) else { continue };
        let ty = func.ty(readers[0]).clone();
        let def = &mut func.defs[field.0 as usize];
        (def.op, def.ty) = (Op::Param(turned(&name).into()), ty);
        let operands = func.defs.iter_mut().flat_map(|def| def.op.operands_mut());
        let results = func.results.iter_mut().map(|(_, value)| value);
        operands.chain(results).filter(|value| readers.contains(value)).for_each(|value| *value = field);
    }
    dce::run(func);
}

/// The values that are a field as a matrix, one row for each sample, and turned. `None` if it is read in another order, too, or not at all.
fn turned_readers(func: &Func, field: Value) -> Option<Vec<Value>> {
    let samples = func.ty(field).shape.first()?;
    let (mut open, mut found) = (vec![field], vec![]);
    while let Some(value) = open.pop() {
        if func.results.iter().any(|(_, result)| *result == value) {
            return None;
        }
        let reads = |reader: &Value| func.def(*reader).op.operands().contains(&value);
        for reader in func.values().filter(reads) {
            let (op, shape) = (&func.def(reader).op, &func.ty(reader).shape);
            if matches!(op, Op::Transpose(_, axes) if **axes == [1, 0]) {
                found.push(reader);
            } else if matches!(op, Op::Reshape(_)) && shape.len() == 2 && shape[0] == *samples {
                open.push(reader);
            } else {
                return None;
            }
        }
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tir::parse;

    fn taken(text: &str) -> String {
        let mut func = parse::func(text).expect("a function");
        take_turned(&mut func, &["x".into()]);
        crate::tir::verify::assert_valid(&func, "fields are turned");
        func.to_string()
    }

    #[test]
    fn images_that_are_only_read_turned_are_taken_so() {
        let before = "func f {
  %0 = param x : f32[8, 1, 2, 3]
  %1 = reshape %0 : f32[8, 6]
  %2 = transpose %1, [1, 0] : f32[6, 8]
  %3 = exp %2 : f32[6, 8]
  return y = %3
  return z = %2
}
";
        let after = "func f {
  %0 = param x.turned : f32[6, 8]
  %1 = exp %0 : f32[6, 8]
  return y = %1
  return z = %0
}
";
        assert_eq!(taken(before), after);
    }

    #[test]
    fn what_is_read_otherwise_too_stays() {
        for (ty, other) in [("f32[8, 6]", "exp %0 : f32[8, 6]"), ("f32[8, 6]", "transpose %1, [1, 0] : f32[8, 6]")] {
            let result = if other.starts_with("exp") { "%2" } else { "%0" };
            let text = format!(
                "func f {{
  %0 = param x : {ty}
  %1 = transpose %0, [1, 0] : f32[6, 8]
  %2 = {other}
  return y = %1
  return z = {result}
}}
"
            );
            assert!(!taken(&text).contains("turned"), "{other}");
        }
    }

    #[test]
    fn a_matrix_of_other_rows_than_samples_stays() {
        let text = "func f {
  %0 = param x : f32[4, 6]
  %1 = reshape %0 : f32[8, 3]
  %2 = transpose %1, [1, 0] : f32[3, 8]
  return y = %2
}
";
        assert_eq!(taken(text), text);
    }
}
