//! Grammar pairs to AST: declarations, plans, blocks and types.
//!
//! The grammar has already decided what stands where, so a missing child here is a bug, not a mistake of the user.

use std::iter::Peekable;

use pest::iterators::{Pair, Pairs};
use spnc_grammar::Rule;

use super::ast::{
    Axis, Block, Body, Budget, Data, Expr, Fn, Init, Input, InputType, Interval, Item, ItemKind, Layer, Name,
    PlanEntry, PlanKind, Sparsify, Start, Stmt, StmtKind, Target, TensorType, Use, UseName,
};
use crate::diag::{Diagnostic, FileId, Span};

/// A pair of the grammar.
pub type Node<'i> = Pair<'i, Rule>;

/// Makes AST nodes of pairs.
pub struct Builder {
    /// The file the text is of.
    pub file: FileId,
    /// Where in the file the parsed text starts.
    pub base: u32,
    /// What is wrong although the grammar allows it.
    pub errors: Vec<Diagnostic>,
    /// How deep the tree is around the node being built.
    pub depth: usize,
}

/// The children of a pair, without tokens.
pub struct Children<'i>(Peekable<Pairs<'i, Rule>>);

impl<'i> Children<'i> {
    /// The children of `node`.
    pub fn of(node: Node<'i>) -> Children<'i> {
        Children(node.into_inner().peekable())
    }

    /// The next child, if there is one and its rule is `rule`.
    pub fn optional(&mut self, rule: Rule) -> Option<Node<'i>> {
        self.skip_tokens();
        self.0.next_if(|node| node.as_rule() == rule)
    }

    /// The next child, which the grammar promises.
    pub fn need(&mut self) -> Node<'i> {
        self.next().expect("the grammar has another child here")
    }

    fn skip_tokens(&mut self) {
        while self.0.next_if(|node| is_token(node.as_rule())).is_some() {}
    }
}

impl<'i> Iterator for Children<'i> {
    type Item = Node<'i>;

    fn next(&mut self) -> Option<Node<'i>> {
        self.skip_tokens();
        self.0.next()
    }
}

/// Whether a rule is only there for messages: these are the last ones of the grammar.
pub fn is_token(rule: Rule) -> bool {
    rule == Rule::EOI || rule >= Rule::line_end
}

impl Builder {
    /// The place of a node in its file.
    pub fn span(&self, node: &Node) -> Span {
        let span = node.as_span();
        Span { file: self.file, start: self.base + span.start() as u32, end: self.base + span.end() as u32 }
    }

    /// A node that is a name.
    pub fn name(&self, node: Node) -> Name {
        Name { text: node.as_str().into(), span: self.span(&node) }
    }

    /// A declaration.
    pub fn item(&mut self, node: Node) -> Item {
        let mut parts = Children::of(node);
        let doc = parts.optional(Rule::doc).map(|doc| doc_text(doc.as_str(), "///")).unwrap_or_default();
        let decl = parts.need();
        let span = self.span(&decl);
        Item { doc, kind: self.item_kind(decl), span }
    }

    fn item_kind(&mut self, decl: Node) -> ItemKind {
        let rule = decl.as_rule();
        let mut parts = Children::of(decl);
        match rule {
            Rule::use_decl => ItemKind::Use(self.use_decl(parts)),
            Rule::const_decl => ItemKind::Const(self.name(parts.need()), self.expr(parts.need())),
            Rule::fn_decl => ItemKind::Fn(self.fn_decl(parts)),
            Rule::layer_decl => ItemKind::Layer(self.layer_decl(parts)),
            Rule::data_decl => ItemKind::Data(self.data_decl(parts)),
            Rule::model_decl => ItemKind::Model(self.name(parts.need()), self.expr(parts.need())),
            Rule::group_decl => ItemKind::Group(self.name(parts.need()), self.expr(parts.need())),
            Rule::sparsify_decl => ItemKind::Sparsify(self.sparsify_decl(parts)),
            Rule::proximal_decl => ItemKind::Proximal(self.expr(parts.need()), self.expr(parts.need())),
            Rule::budget_decl => ItemKind::Budget(self.budget_decl(parts)),
            Rule::minimize_decl => ItemKind::Minimize(self.expr(parts.need())),
            Rule::report_decl => {
                let name = parts.optional(Rule::report_name).map(|node| self.name(Children::of(node).need()));
                ItemKind::Report(name, self.expr(parts.need()))
            }
            Rule::train_decl => ItemKind::Train(self.plan(parts.need())),
            Rule::init_decl => ItemKind::Init(self.init_decl(parts)),
            other => unreachable!("{other:?} is not a declaration"),
        }
    }

