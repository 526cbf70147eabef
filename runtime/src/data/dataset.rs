//! Samples in memory.

use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::batch::Batch;
use super::{Bits, DataError, Fault};
use crate::huge_pages;
use crate::program::{CopyField, Element, FieldInfo, FieldMut};

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// What is trained on.
    Train,
    /// What choices are made by: reported on after each epoch.
    Validation,
    /// What is reported on.
    Test,
}

/// The elements of a field in the type of their file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// Bytes.
    U8(Vec<u8>),
    /// Integers.
    I32(Vec<i32>),
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Values::U8(values) => values.len(),
            Values::I32(values) => values.len(),
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
        }
    }

    /// Has few pages below shuffled samples.
    fn collect(&self) {
        match self {
            Values::U8(values) => huge_pages::collect(values),
            Values::I32(values) => huge_pages::collect(values),
            Values::F32(values) => huge_pages::collect(values),
            Values::F64(values) => huge_pages::collect(values),
        }
    }

    /// The samples `rows`, each of `width` elements, in that order.
    pub(crate) fn select(&self, rows: &[usize], width: usize) -> Values {
        fn pick<T: Copy>(values: &[T], rows: &[usize], width: usize) -> Vec<T> {
            rows.iter().flat_map(|row| &values[row * width..(row + 1) * width]).copied().collect()
        }
        match self {
            Values::U8(values) => Values::U8(pick(values, rows, width)),
            Values::I32(values) => Values::I32(pick(values, rows, width)),
            Values::F32(values) => Values::F32(pick(values, rows, width)),
            Values::F64(values) => Values::F64(pick(values, rows, width)),
        }
    }

    /// The first element that is infinite or not a number, and where it is.
    pub(crate) fn not_finite(&self) -> Option<(usize, f64)> {
        match self {
            Values::U8(_) | Values::I32(_) => None,
            Values::F32(values) => {
                values.iter().position(|x| !x.is_finite()).map(|index| (index, f64::from(values[index])))
            }
            Values::F64(values) => values.iter().position(|x| !x.is_finite()).map(|index| (index, values[index])),
        }
    }
}

/// A field with its samples.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    info: FieldInfo,
    pub(super) values: Arc<Values>,
    /// The elements from one stored sample to the next.
    step: usize,
    /// Where a sample begins, counted from its place.
    offset: usize,
    /// The elements of a sample.
    pub(super) width: usize,
}

impl Column {
    /// A field named `name` whose samples have shape `shape`, row-major one after the other.
    pub(crate) fn new(name: &str, element: Element, shape: Vec<usize>, values: Values) -> Column {
        let width = shape.iter().product();
        values.collect();
        Column::window(name, element, shape, &Arc::new(values), width, 0)
    }

    /// A field whose samples are windows of a sequence: sample `i` is what fills `shape` from element `i * step + offset` on.
    pub(crate) fn window(
        name: &str,
        element: Element,
        shape: Vec<usize>,
        values: &Arc<Values>,
        step: usize,
        offset: usize,
    ) -> Column {
        let width = shape.iter().product();
        let info = FieldInfo { name: name.to_owned(), element, shape };
        Column { info, values: Arc::clone(values), step, offset, width }
    }

    /// The elements of the stored sample `place`.
    pub(super) fn range(&self, place: usize) -> Range<usize> {
        let start = place * self.step + self.offset;
        start..start + self.width
    }
}

/// The stored samples that are a split's, in its order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rows {
    /// Neighbours.
    Range(Range<usize>),
    /// Any.
    List(Vec<u32>),
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Rows::Range(range) => range.len(),
            Rows::List(rows) => rows.len(),
        }
    }

    /// Where sample `index` of the split is stored.
    pub(crate) fn place(&self, index: usize) -> usize {
        match self {
            Rows::Range(range) => {
                assert!(index < range.len(), "sample {index} of a split of {}", range.len());
                range.start + index
            }
            Rows::List(rows) => rows[index] as usize,
        }
    }

    fn last(&self) -> Option<usize> {
        match self {
            Rows::Range(range) => range.clone().last(),
            Rows::List(rows) => rows.iter().max().map(|&row| row as usize),
        }
    }
}

