//! What values are outside of a pattern.

use super::Mask;
use super::groups::Groups;
use crate::pass::facts::Range;
use crate::pass::narrow::facts::{Zeros, zeros};
use crate::pass::rewrite::elementwise;
use crate::scalar::Binary;
use crate::tir::zeros::keeps_zero;
use crate::tir::{DType, Func, Op, Reduction, Value};

/// The elements of a value outside of a pattern: those that come at other places, in the order in which they lie in memory. So a matrix and
/// the same elements as rows of blocks are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// All zero.
    Zero,
    /// Those of this input.
    Kept(Value),
    /// Anything.
    Any,
}

/// What is known of the values of a function outside of a pattern: of those that have its elements, and of those that have a number for each group of
/// them.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The function.
    pub func: &'a Func,
    /// The shape of the matrices that the pattern fits.
    pub shape: [usize; 2],
    groups: Option<Groups>,
    outside: Vec<Outside>,
    /// Which values with a number for each group make a difference outside of the pattern.
    matters: Vec<bool>,
}

impl Facts<'_> {
    /// Looks at a function of matrices of this shape; what is outside is told by the zeros of `mask`. An input is zero there if `is_zero` says so.
    pub fn of<'a>(func: &'a Func, mask: &Mask, shape: [usize; 2], is_zero: &dyn Fn(&str) -> bool) -> Facts<'a> {
        let groups = mask.groups.clone();
        let mut facts = Facts { func, shape, groups, outside: vec![], matters: vec![true; func.defs.len()] };
        let mut ranges: Vec<Range> = vec![];
        for value in func.values() {
            ranges.push(Range::of(&func.def(value).op, func, &ranges));
            let outside = match () {
                () if value == mask.value => Outside::Zero,
                () if facts.has_elements(value) || facts.has_groups(value) => facts.rule(value, &ranges, is_zero),
                () => Outside::Any,
            };
            facts.outside.push(outside);
        }
        if facts.groups.is_some() {
            facts.look_back();
        }
        facts
    }

    /// Sees which numbers of groups make no difference where the pattern has no elements.
    fn look_back(&mut self) {
        let mut matters = vec![false; self.func.defs.len()];
        self.func.results.iter().for_each(|(_, value)| matters[value.0 as usize] = true);
        for value in self.func.values().rev() {
            let op = &self.func.def(value).op;
            let passes = self.has_groups(value) && (elementwise(op).is_some() || matches!(op, Op::Reshape(_)));
            let here = !passes || matters[value.0 as usize];
            for operand in op.operands() {
                let is_left_out = matches!(op, Op::Select(c, a, b)
                    if passes && operand == *a && operand != *b && operand != *c && self.outside(*c) == Outside::Zero);
                matters[operand.0 as usize] |= here && !is_left_out;
            }
        }
        self.matters = matters;
    }

    /// What a value is outside of the pattern.
    pub fn outside(&self, value: Value) -> Outside {
        self.outside[value.0 as usize]
    }

    /// Whether these are elements, numbers that are zero outside of the pattern.
    pub fn is_zero(&self, value: Value) -> bool {
        let is_number = self.func.ty(value).dtype == DType::F32;
        is_number && self.has_elements(value) && self.outside(value) == Outside::Zero
    }

    /// Whether a sum of elements over these axes needs those within the pattern only.
    pub fn sums_within(&self, sum: Value, a: Value, axes: &[usize]) -> bool {
        let groups = self.groups.as_ref().filter(|_| !self.matters[sum.0 as usize]);
        self.is_zero(a) || groups.is_some_and(|groups| groups.are_summed(self.func, a, axes))
    }

    /// Whether a value has the shape of the matrices.
    pub fn is_matrix(&self, value: Value) -> bool {
        self.func.ty(value).shape == self.shape
    }

    /// Whether a value has an element for each of the matrices.
    pub fn has_elements(&self, value: Value) -> bool {
        self.func.ty(value).len() == self.shape[0] * self.shape[1]
    }

    /// Whether a value has a number for each group.
    fn has_groups(&self, value: Value) -> bool {
        self.groups.as_ref().is_some_and(|groups| self.func.ty(value).len() == groups.count())
    }

    /// Whether the whole value, where it is wanted, is made of its elements within the pattern.
    pub fn is_put_back(&self, value: Value) -> bool {
        elementwise(&self.func.def(value).op).is_some() && self.is_zero(value)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what mixes elements can be anything")]
    fn rule(&self, value: Value, ranges: &[Range], is_zero: &dyn Fn(&str) -> bool) -> Outside {
        let func = self.func;
        let of = |value: &Value| self.outside(*value);
        let groups = self.groups.as_ref();
        let zero_if = |holds: bool| if holds { Outside::Zero } else { Outside::Any };
        let is_out = |value: &Value| of(value) == Outside::Zero;
        match &func.def(value).op {
            Op::Param(name) if is_zero(name) => Outside::Zero,
            Op::Param(_) => Outside::Kept(value),
            Op::Const(number) => zero_if(*number == 0.0),
            Op::Unary(function, a) => zero_if(keeps_zero(*function) && is_out(a)),
            Op::Convert(a) => zero_if(is_out(a)),
            Op::Reshape(a) => of(a),
            Op::WithGradient(a, _) => of(a),
            Op::Select(c, a, b) if is_out(c) || of(a) == of(b) => of(b),
            Op::Binary(Binary::Add, a, b) if is_out(a) => of(b),
            Op::Binary(Binary::Add | Binary::Sub, a, b) if is_out(b) => of(a),
            Op::Binary(function, a, b) => {
                match zeros(*function, &func.def(*b).op, ranges[b.0 as usize].is_positive()) {
                    Zeros::OfEither => zero_if(is_out(a) || is_out(b)),
                    Zeros::OfBoth => zero_if(is_out(a) && is_out(b)),
                    Zeros::OfFirst => zero_if(is_out(a)),
                    Zeros::Lost => Outside::Any,
                }
            }
            Op::Broadcast(a, _) if groups.is_some_and(|groups| groups.are_repeated(func, value)) => zero_if(is_out(a)),
            Op::Reduce(Reduction::Sum, a, axes) if groups.is_some_and(|groups| groups.are_summed(func, *a, axes)) => {
                zero_if(is_out(a))
            }
            _ => Outside::Any,
        }
    }
}
