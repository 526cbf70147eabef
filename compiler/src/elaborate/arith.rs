//! Operators and elementwise functions on values: numbers fold, tensors broadcast by axis and convert their elements.

use super::errors::ShapeMistake;
use super::fold::{self, Folded};
use super::value::{Tensor, Value};
use super::{Elab, Eval};
use crate::diag::Span;
use crate::model::{DType, Op, Size};
use crate::resolve::hir::BinaryOp;
use crate::scalar::{Binary, Unary};

/// A value and where it stands.
pub(super) type At<'v> = (&'v Value, Span);

/// An operand that arithmetic can use.
enum Operand {
    Number(f64),
    Bool(bool),
    Tensor(Tensor),
}

impl Elab<'_, '_> {
    /// A function of each element.
    pub(super) fn unary(&mut self, f: Unary, (a, at): At<'_>, span: Span) -> Eval<Value> {
        let a = match self.operand(a, at)? {
            Operand::Bool(b) if f == Unary::Not => return Ok(Value::Bool(!b)),
            Operand::Bool(b) => Operand::Number(f64::from(b)),
            other @ (Operand::Number(_) | Operand::Tensor(_)) => other,
        };
        if let Operand::Number(x) = a
            && let Some(y) = fold::unary(f, x)
        {
            return self.finite(y, span);
        }
        let tensor = self.operand_tensor(a, at);
        let dtype = if f == Unary::Not { DType::Bool } else { self.arithmetic_type(f, &tensor) };
        if f == Unary::Not && self.dtype(&tensor) != DType::Bool {
            let found = self.dtype(&tensor);
            return Err(self.blame(ShapeMistake::NotACondition { span: at, found: found_elements(found) }));
        }
        let tensor = self.convert(&tensor, dtype, at);
        Ok(Value::Tensor(self.map(f, &tensor, span)))
    }

    fn arithmetic_type(&self, f: Unary, tensor: &Tensor) -> DType {
        let keeps_integers = matches!(f, Unary::Neg | Unary::Abs | Unary::Sign);
        if keeps_integers && self.dtype(tensor) == DType::I32 { DType::I32 } else { DType::F32 }
    }

    /// An operator of the language.
    pub(super) fn operator(&mut self, op: BinaryOp, a: At<'_>, b: At<'_>, span: Span) -> Eval<Value> {
        match op {
            BinaryOp::Add => self.binary(Binary::Add, a, b, span),
            BinaryOp::Sub => self.binary(Binary::Sub, a, b, span),
            BinaryOp::Mul => self.binary(Binary::Mul, a, b, span),
            BinaryOp::Div => self.binary(Binary::Div, a, b, span),
            BinaryOp::Pow => self.power(a, b, span),
            BinaryOp::MatMul => self.matmul(a, b, span),
            BinaryOp::Lt => self.binary(Binary::Lt, a, b, span),
            BinaryOp::Le => self.binary(Binary::Le, a, b, span),
            BinaryOp::Gt => self.binary(Binary::Gt, a, b, span),
            BinaryOp::Ge => self.binary(Binary::Ge, a, b, span),
            BinaryOp::Eq => self.binary(Binary::Eq, a, b, span),
            BinaryOp::Ne => self.binary(Binary::Ne, a, b, span),
            BinaryOp::And => self.logical(Binary::And, a, b, span),
            BinaryOp::Or => self.logical(Binary::Or, a, b, span),
        }
    }

    /// `x ^ 2` is a product, so that its derivative needs no case at zero.
    fn power(&mut self, a: At<'_>, b: At<'_>, span: Span) -> Eval<Value> {
        match (self.operand(a.0, a.1)?, self.operand(b.0, b.1)?) {
            (Operand::Tensor(x), Operand::Number(2.0)) => {
                let x = self.convert(&x, DType::F32, a.1);
                Ok(Value::Tensor(self.zip(Binary::Mul, &x, &x, span)))
            }
            (Operand::Tensor(x), Operand::Number(1.0)) => Ok(Value::Tensor(x)),
            _ => self.binary(Binary::Pow, a, b, span),
        }
    }

