//! What can be wrong with data: always the place, what was expected, what was found and, where there is one, a way out.

use std::io;
use std::path::Path;

/// What kind of mistake it is; each has its own code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The `data` declaration asks for something that its source does not know.
    Declaration,
    /// No such file.
    Missing,
    /// A file that is truncated, corrupt, or of another format than its name says.
    Damaged,
    /// Two parts that must agree do not: images and labels, the columns of two rows.
    Disagreement,
    /// A value that is not a usable number.
    Value,
    /// No such column or array, or two of the same name.
    Name,
    /// A file or folder that cannot be written.
    Unwritable,
    /// A checkpoint, or the folder of a run, that belongs to something else.
    Foreign,
    /// A run that cannot go on: it is over, was never saved, or is still going on.
    NoCheckpoint,
}

impl Fault {
    /// The code of the diagnostic, explained by `spnc explain`.
    pub fn code(self) -> &'static str {
        match self {
            Fault::Declaration => "E0906",
            Fault::Missing => "E0901",
            Fault::Damaged => "E0902",
            Fault::Disagreement => "E0903",
            Fault::Value => "E0904",
            Fault::Name => "E0905",
            Fault::Unwritable => "E0909",
            Fault::Foreign => "E0910",
            Fault::NoCheckpoint => "E0911",
        }
    }
}

/// A mistake in data or in files of a run. Displays as one line without its help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: expected {expected}, found {found}")]
pub struct DataError {
    /// The kind of mistake.
    pub fault: Fault,
    /// The file, and the place in it as exactly as it is known.
    pub place: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// The argument of the `data` declaration that it is about.
    pub argument: Option<Box<str>>,
    /// A way out.
    pub help: Option<String>,
}

impl DataError {
    /// A mistake without help.
    pub fn new(
        fault: Fault,
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> DataError {
        let (place, expected, found) = (place.into(), expected.into(), found.into());
        DataError { fault, place, expected, found, argument: None, help: None }
    }

    /// The same with a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> DataError {
        self.help = Some(help.into());
        self
    }

    /// The same about an argument, unless it is known to be about another one.
    #[must_use]
    pub(crate) fn of_argument(mut self, name: &str) -> DataError {
        let _ = self.argument.get_or_insert_with(|| name.into());
        self
    }

    /// The code of the diagnostic.
    pub fn code(&self) -> &'static str {
        self.fault.code()
    }

    /// Writing `place` failed below us.
    pub(crate) fn unwritable(place: &Path, error: &io::Error) -> DataError {
        DataError::new(Fault::Unwritable, quoted(place), "a place that can be written to", error.to_string())
    }

    /// Reading `place` failed below us.
    pub(crate) fn io(place: &str, error: &io::Error) -> DataError {
        let damaged = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
        );
        if damaged {
            let error =
                DataError::new(Fault::Damaged, place, "a whole compressed file", format!("a damaged one ({error})"));
            error.help("fetch the file again, or compare its checksum with the published one")
        } else {
            DataError::new(Fault::Missing, place, "a readable file", error.to_string())
        }
    }
}

/// A file name as messages show it.
pub(crate) fn quoted(path: &Path) -> String {
    format!("`{}`", path.display())
}

/// The candidate that `name` was probably meant to be.
pub(crate) fn near_miss<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let reach = 1 + name.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|&(distance, _)| distance <= reach)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// A list for messages: `` `a`, `b` ``, cut after twelve.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown: Vec<String> = names.iter().take(12).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "none".to_owned(),
        n if n > 12 => format!("{} and {} more", shown.join(", "), n - 12),
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_near() {
        assert_eq!(near_miss("mnsit", ["digits", "mnist"]), Some("mnist"));
        assert_eq!(near_miss("LPSA", ["lpsa", "lcp"]), Some("lpsa"));
        assert_eq!(near_miss("age", ["pgg45"]), None);
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..20).map(|i| format!("c{i}")).collect();
        assert!(list(names.iter().map(String::as_str)).ends_with("`c11` and 8 more"));
        assert_eq!(list([]), "none");
    }
}
