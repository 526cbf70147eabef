//! Which pixels of both factors a tap brings together.

use std::ops::Range;

use super::{ConvShape, Image, PIXELS, Weights};

/// Pixels that a tap takes together: where in `x`, where in `y`.
pub struct Pairs {
    pub(super) at: [[usize; 2]; PIXELS],
    pub(super) count: usize,
    /// The first pixel and the tap that they are of.
    of: Option<(usize, usize)>,
}

impl Pairs {
    pub const NONE: Pairs = Pairs { at: [[0; 2]; PIXELS], count: 0, of: None };

    #[inline(always)]
    pub fn all(&self) -> &[[usize; 2]] {
        &self.at[..self.count]
    }

    /// Lists those of a tap among these pixels of `y`, at most [`PIXELS`], unless they are listed. Gives how much further on in `x` they
    /// lie than the list says.
    #[inline(always)]
    pub(super) fn list(&mut self, weights: &Weights<'_>, tap: usize, pixels: Range<usize>) -> usize {
        let (s, image) = (weights.s, &weights.image);
        // Where all taps lie in the image, those of one tap are those of another, further on.
        let (listed, further) = match image.is_whole {
            true => (0, tap / image.taps[1] * s.dilation[0] * image.pitch[1]),
            false => (tap, 0),
        };
        if self.of != Some((pixels.start, listed)) {
            self.of = Some((pixels.start, listed));
            self.find(s, image, listed, pixels);
        }
        further
    }

    /// Finds the pixels of `y` among these whose window has the tap on the image.
    #[inline(always)]
    fn find(&mut self, s: &ConvShape, image: &Image, tap: usize, pixels: Range<usize>) {
        let [kh, kw] = [tap / image.taps[1], tap % image.taps[1]];
        let (right, mut first) = (kw * s.dilation[1], pixels.start);
        let low = image.pad[1].saturating_sub(right).div_ceil(s.stride[1]);
        let high = (image.size[1] + image.pad[1]).saturating_sub(right).div_ceil(s.stride[1]);
        let (mut row, mut col) = (first / s.out_width, first % s.out_width);
        let (mut n, mut oh) = (row / s.out_height, row % s.out_height);
        self.count = 0;
        while first < pixels.end {
            let end = pixels.end.min(first + s.out_width - col);
            let down = oh * s.stride[0] + kh * s.dilation[0];
            if let Some(ih) = down.checked_sub(image.pad[0]).filter(|ih| *ih < image.size[0]) {
                let x = n * image.pitch[0] + ih * image.pitch[1];
                let columns = low.max(col)..high.min(col + end - first);
                let iw = (columns.start * s.stride[1] + right).wrapping_sub(image.pad[1]);
                let mut at = [
                    x.wrapping_add(iw.wrapping_mul(image.pitch[2])),
                    (row * s.out_width + columns.start) * s.out_channels,
                ];
                for pair in &mut self.at[self.count..][..columns.len()] {
                    *pair = at;
                    at = [at[0].wrapping_add(s.stride[1] * image.pitch[2]), at[1] + s.out_channels];
                }
                self.count += columns.len();
            }
            (first, row, col) = (end, row + 1, 0);
            (n, oh) = if oh + 1 == s.out_height { (n + 1, 0) } else { (n, oh + 1) };
        }
    }
}
