//! Convolutions of patterns. In a network, channels are zero all over the image or not at all, so most pixels have equal
//! patterns: what happens at one pixel is worked out once for all pixels that see the same.

use std::collections::HashMap;

use super::Tensor;
use crate::tir::interp::images::{Meeting, meetings};
use crate::window::{ConvRole, Window};

/// As `tir::interp` computes it: the products of ones, added up.
pub fn conv(role: ConvRole, window: &Window, groups: usize, [a, b]: [&Tensor; 2], shape: &[usize]) -> Tensor {
    let [x, w, y] = role.sort(a.shape(), b.shape(), shape);
    let form = Form { groups, ins: w[2], outs: y[3] / groups };
    let [x_plane, y_plane] = [x, y].map(|shape| [shape[1], shape[2]]);
    let meetings = meetings(window, x_plane, y_plane);
    let images = x[0];
    let out = match role {
        ConvRole::Forward => form.per_pixel(images, y_plane, &Pixels::new(a), &meetings, |m| (m.output, m.input), {
            let w = flat(b);
            move |form, pixel, tap, out| form.forward(pixel, &w, tap, out)
        }),
        ConvRole::ByInput => form.per_pixel(images, x_plane, &Pixels::new(a), &meetings, |m| (m.input, m.output), {
            let w = flat(b);
            move |form, pixel, tap, out| form.by_input(pixel, &w, tap, out)
        }),
        ConvRole::ByWeight => form.by_weight(images, &Pixels::new(a), &Pixels::new(b), &meetings, shape),
    };
    Tensor::from_shape_vec(shape, out).expect("as long as its type says")
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.iter().copied().collect()
}

/// The pixels of images, equal ones once.
struct Pixels {
    /// Which of the patterns each pixel has, image by image.
    ids: Vec<usize>,
    /// How many pixels an image has.
    len: usize,
    patterns: Vec<Vec<f64>>,
}

impl Pixels {
    fn new(images: &Tensor) -> Pixels {
        let shape = images.shape();
        let mut pixels = Pixels { ids: vec![], len: shape[1] * shape[2], patterns: vec![] };
        let mut known: HashMap<Vec<bool>, usize> = HashMap::new();
        for pixel in flat(images).chunks(shape[3].max(1)) {
            let next = pixels.patterns.len();
            let id = *known.entry(pixel.iter().map(|x| *x != 0.0).collect()).or_insert(next);
            if id == next {
                pixels.patterns.push(pixel.to_vec());
            }
            pixels.ids.push(id);
        }
        pixels
    }
}

/// The sizes of a convolution's channels: groups, and channels of each group.
struct Form {
    groups: usize,
    ins: usize,
    outs: usize,
}

impl Form {
    /// For each pixel of a plane the sum over those that it meets.
    fn per_pixel(
        &self,
        images: usize,
        plane: [usize; 2],
        seen: &Pixels,
        meetings: &[Meeting],
        ends: impl Fn(&Meeting) -> (usize, usize),
        add: impl Fn(&Form, &[f64], usize, &mut Vec<f64>),
    ) -> Vec<f64> {
        let mut met: Vec<Vec<(usize, usize)>> = vec![vec![]; plane[0] * plane[1]];
        for meeting in meetings {
            let (at, other) = ends(meeting);
            met[at].push((meeting.tap, other));
        }
        let mut known: HashMap<Vec<(usize, usize)>, Vec<f64>> = HashMap::new();
        let mut out = vec![];
        for image in 0..images {
            for pixels in &met {
                let key: Vec<(usize, usize)> =
                    pixels.iter().map(|(tap, other)| (*tap, seen.ids[image * seen.len + other])).collect();
                let sum = known.entry(key).or_insert_with_key(|key| {
                    let mut sum = vec![];
                    add(self, &[], 0, &mut sum);
                    key.iter().for_each(|(tap, id)| add(self, &seen.patterns[*id], *tap, &mut sum));
                    sum
                });
                out.extend_from_slice(sum);
            }
        }
        out
    }

