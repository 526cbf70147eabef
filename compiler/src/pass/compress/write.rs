//! Writing a function on the elements of a pattern.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::demand::{Demand, Factor, factor, is_direct};
use super::outside::Facts;
use super::{Pattern, Stored, Table, Use};
use crate::pass::rewrite::{elementwise, with_operands};
use crate::tir::build::{Build, Builder};
use crate::tir::{DType, Einsum, Func, Op, Origin, Reduction, Type, Value};

/// A function with a pattern in use.
pub struct Written {
    /// The function.
    pub func: Func,
    /// What is stored.
    pub stored: Vec<Stored>,
    /// The tables that it takes.
    pub tables: Vec<Table>,
    /// The new whole values by the old ones.
    pub whole: BTreeMap<Value, Value>,
}

/// Writes `func` with a pattern in use. Nothing is stored for one that moves.
pub fn run(func: &Func, pattern: &Pattern, of: &Use, prefix: &str) -> Written {
    let facts = Facts::of(func, &pattern.mask, pattern.shape, &|name| of.zeros.contains(name));
    let demand = if pattern.moves { Demand::with(&facts, BTreeSet::new()) } else { Demand::of(&facts, &of.zeros) };
    let mut writer = Writer {
        old: func,
        new: Func::new(func.name.clone()),
        facts: &facts,
        demand: &demand,
        shape: pattern.shape,
        of,
        prefix,
        whole: BTreeMap::new(),
        within: BTreeMap::new(),
        tables: BTreeMap::new(),
        origin: None,
    };
    func.values().for_each(|value| writer.write(value));
    let stored = writer.write_results();
    let Writer { new, tables, whole, .. } = writer;
    Written { func: new, stored, tables: tables.into_keys().collect(), whole }
}

struct Writer<'a> {
    old: &'a Func,
    new: Func,
    facts: &'a Facts<'a>,
    demand: &'a Demand,
    shape: [usize; 2],
    of: &'a Use,
    prefix: &'a str,
    /// The new values that are as large as the old ones.
    whole: BTreeMap<Value, Value>,
    /// Their elements within the pattern: vectors.
    within: BTreeMap<Value, Value>,
    tables: BTreeMap<Table, Value>,
    origin: Option<Arc<Origin>>,
}