    fn use_decl(&mut self, mut parts: Children) -> Use {
        let mut module = vec![];
        let mut names = vec![];
        let mut braces = false;
        for node in Children::of(parts.need()) {
            if node.as_rule() == Rule::use_list {
                braces = true;
                names = Children::of(node).map(|name| self.use_name(Children::of(name))).collect();
            } else {
                module.push(self.name(node));
            }
        }
        let alias = parts.next().map(|node| self.name(node));
        if !braces {
            names.extend(module.pop().map(|name| UseName { name, alias: alias.clone() }));
        } else if let Some(alias) = alias {
            let error = Diagnostic::new("E0102", "`as` after a list of names", alias.span, "which of them is this?");
            self.errors.push(error.help("rename inside the braces: `use std.norms.{l21 as lasso}`"));
        }
        Use { module, names, braces }
    }

    fn use_name(&mut self, mut parts: Children) -> UseName {
        UseName { name: self.name(parts.need()), alias: parts.next().map(|node| self.name(node)) }
    }

    fn fn_decl(&mut self, mut parts: Children) -> Fn {
        let name = self.name(parts.need());
        let inputs = self.inputs(parts.need());
        let result = self.result(&mut parts);
        Fn { name, inputs, result, body: self.body(parts.need()) }
    }

    fn layer_decl(&mut self, mut parts: Children) -> Layer {
        let name = self.name(parts.need());
        let sizes = match parts.optional(Rule::layer_sizes) {
            Some(sizes) => Children::of(sizes).map(|size| self.layer_size(Children::of(size))).collect(),
            None => vec![],
        };
        let first = self.inputs(parts.need());
        let second = parts.optional(Rule::inputs).map(|node| self.inputs(node));
        let (settings, inputs) = match second {
            Some(inputs) => (Some(first), inputs),
            None => (None, first),
        };
        let result = self.result(&mut parts);
        Layer { name, sizes, settings, inputs, result, body: self.body(parts.need()) }
    }

    fn layer_size(&mut self, mut parts: Children) -> (Name, Option<Expr>) {
        (self.name(parts.need()), parts.next().map(|node| self.expr(node)))
    }

    fn inputs(&mut self, node: Node) -> Vec<Input> {
        Children::of(node).map(|input| self.input(Children::of(input))).collect()
    }

    fn input(&mut self, mut parts: Children) -> Input {
        let name = self.name(parts.need());
        let ty = match parts.optional(Rule::axis_type) {
            Some(axis) => Some(InputType::Axis(self.span(&axis))),
            None => parts.optional(Rule::tensor_type).map(|ty| InputType::Tensor(self.tensor_type(ty))),
        };
        Input { name, ty, default: parts.next().map(|node| self.expr(node)) }
    }

    fn result(&mut self, parts: &mut Children) -> Vec<TensorType> {
        match parts.optional(Rule::result) {
            Some(node) => Children::of(node).map(|ty| self.tensor_type(ty)).collect(),
            None => vec![],
        }
    }

    fn body(&mut self, node: Node) -> Body {
        let value = Children::of(node).need();
        match value.as_rule() {
            Rule::block => Body::Block(self.block(value)),
            _ => Body::Expr(self.expr(value)),
        }
    }

    fn data_decl(&mut self, mut parts: Children) -> Data {
        let name = self.name(parts.need());
        let mut source = Children::of(parts.need());
        let reader = self.name(source.need());
        let args = self.args(source.need());
        let fields = parts.next().map(|fields| self.pairs(fields, Builder::name)).unwrap_or_default();
        Data { name, source: reader, args, fields }
    }

