//! The gradient function that `emit --stage grad`, `grad` and `gradcheck` work on.

use super::exit::Exit;
use super::output;
use crate::ad;
use crate::diag::{Sources, near_miss};
use crate::lower::to_tir;
use crate::model::Model;
use crate::pass;
use crate::tir::{Func, Op, Type, Value};

/// The objective, or one term of it, and its gradients by every parameter, or by one; derivatives written out, nothing
/// optimised but what leads to no result dropped.
///
/// # Errors
///
/// A parameter or a term that there is not, which has been said.
pub fn func(
    model: &Model,
    sources: &Sources,
    batch: usize,
    term: Option<usize>,
    wrt: Option<&str>,
) -> Result<Func, Exit> {
    let mut func = match term {
        None => to_tir::gradient(model, sources, batch),
        Some(term) => of_term(model, sources, batch, term)?,
    };
    if let Some(path) = wrt {
        let name = format!("grad.{path}");
        if func.result(&name).is_none() {
            return Err(unknown_param(model, path));
        }
        func.results.retain(|(result, _)| **result == name);
    }
    let mut func = ad::grad(&func);
    let dce = pass::named("dce").expect("there is a pass of this name");
    pass::run(&mut func, &[*dce], |_, _| ());
    Ok(func)
}

fn unknown_param(model: &Model, path: &str) -> Exit {
    let near = near_miss(path, model.params.iter().map(|param| &*param.path));
    let help = near.map(|near| format!("--wrt {near}"));
    output::fail(&format!("the program has no parameter `{path}`"), help.as_deref())
}

/// One term of the objective and its gradients.
fn of_term(model: &Model, sources: &Sources, batch: usize, term: usize) -> Result<Func, Exit> {
    let mut func = to_tir::objective(model, sources, batch);
    let Some(loss) = func.result(&format!("term.{term}")) else {
        let terms = model.terms.iter().enumerate().map(|(index, term)| format!("{index}: {}", term.text));
        let help = format!("the terms are {}", terms.collect::<Vec<_>>().join(", "));
        return Err(output::fail(&format!("the objective has no term {term}"), Some(&help)));
    };
    func.results = vec![("objective".into(), loss)];
    for param in &model.params {
        let wrt = func.params().find(|(name, ..)| **name == param.path).map(|(_, value, ty)| (value, ty.clone()));
        if let Some((wrt, ty)) = wrt {
            let gradient = push_grad(&mut func, loss, wrt, ty);
            func.results.push((format!("grad.{}", param.path).into(), gradient));
        }
    }
    Ok(func)
}

fn push_grad(func: &mut Func, loss: Value, wrt: Value, ty: Type) -> Value {
    let origin = func.def(wrt).origin.clone();
    func.push(Op::Grad(loss, wrt), ty, origin)
}
