//! Where the fields of a batch lie, and in which order: where a step adds up over the samples for each of their elements, it reads them turned, and it
//! is cheaper to copy them so.

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
    let turned = columns(code.floats(from), rows);
    code.floats_mut(to).copy_from_slice(&turned);
}

/// The columns of a matrix of so many rows, one after the other.
pub(super) fn columns(matrix: &[f32], rows: usize) -> Vec<f32> {
    let width = matrix.len() / rows;
    (0..width).flat_map(|column| matrix[column..].iter().step_by(width).copied()).collect()
}

/// Has a function take those of its fields turned, `[elements, samples]`, that it turns or multiplies, adding up over the samples, maybe with something
/// done to each number before. What else it does with them may be products, which have factors in any order.
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

/// A field and what is computed from it number by number.
struct Chain {
    values: BTreeSet<Value>,
    /// Values of the chain, turned as matrices with a row for each sample.
    ends: BTreeSet<Value>,
}

/// What is computed from a field number by number, up to where it is turned or a factor, as a matrix with a row for each sample. `None` if anything reads it
/// otherwise, or nothing gains.
fn chain(func: &Func, field: Value) -> Option<Chain> {
    let samples = *func.ty(field).shape.first()?;
    // Ends are apart, since what reads one of them beside the chain reads the field in both orders.
    let mut chain = Chain { values: BTreeSet::from([field]), ends: BTreeSet::new() };
    let (mut open, mut is_summed) = (vec![field], false);
    while let Some(value) = open.pop() {
        if func.results.iter().any(|(_, result)| *result == value) {
            return None;
        }
        let reads = |reader: &Value| func.def(*reader).op.operands().contains(&value);
        for reader in func.values().filter(reads) {
            let def = func.def(reader);
            if matches!(&def.op, Op::Transpose(_, axes) if **axes == [1, 0]) {
                let _ = chain.ends.insert(reader);
            } else if let Some(sums) = sums_samples(func, &def.op, value, samples) {
                is_summed |= sums;
            } else if !is_each_number(func, reader, &chain.values) || def.ty.shape.first() != Some(&samples) {
                return None;
            } else if chain.values.insert(reader) {
                open.push(reader);
            }
        }
    }
    (is_summed || !chain.ends.is_empty()).then_some(chain)
}

/// Whether a product adds up over the samples of a factor. `None` if the value is no factor of it, or not as a matrix with a row for each sample.
fn sums_samples(func: &Func, op: &Op, value: Value, samples: usize) -> Option<bool> {
    let Op::Contract(einsum, a, b) = op else { return None };
    let is_matrix = func.ty(value).shape.len() == 2 && func.ty(value).shape[0] == samples;
    let factors = [(*a, &einsum.lhs), (*b, &einsum.rhs)].into_iter().filter(|(factor, _)| *factor == value);
    let sums = factors.map(|(_, labels)| !einsum.out.contains(&labels[0]));
    is_matrix.then(|| sums.reduce(|a, b| a || b)).flatten()
}

/// Whether a value has a number for each one of a value of the chain, at the same place, and needs nothing else but constants.
fn is_each_number(func: &Func, value: Value, chain: &BTreeSet<Value>) -> bool {
    let def = func.def(value);
    let is_constant = |operand: &Value| matches!(func.def(*operand).op, Op::Const(_));
    let is_kind = matches!(def.op, Op::Reshape(_) | Op::Unary(..) | Op::Binary(..)) && def.ty.dtype == DType::F32;
    is_kind && def.op.operands().iter().all(|operand| chain.contains(operand) || is_constant(operand))
}

/// The function with a field turned, and with it what is computed from it up to where it was turned before, or was a factor.
fn with_turned(func: &Func, field: Value, Chain { values, ends }: &Chain) -> Func {
    let samples = func.ty(field).shape[0];
    let ty = Type::f32([func.ty(field).len() / samples.max(1), samples]);
    let mut new = Func { defs: vec![], results: vec![], ..func.clone() };
    let mut map: BTreeMap<Value, Value> = BTreeMap::new();
    for value in func.values() {
        let mut def = func.def(value).clone();
        let is_in_chain = values.contains(&value) || ends.contains(&value);
        if is_in_chain {
            def.ty = ty.clone();
        }
        if let Op::Contract(einsum, a, b) = &mut def.op {
            let factors = [(*a, &mut einsum.lhs), (*b, &mut einsum.rhs)];
            factors.into_iter().filter(|(factor, _)| values.contains(factor)).for_each(|(_, labels)| labels.reverse());
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

    /// A dense layer and the gradient by its weights, which adds up over the samples.
    #[test]
    fn factors_are_taken_turned() {
        let before = "func f {
  %0 = param x : f32[8, 2, 3]
  %1 = reshape %0 : f32[8, 6]
  %2 = param w : f32[6, 4]
  %3 = contract ab,bc->ac %1, %2 : f32[8, 4]
  %4 = contract ab,ac->bc %1, %3 : f32[6, 4]
  %5 = contract ac,ab->bc %3, %1 : f32[6, 4]
  return y = %4
  return z = %5
}
";
        let after = "func f {
  %0 = param x.turned : f32[6, 8]
  %1 = param w : f32[6, 4]
  %2 = contract ba,bc->ac %0, %1 : f32[8, 4]
  %3 = contract ba,ac->bc %0, %2 : f32[6, 4]
  %4 = contract ac,ba->bc %2, %0 : f32[6, 4]
  return y = %3
  return z = %4
}
";
        assert_eq!(taken(before), after);
    }

    #[test]
    fn factors_that_are_turned_already_keep_their_labels() {
        let before = "func f {
  %0 = param x : f32[8, 6]
  %1 = transpose %0, [1, 0] : f32[6, 8]
  %2 = param w : f32[6, 4]
  %3 = contract ba,bc->ac %1, %2 : f32[8, 4]
  %4 = contract ab,bc->ac %0, %2 : f32[8, 4]
  return y = %3
  return z = %4
}
";
        let after = "func f {
  %0 = param x.turned : f32[6, 8]
  %1 = param w : f32[6, 4]
  %2 = contract ba,bc->ac %0, %1 : f32[8, 4]
  %3 = contract ba,bc->ac %0, %1 : f32[8, 4]
  return y = %2
  return z = %3
}
";
        assert_eq!(taken(before), after);
    }

    #[test]
    fn factors_whose_samples_stay_apart_stay() {
        let text = "func f {
  %0 = param x : f32[8, 6]
  %1 = param w : f32[6, 4]
  %2 = contract ab,bc->ac %0, %1 : f32[8, 4]
  return y = %2
}
";
        assert_eq!(taken(text), text);
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
