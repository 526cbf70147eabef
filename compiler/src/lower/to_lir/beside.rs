//! Calls that are too small to be cut, beside one another.
//!
//! They come to be one step of one slice, which one thread does while all others wait. Where some of them need nothing of others, such a step
//! becomes two slices, and what must come before or after both of them a step of its own.

use std::cmp::Reverse;
use std::ops::Range;

use super::slices;
use crate::lir::{BufferId, Module, Step};

/// What each further step costs, and handing over a second slice, in thousandths of a slice: threads wait for one another.
const WAIT: usize = 150;

/// So many neighbouring calls may become one step of two slices, at most.
const MOST_TOGETHER: usize = 16;

/// Spreads the calls of steps of one slice.
pub fn run(module: &Module, steps: Vec<Step>) -> Vec<Step> {
    let spread = |step: Step| match step.slices {
        1 => Calls::of(module, &step).pieces().into_iter().map(|piece| piece.step(&step)).collect(),
        _ => vec![step],
    };
    steps.into_iter().flat_map(spread).collect()
}

/// The calls of a step.
struct Calls {
    /// How long those before each one take together, in thousandths of a slice, and at last all of them.
    before: Vec<usize>,
    /// The buffers that each needs and those that it writes to.
    needed: Vec<Vec<BufferId>>,
    written: Vec<Vec<BufferId>>,
}

/// Neighbouring calls that become a step.
struct Piece {
    calls: Range<usize>,
    /// The slice of each.
    starts: Vec<usize>,
}

impl Piece {
    fn step(&self, whole: &Step) -> Step {
        let slices = self.starts.iter().max().map_or(1, |last| last + 1);
        let (calls, labels) = (whole.calls[self.calls.clone()].to_vec(), whole.labels[self.calls.clone()].to_vec());
        Step { slices, calls, starts: self.starts.clone(), labels }
    }
}

impl Calls {
    fn of(module: &Module, step: &Step) -> Calls {
        let mut before = vec![0];
        step.calls.iter().for_each(|call| before.push(before[before.len() - 1] + slices::cost(module, call)));
        Calls {
            before,
            needed: step.calls.iter().map(|call| call.needed(module)).collect(),
            written: step.calls.iter().map(|call| call.written(module)).collect(),
        }
    }

    /// The pieces that take the least time, one after the other; of equal ones the fewest.
    fn pieces(&self) -> Vec<Piece> {
        // How long the calls before each one take, and where the last of their pieces begins.
        let mut best = vec![(0, 0)];
        for end in 1..=self.len() {
            let time = |start: usize| {
                let wait = if start == 0 { 0 } else { WAIT };
                let calls = start..end;
                best[start].0 + wait + self.in_two(calls.clone()).map_or_else(|| self.in_order(calls), |(_, time)| time)
            };
            let times = (0..end).map(|start| (time(start), start));
            best.extend(times.min());
        }
        let mut pieces = vec![];
        let mut end = self.len();
        while end > 0 {
            let calls = best[end].1..end;
            end = calls.start;
            let starts = self.in_two(calls.clone()).map_or_else(|| vec![0; calls.len()], |(starts, _)| starts);
            pieces.push(Piece { calls, starts });
        }
        pieces.reverse();
        pieces
    }

    fn len(&self) -> usize {
        self.needed.len()
    }

    /// How long these calls take, one after the other.
    fn in_order(&self, calls: Range<usize>) -> usize {
        self.before[calls.end] - self.before[calls.start]
    }

    /// The slices of these calls and how long they take as two of them, where that is faster.
    fn in_two(&self, calls: Range<usize>) -> Option<(Vec<usize>, usize)> {
        let in_order = self.in_order(calls.clone());
        // The longer slice takes at least half of the time.
        if calls.len() > MOST_TOGETHER || in_order <= 2 * WAIT {
            return None;
        }
        let (starts, longer) = self.beside(calls);
        (longer + WAIT < in_order).then_some((starts, longer + WAIT))
    }

    /// A slice for each of these calls, the same for those that need one another, and how long the longer slice takes.
    fn beside(&self, calls: Range<usize>) -> (Vec<usize>, usize) {
        let mut groups: Vec<Vec<usize>> = vec![];
        for call in calls.clone() {
            let (tied, mut apart): (Vec<_>, Vec<_>) =
                groups.into_iter().partition(|group| group.iter().any(|other| self.are_tied(*other, call)));
            apart.push(tied.into_iter().flatten().chain([call]).collect());
            groups = apart;
        }
        let cost = |group: &[usize]| group.iter().map(|call| self.in_order(*call..call + 1)).sum::<usize>();
        groups.sort_by_key(|group| (Reverse(cost(group)), group[0]));
        let mut starts = vec![0; calls.len()];
        let mut times = [0, 0];
        for group in groups {
            let slice = usize::from(times[1] < times[0]);
            times[slice] += cost(&group);
            group.iter().for_each(|call| starts[call - calls.start] = slice);
        }
        (starts, times[0].max(times[1]))
    }

    /// Whether one of two calls writes what the other one needs.
    fn are_tied(&self, a: usize, b: usize) -> bool {
        let meets = |[a, b]: [usize; 2]| self.written[a].iter().any(|buffer| self.needed[b].contains(buffer));
        meets([a, b]) || meets([b, a])
    }
}
