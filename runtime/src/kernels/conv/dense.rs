//! `Forward` and `ByInput`: sums over taps and channels in register tiles of pixels × channels of the result.
//!
//! The weights are packed into panels: for each group and each block of two vectors, of one or of half a vector of channels of the result,
//! for each tap, for each channel of the factor, a row of that many weights, with zeros beyond the last channel. Each
//! element of the result is summed in an order that follows from the shape alone: it does not depend on the tile it falls into.

#![expect(clippy::needless_range_loop, reason = "tiles are in step with pointers; plain loops unroll")]

use super::ahead;
use super::duos;
use super::listed;
use super::rows;
use super::slide::{Part, Slide, Taps, WHOLE_TILES};
use super::tile::Tile;
use super::window::Window;
use super::{Args, ConvShape, Role};
use crate::kernels::vector::Vector;

/// The widest vector; panels have room for whole ones.
const WIDEST: usize = 16;

/// About how many numbers of the factor are read again and again, for one panel after the other.
const IN_CACHE: usize = 32 * 1024;

impl Slide {
    /// Numbers in the panels of a group.
    fn panels(&self) -> usize {
        self.from.taps[0] * self.from.taps[1] * self.from.run * self.width.next_multiple_of(WIDEST)
    }

    /// Numbers in all panels.
    pub(super) fn packed_len(&self) -> usize {
        if self.is_channelwise { 0 } else { self.groups * self.panels() }
    }

    /// How many positions packing the weights has: the taps of each group.
    pub(super) fn packed_extent(&self) -> usize {
        if self.is_channelwise { 0 } else { self.groups * self.from.taps[0] * self.from.taps[1] }
    }

    /// The panel of a block of channels of a group.
    pub(super) fn panel(&self, group: usize, block: usize) -> usize {
        group * self.panels() + self.from.taps[0] * self.from.taps[1] * self.from.run * block
    }
}

/// The vectors of a block of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vectors {
    /// [`Vector::Half`].
    Half,
    One,
    Two,
}

impl Vectors {
    /// Those of the first block of so many channels: two even if half of the second would do, since they share what is read for each product.
    fn first<V: Vector>(channels: usize) -> Vectors {
        let halves = if V::Half::LEN < V::LEN { V::Half::LEN } else { 0 };
        match channels {
            _ if channels <= halves => Vectors::Half,
            _ if channels <= V::LEN => Vectors::One,
            _ => Vectors::Two,
        }
    }

    /// How many channels they have room for.
    pub fn lanes<V: Vector>(self) -> usize {
        match self {
            Vectors::Half => V::Half::LEN,
            Vectors::One => V::LEN,
            Vectors::Two => 2 * V::LEN,
        }
    }
}

/// So many channels in blocks, by vectors of this kind: the first channel of each, and its vectors.
pub(super) fn blocks<V: Vector>(width: usize) -> impl Iterator<Item = (usize, Vectors)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let vectors = (first < width).then(|| Vectors::first::<V>(width - first))?;
        let block = (first, vectors);
        first += vectors.lanes::<V>();
        Some(block)
    })
}

/// Brings the weights of one position into panels.
///
/// # Safety
///
/// `w` has the weights of the shape, and `to`, which nobody else uses, has room for the panels.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub(super) unsafe fn pack<V: Vector>(s: &ConvShape, slide: &Slide, position: usize, w: *const f32, to: *mut f32) {
    if slide.joined > 1 {
        // SAFETY: the caller's promise.
        return unsafe { pack_joined::<V>(s, slide, position, w, to) };
    }
    let taps = slide.from.taps[0] * slide.from.taps[1];
    let (group, tap) = (position / taps, position % taps);
    let [cin, cout] = s.per_group();
    let row = slide.weights_of(tap);
    // From one channel of the factor, and of the result, to the next.
    let (start, from_step, to_step) = match slide.role {
        Role::Forward => (tap * slide.from.run * s.out_channels + group * cout, s.out_channels, 1),
        Role::ByInput | Role::ByWeight => (tap * cin * s.out_channels + group * cout, 1, s.out_channels),
    };
    for (first, vectors) in blocks::<V>(slide.width) {
        let lanes = vectors.lanes::<V>();
        let channels = lanes.min(slide.width - first);
        for from in 0..slide.from.run {
            let at = slide.panel(group, first) + (row * slide.from.run + from) * lanes;
            // SAFETY: a row of a panel, which this position writes alone.
            let row = unsafe { std::slice::from_raw_parts_mut(to.add(at), lanes) };
            for (lane, weight) in row[..channels].iter_mut().enumerate() {
                // SAFETY: a weight.
                *weight = unsafe { *w.add(start + from * from_step + (first + lane) * to_step) };
            }
            row[channels..].fill(0.0);
        }
    }
}

