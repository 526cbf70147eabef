//! Broadcasting by axis.
//!
//! Operands of equal rank align by position unless two names contradict. Otherwise the axes of the operand of lower rank (the
//! second one at equal rank) look for their partners: a named axis takes the axis of its name; the others
//! are matched from the right with what is left, as in NumPy. A partner with a contradicting name, or two axes of
//! the name that is looked for, are errors: nothing is guessed.

use super::errors::ShapeMistake;
use super::value::{Label, Tensor};
use super::{Elab, Eval};
use crate::diag::Span;
use crate::model::Size;

/// Names and sizes of a tensor.
pub(super) type Axes = Vec<AxisOf>;

/// Name and size of one axis.
pub(super) type AxisOf = (Option<Label>, Size);

/// How two names relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// They mean the same axis.
    Same,
    /// They mean two axes.
    Different,
    /// They belong to definitions that don't know of each other, or there is no name.
    Unrelated,
}

/// Why two shapes don't align.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Clash {
    /// Axes that would be combined have contradicting names: those of the first and the second operand.
    Names(Label, Label),
    /// Two axes have the name that is looked for.
    Ambiguous(Label),
    /// Axes that are combined have different sizes.
    Sizes(Size, Size),
}

impl Elab<'_, '_> {
    /// How two axis names relate.
    pub(super) fn relation(&self, a: Option<&Label>, b: Option<&Label>) -> Relation {
        let (Some(a), Some(b)) = (a, b) else { return Relation::Unrelated };
        let same = |a: &Label, b: &Label| if a == b { Relation::Same } else { Relation::Different };
        if a.scope == b.scope {
            return same(a, b);
        }
        let (a, b) = (self.outermost(a), self.outermost(b));
        if a.scope == b.scope { same(a, b) } else { Relation::Unrelated }
    }

    fn outermost<'a>(&'a self, label: &'a Label) -> &'a Label {
        self.origins.get(label).map_or(label, |outer| self.outermost(outer))
    }

    /// The common shape of two operands, and where their axes are in it.
    pub(super) fn align(&mut self, a: &Axes, b: &Axes) -> Result<(Axes, Vec<usize>, Vec<usize>), Clash> {
        let (big, small) = if a.len() >= b.len() { (a, b) } else { (b, a) };
        let dims = self.partners(big, small)?;
        let mut result = big.clone();
        for (axis, &dim) in small.iter().zip(&dims) {
            result[dim] = self.join_axes(&big[dim], axis)?;
        }
        let all = (0..big.len()).collect();
        Ok(if a.len() >= b.len() { (result, all, dims) } else { (result, dims, all) })
    }

    fn partners(&self, big: &Axes, small: &Axes) -> Result<Vec<usize>, Clash> {
        let contradict = |(a, b): (&AxisOf, &AxisOf)| self.relation(a.0.as_ref(), b.0.as_ref()) == Relation::Different;
        if big.len() == small.len() && !big.iter().zip(small).any(contradict) {
            return Ok((0..big.len()).collect());
        }
        let mut partners = self.partners_by_name(big, small)?;
        let mut left: Vec<usize> = (0..big.len()).filter(|dim| !partners.contains(&Some(*dim))).collect();
        for (axis, partner) in small.iter().zip(&mut partners).rev().filter(|(_, partner)| partner.is_none()) {
            let dim = left.pop().expect("the other operand has at least as many axes");
            if let (Some(a), Some(b)) = (&big[dim].0, &axis.0)
                && self.relation(Some(a), Some(b)) == Relation::Different
            {
                return Err(Clash::Names(a.clone(), b.clone()));
            }
            *partner = Some(dim);
        }
        Ok(partners.into_iter().flatten().collect())
    }

    fn partners_by_name(&self, big: &Axes, small: &Axes) -> Result<Vec<Option<usize>>, Clash> {
        let mut partners: Vec<Option<usize>> = vec![];
        for (label, _) in small {
            let same = |dim: &usize| self.relation(big[*dim].0.as_ref(), label.as_ref()) == Relation::Same;
            let found: Vec<usize> = (0..big.len()).filter(same).collect();
            match (found.as_slice(), label) {
                ([], _) => partners.push(None),
                ([dim], _) if !partners.contains(&Some(*dim)) => partners.push(Some(*dim)),
                (_, Some(label)) => return Err(Clash::Ambiguous(label.clone())),
                (_, None) => partners.push(None),
            }
        }
        Ok(partners)
    }

