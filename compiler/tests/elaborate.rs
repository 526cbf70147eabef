//! Programs to models: every example elaborates to a model that verifies, and small programs give the models that are expected.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use spnc::diag::{Diagnostic, Sources, Span};
use spnc::model::{Model, verify};
use spnc::{elaborate, resolve, syntax};

use common::Fake;

fn try_elaborate(name: &str, text: &str) -> Result<(Model, Sources), (Vec<Diagnostic>, Sources)> {
    let mut sources = Sources::default();
    let file = sources.add(name, text);
    let (ast, errors) = syntax::parse(file, text);
    assert!(errors.is_empty(), "{name}: {errors:?}");
    let mut read = |module: &str| Err(format!("there is no `{module}`"));
    let program = match resolve::resolve(&ast, &mut sources, &mut read, &[]) {
        Ok(program) => program,
        Err(errors) => return Err((errors, sources)),
    };
    match elaborate::elaborate(&program, &mut Fake) {
        Ok(model) => Ok((model, sources)),
        Err(errors) => Err((errors, sources)),
    }
}

fn text_at(sources: &Sources, span: Span) -> &str {
    &sources.text(span.file)[span.start as usize..span.end as usize]
}

/// The model of a program that has no mistakes.
#[track_caller]
fn elaborated(name: &str, text: &str) -> Model {
    match try_elaborate(name, text) {
        Ok((model, _)) => {
            verify::verify(&model).unwrap_or_else(|errors| panic!("{name}:\n{}", errors.join("\n")));
            model
        }
        Err((errors, sources)) => {
            let show = |d: &Diagnostic| {
                let at = d.primary.as_ref().map(|(span, label)| {
                    let (line, column) = sources.line_column(*span);
                    format!("{}:{line}:{column} `{}` {label}", sources.name(span.file), text_at(&sources, *span))
                });
                format!("{} {}\n  {at:?}\n  {:?}", d.code, d.title, d.secondary)
            };
            panic!("{name}:\n{}", errors.iter().map(show).collect::<Vec<String>>().join("\n"))
        }
    }
}

fn programs(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("its entries too").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "spnet"));
    paths.sort();
    paths
}

#[test]
fn every_example_elaborates() {
    for path in programs("../examples") {
        let text = fs::read_to_string(&path).expect("the example can be read");
        let name = path.file_name().expect("it has a name").to_string_lossy();
        let _ = elaborated(&name, &text);
    }
}
