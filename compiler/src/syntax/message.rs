//! What the grammar expected and what it found, in words.
//!
//! The grammar reports the furthest place it got to, and the rules that it tried there. Rules become words by
//! [`expectation`]; the token that was found, and the words around it, give the way out.

use std::collections::BTreeSet;

use pest::error::{Error, ErrorVariant, InputLocation};

use super::grammar::Rule;
use super::parse::DECLARATIONS;
use crate::diag::{Diagnostic, FileId, Span, near_miss};

/// Words with a meaning inside of declarations.
const WORDS: [&str; 31] = [
    "if",
    "else",
    "and",
    "or",
    "not",
    "true",
    "false",
    "with",
    "gradient",
    "of",
    "by",
    "as",
    "param",
    "state",
    "measure",
    "on",
    "every",
    "epoch",
    "steps",
    "phase",
    "repeat",
    "for",
    "in",
    "fire",
    "optimizer",
    "over",
    "then",
    "from",
    "whole",
    "each",
    "blocks",
];

/// Words that are never names.
const RESERVED: [&str; 13] =
    ["if", "else", "and", "or", "not", "true", "false", "with", "by", "as", "fn", "layer", "param"];

/// What is written for something in other languages, and how it is written here.
const FOREIGN: [(&str, &str); 14] = [
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("!", "write `not`"),
    ("**", "powers are written `x^2`"),
    ("%", "there is no remainder; a percentage touches its number: `15%`"),
    (";", "delete the `;`: a line end ends a binding"),
    ("#", "comments start with `//`"),
    ("/*", "comments start with `//`"),
    ("'", "strings stand in double quotes: \"mnist\""),
    ("+=", "a state is written with `name <- value`"),
    ("-=", "a state is written with `name <- value`"),
    (":=", "a binding is written `name = value`"),
    ("=>", "a result type is written `-> [B, 10]`"),
    ("<-", "`<-` is always the arrow that writes a state; with a space, `a < -b` compares"),
];

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
    if at >= item.1 || (at > item.1 && item.1 < text.len()) {
        return unfinished(file, text, item);
    }
    let expected = expected(error, word(&text[start..]));
    let diagnostic = unexpected(file, text, at, &expected);
    match unclosed(&text[item.0..at]) {
        Some(open) if found_kind(&text[at..]) == Found::End => {
            diagnostic.also(span(file, item.0 + open, 1), "opened here")
        }
        Some(_) | None => diagnostic,
    }
}

/// What is wrong with a text that should be one expression.
pub fn expr_error(file: FileId, text: &str, error: &Error<Rule>) -> Diagnostic {
    unexpected(file, text, error_at(error), &expected(error, ""))
}

/// The word at the start of `text`; empty where there is none.
pub fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
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
    let diagnostic =
        Diagnostic::new("E0101", format!("{name} does not start a declaration"), span(file, at, len), label);
    diagnostic.help(match near_miss(word(&text[at..]), DECLARATIONS) {
        Some(near) => format!("did you mean `{near}`?"),
        None if text[at..].starts_with("///") || text[at..].is_empty() => "write the declaration below it".to_string(),
        None => format!("declarations start with {}", list(&DECLARATIONS.map(|word| format!("`{word}`")))),
    })
}

/// A declaration that stops where the next one starts.
fn unfinished(file: FileId, text: &str, item: (usize, usize)) -> Diagnostic {
    let end = item.0 + text[item.0..item.1].trim_end().len();
    let last = text[..end].char_indices().next_back().map_or(item.0, |(at, _)| at);
    let place = span(file, last, end - last);
    let diagnostic =
        Diagnostic::new("E0102", "a declaration is not finished", place, "something is missing after this");
    match unclosed(&text[item.0..end]) {
        Some(open) => {
            let at = item.0 + open;
            let close = closing(&text[at..]);
            diagnostic.also(span(file, at, 1), "opened here").help(format!("close it with `{close}`"))
        }
        None => diagnostic.help("write the rest of it before the next declaration"),
    }
}

