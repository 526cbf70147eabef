//! Which layer or tensor a call works for, so that people can be told where time goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::pass::fuse::{Cluster, Plan};
use crate::tir::{Op, Value};

/// The path that most points of a cluster belong to; of equal ones the first by name, and empty where no path is known.
///
/// A nest that several layers share counts for one of them as a whole: what it costs cannot be told apart.
pub fn of(plan: &Plan, cluster: &Cluster, is_lasting: &dyn Fn(&str) -> bool) -> Arc<str> {
    let mut points: BTreeMap<&str, usize> = BTreeMap::new();
    for member in &cluster.members {
        if let Some(path) = path(plan, *member, is_lasting) {
            *points.entry(path).or_default() += plan.nodes[*member].points();
        }
    }
    let most = points.values().copied().max();
    let label = points.into_iter().find(|(_, points)| Some(*points) == most);
    label.map_or_else(|| "".into(), |(path, _)| path.into())
}

/// The path of what a node computes; where it has none, as in a function of the library that is applied to a weight, a lasting tensor
/// that it reads.
fn path<'a>(plan: &'a Plan, node: usize, is_lasting: &dyn Fn(&str) -> bool) -> Option<&'a str> {
    let node = &plan.nodes[node];
    let own = plan.func.def(node.value).origin.as_ref().map(|origin| origin.path.as_str());
    let read = |value: Value| {
        if let Op::Param(name) = &plan.func.def(value).op { Some(&**name).filter(|name| is_lasting(name)) } else { None }
    };
    own.filter(|path| !path.is_empty()).or_else(|| node.reads.iter().find_map(|found| read(found.base)))
}
