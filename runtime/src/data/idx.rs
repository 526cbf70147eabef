//! The idx format of MNIST: `0 0 type rank`, big-endian sizes, then the elements.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::args::{Args, Request};
use super::error::{DataError, Fault, list, quoted};
use super::files::{self, Source};
use super::split::hold_out;
use super::{Column, Dataset, Values};
use crate::program::Element;

/// The four files of such a data set: images and labels of each split.
const TRAIN: [&str; 2] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
const TEST: [&str; 2] = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// `idx("mnist")`: a folder with the four standard files, plain or packed.
pub(crate) fn open(request: &Request, search: &[PathBuf]) -> Result<Dataset, DataError> {
    let args = Args::new(request, &["file", "hold_out", "seed"])?;
    let folder = files::locate(args.file()?, search)?;
    if !folder.is_dir() {
        let error = DataError::new(Fault::Missing, quoted(&folder), "a folder with four idx files", "a file");
        return Err(error.help("name the folder that the file lies in"));
    }
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    let (n_train, shape) = read_split(&folder, TRAIN, &mut images, &mut labels)?;
    let (n_test, test_shape) = read_split(&folder, TEST, &mut images, &mut labels)?;
    if test_shape != shape {
        let (expected, found) = (format!("images of {shape:?} as in training"), format!("{test_shape:?}"));
        return Err(DataError::new(Fault::Disagreement, quoted(&folder.join(TEST[0])), expected, found));
    }
    let image = Column::new("image", Element::Real, shape, Values::U8(images));
    let label = Column::new("label", Element::Integer, vec![], Values::U8(labels));
    hold_out(&args, Dataset::new(vec![image, label], n_train, n_test))
}

/// Appends a split and returns its number of samples and the shape of an image.
fn read_split(
    folder: &Path,
    [images, labels]: [&str; 2],
    image_bytes: &mut Vec<u8>,
    label_bytes: &mut Vec<u8>,
) -> Result<(usize, Vec<usize>), DataError> {
    let image_path = member(folder, images)?;
    let shape = read(&mut Source::open(&image_path)?, 3, image_bytes)?;
    let label_path = member(folder, labels)?;
    let label_shape = read(&mut Source::open(&label_path)?, 1, label_bytes)?;
    if label_shape[0] != shape[0] {
        let expected = format!("{} labels, one for each image of {}", shape[0], quoted(&image_path));
        let error = DataError::new(Fault::Disagreement, quoted(&label_path), expected, label_shape[0].to_string());
        return Err(error.help("take both files from the same source"));
    }
    Ok((shape[0], shape[1..].to_vec()))
}

/// Finds a file under its names in use: `…-idx3-ubyte`, `….idx3-ubyte`, either with `.gz`.
fn member(folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    let dotted = name.replacen("-idx", ".idx", 1);
    let search = [folder.to_owned()];
    let found = files::locate(name, &search).or_else(|error| files::locate(&dotted, &search).map_err(|_| error));
    found.map_err(|error| {
        let needed = || TRAIN.into_iter().chain(TEST);
        match &error.help {
            // A misspelt file is worth naming, another one of the four is not.
            Some(help) if help.starts_with("there is") && !needed().any(|name| help.contains(name)) => error,
            Some(_) | None => error.help(format!("the folder needs {}", list(needed()))),
        }
    })
}

/// Appends the elements of an idx file of bytes and returns its shape, which must have `rank` axes.
fn read(source: &mut Source, rank: u8, out: &mut Vec<u8>) -> Result<Vec<usize>, DataError> {
    let shape = read_shape(source, rank)?;
    let place = &source.place;
    let header = 4 + 4 * u64::from(rank);
    let size = shape.iter().try_fold(1_u64, |size, &axis| size.checked_mul(axis as u64)).unwrap_or(u64::MAX);
    if size > source.at_most.saturating_sub(header) {
        return Err(truncated(place, &shape, &format!("at most {}", source.at_most.saturating_sub(header))));
    }
    out.reserve_exact(size as usize);
    let start = out.len();
    let io = |error| DataError::io(place, &error);
    let read = source.reader.by_ref().take(size.saturating_add(1)).read_to_end(out).map_err(io)? as u64;
    if read < size {
        return Err(truncated(place, &shape, &read.to_string()));
    }
    if read > size {
        let error = DataError::new(Fault::Damaged, place, format!("{size} bytes for shape {shape:?}"), "more");
        return Err(error.help("fetch the file again, or compare its checksum with the published one"));
    }
    debug_assert_eq!(out.len() - start, size as usize);
    Ok(shape)
}

