//! The zero rules of ops with a window and of those that move elements, in terms of what the ops do to patterns: sums of
//! ones and zeros that are not 0 have a 1 in them.

use super::{Backward, Forward, Tensor, is_non_zero, ones};
use crate::tir::build::left_out;
use crate::tir::interp::eval::eval;
use crate::tir::{Def, Func, Op, Reduction, Type, Value};
use crate::window::{ConvRole, Pooling};

/// The result of `op` of type `ty`, whose operands are `%0`, `%1`, … of these values.
pub fn apply(op: Op, ty: &Type, operands: &[&Tensor]) -> Tensor {
    let def = Def { op, ty: ty.clone(), origin: None };
    let operands: Vec<Tensor> = operands.iter().map(|tensor| tensor.as_standard_layout().into_owned()).collect();
    let mut out = vec![0.0; ty.len()];
    eval(&Func::new("rule"), &def, &|value| operands[value.0 as usize].view(), &mut out);
    Tensor::from_shape_vec(ty.shape.as_slice(), out).expect("as long as its type says")
}

/// `op` with the operands `%0`, `%1`, … in order.
pub fn numbered(op: &Op) -> Op {
    let mut op = op.clone();
    op.operands_mut().into_iter().enumerate().for_each(|(i, operand)| *operand = Value(i as u32));
    op
}

/// What combines all rows of a table, or of what was picked from it, into the axes that both have around the rows.
fn over_rows(pattern: &Tensor, from: usize, count: usize) -> Tensor {
    let axes: Vec<usize> = (from..from + count).collect();
    crate::tir::interp::eval::reduce(Reduction::Max, &pattern.view(), &axes).mapv(|x| x.max(0.0))
}

/// A pattern of `batch` axes and those of a row, repeated to all rows of `ty`.
fn to_rows(pattern: &Tensor, batch: usize, ty: &Type) -> Tensor {
    let rest = ty.rank() + batch - pattern.ndim();
    let dims: Vec<usize> = (0..batch).chain(rest..ty.rank()).collect();
    super::repeated(&pattern.view(), &dims, ty)
}

impl Forward<'_> {
    /// Where the result of an op with a window, or of one that moves elements, can be non-zero.
    pub fn moved(&self, op: &Op, ty: &Type) -> Tensor {
        let operands: Vec<&Tensor> = op.operands().iter().map(|operand| self.of(*operand)).collect();
        match op {
            Op::TopK(..) => ones(ty),
            Op::UnpoolMax { window, ct, .. } => is_non_zero(&apply(Op::Unpool(*window, Value(0)), ty, &[self.of(*ct)])),
            Op::Pad { value, lo, hi, gap, .. } => {
                let value = f64::from(u8::from(*value != 0.0));
                let pad = Op::Pad { value, lo: lo.clone(), hi: hi.clone(), gap: gap.clone(), a: Value(0) };
                apply(pad, ty, &operands)
            }
            Op::Gather { batch, table, .. } => to_rows(&over_rows(self.of(*table), *batch, 1), *batch, ty),
            Op::Scatter { batch, values, index } => {
                let picked = self.func.ty(*index).rank() - batch;
                to_rows(&over_rows(self.of(*values), *batch, picked), *batch, ty)
            }
            op => is_non_zero(&apply(numbered(op), ty, &operands)),
        }
    }
}

