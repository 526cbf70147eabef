//! The programs of `examples/papers`: all of them compile, the networks have the sizes that the papers name, and they train.
//!
//! Programs that read files are left out, and named, where the files are not at hand. The networks for large images, and WRN-28-10, are
//! compiled only. Without optimisation the compiler is slow, and a few small networks must do for training. Images as small as those of CIFAR-10 are
//! made up, for unpacking the real ones takes longer than all the rest.

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

/// Trained parameters and multiply-adds of one sample: all parameters, those of batch norm and biases too. The papers that leave some
/// out are named.
const SIZES: [(&str, u64, u64); 14] = [
    ("lenet5", 431_080, 2_293_000),
    // 270,896 weights, 1,376 numbers of batch norm, 10 biases; 40.8 million multiply-adds.
    ("resnet20", 270_896 + 1_376 + 10, 40_813_184),
    // 268,346 with batch norm left out.
    ("resnet20_padded", 268_346 + 1_376, 40_551_040),
    ("vgg16", 14_990_922, 313_463_808),
    ("wrn16_8", 11_007_540, 1_548_191_744),
    ("wrn28_10", 36_479_194, 5_243_328_768),
    ("densenet100", 769_162, 287_929_692),
    ("resnet164", 1_703_258, 247_646_720),
    // 2.2e5 and 3.3e6.
    ("mobilenet", 215_642, 3_331_072),
    ("alexnet", 61_100_840, 0),
    // 23.0 million (GE): the stages without batch norm, and without the last layer.
    ("resnet50", 25_557_032, 0),
    ("mobilenet_imagenet", 1_331_592, 49_160_192),
    ("deeplab", 58_040_661, 0),
    ("ptb_lstm", 66_022_000, 0),
];

/// What would take minutes to train for a step, or to compile.
const LARGE: [&str; 6] = ["alexnet", "deeplab", "mobilenet_imagenet", "resnet50", "wrn28_10", "wrn16_8"];

/// What an unoptimised compiler trains in seconds.
const SMALL: [&str; 2] = ["competing_branches", "lenet5"];

#[test]
fn every_program_compiles() {
    let copy = Copy::new();
    let programs: Vec<PathBuf> = copy.programs().into_iter().filter(|path| has_data(path)).collect();
    for path in &programs {
        done(path, &spnc("check", path, &[]));
    }
    println!("{} programs compile", programs.len());
}

#[test]
fn networks_have_their_published_sizes() {
    let copy = Copy::new();
    for (name, parameters, multiply_adds) in SIZES {
        let path = copy.0.path().join(format!("{name}.spnet"));
        if !has_data(&path) {
            continue;
        }
        let sets: &[&str] = if name == "ptb_lstm" { &["--set", "hidden=1500"] } else { &[] };
        let output = spnc("summary", &path, &[&["--json"], sets].concat());
        done(&path, &output);
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("an object");
        assert_eq!(summary["parameters"], parameters, "{name}");
        assert!(multiply_adds == 0 || summary["flops"] == 2 * multiply_adds, "{name}: {}", summary["flops"]);
    }
}

#[test]
fn programs_train() {
    let (copy, kept) = (Copy::new(), tempfile::tempdir().expect("a folder"));
    for path in copy.programs().into_iter().filter(|path| has_data(path)) {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let left_out = LARGE.contains(&name.as_str()) || cfg!(debug_assertions) && !SMALL.contains(&name.as_str());
        if left_out {
            continue;
        }
        let out = kept.path().join(&name);
        let out = out.to_str().expect("a path in letters");
        let limit = if name.starts_with("ptb") { "200" } else { "8" };
        let output = spnc("run", &path, &["--epochs", "1", "--limit", limit, "--threads", "1", "--out", out]);
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

/// Whether a program can be compiled here: what it reads is built in, or the folder of data sets is there.
fn has_data(path: &Path) -> bool {
    let text = text(path);
    let built_in = text.contains("digits()") || text.contains("synthetic(");
    let here = built_in || support::data_folder().is_some();
    if !here {
        println!("left out, its data are not here: {}", path.display());
    }
    here
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a program can be read")
}

/// The programs and their modules in a folder of their own, with images that are made up in place of CIFAR-10's.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        let to = tempfile::tempdir().expect("a folder");
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/papers");
        std::fs::create_dir(to.path().join("networks")).expect("a folder");
        for path in sources(&from).into_iter().chain(sources(&from.join("networks"))) {
            let made_up = "synthetic(image: [3, 32, 32], classes: 10, samples: 40)";
            let name = path.strip_prefix(&from).expect("a file of the folder");
            let text = text(&path).replace("cifar10(\"cifar10\")", made_up);
            std::fs::write(to.path().join(name), text).expect("a copy can be written");
        }
        Self(to)
    }

    fn programs(&self) -> Vec<PathBuf> {
        sources(self.0.path())
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("there are programs").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "spnet")).collect();
    paths.sort();
    paths
}
