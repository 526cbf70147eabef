//! Signatures, axes and bindings to HIR.

use std::collections::HashMap;

use super::errors::NameError;
use super::hir::{
    AxesPattern, AxisPattern, Block, Expr, ExprKind, Input, InputType, Local, LocalKind, Start, Stmt, StmtKind, Symbol,
    Target,
};
use super::lookup::{Lower, Meaning, Place, Role, hir_name, is_capitalised};
use crate::diag::Span;
use crate::syntax::ast;

/// Which names an axis may bind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Binds {
    /// Every name that is not a constant of the file: sizes of a signature.
    All,
    /// Capitalised names: sizes that a body finds out.
    Capitals,
    /// None: sizes of a shape, where an unknown name stands for what is left over.
    Nothing,
}

impl Lower<'_, '_> {
    pub(super) fn bind_inputs(&mut self, inputs: &[ast::Input]) -> Vec<Local> {
        inputs.iter().map(|input| self.bind(&input.name, LocalKind::Input)).collect()
    }

    pub(super) fn inputs(&mut self, inputs: &[ast::Input], names: &[Local]) -> Vec<Input> {
        inputs.iter().zip(names).map(|(input, local)| self.input(input, *local)).collect()
    }

    fn input(&mut self, input: &ast::Input, local: Local) -> Input {
        let ty = input.ty.as_ref().map(|ty| match ty {
            ast::InputType::Tensor(ty) => InputType::Tensor(self.axes(ty, Binds::All)),
            ast::InputType::Axis(_) => InputType::Axis,
        });
        Input { local, ty, default: input.default.as_ref().map(|default| self.expr(default)) }
    }

    pub(super) fn result(&mut self, result: &[ast::TensorType]) -> Vec<AxesPattern> {
        result.iter().map(|ty| self.axes(ty, Binds::All)).collect()
    }

    fn axes(&mut self, ty: &ast::TensorType, binds: Binds) -> AxesPattern {
        let dtype = ty.dtype.as_ref().map(|name| name.text.clone());
        AxesPattern { dtype, axes: self.axis_list(&ty.axes, binds), span: ty.span }
    }

    pub(super) fn axis_list(&mut self, axes: &[ast::Axis], binds: Binds) -> Vec<AxisPattern> {
        axes.iter().map(|axis| self.axis(axis, binds)).collect()
    }

    fn axis(&mut self, axis: &ast::Axis, binds: Binds) -> AxisPattern {
        match axis {
            ast::Axis::Rest(name) => AxisPattern::Rest(self.rest(name), name.span),
            ast::Axis::Named(name, size) => {
                let _ = self.labels.insert(name.text.clone());
                let (local, size) = self.size(size, binds);
                let local = local.filter(|local| self.locals[local.0 as usize].name.text == name.text);
                AxisPattern::Axis { name: Some(hir_name(name)), local, size }
            }
            ast::Axis::Size(size) => {
                let name = size.as_name().as_ref().map(hir_name);
                let (local, size) = self.size(size, binds);
                AxisPattern::Axis { name, local, size }
            }
        }
    }

    /// `...S` means the axes that `S` is bound to, or binds it.
    fn rest(&mut self, name: &ast::Name) -> Local {
        self.local(&name.text).unwrap_or_else(|| self.bind_outside(name, LocalKind::Rest))
    }

    /// A size, and the local it is where it is a size of the signature.
    fn size(&mut self, size: &ast::Expr, binds: Binds) -> (Option<Local>, Expr) {
        let ast::ExprKind::Name(name) = &size.kind else { return (None, self.expr(size)) };
        if let Some(local) = self.local(name) {
            let is_size = self.locals[local.0 as usize].kind == LocalKind::Size;
            return (is_size.then_some(local), Expr { kind: ExprKind::Local(local), span: size.span });
        }
        let binds_it = !self.is_const(name)
            && match binds {
                Binds::All => true,
                Binds::Capitals => is_capitalised(name),
                Binds::Nothing => false,
            };
        if binds_it {
            let local = self.bind_outside(&ast::Name { text: name.clone(), span: size.span }, LocalKind::Size);
            return (Some(local), Expr { kind: ExprKind::Local(local), span: size.span });
        }
        let role = if self.is_const(name) { Role::Value } else { Role::Argument };
        (None, Expr { kind: self.name(name, size.span, role), span: size.span })
    }

