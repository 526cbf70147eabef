//! Grammar pairs to AST: expressions.

use spnc_grammar::Rule;

use super::ast::{Arg, BinaryOp, Block, By, Expr, ExprKind, Name, Over, Segment, UnaryOp};
use super::build::{Builder, Children, Node, placeholder};
use super::depth::{MAX_TREE, too_deep};
use super::precedence::{Infix, Piece, Prefix, tree};
use crate::diag::{Diagnostic, Span};

impl Builder {
    /// `expr` or `inner_expr`.
    pub fn expr(&mut self, node: Node) -> Expr {
        let span = self.span(&node);
        let nodes: Vec<Node> = Children::of(node).collect();
        self.deeper(nodes.len(), span, |this| {
            let pieces = nodes.into_iter().map(|piece| this.piece(piece)).collect();
            tree(pieces, &mut this.errors)
        })
    }

    /// Builds something that may be `levels` deep, unless that is too deep.
    fn deeper(&mut self, levels: usize, span: Span, build: impl FnOnce(&mut Builder) -> Expr) -> Expr {
        self.depth += levels;
        let built = if self.depth > MAX_TREE {
            self.errors.push(too_deep(span));
            placeholder(span)
        } else {
            build(self)
        };
        self.depth -= levels;
        built
    }

    fn piece(&mut self, node: Node) -> Piece {
        let (span, rule) = (self.span(&node), node.as_rule());
        match rule {
            Rule::neg => Piece::Prefix(Prefix::Unary(UnaryOp::Neg), span),
            Rule::not => Piece::Prefix(Prefix::Unary(UnaryOp::Not), span),
            Rule::over => {
                let mut parts = Children::of(node);
                let how = over_how(parts.need().as_str());
                Piece::Prefix(Prefix::Over(how, self.operand(parts.need())), span)
            }
            Rule::operand_by => Piece::Operand(self.operand_by(Children::of(node))),
            _ => match infix(rule) {
                Some(op) => Piece::Infix(op, span),
                None => Piece::Operand(self.operand(node)),
            },
        }
    }

    fn operand_by(&mut self, mut parts: Children) -> Expr {
        let target = self.operand(parts.need());
        match parts.next() {
            None => target,
            Some(clause) => {
                let span = target.span.to(self.span(&clause));
                let by = self.by(Children::of(clause).need());
                Expr { kind: ExprKind::By(Box::new(target), by), span }
            }
        }
    }

    fn by(&mut self, node: Node) -> By {
        match node.as_rule() {
            Rule::by_whole => By::Whole,
            Rule::by_each => By::Each,
            Rule::by_blocks => By::Blocks(Children::of(node).map(|size| self.expr(size)).collect()),
            _ => {
                let mut parts = Children::of(node);
                let mut names = vec![];
                while let Some(name) = parts.optional(Rule::ident) {
                    names.push(self.name(name));
                }
                let factor = parts.next().map(|factor| Box::new(self.operand(Children::of(factor).need())));
                By::Axes(names, factor)
            }
        }
    }

    /// Anything that is not made with an operator.
    pub fn operand(&mut self, node: Node) -> Expr {
        let span = self.span(&node);
        let kind = match node.as_rule() {
            Rule::number => self.number(&node),
            Rule::string => ExprKind::Str(self.string(&node).into()),
            Rule::boolean => ExprKind::Bool(node.as_str() == "true"),
            Rule::ident => ExprKind::Name(node.as_str().into()),
            Rule::block => ExprKind::Block(self.block(node)),
            Rule::shape => ExprKind::Shape(self.axes(Children::of(node).need())),
            Rule::reference => return self.reference(node),
            Rule::paren => return self.paren(node),
            Rule::if_expr => {
                let parts: Vec<Node> = Children::of(node).collect();
                return self.deeper(parts.len() / 2, span, |this| this.if_expr(parts));
            }
            other => unreachable!("{other:?} is not an operand"),
        };
        Expr { kind, span }
    }

    fn number(&mut self, node: &Node) -> ExprKind {
        let text = node.as_str();
        let (digits, percent) = text.strip_suffix('%').map_or((text, false), |digits| (digits, true));
        let mut value: f64 = digits.parse().expect("the grammar lets only numbers through");
        if !(value as f32).is_finite() {
            let error = Diagnostic::new("E0104", "a number too large", self.span(node), "does not fit into 32 bits");
            self.errors.push(error.help("the largest number is 3.4028234e38"));
            value = 0.0;
        }
        ExprKind::Number(if percent { value / 100.0 } else { value }, text.into())
    }

    fn string(&mut self, node: &Node) -> String {
        let text = node.as_str();
        let mut out = String::new();
        let mut chars = text[1..text.len() - 1].char_indices();
        while let Some((at, c)) = chars.next() {
            let escaped = if c == '\\' { chars.next().map(|(_, escaped)| escaped) } else { None };
            match escaped {
                None => out.push(c),
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(plain @ ('"' | '\\')) => out.push(plain),
                Some(other) => self.bad_escape(node, at + 1, other),
            }
        }
        out
    }

