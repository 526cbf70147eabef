mod checkpoints;

use std::fs;
use std::path::Path;

use indexmap::IndexMap;
use ndarray::{ArrayD, array};
use proptest::prelude::*;

use super::*;
use crate::data::Fault;
use crate::program::{Choice, Clock, Description, Entry, FieldMut, Program, Role, TensorInfo};
use crate::train::{EpochRecord, Tally, TermValue};

/// Two tensors and nothing to do.
struct Holder {
    description: Description,
    tensors: Vec<ArrayD<f64>>,
}

impl Holder {
    fn new() -> Holder {
        let info = |name: &str, role| TensorInfo { name: name.into(), role, shape: vec![2] };
        let tensors = vec![info("net.w", Role::Param), info("optimizer.net.w.velocity", Role::OptimizerState)];
        let description = Description { tensors, ..Description::default() };
        Holder { description, tensors: vec![array![1.5, 0.1].into_dyn(), array![0.0, 1e300].into_dyn()] }
    }
}

impl Program for Holder {
    fn description(&self) -> &Description {
        &self.description
    }

    fn init(&mut self, _seed: u64) {}

    fn field(&mut self, _entry: Entry, _samples: usize, _index: usize) -> FieldMut<'_> {
        FieldMut::F64(&mut [])
    }

    fn train_step(&mut self, _variant: usize, _samples: usize, _clock: Clock) -> &[f64] {
        &[]
    }

    fn fire(&mut self, _event: usize, _clock: Clock) {}

    fn evaluate(&mut self, _samples: usize, _split: usize, _clock: Clock) {}

    fn finish_evaluation(&mut self, _clock: Clock) -> Vec<f64> {
        vec![]
    }

    fn read(&self, tensor: usize) -> ArrayD<f64> {
        self.tensors[tensor].clone()
    }

    fn write(&mut self, tensor: usize, value: &ArrayD<f64>) {
        self.tensors[tensor].assign(value);
    }

    fn effective(&mut self, _clock: Clock) -> Vec<String> {
        vec!["net.w".to_owned(), "mask.density".to_owned()]
    }

    fn computed(&self, name: &str) -> Option<ArrayD<f64>> {
        match name {
            "net.w" => Some(array![1.5, 0.0].into_dyn()),
            "mask.density" => Some(ArrayD::zeros(vec![])),
            _ => None,
        }
    }

    fn explain_non_finite(&mut self, _variant: usize, _samples: usize, _clock: Clock) -> Option<String> {
        None
    }
}

fn origin() -> Origin {
    Origin {
        version: "0.1.0".into(),
        program: "quickstart.spnet".into(),
        program_hash: hash("text"),
        data_hash: String::new(),
        constants_hash: String::new(),
        seed: u64::MAX,
        settings: IndexMap::from([("lambda".into(), "1e-4".into())]),
        folders: vec!["/data".into()],
    }
}

fn run() -> Run {
    let record = EpochRecord {
        epoch: 1,
        phase: "dense".into(),
        step: 23,
        samples: 1437,
        seconds: 0.25,
        objective: 1.5,
        terms: vec![TermValue { text: "cross_entropy(net(x), \"y\")".into(), value: 1.5 }],
        reports: IndexMap::from([("accuracy".into(), 0.75), ("strange".into(), f64::INFINITY)]),
        zeros: Tally { total: 2, zeros: 1 },
        live_flops: Some(4),
    };
    let sparsity = Sparsity {
        tensor: "net.w".into(),
        weights: Tally { total: 2, zeros: 1 },
        density: 0.5,
        groups: vec![GroupReport { name: "neurons by In".into(), groups: Tally { total: 2, zeros: 1 } }],
        kept: vec![AxisReport { axis: "In".into(), of: 2, kept: 1 }],
    };
    let budget = BudgetReport { text: "params(net) <= 15%".into(), asked: 0.15, counted: 0.5, model: 0.25, met: false };
    let choice = Choice { of: "net.w".into(), form: "compressed".into(), kept: 1, total: 2 };
    let report = Report {
        origin: origin(),
        epochs: 1.0,
        steps: 23,
        progress: 1.0,
        interrupted: false,
        seconds: Seconds { compile: 0.125, train: 0.5, step: Some(StepSeconds { now: 0.25, whole: 0.75 }) },
        metrics: IndexMap::from([("b".into(), 0.75), ("a".into(), 0.5)]),
        sparsity: vec![sparsity],
        budgets: vec![budget],
        choices: vec![choice],
        remaining: Remaining { parameters: 4, non_zero: 3, live: Some(2), flops: 8, live_flops: Some(4) },
    };
    let of = |name: &str, tensor: ndarray::Array1<f64>| IndexMap::from([(name.to_owned(), tensor.into_dyn())]);
    let model = Model {
        free: of("net.w", array![1.5, 0.1]),
        effective: of("net.w", array![1.5, 0.0]),
        states: of("optimizer.net.w.velocity", array![0.0, 1e300]),
    };
    Run { model, history: vec![record.clone(), record], report }
}

