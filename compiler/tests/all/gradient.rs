//! The derivative of every op against central differences in `f64`, away from kinks; at kinks against the convention; and
//! random functions.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use spnc::ad;
use spnc::ad::check::{Report, check};
use spnc::scalar::{Binary, Unary};
use spnc::tir::build::{Build, Builder};
use spnc::tir::interp::{Tensor, run};
use spnc::tir::{DType, Func, Op, Reduction, Type, Value, arbitrary, parse, verify};

/// A function of inputs to a result `y`, and the inputs.
struct Case {
    body: String,
    inputs: BTreeMap<String, Tensor>,
}

impl Case {
    /// `body` calls its inputs `a`, `b`, …; these are their elements, as their declarations shape them.
    fn new(body: impl Into<String>, inputs: &[&[f64]]) -> Case {
        let body = body.into();
        let func = parse::func(&format!("func case {{\n{body}\n}}")).unwrap_or_else(|e| panic!("{e}\n{body}"));
        let shaped = func.params().zip(inputs).map(|((name, _, ty), numbers)| {
            let tensor = ArrayD::from_shape_vec(IxDyn(&ty.shape), numbers.to_vec()).expect("as many as declared");
            (name.to_string(), tensor)
        });
        let inputs: BTreeMap<String, Tensor> = shaped.collect();
        assert_eq!(inputs.len(), func.params().count(), "every input has numbers");
        Case { body, inputs }
    }

    /// An elementwise function of `a` (and `b`).
    fn elementwise(op: &str, operands: &[&[f64]]) -> Case {
        let n = operands[0].len();
        let names = ["a", "b", "c"];
        let params: Vec<String> =
            (0..operands.len()).map(|i| format!("%{i} = param {} : f32[{n}]", names[i])).collect();
        let args: Vec<String> = (0..operands.len()).map(|i| format!("%{i}")).collect();
        let y = operands.len();
        let body = format!("{}\n%{y} = {op} {} : f32[{n}]\nreturn y = %{y}", params.join("\n"), args.join(", "));
        Case::new(body, operands)
    }

    /// A comparison: its truth as a number.
    fn comparison(op: &str, a: &[f64], b: &[f64]) -> Case {
        let n = a.len();
        let body = format!(
            "%0 = param a : f32[{n}]\n%1 = param b : f32[{n}]\n%2 = {op} %0, %1 : bool[{n}]
             %3 = convert %2 : f32[{n}]\n%4 = mul %3, %0 : f32[{n}]\nreturn y = %4"
        );
        Case::new(body, &[a, b])
    }

    /// The case with the objective `sum (1 + i) y_i`, and the derivatives by every real input.
    fn gradient(&self) -> Func {
        let mut func = parse::func(&format!("func case {{\n{}\n}}", self.body)).expect("read before");
        verify::assert_valid(&func, "writing the case");
        let y = func.result("y").expect("a case has the result y");
        let objective = weighted_sum(&mut func, y);
        func.results.push(("objective".into(), objective));
        with_gradients(func)
    }

    fn check(&self) -> Report {
        check(&self.gradient(), &|name| self.inputs.get(name).cloned()).expect("a case has all inputs")
    }

    /// The derivative by `a`, elementwise, of a case with one output element for each of `a`.
    fn slopes(&self) -> Vec<f64> {
        let results = run(&self.gradient(), &|name| self.inputs.get(name).cloned()).expect("a case has all inputs");
        results["grad.a"].iter().enumerate().map(|(i, ct)| ct / (1 + i) as f64).collect()
    }
}

fn weighted_sum(func: &mut Func, y: Value) -> Value {
    let mut build = Builder { func, origin: None };
    let n = build.ty(y).len();
    let line = build.reshape(y, vec![n]);
    let index = build.push(Op::Iota(0), Type::f32([n]));
    let one = build.constant(1.0, Type::f32([n]));
    let weight = build.add(index, one);
    let product = build.mul(weight, line);
    build.reduce(Reduction::Sum, product, vec![0])
}

