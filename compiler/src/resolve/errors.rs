//! Everything this stage can object to. Facts only; the wording is in [`NameError::into_diagnostic`].

use super::hir::Symbol;
use crate::diag::{Diagnostic, Span};

/// A mistake with names.
pub(super) enum NameError {
    /// A name that nothing binds.
    Unknown {
        /// The name.
        name: Symbol,
        /// Where it stands.
        span: Span,
        /// What can be typed instead.
        help: String,
    },
    /// Two definitions or bindings of one name.
    Twice {
        /// The name.
        name: Symbol,
        /// The second one.
        span: Span,
        /// The first one.
        first: Span,
        /// What can be typed instead.
        help: String,
    },
    /// An import of a module that can't be read.
    NoModule {
        /// The module.
        module: String,
        /// Where it is named.
        span: Span,
        /// Why not.
        why: String,
        /// What can be typed instead.
        help: String,
    },
    /// An import of a name that the module does not have.
    NotInModule {
        /// The name.
        name: Symbol,
        /// Where it stands.
        span: Span,
        /// The module.
        module: Symbol,
        /// What can be typed instead.
        help: String,
    },
    /// An import without a module.
    NoModuleNamed {
        /// The name that stands alone.
        span: Span,
        /// What can be typed instead.
        help: String,
    },
    /// Imports in a circle.
    CyclicImport {
        /// The import that closes it.
        span: Span,
        /// The circle, from module to module.
        circle: Vec<Symbol>,
        /// The import that opens it, where it is another.
        first: Option<Span>,
    },
    /// A definition that needs itself.
    CyclicDefinition {
        /// The definition.
        name: Symbol,
        /// Where it is named.
        span: Span,
        /// Where it is mentioned.
        mention: Span,
    },
    /// `<-` to what is not a state of the layer.
    NotAState {
        /// What is written.
        name: Symbol,
        /// Where.
        span: Span,
        /// Where it is bound.
        bound: Option<Span>,
        /// Whether `raw(…)` would do.
        could_be_raw: bool,
    },
    /// `raw(x) <-` of what stands for no free parameter.
    NotAFreeParameter {
        /// What is written.
        name: Symbol,
        /// Where.
        span: Span,
        /// Where it is bound.
        bound: Option<Span>,
    },
    /// `fire` of something that is no name.
    NotAnEvent {
        /// What is fired.
        span: Span,
    },
    /// A left side in the braces of `init` that is no path.
    NotAMapping {
        /// The left side.
        span: Span,
    },
    /// A line where it has no meaning: `param` in a function, `<-` in an `if`.
    Misplaced {
        /// What it is: `a parameter`.
        what: &'static str,
        /// Where it belongs.
        belongs: &'static str,
        /// The line.
        span: Span,
        /// What can be typed instead.
        help: String,
    },
    /// A name that is bound further down.
    UsedBefore {
        /// The name.
        name: Symbol,
        /// Its use.
        span: Span,
        /// Its binding.
        bound: Span,
    },
    /// A declaration such as `minimize` in an imported module.
    DeclarationInModule {
        /// The module.
        module: Symbol,
        /// The declaration.
        span: Span,
    },
    /// `--set` of something that is no constant.
    NoSuchConst {
        /// What was to be set.
        name: String,
        /// What can be typed instead.
        help: String,
    },
    /// A group that does not say how it is cut.
    NoGrouping {
        /// What should be cut.
        span: Span,
    },
}

