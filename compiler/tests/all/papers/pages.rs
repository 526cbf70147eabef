//! The pages about the papers say what is there: the layers and functions that they quote are the library's, and what they name exists.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder with this ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(root().join(folder)).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.extension().is_some_and(|e| e == ending)).collect()
}

/// The layers and functions in a page's blocks of the language: from a line that begins one to the brace that ends it.
fn quoted(page: &str) -> Vec<String> {
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("spnet\n"));
    let mut items = vec![];
    for block in blocks {
        let mut lines = block.lines();
        while let Some(line) = lines.next() {
            if !(line.starts_with("layer ") || line.starts_with("fn ")) {
                continue;
            }
            let mut item = vec![line];
            if line.ends_with('{') {
                item.extend(lines.by_ref().take_while(|line| *line != "}"));
                item.push("}");
            }
            items.push(item.join("\n") + "\n");
        }
    }
    items
}

#[test]
fn pages_quote_the_library() {
    let library: String = files("stdlib", "spnet").iter().map(|path| read(path)).collect();
    for path in files("docs/papers", "md") {
        for item in quoted(&read(&path)) {
            assert!(library.contains(&item), "{} quotes what is not in the library:\n{item}", path.display());
        }
    }
}

#[test]
fn what_pages_name_exists() {
    for path in files("docs/papers", "md") {
        let page = read(&path);
        for program in page.split_whitespace().filter(|word| word.starts_with("examples/") && word.ends_with(".spnet"))
        {
            assert!(root().join(program).is_file(), "{} names {program}", path.display());
        }
        let prose: String = page.split("```").step_by(2).collect();
        let links = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            assert!(root().join("docs/papers").join(link).exists(), "{} links to {link}", path.display());
        }
    }
}
