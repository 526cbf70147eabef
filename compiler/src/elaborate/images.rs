//! What slides a window over images `[B, C, H, W]`: convolutions and poolings. The batch keeps its name, height and width do where
//! their sizes stay, the channels of a convolution take theirs from the weights.

use super::arith::At;
use super::errors::PartMistake;
use super::prims::Args;
use super::value::{Label, Tensor, Value};
use super::{Elab, Eval};
use crate::diag::Span;
use crate::model::{DType, Op, Size};
use crate::scalar::Binary;
use crate::window::{ConvRole, Pooling, Window};

const IMAGES: &str = "[B, C, H, W]";

/// How much is added around an image.
#[derive(Clone, Copy)]
enum Padding {
    /// So many elements on either side of each axis.
    Fixed([usize; 2]),
    /// As many as make the result as large as the image, divided by the stride.
    Same,
}

/// Images and weights, and what the call says about the window.
struct Convolution {
    x: Tensor,
    w: Tensor,
    stride: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
}

impl Elab<'_, '_> {
    /// `conv2d(x, w, stride: 1, padding: 0, dilation: 1, groups: 1)`.
    pub(super) fn conv2d(&mut self, args: &Args) -> Eval<Value> {
        let it = self.convolution("conv2d", args, [args.given(2), args.given(4), args.given(5)])?;
        let padding = self.padding(args.given(3))?;
        self.check_channels(&it, [1, 1], args)?;
        let size = self.known_pair(&it.w, args.at(1).1)?;
        let input = self.known_pair(&it.x, args.at(0).1)?;
        let window = Window { stride: it.stride, dilation: it.dilation, ..Window::new(size) };
        let (window, output) = self.fitted(window, padding, input, &it.x, args)?;
        let (x, w) = (self.axes(&it.x), self.axes(&it.w));
        let axes = vec![x[0].clone(), w[0].clone(), kept(&x[2], output[0]), kept(&x[3], output[1])];
        let op = Op::Conv { role: ConvRole::Forward, window, groups: it.groups, x: it.x.expr, w: it.w.expr };
        Ok(Value::Tensor(self.emit(op, DType::F32, axes, args.span)))
    }

    /// `conv_transpose2d(x, w, stride: 1, padding: 0, output_padding: 0, dilation: 1, groups: 1)`: what `conv2d` does to its
    /// input's derivative.
    pub(super) fn conv_transpose2d(&mut self, args: &Args) -> Eval<Value> {
        let it = self.convolution("conv_transpose2d", args, [args.given(2), args.given(5), args.given(6)])?;
        let pad = self.pair(args.given(3), "padding", 0, [0, 0])?;
        let extra = self.pair(args.given(4), "output_padding", 0, [0, 0])?;
        self.check_channels(&it, [1, 0], args)?;
        let window =
            Window { stride: it.stride, dilation: it.dilation, pad_lo: pad, pad_hi: pad, ..Window::new([1, 1]) };
        let window = Window { size: self.known_pair(&it.w, args.at(1).1)?, ..window };
        let input = self.known_pair(&it.x, args.at(0).1)?;
        let mut output = [0; 2];
        for d in 0..2 {
            self.check_padding(pad[d], window.reach(d), args.span)?;
            if extra[d] >= it.stride[d] {
                let (span, padding, stride) = (args.span, extra[d], it.stride[d]);
                return Err(self.blame(PartMistake::OutputPadding { span, padding, stride }));
            }
            let grown = (input[d] - 1) * it.stride[d] + window.reach(d) + extra[d];
            output[d] = match grown.checked_sub(2 * pad[d]) {
                Some(size) if size > 0 => size,
                Some(_) | None => return Err(self.blame_window(&it.x, args, 2 * pad[d] + 1, grown)),
            };
        }
        let (x, w) = (self.axes(&it.x), self.axes(&it.w));
        let channels = match (it.groups, w[1].1) {
            (1, _) => w[1].clone(),
            (groups, size) => (None, Size::Known(self.known_size(size, &it.w, args.at(1).1)? * groups)),
        };
        let axes = vec![x[0].clone(), channels, kept(&x[2], output[0]), kept(&x[3], output[1])];
        let op = Op::Conv { role: ConvRole::ByInput, window, groups: it.groups, x: it.x.expr, w: it.w.expr };
        Ok(Value::Tensor(self.emit(op, DType::F32, axes, args.span)))
    }