impl NameError {
    /// In words.
    pub(super) fn into_diagnostic(self) -> Diagnostic {
        match self {
            NameError::Unknown { name, span, help } => {
                Diagnostic::new("E0201", format!("unknown name `{name}`"), span, "nothing has this name here")
                    .help(help)
            }
            NameError::Twice { name, span, first, help } => {
                let title = format!("`{name}` is bound twice");
                Diagnostic::new("E0202", title, span, "bound again here").also(first, "first bound here").help(help)
            }
            NameError::NoModule { module, span, why, help } => {
                Diagnostic::new("E0203", format!("no module `{module}`"), span, why).help(help)
            }
            NameError::NotInModule { name, span, module, help } => {
                let title = format!("module `{module}` has no `{name}`");
                Diagnostic::new("E0204", title, span, "not defined there").help(help)
            }
            NameError::NoModuleNamed { span, help } => {
                Diagnostic::new("E0205", "an import without a module", span, "a name of which module?").help(help)
            }
            NameError::CyclicImport { span, circle, first } => cyclic_import(span, &circle, first),
            NameError::CyclicDefinition { name, span, mention } => {
                let title = format!("the definition of `{name}` needs `{name}` itself");
                let error = Diagnostic::new("E0207", title, mention, "needed here").also(span, "to define this");
                error.help("give one definition of the circle a value of its own, such as `0.1`")
            }
            NameError::NotAState { name, span, bound, could_be_raw } => not_a_state(&name, span, bound, could_be_raw),
            NameError::NotAFreeParameter { name, span, bound } => not_a_parameter(&name, span, bound),
            NameError::NotAnEvent { span } => {
                let error = Diagnostic::new("E0214", "`fire` takes the name of an event", span, "expected a name");
                error.help("name an event that a layer handles: `fire prune(0.7)`")
            }
            NameError::NotAMapping { span } => {
                let error = Diagnostic::new("E0215", "expected a path below the target", span, "this is no path");
                error.help("write a path and its name in the file: `fc1.w = \"layers.0.weight\"`")
            }
            NameError::Misplaced { what, belongs, span, help } => {
                let title = format!("{what} in the wrong place");
                Diagnostic::new("E0209", title, span, format!("{what} belongs {belongs}")).help(help)
            }
            NameError::UsedBefore { name, span, bound } => {
                let error = Diagnostic::new("E0210", format!("`{name}` is used before it is bound"), span, "used here");
                error.also(bound, "bound here").help(format!("move the line `{name} = …` above its first use"))
            }
            NameError::DeclarationInModule { module, span } => {
                let title = format!("module `{module}` does more than define names");
                let error = Diagnostic::new("E0211", title, span, "only the main file declares this");
                error.help("move this declaration to the main file")
            }
            NameError::NoSuchConst { name, help } => {
                Diagnostic::without_place("E0212", format!("--set {name}: the program has no `const {name}`"))
                    .help(help)
            }
            NameError::NoGrouping { span } => {
                let error = Diagnostic::new("E0213", "a group without `by`", span, "cut into groups how?");
                error.help("say how: `by In`, `by blocks(4, 4)`, `by whole` or `by each`")
            }
        }
    }
}

fn cyclic_import(span: Span, circle: &[Symbol], first: Option<Span>) -> Diagnostic {
    let named = |module: &Symbol| if module.is_empty() { "the main file".to_string() } else { format!("`{module}`") };
    let circle: Vec<String> = circle.iter().map(named).collect();
    let title = format!("modules import each other: {}", circle.join(" → "));
    let error = Diagnostic::new("E0206", title, span, "this import closes the circle");
    let error = match first {
        Some(first) => error.also(first, "it starts here"),
        None => error,
    };
    error.help("move what both need into a third module and `use` it from both")
}

fn not_a_state(name: &str, span: Span, bound: Option<Span>, could_be_raw: bool) -> Diagnostic {
    let error = Diagnostic::new("E0208", format!("`{name}` is not a state of this layer"), span, "can't be written");
    let error = with_binding(error, bound);
    error.help(match could_be_raw {
        true => format!("write `raw({name}) <- …`: the free parameter that it stands for"),
        false => format!("declare it as `state {name}: [] = 0`, or bind a new name with `=`"),
    })
}

fn not_a_parameter(name: &str, span: Span, bound: Option<Span>) -> Diagnostic {
    let title = format!("`{name}` stands for no free parameter");
    let error = with_binding(Diagnostic::new("E0208", title, span, "can't be written through `raw`"), bound);
    error.help("write `raw(w) <- …` of a `param` or of the input of a parameterisation; a state is written by its name")
}

fn with_binding(error: Diagnostic, bound: Option<Span>) -> Diagnostic {
    match bound {
        Some(bound) => error.also(bound, "bound here"),
        None => error,
    }
}
