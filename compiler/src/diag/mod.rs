//! Diagnostics: what every stage says about a user's mistake, and where.
//!
//! Stages collect [`Diagnostic`]s; only `render.rs` (for terminals and as JSON) knows the renderer.
//! A message is lower-case, without a full stop, says what was expected and what was found, and carries at
//! most one `help`, which must be a thing that can be typed.

mod near;
mod render;

pub use near::near_miss;
pub use render::{render, render_all, to_json};

/// A source file, as an index into [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u16);

/// A range of bytes of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// One mistake of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// `E` + stage (two digits) + number, as `E0301`; each has a page in `docs/errors/`.
    pub code: &'static str,
    /// One line.
    pub title: String,
    /// Where it is, and what was found there; `None` for what has no place in a source text (a flag, a file).
    pub primary: Option<(Span, String)>,
    /// Places that explain it: the declaration, the other operand.
    pub secondary: Vec<(Span, String)>,
    /// A way out.
    pub help: Option<String>,
}

/// The texts that diagnostics point into.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<(String, String)>,
}

impl Span {
    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl Diagnostic {
    /// A diagnostic at `span`, saying `label` there.
    pub fn new(code: &'static str, title: impl Into<String>, span: Span, label: impl Into<String>) -> Diagnostic {
        Diagnostic { code, title: title.into(), primary: Some((span, label.into())), secondary: vec![], help: None }
    }

    /// A diagnostic that has no place in a source text.
    pub fn without_place(code: &'static str, title: impl Into<String>) -> Diagnostic {
        Diagnostic { code, title: title.into(), primary: None, secondary: vec![], help: None }
    }

    /// Adds a place that explains it.
    #[must_use]
    pub fn also(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        self.secondary.push((span, label.into()));
        self
    }

    /// Adds the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }
}

impl Sources {
    /// Adds a file and returns its index.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        self.files.push((name.into(), text.into()));
        FileId((self.files.len() - 1) as u16)
    }

    /// The index that the next file will get.
    pub fn next_id(&self) -> FileId {
        FileId(self.files.len() as u16)
    }

    /// The name of a file, as messages print it.
    pub fn name(&self, file: FileId) -> &str {
        &self.files[file.0 as usize].0
    }

    /// The text of a file.
    pub fn text(&self, file: FileId) -> &str {
        &self.files[file.0 as usize].1
    }

    /// The line and column, both from 1, at which a span starts.
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        let before = &self.text(span.file)[..span.start as usize];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        (line, column)
    }
}
