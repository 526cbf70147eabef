//! The lowered program computes what the tensor program says, in single precision.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{lower, lower_given, once};
use crate::lir::{self, interp::Arena};
use crate::tir::{self, Func, Type, arbitrary, interp::Tensor};

mod ops;

type Inputs = BTreeMap<Arc<str>, Tensor>;

/// The inputs of the function that have new values among its results.
fn updated(func: &Func) -> Vec<(Arc<str>, Type)> {
    let params = func.params().filter(|(name, _, _)| func.result(name).is_some());
    params.map(|(name, _, ty)| (Arc::clone(name), ty.clone())).collect()
}

/// Lowers a function, checks what comes out, and runs it.
fn run(func: &Func, inputs: &Inputs) -> BTreeMap<Arc<str>, Vec<f64>> {
    let module = lower(std::slice::from_ref(func), &updated(func));
    let text = lir::print(&module);
    assert_eq!(lir::verify(&module), Ok(()), "{text}");
    assert_eq!(lir::parse(&text).as_ref(), Ok(&module), "{text}");
    let mut arena = Arena::new(&module);
    let lowered = &module.funcs[0];
    for (name, tensor) in inputs {
        if let Some(id) = module.lasting(name).or_else(|| module.input(lowered, name)) {
            arena.write(&module, id, tensor.iter().copied());
        }
    }
    arena.run(&module, lowered);
    let place = |name: &str| module.lasting(name).or_else(|| module.output(lowered, name)).expect("a result's buffer");
    func.results.iter().map(|(name, _)| (Arc::clone(name), arena.read(&module, place(name)))).collect()
}

/// Runs the function both ways and compares all results.
fn check(func: &Func, inputs: &Inputs) {
    let expected = tir::interp::run(func, &|name| inputs.get(name).cloned()).expect("inputs for all");
    let found = run(func, inputs);
    for (name, tensor) in &expected {
        let scale = tensor.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
        for (a, b) in tensor.iter().zip(&found[name]) {
            let close = (a - b).abs() <= 2e-5 * scale || a == b || a.is_nan() && b.is_nan();
            assert!(close, "{name}: {a} became {b}\n{}\n{}", func, print_lowered(func));
        }
    }
}

fn print_lowered(func: &Func) -> String {
    lir::print(&lower(std::slice::from_ref(func), &updated(func)))
}

/// Numbers between -1 and 1 for real inputs, small ones for others.
fn inputs(func: &Func) -> Inputs {
    let mut state = 1_u64;
    let mut number = |dtype| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let small = (state >> 33) % 2048;
        match dtype {
            tir::DType::F32 => small as f64 / 1024.0 - 1.0,
            tir::DType::I32 => (small % 4) as f64,
            tir::DType::Bool => (small % 2) as f64,
        }
    };
    let mut tensor = |ty: &Type| Tensor::from_shape_simple_fn(ty.shape.as_slice(), || number(ty.dtype));
    func.params().map(|(name, _, ty)| (Arc::clone(name), tensor(ty))).collect()
}

/// Checks a function given as lines of text and returns what it was lowered to.
fn check_text(lines: &str) -> lir::Module {
    let func = tir::parse::func(&format!("func f {{\n{lines}\n}}\n")).expect("a function");
    check(&func, &inputs(&func));
    lower(std::slice::from_ref(&func), &updated(&func))
}

/// The number of steps that are runs of kernels, and that are products.
fn steps(module: &lir::Module) -> (usize, usize) {
    let calls: Vec<&lir::Call> = module.funcs[0].steps.iter().flat_map(|step| &step.calls).collect();
    let runs = calls.iter().filter(|call| matches!(call, lir::Call::Run(_))).count();
    let products = calls.iter().filter(|call| matches!(call, lir::Call::Gemm(_))).count();
    (runs, products)
}

#[test]
fn two_inputs_can_swap() {
    let module = check_text(
        "%0 = param a : f32[40]
         %1 = param b : f32[40]
         return a = %1
         return b = %0",
    );
    assert_eq!(steps(&module).1, 0);
}

