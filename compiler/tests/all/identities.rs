//! What holds between ops for all operands: the three roles of a convolution are one trilinear form, a gather is a product with
//! one-hot rows, and each op that moves or adds up elements has a transpose.

use ndarray::{Array1, ArrayD};
use proptest::prelude::*;
use spnc::pass;
use spnc::pass::compress::Table;
use spnc::tir::build::{Build, Builder};
use spnc::tir::interp::{Tensor, run};
use spnc::tir::{DType, Func, Op, Type, Value, verify};
use spnc::window::{ConvRole, Pooling, Window};

/// Evaluates what `build` makes of inputs `a`, `b`, … with these values.
fn evaluate(inputs: &[&Tensor], build: impl Fn(&mut Builder, &[Value]) -> Value) -> Tensor {
    let func = function(inputs, build);
    let names: Vec<String> = (0..inputs.len()).map(|i| format!("input{i}")).collect();
    let value = |name: &str| names.iter().position(|n| n == name).map(|i| inputs[i].clone());
    let mut optimised = func.clone();
    pass::run(&mut optimised, pass::O1, |_, _| ());
    let [expected, found] =
        [func, optimised].map(|func| run(&func, &value).expect("every input has a value")["y"].clone());
    assert!(distance(&expected, &found) < 1e-9, "passes change the value");
    expected
}

