//! Numbers to places on a line, and the round numbers that are written beside it.

/// How distances grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Evenly.
    #[default]
    Linear,
    /// By powers of ten; only positive numbers have a place.
    Log,
}

/// The numbers that a line shows, from `low` to `high`, and those that are written beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
    /// What is written.
    pub ticks: Vec<f64>,
    /// The distance of two ticks; their decimals depend on it.
    step: f64,
}

impl Scale {
    /// A scale that shows all of `numbers`, with about `wanted` ticks.
    pub fn new(kind: Kind, numbers: impl Iterator<Item = f64>, wanted: usize) -> Scale {
        let shown = numbers.filter(|x| x.is_finite() && (kind == Kind::Linear || *x > 0.0));
        let range = shown.fold(None, |range: Option<(f64, f64)>, x| {
            Some(range.map_or((x, x), |(low, high)| (low.min(x), high.max(x))))
        });
        match kind {
            Kind::Linear => linear(range.unwrap_or((0.0, 1.0)), wanted),
            Kind::Log => log(range.unwrap_or((1.0, 10.0)), wanted),
        }
    }

    /// Where `x` is, from 0 at the low end to 1 at the high end; `None` if it has no place.
    pub fn place(&self, x: f64) -> Option<f64> {
        let place = match self.kind {
            Kind::Linear => (x - self.low) / (self.high - self.low),
            Kind::Log if x > 0.0 => (x / self.low).log10() / (self.high / self.low).log10(),
            Kind::Log => return None,
        };
        place.is_finite().then_some(place)
    }

    /// A tick as it is written: as many decimals as tell it from the next, thousands and millions as `k` and `M`.
    pub fn text(&self, tick: f64) -> String {
        let step = match self.kind {
            Kind::Linear => self.step,
            Kind::Log => tick,
        };
        let largest = self.ticks.iter().fold(0.0_f64, |largest, tick| largest.max(tick.abs()));
        let size = if self.kind == Kind::Log { tick } else { largest };
        match size {
            _ if tick == 0.0 && size >= 1e4 => "0".to_owned(),
            size if size >= 1e12 || (size < 1e-4 && size > 0.0) => format!("{tick:.0e}"),
            size if size >= 1e9 => format!("{}G", decimals(tick / 1e9, step / 1e9)),
            size if size >= 1e6 => format!("{}M", decimals(tick / 1e6, step / 1e6)),
            size if size >= 1e4 => format!("{}k", decimals(tick / 1e3, step / 1e3)),
            _ => decimals(tick, step),
        }
    }
}

/// A multiple of `step` with the decimals that `step` has.
fn decimals(x: f64, step: f64) -> String {
    let places = (0..12).find(|&places| {
        let scaled = step * 10_f64.powi(places);
        (scaled - scaled.round()).abs() < 1e-6 * scaled.abs()
    });
    // Never minus zero.
    format!("{:.*}", places.unwrap_or(3) as usize, if x.abs() < 1e-12 * step.abs() { 0.0 } else { x })
}

/// The round step (1, 2 or 5 times a power of ten) that cuts `span` into about `wanted` parts.
fn round_step(span: f64, wanted: usize) -> f64 {
    let raw = span / wanted.max(1) as f64;
    let power = 10_f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= raw * 0.999).unwrap_or(10.0);
    factor * power
}

fn linear((low, high): (f64, f64), wanted: usize) -> Scale {
    // A range that comes near to zero shows it, and one of a single number is widened.
    let low = if low > 0.0 && low < 0.35 * high { 0.0 } else { low };
    let high = if high < 0.0 && high > 0.35 * low { 0.0 } else { high };
    let (low, high) =
        if high > low { (low, high) } else { (low - 0.5 * low.abs().max(1e-3), high + 0.5 * high.abs().max(1e-3)) };
    let step = round_step(high - low, wanted);
    let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
    let ticks = (0..=(last - first) as usize).map(|index| (first + index as f64) * step).collect();
    Scale { kind: Kind::Linear, low: first * step, high: last * step, ticks, step }
}

fn log((low, high): (f64, f64), wanted: usize) -> Scale {
    let (first, last) = ((low.log10() + 1e-9).floor(), (high.log10() - 1e-9).ceil());
    let last = if last > first { last } else { first + 1.0 };
    // Every decade, or every second, third, …; in between where there are few.
    let every = ((last - first) / wanted as f64).ceil().max(1.0);
    let between: &[f64] = if last - first <= 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let decades = (0..=((last - first) / every) as usize).map(|index| first + index as f64 * every);
    let ticks = decades.flat_map(|decade| between.iter().map(move |factor| factor * 10_f64.powf(decade)));
    let (low, high) = (10_f64.powf(first), 10_f64.powf(last));
    Scale { kind: Kind::Log, low, high, ticks: ticks.filter(|tick| *tick <= high * 1.001).collect(), step: 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(kind: Kind, numbers: &[f64], wanted: usize) -> Vec<String> {
        let scale = Scale::new(kind, numbers.iter().copied(), wanted);
        scale.ticks.iter().map(|tick| scale.text(*tick)).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(texts(Kind::Linear, &[0.913, 0.984], 5), ["0.90", "0.92", "0.94", "0.96", "0.98", "1.00"]);
        assert_eq!(texts(Kind::Linear, &[1.0, 40.0], 5), ["0", "10", "20", "30", "40"]);
        assert_eq!(texts(Kind::Linear, &[3.0, 266_610.0], 3), ["0", "100k", "200k", "300k"]);
        assert_eq!(texts(Kind::Linear, &[-0.4, 0.31], 4), ["-0.4", "-0.2", "0.0", "0.2", "0.4"]);
        assert_eq!(texts(Kind::Log, &[2e-5, 0.3], 5), ["1e-5", "0.0001", "0.001", "0.01", "0.1", "1"]);
        assert_eq!(texts(Kind::Log, &[1.5, 80.0], 5), ["1", "2", "5", "10", "20", "50", "100"]);
        assert_eq!(texts(Kind::Linear, &[], 2), ["0.0", "0.5", "1.0"]);
    }

    proptest! {
        #[test]
        fn every_number_has_its_place(
            numbers in prop::collection::vec(-1e9_f64..1e9, 1..20), wanted in 1_usize..12, log: bool,
        ) {
            let kind = if log { Kind::Log } else { Kind::Linear };
            let scale = Scale::new(kind, numbers.iter().copied(), wanted);
            for x in numbers {
                match scale.place(x) {
                    Some(place) => prop_assert!((-1e-9..=1.0 + 1e-9).contains(&place), "{x} {place}"),
                    None => prop_assert!(log && x <= 0.0),
                }
            }
            let places: Vec<f64> = scale.ticks.iter().filter_map(|tick| scale.place(*tick)).collect();
            prop_assert!(places.is_sorted() && places.len() == scale.ticks.len() && places.len() >= 2);
            prop_assert!(places.iter().all(|place| (-1e-9..=1.0 + 1e-9).contains(place)), "{:?}", scale);
            let mut texts: Vec<String> = scale.ticks.iter().map(|tick| scale.text(*tick)).collect();
            texts.dedup();
            prop_assert_eq!(texts.len(), scale.ticks.len(), "no two are written alike");
        }
    }
}
