//! Numbers for people.

/// Four significant digits.
pub fn number(x: f64) -> String {
    let magnitude = x.abs();
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    match magnitude.log10().floor() as i32 {
        -4..=3 => {
            let decimals = (3 - magnitude.log10().floor() as i32).max(0) as usize;
            format!("{x:.decimals$}")
        }
        4..=8 => format!("{x:.0}"),
        _ => format!("{x:.3e}"),
    }
}

/// A share in per cent, one decimal; two where it is under one per cent.
pub fn share(x: f64) -> String {
    let percent = 100.0 * x;
    if percent != 0.0 && percent.abs() < 1.0 { format!("{percent:.2} %") } else { format!("{percent:.1} %") }
}

/// A count with its thousands set apart.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds, as short as they can be read.
pub fn seconds(s: f64) -> String {
    match s {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), s % 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits() {
        let cases = [(0.0, "0"), (0.25, "0.2500"), (12.3456, "12.35"), (1234.5, "1234"), (123_456.0, "123456")];
        for (x, text) in cases {
            assert_eq!(number(x), text);
        }
        assert_eq!(number(-0.000_123_44), "-0.0001234");
        assert_eq!(number(1.5e-7), "1.500e-7");
        assert_eq!(number(f64::NAN), "NaN");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!([0, 999, 1000, 266_610, 1_234_567].map(count), ["0", "999", "1,000", "266,610", "1,234,567"]);
    }

    #[test]
    fn shares_and_seconds() {
        assert_eq!([0.0, 0.005, 0.1234, 1.0].map(share), ["0.0 %", "0.50 %", "12.3 %", "100.0 %"]);
        assert_eq!([5e-5, 0.05, 12.34, 125.0].map(seconds), ["50 µs", "50 ms", "12.3 s", "2 min 05 s"]);
    }
}