    /// `max_pool(x, size, stride: size, padding: 0)`, `avg_pool(…)`.
    pub(super) fn pool(&mut self, name: &'static str, args: &Args) -> Eval<Value> {
        let x = self.four_axes(name, "images", IMAGES, args.at(0))?;
        let size = self.pair(args.given(1), "size", 1, [1, 1])?;
        let stride = self.pair(args.given(2), "stride", 1, size)?;
        let padding = self.padding(args.given(3))?;
        let input = self.known_pair(&x, args.at(0).1)?;
        let (window, output) = self.fitted(Window { stride, ..Window::new(size) }, padding, input, &x, args)?;
        let own = self.axes(&x);
        let axes = vec![own[0].clone(), own[1].clone(), kept(&own[2], output[0]), kept(&own[3], output[1])];
        let how = if name == "max_pool" { Pooling::Max } else { Pooling::Sum };
        let pooled = self.emit(Op::Pool(how, window, x.expr), DType::F32, axes, args.span);
        Ok(Value::Tensor(match how {
            Pooling::Max => pooled,
            Pooling::Sum => self.shared_out(&pooled, &window, input, output, args.span),
        }))
    }

    /// A sum over windows divided by how many elements of the image each of them sees.
    fn shared_out(
        &mut self,
        sum: &Tensor,
        window: &Window,
        input: [usize; 2],
        output: [usize; 2],
        span: Span,
    ) -> Tensor {
        let plain = (window.pad_lo, window.pad_hi) == ([0, 0], [0, 0]);
        if plain {
            return self.zip_number(Binary::Mul, sum, 1.0 / (window.size[0] * window.size[1]) as f64, span);
        }
        let shape = |[h, w]: [usize; 2]| [1, 1, h, w].map(|n| (None, Size::Known(n))).to_vec();
        let ones = self.emit(Op::Const(1.0), DType::F32, shape(input), span);
        let seen = self.emit(Op::Pool(Pooling::Sum, *window, ones.expr), DType::F32, shape(output), span);
        let axes = self.axes(sum);
        let seen = self.spread(&seen, &[0, 1, 2, 3], &axes, span);
        self.zip(Binary::Div, sum, &seen, span)
    }

