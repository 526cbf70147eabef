//! From which density on the zeros of a weight are worth leaving out.
//!
//! Measured by the runtime's own benchmark, `cargo bench -p spnc-runtime`: products of a compressed weight and a batch of 64 samples
//! beside the same products by the dense kernel, with AVX2. Other batches and instruction sets have not been measured; convolutions
//! have no compressed form.

use crate::pass::narrow::SCATTERED;

/// A product whose weight has no larger share of scattered non-zeros than this is faster with a compressed weight.
const PRODUCT: f64 = 0.25;

/// What a multiplication with an element costs beside one of a dense product, in products and where elements of one are sampled: if its row
/// is computed by itself, with one that is like it, with three.
const TOGETHER: [(usize, [f64; 2]); 3] = [(1, [SCATTERED, SCATTERED]), (2, [1.5, 1.95]), (4, [1.25, 1.75])];

/// The least that [`cost`] can be: all elements stand in blocks of four by four.
const LEAST: f64 = (2.0 * 1.25 + 1.75) / 3.0;

/// The density below which a weight with scattered zeros is faster compressed than dense in what this kind of code does, as
/// [`Call::kind`](crate::lir::Call::kind) names it; `None` where there is but one form.
pub fn density(kind: &str) -> Option<f64> {
    ["gemm", "sparse_product", "sparse_sampled"].contains(&kind).then_some(PRODUCT)
}

/// Whether a matrix of this shape with so many elements, each at this [`cost`], is worth compressing.
pub fn is_sparse([rows, columns]: [usize; 2], non_zeros: usize, cost: f64) -> bool {
    non_zeros > 0 && non_zeros as f64 * cost <= PRODUCT * SCATTERED * (rows * columns) as f64
}

/// What a multiplication with an element of a matrix costs beside one of a dense product, as the mean over the products of a step: by the rows of the
/// matrix, by its columns, and where its gradient has elements. Where elements stand in blocks it is less than [`SCATTERED`], unless
/// there are too many of them to be worth compressing even so. The positions increase.
pub fn cost([rows, columns]: [usize; 2], positions: &[usize]) -> f64 {
    if !is_sparse([rows, columns], positions.len(), LEAST) {
        return SCATTERED;
    }
    let [mut by_row, mut by_column] = [rows, columns].map(|lines| vec![vec![]; lines]);
    for at in positions {
        by_row[at / columns].push(at % columns);
        by_column[at % columns].push(at / columns);
    }
    let [[product, sampled], [by_column, _]] = [by_row, by_column].map(|lines| of_lines(&lines));
    (product + by_column + sampled) / 3.0
}

/// The mean costs of elements, by the lines that kernels compute together because they are alike.
fn of_lines(lines: &[Vec<usize>]) -> [f64; 2] {
    let (mut costs, mut elements, mut line) = ([0.0; 2], 0, 0);
    while line < lines.len() {
        let alike = lines[line..].iter().take_while(|other| **other == lines[line]).count();
        let (together, of) = TOGETHER.iter().rfind(|(together, _)| *together <= alike).unwrap_or(&TOGETHER[0]);
        let here = together * lines[line].len();
        costs = [0, 1].map(|i| costs[i] + of[i] * here as f64);
        elements += here;
        line += together;
    }
    costs.map(|cost| cost / elements.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The positions of 16 × 16 elements in which these blocks of `tall` rows and `wide` columns stand.
    fn blocks([tall, wide]: [usize; 2], is_there: impl Fn(usize, usize) -> bool) -> Vec<usize> {
        (0..256).filter(|at| is_there(at / 16 / tall, at % 16 / wide)).collect()
    }

    #[test]
    fn elements_cost_the_less_the_larger_their_blocks_are() {
        let diagonal = |block| cost([16, 16], &blocks(block, |row, column| row == column));
        assert!((diagonal([1, 1]) - SCATTERED).abs() < 1e-12);
        assert!((diagonal([2, 2]) - (1.5 + 1.5 + 1.95) / 3.0).abs() < 1e-12);
        assert!((diagonal([4, 4]) - (1.25 + 1.25 + 1.75) / 3.0).abs() < 1e-12);
        // Four alike, then one by itself.
        let by_five = |four: f64| (4.0 * four + SCATTERED) / 5.0;
        let tall = cost([16, 16], &blocks([5, 1], |row, column| row == column && row < 3));
        assert!((tall - (by_five(1.25) + SCATTERED + by_five(1.75)) / 3.0).abs() < 1e-12);
        assert!((diagonal([4, 4]) - LEAST).abs() < 1e-12);
        assert!((cost([16, 16], &blocks([4, 4], |_, _| true)) - SCATTERED).abs() < 1e-12, "nothing is zero");
    }

    #[test]
    fn matrices_with_blocks_are_worth_compressing_at_a_higher_density() {
        let is_sparse = |block, share: usize| {
            let positions = blocks(block, |row, column| (3 * row + 5 * column) % 16 < share);
            is_sparse([16, 16], positions.len(), cost([16, 16], &positions))
        };
        assert!(is_sparse([1, 1], 4) && !is_sparse([1, 1], 6), "a quarter, and more");
        assert!(is_sparse([4, 4], 6) && !is_sparse([4, 4], 16));
        assert!(!is_sparse([1, 1], 0), "nothing to multiply");
    }
}
