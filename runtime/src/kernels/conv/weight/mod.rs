//! `ByWeight`: sums over pixels in register tiles of channels of `x` × channels of `y`, one tap at a time.
//!
//! Where there are few weights and many pixels, the images fall into shares: positions are shares, each adds up into
//! a part of the work buffer of its own, and [`combine`] adds the parts. Otherwise positions are blocks of weights.
//! Each sum runs over the pixels in order, in both cases, however positions are cut.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

mod column;
mod duos;
mod pairs;
mod rows;

use std::ops::Range;

use self::column::Column;
pub(super) use self::pairs::Pairs;
use self::rows::Lines;
use super::channelwise;
use super::dense::{Vectors, blocks};
use super::slide::{FEWEST_COLUMNS, Image};
use super::{Args, ConvShape, Role};
use crate::kernels::conv::Before;
use crate::kernels::conv::ahead::Ahead;
use crate::kernels::routine::NARROW;
use crate::kernels::vector::{Vector, load_row, load_row_masked};

/// Into how many shares the images fall, if they do.
const SHARES: usize = 16;

/// How many channels of `y` a block of weights has.
const CHANNELS: usize = 64;

/// How many pixels are gone through at most before the next block of weights takes its turn.
const PIXELS: usize = 256;

/// The fewest of them: tiles of sums are read and written once in so many.
const FEWEST_PIXELS: usize = 48;

/// How many weights stay in the second-level cache, beside the factors.
const FEW_WEIGHTS: usize = 64 * 1024;

/// After how many pixels some of the next ones are asked for.
const BETWEEN: usize = 32;

/// How many numbers of both factors are gone through: they stay in a first-level cache of 32 KB.
const NUMBERS: usize = 7 * 1024;

/// The most rows of a tile.
const MOST_ROWS: usize = 12;

/// How many weights a position of [`combine`] adds up.
const COMBINED: usize = 1024;

/// How many rows of so many vectors of sums fit into the registers.
const fn tallest<V: Vector>(vectors: usize) -> usize {
    let rows = 2 * V::PAIRS / vectors;
    if rows > MOST_ROWS { MOST_ROWS } else { rows }
}

impl ConvShape {
    fn shares(&self) -> usize {
        let pixels =
            [self.height * self.width * self.in_channels, self.out_height * self.out_width * self.out_channels];
        let much = self.batch * (pixels[0] + pixels[1]) >= 2 * SHARES * self.weights();
        if much { SHARES.min(self.batch) } else { 1 }
    }

    /// How many numbers the shares need.
    pub(super) fn shares_len(&self) -> usize {
        let shares = self.shares();
        if shares == 1 { 0 } else { (shares * self.weights()).next_multiple_of(16) }
    }

    pub(super) fn weights_extent(&self) -> usize {
        let shares = self.shares();
        if shares == 1 { Weights::new(self).blocks() } else { shares }
    }

    /// Whether weights are gone through by rows of three taps, in vectors that have room for the channels of two pixels of `y`, where there
    /// are registers for it: from `x` as it is.
    pub(super) fn weights_are_in_duos(&self) -> bool {
        self.is_by_row() && self.per_group()[1] <= NARROW
    }

    pub(super) fn combined_extent(&self) -> usize {
        if self.shares() == 1 { 0 } else { self.weights().div_ceil(COMBINED) }
    }
}

/// Adds up what the shares have found.
///
/// # Safety
///
/// As for [`Routine`](crate::kernels::Routine).
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub(super) unsafe fn combine(s: &ConvShape, args: Args) {
    for first in (args.first * COMBINED..(args.last * COMBINED).min(s.weights())).step_by(COMBINED) {
        let len = COMBINED.min(s.weights() - first);
        // SAFETY: weights that nobody else writes.
        let to = unsafe { std::slice::from_raw_parts_mut(args.to.add(first), len) };
        to.fill(0.0);
        for share in 0..s.shares() {
            // SAFETY: these weights of a share.
            let found = unsafe { std::slice::from_raw_parts(args.work.add(share * s.weights() + first), len) };
            to.iter_mut().zip(found).for_each(|(to, found)| *to += found);
        }
    }
}

