//! Ways out of a syntax error: what can be typed instead.
//!
//! Each hint looks at the text around the place where the grammar got stuck, and at what the grammar expected there.
//! The first one that has something to say is taken.

use super::expectation::Expected;
use super::parse::DECLARATIONS;
use super::token::word;
use crate::diag::near_miss;

/// Words that start a line inside of a declaration.
const LINE_STARTS: [&str; 11] =
    ["param", "state", "measure", "on", "every", "phase", "repeat", "for", "fire", "optimizer", "not"];

/// Words that are never names.
const RESERVED: [&str; 13] =
    ["if", "else", "and", "or", "not", "true", "false", "with", "by", "as", "fn", "layer", "param"];

/// Signs of other languages, and what is written here.
const FOREIGN_SIGNS: [(&str, &str); 15] = [
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
    ("*=", "a state is written with `name <- value`"),
    (":=", "a binding is written `name = value`"),
    ("=>", "a result type is written `-> [B, 10]`"),
    ("<-", "`<-` is always the arrow that writes a state; with a space, `a < -b` compares"),
];

/// Words of other languages, and what is written here.
const FOREIGN_WORDS: [(&str, &str); 9] = [
    ("return", "delete `return`: the last line of a block is its value"),
    ("def", "functions are written `fn f(x) = …`"),
    ("function", "functions are written `fn f(x) = …`"),
    ("lambda", "functions have names: `fn f(x) = …`"),
    ("class", "layers are written `layer Name(x) { … }`"),
    ("import", "imports are written `use std.layers.Dense`"),
    ("from", "imports are written `use std.layers.Dense`"),
    ("let", "bindings need no word before them: `x = …`"),
    ("var", "bindings need no word before them: `x = …`"),
];

/// A place in a text, and what the grammar expected there.
pub struct Stuck<'a> {
    /// The text up to the place.
    pub before: &'a str,
    /// The text from the place on.
    pub rest: &'a str,
    /// What would have been right.
    pub expected: &'a Expected,
}

