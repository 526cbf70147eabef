//! The values whose sizes can become smaller: what expressions compute, and what layers take of it where they take only a part.

use std::collections::BTreeMap;

use super::facts::{Facts, is_within};
use crate::model::{ExprId, Symbol};

/// A layer that takes only some positions of what it is given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cut {
    /// The path of the layer.
    pub path: Symbol,
    /// What it is given.
    pub expr: ExprId,
    /// Along which axis it takes a part.
    pub axis: usize,
    /// The part, as a value.
    pub value: usize,
}

/// All values: first one for each expression of the network, then one for each cut.
#[derive(Clone, Debug)]
pub struct Values {
    places: BTreeMap<ExprId, usize>,
    /// The sizes of each.
    pub shapes: Vec<Vec<usize>>,
    /// Where layers take a part.
    pub cuts: Vec<Cut>,
}

impl Values {
    /// The values of a network with these cuts: path, expression and axis.
    pub fn new(facts: &Facts<'_>, cuts: &[(Symbol, ExprId, usize)]) -> Values {
        let places = facts.cone.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let mut shapes: Vec<Vec<usize>> = facts.cone.iter().map(|id| facts.shape(*id)).collect();
        let cuts = cuts.iter().map(|(path, expr, axis)| {
            shapes.push(facts.shape(*expr));
            Cut { path: path.clone(), expr: *expr, axis: *axis, value: shapes.len() - 1 }
        });
        let cuts = cuts.collect();
        Values { places, shapes, cuts }
    }

    /// What an expression computes.
    pub fn of(&self, id: ExprId) -> usize {
        self.places[&id]
    }

    /// What the instance at `path` sees of an expression.
    pub fn seen(&self, path: &str, id: ExprId) -> usize {
        self.cut(path, id).map_or_else(|| self.of(id), |cut| cut.value)
    }

    /// Where the instance at `path`, or one that it lies in, takes a part of an expression.
    pub fn cut(&self, path: &str, id: ExprId) -> Option<&Cut> {
        self.cuts.iter().find(|cut| cut.expr == id && is_within(path, &cut.path))
    }
}
