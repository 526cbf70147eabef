//! `spnc shrink`: the network of a run without what can no longer matter, as a program of its own.

mod certificate;
mod network;
mod table;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::{Component, Path, PathBuf};

use indexmap::IndexMap;
use ndarray::ArrayD;
use spnc_runtime::program::{Clock, Program};
use spnc_runtime::store::{self, Folder, Origin, Report, Scratch};
use spnc_runtime::train;

use self::network::Numbers;
use super::exit::Exit;
use super::front::Front;
use super::job::{self, Job, Purpose, Setup};
use super::output;
use super::source::Source;
use crate::diag;
use crate::model::{Model, Symbol};
use crate::shrink::{self, Smaller, Trained, WEIGHTS};

/// Write the network of a run without what is zero in it: a smaller program, its weights, and a certificate.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The folder of the run.
    run: PathBuf,
    /// Where the smaller network goes: a new or empty folder [default: RUN-small].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Look for data here first.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// How many samples both networks are compared on.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// How many threads run the machine code [default: one for each processor].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Print the certificate as one object on standard output.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  spnc shrink runs/model-1                      writes runs/model-1-small
  spnc eval runs/model-1-small                  the reports of the smaller network
  spnc predict runs/model-1-small --input X.npz --output Y.npz
  spnc run runs/model-1-small/model.spnet       trains it on, as a dense network

The folder holds the program, `weights.safetensors` that it starts from, `certificate.json`, and what a run has.";

/// The file that says how both networks compare.
const CERTIFICATE: &str = "certificate.json";

/// Shrinks, compares, measures, saves, says.
pub fn run(args: &Args) -> Result<(), Exit> {
    let (job, run) = Job::of_run(&args.run, &args.data, args.threads, Purpose::Prediction)?;
    if run.report.interrupted {
        output::note("note: this run was interrupted, so its network is not trained to the end");
    }
    let before = Numbers::of_run(&job, &run);
    let (scratch, smaller) = written(args, &job, &before)?;
    if !is_smaller(&smaller) {
        return Err(nothing(&run.report, &smaller));
    }
    let out = args.out.clone().unwrap_or_else(|| beside(&args.run));
    let folder = Folder::claim_at(&out).map_err(|error| output::data_error(&error))?;
    let mut new = Job::new(setup(&job, scratch.path(), args.threads), Purpose::Reports)?;
    let mut program = new.program()?;
    let clock = run.report.clock();
    let reports = train::report(program.as_mut(), &new.data, &new.plan, clock);
    let reports = reports.map_err(|error| job::train_error(&error))?;
    let after = Numbers::of_program(&new, program.as_ref(), clock);
    let report = report(&new, program.as_ref(), (clock, reports), (scratch.path(), &out));
    let certificate = certificate::make(args, (&job, &before, &run.report), (&new, &after, &report), &smaller)?;
    let kept = store::Run { model: store::Held::by(program.as_mut(), clock), history: vec![], report };
    let mut texts = new.front.texts();
    let text = serde_json::to_string_pretty(&certificate).expect("a certificate has only string keys") + "\n";
    texts.push((CERTIFICATE.to_owned(), text));
    let path = folder.save_with(&kept, &texts, &[(WEIGHTS, &smaller.tensors)]);
    let path = path.map_err(|error| output::data_error(&error))?;
    if args.json {
        output::print_json(&certificate);
    } else {
        output::print(&table::text(&certificate));
        output::print(&format!("saved      {}\n", path.display()));
    }
    Ok(())
}

/// Where the smaller network goes by default.
fn beside(run: &Path) -> PathBuf {
    // `.` and `..` name no folder by themselves.
    let ends_in_name = matches!(run.components().next_back(), Some(Component::Normal(_)));
    let run = if ends_in_name { run.to_owned() } else { run.canonicalize().unwrap_or_else(|_| run.to_owned()) };
    let mut name = run.file_name().map_or_else(|| "run".into(), OsStr::to_os_string);
    name.push("-small");
    run.with_file_name(name)
}

