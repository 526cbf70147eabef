//! Where the time of a step goes: layer by layer.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use spnc_runtime::program::{Clock, Program};
use spnc_runtime::train::{Tally, tally};

use super::clock;
use super::report::Layer;
use super::steps::Steps;
use crate::exec::break_even;
use crate::model::{Instance, Model};

/// A call of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// The layer or tensor that it works for.
    pub label: Arc<str>,
    /// What kind of code does it.
    pub kind: &'static str,
    /// Floating-point operations, where it is a product.
    pub flops: u64,
    /// Milliseconds on one thread.
    pub ms: f64,
}

/// The fewest and the most steps whose calls are timed, after one that does not count.
const STEPS: (usize, usize) = (5, 500);

/// Times every call of a step, on one thread, for about so many seconds: the median of some steps.
pub fn costs(steps: &mut Steps<'_>, seconds: f64) -> Vec<Cost> {
    let (fewest, most) = STEPS;
    let _ = timed(steps);
    let (mut all, mut total): (Vec<Vec<Cost>>, f64) = (vec![], 0.0);
    while all.len() < fewest || (all.len() < most && total < 1e3 * seconds) {
        let step = timed(steps);
        total += step.iter().map(|cost| cost.ms).sum::<f64>();
        all.push(step);
    }
    // A step that has more alive than its form has room for is computed by other calls, and tells nothing of these.
    let usual = all.iter().map(|step| all.iter().filter(|other| other.len() == step.len()).count());
    let (_, usual) = usual.zip(&all).max_by_key(|(alike, _)| *alike).expect("some steps were timed");
    let ms = |call: usize| {
        let alike = all.iter().filter(|step| step.len() == usual.len());
        clock::median(alike.map(|step| step[call].ms).collect())
    };
    usual.iter().enumerate().map(|(call, cost)| Cost { ms: ms(call), ..cost.clone() }).collect()
}

/// The calls of a step, each with the time that it took.
fn timed(steps: &mut Steps<'_>) -> Vec<Cost> {
    let mut costs = vec![];
    steps.step_by_calls(&mut |call, label, work| {
        let ms = 1e3 * clock::took(work);
        costs.push(Cost { label: label.clone(), kind: call.kind(), flops: call.flops(), ms });
    });
    costs
}

/// The share of non-zeros of the weights of each instance that has some, by path: of its own matrices and filters, as the network
/// sees them at `clock`.
pub fn densities(model: &Model, program: &mut dyn Program, clock: Clock) -> BTreeMap<Arc<str>, f64> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for name in program.effective(clock) {
        if let Some(value) = program.computed(&name).filter(|value| value.ndim() >= 2) {
            let _ = tallies.insert(name, tally(value.view()));
        }
    }
    let weights = |instance: &Instance| {
        let own = instance.params.iter().filter_map(|id| tallies.get(&*model.params[id.0 as usize].path));
        own.fold(Tally::default(), |all, own| all + *own)
    };
    let all = model.instances.iter().map(|instance| (instance.path.clone(), weights(instance)));
    all.filter(|(_, weights)| weights.total > 0).map(|(path, weights)| (path, weights.density())).collect()
}

/// What the calls of a step cost layer by layer, in the order of the layers; what belongs to none comes last.
pub fn of(model: &Model, densities: &BTreeMap<Arc<str>, f64>, costs: &[Cost], peak_gflops: f64) -> Vec<Layer> {
    let paths: Vec<&Arc<str>> = model.instances.iter().map(|instance| &instance.path).collect();
    let owners: Vec<Option<&str>> =
        costs.iter().map(|cost| owner(paths.iter().map(|path| &***path), &cost.label)).collect();
    let of_path = |path: Option<&str>| {
        let own = owners.iter().zip(costs).filter(|(owner, _)| **owner == path).map(|(_, cost)| cost);
        let density = path.and_then(|path| densities.get(path)).copied();
        layer(path.unwrap_or("other"), &own.collect::<Vec<_>>(), density, peak_gflops)
    };
    let all = paths.iter().map(|path| Some(&***path)).chain([None]).map(of_path);
    all.filter(|layer| layer.ms > 0.0 || layer.density.is_some()).collect()
}

/// The innermost instance that a label belongs to: that of its layer, of a tensor of it, or of its optimizer's state.
fn owner<'a>(paths: impl Iterator<Item = &'a str>, label: &str) -> Option<&'a str> {
    let label = label.strip_prefix("optimizer.").unwrap_or(label);
    let is_owner = |path: &&str| label.strip_prefix(*path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    paths.filter(is_owner).max_by_key(|path| path.len())
}

fn layer(name: &str, costs: &[&Cost], density: Option<f64>, peak_gflops: f64) -> Layer {
    let ms: f64 = costs.iter().map(|cost| cost.ms).sum();
    let flops: u64 = costs.iter().map(|cost| cost.flops).sum();
    let mut kernels: IndexMap<&'static str, f64> = IndexMap::new();
    for cost in costs {
        *kernels.entry(cost.kind).or_default() += cost.ms;
    }
    kernels.sort_by(|_, a, _, b| b.total_cmp(a));
    let gflops = (flops > 0 && ms > 0.0).then(|| 1e-6 * flops as f64 / ms);
    let break_even = kernels.keys().find_map(|kind| break_even::density(kind)).filter(|_| density.is_some());
    let share_of_peak = gflops.map(|gflops| gflops / peak_gflops);
    Layer { layer: name.to_owned(), ms, kernels, density, break_even, gflops, share_of_peak }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_belongs_to_the_innermost_instance() {
        let owner = |label| owner(["net", "net.fc1", "net.fc10"].into_iter(), label);
        assert_eq!(owner("net.fc1"), Some("net.fc1"));
        assert_eq!(owner("net.fc10.w"), Some("net.fc10"));
        assert_eq!(owner("optimizer.net.fc1.w"), Some("net.fc1"));
        assert_eq!(owner("net.head"), Some("net"));
        assert_eq!(owner("network"), None);
        assert_eq!(owner(""), None);
    }

    #[test]
    fn a_layer_adds_up_its_calls() {
        let cost = |kind, flops, ms| Cost { label: "net.fc1".into(), kind, flops, ms };
        let costs = [cost("nest", 0, 1.0), cost("gemm", 4_000_000, 2.0), cost("gemm", 2_000_000, 1.0)];
        let layer = layer("net.fc1", &costs.iter().collect::<Vec<_>>(), Some(0.05), 3.0);
        assert_eq!(layer.ms, 4.0);
        assert_eq!(layer.kernels.into_iter().collect::<Vec<_>>(), [("gemm", 3.0), ("nest", 1.0)]);
        assert_eq!((layer.gflops, layer.share_of_peak), (Some(1.5), Some(0.5)));
        assert_eq!(layer.break_even, break_even::density("gemm"));
    }
}