/// Whether [`compute`] reads the copy of `x`, if there is one.
pub(super) fn reads_copy<V: Vector>(s: &ConvShape) -> bool {
    s.copy_len(Role::ByWeight) > 0 && !is_in_duos::<V>(s)
}

fn is_in_duos<V: Vector>(s: &ConvShape) -> bool {
    V::PAIRS == 12 && s.weights_are_in_duos()
}

/// Computes the positions of `args` from `x`, as [`ConvShape::image`] describes it, and `y`.
///
/// # Safety
///
/// As for [`Routine`](crate::kernels::Routine).
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub(super) unsafe fn compute<V: Vector>(s: &ConvShape, args: Args, x: *const f32) {
    let weights = if is_in_duos::<V>(s) { Weights::of(s, s.image_by_taps()) } else { Weights::new(s) };
    debug_assert_eq!(weights.blocks(), Weights::new(s).blocks(), "the same positions on every machine");
    let (shares, pixels) = (s.shares(), s.out_height * s.out_width);
    if shares == 1 {
        // SAFETY: the caller's promise; the blocks of a range are weights that nobody else writes.
        unsafe { weights.sum::<V>(args.first..args.last, 0..s.batch * pixels, [x, args.b], args.to) };
        return;
    }
    for share in args.first..args.last {
        let images = share * s.batch / shares..(share + 1) * s.batch / shares;
        // SAFETY: the caller's promise; the part of the work buffer belongs to this share.
        unsafe {
            let to = args.work.add(share * s.weights());
            weights.sum::<V>(0..weights.blocks(), images.start * pixels..images.end * pixels, [x, args.b], to);
        }
    }
}

/// The weights as rows, one for each channel of `x` that each tap sees.
struct Weights<'a> {
    s: &'a ConvShape,
    image: Image,
    /// Channels of `y` in a group, and into how many blocks they fall.
    width: usize,
    blocks: usize,
}

