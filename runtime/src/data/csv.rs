//! `csv(…)`: a table of numbers, plain or gzip → features `x` and target `y`.
//!
//! | argument | meaning |
//! |---|---|
//! | `file` | the file, with or without its `.gz` |
//! | `target` | the column of `y`, by name or by number from 1; without it there is no `y` |
//! | `classes: true` | `y` holds class numbers: integers |
//! | `drop` | columns to leave out, separated by commas |
//! | `header: false` | the first line holds numbers already; columns then go by number |
//! | `separator` | one character, a comma unless said otherwise |
//! | `split` | a column of 1 (training) and 0 (test) |
//! | `test` | instead: the share of the samples, or their number, drawn for the test split |
//! | `hold_out` | the share of the training samples, or their number, drawn for the validation split |
//! | `seed` | which samples `test` and `hold_out` draw |
//! | `standardise: true` | every feature gets mean 0 and variance 1 (of a sample: divided by n - 1) |
//! | `standardise: "unit"` | every feature gets mean 0 and Euclidean norm 1, the target mean 0 |
//! | `statistics: "train"` | means and deviations are of the training rows; of all rows unless said so |

mod read;

use std::path::PathBuf;

use super::args::{Arg, Args, Request};
use super::error::{DataError, Fault, list, near_miss};
use super::files::{self, Source};
use super::scale::{Scale, centre};
use super::split::{draw_test, hold_out};
use super::{Column, Dataset, Values};
use crate::program::Element;
pub(crate) use read::{Header, Table};

const ARGS: &[&str] = &[
    "file",
    "target",
    "classes",
    "drop",
    "header",
    "separator",
    "split",
    "test",
    "hold_out",
    "seed",
    "standardise",
    "statistics",
];

/// `csv("file.csv", target: "y", …)`.
pub(crate) fn open(request: &Request, search: &[PathBuf]) -> Result<Dataset, DataError> {
    let args = Args::new(request, ARGS)?;
    let path = files::locate(args.file()?, search)?;
    let source = Source::open(&path)?;
    let place = source.place.clone();
    let table = Table::read(
        &place,
        &source.bytes()?,
        separator(&args)?,
        args.flag("header")?.map_or(Header::Expected, Header::Known),
    )?;
    build(&args, &table)
}

pub(crate) fn separator(args: &Args<'_>) -> Result<u8, DataError> {
    match args.text("separator")?.map(str::as_bytes) {
        None => Ok(b','),
        Some(&[byte]) if byte != b'"' && byte != b'\n' && byte != b'\r' => Ok(byte),
        Some(_) => Err(args.fault("separator", "one character, as \";\" or a tab", "another string")),
    }
}

/// Which column is what.
struct Roles {
    target: Option<usize>,
    split: Option<usize>,
    features: Vec<usize>,
}

fn build(args: &Args<'_>, table: &Table) -> Result<Dataset, DataError> {
    let roles = roles(args, table)?;
    let (train, test) = split(args, table, &roles)?;
    let rows: Vec<usize> = train.iter().chain(&test).copied().collect();
    let mut x = Vec::with_capacity(roles.features.len());
    for &column in &roles.features {
        let without = format!("mend the cell, or leave the column out with `drop: \"{}\"`", table.names[column]);
        x.push(table.numbers(column, &rows).map_err(|error| error.help(without))?);
    }
    let mut y = roles.target.map(|column| table.numbers(column, &rows)).transpose()?;
    let known = if args.word("statistics", &["all", "train"])? == Some("train") { train.len() } else { rows.len() };
    let scale = scale(args)?;
    for (values, &column) in x.iter_mut().zip(&roles.features) {
        scale.apply(values, known).map_err(|found| constant(table, column, &found))?;
    }
    let classes = args.flag("classes")?.unwrap_or(false);
    if let (Scale::UnitNorm, Some(y), false) = (scale, &mut y, classes) {
        centre(y, known);
    }
    let mut columns = vec![interleave(&x, rows.len())];
    if let (Some(y), Some(column)) = (y, roles.target) {
        columns.push(if classes { labels(table, column, &rows, &y)? } else { reals(y) });
    }
    hold_out(args, Dataset::new(columns, train.len(), test.len()))
}

fn reals(y: Vec<f64>) -> Column {
    Column::new("y", Element::Real, vec![], Values::F64(y))
}

