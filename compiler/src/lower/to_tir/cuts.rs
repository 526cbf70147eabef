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
            roots.extend(model.graph.node(id).op.operands());
        }
    }
    cuts.into_iter().map(|expr| Cut { expr, by: combination(&model.graph.node(expr).op) }).collect()
}

/// A cut below a cut: its value over the split would be needed before the batches are seen, which takes a second pass.
pub fn nested(model: &Model) -> Option<ExprId> {
    let mut below: Vec<ExprId> = of(model).iter().flat_map(|cut| model.graph.node(cut.expr).op.operands()).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = below.pop() {
        if seen.insert(id) {
            if is_cut(&model.graph, id) {
                return Some(id);
            }
            below.extend(model.graph.node(id).op.operands());
        }
    }
    None
}

fn is_cut(graph: &Graph, id: ExprId) -> bool {
    !has_batch(graph, id) && graph.node(id).op.operands().into_iter().any(|operand| has_batch(graph, operand))
}

fn has_batch(graph: &Graph, id: ExprId) -> bool {
    graph.node(id).ty.axes.iter().any(|axis| axis.size == Size::Batch)
}

fn combination(op: &Op) -> Reduction {
    match op {
        Op::Reduce(by, ..) => *by,
        Op::Contract { .. } => Reduction::Sum,
        Op::Param(_) | Op::State(_) | Op::Field(..) | Op::Literal(_) | Op::Clock(_) | Op::Gradient(_) => no_cut(op),
        Op::Const(_) | Op::SizeOf(_) | Op::Iota(_) | Op::Uniform { .. } | Op::Unary(..) | Op::Convert(_) => no_cut(op),
        Op::Reshape(_) | Op::Broadcast(..) | Op::Transpose(..) | Op::Binary(..) | Op::Quantile(..) => no_cut(op),
        Op::WithGradient(..) | Op::Select(..) | Op::Conv { .. } | Op::Pool(..) | Op::Pad { .. } => no_cut(op),
        Op::Slice { .. } | Op::Concat(..) | Op::Gather { .. } | Op::TopK(..) | Op::CumSum(..) => no_cut(op),
    }
}

fn no_cut(op: &Op) -> ! {
    panic!("{op:?} takes a batch axis and returns none")
}