fn sources() -> Vec<(String, String)> {
    vec![("quickstart.spnet".into(), "model net = Net\n".into()), ("../own/part.spnet".into(), "\n".into())]
}

/// The run of a program, saved.
fn saved(base: &Path) -> std::path::PathBuf {
    let mut holder = Holder::new();
    let Run { history, report, .. } = run();
    let run = Run { model: Held::by(&mut holder, report.clock()), history, report };
    Folder::claim(base, "quickstart").expect("claimed").save(&run, &sources()).expect("saved")
}

#[test]
fn a_run_is_read_back_as_it_was() {
    let base = tempfile::tempdir().expect("a directory");
    let folder = saved(&base.path().join("runs"));
    let mut back = read(&folder).expect("whole");
    for record in &mut back.history {
        assert!(record.reports["strange"].is_nan(), "what is not finite comes back as not a number");
        record.reports["strange"] = f64::INFINITY;
    }
    assert_eq!(back, run());
    assert_eq!(back.report.metrics.keys().collect::<Vec<_>>(), ["b", "a"], "in their order");
    assert_eq!(fs::read_to_string(folder.join("quickstart.spnet")).expect("copied"), "model net = Net\n");
    assert!(folder.join("own/part.spnet").exists());
    let left: Vec<_> = fs::read_dir(base.path().join("runs")).expect("there").collect();
    assert_eq!(left.len(), 1, "nothing else is left behind");
}

#[test]
fn folders_are_numbered_and_never_shared() {
    let base = tempfile::tempdir().expect("a directory");
    let name = |folder: &Folder| folder.path().file_name().expect("named").to_owned();
    let (first, second) = (Folder::claim(base.path(), "x").expect("ok"), Folder::claim(base.path(), "x").expect("ok"));
    assert_eq!((name(&first), name(&second)), ("x-1".into(), "x-2".into()));
    drop(first);
    assert!(!base.path().join("x-1").exists(), "an unused folder goes away");
    assert_eq!(name(&Folder::claim(base.path(), "x").expect("ok")), "x-1");
}

#[test]
fn a_folder_with_files_is_not_taken() {
    let base = tempfile::tempdir().expect("a directory");
    let folder = saved(base.path());
    assert_eq!(Folder::claim_at(&folder).expect_err("in use").fault, Fault::Unwritable);
    let empty = base.path().join("mine");
    let _ = Folder::claim_at(&empty).expect("new").save(&run(), &[]).expect("saved");
    assert!(read(&empty).is_ok());
    let file = base.path().join("file");
    fs::write(&file, "").expect("written");
    assert_eq!(Folder::claim_at(&file).expect_err("a file").fault, Fault::Unwritable);
}

#[test]
fn a_run_that_is_not_over_is_told_from_a_folder_that_is_none() {
    let base = tempfile::tempdir().expect("a directory");
    let help = || read(base.path()).expect_err("no report").help.expect("a way out");
    assert!(help().contains("`spnc run`"), "{}", help());
    fs::write(base.path().join("checkpoint.spnc"), "").expect("written");
    assert!(help().contains("`spnc resume "), "{}", help());
}

