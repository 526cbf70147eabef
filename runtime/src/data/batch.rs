//! How the samples of a batch are copied to where a program reads them.

use std::ops::Range;

use super::dataset::{Column, Rows, Values};
use crate::kernels::Isa;
use crate::kernels::prefetch::prefetch;
use crate::kernels::turn::{self, TOGETHER, turn_rows};
use crate::program::{CopyField, FieldMut};

/// How many samples before a copy its memory is asked for.
const AHEAD: usize = 2;

/// How many elements of some samples are converted together before they are turned: few enough to stay near.
const BLOCK: usize = 64;

/// A field of some samples. What panics is as for [`Dataset::gather`](super::Dataset::gather).
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    pub(super) column: &'a Column,
    pub(super) split: &'a Rows,
    pub(super) rows: &'a [usize],
}

impl CopyField for Batch<'_> {
    fn samples(&self, some: Range<usize>, to: FieldMut<'_>) {
        let take = Batch { rows: &self.rows[some], ..*self };
        match (&*self.column.values, to) {
            (Values::U8(from), FieldMut::F32(to)) => take.copy(from, to, f32::from),
            (Values::U8(from), FieldMut::F64(to)) => take.copy(from, to, f64::from),
            (Values::U8(from), FieldMut::I32(to)) => take.copy(from, to, i32::from),
            (Values::I32(from), FieldMut::F32(to)) => take.copy(from, to, |x| x as f32),
            (Values::I32(from), FieldMut::F64(to)) => take.copy(from, to, f64::from),
            (Values::I32(from), FieldMut::I32(to)) => take.copy(from, to, |x| x),
            (Values::F32(from), FieldMut::F32(to)) => take.copy(from, to, |x| x),
            (Values::F32(from), FieldMut::F64(to)) => take.copy(from, to, f64::from),
            (Values::F32(from), FieldMut::I32(to)) => take.copy(from, to, |x| x as i32),
            (Values::F64(from), FieldMut::F32(to)) => take.copy(from, to, |x| x as f32),
            (Values::F64(from), FieldMut::F64(to)) => take.copy(from, to, |x| x),
            (Values::F64(from), FieldMut::I32(to)) => take.copy(from, to, |x| x as i32),
        }
    }

    fn elements(&self, some: Range<usize>, isa: Isa, to: &mut [f32]) {
        assert_eq!(to.len(), self.rows.len() * some.len(), "the batch field has another size than the elements");
        if some.is_empty() {
            return;
        }
        match &*self.column.values {
            Values::U8(from) => self.convert(from, some, isa, to, f32::from),
            Values::I32(from) => self.convert(from, some, isa, to, |x| x as f32),
            Values::F32(from) => self.turn(from, some, isa, to),
            Values::F64(from) => self.convert(from, some, isa, to, |x| x as f32),
        }
    }
}

impl Batch<'_> {
    /// What the sample at a row of the split holds.
    fn sample<'b, S>(&self, from: &'b [S], row: usize) -> &'b [S] {
        &from[self.column.range(self.split.place(row))]
    }

    fn copy<S: Copy, D>(&self, from: &[S], to: &mut [D], convert: impl Fn(S) -> D) {
        let width = self.column.width;
        assert_eq!(to.len(), self.rows.len() * width, "the batch field has another size than the samples");
        for (place, &row) in self.rows.iter().enumerate() {
            // Shuffled samples are where the machine does not expect them.
            if let Some(&soon) = self.rows.get(place + AHEAD) {
                prefetch(self.sample(from, soon));
            }
            let sample = self.sample(from, row);
            for (to, &from) in to[place * width..(place + 1) * width].iter_mut().zip(sample) {
                *to = convert(from);
            }
        }
    }

    fn turn(&self, from: &[f32], some: Range<usize>, isa: Isa, to: &mut [f32]) {
        self.together(from, some, |first, rows| turn_rows(isa, rows, &mut to[first..], self.rows.len()));
    }

    fn convert<S: Copy>(&self, from: &[S], some: Range<usize>, isa: Isa, to: &mut [f32], convert: impl Fn(S) -> f32) {
        let pitch = self.rows.len();
        self.together(from, some.clone(), |first, rows| {
            for start in (0..some.len()).step_by(BLOCK) {
                let width = BLOCK.min(some.len() - start);
                let mut block = [[0.0; BLOCK]; TOGETHER];
                for (to, row) in block.iter_mut().zip(rows) {
                    to.iter_mut().zip(&row[start..start + width]).for_each(|(to, from)| *to = convert(*from));
                }
                let converted = block.each_ref().map(|row| &row[..width]);
                turn_rows(isa, &converted[..rows.len()], &mut to[start * pitch + first..], pitch);
            }
        });
    }

    /// Shows these elements of as many samples at a time as are turned together, with the number of the first one.
    fn together<S>(&self, from: &[S], some: Range<usize>, mut each: impl FnMut(usize, &[&[S]])) {
        for (index, group) in self.rows.chunks(TOGETHER).enumerate() {
            let first = index * TOGETHER;
            for &soon in self.rows[first + group.len()..].iter().take(TOGETHER) {
                let soon = &self.sample(from, soon)[some.clone()];
                prefetch(&soon[..soon.len().min(turn::AHEAD)]);
            }
            let mut rows = [&[][..]; TOGETHER];
            rows.iter_mut().zip(group).for_each(|(to, row)| *to = &self.sample(from, *row)[some.clone()]);
            each(first, &rows[..group.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::{Dataset, Split};
    use crate::program::Element;

    proptest! {
        /// Whatever the file's type: elements side by side are samples one after the other, turned.
        #[test]
        fn elements_are_samples_turned(
            rows in prop::collection::vec(0usize..90, 0..70), width in 1usize..200, kind in 0usize..4, cut in 0usize..200,
        ) {
            let numbers = (0..90 * width).map(|x| x % 251);
            let values = match kind {
                0 => Values::U8(numbers.map(|x| x as u8).collect()),
                1 => Values::I32(numbers.map(|x| x as i32 - 100).collect()),
                2 => Values::F32(numbers.map(|x| x as f32 / 3.0).collect()),
                _ => Values::F64(numbers.map(|x| x as f64 / 3.0).collect()),
            };
            let data = Dataset::new(vec![Column::new("x", Element::Real, vec![width], values)], 90, 0);
            let batch = data.batch(Split::Train, &rows, 0);
            let mut samples = vec![0.0; rows.len() * width];
            batch.samples(0..rows.len(), FieldMut::F32(&mut samples));
            for isa in Isa::available() {
                let mut turned = vec![-1.0; samples.len()];
                let (upper, lower) = turned.split_at_mut(cut.min(width) * rows.len());
                batch.elements(0..cut.min(width), isa, upper);
                batch.elements(cut.min(width)..width, isa, lower);
                for (at, x) in turned.iter().enumerate() {
                    prop_assert_eq!(*x, samples[at % rows.len() * width + at / rows.len()]);
                }
            }
        }
    }
}
