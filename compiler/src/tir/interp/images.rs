//! What convolutions and poolings mean, in loops over everything that a window sees.

use ndarray::ArrayViewD;

use crate::window::{ConvRole, Pooling, Window};

/// A pixel of the input that a window sees: at which of its positions, and as its which element.
pub struct Meeting {
    pub output: usize,
    pub input: usize,
    pub tap: usize,
}

/// Every pixel of an `input` plane that the window sees from its `output` positions, in row-major order of positions, then
/// of the window's elements.
pub fn meetings(window: &Window, input: [usize; 2], output: [usize; 2]) -> Vec<Meeting> {
    let mut meetings = vec![];
    for (i, j) in pairs(output) {
        for (k, l) in pairs(window.size) {
            let seen = (window.sees(0, i, k, input[0]), window.sees(1, j, l, input[1]));
            if let (Some(row), Some(col)) = seen {
                let (output, input) = (i * output[1] + j, row * input[1] + col);
                meetings.push(Meeting { output, input, tap: k * window.size[1] + l });
            }
        }
    }
    meetings
}

fn pairs([rows, cols]: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..cols).map(move |col| (row, col)))
}

/// The sizes of the axes height and width.
fn plane(shape: &[usize]) -> [usize; 2] {
    [shape[1], shape[2]]
}

fn flat<'a>(view: &ArrayViewD<'a, f64>) -> std::borrow::Cow<'a, [f64]> {
    view.to_slice().map_or_else(|| view.iter().copied().collect(), Into::into)
}

/// The three tensors' products, added up where the role says. `out` has the `shape`.
pub fn conv(
    role: ConvRole,
    window: &Window,
    groups: usize,
    [a, b]: [&ArrayViewD<'_, f64>; 2],
    shape: &[usize],
    out: &mut [f64],
) {
    let [x, w, y] = role.sort(a.shape(), b.shape(), shape);
    let (a, b) = (flat(a), flat(b));
    let (ins, outs) = (w[2], y[3] / groups);
    let [x_len, y_len] = [plane(x), plane(y)].map(|[rows, cols]| rows * cols);
    let meetings = meetings(window, plane(x), plane(y));
    out.fill(0.0);
    for image in 0..x[0] {
        for Meeting { output, input, tap } in &meetings {
            for (group, c) in pairs([groups, ins]) {
                let x_at = (image * x_len + input) * x[3] + group * ins + c;
                let w_at = (tap * ins + c) * w[3] + group * outs;
                let y_at = (image * y_len + output) * y[3] + group * outs;
                match role {
                    ConvRole::Forward => add_scaled(&mut out[y_at..][..outs], a[x_at], &b[w_at..][..outs]),
                    ConvRole::ByInput => out[x_at] += dot(&a[y_at..][..outs], &b[w_at..][..outs]),
                    ConvRole::ByWeight => add_scaled(&mut out[w_at..][..outs], a[x_at], &b[y_at..][..outs]),
                }
            }
        }
    }
}

fn add_scaled(to: &mut [f64], scale: f64, from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += scale * from);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What each window sees of `x` combined into `out`, which has the `shape`.
pub fn pool(how: Pooling, window: &Window, x: &ArrayViewD<'_, f64>, shape: &[usize], out: &mut [f64]) {
    out.fill(match how {
        Pooling::Sum => 0.0,
        Pooling::Max => f64::NEG_INFINITY,
    });
    let combine = |to: &mut f64, from: f64| match how {
        Pooling::Sum => *to += from,
        Pooling::Max => *to = to.max(from),
    };
    let values = flat(x);
    each_meeting(window, x.shape(), shape, |input, output| combine(&mut out[output], values[input]));
}

/// Adds each element of `y` to all elements of `out`, of the `shape`, that its window sees.
pub fn unpool(window: &Window, y: &ArrayViewD<'_, f64>, shape: &[usize], out: &mut [f64]) {
    let values = flat(y);
    out.fill(0.0);
    each_meeting(window, shape, y.shape(), |input, output| out[input] += values[output]);
}

/// Adds each element of `ct` to the element of `out` where the first of the largest of `x` stands that its window sees.
pub fn unpool_max(window: &Window, x: &ArrayViewD<'_, f64>, ct: &ArrayViewD<'_, f64>, out: &mut [f64]) {
    let values = flat(x);
    let mut largest: Vec<Option<usize>> = vec![None; ct.len()];
    each_meeting(window, x.shape(), ct.shape(), |input, output| {
        if largest[output].is_none_or(|best| values[input] > values[best]) {
            largest[output] = Some(input);
        }
    });
    out.fill(0.0);
    for (at, ct) in largest.into_iter().zip(&*flat(ct)) {
        if let Some(at) = at {
            out[at] += ct;
        }
    }
}

/// Shows every element of the input, by its position, with every element of the output whose window sees it.
fn each_meeting(window: &Window, input: &[usize], output: &[usize], mut show: impl FnMut(usize, usize)) {
    let channels = input[3];
    let [in_len, out_len] = [plane(input), plane(output)].map(|[rows, cols]| rows * cols);
    let meetings = meetings(window, plane(input), plane(output));
    for image in 0..input[0] {
        for meeting in &meetings {
            let (input, output) = (image * in_len + meeting.input, image * out_len + meeting.output);
            (0..channels).for_each(|c| show(input * channels + c, output * channels + c));
        }
    }
}
