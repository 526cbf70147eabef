//! Elements that are the same number for every sample: what is behind a scale of zero is its shift, and a negative shift behind relu is zero.
//! Where such a number is zero, no rule about patterns says so.
//!
//! A number that is not known is written NaN here. A product with a zero is zero, whatever the other operand is.

use std::collections::BTreeMap;

use super::known::{Known, marked};
use super::moves::{apply, numbered};
use super::{Pattern, Tensor, depends, numbers as ones, pattern};
use crate::scalar::Binary;
use crate::tir::interp::eval::eval;
use crate::tir::{DType, Def, Func, Op, Type, Value};

/// The number of each element of each value, NaN where it is not known; `value` gives the inputs that are.
#[expect(clippy::wildcard_enum_match_arm, reason = "only inputs are given")]
pub fn constants(func: &Func, value: &dyn Fn(&str) -> Option<Tensor>) -> Vec<Tensor> {
    let mut found: Vec<Tensor> = Vec::with_capacity(func.defs.len());
    for def in &func.defs {
        let operands: Vec<&Tensor> = def.op.operands().iter().map(|operand| &found[operand.0 as usize]).collect();
        let result = match &def.op {
            Op::Param(name) => value(name).unwrap_or_else(|| unknown(&def.ty)),
            _ => constant(def, &operands),
        };
        found.push(result);
    }
    found
}

/// Marks where what differs from sample to sample is known to be zero, behind functions of single elements; gives the numbers of all values of
/// the function, too.
pub fn reveal(known: &Known, value: &dyn Fn(&str) -> Option<Tensor>) -> (Known, Vec<Tensor>) {
    let given = |name: &str| known.patterns.get(name).map(ones).or_else(|| value(name));
    let numbers = constants(&known.func, &given);
    let varies = depends(&known.func, &|name| given(name).is_none());
    let has_zeros = |at: &Value| {
        let def = known.func.def(*at);
        let is_elementwise = matches!(def.op, Op::Select(..) | Op::Binary(..) | Op::Unary(..));
        let is_number = def.ty.dtype == DType::F32 && varies[at.0 as usize];
        is_elementwise && is_number && numbers[at.0 as usize].iter().any(|x| *x == 0.0)
    };
    let patterns: BTreeMap<Value, Pattern> =
        known.func.values().filter(has_zeros).map(|at| (at, pattern(&numbers[at.0 as usize]))).collect();
    let more = marked(&known.func, &patterns, &varies, "constant");
    let mut all = known.patterns.clone();
    all.extend(more.patterns);
    let places = known.places.iter().map(|place| more.places[place.0 as usize]).collect();
    (Known { func: more.func, patterns: all, places }, numbers)
}

fn unknown(ty: &Type) -> Tensor {
    Tensor::from_elem(ty.shape.as_slice(), f64::NAN)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what is not about single elements is known where all operands are")]
fn constant(def: &Def, operands: &[&Tensor]) -> Tensor {
    match &def.op {
        Op::Binary(Binary::Mul | Binary::MulZ | Binary::And, ..) => product(def, operands),
        Op::Contract(..) | Op::Conv { .. } => sum_of_products(def, operands),
        Op::Select(..) => chosen(operands),
        Op::WithGradient(..) => operands[0].clone(),
        _ if is_move(&def.op) => moved(def, operands),
        Op::Unary(..) | Op::Binary(..) => moved_elements(def, operands),
        _ if operands.iter().all(|operand| operand.iter().all(|x| !x.is_nan())) && !is_drawn(&def.op) => {
            computed(def, operands)
        }
        _ => unknown(&def.ty),
    }
}

/// What an op computes from numbers: [`apply`] is about patterns.
fn computed(def: &Def, operands: &[&Tensor]) -> Tensor {
    let def = Def { op: numbered(&def.op), ..def.clone() };
    let operands: Vec<Tensor> = operands.iter().map(|tensor| tensor.as_standard_layout().into_owned()).collect();
    let mut out = vec![0.0; def.ty.len()];
    eval(&Func::new("rule"), &def, &|value| operands[value.0 as usize].view(), &mut out);
    Tensor::from_shape_vec(def.ty.shape.as_slice(), out).expect("as long as its type says")
}

fn is_drawn(op: &Op) -> bool {
    matches!(op, Op::Uniform { .. } | Op::Grad(..) | Op::Param(_))
}

/// Whether each element of the result depends on the elements that it is moved or combined from, and on nothing else.
fn is_move(op: &Op) -> bool {
    let is_place = matches!(op, Op::Convert(_) | Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_));
    let is_part = matches!(op, Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..));
    is_place || is_part || matches!(op, Op::Reduce(..) | Op::Pool(..) | Op::CumSum { .. })
}

/// 1 where an element is not known.
fn holes(a: &Tensor) -> Tensor {
    a.mapv(|x| f64::from(u8::from(x.is_nan())))
}

fn filled(a: &Tensor) -> Tensor {
    a.mapv(|x| if x.is_nan() { 0.0 } else { x })
}

/// The numbers, but where something unknown went in.
fn with_holes(numbers: &Tensor, holes: &Tensor) -> Tensor {
    ndarray::Zip::from(numbers).and(holes).map_collect(|x, hole| if *hole == 0.0 { *x } else { f64::NAN })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "two ops do something else to holes than to numbers")]
