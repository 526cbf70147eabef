//! The programs of `examples/papers`: all of them compile, the networks have the sizes that the papers name, and they train.
//!
//! Data are made up where the files are not at hand. The networks for large images, and the wide ones for small images, are trained at reduced
//! size.

mod gradients;
mod made_up;
mod pages;

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use made_up::{Copy, Data};

use crate::support;

/// What is published of a network, as it is printed: numbers end in K, M or G, and hold to their last digit.
struct Published {
    program: &'static str,
    parameters: &'static str,
    /// Trained numbers that the source leaves out: those of batch norm, for the most part.
    left_out: u64,
    /// Of one sample; empty where no source names them.
    multiply_adds: &'static str,
    #[expect(dead_code, reason = "it is for readers")]
    source: &'static str,
}

const fn published(
    program: &'static str,
    parameters: &'static str,
    left_out: u64,
    multiply_adds: &'static str,
    source: &'static str,
) -> Published {
    Published { program, parameters, left_out, multiply_adds, source }
}

const SIZES: [Published; 14] = [
    published("lenet5", "431K", 0, "2.293M", "Han et al. 2015, table 4: 431K weights, 4586K operations"),
    published(
        "resnet20",
        "270896",
        1_386,
        "40.8M",
        "GE table 1, with projections: weights without batch norm and biases",
    ),
    published("resnet20_padded", "268346", 1_376, "40.6M", "He et al. 2016: 0.27 million; counted without batch norm"),
    published("vgg16", "14.99M", 0, "313M", "GE table 1: 15.0 million; the usual counts of VGG-16-BN on CIFAR-10"),
    published("wrn16_8", "11.0M", 0, "", "Zagoruyko, Komodakis 2016, table 4"),
    published("wrn28_10", "36.5M", 0, "5.2G", "Zagoruyko, Komodakis 2016, table 4, and GE table 1"),
    published("densenet100", "0.8M", 0, "", "Huang et al. 2017, table 2"),
    published("resnet164", "1.7M", 0, "", "He et al. 2016b, table 4"),
    published("mobilenet", "0.22M", 0, "3.3M", "DS table 2: 2.2e5 and 3.3e6"),
    published("alexnet", "61.1M", 0, "0.71G", "WP table 3; multiply-adds as torchvision names them"),
    published("resnet50", "25.56M", 0, "4.09G", "WP fig. 8; multiply-adds as torchvision names them"),
    published("mobilenet_imagenet", "1.3M", 0, "49M", "Howard et al. 2017, table 6, and its public models"),
    published("deeplab", "58.0M", 0, "", "GE table 3"),
    published("ptb_lstm", "66.0M", 0, "", "Zaremba et al. 2014 and GE table 4: 66 million"),
];

/// Smaller forms of the programs that would take minutes for a step: what is set in them, and how many samples they train on.
const REDUCED: [(&str, &[&str]); 6] = [
    ("alexnet", &["width=8", "size=67"]),
    ("deeplab", &["width=8", "blocks=3", "size=33"]),
    ("mobilenet_imagenet", &["width=4", "size=64"]),
    ("resnet50", &["width=8", "size=64"]),
    ("wrn16_8", &["factor=1"]),
    ("wrn28_10", &["factor=1"]),
];

#[test]
fn every_program_compiles() {
    let copy = Copy::new(Data::Shaped);
    let programs = copy.programs();
    assert!(programs.len() >= 40, "only {} programs were found", programs.len());
    for path in &programs {
        done(path, &spnc("check", path, &[]));
    }
}

#[test]
fn networks_have_their_published_sizes() {
    let copy = Copy::new(Data::Shaped);
    for Published { program, parameters, left_out, multiply_adds, .. } in SIZES {
        let path = copy.program(program);
        let sets: &[&str] = if program == "ptb_lstm" { &["--set", "hidden=1500"] } else { &[] };
        let output = spnc("summary", &path, &[&["--json"], sets].concat());
        done(&path, &output);
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("an object");
        let [found, flops] = ["parameters", "flops"].map(|key| summary[key].as_u64().expect("a number"));
        assert!(rounds_to(found - left_out, parameters), "{program}: {found} parameters, published {parameters}");
        let agree = multiply_adds.is_empty() || rounds_to(flops / 2, multiply_adds);
        assert!(agree, "{program}: {} multiply-adds, published {multiply_adds}", flops / 2);
    }
}

/// Whether a number is the published one within its last digit: what is printed may be cut off or rounded.
fn rounds_to(found: u64, published: &str) -> bool {
    let digits = published.trim_end_matches(['K', 'M', 'G']);
    let unit = match &published[digits.len()..] {
        "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => 1.0,
    };
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let last_digit = unit * 0.1f64.powi(decimals as i32);
    let number: f64 = digits.parse().expect("a number is published");
    (found as f64 - number * unit).abs() < last_digit
}

#[test]
fn programs_train() {
    let (copy, kept) = (Copy::new(Data::Shaped), tempfile::tempdir().expect("a folder"));
    for path in copy.programs() {
        let name = name_of(&path);
        let out = kept.path().join(&name);
        let out = out.to_str().expect("a path in letters");
        let sets = REDUCED.iter().find(|(reduced, _)| *reduced == name).map_or(&[][..], |(_, sets)| sets);
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let limit = if name.starts_with("ptb") { "200" } else { "8" };
        let quick = ["--epochs", "1", "--limit", limit, "--threads", "1", "--out", out];
        let output = spnc("run", &path, &quick.into_iter().chain(sets).collect::<Vec<_>>());
        let missed = output.status.code() == Some(3) && text(&path).contains("budget ");
        assert!(missed || output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        println!("{name} trains");
    }
}

fn spnc(command: &str, path: &Path, arguments: &[&str]) -> Output {
    let mut process = Command::new(assert_cmd::cargo::cargo_bin!("spnc"));
    let _ = process.arg(command).arg(path).args(arguments);
    if let Some(data) = support::data_folder() {
        let _ = process.arg("--data").arg(data);
    }
    process.output().expect("the command can be run")
}

#[track_caller]
fn done(path: &Path, output: &Output) {
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
}

/// The name of a program.
fn name_of(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a program can be read")
}
