//! Convolutions, poolings, parts, rows and recurrences against loops written by hand.

use super::{terms, try_elaborate};

/// Images, weights, and a number that tells any two tensors of `n` elements apart.
const PRELUDE: &str = "
fn wave(n) = sin(positions(n))
fn digest(y: [...S], n) = sum(reshape(y, [n]) * cos(positions(n)))
";

fn wave(i: usize) -> f64 {
    (i as f64).sin()
}

fn digest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().enumerate().map(|(i, y)| y * (i as f64).cos()).sum()
}

#[track_caller]
fn assert_program(text: &str, expected: &[f64]) {
    let found = terms(&format!("{PRELUDE}{text}"));
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(close), "{found:?} is not {expected:?}");
}

/// All indices below these sizes, in row-major order.
fn indices<const N: usize>(sizes: [usize; N]) -> impl Iterator<Item = [usize; N]> {
    (0..sizes.iter().product::<usize>()).map(move |flat| {
        let mut left = flat;
        let mut index = [0; N];
        for d in (0..N).rev() {
            index[d] = left % sizes[d];
            left /= sizes[d];
        }
        index
    })
}

fn at<const N: usize>(sizes: [usize; N], index: [usize; N]) -> usize {
    (0..N).fold(0, |flat, d| flat * sizes[d] + index[d])
}

/// A convolution as its definition says.
struct Conv {
    x: [usize; 4],
    w: [usize; 4],
    stride: [usize; 2],
    pad: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
}

impl Conv {
    fn output(&self) -> [usize; 4] {
        let size = |d: usize| {
            (self.x[2 + d] + 2 * self.pad[d] - (self.w[2 + d] - 1) * self.dilation[d] - 1) / self.stride[d] + 1
        };
        [self.x[0], self.w[0], size(0), size(1)]
    }

    /// Calls `each(index of x, index of w, index of y)` for every product in the sum.
    fn products(&self, mut each: impl FnMut(usize, usize, usize)) {
        let y = self.output();
        let (per_group, out_per_group) = (self.w[1], self.w[0] / self.groups);
        for [b, o, i, j] in indices(y) {
            for [c, k, l] in indices([per_group, self.w[2], self.w[3]]) {
                let row = (i * self.stride[0] + k * self.dilation[0]).checked_sub(self.pad[0]);
                let col = (j * self.stride[1] + l * self.dilation[1]).checked_sub(self.pad[1]);
                if let (Some(row), Some(col)) = (row, col)
                    && row < self.x[2]
                    && col < self.x[3]
                {
                    let channel = o / out_per_group * per_group + c;
                    each(at(self.x, [b, channel, row, col]), at(self.w, [o, c, k, l]), at(y, [b, o, i, j]));
                }
            }
        }
    }

    fn forward(&self) -> Vec<f64> {
        let mut y = vec![0.0; self.output().iter().product()];
        self.products(|x, w, to| y[to] += wave(x) * wave(w));
        y
    }

    /// What the transposed convolution makes of an output of waves.
    fn by_input(&self) -> Vec<f64> {
        let mut x = vec![0.0; self.x.iter().product()];
        self.products(|to, w, y| x[to] += wave(y) * wave(w));
        x
    }
}

#[test]
fn convolutions_are_sums_of_products_over_windows() {
    let cases = [
        ("", [2, 3, 5, 6], [4, 3, 3, 2], [1, 1], [0, 0], [1, 1], 1),
        ("stride: 2, padding: 1", [1, 2, 6, 7], [3, 2, 3, 3], [2, 2], [1, 1], [1, 1], 1),
        ("stride: (1, 2), padding: (2, 0), dilation: (2, 1)", [1, 2, 5, 6], [3, 2, 3, 3], [1, 2], [2, 0], [2, 1], 1),
        ("padding: 1, groups: 4", [2, 4, 4, 4], [8, 1, 3, 3], [1, 1], [1, 1], [1, 1], 4),
        ("padding: \"same\", groups: 2", [1, 4, 4, 5], [2, 2, 3, 3], [1, 1], [1, 1], [1, 1], 2),
    ];
    for (options, x, w, stride, pad, dilation, groups) in cases {
        let conv = Conv { x, w, stride, pad, dilation, groups };
        let n: [usize; 3] = [x, w, conv.output()].map(|shape| shape.iter().product());
        let comma = if options.is_empty() { "" } else { ", " };
        let text = format!(
            "fn y() = conv2d(reshape(wave({}), {x:?}), reshape(wave({}), {w:?}){comma}{options})\nminimize digest(y(), {})",
            n[0], n[1], n[2]
        );
        assert_program(&text, &[digest(conv.forward())]);
    }
}

