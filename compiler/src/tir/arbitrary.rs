//! Random small functions, valid by construction: test support for everything that reads or rewrites TIR.
//!
//! [`func`] reads a list of numbers as a recipe, so that a property test can draw the list and shrink it, and a shorter list
//! gives a shorter function. Every op occurs but `grad`. What it computes is tame: values stay finite, no slope is infinite, and what jumps
//! (comparisons, `floor`, `sign`, conversions, the largest of several; `quantile` aside) is only asked of values that rounding cannot have touched. So with the inputs that [`inputs`] gives,
//! single precision agrees with double precision, and small differences with the derivative.

mod images;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::{Build, Builder};
use super::interp::Tensor;
use super::{DType, Einsum, Func, Op, Origin, Reduction, Type, Value};
use crate::scalar::{Binary, Unary};

/// The function that a list of numbers describes. Its result `loss` (`f32[]`) depends on every value that nothing else
/// uses; some inputs have new values among the results.
pub fn func(recipe: &[u32]) -> Func {
    let mut func = Func::new("random");
    let mut maker = Maker { recipe, func: Builder { func: &mut func, origin: None }, exact: vec![] };
    maker.inputs();
    while !maker.recipe.is_empty() {
        maker.step();
    }
    maker.results();
    func
}

/// Values for the inputs of a function, by name: reals that are exact in single precision, no two of them equal in
/// magnitude, none a multiple of 1/4; small integers; bools.
///
/// # Panics
///
/// If it has more than 2,000 real elements.
pub fn inputs(func: &Func, seed: u32) -> BTreeMap<Arc<str>, Tensor> {
    let mut position = 0;
    let mut number = |dtype| {
        position += 1;
        assert!(position < 2048, "too many elements to tell them apart");
        number(dtype, position, seed)
    };
    let mut tensor = |ty: &Type| Tensor::from_shape_simple_fn(ty.shape.as_slice(), || number(ty.dtype));
    func.params().map(|(name, _, ty)| (Arc::clone(name), tensor(ty))).collect()
}

/// [`inputs`] of which the named ones have zeros: every element whose bit of `kept`, counted modulo 61, is 0.
///
/// # Panics
///
/// As [`inputs`], and if the function has no input of a name.
#[cfg(test)]
pub fn sparse_inputs(func: &Func, seed: u32, names: &[&str], kept: u64) -> BTreeMap<Arc<str>, Tensor> {
    let mut inputs = inputs(func, seed);
    for name in names {
        let tensor = inputs.get_mut(*name).expect("an input of the function");
        tensor.iter_mut().enumerate().filter(|(i, _)| kept >> (i % 61) & 1 == 0).for_each(|(_, x)| *x = 0.0);
    }
    inputs
}

fn number(dtype: DType, position: u32, seed: u32) -> f64 {
    // An odd multiplier visits each of 2048 numbers once.
    let mixed = (position * 1013 + seed % 2048 * 77) % 2048;
    let magnitude = f64::from(2 * mixed + 1) * 3.0 / 8192.0;
    match dtype {
        DType::F32 => {
            if position.is_multiple_of(3) {
                -magnitude
            } else {
                magnitude
            }
        }
        DType::I32 => f64::from(mixed % 7) - 3.0,
        DType::Bool => f64::from(mixed % 2),
    }
}

struct Maker<'a> {
    recipe: &'a [u32],
    func: Builder<'a>,
    /// For each value whether rounding cannot have touched it.
    exact: Vec<bool>,
}

const SIZES: [usize; 7] = [3, 2, 4, 1, 5, 8, 17];
const MAX_LEN: usize = 160;

