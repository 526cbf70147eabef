//! Elementwise functions: their names in the text forms and what they mean.
//!
//! Every IR applies the same functions to single elements, so they are defined once, here, and the
//! interpreter, the constant folder and the code generator all take their meaning from this file.
//! Nothing here knows about tensors.

use std::fmt;

/// A function of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unary {
    /// `-x`.
    Neg,
    /// Logical negation of a bool.
    Not,
    /// `|x|`.
    Abs,
    /// -1, 0 or 1; `sign(0) = 0`.
    Sign,
    /// Square root.
    Sqrt,
    /// Natural exponential.
    Exp,
    /// Natural logarithm.
    Log,
    /// The error function.
    Erf,
    /// The inverse of [`Unary::Erf`].
    ErfInv,
    /// Hyperbolic tangent.
    Tanh,
    /// The logistic function `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Sine, of radians.
    Sin,
    /// Cosine, of radians.
    Cos,
    /// The largest integer that is not above `x`.
    Floor,
    /// The smallest integer that is not below `x`.
    Ceil,
}

/// A function of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binary {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Product that is exactly zero where the *first* operand is, whatever the second one is.
    ///
    /// Differentiation multiplies a cotangent (first) by a slope (second) with it, so that a
    /// cotangent of zero stays zero even where the slope is infinite or not a number.
    MulZ,
    /// Quotient.
    Div,
    /// Power.
    Pow,
    /// The smaller one.
    Min,
    /// The larger one.
    Max,
    /// `a < b`, a bool.
    Lt,
    /// `a <= b`, a bool.
    Le,
    /// `a > b`, a bool.
    Gt,
    /// `a >= b`, a bool.
    Ge,
    /// `a == b`, a bool.
    Eq,
    /// `a != b`, a bool.
    Ne,
    /// Logical and of two bools.
    And,
    /// Logical or of two bools.
    Or,
}

impl Unary {
    /// Every function, in declaration order.
    pub const ALL: [Unary; 15] = [
        Unary::Neg,
        Unary::Not,
        Unary::Abs,
        Unary::Sign,
        Unary::Sqrt,
        Unary::Exp,
        Unary::Log,
        Unary::Erf,
        Unary::ErfInv,
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::Sin,
        Unary::Cos,
        Unary::Floor,
        Unary::Ceil,
    ];

    /// Its name in the text forms.
    pub fn name(self) -> &'static str {
        match self {
            Unary::Neg => "neg",
            Unary::Not => "not",
            Unary::Abs => "abs",
            Unary::Sign => "sign",
            Unary::Sqrt => "sqrt",
            Unary::Exp => "exp",
            Unary::Log => "log",
            Unary::Erf => "erf",
            Unary::ErfInv => "erfinv",
            Unary::Tanh => "tanh",
            Unary::Sigmoid => "sigmoid",
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Floor => "floor",
            Unary::Ceil => "ceil",
        }
    }

    /// The function with this name.
    pub fn from_name(name: &str) -> Option<Unary> {
        Unary::ALL.into_iter().find(|f| f.name() == name)
    }

    /// What it means, in `f64`; a bool is 0 or 1.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Unary::Neg => -x,
            Unary::Not => truth(x == 0.0),
            Unary::Abs => x.abs(),
            Unary::Sign => sign(x),
            Unary::Sqrt => x.sqrt(),
            Unary::Exp => x.exp(),
            Unary::Log => x.ln(),
            Unary::Erf => libm::erf(x),
            Unary::ErfInv => erfinv(x),
            Unary::Tanh => x.tanh(),
            Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Unary::Sin => x.sin(),
            Unary::Cos => x.cos(),
            Unary::Floor => x.floor(),
            Unary::Ceil => x.ceil(),
        }
    }
}

impl Binary {
    /// Every function, in declaration order.
    pub const ALL: [Binary; 16] = [
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::MulZ,
        Binary::Div,
        Binary::Pow,
        Binary::Min,
        Binary::Max,
        Binary::Lt,
        Binary::Le,
        Binary::Gt,
        Binary::Ge,
        Binary::Eq,
        Binary::Ne,
        Binary::And,
        Binary::Or,
    ];

