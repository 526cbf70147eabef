//! Diagnostics for people and for tools. Only this file knows the renderer.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode};
use serde_json::{Value, json};

use super::{Diagnostic, FileId, Sources, Span};

/// How many diagnostics are drawn: what comes after that many is rarely read, and often a consequence.
const MOST: usize = 50;

/// The text of several diagnostics for a terminal, with an empty line between two.
pub fn render_all(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let drawn = diagnostics.iter().take(MOST).map(|diagnostic| render(diagnostic, sources, color));
    let mut blocks: Vec<String> = drawn.collect();
    if diagnostics.len() > MOST {
        blocks.push(format!("… and {} more\n", diagnostics.len() - MOST));
    }
    blocks.join("\n")
}

/// The text of a diagnostic for a terminal, with every place it names.
pub fn render(diagnostic: &Diagnostic, sources: &Sources, color: bool) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false).with_context_lines(1);
    let mut out = String::new();
    match handler.render_report(&mut out, &Report::new(diagnostic, sources)) {
        Ok(()) => out.lines().map(|line| format!("{}\n", line.trim_end())).collect(),
        Err(fmt::Error) => plain(diagnostic, sources),
    }
}

/// A diagnostic as an object: `code`, `title`, `labels` (the first one is the place itself) and `help`.
pub fn to_json(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let labels = diagnostic.primary.iter().chain(&diagnostic.secondary);
    let labels: Vec<Value> = labels.map(|(span, text)| label_json(*span, text, sources)).collect();
    json!({
        "code": diagnostic.code,
        "title": diagnostic.title,
        "labels": labels,
        "help": diagnostic.help,
    })
}

fn label_json(span: Span, text: &str, sources: &Sources) -> Value {
    let (line, column) = sources.line_column(span);
    json!({
        "file": sources.name(span.file),
        "line": line,
        "column": column,
        "start": span.start,
        "end": span.end,
        "text": text,
    })
}

/// One line, for what can't be drawn.
fn plain(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let place = diagnostic.primary.as_ref().map_or(String::new(), |(span, _)| {
        let (line, column) = sources.line_column(*span);
        format!("{}:{line}:{column}: ", sources.name(span.file))
    });
    format!("{place}{}: {}\n", diagnostic.code, diagnostic.title)
}

/// What the renderer draws: the labels of one file, and those of others as reports of their own.
#[derive(Debug)]
struct Report {
    title: String,
    code: Option<&'static str>,
    help: Option<String>,
    source: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
    elsewhere: Vec<Report>,
}

impl Report {
    fn new(diagnostic: &Diagnostic, sources: &Sources) -> Report {
        let home = diagnostic.primary.as_ref().map(|(span, _)| span.file);
        let primary = diagnostic.primary.iter().map(|(span, text)| label(*span, text, sources, true));
        let here = diagnostic.secondary.iter().filter(|(span, _)| Some(span.file) == home);
        let away = diagnostic.secondary.iter().filter(|(span, _)| Some(span.file) != home);
        Report {
            title: diagnostic.title.clone(),
            code: Some(diagnostic.code),
            help: diagnostic.help.clone(),
            source: home.map(|file| named(file, sources)),
            labels: primary.chain(here.map(|(span, text)| label(*span, text, sources, false))).collect(),
            elsewhere: away.map(|(span, text)| Report::elsewhere(*span, text, sources)).collect(),
        }
    }

    fn elsewhere(span: Span, text: &str, sources: &Sources) -> Report {
        let (title, labels) = (text.to_string(), vec![label(span, "here", sources, true)]);
        Report { title, code: None, help: None, source: Some(named(span.file, sources)), labels, elsewhere: vec![] }
    }
}

fn named(file: FileId, sources: &Sources) -> NamedSource<String> {
    NamedSource::new(sources.name(file), sources.text(file).to_string())
}

fn label(span: Span, text: &str, sources: &Sources, primary: bool) -> LabeledSpan {
    let end = (span.end as usize).min(sources.text(span.file).len());
    let start = (span.start as usize).min(end);
    let text = Some(text.to_string());
    if primary {
        LabeledSpan::new_primary_with_span(text, (start, end - start))
    } else {
        LabeledSpan::new_with_span(text, (start, end - start))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl std::error::Error for Report {}

impl miette::Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code.map(|code| Box::new(code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<Severity> {
        Some(if self.code.is_some() { Severity::Error } else { Severity::Advice })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        let related = self.elsewhere.iter().map(|report| report as &dyn miette::Diagnostic);
        if self.elsewhere.is_empty() { None } else { Some(Box::new(related)) }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn two_files() -> (Sources, Diagnostic) {
        let mut sources = Sources::default();
        let main = sources.add("main.spnet", "use a.f\n\nminimize f(1)\n");
        let other = sources.add("a.spnet", "// λ\nfn f(x) = y\n");
        let span = |file, start, end| Span { file, start, end };
        let diagnostic =
            Diagnostic::new("E0201", "unknown name `y`", span(other, 16, 17), "nothing has this name here")
                .also(span(other, 11, 12), "did you mean this?")
                .also(span(main, 18, 22), "in this use of `f`")
                .help("did you mean `x`?");
        (sources, diagnostic)
    }

    #[test]
    fn labels_of_all_files_are_drawn() {
        let (sources, diagnostic) = two_files();
        expect![[r#"
            E0201

              × unknown name `y`
               ╭─[a.spnet:2:11]
             1 │ // λ
             2 │ fn f(x) = y
               ·      ┬    ┬
               ·      │    ╰── nothing has this name here
               ·      ╰── did you mean this?
               ╰────
              help: did you mean `x`?

            Advice:
              ☞ in this use of `f`
               ╭─[main.spnet:3:10]
             2 │
             3 │ minimize f(1)
               ·          ──┬─
               ·            ╰── here
               ╰────
        "#]]
        .assert_eq(&render(&diagnostic, &sources, false));
    }

    #[test]
    fn tools_get_lines_and_columns() {
        let (sources, diagnostic) = two_files();
        let json = to_json(&diagnostic, &sources);
        assert_eq!(
            json["labels"][0],
            json!({
                "file": "a.spnet", "line": 2, "column": 11, "start": 16, "end": 17, "text": "nothing has this name here",
            })
        );
        assert_eq!((&json["code"], &json["help"]), (&json!("E0201"), &json!("did you mean `x`?")));
    }

    #[test]
    fn what_is_too_much_to_read_is_counted() {
        let (sources, diagnostic) = two_files();
        let text = render_all(&vec![diagnostic; MOST + 7], &sources, false);
        assert_eq!(text.matches("E0201").count(), MOST);
        assert!(text.ends_with("… and 7 more\n"), "{text}");
    }

    #[test]
    fn what_has_no_place_is_drawn_too() {
        let diagnostic = Diagnostic::without_place("E0212", "--set a: no such constant").help("declare it");
        let text = render(&diagnostic, &Sources::default(), true);
        assert!(text.contains("E0212") && text.contains("\u{1b}["), "{text}");
    }
}
