//! Mistakes with starts from files: E0511, E0512.

use super::{quoted, way_out, with_help};
use crate::diag::{Diagnostic, Span};
use crate::model::Symbol;

/// What can be wrong with `init … from`.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum FileMistake {
    /// A tensor of the file has another shape.
    OtherShape {
        span: Span,
        path: Symbol,
        expected: String,
        declared: Option<Span>,
        name: String,
        file: Symbol,
        found: Vec<usize>,
    },
    /// The file has no tensor for a path.
    Missing { span: Span, path: Symbol, file: Symbol, known: Vec<Symbol> },
    /// The file has no tensor of a name.
    NotThere { span: Span, name: Symbol, file: Symbol, known: Vec<Symbol> },
    /// Nothing takes a tensor of the file.
    NotUsed { span: Span, name: String, file: Symbol },
}

impl From<FileMistake> for Diagnostic {
    fn from(mistake: FileMistake) -> Diagnostic {
        match mistake {
            FileMistake::OtherShape { span, path, expected, declared, name, file, found } => {
                let title = format!("`{path}` is {expected}, but `{name}` of \"{file}\" is {found:?}");
                let error = Diagnostic::new("E0511", title, span, format!("this is {found:?}"));
                let error = match declared {
                    Some(declared) => error.also(declared, format!("this is {expected}")),
                    None => error,
                };
                error.help(
                    "name the tensor of the file that fits, or write the file with its axes in the order of the layer",
                )
            }
            FileMistake::Missing { span, path, file, known } => {
                let error = Diagnostic::new("E0512", format!("\"{file}\" has no `{path}`"), span, "not in this file");
                error.help(format!(
                    "say what it is called there, `{{ {} = \"…\" }}`; the file has {}",
                    below(&path),
                    quoted(&known)
                ))
            }
            FileMistake::NotThere { span, name, file, known } => {
                let error = Diagnostic::new("E0512", format!("\"{file}\" has no `{name}`"), span, "not in this file");
                with_help(error.help("look at the file"), way_out(&name, &known, "it has"))
            }
            FileMistake::NotUsed { span, name, file } => {
                let title = format!("`{name}` of \"{file}\" starts nothing");
                let error = Diagnostic::new("E0512", title, span, "read, but not used");
                error.help(format!("say which tensor it starts, or leave it out: `{{ unused = \"{name}\" }}`"))
            }
        }
    }
}

/// A path without the model.
fn below(path: &str) -> &str {
    path.split_once('.').map_or(path, |(_, rest)| rest)
}
