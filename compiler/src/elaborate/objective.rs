//! The objective, budgets and reports; finding instances.

use super::call::ArgValue;
use super::errors::{GroupMistake, ShapeMistake};
use super::text;
use super::value::{Cut, InstanceRef, Member, Target, Tensor, Value};
use super::{Elab, Eval, Failed, Mode, Phase};
use crate::diag::Span;
use crate::model::{self, Budget, ExprId, Op, ParamId, Report, Size, Symbol, Term, TermKind};
use crate::resolve::hir::{BinaryOp, Decl, DeclKind, DefId, DefKind, Expr, ExprKind, Over, Quantity};
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
                    let _ = self.eval_top(expr);
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
        let text = text::expr(self.program, expr);
        let values = self.scalars(expr, "a term of the objective");
        for (name, value) in self.lose(values, expr.span).unwrap_or_default() {
            let kind = if self.reads_data(value) { TermKind::Loss } else { TermKind::Penalty };
            let text = if name.is_empty() { text.clone() } else { format!("{text} {name}") };
            terms.push(Term { text, value, kind });
        }
    }

    /// A number, or the numbers of `each over`, with their names.
    fn scalars(&mut self, expr: &'p Expr, what: &'static str) -> Eval<Vec<(String, ExprId)>> {
        let values = match self.eval_top(expr)? {
            Value::List(values) => values,
            other => vec![(String::new(), other)],
        };
        let mut scalars = vec![];
        for (name, value) in values {
            let tensor = self.real(&value, expr.span)?;
            if !tensor.labels.is_empty() {
                let found = self.shown(&tensor);
                return Err(self.blame(ShapeMistake::NotAScalar { span: expr.span, what, found }));
            }
            scalars.push((name, tensor.expr));
        }
        Ok(scalars)
    }

    /// Whether a value depends on a batch.
    fn reads_data(&self, root: ExprId) -> bool {
        let is_field = |id: &ExprId| matches!(self.build.graph.node(*id).op, Op::Field(..));
        model::count::reachable(&self.build.graph, &[root]).iter().any(is_field)
    }

    fn budget(&mut self, decl: &'p Decl, terms: &[Term]) -> Eval<(Budget, Term)> {
        let DeclKind::Budget { quantity, of, limit, by } = &decl.kind else { return Err(Failed) };
        let prefix = self.budget_model(*quantity, of)?;
        let value = self.eval_top(limit)?;
        let share = self.number(&value, limit.span)?;
        if !(share > 0.0 && share <= 1.0) {
            return Err(self.blame(GroupMistake::NotAShare { span: limit.span, found: share }));
        }
        let quantity = counted(*quantity);
        let weights = self.budget_weights(quantity, &prefix, terms);
        let used = self.used_share(decl.span, &prefix, share, &weights)?;
        let first = |value, span| ArgValue { name: None, value, span };
        let args = vec![first(Value::Tensor(used.clone()), decl.span), first(Value::Number(share), limit.span)];
        let mut frame = self.top_frame();
        let penalty = self.call_with(&mut frame, by, args, by.span)?;
        let penalty = self.real(&penalty, by.span)?;
        if !penalty.labels.is_empty() {
            let found = self.shown(&penalty);
            return Err(self.blame(ShapeMistake::NotAScalar { span: by.span, what: "the penalty of a budget", found }));
        }
        let text = format!("{}({prefix}) <= {}%", name_of(quantity), share * 100.0);
        let term = Term { text: format!("budget {text}"), value: penalty.expr, kind: TermKind::Budget };
        let (limit, used, span) = (share, used.expr, decl.span);
        Ok((Budget { text, quantity, limit, used, weights, span }, term))
    }

    fn budget_model(&mut self, quantity: Quantity, of: &'p Expr) -> Eval<Symbol> {
        // A path to a layer has no value.
        if !self.instances_at(of).is_empty() {
            return Err(self.blame_counted(quantity, of, "a part of one"));
        }
        match self.eval_top(of)? {
            Value::Instance(instance) => Ok(self.instances[instance.id].path.clone()),
            Value::Instances(_) if let ExprKind::Def(def) = of.kind => Ok(self.def(def).name.text.clone()),
            Value::Poison => Err(Failed),
            other => Err(self.blame_counted(quantity, of, other.kind())),
        }
    }

    /// Names the model that could be counted: the one that a path leads into, else the first.
    fn blame_counted(&mut self, quantity: Quantity, of: &'p Expr, found: &'static str) -> Failed {
        let of_program = self.program.defs.iter().find(|def| matches!(def.kind, DefKind::Model(_)));
        let model = self.model_of_path(of).or_else(|| of_program.map(|def| def.name.text.clone()));
        let instead = model.map(|model| format!("{}({model})", name_of(counted(quantity))).into());
        self.blame(GroupMistake::NotAModel { span: of.span, found, instead })
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
            let Some(place) = self.sparse_of.get(id).and_then(|places| places.first()).copied() else {
                rest = rest.saturating_add(*weight);
                continue;
            };
            let Some(density) = self.density(*id) else {
                let (path, declared) = (self.params[id.0 as usize].path.clone(), self.sparse[place.view].span);
                return Err(self.blame(GroupMistake::NoDensity { span, path, declared }));
            };
            let density = Tensor { expr: density, labels: vec![] };
            let part = self.zip_number(Binary::Mul, &density, *weight as f64 / total as f64, span);
            used = Some(match used {
                Some(sum) => self.zip(Binary::Add, &sum, &part, span),
                None => part,
            });
        }
        if rest as f64 > limit * total as f64 {
            let model = model.clone();
            return Err(self.blame(GroupMistake::ImpossibleBudget { span, model, rest, total, limit }));
        }
        let rest = self.constant(rest as f64 / total as f64, span);
        Ok(match used {
            Some(sum) => self.zip(Binary::Add, &sum, &rest, span),
            None => rest,
        })
    }

    /// The density of a tensor: the measure `density` of the last layer of its parameterisation that has one. Of a tensor that lies
    /// in the groups of several views it is their product.
    fn density(&mut self, id: ParamId) -> Option<ExprId> {
        let mut views: Vec<usize> = self.sparse_of.get(&id)?.iter().map(|place| place.view).collect();
        views.dedup();
        let mut product: Option<ExprId> = None;
        for view in views {
            let paths = self.sparse[view].paths.iter().rev();
            let mut measured = paths.map(|path| self.measures.get(&(self.mode, super::paths::join(path, "density"))));
            let own = measured.find_map(|density| density.copied())?;
            let tensor = |expr| Tensor { expr, labels: vec![] };
            let span = self.sparse[view].span;
            product = Some(product.map_or(own, |old| self.zip(Binary::Mul, &tensor(old), &tensor(own), span).expr));
        }
        product
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
            let values = self.scalars(expr, "a report");
            if let Some(values) = self.lose(values, expr.span) {
                let text = || match &expr.kind {
                    ExprKind::Over(Over::Each, _, f) => text::expr(self.program, f),
                    _ => text::expr(self.program, expr),
                };
                let name = name.as_ref().map_or_else(text, |name| name.text.to_string());
                reports.push(Report { name, values });
            }
        }
        let mut models = self.program.defs.iter().filter(|def| matches!(def.kind, DefKind::Model(_)));
        if !models.all(|def| self.outputs.iter().any(|output| output.name == def.name.text)) {
            for decl in &self.program.decls {
                if let DeclKind::Minimize(expr) = &decl.kind {
                    let _ = self.eval_top(expr);
                }
            }
        }
        reports
    }

    fn param_ids(&self) -> impl Iterator<Item = ParamId> + use<> {
        (0..self.params.len() as u32).map(ParamId)
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

    fn model_view(&mut self, member: &Member) -> Option<model::View> {
        let span = self.program.decls.first()?.span;
        let params = match &member.target {
            Target::Param(id) => vec![*id],
            Target::Joined(parts) => parts.iter().filter_map(param_of).collect(),
            Target::Inner => vec![],
            Target::State(_) => return None,
        };
        let (path, by) = match (&member.target, &member.cut) {
            (Target::Joined(parts), _) => shown_join(parts),
            (_, Some((_, by))) => (member.path.clone(), by.clone()),
            (_, None) => (member.path.clone(), "each".into()),
        };
        let cut = member.cut.clone().unwrap_or((Cut::Each, by.clone()));
        let member = Member { cut: (!matches!(member.target, Target::Joined(_))).then_some(cut), ..member.clone() };
        let view = self.member_tensor(&member, span).ok()?;
        let [Size::Known(n_groups), Size::Known(n_members)] = self.shape(&view)[..] else { return None };
        if self.reads_data(view.expr) {
            return None;
        }
        Some(model::View { path, params, by, n_groups, n_members, effective: view.expr })
    }

    fn model_sparsified(&mut self, densities: &[Option<ExprId>]) -> Vec<model::Sparsified> {
        let mut sparsified = vec![];
        for param in self.param_ids() {
            let Some(place) = self.sparse_of.get(&param).and_then(|places| places.first()).copied() else { continue };
            let parameterisation = self.sparse[place.view].clone();
            let Some(view) = self.model_view(&parameterisation.member) else { continue };
            let path = parameterisation.paths[0].clone();
            let density = densities.get(param.0 as usize).copied().flatten();
            let density_eval = self.density(param);
            sparsified.push(model::Sparsified { param, view, density, density_eval, path });
        }
        sparsified
    }
}

fn param_of(member: &Member) -> Option<ParamId> {
    if let Target::Param(id) = member.target { Some(id) } else { None }
}

/// The paths of joined parts, and how they are cut.
fn shown_join(parts: &[Member]) -> (Symbol, String) {
    let paths: Vec<&str> = parts.iter().map(|part| &*part.path).collect();
    let cuts: Vec<&str> = parts.iter().filter_map(|part| part.cut.as_ref()).map(|(_, by)| by.as_str()).collect();
    (format!("join({})", paths.join(", ")).into(), format!("({})", cuts.join("; ")))
}

fn counted(quantity: Quantity) -> model::Quantity {
    match quantity {
        Quantity::Params => model::Quantity::Params,
        Quantity::Flops => model::Quantity::Flops,
    }
}

fn name_of(quantity: model::Quantity) -> &'static str {
    match quantity {
        model::Quantity::Params => "params",
        model::Quantity::Flops => "flops",
    }
}