#[test]
fn start_values_come_from_runs_and_from_plain_files() {
    let base = tempfile::tempdir().expect("a directory");
    let folder = saved(base.path());
    let values = read_start_values(&folder).expect("whole");
    assert_eq!(values.keys().collect::<Vec<_>>(), ["net.w"]);
    let plain = base.path().join("start.npz");
    write_npz(&plain, &values).expect("written");
    assert_eq!(read_start_values(&plain), Ok(values));
}

#[test]
fn start_values_must_fit() {
    let mut holder = Holder::new();
    let value = |name: &str, value: ArrayD<f64>| IndexMap::from([(name.to_owned(), value)]);
    apply_start_values(&mut holder, &value("net.w", array![7.0, 8.0].into_dyn())).expect("fits");
    assert_eq!(holder.tensors[0], array![7.0, 8.0].into_dyn());
    let error = apply_start_values(&mut holder, &value("net.v", array![1.0, 2.0].into_dyn())).expect_err("unknown");
    assert_eq!(error.help.as_deref(), Some("name it `net.w`"));
    let error = apply_start_values(&mut holder, &value("net.w", array![1.0].into_dyn())).expect_err("too short");
    assert_eq!(error.to_string(), "the start value `net.w`: expected shape [2], found [1]");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_folder_is_refused_without_panic(file in 0..3_usize, at in any::<prop::sample::Index>(), byte: u8) {
        let base = tempfile::tempdir().expect("a directory");
        let folder = saved(base.path());
        let path = folder.join(["model.safetensors", "history.jsonl", "report.json"][file]);
        let mut bytes = fs::read(&path).expect("just written");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        fs::write(&path, &bytes).expect("written");
        let _ = read(&folder);
        fs::write(&path, &bytes[..at]).expect("written");
        // A history may end after any line.
        prop_assert!(read(&folder).is_err() || file == 1 || at + 1 == bytes.len());
        fs::remove_file(&path).expect("removed");
        prop_assert_eq!(read(&folder).expect_err("missing").fault, Fault::Missing);
    }
}

#[test]
fn a_model_with_a_flipped_bit_is_refused_or_the_same() {
    let base = tempfile::tempdir().expect("a directory");
    let folder = saved(base.path());
    let path = folder.join("model.safetensors");
    let (whole, bytes) = (read(&folder).expect("as it was written").model, fs::read(&path).expect("just written"));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        fs::write(&path, &flipped).expect("written");
        match read(&folder) {
            Ok(run) => assert_eq!(run.model, whole, "byte {at}"),
            Err(error) => assert_eq!(error.fault, Fault::Damaged, "byte {at}: {error}"),
        }
    }
    // The last one is of an element.
    assert_eq!(read(&folder).expect_err("another number").fault, Fault::Damaged);
}

#[test]
fn a_model_without_a_checksum_is_read() {
    let base = tempfile::tempdir().expect("a directory");
    let folder = saved(base.path());
    let whole = read(&folder).expect("as it was written").model;
    let named = whole.names().into_iter().map(|name| (name.clone(), whole.tensor(&name).into_owned())).collect();
    fs::write(folder.join("model.safetensors"), write::safetensors(&named).expect("bytes")).expect("written");
    assert_eq!(read(&folder).expect("as older versions wrote it").model, whole);
}

/// Whoever may read other files that the user makes may read this one; what was written on the way is gone.
#[test]
#[cfg(unix)]
fn a_file_of_tensors_is_as_open_as_any_other() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let [tensors, other] = ["model.safetensors", "other"].map(|name| folder.path().join(name));
    let of = IndexMap::from([("w", array![0.5, 0.1].into_dyn())]);
    write_safetensors(&tensors, &of, None).expect("written");
    fs::write(&other, "").expect("written");
    let [tensors, other] = [tensors, other].map(|path| fs::metadata(path).expect("it is there").permissions().mode());
    assert_eq!(tensors, other);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
}
