//! `spnc bench`: which figures it gives, never how large they are.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A network with one hidden layer.
const PROGRAM: &str = "\
use std.layers.{Dense, flatten}

data digits = digits()

layer Net(image: [B, H, W]) -> [B, 10] {
    fc1 = Dense[Out = 256]
    fc2 = Dense[Out = 10]
    image |> flatten |> fc1 |> relu |> fc2
}

model net = Net

minimize cross_entropy(net(digits.image / 16), digits.label)

report accuracy(net(digits.image / 16), digits.label)

train { epochs = 2, batch = 32, optimizer = sgd(lr: 0.1, momentum: 0.9), seed = 1 }
";

/// The same without an objective.
fn untrained() -> String {
    let is_kept = |line: &&str| !line.starts_with("minimize") && !line.starts_with("train");
    PROGRAM.lines().filter(is_kept).collect::<Vec<_>>().join("\n") + "\n"
}

fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("program.spnet"), text).expect("written");
    folder
}

fn spnc(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spnc"));
    command.args(args).current_dir(folder).env_remove("SPNET_DATA").output().expect("spnc starts")
}

/// The last line of `spnc bench … --json`, measured for a short time only.
fn bench(folder: &Path, args: &[&str]) -> Value {
    let output = spnc(folder, &[&["bench", "--json", "--each", "0.001"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    serde_json::from_str(text.lines().last().expect("a line")).expect("an object")
}

fn number(of: &Value, pointer: &str) -> f64 {
    let found = of.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number {pointer} in {of}"));
    assert!(found.is_finite() && found > 0.0, "{pointer}: {found}");
    found
}

fn layer<'a>(bench: &'a Value, name: &str) -> &'a Value {
    let layers = bench["layers"].as_array().expect("layers");
    layers.iter().find(|layer| layer["layer"] == name).unwrap_or_else(|| panic!("no {name} in {layers:?}"))
}

#[test]
fn a_program_is_timed_as_a_whole_and_by_layers() {
    let folder = folder(PROGRAM);
    let bench = bench(folder.path(), &["program.spnet", "--batch", "16", "--threads", "1"]);
    for pointer in ["/compile_ms", "/peak_gflops", "/inference/batch_1/ms", "/inference/batch_128/ms"] {
        let _ = number(&bench, pointer);
    }
    assert!(!cfg!(target_os = "linux") || number(&bench, "/peak_mb") > 1.0);
    assert_eq!((&bench["threads"], &bench["train"]["batch"]), (&1.into(), &16.into()));
    let samples = number(&bench, "/train/samples_per_s") * number(&bench, "/train/ms_per_step");
    assert!((samples - 16_000.0).abs() < 1.0, "{samples}");
    let ratio = number(&bench, "/train/whole/ms_per_step") / number(&bench, "/train/ms_per_step");
    assert!((ratio - number(&bench, "/train/speedup")).abs() < 1e-9);
    for name in ["net.fc1", "net.fc2"] {
        let layer = layer(&bench, name);
        assert!(number(layer, "/kernels/gemm") <= number(layer, "/ms"), "{layer}");
        assert_eq!((&layer["density"], &layer["break_even"]), (&1.0.into(), &0.25.into()), "{layer}");
        let share = number(layer, "/gflops") / number(&bench, "/peak_gflops");
        assert!((share - number(layer, "/share_of_peak")).abs() < 1e-9);
    }
}

#[test]
fn a_run_is_timed_with_its_zeros() {
    let sparse = "group neurons = net.fc2.w by In\nsparsify neurons with GroupThreshold(start: 3)\n\nminimize";
    let text = PROGRAM.replace("minimize", sparse).replace("use", "use std.sparse.GroupThreshold\nuse");
    let folder = folder(&text);
    let run = ["run", "program.spnet", "--limit", "96", "--out", "run"];
    assert!(spnc(folder.path(), &run).status.success());
    let before = std::fs::read_dir(folder.path().join("run")).expect("a run").count();
    let found = bench(folder.path(), &["run"]);
    assert_eq!(layer(&found, "net.fc2")["density"], 0.0);
    // No neuron of the hidden layer matters, so steps have room for few of them.
    assert_ne!(found["train"]["whole"]["ms_per_step"], found["train"]["ms_per_step"]);
    assert!(number(&found, "/train/speedup") > 0.0);
    assert_eq!(std::fs::read_dir(folder.path().join("run")).expect("a run").count(), before);
}

/// What steps leave out is said at the end of a run, with what that gains.
#[test]
fn a_run_says_what_its_zeros_save() {
    let text = PROGRAM.replace("minimize", "sparsify net.fc1.w with MagnitudeMask as kept\n\nminimize");
    let text = text.replace("256", "1024").replace("use std.layers", "use std.sparse.MagnitudeMask\nuse std.layers");
    let text =
        text.replace("seed = 1 }", "seed = 1, fire keep(0.05), phase { epochs = 10 } }").replace("epochs = 2, ", "");
    let folder = folder(&text);
    let output = spnc(folder.path(), &["run", "program.spnet", "--out", "run"]);
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("compressed: ") && said.contains("times as long"), "{said}");
    let report = std::fs::read_to_string(folder.path().join("run/report.json")).expect("a report");
    let report = serde_json::from_str(&report).expect("JSON");
    for pointer in ["/seconds/step/now", "/seconds/step/whole", "/choices/0/kept"] {
        let _ = number(&report, pointer);
    }
}

