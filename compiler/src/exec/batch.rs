//! Where the fields of a batch lie, and in which order: a step on compressed matrices reads samples turned, and it is cheaper to copy them so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::codegen::Executable;
use crate::lir::{self, BufferId};
use crate::pass::dce;
use crate::tir::{DType, Func, Op, Type, Value};

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

/// Has a function take those of its fields turned, `[elements, samples]`, that it reads only so, maybe with something done to each number before.
pub(super) fn take_turned(func: &mut Func, fields: &[Arc<str>]) {
    let params: Vec<Value> = func
        .params()
        .filter(|(name, _, ty)| fields.contains(name) && ty.dtype == DType::F32)
        .map(|(_, value, _)| value)
        .collect();
    for field in params {
        if let Some(chain) = chain(func, field) {
            *func = with_turned(func, field, &chain);
        }
    }
    dce::run(func);
}

/// A field and what is computed from it number by number, up to where it is turned as a matrix with a row for each sample. `None` if anything reads it in
/// another order, or nothing does.
fn chain(func: &Func, field: Value) -> Option<BTreeSet<Value>> {
    let samples = *func.ty(field).shape.first()?;
    let (mut open, mut chain) = (vec![field], BTreeSet::from([field]));
    // Apart, since what reads one of them beside the chain reads the field in both orders.
    let mut ends = vec![];
    while let Some(value) = open.pop() {
        if func.results.iter().any(|(_, result)| *result == value) {
            return None;
        }
        let reads = |reader: &Value| func.def(*reader).op.operands().contains(&value);
        for reader in func.values().filter(reads) {
            let def = func.def(reader);
            let is_end = matches!(&def.op, Op::Transpose(_, axes) if **axes == [1, 0]);
            if !is_end && (!is_each_number(func, reader, &chain) || def.ty.shape.first() != Some(&samples)) {
                return None;
            }
            if is_end {
                ends.push(reader);
            } else if chain.insert(reader) {
                open.push(reader);
            }
        }
    }
    let is_turned = !ends.is_empty();
    chain.extend(ends);
    is_turned.then_some(chain)
}

/// Whether a value has a number for each one of a value of the chain, at the same place, and needs nothing else but constants.
fn is_each_number(func: &Func, value: Value, chain: &BTreeSet<Value>) -> bool {
    let def = func.def(value);
    let is_constant = |operand: &Value| matches!(func.def(*operand).op, Op::Const(_));
    let is_kind = matches!(def.op, Op::Reshape(_) | Op::Unary(..) | Op::Binary(..)) && def.ty.dtype == DType::F32;
    is_kind && def.op.operands().iter().all(|operand| chain.contains(operand) || is_constant(operand))
}

/// The function with a field turned, and with it what is computed from it up to where it was turned before.
fn with_turned(func: &Func, field: Value, chain: &BTreeSet<Value>) -> Func {
    let samples = func.ty(field).shape[0];
    let ty = Type::f32([func.ty(field).len() / samples.max(1), samples]);
    let mut new = Func { defs: vec![], results: vec![], ..func.clone() };
    let mut map: BTreeMap<Value, Value> = BTreeMap::new();
    for value in func.values() {
        let mut def = func.def(value).clone();
        let is_in_chain = chain.contains(&value);
        if is_in_chain {
            def.ty = ty.clone();
        }
        if let (Op::Reshape(operand) | Op::Transpose(operand, _), true) = (&def.op, is_in_chain) {
            let _ = map.insert(value, map[operand]);
            continue;
        }
        if let (Op::Param(name), true) = (&mut def.op, value == field) {
            *name = turned(name).into();
        }
        for operand in def.op.operands_mut() {
            let constant = &func.def(*operand).op;
            let is_repeated = is_in_chain && matches!(constant, Op::Const(_));
            *operand = if is_repeated { new.push(constant.clone(), ty.clone(), None) } else { map[operand] };
        }
        let _ = map.insert(value, new.push(def.op, def.ty, def.origin));
    }
    new.results = func.results.iter().map(|(name, value)| (name.clone(), map[value])).collect();
    new
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

    /// Bytes that become shares of one.
    #[test]
    fn what_is_done_to_each_number_is_done_to_the_turned_ones() {
        let before = "func f {
  %0 = param x : f32[8, 2, 3]
  %1 = const 0.5 : f32[8, 2, 3]
  %2 = mul %0, %1 : f32[8, 2, 3]
  %3 = reshape %2 : f32[8, 6]
  %4 = transpose %3, [1, 0] : f32[6, 8]
  return y = %4
  return half = %1
}
";
        let after = "func f {
  %0 = param x.turned : f32[6, 8]
  %1 = const 0.5 : f32[8, 2, 3]
  %2 = const 0.5 : f32[6, 8]
  %3 = mul %0, %2 : f32[6, 8]
  return y = %3
  return half = %1
}
";
        assert_eq!(taken(before), after);
    }

    #[test]
    fn what_is_read_otherwise_too_stays() {
        for other in
            ["exp %0 : f32[8, 6]", "mul %0, %0 : f32[8, 6]", "add %0, %2 : f32[8, 6]", "reduce_sum %0, [0] : f32[6]"]
        {
            let text = format!(
                "func f {{
  %0 = param x : f32[8, 6]
  %1 = transpose %0, [1, 0] : f32[6, 8]
  %2 = param z : f32[8, 6]
  %3 = {other}
  return y = %1
  return w = %3
}}
"
            );
            assert!(!taken(&text).contains("turned"), "{other}");
        }
    }

    #[test]
    fn what_is_read_in_both_orders_stays() {
        let text = "func f {
  %0 = param x : f32[6, 6]
  %1 = transpose %0, [1, 0] : f32[6, 6]
  %2 = add %0, %1 : f32[6, 6]
  %3 = transpose %2, [1, 0] : f32[6, 6]
  return y = %3
}
";
        assert_eq!(taken(text), text);
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
