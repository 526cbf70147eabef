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
