//! Definitions and declarations to HIR.

use super::errors::NameError;
use super::hir::{
    Data, Decl, DeclKind, Def, DefKind, ExprKind, Fn, GroupExpr, Layer, LocalDef, LocalKind, Program, Quantity,
};
use super::lookup::{Lower, Place, hir_name};
use super::modules::{ItemId, is_declaration, item_name};
use super::sets::SetValues;
use super::{Resolver, hir};
use crate::diag::Span;
use crate::syntax::ast;

impl<'a> Resolver<'a> {
    /// The program: the main file, the modules of the user, and what they need of the library.
    pub(super) fn program(&mut self, values: SetValues) -> Program {
        let main = self.main();
        self.number_items(main);
        for module in 0..self.modules.len() {
            if !self.modules[module].path.starts_with("std.") {
                self.number_items(module);
            }
        }
        let mut locals = vec![];
        let decls = self.decls(main, &mut locals);
        let mut defs = vec![];
        while let Some(&item) = self.ids.get_index(defs.len()) {
            defs.push(self.def(item, &values, &mut locals));
        }
        Program { defs, locals, decls }
    }

    /// Gives every definition of a module its number.
    fn number_items(&mut self, module: usize) {
        let items: Vec<usize> = self.modules[module].own().map(|(item, _)| item).collect();
        for item in items {
            let _ = self.def_id(ItemId { module, item });
        }
    }

    fn decls(&mut self, module: usize, locals: &mut Vec<LocalDef>) -> Vec<Decl> {
        let file = self.modules[module].file.clone();
        let mut lower = Lower::new(self, module, Place::Top);
        let decls = file.items.iter().filter_map(|item| lower.decl(item)).collect();
        *locals = lower.locals;
        decls
    }

    /// A definition. What a value binds at the top level is added to `locals`.
    fn def(&mut self, id: ItemId, values: &SetValues, locals: &mut Vec<LocalDef>) -> Def {
        let module = &self.modules[id.module];
        let (file, path) = (module.file.clone(), module.path.clone());
        let item = &file.items[id.item];
        let name = hir_name(item_name(&item.kind).expect("only definitions have numbers"));
        let set = if path.is_empty() { values.get(&name.text) } else { None };
        let mut lower = Lower::new(self, id.module, Place::Top);
        lower.owner = Some(id);
        let kind = match &item.kind {
            ast::ItemKind::Const(_, value) => {
                DefKind::Const(lower.at_the_top(locals, |lower| lower.expr(set.unwrap_or(value))))
            }
            ast::ItemKind::Fn(it) => DefKind::Fn(lower.function(it)),
            ast::ItemKind::Layer(it) => DefKind::Layer(lower.layer(it)),
            ast::ItemKind::Data(it) => DefKind::Data(lower.at_the_top(locals, |lower| lower.data(it))),
            ast::ItemKind::Model(_, value) => DefKind::Model(lower.at_the_top(locals, |lower| lower.expr(value))),
            ast::ItemKind::Group(_, value) => DefKind::Group(lower.at_the_top(locals, |lower| lower.group(value))),
            ast::ItemKind::Sparsify(_) => DefKind::Sparsified(decl_index(&file, id.item)),
            ast::ItemKind::Use(_) | ast::ItemKind::Proximal(..) | ast::ItemKind::Budget(_) => unnamed(),
            ast::ItemKind::Minimize(_) | ast::ItemKind::Report(..) => unnamed(),
            ast::ItemKind::Train(_) | ast::ItemKind::Init(_) => unnamed(),
        };
        Def { name, module: path, doc: item.doc.clone(), kind }
    }
}

fn unnamed() -> DefKind {
    unreachable!("only definitions have numbers")
}

/// Which of the program's declarations an item becomes.
fn decl_index(file: &ast::File, item: usize) -> usize {
    file.items[..item].iter().filter(|it| is_declaration(&it.kind)).count()
}

impl Lower<'_, '_> {
    /// Runs `work` with the locals of the top level as its own.
    fn at_the_top<T>(&mut self, locals: &mut Vec<LocalDef>, work: impl FnOnce(&mut Self) -> T) -> T {
        self.locals = std::mem::take(locals);
        let result = work(self);
        *locals = std::mem::take(&mut self.locals);
        result
    }

