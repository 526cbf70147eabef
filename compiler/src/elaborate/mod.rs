//! [`crate::resolve::hir::Program`] to [`crate::model::Model`]: the semantic heart.
//!
//! A program is *traced*: its expressions are evaluated with tensors that are nodes of a graph. Functions are inlined, layers
//! become instances, sizes are unification variables that applications bind ([`sizes`]), axes carry names that are
//! local to a definition ([`value::Label`]), everything that is known when compiling is computed at once.
//!
//! 1. *Discover*: the objective and the reports are traced without sparsity, so that every instance and parameter exists;
//!    models that nothing applies are applied to placeholders.
//! 2. *Groups and sparsity*: paths now mean something; each tensor under `sparsify` gets its parameterisation.
//! 3. *Trace twice*: the objective, the updates of states and parameters as a training program, reports and outputs as an
//!    evaluation program. Effective tensors are computed once for each.
//! 4. *Finish*: inferred sizes are filled in, nodes that nothing uses are dropped.
//!
//! Promises: all mistakes of the user come back as diagnostics, several of them where they are independent; a mistake is
//! reported once, whatever depends on it is passed over in silence; no input makes it panic.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "most places take one or two of many kinds of values; any other kind is the user's mistake, and one arm says so"
)]

mod align;
mod applications;
mod arith;
mod block;
mod build;
mod call;
mod data;
mod draw;
mod errors;
mod events;
mod expr;
mod finish;
mod fold;
mod from_file;
mod groups;
mod images;
mod instance;
mod join;
mod objective;
mod parts;
mod paths;
mod pattern;
mod plan;
mod prims;
mod reduce;
mod reshape;
mod scan;
mod sizes;
mod sparse;
mod text;
mod value;
mod vector;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use indexmap::IndexMap;

use self::build::Builder;
use self::errors::ShapeMistake;
use self::instance::Inst;
use self::sizes::Sizes;
use self::value::{Label, Member, Scope, TOP, Tensor, Value};
use crate::diag::{Diagnostic, FileId, Span};
use crate::model::{self, ExprId, Model, ParamId, StateId, Symbol, World};
use crate::resolve::hir::{Def, DefId, DefKind, Expr, LocalDef, LocalKind, Program};

/// A diagnostic has been recorded, or this is a discovery that can't know yet.
#[derive(Clone, Copy, Debug)]
struct Failed;

/// What evaluation returns.
type Eval<T> = Result<T, Failed>;

/// Which of the two programs is being traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Mode {
    /// One step of training.
    Train,
    /// Reports, outputs, measures.
    Eval,
}

/// How much is known about instances while tracing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Instances are being found: paths and groups mean nothing yet.
    Discover,
    /// Everything exists.
    Trace,
}

/// The names of a function, a layer, or the top level while it is evaluated.
#[derive(Clone)]
struct Frame<'p> {
    /// What the locals are.
    locals: &'p [LocalDef],
    /// What they are bound to.
    values: Vec<Option<Value>>,
    /// Where its axis names are known.
    scope: Scope,
    /// What it is called in messages.
    owner: Symbol,
    /// The instance whose body this is.
    instance: Option<usize>,
    /// The data set whose fields are bare names here.
    fields: Option<usize>,
    /// Whether this is inside the branches of an `if`.
    conditional: bool,
    /// Whether these are the lines of an event.
    in_handler: bool,
}

/// A call that is being inlined, for messages and against endless recursion.
#[derive(Clone)]
struct CallSite {
    name: Symbol,
    span: Span,
}

