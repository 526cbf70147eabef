//! The documents cannot rot: a fenced block behind `<!-- $ spnc … -->` is what that command prints.
//!
//! Commands run in the root of the repository. A line `…` in a block stands for any number of lines.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

#[test]
fn blocks_are_what_the_commands_print() {
    let mut checked = 0;
    for document in ["README.md", "docs/tutorial.md"] {
        let text = std::fs::read_to_string(root().join(document)).expect("the document is there");
        for (command, block) in blocks(&text) {
            check(document, &command, &block);
            checked += 1;
        }
    }
    assert!(checked >= 5, "only {checked} blocks are checked");
}

/// The program that the README shows in full is one of the examples.
#[test]
fn programs_are_the_examples() {
    let text = std::fs::read_to_string(root().join("README.md")).expect("the README is there");
    for example in ["examples/lenet300_group_threshold.spnet", "examples/walkthrough.spnet"] {
        let program = std::fs::read_to_string(root().join(example)).expect("the example is there");
        assert!(text.contains(program.trim()), "the README does not show {example} as it is");
    }
}

/// Each marked command with the text of the block behind it.
fn blocks(text: &str) -> Vec<(String, String)> {
    let marked = text.split("<!-- $ ").skip(1);
    let pairs = marked.map(|rest| {
        let (command, rest) = rest.split_once(" -->").expect("a mark is closed");
        let (_, block) = rest.split_once("```").expect("a block follows");
        let (_, block) = block.split_once('\n').expect("a block has lines");
        let (block, _) = block.split_once("```").expect("a block is closed");
        (command.to_owned(), block.to_owned())
    });
    pairs.collect()
}

#[track_caller]
fn check(document: &str, command: &str, block: &str) {
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let output = Command::new(assert_cmd::cargo::cargo_bin!("spnc")).args(words).current_dir(root()).output();
    let output = output.expect("the command can be run");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let mut rest = printed.as_str();
    for (index, part) in block.split("…\n").enumerate() {
        let at = rest.find(part).filter(|at| index > 0 || *at == 0);
        let at = at.unwrap_or_else(|| panic!("{document}: `{command}` does not print\n{part}\nbut\n{rest}"));
        rest = &rest[at + part.len()..];
    }
    assert!(rest.trim().is_empty() || block.trim_end().ends_with('…'), "{document}: `{command}` prints more:\n{rest}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
