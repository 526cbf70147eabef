//! The quantile of a row of numbers, by selection: the digits of its bits are found one after the other, from counts.

/// The smallest of `numbers` that at least a share `share` of them does not exceed; the smallest of all for a share of 0 or
/// less. What is not a number counts as larger than everything. `work` is overwritten; nothing is allocated.
///
/// # Panics
///
/// If there are no numbers, or `work` has another length.
pub fn quantile(numbers: &[f32], share: f32, work: &mut [f32]) -> f32 {
    assert!(!numbers.is_empty(), "there is no quantile of nothing");
    assert_eq!(numbers.len(), work.len(), "as much room as numbers");
    for (ordered, number) in work.iter_mut().zip(numbers) {
        *ordered = f32::from_bits(order(*number));
    }
    let (rank, left) = narrow::<21>(work, rank(numbers.len(), share), work.len());
    let (rank, left) = narrow::<10>(work, rank, left);
    let _ = narrow::<0>(work, rank, left);
    unorder(work[0].to_bits())
}

/// Keeps of the first `left` ordered integers those that share the digit from bit `SHIFT` on with the one that `rank` of
/// them precede; returns its rank among these, and how many they are. Higher digits are equal in all of them.
fn narrow<const SHIFT: u32>(work: &mut [f32], rank: usize, left: usize) -> (usize, usize) {
    let work = &mut work[..left];
    let (wanted, below) = digit_at(&counts::<SHIFT>(work), rank);
    let mut kept = 0;
    for index in 0..work.len() {
        let number = work[index];
        work[kept] = number;
        kept += usize::from(digit::<SHIFT>(number) == wanted);
    }
    (rank - below, kept)
}

/// The values of a digit: it has 11 bits, the last one 10.
const VALUES: usize = 1 << 11;

/// The digit of an ordered integer from bit `SHIFT` on.
fn digit<const SHIFT: u32>(ordered: f32) -> usize {
    let values = if SHIFT == 0 { VALUES / 2 } else { VALUES };
    (ordered.to_bits() >> SHIFT) as usize & (values - 1)
}

/// How often each digit occurs. Neighbours are counted apart, because equal ones would wait for each other.
fn counts<const SHIFT: u32>(ordered: &[f32]) -> [u32; VALUES] {
    let mut counts = [[0u32; VALUES]; 4];
    let (fours, rest) = ordered.as_chunks::<4>();
    for four in fours {
        for lane in 0..4 {
            counts[lane][digit::<SHIFT>(four[lane])] += 1;
        }
    }
    for number in rest {
        counts[0][digit::<SHIFT>(*number)] += 1;
    }
    std::array::from_fn(|value| counts.iter().map(|counts| counts[value]).sum())
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

/// How many numbers lie below the quantile, were all different.
///
/// Shares are compared as `f32` knows them, so that a share of 0.9, which `f32` does not hold exactly, of 10 numbers is 9.
fn rank(len: usize, share: f32) -> usize {
    let reaches = |count: usize| (count as f64 / len as f64) as f32 >= share;
    let mut count = ((share * len as f32).ceil() as usize).clamp(1, len);
    while count > 1 && reaches(count - 1) {
        count -= 1;
    }
    while count < len && !reaches(count) {
        count += 1;
    }
    count - 1
}

/// An integer that is ordered as the numbers are; NaN, of either sign, comes last.
#[inline(always)]
fn order(number: f32) -> u32 {
    let bits = number.to_bits();
    // Negative numbers are ordered by their distance from zero, so all their bits are turned around.
    let ordered = bits ^ (((bits as i32 >> 31) as u32) | 1 << 31);
    if number.is_nan() { u32::MAX } else { ordered }
}

/// The number with this place in the order.
fn unorder(ordered: u32) -> f32 {
    f32::from_bits(if ordered >> 31 == 1 { ordered ^ 1 << 31 } else { !ordered })
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
        /// Numbers of all sizes and both signs, by sorting.
        #[test]
        fn it_is_an_element_of_the_sorted_row(bits in prop::collection::vec(any::<u32>(), 1..300), share in -0.1f32..1.1) {
            let mut numbers: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            let found = of(&numbers, share);
            numbers.sort_by(|a, b| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)));
            let expected = numbers[rank(numbers.len(), share)];
            prop_assert!(found == expected || found.is_nan() && expected.is_nan(), "{found}, expected {expected}");
        }

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