/// [`pack`] where pixels side by side count as one.
///
/// # Safety
///
/// As for [`pack`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn pack_joined<V: Vector>(s: &ConvShape, slide: &Slide, tap: usize, w: *const f32, to: *mut f32) {
    let [kh, u] = [tap / slide.from.taps[1], tap % slide.from.taps[1]];
    let row = slide.weights_of(tap);
    for (first, vectors) in blocks::<V>(slide.width) {
        let lanes = vectors.lanes::<V>();
        for from in 0..slide.from.run {
            let at = slide.panel(0, first) + (row * slide.from.run + from) * lanes;
            // SAFETY: a row of a panel, which this position writes alone.
            let row = unsafe { std::slice::from_raw_parts_mut(to.add(at), lanes) };
            for (channel, weight) in (first..).zip(row) {
                let (pixel, channel) = (channel / s.in_channels, channel % s.in_channels);
                let kw = (pixel + s.pad[1] + u * slide.joined).checked_sub(slide.from.pad[1] * slide.joined);
                let kw = kw.filter(|kw| pixel < slide.joined && *kw < s.kernel[1]);
                // SAFETY: a weight.
                *weight = kw.map_or(0.0, |kw| unsafe {
                    *w.add(((kh * s.kernel[1] + kw) * s.in_channels + channel) * s.out_channels + from)
                });
            }
        }
    }
}

/// Computes the positions of `args` from the factor `args.a` and packed weights.
///
/// # Safety
///
/// As for [`Routine`](crate::kernels::Routine); `args.a` is the factor as [`Slide::from`] describes it, `packed` are
/// the panels.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub(super) unsafe fn compute<V: Vector>(slide: &Slide, args: Args, packed: *const f32) {
    let stretch = slide.stretch(IN_CACHE / slide.from.pitch[2]);
    for part in slide.parts(args.first..args.last) {
        let taps = [0, 1].map(|dim| slide.taps(part.plane, dim));
        if !is_in_runs::<V>(slide) {
            // SAFETY: the caller's promise.
            unsafe { listed::compute::<V>(slide, &part, taps, args, packed) };
            continue;
        }
        for first in part.pixels.clone().step_by(stretch) {
            let part = Part { pixels: first..part.pixels.end.min(first + stretch), ..part };
            // SAFETY: the caller's promise.
            unsafe { compute_part::<V>(slide, &part, taps, args, packed) };
        }
    }
}

/// Fewer images are cut into slices of less than one each.
const SLICED_IMAGES: usize = 8;

/// Whether there are registers for long tiles, of neighbouring pixels, and what these see lies in rows. With fewer registers they
/// pay for one vector of channels, and for slices of less than an image, whose classes would leave many tiles half empty. A
/// matter of the shape alone: it decides on the order of the sums.
fn is_in_runs<V: Vector>(slide: &Slide) -> bool {
    match V::PAIRS {
        12 => slide.is_by_row() || slide.from.is_whole,
        6 => slide.is_by_row() && (slide.width <= V::LEN || slide.batch < SLICED_IMAGES),
        _ => false,
    }
}

/// Computes the pixels of a part, which see these taps, where [`is_in_runs`] holds.
///
/// # Safety
///
/// As for [`compute`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn compute_part<V: Vector>(slide: &Slide, part: &Part, taps: [Taps; 2], args: Args, packed: *const f32) {
    for group in 0..slide.groups {
        for (first, vectors) in blocks::<V>(slide.width) {
            // SAFETY: the caller's promise.
            unsafe {
                let panel = packed.add(slide.panel(group, first));
                let block = Block { slide, part, taps, group, first, panel };
                if vectors == Vectors::Half && V::PAIRS == 12 && slide.is_in_duos() {
                    duos::compute::<V>(&block, args);
                    continue;
                }
                if slide.is_by_row() {
                    rows::compute::<V>(&block, vectors, args);
                    continue;
                }
                let longest = if vectors == Vectors::Two { 12 } else { 24 };
                let pixels = match slide.step_of_run() {
                    // A pointer for each pixel: there are no registers for more of them.
                    None => 12,
                    Some(_) if slide.to[1].is_multiple_of(longest) => longest,
                    Some(_) => 8,
                };
                match (vectors, pixels) {
                    (Vectors::Half, 8) => block.compute::<V::Half, 8, 1>(args),
                    (Vectors::Half, 12) => block.compute::<V::Half, 12, 1>(args),
                    (Vectors::Half, _) => block.compute::<V::Half, 24, 1>(args),
                    (Vectors::One, 8) => block.compute::<V, 8, 1>(args),
                    (Vectors::One, 12) => block.compute::<V, 12, 1>(args),
                    (Vectors::One, _) => block.compute::<V, 24, 1>(args),
                    (Vectors::Two, 8) => block.compute::<V, 8, 2>(args),
                    (Vectors::Two, _) => block.compute::<V, 12, 2>(args),
                }
            }
        }
    }
}