impl Default for Rows {
    fn default() -> Rows {
        Rows::Range(0..0)
    }
}

/// Samples with named fields, in three splits.
///
/// Most sources have samples that are independent of each other. A **sequential** one is a text: its samples are windows of
/// it, and states that are carried from batch to batch need windows that follow each other. A split is then cut into as many
/// streams of equal length as a batch has samples; batch `k` holds window `k` of each stream. There are whole batches only,
/// and their order is fixed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    columns: Vec<Column>,
    infos: Vec<FieldInfo>,
    rows: [Rows; 3],
    /// For a sequential source, the elements from one window of a stream to the next.
    window: Option<usize>,
    /// Numbers that describe the data, by name, as a program can use them: `classes`, `vocabulary`.
    pub constants: Vec<(String, f64)>,
    /// What was done to the files' numbers, or how they were made, for the curious.
    pub about: String,
    /// What a whole data set has and this one does not, for the user to know.
    pub lacks: Option<String>,
    /// For synthetic data, the features that the teacher looks at, in increasing order.
    pub support: Option<Vec<usize>>,
}

impl Dataset {
    /// Puts fields together whose first `n_train` samples are for training and the next `n_test` for testing.
    ///
    /// # Panics
    ///
    /// If a field does not hold exactly `n_train + n_test` samples.
    pub(crate) fn new(columns: Vec<Column>, n_train: usize, n_test: usize) -> Dataset {
        let n = n_train + n_test;
        for Column { info, values, width, .. } in &columns {
            assert_eq!(values.len(), n * width, "field `{}` holds another number of samples", info.name);
        }
        Dataset::of(columns, [Rows::Range(0..n_train), Rows::default(), Rows::Range(n_train..n)])
    }

    /// Puts fields together, with the stored samples of training, validation and test.
    ///
    /// # Panics
    ///
    /// If a split has samples that a field does not hold.
    pub(crate) fn of(columns: Vec<Column>, rows: [Rows; 3]) -> Dataset {
        let last = rows.iter().filter_map(Rows::last).max();
        for column in &columns {
            let end = last.map_or(0, |last| column.range(last).end);
            assert!(end <= column.values.len(), "field `{}` holds fewer samples", column.info.name);
        }
        let infos = columns.iter().map(|column| column.info.clone()).collect();
        Dataset { columns, infos, rows, ..Dataset::default() }
    }

    /// Makes it sequential, with windows of `window` elements.
    pub(crate) fn in_windows(self, window: usize) -> Dataset {
        Dataset { window: Some(window), ..self }
    }

    /// Replaces the stored samples of training and validation.
    pub(crate) fn with_validation(mut self, train: Rows, validation: Rows) -> Dataset {
        self.rows[Split::Train as usize] = train;
        self.rows[Split::Validation as usize] = validation;
        self
    }

    /// The stored samples of a split.
    pub(crate) fn rows(&self, split: Split) -> &Rows {
        &self.rows[split as usize]
    }

    /// No fields, no samples: for programs whose objective needs none.
    pub fn empty() -> Dataset {
        Dataset::default()
    }

    /// The fields: name, number type, shape of one sample.
    pub fn fields(&self) -> &[FieldInfo] {
        &self.infos
    }

    /// The number of samples in a split; of a sequential source, how many windows follow each other in one stream.
    pub fn n(&self, split: Split) -> usize {
        self.n_in(split, 1)
    }

    /// The number of samples that an epoch over a split has in batches of `batch`: all, or of a sequential source those in
    /// whole batches, which are none where the split is too short for so many streams.
    pub fn n_in(&self, split: Split, batch: usize) -> usize {
        match self.window {
            None => self.rows(split).len(),
            Some(window) => batch * (self.stream(split, batch, window) / window),
        }
    }

    /// Checks that every split can be cut into batches of `batch` samples: a sequential one must hold a window in each stream.
    ///
    /// # Errors
    ///
    /// Which split is too short, and what would fit.
    pub fn check_batch(&self, batch: usize) -> Result<(), DataError> {
        let splits = std::iter::once(Split::Train).chain(self.evaluated());
        match splits.into_iter().find(|&split| self.sequential() && self.n_in(split, batch) == 0) {
            None => Ok(()),
            Some(split) => {
                let name = match split {
                    Split::Train => "training",
                    Split::Validation => "validation",
                    Split::Test => "test",
                };
                let most = self.n(split);
                let expected = format!("at most {most}: the {name} split has no more windows, one for each stream");
                let error = DataError::new(Fault::Disagreement, "the batch", expected, batch.to_string());
                Err(error.help(format!("write `batch = {most}` or less, or take shorter windows")))
            }
        }
    }

