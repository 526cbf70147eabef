//! The quantile of a row of numbers, by selection: the digits of its bits are found one after the other, from counts.

/// The smallest of `numbers` that at least a share `share` of them does not exceed; the smallest of all for a share of 0 or
/// less. What is not a number counts as larger than everything. `work` is overwritten; nothing is allocated.
///
/// # Panics
///
/// If there are no numbers, or `work` has another length.
pub fn quantile(numbers: &[f32], share: f32, work: &mut [f32]) -> f32 {
    assert!(!numbers.is_empty(), "there is no quantile of nothing");
    work.copy_from_slice(numbers);
    let mut rank = rank(numbers.len(), share);
    let mut left = work.len();
    for shift in DIGITS {
        let counts = counts(&work[..left], shift);
        let (digit, below) = digit_at(&counts, rank);
        left = keep(&mut work[..left], shift, digit);
        rank -= below;
    }
    work[0]
}

/// Where the digits of an ordered integer begin, the highest first: 11, 11 and 10 bits.
const DIGITS: [u32; 3] = [21, 10, 0];

/// The values of a digit.
const VALUES: usize = 1 << 11;

/// The digit of a number that begins at bit `shift`. Higher ones are equal in all numbers that are left.
fn digit(number: f32, shift: u32) -> usize {
    let bits = if shift == 0 { 10 } else { 11 };
    (order(number) >> shift) as usize & ((1 << bits) - 1)
}

/// How often each digit occurs. Neighbours are counted apart, because equal ones would wait for each other.
fn counts(numbers: &[f32], shift: u32) -> [u32; VALUES] {
    let mut counts = [[0; VALUES]; 2];
    for pair in numbers.chunks(2) {
        for (counts, number) in counts.iter_mut().zip(pair) {
            counts[digit(*number, shift)] += 1;
        }
    }
    let [even, odd] = counts;
    std::array::from_fn(|value| even[value] + odd[value])
}

/// The digit of the number that `rank` numbers precede, and how many have a lower one.
fn digit_at(counts: &[u32; VALUES], rank: usize) -> (usize, usize) {
    let mut below = 0;
    for (value, count) in counts.iter().enumerate() {
        if below + *count as usize > rank {
            return (value, below);
        }
        below += *count as usize;
    }
    panic!("a rank of {rank} among {below} numbers")
}

/// Moves the numbers with this digit to the front, and says how many they are.
fn keep(numbers: &mut [f32], shift: u32, wanted: usize) -> usize {
    let mut kept = 0;
    for index in 0..numbers.len() {
        let number = numbers[index];
        numbers[kept] = number;
        kept += usize::from(digit(number, shift) == wanted);
    }
    kept
}

/// How many numbers lie below the quantile, were all different.
///
/// The product is rounded to `f32` before it is rounded up, so that a share of 0.9, which `f32` does not hold exactly, of 10 numbers is 9.
fn rank(len: usize, share: f32) -> usize {
    let count = (share * len as f32).ceil();
    (count as usize).clamp(1, len) - 1
}

/// An integer that is ordered as the numbers are; NaN, of either sign, comes last.
fn order(number: f32) -> u32 {
    let bits = number.to_bits();
    // Negative numbers are ordered by their distance from zero, so all their bits are turned around.
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    if number.is_nan() { u32::MAX } else { ordered }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(numbers: &[f32], share: f32) -> f32 {
        quantile(numbers, share, &mut vec![0.0; numbers.len()])
    }

    #[test]
    fn shares_that_f32_does_not_hold_exactly_count_as_written() {
        let numbers: Vec<f32> = (1..=266_200).map(|i| i as f32).collect();
        assert_eq!(of(&numbers, 0.95), 252_890.0);
        assert_eq!(of(&numbers[..10], 0.9), 9.0);
        assert_eq!(of(&numbers[..100], 0.85), 85.0);
        assert_eq!(of(&numbers[..7], 0.0), 1.0);
        assert_eq!(of(&numbers[..7], 1.0), 7.0);
    }

    #[test]
    fn what_is_no_number_comes_last() {
        assert_eq!(of(&[f32::NAN, -f32::NAN, 3.0, f32::INFINITY], 0.25), 3.0);
        assert!(of(&[f32::NAN, 3.0], 1.0).is_nan());
    }

    proptest! {
        /// The definition, by counting.
        #[test]
        fn it_is_the_first_that_enough_do_not_exceed(numbers in prop::collection::vec(-4i8..4, 1..60), percent in 0u8..=100) {
            let numbers: Vec<f32> = numbers.into_iter().map(f32::from).collect();
            let value = of(&numbers, f32::from(percent) / 100.0);
            let below_or_at = |v: f32| numbers.iter().filter(|x| **x <= v).count() * 100;
            let enough = usize::from(percent) * numbers.len();
            prop_assert!(numbers.contains(&value) && below_or_at(value) >= enough);
            let smaller = numbers.iter().filter(|x| **x < value);
            prop_assert!(smaller.into_iter().all(|x| below_or_at(*x) < enough.max(1)));
        }
    }
}
