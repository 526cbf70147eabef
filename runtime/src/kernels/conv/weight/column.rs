//! A column of `y`, two vectors wide, copied so that one pixel follows the other: where images have many channels, the same channels of
//! neighbouring pixels lie so far apart that few of them fit into a first-level cache at once.

use std::mem::MaybeUninit;

use super::{PIXELS, Pairs};
use crate::kernels::vector::{Vector, load_row};

/// Numbers in two of the widest vectors.
const WIDEST: usize = 32;

/// Room for a column.
#[repr(align(64))]
struct Numbers(MaybeUninit<[f32; PIXELS * WIDEST]>);

/// A column, and its pixels.
pub struct Column {
    numbers: Numbers,
    pairs: Pairs,
}

impl Column {
    #[inline(always)]
    pub fn new() -> Column {
        Column { numbers: Numbers(MaybeUninit::uninit()), pairs: Pairs::NONE }
    }

    /// Copies the column that begins at this number of `y`. Gives where its pixels, paired with the same ones of `x`, lie now.
    ///
    /// # Safety
    ///
    /// All pixels of `y` have two vectors of channels from there on.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    pub unsafe fn take<V: Vector>(&mut self, of: &Pairs, y: *const f32) -> (&Pairs, *const f32) {
        let start = self.numbers.0.as_mut_ptr().cast::<f32>();
        let mut at = 0;
        for (to, [x, from]) in self.pairs.at.iter_mut().zip(of.all()) {
            // SAFETY: channels of a pixel; there is room for as many pixels as are listed.
            unsafe {
                let row: [V; 2] = load_row(y.add(*from));
                row[0].store(start.add(at));
                row[1].store(start.add(at + V::LEN));
            }
            *to = [*x, at];
            at += 2 * V::LEN;
        }
        self.pairs.count = of.count;
        (&self.pairs, start)
    }
}