    fn logical(&mut self, f: Binary, a: At<'_>, b: At<'_>, span: Span) -> Eval<Value> {
        let known = |value: &Value| if let Value::Bool(b) = value { Some(*b) } else { None };
        match (known(a.0), known(b.0)) {
            (Some(a), Some(b)) => Ok(Value::Bool(if f == Binary::And { a && b } else { a || b })),
            _ => {
                let (a, b) = (self.condition(a.0, a.1), self.condition(b.0, b.1));
                self.zip_tensors(f, (&a?, span), (&b?, span), span)
            }
        }
    }

    /// A function of each pair of elements.
    pub(super) fn binary(&mut self, f: Binary, a: At<'_>, b: At<'_>, span: Span) -> Eval<Value> {
        let (left, right) = (self.operand(a.0, a.1), self.operand(b.0, b.1));
        let (left, right) = (left?, right?);
        if let (Some(x), Some(y)) = (number_of(&left), number_of(&right)) {
            return match fold::binary(f, x, y) {
                Folded::Number(value) => self.finite(value, span),
                Folded::Bool(value) => Ok(Value::Bool(value)),
            };
        }
        let dtype = self.common_type(f, &left, &right);
        let (left, right) = (self.operand_tensor(left, a.1), self.operand_tensor(right, b.1));
        let (left, right) = (self.convert(&left, dtype, a.1), self.convert(&right, dtype, b.1));
        self.zip_tensors(f, (&left, a.1), (&right, b.1), span)
    }

    fn zip_tensors(&mut self, f: Binary, a: (&Tensor, Span), b: (&Tensor, Span), span: Span) -> Eval<Value> {
        let both = self.broadcast(&[a, b], span)?;
        Ok(Value::Tensor(self.zip(f, &both[0], &both[1], span)))
    }

    /// The element type in which two operands are combined: `i32` only where both are whole and the result is, too.
    fn common_type(&self, f: Binary, a: &Operand, b: &Operand) -> DType {
        let divides = matches!(f, Binary::Div | Binary::Pow);
        let whole = |operand: &Operand| match operand {
            Operand::Number(x) => x.fract() == 0.0 && x.abs() < f64::from(i32::MAX),
            Operand::Bool(_) => true,
            Operand::Tensor(t) => self.dtype(t) != DType::F32,
        };
        let has_integers = |operand: &Operand| matches!(operand, Operand::Tensor(t) if self.dtype(t) == DType::I32);
        let integers = !divides && whole(a) && whole(b) && (has_integers(a) || has_integers(b));
        if integers { DType::I32 } else { DType::F32 }
    }

    /// `where(c, a, b)`, and `if` with a condition that is a tensor.
    pub(super) fn select(&mut self, c: At<'_>, a: At<'_>, b: At<'_>, span: Span) -> Eval<Value> {
        if let Value::Bool(known) = c.0 {
            return Ok(if *known { a.0.clone() } else { b.0.clone() });
        }
        if let (Value::Tuple(x), Value::Tuple(y)) = (a.0, b.0)
            && x.len() == y.len()
        {
            let pick = |(x, y)| self.select(c, (x, a.1), (y, b.1), span);
            return Ok(Value::Tuple(x.iter().zip(y).map(pick).collect::<Eval<Vec<Value>>>()?));
        }
        let condition = self.condition(c.0, c.1);
        let (x, y) = (self.operand(a.0, a.1), self.operand(b.0, b.1));
        let (condition, x, y) = (condition?, x?, y?);
        let dtype = match (&x, &y) {
            (Operand::Tensor(x), Operand::Tensor(y)) if self.dtype(x) == self.dtype(y) => self.dtype(x),
            _ => self.common_type(Binary::Add, &x, &y),
        };
        let (x, y) = (self.operand_tensor(x, a.1), self.operand_tensor(y, b.1));
        let (x, y) = (self.convert(&x, dtype, a.1), self.convert(&y, dtype, b.1));
        let all = self.broadcast(&[(&condition, c.1), (&x, a.1), (&y, b.1)], span)?;
        let axes = self.axes(&all[0]);
        Ok(Value::Tensor(self.emit(Op::Select(all[0].expr, all[1].expr, all[2].expr), dtype, axes, span)))
    }

