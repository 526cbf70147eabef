//! Runs LIR one element at a time, in `f32`: slow, and the meaning of every step for the tests.
//!
//! Slices run in order, each doing its part of all calls of a step, as one thread would.

use std::ops::Range;

use spnc_runtime::kernels::conv;
use spnc_runtime::random;

use super::{
    BufferId, Call, Cut, DType, Def, Fold, Func, Gemm, Inst, Kernel, Matrix, Module, PANEL, Phase, Place, Quantile,
    Routine, Run, Task, Terms,
};

mod routine;

/// The memory of a program.
#[derive(Clone, Debug)]
pub struct Arena {
    /// Elements, four bytes each.
    words: Vec<u32>,
}

impl Arena {
    /// Memory filled with a pattern that is no number, so that reading what nobody wrote shows.
    pub fn new(module: &Module) -> Arena {
        Arena { words: vec![u32::MAX; module.arena / 4] }
    }

    /// Writes numbers to a buffer, in its element type.
    pub fn write(&mut self, module: &Module, id: BufferId, numbers: impl IntoIterator<Item = f64>) {
        let buffer = module.buffer(id);
        for (word, number) in self.words[buffer.offset / 4..][..buffer.len].iter_mut().zip(numbers) {
            *word = to_word(number, buffer.dtype);
        }
    }

    /// The numbers in a buffer.
    pub fn read(&self, module: &Module, id: BufferId) -> Vec<f64> {
        let buffer = module.buffer(id);
        let words = &self.words[buffer.offset / 4..][..buffer.len];
        words.iter().map(|word| from_word(*word, buffer.dtype)).collect()
    }

    /// Calls a function.
    pub fn run(&mut self, module: &Module, func: &Func) {
        for step in &func.steps {
            for slice in 0..step.slices {
                for (index, call) in step.calls.iter().enumerate() {
                    self.call(module, call, step.positions(module, index, slice));
                }
            }
        }
    }

    fn call(&mut self, module: &Module, call: &Call, range: Range<usize>) {
        match call {
            Call::Run(run) => self.kernel(module, run, range),
            Call::Gemm(gemm) => self.gemm(module, gemm, range),
            Call::Quantile(quantile) if !range.is_empty() => self.quantile(module, quantile),
            Call::Routine(call) if range.contains(&0) && does_all(&call.task) => self.routine(module, call),
            Call::Quantile(_) | Call::Routine(_) => {}
        }
    }

    fn kernel(&mut self, module: &Module, run: &Run, range: Range<usize>) {
        let kernel = module.kernel(run.kernel);
        let args = run.args.iter().map(|place| first_word(module, *place)).collect();
        let n_values = kernel.phases.iter().map(|phase| phase.defs.len()).sum();
        let mut frame = Frame { kernel, args, values: vec![0; n_values] };
        for row in points(&kernel.rows) {
            if kernel.rows.is_empty() && !range.is_empty() || row.first().is_some_and(|first| range.contains(first)) {
                frame.row(&mut self.words, &row);
            }
        }
    }

    fn gemm(&mut self, module: &Module, gemm: &Gemm, range: Range<usize>) {
        let cut = |cut, extent| if gemm.cut == cut { range.clone() } else { 0..extent };
        let at = |matrix: &Matrix, stack: usize, row: usize, col: usize| {
            first_word(module, matrix.place) + stack * matrix.stack + row * matrix.row + col * matrix.col
        };
        let of_second = |stack: usize, row: usize, col: usize| match gemm.in_panels {
            true => at(&gemm.b, stack, row, col / PANEL) + col % PANEL,
            false => at(&gemm.b, stack, row, col),
        };
        let Terms { count, a: to_a, b: to_b } = gemm.terms;
        for stack in cut(Cut::Stack, gemm.stack) {
            for row in cut(Cut::Rows, gemm.m) {
                for col in cut(Cut::Cols, gemm.n) {
                    let product = |(term, k)| {
                        let [a, b] = [at(&gemm.a, stack, row, k) + term * to_a, of_second(stack, k, col) + term * to_b];
                        self.f32(a) * self.f32(b)
                    };
                    let sum: f32 = (0..count).flat_map(|term| (0..gemm.k).map(move |k| (term, k))).map(product).sum();
                    self.words[at(&gemm.c, stack, row, col)] = sum.to_bits();
                }
            }
        }
    }

    /// All of it at once: a routine that is cut stands alone in its step.
    fn routine(&mut self, module: &Module, call: &Routine) {
        let spans = call.from.iter().zip(call.task.operands());
        let operands: Vec<&[u32]> =
            spans.map(|(place, (len, _))| &self.words[first_word(module, *place)..][..len]).collect();
        let to = first_word(module, call.to);
        let mut result = vec![0; call.task.result().0];
        routine::run(&call.task, &operands, &mut result);
        self.words[to..to + result.len()].copy_from_slice(&result);
    }

    fn f32(&self, word: usize) -> f32 {
        f32::from_bits(self.words[word])
    }