fn function(inputs: &[&Tensor], build: impl Fn(&mut Builder, &[Value]) -> Value) -> Func {
    let mut func = Func::new("identity");
    let mut f = Builder { func: &mut func, origin: None };
    let input = |(i, tensor): (usize, &&Tensor)| {
        f.push(Op::Param(format!("input{i}").into()), Type::f32(tensor.shape().to_vec()))
    };
    let values: Vec<Value> = inputs.iter().enumerate().map(input).collect();
    let y = build(&mut f, &values);
    func.results.push(("y".into(), y));
    verify::assert_valid(&func, "writing the identity");
    func
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn tensor(shape: &[usize], seed: usize) -> Tensor {
    let len = shape.iter().product();
    let number = |i: usize| ((i * 53 + seed * 19) % 211) as f64 * 0.01 - 1.0;
    ArrayD::from_shape_vec(shape, (0..len).map(number).collect()).expect("as many as the shape has")
}

fn windows() -> impl Strategy<Value = Window> {
    let two = |of: std::ops::Range<usize>| [of.clone(), of];
    (two(1..4), two(1..4), two(1..3), two(0..3), two(0..3))
        .prop_map(|(size, stride, dilation, pad_lo, pad_hi)| Window { size, stride, dilation, pad_lo, pad_hi })
}

/// The shape of what the window gives of images of this shape, with so many channels.
fn slid(window: Window, x: [usize; 4], channels: usize) -> Option<[usize; 4]> {
    Some([x[0], window.output(0, x[1])?, window.output(1, x[2])?, channels])
}

proptest! {
    /// ⟨y, x * w⟩ = ⟨x, y *ᵀ w⟩ = ⟨w, x *ᵂ y⟩
    #[test]
    fn the_roles_of_a_convolution_are_one_form(
        window in windows(), rows in 1_usize..8, cols in 1_usize..8, groups in 1_usize..3, seed in 0_usize..50,
    ) {
        let x_shape = [2, rows, cols, 2 * groups];
        let Some(y_shape) = slid(window, x_shape, 3 * groups) else { return Ok(()) };
        let w_shape = [window.size[0], window.size[1], 2, 3 * groups];
        let [x, w, y] = [(&x_shape, 1), (&w_shape, 2), (&y_shape, 3)].map(|(shape, i)| tensor(shape, seed + i));
        let conv = |role, a: &Tensor, b: &Tensor, shape: &[usize]| {
            evaluate(&[a, b], |f, v| f.conv(role, window, groups, [v[0], v[1]], shape.to_vec()))
        };
        let forms = [
            dot(&y, &conv(ConvRole::Forward, &x, &w, &y_shape)),
            dot(&x, &conv(ConvRole::ByInput, &y, &w, &x_shape)),
            dot(&w, &conv(ConvRole::ByWeight, &x, &y, &w_shape)),
        ];
        prop_assert!(forms.iter().all(|form| (form - forms[0]).abs() < 1e-9 * (1.0 + forms[0].abs())), "{forms:?}");
    }

    /// ⟨y, W x⟩ = ⟨x, Wᵀ y⟩ = ⟨w, (y xᵀ at the elements of W)⟩
    #[test]
    fn the_products_with_a_compressed_matrix_are_one_form(
        [rows, columns, batch] in prop::array::uniform3(1_usize..9),
        filled in prop::collection::vec(any::<bool>(), 64),
        seed in 0_usize..50,
    ) {
        let positions: Vec<usize> = (0..rows * columns).filter(|at| filled[*at]).collect();
        prop_assume!(!positions.is_empty());
        let [w, x, y] = [(&[positions.len()][..], 1), (&[columns, batch], 2), (&[rows, batch], 3)]
            .map(|(shape, i)| tensor(shape, seed + i));
        let [by_row, by_column] = [Table::ByRow, Table::ByColumn].map(|table| {
            let numbers = table.numbers([rows, columns], &positions).into_iter().map(f64::from);
            Array1::from_iter(numbers).into_dyn()
        });
        let product = |pattern: &Tensor, x: &Tensor, rows: usize| {
            evaluate(&[&w, x, pattern], |f, v| {
                let pattern = f.convert(v[2], DType::I32);
                f.sparse_product(v[0], v[1], pattern, rows)
            })
        };
        let sampled = evaluate(&[&y, &x, &by_row], |f, v| {
            let pattern = f.convert(v[2], DType::I32);
            f.sparse_sampled(v[0], v[1], pattern, positions.len())
        });
        let forms = [dot(&y, &product(&by_row, &x, rows)), dot(&x, &product(&by_column, &y, columns)), dot(&w, &sampled)];
        prop_assert!(forms.iter().all(|form| (form - forms[0]).abs() < 1e-9), "{forms:?}");
        let expected: f64 = positions
            .iter()
            .zip(&w)
            .map(|(at, w)| (0..batch).map(|b| w * y[[at / columns, b]] * x[[at % columns, b]]).sum::<f64>())
            .sum();
        prop_assert!((forms[0] - expected).abs() < 1e-9, "{forms:?}, expected {expected}");
    }

    /// A window over slices of the padded image, one for each of its elements, is the same sum.
    #[test]
    fn a_convolution_is_a_sum_over_its_window(window in windows(), rows in 1_usize..8, cols in 1_usize..8) {
        let x_shape = [2, rows, cols, 3];
        let Some(y_shape) = slid(window, x_shape, 4) else { return Ok(()) };
        let (x, w) = (tensor(&x_shape, 1), tensor(&[window.size[0], window.size[1], 3, 4], 2));
        let found = evaluate(&[&x, &w], |f, v| f.conv(ConvRole::Forward, window, 1, [v[0], v[1]], y_shape.to_vec()));
        let mut expected = Tensor::zeros(y_shape.to_vec());
        for (at, y) in expected.indexed_iter_mut() {
            for (k, l, c) in (0..window.size[0]).flat_map(|k| (0..window.size[1]).flat_map(move |l| (0..3).map(move |c| (k, l, c)))) {
                let position = |d: usize, tap: usize| {
                    (at[1 + d] * window.stride[d] + tap * window.dilation[d]) as isize - window.pad_lo[d] as isize
                };
                let (i, j) = (position(0, k), position(1, l));
                if (0..rows as isize).contains(&i) && (0..cols as isize).contains(&j) {
                    *y += x[[at[0], i as usize, j as usize, c]] * w[[k, l, c, at[3]]];
                }
            }
        }
        prop_assert!(distance(&expected, &found) < 1e-9);
    }

    #[test]
    fn unpooling_is_the_transpose_of_pooling(window in windows(), rows in 1_usize..8, cols in 1_usize..8) {
        let x_shape = [2, rows, cols, 3];
        let Some(y_shape) = slid(window, x_shape, 3) else { return Ok(()) };
        let (x, y) = (tensor(&x_shape, 1), tensor(&y_shape, 2));
        let pooled = evaluate(&[&x], |f, v| f.pool(Pooling::Sum, window, v[0]));
        let unpooled = evaluate(&[&y], |f, v| f.unpool(window, v[0], x_shape.to_vec()));
        prop_assert!((dot(&y, &pooled) - dot(&x, &unpooled)).abs() < 1e-9);
        // The largest elements, each times what goes to it, add up to what the windows say.
        let largest = evaluate(&[&x], |f, v| f.pool(Pooling::Max, window, v[0])).mapv(|max| if max.is_finite() { max } else { 0.0 });
        let returned = evaluate(&[&x, &y], |f, v| f.unpool_max(window, v[0], v[1]));
        prop_assert!((dot(&y, &largest) - dot(&x, &returned)).abs() < 1e-9);
    }

    #[test]
    fn a_gather_is_a_product_with_one_hot_rows(rows in 1_usize..6, picked in 1_usize..6, batch in 0_usize..2, seed in 0_usize..20) {
        let table = if batch == 0 { tensor(&[rows, 3], seed) } else { tensor(&[picked, rows, 3], seed) };
        let index = tensor(&[picked, 2], seed + 1).mapv(|x| (x * 6.0).round());
        let gathered = evaluate(&[&table, &index], |f, v| {
            let index = f.convert(v[1], DType::I32);
            f.gather(batch, v[0], index)
        });
        let one_hot = |i: f64, row: usize| f64::from(u8::from(i == row as f64));
        let shape = gathered.shape().to_vec();
        let expected = Tensor::from_shape_fn(shape.clone(), |at| {
            let of = |row: usize| if batch == 0 { table[[row, at[2]]] } else { table[[at[0], row, at[2]]] };
            (0..rows).map(|row| one_hot(index[[at[0], at[1]]], row) * of(row)).sum()
        });
        prop_assert_eq!(&gathered, &expected);
        let values = tensor(&shape, seed + 2);
        let scattered = evaluate(&[&values, &index], |f, v| {
            let index = f.convert(v[1], DType::I32);
            f.scatter(batch, v[0], index, rows)
        });
        prop_assert!((dot(&values, &gathered) - dot(&table, &scattered)).abs() < 1e-9);
    }

    #[test]
    fn what_is_cut_and_put_together_is_whole(parts in prop::collection::vec(1_usize..4, 1..5), seed in 0_usize..20) {
        let x = tensor(&[2, parts.iter().sum(), 3], seed);
        let start = |i: usize| vec![0, parts[..i].iter().sum(), 0];
        let whole = evaluate(&[&x], |f, v| {
            let slices = parts.iter().enumerate().map(|(i, len)| f.slice(start(i), vec![1; 3], v[0], vec![2, *len, 3]));
            let slices = slices.collect();
            f.concat(slices, 1)
        });
        prop_assert_eq!(&whole, &x);
        let sum = evaluate(&[&x], |f, v| {
            let mut padded = parts.iter().enumerate().map(|(i, len)| {
                let slice = f.slice(start(i), vec![1; 3], v[0], vec![2, *len, 3]);
                let behind = parts[i + 1..].iter().sum();
                f.pad(0.0, [start(i), vec![0, behind, 0], vec![0; 3]], slice)
            }).collect::<Vec<_>>();
            let first = padded.remove(0);
            padded.into_iter().fold(first, |sum, part| f.add(sum, part))
        });
        prop_assert_eq!(&sum, &x);
    }

    #[test]
    fn running_sums_are_sums(len in 1_usize..7, seed in 0_usize..20) {
        let x = tensor(&[2, len, 2], seed);
        for reverse in [false, true] {
            let sums = evaluate(&[&x], |f, v| f.cumsum(v[0], 1, reverse));
            let expected = Tensor::from_shape_fn(vec![2, len, 2], |at| {
                let counts = |i: &usize| if reverse { *i >= at[1] } else { *i <= at[1] };
                (0..len).filter(counts).map(|i| x[[at[0], i, at[2]]]).sum()
            });
            prop_assert!(distance(&sums, &expected) < 1e-12);
        }
    }

    #[test]
    fn as_many_as_asked_are_the_largest(len in 1_usize..9, k in 0_usize..9, seed in 0_usize..20) {
        let k = k.min(len);
        // Few values, so that many are equal.
        let x = tensor(&[3, len], seed).mapv(|x| (x * 2.0).round());
        let mask = evaluate(&[&x], |f, v| {
            let mask = f.top_k(v[0], k);
            f.convert(mask, DType::F32)
        });
        for (row, chosen) in x.outer_iter().zip(mask.outer_iter()) {
            let beats = |i: usize, j: usize| row[j] > row[i] || (row[j] == row[i] && j < i);
            for i in 0..len {
                let better = (0..len).filter(|j| beats(i, *j)).count();
                prop_assert_eq!(chosen[i], f64::from(u8::from(better < k)));
            }
        }
    }
}
