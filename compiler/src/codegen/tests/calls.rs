//! Calls of the runtime, cut into slices every way; steps that follow one another; listings.

use proptest::prelude::*;

use super::{check, compile};
use crate::codegen::{Options, Target, list};
use crate::lir::{self, Module};

/// A module that a test has written down.
pub fn module(text: &str) -> Module {
    let module = lir::parse(text).expect("the test's text parses");
    assert_eq!(lir::verify(&module), Ok(()), "{text}");
    module
}

/// Buffers one behind the other: name, role, type, length.
pub fn buffers(list: &[(&str, &str, &str, usize)]) -> String {
    let (mut offset, mut text) = (0, String::new());
    for (index, (name, role, dtype, len)) in list.iter().enumerate() {
        text += &format!("buffer @{index} {role} {name:?} {dtype} x {len} at {offset}\n");
        offset += (4 * len).next_multiple_of(64);
    }
    format!("arena {offset}\n{text}")
}

/// Rows of nine numbers begin anywhere, and what is compared with them is used only here, so that it may be read by the comparison itself.
#[test]
fn numbers_are_compared_wherever_they_lie() {
    for function in ["lt", "le", "gt", "ge", "eq", "ne"] {
        for operands in ["%0 %1", "%1 %0"] {
            let text = buffers(&[("a", "input", "f32", 45), ("b", "output", "f32", 45)]);
            let kernel = format!(
                "kernel k0(p0: f32, p1: f32) rows [5, 9] lanes rows {{\n  each [] {{\n    %0: f32 = load p0 [9, 1]\n    \
                 %1: f32 = const 0.25\n    %2: bool = {function} {operands}\n    %3: f32 = convert %2\n    \
                 store p1 [9, 1] %3\n  }}\n}}\n"
            );
            let func = "func \"f\" in [@0] out [@1] {\n  step 5 {\n    run k0(@0, @1) chunk 1\n  }\n}\n";
            check(&module(&format!("{text}\n{kernel}\n{func}")), 3);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn products_agree_however_they_are_cut(
        [m, n, k] in prop::array::uniform3(1usize..40),
        stack in 1usize..4,
        terms in 1usize..4,
        [ta, tb, shared] in prop::array::uniform3(any::<bool>()),
        cut in 0usize..3,
        chunk in 1usize..3,
    ) {
        let chunk = 16 * chunk;
        let (name, extent) = [("stack", stack), ("rows", m), ("cols", n)][cut];
        let matrix = |at: &str, rows: usize, cols: usize, transposed: bool, repeated: bool| {
            let (row, col) = if transposed { (1, rows) } else { (cols, 1) };
            format!("{at}[{}, {row}, {col}]", if repeated { 0 } else { rows * cols })
        };
        let of_b = if shared { k * n } else { stack * k * n };
        let text = buffers(&[
            ("a", "input", "f32", terms * stack * m * k),
            ("b", "input", "f32", terms * of_b),
            ("c", "output", "f32", stack * m * n),
        ]);
        let [a, b, c] = [matrix("@0", m, k, ta, false), matrix("@1", k, n, tb, shared), matrix("@2", m, n, false, false)];
        let sum = if terms > 1 { format!("sum {terms}[{}, {of_b}] ", stack * m * k) } else { String::new() };
        let slices = extent.div_ceil(chunk);
        let call = format!("gemm {m} {n} {k} x {stack} {c} = {sum}{a} {b} cut {name} chunk {chunk}");
        let func = format!("func \"f\" in [@0, @1] out [@2] {{\n  step {slices} {{\n    {call}\n  }}\n}}\n");
        check(&module(&format!("{text}\n{func}")), (m * n * k) as u64);
    }
}

#[test]
fn a_quantile_is_a_step() {
    let text = buffers(&[
        ("share", "lasting", "f32", 1),
        ("x", "input", "f32", 101),
        ("q", "output", "f32", 1),
        ("work", "scratch", "f32", 101),
    ]);
    let func = "func \"f\" in [@1] out [@2] {\n  step 1 {\n    quantile @1 101 @0 @2 @3\n  }\n}\n";
    for seed in 0..8 {
        check(&module(&format!("{text}\n{func}")), seed);
    }
}

/// Every step reads what other slices wrote in the one before.
#[test]
fn steps_wait_for_each_other() {
    let text = buffers(&[("x", "lasting", "f32", 64), ("y", "lasting", "f32", 64)]);
    let kernel = "kernel k0(p0: f32, p1: f32) rows [64] lanes inner {\n  each [64] {\n    %0: f32 = load p0 [0, 1]\n    \
                  %1: f32 = index 1\n    %2: f32 = fold sum %0\n  }\n  each [] {\n    %3: f32 = const 0.01\n    %4: f32 = \
                  mul %2 %3\n    %5: i32 = index 0\n    %6: f32 = convert %5\n    %7: f32 = add %4 %6\n    store p1 [1] %7\n  }\n}\n"
        .replace("    %1: f32 = index 1\n", "    %1: i32 = index 1\n");
    let step = |from: usize| format!("  step 16 {{\n    run k0(@{from}, @{}) chunk 4\n  }}\n", 1 - from);
    let steps: String = (0..50).map(|index| step(index % 2)).collect();
    check(&module(&format!("{text}\n{kernel}\nfunc \"f\" in [] out [] {{\n{steps}}}\n")), 3);
}

#[test]
fn functions_share_the_arena_and_are_found_by_name() {
    let text = buffers(&[("x", "lasting", "f32", 5)]);
    let kernel = "kernel k0(p0: f32) rows [5] lanes rows {\n  each [] {\n    %0: f32 = load p0 [1]\n    %1: f32 = const 1.0\n    \
                  %2: f32 = add %0 %1\n    store p0 [1] %2\n  }\n}\n";
    let func = |name: &str| format!("func {name:?} in [] out [] {{\n  step 1 {{\n    run k0(@0) chunk 16\n  }}\n}}\n");
    let module = module(&format!("{text}\n{kernel}\n{}{}", func("f"), func("g")));
    let mut program = compile(&module, Options::default()).expect("the host is supported");
    let [f, g] = ["f", "g"].map(|name| program.func(name).expect("both are there"));
    [f, g, g].into_iter().for_each(|func| program.run(func));
    assert_eq!(program.floats(lir::BufferId(0)), [3.0; 5]);
    assert_eq!(program.func("h"), None);
}

#[test]
fn listings_name_each_kernel_and_what_it_calls() {
    let text = include_str!("../../../tests/golden/lir/lenet300_step.lir");
    let module = lir::parse(text).expect("a golden file parses");
    for target in [Target::Native, Target::Baseline] {
        let listing = list(&module, target).expect("the host is supported");
        for index in 0..module.kernels.len() {
            assert!(
                listing.clif.contains(&format!("function %k{index}(")) && listing.asm.contains(&format!("k{index}:\n"))
            );
        }
        assert!(listing.clif.contains("f32x4") && !listing.asm.trim_end().ends_with(':'));
    }
}
