//! Texts and series.
//!
//! Of a text, half of the tokens follow from the one before them, k from k' by k = 3 k' + 1 modulo the vocabulary; the others
//! are any. Series are on a ring, 60 + 10 x with x_i(t + 1) = 0.6 x_i(t) + 0.3 x_(i-1)(t) + 0.4 times a normal number.

use super::super::args::{Args, Request};
use super::super::error::{DataError, Fault};
use super::super::order::Bits;
use super::super::series::Windows;
use super::super::{Dataset, text};
use super::{MOST, seed, split};

/// The uses of random bits.
const TOKENS: u64 = 21;
const NOISE: u64 = 22;

/// `synthetic(tokens: 100_000, vocabulary: 10_000, window: 35)`.
pub(super) fn open_text(request: &Request) -> Result<Dataset, DataError> {
    let args = Args::new(request, &["tokens", "vocabulary", "window", "seed", "validation", "hold_out", "test"])?;
    let tokens = args.count("tokens", 2, MOST / 4)?.unwrap_or(100_000);
    let vocabulary = args.count("vocabulary", 2, i32::MAX as usize)?.unwrap_or(1000);
    let window = args.count("window", 1, 100_000)?.unwrap_or(35);
    let ranges = split(&args, tokens)?;
    text::check_lengths("`synthetic(…)`", &ranges, |_| None, window)?;
    let draws = Bits::new(seed(&args)?, TOKENS);
    let mut token = 0;
    let numbers = (0..tokens as u64).map(|place| {
        let draw = draws.uniform(place) * 2.0;
        token = if draw < 1.0 { (3 * token + 1) % vocabulary } else { ((draw - 1.0) * vocabulary as f64) as usize };
        token as i32
    });
    let mut data = text::windows(numbers.collect(), &ranges, window);
    data.constants = vec![("vocabulary".to_owned(), vocabulary as f64)];
    data.about = "tokens half of which follow from the one before them".to_owned();
    Ok(data)
}

/// `synthetic(steps: 2000, series: 207, past: 8)`.
pub(super) fn open_series(request: &Request) -> Result<Dataset, DataError> {
    let names = ["steps", "series", "past", "ahead", "seed", "validation", "hold_out", "test"];
    let args = Args::new(request, &names)?;
    let steps = args.count("steps", 2, MOST / 8)?.unwrap_or(2000);
    let series = args.count("series", 1, MOST / 8)?.unwrap_or(20);
    if steps.saturating_mul(series) > MOST / 8 {
        let expected = format!("at most {} numbers", MOST / 8);
        let error = DataError::new(Fault::Declaration, "`synthetic(…)`", expected, "more");
        return Err(error.help("write fewer `steps:`"));
    }
    let windows = Windows::new(&args)?;
    let ranges = split(&args, steps)?;
    windows.check("`synthetic(…)`", &ranges)?;
    let draws = Bits::new(seed(&args)?, NOISE);
    let mut values = Vec::with_capacity(steps * series);
    let mut now = vec![0.0; series];
    for step in 0..steps {
        let before = now.clone();
        for (i, x) in now.iter_mut().enumerate() {
            let neighbour = before[(i + series - 1) % series];
            *x = 0.6 * before[i] + 0.3 * neighbour + 0.4 * draws.normal((step * series + i) as u64);
        }
        values.extend(now.iter().map(|x| 60.0 + 10.0 * x));
    }
    Ok(windows.cut(values, steps, ranges))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Arg, Split, open};
    use crate::program::FieldMut;

    fn synthetic(args: &[(&str, f64)]) -> Result<Dataset, DataError> {
        let args = args.iter().map(|&(name, x)| (name.to_owned(), Arg::Number(x))).collect();
        open(&Request { source: "synthetic".into(), args }, &[])
    }

    #[test]
    fn half_of_the_tokens_follow() {
        let args = [("tokens", 5000.0), ("vocabulary", 50.0), ("window", 10.0), ("validation", 0.1)];
        let data = synthetic(&args).expect("a text");
        let rows = data.order(Split::Train, 4, None);
        let (mut token, mut target) = (vec![0; rows.len() * 10], vec![0; rows.len() * 10]);
        data.gather(Split::Train, &rows, 0, FieldMut::I32(&mut token));
        data.gather(Split::Train, &rows, 1, FieldMut::I32(&mut target));
        let follow = token.iter().zip(&target).filter(|&(token, target)| (3 * token + 1) % 50 == *target).count();
        assert!(token.iter().all(|token| (0..50).contains(token)));
        assert!((0.45..0.6).contains(&(follow as f64 / token.len() as f64)), "{follow} of {}", token.len());
        assert_eq!(data.evaluated(), [Split::Validation, Split::Test]);
        assert!(data.sequential());
    }

    #[test]
    fn series_have_the_shapes_asked_for_and_stay_in_sight() {
        let args = [("steps", 400.0), ("series", 7.0), ("past", 8.0), ("ahead", 2.0)];
        let data = synthetic(&args).expect("series");
        assert_eq!((data.fields()[0].shape.as_slice(), data.fields()[1].shape.as_slice()), (&[8, 7][..], &[7][..]));
        assert_eq!((data.n(Split::Train), data.n(Split::Test)), (320 - 9, 80 - 9));
        let constant = |name: &str| data.constants.iter().find(|(own, _)| own == name).expect("a series has it").1;
        assert!(constant("least") > 0.0 && constant("largest") < 120.0 && constant("deviation") > 1.0);
    }

    #[test]
    fn impossible_requests_are_refused() {
        assert!(synthetic(&[("tokens", 30.0)]).is_err(), "24 tokens are less than a window");
        assert!(synthetic(&[("steps", 10.0), ("past", 20.0)]).is_err());
        assert!(synthetic(&[("steps", 1e8), ("series", 1e8)]).is_err());
        assert!(synthetic(&[("tokens", 100.0), ("features", 2.0)]).is_err());
    }
}
