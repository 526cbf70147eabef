//! Reads the text form that [`super::print`] writes: `parse::module(&module.to_string()) == module`.
//!
//! Beyond that it takes blank lines and lines that are comments (`// …`), so that a file can say what it shows.
//! It checks the syntax only: whether a definition makes sense is [`super::verify`]'s business.

mod images;
mod rows;

use std::sync::Arc;

use super::{DType, Def, Einsum, Func, Module, Op, Origin, Reduction, Type, Value};
use crate::scalar::{Binary, Unary};

/// A text that is not TIR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected and what was found.
    pub message: String,
}

/// Reads the functions of a file.
///
/// # Errors
///
/// The first line that is not TIR.
pub fn module(text: &str) -> Result<Module, ParseError> {
    let mut module = Module::default();
    let mut open: Option<Func> = None;
    let mut last = 0;
    for (index, line) in text.lines().enumerate() {
        last = index + 1;
        let closed = read_line(line, &mut open).map_err(|message| ParseError { line: last, message })?;
        module.funcs.extend(closed);
    }
    match open {
        None => Ok(module),
        Some(func) => Err(ParseError { line: last, message: format!("func {} lacks its `}}`", func.name) }),
    }
}

/// Reads a file of one function.
///
/// # Errors
///
/// The first line that is not TIR, or the number of functions if it is not one.
pub fn func(text: &str) -> Result<Func, ParseError> {
    let mut funcs = module(text)?.funcs;
    match (funcs.pop(), funcs.len()) {
        (Some(func), 0) => Ok(func),
        (_, more) => Err(ParseError { line: 1, message: format!("expected one func, found {}", more + 1) }),
    }
}

type Parsed<T> = Result<T, String>;

/// Takes in one line; returns the function that it closes.
fn read_line(line: &str, open: &mut Option<Func>) -> Parsed<Option<Func>> {
    let mut cursor = Cursor { rest: line.trim() };
    if cursor.rest.is_empty() || cursor.rest.starts_with("//") {
        return Ok(None);
    }
    match open {
        None => *open = Some(read_header(&mut cursor)?),
        Some(_) if cursor.rest == "}" => return Ok(open.take()),
        Some(func) if cursor.eat("return ") => func.results.push(read_result(&mut cursor)?),
        Some(func) => read_def(&mut cursor, func)?,
    }
    Ok(None)
}

fn read_header(cursor: &mut Cursor<'_>) -> Parsed<Func> {
    cursor.expect("func ")?;
    let name = unescape(cursor.word())?;
    cursor.expect("{")?;
    cursor.end().map(|()| Func::new(name))
}

fn read_result(cursor: &mut Cursor<'_>) -> Parsed<(Arc<str>, Value)> {
    let name = unescape(cursor.word())?;
    cursor.expect("=")?;
    let value = cursor.value()?;
    cursor.end().map(|()| (name.into(), value))
}

fn read_def(cursor: &mut Cursor<'_>, func: &mut Func) -> Parsed<()> {
    let (value, next) = (cursor.value()?, Value(func.defs.len() as u32));
    if value != next {
        return Err(format!("expected the definition of {next}, found {value}"));
    }
    cursor.expect("=")?;
    let op = read_op(cursor)?;
    cursor.expect(":")?;
    let ty = cursor.ty()?;
    let origin = read_origin(cursor)?.map(Arc::new);
    cursor.end()?;
    func.defs.push(Def { op, ty, origin });
    Ok(())
}

/// The comment behind a definition, if it is an origin: one or two words, or `ct` and one or two.
fn read_origin(cursor: &mut Cursor<'_>) -> Parsed<Option<Origin>> {
    if !cursor.eat("//") {
        return Ok(None);
    }
    let words: Vec<&str> = std::mem::take(&mut cursor.rest).split_whitespace().collect();
    let (cotangent, words) = match words.as_slice() {
        ["ct", words @ ..] => (true, words),
        words => (false, words),
    };
    let (place, path) = match words {
        [place] => (unescape(place)?, String::new()),
        [place, path] => (unescape(place)?, unescape(path)?),
        _ => return Ok(None),
    };
    Ok(Some(Origin { place, path, cotangent }))
}

fn read_op(cursor: &mut Cursor<'_>) -> Parsed<Op> {
    let name = cursor.word();
    if let Some(function) = Unary::from_name(name) {
        return Ok(Op::Unary(function, cursor.value()?));
    }
    if let Some(function) = Binary::from_name(name) {
        let (a, b) = cursor.two_values()?;
        return Ok(Op::Binary(function, a, b));
    }
    if let Some(how) = Reduction::ALL.into_iter().find(|how| how.name() == name) {
        let (a, axes) = cursor.value_and_list()?;
        return Ok(Op::Reduce(how, a, axes));
    }
    read_other_op(name, cursor)
}

fn read_other_op(name: &str, cursor: &mut Cursor<'_>) -> Parsed<Op> {
    match name {
        "param" => Ok(Op::Param(unescape(cursor.word())?.into())),
        "const" => cursor.number().map(Op::Const),
        "iota" => cursor.number().map(Op::Iota),
        "select" => read_select(cursor),
        "convert" => cursor.value().map(Op::Convert),
        "reshape" => cursor.value().map(Op::Reshape),
        "broadcast" => cursor.value_and_list().map(|(a, dims)| Op::Broadcast(a, dims)),
        "transpose" => cursor.value_and_list().map(|(a, perm)| Op::Transpose(a, perm)),
        "contract" => read_contract(cursor),
        "uniform" => read_uniform(cursor),
        "quantile" => cursor.two_values().map(|(a, q)| Op::Quantile(a, q)),
        "with_gradient" => cursor.two_values().map(|(a, b)| Op::WithGradient(a, b)),
        "grad" => cursor.two_values().map(|(y, x)| Op::Grad(y, x)),
        "top_k" | "cumsum" | "gather" | "scatter" => rows::read(name, cursor),
        "sparse_product" | "sparse_sampled" => rows::read(name, cursor),
        "pad" | "slice" | "concat" => rows::read(name, cursor),
        _ => images::read(name, cursor)?.ok_or_else(|| format!("unknown op `{name}`")),
    }
}