    /// Its name in the text forms.
    pub fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::MulZ => "mulz",
            Binary::Div => "div",
            Binary::Pow => "pow",
            Binary::Min => "min",
            Binary::Max => "max",
            Binary::Lt => "lt",
            Binary::Le => "le",
            Binary::Gt => "gt",
            Binary::Ge => "ge",
            Binary::Eq => "eq",
            Binary::Ne => "ne",
            Binary::And => "and",
            Binary::Or => "or",
        }
    }

    /// The function with this name.
    pub fn from_name(name: &str) -> Option<Binary> {
        Binary::ALL.into_iter().find(|f| f.name() == name)
    }

    /// Whether the result is a bool whatever the operands are.
    pub fn is_predicate(self) -> bool {
        match self {
            Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => true,
            Binary::Eq | Binary::Ne | Binary::And | Binary::Or => true,
            Binary::Add | Binary::Sub | Binary::Mul | Binary::MulZ => false,
            Binary::Div | Binary::Pow | Binary::Min | Binary::Max => false,
        }
    }

    /// What it means, in `f64`; a bool is 0 or 1.
    ///
    /// `min` and `max` return their second operand unless the first one is beyond it, as the machine's
    /// instructions do.
    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::MulZ => mulz(a, b),
            Binary::Div => a / b,
            Binary::Pow => a.powf(b),
            Binary::Min => {
                if a < b {
                    a
                } else {
                    b
                }
            }
            Binary::Max => {
                if a > b {
                    a
                } else {
                    b
                }
            }
            Binary::Lt => truth(a < b),
            Binary::Le => truth(a <= b),
            Binary::Gt => truth(a > b),
            Binary::Ge => truth(a >= b),
            Binary::Eq => truth(a == b),
            Binary::Ne => truth(a != b),
            Binary::And => truth(a != 0.0 && b != 0.0),
            Binary::Or => truth(a != 0.0 || b != 0.0),
        }
    }
}

/// A bool as a number.
fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// -1, 0 or 1; 0 for what is not a number.
fn sign(x: f64) -> f64 {
    truth(x > 0.0) - truth(x < 0.0)
}

/// `a * b`, and 0 where `a` is.
fn mulz(a: f64, b: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a * b }
}

/// The inverse of the error function, to the rounding of its result.
fn erfinv(x: f64) -> f64 {
    if x.abs() >= 1.0 {
        return if x.abs() == 1.0 { x * f64::INFINITY } else { f64::NAN };
    }
    let y = erfinv_guess(x.abs());
    let y = erfinv_refined(x.abs(), erfinv_refined(x.abs(), y));
    y.copysign(x)
}

/// Winitzki's closed form: within 0.4 %, which two steps of third order bring below the last bit.
fn erfinv_guess(x: f64) -> f64 {
    const A: f64 = 0.147;
    // log(1 - x^2), without the cancellation near 0.
    let log = (-x * x).ln_1p();
    let half = 2.0 / (std::f64::consts::PI * A) + log / 2.0;
    // sqrt(half^2 - log / A) - half, again without cancellation.
    (-log / A / ((half * half - log / A).sqrt() + half)).sqrt()
}

/// One step of Halley's method for `erf(y) = x`, on the side where the difference is exact.
fn erfinv_refined(x: f64, y: f64) -> f64 {
    let excess = if x < 0.5 { libm::erf(y) - x } else { (1.0 - x) - libm::erfc(y) };
    // erf'(y) = 2 / sqrt(pi) * exp(-y^2), erf''(y) = -2 y erf'(y).
    let newton = excess / (std::f64::consts::FRAC_2_SQRT_PI * (-y * y).exp());
    y - newton / (1.0 + y * newton)
}

impl fmt::Display for Unary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erfinv_inverts_erf() {
        for i in 1..2000 {
            let x = f64::from(i) / 2000.0;
            let y = erfinv(x);
            // One last bit of `y` moves erf by `y * erf'(y)` of it, and erf itself is rounded.
            let slope = std::f64::consts::FRAC_2_SQRT_PI * (-y * y).exp();
            let tolerance = 2.0 * f64::EPSILON * (x + y * slope);
            assert!((libm::erf(y) - x).abs() <= tolerance, "{x}: {y}");
            assert_eq!(erfinv(-x), -y);
        }
    }

    #[test]
    fn erfinv_in_the_tails_and_at_the_ends() {
        for exponent in 2..52 {
            let tail = 2f64.powi(-exponent);
            let y = erfinv(1.0 - tail);
            assert!((libm::erfc(y) / tail - 1.0).abs() < 1e-13, "1 - {tail}: {y}");
            let small = erfinv(tail);
            assert!((libm::erf(small) / tail - 1.0).abs() < 1e-15, "{tail}: {small}");
        }
        assert_eq!(erfinv(0.0), 0.0);
        assert_eq!(erfinv(1.0), f64::INFINITY);
        assert_eq!(erfinv(-1.0), f64::NEG_INFINITY);
        assert!(erfinv(1.5).is_nan() && erfinv(f64::NAN).is_nan());
    }

    #[test]
    fn names_are_read_back() {
        assert!(Unary::ALL.into_iter().all(|f| Unary::from_name(f.name()) == Some(f)));
        assert!(Binary::ALL.into_iter().all(|f| Binary::from_name(f.name()) == Some(f)));
    }

    #[test]
    fn a_cotangent_of_zero_stays_zero() {
        assert_eq!(Binary::MulZ.apply(0.0, f64::INFINITY), 0.0);
        assert_eq!(Binary::MulZ.apply(-0.0, f64::NAN), 0.0);
        assert!(Binary::MulZ.apply(1.0, f64::NAN).is_nan());
    }
}
