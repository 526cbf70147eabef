//! Products of every layout, cut in every way, on every instruction set of this machine against sums in `f64`.

use proptest::prelude::*;
use spnc_runtime::kernels::Isa;
use spnc_runtime::kernels::gemm::{BLOCK, Cut, Layout, PANEL, ProductShape, STRETCH, Terms, product};

use crate::support::{Call, Tensor, same_bits};

/// How a stack of matrices lies in memory.
#[derive(Clone, Copy, Debug)]
enum Order {
    Rows,
    Columns,
    /// Neither rows nor columns lie in order.
    Apart,
}

impl Order {
    fn layout(self, [rows, cols]: [usize; 2], margin: usize) -> Layout {
        match self {
            Order::Rows => Layout { stack: rows * (cols + margin) + margin, row: cols + margin, col: 1 },
            Order::Columns => Layout { stack: cols * (rows + margin), row: 1, col: rows + margin },
            Order::Apart => Layout { stack: 1, row: 2 * 3 * (cols + margin), col: 2 * 3 },
        }
    }
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![3 => Just(Order::Rows), 2 => Just(Order::Columns), 1 => Just(Order::Apart)]
}

/// Where elements are.
trait Places {
    fn len(self, stack: usize, sizes: [usize; 2]) -> usize;
    fn index(self, at: [usize; 3]) -> usize;
}

impl Places for Layout {
    /// How many elements there are from the first one to the last.
    fn len(self, stack: usize, [rows, cols]: [usize; 2]) -> usize {
        (stack - 1) * self.stack + (rows - 1) * self.row + (cols - 1) * self.col + 1
    }

    fn index(self, [stack, row, col]: [usize; 3]) -> usize {
        stack * self.stack + row * self.row + col * self.col
    }
}

fn shapes() -> impl Strategy<Value = ProductShape> {
    let size = || prop_oneof![1 => Just(1), 4 => 1usize..40, 1 => 40usize..90];
    let sizes = (size(), size(), prop_oneof![3 => 1usize..40, 1 => 200usize..600]);
    let cut = prop_oneof![Just(Cut::Stack), Just(Cut::Rows), Just(Cut::Cols)];
    let count = prop_oneof![Just(1), 2usize..5];
    (sizes, 1usize..4, prop::array::uniform3(orders()), prop::array::uniform3(0usize..5), cut, count).prop_map(
        |((m, n, k), stack, [a, b, c], margins, cut, count)| {
            let [a, b, c] = [a.layout([m, k], margins[0]), b.layout([k, n], margins[1]), c.layout([m, n], margins[2])];
            // Terms lie behind all matrices of the stack, and some elements apart.
            let terms = Terms { count, a: stack * a.stack + margins[1], b: stack * b.stack + margins[2] };
            ProductShape { sizes: [m, n, k], stack, terms, a, b, c, in_panels: false, cut }
        },
    )
}

fn call(s: &ProductShape, margin: usize) -> Call {
    let [m, n, k] = s.sizes;
    Call {
        a: Tensor::random(0, margin, (s.terms.count - 1) * s.terms.a + s.a.len(s.stack, [m, k])),
        b: Tensor::random(1, margin, (s.terms.count - 1) * s.terms.b + s.b.len(s.stack, [k, n])),
        to: Tensor::random(2, margin, s.c.len(s.stack, [m, n])),
        work: Tensor::new(0, &[]),
    }
}

/// What the result is to hold, in double precision.
fn expected(s: &ProductShape, call: &Call) -> Vec<f64> {
    let ([m, n, k], [a, b]) = (s.sizes, [call.a.content(), call.b.content()]);
    let mut to: Vec<f64> = call.to.content().iter().map(|x| f64::from(*x)).collect();
    for at in 0..s.stack * m * n {
        let [index, row, col] = [at / (m * n), at / n % m, at % n];
        let product = |term, i| {
            let [a, b] =
                [a[term * s.terms.a + s.a.index([index, row, i])], b[term * s.terms.b + s.b.index([index, i, col])]];
            f64::from(a) * f64::from(b)
        };
        to[s.c.index([index, row, col])] =
            (0..s.terms.count).map(|term| (0..k).map(|i| product(term, i)).sum::<f64>()).sum();
    }
    to
}

/// Compares products with sums in double precision, and those in pieces with the whole.
fn check(s: &ProductShape, margin: usize, cuts: i32) {
    let start = call(s, margin);
    let expected = expected(s, &start);
    for isa in Isa::available() {
        let (mut whole, mut pieces) = (start.clone(), start.clone());
        whole.run(product(isa), s, s.extent(), 0);
        for (to, expected) in whole.to.content().iter().zip(&expected) {
            let error = (f64::from(*to) - expected).abs();
            assert!(error <= 1e-6 * (s.terms.count * s.sizes[2]) as f64, "{isa:?}: {to} for {expected}");
        }
        pieces.run(product(isa), s, s.extent(), cuts);
        assert!(same_bits(whole.to.content(), pieces.to.content()), "{isa:?}: cuts change the result");
    }
}

