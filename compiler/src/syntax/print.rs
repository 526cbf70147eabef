//! AST to text that parses to the same AST.
//!
//! The layout is fixed: four spaces a level, one line for each binding, a blank line between declarations. Only the
//! parentheses that the tree needs are written.

use std::fmt::Write as _;

use super::ast::{
    Arg, Axis, Block, Body, By, Data, Expr, ExprKind, File, Fn, Init, Input, InputType, Interval, Item, ItemKind,
    Layer, Name, PlanEntry, PlanKind, Segment, Sparsify, Start, Stmt, StmtKind, Target, TensorType, UnaryOp, Use,
};
use super::precedence::{Infix, NEG, NOT, OVER};

/// The text of a file.
pub fn print(file: &File) -> String {
    let mut blocks: Vec<String> = vec![];
    if !file.doc.is_empty() {
        blocks.push(doc(&file.doc, "//!"));
    }
    blocks.extend(file.items.iter().map(|item| doc(&item.doc, "///") + &print_item(item) + "\n"));
    blocks.join("\n")
}

fn doc(text: &str, slashes: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    text.split('\n').map(|line| format!("{}\n", format!("{slashes} {line}").trim_end())).collect()
}

fn print_item(item: &Item) -> String {
    match &item.kind {
        ItemKind::Use(it) => print_use(it),
        ItemKind::Const(name, value) => format!("const {} = {}", name.text, expr(value, 0)),
        ItemKind::Fn(it) => print_fn(it),
        ItemKind::Layer(it) => print_layer(it),
        ItemKind::Data(it) => print_data(it),
        ItemKind::Model(name, value) => format!("model {} = {}", name.text, expr(value, 0)),
        ItemKind::Group(name, value) => format!("group {} = {}", name.text, expr(value, 0)),
        ItemKind::Sparsify(it) => print_sparsify(it),
        ItemKind::Proximal(target, with) => format!("proximal {} with {}", expr(target, 0), expr(with, 0)),
        ItemKind::Budget(it) => {
            let (of, limit) = (expr(&it.of, 0), operand(&it.limit, 0));
            format!("budget {}({of}) <= {limit} by {}", it.quantity.text, expr(&it.by, 0))
        }
        ItemKind::Minimize(value) => format!("minimize {}", expr(value, 0)),
        ItemKind::Report(None, value) => format!("report {}", expr(value, 0)),
        ItemKind::Report(Some(name), value) => format!("report {} = {}", name.text, expr(value, 0)),
        ItemKind::Train(plan) => format!("train {}", print_plan(plan, 0)),
        ItemKind::Init(it) => print_init(it),
    }
}

fn print_use(it: &Use) -> String {
    let path: String = it.module.iter().map(|name| format!("{}.", name.text)).collect();
    let names = commas(&it.names, |name| match &name.alias {
        Some(alias) => format!("{} as {}", name.name.text, alias.text),
        None => name.name.text.to_string(),
    });
    if it.braces { format!("use {path}{{{names}}}") } else { format!("use {path}{names}") }
}

fn print_fn(it: &Fn) -> String {
    let (inputs, result) = (print_inputs(&it.inputs, 0), print_result(&it.result));
    format!("fn {}{inputs}{result} {}", it.name.text, print_body(&it.body))
}

fn print_layer(it: &Layer) -> String {
    let mut out = format!("layer {}", it.name.text);
    if !it.sizes.is_empty() {
        let sizes = commas(&it.sizes, |(name, default)| format!("{}{}", name.text, print_default(default, 0)));
        let _ = write!(out, "[{sizes}]");
    }
    if let Some(settings) = &it.settings {
        out += &print_inputs(settings, 0);
    }
    out + &print_inputs(&it.inputs, 0) + &print_result(&it.result) + " " + &print_body(&it.body)
}

fn print_default(default: &Option<Expr>, indent: usize) -> String {
    default.as_ref().map_or(String::new(), |value| format!(" = {}", expr(value, indent)))
}

fn print_inputs(inputs: &[Input], indent: usize) -> String {
    let inputs = commas(inputs, |input| {
        let ty = match &input.ty {
            None => String::new(),
            Some(InputType::Axis(_)) => ": axis".to_string(),
            Some(InputType::Tensor(ty)) => format!(": {}", print_type(ty, indent)),
        };
        format!("{}{ty}{}", input.name.text, print_default(&input.default, indent))
    });
    format!("({inputs})")
}

