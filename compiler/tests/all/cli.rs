//! The command line from outside: exit status, standard output, standard error.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A `spnc` process with these arguments.
fn spnc(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("spnc").expect("cargo builds the binary");
    let _ = command.args(args).env_remove("SPNET_DATA");
    command
}

fn stdout(command: &mut Command) -> String {
    let output = command.output().expect("spnc starts");
    String::from_utf8(output.stdout).expect("spnc prints UTF-8")
}

fn stderr(command: &mut Command) -> String {
    let output = command.output().expect("spnc starts");
    String::from_utf8(output.stderr).expect("spnc prints UTF-8")
}

#[test]
fn a_wrong_command_line_is_status_2() {
    for args in [&[][..], &["frobnicate"], &["explain"], &["completions", "sinclair"]] {
        let _ = spnc(args).assert().code(2);
    }
}

#[test]
fn help_has_examples_for_every_command() {
    for command in [
        "run",
        "resume",
        "eval",
        "predict",
        "shrink",
        "bench",
        "check",
        "emit",
        "grad",
        "gradcheck",
        "summary",
        "opt",
        "explain",
        "completions",
    ] {
        let help = stdout(&mut spnc(&[command, "--help"]));
        assert!(help.contains("Example"), "{command}: {help}");
    }
}

const SQUARE: &str = "\
func square {
  %0 = param x : f32[3]
  %1 = mul %0, %0 : f32[3]
  %2 = mul %0, %0 : f32[3]
  %3 = add %1, %2 : f32[3]
  %4 = reduce_sum %3, [0] : f32[]
  %5 = grad %4, %0 : f32[3]
  return x_ct = %5
}
";

#[test]
fn opt_runs_the_passes_that_are_asked_for() {
    let cse = stdout(spnc(&["opt", "-", "--passes", "cse,dce"]).write_stdin(SQUARE));
    assert!(cse.contains("%2 = add %1, %1 : f32[3]"), "{cse}");
    let all = stdout(spnc(&["opt", "-"]).write_stdin(SQUARE));
    assert!(!all.contains("grad") && all.contains("return x_ct"), "{all}");
    let again = stdout(spnc(&["opt", "-", "--passes", "dce"]).write_stdin(all.clone()));
    assert_eq!(again, all);
}

#[test]
fn opt_refuses_what_it_does_not_know() {
    let _ = spnc(&["opt", "-", "--passes", "csee"]).write_stdin(SQUARE).assert().code(2);
    let _ = spnc(&["opt", "-"]).write_stdin("func f {").assert().code(1);
    let _ = spnc(&["opt", "missing.tir"]).assert().code(1);
    let wrong = SQUARE.replace("add %1, %2 : f32[3]", "add %1, %2 : f32[4]");
    assert!(stderr(spnc(&["opt", "-"]).write_stdin(wrong)).contains("in square, %3: the result has type f32[4]"));
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(stdout(&mut spnc(&["completions", shell])).contains("spnc"));
    }
}

#[test]
fn an_unknown_code_is_an_error() {
    let _ = spnc(&["explain", "E9999"]).assert().code(1);
    assert!(stderr(&mut spnc(&["explain", "E9999"])).contains("there is no diagnostic `E9999`"));
}

/// The path of a program of the repository.
fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    path.to_str().expect("the repository has a plain path").to_owned()
}

/// A folder with a program in it.
fn program(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("program.spnet");
    std::fs::write(&path, text).expect("written");
    let path = path.to_str().expect("a plain path").to_owned();
    (folder, path)
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
}

/// Runs the quickstart for two short epochs; gives the events and the run folder.
fn quick_run(more: &[&str]) -> (Vec<Value>, TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let quickstart = example("quickstart.spnet");
    let out_text = out.to_str().expect("a plain path");
    let epochs: &[&str] = if more.contains(&"--epochs") { &[] } else { &["--epochs", "2"] };
    let args = ["run", &quickstart, "--limit", "96", "--json", "--out", out_text];
    let text = stdout(&mut spnc(&[&args, epochs, more].concat()));
    (json_lines(&text), folder, out)
}

