//! Runs that are interrupted, killed or damaged, and go on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// The command `spnc` in a folder.
fn spnc(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spnc"));
    let _ = command.args(args).current_dir(folder).env_remove("SPNET_DATA");
    let _ = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit status, standard output, standard error.
fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = spnc(folder, args).output().expect("spnc starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("spnc prints UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn quickstart() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart.spnet");
    path.canonicalize().expect("an example").to_str().expect("a plain path").to_owned()
}

/// Starts a run that is kept at every step, in the folder `run`.
fn start(folder: &Path, more: &[&str]) -> Child {
    let args = ["run", &quickstart(), "--limit", "96", "--epochs", "40", "--out", "run"];
    spnc(folder, &[&args, more].concat()).spawn().expect("spnc starts")
}

/// What must be the same in two runs: weights bit for bit, history and report but for the time they took.
fn result(run: &Path) -> (Vec<u8>, Vec<Value>) {
    let timeless = |text: &str| {
        let mut value: Value = serde_json::from_str(text).expect("JSON");
        let _ = value.as_object_mut().and_then(|object| object.remove("seconds"));
        value
    };
    let read = |name: &str| fs::read_to_string(run.join(name)).expect("a file of a run");
    let history = read("history.jsonl").lines().map(timeless).collect::<Vec<_>>();
    (
        fs::read(run.join("model.safetensors")).expect("weights"),
        [history, vec![timeless(&read("report.json"))]].concat(),
    )
}

/// Two runs are the same.
fn check_same(one: &(Vec<u8>, Vec<Value>), other: &(Vec<u8>, Vec<Value>)) {
    assert_eq!(one.1.len(), other.1.len(), "epochs and report");
    for (one, other) in one.1.iter().zip(&other.1) {
        assert_eq!(one, other);
    }
    assert!(one.0 == other.0, "weights");
}

/// The run that nothing happens to.
fn undisturbed() -> (TempDir, (Vec<u8>, Vec<Value>)) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = start(folder.path(), &[]).wait_with_output().expect("it ends");
    assert!(output.status.success());
    let result = result(&folder.path().join("run"));
    (folder, result)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("there").map(|entry| entry.expect("readable").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

/// A folder `run` that holds a run that was interrupted somewhere.
fn interrupted() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let mut child = start(folder.path(), &["--checkpoint-every", "1", "--quiet"]);
    while !run.join("checkpoint.spnc").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("it runs");
    let _ = child.wait().expect("it ends");
    (folder, run)
}

#[test]
fn killed_at_any_moment_a_run_goes_on() {
    let (_whole, expected) = undisturbed();
    for first in [0, 40, 150] {
        let (folder, run_folder) = interrupted();
        // Killed again and again, at other moments each time.
        for wait in (0..6).map(|round| 20 + first + 70 * round) {
            let mut child =
                spnc(folder.path(), &["resume", "run", "--checkpoint-every", "1", "-q"]).spawn().expect("starts");
            std::thread::sleep(Duration::from_millis(wait));
            child.kill().expect("it was started");
            let _ = child.wait().expect("it ends");
        }
        let (code, _, text) = run(folder.path(), &["resume", "run", "-q"]);
        let over = code == Some(1) && text.contains("one that is over");
        assert!(code == Some(0) || over, "{text}");
        check_same(&result(&run_folder), &expected);
        assert_eq!(names(&run_folder), ["history.jsonl", "model.safetensors", "quickstart.spnet", "report.json"]);
        assert_eq!(names(folder.path()), ["run"], "nothing is left behind");
    }
}

#[cfg(unix)]
#[test]
fn interrupted_by_the_keyboard_a_run_is_kept_and_goes_on() {
    let (_whole, expected) = undisturbed();
    for evaluator in ["jit", "interpreter"] {
        let folder = tempfile::tempdir().expect("a folder");
        let run_folder = folder.path().join("run");
        let args = [
            "run",
            &quickstart(),
            "--limit",
            "96",
            "--epochs",
            "40",
            "--out",
            "run",
            "--json",
            "--evaluator",
            evaluator,
        ];
        let mut child = spnc(folder.path(), &args).spawn().expect("spnc starts");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped")));
        let _ = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("\"epoch\":3")));
        let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("there is a kill");
        assert_eq!(lines.filter(|line| line.as_ref().is_ok_and(|line| line.contains("\"done\""))).count(), 1);
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{text}");
        assert!(text.contains("spnc resume run"), "{text}");
        assert!(run_folder.join("report.json").exists() && run_folder.join("checkpoint.spnc").exists());
        let (code, events, text) = run(folder.path(), &["resume", "run", "--json", "--threads", "1"]);
        assert_eq!(code, Some(0), "{text}");
        assert!(events.lines().nth(1).is_some_and(|line| line.contains("resumed")), "{events}");
        let result = result(&run_folder);
        match evaluator {
            "jit" => check_same(&result, &expected),
            _ => assert_eq!(result.1.len(), expected.1.len()),
        }
    }
}

