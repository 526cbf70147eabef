//! How the sizes of a network hang together: which positions along an axis of one value stand and fall with which positions of another.
//!
//! A position of an axis can go where nothing of it is alive, and only together with all positions that are linked to it. So a link says
//! that two runs of positions are kept alike; positions grow together until nothing changes.

use std::ops::Range;

use super::facts::{Facts, shape};
use super::values::Values;
use crate::model::{ExprId, Node, Op, Reduction, Size};
use crate::window::ConvRole;

/// An axis of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The value, as an index into [`Values`].
    pub value: usize,
    /// Its axis.
    pub axis: usize,
}

/// Something that kept positions keep to.
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// `len` positions from `from` on are kept as those of the other.
    Alike {
        /// The one axis, and its first position.
        a: (At, usize),
        /// The other axis, and its first position.
        b: (At, usize),
        /// How many positions.
        len: usize,
    },
    /// Two runs of axes hold the same elements in row-major order.
    Reshaped {
        /// Axes of the one value.
        a: (usize, Range<usize>),
        /// Axes of the other.
        b: (usize, Range<usize>),
    },
    /// All positions stay.
    Whole {
        /// The axis.
        at: At,
        /// Why.
        why: &'static str,
    },
    /// What the inner one keeps, the outer one has.
    Has {
        /// What there is.
        outer: At,
        /// What is taken of it.
        inner: At,
    },
}

/// Collects the links of a network.
pub struct Links<'a> {
    facts: &'a Facts<'a>,
    values: &'a Values,
    links: Vec<Link>,
}

const MOVES: &str = "what looks along it needs every position";
const COMBINED: &str = "all of it is combined into one number";
const DATA: &str = "the data have it";
const OUTPUT: &str = "it is what the model returns";
/// Why height and width of filters stay.
pub const WINDOW: &str = "a window slides over it";
const GROUPS: &str = "its channels are convolved in groups";

impl<'a> Links<'a> {
    /// All links of the network.
    pub fn of(facts: &'a Facts<'a>, values: &'a Values) -> Vec<Link> {
        let mut links = Links { facts, values, links: vec![] };
        for &id in &facts.cone {
            links.node(id);
        }
        for output in &facts.model.outputs {
            links.whole(output.value, OUTPUT);
        }
        for cut in &values.cuts {
            for axis in 0..shape(facts.node(cut.expr)).len() {
                let at = |value| At { value, axis };
                let (outer, inner) = (at(values.of(cut.expr)), at(cut.value));
                links.links.push(if axis == cut.axis { Link::Has { outer, inner } } else { links.alike(outer, inner) });
            }
        }
        links.links
    }

    fn node(&mut self, id: ExprId) {
        let node = self.facts.node(id);
        if self.facts.params.contains_key(&id) || self.facts.baked.contains_key(&id) {
            return;
        }
        match &node.op {
            Op::Param(_) | Op::State(_) | Op::Const(_) | Op::SizeOf(_) | Op::Clock(_) => {}
            Op::Field(..) => self.whole(id, DATA),
            Op::Literal(_) => self.whole(id, "it comes from a file"),
            Op::Iota(axis) => self.links.push(Link::Whole { at: self.own(id, *axis), why: MOVES }),
            Op::Gradient(_) | Op::Uniform { .. } => self.whole(id, MOVES),
            Op::Unary(..) | Op::Convert(_) | Op::Binary(..) | Op::Select(..) => self.elementwise(id),
            Op::WithGradient(a, _) => self.same_axes(id, *a, 0..node.ty.axes.len()),
            Op::Broadcast(a, dims) => dims.iter().enumerate().for_each(|(i, dim)| self.pair(id, (*a, i), *dim)),
            Op::Transpose(a, perm) => perm.iter().enumerate().for_each(|(i, from)| self.pair(id, (*a, *from), i)),
            Op::Reshape(a) => self.reshape(id, *a),
            Op::Reduce(by, a, axes) => self.reduce(id, *by, *a, axes),
            Op::Contract { lhs, rhs, out, a, b } => self.contract(id, (lhs, *a), (rhs, *b), out),
            Op::Conv { role, groups, x, w, .. } => self.conv(id, *role, *groups, *x, *w),
            Op::Pool(_, _, a) => self.images(id, *a),
            Op::Pad { lo, a, .. } => self.part(id, *a, lo),
            Op::Slice { start, step, a } => self.slice(id, *a, start, step),
            Op::Concat(parts, axis) => self.concat(id, parts, *axis),
            Op::Gather { batch, table, index } => self.gather(id, *batch, *table, *index),
            Op::TopK(a, _) | Op::CumSum(a, _) => self.rigid(id, &[*a]),
            Op::Quantile(a, b) => self.rigid(id, &[*a, *b]),
        }
    }

