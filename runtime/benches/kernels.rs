//! The kernels below compiled programs, one thread: elementary functions by the block, draws, products, quantiles.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use spnc_runtime::kernels::gemm::{Before, Operand, product};
use spnc_runtime::kernels::lanes::{self, Function};
use spnc_runtime::kernels::quantile::quantile;
use spnc_runtime::kernels::{Isa, LANES};
use spnc_runtime::random::fill_uniform;

fn numbers(len: usize) -> Vec<f32> {
    let mut row = vec![0.0; len];
    fill_uniform(1, 2, 3, 0, &mut row);
    row
}

#[expect(unsafe_code, reason = "calls routines")]
fn functions(c: &mut Criterion) {
    let (from, mut to) = (numbers(64 * LANES), vec![0.0; 64 * LANES]);
    let mut group = c.benchmark_group("elementwise");
    let _ = group.throughput(Throughput::Elements(from.len() as u64));
    for function in Function::ALL {
        let routine = function.routine(Isa::best());
        let mut each_block = || {
            for (from, to) in from.chunks_exact(LANES).zip(to.chunks_exact_mut(LANES)) {
                // SAFETY: both are blocks, and the instruction set is available.
                unsafe { routine(from.as_ptr(), to.as_mut_ptr()) };
            }
        };
        let _ = group.bench_function(format!("{function:?}"), |b| b.iter(&mut each_block));
    }
    let _ = group.bench_function("uniform", |b| {
        // SAFETY: the row has room for as many numbers, and the instruction set is available.
        b.iter(|| unsafe { lanes::uniform(Isa::best())(1, 2, 3, 0, to.len(), to.as_mut_ptr()) });
    });
    group.finish();
}

#[expect(unsafe_code, reason = "calls the kernel")]
fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("product");
    for [m, n, k] in [[64, 300, 784], [784, 300, 64], [64, 100, 300], [64, 10, 100]] {
        let (mut a, mut b, mut result) = (numbers(m * k), numbers(k * n), numbers(m * n));
        let rows = |start: &mut [f32], row| Operand { start: start.as_mut_ptr(), row, col: 1 };
        let [x, y, z] = [rows(&mut a, k), rows(&mut b, n), rows(&mut result, n)];
        let _ = group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
        let _ = group.bench_function(format!("{m}x{n}x{k}"), |bench| {
            // SAFETY: three vectors as large as the matrices.
            bench.iter(|| unsafe { product([m, n, k], x, y, z, Before::Dropped) });
        });
    }
    group.finish();
}

fn quantiles(c: &mut Criterion) {
    let (row, mut work) = (numbers(235_200), numbers(235_200));
    let _ = c.bench_function("quantile of 235,200", |b| b.iter(|| quantile(black_box(&row), 0.9, &mut work)));
}

criterion_group!(benches, functions, products, quantiles);
criterion_main!(benches);
