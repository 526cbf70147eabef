//! Claiming, writing and reading a run folder.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use indexmap::IndexMap;
use ndarray::ArrayD;

use super::checkpoint;
use super::model::{Model, Tensors};
use super::origin::{Difference, Origin};
use super::report::Report;
use super::staging::{self, Lock};
use super::write::{write_model, write_safetensors, write_whole};
use crate::data::{DataError, Fault, quoted, read_tensors};
use crate::train::{Checkpoint, EpochRecord};

const MODEL: &str = "model.safetensors";
const HISTORY: &str = "history.jsonl";
const REPORT: &str = "report.json";
const ORIGIN: &str = "run.json";
const CHECKPOINT: &str = "checkpoint.spnc";

/// What a run folder holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Run<T = Model> {
    /// The tensors at the end.
    pub model: T,
    /// The epochs.
    pub history: Vec<EpochRecord>,
    /// The run in numbers.
    pub report: Report,
}

/// The folder of a run that is not over. It is empty until the first [`Folder::checkpoint`] or [`Folder::save`]; dropped before that,
/// it is removed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    state: State,
}

/// What a folder holds.
#[derive(Debug)]
enum State {
    /// Nothing.
    Claimed,
    /// A run that can go on. It is this process that trains it.
    Begun(#[expect(dead_code, reason = "held for as long as it is there")] Lock),
    /// A run that is over.
    Saved,
}

impl Folder {
    /// Claims `base/name-1`, or the first such number that is free.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn claim(base: &Path, name: &str) -> Result<Folder, DataError> {
        fs::create_dir_all(base).map_err(|error| DataError::unwritable(base, &error))?;
        staging::sweep_folders(base);
        for number in 1_u64.. {
            let path = base.join(format!("{name}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Folder { path, state: State::Claimed }),
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
        staging::sweep_folders(parent(path));
        let mut entries = fs::read_dir(path).map_err(|error| DataError::unwritable(path, &error))?;
        if entries.next().is_some() {
            let error =
                DataError::new(Fault::Unwritable, quoted(path), "a new or empty folder", "one with files in it");
            return Err(error.help("name another folder, remove this one, or go on with its run: `spnc resume`"));
        }
        Ok(Folder { path: path.to_owned(), state: State::Claimed })
    }

    /// Opens the folder of a run that was interrupted: what it was made of, and where it goes on.
    ///
    /// # Errors
    ///
    /// When the run is over, was never saved, or another process trains it; and when its checkpoint is damaged or comes from
    /// another run.
    pub fn open(path: &Path) -> Result<(Folder, Origin, Checkpoint), DataError> {
        let lock = staging::lock(path).ok_or_else(|| no_checkpoint(path, "one that another process trains"))?;
        staging::sweep_files(path);
        if is_over(path)? {
            let error = no_checkpoint(path, "one that is over");
            return Err(error.help("begin a new run at its end: `spnc run PROGRAM --init RUN`"));
        }
        if !path.join(CHECKPOINT).exists() {
            let error = no_checkpoint(path, "none");
            return Err(error.help("runs are kept while they train with `spnc run PROGRAM --checkpoint-every epoch`"));
        }
        let (origin, checkpoint) = read_checkpoint(path)?;
        Ok((Folder { path: path.to_owned(), state: State::Begun(lock) }, origin, checkpoint))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a run that is not over, with the program's files (relative names and texts). A kill at any moment leaves this
    /// checkpoint or the one before it.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the checkpoint before it stays.
    pub fn checkpoint(
        &mut self,
        origin: &Origin,
        checkpoint: &Checkpoint,
        sources: &[(String, String)],
    ) -> Result<(), DataError> {
        let bytes = checkpoint::encode(origin, checkpoint);
        let written = bytes.and_then(|bytes| match &self.state {
            State::Begun(_) | State::Saved => write_whole(&self.path.join(CHECKPOINT), &bytes),
            State::Claimed => self.begin(origin, &bytes, sources),
        });
        written.map_err(|error| DataError::unwritable(&self.path, &error))
    }

    fn begin(&mut self, origin: &Origin, checkpoint: &[u8], sources: &[(String, String)]) -> io::Result<()> {
        let (staging, lock) = staging::stage(parent(&self.path))?;
        write_sources(staging.path(), sources)?;
        write_whole(&staging.path().join(CHECKPOINT), checkpoint)?;
        write_whole(&staging.path().join(ORIGIN), (serde_json::to_string_pretty(origin)? + "\n").as_bytes())?;
        replace(staging.path(), &self.path)?;
        self.state = State::Begun(lock);
        Ok(())
    }

    /// Writes a run and the program's files (relative names and texts). A kill at any moment leaves the folder as it was or whole. An
    /// interrupted run keeps its checkpoint.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn save(mut self, run: &Run<impl Tensors>, sources: &[(String, String)]) -> Result<PathBuf, DataError> {
        let written = match self.state {
            State::Begun(_) | State::Saved => self.finish(run),
            State::Claimed => self.write(run, sources),
        };
        written.map_err(|error| DataError::unwritable(&self.path, &error))?;
        self.state = State::Saved;
        Ok(self.path.clone())
    }

    /// Writes a run as [`Folder::save`] does, and further tensor files beside it, by name.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn save_with(
        mut self,
        run: &Run<impl Tensors>,
        sources: &[(String, String)],
        tensors: &[(&str, &IndexMap<String, ArrayD<f64>>)],
    ) -> Result<PathBuf, DataError> {
        let written = self.write_with(run, sources, tensors);
        written.map_err(|error| DataError::unwritable(&self.path, &error))?;
        self.state = State::Saved;
        Ok(self.path.clone())
    }

    fn write_with(
        &self,
        run: &Run<impl Tensors>,
        sources: &[(String, String)],
        tensors: &[(&str, &IndexMap<String, ArrayD<f64>>)],
    ) -> io::Result<()> {
        let (staging, _lock) = staging::stage(parent(&self.path))?;
        write_sources(staging.path(), sources)?;
        tensors
            .iter()
            .try_for_each(|(name, file)| write_safetensors(&staging.path().join(harmless(name)), file, None))?;
        write_run(staging.path(), run)?;
        replace(staging.path(), &self.path)
    }

    fn write(&self, run: &Run<impl Tensors>, sources: &[(String, String)]) -> io::Result<()> {
        self.write_with(run, sources, &[])
    }

    /// Writes a run over its checkpoint, which goes when the run is over. Until its report is there, the run can go on.
    fn finish(&self, run: &Run<impl Tensors>) -> io::Result<()> {
        write_run(&self.path, run)?;
        if run.report.interrupted { Ok(()) } else { remove_checkpoint(&self.path) }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if matches!(self.state, State::Claimed) {
            // Only an empty folder can be removed so, which is the only one that is ours alone.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_sources(folder: &Path, sources: &[(String, String)]) -> io::Result<()> {
    for (name, text) in sources {
        let path = folder.join(harmless(name));
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        write_whole(&path, text.as_bytes())?;
    }
    Ok(())
}

/// Writes the files of a run, the report last.
fn write_run(folder: &Path, run: &Run<impl Tensors>) -> io::Result<()> {
    let origin = &run.report.origin;
    let note = format!("{} {}", origin.version, origin.program_hash);
    write_model(&folder.join(MODEL), &run.model, &note)?;
    let lines = run.history.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    let history: String = lines.into_iter().map(|line| line + "\n").collect();
    write_whole(&folder.join(HISTORY), history.as_bytes())?;
    let report = serde_json::to_string_pretty(&run.report)? + "\n";
    write_whole(&folder.join(REPORT), report.as_bytes())
}

fn remove_checkpoint(folder: &Path) -> io::Result<()> {
    fs::remove_file(folder.join(CHECKPOINT))?;
    fs::remove_file(folder.join(ORIGIN))
}

/// Whether the run in a folder is over; if it is, what a kill left of its checkpoint is removed.
fn is_over(folder: &Path) -> Result<bool, DataError> {
    let is_over = folder.join(REPORT).exists() && !read_report(folder)?.interrupted;
    if is_over {
        // What cannot be removed does no harm: the report counts.
        let _ = remove_checkpoint(folder);
    }
    Ok(is_over)
}

fn no_checkpoint(folder: &Path, found: &str) -> DataError {
    DataError::new(Fault::NoCheckpoint, quoted(folder), "the folder of a run that was interrupted", found)
}

/// What a run is made of is not what it was when it began.
pub fn changed(folder: &Path, difference: &Difference) -> DataError {
    let Difference { what, one, other } = difference;
    let expected = format!("the {what} that this run began with, {one}");
    let error = DataError::new(Fault::Foreign, quoted(folder), expected, other.as_str());
    error.help("put it back as it was, or begin a new run with `spnc run`")
}

/// Something in a file is of another run.
fn foreign(file: &Path, difference: &Difference) -> DataError {
    let Difference { what, one, other } = difference;
    DataError::new(Fault::Foreign, quoted(file), format!("a checkpoint whose {what} is {one}"), other.as_str())
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
    let report = read_report(folder)?;
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

/// Reads the checkpoint in the folder of a run that is not over, and what that run is made of.
///
/// # Errors
///
/// When it is missing, damaged or comes from another run.
pub fn read_checkpoint(folder: &Path) -> Result<(Origin, Checkpoint), DataError> {
    let file = folder.join(ORIGIN);
    let known: Origin = serde_json::from_str(&text(&file)?).map_err(|error| damaged(&file, "a run", &error))?;
    let file = folder.join(CHECKPOINT);
    let bytes = fs::read(&file).map_err(|error| DataError::io(&quoted(&file), &error))?;
    let (origin, checkpoint) = checkpoint::decode(&quoted(&file), &bytes)?;
    if let Some(difference) = known.difference(&origin) {
        let error = foreign(&file, &difference);
        return Err(error.help("put the checkpoint of this run back, or start it anew with `spnc run`"));
    }
    Ok((origin, checkpoint))
}

/// Reads the report of a run folder.
///
/// # Errors
///
/// When it is missing or damaged.
pub fn read_report(folder: &Path) -> Result<Report, DataError> {
    let file = folder.join(REPORT);
    let report = text(&file).map_err(|error| match folder.join(CHECKPOINT).exists() {
        true => DataError::new(Fault::Missing, quoted(folder), "the folder of a run that is over", "one that goes on")
            .help(format!("train it to its end: `spnc resume {}`", folder.display())),
        false => error.help("name the folder that `spnc run` has saved, as `runs/model-1`"),
    })?;
    serde_json::from_str(&report).map_err(|error| damaged(&file, "a report", &error))
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
