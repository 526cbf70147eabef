//! `text(…)`: a corpus → streams of token numbers, in windows.
//!
//! | argument | meaning |
//! |---|---|
//! | `file` | a text, or a folder whose texts are told apart by `train`, `valid` and `test` in their names |
//! | `window` | tokens in a sample (35) |
//! | `validation`, `test` | other texts by name, or a share or number of tokens from the end of the training text |
//! | `hold_out` | the same as `validation` |
//! | `characters: true` | tokens are characters, line ends too; else words, and `<eos>` at the end of each line |
//! | `words` | keep so many different tokens, the most frequent ones; the others are `<unk>` |
//! | `order: "first"` | tokens are numbered as they first occur; else by their frequency, the most frequent being 0 |
//!
//! Field `token` holds the tokens of a window, `target` the token after each of them. The data set is sequential: windows of
//! a stream follow each other from batch to batch. The constant `vocabulary` is the number of different tokens.

mod vocabulary;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{Arg, Args, Request};
use super::error::{DataError, Fault, list, quoted};
use super::files::{self, Source};
use super::split::{part, validation_name};
use super::{Column, Dataset, Rows, Values};
use crate::program::Element;
use vocabulary::{Numbering, Vocabulary};

const ARGS: &[&str] = &["file", "window", "validation", "hold_out", "test", "characters", "words", "order"];

/// No corpus is longer, in bytes.
const MOST: usize = 1 << 31;

/// What the splits are called in names of arguments and messages.
const NAMES: [&str; 3] = ["training", "validation", "test"];

/// `text("ptb", window: 35)`.
pub(crate) fn open(request: &Request, search: &[PathBuf]) -> Result<Dataset, DataError> {
    let args = Args::new(request, ARGS)?;
    let window = args.count("window", 1, 100_000)?.unwrap_or(35);
    let paths = paths(&args, search)?;
    let read = |path: &Option<PathBuf>| path.as_deref().map_or(Ok(String::new()), read);
    let texts = [read(&paths[0])?, read(&paths[1])?, read(&paths[2])?];
    let kind = if args.flag("characters")?.unwrap_or(false) { Kind::Characters } else { Kind::Words };
    let lengths = texts.each_ref().map(|text| kind.tokens(text).count());
    let ranges = ranges(&args, lengths)?;
    let path = |index: usize| paths[index].as_deref().map(quoted);
    check_lengths(&path(0).unwrap_or_default(), &ranges, path, window)?;
    let (vocabulary, numbers) = number(&args, &texts, kind, ranges[0].len())?;
    let mut data = windows(numbers, &ranges, window);
    data.constants = vec![("vocabulary".to_owned(), vocabulary.len() as f64)];
    let [train, validation, test] = ranges.map(|range| range.len());
    data.about = format!("{train}, {validation} and {test} tokens, {}", vocabulary.about());
    Ok(data)
}

/// What a token is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Words,
    Characters,
}

/// The token at the end of each line.
const END: &str = "<eos>";

impl Kind {
    fn tokens<'a>(self, text: &'a str) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        match self {
            Kind::Words => Box::new(text.lines().flat_map(|line| line.split_whitespace().chain([END]))),
            Kind::Characters => Box::new(text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()])),
        }
    }
}

/// Numbers the tokens of all texts, one after the other; the vocabulary is that of the first `n_train` tokens.
fn number(
    args: &Args<'_>,
    texts: &[String; 3],
    kind: Kind,
    n_train: usize,
) -> Result<(Vocabulary, Vec<i32>), DataError> {
    let numbering = match args.word("order", &["frequency", "first"])? {
        Some("first") => Numbering::First,
        Some(_) | None => Numbering::Frequency,
    };
    let most = args.count("words", 2, i32::MAX as usize)?;
    let mut vocabulary = Vocabulary::new(kind.tokens(&texts[0]).take(n_train), numbering, most);
    let tokens = texts.iter().flat_map(|text| kind.tokens(text));
    let numbers = tokens.map(|token| vocabulary.number(token)).collect();
    Ok((vocabulary, numbers))
}

/// The data set of token numbers whose splits are `ranges`.
pub(crate) fn windows(numbers: Vec<i32>, ranges: &[Range<usize>; 3], window: usize) -> Dataset {
    let numbers = Arc::new(Values::I32(numbers));
    let column = |name, offset| Column::window(name, Element::Integer, vec![window], &numbers, 1, offset);
    // A window may start wherever it and the token after it end in the same split.
    let rows = |range: &Range<usize>| Rows::Range(range.start..range.end.saturating_sub(window).max(range.start));
    Dataset::of(vec![column("token", 0), column("target", 1)], ranges.each_ref().map(rows)).in_windows(window)
}

