//! The reference interpreter: TIR functions over `f64`, the oracle for everything compiled.
//!
//! Reals are `f64` whatever the program's element type, integers wrap at 32 bits, and a bool is 0 or 1. [`run`] is enough
//! for one evaluation. A [`Plan`] evaluates the same function many times in buffers that it keeps, gives every
//! intermediate value where it was asked to keep them, and can evaluate the surrogate that the derivative belongs to.
//!
//! # The surrogate
//!
//! `with_gradient a, b` has the value of `a` and the derivative of `b`, so central differences of the function itself say
//! nothing about its derivative. After [`Plan::freeze`] at a point x₀ it is evaluated as a(x₀) + b(x) − b(x₀) instead, and a
//! quantile keeps its value at x₀: at x₀ nothing changes, and the derivative there is what `ad` must give.

pub(super) mod eval;
pub(super) mod images;
pub(super) mod rows;
mod slots;
mod sparse;

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use ndarray::{ArrayD, ArrayViewD};

use super::{DType, Func, Op, Value};

/// A tensor in the interpreter, row-major.
pub type Tensor = ArrayD<f64>;

/// Which values outlive a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Inputs and results only; the others share memory.
    Results,
    /// Every value.
    All,
}

/// A function made ready to be evaluated again and again.
#[derive(Clone, Debug)]
pub struct Plan {
    func: Func,
    keep: Keep,
    params: IndexMap<Arc<str>, Value>,
    /// The slot of each value.
    slot_of: Vec<usize>,
    slots: Vec<Vec<f64>>,
    frozen: BTreeMap<Value, Frozen>,
    precision: Precision,
}

/// How exact values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// `f64`.
    Double,
    /// Each value is rounded to `f32`, as machine code does, though sums inside of an op are not: what comes of it tells how much rounding alone
    /// moves the results.
    Single,
}

/// What an op with a derivative of its own was at the point of [`Plan::freeze`].
#[derive(Clone, Debug)]
struct Frozen {
    /// Its value.
    value: Vec<f64>,
    /// The value of the operand that it has the derivative of, if there is one.
    gradient_of: Option<Vec<f64>>,
}

/// Why a function could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// No tensor was given for an input.
    #[error("no value for the input {0}")]
    Missing(Arc<str>),
    /// A tensor of another shape was given.
    #[error("the input {name} has shape {expected:?}, but its value has shape {found:?}")]
    Shape {
        /// The input.
        name: Arc<str>,
        /// What the function declares.
        expected: Vec<usize>,
        /// What was given.
        found: Vec<usize>,
    },
}

/// Evaluates a function once: `inputs` gives the tensor of each input, by name. Returns the results, by name.
///
/// # Errors
///
/// An input without a value, or with a value of the wrong shape.
pub fn run(func: &Func, inputs: &dyn Fn(&str) -> Option<Tensor>) -> Result<IndexMap<Arc<str>, Tensor>, InputError> {
    run_in(func, inputs, Precision::Double)
}

/// As [`run`], with values of this precision.
///
/// # Errors
///
/// An input without a value, or with a value of the wrong shape.
pub fn run_in(
    func: &Func,
    inputs: &dyn Fn(&str) -> Option<Tensor>,
    precision: Precision,
) -> Result<IndexMap<Arc<str>, Tensor>, InputError> {
    let mut plan = Plan::new(func, Keep::Results);
    plan.precision = precision;
    plan.set_inputs(inputs)?;
    plan.run();
    Ok(plan.results().map(|(name, value)| (Arc::clone(name), value.to_owned())).collect())
}

impl Plan {
    /// Plans `func`, which must be valid.
    ///
    /// # Panics
    ///
    /// If it still asks for derivatives: `ad` comes first.
    pub fn new(func: &Func, keep: Keep) -> Plan {
        let slots::Assignment { slot_of, lens } = slots::assign(func, keep);
        let params = func.params().map(|(name, value, _)| (Arc::clone(name), value)).collect();
        let slots = lens.into_iter().map(|len| vec![0.0; len]).collect();
        let mut plan = Plan {
            func: func.clone(),
            keep,
            params,
            slot_of,
            slots,
            frozen: BTreeMap::new(),
            precision: Precision::Double,
        };
        for value in plan.func.values() {
            if slots::is_constant(plan.func.def(value)) {
                plan.compute(value);
            }
        }
        plan
    }

