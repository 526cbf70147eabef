//! HIR to text, for people: definitions under their full names, every operation in parentheses, no sugar.
//!
//! A local whose name is bound twice in its definition is printed with its number: `x#4`.

use std::fmt::Write as _;

use super::hir::{
    Arg, AxesPattern, AxisPattern, BinaryOp, Block, Builtin, Data, Decl, DeclKind, Def, DefId, DefKind, Expr, ExprKind,
    Fn, GroupBy, GroupExpr, Init, Input, InputType, Interval, Layer, Local, LocalDef, Name, Over, PlanEntry, PlanKind,
    Program, Quantity, Segment, Start, Stmt, StmtKind, Train, UnaryOp,
};

/// The text of a program.
pub fn print(program: &Program) -> String {
    let mut blocks: Vec<String> = program.defs.iter().map(|def| print_def(program, def)).collect();
    let top = Printer { program, locals: &program.locals };
    blocks.extend(program.decls.iter().map(|decl| top.decl(decl) + "\n"));
    blocks.join("\n")
}

fn print_def(program: &Program, def: &Def) -> String {
    let mut out: String = def.doc.lines().map(|line| format!("{}\n", format!("/// {line}").trim_end())).collect();
    let name = full_name(def);
    let top = Printer { program, locals: &program.locals };
    let _ = match &def.kind {
        DefKind::Const(value) => writeln!(out, "const {name} = {}", top.expr(value, 0)),
        DefKind::Fn(it) => writeln!(out, "{}", Printer { program, locals: &it.locals }.function(&name, it)),
        DefKind::Layer(it) => writeln!(out, "{}", Printer { program, locals: &it.locals }.layer(&name, it)),
        DefKind::Data(it) => writeln!(out, "{}", top.data(&name, it)),
        DefKind::Model(value) => writeln!(out, "model {name} = {}", top.expr(value, 0)),
        DefKind::Group(group) => writeln!(out, "group {name} = {}", top.group(group, 0)),
        DefKind::Sparsified(decl) => writeln!(out, "sparsified {name} = declaration {decl}"),
    };
    out
}

fn full_name(def: &Def) -> String {
    if def.module.is_empty() { def.name.text.to_string() } else { format!("{}.{}", def.module, def.name.text) }
}

/// Prints what stands in one definition, or at the top level.
struct Printer<'p> {
    program: &'p Program,
    locals: &'p [LocalDef],
}

