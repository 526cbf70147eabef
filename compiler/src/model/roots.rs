//! Where a model names tensor expressions, its roots in the graph.

use super::{ExprId, Model, Plan};

/// Visits every place of a model that names a tensor expression.
pub fn each_root(model: &mut Model, visit: &mut impl FnMut(&mut ExprId)) {
    for param in &mut model.params {
        visit(&mut param.start);
        visit(&mut param.effective_train);
        visit(&mut param.effective_eval);
    }
    for state in &mut model.states {
        visit(&mut state.start);
        state.update.iter_mut().for_each(&mut *visit);
        state.update_eval.iter_mut().for_each(&mut *visit);
    }
    let views = model.groups.iter_mut().flat_map(|group| &mut group.views);
    views.for_each(|view| visit(&mut view.effective));
    for sparsified in &mut model.sparsified {
        visit(&mut sparsified.view.effective);
        sparsified.density.iter_mut().for_each(&mut *visit);
        sparsified.density_eval.iter_mut().for_each(&mut *visit);
    }
    model.terms.iter_mut().for_each(|term| visit(&mut term.value));
    model.reports.iter_mut().flat_map(|report| &mut report.values).for_each(|(_, value)| visit(value));
    model.budgets.iter_mut().for_each(|budget| visit(&mut budget.used));
    model.measures.iter_mut().for_each(|measure| visit(&mut measure.value));
    model.outputs.iter_mut().for_each(|output| visit(&mut output.value));
    model.plan.iter_mut().for_each(|plan| each_root_of_plan(plan, visit));
}

fn each_root_of_plan(plan: &mut Plan, visit: &mut impl FnMut(&mut ExprId)) {
    for variant in &mut plan.variants {
        variant.params.iter_mut().flatten().for_each(&mut *visit);
        variant.optimizer_states.iter_mut().for_each(|(_, value)| visit(value));
    }
    plan.events.iter_mut().flat_map(|event| &mut event.writes).for_each(|(_, value)| visit(value));
}
