//! What a run shows while it trains: a live bar, a line an epoch; or one object a line.

use indicatif::{ProgressBar, ProgressStyle};
use spnc_runtime::train::{EpochRecord, Observer, Progress};

use crate::cli::format::{count, number, share};
use crate::cli::output;
use crate::model::TermKind;

/// How much is shown, and where: a bar on standard error and a line an epoch on standard output, if nothing else is said.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Show {
    /// Print one object a line on standard output: `compiled`, an `epoch` each, `done`.
    #[arg(long)]
    pub json: bool,
    /// Print nothing but errors.
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
}

impl Show {
    /// Whether it is for people to look at.
    fn is_live(self) -> bool {
        !self.json && !self.quiet
    }
}

/// Watches a run.
#[derive(Debug)]
pub struct Watcher {
    show: Show,
    epochs: usize,
    kinds: Vec<TermKind>,
    bar: Option<ProgressBar>,
    /// The reports and zeros of the last epoch, as the bar shows them.
    last: String,
    /// When the bar was written last, in seconds of this epoch.
    written: f64,
}

/// Seconds between two changes of the bar: formatting it more often would cost more than small steps do.
const REFRESH: f64 = 0.1;

impl Watcher {
    /// A watcher of a run of so many epochs, whose terms are of these kinds.
    pub fn new(show: Show, epochs: usize, kinds: Vec<TermKind>) -> Watcher {
        Watcher { show, epochs, kinds, bar: None, last: String::new(), written: 0.0 }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn start_bar(&mut self, progress: &Progress<'_>) {
        let bar = ProgressBar::new(progress.of as u64);
        let style = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len}  {msg}");
        bar.set_style(style.expect("the template is a constant"));
        bar.set_prefix(format!("epoch {}/{}{}", progress.epoch + 1, self.epochs, phase(progress.phase)));
        self.written = f64::NEG_INFINITY;
        self.bar = Some(bar);
    }

    fn update_bar(&mut self, progress: &Progress<'_>) {
        let Some(bar) = &self.bar else { return };
        let is_last = progress.index + 1 == progress.of;
        if progress.seconds - self.written < REFRESH && !is_last {
            return;
        }
        self.written = progress.seconds;
        let speed = progress.samples as f64 / progress.seconds.max(1e-9);
        let terms = split_terms(&self.kinds, progress.terms.iter().copied(), std::iter::empty());
        bar.set_position(progress.index as u64 + 1);
        bar.set_message(format!("{} samples/s  {terms}{}", count(speed as u64), self.last));
        if is_last {
            self.finish();
        }
    }
}

impl Observer for Watcher {
    fn step(&mut self, progress: &Progress<'_>) {
        if !self.show.is_live() {
            return;
        }
        if self.bar.is_none() {
            self.start_bar(progress);
        }
        self.update_bar(progress);
    }

    fn epoch(&mut self, record: &EpochRecord) {
        self.last = state(record);
        if self.show.json {
            output::print_json(&Event { event: "epoch", record });
        } else if !self.show.quiet {
            output::print(&line(record, self.epochs, &self.kinds));
        }
    }
}

#[derive(serde::Serialize)]
struct Event<'a> {
    event: &'static str,
    #[serde(flatten)]
    record: &'a EpochRecord,
}

/// The line of an epoch.
fn line(record: &EpochRecord, epochs: usize, kinds: &[TermKind]) -> String {
    let names = record.reports.keys().map(|name| shortened(name));
    let terms = split_terms(kinds, record.terms.iter().map(|term| term.value), names);
    let speed = count(record.speed() as u64);
    let width = epochs.to_string().len();
    let phase = phase(&record.phase);
    format!("epoch {:width$}/{epochs}{phase}  {terms}{}  {speed} samples/s\n", record.epoch, state(record))
}

/// The name of a phase, where it has one.
fn phase(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("  {name}") }
}

/// The reports and the zeros.
fn state(record: &EpochRecord) -> String {
    let reports = record.reports.iter().map(|(name, value)| format!("  {} {}", shortened(name), number(*value)));
    let zeros = record.zeros.zeros as f64 / record.zeros.total.max(1) as f64;
    reports.chain(std::iter::once(format!("  zeros {}", share(zeros)))).collect()
}

/// The loss, and the penalties where there are any. Where a report has the name of one, it says that it is of training.
fn split_terms<'a>(
    kinds: &[TermKind],
    values: impl Iterator<Item = f64>,
    mut reports: impl Iterator<Item = &'a str>,
) -> String {
    let (mut loss, mut penalty) = (0.0, 0.0);
    for (kind, value) in kinds.iter().zip(values) {
        match kind {
            TermKind::Loss => loss += value,
            TermKind::Penalty | TermKind::Budget => penalty += value,
        }
    }
    let has_penalty = kinds.iter().any(|kind| *kind != TermKind::Loss);
    let penalty = if has_penalty { format!("  penalty {}", number(penalty)) } else { String::new() };
    let of = if reports.any(|name| ["loss", "penalty"].contains(&name)) { "training " } else { "" };
    format!("{of}loss {}{penalty}", number(loss))
}

/// A report is named by its source text where it has no name: its function is enough for a line.
fn shortened(name: &str) -> &str {
    name.split('(').next().unwrap_or(name)
}
