//! The objective, budgets and reports; finding instances.

use super::call::ArgValue;
use super::errors::{GroupMistake, ShapeMistake};
use super::text;
use super::value::{InstanceRef, Tensor, Value};
use super::{Elab, Eval, Failed, Mode, Phase};
use crate::diag::Span;
use crate::model::{self, Budget, ExprId, Op, ParamId, Report, Symbol, Term, TermKind};
use crate::resolve::hir::{BinaryOp, Decl, DeclKind, DefId, DefKind, Expr, ExprKind, Quantity};
use crate::scalar::Binary;

/// What is minimised.
pub(super) struct Objective {
    /// The terms, budgets last.
    pub terms: Vec<Term>,
    /// The budgets.
    pub budgets: Vec<Budget>,
}

/// What evaluation programs compute.
pub(super) struct Evaluation {
    /// The reports.
    pub reports: Vec<Report>,
    /// Groups with the effective tensors of evaluation programs.
    pub groups: Vec<model::Group>,
    /// The tensors under `sparsify`.
    pub sparsified: Vec<model::Sparsified>,
}

impl<'p> Elab<'p, '_> {
    /// Traces everything once without sparsity, so that every instance exists.
    pub(super) fn discover(&mut self) {
        for mode in [Mode::Train, Mode::Eval] {
            self.start_trace(mode, Phase::Discover);
            for decl in &self.program.decls {
                if let DeclKind::Minimize(expr) | DeclKind::Report(_, expr) = &decl.kind {
                    let _ = self.eval(&mut self.top_frame(), expr);
                }
            }
        }
        self.start_trace(Mode::Train, Phase::Discover);
        for id in (0..self.program.defs.len() as u32).map(DefId) {
            if let DefKind::Model(expr) = &self.def(id).kind {
                let _ = self.discover_model(id, expr);
            }
        }
    }

    fn discover_model(&mut self, id: DefId, expr: &'p Expr) -> Eval<()> {
        let instances = match self.model_value(id, expr)? {
            Value::Instance(instance) => vec![instance],
            Value::Instances(chain) => chain,
            _ => vec![],
        };
        if instances.iter().any(|instance| self.instances[instance.id].applied) {
            return Ok(());
        }
        let before = self.diags.len();
        self.placeholders =
            instances.iter().any(|instance| !self.layer(self.instances[instance.id].def).inputs.is_empty());
        let suppress = self.placeholders;
        let result = self.apply_all_to_placeholders(&instances, expr.span);
        self.placeholders = false;
        // What follows from the lack of real inputs is nobody's mistake; sizes that can't be known are.
        let mut index = 0;
        self.diags.retain(|diagnostic| {
            index += 1;
            !suppress || index <= before || diagnostic.code == "E0303"
        });
        if let Ok(Value::Tensor(tensor)) = result {
            self.placeholder_results.push(tensor.expr);
        }
        Ok(())
    }

    fn apply_all_to_placeholders(&mut self, instances: &[InstanceRef], span: Span) -> Eval<Value> {
        let (first, rest) = instances.split_first().ok_or(Failed)?;
        let value = self.apply_to_placeholders(first, span)?;
        self.apply_chain(rest, vec![ArgValue { name: None, value: value.clone(), span }], span).or(Ok(value))
    }

    /// The terms of the objective, as a training program.
    pub(super) fn objective(&mut self) -> Objective {
        let mut terms = self.settled(Mode::Train, |elab| {
            let mut terms = vec![];
            for decl in &elab.program.decls {
                if let DeclKind::Minimize(expr) = &decl.kind {
                    elab.terms(expr, &mut terms);
                }
            }
            terms
        });
        let mut budgets = vec![];
        if !self.diags.is_empty() {
            // What a budget counts is not known for sure.
            return Objective { terms, budgets };
        }
        for decl in &self.program.decls {
            if let DeclKind::Budget { .. } = &decl.kind {
                let budget = self.budget(decl, &terms);
                let (budget, term): (Vec<Budget>, Vec<Term>) = self.lose(budget, decl.span).into_iter().unzip();
                budgets.extend(budget);
                terms.extend(term);
            }
        }
        Objective { terms, budgets }
    }

    /// Traces a program. A path to a value inside of an instance may stand before the application that computes it; then
    /// a second pass, which builds the same nodes, finds it in place.
    fn settled<T>(&mut self, mode: Mode, trace: impl Fn(&mut Self) -> T) -> T {
        self.reads_inner = false;
        let first = self.pass(mode, &trace);
        if self.reads_inner { self.pass(mode, &trace) } else { first }
    }

    fn pass<T>(&mut self, mode: Mode, trace: impl Fn(&mut Self) -> T) -> T {
        self.start_trace(mode, Phase::Trace);
        self.all_effective();
        trace(self)
    }

    fn terms(&mut self, expr: &'p Expr, terms: &mut Vec<Term>) {
        if let ExprKind::Binary(BinaryOp::Add, a, b) = &expr.kind {
            self.terms(a, terms);
            self.terms(b, terms);
            return;
        }
        let value = self.scalar(expr, "a term of the objective");
        if let Some(value) = self.lose(value, expr.span) {
            let kind = if self.reads_data(value) { TermKind::Loss } else { TermKind::Penalty };
            terms.push(Term { text: text::expr(self.program, expr), value, kind });
        }
    }

    fn scalar(&mut self, expr: &'p Expr, what: &'static str) -> Eval<ExprId> {
        let value = self.eval(&mut self.top_frame(), expr)?;
        let tensor = self.real(&value, expr.span)?;
        if tensor.labels.is_empty() {
            return Ok(tensor.expr);
        }
        let found = self.shown(&tensor);
        Err(self.blame(ShapeMistake::NotAScalar { span: expr.span, what, found }))
    }

    fn reads_data(&self, root: ExprId) -> bool {
        let is_field = |id: &ExprId| matches!(self.build.graph.node(*id).op, Op::Field(..));
        model::count::reachable(&self.build.graph, &[root]).iter().any(is_field)
    }

    fn budget(&mut self, decl: &'p Decl, terms: &[Term]) -> Eval<(Budget, Term)> {
        let DeclKind::Budget { quantity, of, limit, by } = &decl.kind else { return Err(Failed) };
        let prefix = self.budget_model(of)?;
        let value = self.eval(&mut self.top_frame(), limit)?;
        let share = self.number(&value, limit.span)?;
        if !(share > 0.0 && share <= 1.0) {
            return Err(self.blame(GroupMistake::NotAShare { span: limit.span, found: share }));
        }
        let quantity = match quantity {
            Quantity::Params => model::Quantity::Params,
            Quantity::Flops => model::Quantity::Flops,
        };
        let weights = self.budget_weights(quantity, &prefix, terms);
        let used = self.used_share(decl.span, &prefix, share, &weights)?;
        let first = |value, span| ArgValue { name: None, value, span };
        let args = vec![first(Value::Tensor(used.clone()), decl.span), first(Value::Number(share), limit.span)];
        let penalty = self.call_with(&mut self.top_frame(), by, args, by.span)?;
        let penalty = self.real(&penalty, by.span)?;
        if !penalty.labels.is_empty() {
            let found = self.shown(&penalty);
            return Err(self.blame(ShapeMistake::NotAScalar { span: by.span, what: "the penalty of a budget", found }));
        }
        let name = match quantity {
            model::Quantity::Params => "params",
            model::Quantity::Flops => "flops",
        };
        let text = format!("{name}({prefix}) <= {}%", share * 100.0);
        let term = Term { text: format!("budget {text}"), value: penalty.expr, kind: TermKind::Budget };
        let (limit, used, span) = (share, used.expr, decl.span);
        Ok((Budget { text, quantity, limit, used, weights, span }, term))
    }

    fn budget_model(&mut self, of: &'p Expr) -> Eval<Symbol> {
        match self.eval(&mut self.top_frame(), of)? {
            Value::Instance(instance) => Ok(self.instances[instance.id].path.clone()),
            Value::Instances(_) if let ExprKind::Def(def) = of.kind => Ok(self.def(def).name.text.clone()),
            Value::Poison => Err(Failed),
            other => Err(self.blame(GroupMistake::NotAModel { span: of.span, found: other.kind() })),
        }
    }

    /// What each tensor of a model counts.
    fn budget_weights(&mut self, quantity: model::Quantity, prefix: &str, terms: &[Term]) -> Vec<(ParamId, u64)> {
        let under = format!("{prefix}.");
        let of_model = |id: &ParamId| self.params[id.0 as usize].path.starts_with(&under);
        let ids: Vec<ParamId> = (0..self.params.len() as u32).map(ParamId).filter(of_model).collect();
        match quantity {
            model::Quantity::Params => {
                let size = |id: &ParamId| model::count::elements(&self.params[id.0 as usize].ty);
                ids.iter().map(|id| (*id, size(id))).collect()
            }
            model::Quantity::Flops => {
                let roots: Vec<ExprId> = terms.iter().map(|term| term.value).collect();
                let effective: Vec<(ExprId, ParamId)> = ids
                    .iter()
                    .filter_map(|id| Some((self.effective(*id, self.param_span(*id)).ok()?.expr, *id)))
                    .collect();
                let flops = model::count::flops_by_param(&self.build.graph, &roots, &effective);
                ids.into_iter().filter_map(|id| flops.get(&id).map(|n| (id, *n))).collect()
            }
        }
    }

    fn param_span(&self, id: ParamId) -> Span {
        self.params[id.0 as usize].span
    }

    /// Σ over prunable tensors of weight · density, plus the rest, as a share of all.
    fn used_share(&mut self, span: Span, model: &Symbol, limit: f64, weights: &[(ParamId, u64)]) -> Eval<Tensor> {
        let total = weights.iter().fold(0u64, |sum, (_, weight)| sum.saturating_add(*weight));
        if total == 0 {
            return Err(self.blame(GroupMistake::NothingToCount { span, model: model.clone() }));
        }
        let (mut rest, mut used) = (0u64, None::<Tensor>);
        for (id, weight) in weights {
            let Some(parameterisation) = self.sparse.get(id).cloned() else {
                rest = rest.saturating_add(*weight);
                continue;
            };
            let Some(density) = self.density(*id) else {
                let (path, declared) = (parameterisation.member.path, parameterisation.span);
                return Err(self.blame(GroupMistake::NoDensity { span, path, declared }));
            };
            let density = Tensor { expr: density, labels: vec![] };
            let part = self.zip_number(Binary::Mul, &density, *weight as f64 / total as f64, span);
            used = Some(match used {
                Some(sum) => self.zip(Binary::Add, &sum, &part, span),
                None => part,
            });
        }
        if rest as f64 > limit * total as f64 || used.is_none() {
            let model = model.clone();
            return Err(self.blame(GroupMistake::ImpossibleBudget { span, model, rest, total, limit }));
        }
        let rest = self.constant(rest as f64 / total as f64, span);
        Ok(match used {
            Some(sum) => self.zip(Binary::Add, &sum, &rest, span),
            None => rest,
        })
    }

    /// The measure `density` of the last parameterisation of a tensor that has one.
    fn density(&self, id: ParamId) -> Option<ExprId> {
        let paths = &self.sparse.get(&id)?.paths;
        paths
            .iter()
            .rev()
            .find_map(|path| self.measures.get(&(self.mode, super::paths::join(path, "density"))).copied())
    }

    /// Reports, groups, measures: everything of evaluation programs.
    pub(super) fn evaluation(&mut self) -> Evaluation {
        let densities: Vec<Option<ExprId>> = self.param_ids().map(|id| self.density(id)).collect();
        let reports = self.settled(Mode::Eval, Self::reports);
        let groups = self.model_groups();
        let sparsified = self.model_sparsified(&densities);
        Evaluation { reports, groups, sparsified }
    }

    fn reports(&mut self) -> Vec<Report> {
        let mut reports = vec![];
        self.outputs.clear();
        for decl in &self.program.decls {
            let DeclKind::Report(name, expr) = &decl.kind else { continue };
            let values = self.report(expr);
            if let Some(values) = self.lose(values, expr.span) {
                let name = name.as_ref().map_or_else(|| text::expr(self.program, expr), |name| name.text.to_string());
                reports.push(Report { name, values });
            }
        }
        let mut models = self.program.defs.iter().filter(|def| matches!(def.kind, DefKind::Model(_)));
        if !models.all(|def| self.outputs.iter().any(|output| output.name == def.name.text)) {
            for decl in &self.program.decls {
                if let DeclKind::Minimize(expr) = &decl.kind {
                    let _ = self.eval(&mut self.top_frame(), expr);
                }
            }
        }
        reports
    }

    fn param_ids(&self) -> impl Iterator<Item = ParamId> + use<> {
        (0..self.params.len() as u32).map(ParamId)
    }

    fn report(&mut self, expr: &'p Expr) -> Eval<Vec<(String, ExprId)>> {
        let value = self.eval(&mut self.top_frame(), expr)?;
        let values = match value {
            Value::List(values) => values,
            other => vec![(String::new(), other)],
        };
        let mut scalars = vec![];
        for (name, value) in values {
            let tensor = self.real(&value, expr.span)?;
            if !tensor.labels.is_empty() {
                let found = self.shown(&tensor);
                return Err(self.blame(ShapeMistake::NotAScalar { span: expr.span, what: "a report", found }));
            }
            scalars.push((name, tensor.expr));
        }
        Ok(scalars)
    }

    fn model_groups(&mut self) -> Vec<model::Group> {
        let mut groups = vec![];
        for id in (0..self.program.defs.len() as u32).map(DefId) {
            let Some(members) = self.groups.get(&id).cloned() else { continue };
            let name = self.def(id).name.text.clone();
            let views = members.iter().filter_map(|member| self.model_view(member)).collect();
            groups.push(model::Group { name, views });
        }
        groups
    }

    fn model_view(&mut self, member: &super::value::Member) -> Option<model::View> {
        let super::value::Target::Param(param) = member.target else { return None };
        let span = self.param_span(param);
        let (cut, by) = member.cut.clone().unwrap_or((super::value::Cut::Each, "each".into()));
        let tensor = self.effective(param, span).ok()?;
        let (n_groups, n_members) = self.view_sizes(&tensor, &cut);
        let effective = self.view(&tensor, &cut, span).expr;
        Some(model::View { param, by, n_groups, n_members, effective })
    }

    fn model_sparsified(&mut self, densities: &[Option<ExprId>]) -> Vec<model::Sparsified> {
        let mut sparsified = vec![];
        for param in self.param_ids() {
            let Some(parameterisation) = self.sparse.get(&param).cloned() else { continue };
            let Some(view) = self.model_view(&parameterisation.member) else { continue };
            let path = parameterisation.paths[0].clone();
            let (density, density_eval) = (densities[param.0 as usize], self.density(param));
            sparsified.push(model::Sparsified { param, view, density, density_eval, path });
        }
        sparsified
    }
}
