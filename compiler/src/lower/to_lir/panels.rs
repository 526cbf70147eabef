//! Second factors of products, when they are given, in panels as the products read them: copied once, and not by every product.

use super::{nest, slices};
use crate::lir::{BufferId, Cut, DType, Gemm, Kernel, Matrix, PANEL, Place};

/// A matrix, to be copied to panels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Panels {
    from: Matrix,
    rows: usize,
    columns: usize,
}

impl Panels {
    /// The second factor of a product of enough rows that reads a single one, and whose own rows lie in order.
    pub fn of(gemm: &Gemm) -> Option<Panels> {
        let Gemm { m, n, k, stack, terms, b, c, .. } = *gemm;
        let is_one = terms.count == 1 && (stack == 1 || b.stack == 0);
        let has_tiles = m >= slices::PANEL_SLICE / 2 && stack * m >= 2 * slices::PANEL_SLICE && n > 1;
        let from = Matrix { stack: 0, ..b };
        (is_one && has_tiles && c.col == 1).then_some(Panels { from, rows: k, columns: n })
    }

    /// How many elements the panels have.
    pub fn len(&self) -> usize {
        self.columns.next_multiple_of(PANEL) * self.rows
    }

    /// Kernels that copy the matrix to a buffer, with what they are given: one for whole panels and one for the rest.
    pub fn copies(&self, buffer: BufferId) -> Vec<(Kernel, Vec<Place>)> {
        let Panels { from: Matrix { place, row, col, .. }, rows, columns } = *self;
        let (whole, rest) = (columns / PANEL, columns % PANEL);
        let of = |first: usize, panels: usize, width: usize| {
            let strides = [[PANEL * col, row, col], [PANEL * rows, PANEL, 1]];
            let kernel = nest::copy(DType::F32, [panels, rows, width], strides);
            let from = Place { start: place.start + first * strides[0][0], ..place };
            (kernel, vec![from, Place { buffer, start: first * strides[1][0] }])
        };
        let parts = [(0, whole, PANEL), (whole, 1, rest)].into_iter();
        parts
            .filter(|(_, panels, width)| panels * width > 0)
            .map(|(first, panels, width)| of(first, panels, width))
            .collect()
    }

    /// The product as it reads the panels in a buffer.
    pub fn read(&self, gemm: &Gemm, buffer: BufferId) -> Gemm {
        let b = Matrix { place: Place { buffer, start: 0 }, row: PANEL, col: PANEL * self.rows, stack: 0 };
        let (cut, chunk) = match gemm.cut {
            Cut::Stack => (Cut::Stack, gemm.chunk),
            Cut::Rows | Cut::Cols => (Cut::Rows, slices::of_panels(gemm)),
        };
        Gemm { b, in_panels: true, cut, chunk, ..gemm.clone() }
    }
}
