//! Convolutions, poolings, parts of tensors and rows of tables: what their sizes must be.

use super::{Check, is, same_sizes, sizes};
use crate::model::{DType, ExprId, Graph, Node, Op, Size};
use crate::window::{ConvRole, Window};

/// Checks one of these ops.
#[expect(clippy::wildcard_enum_match_arm, reason = "`check_node` sends the eight ops here that look at parts")]
pub(super) fn check(graph: &Graph, node: &Node) -> Check {
    let own = sizes(&node.ty);
    let ty = |id: &ExprId| &graph.node(*id).ty;
    let of = |id: &ExprId| sizes(ty(id));
    match &node.op {
        Op::Conv { role, window, groups, x, w } => {
            [ty(x), ty(w), &node.ty].into_iter().try_for_each(|ty| is("an operand", ty, DType::F32))?;
            let (x, w) = (of(x), known(&of(w), 0)?);
            match role {
                ConvRole::Forward => check_conv(window, *groups, &x, &w, &own),
                ConvRole::ByInput => check_conv(window, *groups, &own, &w, &x),
                ConvRole::ByWeight => Err("weights are not computed in a model".into()),
            }
        }
        Op::Pool(_, window, a) => {
            is("the operand", ty(a), DType::F32)?;
            let from = of(a);
            same_sizes("batch and channels", &own[..2], &from[..2])?;
            check_window(window, &from, &own)
        }
        Op::Pad { lo, hi, a, .. } => {
            let padded = of(a).into_iter().zip(lo.iter().zip(hi)).map(|(size, (lo, hi))| grown(size, lo + hi));
            same_sizes("the result", &own, &padded.collect::<Vec<Size>>())
        }
        Op::Slice { start, step, a } => check_slice(start, step, &of(a), &own),
        Op::Concat(parts, axis) => check_concat(&parts.iter().map(of).collect::<Vec<_>>(), *axis, &own),
        Op::Gather { batch, table, index } => {
            is("the index", ty(index), DType::I32)?;
            let (table, index) = (of(table), of(index));
            same_sizes("the batch axes", &table[..*batch], &index[..*batch])?;
            same_sizes("the result", &own, &[&index, &table[batch + 1..]].concat())
        }
        Op::TopK(a, _) => {
            is("the operand", ty(a), DType::F32)?;
            is("the result", &node.ty, DType::Bool)?;
            same_sizes("the result", &own, &of(a))
        }
        Op::CumSum(a, axis) if *axis < own.len() => same_sizes("the result", &own, &of(a)),
        other => Err(format!("{other:?} has no such axis")),
    }
}

fn grown(size: Size, by: usize) -> Size {
    match size {
        Size::Known(n) => Size::Known(n + by),
        Size::Batch | Size::Var(_) => size,
    }
}

/// The sizes from position `from` on, which must be known.
fn known(sizes: &[Size], from: usize) -> Result<Vec<usize>, String> {
    let one = |size: &Size| if let Size::Known(n) = size { Ok(*n) } else { Err(format!("{size:?} is not a number")) };
    sizes[from..].iter().map(one).collect()
}

/// `x * w = y`, whichever of them is computed.
fn check_conv(window: &Window, groups: usize, x: &[Size], w: &[usize], y: &[Size]) -> Check {
    if (x.len(), w.len(), y.len()) != (4, 4, 4) {
        return Err("not four axes each".into());
    }
    same_sizes("the batch", &x[..1], &y[..1])?;
    let channels = [Size::Known(w[1] * groups), Size::Known(w[0])];
    same_sizes("the channels", &[x[1], y[1]], &channels)?;
    if w[2..] != window.size || groups == 0 || !w[0].is_multiple_of(groups) {
        return Err("the weights don't have the window's size, or the groups don't divide the channels".into());
    }
    check_window(window, x, y)
}

fn check_window(window: &Window, x: &[Size], y: &[Size]) -> Check {
    let (x, y) = (known(x, 2)?, known(y, 2)?);
    let output: Vec<Option<usize>> = (0..2).map(|d| window.output(d, x[d])).collect();
    if output == [Some(y[0]), Some(y[1])] { Ok(()) } else { Err(format!("{output:?} positions are not {y:?}")) }
}

fn check_slice(start: &[usize], step: &[usize], from: &[Size], own: &[Size]) -> Check {
    if [start.len(), step.len(), from.len()] != [own.len(); 3] {
        return Err("not one start, step and size for each axis".into());
    }
    let inside = |d: usize| match (from[d], own[d]) {
        (Size::Known(n), Size::Known(m)) => m == 0 || step[d] > 0 && start[d] + (m - 1) * step[d] < n,
        (from, own) => from == own && (start[d], step[d]) == (0, 1),
    };
    if (0..own.len()).all(inside) { Ok(()) } else { Err("it reaches outside".into()) }
}

fn check_concat(parts: &[Vec<Size>], axis: usize, own: &[Size]) -> Check {
    let mut total = 0;
    for part in parts {
        let Some(Size::Known(n)) = part.get(axis) else { return Err("the axis has no known size".into()) };
        total += n;
        let mut whole = part.clone();
        whole[axis] = own[axis];
        same_sizes("a part", &whole, own)?;
    }
    same_sizes("the sum of the parts", &[Size::Known(total)], &own[axis..=axis])
}
