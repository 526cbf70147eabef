//! What values are outside of a pattern.

use crate::pass::facts::Range;
use crate::pass::narrow::facts::{Zeros, zeros};
use crate::pass::rewrite::elementwise;
use crate::scalar::Binary;
use crate::tir::zeros::keeps_zero;
use crate::tir::{DType, Func, Op, Value};

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

/// What is known of the values of a function outside of a pattern.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The function.
    pub func: &'a Func,
    /// The shape of the matrices that the pattern fits.
    pub shape: [usize; 2],
    outside: Vec<Outside>,
}

impl Facts<'_> {
    /// Looks at the values that have as many elements as `mask`, whose zeros are what is outside; `shape` is that of the matrices. An input is zero
    /// there if `is_zero` says so.
    pub fn of<'a>(func: &'a Func, mask: Value, shape: [usize; 2], is_zero: &dyn Fn(&str) -> bool) -> Facts<'a> {
        let (mut outside, mut ranges): (Vec<Outside>, Vec<Range>) = (vec![], vec![]);
        for value in func.values() {
            let def = func.def(value);
            ranges.push(Range::of(&def.op, func, &ranges));
            outside.push(match () {
                () if value == mask => Outside::Zero,
                () if def.ty.len() != shape[0] * shape[1] => Outside::Any,
                () => rule(func, value, &outside, &ranges, is_zero),
            });
        }
        Facts { func, shape, outside }
    }

    /// What a value is outside of the pattern.
    pub fn outside(&self, value: Value) -> Outside {
        self.outside[value.0 as usize]
    }

    /// Whether these are numbers that are zero outside of the pattern.
    pub fn is_zero(&self, value: Value) -> bool {
        self.func.ty(value).dtype == DType::F32 && self.outside(value) == Outside::Zero
    }

    /// Whether a value has the shape of the matrices.
    pub fn is_matrix(&self, value: Value) -> bool {
        self.func.ty(value).shape == self.shape
    }

    /// Whether a value has an element for each of the matrices.
    pub fn has_elements(&self, value: Value) -> bool {
        self.func.ty(value).len() == self.shape[0] * self.shape[1]
    }

    /// Whether the whole value, where it is wanted, is made of its elements within the pattern.
    pub fn is_put_back(&self, value: Value) -> bool {
        elementwise(&self.func.def(value).op).is_some() && self.is_zero(value)
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what mixes elements can be anything")]
fn rule(func: &Func, value: Value, found: &[Outside], ranges: &[Range], is_zero: &dyn Fn(&str) -> bool) -> Outside {
    let of = |value: &Value| found[value.0 as usize];
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
        Op::Binary(function, a, b) => match zeros(*function, &func.def(*b).op, ranges[b.0 as usize].is_positive()) {
            Zeros::OfEither => zero_if(is_out(a) || is_out(b)),
            Zeros::OfBoth => zero_if(is_out(a) && is_out(b)),
            Zeros::OfFirst => zero_if(is_out(a)),
            Zeros::Lost => Outside::Any,
        },
        _ => Outside::Any,
    }
}
