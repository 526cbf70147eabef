//! What is the same in every call of a function, computed once.

use std::sync::Arc;

use super::dce;
use crate::tir::zeros::depends;
use crate::tir::{Func, Op, Value};

/// A function in two parts.
#[derive(Clone, Debug)]
pub struct Hoisted {
    /// Computes what the other part takes as `fixed.0`, `fixed.1`, …
    pub before: Func,
    /// The rest.
    pub rest: Func,
}

/// Splits a function whose inputs of these names do not change from call to call.
pub fn hoist(func: &Func, is_given: &dyn Fn(&str) -> bool) -> Hoisted {
    let varies = depends(func, &|name| !is_given(name));
    let is_given = depends(func, is_given);
    // What is repeated along new axes is repeated when it is used.
    let is_hoisted = |value: Value| {
        let index = value.0 as usize;
        let is_small = !matches!(func.def(value).op, Op::Param(_) | Op::Broadcast(..));
        !varies[index] && is_given[index] && is_small
    };
    let needed = needed(func, &is_hoisted);
    let mut before = Func { name: format!("{}.before", func.name), results: vec![], ..func.clone() };
    let mut rest = Func::new(format!("{}.rest", func.name));
    let mut new: Vec<Value> = vec![];
    for value in func.values() {
        let def = func.def(value);
        if !needed[value.0 as usize] {
            new.push(Value(u32::MAX));
        } else if is_hoisted(value) {
            let name: Arc<str> = format!("fixed.{}", before.results.len()).into();
            before.results.push((name.clone(), value));
            new.push(rest.push(Op::Param(name), def.ty.clone(), None));
        } else {
            let mut op = def.op.clone();
            op.operands_mut().into_iter().for_each(|operand| *operand = new[operand.0 as usize]);
            new.push(rest.push(op, def.ty.clone(), def.origin.clone()));
        }
    }
    dce::prune(&mut before);
    rest.results = func.results.iter().map(|(name, value)| (name.clone(), new[value.0 as usize])).collect();
    Hoisted { before, rest }
}

/// Which values the rest has, those that are hoisted among them.
fn needed(func: &Func, is_hoisted: &dyn Fn(Value) -> bool) -> Vec<bool> {
    let mut needed = vec![false; func.defs.len()];
    func.results.iter().for_each(|(_, value)| needed[value.0 as usize] = true);
    for value in func.values().rev().filter(|value| !is_hoisted(*value)) {
        if needed[value.0 as usize] {
            func.def(value).op.operands().into_iter().for_each(|operand| needed[operand.0 as usize] = true);
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tir::parse;

    #[test]
    fn what_depends_on_weights_alone_is_computed_before() {
        let func = parse::func(
            "func net {
  %0 = param w : f32[3, 2]
  %1 = param s : f32[2]
  %2 = param x : f32[4, 3]
  %3 = sqrt %1 : f32[2]
  %4 = broadcast %3, [1] : f32[3, 2]
  %5 = mul %0, %4 : f32[3, 2]
  %6 = contract ab,bc->ac %2, %5 : f32[4, 2]
  %7 = broadcast %3, [1] : f32[4, 2]
  %8 = add %6, %7 : f32[4, 2]
  return y = %8
}
",
        )
        .expect("a function");
        let Hoisted { before, rest } = hoist(&func, &|name| name != "x");
        let names: Vec<&str> = before.results.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["fixed.0", "fixed.1"]);
        assert_eq!(before.params().map(|(name, ..)| &**name).collect::<Vec<_>>(), ["w", "s"]);
        assert_eq!(
            rest.to_string(),
            "func net.rest {
  %0 = param x : f32[4, 3]
  %1 = param fixed.0 : f32[2]
  %2 = param fixed.1 : f32[3, 2]
  %3 = contract ab,bc->ac %0, %2 : f32[4, 2]
  %4 = broadcast %1, [1] : f32[4, 2]
  %5 = add %3, %4 : f32[4, 2]
  return y = %5
}
"
        );
    }
}