    /// The axis that two combined axes give: the innermost name, and the larger size where one of them is 1.
    fn join_axes(&mut self, a: &AxisOf, b: &AxisOf) -> Result<AxisOf, Clash> {
        let label = match (&a.0, &b.0) {
            (Some(a), Some(b)) if b.scope > a.scope => Some(b.clone()),
            (Some(a), _) => Some(a.clone()),
            (None, b) => b.clone(),
        };
        let size = match (self.sizes.find(a.1), self.sizes.find(b.1)) {
            (Size::Known(1), other @ (Size::Known(_) | Size::Batch)) => other,
            (other @ (Size::Known(_) | Size::Batch), Size::Known(1)) => other,
            (a, b) if self.sizes.unify(a, b) => self.sizes.find(a),
            (a, b) => return Err(Clash::Sizes(a, b)),
        };
        Ok((label, size))
    }

    /// Gives tensors the shape that they have in common.
    pub(super) fn broadcast(&mut self, operands: &[(&Tensor, Span)], span: Span) -> Eval<Vec<Tensor>> {
        let Some(((first, _), rest)) = operands.split_first() else { return Ok(vec![]) };
        let mut shape = self.axes(first);
        let mut places: Vec<Vec<usize>> = vec![(0..shape.len()).collect()];
        for (operand, _) in rest {
            let axes = self.axes(operand);
            let (joined, old, new) = match self.align(&shape, &axes) {
                Ok(aligned) => aligned,
                Err(clash) => return Err(self.blame_clash(clash, operands, span)),
            };
            places.iter_mut().for_each(|dims| dims.iter_mut().for_each(|dim| *dim = old[*dim]));
            places.push(new);
            shape = joined;
        }
        let spread = |((tensor, span), dims): (&(&Tensor, Span), &Vec<usize>)| self.spread(tensor, dims, &shape, *span);
        Ok(operands.iter().zip(&places).map(spread).collect())
    }

    /// Gives a tensor the shape of another one, which it must fit into.
    pub(super) fn broadcast_to(&mut self, tensor: &Tensor, span: Span, like: &Tensor, like_span: Span) -> Eval<Tensor> {
        let (shape, axes) = (self.axes(like), self.axes(tensor));
        match self.align(&shape, &axes) {
            Ok((joined, _, dims)) if joined.len() == shape.len() && self.same_sizes(&joined, &shape) => {
                Ok(self.spread(tensor, &dims, &shape, span))
            }
            Ok(_) => {
                let (found, expected) = (self.shown(tensor), self.shown(like));
                Err(self.blame(ShapeMistake::DoesNotFit { span, found, expected, like: like_span }))
            }
            Err(clash) => Err(self.blame_clash(clash, &[(like, like_span), (tensor, span)], span)),
        }
    }

    fn same_sizes(&self, a: &Axes, b: &Axes) -> bool {
        a.iter().zip(b).all(|(a, b)| self.sizes.find(a.1) == self.sizes.find(b.1))
    }

    fn blame_clash(&mut self, clash: Clash, operands: &[(&Tensor, Span)], span: Span) -> super::Failed {
        let operands = operands.iter().map(|(tensor, span)| (*span, self.shown(tensor))).collect();
        let name = |label: &Label| self.shown_name(label).unwrap_or_else(|| label.name.clone());
        self.blame(match clash {
            Clash::Names(a, b) => ShapeMistake::NamesContradict { span, operands, names: (name(&a), name(&b)) },
            Clash::Ambiguous(label) => ShapeMistake::AmbiguousAxis { span, operands, name: name(&label) },
            Clash::Sizes(a, b) => {
                let sizes = (self.shown_size(a), self.shown_size(b));
                ShapeMistake::SizesDiffer { span, operands, sizes }
            }
        })
    }
}
