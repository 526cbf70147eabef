//! The derivatives of ops that move elements: each is the transpose of another.

use super::Sweep;
use crate::tir::Value;
use crate::tir::build::{Build, left_out};

/// What was written between and around is left out.
pub fn pad(s: &mut Sweep, lo: &[usize], gap: &[usize], a: Value, ct: Value) {
    let shape = s.build.ty(a).shape.clone();
    let step = gap.iter().map(|gap| gap + 1).collect();
    s.give(a, |f| f.slice(lo.to_vec(), step, ct, shape));
}

/// What was left out gets 0.
pub fn slice(s: &mut Sweep, start: &[usize], step: &[usize], a: Value, ct: Value) {
    let around = left_out(start, step, &s.build.ty(ct).shape, &s.build.ty(a).shape);
    s.give(a, |f| f.pad(0.0, around, ct));
}

/// Each part gets its own share.
pub fn concat(s: &mut Sweep, parts: &[Value], axis: usize, ct: Value) {
    let mut start = vec![0; s.build.ty(ct).rank()];
    for part in parts {
        let shape = s.build.ty(*part).shape.clone();
        let len = shape[axis];
        let step = vec![1; shape.len()];
        s.give(*part, |f| f.slice(start.clone(), step, ct, shape));
        start[axis] += len;
    }
}

/// Each row gets what every place got that it was copied to.
pub fn gather(s: &mut Sweep, batch: usize, table: Value, index: Value, ct: Value) {
    let rows = s.build.ty(table).shape[batch];
    s.give(table, |f| f.scatter(batch, ct, index, rows));
}

/// Each value gets what the row got that it was added to.
pub fn scatter(s: &mut Sweep, batch: usize, values: Value, index: Value, ct: Value) {
    s.give(values, |f| f.gather(batch, ct, index));
}
