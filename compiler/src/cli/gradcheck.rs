//! `spnc gradcheck`: are the derivatives of a program right?

use std::path::PathBuf;
use std::sync::Arc;

use comfy_table::{Cell, CellAlignment, Table, presets};
use indexmap::IndexMap;

use super::evaluator::Choice;
use super::exit::Exit;
use super::format::count;
use super::front::Front;
use super::gradient;
use super::output;
use super::point::Point;
use super::source::Source;
use crate::ad::check::{ParamReport, Report, Verdict, check};
use crate::exec;
use crate::lower::to_tir;
use crate::model::Model;
use crate::tir::interp::{self, Precision, Tensor};

/// Check the derivatives of a program, for every parameter: against central differences, and compiled against interpreted.
///
/// Differences are taken in double precision of the surrogate program, in which each `a with gradient of b` moves as
/// b does and draws, states, quantiles and `stop` keep their values. Machine code works in single precision and must agree
/// with the interpreter to 0.1 % of a gradient's norm, or, where rounding alone moves the gradient further, to ten times as far.
/// Schedules are taken from the middle of the run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spnc gradcheck examples/quickstart.spnet")]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Start values by path: an npz or safetensors file, or the folder of a run.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Check on a batch of so many samples, whatever the plan says: large programs are checked sooner on few.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    #[command(flatten)]
    choice: Choice,
}

/// How far compiled and interpreted gradients may be apart, as a share of the norm.
const COMPILED: f64 = 1e-3;

/// How far they may be apart, as a multiple of how far rounding alone moves the interpreted one.
const ROUNDED: f64 = 10.0;

/// What is found for one parameter.
struct Finding {
    differences: ParamReport,
    compiled: Distances,
}

/// How far a gradient is from the interpreted one, as a share of the norm.
#[derive(Clone, Copy)]
struct Distances {
    /// The compiled one.
    compiled: f64,
    /// The interpreted one with values that are rounded to single precision.
    rounded: f64,
}

impl Finding {
    fn passes(&self) -> bool {
        self.differences.count(Verdict::Differs) == 0 && self.compiled.agrees()
    }
}

impl Distances {
    fn agrees(self) -> bool {
        self.compiled <= COMPILED.max(ROUNDED * self.rounded)
    }
}

/// Checks, and prints a line for each parameter.
pub fn run(args: &Args) -> Result<(), Exit> {
    let mut front = Front::new(&args.source);
    let model = front.model()?;
    let mut point = Point::new(&mut front, &model, args.init.as_deref(), args.batch)?;
    point.move_to_middle(&model);
    let func = gradient::func(&model, &front.sources, point.batch, None, None)?;
    let report = check(&func, &|name| point.get(name)).expect("the point has every input");
    point.round();
    let compiled = compiled_errors(args, &front, &model, &point)?;
    let findings = findings(report, &compiled);
    output::print(&text(&findings));
    if findings.iter().all(Finding::passes) { Ok(()) } else { Err(Exit::Errors) }
}

fn findings(report: Report, compiled: &IndexMap<Arc<str>, Distances>) -> Vec<Finding> {
    let finding = |differences: ParamReport| {
        let compiled = compiled[format!("grad.{}", differences.path).as_str()];
        Finding { differences, compiled }
    };
    report.params.into_iter().map(finding).collect()
}

/// The distance of compiled and interpreted gradients, by result.
fn compiled_errors(
    args: &Args,
    front: &Front,
    model: &Model,
    point: &Point,
) -> Result<IndexMap<Arc<str>, Distances>, Exit> {
    let func = exec::optimised(to_tir::gradient(model, &front.sources, point.batch));
    let inputs = |name: &str| point.get(name);
    let [interpreted, rounded] = [Precision::Double, Precision::Single]
        .map(|precision| interp::run_in(&func, &inputs, precision).expect("the point has every input"));
    let compiled = exec::run_compiled(&func, &inputs, args.choice.options())
        .map_err(|error| output::fail(&error.to_string(), None))?;
    let scale = interpreted["objective"].iter().map(|x| x.abs()).sum::<f64>();
    let distances = interpreted.iter().map(|(name, value)| {
        let from = |tensor: &Tensor| distance(tensor, value, scale);
        (Arc::clone(name), Distances { compiled: from(&compiled[name]), rounded: from(&rounded[name]) })
    });
    Ok(distances.collect())
}

/// As a share of the norm; next to nothing counts as a share of the objective.
fn distance(a: &Tensor, b: &Tensor, scale: f64) -> f64 {
    let norm = |x: &Tensor| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let distance = norm(&(a - b));
    if distance == 0.0 { 0.0 } else { distance / norm(b).max(1e-3 * scale) }
}

fn text(findings: &[Finding]) -> String {
    let mut table = Table::new();
    let _ = table.load_style(presets::UTF8_FULL_CONDENSED);
    let _ = table.set_header(["parameter", "elements", "probes", "at kinks", "worst", "compiled", ""]);
    for finding in findings {
        let ParamReport { path, len, probes } = &finding.differences;
        let kinks = finding.differences.count(Verdict::Kink);
        let numbers = [count(*len as u64), probes.len().to_string(), kinks.to_string()];
        let errors = [finding.differences.worst(), finding.compiled.compiled].map(|error| format!("{error:.1e}"));
        let mut cells = vec![Cell::new(path)];
        cells.extend(numbers.into_iter().chain(errors).map(|text| Cell::new(text).set_alignment(CellAlignment::Right)));
        cells.push(Cell::new(if finding.passes() { "agrees" } else { "DIFFERS" }));
        let _ = table.add_row(cells);
    }
    let wrong = findings.iter().filter(|finding| !finding.passes()).count();
    let verdict = match wrong {
        0 => format!("every derivative agrees, of {} parameters", findings.len()),
        n => format!("the derivatives by {n} of {} parameters differ", findings.len()),
    };
    format!("{table}\n{verdict}\n")
}