#[test]
fn a_killed_run_is_timed_from_what_was_kept_of_it() {
    use std::io::{BufRead, BufReader};

    let folder = folder(PROGRAM);
    let args = ["run", "program.spnet", "--epochs", "100000", "--limit", "96", "--json", "--out", "run"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_spnc"));
    let command = command.args(args).args(["--checkpoint-every", "epoch"]).current_dir(folder.path());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("spnc starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    // The checkpoint of an epoch is kept once its line has been printed.
    assert_eq!(lines.by_ref().filter(|line| line.contains("\"event\":\"epoch\"")).take(3).count(), 3);
    child.kill().expect("it runs");
    let _ = child.wait().expect("it ends");
    let _ = number(&bench(folder.path(), &["run"]), "/train/ms_per_step");
}

#[test]
fn a_program_without_training_has_inference_only() {
    let folder = folder(&untrained());
    let bench = bench(folder.path(), &["program.spnet"]);
    assert_eq!((&bench["train"], &bench["layers"]), (&Value::Null, &Value::Array(vec![])));
    let _ = number(&bench, "/inference/batch_1/ms");
}

#[test]
fn people_get_a_table() {
    let folder = folder(PROGRAM);
    let output = spnc(folder.path(), &["bench", "program.spnet", "--each", "0.001"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for part in ["compiled   in", "train      ", "inference  ", "net.fc1", "break-even", "together"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(output.stderr.is_empty());
}

#[test]
fn what_cannot_be_timed_is_told() {
    let folder = folder(PROGRAM);
    let refused = |args: &[&str]| {
        let output = spnc(folder.path(), &[&["bench"], args].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    assert!(refused(&["missing"]).contains("there is no `missing`: expected a program or the folder of a run"));
    std::fs::create_dir(folder.path().join("empty")).expect("a folder");
    assert!(refused(&["empty"]).contains("report.json"));
    assert!(refused(&["empty", "--set", "a=1"]).contains("`--set` and `--init` are for programs"));
    std::fs::write(folder.path().join("nothing.spnet"), "const half = 0.5\n").expect("written");
    assert!(refused(&["nothing.spnet"]).contains("nothing to time"));
    assert_eq!(spnc(folder.path(), &["bench", "program.spnet", "--each", "0"]).status.code(), Some(2));
}