impl Backward<'_> {
    /// Which operands of such an op matter to what matters of `value`.
    pub fn moved(&mut self, value: Value, matters: &Tensor) {
        match self.func.def(value).op.clone() {
            op @ Op::Conv { .. } => self.conv(&op, matters),
            Op::Pool(_, window, a) => self.add_applied(a, Op::Unpool(window, Value(0)), matters),
            Op::Unpool(window, a) => self.add_applied(a, Op::Pool(Pooling::Sum, window, Value(0)), matters),
            Op::UnpoolMax { window, x, ct } => {
                let ct_matters = apply(Op::Pool(Pooling::Sum, window, Value(0)), self.func.ty(ct), &[matters]);
                let x_matters = is_non_zero(&ct_matters) * self.non_zero(ct);
                self.add_applied(x, Op::Unpool(window, Value(0)), &x_matters);
                self.add(ct, &is_non_zero(&ct_matters));
            }
            Op::CumSum { a, axis, reverse } => {
                self.add_applied(a, Op::CumSum { a: Value(0), axis, reverse: !reverse }, matters);
            }
            Op::TopK(a, _) => {
                let last = matters.ndim() - 1;
                let rows = over_rows(matters, last, 1);
                self.add(a, &to_rows(&rows, last, self.func.ty(a)));
            }
            Op::Gather { batch, table, index } => {
                let picked = self.func.ty(index).rank() - batch;
                self.add(table, &to_rows(&over_rows(matters, batch, picked), batch, self.func.ty(table)));
                self.all_of(&[index], matters);
            }
            Op::Scatter { batch, values, index } => {
                self.add(values, &to_rows(&over_rows(matters, batch, 1), batch, self.func.ty(values)));
                self.all_of(&[index], matters);
            }
            Op::Pad { lo, gap, a, .. } => {
                let step = gap.iter().map(|gap| gap + 1).collect();
                self.add_applied(a, Op::Slice { start: lo, step, a: Value(0) }, matters);
            }
            Op::Slice { start, step, a } => {
                let [lo, hi, gap] = left_out(&start, &step, matters.shape(), &self.func.ty(a).shape);
                self.add_applied(a, Op::Pad { value: 0.0, lo, hi, gap, a: Value(0) }, matters);
            }
            Op::Concat(parts, axis) => self.concat(&parts, axis, matters),
            op => unreachable!("{op} has a rule of its own"),
        }
    }

    /// As in a contraction: the pattern of one operand comes from what matters and from the other operand.
    fn conv(&mut self, op: &Op, matters: &Tensor) {
        let Op::Conv { role, window, groups, a, b } = *op else { unreachable!("it is a convolution") };
        let conv = |role| Op::Conv { role, window, groups, a: Value(0), b: Value(1) };
        let [a_pattern, b_pattern] = [a, b].map(|operand| self.non_zero(operand));
        let [a_ty, b_ty] = [a, b].map(|operand| self.func.ty(operand));
        let [(to_a, of_a), (to_b, of_b)] = match role {
            ConvRole::Forward => {
                [(ConvRole::ByInput, [matters, b_pattern]), (ConvRole::ByWeight, [a_pattern, matters])]
            }
            ConvRole::ByInput => {
                [(ConvRole::Forward, [matters, b_pattern]), (ConvRole::ByWeight, [matters, a_pattern])]
            }
            ConvRole::ByWeight => {
                [(ConvRole::ByInput, [b_pattern, matters]), (ConvRole::Forward, [a_pattern, matters])]
            }
        };
        let [a_matters, b_matters] = [apply(conv(to_a), a_ty, &of_a), apply(conv(to_b), b_ty, &of_b)];
        self.add(a, &is_non_zero(&a_matters));
        self.add(b, &is_non_zero(&b_matters));
    }

    fn concat(&mut self, parts: &[Value], axis: usize, matters: &Tensor) {
        let mut start = vec![0; matters.ndim()];
        for part in parts {
            let slice = Op::Slice { start: start.clone(), step: vec![1; matters.ndim()], a: Value(0) };
            self.add_applied(*part, slice, matters);
            start[axis] += self.func.ty(*part).shape[axis];
        }
    }

    /// What `op` makes of what matters, matters of `operand`.
    fn add_applied(&mut self, operand: Value, op: Op, matters: &Tensor) {
        let operand_matters = is_non_zero(&apply(op, self.func.ty(operand), &[matters]));
        self.add(operand, &operand_matters);
    }
}
