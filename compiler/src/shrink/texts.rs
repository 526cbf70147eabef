//! What the smaller program takes over word by word: declarations of the program, its modules and the library.

use std::collections::{BTreeMap, BTreeSet};

use crate::diag::{FileId, Sources};
use crate::resolve::library::PRELUDE;
use crate::syntax::{self, ast};

/// A file of the program or of the library.
struct File {
    /// As `std.layers`; empty for the program itself.
    module: String,
    /// The names that it imports: module and name by what they are called here.
    uses: BTreeMap<String, (String, String)>,
    /// What it declares by name, with doc comments.
    items: BTreeMap<String, String>,
    /// Its declarations.
    ast: ast::File,
}

/// The texts that a program is made of, and what is taken of them.
pub struct Texts<'a> {
    sources: &'a Sources,
    files: Vec<File>,
    /// Constants that were set from outside.
    set: BTreeMap<String, String>,
    taken: BTreeSet<(usize, String)>,
    /// Copied declarations, in the order in which they were needed.
    pub copies: Vec<String>,
    /// Names by the module that they are imported from.
    pub imports: BTreeMap<String, BTreeSet<String>>,
}

const MAIN: usize = 0;

impl<'a> Texts<'a> {
    /// The texts of a program, with its constants as they were set.
    pub fn new(sources: &'a Sources, set: &[(String, String)]) -> Texts<'a> {
        let files = (0..sources.next_id().0).map(|id| read(sources, FileId(id))).collect();
        let set = set.iter().cloned().collect();
        Texts { sources, files, set, taken: BTreeSet::new(), copies: vec![], imports: BTreeMap::new() }
    }

    /// The declarations of the program itself.
    pub fn main(&self) -> &[ast::Item] {
        &self.files[MAIN].ast.items
    }

    /// The text between two places.
    pub fn slice(&self, span: crate::diag::Span) -> &'a str {
        &self.sources.text(span.file)[span.start as usize..span.end as usize]
    }

    /// The names that copied declarations have.
    pub fn is_taken(&self, name: &str) -> bool {
        self.taken.iter().any(|(_, taken)| taken == name) || self.imports.values().any(|names| names.contains(name))
    }

    /// Imports a name.
    pub fn import(&mut self, module: &str, name: &str) {
        if !PRELUDE.contains(&module) {
            let _ = self.imports.entry(module.to_owned()).or_default().insert(name.to_owned());
        }
    }

    /// Takes over what a declaration is called in the file where it stands, with all that it needs.
    pub fn take(&mut self, file: FileId, name: &str) {
        self.take_from(usize::from(file.0), name);
    }

    fn take_from(&mut self, file: usize, name: &str) {
        let File { module, items, .. } = &self.files[file];
        if module.starts_with("std.") {
            let module = module.clone();
            return self.import(&module, name);
        }
        let Some(text) = items.get(name).cloned() else { return };
        if !self.taken.insert((file, name.to_owned())) {
            return;
        }
        let text = match self.set.get(name).filter(|_| file == MAIN && text.contains("const ")) {
            Some(value) => format!("const {name} = {value}\n"),
            None => text,
        };
        self.need_from(file, &text);
        self.copies.push(text);
    }

    /// The layer that a file declares under this name.
    pub fn layer(&self, file: FileId, name: &str) -> Option<&ast::Layer> {
        self.files[usize::from(file.0)].ast.items.iter().find_map(|item| match &item.kind {
            ast::ItemKind::Layer(layer) if *layer.name.text == *name => Some(layer),
            _ => None,
        })
    }

    /// Takes over what a text from this file names.
    pub fn need_for(&mut self, file: FileId, text: &str) {
        self.need_from(usize::from(file.0), text);
    }

    /// Takes over what a text of the program itself names.
    pub fn need(&mut self, text: &str) {
        self.need_from(MAIN, text);
    }

    fn need_from(&mut self, file: usize, text: &str) {
        for name in names(text) {
            if self.files[file].items.contains_key(&name) {
                self.take_from(file, &name);
            } else if let Some((module, original)) = self.files[file].uses.get(&name).cloned() {
                match self.files.iter().position(|file| file.module == module) {
                    Some(other) if !module.starts_with("std.") => self.take_from(other, &original),
                    Some(_) | None if name == original => self.import(&module, &name),
                    Some(_) | None => self.import(&module, &format!("{original} as {name}")),
                }
            }
        }
    }
}

fn read(sources: &Sources, id: FileId) -> File {
    let text = sources.text(id);
    let (ast, _) = syntax::parse(id, text);
    let module = if id.0 == 0 { String::new() } else { sources.name(id).trim_end_matches(".spnet").replace('/', ".") };
    let (mut uses, mut items) = (BTreeMap::new(), BTreeMap::new());
    for item in &ast.items {
        match &item.kind {
            ast::ItemKind::Use(used) => uses.extend(imported(used)),
            ast::ItemKind::Const(name, _) => insert(&mut items, &name.text, item, text),
            ast::ItemKind::Fn(function) => insert(&mut items, &function.name.text, item, text),
            ast::ItemKind::Layer(layer) => insert(&mut items, &layer.name.text, item, text),
            ast::ItemKind::Data(_)
            | ast::ItemKind::Model(..)
            | ast::ItemKind::Group(..)
            | ast::ItemKind::Sparsify(_) => {}
            ast::ItemKind::Proximal(..) | ast::ItemKind::Budget(_) | ast::ItemKind::Minimize(_) => {}
            ast::ItemKind::Report(..) | ast::ItemKind::Train(_) | ast::ItemKind::Init(_) => {}
        }
    }
    File { module, uses, items, ast }
}

fn insert(items: &mut BTreeMap<String, String>, name: &str, item: &ast::Item, text: &str) {
    let doc: String =
        item.doc.lines().map(|line| format!("///{}{line}\n", if line.starts_with(' ') { "" } else { " " })).collect();
    let body = &text[item.span.start as usize..item.span.end as usize];
    let _ = items.insert(name.to_owned(), format!("{doc}{}\n", body.trim_end()));
}

/// The names that an import brings, each with its module and what it is called there.
fn imported(used: &ast::Use) -> Vec<(String, (String, String))> {
    let module: Vec<&str> = used.module.iter().map(|name| &*name.text).collect();
    let named = |name: &ast::UseName| {
        let own = name.alias.as_ref().unwrap_or(&name.name).text.to_string();
        (own, (module.join("."), name.name.text.to_string()))
    };
    used.names.iter().map(named).collect()
}

/// The words of a text that are no part of a path, a comment or a string.
pub fn names(text: &str) -> Vec<String> {
    let mut found = vec![];
    for line in text.lines() {
        let code = line.split("//").next().unwrap_or(line);
        let mut before = ' ';
        for (index, piece) in code.split('"').enumerate().filter(|(index, _)| index % 2 == 0) {
            let _ = index;
            let mut word = String::new();
            let mut is_member = false;
            for c in piece.chars().chain([' ']) {
                if c.is_alphanumeric() || c == '_' {
                    if word.is_empty() {
                        is_member = before == '.';
                    }
                    word.push(c);
                } else if !word.is_empty() {
                    if !is_member && !word.starts_with(|c: char| c.is_ascii_digit()) {
                        found.push(std::mem::take(&mut word));
                    }
                    word.clear();
                }
                before = c;
            }
        }
    }
    found
}
