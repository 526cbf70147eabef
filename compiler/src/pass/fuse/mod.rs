//! Plans which values are computed together, so that memory is read as few times as possible.
//!
//! | step      | question                                                          |
//! |-----------|-------------------------------------------------------------------|
//! | [`parts`] | which values are put together in memory from parts?               |
//! | [`turned`] | which matrices are needed in the other order of axes, often?  |
//! | [`squares`] | which sums of squares need a mean that is not known yet?      |
//! | [`split`] | which long reductions are cut in two?                             |
//! | [`nodes`] | which values are computed into memory, which wherever they are used? |
//! | [`order`] | what waits for what; which results are written in place?          |
//! | [`cluster`] | which nodes share a loop nest?                                  |
//! | [`phase`] | in how many passes over a row?                                    |
//!
//! The plan says nothing about addresses, vectors or instructions: `lower::to_lir` turns it into code.

use std::collections::BTreeSet;

pub mod cluster;
pub mod index;
pub mod nodes;
pub mod order;
pub mod parts;
pub mod phase;
pub mod product;
pub mod sequence;
pub mod split;
pub mod squares;
pub mod turned;

pub use cluster::Cluster;
pub use index::{Index, Map, Term};
pub use nodes::{Kind, Node, Read};
pub use phase::Phase;
pub use product::Product;

use super::cse;
use crate::tir::{Func, Value};

/// How a function is computed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The function, with long reductions cut.
    pub func: Func,
    /// What is computed into memory.
    pub nodes: Vec<Node>,
    /// For each value of the function, its node.
    pub node_of: Vec<Option<usize>>,
    /// For each node, the inputs that it overwrites.
    pub overwrites: Vec<Vec<Value>>,
    /// Loop nests and calls, in the order they run in, each with its phases.
    pub clusters: Vec<(Cluster, Vec<Phase>)>,
}

/// Plans a function without derivatives. Results named like one of the `lasting` tensors are written in place.
pub fn plan(func: &Func, lasting: &BTreeSet<&str>) -> Plan {
    let mut func = split::run(&squares::run(&turned::run(func)));
    // Halves of a reduction may have been there before.
    cse::run(&mut func);
    let (func, parts) = parts::run(&func);
    let (mut nodes, node_of) = nodes::choose(&func, parts);
    let order = order::arrange(&func, &mut nodes, &node_of, lasting);
    let clusters = cluster::group(&nodes, &node_of, &order).into_iter();
    let clusters = clusters.map(|c| (c.clone(), phase::split(&c, &nodes, &order))).collect();
    Plan { func, nodes, node_of, overwrites: order.overwrites, clusters }
}
