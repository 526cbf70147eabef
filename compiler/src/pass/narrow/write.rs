//! Writing the functions of a [`Narrowing`]: the one that counts live positions, and the one that computes nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::mask::{Mask, Move};
use super::{Class, Classes, Narrowing};
use crate::pass::rewrite::elementwise;
use crate::scalar::Binary;
use crate::tir::build::{Build, Builder};
use crate::tir::{DType, Func, Op, Reduction, Type, Value};

/// See [`Narrowing::counts`].
pub fn counts(of: &Narrowing) -> Func {
    let mut writer = Writer::new(of, ".live", BTreeMap::new());
    writer.write_known();
    for (index, class) in of.classes.iter().enumerate() {
        let live = writer.indicator(class);
        let count = writer.build().reduce(Reduction::Sum, live, vec![0]);
        writer.func.results.push((format!("live.{index}").into(), count));
    }
    writer.func
}

/// See [`Narrowing::narrowed`].
pub fn narrowed(of: &Narrowing, capacities: &[usize]) -> Func {
    let around = |class: &Class| class.within.map_or(class.size, |within| capacities[within]);
    let cut = of.classes.iter().zip(capacities).enumerate().filter(|(_, (class, capacity))| **capacity < around(class));
    let room: BTreeMap<usize, usize> = cut.map(|(index, (_, capacity))| (index, *capacity)).collect();
    let mut writer = Writer::new(of, ".narrow", room);
    writer.write_known();
    writer.write_lists();
    for value in of.func.values().filter(|value| !of.facts.known[value.0 as usize]) {
        writer.write(value);
    }
    for (name, value) in &of.func.results {
        let whole = writer.whole(*value);
        writer.func.results.push((name.clone(), whole));
    }
    writer.func
}

/// For each axis of a value the class that it is cut by.
type Cuts = Vec<Option<usize>>;

struct Writer<'a> {
    of: &'a Narrowing,
    func: Func,
    /// The new values: of sampled ones cut, of all others whole.
    new: BTreeMap<Value, Value>,
    /// Room in the classes that are cut.
    room: BTreeMap<usize, usize>,
    /// The live positions of the classes that are cut: `i32[room]`.
    lists: BTreeMap<usize, Value>,
    /// What has been taken already.
    taken: BTreeMap<(Value, Cuts), Value>,
}

impl<'a> Writer<'a> {
    fn new(of: &'a Narrowing, suffix: &str, room: BTreeMap<usize, usize>) -> Writer<'a> {
        let func = Func::new(format!("{}{suffix}", of.func.name));
        Writer { of, func, new: BTreeMap::new(), room, lists: BTreeMap::new(), taken: BTreeMap::new() }
    }

    fn build(&mut self) -> Builder<'_> {
        Builder { func: &mut self.func, origin: None }
    }

    /// Definitions that masks are made of come first.
    fn write_known(&mut self) {
        for value in self.of.func.values().filter(|value| self.of.facts.known[value.0 as usize]) {
            self.copy(value);
        }
    }

    /// The definition as it is.
    fn copy(&mut self, value: Value) {
        let def = self.of.func.def(value);
        let mut op = def.op.clone();
        op.operands_mut().into_iter().for_each(|operand| *operand = self.new[operand]);
        let new = self.func.push(op, def.ty.clone(), def.origin.clone());
        let _ = self.new.insert(value, new);
    }

    /// Which positions are live: 1 or 0 in `f32[size]`.
    fn indicator(&mut self, class: &Class) -> Value {
        let live = self.mask(&class.live);
        self.build().convert(live, DType::F32)
    }

    fn mask(&mut self, mask: &Mask) -> Value {
        match mask {
            Mask::All => unreachable!("an axis that is alive everywhere has no class"),
            Mask::Vector(value) => {
                let vector = self.new[value];
                let mut build = self.build();
                if build.ty(vector).dtype == DType::Bool {
                    return vector;
                }
                let zero = build.constant_like(0.0, vector);
                build.binary(Binary::Ne, vector, zero)
            }
            Mask::Moved(by, of) => {
                let of = self.mask(of);
                self.moved(by, of)
            }
            Mask::Both(parts) => self.combined(parts, Binary::And),
            Mask::Either(parts) => self.combined(parts, Binary::Or),
        }
    }

    fn combined(&mut self, parts: &BTreeSet<Mask>, by: Binary) -> Value {
        let parts: Vec<Value> = parts.iter().map(|part| self.mask(part)).collect();
        let combine = |a, b| self.build().binary(by, a, b);
        parts.into_iter().reduce(combine).expect("a combination has parts")
    }

