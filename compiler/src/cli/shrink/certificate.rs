//! How the smaller network compares with the one that it was: outputs, sizes, times.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;
use spnc_runtime::store::Report;

use super::Args;
use super::network::{Network, Numbers, latencies};
use crate::cli::exit::Exit;
use crate::cli::job::Job;
use crate::cli::output;
use crate::cli::samples;
use crate::shrink::{Dense, Left, Smaller};
use crate::tir::interp::Tensor;

/// How two networks compare.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// The run that the network comes from.
    pub run: String,
    /// The hash of its program.
    pub program_hash: String,
    /// Samples on which outputs were compared.
    pub samples: usize,
    /// The split that they are from.
    pub split: String,
    /// The largest difference of two outputs.
    pub largest_difference: f64,
    /// The largest output, without its sign.
    pub largest_output: f64,
    /// The network as it was, with its zeros.
    pub before: Side,
    /// The smaller one.
    pub after: Side,
    /// What is left of each parameter.
    pub left: Vec<Left>,
    /// What stays although nothing of it is alive, and why.
    pub dense: Vec<Dense>,
    /// Layers that do nothing in evaluation and are left out.
    pub left_out: Vec<String>,
}

/// One of two networks.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Its parameters.
    pub parameters: u64,
    /// Those that are not zero.
    pub non_zero: u64,
    /// Floating-point operations for a sample.
    pub flops: u64,
    /// Milliseconds for a batch, by the size of the batch.
    pub latency_ms: BTreeMap<usize, f64>,
    /// Its reports.
    pub reports: IndexMap<String, f64>,
}

/// Differences up to this share of the largest output are rounding.
const ROUNDING: f64 = 1e-3;

/// The batch that outputs are computed in.
const BATCH: usize = 128;

/// Compares and measures.
pub fn make(
    args: &Args,
    (old, before, old_report): (&Job, &Numbers, &Report),
    (new, after, new_report): (&Job, &Numbers, &Report),
    smaller: &Smaller,
) -> Result<Certificate, Exit> {
    let (split, samples) = samples::first(old, args.samples as usize);
    let carried = old.plan.whole_batches;
    let batch = if carried { old.model.carried_batch() } else { BATCH };
    let mut networks = [Network::new(old, batch)?, Network::new(new, batch)?];
    let (mut difference, mut largest) = (0.0_f64, 0.0_f64);
    for chunk in samples.chunks(batch) {
        let rows: Vec<usize> = (0..batch).map(|row| chunk[row % chunk.len()]).collect();
        let old_outputs = networks[0].outputs(old, before, &rows);
        let new_outputs = networks[1].outputs(new, after, &rows);
        for (name, old) in &old_outputs {
            difference = difference.max(distance(old, &new_outputs[name]));
            largest = old.iter().fold(largest, |largest, x| largest.max(x.abs()));
        }
    }
    if difference.is_nan() || difference > ROUNDING * largest.max(1e-3) {
        let message = format!(
            "the smaller network computes something else: outputs differ by up to {difference:.3e}. This is a mistake of spnc; nothing was saved"
        );
        return Err(output::fail(&message, None));
    }
    let mut times = [BTreeMap::new(), BTreeMap::new()];
    measure(&mut networks, batch, &mut times);
    if !carried {
        let mut single = [Network::new(old, 1)?, Network::new(new, 1)?];
        let _ = single[0].outputs(old, before, &samples[..1]);
        let _ = single[1].outputs(new, after, &samples[..1]);
        measure(&mut single, 1, &mut times);
    }
    let [old_latency, new_latency] = times;
    Ok(Certificate {
        run: args.run.display().to_string(),
        program_hash: old_report.origin.program_hash.clone(),
        samples: samples.len(),
        split: format!("{split:?}").to_lowercase(),
        largest_difference: difference,
        largest_output: largest,
        before: side(old_report, old_latency),
        after: side(new_report, new_latency),
        left: smaller.left.clone(),
        dense: smaller.dense.clone(),
        left_out: smaller.idle.iter().map(ToString::to_string).collect(),
    })
}

/// Milliseconds for a batch, of both networks.
fn measure(networks: &mut [Network; 2], batch: usize, times: &mut [BTreeMap<usize, f64>; 2]) {
    for (times, took) in times.iter_mut().zip(latencies(networks)) {
        let _ = times.insert(batch, 1e3 * took.as_secs_f64());
    }
}

fn side(report: &Report, latency_ms: BTreeMap<usize, f64>) -> Side {
    Side {
        parameters: report.remaining.parameters,
        non_zero: report.remaining.non_zero,
        flops: report.remaining.flops,
        latency_ms,
        reports: report.metrics.clone(),
    }
}

/// The largest difference of two elements; not a number where one of them is none.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |largest, x| if x.is_nan() || x > largest { x } else { largest })
}
