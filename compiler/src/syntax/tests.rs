//! What the parser promises: it reads every form, prints back what it read, and survives any text.

use proptest::prelude::*;

use super::ast::{Expr, ExprKind, File, ItemKind};
use super::*;
use crate::diag::{Diagnostic, FileId};

const FORMS: &str = include_str!("../../tests/golden/ast/forms.spnet");
const WHOLE: &str = include_str!("../../tests/golden/ast/whole.spnet");

#[track_caller]
fn parsed(text: &str) -> File {
    let (file, errors) = parse(FileId(0), text);
    assert_eq!(errors, vec![], "in\n{text}");
    file
}

/// The tree without its places.
fn shape(file: &File) -> String {
    let places = ["start: ", "end: "];
    let lines = format!("{file:#?}");
    lines.lines().filter(|line| !places.iter().any(|place| line.trim().starts_with(place))).collect()
}

#[track_caller]
fn round_trips(text: &str) {
    let file = parsed(text);
    let printed = print(&file);
    assert_eq!(shape(&parsed(&printed)), shape(&file), "printed as\n{printed}");
    assert_eq!(print(&parsed(&printed)), printed);
}

/// How `text` is read, as the printer writes it with the parentheses that the precedence implies.
fn tree(text: &str) -> String {
    fn show(expr: &Expr) -> String {
        match &expr.kind {
            ExprKind::Binary(op, a, b) => format!("({} {} {})", show(a), op.text(), show(b)),
            ExprKind::Range(a, b) => format!("({}..{})", show(a), show(b)),
            ExprKind::Pipe(a, b) => format!("({} |> {})", show(a), show(b)),
            ExprKind::WithGradient(a, b) => format!("({} grad {})", show(a), show(b)),
            ExprKind::Unary(ast::UnaryOp::Neg, a) => format!("(-{})", show(a)),
            ExprKind::Unary(ast::UnaryOp::Not, a) => format!("(not {})", show(a)),
            ExprKind::Over(how, set, a) => format!("({} {}: {})", how.text(), show(set), show(a)),
            ExprKind::By(a, _) => format!("({} by)", show(a)),
            other => print_kind(other),
        }
    }
    show(&parse_expr(FileId(0), text).expect("a valid expression"))
}

fn print_kind(kind: &ExprKind) -> String {
    let span = crate::diag::Span { file: FileId(0), start: 0, end: 0 };
    let value = Expr { kind: kind.clone(), span };
    let item = ast::Item { doc: String::new(), kind: ItemKind::Minimize(value), span };
    let text = print(&File { doc: String::new(), items: vec![item] });
    text.trim_start_matches("minimize ").trim_end().to_string()
}

#[test]
fn every_form_round_trips() {
    round_trips(FORMS);
}

#[test]
fn the_whole_program_round_trips() {
    round_trips(WHOLE);
}

#[test]
fn doc_comments_are_kept() {
    let file = parsed(FORMS);
    assert_eq!(file.doc, "Every form of the language once, also those that mean nothing yet.");
    assert_eq!(file.items[2].doc, "Exclusive lasso: competition within each group (DS 6).\n\nOver two paragraphs.");
}

#[test]
fn precedence_is_as_the_reference_says() {
    assert_eq!(tree("a + b * c ^ d ^ e"), "(a + (b * (c ^ (d ^ e))))");
    assert_eq!(tree("-x^2"), "(-(x ^ 2))");
    assert_eq!(tree("2^-x"), "(2 ^ (-x))");
    assert_eq!(tree("-a * b - c"), "(((-a) * b) - c)");
    assert_eq!(tree("not a == b and c or d"), "(((not (a == b)) and c) or d)");
    assert_eq!(tree("a..b + 1 < c"), "((a..(b + 1)) < c)");
    assert_eq!(tree("x / 2 |> f |> g(3)"), "(((x / 2) |> f) |> g(3))");
    assert_eq!(tree("relu(x) |> g with gradient of elu(x) or y"), "((relu(x) |> g) grad (elu(x) or y))");
    assert_eq!(tree("l * mean over s of f(s) + 2"), "(l * (mean s: (f(s) + 2)))");
    assert_eq!(tree("2 * net.w by In"), "(2 * (net.w by))");
}

#[test]
fn a_line_end_ends_a_binding() {
    assert_eq!(tree("(a\n -b)"), "(a - b)");
    let file =
        parsed("fn f(a, b) {\n  c = a\n  -b\n}\nfn g(a, b) {\n  a\n  - b\n}\nfn h(a, b) {\n  c = a\n  (a, b)\n}\n");
    assert_eq!(
        print(&file),
        "fn f(a, b) {\n    c = a\n    -b\n}\n\nfn g(a, b) {\n    a - b\n}\n\nfn h(a, b) {\n    c = a\n    (a, b)\n}\n"
    );
}

