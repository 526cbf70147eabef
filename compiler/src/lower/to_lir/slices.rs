//! Into how many slices work is cut: a matter of its size alone, so that results do not depend on the number of threads.

use crate::lir::{Cut, Kernel, Lanes};
use crate::pass::fuse::Product;

/// The most slices of a loop nest.
const MOST: usize = 8;

/// Instructions times points that are worth a slice of their own: about five microseconds.
const NEST_SLICE: usize = 40_000;

/// Multiplications that are worth a slice of their own: about five microseconds.
const PRODUCT_SLICE: usize = 500_000;

/// The most slices of a product that is cut along rows.
const MOST_OF_PRODUCT: usize = 4;

/// The most slices of a product that is cut along columns.
const MOST_OF_COLUMNS: usize = 8;

/// Columns that the machine's kernel for products takes at once; what is left over costs it nearly as much.
const COLUMNS: usize = 64;

/// Rows in a slice of a kernel.
pub fn of_kernel(kernel: &Kernel) -> usize {
    let extent = kernel.extent();
    let rows: usize = kernel.rows.iter().product();
    let work =
        |phase: &crate::lir::Phase| phase.inner.iter().product::<usize>() * (phase.defs.len() + phase.stores.len());
    let work = rows * kernel.phases.iter().map(work).sum::<usize>();
    let grain = if kernel.lanes == Lanes::Rows && kernel.rows.len() == 1 { 16 } else { 1 };
    chunk(extent, work / NEST_SLICE, MOST, grain)
}

/// What of a product is cut, and how much of it is in a slice.
pub fn of_product(product: &Product) -> (Cut, usize) {
    let Product { m, n, k, stack, .. } = *product;
    let slices = m * n * k * stack / PRODUCT_SLICE;
    if stack > 1 {
        (Cut::Stack, chunk(stack, slices, MOST_OF_PRODUCT, 1))
    } else if m > n {
        (Cut::Rows, chunk(m, slices, MOST_OF_PRODUCT, 16))
    } else {
        (Cut::Cols, chunk(n, slices, MOST_OF_COLUMNS, COLUMNS))
    }
}

/// Positions in a slice when an extent is cut into about `slices`, in multiples of `grain`.
fn chunk(extent: usize, slices: usize, most: usize, grain: usize) -> usize {
    extent.div_ceil(slices.clamp(1, most)).next_multiple_of(grain)
}
