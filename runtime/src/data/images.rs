//! `images(…)`: a folder with a folder of images for each class → `image` [C, H, W] and `label`.
//!
//! | argument | meaning |
//! |---|---|
//! | `file` | the folder: of `train`, `val` and `test` (or any that are there) with a folder for each class, or of classes |
//! | `size` | `[H, W]` that images are brought to; without it they must all have one size |
//! | `fit: "stretch"` | height and width are scaled each for itself; else the middle that fits is cut out |
//! | `channels` | 3 (red, green, blue) or 1 (grey) |
//! | `test`, `hold_out`, `seed` | splits that are drawn, where there is no folder for them |
//!
//! Classes are numbered in the order of their names, and images come in the order of theirs. PNG and JPEG are read, each once,
//! when the data set is opened, and kept as bytes.

mod decode;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::args::{Args, Request};
use super::error::{DataError, Fault, list, quoted};
use super::split::{draw_test, hold_out};
use super::{Column, Dataset, Rows, Values, files};
use crate::program::Element;
use decode::{Form, decode_all};

const ARGS: &[&str] = &["file", "size", "fit", "channels", "test", "hold_out", "seed"];

/// The names that folders of the three splits have.
const SPLITS: [&[&str]; 3] = [&["train", "training"], &["val", "valid", "validation"], &["test"]];

/// `images("flowers", size: [64, 64])`.
pub(crate) fn open(request: &Request, search: &[PathBuf]) -> Result<Dataset, DataError> {
    let args = Args::new(request, ARGS)?;
    let folder = files::locate(args.file()?, search)?;
    if !folder.is_dir() {
        let error = DataError::new(Fault::Missing, quoted(&folder), "a folder of folders of images", "a file");
        return Err(error.help("name the folder that holds a folder for each class"));
    }
    let form = Form::new(&args)?;
    let listing = Listing::of(&args, &folder)?;
    let paths: Vec<&Path> = listing.images.iter().flatten().map(|(path, _)| path.as_path()).collect();
    let (shape, pixels) = decode_all(&paths, form)?;
    let labels = listing.images.iter().flatten().map(|(_, class)| *class as i32).collect();
    let image = Column::new("image", Element::Real, shape, Values::U8(pixels));
    let label = Column::new("label", Element::Integer, vec![], Values::I32(labels));
    let mut data = Dataset::of(vec![image, label], listing.rows(&args)?);
    data.constants = vec![("classes".to_owned(), listing.classes.len() as f64)];
    data.about = format!("classes {}", listing.classes.join(", "));
    hold_out(&args, data)
}

/// The images of each split, with the numbers of their classes.
struct Listing {
    classes: Vec<String>,
    images: [Vec<(PathBuf, usize)>; 3],
}

impl Listing {
    fn of(args: &Args<'_>, folder: &Path) -> Result<Listing, DataError> {
        let inside = folders_in(folder)?;
        let named = |names: &[&str]| inside.iter().find(|name| names.contains(&name.to_lowercase().as_str()));
        let splits = SPLITS.map(|names| named(names).map(|name| folder.join(name)));
        let splits = match &splits[0] {
            Some(_) => splits,
            None => [Some(folder.to_owned()), None, None],
        };
        if splits[2].is_some() && args.get("test").is_some() {
            return Err(args.fault("test", "one way to split", "a folder `test` besides it"));
        }
        let train = splits[0].as_deref().unwrap_or(folder);
        let classes = folders_in(train)?;
        if classes.is_empty() {
            let error = DataError::new(Fault::Missing, quoted(train), "a folder for each class", "no folders");
            return Err(error.help("put the images of each class into a folder of its own"));
        }
        let list =
            |split: &Option<PathBuf>| split.as_deref().map_or(Ok(vec![]), |split| images_in(split, train, &classes));
        let images = [list(&splits[0])?, list(&splits[1])?, list(&splits[2])?];
        Ok(Listing { classes, images })
    }

    /// The images of each split, all in a row.
    fn rows(&self, args: &Args<'_>) -> Result<[Rows; 3], DataError> {
        let [train, validation, test] = self.images.each_ref().map(Vec::len);
        let all = train + validation + test;
        if test > 0 {
            return Ok([
                Rows::Range(0..train),
                Rows::Range(train..train + validation),
                Rows::Range(train + validation..all),
            ]);
        }
        let list = |rows: Vec<usize>| Rows::List(rows.into_iter().map(|row| row as u32).collect());
        let (rest, test) = draw_test(args, train)?;
        Ok([list(rest), Rows::Range(train..all), list(test)])
    }
}

/// The names of the folders in a folder, in order.
fn folders_in(folder: &Path) -> Result<Vec<String>, DataError> {
    let names = files::names_in(folder)?;
    Ok(names.into_iter().filter(|name| folder.join(name).is_dir()).collect())
}

/// The images of a split by class, then by name.
fn images_in(split: &Path, train: &Path, classes: &[String]) -> Result<Vec<(PathBuf, usize)>, DataError> {
    let mut images = vec![];
    for name in folders_in(split)? {
        let Some(class) = classes.iter().position(|class| *class == name) else {
            let expected = format!("a class of {} ({})", quoted(train), list(classes.iter().map(String::as_str)));
            return Err(DataError::new(Fault::Name, quoted(split), expected, format!("`{name}`")));
        };
        let folder = split.join(&name);
        let names = files::names_in(&folder)?;
        let known = names.iter().filter(|name| decode::is_image(name)).map(|name| (folder.join(name), class));
        let before = images.len();
        images.extend(known);
        if images.len() == before {
            let others: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            let error = DataError::new(Fault::Missing, quoted(&folder), "png or jpeg images", list(others));
            return Err(error.help("take the folder away, or put images into it"));
        }
    }
    Ok(images)
}

#[cfg(test)]
mod tests;
