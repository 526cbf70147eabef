//! `drop-surrogates`: `with_gradient a, b` is `a`. Only for functions whose derivatives are written out.

use super::rewrite::{Rewriter, rewrite};
use crate::tir::{Func, Op, Type, Value};

/// Runs the pass.
pub fn run(func: &mut Func) {
    rewrite(func, rule);
}

fn rule(_: &mut Rewriter, op: &Op, _: &Type) -> Option<Value> {
    if let Op::WithGradient(a, _) = op { Some(*a) } else { None }
}