#[test]
fn a_factor_that_all_samples_share_is_a_product_for_each_of_them() {
    let module = check_text(
        "%0 = param a : f32[20, 20]
         %1 = param x : f32[4, 20, 16]
         %2 = contract ij,bjf->bif %0, %1 : f32[4, 20, 16]
         %3 = contract bjf,ij->bfi %1, %0 : f32[4, 16, 20]
         return ahead = %2
         return across = %3",
    );
    assert_eq!(steps(&module), (0, 2));
}

/// Two products of each other's size, each too small to be cut, and their sum, which needs both.
#[test]
fn what_is_too_small_to_be_cut_runs_beside_what_it_does_not_need() {
    let module = check_text(
        "%0 = param a : f32[90, 90]
         %1 = param b : f32[90, 90]
         %2 = param x : f32[90, 90]
         %3 = contract ij,jk->ik %0, %2 : f32[90, 90]
         %4 = contract ij,jk->ik %2, %1 : f32[90, 90]
         %5 = contract ij,jk->ik %3, %4 : f32[90, 90]
         return y = %5",
    );
    let slices: Vec<(usize, &[usize])> =
        module.funcs[0].steps.iter().map(|step| (step.slices, &step.starts[..])).collect();
    assert_eq!(slices, [(2, &[0, 1][..]), (1, &[0])], "{}", lir::print(&module));
}

#[test]
fn what_takes_no_time_waits_for_its_turn() {
    let module = check_text(
        "%0 = param a : f32[8, 9]
         %1 = param b : f32[7, 9]
         %2 = reduce_sum %0, [1] : f32[8]
         %3 = reduce_max %1, [0] : f32[9]
         return sums = %2
         return most = %3",
    );
    assert!(module.funcs[0].steps.iter().all(|step| step.slices == 1), "{}", lir::print(&module));
    assert_eq!(module.funcs[0].steps.len(), 1, "{}", lir::print(&module));
}

/// A product too small for a routine reads each element of its first operand once for each column.
#[test]
fn what_is_expensive_is_computed_once_for_a_product_in_loops() {
    let module = check_text(
        "%0 = param x : f32[1, 24]
         %1 = param w : f32[24, 30]
         %2 = tanh %0 : f32[1, 24]
         %3 = contract ij,jk->ik %2, %1 : f32[1, 30]
         return y = %3",
    );
    assert_eq!(steps(&module), (2, 0), "{}", lir::print(&module));
}

#[test]
fn an_old_value_is_read_before_it_is_overwritten() {
    let module = check_text(
        "%0 = param w : f32[40, 30]
         %1 = param g : f32[40, 30]
         %2 = sub %0, %1 : f32[40, 30]
         %3 = mul %2, %0 : f32[40, 30]
         %4 = reduce_sum %3, [1] : f32[40]
         %5 = reduce_sum %0, [0] : f32[30]
         return w = %2
         return dots = %4
         return columns = %5",
    );
    assert_eq!(steps(&module), (3, 0), "the new value is kept aside, because `dots` needs both");
}

#[test]
fn an_input_can_become_its_own_transpose() {
    let module = check_text(
        "%0 = param w : f32[40, 40]
         %1 = transpose %0, [1, 0] : f32[40, 40]
         return w = %1",
    );
    assert_eq!(steps(&module), (1, 0), "a routine transposes it, a nest copies it back");
}

#[test]
fn one_value_can_be_two_results() {
    let _module = check_text(
        "%0 = param w : f32[40]
         %1 = param v : f32[40]
         %2 = add %0, %1 : f32[40]
         %3 = reshape %2 : f32[4, 10]
         return w = %2
         return v = %2
         return view = %3
         return old = %0",
    );
}

#[test]
fn a_softmax_is_one_nest() {
    let module = check_text(
        "%0 = param z : f32[64, 10]
         %1 = reduce_max %0, [1] : f32[64]
         %2 = broadcast %1, [0] : f32[64, 10]
         %3 = sub %0, %2 : f32[64, 10]
         %4 = exp %3 : f32[64, 10]
         %5 = reduce_sum %4, [1] : f32[64]
         %6 = broadcast %5, [0] : f32[64, 10]
         %7 = div %4, %6 : f32[64, 10]
         return p = %7",
    );
    assert_eq!(steps(&module), (1, 0));
}

