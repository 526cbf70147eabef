//! Makes given factors and summands part of given weights.
//!
//! A batch norm with given statistics multiplies each channel of a convolution by a number and adds one. Where the weights are
//! given as well, they can have the factor in them once and for all, and whatever is added becomes one sum. The same goes for
//! matrix products.

use std::collections::BTreeMap;

use super::dce;
use super::rewrite::count_uses;
use crate::scalar::{Binary, Unary};
use crate::tir::build::{Build, Builder};
use crate::tir::zeros::depends;
use crate::tir::{Func, Op, Type, Value};
use crate::window::ConvRole;

/// The function with that done, whose inputs of these names are given.
pub fn absorb(func: &Func, is_given: &dyn Fn(&str) -> bool) -> Func {
    let varies = depends(func, &|name| !is_given(name));
    let mut absorption = Absorption {
        old: func,
        users: users(func),
        varies,
        func: Func::new(func.name.clone()),
        new: vec![],
        chains: BTreeMap::new(),
        shifted: BTreeMap::new(),
    };
    func.values().for_each(|value| absorption.write(value));
    let Absorption { func: mut written, new, .. } = absorption;
    written.results = func.results.iter().map(|(name, value)| (name.clone(), new[value.0 as usize])).collect();
    dce::prune(&mut written);
    written
}

/// For each value that is used once, and not as a result, the one that uses it.
fn users(func: &Func) -> Vec<Option<Value>> {
    let uses = count_uses(func);
    let mut users = vec![None; func.defs.len()];
    for user in func.values() {
        for operand in func.def(user).op.operands() {
            users[operand.0 as usize] = (uses[operand.0 as usize] == 1).then_some(user);
        }
    }
    users
}

/// What is linear in given weights.
#[derive(Clone, Copy)]
struct Linear {
    /// Which value, of the old function.
    value: Value,
    /// Which of its operands the weights are, and along which of their axes each element of the result has its own.
    operand: usize,
    axis: usize,
    /// This axis of the result.
    along: usize,
}

/// `linear * scale + shift`; both are vectors of the new function.
#[derive(Clone, Copy)]
struct Chain {
    linear: Linear,
    scale: Option<Value>,
    shift: Option<Value>,
}

/// What is done to an element of a chain with an element of a given vector.
#[derive(Clone, Copy)]
enum Link {
    Add,
    Subtract,
    SubtractFrom,
    Multiply,
    Divide,
}

struct Absorption<'a> {
    old: &'a Func,
    users: Vec<Option<Value>>,
    /// Which values of the old function depend on what is not given.
    varies: Vec<bool>,
    /// The new function, and what is there of the old one's values.
    func: Func,
    new: Vec<Value>,
    /// Values of the old function that go into the next one and are not written themselves.
    chains: BTreeMap<Value, Chain>,
    /// Sums of the new function: what a vector is added to, the vector and its axis.
    shifted: BTreeMap<Value, (Value, Value, usize)>,
}