impl<'a> Weights<'a> {
    fn new(s: &'a ConvShape) -> Weights<'a> {
        Weights::of(s, s.image(Role::ByWeight))
    }

    fn of(s: &'a ConvShape, image: Image) -> Weights<'a> {
        let width = if s.is_channelwise() { s.out_channels } else { s.per_group()[1] };
        Weights { s, image, width, blocks: width.div_ceil(CHANNELS) }
    }

    /// For each group, for each block of channels of `y`, the taps, or the rows of taps.
    fn blocks(&self) -> usize {
        let groups = if self.s.is_channelwise() { 1 } else { self.s.groups };
        groups * self.blocks * if self.is_by_row() { self.image.taps[0] } else { self.taps() }
    }

    fn taps(&self) -> usize {
        self.image.taps[0] * self.image.taps[1]
    }

    /// Whether three taps side by side see neighbouring pixels.
    fn is_by_row(&self) -> bool {
        let s = self.s;
        self.width <= 16
            && !s.is_channelwise()
            && s.stride[1] == 1
            && s.dilation[1] == 1
            && self.image.taps[1] == 3
            && s.out_width >= FEWEST_COLUMNS
    }

    /// How many pixels are gone through before the next block of weights takes its turn.
    fn stretch<V: Vector>(&self) -> usize {
        // Machines with so many registers have larger caches. Where weights are many, they are what has to be read seldom.
        match V::PAIRS == 12 || self.s.weights() > FEW_WEIGHTS {
            true => PIXELS,
            false => (NUMBERS / (self.image.pitch[2] + self.s.out_channels)).clamp(FEWEST_PIXELS, PIXELS),
        }
    }

    /// Writes sums over these pixels.
    ///
    /// # Safety
    ///
    /// The factors `x` and `y` are as the shape says; nobody else uses the weights of these blocks.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn sum<V: Vector>(&self, blocks: Range<usize>, pixels: Range<usize>, [x, y]: [*const f32; 2], to: *mut f32) {
        if self.is_by_row() && V::PAIRS == 12 {
            // SAFETY: the caller's promise.
            return unsafe { self.sum_by_row::<V>(blocks, pixels, [x, y], to) };
        }
        if self.s.is_channelwise() {
            // SAFETY: the caller's promise.
            return unsafe { self.sum_by_channel::<V>(blocks, pixels, [x, y], to) };
        }
        let per_block = if self.is_by_row() { self.image.taps[1] } else { 1 };
        let (mut pairs, mut copy) = (Pairs::NONE, Column::new());
        let stretch = self.stretch::<V>();
        for first in pixels.clone().step_by(stretch) {
            let before = if first == pixels.start { Before::Dropped } else { Before::Kept };
            let last = pixels.end.min(first + stretch);
            let mut ahead =
                self.ahead(last..pixels.end.min(last + stretch), [x, y], self.parts::<V>(blocks.len() * per_block));
            for position in blocks.start * per_block..blocks.end * per_block {
                let (tap, block) = (position % self.taps(), position / self.taps());
                let further = pairs.list(self, tap, first..last);
                for (group, channel, vectors) in self.columns::<V>(block) {
                    let (column, width) = (group * self.width + channel, self.width - channel);
                    // SAFETY: the channels of this group; the rows of this tap, from the block's first channel on.
                    unsafe {
                        let (x, y) = (x.add(group * self.image.run + further), y.add(column));
                        let to = to.add(tap * self.image.run * self.s.out_channels + column);
                        let (pairs, y) = match self.s.weights() > FEW_WEIGHTS && width >= 2 * V::LEN {
                            true => copy.take::<V>(&pairs, y),
                            false => (&pairs, y),
                        };
                        let len = self.s.batch * self.s.out_height * self.s.out_width * self.s.out_channels - column;
                        let pixels = Listed { pairs, before, x, y, len };
                        match vectors {
                            Vectors::Half => self.rows::<V::Half, 1>(pixels, width, to, &mut ahead),
                            Vectors::One => self.rows::<V, 1>(pixels, width, to, &mut ahead),
                            Vectors::Two => self.rows::<V, 2>(pixels, width, to, &mut ahead),
                        }
                    }
                }
            }
        }
    }

    /// The same for channels that have a group of their own.
    ///
    /// # Safety
    ///
    /// As for [`Self::sum`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn sum_by_channel<V: Vector>(
        &self,
        blocks: Range<usize>,
        pixels: Range<usize>,
        [x, y]: [*const f32; 2],
        to: *mut f32,
    ) {
        let (mut pairs, stretch) = (Pairs::NONE, self.stretch::<V>());
        for first in pixels.clone().step_by(stretch) {
            let before = if first == pixels.start { Before::Dropped } else { Before::Kept };
            for position in blocks.clone() {
                let (tap, block) = (position % self.taps(), position / self.taps());
                let x = x.wrapping_add(pairs.list(self, tap, first..pixels.end.min(first + stretch)));
                let channels = block * CHANNELS..self.width.min((block + 1) * CHANNELS);
                // SAFETY: the caller's promise; the weights of this tap.
                unsafe { channelwise::add::<V>(&pairs, channels, [x, y], to.wrapping_add(tap * self.width), before) };
            }
        }
    }

