//! Which tokens there are, and their numbers.

use std::collections::HashMap;

/// The token for all that have no number of their own.
const UNKNOWN: &str = "<unk>";

/// How tokens are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbering {
    /// The most frequent one is 0; of equally frequent ones the one that occurs first comes first.
    Frequency,
    /// As they first occur.
    First,
}

/// The tokens of a training text.
#[derive(Clone, Debug)]
pub(super) struct Vocabulary {
    /// By their numbers.
    tokens: Vec<String>,
    numbers: HashMap<String, i32>,
}

impl Vocabulary {
    /// The tokens of a text; with `most`, the most frequent ones and the unknown one, so many in all.
    pub(super) fn new<'a>(
        text: impl Iterator<Item = &'a str>,
        numbering: Numbering,
        most: Option<usize>,
    ) -> Vocabulary {
        let mut tokens = counted(text);
        let others = tokens.iter().filter(|token| token.text != UNKNOWN).count();
        if let Some(most) = most.filter(|&most| most <= others) {
            keep(&mut tokens, most);
        }
        match numbering {
            Numbering::Frequency => tokens.sort_by_key(|token| (std::cmp::Reverse(token.count), token.first)),
            Numbering::First => tokens.sort_by_key(|token| token.first),
        }
        let mut vocabulary = Vocabulary { tokens: vec![], numbers: HashMap::new() };
        tokens.iter().for_each(|token| vocabulary.add(token.text));
        vocabulary
    }

    fn add(&mut self, token: &str) {
        let _ = self.numbers.insert(token.to_owned(), self.tokens.len() as i32);
        self.tokens.push(token.to_owned());
    }

    /// The number of a token. The first one that is not known adds the unknown token, if it is not there.
    pub(super) fn number(&mut self, token: &str) -> i32 {
        if let Some(&number) = self.numbers.get(token) {
            return number;
        }
        if !self.numbers.contains_key(UNKNOWN) {
            self.add(UNKNOWN);
        }
        self.numbers[UNKNOWN]
    }

    /// How many different tokens there are.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Its size and first tokens.
    pub(super) fn about(&self) -> String {
        let first: Vec<String> = self.tokens.iter().take(5).map(|token| format!("{token:?}")).collect();
        format!("a vocabulary of {}: {}, …", self.len(), first.join(", "))
    }
}

/// A token, how often it occurs, and which of the different ones it is in the order of the text.
struct Counted<'a> {
    text: &'a str,
    count: usize,
    first: usize,
}

fn counted<'a>(text: impl Iterator<Item = &'a str>) -> Vec<Counted<'a>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut tokens: Vec<Counted<'a>> = vec![];
    for text in text {
        let place = *places.entry(text).or_insert(tokens.len());
        match tokens.get_mut(place) {
            Some(token) => token.count += 1,
            None => tokens.push(Counted { text, count: 1, first: place }),
        }
    }
    tokens
}

/// Keeps the most frequent tokens and the unknown one, `most` in all; what the others counted is the unknown one's.
fn keep(tokens: &mut Vec<Counted<'_>>, most: usize) {
    let unknown = tokens.iter().position(|token| token.text == UNKNOWN).map(|place| tokens.remove(place));
    tokens.sort_by_key(|token| (std::cmp::Reverse(token.count), token.first));
    let rest = tokens.split_off(most - 1);
    let mut unknown = unknown.unwrap_or(Counted { text: UNKNOWN, count: 0, first: usize::MAX });
    unknown.count += rest.iter().map(|token| token.count).sum::<usize>();
    unknown.first = rest.iter().map(|token| token.first).fold(unknown.first, usize::min);
    tokens.push(unknown);
}
