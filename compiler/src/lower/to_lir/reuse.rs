//! Which values are computed in the place of another that nobody needs any more.
//!
//! A nest that reads each element of a scratch value once, and writes an element of another value at the same position, can
//! write it there: less memory is touched. That holds if all other readers of the old value come before, in other clusters or in
//! phases of the same one, and if both values are stepped through alike.

use std::collections::{BTreeMap, BTreeSet};

use crate::pass::fuse::{Cluster, Kind, Node, Phase, Plan};

/// For each node that takes the place of another, that one.
pub fn of(plan: &Plan, needed: &[bool]) -> BTreeMap<usize, usize> {
    let (reused, taken) = (BTreeMap::new(), BTreeSet::new());
    let mut reuse = Reuse { plan, needed, at: places(plan), readers: readers(plan), reused, taken };
    for (index, (cluster, phases)) in plan.clusters.iter().enumerate() {
        reuse.within(index, cluster, phases);
    }
    reuse.reused
}

/// The cluster of each node, and its phase there.
fn places(plan: &Plan) -> Vec<(usize, usize)> {
    let mut places = vec![(usize::MAX, 0); plan.nodes.len()];
    for (index, (cluster, phases)) in plan.clusters.iter().enumerate() {
        cluster.members.iter().for_each(|member| places[*member] = (index, 0));
        for (number, phase) in phases.iter().enumerate() {
            phase.members.iter().for_each(|member| places[*member] = (index, number));
        }
    }
    places
}

/// The nodes that read each value, each as often as it reads.
fn readers(plan: &Plan) -> Vec<Vec<usize>> {
    let mut readers = vec![vec![]; plan.node_of.len()];
    for (reader, node) in plan.nodes.iter().enumerate() {
        node.reads.iter().for_each(|read| readers[read.base.0 as usize].push(reader));
    }
    readers
}

struct Reuse<'a> {
    plan: &'a Plan,
    needed: &'a [bool],
    at: Vec<(usize, usize)>,
    readers: Vec<Vec<usize>>,
    reused: BTreeMap<usize, usize>,
    /// Nodes whose place another one has taken.
    taken: BTreeSet<usize>,
}

impl Reuse<'_> {
    /// Finds places for the members of a nest, those of early phases first.
    fn within(&mut self, index: usize, cluster: &Cluster, phases: &[Phase]) {
        let mut read: BTreeSet<usize> = BTreeSet::new();
        for member in &cluster.members {
            let bases = self.plan.nodes[*member].reads.iter().map(|read| self.plan.node_of[read.base.0 as usize]);
            read.extend(bases.flatten());
        }
        for member in phases.iter().flat_map(|phase| &phase.members) {
            let is_map = self.plan.nodes[*member].kind == Kind::Map;
            if is_map && self.is_scratch(*member) {
                let old = read.iter().copied().find(|old| self.can_take(index, cluster, *member, *old));
                if let Some(old) = old {
                    let _ = self.reused.insert(*member, old);
                    let _ = self.taken.insert(old);
                }
            }
        }
    }

    /// Whether a node has a buffer that is its own.
    fn is_scratch(&self, node: usize) -> bool {
        let Node { results, late, part, kind, .. } = &self.plan.nodes[node];
        self.needed[node] && results.is_empty() && late.is_empty() && part.is_none() && *kind != Kind::Join
    }

    fn can_take(&self, index: usize, cluster: &Cluster, new: usize, old: usize) -> bool {
        let types = [new, old].map(|node| self.plan.func.ty(self.plan.nodes[node].value));
        let alike = types[0].dtype == types[1].dtype && types[0].len() == types[1].len();
        let is_free = new != old && self.is_scratch(old) && !self.taken.contains(&old);
        if !alike || !is_free || !self.comes_before(index, new, old) {
            return false;
        }
        let steps = self.steps(cluster, new, &self.plan.nodes[new].own_strides());
        let readers = &self.readers[self.plan.nodes[old].value.0 as usize];
        let mut readers = readers.iter().filter(|node| **node != old);
        readers.all(|reader| self.is_done(index, cluster, *reader, [new, old], &steps))
            && (self.at[old].0 != index || self.steps(cluster, old, &self.plan.nodes[old].own_strides()) == steps)
    }

    /// Whether `old` is written before `new` is: by another cluster, or in a phase before. (What a nest combines is written at its end.)
    fn comes_before(&self, index: usize, new: usize, old: usize) -> bool {
        let here = self.at[old].0 == index && !self.plan.nodes[old].folds();
        self.at[old].0 < index || (here && self.at[old].1 < self.at[new].1)
    }

    /// Whether `reader` has read what it needs of `old` when `new` is written.
    fn is_done(&self, index: usize, cluster: &Cluster, reader: usize, [new, old]: [usize; 2], steps: &[usize]) -> bool {
        let base = self.plan.nodes[old].value;
        let mut reads = self.plan.nodes[reader].reads.iter().filter(|read| read.base == base);
        if self.at[reader].0 < index {
            return true;
        }
        self.at[reader].0 == index
            && self.at[reader].1 <= self.at[new].1
            && reads.all(|read| read.start == 0 && self.steps(cluster, reader, &read.strides) == steps)
    }

    /// Strides of a member as strides along all axes of the cluster.
    fn steps(&self, cluster: &Cluster, node: usize, strides: &[usize]) -> Vec<usize> {
        let mut steps = vec![0; cluster.dims.len()];
        let axes = cluster.axes_of(node).unwrap_or_default();
        axes.iter().zip(strides).for_each(|(axis, stride)| steps[*axis] = *stride);
        steps
    }
}
