//! Golden files: an input, and beside it what a stage makes of it.
//!
//! `golden/<stage>/<name>.tir` opens with a comment that says what it shows. `UPDATE_EXPECT=1 cargo test -p spnc golden`
//! writes the expectations anew. An input can state its structure instead of leaving it to the text: `// count: contract 2`
//! demands that the output has two definitions `contract`.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use spnc::tir::{Func, parse, verify};
use spnc::{ad, pass};

/// The gradient as differentiation writes it, and what the passes make of it.
#[test]
fn ad() {
    each("ad", |text| {
        let grad = ad::grad(&parse(text));
        verify::assert_valid(&grad, "differentiating");
        let mut optimised = grad.clone();
        pass::run(&mut optimised, pass::O1, |_, _| ());
        vec![("grad.tir", grad.to_string()), ("opt.tir", optimised.to_string())]
    });
}

/// The gradient as mathematics; `// axes w: g m` names the axes of an input.
#[test]
fn math() {
    each("math", |text| {
        let mut func = ad::grad(&parse(text));
        pass::run(&mut func, pass::O1, |_, _| ());
        let axes = |input: &str| {
            let prefix = format!("// axes {input}: ");
            let names = text.lines().find_map(|line| line.strip_prefix(prefix.as_str())).unwrap_or_default();
            names.split_whitespace().map(str::to_owned).collect()
        };
        let formulas = ad::math::formulas(&func, "f", &axes).expect("a golden function is small");
        vec![("txt", formulas.to_string())]
    });
}

/// One folder for each pass: what it does alone.
#[test]
fn pass() {
    for pass in pass::ALL {
        each(&format!("pass/{}", pass.name), |text| {
            let mut func = parse(text);
            let dce = *pass::named("dce").expect("dead definitions would only disturb");
            pass::run(&mut func, &[*pass, dce], |_, _| ());
            vec![("opt.tir", func.to_string())]
        });
    }
}

/// Runs `stage` over every input of a folder; compares each text that it returns with the file that has the input's name
/// and the extension given with the text.
fn each(folder: &str, stage: impl Fn(&str) -> Vec<(&'static str, String)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let inputs = inputs(&folder);
    assert!(!inputs.is_empty(), "{} has no golden files", folder.display());
    for input in inputs {
        let text = fs::read_to_string(&input).expect("a listed file can be read");
        assert!(text.starts_with("// "), "{} does not say what it shows", input.display());
        let outputs = stage(&text);
        for (extension, output) in &outputs {
            expect_file![input.with_extension(extension)].assert_eq(output);
        }
        let (_, last) = outputs.last().expect("a stage gives a text");
        check_counts(&input, &text, last);
    }
}

/// The files `name.tir`; `name.grad.tir` and `name.txt` are expectations.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
    let is_input = |path: &PathBuf| {
        let name = path.file_name().expect("an entry has a name").to_string_lossy();
        name.matches('.').count() == 1 && name.ends_with(".tir")
    };
    let mut inputs: Vec<PathBuf> = paths.filter(is_input).collect();
    inputs.sort();
    inputs
}

/// Every line `// count: op n` of the input holds of the output.
fn check_counts(input: &Path, text: &str, output: &str) {
    for directive in text.lines().filter_map(|line| line.strip_prefix("// count: ")) {
        let (op, expected) = directive.split_once(' ').expect("a count has an op and a number");
        let is_op = |line: &&str| line.split_once(" = ").is_some_and(|(_, def)| def.split(' ').next() == Some(op));
        let found = output.lines().filter(is_op).count();
        let shown = input.display();
        assert_eq!(Ok(found), expected.trim().parse(), "{shown}: definitions `{op}` in\n{output}");
    }
}

fn parse(text: &str) -> Func {
    let func = parse::func(text).expect("a golden input is TIR");
    verify::assert_valid(&func, "writing the golden input");
    func
}