/// How many channels of the factor are taken together, so that where a pixel lies is looked up once for all of them.
const UNROLLED: usize = 2;

/// Pixels of a plane × a block of channels.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub slide: &'a Slide,
    pub part: &'a Part,
    pub taps: [Taps; 2],
    pub group: usize,
    /// The first channel within the group.
    pub first: usize,
    pub panel: *const f32,
}

impl Block<'_> {
    /// By tiles of `P` pixels and `R` vectors.
    ///
    /// # Safety
    ///
    /// As for [`compute`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn compute<V: Vector, const P: usize, const R: usize>(&self, args: Args) {
        const { assert!(WHOLE_TILES.is_multiple_of(P)) };
        let masks = self.masks::<V, R>();
        let window = self.window(R * V::LEN);
        for pixel in self.part.pixels.clone().step_by(P) {
            let tile = Tile::<P>::new(self.slide, self.part, pixel);
            self.ask_run::<V>(args.to, tile.to[0] + 2 * P, P);
            // SAFETY: the caller's promise.
            let sums = unsafe { self.sums::<V, P, R>(&tile, &window, args.a) };
            for p in 0..P.min(self.part.pixels.end - pixel) {
                // SAFETY: a pixel of the result.
                unsafe { self.store(&sums[p], args.to, tile.to[p], &masks) };
            }
        }
    }

    /// The block from this one of its vectors on.
    #[inline(always)]
    pub fn starting_at<V: Vector>(&self, vector: usize) -> Block<'_> {
        let further = vector * V::LEN;
        Block { first: self.first + further, panel: self.panel.wrapping_add(further), ..*self }
    }

    /// Whether it is the first block of its pixels, which asks for what the others use, too.
    #[inline(always)]
    pub fn is_first(&self) -> bool {
        self.group == 0 && self.first == 0
    }

    /// Which channels of the vectors there are.
    #[inline(always)]
    pub fn masks<V: Vector, const R: usize>(&self) -> [V::Mask; R] {
        std::array::from_fn(|v| V::mask((self.slide.width - self.first).saturating_sub(v * V::LEN)))
    }

    /// Asks for what so many windows side by side see that come below those whose first number this is and that see so many rows of
    /// taps: other blocks see the same.
    #[inline(always)]
    pub fn ask_below<V: Vector>(&self, first: *const f32, rows: usize, windows: usize) {
        let (slide, [_, row_pitch, pixel_pitch]) = (self.slide, self.slide.from.pitch);
        if slide.asks[0] && self.is_first() {
            for row in rows..rows + slide.step[0] {
                ahead::ask::<V>(first.wrapping_add(row * row_pitch), windows * slide.step[1] * pixel_pitch);
            }
        }
    }

    /// Asks for the channels of this block of a pixel of the result, which will be written.
    #[inline(always)]
    pub fn ask_result<V: Vector, const R: usize>(&self, to: *const f32, pixel: usize) {
        if self.slide.asks[1] {
            let first = self.group * self.slide.width + self.first;
            ahead::ask::<V>(to.wrapping_add(pixel * self.slide.groups * self.slide.width + first), R * V::LEN);
        }
    }

    /// Asks for so many pixels of the result from one on, with all of their channels, which will be written: in the first of their blocks.
    #[inline(always)]
    fn ask_run<V: Vector>(&self, to: *const f32, pixel: usize, pixels: usize) {
        if self.slide.asks[1] && self.is_first() {
            let channels = self.slide.groups * self.slide.width;
            ahead::ask::<V>(to.wrapping_add(pixel * channels), pixels * channels);
        }
    }

    /// Writes the channels of this block of a pixel.
    ///
    /// # Safety
    ///
    /// It is a pixel of the result, and nobody else writes these channels.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    pub unsafe fn store<V: Vector, const R: usize>(
        &self,
        sums: &[V; R],
        to: *mut f32,
        pixel: usize,
        masks: &[V::Mask; R],
    ) {
        let first = self.group * self.slide.width + self.first;
        for v in 0..R {
            // SAFETY: the caller's promise.
            unsafe {
                let to = to.add(pixel * self.slide.groups * self.slide.width + first + v * V::LEN);
                sums[v].store_masked(to, masks[v]);
            }
        }
    }

    /// How far behind the first number that a pixel sees the numbers of a tap lie, and in which row of the panel its weights begin.
    #[inline(always)]
    fn run(&self, kh: usize, kw: usize) -> [usize; 2] {
        let (from, [down, right]) = (&self.slide.from, self.taps);
        let at = down.offset(kh) as usize * from.pitch[1] + right.offset(kw) as usize * from.pitch[2];
        [at, (down.tap(kh) * from.taps[1] + right.tap(kw)) * from.run]
    }

    /// What pixels see, if it is little. `lanes` is how long a row of the panel is.
    #[inline(always)]
    fn window(&self, lanes: usize) -> Option<Window> {
        Window::of(self.taps.map(|taps| taps.count), self.slide.from.run, lanes, |kh, kw| self.run(kh, kw))
    }

    /// # Safety
    ///
    /// As for [`compute`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn sums<V: Vector, const P: usize, const R: usize>(
        &self,
        tile: &Tile<P>,
        window: &Option<Window>,
        from: *const f32,
    ) -> [[V; R]; P] {
        let (run, [down, right]) = (self.slide.from.run, self.taps);
        let seen = tile.seen(from.wrapping_add(self.group * run));
        let step = self.slide.step_of_run().filter(|_| tile.is_run());
        if let Some(window) = window {
            // SAFETY: the panel has a row for each channel of each tap, and all of them lie in the image.
            return unsafe {
                match step {
                    Some(1) => window.sums_of_run::<V, P, R, 1>(seen[0], self.panel),
                    Some(3) => window.sums_of_run::<V, P, R, 3>(seen[0], self.panel),
                    _ => window.sums(&seen, self.panel),
                }
            };
        }
        let mut sums = [[V::splat(0.0); R]; P];
        for kh in 0..down.count {
            for kw in 0..right.count {
                let [at, row] = self.run(kh, kw);
                let rows = self.panel.wrapping_add(row * R * V::LEN);
                // SAFETY: as before.
                unsafe { add_products(&mut sums, &seen, at, rows, run) };
            }
        }
        sums
    }
}

