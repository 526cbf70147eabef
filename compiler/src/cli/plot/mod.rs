//! `spnc plot`: histories and final numbers of runs as pictures.

mod quantity;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use spnc_runtime::store::{self, Run};

use super::exit::Exit;
use super::output;
use crate::plot::{Axis, Chart, Kind, Point, Series, Style};
use quantity::Quantity;

/// Draw histories or final numbers of runs as an SVG picture.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The folders of the runs; `NAME=FOLDER` names one in the legend, and several of one name share their colour.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<Named>,
    /// What is drawn: a report, `objective`, `zeros`, `flops`, …; once for each curve. `1-accuracy` is the rest to 1.
    #[arg(long, required = true, value_name = "QUANTITY")]
    y: Vec<String>,
    /// Against what: `epoch`, `step` or `seconds` give curves; a report, `parameters`, `flops`, … or a constant gives a point a run.
    #[arg(long, value_name = "QUANTITY", default_value = "epoch")]
    x: String,
    /// Where the picture goes.
    #[arg(long, value_name = "FILE.svg")]
    output: PathBuf,
    /// What stands above it.
    #[arg(long, default_value = "")]
    title: String,
    /// What stands beside the vertical axis [default: the quantity].
    #[arg(long, value_name = "TEXT")]
    y_label: Option<String>,
    /// What stands below the horizontal axis [default: the quantity].
    #[arg(long, value_name = "TEXT")]
    x_label: Option<String>,
    /// Write this quantity or constant beside each point.
    #[arg(long, value_name = "QUANTITY")]
    note: Option<String>,
    /// Join the points of one name by a line.
    #[arg(long)]
    lines: bool,
    /// Distances on the horizontal axis grow by powers of ten.
    #[arg(long)]
    log_x: bool,
    /// Distances on the vertical axis grow by powers of ten.
    #[arg(long)]
    log_y: bool,
}

const EXAMPLES: &str = "\
Examples:
  spnc plot runs/a runs/b --y accuracy --output curves.svg
  spnc plot dense=runs/a sparse=runs/b --y objective --x seconds --log-y --output loss.svg
  spnc plot masks=runs/m-* lasso=runs/l-* --x parameters --y 1-accuracy --lines --note lambda --output trade-off.svg";

/// A run and the name that it is given.
#[derive(Clone, Debug)]
struct Named {
    name: Option<String>,
    folder: PathBuf,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Named, String> {
        // Names hold settings (`λ = 1e-5`) more often than folders do.
        match text.rsplit_once('=') {
            Some((name, folder)) if !Path::new(text).exists() => {
                Ok(Named { name: Some(name.to_owned()), folder: folder.into() })
            }
            Some(_) | None => Ok(Named { name: None, folder: text.into() }),
        }
    }
}

/// Reads the runs, draws, writes.
pub fn run(args: &Args) -> Result<(), Exit> {
    let read = |named: &Named| Ok((named.clone(), store::read(&named.folder)?));
    let runs = args.runs.iter().map(read).collect::<Result<Vec<_>, _>>().map_err(|error| output::data_error(&error))?;
    let series = match args.x.as_str() {
        "epoch" | "step" | "seconds" => curves(args, &runs)?,
        _ => scatter(args, &runs)?,
    };
    let kind = |log| if log { Kind::Log } else { Kind::Linear };
    let label = |given: &Option<String>, of: &str| given.clone().unwrap_or_else(|| of.to_owned());
    let chart = Chart {
        title: args.title.clone(),
        x: Axis { label: label(&args.x_label, &args.x), kind: kind(args.log_x) },
        y: Axis { label: label(&args.y_label, &args.y.join(", ")), kind: kind(args.log_y) },
        series,
    };
    std::fs::write(&args.output, chart.draw())
        .map_err(|error| output::fail(&format!("cannot write `{}`: {error}", args.output.display()), None))
}

/// What a run is called, and with several quantities which of them it is.
fn title(args: &Args, name: String, y: &str) -> String {
    match (args.y.len(), args.runs.len()) {
        (1, _) => name,
        (_, 1) => y.to_owned(),
        _ => format!("{name}: {y}"),
    }
}

/// A curve for each run and quantity, over its epochs.
fn curves(args: &Args, runs: &[(Named, Run)]) -> Result<Vec<Series>, Exit> {
    let mut series = vec![];
    for (named, run) in runs {
        let folder = named.folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = named.name.clone().or(folder).unwrap_or_else(|| named.folder.display().to_string());
        let x = quantity::time(run, &args.x);
        for y in &args.y {
            let values = Quantity::new(y).history(run).map_err(|known| unknown(named, y, &known))?;
            let points = x.iter().zip(values).map(|(x, y)| Point { x: *x, y, note: String::new() }).collect();
            series.push(Series { name: title(args, name.clone(), y), points, style: Style::Line });
        }
    }
    Ok(series)
}

/// A point for each run and quantity; those of one name are one series, in the order of the horizontal axis.
fn scatter(args: &Args, runs: &[(Named, Run)]) -> Result<Vec<Series>, Exit> {
    let style = if args.lines { Style::LineAndDots } else { Style::Dots };
    let mut series: Vec<Series> = vec![];
    for (named, run) in runs {
        let program = run.report.origin.program.trim_end_matches(".spnet");
        let name = named.name.clone().unwrap_or_else(|| program.to_owned());
        let last = |text: &str| Quantity::new(text).last(run).map_err(|known| unknown(named, text, &known));
        let note = args.note.as_deref().map(|text| note(run, text).map_err(|known| unknown(named, text, &known)));
        let note = note.transpose()?.unwrap_or_default();
        for y in &args.y {
            let point = Point { x: last(&args.x)?, y: last(y)?, note: note.clone() };
            let name = title(args, name.clone(), y);
            match series.iter_mut().find(|series| series.name == name) {
                Some(series) => series.points.push(point),
                None => series.push(Series { name, points: vec![point], style }),
            }
        }
    }
    series.iter_mut().for_each(|series| series.points.sort_by(|a, b| a.x.total_cmp(&b.x)));
    Ok(series)
}

/// A constant as it was set, or a number that the run ended with.
fn note(run: &Run, text: &str) -> Result<String, Vec<String>> {
    match run.report.origin.settings.get(text) {
        Some(value) => Ok(value.clone()),
        None => Quantity::new(text).last(run).map(super::format::number),
    }
}

fn unknown(named: &Named, text: &str, known: &[String]) -> Exit {
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let message = format!("`{}` has no `{text}`, only {}", named.folder.display(), names.join(", "));
    output::fail(&message, None)
}