    /// The function.
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// Where the input with this name is to be written, row-major; it stays there for all runs that follow.
    pub fn input(&mut self, name: &str) -> Option<&mut [f64]> {
        let value = *self.params.get(name)?;
        Some(&mut self.slots[self.slot_of[value.0 as usize]])
    }

    /// Writes every input.
    ///
    /// # Errors
    ///
    /// An input without a value, or with a value of the wrong shape.
    pub fn set_inputs(&mut self, inputs: &dyn Fn(&str) -> Option<Tensor>) -> Result<(), InputError> {
        for (name, value) in &self.params {
            let tensor = inputs(name).ok_or_else(|| InputError::Missing(Arc::clone(name)))?;
            let expected = &self.func.ty(*value).shape;
            if tensor.shape() != expected {
                let (expected, found) = (expected.clone(), tensor.shape().to_vec());
                return Err(InputError::Shape { name: Arc::clone(name), expected, found });
            }
            let slot = &mut self.slots[self.slot_of[value.0 as usize]];
            slot.iter_mut().zip(&tensor).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }

    /// Evaluates the function on its inputs.
    pub fn run(&mut self) {
        for value in self.func.values() {
            if !slots::is_leaf(self.func.def(value)) {
                self.compute(value);
            }
        }
    }

    /// The values that depend on the input with this name, in their order.
    pub fn dependents(&self, name: &str) -> Vec<Value> {
        let mut depends = vec![false; self.func.defs.len()];
        let Some(input) = self.params.get(name) else { return vec![] };
        depends[input.0 as usize] = true;
        let mut dependents = vec![];
        for value in self.func.values() {
            if self.func.def(value).op.operands().iter().any(|operand| depends[operand.0 as usize]) {
                depends[value.0 as usize] = true;
                dependents.push(value);
            }
        }
        dependents
    }

    /// Evaluates these values again, in their order, and no others: after an input has changed, those that depend on it are enough.
    ///
    /// # Panics
    ///
    /// If the plan does not keep all values.
    pub fn rerun(&mut self, values: &[Value]) {
        assert_eq!(self.keep, Keep::All, "what is not evaluated again must still be there");
        values.iter().for_each(|value| self.compute(*value));
    }

    /// A result of the last run.
    pub fn result(&self, name: &str) -> Option<ArrayViewD<'_, f64>> {
        self.func.result(name).map(|value| self.view(value))
    }

    /// The results of the last run, in the function's order.
    pub fn results(&self) -> impl Iterator<Item = (&Arc<str>, ArrayViewD<'_, f64>)> {
        self.func.results.iter().map(|(name, value)| (name, self.view(*value)))
    }