    /// The elements of each of `batch` streams.
    fn stream(&self, split: Split, batch: usize, window: usize) -> usize {
        match self.rows(split).len() {
            0 => 0,
            starts => (starts + window - 1) / batch.max(1),
        }
    }

    /// The samples of an epoch in order, as [`Dataset::gather`] takes them: as stored, or in the random order of `shuffle`.
    /// Those of a sequential source are whole batches of `batch` streams and are never shuffled.
    pub fn order(&self, split: Split, batch: usize, shuffle: Option<Bits>) -> Vec<usize> {
        let Some(window) = self.window else {
            let mut order = (0..self.rows(split).len()).collect::<Vec<_>>();
            shuffle.into_iter().for_each(|bits| super::shuffle(&mut order, bits));
            return order;
        };
        let length = self.stream(split, batch, window);
        let starts = (0..length / window).map(|index| index * window);
        starts.flat_map(|start| (0..batch).map(move |stream| stream * length + start)).collect()
    }

    /// Whether samples must come in their order, in whole batches.
    pub fn sequential(&self) -> bool {
        self.window.is_some()
    }

    /// What reports are evaluated on: the validation and test splits that there are, or the training split where there is no
    /// other.
    pub fn evaluated(&self) -> Vec<Split> {
        let others = [Split::Validation, Split::Test].into_iter().filter(|&split| self.rows(split).len() > 0);
        let others: Vec<Split> = others.collect();
        if others.is_empty() { vec![Split::Train] } else { others }
    }

    /// Field `field` of the samples `rows` of a split.
    ///
    /// # Panics
    ///
    /// If the field does not exist.
    pub fn batch<'a>(&'a self, split: Split, rows: &'a [usize], field: usize) -> Batch<'a> {
        Batch { column: &self.columns[field], split: self.rows(split), rows }
    }

    /// Copies field `field` of the samples `rows` of a split to `out`, one sample after the other, converted to its type.
    ///
    /// # Panics
    ///
    /// If a row or the field does not exist, or `out` has another length than the samples.
    pub fn gather(&self, split: Split, rows: &[usize], field: usize, out: FieldMut<'_>) {
        self.batch(split, rows, field).samples(0..rows.len(), out);
    }

    /// The SHA-256 of fields, splits and every element, in hexadecimal: equal for equal data, wherever it came from.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(format!("{:?} {:?}\n", self.rows, self.window));
        for Column { info, values, step, offset, .. } in &self.columns {
            hasher.update(format!("{} {:?} {:?} {step} {offset}\n", info.name, info.element, info.shape));
            match &**values {
                Values::U8(values) => hasher.update(values),
                Values::I32(values) => values.iter().for_each(|x| hasher.update(x.to_le_bytes())),
                Values::F32(values) => values.iter().for_each(|x| hasher.update(x.to_le_bytes())),
                Values::F64(values) => values.iter().for_each(|x| hasher.update(x.to_le_bytes())),
            }
        }
        hex(&hasher.finalize())
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data(values: Values) -> Dataset {
        Dataset::new(vec![Column::new("x", Element::Real, vec![2], values)], 2, 1)
    }

