//! The architecture as a test: which module may import which, and which crate is named where.

use std::fs;
use std::path::{Path, PathBuf};

/// Which sibling modules each module of the compiler may import. Reading it top to bottom is reading the
/// pipeline; adding an entry to a list is an architectural change.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("diag", &[]),
    ("scalar", &[]),
    ("window", &[]),
    ("syntax", &["diag"]),
    ("resolve", &["diag", "syntax"]),
    ("model", &["diag", "scalar", "window"]),
    ("elaborate", &["diag", "scalar", "window", "resolve", "model"]),
    ("tir", &["scalar", "window"]),
    ("lir", &["scalar", "window"]),
    ("ad", &["scalar", "window", "tir"]),
    ("pass", &["scalar", "window", "tir"]),
    ("lower", &["diag", "scalar", "window", "model", "pass", "tir", "lir"]),
    ("codegen", &["scalar", "window", "lir"]),
    ("plot", &[]),
    ("shrink", &["diag", "lower", "model", "resolve", "scalar", "syntax", "tir", "window"]),
    ("exec", &["ad", "codegen", "diag", "lir", "lower", "model", "pass", "tir"]),
];

/// Crates that only one part may name.
const NAMED_ONLY_IN: &[(&str, &str)] = &[
    ("pest", "syntax"),
    ("cranelift", "codegen"),
    ("cranelift_jit", "codegen"),
    ("iced_x86", "codegen"),
    ("regalloc2", "codegen"),
    ("miette", "diag"),
    ("svg", "plot"),
    ("clap", "cli"),
    ("indicatif", "cli"),
    ("comfy_table", "cli"),
    ("ctrlc", "cli"),
];

/// What only the command line and the runtime's `data` and `store` may use.
const OUTSIDE_WORLD: &[&str] = &["std::fs", "std::env", "std::time", "println!", "eprintln!"];

#[test]
fn modules_import_only_what_they_may() {
    for (module, allowed) in MAY_IMPORT {
        for (file, text) in rust_files(&src("compiler"), module) {
            for target in text.split("crate::").skip(1).filter_map(first_word) {
                let own = target == *module || !is_module(&target);
                assert!(own || allowed.contains(&target.as_str()), "{file}: `{module}` may not import `{target}`");
            }
        }
    }
}

#[test]
fn every_module_is_listed() {
    for entry in fs::read_dir(src("compiler")).expect("the source folder can be read") {
        let name = entry.expect("its entries too").file_name().to_string_lossy().replace(".rs", "");
        let listed = MAY_IMPORT.iter().any(|(module, _)| *module == name);
        assert!(listed || ["lib", "main", "cli"].contains(&name.as_str()), "`{name}` has no entry in MAY_IMPORT");
    }
}

#[test]
fn crates_are_named_only_where_they_belong() {
    for (krate, home) in NAMED_ONLY_IN {
        for (module, _) in MAY_IMPORT.iter().filter(|(module, _)| module != home) {
            for (file, text) in rust_files(&src("compiler"), module) {
                let named = [format!("use {krate}::"), format!(" {krate}::"), format!("({krate}::")];
                assert!(!named.iter().any(|n| code(&text).contains(n)), "{file}: only `{home}` may name `{krate}`");
            }
        }
    }
}

#[test]
fn only_the_edges_touch_the_world() {
    let compiler = MAY_IMPORT.iter().flat_map(|(module, _)| rust_files(&src("compiler"), module));
    let runtime = ["kernels", "pool", "program", "random", "train"];
    for (file, text) in compiler.chain(runtime.iter().flat_map(|module| rust_files(&src("runtime"), module))) {
        for word in OUTSIDE_WORLD {
            let library = code(&text);
            assert!(
                !library.contains(word),
                "{file}: `{word}` belongs to the command line or the runtime's data and store"
            );
        }
    }
}

#[test]
fn the_runtime_knows_nothing_of_the_compiler() {
    for (file, text) in rust_files(&src("runtime"), "") {
        assert!(!text.contains("spnc::"), "{file}: the runtime may not name the compiler");
    }
}

/// The text without comments and without test modules.
fn code(text: &str) -> String {
    let library = text.split("#[cfg(test)]").next().unwrap_or(text);
    library.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_module(name: &str) -> bool {
    MAY_IMPORT.iter().any(|(module, _)| *module == name) || name == "cli"
}

fn first_word(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

fn src(krate: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(krate).join("src")
}

/// The Rust files of a module (a file or a folder), with their texts; of the whole crate for an empty name.
fn rust_files(src: &Path, module: &str) -> Vec<(String, String)> {
    let mut found = vec![];
    let mut paths =
        vec![if module.is_empty() { src.to_owned() } else { src.join(module) }, src.join(format!("{module}.rs"))];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths
                .extend(fs::read_dir(&path).expect("a folder can be read").map(|e| e.expect("its entries too").path()));
        } else if path.extension().is_some_and(|e| e == "rs") && path.exists() {
            found.push((path.display().to_string(), fs::read_to_string(&path).expect("a source file is text")));
        }
    }
    found
}
