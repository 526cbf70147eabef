//! What was measured, for people.

use comfy_table::presets;
use comfy_table::{Cell, CellAlignment, Table};

use super::report::{Bench, Latency, Layer, Train};
use crate::cli::format::{count, number, share};

/// All figures as text.
pub fn text(bench: &Bench) -> String {
    let Bench { program, threads, instructions, compile_ms, peak_mb, peak_gflops, .. } = bench;
    let memory = peak_mb.map_or_else(String::new, |mb| format!(", {mb:.0} MB of memory"));
    let threads = if *threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let mut text =
        format!("program    {program}: {threads}, {instructions}, at most {peak_gflops:.0} GFLOP/s a core\n");
    text += &format!("compiled   in {compile_ms:.0} ms{memory}\n");
    if let Some(train) = &bench.train {
        text += &training(train);
    }
    if let Some(inference) = &bench.inference {
        let one = |(name, latency): (&String, &Latency)| {
            format!("{} ms for a batch of {}", number(latency.ms), name.trim_start_matches("batch_"))
        };
        text += &format!("inference  {}\n", inference.iter().map(one).collect::<Vec<_>>().join(", "));
    }
    if !bench.layers.is_empty() {
        text += &format!("\na step by layers, on one thread:\n{}\n", layers(&bench.layers));
    }
    text
}

fn training(train: &Train) -> String {
    let Train { batch, ms_per_step, samples_per_s, whole, speedup } = train;
    let ms = number(*ms_per_step);
    let speed = count(*samples_per_s as u64);
    let whole = if whole.ms_per_step == *ms_per_step {
        "computed as a whole".to_owned()
    } else {
        format!("{} ms as a whole, {speedup:.2} times as long", number(whole.ms_per_step))
    };
    format!("train      {ms} ms a step of {batch} samples, {speed} samples/s; {whole}\n")
}

fn layers(layers: &[Layer]) -> Table {
    let mut table = Table::new();
    let _ = table.load_style(presets::UTF8_FULL_CONDENSED);
    let _ = table.set_header(["layer", "ms", "share", "kernels", "density", "break-even", "GFLOP/s", "of peak"]);
    let total: f64 = layers.iter().map(|layer| layer.ms).sum();
    for layer in layers {
        let _ = table.add_row(row(layer, total));
    }
    let _ = table.add_row([Cell::new("together"), right(number(total))]);
    table
}

fn row(layer: &Layer, total: f64) -> Vec<Cell> {
    let kernels: Vec<&str> = layer.kernels.keys().copied().collect();
    let shown = |of: Option<f64>, text: &dyn Fn(f64) -> String| right(of.map_or_else(String::new, text));
    vec![
        Cell::new(&layer.layer),
        right(milliseconds(layer.ms)),
        right(share(layer.ms / total.max(f64::MIN_POSITIVE))),
        Cell::new(kernels.join(", ")),
        shown(layer.density, &share),
        shown(layer.break_even, &share),
        shown(layer.gflops, &|gflops| format!("{gflops:.1}")),
        shown(layer.share_of_peak, &share),
    ]
}

/// To a tenth of a microsecond: a shorter call is not measured better.
fn milliseconds(ms: f64) -> String {
    if ms < 0.1 { format!("{ms:.4}") } else { number(ms) }
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
