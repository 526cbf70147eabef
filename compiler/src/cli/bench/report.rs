//! What was measured, as `--json` prints it.

use indexmap::IndexMap;
use serde::Serialize;

/// All figures of a program.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
    /// What this line is.
    pub event: &'static str,
    /// The name of the program.
    pub program: String,
    /// How many threads ran it.
    pub threads: usize,
    /// The widest instruction set of the machine, which products use.
    pub instructions: String,
    /// From text to machine code, for everything that a run needs; without reading data.
    pub compile_ms: f64,
    /// The most memory of the process until its first step was done, or its network had run where it has no step, in 10⁶ bytes;
    /// `null` where the system does not tell.
    pub peak_mb: Option<f64>,
    /// The most arithmetic that a core does, in 10⁹ operations a second.
    pub peak_gflops: f64,
    /// A step of training; `null` for a program that cannot be trained.
    pub train: Option<Train>,
    /// The network alone, by the size of batches: `batch_1`, …; `null` where there is none.
    pub inference: Option<IndexMap<String, Latency>>,
    /// What a step spends on each layer.
    pub layers: Vec<Layer>,
}

/// A step of training.
#[derive(Clone, Debug, Serialize)]
pub struct Train {
    /// Samples in a batch.
    pub batch: usize,
    /// In the form that training has for it now.
    pub ms_per_step: f64,
    /// The same by samples.
    pub samples_per_s: f64,
    /// As a whole, whatever is zero.
    pub whole: Whole,
    /// How many times as long the whole one takes.
    pub speedup: f64,
}

/// A step that is computed as a whole.
#[derive(Clone, Debug, Serialize)]
pub struct Whole {
    /// Milliseconds.
    pub ms_per_step: f64,
    /// The same by samples.
    pub samples_per_s: f64,
}

/// Samples through the network.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Milliseconds for a batch.
    pub ms: f64,
}

/// A layer in a step of training, on one thread.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// Its instance; `other` for what belongs to none.
    pub layer: String,
    /// Milliseconds of a step.
    pub ms: f64,
    /// The kinds of code that do it, with the milliseconds of each, the longest first.
    pub kernels: IndexMap<&'static str, f64>,
    /// The share of non-zeros of its matrices and filters.
    pub density: Option<f64>,
    /// The density below which compressed weights would be faster.
    pub break_even: Option<f64>,
    /// The arithmetic of its products over all of its time, in 10⁹ operations a second.
    pub gflops: Option<f64>,
    /// That as a share of what a core can do.
    pub share_of_peak: Option<f64>,
}

impl Train {
    /// A step on so many samples that takes so many milliseconds today, and as a whole.
    pub fn new(batch: usize, today: f64, whole: f64) -> Train {
        let speed = |ms: f64| 1e3 * batch as f64 / ms;
        Train {
            batch,
            ms_per_step: today,
            samples_per_s: speed(today),
            whole: Whole { ms_per_step: whole, samples_per_s: speed(whole) },
            speedup: whole / today,
        }
    }
}
