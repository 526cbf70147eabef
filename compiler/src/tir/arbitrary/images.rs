//! Random convolutions and poolings.

use super::{MAX_LEN, Maker, SIZES};
use crate::scalar::Unary;
use crate::tir::build::Build;
use crate::tir::{DType, Value};
use crate::window::{ConvRole, Pooling, Window};

impl Maker<'_> {
    pub(super) fn conv(&mut self) {
        let a = self.pick_real();
        let image = self.image(a);
        let shape = self.func.ty(image).shape.clone();
        let window = self.window();
        let groups = if self.pick(3) == 2 { shape[3] } else { 1 };
        let outs = groups * (1 + self.pick(3));
        let role = self.pick_of(&ConvRole::ALL);
        match role {
            ConvRole::Forward => self.conv_forward(window, groups, image, outs),
            ConvRole::ByInput => self.conv_by_input(window, groups, image, outs),
            ConvRole::ByWeight => self.conv_by_weight(window, groups, image, outs),
        }
        self.note(false);
    }

    fn conv_forward(&mut self, window: Window, groups: usize, x: Value, outs: usize) {
        let shape = self.func.ty(x).shape.clone();
        let Some(y_shape) = slid(window, &shape, outs) else { return };
        let w = self.weights(vec![window.size[0], window.size[1], shape[3] / groups, outs]);
        let _ = self.func.conv(ConvRole::Forward, window, groups, [x, w], y_shape);
    }

    fn conv_by_input(&mut self, window: Window, groups: usize, y: Value, ins: usize) {
        let shape = self.func.ty(y).shape.clone();
        let extra = [0, 1].map(|d| self.pick(window.stride[d]));
        let size = |d: usize| (shape[1 + d] - 1) * window.stride[d] + window.reach(d) + extra[d];
        let unpadded = |d: usize| size(d).saturating_sub(window.pad_lo[d] + window.pad_hi[d]);
        let x_shape = vec![shape[0], unpadded(0), unpadded(1), ins];
        let is_fit = slid(window, &x_shape, shape[3]) == Some(shape.clone());
        if is_fit && (1..=MAX_LEN).contains(&x_shape.iter().product()) {
            let w = self.weights(vec![window.size[0], window.size[1], ins / groups, shape[3]]);
            let _ = self.func.conv(ConvRole::ByInput, window, groups, [y, w], x_shape);
        }
    }

    fn conv_by_weight(&mut self, window: Window, groups: usize, x: Value, outs: usize) {
        let shape = self.func.ty(x).shape.clone();
        let Some(y_shape) = slid(window, &shape, outs) else { return };
        let y = self.weights(y_shape);
        let w_shape = vec![window.size[0], window.size[1], shape[3] / groups, outs];
        let _ = self.func.conv(ConvRole::ByWeight, window, groups, [x, y], w_shape);
    }

    pub(super) fn pool(&mut self) {
        let exact = |maker: &Self, value: Value| maker.is_exact(value) && maker.dtype(value) == DType::F32;
        let kind = self.pick(4);
        // Which element is the largest must not depend on rounding.
        let a = if kind < 2 { self.pick_real() } else { self.pick_value(exact) };
        let image = self.image(a);
        let shape = self.func.ty(image).shape.clone();
        let window = self.window();
        let Some(y_shape) = slid(window, &shape, shape[3]) else { return self.note(true) };
        let sees_all =
            (0..2).all(|d| window.pad_lo[d].max(window.pad_hi[d]) < window.size[d] && window.dilation[d] == 1);
        let _ = match kind {
            0 => self.func.pool(Pooling::Sum, window, image),
            1 => {
                let y = self.resized(y_shape);
                self.func.unpool(window, y, shape)
            }
            2 if sees_all => self.func.pool(Pooling::Max, window, image),
            _ => {
                let ct = self.resized(y_shape);
                self.func.unpool_max(window, image, ct)
            }
        };
        self.note(kind == 2 && sees_all);
    }

    /// A value as an image.
    fn image(&mut self, a: Value) -> Value {
        let shape = self.func.ty(a).shape.clone();
        let new = match (shape.as_slice(), self.pick(2)) {
            ([_, _, _, _], _) => return a,
            (&[planes, rows, cols], 0) => vec![planes, rows, cols, 1],
            (&[rows, cols, channels], _) => vec![1, rows, cols, channels],
            (&[rows, cols], 0) => vec![1, rows, cols, 1],
            (&[rows, channels], _) => vec![1, rows, 1, channels],
            (_, _) => vec![1, 1, shape.iter().product(), 1],
        };
        self.func.reshape(a, new)
    }

    fn window(&mut self) -> Window {
        let mut one_of = |list: &[usize]| [self.pick_of(list), self.pick_of(list)];
        let window = Window { stride: one_of(&[1, 2, 3]), ..Window::new(one_of(&[2, 3, 1])) };
        let window = Window { dilation: one_of(&[1, 1, 2]), ..window };
        Window { pad_lo: one_of(&[0, 1]), pad_hi: one_of(&[0, 1, 2]), ..window }
    }

    /// A small tensor of this shape.
    fn weights(&mut self, shape: Vec<usize>) -> Value {
        let numbers = self.resized(shape);
        let squashed = self.func.unary(Unary::Tanh, numbers);
        let share = self.func.constant_like(0.25, squashed);
        self.func.mul(squashed, share)
    }

    /// A tensor of this shape with elements of a value that there is, and others if it has not enough.
    pub(super) fn resized(&mut self, shape: Vec<usize>) -> Value {
        let a = self.pick_real();
        let (have, want) = (self.func.ty(a).len(), shape.iter().product());
        let line = self.func.reshape(a, vec![have]);
        let line = if want > have {
            let number = self.pick_of(&[0.375, 0.0]);
            self.func.pad(number, [vec![0], vec![want - have], vec![0]], line)
        } else {
            self.func.slice(vec![have - want], vec![1], line, vec![want])
        };
        self.func.reshape(line, shape)
    }
}

/// The shape of what the window gives with so many channels, if it fits and is not large.
fn slid(window: Window, shape: &[usize], channels: usize) -> Option<Vec<usize>> {
    let y = vec![shape[0], window.output(0, shape[1])?, window.output(1, shape[2])?, channels];
    (y.iter().product::<usize>() <= MAX_LEN && channels <= SIZES[6] * 3).then_some(y)
}
