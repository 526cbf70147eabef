//! `sparsify`: which parameterisation stands for which tensor, and what it makes of it.

use super::call::ArgValue;
use super::errors::{GroupMistake, ShapeMistake};
use super::value::{InstanceRef, Member, Target, Tensor, Value};
use super::{Elab, Eval, Failed, Mode, Phase};
use crate::diag::Span;
use crate::model::{ParamId, Symbol};
use crate::resolve::hir::{Decl, DeclKind, DefKind, Expr, ExprKind};

/// What stands for a tensor.
#[derive(Clone)]
pub(super) struct Parameterisation<'p> {
    /// Layers or instances, the first one applied first.
    pub with: &'p [Expr],
    /// The tensor and how it is seen.
    pub member: Member,
    /// Where their parameters live: `name.net.fc1.w`.
    pub name: Symbol,
    /// The paths of the layers' instances.
    pub paths: Vec<Symbol>,
    /// The declaration.
    pub span: Span,
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
        self.effective.clear();
        self.phase = Phase::Trace;
    }

    fn put_on(&mut self, decl: &'p Decl, target: &'p Expr, with: &'p [Expr], name: &Symbol) -> Eval<()> {
        for member in self.members(&mut self.top_frame(), target)? {
            let Target::Param(id) = member.target else {
                let mistake = GroupMistake::NotAParameter { span: target.span, path: member.path, what: "sparsify" };
                return Err(self.blame(mistake));
            };
            if let Some(old) = self.sparse.get(&id) {
                let (span, first, path) = (decl.span, old.span, member.path);
                return Err(self.blame(GroupMistake::Overlap { span, first, path }));
            }
            let paths = (0..with.len()).map(|i| parameterisation_path(name, i, &member.path)).collect();
            let parameterisation = Parameterisation { with, member, name: name.clone(), paths, span: decl.span };
            let _ = self.sparse.insert(id, parameterisation);
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
        let Some(parameterisation) = self.sparse.get(&id).cloned() else { return Ok(self.raw_param(id)) };
        if let Some(tensor) = self.effective.get(&(self.mode, id)) {
            return Ok(tensor.clone());
        }
        if !self.in_progress.insert(id) {
            let path = parameterisation.member.path;
            return Err(self.blame(GroupMistake::Circular { span, path, declared: parameterisation.span }));
        }
        let outer = self.draw_shape.take();
        let calls = std::mem::take(&mut self.calls);
        let tensor = self.parameterised(id, &parameterisation);
        self.calls = calls;
        self.draw_shape = outer;
        let _ = self.in_progress.remove(&id);
        let tensor = tensor?;
        let _ = self.effective.insert((self.mode, id), tensor.clone());
        Ok(tensor)
    }

    fn parameterised(&mut self, id: ParamId, parameterisation: &Parameterisation<'p>) -> Eval<Tensor> {
        let span = parameterisation.span;
        let free = self.raw_param(id);
        let cut = parameterisation.member.cut.as_ref().map(|(cut, _)| cut.clone());
        let mut view = match &cut {
            Some(cut) => self.view(&free, cut, span),
            None => free.clone(),
        };
        for (expr, path) in parameterisation.with.iter().zip(&parameterisation.paths) {
            let instance = self.parameterisation_instance(expr, path)?;
            let arg = ArgValue { name: None, value: Value::Tensor(view.clone()), span };
            let value = self.apply(&instance, vec![arg], expr.span)?;
            let result = self.real(&value, expr.span)?;
            if self.shape(&result) != self.shape(&view) {
                let (found, expected) = (self.shown(&result), self.shown(&view));
                return Err(self.blame(GroupMistake::OtherShape { span: expr.span, found, expected }));
            }
            view = Tensor { expr: result.expr, labels: view.labels };
        }
        Ok(match &cut {
            Some(cut) => self.unview(&view, cut, &free, span),
            None => Tensor { expr: view.expr, labels: free.labels },
        })
    }

    fn parameterisation_instance(&mut self, expr: &'p Expr, path: &Symbol) -> Eval<InstanceRef> {
        match self.eval(&mut self.top_frame(), expr)? {
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