#[test]
fn group_norms_along_either_axis_join_the_update() {
    for (axis, dims, n) in [(1, "[0]", 200), (0, "[1]", 300)] {
        let module = check_text(&format!(
            "%0 = param w : f32[200, 300]
             %1 = param g : f32[200, 300]
             %2 = mul %0, %0 : f32[200, 300]
             %3 = reduce_sum %2, [{axis}] : f32[{n}]
             %4 = sqrt %3 : f32[{n}]
             %5 = broadcast %4, {dims} : f32[200, 300]
             %6 = div %0, %5 : f32[200, 300]
             %7 = add %6, %1 : f32[200, 300]
             %8 = sub %0, %7 : f32[200, 300]
             return w = %8",
        ));
        assert_eq!(steps(&module), (1, 0));
        assert!(module.funcs[0].steps[0].slices > 1);
    }
}

#[test]
fn the_total_of_a_matrix_is_cut_for_threads() {
    let module = check_text(
        "%0 = param w : f32[200, 300]
         %1 = abs %0 : f32[200, 300]
         %2 = reduce_sum %1, [0, 1] : f32[]
         %3 = reduce_max %0, [0, 1] : f32[]
         %4 = contract ij,ij-> %0, %0 : f32[]
         return squares = %4
         return l1 = %2
         return top = %3",
    );
    assert_eq!(steps(&module), (2, 0));
    assert!(module.funcs[0].steps[0].slices > 1);
}

#[test]
fn products_of_every_layout_are_matrix_products() {
    let shape = |labels: &str| {
        let size = |c| match c {
            's' => "3",
            'i' => "30",
            'j' => "20",
            _ => "40",
        };
        labels.chars().map(size).collect::<Vec<_>>().join(", ")
    };
    for (lhs, rhs, out) in [
        ("ik", "kj", "ij"),
        ("ki", "kj", "ij"),
        ("ik", "jk", "ji"),
        ("sik", "skj", "sij"),
        ("iks", "kj", "isj"),
        ("si", "ij", "sj"),
    ] {
        let (a, b, c) = (shape(lhs), shape(rhs), shape(out));
        let module = check_text(&format!(
            "%0 = param a : f32[{a}]
             %1 = param b : f32[{b}]
             %2 = contract {lhs},{rhs}->{out} %0, %1 : f32[{c}]
             return c = %2",
        ));
        let product = lhs != "si" && lhs != "iks";
        assert_eq!(steps(&module), (usize::from(!product), usize::from(product)), "{lhs},{rhs}->{out}");
    }
}

#[test]
fn sums_over_axes_that_lie_apart_are_sums_of_products() {
    for (lhs, rhs, out, shape) in [
        ("sbc", "scd", "bd", "40, 30"),
        ("sbc", "scd", "db", "30, 40"),
        ("scb", "sdc", "bd", "40, 30"),
        ("bsc", "csd", "bd", "40, 30"),
    ] {
        let size = |label: char| match label {
            's' => "3",
            'c' => "50",
            'b' => "40",
            _ => "30",
        };
        let of = |labels: &str| labels.chars().map(size).collect::<Vec<_>>().join(", ");
        let module = check_text(&format!(
            "%0 = param a : f32[{}]
             %1 = param b : f32[{}]
             %2 = contract {lhs},{rhs}->{out} %0, %1 : f32[{shape}]
             return c = %2",
            of(lhs),
            of(rhs),
        ));
        let [step] = &module.funcs[0].steps[..] else { panic!("{lhs},{rhs}->{out} is one step") };
        let [lir::Call::Gemm(gemm)] = &step.calls[..] else { panic!("{lhs},{rhs}->{out} is a product") };
        assert_eq!((gemm.k, gemm.terms.count), (50, 3), "{lhs},{rhs}->{out}");
    }
}

#[test]
fn a_softmax_and_its_gradient_are_written_over_the_logits() {
    let module = check_text(
        "%0 = param x : f32[30, 20]
         %1 = param w : f32[20, 50]
         %2 = contract ij,jk->ik %0, %1 : f32[30, 50]
         %3 = reduce_max %2, [1] : f32[30]
         %4 = broadcast %3, [0] : f32[30, 50]
         %5 = sub %2, %4 : f32[30, 50]
         %6 = exp %5 : f32[30, 50]
         %7 = reduce_sum %6, [1] : f32[30]
         %8 = broadcast %7, [0] : f32[30, 50]
         %9 = div %6, %8 : f32[30, 50]
         %10 = contract ij,ik->jk %0, %9 : f32[20, 50]
         return g = %10",
    );
    let large = module.buffers.iter().filter(|buffer| buffer.role == lir::Role::Scratch && buffer.len == 1500);
    assert_eq!(large.count(), 1);
}