#[test]
fn transposed_convolutions_are_the_derivatives_of_convolutions() {
    let cases = [
        ("", [1, 2, 5, 4], [3, 2, 3, 2], [1, 1], [0, 0], [1, 1], 1),
        ("stride: 2, padding: 1, output_padding: 1", [2, 3, 6, 6], [2, 3, 3, 3], [2, 2], [1, 1], [1, 1], 1),
        ("stride: (2, 1), dilation: 2, groups: 2", [1, 4, 9, 7], [2, 2, 3, 3], [2, 1], [0, 0], [2, 2], 2),
    ];
    for (options, x, w, stride, pad, dilation, groups) in cases {
        let conv = Conv { x, w, stride, pad, dilation, groups };
        let y = conv.output();
        let n: [usize; 3] = [y, w, x].map(|shape| shape.iter().product());
        let comma = if options.is_empty() { "" } else { ", " };
        let text = format!(
            "fn x() = conv_transpose2d(reshape(wave({}), {y:?}), reshape(wave({}), {w:?}){comma}{options})\nminimize digest(x(), {})",
            n[0], n[1], n[2]
        );
        assert_program(&text, &[digest(conv.by_input())]);
    }
}

#[test]
fn poolings_combine_what_their_windows_see() {
    let x = [2, 2, 5, 4];
    for (options, size, stride, pad) in
        [("2", 2, 2, 0), ("3, stride: 1", 3, 1, 0), ("3, stride: 2, padding: 1", 3, 2, 1)]
    {
        let out = |n: usize| (n + 2 * pad - size) / stride + 1;
        let y = [x[0], x[1], out(x[2]), out(x[3])];
        let seen = |[b, c, i, j]: [usize; 4]| -> Vec<f64> {
            let inside = |at: usize, k: usize, n: usize| (at * stride + k).checked_sub(pad).filter(|p| *p < n);
            indices([size, size])
                .filter_map(|[k, l]| Some(wave(at(x, [b, c, inside(i, k, x[2])?, inside(j, l, x[3])?]))))
                .collect()
        };
        let max = indices(y).map(|index| seen(index).into_iter().fold(f64::NEG_INFINITY, f64::max));
        let mean = indices(y).map(|index| seen(index).iter().sum::<f64>() / seen(index).len() as f64);
        let n: usize = y.iter().product();
        let text = format!(
            "fn x() = reshape(wave(80), {x:?})\nminimize digest(max_pool(x(), {options}), {n})\nminimize digest(avg_pool(x(), {options}), {n})"
        );
        assert_program(&text, &[digest(max), digest(mean)]);
    }
}

/// A tensor `t: [A: 2, N: 3, M: 4]` of waves.
const CUBE: &str = "fn cube() {\n    t: [A, N, M] = reshape(wave(24), [2, 3, 4])\n    t\n}\n";

fn cube(a: usize, n: usize, m: usize) -> f64 {
    wave(at([2, 3, 4], [a, n, m]))
}

#[test]
fn parts_are_cut_out_and_put_together() {
    let text = format!(
        "{CUBE}
fn sliced(t: [A, N, M]) = slice(t, M, 1..4, step: 2)
fn padded(t: [A, N, M]) = pad(t, N, 1, 2, value: 0.5)
fn joined(t: [A, N, M]) = concat(t, slice(t, N, 1..2), 2 * t, over: N)
fn whole(t: [A, N, M]) = concat(slice(t, M, 0..1), slice(t, M, 1..4), over: M) - t
minimize digest(sliced(cube()), 12)
minimize digest(padded(cube()), 48)
minimize digest(joined(cube()), 56)
minimize sum(abs(whole(cube())))
"
    );
    let sliced = indices([2, 3, 2]).map(|[a, n, m]| cube(a, n, 1 + 2 * m));
    let padded = indices([2, 6, 4]).map(|[a, n, m]| if (1..4).contains(&n) { cube(a, n - 1, m) } else { 0.5 });
    let joined = indices([2, 7, 4]).map(|[a, n, m]| match n {
        0..3 => cube(a, n, m),
        3 => cube(a, 1, m),
        _ => 2.0 * cube(a, n - 4, m),
    });
    assert_program(&text, &[digest(sliced), digest(padded), digest(joined), 0.0]);
}

