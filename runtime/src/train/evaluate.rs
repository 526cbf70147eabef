//! The evaluation of splits.

use indexmap::IndexMap;
use ndarray::ArrayD;

use super::Evaluated;
use super::run::Trainer;
use crate::data::Split;
use crate::program::{Clock, Entry, Role};

impl Trainer<'_> {
    /// The reported numbers of every evaluated split, by name; `None` when interrupted. Carried states are left as they were.
    pub(super) fn evaluate(&mut self, clock: Clock, is_stopped: impl Fn() -> bool) -> Option<IndexMap<String, f64>> {
        let carried = self.carried();
        let splits = self.batches.evaluated.clone();
        let reports =
            splits.into_iter().map(|split| self.evaluate_split(split, clock, &is_stopped)).collect::<Option<Vec<_>>>();
        carried.iter().for_each(|(index, value)| self.program.write(*index, value));
        Some(reports?.into_iter().flatten().collect())
    }

    fn evaluate_split(
        &mut self,
        split: Evaluated,
        clock: Clock,
        is_stopped: &dyn Fn() -> bool,
    ) -> Option<Vec<(String, f64)>> {
        self.restart(Role::Carried);
        let samples = split.order(self.data);
        for rows in (0..split.batches()).map(|index| split.rows(index)) {
            if is_stopped() {
                let _ = self.program.finish_evaluation(clock);
                return None;
            }
            for (field, &from) in self.fields.iter().enumerate() {
                let (data, rows) = (self.data, &samples[rows.clone()]);
                self.program.fill(Entry::Evaluate, rows.len(), field, &data.batch(split.split, rows, from));
            }
            self.program.evaluate(rows.len(), split.n, clock);
        }
        let values = self.program.finish_evaluation(clock);
        let prefix = self.prefix(split.split);
        let names = self.program.description().reports.iter().map(|name| format!("{prefix}{name}"));
        Some(names.zip(values).collect())
    }

    /// The carried states as they are.
    fn carried(&self) -> Vec<(usize, ArrayD<f64>)> {
        let tensors = self.program.description().tensors.iter().enumerate();
        let carried = tensors.filter(|(_, info)| info.role == Role::Carried);
        carried.map(|(index, _)| (index, self.program.read(index))).collect()
    }

    /// What comes before the name of a report on a split: nothing on the test split, or where there is no other.
    fn prefix(&self, split: Split) -> &'static str {
        match split {
            Split::Train if self.batches.evaluated.len() > 1 => "train ",
            Split::Validation => "validation ",
            Split::Train | Split::Test => "",
        }
    }
}
