//! Random numbers: every place that draws is a site, numbered within its instance or parameter.

use super::value::Tensor;
use super::{Elab, Eval};
use crate::diag::Span;
use crate::model::{DType, Op};
use crate::scalar::{Binary, Unary};

/// 2u + this lies in (-1, 1), symmetrically and exactly in single precision, for every 24-bit u in [0, 1).
const CENTRE: f64 = -1.0 + 1.0 / 16_777_216.0;

impl Elab<'_, '_> {
    /// Numbers in [0, 1), with the shape of the parameter whose start is being drawn, else with the shape of `like`.
    fn draw(&mut self, like: &Tensor, span: Span) -> Tensor {
        let axes = match &self.draw_shape {
            Some(ty) => ty.axes.iter().map(|axis| (None, axis.size)).collect(),
            None => self.axes(like),
        };
        let each_step = self.draw_shape.is_none();
        let site = self.next_site();
        self.emit(Op::Uniform { site, each_step }, DType::F32, axes, span)
    }

    fn next_site(&mut self) -> u64 {
        let count = self.draws.entry(self.path.clone()).or_insert(0);
        *count += 1;
        fnv1a(&format!("{}#{count}", self.path))
    }

    /// `uniform(lo, hi)` = lo + (hi - lo) u.
    pub(super) fn uniform(&mut self, lo: (&Tensor, Span), hi: (&Tensor, Span), span: Span) -> Eval<Tensor> {
        let ends = self.broadcast(&[lo, hi], span)?;
        let width = self.zip(Binary::Sub, &ends[1], &ends[0], span);
        let u = self.draw(&width, span);
        let width = self.broadcast_to(&width, span, &u, span)?;
        let lo = self.broadcast_to(&ends[0], lo.1, &u, span)?;
        let scaled = self.zip(Binary::Mul, &u, &width, span);
        Ok(self.zip(Binary::Add, &scaled, &lo, span))
    }

    /// `normal(mean, std)` = mean + std √2 erfinv(2u - 1), with u in the middle of its 2^-24 wide cell.
    pub(super) fn normal(&mut self, mean: (&Tensor, Span), std: (&Tensor, Span), span: Span) -> Eval<Tensor> {
        let both = self.broadcast(&[mean, std], span)?;
        let u = self.draw(&both[0], span);
        let doubled = self.zip_number(Binary::Mul, &u, 2.0, span);
        let centred = self.zip_number(Binary::Add, &doubled, CENTRE, span);
        let bell = self.map(Unary::ErfInv, &centred, span);
        let bell = self.zip_number(Binary::Mul, &bell, std::f64::consts::SQRT_2, span);
        let deviation = self.broadcast_to(&both[1], std.1, &u, span)?;
        let mean = self.broadcast_to(&both[0], mean.1, &u, span)?;
        let scaled = self.zip(Binary::Mul, &bell, &deviation, span);
        Ok(self.zip(Binary::Add, &scaled, &mean, span))
    }

    /// `bernoulli(p)`: true with probability p.
    pub(super) fn bernoulli(&mut self, p: (&Tensor, Span), span: Span) -> Eval<Tensor> {
        let u = self.draw(p.0, span);
        let p = self.broadcast_to(p.0, p.1, &u, span)?;
        Ok(self.zip(Binary::Lt, &u, &p, span))
    }
}

/// The 64-bit FNV-1a hash.
pub(super) fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_draw_lies_strictly_between_minus_one_and_one_in_single_precision() {
        for k in [0u32, 1, 2, (1 << 23) - 1, 1 << 23, (1 << 24) - 2, (1 << 24) - 1] {
            let exact = 2.0 * f64::from(k) / 16_777_216.0 + CENTRE;
            let single = 2.0f32 * (k as f32 / 16_777_216.0) + CENTRE as f32;
            assert_eq!(f64::from(single), exact);
            assert!(exact.abs() < 1.0);
        }
    }

    #[test]
    fn fnv1a_has_its_published_values() {
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
    }
}