    /// Binds a size in the scope of the signature, whatever block names it first.
    fn bind_outside(&mut self, name: &ast::Name, kind: LocalKind) -> Local {
        let inner = self.scopes.split_off(1);
        let local = self.bind(name, kind);
        self.scopes.extend(inner);
        local
    }

    /// Whether the file defines or imports a constant of this name.
    fn is_const(&self, name: &Symbol) -> bool {
        let own = self.resolver.modules[self.module].names.contains_key(name);
        own && match self.resolver.global(self.module, name) {
            Some(Meaning::Item(id)) => {
                let item = &self.resolver.modules[id.module].file.items[id.item];
                matches!(item.kind, ast::ItemKind::Const(..))
            }
            Some(Meaning::Builtin(_)) | None => false,
        }
    }

    pub(super) fn body(&mut self, body: &ast::Body) -> Block {
        match body {
            ast::Body::Expr(value) => Block { stmts: vec![], value: Box::new(self.expr(value)) },
            ast::Body::Block(block) => self.block(block),
        }
    }

    pub(super) fn block(&mut self, block: &ast::Block) -> Block {
        self.scopes.push(HashMap::new());
        self.pending.push(bound_names(block));
        let stmts = block.stmts.iter().filter_map(|stmt| self.stmt(stmt)).collect();
        let value = Box::new(self.expr(&block.value));
        let _ = self.pending.pop();
        let _ = self.scopes.pop();
        Block { stmts, value }
    }

    fn stmt(&mut self, stmt: &ast::Stmt) -> Option<Stmt> {
        let span = stmt.span;
        let kind = match &stmt.kind {
            ast::StmtKind::Param(name, ty, start) => {
                self.check_place("a parameter", span, "give it to the function as an input: `fn f(x, w) = …`");
                let (ty, start) = (self.axes(ty, Binds::Capitals), self.start(start));
                StmtKind::Param { local: self.bind(name, LocalKind::Param), ty, start }
            }
            ast::StmtKind::State(name, ty, start) => {
                self.check_place("a state", span, "give it to the function as an input: `fn f(x, mask) = …`");
                let (ty, start) = (self.axes(ty, Binds::Capitals), self.start(start));
                StmtKind::State { local: self.bind(name, LocalKind::State), ty, start }
            }
            ast::StmtKind::Measure(name, value) => {
                self.check_place("a measure", span, &format!("bind it: `{} = …`", name.text));
                let value = self.expr(value);
                StmtKind::Measure(self.bind(name, LocalKind::Measure), value)
            }
            ast::StmtKind::Bind(name, ty, value) => self.binding(name, ty.as_ref(), value),
            ast::StmtKind::BindTuple(names, value) => {
                let value = self.expr(value);
                StmtKind::BindTuple(names.iter().map(|name| self.bind(name, LocalKind::Binding)).collect(), value)
            }
            ast::StmtKind::Update(target, value) => return self.update(target, value, span),
            ast::StmtKind::On(event, inputs, body) => {
                self.check_place("`on`", span, "write it in a layer");
                self.handler(inputs, body, |inputs, body| StmtKind::On { event: hir_name(event), inputs, body })
            }
            ast::StmtKind::Every(interval, body) => {
                self.check_place("`every`", span, "write it in a layer, or in the plan");
                let interval = self.interval(interval);
                self.handler(&[], body, |_, body| StmtKind::Every(interval, body))
            }
        };
        Some(Stmt { kind, span })
    }

    fn binding(&mut self, name: &ast::Name, ty: Option<&ast::TensorType>, value: &ast::Expr) -> StmtKind {
        let value = self.expr(value);
        let ty = ty.map(|ty| self.axes(ty, Binds::Capitals));
        StmtKind::Bind { local: self.bind(name, LocalKind::Binding), ty, value }
    }

    fn start(&mut self, start: &ast::Start) -> Start {
        match start {
            ast::Start::Value(value) => Start::Value(self.expr(value)),
            ast::Start::Draw(value) => Start::Draw(self.expr(value)),
        }
    }

