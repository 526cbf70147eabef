//! The command line from outside: exit status, standard output, standard error.

use assert_cmd::Command;

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
    for command in ["opt", "explain", "completions"] {
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
