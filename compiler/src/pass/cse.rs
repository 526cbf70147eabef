//! `cse`: common subexpression elimination. Definitions of equal ops on equal operands are one, in whatever order
//! the operands stand where the order does not matter.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use crate::scalar::Binary;
use crate::tir::{Func, Op, Type, Value};

/// Runs the pass.
pub fn run(func: &mut Func) {
    let mut seen: HashMap<Key, Value> = HashMap::with_capacity(func.defs.len());
    let mut map: Vec<Value> = Vec::with_capacity(func.defs.len());
    let mut defs = Vec::with_capacity(func.defs.len());
    for mut def in std::mem::take(&mut func.defs) {
        for operand in def.op.operands_mut() {
            *operand = map[operand.0 as usize];
        }
        let next = Value(defs.len() as u32);
        let value = *seen.entry(Key { op: ordered(&def.op), ty: def.ty.clone() }).or_insert(next);
        if value == next {
            defs.push(def);
        }
        map.push(value);
    }
    func.defs = defs;
    for (_, value) in &mut func.results {
        *value = map[value.0 as usize];
    }
}

/// `op` with its operands in program order, if their order does not matter.
fn ordered(op: &Op) -> Op {
    if let Op::Binary(f, a, b) = op
        && is_commutative(*f)
        && b < a
    {
        return Op::Binary(*f, *b, *a);
    }
    op.clone()
}

/// Whether the order of operands changes nothing, not even for what is not a number. (`min` and `max` return
/// their second operand then.)
fn is_commutative(f: Binary) -> bool {
    match f {
        Binary::Add | Binary::Mul | Binary::Eq | Binary::Ne | Binary::And | Binary::Or => true,
        Binary::Sub | Binary::MulZ | Binary::Div | Binary::Pow | Binary::Min | Binary::Max => false,
        Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => false,
    }
}

/// A definition without its origin; constants are told apart by their bits.
struct Key {
    op: Op,
    ty: Type,
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        let same_op = match (&self.op, &other.op) {
            (Op::Const(a), Op::Const(b)) => a.to_bits() == b.to_bits(),
            (Op::Pad { value: a, .. }, Op::Pad { value: b, .. }) if a.to_bits() != b.to_bits() => false,
            (a, b) => a == b,
        };
        same_op && self.ty == other.ty
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(&self.op).hash(state);
        self.op.operands().hash(state);
        self.ty.hash(state);
        match &self.op {
            Op::Const(number) => number.to_bits().hash(state),
            Op::Unary(f, _) => f.hash(state),
            Op::Binary(f, ..) => f.hash(state),
            Op::Param(name) => name.hash(state),
            Op::Iota(axis) => axis.hash(state),
            Op::Broadcast(_, axes) | Op::Transpose(_, axes) | Op::Reduce(_, _, axes) => axes.hash(state),
            Op::Contract(einsum, ..) => einsum.hash(state),
            Op::Uniform { site, .. } => site.hash(state),
            Op::Select(..) | Op::Convert(_) | Op::Reshape(_) => {}
            Op::Conv { role, window, groups, .. } => (role, window, groups).hash(state),
            Op::Pool(how, window, _) => (how, window).hash(state),
            Op::Unpool(window, _) | Op::UnpoolMax { window, .. } => window.hash(state),
            Op::Pad { value, lo, hi, gap, a: _ } => (value.to_bits(), lo, hi, gap).hash(state),
            Op::Slice { start, step, a: _ } => (start, step).hash(state),
            Op::Concat(_, number) | Op::TopK(_, number) => number.hash(state),
            Op::Gather { batch, .. } | Op::Scatter { batch, .. } => batch.hash(state),
            Op::Sparse { role, .. } => role.hash(state),
            Op::CumSum { axis, reverse, a: _ } => (axis, reverse).hash(state),
            Op::Quantile(..) | Op::WithGradient(..) | Op::Grad(..) => {}
        }
    }
}