fn unexpected(file: FileId, text: &str, at: usize, expected: &[String]) -> Diagnostic {
    let (name, len) = found(&text[at..]);
    if found_kind(&text[at..]) == Found::OpenString {
        let diagnostic = Diagnostic::new("E0111", "a string without its end", span(file, at, len), "opened here");
        return diagnostic.help("close it with `\"` on the same line");
    }
    let title = match expected.is_empty() {
        true => format!("unexpected {name}"),
        false => format!("expected {}, found {name}", list(expected)),
    };
    let diagnostic = Diagnostic::new("E0102", title, span(file, at, len), format!("unexpected {name}"));
    diagnostic.help(way_out(text, at, expected))
}

/// What can be typed instead.
fn way_out(text: &str, at: usize, expected: &[String]) -> String {
    let (here, rest) = (word(&text[at..]), &text[at..]);
    let before = last_word(&text[..at]);
    let mut all = WORDS.to_vec();
    all.extend(DECLARATIONS);
    if let Some((_, help)) = FOREIGN.iter().find(|(foreign, _)| rest.starts_with(foreign)) {
        return (*help).to_string();
    }
    if rest.starts_with('.') && text[..at].ends_with(|c: char| c.is_ascii_digit()) || starts_fraction(rest) {
        return "write digits on both sides of the point: `0.5`, `1.0`".to_string();
    }
    for written in [before, here] {
        if let Some(near) = near_miss(written, all.iter().copied()).filter(|_| !all.contains(&written)) {
            return format!("did you mean `{near}` instead of `{written}`?");
        }
    }
    if RESERVED.contains(&here) {
        return format!("`{here}` is reserved: choose another name, or write what stands before it to its end");
    }
    if rest.starts_with(['(', '[']) && text[..at].ends_with([' ', '\t']) {
        return format!("`{}` touches the name it belongs to: `f(x)`, `Dense[Out = 10]`", &rest[..1]);
    }
    if text[..at].trim_end().ends_with('*') {
        return "write a space before `*` to multiply; a `*` that touches a path ends a pattern".to_string();
    }
    match expected.first() {
        Some(first) => format!("write {first} here"),
        None => "delete it".to_string(),
    }
}

fn starts_fraction(rest: &str) -> bool {
    rest.starts_with('.') && rest[1..].starts_with(|c: char| c.is_ascii_digit())
}

fn last_word(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '\t']);
    let start = text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &text[start.map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))..]
}

#[derive(PartialEq, Eq)]
enum Found {
    End,
    OpenString,
    Other,
}

fn found_kind(rest: &str) -> Found {
    match rest.trim_start_matches([' ', '\t', '\r', '\n']).chars().next() {
        None => Found::End,
        Some('"') if !closes(rest) => Found::OpenString,
        Some(_) => Found::Other,
    }
}

fn closes(string: &str) -> bool {
    let mut escaped = false;
    for c in string.chars().skip(1).take_while(|c| *c != '\n') {
        if c == '"' && !escaped {
            return true;
        }
        escaped = c == '\\' && !escaped;
    }
    false
}

/// What stands there, in words, and how long it is.
fn found(rest: &str) -> (String, usize) {
    let symbols = ["...", "..", "->", "<-", "<=", ">=", "==", "!=", "|>", "&&", "||", "**", "+=", "-=", ":=", "=>"];
    let token = match rest.chars().next() {
        None => return ("the end of the file".to_string(), 0),
        Some('\n' | '\r') => return ("the end of the line".to_string(), 0),
        Some(c) if c.is_ascii_digit() => number(rest),
        Some(c) if c.is_ascii_alphanumeric() || c == '_' => word(rest),
        Some(c) => symbols.into_iter().find(|s| rest.starts_with(s)).unwrap_or(&rest[..c.len_utf8()]),
    };
    (format!("`{token}`"), token.len())
}