/// The function with a result `grad.<input>` for every real input.
fn with_gradients(func: Func) -> Func {
    let grad = ad::grad(&asking_for_gradients(func));
    verify::assert_valid(&grad, "differentiating");
    grad
}

fn asking_for_gradients(mut func: Func) -> Func {
    let objective = func.result("objective").expect("a function to differentiate has an objective");
    let params: Vec<_> = func.params().map(|(name, value, ty)| (name.clone(), value, ty.clone())).collect();
    for (name, value, ty) in params.into_iter().filter(|(_, _, ty)| ty.dtype == DType::F32) {
        let grad = func.push(Op::Grad(objective, value), ty, None);
        func.results.push((format!("grad.{name}").into(), grad));
    }
    func
}

/// Numbers on both sides of 0 and away from every kink.
const POINTS: &[f64] = &[0.3, -0.7, 1.6, -2.4, 0.05];
const OTHERS: &[f64] = &[1.1, 0.4, -0.8, 2.7, -0.2];
const POSITIVE: &[f64] = &[0.3, 0.7, 1.6, 2.4, 0.05];
const SHARES: &[f64] = &[0.3, -0.7, 0.95, -0.1, 0.02];

/// Exhaustive: a new function does not compile until it has a case.
fn unary_case(f: Unary) -> Case {
    match f {
        Unary::Neg | Unary::Abs | Unary::Sign | Unary::Exp | Unary::Erf | Unary::Tanh | Unary::Sigmoid => {
            Case::elementwise(f.name(), &[POINTS])
        }
        Unary::Sin | Unary::Cos | Unary::Floor | Unary::Ceil => Case::elementwise(f.name(), &[POINTS]),
        Unary::Sqrt | Unary::Log => Case::elementwise(f.name(), &[POSITIVE]),
        Unary::ErfInv => Case::elementwise(f.name(), &[SHARES]),
        Unary::Not => Case::new(
            "%0 = param a : f32[2]\n%1 = const 0.5 : f32[2]\n%2 = gt %0, %1 : bool[2]\n%3 = not %2 : bool[2]
             %4 = select %3, %0, %1 : f32[2]\nreturn y = %4",
            &[&[0.1, 0.7]],
        ),
    }
}

fn binary_case(f: Binary) -> Case {
    match f {
        Binary::Add | Binary::Sub | Binary::Mul | Binary::MulZ | Binary::Div | Binary::Min | Binary::Max => {
            Case::elementwise(f.name(), &[POINTS, OTHERS])
        }
        Binary::Pow => Case::elementwise(f.name(), &[POSITIVE, OTHERS]),
        Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge | Binary::Eq | Binary::Ne => {
            Case::comparison(f.name(), POINTS, OTHERS)
        }
        Binary::And | Binary::Or => Case::new(
            format!(
                "%0 = param a : f32[3]\n%1 = const 0.5 : f32[3]\n%2 = gt %0, %1 : bool[3]\n%3 = lt %0, %1 : bool[3]
                 %4 = {f} %2, %3 : bool[3]\n%5 = select %4, %0, %1 : f32[3]\nreturn y = %5"
            ),
            &[&[0.1, 0.7, 0.9]],
        ),
    }
}

