//! How much arithmetic a core can do at most: multiplications with additions that nothing holds up.

use super::Isa;
use super::routine::{Args, Body, built};
use super::vector::Vector;

/// Sums that are computed side by side: as many as hide how long an addition takes on any machine so far (four or five cycles, two
/// additions begun in each), and few enough for the registers of all of them.
const SUMS: usize = 12;

/// Multiplies and adds `rounds` times in each number of twelve vectors; gives the floating-point operations that were done, two for each
/// multiply-add. Reads and writes no memory meanwhile: whoever measures the time has the peak of one core.
///
/// # Panics
///
/// If the machine does not have the instruction set.
#[expect(unsafe_code, reason = "calls a routine")]
pub fn multiply_add(isa: Isa, rounds: usize) -> u64 {
    assert!(Isa::available().contains(&isa), "{isa:?} is not one of `Isa::available()`");
    // Read from memory, so that the compiler cannot foresee the sums; they stay near 1.
    let factors = [std::hint::black_box(0.5_f32); 2];
    let (mut total, mut length) = (0.0_f32, 0.0_f32);
    let from = [factors.as_ptr(); 3];
    // SAFETY: the body reads two numbers at the first pointer and writes one at each of the others; the machine has the instruction set.
    unsafe { built::<Peak>(isa)(&(), &from, &raw mut total, &raw mut length, 0, rounds) };
    let _ = std::hint::black_box(total);
    2 * (length as usize * SUMS * rounds) as u64
}

struct Peak;

impl Body for Peak {
    type Shape = ();

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the caller has")]
    unsafe fn run<V: Vector>(_: &(), Args { a, to, work, first, last, .. }: Args) {
        // SAFETY: the caller's promise.
        let [factor, term] = unsafe { [V::splat(*a), V::splat(*a.add(1))] };
        let mut sums = [term; SUMS];
        for _ in first..last {
            for sum in &mut sums {
                *sum = sum.mul_add(factor, term);
            }
        }
        let total = sums.into_iter().reduce(V::add).expect("there are sums");
        // SAFETY: the caller's promise.
        unsafe {
            *to = V::totals([total; 4])[0];
            *work = V::LEN as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_for_every_instruction_set() {
        for isa in Isa::available() {
            let flops = multiply_add(isa, 1000);
            assert!(flops.is_multiple_of(2 * 12 * 1000) && flops > 0, "{isa:?}: {flops}");
        }
    }
}
