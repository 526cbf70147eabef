//! The network on one sample, to count what is left of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ad;
use crate::diag::Sources;
use crate::lower::{interface, to_tir};
use crate::model::{self, Model};
use crate::pass;
use crate::tir::interp::Tensor;
use crate::tir::zeros::known::{self, Given, Known};
use crate::tir::zeros::{self, Live, Pattern};
use crate::tir::{Func, Value};

/// The most operations of a sample that are counted one by one: more would take minutes.
pub const COUNTED: u64 = 2_000_000_000;

/// Counts the operations of the instances of a model with a recurrence that starts at zero again: what multiplies the start need not
/// be computed, and neither need gates that multiply it.
pub fn count_recurrences(model: &mut Model, sources: &Sources) {
    let flops = model.instances.iter().map(|instance| instance.flops).sum::<u64>();
    if flops <= COUNTED && model::count::multiplies_zeros(&model.graph) {
        let counts = Network::new(model, sources).dense().by_path;
        for instance in &mut model.instances {
            instance.flops = 2 * counts.get(&*instance.path).copied().unwrap_or(0);
        }
    }
}

/// What a model computes from one sample, and which of its inputs are the same for all samples.
#[derive(Clone, Debug)]
pub struct Network {
    func: Func,
    /// Effective parameters and states.
    lasting: BTreeSet<Arc<str>>,
    literals: BTreeSet<Arc<str>>,
}

impl Network {
    /// The network of a program.
    pub fn new(model: &Model, sources: &Sources) -> Network {
        let mut func = ad::grad(&to_tir::network(model, sources));
        pass::run(&mut func, pass::COUNTED, |_, _| ());
        let params = model.params.iter().map(|param| format!("effective.{}", param.path).into());
        let states = model.states.iter().filter(|state| !state.carried).map(|state| Arc::clone(&state.path));
        let literals = (0..model.literals.len()).map(interface::literal_name);
        Network { func, lasting: params.chain(states).collect(), literals: literals.collect() }
    }

    /// The effective parameters that the network reads.
    pub fn reads(&self) -> BTreeSet<Arc<str>> {
        let used: BTreeSet<Value> = self.func.defs.iter().flat_map(|def| def.op.operands()).collect();
        let read = self.func.params().filter(|(name, value, _)| used.contains(value) && name.starts_with("effective."));
        read.map(|(name, ..)| Arc::clone(name)).collect()
    }

    /// What there is of it if nothing is zero.
    pub fn dense(&self) -> Live {
        zeros::live(&self.func, &|name| self.ones(name))
    }

    /// What is left of it with these values of parameters (`effective.<path>`), states and constants; nothing where none is zero.
    pub fn live(&self, value: &dyn Fn(&str) -> Option<Tensor>) -> Option<Live> {
        let is_lasting = |name: &str| self.lasting.contains(name);
        let is_fixed = |name: &str| is_lasting(name) || self.literals.contains(name);
        let fixed = Given { has: &is_fixed, value };
        let Known { func, patterns, places: _ } = known::reveal(&self.func, fixed, &is_lasting);
        // Of one tensor at a time the numbers, of all of them the patterns.
        let lasting = self.func.params().filter(|(name, ..)| is_lasting(name));
        let lasting: BTreeMap<&str, Pattern> =
            lasting.filter_map(|(name, ..)| Some((&**name, zeros::pattern(&value(name)?)))).collect();
        if patterns.is_empty() && !lasting.values().any(|pattern| pattern.iter().any(|bit| *bit == 0)) {
            return None;
        }
        // Zeros of constants are no sparsity: they count as other numbers do.
        let given = |name: &str| if is_lasting(name) { lasting.get(name).cloned() } else { self.ones(name) };
        Some(zeros::live(&func, &|name| patterns.get(name).cloned().or_else(|| given(name))))
    }

    /// The pattern without zeros of an input that is the same for all samples.
    fn ones(&self, name: &str) -> Option<Pattern> {
        let (_, _, ty) = self.func.params().find(|(own, ..)| ***own == *name)?;
        let is_fixed = self.lasting.contains(name) || self.literals.contains(name);
        is_fixed.then(|| Pattern::ones(ty.shape.as_slice()))
    }
}