    /// The `key = value` lines of `node`.
    fn pairs<K>(&mut self, node: Node, key: impl std::ops::Fn(&Builder, Node) -> K) -> Vec<(K, Expr)> {
        let mut out = vec![];
        for pair in Children::of(node) {
            let mut parts = Children::of(pair);
            out.push((key(self, parts.need()), self.expr(parts.need())));
        }
        out
    }

    fn sparsify_decl(&mut self, mut parts: Children) -> Sparsify {
        let target = self.expr(parts.need());
        let mut with = vec![];
        while let Some(layer) = parts.optional(Rule::expr) {
            with.push(self.expr(layer));
        }
        let name = parts.next().map(|node| self.name(Children::of(node).need()));
        Sparsify { target, with, name }
    }

    fn budget_decl(&mut self, mut parts: Children) -> Budget {
        let quantity = self.name(parts.need());
        let (of, limit) = (self.expr(parts.need()), self.operand(parts.need()));
        Budget { quantity, of, limit, by: self.expr(parts.need()) }
    }

    fn init_decl(&mut self, mut parts: Children) -> Init {
        let (target, file) = (self.expr(parts.need()), self.operand(parts.need()));
        let mut names = vec![];
        for mapping in parts.next().into_iter().flat_map(Children::of) {
            let mut sides = Children::of(mapping);
            names.push((self.expr(sides.need()), self.operand(sides.need())));
        }
        Init { target, file, names }
    }

    fn plan(&mut self, node: Node) -> Vec<PlanEntry> {
        Children::of(node).map(|entry| self.plan_entry(entry)).collect()
    }

    fn plan_entry(&mut self, node: Node) -> PlanEntry {
        let (span, rule) = (self.span(&node), node.as_rule());
        let mut parts = Children::of(node);
        let kind = match rule {
            Rule::setting => PlanKind::Setting(self.name(parts.need()), self.expr(parts.need())),
            Rule::optimizer_for => PlanKind::OptimizerFor(self.expr(parts.need()), self.expr(parts.need())),
            Rule::phase => {
                let name = parts.optional(Rule::ident).map(|name| self.name(name));
                PlanKind::Phase(name, self.plan(parts.need()))
            }
            Rule::repeat => PlanKind::Repeat(self.name(parts.need()), self.expr(parts.need()), self.plan(parts.need())),
            Rule::for_each => PlanKind::For(self.name(parts.need()), self.expr(parts.need()), self.plan(parts.need())),
            Rule::fire => PlanKind::Fire(self.operand(parts.need()), parts.next().map(|node| self.expr(node))),
            Rule::every_plan => PlanKind::Every(self.interval(parts.need()), self.plan(parts.need())),
            other => unreachable!("{other:?} is not an entry of a plan"),
        };
        PlanEntry { kind, span }
    }

    fn interval(&mut self, node: Node) -> Interval {
        Children::of(node).next().map_or(Interval::Epoch, |steps| Interval::Steps(self.expr(steps)))
    }

    /// `{ … }` with a value.
    pub fn block(&mut self, node: Node) -> Block {
        let span = self.span(&node);
        let mut lines: Vec<Node> = Children::of(node).collect();
        let last = lines.pop();
        let stmts = lines.into_iter().filter_map(|line| self.line(line)).collect();
        Block { stmts, value: Box::new(self.block_value(last, span)), span }
    }

    /// A line that is not the last one.
    fn line(&mut self, line: Node) -> Option<Stmt> {
        if line.as_rule() != Rule::expr {
            return Some(self.stmt(line));
        }
        let label = "this value is neither named nor returned";
        let error = Diagnostic::new("E0106", "a value is dropped", self.span(&line), label);
        let help = match written_in(line) {
            Some(state) => format!("choose the value that is written: `{state} <- if c {{ a }} else {{ {state} }}`"),
            None => "name it, as in `x = …`, or delete the line; only the last line is the block's value".into(),
        };
        self.errors.push(error.help(help));
        None
    }

    fn block_value(&mut self, last: Option<Node>, block: Span) -> Expr {
        match last {
            Some(line) if line.as_rule() == Rule::expr => self.expr(line),
            other => {
                let span = other.as_ref().map_or(block, |line| self.span(line));
                drop(other.map(|line| self.stmt(line)));
                let error =
                    Diagnostic::new("E0107", "a block without a value", span, "expected a value on the last line");
                self.errors.push(error.help("end the block with the value it stands for, on a line of its own: `x`"));
                placeholder(span)
            }
        }
    }

