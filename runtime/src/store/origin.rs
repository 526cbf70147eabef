//! What a run was made of: what must be the same for it to go on.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// What a run is made of. The same origin gives the same run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The version of spnc.
    pub version: String,
    /// The file name of the program.
    pub program: String,
    /// The SHA-256 of its text and of the modules that it imports.
    pub program_hash: String,
    /// The hash of its data, [`Dataset::hash`](crate::data::Dataset::hash); empty without data.
    pub data_hash: String,
    /// The SHA-256 of the tensors that the program takes from files; empty where there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub constants_hash: String,
    /// The seed.
    pub seed: u64,
    /// Constants set from outside, and how the run was made: evaluator, limit, ….
    pub settings: IndexMap<String, String>,
    /// Where its data was looked for.
    #[serde(default)]
    pub folders: Vec<PathBuf>,
}

/// Something that is not the same in two runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is.
    pub what: String,
    /// In the one.
    pub one: String,
    /// In the other.
    pub other: String,
}

impl Origin {
    /// The first thing that makes another run of `other`. Where data was found is not one.
    pub fn difference(&self, other: &Origin) -> Option<Difference> {
        let (one, other) = (self.facts(), other.facts());
        let differs = |what: &&String| one.get(*what) != other.get(*what);
        let what = one.keys().chain(other.keys()).find(differs)?;
        let of = |facts: &IndexMap<String, String>| facts.get(what).cloned().unwrap_or_else(|| "none".to_owned());
        Some(Difference { what: what.clone(), one: of(&one), other: of(&other) })
    }

    fn facts(&self) -> IndexMap<String, String> {
        let short = |hash: &str| if hash.is_empty() { "none".to_owned() } else { hash.chars().take(12).collect() };
        let facts = [
            ("version of spnc", self.version.clone()),
            ("text of the program (SHA-256)", short(&self.program_hash)),
            ("data (SHA-256)", short(&self.data_hash)),
            ("tensors from files (SHA-256)", short(&self.constants_hash)),
            ("seed", self.seed.to_string()),
        ];
        let facts = facts.into_iter().map(|(what, value)| (what.to_owned(), value));
        facts.chain(self.settings.iter().map(|(name, value)| (format!("setting `{name}`"), value.clone()))).collect()
    }
}
