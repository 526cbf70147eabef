//! Into how many slices work is cut: a matter of its size alone, so that results do not depend on the number of threads.

use crate::lir::{Call, Cut, Gemm, Kernel, Lanes, Module, Phase, Task};
use crate::pass::fuse::Product;

/// The most slices of a loop nest.
const MOST: usize = 8;

/// Instructions times points that are worth a slice of their own: about five microseconds.
const NEST_SLICE: usize = 40_000;

/// Multiplications, or elements that are moved, that are worth a slice of a routine: two to three microseconds.
const TASK_SLICE: usize = 250_000;

/// Products of fewer multiplications stay whole: about ten microseconds.
const SMALL_PRODUCT: usize = 1_000_000;

/// The same for a single row, for which each number of the matrix comes from a cache that is far away: a few microseconds.
const SMALL_MATRIX: usize = 100_000;

/// Rows or columns in a slice of a product, at least. Each slice copies parts of the other factor anew.
const PRODUCT_SLICE: usize = 64;

/// Rows in a slice of a product, at least, that does not have to copy the other factor.
pub const PANEL_SLICE: usize = 32;

/// The same for a single row: neighbouring columns, whose numbers lie in the same few lines.
const ROW_SLICE: usize = 128;

/// The same where the other factor is too large for the cache, and has to come from memory for each slice.
const FAR_PRODUCT_SLICE: usize = 350;

/// Elements of a factor that is too large for the cache.
const FAR: usize = 1 << 20;

/// The fewest and the most slices of a product that is cut.
const PRODUCT_SLICES: (usize, usize) = (2, 8);

/// A number of a quantile is looked at several times.
const QUANTILE: usize = 8;

/// Rows in a slice of a kernel.
pub fn of_kernel(kernel: &Kernel) -> usize {
    let grain = if kernel.lanes == Lanes::Rows && kernel.rows.len() == 1 { 16 } else { 1 };
    chunk(kernel.extent(), work(kernel) / NEST_SLICE, MOST, grain)
}

/// Instructions times points.
fn work(kernel: &Kernel) -> usize {
    let of = |phase: &Phase| phase.inner.iter().product::<usize>() * (phase.defs.len() + phase.stores.len());
    kernel.rows.iter().product::<usize>() * kernel.phases.iter().map(of).sum::<usize>()
}

/// What of a product is cut, and how much of it is in a slice.
pub fn of_product(product: &Product) -> (Cut, usize) {
    let Product { m, n, k, stack, terms, .. } = *product;
    let (cut, extent, grain) = match (stack > 1, m > n) {
        (true, _) => (Cut::Stack, stack, 1),
        (false, true) => (Cut::Rows, m, 16),
        (false, false) => (Cut::Cols, n, 16),
    };
    let (fewest, most) = PRODUCT_SLICES;
    let other = if cut == Cut::Rows { k * n } else { m * k };
    let enough = match (other > FAR, m) {
        (true, _) => FAR_PRODUCT_SLICE,
        (false, 1) => ROW_SLICE,
        (false, _) => PRODUCT_SLICE,
    };
    let small = if m == 1 { SMALL_MATRIX } else { SMALL_PRODUCT };
    let slices = match m * n * k * stack * terms.count < small {
        true => 1,
        false if cut == Cut::Stack => most,
        false => (extent / enough).clamp(fewest, most),
    };
    (cut, chunk(extent, slices, most, grain))
}

/// Rows in a slice of a product whose second factor lies in panels.
pub fn of_panels(gemm: &Gemm) -> usize {
    let slices = if gemm.m * gemm.n * gemm.k < SMALL_PRODUCT { 1 } else { gemm.m / PANEL_SLICE };
    chunk(gemm.m, slices, PRODUCT_SLICES.1, 4)
}

/// Positions in a slice of a routine.
pub fn of_task(task: &Task) -> usize {
    chunk(task.extent(), task.work() / TASK_SLICE, MOST, 1)
}

/// How long a call takes, in thousandths of a slice.
pub fn cost(module: &Module, call: &Call) -> usize {
    let (work, slice) = match call {
        Call::Run(run) => (work(module.kernel(run.kernel)), NEST_SLICE),
        Call::Gemm(Gemm { m, n, k, stack, terms, .. }) => (m * n * k * stack * terms.count, TASK_SLICE),
        Call::Quantile(quantile) => (QUANTILE * quantile.len, TASK_SLICE),
        Call::Routine(routine) => (routine.task.work(), TASK_SLICE),
    };
    1000 * work / slice
}

/// Positions in a slice when an extent is cut into about `slices`, in multiples of `grain`.
fn chunk(extent: usize, slices: usize, most: usize, grain: usize) -> usize {
    extent.div_ceil(slices.clamp(1, most)).next_multiple_of(grain)
}
