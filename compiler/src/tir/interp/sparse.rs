//! What products with a compressed matrix mean.

use ndarray::ArrayViewD;

/// Calls `visit` with row, column and place of each element of a pattern of `rows` rows and `count` elements.
fn each(pattern: &ArrayViewD<'_, f64>, rows: usize, count: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let number = |at: usize| pattern[[at]] as usize;
    let (columns, places) = (rows + 1, rows + 1 + count);
    for row in 0..rows {
        for k in number(row)..number(row + 1) {
            let place = if pattern.len() > places { number(places + k) } else { k };
            visit(row, number(columns + k), place);
        }
    }
}

/// Adds the product of the matrix with elements `w` and `x` to `out`, of `rows` rows.
pub fn product([w, x, pattern]: [&ArrayViewD<'_, f64>; 3], rows: usize, out: &mut [f64]) {
    let batch = x.shape()[1];
    each(pattern, rows, w.len(), |row, column, place| {
        (0..batch).for_each(|b| out[row * batch + b] += w[[place]] * x[[column, b]]);
    });
}

/// Adds the elements of `y xᵀ` at the pattern to `out`.
pub fn sampled([y, x, pattern]: [&ArrayViewD<'_, f64>; 3], out: &mut [f64]) {
    let [rows, batch] = [y.shape()[0], y.shape()[1]];
    each(pattern, rows, out.len(), |row, column, place| {
        out[place] += (0..batch).map(|b| y[[row, b]] * x[[column, b]]).sum::<f64>();
    });
}
