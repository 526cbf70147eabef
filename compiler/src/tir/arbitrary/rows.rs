//! Random ops that choose, move or add up elements by their positions.

use super::{MAX_LEN, Maker, SIZES};
use crate::tir::build::Build;
use crate::tir::{DType, Value};

impl Maker<'_> {
    pub(super) fn moves(&mut self) {
        let a = self.pick_value(|_, _| true);
        match self.pick(3) {
            0 => self.pad(a),
            1 => self.slice(a),
            _ => self.concat(a),
        }
        self.note(true);
    }

    fn pad(&mut self, a: Value) {
        let rank = self.func.ty(a).rank();
        let [lo, hi, gap] = [[0, 1, 2], [0, 2, 1], [0, 0, 1]].map(|list| self.list(rank, &list));
        let value = match self.dtype(a) {
            DType::F32 => self.pick_of(&[0.0, 0.625]),
            DType::I32 => self.pick_of(&[0.0, -2.0]),
            DType::Bool => self.pick_of(&[0.0, 1.0]),
        };
        let shape = &self.func.ty(a).shape;
        let len: usize = (0..rank).map(|d| lo[d] + hi[d] + shape[d] * (gap[d] + 1)).product();
        if len <= MAX_LEN {
            let _ = self.func.pad(value, [lo, hi, gap], a);
        }
    }

    fn list(&mut self, rank: usize, of: &[usize]) -> Vec<usize> {
        (0..rank).map(|_| self.pick_of(of)).collect()
    }

    fn slice(&mut self, a: Value) {
        let shape = self.func.ty(a).shape.clone();
        let step = self.list(shape.len(), &[1, 1, 2]);
        let start: Vec<usize> = shape.iter().map(|size| self.pick(*size)).collect();
        let most = |d: usize| (shape[d] - 1 - start[d]) / step[d] + 1;
        let taken = (0..shape.len()).map(|d| most(d) - self.pick(most(d))).collect();
        let _ = self.func.slice(start, step, a, taken);
    }

    fn concat(&mut self, a: Value) {
        let shape = self.func.ty(a).shape.clone();
        if shape.is_empty() {
            return;
        }
        let axis = self.pick(shape.len());
        let mut parts = vec![a];
        for _ in 0..self.pick(3) {
            let part = self.pick_value(|maker, value| {
                let mut other = maker.func.ty(value).shape.clone();
                let has_axis = other.len() == shape.len();
                if has_axis {
                    other[axis] = shape[axis];
                }
                other == shape && maker.dtype(value) == maker.dtype(a)
            });
            parts.push(part);
        }
        let len: usize = parts.iter().map(|part| self.func.ty(*part).len()).sum();
        if len <= MAX_LEN {
            let _ = self.func.concat(parts, axis);
        }
    }

    pub(super) fn rows(&mut self) {
        match self.pick(4) {
            0 => self.gather(),
            1 => self.scatter(),
            2 => self.top_k(),
            _ => self.cumsum(),
        }
    }

    fn pick_index(&mut self) -> Value {
        self.pick_value(|maker, value| maker.dtype(value) == DType::I32 && maker.func.ty(value).rank() < 3)
    }

    fn gather(&mut self) {
        let index = self.pick_index();
        let table = self.pick_value(|maker, value| (1..4).contains(&maker.func.ty(value).rank()));
        let [shape, picked] = [table, index].map(|value| self.func.ty(value).shape.clone());
        let has_batch = shape.len() > 1 && picked.first() == Some(&shape[0]);
        let batch = if has_batch { self.pick(2) } else { 0 };
        let len = picked.iter().chain(&shape[batch + 1..]).product::<usize>();
        if len <= MAX_LEN {
            let _ = self.func.gather(batch, table, index);
        }
        self.note(true);
    }

    fn scatter(&mut self) {
        let index = self.pick_index();
        let picked = self.func.ty(index).shape.clone();
        let wanted = [picked.clone(), self.list(1, &[1, 2])].concat();
        let starts_so = |maker: &Self, value: Value| {
            maker.dtype(value) == DType::F32 && maker.func.ty(value).shape.starts_with(&picked)
        };
        let is_there = self.func.func.values().any(|value| starts_so(self, value));
        let values = if is_there { self.pick_value(starts_so) } else { self.resized(wanted) };
        let batch = if picked.len() > 1 { self.pick(2) } else { 0 };
        let rows = self.pick_of(&SIZES);
        let rest: usize = self.func.ty(values).shape[picked.len()..].iter().product();
        if picked[..batch].iter().product::<usize>() * rows * rest <= MAX_LEN {
            let _ = self.func.scatter(batch, values, index, rows);
        }
        self.note(false);
    }

    fn top_k(&mut self) {
        let a = self.pick_value(|maker, value| {
            maker.is_exact(value) && maker.dtype(value) == DType::F32 && maker.func.ty(value).rank() > 0
        });
        let last = *self.func.ty(a).shape.last().expect("it has axes");
        let k = self.pick(last + 1);
        let _ = self.func.top_k(a, k);
        self.note(true);
    }

    fn cumsum(&mut self) {
        let a = self.pick_value(|maker, value| maker.dtype(value) == DType::F32 && maker.func.ty(value).rank() > 0);
        let axis = self.pick(self.func.ty(a).rank());
        let reverse = self.pick(2) == 1;
        let _ = self.func.cumsum(a, axis, reverse);
        self.note(false);
    }
}
