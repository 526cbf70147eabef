//! Asking for memory before it is read.

/// A cache line, in bytes.
const LINE: usize = 64;

/// The most that is asked for at once, in bytes: where reading goes on in order, the machine asks by itself.
const MOST: usize = 4096;

/// Asks for the beginning of what will be read soon. Changes nothing but the time that takes.
#[inline]
pub fn prefetch<T>(soon: &[T]) {
    let line = (LINE / size_of::<T>().max(1)).max(1);
    let count = soon.len().min(MOST / size_of::<T>().max(1));
    soon[..count].iter().step_by(line).for_each(ask);
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "there is no other way to ask")]
fn ask<T>(element: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: every processor of this kind has the instruction, which reads nothing.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(element).cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn ask<T>(_element: &T) {}
