//! Both routines on every instruction set of this machine against sums in `f64`.

use proptest::prelude::*;
use spnc_runtime::kernels::sparse::{SparseShape, product, sampled};
use spnc_runtime::kernels::{Isa, Routine};

use crate::support::{Call, Tensor, same_bits};

/// A compressed matrix.
#[derive(Clone, Debug)]
struct Compressed {
    shape: SparseShape,
    /// Row and column of each non-zero, in the order of the values.
    at: Vec<[usize; 2]>,
    pattern: Vec<i32>,
}

impl Compressed {
    /// The matrix with non-zeros where `filled` holds, row by row. Ordered, its values stand column by column.
    fn new([rows, columns, batch]: [usize; 3], filled: &[bool], is_ordered: bool) -> Compressed {
        let at: Vec<[usize; 2]> =
            (0..rows * columns).filter(|i| filled[*i]).map(|i| [i / columns, i % columns]).collect();
        let mut order: Vec<usize> = (0..at.len()).collect();
        if is_ordered {
            order.sort_by_key(|k| [at[*k][1], at[*k][0]]);
        }
        let starts = (0..=rows).map(|row| at.iter().filter(|[r, _]| *r < row).count());
        let places = (0..at.len()).map(|k| order.iter().position(|of| *of == k).expect("a permutation"));
        let places = places.take(if is_ordered { at.len() } else { 0 });
        let pattern = starts.chain(at.iter().map(|[_, column]| *column)).chain(places).map(|i| i as i32).collect();
        let shape = SparseShape { rows, columns, non_zeros: at.len(), batch, is_ordered };
        Compressed { shape, at: order.iter().map(|k| at[*k]).collect(), pattern }
    }
}

/// Matrices of which blocks are filled, those of one element too.
fn matrices() -> impl Strategy<Value = Compressed> {
    let batch = prop_oneof![Just(1usize), 1usize..20, 30usize..70, Just(64usize), 120usize..150];
    let sizes = (1usize..30, 1usize..30, batch, 0.0f64..1.0, any::<bool>(), [1usize..10, 1usize..10], any::<bool>());
    sizes.prop_flat_map(|(rows, columns, batch, density, is_ordered, [tall, wide], in_blocks)| {
        let [tall, wide] = if in_blocks { [tall, wide] } else { [1, 1] };
        let across = columns.div_ceil(wide);
        let filled = prop::collection::vec(prop::bool::weighted(density), rows.div_ceil(tall) * across);
        filled.prop_map(move |filled| {
            let of = |i: usize| filled[i / columns / tall * across + i % columns / wide];
            let filled: Vec<bool> = (0..rows * columns).map(of).collect();
            Compressed::new([rows, columns, batch], &filled, is_ordered)
        })
    })
}

/// On all instruction sets, whole and cut: close to what is expected, and the same bits however it is cut.
fn check(
    of: fn(Isa) -> Routine<SparseShape>,
    call: &Call,
    matrix: &Compressed,
    margin: usize,
    expected: &[f64],
    cuts: i32,
) {
    let bits: Vec<f32> = matrix.pattern.iter().map(|i| f32::from_bits(*i as u32)).collect();
    let mut pattern = Tensor::new(margin, &bits);
    assert_eq!(bits.len(), matrix.shape.pattern_len());
    for isa in Isa::available() {
        let [mut whole, mut cut] = [call.clone(), call.clone()];
        whole.run_with(&mut pattern, of(isa), &matrix.shape, matrix.shape.rows, 0);
        cut.run_with(&mut pattern, of(isa), &matrix.shape, matrix.shape.rows, cuts);
        assert!(same_bits(whole.to.content(), cut.to.content()), "{isa:?}");
        for (at, (found, expected)) in whole.to.content().iter().zip(expected).enumerate() {
            assert!((f64::from(*found) - expected).abs() < 2e-5, "{isa:?} {at}: {found}, expected {expected}");
        }
    }
}

proptest! {
    #[test]
    fn rows_are_multiplied(matrix in matrices(), margin in 0usize..20, cuts in 1i32..1000) {
        let SparseShape { rows, columns, non_zeros, batch, .. } = matrix.shape;
        let [a, b] = [(0, non_zeros), (1, columns * batch)].map(|(site, len)| Tensor::random(site, margin, len));
        let mut expected = vec![0.0; rows * batch];
        for ([row, column], value) in matrix.at.iter().zip(a.content()) {
            let x = &b.content()[column * batch..][..batch];
            let to = &mut expected[row * batch..][..batch];
            to.iter_mut().zip(x).for_each(|(to, x)| *to += f64::from(*value) * f64::from(*x));
        }
        let to = Tensor::new(margin, &vec![f32::NAN; rows * batch]);
        let call = Call { a, b, to, work: Tensor::new(0, &[]) };
        check(product, &call, &matrix, margin, &expected, cuts);
    }

    #[test]
    fn products_are_sampled(matrix in matrices(), margin in 0usize..20, cuts in 1i32..1000) {
        let SparseShape { rows, columns, non_zeros, batch, .. } = matrix.shape;
        let [a, b] = [(0, rows * batch), (1, columns * batch)].map(|(site, len)| Tensor::random(site, margin, len));
        let element = |[row, column]: &[usize; 2]| {
            let (p, q) = (&a.content()[row * batch..][..batch], &b.content()[column * batch..][..batch]);
            p.iter().zip(q).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum()
        };
        let expected: Vec<f64> = matrix.at.iter().map(element).collect();
        let to = Tensor::new(margin, &vec![f32::NAN; non_zeros]);
        let call = Call { a: a.clone(), b: b.clone(), to, work: Tensor::new(0, &[]) };
        check(sampled, &call, &matrix, margin, &expected, cuts);
    }
}
