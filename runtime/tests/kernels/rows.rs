//! Every routine on every instruction set of this machine against its definition.

use proptest::prelude::*;
use spnc_runtime::kernels::rows::{SumShape, TableShape, TopShape, cumsum, gather, scatter, top_k};
use spnc_runtime::kernels::{Isa, Routine};

use crate::support::{Call, Tensor, same_bits};

fn call(margin: usize, a: &[f32], b: &[f32], to: usize) -> Call {
    let [a, b] = [a, b].map(|content| Tensor::new(margin, content));
    Call { a, b, to: Tensor::new(margin, &vec![f32::NAN; to]), work: Tensor::new(0, &[]) }
}

/// On all instruction sets, whole and cut.
fn check<S>(call: &Call, of: fn(Isa) -> Routine<S>, shape: &S, extent: usize, cuts: i32, expected: &[f32]) {
    for (isa, cuts) in Isa::available().into_iter().flat_map(|isa| [(isa, 0), (isa, cuts)]) {
        let mut call = call.clone();
        call.run(of(isa), shape, extent, cuts);
        assert!(same_bits(call.to.content(), expected), "{isa:?} {:?}, expected {expected:?}", call.to.content());
    }
}

/// The same for sums, whose order is the routine's: close to what is expected, and the same bits however they are cut.
fn check_sums<S>(call: &Call, of: fn(Isa) -> Routine<S>, shape: &S, extent: usize, cuts: i32, expected: &[f32]) {
    for isa in Isa::available() {
        let [whole, cut] = [0, cuts].map(|cuts| {
            let mut call = call.clone();
            call.run(of(isa), shape, extent, cuts);
            call.to.content().to_vec()
        });
        let is_close = whole.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-4);
        assert!(is_close, "{isa:?} {whole:?}, expected {expected:?}");
        assert!(same_bits(&whole, &cut), "{isa:?}: other bits where it is cut");
    }
}

fn bits(index: &[i32]) -> Vec<f32> {
    index.iter().map(|index| f32::from_bits(*index as u32)).collect()
}

fn tables() -> impl Strategy<Value = (TableShape, Vec<i32>)> {
    let sizes = (1usize..4, 1usize..12, 0usize..60, prop_oneof![Just(1usize), 2usize..40], any::<[bool; 2]>());
    sizes.prop_flat_map(|(batch, rows, indices, width, [shared, all_inside])| {
        let beyond = if all_inside { 0 } else { 2 };
        let index = -beyond..rows as i32 + beyond;
        let index = prop::collection::vec(index, if shared { indices } else { batch * indices });
        // In order there are runs of equal ones.
        (index, any::<bool>()).prop_map(move |(mut index, is_ordered)| {
            if is_ordered {
                index.sort_unstable();
            }
            (TableShape { batch, rows, indices, width, shared }, index)
        })
    })
}

/// The indices of each table.
fn every_index(shape: &TableShape, index: &[i32]) -> Vec<i32> {
    if shape.shared { index.repeat(shape.batch) } else { index.to_vec() }
}

/// What the definition of [`top_k`] says, by sorting.
fn chosen(row: &[f32], k: usize) -> Vec<f32> {
    let mut places: Vec<usize> = (0..row.len()).collect();
    places.sort_by(|i, j| match (row[*i].is_nan(), row[*j].is_nan()) {
        (false, false) => row[*j].partial_cmp(&row[*i]).expect("both are numbers"),
        (i, j) => j.cmp(&i),
    });
    let first = &places[..k.min(row.len())];
    (0..row.len()).map(|at| f32::from_bits(if first.contains(&at) { u32::MAX } else { 0 })).collect()
}

