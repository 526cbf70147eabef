//! `--set NAME=VALUE`: other values for constants of the main file.

use std::collections::HashMap;

use super::Resolver;
use super::errors::NameError;
use super::hir::Symbol;
use super::modules::item_name;
use crate::diag::near_miss;
use crate::syntax::{ast, parse_expr};

/// The values that replace those in the text.
pub(super) type SetValues = HashMap<Symbol, ast::Expr>;

impl Resolver<'_> {
    /// Reads the values; each is a source text of its own, named `--set NAME`.
    pub(super) fn parse_sets(&mut self, sets: &[(String, String)]) -> SetValues {
        let consts = self.main_consts();
        let mut values = SetValues::new();
        for (name, value) in sets {
            let file = self.sources.add(format!("--set {name}"), value.as_str());
            match (consts.iter().find(|known| ***known == **name), parse_expr(file, value)) {
                (None, _) => self.blame(NameError::NoSuchConst { name: name.clone(), help: set_help(name, &consts) }),
                (Some(_), Err(errors)) => self.errors.extend(errors),
                (Some(known), Ok(value)) => drop(values.insert(known.clone(), value)),
            }
        }
        values
    }

    fn main_consts(&self) -> Vec<Symbol> {
        let items = self.modules[self.main()].file.items.iter();
        let is_const = |item: &&ast::Item| matches!(item.kind, ast::ItemKind::Const(..));
        items.filter(is_const).filter_map(|item| item_name(&item.kind)).map(|name| name.text.clone()).collect()
    }
}

fn set_help(name: &str, consts: &[Symbol]) -> String {
    match near_miss(name, consts.iter().map(|known| &**known)) {
        Some(near) => format!("did you mean `--set {near}=…`?"),
        None if consts.is_empty() => format!("declare it in the program: `const {name} = …`"),
        None => format!("the program has {}", consts.join(", ")),
    }
}
