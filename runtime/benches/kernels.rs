//! The kernels below compiled programs, one thread: elementary functions by the block, draws, products, quantiles,
//! convolutions, pooling, rows of tables, products with scattered zeros.
//!
//! What they reach is to be compared with the limits of the machine, measured in the same run: a chain of nothing but fused
//! multiply-adds on the widest vectors, where a multiplication and an addition are two elements, and copies of numbers that lie in a
//! cache of the core and that do not. `compiler/bench/shares.py` does it.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::hint::black_box;
use std::ops::{Deref, DerefMut, Range};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use spnc_runtime::kernels::conv::{self, ConvShape, Phase, Role};
use spnc_runtime::kernels::gemm::{Cut, Layout, ProductShape, Terms, product};
use spnc_runtime::kernels::lanes::{self, Function};
use spnc_runtime::kernels::pooling::{self, PoolShape, Pooling};
use spnc_runtime::kernels::quantile::quantile;
use spnc_runtime::kernels::rows::{self, TableShape};
use spnc_runtime::kernels::sparse::{self, SparseShape};
use spnc_runtime::kernels::turn::{TurnShape, turn};
use spnc_runtime::kernels::{Isa, LANES};
use spnc_runtime::random::fill_uniform;

/// Numbers from a cache line's start on, as compiled programs have their tensors, with room before and behind: vectors that lie across two lines take
/// longer.
struct Aligned {
    row: Vec<f32>,
    content: Range<usize>,
}

impl Aligned {
    fn of(content: &[f32]) -> Aligned {
        let mut row = vec![0.0; content.len() + 16];
        let start = row.as_ptr().align_offset(64);
        row[start..][..content.len()].copy_from_slice(content);
        Aligned { row, content: start..start + content.len() }
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Aligned {
        Aligned::of(self)
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.row[self.content.clone()]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.row[self.content.clone()]
    }
}

/// `len` numbers, uniform between zero and one.
fn numbers(len: usize) -> Aligned {
    let mut row = Aligned::of(&vec![0.0; len]);
    fill_uniform(1, 2, 3, 0, &mut row);
    row
}

/// The operands of a routine that reads two.
fn read([a, b]: [&[f32]; 2]) -> [*const f32; 3] {
    [a.as_ptr(), b.as_ptr(), std::ptr::null()]
}

#[expect(unsafe_code, reason = "calls routines")]
fn functions(c: &mut Criterion) {
    let [from, mut to] = [64 * LANES; 2].map(numbers);
    let mut group = c.benchmark_group("elementwise");
    let _ = group.throughput(Throughput::Bytes(8 * from.len() as u64));
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

/// A product of matrices whose rows lie in order.
fn by_rows(sizes: [usize; 3]) -> ProductShape {
    let rows = |cols| Layout { stack: 0, row: cols, col: 1 };
    let [_, n, k] = sizes;
    let [a, b, c] = [rows(k), rows(n), rows(n)];
    ProductShape { sizes, stack: 1, terms: Terms::ONE, a, b, c, in_panels: false, cut: Cut::Rows }
}

#[expect(unsafe_code, reason = "calls a routine")]
fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("product");
    let turned = |rows| Layout { stack: 0, row: 1, col: rows };
    for [m, n, k] in [[64, 300, 784], [64, 100, 300], [64, 10, 100], [20, 800, 200], [700, 800, 200], [1, 300, 784]] {
        let [forward, by_input, by_weight] = [[m, n, k], [m, k, n], [k, n, m]].map(by_rows);
        for (name, shape) in [
            ("forward", forward),
            ("by input", ProductShape { b: turned(n), ..by_input }),
            ("by weight", ProductShape { a: turned(k), ..by_weight }),
        ] {
            let sizes = shape.sizes;
            let len = |i: usize, j: usize| sizes[i] * sizes[j];
            let (x, y, mut to) = (numbers(len(0, 2)), numbers(len(2, 1)), numbers(len(0, 1)));
            let from = read([&x, &y]);
            let _ = group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
            let _ = group.bench_function(format!("{m}x{n}x{k} {name}"), |bench| {
                // SAFETY: tensors as large as the shape says; the instruction set is available.
                bench.iter(|| unsafe {
                    product(Isa::best())(&shape, &from, to.as_mut_ptr(), std::ptr::null_mut(), 0, shape.extent());
                });
            });
        }
    }
    group.finish();
}

fn quantiles(c: &mut Criterion) {
    let (row, mut work) = (numbers(235_200), numbers(235_200));
    let _ = c.bench_function("quantile of 235,200", |b| b.iter(|| quantile(black_box(&row), 0.9, &mut work)));
}

/// Twelve sums that need nothing from memory hide the latency of the additions.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn fused_avx512(rounds: usize) -> f32 {
    let (factor, term) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(1e-3)));
    let mut sums = [factor; 12];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, term);
        }
    }
    sums.into_iter().fold(0.0, |total, sum| total + _mm512_reduce_add_ps(sum))
}

