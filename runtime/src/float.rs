//! The floating-point mode of a computing thread: denormal numbers count as zero.

use std::arch::asm;
use std::marker::PhantomData;

/// While it lives, denormal operands and results of this thread's floating-point arithmetic are zero.
#[derive(Debug)]
pub struct FlushDenormals {
    /// What the control register held before.
    before: Control,
    /// The register is the thread's, so this stays on the thread.
    _thread: PhantomData<*const ()>,
}

impl FlushDenormals {
    /// Switches the mode on until the result is dropped.
    pub fn on() -> FlushDenormals {
        let before = read_control();
        write_control(before | FLUSH);
        FlushDenormals { before, _thread: PhantomData }
    }
}

impl Drop for FlushDenormals {
    fn drop(&mut self) {
        write_control(self.before);
    }
}

#[cfg(target_arch = "x86_64")]
type Control = u32;

/// Flush to zero (bit 15), denormals are zero (bit 6).
#[cfg(target_arch = "x86_64")]
const FLUSH: Control = 1 << 15 | 1 << 6;

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the control register is reached by instruction only")]
fn read_control() -> Control {
    let mut control = 0;
    // SAFETY: stores four bytes to a local of that size.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut control, options(nostack)) };
    control
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the control register is reached by instruction only")]
fn write_control(control: Control) {
    // SAFETY: loads four bytes from a local of that size; exceptions stay masked, since `control` was read from the
    // register and only the flush bits are ever added.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const control, options(nostack)) };
}

#[cfg(target_arch = "aarch64")]
type Control = u64;

/// Flush to zero (bit 24).
#[cfg(target_arch = "aarch64")]
const FLUSH: Control = 1 << 24;

#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "the control register is reached by instruction only")]
fn read_control() -> Control {
    let control;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, fpcr", out(reg) control, options(nomem, nostack)) };
    control
}

#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "the control register is reached by instruction only")]
fn write_control(control: Control) {
    // SAFETY: writes back what was read, with the flush bit set.
    unsafe { asm!("msr fpcr, {}", in(reg) control, options(nomem, nostack)) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn denormals_vanish_while_the_mode_is_on_and_come_back() {
        let half_of_the_smallest = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        assert!(half_of_the_smallest() > 0.0);
        let mode = FlushDenormals::on();
        assert_eq!(half_of_the_smallest(), 0.0);
        drop(mode);
        assert!(half_of_the_smallest() > 0.0);
    }
}
