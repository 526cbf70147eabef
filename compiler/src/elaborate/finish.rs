//! The model: inferred sizes filled in, what nothing uses left out.

use std::collections::HashMap;

use super::errors::{PartMistake, ShapeMistake};
use super::instance::Inst;
use super::objective::{Evaluation, Objective};
use super::{Elab, Mode};
use crate::model::{
    self, Application, Bound, ExprId, Graph, Instance, Measure, Model, Node, ParamId, Plan, Size, Symbol, Type,
};
use crate::resolve::hir::{Decl, DeclKind};

/// The largest tensor, for each sample of the batch.
pub(super) const MAX_ELEMENTS: u64 = 1 << 31;

/// Where each node of the traced graph is in the model's.
struct Kept {
    graph: Graph,
    places: HashMap<ExprId, ExprId>,
}

impl Kept {
    fn at(&self, old: ExprId) -> ExprId {
        self.places[&old]
    }

    /// An application whose results are part of the model.
    fn application(&self, old: &Application) -> Option<Application> {
        let place = |id: &ExprId| self.places.get(id).copied();
        let results = old.results.iter().map(place).collect::<Option<Vec<_>>>()?;
        let computed = old.computed.iter().map(place).collect::<Option<Vec<_>>>();
        let computed = computed.unwrap_or_else(|| results.clone());
        let input = |(name, id): &(Symbol, Option<ExprId>)| (name.clone(), id.as_ref().and_then(place));
        let inputs = old.inputs.iter().map(input).collect();
        Some(Application { computed, results, inputs, ..old.clone() })
    }
}

impl Elab<'_, '_> {
    /// Every lasting tensor must have got its sizes.
    pub(super) fn check_sizes(&mut self) {
        for id in (0..self.params.len() as u32).map(ParamId) {
            let (ty, span) = (self.params[id.0 as usize].ty.clone(), self.params[id.0 as usize].span);
            for axis in ty.axes {
                if let Size::Var(var) = self.sizes.find(axis.size) {
                    let _ = self.blame_unknown_size(var, span);
                }
            }
        }
    }

    /// States of the sequence of batches are as wide as a batch, which has to be known.
    pub(super) fn check_carried(&mut self, plan: Option<&Plan>) {
        let carried = self.states.iter().find(|state| state.carried).map(|state| state.path.clone());
        let is_plan = |decl: &&Decl| matches!(decl.kind, DeclKind::Train(_));
        if let (Some(path), Some(Plan { batch: None, .. })) = (carried, plan)
            && let Some(decl) = self.program.decls.iter().find(is_plan)
        {
            let _ = self.blame(PartMistake::NoBatch { span: decl.span, path });
        }
    }

    /// Every tensor must fit into memory.
    pub(super) fn check_room(&mut self, model: &Model) {
        let elements = |node: &Node| model::count::elements(&node.ty);
        // What is made of a tensor that is too large is too large, too: the first one is the mistake.
        if let Some(node) = model.graph.nodes.iter().find(|node| elements(node) > MAX_ELEMENTS) {
            let _ = self.blame(ShapeMistake::TooLarge { span: node.span, elements: elements(node) });
        }
    }

    /// The model.
    pub(super) fn finish(&mut self, objective: Objective, plan: Option<Plan>, evaluation: Evaluation) -> Model {
        self.fill_in_effective();
        let instances = self.model_instances(&objective);
        let measures = self.model_measures();
        let mut model = Model {
            graph: Graph::default(),
            params: std::mem::take(&mut self.params),
            states: std::mem::take(&mut self.states),
            literals: std::mem::take(&mut self.literals),
            instances,
            groups: evaluation.groups,
            sparsified: evaluation.sparsified,
            terms: objective.terms,
            reports: evaluation.reports,
            budgets: objective.budgets,
            measures,
            outputs: std::mem::take(&mut self.outputs),
            applications: vec![],
            bound: vec![],
            data: self.data_sets(),
            plan,
        };
        let mut roots = vec![];
        model::each_root(&mut model, &mut |id| roots.push(*id));
        let kept = self.keep(&roots);
        model::each_root(&mut model, &mut |id| *id = kept.at(*id));
        model.applications = self.applications.iter().filter_map(|application| kept.application(application)).collect();
        model.bound = self.model_bound(&kept);
        model.graph = kept.graph;
        model
    }