#[test]
fn what_is_read_again_is_not_written_over() {
    let module = check_text(
        "%0 = param x : f32[30, 20]
         %1 = param w : f32[20, 50]
         %2 = contract ij,jk->ik %0, %1 : f32[30, 50]
         %3 = tanh %2 : f32[30, 50]
         %4 = contract ij,ik->jk %0, %3 : f32[20, 50]
         %5 = contract ij,ik->jk %0, %2 : f32[20, 50]
         return g = %4
         return h = %5",
    );
    let large = module.buffers.iter().filter(|buffer| buffer.role == lir::Role::Scratch && buffer.len == 1500);
    assert_eq!(large.count(), 2);
}

#[test]
fn operands_of_products_are_looked_at_through_views() {
    let module = check_text(
        "%0 = param a : f32[30, 40]
         %1 = param b : f32[800]
         %2 = transpose %0, [1, 0] : f32[40, 30]
         %3 = reshape %1 : f32[40, 20]
         %4 = contract ki,kj->ij %2, %3 : f32[30, 20]
         return c = %4",
    );
    assert_eq!(steps(&module), (0, 1));
}

/// Runs the function with `lasting` tensors for several inputs: what is not kept is forgotten between calls.
fn run_given(func: &Func, lasting: &Inputs, calls: &[Inputs]) -> Vec<BTreeMap<Arc<str>, Vec<f64>>> {
    let types = func.params().filter(|(name, ..)| lasting.contains_key(*name));
    let types: Vec<_> = types.map(|(name, _, ty)| (Arc::clone(name), ty.clone())).collect();
    let module = lower_given(func, &types);
    let text = lir::print(&module);
    assert_eq!(lir::verify(&module), Ok(()), "{text}");
    assert_eq!(lir::parse(&text).as_ref(), Ok(&module), "{text}");
    let mut arena = Arena::new(&module);
    for (name, tensor) in lasting {
        arena.write(&module, module.lasting(name).expect("it was given"), tensor.iter().copied());
    }
    if let Some(once) = module.func(&once::name(&func.name)) {
        arena.run(&module, once);
    }
    let rest = module.func(&func.name).expect("it was lowered");
    let mut call = |inputs: &Inputs| {
        for (index, buffer) in module.buffers.iter().enumerate() {
            if !matches!(buffer.role, lir::Role::Lasting | lir::Role::Kept) {
                arena.write(&module, lir::BufferId(index as u32), vec![f64::NAN; buffer.len]);
            }
        }
        for (name, tensor) in inputs {
            if let Some(id) = module.input(rest, name) {
                arena.write(&module, id, tensor.iter().copied());
            }
        }
        arena.run(&module, rest);
        let place = |name: &str| module.output(rest, name).expect("a result's buffer");
        func.results.iter().map(|(name, _)| (Arc::clone(name), arena.read(&module, place(name)))).collect()
    };
    calls.iter().map(&mut call).collect()
}

#[test]
fn what_depends_on_lasting_tensors_alone_is_computed_once() {
    let text = "func f {
        %0 = param w : f32[40, 40]
        %1 = param x : f32[40, 40]
        %2 = cumsum %0, axis 1 : f32[40, 40]
        %3 = cumsum %2, axis 1, reverse : f32[40, 40]
        %4 = cumsum %1, axis 1 : f32[40, 40]
        %5 = add %3, %4 : f32[40, 40]
        return y = %5
    }
";
    let func = tir::parse::func(text).expect("a function");
    let given = vec![("w".into(), Type::f32([40, 40]))];
    let module = lower_given(&func, &given);
    let names: Vec<&str> = module.funcs.iter().map(|func| &*func.name).collect();
    assert_eq!(names, ["f.once", "f"], "{}", lir::print(&module));
    let kept = module.buffers.iter().filter(|buffer| buffer.role == lir::Role::Kept);
    assert_eq!(kept.count(), 1, "the sums of the sums alone: {}", lir::print(&module));
}