fn print_result(result: &[TensorType]) -> String {
    match result {
        [] => String::new(),
        [one] => format!(" -> {}", print_type(one, 0)),
        several => format!(" -> ({})", commas(several, |ty| print_type(ty, 0))),
    }
}

fn print_type(ty: &TensorType, indent: usize) -> String {
    let dtype = ty.dtype.as_ref().map_or("", |name| &name.text);
    format!("{dtype}{}", print_axes(&ty.axes, indent))
}

fn print_axes(axes: &[Axis], indent: usize) -> String {
    let axes = commas(axes, |axis| match axis {
        Axis::Size(size) => expr(size, indent),
        Axis::Named(name, size) => format!("{}: {}", name.text, expr(size, indent)),
        Axis::Rest(name) => format!("...{}", name.text),
    });
    format!("[{axes}]")
}

fn print_body(body: &Body) -> String {
    match body {
        Body::Expr(value) => format!("= {}", expr(value, 0)),
        Body::Block(block) => print_lines(block, 0),
    }
}

fn print_data(it: &Data) -> String {
    let head = format!("data {} = {}{}", it.name.text, it.source.text, print_args(&it.args, 0));
    if it.fields.is_empty() {
        return head;
    }
    let fields = it.fields.iter().map(|(name, value)| format!("{} = {}", name.text, expr(value, 1)));
    format!("{head} {}", braces(fields, 0))
}

fn print_sparsify(it: &Sparsify) -> String {
    let with: Vec<String> = it.with.iter().map(|layer| expr(layer, 0)).collect();
    let name = it.name.as_ref().map_or(String::new(), |name| format!(" as {}", name.text));
    format!("sparsify {} with {}{name}", expr(&it.target, 0), with.join(" then "))
}

fn print_init(it: &Init) -> String {
    let head = format!("init {} from {}", expr(&it.target, 0), expr(&it.file, 0));
    if it.names.is_empty() {
        return head;
    }
    let names = it.names.iter().map(|(path, name)| format!("{} = {}", expr(path, 1), expr(name, 1)));
    format!("{head} {}", braces(names, 0))
}

fn print_plan(plan: &[PlanEntry], indent: usize) -> String {
    braces(plan.iter().map(|entry| print_entry(entry, indent + 1)), indent)
}

fn print_entry(entry: &PlanEntry, indent: usize) -> String {
    match &entry.kind {
        PlanKind::Setting(name, value) => format!("{} = {}", name.text, expr(value, indent)),
        PlanKind::OptimizerFor(path, value) => {
            format!("optimizer for {} = {}", expr(path, indent), expr(value, indent))
        }
        PlanKind::Phase(None, plan) => format!("phase {}", print_plan(plan, indent)),
        PlanKind::Phase(Some(name), plan) => format!("phase {} {}", name.text, print_plan(plan, indent)),
        PlanKind::Repeat(name, over, plan) => {
            format!("repeat {} in {} {}", name.text, expr(over, indent), print_plan(plan, indent))
        }
        PlanKind::For(name, over, plan) => {
            format!("for {} in {} {}", name.text, expr(over, indent), print_plan(plan, indent))
        }
        PlanKind::Fire(event, None) => format!("fire {}", expr(event, indent)),
        PlanKind::Fire(event, Some(on)) => format!("fire {} on {}", expr(event, indent), expr(on, indent)),
        PlanKind::Every(interval, plan) => {
            format!("every {} {}", print_interval(interval, indent), print_plan(plan, indent))
        }
    }
}

fn print_interval(interval: &Interval, indent: usize) -> String {
    match interval {
        Interval::Epoch => "epoch".to_string(),
        Interval::Steps(steps) => format!("{} steps", expr(steps, indent)),
    }
}

/// A block, one line for each of its lines.
fn print_lines(block: &Block, indent: usize) -> String {
    let stmts = block.stmts.iter().map(|stmt| print_stmt(stmt, indent + 1));
    braces(stmts.chain([expr(&block.value, indent + 1)]), indent)
}

/// A block, on one line if it is only a value.
fn print_block(block: &Block, indent: usize) -> String {
    if block.stmts.is_empty() { format!("{{ {} }}", expr(&block.value, indent)) } else { print_lines(block, indent) }
}

fn braces(lines: impl Iterator<Item = String>, indent: usize) -> String {
    let inner: String = lines.map(|line| format!("{}{line}\n", "    ".repeat(indent + 1))).collect();
    format!("{{\n{inner}{}}}", "    ".repeat(indent))
}

