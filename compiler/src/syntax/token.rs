//! The tokens around a syntax error, read off the text.

/// The word at the start of `text`; empty where there is none.
pub fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Whether the text starts with a string that its line does not close.
pub fn is_open_string(text: &str) -> bool {
    text.starts_with('"') && !closes(text)
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
pub fn found(rest: &str) -> (String, usize) {
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
pub fn unclosed(text: &str) -> Option<usize> {
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

/// What closes the bracket that the text starts with.
pub fn closing(text: &str) -> char {
    match text.chars().next() {
        Some('(') => ')',
        Some('[') => ']',
        _ => '}',
    }
}
