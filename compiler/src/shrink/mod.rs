//! The smaller network: what is left of a trained one when everything is removed that can no longer matter, as a program of its own.
//!
//! From a [`Model`] and its trained numbers to `.spnet` text and tensors. The program is in the user's words: instances of the layers that
//! the network is made of, with the sizes that are left.
//!
//! 1. [`facts`]: where each value of the network can be non-zero and still matters ([`crate::tir::zeros`]).
//! 2. [`links`], [`kept`]: positions along axes are removed together. What is kept of one value says what is kept of others, up
//!    to the layers that take a part of their input by themselves ([`values`]).
//! 3. [`layers`], [`body`], [`glue`]: layers that have no instances inside are applied with smaller sizes; the others are written anew,
//!    from the expressions between the instances.
//! 4. [`program`]: data, objective, reports and plan are taken over ([`texts`]).
//!
//! Sparse parameterisations of parameters are gone: the tensors are the effective ones.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "most places look for one or two of many ops; the two that say something of every op list them all"
)]

mod baked;
mod body;
mod facts;
mod glue;
mod kept;
mod layers;
mod links;
mod listing;
mod program;
mod texts;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use ndarray::Axis;

use self::facts::{Facts, Masks};
use self::kept::Kept;
use self::layers::{Layers, Origin};
use self::texts::Texts;
use crate::diag::Sources;
use crate::lower::interface::{param_name, state_name};
use crate::model::{ExprId, Model, ParamId, Symbol};
use crate::tir::interp::Tensor;

pub use self::layers::Unable;
pub use self::listing::{Dense, Left};

/// A trained program.
pub struct Trained<'a> {
    /// The program.
    pub model: &'a Model,
    /// Its texts.
    pub sources: &'a Sources,
    /// The trained numbers: `effective.<path>` of parameters, states by path, constant tensors by the names of inputs.
    pub value: &'a dyn Fn(&str) -> Option<Tensor>,
    /// Constants that were set from outside.
    pub set: &'a [(String, String)],
    /// The seed of the run.
    pub seed: u64,
}

/// A smaller program.
#[derive(Clone, Debug)]
pub struct Smaller {
    /// Its text.
    pub text: String,
    /// The tensors that it starts from, by path.
    pub tensors: IndexMap<String, Tensor>,
    /// What is left of each parameter of the network.
    pub left: Vec<Left>,
    /// What stays although nothing of it is alive.
    pub dense: Vec<Dense>,
    /// Layers that do nothing in evaluation and are left out.
    pub idle: Vec<Symbol>,
    /// The instance that each layer of the smaller program was, by path.
    pub origins: BTreeMap<String, Symbol>,
    /// Layers that were to be written anew, but could not be: they are applied as they are.
    pub whole: Vec<Symbol>,
}

/// The file that the smaller program starts from.
pub const WEIGHTS: &str = "weights.safetensors";

/// Writes the smaller program. Instances in `rigid` keep their sizes.
///
/// # Errors
///
/// When a layer at the top of the network cannot be written down anew.
pub fn shrink(trained: &Trained<'_>, rigid: &BTreeSet<Symbol>) -> Result<Smaller, Unable> {
    let Trained { model, sources, value, .. } = *trained;
    let facts = Facts::new(model, sources, value);
    let mut leaves = leaves(&facts);
    let mut whole = vec![];
    loop {
        let kept = Kept::new(&facts, &takers(&facts, &leaves), rigid);
        let mut layers = Layers {
            facts: &facts,
            kept: &kept,
            leaves: &leaves,
            texts: Texts::new(sources, trained.set),
            definitions: vec![],
            tensors: IndexMap::new(),
            origins: BTreeMap::new(),
            idle: vec![],
        };
        match program::write(&mut layers, trained) {
            Ok(text) => {
                let held = held(&facts, &layers.tensors);
                let left = listing::left(&facts, &kept, &held, value);
                let dense = listing::dense(&facts, &kept, &held);
                let tensors = layers.tensors.iter().map(|(path, origin)| (path.clone(), tensor(&facts, origin, value)));
                let (tensors, idle, origins) = (tensors.collect(), layers.idle.clone(), layers.origins.clone());
                return Ok(Smaller { text, tensors, left, dense, idle, origins, whole });
            }
            // What cannot be written anew is applied as it is.
            Err(unable) if !leaves.contains(&unable.path) && unable.path.contains('.') => {
                whole.push(unable.path.clone());
                let _ = leaves.insert(unable.path);
            }
            Err(unable) => return Err(unable),
        }
    }
}

