//! The training plan: its settings, its stages, and what steps and events do.
//!
//! | file       | does                                                                       |
//! |------------|----------------------------------------------------------------------------|
//! | `settings` | what blocks of the plan set, and which setting holds where                 |
//! | `stages`   | phases, loops and fired events, one after the other                        |
//! | `step`     | what a step makes of each parameter: gradients, clipping, optimizers       |
//! | `proximal` | what proximal operators make of that                                       |

mod proximal;
mod settings;
mod stages;
mod step;

use self::settings::Settings;
use self::stages::Stages;
use super::errors::PlanMistake;
use super::{Elab, Eval};
use crate::model::{Plan, Variant};
use crate::resolve::hir::{Decl, DeclKind, Expr, ExprKind, PlanKind, Train};

impl<'p> Elab<'p, '_> {
    /// The plan, with what its steps and events write.
    pub(super) fn training_plan(&mut self) -> Option<Plan> {
        let span = self.program.decls.first().map(|decl| decl.span)?;
        let plan = self.plan();
        self.optimizing = false;
        self.lose(plan, span).flatten()
    }

    fn plan(&mut self) -> Eval<Option<Plan>> {
        let plans: Vec<(&'p Decl, &'p Train)> = self.program.decls.iter().filter_map(as_plan).collect();
        let Some((decl, train)) = plans.first().copied() else { return Ok(None) };
        if let Some((second, _)) = plans.get(1) {
            return Err(self.blame(PlanMistake::TwoPlans { span: second.span, first: decl.span }));
        }
        let batch = self.batch(train);
        let seed = entry(train, "seed").map_or(Ok(1.0), |expr| self.entry_number(expr, "seed", 0.0));
        let mut frame = self.top_frame();
        let settings = self.settings(&mut frame, &Settings::default(), &train.entries, settings::TOP)?;
        if !self.program.decls.iter().any(|decl| matches!(decl.kind, DeclKind::Minimize(_))) {
            let span = settings.optimizer_span().unwrap_or(decl.span);
            return Err(self.blame(PlanMistake::NothingToMinimize { span }));
        }
        let mut stages = Stages::default();
        self.stages(&mut frame, &settings, &train.entries, &mut stages)?;
        if !train.entries.iter().any(is_stage) {
            self.phase(&mut frame, None, &settings, (&[], decl.span), &mut stages)?;
        }
        if !stages.has_phase() {
            return Err(self.blame(PlanMistake::NoPhase { span: decl.span }));
        }
        let Stages { stages, variants, events, .. } = stages;
        let variants: Vec<Variant> = variants;
        Ok(Some(Plan { batch: batch?, seed: seed? as u64, stages, variants, events }))
    }

    fn entry_number(&mut self, expr: &'p Expr, key: &'static str, least: f64) -> Eval<f64> {
        let value = self.eval_top(expr)?;
        self.whole_entry(&value, expr, key, least)
    }

    fn whole_entry(&mut self, value: &super::value::Value, expr: &'p Expr, key: &'static str, least: f64) -> Eval<f64> {
        let number = self.number(value, expr.span)?;
        if number.fract() == 0.0 && (least..=9_007_199_254_740_992.0).contains(&number) {
            return Ok(number);
        }
        Err(self.blame(PlanMistake::NotWhole { span: expr.span, key, found: number, least }))
    }

    /// `batch = 64`, or `batch = all`, which is also meant by none.
    fn batch(&mut self, train: &'p Train) -> Eval<Option<usize>> {
        let Some(expr) = entry(train, "batch") else { return Ok(None) };
        if let ExprKind::AxisName(name) = &expr.kind
            && **name == *"all"
        {
            return Ok(None);
        }
        self.entry_number(expr, "batch", 1.0).map(|n| Some(n as usize))
    }
}

fn entry<'p>(train: &'p Train, key: &str) -> Option<&'p Expr> {
    train.entries.iter().find_map(|entry| match &entry.kind {
        PlanKind::Setting(name, value) if *name.text == *key => Some(value),
        _ => None,
    })
}

fn is_stage(entry: &crate::resolve::hir::PlanEntry) -> bool {
    match entry.kind {
        PlanKind::Phase(..) | PlanKind::Repeat(..) | PlanKind::For(..) | PlanKind::Fire(_) => true,
        PlanKind::Setting(..) | PlanKind::OptimizerFor(..) | PlanKind::Every(..) => false,
    }
}

fn as_plan(decl: &Decl) -> Option<(&Decl, &Train)> {
    match &decl.kind {
        DeclKind::Train(train) => Some((decl, train)),
        DeclKind::Sparsify { .. } | DeclKind::Proximal { .. } | DeclKind::Budget { .. } => None,
        DeclKind::Minimize(_) | DeclKind::Report(..) | DeclKind::Init(_) => None,
    }
}
