//! Data sets: what a `data` declaration asks for → samples in memory, in three splits.
//!
//! A [`Dataset`] holds each field of all samples in the type of its file (bytes stay bytes) and converts a sample when it is
//! gathered into a batch. Opening never panics, whatever the files hold, and never allocates for a size that a file merely
//! claims. Everything is determined by the request and the files: no clock, no unseeded random number.
//!
//! | source | reads | fields |
//! |---|---|---|
//! | `idx("folder")` | four MNIST-style files, plain or gzip | `image`, `label` |
//! | `cifar10("folder")`, `cifar100("folder")` | the binary form of CIFAR | `image`, `label` |
//! | `csv("file.csv", …)` | a table of numbers | `x`, `y` |
//! | `npy("file.npy")`, `npz("file.npz")` | numpy arrays | `x`; the arrays by name |
//! | `images("folder", …)` | png and jpeg, a folder for each class | `image`, `label` |
//! | `text("folder", …)` | texts, as numbered words or characters | `token`, `target` |
//! | `series("file.csv", …)` | series in time, in windows | `past`, `next` |
//! | `digits()` | 1797 built-in images of digits | `image`, `label` |
//! | `synthetic(…)` | nothing: a teacher with known support | `x`, `y` |

mod args;
mod batch;
mod cifar;
mod csv;
mod dataset;
mod digits;
mod error;
mod files;
mod idx;
mod images;
mod order;
mod scale;
mod series;
mod split;
mod synthetic;
mod tensors;
mod text;

use std::path::PathBuf;

pub use args::{Arg, Request};
pub use batch::Batch;
pub(crate) use dataset::hex;
pub(crate) use dataset::{Column, Rows, Values};
pub use dataset::{Dataset, Split};
pub use error::{DataError, Fault};
pub(crate) use error::{list, near_miss, quoted};
pub use order::Bits;
pub(crate) use order::shuffle;
pub(crate) use tensors::{NOTE, checksum, parse_safetensors};
pub use tensors::{load, load_all, read_tensors};

/// A reader of one source.
type Open = fn(&Request, &[PathBuf]) -> Result<Dataset, DataError>;

/// Every source by its name in a `data` declaration.
const SOURCES: &[(&str, Open)] = &[
    ("idx", idx::open),
    ("cifar10", cifar::open_10),
    ("cifar100", cifar::open_100),
    ("csv", csv::open),
    ("npy", tensors::open_npy),
    ("npz", tensors::open_npz),
    ("images", images::open),
    ("text", text::open),
    ("series", series::open),
    ("digits", digits::open),
    ("synthetic", synthetic::open),
];

/// Opens what a `data` declaration asks for; files are looked up in each directory of `search` in turn.
///
/// # Errors
///
/// What is wrong with the declaration or its files.
pub fn open(request: &Request, search: &[PathBuf]) -> Result<Dataset, DataError> {
    match SOURCES.iter().find(|(name, _)| *name == request.source) {
        // What is not about another argument is about the files.
        Some((_, open)) => open(request, search).map_err(|error| error.of_argument("file")),
        None => Err(unknown_source(&request.source)),
    }
}

fn unknown_source(name: &str) -> DataError {
    let names = || SOURCES.iter().map(|(name, _)| *name);
    let expected = format!("a source ({})", list(names()));
    let error = DataError::new(Fault::Declaration, "the `data` declaration", expected, format!("`{name}`"));
    match near_miss(name, names()) {
        Some(near) => error.help(format!("write `{near}(…)`")),
        None => error,
    }
}

/// Where the real data sets are looked for by tests: `SPNET_DATA`, else beside the repository; prints what is skipped.
#[cfg(test)]
pub(crate) fn known_data(name: &str) -> Option<Vec<PathBuf>> {
    let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let dir = std::env::var_os("SPNET_DATA").map_or(beside, PathBuf::from);
    let there = dir.join(name).exists();
    if !there {
        println!("skipped: there is no {}", dir.join(name).display());
    }
    there.then(|| vec![dir])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_source_names_its_neighbour() {
        let error = open(&Request { source: "cvs".into(), args: vec![] }, &[]).expect_err("no such source");
        assert_eq!(error.help.as_deref(), Some("write `csv(…)`"));
        assert_eq!(error.code(), "E0906");
    }
}
