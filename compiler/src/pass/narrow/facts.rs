//! What is known of the values of a step before it looks at its data: which vary from sample to sample, where each can be
//! non-zero along its axes, and where it is needed.

use super::labels::{self, Labels};
use super::mask::Mask;
use super::mixed;
use crate::scalar::{Binary, Unary};
use crate::tir::zeros::{depends, keeps_zero};
use crate::tir::{Func, Op, Value};

/// What is known of each value.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The axes of all definitions.
    pub labels: Vec<Labels>,
    /// Whether it depends on nothing but lasting tensors and the clock.
    pub known: Vec<bool>,
    /// Whether it has an axis that the samples of the batch run along.
    pub sampled: Vec<bool>,
    /// For each axis, outside of which positions it is zero.
    pub non_zero: Vec<Vec<Mask>>,
    /// For each axis, outside of which positions no result depends on it.
    pub needed: Vec<Vec<Mask>>,
}

/// What a function is told about its inputs.
pub struct Inputs<'a> {
    /// Whether this is a field of the batch: its first axis runs along the samples.
    pub is_field: &'a dyn Fn(&str) -> bool,
    /// Whether elements of this lasting tensor can be exactly zero for a reason: a mask, a threshold, a proximal step.
    pub has_zeros: &'a dyn Fn(&str) -> bool,
}

impl Facts {
    /// Looks at every value of `func`, first to last and then back.
    pub fn of(func: &Func, inputs: &Inputs<'_>) -> Facts {
        let labels: Vec<Labels> = func.values().map(|value| labels::of(func, value)).collect();
        let known = depends(func, inputs.is_field).into_iter().map(|depends| !depends).collect();
        let sampled = sampled(func, &labels, inputs.is_field);
        let has_zeros = can_be_zero(func, inputs.has_zeros);
        let mut facts = Facts { labels, known, sampled, non_zero: vec![], needed: vec![] };
        for value in func.values() {
            let masks = facts.vector(func, value, &has_zeros).unwrap_or_else(|| facts.non_zero_of(func, value));
            facts.non_zero.push(masks);
        }
        facts.needed = func.defs.iter().map(|def| vec![Mask::none(); def.ty.rank()]).collect();
        for (_, value) in &func.results {
            facts.needed[value.0 as usize].fill(Mask::All);
        }
        func.values().rev().for_each(|value| facts.pass_needs(func, value));
        facts
    }

    /// The positions along an axis where a value is both non-zero and needed.
    pub fn live(&self, value: Value, axis: usize) -> Mask {
        let index = value.0 as usize;
        self.non_zero[index][axis].and(&self.needed[index][axis])
    }

    /// The positions along an axis where an operand is both non-zero and needed by this definition.
    pub fn used(&self, func: &Func, value: Value, at: usize, axis: usize) -> Mask {
        let operand = func.def(value).op.operands()[at];
        let label = self.labels[value.0 as usize].operands[at][axis];
        self.non_zero[operand.0 as usize][axis].and(&self.need(func, value, at, label))
    }

    /// Where an operand is non-zero along the axis with a label; everywhere if it has no such axis.
    fn along(&self, value: Value, labels: &[Option<u8>], label: Option<u8>) -> Mask {
        let axis = labels.iter().position(|l| l.is_some() && *l == label);
        axis.map_or(Mask::All, |axis| self.non_zero[value.0 as usize][axis].clone())
    }

    /// A known vector with zeros is what masks are made of; one that only has the zeros of another is zero where that is.
    #[expect(clippy::wildcard_enum_match_arm, reason = "of all others the value itself says the most")]
    fn vector(&self, func: &Func, value: Value, has_zeros: &[bool]) -> Option<Vec<Mask>> {
        let index = value.0 as usize;
        if !self.known[index] || !has_zeros[index] || func.ty(value).rank() != 1 {
            return None;
        }
        let of = |value: &Value| &self.non_zero[value.0 as usize][0];
        let mask = match &func.def(value).op {
            Op::Binary(Binary::Mul | Binary::MulZ | Binary::And, a, b) => of(a).and(of(b)),
            Op::Convert(a) | Op::Unary(Unary::Neg | Unary::Abs | Unary::Sign, a) => of(a).clone(),
            Op::Binary(Binary::Ne, a, b) if matches!(func.def(*b).op, Op::Const(0.0)) => of(a).clone(),
            _ => Mask::All,
        };
        Some(vec![if mask == Mask::All { Mask::Vector(value) } else { mask }])
    }

