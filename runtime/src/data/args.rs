//! The arguments of a `data` declaration, looked up by name and checked.

use super::error::{DataError, Fault, list, near_miss};

/// What a `data` declaration asks for: `idx("mnist")`, `csv("prostate.csv", target: "lpsa")`.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The reader: `idx`, `csv`, …
    pub source: String,
    /// Its arguments, by position (empty name) or by name.
    pub args: Vec<(String, Arg)>,
}

/// An argument of a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// Several numbers.
    List(Vec<f64>),
}

impl Arg {
    /// As messages show it.
    fn show(&self) -> String {
        match self {
            Arg::Number(x) => format!("the number {x}"),
            Arg::Text(text) => format!("the string \"{text}\""),
            Arg::Bool(b) => format!("`{b}`"),
            Arg::List(numbers) => format!("`{numbers:?}`"),
        }
    }

    /// The number between bounds that is nearest to it; what is no number is as far away as can be.
    fn within(&self, least: f64, most: f64) -> f64 {
        match self {
            Arg::Number(x) if !x.is_nan() => x.max(least).min(most),
            Arg::Number(_) | Arg::Text(_) | Arg::Bool(_) | Arg::List(_) => least,
        }
    }
}

/// The arguments of a request, each known to its source.
pub(crate) struct Args<'a> {
    source: &'a str,
    named: Vec<(&'a str, &'a Arg)>,
}

