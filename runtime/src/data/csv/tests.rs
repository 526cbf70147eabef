use std::fs;

use proptest::prelude::*;

use super::*;
use crate::data::{Split, known_data};
use crate::program::FieldMut;

fn request(args: &[(&str, Arg)]) -> Request {
    let args = args.iter().map(|(name, arg)| ((*name).to_owned(), arg.clone())).collect();
    Request { source: "csv".into(), args }
}

fn text(text: &str) -> Arg {
    Arg::Text(text.into())
}

/// Opens `content` with the arguments.
fn csv(content: &[u8], args: &[(&str, Arg)]) -> Result<Dataset, DataError> {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("t.csv"), content).expect("written");
    let args: Vec<_> = [("", text("t.csv"))].iter().chain(args).cloned().collect();
    open(&request(&args), &[dir.path().to_owned()])
}

fn values(data: &Dataset, split: Split, field: usize) -> Vec<f64> {
    let rows: Vec<usize> = (0..data.n(split)).collect();
    let width: usize = data.fields()[field].shape.iter().product();
    let mut out = vec![0.0; rows.len() * width];
    data.gather(split, &rows, field, FieldMut::F64(&mut out));
    out
}

#[test]
fn columns_get_their_roles() {
    let table = b"id,a,y,b,train\nr1,1,10,2,1\nr2,3,20,4,0\nr3,5,30,6,1\n";
    let data = csv(table, &[("target", text("y")), ("drop", text("id")), ("split", text("train"))]).expect("whole");
    assert_eq!(values(&data, Split::Train, 0), [1.0, 2.0, 5.0, 6.0]);
    assert_eq!(values(&data, Split::Test, 0), [3.0, 4.0]);
    assert_eq!(values(&data, Split::Train, 1), [10.0, 30.0]);
}

#[test]
fn without_header_columns_go_by_number() {
    let args = [("header", Arg::Bool(false)), ("target", Arg::Number(2.0)), ("classes", Arg::Bool(true))];
    let data = csv(b"0.5,1\n1.5,0\n", &args).expect("whole");
    assert_eq!(data.fields()[1].element, Element::Integer);
    assert_eq!(values(&data, Split::Train, 1), [1.0, 0.0]);
}

#[test]
fn separators_spaces_quotes_and_a_byte_order_mark() {
    let data = csv(b"\xef\xbb\xbf\"a\"; b\r\n1;\t2.5e0\r\n", &[("separator", text(";"))]).expect("whole");
    assert_eq!(values(&data, Split::Train, 0), [1.0, 2.5]);
}

#[test]
fn scaling_does_what_it_says() {
    let table = b"a,b,y\n1,10,1\n2,30,5\n4,20,6\n";
    let standard = csv(table, &[("target", text("y")), ("standardise", Arg::Bool(true))]).expect("whole");
    let unit = csv(table, &[("target", text("y")), ("standardise", text("unit"))]).expect("whole");
    for (data, square) in [(&standard, 2.0), (&unit, 1.0)] {
        for column in 0..2 {
            let x: Vec<f64> = values(data, Split::Train, 0).into_iter().skip(column).step_by(2).collect();
            assert!(x.iter().sum::<f64>().abs() < 1e-12);
            assert!((x.iter().map(|x| x * x).sum::<f64>() - square).abs() < 1e-12);
        }
    }
    assert_eq!(values(&standard, Split::Train, 1), [1.0, 5.0, 6.0]);
    assert_eq!(values(&unit, Split::Train, 1), [-3.0, 1.0, 2.0]);
}

#[test]
fn statistics_can_be_those_of_the_training_rows() {
    let table = b"a,train\n1,1\n3,1\n100,0\n";
    let args = [("split", text("train")), ("standardise", text("unit")), ("statistics", text("train"))];
    let data = csv(table, &args).expect("whole");
    assert!((values(&data, Split::Test, 0)[0] - 98.0 / 2.0_f64.sqrt()).abs() < 1e-12);
}

#[test]
fn a_share_is_drawn_by_its_seed() {
    let table: String = std::iter::once("a\n".to_owned()).chain((0..100).map(|i| format!("{i}\n"))).collect();
    let drawn = |test, seed| {
        let args = [("test", Arg::Number(test)), ("seed", Arg::Number(seed))];
        values(&csv(table.as_bytes(), &args).expect("whole"), Split::Test, 0)
    };
    assert_eq!(drawn(0.2, 1.0).len(), 20);
    assert_eq!(drawn(30.0, 1.0).len(), 30);
    assert_eq!(drawn(0.2, 1.0), drawn(0.2, 1.0));
    assert_ne!(drawn(0.2, 1.0), drawn(0.2, 2.0));
}

#[track_caller]
fn refused(content: &[u8], args: &[(&str, Arg)], fault: Fault, parts: &[&str]) {
    let error = csv(content, args).expect_err("must be refused");
    let text = format!("{error}; {}", error.help.clone().unwrap_or_default());
    assert_eq!(error.fault, fault, "{text}");
    parts.iter().for_each(|part| assert!(text.contains(part), "`{part}` is not in: {text}"));
}

