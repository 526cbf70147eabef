//! What ops mean that choose, move or add up elements by their positions.

use ndarray::{ArrayViewD, ArrayViewMutD, Axis, Slice};

/// `a` with the elements of `out` around and between its own, which the caller has filled.
pub fn pad(lo: &[usize], gap: &[usize], a: &ArrayViewD<'_, f64>, mut out: ArrayViewMutD<'_, f64>) {
    let steps: Vec<usize> = gap.iter().map(|gap| gap + 1).collect();
    let mut inner = out.view_mut();
    inner.slice_each_axis_inplace(|axis| positions(lo[axis.axis.0], steps[axis.axis.0], a.shape()[axis.axis.0]));
    inner.assign(a);
}

/// The elements of `a` from `start` by `step`, as many as `out` has.
pub fn slice(start: &[usize], step: &[usize], a: &ArrayViewD<'_, f64>, mut out: ArrayViewMutD<'_, f64>) {
    let shape = out.shape().to_vec();
    let axis = |d: usize| positions(start[d], step[d], shape[d]);
    out.assign(&a.slice_each_axis(|description| axis(description.axis.0)));
}

fn positions(start: usize, step: usize, count: usize) -> Slice {
    let end = if count == 0 { start } else { start + (count - 1) * step + 1 };
    Slice::new(start as isize, Some(end as isize), step as isize)
}

/// The parts one behind the other along `axis`.
pub fn concat(parts: &[ArrayViewD<'_, f64>], axis: usize, mut out: ArrayViewMutD<'_, f64>) {
    let mut start = 0;
    for part in parts {
        let end = start + part.len_of(Axis(axis));
        out.slice_axis_mut(Axis(axis), Slice::from(start..end)).assign(part);
        start = end;
    }
}

/// The sizes of a table and of what is picked from it: batches, rows of the table, picked rows, elements of a row.
struct Rows {
    batches: usize,
    rows: usize,
    picked: usize,
    len: usize,
}

impl Rows {
    fn new(batch: usize, table: &[usize], index: &[usize]) -> Rows {
        Rows {
            batches: table[..batch].iter().product(),
            rows: table[batch],
            picked: index[batch..].iter().product(),
            len: table[batch + 1..].iter().product(),
        }
    }

    /// Shows where each picked row stands in the table and among those picked, if it is one of the table's.
    fn each(&self, index: &ArrayViewD<'_, f64>, mut show: impl FnMut(usize, usize)) {
        for (at, row) in index.iter().enumerate() {
            let batch = at / self.picked.max(1);
            if (0.0..self.rows as f64).contains(row) && batch < self.batches {
                show((batch * self.rows + *row as usize) * self.len, at * self.len);
            }
        }
    }
}

/// The rows of `table` at `index`.
pub fn gather(batch: usize, table: &ArrayViewD<'_, f64>, index: &ArrayViewD<'_, f64>, out: &mut [f64]) {
    let rows = Rows::new(batch, table.shape(), index.shape());
    let table = table.as_standard_layout();
    let table = table.as_slice().expect("in standard layout");
    out.fill(0.0);
    rows.each(index, |from, to| out[to..][..rows.len].copy_from_slice(&table[from..][..rows.len]));
}

/// The rows `values` added to those of `out`, a table of this `shape`, at `index`.
pub fn scatter(
    batch: usize,
    values: &ArrayViewD<'_, f64>,
    index: &ArrayViewD<'_, f64>,
    shape: &[usize],
    out: &mut [f64],
) {
    let rows = Rows::new(batch, shape, index.shape());
    let values = values.as_standard_layout();
    let values = values.as_slice().expect("in standard layout");
    out.fill(0.0);
    rows.each(index, |to, from| {
        let from = &values[from..][..rows.len];
        out[to..][..rows.len].iter_mut().zip(from).for_each(|(to, from)| *to += from);
    });
}

/// 1 for the `k` largest of each `n` elements, the first ones among equals.
pub fn top_k(a: &[f64], k: usize, n: usize, out: &mut [f64]) {
    out.fill(0.0);
    for (a, out) in a.chunks(n.max(1)).zip(out.chunks_mut(n.max(1))) {
        let mut order: Vec<usize> = (0..n).collect();
        // Adding 0 makes the two zeros equal; the sort is stable.
        order.sort_by(|i, j| (a[*j] + 0.0).total_cmp(&(a[*i] + 0.0)));
        order[..k].iter().for_each(|i| out[*i] = 1.0);
    }
}

/// Running sums along `axis`, in place.
pub fn cumsum(axis: usize, reverse: bool, mut out: ArrayViewMutD<'_, f64>) {
    for mut lane in out.lanes_mut(Axis(axis)) {
        if reverse {
            lane.invert_axis(Axis(0));
        }
        let _ = lane.iter_mut().fold(0.0, |sum, x| {
            *x += sum;
            *x
        });
    }
}
