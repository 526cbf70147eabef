//! How long something takes, and what the machine could do meanwhile.

use std::time::Instant;

use spnc_runtime::kernels::{Isa, peak};

/// Times that count, after one that does not: caches, pages and clock rates settle first.
const KEPT: usize = 5;

/// The median milliseconds of one call of each piece of work, which is called again and again for so many seconds at a time. They take
/// turns, so that what else the machine does is fair to all.
pub fn medians<const N: usize>(seconds: f64, mut work: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut times: [Vec<f64>; N] = std::array::from_fn(|_| vec![]);
    for round in 0..=KEPT {
        for (times, work) in times.iter_mut().zip(&mut work) {
            let time = per_call(seconds, work);
            if round > 0 {
                times.push(time);
            }
        }
    }
    times.map(|times| 1e3 * median(times))
}

/// Seconds of one call.
fn per_call(seconds: f64, work: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    let mut calls = 0;
    while calls == 0 || start.elapsed().as_secs_f64() < seconds {
        work();
        calls += 1;
    }
    start.elapsed().as_secs_f64() / f64::from(calls)
}

/// The middle one of some numbers.
///
/// # Panics
///
/// If there are none.
pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Seconds that some work takes.
pub fn took(work: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// The most arithmetic that one core of this machine does, in 10⁹ operations a second: the best of some short times, since anything
/// else that runs only takes away.
pub fn peak_gflops() -> f64 {
    let once = |_| {
        let mut flops = 0;
        let seconds = took(&mut || flops = peak::multiply_add(Isa::best(), PEAK_ROUNDS));
        1e-9 * flops as f64 / seconds
    };
    (0..PEAK_TIMES).map(once).fold(0.0, f64::max)
}

/// About a millisecond.
const PEAK_ROUNDS: usize = 300_000;
const PEAK_TIMES: usize = 40;

/// The most memory that this process has had so far, in 10⁶ bytes, where the system tells.
pub fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_turns_and_its_first_time_does_not_count() {
        let (mut order, mut other) = (std::cell::RefCell::new(vec![]), 0);
        let [first, second] = medians(
            1e-9,
            [&mut || order.borrow_mut().push('a'), &mut || {
                order.borrow_mut().push('b');
                other += 1;
            }],
        );
        assert_eq!(order.get_mut().iter().collect::<String>(), "ab".repeat(KEPT + 1));
        assert!(first > 0.0 && second > 0.0 && other == KEPT + 1);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
