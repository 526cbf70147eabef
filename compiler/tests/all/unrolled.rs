//! Unrolled recurrences: functions of thousands of definitions, through differentiation and every pass.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spnc::ad;
use spnc::pass;
use spnc::scalar::{Binary, Unary};
use spnc::tir::build::{Build, Builder};
use spnc::tir::interp::{Tensor, run};
use spnc::tir::{Einsum, Func, Op, Reduction, Type, Value, verify};

const BATCH: usize = 2;
const WIDTH: usize = 8;

/// A cell with four gates over `steps` steps, the mean square of all its outputs, and its derivatives by the weights.
fn lstm(steps: usize) -> Func {
    let mut func = Func::new("lstm");
    let mut cell = Cell::new(&mut func, steps);
    let [mut h, mut c] = [cell.f.constant(0.0, state()); 2];
    let mut outputs = vec![];
    for step in 0..steps {
        (h, c) = cell.step(step, h, c);
        outputs.push(cell.f.reshape(h, vec![1, BATCH, WIDTH]));
    }
    let loss = cell.loss(outputs);
    let params = cell.params;
    for (name, param) in params {
        let ty = func.ty(param).clone();
        let grad = func.push(Op::Grad(loss, param), ty, None);
        func.results.push((format!("grad.{name}").into(), grad));
    }
    func.results.push(("loss".into(), loss));
    func
}

fn state() -> Type {
    Type::f32([BATCH, WIDTH])
}

struct Cell<'a> {
    f: Builder<'a>,
    x: Value,
    params: [(&'static str, Value); 3],
}

impl<'a> Cell<'a> {
    fn new(func: &'a mut Func, steps: usize) -> Cell<'a> {
        let mut f = Builder { func, origin: None };
        let mut input = |name: &str, shape: &[usize]| f.push(Op::Param(name.into()), Type::f32(shape));
        let x = input("x", &[steps, BATCH, WIDTH]);
        let params = [
            ("w", input("w", &[WIDTH, 4 * WIDTH])),
            ("u", input("u", &[WIDTH, 4 * WIDTH])),
            ("b", input("b", &[4 * WIDTH])),
        ];
        Cell { f, x, params }
    }

    fn step(&mut self, step: usize, h: Value, c: Value) -> (Value, Value) {
        let f = &mut self.f;
        let [(_, w), (_, u), (_, b)] = self.params;
        let product = || Einsum { lhs: vec![b'i', b'j'], rhs: vec![b'j', b'k'], out: vec![b'i', b'k'] };
        let x = f.slice(vec![step, 0, 0], vec![1; 3], self.x, vec![1, BATCH, WIDTH]);
        let x = f.reshape(x, vec![BATCH, WIDTH]);
        let from_x = f.contract(product(), x, w);
        let from_h = f.contract(product(), h, u);
        let sum = f.add(from_x, from_h);
        let bias = f.broadcast(b, vec![1], vec![BATCH, 4 * WIDTH]);
        let gates = f.add(sum, bias);
        let mut gate = |i: usize, function| {
            let part = f.slice(vec![0, i * WIDTH], vec![1; 2], gates, vec![BATCH, WIDTH]);
            f.unary(function, part)
        };
        let [input, forget, output] = [0, 1, 2].map(|i| gate(i, Unary::Sigmoid));
        let new = gate(3, Unary::Tanh);
        let kept = f.mul(forget, c);
        let added = f.mul(input, new);
        let c = f.add(kept, added);
        let squashed = f.unary(Unary::Tanh, c);
        (f.mul(output, squashed), c)
    }

    fn loss(&mut self, outputs: Vec<Value>) -> Value {
        let f = &mut self.f;
        let all = f.concat(outputs, 0);
        let two = f.constant_like(2.0, all);
        let square = f.binary(Binary::Pow, all, two);
        f.reduce(Reduction::Sum, square, vec![0, 1, 2])
    }
}

fn inputs(func: &Func) -> BTreeMap<Arc<str>, Tensor> {
    let number = |i: usize| ((i * 37) % 101) as f64 * 0.02 - 1.0;
    let tensor = |ty: &Type| {
        let numbers = (0..ty.len()).map(number).collect();
        Tensor::from_shape_vec(ty.shape.as_slice(), numbers).expect("as long as its type")
    };
    func.params().map(|(name, _, ty)| (Arc::clone(name), tensor(ty))).collect()
}

fn optimised(steps: usize) -> Func {
    let mut func = lstm(steps);
    pass::run(&mut func, pass::BEFORE_GRAD, |_, _| ());
    let mut func = ad::grad(&func);
    pass::run(&mut func, pass::O1, |_, _| ());
    func
}

#[test]
fn passes_keep_the_meaning_of_a_recurrence() {
    let before = ad::grad(&lstm(6));
    verify::assert_valid(&before, "differentiating");
    let inputs = inputs(&before);
    let [expected, found] =
        [before, optimised(6)].map(|func| run(&func, &|name| inputs.get(name).cloned()).expect("every input"));
    for (name, expected) in &expected {
        let far = expected.iter().zip(&found[name]).find(|(a, b)| (*a - *b).abs() > 1e-12 * (1.0 + a.abs()));
        assert_eq!(far, None, "{name}");
    }
}

fn count(func: &Func, is_counted: impl Fn(&Op) -> bool) -> usize {
    func.defs.iter().filter(|def| is_counted(&def.op)).count()
}

/// Each step leaves its own products; the derivative by a parameter is one product over all steps.
#[test]
fn the_derivative_by_a_parameter_is_one_product() {
    for steps in [3, 9] {
        let func = optimised(steps);
        // The first state is zero: neither it nor its derivative needs a product.
        let products = steps + 2 * (steps - 1) + 2;
        assert_eq!(count(&func, |op| matches!(op, Op::Contract(..))), products, "{func}");
        assert_eq!(count(&func, |op| matches!(op, Op::Reduce(..))), 2, "{func}");
        assert_eq!(count(&func, |op| matches!(op, Op::Pad { .. })), 0, "{func}");
    }
}

#[test]
fn definitions_and_time_are_in_proportion_to_the_steps() {
    let start = Instant::now();
    let [short, long] = [32, 128].map(|steps| optimised(steps).defs.len());
    assert!(long < 4 * short + 8, "{short} definitions became {long}");
    // Two hundred times what it takes: a square of the number of steps would take longer.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}
