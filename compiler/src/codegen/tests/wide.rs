//! Vectors of eight numbers: each instruction that they are known for, and that loop nests which can have them do.

use spnc_runtime::kernels::Isa;

use super::calls::{buffers, module};
use super::check;
use crate::codegen::{Target, kernel, list};
use crate::lir::{self, Module};

/// Checks a module of one kernel, and that it has such vectors where the machine does.
#[track_caller]
fn check_wide(module: &Module, is_wide: bool) {
    check(module, 5);
    if cfg!(all(target_arch = "x86_64", unix)) && Isa::best() != Isa::Portable {
        let listing = list(module, Target::Native).expect("the host is supported");
        assert_eq!(listing.asm.contains("ymm"), is_wide, "{}\n{}", super::text(module), listing.asm);
    }
}

/// A kernel over two operands of a type, with a result of another: rows of 29 numbers, which are vectors of eight, one of four and one number.
fn of_two(dtype: &str, lines: &str, result: &str) -> Module {
    let text = buffers(&[("a", "input", dtype, 87), ("b", "input", dtype, 87), ("c", "output", result, 87)]);
    let kernel = format!(
        "kernel k0(p0: {dtype}, p1: {dtype}, p2: {result}) rows [3, 29] lanes rows {{\n  each [] {{\n    %0: {dtype} = load p0 [29, 1]\n    \
         %1: {dtype} = load p1 [29, 1]\n{lines}    store p2 [29, 1] %2\n  }}\n}}\n"
    );
    module(&format!(
        "{text}\n{kernel}\nfunc \"f\" in [@0, @1] out [@2] {{\n  step 3 {{\n    run k0(@0, @1, @2) chunk 1\n  }}\n}}\n"
    ))
}

#[test]
fn functions_of_two_numbers() {
    for function in ["add", "sub", "mul", "mulz", "div", "min", "max"] {
        check_wide(&of_two("f32", &format!("    %2: f32 = {function} %0 %1\n"), "f32"), true);
    }
    for function in ["add", "sub", "mul", "min", "max"] {
        check_wide(&of_two("i32", &format!("    %2: i32 = {function} %0 %1\n"), "i32"), true);
    }
    for function in ["and", "or"] {
        check_wide(&of_two("bool", &format!("    %2: bool = {function} %0 %1\n"), "bool"), true);
    }
}

#[test]
fn comparisons_of_numbers() {
    for dtype in ["f32", "i32"] {
        for function in ["lt", "le", "gt", "ge", "eq", "ne"] {
            check_wide(&of_two(dtype, &format!("    %2: bool = {function} %0 %1\n"), "bool"), true);
        }
    }
}

#[test]
fn functions_of_one_number() {
    for function in ["neg", "abs", "sign", "sqrt", "floor", "ceil", "exp", "tanh"] {
        check_wide(&of_two("f32", &format!("    %2: f32 = {function} %0\n"), "f32"), true);
    }
    check_wide(&of_two("i32", "    %2: i32 = sign %0\n", "i32"), true);
    check_wide(&of_two("bool", "    %2: bool = not %0\n", "bool"), true);
    for (from, to, is_wide) in [
        ("i32", "f32", true),
        ("f32", "bool", true),
        ("i32", "bool", true),
        ("bool", "f32", true),
        ("bool", "i32", true),
        // What is no integer there is brought into range in a way that is left to Cranelift.
        ("f32", "i32", false),
    ] {
        check_wide(&of_two(from, "    %2: TO = convert %0\n".replace("TO", to).as_str(), to), is_wide);
    }
}

