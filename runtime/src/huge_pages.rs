//! Large blocks of memory in large pages.
//!
//! A walk down a column of a large matrix, or from one shuffled sample to the next, meets another page with every step, and the
//! processor remembers the places of few. What is asked for here changes nothing but the time that takes: where the system refuses,
//! all works as well.

use std::ptr::NonNull;

/// The size of a huge page, in bytes.
pub const HUGE_PAGE: usize = 1 << 21;

/// Asks for huge pages below the whole ones of a block, which begins at one and is not in use yet.
pub fn ask_for(start: NonNull<u8>, bytes: usize) {
    advise(start.as_ptr(), bytes / HUGE_PAGE * HUGE_PAGE, Advice::WhenUsed);
}

/// Moves the whole huge pages of a block that is in use into such.
pub fn collect<T>(block: &[T]) {
    let start = block.as_ptr().cast::<u8>().cast_mut();
    let before = start.align_offset(HUGE_PAGE);
    let bytes = size_of_val(block).saturating_sub(before) / HUGE_PAGE * HUGE_PAGE;
    if bytes > 0 {
        advise(start.wrapping_add(before), bytes, Advice::Now);
    }
}

/// When there shall be huge pages: the numbers that Linux has for that.
#[derive(Clone, Copy)]
#[repr(i32)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is nothing to ask for"))]
enum Advice {
    WhenUsed = 14,
    Now = 25,
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a call of the system")]
fn advise(start: *mut u8, bytes: usize, advice: Advice) {
    unsafe extern "C" {
        fn madvise(start: *mut std::ffi::c_void, bytes: usize, advice: std::ffi::c_int) -> std::ffi::c_int;
    }
    // SAFETY: the pages lie in a block of the caller's, and neither advice changes what they hold.
    let _ = unsafe { madvise(start.cast(), bytes, advice as std::ffi::c_int) };
}

#[cfg(not(target_os = "linux"))]
fn advise(_start: *mut u8, _bytes: usize, _advice: Advice) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_what_it_holds() {
        for len in [0, 1, HUGE_PAGE / 8, HUGE_PAGE, 3 * HUGE_PAGE / 4] {
            let block: Vec<u64> = (0..len as u64).collect();
            collect(&block);
            assert!(block.iter().enumerate().all(|(index, x)| *x == index as u64), "{len} numbers");
        }
    }
}