/// Layers that are applied as they are: those that have tensors of their own and no instances inside, or one that is applied several times, or
/// parameterisations only.
fn leaves(facts: &Facts<'_>) -> BTreeSet<Symbol> {
    let owners =
        facts.model.params.iter().map(|param| &param.path).chain(facts.model.states.iter().map(|state| &state.path));
    let owners: BTreeSet<&str> = owners.filter_map(|path| Some(path.rsplit_once('.')?.0)).collect();
    let paths = facts.model.instances.iter().map(|instance| &instance.path);
    let recurs = |path: &Symbol| facts.children(path).iter().any(|child| facts.applications(child) > 1);
    let computes = |path: &Symbol| {
        let mut own = facts.model.applications.iter().filter(|application| application.path == *path);
        own.any(|application| facts.computes(application))
    };
    let is_over = |path: &Symbol| !facts.baked_below(path).is_empty() && !facts.children(path).iter().any(computes);
    let is_whole = |path: &Symbol| facts.children(path).is_empty() || recurs(path) || is_over(path);
    let is_leaf = |path: &&Symbol| owners.contains(&***path) && is_whole(path);
    paths.filter(is_leaf).cloned().collect()
}

/// The leaves that could take a part of what they are given: with the axis of channels, or of features.
fn takers(facts: &Facts<'_>, leaves: &BTreeSet<Symbol>) -> Vec<(Symbol, ExprId, usize)> {
    // What a `sparsify` line puts on the result of a layer is written as expressions, which take all of it.
    let is_called =
        |path: &Symbol| facts.model.instances.iter().any(|root| Some(&*root.path) == path.split('.').next());
    let outermost = |path: &Symbol| {
        leaves.contains(path) && is_called(path) && !leaves.iter().any(|leaf| facts::is_below(path, leaf))
    };
    let applications = facts.model.applications.iter();
    let own = applications.filter(|application| facts.is_used(application) && outermost(&application.path));
    let inputs =
        own.flat_map(|application| application.inputs.iter().map(|(_, input)| (application.path.clone(), *input)));
    let mut takers = vec![];
    for (path, input) in inputs {
        let Some(input) = input.filter(|input| facts.varies.contains(input)) else { continue };
        let rank = facts.shape(input).len();
        let axis = if rank == 4 { 1 } else { rank.saturating_sub(1) };
        let is_usual = rank >= 2 && !links::is_batch(facts.node(input), axis);
        if is_usual
            && facts.node(input).ty.dtype == crate::model::DType::F32
            && !takers.contains(&(path.clone(), input, axis))
        {
            takers.push((path, input, axis));
        }
    }
    takers
}

/// The parameters, and what becomes one, that are tensors of the smaller program.
fn held(facts: &Facts<'_>, tensors: &IndexMap<String, Origin>) -> BTreeSet<ExprId> {
    let expr = |origin: &Origin| match origin {
        Origin::Param(id, _) => facts.param(*id),
        Origin::Value(id, _) => Some(*id),
        Origin::State(..) | Origin::Numbers(_) => None,
    };
    tensors.values().filter_map(expr).collect()
}

/// The numbers of a tensor of the smaller program.
fn tensor(facts: &Facts<'_>, origin: &Origin, value: &dyn Fn(&str) -> Option<Tensor>) -> Tensor {
    let model = facts.model;
    let given = |name: &str| value(name).expect("a run has a value for every parameter and state");
    match origin {
        Origin::Param(id, masks) => part(&given(&effective_name(model, *id)), masks),
        Origin::Value(id, masks) => part(&facts.number(*id, value), masks),
        Origin::State(id, masks) => part(&given(&state_name(model, *id)), masks),
        Origin::Numbers(numbers) => Tensor::from_shape_vec(vec![numbers.len()], numbers.clone()).expect("as many"),
    }
}

fn effective_name(model: &Model, id: ParamId) -> String {
    format!("effective.{}", param_name(model, id))
}

/// The positions of a tensor that stay.
fn part(tensor: &Tensor, masks: &Masks) -> Tensor {
    masks.iter().enumerate().fold(tensor.clone(), |tensor, (axis, mask)| {
        let kept: Vec<usize> = mask.iter().enumerate().filter(|(_, kept)| **kept).map(|(at, _)| at).collect();
        tensor.select(Axis(axis), &kept)
    })
}
