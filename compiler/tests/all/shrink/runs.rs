//! The command: a run becomes a smaller run.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spnc_runtime::store::{self, Folder};

use super::program;

const WHOLE: &str = "use std.layers.{Dense, Dropout, flatten}
use std.sparse.SignedCompetition

const width = 12

data digits = digits()

/// A scale for each feature, from a competition.
layer Scaled[F](x: [B, F]) -> [B, F] {
    param alpha: [F] = 1
    compete = SignedCompetition
    a: [F] = reshape(compete(reshape(alpha, [1, F])), [F])
    x * a
}

layer Net(image: [B, H, W]) -> [B, 10] {
    fc1 = Dense[Out = width]
    scaled = Scaled
    drop = Dropout(0.2)
    fc2 = Dense[Out = 10]
    image |> flatten |> fc1 |> relu |> scaled |> drop |> fc2
}

model net = Net

minimize cross_entropy(net(digits.image / 16), digits.label) + 1e-3 * sum(abs(net.fc1.w))

report accuracy(net(digits.image / 16), digits.label)
report features = sum(float(net.scaled.a != 0))

train {
    batch     = 32
    optimizer = sgd(lr: 0.1, momentum: 0.9)
    seed      = 1
    phase first { epochs = 2 }
    phase second { epochs = 1, lr = 0.01 }
}
";

fn spnc(folder: &Path, args: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spnc"));
    let output = command.args(args).current_dir(folder).env_remove("SPNET_DATA").output().expect("spnc starts");
    let text = |bytes| String::from_utf8(bytes).expect("spnc prints UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn succeed(folder: &Path, args: &[&str]) -> String {
    let (is_done, stdout, stderr) = spnc(folder, args);
    assert!(is_done, "{args:?}: {stderr}");
    stdout
}

/// A folder with a run of [`WHOLE`] in which half of the features have lost.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("whole.spnet"), WHOLE).expect("written");
    let _ = succeed(folder.path(), &["run", "whole.spnet", "--limit", "200", "--out", "dense", "-q"]);
    let mut run = store::read(&folder.path().join("dense")).expect("a run");
    for part in [&mut run.model.free, &mut run.model.effective] {
        let alpha = part.get_mut("net.scaled.alpha").expect("it is there");
        alpha.iter_mut().skip(1).step_by(2).for_each(|x| *x = 0.0);
    }
    let sources = [("whole.spnet".to_owned(), WHOLE.to_owned())];
    let claimed = Folder::claim_at(&folder.path().join("run")).expect("a folder");
    let _ = claimed.save(&run, &sources).expect("saved");
    folder
}

fn reports(folder: &Path, run: &str) -> Value {
    let text = succeed(folder, &["eval", run, "--json"]);
    serde_json::from_str::<Value>(&text).expect("JSON")["reports"].clone()
}

#[test]
fn a_run_becomes_a_smaller_run() {
    let folder = trained();
    let path = folder.path();
    let text = succeed(path, &["shrink", "run", "--json"]);
    let certificate: Value = serde_json::from_str(&text).expect("JSON");
    assert!(certificate["largest_difference"].as_f64().expect("a number") < 1e-4, "{certificate}");
    assert_eq!(certificate["left_out"], serde_json::json!(["net.drop"]));
    // fc1: 64 × 6 + 6, the scale, fc2: 6 × 10 + 10.
    assert_eq!(certificate["after"]["parameters"], 64 * 6 + 6 + 6 + 60 + 10);
    assert_eq!(certificate["before"]["latency_ms"].as_object().expect("by size").len(), 2);
    let program = std::fs::read_to_string(path.join("run-small/whole.spnet")).expect("written");
    for line in
        ["    param a: [F] = 1\n", "fc1 = Dense[Out = 6]", "optimizer = sgd(lr: 0.1, momentum: 0.9)", "epochs    = 1\n"]
    {
        assert!(program.contains(line), "{line}: {program}");
    }
    assert!(!program.contains("alpha") && !program.contains("abs("), "{program}");
    let accuracy = "accuracy(net(digits.image / 16), digits.label)";
    let (before, after) = (reports(path, "run"), reports(path, "run-small"));
    assert_eq!(before[accuracy], after[accuracy]);
    // It trains on, and so does what came of that.
    let _ = succeed(path, &["run", "run-small/whole.spnet", "--limit", "64", "--out", "on", "-q"]);
    let _ = succeed(path, &["eval", "on"]);
}

