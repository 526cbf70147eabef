//! Mistakes with events: E0513, E0508, E0510.

use super::{way_out, with_help};
use crate::diag::{Diagnostic, Span};
use crate::model::Symbol;

/// What can be wrong with what happens between steps.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum EventMistake {
    /// An event that no layer handles.
    NobodyHandles { span: Span, name: Symbol, known: Vec<Symbol> },
    /// An event that no layer handles at the place it is fired on.
    NobodyThere { span: Span, name: Symbol, place: String },
    /// A number of steps that is none.
    Steps { span: Span, found: f64 },
    /// An event that needs what only a step has.
    ReadsTheBatch { span: Span, at: Span },
    /// Two writes of one tensor.
    WrittenTwice { span: Span, first: Span, path: Symbol, event: Symbol },
    /// A write of something that can't be written like this.
    CannotWrite { span: Span, path: Symbol, raw: bool, is_param: bool },
    /// `raw(x)` where `x` stands for no free parameter.
    StandsForNothing { span: Span, name: Symbol, bound: Span },
}

impl From<EventMistake> for Diagnostic {
    fn from(mistake: EventMistake) -> Diagnostic {
        match mistake {
            EventMistake::NobodyHandles { span, name, known } => {
                let title = format!("no layer handles the event `{name}`");
                let error = Diagnostic::new("E0513", title, span, "nothing would happen");
                let help = way_out(&name, &known, "the layers of this program handle");
                with_help(error, help.or_else(|| Some(format!("handle it in a layer: `on {name}() {{ … }}`"))))
            }
            EventMistake::NobodyThere { span, name, place } => {
                let title = format!("nothing at `{place}` handles the event `{name}`");
                let error = Diagnostic::new("E0513", title, span, "nothing would happen here");
                error.help("name a tensor whose parameterisation handles it, or take `on …` away")
            }
            EventMistake::Steps { span, found } => {
                let title = format!("`every` counts whole steps from 1, not {found}");
                Diagnostic::new("E0508", title, span, format!("this is {found}")).help("write `every 100 steps { … }`")
            }
            EventMistake::ReadsTheBatch { span, at } => {
                let title = "an event has no batch at hand, and no gradient";
                let error = Diagnostic::new("E0510", title, span, "this needs one").also(at, "computed from a batch");
                error.help("keep what it needs in a state, which each step writes, and read that")
            }
            EventMistake::WrittenTwice { span, first, path, event } => {
                let title = format!("the event `{event}` writes `{path}` twice");
                let error = Diagnostic::new("E0510", title, span, "written again").also(first, "written here");
                error.help("write it once, or fire the events one after the other")
            }
            EventMistake::CannotWrite { span, path, raw, is_param } => {
                let (title, help) = match (raw, is_param) {
                    (true, _) => (
                        format!("`raw({path})` is no free parameter"),
                        "write a `param` through `raw(…)`, a state by its path".to_string(),
                    ),
                    (false, true) => (
                        format!("`{path}` is a parameter, which is written through `raw`"),
                        format!("write `raw({path}) <- …` in `on EVENT {{ … }}`"),
                    ),
                    (false, false) => (
                        format!("`{path}` is computed in each step, not kept"),
                        "write a state: `state s: [] = 0`".to_string(),
                    ),
                };
                Diagnostic::new("E0510", title, span, "can't be written").help(help)
            }
            EventMistake::StandsForNothing { span, name, bound } => {
                let title = format!("`{name}` stands for no free parameter here");
                let error = Diagnostic::new("E0510", title, span, "no parameter behind it").also(bound, "bound here");
                error.help("put the layer on a parameter with `sparsify`; its first input then stands for it")
            }
        }
    }
}