fn truncated(place: &str, shape: &[usize], found: &str) -> DataError {
    let expected = format!("as many bytes as shape {shape:?} has");
    let error = DataError::new(Fault::Damaged, place, expected, found);
    error.help("the file is truncated: fetch it again")
}

/// Reads magic and sizes.
fn read_shape(source: &mut Source, rank: u8) -> Result<Vec<usize>, DataError> {
    let mut magic = [0; 4];
    fill(source, &mut magic)?;
    if magic != [0, 0, 8, rank] {
        let expected = format!("the idx magic number 0x{:08x}", 0x800 + u32::from(rank));
        let found = format!("0x{:08x}", u32::from_be_bytes(magic));
        let error = DataError::new(Fault::Damaged, &source.place, expected, found);
        return Err(match magic {
            [0, 0, 8, 1] => error.help("this is a file of labels"),
            [0, 0, 8, 3] => error.help("this is a file of images"),
            _ => error.help("this is not an idx file of bytes"),
        });
    }
    let mut shape = Vec::new();
    for _ in 0..rank {
        let mut size = [0; 4];
        fill(source, &mut size)?;
        shape.push(u32::from_be_bytes(size) as usize);
    }
    if shape.contains(&0) {
        return Err(DataError::new(Fault::Damaged, &source.place, "at least one sample", format!("shape {shape:?}")));
    }
    Ok(shape)
}

