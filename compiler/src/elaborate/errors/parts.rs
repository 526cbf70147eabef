//! Mistakes with windows over images, parts of tensors, rows of tables, sequences and several results.

use super::at_operands;
use crate::diag::{Diagnostic, Span};
use crate::model::Symbol;

/// What can be wrong with them.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum PartMistake {
    /// A primitive of images is given something else.
    Rank { span: Span, op: &'static str, what: &'static str, expected: &'static str, found: String },
    /// The channels of images and weights differ.
    Channels { span: Span, operands: Vec<(Span, String)>, images: usize, weights: usize, groups: usize },
    /// The groups don't divide the channels.
    Groups { span: Span, operands: Vec<(Span, String)>, groups: usize, channels: usize },
    /// A window that is larger than what it slides over.
    Window { span: Span, at: Span, found: String, reach: usize, size: usize },
    /// A padding that fills a whole window.
    Padding { span: Span, padding: usize, reach: usize },
    /// A transposed convolution whose stride can't give the size that is asked for.
    OutputPadding { span: Span, padding: usize, stride: usize },
    /// Something else than a number or a pair of numbers.
    Pair { span: Span, name: &'static str, found: &'static str, same: bool },
    /// A number that is too small, or not whole.
    Whole { span: Span, name: &'static str, least: usize, found: f64 },
    /// The batch axis can't be taken apart.
    Batch { span: Span, op: &'static str, tensor: Span, found: String },
    /// A quantile over samples.
    SortedBatch { span: Span, found: String, name: Symbol },
    /// A part that reaches outside.
    Outside { span: Span, tensor: Span, found: String, range: (f64, f64), size: usize },
    /// Something else than `start..end`.
    NotARange { span: Span, found: &'static str },
    /// Parts that don't fit together.
    Concat { span: Span, operands: Vec<(Span, String)>, axis: Symbol },
    /// `concat` of nothing.
    NoParts { span: Span },
    /// More elements than there are.
    TopK { span: Span, tensor: Span, found: String, k: usize, n: usize },
    /// Rows of a number.
    NoTable { span: Span },
    /// Row numbers that are no integers.
    Index { span: Span, found: &'static str },
    /// One axis is expected.
    SeveralAxes { span: Span, op: &'static str, n: usize },
    /// A cell whose carry changes its shape.
    Carry { span: Span, cell: Span, before: String, after: String },
    /// A state of the sequence of batches, and batches of no known size.
    NoBatch { span: Span, path: Symbol },
    /// Not as many results as declared.
    Results { span: Span, owner: Symbol, declared: Span, found: Option<usize>, kind: &'static str, expected: usize },
}

impl From<PartMistake> for Diagnostic {
    fn from(mistake: PartMistake) -> Diagnostic {
        use PartMistake as M;
        match mistake {
            M::Rank { .. } | M::Channels { .. } | M::Groups { .. } | M::Window { .. } | M::Padding { .. } => {
                windows(mistake)
            }
            M::OutputPadding { .. } | M::Pair { .. } | M::Whole { .. } => windows(mistake),
            M::Batch { .. } | M::SortedBatch { .. } | M::Outside { .. } | M::NotARange { .. } => parts(mistake),
            M::Concat { .. } | M::NoParts { .. } | M::TopK { .. } | M::NoTable { .. } | M::Index { .. } => {
                parts(mistake)
            }
            M::SeveralAxes { .. } | M::Carry { .. } | M::Results { .. } | M::NoBatch { .. } => parts(mistake),
        }
    }
}

fn windows(mistake: PartMistake) -> Diagnostic {
    match mistake {
        PartMistake::Rank { span, op, what, expected, found } => {
            let title = format!("`{op}` takes {what} {expected}, but is given {found}");
            Diagnostic::new("E0320", title, span, format!("this is {found}"))
                .help(format!("give it the axes {expected}: `reshape(x, {expected})`"))
        }
        PartMistake::Channels { span, operands, images, weights, groups } => {
            let of = if groups == 1 { String::new() } else { format!(" in {groups} groups") };
            let title = format!("the images have {images} channels, but the weights take {weights}{of}");
            at_operands(Diagnostic::new("E0320", title, span, "combines them"), operands).help(format!(
                "declare the weights as `[Out, {}, KH, KW]`",
                images.checked_div(groups).unwrap_or(images)
            ))
        }
        PartMistake::Groups { span, operands, groups, channels } => {
            let title = format!("{channels} channels can't be split into {groups} groups");
            at_operands(Diagnostic::new("E0320", title, span, "combines them"), operands)
                .help("choose a number of groups that divides the channels on both sides")
        }
        PartMistake::Window { span, at, found, reach, size } => {
            let title = format!("a window of {reach} doesn't fit into {size} elements");
            Diagnostic::new("E0321", title, span, "slides this window")
                .also(at, format!("this is {found}"))
                .help("make the window or its dilation smaller, or give it a `padding`")
        }
        PartMistake::Padding { span, padding, reach } => {
            let title = format!("a padding of {padding} hides the whole window of {reach}");
            Diagnostic::new("E0321", title, span, "some windows would see nothing but padding")
                .help("pad less than the window is wide, or use `pad(x, H, before, after)`")
        }
        PartMistake::OutputPadding { span, padding, stride } => {
            let title = format!("an output padding of {padding} needs a stride above it, but the stride is {stride}");
            Diagnostic::new("E0321", title, span, "no window would reach so far")
                .help("choose an `output_padding` below the `stride`")
        }
        PartMistake::Pair { span, name, found, same } => {
            let title = format!("`{name}` is a number or a pair of numbers, not {found}");
            let words = if same { ", or `padding: \"same\"`" } else { "" };
            Diagnostic::new("E0321", title, span, format!("this is {found}"))
                .help(format!("write `{name}: 2`, or `{name}: (2, 1)` for height and width{words}"))
        }
        PartMistake::Whole { span, name, least, found } => {
            let title = format!("`{name}` is a whole number from {least}, not {found}");
            Diagnostic::new("E0312", title, span, format!("this is {found}"))
                .help(format!("write a whole number: `{name}: {}`", least.max(1)))
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn parts(mistake: PartMistake) -> Diagnostic {
    match mistake {
        PartMistake::Batch { span, op, tensor, found } => {
            let title = format!("`{op}` can't work along the batch");
            Diagnostic::new("E0322", title, span, "its samples have nothing to do with each other")
                .also(tensor, format!("this is {found}"))
                .help("name another axis")
        }
        PartMistake::SortedBatch { span, found, name } => {
            let title = format!("`quantile` sorts all elements, but can't sort along the batch of {found}");
            Diagnostic::new("E0322", title, span, "its samples have nothing to do with each other")
                .help(format!("combine the samples first: `quantile(mean(x, {name}), 0.5)`"))
        }
        PartMistake::Outside { span, tensor, found, range: (start, end), size } => {
            let title = format!("the part {start}..{end} reaches outside of {size} elements");
            Diagnostic::new("E0322", title, span, format!("positions are 0 to {}", size.saturating_sub(1)))
                .also(tensor, format!("this is {found}"))
                .help(format!("write `start..end` with 0 <= start < end <= {size}; the end is not part of it"))
        }
        PartMistake::NotARange { span, found } => {
            Diagnostic::new("E0322", format!("expected a range, found {found}"), span, format!("this is {found}"))
                .help("write the first position and the one behind the last: `slice(x, T, 0..4)`")
        }
        PartMistake::Concat { span, operands, axis } => {
            let title = format!("these parts differ in more than the axis `{axis}`");
            at_operands(Diagnostic::new("E0322", title, span, "puts them one behind the other"), operands)
                .help("give them the same other axes, in the same order")
        }
        PartMistake::NoParts { span } => {
            Diagnostic::new("E0310", "`concat` needs at least one tensor", span, "nothing to put together")
                .help("write the parts, then the axis: `concat(a, b, over: C)`")
        }
        PartMistake::TopK { span, tensor, found, k, n } => {
            let title = format!("there are no {k} largest among {n} elements");
            Diagnostic::new("E0322", title, span, format!("this is {k}"))
                .also(tensor, format!("this is {found}"))
                .help(format!("write a number from 1 to {n}, or name more axes"))
        }
        PartMistake::NoTable { span } => {
            Diagnostic::new("E0322", "a number has no rows", span, "no axes").help("give `gather` a tensor with axes")
        }
        PartMistake::Index { span, found } => {
            let title = format!("the numbers of rows are integers, but these are {found}");
            Diagnostic::new("E0307", title, span, format!("these are {found}")).help("convert them: `int(x)`")
        }
        PartMistake::SeveralAxes { span, op, n } => {
            let title = format!("`{op}` works along one axis, but {n} are named");
            Diagnostic::new("E0306", title, span, "expected one axis").help("name one axis")
        }
        PartMistake::Carry { span, cell, before, after } => {
            let title = format!("the cell turns a carry of {before} into {after}");
            Diagnostic::new("E0323", title, cell, "is applied to its own result")
                .also(span, format!("starts from {before}"))
                .help("start from a carry of the shape that the cell returns")
        }
        PartMistake::NoBatch { span, path } => {
            let title =
                format!("`{path}` has a value for each sample of a batch, but the plan doesn't say how many there are");
            Diagnostic::new("E0317", title, span, "no `batch`").help("add the size of a batch: `batch = 20`")
        }
        PartMistake::Results { span, owner, declared, found, kind, expected } => {
            let found = found.map_or(kind.to_string(), |n| format!("{n} values"));
            let title = format!("`{owner}` promises {expected} results, but its value is {found}");
            Diagnostic::new("E0305", title, span, format!("this is {found}"))
                .also(declared, "declared here")
                .help("end the block with as many values as are declared: `(h, c)`")
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}
