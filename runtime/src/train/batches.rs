//! How a plan cuts a data set into batches, known before anything is compiled.

use std::ops::Range;

use super::Plan;
use crate::data::{Dataset, Split};

/// The batches of every epoch and of every evaluation. Of each kind few sizes occur: at most two for each split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches {
    /// Samples that are trained on in an epoch (1 for a program without data).
    pub n_train: usize,
    /// Steps in an epoch.
    pub per_epoch: usize,
    /// What is evaluated.
    pub evaluated: Vec<Evaluated>,
    train: usize,
    whole: bool,
}

/// The batches of one evaluated split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluated {
    /// The split.
    pub split: Split,
    /// Its samples that are evaluated (1 for a program without data).
    pub n: usize,
    size: usize,
}

impl Plan {
    /// The batches of this plan on `data`. A program without data, for which `data` has no samples, takes one step an epoch,
    /// on one sample that has no fields. Sequential data come in whole batches of the size of training, in evaluations too; where there
    /// are too few samples for one, there are none.
    pub fn batches(&self, data: &Dataset) -> Batches {
        let all = data.n(Split::Train).min(self.limit.unwrap_or(usize::MAX)).max(1);
        let batch = self.batch.unwrap_or(all).max(1);
        let whole = self.whole_batches || data.sequential();
        let used = |split| if whole { self.used_whole(data, split, batch) } else { self.used(data, split) };
        let n_train = used(Split::Train);
        let train = if whole { batch } else { batch.min(n_train) };
        let splits = data.evaluated().into_iter().map(|split| (split, used(split)));
        let ns: Vec<usize> = splits.clone().map(|(_, n)| n).collect();
        let size = if whole { batch } else { evaluation_size(&ns) };
        let evaluated = splits.map(|(split, n)| Evaluated { split, n, size: if whole { size } else { size.min(n) } });
        Batches { n_train, per_epoch: n_train.div_ceil(train), evaluated: evaluated.collect(), train, whole }
    }

    /// How many samples of a split are used.
    fn used(&self, data: &Dataset, split: Split) -> usize {
        data.n(split).min(self.limit.unwrap_or(usize::MAX)).max(1)
    }

    /// The same in whole batches: at least one where there are samples for it.
    fn used_whole(&self, data: &Dataset, split: Split, batch: usize) -> usize {
        let most = (self.limit.unwrap_or(usize::MAX) / batch).max(1).saturating_mul(batch);
        if data.fields().is_empty() { batch } else { (data.n_in(split, batch) / batch * batch).min(most) }
    }
}

impl Batches {
    /// The same, with an evaluation of the training split where there is none. What else is evaluated stays as it is, bit for bit.
    #[must_use]
    pub fn and_training(mut self) -> Batches {
        if self.evaluated.iter().all(|evaluated| evaluated.split != Split::Train) {
            let size = if self.whole { self.train } else { evaluation_size(&[self.n_train]).min(self.n_train) };
            self.evaluated.insert(0, Evaluated { split: Split::Train, n: self.n_train, size });
        }
        self
    }

    /// The first split that has too few samples for a whole batch, and the size of one.
    pub(crate) fn too_short(&self) -> Option<(Split, usize)> {
        let empty = self.evaluated.iter().find(|evaluated| evaluated.n == 0);
        let training = (self.n_train == 0).then_some(Split::Train);
        training.or(empty.map(|evaluated| evaluated.split)).map(|split| (split, self.train))
    }

    /// The sizes that training steps have: one or two, the usual one first.
    pub fn train_sizes(&self) -> Vec<usize> {
        sizes(self.n_train, self.train)
    }

    /// The sizes that evaluated batches have.
    pub fn evaluate_sizes(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.evaluated.iter().flat_map(|split| sizes(split.n, split.size)).collect();
        all.sort_unstable_by_key(|&size| std::cmp::Reverse(size));
        all.dedup();
        all
    }

