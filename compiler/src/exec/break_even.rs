//! From which density on zeros that are scattered over a weight are worth leaving out.
//!
//! Measured by the runtime's own benchmark, `cargo bench -p spnc-runtime`: products of a compressed weight and a batch of 64 samples
//! beside the same products by the dense kernel, with AVX2. Other batches and instruction sets have not been measured; convolutions
//! have no compressed form.

/// A product whose weight has no larger share of non-zeros than this is faster with a compressed weight.
const PRODUCT: f64 = 0.25;

/// The density below which a compressed weight would be faster than what this kind of code does, as
/// [`Call::kind`](crate::lir::Call::kind) names it; `None` where there is no compressed form.
pub fn density(kind: &str) -> Option<f64> {
    (kind == "gemm").then_some(PRODUCT)
}
