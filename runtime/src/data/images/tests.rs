use std::fs;
use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use proptest::prelude::*;

use super::*;
use crate::data::{Arg, Split, open as open_any};
use crate::program::FieldMut;

/// An image of one colour, but for a first column of another.
fn encoded(format: ImageFormat, width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, _| if x == 0 { Rgb([9, 9, 9]) } else { Rgb(colour) });
    let mut bytes = Cursor::new(vec![]);
    DynamicImage::ImageRgb8(image).write_to(&mut bytes, format).expect("encoded");
    bytes.into_inner()
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }
    dir
}

fn open_folder(dir: &Path, args: &[(&str, Arg)]) -> Result<Dataset, DataError> {
    let first = [(String::new(), Arg::Text(dir.display().to_string()))];
    let args = first.into_iter().chain(args.iter().map(|(name, arg)| ((*name).to_owned(), arg.clone()))).collect();
    open_any(&Request { source: "images".into(), args }, &[PathBuf::new()])
}

fn gathered(data: &Dataset, split: Split, field: usize) -> Vec<i32> {
    let rows = data.order(split, 1, None);
    let mut out = vec![0; rows.len() * data.fields()[field].shape.iter().product::<usize>()];
    data.gather(split, &rows, field, FieldMut::I32(&mut out));
    out
}

fn png(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    encoded(ImageFormat::Png, width, height, colour)
}

#[test]
fn a_folder_is_a_class() {
    let dir = folder(&[
        ("cat/b.png", png(3, 2, [1, 2, 3])),
        ("cat/a.png", png(3, 2, [4, 5, 6])),
        ("ant/c.PNG", png(3, 2, [7, 8, 9])),
        ("ant/notes.txt", b"not an image".to_vec()),
        ("README.md", b"no class".to_vec()),
    ]);
    let data = open_folder(dir.path(), &[]).expect("a folder of images");
    assert_eq!(data.fields()[0].shape, [3, 2, 3]);
    assert_eq!(gathered(&data, Split::Train, 1), [0, 1, 1]);
    let second = [9, 4, 4, 9, 4, 4, 9, 5, 5, 9, 5, 5, 9, 6, 6, 9, 6, 6];
    assert_eq!(gathered(&data, Split::Train, 0)[18..36], second, "`a` of cat, channel by channel");
    assert_eq!(data.about, "classes ant, cat");
    let grey = open_folder(dir.path(), &[("channels", Arg::Number(1.0))]).expect("a folder of images");
    assert_eq!(grey.fields()[0].shape, [1, 2, 3]);
}

#[test]
fn splits_can_be_folders() {
    let dir = folder(&[
        ("train/a/1.png", png(2, 2, [1; 3])),
        ("train/b/2.png", png(2, 2, [2; 3])),
        ("val/b/3.png", png(2, 2, [3; 3])),
        ("test/a/4.png", png(2, 2, [4; 3])),
    ]);
    let data = open_folder(dir.path(), &[]).expect("three splits");
    assert_eq!(
        [Split::Train, Split::Validation, Split::Test].map(|split| gathered(&data, split, 1)),
        [vec![0, 1], vec![1], vec![0]]
    );
    assert!(open_folder(dir.path(), &[("test", Arg::Number(0.5))]).is_err(), "two test splits");
    assert!(open_folder(dir.path(), &[("hold_out", Arg::Number(0.5))]).is_err(), "two validation splits");
    fs::rename(dir.path().join("test/a"), dir.path().join("test/c")).expect("renamed");
    let error = open_folder(dir.path(), &[]).expect_err("an unknown class");
    assert!(error.to_string().ends_with("(`a`, `b`), found `c`"), "{error}");
}

#[test]
fn images_are_brought_to_size() {
    let dir = folder(&[("a/1.png", png(8, 4, [200; 3])), ("a/2.jpg", encoded(ImageFormat::Jpeg, 30, 40, [200; 3]))]);
    let error = open_folder(dir.path(), &[]).expect_err("two sizes");
    assert!(error.to_string().contains("`: expected [4, 8] pixels, height and width, as "), "{error}");
    assert_eq!(error.help.as_deref(), Some("bring all to one size with `size: [4, 8]`"));
    let size = ("size", Arg::List(vec![4.0, 4.0]));
    let cropped = open_folder(dir.path(), std::slice::from_ref(&size)).expect("one size");
    assert!(gathered(&cropped, Split::Train, 0)[..48].iter().all(|&pixel| pixel == 200), "the dark side is cut off");
    let stretched = open_folder(dir.path(), &[size, ("fit", Arg::Text("stretch".into()))]).expect("one size");
    assert!(gathered(&stretched, Split::Train, 0)[..48].iter().any(|&pixel| pixel < 190), "the dark side is there");
    let held = [("hold_out", Arg::Number(0.5)), ("size", Arg::List(vec![2.0, 2.0]))];
    assert_eq!(open_folder(dir.path(), &held).expect("one of two").n(Split::Validation), 1);
}

#[test]
fn what_is_wrong_is_said() {
    let refused = |files: &[(&str, Vec<u8>)], args: &[(&str, Arg)], part: &str| {
        let dir = folder(files);
        let error = open_folder(dir.path(), args).expect_err("must be refused");
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    };
    let one = || ("a/1.png", png(2, 2, [0; 3]));
    refused(&[], &[], "a folder for each class, found no folders");
    refused(&[("a/x.txt", vec![])], &[], "png or jpeg images, found `x.txt`");
    refused(&[one(), ("a/2.png", vec![])], &[], "found an empty file");
    refused(&[one(), ("a/2.png", b"hello".to_vec())], &[], "2.png`: expected a png or jpeg image");
    refused(&[one(), ("a/2.png", png(9, 9, [1; 3])[..60].to_vec())], &[], "2.png`: expected a png or jpeg image");
    refused(&[one()], &[("size", Arg::Number(3.0))], "2 sizes");
    refused(&[one()], &[("channels", Arg::Number(2.0))], "3 (red, green, blue) or 1 (grey)");
    // A header that claims 2^30 by 2^30 pixels.
    let mut huge = png(2, 2, [0; 3]);
    huge[16..24].copy_from_slice(&[0x40, 0, 0, 0, 0x40, 0, 0, 0]);
    refused(&[("a/1.png", huge)], &[], "1.png`: expected a png or jpeg image");
}

proptest! {
    #[test]
    fn damage_anywhere_in_an_image_is_no_panic(at in any::<prop::sample::Index>(), byte: u8, cut: bool, jpeg: bool) {
        let format = if jpeg { ImageFormat::Jpeg } else { ImageFormat::Png };
        let mut bytes = encoded(format, 11, 7, [30, 60, 90]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut { bytes.truncate(at) }
        let _ = decode::parse(&bytes);
    }
}