/// The number at the start of `text`, roughly.
fn number(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(text.len());
    let end = text[..end].find("..").unwrap_or(end);
    &text[..end]
}

/// The last bracket of `text` that is not closed.
fn unclosed(text: &str) -> Option<usize> {
    let mut open = vec![];
    let mut quoted = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' => quoted = false,
            '\\' if quoted => drop(chars.next()),
            '"' => quoted = !quoted,
            '/' if !quoted && text[at..].starts_with("//") => drop(chars.by_ref().find(|(_, c)| *c == '\n')),
            '(' | '[' | '{' if !quoted => open.push(at),
            ')' | ']' | '}' if !quoted => drop(open.pop()),
            _ => {}
        }
    }
    open.pop()
}

fn closing(text: &str) -> char {
    match text.chars().next() {
        Some('(') => ')',
        Some('[') => ']',
        _ => '}',
    }
}

fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}

/// What would have been right in a declaration that starts with `declaration`, most telling first.
fn expected(error: &Error<Rule>, declaration: &str) -> Vec<String> {
    let ErrorVariant::ParsingError { positives, .. } = &error.variant else { return vec![] };
    let words: BTreeSet<(u8, String)> = positives.iter().filter_map(|rule| expectation(*rule)).collect();
    let has = |wanted: &str| words.iter().any(|(_, word)| word == wanted);
    // A value may always be followed by these; only some declarations need them.
    let is_noise = |word: &str| match word {
        "a name" => has("a value"),
        "`with`" => !["sparsify", "proximal"].contains(&declaration),
        "`by`" => !["group", "budget"].contains(&declaration),
        _ => false,
    };
    let telling = words.iter().map(|(_, word)| word.clone()).filter(|word| !is_noise(word));
    telling.take(4).collect()
}

/// A rule in words, with a rank: what closes and separates first, what may follow last.
fn expectation(rule: Rule) -> Option<(u8, String)> {
    let name = format!("{rule:?}");
    if let Some(word) = name.strip_prefix("kw_") {
        return Some((3, format!("`{word}`")));
    }
    let (rank, words) = match rule {
        Rule::equals => (0, "`=`"),
        Rule::colon => (1, "`:`"),
        Rule::comma => (2, "`,`"),
        Rule::tilde | Rule::start_draw => (1, "`~`"),
        Rule::start_value => (0, "`=`"),
        Rule::arrow | Rule::result => (2, "`->`"),
        Rule::update_arrow => (4, "`<-`"),
        Rule::less_equal => (0, "`<=`"),
        Rule::open_brace | Rule::plan | Rule::fields | Rule::handler => (1, "`{`"),
        Rule::close_brace => (1, "`}`"),
        Rule::close_paren => (1, "`)`"),
        Rule::close_bracket => (1, "`]`"),
        Rule::inputs | Rule::args => (1, "`(`"),
        Rule::body => (0, "a body (`= …` or `{ … }`)"),
        Rule::line_end => (1, "the end of the line"),
        Rule::ident | Rule::use_name | Rule::layer_size | Rule::size | Rule::input => (0, "a name"),
        Rule::use_path => (0, "a module and a name"),
        Rule::quantity => (0, "`params` or `flops`"),
        Rule::tensor_type | Rule::axes => (0, "a type such as `[B, 10]`"),
        Rule::axis_type => (1, "`axis`"),
        Rule::source => (0, "a data source such as `idx(\"mnist\")`"),
        Rule::string => (0, "a string"),
        Rule::setting | Rule::phase | Rule::fire => (0, "an entry of the plan"),
        Rule::field | Rule::mapping => (0, "a field"),
        Rule::expr | Rule::inner_expr | Rule::operand_by | Rule::reference | Rule::number | Rule::paren => {
            (0, "a value")
        }
        Rule::add | Rule::mul | Rule::pipe | Rule::sub => (3, "an operator"),
        _ => return None,
    };
    Some((rank, words.to_string()))
}