fn read_select(cursor: &mut Cursor<'_>) -> Parsed<Op> {
    let condition = cursor.value()?;
    cursor.expect(",")?;
    let (a, b) = cursor.two_values()?;
    Ok(Op::Select(condition, a, b))
}

fn read_contract(cursor: &mut Cursor<'_>) -> Parsed<Op> {
    let einsum = read_einsum(cursor.word())?;
    let (a, b) = cursor.two_values()?;
    Ok(Op::Contract(einsum, a, b))
}

fn read_uniform(cursor: &mut Cursor<'_>) -> Parsed<Op> {
    let (seed, step) = cursor.two_values()?;
    cursor.expect(",")?;
    cursor.expect("site ")?;
    Ok(Op::Uniform { seed, step, site: cursor.number()? })
}

/// `ij,jk->ik`.
fn read_einsum(text: &str) -> Parsed<Einsum> {
    let lists = text.split_once(',').and_then(|(lhs, rest)| Some((lhs, rest.split_once("->")?)));
    let (lhs, (rhs, out)) = lists.ok_or_else(|| format!("expected `ij,jk->ik`, found `{text}`"))?;
    Ok(Einsum { lhs: read_labels(lhs)?, rhs: read_labels(rhs)?, out: read_labels(out)? })
}

fn read_labels(mut text: &str) -> Parsed<Vec<u8>> {
    let mut labels = vec![];
    while let Some(first) = text.bytes().next() {
        let (label, rest) = match text.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            Some((number, rest)) => (number.parse().map_err(|_| format!("`{number}` is no label"))?, rest),
            None if first.is_ascii_alphabetic() => (first, &text[1..]),
            None => return Err(format!("`{text}` is no list of labels")),
        };
        labels.push(label);
        text = rest;
    }
    Ok(labels)
}

/// The name behind a word that [`super::print`] wrote.
fn unescape(word: &str) -> Parsed<String> {
    if word == "-" {
        return Ok(String::new());
    }
    let mut name = String::new();
    let mut rest = word;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        name.push_str(plain);
        let (c, after) = unescape_char(escaped).ok_or_else(|| format!("`{word}` ends in half an escape"))?;
        name.push(c);
        rest = after;
    }
    Ok(name + rest)
}

/// The character that the text behind a backslash stands for, and what follows it.
fn unescape_char(escaped: &str) -> Option<(char, &str)> {
    let first = escaped.chars().next()?;
    let after = &escaped[first.len_utf8()..];
    match first {
        's' => Some((' ', after)),
        'u' => {
            let (code, after) = after.split_once(';')?;
            Some((char::from_u32(u32::from_str_radix(code, 16).ok()?)?, after))
        }
        other => Some((other, after)),
    }
}

/// What is left of a line.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Skips `token` and the white space behind it, if it is next.
    fn eat(&mut self, token: &str) -> bool {
        let after = self.rest.strip_prefix(token);
        self.rest = after.map_or(self.rest, str::trim_start);
        after.is_some()
    }

    fn expect(&mut self, token: &str) -> Parsed<()> {
        if self.eat(token) { Ok(()) } else { Err(format!("expected `{}`, found `{}`", token.trim(), self.rest)) }
    }

    fn end(&self) -> Parsed<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(format!("expected the end of the line, found `{}`", self.rest)) }
    }

    /// Everything up to the next white space.
    fn word(&mut self) -> &'a str {
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        word
    }

    /// Everything up to the next punctuation.
    fn number<T: std::str::FromStr>(&mut self) -> Parsed<T> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        let parsed = number.parse().map_err(|_| format!("expected a number, found `{}`", self.rest))?;
        self.rest = rest.trim_start();
        Ok(parsed)
    }

    fn value(&mut self) -> Parsed<Value> {
        self.expect("%")?;
        self.number().map(Value)
    }

    fn two_values(&mut self) -> Parsed<(Value, Value)> {
        let a = self.value()?;
        self.expect(",")?;
        Ok((a, self.value()?))
    }

    fn value_and_list(&mut self) -> Parsed<(Value, Vec<usize>)> {
        let a = self.value()?;
        self.expect(",")?;
        Ok((a, self.list()?))
    }

    /// `, name 3`: what `read` finds behind a name.
    fn labelled<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.expect(",")?;
        self.expect(name)?;
        read(self)
    }

    /// `[0, 2]`.
    fn list(&mut self) -> Parsed<Vec<usize>> {
        self.expect("[")?;
        let mut list = vec![];
        while !self.eat("]") {
            if !list.is_empty() {
                self.expect(",")?;
            }
            list.push(self.number()?);
        }
        Ok(list)
    }

    /// `f32[64, 784]`.
    fn ty(&mut self) -> Parsed<Type> {
        let dtypes = [DType::F32, DType::I32, DType::Bool];
        let dtype = dtypes.into_iter().find(|dtype| self.eat(dtype.name()));
        let dtype = dtype.ok_or_else(|| format!("expected a type, found `{}`", self.rest))?;
        Ok(Type { dtype, shape: self.list()? })
    }
}
