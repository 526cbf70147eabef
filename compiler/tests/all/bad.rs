//! Every program of `golden/bad` holds one mistake: its diagnostics are those in the `.stderr` beside it.
//!
//! The name of a program starts with the code it must give. A line `// set: NAME=VALUE` stands for `--set`; modules
//! are looked up in the same folder. `UPDATE_EXPECT=1 cargo test -p spnc bad` writes the `.stderr` files anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use spnc::diag::{Diagnostic, Sources, render};
use spnc::{elaborate, resolve, syntax};

use crate::common::Fake;

/// Codes that [`diagnostics`] goes far enough to give. Programs with later ones are left to later stages.
const STAGES: [&str; 5] = ["e01", "e02", "e03", "e04", "e05"];

/// Codes of mistakes that have no place in a text.
const PLACELESS: [&str; 1] = ["E0212"];

/// All that is wrong with a program.
fn diagnostics(path: &Path, sources: &mut Sources) -> Vec<Diagnostic> {
    let bytes = fs::read(path).expect("the program can be read");
    let folder = path.parent().expect("the program lies in a folder");
    let name = path.file_name().expect("the program has a name").to_string_lossy();
    let (text, not_utf8) = syntax::decode(sources.next_id(), &bytes);
    let file = sources.add(name, text.as_str());
    if let Some(error) = not_utf8 {
        return vec![error];
    }
    let (ast, errors) = syntax::parse(file, &text);
    if !errors.is_empty() {
        return errors;
    }
    let mut read =
        |module: &str| fs::read_to_string(folder.join(module)).map_err(|_| format!("there is no `{module}`"));
    match resolve::resolve(&ast, sources, &mut read, &sets(&text)) {
        Ok(program) => elaborate::elaborate(&program, &mut Fake).err().unwrap_or_default(),
        Err(errors) => errors,
    }
}

/// The `// set: NAME=VALUE` lines.
fn sets(text: &str) -> Vec<(String, String)> {
    let values = text.lines().filter_map(|line| line.strip_prefix("// set: ")?.split_once('='));
    values.map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn programs() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bad");
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let paths = entries.map(|entry| entry.expect("its entries too").path());
    let programs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "spnet"));
    let named = programs.map(|path| (path.file_stem().expect("a name").to_string_lossy().to_string(), path));
    let mut named: Vec<(String, PathBuf)> =
        named.filter(|(name, _)| STAGES.iter().any(|s| name.starts_with(s))).collect();
    named.sort();
    named
}

fn check(name: &str, path: &Path) {
    let mut sources = Sources::default();
    let found = diagnostics(path, &mut sources);
    let code = name[..5].to_uppercase();
    let codes: Vec<&str> = found.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(codes.first(), Some(&code.as_str()), "{name} gives {codes:?}");
    assert!(codes.len() == 1 || name.contains("several"), "{name} holds one mistake but gives {codes:?}");
    for diagnostic in &found {
        assert!(diagnostic.help.is_some(), "{name}: no way out in {diagnostic:?}");
        assert!(
            diagnostic.primary.is_some() || PLACELESS.contains(&diagnostic.code),
            "{name}: no place in {diagnostic:?}"
        );
    }
    let text: Vec<String> = found.iter().map(|diagnostic| render(diagnostic, &sources, false)).collect();
    expect_file![path.with_extension("stderr")].assert_eq(&text.join("\n"));
}

#[test]
fn each_mistake_is_told_well() {
    for (name, path) in programs() {
        check(&name, &path);
    }
}

#[test]
fn there_are_programs_for_every_code_and_pages() {
    let codes: BTreeSet<String> = programs().iter().map(|(name, _)| name[..5].to_uppercase()).collect();
    for code in codes {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/errors/{code}.md"));
        assert!(page.exists(), "{code} has no page in docs/errors");
    }
}
