//! Modules: loading them, and the names each of them sees.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::errors::NameError;
use super::hir::Symbol;
use super::{LIBRARY, PRELUDE, Resolver, library};
use crate::diag::{FileId, Span, near_miss};
use crate::syntax::{ast, parse};

/// An item of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ItemId {
    /// An index into the resolver's modules.
    pub module: usize,
    /// An index into the module's items.
    pub item: usize,
}

/// A loaded module.
pub(super) struct Module {
    /// `std.norms`; empty for the main file.
    pub path: Symbol,
    /// The text, read.
    pub file: Rc<ast::File>,
    /// What its own items and imports are called, and where they are.
    pub names: HashMap<Symbol, (ItemId, Span)>,
    /// Names whose import failed, which has been told.
    pub broken: HashSet<Symbol>,
}

impl Module {
    fn is_library(&self) -> bool {
        self.path.starts_with("std.")
    }

    /// The names that its own items define.
    pub fn own(&self) -> impl Iterator<Item = (usize, &ast::Name)> {
        self.file.items.iter().enumerate().filter_map(|(item, it)| Some((item, item_name(&it.kind)?)))
    }
}

/// The name that an item defines.
pub(super) fn item_name(kind: &ast::ItemKind) -> Option<&ast::Name> {
    match kind {
        ast::ItemKind::Const(name, _) | ast::ItemKind::Model(name, _) | ast::ItemKind::Group(name, _) => Some(name),
        ast::ItemKind::Fn(it) => Some(&it.name),
        ast::ItemKind::Layer(it) => Some(&it.name),
        ast::ItemKind::Data(it) => Some(&it.name),
        ast::ItemKind::Sparsify(it) => it.name.as_ref(),
        ast::ItemKind::Use(_) | ast::ItemKind::Proximal(..) | ast::ItemKind::Budget(_) => None,
        ast::ItemKind::Minimize(_) | ast::ItemKind::Report(..) => None,
        ast::ItemKind::Train(_) | ast::ItemKind::Init(_) => None,
    }
}

/// How to tell two things of one name apart.
pub(super) fn rename_help(name: &str) -> String {
    format!("give one of them another name: `other_{name}`")
}

/// Whether an item says something about the whole program.
pub(super) fn is_declaration(kind: &ast::ItemKind) -> bool {
    match kind {
        ast::ItemKind::Use(_) | ast::ItemKind::Const(..) | ast::ItemKind::Fn(_) | ast::ItemKind::Layer(_) => false,
        ast::ItemKind::Data(_) | ast::ItemKind::Model(..) | ast::ItemKind::Group(..) => false,
        ast::ItemKind::Sparsify(_) | ast::ItemKind::Proximal(..) | ast::ItemKind::Budget(_) => true,
        ast::ItemKind::Minimize(_) | ast::ItemKind::Report(..) => true,
        ast::ItemKind::Train(_) | ast::ItemKind::Init(_) => true,
    }
}

