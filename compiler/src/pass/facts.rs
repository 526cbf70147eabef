//! What is known of the elements of a value: bounds, and whether they are ordinary numbers.
//!
//! Infinities and what is not a number come from dividing by zero, from `exp` of something large, from logarithms,
//! roots and powers outside their domains. A value that none of these can have touched is [`Range::tame`]; that a
//! sum or a product of tame numbers overflows is left out of account, and so is an input that is not finite.

use crate::scalar::{Binary, Unary};
use crate::tir::build::complement;
use crate::tir::{DType, Func, Op, Reduction, Value};
use crate::window::{Pooling, Window};

/// Bounds of the elements of a value. Bools count as 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// No element that is a number is below.
    pub lo: f64,
    /// No element that is a number is above.
    pub hi: f64,
    /// Every element is a finite number.
    pub tame: bool,
}

/// A quotient by anything this large is finite.
const SAFE: f64 = 1e-30;

/// `exp` of anything this small is finite, in `f32` too.
const SAFE_EXPONENT: f64 = 80.0;

/// Whether `max` is the largest element of `a` along some axes, repeated along them.
fn is_max_of(func: &Func, max: Value, a: Value) -> bool {
    if let Op::Broadcast(max, dims) = &func.def(max).op
        && let Op::Reduce(Reduction::Max, of, axes) = &func.def(*max).op
    {
        return *of == a && *dims == complement(axes, func.ty(a).rank());
    }
    false
}

/// Whether no position of the window lies in the padding altogether.
fn always_sees(window: &Window) -> bool {
    let narrow = |d: usize| window.pad_lo[d].max(window.pad_hi[d]) < window.size[d] && window.dilation[d] == 1;
    (0..2).all(|d| narrow(d) || window.pad_lo[d] + window.pad_hi[d] == 0)
}

const ANY: Range = Range { lo: f64::NEG_INFINITY, hi: f64::INFINITY, tame: true };
const WILD: Range = Range { tame: false, ..ANY };
const TRUTH: Range = Range { lo: 0.0, hi: 1.0, tame: true };
/// Draws stay below 1.
const DRAW: Range = Range { hi: 1.0 - f64::EPSILON, ..TRUTH };

impl Range {
    /// What is known of the result of `op`, given what is known of all values above it.
    pub fn of(op: &Op, func: &Func, ranges: &[Range]) -> Range {
        let at = |value: &Value| ranges[value.0 as usize];
        match op {
            Op::Param(_) => ANY,
            Op::Const(number) => Range::number(*number),
            Op::Iota(_) => Range { lo: 0.0, ..ANY },
            Op::Uniform { .. } => DRAW,
            Op::Unary(f, a) => at(a).unary(*f),
            Op::Binary(Binary::Mul | Binary::MulZ, a, b) if a == b => at(a).square(),
            Op::Binary(Binary::Sub, a, b) if is_max_of(func, *b, *a) => {
                Range { hi: 0.0, ..at(a).binary(Binary::Sub, at(b)) }
            }
            Op::Binary(f, a, b) => at(a).binary(*f, at(b)),
            Op::Select(cond, a, b) => at(a).where_it_holds(*a, &func.def(*cond).op, ranges).union(at(b)),
            Op::Convert(a) if func.ty(*a).dtype == DType::Bool => TRUTH,
            Op::Convert(a) | Op::Broadcast(a, _) | Op::Transpose(a, _) | Op::Reshape(a) => at(a),
            Op::Reduce(Reduction::Sum, a, _) => at(a).sum(),
            Op::Reduce(Reduction::Max | Reduction::Min, a, _) | Op::Quantile(a, _) => at(a),
            Op::Sparse { a, b, .. } => at(a).product(at(b)).sum(),
            Op::Contract(_, a, b) => at(a).product(at(b)).sum(),
            Op::Conv { a, b, .. } => at(a).product(at(b)).sum(),
            Op::Pool(Pooling::Sum, _, a) | Op::Unpool(_, a) | Op::UnpoolMax { ct: a, .. } => at(a).sum(),
            Op::Pool(Pooling::Max, window, a) if always_sees(window) => at(a),
            Op::Pool(Pooling::Max, _, a) => Range { lo: f64::NEG_INFINITY, tame: false, ..at(a) },
            Op::Pad { value, a, .. } => at(a).union(Range::number(*value)),
            Op::Slice { a, .. } => at(a),
            Op::Concat(parts, _) => parts.iter().map(at).reduce(Range::union).expect("at least one part"),
            Op::Gather { table, .. } => at(table).union(Range::number(0.0)),
            Op::Scatter { values, .. } => at(values).sum(),
            Op::CumSum { a, .. } => at(a).sum(),
            Op::TopK(..) => TRUTH,
            Op::WithGradient(a, _) => at(a),
            Op::Grad(_, _) => WILD,
        }
    }

    fn number(number: f64) -> Range {
        Range { lo: number, hi: number, tame: number.is_finite() }
    }

    /// Whether every element is above 0 by enough that its reciprocal is finite.
    pub fn is_positive(self) -> bool {
        self.lo >= SAFE
    }

