//! The library is text like any other: every example compiles with it, and a renamed copy of any of its files compiles to the same code.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Compiled, compile, compile_with};
use spnc::diag::FileId;
use spnc::lower::to_tir;
use spnc::resolve::{LIBRARY, PRELUDE};
use spnc::syntax::{self, ast::ItemKind};

/// Uses what no example does.
const REST: &str = "
use std.layers.{Linear, LayerNorm, Dropout}
use std.norms.{l2_squared, l12, lp, log_l1, log_l2}
use std.sparse.{Competition, ScaledGroupThreshold, RowColumnCompetition, sinkhorn, sinkhorn_balanced, within}
use std.schedules.{constant, exponential, step_decay, cosine_restarts, warmup, bandwidth}

data digits = digits()

layer Mixed(x: [B, F]) -> [B, 10] {
    param mix: [row: 64, col: 64] ~ xavier_uniform(fan_in: 64, fan_out: 64)
    mixed = x @ sinkhorn_balanced(sinkhorn(exp(mix), 2), 2)
    shared = Linear[Out = 32]
    norm = LayerNorm
    last = Linear[Out = 10]
    mixed |> shared |> gelu |> norm |> Dropout(rate: 0.2) |> silu |> last
}

model net = Mixed

sparsify net.mix with RowColumnCompetition(rectify: true)
sparsify net.shared.w by Out with ScaledGroupThreshold as scaled
sparsify net.last.w by In with Competition as shares

minimize cross_entropy(digits.image |> flat |> net, digits.label)
       + linear_terms(net.last.w) + within(mean(net.last.w), most: 50%) + constant(1) * bandwidth(0.1, 0.7)

fn flat(x: [B, H, W]) -> [B, N] = reshape(x / 16, [B, N])

fn linear_terms(w: [G, M]) = l2_squared(w) + l12(w) + lp(w, p: 1.5) + log_l1(w, tau: 0.1) + log_l2(w, tau: 0.1)

report kurtosis(net.shared.w)
report mean_squared_error(net.last.w, net.last.w) + mean_absolute_error(net.last.w, net.last.w)

train {
    epochs    = 1
    batch     = 32
    optimizer = adamw(lr: warmup(1) * step_decay(0.1, 5, 7))
    optimizer for net.mix = sgd(lr: exponential(0.1, 0.9), momentum: 0.9, nesterov: true)
    optimizer for scaled.beta = adam(lr: cosine_restarts(0.1, every: 2))
}
";

#[test]
fn every_example_compiles() {
    let wrong: Vec<String> = examples()
        .into_iter()
        .filter_map(|(path, text)| compile(&text).err().map(|errors| format!("{}:\n{errors}", path.display())))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_no_example_uses_compiles() {
    let errors = compile(REST).err().unwrap_or_default();
    assert!(errors.is_empty(), "{errors}");
}

#[test]
fn whole_programs_in_the_documentation_compile() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for page in ["README.md", "docs/language.md", "docs/tutorial.md"] {
        let Ok(text) = fs::read_to_string(root.join(page)) else { continue };
        let blocks = text.split("```spnet\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(rest));
        for program in blocks.filter(|block| block.contains("\nmodel ")) {
            let errors = compile(program).err().unwrap_or_default();
            assert!(errors.is_empty(), "{page}: {errors}\n{program}");
        }
    }
}

/// Two programs that use a module are compiled with the module and with a copy of it under another name.
#[test]
fn a_renamed_copy_of_a_library_file_compiles_to_the_same_code() {
    let mut programs: Vec<String> = examples().into_iter().map(|(_, text)| text).collect();
    programs.push(REST.to_owned());
    for (module, text) in LIBRARY {
        let mut n_used = 0;
        for program in programs.iter().rev().filter(|program| mentions(program, module)).take(2) {
            n_used += 1;
            let copied = with_copy(program, module, text);
            let original = functions(&compile(program).expect("it compiles"));
            let mut read =
                |path: &str| if path.starts_with("copied/") { Ok(text.to_owned()) } else { Err("?".to_owned()) };
            let copy = compile_with(&copied, &mut read).unwrap_or_else(|errors| panic!("{module}: {errors}\n{copied}"));
            assert!(original == functions(&copy), "a copy of {module} compiles to something else");
        }
        assert!(n_used > 0, "no program uses {module}");
    }
}

fn examples() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let paths = fs::read_dir(folder).expect("there are examples").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "spnet")).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("an example can be read"))).collect()
}

/// Whether the program imports from the module, or the module needs no import.
fn mentions(program: &str, module: &str) -> bool {
    PRELUDE.contains(&module) || program.contains(&format!("use {module}."))
}

/// The program with `copied.…` for `std.…`; what needed no import is imported.
fn with_copy(program: &str, module: &str, text: &str) -> String {
    let copy = module.replacen("std.", "copied.", 1);
    if !PRELUDE.contains(&module) {
        return program.replace(&format!("use {module}."), &format!("use {copy}."));
    }
    let names: Vec<String> =
        names(text).into_iter().filter(|name| !program.contains(&format!("layer {name}"))).collect();
    format!("use {copy}.{{{}}}\n{program}", names.join(", "))
}

/// What a module defines.
fn names(text: &str) -> Vec<String> {
    let (file, errors) = syntax::parse(FileId(0), text);
    assert!(errors.is_empty(), "{errors:?}");
    file.items.iter().filter_map(|item| name(&item.kind)).collect()
}

fn name(item: &ItemKind) -> Option<String> {
    match item {
        ItemKind::Const(name, _) => Some(name.text.to_string()),
        ItemKind::Fn(function) => Some(function.name.text.to_string()),
        ItemKind::Layer(layer) => Some(layer.name.text.to_string()),
        ItemKind::Use(_) | ItemKind::Data(_) | ItemKind::Model(..) | ItemKind::Group(..) | ItemKind::Sparsify(_) => {
            None
        }
        ItemKind::Proximal(..) | ItemKind::Budget(_) | ItemKind::Minimize(_) | ItemKind::Report(..) => None,
        ItemKind::Train(_) | ItemKind::Init(_) => None,
    }
}

/// The functions of a program as text, without the source positions behind the definitions.
fn functions(compiled: &Compiled) -> String {
    let Compiled { model, sources } = compiled;
    let funcs = [
        to_tir::init(model, sources),
        to_tir::train_step(model, sources, 0, 8),
        to_tir::evaluate(model, sources, 8),
        to_tir::report(model, sources),
        to_tir::effective(model, sources),
    ];
    let text: String = funcs.iter().map(ToString::to_string).collect();
    text.lines().map(|line| line.split("  // ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}
