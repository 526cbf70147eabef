//! Routines, one element at a time.

use spnc_runtime::kernels::conv::Phase;
use spnc_runtime::kernels::sparse::SparseShape;
use spnc_runtime::kernels::turn::TurnShape;

use crate::lir::routine::{Conv, Pool, Rows, Task, Windows};
use crate::window::ConvRole;

/// Words of operands to words of the result.
pub fn run(task: &Task, from: &[&[u32]], to: &mut [u32]) {
    match *task {
        Task::Conv(role, Phase::Compute, conv) => run_conv(role, &conv, from, to),
        Task::Conv(_, Phase::Pack | Phase::Combine, _) => panic!("one phase does all"),
        Task::Pool(pool, windows) => run_pool(pool, &windows, from, to),
        Task::Gather(rows, _) => gather(&rows, from[0], from[1], to),
        Task::Scatter(rows) => scatter(&rows, from[0], from[1], to),
        Task::TopK { n, k, .. } => {
            to.chunks_mut(n).zip(from[0].chunks(n)).for_each(|(to, from)| top_k(from, k, to));
        }
        Task::CumSum { n, inner, reverse, .. } => cumsum([n, inner], reverse, from[0], to),
        Task::SparseProduct(shape) => sparse_product(&shape, [from[0], from[1], from[2]], to),
        Task::SparseSampled(shape) => sparse_sampled(&shape, [from[0], from[1], from[2]], to),
        Task::Turn(TurnShape { rows, middle, columns }, _) => {
            for (at, to) in to.iter_mut().enumerate() {
                let [row, between, column] = [at % rows, at / rows % middle, at / rows / middle];
                *to = from[0][(row * middle + between) * columns + column];
            }
        }
    }
}

fn f32(word: u32) -> f32 {
    f32::from_bits(word)
}

fn add(to: &mut u32, number: f32) {
    *to = (f32(*to) + number).to_bits();
}

/// Each product of the trilinear form goes into the sum that it belongs to.
fn run_conv(role: ConvRole, conv: &Conv, from: &[&[u32]], to: &mut [u32]) {
    to.fill(0);
    let channels = conv.windows.channels / conv.groups;
    let outs = conv.out_channels / conv.groups;
    each_tap(&conv.windows, |input, output, tap| {
        for out in 0..conv.out_channels {
            for channel in 0..channels {
                let x = input * conv.windows.channels + out / outs * channels + channel;
                let w = (tap * channels + channel) * conv.out_channels + out;
                let y = output * conv.out_channels + out;
                let [a, b, c] = match role {
                    ConvRole::Forward => [x, w, y],
                    ConvRole::ByInput => [y, w, x],
                    ConvRole::ByWeight => [x, y, w],
                };
                add(&mut to[c], f32(from[0][a]) * f32(from[1][b]));
            }
        }
    });
}

/// Calls `visit` with the pixel of the input, the window and the tap, wherever a tap of a window is inside the input.
fn each_tap(windows: &Windows, mut visit: impl FnMut(usize, usize, usize)) {
    let [height, width] = windows.input;
    let [down, across] = windows.output;
    let [tall, wide] = windows.window.size;
    for window in 0..windows.batch * down * across {
        let (image, row, col) = (window / (down * across), window / across % down, window % across);
        for tap in 0..tall * wide {
            let at = [windows.input_at(0, row, tap / wide), windows.input_at(1, col, tap % wide)];
            if let [Some(y), Some(x)] = at {
                visit((image * height + y) * width + x, window, tap);
            }
        }
    }
}