impl Printer<'_> {
    fn local(&self, local: Local) -> String {
        let name = &self.locals[local.0 as usize].name.text;
        let twice = self.locals.iter().filter(|other| other.name.text == *name).count() > 1;
        if twice { format!("{name}#{}", local.0) } else { name.to_string() }
    }

    fn def(&self, def: DefId) -> String {
        full_name(&self.program.defs[def.0 as usize])
    }

    fn function(&self, name: &str, it: &Fn) -> String {
        format!("fn {name}{}{} {}", self.inputs(&it.inputs), self.result(&it.result), self.block(&it.body, 0))
    }

    fn layer(&self, name: &str, it: &Layer) -> String {
        let sizes = commas(&it.sizes, |size| {
            let default = size.default.as_ref().map_or(String::new(), |value| format!(" = {}", self.expr(value, 0)));
            format!("{}{default}", self.local(size.local))
        });
        let (settings, inputs) = (self.inputs(&it.settings), self.inputs(&it.inputs));
        format!("layer {name}[{sizes}]{settings}{inputs}{} {}", self.result(&it.result), self.block(&it.body, 0))
    }

    fn inputs(&self, inputs: &[Input]) -> String {
        let inputs = commas(inputs, |input| {
            let ty = match &input.ty {
                None => String::new(),
                Some(InputType::Axis) => ": axis".to_string(),
                Some(InputType::Tensor(ty)) => format!(": {}", self.ty(ty)),
            };
            let default = input.default.as_ref().map_or(String::new(), |value| format!(" = {}", self.expr(value, 0)));
            format!("{}{ty}{default}", self.local(input.local))
        });
        format!("({inputs})")
    }

    fn result(&self, result: &[AxesPattern]) -> String {
        match result {
            [] => String::new(),
            [ty] => format!(" -> {}", self.ty(ty)),
            several => format!(" -> ({})", commas(several, |ty| self.ty(ty))),
        }
    }

    fn ty(&self, ty: &AxesPattern) -> String {
        format!("{}{}", ty.dtype.as_deref().unwrap_or_default(), self.axes(&ty.axes))
    }

    fn axes(&self, axes: &[AxisPattern]) -> String {
        let axes = commas(axes, |axis| match axis {
            AxisPattern::Axis { name: Some(name), size, .. } => format!("{}: {}", name.text, self.expr(size, 0)),
            AxisPattern::Axis { name: None, size, .. } => self.expr(size, 0),
            AxisPattern::Rest(local, _) => format!("...{}", self.local(*local)),
        });
        format!("[{axes}]")
    }

    fn data(&self, name: &str, it: &Data) -> String {
        let fields = it.fields.iter().map(|(name, value)| format!("{} = {}", name.text, self.expr(value, 1)));
        format!("data {name} = {}{} {}", it.source.text, self.args(&it.args, 0), braces(fields, 0))
    }

    fn block(&self, block: &Block, indent: usize) -> String {
        let stmts = block.stmts.iter().map(|stmt| self.stmt(stmt, indent + 1));
        braces(stmts.chain([self.expr(&block.value, indent + 1)]), indent)
    }

    fn stmt(&self, stmt: &Stmt, indent: usize) -> String {
        match &stmt.kind {
            StmtKind::Bind { local, ty: None, value } => {
                format!("{} = {}", self.local(*local), self.expr(value, indent))
            }
            StmtKind::Bind { local, ty: Some(ty), value } => {
                format!("{}: {} = {}", self.local(*local), self.ty(ty), self.expr(value, indent))
            }
            StmtKind::BindTuple(locals, value) => {
                format!("({}) = {}", commas(locals, |local| self.local(*local)), self.expr(value, indent))
            }
            StmtKind::Param { local, ty, start } => self.start("param", *local, ty, start, indent),
            StmtKind::State { local, ty, start } => self.start("state", *local, ty, start, indent),
            StmtKind::Measure(local, value) => format!("measure {} = {}", self.local(*local), self.expr(value, indent)),
            StmtKind::Update(target, value) => {
                let path = self.expr(&target.path, indent);
                let path = if target.raw { format!("raw({path})") } else { path };
                format!("{path} <- {}", self.expr(value, indent))
            }
            StmtKind::On { event, inputs, body } => {
                format!("on {}{} {}", event.text, self.inputs(inputs), self.handler(body, indent))
            }
            StmtKind::Every(interval, body) => {
                format!("every {} {}", self.interval(interval), self.handler(body, indent))
            }
        }
    }

    fn handler(&self, body: &[Stmt], indent: usize) -> String {
        braces(body.iter().map(|stmt| self.stmt(stmt, indent + 1)), indent)
    }

    fn interval(&self, interval: &Interval) -> String {
        match interval {
            Interval::Epoch => "epoch".to_string(),
            Interval::Steps(n) => format!("{} steps", self.expr(n, 0)),
        }
    }

    fn start(&self, word: &str, local: Local, ty: &AxesPattern, start: &Start, indent: usize) -> String {
        let (sign, value) = match start {
            Start::Value(value) => ("=", value),
            Start::Draw(value) => ("~", value),
        };
        format!("{word} {}: {} {sign} {}", self.local(local), self.ty(ty), self.expr(value, indent))
    }

    fn expr(&self, it: &Expr, indent: usize) -> String {
        match &it.kind {
            ExprKind::Number(value) => print_number(*value),
            ExprKind::Str(text) => format!("{text:?}"),
            ExprKind::Bool(value) => value.to_string(),
            ExprKind::Local(local) => self.local(*local),
            ExprKind::Def(def) => self.def(*def),
            ExprKind::Builtin(builtin) => print_builtin(*builtin).to_string(),
            ExprKind::AxisName(name) => format!("'{name}"),
            ExprKind::Field(base, segment) => format!("{}.{}", self.expr(base, indent), print_segment(segment)),
            ExprKind::Call(callee, args) => self.expr(callee, indent) + &self.args(args, indent),
            ExprKind::Sized(base, sizes) => {
                let sizes = commas(sizes, |(name, value)| format!("{} = {}", name.text, self.expr(value, indent)));
                format!("{}[{sizes}]", self.expr(base, indent))
            }
            ExprKind::Unary(UnaryOp::Neg, value) => format!("(-{})", self.expr(value, indent)),
            ExprKind::Unary(UnaryOp::Not, value) => format!("(not {})", self.expr(value, indent)),
            ExprKind::Binary(op, a, b) => self.infix(a, &format!(" {} ", print_operator(*op)), b, indent),
            ExprKind::Range(a, b) => self.infix(a, "..", b, indent),
            ExprKind::If(condition, then, otherwise) => {
                let (then, otherwise) = (self.block(then, indent), self.block(otherwise, indent));
                format!("if {} {then} else {otherwise}", self.expr(condition, indent))
            }
            ExprKind::Block(block) => self.block(block, indent),
            ExprKind::Tuple(values) => format!("({})", commas(values, |value| self.expr(value, indent))),
            ExprKind::Shape(axes) => self.axes(axes),
            ExprKind::WithGradient(a, b) => self.infix(a, " with gradient of ", b, indent),
            ExprKind::Over(how, set, value) => {
                format!("({} over {} of {})", print_over(*how), self.expr(set, indent), self.expr(value, indent))
            }
            ExprKind::Group(group) => format!("({})", self.group(group, indent)),
            ExprKind::Raw(path) => format!("raw({})", self.expr(path, indent)),
            ExprKind::Join(parts) => format!("join({})", commas(parts, |part| self.expr(part, indent))),
        }
    }

    fn infix(&self, a: &Expr, op: &str, b: &Expr, indent: usize) -> String {
        format!("({}{op}{})", self.expr(a, indent), self.expr(b, indent))
    }

    fn args(&self, args: &[Arg], indent: usize) -> String {
        let args = commas(args, |arg| match &arg.name {
            Some(name) => format!("{}: {}", name.text, self.expr(&arg.value, indent)),
            None => self.expr(&arg.value, indent),
        });
        format!("({args})")
    }

    fn group(&self, group: &GroupExpr, indent: usize) -> String {
        let by = match &group.by {
            None => return self.expr(&group.target, indent),
            Some(GroupBy::Axes(names, None)) => commas(names, |name| name.text.to_string()),
            Some(GroupBy::Axes(names, Some(run))) => {
                format!("{} / {}", commas(names, |name| name.text.to_string()), self.expr(run, indent))
            }
            Some(GroupBy::Whole) => "whole".to_string(),
            Some(GroupBy::Each) => "each".to_string(),
            Some(GroupBy::Blocks(sizes)) => format!("blocks({})", commas(sizes, |size| self.expr(size, indent))),
        };
        format!("{} by {by}", self.expr(&group.target, indent))
    }

    fn decl(&self, decl: &Decl) -> String {
        match &decl.kind {
            DeclKind::Sparsify { target, with, name } => {
                let with: Vec<String> = with.iter().map(|layer| self.expr(layer, 0)).collect();
                let name = name.as_ref().map_or(String::new(), |name| format!(" as {}", name.text));
                format!("sparsify {} with {}{name}", self.expr(target, 0), with.join(" then "))
            }
            DeclKind::Proximal { target, with } => {
                format!("proximal {} with {}", self.expr(target, 0), self.expr(with, 0))
            }
            DeclKind::Budget { quantity, of, limit, by } => {
                let (of, limit, by) = (self.expr(of, 0), self.expr(limit, 0), self.expr(by, 0));
                format!("budget {}({of}) <= {limit} by {by}", print_quantity(*quantity))
            }
            DeclKind::Minimize(value) => format!("minimize {}", self.expr(value, 0)),
            DeclKind::Report(None, value) => format!("report {}", self.expr(value, 0)),
            DeclKind::Report(Some(name), value) => format!("report {} = {}", name.text, self.expr(value, 0)),
            DeclKind::Train(train) => self.train(train),
            DeclKind::Init(init) => self.init(init),
        }
    }

    fn train(&self, train: &Train) -> String {
        format!("train {}", self.plan(&train.entries, 0))
    }

    fn plan(&self, entries: &[PlanEntry], indent: usize) -> String {
        braces(entries.iter().map(|entry| self.plan_entry(entry, indent + 1)), indent)
    }

    fn plan_entry(&self, entry: &PlanEntry, indent: usize) -> String {
        match &entry.kind {
            PlanKind::Setting(name, value) => format!("{} = {}", name.text, self.expr(value, indent)),
            PlanKind::OptimizerFor(path, value) => {
                format!("optimizer for {} = {}", self.expr(path, indent), self.expr(value, indent))
            }
            PlanKind::Phase(name, entries) => {
                let name = name.as_ref().map_or(String::new(), |name| format!("{} ", name.text));
                format!("phase {name}{}", self.plan(entries, indent))
            }
            PlanKind::Repeat(local, rounds, entries) => {
                let (name, rounds) = (self.local(*local), self.expr(rounds, indent));
                format!("repeat {name} in {rounds} {}", self.plan(entries, indent))
            }
            PlanKind::For(local, set, entries) => {
                let (name, set) = (self.local(*local), self.expr(set, indent));
                format!("for {name} in {set} {}", self.plan(entries, indent))
            }
            PlanKind::Fire(fire) => {
                let on = fire.on.as_ref().map_or(String::new(), |on| format!(" on {}", self.expr(on, indent)));
                format!("fire {}{}{on}", fire.event.text, self.args(&fire.args, indent))
            }
            PlanKind::Every(interval, entries) => {
                format!("every {} {}", self.interval(interval), self.plan(entries, indent))
            }
        }
    }

    fn init(&self, init: &Init) -> String {
        let names = init.names.iter().map(|mapping| {
            let path: Vec<String> = mapping.path.iter().map(print_segment).collect();
            format!("{} = {}", path.join("."), self.expr(&mapping.file_name, 1))
        });
        format!("init {} from {} {}", self.expr(&init.target, 0), self.expr(&init.file, 0), braces(names, 0))
    }
}