#[test]
fn a_run_prints_an_object_a_line_and_leaves_a_folder() {
    let (events, _folder, out) = quick_run(&[]);
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(kinds, ["compiled", "epoch", "epoch", "done"]);
    let done = &events[3];
    assert!(done["metrics"].as_object().is_some_and(|metrics| metrics.len() == 1), "{done}");
    assert_eq!(done["sparsity"][0]["tensor"], "net.fc1.w");
    assert_eq!(done["sparsity"][0]["groups"][0]["name"], "neurons by In");
    assert_eq!(done["remaining"]["flops"], 2 * (64 * 100 + 100 * 50 + 50 * 10));
    assert_eq!(done["budgets"], Value::Array(vec![]));
    for file in ["model.safetensors", "history.jsonl", "report.json", "quickstart.spnet"] {
        assert!(out.join(file).exists(), "{file}");
    }
}

/// 160 samples of 64 numbers are enough to be copied by all threads, and not as many for each of three.
#[test]
fn a_batch_is_the_same_whoever_copies_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(example("quickstart.spnet")).expect("an example");
    let text = text.replace("batch     = 32", "batch     = 160");
    assert!(text.contains("160"), "another batch");
    std::fs::write(folder.path().join("large.spnet"), text).expect("written");
    let objectives = |threads: &str| {
        let [program, out] = ["large.spnet", threads].map(|name| folder.path().join(name));
        let [program, out] = [&program, &out].map(|path| path.to_str().expect("a plain path"));
        let args = ["run", program, "--limit", "400", "--epochs", "2", "--json", "--threads", threads, "--out", out];
        let events = json_lines(&stdout(&mut spnc(&args)));
        events.iter().filter_map(|event| event["objective"].as_f64()).collect::<Vec<f64>>()
    };
    let one = objectives("1");
    assert_eq!(one.len(), 2);
    assert_eq!([objectives("2"), objectives("3")], [one.clone(), one]);
}

#[test]
fn one_seed_gives_one_run_and_both_evaluators_agree() {
    let losses = |args: &[&str]| {
        let (events, _folder, _) = quick_run(args);
        events.iter().filter_map(|event| event["objective"].as_f64()).collect::<Vec<f64>>()
    };
    let [one, two] = ["1", "2"].map(|threads| losses(&["--threads", threads]));
    assert_eq!(one, two);
    assert_ne!(one, losses(&["--seed", "2"]));
    for (jit, interpreter) in one.iter().zip(losses(&["--evaluator", "interpreter"])) {
        assert!((jit - interpreter).abs() < 1e-4 * interpreter, "{jit}, {interpreter}");
    }
}

#[test]
fn a_run_starts_from_another_runs_weights() {
    let (_, _folder, out) = quick_run(&[]);
    let (events, _other, _) = quick_run(&["--init", out.to_str().expect("a plain path"), "--epochs", "0"]);
    let (fresh, _another, _) = quick_run(&["--epochs", "0"]);
    let metric = |events: &[Value]| events.last().expect("a last event")["metrics"].to_string();
    assert_ne!(metric(&events), metric(&fresh));
}

const MISTAKE: &str = "const half = 0.5\nminimize twice * half\n";

#[test]
fn check_says_where_a_mistake_is() {
    let (_folder, path) = program(MISTAKE);
    let _ = spnc(&["check", &path]).assert().code(1);
    let _ = spnc(&["check", &example("quickstart.spnet")]).assert().code(0).stdout("").stderr("");
    let text = stderr(&mut spnc(&["check", &path]));
    assert!(text.contains("twice") && text.contains("program.spnet:2:10"), "{text}");
    let report = json_lines(&stdout(spnc(&["check", "-", "--json"]).write_stdin(MISTAKE)));
    assert_eq!(report[0]["diagnostics"][0]["labels"][0]["line"], 2);
}