    /// What happens at an event: its lines see the names that are bound above it.
    fn handler(
        &mut self,
        inputs: &[ast::Input],
        body: &[ast::Stmt],
        make: impl FnOnce(Vec<Input>, Vec<Stmt>) -> StmtKind,
    ) -> StmtKind {
        self.scopes.push(HashMap::new());
        self.pending.push(names_bound_by(body));
        let outer = std::mem::replace(&mut self.in_handler, true);
        let names = self.bind_inputs(inputs);
        let inputs = self.inputs(inputs, &names);
        let body = body.iter().filter_map(|stmt| self.stmt(stmt)).collect();
        self.in_handler = outer;
        let _ = self.pending.pop();
        let _ = self.scopes.pop();
        make(inputs, body)
    }

    fn update(&mut self, target: &ast::Target, value: &ast::Expr, span: Span) -> Option<Stmt> {
        if !self.in_handler {
            self.check_place("`<-`", span, "write `mask <- if c { a } else { mask }`, or bind a name with `=`");
        }
        if target.raw && !self.in_handler {
            let help =
                "write it in `on EVENT { … }` or `every epoch { … }`; in each step optimizers write it".to_string();
            let belongs = "in an event";
            self.blame(NameError::Misplaced { what: "a write of a free parameter", belongs, span, help });
        }
        let value = self.expr(value);
        if let ast::ExprKind::Name(name) = &target.path.kind {
            self.check_target(name, target)?;
        }
        let target = Target { raw: target.raw, path: self.expr(&target.path) };
        Some(Stmt { kind: StmtKind::Update(target, value), span })
    }

    /// A name that is written is a state, or in `raw(…)` a parameter or an input, which may stand for one.
    fn check_target(&mut self, name: &Symbol, target: &ast::Target) -> Option<()> {
        let bound = self.local(name).map(|local| &self.locals[local.0 as usize]);
        let fits = bound.is_some_and(|bound| match bound.kind {
            LocalKind::State => !target.raw,
            LocalKind::Param | LocalKind::Input => target.raw,
            LocalKind::Size | LocalKind::Rest | LocalKind::Binding | LocalKind::Measure => false,
        });
        if fits {
            return Some(());
        }
        let lasting = bound.is_some_and(|bound| matches!(bound.kind, LocalKind::Param | LocalKind::Input));
        let (name, bound) = (name.clone(), bound.map(|bound| bound.name.span));
        let error = match (target.raw, lasting && self.in_handler) {
            (true, _) => NameError::NotAFreeParameter { name, span: target.path.span, bound },
            (false, could_be_raw) => NameError::NotAState { name, span: target.path.span, bound, could_be_raw },
        };
        self.blame(error);
        None
    }

    /// Lines that only a layer's own block may hold.
    fn check_place(&mut self, what: &'static str, span: Span, help: &str) {
        let in_own_block = self.scopes.len() == 2;
        let belongs = match self.place {
            Place::Layer if in_own_block => return,
            Place::Layer => "directly in the layer's block, not in an inner one",
            Place::Fn | Place::Top | Place::Fields(_) => "in a layer",
        };
        let help = match (&self.place, what) {
            (Place::Layer, "`<-`") | (Place::Fn | Place::Top | Place::Fields(_), _) => help.to_string(),
            (Place::Layer, _) => "move the line out of the inner braces".to_string(),
        };
        self.blame(NameError::Misplaced { what, belongs, span, help });
    }
}

/// What the lines of a block bind.
fn bound_names(block: &ast::Block) -> HashMap<Symbol, Span> {
    names_bound_by(&block.stmts)
}

fn names_bound_by(stmts: &[ast::Stmt]) -> HashMap<Symbol, Span> {
    let names = stmts.iter().flat_map(|stmt| match &stmt.kind {
        ast::StmtKind::Param(name, ..) | ast::StmtKind::State(name, ..) => vec![name],
        ast::StmtKind::Measure(name, _) | ast::StmtKind::Bind(name, ..) => vec![name],
        ast::StmtKind::BindTuple(names, _) => names.iter().collect(),
        ast::StmtKind::Update(..) | ast::StmtKind::On(..) | ast::StmtKind::Every(..) => vec![],
    });
    names.map(|name| (name.text.clone(), name.span)).collect()
}
