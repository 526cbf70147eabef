//! Training plans and starts from files to HIR: which entry may stand in which block.

use std::collections::HashMap;

use super::errors::NameError;
use super::hir::{
    Expr, ExprKind, Fire, Init, Interval, Local, LocalKind, Mapping, PlanEntry, PlanKind, Segment, Train,
};
use super::lookup::{Lower, Role, hir_name};
use crate::diag::Span;
use crate::syntax::ast;

/// The block that entries of a plan stand in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// `train`, `repeat` or `for`: anything may stand there.
    Stages,
    /// `phase`: settings and `every`.
    Phase,
    /// `every`: events to fire.
    Every,
}

impl Lower<'_, '_> {
    pub(super) fn train(&mut self, plan: &[ast::PlanEntry]) -> Train {
        Train { entries: self.plan_entries(plan, Inside::Stages) }
    }

    fn plan_entries(&mut self, plan: &[ast::PlanEntry], inside: Inside) -> Vec<PlanEntry> {
        self.check_settings(plan);
        plan.iter().filter_map(|entry| self.plan_entry(entry, inside)).collect()
    }

    fn plan_entry(&mut self, entry: &ast::PlanEntry, inside: Inside) -> Option<PlanEntry> {
        if !self.may_stand(entry, inside) {
            return None;
        }
        let kind = match &entry.kind {
            ast::PlanKind::Setting(name, value) => PlanKind::Setting(hir_name(name), self.entry_value(name, value)),
            ast::PlanKind::OptimizerFor(path, value) => PlanKind::OptimizerFor(self.expr(path), self.expr(value)),
            ast::PlanKind::Phase(name, entries) => {
                PlanKind::Phase(name.as_ref().map(hir_name), self.plan_entries(entries, Inside::Phase))
            }
            ast::PlanKind::Repeat(name, rounds, entries) => {
                let rounds = self.expr(rounds);
                let (local, entries) = self.plan_loop(name, entries, inside);
                PlanKind::Repeat(local, rounds, entries)
            }
            ast::PlanKind::For(name, set, entries) => {
                let set = self.expr_as(set, Role::Set);
                let (local, entries) = self.plan_loop(name, entries, inside);
                PlanKind::For(local, set, entries)
            }
            ast::PlanKind::Fire(event, on) => PlanKind::Fire(self.fire(event, on.as_ref())?),
            ast::PlanKind::Every(interval, entries) => {
                PlanKind::Every(self.interval(interval), self.plan_entries(entries, Inside::Every))
            }
        };
        Some(PlanEntry { kind, span: entry.span })
    }

    /// The entries of a block that is run through several times, with the name that changes from time to time.
    fn plan_loop(&mut self, name: &ast::Name, entries: &[ast::PlanEntry], inside: Inside) -> (Local, Vec<PlanEntry>) {
        self.scopes.push(HashMap::new());
        let local = self.bind(name, LocalKind::Binding);
        let entries = self.plan_entries(entries, inside);
        let _ = self.scopes.pop();
        (local, entries)
    }

    pub(super) fn interval(&mut self, interval: &ast::Interval) -> Interval {
        match interval {
            ast::Interval::Epoch => Interval::Epoch,
            ast::Interval::Steps(n) => Interval::Steps(self.expr(n)),
        }
    }

    fn fire(&mut self, event: &ast::Expr, on: Option<&ast::Expr>) -> Option<Fire> {
        let (name, args) = if let ast::ExprKind::Call(name, args) = &event.kind {
            (name.as_name(), args.as_slice())
        } else {
            (event.as_name(), [].as_slice())
        };
        let Some(name) = name else {
            self.blame(NameError::NotAnEvent { span: event.span });
            return None;
        };
        Some(Fire { event: hir_name(&name), args: self.args(args), on: on.map(|on| self.expr(on)) })
    }

    fn may_stand(&mut self, entry: &ast::PlanEntry, inside: Inside) -> bool {
        let (what, belongs, help) = match (&entry.kind, inside) {
            (_, Inside::Stages) => return true,
            (ast::PlanKind::Setting(..) | ast::PlanKind::OptimizerFor(..), Inside::Phase) => return true,
            (ast::PlanKind::Every(..), Inside::Phase) => return true,
            (ast::PlanKind::Fire(_, _) | ast::PlanKind::Repeat(..) | ast::PlanKind::For(..), Inside::Every) => {
                return true;
            }
            (ast::PlanKind::Setting(..) | ast::PlanKind::OptimizerFor(..), Inside::Every) => {
                ("a setting", "in `train` or in a phase", "move the line out of the braces of `every`")
            }
            (ast::PlanKind::Every(..), Inside::Every) => {
                ("`every`", "in `train` or in a phase", "write two `every`, one after the other")
            }
            (ast::PlanKind::Phase(..), Inside::Phase | Inside::Every) => {
                ("`phase`", "in `train`, `repeat` or `for`", "write the phases one after the other")
            }
            (ast::PlanKind::Fire(..), Inside::Phase) => {
                ("`fire`", "between phases, or in `every`", "write it before the phase, or `every epoch { fire … }`")
            }
            (ast::PlanKind::Repeat(..) | ast::PlanKind::For(..), Inside::Phase) => {
                ("a loop", "in `train`", "write the phase into the loop: `repeat round in 1..8 { phase { … } }`")
            }
        };
        self.blame(NameError::Misplaced { what, belongs, span: entry.span, help: help.to_string() });
        false
    }

    /// The value of an entry. In `batch = all` the word is not a name of the program.
    fn entry_value(&mut self, key: &ast::Name, value: &ast::Expr) -> Expr {
        if let ast::ExprKind::Name(word) = &value.kind
            && *key.text == *"batch"
            && **word == *"all"
        {
            return Expr { kind: ExprKind::AxisName(word.clone()), span: value.span };
        }
        self.expr(value)
    }

    /// A setting stands once in a block.
    fn check_settings(&mut self, plan: &[ast::PlanEntry]) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for entry in plan {
            let ast::PlanKind::Setting(name, _) = &entry.kind else { continue };
            if let Some(first) = seen.get(&*name.text) {
                self.blame_twice(name, *first);
            } else {
                let _ = seen.insert(&name.text, name.span);
            }
        }
    }

    pub(super) fn init(&mut self, it: &ast::Init) -> Init {
        let names = it.names.iter().filter_map(|(path, file_name)| {
            let mut segments = vec![];
            if !path_segments(path, &mut segments) {
                self.blame(NameError::NotAMapping { span: path.span });
                return None;
            }
            Some(Mapping { path: segments, file_name: self.expr(file_name), span: path.span })
        });
        let names = names.collect();
        Init { target: self.expr(&it.target), file: self.expr(&it.file), names }
    }
}

/// The segments of a path whose first name means something only below the target of `init`.
fn path_segments(path: &ast::Expr, segments: &mut Vec<Segment>) -> bool {
    if let ast::ExprKind::Field(base, segment) = &path.kind {
        let is_path = path_segments(base, segments);
        segments.push(super::expr::hir_segment(segment));
        return is_path;
    }
    let name = path.as_name();
    segments.extend(name.as_ref().map(|name| Segment::Name(hir_name(name))));
    name.is_some()
}
