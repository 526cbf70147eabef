//! Reads TIR as formulas of single elements.

use super::poly::{Atom, Cond, Poly};
use crate::scalar::{Binary, Unary};
use crate::tir::build::complement;
use crate::tir::{DType, Einsum, Func, Op, Reduction, Value};

/// Reads values of one function.
pub struct Reader<'a> {
    func: &'a Func,
    /// The first axis of each value, in `parent`.
    first_axis: Vec<usize>,
    /// Axes that are the same one point to each other: a forest whose roots carry the names.
    parent: Vec<usize>,
    names: Vec<Option<String>>,
    /// How many more definitions may be read, each as often as it is used.
    patience: usize,
}

/// A formula of more definitions than this fills pages.
const PATIENCE: usize = 4000;

impl<'a> Reader<'a> {
    /// A reader of `func`; `axes` gives the names of the axes of an input.
    pub fn new(func: &'a Func, axes: &dyn Fn(&str) -> Vec<String>) -> Reader<'a> {
        let mut n_axes = 0;
        let first_axis = func.defs.iter().map(|def| {
            n_axes += def.ty.rank();
            n_axes - def.ty.rank()
        });
        let first_axis = first_axis.collect();
        let mut reader =
            Reader { func, first_axis, parent: (0..n_axes).collect(), names: vec![None; n_axes], patience: PATIENCE };
        func.values().for_each(|value| reader.join_axes(value));
        reader.name_axes(axes);
        reader
    }

    /// The indices of a value's elements, all different.
    pub fn indices(&mut self, value: Value) -> Vec<String> {
        let mut indices = vec![];
        for axis in 0..self.func.ty(value).rank() {
            let index = self.index(value, axis, &indices);
            indices.push(index);
        }
        indices
    }

    /// Whether so much was asked for that what was read last is not complete.
    pub fn is_exhausted(&self) -> bool {
        self.patience == 0
    }

    /// The element of a number-valued value at these indices.
    pub fn poly(&mut self, value: Value, at: &[String]) -> Poly {
        self.patience = self.patience.saturating_sub(1);
        if self.is_exhausted() {
            return Poly::default();
        }
        let func = self.func;
        match &func.def(value).op {
            Op::Param(name) => Poly::atom(Atom::Entry(name.to_string(), at.to_vec())),
            Op::Const(number) => Poly::number(*number),
            Op::Iota(axis) => Poly::atom(Atom::Index(at[*axis].clone())),
            Op::Unary(f, a) => unary(*f, self.poly(*a, at)),
            Op::Binary(f, a, b) => binary(*f, self.poly(*a, at), self.poly(*b, at)),
            Op::Select(cond, a, b) => select(&self.cond(*cond, at), self.poly(*a, at), self.poly(*b, at)),
            Op::Convert(a) => self.convert(*a, func.ty(value).dtype, at),
            Op::Broadcast(a, dims) => self.poly(*a, &dims.iter().map(|dim| at[*dim].clone()).collect::<Vec<_>>()),
            Op::Transpose(a, perm) => self.poly(*a, &transposed(perm, at)),
            Op::Reshape(a) => self.reshape(*a, value, at),
            Op::Reduce(by, a, axes) => self.reduce(*by, *a, axes, at),
            Op::Contract(einsum, a, b) => self.contract(einsum, *a, *b, at),
            Op::Uniform { .. } => Poly::atom(Atom::Entry("draw".into(), at.to_vec())),
            Op::Quantile(a, q) => self.call("quantile", &[*a, *q]),
            Op::WithGradient(a, _) => self.poly(*a, at),
            // Some elements of a sum are left out near the edge: what stands here names the op only.
            Op::Conv { role, a, b, .. } => self.call(role.name(), &[*a, *b]),
            Op::Pool(how, _, a) => self.call(how.name(), &[*a]),
            Op::Unpool(_, a) => self.call("unpool", &[*a]),
            Op::UnpoolMax { x, ct, .. } => self.call("unpool_max", &[*x, *ct]),
            Op::Slice { start, step, a } => self.poly(*a, &sliced(start, step, at)),
            Op::Pad { a, .. } => self.call("pad", &[*a]),
            Op::Concat(parts, _) => self.call("concat", parts),
            Op::Gather { table, index, .. } => self.call("gather", &[*table, *index]),
            Op::Scatter { values, index, .. } => self.call("scatter", &[*values, *index]),
            Op::CumSum { a, .. } => self.call("cumsum", &[*a]),
            Op::Sparse { role, a, b, .. } => self.call(role.name(), &[*a, *b]),
            Op::TopK(..) => unreachable!("a bool is read as a condition"),
            Op::Grad(..) => panic!("derivatives are written out before they are read as formulas"),
        }
    }

    /// The element of a bool-valued value at these indices.
    fn cond(&mut self, value: Value, at: &[String]) -> Cond {
        self.patience = self.patience.saturating_sub(1);
        if self.is_exhausted() {
            return Cond::All(vec![]);
        }
        let func = self.func;
        match &func.def(value).op {
            Op::Param(name) => Cond::Holds(Atom::Entry(name.to_string(), at.to_vec())),
            Op::Const(number) => {
                if *number != 0.0 {
                    Cond::All(vec![])
                } else {
                    Cond::Any(vec![])
                }
            }
            Op::Unary(_, a) => self.cond(*a, at).negated(),
            Op::Binary(Binary::And, a, b) => Cond::All(vec![self.cond(*a, at), self.cond(*b, at)]),
            Op::Binary(Binary::Or, a, b) => Cond::Any(vec![self.cond(*a, at), self.cond(*b, at)]),
            Op::Binary(f, a, b) => Cond::compare(*f, self.number(*a, at), self.number(*b, at)),
            Op::Select(cond, a, b) => {
                let cond = self.cond(*cond, at);
                let [a, b] = [self.cond(*a, at), self.cond(*b, at)];
                Cond::Any(vec![Cond::All(vec![cond.clone(), a]), Cond::All(vec![cond.negated(), b])])
            }
            Op::Broadcast(a, dims) => self.cond(*a, &dims.iter().map(|dim| at[*dim].clone()).collect::<Vec<_>>()),
            Op::Transpose(a, perm) => self.cond(*a, &transposed(perm, at)),
            Op::Convert(a) => Cond::compare(Binary::Ne, self.number(*a, at), Poly::number(0.0)),
            Op::Reshape(a) => match self.under_reshape(*a, value, at) {
                Some(at) => self.cond(*a, &at),
                None => Cond::Holds(Atom::Entry("reshaped".into(), at.to_vec())),
            },
            Op::Iota(_) | Op::Reduce(..) | Op::Contract(..) | Op::Uniform { .. } | Op::Quantile(..) => {
                unreachable!("{value} is no bool")
            }
            Op::Slice { start, step, a } => self.cond(*a, &sliced(start, step, at)),
            Op::TopK(..) => Cond::Holds(Atom::Entry("top_k".into(), at.to_vec())),
            Op::Pad { .. } => Cond::Holds(Atom::Entry("padded".into(), at.to_vec())),
            Op::Concat(..) => Cond::Holds(Atom::Entry("joined".into(), at.to_vec())),
            Op::Gather { .. } => Cond::Holds(Atom::Entry("gathered".into(), at.to_vec())),
            Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => {
                unreachable!("{value} is no bool")
            }
            Op::Scatter { .. } | Op::CumSum { .. } | Op::Sparse { .. } => unreachable!("{value} is no bool"),
            Op::WithGradient(..) | Op::Grad(..) => unreachable!("{value} is no bool"),
        }
    }

    /// A function of whole tensors.
    fn call(&mut self, name: &'static str, operands: &[Value]) -> Poly {
        let read = |reader: &mut Self, operand: &Value| {
            let indices = reader.indices(*operand);
            reader.number(*operand, &indices)
        };
        Poly::call(name, operands.iter().map(|operand| read(self, operand)).collect())
    }

    /// A value of any type as a number.
    fn number(&mut self, value: Value, at: &[String]) -> Poly {
        match self.func.ty(value).dtype {
            DType::Bool => Poly::truth(self.cond(value, at)),
            DType::F32 | DType::I32 => self.poly(value, at),
        }
    }

    fn convert(&mut self, a: Value, to: DType, at: &[String]) -> Poly {
        let number = self.number(a, at);
        let truncates = to == DType::I32 && self.func.ty(a).dtype == DType::F32;
        if truncates { Poly::call("trunc", vec![number]) } else { number }
    }

    fn reshape(&mut self, a: Value, value: Value, at: &[String]) -> Poly {
        match self.under_reshape(a, value, at) {
            Some(at) => self.poly(a, &at),
            None => {
                let indices = self.indices(a);
                Poly::call("reshaped", vec![self.poly(a, &indices)])
            }
        }
    }

    /// The indices of the operand of a reshape that only adds or drops axes of size 1.
    fn under_reshape(&mut self, a: Value, value: Value, at: &[String]) -> Option<Vec<String>> {
        let [from, to] = [&self.func.ty(a).shape, &self.func.ty(value).shape];
        let wide = |shape: &[usize]| (0..shape.len()).filter(|axis| shape[*axis] != 1).collect::<Vec<_>>();
        let [kept, places] = [wide(from), wide(to)];
        let same = kept.iter().map(|axis| from[*axis]).eq(places.iter().map(|axis| to[*axis]));
        same.then(|| {
            let place = |axis: usize| kept.iter().position(|k| *k == axis).map(|i| at[places[i]].clone());
            (0..from.len()).map(|axis| place(axis).unwrap_or_else(|| "0".into())).collect()
        })
    }

    fn reduce(&mut self, by: Reduction, a: Value, axes: &[usize], at: &[String]) -> Poly {
        let rank = self.func.ty(a).rank();
        let mut indices = vec![String::new(); rank];
        for (axis, index) in complement(axes, rank).into_iter().zip(at) {
            indices[axis].clone_from(index);
        }
        let mut used = at.to_vec();
        for axis in axes {
            indices[*axis] = self.index(a, *axis, &used);
            used.push(indices[*axis].clone());
        }
        let over = axes.iter().map(|axis| indices[*axis].clone()).collect();
        self.poly(a, &indices).over(by, over)
    }

    fn contract(&mut self, einsum: &Einsum, a: Value, b: Value, at: &[String]) -> Poly {
        let mut index_of: Vec<(u8, String)> = einsum.out.iter().copied().zip(at.iter().cloned()).collect();
        let mut summed = vec![];
        for (axis, label) in einsum.lhs.iter().enumerate().filter(|(_, label)| !einsum.out.contains(label)) {
            let used: Vec<String> = index_of.iter().map(|(_, index)| index.clone()).collect();
            let index = self.index(a, axis, &used);
            summed.push(index.clone());
            index_of.push((*label, index));
        }
        let find = |label: &u8| index_of.iter().find(|(l, _)| l == label).map(|(_, index)| index.clone());
        let under =
            |labels: &[u8]| labels.iter().map(|l| find(l).expect("every label has an index")).collect::<Vec<_>>();
        let product = self.poly(a, &under(&einsum.lhs)).times(self.poly(b, &under(&einsum.rhs)));
        if summed.is_empty() { product } else { product.over(Reduction::Sum, summed) }
    }

    /// The index of an axis: its name, with as many primes as make it new.
    fn index(&mut self, value: Value, axis: usize, used: &[String]) -> String {
        let root = self.root(self.first_axis[value.0 as usize] + axis);
        let mut index = self.names[root].clone().expect("every axis has a name");
        while used.contains(&index) {
            index.push('′');
        }
        index
    }

    fn root(&self, mut axis: usize) -> usize {
        while self.parent[axis] != axis {
            axis = self.parent[axis];
        }
        axis
    }

    fn join(&mut self, a: (Value, usize), b: (Value, usize)) {
        let [a, b] = [a, b].map(|(value, axis)| self.root(self.first_axis[value.0 as usize] + axis));
        // The smaller one stays: the one of the value above.
        self.parent[a.max(b)] = a.min(b);
    }

    fn join_axes(&mut self, value: Value) {
        let func = self.func;
        let def = func.def(value);
        match &def.op {
            Op::Broadcast(a, dims) => dims.iter().enumerate().for_each(|(i, dim)| self.join((*a, i), (value, *dim))),
            Op::Transpose(a, perm) => perm.iter().enumerate().for_each(|(i, axis)| self.join((*a, *axis), (value, i))),
            Op::Reduce(_, a, axes) => {
                let kept = complement(axes, func.ty(*a).rank());
                kept.into_iter().enumerate().for_each(|(i, axis)| self.join((*a, axis), (value, i)));
            }
            Op::Contract(einsum, a, b) => self.join_labels(einsum, [*a, *b], value),
            Op::Unary(..) | Op::Binary(..) | Op::Select(..) | Op::Convert(_) | Op::WithGradient(..) => {
                let pairs = def.op.operands().into_iter().flat_map(|o| (0..def.ty.rank()).map(move |axis| (o, axis)));
                pairs.for_each(|(operand, axis)| self.join((operand, axis), (value, axis)));
            }
            Op::Reshape(_) | Op::Param(_) | Op::Const(_) | Op::Iota(_) => {}
            Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::UnpoolMax { .. } => {}
            Op::Pad { .. } | Op::Slice { .. } | Op::Concat(..) => {}
            Op::Gather { .. } | Op::Scatter { .. } | Op::TopK(..) | Op::CumSum { .. } | Op::Sparse { .. } => {}
            Op::Uniform { .. } | Op::Quantile(..) | Op::Grad(..) => {}
        }
    }

    fn join_labels(&mut self, einsum: &Einsum, [a, b]: [Value; 2], value: Value) {
        let lists = [(a, &einsum.lhs), (b, &einsum.rhs), (value, &einsum.out)];
        let axes = lists.iter().flat_map(|(v, labels)| labels.iter().enumerate().map(|(axis, l)| (*l, (*v, axis))));
        let axes: Vec<(u8, (Value, usize))> = axes.collect();
        for (i, (label, axis)) in axes.iter().enumerate() {
            let same = axes[..i].iter().find(|(l, _)| l == label);
            same.iter().for_each(|(_, other)| self.join(*other, *axis));
        }
    }

    /// Names each axis as the inputs do; what none of them names is called i, j, k, …
    fn name_axes(&mut self, axes: &dyn Fn(&str) -> Vec<String>) {
        let params: Vec<(String, Value)> =
            self.func.params().map(|(name, value, _)| (name.to_string(), value)).collect();
        for (param, value) in params {
            for (axis, name) in axes(&param).into_iter().enumerate().take(self.func.ty(value).rank()) {
                let root = self.root(self.first_axis[value.0 as usize] + axis);
                let _ = self.names[root].get_or_insert(name);
            }
        }
        let mut letters = ('i'..='z').map(String::from);
        for axis in 0..self.parent.len() {
            if self.parent[axis] == axis && self.names[axis].is_none() {
                self.names[axis] = Some(letters.next().unwrap_or_else(|| format!("i{axis}")));
            }
        }
    }
}

/// The indices of a slice's elements in what it is cut from.
fn sliced(start: &[usize], step: &[usize], at: &[String]) -> Vec<String> {
    let index = |(d, at): (usize, &String)| match (start[d], step[d]) {
        (0, 1) => at.clone(),
        (start, 1) => format!("{at}+{start}"),
        (0, step) => format!("{step}{at}"),
        (start, step) => format!("{step}{at}+{start}"),
    };
    at.iter().enumerate().map(index).collect()
}

fn transposed(perm: &[usize], at: &[String]) -> Vec<String> {
    let mut under = vec![String::new(); at.len()];
    for (index, axis) in at.iter().zip(perm) {
        under[*axis].clone_from(index);
    }
    under
}

fn unary(f: Unary, a: Poly) -> Poly {
    match f {
        Unary::Neg => a.times_number(-1.0),
        Unary::Abs if a.is_positive() => a,
        Unary::Not => unreachable!("a bool is read as a condition"),
        Unary::Abs | Unary::Sign | Unary::Sqrt | Unary::Exp | Unary::Log | Unary::Erf | Unary::ErfInv => {
            Poly::call(f.name(), vec![a])
        }
        Unary::Tanh | Unary::Sigmoid | Unary::Sin | Unary::Cos | Unary::Floor | Unary::Ceil => {
            Poly::call(f.name(), vec![a])
        }
    }
}

fn binary(f: Binary, a: Poly, b: Poly) -> Poly {
    match f {
        Binary::Add => a.plus(b),
        Binary::Sub => a.plus(b.times_number(-1.0)),
        Binary::Mul | Binary::MulZ => a.times(b),
        Binary::Div => a.times(b.reciprocal()),
        Binary::Pow => match b.as_number() {
            Some(exponent) => a.power(exponent),
            None => Poly::call("pow", vec![a, b]),
        },
        Binary::Min | Binary::Max => Poly::call(f.name(), vec![a, b]),
        Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => unreachable!("a bool is read as a condition"),
        Binary::Eq | Binary::Ne | Binary::And | Binary::Or => unreachable!("a bool is read as a condition"),
    }
}

fn select(cond: &Cond, a: Poly, b: Poly) -> Poly {
    if b.0.is_empty() {
        return a.under(cond);
    }
    if a.0.is_empty() {
        return b.under(&cond.negated());
    }
    Poly::atom(Atom::Where(Box::new(cond.clone()), a, b))
}
