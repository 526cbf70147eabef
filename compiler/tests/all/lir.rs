//! Golden files of the loop IR: `golden/lir/<name>.tir`, optimised and lowered, is `<name>.lir`.

use std::path::{Path, PathBuf};

use expect_test::expect_file;
use spnc::{ad, lir, lower::to_lir, pass, tir};

fn inputs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lir");
    let files = std::fs::read_dir(folder).expect("the golden folder").map(|entry| entry.expect("a file").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ext| ext == "tir")).collect();
    files.sort();
    files
}

/// The loop IR of a file; inputs with new values are lasting.
fn lowered(path: &Path) -> lir::Module {
    let text = std::fs::read_to_string(path).expect("a readable file");
    let mut func = ad::grad(&tir::parse::func(&text).expect("a function"));
    pass::run(&mut func, pass::O1, |_, _| {});
    let updated = func.params().filter(|(name, _, _)| func.result(name).is_some());
    let lasting: Vec<_> = updated.map(|(name, _, ty)| (name.clone(), ty.clone())).collect();
    to_lir::lower(&[func], &lasting)
}

#[test]
fn golden_files_are_as_they_were() {
    for path in inputs() {
        let module = lowered(&path);
        let text = lir::print(&module);
        assert_eq!(lir::verify(&module), Ok(()), "{}", path.display());
        assert_eq!(lir::parse(&text), Ok(module), "{}", path.display());
        expect_file![path.with_extension("lir")].assert_eq(&text);
    }
}