#[test]
fn rows_are_gathered_along_any_axis() {
    let text = format!(
        "{CUBE}
fn rows(t: [A, N, M]) = gather(t, int(1 - positions(2)))
fn middle(t: [A, N, M]) {{
    index: [P] = int(2 * positions(2))
    gather(t, index, over: N)
}}
fn picked(t: [A, N, M]) = gather(t, argmax(t, N), over: N)
fn each(t: [A, N, M]) = gather(t, argmax(sum(t, N), M), over: M)
fn beyond(t: [A, N, M]) = gather(t, int(positions(3)), over: A)
minimize digest(rows(cube()), 24)
minimize digest(middle(cube()), 16)
minimize digest(each(cube()), 6)
minimize digest(beyond(cube()), 36)
minimize digest(picked(cube()), 32)
"
    );
    let rows = indices([2, 3, 4]).map(|[a, n, m]| cube(1 - a, n, m));
    let middle = indices([2, 2, 4]).map(|[a, p, m]| cube(a, 2 * p, m));
    let sums = |a: usize, m: usize| (0..3).map(|n| cube(a, n, m)).sum::<f64>();
    let best = |a: usize| (0..4).max_by(|&p, &q| sums(a, p).total_cmp(&sums(a, q))).unwrap_or(0);
    let each = indices([2, 3]).map(|[a, n]| cube(a, n, best(a)));
    let beyond = indices([3, 3, 4]).map(|[a, n, m]| if a < 2 { cube(a, n, m) } else { 0.0 });
    // The index has the axes A and M: A is a batch axis, M stands where N stood, before the table's own M.
    let largest = |a: usize, m: usize| (0..3).max_by(|&p, &q| cube(a, p, m).total_cmp(&cube(a, q, m))).unwrap_or(0);
    let picked = indices([2, 4, 4]).map(|[a, i, m]| cube(a, largest(a, i), m));
    assert_program(&text, &[digest(rows), digest(middle), digest(each), digest(beyond), digest(picked)]);
}

#[test]
fn orders_find_the_largest_and_the_sums_so_far() {
    let text = format!(
        "{CUBE}
fn all(t: [A, N, M]) = top_k(t, 5)
fn each(t: [A, N, M]) = top_k(t, 2, A, M)
fn so_far(t: [A, N, M]) = cumsum(t, N)
minimize digest(float(all(cube())), 24)
minimize digest(float(each(cube())), 24)
minimize digest(so_far(cube()), 24)
"
    );
    let rank = |x: f64, among: &[f64]| among.iter().filter(|y| **y > x).count();
    let everything: Vec<f64> = indices([2, 3, 4]).map(|[a, n, m]| cube(a, n, m)).collect();
    let all = indices([2, 3, 4]).map(|[a, n, m]| f64::from(rank(cube(a, n, m), &everything) < 5));
    let column = |n: usize| -> Vec<f64> { indices([2, 4]).map(|[a, m]| cube(a, n, m)).collect() };
    let each = indices([2, 3, 4]).map(|[a, n, m]| f64::from(rank(cube(a, n, m), &column(n)) < 2));
    let so_far = indices([2, 3, 4]).map(|[a, n, m]| (0..=n).map(|i| cube(a, i, m)).sum());
    assert_program(&text, &[digest(all), digest(each), digest(so_far)]);
}