impl Writer<'_> {
    fn build(&mut self) -> Builder<'_> {
        Builder { func: &mut self.new, origin: self.origin.clone() }
    }

    /// A table of the pattern, an input.
    fn table(&mut self, table: Table) -> Value {
        let ty = Type::new(DType::I32, [table.len(self.shape, self.of.non_zeros)]);
        let name = format!("{}.{}", self.prefix, table.suffix());
        let new = &mut self.new;
        *self.tables.entry(table).or_insert_with(|| new.push(Op::Param(name.into()), ty, None))
    }

    /// A value that is made of its elements comes behind them, any other one before.
    fn write(&mut self, value: Value) {
        self.origin.clone_from(&self.old.def(value).origin);
        let [whole, within] = [&self.demand.whole, &self.demand.within].map(|of| of[value.0 as usize]);
        let is_put_back = whole && self.facts.is_put_back(value);
        if whole && !is_put_back {
            let new = self.write_whole(value);
            let _ = self.whole.insert(value, new);
        }
        if within {
            let new = self.write_within(value);
            let _ = self.within.insert(value, new);
        }
        if is_put_back {
            let new = self.put_back(value);
            let _ = self.whole.insert(value, new);
        }
    }

    /// The elements among zeros.
    fn put_back(&mut self, value: Value) -> Value {
        let (positions, elements, [rows, columns]) = (self.table(Table::Positions), self.within[&value], self.shape);
        let shape = self.old.ty(value).shape.clone();
        let mut build = self.build();
        let flat = build.scatter(0, elements, positions, rows * columns);
        build.reshape(flat, shape)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all other ops work on whole values")]
    fn write_whole(&mut self, value: Value) -> Value {
        let old = self.old;
        let def = old.def(value);
        match &def.op {
            Op::Reduce(Reduction::Sum, a, axes) if self.facts.sums_within(value, *a, axes) => self.sum(*a, axes),
            Op::Contract(einsum, a, b) => match factor(einsum, [*a, *b], self.facts) {
                Some(factor) => self.product(einsum, factor, if factor.is_first { *b } else { *a }),
                None => self.copy(value),
            },
            _ => self.copy(value),
        }
    }

    fn copy(&mut self, value: Value) -> Value {
        let def = self.old.def(value);
        let mut op = def.op.clone();
        op.operands_mut().into_iter().for_each(|operand| *operand = self.whole[operand]);
        self.new.push(op, def.ty.clone(), def.origin.clone())
    }

    /// Sums of elements within the pattern.
    fn sum(&mut self, a: Value, axes: &[usize]) -> Value {
        let (elements, shape) = (self.within[&a], &self.old.ty(a).shape);
        let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
        if kept.is_empty() {
            return self.build().reduce(Reduction::Sum, elements, vec![0]);
        }
        let index = self.table(Table::along(self.shape, shape, &kept));
        let sizes: Vec<usize> = kept.iter().map(|axis| shape[*axis]).collect();
        let mut build = self.build();
        let sums = build.scatter(0, elements, index, sizes.iter().product());
        build.reshape(sums, sizes)
    }

    /// The product of a matrix and the other operand of a contraction.
    fn product(&mut self, einsum: &Einsum, factor: Factor, other: Value) -> Value {
        let (own, others) = if factor.is_first { (&einsum.lhs, &einsum.rhs) } else { (&einsum.rhs, &einsum.lhs) };
        let [kept, summed] = [own[factor.kept], own[1 - factor.kept]];
        let order: Vec<u8> = std::iter::once(summed).chain(without(others, summed)).collect();
        let x = self.rows_of(self.whole[&other], others, &order);
        let table = if factor.kept == 0 { Table::ByRow } else { Table::ByColumn };
        let (pattern, elements) = (self.table(table), self.within[&factor.matrix]);
        let rows = self.shape[factor.kept];
        let product = self.build().sparse_product(elements, x, pattern, rows);
        let labels: Vec<u8> = std::iter::once(kept).chain(without(others, summed)).collect();
        let sizes = self.old.ty(other).shape.iter().zip(others).filter(|(_, label)| **label != summed);
        let shape = std::iter::once(rows).chain(sizes.map(|(size, _)| *size)).collect();
        let mut build = self.build();
        let product = build.reshape(product, shape);
        let place = |label: &u8| labels.iter().position(|l| l == label).expect("the result has these labels only");
        build.transpose(product, einsum.out.iter().map(place).collect())
    }

    /// A tensor as a matrix, its axes in this order of labels: the first one numbers the rows.
    fn rows_of(&mut self, value: Value, labels: &[u8], order: &[u8]) -> Value {
        let place = |label: &u8| labels.iter().position(|l| l == label).expect("an order of the labels");
        let perm: Vec<usize> = order.iter().map(place).collect();
        let mut build = self.build();
        let rows = build.ty(value).shape[perm[0]];
        let rest = build.ty(value).len() / rows.max(1);
        let turned = build.transpose(value, perm);
        build.reshape(turned, vec![rows, rest])
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the elements of all others are taken from the whole")]
    fn write_within(&mut self, value: Value) -> Value {
        let old = self.old;
        let def = old.def(value);
        let ty = Type::new(def.ty.dtype, [self.of.non_zeros]);
        if let Some(operands) = elementwise(&def.op) {
            let operands: Vec<Value> = operands.iter().map(|operand| self.within[operand]).collect();
            let op = with_operands(&def.op, &operands);
            return self.new.push(op, ty, def.origin.clone());
        }
        match &def.op {
            Op::Param(name) if self.demand.stored.contains(name) => {
                self.new.push(Op::Param(self.name_of(name)), ty, None)
            }
            Op::Const(number) => self.build().constant(*number, ty),
            Op::Reshape(a) => self.within[a],
            Op::Broadcast(a, dims) if is_direct(self.facts, value) => self.spread(self.whole[a], dims, value),
            Op::Contract(einsum, a, b) if is_direct(self.facts, value) => self.sampled(einsum, [*a, *b]),
            _ => self.taken(self.whole[&value]),
        }
    }

    fn name_of(&self, tensor: &str) -> Arc<str> {
        format!("{}.{tensor}", self.prefix).into()
    }

    /// The elements of what repeats a number, or numbers along some axes.
    fn spread(&mut self, a: Value, dims: &[usize], value: Value) -> Value {
        if dims.is_empty() {
            let count = self.of.non_zeros;
            return self.build().broadcast(a, vec![], vec![count]);
        }
        let index = self.table(Table::along(self.shape, &self.old.ty(value).shape, dims));
        let mut build = self.build();
        let count = build.ty(a).len();
        let flat = build.reshape(a, vec![count]);
        build.gather(0, flat, index)
    }

    /// The elements of the product of two matrices.
    fn sampled(&mut self, einsum: &Einsum, operands: [Value; 2]) -> Value {
        let sides = [&einsum.lhs, &einsum.rhs];
        let summed = || einsum.lhs.iter().copied().filter(|label| !einsum.out.contains(label));
        let [y, x] = [0, 1].map(|axis| {
            let label = einsum.out[axis];
            let side = usize::from(!einsum.lhs.contains(&label));
            let order: Vec<u8> = std::iter::once(label).chain(summed()).collect();
            self.rows_of(self.whole[&operands[side]], sides[side], &order)
        });
        let (pattern, count) = (self.table(Table::ByRow), self.of.non_zeros);
        self.build().sparse_sampled(y, x, pattern, count)
    }

    /// The elements of a whole value.
    fn taken(&mut self, value: Value) -> Value {
        let (positions, [rows, columns]) = (self.table(Table::Positions), self.shape);
        let mut build = self.build();
        let flat = build.reshape(value, vec![rows * columns]);
        build.gather(0, flat, positions)
    }

    fn write_results(&mut self) -> Vec<Stored> {
        for (name, value) in &self.old.results {
            let is_stored = self.demand.stored.contains(name);
            let result =
                if is_stored { (self.name_of(name), self.within[value]) } else { (name.clone(), self.whole[value]) };
            self.new.results.push(result);
        }
        let stored =
            |name: &Arc<str>| Stored { tensor: name.clone(), name: self.name_of(name), pattern: self.of.pattern };
        self.demand.stored.iter().map(stored).collect()
    }
}

fn without(labels: &[u8], label: u8) -> impl Iterator<Item = u8> {
    labels.iter().copied().filter(move |l| *l != label)
}
