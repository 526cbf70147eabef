//! How the window of `Forward` and `ByInput` slides: which numbers of its factor each pixel of the result sees.

use std::ops::Range;

use super::ahead;
use super::rows::TAPS;
use super::{ConvShape, Role};

/// A factor, as the taps of a window see it.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// Rows and columns; what lies outside counts as zero.
    pub size: [usize; 2],
    /// Numbers from one image, row, pixel to the next.
    pub pitch: [usize; 3],
    /// Taps of the window, in both directions.
    pub taps: [usize; 2],
    /// How many numbers, one after the other, a tap sees in each group.
    pub run: usize,
    /// Zeros before the image.
    pub pad: [usize; 2],
    /// Whether no tap of any window lies outside.
    pub is_whole: bool,
}

/// How the rows of `x` are read, so that short runs of numbers become longer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Tap by tap.
    Taps,
    /// A row of taps at once, from `x` itself: no window reaches beyond it.
    Rows,
    /// A row of taps at once, from a copy of `x` with zeros around it.
    CopiedRows,
}

/// Up to how many channels it pays to copy `x`: what a copy costs grows with them, what it saves does not.
const FEW_CHANNELS: usize = 8;

/// The same for `Forward` where numbers are read once for three taps, so that there is less to save.
const FEWER_CHANNELS: usize = 4;

impl ConvShape {
    fn reading(&self, role: Role) -> Reading {
        let few = if role == Role::Forward && self.is_by_row() { FEWER_CHANNELS } else { FEW_CHANNELS };
        let within = |dim: usize| self.pad[dim] == 0 && self.padded(dim) <= [self.height, self.width][dim];
        match () {
            () if self.groups > 1 || self.dilation[1] > 1 => Reading::Taps,
            () if within(0) && within(1) => Reading::Rows,
            () if self.in_channels <= few => Reading::CopiedRows,
            () => Reading::Taps,
        }
    }

    /// Whether [`Slide::is_by_row`] holds of `Forward` where `x` is read tap by tap.
    pub(super) fn is_by_row(&self) -> bool {
        let is_dense = self.stride[1] == 1 && self.dilation[1] == 1 && !self.is_channelwise();
        is_dense && self.kernel[1] == TAPS && self.out_width >= FEWEST_COLUMNS
    }

    /// How many pixels of `x` side by side `ByInput` takes as one, with the channels of all of them. Windows move so many columns, so every one of these
    /// wide pixels sees the same taps, each of which has weights for the pixels that it reaches and zeros for the others. Few channels fill vectors
    /// so, and rows are written one number after the other; with many channels the zeros would cost more.
    pub(super) fn joined(&self) -> usize {
        let columns = self.stride[1];
        let few = self.groups == 1 && self.in_channels * columns <= MOST_JOINED;
        if few && self.dilation[1] == 1 && self.width.is_multiple_of(columns) { columns } else { 1 }
    }

    /// The taps through which `ByInput` sees, and the zeros before its factor that this makes, in both directions. From the wide pixel j the tap u
    /// lies on the window j + pad - u, where the pixel p of it was seen by the tap p + pad of the weights + (u - pad) · joined.
    fn joined_taps(&self) -> ([usize; 2], [usize; 2]) {
        let joined = self.joined();
        let pad = self.pad[1].div_ceil(joined);
        // The first window that saw a pixel, counted from the last one.
        let taps = (self.kernel[1] - 1 + pad * joined - self.pad[1]) / joined + 1;
        ([self.kernel[0], taps], [self.pad[0], pad])
    }

    /// The rows or columns, with zeros around them, that windows reach.
    fn padded(&self, dim: usize) -> usize {
        let out = [self.out_height, self.out_width][dim];
        (out - 1) * self.stride[dim] + (self.kernel[dim] - 1) * self.dilation[dim] + 1
    }

    /// `x`, as `Forward` or `ByWeight` reads it.
    pub(super) fn image(&self, role: Role) -> Image {
        let row = self.in_channels * self.kernel[1];
        let (size, taps, run, pad) = match self.reading(role) {
            Reading::Taps => return self.image_by_taps(),
            Reading::Rows => ([self.height, self.width], [self.kernel[0], 1], row, [0; 2]),
            Reading::CopiedRows => ([self.padded(0), self.padded(1)], [self.kernel[0], 1], row, [0; 2]),
        };
        Image { size, pitch: pitch(size, self.in_channels), taps, run, pad, is_whole: true }
    }

