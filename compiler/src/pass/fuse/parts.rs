//! Values that are put together in memory from parts: concatenations and padding.
//!
//! Each operand of a concatenation becomes a value of its own (a conversion to its own type), which is computed into its box of
//! the whole. Padding is the operand in one box and constants in those around it; where it also spreads elements apart, a
//! constant over all, and then the operand. (Running sums of integers are written as ones of numbers here, too.)

use std::collections::BTreeMap;

use super::index::contiguous;
use crate::tir::{DType, Def, Func, Op, Type, Value};

/// A value that is computed into a box of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which one it is a part of.
    pub whole: Value,
    /// The element of the whole where the box begins.
    pub start: usize,
    /// How far one position along each axis of the part moves in the whole.
    pub strides: Vec<usize>,
    /// A part that must be there before, because this one overwrites some of it.
    pub over: Option<Value>,
}

/// The function with parts as values of their own, and what they are parts of.
pub fn run(func: &Func) -> (Func, BTreeMap<Value, Part>) {
    let mut cutting = Cutting { out: Func::new(func.name.clone()), parts: BTreeMap::new() };
    let mut map: Vec<Value> = Vec::with_capacity(func.defs.len());
    for value in func.values() {
        let mut def = func.def(value).clone();
        for operand in def.op.operands_mut() {
            *operand = map[operand.0 as usize];
        }
        map.push(cutting.push(def));
    }
    cutting.out.results = func.results.iter().map(|(name, value)| (name.clone(), map[value.0 as usize])).collect();
    (cutting.out, cutting.parts)
}

struct Cutting {
    out: Func,
    parts: BTreeMap<Value, Part>,
}

/// Where a part is in the whole: the first position along each axis.
type Corner = Vec<usize>;

impl Cutting {
    fn push(&mut self, def: Def) -> Value {
        let boxes = if let Op::Concat(operands, axis) = &def.op {
            self.concat(&def, operands, *axis)
        } else if let Op::Pad { value, lo, gap, a, .. } = &def.op {
            if gap.iter().any(|gap| *gap > 0) {
                return self.spread(&def, *value, lo, gap, *a);
            }
            self.pad(&def, *value, lo, *a)
        } else if let (Op::CumSum { a, axis, reverse }, DType::I32) = (&def.op, def.ty.dtype) {
            return self.count(&def, *a, *axis, *reverse);
        } else {
            return self.out.push(def.op, def.ty, def.origin);
        };
        let strides = contiguous(&def.ty.shape);
        let op = Op::Concat(boxes.iter().map(|(value, _)| *value).collect(), 0);
        let whole = self.out.push(op, def.ty, def.origin);
        for (value, corner) in boxes {
            let _ = self.parts.insert(value, part(whole, &corner, strides.clone()));
        }
        whole
    }

    /// A running sum of integers, as one of numbers: these hold every integer up to 2^24.
    fn count(&mut self, def: &Def, a: Value, axis: usize, reverse: bool) -> Value {
        let ty = def.ty.with_dtype(DType::F32);
        let a = self.out.push(Op::Convert(a), ty.clone(), def.origin.clone());
        let sum = self.out.push(Op::CumSum { a, axis, reverse }, ty, def.origin.clone());
        self.out.push(Op::Convert(sum), def.ty.clone(), def.origin.clone())
    }

    /// A value of its own.
    fn copy(&mut self, value: Value, like: &Def) -> Value {
        let ty = self.out.ty(value).clone();
        self.out.push(Op::Convert(value), ty, like.origin.clone())
    }

    fn constant(&mut self, number: f64, shape: Vec<usize>, like: &Def) -> Value {
        let number = self.out.push(Op::Const(number), Type::new(like.ty.dtype, shape), like.origin.clone());
        self.copy(number, like)
    }

    fn concat(&mut self, def: &Def, operands: &[Value], axis: usize) -> Vec<(Value, Corner)> {
        let mut corner = vec![0; def.ty.rank()];
        let place = |operand: &Value| {
            let size = self.out.ty(*operand).shape[axis];
            let at = corner.clone();
            corner[axis] += size;
            (self.copy(*operand, def), at)
        };
        operands.iter().map(place).collect()
    }

    /// The operand, and for each axis what is before and behind it: along the axes before as long as the operand, along those
    /// behind as long as the result.
    fn pad(&mut self, def: &Def, number: f64, lo: &[usize], a: Value) -> Vec<(Value, Corner)> {
        let inner = self.out.ty(a).shape.clone();
        let outer = def.ty.shape.clone();
        let mut boxes = vec![];
        for axis in 0..outer.len() {
            for (from, to) in [(0, lo[axis]), (lo[axis] + inner[axis], outer[axis])].into_iter().filter(|(a, b)| a < b)
            {
                let corner = [&lo[..axis], &[from], &vec![0; outer.len() - axis - 1]].concat();
                let shape = [&inner[..axis], &[to - from], &outer[axis + 1..]].concat();
                boxes.push((self.constant(number, shape, def), corner));
            }
        }
        boxes.push((self.copy(a, def), lo.to_vec()));
        boxes
    }

    /// A constant everywhere, then the operand's elements apart from each other.
    fn spread(&mut self, def: &Def, number: f64, lo: &[usize], gap: &[usize], a: Value) -> Value {
        let all = self.constant(number, def.ty.shape.clone(), def);
        let copy = self.copy(a, def);
        let strides = contiguous(&def.ty.shape);
        let apart = strides.iter().zip(gap).map(|(stride, gap)| stride * (gap + 1)).collect();
        let whole = self.out.push(Op::Concat(vec![all, copy], 0), def.ty.clone(), def.origin.clone());
        let spread = Part { strides: apart, over: Some(all), ..part(whole, lo, strides.clone()) };
        let _ = self.parts.insert(copy, spread);
        let _ = self.parts.insert(all, part(whole, &vec![0; lo.len()], strides));
        whole
    }
}

fn part(whole: Value, corner: &[usize], strides: Vec<usize>) -> Part {
    let start = corner.iter().zip(&strides).map(|(position, stride)| position * stride).sum();
    Part { whole, start, strides, over: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boxes_of_a_padded_value_cover_it_once() {
        let mut func = Func::new("f");
        let x = func.push(Op::Param("x".into()), Type::f32([2, 3]), None);
        let pad = Op::Pad { value: 0.0, lo: vec![1, 0], hi: vec![1, 2], gap: vec![0, 0], a: x };
        let y = func.push(pad, Type::f32([4, 5]), None);
        func.results.push(("y".into(), y));
        let (func, parts) = run(&func);
        let mut covered = vec![0; 20];
        for (value, part) in &parts {
            let [rows, cols] = func.ty(*value).shape[..] else { panic!("a matrix") };
            for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
                covered[part.start + row * part.strides[0] + col * part.strides[1]] += 1;
            }
        }
        assert_eq!(covered, vec![1; 20]);
    }
}
