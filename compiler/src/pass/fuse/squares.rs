//! Sums of squared distances, in one walk through memory.
//!
//! `sum (x - m)^2` over images and pixels, where the mean `m` is itself a sum over `x`, would be a second walk. It is, for any
//! `m` that is the same along the axes of the sum, also `sum_b (sum_p (x - m_b)^2 + n (m_b - m)^2)` with the mean `m_b` of the `n`
//! pixels of image `b`: an image is small enough to be still in the cache when its squares are summed, and no digits
//! are lost.

use super::split::goes_by_images;
use crate::scalar::Binary;
use crate::tir::build::{Build, Builder};
use crate::tir::{Func, Op, Reduction, Value};

/// The function with such sums written image by image.
pub fn run(func: &Func) -> Func {
    let mut out = Func::new(func.name.clone());
    let mut map: Vec<Value> = Vec::with_capacity(func.defs.len());
    for value in func.values() {
        let mut def = func.def(value).clone();
        for operand in def.op.operands_mut() {
            *operand = map[operand.0 as usize];
        }
        let found = Squares::find(&out, &def.op);
        map.push(match found {
            Some(squares) => squares.build(&mut Builder { func: &mut out, origin: def.origin }),
            None => out.push(def.op, def.ty, def.origin),
        });
    }
    out.results = func.results.iter().map(|(name, value)| (name.clone(), map[value.0 as usize])).collect();
    out
}

/// The sum of `(x - m)^2` along the first axes, some.
struct Squares {
    x: Value,
    m: Value,
    n_axes: usize,
}

impl Squares {
    fn find(func: &Func, op: &Op) -> Option<Squares> {
        let Op::Reduce(Reduction::Sum, square, axes) = op else { return None };
        let Op::Binary(Binary::Mul, a, b) = func.def(*square).op else { return None };
        let Op::Binary(Binary::Sub, x, mean) = func.def(a).op else { return None };
        let Op::Broadcast(m, dims) = &func.def(mean).op else { return None };
        let last = dims.iter().copied().eq(axes.len()..func.ty(x).rank());
        let fits = a == b && last && goes_by_images(&func.ty(x).shape, axes) && sums(func, *m, x);
        fits.then_some(Squares { x, m: *m, n_axes: axes.len() })
    }

    fn build(&self, build: &mut Builder<'_>) -> Value {
        let shape = build.ty(self.x).shape.clone();
        let pixels: Vec<usize> = (1..self.n_axes).collect();
        let n: usize = shape[1..self.n_axes].iter().product();
        let kept: Vec<usize> = std::iter::once(0).chain(self.n_axes..shape.len()).collect();
        let sum = build.reduce(Reduction::Sum, self.x, pixels.clone());
        let share = build.constant_like(1.0 / n as f64, sum);
        let mean = build.mul(sum, share);
        let means = build.broadcast(mean, kept, shape);
        let near = square_of_difference(build, self.x, means);
        let near = build.reduce(Reduction::Sum, near, pixels);
        let images = build.ty(mean).shape.clone();
        let all = build.broadcast(self.m, (1..images.len()).collect(), images);
        let far = square_of_difference(build, mean, all);
        let times = build.constant_like(n as f64, far);
        let far = build.mul(far, times);
        let of_images = build.add(near, far);
        build.reduce(Reduction::Sum, of_images, vec![0])
    }
}

fn square_of_difference(build: &mut Builder<'_>, a: Value, b: Value) -> Value {
    let difference = build.binary(Binary::Sub, a, b);
    build.mul(difference, difference)
}

/// Whether a multiple of a sum over `x` is what `value` is.
fn sums(func: &Func, value: Value, x: Value) -> bool {
    let op = &func.def(value).op;
    let known = |value: &Value| sums(func, *value, x);
    match op {
        Op::Reduce(Reduction::Sum, of, _) => *of == x,
        Op::Binary(Binary::Mul | Binary::Div, a, b) => known(a) || known(b),
        Op::Reshape(a) => known(a),
        Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Unary(..) | Op::Binary(..) | Op::Select(..) => false,
        Op::Convert(_) | Op::Broadcast(..) | Op::Transpose(..) | Op::Reduce(..) | Op::Contract(..) => false,
        Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } | Op::Pad { .. } => false,
        Op::Slice { .. } | Op::Concat(..) | Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) => false,
        Op::CumSum { .. } | Op::Sparse { .. } | Op::Uniform { .. } | Op::Quantile(..) => false,
        Op::WithGradient(..) | Op::Grad(..) => false,
    }
}