    fn non_zero_of(&self, func: &Func, value: Value) -> Vec<Mask> {
        let (def, labels) = (func.def(value), &self.labels[value.0 as usize]);
        let of = |index: usize, label| self.along(def.op.operands()[index], &labels.operands[index], label);
        let both = |label| of(0, label).and(&of(1, label));
        let either = |label| of(0, label).or(&of(1, label));
        let rule = |label: Option<u8>| match &def.op {
            Op::Const(0.0) => Mask::none(),
            Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Uniform { .. } | Op::Quantile(..) => Mask::All,
            Op::Grad(..) | Op::TopK(..) | Op::Sparse { .. } => Mask::All,
            Op::Unary(function, _) => {
                if keeps_zero(*function) {
                    of(0, label)
                } else {
                    Mask::All
                }
            }
            Op::Binary(function, _, b) => match zeros(*function, &func.def(*b).op, false) {
                Zeros::OfEither => both(label),
                Zeros::OfBoth => either(label),
                Zeros::OfFirst => of(0, label),
                Zeros::Lost => Mask::All,
            },
            Op::Select(..) => of(0, label).and(&of(1, label)).or(&of(2, label)),
            Op::Contract(..) | Op::Conv { .. } => both(label),
            Op::UnpoolMax { .. } => of(1, label),
            Op::Pad { value, .. } if *value != 0.0 => Mask::All,
            Op::Concat(parts, _) => (0..parts.len()).fold(Mask::none(), |union, part| union.or(&of(part, label))),
            Op::Convert(_) | Op::WithGradient(..) | Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_) => {
                of(0, label)
            }
            Op::Reduce(..) | Op::Pool(..) | Op::Unpool(..) | Op::Pad { .. } | Op::Slice { .. } => of(0, label),
            Op::Gather { .. } | Op::Scatter { .. } | Op::CumSum { .. } => of(0, label),
        };
        let is_zero = matches!(def.op, Op::Const(0.0));
        let along = |(axis, label): (usize, &Option<u8>)| match label {
            None if !is_zero => self.non_zero_mixed(func, value, axis),
            label => rule(*label),
        };
        labels.result.iter().enumerate().map(along).collect()
    }

    /// What the operands of a definition are needed for.
    fn pass_needs(&mut self, func: &Func, value: Value) {
        let (def, index) = (func.def(value), value.0 as usize);
        let labels = self.labels[index].clone();
        for (at, operand) in def.op.operands().into_iter().enumerate() {
            for (axis, label) in labels.operands[at].iter().enumerate() {
                let needed = match label {
                    None => self.need_mixed(func, value, at, axis),
                    Some(_) => self.need(func, value, at, *label),
                };
                let slot = &mut self.needed[operand.0 as usize][axis];
                *slot = slot.or(&needed);
            }
        }
    }

    /// Where a value can be non-zero along an axis that its op mixes up.
    fn non_zero_mixed(&self, func: &Func, value: Value, axis: usize) -> Mask {
        let def = func.def(value);
        let of = |operand: &Value, axis: usize| &self.non_zero[operand.0 as usize][axis];
        mixed::places(func, value)
            .into_iter()
            .filter(|place| place.result == axis)
            .fold(None, |found, place| {
                let moved = of(&def.op.operands()[place.operand], place.axis).moved(place.there);
                Some(match (found, place.is_factor) {
                    (None, _) => moved,
                    (Some(found), true) => moved.and(&found),
                    (Some(found), false) => moved.or(&found),
                })
            })
            .unwrap_or(Mask::All)
    }

    /// Where the operand number `at` is needed along an axis that the op mixes up.
    fn need_mixed(&self, func: &Func, value: Value, at: usize, axis: usize) -> Mask {
        let places = mixed::places(func, value).into_iter().filter(|place| (place.operand, place.axis) == (at, axis));
        let needed = places.map(|place| self.needed[value.0 as usize][place.result].moved(place.back));
        needed.reduce(|a, b| a.and(&b)).unwrap_or(Mask::All)
    }

    /// Where the operand number `at` is needed along the axis with this label.
    fn need(&self, func: &Func, value: Value, at: usize, label: Option<u8>) -> Mask {
        let (op, index) = (&func.def(value).op, value.0 as usize);
        let labels = &self.labels[index];
        let here = labels.result.iter().position(|l| *l == label);
        let result = here.map_or(Mask::All, |axis| self.needed[index][axis].clone());
        let of = |other: usize| self.along(op.operands()[other], &labels.operands[other], label);
        match op {
            Op::Binary(Binary::Mul | Binary::MulZ | Binary::And, ..) => result.and(&of(1 - at)),
            Op::Contract(..) | Op::Conv { .. } => result.and(&of(1 - at)),
            Op::Select(..) if at == 0 => result.and(&of(1).or(&of(2))),
            Op::Select(..) if at == 1 => result.and(&of(0)),
            Op::UnpoolMax { .. } if at == 0 => result.and(&of(1)),
            Op::Gather { .. } | Op::Scatter { .. } if at == 1 => result.and(&of(0)),
            Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Unary(..) | Op::Binary(..) | Op::Select(..) => result,
            Op::Convert(_) | Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_) | Op::Reduce(..) => result,
            Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } | Op::Pad { .. } | Op::Slice { .. } => result,
            Op::Concat(..) | Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } => result,
            Op::Uniform { .. } | Op::Quantile(..) | Op::WithGradient(..) | Op::Grad(..) => result,
            Op::Sparse { .. } => result,
        }
    }
}

