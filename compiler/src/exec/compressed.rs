//! A step on compressed matrices, and the elements that it keeps in place of lasting tensors.

use std::collections::BTreeMap;

use spnc_runtime::program::Clock;

use super::machine::Call;
use crate::codegen::Executable;
use crate::lir::{self, BufferId};
use crate::pass::compress::{Compressed, Pattern, Places, Table, Tables};

/// A step on compressed matrices.
#[derive(Debug)]
pub(super) struct CompressedStep {
    pub call: Call,
    /// Looks at the patterns that steps change.
    strays: Option<Call>,
    patterns: BTreeMap<usize, PatternInUse>,
    stored: Vec<Stored>,
    /// Whether the patterns cover what is not zero in the step to come.
    pub is_covered: bool,
}

/// A pattern, and where its tables are in memory.
#[derive(Debug)]
struct PatternInUse {
    tables: Vec<(Table, BufferId)>,
    pattern: Pattern,
    /// How many elements there is room for.
    non_zeros: usize,
    /// Where its elements are in the matrix, row by row.
    positions: Vec<usize>,
    /// What there is if steps change it.
    moving: Option<Moving>,
}

/// What is looked at before each step, and what was seen.
#[derive(Clone, Debug)]
struct Moving {
    /// The positions of the elements: those that were not zero when it was last made, then the others, by how long ago that was.
    recent: Vec<usize>,
    /// How much lies outside of the pattern, see [`Pattern::mark_outside`].
    outside: BufferId,
    /// How many elements are not zero.
    count: BufferId,
    /// How many of them are outside of the pattern.
    strays: BufferId,
}

/// A lasting tensor and the elements of a pattern of it.
#[derive(Debug)]
struct Stored {
    tensor: BufferId,
    elements: BufferId,
    pattern: usize,
}

/// How the patterns of a step lie to what is not zero now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cover {
    Whole,
    /// Something strays, but there is room for it.
    Strays,
    NoRoom,
}

impl CompressedStep {
    /// A step whose patterns, of these shapes, have no elements yet. `strays` looks at those that steps change.
    pub fn new(
        compressed: &Compressed,
        patterns: &[Pattern],
        call: Call,
        strays: Option<Call>,
        module: &lir::Module,
    ) -> CompressedStep {
        let func = module.func(&compressed.func.name).expect("every function was scheduled");
        let in_use = compressed.tables.iter().map(|of| {
            let place = |table: &Table| Some((table.clone(), module.input(func, &of.name(table))?));
            let tables = of.used.iter().filter_map(place).collect();
            let moving = strays.as_ref().and_then(|strays| Moving::of(of, strays, module));
            let pattern = patterns[of.pattern].clone();
            (of.pattern, PatternInUse { tables, pattern, non_zeros: of.non_zeros, positions: vec![], moving })
        });
        let stored = compressed.stored.iter().filter_map(|stored| {
            let (tensor, elements) = (module.lasting(&stored.tensor)?, module.lasting(&stored.name)?);
            Some(Stored { tensor, elements, pattern: stored.pattern })
        });
        CompressedStep { patterns: in_use.collect(), stored: stored.collect(), call, strays, is_covered: true }
    }

    /// Whether these are the elements of the patterns that steps leave alone; `positions` has those of all patterns.
    pub fn fits(&self, positions: &[Vec<usize>]) -> bool {
        self.fixed().all(|(pattern, of)| of.positions == positions[pattern])
    }

    /// Whether the patterns that steps leave alone have as many elements now as they had.
    pub fn has_room(&self, positions: &[Vec<usize>]) -> bool {
        self.fixed().all(|(pattern, of)| of.non_zeros == positions[pattern].len())
    }

    fn fixed(&self) -> impl Iterator<Item = (usize, &PatternInUse)> {
        self.patterns.iter().filter(|(_, of)| of.moving.is_none()).map(|(pattern, of)| (*pattern, of))
    }

    /// Whether of a lasting tensor it writes the elements of a pattern alone.
    pub fn holds(&self, pattern: usize, tensor: BufferId) -> bool {
        self.stored.iter().any(|stored| stored.pattern == pattern && stored.tensor == tensor)
    }

    /// Says which elements the patterns have that steps leave alone.
    pub fn set_patterns(&mut self, code: &mut Executable, positions: &[Vec<usize>]) {
        for (pattern, of) in self.patterns.iter_mut().filter(|(_, of)| of.moving.is_none()) {
            of.set(code, positions[*pattern].clone());
        }
    }

