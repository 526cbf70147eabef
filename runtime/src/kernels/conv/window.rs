//! Windows of few numbers, which are gone through number by number: a loop over each run of them would take longer than what it does.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use crate::kernels::vector::{Vector, load_row};

/// The most numbers of such a window, and the most that lie in a run.
const FEW_NUMBERS: usize = 64;
const SHORT_RUN: usize = 16;

/// What each pixel sees, number by number.
pub struct Window {
    /// How far behind the first number, and where the row is in the panel.
    numbers: [[usize; 2]; FEW_NUMBERS],
    count: usize,
}

impl Window {
    /// So many rows of so many runs, each of so many numbers, if these are few. `run` says how far behind the first number a run starts, and in which row of
    /// the panel, whose rows have so many `lanes`.
    #[inline(always)]
    pub fn of(
        [rows, runs]: [usize; 2],
        len: usize,
        lanes: usize,
        run: impl Fn(usize, usize) -> [usize; 2],
    ) -> Option<Window> {
        if len > SHORT_RUN || rows * runs * len > FEW_NUMBERS {
            return None;
        }
        let mut window = Window { numbers: [[0; 2]; FEW_NUMBERS], count: 0 };
        for row in 0..rows {
            for column in 0..runs {
                let [at, first] = run(row, column);
                for number in 0..len {
                    window.numbers[window.count] = [at + number, (first + number) * lanes];
                    window.count += 1;
                }
            }
        }
        Some(window)
    }

    /// The sums of pixels that see their first numbers at these places.
    ///
    /// # Safety
    ///
    /// From there on lies all that the window reaches, and the panel has its rows.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    pub unsafe fn sums<V: Vector, const P: usize, const R: usize>(
        &self,
        seen: &[*const f32; P],
        panel: *const f32,
    ) -> [[V; R]; P] {
        let mut sums = [[V::splat(0.0); R]; P];
        for [at, row] in &self.numbers[..self.count] {
            // SAFETY: a row of the panel.
            let row: [V; R] = unsafe { load_row(panel.add(*row)) };
            for p in 0..P {
                // SAFETY: one of the numbers that the pixel sees.
                let x = V::splat(unsafe { *seen[p].add(*at) });
                for v in 0..R {
                    sums[p][v] = x.mul_add(row[v], sums[p][v]);
                }
            }
        }
        sums
    }

    /// The same where each pixel sees what the one before sees, `STEP` numbers further on: known now, so that no register has to hold it.
    ///
    /// # Safety
    ///
    /// As for [`Window::sums`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    pub unsafe fn sums_of_run<V: Vector, const P: usize, const R: usize, const STEP: usize>(
        &self,
        first: *const f32,
        panel: *const f32,
    ) -> [[V; R]; P] {
        let mut sums = [[V::splat(0.0); R]; P];
        for [at, row] in &self.numbers[..self.count] {
            // SAFETY: a row of the panel.
            let row: [V; R] = unsafe { load_row(panel.add(*row)) };
            for p in 0..P {
                // SAFETY: one of the numbers that the pixel sees.
                let x = V::splat(unsafe { *first.add(at + p * STEP) });
                for v in 0..R {
                    sums[p][v] = x.mul_add(row[v], sums[p][v]);
                }
            }
        }
        sums
    }
}
