//! Counting: elements, and the floating-point operations of contractions and convolutions.
//!
//! A product costs two operations for each multiply-add of *one sample*: the batch axis counts as 1, and products that have none (a
//! norm of weights, say) are not part of the forward pass. What a convolution multiplies with its padding counts, as it does in print.

use std::collections::{BTreeMap, BTreeSet};

use super::{ExprId, Graph, Op, ParamId, Size, Symbol, Type};
use crate::window::ConvRole;

/// The number of elements of a tensor whose sizes are known.
pub fn elements(ty: &Type) -> u64 {
    let size = |axis: &super::Axis| if let Size::Known(n) = axis.size { n as u64 } else { 1 };
    ty.axes.iter().map(size).fold(1, u64::saturating_mul)
}

/// Everything that the roots need, operands before users.
pub fn reachable(graph: &Graph, roots: &[ExprId]) -> BTreeSet<ExprId> {
    let mut seen = BTreeSet::new();
    let mut open = roots.to_vec();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(graph.node(id).op.operands());
        }
    }
    seen
}

/// The operations of each instance's own products among what the roots need.
pub fn flops_by_path(graph: &Graph, roots: &[ExprId]) -> BTreeMap<Symbol, u64> {
    let mut flops = BTreeMap::new();
    for id in reachable(graph, roots) {
        if let Some(n) = product_flops(graph, id) {
            let sum = flops.entry(graph.node(id).path.clone()).or_insert(0u64);
            *sum = sum.saturating_add(n);
        }
    }
    flops
}

/// The operations of products with each parameter, of those whose effective tensors are given.
pub fn flops_by_param(graph: &Graph, roots: &[ExprId], effective: &[(ExprId, ParamId)]) -> BTreeMap<ParamId, u64> {
    let mut flops = BTreeMap::new();
    for id in reachable(graph, roots) {
        let (Op::Contract { a, b, .. } | Op::Conv { x: a, w: b, .. }) = graph.node(id).op else { continue };
        let param = [a, b].into_iter().find_map(|operand| param_behind(graph, operand, effective));
        if let (Some(param), Some(n)) = (param, product_flops(graph, id)) {
            let sum = flops.entry(param).or_insert(0u64);
            *sum = sum.saturating_add(n);
        }
    }
    flops
}

/// Whether a factor of a product is zero everywhere, as the start of a recurrence.
pub fn multiplies_zeros(graph: &Graph) -> bool {
    let factors =
        graph.nodes.iter().filter_map(|node| if let Op::Contract { a, b, .. } = node.op { Some([a, b]) } else { None });
    factors.flatten().any(|factor| is_zero(graph, factor))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only a constant is known to be zero")]
fn is_zero(graph: &Graph, id: ExprId) -> bool {
    match &graph.node(id).op {
        Op::Const(number) => *number == 0.0,
        Op::Transpose(a, _) | Op::Reshape(a) | Op::Broadcast(a, _) => is_zero(graph, *a),
        _ => false,
    }
}

fn param_behind(graph: &Graph, id: ExprId, effective: &[(ExprId, ParamId)]) -> Option<ParamId> {
    if let Some((_, param)) = effective.iter().find(|(expr, _)| *expr == id) {
        return Some(*param);
    }
    let (Op::Transpose(a, _) | Op::Reshape(a) | Op::Broadcast(a, _)) = &graph.node(id).op else { return None };
    param_behind(graph, *a, effective)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only products count")]
fn product_flops(graph: &Graph, id: ExprId) -> Option<u64> {
    match &graph.node(id).op {
        Op::Contract { lhs, rhs, a, b, .. } => contraction_flops(graph, (lhs, *a), (rhs, *b)),
        Op::Conv { role: ConvRole::ByInput, x, w, .. } => convolution_flops(graph, *x, *w),
        Op::Conv { w, .. } => convolution_flops(graph, id, *w),
        _ => None,
    }
}

/// Each element of the side with the fewer positions meets the weights of its channel.
fn convolution_flops(graph: &Graph, positions: ExprId, w: ExprId) -> Option<u64> {
    let (positions, w) = (&graph.node(positions).ty, &graph.node(w).ty);
    let channel = elements(&Type { dtype: w.dtype, axes: w.axes[1..].to_vec() });
    let per_sample = positions.axes.iter().any(|axis| !matches!(axis.size, Size::Known(_)));
    per_sample.then(|| elements(positions).saturating_mul(channel).saturating_mul(2))
}

fn contraction_flops(graph: &Graph, (lhs, a): (&[u8], ExprId), (rhs, b): (&[u8], ExprId)) -> Option<u64> {
    let sizes = |labels: &[u8], operand: ExprId| {
        let axes = &graph.node(operand).ty.axes;
        labels.iter().copied().zip(axes.iter().map(|axis| axis.size)).collect::<Vec<(u8, Size)>>()
    };
    let all: BTreeMap<u8, Size> = sizes(lhs, a).into_iter().chain(sizes(rhs, b)).collect();
    let per_sample = all.values().any(|size| !matches!(size, Size::Known(_)));
    let one = |size: &Size| if let Size::Known(n) = size { *n as u64 } else { 1 };
    per_sample.then(|| all.values().map(one).fold(2, u64::saturating_mul))
}
