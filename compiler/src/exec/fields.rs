//! The fields of batches, filled for machine code: each as a whole by all threads, or sample by sample, in the order in which the step to come reads it.

use spnc_runtime::kernels::Isa;
use spnc_runtime::kernels::turn::TOGETHER;
use spnc_runtime::program::{CopyField, Element, Entry, FieldInfo, FieldMut};

use super::batch::{self, Place};
use super::machine::Machine;

/// From how many numbers on all threads copy a field.
const SHARED: usize = 8192;

/// In how many parts each of them copies.
const PARTS: usize = 2;

/// What is known of the fields that were filled last. They are where functions read them, in [`Machine`]'s memory, but for what is kept here.
#[derive(Debug)]
pub(super) struct Fields {
    /// Whether each field of the batch to train on was last filled, or put, in the order that a compressed step takes turned.
    is_turned: Vec<bool>,
    /// Each field of that batch that was written sample by sample, and is still to be turned for the whole step.
    rows: Vec<Option<Vec<f32>>>,
    /// Where a field goes that no function reads.
    unread: Vec<f32>,
}

/// A field that is written, of so many samples.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub entry: Entry,
    pub samples: usize,
    pub index: usize,
    pub info: &'a FieldInfo,
}

impl Field<'_> {
    /// How many numbers a sample has.
    fn width(&self) -> usize {
        self.info.shape.iter().product()
    }
}

impl Fields {
    /// So many fields, of which none was filled.
    pub fn new(count: usize) -> Fields {
        Fields { is_turned: vec![false; count], rows: vec![None; count], unread: vec![] }
    }

    /// Where the samples of a field are written one after the other. Training on them comes after [`Fields::turn_rows`].
    pub fn slot<'a>(&'a mut self, machine: &'a mut Machine, field: Field<'_>) -> FieldMut<'a> {
        let Field { entry, samples, index, info } = field;
        let place = match entry {
            Entry::Train(variant) => {
                self.is_turned[index] = false;
                machine.train[&(variant, samples)].whole.fields[index]
            }
            Entry::Evaluate => machine.evaluate[&samples].fields[index],
        };
        match (place, info.element) {
            (Some(Place { buffer, is_turned: true }), _) => {
                let len = machine.code.floats(buffer).len();
                FieldMut::F32(self.rows[index].insert(vec![0.0; len]))
            }
            (Some(Place { buffer, .. }), Element::Real) => FieldMut::F32(machine.code.floats_mut(buffer)),
            (Some(Place { buffer, .. }), Element::Integer) => FieldMut::I32(machine.code.integers_mut(buffer)),
            (None, Element::Real | Element::Integer) => {
                self.unread.resize(samples * field.width(), 0.0);
                FieldMut::F32(&mut self.unread)
            }
        }
    }

    /// Copies a field to where the step to come is expected to read it, on all threads if there is enough to copy.
    pub fn fill(&mut self, machine: &mut Machine, field: Field<'_>, isa: Isa, copy: &dyn CopyField) {
        let Field { entry, samples, index, info } = field;
        let (threads, width) = (machine.code.threads(), field.width());
        let is_shared = threads > 1 && samples * width >= SHARED;
        match (machine.place(entry, samples, index), info.element) {
            (Some(Place { buffer, is_turned: true }), _) => {
                let part = if is_shared { width.div_ceil(PARTS * threads).next_multiple_of(TOGETHER) } else { width };
                self.rows[index] = None;
                machine.code.write_parts(buffer, part * samples, &|index, to| {
                    let first = index * part;
                    copy.elements(first..first + to.len() / samples, isa, to);
                });
                self.is_turned[index] = true;
            }
            (Some(Place { buffer, is_turned: false }), Element::Real) if is_shared => {
                let part = samples.div_ceil(PARTS * threads);
                machine.code.write_parts(buffer, part * width, &|index, to| {
                    let first = index * part;
                    copy.samples(first..first + to.len() / width, FieldMut::F32(to));
                });
                self.is_turned[index] = false;
            }
            _ => copy.samples(0..samples, self.slot(machine, field)),
        }
    }

    /// Turns what was written sample by sample, where the whole step reads it turned.
    pub fn turn_rows(&mut self, machine: &mut Machine, key @ (_, samples): (usize, usize)) {
        let Machine { code, train, .. } = machine;
        for (rows, place) in self.rows.iter_mut().zip(&train[&key].whole.fields) {
            if let (Some(rows), Some(Place { buffer, is_turned: true })) = (rows.take(), place) {
                code.floats_mut(*buffer).copy_from_slice(&batch::columns(&rows, samples));
            }
        }
    }

    /// Has the batch of a step lie in the order in which the compressed step reads it, or all others do.
    pub fn arrange(&mut self, machine: &mut Machine, key @ (_, samples): (usize, usize), is_compressed: bool) {
        let Machine { code, train, .. } = machine;
        let Some(compressed) = train[&key].compressed() else { return };
        let places = train[&key].whole.fields.iter().zip(&compressed.call.fields);
        for (is_turned, (rows, turned)) in self.is_turned.iter_mut().zip(places) {
            let (Some(rows), Some(turned)) = (rows, turned.filter(|place| place.is_turned)) else { continue };
            match (*is_turned, is_compressed) {
                (false, true) => batch::turn(code, rows.buffer, turned.buffer, samples),
                (true, false) => {
                    let elements = code.floats(turned.buffer).len() / samples;
                    batch::turn(code, turned.buffer, rows.buffer, elements);
                }
                (false, false) | (true, true) => {}
            }
            *is_turned = is_compressed;
        }
    }
}
