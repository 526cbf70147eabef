//! Counter-based random numbers: a draw is a pure function of seed, step, site and index.
//!
//! The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011).
//! Seed and step are its key; the site and a quarter of the index are its counter, so that one application gives four
//! neighbouring draws. Nothing is carried from one draw to the next: draws can be made in any order, by any number
//! of threads, and again.

/// A number in [0, 1): one of the 2^24 multiples of 2^-24, each equally likely.
///
/// `seed` and `step` say which run and when, `site` which place of the program draws, `index` which of its elements.
pub fn uniform(seed: i32, step: i32, site: u64, index: u64) -> f32 {
    let block = philox(counter(site, index / LANES), [seed as u32, step as u32]);
    to_unit(block[(index % LANES) as usize])
}

/// Writes the draws with the indices `first`, `first + 1`, … to `out`: each is what [`uniform`] gives.
#[inline(always)]
pub fn fill_uniform(seed: i32, step: i32, site: u64, first: u64, out: &mut [f32]) {
    let key = [seed as u32, step as u32];
    let head = ((LANES - first % LANES) % LANES).min(out.len() as u64) as usize;
    let (head, body) = out.split_at_mut(head);
    for (index, draw) in (first..).zip(head.iter_mut()) {
        *draw = uniform(seed, step, site, index);
    }
    let first_block = (first + head.len() as u64) / LANES;
    let (groups, rest) = body.as_chunks_mut::<{ GROUP * LANES as usize }>();
    for (block, draws) in (first_block..).step_by(GROUP).zip(groups.iter_mut()) {
        *draws = group(site, block, key);
    }
    let first_block = first_block + (GROUP * groups.len()) as u64;
    for (block, draws) in (first_block..).zip(rest.chunks_mut(LANES as usize)) {
        for (draw, bits) in draws.iter_mut().zip(philox(counter(site, block), key)) {
            *draw = to_unit(bits);
        }
    }
}

/// How many draws one application of the generator gives.
const LANES: u64 = 4;

/// How many applications are computed side by side, in vectors.
const GROUP: usize = 4;

/// The multipliers of the two halves.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];

/// What is added to the key after each round: the golden ratio and the square root of 3, less 1.
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// How many rounds make a draw.
const ROUNDS: usize = 10;

/// The draws of [`GROUP`] blocks. What is a word of the counter in [`philox`] is a row of words here, each in the low
/// half of 64 bits, as the machine's multiplications of vectors want them.
#[inline(always)]
fn group(site: u64, first_block: u64, mut key: [u32; 2]) -> [f32; GROUP * LANES as usize] {
    let blocks: [[u32; 4]; GROUP] = std::array::from_fn(|lane| counter(site, first_block + lane as u64));
    let mut words: [[u64; GROUP]; 4] = std::array::from_fn(|word| blocks.map(|block| u64::from(block[word])));
    for _ in 0..ROUNDS {
        let mut next = [[0; GROUP]; 4];
        for lane in 0..GROUP {
            let left = u64::from(MULTIPLIERS[0]) * (words[0][lane] & LOW);
            let right = u64::from(MULTIPLIERS[1]) * (words[2][lane] & LOW);
            next[0][lane] = (right >> 32) ^ words[1][lane] ^ u64::from(key[0]);
            next[1][lane] = right & LOW;
            next[2][lane] = (left >> 32) ^ words[3][lane] ^ u64::from(key[1]);
            next[3][lane] = left & LOW;
        }
        words = next;
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    std::array::from_fn(|index| to_unit(words[index % 4][index / 4] as u32))
}

/// The low half of 64 bits.
const LOW: u64 = u32::MAX as u64;

/// What a block of draws is counted by.
fn counter(site: u64, block: u64) -> [u32; 4] {
    [block as u32, (block >> 32) as u32, site as u32, (site >> 32) as u32]
}

/// The upper 24 bits, which an `f32` holds exactly, as a fraction.
fn to_unit(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// Philox4x32-10.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        counter = round(counter, key);
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    counter
}

fn round(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let left = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
    let right = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
    let high = |product: u64| (product >> 32) as u32;
    [high(right) ^ counter[1] ^ key[0], right as u32, high(left) ^ counter[3] ^ key[1], left as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that its authors published with it.
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox(pi, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn a_fill_is_the_single_draws_from_any_start() {
        for first in [0, 1, 2, 3, 4, 7, 1000, u64::from(u32::MAX) * 4 + 1] {
            for len in [0, 1, 2, 3, 4, 5, 8, 37] {
                let mut row = vec![-1.0; len];
                fill_uniform(-5, 12, 3 << 40, first, &mut row);
                for (index, draw) in (first..).zip(&row) {
                    assert_eq!(*draw, uniform(-5, 12, 3 << 40, index), "index {index} of a row from {first}");
                }
            }
        }
    }

    #[test]
    fn draws_lie_in_the_half_open_unit_interval_on_a_grid_of_24_bits() {
        let mut row = vec![0.0; 1 << 16];
        fill_uniform(1, 2, 3, 0, &mut row);
        for draw in row {
            assert!((0.0..1.0).contains(&draw), "{draw}");
            assert_eq!((draw * (1 << 24) as f32).fract(), 0.0);
        }
        assert_eq!(to_unit(u32::MAX), 1.0 - f32::EPSILON / 2.0);
    }

    /// Mean, variance, neighbours, and a chi-square test over 256 bins, each within five standard deviations.
    #[test]
    fn draws_look_independent_and_uniform() {
        let n = 1 << 18;
        let mut row = vec![0.0; n];
        fill_uniform(42, 0, 0, 0, &mut row);
        let centred: Vec<f64> = row.iter().map(|draw| f64::from(*draw) - 0.5).collect();
        let mean_of = |terms: Vec<f64>| terms.iter().sum::<f64>() / terms.len() as f64;
        let deviation = 1.0 / (n as f64).sqrt();
        assert!(mean_of(centred.clone()).abs() < 5.0 * deviation * (1.0f64 / 12.0).sqrt());
        let squares = mean_of(centred.iter().map(|x| x * x).collect());
        assert!((squares - 1.0 / 12.0).abs() < 5.0 * deviation * (1.0f64 / 180.0).sqrt());
        for lag in [1, 2, 4, 64] {
            let products = mean_of(centred.iter().zip(&centred[lag..]).map(|(a, b)| a * b).collect());
            assert!(products.abs() < 5.0 * deviation / 12.0, "lag {lag}: {products}");
        }
        let mut bins = [0.0f64; 256];
        row.iter().for_each(|draw| bins[(draw * 256.0) as usize] += 1.0);
        let expected = n as f64 / 256.0;
        let chi_square: f64 = bins.iter().map(|count| (count - expected).powi(2) / expected).sum();
        assert!((chi_square - 255.0).abs() < 5.0 * (2.0f64 * 255.0).sqrt(), "{chi_square}");
    }

    #[test]
    fn seed_step_and_site_each_matter() {
        let draws = |seed, step, site| {
            let mut row = vec![0.0; 64];
            fill_uniform(seed, step, site, 0, &mut row);
            row
        };
        let base = draws(7, 7, 7);
        for other in [draws(8, 7, 7), draws(7, 8, 7), draws(7, 7, 8), draws(7, 7, 7 | 1 << 40)] {
            let same = base.iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!(same <= 1, "{same} of 64 draws agree");
        }
    }
}