#[test]
fn stars_and_digits_in_paths() {
    assert_eq!(tree("a.b*c"), "(a.b * c)");
    assert_eq!(tree("a.b*2"), "(a.b * 2)");
    assert_eq!(tree("a.b*.c"), "a.b*.c");
    assert_eq!(tree("a.*.c"), "a.*.c");
    assert_eq!(tree("a.**.c"), "a.**.c");
    assert_eq!(tree("stage1.0.w"), "stage1.0.w");
    assert_eq!(tree("2..12"), "(2..12)");
    assert_eq!(tree("a..b"), "(a..b)");
}

#[test]
fn percentages_are_numbers() {
    let value = parse_expr(FileId(0), "15%").expect("a number");
    assert_eq!(value.kind, ExprKind::Number(0.15, "15%".into()));
}

#[test]
fn several_mistakes_give_several_diagnostics() {
    let text = "const = 1\nfn f(x) = x +\nlayer L(x) {\n    x\n\nconst b = 2\nminimise b\nconst c = )\n";
    let (file, errors) = parse(FileId(0), text);
    let codes: Vec<(&str, usize)> = errors
        .iter()
        .map(|e| (e.code, text[..e.primary.as_ref().expect("a place").0.start as usize].lines().count()))
        .collect();
    assert_eq!(codes, [("E0102", 1), ("E0102", 2), ("E0102", 4), ("E0101", 6), ("E0102", 8)], "{errors:#?}");
    assert_eq!(file.items.len(), 1);
}

#[test]
fn nothing_overflows_the_stack() {
    let deep = [
        "(".repeat(100_000),
        format!("const a = {}1", "-".repeat(100_000)),
        format!("const a = {}1", "not ".repeat(100_000)),
        format!("const a = 1{}", " + 1".repeat(100_000)),
        format!("const a = 1{}", "^2".repeat(100_000)),
        format!("const a = b{}", ".c".repeat(100_000)),
        format!("const a = b{}", "()".repeat(100_000)),
        format!("const a = {}1", "mean over s of ".repeat(100_000)),
        format!("const a = if b {{ 1 }} {} else {{ 2 }}", "else if b { 1 }".repeat(20_000)),
    ];
    for text in deep {
        let (_, errors) = parse(FileId(0), &text);
        assert_eq!(errors.first().map(|e| e.code), Some("E0103"), "{}", &text[..60]);
    }
}

#[test]
fn the_deepest_allowed_brackets_parse() {
    let n = depth::MAX_BRACKETS;
    drop(parsed(&format!("const a = {}1{}", "(".repeat(n), ")".repeat(n))));
}

#[test]
fn what_is_not_utf8_is_shown() {
    let (text, error) = decode(FileId(0), b"const a = \xff1");
    assert_eq!(error.and_then(|e| e.primary).map(|(span, _)| (span.start, span.end)), Some((10, 13)));
    assert!(text.starts_with("const a = \u{fffd}"));
}

/// All that the parser promises about any text.
fn survives(text: &str) -> Result<(), TestCaseError> {
    let (file, errors) = parse(FileId(0), text);
    check_places(text, &errors)?;
    let printed = print(&file);
    let (again, _) = parse(FileId(0), &printed);
    if errors.is_empty() {
        prop_assert_eq!(shape(&again), shape(&file), "printed as\n{}", printed);
    }
    Ok(())
}

fn check_places(text: &str, errors: &[Diagnostic]) -> Result<(), TestCaseError> {
    for error in errors {
        let (span, _) = error.primary.as_ref().expect("a syntax error has a place");
        prop_assert!(text.get(span.start as usize..span.end as usize).is_some(), "{:?} in {:?}", error, text);
        prop_assert!(error.help.is_some(), "{:?}", error);
    }
    Ok(())
}

/// Pieces of programs, in any order.
fn soup() -> impl Strategy<Value = String> {
    let pieces: Vec<&'static str> =
        FORMS.split_inclusive(|c: char| !c.is_ascii_alphanumeric()).filter(|piece| !piece.is_empty()).collect();
    prop::collection::vec(prop::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

/// A valid program with a piece of it deleted, doubled or moved.
fn mutated() -> impl Strategy<Value = String> {
    (0..FORMS.len(), 0..40usize, 0..FORMS.len()).prop_map(|(at, len, to)| {
        let mut text = FORMS.to_string();
        let piece = FORMS.get(at..(at + len).min(FORMS.len())).unwrap_or_default();
        match len % 3 {
            0 => text.insert_str(to, piece),
            1 => text.replace_range(at..at + piece.len(), ""),
            _ => text.replace_range(at..at + piece.len(), "("),
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        survives(&text)?;
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(&decode(FileId(0), &bytes).0)?;
    }

    #[test]
    fn any_pieces_are_survived(text in soup()) {
        survives(&text)?;
    }

    #[test]
    fn mutated_programs_are_survived(text in mutated()) {
        survives(&text)?;
    }
}