fn run_pool(pool: Pool, windows: &Windows, from: &[&[u32]], to: &mut [u32]) {
    to.fill(if pool == Pool::Max { f32::NEG_INFINITY.to_bits() } else { 0 });
    let mut largest = vec![None; if pool == Pool::UnpoolMax { windows.output_len() } else { 0 }];
    each_tap(windows, |input, output, _| {
        for channel in 0..windows.channels {
            let [x, y] = [input, output].map(|pixel| pixel * windows.channels + channel);
            match pool {
                Pool::Sum => add(&mut to[y], f32(from[0][x])),
                Pool::Max => to[y] = f32(to[y]).max(f32(from[0][x])).to_bits(),
                Pool::Unpool => add(&mut to[x], f32(from[0][y])),
                Pool::UnpoolMax => {
                    let larger = largest[y].is_none_or(|best: usize| f32(from[0][x]) > f32(from[0][best]));
                    largest[y] = if larger { Some(x) } else { largest[y] };
                }
            }
        }
    });
    for (window, x) in largest.into_iter().enumerate() {
        if let Some(x) = x {
            add(&mut to[x], f32(from[1][window]));
        }
    }
}

/// Calls `visit` with the row of the table and the row that is picked, for each index inside.
fn each_row(rows: &Rows, index: &[u32], mut visit: impl FnMut(usize, usize)) {
    for position in 0..rows.batch * rows.count {
        let row = index[if rows.shared { position % rows.count } else { position }].cast_signed();
        if row >= 0 && (row as usize) < rows.n {
            visit(position / rows.count * rows.n + row as usize, position);
        }
    }
}

fn gather(rows: &Rows, table: &[u32], index: &[u32], to: &mut [u32]) {
    let rest = rows.rest;
    to.fill(0);
    each_row(rows, index, |row, position| {
        to[position * rest..][..rest].copy_from_slice(&table[row * rest..][..rest]);
    });
}

fn scatter(rows: &Rows, values: &[u32], index: &[u32], to: &mut [u32]) {
    let rest = rows.rest;
    to.fill(0);
    each_row(rows, index, |row, position| {
        for (to, value) in to[row * rest..][..rest].iter_mut().zip(&values[position * rest..]) {
            add(to, f32(*value));
        }
    });
}

/// Calls `visit` with row, column and place of each element of a pattern.
fn each_element(shape: &SparseShape, pattern: &[u32], mut visit: impl FnMut(usize, usize, usize)) {
    let (columns, places) = pattern[shape.rows + 1..].split_at(shape.non_zeros);
    for row in 0..shape.rows {
        for k in pattern[row] as usize..pattern[row + 1] as usize {
            visit(row, columns[k] as usize, if shape.is_ordered { places[k] as usize } else { k });
        }
    }
}

fn sparse_product(shape: &SparseShape, [w, x, pattern]: [&[u32]; 3], to: &mut [u32]) {
    let batch = shape.batch;
    to.fill(0);
    each_element(shape, pattern, |row, column, place| {
        let x = &x[column * batch..][..batch];
        to[row * batch..].iter_mut().zip(x).for_each(|(to, x)| add(to, f32(w[place]) * f32(*x)));
    });
}

fn sparse_sampled(shape: &SparseShape, [y, x, pattern]: [&[u32]; 3], to: &mut [u32]) {
    let row_of = |of: &[u32], row: usize| of[row * shape.batch..][..shape.batch].to_vec();
    to.fill(0);
    each_element(shape, pattern, |row, column, place| {
        let (y, x) = (row_of(y, row), row_of(x, column));
        y.iter().zip(&x).for_each(|(y, x)| add(&mut to[place], f32(*y) * f32(*x)));
    });
}

fn top_k(row: &[u32], k: usize, to: &mut [u32]) {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| f32(row[*b]).partial_cmp(&f32(row[*a])).unwrap_or(std::cmp::Ordering::Equal));
    to.fill(0);
    order[..k.min(row.len())].iter().for_each(|index| to[*index] = u32::MAX);
}

fn cumsum([n, inner]: [usize; 2], reverse: bool, from: &[u32], to: &mut [u32]) {
    for (to, from) in to.chunks_mut(n * inner).zip(from.chunks(n * inner)) {
        for lane in 0..inner {
            let mut sum = 0.0_f32;
            for step in 0..n {
                let at = (if reverse { n - 1 - step } else { step }) * inner + lane;
                sum += f32(from[at]);
                to[at] = sum.to_bits();
            }
        }
    }
}