fn fill(source: &mut Source, bytes: &mut [u8]) -> Result<(), DataError> {
    let wanted = bytes.len() as u64;
    let mut read = Vec::new();
    let io = |error| DataError::io(&source.place, &error);
    let _ = source.reader.by_ref().take(wanted).read_to_end(&mut read).map_err(io)?;
    if read.len() < bytes.len() {
        let error = DataError::new(Fault::Damaged, &source.place, "the header of an idx file", "the end of the file");
        return Err(error.help("the file is truncated: fetch it again"));
    }
    bytes.copy_from_slice(&read);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Cursor, Write};

    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::data::{Arg, Split, open as open_any};
    use crate::program::FieldMut;

    fn source(bytes: Vec<u8>) -> Source {
        Source { place: "`x`".into(), at_most: bytes.len() as u64, reader: Box::new(Cursor::new(bytes)) }
    }

    fn idx(shape: &[u32], fill: impl Fn(usize) -> u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, shape.len() as u8];
        shape.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
        bytes.extend((0..shape.iter().product::<u32>() as usize).map(fill));
        bytes
    }

    /// A folder with three training and two test images of 2x2.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, bytes: Vec<u8>| fs::write(dir.path().join(name), bytes).expect("written");
        write(TRAIN[0], idx(&[3, 2, 2], |i| i as u8));
        write(TRAIN[1], idx(&[3], |i| i as u8));
        write(TEST[0], idx(&[2, 2, 2], |i| 100 + i as u8));
        let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&idx(&[2], |i| 7 + i as u8)).expect("packed");
        write("t10k-labels.idx1-ubyte.gz", packed.finish().expect("packed"));
        dir
    }

    fn open_folder(dir: &Path) -> Result<Dataset, DataError> {
        let file = dir.display().to_string();
        open_any(&Request { source: "idx".into(), args: vec![(String::new(), Arg::Text(file))] }, &[PathBuf::new()])
    }

    #[test]
    fn four_files_are_one_data_set() {
        let dir = folder();
        let data = open_folder(dir.path()).expect("a whole folder");
        assert_eq!((data.n(Split::Train), data.n(Split::Test)), (3, 2));
        let mut pixels = [0.0; 8];
        data.gather(Split::Train, &[2, 0], 0, FieldMut::F32(&mut pixels));
        assert_eq!(pixels, [8.0, 9.0, 10.0, 11.0, 0.0, 1.0, 2.0, 3.0]);
        let mut labels = [0; 2];
        data.gather(Split::Test, &[0, 1], 1, FieldMut::I32(&mut labels));
        assert_eq!(labels, [7, 8]);
    }

    #[test]
    fn labels_must_match_images() {
        let dir = folder();
        fs::write(dir.path().join(TRAIN[1]), idx(&[4], |_| 0)).expect("written");
        let error = open_folder(dir.path()).expect_err("four labels for three images");
        assert_eq!(error.fault, Fault::Disagreement);
        assert!(error.expected.starts_with("3 labels"), "{error}");
    }

    #[test]
    fn a_missing_file_lists_what_is_needed() {
        let dir = folder();
        fs::remove_file(dir.path().join(TEST[0])).expect("removed");
        let error = open_folder(dir.path()).expect_err("no test images");
        assert_eq!(error.fault, Fault::Missing);
        assert!(error.to_string().contains(TEST[0]), "{error}");
    }

    #[test]
    fn swapped_files_are_named_as_what_they_are() {
        let error = read(&mut source(idx(&[3], |_| 0)), 3, &mut Vec::new()).expect_err("labels");
        assert_eq!(error.help.as_deref(), Some("this is a file of labels"));
    }

    #[test]
    fn a_huge_declared_size_is_refused_before_it_is_allocated() {
        let mut bytes = vec![0, 0, 8, 3];
        bytes.extend([0xff; 12]);
        let mut out = Vec::new();
        let error = read(&mut source(bytes), 3, &mut out).expect_err("no such bytes");
        assert_eq!((error.fault, out.capacity()), (Fault::Damaged, 0));
    }

    #[test]
    fn mnist_is_mnist() {
        let Some(search) = crate::data::known_data("mnist") else { return };
        let request = Request { source: "idx".into(), args: vec![(String::new(), Arg::Text("mnist".into()))] };
        let data = open_any(&request, &search).expect("the files are whole");
        assert_eq!((data.n(Split::Train), data.n(Split::Test)), (60_000, 10_000));
        assert_eq!(data.fields()[0].shape, [28, 28]);
        let mut labels = [0; 10];
        let rows: Vec<usize> = (0..10).collect();
        data.gather(Split::Train, &rows, 1, FieldMut::I32(&mut labels));
        assert_eq!(labels, [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
        data.gather(Split::Test, &rows, 1, FieldMut::I32(&mut labels));
        assert_eq!(labels, [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
        let rows: Vec<usize> = (0..1000).collect();
        let mut pixels = vec![0; 1000 * 784];
        data.gather(Split::Test, &rows, 0, FieldMut::I32(&mut pixels));
        let mean = f64::from(pixels.iter().sum::<i32>()) / pixels.len() as f64;
        assert!((30.0..37.0).contains(&mean), "{mean}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), rank in 1_u8..4) {
            let _ = read(&mut source(bytes), rank, &mut Vec::new());
        }

        #[test]
        fn damage_to_a_packed_file_is_refused_or_harmless(at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
            let whole = idx(&[4, 3, 3], |i| (i * i) as u8);
            let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::best());
            packed.write_all(&whole).expect("packed");
            let mut bytes = packed.finish().expect("packed");
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if cut { bytes.truncate(at) }
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("x.gz");
            fs::write(&path, bytes).expect("written");
            let mut out = Vec::new();
            let read = Source::open(&path).and_then(|mut source| read(&mut source, 3, &mut out));
            prop_assert!(read.is_err() || out == whole[16..], "other pixels were read");
        }

        #[test]
        fn a_file_cut_or_lengthened_anywhere_is_refused(cut in 0_usize..23, extra in 1_usize..9) {
            let whole = idx(&[2, 2, 2], |i| i as u8);
            prop_assert!(read(&mut source(whole[..cut.min(whole.len() - 1)].to_vec()), 3, &mut Vec::new()).is_err());
            let longer = [whole, vec![0; extra]].concat();
            prop_assert!(read(&mut source(longer), 3, &mut Vec::new()).is_err());
        }
    }
}
