//! The zero rules of ops with a window and of those that move elements, in terms of what the ops do to patterns: sums of
//! ones and zeros that are not 0 have a 1 in them.

use super::{Backward, Forward, Pattern, Tensor, any_along, images, numbers, ones, pattern};
use crate::tir::build::left_out;
use crate::tir::interp::eval::eval;
use crate::tir::{Def, Func, Op, Type, Value};
use crate::window::{ConvRole, Pooling};

/// The pattern of what `op` of type `ty`, whose operands are `%0`, `%1`, … of these patterns, makes of ones.
pub fn applied(op: Op, ty: &Type, operands: &[&Pattern]) -> Pattern {
    let operands: Vec<Tensor> = operands.iter().map(|operand| numbers(operand)).collect();
    pattern(&apply(op, ty, &operands.iter().collect::<Vec<_>>()))
}

/// The result of `op` of type `ty`, whose operands are `%0`, `%1`, … of these values.
pub fn apply(op: Op, ty: &Type, operands: &[&Tensor]) -> Tensor {
    if let Op::Conv { role, window, groups, .. } = op {
        return images::conv(role, &window, groups, [operands[0], operands[1]], &ty.shape);
    }
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
fn over_rows(pattern: &Pattern, from: usize, count: usize) -> Pattern {
    any_along(pattern, &(from..from + count).collect::<Vec<_>>())
}

/// A pattern of `batch` axes and those of a row, repeated to all rows of `ty`.
fn to_rows(pattern: &Pattern, batch: usize, ty: &Type) -> Pattern {
    let rest = ty.rank() + batch - pattern.ndim();
    let dims: Vec<usize> = (0..batch).chain(rest..ty.rank()).collect();
    super::repeated(pattern, &dims, ty)
}

impl Forward<'_> {
    /// Where the result of an op with a window, or of one that moves elements, can be non-zero.
    pub fn moved(&self, op: &Op, ty: &Type) -> Pattern {
        let operands: Vec<&Pattern> = op.operands().iter().map(|operand| self.of(*operand)).collect();
        match op {
            Op::TopK(..) => ones(ty),
            Op::UnpoolMax { window, ct, .. } => applied(Op::Unpool(*window, Value(0)), ty, &[self.of(*ct)]),
            Op::Pad { value, lo, hi, gap, .. } => {
                let value = f64::from(u8::from(*value != 0.0));
                let pad = Op::Pad { value, lo: lo.clone(), hi: hi.clone(), gap: gap.clone(), a: Value(0) };
                applied(pad, ty, &operands)
            }
            Op::Gather { batch, table, .. } => to_rows(&over_rows(self.of(*table), *batch, 1), *batch, ty),
            Op::Scatter { batch, values, index } => {
                let picked = self.func.ty(*index).rank() - batch;
                to_rows(&over_rows(self.of(*values), *batch, picked), *batch, ty)
            }
            Op::Conv { .. } | Op::Pool(..) | Op::Unpool(..) | Op::Slice { .. } | Op::Concat(..) | Op::CumSum { .. } => {
                applied(numbered(op), ty, &operands)
            }
            Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Unary(..) | Op::Binary(..) | Op::Select(..) => {
                unreachable!("{op} has a rule of its own")
            }
            Op::Convert(_) | Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_) | Op::Reduce(..) => {
                unreachable!("{op} has a rule of its own")
            }
            Op::Contract(..) | Op::Sparse { .. } | Op::Uniform { .. } | Op::Quantile(..) => {
                unreachable!("{op} has a rule of its own")
            }
            Op::WithGradient(..) | Op::Grad(..) => unreachable!("{op} has a rule of its own"),
        }
    }
}

