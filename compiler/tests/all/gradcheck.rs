//! `spnc gradcheck` passes on every example.
//!
//! Examples that read files are left out, and named, where the files are not at hand.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

use crate::support;

#[test]
fn every_derivative_of_every_example_agrees() {
    let data = support::data_folder();
    let mut checked = 0;
    for path in examples() {
        let text = std::fs::read_to_string(&path).expect("an example can be read");
        let built_in = text.contains("digits()") || text.contains("synthetic(");
        match (&data, built_in) {
            (None, false) => println!("left out, its data are not here: {}", path.display()),
            (None | Some(_), _) => {
                check(&path, data.as_deref());
                checked += 1;
            }
        }
    }
    assert!(checked >= 3, "only {checked} examples were checked");
}

#[track_caller]
fn check(path: &Path, data: Option<&Path>) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("spnc"));
    let _ = command.arg("gradcheck").arg(path);
    if let Some(folder) = data {
        let _ = command
            .arg("--data")
            .arg(folder)
            .arg("--data")
            .arg(folder.join("prostate"))
            .arg("--data")
            .arg(folder.join("diabetes"));
    }
    let output = command.output().expect("the command can be run");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}:\n{printed}\n{}", path.display(), String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("every derivative agrees"), "{}:\n{printed}", path.display());
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let entries = std::fs::read_dir(folder).expect("there are examples").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "spnet")).collect();
    paths.sort();
    paths
}

#[test]
fn streams_of_carried_states_are_the_programs() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/everything.spnet");
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("spnc"));
    let output = command.arg("gradcheck").arg(program).args(["--batch", "2"]).output().expect("the command can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("leave `--batch` out"), "{said}");
}
