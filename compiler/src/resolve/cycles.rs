//! Definitions that need themselves.
//!
//! Functions may recurse. Constants, models, groups and data are values: they can't be part of what they are made of.

use std::collections::{HashMap, HashSet};

use super::Resolver;
use super::errors::NameError;
use super::modules::{ItemId, item_name};
use crate::diag::Span;
use crate::syntax::ast::{Expr, ItemKind};

impl Resolver<'_> {
    /// Blames every value that needs itself, once for each circle.
    pub(super) fn check_cycles(&mut self) {
        let mut uses: HashMap<ItemId, Vec<(ItemId, Span)>> = HashMap::new();
        for &(user, used, span) in self.mentions.iter().filter(|&&(user, used, span)| !self.is_own(user, used, span)) {
            uses.entry(user).or_default().push((used, span));
        }
        let mut blamed = HashSet::new();
        for item in self.ids.clone() {
            if self.is_value(item)
                && !blamed.contains(&item)
                && let Some((circle, span)) = circle_of(item, &uses)
            {
                blamed.extend(circle);
                self.blame_circle(item, span);
            }
        }
    }

    /// Whether data mention themselves in their braces, which are functions of their fields as they are read and of their numbers.
    fn is_own(&self, user: ItemId, used: ItemId, span: Span) -> bool {
        let ItemKind::Data(data) = &self.modules[user.module].file.items[user.item].kind else { return false };
        let holds = |expr: &Expr| expr.span.start <= span.start && span.end <= expr.span.end;
        user == used && data.fields.iter().any(|(_, value)| holds(value))
    }

    fn is_value(&self, id: ItemId) -> bool {
        match self.modules[id.module].file.items[id.item].kind {
            ItemKind::Const(..) | ItemKind::Data(_) | ItemKind::Model(..) | ItemKind::Group(..) => true,
            ItemKind::Use(_) | ItemKind::Fn(_) | ItemKind::Layer(_) => false,
            ItemKind::Sparsify(_) | ItemKind::Proximal(..) | ItemKind::Budget(_) => false,
            ItemKind::Minimize(_) | ItemKind::Report(..) | ItemKind::Train(_) | ItemKind::Init(_) => false,
        }
    }

    fn blame_circle(&mut self, id: ItemId, mention: Span) {
        let file = self.modules[id.module].file.clone();
        if let Some(name) = item_name(&file.items[id.item].kind) {
            self.blame(NameError::CyclicDefinition { name: name.text.clone(), span: name.span, mention });
        }
    }
}

/// What lies between `start` and itself, and the first mention on the way.
fn circle_of(start: ItemId, uses: &HashMap<ItemId, Vec<(ItemId, Span)>>) -> Option<(HashSet<ItemId>, Span)> {
    for &(first, span) in uses.get(&start).into_iter().flatten() {
        let mut seen = HashSet::from([first]);
        let mut open = vec![first];
        while let Some(item) = open.pop() {
            if item == start {
                return Some((seen, span));
            }
            for &(next, _) in uses.get(&item).into_iter().flatten() {
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
    }
    None
}
