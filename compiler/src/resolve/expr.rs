//! Expressions to HIR. Pipes become calls; precedence is the parser's, meaning the next stage's.

use super::block::Binds;
use super::hir::{Arg, BinaryOp, Expr, ExprKind, GroupBy, GroupExpr, Name, Over, Segment, UnaryOp};
use super::lookup::{Lower, Meaning, Role, hir_name};
use crate::diag::Span;
use crate::syntax::ast;

impl Lower<'_, '_> {
    /// An expression.
    pub(super) fn expr(&mut self, it: &ast::Expr) -> Expr {
        self.expr_as(it, Role::Value)
    }

    fn boxed(&mut self, it: &ast::Expr) -> Box<Expr> {
        Box::new(self.expr(it))
    }

    /// An expression where a name stands in some role.
    pub(super) fn expr_as(&mut self, it: &ast::Expr, role: Role) -> Expr {
        let kind = match &it.kind {
            ast::ExprKind::Number(value, _) => ExprKind::Number(*value),
            ast::ExprKind::Str(text) => ExprKind::Str(text.clone()),
            ast::ExprKind::Bool(value) => ExprKind::Bool(*value),
            ast::ExprKind::Name(name) => self.name(name, it.span, role),
            ast::ExprKind::Field(base, segment) => ExprKind::Field(self.boxed(base), hir_segment(segment)),
            ast::ExprKind::Call(callee, args) => self.call(callee, args),
            ast::ExprKind::Sized(base, sizes) => {
                let base = Box::new(self.expr_as(base, Role::Callee));
                ExprKind::Sized(base, sizes.iter().map(|(name, value)| (hir_name(name), self.expr(value))).collect())
            }
            ast::ExprKind::Unary(op, value) => ExprKind::Unary(hir_unary(*op), self.boxed(value)),
            ast::ExprKind::Binary(op, a, b) => ExprKind::Binary(hir_binary(*op), self.boxed(a), self.boxed(b)),
            ast::ExprKind::Range(a, b) => ExprKind::Range(self.boxed(a), self.boxed(b)),
            ast::ExprKind::Pipe(value, function) => return self.pipe(value, function, it.span),
            ast::ExprKind::WithGradient(a, b) => ExprKind::WithGradient(self.boxed(a), self.boxed(b)),
            ast::ExprKind::If(condition, then, otherwise) => {
                ExprKind::If(self.boxed(condition), self.block(then), self.block(otherwise))
            }
            ast::ExprKind::Block(block) => ExprKind::Block(self.block(block)),
            ast::ExprKind::Tuple(values) => ExprKind::Tuple(values.iter().map(|value| self.expr(value)).collect()),
            ast::ExprKind::Shape(axes) => ExprKind::Shape(self.axis_list(axes, Binds::Nothing)),
            ast::ExprKind::Over(how, set, value) => ExprKind::Over(hir_over(*how), self.boxed(set), self.boxed(value)),
            ast::ExprKind::By(target, by) => ExprKind::Group(Box::new(self.group_expr(target, by, it.span))),
        };
        Expr { kind, span: it.span }
    }

    fn call(&mut self, callee: &ast::Expr, args: &[ast::Arg]) -> ExprKind {
        if let (ast::ExprKind::Name(name), [ast::Arg { name: None, value }]) = (&callee.kind, args)
            && &**name == "raw"
            && self.local(name).is_none()
            && self.resolver.global(self.module, name).is_none()
        {
            return ExprKind::Raw(self.boxed(value));
        }
        if let ast::ExprKind::Name(name) = &callee.kind
            && &**name == "join"
            && self.local(name).is_none()
            && self.resolver.global(self.module, name).is_none()
        {
            return ExprKind::Join(args.iter().map(|arg| self.expr(&arg.value)).collect());
        }
        let callee = Box::new(self.expr_as(callee, Role::Callee));
        ExprKind::Call(callee, self.args(args))
    }

    /// Arguments; a bare name among them may be an axis.
    pub(super) fn args(&mut self, args: &[ast::Arg]) -> Vec<Arg> {
        let arg = |arg: &ast::Arg| Arg {
            name: arg.name.as_ref().map(hir_name),
            value: self.expr_as(&arg.value, Role::Argument),
        };
        args.iter().map(arg).collect()
    }