/// The smaller program, in a folder with its weights. Layers that come out with other sizes than they should keep theirs.
fn written(args: &Args, job: &Job, numbers: &Numbers) -> Result<(Scratch, Smaller), Exit> {
    let constants = job.origin().settings.into_iter().filter(|(name, _)| !name.starts_with("--"));
    let set: Vec<(String, String)> = constants.collect();
    let value = |name: &str| numbers.value(name);
    let trained =
        Trained { model: &job.model, sources: &job.front.sources, value: &value, set: &set, seed: job.plan.seed };
    let mut rigid: BTreeSet<Symbol> = BTreeSet::new();
    loop {
        let smaller = shrink::shrink(&trained, &rigid).map_err(|unable| {
            let message =
                format!("the network cannot be written as a smaller program: in `{}`, {}", unable.path, unable.why);
            output::fail(&message, Some(unable.help))
        })?;
        let scratch = Scratch::beside(&args.run).map_err(|error| output::data_error(&error))?;
        let file = scratch.path().join(format!("{}.spnet", job.front.name()));
        let save = |error: std::io::Error| output::fail(&format!("cannot write `{}`: {error}", file.display()), None);
        std::fs::write(&file, &smaller.text).map_err(save)?;
        store::write_safetensors(&scratch.path().join(WEIGHTS), &smaller.tensors, None).map_err(save)?;
        let n = rigid.len();
        match misfits(&source(job, scratch.path()), &smaller)? {
            Ok(misfits) if misfits.is_empty() => return Ok((scratch, smaller)),
            Ok(misfits) => rigid.extend(misfits),
            Err(mistakes) => {
                rigid.extend(smaller.whole.iter().cloned());
                if rigid.len() == n {
                    // A text that is taken over may say sizes as numbers.
                    rigid.extend(smaller.origins.values().cloned());
                }
                if rigid.len() == n {
                    output::note(&mistakes);
                }
            }
        }
        if rigid.len() == n {
            return Err(output::fail("the smaller program does not compile: this is a mistake of spnc", None));
        }
    }
}

fn source(job: &Job, folder: &Path) -> Source {
    let data = job.origin().folders;
    Source { file: folder.join(format!("{}.spnet", job.front.name())), set: vec![], data }
}

fn setup(job: &Job, folder: &Path, threads: Option<NonZeroUsize>) -> Setup {
    let evaluator = super::evaluator::Choice { threads, ..job.evaluator() };
    Setup {
        source: source(job, folder),
        evaluator,
        limit: job.plan.limit,
        epochs: None,
        batch: None,
        seed: None,
        init: None,
    }
}

/// The layers of the old network whose tensors have other sizes in the new program than they were cut to; what the compiler says, where that
/// does not get so far.
fn misfits(source: &Source, smaller: &Smaller) -> Result<Result<BTreeSet<Symbol>, String>, Exit> {
    let mut front = Front::new(source);
    Ok(match front.elaborate_without_starts()? {
        Ok(model) => {
            let misfits = smaller.origins.iter().filter(|(path, _)| !fits(&model, path, smaller));
            Ok(misfits.map(|(_, origin)| origin.clone()).collect())
        }
        Err(mistakes) => Err(diag::render_all(&mistakes, &front.sources, output::is_terminal()).trim_end().to_owned()),
    })
}

/// Whether the tensors below a path have the sizes that they were cut to.
fn fits(model: &Model, path: &str, smaller: &Smaller) -> bool {
    let params = model.params.iter().map(|param| (&param.path, &param.ty));
    let states = model.states.iter().filter(|state| !state.of_optimizer && !state.carried);
    let all = params.chain(states.map(|state| (&state.path, &state.ty)));
    let mut own = all.filter(|(own, _)| own.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')));
    own.all(|(own, ty)| {
        let shape = crate::lower::interface::known_shape(ty);
        smaller.tensors.get(&**own).is_some_and(|tensor| tensor.shape() == shape)
    })
}

fn is_smaller(smaller: &Smaller) -> bool {
    smaller.left.iter().any(|left| left.before != left.after)
}

fn nothing(report: &Report, smaller: &Smaller) -> Exit {
    if let Some(dense) = smaller.dense.first() {
        return output::fail(&format!("no zeros of this network can go: {}", table::reason(dense)), None);
    }
    let zeros: usize = smaller.left.iter().map(|left| left.zeros).sum();
    let message = if zeros == 0 {
        "nothing in this network is zero, so there is nothing to take away".to_owned()
    } else {
        format!(
            "the {} zeros of this network are scattered: no neuron, channel or unit of it is zero as a whole",
            super::format::count(zeros as u64)
        )
    };
    let help = format!(
        "make groups zero while training: `group units = net.*.w by Out` and `sparsify units with` a threshold of `std.sparse` in {}",
        report.origin.program
    );
    output::fail(&message, Some(&help))
}

/// What `report.json` says of the smaller network, which goes on standing where the run ended: layers may read the clock.
fn report(
    job: &Job,
    program: &dyn Program,
    (clock, metrics): (Clock, IndexMap<String, f64>),
    (scratch, out): (&Path, &Path),
) -> Report {
    let (sparsity, remaining) = job.remaining(program, clock);
    let origin = job.origin();
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let replaced = |folder: PathBuf| if folder == absolute(scratch) { absolute(out) } else { folder };
    let folders = origin.folders.into_iter().map(replaced).collect();
    Report {
        origin: Origin { folders, ..origin },
        epochs: clock.epoch,
        steps: clock.step,
        progress: clock.progress,
        interrupted: false,
        seconds: job.seconds(),
        metrics,
        sparsity,
        budgets: vec![],
        remaining,
        choices: vec![],
    }
}

/// The tensors of both networks are called alike here.
type Tensors = IndexMap<String, ArrayD<f64>>;
