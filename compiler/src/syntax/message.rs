//! What the grammar expected and what it found, in words.
//!
//! The grammar reports the furthest place it got to, and the rules that it tried there. `expectation` makes words of
//! the rules; `hints` makes a way out of what stands around the place.

use pest::error::{Error, InputLocation};
use spnc_grammar::Rule;

use super::expectation::Expected;
use super::hints::{Stuck, declaration_hint};
use super::token::{closing, found, is_open_string, unclosed, word};
use crate::diag::{Diagnostic, FileId, Span};

/// Where the grammar got stuck, from the start of the text it was given.
pub fn error_at(error: &Error<Rule>) -> usize {
    match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    }
}

/// What is wrong with the declaration in `text[item.0..item.1]`.
pub fn item_error(file: FileId, text: &str, item: (usize, usize), error: &Error<Rule>) -> Diagnostic {
    let at = item.0 + error_at(error);
    let start = after_doc(text, item.0);
    if at <= start {
        return unknown_declaration(file, text, start);
    }
    if at >= item.1 || text[at..].trim_start().is_empty() {
        let at_end = at >= text.trim_end().len() && item.1 == text.len();
        let expected = at_end.then(|| Expected::of(error, word(&text[start..])));
        return unfinished(file, text, item, expected);
    }
    let expected = Expected::of(error, word(&text[start..]));
    unexpected(file, text, at, &expected)
}

/// What is wrong with a text that should be one expression.
pub fn expr_error(file: FileId, text: &str, error: &Error<Rule>) -> Diagnostic {
    unexpected(file, text, error_at(error), &Expected::of(error, ""))
}

fn span(file: FileId, at: usize, len: usize) -> Span {
    Span { file, start: at as u32, end: (at + len) as u32 }
}

fn after_doc(text: &str, mut at: usize) -> usize {
    while text[at..].starts_with("///") {
        at += text[at..].find('\n').map_or(text.len() - at, |end| end + 1);
        at = text.len() - text[at..].trim_start().len();
    }
    at
}

fn unknown_declaration(file: FileId, text: &str, at: usize) -> Diagnostic {
    let (name, len) = found(&text[at..]);
    let label = "expected a declaration";
    let title = format!("{name} does not start a declaration");
    Diagnostic::new("E0101", title, span(file, at, len), label).help(declaration_hint(&text[at..]))
}

/// A declaration that stops where the next one starts, or where the file ends.
fn unfinished(file: FileId, text: &str, item: (usize, usize), expected: Option<Expected>) -> Diagnostic {
    let end = item.0 + text[item.0..item.1].trim_end().len();
    let last = text[..end].char_indices().next_back().map_or(item.0, |(at, _)| at);
    let wanted = expected.map(|expected| list(&expected.phrases)).filter(|wanted| !wanted.is_empty());
    let (label, help) = match wanted {
        Some(wanted) => (format!("expected {wanted} after this"), format!("write {wanted} to finish it")),
        None => ("something is missing after this".to_string(), "write the rest of it before the next one".to_string()),
    };
    let diagnostic = Diagnostic::new("E0102", "a declaration is not finished", span(file, last, end - last), label);
    match unclosed(&text[item.0..end]) {
        Some(open) => {
            let at = item.0 + open;
            let close = closing(&text[at..]);
            diagnostic.also(span(file, at, 1), "opened here").help(format!("close it with `{close}`"))
        }
        None => diagnostic.help(help),
    }
}

fn unexpected(file: FileId, text: &str, at: usize, expected: &Expected) -> Diagnostic {
    let (name, len) = found(&text[at..]);
    if is_open_string(&text[at..]) {
        let diagnostic = Diagnostic::new("E0111", "a string without its end", span(file, at, len), "opened here");
        return diagnostic.help("close it with `\"` on the same line");
    }
    let title = match expected.phrases.is_empty() {
        true => format!("unexpected {name}"),
        false => format!("expected {}, found {name}", list(&expected.phrases)),
    };
    let (before, rest) = text.split_at(at);
    let help = Stuck { before, rest, expected }.way_out();
    Diagnostic::new("E0102", title, span(file, at, len), format!("unexpected {name}")).help(help)
}

fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}
