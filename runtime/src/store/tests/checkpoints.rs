//! Runs that are not over.

use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use ndarray::{ArrayD, arr1};
use proptest::prelude::*;

use super::super::*;
use super::{origin, run, sources};
use crate::data::Fault;
use crate::program::{CompressedMatrix, Form};
use crate::train::{Checkpoint, Position};

/// A checkpoint whose numbers have long decimals.
fn checkpoint(steps: u64, values: &[f64]) -> Checkpoint {
    let mut records = run().history;
    for (record, value) in records.iter_mut().zip(values) {
        record.objective = *value;
        let _ = record.reports.insert("strange".into(), f64::NAN);
    }
    let zeros = vec!["optimizer.net.w.velocity".into()];
    let matrix = CompressedMatrix { pattern: 0, non_zeros: 2, zeros, elements: vec![4, 7] };
    Checkpoint {
        position: Position { stage: 1, epoch: 2, index: 3, epochs: 4, steps },
        tensors: IndexMap::from([("net.w".into(), arr1(values).into_dyn()), ("net.z".into(), ArrayD::zeros(vec![]))]),
        sums: values.to_vec(),
        records,
        epoch_seconds: 0.5,
        seconds: 2.0,
        form: vec![Form::Whole, Form::Narrowed(vec![8, 16]), Form::Compressed(vec![matrix])],
    }
}

fn begun(base: &Path, checkpoint: &Checkpoint) -> PathBuf {
    let mut folder = Folder::claim(base, "x").expect("claimed");
    folder.checkpoint(&origin(), checkpoint, &sources()).expect("written");
    folder.path().to_owned()
}

/// What is in a folder, by name.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("there").map(|entry| entry.expect("readable").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

#[test]
fn the_last_checkpoint_counts_until_the_run_is_over() {
    let base = tempfile::tempdir().expect("a directory");
    let mut folder = Folder::claim(base.path(), "x").expect("claimed");
    for steps in 1..4 {
        folder.checkpoint(&origin(), &checkpoint(steps, &[0.1]), &sources()).expect("written");
    }
    let path = folder.path().to_owned();
    assert_eq!(
        Folder::open(&path).expect_err("in use").to_string().split(", ").last(),
        Some("found one that another process trains")
    );
    drop(folder);
    assert_eq!(names(&path), ["checkpoint.spnc", "own", "quickstart.spnet", "run.json"]);
    let (folder, back, last) = Folder::open(&path).expect("whole");
    assert_eq!((back, last.position.steps), (origin(), 3));
    let _ = folder.save(&run(), &sources()).expect("saved");
    let whole = Folder::claim(base.path(), "x").expect("claimed").save(&run(), &sources()).expect("saved");
    assert_eq!(names(&path), names(&whole), "as if it had never been interrupted");
    let error = Folder::open(&path).expect_err("over");
    assert_eq!((error.fault, error.found.as_str()), (Fault::NoCheckpoint, "one that is over"));
    assert_eq!(names(base.path()).len(), 2, "nothing else is left behind");
}

#[test]
fn an_interrupted_run_is_saved_and_can_go_on() {
    let base = tempfile::tempdir().expect("a directory");
    let mut folder = Folder::claim(base.path(), "x").expect("claimed");
    folder.checkpoint(&origin(), &checkpoint(7, &[0.1]), &sources()).expect("written");
    let mut run = run();
    run.report.interrupted = true;
    let path = folder.save(&run, &sources()).expect("saved");
    assert!(read(&path).expect("whole").report.interrupted);
    assert_eq!(Folder::open(&path).expect("goes on").2.position.steps, 7);
}

#[test]
fn leftovers_of_the_dead_are_swept_and_those_of_the_living_are_not() {
    let base = tempfile::tempdir().expect("a directory");
    let dead = base.path().join(".spnc-dead");
    fs::create_dir(&dead).expect("made");
    fs::write(dead.join("model.safetensors"), "half").expect("written");
    let (living, _lock) = staging::stage(base.path()).expect("made");
    let path = begun(base.path(), &checkpoint(1, &[0.1]));
    assert!(!dead.exists() && living.path().exists());
    fs::write(path.join(".spnc-half"), "half").expect("written");
    let _ = Folder::open(&path).expect("whole");
    assert!(!path.join(".spnc-half").exists());
}

/// Makes another run of one.
type Change = fn(&mut Origin);

#[test]
fn a_checkpoint_of_another_run_is_refused_and_the_difference_is_said() {
    let base = tempfile::tempdir().expect("a directory");
    let changes: [(&str, Change); 5] = [
        ("seed", |origin| origin.seed = 4),
        ("text of the program (SHA-256)", |origin| origin.program_hash = hash("other")),
        ("data (SHA-256)", |origin| origin.data_hash = hash("other")),
        ("version of spnc", |origin| origin.version = "0.2.0".into()),
        ("setting `lambda`", |origin| origin.settings["lambda"] = "2".into()),
    ];
    for (what, change) in changes {
        let mut other = origin();
        change(&mut other);
        let mine = begun(base.path(), &checkpoint(1, &[0.1]));
        let mut folder = Folder::claim(base.path(), "other").expect("claimed");
        folder.checkpoint(&other, &checkpoint(1, &[0.1]), &[]).expect("written");
        let _ = fs::copy(folder.path().join("checkpoint.spnc"), mine.join("checkpoint.spnc")).expect("copied");
        let error = Folder::open(&mine).expect_err("foreign");
        assert_eq!(error.fault, Fault::Foreign);
        assert!(error.expected.contains(what), "{error}");
    }
}

#[test]
fn there_is_nothing_to_go_on_with_where_no_checkpoint_is() {
    let base = tempfile::tempdir().expect("a directory");
    for folder in [base.path().to_owned(), base.path().join("nowhere")] {
        assert_eq!(Folder::open(&folder).expect_err("nothing there").fault, Fault::NoCheckpoint);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_checkpoint_is_read_back_bit_for_bit(values in prop::collection::vec(any::<f64>(), 2)) {
        let base = tempfile::tempdir().expect("a directory");
        let there = checkpoint(3, &values);
        let (_, _, back) = Folder::open(&begun(base.path(), &there)).expect("whole");
        let bits = |checkpoint: &Checkpoint| {
            let tensors = checkpoint.tensors.values().flatten().chain(&checkpoint.sums);
            let records = checkpoint.records.iter().map(|record| &record.objective).filter(|x| x.is_finite());
            tensors.chain(records).map(|x| x.to_bits()).collect::<Vec<u64>>()
        };
        prop_assert_eq!(bits(&back), bits(&there));
        prop_assert_eq!(back.position, there.position);
        let lines = |checkpoint: &Checkpoint| serde_json::to_string(&checkpoint.records).expect("written");
        prop_assert_eq!(lines(&back), lines(&there));
    }

    #[test]
    fn a_damaged_checkpoint_is_refused(at in any::<prop::sample::Index>(), bit in 0_u32..8, cut: bool) {
        let base = tempfile::tempdir().expect("a directory");
        let path = begun(base.path(), &checkpoint(3, &[0.1, 0.2]));
        let file = path.join("checkpoint.spnc");
        let mut bytes = fs::read(&file).expect("just written");
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        fs::write(&file, &bytes).expect("written");
        let error = Folder::open(&path).expect_err("damaged");
        prop_assert_eq!(error.fault, Fault::Damaged);
        prop_assert!(error.help.is_some());
    }
}
