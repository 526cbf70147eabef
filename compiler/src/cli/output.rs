//! Standard output and standard error.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use spnc_runtime::data::DataError;

use super::exit::Exit;

/// Writes to standard output. A reader that has gone away (`| head`) is not an error.
pub fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Writes an object as one line of JSON to standard output.
///
/// # Panics
///
/// If it is not serialisable, which is a mistake of ours.
pub fn print_json(value: &impl serde::Serialize) {
    print(&(serde_json::to_string(value).expect("what is printed has only string keys") + "\n"));
}

/// Writes a line to standard error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether standard error is a terminal that shows colours.
pub fn is_terminal() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Says what went wrong outside of the program's text, and how to go on.
pub fn fail(message: &str, help: Option<&str>) -> Exit {
    note(&format!("error: {message}"));
    if let Some(help) = help {
        note(&format!(" help: {help}"));
    }
    Exit::Errors
}

/// Says what is wrong with data or files.
pub fn data_error(error: &DataError) -> Exit {
    note(&format!("error[{}]: {error}", error.code()));
    if let Some(help) = &error.help {
        note(&format!(" help: {help}"));
    }
    Exit::Errors
}

/// Reads a file, or standard input for `-`.
///
/// # Errors
///
/// When it can't be read, which has been said.
pub fn read(path: &Path) -> Result<Vec<u8>, Exit> {
    let content = if path == Path::new("-") {
        let mut content = vec![];
        io::Read::read_to_end(&mut io::stdin().lock(), &mut content).map(|_| content)
    } else {
        std::fs::read(path)
    };
    content.map_err(|error| fail(&format!("cannot read `{}`: {error}", path.display()), None))
}