    fn convolution(
        &mut self,
        op: &'static str,
        args: &Args,
        [stride, dilation, groups]: [Option<At<'_>>; 3],
    ) -> Eval<Convolution> {
        let x = self.four_axes(op, "images", IMAGES, args.at(0))?;
        let weights = if op == "conv2d" { "[Out, In, KH, KW]" } else { "[In, Out, KH, KW]" };
        let w = self.four_axes(op, "weights", weights, args.at(1))?;
        let (stride, dilation) = (self.pair(stride, "stride", 1, [1, 1])?, self.pair(dilation, "dilation", 1, [1, 1])?);
        let groups = groups.map_or(Ok(1), |groups| self.whole_from(groups, "groups", 1))?;
        Ok(Convolution { x, w, stride, dilation, groups })
    }

    fn four_axes(
        &mut self,
        op: &'static str,
        what: &'static str,
        expected: &'static str,
        (value, span): At<'_>,
    ) -> Eval<Tensor> {
        let tensor = self.real(value, span)?;
        if tensor.labels.len() == 4 {
            return Ok(tensor);
        }
        let found = self.shown(&tensor);
        Err(self.blame(PartMistake::Rank { span, op, what, expected, found }))
    }

    /// Axis `of_x` of the images has as many channels as axis `of_w` of the weights says, all groups together.
    fn check_channels(&mut self, it: &Convolution, [of_x, of_w]: [usize; 2], args: &Args) -> Eval<()> {
        let (x, w) = (self.shape(&it.x), self.shape(&it.w));
        if it.groups == 1 && of_w == 1 && self.sizes.unify(x[of_x], w[of_w]) {
            return Ok(());
        }
        let images = self.known_size(x[of_x], &it.x, args.at(0).1)?;
        let weights = self.known_size(w[of_w], &it.w, args.at(1).1)?;
        let (span, groups) = (args.span, it.groups);
        let operands = vec![(args.at(0).1, self.shown(&it.x)), (args.at(1).1, self.shown(&it.w))];
        let outputs = if of_w == 1 { self.known_size(w[0], &it.w, args.at(1).1)? } else { images };
        if let Some(&channels) = [images, outputs].iter().find(|channels| *channels % groups != 0) {
            return Err(self.blame(PartMistake::Groups { span, operands, groups, channels }));
        }
        let all = if of_w == 1 { weights * groups } else { weights };
        if all == images {
            return Ok(());
        }
        Err(self.blame(PartMistake::Channels { span, operands, images, weights: all, groups }))
    }

    /// The window with its padding, and how many positions it has.
    fn fitted(
        &mut self,
        window: Window,
        padding: Padding,
        input: [usize; 2],
        x: &Tensor,
        args: &Args,
    ) -> Eval<(Window, [usize; 2])> {
        let (mut window, mut output) = (window, [0; 2]);
        for d in 0..2 {
            (window.pad_lo[d], window.pad_hi[d]) = match padding {
                Padding::Fixed(pad) => (pad[d], pad[d]),
                Padding::Same => {
                    let positions = input[d].div_ceil(window.stride[d]);
                    let all = ((positions - 1) * window.stride[d] + window.reach(d)).saturating_sub(input[d]);
                    (all / 2, all - all / 2)
                }
            };
            self.check_padding(window.pad_hi[d], window.reach(d), args.span)?;
            output[d] = match window.output(d, input[d]) {
                Some(positions) => positions,
                None => return Err(self.blame_window(x, args, window.reach(d), input[d])),
            };
        }
        Ok((window, output))
    }

    /// Every window sees something, whatever stands in the padding.
    fn check_padding(&mut self, padding: usize, reach: usize, span: Span) -> Eval<()> {
        if padding < reach { Ok(()) } else { Err(self.blame(PartMistake::Padding { span, padding, reach })) }
    }

    fn blame_window(&mut self, x: &Tensor, args: &Args, reach: usize, size: usize) -> super::Failed {
        let found = self.shown(x);
        self.blame(PartMistake::Window { span: args.span, at: args.at(0).1, found, reach, size })
    }

    fn padding(&mut self, arg: Option<At<'_>>) -> Eval<Padding> {
        if let Some((Value::Text(text), _)) = arg
            && **text == *"same"
        {
            return Ok(Padding::Same);
        }
        self.pair(arg, "padding", 0, [0, 0]).map(Padding::Fixed)
    }

    /// A number for both axes, or one for height and one for width.
    fn pair(&mut self, arg: Option<At<'_>>, name: &'static str, least: usize, default: [usize; 2]) -> Eval<[usize; 2]> {
        match arg {
            None => Ok(default),
            Some((Value::Tuple(values), span)) if values.len() == 2 => {
                let of = |elab: &mut Self, i: usize| elab.whole_from((&values[i], span), name, least);
                Ok([of(self, 0)?, of(self, 1)?])
            }
            Some((value @ (Value::Number(_) | Value::Size(..)), span)) => {
                Ok([self.whole_from((value, span), name, least)?; 2])
            }
            Some((Value::Poison, _)) => Err(super::Failed),
            Some((other, span)) => {
                let (found, same) = (other.kind(), name == "padding");
                Err(self.blame(PartMistake::Pair { span, name, found, same }))
            }
        }
    }

    /// The sizes of the last two of four axes.
    fn known_pair(&mut self, tensor: &Tensor, span: Span) -> Eval<[usize; 2]> {
        let shape = self.shape(tensor);
        Ok([self.known_size(shape[2], tensor, span)?, self.known_size(shape[3], tensor, span)?])
    }
}

/// An axis of this many positions: the same axis where the size is the same.
fn kept((label, old): &(Option<Label>, Size), new: usize) -> (Option<Label>, Size) {
    let size = Size::Known(new);
    (label.clone().filter(|_| *old == size), size)
}
