//! From which density on zeros that are scattered over a weight are worth leaving out.
//!
//! Measured by the runtime's own benchmark, `cargo bench -p spnc-runtime`: products of a compressed weight and a batch of 64 samples
//! beside the same products by the dense kernel, with AVX2. Other batches and instruction sets have not been measured; convolutions
//! have no compressed form.

/// A product whose weight has no larger share of non-zeros than this is faster with a compressed weight.
const PRODUCT: f64 = 0.25;

/// The density below which a compressed weight is faster than a dense one in what this kind of code does, as
/// [`Call::kind`](crate::lir::Call::kind) names it; `None` where there is but one form.
pub fn density(kind: &str) -> Option<f64> {
    ["gemm", "sparse_product", "sparse_sampled"].contains(&kind).then_some(PRODUCT)
}

/// Whether a matrix of this shape with so many elements is worth compressing.
pub fn is_sparse([rows, columns]: [usize; 2], non_zeros: usize) -> bool {
    (1.0..=PRODUCT * (rows * columns) as f64).contains(&(non_zeros as f64))
}