/// Adds to the sums of each pixel the products of what it sees, from `start` on, and the rows of a panel.
///
/// # Safety
///
/// Each pixel sees `len` numbers there, and the panel has as many rows.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
pub(super) unsafe fn add_products<V: Vector, const P: usize, const R: usize>(
    sums: &mut [[V; R]; P],
    seen: &[*const f32; P],
    start: usize,
    rows: *const f32,
    len: usize,
) {
    let whole = len - len % UNROLLED;
    let mut local = *sums;
    for at in (0..whole).step_by(UNROLLED) {
        // SAFETY: the numbers and rows from `at` on.
        unsafe { add_some::<V, P, R, UNROLLED>(&mut local, seen, start, rows, at) };
    }
    for at in whole..len {
        // SAFETY: a number and a row.
        unsafe { add_some::<V, P, R, 1>(&mut local, seen, start, rows, at) };
    }
    *sums = local;
}

/// [`add_products`] for the `U` rows from `at` on.
///
/// # Safety
///
/// As for [`add_products`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn add_some<V: Vector, const P: usize, const R: usize, const U: usize>(
    sums: &mut [[V; R]; P],
    seen: &[*const f32; P],
    start: usize,
    rows: *const f32,
    at: usize,
) {
    let mut row = [[V::splat(0.0); R]; U];
    for u in 0..U {
        for v in 0..R {
            // SAFETY: a part of a row of the panel.
            row[u][v] = unsafe { V::load(rows.add(((at + u) * R + v) * V::LEN)) };
        }
    }
    for p in 0..P {
        for u in 0..U {
            // SAFETY: one of the numbers that the pixel sees.
            let x = V::splat(unsafe { *seen[p].add(start + at + u) });
            for v in 0..R {
                sums[p][v] = x.mul_add(row[u][v], sums[p][v]);
            }
        }
    }
}
