//! `spnc grad`: the gradient of a program, as numbers or as formulas.

use std::path::PathBuf;
use std::sync::Arc;

use comfy_table::{Cell, CellAlignment, Table, presets};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use spnc_runtime::store;

use super::evaluator::{Choice, Evaluator};
use super::exit::Exit;
use super::format::{count, number};
use super::front::Front;
use super::math;
use super::output;
use super::point::Point;
use super::source::Source;
use crate::exec;
use crate::lower::to_tir;
use crate::tir::interp::{self, Tensor};

/// Compute the gradient of a program at its start, by every free parameter.
///
/// The batch is the first samples of the training split, in the order of the file. Works without data and without a plan.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Print the regularizers and their derivatives as formulas instead, by the tensors that they see.
    #[arg(long, conflicts_with_all = ["values", "init", "evaluator", "threads"])]
    math: bool,
    /// Write the gradient to this npz file: an array for each free parameter under its path, and `objective`.
    #[arg(long, value_name = "OUT.npz")]
    values: Option<PathBuf>,
    /// Start values by path: an npz or safetensors file, or the folder of a run.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// Print one object on standard output.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spnc grad model.spnet
  spnc grad model.spnet --math
  spnc grad model.spnet --init weights.npz --values gradient.npz --evaluator interpreter";

/// Computes, writes, prints.
pub fn run(args: &Args) -> Result<(), Exit> {
    let mut front = Front::new(&args.source);
    let model = front.model()?;
    if args.math {
        let formulas = math::of(&model, &front.sources);
        if args.json {
            output::print_json(&math::json(&formulas))
        } else {
            output::print(&math::text(&formulas))
        }
        return Ok(());
    }
    let point = Point::new(&mut front, &model, args.init.as_deref(), None)?;
    let func = exec::optimised(to_tir::gradient(&model, &front.sources, point.batch));
    let results = match args.choice.evaluator {
        Evaluator::Interpreter => interp::run(&func, &|name| point.get(name)).expect("the point has every input"),
        Evaluator::Jit => exec::run_compiled(&func, &|name| point.get(name), args.choice.options())
            .map_err(|error| output::fail(&error.to_string(), Some("--evaluator interpreter")))?,
    };
    let arrays = named(results);
    if let Some(path) = &args.values {
        store::write_npz(path, &arrays)
            .map_err(|error| output::fail(&format!("cannot write `{}`: {error}", path.display()), None))?;
    }
    if args.json {
        output::print_json(&json(&arrays))
    } else {
        output::print(&text(&arrays))
    }
    Ok(())
}

const OBJECTIVE: &str = "objective";

/// The objective, then each gradient under the path of its parameter.
fn named(results: IndexMap<Arc<str>, Tensor>) -> IndexMap<String, Tensor> {
    let name = |name: &str| match name.strip_prefix("grad.") {
        Some(path) => Some(path.to_owned()),
        None => (name == OBJECTIVE).then(|| name.to_owned()),
    };
    results.into_iter().filter_map(|(result, value)| Some((name(&result)?, value))).collect()
}

fn objective(arrays: &IndexMap<String, Tensor>) -> f64 {
    arrays[OBJECTIVE].iter().copied().next().unwrap_or(f64::NAN)
}

fn gradients(arrays: &IndexMap<String, Tensor>) -> impl Iterator<Item = (&String, &Tensor)> {
    arrays.iter().filter(|(name, _)| *name != OBJECTIVE)
}

fn norm(gradient: &Tensor) -> f64 {
    gradient.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn largest(gradient: &Tensor) -> f64 {
    gradient.iter().fold(0.0, |largest, x| if x.abs() > largest || x.is_nan() { x.abs() } else { largest })
}

fn n_zeros(gradient: &Tensor) -> usize {
    gradient.iter().filter(|x| **x == 0.0).count()
}

fn text(arrays: &IndexMap<String, Tensor>) -> String {
    let mut table = Table::new();
    let _ = table.load_style(presets::UTF8_FULL_CONDENSED);
    let _ = table.set_header(["parameter", "shape", "norm", "largest", "zeros"]);
    for (path, gradient) in gradients(arrays) {
        let numbers = [number(norm(gradient)), number(largest(gradient)), count(n_zeros(gradient) as u64)];
        let mut cells = vec![Cell::new(path), Cell::new(format!("{:?}", gradient.shape()))];
        cells.extend(numbers.map(|text| Cell::new(text).set_alignment(CellAlignment::Right)));
        let _ = table.add_row(cells);
    }
    format!("objective {}\n{table}\n", number(objective(arrays)))
}

fn json(arrays: &IndexMap<String, Tensor>) -> Value {
    let entry = |gradient: &Tensor| {
        json!({
            "shape": gradient.shape(),
            "norm": norm(gradient),
            "largest": largest(gradient),
            "zeros": n_zeros(gradient),
        })
    };
    let gradients: Map<String, Value> =
        gradients(arrays).map(|(path, gradient)| (path.clone(), entry(gradient))).collect();
    json!({ "objective": objective(arrays), "gradients": gradients })
}