impl Resolver<'_> {
    /// Loads what every file sees.
    pub(super) fn load_prelude(&mut self) {
        for path in PRELUDE {
            let module = self.load_library(path).expect("the prelude is in the library");
            let own: Vec<(Symbol, usize)> =
                self.modules[module].own().map(|(item, name)| (name.text.clone(), item)).collect();
            self.prelude.extend(own.into_iter().map(|(name, item)| (name, ItemId { module, item })));
        }
    }

    /// Loads the main file and all that it imports. Its module is the first one after the prelude.
    pub(super) fn load_main(&mut self, main: &ast::File) {
        let _ = self.add_module("".into(), main.clone());
    }

    /// The main file's module.
    pub(super) fn main(&self) -> usize {
        self.module_at("").expect("the main file is loaded first")
    }

    /// The module with this path.
    pub(super) fn module_at(&self, path: &str) -> Option<usize> {
        self.modules.iter().position(|module| &*module.path == path)
    }

    pub(super) fn load_library(&mut self, path: &str) -> Option<usize> {
        if let Some(known) = self.module_at(path) {
            return Some(known);
        }
        let text = library::text(path)?;
        Some(self.read_module(path.into(), &format!("{}.spnet", path.replace('.', "/")), text))
    }

    fn read_module(&mut self, path: Symbol, name: &str, text: &str) -> usize {
        let id: FileId = self.sources.add(name, text);
        let (file, errors) = parse(id, text);
        self.errors.extend(errors);
        self.add_module(path, file)
    }

    fn add_module(&mut self, path: Symbol, file: ast::File) -> usize {
        let module = self.modules.len();
        self.modules.push(Module {
            path: path.clone(),
            file: Rc::new(file),
            names: HashMap::new(),
            broken: HashSet::new(),
        });
        self.bind_own(module);
        let file = self.modules[module].file.clone();
        for item in &file.items {
            if let ast::ItemKind::Use(import) = &item.kind {
                self.import(module, import, item.span);
            } else if is_declaration(&item.kind) && !path.is_empty() {
                self.blame(NameError::DeclarationInModule { module: path.clone(), span: item.span });
            }
        }
        module
    }

    fn bind_own(&mut self, module: usize) {
        let own: Vec<(usize, ast::Name)> =
            self.modules[module].own().map(|(item, name)| (item, name.clone())).collect();
        for (item, name) in own {
            self.bind(module, &name, ItemId { module, item });
        }
    }

    fn bind(&mut self, module: usize, name: &ast::Name, item: ItemId) {
        match self.modules[module].names.get(&name.text) {
            Some(&(known, first)) if known != item => {
                let help = match self.modules[item.module].path.clone() {
                    home if item.module == module || home.is_empty() => rename_help(&name.text),
                    home => format!("import it under another name: `use {home}.{0} as other_{0}`", name.text),
                };
                self.blame(NameError::Twice { name: name.text.clone(), span: name.span, first, help });
            }
            Some(_) => {}
            None => drop(self.modules[module].names.insert(name.text.clone(), (item, name.span))),
        }
    }

    fn import(&mut self, module: usize, import: &ast::Use, span: Span) {
        let Some(first) = import.module.first() else {
            let name = import.names.first().map_or("name", |name| &*name.name.text);
            let home = self.library_home(name).unwrap_or("my_module");
            let help = format!("write the module before it: `use {home}.{name}`");
            return self.blame(NameError::NoModuleNamed { span, help });
        };
        let place = import.module.iter().fold(first.span, |span, name| span.to(name.span));
        let segments: Vec<&str> = import.module.iter().map(|name| &*name.text).collect();
        let from = self.load(module, &segments, place, import);
        for name in &import.names {
            let known_as = name.alias.as_ref().unwrap_or(&name.name);
            match from.and_then(|from| self.imported(from, &name.name)) {
                Some(item) => self.bind(module, known_as, item),
                None => drop(self.modules[module].broken.insert(known_as.text.clone())),
            }
        }
    }

    /// The module that an import means.
    fn load(&mut self, importer: usize, segments: &[&str], span: Span, import: &ast::Use) -> Option<usize> {
        if segments[0] == "std" {
            let found = self.load_library(&segments.join("."));
            if found.is_none() {
                self.blame_library(segments, span, import);
            }
            return found;
        }
        if self.modules[importer].is_library() {
            let (module, why) = (segments.join("."), "the library imports only `std`".to_string());
            let help = "import from `std`".to_string();
            self.blame(NameError::NoModule { module, span, why, help });
            return None;
        }
        self.load_user(importer, segments, span)
    }

    fn load_user(&mut self, importer: usize, segments: &[&str], span: Span) -> Option<usize> {
        let base = self.modules[importer].path.rsplit_once('.').map_or(String::new(), |(dir, _)| format!("{dir}."));
        let path: Symbol = format!("{base}{}", segments.join(".")).into();
        if self.is_loading(importer, &path, span) {
            return None;
        }
        if let Some(known) = self.module_at(&path) {
            return Some(known);
        }
        let name = format!("{}.spnet", path.replace('.', "/"));
        match (self.read)(&name) {
            Ok(text) => {
                self.loading.push((path.clone(), span));
                let module = self.read_module(path, &name, &text);
                let _ = self.loading.pop();
                Some(module)
            }
            Err(why) => {
                let help = format!("write `{name}` beside the main file, or import from `std`");
                self.blame(NameError::NoModule { module: segments.join("."), span, why, help });
                None
            }
        }
    }

    /// Whether a module is being loaded already: then its import closes a circle.
    fn is_loading(&mut self, importer: usize, path: &Symbol, span: Span) -> bool {
        let Some(start) = self.loading.iter().position(|(loading, _)| loading == path) else {
            return false;
        };
        let mut circle: Vec<Symbol> = self.loading[start..].iter().map(|(path, _)| path.clone()).collect();
        circle.push(path.clone());
        let first = (*path != self.modules[importer].path).then_some(self.loading[start].1);
        self.blame(NameError::CyclicImport { span, circle, first });
        true
    }

    fn blame_library(&mut self, segments: &[&str], span: Span, import: &ast::Use) {
        let module = segments.join(".");
        let whole = import.names.first().map(|name| format!("{module}.{}", name.name.text)).unwrap_or_default();
        let modules = LIBRARY.iter().map(|(name, _)| *name);
        let help = match near_miss(&module, modules.clone()) {
            _ if library::text(&whole).is_some() => format!("say what you need of it: `use {whole}.{{…}}`"),
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the library has {}", modules.collect::<Vec<_>>().join(", ")),
        };
        self.blame(NameError::NoModule { module, span, why: "not in the library".to_string(), help });
    }

    /// What `name` is in the module it is imported from.
    fn imported(&mut self, from: usize, name: &ast::Name) -> Option<ItemId> {
        let found = self.modules[from].own().find(|(_, own)| own.text == name.text).map(|(item, _)| item);
        if found.is_none() {
            let help = self.import_help(from, &name.text);
            let module = self.modules[from].path.clone();
            self.blame(NameError::NotInModule { name: name.text.clone(), span: name.span, module, help });
        }
        found.map(|item| ItemId { module: from, item })
    }

    fn import_help(&mut self, from: usize, name: &str) -> String {
        let own: Vec<Symbol> = self.modules[from].own().map(|(_, own)| own.text.clone()).collect();
        if let Some(near) = near_miss(name, own.iter().map(|own| &**own)) {
            return format!("did you mean `{near}`?");
        }
        match self.library_home(name) {
            Some(home) => format!("it is in `{home}`: `use {home}.{name}`"),
            None => format!("it defines {}", own.join(", ")),
        }
    }

    /// The library module that defines `name`.
    pub(super) fn library_home(&mut self, name: &str) -> Option<&'static str> {
        LIBRARY.iter().map(|(module, _)| *module).find(|module| {
            let loaded = self.load_library(module);
            loaded.is_some_and(|loaded| self.modules[loaded].own().any(|(_, own)| &*own.text == name))
        })
    }
}