    /// The positions of the elements of a pattern that steps change, the most recent ones first.
    pub fn moving_elements(&self, pattern: usize) -> Option<&[usize]> {
        self.patterns.get(&pattern)?.moving.as_ref().map(|moving| moving.recent.as_slice())
    }

    /// Goes back to elements as [`Self::moving_elements`] gave them.
    pub fn set_moving_elements(&mut self, code: &mut Executable, pattern: usize, recent: &[usize]) {
        if let Some(of) = self.patterns.get_mut(&pattern).filter(|of| of.non_zeros == recent.len()) {
            of.set_moving(code, recent.to_vec());
        }
    }

    /// Looks at the patterns that steps change, and takes up what strays if there is room; `masks` tells what is not zero.
    pub fn follow(&mut self, code: &mut Executable, masks: &Call, seed: i32, clock: Clock, samples: usize) {
        let Some(strays) = &self.strays else { return };
        strays.run(code, seed, clock, samples);
        let covers: Vec<Cover> = self.patterns.values().map(|of| of.cover(code)).collect();
        self.is_covered = !covers.contains(&Cover::NoRoom);
        if !self.is_covered || !covers.contains(&Cover::Strays) {
            return;
        }
        masks.run(code, seed, clock, samples);
        let strays = self.patterns.iter_mut().zip(covers).filter(|(_, cover)| *cover == Cover::Strays);
        for ((pattern, of), _) in strays {
            let before = of.moving.as_ref().map_or(&[][..], |moving| &moving.recent);
            let mask = code.floats(masks.outputs[*pattern].1);
            let recent = covering(mask, of.pattern.shape[1], before, of.non_zeros);
            of.set_moving(code, recent);
        }
    }

    /// Takes the elements from the tensors.
    pub fn load(&self, code: &mut Executable) {
        for Stored { tensor, elements, pattern } in &self.stored {
            let from = code.floats(*tensor);
            let taken: Vec<f32> = self.patterns[pattern].positions.iter().map(|at| from[*at]).collect();
            code.floats_mut(*elements).copy_from_slice(&taken);
        }
    }

    /// Puts the elements back into the tensors.
    pub fn store(&self, code: &mut Executable) {
        for Stored { tensor, elements, pattern } in &self.stored {
            let from = code.floats(*elements).to_vec();
            let to = code.floats_mut(*tensor);
            self.patterns[pattern].positions.iter().zip(from).for_each(|(at, element)| to[*at] = element);
        }
    }

    /// Puts the elements back into the numbers of a tensor.
    pub fn put_back(&self, code: &Executable, tensor: BufferId, numbers: &mut [f32]) {
        for stored in self.stored.iter().filter(|stored| stored.tensor == tensor) {
            let positions = &self.patterns[&stored.pattern].positions;
            positions.iter().zip(code.floats(stored.elements)).for_each(|(at, element)| numbers[*at] = *element);
        }
    }
}

impl Moving {
    fn of(tables: &Tables, strays: &Call, module: &lir::Module) -> Option<Moving> {
        let output = |name: &str| {
            let name = format!("{name}.{}", tables.pattern);
            strays.outputs.iter().find(|(output, ..)| **output == *name).map(|(_, buffer, _)| *buffer)
        };
        let [count, strays] = [output("count")?, output("stray")?];
        Some(Moving { recent: vec![], outside: module.lasting(&tables.outside())?, count, strays })
    }
}

impl PatternInUse {
    /// Says which elements there are.
    fn set(&mut self, code: &mut Executable, positions: Vec<usize>) {
        let places = Places::of(self.pattern.shape, &positions);
        for (table, buffer) in &self.tables {
            table.write(&places, code.integers_mut(*buffer));
        }
        self.positions = positions;
    }

    /// The same where steps change them; these are the positions in their order of [`Moving::recent`].
    fn set_moving(&mut self, code: &mut Executable, recent: Vec<usize>) {
        let Some(moving) = &mut self.moving else { return };
        self.pattern.mark_outside(&moving.recent, &recent, code.floats_mut(moving.outside));
        let mut positions = recent.clone();
        moving.recent = recent;
        // A stable sort, which makes use of what is in order: most of them are.
        positions.sort();
        self.set(code, positions);
    }