    fn function(mut self, it: &ast::Fn) -> Fn {
        self.place = Place::Fn;
        let names = self.bind_inputs(&it.inputs);
        let inputs = self.inputs(&it.inputs, &names);
        let result = self.result(&it.result);
        let body = self.body(&it.body);
        Fn { locals: self.locals, inputs, result, body }
    }

    fn layer(mut self, it: &ast::Layer) -> Layer {
        self.place = Place::Layer;
        let sizes = it.sizes.iter().map(|(name, default)| self.layer_size(name, default.as_ref())).collect();
        let settings = it.settings.as_deref().unwrap_or_default();
        let (setting_names, input_names) = (self.bind_inputs(settings), self.bind_inputs(&it.inputs));
        let settings = self.inputs(settings, &setting_names);
        let inputs = self.inputs(&it.inputs, &input_names);
        let result = self.result(&it.result);
        let body = self.body(&it.body);
        Layer { locals: self.locals, sizes, settings, inputs, result, body }
    }

    fn layer_size(&mut self, name: &ast::Name, default: Option<&ast::Expr>) -> hir::LayerSize {
        let default = default.map(|default| self.expr(default));
        hir::LayerSize { local: self.bind(name, LocalKind::Size), default }
    }

    fn data(&mut self, it: &ast::Data) -> Data {
        let args = self.args(&it.args);
        self.place = Place::Fields(it.fields.iter().map(|(name, _)| name.text.clone()).collect());
        for (at, (name, _)) in it.fields.iter().enumerate() {
            if let Some((first, _)) = it.fields[..at].iter().find(|(first, _)| first.text == name.text) {
                self.blame_twice(name, first.span);
            }
        }
        let fields = it.fields.iter().map(|(name, value)| (hir_name(name), self.expr(value))).collect();
        Data { source: hir_name(&it.source), args, fields }
    }

    fn group(&mut self, value: &ast::Expr) -> GroupExpr {
        let lowered = self.expr(value);
        if let ExprKind::Group(group) = lowered.kind {
            return *group;
        }
        if !matches!(lowered.kind, ExprKind::Join(_) | ExprKind::Tuple(_)) {
            self.blame(NameError::NoGrouping { span: value.span });
        }
        GroupExpr { span: value.span, target: lowered, by: None }
    }

    /// A declaration; nothing for the items that define names, but `sparsify`, which may do both.
    fn decl(&mut self, item: &ast::Item) -> Option<Decl> {
        let kind = match &item.kind {
            ast::ItemKind::Use(_) | ast::ItemKind::Const(..) | ast::ItemKind::Fn(_) => return None,
            ast::ItemKind::Layer(_) | ast::ItemKind::Data(_) => return None,
            ast::ItemKind::Model(..) | ast::ItemKind::Group(..) => return None,
            ast::ItemKind::Sparsify(it) => DeclKind::Sparsify {
                target: self.expr(&it.target),
                with: it.with.iter().map(|layer| self.expr(layer)).collect(),
                name: it.name.as_ref().map(hir_name),
            },
            ast::ItemKind::Proximal(target, with) => {
                DeclKind::Proximal { target: self.expr(target), with: self.expr(with) }
            }
            ast::ItemKind::Budget(it) => DeclKind::Budget {
                quantity: if &*it.quantity.text == "params" { Quantity::Params } else { Quantity::Flops },
                of: self.expr(&it.of),
                limit: self.expr(&it.limit),
                by: self.expr(&it.by),
            },
            ast::ItemKind::Minimize(value) => DeclKind::Minimize(self.expr(value)),
            ast::ItemKind::Report(name, value) => DeclKind::Report(name.as_ref().map(hir_name), self.expr(value)),
            ast::ItemKind::Train(plan) => DeclKind::Train(self.train(plan)),
            ast::ItemKind::Init(it) => DeclKind::Init(self.init(it)),
        };
        Some(Decl { kind, span: item.span })
    }

    /// Blames a second line of one name.
    pub(super) fn blame_twice(&mut self, name: &ast::Name, first: Span) {
        let help = format!("keep one of the two lines `{} = …`", name.text);
        self.blame(NameError::Twice { name: name.text.clone(), span: name.span, first, help });
    }
}