    #[test]
    fn every_type_is_converted_to_every_type() {
        let all = [
            Values::U8(vec![1, 2, 3, 4, 5, 6]),
            Values::I32(vec![1, 2, 3, 4, 5, 6]),
            Values::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            Values::F64(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ];
        for values in all {
            let data = data(values);
            let (mut single, mut double, mut integers) = ([0.0; 4], [0.0; 2], [0; 2]);
            data.gather(Split::Train, &[1, 0], 0, FieldMut::F32(&mut single));
            data.gather(Split::Test, &[0], 0, FieldMut::F64(&mut double));
            data.gather(Split::Train, &[0], 0, FieldMut::I32(&mut integers));
            assert_eq!((single, double, integers), ([3.0, 4.0, 1.0, 2.0], [5.0, 6.0], [1, 2]));
        }
    }

    #[test]
    #[should_panic(expected = "sample 2 of a split of 2")]
    fn a_row_of_the_other_split_is_out_of_reach() {
        data(Values::U8(vec![0; 6])).gather(Split::Train, &[2], 0, FieldMut::F32(&mut [0.0; 2]));
    }

    #[test]
    fn there_is_something_to_report_on() {
        let splits = |rows| {
            let column = Column::new("x", Element::Real, vec![], Values::U8(vec![0; 6]));
            Dataset::of(vec![column], rows).evaluated()
        };
        let (some, none) = (|| Rows::List(vec![4, 5]), Rows::default);
        assert_eq!(splits([Rows::Range(0..4), some(), some()]), [Split::Validation, Split::Test]);
        assert_eq!(splits([Rows::Range(0..4), none(), some()]), [Split::Test]);
        assert_eq!(splits([Rows::Range(0..4), some(), none()]), [Split::Validation]);
        assert_eq!(splits([Rows::Range(0..4), none(), none()]), [Split::Train]);
    }

    /// A text of `n` tokens 0, 1, … in windows, each token with the one after it.
    fn text(n: usize, window: usize) -> Dataset {
        let tokens = Arc::new(Values::I32((0..n as i32).collect()));
        let field = |name, offset| Column::window(name, Element::Integer, vec![window], &tokens, 1, offset);
        let rows = [Rows::Range(0..n.saturating_sub(window)), Rows::default(), Rows::default()];
        Dataset::of(vec![field("token", 0), field("target", 1)], rows).in_windows(window)
    }

    proptest! {
        #[test]
        fn each_stream_of_a_text_goes_on_where_it_was(n in 0_usize..400, window in 1_usize..12, batch in 1_usize..9) {
            let data = text(n, window);
            let order = data.order(Split::Train, batch, Some(Bits::new(0, 0)));
            prop_assert_eq!(order.len(), data.n_in(Split::Train, batch));
            prop_assert_eq!(order.len() % batch, 0);
            let (mut token, mut target) = (vec![0; order.len() * window], vec![0; order.len() * window]);
            data.gather(Split::Train, &order, 0, FieldMut::I32(&mut token));
            data.gather(Split::Train, &order, 1, FieldMut::I32(&mut target));
            prop_assert!(token.iter().zip(&target).all(|(token, target)| token + 1 == *target));
            let mut seen = vec![];
            for stream in 0..batch {
                let own = token.chunks(window).skip(stream).step_by(batch).flatten().copied().collect::<Vec<_>>();
                prop_assert!(own.windows(2).all(|pair| pair[0] + 1 == pair[1]), "a stream with a gap");
                seen.extend(own);
            }
            // What is left out does not fill one more batch.
            prop_assert!(n.saturating_sub(1) - seen.len() < batch * (window + 1));
            seen.dedup();
            prop_assert_eq!(seen.len(), token.len(), "a token twice");
        }
    }

    #[test]
    fn a_text_says_how_many_streams_it_can_be_cut_into() {
        let data = text(23, 5);
        assert_eq!((1..=4).map(|batch| data.n_in(Split::Train, batch)).collect::<Vec<_>>(), [4, 4, 3, 4]);
        assert_eq!(data.check_batch(4), Ok(()));
        let error = data.check_batch(5).expect_err("four windows for five streams");
        assert_eq!(error.help.as_deref(), Some("write `batch = 4` or less, or take shorter windows"));
        assert_eq!(data.check_batch(data.n(Split::Train)), Ok(()));
    }

    #[test]
    fn the_hash_sees_every_element_and_the_split() {
        let one = data(Values::U8(vec![0; 6]));
        let other = data(Values::U8(vec![0, 0, 0, 0, 0, 1]));
        let column = Column::new("x", Element::Real, vec![2], Values::U8(vec![0; 6]));
        let split = Dataset::new(vec![column], 1, 2);
        assert_ne!(one.hash(), other.hash());
        assert_ne!(one.hash(), split.hash());
        assert_eq!(one.hash(), one.clone().hash());
        assert_eq!(one.hash().len(), 64);
    }
}