    /// `x` as it is.
    pub(super) fn image_by_taps(&self) -> Image {
        let (size, run) = ([self.height, self.width], self.in_channels / self.groups);
        Image { size, pitch: pitch(size, self.in_channels), taps: self.kernel, run, pad: self.pad, is_whole: false }
    }

    /// How many numbers a copy of `x` with zeros around it has, if `Forward` or `ByWeight` makes one.
    pub(super) fn copy_len(&self, role: Role) -> usize {
        match self.reading(role) {
            Reading::Taps | Reading::Rows => 0,
            Reading::CopiedRows => self.batch * self.image(role).pitch[0],
        }
    }

    /// Copies an image, with zeros around it.
    ///
    /// # Safety
    ///
    /// `x` has the images of the shape, and `to`, which nobody else uses, has room for [`Self::copy_len`] numbers.
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    pub(super) unsafe fn copy_image(&self, n: usize, x: *const f32, to: *mut f32) {
        let [rows, cols] = [self.padded(0), self.padded(1)];
        let [first, last] = [self.pad[1], self.width + self.pad[1]].map(|col| col.min(cols) * self.in_channels);
        for row in 0..rows {
            let len = cols * self.in_channels;
            // SAFETY: a row of the copy of this image.
            let to = unsafe { std::slice::from_raw_parts_mut(to.add((n * rows + row) * len), len) };
            to.fill(0.0);
            if let Some(row) = row.checked_sub(self.pad[0]).filter(|row| *row < self.height) {
                let at = (n * self.height + row) * self.width * self.in_channels;
                // SAFETY: a row of the image, of which no more is taken than there is.
                to[first..last].copy_from_slice(unsafe { std::slice::from_raw_parts(x.add(at), last - first) });
            }
        }
    }
}

fn pitch([rows, cols]: [usize; 2], channels: usize) -> [usize; 3] {
    [rows * cols * channels, cols * channels, channels]
}

/// So many pixels or more that are whole rows.
fn whole_rows(columns: usize, pixels: usize) -> usize {
    columns * pixels.div_ceil(columns)
}

/// How a window slides over a factor.
///
/// A result as large as the image that a strided window slid over falls into planes: every so manyth pixel in both
/// directions, which all see the same taps. Otherwise there is one plane.
#[derive(Clone, Copy, Debug)]
pub struct Slide {
    pub role: Role,
    pub batch: usize,
    pub groups: usize,
    pub from: Image,
    /// Rows and columns of the result.
    pub to: [usize; 2],
    /// Channels of the result in a group.
    pub width: usize,
    /// How many pixels side by side count as one of so many times the channels: see [`ConvShape::joined`].
    pub joined: usize,
    /// Planes in both directions.
    planes: [usize; 2],
    /// Pixels of the factor between neighbouring pixels of a plane.
    pub step: [usize; 2],
    dilation: [usize; 2],
    /// Whether vectors run along the channels of both images.
    pub is_channelwise: bool,
    /// Pixels of a plane that a position has: of the first one, where there are more.
    block: usize,
    /// Whether the factor, and the result, are asked for before they are needed.
    pub asks: [bool; 2],
}

/// The taps that the pixels of a plane see in one direction, from left to right or downwards: an arithmetic progression, numbered
/// as in the panels.
#[derive(Clone, Copy, Debug)]
pub struct Taps {
    /// The first of them, the distance to the next, and how many they are.
    first: usize,
    hop: usize,
    pub count: usize,
    /// Where the first lies, beside the first pixel of the plane, and the distance to the next.
    offset: isize,
    distance: isize,
}

impl Taps {
    /// Which tap of the panels this is.
    #[inline(always)]
    pub fn tap(&self, index: usize) -> usize {
        self.first + index * self.hop
    }

    /// Whether each sees the pixel beside what the one before sees, and follows it in the panels.
    #[inline(always)]
    pub fn are_side_by_side(&self) -> bool {
        (self.distance, self.hop) == (1, 1)
    }

    /// How many rows or columns further on a tap lies than one so many taps before.
    #[inline(always)]
    pub fn apart(&self, taps: usize) -> usize {
        taps * self.distance as usize
    }

    /// Where it lies beside the place of a pixel.
    #[inline(always)]
    pub fn offset(&self, index: usize) -> isize {
        self.offset + index as isize * self.distance
    }
}