impl<'a> Args<'a> {
    /// Checks that every argument is one of `names`; positional ones are the first of them.
    pub(crate) fn new(request: &'a Request, names: &[&'static str]) -> Result<Args<'a>, DataError> {
        let mut args = Args { source: &request.source, named: Vec::new() };
        for (position, (name, value)) in request.args.iter().enumerate() {
            let name = if name.is_empty() { args.positional(position, names)? } else { args.known(name, names)? };
            if args.get(name).is_some() {
                return Err(args.fault(name, "one value", "two"));
            }
            args.named.push((name, value));
        }
        Ok(args)
    }

    /// Only the first argument, a file or folder, may stand without its name.
    fn positional(&self, position: usize, names: &[&'static str]) -> Result<&'static str, DataError> {
        match names.first() {
            Some(&"file") if position == 0 => Ok("file"),
            Some(_) | None => {
                let found = format!("one without a name at position {}", position + 1);
                let expected = format!("named arguments ({})", list(names.iter().copied()));
                Err(DataError::new(Fault::Declaration, format!("`{}(…)`", self.source), expected, found))
            }
        }
    }

    fn known(&self, name: &str, names: &[&'static str]) -> Result<&'static str, DataError> {
        names.iter().copied().find(|&known| known == name).ok_or_else(|| {
            let expected = format!("one of its arguments ({})", list(names.iter().copied()));
            let error =
                DataError::new(Fault::Declaration, format!("`{}(…)`", self.source), expected, format!("`{name}`"));
            let error = error.of_argument(name);
            match near_miss(name, names.iter().copied()) {
                Some(near) => error.help(format!("write `{near}:`")),
                None => error.help(format!("leave `{name}` out")),
            }
        })
    }

    /// The name of the source.
    pub(crate) fn source(&self) -> &'a str {
        self.source
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Arg> {
        self.named.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
    }

    /// A mistake in the argument `name`.
    pub(crate) fn fault(&self, name: &str, expected: impl Into<String>, found: impl Into<String>) -> DataError {
        let place = format!("argument `{name}` of `{}`", self.source);
        DataError::new(Fault::Declaration, place, expected, found).of_argument(name)
    }

    /// The file or folder, which must be there.
    pub(crate) fn file(&self) -> Result<&'a str, DataError> {
        let text = self.text("file")?;
        text.ok_or_else(|| {
            let place = format!("`{}(…)`", self.source);
            DataError::new(Fault::Declaration, place, "the name of a file or folder as the first argument", "none")
                .help(format!("write `{}(\"name\")`", self.source))
        })
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, DataError> {
        match self.get(name) {
            None => Ok(None),
            Some(Arg::Text(text)) => Ok(Some(text)),
            Some(other @ (Arg::Number(_) | Arg::Bool(_) | Arg::List(_))) => {
                Err(self.fault(name, "a string", other.show()).help(format!("write it in quotes: `{name}: \"…\"`")))
            }
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, DataError> {
        match self.get(name) {
            None => Ok(None),
            Some(Arg::Bool(b)) => Ok(Some(*b)),
            Some(other @ (Arg::Number(_) | Arg::Text(_) | Arg::List(_))) => {
                Err(self.fault(name, "`true` or `false`", other.show()).help(format!("write `{name}: true`")))
            }
        }
    }

    /// A number between bounds, both included.
    pub(crate) fn number(&self, name: &str, least: f64, most: f64) -> Result<Option<f64>, DataError> {
        match self.get(name) {
            None => Ok(None),
            Some(Arg::Number(x)) if (least..=most).contains(x) => Ok(Some(*x)),
            Some(other) => {
                let error = self.fault(name, format!("a number from {least} to {most}"), other.show());
                Err(error.help(format!("write `{name}: {}`", other.within(least, most))))
            }
        }
    }

    /// A whole number between bounds, both included.
    pub(crate) fn count(&self, name: &str, least: usize, most: usize) -> Result<Option<usize>, DataError> {
        match self.get(name) {
            None => Ok(None),
            Some(Arg::Number(x)) if x.fract() == 0.0 && (least as f64..=most as f64).contains(x) => {
                Ok(Some(*x as usize))
            }
            Some(other) => {
                let error = self.fault(name, format!("a whole number from {least} to {most}"), other.show());
                Err(error.help(format!("write `{name}: {}`", other.within(least as f64, most as f64).round())))
            }
        }
    }

    /// Whole numbers from 1 to `most`, as many as `ranks` allows.
    pub(crate) fn shape(
        &self,
        name: &str,
        ranks: std::ops::RangeInclusive<usize>,
        most: usize,
    ) -> Result<Option<Vec<usize>>, DataError> {
        let fits = |x: &f64| x.fract() == 0.0 && (1.0..=most as f64).contains(x);
        match self.get(name) {
            None => Ok(None),
            Some(Arg::List(sizes)) if ranks.contains(&sizes.len()) && sizes.iter().all(fits) => {
                Ok(Some(sizes.iter().map(|&x| x as usize).collect()))
            }
            Some(other) => {
                let (least, limit) = (ranks.start(), ranks.end());
                let n = if least == limit { least.to_string() } else { format!("{least} to {limit}") };
                let error = self.fault(name, format!("{n} sizes from 1 to {most}"), other.show());
                Err(error.help(format!("write them in brackets: `{name}: {:?}`", vec![32; *least])))
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word(&self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>, DataError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match words.iter().copied().find(|&word| word == text) {
            Some(word) => Ok(Some(word)),
            None => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                let error = self.fault(name, quoted.join(" or "), format!("the string \"{text}\""));
                Err(error.help(format!("write `{name}: {}`", quoted[0])))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(args: &[(&str, Arg)]) -> Request {
        let args = args.iter().map(|(name, arg)| ((*name).to_owned(), arg.clone())).collect();
        Request { source: "csv".to_owned(), args }
    }

    #[test]
    fn a_misspelt_argument_names_its_neighbour() {
        let request = request(&[("", Arg::Text("a.csv".into())), ("traget", Arg::Text("y".into()))]);
        let error = Args::new(&request, &["file", "target"]).err().expect("`traget` is unknown");
        assert_eq!(error.to_string(), "`csv(…)`: expected one of its arguments (`file`, `target`), found `traget`");
        assert_eq!(error.help.as_deref(), Some("write `target:`"));
    }

    #[test]
    fn values_are_checked_for_type_and_range() {
        let request = request(&[("n", Arg::Number(2.5)), ("f", Arg::Text("yes".into())), ("f", Arg::Bool(true))]);
        assert!(Args::new(&request, &["n", "f"]).is_err(), "two values for one argument");
        let request = Request { args: request.args[..2].to_vec(), ..request };
        let args = Args::new(&request, &["n", "f"]).expect("both are known");
        assert!(args.count("n", 1, 10).is_err());
        assert!(args.flag("f").is_err());
        assert_eq!(args.number("n", 0.0, 3.0), Ok(Some(2.5)));
        assert_eq!(args.number("m", 0.0, 3.0), Ok(None));
    }

    #[test]
    fn not_a_number_is_out_of_range() {
        let request = request(&[("n", Arg::Number(f64::NAN))]);
        let args = Args::new(&request, &["n"]).expect("known");
        assert!(args.count("n", 0, 10).is_err());
        assert!(args.number("n", 0.0, 10.0).is_err());
    }
}