    /// `x |> f` is `f(x)`, `x |> f(2)` is `f(x, 2)`, and `x |> Layer(2)` applies the layer with the setting 2.
    fn pipe(&mut self, value: &ast::Expr, function: &ast::Expr, span: Span) -> Expr {
        let first = Arg { name: None, value: self.expr_as(value, Role::Argument) };
        let (mut callee, mut args) = (function, [].as_slice());
        if let ast::ExprKind::Call(inner, rest) = &function.kind
            && !self.takes_settings(inner)
        {
            (callee, args) = (inner, rest);
        }
        let args = self.args(args);
        let callee = Box::new(self.expr_as(callee, Role::Callee));
        let args = [first].into_iter().chain(args).collect();
        Expr { kind: ExprKind::Call(callee, args), span }
    }

    /// Whether the first parentheses behind this are settings.
    fn takes_settings(&self, callee: &ast::Expr) -> bool {
        if let ast::ExprKind::Sized(base, _) = &callee.kind {
            return self.takes_settings(base);
        }
        let name = callee.as_name().filter(|name| self.local(&name.text).is_none());
        match name.and_then(|name| self.resolver.global(self.module, &name.text)) {
            Some(Meaning::Item(id)) => {
                let item = &self.resolver.modules[id.module].file.items[id.item].kind;
                matches!(item, ast::ItemKind::Layer(layer) if layer.settings.is_some())
            }
            Some(Meaning::Builtin(_)) | None => false,
        }
    }

    fn group_expr(&mut self, target: &ast::Expr, by: &ast::By, span: Span) -> GroupExpr {
        let target = self.expr(target);
        let by = match by {
            ast::By::Axes(names, factor) => {
                GroupBy::Axes(names.iter().map(hir_name).collect(), factor.as_ref().map(|factor| self.boxed(factor)))
            }
            ast::By::Whole => GroupBy::Whole,
            ast::By::Each => GroupBy::Each,
            ast::By::Blocks(sizes) => GroupBy::Blocks(sizes.iter().map(|size| self.expr(size)).collect()),
        };
        GroupExpr { target, by: Some(by), span }
    }
}

pub(super) fn hir_segment(segment: &ast::Segment) -> Segment {
    match segment {
        ast::Segment::Name(name) => Segment::Name(hir_name(name)),
        ast::Segment::OneOf(names, span) => Segment::OneOf(names.iter().map(hir_name).collect::<Vec<Name>>(), *span),
        ast::Segment::Glob(name) => Segment::Glob(hir_name(name)),
        ast::Segment::Any(span) => Segment::Any(*span),
    }
}

fn hir_unary(op: ast::UnaryOp) -> UnaryOp {
    match op {
        ast::UnaryOp::Neg => UnaryOp::Neg,
        ast::UnaryOp::Not => UnaryOp::Not,
    }
}

fn hir_over(how: ast::Over) -> Over {
    match how {
        ast::Over::Mean => Over::Mean,
        ast::Over::Max => Over::Max,
        ast::Over::Each => Over::Each,
    }
}

fn hir_binary(op: ast::BinaryOp) -> BinaryOp {
    match op {
        ast::BinaryOp::Add => BinaryOp::Add,
        ast::BinaryOp::Sub => BinaryOp::Sub,
        ast::BinaryOp::Mul => BinaryOp::Mul,
        ast::BinaryOp::Div => BinaryOp::Div,
        ast::BinaryOp::Pow => BinaryOp::Pow,
        ast::BinaryOp::MatMul => BinaryOp::MatMul,
        ast::BinaryOp::Lt => BinaryOp::Lt,
        ast::BinaryOp::Le => BinaryOp::Le,
        ast::BinaryOp::Gt => BinaryOp::Gt,
        ast::BinaryOp::Ge => BinaryOp::Ge,
        ast::BinaryOp::Eq => BinaryOp::Eq,
        ast::BinaryOp::Ne => BinaryOp::Ne,
        ast::BinaryOp::And => BinaryOp::And,
        ast::BinaryOp::Or => BinaryOp::Or,
    }
}
