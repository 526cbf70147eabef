//! The training plan: its entries, and what optimizers and proximal operators make of each parameter.

use super::call::ArgValue;
use super::errors::{PlanMistake, ShapeMistake};
use super::value::{Cut, LayerValue, Target, Tensor, Value};
use super::{Elab, Eval, Failed};
use crate::diag::Span;
use crate::model::{ExprId, Op, ParamId, Plan};
use crate::resolve::hir::{Decl, DeclKind, Expr, ExprKind, Name, Train};
use crate::scalar::Binary;

/// The entries of a plan.
const KEYS: [&str; 4] = ["epochs", "batch", "optimizer", "seed"];

/// A plan whose entries have been looked at.
pub(super) struct Entries<'p> {
    plan: Plan,
    optimizer: &'p Expr,
    train: &'p Train,
}

impl<'p> Elab<'p, '_> {
    /// Looks at the entries of the plan.
    pub(super) fn plan_entries(&mut self) -> Eval<Option<Entries<'p>>> {
        let plans: Vec<(&'p Decl, &'p Train)> = self.program.decls.iter().filter_map(as_plan).collect();
        let Some((first, train)) = plans.first().copied() else { return Ok(None) };
        if let Some((second, _)) = plans.get(1) {
            return Err(self.blame(PlanMistake::TwoPlans { span: second.span, first: first.span }));
        }
        let unknown = self.check_keys(train);
        let epochs = self.required(first, train, "epochs").and_then(|expr| self.entry_number(expr, "epochs", 0.0));
        let batch = self.batch(train);
        let seed = self.entry(train, "seed").map_or(Ok(1.0), |expr| self.entry_number(expr, "seed", 0.0));
        let optimizer = self.required(first, train, "optimizer");
        unknown?;
        let plan = Plan { epochs: epochs? as usize, batch: batch?, seed: seed? as u64 };
        Ok(Some(Entries { plan, optimizer: optimizer?, train }))
    }

    fn check_keys(&mut self, train: &'p Train) -> Eval<()> {
        let mut seen: Vec<&Name> = vec![];
        let mut result = Ok(());
        for (name, _) in &train.entries {
            if !KEYS.contains(&&*name.text) {
                result =
                    Err(self.blame(PlanMistake::NoSuchKey { span: name.span, name: name.text.clone(), known: &KEYS }));
            } else if let Some(first) = seen.iter().find(|old| old.text == name.text) {
                let (span, first, name) = (name.span, first.span, name.text.clone());
                result = Err(self.blame(PlanMistake::KeyTwice { span, first, name }));
            }
            seen.push(name);
        }
        result
    }

    fn entry(&self, train: &'p Train, key: &str) -> Option<&'p Expr> {
        train.entries.iter().find(|(name, _)| *name.text == *key).map(|(_, expr)| expr)
    }

    fn required(&mut self, decl: &Decl, train: &'p Train, key: &'static str) -> Eval<&'p Expr> {
        match self.entry(train, key) {
            Some(expr) => Ok(expr),
            None => Err(self.blame(PlanMistake::Missing { span: decl.span, key })),
        }
    }

    fn entry_number(&mut self, expr: &'p Expr, key: &'static str, least: f64) -> Eval<f64> {
        let value = self.eval(&mut self.top_frame(), expr)?;
        let number = self.number(&value, expr.span)?;
        if number.fract() == 0.0 && (least..=9_007_199_254_740_992.0).contains(&number) {
            return Ok(number);
        }
        Err(self.blame(PlanMistake::NotWhole { span: expr.span, key, found: number, least }))
    }

    /// `batch = 64`, or `batch = all`, which is also meant by none.
    fn batch(&mut self, train: &'p Train) -> Eval<Option<usize>> {
        let Some(expr) = self.entry(train, "batch") else { return Ok(None) };
        if let ExprKind::AxisName(name) = &expr.kind
            && **name == *"all"
        {
            return Ok(None);
        }
        self.entry_number(expr, "batch", 1.0).map(|n| Some(n as usize))
    }

    /// The plan, with the new value of every parameter.
    pub(super) fn training_plan(&mut self) -> Option<Plan> {
        let entries = self.plan_entries();
        let span = self.program.decls.first().map(|decl| decl.span)?;
        let entries = self.lose(entries, span).flatten()?;
        if !self.program.decls.iter().any(|decl| matches!(decl.kind, DeclKind::Minimize(_))) {
            let span = entries.optimizer.span;
            let _ = self.blame(PlanMistake::NothingToMinimize { span });
            return None;
        }
        let special = self.special_optimizers(entries.train);
        let special = self.lose(special, entries.optimizer.span)?;
        self.optimizing = true;
        for id in (0..self.params.len() as u32).map(ParamId) {
            let expr = special.iter().find(|(own, _)| *own == id).map_or(entries.optimizer, |(_, expr)| *expr);
            match self.updated(id, expr) {
                Ok(update) => self.params[id.0 as usize].update = Some(update),
                Err(Failed) => {
                    self.lost = Some(expr.span);
                    break;
                }
            }
        }
        self.optimizing = false;
        Some(entries.plan)
    }

    /// `optimizer for mask.s = …`.
    fn special_optimizers(&mut self, train: &'p Train) -> Eval<Vec<(ParamId, &'p Expr)>> {
        let mut special: Vec<(ParamId, &'p Expr, Span)> = vec![];
        for (target, expr) in &train.optimizers {
            for member in self.members(&mut self.top_frame(), target)? {
                let Target::Param(id) = member.target else {
                    let (span, path) = (target.span, member.path);
                    return Err(self.blame(super::errors::GroupMistake::NotAParameter {
                        span,
                        path,
                        what: "optimizer for",
                    }));
                };
                if let Some((_, _, first)) = special.iter().find(|(own, _, _)| *own == id) {
                    let (span, first, path) = (target.span, *first, member.path);
                    return Err(self.blame(PlanMistake::TwoOptimizers { span, first, path }));
                }
                special.push((id, expr, target.span));
            }
        }
        Ok(special.into_iter().map(|(id, expr, _)| (id, expr)).collect())
    }

    /// A parameter after a step: the optimizer's result, then proximal operators in their order.
    fn updated(&mut self, id: ParamId, expr: &'p Expr) -> Eval<ExprId> {
        let layer = self.optimizer(expr)?;
        let path = self.params[id.0 as usize].path.clone();
        let free = self.raw_param(id);
        let (ty, span) = (self.params[id.0 as usize].ty.clone(), expr.span);
        let gradient = self.leaf(Op::Gradient(id), &ty, span);
        let instance = self.instance(format!("optimizer.{path}").into(), &layer)?;
        let arg = |tensor: &Tensor| ArgValue { name: None, value: Value::Tensor(tensor.clone()), span };
        let value = self.apply(&instance, vec![arg(&free), arg(&gradient)], span)?;
        let new = self.real(&value, span)?;
        if self.shape(&new) != self.shape(&free) {
            let (found, expected) = (self.shown(&new), self.shown(&free));
            return Err(self.blame(PlanMistake::OptimizerShape { span, path, found, expected }));
        }
        let new = Tensor { expr: new.expr, labels: free.labels };
        self.after_proximal(id, &layer, new).map(|tensor| tensor.expr)
    }

    fn optimizer(&mut self, expr: &'p Expr) -> Eval<LayerValue> {
        let layer = match self.eval(&mut self.top_frame(), expr)? {
            Value::Layer(layer) => layer,
            Value::Poison => return Err(Failed),
            other => {
                return Err(self.blame(PlanMistake::NotAnOptimizer { span: expr.span, found: other.kind(), n: None }));
            }
        };
        match self.layer(layer.def).inputs.len() {
            2 => Ok(layer),
            n => Err(self.blame(PlanMistake::NotAnOptimizer { span: expr.span, found: "a layer", n: Some(n) })),
        }
    }

    fn after_proximal(&mut self, id: ParamId, layer: &LayerValue, new: Tensor) -> Eval<Tensor> {
        let mut new = new;
        for decl in &self.program.decls {
            let DeclKind::Proximal { target, with } = &decl.kind else { continue };
            for member in self.members(&mut self.top_frame(), target)? {
                match member.target {
                    Target::Param(own) if own == id => {
                        let cut = member.cut.map(|(cut, _)| cut);
                        new = self.proximal(&new, cut.as_ref(), with, layer, decl.span)?;
                    }
                    Target::Param(_) => {}
                    Target::State(_) | Target::Inner => {
                        let (span, path, what) = (target.span, member.path, "proximal");
                        return Err(self.blame(super::errors::GroupMistake::NotAParameter { span, path, what }));
                    }
                }
            }
        }
        Ok(new)
    }

    /// `f(view, lr * lambda)`.
    fn proximal(
        &mut self,
        tensor: &Tensor,
        cut: Option<&Cut>,
        with: &'p Expr,
        layer: &LayerValue,
        span: Span,
    ) -> Eval<Tensor> {
        let view = match cut {
            Some(cut) => self.view(tensor, cut, span),
            None => tensor.clone(),
        };
        let ExprKind::Call(f, written) = &with.kind else {
            return Err(self.blame(PlanMistake::NoStrength { span: with.span }));
        };
        let (f, mut args) = (self.eval(&mut self.top_frame(), f)?, self.args(&mut self.top_frame(), written));
        let Some(strength) = args.first_mut() else {
            return Err(self.blame(PlanMistake::NoStrength { span: with.span }));
        };
        let rate = self.learning_rate(layer, with.span)?;
        strength.value = self.binary(Binary::Mul, (&rate, span), (&strength.value, strength.span), strength.span)?;
        args.insert(0, ArgValue { name: None, value: Value::Tensor(view.clone()), span });
        let value = self.call(f, args, with.span)?;
        let result = self.real(&value, with.span)?;
        if self.shape(&result) != self.shape(&view) {
            let (found, expected) = (self.shown(&result), self.shown(&view));
            let mistake = super::errors::GroupMistake::OtherShape { span: with.span, found, expected };
            return Err(self.blame(mistake));
        }
        Ok(match cut {
            Some(cut) => self.unview(&result, cut, tensor, span),
            None => Tensor { expr: result.expr, labels: tensor.labels.clone() },
        })
    }

    /// The optimizer's setting `lr`.
    fn learning_rate(&mut self, layer: &LayerValue, span: Span) -> Eval<Value> {
        let definition = self.layer(layer.def);
        let is_rate =
            |input: &crate::resolve::hir::Input| *definition.locals[input.local.0 as usize].name.text == *"lr";
        let Some(slot) = definition.settings.iter().position(is_rate) else {
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
                Err(self.blame(ShapeMistake::MissingArgument { span, callee, missing, declared: None }))
            }
        }
    }
}

fn as_plan(decl: &Decl) -> Option<(&Decl, &Train)> {
    match &decl.kind {
        DeclKind::Train(train) => Some((decl, train)),
        DeclKind::Sparsify { .. } | DeclKind::Proximal { .. } | DeclKind::Budget { .. } => None,
        DeclKind::Minimize(_) | DeclKind::Report(..) => None,
    }
}
