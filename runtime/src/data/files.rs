//! Finding and opening data files: search directories, gzip by its magic, near misses.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::error::{DataError, Fault, near_miss, quoted};

/// Deflate cannot expand a byte to more than about this many.
const MAX_EXPANSION: u64 = 1100;

/// Looks for `name`, or `name.gz`, in each directory of `search` in turn.
pub(crate) fn locate(name: &str, search: &[PathBuf]) -> Result<PathBuf, DataError> {
    if name.is_empty() {
        return Err(DataError::new(Fault::Missing, "the file name", "a name", "an empty string"));
    }
    let packed = format!("{name}.gz");
    search
        .iter()
        .flat_map(|dir| [dir.join(name), dir.join(&packed)])
        .find(|path| path.exists())
        .ok_or_else(|| not_found(name, search))
}

fn not_found(name: &str, search: &[PathBuf]) -> DataError {
    let mut dirs: Vec<String> = search.iter().map(|dir| quoted(dir)).collect();
    dirs.dedup();
    let found =
        if dirs.is_empty() { "no directory to search".to_owned() } else { format!("none in {}", dirs.join(", ")) };
    let error = DataError::new(Fault::Missing, format!("`{name}`"), "a file or folder of this name", found);
    match search.iter().find_map(|dir| neighbour(&dir.join(name))) {
        Some(near) => error.help(format!("there is {}", quoted(&near))),
        None => error.help("name the directory that holds it with `--data DIR`"),
    }
}

/// The entry of the same directory whose name is nearest.
fn neighbour(path: &Path) -> Option<PathBuf> {
    let wanted = path.file_name()?.to_str()?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut names: Vec<String> =
        fs::read_dir(dir).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    near_miss(wanted, names.iter().map(String::as_str)).map(|near| dir.join(near))
}

/// The names of what is in a folder, in order; those that are no text or begin with a dot are left out.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, DataError> {
    let unreadable = |error| DataError::io(&quoted(folder), &error);
    let names = fs::read_dir(folder).map_err(unreadable)?;
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort_unstable();
    Ok(names)
}

/// An open file, unpacked as it is read.
pub(crate) struct Source {
    /// As messages show it.
    pub(crate) place: String,
    /// The content.
    pub(crate) reader: Box<dyn Read>,
    /// The content is not longer than this.
    pub(crate) at_most: u64,
}

impl Source {
    /// Opens a file; gzip is known by its first bytes.
    pub(crate) fn open(path: &Path) -> Result<Source, DataError> {
        let place = quoted(path);
        if path.is_dir() {
            return Err(DataError::new(Fault::Missing, place, "a file", "a folder"));
        }
        let mut file = File::open(path).map_err(|error| missing(path, &error))?;
        let io = |error| DataError::io(&place, &error);
        let length = file.metadata().map_err(io)?.len();
        let mut magic = [0; 2];
        let packed = length >= 2 && file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
        let _ = file.seek(SeekFrom::Start(0)).map_err(io)?;
        if !packed && path.extension().is_some_and(|extension| extension == "gz") {
            let found = if length == 0 { "an empty file" } else { "other bytes at its start" };
            return Err(DataError::new(Fault::Damaged, place, "a gzip file", found).help("fetch the file again"));
        }
        Ok(if packed { Source::packed(place, file, length) } else { Source::plain(place, file, length) })
    }

    fn plain(place: String, file: File, length: u64) -> Source {
        Source { place, reader: Box::new(BufReader::new(file)), at_most: length }
    }

    fn packed(place: String, file: File, length: u64) -> Source {
        let reader = Box::new(MultiGzDecoder::new(BufReader::new(file)));
        Source { place, reader, at_most: length.saturating_mul(MAX_EXPANSION) }
    }

    /// The whole content, refused if it is longer than `most` bytes.
    pub(crate) fn bytes_up_to(mut self, most: usize) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(most as u64 + 1).read_to_end(&mut bytes);
        let _ = read.map_err(|error| DataError::io(&self.place, &error))?;
        if bytes.len() > most {
            return Err(DataError::new(Fault::Damaged, &self.place, format!("at most {most} bytes"), "more"));
        }
        Ok(bytes)
    }

    /// The whole content.
    pub(crate) fn bytes(mut self) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let _ = self.reader.read_to_end(&mut bytes).map_err(|error| DataError::io(&self.place, &error))?;
        Ok(bytes)
    }
}

fn missing(path: &Path, error: &std::io::Error) -> DataError {
    let fault = DataError::new(Fault::Missing, quoted(path), "a readable file", error.to_string());
    match neighbour(path) {
        Some(near) if near != path => fault.help(format!("there is {}", quoted(&near))),
        Some(_) | None => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_directory_wins_and_packed_files_are_found() {
        let (a, b) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        fs::write(b.path().join("x.csv"), "1").expect("written");
        fs::write(b.path().join("y.csv.gz"), "1").expect("written");
        let search = [a.path().to_owned(), b.path().to_owned()];
        assert_eq!(locate("x.csv", &search), Ok(b.path().join("x.csv")));
        assert_eq!(locate("y.csv", &search), Ok(b.path().join("y.csv.gz")));
        fs::write(a.path().join("x.csv"), "2").expect("written");
        assert_eq!(locate("x.csv", &search), Ok(a.path().join("x.csv")));
    }

    #[test]
    fn a_missing_file_names_the_directories_and_the_nearest() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("prostate.csv"), "1").expect("written");
        let error = locate("prostrate.csv", &[dir.path().to_owned()]).expect_err("misspelt");
        assert!(error.found.contains(&dir.path().display().to_string()));
        assert!(error.help.expect("a near miss").contains("prostate.csv"));
    }

    #[test]
    fn a_gz_name_without_gzip_content_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.gz");
        fs::write(&path, "plain").expect("written");
        assert_eq!(Source::open(&path).err().expect("not gzip").fault, Fault::Damaged);
    }
}
