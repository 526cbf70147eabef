//! Groups: sets of tensors, each seen as `[G, M]`.

use std::rc::Rc;

use super::errors::GroupMistake;
use super::value::{Cut, Label, Member, TOP, Target, Tensor, Value};
use super::{Elab, Eval, Failed, Frame, Phase};
use crate::diag::Span;
use crate::model::{Size, Symbol};
use crate::resolve::hir::{DefId, DefKind, Expr, GroupBy, GroupExpr, Name};

impl<'p> Elab<'p, '_> {
    /// Looks at every named group, used or not.
    pub(super) fn bind_groups(&mut self) {
        for id in (0..self.program.defs.len() as u32).map(DefId) {
            if let DefKind::Group(_) = self.def(id).kind {
                let _ = self.named_group(id);
            }
        }
    }

    /// The members of a `group` declaration.
    pub(super) fn named_group(&mut self, id: DefId) -> Eval<Rc<Vec<Member>>> {
        if self.phase == Phase::Discover || self.broken.contains(&id) {
            return Err(Failed);
        }
        if let Some(members) = self.groups.get(&id) {
            return Ok(members.clone());
        }
        let DefKind::Group(group) = &self.def(id).kind else { return Err(Failed) };
        // Until it is known, it is broken: a group that means itself has no members.
        let _ = self.broken.insert(id);
        let mut frame = self.top_frame();
        let members = self.group_value(&mut frame, group)?;
        let _ = self.broken.remove(&id);
        let _ = self.groups.insert(id, members.clone());
        Ok(members)
    }

    /// `net.fc1.w by In`.
    pub(super) fn group_value(&mut self, frame: &mut Frame<'p>, group: &'p GroupExpr) -> Eval<Rc<Vec<Member>>> {
        if self.phase == Phase::Discover {
            return Err(Failed);
        }
        let mut members = self.members(frame, &group.target)?;
        if let Some(by) = &group.by {
            for member in &mut members {
                let cut = self.cut(frame, by, member, group.span)?;
                member.cut = Some((cut, self.shown_by(frame, by)));
            }
        }
        Ok(Rc::new(members))
    }

    fn shown_by(&mut self, frame: &mut Frame<'p>, by: &'p GroupBy) -> String {
        match by {
            GroupBy::Axes(names, run) => {
                let list = names.iter().map(|name| &*name.text).collect::<Vec<&str>>().join(", ");
                let list = if names.len() > 1 { format!("({list})") } else { list };
                match run.as_ref().map(|run| self.eval(frame, run)) {
                    Some(Ok(Value::Number(n))) => format!("{list} / {n}"),
                    Some(_) | None => list,
                }
            }
            GroupBy::Whole => "whole".into(),
            GroupBy::Each => "each".into(),
            GroupBy::Blocks(sizes) => {
                let size = |value: Eval<Value>| match value {
                    Ok(Value::Number(n)) => n.to_string(),
                    Ok(_) | Err(Failed) => "?".into(),
                };
                let sizes: Vec<String> = sizes.iter().map(|expr| size(self.eval(frame, expr))).collect();
                format!("blocks({})", sizes.join(", "))
            }
        }
    }

    /// The names and sizes of a member's own axes.
    fn member_axes(&mut self, member: &Member) -> Vec<(Option<Symbol>, Size)> {
        let axes = match &member.target {
            Target::Param(id) => &self.params[id.0 as usize].ty.axes,
            Target::State(id) => &self.states[id.0 as usize].ty.axes,
            Target::Joined(_) => return vec![],
            Target::Inner => {
                let Some(tensor) = self.inner_tensor(&member.path) else { return vec![] };
                let name = |label: Option<Label>| label.map(|label| label.name);
                return self.axes(&tensor).into_iter().map(|(label, size)| (name(label), size)).collect();
            }
        };
        axes.iter().map(|axis| (axis.name.clone(), axis.size)).collect()
    }

    fn cut(&mut self, frame: &mut Frame<'p>, by: &'p GroupBy, member: &Member, span: Span) -> Eval<Cut> {
        if member.is_view() {
            return Err(self.blame(GroupMistake::CutTwice { span, path: member.path.clone() }));
        }
        let axes = self.member_axes(member);
        let lasts = |(_, size): &(Option<Symbol>, Size)| *size != Size::Batch;
        if !axes.iter().all(lasts) {
            let shape = self.shown_member_axes(&axes);
            return Err(self.blame(GroupMistake::GroupsOfABatch { span, path: member.path.clone(), shape }));
        }
        match by {
            GroupBy::Whole => Ok(Cut::Whole),
            GroupBy::Each => Ok(Cut::Each),
            GroupBy::Axes(names, None) => self.cut_by_axes(names, &axes, member).map(Cut::Axes),
            GroupBy::Axes(names, Some(run)) => self.cut_by_runs(frame, names, run, &axes, member),
            GroupBy::Blocks(sizes) => {
                let mut blocks = vec![];
                for expr in sizes {
                    let value = self.eval(frame, expr)?;
                    blocks.push(self.whole(&value, expr.span)?);
                }
                let sizes: Vec<Size> = axes.iter().map(|(_, size)| *size).collect();
                let divides = |(block, size): (&usize, &Size)| matches!(size, Size::Known(n) if n % block == 0);
                if blocks.len() == sizes.len() && blocks.iter().zip(&sizes).all(divides) {
                    return Ok(Cut::Blocks(blocks));
                }
                let shape = self.shown_member_axes(&axes);
                Err(self.blame(GroupMistake::Blocks { span, path: member.path.clone(), shape, blocks }))
            }
        }
    }

    /// `by In / 16`.
    fn cut_by_runs(
        &mut self,
        frame: &mut Frame<'p>,
        names: &'p [Name],
        run: &'p Expr,
        axes: &[(Option<Symbol>, Size)],
        member: &Member,
    ) -> Eval<Cut> {
        let value = self.eval(frame, run)?;
        let run_length = self.whole(&value, run.span)?;
        let positions = self.cut_by_axes(names, axes, member)?;
        let (path, name) = (member.path.clone(), names[0].text.clone());
        match (positions.as_slice(), axes[positions[0]].1) {
            ([axis], Size::Known(size)) if size.is_multiple_of(run_length) => Ok(Cut::Runs(*axis, run_length)),
            ([_], Size::Known(size)) => {
                Err(self.blame(GroupMistake::Runs { span: run.span, path, name, size, run: run_length }))
            }
            _ => Err(self.blame(GroupMistake::RunsOfAxes { span: run.span })),
        }
    }

    fn cut_by_axes(&mut self, names: &'p [Name], axes: &[(Option<Symbol>, Size)], member: &Member) -> Eval<Vec<usize>> {
        let mut positions: Vec<usize> = vec![];
        for name in names {
            let is = |(own, _): &(Option<Symbol>, Size)| own.as_ref() == Some(&name.text);
            match axes.iter().position(is) {
                Some(position) if !positions.contains(&position) => positions.push(position),
                Some(_) | None => {
                    let known = axes.iter().filter_map(|(name, _)| name.clone()).collect();
                    let (span, name, path) = (name.span, name.text.clone(), member.path.clone());
                    let shape = self.shown_member_axes(axes);
                    return Err(self.blame(GroupMistake::NoSuchAxis { span, name, path, shape, known }));
                }
            }
        }
        Ok(positions)
    }

    fn shown_member_axes(&self, axes: &[(Option<Symbol>, Size)]) -> String {
        let labelled = |(name, size): &(Option<Symbol>, Size)| (name.as_ref().map(|n| Label::new(n, TOP)), *size);
        self.shown_axes(&axes.iter().map(labelled).collect::<Vec<_>>())
    }

    /// A member as it stands in an expression: its tensor, or its view.
    pub(super) fn member_tensor(&mut self, member: &Member, span: Span) -> Eval<Tensor> {
        if let Target::Joined(parts) = &member.target {
            return self.joined_view(parts, member.raw, span);
        }
        let tensor = self.target_tensor(member, span)?;
        Ok(match &member.cut {
            Some((cut, _)) => self.view(&tensor, cut, span),
            None => tensor,
        })
    }

    /// A tensor as `[G, M]`.
    pub(super) fn view(&mut self, tensor: &Tensor, cut: &Cut, span: Span) -> Tensor {
        let shape = known(&self.shape(tensor));
        let label = |name: &str| Some(Label::new(&name.into(), TOP));
        let (fine, order, n_groups) = plan(cut, &shape);
        let fine = fine.into_iter().map(|n| (None, Size::Known(n))).collect();
        let fine = self.reshape(&bare(tensor), fine, span);
        let ordered = self.transpose(&fine, &order, span);
        let n = product(&shape);
        let axes = vec![(label("G"), Size::Known(n_groups)), (label("M"), Size::Known(n / n_groups))];
        self.reshape(&ordered, axes, span)
    }

    /// The tensor, of the shape of `like`, that `view` is a view of.
    pub(super) fn unview(&mut self, view: &Tensor, cut: &Cut, like: &Tensor, span: Span) -> Tensor {
        let shape = known(&self.shape(like));
        let (fine, order, _) = plan(cut, &shape);
        let ordered = order.iter().map(|&axis| (None, Size::Known(fine[axis]))).collect();
        let ordered = self.reshape(&bare(view), ordered, span);
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
        let fine = self.transpose(&ordered, &back, span);
        let axes = self.axes(like);
        self.reshape(&fine, axes, span)
    }

    /// The number of groups and of members in each.
    pub(super) fn view_sizes(&self, tensor: &Tensor, cut: &Cut) -> (usize, usize) {
        let shape = known(&self.shape(tensor));
        let n = product(&shape);
        let (_, _, n_groups) = plan(cut, &shape);
        (n_groups, n / n_groups)
    }
}

