//! A network whose weights are given once and for all.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use ndarray::arr1;

use super::break_even::{cost, is_sparse};
use super::in_order::in_order;
use super::{Callable, optimise};
use crate::codegen::{self, Options};
use crate::pass::absorb::absorb;
use crate::pass::compress::{Compressed, Compression, Use};
use crate::pass::hoist::{Hoisted, hoist};
use crate::pass::narrow::Inputs;
use crate::tir::Func;
use crate::tir::interp::{self, Tensor};

/// A network with its weights, compiled: what depends on weights alone is computed once, matrices with few non-zeros are multiplied compressed.
#[derive(Debug)]
pub struct Inference {
    /// Its weights are in memory.
    code: Callable,
    /// Matrices that are compressed: their shapes and how many elements they have.
    pub compressed: Vec<([usize; 2], usize)>,
}

impl Inference {
    /// Compiles an optimised function. `weights` gives the inputs that do not change from call to call.
    ///
    /// # Errors
    ///
    /// When code cannot be generated for this machine.
    pub fn new(
        func: &Func,
        weights: &dyn Fn(&str) -> Option<Tensor>,
        options: Options,
    ) -> Result<Inference, codegen::Error> {
        let is_given = |name: &str| weights(name).is_some();
        let Hoisted { before, rest } = hoist(&absorb(func, &is_given), &is_given);
        let fixed = interp::run(&optimise(before), weights).expect("it depends on weights alone");
        let rest_weights = rest.params().filter_map(|(name, ..)| Some((name.clone(), weights(name)?)));
        let given: IndexMap<Arc<str>, Tensor> = rest_weights.chain(fixed).collect();
        let inputs = Inputs { is_field: &|name| !given.contains_key(name), has_zeros: &|_| false };
        let compression = Compression::of(&rest, &|name| given.contains_key(name), &inputs);
        let positions = positions(&compression, &given);
        let uses = uses(&compression, &positions);
        let compressed = compression.compressed(&uses);
        let mut given = with_elements(&compression, &compressed, &positions, given);
        let func = in_order(&compressed.func, &mut given);
        let mut code = Callable::given(&optimise(func), &|name| given.contains_key(name), options)?;
        code.give(&|name| given.get(name).cloned());
        let shape = |of: &Use| (compression.patterns[of.pattern].shape, of.non_zeros);
        Ok(Inference { code, compressed: uses.iter().map(shape).collect() })
    }

    /// Computes the outputs; `inputs` gives what changes from call to call.
    ///
    /// # Panics
    ///
    /// If an input has another shape.
    pub fn call(&mut self, inputs: &dyn Fn(&str) -> Option<Tensor>) -> IndexMap<Arc<str>, Tensor> {
        self.code.call(inputs)
    }

    /// Computes once more from the inputs of the last call.
    pub fn again(&mut self) {
        self.code.again();
    }
}

/// Where each pattern has elements.
fn positions(compression: &Compression, given: &IndexMap<Arc<str>, Tensor>) -> Vec<Vec<usize>> {
    let Some(masks) = compression.masks(&|_| true).map(optimise) else { return vec![] };
    let masks = interp::run(&masks, &|name| given.get(name).cloned()).expect("patterns depend on weights alone");
    let there = |mask: &Tensor| mask.iter().enumerate().filter(|(_, x)| **x != 0.0).map(|(at, _)| at).collect();
    masks.values().map(there).collect()
}

fn uses(compression: &Compression, positions: &[Vec<usize>]) -> Vec<Use> {
    let patterns = compression.patterns.iter().zip(positions).enumerate();
    let sparse = patterns
        .filter(|(_, (pattern, positions))| is_sparse(pattern.shape, positions.len(), cost(pattern.shape, positions)));
    let of = |(pattern, (_, positions)): (usize, (_, &Vec<usize>))| Use {
        pattern,
        non_zeros: positions.len(),
        zeros: BTreeSet::new(),
    };
    sparse.map(of).collect()
}

/// Adds tables and elements.
fn with_elements(
    compression: &Compression,
    compressed: &Compressed,
    positions: &[Vec<usize>],
    given: IndexMap<Arc<str>, Tensor>,
) -> IndexMap<Arc<str>, Tensor> {
    let mut all = given;
    for tables in &compressed.tables {
        for table in &tables.used {
            let numbers = table.numbers(compression.patterns[tables.pattern].shape, &positions[tables.pattern]);
            let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
            let _ = all.insert(tables.name(table).into(), arr1(&numbers).into_dyn());
        }
    }
    for stored in &compressed.stored {
        let tensor: Vec<f64> = all[&stored.tensor].iter().copied().collect();
        let elements: Vec<f64> = positions[stored.pattern].iter().map(|at| tensor[*at]).collect();
        let _ = all.insert(stored.name.clone(), arr1(&elements).into_dyn());
    }
    all
}
