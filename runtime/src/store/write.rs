//! Writing files so that they are there whole or not at all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Cursor, Write};
use std::path::Path;

use ::safetensors::{Dtype, View};
use indexmap::IndexMap;
use ndarray::ArrayD;
use ndarray_npy::{NpzWriter, WriteNpzError};

use super::model::Tensors;
use crate::data::{NOTE, checksum};

/// Writes an npz file, in double precision.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_npz(path: &Path, tensors: &IndexMap<String, ArrayD<f64>>) -> io::Result<()> {
    let mut writer = NpzWriter::new(Cursor::new(Vec::new()));
    for (name, tensor) in tensors {
        writer.add_array(name.as_str(), tensor).map_err(npz_error)?;
    }
    let bytes = writer.finish().map_err(npz_error)?.into_inner();
    write_whole(path, &bytes)
}

fn npz_error(error: WriteNpzError) -> io::Error {
    io::Error::other(error.to_string())
}

/// Writes a safetensors file: a tensor in single precision where that holds it exactly, else in double. `note` goes
/// into its metadata, followed by a checksum of the tensors.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_safetensors<S: AsRef<str>>(
    path: &Path,
    tensors: &IndexMap<S, ArrayD<f64>>,
    note: Option<&str>,
) -> io::Result<()> {
    write_encoded(path, &encoded(tensors), note)
}

/// Writes the tensors of a run as [`write_safetensors`] does.
pub(super) fn write_model(path: &Path, tensors: &impl Tensors, note: &str) -> io::Result<()> {
    let names = tensors.names();
    let encoded = names.iter().map(|name| (name.as_str(), Encoded::new(move || tensors.tensor(name)))).collect();
    write_encoded(path, &encoded, Some(note))
}

fn write_encoded(path: &Path, tensors: &Vec<(&str, Encoded<'_>)>, note: Option<&str>) -> io::Result<()> {
    // The library writes a file of its own and moves it where it is told, open to its owner only.
    let dir = folder_of(path);
    let temporary = builder(0o666).prefix(HIDDEN).tempfile_in(dir)?.into_temp_path();
    let permissions = fs::metadata(&temporary)?.permissions();
    let views = || tensors.iter().map(|(name, tensor)| (*name, tensor));
    let note: Vec<String> = note.map(str::to_owned).into_iter().chain([checksum(views())]).collect();
    // One entry: several would stand in another order each time.
    let metadata = HashMap::from([(NOTE.to_owned(), note.join(" "))]);
    ::safetensors::serialize_to_file(views(), Some(metadata), &temporary).map_err(io::Error::other)?;
    fs::set_permissions(&temporary, permissions)?;
    File::open(&temporary)?.sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    sync_folder(dir)
}

/// The bytes of a safetensors file.
pub(super) fn safetensors(tensors: &IndexMap<String, ArrayD<f64>>) -> io::Result<Vec<u8>> {
    let tensors = encoded(tensors);
    ::safetensors::serialize(tensors.iter().map(|(name, tensor)| (*name, tensor)), None).map_err(io::Error::other)
}

fn encoded<S: AsRef<str>>(tensors: &IndexMap<S, ArrayD<f64>>) -> Vec<(&str, Encoded<'_>)> {
    tensors.iter().map(|(name, tensor)| (name.as_ref(), Encoded::new(|| Cow::Borrowed(tensor)))).collect()
}

/// A tensor in the narrower type where every element is the same in it. It is read, and its bytes are made, when they are asked for,
/// so that there are those of one tensor at a time.
struct Encoded<'a> {
    read: Box<dyn Fn() -> Cow<'a, ArrayD<f64>> + 'a>,
    shape: Vec<usize>,
    is_narrow: bool,
}

impl<'a> Encoded<'a> {
    fn new(read: impl Fn() -> Cow<'a, ArrayD<f64>> + 'a) -> Encoded<'a> {
        let tensor = read();
        let fits = |&x: &f64| f64::from(x as f32).to_bits() == x.to_bits();
        Encoded { shape: tensor.shape().to_vec(), is_narrow: tensor.iter().all(fits), read: Box::new(read) }
    }
}

impl View for &Encoded<'_> {
    fn dtype(&self) -> Dtype {
        if self.is_narrow { Dtype::F32 } else { Dtype::F64 }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let tensor = (self.read)();
        if self.is_narrow {
            tensor.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect()
        } else {
            tensor.iter().flat_map(|x| x.to_le_bytes()).collect()
        }
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * if self.is_narrow { size_of::<f32>() } else { size_of::<f64>() }
    }
}

/// How the names of temporary files and folders begin.
pub(super) const HIDDEN: &str = ".spnc-";

/// Makes temporary files and folders with `mode` less what the system takes away, not for their owner only.
#[cfg(unix)]
pub(super) fn builder(mode: u32) -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = tempfile::Builder::new();
    let _ = builder.permissions(std::fs::Permissions::from_mode(mode));
    builder
}

/// Makes temporary files and folders.
#[cfg(not(unix))]
pub(super) fn builder(_mode: u32) -> tempfile::Builder<'static, 'static> {
    tempfile::Builder::new()
}

/// Writes beside `path` and moves it there when it is whole and on the disk.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = folder_of(path);
    let mut file = builder(0o666).prefix(HIDDEN).tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    let _ = file.persist(path).map_err(|error| error.error)?;
    sync_folder(dir)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Brings the names in a folder to the disk.
#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Folders cannot be synchronised here.
#[cfg(not(unix))]
pub(super) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
