//! Samples in memory, and how they are gathered into a batch.

use sha2::{Digest, Sha256};

use crate::program::{Element, FieldInfo, FieldMut};

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// What is trained on.
    Train,
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

/// A field with its samples: row-major, those of the training split first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    info: FieldInfo,
    values: Values,
}

impl Column {
    /// A field named `name` whose samples have shape `shape`.
    pub(crate) fn new(name: &str, element: Element, shape: Vec<usize>, values: Values) -> Column {
        Column { info: FieldInfo { name: name.to_owned(), element, shape }, values }
    }
}

/// Samples with named fields, in two splits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    infos: Vec<FieldInfo>,
    values: Vec<Values>,
    n_train: usize,
    n_test: usize,
    /// What was done to the files' numbers, or how they were made, for the curious.
    pub about: String,
    /// For synthetic data, the features that the teacher looks at, in increasing order.
    pub support: Option<Vec<usize>>,
}

impl Dataset {
    /// Puts fields together.
    ///
    /// # Panics
    ///
    /// If a field does not hold exactly `n_train + n_test` samples.
    pub(crate) fn new(columns: Vec<Column>, n_train: usize, n_test: usize) -> Dataset {
        for Column { info, values } in &columns {
            let elements = (n_train + n_test) * info.shape.iter().product::<usize>();
            assert_eq!(values.len(), elements, "field `{}` holds another number of samples", info.name);
        }
        let (infos, values) = columns.into_iter().map(|column| (column.info, column.values)).unzip();
        Dataset { infos, values, n_train, n_test, ..Dataset::default() }
    }

    /// No fields, no samples: for programs whose objective needs none.
    pub fn empty() -> Dataset {
        Dataset::default()
    }

    /// The fields: name, number type, shape of one sample.
    pub fn fields(&self) -> &[FieldInfo] {
        &self.infos
    }

    /// The number of samples in a split.
    pub fn n(&self, split: Split) -> usize {
        match split {
            Split::Train => self.n_train,
            Split::Test => self.n_test,
        }
    }

    /// What reports are evaluated on: the test split, or the training split where there is no other.
    pub fn evaluated(&self) -> Split {
        if self.n_test > 0 { Split::Test } else { Split::Train }
    }

    /// Copies field `field` of the samples `rows` of a split to `out`, one sample after the other, converted to its type.
    ///
    /// # Panics
    ///
    /// If a row or the field does not exist, or `out` has another length than the samples.
    pub fn gather(&self, split: Split, rows: &[usize], field: usize, out: FieldMut<'_>) {
        let width = self.infos[field].shape.iter().product();
        let first = match split {
            Split::Train => 0,
            Split::Test => self.n_train,
        };
        let take = Take { first, n: self.n(split), rows, width };
        match (&self.values[field], out) {
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

    /// The SHA-256 of fields, splits and every element, in hexadecimal: equal for equal data, wherever it came from.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(format!("{} {}\n", self.n_train, self.n_test));
        for (info, values) in self.infos.iter().zip(&self.values) {
            hasher.update(format!("{} {:?} {:?}\n", info.name, info.element, info.shape));
            match values {
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

/// Which samples to copy.
struct Take<'a> {
    first: usize,
    n: usize,
    rows: &'a [usize],
    width: usize,
}

impl Take<'_> {
    fn copy<S: Copy, D>(&self, from: &[S], to: &mut [D], convert: impl Fn(S) -> D) {
        let width = self.width;
        assert_eq!(to.len(), self.rows.len() * width, "the batch field has another size than the samples");
        let split = &from[self.first * width..(self.first + self.n) * width];
        for (place, &row) in self.rows.iter().enumerate() {
            let sample = &split[row * width..(row + 1) * width];
            for (to, &from) in to[place * width..(place + 1) * width].iter_mut().zip(sample) {
                *to = convert(from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
    #[should_panic(expected = "range end index")]
    fn a_row_of_the_other_split_is_out_of_reach() {
        data(Values::U8(vec![0; 6])).gather(Split::Train, &[2], 0, FieldMut::F32(&mut [0.0; 2]));
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
