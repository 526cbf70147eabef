//! A name to what it means, or to the likeliest thing that was meant.

use std::collections::{HashMap, HashSet};

use super::builtins;
use super::errors::NameError;
use super::hir::{Builtin, ExprKind, Local, LocalDef, LocalKind, Name, Symbol};
use super::modules::{ItemId, rename_help};
use super::{Resolver, hir};
use crate::diag::{Span, near_miss};
use crate::syntax::ast;

/// What a name means outside of definitions.
pub(super) enum Meaning {
    /// A definition.
    Item(ItemId),
    /// A word of the compiler.
    Builtin(Builtin),
}

/// Where a name stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// In front of parentheses or brackets.
    Callee,
    /// An argument of its own, which may mean an axis.
    Argument,
    /// What a loop of a plan runs over.
    Set,
    /// Anywhere else.
    Value,
}

/// What the names that are being looked up stand in.
#[derive(PartialEq, Eq)]
pub(super) enum Place {
    /// The top level: constants, models, groups, declarations.
    Top,
    /// The braces of a `data` declaration, which define these fields.
    Fields(Vec<Symbol>),
    /// A function.
    Fn,
    /// A layer.
    Layer,
}

/// A definition or declaration on its way to HIR.
pub(super) struct Lower<'r, 'a> {
    pub resolver: &'r mut Resolver<'a>,
    /// The module it stands in.
    pub module: usize,
    /// The definition; nothing for a declaration.
    pub owner: Option<ItemId>,
    pub place: Place,
    /// Whether this is inside `on` or `every` of a layer.
    pub in_handler: bool,
    /// Everything bound in it.
    pub locals: Vec<LocalDef>,
    /// What is visible, outermost scope first.
    pub scopes: Vec<HashMap<Symbol, Local>>,
    /// What the surrounding blocks bind, each with its place, whether it is bound already or not.
    pub pending: Vec<HashMap<Symbol, Span>>,
    /// The names of axes that are not sizes: `row` in `[row: N]`.
    pub labels: HashSet<Symbol>,
}

impl Resolver<'_> {
    /// What a name means in a module, outside of definitions.
    pub(super) fn global(&self, module: usize, name: &str) -> Option<Meaning> {
        let own = self.modules[module].names.get(name).map(|(item, _)| *item);
        let item = own.or_else(|| self.prelude.get(name).copied());
        item.map(Meaning::Item).or_else(|| builtins::builtin(name).map(Meaning::Builtin))
    }
}

impl<'r, 'a> Lower<'r, 'a> {
    pub(super) fn new(resolver: &'r mut Resolver<'a>, module: usize, place: Place) -> Lower<'r, 'a> {
        Lower {
            resolver,
            module,
            owner: None,
            place,
            in_handler: false,
            locals: vec![],
            scopes: vec![HashMap::new()],
            pending: vec![],
            labels: HashSet::new(),
        }
    }

    pub(super) fn blame(&mut self, error: NameError) {
        self.resolver.blame(error);
    }

