//! Images whose classes differ in the brightness of their parts.
//!
//! An image is cut into 8x8 cells. Each class has its own level of brightness for each channel and cell, from 0 to 127, and
//! every pixel gets noise of the same size. With `pixels: true` each cell has a class of its own instead, which `label` says
//! for each pixel.

use super::super::args::{Args, Request};
use super::super::error::{DataError, Fault};
use super::super::order::Bits;
use super::super::split::hold_out;
use super::super::{Column, Dataset, Values};
use super::{MOST, n_test, seed};
use crate::program::Element;
use crate::random;

const ARGS: &[&str] = &["samples", "image", "classes", "pixels", "seed", "test", "hold_out"];

/// Cells along one side.
const CELLS: usize = 8;

/// The uses of random bits.
const LABELS: u64 = 11;
const LEVELS: u64 = 12;
const NOISE: u64 = 13;

/// `synthetic(samples: 64, image: [3, 224, 224], classes: 1000)`.
pub(super) fn open(request: &Request) -> Result<Dataset, DataError> {
    let args = Args::new(request, ARGS)?;
    let shape = args.shape("image", 3..=3, 1 << 15)?.unwrap_or_default();
    let width: usize = shape.iter().product();
    let samples = args.count("samples", 2, MOST)?.unwrap_or(256);
    let classes = args.count("classes", 2, 1 << 20)?.unwrap_or(10);
    if samples.checked_mul(width).is_none_or(|n| n > MOST) || classes > MOST / (shape[0] * CELLS * CELLS) {
        let error =
            DataError::new(Fault::Declaration, "`synthetic(…)`", format!("at most {MOST} bytes of images"), "more");
        return Err(error.help("write fewer `samples:`"));
    }
    let painter = Painter::new(seed(&args)?, [shape[0], shape[1], shape[2]], classes);
    let pixels = args.flag("pixels")?.unwrap_or(false);
    let n_test = n_test(&args, samples)?;
    let cells = (0..samples).map(|sample| painter.classes_of(sample, pixels)).collect::<Vec<_>>();
    let images = cells.iter().enumerate().flat_map(|(sample, cells)| painter.paint(sample, cells)).collect();
    let (label_shape, labels) = match pixels {
        true => (shape[1..].to_vec(), cells.iter().flat_map(|cells| painter.map(cells)).collect()),
        false => (vec![], cells.iter().map(|cells| cells[0]).collect()),
    };
    let image = Column::new("image", Element::Real, shape, Values::U8(images));
    let label = Column::new("label", Element::Integer, label_shape, Values::I32(labels));
    let mut data = Dataset::new(vec![image, label], samples - n_test, n_test);
    data.constants = vec![("classes".to_owned(), classes as f64)];
    data.about = "images of noise, brighter or darker in each part as their class is".to_owned();
    hold_out(&args, data)
}

/// Makes images.
struct Painter {
    seed: u64,
    shape: [usize; 3],
    classes: usize,
    /// For each class, channel and cell.
    levels: Vec<u8>,
}

impl Painter {
    fn new(seed: u64, shape: [usize; 3], classes: usize) -> Painter {
        let mut levels = vec![0.0; classes * shape[0] * CELLS * CELLS];
        random::fill_uniform(seed as i32, (seed >> 32) as i32, LEVELS, 0, &mut levels);
        Painter { seed, shape, classes, levels: levels.iter().map(|level| (level * 128.0) as u8).collect() }
    }

    /// The class of each cell.
    fn classes_of(&self, sample: usize, pixels: bool) -> Vec<i32> {
        let draws = Bits::new(self.seed, LABELS);
        let n = CELLS * CELLS;
        let class = |cell| (draws.uniform((sample * n + cell) as u64) * self.classes as f64) as i32;
        (0..n).map(|cell| class(if pixels { cell } else { 0 })).collect()
    }

    /// The cell that a pixel is in.
    fn cell(&self, row: usize, column: usize) -> usize {
        row * CELLS / self.shape[1] * CELLS + column * CELLS / self.shape[2]
    }