#[test]
fn a_scan_applies_its_cell_step_by_step() {
    let text = format!(
        "{CUBE}
layer Cell[M](x: [A, M], carry) -> ([A, M], [A, M]) {{
    param scale: [M] = 0.5
    (h, c) = carry
    new = scale * h + x
    (new, c + new * x)
}}
fn add(x, sum) = x + 2 * sum
layer Net(t: [A, N, M]) {{
    cell = Cell
    start = full_like(sum(t, N), 0)
    (h, c) = scan(cell, t, over: N, from: (start, start))
    s = scan(add, t, over: N, from: 1)
    one = scan(cell, slice(t, N, 0..1), over: N, from: (start, start))
    (first, _) = one
    (expected, _) = cell(sum(slice(t, N, 0..1), N), (start, start))
    digest(h, 24) + 10 * digest(c, 24) + 100 * digest(s, 24) + 1000 * sum(abs(sum(first, N) - expected))
}}
model net = Net
minimize net(cube())
"
    )
    .replace("(first, _)", "(first, rest)")
    .replace("(expected, _)", "(expected, others)");
    let mut state = [[0.0; 4]; 2].map(|row: [f64; 4]| row.map(|_| (0.0, 0.0, 1.0)));
    let mut steps = vec![];
    for [n, a, m] in indices([3, 2, 4]) {
        let (h, c, s) = state[a][m];
        let new = 0.5 * h + cube(a, n, m);
        state[a][m] = (new, c + new * cube(a, n, m), cube(a, n, m) + 2.0 * s);
        steps.push(state[a][m]);
    }
    let all = |f: fn(&(f64, f64, f64)) -> f64| digest(steps.iter().map(f));
    assert_program(&text, &[all(|it| it.0) + 10.0 * all(|it| it.1) + 100.0 * all(|it| it.2)]);
}

#[test]
fn sizes_have_defaults_that_uses_override() {
    let text = "
layer Wide[N, K = 3, M = N](x: [N]) -> [M] {
    param w: [N, K, M] = 1
    sum(sum(w, K) * reshape(x, [N, 1]), N)
}
layer Net(x: [N]) {
    a = Wide
    b = Wide[K = 5, M = 2]
    sum(a(x)) + sum(b(x))
}
model net = Net
minimize net(full_like(positions(4), 1))
";
    assert_program(text, &[4.0 * 3.0 * 4.0 + 4.0 * 5.0 * 2.0]);
}

#[test]
fn a_layer_as_a_setting_is_an_instance_under_each_of_its_names() {
    let text = "
layer Shift(start = 1)(x: [N]) -> [N] {
    param amount: [] = start
    x + amount
}
layer Inner(way = Shift)(x: [N]) -> [N] {
    a = way
    b = way
    x |> a |> b |> way |> way
}
layer Net(x: [N], way = Shift(start: 10)) {
    inner = Inner(way: way)
    c = way
    sum(x |> inner |> c |> way)
}
model net = Net
minimize net(full([1], 0)) + 0 * (net.inner.a.amount + net.inner.b.amount + net.inner.way.amount + net.c.amount + net.way.amount)
";
    assert_program(text, &[60.0, 0.0]);
}

#[test]
fn mistakes_with_parts_are_told_apart() {
    let codes = |text: &str| match try_elaborate("bad", &format!("{PRELUDE}{CUBE}{text}")) {
        Ok(_) => panic!("{text} has a mistake"),
        Err((errors, _)) => errors.iter().map(|error| error.code).collect::<Vec<&str>>(),
    };
    let image = |call: &str| {
        codes(&format!("fn f(x: [B, C, H, W]) = {call}\nminimize sum(f(reshape(wave(2 * 3 * 4 * 4), [2, 3, 4, 4])))"))
    };
    let weights = "reshape(wave(18), [2, 1, 3, 3])";
    assert_eq!(image(&format!("conv2d(x, {weights})")), ["E0320"]);
    assert_eq!(image(&format!("conv2d(sum(x, B), {weights})")), ["E0320"]);
    assert_eq!(image(&format!("conv2d(x, {weights}, groups: 2)")), ["E0320"]);
    assert_eq!(image("max_pool(x, 5)"), ["E0321"]);
    assert_eq!(image("max_pool(x, 2, padding: 2)"), ["E0321"]);
    assert_eq!(image("max_pool(x, \"same\")"), ["E0321"]);
    assert_eq!(image("avg_pool(x, 0)"), ["E0312"]);
    let cube = |call: &str| {
        codes(&format!("fn dot(a, b) = sum(a * b)\nfn f(t: [A, N, M]) = {call}\nminimize sum(float(f(cube())))"))
    };
    assert_eq!(cube("slice(t, M, 2..5)"), ["E0322"]);
    assert_eq!(cube("slice(t, M, 2)"), ["E0322"]);
    assert_eq!(cube("concat(t, slice(t, M, 0..2), over: N)"), ["E0322"]);
    assert_eq!(cube("top_k(t, 25)"), ["E0322"]);
    assert_eq!(cube("gather(t, positions(2))"), ["E0307"]);
    assert_eq!(cube("scan(dot, t, over: N, from: sum(t, N))"), ["E0323"]);
}
