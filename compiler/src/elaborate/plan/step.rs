//! What a step makes of each parameter: the gradient, clipped, through the parameter's optimizer, then proximal operators.

use super::super::call::ArgValue;
use super::super::errors::PlanMistake;
use super::super::value::{LayerValue, Tensor, Value};
use super::super::{Elab, Eval};
use super::settings::Settings;
use crate::diag::Span;
use crate::model::{self, Op, ParamId, Symbol, Variant};
use crate::scalar::{Binary, Unary};

/// A parameter in a step.
pub(super) struct Updated {
    /// Its optimizer.
    pub layer: LayerValue,
    /// Its new value.
    pub new: Tensor,
    /// Whether the optimizer leaves it as it is.
    pub frozen: bool,
}

impl<'p> Elab<'p, '_> {
    /// What a step does under these settings.
    pub(super) fn variant(&mut self, settings: &Settings, span: Span) -> Eval<Variant> {
        let draws = self.draws.clone();
        let ids = || (0..self.params.len() as u32).map(ParamId).collect::<Vec<ParamId>>();
        let ids = ids();
        self.optimizing = true;
        let mut updated = self.optimized(settings, &ids, None, span)?;
        if let Some((norm, at)) = &settings.clip {
            let trained = ids.iter().zip(&updated).filter(|(_, it)| self.reads_gradient(it)).map(|(id, _)| *id);
            let trained: Vec<ParamId> = trained.collect();
            let factor = self.clipping(&trained, norm, *at);
            self.draws = draws.clone();
            updated = self.optimized(settings, &ids, Some(&factor), span)?;
        }
        self.optimizing = false;
        self.draws = draws;
        self.proximal_operators(&mut updated)?;
        let params = updated.into_iter().map(|it| (!it.frozen).then_some(it.new.expr)).collect();
        let optimizer_states = std::mem::take(&mut self.optimizer_writes);
        Ok(Variant { params, optimizer_states })
    }

    fn reads_gradient(&self, updated: &Updated) -> bool {
        let is_gradient = |id: &model::ExprId| matches!(self.build.graph.node(*id).op, Op::Gradient(_));
        model::count::reachable(&self.build.graph, &[updated.new.expr]).iter().any(is_gradient)
    }

    /// min(1, clip / ‖g‖₂), where g is the gradient of all that is trained.
    fn clipping(&mut self, trained: &[ParamId], norm: &Tensor, span: Span) -> Tensor {
        let mut sum: Option<Tensor> = None;
        for id in trained {
            let gradient = self.gradient(*id, span);
            let square = self.zip(Binary::Mul, &gradient, &gradient, span);
            let axes: Vec<usize> = (0..gradient.labels.len()).collect();
            let reduce = Op::Reduce(model::Reduction::Sum, square.expr, axes);
            let own =
                if gradient.labels.is_empty() { square } else { self.emit(reduce, model::DType::F32, vec![], span) };
            sum = Some(match sum {
                Some(sum) => self.zip(Binary::Add, &sum, &own, span),
                None => own,
            });
        }
        let Some(sum) = sum else { return self.constant(1.0, span) };
        let length = self.map(Unary::Sqrt, &sum, span);
        let longest = self.zip(Binary::Max, &length, norm, span);
        self.zip(Binary::Div, norm, &longest, span)
    }

    fn gradient(&mut self, id: ParamId, span: Span) -> Tensor {
        let ty = self.params[id.0 as usize].ty.clone();
        self.leaf(Op::Gradient(id), &ty, span)
    }

    /// Every parameter behind its optimizer, whose gradients are multiplied by `factor`.
    fn optimized(
        &mut self,
        settings: &Settings,
        ids: &[ParamId],
        factor: Option<&Tensor>,
        span: Span,
    ) -> Eval<Vec<Updated>> {
        self.optimizer_writes.clear();
        self.written.retain(|id, _| !self.states[id.0 as usize].of_optimizer);
        let mut all = vec![];
        for id in ids {
            let layer = self.optimizer_of(settings, *id, span)?;
            all.push(self.updated(*id, layer, factor)?);
        }
        Ok(all)
    }

    fn updated(&mut self, id: ParamId, layer: LayerValue, factor: Option<&Tensor>) -> Eval<Updated> {
        let (path, span) = (self.params[id.0 as usize].path.clone(), layer.span);
        let free = self.raw_param(id);
        let mut gradient = self.gradient(id, span);
        if let Some(factor) = factor {
            let factor = self.broadcast_to(factor, span, &gradient, span)?;
            gradient = self.zip(Binary::Mul, &gradient, &factor, span);
        }
        let place = self.optimizer_path(&path, &layer);
        let instance = self.instance(place, &layer)?;
        let arg = |tensor: &Tensor| ArgValue { name: None, value: Value::Tensor(tensor.clone()), span };
        let value = self.apply(&instance, vec![arg(&free), arg(&gradient)], span)?;
        let new = self.real(&value, span)?;
        if self.shape(&new) != self.shape(&free) {
            let (found, expected) = (self.shown(&new), self.shown(&free));
            return Err(self.blame(PlanMistake::OptimizerShape { span, path, found, expected }));
        }
        let frozen = new.expr == free.expr;
        Ok(Updated { layer, new: Tensor { expr: new.expr, labels: free.labels }, frozen })
    }

    /// Where the states of a parameter's optimizer live; a second optimizer has its name in the path.
    fn optimizer_path(&self, path: &str, layer: &LayerValue) -> Symbol {
        let usual: Symbol = format!("optimizer.{path}").into();
        match self.instances.get(&usual) {
            Some(first) if first.def != layer.def => {
                format!("optimizer.{path}.{}", self.def(layer.def).name.text).into()
            }
            Some(_) | None => usual,
        }
    }
}