/// The same with shorter vectors.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fused_avx2(rounds: usize) -> f32 {
    let (factor, term) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(1e-3)));
    let mut sums = [factor; 12];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, term);
        }
    }
    sums.into_iter().fold(0.0, |total, sum| total + _mm256_cvtss_f32(sum))
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "instructions that not every machine has")]
fn peak(c: &mut Criterion) {
    const ROUNDS: usize = 10_000;
    let mut group = c.benchmark_group("peak");
    let lanes = match Isa::best() {
        Isa::Avx512 => 16,
        Isa::Avx2 => 8,
        Isa::Portable => return,
    };
    let _ = group.throughput(Throughput::Elements((2 * 12 * lanes * ROUNDS) as u64));
    let _ = group.bench_function("fused multiply-add", |bench| {
        // SAFETY: the machine has the instruction set.
        bench.iter(|| unsafe { if lanes == 16 { fused_avx512(ROUNDS) } else { fused_avx2(ROUNDS) } });
    });
    group.finish();
}

#[cfg(not(target_arch = "x86_64"))]
fn peak(_: &mut Criterion) {}

/// What copying takes, reading and writing.
fn copies(c: &mut Criterion) {
    let mut group = c.benchmark_group("copy");
    for (name, len) in [("128 KiB", 32 * 1024), ("16 MiB", 4 * 1024 * 1024)] {
        // Not a multiple of a page apart, where reading what was just written is slow.
        let (from, mut to) = (numbers(len), numbers(len + 304));
        let _ = group.throughput(Throughput::Bytes(8 * len as u64));
        let _ = group.bench_function(name, |bench| {
            bench.iter(|| black_box(&mut to[304..]).copy_from_slice(black_box(&from)));
        });
    }
    group.finish();
}

/// Square images and windows: batch, pixels, channels of both images; taps, stride, zeros around, groups.
fn square([batch, size, cin, cout]: [usize; 4], [taps, stride, pad, groups]: [usize; 4]) -> ConvShape {
    let out = (size + 2 * pad - taps) / stride + 1;
    ConvShape {
        batch,
        height: size,
        width: size,
        in_channels: cin,
        out_channels: cout,
        kernel: [taps; 2],
        stride: [stride; 2],
        dilation: [1; 2],
        pad: [pad; 2],
        out_height: out,
        out_width: out,
        groups,
    }
}

