//! The front end on whole files: what it prints is in golden files, and what the documents show it can read.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use spnc::diag::{Diagnostic, Sources, render};
use spnc::{resolve, syntax};

/// Codes whose pages show more than one file, bytes, or a command.
const NOT_ONE_TEXT: [&str; 4] = ["E0109", "E0206", "E0211", "E0212"];

#[test]
fn printed_syntax() {
    for input in files("compiler/tests/golden/ast", "spnet") {
        let text = fs::read_to_string(&input).expect("a listed file can be read");
        let (ast, errors) = syntax::parse(Sources::default().next_id(), &text);
        assert_eq!(errors, vec![], "{}", input.display());
        expect_file![input.with_extension("ast")].assert_eq(&syntax::print(&ast));
    }
}

#[test]
fn printed_names() {
    for input in files("compiler/tests/golden/hir", "spnet") {
        let text = fs::read_to_string(&input).expect("a listed file can be read");
        let program = resolved(&text).unwrap_or_else(|errors| panic!("{}:\n{errors}", input.display()));
        let of_library = |block: &&str| ["fn std.", "layer std."].iter().any(|start| block.contains(start));
        let own: Vec<&str> = program.split("\n\n").filter(|block| !of_library(block)).collect();
        expect_file![input.with_extension("hir")].assert_eq(&own.join("\n\n"));
    }
}

#[test]
fn the_library_and_the_examples_print_and_resolve() {
    for path in files("stdlib", "spnet").into_iter().chain(files("examples", "spnet")) {
        let text = fs::read_to_string(&path).expect("a listed file can be read");
        let (ast, errors) = syntax::parse(Sources::default().next_id(), &text);
        assert_eq!(errors, vec![], "{}", path.display());
        let printed = syntax::print(&ast);
        let (again, errors) = syntax::parse(Sources::default().next_id(), &printed);
        assert_eq!(errors, vec![], "{} printed as\n{printed}", path.display());
        assert_eq!(without_places(&again), without_places(&ast), "{} printed as\n{printed}", path.display());
        drop(resolved(&text).unwrap_or_else(|errors| panic!("{}:\n{errors}", path.display())));
    }
}

#[test]
fn what_the_documents_show_can_be_read() {
    for page in files("docs", "md").into_iter().chain([root().join("README.md")]) {
        let text = fs::read_to_string(&page).unwrap_or_default();
        for block in blocks(&text) {
            let (_, errors) = syntax::parse(Sources::default().next_id(), block);
            assert_eq!(errors, vec![], "{} shows\n{block}", page.display());
        }
    }
}

#[test]
fn pages_show_the_mistake_and_the_way_out() {
    for page in files("docs/errors", "md") {
        let code = page.file_stem().expect("a page has a name").to_string_lossy().to_string();
        if !code.starts_with("E01") && !code.starts_with("E02") || NOT_ONE_TEXT.contains(&code.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&page).expect("a listed file can be read");
        let [wrong, right] = blocks(&text)[..] else { panic!("{code} shows one wrong and one right program") };
        assert!(codes(wrong).contains(&code.as_str()), "{code}: the wrong program gives {:?}", codes(wrong));
        assert!(!codes(right).contains(&code.as_str()), "{code}: the right program gives it, too");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder with this extension.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder can be listed");
    let paths = entries.map(|entry| entry.expect("its entries too").path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|ext| ext == extension)).collect();
    files.sort();
    files
}

/// A tree as text, but for the lines that say where its nodes stand.
fn without_places(ast: &syntax::ast::File) -> String {
    let tree = format!("{ast:#?}");
    let is_place = |line: &&str| ["start: ", "end: "].iter().any(|place| line.trim().starts_with(place));
    tree.lines().filter(|line| !is_place(line)).collect()
}

/// The programs that a page shows.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```spnet\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn codes(text: &str) -> Vec<&'static str> {
    let mut sources = Sources::default();
    let file = sources.add("page.spnet", text);
    let (ast, mut errors) = syntax::parse(file, text);
    errors.extend(resolve::resolve(&ast, &mut sources, &mut no_modules, &[]).err().unwrap_or_default());
    errors.iter().map(|error| error.code).collect()
}

/// The names of a program, printed.
fn resolved(text: &str) -> Result<String, String> {
    let mut sources = Sources::default();
    let file = sources.add("main.spnet", text);
    let (ast, errors) = syntax::parse(file, text);
    let shown = |errors: Vec<Diagnostic>| errors.iter().map(|error| render(error, &sources, false)).collect::<String>();
    if !errors.is_empty() {
        return Err(shown(errors));
    }
    match resolve::resolve(&ast, &mut sources, &mut no_modules, &[]) {
        Ok(program) => Ok(resolve::print(&program)),
        Err(errors) => Err(errors.iter().map(|error| render(error, &sources, false)).collect()),
    }
}

fn no_modules(path: &str) -> Result<String, String> {
    Err(format!("there is no `{path}` here"))
}
