//! Mistakes with axes, sizes, kinds of values, arguments and layers: E03xx.

use super::{at_operands, quoted, way_out, with_help};
use crate::diag::{Diagnostic, Span};
use crate::model::{DType, Symbol};

/// Where a pattern of axes stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum PatternRole {
    /// An input of a signature.
    Input,
    /// The result of a signature.
    Result,
    /// An annotation of a binding.
    Annotation,
}

/// What can be wrong with values and their axes.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum ShapeMistake {
    /// Sizes that meet in an elementwise operation differ.
    SizesDiffer { span: Span, operands: Vec<(Span, String)>, sizes: (String, String) },
    /// Axes that would meet have contradicting names.
    NamesContradict { span: Span, operands: Vec<(Span, String)>, names: (Symbol, Symbol) },
    /// Two axes have the name that is looked for.
    AmbiguousAxis { span: Span, operands: Vec<(Span, String)>, name: Symbol },
    /// A value is larger than what it should fill.
    DoesNotFit { span: Span, found: String, expected: String, like: Span },
    /// A size that is needed is not known.
    UnknownSize { span: Span, name: Symbol, owner: Symbol, declared: Span, settable: bool },
    /// A tensor doesn't have the declared axes.
    Pattern { span: Span, found: String, expected: String, declared: Span, role: PatternRole, owner: Symbol },
    /// A tensor has no axis of this name.
    NoSuchAxis { span: Span, tensor: Span, name: Symbol, found: String, names: Vec<Symbol>, foreign: bool },
    /// Something else than an axis.
    NotAnAxis { span: Span, found: &'static str },
    /// `argmax` over none or several axes.
    OneAxis { span: Span, tensor: Span, found: String },
    /// `transpose` without each axis once.
    NotAnOrder { span: Span, tensor: Span, found: String, named: usize },
    /// Truth values are expected.
    NotACondition { span: Span, found: String },
    /// An input takes other elements.
    ElementType { span: Span, found: DType, declared: DType, at: Span },
    /// `@` needs at least one axis on either side.
    NoMatrices { span: Span, operands: Vec<(Span, String)> },
    /// `@` sums over axes of different sizes.
    ContractedSizes { span: Span, operands: Vec<(Span, String)>, sizes: (String, String) },
    /// `reshape` to another number of elements.
    Reshape { span: Span, tensor: Span, found: String, asked: String, open: usize },
    /// A shape that has to have all of its sizes.
    OpenShape { span: Span, asked: String },
    /// `reshape` without a shape.
    NotAShape { span: Span, found: &'static str },
    /// An argument is missing.
    MissingArgument { span: Span, callee: Symbol, missing: Symbol, declared: Option<Span> },
    /// More arguments than inputs.
    TooManyArguments { span: Span, callee: Symbol, inputs: Vec<Symbol>, declared: Option<Span> },
    /// No input of this name.
    NoSuchArgument { span: Span, callee: Symbol, name: Symbol, inputs: Vec<Symbol>, declared: Option<Span> },
    /// An input is given twice.
    ArgumentTwice { span: Span, callee: Symbol, name: Symbol },
    /// A layer has no size of this name.
    NoSuchSize { span: Span, callee: Symbol, name: Symbol, known: Vec<Symbol>, declared: Span },
    /// A constant expression has no finite value.
    NotFinite { span: Span, value: f64 },
    /// A size that no tensor can have.
    BadSize { span: Span, found: f64 },
    /// A lasting tensor that is too large.
    TooLarge { span: Span, elements: u64 },
    /// A parameter along the batch.
    BatchLasts { span: Span },
    /// Calls that never end.
    TooDeep { span: Span, name: Symbol, declared: Span, limit: usize },
    /// Calls without number.
    TooMuch { span: Span, name: Symbol, declared: Span, limit: usize },
    /// A tensor or number is expected.
    NotATensor { span: Span, found: &'static str, declared: Option<Span> },
    /// A name that nobody binds stands where a value is expected.
    AxisIsNotAValue { span: Span, name: Symbol },
    /// A function or layer is expected.
    NotCallable { span: Span, found: &'static str },
    /// A layer is expected.
    NotALayer { span: Span, found: &'static str },
    /// A string is expected.
    NotAString { span: Span, found: &'static str },
    /// A tuple is expected.
    NotATuple { span: Span, found: Option<usize>, kind: &'static str, expected: usize },
    /// A number known when compiling is expected.
    NotANumber { span: Span, found: String },
    /// A condition that an argument must meet, and doesn't.
    NotAllowed { span: Span, found: String, call: Option<Span> },
    /// A scalar is expected.
    NotAScalar { span: Span, what: &'static str, found: String },
    /// A local that nothing has bound.
    NotBound { span: Span, name: Symbol, bound: Span, rest: bool },
    /// `...S` outside of functions and layers.
    NoRestHere { span: Span },
    /// The second use of an instance needs other sizes.
    OtherSizes { span: Span, path: Symbol, old: String, new: String },
    /// Two layers would live at one path.
    TwoLayers { span: Span, path: Symbol },
    /// `param` or `state` outside of a layer.
    OutsideOfALayer { span: Span },
    /// A parameter that can't be trained.
    ParamIsNotReal { span: Span, name: Symbol, found: DType },
    /// `<-` on something else than a state.
    NotAState { span: Span, name: Symbol, bound: Span },
    /// `<-` inside an `if`.
    UpdateInIf { span: Span, name: Symbol },
    /// Two writes of a state in a step.
    WrittenTwice { span: Span, first: Span, second: Span, path: Symbol },
    /// Something that can't be elaborated, for no reason that is known.
    Lost { span: Span },
}

impl From<ShapeMistake> for Diagnostic {
    fn from(mistake: ShapeMistake) -> Diagnostic {
        use ShapeMistake as M;
        let fallback = general_way_out(&mistake);
        let diagnostic = match mistake {
            M::SizesDiffer { .. } | M::NamesContradict { .. } | M::AmbiguousAxis { .. } => alignment(mistake),
            M::DoesNotFit { .. } | M::UnknownSize { .. } | M::Pattern { .. } => alignment(mistake),
            M::NoSuchAxis { .. } | M::NotAnAxis { .. } | M::OneAxis { .. } | M::NotAnOrder { .. } => axes(mistake),
            M::NotACondition { .. } | M::ElementType { .. } => axes(mistake),
            M::NoMatrices { .. } | M::ContractedSizes { .. } => axes(mistake),
            M::Reshape { .. } | M::NotAShape { .. } | M::OpenShape { .. } => axes(mistake),
            M::MissingArgument { .. } | M::TooManyArguments { .. } | M::NoSuchArgument { .. } => arguments(mistake),
            M::ArgumentTwice { .. } | M::NoSuchSize { .. } => arguments(mistake),
            M::NotFinite { .. } | M::BadSize { .. } | M::TooLarge { .. } | M::BatchLasts { .. } => numbers(mistake),
            M::TooDeep { .. } | M::TooMuch { .. } | M::NotANumber { .. } => numbers(mistake),
            M::NotAllowed { .. } | M::NotAScalar { .. } => numbers(mistake),
            M::NotATensor { .. } | M::AxisIsNotAValue { .. } | M::NotCallable { .. } => kinds(mistake),
            M::NotALayer { .. }
            | M::NotAString { .. }
            | M::NotATuple { .. }
            | M::NotBound { .. }
            | M::NoRestHere { .. } => kinds(mistake),
            M::OtherSizes { .. } | M::TwoLayers { .. } | M::OutsideOfALayer { .. } => layers(mistake),
            M::ParamIsNotReal { .. } | M::NotAState { .. } | M::UpdateInIf { .. } => layers(mistake),
            M::WrittenTwice { .. } | M::Lost { .. } => layers(mistake),
        };
        if diagnostic.help.is_some() { diagnostic } else { diagnostic.help(fallback) }
    }
}

/// The way out of each mistake, unless its wording knows a better one.
fn general_way_out(mistake: &ShapeMistake) -> String {
    use ShapeMistake as M;
    match mistake {
        M::SizesDiffer { .. } => {
            "name the axes so that the right ones meet, by an annotation: `y: [B, Out] = …`".into()
        }
        M::NamesContradict { .. } | M::AmbiguousAxis { .. } => {
            "name the axes by an annotation: `y: [Row, Col] = …`".into()
        }
        M::DoesNotFit { .. } => "reduce it: `sum(x, B)`, or give both the same axes".into(),
        M::UnknownSize { name, owner, .. } => format!("set it: `{owner}[{name} = 100]`"),
        M::Pattern { expected, role: PatternRole::Input, .. } => format!("give it {expected}"),
        M::Pattern { found, .. } => format!("declare {found}, or reshape the value"),
        M::NoSuchAxis { .. } => {
            "names are local: name the axes in the signature, or by an annotation `y: [B, N] = …`".into()
        }
        M::NotAnAxis { .. } => "name an axis of the tensor: `sum(x, B)`".into(),
        M::OneAxis { .. } => "name it: `argmax(x, C)`".into(),
        M::NotAnOrder { .. } => "name every axis, in the new order: `transpose(x, Out, In)`".into(),
        M::NotACondition { .. } | M::ElementType { declared: DType::Bool, .. } => {
            "compare with something: `x > 0`".into()
        }
        M::ElementType { declared: DType::I32, .. } => "convert them: `int(x)`".into(),
        M::ElementType { declared: DType::F32, .. } => "convert them: `float(x)`".into(),
        M::NoMatrices { .. } => "multiply element by element: `a * b`".into(),
        M::ContractedSizes { .. } => {
            "put the axes in order, `transpose(w, In, Out)`, or name the axis to sum over: `sum(x * w, In)`".into()
        }
        M::Reshape { .. } => "leave one size to be inferred: `reshape(x, [B, N])`".into(),
        M::OpenShape { .. } => "name sizes that a signature or an annotation binds: `full([B, N], 0)`".into(),
        M::NotAShape { .. } => "write the axes in brackets: `reshape(x, [B, N])`".into(),
        M::MissingArgument { callee, missing, .. } => format!("write `{callee}({missing}: …)`"),
        M::TooManyArguments { .. } | M::NoSuchArgument { .. } | M::ArgumentTwice { .. } => "take it away".into(),
        M::NoSuchSize { .. } => "take the brackets away".into(),
        M::NotFinite { .. } => "write numbers whose result is finite".into(),
        M::BadSize { .. } => "write a whole number: `Dense[Out = 10]`".into(),
        M::TooLarge { .. } => "make its axes smaller".into(),
        M::BatchLasts { .. } => "declare it without the batch axis".into(),
        M::TooMuch { .. } => "bind the result of a call to a name instead of calling again".into(),
        M::TooDeep { .. } => "end the recursion: `if n == 0 { … } else { … }`".into(),
        M::NotANumber { .. } => "write a number, or the name of a `const`".into(),
        M::NotAllowed { .. } => "give it a value for which the condition holds".into(),
        M::NotAScalar { .. } => "reduce it: `sum(x)`, `mean(x)`".into(),
        M::NotATensor { found, .. } => into_tensor(found).into(),
        M::AxisIsNotAValue { name, .. } => format!("bind it first: `{name} = …`"),
        M::NotCallable { .. } => "take the parentheses away".into(),
        M::NotALayer { .. } => "name a layer, with the sizes that it needs: `Dense[Out = 10]`".into(),
        M::NotAString { .. } => "write it in quotes".into(),
        M::NotATuple { found: Some(_), .. } => "bind one name for each value: `(a, b) = …`".into(),
        M::NotATuple { found: None, .. } => "bind one name: `a = …`".into(),
        M::NotBound { name, rest: true, .. } => format!("give an input these axes: `x: [...{name}]`"),
        M::NotBound { name, rest: false, .. } => format!("bind `{name}` before"),
        M::NoRestHere { .. } => "write a function whose input has these axes: `fn f(x: [...S]) = …`".into(),
        M::OtherSizes { .. } => "make a second instance for other sizes".into(),
        M::TwoLayers { .. } => "give them different names".into(),
        M::OutsideOfALayer { .. } => "declare a `layer` instead of a `fn`".into(),
        M::ParamIsNotReal { name, .. } => format!("declare it as a state: `state {name}`"),
        M::NotAState { name, .. } => format!("declare it: `state {name}: [] = 0`"),
        M::UpdateInIf { name, .. } => format!("write `{name} <- if c {{ … }} else {{ {name} }}`"),
        M::WrittenTwice { .. } => "apply the layer once in each step, or make two instances of it".into(),
        M::Lost { .. } => "write it in another way, and report this program as a bug of the compiler".into(),
    }
}

/// What to do with a thing that stands where a tensor is expected.
fn into_tensor(found: &str) -> &'static str {
    match found {
        "a layer" | "a layer instance" | "a chain of layers" => "apply it: `fc1(x)`",
        "a function" => "call it: `relu(x)`",
        "a data set" => "name one of its fields: `mnist.image`",
        "a tuple" => "bind its values to names: `(a, b) = …`",
        "a range" => "name one of its ends: `epochs.start`",
        "an axis" => "bind the name first, or name a size of the signature",
        _ => "write a number, or a name that is bound to a tensor",
    }
}

fn alignment(mistake: ShapeMistake) -> Diagnostic {
    match mistake {
        ShapeMistake::SizesDiffer { span, operands, sizes: (a, b) } => {
            let title = format!("sizes {a} and {b} don't go together");
            at_operands(Diagnostic::new("E0301", title, span, "these axes are combined element by element"), operands)
        }
        ShapeMistake::NamesContradict { span, operands, names: (a, b) } => {
            let title = format!("axis `{a}` meets axis `{b}`");
            let label = "neither shape is part of the other one, going by the names";
            at_operands(Diagnostic::new("E0302", title, span, label), operands)
                .help(format!("give both axes one name in a signature or an annotation, or insert an axis of size 1: `reshape(x, [{a}, 1])`"))
        }
        ShapeMistake::AmbiguousAxis { span, operands, name } => {
            let title = format!("there are two axes `{name}` to choose from");
            at_operands(Diagnostic::new("E0302", title, span, format!("which `{name}` is meant?")), operands)
                .help("name the axes apart in an annotation: `y: [Row, Col] = …`")
        }
        ShapeMistake::DoesNotFit { span, found, expected, like } => {
            let title = format!("{found} doesn't fit into {expected}");
            Diagnostic::new("E0301", title, span, format!("this is {found}")).also(like, format!("this is {expected}"))
        }
        ShapeMistake::UnknownSize { span, name, owner, declared, settable } => {
            let title = format!("the size `{name}` of `{owner}` is not known here");
            let diagnostic = Diagnostic::new("E0303", title, span, format!("needs `{name}`"));
            let diagnostic = diagnostic.also(declared, "nothing that is known before this says how large it is");
            diagnostic.help(match settable {
                true => format!("set it: `{owner}[{name} = 100]`"),
                false => format!("apply `{owner}` to something whose sizes are known, such as a field of the data"),
            })
        }
        ShapeMistake::Pattern { span, found, expected, declared, role, owner } => {
            let (code, title) = match role {
                PatternRole::Input => ("E0304", format!("`{owner}` takes {expected}, but is given {found}")),
                PatternRole::Result => ("E0305", format!("`{owner}` promises {expected}, but its value is {found}")),
                PatternRole::Annotation => ("E0305", format!("declared as {expected}, but the value is {found}")),
            };
            Diagnostic::new(code, title, span, format!("this is {found}")).also(declared, "declared here")
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn axes(mistake: ShapeMistake) -> Diagnostic {
    match mistake {
        ShapeMistake::NoSuchAxis { span, tensor, name, found, names, foreign } => {
            let (title, label) = match foreign {
                true => (format!("`{name}` is not a name of this definition"), "known to the caller only"),
                false => (format!("{found} has no axis `{name}`"), "no axis of this name"),
            };
            let diagnostic = Diagnostic::new("E0306", title, span, label).also(tensor, format!("this is {found}"));
            with_help(diagnostic, way_out(&name, &names, "its axes are").filter(|_| !foreign))
        }
        ShapeMistake::NotAnAxis { span, found } => Diagnostic::new(
            "E0306",
            format!("expected the name of an axis, found {found}"),
            span,
            format!("this is {found}"),
        ),
        ShapeMistake::OneAxis { span, tensor, found } => {
            let diagnostic = Diagnostic::new("E0306", "argmax works along one axis", span, "expected one axis");
            diagnostic.also(tensor, format!("this is {found}"))
        }
        ShapeMistake::NotAnOrder { span, tensor, found, named } => {
            let title = format!("transpose needs each axis of {found} once, but {named} axes are named");
            Diagnostic::new("E0306", title, span, "not an order of all axes").also(tensor, format!("this is {found}"))
        }
        ShapeMistake::NotACondition { span, found } => {
            Diagnostic::new("E0307", format!("expected truth values, found {found}"), span, "not a condition")
        }
        ShapeMistake::ElementType { span, found, declared, at } => {
            let title = format!("expected {}, found {}", elements(declared), elements(found));
            let diagnostic = Diagnostic::new("E0307", title, span, format!("these are {}", elements(found)));
            let diagnostic = diagnostic.also(at, format!("declared to take {}", elements(declared)));
            with_help(diagnostic, (declared == DType::I32).then(|| "convert them: `int(x)`".into()))
        }
        ShapeMistake::NoMatrices { span, operands } => {
            let label = "sums over the last axis of the left and the second-to-last axis of the right side";
            at_operands(Diagnostic::new("E0308", "these shapes can't be multiplied by `@`", span, label), operands)
        }
        ShapeMistake::ContractedSizes { span, operands, sizes: (a, b) } => {
            let title = format!("`@` sums over two axes of one size, but finds {a} and {b}");
            let label = "the last axis of the left side against the second-to-last of the right side";
            at_operands(Diagnostic::new("E0308", title, span, label), operands)
        }
        ShapeMistake::Reshape { span, tensor, found, asked, open } => {
            let title = format!("{found} can't become {asked}");
            let label = if open > 1 { "only one size can be inferred" } else { "another number of elements" };
            Diagnostic::new("E0309", title, span, label).also(tensor, format!("this is {found}"))
        }
        ShapeMistake::OpenShape { span, asked } => {
            let title = format!("nothing says how large {asked} is");
            Diagnostic::new("E0309", title, span, "a size is not known")
        }
        ShapeMistake::NotAShape { span, found } => {
            Diagnostic::new("E0309", format!("expected a shape, found {found}"), span, format!("this is {found}"))
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn arguments(mistake: ShapeMistake) -> Diagnostic {
    let declared_at = |diagnostic: Diagnostic, declared: Option<Span>| match declared {
        Some(span) => diagnostic.also(span, "declared here"),
        None => diagnostic,
    };
    match mistake {
        ShapeMistake::MissingArgument { span, callee, missing, declared } => {
            let title = format!("`{callee}` needs `{missing}`");
            declared_at(Diagnostic::new("E0310", title, span, format!("`{missing}` is missing")), declared)
        }
        ShapeMistake::TooManyArguments { span, callee, inputs, declared } => {
            let title = format!("`{callee}` takes only {}", arguments_of(&inputs));
            declared_at(Diagnostic::new("E0310", title, span, "one too many"), declared)
        }
        ShapeMistake::NoSuchArgument { span, callee, name, inputs, declared } => {
            let title = format!("`{callee}` has no argument `{name}`");
            let diagnostic = declared_at(Diagnostic::new("E0310", title, span, "unknown"), declared);
            with_help(diagnostic, way_out(&name, &inputs, "its arguments are"))
        }
        ShapeMistake::ArgumentTwice { span, callee, name } => {
            Diagnostic::new("E0310", format!("`{name}` of `{callee}` is given twice"), span, "given before")
        }
        ShapeMistake::NoSuchSize { span, callee, name, known, declared } => {
            let title = format!("`{callee}` has no size `{name}` that can be set");
            let diagnostic = Diagnostic::new("E0310", title, span, "unknown").also(declared, "declared here");
            with_help(diagnostic, way_out(&name, &known, "its sizes are"))
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn arguments_of(inputs: &[Symbol]) -> String {
    match inputs {
        [] => "its parentheses".into(),
        inputs => quoted(inputs),
    }
}

fn numbers(mistake: ShapeMistake) -> Diagnostic {
    match mistake {
        ShapeMistake::NotFinite { span, value } => {
            Diagnostic::new("E0311", format!("the value of this is {value}"), span, "not a finite number")
        }
        ShapeMistake::BadSize { span, found } => {
            let title = format!("a size is a whole number from 1, not {found}");
            Diagnostic::new("E0312", title, span, format!("this is {found}"))
        }
        ShapeMistake::TooLarge { span, elements } => {
            let title = format!("a tensor of {elements} elements is too large");
            Diagnostic::new("E0312", title, span, "at most 2147483648 elements")
        }
        ShapeMistake::BatchLasts { span } => {
            let title = "parameters and states can't have the batch axis";
            Diagnostic::new("E0312", title, span, "its size differs from step to step")
        }
        ShapeMistake::TooDeep { span, name, declared, limit } => {
            let title = format!("calls of `{name}` nest more than {limit} deep");
            let diagnostic = Diagnostic::new("E0313", title, span, "called here, again and again");
            diagnostic.also(declared, "declared here")
        }
        ShapeMistake::TooMuch { span, name, declared, limit } => {
            let title = format!("the program is made of more than {limit} calls");
            Diagnostic::new("E0313", title, span, format!("one of the calls of `{name}`"))
                .also(declared, "declared here")
        }
        ShapeMistake::NotANumber { span, found } => {
            let title = format!("expected a number that is known when compiling, found {found}");
            Diagnostic::new("E0315", title, span, format!("this is {found}"))
        }
        ShapeMistake::NotAllowed { span, found, call } => {
            let title = format!("{found} is not allowed for this argument");
            let diagnostic = Diagnostic::new("E0325", title, span, format!("must hold, but {found} is given"));
            match call {
                Some(call) => diagnostic.also(call, "in this use"),
                None => diagnostic,
            }
        }
        ShapeMistake::NotAScalar { span, what, found } => {
            let title = format!("{what} is one number, but this is {found}");
            Diagnostic::new("E0318", title, span, format!("this is {found}"))
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn kinds(mistake: ShapeMistake) -> Diagnostic {
    let expected = |what: &str, found: &str, span: Span| {
        Diagnostic::new("E0314", format!("expected {what}, found {found}"), span, format!("this is {found}"))
    };
    match mistake {
        ShapeMistake::NotATensor { span, found, declared } => {
            let diagnostic = expected("a tensor", found, span);
            match declared {
                Some(declared) => diagnostic.also(declared, "declared here"),
                None => diagnostic,
            }
        }
        ShapeMistake::AxisIsNotAValue { span, name } => {
            let title = format!("nothing is called `{name}` here");
            Diagnostic::new("E0314", title, span, "could only be the name of an axis, but a value is expected")
        }
        ShapeMistake::NotCallable { span, found } => expected("a function or a layer", found, span),
        ShapeMistake::NotALayer { span, found } => expected("a layer", found, span),
        ShapeMistake::NotAString { span, found } => expected("a string", found, span),
        ShapeMistake::NotATuple { span, found, kind, expected: n } => match found {
            Some(found) => {
                let title = format!("{n} names for {found} values");
                Diagnostic::new("E0314", title, span, format!("this has {found} values"))
            }
            None => expected(&format!("a tuple of {n} values"), kind, span),
        },
        ShapeMistake::NoRestHere { span } => {
            let title = "there is no signature here that could bind these axes";
            Diagnostic::new("E0314", title, span, "bound by nothing")
        }
        ShapeMistake::NotBound { span, name, bound, rest } => {
            let why = if rest { "no input has bound these axes" } else { "not bound at this point" };
            Diagnostic::new("E0314", format!("`{name}` has no value yet"), span, why).also(bound, "declared here")
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn layers(mistake: ShapeMistake) -> Diagnostic {
    match mistake {
        ShapeMistake::OtherSizes { span, path, old, new } => {
            let title = format!("`{path}` has {old} already, and here it would need {new}");
            Diagnostic::new("E0316", title, span, format!("needs {new}"))
                .help("an instance shares its parameters between its uses: make a second instance for other sizes")
        }
        ShapeMistake::TwoLayers { span, path } => {
            Diagnostic::new("E0316", format!("two layers are called `{path}`"), span, "another layer has this path")
        }
        ShapeMistake::OutsideOfALayer { span } => {
            let title = "parameters and states belong to layers";
            Diagnostic::new("E0317", title, span, "this is not inside a layer")
                .help("declare a `layer` instead of a `fn`")
        }
        ShapeMistake::ParamIsNotReal { span, name, found } => {
            let title = format!("the parameter `{name}` holds {}, which can't be trained", elements(found));
            Diagnostic::new("E0317", title, span, "expected real numbers")
                .help(format!("declare it as a state: `state {name}`"))
        }
        ShapeMistake::NotAState { span, name, bound } => {
            let title = format!("`{name}` is not a state");
            Diagnostic::new("E0317", title, span, "`<-` writes states").also(bound, "bound here")
        }
        ShapeMistake::UpdateInIf { span, name } => {
            Diagnostic::new("E0317", "`<-` doesn't stand inside `if`", span, "written in one branch only")
                .help(format!("move the condition to the right side: `{name} <- if c {{ … }} else {{ {name} }}`"))
        }
        ShapeMistake::WrittenTwice { span, first, second, path } => {
            let title = format!("the state `{path}` is written twice in one step");
            Diagnostic::new("E0317", title, span, "written here")
                .also(first, "by this application")
                .also(second, "and by this one")
        }
        ShapeMistake::Lost { span } => {
            Diagnostic::new("E0319", "the compiler does not understand this", span, "can't be elaborated")
        }
        other => unreachable!("{other:?} is worded elsewhere"),
    }
}

fn elements(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "real numbers",
        DType::I32 => "integers",
        DType::Bool => "truth values",
    }
}
