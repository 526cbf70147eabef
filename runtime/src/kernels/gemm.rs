//! Matrix products, by the `gemm` crate.

/// A matrix in memory; transposition is a matter of strides.
#[derive(Clone, Copy, Debug)]
pub struct Operand {
    /// The first element.
    pub start: *mut f32,
    /// Elements from one row to the next.
    pub row: usize,
    /// Elements from one column to the next.
    pub col: usize,
}

/// What becomes of the numbers that the result holds before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// They are overwritten.
    Dropped,
    /// The product is added to them.
    Kept,
}

/// `c = a · b`, where `a` is `m × k` and `b` is `k × n`; single-threaded.
///
/// # Safety
///
/// All elements of `a` and `b` can be read and those of `c` written; those of `c` are all different and none of them
/// is one of `a` or `b`; nobody else writes to any of them.
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub unsafe fn product([m, n, k]: [usize; 3], a: Operand, b: Operand, c: Operand, before: Before) {
    let stride = |elements: usize| elements as isize;
    // SAFETY: what the caller promises; the scale of a result that is dropped is not looked at.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.start,
            stride(c.col),
            stride(c.row),
            before == Before::Kept,
            a.start,
            stride(a.col),
            stride(a.row),
            b.start,
            stride(b.col),
            stride(b.row),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::fill_uniform;
    use proptest::prelude::*;

    /// A matrix within a row of numbers, with a margin.
    struct Matrix {
        numbers: Vec<f32>,
        row: usize,
        col: usize,
        start: usize,
    }

    impl Matrix {
        fn random(site: u64, [rows, cols]: [usize; 2], margin: usize, transposed: bool) -> Matrix {
            let (row, col) = if transposed { (1, rows + margin) } else { (cols + margin, 1) };
            let mut numbers = vec![0.0; margin + (rows + margin) * (cols + margin)];
            fill_uniform(1, 2, site, 0, &mut numbers);
            Matrix { numbers, row, col, start: margin }
        }

        fn index(&self, row: usize, col: usize) -> usize {
            self.start + row * self.row + col * self.col
        }

        fn operand(&mut self) -> Operand {
            Operand { start: self.numbers[self.start..].as_mut_ptr(), row: self.row, col: self.col }
        }
    }

    #[expect(unsafe_code, reason = "calls the kernel")]
    fn multiply(sizes: [usize; 3], a: &mut Matrix, b: &mut Matrix, c: &mut Matrix, before: Before) {
        // SAFETY: the matrices lie in three vectors that are large enough for their sizes.
        unsafe { product(sizes, a.operand(), b.operand(), c.operand(), before) };
    }

    proptest! {
        #[test]
        fn products_agree_with_sums_in_f64(
            [m, n, k] in prop::array::uniform3(1usize..70),
            margin in 0usize..4,
            [ta, tb, tc, add] in prop::array::uniform4(any::<bool>()),
        ) {
            let mut a = Matrix::random(0, [m, k], margin, ta);
            let mut b = Matrix::random(1, [k, n], margin, tb);
            let mut c = Matrix::random(2, [m, n], margin, tc);
            let before = c.numbers.clone();
            let keep = if add { Before::Kept } else { Before::Dropped };
            multiply([m, n, k], &mut a, &mut b, &mut c, keep);
            let mut touched = vec![false; before.len()];
            for (row, col) in (0..m).flat_map(|row| (0..n).map(move |col| (row, col))) {
                let term = |i| f64::from(a.numbers[a.index(row, i)]) * f64::from(b.numbers[b.index(i, col)]);
                let at = c.index(row, col);
                let start = if add { f64::from(before[at]) } else { 0.0 };
                let expected = (0..k).map(term).sum::<f64>() + start;
                let error = (f64::from(c.numbers[at]) - expected).abs();
                prop_assert!(error <= 1e-6 * (k + 1) as f64, "{row},{col}: {error}");
                touched[at] = true;
            }
            for (at, _) in touched.iter().enumerate().filter(|(_, touched)| !**touched) {
                prop_assert_eq!(c.numbers[at], before[at], "element {} is none of the product", at);
            }
        }
    }

    /// The same numbers, whatever stands beside them in memory: what a repeatable run rests on.
    #[test]
    fn a_product_does_not_depend_on_where_it_lies() {
        let sizes = [33, 47, 65];
        let mut results = (0..4).map(|margin| {
            let mut a = Matrix { start: margin, ..Matrix::random(0, [33, 65], 0, false) };
            a.numbers = [vec![0.0; margin], a.numbers].concat();
            let mut b = Matrix::random(1, [65, 47], 0, true);
            let mut c = Matrix::random(2, [33, 47], 0, false);
            multiply(sizes, &mut a, &mut b, &mut c, Before::Dropped);
            c.numbers
        });
        let first = results.next().expect("four results");
        assert!(results.all(|other| other == first));
    }
}