/// The target as class numbers.
fn labels(table: &Table, column: usize, rows: &[usize], y: &[f64]) -> Result<Column, DataError> {
    let fits = |x: &f64| x.fract() == 0.0 && (0.0..=f64::from(i32::MAX)).contains(x);
    if let Some(bad) = y.iter().position(|x| !fits(x)) {
        let place = table.place(rows[bad], column);
        return Err(DataError::new(Fault::Value, place, "a class number: 0, 1, 2, …", format!("{}", y[bad])));
    }
    let labels = y.iter().map(|&x| x as i32).collect();
    Ok(Column::new("y", Element::Integer, vec![], Values::I32(labels)))
}

/// Features from one vector a column to one a sample.
fn interleave(columns: &[Vec<f64>], n: usize) -> Column {
    let values = (0..n).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
    Column::new("x", Element::Real, vec![columns.len()], Values::F64(values))
}

fn scale(args: &Args<'_>) -> Result<Scale, DataError> {
    match args.get("standardise") {
        None | Some(Arg::Bool(false)) => Ok(Scale::None),
        Some(Arg::Bool(true)) => Ok(Scale::Variance),
        Some(Arg::Text(text)) if text == "unit" => Ok(Scale::UnitNorm),
        Some(Arg::Text(_) | Arg::Number(_) | Arg::List(_)) => {
            Err(args.fault("standardise", "`true`, `false` or \"unit\"", "another value"))
        }
    }
}

fn constant(table: &Table, column: usize, found: &str) -> DataError {
    let name = &table.names[column];
    let place = format!("{}, column `{name}`", table.file);
    let error = DataError::new(Fault::Value, place, "values that differ, so that they can be standardised", found);
    error.help(format!("leave it out with `drop: \"{name}\"`"))
}

fn roles(args: &Args<'_>, table: &Table) -> Result<Roles, DataError> {
    let target = match args.get("target") {
        None => None,
        Some(Arg::Text(name)) => Some(find(args, table, "target", name)?),
        Some(Arg::Number(number)) => Some(find(args, table, "target", &number.to_string())?),
        Some(Arg::Bool(_) | Arg::List(_)) => {
            return Err(args.fault("target", "the name or number of a column", "another value"));
        }
    };
    let split = args.text("split")?.map(|name| find(args, table, "split", name)).transpose()?;
    let mut taken: Vec<usize> = target.into_iter().chain(split).collect();
    taken.extend(columns_to_drop(args, table)?);
    let features: Vec<usize> = (0..table.names.len()).filter(|column| !taken.contains(column)).collect();
    if features.is_empty() {
        let expected = "at least one column besides target, split and dropped ones";
        return Err(DataError::new(Fault::Name, &table.file, expected, "none"));
    }
    Ok(Roles { target, split, features })
}

/// The columns that argument `drop` names.
pub(crate) fn columns_to_drop(args: &Args<'_>, table: &Table) -> Result<Vec<usize>, DataError> {
    let names = args.text("drop")?.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| find(args, table, "drop", name)).collect()
}

/// The column that argument `arg` names.
fn find(args: &Args<'_>, table: &Table, arg: &str, name: &str) -> Result<usize, DataError> {
    let names = || table.names.iter().map(String::as_str);
    names().position(|known| known == name).ok_or_else(|| {
        let place = format!("argument `{arg}` of `{}`", args.source());
        let expected = format!("a column of {} ({})", table.file, list(names()));
        let error = DataError::new(Fault::Name, place, expected, format!("`{name}`")).of_argument(arg);
        match near_miss(name, names()) {
            Some(near) => error.help(format!("write `{arg}: \"{near}\"`")),
            None => error,
        }
    })
}

/// The rows of each split.
fn split(args: &Args<'_>, table: &Table, roles: &Roles) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let n = table.len();
    match (roles.split, args.get("test")) {
        (Some(_), Some(_)) => Err(args.fault("test", "one way to split", "`split` besides it")),
        (None, _) => draw_test(args, n),
        (Some(column), None) => {
            let (mut train, mut test) = (Vec::new(), Vec::new());
            let all: Vec<usize> = (0..n).collect();
            for (row, value) in table.numbers(column, &all)?.into_iter().enumerate() {
                match value {
                    1.0 => train.push(row),
                    0.0 => test.push(row),
                    _ => {
                        let place = table.place(row, column);
                        return Err(DataError::new(Fault::Value, place, "1 (training) or 0 (test)", value.to_string()));
                    }
                }
            }
            if train.is_empty() {
                let expected = format!("a 1 somewhere in the split column `{}`", table.names[column]);
                return Err(DataError::new(Fault::Value, &table.file, expected, "0 in every row"));
            }
            Ok((train, test))
        }
    }
}

#[cfg(test)]
mod tests;