impl Backward<'_> {
    /// Which operands of such an op matter to what matters of `value`.
    pub fn moved(&mut self, value: Value, matters: &Pattern) {
        let op = self.func.def(value).op.clone();
        match op.clone() {
            Op::Conv { .. } => self.conv(&op, matters),
            Op::Pool(_, window, a) => self.add_applied(a, Op::Unpool(window, Value(0)), matters),
            Op::Unpool(window, a) => self.add_applied(a, Op::Pool(Pooling::Sum, window, Value(0)), matters),
            Op::UnpoolMax { window, x, ct } => {
                let ct_matters = applied(Op::Pool(Pooling::Sum, window, Value(0)), self.func.ty(ct), &[matters]);
                let x_matters = &ct_matters * self.non_zero(ct);
                self.add_applied(x, Op::Unpool(window, Value(0)), &x_matters);
                self.add(ct, &ct_matters);
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
            Op::Param(_) | Op::Const(_) | Op::Iota(_) | Op::Unary(..) | Op::Binary(..) | Op::Select(..) => {
                unreachable!("{op} has a rule of its own")
            }
            Op::Convert(_) | Op::Broadcast(..) | Op::Transpose(..) | Op::Reshape(_) | Op::Reduce(..) => {
                unreachable!("{op} has a rule of its own")
            }
            Op::Contract(..) | Op::Sparse { .. } | Op::Uniform { .. } | Op::Quantile(..) => {
                unreachable!("{op} has a rule of its own")
            }
            Op::WithGradient(..) | Op::Grad(..) => unreachable!("{op} has a rule of its own"),
        }
    }

    /// As in a contraction: the pattern of one operand comes from what matters and from the other operand.
    fn conv(&mut self, op: &Op, matters: &Pattern) {
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
        let [a_matters, b_matters] = [applied(conv(to_a), a_ty, &of_a), applied(conv(to_b), b_ty, &of_b)];
        self.add(a, &a_matters);
        self.add(b, &b_matters);
    }

    fn concat(&mut self, parts: &[Value], axis: usize, matters: &Pattern) {
        let mut start = vec![0; matters.ndim()];
        for part in parts {
            let slice = Op::Slice { start: start.clone(), step: vec![1; matters.ndim()], a: Value(0) };
            self.add_applied(*part, slice, matters);
            start[axis] += self.func.ty(*part).shape[axis];
        }
    }

    /// What `op` makes of what matters, matters of `operand`.
    fn add_applied(&mut self, operand: Value, op: Op, matters: &Pattern) {
        let operand_matters = applied(op, self.func.ty(operand), &[matters]);
        self.add(operand, &operand_matters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tir::{parse, zeros};

    fn live(text: &str, given: &[(&str, Vec<f64>)]) -> zeros::Live {
        let func = parse::func(text).expect("TIR");
        crate::tir::verify::assert_valid(&func, "writing the test");
        let shape = |name: &str| func.params().find(|(n, ..)| &***n == name).expect("an input").2.shape.clone();
        zeros::live(&func, &|name| {
            let (_, given) = given.iter().find(|(n, _)| *n == name)?;
            Some(pattern(&Tensor::from_shape_vec(shape(name), given.clone()).expect("as many as declared")))
        })
    }

    fn count(live: &zeros::Live, name: &str) -> u64 {
        zeros::count(&live.elements[name])
    }

    /// Three filters with a batch norm behind them, relu, pooling, and a convolution of single pixels.
    const NETWORK: &str = "func network {
        %0 = param x : f32[1, 4, 4, 2]
        %1 = param w : f32[3, 3, 2, 3]
        %2 = param mean : f32[3]
        %3 = param scale : f32[3]
        %4 = param shift : f32[3]
        %5 = param v : f32[1, 1, 3, 2]
        %6 = conv %0, %1, window [3, 3] pad [1, 1] [1, 1], groups 1 : f32[1, 4, 4, 3]
        %7 = broadcast %2, [3] : f32[1, 4, 4, 3]
        %8 = sub %6, %7 : f32[1, 4, 4, 3]
        %9 = broadcast %3, [3] : f32[1, 4, 4, 3]
        %10 = mul %8, %9 : f32[1, 4, 4, 3]
        %11 = broadcast %4, [3] : f32[1, 4, 4, 3]
        %12 = add %10, %11 : f32[1, 4, 4, 3]
        %13 = const 0.0 : f32[1, 4, 4, 3]
        %14 = gt %12, %13 : bool[1, 4, 4, 3]
        %15 = select %14, %12, %13 : f32[1, 4, 4, 3]
        %16 = pool_max %15, window [2, 2] stride [2, 2] : f32[1, 2, 2, 3]
        %17 = conv %16, %5, window [1, 1], groups 1 : f32[1, 2, 2, 2]
        return y = %17
    }";

    fn but(len: usize, zeros: impl Fn(usize) -> bool) -> Vec<f64> {
        (0..len).map(|i| f64::from(u8::from(!zeros(i)))).collect()
    }

    #[test]
    fn a_dense_convolution_lives() {
        let ones = |name, len| (name, vec![1.0; len]);
        let live = live(NETWORK, &[ones("w", 54), ones("scale", 3), ones("shift", 3), ones("v", 6)]);
        assert_eq!([count(&live, "w"), count(&live, "v")], [54, 6]);
        // 4 x 4 windows of 3 x 3, padding or not.
        assert_eq!(live.multiply_adds, 16 * 9 * 2 * 3 + 4 * 3 * 2);
    }

    /// Scale and shift of the first channel are zero: its filter and what reads it are dead, whatever the mean is.
    #[test]
    fn a_channel_without_scale_and_shift_is_dead() {
        let first = |len| but(len, |i| i == 0);
        let given = [("w", vec![1.0; 54]), ("scale", first(3)), ("shift", first(3)), ("v", vec![1.0; 6])];
        let live = live(NETWORK, &given);
        assert_eq!([count(&live, "w"), count(&live, "v")], [36, 4]);
        assert_eq!([count(&live, "scale"), count(&live, "shift")], [2, 2]);
        assert_eq!(live.multiply_adds, 144 * 2 * 2 + 4 * 2 * 2);
    }

    /// Nothing reads the second channel; of the third filter one input channel is gone.
    #[test]
    fn a_channel_that_nothing_reads_is_dead() {
        let w = but(54, |i| i % 3 == 2 && i / 3 % 2 == 0);
        let live = live(NETWORK, &[("w", w), ("shift", vec![1.0; 3]), ("v", but(6, |i| i / 2 == 1))]);
        assert_eq!([count(&live, "w"), count(&live, "shift"), count(&live, "v")], [18 + 9, 2, 4]);
        assert_eq!(live.multiply_adds, 144 * 2 + 144 + 4 * 2 * 2);
    }

    /// Each channel has a filter of its own; the second is zero, and nothing reads the third, padded and stacked as it is.
    #[test]
    fn depthwise_filters_die_alone() {
        let text = "func depthwise {
            %0 = param x : f32[1, 2, 2, 3]
            %1 = param w : f32[1, 1, 1, 3]
            %2 = param v : f32[7]
            %3 = conv %0, %1, window [1, 1], groups 3 : f32[1, 2, 2, 3]
            %4 = reduce_sum %3, [0, 1, 2] : f32[3]
            %5 = pad %4, value 0.0, lo [0], hi [1], gap [0] : f32[4]
            %6 = concat %5, %4, axis 0 : f32[7]
            %7 = contract i,i-> %6, %2 : f32[]
            return y = %7
        }";
        let v = vec![1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        let live = live(text, &[("w", vec![1.0, 0.0, 1.0]), ("v", v)]);
        assert_eq!(live.elements["w"].iter().copied().collect::<Vec<_>>(), [1, 0, 0]);
        assert_eq!(live.elements["v"].iter().copied().collect::<Vec<_>>(), [1, 0, 0, 0, 1, 0, 0]);
        assert_eq!(live.multiply_adds, 4 + 2);
    }

    /// A column of a table that is zero in every row is zero in every row that is looked up.
    #[test]
    fn a_column_of_a_table_dies() {
        let text = "func embedding {
            %0 = param word : i32[5]
            %1 = param table : f32[4, 3]
            %2 = param w : f32[3, 2]
            %3 = gather %1, %0, batch 0 : f32[5, 3]
            %4 = contract ij,jk->ik %3, %2 : f32[5, 2]
            return y = %4
        }";
        let given = [("table", but(12, |i| i % 3 == 1 || i == 0)), ("w", but(6, |i| i / 2 == 2))];
        let live = live(text, &given);
        assert_eq!([count(&live, "table"), count(&live, "w")], [3, 2]);
        assert_eq!(live.multiply_adds, 5 * 2);
    }

    /// Two steps of h = tanh(x w + h u): a unit without ways in is dead, and its ways out are.
    #[test]
    fn units_of_a_recurrence_die() {
        let text = "func recurrence {
            %0 = param x : f32[2, 1, 3]
            %1 = param w : f32[3, 2]
            %2 = param u : f32[2, 2]
            %3 = slice %0, start [0, 0, 0], step [1, 1, 1] : f32[1, 1, 3]
            %4 = reshape %3 : f32[1, 3]
            %5 = contract ij,jk->ik %4, %1 : f32[1, 2]
            %6 = tanh %5 : f32[1, 2]
            %7 = slice %0, start [1, 0, 0], step [1, 1, 1] : f32[1, 1, 3]
            %8 = reshape %7 : f32[1, 3]
            %9 = contract ij,jk->ik %8, %1 : f32[1, 2]
            %10 = contract ij,jk->ik %6, %2 : f32[1, 2]
            %11 = add %9, %10 : f32[1, 2]
            %12 = tanh %11 : f32[1, 2]
            %13 = concat %6, %12, axis 0 : f32[2, 2]
            return y = %13
        }";
        // The second unit has no input, and of the states only itself.
        let live = live(text, &[("w", but(6, |i| i % 2 == 1)), ("u", but(4, |i| i == 1))]);
        assert_eq!(live.elements["u"].iter().copied().collect::<Vec<_>>(), [1, 0, 0, 0]);
        assert_eq!(count(&live, "w"), 3);
        assert_eq!(live.multiply_adds, 3 + 3 + 1);
    }
}
