//! The source text of an expression on one line, for terms and reports.

use crate::resolve::hir::{
    Arg, AxisPattern, BinaryOp, Builtin, Expr, ExprKind, GroupBy, GroupExpr, Over, Program, Segment, UnaryOp,
};

/// How tightly an operator binds its operands.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Level {
    Loosest,
    Or,
    And,
    Compare,
    Range,
    Sum,
    Product,
    Prefix,
    Power,
    Tight,
}

/// An expression of the top level on one line.
pub(super) fn expr(program: &Program, expr: &Expr) -> String {
    at(program, expr, Level::Loosest)
}

fn at(program: &Program, expr: &Expr, outer: Level) -> String {
    let (text, level) = write(program, expr);
    if level < outer { format!("({text})") } else { text }
}

fn write(program: &Program, e: &Expr) -> (String, Level) {
    let tight = |e: &Expr| at(program, e, Level::Tight);
    match &e.kind {
        ExprKind::Number(x) => (x.to_string(), Level::Tight),
        ExprKind::Str(text) => (format!("\"{text}\""), Level::Tight),
        ExprKind::Bool(b) => (b.to_string(), Level::Tight),
        ExprKind::Local(local) => {
            let name =
                program.locals.get(local.0 as usize).map_or_else(|| "_".to_string(), |it| it.name.text.to_string());
            (name, Level::Tight)
        }
        ExprKind::Def(def) => (program.defs[def.0 as usize].name.text.to_string(), Level::Tight),
        ExprKind::Builtin(builtin) => (builtin_name(*builtin).into(), Level::Tight),
        ExprKind::AxisName(name) => (name.to_string(), Level::Tight),
        ExprKind::Field(a, segment) => (format!("{}.{}", tight(a), segment_text(segment)), Level::Tight),
        ExprKind::Call(f, args) => (format!("{}({})", tight(f), args_text(program, args)), Level::Tight),
        ExprKind::Sized(f, sizes) => {
            let size = |(name, e): &(crate::resolve::hir::Name, Expr)| format!("{} = {}", name.text, expr(program, e));
            (format!("{}[{}]", tight(f), list(sizes.iter().map(size))), Level::Tight)
        }
        ExprKind::Unary(UnaryOp::Neg, a) => (format!("-{}", at(program, a, Level::Prefix)), Level::Prefix),
        ExprKind::Unary(UnaryOp::Not, a) => (format!("not {}", at(program, a, Level::And)), Level::And),
        ExprKind::Binary(op, a, b) => binary(program, *op, a, b),
        ExprKind::Range(a, b) => {
            (format!("{}..{}", at(program, a, Level::Sum), at(program, b, Level::Sum)), Level::Range)
        }
        ExprKind::If(c, a, b) => {
            let [c, a, b] = [c, &a.value, &b.value].map(|e| expr(program, e));
            (format!("if {c} {{ {a} }} else {{ {b} }}"), Level::Tight)
        }
        ExprKind::Block(block) => (format!("{{ {} }}", expr(program, &block.value)), Level::Tight),
        ExprKind::Tuple(values) => (format!("({})", list(values.iter().map(|e| expr(program, e)))), Level::Tight),
        ExprKind::Shape(axes) => {
            (format!("[{}]", list(axes.iter().map(|axis| axis_text(program, axis)))), Level::Tight)
        }
        ExprKind::WithGradient(a, b) => {
            (format!("{} with gradient of {}", at(program, a, Level::Or), at(program, b, Level::Or)), Level::Loosest)
        }
        ExprKind::Over(how, set, f) => {
            (format!("{} over {} of {}", over_text(*how), tight(set), expr(program, f)), Level::Loosest)
        }
        ExprKind::Group(group) => (group_text(program, group), Level::Loosest),
        ExprKind::Raw(path) => (format!("raw({})", expr(program, path)), Level::Tight),
        ExprKind::Join(parts) => (format!("join({})", list(parts.iter().map(|e| expr(program, e)))), Level::Tight),
    }
}

fn binary(program: &Program, op: BinaryOp, a: &Expr, b: &Expr) -> (String, Level) {
    let (sign, level) = match op {
        BinaryOp::Add => ("+", Level::Sum),
        BinaryOp::Sub => ("-", Level::Sum),
        BinaryOp::Mul => ("*", Level::Product),
        BinaryOp::Div => ("/", Level::Product),
        BinaryOp::MatMul => ("@", Level::Product),
        BinaryOp::Pow => ("^", Level::Power),
        BinaryOp::Lt => ("<", Level::Compare),
        BinaryOp::Le => ("<=", Level::Compare),
        BinaryOp::Gt => (">", Level::Compare),
        BinaryOp::Ge => (">=", Level::Compare),
        BinaryOp::Eq => ("==", Level::Compare),
        BinaryOp::Ne => ("!=", Level::Compare),
        BinaryOp::And => ("and", Level::And),
        BinaryOp::Or => ("or", Level::Or),
    };
    let left = if op == BinaryOp::Pow { Level::Tight } else { level };
    let right = match level {
        Level::Sum => Level::Product,
        Level::Product => Level::Prefix,
        Level::Compare => Level::Range,
        Level::Loosest | Level::Or | Level::And | Level::Range => level,
        Level::Prefix | Level::Power | Level::Tight => Level::Prefix,
    };
    let (a, b) = (at(program, a, left), at(program, b, right));
    (if op == BinaryOp::Pow { format!("{a}^{b}") } else { format!("{a} {sign} {b}") }, level)
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<String>>().join(", ")
}

fn args_text(program: &Program, args: &[Arg]) -> String {
    let arg = |arg: &Arg| match &arg.name {
        Some(name) => format!("{}: {}", name.text, expr(program, &arg.value)),
        None => expr(program, &arg.value),
    };
    list(args.iter().map(arg))
}

fn axis_text(program: &Program, axis: &AxisPattern) -> String {
    match axis {
        AxisPattern::Axis { name: Some(name), .. } => name.text.to_string(),
        AxisPattern::Axis { name: None, size, .. } => expr(program, size),
        AxisPattern::Rest(..) => "...".into(),
    }
}

fn segment_text(segment: &Segment) -> String {
    match segment {
        Segment::Name(name) | Segment::Glob(name) => name.text.to_string(),
        Segment::OneOf(names, _) => format!("{{{}}}", list(names.iter().map(|name| name.text.to_string()))),
        Segment::Any(_) => "**".into(),
    }
}

fn group_text(program: &Program, group: &GroupExpr) -> String {
    let target = expr(program, &group.target);
    let names_text = |names: &[crate::resolve::hir::Name]| list(names.iter().map(|name| name.text.to_string()));
    let by = match &group.by {
        None => return target,
        Some(GroupBy::Axes(names, None)) => names_text(names),
        Some(GroupBy::Axes(names, Some(run))) => format!("{} / {}", names_text(names), expr(program, run)),
        Some(GroupBy::Whole) => "whole".into(),
        Some(GroupBy::Each) => "each".into(),
        Some(GroupBy::Blocks(sizes)) => format!("blocks({})", list(sizes.iter().map(|e| expr(program, e)))),
    };
    format!("{target} by {by}")
}

fn builtin_name(builtin: Builtin) -> &'static str {
    match builtin {
        Builtin::Prim(name) => name,
        Builtin::Training => "training",
        Builtin::Step => "step",
        Builtin::Epoch => "epoch",
        Builtin::Progress => "progress",
    }
}

fn over_text(over: Over) -> &'static str {
    match over {
        Over::Mean => "mean",
        Over::Max => "max",
        Over::Each => "each",
    }
}
