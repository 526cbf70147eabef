//! Where a report over a whole split is cut into what each batch contributes and what is computed at the end.
//!
//! A node that has no batch axis although an operand has one combines the samples of a batch: it is a cut. Sums of the batches
//! are added, largest elements compared, and what depends on the results is evaluated once, at the end of the split. So
//! `exp(mean(nll))` is the perplexity of the split, not a mean of the batches' perplexities.

use std::collections::BTreeSet;

use crate::model::{ExprId, Graph, Model, Op, Reduction, Size};

/// A value that combines the samples of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The combining node.
    pub expr: ExprId,
    /// How the values of the batches are combined.
    pub by: Reduction,
}

/// The cuts of all reports of a program, in graph order.
pub fn of(model: &Model) -> Vec<Cut> {
    let mut roots: Vec<ExprId> = model.reports.iter().flat_map(|r| r.values.iter().map(|(_, id)| *id)).collect();
    let mut seen = BTreeSet::new();
    let mut cuts = BTreeSet::new();
    while let Some(id) = roots.pop() {
        if !seen.insert(id) {
            continue;
        }
        if is_cut(&model.graph, id) {
            let _ = cuts.insert(id);
        } else {
            roots.extend(operands(&model.graph.node(id).op));
        }
    }
    cuts.into_iter().map(|expr| Cut { expr, by: combination(&model.graph.node(expr).op) }).collect()
}

/// A cut below a cut: its value over the split would be needed before the batches are seen, which takes a second pass.
pub fn nested(model: &Model) -> Option<ExprId> {
    let mut below: Vec<ExprId> = of(model).iter().flat_map(|cut| operands(&model.graph.node(cut.expr).op)).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = below.pop() {
        if seen.insert(id) {
            if is_cut(&model.graph, id) {
                return Some(id);
            }
            below.extend(operands(&model.graph.node(id).op));
        }
    }
    None
}

fn is_cut(graph: &Graph, id: ExprId) -> bool {
    !has_batch(graph, id) && operands(&graph.node(id).op).into_iter().any(|operand| has_batch(graph, operand))
}

fn has_batch(graph: &Graph, id: ExprId) -> bool {
    graph.node(id).ty.axes.iter().any(|axis| axis.size == Size::Batch)
}

fn combination(op: &Op) -> Reduction {
    match op {
        Op::Reduce(by, ..) => *by,
        Op::Contract { .. } => Reduction::Sum,
        other => panic!("{other:?} takes a batch axis and returns none"),
    }
}

/// The operands of a model op, in order.
pub fn operands(op: &Op) -> Vec<ExprId> {
    match op {
        Op::Param(_) | Op::State(_) | Op::Field(..) | Op::Literal(_) | Op::Clock(_) | Op::Gradient(_) => vec![],
        Op::Const(_) | Op::SizeOf(_) | Op::Iota(_) | Op::Uniform { .. } => vec![],
        Op::Unary(_, a) | Op::Convert(a) | Op::Reshape(a) => vec![*a],
        Op::Broadcast(a, _) | Op::Transpose(a, _) | Op::Reduce(_, a, _) => vec![*a],
        Op::Binary(_, a, b) | Op::Quantile(a, b) | Op::WithGradient(a, b) | Op::Contract { a, b, .. } => vec![*a, *b],
        Op::Select(c, a, b) => vec![*c, *a, *b],
    }
}
