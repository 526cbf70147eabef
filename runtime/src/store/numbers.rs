//! Numbers by name as JSON, where what is not finite is `null` and comes back as not a number.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes a map; `serde_json` writes what is not finite as `null`.
pub fn serialize<S: Serializer>(numbers: &IndexMap<String, f64>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(numbers)
}

/// Reads a map.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<IndexMap<String, f64>, D::Error> {
    let numbers = IndexMap::<String, Option<f64>>::deserialize(from)?;
    Ok(numbers.into_iter().map(|(name, number)| (name, number.unwrap_or(f64::NAN))).collect())
}