/// Numbers that are the same in all lanes are computed once, by instructions of their own.
#[test]
fn numbers_that_lanes_share() {
    for (dtype, lines) in [
        (
            "f32",
            "    %3: f32 = sqrt %2\n    %4: bool = gt %3 %2\n    %5: f32 = select %4 %2 %3\n    %6: f32 = neg %5\n",
        ),
        ("f32", "    %3: i32 = index 0\n    %4: f32 = convert %3\n    %5: f32 = floor %2\n    %6: f32 = mulz %4 %5\n"),
        ("f32", "    %3: bool = lt %2 %2\n    %4: bool = not %3\n    %5: bool = or %4 %3\n    %6: f32 = convert %5\n"),
        (
            "i32",
            "    %3: i32 = index 0\n    %4: i32 = mul %3 %2\n    %5: bool = le %4 %3\n    %6: i32 = select %5 %4 %2\n",
        ),
        ("i32", "    %3: i32 = neg %2\n    %4: i32 = sub %3 %2\n    %5: bool = ne %4 %3\n    %6: i32 = convert %5\n"),
    ] {
        let text = buffers(&[("a", "input", dtype, 123), ("b", "input", dtype, 3), ("c", "output", dtype, 123)]);
        let kernel = format!(
            "kernel k0(p0: {dtype}, p1: {dtype}, p2: {dtype}) rows [3] lanes inner {{\n  each [41] {{\n    %0: {dtype} = load p0 [41, 1]\n    \
             %1: {dtype} = fold max %0\n  }}\n  each [] {{\n    %2: {dtype} = load p1 [1]\n{lines}  }}\n  each [41] {{\n    \
             %7: {dtype} = load p0 [41, 1]\n    %8: {dtype} = add %7 %6\n    %9: {dtype} = add %8 %1\n    \
             store p2 [41, 1] %9\n  }}\n}}\n"
        );
        let func = "func \"f\" in [@0, @1] out [@2] {\n  step 3 {\n    run k0(@0, @1, @2) chunk 1\n  }\n}\n";
        check_wide(&module(&format!("{text}\n{kernel}\n{func}")), true);
    }
}

/// Sums, and what is largest and smallest, along vectors and across them.
#[test]
fn folds_of_any_length() {
    for dtype in ["f32", "i32"] {
        for fold in ["sum", "max", "min"] {
            for len in [8, 11, 15, 16, 30, 32, 61, 69] {
                for (lanes, strides) in [("inner", format!("[{len}, 1]")), ("rows", "[1, 35]".to_owned())] {
                    let text = buffers(&[("a", "input", dtype, 35 * len), ("b", "output", dtype, 35)]);
                    let kernel = format!(
                        "kernel k0(p0: {dtype}, p1: {dtype}) rows [35] lanes {lanes} {{\n  each [{len}] {{\n    %0: {dtype} = load p0 {strides}\n    \
                         %1: {dtype} = fold {fold} %0\n  }}\n  each [] {{\n    store p1 [1] %1\n  }}\n}}\n"
                    );
                    let func = "func \"f\" in [@0] out [@1] {\n  step 3 {\n    run k0(@0, @1) chunk 16\n  }\n}\n";
                    check_wide(&module(&format!("{text}\n{kernel}\n{func}")), true);
                }
            }
        }
    }
}

/// More values are alive than there are registers, with and without calls, which leave none of them.
#[test]
fn values_that_do_not_fit_into_registers() {
    for function in ["neg", "exp"] {
        let mut lines = String::new();
        for number in 0..20 {
            lines += &format!("    %{}: f32 = load p0 [0, {}, 1]\n", 1 + number, 29 * number);
        }
        lines += &format!("    %21: f32 = {function} %1\n");
        for number in 0..20 {
            lines += &format!("    %{}: f32 = add %{} %{}\n", 22 + number, 21 + number, 20 - number);
        }
        // Rows, all of which read the same twenty, one further for each.
        let lines = (0..20).fold(lines, |lines, number| lines.replace(&format!("[0, {}, 1]", 29 * number), "[29, 1]"));
        let text = buffers(&[("a", "input", "f32", 87), ("b", "output", "f32", 87)]);
        let kernel = format!(
            "kernel k0(p0: f32, p1: f32) rows [3, 29] lanes rows {{\n  each [] {{\n    %0: f32 = load p0 [0, 1]\n{lines}    store p1 [29, 1] %41\n  }}\n}}\n"
        );
        let func = "func \"f\" in [@0] out [@1] {\n  step 3 {\n    run k0(@0, @1) chunk 1\n  }\n}\n";
        check_wide(&module(&format!("{text}\n{kernel}\n{func}")), true);
    }
}

/// Where the golden training step has vectors of eight: everywhere but in loops of few numbers.
#[test]
fn a_training_step_has_vectors_of_eight() {
    let text = include_str!("../../../tests/golden/lir/lenet300_step.lir");
    let module = lir::parse(text).expect("a golden file parses");
    let wide = module.kernels.iter().filter(|each| kernel::widest(each) == 8).count();
    assert!(2 * wide > module.kernels.len(), "{wide} of {} kernels", module.kernels.len());
    if cfg!(all(target_arch = "x86_64", unix)) && Isa::best() != Isa::Portable {
        let listing = list(&module, Target::Native).expect("the host is supported").asm;
        let found = listing.split("\nk").filter(|kernel| kernel.contains("ymm")).count();
        assert_eq!(found, wide, "all that can have them do");
    }
}
