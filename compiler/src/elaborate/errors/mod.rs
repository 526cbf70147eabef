//! What elaboration objects to: facts in enums, worded in one place each.

mod events;
mod files;
mod groups;
mod parts;
mod plan;
mod shapes;

pub(super) use events::EventMistake;
pub(super) use files::FileMistake;
pub(super) use groups::GroupMistake;
pub(super) use parts::PartMistake;
pub(super) use plan::PlanMistake;
pub(super) use shapes::{PatternRole, ShapeMistake};

use crate::diag::{Diagnostic, Span, near_miss};
use crate::model::Symbol;

/// A diagnostic with its way out, if there is one.
fn with_help(diagnostic: Diagnostic, help: Option<String>) -> Diagnostic {
    match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// `write X`, where a name is near, else the list of names.
fn way_out(name: &str, known: &[Symbol], what: &str) -> Option<String> {
    match near_miss(name, known.iter().map(|known| &**known)) {
        Some(near) => Some(format!("write `{near}`")),
        None if known.is_empty() => None,
        None => Some(format!("{what}: {}", quoted(known))),
    }
}

fn quoted(names: &[Symbol]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    shown.join(", ") + &more
}

/// A diagnostic that shows the shape of each operand at its place.
fn at_operands(diagnostic: Diagnostic, operands: Vec<(Span, String)>) -> Diagnostic {
    operands.into_iter().fold(diagnostic, |diagnostic, (span, shape)| diagnostic.also(span, format!("this is {shape}")))
}
