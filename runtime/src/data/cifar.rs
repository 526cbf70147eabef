//! `cifar10(…)` and `cifar100(…)`: the binary form of CIFAR, plain or gzip.
//!
//! A file is a row of records: one label byte (CIFAR-100: a coarse one before the fine one), then 32x32 pixels of red, of
//! green and of blue. Any of the training files may be missing; `lacks` says which.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::{Args, Request};
use super::error::{DataError, Fault, list, quoted};
use super::files::{self, Source};
use super::split::hold_out;
use super::{Column, Dataset, Values};
use crate::program::Element;

/// One of the two data sets.
struct Kind {
    train: &'static [&'static str],
    test: &'static str,
    /// The names of the classes, one a line.
    names: &'static str,
    classes: usize,
    /// The label bytes before the pixels; the last one counts.
    labels: usize,
}

const CIFAR10: Kind = Kind {
    train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
    test: "test_batch.bin",
    names: "batches.meta.txt",
    classes: 10,
    labels: 1,
};

const CIFAR100: Kind =
    Kind { train: &["train.bin"], test: "test.bin", names: "fine_label_names.txt", classes: 100, labels: 2 };

/// The bytes of an image.
const PIXELS: usize = 3 * 32 * 32;

/// No file of CIFAR has more records.
const MOST: usize = 100_000;

/// `cifar10("folder")`.
pub(crate) fn open_10(request: &Request, search: &[PathBuf]) -> Result<Dataset, DataError> {
    open(&CIFAR10, request, search)
}

/// `cifar100("folder")`.
pub(crate) fn open_100(request: &Request, search: &[PathBuf]) -> Result<Dataset, DataError> {
    open(&CIFAR100, request, search)
}

fn open(kind: &Kind, request: &Request, search: &[PathBuf]) -> Result<Dataset, DataError> {
    let args = Args::new(request, &["file", "hold_out", "seed"])?;
    let folder = files::locate(args.file()?, search)?;
    if !folder.is_dir() {
        let error = DataError::new(Fault::Missing, quoted(&folder), "a folder of CIFAR files", "a file");
        return Err(error.help("unpack the archive, and name the folder that the files lie in"));
    }
    let (train, missing) = training_files(kind, &folder)?;
    let test = files::locate(kind.test, std::slice::from_ref(&folder)).map_err(|error| needed(kind, error))?;
    let mut records = Records::default();
    train.iter().try_for_each(|path| records.read(kind, path))?;
    let n_train = records.labels.len();
    records.read(kind, &test)?;
    let n_test = records.labels.len() - n_train;
    let image = Column::new("image", Element::Real, vec![3, 32, 32], Values::U8(records.images));
    let label = Column::new("label", Element::Integer, vec![], Values::U8(records.labels));
    let mut data = Dataset::new(vec![image, label], n_train, n_test);
    data.constants = vec![("classes".to_owned(), kind.classes as f64)];
    data.about = about(kind, &folder);
    data.lacks = lacks(&folder, &missing, n_train);
    hold_out(&args, data)
}

/// The training files that are there, and the names of those that are not.
fn training_files(kind: &Kind, folder: &Path) -> Result<(Vec<PathBuf>, Vec<&'static str>), DataError> {
    let search = [folder.to_owned()];
    let (mut there, mut missing, mut first) = (vec![], vec![], None);
    for &name in kind.train {
        match files::locate(name, &search) {
            Ok(path) => there.push(path),
            Err(error) => {
                missing.push(name);
                first = first.or(Some(error));
            }
        }
    }
    match first {
        Some(error) if there.is_empty() => Err(needed(kind, error)),
        Some(_) | None => Ok((there, missing)),
    }
}

fn needed(kind: &Kind, error: DataError) -> DataError {
    let names = kind.train.iter().copied().chain([kind.test]);
    error.help(format!("the folder needs the binary form of the data set: {}, each plain or as `.gz`", list(names)))
}

