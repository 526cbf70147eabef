//! `series(…)`: a table with one row for each point in time → windows of the past, and what came next.
//!
//! | argument | meaning |
//! |---|---|
//! | `file` | a csv file, a column for each series |
//! | `past` | rows in a window (12) |
//! | `ahead` | which row after the window is to be predicted: 1, the next one, unless said otherwise |
//! | `test` | the share of the rows, or their number, at the end of the file |
//! | `validation`, `hold_out` | the same, before those |
//! | `drop`, `header`, `separator` | as for `csv`; whether there is a header is seen from the first two lines |
//!
//! A window and its target lie in one split, so that no number of one split is seen in another. The constants `mean`,
//! `deviation`, `least` and `largest` are those of all numbers of the training rows, for a program to scale with.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::args::{Args, Request};
use super::csv::{Header, Table, columns_to_drop, separator};
use super::error::{DataError, Fault};
use super::files::{self, Source};
use super::split::{part, validation_name};
use super::{Column, Dataset, Rows, Values};
use crate::program::Element;

const ARGS: &[&str] = &["file", "past", "ahead", "validation", "hold_out", "test", "drop", "header", "separator"];

/// `series("file.csv", past: 8, ahead: 1, validation: 20%, test: 20%)`.
pub(crate) fn open(request: &Request, search: &[PathBuf]) -> Result<Dataset, DataError> {
    let args = Args::new(request, ARGS)?;
    let windows = Windows::new(&args)?;
    let source = Source::open(&files::locate(args.file()?, search)?)?;
    let place = source.place.clone();
    let header = args.flag("header")?.map_or(Header::Guessed, Header::Known);
    let table = Table::read(&place, &source.bytes()?, separator(&args)?, header)?;
    let values = values(&args, &table)?;
    let ranges = split(&args, table.len())?;
    windows.check(&place, &ranges)?;
    Ok(windows.cut(values, table.len(), ranges))
}

/// How a sequence of rows is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    past: usize,
    ahead: usize,
}

impl Windows {
    /// As arguments `past` and `ahead` say.
    pub(crate) fn new(args: &Args<'_>) -> Result<Windows, DataError> {
        let past = args.count("past", 1, 1_000_000)?.unwrap_or(12);
        Ok(Windows { past, ahead: args.count("ahead", 1, 1_000_000)?.unwrap_or(1) })
    }

    /// The rows of a window and its target.
    fn reach(self) -> usize {
        self.past + self.ahead
    }

    /// Every split that is there must hold a window.
    pub(crate) fn check(self, place: &str, ranges: &[Range<usize>; 3]) -> Result<(), DataError> {
        let names = ["training", "validation", "test"];
        let short =
            (0..3).find(|&index| (index == 0 || !ranges[index].is_empty()) && ranges[index].len() < self.reach());
        match short {
            None => Ok(()),
            Some(index) => {
                let place = format!("{place}, the {} rows", names[index]);
                let expected = format!("at least {}: {} of the past and {} ahead", self.reach(), self.past, self.ahead);
                let error = DataError::new(Fault::Disagreement, place, expected, ranges[index].len().to_string());
                Err(error.help("take more rows for it, or shorter windows"))
            }
        }
    }

    /// The data set of `n` rows of `values`.
    pub(crate) fn cut(self, values: Vec<f64>, n: usize, ranges: [Range<usize>; 3]) -> Dataset {
        let width = values.len() / n.max(1);
        let constants = constants(&values[ranges[0].start * width..ranges[0].end * width]);
        let about =
            format!("{} rows to train on, {} and {} after them", ranges[0].len(), ranges[1].len(), ranges[2].len());
        let values = Arc::new(Values::F64(values));
        let past = Column::window("past", Element::Real, vec![self.past, width], &values, width, 0);
        let ahead = (self.reach() - 1) * width;
        let next = Column::window("next", Element::Real, vec![width], &values, width, ahead);
        let starts =
            |rows: Range<usize>| Rows::Range(rows.start..(rows.end + 1).saturating_sub(self.reach()).max(rows.start));
        let mut data = Dataset::of(vec![past, next], ranges.map(starts));
        (data.constants, data.about) = (constants, about);
        data
    }
}

