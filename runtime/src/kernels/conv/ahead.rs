//! Asking for images before they are needed. Of those that no near cache holds, each row would have to be waited for; while the row
//! before is computed, there is time enough.

use std::ops::Range;

use crate::kernels::vector::Vector;

/// Numbers in a cache line.
const LINE: usize = 16;

/// Images of fewer numbers are in a near cache.
const FAR: usize = 64 * 1024;

/// Whether images of so many numbers together are in no near cache.
pub fn is_far(numbers: usize) -> bool {
    numbers > FAR
}

/// Whether they pay to be asked for moreover if each pixel has so many numbers. With few of them, and vectors of one pixel, they are gone
/// through slowly: the machine asks early enough for what lies in order.
pub fn pays(numbers: usize, channels: usize) -> bool {
    is_far(numbers) && channels >= LINE
}

/// Asks for so many numbers; any address will do.
#[inline(always)]
pub fn ask<V: Vector>(from: *const f32, len: usize) {
    let mut at = 0;
    while at < len {
        V::prefetch(from.wrapping_add(at));
        at += LINE;
    }
}

/// Numbers of two factors that are needed later, to be asked for little by little.
pub struct Ahead {
    from: [*const f32; 2],
    /// How many are left of each, and how many are asked for at once.
    left: [usize; 2],
    share: [usize; 2],
}

impl Ahead {
    /// These numbers of two factors, in about so many parts.
    #[inline(always)]
    pub fn new(factors: [*const f32; 2], numbers: [Range<usize>; 2], parts: usize) -> Ahead {
        let [a, b] = numbers;
        let left = [a.len(), b.len()];
        let share = left.map(|len| len.div_ceil(LINE * parts.max(1)) * LINE);
        Ahead { from: [factors[0].wrapping_add(a.start), factors[1].wrapping_add(b.start)], left, share }
    }

    /// Asks for the next part.
    #[inline(always)]
    pub fn ask<V: Vector>(&mut self) {
        for factor in 0..2 {
            let len = self.share[factor].min(self.left[factor]);
            ask::<V>(self.from[factor], len);
            self.from[factor] = self.from[factor].wrapping_add(len);
            self.left[factor] -= len;
        }
    }
}
