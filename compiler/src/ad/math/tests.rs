//! Formulas mean what the definitions compute that they are read from: both are evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::poly::{Atom, Cond, Poly};
use super::read::Reader;
use crate::ad;
use crate::scalar::{Binary, Unary};
use crate::tir::interp::{self, Tensor};
use crate::tir::{DType, Func, Op, Reduction, arbitrary};

/// The tensors that entries are of.
type Inputs = BTreeMap<Arc<str>, Tensor>;

/// The value of each index.
type At = BTreeMap<String, usize>;

/// The number that a formula stands for; `None` if it speaks of what has no name (a reshape, a draw).
fn eval(poly: &Poly, inputs: &Inputs, at: &At) -> Option<f64> {
    let mut sum = 0.0;
    for term in &poly.0 {
        let mut product = term.coef;
        let mut holds = true;
        for guard in &term.guards {
            holds &= eval_cond(guard, inputs, at)?;
        }
        for (atom, power) in term.factors.iter().filter(|_| holds) {
            product *= eval_atom(atom, inputs, at)?.powf(*power);
        }
        sum += if holds { product } else { 0.0 };
    }
    Some(sum)
}

fn eval_atom(atom: &Atom, inputs: &Inputs, at: &At) -> Option<f64> {
    match atom {
        Atom::Entry(name, indices) => {
            let position: Vec<usize> = indices.iter().map(|index| at.get(index).copied().unwrap_or(0)).collect();
            inputs.get(name.as_str()).map(|tensor| tensor[position.as_slice()])
        }
        Atom::Over(by, indices, body) => eval_over(*by, indices, body, inputs, at),
        Atom::Call(f, args) => {
            let args: Vec<f64> = args.iter().map(|arg| eval(arg, inputs, at)).collect::<Option<_>>()?;
            match (*f, Unary::from_name(f), Binary::from_name(f)) {
                ("trunc", _, _) => Some(args[0].trunc()),
                (_, Some(f), _) => Some(f.apply(args[0])),
                (_, _, Some(f)) => Some(f.apply(args[0], args[1])),
                (_, None, None) => None,
            }
        }
        Atom::Where(cond, a, b) => eval(if eval_cond(cond, inputs, at)? { a } else { b }, inputs, at),
        Atom::Group(body) => eval(body, inputs, at),
        Atom::Index(index) => at.get(index).map(|index| *index as f64),
    }
}

/// An index says how far it runs: `n17`, `n17′`.
fn size(index: &str) -> Option<usize> {
    index.trim_end_matches('′').strip_prefix('n')?.parse().ok()
}

fn eval_over(by: Reduction, indices: &[String], body: &Poly, inputs: &Inputs, at: &At) -> Option<f64> {
    let Some((index, inner)) = indices.split_first() else { return eval(body, inputs, at) };
    let elements = (0..size(index)?).map(|i| {
        let mut at = at.clone();
        let _ = at.insert(index.clone(), i);
        eval_over(by, inner, body, inputs, &at)
    });
    let elements: Vec<f64> = elements.collect::<Option<_>>()?;
    Some(match by {
        Reduction::Sum => elements.iter().sum(),
        Reduction::Max => elements.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Reduction::Min => elements.iter().copied().fold(f64::INFINITY, f64::min),
    })
}

fn eval_cond(cond: &Cond, inputs: &Inputs, at: &At) -> Option<bool> {
    match cond {
        Cond::Compare(f, a, b) => Some(compare(*f, eval(a, inputs, at)?, eval(b, inputs, at)?)),
        Cond::All(conds) => conds.iter().try_fold(true, |all, cond| Some(all & eval_cond(cond, inputs, at)?)),
        Cond::Any(conds) => conds.iter().try_fold(false, |any, cond| Some(any | eval_cond(cond, inputs, at)?)),
        Cond::Not(cond) => eval_cond(cond, inputs, at).map(|holds| !holds),
        Cond::Holds(atom) => eval_atom(atom, inputs, at).map(|truth| truth != 0.0),
    }
}

/// Numbers that differ by rounding are equal: a formula adds in another order, and the derivative of a largest element asks which one it is.
fn compare(function: Binary, a: f64, b: f64) -> bool {
    let b = if (a - b).abs() <= 1e-12 * (1.0 + a.abs()) { a } else { b };
    function.apply(a, b) != 0.0
}

/// Compares the first element of each result with its formula, before and after its indices are renamed. Returns how many
/// formulas could be evaluated.
fn check(func: &Func, inputs: &Inputs) -> usize {
    let results = interp::run(func, &|name| inputs.get(name).cloned()).expect("every input has a value");
    let sizes = |name: &str| inputs[name].shape().iter().map(|size| format!("n{size}")).collect();
    let mut checked = 0;
    for (name, value) in func.results.iter().filter(|(_, value)| func.ty(*value).dtype == DType::F32) {
        let mut reader = Reader::new(func, &sizes);
        let indices = reader.indices(*value);
        let mut poly = reader.poly(*value, &indices);
        let at: At = indices.iter().map(|index| (index.clone(), 0)).collect();
        let (Some(expected), false) = (results[&**name].first(), reader.is_exhausted()) else { continue };
        let Some(found) = eval(&poly, inputs, &at) else { continue };
        poly.unshadow(&indices);
        let renamed = eval(&poly, inputs, &at).expect("only indices have changed");
        for found in [found, renamed] {
            assert!(
                (found - expected).abs() <= 1e-9 * (1.0 + expected.abs()),
                "{name}: {found}, not {expected}\n{func}"
            );
        }
        checked += 1;
    }
    checked
}

/// A random function with the derivatives of its loss.
fn random(recipe: &[u32]) -> Func {
    let mut func = arbitrary::func(recipe);
    let loss = func.result("loss").expect("every random function has a loss");
    let params: Vec<_> = func.params().map(|(name, value, ty)| (name.clone(), value, ty.clone())).collect();
    for (name, value, ty) in params.into_iter().filter(|(_, _, ty)| ty.dtype == DType::F32) {
        let grad = func.push(Op::Grad(loss, value), ty, None);
        func.results.push((format!("grad.{name}").into(), grad));
    }
    ad::grad(&func)
}

#[test]
fn some_random_formulas_can_be_evaluated() {
    let recipe: Vec<u32> = (0..24).map(|i: u32| i.wrapping_mul(2_654_435_761) >> 7).collect();
    let func = random(&recipe);
    assert!(check(&func, &arbitrary::inputs(&func, 1)) > 0);
}

proptest! {
    #[test]
    fn formulas_mean_what_they_are_read_from(recipe in prop::collection::vec(any::<u32>(), 0..70), seed in any::<u32>()) {
        let func = random(&recipe);
        let _ = check(&func, &arbitrary::inputs(&func, seed));
    }
}