    fn stmt(&mut self, node: Node) -> Stmt {
        let (span, rule) = (self.span(&node), node.as_rule());
        let mut parts = Children::of(node);
        let kind = match rule {
            Rule::param_stmt => {
                StmtKind::Param(self.name(parts.need()), self.tensor_type(parts.need()), self.start(parts.need()))
            }
            Rule::state_stmt => {
                StmtKind::State(self.name(parts.need()), self.tensor_type(parts.need()), self.start(parts.need()))
            }
            Rule::measure_stmt => StmtKind::Measure(self.name(parts.need()), self.expr(parts.need())),
            Rule::bind => {
                let name = self.name(parts.need());
                let ty = parts.optional(Rule::tensor_type).map(|ty| self.tensor_type(ty));
                StmtKind::Bind(name, ty, self.expr(parts.need()))
            }
            Rule::bind_tuple => self.bind_tuple(parts),
            Rule::update => StmtKind::Update(self.target(parts.need()), self.expr(parts.need())),
            Rule::on_stmt => {
                let name = self.name(parts.need());
                let inputs = parts.optional(Rule::inputs).map(|node| self.inputs(node)).unwrap_or_default();
                StmtKind::On(name, inputs, self.handler(parts.need()))
            }
            Rule::every_stmt => StmtKind::Every(self.interval(parts.need()), self.handler(parts.need())),
            other => unreachable!("{other:?} is not a line of a block"),
        };
        Stmt { kind, span }
    }

    fn handler(&mut self, node: Node) -> Vec<Stmt> {
        Children::of(node).map(|line| self.stmt(line)).collect()
    }

    fn bind_tuple(&mut self, mut parts: Children) -> StmtKind {
        let mut names = vec![];
        while let Some(name) = parts.optional(Rule::ident) {
            names.push(self.name(name));
        }
        StmtKind::BindTuple(names, self.expr(parts.need()))
    }

    fn start(&mut self, node: Node) -> Start {
        let draw = node.as_rule() == Rule::start_draw;
        let value = self.expr(Children::of(node).need());
        if draw { Start::Draw(value) } else { Start::Value(value) }
    }

    fn target(&mut self, node: Node) -> Target {
        let inner = Children::of(node).need();
        let raw = inner.as_rule() == Rule::raw_path;
        let path = if raw { Children::of(inner).need() } else { inner };
        Target { raw, path: self.path(path) }
    }

    /// `f32[B, ...S]`.
    pub fn tensor_type(&mut self, node: Node) -> TensorType {
        let span = self.span(&node);
        let mut parts = Children::of(node);
        let dtype = parts.optional(Rule::dtype).map(|name| self.name(name));
        TensorType { dtype, axes: self.axes(parts.need()), span }
    }

    /// `[B, ...S]`.
    pub fn axes(&mut self, node: Node) -> Vec<Axis> {
        Children::of(node).map(|axis| self.axis(axis)).collect()
    }

    fn axis(&mut self, node: Node) -> Axis {
        match node.as_rule() {
            Rule::rest_axis => Axis::Rest(self.name(Children::of(node).need())),
            Rule::named_axis => {
                let mut parts = Children::of(node);
                Axis::Named(self.name(parts.need()), self.expr(parts.need()))
            }
            _ => Axis::Size(self.expr(node)),
        }
    }
}

/// What stands in the tree for what could not be read; a diagnostic goes with it.
pub fn placeholder(span: Span) -> Expr {
    Expr { kind: super::ast::ExprKind::Tuple(vec![]), span }
}

/// A doc comment without its slashes.
pub fn doc_text(comment: &str, slashes: &str) -> String {
    let lines = comment.lines().map(str::trim).filter_map(|line| line.strip_prefix(slashes));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// What a value writes in one of its blocks, where it can't be written.
fn written_in(value: Node) -> Option<String> {
    let mut inside = value.into_inner().flatten();
    inside.find(|node| node.as_rule() == Rule::update_target).map(|target| target.as_str().to_string())
}