    fn quantile(&mut self, module: &Module, quantile: &Quantile) {
        let from = first_word(module, quantile.from);
        let mut sorted: Vec<f32> = (from..from + quantile.len).map(|word| self.f32(word)).collect();
        sorted.sort_by(f32::total_cmp);
        // Shares are compared as `f32` knows them, so that 0.85, which is a little more in `f32`, of 100 is 85.
        let share = self.f32(first_word(module, quantile.share));
        let reaches = |index: &usize| ((index + 1) as f64 / quantile.len as f64) as f32 >= share;
        let found = (0..quantile.len).find(reaches).unwrap_or(quantile.len - 1);
        self.words[first_word(module, quantile.to)] = sorted[found].to_bits();
    }
}

/// Of the phases of a convolution one does everything here.
fn does_all(task: &Task) -> bool {
    matches!(task, Task::Conv(_, conv::Phase::Compute, _)) || !matches!(task, Task::Conv(..))
}

fn first_word(module: &Module, place: Place) -> usize {
    module.buffer(place.buffer).offset / 4 + place.start
}

fn to_word(number: f64, dtype: DType) -> u32 {
    match dtype {
        DType::F32 => (number as f32).to_bits(),
        DType::I32 => (number as i32).cast_unsigned(),
        DType::Bool => {
            if number == 0.0 {
                0
            } else {
                u32::MAX
            }
        }
    }
}

fn from_word(word: u32, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(f32::from_bits(word)),
        DType::I32 => f64::from(word.cast_signed()),
        DType::Bool => f64::from(u8::from(word != 0)),
    }
}

/// All points of a box, the last dimension fastest.
fn points(sizes: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let total: usize = sizes.iter().product();
    (0..total).map(|position| {
        let mut rest = position;
        let mut point: Vec<usize> = sizes.iter().rev().map(|size| (rest % size, rest /= size).0).collect();
        point.reverse();
        point
    })
}

/// A kernel at work.
struct Frame<'a> {
    kernel: &'a Kernel,
    /// The word that each param points to.
    args: Vec<usize>,
    values: Vec<u32>,
}

impl Frame<'_> {
    fn row(&mut self, words: &mut [u32], row: &[usize]) {
        for (phase, start) in self.kernel.phases.iter().zip(self.kernel.phase_starts()) {
            self.start_folds(phase, start as usize);
            for inner in points(&phase.inner) {
                self.point(words, phase, start as usize, &[row, &inner].concat());
            }
        }
    }

    fn start_folds(&mut self, phase: &Phase, start: usize) {
        for (def, value) in phase.defs.iter().zip(&mut self.values[start..]) {
            if let Inst::Fold(fold, _) = def.inst {
                *value = to_word(nothing(fold), def.dtype);
            }
        }
    }

    fn point(&mut self, words: &mut [u32], phase: &Phase, start: usize, point: &[usize]) {
        for (index, def) in phase.defs.iter().enumerate() {
            let number = self.def(words, start + index, def, point);
            self.values[start + index] = number;
        }
        for store in &phase.stores {
            words[self.args[store.param.0 as usize] + offset(&store.strides, point)] =
                self.values[store.value.0 as usize];
        }
    }

    fn def(&self, words: &[u32], index: usize, def: &Def, point: &[usize]) -> u32 {
        let number = |value: super::Value| from_word(self.values[value.0 as usize], self.kernel.def(value).0.dtype);
        let result = match &def.inst {
            Inst::Load(param, strides) => return words[self.args[param.0 as usize] + offset(strides, point)],
            Inst::Const(number) => *number,
            Inst::Index(dim) => point[*dim] as f64,
            Inst::Unary(unary, a) => unary.apply(number(*a)),
            Inst::Binary(binary, a, b) => binary.apply(number(*a), number(*b)),
            Inst::Select(c, a, b) => {
                if number(*c) == 0.0 {
                    number(*b)
                } else {
                    number(*a)
                }
            }
            Inst::Convert(a) => number(*a),
            Inst::Uniform { seed, step, site, strides } => {
                let position = offset(strides, point) as u64;
                f64::from(random::uniform(number(*seed) as i32, number(*step) as i32, *site, position))
            }
            Inst::Fold(fold, a) => combine(*fold, from_word(self.values[index], def.dtype), number(*a)),
        };
        to_word(result, def.dtype)
    }
}

fn offset(strides: &[usize], point: &[usize]) -> usize {
    strides.iter().zip(point).map(|(stride, position)| stride * position).sum()
}

/// What a fold starts from.
fn nothing(fold: Fold) -> f64 {
    match fold {
        Fold::Sum => 0.0,
        Fold::Max => f64::NEG_INFINITY,
        Fold::Min => f64::INFINITY,
    }
}

fn combine(fold: Fold, so_far: f64, next: f64) -> f64 {
    match fold {
        Fold::Sum => so_far + next,
        Fold::Max => so_far.max(next),
        Fold::Min => so_far.min(next),
    }
}
