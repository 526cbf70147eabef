//! The quantile of a row of numbers, by selection.

/// The smallest of `numbers` that at least a share `share` of them does not exceed; the smallest of all for a share of 0 or
/// less. What is not a number counts as larger than everything. `work` is overwritten; nothing is allocated.
///
/// # Panics
///
/// If there are no numbers, or `work` has another length.
pub fn quantile(numbers: &[f32], share: f32, work: &mut [f32]) -> f32 {
    work.copy_from_slice(numbers);
    let rank = rank(numbers.len(), share);
    let (_, value, _) = work.select_nth_unstable_by(rank, |a, b| order(*a).cmp(&order(*b)));
    *value
}

/// How many numbers lie below the quantile, were all different.
///
/// The product is rounded to `f32` before it is rounded up, so that a share of 0.9, which `f32` does not hold exactly, of 10 numbers is 9.
fn rank(len: usize, share: f32) -> usize {
    let count = (share * len as f32).ceil();
    (count as usize).clamp(1, len) - 1
}

/// An integer that is ordered as the numbers are; NaN, of either sign, comes last.
fn order(number: f32) -> i32 {
    let bits = number.to_bits() as i32;
    // Negative numbers are ordered by their distance from zero, so all bits but the sign are turned around.
    if number.is_nan() { i32::MAX } else { bits ^ (((bits >> 31) as u32) >> 1) as i32 }
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
