//! The numbers of a run by name: over its epochs, and at its end.

use spnc_runtime::store::Run;
use spnc_runtime::train::EpochRecord;

/// A number of a run, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity<'a> {
    name: &'a str,
    /// Whether it is what is missing to 1.
    is_rest: bool,
}

/// The place of each epoch's end in time: `epoch`, `step`, or else the seconds of training until then.
pub fn time(run: &Run, name: &str) -> Vec<f64> {
    let mut seconds = 0.0;
    let at = |record: &EpochRecord| match name {
        "epoch" => record.epoch as f64,
        "step" => record.step as f64,
        _ => {
            seconds += record.seconds;
            seconds
        }
    };
    run.history.iter().map(at).collect()
}

impl<'a> Quantity<'a> {
    /// `accuracy`, or `1-accuracy`.
    pub fn new(text: &'a str) -> Quantity<'a> {
        match text.strip_prefix("1-") {
            Some(name) => Quantity { name: name.trim(), is_rest: true },
            None => Quantity { name: text, is_rest: false },
        }
    }

    /// Its value after each epoch, or the names that there are.
    pub fn history(self, run: &Run) -> Result<Vec<f64>, Vec<String>> {
        let value = |record: &EpochRecord| self.pick(&of_record(record, run.report.remaining.flops));
        run.history.iter().map(value).collect()
    }

    /// Its value at the end, or the names that there are.
    pub fn last(self, run: &Run) -> Result<f64, Vec<String>> {
        self.pick(&of_report(run))
    }

    fn pick(self, numbers: &[(String, f64)]) -> Result<f64, Vec<String>> {
        let exact = numbers.iter().find(|(name, _)| name == self.name);
        // A report is named by its source text where it has no name: its function is enough.
        let short = || numbers.iter().find(|(name, _)| name.split('(').next() == Some(self.name));
        let (_, value) =
            exact.or_else(short).ok_or_else(|| numbers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>())?;
        Ok(if self.is_rest { 1.0 - value } else { *value })
    }
}

/// What an epoch ended with, in a network of so many operations when it is dense.
fn of_record(record: &EpochRecord, flops: u64) -> Vec<(String, f64)> {
    // Without zeros nothing was counted, and all are left.
    let all = (record.zeros.zeros == 0).then_some(flops);
    let live_flops = record.live_flops.or(all).map_or(f64::NAN, |flops| flops as f64);
    let own = [
        ("flops", live_flops),
        ("objective", record.objective),
        ("zeros", 1.0 - record.zeros.density()),
        ("density", record.zeros.density()),
        ("speed", record.speed()),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    let reports = record.reports.iter().map(|(name, value)| (name.clone(), *value));
    let terms = record.terms.iter().map(|term| (term.text.clone(), term.value));
    reports.chain(own).chain(terms).collect()
}

fn of_report(run: &Run) -> Vec<(String, f64)> {
    let (report, left) = (&run.report, run.report.remaining);
    let number = |counted: Option<u64>| counted.map_or(f64::NAN, |n| n as f64);
    let own = [
        ("parameters", left.non_zero as f64),
        ("density", left.non_zero as f64 / left.parameters.max(1) as f64),
        ("live", number(left.live)),
        ("live density", number(left.live) / left.parameters.max(1) as f64),
        ("flops", number(left.live_flops)),
        ("flops share", number(left.live_flops) / left.flops.max(1) as f64),
        ("seconds", report.seconds.train),
        ("milliseconds", last_step_milliseconds(&run.history)),
        ("epochs", report.epochs),
        ("steps", report.steps as f64),
        ("seed", report.origin.seed as f64),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    let reports = report.metrics.iter().map(|(name, value)| (name.clone(), *value));
    let constants = report.origin.settings.iter();
    let constants = constants.filter_map(|(name, value)| Some((name.clone(), value.parse().ok()?)));
    let budgets = report.budgets.iter().map(|budget| (budget.text.clone(), budget.counted));
    reports.chain(own).chain(constants).chain(budgets).collect()
}

/// What a step of the last epoch took, without the evaluation.
fn last_step_milliseconds(history: &[EpochRecord]) -> f64 {
    let before = history.iter().rev().nth(1).map_or(0, |record| record.step);
    history.last().map_or(f64::NAN, |last| 1000.0 * last.seconds / (last.step - before) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_by_its_name_or_its_function() {
        let numbers = [("accuracy(net(x), y)".to_owned(), 0.75), ("error".to_owned(), 0.5)];
        assert_eq!(Quantity::new("accuracy").pick(&numbers), Ok(0.75));
        assert_eq!(Quantity::new("1-accuracy").pick(&numbers), Ok(0.25));
        assert_eq!(Quantity::new("error").pick(&numbers), Ok(0.5));
        assert_eq!(Quantity::new("zeros").pick(&numbers).map_err(|names| names.len()), Err(2));
    }
}
