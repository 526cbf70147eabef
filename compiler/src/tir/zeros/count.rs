//! Multiply-adds that are left, counted as papers count them: a convolution works at every position of its window, padding
//! or not, on the pairs of channels that a weight of it joins.

use std::collections::BTreeMap;

use ndarray::Axis;

use super::{Pattern, Zeros, moves, numbers, pattern};
use crate::tir::interp::Tensor;
use crate::tir::interp::eval::contract;
use crate::tir::{Einsum, Func, Op, Value};
use crate::window::ConvRole;

impl Zeros {
    /// How many products of two elements that can be non-zero are added to an element that matters, in the contractions and
    /// convolutions of values that `varies` chooses; by the paths that these come from.
    pub fn multiply_adds(&self, func: &Func, varies: &[bool]) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for value in func.values().filter(|value| varies[value.0 as usize]) {
            let products = self.products(func, value);
            if products > 0.0 {
                let path = func.def(value).origin.as_ref().map_or_else(String::new, |origin| origin.path.clone());
                *counts.entry(path).or_default() += products as u64;
            }
        }
        counts
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only products count")]
    fn products(&self, func: &Func, value: Value) -> f64 {
        let def = func.def(value);
        match &def.op {
            Op::Contract(_, a, b) => {
                let patterns = [a, b].map(|operand| numbers(&self.non_zero[operand.0 as usize]));
                let products = moves::apply(moves::numbered(&def.op), &def.ty, &[&patterns[0], &patterns[1]]);
                (products * numbers(&self.matters[value.0 as usize])).sum()
            }
            Op::Conv { role, groups, a, b, .. } => {
                let [a, b] = [a, b].map(|operand| &self.non_zero[operand.0 as usize]);
                let out = &self.matters[value.0 as usize];
                let [x, w, y] = match role {
                    ConvRole::Forward => [a, b, out],
                    ConvRole::ByInput => [out, b, a],
                    ConvRole::ByWeight => [a, out, b],
                };
                convolution(*groups, x, w, y)
            }
            _ => 0.0,
        }
    }
}

/// Each element of `y` meets, for each tap of the window, the channels of its group that are not zero all over the image.
fn convolution(groups: usize, x: &Pattern, w: &Pattern, y: &Pattern) -> f64 {
    let [x, w, y] = [x, w, y].map(numbers);
    let (ins, outs) = (w.shape()[2], y.shape()[3] / groups);
    let labels = |lhs: &[u8], rhs: &[u8], out: &[u8]| Einsum { lhs: lhs.into(), rhs: rhs.into(), out: out.into() };
    let of_image = |tensor: &Tensor, channels: usize| {
        let plane = tensor.sum_axis(Axis(1)).sum_axis(Axis(1));
        plane.into_shape_with_order(vec![tensor.shape()[0], groups, channels]).expect("channels are in groups")
    };
    let (seen, positions) = (numbers(&pattern(&of_image(&x, ins))), of_image(&y, outs));
    let taps = w.sum_axis(Axis(0)).sum_axis(Axis(0));
    let taps = taps.into_shape_with_order(vec![ins, groups, outs]).expect("channels are in groups");
    let met = contract(&labels(b"bgi", b"igo", b"bgo"), &seen.view(), &taps.view());
    (met * positions).sum()
}