#[test]
fn packed_weights_are_kept_and_images_are_not() {
    let text = "func f {
        %0 = param x : f32[2, 9, 9, 16]
        %1 = param v : f32[3, 3, 16, 32]
        %2 = param w : f32[3, 3, 32, 32]
        %3 = conv %0, %1, window [3, 3] stride [1, 1] pad [1, 1] [1, 1], groups 1 : f32[2, 9, 9, 32]
        %4 = conv %3, %2, window [3, 3] stride [1, 1] pad [1, 1] [1, 1], groups 1 : f32[2, 9, 9, 32]
        return y = %4
    }
";
    let func = tir::parse::func(text).expect("a function");
    let given = [("v", vec![3, 3, 16, 32]), ("w", vec![3, 3, 32, 32])];
    let module = lower_given(&func, &given.map(|(name, shape)| (name.into(), Type::f32(shape))));
    let kept = module.buffers.iter().filter(|buffer| buffer.role == lir::Role::Kept);
    let kept: Vec<&str> = kept.map(|buffer| &*buffer.name).collect();
    assert_eq!(kept, ["%3.work", "%4.work"], "{}", lir::print(&module));
}

/// A factor that is given lies in panels, for all products that read it in the same order; each order is copied by a kernel for whole
/// panels and one for the rest.
#[test]
fn given_factors_are_copied_to_panels_once() {
    let text = "func f {
        %0 = param w : f32[40, 70]
        %1 = param x : f32[64, 40]
        %2 = param y : f32[80, 40]
        %3 = param z : f32[64, 70]
        %4 = contract bi,ij->bj %1, %0 : f32[64, 70]
        %5 = contract bi,ij->bj %2, %0 : f32[80, 70]
        %6 = contract bj,ij->bi %3, %0 : f32[64, 40]
        return a = %4
        return b = %5
        return c = %6
    }
";
    let func = tir::parse::func(text).expect("a function");
    let module = lower_given(&func, &[("w".into(), Type::f32([40, 70]))]);
    let calls = |index: usize| module.funcs[index].steps.iter().flat_map(|step| &step.calls);
    let kept = module.buffers.iter().filter(|buffer| buffer.role == lir::Role::Kept);
    assert_eq!(kept.map(|buffer| buffer.len).collect::<Vec<_>>(), [40 * 96, 70 * 64], "{}", lir::print(&module));
    assert_eq!(calls(0).count(), 4);
    assert!(calls(1).all(|call| matches!(call, lir::Call::Gemm(lir::Gemm { in_panels: true, .. }))));
    let inputs = inputs(&func);
    let lasting: Inputs =
        inputs.iter().filter(|(name, _)| &***name == "w").map(|(n, t)| (n.clone(), t.clone())).collect();
    let calls = [inputs.clone()];
    assert_eq!(run_given(&func, &lasting, &calls), run_given(&func, &Inputs::new(), &calls));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn lasting_tensors_are_looked_at_once(recipe in prop::collection::vec(any::<u32>(), 0..120), which in any::<u32>()) {
        let func = arbitrary::func(&recipe);
        let all = [arbitrary::inputs(&func, 1), arbitrary::inputs(&func, 2)];
        let is_updated = |name: &str| func.result(name).is_some();
        let is_given = |name: &str| {
            let place = func.params().position(|(param, ..)| **param == *name);
            place.is_some_and(|place| which >> (place % 32) & 1 == 1) && !is_updated(name)
        };
        let lasting: Inputs = all[0].iter().filter(|(name, _)| is_given(name)).map(|(n, t)| (n.clone(), t.clone())).collect();
        let calls = all.map(|mut inputs| {
            inputs.extend(lasting.iter().map(|(name, tensor)| (name.clone(), tensor.clone())));
            inputs
        });
        // Sums are in the same order only if the same results are updated in place: none.
        let apart: Vec<_> = calls.iter().flat_map(|inputs| run_given(&func, &Inputs::new(), std::slice::from_ref(inputs))).collect();
        prop_assert_eq!(format!("{:?}", run_given(&func, &lasting, &calls)), format!("{apart:?}"));
    }

    #[test]
    fn lowered_functions_agree_with_the_interpreter(recipe in prop::collection::vec(any::<u32>(), 0..120), seed in 0_u32..100) {
        let func = arbitrary::func(&recipe);
        check(&func, &arbitrary::inputs(&func, seed));
    }
}