    fn cover(&self, code: &Executable) -> Cover {
        let Some(moving) = &self.moving else { return Cover::Whole };
        let [count, strays] = [moving.count, moving.strays].map(|buffer| code.floats(buffer)[0]);
        match () {
            () if count > self.non_zeros as f32 => Cover::NoRoom,
            () if strays > 0.0 || self.positions.is_empty() => Cover::Strays,
            () => Cover::Whole,
        }
    }
}

/// How many numbers are looked at together: most of them are 0.
const TOGETHER: usize = 16;

/// The positions where a mask of zeros and ones, in rows of `columns`, is 1, then of those `before`, whose elements may come back, and of others,
/// `room` in all.
fn covering(mask: &[f32], columns: usize, before: &[usize], room: usize) -> Vec<usize> {
    // Room for the block in which it is exceeded: other code than what counted the elements may round the last of them to the other side.
    let mut recent = vec![0; room + TOGETHER + 1];
    let mut now = 0;
    for (block, numbers) in mask.chunks(TOGETHER).enumerate() {
        let bits = |number: &f32| number.to_bits();
        if now > room {
            break;
        }
        if numbers.iter().map(bits).fold(0, |any, bits| any | bits) == 0 {
            continue;
        }
        // Without a branch for each number.
        for (at, number) in (block * TOGETHER..).zip(numbers) {
            recent[now] = at;
            now += usize::from(bits(number) != 0);
        }
    }
    let now = now.min(room);
    recent.truncate(now);
    recent.extend(before.iter().copied().filter(|at| mask[*at] == 0.0).take(room - now));
    if recent.len() < room {
        fill(&mut recent, [mask.len() / columns, columns], room);
    }
    recent
}

/// Rows and columns of a block of elements that only fill the room: those that are alike otherwise stay so.
const BLOCK: usize = 4;

/// Adds elements that are not there yet, spread over the matrix, until there are `room`: those of whole blocks as far as these are free.
fn fill(elements: &mut Vec<usize>, [rows, columns]: [usize; 2], room: usize) {
    let mut is_taken = vec![false; rows * columns];
    elements.iter().for_each(|at| is_taken[*at] = true);
    let across = columns / BLOCK;
    for block in spread(rows / BLOCK * across, (room - elements.len()) / (BLOCK * BLOCK)) {
        let first = (block / across * columns + block % across) * BLOCK;
        let positions = (0..BLOCK * BLOCK).map(|i| first + i / BLOCK * columns + i % BLOCK);
        if elements.len() + BLOCK * BLOCK <= room && positions.clone().all(|at| !is_taken[at]) {
            positions.clone().for_each(|at| is_taken[at] = true);
            elements.extend(positions);
        }
    }
    let others = spread(rows * columns, room).filter(|at| !is_taken[*at]);
    elements.extend(others.take(room - elements.len()));
}

/// All numbers below `count`, about `first` of them that are spread over all before the others.
fn spread(count: usize, first: usize) -> impl Iterator<Item = usize> {
    let stride = (count / first.max(1)).max(1);
    (0..stride).flat_map(move |start| (start..count).step_by(stride))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_fills_the_room_first() {
        let mask = [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
        assert_eq!(covering(&mask, 8, &[], 2), [1, 4]);
        assert_eq!(covering(&mask, 8, &[1, 6, 2], 3), [1, 4, 6]);
        assert_eq!(covering(&mask, 8, &[1, 6, 2], 5), [1, 4, 6, 2, 0]);
        assert_eq!(covering(&mask, 8, &[], 8), [1, 4, 0, 2, 3, 5, 6, 7]);
        assert_eq!(covering(&mask, 8, &[6], 1), [1], "one more than was counted");
        assert_eq!(covering(&[1.0; 64], 8, &[], 3), [0, 1, 2], "many more");
    }

    #[test]
    fn room_is_filled_by_whole_blocks_first() {
        let mut mask = [0.0; 64];
        mask[63] = 1.0;
        let upper_left = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];
        assert_eq!(covering(&mask, 8, &[], 18), [&[63], &upper_left[..], &[6]].concat());
    }

    #[test]
    fn the_room_is_filled_by_each_element_once() {
        for (columns, room) in [(8, 64), (9, 60), (3, 50), (64, 33)] {
            let mask: Vec<f32> = (0..64 / columns * columns).map(|at| f32::from(u8::from(at % 7 == 0))).collect();
            let room = room.min(mask.len());
            let mut elements = covering(&mask, columns, &[5, 20], room);
            assert_eq!(elements.len(), room);
            elements.sort_unstable();
            elements.dedup();
            assert_eq!(elements.len(), room);
        }
    }
}
