//! `sparsify`: which parameterisation stands for which tensor, and what it makes of it.
//!
//! A line puts a parameterisation on each member of its group: on a view of a parameter, on the joint view of several, on a value that a
//! layer computes. The free tensors stay what optimizers train; everything else sees what comes out.

use super::call::ArgValue;
use super::errors::{GroupMistake, ShapeMistake};
use super::value::{Cut, InstanceRef, Member, Target, Tensor, Value};
use super::{Elab, Eval, Failed, Mode, Phase};
use crate::diag::Span;
use crate::model::{ParamId, Symbol};
use crate::resolve::hir::{Decl, DeclKind, DefKind, Expr, ExprKind};

/// What stands for a member of a group.
#[derive(Clone)]
pub(super) struct Parameterisation<'p> {
    /// Layers or instances, the first one applied first.
    pub with: &'p [Expr],
    /// The tensor and how it is seen.
    pub member: Member,
    /// What the line goes by: its parameters live under `name.net.fc1.w`.
    pub name: Symbol,
    /// The paths of the layers' instances.
    pub paths: Vec<Symbol>,
    /// The declaration.
    pub span: Span,
}

/// A part of a parameterised view: an index into `Elab::sparse`, and which of its tensors.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The view.
    pub view: usize,
    /// The tensor: 0 unless tensors are joined.
    pub part: usize,
}