/// Pixels of a plane of the result, counted through all images.
#[derive(Clone, Debug)]
pub struct Part {
    /// The first pixel of the plane, in both directions.
    pub plane: [usize; 2],
    /// Rows and columns of the plane.
    pub size: [usize; 2],
    pub pixels: Range<usize>,
}

/// Every register tile, of whatever width, fits into so many pixels without a rest.
pub const WHOLE_TILES: usize = 24;

/// Up to how many channels pixels have together that count as one.
const MOST_JOINED: usize = 16;

/// About how many numbers of the result have their turn, with one plane after the other, before the next ones: they stay in a near cache.
const NEAR: usize = 32 * 1024;

/// The fewest pixels of a position that is gone through row by row: worth reading all weights for, and few enough that small images fall into slices of
/// the same size.
const FEWEST_PIXELS: usize = 16;

/// The fewest windows in a row that are gone through row by row.
pub const FEWEST_COLUMNS: usize = 6;

/// The fewest numbers of a pixel that are spread one after the other.
const FEWEST_NUMBERS: usize = 4;

impl Slide {
    /// For `Forward` or `ByInput`.
    pub fn new(s: &ConvShape, role: Role) -> Slide {
        let [cin, cout] = s.per_group();
        let y = [s.out_height, s.out_width];
        let joined = if role == Role::Forward { 1 } else { s.joined() };
        let (from, to, width, planes, step) = match role {
            Role::Forward => (s.image(role), y, cout, [1; 2], s.stride),
            Role::ByInput | Role::ByWeight => {
                let pitch = pitch(y, s.out_channels);
                let is_whole = [s.kernel, s.stride] == [[1; 2]; 2] && s.pad == [0; 2] && y == [s.height, s.width];
                let (taps, pad) = s.joined_taps();
                let from = Image { size: y, pitch, taps, run: cout, pad, is_whole };
                let planes = [s.stride[0], s.stride[1] / joined];
                (from, [s.height, s.width / joined], cin * joined, planes, [1; 2])
            }
        };
        let (batch, groups, dilation, block) = (s.batch, s.groups, s.dilation, 2 * WHOLE_TILES);
        let is_channelwise = s.is_channelwise();
        let asks = [false; 2];
        let slide =
            Slide { role, batch, groups, from, to, width, joined, planes, step, dilation, is_channelwise, block, asks };
        let [seen, written] = slide.numbers();
        // A factor that is read for one plane after the other is the smaller image, and the tiles of a plane see little of it.
        let asks = [planes == [1; 2] && ahead::pays(seen, slide.from.pitch[2]), ahead::pays(written, groups * width)];
        let slide = Slide { asks, ..slide };
        let columns = slide.size([0; 2])[1];
        let block = match () {
            () if slide.is_by_row() => whole_rows(columns, FEWEST_PIXELS),
            () if planes != [1; 2] => whole_rows(columns, block),
            () => block,
        };
        Slide { block, ..slide }
    }

    /// How many numbers the images of the factor and of the result have together.
    pub fn numbers(&self) -> [usize; 2] {
        [self.batch * self.from.pitch[0], self.batch * self.to[0] * self.to[1] * self.groups * self.width]
    }

    /// Which of the taps of the weights it is that comes at this place from left to right and downwards, and the other way round:
    /// what the window meets from left to right, `ByInput` meets from right to left.
    #[inline(always)]
    pub fn weights_of(&self, tap: usize) -> usize {
        match self.role {
            Role::Forward => tap,
            Role::ByInput | Role::ByWeight => self.from.taps[0] * self.from.taps[1] - 1 - tap,
        }
    }

    /// Whether three taps side by side see neighbouring pixels: then what is read for one of them serves all three, as
    /// long as tiles do not go beyond a row.
    pub fn is_by_row(&self) -> bool {
        let is_dense = self.planes[1] == 1 && self.step[1] == 1 && self.dilation[1] == 1;
        is_dense && !self.is_channelwise && self.from.taps[1] == TAPS && self.to[1] >= FEWEST_COLUMNS
    }

    /// Whether moreover windows move by one pixel downwards, too, so that two rows of the result see nearly the same, and it pays to
    /// spread what they see.
    pub fn is_in_duos(&self) -> bool {
        let is_dense = [self.planes[0], self.step[0], self.dilation[0]] == [1; 3];
        is_dense && self.is_by_row() && self.from.run >= FEWEST_NUMBERS
    }