/// The state of elaboration.
struct Elab<'p, 'w> {
    program: &'p Program,
    world: &'w mut dyn World,
    diags: Vec<Diagnostic>,
    build: Builder,
    sizes: Sizes,
    mode: Mode,
    phase: Phase,
    /// The instance or declaration that new nodes belong to.
    path: Symbol,
    calls: Vec<CallSite>,
    /// How many calls have been inlined.
    work: usize,
    /// Whether a model is being applied to placeholders.
    placeholders: bool,
    /// What came of that.
    placeholder_results: Vec<ExprId>,
    /// Whether a path has led to a value inside of an instance.
    reads_inner: bool,
    /// Whether optimizers are being traced.
    optimizing: bool,
    next_scope: Scope,
    /// What the caller calls an axis of a signature.
    origins: HashMap<Label, Label>,
    /// What draws fill, while a start value is evaluated.
    draw_shape: Option<model::Type>,
    draws: HashMap<Symbol, u32>,
    instances: IndexMap<Symbol, Inst>,
    /// How often an unnamed instance of a layer was made inside an instance, in this application.
    unnamed: HashMap<(Symbol, Symbol), u32>,
    /// Values bound inside instances, by path.
    inner: IndexMap<(Mode, Symbol), Tensor>,
    /// Values of `measure`, by path.
    measures: BTreeMap<(Mode, Symbol), ExprId>,
    /// Models, as instances.
    models: HashMap<(Mode, DefId), Value>,
    /// Applications of models at the top level, by their arguments.
    applied: HashMap<(Mode, DefId, Vec<ExprId>), Value>,
    outputs: Vec<model::Output>,
    /// Applications in the program that is being traced.
    applications: Vec<model::Application>,
    params: Vec<model::Param>,
    states: Vec<model::State>,
    literals: Vec<model::Literal>,
    literal_ids: HashMap<Symbol, usize>,
    data: Vec<data::DataValue<'p>>,
    /// The data set that the program reads, and where it does so first.
    data_read: Option<(usize, Span)>,
    groups: HashMap<DefId, Rc<Vec<Member>>>,
    /// One for each view under a `sparsify` line.
    sparse: Vec<sparse::Parameterisation<'p>>,
    /// The views that show a parameter.
    sparse_of: HashMap<ParamId, Vec<sparse::Place>>,
    /// Values inside of layers, and results of layers, under a `sparsify` line, by path.
    sparse_inner: HashMap<Symbol, usize>,
    /// What parameterisations make of the tensors of their views.
    sparse_results: HashMap<(Mode, usize), Vec<Tensor>>,
    /// What they make of values inside of layers, in this trace.
    sparse_values: HashMap<(usize, ExprId), ExprId>,
    /// For each instance that is a parameterisation: its view.
    stands_for: HashMap<usize, usize>,
    effective: HashMap<(Mode, ParamId), Tensor>,
    in_progress: HashSet<usize>,
    /// What layers do at events, by instance and place.
    handlers: IndexMap<(usize, Span), events::Handler<'p>>,
    /// What the optimizers that are being traced write.
    optimizer_writes: Vec<(StateId, ExprId)>,
    written: HashMap<StateId, Span>,
    broken: HashSet<DefId>,
    /// `sparsify` lines with a mistake.
    broken_names: HashSet<Symbol>,
    /// Instances whose application has failed: paths into them may miss names.
    failed_instances: HashSet<Symbol>,
    /// A declaration that failed without a word, which is a bug: it must not be lost in silence.
    lost: Option<Span>,
    /// The files of the library.
    library: HashSet<FileId>,
}

/// Elaborates a program.
///
/// # Errors
///
/// The user's mistakes, in source order.
pub fn elaborate(program: &Program, world: &mut dyn World) -> Result<Model, Vec<Diagnostic>> {
    let mut elab = Elab::new(program, world);
    let model = elab.run();
    match model {
        Some(model) if elab.diags.is_empty() => Ok(model),
        Some(_) | None => Err(elab.sorted_diagnostics()),
    }
}

impl<'p, 'w> Elab<'p, 'w> {
    fn new(program: &'p Program, world: &'w mut dyn World) -> Elab<'p, 'w> {
        Elab {
            program,
            world,
            diags: vec![],
            build: Builder::default(),
            sizes: Sizes::default(),
            mode: Mode::Train,
            phase: Phase::Discover,
            path: "".into(),
            calls: vec![],
            work: 0,
            placeholders: false,
            placeholder_results: vec![],
            reads_inner: false,
            optimizing: false,
            next_scope: TOP + 1,
            origins: HashMap::new(),
            draw_shape: None,
            draws: HashMap::new(),
            instances: IndexMap::new(),
            unnamed: HashMap::new(),
            inner: IndexMap::new(),
            measures: BTreeMap::new(),
            models: HashMap::new(),
            applied: HashMap::new(),
            outputs: vec![],
            applications: vec![],
            params: vec![],
            states: vec![],
            literals: vec![],
            literal_ids: HashMap::new(),
            data: vec![],
            data_read: None,
            groups: HashMap::new(),
            sparse: vec![],
            sparse_of: HashMap::new(),
            sparse_inner: HashMap::new(),
            sparse_results: HashMap::new(),
            sparse_values: HashMap::new(),
            stands_for: HashMap::new(),
            handlers: IndexMap::new(),
            optimizer_writes: vec![],
            effective: HashMap::new(),
            in_progress: HashSet::new(),
            written: HashMap::new(),
            broken: HashSet::new(),
            broken_names: HashSet::new(),
            failed_instances: HashSet::new(),
            lost: None,
            library: program.defs.iter().filter(|def| def.module.starts_with("std.")).map(file_of).collect(),
        }
    }

