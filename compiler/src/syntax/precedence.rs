//! Operands and operators in a row to a tree.
//!
//! Loosest first: `with gradient of` · `|>` · `or` · `and` · `not` · comparisons · `..` · `+ -` · `* / @` · unary
//! `-` · `^`. Comparisons, ranges and `with gradient of` do not chain; `^` goes to the right, all others to the left.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::ast::{BinaryOp, Expr, ExprKind, Over, UnaryOp};
use crate::diag::{Diagnostic, Span};

/// One piece of a flat expression.
pub enum Piece {
    /// An operator before its operand.
    Prefix(Prefix, Span),
    /// An operand.
    Operand(Expr),
    /// An operator between two operands.
    Infix(Infix, Span),
}

/// Operators before their operand.
pub enum Prefix {
    /// `-`, `not`.
    Unary(UnaryOp),
    /// `mean over SET of`.
    Over(Over, Expr),
}

/// Operators between their operands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Infix {
    /// `with gradient of`.
    WithGradient,
    /// `|>`.
    Pipe,
    /// `..`.
    Range,
    /// The others.
    Binary(BinaryOp),
}

/// How tightly unary `-` binds.
pub const NEG: u8 = 9;
/// How tightly `not` binds.
pub const NOT: u8 = 4;
/// How tightly `mean over set of` binds.
pub const OVER: u8 = 0;

impl Infix {
    /// How tightly it binds, from 0 for the loosest.
    pub fn level(self) -> u8 {
        match self {
            Infix::WithGradient => 0,
            Infix::Pipe => 1,
            Infix::Range => 6,
            Infix::Binary(op) => match op {
                BinaryOp::Or => 2,
                BinaryOp::And => 3,
                BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Eq | BinaryOp::Ne => 5,
                BinaryOp::Add | BinaryOp::Sub => 7,
                BinaryOp::Mul | BinaryOp::Div | BinaryOp::MatMul => 8,
                BinaryOp::Pow => 10,
            },
        }
    }

    /// Whether two of its level may not stand in a row.
    pub fn is_single(self) -> bool {
        matches!(self.level(), 0 | 5 | 6)
    }

    fn name(self) -> &'static str {
        match self {
            Infix::WithGradient => "with gradient of",
            Infix::Pipe => "|>",
            Infix::Range => "..",
            Infix::Binary(op) => op.text(),
        }
    }
}

/// Makes a tree of `pieces`, and appends what is wrong with them to `errors`.
pub fn tree(pieces: Vec<Piece>, errors: &mut Vec<Diagnostic>) -> Expr {
    Climber { pieces: pieces.into_iter().peekable(), errors }.expr(0)
}

struct Climber<'a> {
    pieces: Peekable<IntoIter<Piece>>,
    errors: &'a mut Vec<Diagnostic>,
}

impl Climber<'_> {
    /// The longest expression whose operators all bind at least as tightly as `level`.
    fn expr(&mut self, level: u8) -> Expr {
        let mut left = self.operand();
        let mut last: Option<(Infix, Span)> = None;
        while let Some((op, at)) = self.infix(level) {
            self.check_chain(last, op, at);
            let right_assoc = op == Infix::Binary(BinaryOp::Pow);
            let right = self.expr(if right_assoc { op.level() } else { op.level() + 1 });
            left = self.join(op, left, right);
            last = Some((op, at));
        }
        left
    }

    fn operand(&mut self) -> Expr {
        match self.pieces.next().expect("the grammar ends an expression with an operand") {
            Piece::Operand(expr) => expr,
            Piece::Prefix(Prefix::Unary(op), at) => {
                let value = self.expr(if op == UnaryOp::Neg { NEG } else { NOT });
                Expr { span: at.to(value.span), kind: ExprKind::Unary(op, Box::new(value)) }
            }
            Piece::Prefix(Prefix::Over(how, set), at) => {
                let value = self.expr(OVER);
                Expr { span: at.to(value.span), kind: ExprKind::Over(how, Box::new(set), Box::new(value)) }
            }
            Piece::Infix(..) => unreachable!("the grammar puts operands between operators"),
        }
    }

    fn infix(&mut self, level: u8) -> Option<(Infix, Span)> {
        match self.pieces.peek() {
            Some(&Piece::Infix(op, at)) if op.level() >= level => {
                drop(self.pieces.next());
                Some((op, at))
            }
            Some(Piece::Infix(..) | Piece::Operand(_) | Piece::Prefix(..)) | None => None,
        }
    }

    fn check_chain(&mut self, last: Option<(Infix, Span)>, op: Infix, at: Span) {
        if let Some((before, first)) = last
            && before.level() == op.level()
            && op.is_single()
        {
            let title = format!("`{}` and `{}` in a row", before.name(), op.name());
            let help = match op {
                Infix::WithGradient | Infix::Pipe | Infix::Range => "put one of the two in parentheses: `(a … b) … c`",
                Infix::Binary(_) => "compare twice: `a < b and b < c`",
            };
            let error = Diagnostic::new("E0105", title, at, "a second one has no meaning here");
            self.errors.push(error.also(first, "the first one").help(help));
        }
    }

    fn join(&mut self, op: Infix, left: Expr, right: Expr) -> Expr {
        let span = left.span.to(right.span);
        if op == Infix::Pipe {
            self.check_pipe(&right);
        }
        let (left, right) = (Box::new(left), Box::new(right));
        let kind = match op {
            Infix::WithGradient => ExprKind::WithGradient(left, right),
            Infix::Pipe => ExprKind::Pipe(left, right),
            Infix::Range => ExprKind::Range(left, right),
            Infix::Binary(op) => ExprKind::Binary(op, left, right),
        };
        Expr { kind, span }
    }

    fn check_pipe(&mut self, right: &Expr) {
        if !is_callable(right) {
            let label = "expected a name or a call";
            let error = Diagnostic::new("E0108", "the right side of `|>` is not a function", right.span, label);
            self.errors.push(error.help("put the pipe in parentheses: `(x |> f) + y`"));
        }
    }
}

fn is_callable(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Name(_) | ExprKind::Field(..) | ExprKind::Call(..) | ExprKind::Sized(..))
}
