//! How a plan cuts a data set into batches, known before anything is compiled.

use std::ops::Range;

use crate::data::{Dataset, Split};

/// What a training run is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How often the training split is seen.
    pub epochs: usize,
    /// Samples in a batch; `None`: all of them.
    pub batch: Option<usize>,
    /// What the order of the samples depends on.
    pub seed: u64,
    /// Use only so many samples of each split, the first ones.
    pub limit: Option<usize>,
}

/// The batches of every epoch and of every evaluation. Of each kind at most two sizes occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches {
    /// Samples that are trained on in an epoch (1 for a program without data).
    pub n_train: usize,
    /// Samples that are evaluated (1 for a program without data).
    pub n_evaluated: usize,
    /// What is evaluated.
    pub split: Split,
    /// Steps in an epoch.
    pub per_epoch: usize,
    /// Batches of an evaluation.
    pub evaluations: usize,
    train: usize,
    evaluate: usize,
}

impl Plan {
    /// The batches of this plan on `data`. A program without data, for which `data` has no samples, takes one step an epoch,
    /// on one sample that has no fields.
    pub fn batches(&self, data: &Dataset) -> Batches {
        let used = |split| data.n(split).min(self.limit.unwrap_or(usize::MAX)).max(1);
        let split = data.evaluated();
        let (n_train, n_evaluated) = (used(Split::Train), used(split));
        let train = self.batch.unwrap_or(n_train).clamp(1, n_train);
        let evaluate = evaluation_size(n_evaluated);
        let (per_epoch, evaluations) = (n_train.div_ceil(train), n_evaluated.div_ceil(evaluate));
        Batches { n_train, n_evaluated, split, per_epoch, evaluations, train, evaluate }
    }
}

impl Batches {
    /// The sizes that training steps have: one or two, the usual one first.
    pub fn train_sizes(&self) -> Vec<usize> {
        sizes(self.n_train, self.train)
    }

    /// The sizes that evaluated batches have: one or two, the usual one first.
    pub fn evaluate_sizes(&self) -> Vec<usize> {
        sizes(self.n_evaluated, self.evaluate)
    }

    /// Where batch `index` of an epoch is in the order of its samples.
    pub(crate) fn train_rows(&self, index: usize) -> Range<usize> {
        index * self.train..((index + 1) * self.train).min(self.n_train)
    }

    /// The samples of batch `index` of an evaluation.
    pub(crate) fn evaluated_rows(&self, index: usize) -> Range<usize> {
        index * self.evaluate..((index + 1) * self.evaluate).min(self.n_evaluated)
    }
}

fn sizes(n: usize, size: usize) -> Vec<usize> {
    match n % size {
        0 => vec![size],
        rest => vec![size, rest],
    }
}

/// The largest size up to 512 that divides `n` evenly, so that one size is enough; 256 where only small ones do.
fn evaluation_size(n: usize) -> usize {
    match n {
        0..=512 => n,
        _ => (128..=512).rev().find(|size| n.is_multiple_of(*size)).unwrap_or(256),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_sample_is_in_one_batch_of_one_of_two_sizes(n in 1_usize..5000, size in 1_usize..600) {
            let evaluate = evaluation_size(n);
            let (per_epoch, evaluations) = (n.div_ceil(size), n.div_ceil(evaluate));
            let train = size.min(n);
            let (n_train, n_evaluated, split) = (n, n, Split::Test);
            let batches = Batches { n_train, n_evaluated, split, per_epoch, evaluations, train, evaluate };
            let train: Vec<_> = (0..per_epoch).map(|index| batches.train_rows(index)).collect();
            let evaluated: Vec<_> = (0..evaluations).map(|index| batches.evaluated_rows(index)).collect();
            for (ranges, sizes) in [(train, batches.train_sizes()), (evaluated, batches.evaluate_sizes())] {
                prop_assert!(sizes.len() <= 2);
                prop_assert!(ranges.iter().all(|range| sizes.contains(&range.len())));
                prop_assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn mnist_is_evaluated_in_one_size() {
        assert_eq!(evaluation_size(10_000), 500);
        assert_eq!(evaluation_size(360), 360);
        assert_eq!(evaluation_size(1009), 256);
    }

    #[test]
    fn without_data_there_is_one_step_an_epoch() {
        let plan = Plan { epochs: 3, batch: None, seed: 0, limit: None };
        let batches = plan.batches(&Dataset::empty());
        assert_eq!((batches.per_epoch, batches.train_sizes()), (1, vec![1]));
        assert_eq!((batches.evaluations, batches.evaluate_sizes()), (1, vec![1]));
    }
}