    fn run(&mut self) -> Option<Model> {
        self.open_data();
        self.check_consts();
        self.discover();
        self.bind_sparsify();
        self.bind_groups();
        self.start_from_files();
        let objective = self.objective();
        let plan = self.training_plan();
        self.check_carried(plan.as_ref());
        let reports = self.evaluation();
        self.check_sizes();
        if let Some(span) = self.lost.filter(|_| self.diags.is_empty()) {
            let _ = self.blame(ShapeMistake::Lost { span });
        }
        if !self.diags.is_empty() {
            return None;
        }
        let model = self.finish(objective, plan, reports);
        self.check_room(&model);
        Some(model)
    }

    /// Remembers a declaration that could not be evaluated.
    fn lose<T>(&mut self, result: Eval<T>, span: Span) -> Option<T> {
        if result.is_err() && self.phase == Phase::Trace {
            self.lost = Some(span);
        }
        result.ok()
    }

    /// Forgets what belongs to one trace.
    fn start_trace(&mut self, mode: Mode, phase: Phase) {
        self.mode = mode;
        self.phase = phase;
        self.draws.clear();
        self.unnamed.clear();
        self.models.clear();
        self.applied.clear();
        self.applications.clear();
        self.written.clear();
        self.sparse_values.clear();
    }

    /// Records a mistake.
    fn blame(&mut self, mistake: impl Into<Diagnostic>) -> Failed {
        let diagnostic = self.seen_from_the_program(mistake.into());
        let known = |d: &Diagnostic| d.code == diagnostic.code && d.primary == diagnostic.primary;
        if !self.diags.iter().any(known) {
            self.diags.push(diagnostic);
        }
        Failed
    }

    /// Whether any mistake has been recorded.
    fn has_mistakes(&self) -> bool {
        !self.diags.is_empty()
    }

    /// A mistake that shows in the library is one of the line that uses it.
    fn seen_from_the_program(&self, diagnostic: Diagnostic) -> Diagnostic {
        let in_library = |span: Span| self.library.contains(&span.file);
        let Some((inner, label)) = diagnostic.primary.clone().filter(|(span, _)| in_library(*span)) else {
            return diagnostic;
        };
        match self.calls.iter().rev().find(|call| !in_library(call.span)) {
            Some(call) => {
                let primary = Some((call.span, format!("in this use of `{}`", call.name)));
                Diagnostic { primary, ..diagnostic }.also(inner, label)
            }
            None => diagnostic,
        }
    }

    /// Evaluates with new nodes belonging to `path`.
    fn within<T>(&mut self, path: Symbol, work: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.path, path);
        let result = work(self);
        self.path = outer;
        result
    }

    fn new_scope(&mut self) -> Scope {
        self.next_scope += 1;
        self.next_scope
    }

    /// The names of the top level.
    fn top_frame(&mut self) -> Frame<'p> {
        let locals = &self.program.locals;
        let owner: Symbol = "the top level".into();
        let size = |local: &LocalDef| {
            let is_size = local.kind == LocalKind::Size;
            let label = is_size.then(|| Label::new(&local.name.text, TOP))?;
            Some(Value::Size(label, self.sizes.fresh(&local.name.text, &owner, local.name.span)))
        };
        let values = locals.iter().map(size).collect();
        Frame { locals, values, scope: TOP, owner, instance: None, fields: None, conditional: false, in_handler: false }
    }

    /// The value of an expression of the top level.
    fn eval_top(&mut self, expr: &'p Expr) -> Eval<Value> {
        let mut frame = self.top_frame();
        self.eval(&mut frame, expr)
    }

    /// Constants that nothing uses are checked, too.
    fn check_consts(&mut self) {
        for def in self.program.defs.iter().filter(|def| def.module.is_empty()) {
            if let DefKind::Const(expr) = &def.kind {
                let _ = self.eval_top(expr);
            }
        }
    }

    fn sorted_diagnostics(self) -> Vec<Diagnostic> {
        let mut diags = self.diags;
        diags.sort_by_key(|d| d.primary.as_ref().map(|(span, _)| (span.file.0, span.start)));
        diags
    }
}

fn file_of(def: &Def) -> FileId {
    def.name.span.file
}
