//! Near misses: what a misspelt word probably was.

/// The entry of `known` that `word` most likely is a misspelling of.
pub fn near_miss<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let misses = known.into_iter().map(|other| (distance(word, other), other));
    let close = misses.filter(|(distance, other)| *distance <= allowed(word, other));
    close.min().map(|(_, other)| other)
}

/// Typos between two words; a wrong case counts as half of one, so that it wins.
fn distance(word: &str, other: &str) -> usize {
    let typos = strsim::damerau_levenshtein(&word.to_lowercase(), &other.to_lowercase());
    2 * typos + usize::from(word.to_lowercase() != word || other.to_lowercase() != other)
}

/// How far two words may be apart: a typo in three letters, none in shorter words but for their case.
fn allowed(word: &str, other: &str) -> usize {
    let letters = word.chars().count().min(other.chars().count());
    if letters < 3 { letters.saturating_sub(1) } else { 2 * (letters / 3) + 1 }
}

#[cfg(test)]
mod tests {
    use super::near_miss;

    #[test]
    fn the_nearest_word_wins() {
        assert_eq!(near_miss("momntum", ["moment", "momentum"]), Some("momentum"));
        assert_eq!(near_miss("dense", ["Dense", "denser"]), Some("Dense"));
        assert_eq!(near_miss("parm", ["param", "sum"]), Some("param"));
    }

    #[test]
    fn other_words_are_no_misses() {
        assert_eq!(near_miss("x", ["y", "X"]), None);
        assert_eq!(near_miss("In", ["fn", "on"]), None);
        assert_eq!(near_miss("lambda", ["gamma", "epochs"]), None);
    }
}
