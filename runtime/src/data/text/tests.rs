use std::fs;

use proptest::prelude::*;

use super::*;
use crate::data::{Split, known_data, open as open_any};
use crate::program::FieldMut;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).expect("written"));
    dir
}

fn open_text(dir: &Path, file: &str, args: &[(&str, Arg)]) -> Result<Dataset, DataError> {
    let first = [(String::new(), Arg::Text(file.into()))];
    let args = first.into_iter().chain(args.iter().map(|(name, arg)| ((*name).to_owned(), arg.clone()))).collect();
    open_any(&Request { source: "text".into(), args }, &[dir.to_owned()])
}

/// Tokens and targets of the batches of a split.
fn windows_of(data: &Dataset, split: Split, batch: usize) -> (Vec<i32>, Vec<i32>) {
    let order = data.order(split, batch, None);
    let width = data.fields()[0].shape[0];
    let (mut token, mut target) = (vec![0; order.len() * width], vec![0; order.len() * width]);
    data.gather(split, &order, 0, FieldMut::I32(&mut token));
    data.gather(split, &order, 1, FieldMut::I32(&mut target));
    (token, target)
}

fn vocabulary(data: &Dataset) -> f64 {
    data.constants.iter().find(|(name, _)| name == "vocabulary").expect("a text has one").1
}

#[test]
fn words_are_numbered_by_frequency_and_lines_end() {
    let dir = folder(&[("x.train.txt", " b a a \n a c\n"), ("x.valid.txt", "c d\n"), ("x.test.txt", "a b\n")]);
    let data = open_text(dir.path(), ".", &[("window", Arg::Number(2.0))]).expect("whole texts");
    // a 0, <eos> 1, b 2, c 3; the text is b a a <eos> a c <eos>; d is unknown.
    assert_eq!(windows_of(&data, Split::Train, 1), (vec![2, 0, 0, 1, 0, 3], vec![0, 0, 1, 0, 3, 1]));
    assert_eq!(windows_of(&data, Split::Train, 2).0, [2, 0, 1, 0], "two streams of three");
    assert_eq!(windows_of(&data, Split::Validation, 1), (vec![3, 4], vec![4, 1]));
    assert_eq!(windows_of(&data, Split::Test, 1), (vec![0, 2], vec![2, 1]));
    assert_eq!(vocabulary(&data), 5.0);
    assert_eq!(data.evaluated(), [Split::Validation, Split::Test]);
}

#[test]
fn characters_can_be_numbered_as_they_occur() {
    let dir = folder(&[("x.txt", "hé\nhé")]);
    let args = [("characters", Arg::Bool(true)), ("order", Arg::Text("first".into())), ("window", Arg::Number(4.0))];
    let data = open_text(dir.path(), "x.txt", &args).expect("a text");
    assert_eq!(windows_of(&data, Split::Train, 1), (vec![0, 1, 2, 0], vec![1, 2, 0, 1]));
    assert_eq!(vocabulary(&data), 3.0);
}

#[test]
fn rare_words_become_unknown() {
    let dir = folder(&[("x.txt", "a a a b b <unk> c d\n")]);
    let args = [("words", Arg::Number(3.0)), ("window", Arg::Number(8.0))];
    let data = open_text(dir.path(), "x.txt", &args).expect("a text");
    // <unk> stands for itself, c, d and <eos>: four, more than the three of a.
    assert_eq!(windows_of(&data, Split::Train, 1).0, [1, 1, 1, 2, 2, 0, 0, 0]);
    assert_eq!(vocabulary(&data), 3.0);
}

#[test]
fn splits_of_one_text_follow_each_other() {
    let words: Vec<String> = (0..100).map(|i| i.to_string()).collect();
    let dir = folder(&[("x.txt", &words.join(" "))]);
    let args = [
        ("window", Arg::Number(5.0)),
        ("validation", Arg::Number(20.0)),
        ("test", Arg::Number(10.0)),
        ("order", Arg::Text("first".into())),
    ];
    let data = open_text(dir.path(), "x.txt", &args).expect("a text");
    assert_eq!(data.n(Split::Train), (101 - 30 - 1) / 5);
    // 71 training tokens are the vocabulary; the others are unknown.
    assert_eq!(vocabulary(&data), 72.0);
    assert_eq!(windows_of(&data, Split::Validation, 1).0, [71; 15]);
    assert!(open_text(dir.path(), "x.txt", &[("test", Arg::Number(99.0))]).is_err(), "nothing to train on");
}

#[test]
fn what_is_wrong_is_said() {
    let dir = folder(&[("train.txt", "a b\n"), ("train.tokens", "a b\n"), ("short.txt", "a\n"), ("odd.txt", "")]);
    fs::write(dir.path().join("bytes.txt"), b"a\nb \xff").expect("written");
    let refused = |file: &str, args: &[(&str, Arg)], part: &str| {
        let error = open_text(dir.path(), file, args).expect_err("must be refused");
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    };
    refused(".", &[], "one training text, found `train.tokens` and `train.txt`");
    refused("short.txt", &[], "at least 36 tokens");
    refused("odd.txt", &[], "found 0");
    refused("bytes.txt", &[], "line 2");
    refused("short.txt", &[("validation", Arg::Bool(true))], "a file name");
    refused("short.txt", &[("window", Arg::Number(0.0))], "from 1");
    refused("short.txt", &[("hold_out", Arg::Number(0.1)), ("validation", Arg::Number(0.1))], "one of the two");
    refused("nowhere", &[], "of this name");
    let empty = folder(&[("a.txt", "a\n")]);
    let error = open_text(empty.path(), ".", &[]).expect_err("which is it");
    assert!(error.to_string().contains("`train` in its name, found `a.txt`"), "{error}");
}

#[test]
fn the_penn_treebank_has_its_published_sizes() {
    let Some(search) = known_data("ptb/ptb.train.txt.gz") else { return };
    let data = open_text(&search[0], "ptb", &[]).expect("whole files");
    assert_eq!(vocabulary(&data), 10_000.0);
    assert_eq!(data.about.split(" tokens").next(), Some("929589, 73760 and 82430"));
    // The steps of an epoch in the published program: (929589 / 20 - 1) / 35.
    assert_eq!(data.n_in(Split::Train, 20), 20 * 1327);
    let (token, target) = windows_of(&data, Split::Test, 10);
    assert!(token.iter().chain(&target).all(|token| (0..10_000).contains(token)));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        text in prop::collection::vec(any::<u8>(), 0..80), window in 1_u8..9, characters: bool, words in 2_u8..9,
        share in 0.0..1.5_f64,
    ) {
        let dir = folder(&[]);
        fs::write(dir.path().join("x.txt"), text).expect("written");
        let args = [
            ("window", Arg::Number(window.into())), ("words", Arg::Number(words.into())),
            ("characters", Arg::Bool(characters)), ("test", Arg::Number(share)), ("validation", Arg::Number(share / 2.0)),
        ];
        if let Ok(data) = open_text(dir.path(), "x.txt", &args) {
            prop_assert!(vocabulary(&data) <= f64::from(words));
            for split in [Split::Train, Split::Validation, Split::Test] {
                let (token, target) = windows_of(&data, split, 2);
                prop_assert!(token.iter().chain(&target).all(|token| f64::from(*token) < vocabulary(&data)));
            }
        }
    }
}