    /// An axis of what an expression computes.
    fn own(&self, id: ExprId, axis: usize) -> At {
        At { value: self.values.of(id), axis }
    }

    /// An axis of an operand, as `user` sees it.
    fn seen(&self, user: ExprId, id: ExprId, axis: usize) -> At {
        At { value: self.values.seen(&self.facts.node(user).path, id), axis }
    }

    fn len(&self, at: At) -> usize {
        self.values.shapes[at.value][at.axis]
    }

    fn alike(&self, a: At, b: At) -> Link {
        Link::Alike { a: (a, 0), b: (b, 0), len: self.len(a).min(self.len(b)) }
    }

    fn whole(&mut self, id: ExprId, why: &'static str) {
        let axes = 0..shape(self.facts.node(id)).len();
        axes.for_each(|axis| self.links.push(Link::Whole { at: self.own(id, axis), why }));
    }

    fn whole_seen(&mut self, user: ExprId, id: ExprId, why: &'static str) {
        let axes = 0..shape(self.facts.node(id)).len();
        axes.for_each(|axis| self.links.push(Link::Whole { at: self.seen(user, id, axis), why }));
    }

    /// Axis `axis` of the result is this axis of an operand.
    fn pair(&mut self, id: ExprId, (operand, from): (ExprId, usize), axis: usize) {
        let (a, b) = (self.own(id, axis), self.seen(id, operand, from));
        // A constant that several places share has the size of each of them.
        let is_constant = matches!(self.facts.node(operand).op, Op::Const(_));
        if self.len(a) == self.len(b) && !is_constant {
            self.links.push(self.alike(a, b));
        }
    }

    fn same_axes(&mut self, id: ExprId, operand: ExprId, axes: impl Iterator<Item = usize>) {
        axes.for_each(|axis| self.pair(id, (operand, axis), axis));
    }

    fn elementwise(&mut self, id: ExprId) {
        for operand in self.facts.operands(id) {
            self.same_axes(id, operand, 0..self.facts.node(id).ty.axes.len());
        }
    }

    fn rigid(&mut self, id: ExprId, operands: &[ExprId]) {
        self.whole(id, MOVES);
        operands.iter().for_each(|operand| self.whole_seen(id, *operand, MOVES));
    }

    fn reshape(&mut self, id: ExprId, a: ExprId) {
        let (from, to) = (self.values.seen(&self.facts.node(id).path, a), self.values.of(id));
        for (left, right) in factors(&self.values.shapes[from], &self.values.shapes[to]) {
            self.links.push(Link::Reshaped { a: (from, left), b: (to, right) });
        }
    }

    fn reduce(&mut self, id: ExprId, by: Reduction, a: ExprId, axes: &[usize]) {
        let kept: Vec<usize> = (0..shape(self.facts.node(a)).len()).filter(|axis| !axes.contains(axis)).collect();
        kept.iter().enumerate().for_each(|(to, from)| self.pair(id, (a, *from), to));
        // A mean divides by the size.
        let why = match by {
            Reduction::Sum | Reduction::Max | Reduction::Min => COMBINED,
        };
        axes.iter().for_each(|axis| self.links.push(Link::Whole { at: self.seen(id, a, *axis), why }));
    }

    fn contract(&mut self, id: ExprId, (lhs, a): (&[u8], ExprId), (rhs, b): (&[u8], ExprId), out: &[u8]) {
        let sides: Vec<(u8, At)> = lhs
            .iter()
            .enumerate()
            .map(|(axis, label)| (*label, self.seen(id, a, axis)))
            .chain(rhs.iter().enumerate().map(|(axis, label)| (*label, self.seen(id, b, axis))))
            .chain(out.iter().enumerate().map(|(axis, label)| (*label, self.own(id, axis))))
            .collect();
        for (i, (label, at)) in sides.iter().enumerate() {
            if let Some((_, other)) = sides[i + 1..].iter().find(|(other, _)| other == label) {
                self.links.push(self.alike(*at, *other));
            }
        }
    }

    /// Batch and channels as they are, height and width whole.
    fn images(&mut self, id: ExprId, x: ExprId) {
        self.same_axes(id, x, 0..2);
        self.planes(id, x);
    }

    fn planes(&mut self, id: ExprId, x: ExprId) {
        for axis in 2..4 {
            let (own, seen) = (self.own(id, axis), self.seen(id, x, axis));
            self.links.extend([own, seen].map(|at| Link::Whole { at, why: WINDOW }));
        }
    }

