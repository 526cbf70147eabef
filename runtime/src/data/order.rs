//! Orders that depend on a key only: the shuffle of an epoch, the choice of a test split, the numbers of a teacher.

use crate::random;

/// A sequence of random numbers that can be entered anywhere: the generator of [`random`], keyed by a seed and a use.
#[derive(Clone, Copy, Debug)]
pub struct Bits {
    seed: u64,
    usage: u64,
}

impl Bits {
    /// The numbers of a seed and a use of it; different uses are independent.
    pub fn new(seed: u64, usage: u64) -> Bits {
        Bits { seed, usage }
    }

    /// A number in [0, 1), a multiple of 2^-48.
    pub(crate) fn uniform(self, position: u64) -> f64 {
        let draw = |index| f64::from(random::uniform(self.seed as i32, (self.seed >> 32) as i32, self.usage, index));
        draw(2 * position) + draw(2 * position + 1) / (1 << 24) as f64
    }

    /// A standard normal number, by the method of Box and Muller.
    pub(crate) fn normal(self, position: u64) -> f64 {
        let (u, v) = (self.uniform(2 * position), self.uniform(2 * position + 1));
        libm::sqrt(-2.0 * libm::log(1.0 - u)) * libm::cos(std::f64::consts::TAU * v)
    }
}

/// Puts `order` into the random order of `bits`, from whatever order it is in (Fisher and Yates), in place.
pub(crate) fn shuffle(order: &mut [usize], bits: Bits) {
    for last in (1..order.len()).rev() {
        let pick = bits.uniform(last as u64) * (last + 1) as f64;
        order.swap(last, pick as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_a_permutation_that_depends_on_its_key_only() {
        let shuffled = |seed| {
            let mut order: Vec<usize> = (0..1000).collect();
            shuffle(&mut order, Bits::new(seed, 0));
            order
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn every_position_is_equally_likely() {
        let mut counts = [[0; 4]; 4];
        for seed in 0..4000 {
            let mut order = [0, 1, 2, 3];
            shuffle(&mut order, Bits::new(seed, 7));
            order.iter().enumerate().for_each(|(place, &who)| counts[who][place] += 1);
        }
        // Binomial with 4000 draws of 1/4: standard deviation 27.
        assert!(counts.iter().flatten().all(|&count| (900..=1100).contains(&count)), "{counts:?}");
    }

    #[test]
    fn normals_have_their_moments() {
        let draws: Vec<f64> = (0..20_000).map(|i| Bits::new(3, 1).normal(i)).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