fn bare(tensor: &Tensor) -> Tensor {
    Tensor { expr: tensor.expr, labels: vec![None; tensor.labels.len()] }
}

/// Lasting tensors have known sizes; a view of a value of the batch counts it as one.
fn known(shape: &[Size]) -> Vec<usize> {
    let size = |size: &Size| if let Size::Known(n) = size { *n } else { 1 };
    shape.iter().map(size).collect()
}

fn product(shape: &[usize]) -> usize {
    shape.iter().copied().fold(1, usize::saturating_mul)
}

/// How a tensor becomes a view: the finer shape, the order of its axes (those of the groups first), the number of groups.
fn plan(cut: &Cut, shape: &[usize]) -> (Vec<usize>, Vec<usize>, usize) {
    let n = product(shape);
    match cut {
        Cut::Whole => (shape.to_vec(), (0..shape.len()).collect(), 1),
        Cut::Each => (shape.to_vec(), (0..shape.len()).collect(), n),
        Cut::Axes(axes) => {
            let others = (0..shape.len()).filter(|axis| !axes.contains(axis));
            let order = axes.iter().copied().chain(others).collect();
            (shape.to_vec(), order, axes.iter().map(|&axis| shape[axis]).fold(1, usize::saturating_mul))
        }
        Cut::Runs(axis, run) => {
            let split = |i: usize| if i == *axis { vec![shape[i] / run, *run] } else { vec![shape[i]] };
            let fine: Vec<usize> = (0..shape.len()).flat_map(split).collect();
            let order = std::iter::once(*axis).chain((0..fine.len()).filter(|i| i != axis)).collect();
            (fine, order, shape[*axis] / run)
        }
        Cut::Blocks(blocks) => {
            let fine: Vec<usize> = shape.iter().zip(blocks).flat_map(|(n, block)| [n / block, *block]).collect();
            let order: Vec<usize> = (0..fine.len()).step_by(2).chain((1..fine.len()).step_by(2)).collect();
            let n_groups = fine.iter().step_by(2).copied().fold(1, usize::saturating_mul);
            (fine, order, n_groups)
        }
    }
}
