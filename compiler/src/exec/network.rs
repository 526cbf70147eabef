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

/// Where the numbers are zero that are the same for all samples.
#[derive(Clone, Debug)]
struct Zeros {
    /// Effective parameters and states.
    lasting: BTreeMap<Arc<str>, Pattern>,
    /// What is computed from them.
    known: Known,
}

impl Zeros {
    /// Whether they are the same numbers.
    fn is_as(&self, other: &Zeros) -> bool {
        self.lasting == other.lasting && self.known.patterns == other.known.patterns
    }
}

/// What was counted last.
#[derive(Clone, Debug)]
pub struct Count {
    zeros: Zeros,
    multiply_adds: u64,
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
        Some(self.left(&self.zeros(value)?))
    }

    /// The multiplications of [`Network::live`]; those of the last count, where the same numbers are zero.
    pub fn multiply_adds(&self, value: &dyn Fn(&str) -> Option<Tensor>, last: &mut Option<Count>) -> Option<u64> {
        let zeros = self.zeros(value)?;
        match last {
            Some(last) if last.zeros.is_as(&zeros) => (),
            _ => *last = Some(Count { multiply_adds: self.left(&zeros).multiply_adds, zeros }),
        }
        last.as_ref().map(|last| last.multiply_adds)
    }

    /// Where these values are zero; nothing where none is.
    fn zeros(&self, value: &dyn Fn(&str) -> Option<Tensor>) -> Option<Zeros> {
        let is_lasting = |name: &str| self.lasting.contains(name);
        let is_fixed = |name: &str| is_lasting(name) || self.literals.contains(name);
        let fixed = Given { has: &is_fixed, value };
        let known = known::reveal(&self.func, fixed, &is_lasting);
        // Of one tensor at a time the numbers, of all of them the patterns.
        let lasting = self.func.params().filter(|(name, ..)| is_lasting(name));
        let lasting: BTreeMap<Arc<str>, Pattern> =
            lasting.filter_map(|(name, ..)| Some((Arc::clone(name), zeros::pattern(&value(name)?)))).collect();
        let some = !known.patterns.is_empty() || lasting.values().any(|pattern| pattern.iter().any(|bit| *bit == 0));
        some.then_some(Zeros { lasting, known })
    }

    /// What zeros leave of it.
    fn left(&self, zeros: &Zeros) -> Live {
        let Zeros { lasting, known: Known { func, patterns, places: _ } } = zeros;
        // Zeros of constants are no sparsity: they count as other numbers do.
        let given = |name: &str| if self.lasting.contains(name) { lasting.get(name).cloned() } else { self.ones(name) };
        zeros::live(func, &|name| patterns.get(name).cloned().or_else(|| given(name)))
    }

    /// The pattern without zeros of an input that is the same for all samples.
    fn ones(&self, name: &str) -> Option<Pattern> {
        let (_, _, ty) = self.func.params().find(|(own, ..)| ***own == *name)?;
        let is_fixed = self.lasting.contains(name) || self.literals.contains(name);
        is_fixed.then(|| Pattern::ones(ty.shape.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayD;
    use proptest::prelude::*;

    use super::*;
    use crate::tir::parse;

    /// Units whose weights are `w` and whose shares are those of `alpha` above a half.
    const UNITS: &str = "func network {
        %0 = param x : f32[1, 2]
        %1 = param w : f32[2, 2]
        %2 = param alpha : f32[2]
        %3 = const 0.5 : f32[2]
        %4 = gt %2, %3 : bool[2]
        %5 = const 0.0 : f32[2]
        %6 = select %4, %2, %5 : f32[2]
        %7 = contract ij,jk->ik %0, %1 : f32[1, 2]
        %8 = broadcast %6, [1] : f32[1, 2]
        %9 = mul %7, %8 : f32[1, 2]
        return y = %9
    }";

    proptest! {
        #[test]
        fn what_was_counted_before_makes_no_difference(epochs in prop::collection::vec(prop::array::uniform6(0..3_u8), 1..8)) {
            let lasting = ["w", "alpha"].map(Arc::from).into();
            let network = Network { func: parse::func(UNITS).expect("TIR"), lasting, literals: BTreeSet::new() };
            let mut last = None;
            for numbers in epochs {
                let numbers = numbers.map(|number| f64::from(number) / 3.0);
                let value = |name: &str| match name {
                    "w" => ArrayD::from_shape_vec(vec![2, 2], numbers[..4].to_vec()).ok(),
                    "alpha" => ArrayD::from_shape_vec(vec![2], numbers[4..].to_vec()).ok(),
                    _ => None,
                };
                let anew = network.live(&value).map(|live| live.multiply_adds);
                prop_assert_eq!(network.multiply_adds(&value, &mut last), anew);
            }
        }
    }
}