/// The cases of the ops that are not elementwise functions.
fn other_cases() -> Vec<Case> {
    let matrix: Vec<f64> = (0..6).map(|i| f64::from(i * i) * 0.3 - 1.75).collect();
    let other: Vec<f64> = (0..12).map(|i| f64::from(i * 7 % 12) * 0.2 - 1.1).collect();
    let of_matrix = |body: &str| Case::new(format!("%0 = param a : f32[2, 3]\n{body}"), &[&matrix]);
    let of_two = |body: &str| {
        Case::new(format!("%0 = param a : f32[2, 3]\n%1 = param b : f32[3, 4]\n{body}"), &[&matrix, &other])
    };
    let mut cases = vec![
        of_matrix("%1 = const 2.0 : f32[2, 3]\n%2 = iota 1 : f32[2, 3]\n%3 = mul %1, %2 : f32[2, 3]\n%4 = mul %3, %0 : f32[2, 3]\nreturn y = %4"),
        of_matrix("%1 = const 0.0 : f32[2, 3]\n%2 = gt %0, %1 : bool[2, 3]\n%3 = mul %0, %0 : f32[2, 3]\n%4 = select %2, %0, %3 : f32[2, 3]\nreturn y = %4"),
        of_matrix("%1 = convert %0 : i32[2, 3]\n%2 = convert %1 : f32[2, 3]\n%3 = mul %2, %0 : f32[2, 3]\nreturn y = %3"),
        of_matrix("%1 = convert %0 : f32[2, 3]\nreturn y = %1"),
        of_matrix("%1 = broadcast %0, [0, 2] : f32[2, 4, 3]\nreturn y = %1"),
        of_matrix("%1 = transpose %0, [1, 0] : f32[3, 2]\nreturn y = %1"),
        of_matrix("%1 = reshape %0 : f32[3, 2]\nreturn y = %1"),
        of_two("%2 = contract ij,jk->ik %0, %1 : f32[2, 4]\nreturn y = %2"),
        of_two("%2 = contract ij,jk->kj %0, %1 : f32[4, 3]\nreturn y = %2".replace("kj", "kij").replace("[4, 3]", "[4, 2, 3]").as_str()),
        Case::new("%0 = param a : f32[2, 3]\n%1 = contract ij,ij-> %0, %0 : f32[]\nreturn y = %1", &[&matrix]),
        Case::new(
            "%0 = param seed : i32[]\n%1 = param a : f32[4]\n%2 = const 3.0 : i32[]\n%3 = uniform %0, %2, site 1 : f32[4]
             %4 = mul %3, %1 : f32[4]\nreturn y = %4",
            &[&[7.0], &[0.5, -1.0, 2.0, 3.0]],
        ),
        Case::new(
            "%0 = param a : f32[5]\n%1 = const 0.5 : f32[]\n%2 = quantile %0, %1 : f32[]\n%3 = broadcast %2, [] : f32[5]
             %4 = mul %3, %0 : f32[5]\nreturn y = %4",
            &[POINTS],
        ),
        Case::new(
            "%0 = param a : f32[5]\n%1 = floor %0 : f32[5]\n%2 = sin %0 : f32[5]\n%3 = with_gradient %1, %2 : f32[5]
             %4 = mul %3, %3 : f32[5]\nreturn y = %4",
            &[POINTS],
        ),
    ];
    cases.extend(image_cases());
    cases.extend(row_cases());
    let reductions = Reduction::ALL.into_iter();
    cases.extend(reductions.map(|how| of_matrix(&format!("%1 = {how} %0, [1] : f32[2]\nreturn y = %1"))));
    cases
}

/// No two numbers are equal, so that no largest element is in doubt.
fn numbers(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 37 + seed * 11) % 101) as f64 * 0.03 - 1.47).collect()
}

/// Windows with stride, dilation, padding on one side, a remainder and groups.
const WINDOWS: [&str; 4] = [
    "window [2, 3]",
    "window [3, 2] stride [2, 1] pad [1, 0] [0, 1]",
    "window [2, 2] stride [3, 2] dilation [1, 2] pad [1, 1] [1, 1]",
    "window [1, 1] stride [2, 2]",
];