    fn paint(&self, sample: usize, cells: &[i32]) -> Vec<u8> {
        let [channels, height, width] = self.shape;
        let mut noise = vec![0.0; channels * height * width];
        let first = (sample * noise.len()) as u64;
        random::fill_uniform(self.seed as i32, (self.seed >> 32) as i32, NOISE, first, &mut noise);
        let mut image = Vec::with_capacity(noise.len());
        for (line, noise) in noise.chunks_exact(width).enumerate() {
            let (channel, row) = (line / height, line % height);
            image.extend(noise.iter().enumerate().map(|(column, noise)| {
                let cell = self.cell(row, column);
                let level = (cells[cell] as usize * channels + channel) * CELLS * CELLS + cell;
                self.levels[level] + (noise * 128.0) as u8
            }));
        }
        image
    }

    /// The class of each pixel.
    fn map(&self, cells: &[i32]) -> Vec<i32> {
        let [_, height, width] = self.shape;
        (0..height * width).map(|pixel| cells[self.cell(pixel / width, pixel % width)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Arg, Split, open as open_any};
    use crate::program::FieldMut;

    fn images(args: &[(&str, f64)], shape: &[f64], pixels: bool) -> Result<Dataset, DataError> {
        let numbers = args.iter().map(|&(name, x)| (name.to_owned(), Arg::Number(x)));
        let more = [("image".to_owned(), Arg::List(shape.to_vec())), ("pixels".to_owned(), Arg::Bool(pixels))];
        open_any(&Request { source: "synthetic".into(), args: numbers.chain(more).collect() }, &[])
    }

    fn gathered(data: &Dataset, field: usize) -> Vec<f64> {
        let rows = data.order(Split::Train, 1, None);
        let mut out = vec![0.0; rows.len() * data.fields()[field].shape.iter().product::<usize>()];
        data.gather(Split::Train, &rows, field, FieldMut::F64(&mut out));
        out
    }

    #[test]
    fn images_of_a_class_are_nearer_to_each_other_than_to_others() {
        let data = images(&[("samples", 40.0), ("classes", 4.0)], &[3.0, 16.0, 20.0], false).expect("a size");
        let (pixels, labels) = (gathered(&data, 0), gathered(&data, 1));
        assert_eq!(data.n(Split::Test), 8);
        let image = |i: usize| &pixels[i * 960..(i + 1) * 960];
        let distance = |i, j| image(i).iter().zip(image(j)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / 960.0;
        let pairs = || (0..32).flat_map(|i| (0..i).map(move |j| (i, j)));
        let most = pairs().filter(|&(i, j)| labels[i] == labels[j]).map(|(i, j)| distance(i, j)).fold(0.0, f64::max);
        let least = pairs().filter(|&(i, j)| labels[i] != labels[j]).map(|(i, j)| distance(i, j)).fold(1e9, f64::min);
        assert!(most < least, "{most} within a class, {least} between two");
    }

    #[test]
    fn pixels_can_have_classes_of_their_own() {
        let data = images(&[("samples", 4.0), ("classes", 21.0)], &[3.0, 33.0, 17.0], true).expect("a size");
        assert_eq!(data.fields()[1].shape, [33, 17]);
        let labels = gathered(&data, 1);
        assert!(
            labels.iter().all(|label| (0.0..21.0).contains(label)) && labels.iter().any(|&label| label != labels[0])
        );
    }

    #[test]
    fn a_seed_is_a_data_set_and_sizes_have_limits() {
        let hash = |seed| images(&[("samples", 4.0), ("seed", seed)], &[1.0, 9.0, 9.0], false).expect("a size").hash();
        assert_eq!(hash(1.0), hash(1.0));
        assert_ne!(hash(1.0), hash(2.0));
        assert!(images(&[("samples", 1e9)], &[3.0, 1000.0, 1000.0], false).is_err());
        assert!(images(&[], &[3.0, 32.0], false).is_err());
        assert!(images(&[], &[3.0, 1e9, 1e9], false).is_err());
        assert!(images(&[("classes", 1e6)], &[32768.0, 1.0, 1.0], false).is_err());
    }
}