/// Where the splits are in the tokens of the three texts, one after the other.
fn ranges(args: &Args<'_>, [train, validation, test]: [usize; 3]) -> Result<[Range<usize>; 3], DataError> {
    let share = |name: &'static str| match args.get(name) {
        Some(Arg::Number(_)) => part(args, name, train),
        Some(Arg::Text(_) | Arg::Bool(_) | Arg::List(_)) | None => Ok(0),
    };
    let (held, tested) = (share(validation_name(args)?)?, share("test")?);
    let end = train.checked_sub(held + tested).filter(|&end| end > 0 || train == 0).ok_or_else(|| {
        args.fault("test", "validation and test to leave something to train on", "all tokens are taken")
    })?;
    let file = train + validation;
    Ok([
        0..end,
        if held > 0 { end..end + held } else { train..file },
        if tested > 0 { end + held..train } else { file..file + test },
    ])
}

/// Every split that is there must hold a window; `file` names the file that a split has of its own.
pub(crate) fn check_lengths(
    place: &str,
    ranges: &[Range<usize>; 3],
    file: impl Fn(usize) -> Option<String>,
    window: usize,
) -> Result<(), DataError> {
    let wanted = |index: usize| index == 0 || !ranges[index].is_empty() || file(index).is_some();
    match (0..3).find(|&index| wanted(index) && ranges[index].len() <= window) {
        None => Ok(()),
        Some(index) => {
            let place = format!("{}, the {} tokens", file(index).unwrap_or(place.to_owned()), NAMES[index]);
            let expected = format!("at least {} tokens, for one window and the token after it", window + 1);
            let error = DataError::new(Fault::Damaged, place, expected, ranges[index].len().to_string());
            Err(error.help("take a longer text, or a shorter `window:`"))
        }
    }
}

/// The text of each split.
fn paths(args: &Args<'_>, search: &[PathBuf]) -> Result<[Option<PathBuf>; 3], DataError> {
    let path = files::locate(args.file()?, search)?;
    let mut paths = if path.is_dir() { in_folder(&path)? } else { [Some(path), None, None] };
    for (index, name) in [(1, validation_name(args)?), (2, "test")] {
        match args.get(name) {
            Some(Arg::Text(file)) => paths[index] = Some(files::locate(file, search)?),
            Some(Arg::Number(_)) => paths[index] = None,
            Some(Arg::Bool(_) | Arg::List(_)) => {
                return Err(args.fault(name, "a share, a number of tokens or a file name", "another value"));
            }
            None => {}
        }
    }
    Ok(paths)
}

/// The texts of a folder, told apart by their names.
fn in_folder(folder: &Path) -> Result<[Option<PathBuf>; 3], DataError> {
    let names = files::names_in(folder)?;
    let mut paths = [None, None, None];
    for name in &names {
        let Some(index) = split_of(name) else { continue };
        if names.iter().any(|other| name.strip_suffix(".gz") == Some(other)) {
            continue;
        }
        if let Some(other) = paths[index].replace(name) {
            let expected = format!("one {} text", NAMES[index]);
            let error = DataError::new(Fault::Name, quoted(folder), expected, format!("`{other}` and `{name}`"));
            return Err(error.help("name the files: `text(\"a.txt\", validation: \"b.txt\", test: \"c.txt\")`"));
        }
    }
    match paths {
        [None, _, _] => {
            let found = list(names.iter().map(String::as_str));
            let error = DataError::new(Fault::Missing, quoted(folder), "a text with `train` in its name", found);
            Err(error.help("name the file itself: `text(\"folder/file.txt\")`"))
        }
        _ => Ok(paths.map(|name| name.map(|name| folder.join(name)))),
    }
}

/// Which split a file of this name is: `ptb.train.txt.gz`, `wiki.valid.tokens`, `dev.txt`.
fn split_of(name: &str) -> Option<usize> {
    let lower = name.to_lowercase();
    let is = |starts: &[&str]| lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| starts.contains(&word));
    let known = [&["train", "training"][..], &["valid", "val", "validation", "dev"][..], &["test"][..]];
    known.iter().position(|starts| is(starts))
}

fn read(path: &Path) -> Result<String, DataError> {
    let source = Source::open(path)?;
    let place = source.place.clone();
    String::from_utf8(source.bytes_up_to(MOST)?).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let error = DataError::new(Fault::Damaged, format!("{place}, line {line}"), "text in UTF-8", "other bytes");
        error.help("write the text anew as UTF-8")
    })
}

#[cfg(test)]
mod tests;
