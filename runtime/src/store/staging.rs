//! Hidden folders in which files are made ready, and locks that tell which of them are still at work.
//!
//! A lock belongs to an open folder and goes away with its process, however that ends; so what is not locked is a leftover.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::write::{HIDDEN, builder};
use crate::data::DataError;

/// A folder that a process works in; nobody else does until this is dropped. Where folders cannot be locked, it is nothing.
#[derive(Debug)]
pub struct Lock(Option<File>);

/// A folder for what is not finished; it goes when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _lock: Lock,
}

impl Scratch {
    /// A new folder beside the one that the work is for.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn beside(path: &Path) -> Result<Scratch, DataError> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (folder, lock) = stage(parent).map_err(|error| DataError::unwritable(parent, &error))?;
        Ok(Scratch { folder, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Locks a folder; `None` where another process has.
pub(super) fn lock(folder: &Path) -> Option<Lock> {
    let Ok(file) = File::open(folder) else { return Some(Lock(None)) };
    match file.try_lock() {
        Ok(()) => Some(Lock(Some(file))),
        Err(fs::TryLockError::WouldBlock) => None,
        Err(fs::TryLockError::Error(_)) => Some(Lock(None)),
    }
}

/// Makes a hidden folder in `parent` and locks it.
pub(super) fn stage(parent: &Path) -> io::Result<(TempDir, Lock)> {
    loop {
        let staging = builder(0o777).prefix(HIDDEN).tempdir_in(parent)?;
        // Somebody may have taken it for a leftover before it was locked, and be removing it.
        if let Some(lock) = lock(staging.path()).filter(|_| staging.path().exists()) {
            return Ok((staging, lock));
        }
    }
}

/// Removes hidden folders in `parent` that nobody works in any more. What cannot be removed stays.
pub(super) fn sweep_folders(parent: &Path) {
    for path in hidden(parent).filter(|path| path.is_dir()) {
        if let Some(Lock(Some(_file))) = lock(&path) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Removes hidden files in a folder that this process has locked.
pub(super) fn sweep_files(folder: &Path) {
    for path in hidden(folder).filter(|path| path.is_file()) {
        let _ = fs::remove_file(path);
    }
}

fn hidden(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(HIDDEN)).map(|entry| entry.path())
}
