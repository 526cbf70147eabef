//! Standardising a column of numbers.

/// What is done to each feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Nothing.
    None,
    /// Mean 0, variance 1.
    Variance,
    /// Mean 0, Euclidean norm 1.
    UnitNorm,
}

impl Scale {
    /// Scales `values` by the statistics of the first `known` of them. Fails, saying what was found, where those are all equal.
    pub(crate) fn apply(self, values: &mut [f64], known: usize) -> Result<(), String> {
        if self == Scale::None {
            return Ok(());
        }
        let constant = values[..known].iter().all(|&x| x == values[0]);
        if constant {
            return Err(format!("{} in every row", values[0]));
        }
        centre(values, known);
        let square: f64 = values[..known].iter().map(|x| x * x).sum();
        let size = match self {
            Scale::None => 1.0,
            Scale::Variance => (square / (known - 1) as f64).sqrt(),
            Scale::UnitNorm => square.sqrt(),
        };
        if !size.is_normal() {
            return Err("values whose deviation is not a usable number".to_owned());
        }
        values.iter_mut().for_each(|x| *x /= size);
        Ok(())
    }
}

/// Takes the mean of the first `known` values from all.
pub(crate) fn centre(values: &mut [f64], known: usize) {
    let mean = values[..known].iter().sum::<f64>() / known as f64;
    values.iter_mut().for_each(|x| *x -= mean);
}
