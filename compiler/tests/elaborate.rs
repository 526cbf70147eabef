//! Programs to models: every example elaborates to a model that verifies, and small programs give the models that are expected.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};
use spnc::diag::{Diagnostic, Sources, Span};
use spnc::model::{DType, DataSpec, Field, Model, Refusal, World, verify};
use spnc::{elaborate, resolve, syntax};

/// Data sets that only exist here: their fields are what a test needs.
struct Fake;

impl World for Fake {
    fn data(&mut self, spec: &DataSpec) -> Result<Vec<Field>, Refusal> {
        let field = |name: &str, dtype, shape: &[usize]| Field { name: name.into(), dtype, shape: shape.to_vec() };
        match spec.source.as_str() {
            "idx" => Ok(vec![field("image", DType::I32, &[28, 28]), field("label", DType::I32, &[])]),
            "digits" => Ok(vec![field("image", DType::F32, &[8, 8]), field("label", DType::I32, &[])]),
            "csv" => Ok(vec![field("x", DType::F32, &[8]), field("y", DType::F32, &[])]),
            "synthetic" => Ok(vec![field("x", DType::F32, &[20]), field("y", DType::F32, &[])]),
            other => {
                let help = Some("write `digits()`".into());
                Err(Refusal { code: "E0901", title: format!("no data source is called `{other}`"), help })
            }
        }
    }

    fn load(&mut self, _: &str, name: Option<&str>) -> Result<ArrayD<f64>, Refusal> {
        match name {
            Some("w") => Ok(ArrayD::from_shape_fn(IxDyn(&[4, 3]), |at| (at[0] * 3 + at[1]) as f64 - 5.0)),
            Some("scalar") => Ok(ArrayD::from_elem(IxDyn(&[]), 2.0)),
            _ => Err(Refusal { code: "E0904", title: "no such tensor".into(), help: None }),
        }
    }
}

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
