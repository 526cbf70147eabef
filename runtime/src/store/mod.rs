//! The run folder: what is kept of a run, written whole or not at all, and read back.
//!
//! | file | holds |
//! |---|---|
//! | `model.safetensors` | tensors by path: `free/net.fc1.w` as it is trained, `effective/net.fc1.w` as the network sees it, `state/net.norm.mean`, `state/optimizer.net.fc1.w.velocity` |
//! | `history.jsonl` | an [`EpochRecord`](crate::train::EpochRecord) a line |
//! | `report.json` | a [`Report`] |
//! | the program's files | as they were compiled, under their names |
//! | `checkpoint.spnc` | a [`Checkpoint`](crate::train::Checkpoint), while the run is not over |
//! | `run.json` | the [`Origin`] of that run |
//!
//! A tensor is stored in single precision where that holds it exactly, which is always so for compiled programs, else
//! in double. The folder is claimed, empty, before training, so that two runs never share one; everything is
//! written to a hidden folder beside it, which takes its place at the end.

mod checkpoint;
mod folder;
mod model;
pub(crate) mod numbers;
mod origin;
mod report;
mod staging;
mod write;

pub use folder::{Folder, Run, changed, read, read_checkpoint, read_report};
pub use model::{Held, Model, Tensors, apply_model, apply_start_values, find_tensor, read_start_values};
pub use origin::{Difference, Origin};
pub use report::{AxisReport, BudgetReport, GroupReport, Remaining, Report, Seconds, Sparsity, StepSeconds};
pub use staging::Scratch;
pub use write::{write_npz, write_safetensors};

use sha2::{Digest, Sha256};

/// The SHA-256 of a text, in hexadecimal.
pub fn hash(text: &str) -> String {
    crate::data::hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests;