impl Maker<'_> {
    /// The next number of the recipe, below `n`.
    fn pick(&mut self, n: usize) -> usize {
        match self.recipe.split_first() {
            Some((first, rest)) => {
                self.recipe = rest;
                *first as usize % n
            }
            None => 0,
        }
    }

    fn pick_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.pick(list.len())]
    }

    /// One of the values with the property, the newest first.
    fn pick_value(&mut self, is_fit: impl Fn(&Self, Value) -> bool) -> Value {
        let fit: Vec<Value> = self.func.func.values().rev().filter(|value| is_fit(self, *value)).collect();
        self.pick_of(&fit)
    }

    fn is_exact(&self, value: Value) -> bool {
        self.exact[value.0 as usize]
    }

    fn dtype(&self, value: Value) -> DType {
        self.func.ty(value).dtype
    }

    fn pick_real(&mut self) -> Value {
        self.pick_value(|maker, value| maker.dtype(value) == DType::F32)
    }

    fn pick_like(&mut self, like: Value) -> Value {
        self.pick_value(|maker, value| maker.func.ty(value) == maker.func.ty(like))
    }

    /// Notes what has been built since the last call: exact if `exact` and all operands are.
    fn note(&mut self, exact: bool) {
        while self.exact.len() < self.func.func.defs.len() {
            let operands = self.func.func.defs[self.exact.len()].op.operands();
            let exact = exact && operands.into_iter().all(|operand| self.is_exact(operand));
            self.exact.push(exact);
        }
    }

    fn inputs(&mut self) {
        let (rows, cols, depth) = (self.pick_of(&SIZES), self.pick_of(&SIZES), self.pick_of(&SIZES[..4]));
        let seed = self.input("seed", Type::scalar(DType::I32));
        let step = self.input("step", Type::scalar(DType::I32));
        let draws = Op::Uniform { seed, step, site: 0x1234_5678_9abc };
        for (name, shape) in [("x", vec![rows, cols]), ("w", vec![cols, depth]), ("b", vec![depth]), ("s", vec![])] {
            let _ = self.input(name, Type::f32(shape));
        }
        let _ = self.input("mask", Type::new(DType::Bool, [rows, cols]));
        let _ = self.input("index", Type::new(DType::I32, [rows]));
        let _ = self.func.push(draws, Type::f32([rows, cols]));
        self.note(true);
    }

    fn input(&mut self, name: &str, ty: Type) -> Value {
        self.func.push(Op::Param(name.into()), ty)
    }

    fn step(&mut self) {
        self.func.origin = self.origin();
        let kind = self.pick(19);
        match kind {
            0 => self.leaf(),
            1 => self.smooth_unary(),
            2 => self.jumping_unary(),
            3 => self.binary(),
            4 => self.tame_division(),
            5 => self.comparison(),
            6 => self.logic(),
            7 => self.integer(),
            8 => self.select(),
            9 => self.convert(),
            10 => self.broadcast(),
            11 => self.rearrange(),
            12 => self.reduce(),
            13 => self.contract(),
            14 => self.conv(),
            15 => self.pool(),
            16 => self.moves(),
            17 => self.rows(),
            _ => self.gradient(),
        }
    }

    fn origin(&mut self) -> Option<Arc<Origin>> {
        let place = self.pick_of(&["", "random.spnet:3:7", "my file.spnet:1:1", "-", "ct", "\\s"]);
        let path = self.pick_of(&["", "net.fc1", "ct"]);
        let cotangent = self.pick(3) == 2;
        let is_none = place.is_empty() && path.is_empty();
        (!is_none).then(|| Arc::new(Origin { place: place.into(), path: path.into(), cotangent }))
    }

    fn leaf(&mut self) {
        let like = self.pick_real();
        let ty = self.func.ty(like).clone();
        let number = self.pick_of(&[0.25, 0.0, 1.0, -1.5, 0.1]);
        let _ = match ty.rank() {
            0 => self.func.constant(number, ty),
            rank => {
                let axis = self.pick(rank + 1);
                if axis == rank { self.func.constant(number, ty) } else { self.func.push(Op::Iota(axis), ty) }
            }
        };
        self.note(number != 0.1);
    }

    fn smooth_unary(&mut self) {
        let a = self.pick_real();
        let index = self.pick(10);
        let squashed = self.func.unary(Unary::Tanh, a);
        let _ = match index {
            0 => self.func.unary(Unary::Neg, a),
            1 => self.func.unary(Unary::Exp, squashed),
            2 => self.shifted(squashed, 1.25, Unary::Log),
            3 => self.shifted(squashed, 1.25, Unary::Sqrt),
            4 => self.func.unary(Unary::Erf, a),
            5 => {
                let share = self.func.constant_like(0.875, a);
                let inside = self.func.mul(squashed, share);
                self.func.unary(Unary::ErfInv, inside)
            }
            6 => self.func.unary(Unary::Sigmoid, a),
            7 => self.func.unary(Unary::Sin, squashed),
            8 => self.func.unary(Unary::Cos, squashed),
            _ => self.func.unary(Unary::Abs, a),
        };
        self.note(false);
    }

    fn shifted(&mut self, a: Value, shift: f64, function: Unary) -> Value {
        let shift = self.func.constant_like(shift, a);
        let above_zero = self.func.add(a, shift);
        self.func.unary(function, above_zero)
    }

    fn jumping_unary(&mut self) {
        let a = self.pick_value(|maker, value| maker.is_exact(value) && maker.dtype(value) == DType::F32);
        let function = self.pick_of(&[Unary::Sign, Unary::Floor, Unary::Ceil, Unary::Neg, Unary::Abs]);
        let _ = self.func.unary(function, a);
        self.note(true);
    }

    fn binary(&mut self) {
        let a = self.pick_real();
        let b = self.pick_like(a);
        let function = self.pick_of(&[Binary::Add, Binary::Sub, Binary::Mul, Binary::MulZ, Binary::Min, Binary::Max]);
        let b = match function {
            Binary::Mul | Binary::MulZ => self.func.unary(Unary::Tanh, b),
            // Ties would be kinks.
            Binary::Min | Binary::Max => self.func.constant_like(0.3137, b),
            Binary::Add | Binary::Sub | Binary::Div | Binary::Pow => b,
            Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => b,
            Binary::Eq | Binary::Ne | Binary::And | Binary::Or => b,
        };
        let _ = self.func.binary(function, a, b);
        self.note(false);
    }

    fn tame_division(&mut self) {
        let a = self.pick_real();
        let b = self.pick_like(a);
        let squashed = self.func.unary(Unary::Tanh, b);
        let shift = self.func.constant_like(1.5, squashed);
        let divisor = self.func.add(squashed, shift);
        let _ = match self.pick(2) {
            0 => self.func.binary(Binary::Div, a, divisor),
            _ => {
                let exponent = self.func.unary(Unary::Tanh, a);
                self.func.binary(Binary::Pow, divisor, exponent)
            }
        };
        self.note(false);
    }

    fn comparison(&mut self) {
        let a = self.pick_value(|maker, value| maker.is_exact(value) && maker.dtype(value) != DType::Bool);
        let b = self.pick_value(|maker, value| maker.is_exact(value) && maker.func.ty(value) == maker.func.ty(a));
        let functions = [Binary::Lt, Binary::Le, Binary::Gt, Binary::Ge, Binary::Eq, Binary::Ne];
        let function = self.pick_of(&functions);
        let _ = self.func.binary(function, a, b);
        self.note(true);
    }

    fn logic(&mut self) {
        let a = self.pick_value(|maker, value| maker.dtype(value) == DType::Bool);
        let b = self.pick_like(a);
        let _ = match self.pick(4) {
            0 => self.func.unary(Unary::Not, a),
            1 => self.func.binary(Binary::And, a, b),
            2 => self.func.binary(Binary::Or, a, b),
            _ => self.func.binary(Binary::Eq, a, b),
        };
        self.note(true);
    }

    fn integer(&mut self) {
        let a = self.pick_value(|maker, value| maker.dtype(value) == DType::I32);
        let b = self.pick_like(a);
        let function = self.pick_of(&[Binary::Add, Binary::Sub, Binary::Max, Binary::Min]);
        let _ = self.func.binary(function, a, b);
        self.note(true);
    }

    fn select(&mut self) {
        let condition = self.pick_value(|maker, value| maker.dtype(value) == DType::Bool);
        let shape = self.func.ty(condition).shape.clone();
        let is_fit = |maker: &Self, value: Value| {
            maker.dtype(value) == DType::F32 && maker.func.ty(value).shape == maker.func.ty(condition).shape
        };
        if !self.func.func.values().any(|value| is_fit(self, value)) {
            let _ = self.func.constant(0.5, Type::f32(shape));
            self.note(true);
        }
        let a = self.pick_value(is_fit);
        let b = self.pick_like(a);
        let _ = self.func.select(condition, a, b);
        self.note(true);
    }

    fn convert(&mut self) {
        let a = self.pick_value(Self::is_exact);
        let to = self.pick_of(&[DType::F32, DType::I32, DType::Bool]);
        let _ = self.func.convert(a, to);
        self.note(true);
    }

    fn broadcast(&mut self) {
        let a = self.pick_value(|maker, value| maker.func.ty(value).rank() < 3);
        let mut shape = self.func.ty(a).shape.clone();
        let (axis, size) = (self.pick(shape.len() + 1), self.pick_of(&SIZES));
        shape.insert(axis, size);
        let dims = (0..shape.len()).filter(|dim| *dim != axis).collect();
        if shape.iter().product::<usize>() <= MAX_LEN {
            let _ = self.func.broadcast(a, dims, shape);
        }
        self.note(true);
    }

    fn rearrange(&mut self) {
        let a = self.pick_value(|_, _| true);
        let shape = self.func.ty(a).shape.clone();
        let _ = match self.pick(3) {
            0 => self.func.transpose(a, (0..shape.len()).rev().collect()),
            1 => self.func.reshape(a, vec![shape.iter().product()]),
            _ => self.func.reshape(a, [vec![1], shape].concat()),
        };
        self.note(true);
    }

    fn reduce(&mut self) {
        let a = self.pick_value(|maker, value| maker.dtype(value) != DType::Bool);
        let chosen = self.pick(8);
        let axes = (0..self.func.ty(a).rank()).filter(|axis| chosen >> axis & 1 == 0).collect();
        let how = self.pick_of(&Reduction::ALL);
        let _ = self.func.reduce(how, a, axes);
        self.note(how != Reduction::Sum);
    }

    fn contract(&mut self) {
        let (a, b) = (self.pick_real(), self.pick_real());
        let (a_shape, b_shape) = (self.func.ty(a).shape.clone(), self.func.ty(b).shape.clone());
        let lhs: Vec<u8> = (b'a'..).take(a_shape.len()).collect();
        let mut rhs: Vec<u8> = (b'p'..).take(b_shape.len()).collect();
        for (label, size) in rhs.iter_mut().zip(&b_shape) {
            let used = self.pick(lhs.len() + 1);
            if a_shape.get(used) == Some(size) {
                *label = lhs[used];
            }
        }
        let mut out: Vec<u8> = lhs.iter().copied().filter(|label| !rhs.contains(label) || self.pick(2) == 1).collect();
        out.extend(rhs.iter().filter(|label| !lhs.contains(label)));
        let turn = usize::from(!out.is_empty());
        out.rotate_left(turn);
        let is_proper = rhs.iter().all(|x| rhs.iter().filter(|y| x == *y).count() == 1);
        let einsum = Einsum { lhs, rhs, out };
        let len: usize = einsum.out_shape(self.func.ty(a), self.func.ty(b)).iter().product();
        if is_proper && len <= MAX_LEN {
            let squashed = self.func.unary(Unary::Tanh, b);
            let _ = self.func.contract(einsum, a, squashed);
        }
        self.note(false);
    }

    fn gradient(&mut self) {
        let a = self.pick_real();
        let b = self.pick_like(a);
        let ty = self.func.ty(a).clone();
        let _ = match self.pick(2) {
            0 => self.func.push(Op::WithGradient(a, b), ty),
            _ => {
                let list = self.func.reshape(a, vec![ty.len()]);
                let share = self.func.constant(0.37, Type::f32([]));
                self.func.push(Op::Quantile(list, share), Type::f32([]))
            }
        };
        self.note(false);
    }

    fn results(&mut self) {
        self.func.origin = None;
        let mut unused: Vec<Value> = self.func.func.values().collect();
        for def in &self.func.func.defs {
            unused.retain(|value| !def.op.operands().contains(value));
        }
        let terms: Vec<Value> = unused.into_iter().map(|value| self.term(value)).collect();
        let zero = self.func.constant(0.0, Type::f32([]));
        let loss = terms.into_iter().fold(zero, |sum, term| self.func.add(sum, term));
        let update = self.pick_like(Value(2));
        let Func { defs, results, .. } = &mut *self.func.func;
        results.push(("loss".into(), loss));
        if let Op::Param(name) = &defs[2].op {
            results.push((Arc::clone(name), update));
        }
    }

    /// The mean of a value's elements.
    fn term(&mut self, value: Value) -> Value {
        let real = self.func.convert(value, DType::F32);
        let axes = (0..self.func.ty(real).rank()).collect();
        let sum = self.func.reduce(Reduction::Sum, real, axes);
        let share = 1.0 / self.func.ty(real).len() as f64;
        let share = self.func.constant(share, Type::f32([]));
        self.func.mul(sum, share)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tir::{interp, parse, verify};

    fn recipes() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(any::<u32>(), 0..120)
    }

    proptest! {
        #[test]
        fn random_functions_are_valid(recipe in recipes()) {
            let func = func(&recipe);
            prop_assert_eq!(verify::verify(&func), Ok(()), "{}", func);
        }

        #[test]
        fn what_is_printed_is_read_back(recipe in recipes()) {
            let func = func(&recipe);
            prop_assert_eq!(parse::func(&func.to_string()), Ok(func));
        }

        #[test]
        fn random_functions_stay_finite(recipe in recipes(), seed: u32) {
            let func = func(&recipe);
            let inputs = inputs(&func, seed);
            let results = interp::run(&func, &|name| inputs.get(name).cloned()).expect("every input");
            prop_assert!(results["loss"].iter().all(|x| x.is_finite()), "{}", func);
        }

        #[test]
        fn shared_buffers_change_nothing(recipe in recipes()) {
            let func = func(&recipe);
            let inputs = inputs(&func, 1);
            let evaluate = |keep| {
                let mut plan = interp::Plan::new(&func, keep);
                plan.set_inputs(&|name| inputs.get(name).cloned()).expect("every input");
                plan.run();
                plan.results().map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
            };
            prop_assert_eq!(evaluate(interp::Keep::Results), evaluate(interp::Keep::All));
        }
    }
}
