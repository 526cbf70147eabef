//! What resolution promises: the whole library resolves, no module is special, nothing makes it panic.

use std::collections::HashMap;

use proptest::prelude::*;

use super::hir::{DefKind, ExprKind, Program};
use super::*;
use crate::syntax::parse;

/// Resolves `main` with these modules beside it.
fn resolve_with(main: &str, modules: &[(&str, &str)], sets: &[(&str, &str)]) -> Result<Program, Vec<Diagnostic>> {
    let mut sources = Sources::default();
    let file = sources.add("main.spnet", main);
    let (ast, errors) = parse(file, main);
    assert_eq!(errors, vec![], "in\n{main}");
    let modules: HashMap<&str, &str> = modules.iter().copied().collect();
    let mut read = |path: &str| modules.get(path).map(|text| text.to_string()).ok_or("no such file".to_string());
    let sets: Vec<(String, String)> = sets.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    resolve(&ast, &mut sources, &mut read, &sets)
}

#[track_caller]
fn resolved(main: &str) -> Program {
    resolve_with(main, &[], &[]).expect("a valid program")
}

#[track_caller]
fn codes(main: &str, modules: &[(&str, &str)]) -> Vec<&'static str> {
    let errors = resolve_with(main, modules, &[]).expect_err("an invalid program");
    assert!(errors.iter().all(|error| error.help.is_some() && error.primary.is_some()), "{errors:#?}");
    errors.iter().map(|error| error.code).collect()
}

fn const_text(program: &Program, name: &str) -> String {
    let text = print(program);
    let start = format!("const {name} = ");
    text.lines().find_map(|line| line.strip_prefix(&start)).expect("the constant is printed").to_string()
}

#[test]
fn the_whole_library_resolves() {
    for (module, text) in LIBRARY {
        drop(resolved(text));
        assert!(!text.is_empty(), "{module}");
    }
}

/// No module of the library is special: under another name it says the same.
#[test]
fn a_renamed_copy_of_a_library_module_resolves_alike() {
    for (module, text) in LIBRARY {
        let file = parse(crate::diag::FileId(0), text).0;
        let names: Vec<&str> =
            file.items.iter().filter_map(|item| modules::item_name(&item.kind)).map(|name| &*name.text).collect();
        let main = |module: &str| format!("use {module}.{{{}}}\n", names.join(", "));
        let uses: String = names.iter().enumerate().map(|(i, name)| format!("const use_{i} = {name}\n")).collect();
        let own = print(&resolved(&(main(module) + &uses)));
        let copy = resolve_with(&(main("mine") + &uses), &[("mine.spnet", text)], &[]).expect("a valid copy");
        let lines = |text: &str| {
            let mut blocks: Vec<String> = text.split("\n\n").map(|block| block.trim().to_string()).collect();
            blocks.sort();
            blocks
        };
        let renamed = print(&copy).replace("mine.", &format!("{module}."));
        for block in lines(&own) {
            assert!(lines(&renamed).contains(&block), "{module}: not in the copy:\n{block}");
        }
    }
}

#[test]
fn pipes_become_calls() {
    let program = resolved("const x = 3 |> sqrt |> max(2)\n");
    assert_eq!(const_text(&program, "x"), "max(sqrt(3), 2)");
}

#[test]
fn a_pipe_into_a_layer_with_settings_applies_it() {
    let text = "use std.layers.{Dense, Dropout}\nconst a = 1 |> Dropout(rate: 0.2)\nconst b = 1 |> Dense[Out = 2]\n";
    let program = resolved(text);
    assert_eq!(const_text(&program, "a"), "std.layers.Dropout(rate: 0.2)(1)");
    assert_eq!(const_text(&program, "b"), "std.layers.Dense[Out = 2](1)");
}

#[test]
fn own_names_shadow_the_prelude() {
    let program = resolved("fn relu(x) = x\nconst a = relu(1)\nconst b = elu(1)\n");
    assert_eq!(const_text(&program, "a"), "relu(1)");
    assert_eq!(const_text(&program, "b"), "std.core.elu(1)");
}

#[test]
fn an_unknown_capital_in_an_argument_is_an_axis() {
    let program = resolved("const a = sum(1, Out)\nfn f(g: [row: N, col: N]) = sum(g, col) + sum(g, N)\n");
    assert_eq!(const_text(&program, "a"), "sum(1, 'Out)");
    assert!(print(&program).contains("(sum(g, 'col) + sum(g, N))"), "{}", print(&program));
}

#[test]
fn a_constant_in_a_signature_is_a_size_not_a_new_name() {
    let program = resolved("const hidden = 3\nlayer L(x: [B, hidden]) -> [B, hidden] { x }\n");
    let DefKind::Layer(layer) = &program.defs[1].kind else { panic!("a layer") };
    let names: Vec<&str> = layer.locals.iter().map(|local| &*local.name.text).collect();
    assert_eq!(names, ["x", "B"]);
}

#[test]
fn set_replaces_constants() {
    let main = "const lambda = 2e-4\nconst twice = 2 * lambda\n";
    let program = resolve_with(main, &[], &[("lambda", "1e-3 / 2")]).expect("a valid program");
    assert_eq!(const_text(&program, "lambda"), "(0.001 / 2)");
    let errors = resolve_with(main, &[], &[("lamda", "1"), ("lambda", "1 +"), ("twice", "nothing")]);
    let errors = errors.expect_err("bad values");
    assert_eq!(errors.iter().map(|e| e.code).collect::<Vec<_>>(), ["E0212", "E0102", "E0201"]);
    assert_eq!(errors[0].help.as_deref(), Some("did you mean `--set lambda=…`?"));
}

