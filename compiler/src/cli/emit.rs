//! `spnc emit`: any stage of a program as text.

use std::str::FromStr;

use super::exit::Exit;
use super::front::Front;
use super::gradient;
use super::output;
use super::source::Source;
use crate::codegen::{self, Target};
use crate::diag::near_miss;
use crate::lower::to_tir;
use crate::model::Model;
use crate::tir::{Func, Module, Value};
use crate::{ad, exec, lir, model, pass, resolve, syntax};

/// Print any stage of a program as text.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// The stage: ast, hir, model, tir, grad, opt (with what is known of zeros), opt@PASS (up to the first run of that pass), lir, clif or asm.
    #[arg(long, value_name = "STAGE")]
    stage: Stage,
    /// Of `grad`, only what leads to the gradient by this parameter.
    #[arg(long, value_name = "PATH")]
    wrt: Option<String>,
    /// Of `grad`, only the gradient of this term of the objective, counted from 0.
    #[arg(long, value_name = "N")]
    term: Option<usize>,
}

const EXAMPLES: &str = "\
Examples:
  spnc emit model.spnet --stage model                       layers, axes, sizes
  spnc emit model.spnet --stage grad --wrt net.fc1.w        what leads to one gradient
  spnc emit model.spnet --stage opt@cse                     the IR behind the first run of a pass";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Ast,
    Hir,
    Model,
    Tir,
    Grad,
    Opt,
    OptAt(&'static str),
    Lir,
    Clif,
    Asm,
}

const STAGES: [(&str, Stage); 9] = [
    ("ast", Stage::Ast),
    ("hir", Stage::Hir),
    ("model", Stage::Model),
    ("tir", Stage::Tir),
    ("grad", Stage::Grad),
    ("opt", Stage::Opt),
    ("lir", Stage::Lir),
    ("clif", Stage::Clif),
    ("asm", Stage::Asm),
];

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Stage, String> {
        if let Some(name) = text.strip_prefix("opt@") {
            let known = || pass::ALL.iter().map(|pass| pass.name);
            let pass = pass::named(name).ok_or_else(|| unknown("pass", name, known()))?;
            return Ok(Stage::OptAt(pass.name));
        }
        let stage = STAGES.into_iter().find(|(name, _)| *name == text).map(|(_, stage)| stage);
        stage.ok_or_else(|| unknown("stage", text, STAGES.iter().map(|(name, _)| *name)))
    }
}

