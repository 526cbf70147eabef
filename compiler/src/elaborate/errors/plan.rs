//! Mistakes with data and the training plan: E05xx, and what the world outside says about files: E09xx.

use super::{quoted, way_out, with_help};
use crate::diag::{Diagnostic, Span};
use crate::model::{Refusal, Symbol};

/// What can be wrong with data and plans.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum PlanMistake {
    /// A data set or a tensor of a file can't be had.
    Refused { span: Span, what: &'static str, refusal: Refusal },
    /// An argument of a data set that is no constant.
    DataArgument { span: Span, found: &'static str },
    /// Fields of two data sets.
    TwoDataSets { span: Span, name: Symbol, first: Span, other: Symbol },
    /// Two `train` blocks.
    TwoPlans { span: Span, first: Span },
    /// An entry that a block doesn't know, and whether `train` itself does.
    NoSuchKey { span: Span, name: Symbol, block: &'static str, known: &'static [&'static str], of_train: bool },
    /// A missing entry.
    Missing { span: Span, key: &'static str },
    /// An entry that must be a whole number.
    NotWhole { span: Span, key: &'static str, found: f64, least: f64 },
    /// Events, but no phase to train in.
    NoPhase { span: Span },
    /// Rounds that are no range.
    NotRounds { span: Span, found: &'static str },
    /// A range that doesn't lead from a whole number up to another one, both at most `most` from 0.
    BadRounds { span: Span, first: f64, last: f64, most: f64 },
    /// Something else than `true` or `false`.
    NotASwitch { span: Span, found: &'static str },
    /// A largest norm that leaves no gradient.
    NoNorm { span: Span, found: f64 },
    /// A plan without an objective.
    NothingToMinimize { span: Span },
    /// Something else than an optimizer; the number of inputs, where it is a layer.
    NotAnOptimizer { span: Span, found: &'static str, n: Option<usize> },
    /// Two optimizers for one parameter.
    TwoOptimizers { span: Span, first: Span, path: Symbol },
    /// An optimizer whose result has another shape.
    OptimizerShape { span: Span, path: Symbol, found: String, expected: String },
    /// A proximal operator without its strength.
    NoStrength { span: Span },
    /// A proximal operator with an optimizer that has no `lr`.
    NoLearningRate { span: Span, optimizer: Symbol, at: Span },
}

impl From<PlanMistake> for Diagnostic {
    fn from(mistake: PlanMistake) -> Diagnostic {
        use PlanMistake as M;
        let fallback = general_way_out(&mistake);
        let diagnostic = match mistake {
            M::Refused { .. } | M::DataArgument { .. } | M::TwoDataSets { .. } => data(mistake),
            M::TwoPlans { .. } | M::NoSuchKey { .. } | M::Missing { .. } => entries(mistake),
            M::NotWhole { .. } | M::NothingToMinimize { .. } => entries(mistake),
            M::NoPhase { .. } | M::NotRounds { .. } | M::BadRounds { .. } => stages(mistake),
            M::NotASwitch { .. } | M::NoNorm { .. } => stages(mistake),
            M::NotAnOptimizer { .. } | M::TwoOptimizers { .. } | M::OptimizerShape { .. } => optimizers(mistake),
            M::NoStrength { .. } | M::NoLearningRate { .. } => optimizers(mistake),
        };
        if diagnostic.help.is_some() { diagnostic } else { diagnostic.help(fallback) }
    }
}

/// The way out of each mistake, unless its wording knows a better one.
fn general_way_out(mistake: &PlanMistake) -> String {
    use PlanMistake as M;
    match mistake {
        M::Refused { refusal: Refusal { argument: Some(name), .. }, what: "argument", .. } => {
            format!("give `{name}` another value, or leave it out")
        }
        M::Refused { .. } => "look at the file".into(),
        M::DataArgument { .. } => "write a constant".into(),
        M::TwoDataSets { other, .. } => format!("read fields of `{other}` only, or join both in one npz file"),
        M::NoPhase { .. } => "add `phase { epochs = 10 }`".into(),
        M::NotRounds { .. } | M::BadRounds { .. } => {
            "write a range of whole numbers: `repeat round in 1..8 { … }`".into()
        }
        M::NotASwitch { .. } => "write `true` or `false`".into(),
        M::NoNorm { .. } => "write a number above 0: `clip = 5`".into(),
        M::TwoPlans { .. } => "keep one of them".into(),
        M::NoSuchKey { .. } => "take it away".into(),
        M::Missing { key, .. } => format!("add `{key} = …`"),
        M::NotWhole { key, .. } => format!("write `{key} = 10`"),
        M::NothingToMinimize { .. } => "add `minimize …`".into(),
        M::NotAnOptimizer { .. } => "write `sgd(lr: 0.1, momentum: 0.9)`".into(),
        M::TwoOptimizers { .. } => "name each parameter once".into(),
        M::OptimizerShape { .. } => "give the parameter's axes back: `(w: [...S], g: [...S]) -> [...S]`".into(),
        M::NoStrength { .. } => "write `prox_l1(1e-4)`: the threshold is this times the learning rate".into(),
        M::NoLearningRate { .. } => "give the optimizer a setting `lr`".into(),
    }
}

fn data(mistake: PlanMistake) -> Diagnostic {
    match mistake {
        PlanMistake::Refused { span, what, refusal: Refusal { code, title, argument: _, help } } => {
            with_help(Diagnostic::new(code, title, span, format!("this {what} can't be used")), help)
        }
        PlanMistake::DataArgument { span, found } => {
            let title = format!("data takes numbers, strings, truth values and sizes, not {found}");
            Diagnostic::new("E0506", title, span, format!("this is {found}"))
        }
        PlanMistake::TwoDataSets { span, name, first, other } => {
            let title = format!("a program reads one data set, but this one reads `{other}` and `{name}`");
            Diagnostic::new("E0507", title, span, format!("a field of `{name}`"))
                .also(first, format!("a field of `{other}`"))
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn entries(mistake: PlanMistake) -> Diagnostic {
    match mistake {
        PlanMistake::TwoPlans { span, first } => {
            Diagnostic::new("E0504", "there are two `train` blocks", span, "the second one")
                .also(first, "the first one")
        }
        PlanMistake::NoSuchKey { span, name, block, known, of_train } => {
            let known: Vec<Symbol> = known.iter().map(|&key| key.into()).collect();
            let title = format!("{block} has no entry `{name}`");
            match of_train {
                true => Diagnostic::new("E0501", title, span, "the same for all of the training")
                    .help(format!("set `{name}` in `train` itself; {block} sets {}", quoted(&known))),
                false => {
                    let diagnostic = Diagnostic::new("E0501", title, span, "unknown entry");
                    with_help(diagnostic, way_out(&name, &known, "its entries are"))
                }
            }
        }
        PlanMistake::Missing { span, key } => {
            let example = match key {
                "epochs" => "epochs = 20",
                _ => "optimizer = sgd(lr: 0.1)",
            };
            Diagnostic::new("E0502", format!("`train` needs `{key}`"), span, format!("`{key}` is missing"))
                .help(format!("add `{example}`"))
        }
        PlanMistake::NotWhole { span, key, found, least } => {
            let title = format!("`{key}` is a whole number from {least}, not {found}");
            Diagnostic::new("E0503", title, span, format!("this is {found}"))
        }
        PlanMistake::NothingToMinimize { span } => {
            Diagnostic::new("E0509", "there is nothing to train for", span, "an optimizer without an objective")
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn stages(mistake: PlanMistake) -> Diagnostic {
    match mistake {
        PlanMistake::NoPhase { span } => {
            Diagnostic::new("E0502", "the plan fires events but has no phase to train in", span, "without a phase")
        }
        PlanMistake::NotRounds { span, found } => {
            let title = format!("`repeat` counts from a whole number up to another one, found {found}");
            Diagnostic::new("E0508", title, span, format!("this is {found}"))
        }
        PlanMistake::BadRounds { span, first, last, most } => {
            let title = "`repeat` counts from a whole number up to another one";
            let label = match first.abs().max(last.abs()) > most {
                true => format!("counts between -{most} and {most} only"),
                false => format!("{first} to {last} is not such a range"),
            };
            Diagnostic::new("E0508", title, span, label)
        }
        PlanMistake::NotASwitch { span, found } => {
            let title = format!("expected `true` or `false`, found {found}");
            Diagnostic::new("E0503", title, span, format!("this is {found}"))
        }
        PlanMistake::NoNorm { span, found } => {
            let title = format!("`clip` is the largest norm of the gradient, a number above 0, not {found}");
            Diagnostic::new("E0503", title, span, format!("this is {found}"))
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn optimizers(mistake: PlanMistake) -> Diagnostic {
    match mistake {
        PlanMistake::NotAnOptimizer { span, found, n } => {
            let found = n.map_or(found.to_string(), |n| format!("a layer of {n} inputs"));
            let title = format!(
                "expected an optimizer, a layer from (parameter, gradient) to the new parameter, found {found}"
            );
            Diagnostic::new("E0505", title, span, format!("this is {found}"))
        }
        PlanMistake::TwoOptimizers { span, first, path } => {
            let title = format!("`{path}` has two optimizers of its own");
            Diagnostic::new("E0505", title, span, "the second one").also(first, "the first one")
        }
        PlanMistake::OptimizerShape { span, path, found, expected } => {
            let title = format!("the optimizer makes {found} of `{path}`, which is {expected}");
            Diagnostic::new("E0505", title, span, format!("gives {found}"))
        }
        PlanMistake::NoStrength { span } => {
            Diagnostic::new("E0412", "a proximal operator needs its strength", span, "without a strength")
        }
        PlanMistake::NoLearningRate { span, optimizer, at } => {
            let title = format!(
                "the threshold of a proximal operator is lr times its strength, but `{optimizer}` has no setting `lr`"
            );
            Diagnostic::new("E0412", title, span, "needs the learning rate").also(at, "this has no `lr`")
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}