    fn unary(self, f: Unary) -> Range {
        let Range { lo, hi, tame } = self;
        match f {
            Unary::Neg => Range { lo: -hi, hi: -lo, tame },
            Unary::Not => TRUTH,
            Unary::Abs => Range { lo: lo.max(-hi).max(0.0), hi: hi.max(-lo), tame },
            Unary::Sign => Range { lo: -1.0, hi: 1.0, tame: true },
            Unary::Sqrt => Range { lo: lo.max(0.0).sqrt(), hi: hi.max(0.0).sqrt(), tame: tame && lo >= 0.0 },
            Unary::Exp => Range { lo: lo.exp(), hi: hi.exp(), tame: tame && hi <= SAFE_EXPONENT },
            Unary::Log if self.is_positive() => Range { lo: lo.ln(), hi: hi.ln(), tame },
            Unary::Log | Unary::ErfInv => WILD,
            Unary::Erf | Unary::Tanh | Unary::Sin | Unary::Cos => Range { lo: -1.0, hi: 1.0, tame },
            Unary::Sigmoid => Range { lo: 0.0, hi: 1.0, tame },
            Unary::Floor => Range { lo: lo.floor(), hi: hi.floor(), tame },
            Unary::Ceil => Range { lo: lo.ceil(), hi: hi.ceil(), tame },
        }
    }

    fn binary(self, f: Binary, other: Range) -> Range {
        let tame = self.tame && other.tame;
        match f {
            Binary::Add => Range { lo: self.lo + other.lo, hi: self.hi + other.hi, tame },
            Binary::Sub => Range { lo: self.lo - other.hi, hi: self.hi - other.lo, tame },
            Binary::Mul | Binary::MulZ => self.product(other),
            Binary::Div => self.quotient(other),
            Binary::Pow => self.power(other),
            Binary::Min => Range { lo: self.lo.min(other.lo), hi: self.hi.min(other.hi), tame },
            Binary::Max => Range { lo: self.lo.max(other.lo), hi: self.hi.max(other.hi), tame },
            Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => TRUTH,
            Binary::Eq | Binary::Ne | Binary::And | Binary::Or => TRUTH,
        }
    }

    fn product(self, other: Range) -> Range {
        // A bound of infinity stands for "any finite number", so that times 0 it is 0.
        let times = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
        let corners = [(self.lo, other.lo), (self.lo, other.hi), (self.hi, other.lo), (self.hi, other.hi)];
        let products = corners.map(|(a, b)| times(a, b));
        Range::spanning(&products, self.tame && other.tame)
    }

    fn square(self) -> Range {
        let largest = self.lo.abs().max(self.hi.abs());
        Range { lo: 0.0, hi: largest * largest, tame: self.tame }
    }

    fn quotient(self, other: Range) -> Range {
        let [least, most] = [1.0 / other.hi.abs(), 1.0 / other.lo.abs()];
        let tame = other.tame && (other.lo >= SAFE || other.hi <= -SAFE);
        if other.lo >= 0.0 {
            self.product(Range { lo: least, hi: most, tame })
        } else if other.hi <= 0.0 {
            self.product(Range { lo: -least, hi: -most, tame })
        } else {
            WILD
        }
    }

    /// What is known of `value`, which this range is of, where a condition holds: a comparison excludes what is not a
    /// number.
    fn where_it_holds(self, value: Value, cond: &Op, ranges: &[Range]) -> Range {
        let at = |value: &Value| ranges[value.0 as usize];
        let Op::Binary(f, a, b) = cond else { return self };
        let Range { mut lo, mut hi, tame } = self;
        let [is_above, is_below] = [[Binary::Gt, Binary::Ge].contains(f), [Binary::Lt, Binary::Le].contains(f)];
        if (is_above && *a == value) || (is_below && *b == value) {
            lo = lo.max(if *a == value { at(b).lo } else { at(a).lo });
        } else if (is_below && *a == value) || (is_above && *b == value) {
            hi = hi.min(if *a == value { at(b).hi } else { at(a).hi });
        } else {
            return self;
        }
        Range { lo, hi, tame: tame || (lo.is_finite() && hi.is_finite()) }
    }

    fn power(self, exponent: Range) -> Range {
        let is_even = exponent.lo == exponent.hi && exponent.lo % 2.0 == 0.0;
        let is_whole = exponent.lo == exponent.hi && exponent.lo.fract() == 0.0;
        let defined = exponent.lo >= 0.0 && (self.lo >= 0.0 || is_whole);
        let lo = if self.lo >= 0.0 || is_even { 0.0 } else { f64::NEG_INFINITY };
        Range { lo, hi: f64::INFINITY, tame: self.tame && exponent.tame && exponent.hi.is_finite() && defined }
    }

    /// A sum of any number of elements: at least the sign is known.
    fn sum(self) -> Range {
        let lo = if self.lo >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
        let hi = if self.hi <= 0.0 { 0.0 } else { f64::INFINITY };
        Range { lo, hi, tame: self.tame }
    }

    fn union(self, other: Range) -> Range {
        Range::spanning(&[self.lo, self.hi, other.lo, other.hi], self.tame && other.tame)
    }

    fn spanning(bounds: &[f64], tame: bool) -> Range {
        let lo = bounds.iter().copied().fold(f64::INFINITY, f64::min);
        let hi = bounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Range { lo, hi, tame }
    }
}