    /// A vector of bools where its positions go.
    fn moved(&mut self, by: &Move, mask: Value) -> Value {
        let mut build = self.build();
        let len = build.ty(mask).shape[0];
        match *by {
            Move::Pad { lo, hi, gap } => build.pad(0.0, [vec![lo], vec![hi], vec![gap]], mask),
            Move::Slice { start, step, len } => build.slice(vec![start], vec![step], mask, vec![len]),
            Move::Merge { outer, inner } => {
                let spread = build.broadcast(mask, vec![1], vec![outer, len, inner]);
                build.reshape(spread, vec![outer * len * inner])
            }
            Move::Split { outer, size } => {
                let numbers = build.convert(mask, DType::F32);
                let apart = build.reshape(numbers, vec![outer, size, len / (outer * size)]);
                let any = build.reduce(Reduction::Max, apart, vec![0, 2]);
                build.convert(any, DType::Bool)
            }
        }
    }

    fn write_lists(&mut self) {
        for (index, room) in self.room.clone() {
            let live = self.indicator(&self.of.classes[index]);
            let list = self.list(live, room);
            let _ = self.lists.insert(index, list);
        }
    }

    /// The first `room` positions, live ones before dead ones: each goes to the place that its rank says.
    fn list(&mut self, live: Value, room: usize) -> Value {
        let mut build = self.build();
        let ty = build.ty(live).clone();
        let one = build.constant(1.0, ty.clone());
        let dead = build.binary(Binary::Sub, one, live);
        let count = build.reduce(Reduction::Sum, live, vec![0]);
        let count = build.broadcast(count, vec![], ty.shape.clone());
        let [among_live, among_dead] = [live, dead].map(|which| build.cumsum(which, 0, false));
        let behind = build.add(count, among_dead);
        let is_live = build.convert(live, DType::Bool);
        let rank = build.select(is_live, among_live, behind);
        let place = build.binary(Binary::Sub, rank, one);
        let place = build.convert(place, DType::I32);
        let positions = build.push(Op::Iota(0), ty);
        let list = build.scatter(0, positions, place, room);
        build.convert(list, DType::I32)
    }

    /// A definition that depends on the data, on cut operands.
    fn write(&mut self, value: Value) {
        let (def, labels) = (self.of.func.def(value), &self.of.facts.labels[value.0 as usize]);
        let mut op = def.op.clone();
        for (operand, labels) in op.operands_mut().into_iter().zip(&labels.operands) {
            let cuts = labels.iter().map(|label| self.cut_by(value, *label)).collect();
            *operand = self.operand(*operand, &cuts);
        }
        let own = labels.result.iter().map(|label| self.cut_by(value, *label)).collect();
        let ty = self.cut_type(&def.ty, &own);
        if let Op::Conv { groups, .. } = &mut op
            && *groups > 1
            && let Some(class) = labels.operands[0].last().and_then(|label| self.cut_by(value, *label))
        {
            *groups = self.room[&class];
        }
        let new = self.func.push(op, ty, def.origin.clone());
        let new = if self.of.facts.sampled[value.0 as usize] {
            self.take(new, &self.own_cuts(value), &own)
        } else {
            // Who wants it cut like this need not take it out of the zeros again.
            let _ = self.taken.insert((value, own.clone()), new);
            self.put(new, &own)
        };
        let _ = self.new.insert(value, new);
    }

    /// How a definition is cut along the axes with a label in the new function.
    fn cut_by(&self, value: Value, label: Option<u8>) -> Option<usize> {
        self.class(*self.of.labels.get(&(value, label?))?)
    }

    /// How a value is cut in the new function.
    fn own_cuts(&self, value: Value) -> Cuts {
        let axes = 0..self.of.func.ty(value).rank();
        axes.map(|axis| self.of.axes.get(&(value, axis)).and_then(|classes| self.class(*classes))).collect()
    }

    /// The class that cuts: a branch's own comes first.
    fn class(&self, Classes { branch, stream }: Classes) -> Option<usize> {
        [branch, stream].into_iter().flatten().find(|class| self.room.contains_key(class))
    }

    fn cut_type(&self, ty: &Type, cuts: &Cuts) -> Type {
        let size = |(size, cut): (&usize, &Option<usize>)| cut.map_or(*size, |class| self.room[&class]);
        Type::new(ty.dtype, ty.shape.iter().zip(cuts).map(size).collect::<Vec<_>>())
    }