/// The shortest text that reads back as the number, with an exponent where that is shorter.
fn print_number(value: f64) -> String {
    let (plain, scientific) = (format!("{value}"), format!("{value:e}"));
    if plain.len() <= scientific.len() + 3 { plain } else { scientific }
}

fn print_builtin(builtin: Builtin) -> &'static str {
    match builtin {
        Builtin::Prim(name) => name,
        Builtin::Training => "training",
        Builtin::Step => "step",
        Builtin::Epoch => "epoch",
        Builtin::Progress => "progress",
    }
}

fn print_quantity(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Params => "params",
        Quantity::Flops => "flops",
    }
}

fn print_over(how: Over) -> &'static str {
    match how {
        Over::Mean => "mean",
        Over::Max => "max",
        Over::Each => "each",
    }
}

fn print_operator(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Pow => "^",
        BinaryOp::MatMul => "@",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
    }
}

fn print_segment(segment: &Segment) -> String {
    match segment {
        Segment::Name(name) | Segment::Glob(name) => name.text.to_string(),
        Segment::OneOf(names, _) => format!("{{{}}}", commas(names, |name: &Name| name.text.to_string())),
        Segment::Any(_) => "**".to_string(),
    }
}

fn braces(lines: impl Iterator<Item = String>, indent: usize) -> String {
    let inner: String = lines.map(|line| format!("{}{line}\n", "    ".repeat(indent + 1))).collect();
    format!("{{\n{inner}{}}}", "    ".repeat(indent))
}

fn commas<T>(items: &[T], print: impl std::ops::Fn(&T) -> String) -> String {
    items.iter().map(print).collect::<Vec<_>>().join(", ")
}
