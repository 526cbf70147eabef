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
        if let Op::Param(name) = &plan.func.def(value).op {
            Some(&**name).filter(|name| is_lasting(name))
        } else {
            None
        }
    };
    own.filter(|path| !path.is_empty()).or_else(|| node.reads.iter().find_map(|found| read(found.base)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::to_lir::lower;
    use crate::scalar::Unary;
    use crate::tir::{Func, Origin, Type};

    /// A function that takes the negative of an input, for the layer with this path; the labels of its calls.
    fn labels(input: &str, path: Option<&str>) -> Vec<String> {
        let ty = Type::f32([64]);
        let mut func = Func::new("f");
        let x = func.push(Op::Param(input.into()), ty.clone(), None);
        let origin = path.map(|path| Origin { place: "a:1:1".to_owned(), path: path.to_owned(), cotangent: true });
        let y = func.push(Op::Unary(Unary::Neg, x), ty.clone(), origin.map(Arc::new));
        func.results.push(("y".into(), y));
        let module = lower(&[func], &[("net.fc1.w".into(), ty)]);
        module.funcs[0].steps.iter().flat_map(|step| &step.labels).map(ToString::to_string).collect()
    }

    #[test]
    fn a_call_works_for_its_layer_or_for_a_lasting_tensor_that_it_reads() {
        assert_eq!(labels("net.fc1.w", Some("net.fc2")), ["net.fc2"]);
        assert_eq!(labels("net.fc1.w", Some("")), ["net.fc1.w"]);
        assert_eq!(labels("net.fc1.w", None), ["net.fc1.w"]);
        assert_eq!(labels("data.x", None), [""]);
    }

    #[test]
    fn a_shared_nest_works_for_the_layer_with_most_points() {
        let (row, scalar) = (Type::f32([64]), Type::f32([]));
        let origin =
            |path: &str| Some(Arc::new(Origin { place: String::new(), path: path.to_owned(), cotangent: false }));
        let mut func = Func::new("f");
        let x = func.push(Op::Param("x".into()), row.clone(), None);
        let y = func.push(Op::Unary(Unary::Exp, x), row, origin("net.fc2"));
        let sum = func.push(Op::Reduce(crate::tir::Reduction::Sum, y, vec![0]), scalar.clone(), origin("net.fc2"));
        let root = func.push(Op::Unary(Unary::Sqrt, sum), scalar, origin("net.fc1"));
        func.results.extend([("y".into(), y), ("root".into(), root)]);
        let module = lower(&[func], &[]);
        let step = &module.funcs[0].steps[0];
        assert_eq!(step.labels.first().map(|label| &**label), Some("net.fc2"), "{}", crate::lir::print(&module));
    }
}
