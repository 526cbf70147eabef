//! What must be computed before what, and which results can be written in place.
//!
//! A node needs the nodes that it reads. A node that overwrites a lasting tensor also waits for all readers of the old
//! value; where that is impossible its result is *late*: kept aside and copied over at the very end.

use std::collections::BTreeSet;

use super::nodes::{Kind, Node, Read};
use crate::tir::{Func, Value};

/// For each node, the nodes that come before it.
#[derive(Clone, Debug)]
pub struct Order {
    /// Direct predecessors.
    pub before: Vec<BTreeSet<usize>>,
    /// The inputs that each node overwrites.
    pub overwrites: Vec<Vec<Value>>,
}

/// Orders the nodes; moves results that cannot be written in place from `results` to `late`.
pub fn arrange(func: &Func, nodes: &mut [Node], node_of: &[Option<usize>], lasting: &BTreeSet<&str>) -> Order {
    let needs = |node: &Node| {
        let over = node.part.as_ref().and_then(|part| part.over);
        node.reads.iter().map(|read| read.base).chain(over).filter_map(|value| node_of[value.0 as usize]).collect()
    };
    let before = nodes.iter().map(needs).collect();
    let mut order = Order { before, overwrites: vec![vec![]; nodes.len()] };
    for index in 0..nodes.len() {
        for result in std::mem::take(&mut nodes[index].results) {
            let name = &*func.results[result].0;
            let input = func.params().find(|(param, _, _)| &***param == name).map(|(_, value, _)| value);
            match input.filter(|_| lasting.contains(name)) {
                Some(input) if !order.overwrite(nodes, index, input) => nodes[index].late.push(result),
                _ => nodes[index].results.push(result),
            }
        }
    }
    order
}

impl Order {
    /// Lets the node overwrite the input after all who read it; says whether it can.
    fn overwrite(&mut self, nodes: &[Node], writer: usize, input: Value) -> bool {
        let reads = |node: &Node| node.reads.iter().any(|read| read.base == input);
        let readers: Vec<usize> = (0..nodes.len()).filter(|n| *n != writer && reads(&nodes[*n])).collect();
        // The parts of a value are written one by one, each when it is ready.
        if nodes[writer].kind == Kind::Join
            || !reads_in_place(&nodes[writer], input)
            || readers.iter().any(|reader| self.needs(*reader, writer))
        {
            return false;
        }
        self.before[writer].extend(readers);
        self.overwrites[writer].push(input);
        true
    }

    /// Whether `node` comes after `other`, directly or not.
    pub fn needs(&self, node: usize, other: usize) -> bool {
        let mut seen = vec![false; self.before.len()];
        let mut open = vec![node];
        while let Some(next) = open.pop() {
            for before in &self.before[next] {
                if *before == other {
                    return true;
                }
                if !std::mem::replace(&mut seen[*before], true) {
                    open.push(*before);
                }
            }
        }
        false
    }

    /// The nodes, each after all that it needs; otherwise in the order they are in.
    pub fn sorted(&self) -> Vec<usize> {
        sort(&self.before, Next::Smallest)
    }
}

/// Which of several indices that can come next does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The smallest.
    Smallest,
    /// One that the last one was in the way of (what that wrote is still in the cache), else the smallest.
    Following,
}

/// The indices, each after those in its set.
pub fn sort(before: &[BTreeSet<usize>], prefer: Next) -> Vec<usize> {
    let mut missing: Vec<usize> = before.iter().map(BTreeSet::len).collect();
    let mut after: Vec<Vec<usize>> = vec![vec![]; before.len()];
    for (index, set) in before.iter().enumerate() {
        set.iter().for_each(|b| after[*b].push(index));
    }
    let mut ready: BTreeSet<usize> = (0..before.len()).filter(|index| missing[*index] == 0).collect();
    let mut sorted = vec![];
    let mut follows: Option<usize> = None;
    while let Some(next) = follows.take().or_else(|| ready.first().copied()) {
        let _ = ready.remove(&next);
        sorted.push(next);
        for index in &after[next] {
            missing[*index] -= 1;
            if missing[*index] == 0 {
                let _ = ready.insert(*index);
                follows = follows.or(Some(*index)).filter(|_| prefer == Next::Following);
            }
        }
    }
    assert_eq!(sorted.len(), before.len(), "nothing comes before itself");
    sorted
}

/// Whether the node itself reads the input only where it writes.
fn reads_in_place(node: &Node, input: Value) -> bool {
    let own = node.own_strides();
    let in_place = |read: &Read| node.is_nest() && read.start == 0 && read.strides == own;
    node.reads.iter().filter(|read| read.base == input).all(in_place)
}