fn image_cases() -> Vec<Case> {
    // x: 5 x 6; y of each window
    const OUTPUTS: [[usize; 2]; 4] = [[4, 4], [2, 6], [2, 3], [3, 3]];
    const SIZES: [[usize; 2]; 4] = [[2, 3], [3, 2], [2, 2], [1, 1]];
    let mut cases = vec![];
    for (window, ([rows, cols], [height, width])) in WINDOWS.iter().zip(OUTPUTS.iter().zip(SIZES)) {
        for groups in [1, 2] {
            let x = [2, 5, 6, 4];
            let w = [height, width, 4 / groups, 2];
            let y = [2, *rows, *cols, 2];
            for (word, a, b, out) in [("conv", x, w, y), ("conv_by_input", y, w, x), ("conv_by_weight", x, y, w)] {
                let body = format!(
                    "%0 = param a : f32{a:?}\n%1 = param b : f32{b:?}\n\
                     %2 = {word} %0, %1, {window}, groups {groups} : f32{out:?}\nreturn y = %2"
                );
                let [a, b] = [numbers(a.iter().product(), 1), numbers(b.iter().product(), 2)];
                cases.push(Case::new(body, &[&a, &b]));
            }
        }
        let (x, y) = ([1, 5, 6, 2], [1, *rows, *cols, 2]);
        let [of_x, of_y] = [numbers(60, 3), numbers(y.iter().product(), 4)];
        let one = |word: &str, from: [usize; 4], to: [usize; 4]| {
            let of = if from == x { &of_x } else { &of_y };
            let body = format!("%0 = param a : f32{from:?}\n%1 = {word} %0, {window} : f32{to:?}\nreturn y = %1");
            Case::new(body, &[of])
        };
        cases.extend([one("pool_sum", x, y), one("pool_max", x, y), one("unpool", y, x)]);
        let body = format!(
            "%0 = param a : f32{y:?}\n%1 = param b : f32{x:?}\n%2 = unpool_max %1, %0, {window} : f32{x:?}\nreturn y = %2"
        );
        cases.push(Case::new(body, &[&of_y, &of_x]));
    }
    cases
}

fn row_cases() -> Vec<Case> {
    let of_matrix = |body: &str| Case::new(format!("%0 = param a : f32[4, 3]\n{body}"), &[&numbers(12, 5)]);
    let of_index = |body: &str| {
        let body = format!("%0 = param a : f32[4, 3]\n%1 = param b : i32[4, 2]\n{body}");
        Case::new(body, &[&numbers(12, 5), &[0.0, 2.0, 2.0, 1.0, -1.0, 0.0, 3.0, 4.0]])
    };
    vec![
        of_matrix("%1 = pad %0, value 0.5, lo [1, 0], hi [0, 2], gap [2, 1] : f32[11, 7]\nreturn y = %1"),
        of_matrix("%1 = slice %0, start [1, 0], step [2, 1] : f32[2, 2]\nreturn y = %1"),
        of_matrix("%1 = sin %0 : f32[4, 3]\n%2 = concat %0, %1, %0, axis 1 : f32[4, 9]\nreturn y = %2"),
        of_matrix("%1 = cumsum %0, axis 0 : f32[4, 3]\nreturn y = %1"),
        of_matrix("%1 = cumsum %0, axis 1, reverse : f32[4, 3]\nreturn y = %1"),
        of_matrix(
            "%1 = top_k %0, 2 : bool[4, 3]\n%2 = const 0.0 : f32[4, 3]\n%3 = select %1, %0, %2 : f32[4, 3]\nreturn y = %3",
        ),
        of_index("%2 = gather %0, %1, batch 0 : f32[4, 2, 3]\nreturn y = %2"),
        of_index("%2 = gather %0, %1, batch 1 : f32[4, 2]\nreturn y = %2"),
        of_index("%2 = gather %0, %1, batch 0 : f32[4, 2, 3]\n%3 = scatter %2, %1, batch 0 : f32[5, 3]\nreturn y = %3"),
        of_index("%2 = gather %0, %1, batch 1 : f32[4, 2]\n%3 = scatter %2, %1, batch 1 : f32[4, 3]\nreturn y = %3"),
    ]
}

fn all_cases() -> Vec<Case> {
    let unary = Unary::ALL.into_iter().map(unary_case);
    unary.chain(Binary::ALL.into_iter().map(binary_case)).chain(other_cases()).collect()
}

#[test]
fn derivatives_agree_with_differences() {
    for case in all_cases() {
        let report = case.check();
        let kinks: usize = report.params.iter().map(|p| p.count(ad::check::Verdict::Kink)).sum();
        assert!(report.passes() && kinks == 0, "{}\n{report:#?}\n{}", case.body, case.gradient());
    }
}