/// What the numbers are like.
fn constants(values: &[f64]) -> Vec<(String, f64)> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let named = [("mean", mean), ("deviation", variance.sqrt()), ("least", least), ("largest", largest)];
    named.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// The numbers of all columns that are not dropped, row by row.
fn values(args: &Args<'_>, table: &Table) -> Result<Vec<f64>, DataError> {
    let dropped = columns_to_drop(args, table)?;
    let columns: Vec<usize> = (0..table.names.len()).filter(|column| !dropped.contains(column)).collect();
    if columns.is_empty() {
        return Err(DataError::new(Fault::Name, &table.file, "at least one column that is not dropped", "none"));
    }
    let mut values = Vec::with_capacity(columns.len() * table.len());
    for row in 0..table.len() {
        for &column in &columns {
            let name = &table.names[column];
            let way = format!("fill the gap, or leave the column out with `drop: \"{name}\"`");
            values.push(table.number(row, column).map_err(|error| error.help(way))?);
        }
    }
    Ok(values)
}

/// The rows of each split: they follow each other.
pub(crate) fn split(args: &Args<'_>, n: usize) -> Result<[Range<usize>; 3], DataError> {
    let (validation, test) = (part(args, validation_name(args)?, n)?, part(args, "test", n)?);
    match n.checked_sub(validation + test) {
        Some(train) if train > 0 => Ok([0..train, train..train + validation, train + validation..n]),
        Some(_) | None => Err(args.fault("test", "rows to be left to train on", "all rows in other splits")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::data::{Arg, Split, known_data, open as open_any};
    use crate::program::FieldMut;

    fn open_series(text: &str, args: &[(&str, Arg)]) -> Result<Dataset, DataError> {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("s.csv"), text).expect("written");
        open_file("s.csv", dir.path().to_owned(), args)
    }

    fn open_file(file: &str, dir: PathBuf, args: &[(&str, Arg)]) -> Result<Dataset, DataError> {
        let first = [(String::new(), Arg::Text(file.into()))];
        let args = first.into_iter().chain(args.iter().map(|(name, arg)| ((*name).to_owned(), arg.clone()))).collect();
        open_any(&Request { source: "series".into(), args }, &[dir])
    }

    /// Rows `0, 0.5`, `1, 1.5`, ….
    fn ramp(n: usize) -> String {
        (0..n).fold(String::new(), |mut text, row| {
            let _ = writeln!(text, "{row},{row}.5");
            text
        })
    }

    fn gathered(data: &Dataset, split: Split, field: usize) -> Vec<f64> {
        let rows = data.order(split, 1, None);
        let mut out = vec![0.0; rows.len() * data.fields()[field].shape.iter().product::<usize>()];
        data.gather(split, &rows, field, FieldMut::F64(&mut out));
        out
    }

    const NUMBER: fn(f64) -> Arg = Arg::Number;

    #[test]
    fn windows_are_followed_by_what_is_ahead() {
        let args = [("past", NUMBER(2.0)), ("ahead", NUMBER(2.0)), ("header", Arg::Bool(false))];
        let data = open_series(&ramp(6), &args).expect("a table");
        assert_eq!(data.fields()[0].shape, [2, 2]);
        assert_eq!(data.n(Split::Train), 3);
        assert_eq!(gathered(&data, Split::Train, 0)[..8], [0.0, 0.5, 1.0, 1.5, 1.0, 1.5, 2.0, 2.5]);
        assert_eq!(gathered(&data, Split::Train, 1), [3.0, 3.5, 4.0, 4.5, 5.0, 5.5]);
        assert!(!data.sequential());
    }

    #[test]
    fn a_header_of_sensor_numbers_is_seen() {
        let data = open_series(&format!("773869,767541\n{}", ramp(20)), &[]).expect("a table");
        assert_eq!(data.n(Split::Train), 20 - 12);
        let data = open_series(&format!("a,b\n{}", ramp(20)), &[("drop", Arg::Text("b".into()))]).expect("a table");
        assert_eq!(data.fields()[0].shape, [12, 1]);
        assert_eq!(open_series(&ramp(20), &[]).expect("a table").n(Split::Train), 8, "0, 0.5 is no header");
    }

    #[test]
    fn scales_are_of_the_training_rows() {
        let args = [("past", NUMBER(1.0)), ("test", NUMBER(0.5)), ("header", Arg::Bool(false))];
        let data = open_series("1\n3\n100\n100\n", &args).expect("a table");
        let constants = [("mean", 2.0), ("deviation", 1.0), ("least", 1.0), ("largest", 3.0)];
        assert_eq!(data.constants, constants.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let refused = |text: &str, args: &[(&str, Arg)], part: &str| {
            let error = open_series(text, args).expect_err("must be refused");
            assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
        };
        refused("t,a\n1,2\nx,3\n", &[], "line 3, column `t`: expected a finite number, found `x`");
        refused("a\n1\nNaN\n", &[], "line 3, column `a`: expected a finite number, found `NaN`");
        refused("a,b\n1\n", &[], "2 cells");
        refused(&ramp(8), &[], "the training rows: expected at least 13: 12 of the past and 1 ahead, found 8");
        refused(&ramp(60), &[("test", NUMBER(5.0))], "the test rows");
        refused(&ramp(60), &[("test", NUMBER(0.5)), ("validation", NUMBER(0.5))], "all rows in other splits");
        refused("a\n1\n", &[("drop", Arg::Text("a".into()))], "at least one column");
        refused("", &[], "an empty file");
    }

    #[test]
    fn traffic_is_traffic() {
        let Some(search) = known_data("traffic-los/los_speed.csv.gz") else { return };
        let args = [("past", NUMBER(8.0)), ("validation", NUMBER(0.2)), ("test", NUMBER(0.2))];
        let data = open_file("traffic-los/los_speed.csv", search[0].clone(), &args).expect("a whole file");
        assert_eq!(data.fields()[0].shape, [8, 207]);
        assert_eq!([Split::Train, Split::Validation, Split::Test].map(|split| data.n(split) + 8), [1210, 403, 403]);
        assert!((data.constants[0].1 - 58.9).abs() < 1.0 && data.constants[3].1 <= 70.0, "{:?}", data.constants);
    }

    proptest! {
        #[test]
        fn no_number_is_in_two_splits(
            n in 1_usize..60, past in 1_u8..9, ahead in 1_u8..5, test in 0.0..0.6_f64, validation in 0.0..0.6_f64,
        ) {
            let args = [
                ("past", NUMBER(past.into())), ("ahead", NUMBER(ahead.into())), ("test", NUMBER(test)),
                ("validation", NUMBER(validation)), ("header", Arg::Bool(false)),
            ];
            let Ok(data) = open_series(&ramp(n), &args) else { return Ok(()) };
            let seen = [Split::Train, Split::Validation, Split::Test].map(|split| {
                let both = [gathered(&data, split, 0), gathered(&data, split, 1)].concat();
                both.into_iter().map(|x| x.floor() as i64).collect::<BTreeSet<_>>()
            });
            let last = |set: &BTreeSet<i64>| set.last().copied().unwrap_or(-1);
            prop_assert!(seen[1].first().is_none_or(|&first| first > last(&seen[0])));
            prop_assert!(seen[2].first().is_none_or(|&first| first > last(&seen[0]).max(last(&seen[1]))));
            let pairs = gathered(&data, Split::Train, 0).len() / (2 * usize::from(past));
            prop_assert_eq!(pairs, data.n(Split::Train));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9,.\n\"a-]{0,60}", past in 1_u8..4) {
            let _ = open_series(&text, &[("past", NUMBER(past.into()))]);
        }
    }
}
