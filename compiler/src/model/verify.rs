//! The model verifier. Its list is the specification:
//!
//! - no size is left to be inferred;
//! - operands come before their users;
//! - elementwise operands have equal types, and the result has their sizes;
//! - the element types are those that the op needs and gives;
//! - broadcasts, transpositions, reshapes, reductions and contractions have the sizes that they say, windows, parts and rows too;
//! - terms, reports, measures and budgets are `f32` scalars;
//! - starts, effective tensors, updates and what events write have the types of their parameters and states.
//!
//! A failure is a bug of the compiler, never the user's mistake.

mod parts;

use std::collections::BTreeMap;

use super::{DType, ExprId, Graph, Model, Node, Op, Size, Type, Written};
use crate::scalar::{Binary, Unary};

/// Everything that is broken, each with the node or the path it is broken at.
///
/// # Errors
///
/// The broken invariants.
pub fn verify(model: &Model) -> Result<(), Vec<String>> {
    let mut errors = vec![];
    for (index, node) in model.graph.nodes.iter().enumerate() {
        if let Err(what) = check_node(&model.graph, index, node) {
            errors.push(format!("e{index} ({:?}, in `{}`): {what}", node.op, node.path));
        }
    }
    if errors.is_empty() {
        errors = check_lasting(model);
        errors.extend(check_scalars(model));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

type Check = Result<(), String>;

fn sizes(ty: &Type) -> Vec<Size> {
    ty.axes.iter().map(|axis| axis.size).collect()
}

fn same(what: &str, a: &Type, b: &Type) -> Check {
    let equal = a.dtype == b.dtype && sizes(a) == sizes(b);
    if equal { Ok(()) } else { Err(format!("{what}: {} is not {}", super::print_type(a), super::print_type(b))) }
}

fn same_sizes(what: &str, a: &[Size], b: &[Size]) -> Check {
    if a == b { Ok(()) } else { Err(format!("{what}: {a:?} is not {b:?}")) }
}

fn is(what: &str, ty: &Type, dtype: DType) -> Check {
    if ty.dtype == dtype { Ok(()) } else { Err(format!("{what}: {:?} is not {dtype:?}", ty.dtype)) }
}

fn check_node(graph: &Graph, index: usize, node: &Node) -> Check {
    if sizes(&node.ty).iter().any(|size| matches!(size, Size::Var(_))) {
        return Err("a size is not known".into());
    }
    if node.op.operands().iter().any(|operand| operand.0 as usize >= index) {
        return Err("an operand comes later".into());
    }
    let ty = |id: ExprId| &graph.node(id).ty;
    match &node.op {
        Op::Param(_) | Op::State(_) | Op::Field(..) | Op::Literal(_) | Op::Gradient(_) | Op::Const(_) => Ok(()),
        Op::Clock(_) | Op::SizeOf(_) => same("a scalar", &node.ty, &scalar()),
        Op::Uniform { .. } => is("a draw", &node.ty, DType::F32),
        Op::Iota(axis) => (*axis < node.ty.axes.len()).then_some(()).ok_or_else(|| "no such axis".into()),
        Op::Unary(f, a) => check_unary(*f, ty(*a), &node.ty),
        Op::Binary(f, a, b) => check_binary(*f, ty(*a), ty(*b), &node.ty),
        Op::Select(c, a, b) => {
            is("the condition", ty(*c), DType::Bool)?;
            same_sizes("the condition", &sizes(ty(*c)), &sizes(&node.ty))?;
            same("the first choice", ty(*a), &node.ty)?;
            same("the second choice", ty(*b), &node.ty)
        }
        Op::Convert(a) => same_sizes("the operand", &sizes(ty(*a)), &sizes(&node.ty)),
        Op::WithGradient(a, b) => {
            same("the value", ty(*a), &node.ty)?;
            same("the slope", ty(*b), &node.ty)
        }
        Op::Quantile(a, q) => {
            same_sizes("the share", &sizes(ty(*q)), &[])?;
            if ty(*a).axes.len() == 1 { Ok(()) } else { Err("more than one axis".into()) }
        }
        Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_) | Op::Reduce(..) | Op::Contract { .. } => {
            check_shape(graph, node)
        }
        Op::Conv { .. } | Op::Pool(..) | Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) => {
            parts::check(graph, node)
        }
        Op::Gather { .. } | Op::TopK(..) | Op::CumSum(..) => parts::check(graph, node),
    }
}

fn scalar() -> Type {
    Type { dtype: DType::F32, axes: vec![] }
}

fn check_unary(f: Unary, a: &Type, result: &Type) -> Check {
    same("the operand", a, result)?;
    match f {
        Unary::Not => is("the operand", a, DType::Bool),
        Unary::Neg | Unary::Abs | Unary::Sign if a.dtype == DType::I32 => Ok(()),
        Unary::Neg | Unary::Abs | Unary::Sign | Unary::Sqrt | Unary::Exp | Unary::Log => is("it", a, DType::F32),
        Unary::Erf | Unary::ErfInv | Unary::Tanh | Unary::Sigmoid => is("it", a, DType::F32),
        Unary::Sin | Unary::Cos | Unary::Floor | Unary::Ceil => is("it", a, DType::F32),
    }
}

