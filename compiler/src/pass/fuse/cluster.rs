//! Which nodes share a loop nest.
//!
//! Nodes join the nest of what they read, or of others that read the same memory, as long as the nest keeps one set of
//! *rows*: axes that every member has and no member combines. A nest that combines anything has exactly the
//! axes of its results for rows; elementwise members may have more axes, which are then looped over within a row.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::nodes::Node;
use super::order::{self, Next, Order};
use super::sequence::Sequence;
use crate::tir::Value;

/// Nests beyond this number of points must keep enough rows for threads to share.
const LARGE: usize = 16384;

/// Nests beyond this number of points go through memory in order.
const HUGE: usize = 1 << 18;

/// So many rows.
const ENOUGH_ROWS: usize = 32;

/// Nests of more members than this would run out of registers and instruction cache.
const MOST_MEMBERS: usize = 32;

/// So many nests that read the same memory are tried, the latest first.
const MOST_CANDIDATES: usize = 24;

/// Nodes that are computed together.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Cluster {
    /// Indices of nodes, in an order in which they can be computed; a single one that is not a nest is a call.
    pub members: Vec<usize>,
    /// The sizes of all axes that members have.
    pub dims: Vec<usize>,
    /// The axes that are rows (indices into `dims`).
    pub rows: BTreeSet<usize>,
    /// For each member, which of `dims` the axes of its space are.
    pub axes: Vec<Vec<usize>>,
}

/// Puts the nodes in clusters, in an order in which these can run.
pub fn group(nodes: &[Node], node_of: &[Option<usize>], order: &Order) -> Vec<Cluster> {
    let sorted = order.sorted();
    let mut grouping = Grouping::new(nodes, node_of, order, &sorted);
    for node in &sorted {
        grouping.place(*node);
    }
    grouping.merge_all();
    grouping.in_order()
}

impl Cluster {
    /// The members with their axes.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[usize])> {
        self.members.iter().copied().zip(self.axes.iter().map(Vec::as_slice))
    }

    /// The axes of a member.
    pub fn axes_of(&self, node: usize) -> Option<&[usize]> {
        self.iter().find(|(member, _)| *member == node).map(|(_, axes)| axes)
    }

    fn points(&self, dims: &BTreeSet<usize>) -> usize {
        dims.iter().map(|dim| self.dims[*dim]).product()
    }

    /// The cluster with one more member.
    fn with(&self, node: usize, axes: Vec<Option<usize>>, space: &[usize]) -> Cluster {
        let mut cluster = self.clone();
        let mut enter = |(axis, size): (Option<usize>, &usize)| {
            axis.unwrap_or_else(|| {
                cluster.dims.push(*size);
                cluster.dims.len() - 1
            })
        };
        let axes = axes.into_iter().zip(space).map(&mut enter).collect();
        cluster.members.push(node);
        cluster.axes.push(axes);
        cluster
    }
}

struct Grouping<'a> {
    nodes: &'a [Node],
    node_of: &'a [Option<usize>],
    order: &'a Order,
    clusters: Vec<Cluster>,
    /// The clusters, each after all that it needs; empty ones anywhere.
    sequence: Sequence,
    /// The cluster of each node; none has this number yet if it is not placed.
    cluster_of: Vec<usize>,
    /// The nodes that read an input or a node.
    readers: HashMap<Value, Vec<usize>>,
    /// The place of each node in an order in which they can be computed.
    position: Vec<usize>,
    marks: RefCell<Marks>,
}

/// Which clusters a search has seen; searches are numbered, so that nothing has to be cleared.
#[derive(Default)]
struct Marks {
    seen: Vec<u32>,
    search: u32,
}

impl Marks {
    fn next_search(&mut self, n_clusters: usize) {
        self.seen.resize(n_clusters, 0);
        self.search += 1;
    }

    /// Marks the cluster; says whether this search sees it for the first time.
    fn see(&mut self, cluster: usize) -> bool {
        std::mem::replace(&mut self.seen[cluster], self.search) != self.search
    }
}

/// A cluster that can take the place of one or two.
struct Change {
    cluster: Cluster,
    /// What has to come before it, and does not yet.
    needed: Vec<usize>,
}

/// Which dimension each axis of a node is, as far as it is known.
#[derive(Clone)]
struct Links {
    axes: Vec<Option<usize>>,
    any: bool,
}

/// An axis of a member as others see it: the dimension it is, and how far it steps through some memory.
struct Step {
    dim: usize,
    stride: usize,
}