    /// The same where [`Self::is_by_row`] holds.
    ///
    /// # Safety
    ///
    /// As for [`Self::sum`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn sum_by_row<V: Vector>(
        &self,
        blocks: Range<usize>,
        pixels: Range<usize>,
        [x, y]: [*const f32; 2],
        to: *mut f32,
    ) {
        let (rows, taps) = (pixels.start / self.s.out_width..pixels.end / self.s.out_width, self.image.taps);
        let stretch = PIXELS.div_ceil(self.s.out_width);
        for first in rows.clone().step_by(stretch) {
            let before = if first == rows.start { Before::Dropped } else { Before::Kept };
            let last = rows.end.min(first + stretch);
            let next = last * self.s.out_width..rows.end.min(last + stretch) * self.s.out_width;
            let vectors = self.width.min(CHANNELS).div_ceil(V::LEN);
            let parts = blocks.len() * vectors * rows::tiles(self.image.run) * (last - first);
            let mut ahead = self.ahead(next, [x, y], parts);
            for position in blocks.clone() {
                let (kh, block) = (position % taps[0], position / taps[0]);
                let (group, channels) = self.channels(block);
                for channel in channels.step_by(V::LEN) {
                    let column = group * self.width + channel;
                    let rows = first..last;
                    // SAFETY: the channels of this group; the rows of these taps, from the block's first channel on.
                    unsafe {
                        let (x, y) = (x.add(group * self.image.run), y.add(column));
                        let to = to.add(kh * taps[1] * self.image.run * self.s.out_channels + column);
                        Lines { weights: self, rows, kh, before, x, y }.add_rows::<V>(
                            self.width - channel,
                            to,
                            &mut ahead,
                        );
                    }
                }
            }
        }
    }

    /// What these pixels need of both factors, in about so many parts.
    #[inline(always)]
    fn ahead(&self, pixels: Range<usize>, factors: [*const f32; 2], parts: usize) -> Ahead {
        let (s, pitch) = (self.s, self.image.pitch);
        let seen = |pixel: usize| {
            let (row, col) = (pixel / s.out_width, pixel % s.out_width);
            let (n, row) = (row / s.out_height, row % s.out_height);
            n * pitch[0] + row * s.stride[0] * pitch[1] + col * s.stride[1] * pitch[2]
        };
        let x = seen(pixels.start)..seen(pixels.end);
        Ahead::new(factors, [x, pixels.start * s.out_channels..pixels.end * s.out_channels], parts)
    }

    /// In about how many parts the next pixels are asked for while these are gone through for so many taps.
    #[inline(always)]
    fn parts<V: Vector>(&self, taps: usize) -> usize {
        let tiles = self.columns::<V>(0).map(|(.., vectors)| match vectors {
            Vectors::Half | Vectors::One => self.image.run.div_ceil(tallest::<V>(1)),
            Vectors::Two => self.image.run.div_ceil(tallest::<V>(2)),
        });
        taps * tiles.sum::<usize>() * self.stretch::<V>().div_ceil(BETWEEN)
    }

    /// The group of a block, and its channels.
    fn channels(&self, block: usize) -> (usize, Range<usize>) {
        let (group, first) = (block / self.blocks, block % self.blocks * CHANNELS);
        (group, first..self.width.min(first + CHANNELS))
    }

    /// The group of a block, and its channels by vectors.
    fn columns<V: Vector>(&self, block: usize) -> impl Iterator<Item = (usize, usize, Vectors)> + use<V> {
        let (group, channels) = self.channels(block);
        blocks::<V>(channels.len()).map(move |(further, vectors)| (group, channels.start + further, vectors))
    }

    /// The rows of a tap, in tiles of equal height, as far as possible.
    ///
    /// # Safety
    ///
    /// As for [`Self::sum`]; `to` is the first row.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn rows<V: Vector, const R: usize>(
        &self,
        mut pixels: Listed<'_>,
        width: usize,
        to: *mut f32,
        ahead: &mut Ahead,
    ) {
        let (run, pitch) = (self.image.run, self.s.out_channels);
        let tiles = run.div_ceil(tallest::<V>(R));
        let x = pixels.x;
        for tile in 0..tiles {
            let rows = tile * run / tiles..(tile + 1) * run / tiles;
            // SAFETY: the rows of this tile.
            unsafe {
                pixels.x = x.add(rows.start);
                let to = to.add(rows.start * pitch);
                match width >= R * V::LEN {
                    true => pixels.add_some::<V, R, true>(rows.len(), width, (to, pitch), ahead),
                    false => pixels.add_some::<V, R, false>(rows.len(), width, (to, pitch), ahead),
                }
            }
        }
    }
}

/// Pixels of both factors, from a channel of each on.
#[derive(Clone, Copy)]
struct Listed<'a> {
    pairs: &'a Pairs,
    /// What becomes of the sums that are there.
    before: Before,
    x: *const f32,
    y: *const f32,
    /// How many numbers there are from `y` on.
    len: usize,
}

