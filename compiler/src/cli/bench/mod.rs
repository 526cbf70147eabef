//! `spnc bench`: what a program costs on this machine, as a whole and layer by layer.

mod clock;
mod inference;
mod layers;
mod report;
mod steps;
mod subject;
mod table;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use indexmap::IndexMap;
use spnc_runtime::kernels::Isa;
use spnc_runtime::program::{Clock, Program};
use spnc_runtime::store::StepSeconds;

use self::report::{Bench, Latency, Train};
use self::steps::Steps;
use self::subject::{Place, Subject};
use super::exit::Exit;
use super::job::{Job, Show};
use super::output;
use super::source::Setting;
use crate::exec::Compiled;

/// Time a program: training steps, inference, each layer.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The folder of a run, whose network is timed as it was left, or a program, which is timed at its start.
    #[arg(value_name = "RUN|FILE")]
    subject: PathBuf,
    /// Set a constant of the program, once for each constant: `--set lambda=1e-4`.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<Setting>,
    /// Look for data here, after the program's own folder and before `SPNET_DATA`.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// Start values of a program by path: an npz or safetensors file, or the folder of a run.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// The samples in a batch of training [default: as the program says].
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroUsize>,
    /// How many threads run the machine code [default: one for each processor].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Seconds that each time is measured for, five times after one that does not count; the median is shown.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.2, value_parser = seconds)]
    each: f64,
    /// Print objects on standard output instead, one a line; the last one has all figures.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spnc bench runs/model-1                       the network as it is now, with its zeros
  spnc bench model.spnet --set lambda=1e-4 --batch 256
  spnc bench runs/model-1 --json | tail -1 | jq .train.samples_per_s

A step is timed in the form that training has for it now, where what is dead is left out, and as a whole.
Layers are timed one call after the other, on one thread. Nothing is written to the folder of a run.";

/// The samples that inference is timed on at once.
const INFERENCE: [usize; 2] = [1, 128];

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0);
    seconds.ok_or_else(|| "expected a number of seconds, more than 0".to_owned())
}

/// Measures, says.
pub fn run(args: &Args) -> Result<(), Exit> {
    let subject = Subject::load(args)?;
    subject.job.say_compiled(Show { json: args.json, quiet: false });
    let bench = measured(args, subject)?;
    if args.json {
        output::print_json(&bench);
    } else {
        output::print(&table::text(&bench));
    }
    Ok(())
}

fn measured(args: &Args, subject: Subject) -> Result<Bench, Exit> {
    let Subject { job, program, clock: now, at } = subject;
    let mut bench = Bench {
        event: "bench",
        program: job.front.name(),
        threads: job.evaluator().options().threads.get(),
        instructions: format!("{:?}", Isa::best()).to_lowercase(),
        compile_ms: 1e3 * job.seconds().compile,
        peak_mb: None,
        peak_gflops: clock::peak_gflops(),
        train: None,
        inference: None,
        layers: vec![],
    };
    match at {
        Some(at) => trained(args, &job, program, at, &mut bench)?,
        None if job.model.outputs.is_empty() => return Err(nothing()),
        None => {
            bench.inference = inference(args, &job, (&program, now))?;
            bench.peak_mb = clock::peak_mb();
        }
    }
    Ok(bench)
}

/// Times what can be trained.
fn trained(args: &Args, job: &Job, mut program: Compiled, at: Place, bench: &mut Bench) -> Result<(), Exit> {
    let densities = layers::densities(&job.model, &mut program, at.clock);
    let (mut today, is_narrowed) = Steps::new(job, program, at)?.adapted();
    // What else is compiled below is no part of what training needs.
    today.step();
    bench.peak_mb = clock::peak_mb();
    bench.inference = inference(args, job, (today.program(), at.clock))?;
    bench.train = Some(train(args, &mut today, is_narrowed)?);
    let costs = layers::costs(&mut today, args.each);
    bench.layers = layers::of(&job.model, &densities, &costs, bench.peak_gflops);
    Ok(())
}

/// Times a step in its form of today and, where that is another one, as a whole.
fn train(args: &Args, today: &mut Steps<'_>, is_narrowed: bool) -> Result<Train, Exit> {
    let batch = today.batch();
    if !is_narrowed {
        let [ms] = clock::medians(args.each, [&mut || today.step()]);
        return Ok(Train::new(batch, ms, ms));
    }
    let mut whole = today.whole()?;
    let [today, whole] = clock::medians(args.each, [&mut || today.step(), &mut || whole.step()]);
    Ok(Train::new(batch, today, whole))
}

/// Times a step of a program that has been trained so far, in the form that it has and as a whole; nothing where the plan has no steps.
///
/// # Errors
///
/// When steps cannot be done, which has been said.
pub fn step_seconds(job: &Job, program: &dyn Program, clock: Clock) -> Result<Option<StepSeconds>, Exit> {
    let Some(at) = subject::place(&job.plan, clock.epoch, clock.step) else { return Ok(None) };
    let mut now = Steps::after(job, program, at)?;
    let mut whole = now.whole()?;
    let [now, whole] = clock::medians(SHORT, [&mut || now.step(), &mut || whole.step()]);
    Ok(Some(StepSeconds { now: 1e-3 * now, whole: 1e-3 * whole }))
}

/// Seconds that a time is measured for at the end of a run, where nobody has asked for it.
const SHORT: f64 = 0.02;

/// Times the network alone; nothing where there is none.
fn inference(args: &Args, job: &Job, program: (&Compiled, Clock)) -> Result<Option<IndexMap<String, Latency>>, Exit> {
    if job.model.outputs.is_empty() {
        output::note("note: the program applies no model to data, so there is no inference to time");
        return Ok(None);
    }
    let timed = |size: usize| Ok((format!("batch_{size}"), inference::time(job, program, size, args.each)?));
    INFERENCE.into_iter().map(timed).collect::<Result<_, Exit>>().map(Some)
}

fn nothing() -> Exit {
    output::fail(
        "there is nothing to time: the program has no `train { … }`, and applies no model to data",
        Some("apply a model to a field of the data, as in `report accuracy(net(digits.image), digits.label)`"),
    )
}
