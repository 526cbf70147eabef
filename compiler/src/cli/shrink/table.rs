//! A certificate as text.

use comfy_table::presets;
use comfy_table::{Cell, CellAlignment, Table};

use super::certificate::Certificate;
use crate::cli::format::{count, number, share};
use crate::shrink::{Dense, Left};

/// The certificate, for people.
pub fn text(certificate: &Certificate) -> String {
    let Certificate { before, after, .. } = certificate;
    let mut text = format!("\n{}\n", tensors(&certificate.left));
    text += &format!("parameters {}\n", change(before.parameters, after.parameters));
    text += &format!("FLOPs      {} for a sample\n", change(before.flops, after.flops));
    for (batch, new) in &after.latency_ms {
        let old = before.latency_ms.get(batch).copied().unwrap_or(f64::NAN);
        let (times, of) = (number(old / new), number(old));
        text += &format!("latency    {} ms instead of {of} ms, {times} times as fast, batch {batch}\n", number(*new));
    }
    text += &format!(
        "outputs    differ by at most {} on {} samples of the {} split; the largest is {}\n",
        number(certificate.largest_difference),
        count(certificate.samples as u64),
        certificate.split,
        number(certificate.largest_output),
    );
    for (name, value) in &after.reports {
        let old = before.reports.get(name).map_or(String::new(), |old| format!(", before {}", number(*old)));
        text += &format!("report     {name} = {}{old}\n", number(*value));
    }
    text + &stays(certificate)
}

fn change(before: u64, after: u64) -> String {
    format!("{} of {} ({})", count(after), count(before), share(after as f64 / before.max(1) as f64))
}

fn tensors(left: &[Left]) -> Table {
    let mut table = Table::new();
    let _ = table.load_style(presets::UTF8_FULL_CONDENSED);
    let _ = table.set_header(["tensor", "was", "is", "zeros left"]);
    for tensor in left {
        let n: usize = tensor.after.iter().product();
        let zeros = if tensor.zeros == 0 { String::new() } else { share(tensor.zeros as f64 / n.max(1) as f64) };
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let cells = [sizes(&tensor.before), sizes(&tensor.after), zeros].map(right);
        let _ = table.add_row(std::iter::once(Cell::new(&tensor.tensor)).chain(cells));
    }
    table
}

fn sizes(sizes: &[usize]) -> String {
    if sizes.contains(&0) {
        return "gone".to_owned();
    }
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ")
}

/// Where positions stay that could go, and why.
pub fn reason(dense: &Dense) -> String {
    let Dense { tensor, axis, positions, of, why } = dense;
    format!("{tensor} along {axis}: {positions} of {of} positions could go, but {why}")
}

/// What stays dense, and why.
fn stays(certificate: &Certificate) -> String {
    let mut text = String::new();
    for dense in &certificate.dense {
        text += &format!("stays      {}\n", reason(dense));
    }
    let zeros: usize = certificate.left.iter().map(|left| left.zeros).sum();
    if zeros > 0 {
        text += &format!(
            "stays      {} scattered zeros, as numbers: trained on, they can become others\n",
            count(zeros as u64)
        );
    }
    for path in &certificate.left_out {
        text += &format!("left out   {path}, which does nothing in evaluation\n");
    }
    let gone = certificate.before.reports.keys().filter(|name| !certificate.after.reports.contains_key(*name));
    for name in gone {
        text += &format!("left out   report {name}, which is not about data\n");
    }
    text
}
