//! The engine of the rewriting passes: a function is written anew, first definition to last, and a rule may put
//! something else in the place of each.

use std::sync::Arc;

use super::facts::Range;
use crate::tir::build::Build;
use crate::tir::{Func, Op, Origin, Type, Value};

/// What to put in the place of the definition `op` of type `ty`, whose operands are of the new function: a value
/// equal to it, or `None` to leave it as it is. What a rule builds goes through the same rule.
pub type Rule = fn(&mut Rewriter, &Op, &Type) -> Option<Value>;

/// A function that is written anew.
pub struct Rewriter {
    func: Func,
    rule: Rule,
    origin: Option<Arc<Origin>>,
    ranges: Vec<Range>,
    /// How often the values that were mapped to this one are used; 0 for values that a rule made.
    uses: Vec<u32>,
}

/// Writes `func` anew by `rule`.
pub fn rewrite(func: &mut Func, rule: Rule) {
    let uses = count_uses(func);
    let mut cx = Rewriter::new(func, rule);
    let mut map: Vec<Value> = Vec::with_capacity(func.defs.len());
    for (def, uses) in func.defs.iter().zip(uses) {
        let mut op = def.op.clone();
        for operand in op.operands_mut() {
            *operand = map[operand.0 as usize];
        }
        cx.origin.clone_from(&def.origin);
        let value = cx.push(op, def.ty.clone());
        cx.add_uses(value, uses);
        map.push(value);
    }
    func.defs = cx.func.defs;
    for (_, value) in &mut func.results {
        *value = map[value.0 as usize];
    }
}

/// How often each value is an operand or a result.
pub fn count_uses(func: &Func) -> Vec<u32> {
    let mut uses = vec![0; func.defs.len()];
    let operands = func.defs.iter().flat_map(|def| def.op.operands());
    for value in operands.chain(func.results.iter().map(|(_, value)| *value)) {
        uses[value.0 as usize] += 1;
    }
    uses
}

impl Rewriter {
    fn new(func: &Func, rule: Rule) -> Rewriter {
        let capacity = func.defs.len() * 2;
        Rewriter {
            func: Func { defs: Vec::with_capacity(capacity), ..Func::new(func.name.clone()) },
            rule,
            origin: None,
            ranges: Vec::with_capacity(capacity),
            uses: Vec::with_capacity(capacity),
        }
    }

    /// A definition that `value` takes the place of has so many uses. If `value` had been there already, the definition
    /// was most likely one of its uses, which is gone.
    fn add_uses(&mut self, value: Value, uses: u32) {
        let slot = &mut self.uses[value.0 as usize];
        *slot = if *slot == 0 { uses } else { *slot + uses - uses.min(1) };
    }

    /// What computes `value`.
    pub fn op(&self, value: Value) -> &Op {
        &self.func.def(value).op
    }

    /// The number that every element of `value` is, if that is known.
    pub fn number(&self, value: Value) -> Option<f64> {
        if let Op::Const(number) = self.op(value) { Some(*number) } else { None }
    }

    /// Whether every element of `value` is known to be `number`.
    pub fn is(&self, value: Value, number: f64) -> bool {
        self.number(value) == Some(number)
    }

    /// What is known of the elements of `value`.
    pub fn range(&self, value: Value) -> Range {
        self.ranges[value.0 as usize]
    }

    /// Whether at most one definition or result uses `value`.
    pub fn used_once(&self, value: Value) -> bool {
        self.uses[value.0 as usize] <= 1
    }
}

impl Build for Rewriter {
    fn func(&self) -> &Func {
        &self.func
    }

    fn push(&mut self, op: Op, ty: Type) -> Value {
        if let Some(value) = (self.rule)(self, &op, &ty) {
            return value;
        }
        self.ranges.push(Range::of(&op, &self.func, &self.ranges));
        self.uses.push(0);
        self.func.push(op, ty, self.origin.clone())
    }
}

/// The operands of an op that works on each element by itself; `None` for the other ops.
pub fn elementwise(op: &Op) -> Option<Vec<Value>> {
    match op {
        Op::Unary(..) | Op::Binary(..) | Op::Select(..) | Op::Convert(_) | Op::WithGradient(..) => Some(op.operands()),
        Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_) => None,
        Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => None,
        Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) => None,
        Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } | Op::Sparse { .. } => None,
        Op::Reduce(..) | Op::Contract(..) | Op::Uniform { .. } | Op::Quantile(..) | Op::Grad(..) => None,
    }
}

/// `op` with these operands.
pub fn with_operands(op: &Op, operands: &[Value]) -> Op {
    let mut op = op.clone();
    for (slot, operand) in op.operands_mut().into_iter().zip(operands) {
        *slot = *operand;
    }
    op
}
