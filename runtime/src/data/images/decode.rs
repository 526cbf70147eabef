//! Files of images → bytes of one shape.

use std::io::Cursor;
use std::path::Path;
use std::thread;

use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, Limits};

use crate::data::args::Args;
use crate::data::error::{DataError, Fault, quoted};

/// No side of an image that is read is longer.
const LONGEST: u32 = 1 << 14;

/// All images together have no more bytes.
const MOST: usize = 1 << 33;

/// What every image is brought to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Height and width.
    size: Option<[u32; 2]>,
    fit: Fit,
    is_grey: bool,
}

/// How an image of another shape is brought to size.
#[derive(Clone, Copy, Debug)]
enum Fit {
    Crop,
    Stretch,
}

impl Form {
    /// As arguments `size`, `fit` and `channels` say.
    pub(super) fn new(args: &Args<'_>) -> Result<Form, DataError> {
        let size = args.shape("size", 2..=2, LONGEST as usize)?.map(|size| [size[0] as u32, size[1] as u32]);
        let fit = match args.word("fit", &["crop", "stretch"])? {
            Some("stretch") => Fit::Stretch,
            Some(_) | None => Fit::Crop,
        };
        let channels = args.count("channels", 1, 3)?.unwrap_or(3);
        if channels == 2 {
            return Err(args.fault("channels", "3 (red, green, blue) or 1 (grey)", "2"));
        }
        Ok(Form { size, fit, is_grey: channels == 1 })
    }

    /// The image in this form: its height and width, and its bytes channel by channel.
    fn apply(self, image: DynamicImage) -> ([usize; 2], Vec<u8>) {
        let image = match (self.size, self.fit) {
            (Some([height, width]), _) if [image.height(), image.width()] == [height, width] => image,
            (Some([height, width]), Fit::Crop) => image.resize_to_fill(width, height, FilterType::Triangle),
            (Some([height, width]), Fit::Stretch) => image.resize_exact(width, height, FilterType::Triangle),
            (None, _) => image,
        };
        let size = [image.height() as usize, image.width() as usize];
        if self.is_grey {
            return (size, image.into_luma8().into_raw());
        }
        let pixels = image.into_rgb8().into_raw();
        let channel = |channel: usize| pixels.iter().skip(channel).step_by(3);
        (size, (0..3).flat_map(channel).copied().collect())
    }
}

/// Whether a file is an image that can be read, by its name.
pub(super) fn is_image(name: &str) -> bool {
    let lower = name.to_lowercase();
    [".png", ".jpg", ".jpeg"].iter().any(|ending| lower.ends_with(ending))
}

/// The shape of all images, and their bytes one after the other. Several threads decode, each a part.
pub(super) fn decode_all(paths: &[&Path], form: Form) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let Some((first, rest)) = paths.split_first() else {
        return Err(DataError::new(Fault::Missing, "the folder", "at least one image", "none"));
    };
    let (size, pixels) = decode(first, form)?;
    if pixels.len().checked_mul(paths.len()).is_none_or(|bytes| bytes > MOST) {
        let expected = format!("at most {MOST} bytes in all");
        let found = format!("{} images of {} bytes", paths.len(), pixels.len());
        let error = DataError::new(Fault::Disagreement, quoted(first), expected, found);
        return Err(error.help("bring them to a smaller `size: [64, 64]`"));
    }
    let like = Like { path: first, size, form };
    let parts = rest.len().div_ceil(thread::available_parallelism().map_or(1, usize::from)).max(1);
    let mut all = pixels;
    all.reserve_exact(all.len() * rest.len());
    let decoded: Vec<Result<Vec<u8>, DataError>> = thread::scope(|scope| {
        let workers: Vec<_> = rest.chunks(parts).map(|part| scope.spawn(move || like.decode(part))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a decoder does not panic")).collect()
    });
    for part in decoded {
        all.extend(part?);
    }
    Ok((vec![if form.is_grey { 1 } else { 3 }, size[0], size[1]], all))
}

/// What all images must be like.
#[derive(Clone, Copy)]
struct Like<'a> {
    path: &'a Path,
    size: [usize; 2],
    form: Form,
}

impl Like<'_> {
    /// The bytes of images that have the same size as the first.
    fn decode(self, paths: &[&Path]) -> Result<Vec<u8>, DataError> {
        let mut all = vec![];
        for path in paths {
            let (size, pixels) = decode(path, self.form)?;
            if size != self.size {
                let expected = format!("{:?} pixels, height and width, as {} has", self.size, quoted(self.path));
                let error = DataError::new(Fault::Disagreement, quoted(path), expected, format!("{size:?}"));
                return Err(error.help(format!("bring all to one size with `size: {:?}`", self.size)));
            }
            all.extend(pixels);
        }
        Ok(all)
    }
}

fn decode(path: &Path, form: Form) -> Result<([usize; 2], Vec<u8>), DataError> {
    let bytes = std::fs::read(path).map_err(|error| DataError::io(&quoted(path), &error))?;
    let image = parse(&bytes).map_err(|found| {
        let error = DataError::new(Fault::Damaged, quoted(path), "a png or jpeg image", found);
        error.help("fetch the file again, or take it away")
    })?;
    Ok(form.apply(image))
}

/// The image in `bytes`, or what is wrong with it.
pub(super) fn parse(bytes: &[u8]) -> Result<DynamicImage, String> {
    if bytes.is_empty() {
        return Err("an empty file".to_owned());
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST), Some(LONGEST));
    reader.limits(limits);
    reader.decode().map_err(|error| error.to_string())
}