/// Where a function of two numbers is 0.
pub(in crate::pass) enum Zeros {
    /// Where one of them is.
    OfEither,
    /// Where both are.
    OfBoth,
    /// Where the first is.
    OfFirst,
    /// Nobody knows.
    Lost,
}

/// The zero rule of a function of two numbers; the second one `is_divisor` if it is known not to be 0.
pub(in crate::pass) fn zeros(function: Binary, second: &Op, is_divisor: bool) -> Zeros {
    match function {
        Binary::Mul | Binary::MulZ | Binary::And => Zeros::OfEither,
        Binary::Add | Binary::Sub | Binary::Min | Binary::Max | Binary::Lt | Binary::Gt | Binary::Ne | Binary::Or => {
            Zeros::OfBoth
        }
        Binary::Pow if matches!(second, Op::Const(power) if *power > 0.0) => Zeros::OfFirst,
        // 0 / 0 is no number.
        Binary::Div if is_divisor || matches!(second, Op::Const(number) if *number != 0.0) => Zeros::OfFirst,
        Binary::Pow | Binary::Div | Binary::Le | Binary::Ge | Binary::Eq => Zeros::Lost,
    }
}

/// Which values have an axis of samples: the first of a field, and those that come from it.
fn sampled(func: &Func, labels: &[Labels], is_field: &dyn Fn(&str) -> bool) -> Vec<bool> {
    let mut axes: Vec<Vec<bool>> = vec![];
    for (def, labels) in func.defs.iter().zip(labels) {
        let mut own = vec![false; def.ty.rank()];
        if matches!(&def.op, Op::Param(name) if is_field(name)) {
            own.iter_mut().take(1).for_each(|first| *first = true);
        }
        for (operand, of) in def.op.operands().iter().zip(&labels.operands) {
            for (_, label) in axes[operand.0 as usize].iter().zip(of).filter(|(is_sampled, _)| **is_sampled) {
                // An axis that is mixed up goes into all those that come of it.
                let into = own.iter_mut().zip(&labels.result).filter(|(_, result)| *result == label);
                into.for_each(|(own, _)| *own = true);
            }
        }
        axes.push(own);
    }
    axes.into_iter().map(|axes| axes.contains(&true)).collect()
}

/// Whether elements of each value can be exactly zero for a reason, and not by chance.
pub fn can_be_zero(func: &Func, has_zeros: &dyn Fn(&str) -> bool) -> Vec<bool> {
    let mut can: Vec<bool> = vec![];
    for def in &func.defs {
        let of = |value: &Value| can[value.0 as usize];
        let number = |value: &Value| if let Op::Const(number) = func.def(*value).op { Some(number) } else { None };
        let bound = |a: &Value, b: &Value, keeps: fn(f64) -> bool| match (number(a), number(b)) {
            (Some(bound), _) | (_, Some(bound)) => bound == 0.0 || keeps(bound) && (of(a) || of(b)),
            (None, None) => true,
        };
        let own = match &def.op {
            Op::Param(name) => has_zeros(name),
            Op::Const(number) => *number == 0.0,
            Op::Unary(function, a) => *function == Unary::Not || keeps_zero(*function) && of(a),
            Op::Binary(function, a, b) => match function {
                Binary::Mul | Binary::MulZ => of(a) || of(b),
                Binary::Max => bound(a, b, |bound| bound < 0.0),
                Binary::Min => bound(a, b, |bound| bound > 0.0),
                Binary::Add | Binary::Sub => of(a) && of(b),
                Binary::Div | Binary::Pow => of(a),
                Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => true,
                Binary::Eq | Binary::Ne | Binary::And | Binary::Or => true,
            },
            Op::Select(_, a, b) => of(a) || of(b),
            Op::Convert(a) => of(a),
            Op::TopK(..) => true,
            Op::Iota(_) | Op::Uniform { .. } => false,
            Op::Broadcast(a, _) | Op::Transpose(a, _) | Op::Reshape(a) | Op::Reduce(_, a, _) => of(a),
            Op::Pool(_, _, a) | Op::Unpool(_, a) | Op::Slice { a, .. } | Op::CumSum { a, .. } => of(a),
            Op::Pad { value, a, .. } => *value == 0.0 || of(a),
            Op::Concat(parts, _) => parts.iter().any(of),
            Op::Contract(_, a, b) | Op::Conv { a, b, .. } => of(a) || of(b),
            Op::UnpoolMax { ct, .. } => of(ct),
            Op::Gather { table: a, .. } | Op::Scatter { values: a, .. } => of(a),
            Op::Quantile(a, _) | Op::WithGradient(a, _) | Op::Grad(_, a) | Op::Sparse { a, .. } => of(a),
        };
        can.push(own);
    }
    can
}
