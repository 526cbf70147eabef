//! The network on one sample, to count what is left of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ad;
use crate::diag::Sources;
use crate::lower::{interface, to_tir};
use crate::model::Model;
use crate::pass;
use crate::tir::interp::Tensor;
use crate::tir::zeros::{self, Live};
use crate::tir::{Func, Value};

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
        let shapes = |name: &str| Some(self.func.params().find(|(known, ..)| ***known == *name)?.2.shape.clone());
        self.count(&|name| shapes(name).map(Tensor::ones))
    }

    /// What is left of it with these values of parameters (`effective.<path>`) and states; nothing where none is zero.
    pub fn live(&self, value: &dyn Fn(&str) -> Option<Tensor>) -> Option<Live> {
        let is_sparse = |name: &Arc<str>| value(name).is_some_and(|value| value.iter().any(|x| *x == 0.0));
        let any_zero = self.func.params().any(|(name, ..)| self.lasting.contains(name) && is_sparse(name));
        any_zero.then(|| self.count(value))
    }

    /// Zeros of constants are no sparsity: they count as other numbers do.
    fn count(&self, value: &dyn Fn(&str) -> Option<Tensor>) -> Live {
        let pattern = |name: &str| {
            let (_, _, ty) = self.func.params().find(|(known, ..)| ***known == *name)?;
            if self.literals.contains(name) {
                Some(Tensor::ones(ty.shape.as_slice()))
            } else {
                self.lasting.get(name).and_then(|_| value(name))
            }
        };
        zeros::live(&self.func, &pattern)
    }
}