#[test]
fn modules_lie_beside_their_importer() {
    let modules = [("lib/a.spnet", "use b.f\nfn g(x) = f(x)\n"), ("lib/b.spnet", "fn f(x) = x\n")];
    let program = resolve_with("use lib.a.g\nconst c = g(1)\n", &modules, &[]).expect("a valid program");
    assert!(print(&program).contains("fn lib.a.g(x) {\n    lib.b.f(x)\n}"), "{}", print(&program));
}

#[test]
fn circles_of_imports_are_refused() {
    let modules = [("a.spnet", "use b.g\nfn f(x) = g(x)\n"), ("b.spnet", "use a.f\nfn g(x) = f(x)\n")];
    assert_eq!(codes("use a.f\n", &modules), ["E0206"]);
    assert_eq!(codes("use a.f\n", &[("a.spnet", "use a.g\nfn f(x) = x\nfn g(x) = x\n")]), ["E0206"]);
}

#[test]
fn circles_of_values_are_refused_and_recursion_is_not() {
    assert_eq!(codes("const a = b\nconst b = 2 * a\n", &[]), ["E0207"]);
    assert_eq!(codes("data d = csv(d.x)\n", &[]), ["E0207"]);
    drop(resolved("data d = csv(\"a.csv\") { x = x / d.largest }\n"));
    drop(resolved("fn f(x, k) = if k == 0 { x } else { f(x, k - 1) }\nconst a = f(1, 2)\n"));
}

#[test]
fn mistakes_in_several_definitions_are_all_told() {
    let text =
        "const a = unknown_1\nfn f(x) = unknown_2\nlayer L(x) {\n    y = unknown_3\n    y\n}\nminimize unknown_4\n";
    assert_eq!(codes(text, &[]), ["E0201"; 4]);
}

#[test]
fn plans_and_events_keep_their_order_and_their_names() {
    let text = "train {\n    epochs = 1\n    phase a { epochs = 2, every epoch { fire tick } }\n\
                \x20   repeat r in 1..2 { fire prune(0.1 * r) on net.w, phase { lr = 0.1 / r } }\n\
                \x20   for w in net.w { every 10 steps { fire prune on w }, phase { } }\n}\n\
                use std.layers.Dense\nmodel net = Dense[Out = 1]\n\
                init net from \"w.npz\" { fc1.0.w = \"a\" }\n\
                group g = join(net.w by Out, net.b by Out)\ngroup h = net.w by In / 2\n\
                layer M(x) {\n    state s: [] = 0\n    on tick(n) { t = n + 1, s <- t }\n\
                \x20   every 2 steps { raw(x) <- s * x }\n    x\n}\n";
    let printed = print(&resolved(text));
    for line in [
        "    phase a {\n        epochs = 2\n        every epoch {\n            fire tick()",
        "    repeat r in (1..2) {\n        fire prune((0.1 * r)) on net.w\n        phase {\n            lr = (0.1 / r)",
        "    for w in net.w {\n        every 10 steps {\n            fire prune() on w",
        "init net from \"w.npz\" {\n    fc1.0.w = \"a\"",
        "group g = join((net.w by Out), (net.b by Out))",
        "group h = net.w by In / 2",
        "    on tick(n) {\n        t = (n + 1)\n        s <- t",
        "    every 2 steps {\n        raw(x) <- (s * x)",
    ] {
        assert!(printed.contains(line), "{line}\nis not in\n{printed}");
    }
}

#[test]
fn blocks_of_the_top_level_bind_names() {
    let program = resolved("minimize {\n    y = 2\n    y^2\n}\nconst a = {\n    b = 1\n    b\n}\n");
    let names: Vec<&str> = program.locals.iter().map(|local| &*local.name.text).collect();
    assert_eq!(names, ["y", "b"]);
}

#[test]
fn fields_of_data_are_left_to_the_next_stage() {
    let program = resolved("data d = csv(\"d.csv\") {\n    x = (x - 1) / scale\n}\n");
    let DefKind::Data(data) = &program.defs[0].kind else { panic!("data") };
    assert!(matches!(data.fields[0].1.kind, ExprKind::Binary(..)));
    assert!(print(&program).contains("x = (('x - 1) / 'scale)"), "{}", print(&program));
}

/// A library file or example with one word replaced by another.
fn mutated() -> impl Strategy<Value = String> {
    let texts: Vec<&'static str> = LIBRARY.iter().map(|(_, text)| *text).collect();
    (prop::sample::select(texts), any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(
        |(text, at, by)| {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let words: Vec<(usize, &str)> = text
                .match_indices(is_word)
                .map(|(i, _)| i)
                .filter(|&i| i == 0 || !text[..i].ends_with(is_word))
                .map(|i| (i, text[i..].split(|c| !is_word(c)).next().unwrap_or_default()))
                .collect();
            let ((start, old), (_, new)) = (words[at.index(words.len())], words[by.index(words.len())]);
            format!("{}{new}{}", &text[..start], &text[start + old.len()..])
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_program_makes_it_panic(text in mutated()) {
        let mut sources = Sources::default();
        let file = sources.add("main.spnet", text.as_str());
        let (ast, _) = parse(file, &text);
        if let Err(errors) = resolve(&ast, &mut sources, &mut |_| Err("no such file".to_string()), &[]) {
            prop_assert!(errors.iter().all(|error| error.help.is_some()), "{:#?}", errors);
        }
    }
}
