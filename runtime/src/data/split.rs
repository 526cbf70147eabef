//! Drawing a test split.

use super::args::Args;
use super::error::DataError;
use super::order::{Bits, shuffle};

/// The use of random bits that splits have for themselves.
const USAGE: u64 = 0x73_706c_6974;

/// Draws the test split that argument `test` asks for, a share or a number of samples, by argument `seed`. Both splits keep
/// the order of the samples; without `test` the second is empty.
pub(crate) fn draw_test(args: &Args<'_>, n: usize) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let seed = args.count("seed", 0, u32::MAX as usize)?.unwrap_or(0) as u64;
    let mut order: Vec<usize> = (0..n).collect();
    let Some(wanted) = args.number("test", 0.0, n.saturating_sub(1) as f64)? else { return Ok((order, vec![])) };
    let n_test = if wanted < 1.0 { (wanted * n as f64).round() } else { wanted };
    if n_test.fract() != 0.0 || n_test as usize >= n {
        return Err(args.fault("test", "a share below 1 or a whole number of samples", wanted.to_string()));
    }
    shuffle(&mut order, Bits::new(seed, USAGE));
    let mut test = order.split_off(n - n_test as usize);
    test.sort_unstable();
    order.sort_unstable();
    Ok((order, test))
}