fn print_stmt(stmt: &Stmt, indent: usize) -> String {
    match &stmt.kind {
        StmtKind::Param(name, ty, start) => print_start("param", name, ty, start, indent),
        StmtKind::State(name, ty, start) => print_start("state", name, ty, start, indent),
        StmtKind::Measure(name, value) => format!("measure {} = {}", name.text, expr(value, indent)),
        StmtKind::Bind(name, None, value) => format!("{} = {}", name.text, expr(value, indent)),
        StmtKind::Bind(name, Some(ty), value) => {
            format!("{}: {} = {}", name.text, print_type(ty, indent), expr(value, indent))
        }
        StmtKind::BindTuple(names, value) => {
            format!("({}) = {}", commas(names, |name| name.text.to_string()), expr(value, indent))
        }
        StmtKind::Update(target, value) => format!("{} <- {}", print_target(target, indent), expr(value, indent)),
        StmtKind::On(name, inputs, lines) => {
            let inputs = if inputs.is_empty() { String::new() } else { print_inputs(inputs, indent) };
            format!("on {}{inputs} {}", name.text, print_handler(lines, indent))
        }
        StmtKind::Every(interval, lines) => {
            format!("every {} {}", print_interval(interval, indent), print_handler(lines, indent))
        }
    }
}

fn print_handler(lines: &[Stmt], indent: usize) -> String {
    braces(lines.iter().map(|line| print_stmt(line, indent + 1)), indent)
}

fn print_start(word: &str, name: &Name, ty: &TensorType, start: &Start, indent: usize) -> String {
    let (sign, value) = match start {
        Start::Value(value) => ("=", value),
        Start::Draw(value) => ("~", value),
    };
    format!("{word} {}: {} {sign} {}", name.text, print_type(ty, indent), expr(value, indent))
}

fn print_target(target: &Target, indent: usize) -> String {
    let path = expr(&target.path, indent);
    if target.raw { format!("raw({path})") } else { path }
}

/// An expression that stands by itself.
fn expr(it: &Expr, indent: usize) -> String {
    match &it.kind {
        ExprKind::Number(_, text) => text.to_string(),
        ExprKind::Str(text) => quoted(text),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Name(name) => name.to_string(),
        ExprKind::Field(base, segment) => format!("{}.{}", head(base, indent), print_segment(segment)),
        ExprKind::Call(callee, args) => head(callee, indent) + &print_args(args, indent),
        ExprKind::Sized(base, sizes) => {
            let sizes = commas(sizes, |(name, value)| format!("{} = {}", name.text, expr(value, indent)));
            format!("{}[{sizes}]", head(base, indent))
        }
        ExprKind::Unary(UnaryOp::Neg, value) => format!("-{}", tight(value, NEG, indent)),
        ExprKind::Unary(UnaryOp::Not, value) => format!("not {}", tight(value, NOT, indent)),
        ExprKind::Binary(op, a, b) => infix(Infix::Binary(*op), op.text(), (a, b), indent),
        ExprKind::Range(a, b) => infix(Infix::Range, "..", (a, b), indent),
        ExprKind::Pipe(a, b) => infix(Infix::Pipe, "|>", (a, b), indent),
        ExprKind::WithGradient(a, b) => infix(Infix::WithGradient, "with gradient of", (a, b), indent),
        ExprKind::If(condition, then, otherwise) => print_if(condition, then, otherwise, indent),
        ExprKind::Block(block) => print_lines(block, indent),
        ExprKind::Tuple(values) => print_tuple(values, indent),
        ExprKind::Shape(axes) => print_axes(axes, indent),
        ExprKind::Over(how, set, value) => {
            format!("{} over {} of {}", how.text(), head(set, indent), tight(value, OVER, indent))
        }
        ExprKind::By(target, by) => format!("{} by {}", head(target, indent), print_by(by, indent)),
    }
}

fn print_tuple(values: &[Expr], indent: usize) -> String {
    let comma = if values.len() == 1 { "," } else { "" };
    format!("({}{comma})", commas(values, |value| expr(value, indent)))
}

fn infix(op: Infix, text: &str, (a, b): (&Expr, &Expr), indent: usize) -> String {
    let (level, to_right) = (op.level(), text == "^");
    let left = if op.is_single() || to_right { level + 1 } else { level };
    let right = if to_right { level } else { level + 1 };
    let (left, right) = (tight(a, left, indent), tight(b, right, indent));
    if op == Infix::Range { format!("{left}..{right}") } else { format!("{left} {text} {right}") }
}