fn unknown(what: &str, name: &str, known: impl Iterator<Item = &'static str> + Clone) -> String {
    match near_miss(name, known.clone()) {
        Some(near) => format!("there is no {what} `{name}`; did you mean `{near}`?"),
        None => format!("there is no {what} `{name}`; there are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// Prints the stage.
pub fn run(args: &Args) -> Result<(), Exit> {
    let mut front = Front::new(&args.source);
    let text = match &args.stage {
        Stage::Ast => {
            let stage = front.parse()?;
            syntax::print(&front.expect(stage)?)
        }
        Stage::Hir => {
            let stage = front.resolve()?;
            resolve::print(&front.expect(stage)?)
        }
        Stage::Model
        | Stage::Tir
        | Stage::Grad
        | Stage::Opt
        | Stage::OptAt(_)
        | Stage::Lir
        | Stage::Clif
        | Stage::Asm => {
            let model = front.model()?;
            of_model(args, &mut front, &model)?
        }
    };
    output::print(&text);
    Ok(())
}

fn of_model(args: &Args, front: &mut Front, model: &Model) -> Result<String, Exit> {
    let batch = front.batch(model)?;
    let tir = || functions(model, front, batch);
    Ok(match &args.stage {
        Stage::Model => model::print(model),
        Stage::Tir => tir().to_string(),
        Stage::Grad => gradient(args, front, model, batch)?,
        Stage::Opt => optimised(model, front, batch, tir()),
        Stage::OptAt(name) => mapped(tir(), |func| optimised_to(func, name)).to_string(),
        Stage::Lir => lir::print::print(&scheduled(model, front, batch)),
        Stage::Clif => listing(model, front, batch)?.clif,
        Stage::Asm => listing(model, front, batch)?.asm,
        Stage::Ast | Stage::Hir => unreachable!("these come before the model"),
    })
}

/// Every function that a run needs, at one batch size; without a plan, the objective.
fn functions(model: &Model, front: &Front, batch: usize) -> Module {
    let sources = &front.sources;
    let steps = match &model.plan {
        Some(plan) => {
            let steps = (0..plan.variants.len()).map(|variant| to_tir::train_step(model, sources, variant, batch));
            let events = (0..plan.events.len()).map(|event| to_tir::event(model, sources, event));
            let evaluation = [to_tir::evaluate(model, sources, batch), to_tir::report(model, sources)];
            steps.chain(events).chain(evaluation).collect()
        }
        None => vec![to_tir::objective(model, sources, batch)],
    };
    let init = to_tir::init(model, sources);
    let effective = to_tir::effective(model, sources);
    Module { funcs: std::iter::once(init).chain(steps).chain([effective]).collect() }
}

/// The optimised functions; below the values of steps, as comments, what is known of their zeros.
fn optimised(model: &Model, front: &Front, batch: usize, module: Module) -> String {
    let built = model.plan.as_ref().map(|_| exec::Built::new(model, &front.sources, &sizes(batch)));
    let facts = built.iter().flat_map(|built| {
        let zeros = exec::tensors_with_zeros(built);
        let forms = |step: &exec::Step| Some((step.func.clone(), exec::Forms::of(built, step, &zeros)?.facts()));
        built.train.iter().filter_map(forms).collect::<Vec<_>>()
    });
    let facts: Vec<_> = facts.collect();
    let text = |func: Func| {
        let facts = facts.iter().find(|(step, _)| *step == func).map(|(_, facts)| facts);
        let line = |(index, line): (usize, &str)| {
            // The first line is the function's own, then there is one for each value.
            let value = index.checked_sub(1).map(|number| Value(number as u32));
            let of = value.and_then(|value| facts?.get(&value)).into_iter().flatten();
            let more: String = of.map(|fact| format!("    // {fact}\n")).collect();
            format!("{line}\n{more}")
        };
        func.to_string().lines().enumerate().map(line).collect::<String>()
    };
    module.funcs.into_iter().map(|func| text(exec::optimised(func))).collect::<Vec<_>>().join("\n")
}

fn mapped(module: Module, map: impl Fn(Func) -> Func) -> Module {
    Module { funcs: module.funcs.into_iter().map(map).collect() }
}

/// As [`exec::optimised`], but not beyond the first run of the pass.
fn optimised_to(mut func: Func, name: &str) -> Func {
    let up_to =
        |passes: &'static [pass::Pass]| passes.iter().position(|pass| pass.name == name).map(|at| &passes[..=at]);
    if let Some(passes) = up_to(pass::O1) {
        pass::run(&mut func, pass::BEFORE_GRAD, |_, _| ());
        func = ad::grad(&func);
        pass::run(&mut func, passes, |_, _| ());
    } else if let Some(passes) = up_to(pass::BEFORE_GRAD) {
        pass::run(&mut func, passes, |_, _| ());
    }
    func
}

fn gradient(args: &Args, front: &Front, model: &Model, batch: usize) -> Result<String, Exit> {
    let wrt = args.wrt.as_deref();
    gradient::func(model, &front.sources, batch, args.term, wrt).map(|func| func.to_string())
}

fn scheduled(model: &Model, front: &Front, batch: usize) -> lir::Module {
    exec::schedule(&exec::Built::new(model, &front.sources, &sizes(batch)))
}

fn sizes(batch: usize) -> exec::BatchSizes {
    exec::BatchSizes { train: vec![batch], evaluate: vec![batch] }
}

fn listing(model: &Model, front: &Front, batch: usize) -> Result<codegen::Listing, Exit> {
    codegen::list(&scheduled(model, front, batch), Target::Native)
        .map_err(|error| output::fail(&error.to_string(), None))
}