#[test]
fn everything_that_lasts_is_kept() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/everything.spnet");
    let program = path.to_str().expect("a plain path");
    let folder = tempfile::tempdir().expect("a folder");
    let (code, _, text) = run(folder.path(), &["run", program, "-q", "--out", "whole"]);
    assert_eq!(code, Some(0), "{text}");
    let (expected, run_folder) = (result(&folder.path().join("whole")), folder.path().join("run"));
    let mut child = spnc(folder.path(), &["run", program, "-q", "--out", "run", "--checkpoint-every", "1"]);
    let mut child = child.spawn().expect("starts");
    while !run_folder.join("checkpoint.spnc").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // Every time it gets a little further.
    for wait in [0, 300, 500, 700, 900] {
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().expect("it was started");
        let _ = child.wait().expect("it ends");
        child = spnc(folder.path(), &["resume", "run", "-q", "--checkpoint-every", "1"]).spawn().expect("starts");
    }
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || text.contains("one that is over"), "{text}");
    check_same(&result(&run_folder), &expected);
}

/// Kills a run of a program when a checkpoint has a form like this, and compares what it goes on to with a run that nobody has killed.
fn check_form_is_kept(program: &str, form: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(program);
    let args = ["run", path.to_str().expect("a plain path"), "-q", "--limit", "640", "--epochs", "24", "--out"];
    let folder = tempfile::tempdir().expect("a folder");
    let (code, _, text) = run(folder.path(), &[&args[..], &["whole"]].concat());
    assert_eq!(code, Some(0), "{text}");
    let run_folder = folder.path().join("run");
    let mut child = spnc(folder.path(), &[&args[..], &["run", "--checkpoint-every", "1", "--threads", "1"]].concat())
        .spawn()
        .expect("spnc starts");
    let has_form = || {
        let checkpoint = fs::read(run_folder.join("checkpoint.spnc")).unwrap_or_default();
        String::from_utf8_lossy(&checkpoint).contains(form)
    };
    while !has_form() {
        assert!(child.try_wait().expect("it can be asked").is_none(), "it ended before a step had the form");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("it was started");
    let _ = child.wait().expect("it ends");
    let (code, _, text) = run(folder.path(), &["resume", "run", "-q"]);
    assert_eq!(code, Some(0), "{text}");
    check_same(&result(&run_folder), &result(&folder.path().join("whole")));
}

/// The form of its steps is kept, too: a narrowed step and a whole one differ in the last bits.
#[test]
fn a_run_whose_steps_are_narrowed_goes_on_in_its_form() {
    check_form_is_kept("draws.spnet", "\"narrowed\":[");
}

/// Elements that are stored in place of weights are in the checkpoint as the weights that they are.
#[test]
fn a_run_on_compressed_weights_goes_on_in_its_form() {
    check_form_is_kept("pruned.spnet", "\"compressed\":[");
}

/// So are the elements of a pattern that steps change, zeros among them: sums run over all of them.
#[test]
fn a_run_whose_patterns_move_goes_on_in_its_form() {
    check_form_is_kept("competing.spnet", "\"elements\":[");
}

#[test]
fn a_run_that_is_over_or_was_never_kept_cannot_go_on() {
    let (folder, _) = undisturbed();
    for name in ["run", "nowhere", "."] {
        let (code, _, text) = run(folder.path(), &["resume", name]);
        assert_eq!(code, Some(1));
        assert!(text.contains("E0911") && text.contains("help: "), "{text}");
    }
}

#[test]
fn a_run_of_a_changed_program_is_refused() {
    let (folder, run_folder) = interrupted();
    let path = run_folder.join("quickstart.spnet");
    let text = fs::read_to_string(&path).expect("the copy");
    fs::write(&path, text.replace("momentum: 0.9", "momentum: 0.8")).expect("written");
    let (code, _, message) = run(folder.path(), &["resume", "run"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("E0910") && message.contains("text of the program"), "{message}");
    assert!(message.contains("put it back as it was"), "{message}");
    fs::write(&path, text).expect("written");
    let path = run_folder.join("run.json");
    let origin = fs::read_to_string(&path).expect("there");
    fs::write(&path, origin.replace("\"seed\": 1", "\"seed\": 2")).expect("written");
    let (code, _, message) = run(folder.path(), &["resume", "run"]);
    assert!(code == Some(1) && message.contains("E0910") && message.contains("seed is 2, found 1"), "{message}");
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let (folder, run_folder) = interrupted();
    let path = run_folder.join("checkpoint.spnc");
    let whole = fs::read(&path).expect("there");
    for at in [0, 20, 100, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        for bytes in [&bytes[..], &whole[..at]] {
            fs::write(&path, bytes).expect("written");
            let (code, _, message) = run(folder.path(), &["resume", "run"]);
            assert!(code == Some(1) && message.contains("E0902") && message.contains("help: "), "{message}");
        }
    }
    fs::write(&path, whole).expect("written");
    assert_eq!(run(folder.path(), &["resume", "run", "-q"]).0, Some(0));
}
