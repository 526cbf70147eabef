//! Proximal operators: what they make of the free tensors that optimizers have moved.

use super::super::call::ArgValue;
use super::super::errors::{GroupMistake, PlanMistake};
use super::super::value::{LayerValue, Member, Target, Tensor, Value};
use super::super::{Elab, Eval};
use super::step::Updated;
use crate::diag::Span;
use crate::model::ParamId;
use crate::resolve::hir::{DeclKind, Expr, ExprKind};
use crate::scalar::Binary;

impl<'p> Elab<'p, '_> {
    /// All proximal operators, in their order. What is frozen stays as it is.
    pub(super) fn proximal_operators(&mut self, updated: &mut [Updated]) -> Eval<()> {
        for decl in &self.program.decls {
            let DeclKind::Proximal { target, with } = &decl.kind else { continue };
            for member in self.members_top(target)? {
                let parts = match &member.target {
                    Target::Joined(parts) => parts.to_vec(),
                    Target::Param(_) | Target::State(_) | Target::Inner => vec![member],
                };
                let mut ids = vec![];
                for part in &parts {
                    self.collect_params(part, target.span, "proximal", &mut ids)?;
                }
                if !ids.iter().all(|id| updated[id.0 as usize].frozen) {
                    self.proximal_of(&parts, &ids, with, updated, decl.span)?;
                }
            }
        }
        Ok(())
    }

    /// A proximal operator on the joint view of some tensors; the rate is that of the first one that is trained.
    fn proximal_of(
        &mut self,
        parts: &[Member],
        ids: &[ParamId],
        with: &'p Expr,
        updated: &mut [Updated],
        span: Span,
    ) -> Eval<()> {
        let trained = ids.iter().map(|id| &updated[id.0 as usize]).find(|it| !it.frozen);
        let Some(layer) = trained.map(|it| it.layer.clone()) else { return Ok(()) };
        let old: Vec<Tensor> = ids.iter().map(|id| updated[id.0 as usize].new.clone()).collect();
        let views: Vec<Tensor> = old.iter().zip(parts).map(|(tensor, part)| self.seen(tensor, part, span)).collect();
        let new = match views.as_slice() {
            [view] => {
                let result = self.proximal(view, with, &layer, span)?;
                vec![match &parts[0].cut {
                    Some((cut, _)) => self.unview(&result, cut, &old[0], span),
                    None => Tensor { expr: result.expr, labels: old[0].labels.clone() },
                }]
            }
            _ => {
                let joint = self.side_by_side(&views, span);
                let result = self.proximal(&joint, with, &layer, span)?;
                let likes: Vec<(Tensor, &Member)> = old.iter().cloned().zip(parts).collect();
                self.parts_of(&result, &likes, span)
            }
        };
        let mut seen: Vec<ParamId> = vec![];
        for ((id, old), new) in ids.iter().zip(&old).zip(new) {
            let slot = id.0 as usize;
            if updated[slot].frozen {
                continue;
            }
            updated[slot].new = match seen.contains(id) {
                true => self.by_both_factors(old, &updated[slot].new.clone(), &new, span),
                false => new,
            };
            seen.push(*id);
        }
        Ok(())
    }

    fn seen(&mut self, tensor: &Tensor, part: &Member, span: Span) -> Tensor {
        match &part.cut {
            Some((cut, _)) => self.view(tensor, cut, span),
            None => tensor.clone(),
        }
    }

    /// `f(view, lr * lambda)`.
    fn proximal(&mut self, view: &Tensor, with: &'p Expr, layer: &LayerValue, span: Span) -> Eval<Tensor> {
        let ExprKind::Call(f, written) = &with.kind else {
            return Err(self.blame(PlanMistake::NoStrength { span: with.span }));
        };
        let mut frame = self.top_frame();
        let (f, mut args) = (self.eval_top(f)?, self.args(&mut frame, written));
        let Some(strength) = args.first_mut() else {
            return Err(self.blame(PlanMistake::NoStrength { span: with.span }));
        };
        let rate = self.learning_rate(layer, with.span)?;
        strength.value = self.binary(Binary::Mul, (&rate, span), (&strength.value, strength.span), strength.span)?;
        args.insert(0, ArgValue { name: None, value: Value::Tensor(view.clone()), span });
        let value = self.call(f, args, with.span)?;
        let result = self.real(&value, with.span)?;
        if self.shape(&result) != self.shape(view) {
            let (found, expected) = (self.shown(&result), self.shown(view));
            let mistake = GroupMistake::OtherShape { span: with.span, found, expected };
            return Err(self.blame(mistake));
        }
        Ok(Tensor { expr: result.expr, labels: view.labels.clone() })
    }

    /// The optimizer's setting `lr`.
    fn learning_rate(&mut self, layer: &LayerValue, span: Span) -> Eval<Value> {
        let definition = self.layer(layer.def);
        let Some(slot) = self.rate_slot(layer) else {
            let name = self.def(layer.def).name.text.clone();
            return Err(self.blame(PlanMistake::NoLearningRate { span, optimizer: name, at: layer.span }));
        };
        let given = layer.settings.as_ref().and_then(|settings| settings[slot].clone());
        match (given, &definition.settings[slot].default) {
            (Some(value), _) => Ok(value),
            (None, Some(default)) => {
                let name = self.def(layer.def).name.text.clone();
                let mut frame = self.new_frame(&definition.locals, &name, None);
                self.eval(&mut frame, default)
            }
            (None, None) => {
                let callee = self.def(layer.def).name.text.clone();
                let (span, missing) = (layer.span, "lr".into());
                Err(self.blame(super::super::errors::ShapeMistake::MissingArgument {
                    span,
                    callee,
                    missing,
                    declared: None,
                }))
            }
        }
    }
}
