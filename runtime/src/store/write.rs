//! Writing files so that they are there whole or not at all.

use std::collections::HashMap;
use std::io::{self, Cursor, Write};
use std::path::Path;

use ::safetensors::Dtype;
use ::safetensors::tensor::TensorView;
use indexmap::IndexMap;
use ndarray::ArrayD;
use ndarray_npy::{NpzWriter, WriteNpzError};

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
/// into its metadata as `spnc`.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_safetensors(path: &Path, tensors: &IndexMap<String, ArrayD<f64>>, note: Option<&str>) -> io::Result<()> {
    write_whole(path, &safetensors(tensors, note)?)
}

/// The bytes of a safetensors file.
pub(super) fn safetensors(tensors: &IndexMap<String, ArrayD<f64>>, note: Option<&str>) -> io::Result<Vec<u8>> {
    let encoded: Vec<_> = tensors.iter().map(|(name, tensor)| (name, tensor.shape(), encode(tensor))).collect();
    let mut views = Vec::new();
    for (name, shape, (dtype, bytes)) in &encoded {
        views.push((name.as_str(), TensorView::new(*dtype, shape.to_vec(), bytes).map_err(io::Error::other)?));
    }
    let metadata = note.map(|note| HashMap::from([("spnc".to_owned(), note.to_owned())]));
    ::safetensors::serialize(views, metadata).map_err(io::Error::other)
}

/// The elements, in the narrower type where every one is the same in it.
fn encode(tensor: &ArrayD<f64>) -> (Dtype, Vec<u8>) {
    let fits = |&x: &f64| f64::from(x as f32).to_bits() == x.to_bits();
    if tensor.iter().all(fits) {
        (Dtype::F32, tensor.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect())
    } else {
        (Dtype::F64, tensor.iter().flat_map(|x| x.to_le_bytes()).collect())
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
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = builder(0o666).prefix(HIDDEN).tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    let _ = file.persist(path).map_err(|error| error.error)?;
    sync_folder(dir)
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
