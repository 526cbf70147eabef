//! Which value of a step is the first that is not a finite number.
//!
//! Infinities may come and go inside a step (`where(n > 0, f(1 / n), 0)` holds one at n = 0), so the search starts at
//! what the step returns and goes back only through values that are bad themselves.

use crate::tir::interp::Plan;
use crate::tir::{Func, Op, Value};

/// What went wrong in the last run of `plan`, which keeps all values; `largest` is the largest finite number.
pub fn first_bad(plan: &Plan, largest: f64) -> Option<String> {
    let is_bad = |value: Value| plan.value(value).iter().any(|x| !x.is_finite() || x.abs() > largest);
    let func = plan.func();
    let is_no_term = |name: &str| !name.starts_with("term.");
    let mut results: Vec<_> = func.results.iter().collect();
    results.sort_by_key(|(name, _)| is_no_term(name));
    let mut value = results.into_iter().map(|(_, value)| *value).find(|value| is_bad(*value))?;
    while let Some(source) = func.def(value).op.operands().into_iter().find(|operand| is_bad(*operand)) {
        value = source;
    }
    let number = plan.value(value).iter().copied().find(|x| !x.is_finite() || x.abs() > largest)?;
    Some(format!("{}, which is {number}", describe(func, value)))
}

/// A value in words: what computes it, in which layer, and for which place of the program.
fn describe(func: &Func, value: Value) -> String {
    let def = func.def(value);
    let what = match &def.op {
        Op::Param(name) => return format!("the input `{name}`"),
        Op::Unary(f, _) => f.name(),
        Op::Binary(f, ..) => f.name(),
        Op::Reduce(..) => "a reduction",
        Op::Contract(..) | Op::Sparse { .. } => "a product",
        Op::Conv { .. } => "a convolution",
        Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => "a pooling",
        Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) | Op::TopK(..) => "a value",
        Op::Gather { .. } | Op::Scatter { .. } => "a gather",
        Op::CumSum { .. } => "a running sum",
        Op::Const(_) | Op::Iota(_) | Op::Select(..) | Op::Convert(_) | Op::Broadcast(..) => "a value",
        Op::Transpose(..) | Op::Reshape(_) | Op::Uniform { .. } | Op::Quantile(..) => "a value",
        Op::WithGradient(..) | Op::Grad(..) => "a value",
    };
    let Some(origin) = &def.origin else { return what.to_owned() };
    let at = if origin.cotangent { "in the derivative of" } else { "at" };
    let layer = if origin.path.is_empty() { String::new() } else { format!(" in `{}`", origin.path) };
    format!("`{what}` {at} {}{layer}", origin.place)
}