    /// `a with gradient of b`.
    pub(super) fn with_gradient(&mut self, a: At<'_>, b: At<'_>, span: Span) -> Eval<Value> {
        if let (Value::Number(_) | Value::Bool(_), Value::Number(_) | Value::Bool(_)) = (a.0, b.0) {
            return Ok(a.0.clone());
        }
        let value = self.real(a.0, a.1)?;
        let slope = self.real(b.0, b.1)?;
        let slope = self.broadcast_to(&slope, b.1, &value, a.1)?;
        let axes = self.axes(&value);
        Ok(Value::Tensor(self.emit(Op::WithGradient(value.expr, slope.expr), DType::F32, axes, span)))
    }

    fn finite(&mut self, value: f64, span: Span) -> Eval<Value> {
        if value.is_finite() {
            return Ok(Value::Number(value));
        }
        Err(self.blame(ShapeMistake::NotFinite { span, value }))
    }

    fn operand(&mut self, value: &Value, span: Span) -> Eval<Operand> {
        Ok(match value {
            Value::Number(x) => Operand::Number(*x),
            Value::Bool(b) => Operand::Bool(*b),
            Value::Size(_, size) => match self.sizes.find(*size) {
                Size::Known(n) => Operand::Number(n as f64),
                Size::Batch => Operand::Tensor(self.count(&[Size::Batch], span)?),
                Size::Var(var) => return Err(self.blame_unknown_size(var, span)),
            },
            Value::Tensor(tensor) => Operand::Tensor(tensor.clone()),
            other => Operand::Tensor(self.single_tensor(other, span)?),
        })
    }

    fn operand_tensor(&mut self, operand: Operand, span: Span) -> Tensor {
        match operand {
            Operand::Number(x) => self.constant(x, span),
            Operand::Bool(b) => self.emit(Op::Const(f64::from(b)), DType::Bool, vec![], span),
            Operand::Tensor(tensor) => tensor,
        }
    }

    /// A value as a tensor of any element type.
    pub(super) fn tensor(&mut self, value: &Value, span: Span) -> Eval<Tensor> {
        let operand = self.operand(value, span)?;
        Ok(self.operand_tensor(operand, span))
    }

    /// A value as a tensor of real numbers.
    pub(super) fn real(&mut self, value: &Value, span: Span) -> Eval<Tensor> {
        let tensor = self.tensor(value, span)?;
        Ok(self.convert(&tensor, DType::F32, span))
    }

    /// A value as a tensor of truth values.
    pub(super) fn condition(&mut self, value: &Value, span: Span) -> Eval<Tensor> {
        let tensor = self.tensor(value, span)?;
        match self.dtype(&tensor) {
            DType::Bool => Ok(tensor),
            found @ (DType::F32 | DType::I32) => {
                Err(self.blame(ShapeMistake::NotACondition { span, found: found_elements(found) }))
            }
        }
    }

    /// A value that must be a number known when compiling.
    pub(super) fn number(&mut self, value: &Value, span: Span) -> Eval<f64> {
        match value {
            Value::Poison => Err(super::Failed),
            Value::Number(x) => Ok(*x),
            Value::Size(_, size) => match self.sizes.find(*size) {
                Size::Known(n) => Ok(n as f64),
                Size::Batch => {
                    Err(self.blame(ShapeMistake::NotANumber { span, found: "the size of the batch".into() }))
                }
                Size::Var(var) => Err(self.blame_unknown_size(var, span)),
            },
            other => Err(self.blame(ShapeMistake::NotANumber { span, found: other.kind().into() })),
        }
    }
}

fn number_of(operand: &Operand) -> Option<f64> {
    match operand {
        Operand::Number(x) => Some(*x),
        Operand::Bool(b) => Some(f64::from(*b)),
        Operand::Tensor(_) => None,
    }
}

fn found_elements(dtype: DType) -> String {
    match dtype {
        DType::F32 => "real numbers".into(),
        DType::I32 => "integers".into(),
        DType::Bool => "truth values".into(),
    }
}
