//! `digits()`: 1797 images of handwritten digits, built in (UCI, CC BY 4.0; see `digits.LICENSE` beside this file).

use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;

use super::args::{Args, Request};
use super::error::DataError;
use super::order::{Bits, shuffle};
use super::split::hold_out;
use super::{Column, Dataset, Values};
use crate::program::Element;

/// The table: 64 pixels from 0 to 16 and the label in each row.
const TABLE: &[u8] = include_bytes!("digits.csv.gz");

/// The number of samples drawn for the test split, always the same ones.
const N_TEST: usize = 360;

/// `digits()`: `image` of 8x8 from 0 to 16 and `label`; 1437 samples to train on and 360 to test on.
pub(crate) fn open(request: &Request, _search: &[PathBuf]) -> Result<Dataset, DataError> {
    let args = Args::new(request, &["hold_out", "seed"])?;
    let mut text = String::new();
    let _ = GzDecoder::new(TABLE).read_to_string(&mut text).expect("the built-in table is whole");
    let rows: Vec<Vec<u8>> = text.lines().map(row).collect();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    shuffle(&mut order, Bits::new(0, 0));
    let ordered = || order.iter().map(|&row| &rows[row]);
    let images = ordered().flat_map(|row| row[..64].iter().copied()).collect();
    let labels = ordered().map(|row| row[64]).collect();
    let image = Column::new("image", Element::Real, vec![8, 8], Values::U8(images));
    let label = Column::new("label", Element::Integer, vec![], Values::U8(labels));
    hold_out(&args, Dataset::new(vec![image, label], rows.len() - N_TEST, N_TEST))
}

fn row(line: &str) -> Vec<u8> {
    line.split(',').map(|cell| cell.parse().expect("the built-in table holds bytes")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use crate::program::FieldMut;

    #[test]
    fn splits_shapes_and_labels() {
        let data = open(&Request { source: "digits".into(), args: vec![] }, &[]).expect("built in");
        assert_eq!((data.n(Split::Train), data.n(Split::Test)), (1437, 360));
        assert_eq!(data.fields()[0].shape, [8, 8]);
        for split in [Split::Train, Split::Test] {
            let rows: Vec<usize> = (0..data.n(split)).collect();
            let mut labels = vec![0; rows.len()];
            data.gather(split, &rows, 1, FieldMut::I32(&mut labels));
            let counts: Vec<usize> =
                (0..10).map(|digit| labels.iter().filter(|&&label| label == digit).count()).collect();
            let even = rows.len() / 10;
            assert!(
                counts.iter().all(|&count| count * 10 > even * 7 && count * 10 < even * 14),
                "{split:?} {counts:?}"
            );
        }
    }
}