#[test]
fn every_mistake_is_placed() {
    refused(b"", &[], Fault::Damaged, &["empty file"]);
    refused(b"a,b\n", &[], Fault::Damaged, &["at least one row"]);
    refused(b"a,b\n1,2\n3,x\n", &[], Fault::Value, &["line 3", "column `b`", "`x`"]);
    refused(b"a,b\n1,\n", &[], Fault::Value, &["line 2", "column `b`", "an empty cell"]);
    refused(b"a,b\n1,NaN\n", &[], Fault::Value, &["line 2", "finite", "`NaN`"]);
    refused(b"a,b\n1,inf\n", &[], Fault::Value, &["`inf`"]);
    refused(b"a,b\n1,2\n3\n", &[], Fault::Disagreement, &["line 3", "2 cells", "found 1"]);
    refused(b"a,a\n1,2\n", &[], Fault::Name, &["`a` twice"]);
    refused(b"1,2\n3,4\n", &[], Fault::Name, &["numbers only", "header: false"]);
    refused(b"a,\xff\n1,2\n", &[], Fault::Damaged, &["UTF-8"]);
    refused(b"lpsa,b\n1,2\n", &[("target", text("lsap"))], Fault::Name, &["`lsap`", "target: \"lpsa\""]);
    refused(b"a,b\n1,2\n", &[("split", text("b"))], Fault::Value, &["1 (training)", "found 2"]);
    refused(b"a,b\n1,0\n", &[("split", text("b"))], Fault::Value, &["0 in every row"]);
    refused(b"a,b\n1,0\n", &[("drop", text("a,b"))], Fault::Name, &["at least one column"]);
    refused(b"a,b\n1,0\n1,1\n", &[("standardise", Arg::Bool(true))], Fault::Value, &["column `a`", "drop: \"a\""]);
    let classes = [("target", text("b")), ("classes", Arg::Bool(true))];
    refused(b"a,b\n1,0.5\n", &classes, Fault::Value, &["class number", "line 2"]);
    refused(b"a,b\n1,0\n", &[("test", Arg::Number(3.0))], Fault::Declaration, &["`test`"]);
    refused(b"a,b\n1,0\n", &[("standardise", text("units"))], Fault::Declaration, &["\"unit\""]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), header: bool) {
        if let Ok(table) = Table::read("`x`", &bytes, b',', Header::Known(header)) {
            let rows: Vec<usize> = (0..table.len()).collect();
            (0..table.names.len()).for_each(|column| { let _ = table.numbers(column, &rows); });
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a0-9.,\"\n;-]{0,60}", header: bool) {
        let _ = csv(text.as_bytes(), &[("header", Arg::Bool(header)), ("standardise", Arg::Bool(true))]);
    }
}

/// Least squares with an intercept by normal equations; returns the coefficients, the intercept last.
fn least_squares(x: &[f64], y: &[f64], width: usize) -> Vec<f64> {
    let n = width + 1;
    let row = |i: usize| x[i * width..(i + 1) * width].iter().copied().chain([1.0]);
    let mut system = vec![vec![0.0; n + 1]; n];
    for (i, &y) in y.iter().enumerate() {
        for (a, line) in row(i).zip(&mut system) {
            line.iter_mut().zip(row(i).chain([y])).for_each(|(to, b)| *to += a * b);
        }
    }
    for pivot in 0..n {
        let line: Vec<f64> = system[pivot].iter().map(|v| v / system[pivot][pivot]).collect();
        for (other, target) in system.iter_mut().enumerate() {
            let factor = if other == pivot { 0.0 } else { target[pivot] };
            target.iter_mut().zip(&line).for_each(|(t, l)| *t -= factor * l);
        }
        system[pivot] = line;
    }
    system.iter().map(|line| line[n]).collect()
}

fn near(found: &[f64], expected: &[f64], tolerance: f64) {
    let close = found.iter().zip(expected).all(|(f, e)| (f - e).abs() < tolerance);
    assert!(close && found.len() == expected.len(), "{found:?} is not {expected:?}");
}

#[test]
fn prostate_least_squares_are_those_of_the_book() {
    let Some(search) = known_data("prostate/prostate.csv") else { return };
    let args = [
        ("", text("prostate/prostate.csv")),
        ("target", text("lpsa")),
        ("drop", text("id")),
        ("split", text("train")),
        ("standardise", Arg::Bool(true)),
    ];
    let data = open(&request(&args), &search).expect("the file is whole");
    assert_eq!((data.n(Split::Train), data.n(Split::Test)), (67, 30));
    let fit = least_squares(&values(&data, Split::Train, 0), &values(&data, Split::Train, 1), 8);
    near(&fit, &[0.680, 0.263, -0.141, 0.210, 0.305, -0.288, -0.021, 0.267, 2.465], 6e-4);
    let (x, y) = (values(&data, Split::Test, 0), values(&data, Split::Test, 1));
    let predicted = |i: usize| fit[8] + (0..8).map(|k| fit[k] * x[8 * i + k]).sum::<f64>();
    let error = (0..30).map(|i| (y[i] - predicted(i)).powi(2)).sum::<f64>() / 30.0;
    assert!((error - 0.521).abs() < 6e-4, "{error}");
}

#[test]
fn diabetes_least_squares_are_the_published_ones() {
    let Some(search) = known_data("diabetes/diabetes.csv") else { return };
    let args = [("", text("diabetes/diabetes.csv")), ("target", text("Y")), ("standardise", text("unit"))];
    let data = open(&request(&args), &search).expect("the file is whole");
    let fit = least_squares(&values(&data, Split::Train, 0), &values(&data, Split::Train, 1), 10);
    let published = [-10.01, -239.82, 519.85, 324.38, -792.18, 476.74, 101.04, 177.06, 751.27, 67.63, 0.0];
    near(&fit, &published, 6e-3);
}