    /// The innermost local with this name.
    pub(super) fn local(&self, name: &str) -> Option<Local> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name)).copied()
    }

    /// Binds a name in the innermost scope.
    pub(super) fn bind(&mut self, name: &ast::Name, kind: LocalKind) -> Local {
        let local = Local(self.locals.len() as u32);
        self.locals.push(LocalDef { name: hir_name(name), kind });
        let scope = self.scopes.last_mut().expect("there is a scope");
        if let Some(first) = scope.insert(name.text.clone(), local) {
            let first = self.locals[first.0 as usize].name.span;
            let help = rename_help(&name.text);
            self.blame(NameError::Twice { name: name.text.clone(), span: name.span, first, help });
        }
        local
    }

    /// What a name means where it stands.
    pub(super) fn name(&mut self, name: &Symbol, span: Span, role: Role) -> ExprKind {
        if let Some(local) = self.local(name) {
            return ExprKind::Local(local);
        }
        if self.is_axis_or_field(name, role) {
            return ExprKind::AxisName(name.clone());
        }
        match self.resolver.global(self.module, name) {
            Some(Meaning::Item(item)) => ExprKind::Def(self.mention(item, span)),
            Some(Meaning::Builtin(builtin)) => ExprKind::Builtin(builtin),
            None if self.may_be_axis_or_field(name, role) => ExprKind::AxisName(name.clone()),
            None => {
                self.blame_unknown(name, span, role);
                ExprKind::Bool(false)
            }
        }
    }

    fn mention(&mut self, item: ItemId, span: Span) -> hir::DefId {
        self.resolver.mentions.extend(self.owner.map(|owner| (owner, item, span)));
        self.resolver.def_id(item)
    }

    /// Names of axes and of fields that are declared here hide definitions.
    fn is_axis_or_field(&self, name: &Symbol, role: Role) -> bool {
        let is_field = matches!(&self.place, Place::Fields(fields) if fields.contains(name));
        is_field && role != Role::Callee || role == Role::Argument && self.labels.contains(name)
    }

    /// The next stage knows the axes of tensors and the fields of data.
    fn may_be_axis_or_field(&self, name: &Symbol, role: Role) -> bool {
        match role {
            Role::Callee => false,
            Role::Argument => is_capitalised(name) || matches!(self.place, Place::Fields(_)),
            Role::Set | Role::Value => matches!(self.place, Place::Fields(_)),
        }
    }

    fn blame_unknown(&mut self, name: &Symbol, span: Span, role: Role) {
        if self.resolver.modules[self.module].broken.contains(name) {
            return;
        }
        let bound = self.pending.iter().rev().find_map(|names| names.get(name)).copied();
        let name = name.clone();
        if let Some(bound) = bound {
            return self.blame(NameError::UsedBefore { name, span, bound });
        }
        let help = match self.resolver.sources.name(span.file).strip_prefix("--set ") {
            Some(constant) => format!("write a number, as in `--set {constant}=0.5`, or text in quotes"),
            None => self.unknown_help(&name, role),
        };
        self.blame(NameError::Unknown { name, span, help });
    }

    fn unknown_help(&mut self, name: &str, role: Role) -> String {
        if let Some(near) = near_miss(name, self.visible().iter().map(|visible| &**visible)) {
            return format!("did you mean `{near}`?");
        }
        if let Some(home) = self.resolver.library_home(name) {
            return format!("it is in the library: `use {home}.{name}`");
        }
        let sizes = self.locals.iter().filter(|local| local.kind == LocalKind::Size);
        let sizes: Vec<String> = sizes.map(|size| format!("`{}`", size.name.text)).collect();
        if role == Role::Argument && !sizes.is_empty() {
            return format!("bind it on a line above, `{name} = …`, or write an axis: {}", sizes.join(", "));
        }
        match (role, &self.place) {
            (Role::Callee, _) => format!("define it: `fn {name}(x) = …`"),
            (Role::Set, _) => self.sets_help(name),
            (Role::Argument | Role::Value, Place::Top | Place::Fields(_)) => format!("define it: `const {name} = …`"),
            (Role::Argument | Role::Value, Place::Fn | Place::Layer) => {
                format!("bind it on a line above: `{name} = …`")
            }
        }
    }

    /// The sets that there are, and how one is declared.
    fn sets_help(&self, name: &str) -> String {
        let items = &self.resolver.modules[self.module].file.items;
        let groups: Vec<String> = items.iter().filter_map(group_of).map(|group| format!("`{group}`")).collect();
        let model = items.iter().find_map(model_of);
        let declare = format!("`group {name} = {}.**.w by whole`", model.unwrap_or("net"));
        match groups.is_empty() {
            true => format!("declare a group: {declare}"),
            false => format!("the groups are {}; declare another one: {declare}", groups.join(", ")),
        }
    }

    /// Every name with a meaning here.
    fn visible(&self) -> Vec<Symbol> {
        let locals = self.scopes.iter().flat_map(HashMap::keys).cloned();
        let own = self.resolver.modules[self.module].names.keys().cloned();
        let prelude = self.resolver.prelude.keys().cloned();
        locals
            .chain(self.labels.iter().cloned())
            .chain(own)
            .chain(prelude)
            .chain(builtins::words().map(Symbol::from))
            .collect()
    }
}

fn group_of(item: &ast::Item) -> Option<&Symbol> {
    if let ast::ItemKind::Group(name, _) = &item.kind { Some(&name.text) } else { None }
}

fn model_of(item: &ast::Item) -> Option<&str> {
    if let ast::ItemKind::Model(name, _) = &item.kind { Some(&name.text) } else { None }
}

/// Names of axes start with a capital.
pub(super) fn is_capitalised(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
}

/// The same name in HIR.
pub(super) fn hir_name(name: &ast::Name) -> Name {
    Name { text: name.text.clone(), span: name.span }
}