impl Stuck<'_> {
    /// What can be typed instead.
    pub fn way_out(&self) -> String {
        let hints = [
            Stuck::foreign,
            Stuck::number,
            Stuck::misspelt,
            Stuck::one_branch,
            Stuck::sign,
            Stuck::separator,
            Stuck::name,
        ];
        hints.iter().find_map(|hint| hint(self)).unwrap_or_else(|| self.plain())
    }

    fn expects(&self, what: &str) -> bool {
        self.expected.phrases.iter().any(|phrase| phrase.starts_with(what))
    }

    /// Habits from other languages.
    fn foreign(&self) -> Option<String> {
        let last_word = last_word(self.before);
        let by_word = FOREIGN_WORDS.iter().find(|(foreign, _)| *foreign == last_word && starts_value(self.rest));
        let from_sign = self.before.len() - self.before.chars().next_back().map_or(0, char::len_utf8);
        let doubled = format!("{}{}", &self.before[from_sign..], self.rest.chars().next().unwrap_or(' '));
        let by_sign = FOREIGN_SIGNS.iter().find(|(foreign, _)| self.rest.starts_with(foreign) || doubled == *foreign);
        by_word.or(by_sign).map(|(_, help)| (*help).to_string())
    }

    /// Numbers that are not written as numbers.
    fn number(&self) -> Option<String> {
        let digit = |c: char| c.is_ascii_digit();
        let half = self.rest.starts_with('.') && (self.before.ends_with(digit) || self.rest[1..].starts_with(digit));
        if half {
            return Some("write digits on both sides of the point: `0.5`, `1.0`".to_string());
        }
        let malformed = self.rest.starts_with(digit) && self.expects("a value");
        malformed.then(|| "numbers are written `1000`, `0.5`, `2e-4` or `15%`, and products `2 * x`".to_string())
    }

    /// A misspelt word: the one that is there, or the one before it where that makes no sense with it.
    fn misspelt(&self) -> Option<String> {
        let (here, last) = (word(self.rest), last_word(self.before));
        let words = self.expected.words.iter().map(|word| &**word).filter(|word| !DECLARATIONS.contains(word));
        let found = near_miss(here, words).map(|near| (near, here));
        let lines = || LINE_STARTS.into_iter().chain(DECLARATIONS);
        let known = lines().any(|word| word == last) || !starts_value(self.rest);
        let (near, written) = found.or_else(|| near_miss(last, lines()).filter(|_| !known).map(|near| (near, last)))?;
        Some(format!("did you mean `{near}` instead of `{written}`?"))
    }

    /// An `if` without the other branch.
    fn one_branch(&self) -> Option<String> {
        let only = self.expected.phrases.iter().all(|phrase| phrase == "`else`");
        (only && self.expects("`else`"))
            .then(|| "an `if` has a value in either case: `s <- if c { a } else { s }`".into())
    }

    /// `=` and `:`, brackets that touch, stars, blocks on a line of their own.
    fn sign(&self) -> Option<String> {
        let space_before = self.before.ends_with([' ', '\t']);
        if self.rest.starts_with(':') && self.expects("`=`") {
            return Some("write `=`: it sets, `:` labels".to_string());
        }
        if self.rest.starts_with('=') && self.expects("`:`") {
            return Some("write `:`: an argument is named with it, as in `f(x, p: 0.5)`".to_string());
        }
        if self.rest.starts_with(['(', '[']) && space_before && !self.expects("`:`") {
            let bracket = &self.rest[..1];
            return Some(format!("`{bracket}` touches the name it belongs to: `f(x)`, `Dense[Out = 10]`"));
        }
        if self.before.trim_end().ends_with('*') {
            return Some("write a space before `*` to multiply; a `*` that touches a path ends a pattern".to_string());
        }
        let block_below = self.expects("a body") && self.rest.trim_start().starts_with('{');
        block_below.then(|| "move the `{` up to the end of this line".to_string())
    }

    /// Two things without anything between them.
    fn separator(&self) -> Option<String> {
        if self.rest.starts_with(',') && self.before.trim_start().starts_with("use ") {
            return Some("several names stand in braces: `use std.layers.{Dense, flatten}`".to_string());
        }
        let on_one_line = !self.before.trim_end_matches([' ', '\t']).ends_with(['\n', '\r']);
        if starts_value(self.rest) && self.expects("`,`") && on_one_line {
            return Some("write `,` between the two".to_string());
        }
        self.expects("the end of the line").then(|| "write an operator, or start a new line here".to_string())
    }

    /// Names that can't be names.
    fn name(&self) -> Option<String> {
        let here = word(self.rest);
        if RESERVED.contains(&here) {
            return Some(format!("`{here}` is reserved: choose another name, or finish what stands before it"));
        }
        let foreign = self.rest.chars().next().is_some_and(|c| !c.is_ascii());
        foreign.then(|| "names are made of the letters a to z, digits and `_`".to_string())
    }

    fn plain(&self) -> String {
        match self.expected.phrases.first() {
            Some(first) => format!("write {first} here"),
            None => "delete it".to_string(),
        }
    }
}

/// What to do with a line that starts no declaration.
pub fn declaration_hint(line: &str) -> String {
    let first = word(line);
    let after = line[first.len()..].trim_start();
    if let Some(near) = near_miss(first, DECLARATIONS) {
        return format!("did you mean `{near}`?");
    }
    if let Some((_, help)) = FOREIGN_WORDS.iter().find(|(foreign, _)| *foreign == first) {
        return (*help).to_string();
    }
    if LINE_STARTS.contains(&first) {
        return format!("`{first}` stands in the braces of a layer or a plan: `layer L(x) {{ … }}`");
    }
    if after.starts_with('=') {
        return format!("write `const {first} = …`");
    }
    if line.is_empty() {
        return "write the declaration that the comment documents, or start it with `//`".to_string();
    }
    let words: Vec<String> = DECLARATIONS.iter().map(|word| format!("`{word}`")).collect();
    format!("declarations start with {}", words.join(", "))
}

/// Whether a value could start here.
fn starts_value(rest: &str) -> bool {
    rest.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '"'))
}

/// The word that the text ends with, white space aside.
fn last_word(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '\t']);
    let start = text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &text[start.map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))..]
}