    fn fill_in_effective(&mut self) {
        for id in (0..self.params.len() as u32).map(ParamId) {
            let of = |elab: &Self, mode| elab.effective.get(&(mode, id)).map(|tensor| tensor.expr);
            let (train, eval) = (of(self, Mode::Train), of(self, Mode::Eval));
            let param = &mut self.params[id.0 as usize];
            param.effective_train = train.unwrap_or(param.effective_train);
            param.effective_eval = eval.unwrap_or(param.effective_eval);
        }
    }

    fn resolved(&self, ty: &Type) -> Type {
        let axis = |axis: &model::Axis| model::Axis { name: axis.name.clone(), size: self.sizes.find(axis.size) };
        Type { dtype: ty.dtype, axes: ty.axes.iter().map(axis).collect() }
    }

    fn model_bound(&self, kept: &Kept) -> Vec<Bound> {
        let of_data = self.build.graph.reading_data();
        let bound = self.inner.iter().filter_map(|((mode, path), tensor)| {
            let value = *kept.places.get(&tensor.expr).filter(|_| *mode == Mode::Eval)?;
            let trained = self.inner.get(&(Mode::Train, path.clone()));
            let trains_on_data = trained.is_none_or(|tensor| of_data[tensor.expr.0 as usize]);
            let is_sparsified = self.is_sparsified(path, tensor.expr);
            Some(Bound { path: path.clone(), value, trains_on_data, is_sparsified })
        });
        bound.collect()
    }

    fn is_sparsified(&self, path: &Symbol, expr: ExprId) -> bool {
        let view = self.sparse_inner.get(path);
        let mut made = self.sparse_values.iter();
        view.is_some_and(|view| made.any(|((own, raw), made)| own == view && *made == expr && *raw != expr))
    }

    fn model_measures(&self) -> Vec<Measure> {
        let eval = self.measures.iter().filter(|((mode, _), _)| *mode == Mode::Eval);
        eval.map(|((_, path), value)| Measure { path: path.clone(), value: *value }).collect()
    }

    fn model_instances(&self, objective: &Objective) -> Vec<Instance> {
        let mut roots: Vec<ExprId> = objective.terms.iter().map(|term| term.value).collect();
        roots.extend(&self.placeholder_results);
        let mut flops = model::count::flops_by_path(&self.build.graph, &roots);
        if flops.is_empty() {
            let outputs: Vec<ExprId> = self.outputs.iter().map(|output| output.value).collect();
            flops = model::count::flops_by_path(&self.build.graph, &outputs);
        }
        // What a branch that is not taken would have applied is no part of the network.
        let exists = |inst: &&Inst| inst.applied || !inst.path.contains('.');
        let shown = self.instances.values().filter(exists).filter(|inst| !inst.path.starts_with("optimizer."));
        let mut shown: Vec<&Inst> = shown.collect();
        shown.sort_by_cached_key(|inst| self.ancestry(&inst.path));
        shown.into_iter().map(|inst| self.model_instance(inst, flops.get(&inst.path).copied().unwrap_or(0))).collect()
    }

    /// The instances that a path goes through, by the order in which they were made: sorts a tree.
    fn ancestry(&self, path: &str) -> Vec<usize> {
        let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
        ends.filter_map(|end| self.instances.get_index_of(&path[..end])).collect()
    }

    fn model_instance(&self, inst: &Inst, flops: u64) -> Instance {
        let names: Vec<Symbol> = self.size_names(inst.def);
        let sizes = names.into_iter().zip(inst.sizes.iter().map(|size| self.sizes.find(*size))).collect();
        let all = |types: &[Type]| types.iter().map(|ty| self.resolved(ty)).collect();
        Instance {
            path: inst.path.clone(),
            layer: self.def(inst.def).name.text.clone(),
            declared: self.def(inst.def).name.span,
            inferred: self.inferred_sizes(inst.def),
            defaults: self.default_numbers(inst.def),
            sizes,
            signature: inst.signature.as_ref().map(|(inputs, results)| (all(inputs), all(results))),
            params: inst.params.iter().map(|(_, id)| *id).collect(),
            flops,
        }
    }

    /// The part of the graph that the roots need, in its old order.
    fn keep(&self, roots: &[ExprId]) -> Kept {
        let needed = model::count::reachable(&self.build.graph, roots);
        let mut kept = Kept { graph: Graph::default(), places: HashMap::new() };
        for old in needed {
            let node = self.build.graph.node(old);
            let mut op = node.op.clone();
            op.operands_mut().into_iter().for_each(|operand| *operand = kept.at(*operand));
            let node = Node { op, ty: self.resolved(&node.ty), span: node.span, path: node.path.clone() };
            let new = kept.graph.push(node);
            let _ = kept.places.insert(old, new);
        }
        kept
    }
}
