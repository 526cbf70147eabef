//! The arguments that name a program and what is set in it.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PathBufValueParser, TypedValueParser};

/// A program on the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Source {
    /// The program; `-` reads standard input.
    pub file: PathBuf,
    /// Set a constant of the program, once for each constant: `--set lambda=1e-4`.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<Setting>,
    /// Look for data here, after the program's own folder and before `SPNET_DATA`.
    #[arg(long, value_name = "DIR", value_parser = folder())]
    pub data: Vec<PathBuf>,
}

/// A constant and its new value, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The constant.
    pub name: String,
    /// An expression of the language.
    pub value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
                Ok(Setting { name: name.trim().to_owned(), value: value.trim().to_owned() })
            }
            Some(_) | None => Err("expected NAME=VALUE".to_owned()),
        }
    }
}

/// A folder on the command line. It must be there: other data would be found in the places that are searched after it.
pub fn folder() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| if path.is_dir() { Ok(path) } else { Err("there is no such folder") })
}

impl Source {
    /// Where data files are looked for, in order.
    pub fn search(&self) -> Vec<PathBuf> {
        let beside = self.file.parent().map(PathBuf::from).filter(|dir| !dir.as_os_str().is_empty());
        let beside = beside.unwrap_or_else(|| PathBuf::from("."));
        let env = std::env::var_os("SPNET_DATA").map(|dirs| std::env::split_paths(&dirs).collect::<Vec<_>>());
        std::iter::once(beside).chain(self.data.iter().cloned()).chain(env.into_iter().flatten()).collect()
    }
}
