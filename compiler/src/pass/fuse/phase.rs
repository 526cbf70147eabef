//! The order of work within a nest: which members are computed in one pass over a row.

use std::collections::BTreeSet;

use super::cluster::Cluster;
use super::nodes::Node;
use super::order::Order;

/// Members that are computed in one pass over the same points.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// The axes (indices into [`Cluster::dims`]) that are looped over in each row.
    pub inner: BTreeSet<usize>,
    /// Indices of nodes, in order.
    pub members: Vec<usize>,
}

/// The phases of a nest. What combines a row is known in the phases after it; what varies within a row is known to
/// later members of its own phase; all readers of what a member overwrites stand in its phase or before.
pub fn split(cluster: &Cluster, nodes: &[Node], order: &Order) -> Vec<Phase> {
    let mut phases: Vec<Phase> = vec![];
    let mut phase_of = vec![None; nodes.len()];
    for (member, axes) in cluster.iter() {
        let inner: BTreeSet<usize> = axes.iter().copied().filter(|axis| !cluster.rows.contains(axis)).collect();
        let reads = |before: &usize| nodes[member].reads.iter().any(|read| read.base == nodes[*before].value);
        let later = |before: &usize| usize::from(nodes[*before].folds() && reads(before));
        let known = |before: &usize| phase_of[*before].map(|phase: usize| phase + later(before));
        let first = order.before[member].iter().filter_map(known).max().unwrap_or(0);
        let found = (first..phases.len()).find(|phase| phases[*phase].inner == inner);
        let phase = found.unwrap_or_else(|| {
            phases.push(Phase { inner, members: vec![] });
            phases.len() - 1
        });
        phases[phase].members.push(member);
        phase_of[member] = Some(phase);
    }
    phases
}
