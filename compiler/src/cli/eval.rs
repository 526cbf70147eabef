//! `spnc eval`: the reports of a run, on every split.

use serde_json::json;
use spnc_runtime::{store, train};

use super::exit::Exit;
use super::format::{count, number};
use super::job::{self, Job, OfRun, Purpose};
use super::output;

/// Evaluate the network of a run: its reports on every split.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    of: OfRun,
    /// Print one object on standard output.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spnc eval runs/model-1
  spnc eval runs/model-1 --data elsewhere --json | jq .reports

A report on the test split goes by its own name, others by `train …` and `validation …`.";

/// Prints a line for each report and split.
pub fn run(args: &Args) -> Result<(), Exit> {
    let (mut job, run) = Job::of_run(&args.of.run, &args.of.data, args.of.threads, Purpose::Evaluation)?;
    if run.report.origin.data_hash != job.origin().data_hash {
        output::note("note: these are not the data that the run trained on");
    }
    let mut program = job.program()?;
    store::apply_model(program.as_mut(), &run.model).map_err(|error| output::data_error(&error))?;
    let reports = train::evaluate(program.as_mut(), &job.data, &job.plan, run.report.clock());
    let reports = reports.map_err(|error| job::train_error(&error))?;
    if args.json {
        output::print_json(&json!({ "run": args.of.run.display().to_string(), "reports": reports }));
        return Ok(());
    }
    for split in job.plan.batches(&job.data).and_training().evaluated {
        output::print(&format!(
            "{:<10} {} samples\n",
            format!("{:?}", split.split).to_lowercase(),
            count(split.n as u64)
        ));
    }
    for (name, value) in &reports {
        output::print(&format!("report     {name} = {}\n", number(*value)));
    }
    Ok(())
}