    /// An old value, cut like this.
    fn operand(&mut self, value: Value, cuts: &Cuts) -> Value {
        if !self.of.facts.sampled[value.0 as usize] {
            return self.cut(value, cuts);
        }
        if let Some(taken) = self.taken.get(&(value, cuts.clone())) {
            return *taken;
        }
        let own = self.own_cuts(value);
        let put_back = own.iter().zip(cuts).map(|(own, cut)| own.filter(|_| cut.is_none())).collect();
        let is_there = own.iter().zip(cuts).map(|(own, cut)| own.and(*cut)).collect();
        let mut new = self.put(self.new[&value], &put_back);
        for (axis, pair) in own.iter().zip(cuts).enumerate() {
            if let (Some(from), Some(to)) = pair
                && from != to
            {
                new = self.move_over(new, axis, *from, *to);
            }
        }
        let taken = self.take(new, cuts, &is_there);
        let _ = self.taken.insert((value, cuts.clone()), taken);
        taken
    }

    /// An old value that is whole, cut like this.
    fn cut(&mut self, value: Value, cuts: &Cuts) -> Value {
        if cuts.iter().all(Option::is_none) {
            return self.new[&value];
        }
        if let Some(taken) = self.taken.get(&(value, cuts.clone())) {
            return *taken;
        }
        let taken = self.cut_early(value, cuts);
        let _ = self.taken.insert((value, cuts.clone()), taken);
        taken
    }

    /// Cuts what a value is made of where that is less work.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only what has its elements from elsewhere can be cut early")]
    fn cut_early(&mut self, value: Value, cuts: &Cuts) -> Value {
        let def = self.of.func.def(value);
        let ty = self.cut_type(&def.ty, cuts);
        let mut op = def.op.clone();
        match &mut op {
            Op::Const(_) => {}
            Op::Broadcast(a, dims) => *a = self.cut(*a, &dims.iter().map(|dim| cuts[*dim]).collect()),
            Op::Transpose(a, perm) => {
                let mut below = vec![None; perm.len()];
                perm.iter().zip(cuts).for_each(|(axis, cut)| below[*axis] = *cut);
                *a = self.cut(*a, &below);
            }
            // A known vector is there as a whole.
            op if elementwise(op).is_some() && (def.ty.rank() > 1 || !self.of.facts.known[value.0 as usize]) => {
                op.operands_mut().into_iter().for_each(|operand| *operand = self.cut(*operand, cuts));
            }
            _ => return self.take(self.new[&value], cuts, &vec![None; cuts.len()]),
        }
        self.func.push(op, ty, def.origin.clone())
    }

    /// The live positions of a new value along the axes that are to be cut and are not.
    fn take(&mut self, value: Value, cuts: &Cuts, already: &Cuts) -> Value {
        let axes = (0..cuts.len()).filter(|axis| already[*axis].is_none());
        axes.fold(value, |value, axis| match cuts[axis] {
            Some(class) => {
                let index = self.index(class, axis, value);
                self.build().gather(axis, value, index)
            }
            None => value,
        })
    }

    /// A cut value among zeros.
    fn put(&mut self, value: Value, cuts: &Cuts) -> Value {
        let axes = (0..cuts.len()).rev();
        axes.fold(value, |value, axis| match cuts[axis] {
            Some(class) => {
                let (index, size) = (self.index(class, axis, value), self.of.classes[class].size);
                self.build().scatter(axis, value, index, size)
            }
            None => value,
        })
    }

    /// A value that is cut by one class, cut by another one along the same axis: zero where the first one has no place.
    fn move_over(&mut self, value: Value, axis: usize, from: usize, to: usize) -> Value {
        let (of, into) = (self.lists[&from], self.lists[&to]);
        let (room, size) = (self.room[&from], self.of.classes[from].size);
        let mut build = self.build();
        let ty = Type::new(DType::F32, vec![room]);
        let (number, one) = (build.push(Op::Iota(0), ty.clone()), build.constant(1.0, ty));
        let number = build.add(number, one);
        let places = build.scatter(0, number, of, size);
        let places = build.gather(0, places, into);
        let one = build.constant_like(1.0, places);
        let places = build.binary(Binary::Sub, places, one);
        let places = build.convert(places, DType::I32);
        let index = self.repeated(places, axis, value);
        self.build().gather(axis, value, index)
    }

    /// The list of a class, once for each position of the axes before.
    fn index(&mut self, class: usize, axis: usize, value: Value) -> Value {
        self.repeated(self.lists[&class], axis, value)
    }

    fn repeated(&mut self, list: Value, axis: usize, value: Value) -> Value {
        let shape = [&self.func.ty(value).shape[..axis], &self.func.ty(list).shape].concat();
        self.build().broadcast(list, vec![axis], shape)
    }

    /// A value as large as it was.
    fn whole(&mut self, value: Value) -> Value {
        let cuts = self.own_cuts(value);
        let new = self.new[&value];
        if self.of.facts.sampled[value.0 as usize] { self.put(new, &cuts) } else { new }
    }
}
