use std::fs;
use std::io::Write;

use ndarray::{Array2, ShapeBuilder, array};
use ndarray_npy::WriteNpyExt;
use proptest::prelude::*;

use super::*;
use crate::data::{Arg, Dataset, Request, Split, known_data, open};
use crate::program::{Element, FieldMut};
use crate::store::{write_npz, write_safetensors};

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16 + 1).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
}

fn only(bytes: &[u8]) -> Result<ArrayD<f64>, DataError> {
    parse("`x`", bytes, false).map(|tensors| tensors[""].to_array())
}

#[test]
fn every_element_type_is_read() {
    let cases: &[(&str, &[u8])] = &[
        ("|b1", &[1, 0]),
        ("|u1", &[1, 0]),
        ("|i1", &[1, 0]),
        ("<u2", &[1, 0, 0, 0]),
        (">i2", &[0, 1, 0, 0]),
        ("<u4", &[1, 0, 0, 0, 0, 0, 0, 0]),
        (">i4", &[0, 0, 0, 1, 0, 0, 0, 0]),
        ("<i8", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("<u8", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("<f4", &[0, 0, 0x80, 0x3f, 0, 0, 0, 0]),
        (">f8", &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ];
    for (descr, data) in cases {
        assert_eq!(only(&npy(&header(descr, "(2,)"), data)), Ok(array![1.0, 0.0].into_dyn()), "{descr}");
    }
}

#[test]
fn what_others_write_is_read() {
    let rows = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let columns = Array2::from_shape_fn((2, 3).f(), |index| rows[index]);
    for array in [rows.clone(), columns] {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).expect("written");
        assert_eq!(only(&bytes), Ok(rows.mapv(f64::from).into_dyn()));
    }
}

#[test]
fn damaged_arrays_are_refused_with_a_reason() {
    let refused = |bytes: &[u8], part: &str| {
        let error = only(bytes).expect_err("must be refused");
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    };
    refused(b"", "an empty file");
    refused(b"hello", "68 65 6c 6c 6f");
    refused(b"\x93NUMPY", "the end of the file");
    refused(&npy(&header("<f4", "(3,)"), &[0; 8]), "12 bytes for shape [3]");
    refused(&npy(&header("<f4", "(1,)"), &[0; 8]), "4 bytes for shape [1]");
    refused(&npy(&header("<f4", "(4611686018427387904, 4)"), &[0; 8]), "more than a file can have");
    refused(&npy(&header("<c8", "(1,)"), &[0; 8]), "type '<c8'");
    refused(&npy(&header("<i8", "(1,)"), &[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]), "1099511627775");
    refused(&npy(&"(".repeat(9000), &[]), "other bytes");
    refused(&npy("{'descr': '<f4'}", &[]), "missing key");
    let huge = [b"\x93NUMPY\x02\x00".as_slice(), &[0xff; 4]].concat();
    refused(&huge, "4294967295 bytes");
}

fn tensors() -> IndexMap<String, ArrayD<f64>> {
    let scalar = ArrayD::from_elem(vec![], 0.1);
    let matrix = array![[1.0, 2.0], [0.5, -3.0]].into_dyn();
    IndexMap::from([("net.w".to_owned(), matrix), ("net.b".to_owned(), scalar)])
}

#[test]
fn written_tensors_are_read_back_exactly() {
    let dir = tempfile::tempdir().expect("a directory");
    let (npz, safetensors) = (dir.path().join("a.npz"), dir.path().join("a.safetensors"));
    write_npz(&npz, &tensors()).expect("written");
    write_safetensors(&safetensors, &tensors(), None).expect("written");
    for path in [npz, safetensors] {
        let read = read_tensors(&path).expect("whole");
        assert_eq!(read.len(), 2);
        tensors().iter().for_each(|(name, tensor)| assert_eq!(&read[name], tensor, "{}", path.display()));
    }
    let search = [dir.path().to_owned()];
    assert_eq!(load("a.npz", Some("net.b"), &search).map(|tensor| tensor.sum()), Ok(0.1));
    let error = load("a.npz", Some("net.ww"), &search).expect_err("no such tensor");
    assert_eq!((error.fault, error.help.as_deref()), (Fault::Name, Some("write \"net.w\"")));
    assert!(load("a.npz", None, &search).expect_err("two tensors").to_string().contains("`net.w`, `net.b`"));
    assert!(load("b.npz", None, &search).expect_err("no file").help.expect("a near miss").contains("a.npz"));
}

fn source(name: &str, file: &str, more: &[(&str, Arg)], dir: &Path) -> Result<Dataset, DataError> {
    let first = [(String::new(), Arg::Text(file.into()))];
    let args = first.into_iter().chain(more.iter().map(|(name, arg)| ((*name).to_owned(), arg.clone()))).collect();
    open(&Request { source: name.into(), args }, &[dir.to_owned()])
}

#[test]
fn a_table_is_a_matrix_with_or_without_a_header() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    write("plain.csv", "1, 2\n3,4\n0.5,-1e3\n");
    write("named.csv", "a,b\n1,2\n3,4\n0.5,-1000\n");
    write("bad.csv", "1,2\n3,x\n");
    write("ragged.csv", "1,2\n3\n");
    let search = [dir.path().to_owned()];
    let expected = array![[1.0, 2.0], [3.0, 4.0], [0.5, -1000.0]].into_dyn();
    assert_eq!(load("plain.csv", None, &search), Ok(expected.clone()));
    assert_eq!(load("named.csv", None, &search), Ok(expected));
    assert!(load("bad.csv", None, &search).expect_err("x").to_string().contains("line 2, column `2`"));
    assert_eq!(load("ragged.csv", None, &search).expect_err("one cell").fault, Fault::Disagreement);
    assert!(load("plain.csv", Some("a"), &search).expect_err("no names").help.expect("a way").contains("leave"));
}

#[test]
fn the_adjacency_of_the_sensors_is_symmetric() {
    let Some(search) = known_data("traffic-los/los_adj.csv.gz") else { return };
    let matrix = load("traffic-los/los_adj.csv", None, &search).expect("a whole file");
    assert_eq!(matrix.shape(), [207, 207]);
    assert_eq!(matrix.iter().filter(|&&x| x != 0.0).count(), 2833);
    assert!((0..207).all(|i| matrix[[i, i]] == 1.0 && (0..207).all(|j| matrix[[i, j]] == matrix[[j, i]])));
}

#[test]
fn arrays_are_fields() {
    let dir = tempfile::tempdir().expect("a directory");
    let column = |n: usize| ArrayD::from_shape_fn(vec![n, 2], |index| (2 * index[0] + index[1]) as f64);
    write_npz(&dir.path().join("a.npz"), &IndexMap::from([("signal".to_owned(), column(5))])).expect("written");
    let data = source("npz", "a.npz", &[("test", Arg::Number(2.0))], dir.path()).expect("whole");
    assert_eq!((data.n(Split::Train), data.n(Split::Test)), (3, 2));
    assert_eq!((data.fields()[0].name.as_str(), &data.fields()[0].shape[..]), ("signal", &[2][..]));

    let splits = IndexMap::from([("x_train".to_owned(), column(3)), ("x_test".to_owned(), column(1))]);
    write_npz(&dir.path().join("b.npz"), &splits).expect("written");
    let data = source("npz", "b.npz", &[], dir.path()).expect("whole");
    let mut last = [0.0; 2];
    data.gather(Split::Train, &[2], 0, FieldMut::F32(&mut last));
    assert_eq!((data.fields()[0].name.as_str(), data.n(Split::Test), last), ("x", 1, [4.0, 5.0]));

    fs::write(dir.path().join("x.npy"), npy(&header("<f4", "(2, 1)"), &[0; 8])).expect("written");
    fs::write(dir.path().join("y.npy"), npy(&header("|u1", "(2,)"), &[3, 4])).expect("written");
    fs::write(dir.path().join("z.npy"), npy(&header("|u1", "(3,)"), &[3, 4, 5])).expect("written");
    fs::write(dir.path().join("nan.npy"), npy(&header("<f4", "(1,)"), &[0, 0, 0xc0, 0x7f])).expect("written");
    let data = source("npy", "x.npy", &[("target", Arg::Text("y.npy".into()))], dir.path()).expect("whole");
    assert_eq!(data.fields()[1].element, Element::Integer);
    let error = source("npy", "x.npy", &[("target", Arg::Text("z.npy".into()))], dir.path()).expect_err("3 for 2");
    assert_eq!(error.fault, Fault::Disagreement);
    assert_eq!(source("npy", "nan.npy", &[], dir.path()).expect_err("not a number").fault, Fault::Value);
    assert!(source("npy", "a.npz", &[], dir.path()).expect_err("named").help.expect("a way").contains("npz("));
    assert!(source("npz", "x.npy", &[], dir.path()).expect_err("unnamed").help.expect("a way").contains("npy("));
}

#[test]
fn the_archives_of_the_model_zoo_are_read() {
    let Some(search) = known_data("onnx-mnist/test_data_0.npz") else { return };
    let inputs = load("onnx-mnist/test_data_0.npz", Some("inputs"), &search).expect("whole");
    assert_eq!(inputs.len(), 784);
}

/// An archive with one packed member.
fn packed() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("w.npy", zip::write::SimpleFileOptions::default()).expect("started");
    archive.write_all(&npy(&header("<f4", "(2,)"), &[1; 8])).expect("written");
    archive.finish().expect("finished").into_inner()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_make_it_panic(start in 0..5_usize, bytes in prop::collection::vec(any::<u8>(), 0..96)) {
        let starts: [&[u8]; 5] = [b"", npy::MAGIC, npz::MAGIC, npz::EMPTY, b"\x93NUMPY\x01\x00\x20\x00"];
        let _ = parse("`x`", &[starts[start], &bytes].concat(), true);
    }

    #[test]
    fn no_header_makes_it_panic(text in "[{}()\\[\\]':,<f0-9a-z +.jbL-]{0,80}", data in prop::collection::vec(any::<u8>(), 0..9)) {
        let _ = parse("`x`", &npy(&text, &data), false);
        let _ = parse("`x`", &npy(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {text}}}"), &data), false);
    }

    #[test]
    fn damage_anywhere_in_an_archive_is_no_panic(at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let mut bytes = packed();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut { bytes.truncate(at) }
        let _ = parse("`x`", &bytes, false);
    }

    #[test]
    fn damage_anywhere_in_safetensors_is_no_panic(at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.safetensors");
        write_safetensors(&path, &tensors(), None).expect("written");
        let mut bytes = fs::read(path).expect("just written");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut { bytes.truncate(at) }
        let _ = parse("`x`", &bytes, true);
    }
}
