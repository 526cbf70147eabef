//! A window that slides over two axes: what convolutions and poolings have in common, whatever they compute in it.

use std::fmt;

/// A window that slides over two axes (height, width).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// How many elements it sees along each axis.
    pub size: [usize; 2],
    /// How far it moves from one position to the next.
    pub stride: [usize; 2],
    /// How far apart the elements that it sees are; 1 for neighbours.
    pub dilation: [usize; 2],
    /// How many elements of padding stand before the first.
    pub pad_lo: [usize; 2],
    /// How many elements of padding stand behind the last.
    pub pad_hi: [usize; 2],
}

/// Which of the three tensors of a convolution's trilinear form ⟨y, x * w⟩ is computed from the other two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvRole {
    /// The output `y`, from `x` and `w`.
    Forward,
    /// The input `x`, from `y` and `w`: a transposed convolution.
    ByInput,
    /// The weights `w`, from `x` and `y`.
    ByWeight,
}

/// How a pooling combines what the window sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// Addition; padding counts 0.
    Sum,
    /// The largest; padding counts negative infinity.
    Max,
}

impl Window {
    /// A window of this size that moves by 1 and sees neighbours, without padding.
    pub fn new(size: [usize; 2]) -> Window {
        Window { size, stride: [1, 1], dilation: [1, 1], pad_lo: [0, 0], pad_hi: [0, 0] }
    }

    /// How many elements lie between the first and the last that it sees along axis `d`, both included.
    pub fn reach(&self, d: usize) -> usize {
        (self.size[d] - 1) * self.dilation[d] + 1
    }

    /// How many positions it has along axis `d` over `input` elements; `None` if it does not fit.
    pub fn output(&self, d: usize, input: usize) -> Option<usize> {
        let free = (input + self.pad_lo[d] + self.pad_hi[d]).checked_sub(self.reach(d))?;
        Some(free / self.stride[d] + 1)
    }

    /// The element along axis `d` that the window at position `at` sees as its `tap`th; `None` in the padding.
    pub fn sees(&self, d: usize, at: usize, tap: usize, input: usize) -> Option<usize> {
        let padded = at * self.stride[d] + tap * self.dilation[d];
        padded.checked_sub(self.pad_lo[d]).filter(|position| *position < input)
    }

    /// Whether it sees one element, moves by one and has no padding.
    pub fn is_point(&self) -> bool {
        *self == Window { dilation: self.dilation, ..Window::new([1, 1]) }
    }
}

/// `[3, 3] stride [2, 2] dilation [2, 2] pad [1, 1] [0, 0]`; what is as in [`Window::new`] is left out.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window { size, stride, dilation, pad_lo, pad_hi } = self;
        let plain = Window::new(*size);
        write!(f, "{size:?}")?;
        if *stride != plain.stride {
            write!(f, " stride {stride:?}")?;
        }
        if *dilation != plain.dilation {
            write!(f, " dilation {dilation:?}")?;
        }
        if (*pad_lo, *pad_hi) != (plain.pad_lo, plain.pad_hi) {
            write!(f, " pad {pad_lo:?} {pad_hi:?}")?;
        }
        Ok(())
    }
}

impl ConvRole {
    /// Every role, in declaration order.
    pub const ALL: [ConvRole; 3] = [ConvRole::Forward, ConvRole::ByInput, ConvRole::ByWeight];

    /// Its name in the text forms.
    pub fn name(self) -> &'static str {
        match self {
            ConvRole::Forward => "conv",
            ConvRole::ByInput => "conv_by_input",
            ConvRole::ByWeight => "conv_by_weight",
        }
    }

    /// The types of `x`, `w` and `y`, given those of the two operands and of the result.
    pub fn sort<T>(self, a: T, b: T, result: T) -> [T; 3] {
        match self {
            ConvRole::Forward => [a, b, result],
            ConvRole::ByInput => [result, b, a],
            ConvRole::ByWeight => [a, result, b],
        }
    }
}

impl Pooling {
    /// Every way, in declaration order.
    pub const ALL: [Pooling; 2] = [Pooling::Sum, Pooling::Max];

    /// Its name in the text forms.
    pub fn name(self) -> &'static str {
        match self {
            Pooling::Sum => "pool_sum",
            Pooling::Max => "pool_max",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_counted_as_usual() {
        let window = Window { stride: [2, 1], dilation: [1, 2], pad_lo: [1, 0], pad_hi: [1, 0], ..Window::new([3, 3]) };
        assert_eq!([window.reach(0), window.reach(1)], [3, 5]);
        assert_eq!([window.output(0, 8), window.output(1, 8)], [Some(4), Some(4)]);
        assert_eq!(window.output(1, 4), None);
        assert_eq!(window.sees(0, 0, 0, 8), None);
        assert_eq!(window.sees(0, 3, 2, 8), Some(7));
        assert_eq!(window.to_string(), "[3, 3] stride [2, 1] dilation [1, 2] pad [1, 0] [1, 0]");
    }
}
