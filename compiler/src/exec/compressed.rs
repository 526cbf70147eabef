//! A step on compressed matrices, and the elements that it keeps in place of lasting tensors.

use std::collections::BTreeMap;

use super::machine::Call;
use crate::codegen::Executable;
use crate::lir::{self, BufferId};
use crate::pass::compress::{Compressed, Table};

/// A step on compressed matrices.
#[derive(Debug)]
pub(super) struct CompressedStep {
    pub call: Call,
    patterns: BTreeMap<usize, PatternInUse>,
    stored: Vec<Stored>,
}

/// A pattern, and where its tables are in memory.
#[derive(Debug)]
struct PatternInUse {
    tables: Vec<(Table, BufferId)>,
    /// How many elements there is room for.
    non_zeros: usize,
    /// Where its elements are in the matrix, row by row.
    positions: Vec<usize>,
}

/// A lasting tensor and the elements of a pattern of it.
#[derive(Debug)]
struct Stored {
    tensor: BufferId,
    elements: BufferId,
    pattern: usize,
}

impl CompressedStep {
    /// A step whose patterns have no elements yet.
    pub fn new(compressed: &Compressed, call: Call, module: &lir::Module) -> CompressedStep {
        let func = module.func(&compressed.func.name).expect("every function was scheduled");
        let patterns = compressed.tables.iter().map(|of| {
            let place = |table: Table| Some((table, module.input(func, &of.name(table))?));
            let tables = Table::ALL.into_iter().filter_map(place).collect();
            (of.pattern, PatternInUse { tables, non_zeros: of.non_zeros, positions: vec![] })
        });
        let stored = compressed.stored.iter().filter_map(|stored| {
            let (tensor, elements) = (module.lasting(&stored.tensor)?, module.lasting(&stored.name)?);
            Some(Stored { tensor, elements, pattern: stored.pattern })
        });
        CompressedStep { patterns: patterns.collect(), stored: stored.collect(), call }
    }

    /// Whether these are the elements of the patterns in use; `positions` has those of all patterns.
    pub fn fits(&self, positions: &[Vec<usize>]) -> bool {
        self.patterns.iter().all(|(pattern, of)| of.positions == positions[*pattern])
    }

    /// Whether the patterns in use have as many elements now as they had.
    pub fn has_room(&self, positions: &[Vec<usize>]) -> bool {
        self.patterns.iter().all(|(pattern, of)| of.non_zeros == positions[*pattern].len())
    }

    /// Says which elements the patterns have.
    pub fn set_patterns(&mut self, code: &mut Executable, positions: &[Vec<usize>], shapes: &[[usize; 2]]) {
        for (pattern, of) in &mut self.patterns {
            of.positions.clone_from(&positions[*pattern]);
            for (table, buffer) in &of.tables {
                let numbers = table.numbers(shapes[*pattern], &of.positions);
                code.integers_mut(*buffer).copy_from_slice(&numbers);
            }
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

    /// A tensor as it is with the elements put back.
    pub fn read(&self, code: &Executable, tensor: BufferId) -> Vec<f32> {
        let mut whole = code.floats(tensor).to_vec();
        for stored in self.stored.iter().filter(|stored| stored.tensor == tensor) {
            let positions = &self.patterns[&stored.pattern].positions;
            positions.iter().zip(code.floats(stored.elements)).for_each(|(at, element)| whole[*at] = *element);
        }
        whole
    }
}
