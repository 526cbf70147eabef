//! Sets of positions along an axis, in terms of vectors that are known before a step looks at its data.

use std::collections::BTreeSet;
use std::fmt;

use crate::tir::Value;

/// A set of positions along an axis. It only ever errs on the side of more positions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mask {
    /// All of them.
    All,
    /// Those where this vector, a value of the function, is not zero.
    Vector(Value),
    /// Positions of another axis, where they have gone.
    Moved(Move, Box<Mask>),
    /// Those that are in each of these sets.
    Both(BTreeSet<Mask>),
    /// Those that are in any of these sets; of none, no position.
    Either(BTreeSet<Mask>),
}

/// How the positions of an axis become those of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Move {
    /// Others stand before, behind and between them.
    Pad {
        /// How many before.
        lo: usize,
        /// How many behind.
        hi: usize,
        /// How many between two neighbours.
        gap: usize,
    },
    /// Some of them are taken.
    Slice {
        /// The first.
        start: usize,
        /// From one to the next.
        step: usize,
        /// How many.
        len: usize,
    },
    /// The axis becomes one with those around it.
    Merge {
        /// The positions of the axes before.
        outer: usize,
        /// The positions of the axes behind.
        inner: usize,
    },
    /// The axis is a merged one, and falls apart: a position stands for all those that it was a part of.
    Split {
        /// The positions of the axes before.
        outer: usize,
        /// The positions of this one.
        size: usize,
    },
}

/// How many sets are combined at the most.
const MOST: usize = 48;

impl Mask {
    /// No position.
    pub fn none() -> Mask {
        Mask::Either(BTreeSet::new())
    }

    /// Whether there is no position in it.
    pub fn is_none(&self) -> bool {
        matches!(self, Mask::Either(parts) if parts.is_empty())
    }

    /// The positions that are in both.
    pub fn and(&self, other: &Mask) -> Mask {
        match (self, other) {
            (Mask::All, mask) | (mask, Mask::All) => mask.clone(),
            (a, b) if a.is_none() || b.is_none() => Mask::none(),
            (a, b) => {
                let parts = absorbed(a.factors().chain(b.factors()).cloned().collect(), Mask::implies);
                // What is left out makes the set larger, which is allowed.
                Mask::Both(parts.into_iter().take(MOST).collect()).plain()
            }
        }
    }

    /// The positions that are in either.
    pub fn or(&self, other: &Mask) -> Mask {
        if *self == Mask::All || *other == Mask::All {
            return Mask::All;
        }
        let parts = absorbed(self.terms().chain(other.terms()).cloned().collect(), |a, b| b.implies(a));
        if parts.len() > MOST { Mask::All } else { Mask::Either(parts).plain() }
    }

    /// The same positions, where they have gone.
    pub fn moved(&self, by: Move) -> Mask {
        if *self == Mask::All || self.is_none() { self.clone() } else { Mask::Moved(by, Box::new(self.clone())) }
    }

    /// Whether its form tells that each position of it is one of `other`.
    fn implies(&self, other: &Mask) -> bool {
        self == other
            || match (self, other) {
                (Mask::Both(parts), _) => parts.contains(other),
                (_, Mask::Either(parts)) => parts.contains(self),
                (Mask::All | Mask::Vector(_) | Mask::Moved(..) | Mask::Either(_), _) => false,
            }
    }

    fn factors(&self) -> Box<dyn Iterator<Item = &Mask> + '_> {
        if let Mask::Both(parts) = self { Box::new(parts.iter()) } else { Box::new(std::iter::once(self)) }
    }

    fn terms(&self) -> Box<dyn Iterator<Item = &Mask> + '_> {
        if let Mask::Either(parts) = self { Box::new(parts.iter()) } else { Box::new(std::iter::once(self)) }
    }

    /// A combination of one set is that set.
    fn plain(self) -> Mask {
        match self {
            Mask::Both(mut parts) | Mask::Either(mut parts) if parts.len() == 1 => {
                parts.pop_first().expect("there is one")
            }
            mask @ (Mask::All | Mask::Vector(_) | Mask::Moved(..) | Mask::Both(_) | Mask::Either(_)) => mask,
        }
    }
}

/// The vectors, and how they are combined: `%3 and (%5 or %8)`.
impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mask::All => f.write_str("everything"),
            Mask::Vector(value) => write!(f, "{value}"),
            Mask::Moved(by, mask) => write!(f, "{}({mask})", by.name()),
            Mask::Either(parts) if parts.is_empty() => f.write_str("nothing"),
            Mask::Both(parts) => write_parts(f, parts, " and "),
            Mask::Either(parts) => write_parts(f, parts, " or "),
        }
    }
}

impl Move {
    fn name(&self) -> &'static str {
        match self {
            Move::Pad { .. } => "padded",
            Move::Slice { .. } => "sliced",
            Move::Merge { .. } => "merged",
            Move::Split { .. } => "split",
        }
    }
}

/// How many parts are written out.
const WRITTEN: usize = 4;

fn write_parts(f: &mut fmt::Formatter<'_>, parts: &BTreeSet<Mask>, between: &str) -> fmt::Result {
    let part = |part: &Mask| match part {
        Mask::Both(_) | Mask::Either(_) => format!("({part})"),
        Mask::All | Mask::Vector(_) | Mask::Moved(..) => part.to_string(),
    };
    let more = parts.len().saturating_sub(WRITTEN);
    let more = (more > 0).then(|| format!("{more} more"));
    f.write_str(&parts.iter().take(WRITTEN).map(part).chain(more).collect::<Vec<_>>().join(between))
}

/// The parts without those that another one makes superfluous: `a` does where `covers(a, b)` for another part `b`.
fn absorbed(parts: BTreeSet<Mask>, covers: fn(&Mask, &Mask) -> bool) -> BTreeSet<Mask> {
    let is_needed = |part: &&Mask| !parts.iter().any(|other| other != *part && covers(other, part));
    parts.iter().filter(is_needed).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(number: u32) -> Mask {
        Mask::Vector(Value(number))
    }

    #[test]
    fn all_and_none_are_neutral_or_decide() {
        let a = vector(1);
        assert_eq!(a.and(&Mask::All), a);
        assert_eq!(a.or(&Mask::none()), a);
        assert_eq!(a.or(&Mask::All), Mask::All);
        assert!(a.and(&Mask::none()).is_none());
    }

    #[test]
    fn what_another_part_covers_is_left_out() {
        let [a, b] = [vector(1), vector(2)];
        assert_eq!(a.or(&a.and(&b)), a);
        assert_eq!(a.and(&a.or(&b)), a);
        assert_eq!(a.or(&b).or(&a), b.or(&a));
        assert_ne!(a.or(&b), a);
        assert_ne!(a.and(&b), a);
    }

    #[test]
    fn a_mask_names_its_vectors() {
        let [a, b, c] = [vector(1), vector(2), vector(3)];
        assert_eq!(a.and(&b.or(&c)).to_string(), "%1 and (%2 or %3)");
        assert_eq!(a.moved(Move::Merge { outer: 1, inner: 4 }).to_string(), "merged(%1)");
        assert_eq!(
            (1..9).fold(Mask::none(), |mask, n| mask.or(&vector(n))).to_string(),
            "%1 or %2 or %3 or %4 or 4 more"
        );
    }

    #[test]
    fn a_union_of_too_many_sets_is_everything() {
        let union = |count: u32| (0..count).fold(Mask::none(), |union, number| union.or(&vector(number)));
        assert_ne!(union(MOST as u32), Mask::All);
        assert_eq!(union(MOST as u32 + 1), Mask::All);
    }
}