impl Links {
    /// Identifies the axes of a node (of this space) that step as far as a member's do through the same memory; `None` if
    /// not every step has its axis, or it is taken.
    fn link(&self, space: &[usize], ours: &[usize], theirs: &[Step], dims: &[usize]) -> Option<Links> {
        let mut links = Links { axes: self.axes.clone(), any: true };
        let mut found = 0;
        for (axis, stride) in ours.iter().enumerate().filter(|(_, stride)| **stride > 0) {
            let dim = theirs.iter().find(|step| step.stride == *stride && dims[step.dim] == space[axis])?.dim;
            let elsewhere = links.axes.iter().position(|known| *known == Some(dim)).is_some_and(|a| a != axis);
            if elsewhere || links.axes[axis].is_some_and(|known| known != dim) {
                return None;
            }
            links.axes[axis] = Some(dim);
            found += 1;
        }
        (found == theirs.len()).then_some(links)
    }
}

/// The axes that step at all.
fn steps(dims: &[usize], strides: &[usize]) -> Vec<Step> {
    let all = dims.iter().zip(strides).map(|(dim, stride)| Step { dim: *dim, stride: *stride });
    all.filter(|step| step.stride > 0).collect()
}

impl<'a> Grouping<'a> {
    fn new(nodes: &'a [Node], node_of: &'a [Option<usize>], order: &'a Order, sorted: &[usize]) -> Grouping<'a> {
        let mut readers: HashMap<Value, Vec<usize>> = HashMap::new();
        let mut position = vec![0; nodes.len()];
        for (at, node) in sorted.iter().enumerate() {
            position[*node] = at;
            for read in nodes[*node].reads.iter().filter(|_| nodes[*node].is_nest()) {
                let known = readers.entry(read.base).or_default();
                if known.last() != Some(node) {
                    known.push(*node);
                }
            }
        }
        let cluster_of = vec![usize::MAX; nodes.len()];
        let (clusters, sequence, marks) = (vec![], Sequence::default(), RefCell::default());
        Grouping { nodes, node_of, order, clusters, sequence, cluster_of, readers, position, marks }
    }

    fn place(&mut self, node: usize) {
        let joined = self.candidates(node).into_iter().find_map(|c| Some((c, self.join(node, c)?)));
        self.cluster_of[node] = match joined {
            Some((index, Change { cluster, needed })) => {
                self.sequence.advance(&needed, index);
                self.clusters[index] = cluster;
                index
            }
            None => {
                self.sequence.push();
                self.clusters.push(self.alone(node));
                self.clusters.len() - 1
            }
        };
    }

    fn alone(&self, node: usize) -> Cluster {
        let space = &self.nodes[node].space;
        let mut cluster = Cluster::default().with(node, vec![None; space.len()], space);
        cluster.rows = (0..self.nodes[node].kept).collect();
        cluster
    }

    /// Nests that the node could join, the best first: those of what it reads, then those that read the same.
    fn candidates(&self, node: usize) -> Vec<usize> {
        let this = &self.nodes[node];
        if !this.is_nest() {
            return vec![];
        }
        let producers = this.reads.iter().filter_map(|read| self.node_of[read.base.0 as usize]);
        let producers: BTreeSet<usize> = producers.map(|p| self.cluster_of[p]).collect();
        let mut others: BTreeSet<usize> = BTreeSet::new();
        for read in &this.reads {
            let placed = |reader: &&usize| self.cluster_of[**reader] != usize::MAX;
            let readers = self.readers.get(&read.base).into_iter().flatten().filter(placed).rev();
            others.extend(readers.map(|reader| self.cluster_of[*reader]).take(MOST_CANDIDATES));
        }
        if this.kept == 0 && this.points() <= LARGE {
            others.extend((0..self.clusters.len()).filter(|c| self.clusters[*c].rows.is_empty()));
        }
        let mut all: Vec<usize> = producers.iter().rev().copied().collect();
        all.extend(others.into_iter().rev().filter(|c| !producers.contains(c)));
        all.retain(|c| !self.clusters[*c].members.is_empty());
        all.retain(|c| self.clusters[*c].members.iter().all(|m| self.nodes[*m].is_nest()));
        all
    }

    /// The cluster with the node in it, if that is possible and of use.
    fn join(&self, node: usize, index: usize) -> Option<Change> {
        let outside = self.order.before[node].iter().map(|before| self.cluster_of[*before]);
        let needed = self.needed_behind(outside.filter(|c| *c != index), index)?;
        Some(Change { cluster: self.extend(&self.clusters[index], node)?, needed })
    }

    /// The cluster with one more member, whatever comes before or between them.
    fn extend(&self, cluster: &Cluster, node: usize) -> Option<Cluster> {
        let links = self.links(node, cluster)?;
        let related = links.any || self.nodes[node].kept == 0;
        if cluster.members.len() >= MOST_MEMBERS || !related || self.has_sibling(node, cluster) {
            return None;
        }
        let mut joined = cluster.with(node, links.axes, &self.nodes[node].space);
        joined.rows = self.rows(&joined)?;
        (self.keeps_rows(&joined) && self.overwrites_in_place(&joined)).then_some(joined)
    }

    /// Whether the node and a member are parts of one value: a nest writes to each buffer in one way.
    fn has_sibling(&self, node: usize, cluster: &Cluster) -> bool {
        let whole = |node: usize| self.nodes[node].part.as_ref().map(|part| part.whole);
        whole(node).is_some() && cluster.members.iter().any(|member| whole(*member) == whole(node))
    }

    /// Merges nests that could not be one while their members were placed one by one.
    fn merge_all(&mut self) {
        for second in 0..self.clusters.len() {
            let members = self.clusters[second].members.iter();
            let candidates: BTreeSet<usize> = members.flat_map(|node| self.candidates(*node)).collect();
            for first in candidates.into_iter().rev() {
                if first != second
                    && let Some(merged) = self.merge(first, second)
                {
                    self.replace_two(first, second, merged);
                    break;
                }
            }
        }
    }

    /// The merged cluster stands where the earlier of the two stood.
    fn replace_two(&mut self, first: usize, second: usize, merged: Change) {
        if self.sequence.place(second) < self.sequence.place(first) {
            self.sequence.swap(first, second);
        }
        self.sequence.advance(&merged.needed, first);
        merged.cluster.members.iter().for_each(|node| self.cluster_of[*node] = first);
        self.clusters[first] = merged.cluster;
        self.clusters[second] = Cluster::default();
    }

    /// Two nests as one, if nothing has to come between them.
    fn merge(&self, first: usize, second: usize) -> Option<Change> {
        if self.clusters[first].members.len() + self.clusters[second].members.len() > MOST_MEMBERS {
            return None;
        }
        let is_in_order = self.sequence.place(first) < self.sequence.place(second);
        let (early, late) = if is_in_order { (first, second) } else { (second, first) };
        let needed = self.needed_behind(self.read_by(late).filter(|c| *c != early && *c != late), early)?;
        Some(Change { cluster: self.union(first, second)?, needed })
    }

    /// The members of two nests in one.
    fn union(&self, first: usize, second: usize) -> Option<Cluster> {
        let mut merged = self.clusters[first].clone();
        let mut rest = self.clusters[second].members.clone();
        while !rest.is_empty() {
            // Whoever is related to somebody comes next: members may only be related through others.
            let found = rest.iter().enumerate().find_map(|(at, node)| Some((at, self.extend(&merged, *node)?)));
            let (at, extended) = found?;
            merged = extended;
            let _ = rest.remove(at);
        }
        let mut members: Vec<(usize, Vec<usize>)> = merged.members.into_iter().zip(merged.axes).collect();
        members.sort_by_key(|(node, _)| self.position[*node]);
        (merged.members, merged.axes) = members.into_iter().unzip();
        Some(merged)
    }

    /// Which axes of the node are which dimensions, from what it and members read; `None` if one reads the other anywhere but
    /// at its own position.
    fn links(&self, node: usize, cluster: &Cluster) -> Option<Links> {
        let Node { space, reads, .. } = &self.nodes[node];
        let mut links = Links { axes: vec![None; space.len()], any: false };
        for read in reads {
            let member = self.node_of[read.base.0 as usize];
            if let Some((member, axes)) = member.and_then(|m| Some((m, cluster.axes_of(m)?))) {
                if read.start > 0 {
                    return None;
                }
                let theirs = steps(axes, &self.nodes[member].own_strides());
                links = links.link(space, &read.strides, &theirs, &cluster.dims)?;
            }
        }
        for (member, axes) in cluster.iter() {
            for theirs in self.nodes[member].reads.iter() {
                let steps = steps(axes, &theirs.strides);
                if theirs.base == self.nodes[node].value && self.node_of[theirs.base.0 as usize] == Some(node) {
                    if theirs.start > 0 {
                        return None;
                    }
                    links = links.link(space, &self.nodes[node].own_strides(), &steps, &cluster.dims)?;
                }
                for ours in reads.iter().filter(|ours| ours.base == theirs.base && !steps.is_empty()) {
                    links = links.link(space, &ours.strides, &steps, &cluster.dims).unwrap_or(links);
                }
            }
        }
        Some(links)
    }

    /// The rows that a cluster with these members has, if it can be one nest.
    fn rows(&self, cluster: &Cluster) -> Option<BTreeSet<usize>> {
        let kept = |(node, axes): (usize, &[usize])| -> BTreeSet<usize> {
            axes[..self.nodes[node].kept].iter().copied().collect()
        };
        let folds = cluster.iter().find(|(node, _)| self.nodes[*node].folds());
        let rows = match folds {
            Some(fold) => kept(fold),
            None => cluster.iter().map(kept).reduce(|a, b| a.intersection(&b).copied().collect())?,
        };
        let fits = |(node, axes): (usize, &[usize])| match self.nodes[node].folds() {
            true => kept((node, axes)) == rows,
            false => rows.is_subset(&kept((node, axes))),
        };
        let uniform = folds.is_some() || !rows.is_empty() || cluster.iter().all(|member| kept(member).is_empty());
        (uniform && cluster.iter().all(fits)).then_some(rows)
    }

    /// Whether there are rows enough for the threads, and elements are written in the order in which they lie in memory.
    fn keeps_rows(&self, cluster: &Cluster) -> bool {
        let total = cluster.members.iter().map(|node| self.nodes[*node].points()).max().unwrap_or(1);
        let enough = total <= LARGE || cluster.points(&cluster.rows) >= ENOUGH_ROWS;
        enough && (total <= HUGE || cluster.iter().all(|(node, axes)| self.goes_in_order(cluster, node, axes)))
    }

    /// Whether the rows are the outer axes of what a member writes.
    fn goes_in_order(&self, cluster: &Cluster, node: usize, axes: &[usize]) -> bool {
        let strides = self.nodes[node].own_strides();
        let farthest = |is_row: bool| {
            let steps = axes.iter().zip(&strides).filter(|(axis, _)| cluster.rows.contains(axis) == is_row);
            steps.map(|(_, stride)| *stride).max().unwrap_or(0)
        };
        self.nodes[node].points() <= HUGE || farthest(false) <= farthest(true)
    }

    /// Whether each input that a member overwrites is read only at the position where it is written.
    fn overwrites_in_place(&self, cluster: &Cluster) -> bool {
        let steps = |axes: &[usize], strides: &[usize]| -> BTreeMap<usize, usize> {
            axes.iter().copied().zip(strides.iter().copied()).filter(|(_, stride)| *stride > 0).collect()
        };
        let reads = |input: Value, at: &BTreeMap<usize, usize>| {
            let all = cluster.iter().flat_map(|(node, axes)| self.nodes[node].reads.iter().map(move |r| (r, axes)));
            all.filter(|(read, _)| read.base == input)
                .all(|(read, axes)| read.start == 0 && steps(axes, &read.strides) == *at)
        };
        cluster.iter().all(|(node, axes)| {
            let at = steps(axes, &self.nodes[node].own_strides());
            self.order.overwrites[node].iter().all(|input| reads(*input, &at))
        })
    }

    /// Those that come directly before the cluster, each once.
    fn before(&self, cluster: usize) -> Vec<usize> {
        let mut before: Vec<usize> = self.read_by(cluster).filter(|c| *c != cluster).collect();
        before.sort_unstable();
        before.dedup();
        before
    }

    /// The cluster of each node that comes before a member.
    fn read_by(&self, cluster: usize) -> impl Iterator<Item = usize> {
        let members = self.clusters[cluster].members.iter();
        members.flat_map(|member| &self.order.before[*member]).map(|node| self.cluster_of[*node])
    }

    /// The clusters, and all that they need, as far as these are behind `other`; `None` if one of them needs `other`, or is
    /// the same.
    fn needed_behind(&self, clusters: impl Iterator<Item = usize>, other: usize) -> Option<Vec<usize>> {
        let mut marks = self.marks.borrow_mut();
        marks.next_search(self.clusters.len());
        let is_behind = |cluster: &usize| self.sequence.place(*cluster) >= self.sequence.place(other);
        let mut needed: Vec<usize> = clusters.filter(is_behind).filter(|c| marks.see(*c)).collect();
        let mut searched = 0;
        while let Some(next) = needed.get(searched).copied() {
            if next == other {
                return None;
            }
            needed.extend(self.read_by(next).filter(is_behind).filter(|c| marks.see(*c)));
            searched += 1;
        }
        Some(needed)
    }

    fn in_order(self) -> Vec<Cluster> {
        let before: Vec<Vec<usize>> = (0..self.clusters.len()).map(|c| self.before(c)).collect();
        let sorted = order::sort(&before, Next::Following).into_iter();
        sorted.map(|c| self.clusters[c].clone()).filter(|cluster| !cluster.members.is_empty()).collect()
    }
}