fn element() -> impl Strategy<Value = f32> {
    let few = prop::sample::select(vec![0.0, -0.0, 1.0, -1.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
    prop_oneof![few, -3.0f32..3.0]
}

proptest! {
    #[test]
    fn rows_are_gathered((shape, index) in tables(), margin in 0usize..20, cuts in 1i32..1000) {
        let TableShape { batch, rows, indices, width, .. } = shape;
        let table = Tensor::random(0, 0, batch * rows * width);
        let row = |(at, index): (usize, &i32)| match usize::try_from(*index) {
            Ok(row) if row < rows => table.content()[(at / indices * rows + row) * width..][..width].to_vec(),
            _ => vec![0.0; width],
        };
        let expected: Vec<f32> = every_index(&shape, &index).iter().enumerate().flat_map(row).collect();
        let call = call(margin, table.content(), &bits(&index), expected.len());
        check(&call, gather, &shape, shape.gather_extent(), cuts, &expected);
    }

    #[test]
    fn rows_are_scattered((shape, index) in tables(), margin in 0usize..20, cuts in 1i32..1000) {
        let TableShape { batch, rows, indices, width, .. } = shape;
        // Numbers whose sums are rounded, so that their order shows.
        let values: Vec<f32> = (0..batch * indices * width).map(|at| (at as f32).sin()).collect();
        let mut expected = vec![0.0; batch * rows * width];
        for (at, index) in every_index(&shape, &index).iter().enumerate().filter(|(_, index)| (0..rows as i32).contains(index)) {
            let row = at / indices * rows + *index as usize;
            (0..width).for_each(|i| expected[row * width + i] += values[at * width + i]);
        }
        let call = call(margin, &values, &bits(&index), expected.len());
        check_sums(&call, scatter, &shape, shape.scatter_extent(), cuts, &expected);
        // Single numbers have an order of their own, rows are added as they come.
        if width > 1 {
            check(&call, scatter, &shape, shape.scatter_extent(), cuts, &expected);
        }
    }

    #[test]
    fn the_largest_elements_are_chosen(
        (rows, k, row) in (1usize..4, 0usize..30).prop_flat_map(|(rows, k)| {
            (1usize..40).prop_flat_map(move |width| {
                (Just(rows), Just(k), prop::collection::vec(element(), rows * width))
            })
        }),
        margin in 0usize..20,
        cuts in 1i32..1000,
    ) {
        let shape = TopShape { rows, width: row.len() / rows, k };
        let expected: Vec<f32> = row.chunks(shape.width).flat_map(|row| chosen(row, k)).collect();
        check(&call(margin, &row, &[], row.len()), top_k, &shape, rows, cuts, &expected);
    }

    #[test]
    fn sums_run_along_an_axis(
        (outer, len, inner) in (1usize..4, 1usize..9, prop_oneof![1usize..4, 60usize..140]),
        reverse in any::<bool>(),
        margin in 0usize..20,
        cuts in 1i32..1000,
    ) {
        let shape = SumShape { outer, len, inner, reverse };
        let x = Tensor::random(0, 0, outer * len * inner);
        let sum = |at: usize| {
            let place = at / inner % len;
            let before: Vec<usize> = if reverse { (place..len).rev().collect() } else { (0..=place).collect() };
            before.iter().fold(0.0, |sum, other| sum + x.content()[at - place * inner + other * inner])
        };
        let expected: Vec<f32> = (0..outer * len * inner).map(sum).collect();
        check(&call(margin, x.content(), &[], expected.len()), cumsum, &shape, shape.extent(), cuts, &expected);
    }
}

/// A long row, where the largest are found another way.
#[test]
fn the_largest_of_many() {
    let row: Vec<f32> = Tensor::random(5, 0, 70_000).content().iter().map(|x| (x * 1000.0).round()).collect();
    for k in [1, 2, 17, 35_000, 69_999] {
        let mut places: Vec<usize> = (0..row.len()).collect();
        places.sort_by(|i, j| row[*j].total_cmp(&row[*i]));
        let mut expected = vec![0.0; row.len()];
        places[..k].iter().for_each(|at| expected[*at] = f32::from_bits(u32::MAX));
        let shape = TopShape { rows: 1, width: row.len(), k };
        check(&call(3, &row, &[], row.len()), top_k, &shape, 1, 1, &expected);
    }
}
