//! `spnc summary`: layers, axes, parameters, operations.

use comfy_table::presets;
use comfy_table::{Cell, CellAlignment, Table};
use serde_json::{Value, json};

use super::exit::Exit;
use super::format::count;
use super::front::Front;
use super::output;
use super::source::Source;
use crate::exec;
use crate::model::{Instance, Model, Size, Type};

/// Print the layers of a program: axes, parameters, floating-point operations.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spnc summary examples/quickstart.spnet")]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Print one object on standard output instead.
    #[arg(long)]
    json: bool,
}

/// Prints a line for each layer instance, and the totals.
pub fn run(args: &Args) -> Result<(), Exit> {
    let mut front = Front::new(&args.source);
    let mut model = front.model()?;
    exec::count_recurrences(&mut model, &front.sources);
    if args.json {
        output::print_json(&json(&model));
    } else {
        output::print(&text(&model));
    }
    Ok(())
}

/// Parameters of an instance itself, not those of inner ones.
fn params(model: &Model, instance: &Instance) -> u64 {
    instance.params.iter().map(|id| elements(&model.params[id.0 as usize].ty)).sum()
}

fn total_params(model: &Model) -> u64 {
    model.params.iter().map(|param| elements(&param.ty)).sum()
}

/// What papers count as weights: matrices and filters, no biases, no scales.
fn total_weights(model: &Model) -> u64 {
    let is_weight = |ty: &&Type| ty.axes.len() >= 2;
    model.params.iter().map(|param| &param.ty).filter(is_weight).map(elements).sum()
}

fn total_flops(model: &Model) -> u64 {
    model.instances.iter().map(|instance| instance.flops).sum()
}

fn elements(ty: &Type) -> u64 {
    let size = |size: Size| match size {
        Size::Known(n) => n as u64,
        Size::Batch | Size::Var(_) => 1,
    };
    ty.axes.iter().map(|axis| size(axis.size)).product()
}

fn text(model: &Model) -> String {
    let mut table = Table::new();
    let _ = table.load_style(presets::UTF8_FULL_CONDENSED);
    let _ = table.set_header(["instance", "layer", "from", "to", "parameters", "FLOPs"]);
    for instance in &model.instances {
        let (from, to) = signature(instance);
        let mut cells = [&*instance.path, &layer(instance), &from, &to].map(Cell::new).to_vec();
        cells.extend([params(model, instance), instance.flops].map(number));
        let _ = table.add_row(cells);
    }
    let totals = format!("{} parameters, {} FLOPs for a sample", count(total_params(model)), count(total_flops(model)));
    let (weights, products) = (count(total_weights(model)), count(total_flops(model) / 2));
    format!("{table}\n{totals}\n{weights} weights without vectors such as biases, {products} multiply-adds\n")
}

fn number(n: u64) -> Cell {
    Cell::new(count(n)).set_alignment(CellAlignment::Right)
}

/// `Dense[In = 784, Out = 300]`.
fn layer(instance: &Instance) -> String {
    let sizes = instance.sizes.iter().map(|(name, size)| format!("{name} = {}", size_text(*size)));
    let sizes: Vec<String> = sizes.collect();
    if sizes.is_empty() { instance.layer.to_string() } else { format!("{}[{}]", instance.layer, sizes.join(", ")) }
}

fn signature(instance: &Instance) -> (String, String) {
    let list = |types: &[Type]| types.iter().map(type_text).collect::<Vec<_>>().join(", ");
    let (from, to) = instance.signature.clone().unwrap_or_default();
    (list(&from), list(&to))
}

fn type_text(ty: &Type) -> String {
    let axes = ty.axes.iter().map(|axis| match &axis.name {
        Some(name) if axis.size == Size::Batch => name.to_string(),
        Some(name) => format!("{name}: {}", size_text(axis.size)),
        None => size_text(axis.size),
    });
    format!("[{}]", axes.collect::<Vec<_>>().join(", "))
}

fn size_text(size: Size) -> String {
    match size {
        Size::Known(n) => n.to_string(),
        Size::Batch => "batch".to_owned(),
        Size::Var(_) => "?".to_owned(),
    }
}

fn json(model: &Model) -> Value {
    let layers = model.instances.iter().map(|instance| {
        let (from, to) = signature(instance);
        json!({
            "instance": &*instance.path,
            "layer": layer(instance),
            "from": from,
            "to": to,
            "parameters": params(model, instance),
            "flops": instance.flops,
        })
    });
    json!({
        "layers": layers.collect::<Vec<_>>(),
        "parameters": total_params(model),
        "weights": total_weights(model),
        "flops": total_flops(model),
    })
}
