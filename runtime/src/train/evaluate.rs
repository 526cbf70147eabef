//! The evaluation of splits.

use indexmap::IndexMap;
use ndarray::ArrayD;

use super::Evaluated;
use super::run::Trainer;
use crate::data::Split;
use crate::program::{Entry, Role};

impl Trainer<'_> {
    /// The reported numbers of every evaluated split, by name; `None` when interrupted. Carried states are left as they were.
    pub(super) fn evaluate(&mut self, is_stopped: impl Fn() -> bool) -> Option<IndexMap<String, f64>> {
        let carried = self.carried();
        let splits = self.batches.evaluated.clone();
        let reports =
            splits.into_iter().map(|split| self.evaluate_split(split, &is_stopped)).collect::<Option<Vec<_>>>();
        carried.iter().for_each(|(index, value)| self.program.write(*index, value));
        Some(reports?.into_iter().flatten().collect())
    }

    fn evaluate_split(&mut self, split: Evaluated, is_stopped: &dyn Fn() -> bool) -> Option<Vec<(String, f64)>> {
        self.restart(Role::Carried);
        let (clock, samples) = (self.clock(), split.order(self.data));
        for rows in (0..split.batches()).map(|index| split.rows(index)) {
            if is_stopped() {
                let _ = self.program.finish_evaluation();
                return None;
            }
            for (field, &from) in self.fields.iter().enumerate() {
                let place = self.program.field(Entry::Evaluate, rows.len(), field);
                self.data.gather(split.split, &samples[rows.clone()], from, place);
            }
            self.program.evaluate(rows.len(), split.n, clock);
        }
        let values = self.program.finish_evaluation();
        let names = self.program.description().reports.iter().map(|name| report_name(split.split, name));
        Some(names.zip(values).collect())
    }

    /// The carried states as they are.
    fn carried(&self) -> Vec<(usize, ArrayD<f64>)> {
        let tensors = self.program.description().tensors.iter().enumerate();
        let carried = tensors.filter(|(_, info)| info.role == Role::Carried);
        carried.map(|(index, _)| (index, self.program.read(index))).collect()
    }
}

/// What a report on a split is called: `validation accuracy` on the validation split, else by its own name.
fn report_name(split: Split, name: &str) -> String {
    match split {
        Split::Validation => format!("validation {name}"),
        Split::Train | Split::Test => name.to_owned(),
    }
}