    /// The samples of an epoch in the order of the data.
    pub(crate) fn order(&self, data: &Dataset) -> Vec<usize> {
        data.order(Split::Train, self.train, None).into_iter().take(self.n_train).collect()
    }

    /// Where batch `index` of an epoch is in the order of its samples.
    pub(crate) fn train_rows(&self, index: usize) -> Range<usize> {
        index * self.train..((index + 1) * self.train).min(self.n_train)
    }
}

impl Evaluated {
    /// How many batches there are.
    pub fn batches(&self) -> usize {
        self.n.div_ceil(self.size)
    }

    /// The samples of all batches in order.
    pub(crate) fn order(&self, data: &Dataset) -> Vec<usize> {
        data.order(self.split, self.size, None).into_iter().take(self.n).collect()
    }

    /// The samples of batch `index`.
    pub(crate) fn rows(&self, index: usize) -> Range<usize> {
        index * self.size..((index + 1) * self.size).min(self.n)
    }
}

fn sizes(n: usize, size: usize) -> Vec<usize> {
    match n % size {
        0 => vec![size],
        rest => vec![size, rest],
    }
}

/// The largest size up to 512 that divides all splits evenly, so that one size is enough; 256 where only small ones do.
fn evaluation_size(splits: &[usize]) -> usize {
    match splits {
        [n @ 0..=512] => *n,
        _ => (128..=512).rev().find(|size| splits.iter().all(|n| n.is_multiple_of(*size))).unwrap_or(256),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_sample_is_in_one_batch_of_one_of_two_sizes(n in 1_usize..5000, size in 1_usize..600) {
            let evaluated = Evaluated { split: Split::Test, n, size: evaluation_size(&[n]) };
            let train = size.min(n);
            let per_epoch = n.div_ceil(size);
            let batches = Batches { n_train: n, per_epoch, evaluated: vec![evaluated], train, whole: false };
            let train: Vec<_> = (0..batches.per_epoch).map(|index| batches.train_rows(index)).collect();
            let rows: Vec<_> = (0..evaluated.batches()).map(|index| evaluated.rows(index)).collect();
            for (ranges, sizes) in [(train, batches.train_sizes()), (rows, batches.evaluate_sizes())] {
                prop_assert!(sizes.len() <= 2);
                prop_assert!(ranges.iter().all(|range| sizes.contains(&range.len())));
                prop_assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn whole_batches_leave_the_rest_out() {
        let values = crate::data::Values::F64(vec![0.0; 25]);
        let x = crate::data::Column::new("x", crate::program::Element::Real, vec![], values);
        let data = Dataset::new(vec![x], 20, 5);
        let of = |batch, limit| {
            let batches = Plan { batch: Some(batch), whole_batches: true, limit, ..Plan::default() }.batches(&data);
            let evaluated = batches.evaluated[0];
            assert_eq!((batches.train_sizes(), batches.evaluate_sizes()), (vec![batch], vec![batch]));
            (batches.n_train, evaluated.n, batches.too_short().map(|(split, _)| split))
        };
        assert_eq!(of(4, None), (20, 4, None));
        assert_eq!(of(3, Some(7)), (6, 3, None));
        assert_eq!(of(6, None), (18, 0, Some(Split::Test)));
        assert_eq!(of(21, None), (0, 0, Some(Split::Train)));
    }

    #[test]
    fn mnist_is_evaluated_in_one_size() {
        assert_eq!(evaluation_size(&[10_000]), 500);
        assert_eq!(evaluation_size(&[10_000, 5_000]), 500);
        assert_eq!(evaluation_size(&[360]), 360);
        assert_eq!(evaluation_size(&[1009]), 256);
    }

    #[test]
    fn without_data_there_is_one_step_an_epoch() {
        let batches = Plan::default().batches(&Dataset::empty());
        assert_eq!((batches.per_epoch, batches.train_sizes()), (1, vec![1]));
        assert_eq!((batches.evaluated[0].batches(), batches.evaluate_sizes()), (1, vec![1]));
    }
}