/// An expression as an operand of something that binds at `level`, in parentheses where it binds less.
fn tight(it: &Expr, level: u8, indent: usize) -> String {
    let own = match &it.kind {
        ExprKind::Unary(UnaryOp::Neg, _) => NEG,
        ExprKind::Unary(UnaryOp::Not, _) => NOT,
        ExprKind::Binary(op, ..) => Infix::Binary(*op).level(),
        ExprKind::Range(..) => Infix::Range.level(),
        ExprKind::Pipe(..) => Infix::Pipe.level(),
        ExprKind::WithGradient(..) => Infix::WithGradient.level(),
        ExprKind::Over(..) => OVER,
        ExprKind::By(..) if level > 0 => return parens(it, indent),
        ExprKind::By(..) => 0,
        ExprKind::Number(..) | ExprKind::Str(_) | ExprKind::Bool(_) | ExprKind::Name(_) => u8::MAX,
        ExprKind::Field(..) | ExprKind::Call(..) | ExprKind::Sized(..) => u8::MAX,
        ExprKind::If(..) | ExprKind::Block(_) | ExprKind::Tuple(_) | ExprKind::Shape(_) => u8::MAX,
    };
    if own < level { parens(it, indent) } else { expr(it, indent) }
}

/// What the grammar calls an operand.
fn operand(it: &Expr, indent: usize) -> String {
    tight(it, u8::MAX, indent)
}

/// What arguments, sizes and members can touch.
fn head(it: &Expr, indent: usize) -> String {
    match &it.kind {
        ExprKind::Name(_) | ExprKind::Field(..) | ExprKind::Call(..) | ExprKind::Sized(..) => expr(it, indent),
        ExprKind::Tuple(values) if !values.is_empty() => expr(it, indent),
        ExprKind::Tuple(_) | ExprKind::Number(..) | ExprKind::Str(_) | ExprKind::Bool(_) => parens(it, indent),
        ExprKind::Unary(..) | ExprKind::Binary(..) | ExprKind::Range(..) | ExprKind::Pipe(..) => parens(it, indent),
        ExprKind::WithGradient(..) | ExprKind::If(..) | ExprKind::Block(_) => parens(it, indent),
        ExprKind::Shape(_) | ExprKind::Over(..) | ExprKind::By(..) => parens(it, indent),
    }
}

fn parens(it: &Expr, indent: usize) -> String {
    format!("({})", expr(it, indent))
}

fn print_if(condition: &Expr, then: &Block, otherwise: &Block, indent: usize) -> String {
    let start = format!("if {} {} else ", expr(condition, indent), print_block(then, indent));
    let is_chain = otherwise.stmts.is_empty() && otherwise.span == otherwise.value.span;
    if let ExprKind::If(condition, then, last) = &otherwise.value.kind
        && is_chain
    {
        return start + &print_if(condition, then, last, indent);
    }
    start + &print_block(otherwise, indent)
}

fn print_by(by: &By, indent: usize) -> String {
    let factor =
        |factor: &Option<Box<Expr>>| factor.as_ref().map_or(String::new(), |f| format!(" / {}", expr(f, indent)));
    match by {
        By::Axes(names, by_factor) if names.len() == 1 => format!("{}{}", names[0].text, factor(by_factor)),
        By::Axes(names, by_factor) => {
            format!("({}){}", commas(names, |name| name.text.to_string()), factor(by_factor))
        }
        By::Whole => "whole".to_string(),
        By::Each => "each".to_string(),
        By::Blocks(sizes) => format!("blocks({})", commas(sizes, |size| expr(size, indent))),
    }
}

fn print_segment(segment: &Segment) -> String {
    match segment {
        Segment::Name(name) | Segment::Glob(name) => name.text.to_string(),
        Segment::OneOf(names, _) => format!("{{{}}}", commas(names, |name| name.text.to_string())),
        Segment::Any(_) => "**".to_string(),
    }
}

fn print_args(args: &[Arg], indent: usize) -> String {
    let args = commas(args, |arg| match &arg.name {
        Some(name) => format!("{}: {}", name.text, expr(&arg.value, indent)),
        None => expr(&arg.value, indent),
    });
    format!("({args})")
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    format!("\"{escaped}\"")
}

fn commas<T>(items: &[T], print: impl std::ops::Fn(&T) -> String) -> String {
    items.iter().map(print).collect::<Vec<_>>().join(", ")
}
