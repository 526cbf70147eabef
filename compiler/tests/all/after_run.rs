//! What is done with a run that is over: `spnc eval`, `spnc predict`, `--init`.

use std::path::Path;
use std::process::{Command, Output};

use indexmap::IndexMap;
use ndarray::{ArrayD, Axis, Slice};
use serde_json::Value;
use spnc_runtime::data::read_tensors;
use spnc_runtime::store::{self, write_npz};
use tempfile::TempDir;

/// A network whose batches have something in common in training only.
const PROGRAM: &str = "\
use std.layers.{Dense}

data points = csv(\"points.csv\", target: 7, classes: true, header: false, test: 30, hold_out: 20)

layer Net(x: [B, 6]) -> [B, 3] {
    fc1 = Dense[Out = 8]
    fc2 = Dense[Out = 3]
    x |> fc1 |> relu |> fc2
}

model net = Net

minimize cross_entropy(net(points.x), points.y)

report accuracy(net(points.x), points.y)
report loss = cross_entropy(net(points.x), points.y)

train {
    epochs    = 3
    batch     = 16
    optimizer = sgd(lr: 0.1, momentum: 0.9)
    seed      = 3
}
";

fn spnc(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spnc"));
    command.args(args).current_dir(folder).env_remove("SPNET_DATA").output().expect("spnc starts")
}

fn succeed(folder: &Path, args: &[&str]) -> String {
    let output = spnc(folder, args);
    let text = |bytes| String::from_utf8(bytes).expect("spnc prints UTF-8");
    assert!(output.status.success(), "{args:?}: {}", text(output.stderr));
    text(output.stdout)
}

fn fail(folder: &Path, args: &[&str]) -> String {
    let output = spnc(folder, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).expect("spnc prints UTF-8")
}

/// `n` samples and their labels, as different as can be.
fn points(n: usize) -> IndexMap<String, ArrayD<f64>> {
    let x = |i: usize| ((i * 37 + 11) % 101) as f64 / 50.0 - 1.0;
    let x = ArrayD::from_shape_vec(vec![n, 6], (0..6 * n).map(x).collect()).expect("as many");
    let y = x.axis_iter(Axis(0)).map(|row| if row[[0]] > 0.3 { 2.0 } else { f64::from(row[[1]] > 0.0) });
    let y = ArrayD::from_shape_vec(vec![n], y.collect()).expect("as many");
    IndexMap::from([("x".to_owned(), x), ("y".to_owned(), y)])
}

/// Writes the table of `n` samples.
fn write_table(folder: &Path, n: usize) {
    let points = points(n);
    let line = |(x, y): (ndarray::ArrayViewD<'_, f64>, &f64)| {
        x.iter().chain([y]).map(f64::to_string).collect::<Vec<_>>().join(",") + "\n"
    };
    let table: String = points["x"].axis_iter(Axis(0)).zip(&points["y"]).map(line).collect();
    std::fs::write(folder.join("points.csv"), table).expect("written");
}

/// A folder with data, a program and a run of it.
fn trained(args: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write_table(folder.path(), 150);
    std::fs::write(folder.path().join("points.spnet"), PROGRAM).expect("written");
    let _ = succeed(folder.path(), &[&["run", "points.spnet", "--out", "run", "-q"], args].concat());
    folder
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("an object")
}

#[test]
fn eval_reports_on_every_split_what_the_run_reported() {
    for evaluator in ["jit", "interpreter"] {
        let folder = trained(&["--evaluator", evaluator]);
        let run = json(&std::fs::read_to_string(folder.path().join("run/report.json")).expect("a report"));
        let reported = run["metrics"].as_object().expect("by name").clone();
        let reports = json(&succeed(folder.path(), &["eval", "run", "--json"]))["reports"].clone();
        for (name, value) in &reported {
            assert_eq!(reports[name], *value, "{name}, {evaluator}");
        }
        let names: Vec<&String> = reports.as_object().expect("by name").keys().collect();
        assert_eq!(names.iter().filter(|name| name.ends_with("loss")).count(), 3, "{names:?}");
        let text = succeed(folder.path(), &["eval", "run"]);
        assert!(text.contains("report     train loss = ") && text.contains("validation 20 samples"), "{text}");
    }
}

/// The program with weights that are cut off at a threshold which rises with the run, and a report of what is left.
fn rising() -> String {
    let cut =
        "layer Cut(w: [...S]) -> [...S] { where(abs(w) > 0.02 * epoch * progress + 0.0002 * float(step), w, 0) }\n\n";
    let own = "sparsify net.fc1.w with Cut\n\nreport left = sum(float(net.fc1.w != 0))\n\ntrain {";
    PROGRAM.replace("layer Net", &format!("{cut}layer Net")).replace("train {", own)
}

#[test]
fn what_the_network_sees_is_saved_as_it_is_at_the_end() {
    for evaluator in ["jit", "interpreter"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        write_table(path, 150);
        std::fs::write(path.join("points.spnet"), rising()).expect("written");
        let _ = succeed(path, &["run", "points.spnet", "--out", "run", "-q", "--evaluator", evaluator]);
        let run = store::read(&path.join("run")).expect("a run");
        let (steps, epochs, progress) = (run.report.steps as f64, run.report.epochs, run.report.progress);
        let threshold = 0.02 * epochs * progress + 0.0002 * steps;
        let cut = |x: &f64| if x.abs() > threshold { *x } else { 0.0 };
        let expected = run.model.free["net.fc1.w"].map(cut);
        assert_eq!(run.model.effective["net.fc1.w"], expected, "{evaluator}");
        let left = expected.iter().filter(|x| **x != 0.0).count();
        assert!(0 < left && left < expected.len(), "{left}");
        assert_eq!(run.report.metrics["left"], left as f64, "{evaluator}");
        let reports = json(&succeed(path, &["eval", "run", "--json"]))["reports"].clone();
        assert_eq!(reports["left"], left as f64, "{evaluator}");
        assert_eq!(reports["loss"], run.report.metrics["loss"], "{evaluator}");
        assert_eq!(run.report.remaining.non_zero + (expected.len() - left) as u64, run.report.remaining.parameters);
    }
}

#[test]
fn eval_on_other_data_says_so() {
    let folder = trained(&[]);
    let other = folder.path().join("other");
    std::fs::create_dir(&other).expect("made");
    write_table(&other, 90);
    let output = spnc(folder.path(), &["eval", "run", "--data", "other"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("not the data that the run trained on"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("train      40 samples"));
}

#[test]
fn a_folder_of_data_that_is_not_there_is_no_reason_to_take_other_data() {
    let folder = trained(&[]);
    for args in [["eval", "run", "--data", "typo"], ["run", "points.spnet", "--data", "typo"]] {
        let output = spnc(folder.path(), &args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text.contains("'typo' for '--data <DIR>': there is no such folder"), "{text}");
    }
}

#[test]
fn a_changed_program_is_not_evaluated() {
    let folder = trained(&[]);
    std::fs::write(folder.path().join("run/points.spnet"), PROGRAM.replace("Out = 8", "Out = 9")).expect("written");
    assert!(fail(folder.path(), &["eval", "run"]).contains("E0910"));
    assert!(fail(folder.path(), &["eval", "nowhere"]).contains("E0901"));
}

#[test]
fn a_damaged_model_is_refused() {
    let folder = trained(&[]);
    let file = folder.path().join("run/model.safetensors");
    let mut bytes = std::fs::read(&file).expect("written");
    *bytes.last_mut().expect("not empty") ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let commands = [
        &["eval", "run"][..],
        &["shrink", "run"],
        &["predict", "run", "--input", "points.csv", "--output", "out.npz"],
        &["run", "points.spnet", "--init", "run"],
    ];
    for args in commands {
        let text = fail(folder.path(), args);
        assert!(text.contains("E0902") && text.contains("model.safetensors"), "{args:?}: {text}");
    }
}

/// Predictions for the first `n` samples.
fn predict(folder: &Path, n: usize) -> ArrayD<f64> {
    let mut points = points(600);
    points.values_mut().for_each(|value| *value = value.slice_axis(Axis(0), Slice::from(..n)).to_owned());
    write_npz(&folder.join("input.npz"), &points).expect("written");
    let text = succeed(folder, &["predict", "run", "--input", "input.npz", "--output", "output.npz"]);
    assert!(text.starts_with(&format!("output.net [{n}, 3]")), "{text}");
    read_tensors(&folder.join("output.npz")).expect("written")["output.net"].clone()
}

#[test]
fn any_number_of_samples_is_predicted_and_each_by_itself() {
    let folder = trained(&[]);
    let all = predict(folder.path(), 600);
    for n in [1, 2, 255, 256, 257, 512, 513] {
        let some = predict(folder.path(), n);
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-5 * (1.0 + b.abs());
        assert!(some.iter().zip(all.slice_axis(Axis(0), Slice::from(..n))).all(close), "{n}");
    }
}

#[test]
fn predictions_are_what_is_evaluated() {
    let folder = trained(&[]);
    // The first samples train, but for those of validation and test, which keep their order: all of them are in the file.
    let (outputs, points) = (predict(folder.path(), 150), points(150));
    let best =
        |row: ndarray::ArrayViewD<'_, f64>| (0..3).max_by(|&a, &b| row[[a]].total_cmp(&row[[b]])).expect("three");
    let right = outputs.axis_iter(Axis(0)).zip(&points["y"]).filter(|(row, y)| best(row.view()) as f64 == **y).count();
    let reports = json(&succeed(folder.path(), &["eval", "run", "--json"]))["reports"].clone();
    let counted: f64 = [("train ", 100.0), ("validation ", 20.0), ("", 30.0)]
        .iter()
        .map(|(split, n)| n * reports[format!("{split}accuracy(net(points.x), points.y)")].as_f64().expect("a number"))
        .sum();
    assert_eq!(right, counted.round() as usize);
}

#[test]
fn what_is_wrong_with_an_input_is_said() {
    let folder = trained(&[]);
    let write = |name: &str, shape: &[usize]| {
        let tensors = IndexMap::from([(name.to_owned(), ArrayD::zeros(shape))]);
        write_npz(&folder.path().join("input.npz"), &tensors).expect("written");
        fail(folder.path(), &["predict", "run", "--input", "input.npz", "--output", "output.npz"])
    };
    let text = write("X", &[2, 6]);
    assert!(text.contains("E0905") && text.contains("a tensor `x`") && text.contains("found `X`"), "{text}");
    let text = write("x", &[2, 7]);
    assert!(text.contains("E0903") && text.contains("[samples, 6], found [2, 7]"), "{text}");
    assert!(write("x", &[0, 6]).contains("expected samples of `x`, found none"));
    let text = fail(folder.path(), &["predict", "run", "--input", "nothing.npz", "--output", "output.npz"]);
    assert!(text.contains("E0901"), "{text}");
}

#[test]
fn a_run_begins_where_another_ended() {
    let folder = trained(&[]);
    let _ = succeed(folder.path(), &["run", "points.spnet", "--init", "run", "--epochs", "0", "--out", "next", "-q"]);
    let report =
        |run: &str| json(&std::fs::read_to_string(folder.path().join(run).join("report.json")).expect("there"));
    assert_eq!(report("next")["metrics"], report("run")["metrics"]);
}

/// The run holds what it needs: a file that it started from may be gone, or be another one.
#[test]
fn what_a_run_started_from_is_not_read_again() {
    let folder = trained(&[]);
    let saved = folder.path().join("run/model.safetensors");
    let start = folder.path().join("start.safetensors");
    let tensors = read_tensors(&saved).expect("of the run");
    let params = tensors.into_iter().filter_map(|(name, value)| Some((name.strip_prefix("free/")?.to_owned(), value)));
    spnc_runtime::store::write_safetensors(&start, &params.collect(), None).expect("written");
    let program = format!("{PROGRAM}\ninit net from \"start.safetensors\"\n");
    std::fs::write(folder.path().join("points.spnet"), program).expect("written");
    let _ = succeed(folder.path(), &["run", "points.spnet", "--out", "again", "-q"]);
    let before = succeed(folder.path(), &["eval", "again"]);
    std::fs::remove_file(start).expect("it was there");
    assert_eq!(succeed(folder.path(), &["eval", "again"]), before);
}

#[test]
fn histories_and_final_numbers_become_pictures() {
    let folder = trained(&[]);
    let _ = succeed(folder.path(), &["run", "points.spnet", "--seed", "5", "--out", "other", "-q"]);
    let draw = |args: &[&str]| {
        let _ = succeed(folder.path(), &[&["plot", "a=run", "b=other", "--output", "out.svg"], args].concat());
        std::fs::read_to_string(folder.path().join("out.svg")).expect("written")
    };
    let curves = draw(&["--y", "validation accuracy", "--title", "Points"]);
    assert_eq!((curves.matches("<path").count(), curves.matches("<circle").count()), (2, 0));
    assert!(curves.contains("Points") && curves.contains("epoch"), "{curves}");
    let scatter = draw(&["--x", "parameters", "--y", "1-accuracy", "--note", "seed", "--log-y"]);
    assert_eq!((scatter.matches("<path").count(), scatter.matches("<circle").count()), (0, 2));
    let text = fail(folder.path(), &["plot", "run", "--y", "beauty", "--output", "out.svg"]);
    assert!(text.contains("`run` has no `beauty`") && text.contains("`loss`"), "{text}");
    assert!(fail(folder.path(), &["plot", "nowhere", "--y", "loss", "--output", "out.svg"]).contains("E0901"));
}

#[test]
fn where_states_are_carried_each_sample_begins_at_their_start() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/everything.spnet");
    let folder = tempfile::tempdir().expect("a folder");
    let _ = succeed(folder.path(), &["run", path.to_str().expect("plain"), "--epochs", "1", "--out", "run", "-q"]);
    let predict = |n: usize| {
        let tokens = ArrayD::from_shape_vec(vec![n, 5], (0..5 * n).map(|i| (i * 7 % 20) as f64).collect());
        let tokens = IndexMap::from([("token".to_owned(), tokens.expect("as many"))]);
        write_npz(&folder.path().join("in.npz"), &tokens).expect("written");
        let _ = succeed(folder.path(), &["predict", "run", "--input", "in.npz", "--output", "out.npz"]);
        read_tensors(&folder.path().join("out.npz")).expect("written")["output.net"].clone()
    };
    let many = predict(31);
    assert_eq!(many.shape(), [31, 5, 20]);
    for n in [1, 12, 13] {
        assert_eq!(predict(n), many.slice_axis(Axis(0), Slice::from(..n)), "{n}");
    }
}

/// A language model in which half of the hidden units get nothing.
const CARRIED: &str = "\
use std.layers.{CarriedLstm, Dense, Embedding}
use std.sparse.GroupMask
data words = synthetic(tokens: 600, vocabulary: 20, window: 5)
layer Language(token: i32[B, T]) -> [B, T, 20] {
    embed = Embedding[Rows = 20, Out = 8]
    lstm = CarriedLstm[Hidden = 8]
    out = Dense[Out = 20]
    words: [T, B, Out: 20] = transpose(token, T, B) |> embed |> lstm |> out
    transpose(words, B, T, Out)
}
model net = Language
group units = join(net.lstm.w by Hidden, net.lstm.step.u by Hidden, net.lstm.step.b by Hidden)
sparsify units with GroupMask
minimize cross_entropy(net(words.token), words.target)
train {
    batch = 12
    optimizer = sgd(lr: 0.1)
    fire keep(0.5)
    phase { epochs = 1 }
}
";

#[test]
fn units_whose_state_is_carried_stay_and_shrink_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("words.spnet"), CARRIED).expect("written");
    let objective = |run: &str, evaluator: &str| {
        let _ = succeed(folder.path(), &["run", "words.spnet", "--out", run, "-q", "--evaluator", evaluator]);
        let history = std::fs::read_to_string(folder.path().join(run).join("history.jsonl")).expect("written");
        json(history.lines().last().expect("an epoch"))["objective"].as_f64().expect("a number")
    };
    let (machine, exact) = (objective("run", "jit"), objective("exact", "interpreter"));
    assert!((machine - exact).abs() < 1e-5, "{machine}, {exact}");
    let text = fail(folder.path(), &["shrink", "run"]);
    assert!(text.contains("Hidden: 4 of 8 positions could go, but `net.lstm."), "{text}");
    assert!(text.contains("carried from batch to batch") && text.contains("`live` counts fewer"), "{text}");
}