fn moved(def: &Def, operands: &[&Tensor]) -> Tensor {
    let numbers: Vec<Tensor> = operands.iter().map(|operand| filled(operand)).collect();
    let gaps: Vec<Tensor> = operands.iter().map(|operand| holes(operand)).collect();
    let real = Type::new(DType::F32, def.ty.shape.clone());
    let op = match numbered(&def.op) {
        // New elements are known, and any hole makes one, whatever is combined.
        Op::Pad { lo, hi, gap, a, .. } => Op::Pad { value: 0.0, lo, hi, gap, a },
        Op::Reduce(_, a, axes) => Op::Reduce(super::Reduction::Max, a, axes),
        op => op,
    };
    let numbers = computed(def, &numbers.iter().collect::<Vec<_>>());
    with_holes(&numbers, &apply(op, &real, &gaps.iter().collect::<Vec<_>>()))
}

fn moved_elements(def: &Def, operands: &[&Tensor]) -> Tensor {
    let numbers: Vec<Tensor> = operands.iter().map(|operand| filled(operand)).collect();
    let numbers = computed(def, &numbers.iter().collect::<Vec<_>>());
    let first = holes(operands[0]);
    with_holes(&numbers, &operands[1..].iter().fold(first, |gaps, operand| gaps + holes(operand)))
}

fn product(def: &Def, operands: &[&Tensor]) -> Tensor {
    let plain = moved_elements(def, operands);
    let is_zero = |a: &f64, b: &f64| *a == 0.0 || *b == 0.0;
    ndarray::Zip::from(&plain)
        .and(operands[0])
        .and(operands[1])
        .map_collect(|x, a, b| if is_zero(a, b) { 0.0 } else { *x })
}

fn sum_of_products(def: &Def, operands: &[&Tensor]) -> Tensor {
    let [a, b] = [operands[0], operands[1]];
    let products = |a: &Tensor, b: &Tensor| apply(numbered(&def.op), &def.ty, &[a, b]);
    // NaN is not zero.
    let [a_ones, b_ones] = [a, b].map(|of| ones(&pattern(of)));
    let gaps = products(&holes(a), &b_ones) + products(&a_ones, &holes(b));
    with_holes(&computed(def, &[&filled(a), &filled(b)]), &gaps)
}

fn chosen(operands: &[&Tensor]) -> Tensor {
    let choose = |c: &f64, a: &f64, b: &f64| match c {
        c if c.is_nan() => {
            if a == b {
                *a
            } else {
                f64::NAN
            }
        }
        c if *c != 0.0 => *a,
        _ => *b,
    };
    ndarray::Zip::from(operands[0]).and(operands[1]).and(operands[2]).map_collect(choose)
}

/// Along an axis, at how many positions all elements are known and one of them is not zero.
pub fn fixed_positions(numbers: &Tensor, axis: usize) -> usize {
    let slices = numbers.axis_iter(ndarray::Axis(axis));
    slices.filter(|slice| slice.iter().all(|x| !x.is_nan()) && slice.iter().any(|x| *x != 0.0)).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tir::zeros::known;
    use crate::tir::{arbitrary, interp, verify};

    const LASTING: [&str; 3] = ["w", "b", "s"];

    proptest! {
        /// What is known is so for any other inputs, and marks change nothing.
        #[test]
        fn what_is_known_is_computed(recipe in prop::collection::vec(any::<u32>(), 0..80), seed: u32, zeros: u64) {
            let mut func = arbitrary::func(&recipe);
            func.results = func.values().map(|value| (value.to_string().into(), value)).collect();
            let inputs = arbitrary::sparse_inputs(&func, seed, &["w"], zeros);
            let value = |name: &str| LASTING.contains(&name).then(|| inputs[name].clone());
            let found = constants(&func, &value);
            let computed = interp::run(&func, &|name| inputs.get(name).cloned()).expect("every input");
            for (found, computed) in found.iter().zip(computed.values()) {
                for (found, computed) in found.iter().zip(computed).filter(|(found, _)| !found.is_nan()) {
                    let is_close = (found - computed).abs() <= 1e-9 * (1.0 + computed.abs());
                    prop_assert!(is_close || !computed.is_finite() || found == computed, "{found} for {computed}");
                }
            }
        }

        #[test]
        fn marks_change_nothing(recipe in prop::collection::vec(any::<u32>(), 0..80), seed: u32, zeros: u64) {
            let mut func = arbitrary::func(&recipe);
            func.results.truncate(1);
            let inputs = arbitrary::sparse_inputs(&func, seed, &["w"], zeros);
            let value = |name: &str| LASTING.contains(&name).then(|| inputs[name].clone());
            let is_lasting = |name: &str| LASTING.contains(&name);
            let known = known::reveal(&func, known::Given { has: &is_lasting, value: &value }, &is_lasting);
            let (known, _) = reveal(&known, &value);
            verify::assert_valid(&known.func, "marking zeros");
            let given = |name: &str| known.patterns.get(name).map(ones).or_else(|| inputs.get(name).cloned());
            let before = interp::run(&func, &|name| inputs.get(name).cloned()).expect("every input");
            prop_assert_eq!(interp::run(&known.func, &given).expect("every input"), before);
        }
    }
}