fn about(kind: &Kind, folder: &Path) -> String {
    let names = fs::read_to_string(folder.join(kind.names)).unwrap_or_default();
    let names: Vec<&str> = names.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    match names.len() {
        n if n == kind.classes => format!("classes {}", names.join(", ")),
        _ => format!("{} classes", kind.classes),
    }
}

fn lacks(folder: &Path, missing: &[&str], n_train: usize) -> Option<String> {
    let names = list(missing.iter().copied());
    (!missing.is_empty()).then(|| format!("{} has no {names}, so there are {n_train} training images", quoted(folder)))
}

/// What has been read.
#[derive(Default)]
struct Records {
    images: Vec<u8>,
    labels: Vec<u8>,
}

impl Records {
    /// Appends the records of a file.
    fn read(&mut self, kind: &Kind, path: &Path) -> Result<(), DataError> {
        let source = Source::open(path)?;
        let place = source.place.clone();
        self.parse(kind, &place, &source.bytes_up_to(MOST * (kind.labels + PIXELS))?)
    }

    fn parse(&mut self, kind: &Kind, place: &str, bytes: &[u8]) -> Result<(), DataError> {
        let size = kind.labels + PIXELS;
        if bytes.is_empty() || !bytes.len().is_multiple_of(size) {
            let expected = format!("records of {size} bytes, one after the other");
            let error = DataError::new(Fault::Damaged, place, expected, format!("{} bytes", bytes.len()));
            return Err(error.help("fetch the file again: the binary form, not the one for Python"));
        }
        self.images.reserve_exact(bytes.len() / size * PIXELS);
        for (index, record) in bytes.chunks_exact(size).enumerate() {
            let label = record[kind.labels - 1];
            if usize::from(label) >= kind.classes {
                let (place, expected) = (format!("{place}, record {index}"), format!("a label below {}", kind.classes));
                let error = DataError::new(Fault::Value, place, expected, label.to_string());
                return Err(error.help("is this file of another data set, or damaged?"));
            }
            self.labels.push(label);
            self.images.extend_from_slice(&record[kind.labels..]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::data::{Arg, Split, known_data, open as open_any};
    use crate::program::FieldMut;

    /// Records with these labels, the pixels of record `i` all `i`.
    fn records(kind: &Kind, labels: &[u8]) -> Vec<u8> {
        let record = |(index, label): (usize, &u8)| [vec![*label; kind.labels], vec![index as u8; PIXELS]].concat();
        labels.iter().enumerate().flat_map(record).collect()
    }

    fn open_folder(source: &str, dir: &Path, args: &[(&str, f64)]) -> Result<Dataset, DataError> {
        let first = [(String::new(), Arg::Text(dir.display().to_string()))];
        let rest = args.iter().map(|&(name, value)| (name.to_owned(), Arg::Number(value)));
        let args = first.into_iter().chain(rest).collect();
        open_any(&Request { source: source.into(), args }, &[PathBuf::new()])
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, bytes: Vec<u8>| fs::write(dir.path().join(name), bytes).expect("written");
        write("data_batch_1.bin", records(&CIFAR10, &[9, 1]));
        let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&records(&CIFAR10, &[3, 4, 5])).expect("packed");
        write("data_batch_3.bin.gz", packed.finish().expect("packed"));
        write("test_batch.bin", records(&CIFAR10, &[7]));
        dir
    }

    #[test]
    fn the_files_that_are_there_are_read_in_order_and_the_others_named() {
        let dir = folder();
        let data = open_folder("cifar10", dir.path(), &[]).expect("whole files");
        assert_eq!((data.n(Split::Train), data.n(Split::Test)), (5, 1));
        let mut labels = [0; 5];
        data.gather(Split::Train, &[0, 1, 2, 3, 4], 1, FieldMut::I32(&mut labels));
        assert_eq!(labels, [9, 1, 3, 4, 5]);
        let mut pixels = vec![0.0; PIXELS];
        data.gather(Split::Train, &[4], 0, FieldMut::F32(&mut pixels));
        assert!(pixels.iter().all(|&pixel| pixel == 2.0));
        let missing =
            "has no `data_batch_2.bin`, `data_batch_4.bin`, `data_batch_5.bin`, so there are 5 training images";
        assert!(data.lacks.as_ref().is_some_and(|lacks| lacks.ends_with(missing)), "{:?}", data.lacks);
        let held = open_folder("cifar10", dir.path(), &[("hold_out", 2.0)]).expect("whole files");
        assert_eq!((held.n(Split::Train), held.n(Split::Validation)), (3, 2));
    }

    #[test]
    fn of_two_labels_the_fine_one_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut bytes = records(&CIFAR100, &[99]);
        bytes[0] = 19;
        let _ = ["train.bin", "test.bin"].map(|name| fs::write(dir.path().join(name), &bytes).expect("written"));
        let mut label = [0];
        let data = open_folder("cifar100", dir.path(), &[]).expect("whole files");
        data.gather(Split::Test, &[0], 1, FieldMut::I32(&mut label));
        assert_eq!(label, [99]);
        assert_eq!(data.constants, [("classes".to_owned(), 100.0)]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let dir = folder();
        let path = dir.path().join("data_batch_1.bin");
        fs::write(&path, records(&CIFAR10, &[1, 10])).expect("written");
        let error = open_folder("cifar10", dir.path(), &[]).expect_err("ten classes");
        assert!(error.to_string().ends_with("record 1: expected a label below 10, found 10"), "{error}");
        fs::write(&path, [0; 5000]).expect("written");
        assert_eq!(open_folder("cifar10", dir.path(), &[]).expect_err("truncated").fault, Fault::Damaged);
        fs::write(&path, []).expect("written");
        assert_eq!(open_folder("cifar10", dir.path(), &[]).expect_err("empty").fault, Fault::Damaged);
        fs::remove_file(dir.path().join("test_batch.bin")).expect("removed");
        let error = open_folder("cifar10", dir.path(), &[]).expect_err("no test file");
        assert!(error.help.expect("a way out").contains("`test_batch.bin`"));
        let error = open_folder("cifar100", dir.path(), &[]).expect_err("another data set");
        assert!(error.to_string().starts_with("`train.bin`: expected a file"), "{error}");
        assert_eq!(open_folder("cifar10", &path, &[]).expect_err("a file").fault, Fault::Missing);
    }

    #[test]
    fn cifar_is_cifar() {
        let Some(search) = known_data("cifar10/data_batch_1.bin.gz") else { return };
        let request = Request { source: "cifar10".into(), args: vec![(String::new(), Arg::Text("cifar10".into()))] };
        let data = open_any(&request, &search).expect("the files are whole");
        assert_eq!(data.n(Split::Test), 10_000);
        assert!(data.n(Split::Train) >= 10_000 && data.n(Split::Train).is_multiple_of(10_000));
        let mut labels = [0; 10];
        let rows: Vec<usize> = (0..10).collect();
        data.gather(Split::Train, &rows, 1, FieldMut::I32(&mut labels));
        assert_eq!(labels, [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]);
        data.gather(Split::Test, &rows, 1, FieldMut::I32(&mut labels));
        assert_eq!(labels, [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]);
        assert!(data.about.contains("airplane, automobile, bird"), "{}", data.about);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..9), n in 0_usize..3, cut in 0_usize..3) {
            for kind in [CIFAR10, CIFAR100] {
                let whole = [records(&kind, &vec![5; n]), bytes.clone()].concat();
                let read = Records::default().parse(&kind, "`x`", &whole[..whole.len() - cut.min(whole.len())]);
                prop_assert_eq!(read.is_ok(), n > 0 && bytes.len() == cut || n > 1 && bytes.is_empty() && cut == 0);
            }
        }
    }
}