fn check_binary(f: Binary, a: &Type, b: &Type, result: &Type) -> Check {
    same("the operands", a, b)?;
    same_sizes("the result", &sizes(a), &sizes(result))?;
    is("the result", result, if f.is_predicate() { DType::Bool } else { a.dtype })?;
    let logical = matches!(f, Binary::And | Binary::Or);
    if logical == (a.dtype == DType::Bool) { Ok(()) } else { Err("operands of a wrong type".into()) }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "`check_node` sends the five ops here that change shapes")]
fn check_shape(graph: &Graph, node: &Node) -> Check {
    let (own, of) = (sizes(&node.ty), |id: ExprId| sizes(&graph.node(id).ty));
    let pick = |places: &[usize], from: &[Size]| places.iter().map(|&i| from[i]).collect::<Vec<Size>>();
    match &node.op {
        Op::Broadcast(a, dims) => {
            if !dims.windows(2).all(|pair| pair[0] < pair[1]) || dims.len() >= own.len() {
                return Err("dims don't increase, or nothing is repeated".into());
            }
            same_sizes("the operand", &of(*a), &pick(dims, &own))
        }
        Op::Transpose(a, perm) => same_sizes("the result", &own, &pick(perm, &of(*a))),
        Op::Reshape(a) if count(&own) == count(&of(*a)) => Ok(()),
        Op::Reshape(a) => Err(format!("{:?} has other elements than {own:?}", of(*a))),
        Op::Reduce(_, a, axes) => {
            let from = of(*a);
            let left: Vec<usize> = (0..from.len()).filter(|i| !axes.contains(i)).collect();
            same_sizes("the result", &own, &pick(&left, &from))
        }
        Op::Contract { lhs, rhs, out, a, b } => check_contraction((lhs, of(*a)), (rhs, of(*b)), (out, own)),
        other => Err(format!("{other:?} has no shape rule")),
    }
}

fn count(sizes: &[Size]) -> (usize, usize) {
    let known = sizes.iter().map(|size| if let Size::Known(n) = size { *n } else { 1 }).product();
    (known, sizes.iter().filter(|size| **size == Size::Batch).count())
}

fn check_contraction(a: (&[u8], Vec<Size>), b: (&[u8], Vec<Size>), out: (&[u8], Vec<Size>)) -> Check {
    let mut known: BTreeMap<u8, Size> = BTreeMap::new();
    for (labels, sizes) in [&a, &b, &out] {
        if labels.len() != sizes.len() {
            return Err("not one label for each axis".into());
        }
        for (label, size) in labels.iter().zip(sizes) {
            if *known.entry(*label).or_insert(*size) != *size {
                return Err(format!("label {label} has two sizes"));
            }
        }
    }
    let in_both = |label: &u8| a.0.contains(label) && b.0.contains(label);
    let summed_once = |label: &&u8| !(out.0.contains(label) || in_both(label));
    match known.keys().find(summed_once) {
        Some(label) => Err(format!("label {label} is summed over in one operand only")),
        None => Ok(()),
    }
}

fn check_lasting(model: &Model) -> Vec<String> {
    let mut errors = vec![];
    let mut check = |path: &str, what: &str, id: ExprId, ty: &Type| {
        if let Err(error) = same(what, &model.graph.node(id).ty, ty) {
            errors.push(format!("{path}: {error}"));
        }
    };
    for param in &model.params {
        check(&param.path, "the start", param.start, &param.ty);
        check(&param.path, "the effective tensor", param.effective_train, &param.ty);
        check(&param.path, "the effective tensor", param.effective_eval, &param.ty);
    }
    for state in &model.states {
        check(&state.path, "the start", state.start, &state.ty);
        let updates = [state.update, state.update_eval].into_iter().flatten();
        updates.for_each(|update| check(&state.path, "the update", update, &state.ty));
    }
    let variants = model.plan.iter().flat_map(|plan| &plan.variants);
    for variant in variants {
        for (param, value) in model.params.iter().zip(&variant.params) {
            value.iter().for_each(|value| check(&param.path, "the update", *value, &param.ty));
        }
        for (id, value) in &variant.optimizer_states {
            let state = &model.states[id.0 as usize];
            check(&state.path, "the update", *value, &state.ty);
        }
    }
    for (written, value) in model.plan.iter().flat_map(|plan| &plan.events).flat_map(|event| &event.writes) {
        let (path, ty) = match written {
            Written::Param(id) => (&model.params[id.0 as usize].path, &model.params[id.0 as usize].ty),
            Written::State(id) => (&model.states[id.0 as usize].path, &model.states[id.0 as usize].ty),
        };
        check(path, "what an event writes", *value, ty);
    }
    errors
}

fn check_scalars(model: &Model) -> Vec<String> {
    let terms = model.terms.iter().map(|term| (term.text.clone(), term.value));
    let reports = model.reports.iter().flat_map(|r| r.values.iter().map(|(_, value)| (r.name.clone(), *value)));
    let measures = model.measures.iter().map(|measure| (measure.path.to_string(), measure.value));
    let budgets = model.budgets.iter().map(|budget| (budget.text.clone(), budget.used));
    let all = terms.chain(reports).chain(measures).chain(budgets);
    let check = |(what, id): (String, ExprId)| same(&what, &model.graph.node(id).ty, &scalar()).err();
    all.filter_map(check).collect()
}