/// Every op by the word that it is printed with; a new op breaks the `match`.
fn word(op: &Op) -> String {
    match op {
        Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Unary(..) | Op::Binary(..) | Op::Select(..) => {}
        Op::Convert(_) | Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_) | Op::Reduce(..) => {}
        Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => {}
        Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) => {}
        Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } => {}
        Op::Sparse { .. } => panic!("weights are compressed after derivatives are taken"),
        Op::Contract(..) | Op::Uniform { .. } | Op::Quantile(..) | Op::WithGradient(..) | Op::Grad(..) => {}
    }
    op.to_string().split(' ').next().expect("an op is printed").to_owned()
}

#[test]
fn every_op_has_a_case() {
    let others = ["param", "const", "iota", "select", "convert", "broadcast", "transpose", "reshape", "contract"];
    let special = ["uniform", "quantile", "with_gradient"];
    let images = ["conv", "conv_by_input", "conv_by_weight", "pool_sum", "pool_max", "unpool", "unpool_max"];
    let rows = ["pad", "slice", "concat", "gather", "scatter", "top_k", "cumsum"];
    let words = others.into_iter().chain(special).chain(images).chain(rows);
    let mut expected: BTreeSet<String> = words.map(str::to_owned).collect();
    expected.extend(Unary::ALL.iter().map(Unary::to_string));
    expected.extend(Binary::ALL.iter().map(Binary::to_string));
    expected.extend(Reduction::ALL.iter().map(Reduction::to_string));
    let found: BTreeSet<String> = all_cases()
        .iter()
        .flat_map(|case| parse::func(&format!("func case {{\n{}\n}}", case.body)).expect("read before").defs)
        .map(|def| word(&def.op))
        .collect();
    assert_eq!(expected.difference(&found).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// What is documented for points without a derivative.
#[test]
fn kinks_have_the_documented_slope() {
    let slopes = |op: &str, at: &[f64]| Case::elementwise(op, &[at]).slopes();
    assert_eq!(slopes("abs", &[0.0, -0.0]), [0.0, 0.0]);
    assert_eq!(slopes("sqrt", &[0.0, 4.0]), [0.0, 0.25]);
    assert_eq!(slopes("floor", &[1.0, 2.0]), [0.0, 0.0]);
    let tie = |op: &str| Case::elementwise(op, &[&[1.0, 2.0], &[1.0, 3.0]]).slopes();
    assert_eq!(tie("min"), [0.0, 1.0]);
    assert_eq!(tie("max"), [0.0, 0.0]);
    let power = |p: f64| Case::elementwise("pow", &[&[0.0, 0.0], &[p, p]]).slopes();
    assert_eq!(power(0.5), [0.0, 0.0]);
    assert_eq!(power(-1.0), [0.0, 0.0]);
    assert_eq!(power(1.0), [1.0, 1.0]);
    assert_eq!(power(2.0), [0.0, 0.0]);
}

/// All elements are at the kink of relu, and some count with a minus sign: the derivative 0, right for each of them, is not between the
/// slopes along a direction of all. A wrong derivative is found all the same.
#[test]
fn kinks_of_several_elements_are_judged_one_by_one() {
    let (zeros, nines) = ([0.0; 6], [9.0; 6]);
    let body = "%0 = param a : f32[6]\n%1 = param b : f32[6]\n%2 = param c : f32[6]\n%3 = const 0.0 : f32[6]\n%4 = max %0, %3 : f32[6]
                %5 = mul %4, %1 : f32[6]\n%6 = add %5, %2 : f32[6]\nreturn y = %6";
    let case = Case::new(body, &[&zeros, &[1.0, -1.0, 1.0, 1.0, -1.0, -1.0], &nines]);
    let right = case.check();
    assert!(right.passes() && right.params[0].count(ad::check::Verdict::Kink) > 2, "{right:#?}");

    let mut wrong = case.gradient();
    let claimed = wrong.params().nth(2).map(|(_, value, _)| value).expect("c");
    let by_a = wrong.results.iter_mut().find(|(name, _)| &**name == "grad.a").expect("a derivative");
    by_a.1 = claimed;
    let report = check(&wrong, &|name| case.inputs.get(name).cloned()).expect("a case has all inputs");
    assert!(!report.passes(), "{report:#?}");
}

#[test]
fn ties_share_the_cotangent_of_an_extreme() {
    let case =
        Case::new("%0 = param a : f32[4]\n%1 = reduce_max %0, [0] : f32[]\nreturn y = %1", &[&[3.0, 1.0, 3.0, 3.0]]);
    let results = run(&case.gradient(), &|name| case.inputs.get(name).cloned()).expect("all inputs");
    let third = 1.0 / 3.0;
    assert_eq!(results["grad.a"].iter().copied().collect::<Vec<_>>(), [third, 0.0, third, third]);
}

/// The norms and parameterisations of the library where they have no derivative: zero groups, subnormal members, one member.
#[test]
fn nothing_but_finite_numbers_leaves_the_backward_pass() {
    let l21 = |g, m| {
        format!(
            "%0 = param a : f32[{g}, {m}]\n%1 = const 2.0 : f32[{g}, {m}]\n%2 = pow %0, %1 : f32[{g}, {m}]
             %3 = reduce_sum %2, [1] : f32[{g}]\n%4 = sqrt %3 : f32[{g}]\nreturn y = %4"
        )
    };
    let pnorm = |g, m| {
        format!(
            "%0 = param a : f32[{g}, {m}]\n%1 = abs %0 : f32[{g}, {m}]\n%2 = const 0.5 : f32[{g}, {m}]
             %3 = pow %1, %2 : f32[{g}, {m}]\n%4 = reduce_sum %3, [1] : f32[{g}]\n%5 = const 2.0 : f32[{g}]
             %6 = pow %4, %5 : f32[{g}]\nreturn y = %6"
        )
    };
    let threshold = |g, m| {
        format!(
            "%0 = param a : f32[{g}, {m}]\n%1 = mul %0, %0 : f32[{g}, {m}]\n%2 = reduce_sum %1, [1] : f32[{g}]
             %3 = sqrt %2 : f32[{g}]\n%4 = const 0.02 : f32[{g}]\n%5 = div %4, %3 : f32[{g}]\n%6 = const 1.0 : f32[{g}]
             %7 = sub %6, %5 : f32[{g}]\n%8 = const 0.0 : f32[{g}]\n%9 = gt %3, %8 : bool[{g}]
             %10 = select %9, %7, %8 : f32[{g}]\n%11 = broadcast %10, [0] : f32[{g}, {m}]
             %12 = mul %11, %0 : f32[{g}, {m}]\nreturn y = %12"
        )
    };
    let competition = |g, m| {
        format!(
            "%0 = param a : f32[{g}, {m}]\n%1 = abs %0 : f32[{g}, {m}]\n%2 = reduce_sum %1, [1] : f32[{g}]
             %3 = broadcast %2, [0] : f32[{g}, {m}]\n%4 = const 0.0 : f32[{g}, {m}]\n%5 = eq %3, %4 : bool[{g}, {m}]
             %6 = div %1, %3 : f32[{g}, {m}]\n%7 = select %5, %4, %6 : f32[{g}, {m}]\nreturn y = %7"
        )
    };
    // The derivative of a share of a sum is as large as the sum is small: for a subnormal sum it is beyond all numbers, so
    // shares are looked at for zeros only.
    let tiny_or_zero = |body: &str| if body.contains("eq") { 0.0 } else { f64::MIN_POSITIVE / 4.0 };
    // A norm below 1e-150 squares to 0 in f64 as one below 1e-23 does in f32.
    for body in [&l21 as &dyn Fn(usize, usize) -> String, &pnorm, &threshold, &competition] {
        let tiny = tiny_or_zero(&body(1, 1));
        for case in [
            Case::new(body(2, 3), &[&[0.0, 0.0, 0.0, 1.0, 0.0, -2.0]]),
            Case::new(body(2, 3), &[&[tiny, -tiny, 0.0, tiny * 1e100, 1e-160, 1e-3]]),
            Case::new(body(3, 1), &[&[0.0, 0.5, -tiny]]),
        ] {
            let mut func = case.gradient();
            for _ in 0..2 {
                let results = run(&func, &|name| case.inputs.get(name).cloned()).expect("all inputs");
                let finite = results["grad.a"].iter().all(|ct| ct.is_finite());
                assert!(finite, "{:?}\n{func}", results["grad.a"]);
                spnc::pass::run(&mut func, spnc::pass::O1, |_, _| ());
            }
        }
    }
}

/// A zero group of the group lasso has gradient exactly zero, and so has a dropped group of a threshold.
#[test]
fn zero_cotangents_stay_zero() {
    let case = Case::new(
        "%0 = param a : f32[3]\n%1 = const 0.0 : f32[3]\n%2 = gt %0, %1 : bool[3]\n%3 = log %0 : f32[3]
         %4 = select %2, %3, %1 : f32[3]\nreturn y = %4",
        &[&[0.0, -1.0, 2.0]],
    );
    assert_eq!(case.slopes(), [0.0, 0.0, 0.5]);
}

/// Random functions give a scalar `loss`.
fn random(recipe: &[u32]) -> Func {
    ad::grad(&differentiable(recipe))
}

fn differentiable(recipe: &[u32]) -> Func {
    let mut func = arbitrary::func(recipe);
    let loss = func.result("loss").expect("every random function has a loss");
    func.results.push(("objective".into(), loss));
    asking_for_gradients(func)
}

proptest! {
    #[test]
    fn gradients_of_random_functions_agree_with_differences(
        recipe in prop::collection::vec(any::<u32>(), 0..60), seed in any::<u32>(),
    ) {
        let func = random(&recipe);
        let inputs = arbitrary::inputs(&func, seed);
        let report = check(&func, &|name| inputs.get(name).cloned()).expect("every input has a value");
        prop_assert!(report.passes(), "{:#?}\n{}", report, func);
    }

    #[test]
    fn passes_before_differentiation_keep_the_gradient(
        recipe in prop::collection::vec(any::<u32>(), 0..80), seed in any::<u32>(),
    ) {
        let func = random(&recipe);
        let inputs = arbitrary::inputs(&func, seed);
        let mut before = differentiable(&recipe);
        spnc::pass::run(&mut before, spnc::pass::BEFORE_GRAD, |_, _| ());
        let [expected, found] = [func, ad::grad(&before)]
            .map(|func| run(&func, &|name| inputs.get(name).cloned()).expect("every input has a value"));
        for (name, expected) in &expected {
            prop_assert!(is_close(expected, &found[name]), "{}: {} became {}", name, expected, found[name]);
        }
    }

    #[test]
    fn passes_keep_the_meaning_of_random_functions(
        recipe in prop::collection::vec(any::<u32>(), 0..80), seed in any::<u32>(),
    ) {
        let func = random(&recipe);
        let inputs = arbitrary::inputs(&func, seed);
        let evaluate = |func: &Func| run(func, &|name| inputs.get(name).cloned()).expect("every input has a value");
        let expected = evaluate(&func);
        let mut optimised = func.clone();
        let mut broken = None;
        spnc::pass::run(&mut optimised, spnc::pass::O1, |pass, func| {
            let results = evaluate(func);
            for (name, expected) in &expected {
                if broken.is_none() && !is_close(expected, &results[name]) {
                    broken = Some(format!("{} changes {name}: {expected} to {}\n{func}", pass.name, results[name]));
                }
            }
        });
        prop_assert!(broken.is_none(), "{broken:?}\nof\n{func}");
    }
}

/// Equal up to rounding; exact zeros stay exact.
fn is_close(expected: &Tensor, found: &Tensor) -> bool {
    let largest = expected.iter().fold(1.0f64, |largest, x| largest.max(x.abs()));
    expected.shape() == found.shape() && expected.iter().zip(found).all(|(a, b)| (a - b).abs() <= 1e-11 * largest)
}