impl Absorption<'_> {
    fn write(&mut self, value: Value) {
        let written = match self.chain(value) {
            Some(chain) if self.continues(value, chain.linear.along) => {
                let _ = self.chains.insert(value, chain);
                Value(u32::MAX)
            }
            Some(chain) => self.write_chain(value, chain),
            None => self.write_op(value),
        };
        self.new.push(written);
    }

    fn builder(&mut self, origin: Value) -> Builder<'_> {
        Builder { func: &mut self.func, origin: self.old.def(origin).origin.clone() }
    }

    fn write_op(&mut self, value: Value) -> Value {
        let mut op = self.old.def(value).op.clone();
        op.operands_mut().into_iter().for_each(|operand| *operand = self.new[operand.0 as usize]);
        if let Op::Binary(Binary::Add, a, b) = op
            && let Some(sum) = self.write_sum(value, [a, b])
        {
            return sum;
        }
        let ty = self.old.ty(value).clone();
        self.builder(value).push(op, ty)
    }

    /// Of two sums with given vectors, one with both vectors together and what is left of the other: `(x + (a + b)) + y`.
    fn write_sum(&mut self, value: Value, [x, y]: [Value; 2]) -> Option<Value> {
        let ((x, a, along), (y, b, other)) = (*self.shifted.get(&x)?, *self.shifted.get(&y)?);
        (along == other).then(|| {
            let shape = self.old.ty(value).shape.clone();
            let mut build = self.builder(value);
            let both = build.add(a, b);
            let both = build.broadcast(both, vec![along], shape);
            let x = build.add(x, both);
            build.add(x, y)
        })
    }

    fn write_chain(&mut self, value: Value, chain: Chain) -> Value {
        let Chain { linear: Linear { value: linear, operand, axis, along }, scale, shift } = chain;
        let (ty, mut op) = (self.old.ty(linear).clone(), self.old.def(linear).op.clone());
        op.operands_mut().into_iter().for_each(|operand| *operand = self.new[operand.0 as usize]);
        let mut build = self.builder(linear);
        if let Some(scale) = scale {
            let weights = op.operands()[operand];
            let shape = build.ty(weights).shape.clone();
            let scale = build.broadcast(scale, vec![axis], shape);
            *op.operands_mut()[operand] = build.mul(weights, scale);
        }
        let product = build.push(op, ty.clone());
        let Some(shift) = shift else { return product };
        let mut build = self.builder(value);
        let repeated = build.broadcast(shift, vec![along], ty.shape);
        let sum = build.add(product, repeated);
        let _ = self.shifted.insert(sum, (product, shift, along));
        sum
    }

    /// A value that is linear in given weights, or a link behind one that was not written.
    fn chain(&mut self, value: Value) -> Option<Chain> {
        if let Some(linear) = self.linear(value) {
            return Some(Chain { linear, scale: None, shift: None });
        }
        let (base, link, operand) = self.link(value)?;
        let chain = *self.chains.get(&base)?;
        let vector = self.vector(value, operand, chain.linear.along);
        Some(self.linked(value, chain, link, vector))
    }

    /// Whether a value is used by a link alone that can take up a chain along this axis.
    fn continues(&self, value: Value, along: usize) -> bool {
        self.users[value.0 as usize].is_some_and(|user| {
            self.link(user).is_some_and(|(base, _, operand)| base == value && self.is_vector(operand, along))
        })
    }

    fn linear(&self, value: Value) -> Option<Linear> {
        let is_given = |operand: Value| !self.varies[operand.0 as usize];
        let op = &self.old.def(value).op;
        if let Op::Conv { role: ConvRole::Forward, a, b, .. } = op
            && is_given(*b)
            && !is_given(*a)
        {
            return Some(Linear { value, operand: 1, axis: 3, along: 3 });
        }
        let Op::Contract(einsum, a, b) = op else { return None };
        let (operand, own, other) = match (is_given(*a), is_given(*b)) {
            (true, false) => (0, &einsum.lhs, &einsum.rhs),
            (false, true) => (1, &einsum.rhs, &einsum.lhs),
            (true, true) | (false, false) => return None,
        };
        let mut labels = einsum.out.iter().filter(|label| own.contains(label) && !other.contains(label));
        let (label, None) = (labels.next()?, labels.next()) else { return None };
        let place = |labels: &[u8]| labels.iter().position(|other| other == label);
        Some(Linear { value, operand, axis: place(own)?, along: place(&einsum.out)? })
    }

    /// What varies, what is done to it and the given tensor that it is done with.
    fn link(&self, value: Value) -> Option<(Value, Link, Value)> {
        let Op::Binary(how, a, b) = self.old.def(value).op else { return None };
        let link = match (how, self.varies[a.0 as usize], self.varies[b.0 as usize]) {
            (Binary::Add, true, false) | (Binary::Add, false, true) => Link::Add,
            (Binary::Sub, true, false) => Link::Subtract,
            (Binary::Sub, false, true) => Link::SubtractFrom,
            (Binary::Mul, true, false) | (Binary::Mul, false, true) => Link::Multiply,
            (Binary::Div, true, false) => Link::Divide,
            _ => return None,
        };
        Some(if self.varies[a.0 as usize] { (a, link, b) } else { (b, link, a) })
    }

    /// Whether a given tensor is the same everywhere but along this axis.
    fn is_vector(&self, given: Value, along: usize) -> bool {
        let op = &self.old.def(given).op;
        let is_repeated = |dims: &[usize]| dims.is_empty() || *dims == [along];
        matches!(op, Op::Const(_)) || matches!(op, Op::Broadcast(_, dims) if is_repeated(dims))
    }

    /// Its elements along the axis, where [`Self::is_vector`] holds.
    fn vector(&mut self, origin: Value, given: Value, along: usize) -> Value {
        let def = self.old.def(given);
        let len = def.ty.shape[along];
        if let Op::Const(number) = def.op {
            return self.builder(origin).constant(number, Type::f32([len]));
        }
        let Op::Broadcast(a, dims) = &def.op else { panic!("{given} is not a vector") };
        let a = self.new[a.0 as usize];
        if dims.is_empty() { self.builder(origin).broadcast(a, vec![], vec![len]) } else { a }
    }

    fn linked(&mut self, origin: Value, chain: Chain, link: Link, vector: Value) -> Chain {
        let Chain { linear, scale, shift } = chain;
        let mut build = self.builder(origin);
        let mut with = |how, a: Option<Value>| a.map(|a| build.binary(how, a, vector));
        match link {
            Link::Add => Chain { shift: with(Binary::Add, shift).or(Some(vector)), ..chain },
            Link::Subtract => {
                let shift = with(Binary::Sub, shift).unwrap_or_else(|| build.unary(Unary::Neg, vector));
                Chain { shift: Some(shift), ..chain }
            }
            Link::SubtractFrom => {
                let scale = match scale {
                    Some(scale) => build.unary(Unary::Neg, scale),
                    None => build.constant_like(-1.0, vector),
                };
                let shift = shift.map_or(vector, |shift| build.binary(Binary::Sub, vector, shift));
                Chain { linear, scale: Some(scale), shift: Some(shift) }
            }
            Link::Multiply => {
                let scale = with(Binary::Mul, scale).or(Some(vector));
                Chain { linear, scale, shift: with(Binary::Mul, shift) }
            }
            Link::Divide => {
                let (scale, shift) = (with(Binary::Div, scale), with(Binary::Div, shift));
                let scale = scale.unwrap_or_else(|| {
                    let one = build.constant_like(1.0, vector);
                    build.binary(Binary::Div, one, vector)
                });
                Chain { linear, scale: Some(scale), shift }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::{self, hoist::hoist};
    use crate::tir::interp::{self, Tensor};
    use crate::tir::parse;

    /// What is left to be computed once everything but `x` and `z` is given, which must be as much as before.
    fn rest(lines: &str) -> String {
        let func = parse::func(&format!("func net {{\n{lines}\n}}\n")).expect("a function");
        let is_given = |name: &str| !["x", "z"].contains(&name);
        let mut absorbed = absorb(&func, &is_given);
        let inputs = |name: &str| {
            let (_, _, ty) = func.params().find(|(param, ..)| &***param == name)?;
            let mut next = name.len() as f64 + f64::from(name.as_bytes()[0]);
            Some(Tensor::from_shape_simple_fn(ty.shape.as_slice(), || {
                next = (next * 1.7 + 0.3) % 2.0;
                next + 0.1
            }))
        };
        let [expected, found] = [&func, &absorbed].map(|func| interp::run(func, &inputs).expect("inputs for all"));
        for ((name, expected), found) in expected.iter().zip(found.values()) {
            for (a, b) in expected.iter().zip(found) {
                assert!((a - b).abs() <= 1e-12 * (1.0 + a.abs()), "{name}: {a} became {b}\n{absorbed}");
            }
        }
        pass::run(&mut absorbed, pass::O1, |_, _| {});
        let rest = hoist(&absorbed, &is_given).rest;
        let ops = rest.defs.iter().filter(|def| !matches!(def.op, Op::Param(_) | Op::Broadcast(..) | Op::Const(_)));
        let name = |op: &Op| {
            if let Op::Binary(how, ..) = op {
                return how.to_string();
            }
            if let Op::Unary(how, _) = op {
                return how.to_string();
            }
            assert!(matches!(op, Op::Conv { .. } | Op::Contract(..)), "{op:?} was not there");
            (if matches!(op, Op::Conv { .. }) { "conv" } else { "contract" }).into()
        };
        ops.map(|def| name(&def.op)).collect::<Vec<_>>().join(" ")
    }

    const CONV: &str = "%0 = param x : f32[2, 4, 4, 2]
  %1 = param w : f32[3, 3, 2, 3]
  %2 = conv %0, %1, window [3, 3] pad [1, 1] [1, 1], groups 1 : f32[2, 4, 4, 3]
  %3 = param m : f32[3]
  %4 = broadcast %3, [3] : f32[2, 4, 4, 3]
  %5 = param s : f32[3]
  %6 = broadcast %5, [3] : f32[2, 4, 4, 3]
  %7 = param b : f32[3]
  %8 = broadcast %7, [3] : f32[2, 4, 4, 3]
";

    #[test]
    fn a_batch_norm_leaves_one_sum_behind_a_convolution() {
        let norm = "%9 = sub %2, %4 : f32[2, 4, 4, 3]
            %10 = mul %9, %6 : f32[2, 4, 4, 3]
            %11 = add %10, %8 : f32[2, 4, 4, 3]
            return y = %11";
        assert_eq!(rest(&format!("{CONV}{norm}")), "conv add");
    }

    #[test]
    fn all_that_is_linear_is_absorbed() {
        let chain = "%9 = sub %4, %2 : f32[2, 4, 4, 3]
            %10 = const 0.5 : f32[2, 4, 4, 3]
            %11 = mul %10, %9 : f32[2, 4, 4, 3]
            %12 = div %11, %6 : f32[2, 4, 4, 3]
            %13 = sub %12, %8 : f32[2, 4, 4, 3]
            %14 = sub %8, %13 : f32[2, 4, 4, 3]
            %15 = tanh %14 : f32[2, 4, 4, 3]
            return y = %15";
        assert_eq!(rest(&format!("{CONV}{chain}")), "conv add tanh");
        let product = "%0 = param x : f32[5, 2]
            %1 = param w : f32[2, 3]
            %2 = contract ab,bc->ca %0, %1 : f32[3, 5]
            %3 = param s : f32[3]
            %4 = broadcast %3, [0] : f32[3, 5]
            %5 = div %2, %4 : f32[3, 5]
            %6 = param t : f32[]
            %7 = broadcast %6, [] : f32[3, 5]
            %8 = mul %5, %7 : f32[3, 5]
            return y = %8";
        assert_eq!(rest(product), "contract");
    }

    #[test]
    fn two_branches_have_one_sum_of_what_is_given() {
        let branches = "%9 = add %2, %4 : f32[2, 4, 4, 3]
            %10 = param v : f32[3, 3, 2, 3]
            %11 = conv %0, %10, window [3, 3] pad [1, 1] [1, 1], groups 1 : f32[2, 4, 4, 3]
            %12 = add %11, %8 : f32[2, 4, 4, 3]
            %13 = add %9, %12 : f32[2, 4, 4, 3]
            return y = %13";
        assert_eq!(rest(&format!("{CONV}{branches}")), "conv conv add add");
    }

    #[test]
    fn what_varies_or_is_used_twice_stays() {
        for (lines, left) in [
            // Both the convolution and its product are needed.
            ("%9 = mul %2, %6 : f32[2, 4, 4, 3]\n return y = %9\n return sums = %2", "conv mul"),
            // The factor is another one for each sample.
            (
                "%9 = param z : f32[3]
                 %10 = broadcast %9, [3] : f32[2, 4, 4, 3]
                 %11 = mul %2, %10 : f32[2, 4, 4, 3]
                 return y = %11",
                "conv mul",
            ),
            // The factor is another one for each column, not for each channel.
            (
                "%9 = param c : f32[4]
                 %10 = broadcast %9, [2] : f32[2, 4, 4, 3]
                 %11 = mul %2, %10 : f32[2, 4, 4, 3]
                 return y = %11",
                "conv mul",
            ),
            ("%9 = div %6, %2 : f32[2, 4, 4, 3]\n return y = %9", "conv div"),
        ] {
            assert_eq!(rest(&format!("{CONV}{lines}")), left, "{lines}");
        }
    }
}
