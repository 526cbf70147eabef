//! Joined groups: parts of several tensors that live and die together, as one view `[G, M]`.

use std::rc::Rc;

use super::errors::GroupMistake;
use super::value::{Label, Member, TOP, Target, Tensor};
use super::{Elab, Eval, Frame};
use crate::diag::Span;
use crate::model::{DType, Op, Size, Symbol};
use crate::resolve::hir::Expr;
use crate::scalar::Binary;

impl<'p> Elab<'p, '_> {
    /// `join(net.fc1.w by Out, net.fc1.b by Out, net.fc2.w by In)`.
    pub(super) fn join(&mut self, frame: &mut Frame<'p>, parts: &'p [Expr], span: Span) -> Eval<Member> {
        let mut members = vec![];
        for part in parts {
            for member in self.members(frame, part)? {
                members.push((self.n_groups(&member, part.span)?, member, part.span));
            }
        }
        let Some((first, _, at)) = members.first().cloned() else {
            return Err(self.blame(GroupMistake::EmptyJoin { span }));
        };
        if let Some((found, member, other)) = members.iter().find(|(n, ..)| *n != first) {
            let (path, others, found) = (member.path.clone(), (at, first), *found);
            return Err(self.blame(GroupMistake::JoinedCounts { span: *other, path, found, others }));
        }
        let members: Vec<Member> = members.into_iter().map(|(_, member, _)| member).collect();
        let (path, raw) = (members[0].path.clone(), members.iter().all(|member| member.raw));
        Ok(Member { path, target: Target::Joined(Rc::new(members)), cut: None, raw })
    }

    fn n_groups(&mut self, member: &Member, span: Span) -> Eval<usize> {
        let cut = match (&member.cut, &member.target) {
            (Some((cut, _)), _) => cut.clone(),
            (None, Target::Joined(_)) => {
                return Err(self.blame(GroupMistake::CutTwice { span, path: member.path.clone() }));
            }
            (None, Target::Param(_) | Target::State(_) | Target::Inner) => {
                return Err(self.blame(GroupMistake::PartWithoutGroups { span, path: member.path.clone() }));
            }
        };
        let tensor = self.target_tensor(member, span)?;
        Ok(self.view_sizes(&tensor, &cut).0)
    }

    /// The views of the parts side by side.
    pub(super) fn joined_view(&mut self, parts: &[Member], raw: bool, span: Span) -> Eval<Tensor> {
        let mut views = vec![];
        for part in parts {
            views.push(self.member_tensor(&Member { raw: raw || part.raw, ..part.clone() }, span)?);
        }
        Ok(self.side_by_side(&views, span))
    }

    /// Views with equal numbers of groups, as one.
    pub(super) fn side_by_side(&mut self, views: &[Tensor], span: Span) -> Tensor {
        let label = |name: &str| Some(Label::new(&Symbol::from(name), TOP));
        let n_groups = self.shape(&views[0])[0];
        let members = views.iter().map(|view| self.n_members(view)).sum();
        let axes = vec![(label("G"), n_groups), (label("M"), Size::Known(members))];
        let op = Op::Concat(views.iter().map(|view| view.expr).collect(), 1);
        self.emit(op, DType::F32, axes, span)
    }

    fn n_members(&self, view: &Tensor) -> usize {
        if let Size::Known(n) = self.shape(view)[1] { n } else { 1 }
    }

    /// What each part of a joint view has become, in the shapes of the parts.
    pub(super) fn parts_of(&mut self, joint: &Tensor, likes: &[(Tensor, &Member)], span: Span) -> Vec<Tensor> {
        let mut parts = vec![];
        let mut start = 0;
        for (like, member) in likes {
            let Some((cut, _)) = &member.cut else { continue };
            let (n_groups, n_members) = self.view_sizes(like, cut);
            let axes = vec![(None, Size::Known(n_groups)), (None, Size::Known(n_members))];
            let slice = Op::Slice { start: vec![0, start], step: vec![1, 1], a: joint.expr };
            let slice = self.emit(slice, DType::F32, axes, span);
            start += n_members;
            parts.push(self.unview(&slice, cut, like, span));
        }
        parts
    }

    /// What two parameterisations of groups that overlap make of a tensor: each element is multiplied by both factors.
    /// An element that is zero stays zero, with the slope of the first factor.
    pub(super) fn by_both_factors(&mut self, free: &Tensor, a: &Tensor, b: &Tensor, span: Span) -> Tensor {
        let zero = self.constant_like(0.0, free, DType::F32, span);
        let present = self.zip(Binary::Ne, free, &zero, span);
        let product = self.zip(Binary::Mul, a, b, span);
        let product = self.zip(Binary::Div, &product, free, span);
        let axes = self.axes(free);
        self.emit(Op::Select(present.expr, product.expr, a.expr), DType::F32, axes, span)
    }
}
