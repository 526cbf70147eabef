//! Mistakes with paths, groups, sparsity and budgets: E04xx.

use super::{quoted, way_out, with_help};
use crate::diag::{Diagnostic, Span};
use crate::model::Symbol;

/// What can be wrong with what stands for many tensors.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum GroupMistake {
    /// A path names something that is not there.
    NoSuchName { span: Span, name: Symbol, of: String, known: Vec<Symbol> },
    /// A path ends at a layer.
    PathIsALayer { span: Span, path: Symbol, known: Vec<Symbol> },
    /// A path into something that has no names inside.
    NoPathsInto { span: Span, found: &'static str },
    /// A path is expected.
    NotAPath { span: Span, found: &'static str },
    /// A pattern matches nothing.
    EmptyPattern { span: Span, known: Vec<Symbol> },
    /// Groups along an axis that a tensor doesn't have.
    NoSuchAxis { span: Span, name: Symbol, path: Symbol, shape: String, known: Vec<Symbol> },
    /// Blocks that don't tile a tensor.
    Blocks { span: Span, path: Symbol, shape: String, blocks: Vec<usize> },
    /// `by` on what is a view already.
    CutTwice { span: Span, path: Symbol },
    /// A run that doesn't divide an axis.
    Runs { span: Span, path: Symbol, name: Symbol, size: usize, run: usize },
    /// A run of several axes.
    RunsOfAxes { span: Span },
    /// Groups of a value that has a batch axis.
    GroupsOfABatch { span: Span, path: Symbol, shape: String },
    /// `join()` of nothing.
    EmptyJoin { span: Span },
    /// A part of a join without groups.
    PartWithoutGroups { span: Span, path: Symbol },
    /// Parts of a join with different numbers of groups.
    JoinedCounts { span: Span, path: Symbol, found: usize, others: (Span, usize) },
    /// A set of several tensors where one is expected.
    SetIsNotATensor { span: Span, set: Span, n: usize, found: String },
    /// A set is expected.
    NotASet { span: Span, found: &'static str },
    /// The name of a `sparsify` line stands alone.
    NotAValue { span: Span, name: Symbol, declared: Span, inside: Option<Symbol> },
    /// A path into a group that is not under `sparsify`.
    NotSparsified { span: Span, name: Symbol },
    /// Something else than a parameter would be changed.
    NotAParameter { span: Span, path: Symbol, what: &'static str },
    /// Two `sparsify` lines on one tensor.
    Overlap { span: Span, first: Span, path: Symbol },
    /// A parameterisation that needs its own result.
    Circular { span: Span, path: Symbol, declared: Span },
    /// A parameterisation or proximal operator that changes the shape.
    OtherShape { span: Span, found: String, expected: String },
    /// A limit that is not a share.
    NotAShare { span: Span, found: f64 },
    /// A budget of something else than a model.
    NotAModel { span: Span, found: &'static str, instead: Option<Symbol> },
    /// A budget of a model without parameters, or without contractions.
    NothingToCount { span: Span, model: Symbol },
    /// A budget needs a density that nobody measures.
    NoDensity { span: Span, path: Symbol, declared: Span },
    /// What is never pruned is more than the budget.
    ImpossibleBudget { span: Span, model: Symbol, rest: u64, total: u64, limit: f64 },
    /// A tensor without elements.
    EmptyTensor { span: Span, shape: Vec<usize> },
}

impl From<GroupMistake> for Diagnostic {
    fn from(mistake: GroupMistake) -> Diagnostic {
        use GroupMistake as M;
        let fallback = general_way_out(&mistake);
        let diagnostic = match mistake {
            M::NoSuchName { .. } | M::PathIsALayer { .. } | M::NoPathsInto { .. } => paths(mistake),
            M::NotAPath { .. } | M::EmptyPattern { .. } => paths(mistake),
            M::NoSuchAxis { .. } | M::Blocks { .. } | M::CutTwice { .. } | M::GroupsOfABatch { .. } => cuts(mistake),
            M::Runs { .. } | M::RunsOfAxes { .. } => cuts(mistake),
            M::EmptyJoin { .. } | M::PartWithoutGroups { .. } | M::JoinedCounts { .. } => joins(mistake),
            M::SetIsNotATensor { .. } | M::NotASet { .. } | M::EmptyTensor { .. } => cuts(mistake),
            M::NotAValue { .. } | M::NotSparsified { .. } | M::NotAParameter { .. } => sparsity(mistake),
            M::Overlap { .. } | M::Circular { .. } | M::OtherShape { .. } => sparsity(mistake),
            M::NotAShare { .. } | M::NotAModel { .. } | M::NothingToCount { .. } => budgets(mistake),
            M::NoDensity { .. } | M::ImpossibleBudget { .. } => budgets(mistake),
        };
        if diagnostic.help.is_some() { diagnostic } else { diagnostic.help(fallback) }
    }
}

/// The way out of each mistake, unless its wording knows a better one.
fn general_way_out(mistake: &GroupMistake) -> String {
    use GroupMistake as M;
    match mistake {
        M::NoSuchName { .. } => "name something that is there".into(),
        M::PathIsALayer { .. } => "name a tensor of a layer that has one".into(),
        M::NoPathsInto { .. } | M::NotAPath { .. } => "start the path at a model: `net.fc1.w`".into(),
        M::EmptyPattern { .. } => "there are no parameters under this path: name another one".into(),
        M::NoSuchAxis { .. } => "write `by each` or `by whole`".into(),
        M::Blocks { .. } => "give one block size for each axis, each a divisor of the axis".into(),
        M::CutTwice { .. } => "take one `by` away".into(),
        M::Runs { name, .. } => format!("write a divisor: `by {name} / 2`"),
        M::RunsOfAxes { .. } => "name one axis: `by In / 16`".into(),
        M::GroupsOfABatch { .. } => "take `by …` away: the layer is given the value as it is".into(),
        M::EmptyJoin { .. } | M::PartWithoutGroups { .. } => {
            "say how each part is cut: `join(net.fc1.w by Out, net.fc2.w by In)`".into()
        }
        M::JoinedCounts { .. } => "cut the larger one into runs, `by In / 16`, or leave it out".into(),
        M::SetIsNotATensor { .. } => {
            "apply a function that gives one number, `l1(set)`: its values are added up".into()
        }
        M::NotASet { .. } => "name a group or a pattern: `mean over neurons of l1`".into(),
        M::NotAValue { .. } => "name something inside of it".into(),
        M::NotSparsified { name, .. } => {
            format!("put it under one: `sparsify {name} with` a layer of `std.sparse` or one of your own")
        }
        M::NotAParameter { .. } => "name a `param` of a layer: `net.fc1.w`".into(),
        M::Overlap { .. } => "stack them in one line: `sparsify … with A then B`".into(),
        M::Circular { path, .. } => format!("read the free tensor: `raw({path})`"),
        M::OtherShape { expected, .. } => format!("give back {expected}: the tensor keeps its shape"),
        M::NotAShare { .. } => "write a share: `15%`".into(),
        M::NotAModel { instead: Some(instead), .. } => format!("count all of the model: `{instead}`"),
        M::NotAModel { instead: None, .. } => "declare one, `model net = Net`, and name it".into(),
        M::NothingToCount { .. } => "apply it to data in `minimize`".into(),
        M::NoDensity { .. } => "add `measure density = …` to the layer, or use one of `std.sparse` that has it".into(),
        M::ImpossibleBudget { .. } => "put more of its tensors under a `sparsify` with a density, or allow more".into(),
        M::EmptyTensor { .. } => "load a tensor that has elements".into(),
    }
}

fn paths(mistake: GroupMistake) -> Diagnostic {
    match mistake {
        GroupMistake::NoSuchName { span, name, of, known } => {
            let title = format!("{of} has no `{name}`");
            let diagnostic = Diagnostic::new("E0401", title, span, format!("no `{name}` in {of}"));
            with_help(diagnostic, way_out(&name, &known, "it has"))
        }
        GroupMistake::PathIsALayer { span, path, known } => {
            let title = format!("`{path}` is a layer instance, not a tensor");
            let first = known.first().map(|name| format!("write `{path}.{name}`"));
            with_help(Diagnostic::new("E0401", title, span, "expected a tensor"), first)
        }
        GroupMistake::NoPathsInto { span, found } => {
            let title = format!("{found} has no names inside");
            Diagnostic::new("E0401", title, span, "expected a model, a layer instance or the name of a `sparsify` line")
        }
        GroupMistake::NotAPath { span, found } => {
            let title = format!("expected a path or a group, found {found}");
            Diagnostic::new("E0401", title, span, format!("this is {found}")).help("write a path: `net.fc1.w`")
        }
        GroupMistake::EmptyPattern { span, known } => {
            let diagnostic = Diagnostic::new("E0402", "this pattern matches nothing", span, "no path fits");
            let help = (!known.is_empty()).then(|| format!("the parameters are {}", quoted(&known)));
            with_help(diagnostic, help)
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn cuts(mistake: GroupMistake) -> Diagnostic {
    match mistake {
        GroupMistake::NoSuchAxis { span, name, path, shape, known } => {
            let title = format!("`{path}` has no axis `{name}` to group by");
            let diagnostic = Diagnostic::new("E0404", title, span, format!("`{path}` is {shape}"));
            with_help(diagnostic, way_out(&name, &known, "its axes are"))
        }
        GroupMistake::Blocks { span, path, shape, blocks } => {
            let blocks = blocks.iter().map(usize::to_string).collect::<Vec<String>>().join(" x ");
            let title = format!("blocks of {blocks} don't tile `{path}`");
            Diagnostic::new("E0405", title, span, format!("`{path}` is {shape}"))
        }
        GroupMistake::CutTwice { span, path } => {
            let title = format!("`{path}` is a view of groups already");
            Diagnostic::new("E0405", title, span, "`by` stands once")
        }
        GroupMistake::Runs { span, path, name, size, run } => {
            let title = format!("`{path}` has {size} indices along `{name}`, which runs of {run} don't divide");
            Diagnostic::new("E0405", title, span, format!("{size} / {run} is not whole"))
        }
        GroupMistake::RunsOfAxes { span } => {
            Diagnostic::new("E0405", "a run is along one axis", span, "of which axis?")
        }
        GroupMistake::GroupsOfABatch { span, path, shape } => {
            let title = format!("`{path}` is {shape}: its groups would have as many members as the batch");
            Diagnostic::new("E0414", title, span, "can't be cut into groups")
        }
        GroupMistake::SetIsNotATensor { span, set, n, found } => {
            let title = format!("a set of {n} tensors stands where one is expected");
            let label = if found.is_empty() { "expected one tensor".into() } else { format!("gives {found} for each") };
            Diagnostic::new("E0410", title, span, label).also(set, format!("a set of {n} tensors"))
        }
        GroupMistake::NotASet { span, found } => {
            let title = format!("expected a set of tensors after `over`, found {found}");
            Diagnostic::new("E0410", title, span, format!("this is {found}"))
        }
        GroupMistake::EmptyTensor { span, shape } => {
            Diagnostic::new("E0312", format!("a tensor of shape {shape:?} has no elements"), span, "has no elements")
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn joins(mistake: GroupMistake) -> Diagnostic {
    match mistake {
        GroupMistake::EmptyJoin { span } => Diagnostic::new("E0413", "a join of nothing", span, "expected groups"),
        GroupMistake::PartWithoutGroups { span, path } => {
            let title = format!("`{path}` is not cut into groups that could be joined");
            Diagnostic::new("E0413", title, span, "expected `by …`")
        }
        GroupMistake::JoinedCounts { span, path, found, others: (at, expected) } => {
            let title =
                format!("joined parts need one number of groups, but `{path}` has {found} instead of {expected}");
            let error = Diagnostic::new("E0413", title, span, format!("{found} groups"));
            error.also(at, format!("{expected} groups"))
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn sparsity(mistake: GroupMistake) -> Diagnostic {
    match mistake {
        GroupMistake::NotAValue { span, name, declared, inside } => {
            let title = format!("`{name}` is the name of a parameterisation, not a value");
            let diagnostic = Diagnostic::new("E0406", title, span, "expected a value").also(declared, "declared here");
            with_help(diagnostic, inside.map(|inside| format!("write `{name}.{inside}`")))
        }
        GroupMistake::NotSparsified { span, name } => {
            let title = format!("`{name}` is not under a `sparsify`, so it has no names inside");
            Diagnostic::new("E0401", title, span, "a plain group")
        }
        GroupMistake::NotAParameter { span, path, what } => {
            let title = format!("`{path}` is not a parameter");
            Diagnostic::new("E0406", title, span, format!("`{what}` takes free parameters"))
        }
        GroupMistake::Overlap { span, first, path } => {
            let title = format!("`{path}` is under two `sparsify` lines");
            Diagnostic::new("E0403", title, span, "the second one").also(first, "the first one")
        }
        GroupMistake::Circular { span, path, declared } => {
            let title = format!("what stands for `{path}` depends on itself");
            Diagnostic::new("E0407", title, span, "read here").also(declared, "while this is computed")
        }
        GroupMistake::OtherShape { span, found, expected } => {
            let title = format!("{expected} would become {found}");
            Diagnostic::new("E0407", title, span, format!("gives {found}"))
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn budgets(mistake: GroupMistake) -> Diagnostic {
    match mistake {
        GroupMistake::NotAShare { span, found } => {
            let title = format!("a budget is a share between 0% and 100%, not {}%", found * 100.0);
            Diagnostic::new("E0411", title, span, format!("this is {}%", found * 100.0))
        }
        GroupMistake::NotAModel { span, found, instead: _ } => {
            let title = format!("a budget counts a model, not {found}");
            Diagnostic::new("E0411", title, span, format!("this is {found}"))
        }
        GroupMistake::NothingToCount { span, model } => {
            let title = format!("there is nothing to count in `{model}`");
            Diagnostic::new("E0411", title, span, "its parameters take part in no contraction of the objective")
        }
        GroupMistake::NoDensity { span, path, declared } => {
            let title = format!("the budget needs the density of `{path}`, which its parameterisation doesn't measure");
            Diagnostic::new("E0408", title, span, "counts a density")
                .also(declared, "this has no `measure density`")
                .help("add `measure density = …` to the layer, or use one of `std.sparse` that has it")
        }
        GroupMistake::ImpossibleBudget { span, model, rest, total, limit } => {
            let share = rest as f64 / total as f64 * 100.0;
            let why = match rest == total {
                true => format!("none of its tensors is under a `sparsify`, so that all {total} count"),
                false => format!("{rest} of {total} are never pruned, which is {share:.1}%"),
            };
            let title = format!("`{model}` can't keep this budget: {why}");
            let most = (limit * total as f64).floor();
            Diagnostic::new("E0409", title, span, format!("allows {most} of {total}"))
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}
