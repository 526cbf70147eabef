//! Embeds the pages of `docs/errors`, one for each diagnostic code, for `spnc explain`.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    // Asked for when it runs: the script may have been compiled for another checkout that shares the folder of artefacts.
    let root = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&root).join("../docs/errors");
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(&folder).expect("docs/errors can be read");
    let mut pages: Vec<_> = entries.map(|entry| entry.expect("docs/errors can be read").path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    let mut table = String::from("&[\n");
    for page in pages {
        let code = page.file_stem().expect("a page has a name").to_string_lossy();
        writeln!(table, "({code:?}, include_str!({:?})),", page.display().to_string()).expect("strings can be written");
    }
    table.push(']');
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("error_pages.rs"), table).expect("cargo's folder can be written");
}