impl Listed<'_> {
    /// As many channels of `x` as there are registers for.
    ///
    /// # Safety
    ///
    /// As for [`Self::add`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn add_some<V: Vector, const R: usize, const WHOLE: bool>(
        self,
        rows: usize,
        width: usize,
        to: (*mut f32, usize),
        ahead: &mut Ahead,
    ) {
        let most = tallest::<V>(R);
        debug_assert!(rows <= most, "a tile that fits into the registers");
        // SAFETY: the caller's promise.
        unsafe {
            match rows {
                1 => self.add::<V, 1, R, WHOLE>(width, to, ahead),
                2 => self.add::<V, 2, R, WHOLE>(width, to, ahead),
                3 => self.add::<V, 3, R, WHOLE>(width, to, ahead),
                4 => self.add::<V, 4, R, WHOLE>(width, to, ahead),
                _ if most == 4 => {}
                5 => self.add::<V, 5, R, WHOLE>(width, to, ahead),
                6 => self.add::<V, 6, R, WHOLE>(width, to, ahead),
                _ if most == 6 => {}
                7 => self.add::<V, 7, R, WHOLE>(width, to, ahead),
                8 => self.add::<V, 8, R, WHOLE>(width, to, ahead),
                _ if most == 8 => {}
                9 => self.add::<V, 9, R, WHOLE>(width, to, ahead),
                10 => self.add::<V, 10, R, WHOLE>(width, to, ahead),
                11 => self.add::<V, 11, R, WHOLE>(width, to, ahead),
                _ => self.add::<V, 12, R, WHOLE>(width, to, ahead),
            }
        }
    }

    /// A tile of `A` channels of `x` and `R` vectors, at most `width` numbers, of channels of `y`; `WHOLE` where the vectors have no
    /// more.
    ///
    /// # Safety
    ///
    /// The factors have as many channels; nobody else uses the tile at `to`.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn add<V: Vector, const A: usize, const R: usize, const WHOLE: bool>(
        self,
        width: usize,
        (to, pitch): (*mut f32, usize),
        ahead: &mut Ahead,
    ) {
        let masks: [V::Mask; R] = std::array::from_fn(|v| V::mask(width.saturating_sub(v * V::LEN)));
        let mut sums = [[V::splat(0.0); R]; A];
        if self.before == Before::Kept {
            for a in 0..A {
                for v in 0..R {
                    // SAFETY: a row of the tile.
                    sums[a][v] = unsafe { V::load_masked(to.add(a * pitch + v * V::LEN), masks[v]) };
                }
            }
        }
        let (followed, last) = self.split::<V, R, WHOLE>();
        for some in followed.chunks(BETWEEN) {
            ahead.ask::<V>();
            for [x, y] in some {
                // SAFETY: channels of a pixel of `y`, and of those behind it, whose sums are not written.
                let row = unsafe { load_row(self.y.add(*y)) };
                // SAFETY: as many channels of a pixel of `x`.
                unsafe { add_products(&mut sums, &row, self.x.add(*x)) };
            }
        }
        for [x, y] in last {
            // SAFETY: channels of a pixel of `y`, and as many of a pixel of `x`.
            unsafe { add_products(&mut sums, &load_row_masked(self.y.add(*y), &masks), self.x.add(*x)) };
        }
        for a in 0..A {
            for v in 0..R {
                // SAFETY: a row of the tile.
                unsafe { sums[a][v].store_masked(to.add(a * pitch + v * V::LEN), masks[v]) };
            }
        }
    }

    /// The pixels behind whose channels there are enough numbers to read whole vectors, and the last ones.
    #[inline(always)]
    fn split<V: Vector, const R: usize, const WHOLE: bool>(&self) -> (&[[usize; 2]], &[[usize; 2]]) {
        let pairs = self.pairs.all();
        let is_last = |[_, y]: &&[usize; 2]| !WHOLE && y + R * V::LEN > self.len;
        pairs.split_at(pairs.len() - pairs.iter().rev().take_while(is_last).count())
    }
}

/// Adds to each row of sums the products of a number and the numbers of `row`.
///
/// # Safety
///
/// As many numbers can be read as there are rows.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn add_products<V: Vector, const A: usize, const R: usize>(
    sums: &mut [[V; R]; A],
    row: &[V; R],
    numbers: *const f32,
) {
    for a in 0..A {
        // SAFETY: the caller's promise.
        let x = V::splat(unsafe { *numbers.add(a) });
        for v in 0..R {
            sums[a][v] = x.mul_add(row[v], sums[a][v]);
        }
    }
}