/// Branches without a share go with their layers. Where a layer is only that, the size of its shares was known from a parameter that goes.
#[test]
fn branches_that_lost_go() {
    let layers = "    first = Dense[Out = 6]\n    gain = Gain\n    branches = Branches\n    fc = Dense[Out = 10]\n";
    let program = program(layers, "image |> flatten |> first |> gain |> branches |> fc");
    let branches = "layer Gain(x: [B, F]) -> [B, F] {
    param s: [N: 3] = 4 * positions(3)
    compete = Competition
    share: [N] = reshape(compete(reshape(s, [1, 3])), [3])
    sum(share, N) * x
}

layer Branches(x: [B, I]) -> [B, 6] {
    param s: [N: 3] = 4 * positions(3)
    compete = Competition
    share: [N] = reshape(compete(reshape(s, [1, 3])), [3])
    a = Dense[Out = 6]
    b = Dense[Out = 6]
    c = Dense[Out = 6]
    element(share, N, 0) * a(x) + element(share, N, 1) * b(x) + element(share, N, 2) * c(x)
}

layer Net";
    let text = format!("use std.sparse.Competition\n{}", program.replace("layer Net", branches));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    std::fs::write(path.join("branches.spnet"), text).expect("written");
    let _ = succeed(path, &["run", "branches.spnet", "--epochs", "0", "--out", "run", "-q"]);
    let text = succeed(path, &["shrink", "run", "--json"]);
    let certificate: Value = serde_json::from_str(&text).expect("JSON");
    assert!(certificate["largest_difference"].as_f64().expect("a number") < 1e-4, "{certificate}");
    let left = certificate["left"].as_array().expect("by tensor");
    let gone =
        left.iter().filter(|left| left["after"] == serde_json::json!([0, 0])).map(|left| left["tensor"].as_str());
    assert_eq!(gone.flatten().collect::<Vec<_>>(), ["net.branches.a.w", "net.branches.b.w"]);
    let program = std::fs::read_to_string(path.join("run-small/branches.spnet")).expect("written");
    assert!(program.contains("    param share: [N: 3] = 1\n"), "{program}");
    assert!(program.contains("    param share: [3] = 0\n"), "{program}");
    assert!(program.contains("    c = Dense[Out = 6]\n") && !program.contains("    a = Dense"), "{program}");
}

/// The number in its start goes with no other size.
#[test]
fn a_layer_that_fits_one_size_keeps_it() {
    let gate = "layer Gate(x: [B, F]) -> [B, F] {
    param open: [F] = float(positions(6) > 0)
    open * x
}

layer Net";
    let layers = "    first = Dense[Out = 6]\n    gate = Gate\n    fc = Dense[Out = 10]\n";
    let text = program(layers, "image |> flatten |> first |> gate |> fc").replace("layer Net", gate);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    std::fs::write(path.join("gate.spnet"), text).expect("written");
    let _ = succeed(path, &["run", "gate.spnet", "--epochs", "0", "--out", "run", "-q"]);
    let (is_done, _, stderr) = spnc(path, &["shrink", "run"]);
    assert!(!is_done && stderr.contains("1 of 6 positions could go, but its layer fits no other size"), "{stderr}");
}

#[test]
fn what_cannot_be_shrunk_is_said() {
    let folder = trained();
    let path = folder.path();
    let refused = |args: &[&str]| {
        let (is_done, _, stderr) = spnc(path, args);
        assert!(!is_done, "{args:?}");
        stderr
    };
    assert!(refused(&["shrink", "nowhere"]).contains("E0901"));
    assert!(refused(&["shrink", "dense"]).contains("nothing in this network is zero"));
    assert!(!path.join("dense-small").exists());
    let _ = succeed(path, &["shrink", "run", "--out", "small", "--samples", "8"]);
    assert!(refused(&["shrink", "run", "--out", "small"]).contains("a new or empty folder"));
    std::fs::write(path.join("run/whole.spnet"), WHOLE.replace("width = 12", "width = 13")).expect("written");
    assert!(refused(&["shrink", "run"]).contains("E0910"));
}
