//! What tests of whole programs share: from text to an elaborated model, in a world without files.

use ndarray::ArrayD;
use spnc::diag::{Diagnostic, Sources};
use spnc::model::{DType, DataSpec, Field, Model, Refusal, World};
use spnc::{elaborate, resolve, syntax};

/// A program without mistakes.
pub struct Compiled {
    /// What it means.
    pub model: Model,
    /// Its texts.
    pub sources: Sources,
}

/// Compiles a program that imports nothing but the library.
///
/// # Errors
///
/// Its mistakes, in one text.
#[allow(dead_code, reason = "each test crate uses its part of this module")]
pub fn compile(text: &str) -> Result<Compiled, String> {
    compile_with(text, &mut |path| Err(format!("there is no {path}")))
}

/// Compiles a program with modules of its own.
///
/// # Errors
///
/// Its mistakes, in one text.
pub fn compile_with(text: &str, read: &mut dyn FnMut(&str) -> Result<String, String>) -> Result<Compiled, String> {
    let mut sources = Sources::default();
    let file = sources.add("main.spnet", text);
    let (parsed, errors) = syntax::parse(file, text);
    if !errors.is_empty() {
        return Err(messages(&errors, &sources));
    }
    let program = resolve::resolve(&parsed, &mut sources, read, &[]).map_err(|errors| messages(&errors, &sources))?;
    let model = elaborate::elaborate(&program, &mut Shapes).map_err(|errors| messages(&errors, &sources))?;
    Ok(Compiled { model, sources })
}

fn messages(errors: &[Diagnostic], sources: &Sources) -> String {
    let line = |error: &Diagnostic| match &error.primary {
        Some((span, label)) => {
            let (line, column) = sources.line_column(*span);
            format!("{}:{line}:{column}: {} {}: {label}", sources.name(span.file), error.code, error.title)
        }
        None => format!("{} {}", error.code, error.title),
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Data sets that consist of names and shapes: those of the files that the examples read.
struct Shapes;

impl World for Shapes {
    fn data(&mut self, spec: &DataSpec) -> Result<Vec<Field>, Refusal> {
        let field = |name: &str, dtype, shape: &[usize]| Field { name: name.into(), dtype, shape: shape.to_vec() };
        let label = || field("label", DType::I32, &[]);
        let table = |columns| vec![field("x", DType::F32, &[columns]), field("y", DType::F32, &[])];
        let is_diabetes = format!("{:?}", spec.args).contains("diabetes");
        match spec.source.as_str() {
            "idx" => Ok(vec![field("image", DType::F32, &[28, 28]), label()]),
            "digits" => Ok(vec![field("image", DType::F32, &[8, 8]), label()]),
            "csv" if is_diabetes => Ok(table(10)),
            "csv" => Ok(table(8)),
            other => Err(Refusal { code: "E0901", title: format!("no shapes of `{other}` here"), help: None }),
        }
    }

    fn load(&mut self, file: &str, _name: Option<&str>) -> Result<ArrayD<f64>, Refusal> {
        Err(Refusal { code: "E0901", title: format!("no `{file}` here"), help: None })
    }
}
