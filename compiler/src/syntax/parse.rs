//! From declaration to declaration, and on after a mistake.

use pest::Parser;
use spnc_grammar::{Grammar, Rule};

use super::ast::{Expr, File};
use super::build::{Builder, Children, doc_text};
use super::depth::check_depth;
use super::message;
use super::token::word;
use crate::diag::{Diagnostic, FileId, Span};

/// Words that start a declaration.
pub const DECLARATIONS: [&str; 14] = [
    "use", "const", "fn", "layer", "data", "model", "group", "sparsify", "proximal", "budget", "minimize", "report",
    "train", "init",
];

/// Reads a file: what could be read of it, and what is wrong with the rest.
pub fn parse(file: FileId, text: &str) -> (File, Vec<Diagnostic>) {
    let doc = file_doc(text);
    if let Some(error) = check_depth(file, text) {
        return (File { doc, items: vec![] }, vec![error]);
    }
    let mut builder = Builder { file, base: 0, errors: vec![], depth: 0 };
    let mut items = vec![];
    let mut at = skip_blank(text, 0);
    while at < text.len() {
        builder.base = at as u32;
        at = match Grammar::parse(Rule::item, &text[at..]) {
            Ok(mut pairs) => {
                let pair = pairs.next().expect("parsing a rule gives one pair");
                let end = at + pair.as_span().end();
                items.push(builder.item(pair));
                end
            }
            Err(error) => {
                let failed = at + message::error_at(&error);
                let next = resume_at(text, at, failed);
                builder.errors.push(message::item_error(file, text, (at, next), &error));
                next
            }
        };
        at = skip_blank(text, at);
    }
    let mut errors = builder.errors;
    errors.sort_by_key(|error| error.primary.as_ref().map_or(0, |(span, _)| span.start));
    (File { doc, items }, errors)
}

/// Reads a text that is one expression, as the value of `--set`.
pub fn parse_expr(file: FileId, text: &str) -> Result<Expr, Vec<Diagnostic>> {
    if let Some(error) = check_depth(file, text) {
        return Err(vec![error]);
    }
    let mut builder = Builder { file, base: 0, errors: vec![], depth: 0 };
    let whole = match Grammar::parse(Rule::lone_expr, text) {
        Ok(mut pairs) => pairs.next().expect("parsing a rule gives one pair"),
        Err(error) => return Err(vec![message::expr_error(file, text, &error)]),
    };
    let expr = builder.expr(Children::of(whole).need());
    if builder.errors.is_empty() { Ok(expr) } else { Err(builder.errors) }
}

/// Bytes to text: the text with each byte that is not UTF-8 replaced, and a diagnostic for the first of them.
///
/// The diagnostic points into the replaced text, which is the one to show.
pub fn decode(file: FileId, bytes: &[u8]) -> (String, Option<Diagnostic>) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let error = std::str::from_utf8(bytes).err().map(|error| {
        let start = error.valid_up_to();
        let span = Span { file, start: start as u32, end: (start + char::REPLACEMENT_CHARACTER.len_utf8()) as u32 };
        let label = format!("byte 0x{:02x} does not belong to any character", bytes[start]);
        Diagnostic::new("E0109", "the file is not UTF-8 text", span, label).help("save the file as UTF-8")
    });
    (text, error)
}

/// The `//!` lines at the top.
fn file_doc(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}');
    let lines: Vec<&str> = text.lines().take_while(|line| line.trim_start().starts_with("//!")).collect();
    doc_text(&lines.join("\n"), "//!")
}

/// Past white space, line ends and comments that document nothing.
fn skip_blank(text: &str, mut at: usize) -> usize {
    loop {
        let rest = text[at..].trim_start_matches([' ', '\t', '\r', '\n', '\u{feff}']);
        at = text.len() - rest.len();
        let is_doc = rest.starts_with("///") && !rest.starts_with("////");
        if is_doc || !rest.starts_with("//") {
            return at;
        }
        at += rest.find(['\n', '\r']).unwrap_or(rest.len());
    }
}

/// Where to go on after the item at `start` failed at `failed`: the next line that starts like a declaration.
///
/// That may be the line of the failure itself, when the item above it was not finished.
fn resume_at(text: &str, start: usize, failed: usize) -> usize {
    let mut line = text[..failed].rfind('\n').map_or(0, |end| end + 1);
    loop {
        if line > start && starts_declaration(&text[line..]) {
            return line;
        }
        match text[line..].find('\n') {
            Some(end) => line += end + 1,
            None => return text.len(),
        }
    }
}

fn starts_declaration(line: &str) -> bool {
    line.starts_with("///") || DECLARATIONS.contains(&word(line))
}
