//! Claiming, writing and reading a run folder.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::model::Model;
use super::report::Report;
use super::write::{builder, write_safetensors, write_whole};
use crate::data::{DataError, Fault, quoted, read_tensors};
use crate::train::EpochRecord;

const MODEL: &str = "model.safetensors";
const HISTORY: &str = "history.jsonl";
const REPORT: &str = "report.json";

/// What a run folder holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The tensors at the end.
    pub model: Model,
    /// The epochs.
    pub history: Vec<EpochRecord>,
    /// The run in numbers.
    pub report: Report,
}

/// A folder that is claimed for a run and empty until [`Folder::save`]; dropped before that, it is removed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    saved: bool,
}

impl Folder {
    /// Claims `base/name-1`, or the first such number that is free.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn claim(base: &Path, name: &str) -> Result<Folder, DataError> {
        fs::create_dir_all(base).map_err(|error| DataError::unwritable(base, &error))?;
        for number in 1_u64.. {
            let path = base.join(format!("{name}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Folder { path, saved: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
                Err(error) => return Err(DataError::unwritable(&path, &error)),
            }
        }
        unreachable!("some number is free")
    }

    /// Claims the folder `path`, which must be new or empty.
    ///
    /// # Errors
    ///
    /// When it holds something, or cannot be made.
    pub fn claim_at(path: &Path) -> Result<Folder, DataError> {
        fs::create_dir_all(path).map_err(|error| DataError::unwritable(path, &error))?;
        let mut entries = fs::read_dir(path).map_err(|error| DataError::unwritable(path, &error))?;
        if entries.next().is_some() {
            let error =
                DataError::new(Fault::Unwritable, quoted(path), "a new or empty folder", "one with files in it");
            return Err(error.help("name another folder, or remove this one"));
        }
        Ok(Folder { path: path.to_owned(), saved: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the run and the program's files (relative names and texts). A kill at any moment leaves the folder
    /// empty or whole.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn save(mut self, run: &Run, sources: &[(String, String)]) -> Result<PathBuf, DataError> {
        self.write(run, sources).map_err(|error| DataError::unwritable(&self.path, &error))?;
        self.saved = true;
        Ok(self.path.clone())
    }

    fn write(&self, run: &Run, sources: &[(String, String)]) -> io::Result<()> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let staging = builder(0o777).prefix(".spnc-").tempdir_in(parent)?;
        for (name, text) in sources {
            let path = staging.path().join(harmless(name));
            fs::create_dir_all(path.parent().unwrap_or(staging.path()))?;
            write_whole(&path, text.as_bytes())?;
        }
        let note = format!("{} {}", run.report.version, run.report.program_hash);
        write_safetensors(&staging.path().join(MODEL), &run.model.named(), Some(&note))?;
        let lines = run.history.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        let history: String = lines.into_iter().map(|line| line + "\n").collect();
        write_whole(&staging.path().join(HISTORY), history.as_bytes())?;
        let report = serde_json::to_string_pretty(&run.report)? + "\n";
        write_whole(&staging.path().join(REPORT), report.as_bytes())?;
        replace(staging.path(), &self.path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.saved {
            // Only an empty folder can be removed so, which is the only one that is ours alone.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Puts a folder in the place of an empty one, at once where the system can, else file by file, the report last.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    if fs::rename(from, to).is_ok() {
        return Ok(());
    }
    let mut entries: Vec<_> = fs::read_dir(from)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(|entry| (entry.file_name() == REPORT, entry.file_name()));
    entries.iter().try_for_each(|entry| fs::rename(entry.path(), to.join(entry.file_name())))
}

/// The parts of a relative name that lead downwards.
fn harmless(name: &str) -> PathBuf {
    let normal = |part: Component<'_>| match part {
        Component::Normal(part) => Some(part.to_owned()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    };
    Path::new(name).components().filter_map(normal).collect()
}

/// Reads a run folder back.
///
/// # Errors
///
/// When a file of it is missing or damaged.
pub fn read(folder: &Path) -> Result<Run, DataError> {
    let file = folder.join(REPORT);
    let report = serde_json::from_str(&text(&file)?).map_err(|error| damaged(&file, "a report", &error))?;
    let file = folder.join(HISTORY);
    let line = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| damaged(&file, &format!("an epoch in line {}", index + 1), &error))
    };
    let history = text(&file)?.lines().enumerate().map(line).collect::<Result<_, _>>()?;
    let file = folder.join(MODEL);
    let model = Model::from_named(read_tensors(&file)?).map_err(|name| {
        let expected = "tensors named `free/…`, `effective/…` or `state/…`";
        DataError::new(Fault::Name, quoted(&file), expected, format!("`{name}`"))
    })?;
    Ok(Run { model, history, report })
}

fn text(file: &Path) -> Result<String, DataError> {
    fs::read_to_string(file).map_err(|error| {
        let fault = if error.kind() == io::ErrorKind::InvalidData { Fault::Damaged } else { Fault::Missing };
        DataError::new(fault, quoted(file), "a file of a run folder", error.to_string())
    })
}

fn damaged(file: &Path, expected: &str, error: &serde_json::Error) -> DataError {
    DataError::new(Fault::Damaged, quoted(file), expected, format!("a damaged one ({error})"))
        .help("the file was changed after the run: make the run again")
}
