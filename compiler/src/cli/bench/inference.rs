//! How long the network alone takes for samples, as `spnc predict` computes it.

use indexmap::IndexMap;
use spnc_runtime::program::Clock;

use super::clock;
use super::report::Latency;
use crate::cli::exit::Exit;
use crate::cli::job::Job;
use crate::cli::output;
use crate::cli::{predict, samples};
use crate::exec::{self, Compiled, Inference};
use crate::lower::to_tir;
use crate::tir::interp::Tensor;
use crate::tir::{Func, Type};

/// Times the network of a program with its tensors on `size` samples at once.
///
/// # Errors
///
/// When there is no machine code for this machine, which has been said.
pub fn time(job: &Job, (program, now): (&Compiled, Clock), size: usize, seconds: f64) -> Result<Latency, Exit> {
    let func = network(job, size);
    let tensors = predict::tensors(job, program, now);
    let inputs = inputs(job, &tensors, &func, size);
    // Everything but the samples is given once and for all.
    let is_field = |name: &str| job.built.interface.field_names.iter().any(|field| &**field == name);
    let weights = |name: &str| inputs.get(name).filter(|_| !is_field(name)).cloned();
    let network = Inference::new(&func, &weights, job.evaluator().options());
    let mut network = network.map_err(|error| output::fail(&error.to_string(), None))?;
    let _ = network.call(&|name| inputs.get(name).cloned());
    let [ms] = clock::medians(seconds, [&mut || network.again()]);
    Ok(Latency { ms })
}

/// The network at a size of batches; states that are carried from batch to batch have that size, too.
fn network(job: &Job, size: usize) -> Func {
    let mut model = job.model.clone();
    if let Some(plan) = &mut model.plan {
        plan.batch = Some(size);
    }
    exec::optimised(to_tir::predict(&model, &job.front.sources, size))
}

/// What the network reads, by name: tensors, and samples of the data, again from the first where there are too few. What is carried
/// from batch to batch begins at zero.
fn inputs(job: &Job, tensors: &IndexMap<String, Tensor>, func: &Func, size: usize) -> IndexMap<String, Tensor> {
    let (_, known) = samples::first(job, size);
    let rows: Vec<usize> = known.iter().copied().cycle().take(size).collect();
    let value = |name: &str, ty: &Type| {
        let lasting = tensors.get(name).filter(|tensor| tensor.shape() == ty.shape).cloned();
        let field = || samples::field(job, name, &rows, ty);
        lasting.or_else(field).unwrap_or_else(|| Tensor::zeros(ty.shape.as_slice()))
    };
    func.params().map(|(name, _, ty)| (name.to_string(), value(name, ty))).collect()
}