    fn conv(&mut self, id: ExprId, role: ConvRole, groups: usize, x: ExprId, w: ExprId) {
        self.pair(id, (x, 0), 0);
        self.planes(id, x);
        let w_axis = |links: &Self, axis| links.seen(id, w, axis);
        for axis in 2..4 {
            self.links.push(Link::Whole { at: w_axis(self, axis), why: WINDOW });
        }
        let (ins, outs) = (self.seen(id, x, 1), self.own(id, 1));
        let [from, to] = match role {
            ConvRole::Forward | ConvRole::ByWeight => [1, 0],
            ConvRole::ByInput => [0, 1],
        };
        if groups == 1 {
            self.links.push(self.alike(ins, w_axis(self, from)));
            self.links.push(self.alike(outs, w_axis(self, to)));
        } else if groups == self.len(ins) && groups == self.len(outs) {
            self.links.push(self.alike(ins, w_axis(self, 0)));
            self.links.push(self.alike(ins, outs));
        } else {
            let all = [ins, outs, w_axis(self, 0), w_axis(self, 1)];
            self.links.extend(all.map(|at| Link::Whole { at, why: GROUPS }));
        }
    }

    /// The operand is a part of the result, from these positions on.
    fn part(&mut self, id: ExprId, a: ExprId, from: &[usize]) {
        for (axis, &from) in from.iter().enumerate() {
            let (own, seen) = (self.own(id, axis), self.seen(id, a, axis));
            self.links.push(Link::Alike { a: (own, from), b: (seen, 0), len: self.len(seen) });
        }
    }

    fn slice(&mut self, id: ExprId, a: ExprId, start: &[usize], step: &[usize]) {
        for axis in 0..start.len() {
            let (own, seen) = (self.own(id, axis), self.seen(id, a, axis));
            if step[axis] == 1 || self.len(own) == 1 {
                self.links.push(Link::Alike { a: (own, 0), b: (seen, start[axis]), len: self.len(own) });
            } else {
                self.links.extend([own, seen].map(|at| Link::Whole { at, why: MOVES }));
            }
        }
    }

    fn concat(&mut self, id: ExprId, parts: &[ExprId], axis: usize) {
        let mut from = 0;
        for part in parts {
            let rank = self.facts.node(id).ty.axes.len();
            self.same_axes(id, *part, (0..rank).filter(|own| *own != axis));
            let (own, seen) = (self.own(id, axis), self.seen(id, *part, axis));
            self.links.push(Link::Alike { a: (own, from), b: (seen, 0), len: self.len(seen) });
            from += self.len(seen);
        }
    }

    fn gather(&mut self, id: ExprId, batch: usize, table: ExprId, index: ExprId) {
        let picked = shape(self.facts.node(index)).len();
        (0..picked).for_each(|axis| self.pair(id, (index, axis), axis));
        (0..batch).for_each(|axis| self.pair(id, (table, axis), axis));
        self.links.push(Link::Whole { at: self.seen(id, table, batch), why: "numbers choose its rows" });
        for axis in batch + 1..shape(self.facts.node(table)).len() {
            self.pair(id, (table, axis), picked + axis - batch - 1);
        }
    }
}

/// The shortest runs of axes of two shapes that hold as many elements: `[2, 3, 4]` and `[6, 4]` give `0..2`, `0..1` and `2..3`, `1..2`.
fn factors(a: &[usize], b: &[usize]) -> Vec<(Range<usize>, Range<usize>)> {
    let mut found = vec![];
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let (first_i, first_j) = (i, j);
        let (mut left, mut right) = (1, 1);
        loop {
            let is_left_next = i == first_i || (j > first_j && left < right);
            if i < a.len() && (is_left_next || j >= b.len()) {
                left *= a[i];
                i += 1;
            } else if j < b.len() {
                right *= b[j];
                j += 1;
            }
            let is_even = left == right && i > first_i && j > first_j;
            if is_even || (i >= a.len() && j >= b.len()) {
                break;
            }
        }
        found.push((first_i..i, first_j..j));
    }
    found
}

/// Whether the batch runs along an axis of a node.
pub fn is_batch(node: &Node, axis: usize) -> bool {
    node.ty.axes[axis].size == Size::Batch
}

#[cfg(test)]
mod tests {
    use super::factors;

    #[test]
    fn runs_of_axes_hold_as_many_elements() {
        assert_eq!(factors(&[2, 3, 4], &[6, 4]), [(0..2, 0..1), (2..3, 1..2)]);
        assert_eq!(factors(&[1, 16, 5, 5], &[1, 400]), [(0..1, 0..1), (1..4, 1..2)]);
        assert_eq!(factors(&[1, 28, 28], &[1, 1, 28, 28]), [(0..1, 0..1), (1..2, 1..3), (2..3, 3..4)]);
        assert_eq!(factors(&[7], &[1, 7]), [(0..1, 0..2)]);
        assert_eq!(factors(&[7, 1], &[7]), [(0..1, 0..1), (1..2, 1..1)]);
        assert_eq!(factors(&[], &[1]), [(0..0, 0..1)]);
    }
}