impl<'p> Elab<'p, '_> {
    /// Puts every `sparsify` line on its tensors and makes the instances.
    pub(super) fn bind_sparsify(&mut self) {
        (self.mode, self.phase) = (Mode::Train, Phase::Trace);
        for decl in &self.program.decls {
            if let DeclKind::Sparsify { target, with, name } = &decl.kind {
                let name = match (name, &target.kind) {
                    (Some(name), _) => name.text.clone(),
                    (None, ExprKind::Def(def)) if matches!(self.def(*def).kind, DefKind::Group(_)) => {
                        self.def(*def).name.text.clone()
                    }
                    (None, _) => "sparse".into(),
                };
                let put = self.put_on(decl, target, with, &name);
                if self.lose(put, decl.span).is_none() {
                    let _ = self.broken_names.insert(name);
                }
            }
        }
        for mode in [Mode::Train, Mode::Eval] {
            self.start_trace(mode, Phase::Discover);
            self.all_effective();
        }
        if !self.sparse_inner.is_empty() {
            self.discover();
        }
        self.effective.clear();
        self.sparse_results.clear();
        self.phase = Phase::Trace;
    }

    fn put_on(&mut self, decl: &'p Decl, target: &'p Expr, with: &'p [Expr], name: &Symbol) -> Eval<()> {
        for (member, at) in self.sparse_members(target)? {
            self.put_on_member(decl, member, at, with, name)?;
        }
        Ok(())
    }

    /// What a `sparsify` line is put on: tensors, or layer instances, which stand for their results.
    fn sparse_members(&mut self, target: &'p Expr) -> Eval<Vec<(Member, Span)>> {
        if let ExprKind::Tuple(targets) = &target.kind {
            let all: Vec<Eval<Vec<(Member, Span)>>> = targets.iter().map(|it| self.sparse_members(it)).collect();
            return Ok(all.into_iter().collect::<Eval<Vec<Vec<(Member, Span)>>>>()?.concat());
        }
        let results = self.instances_at(target);
        let result = |path| Member { path, target: Target::Inner, cut: None, raw: false };
        let members = match results.is_empty() {
            true => self.members_top(target)?,
            false => results.into_iter().map(result).collect(),
        };
        Ok(members.into_iter().map(|member| (member, target.span)).collect())
    }

    fn put_on_member(&mut self, decl: &'p Decl, member: Member, at: Span, with: &'p [Expr], name: &Symbol) -> Eval<()> {
        let view = self.sparse.len();
        let parts = match &member.target {
            Target::Joined(parts) => parts.to_vec(),
            Target::Param(_) | Target::State(_) | Target::Inner => vec![member.clone()],
        };
        let known = self.sparse.iter().filter(|own| own.name == *name && own.member.path == member.path).count();
        let place: Symbol =
            if known == 0 { member.path.clone() } else { format!("{}_{}", member.path, known + 1).into() };
        let paths = (0..with.len()).map(|i| parameterisation_path(name, i, &place)).collect();
        self.sparse.push(Parameterisation { with, member: member.clone(), name: name.clone(), paths, span: decl.span });
        let inner = matches!(member.target, Target::Inner);
        for (part, own) in parts.iter().enumerate() {
            let (path, span) = (own.path.clone(), decl.span);
            let first = match (&own.target, inner) {
                (Target::Param(id), _) => {
                    let places = self.sparse_of.entry(*id).or_default();
                    places.push(Place { view, part });
                    Some(places[0].view).filter(|first| *first != view).map(|first| self.sparse[first].span)
                }
                (Target::Inner, true) => self.sparse_inner.insert(path.clone(), view).map(|old| self.sparse[old].span),
                (Target::State(_) | Target::Inner | Target::Joined(_), _) => {
                    return Err(self.blame(GroupMistake::NotAParameter { span: at, path, what: "sparsify" }));
                }
            };
            if let Some(first) = first.filter(|first| *first != span) {
                return Err(self.blame(GroupMistake::Overlap { span, first, path }));
            }
        }
        Ok(())
    }

    /// Evaluates all parameterisations.
    pub(super) fn all_effective(&mut self) {
        for id in (0..self.params.len() as u32).map(ParamId) {
            let span = self.params[id.0 as usize].span;
            let effective = self.effective(id, span);
            let _ = self.lose(effective, span);
        }
    }

    /// What stands for a parameter in the program that is being traced.
    pub(super) fn effective(&mut self, id: ParamId, span: Span) -> Eval<Tensor> {
        let Some(places) = self.sparse_of.get(&id).cloned() else { return Ok(self.raw_param(id)) };
        if let Some(tensor) = self.effective.get(&(self.mode, id)) {
            return Ok(tensor.clone());
        }
        let free = self.raw_param(id);
        let mut tensor: Option<Tensor> = None;
        for place in places {
            let other = self.parameterised(place.view, span)?[place.part].clone();
            tensor = Some(match tensor {
                Some(tensor) => self.by_both_factors(&free, &tensor, &other, self.sparse[place.view].span),
                None => other,
            });
        }
        let tensor = tensor.unwrap_or(free);
        let _ = self.effective.insert((self.mode, id), tensor.clone());
        Ok(tensor)
    }

    /// What a parameterisation makes of each of its tensors.
    fn parameterised(&mut self, view: usize, span: Span) -> Eval<Vec<Tensor>> {
        if let Some(results) = self.sparse_results.get(&(self.mode, view)) {
            return Ok(results.clone());
        }
        if !self.in_progress.insert(view) {
            let (path, declared) = (self.sparse[view].member.path.clone(), self.sparse[view].span);
            return Err(self.blame(GroupMistake::Circular { span, path, declared }));
        }
        let member = self.sparse[view].member.clone();
        let at = self.sparse[view].span;
        let results = self.on_its_own(|elab| match &member.target {
            Target::Joined(parts) => elab.parameterised_parts(view, parts, at),
            Target::Param(id) => {
                let free = elab.raw_param(*id);
                elab.parameterised_view(view, &free).map(|tensor| vec![tensor])
            }
            Target::State(_) | Target::Inner => Err(Failed),
        });
        let _ = self.in_progress.remove(&view);
        let results = results?;
        let _ = self.sparse_results.insert((self.mode, view), results.clone());
        Ok(results)
    }

    fn parameterised_parts(&mut self, view: usize, parts: &[Member], span: Span) -> Eval<Vec<Tensor>> {
        let joint = self.joined_view(parts, true, span)?;
        let result = self.through_layers(view, joint)?;
        let likes = parts.iter().filter_map(|part| match &part.target {
            Target::Param(id) => Some((self.raw_param(*id), part)),
            Target::State(_) | Target::Inner | Target::Joined(_) => None,
        });
        let likes: Vec<(Tensor, &Member)> = likes.collect();
        Ok(self.parts_of(&result, &likes, span))
    }

    /// What a parameterisation makes of a tensor.
    fn parameterised_view(&mut self, view: usize, tensor: &Tensor) -> Eval<Tensor> {
        let span = self.sparse[view].span;
        let cut: Option<Cut> = self.sparse[view].member.cut.as_ref().map(|(cut, _)| cut.clone());
        let seen = match &cut {
            Some(cut) => self.view(tensor, cut, span),
            None => tensor.clone(),
        };
        let seen = self.through_layers(view, seen)?;
        Ok(match &cut {
            Some(cut) => self.unview(&seen, cut, tensor, span),
            None => Tensor { expr: seen.expr, labels: tensor.labels.clone() },
        })
    }

    /// Applies the layers of a parameterisation, one after the other.
    fn through_layers(&mut self, view: usize, tensor: Tensor) -> Eval<Tensor> {
        let parameterisation = self.sparse[view].clone();
        let mut tensor = tensor;
        for (expr, path) in parameterisation.with.iter().zip(&parameterisation.paths) {
            let instance = self.parameterisation_instance(expr, path)?;
            let _ = self.stands_for.insert(instance.id, view);
            let arg = ArgValue { name: None, value: Value::Tensor(tensor.clone()), span: parameterisation.span };
            let value = self.apply(&instance, vec![arg], expr.span)?;
            let result = self.real(&value, expr.span)?;
            if self.shape(&result) != self.shape(&tensor) {
                let (found, expected) = (self.shown(&result), self.shown(&tensor));
                return Err(self.blame(GroupMistake::OtherShape { span: expr.span, found, expected }));
            }
            tensor = Tensor { expr: result.expr, labels: tensor.labels };
        }
        Ok(tensor)
    }

    /// A value inside of a layer, or its result, as the `sparsify` line on it makes it. An equal value, as in another step of a recurrence,
    /// becomes the same.
    pub(super) fn sparse_value(&mut self, path: &Symbol, value: Value) -> Eval<Value> {
        let (Some(&view), Value::Tensor(tensor)) = (self.sparse_inner.get(path), &value) else { return Ok(value) };
        let key = (view, tensor.expr);
        if let Some(expr) = self.sparse_values.get(&key) {
            return Ok(Value::Tensor(Tensor { expr: *expr, labels: tensor.labels.clone() }));
        }
        let seen = self.at_the_top(tensor);
        let result = self.on_its_own(|elab| elab.within("".into(), |elab| elab.parameterised_view(view, &seen)))?;
        let _ = self.sparse_values.insert(key, result.expr);
        Ok(Value::Tensor(Tensor { expr: result.expr, labels: tensor.labels.clone() }))
    }

    /// Evaluates something that does not depend on where it is asked for.
    fn on_its_own<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let draw_shape = self.draw_shape.take();
        let calls = std::mem::take(&mut self.calls);
        let result = work(self);
        self.calls = calls;
        self.draw_shape = draw_shape;
        result
    }

    fn parameterisation_instance(&mut self, expr: &'p Expr, path: &Symbol) -> Eval<InstanceRef> {
        match self.eval_top(expr)? {
            Value::Layer(layer) => self.instance(path.clone(), &layer),
            Value::Instance(instance) => Ok(instance),
            Value::Poison => Err(Failed),
            other => Err(self.blame(ShapeMistake::NotALayer { span: expr.span, found: other.kind() })),
        }
    }
}

/// Layers after a `then` have their number in the path.
fn parameterisation_path(name: &str, index: usize, tensor: &str) -> Symbol {
    match index {
        0 => format!("{name}.{tensor}").into(),
        later => format!("{name}.{}.{tensor}", later + 1).into(),
    }
}
