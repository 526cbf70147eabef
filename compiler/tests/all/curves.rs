//! The loss curve of each example is the same, but for rounding, with wide vectors and without, in the forms that fit its zeros and as a whole.

use crate::support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The objective after each epoch of a short run.
fn curve(program: &Path, data: Option<&Path>, how: &[&str]) -> Vec<f64> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spnc = Command::new(env!("CARGO_BIN_EXE_spnc"));
    let _ = spnc.arg("run").arg(program).args(["-q", "--limit", "384", "--epochs", "2", "--out", "run"]).args(how);
    let _ = data.map(|data| spnc.arg("--data").arg(data));
    let output = spnc.current_dir(folder.path()).output().expect("spnc starts");
    // So short a run may miss its budget, which is told by a status of 3.
    let is_done = matches!(output.status.code(), Some(0 | 3));
    assert!(is_done, "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
    let history = std::fs::read_to_string(folder.path().join("run/history.jsonl")).expect("a history");
    let objective = |line: &str| serde_json::from_str::<Value>(line).ok()?["objective"].as_f64();
    history.lines().map(|line| objective(line).expect("an objective")).collect()
}

/// The programs of a folder.
fn programs(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut programs: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "spnet")).collect();
    programs.sort();
    programs
}

#[test]
fn loss_curves_do_not_depend_on_kernels_and_forms() {
    let data = support::data_folder();
    let reads_files = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a text");
        ["idx(", "csv("].iter().any(|reader| text.contains(reader))
    };
    let has_data = |path: &PathBuf| data.is_some() || !reads_files(path);
    for program in programs("../examples").iter().chain(&programs("tests/programs")).filter(|path| has_data(path)) {
        let expected = curve(program, data.as_deref(), &[]);
        for how in [["--kernels", "portable"], ["--forms", "whole"]] {
            let found = curve(program, data.as_deref(), &how);
            assert_eq!(found.len(), expected.len(), "{program:?}");
            for (epoch, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let change = (found - expected).abs() / expected.abs().max(1e-3);
                assert!(change < 5e-3, "{program:?}, {how:?}, epoch {epoch}: {found} and {expected}");
            }
        }
    }
}
