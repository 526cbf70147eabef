//! Matrix products.
//!
//! A *tile* of the result, up to twelve rows of two vectors or six of three, is kept in registers over a stretch of the sum. The factors come from
//! *panels*: as many columns of the second one as a tile has, and as many rows of the first, copied so that what is needed
//! together lies together. The larger factor is copied panel by panel, each just before it is used and while it passes through the
//! cache anyway, so that it is read from memory once; the smaller one is copied before, a block at a time that the second-level cache
//! holds. Rows of the first factor that lie in order stay where they are. A second factor of many products may lie in panels from the
//! start ([`ProductShape::in_panels`]).
//!
//! Each element is summed in the order of `k`, whatever the tiles and cuts are; where a factor is a vector, all are summed by vectors.

mod dot;
mod pack;
mod tile;

use std::ops::Range;

use super::Isa;
use super::routine::{Args, Body, Routine, built};
use super::vector::Vector;
use dot::Dots;
pub use pack::BLOCK;
use pack::Rows;
use tile::Tile;

/// How elements of a stack of matrices are apart in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Layout {
    /// Elements from one matrix to the next.
    pub stack: usize,
    /// Elements from one row to the next.
    pub row: usize,
    /// Elements from one column to the next.
    pub col: usize,
}

/// Products that are added up: one for each position of a dimension of the sum that lies elsewhere in memory than the columns of the first
/// and the rows of the second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Terms {
    /// How many, at least 1.
    pub count: usize,
    /// Elements from the first factor of one to that of the next.
    pub a: usize,
    /// The same of the second factor.
    pub b: usize,
}

impl Terms {
    /// A product alone.
    pub const ONE: Terms = Terms { count: 1, a: 0, b: 0 };
}

/// What the positions of an extent are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// The matrices of a stack.
    Stack,
    /// The rows of the result.
    Rows,
    /// The columns of the result.
    Cols,
}

/// The sizes of products, and where their matrices are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ProductShape {
    /// Rows of the first factor and of the result; columns of the second factor and of the result; columns of the first and rows of
    /// the second factor.
    pub sizes: [usize; 3],
    /// How many results.
    pub stack: usize,
    /// The products that each of them is the sum of.
    pub terms: Terms,
    /// The first factor, `[m, k]`.
    pub a: Layout,
    /// The second factor, `[k, n]`.
    pub b: Layout,
    /// The result, `[m, n]`, whose elements are all apart.
    pub c: Layout,
    /// Whether the columns of the second factor lie in panels, from one of which to the next there are `b.col` elements. In a panel,
    /// [`PANEL`] columns lie side by side; what the last one has behind the last column is read, and not used. For a factor of many products,
    /// none of which has to copy it then.
    pub in_panels: bool,
    /// What is cut: not columns that lie in panels.
    pub cut: Cut,
}

/// Columns of a panel: as many as the widest tile has, on every machine.
pub const PANEL: usize = 32;

impl ProductShape {
    /// How many positions there are to cut.
    pub fn extent(&self) -> usize {
        match self.cut {
            Cut::Stack => self.stack,
            Cut::Rows => self.sizes[0],
            Cut::Cols => self.sizes[1],
        }
    }

    /// If one factor is a vector and the numbers of each sum lie in order, how many sums a part of the result has. That is so for all
    /// parts or for none, so that cuts change nothing.
    #[inline(always)]
    fn dots(&self, rows: &Range<usize>, cols: &Range<usize>) -> Option<usize> {
        let is_in_order = self.a.col == 1 && self.b.row == 1;
        (is_in_order && self.sizes[..2].contains(&1)).then_some(rows.len() * cols.len())
    }
}

/// From stacks of matrices `a: [m, k]` and `b: [k, n]` their products `[m, n]`, or sums of products. The work buffer is not used.
pub fn product(isa: Isa) -> Routine<ProductShape> {
    built::<Product>(isa)
}

struct Product;