/// Factors of which neither fits into a block as a whole.
#[test]
fn large_factors_are_copied_block_by_block() {
    for orders in [[Order::Rows; 3], [Order::Columns, Order::Columns, Order::Rows], [Order::Columns; 3]] {
        for (sizes, cut) in [([280, 300, 250], Cut::Cols), ([300, 280, 250], Cut::Rows), ([270, 600, 300], Cut::Rows)] {
            let [m, n, k] = sizes;
            assert!(m.min(n) * k.min(STRETCH) > BLOCK, "one block would do");
            let [a, b, c] = [orders[0].layout([m, k], 1), orders[1].layout([k, n], 0), orders[2].layout([m, n], 3)];
            let terms = Terms { count: 2, a: 3, b: 5 };
            check(&ProductShape { sizes, stack: 1, terms, a, b, c, in_panels: false, cut }, 5, 7);
        }
    }
}

/// The second factor of a call in panels, whose room behind the last column is no number.
fn in_panels(s: &ProductShape, call: &Call) -> (ProductShape, Call) {
    let [_, n, k] = s.sizes;
    let stack = n.div_ceil(PANEL) * k * PANEL;
    let b = Layout { stack, row: PANEL, col: k * PANEL };
    let mut to = vec![f32::NAN; s.terms.count * s.stack * stack];
    for term in 0..s.terms.count {
        for at in 0..s.stack * k * n {
            let [index, row, col] = [at / (k * n), at / n % k, at % n];
            let place = (term * s.stack + index) * stack + col / PANEL * b.col + row * PANEL + col % PANEL;
            to[place] = call.b.content()[term * s.terms.b + s.b.index([index, row, col])];
        }
    }
    let terms = Terms { b: s.stack * stack, ..s.terms };
    (ProductShape { b, terms, in_panels: true, ..*s }, Call { b: Tensor::new(7, &to), ..call.clone() })
}

/// Compares products of a factor in panels with those of the same factor elsewhere, and those in pieces with the whole.
fn check_panels(s: &ProductShape, cuts: i32) {
    let mut plain = call(s, 3);
    let (shape, start) = in_panels(s, &plain);
    for isa in Isa::available() {
        plain.run(product(isa), s, s.extent(), 0);
        for cuts in [0, cuts] {
            let mut other = start.clone();
            other.run(product(isa), &shape, s.extent(), cuts);
            assert!(same_bits(plain.to.content(), other.to.content()), "{isa:?}");
        }
    }
}

/// A sum that is too long to be taken up at once.
#[test]
fn long_sums_of_panels_are_added_up_in_parts() {
    let rows = |cols| Layout { stack: 0, row: cols, col: 1 };
    let (sizes, terms) = ([70, 45, 2100], Terms::ONE);
    for a in [rows(2100), Layout { stack: 0, row: 1, col: 70 }] {
        let s = ProductShape { sizes, stack: 1, terms, a, b: rows(45), c: rows(45), in_panels: false, cut: Cut::Rows };
        check_panels(&s, 5);
    }
}

proptest! {
    #[test]
    fn factors_in_panels_give_the_same_products(s in shapes(), cuts in 1i32..1000) {
        // Where a factor is a vector, sums are by vectors.
        prop_assume!(!s.sizes[..2].contains(&1));
        let cut = if s.cut == Cut::Cols { Cut::Rows } else { s.cut };
        check_panels(&ProductShape { cut, ..s }, cuts);
    }

    #[test]
    fn products_agree_with_sums_in_double_precision(s in shapes(), margin in 0usize..20, cuts in 1i32..1000) {
        check(&s, margin, cuts);
    }

    /// What all products of a stack have in common is copied once.
    #[test]
    fn stacks_share_a_factor(s in shapes(), is_first: bool, cuts in 1i32..1000) {
        let mut s = ProductShape { stack: 3, ..s };
        if is_first { s.a.stack = 0 } else { s.b.stack = 0 }
        check(&s, 3, cuts);
    }

    /// The same numbers, wherever they lie, unless a factor is a vector.
    #[test]
    fn products_do_not_depend_on_layouts([m, n, k] in prop::array::uniform3(2usize..70), orders in prop::array::uniform3(orders())) {
        let of = |[a, b, c]: [Order; 3]| {
            let [a, b, c] = [a.layout([m, k], 0), b.layout([k, n], 0), c.layout([m, n], 0)];
            ProductShape { sizes: [m, n, k], stack: 1, terms: Terms::ONE, a, b, c, in_panels: false, cut: Cut::Rows }
        };
        let (plain, other) = (of([Order::Rows; 3]), of(orders));
        let start = call(&plain, 0);
        let moved = |from: &Tensor, [rows, cols]: [usize; 2], [old, new]: [Layout; 2]| {
            let mut to = vec![0.0; new.len(1, [rows, cols])];
            for at in 0..rows * cols {
                let at = [0, at / cols, at % cols];
                to[new.index(at)] = from.content()[old.index(at)];
            }
            Tensor::new(0, &to)
        };
        for isa in Isa::available() {
            let mut first = start.clone();
            first.run(product(isa), &plain, m, 0);
            let mut second = Call {
                a: moved(&start.a, [m, k], [plain.a, other.a]),
                b: moved(&start.b, [k, n], [plain.b, other.b]),
                to: moved(&start.to, [m, n], [plain.c, other.c]),
                work: Tensor::new(0, &[]),
            };
            second.run(product(isa), &other, m, 0);
            let back = moved(&second.to, [m, n], [other.c, plain.c]);
            prop_assert!(same_bits(first.to.content(), back.content()), "{isa:?}");
        }
    }
}
