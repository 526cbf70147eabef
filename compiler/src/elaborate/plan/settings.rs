//! What the blocks of a plan set. A block inherits what the blocks around it set.
//!
//! For a parameter, `optimizer for` counts more than `optimizer`, and of each the innermost. `lr` replaces the rate of the optimizers that
//! are set in the same block or outside of it.

use super::super::errors::{GroupMistake, PlanMistake};
use super::super::value::{LayerValue, Target, Tensor, Value};
use super::super::{Elab, Eval, Failed, Frame};
use crate::diag::Span;
use crate::model::ParamId;
use crate::resolve::hir::{Expr, Name, PlanEntry, PlanKind};

/// A kind of block, and the settings that it knows.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// As messages call it.
    name: &'static str,
    known: &'static [&'static str],
}

/// `train` itself.
pub(super) const TOP: Block = Block { name: "`train`", known: &["epochs", "batch", "optimizer", "clip", "seed"] };

/// `repeat` and `for`, whose settings hold for the phases in them.
pub(super) const LOOP: Block = Block { name: "a loop", known: &["epochs", "optimizer", "lr", "clip", "fresh"] };

/// A phase.
pub(super) const PHASE: Block = Block { name: "a phase", ..LOOP };

/// What holds in a block.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub epochs: Option<usize>,
    pub fresh: bool,
    /// The largest norm of the gradient, and where it is set.
    pub clip: Option<(Tensor, Span)>,
    /// How many blocks deep this is.
    depth: usize,
    optimizers: Vec<Optimizer>,
    rates: Vec<(usize, Value)>,
}

/// An optimizer that a block sets.
#[derive(Clone)]
struct Optimizer {
    depth: usize,
    /// The parameters that it is for; `None`: all of them.
    only: Option<Vec<ParamId>>,
    layer: LayerValue,
    span: Span,
}

impl Settings {
    /// Where the optimizer of all parameters is set.
    pub(super) fn optimizer_span(&self) -> Option<Span> {
        self.optimizers.iter().rev().find(|it| it.only.is_none()).map(|it| it.span)
    }

    fn optimizer(&self, id: ParamId) -> Option<&Optimizer> {
        let own = |it: &&Optimizer| it.only.as_ref().is_some_and(|only| only.contains(&id));
        let mut inner_first = self.optimizers.iter().rev();
        inner_first.clone().find(own).or_else(|| inner_first.find(|it| it.only.is_none()))
    }

    fn rate(&self, optimizer: &Optimizer) -> Option<&Value> {
        self.rates.iter().rev().find(|(depth, _)| *depth >= optimizer.depth).map(|(_, rate)| rate)
    }
}