impl Body for Product {
    type Shape = ProductShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &ProductShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent());
        debug_assert!(!s.in_panels || s.cut != Cut::Cols, "panels are not cut");
        let range = args.first..args.last;
        let all = |size| 0..size;
        let (stack, rows, cols) = match s.cut {
            Cut::Stack => (range, all(s.sizes[0]), all(s.sizes[1])),
            Cut::Rows => (all(s.stack), range, all(s.sizes[1])),
            Cut::Cols => (all(s.stack), all(s.sizes[0]), range),
        };
        let part = Part { rows, cols };
        let mut room = Room::new();
        for index in stack {
            for term in 0..s.terms.count {
                // SAFETY: the caller's promise: the matrices of this product, of which only this part of the result is written.
                unsafe { part.add::<V>(s, args, [index, term], &mut room) };
            }
        }
    }
}

/// A part of a result.
struct Part {
    rows: Range<usize>,
    cols: Range<usize>,
}

impl Part {
    /// Adds a term to this part of a result of the stack; the first one is what the part holds then.
    ///
    /// # Safety
    ///
    /// As for [`Factors::multiply`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn add<V: Vector>(&self, s: &ProductShape, args: Args, [index, term]: [usize; 2], room: &mut Room) {
        let a = Matrix::of(args.a.cast_mut(), s.a, index).moved(term * s.terms.a).from(self.rows.start, 0);
        let b = Matrix::of(args.b.cast_mut(), s.b, index).moved(term * s.terms.b).from(0, self.cols.start);
        let c = Matrix::of(args.to, s.c, index).from(self.rows.start, self.cols.start);
        let (sizes, is_kept) = ([self.rows.len(), self.cols.len(), s.sizes[2]], term > 0);
        if let Some(count) = s.dots(&self.rows, &self.cols) {
            let (matrix, vector, to) = match s.sizes[1] {
                1 => (a, b.start, c),
                _ => (b.turned(), a.start, c.turned()),
            };
            let dots = Dots { matrix, vector, k: s.sizes[2], to, is_kept };
            // SAFETY: the caller's promise.
            unsafe { dots.run::<V>(count) };
            return;
        }
        // Vectors of a tile are rows of the result.
        let (sizes, a, b, c, of_second) = match c.col == 1 || c.row != 1 || s.in_panels {
            true => (sizes, a, b, c, s.b.stack),
            false => ([sizes[1], sizes[0], sizes[2]], b.turned(), a.turned(), c.turned(), s.a.stack),
        };
        let is_shared = of_second == 0 && s.stack > 1 && s.terms.count == 1;
        let factors = Factors { sizes, a, b, c, in_panels: s.in_panels, is_kept, is_shared };
        // SAFETY: the caller's promise.
        unsafe { factors.multiply::<V>(room) };
    }
}

/// A matrix in memory; transposition is a matter of strides.
#[derive(Clone, Copy, Debug)]
struct Matrix {
    start: *mut f32,
    row: usize,
    col: usize,
}

impl Matrix {
    #[inline(always)]
    fn of(start: *mut f32, layout: Layout, index: usize) -> Matrix {
        Matrix { start: start.wrapping_add(index * layout.stack), row: layout.row, col: layout.col }
    }

    /// What begins so many elements behind.
    #[inline(always)]
    fn moved(self, by: usize) -> Matrix {
        Matrix { start: self.start.wrapping_add(by), ..self }
    }

    /// What begins at a row and a column.
    #[inline(always)]
    fn from(self, row: usize, col: usize) -> Matrix {
        Matrix { start: self.at(row, col), ..self }
    }

    #[inline(always)]
    fn turned(self) -> Matrix {
        Matrix { start: self.start, row: self.col, col: self.row }
    }

    #[inline(always)]
    fn at(self, row: usize, col: usize) -> *mut f32 {
        self.start.wrapping_add(row * self.row + col * self.col)
    }
}

/// How much of the sum a tile takes up at once: panels of it stay in the first-level cache, but for a little on some machines.
pub const STRETCH: usize = 320;

