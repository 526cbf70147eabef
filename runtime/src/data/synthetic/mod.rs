//! `synthetic(…)`: data of any size that need no file, the same for the same seed.
//!
//! | with | samples are |
//! |---|---|
//! | `image: [C, H, W]` | images of classes, or with a class for each pixel |
//! | `tokens: N` | windows of a text |
//! | `steps: N` | windows of series in time |
//! | none of them | features and what a teacher makes of them |
//!
//! All can be learned to some extent, so that a program that trains on them can be seen to do so.

mod image;
mod sequence;
mod table;

use std::ops::Range;
use std::path::PathBuf;

use super::args::{Args, Request};
use super::error::DataError;
use super::split::{part, validation_name};
use super::{Dataset, series};

/// More numbers than this are not for a toy.
const MOST: usize = 1 << 30;

/// `synthetic(samples: 1000, features: 20, …)`; a fifth is for testing unless `test` says otherwise.
pub(crate) fn open(request: &Request, _search: &[PathBuf]) -> Result<Dataset, DataError> {
    let has = |wanted: &str| request.args.iter().any(|(name, _)| name == wanted);
    match () {
        () if has("image") => image::open(request),
        () if has("tokens") => sequence::open_text(request),
        () if has("steps") => sequence::open_series(request),
        () => table::open(request),
    }
}

fn seed(args: &Args<'_>) -> Result<u64, DataError> {
    Ok(args.count("seed", 0, u32::MAX as usize)?.unwrap_or(0) as u64)
}

/// How many of `n` are for testing.
fn n_test(args: &Args<'_>, n: usize) -> Result<usize, DataError> {
    if args.get("test").is_some() { part(args, "test", n) } else { Ok(n / 5) }
}

/// The splits of a sequence of `n`: they follow each other.
fn split(args: &Args<'_>, n: usize) -> Result<[Range<usize>; 3], DataError> {
    if args.get("test").is_some() {
        return series::split(args, n);
    }
    let (name, test) = (validation_name(args)?, n / 5);
    let validation = part(args, name, n)?;
    match n.checked_sub(test + validation) {
        Some(train) if train > 0 => Ok([0..train, train..n - test, n - test..n]),
        Some(_) | None => Err(args.fault(name, "something left to train on, besides a fifth to test on", "too much")),
    }
}
