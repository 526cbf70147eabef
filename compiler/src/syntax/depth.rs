//! The nesting check, before anything recurses over the text.
//!
//! The grammar recurses only through brackets, so counting brackets bounds the depth of every later recursion;
//! chains of operators, which nest without brackets, are counted where the tree is built.

use crate::diag::{Diagnostic, FileId, Span};

/// How many brackets may be open at once.
pub const MAX_BRACKETS: usize = 64;

/// How deep a tree may be, chains of operators included.
pub const MAX_TREE: usize = 256;

/// Complains about the first bracket that is one too many.
pub fn check_depth(file: FileId, text: &str) -> Option<Diagnostic> {
    let bytes = text.as_bytes();
    let (mut at, mut open) = (0, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'"' => at += string_len(&bytes[at..]),
            b'/' if bytes[at..].starts_with(b"//") => at += line_len(&bytes[at..]),
            _ => {}
        }
        if open > MAX_BRACKETS {
            return Some(too_deep(Span { file, start: at as u32, end: at as u32 + 1 }));
        }
        at += 1;
    }
    None
}

/// The diagnostic about what is nested too deeply.
pub fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::new("E0103", "nested too deeply", span, "one level too many here")
        .help("give an inner part a name, on a line of its own: `part = …`")
}

/// How far the closing quote is; nothing for a string that its line does not close.
fn string_len(text: &[u8]) -> usize {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(1) {
        match byte {
            b'\n' => return 0,
            b'"' if !escaped => return at,
            _ => escaped = *byte == b'\\' && !escaped,
        }
    }
    0
}

/// How far the line goes.
fn line_len(text: &[u8]) -> usize {
    text.iter().take_while(|byte| !matches!(byte, b'\n' | b'\r')).count().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_do_not_count() {
        let text = format!("const a = \"{}\" // {}\n", "(".repeat(500), "[".repeat(500));
        assert_eq!(check_depth(FileId(0), &text), None);
    }

    #[test]
    fn brackets_one_after_another_do_not_count() {
        assert_eq!(check_depth(FileId(0), &"()[]{}".repeat(500)), None);
    }

    #[test]
    fn the_first_bracket_too_many_is_shown() {
        let found = check_depth(FileId(0), &"(".repeat(100_000)).expect("too deep");
        assert_eq!(found.primary.expect("has a place").0.start as usize, MAX_BRACKETS);
    }
}