    /// Adds what an input pixel gives to an output pixel; an empty one only makes room.
    fn forward(&self, x: &[f64], w: &[f64], tap: usize, y: &mut Vec<f64>) {
        y.resize(self.groups * self.outs, 0.0);
        for (at, _) in x.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            let weights = self.weights(w, tap, at);
            y[at / self.ins * self.outs..].iter_mut().zip(weights).for_each(|(y, w)| *y += w);
        }
    }

    /// Adds what an output pixel gives to an input pixel; an empty one only makes room.
    fn by_input(&self, y: &[f64], w: &[f64], tap: usize, x: &mut Vec<f64>) {
        x.resize(self.groups * self.ins, 0.0);
        if y.is_empty() {
            return;
        }
        for (at, x) in x.iter_mut().enumerate() {
            let ys = &y[at / self.ins * self.outs..];
            *x += self.weights(w, tap, at).iter().zip(ys).map(|(w, y)| w * y).sum::<f64>();
        }
    }

    /// The weights of input channel `at`.
    fn weights<'a>(&self, w: &'a [f64], tap: usize, at: usize) -> &'a [f64] {
        let (group, channel) = (at / self.ins, at % self.ins);
        let row = (tap * self.ins + channel) * self.groups * self.outs;
        &w[row + group * self.outs..][..self.outs]
    }

    fn by_weight(&self, images: usize, x: &Pixels, y: &Pixels, meetings: &[Meeting], shape: &[usize]) -> Vec<f64> {
        let mut times: HashMap<(usize, usize, usize), f64> = HashMap::new();
        for image in 0..images {
            for meeting in meetings {
                let ends = (x.ids[image * x.len + meeting.input], y.ids[image * y.len + meeting.output]);
                *times.entry((meeting.tap, ends.0, ends.1)).or_insert(0.0) += 1.0;
            }
        }
        let mut w = vec![0.0; shape.iter().product()];
        for ((tap, x_id, y_id), times) in times {
            let ys = &y.patterns[y_id];
            for (at, _) in x.patterns[x_id].iter().enumerate().filter(|(_, x)| **x != 0.0) {
                let (group, channel) = (at / self.ins, at % self.ins);
                let row = (tap * self.ins + channel) * self.groups * self.outs + group * self.outs;
                let ys = &ys[group * self.outs..][..self.outs];
                w[row..].iter_mut().zip(ys).for_each(|(w, y)| *w += times * y);
            }
        }
        w
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(shape: &[usize], bits: u64) -> Tensor {
        let len: usize = shape.iter().product();
        let bit = |i: usize| f64::from(u8::from(bits >> (i * 7 % 61) & 1 == 1));
        Tensor::from_shape_vec(shape, (0..len).map(bit).collect()).expect("as long as its shape")
    }

    proptest! {
        #[test]
        fn equal_pixels_change_nothing(bits: u64, other: u64, stride in 1_usize..3, pad in 0_usize..2, groups in 1_usize..3) {
            let window = Window { stride: [stride, 1], pad_lo: [pad, 0], pad_hi: [pad, 1], ..Window::new([3, 2]) };
            let x = [2, 5, 4, 2 * groups];
            let size = |d: usize| window.output(d, x[1 + d]).expect("it fits");
            let (y, w) = ([2, size(0), size(1), 3 * groups], [3, 2, 2, 3 * groups]);
            for (role, a, b, shape) in
                [(ConvRole::Forward, x, w, y), (ConvRole::ByInput, y, w, x), (ConvRole::ByWeight, x, y, w)]
            {
                let (a, b) = (pattern(&a, bits), pattern(&b, other));
                let mut expected = vec![0.0; shape.iter().product()];
                let views = [&a.view(), &b.view()];
                crate::tir::interp::images::conv(role, &window, groups, views, &shape, &mut expected);
                let found = conv(role, &window, groups, [&a, &b], &shape);
                prop_assert_eq!(flat(&found), expected);
            }
        }
    }
}