    /// Any value of the last run.
    ///
    /// # Panics
    ///
    /// If the plan does not keep all values.
    pub fn value(&self, value: Value) -> ArrayViewD<'_, f64> {
        assert_eq!(self.keep, Keep::All, "a plan that keeps results only is asked for {value}");
        self.view(value)
    }

    /// The first definition that gives a number that is not finite, among those that `matters` chooses; the plan must
    /// keep all values.
    pub fn first_not_finite(&self, matters: impl Fn(Value) -> bool) -> Option<Value> {
        let is_bad = |value: &Value| self.value(*value).iter().any(|x| !x.is_finite());
        self.func.values().filter(|value| matters(*value)).find(is_bad)
    }

    /// Makes each result that has the name of an input that input's value.
    pub fn commit(&mut self) {
        let updates = self.func.results.iter().filter_map(|(name, value)| Some((*self.params.get(name)?, *value)));
        let new: Vec<(Value, Vec<f64>)> = updates.map(|(param, value)| (param, self.slot(value).clone())).collect();
        for (param, value) in new {
            self.slots[self.slot_of[param.0 as usize]].copy_from_slice(&value);
        }
    }

    /// From now on evaluates the surrogate at the point of the last run (see the module's text).
    ///
    /// # Panics
    ///
    /// If the plan does not keep all values.
    pub fn freeze(&mut self) {
        assert_eq!(self.keep, Keep::All, "a surrogate needs all values");
        self.frozen = self.func.values().filter_map(|value| Some((value, self.freeze_value(value)?))).collect();
    }

    fn freeze_value(&self, value: Value) -> Option<Frozen> {
        let op = &self.func.def(value).op;
        let gradient_of = if let Op::WithGradient(_, b) = op { Some(self.slot(*b).clone()) } else { None };
        if gradient_of.is_none() && !matches!(op, Op::Quantile(..)) {
            return None;
        }
        Some(Frozen { value: self.slot(value).clone(), gradient_of })
    }

    /// Evaluates one definition into its slot.
    fn compute(&mut self, value: Value) {
        let slot = self.slot_of[value.0 as usize];
        let mut out = std::mem::take(&mut self.slots[slot]);
        match self.frozen.get(&value) {
            Some(frozen) => self.compute_frozen(value, frozen, &mut out),
            None => eval::eval(&self.func, self.func.def(value), &|operand| self.view(operand), &mut out),
        }
        if self.precision == Precision::Single && self.func.ty(value).dtype == DType::F32 {
            out.iter_mut().for_each(|x| *x = f64::from(*x as f32));
        }
        self.slots[slot] = out;
    }

    /// a(x₀) + b(x) − b(x₀), or the value at x₀.
    fn compute_frozen(&self, value: Value, frozen: &Frozen, out: &mut [f64]) {
        out.copy_from_slice(&frozen.value);
        let Some(before) = &frozen.gradient_of else { return };
        let now = self.slot(self.func.def(value).op.operands()[1]);
        for ((out, now), before) in out.iter_mut().zip(now).zip(before) {
            // Nothing is added where nothing changed, infinities included.
            *out += if now == before { 0.0 } else { now - before };
        }
    }

    fn slot(&self, value: Value) -> &Vec<f64> {
        &self.slots[self.slot_of[value.0 as usize]]
    }

    fn view(&self, value: Value) -> ArrayViewD<'_, f64> {
        let shape = self.func.ty(value).shape.as_slice();
        ArrayViewD::from_shape(shape, self.slot(value)).expect("a slot has the length of its value")
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, Array4, arr0, arr1, arr2};
    use proptest::prelude::*;

    use super::*;
    use crate::tir::parse;

    fn evaluate(body: &str, inputs: &[(&str, Tensor)]) -> IndexMap<Arc<str>, Tensor> {
        let func = parse::func(&format!("func test {{\n{body}\n}}")).expect("the test is TIR");
        crate::tir::verify::assert_valid(&func, "writing the test");
        run(&func, &|name| inputs.iter().find(|(n, _)| *n == name).map(|(_, tensor)| tensor.clone()))
            .expect("the test gives every input")
    }

    #[test]
    fn one_neuron() {
        let results = evaluate(
            "%0 = param w : f32[3]
             %1 = param x : f32[3]
             %2 = contract i,i-> %0, %1 : f32[]
             %3 = tanh %2 : f32[]
             return y = %3",
            &[("w", arr1(&[1.0, -2.0, 0.5]).into_dyn()), ("x", arr1(&[0.5, 0.25, 1.0]).into_dyn())],
        );
        assert_eq!(results["y"], arr0(0.5f64.tanh()).into_dyn());
    }

    #[test]
    fn axes_move_as_written() {
        let results = evaluate(
            "%0 = param x : f32[2, 3]
             %1 = transpose %0, [1, 0] : f32[3, 2]
             %2 = broadcast %1, [0, 2] : f32[3, 2, 2]
             %3 = reshape %2 : f32[12]
             %4 = reduce_max %2, [0, 1] : f32[2]
             %5 = iota 1 : i32[2, 3]
             return repeated = %3
             return largest = %4
             return columns = %5",
            &[("x", arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).into_dyn())],
        );
        assert_eq!(results["repeated"], arr1(&[1.0, 4.0, 1.0, 4.0, 2.0, 5.0, 2.0, 5.0, 3.0, 6.0, 3.0, 6.0]).into_dyn());
        assert_eq!(results["largest"], arr1(&[3.0, 6.0]).into_dyn());
        assert_eq!(results["columns"], arr2(&[[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]).into_dyn());
    }

    #[test]
    fn integers_wrap_and_conversions_round_toward_zero() {
        let results = evaluate(
            "%0 = param x : f32[4]
             %1 = convert %0 : i32[4]
             %2 = add %1, %1 : i32[4]
             %3 = convert %0 : bool[4]
             %4 = not %3 : bool[4]
             return twice = %2
             return zero = %4",
            &[("x", arr1(&[-1.75, 0.5, 0.0, 2_147_483_647.0]).into_dyn())],
        );
        assert_eq!(results["twice"], arr1(&[-2.0, 0.0, 0.0, -2.0]).into_dyn());
        assert_eq!(results["zero"], arr1(&[0.0, 0.0, 1.0, 0.0]).into_dyn());
    }

    #[test]
    fn a_quantile_is_the_smallest_element_that_reaches_the_share() {
        let elements: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for hundredth in 1..=100 {
            let results = evaluate(
                "%0 = param x : f32[100]
                 %1 = param q : f32[]
                 %2 = quantile %0, %1 : f32[]
                 return y = %2",
                &[
                    ("x", Array1::from(elements.clone()).into_dyn()),
                    ("q", arr0(f64::from(hundredth) / 100.0).into_dyn()),
                ],
            );
            assert_eq!(results["y"], arr0(f64::from(hundredth)).into_dyn());
        }
    }

    #[test]
    fn draws_are_those_of_the_runtime() {
        let results = evaluate(
            "%0 = param seed : i32[]
             %1 = const 3.0 : i32[]
             %2 = uniform %0, %1, site 77 : f32[2, 3]
             return draws = %2",
            &[("seed", arr0(-5.0).into_dyn())],
        );
        let expected = (0..6).map(|i| f64::from(spnc_runtime::random::uniform(-5, 3, 77, i))).collect();
        assert_eq!(results["draws"], Array2::from_shape_vec((2, 3), expected).expect("six").into_dyn());
    }

    #[test]
    fn a_missing_or_misshapen_input_is_an_error() {
        let func = parse::func("func f {\n %0 = param x : f32[2]\n}").expect("TIR");
        assert_eq!(run(&func, &|_| None), Err(InputError::Missing("x".into())));
        let wrong = run(&func, &|_| Some(arr0(1.0).into_dyn())).expect_err("a scalar is no vector");
        assert_eq!(wrong.to_string(), "the input x has shape [2], but its value has shape []");
    }

    const THRESHOLD: &str = "func f {
        %0 = param x : f32[]
        %1 = const 1.0 : f32[]
        %2 = ge %0, %1 : bool[]
        %3 = const 0.0 : f32[]
        %4 = select %2, %0, %3 : f32[]
        %5 = with_gradient %4, %0 : f32[]
        %6 = mul %5, %5 : f32[]
        return y = %6
        return x = %5
    }";

    /// hard(x)^2 with the gradient of x^2 by its inner derivative: at 0.5, hard is 0 and its surrogate x - 0.5.
    #[test]
    fn the_surrogate_moves_with_the_gradient() {
        let func = parse::func(THRESHOLD).expect("TIR");
        let mut plan = Plan::new(&func, Keep::All);
        plan.input("x").expect("an input")[0] = 0.5;
        plan.run();
        assert_eq!(plan.result("y").expect("a result")[[]], 0.0);
        plan.freeze();
        plan.input("x").expect("an input")[0] = 0.75;
        plan.run();
        assert_eq!(plan.result("y").expect("a result")[[]], 0.25 * 0.25);
    }

    #[test]
    fn what_depends_on_an_input_is_all_that_changes_with_it() {
        let text = "func f {
            %0 = param x : f32[]\n%1 = param y : f32[]\n%2 = sin %0 : f32[]\n%3 = cos %1 : f32[]
            %4 = mul %2, %3 : f32[]\nreturn z = %4
        }";
        let mut plan = Plan::new(&parse::func(text).expect("TIR"), Keep::All);
        let dependents = plan.dependents("y");
        assert_eq!(dependents, [Value(3), Value(4)]);
        plan.input("x").expect("an input")[0] = 0.5;
        plan.run();
        plan.input("y").expect("an input")[0] = 2.0;
        plan.rerun(&dependents);
        assert_eq!(plan.result("z").expect("a result")[[]], 0.5f64.sin() * 2.0f64.cos());
    }

    #[test]
    fn single_precision_rounds_values_and_leaves_integers() {
        let func = parse::func(
            "func f {
            %0 = param x : f32[]\n%1 = param n : i32[]\n%2 = mul %0, %0 : f32[]\n%3 = add %1, %1 : i32[]
            return square = %2\nreturn twice = %3
        }",
        );
        let given = |name: &str| Some(arr0(if name == "x" { 0.1 } else { 16_777_217.0 }).into_dyn());
        let results = run_in(&func.expect("TIR"), &given, Precision::Single).expect("both inputs");
        assert_eq!(results["square"][[]], f64::from((0.1f64 * 0.1) as f32));
        assert_eq!(results["twice"][[]], 33_554_434.0);
    }

    #[test]
    fn a_result_becomes_the_input_of_its_name() {
        let func = parse::func(THRESHOLD).expect("TIR");
        let mut plan = Plan::new(&func, Keep::Results);
        plan.input("x").expect("an input")[0] = 0.5;
        plan.run();
        plan.commit();
        assert_eq!(plan.input("x").expect("an input")[0], 0.0);
    }

    /// Every assignment of four labels to the axes of two operands and a result.
    fn einsums() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, Vec<u8>)> {
        let subset = |labels: &'static [u8]| prop::sample::subsequence(labels, 0..=labels.len()).prop_shuffle();
        (subset(b"abcd"), subset(b"abcd"), any::<u64>()).prop_flat_map(|(lhs, rhs, drop)| {
            let all = [lhs.clone(), rhs.clone()].concat();
            let kept: Vec<u8> = (b'a'..=b'd')
                .filter(|label| all.contains(label))
                .filter(|label| {
                    let in_both = lhs.contains(label) && rhs.contains(label);
                    !in_both || drop >> (label - b'a') & 1 == 0
                })
                .collect();
            (Just(lhs), Just(rhs), Just(kept).prop_shuffle())
        })
    }

    proptest! {
        #[test]
        fn a_contraction_is_its_sum((lhs, rhs, out) in einsums(), numbers in prop::collection::vec(-4..4, 48)) {
            const SIZES: [usize; 4] = [2, 3, 1, 4];
            let shape = |labels: &[u8]| labels.iter().map(|l| SIZES[usize::from(l - b'a')]).collect::<Vec<_>>();
            let tensor = |labels: &[u8]| {
                let len = shape(labels).iter().product();
                let numbers = numbers.iter().cycle().map(|n| f64::from(*n)).skip(labels.len()).take(len).collect();
                Tensor::from_shape_vec(shape(labels), numbers).expect("the length fits")
            };
            let (a, b) = (tensor(&lhs), tensor(&rhs));
            let text = |labels: &[u8]| String::from_utf8(labels.to_vec()).expect("letters");
            let results = evaluate(
                &format!(
                    "%0 = param a : f32{:?}\n%1 = param b : f32{:?}\n\
                     %2 = contract {},{}->{} %0, %1 : f32{:?}\nreturn y = %2",
                    shape(&lhs), shape(&rhs), text(&lhs), text(&rhs), text(&out), shape(&out),
                ),
                &[("a", a.clone()), ("b", b.clone())],
            );
            let mut expected = Tensor::zeros(shape(&out));
            for (all, _) in Array4::<f64>::zeros(SIZES).indexed_iter() {
                let all = [all.0, all.1, all.2, all.3];
                let absent = |axis: usize| ![&lhs, &rhs].iter().any(|l| l.contains(&(b'a' + axis as u8)));
                if (0..4).any(|axis| absent(axis) && all[axis] > 0) {
                    continue;
                }
                let at = |labels: &[u8]| labels.iter().map(|l| all[usize::from(l - b'a')]).collect::<Vec<_>>();
                expected[at(&out).as_slice()] += a[at(&lhs).as_slice()] * b[at(&rhs).as_slice()];
            }
            prop_assert_eq!(&results["y"], &expected);
        }
    }
}