#[test]
fn what_is_wrong_with_data_is_shown_at_the_argument() {
    for (source, column, code, help) in [
        ("digits(hold_out: -1)", 17, "E0906", "help: write a share, `hold_out: 10%`"),
        ("digits(hold_out: 10%, seed: 0.5)", 32, "E0906", "help: write `seed: 1`"),
        ("digits(window: 10)", 17, "E0906", "help: leave `window` out"),
        ("csv(\"nowhere.csv\")", 14, "E0901", "help: "),
    ] {
        let text = format!("data d = {source}\nminimize 0\n");
        let (_folder, path) = program(&text);
        let text = stderr(&mut spnc(&["check", &path]));
        assert!(text.contains(code) && text.contains(help), "{text}");
        assert!(text.contains(&format!("program.spnet:1:{column}]")), "{text}");
    }
}

#[test]
fn every_stage_is_text() {
    for stage in ["ast", "hir", "model", "tir", "grad", "opt", "opt@cse", "lir", "clif", "asm"] {
        let quickstart = example("quickstart.spnet");
        let text = stdout(&mut spnc(&["emit", &quickstart, "--stage", stage]));
        assert!(text.lines().count() > 20, "{stage}: {text}");
    }
    let _ = spnc(&["emit", &example("quickstart.spnet"), "--stage", "opt@cs"]).assert().code(2);
}

#[test]
fn a_line_of_gradient_names_the_line_it_is_the_derivative_of() {
    let all = stdout(&mut spnc(&["emit", &example("quickstart.spnet"), "--stage", "grad"]));
    let one = stdout(&mut spnc(&["emit", &example("quickstart.spnet"), "--stage", "grad", "--wrt", "net.fc3.w"]));
    assert!(one.lines().count() < all.lines().count());
    assert!(one.contains("  // ct ") && one.contains("quickstart.spnet:"), "{one}");
    assert!(one.contains("return grad.net.fc3.w"), "{one}");
    let unknown = spnc(&["emit", &example("quickstart.spnet"), "--stage", "grad", "--wrt", "net.fc3.v"]);
    assert!(stderr(&mut { unknown }).contains("--wrt net.fc3."));
}

#[test]
fn emitted_ir_is_read_back() {
    let tir = stdout(&mut spnc(&["emit", &example("quickstart.spnet"), "--stage", "tir"]));
    let again = stdout(spnc(&["opt", "-", "--passes", "dce"]).write_stdin(tir));
    assert!(again.contains("func train_step@32"), "{again}");
}

/// Below a value stands what is known of its zeros: a competition's weight is zero where its gate is shut, and so is the gradient behind it.
#[test]
fn optimised_steps_say_what_is_zero() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/competing.spnet");
    let text = stdout(&mut spnc(&["emit", program.to_str().expect("a plain path"), "--stage", "opt"]));
    let lines: Vec<&str> = text.lines().collect();
    let gate = lines.iter().find(|line| line.contains("= gt ") && line.contains("bool[512, 512]")).expect("a gate");
    let gate = gate.split_whitespace().next().expect("a value");
    let told = lines
        .windows(2)
        .filter(|pair| pair[1].trim() == format!("// elements: zero outside of {gate}, which steps change"));
    let told: Vec<&str> = told.map(|pair| pair[0]).collect();
    assert!(told.iter().any(|line| line.contains("= mul ")), "the weight: {told:?}");
    assert!(told.iter().any(|line| line.contains("// ct ")), "its gradient: {told:?}");
    let again = stdout(spnc(&["opt", "-", "--passes", "dce"]).write_stdin(text));
    assert!(again.contains("func train_step@64"), "{again}");
}

