//! The text form, the verifier and the op list of the tensor IR, on golden files.
//!
//! A broken file says what is wrong on each guilty line, as `// error: part of the message`; every error must be announced
//! and every announcement must come true.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use spnc::scalar::{Binary, Unary};
use spnc::tir::verify::{Place, verify};
use spnc::tir::{Func, Op, Reduction, arbitrary, parse};

const MARK: &str = "  // error: ";

/// The `.tir` files of a folder below `golden/tir`, with their texts.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tir").join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder exists").map(|entry| entry.expect("readable").path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "tir")).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).expect("readable"))).collect()
}

/// The text without its announcements, and these, by line from 1.
fn without_marks(text: &str) -> (String, Vec<(usize, &str)>) {
    let plain: Vec<&str> = text.lines().map(|line| line.split(MARK).next().unwrap_or(line)).collect();
    let marks = text.lines().enumerate().filter_map(|(i, line)| Some((i + 1, line.split_once(MARK)?.1)));
    (plain.join("\n"), marks.collect())
}

/// The line, from 1, of each definition and of each result.
fn line_of(text: &str, place: &Place) -> usize {
    let starts_with = |start| text.lines().enumerate().filter(move |(_, line)| line.trim_start().starts_with(start));
    let line = match place {
        Place::Def(value) => starts_with("%").nth(value.0 as usize),
        Place::Result(index) => starts_with("return ").nth(*index),
    };
    line.expect("the place is in the text").0 + 1
}

#[track_caller]
fn assert_announced(path: &Path, found: &[(usize, String)], announced: &[(usize, &str)]) {
    let lines = |list: &[(usize, String)]| list.iter().map(|(line, _)| *line).collect::<Vec<_>>();
    let announced_lines: Vec<usize> = announced.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines(found), announced_lines, "{}: found {found:#?}", path.display());
    for ((line, message), (_, part)) in found.iter().zip(announced) {
        assert!(message.contains(part), "{}:{line}: `{message}` does not say `{part}`", path.display());
    }
}

#[test]
fn the_verifier_reports_each_guilty_line() {
    for (path, text) in files("broken") {
        let (plain, announced) = without_marks(&text);
        let func = parse::func(&plain).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let errors = verify(&func).expect_err("a broken file has errors");
        let mut found: Vec<(usize, String)> =
            errors.into_iter().map(|error| (line_of(&plain, &error.at), error.message)).collect();
        found.sort();
        assert_announced(&path, &found, &announced);
    }
}

#[test]
fn the_parser_names_the_guilty_line() {
    for (path, text) in files("unreadable") {
        let (plain, announced) = without_marks(&text);
        let error = parse::func(&plain).expect_err("an unreadable file is not read");
        assert_announced(&path, &[(error.line, error.message)], &announced);
    }
}

#[test]
fn golden_files_are_printed_as_they_are_written() {
    for (path, text) in files("") {
        let module = parse::module(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let printed = module.to_string();
        assert_eq!(printed, text, "{}", path.display());
        assert_eq!(parse::module(&printed), Ok(module));
    }
}

#[test]
fn not_a_number_is_read_back() {
    let text = "func f {\n  %0 = const NaN : f32[]\n}\n";
    let func = parse::func(text).expect("a constant");
    assert!(matches!(func.defs[0].op, Op::Const(number) if number.is_nan()));
    assert_eq!(func.to_string(), text);
}

/// Every op by the word that it is printed with. A new op breaks the `match` below: add its word here, an arm to
/// [`word`], a broken example, and a case to `tir::arbitrary`.
fn all_words() -> BTreeSet<String> {
    let others = ["param", "const", "iota", "select", "convert", "broadcast", "transpose", "reshape", "contract"];
    let special = ["uniform", "quantile", "with_gradient", "grad"];
    let images = ["conv", "conv_by_input", "conv_by_weight", "pool_sum", "pool_max", "unpool", "unpool_max"];
    let rows = ["pad", "slice", "concat", "gather", "scatter", "top_k", "cumsum", "sparse_product", "sparse_sampled"];
    let words = others.into_iter().chain(special).chain(images).chain(rows).map(str::to_owned);
    let unary = Unary::ALL.into_iter().map(|f| f.to_string());
    let binary = Binary::ALL.into_iter().map(|f| f.to_string());
    words.chain(unary).chain(binary).chain(Reduction::ALL.into_iter().map(|how| how.to_string())).collect()
}

fn word(op: &Op) -> String {
    match op {
        Op::Param(_) | Op::Const(_) | Op::Iota(_) => {}
        Op::Unary(..) | Op::Binary(..) | Op::Select(..) | Op::Convert(_) => {}
        Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_) | Op::Reduce(..) | Op::Contract(..) => {}
        Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => {}
        Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) => {}
        Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } | Op::Sparse { .. } => {}
        Op::Uniform { .. } | Op::Quantile(..) | Op::WithGradient(..) | Op::Grad(..) => {}
    }
    op.to_string().split(' ').next().expect("a word").to_owned()
}

#[test]
fn every_op_has_a_broken_example() {
    let mut broken = BTreeSet::new();
    for (_, text) in files("broken") {
        let (plain, _) = without_marks(&text);
        let func = parse::func(&plain).expect("a broken file is read");
        for error in verify(&func).expect_err("a broken file has errors") {
            if let Place::Def(value) = error.at {
                let _ = broken.insert(word(&func.def(value).op));
            }
        }
    }
    // Elementwise functions share their rule by the types they are for: one of each kind is enough.
    let shares_a_rule = |word: &str| Unary::from_name(word).is_some() || Binary::from_name(word).is_some();
    let missing: Vec<String> = all_words().into_iter().filter(|w| !broken.contains(w) && !shares_a_rule(w)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_op_but_grad_and_products_by_a_pattern_occurs_in_random_functions() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let recipes = prop::collection::vec(any::<u32>(), 60..120);
    let mut seen = BTreeSet::new();
    for _ in 0..300 {
        let recipe = recipes.new_tree(&mut runner).expect("a recipe").current();
        let func: Func = arbitrary::func(&recipe);
        seen.extend(func.defs.iter().map(|def| word(&def.op)));
    }
    let missing: Vec<String> = all_words().difference(&seen).cloned().collect();
    // A pattern is not just any integers.
    assert_eq!(missing, ["grad", "sparse_product", "sparse_sampled"]);
}