/// The same where the second factor lies in panels. They come in order from the second-level cache as fast as a tile needs them, which
/// costs less than to read and write the result, whose rows are far apart, for each stretch.
const PANEL_STRETCH: usize = 1024;

/// Numbers in a cache line.
const LINE: usize = 16;

/// Numbers from one line to the next of which a page has a few: the machine expects the next one.
const NEAR: usize = 128;

/// Numbers of a factor that comes from memory, or from a cache that is shared: half a megabyte.
const FAR: usize = 128 * 1024;

/// Where copies of the factors go.
struct Room {
    block: *mut f32,
    panel: *mut f32,
    /// The columns that the block has, by their first number and their length, if it has columns.
    columns: Option<(*mut f32, usize)>,
}

impl Room {
    #[inline(always)]
    fn new() -> Room {
        let [block, panel] = pack::room();
        Room { block, panel, columns: None }
    }
}

/// One product.
#[derive(Clone, Copy)]
struct Factors {
    sizes: [usize; 3],
    a: Matrix,
    b: Matrix,
    c: Matrix,
    /// Whether the second factor lies in panels.
    in_panels: bool,
    is_kept: bool,
    /// Whether the second factor is that of all products.
    is_shared: bool,
}

impl Factors {
    /// # Safety
    ///
    /// The matrices can be read, and the result written, which overlaps with neither.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn multiply<V: Vector>(&self, room: &mut Room) {
        let [m, n, k] = self.sizes;
        // SAFETY: the caller's promise.
        let done = unsafe { self.few_rows::<V>() };
        let rest = self.columns_from(done);
        let count = k.div_ceil(if self.in_panels { PANEL_STRETCH } else { STRETCH }).max(1);
        let length = k.div_ceil(count);
        for stretch in 0..if done < n { count } else { 0 } {
            let stretch = rest.stretch((stretch * length).min(k)..((stretch + 1) * length).min(k));
            // What is cut into blocks makes the other factor be read once for each; what all products share is copied once.
            let in_block = pack::in_block(stretch.sizes[2]);
            let shares = self.is_shared && count == 1 && n + 2 * V::LEN <= in_block;
            let by_rows = !self.in_panels && (shares || m > n.min(in_block));
            // SAFETY: the caller's promise.
            unsafe { if by_rows { stretch.by_rows::<V>(room) } else { stretch.by_columns::<V>(room) } };
        }
    }

    /// Whether tiles read the rows of the first factor where they are: what they need next lies in the same line or in one that is asked for anyway.
    #[inline(always)]
    fn has_rows_near(&self) -> bool {
        self.a.col == 1 || self.a.row == 1 && self.a.col <= NEAR
    }

    /// The product of the columns from one on.
    #[inline(always)]
    fn columns_from(&self, col: usize) -> Factors {
        let [m, n, k] = self.sizes;
        Factors { sizes: [m, n - col, k], b: self.b.from(0, col), c: self.c.from(0, col), ..*self }
    }

    /// A stretch of the sum, to be added to what those before gave.
    #[inline(always)]
    fn stretch(&self, of: Range<usize>) -> Factors {
        let [m, n, _] = self.sizes;
        let (a, b) = (self.a.from(0, of.start), self.b.from(of.start, 0));
        Factors { sizes: [m, n, of.len()], a, b, is_kept: self.is_kept || of.start > 0, ..*self }
    }

    /// Few rows times columns whose rows lie in order: nothing is read twice, so nothing is copied. The last tile reaches back to the
    /// last column, over some that are computed once more. Gives the number of columns that are done: none if they do not fill a
    /// vector, all that fill tiles if nothing can be computed twice because products are added to what there is.
    ///
    /// # Safety
    ///
    /// As for [`Self::multiply`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn few_rows<V: Vector>(&self) -> usize {
        let [m, n, _] = self.sizes;
        let Some(widths) = tile::wide(m).filter(|_| self.b.col == 1 && !self.in_panels) else { return 0 };
        let mut col = 0;
        while let Some(vectors) = tile::next::<V>(widths, n, n - col) {
            let width = vectors * V::LEN;
            let start = col.min(n - width);
            if start < col && self.is_kept {
                break;
            }
            let columns = Columns { start: self.b.at(0, start), pitch: self.b.row, copy: None };
            // SAFETY: the caller's promise.
            unsafe {
                self.tile::<V>(tile::of_few::<V>(m, vectors), Rows::in_place(self.a), columns, [0, start], width)
            };
            col = start + width;
        }
        col
    }

    /// A stretch of the sum, panels of the first factor being copied while they are needed.
    ///
    /// # Safety
    ///
    /// As for [`Self::multiply`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn by_rows<V: Vector>(&self, room: &mut Room) {
        let ([m, n, k], width) = (self.sizes, 2 * V::LEN);
        let together = pack::in_block(k) / width * width;
        let mut first = 0;
        while first < n {
            let last = n.min(first + together);
            let panel = |block: *mut f32, at: usize| block.wrapping_add((at - first) * k);
            let columns = Some((self.b.at(0, first), k));
            let mut at = if room.columns == columns { last } else { first };
            room.columns = columns;
            while at < last {
                let columns = tile::width::<V>(last - at);
                // SAFETY: the caller's promise; the block has room for these columns.
                unsafe { pack::columns::<V>(self.b.from(0, at), k, columns, panel(room.block, at)) };
                at += columns;
            }
            let mut row = 0;
            while row < m {
                let (a, left) = (self.a.from(row, 0), m - row);
                let is_in_place = self.has_rows_near() || n == tile::width::<V>(n);
                let height = if is_in_place { left } else { pack::rows_in_panel::<V>(k, left) };
                if !is_in_place {
                    // SAFETY: the caller's promise; the panel has room for these rows.
                    unsafe { pack::rows::<V>(a, k, [height, left], room.panel) };
                }
                let end = row + height;
                let in_panel = (!is_in_place).then_some((room.panel.cast_const(), row));
                while row < end {
                    let height = tile::height::<V>(m - row);
                    let rows = Rows::of(self.a, k, row, in_panel);
                    let mut at = first;
                    while at < last {
                        let size = tile::width::<V>(last - at);
                        let columns =
                            Columns { start: panel(room.block, at), pitch: pack::pitch::<V>(size), copy: None };
                        // SAFETY: the caller's promise.
                        unsafe { self.tiles::<V>([height, size], rows, [columns; 2], [row, at]) };
                        at += size;
                    }
                    row += height;
                }
            }
            first = last;
        }
    }

    /// The same, panels of the second factor being copied while they are needed.
    ///
    /// # Safety
    ///
    /// As for [`Self::multiply`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn by_columns<V: Vector>(&self, room: &mut Room) {
        let [m, n, k] = self.sizes;
        let (together, copies) = (pack::in_block(k), !self.has_rows_near() && n > tile::width::<V>(n));
        let mut first = 0;
        while first < m {
            let mut last = first;
            while last < m && last + tile::tallest::<V>() <= first + together {
                last += tile::height::<V>(m - last);
            }
            let in_block = copies.then_some((room.block.cast_const(), first));
            if copies {
                room.columns = None;
                // SAFETY: the caller's promise; the block has room for these rows.
                unsafe { pack::rows::<V>(self.a.from(first, 0), k, [last - first, m - first], room.block) };
            }
            let mut at = 0;
            while at < n {
                let size = if self.in_panels { (2 * V::LEN).min(n - at) } else { tile::width::<V>(n - at) };
                // SAFETY: the caller's promise; the panel has room for these columns.
                let [mut columns, others] = unsafe { self.columns::<V>(at, size, room.panel) };
                let mut row = first;
                while row < last {
                    let height = tile::height::<V>(m - row);
                    let rows = Rows::of(self.a, k, row, in_block);
                    // SAFETY: the caller's promise.
                    unsafe { self.tiles::<V>([height, size], rows, [columns, others], [row, at]) };
                    columns = others;
                    self.prefetch::<V>(at + size, [row - first, height, last - first]);
                    row += height;
                }
                at += size;
            }
            first = last;
        }
    }

    /// Columns of the second factor for the first tile that needs them, which may copy them to a panel while it reads them, and for the
    /// others.
    ///
    /// # Safety
    ///
    /// As for [`Self::multiply`]; the panel has room for these columns, if they have to be copied.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn columns<V: Vector>(&self, at: usize, size: usize, panel: *mut f32) -> [Columns; 2] {
        if self.in_panels {
            let start = self.b.at(0, at / PANEL).wrapping_add(at % PANEL);
            return [Columns { start, pitch: self.b.row, copy: None }; 2];
        }
        let copied = Columns { start: panel, pitch: pack::pitch::<V>(size), copy: None };
        if self.b.col == 1 && (V::MASKS_ARE_FREE || size.is_multiple_of(V::LEN)) {
            return [Columns { start: self.b.at(0, at), pitch: self.b.row, copy: Some(panel) }, copied];
        }
        // SAFETY: the caller's promise.
        unsafe { pack::columns::<V>(self.b.from(0, at), self.sizes[2], size, panel) };
        [copied; 2]
    }

    /// Asks for a panel of the second factor from a column on, whose rows are far apart, if they lie in too much memory for near caches:
    /// of them as many as so many rows are of all, behind those of the rows before. Behind the last panel there may be that of the next part.
    #[inline(always)]
    fn prefetch<V: Vector>(&self, col: usize, [before, rows, all]: [usize; 3]) {
        let k = self.sizes[2];
        if self.b.col == 1 && !self.in_panels && self.b.row * k > FAR {
            for row in before * k / all..(before + rows) * k / all {
                V::prefetch(self.b.at(row, col));
                if V::LEN == LINE {
                    V::prefetch(self.b.at(row, col + LINE));
                }
            }
        }
    }

    /// Adds to so many rows and columns of the result from a row and a column on, tile by tile: the first one reads the first columns, the
    /// others the second.
    ///
    /// # Safety
    ///
    /// As for [`Self::tile`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn tiles<V: Vector>(
        &self,
        [height, width]: [usize; 2],
        rows: Rows,
        [columns, others]: [Columns; 2],
        [row, col]: [usize; 2],
    ) {
        let parts = tile::parts::<V>(height, width);
        let routine = tile::of_size::<V>(height / parts, width);
        // SAFETY: the caller's promise.
        unsafe {
            if parts == 1 {
                return self.tile::<V>(routine, rows, columns, [row, col], width);
            }
            let half = height / 2;
            self.tile::<V>(routine, rows.from(0, height), columns, [row, col], width);
            self.tile::<V>(routine, rows.from(half, height), others, [row + half, col], width);
        }
    }

    /// Adds to the tile of the result that starts at a row and a column and has so many columns.
    ///
    /// # Safety
    ///
    /// As for [`Self::multiply`]; rows and columns are those of the tile.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn tile<V: Vector>(
        &self,
        routine: Routine<Tile>,
        rows: Rows,
        columns: Columns,
        [row, col]: [usize; 2],
        width: usize,
    ) {
        let tile = Tile {
            length: self.sizes[2],
            rows: rows.apart,
            pitch: columns.pitch,
            copies: columns.copy.is_some(),
            result: [self.c.row, self.c.col],
            width,
            is_kept: self.is_kept,
        };
        let copy = columns.copy.map_or(std::ptr::null(), <*mut f32>::cast_const);
        // SAFETY: the caller's promise.
        unsafe { routine(&tile, &[rows.start, columns.start, copy], self.c.at(row, col), std::ptr::null_mut(), 0, 1) };
    }
}

/// Columns of the second factor as a tile reads them.
#[derive(Clone, Copy)]
struct Columns {
    start: *const f32,
    /// Numbers from one row to the next.
    pitch: usize,
    /// Where they are copied to meanwhile, if they are.
    copy: Option<*mut f32>,
}
