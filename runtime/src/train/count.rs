//! Counting exact zeros, for the line of an epoch and the closing table.

use std::ops::Add;

use ndarray::{ArrayView2, ArrayViewD};
use serde::{Deserialize, Serialize};

/// How many of how many are exactly zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// All of them: elements, or groups.
    pub total: usize,
    /// Those that are exactly zero: elements, or groups whose elements all are.
    pub zeros: usize,
}

impl Tally {
    /// The share that is not zero; 1 of nothing.
    pub fn density(self) -> f64 {
        if self.total == 0 { 1.0 } else { (self.total - self.zeros) as f64 / self.total as f64 }
    }
}

impl Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally { total: self.total + other.total, zeros: self.zeros + other.zeros }
    }
}

/// Counts elements.
pub fn tally(values: ArrayViewD<'_, f64>) -> Tally {
    Tally { total: values.len(), zeros: values.iter().filter(|&&x| x == 0.0).count() }
}

/// Counts groups: the rows of a tensor seen as groups by members.
pub fn tally_groups(view: ArrayView2<'_, f64>) -> Tally {
    let zeros = view.rows().into_iter().filter(|row| row.iter().all(|&x| x == 0.0)).count();
    Tally { total: view.nrows(), zeros }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn zeros_are_exact_and_groups_are_rows() {
        let view = array![[0.0, -0.0], [0.0, 1e-300], [2.0, 3.0]];
        assert_eq!(tally(view.view().into_dyn()), Tally { total: 6, zeros: 3 });
        assert_eq!(tally_groups(view.view()), Tally { total: 3, zeros: 1 });
        assert_eq!(tally_groups(view.t()), Tally { total: 2, zeros: 0 });
        assert_eq!(tally(view.view().into_dyn()).density(), 0.5);
    }
}
