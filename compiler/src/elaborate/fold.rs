//! Arithmetic on numbers that are known when compiling.

use crate::scalar::{Binary, Unary};

/// The value of a function of one number; `None` where it is left to the program.
pub(super) fn unary(f: Unary, x: f64) -> Option<f64> {
    Some(match f {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sign if x == 0.0 => 0.0,
        Unary::Sign => x.signum(),
        Unary::Sqrt => x.sqrt(),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Not | Unary::Erf | Unary::ErfInv => return None,
    })
}

/// What a function of two numbers gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Folded {
    /// A number.
    Number(f64),
    /// A truth value.
    Bool(bool),
}

/// The value of a function of two numbers.
pub(super) fn binary(f: Binary, a: f64, b: f64) -> Folded {
    match f {
        Binary::Add => Folded::Number(a + b),
        Binary::Sub => Folded::Number(a - b),
        Binary::Mul => Folded::Number(a * b),
        Binary::MulZ => Folded::Number(if a == 0.0 { 0.0 } else { a * b }),
        Binary::Div => Folded::Number(a / b),
        Binary::Pow => Folded::Number(a.powf(b)),
        Binary::Min => Folded::Number(a.min(b)),
        Binary::Max => Folded::Number(a.max(b)),
        Binary::Lt => Folded::Bool(a < b),
        Binary::Le => Folded::Bool(a <= b),
        Binary::Gt => Folded::Bool(a > b),
        Binary::Ge => Folded::Bool(a >= b),
        Binary::Eq => Folded::Bool(a == b),
        Binary::Ne => Folded::Bool(a != b),
        Binary::And => Folded::Bool(a != 0.0 && b != 0.0),
        Binary::Or => Folded::Bool(a != 0.0 || b != 0.0),
    }
}
