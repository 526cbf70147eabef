//! What must be computed before what, and which results can be written in place.
//!
//! A node needs the nodes that it reads. A node that overwrites a lasting tensor also waits for all readers of the old
//! value; where that is impossible its result is *late*: kept aside and copied over at the very end.

use std::collections::{BTreeSet, HashMap};

use super::nodes::{Kind, Node, Read};
use crate::tir::{Func, Value};

/// For each node, the nodes that come before it.
#[derive(Clone, Debug)]
pub struct Order {
    /// Direct predecessors, each once, sorted.
    pub before: Vec<Vec<usize>>,
    /// The inputs that each node overwrites.
    pub overwrites: Vec<Vec<Value>>,
}

/// Orders the nodes; moves results that cannot be written in place from `results` to `late`.
pub fn arrange(func: &Func, nodes: &mut [Node], node_of: &[Option<usize>], lasting: &BTreeSet<&str>) -> Order {
    let mut draft = Draft::new(nodes, node_of);
    let inputs = func.params().map(|(name, value, _)| (&**name, value)).filter(|(name, _)| lasting.contains(name));
    let inputs: HashMap<&str, Value> = inputs.collect();
    for (index, node) in nodes.iter_mut().enumerate() {
        for result in std::mem::take(&mut node.results) {
            match inputs.get(&*func.results[result].0) {
                Some(input) if !draft.overwrite(node, index, *input) => node.late.push(result),
                _ => node.results.push(result),
            }
        }
    }
    draft.order
}

/// An order in which overwriting nodes are still finding their places.
struct Draft {
    order: Order,
    /// Direct successors.
    after: Vec<Vec<usize>>,
    /// Who reads an input or a node.
    readers: HashMap<Value, Vec<usize>>,
}

impl Draft {
    fn new(nodes: &[Node], node_of: &[Option<usize>]) -> Draft {
        let order = Order { before: vec![vec![]; nodes.len()], overwrites: vec![vec![]; nodes.len()] };
        let mut draft = Draft { order, after: vec![vec![]; nodes.len()], readers: HashMap::new() };
        for (index, node) in nodes.iter().enumerate() {
            let read: BTreeSet<Value> = node.reads.iter().map(|read| read.base).collect();
            read.iter().for_each(|value| draft.readers.entry(*value).or_default().push(index));
            let over = node.part.as_ref().and_then(|part| part.over);
            let needs = read.into_iter().chain(over).filter_map(|value| node_of[value.0 as usize]).collect();
            draft.put_after(index, needs);
        }
        draft
    }

    /// Lets a node come after others.
    fn put_after(&mut self, node: usize, others: Vec<usize>) {
        others.iter().for_each(|other| self.after[*other].push(node));
        let before = &mut self.order.before[node];
        before.extend(others);
        before.sort_unstable();
        before.dedup();
    }

    /// Lets the node (of this index) overwrite the input after all who read it; says whether it can.
    fn overwrite(&mut self, node: &Node, writer: usize, input: Value) -> bool {
        let readers = self.readers.get(&input).into_iter().flatten().copied();
        let readers: Vec<usize> = readers.filter(|reader| *reader != writer).collect();
        // The parts of a value are written one by one, each when it is ready.
        if node.kind == Kind::Join || !reads_in_place(node, input) || self.leads_to_any(writer, &readers) {
            return false;
        }
        self.put_after(writer, readers);
        self.order.overwrites[writer].push(input);
        true
    }

    /// Whether one of the others comes after the node, directly or not.
    fn leads_to_any(&self, node: usize, others: &[usize]) -> bool {
        let mut seen = BTreeSet::from([node]);
        let mut open = vec![node];
        while let Some(next) = open.pop() {
            let new = self.after[next].iter().filter(|after| seen.insert(**after));
            open.extend(new.copied());
        }
        others.iter().any(|other| seen.contains(other))
    }
}

impl Order {
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

/// The indices, each after those in its list, which names each once.
pub fn sort(before: &[Vec<usize>], prefer: Next) -> Vec<usize> {
    let mut missing: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut after: Vec<Vec<usize>> = vec![vec![]; before.len()];
    for (index, list) in before.iter().enumerate() {
        list.iter().for_each(|b| after[*b].push(index));
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