#[test]
fn the_summary_counts() {
    let json = json_lines(&stdout(&mut spnc(&["summary", &example("quickstart.spnet"), "--json"])));
    assert_eq!(json[0]["flops"], 2 * (64 * 100 + 100 * 50 + 50 * 10));
    assert_eq!(json[0]["weights"], 64 * 100 + 100 * 50 + 50 * 10);
    let text = stdout(&mut spnc(&["summary", &example("quickstart.spnet")]));
    assert!(text.contains("11,900 multiply-adds"), "{text}");
    assert!(text.contains("Dense[Out = 100]") && text.contains("net.fc2"), "{text}");
}

#[test]
fn a_run_needs_a_plan_and_a_free_folder() {
    let (folder, path) = program("const half = 0.5\nminimize half\n");
    let _ = spnc(&["run", &path]).assert().code(1);
    let text = stderr(&mut spnc(&["run", &path]));
    assert!(text.contains("E0514") && text.contains("program.spnet:2:1") && text.contains("help: add"), "{text}");
    let _ = spnc(&["explain", "E0514"]).assert().code(0);
    let used = folder.path().to_str().expect("a plain path");
    let _ = spnc(&["run", &example("quickstart.spnet"), "--out", used]).assert().code(1);
    let _ = spnc(&["run", "missing.spnet"]).assert().code(1);
    let _ = spnc(&["run", &path, "--set", "half"]).assert().code(2);
}

const NO_DATA: &str = "\
layer Point() -> [3] {
    param w: [3] = 2
    w
}
model net = Point
minimize sum(net()^2)
";

#[test]
fn grad_works_without_data_and_plan() {
    let (folder, path) = program(NO_DATA);
    let out = folder.path().join("gradient.npz");
    let out_text = out.to_str().expect("a plain path");
    for evaluator in ["jit", "interpreter"] {
        let args = ["grad", &path, "--json", "--values", out_text, "--evaluator", evaluator];
        let json = json_lines(&stdout(&mut spnc(&args)));
        assert_eq!(json[0]["objective"], 12.0);
        assert_eq!(json[0]["gradients"]["net.w"]["largest"], 4.0);
        let arrays = spnc_runtime::data::read_tensors(&out).expect("an npz file");
        assert_eq!(arrays["net.w"].iter().copied().collect::<Vec<f64>>(), [4.0; 3]);
        assert_eq!(arrays["objective"].len(), 1);
    }
}

#[test]
fn grad_starts_where_it_is_told() {
    let (folder, path) = program(NO_DATA);
    let start = folder.path().join("start.npz");
    let w = ndarray::arr1(&[1.0, 0.0, -3.0]).into_dyn();
    spnc_runtime::store::write_npz(&start, &[("net.w".to_owned(), w)].into_iter().collect()).expect("written");
    let start = start.to_str().expect("a plain path");
    let json = json_lines(&stdout(&mut spnc(&["grad", &path, "--json", "--init", start])));
    assert_eq!((&json[0]["objective"], &json[0]["gradients"]["net.w"]["zeros"]), (&10.0.into(), &1.into()));
}

#[test]
fn gradcheck_passes_on_the_quickstart() {
    let mut command = spnc(&["gradcheck", &example("quickstart.spnet")]);
    let _ = command.assert().code(0);
    let text = stdout(&mut command);
    assert!(text.contains("every derivative agrees, of 9 parameters"), "{text}");
}

const OWN_NORM: &str = "\
/// A norm of the user's own.
fn fourth(w: [G, M]) = sum(sum(w^2, M)^2)

layer Point() -> [A: 3, B: 2] {
    param w: [A: 3, B: 2] = 2
    w
}
model net = Point
group rows = net.w by A
minimize sum(net()^2)
minimize 0.5 * fourth(rows)
";

