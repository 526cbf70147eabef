//! Drawing a test split and a validation split.

use super::args::Args;
use super::error::DataError;
use super::order::{Bits, shuffle};
use super::{Dataset, Rows, Split};

/// The uses of random bits that splits have for themselves.
const USAGE: u64 = 0x73_706c_6974;
const HOLD_OUT_USAGE: u64 = 0x68_6f6c_645f;

/// Draws the test split that argument `test` asks for, a share or a number of samples, by argument `seed`. Both splits keep
/// the order of the samples; without `test` the second is empty.
pub(crate) fn draw_test(args: &Args<'_>, n: usize) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let n_test = part(args, "test", n)?;
    Ok(draw(n, n_test, Bits::new(seed(args)?, USAGE)))
}

/// Moves the samples that argument `hold_out` asks for, a share or a number, from training to validation, drawn by argument
/// `seed`. Both keep the order of the samples.
pub(crate) fn hold_out(args: &Args<'_>, data: Dataset) -> Result<Dataset, DataError> {
    let n = data.n(Split::Train);
    let held = part(args, "hold_out", n)?;
    if held == 0 {
        return Ok(data);
    }
    if data.n(Split::Validation) > 0 {
        return Err(args.fault("hold_out", "one way to split", "a validation split in the files besides it"));
    }
    let (train, validation) = draw(n, held, Bits::new(seed(args)?, HOLD_OUT_USAGE));
    let rows = |samples: Vec<usize>| {
        Rows::List(samples.into_iter().map(|sample| data.rows(Split::Train).place(sample) as u32).collect())
    };
    let (train, validation) = (rows(train), rows(validation));
    Ok(data.with_validation(train, validation))
}

/// How many of `n` samples argument `name` asks for, as a share below 1 or a number above; some must be left. A 1 could be one sample or all.
pub(crate) fn part(args: &Args<'_>, name: &'static str, n: usize) -> Result<usize, DataError> {
    let Some(wanted) = args.number(name, f64::NEG_INFINITY, f64::INFINITY)? else { return Ok(0) };
    let number = if wanted < 1.0 { (wanted * n as f64).round() } else { wanted };
    if wanted == 1.0 || number.fract() != 0.0 || !(0.0..n as f64).contains(&number) {
        let most = n.saturating_sub(1);
        let expected = format!("a share below 100%, or a whole number of samples from 2 to {most}");
        let error = args.fault(name, expected, wanted.to_string());
        return Err(
            error.help(format!("write a share, `{name}: 10%`, or a number, `{name}: {}`", n.div_ceil(10).max(2)))
        );
    }
    Ok(number as usize)
}

/// The name by which the validation split is asked for, of a source whose splits follow each other.
pub(crate) fn validation_name(args: &Args<'_>) -> Result<&'static str, DataError> {
    match (args.get("validation"), args.get("hold_out")) {
        (Some(_), Some(_)) => {
            Err(args.fault("hold_out", "one of the two", "`validation` besides it, which is the same"))
        }
        (None, Some(_)) => Ok("hold_out"),
        (_, None) => Ok("validation"),
    }
}

fn seed(args: &Args<'_>) -> Result<u64, DataError> {
    Ok(args.count("seed", 0, u32::MAX as usize)?.unwrap_or(0) as u64)
}

/// All but `wanted` of `n` samples, and those, each in order.
fn draw(n: usize, wanted: usize, bits: Bits) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..n).collect();
    if wanted == 0 {
        return (order, vec![]);
    }
    shuffle(&mut order, bits);
    let mut drawn = order.split_off(n - wanted);
    drawn.sort_unstable();
    order.sort_unstable();
    (order, drawn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Arg, Column, Request, Values};
    use crate::program::{Element, FieldMut};

    fn held(n: usize, arg: f64, seed: f64) -> Result<Dataset, DataError> {
        let args = vec![("hold_out".to_owned(), Arg::Number(arg)), ("seed".to_owned(), Arg::Number(seed))];
        let request = Request { source: "idx".into(), args };
        let column = Column::new("x", Element::Integer, vec![], Values::I32((0..n as i32 + 3).collect()));
        hold_out(&Args::new(&request, &["hold_out", "seed"])?, Dataset::new(vec![column], n, 3))
    }

    fn values(data: &Dataset, split: Split) -> Vec<i32> {
        let order = data.order(split, 1, None);
        let mut out = vec![0; order.len()];
        data.gather(split, &order, 0, FieldMut::I32(&mut out));
        out
    }

    #[test]
    fn held_out_samples_are_of_the_training_part_and_in_one_split_only() {
        let data = held(20, 0.25, 0.0).expect("a quarter can be held out");
        let (train, validation) = (values(&data, Split::Train), values(&data, Split::Validation));
        assert_eq!((train.len(), validation.len()), (15, 5));
        assert_eq!(values(&data, Split::Test), [20, 21, 22]);
        let mut all = [train.clone(), validation.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<_>>());
        assert!(train.is_sorted() && validation.is_sorted());
        assert_eq!(held(20, 5.0, 0.0), Ok(data.clone()));
        assert_ne!(held(20, 5.0, 1.0), Ok(data));
    }

    #[test]
    fn something_must_be_left_to_train_on() {
        assert!(held(20, 20.0, 0.0).is_err());
        assert!(held(20, 0.99, 0.0).is_err());
        assert!(held(20, 1.0, 0.0).is_err());
        assert!(held(20, 2.5, 0.0).is_err());
        assert!(held(20, -1.0, 0.0).is_err());
        assert!(held(20, f64::NAN, 0.0).is_err());
        assert_eq!(held(20, 0.0, 0.0).expect("nothing held out").n(Split::Validation), 0);
    }
}