impl<'p> Elab<'p, '_> {
    /// What holds in a block of the plan.
    pub(super) fn settings(
        &mut self,
        frame: &mut Frame<'p>,
        outer: &Settings,
        entries: &'p [PlanEntry],
        block: Block,
    ) -> Eval<Settings> {
        let mut settings = Settings { depth: outer.depth + 1, ..outer.clone() };
        let mut result = Ok(());
        for entry in entries {
            let set = match &entry.kind {
                PlanKind::Setting(name, value) if block.known.contains(&&*name.text) => {
                    self.setting(frame, name, value, &mut settings)
                }
                PlanKind::Setting(name, _) => {
                    let (span, name, Block { name: block, known }) = (name.span, name.text.clone(), block);
                    let of_train = TOP.known.contains(&&*name);
                    Err(self.blame(PlanMistake::NoSuchKey { span, name, block, known, of_train }))
                }
                PlanKind::OptimizerFor(path, value) => self.optimizer_for(frame, path, value, &mut settings),
                PlanKind::Phase(..) | PlanKind::Repeat(..) | PlanKind::For(..) => Ok(()),
                PlanKind::Fire(_) | PlanKind::Every(..) => Ok(()),
            };
            result = result.and(set);
        }
        result.map(|()| settings)
    }

    fn setting(&mut self, frame: &mut Frame<'p>, name: &Name, expr: &'p Expr, settings: &mut Settings) -> Eval<()> {
        if matches!(&*name.text, "batch" | "seed") {
            return Ok(());
        }
        let value = self.eval(frame, expr)?;
        let depth = settings.depth;
        match &*name.text {
            "epochs" => settings.epochs = Some(self.whole_entry(&value, expr, "epochs", 0.0)? as usize),
            "fresh" => settings.fresh = self.switch(&value, expr.span)?,
            "clip" => settings.clip = Some((self.largest_norm(&value, expr.span)?, expr.span)),
            "lr" => settings.rates.push((depth, Value::Tensor(self.scalar_setting(&value, "lr", expr.span)?))),
            _ => {
                let layer = self.optimizer(value, expr.span)?;
                settings.optimizers.push(Optimizer { depth, only: None, layer, span: expr.span });
            }
        }
        Ok(())
    }

    fn switch(&mut self, value: &Value, span: Span) -> Eval<bool> {
        match value {
            Value::Bool(b) => Ok(*b),
            Value::Poison => Err(Failed),
            other => Err(self.blame(PlanMistake::NotASwitch { span, found: other.kind() })),
        }
    }

    fn scalar_setting(&mut self, value: &Value, what: &'static str, span: Span) -> Eval<Tensor> {
        let tensor = self.real(value, span)?;
        if tensor.labels.is_empty() {
            return Ok(tensor);
        }
        let found = self.shown(&tensor);
        Err(self.blame(super::super::errors::ShapeMistake::NotAScalar { span, what, found }))
    }

    fn largest_norm(&mut self, value: &Value, span: Span) -> Eval<Tensor> {
        if let Value::Number(found) = value
            && *found <= 0.0
        {
            return Err(self.blame(PlanMistake::NoNorm { span, found: *found }));
        }
        self.scalar_setting(value, "clip", span)
    }

    /// `optimizer for mask.s = …`.
    fn optimizer_for(
        &mut self,
        frame: &mut Frame<'p>,
        target: &'p Expr,
        expr: &'p Expr,
        settings: &mut Settings,
    ) -> Eval<()> {
        let value = self.eval(frame, expr)?;
        let layer = self.optimizer(value, expr.span)?;
        let mut ids = vec![];
        for member in self.members(frame, target)? {
            self.collect_params(&member, target.span, "optimizer for", &mut ids)?;
        }
        let here = |it: &&Optimizer| it.depth == settings.depth;
        for old in settings.optimizers.iter().filter(here) {
            let only = old.only.as_deref().unwrap_or_default();
            if let Some(id) = only.iter().find(|id| ids.contains(id)) {
                let (path, first) = (self.params[id.0 as usize].path.clone(), old.span);
                return Err(self.blame(PlanMistake::TwoOptimizers { span: expr.span, first, path }));
            }
        }
        settings.optimizers.push(Optimizer { depth: settings.depth, only: Some(ids), layer, span: expr.span });
        Ok(())
    }

    /// The parameters that a member consists of.
    pub(super) fn collect_params(
        &mut self,
        member: &super::super::value::Member,
        span: Span,
        what: &'static str,
        ids: &mut Vec<ParamId>,
    ) -> Eval<()> {
        match &member.target {
            Target::Param(id) => {
                ids.push(*id);
                Ok(())
            }
            Target::Joined(parts) => parts.iter().try_for_each(|part| self.collect_params(part, span, what, ids)),
            Target::State(_) | Target::Inner => {
                Err(self.blame(GroupMistake::NotAParameter { span, path: member.path.clone(), what }))
            }
        }
    }

    fn optimizer(&mut self, value: Value, span: Span) -> Eval<LayerValue> {
        let layer = match value {
            Value::Layer(layer) => layer,
            Value::Poison => return Err(Failed),
            other => return Err(self.blame(PlanMistake::NotAnOptimizer { span, found: other.kind(), n: None })),
        };
        match self.layer(layer.def).inputs.len() {
            2 => Ok(LayerValue { span, ..layer }),
            n => Err(self.blame(PlanMistake::NotAnOptimizer { span, found: "a layer", n: Some(n) })),
        }
    }

    /// The optimizer of a parameter, with the rate that holds; blames the phase at `span` where there is none.
    pub(super) fn optimizer_of(&mut self, settings: &Settings, id: ParamId, span: Span) -> Eval<LayerValue> {
        let Some(optimizer) = settings.optimizer(id) else {
            return Err(self.blame(PlanMistake::Missing { span, key: "optimizer" }));
        };
        let mut layer = optimizer.layer.clone();
        if let Some(rate) = settings.rate(optimizer)
            && let Some(slot) = self.rate_slot(&layer)
        {
            let n = self.layer(layer.def).settings.len();
            let mut slots = layer.settings.as_ref().map_or_else(|| vec![None; n], |settings| settings.to_vec());
            slots[slot] = Some(rate.clone());
            layer.settings = Some(std::rc::Rc::new(slots));
        }
        Ok(layer)
    }

    /// Which of an optimizer's settings is its rate.
    pub(super) fn rate_slot(&self, layer: &LayerValue) -> Option<usize> {
        let definition = self.layer(layer.def);
        let name = |slot: &crate::resolve::hir::Input| &definition.locals[slot.local.0 as usize].name.text;
        definition.settings.iter().position(|input| **name(input) == *"lr")
    }
}
