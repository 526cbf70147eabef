//! Which axes are cut alike.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::mask::Mask;
use super::{Class, Classes, seams};
use crate::tir::{Func, Op, Reduction, Value};

/// The classes of a function.
pub struct Found {
    /// Those of axes of sampled values.
    pub axes: BTreeMap<(Value, usize), Classes>,
    /// Those that a definition computes in along the axes with a label.
    pub labels: BTreeMap<(Value, u8), Classes>,
    /// All of them; those of branches last.
    pub classes: Vec<Class>,
}

/// Joins what has to be cut alike, once with the branches of sums and once without.
pub fn find(func: &Func, facts: &Facts) -> Found {
    let whole = Forest::joined(func, facts, &|_, _, _| false);
    let seams = seams::find(func, facts);
    let apart = Forest::joined(func, facts, &|value, at, axis| seams.contains(&(value, at, axis)));
    let mut found = Found { axes: BTreeMap::new(), labels: BTreeMap::new(), classes: vec![] };
    let mut streams = BTreeMap::new();
    for node in whole.nodes(func, facts) {
        let root = whole.root(node.index);
        if whole.can_be_cut(root) {
            let stream = *streams.entry(root).or_insert_with(|| {
                let live = whole.live[root].clone();
                found.classes.push(Class { size: node.size, is_branch: false, within: None, live });
                found.classes.len() - 1
            });
            found.classes_of(node.of).stream = Some(stream);
        }
    }
    let mut branches = BTreeMap::new();
    for node in whole.nodes(func, facts) {
        let [root, own] = [whole.root(node.index), apart.root(node.index)];
        let live = &apart.live[own];
        if apart.can_be_cut(own) && *live != whole.live[root] {
            // Branches with the same mask are cut alike.
            let branch = *branches.entry((root, live.clone())).or_insert_with(|| {
                let within = streams.get(&root).copied();
                found.classes.push(Class { size: node.size, is_branch: true, within, live: live.clone() });
                found.classes.len() - 1
            });
            found.classes_of(node.of).branch = Some(branch);
        }
    }
    found
}

impl Found {
    fn classes_of(&mut self, of: Of) -> &mut Classes {
        match of {
            Of::Axis(value, axis) => self.axes.entry((value, axis)).or_default(),
            Of::Label(value, label) => self.labels.entry((value, label)).or_default(),
        }
    }
}

/// What is cut: an axis of a value, or what a definition does along the axes with a label.
#[derive(Clone, Copy)]
enum Of {
    Axis(Value, usize),
    Label(Value, u8),
}

struct Node {
    of: Of,
    index: usize,
    size: usize,
}

/// Axes of sampled values and labels of definitions, joined where an op demands equal positions: a forest of trees.
struct Forest {
    /// Where the axes of each value begin among all nodes, and where the labels of its definition do.
    start: Vec<[usize; 2]>,
    parent: Vec<usize>,
    /// Outside of which positions nothing is live.
    live: Vec<Mask>,
}

impl Forest {
    /// `is_seam` tells whether a value, as this operand of that definition, is cut in its own way along an axis.
    fn joined(func: &Func, facts: &Facts, is_seam: &dyn Fn(Value, usize, usize) -> bool) -> Forest {
        let mut start = vec![];
        let mut count = 0;
        for (def, labels) in func.defs.iter().zip(&facts.labels) {
            let all = labels.operands.iter().flatten().chain(&labels.result);
            let n_labels = all.flatten().max().map_or(0, |most| usize::from(*most) + 1);
            start.push([count, count + def.ty.rank()]);
            count += def.ty.rank() + n_labels;
        }
        let mut forest = Forest { start, parent: (0..count).collect(), live: vec![Mask::none(); count] };
        for value in func.values() {
            forest.join_around(func, facts, value, is_seam);
        }
        (0..count).for_each(|node| forest.parent[node] = forest.find(node));
        forest
    }

    fn axis(&self, value: Value, axis: usize) -> usize {
        self.start[value.0 as usize][0] + axis
    }

    fn label(&self, value: Value, label: u8) -> usize {
        self.start[value.0 as usize][1] + usize::from(label)
    }