    fn bad_escape(&mut self, node: &Node, at: usize, escaped: char) {
        let start = self.span(node).start + at as u32;
        let span = Span { file: self.file, start, end: start + 1 + escaped.len_utf8() as u32 };
        let title = format!("unknown escape `\\{escaped}` in a string");
        let error = Diagnostic::new("E0110", title, span, "expected `\\\"`, `\\\\`, `\\n` or `\\t`");
        self.errors.push(error.help("write a backslash as `\\\\`; in paths use `/`"));
    }

    fn paren(&mut self, node: Node) -> Expr {
        let span = self.span(&node);
        let comma = node.as_str().trim_end_matches(')').trim_end().ends_with(',');
        let mut values: Vec<Expr> = Children::of(node).map(|value| self.expr(value)).collect();
        match values.pop() {
            Some(value) if values.is_empty() && !comma => Expr { span, ..value },
            last => {
                values.extend(last);
                Expr { kind: ExprKind::Tuple(values), span }
            }
        }
    }

    fn if_expr(&mut self, parts: Vec<Node>) -> Expr {
        let mut parts = parts.into_iter().rev();
        let last = parts.next().expect("an `if` ends with a block");
        let mut end = self.span(&last);
        let mut otherwise = self.block(last);
        loop {
            let (Some(then), Some(condition)) = (parts.next(), parts.next()) else {
                return *otherwise.value;
            };
            let span = self.span(&condition).to(end);
            let (condition, then) = (Box::new(self.expr(condition)), self.block(then));
            end = span;
            let value = Box::new(Expr { kind: ExprKind::If(condition, then, otherwise), span });
            otherwise = Block { stmts: vec![], value, span };
        }
    }

    fn reference(&mut self, node: Node) -> Expr {
        let span = self.span(&node);
        let nodes: Vec<Node> = Children::of(node).collect();
        self.deeper(nodes.len() - 1, span, |this| {
            let mut nodes = nodes.into_iter();
            let head = nodes.next().expect("a reference starts with a name or parentheses");
            let head = this.operand(head);
            nodes.fold(head, |base, suffix| this.suffix(base, suffix))
        })
    }

    /// A name and its members.
    pub fn path(&mut self, node: Node) -> Expr {
        self.reference(node)
    }

    fn suffix(&mut self, base: Expr, node: Node) -> Expr {
        let own = self.span(&node);
        let span = base.span.to(own);
        let base = Box::new(base);
        let kind = match node.as_rule() {
            Rule::args => ExprKind::Call(base, self.args(node)),
            Rule::sizes => {
                ExprKind::Sized(base, Children::of(node).map(|size| self.size(Children::of(size))).collect())
            }
            Rule::any => ExprKind::Field(base, Segment::Any(own)),
            Rule::glob => ExprKind::Field(base, Segment::Glob(self.name(node))),
            Rule::one_of => {
                let names = Children::of(node).map(|name| self.name(name)).collect();
                ExprKind::Field(base, Segment::OneOf(names, own))
            }
            _ => ExprKind::Field(base, Segment::Name(self.name(node))),
        };
        Expr { kind, span }
    }

    fn size(&mut self, mut parts: Children) -> (Name, Expr) {
        (self.name(parts.need()), self.expr(parts.need()))
    }

    /// `(x, p: 0.5)`.
    pub fn args(&mut self, node: Node) -> Vec<Arg> {
        Children::of(node).map(|arg| self.arg(Children::of(arg))).collect()
    }

    fn arg(&mut self, mut parts: Children) -> Arg {
        let name = parts.optional(Rule::arg_name).map(|name| self.name(Children::of(name).need()));
        Arg { name, value: self.expr(parts.need()) }
    }
}

fn over_how(text: &str) -> Over {
    match text {
        "mean" => Over::Mean,
        "max" => Over::Max,
        _ => Over::Each,
    }
}

fn infix(rule: Rule) -> Option<Infix> {
    Some(match rule {
        Rule::with_gradient => Infix::WithGradient,
        Rule::pipe => Infix::Pipe,
        Rule::range => Infix::Range,
        Rule::or => Infix::Binary(BinaryOp::Or),
        Rule::and => Infix::Binary(BinaryOp::And),
        Rule::eq => Infix::Binary(BinaryOp::Eq),
        Rule::ne => Infix::Binary(BinaryOp::Ne),
        Rule::le => Infix::Binary(BinaryOp::Le),
        Rule::lt => Infix::Binary(BinaryOp::Lt),
        Rule::ge => Infix::Binary(BinaryOp::Ge),
        Rule::gt => Infix::Binary(BinaryOp::Gt),
        Rule::add => Infix::Binary(BinaryOp::Add),
        Rule::sub | Rule::line_sub => Infix::Binary(BinaryOp::Sub),
        Rule::mul => Infix::Binary(BinaryOp::Mul),
        Rule::div => Infix::Binary(BinaryOp::Div),
        Rule::matmul => Infix::Binary(BinaryOp::MatMul),
        Rule::pow => Infix::Binary(BinaryOp::Pow),
        _ => return None,
    })
}
