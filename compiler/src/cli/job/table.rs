//! The closing table.

use comfy_table::presets;
use comfy_table::{Cell, CellAlignment, Table};
use spnc_runtime::program::Choice;
use spnc_runtime::store::{Remaining, Seconds, Sparsity, StepSeconds};
use spnc_runtime::train::Tally;

use super::closing::Closing;
use crate::cli::format::{count, number, seconds, share};

/// The end of a run as text: tensors, what is left, metrics, budgets, time.
pub fn text<'a>(closing: &Closing, metrics: impl Iterator<Item = (&'a String, &'a f64)>, took: Seconds) -> String {
    let mut text = format!("\n{}\n{}", tensors(&closing.sparsity), remaining(closing.remaining));
    for Choice { of, form, kept, total } in &closing.choices {
        let (part, kept, total) = (share(*kept as f64 / *total as f64), count(*kept as u64), count(*total as u64));
        text += &format!("steps      {of} {form}: {kept} of {total} ({part})\n");
    }
    if let Some(StepSeconds { now, whole }) = took.step {
        let [ms, whole_ms] = [now, whole].map(|seconds| number(1e3 * seconds));
        text += &format!("           {ms} ms a step, {whole_ms} as a whole: {:.1} times as long\n", whole / now);
    }
    for budget in &closing.budgets {
        let verdict = if budget.met { "met" } else { "missed" };
        let (asked, counted, model) = (share(budget.asked), share(budget.counted), share(budget.model));
        text += &format!(
            "budget     {}: asked {asked}, counted {counted} ({model} by its penalty), {verdict}\n",
            budget.text
        );
    }
    for (name, value) in metrics {
        text += &format!("report     {name} = {}\n", number(*value));
    }
    text + &format!("time       {} to compile, {} to train\n", seconds(took.compile), seconds(took.train))
}

fn tensors(sparsity: &[Sparsity]) -> Table {
    let mut table = Table::new();
    let _ = table.load_style(presets::UTF8_FULL_CONDENSED);
    let _ = table.set_header(["tensor", "groups", "zero groups", "weights", "zero weights", "density", "live"]);
    for tensor in sparsity {
        let first = tensor.groups.first().map(|group| (group.name.as_str(), group.groups));
        let _ = table.add_row(row(tensor, first));
        for group in tensor.groups.iter().skip(1) {
            let _ = table.add_row(group_cells("", Some((group.name.as_str(), group.groups))));
        }
    }
    table
}

fn row(tensor: &Sparsity, group: Option<(&str, Tally)>) -> Vec<Cell> {
    let Tally { total, zeros } = tensor.weights;
    let numbers = [count(total as u64), count(zeros as u64), share(tensor.density)];
    let mut cells = group_cells(&tensor.tensor, group);
    cells.extend(numbers.map(right));
    cells.push(Cell::new(kept(tensor)));
    cells
}

/// What is left along the axes that have lost something, as `Out 12/64`.
fn kept(tensor: &Sparsity) -> String {
    let lost = tensor.kept.iter().filter(|axis| axis.kept < axis.of);
    lost.map(|axis| format!("{} {}/{}", axis.axis, axis.kept, axis.of)).collect::<Vec<_>>().join(", ")
}

fn group_cells(tensor: &str, group: Option<(&str, Tally)>) -> Vec<Cell> {
    let (name, zeros) = match group {
        Some((name, groups)) => (name, format!("{} of {}", groups.zeros, groups.total)),
        None => ("", String::new()),
    };
    vec![Cell::new(tensor), Cell::new(name), right(zeros)]
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn remaining(left: Remaining) -> String {
    let of = |part: u64, whole: u64| format!("{} ({})", count(part), share(part as f64 / whole.max(1) as f64));
    let Remaining { parameters, non_zero, live, flops, live_flops } = left;
    let live = live.map_or("live not counted".to_owned(), |live| format!("{} live", of(live, parameters)));
    let live_flops = live_flops.map_or("not counted".to_owned(), |left| of(left, flops));
    format!(
        "parameters {} of {} not zero, {live}\nFLOPs      {live_flops} of {} for a sample\n",
        of(non_zero, parameters),
        count(parameters),
        count(flops),
    )
}