#[test]
fn a_norm_of_ones_own_has_a_formula() {
    let (_folder, path) = program(OWN_NORM);
    let text = stdout(&mut spnc(&["grad", &path, "--math"]));
    assert!(text.contains("0.5 * fourth(rows)") && text.contains("∂f/∂net.w[a,b] = "), "{text}");
    assert!(text.contains('Σ'), "{text}");
}

/// A program whose every other weight is pruned, with a budget that asks for more or less than that.
fn budgeted(share: &str) -> String {
    format!(
        "use std.layers.{{Dense, flatten}}\nuse std.sparse.one_sided\n\
         data digits = digits()\n\
         layer Half[G, M](w: [G, M]) -> [G, M] {{\n\
             half = abs(w) > quantile(reshape(abs(w), [G * M]), 0.5)\n\
             measure density = mean(float(half))\n\
             w * float(half)\n\
         }}\n\
         layer Net(image: [B, H, W]) -> [B, 10] {{\n\
             fc = Dense[Out = 10]\n\
             image |> flatten |> fc\n\
         }}\n\
         model net = Net\n\
         group weights = net.fc.w by whole\n\
         sparsify weights with Half\n\
         minimize cross_entropy(net(digits.image / 16), digits.label)\n\
         budget params(net) <= {share}% by one_sided(1)\n\
         train {{\n epochs = 1\n batch = 64\n optimizer = sgd(lr: 0.01)\n}}\n"
    )
}

#[test]
fn a_missed_budget_is_status_3() {
    for (share, code) in [("90", 0), ("5", 3)] {
        let (folder, path) = program(&budgeted(share));
        let out = folder.path().join("out");
        let out = out.to_str().expect("a plain path");
        let mut command = spnc(&["run", &path, "--limit", "64", "--json", "--out", out]);
        let assert = command.assert().code(code);
        let text = String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8");
        let done = json_lines(&text).pop().expect("a last event");
        assert_eq!(done["budgets"][0]["met"], code == 0, "{done}");
    }
}

#[test]
fn all_of_a_dense_network_is_a_budget_that_it_keeps() {
    for (share, code) in [("100", 0), ("99", 1)] {
        let (_folder, path) = program(&budgeted(share).replace("sparsify weights with Half\n", ""));
        let _ = spnc(&["check", &path]).assert().code(code);
    }
}

#[test]
fn numbers_that_go_bad_are_status_4_and_leave_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let quickstart = std::fs::read_to_string(example("quickstart.spnet")).expect("readable");
    let path = folder.path().join("bad.spnet");
    std::fs::write(&path, quickstart.replace("cosine(0.1)", "1e30")).expect("written");
    let out = folder.path().join("out");
    let (path, out_text) = (path.to_str().expect("plain"), out.to_str().expect("plain"));
    let mut command = spnc(&["run", path, "--limit", "64", "--out", out_text]);
    let _ = command.assert().code(4);
    let text = stderr(&mut command);
    assert!(text.contains("E0908") && text.contains("in step "), "{text}");
    assert!(!out.exists());
}

/// Ctrl-C in the middle of a long run: it ends soon, with status 130, and what was done is saved.
#[cfg(unix)]
#[test]
fn an_interrupted_run_is_saved() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command as Process, Stdio};

    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let mut child = Process::new(assert_cmd::cargo::cargo_bin("spnc"))
        .args(["run", &example("quickstart.spnet"), "--epochs", "100000", "--json", "--out"])
        .arg(&out)
        .stdout(Stdio::piped())
        .spawn()
        .expect("spnc starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let first_epoch = lines.by_ref().map_while(Result::ok).find(|line| line.contains("\"epoch\""));
    assert!(first_epoch.is_some());
    let pid = child.id().to_string();
    assert!(Process::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
    let last = lines.map_while(Result::ok).last().expect("a last line");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let done: Value = serde_json::from_str(&last).expect("an object");
    assert_eq!((&done["event"], &done["interrupted"]), (&"done".into(), &true.into()));
    assert!(out.join("model.safetensors").exists());
}
