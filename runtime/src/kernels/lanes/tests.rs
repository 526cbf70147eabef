//! Every routine on every instruction set of this machine against `f64`.

use super::*;

/// The largest error allowed, in units of the last place.
fn allowance(function: Function) -> f64 {
    match function {
        Function::Exp | Function::Log => 1.5,
        Function::Tanh | Function::Sigmoid => 2.5,
        Function::Erf | Function::ErfInv | Function::Sin | Function::Cos => 0.6,
    }
}

fn exact(function: Function, x: f64) -> f64 {
    match function {
        Function::Exp => x.exp(),
        Function::Log => x.ln(),
        Function::Tanh => x.tanh(),
        Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Function::Erf => libm::erf(x),
        Function::ErfInv => inverse_erf(x),
        Function::Sin => libm::sin(x),
        Function::Cos => libm::cos(x),
    }
}

/// By bisection.
fn inverse_erf(x: f64) -> f64 {
    if x.abs() >= 1.0 {
        return if x.abs() == 1.0 { x * f64::INFINITY } else { f64::NAN };
    }
    // Of the complement, which keeps its precision where x is almost 1.
    let too_small = |y: f64| libm::erfc(y) > 1.0 - x.abs();
    let (mut low, mut high) = (0.0, 6.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if too_small(middle) { low = middle } else { high = middle }
    }
    // Near zero the complement rounds: there one step of Newton's method from the series does.
    let y = if x.abs() < 1e-3 { x.abs() / std::f64::consts::FRAC_2_SQRT_PI } else { low };
    let slope = std::f64::consts::FRAC_2_SQRT_PI * (-y * y).exp();
    let excess = if x.abs() < 0.5 { libm::erf(y) - x.abs() } else { (1.0 - x.abs()) - libm::erfc(y) };
    (y - excess / slope).copysign(x)
}

/// The distance in units of the last place of the exact result; denormals count as zero.
fn error(found: f32, exact: f64) -> f64 {
    if exact.is_nan() || found.is_nan() {
        return if exact.is_nan() && found.is_nan() { 0.0 } else { f64::INFINITY };
    }
    let rounded = exact as f32;
    if rounded.is_infinite() || found.is_infinite() {
        let almost = exact.abs() >= f64::from(f32::MAX) * (1.0 - 1e-7) && found.is_infinite();
        return if rounded == found || almost { 0.0 } else { f64::INFINITY };
    }
    if rounded.is_subnormal() && found.abs() <= f32::MIN_POSITIVE {
        return 0.0;
    }
    let place = rounded.abs().max(f32::MIN_POSITIVE);
    let ulp = f64::from(f32::from_bits(place.to_bits() + 1)) - f64::from(place);
    (f64::from(found) - exact).abs() / ulp
}

#[expect(unsafe_code, reason = "calls a routine")]
fn call(routine: UnaryRoutine, x: [f32; LANES]) -> [f32; LANES] {
    let mut y = [f32::NAN; LANES];
    // SAFETY: both arrays have `LANES` numbers, and the instruction set is one of those available.
    unsafe { routine(x.as_ptr(), y.as_mut_ptr()) };
    y
}

#[expect(unsafe_code, reason = "calls a routine")]
fn call_pow(routine: BinaryRoutine, x: [f32; LANES], e: [f32; LANES]) -> [f32; LANES] {
    let mut y = [f32::NAN; LANES];
    // SAFETY: the arrays have `LANES` numbers, and the instruction set is one of those available.
    unsafe { routine(x.as_ptr(), e.as_ptr(), y.as_mut_ptr()) };
    y
}

/// Numbers of all sizes and both signs, more of them between -16 and 16, and the special ones.
fn samples() -> Vec<f32> {
    let all_sizes = (0..1 << 14).map(|i| f32::from_bits((i << 18) + 7 * i));
    let usual = (0..1 << 15).map(|i| (i as f32 / 1024.0 - 16.0) * 1.000_013);
    let unit = (0..1 << 13).map(|i| i as f32 / 4096.0 - 1.0);
    let special = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NEG_INFINITY];
    let edges = [f32::NAN, 88.7, 88.8, -87.3, -87.4, -103.0, -104.5, 0.625, 0.624_999_9, 0.999_999_94, 1.000_000_1];
    let mut all: Vec<f32> = all_sizes.chain(usual).chain(unit).chain(special).chain(edges).collect();
    all.resize(all.len().next_multiple_of(LANES), 0.25);
    all
}

#[test]
fn functions_are_as_exact_as_stated() {
    for isa in Isa::available() {
        for function in Function::ALL {
            let routine = function.routine(isa);
            let mut worst = (0.0, 0.0);
            for block in samples().chunks_exact(LANES) {
                let x: [f32; LANES] = block.try_into().expect("a whole block");
                for (x, y) in x.into_iter().zip(call(routine, x)).filter(|(x, _)| !x.is_subnormal()) {
                    let error = error(y, exact(function, f64::from(x)));
                    worst = if error > worst.0 { (error, x) } else { worst };
                }
            }
            assert!(worst.0 <= allowance(function), "{function:?} on {isa:?}: {} ulp at {:e}", worst.0, worst.1);
        }
    }
}

#[test]
fn powers_are_as_exact_as_stated() {
    let special = [0.0, -0.0, 1.0, -1.0, 2.0, 3.0, -3.0, 0.5, -2.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e30];
    let usual = (1..64).map(|i| i as f32 * 0.37);
    let numbers: Vec<f32> = special.into_iter().chain(usual).collect();
    for isa in Isa::available() {
        for x in &numbers {
            for block in numbers.chunks(LANES) {
                let e: [f32; LANES] = std::array::from_fn(|lane| block.get(lane).copied().unwrap_or(1.0));
                for (e, y) in e.into_iter().zip(call_pow(pow(isa), [*x; LANES], e)) {
                    let error = error(y, f64::from(*x).powf(f64::from(e)));
                    assert!(error <= 0.6, "{x}^{e} on {isa:?}: {y}, {error} ulp");
                }
            }
        }
    }
}

#[test]
fn a_result_depends_on_its_argument_only() {
    for isa in Isa::available() {
        for function in Function::ALL {
            let x: [f32; LANES] = std::array::from_fn(|lane| 0.05 * lane as f32 + 0.01);
            let together = call(function.routine(isa), x);
            for lane in 0..LANES {
                let mut alone = [2e9; LANES];
                alone[LANES - 1 - lane] = x[lane];
                assert_eq!(
                    call(function.routine(isa), alone)[LANES - 1 - lane],
                    together[lane],
                    "{function:?} {isa:?}"
                );
            }
        }
    }
}

#[test]
#[expect(unsafe_code, reason = "calls a routine")]
fn draws_are_the_same_on_every_instruction_set() {
    for isa in Isa::available() {
        for (first, count) in [(0, 0), (0, 16), (5, 16), (3, 1), (1, 300)] {
            let mut row = vec![-1.0; count + 1];
            // SAFETY: the row is longer than `count`.
            unsafe { uniform(isa)(3, -4, 5, first, count, row.as_mut_ptr()) };
            let expected = (first..).take(count).map(|index| random::uniform(3, -4, 5, index));
            assert!(row[..count].iter().copied().eq(expected) && row[count] == -1.0, "{isa:?}");
        }
    }
}