/// Layers of networks that are in use.
fn layers() -> [(&'static str, ConvShape); 17] {
    [
        ("ResNet-20, first", square([128, 32, 3, 16], [3, 1, 1, 1])),
        ("ResNet-20, stage 1", square([128, 32, 16, 16], [3, 1, 1, 1])),
        ("ResNet-20, half of stage 1", square([128, 32, 8, 8], [3, 1, 1, 1])),
        ("ResNet-20, into half of stage 2", square([128, 32, 8, 16], [3, 2, 1, 1])),
        ("ResNet-20, stage 2", square([128, 16, 32, 32], [3, 1, 1, 1])),
        ("ResNet-20, stage 3", square([128, 8, 64, 64], [3, 1, 1, 1])),
        ("ResNet-20, into stage 2", square([128, 32, 16, 32], [3, 2, 1, 1])),
        ("LeNet-5, first", square([64, 28, 1, 20], [5, 1, 0, 1])),
        ("LeNet-5, second", square([64, 12, 20, 50], [5, 1, 0, 1])),
        ("VGG, 64 channels", square([64, 32, 64, 64], [3, 1, 1, 1])),
        ("VGG, 256 channels", square([64, 8, 256, 256], [3, 1, 1, 1])),
        ("VGG, 512 channels", square([64, 4, 512, 512], [3, 1, 1, 1])),
        ("VGG, 512 channels, 2 x 2", square([64, 2, 512, 512], [3, 1, 1, 1])),
        ("1x1", square([32, 14, 256, 512], [1, 1, 0, 1])),
        ("channel by channel", square([32, 28, 128, 128], [3, 1, 1, 128])),
        ("channel by channel, 8 of them", square([128, 32, 8, 8], [3, 1, 1, 8])),
        ("channel by channel, 16 of them, strided", square([128, 32, 16, 16], [3, 2, 1, 16])),
    ]
}

#[expect(unsafe_code, reason = "calls routines")]
fn convolutions(c: &mut Criterion) {
    let mut group = c.benchmark_group("convolution");
    let _ = group.sample_size(20);
    for (name, shape) in layers() {
        let x = numbers(shape.batch * shape.height * shape.width * shape.in_channels);
        let y = numbers(shape.batch * shape.out_height * shape.out_width * shape.out_channels);
        let w = numbers(shape.weights());
        let _ = group.throughput(Throughput::Elements(2 * shape.products() as u64));
        for (role, a, b, to) in [(Role::Forward, &x, &w, &y), (Role::ByInput, &y, &w, &x), (Role::ByWeight, &x, &y, &w)]
        {
            let (mut to, mut work) = (to.clone(), numbers(shape.work_len(role)));
            let _ = group.bench_function(format!("{name}, {role:?}"), |bench| {
                bench.iter(|| {
                    for phase in Phase::ALL {
                        let (routine, extent) = (conv::routine(role, phase, Isa::best()), shape.extent(role, phase));
                        // SAFETY: the vectors are as large as the shape says.
                        unsafe { routine(&shape, &read([a, b]), to.as_mut_ptr(), work.as_mut_ptr(), 0, extent) };
                    }
                });
            });
        }
    }
    group.finish();
}

fn poolings(c: &mut Criterion) {
    let mut group = c.benchmark_group("pooling");
    for (size, channels) in [(32, 64), (24, 20)] {
        pooling_of(&mut group, size, channels);
    }
    group.finish();
}

/// 64 square images, in windows of two by two.
#[expect(unsafe_code, reason = "calls routines")]
fn pooling_of(group: &mut BenchmarkGroup<'_, WallTime>, size: usize, channels: usize) {
    let shape = PoolShape {
        batch: 64,
        height: size,
        width: size,
        channels,
        size: [2; 2],
        stride: [2; 2],
        dilation: [1; 2],
        pad: [0; 2],
        out_height: size / 2,
        out_width: size / 2,
    };
    let (x, y) = (numbers(64 * size * size * channels), numbers(16 * size * size * channels));
    let _ = group.throughput(Throughput::Bytes(4 * (x.len() + y.len()) as u64));
    for pooling in [Pooling::Sum, Pooling::Max, Pooling::Unpool, Pooling::UnpoolMax] {
        let (a, mut to) = match pooling {
            Pooling::Sum | Pooling::Max => (&x, y.clone()),
            Pooling::Unpool => (&y, x.clone()),
            Pooling::UnpoolMax => (&x, x.clone()),
        };
        let (routine, extent) = (pooling::routine(pooling, Isa::best()), shape.extent(pooling));
        let _ = group.bench_function(format!("{pooling:?}, {channels} channels"), |bench| {
            // SAFETY: the vectors are as large as the shape says.
            bench.iter(|| unsafe {
                routine(&shape, &read([a, &y]), to.as_mut_ptr(), std::ptr::null_mut(), 0, extent);
            });
        });
    }
}

#[expect(unsafe_code, reason = "calls routines")]
fn tables(c: &mut Criterion) {
    let words = TableShape { batch: 1, rows: 10_000, indices: 700, width: 200, shared: false };
    let word: Vec<usize> = (0..words.indices).map(|i| i * 7919 % words.rows).collect();
    // The non-zeros of a matrix row by row, of which its groups' sums are made and which are given what their groups are.
    let groups = TableShape { batch: 1, rows: 300, indices: 11_760, width: 1, shared: false };
    let chances = numbers(groups.rows * 784);
    let group: Vec<usize> =
        (0..chances.len()).filter(|i| chances[*i] < 0.051).map(|i| i / 784).take(groups.indices).collect();
    let inputs = TableShape { rows: 784, ..groups };
    let input: Vec<usize> =
        (0..chances.len()).filter(|i| chances[*i] < 0.051).map(|i| i / 300).take(inputs.indices).collect();
    let mut bench = c.benchmark_group("rows");
    for (name, shape, index) in [("", words, word), (", groups", groups, group), (", small groups", inputs, input)] {
        let index = Aligned::of(&index.iter().map(|i| f32::from_bits(*i as u32)).collect::<Vec<_>>());
        assert_eq!(index.len(), shape.indices, "an index for each row of the values");
        let (table, values) = (numbers(shape.rows * shape.width), numbers(shape.indices * shape.width));
        for (kernel, routine, a, to, extent) in [
            ("gather", rows::gather(Isa::best()), &table, &values, shape.gather_extent()),
            ("scatter", rows::scatter(Isa::best()), &values, &table, shape.scatter_extent()),
        ] {
            let mut to = to.clone();
            let _ = bench.throughput(Throughput::Bytes(4 * to.len().max(a.len()) as u64));
            let _ = bench.bench_function(format!("{kernel}{name}"), |bench| {
                // SAFETY: the vectors are as large as the shape says.
                bench.iter(|| unsafe {
                    routine(&shape, &read([a, &index]), to.as_mut_ptr(), std::ptr::null_mut(), 0, extent);
                });
            });
        }
    }
    bench.finish();
}

/// A pattern of square blocks whose share of non-zeros is a percentage, and its shape.
fn scattered([rows, columns, batch]: [usize; 3], percent: f32, block: usize) -> (SparseShape, Vec<f32>) {
    let chances = numbers(rows * columns);
    let is_kept = |row: &usize, column: &usize| chances[row / block * columns + column / block] < percent / 100.0;
    let (mut starts, mut kept) = (vec![0], vec![]);
    for row in 0..rows {
        kept.extend((0..columns).filter(|column| is_kept(&row, column)));
        starts.push(kept.len());
    }
    let shape = SparseShape { rows, columns, non_zeros: kept.len(), batch, is_ordered: false };
    (shape, starts.into_iter().chain(kept).map(|i| f32::from_bits(i as u32)).collect())
}

/// Throughput counts what the non-zeros need. Where the dense product takes as long as one of these is the break-even.
fn scattered_products(c: &mut Criterion) {
    let mut group = c.benchmark_group("scattered");
    let _ = group.sample_size(20);
    for sizes in [[300, 784, 64], [784, 300, 64], [100, 300, 64], [300, 784, 256]] {
        let [rows, columns, batch] = sizes;
        let mut tensors = [rows * columns, columns * batch, rows * batch].map(numbers);
        let [a, x, y] = tensors.each_mut().map(|tensor| tensor.as_mut_ptr());
        let dense = by_rows([rows, batch, columns]);
        let from = [a.cast_const(), x, std::ptr::null()];
        let _ = group.throughput(Throughput::Elements(2 * (rows * columns * batch) as u64));
        let _ = group.bench_function(format!("{rows}x{columns}, batch {batch}, dense"), |bench| {
            #[expect(unsafe_code, reason = "calls the kernel")]
            // SAFETY: three tensors as large as the matrices; the instruction set is available.
            bench.iter(|| unsafe { product(Isa::best())(&dense, &from, y, std::ptr::null_mut(), 0, rows) });
        });
        for percent in [5.0, 10.0, 20.0, 40.0] {
            for block in [1, 2, 4] {
                scattered_products_of(&mut group, sizes, percent, block);
            }
        }
    }
    group.finish();
}

#[expect(unsafe_code, reason = "calls routines")]
fn scattered_products_of(group: &mut BenchmarkGroup<'_, WallTime>, sizes: [usize; 3], percent: f32, block: usize) {
    let [rows, columns, batch] = sizes;
    let (shape, pattern) = scattered(sizes, percent, block);
    let mut tensors = [shape.non_zeros, columns * batch, rows * batch].map(numbers);
    let ([values, x, y], pattern) = (tensors.each_mut().map(|tensor| tensor.as_mut_ptr()), Aligned::of(&pattern));
    let _ = group.throughput(Throughput::Elements(2 * (shape.non_zeros * batch) as u64));
    for (name, routine, a, b, to) in [
        ("product", sparse::product(Isa::best()), values, x, y),
        ("sampled", sparse::sampled(Isa::best()), y, x, values),
    ] {
        let from = [a.cast_const(), b, pattern.as_ptr()];
        let blocks = if block == 1 { String::new() } else { format!(" in blocks of {block}") };
        let _ =
            group.bench_function(format!("{rows}x{columns}, batch {batch}, {percent} %{blocks}, {name}"), |bench| {
                // SAFETY: the vectors are as large as the shape says, and the pattern is one of its.
                bench.iter(|| unsafe { routine(&shape, &from, to, std::ptr::null_mut(), 0, rows) });
            });
    }
}

#[expect(unsafe_code, reason = "calls routines")]
fn turning(c: &mut Criterion) {
    let shape = TurnShape { rows: 64, middle: 1, columns: 784 };
    let len = shape.rows * shape.columns;
    let mut tensors = [len; 2].map(numbers);
    let [from, to] = tensors.each_mut().map(|tensor| tensor.as_mut_ptr());
    let mut group = c.benchmark_group("turn");
    let _ = group.throughput(Throughput::Bytes(8 * len as u64));
    let _ = group.bench_function("64x784", |bench| {
        let from = [from.cast_const(), std::ptr::null(), std::ptr::null()];
        // SAFETY: the vectors are as large as the shape says.
        bench.iter(|| unsafe { turn(Isa::best())(&shape, &from, to, std::ptr::null_mut(), 0, shape.extent()) });
    });
    group.finish();
}

criterion_group!(
    benches,
    peak,
    copies,
    functions,
    products,
    quantiles,
    convolutions,
    poolings,
    tables,
    scattered_products,
    turning
);
criterion_main!(benches);