    /// Joins what the definition of `value` ties together.
    fn join_around(&mut self, func: &Func, facts: &Facts, value: Value, is_seam: &dyn Fn(Value, usize, usize) -> bool) {
        let labels = &facts.labels[value.0 as usize];
        for (at, operand) in func.def(value).op.operands().into_iter().enumerate() {
            if !facts.sampled[operand.0 as usize] {
                continue;
            }
            for (axis, label) in labels.operands[at].iter().enumerate() {
                let here = self.axis(operand, axis);
                self.enlarge(here, &facts.live(operand, axis));
                let Some(label) = label else { continue };
                let there = self.label(value, *label);
                if !is_seam(value, at, axis) {
                    self.join(here, there);
                }
                // What comes of sampled values and is not sampled itself is put back among zeros.
                if let Some(axis) = labels.result.iter().position(|own| own == &Some(*label)) {
                    self.enlarge(there, &facts.live(value, axis));
                } else if ignores_zeros(&func.def(value).op) {
                    self.enlarge(there, &facts.used(func, value, at, axis));
                } else {
                    self.enlarge(there, &Mask::All);
                }
            }
        }
        if facts.sampled[value.0 as usize] {
            for (axis, label) in labels.result.iter().enumerate() {
                let here = self.axis(value, axis);
                self.enlarge(here, &facts.live(value, axis));
                if let Some(label) = label {
                    let there = self.label(value, *label);
                    self.join(here, there);
                }
            }
        }
    }

    /// The root of a node's tree, when all are joined.
    fn root(&self, node: usize) -> usize {
        self.parent[node]
    }

    /// The root of a node's tree. What it passes is half as deep from then on: without it the axes of a deep network are one long path.
    fn find(&mut self, node: usize) -> usize {
        let mut node = node;
        while self.parent[node] != node {
            self.parent[node] = self.parent[self.parent[node]];
            node = self.parent[node];
        }
        node
    }

    fn enlarge(&mut self, node: usize, live: &Mask) {
        let root = self.find(node);
        self.live[root] = self.live[root].or(live);
    }

    fn join(&mut self, a: usize, b: usize) {
        let [a, b] = [self.find(a), self.find(b)];
        if a != b {
            self.parent[a] = b;
            let live = std::mem::replace(&mut self.live[a], Mask::none());
            self.live[b] = self.live[b].or(&live);
        }
    }

    /// Whether some of it can be dead, and not all of it is.
    fn can_be_cut(&self, root: usize) -> bool {
        self.live[root] != Mask::All && !self.live[root].is_none()
    }

    /// All axes of sampled values, then the labels of definitions around sampled values.
    fn nodes(&self, func: &Func, facts: &Facts) -> Vec<Node> {
        let is_sampled = |value: &Value| facts.sampled[value.0 as usize];
        let axes = func.values().filter(is_sampled).flat_map(|value| {
            let sizes = func.ty(value).shape.iter().copied().enumerate();
            sizes.map(move |(axis, size)| (Of::Axis(value, axis), size))
        });
        let labels = func.values().flat_map(|value| {
            let labels = &facts.labels[value.0 as usize];
            let operands = func.def(value).op.operands();
            let around = operands.into_iter().zip(&labels.operands).chain([(value, &labels.result)]);
            let around = around.filter(|(of, _)| is_sampled(of));
            let axes = around.flat_map(|(of, labels)| labels.iter().zip(&func.ty(of).shape));
            let sizes: BTreeMap<u8, usize> = axes.filter_map(|(label, size)| Some(((*label)?, *size))).collect();
            sizes.into_iter().map(move |(label, size)| (Of::Label(value, label), size))
        });
        let node = |(of, size): (Of, usize)| {
            let index = match of {
                Of::Axis(value, axis) => self.axis(value, axis),
                Of::Label(value, label) => self.label(value, label),
            };
            Node { of, index, size }
        };
        axes.chain(labels).map(node).collect()
    }
}

/// Whether it makes no difference to an op how many zeros there are along an axis that its result does not have.
fn ignores_zeros(op: &Op) -> bool {
    !matches!(op, Op::Reduce(Reduction::Max | Reduction::Min, ..))
}