    /// How many numbers lie between what neighbouring pixels see, where there are tiles for it: images of one channel or
    /// three of which no tap lies outside.
    #[inline(always)]
    pub fn step_of_run(&self) -> Option<usize> {
        let step = self.step[1] * self.from.pitch[2];
        (self.from.is_whole && (step == 1 || step == 3)).then_some(step)
    }

    /// How many positions there are.
    pub fn extent(&self) -> usize {
        let [rows, columns] = self.size([0; 2]);
        (self.batch * rows * columns).div_ceil(self.block)
    }

    /// The pixels that positions stand for: of each plane some rows at a time, since neighbours lie in different planes.
    pub fn parts(&self, positions: Range<usize>) -> impl Iterator<Item = Part> + use<'_> {
        let [rows, columns] = self.planes;
        let near = NEAR / (self.block * rows * columns * self.groups * self.width);
        let together = if rows * columns == 1 { positions.len() } else { near };
        let stretches = positions.clone().step_by(together.max(1));
        let parts = stretches.flat_map(move |first| {
            let last = positions.end.min(first + together.max(1));
            self.each_plane().map(move |plane| self.part(plane, first..last))
        });
        parts.filter(|part| !part.pixels.is_empty())
    }

    fn part(&self, plane: [usize; 2], positions: Range<usize>) -> Part {
        let size = self.size(plane);
        let before = |position: usize| self.before(position * self.block, size);
        Part { plane, size, pixels: before(positions.start)..before(positions.end) }
    }

    /// How many pixels of a plane of this size come before one of the first plane, the largest, counted through all images.
    fn before(&self, pixel: usize, [rows, columns]: [usize; 2]) -> usize {
        let [most_rows, most_columns] = self.size([0; 2]);
        let (row, column) = (pixel / most_columns, pixel % most_columns);
        let (image, row) = (row / most_rows, row % most_rows);
        let count = (image * rows + row.min(rows)) * columns + if row < rows { column.min(columns) } else { 0 };
        count.min(self.batch * rows * columns)
    }

    fn each_plane(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [rows, cols] = self.planes;
        (0..rows).flat_map(move |row| (0..cols).map(move |col| [row, col]))
    }

    fn size(&self, plane: [usize; 2]) -> [usize; 2] {
        let size = |dim: usize| self.to[dim].saturating_sub(plane[dim]).div_ceil(self.planes[dim]);
        [size(0), size(1)]
    }

    /// About `pixels` of them, in whole positions.
    pub fn stretch(&self, pixels: usize) -> usize {
        pixels.next_multiple_of(self.block)
    }

    /// The taps that a plane sees in one direction.
    pub fn taps(&self, plane: [usize; 2], dim: usize) -> Taps {
        let (count, pad, dilation) = (self.from.taps[dim], self.from.pad[dim], self.dilation[dim]);
        match self.role {
            Role::Forward => {
                let (offset, distance) = (-(pad as isize), dilation as isize);
                Taps { first: 0, hop: 1, count, offset, distance }
            }
            Role::ByInput | Role::ByWeight => {
                // Pixel p of x saw tap t of window o, where p + pad = o · stride + t · dilation. The last tap lies on the leftmost
                // window: panels have the taps in reverse.
                let (stride, start) = (self.planes[dim] as isize, (plane[dim] + pad) as isize);
                let window = |tap: usize| start - ((count - 1 - tap) * dilation) as isize;
                let first = (0..count).find(|tap| window(*tap).rem_euclid(stride) == 0).unwrap_or(count);
                let hop = (1..).find(|hop| (hop * dilation).is_multiple_of(self.planes[dim])).unwrap_or(1);
                let offset = if first < count { window(first).div_euclid(stride) } else { 0 };
                let distance = (hop * dilation / self.planes[dim]) as isize;
                Taps { first, hop, count: (count - first).div_ceil(hop), offset, distance }
            }
        }
    }

    /// The distance, in pixels of the result, of neighbours in a row of a plane.
    #[inline(always)]
    pub fn hop(&self) -> usize {
        self.planes[1]
    }

    /// The number, among all pixels of the result, of a pixel of a plane.
    #[inline(always)]
    pub fn place(&self, plane: [usize; 2], [n, row, col]: [usize; 3]) -> usize {
        let [row, col] = [plane[0] + row * self.planes[0], plane[1] + col * self.planes[1]];
        (n * self.to[0] + row) * self.to[1] + col
    }
}
