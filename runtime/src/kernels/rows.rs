//! Rows of tables, taken and added to by index; running sums; the largest elements of rows.
//!
//! Tensors are dense and row-major. Indices are `i32`, bools are masks of 32 bits; both are passed as pointers to
//! `f32`, which has the same size.

use std::ops::Range;

use super::Isa;
use super::routine::{Args, Body, Routine, built};
use super::vector::Vector;

/// Tables, one for each position of the batch, and how often their rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct TableShape {
    /// Tables.
    pub batch: usize,
    /// Rows of a table.
    pub rows: usize,
    /// Indices for each table.
    pub indices: usize,
    /// Numbers in a row.
    pub width: usize,
    /// Whether all tables have the same indices, which then stand in memory once.
    pub shared: bool,
}

impl TableShape {
    /// Where the index stands that a row of what is picked has.
    #[inline(always)]
    fn index_of(&self, position: usize) -> usize {
        if self.shared { position % self.indices } else { position }
    }

    /// How many positions [`gather`] has: the rows of its result.
    pub fn gather_extent(&self) -> usize {
        self.batch * self.indices
    }

    /// How many positions [`scatter`] has: the rows of all tables.
    pub fn scatter_extent(&self) -> usize {
        self.batch * self.rows
    }
}

/// Rows, for [`top_k`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct TopShape {
    /// Rows; also the positions of the extent.
    pub rows: usize,
    /// Numbers in a row.
    pub width: usize,
    /// How many of a row are chosen.
    pub k: usize,
}

/// A tensor `[outer, len, inner]`, for [`cumsum`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct SumShape {
    /// The product of the sizes of the axes before.
    pub outer: usize,
    /// The size of the axis along which sums run.
    pub len: usize,
    /// The product of the sizes of the axes after.
    pub inner: usize,
    /// Whether sums run from the end.
    pub reverse: bool,
}

/// How many columns of a tensor a position of [`cumsum`] sums.
const COLUMNS: usize = 64;

impl SumShape {
    /// How many positions [`cumsum`] has.
    pub fn extent(&self) -> usize {
        self.outer * self.inner.div_ceil(COLUMNS)
    }
}

/// From a table `[batch, rows, width]` of 32-bit numbers of any type and indices `[batch, indices]` (or, shared, `[indices]`) the rows asked for,
/// `[batch, indices, width]`; an index outside of the table gives zeros. The work buffer is not used.
pub fn gather(isa: Isa) -> Routine<TableShape> {
    built::<Gather>(isa)
}

/// From values `[batch, indices, width]` and indices `[batch, indices]` (or, shared, `[indices]`) a table `[batch, rows, width]`: each row is the
/// sum of the values whose index it has, in an order that depends on the indices alone. What has an index outside of the table is dropped. The work
/// buffer is not used.
pub fn scatter(isa: Isa) -> Routine<TableShape> {
    built::<Scatter>(isa)
}

/// From `[rows, width]` a mask of the same shape: true for the `k` largest elements of each row; of equal ones (0 and
/// -0 are) those with the smaller index come first, NaN is larger than everything. Only the first factor is used, and
/// no work buffer.
pub fn top_k(isa: Isa) -> Routine<TopShape> {
    built::<TopK>(isa)
}

/// From `[outer, len, inner]` a tensor of the same shape: each element is the sum of those before it along the axis
/// `len` and of itself. Only the first factor is used, and no work buffer.
pub fn cumsum(isa: Isa) -> Routine<SumShape> {
    built::<CumSum>(isa)
}

struct Gather;
struct Scatter;
struct TopK;
struct CumSum;

impl Body for Gather {
    type Shape = TableShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &TableShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.gather_extent());
        if s.width == 1 {
            let whole = whole_tables(args.first, args.last, s.indices);
            // SAFETY: the caller's promise.
            if let Some(indices) = unsafe { shared_indices(s, args) }.filter(|_| !whole.is_empty()) {
                let edges = [args.first..whole.start * s.indices, whole.end * s.indices..args.last];
                // SAFETY: the caller's promise; these tables are in the range.
                unsafe { gather_alike::<V>(s, args, indices, whole) };
                for Range { start: first, end: last } in edges {
                    // SAFETY: the caller's promise: these are parts of the range.
                    unsafe { gather_numbers::<V>(s, Args { first, last, ..args }) };
                }
            } else {
                // SAFETY: the caller's promise.
                unsafe { gather_numbers::<V>(s, args) };
            }
            return;
        }
        for position in args.first..args.last {
            // SAFETY: an index, and a row of the result, which nobody else writes. Numbers are only moved, as bits.
            let (index, to) = unsafe {
                let to = args.to.cast::<u32>().add(position * s.width);
                (*args.b.cast::<i32>().add(s.index_of(position)), std::slice::from_raw_parts_mut(to, s.width))
            };
            match row(index, s.rows) {
                Some(row) => {
                    let at = (position / s.indices * s.rows + row) * s.width;
                    // SAFETY: the row lies in the table.
                    to.copy_from_slice(unsafe { std::slice::from_raw_parts(args.a.cast::<u32>().add(at), s.width) });
                }
                None => to.fill(0),
            }
        }
    }
}

/// [`Gather`] of rows of one number, table by table.
///
/// # Safety
///
/// As for [`Routine`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn gather_numbers<V: Vector>(s: &TableShape, args: Args) {
    let mut position = args.first;
    while position < args.last {
        let (table, first) = (position / s.indices, position % s.indices);
        let count = (s.indices - first).min(args.last - position);
        // SAFETY: a table, the indices from this one on, and as many elements of the result. Numbers are only moved.
        let (numbers, indices, to) = unsafe {
            let numbers = std::slice::from_raw_parts(args.a.add(table * s.rows), s.rows);
            let indices = std::slice::from_raw_parts(args.b.cast::<i32>().add(s.index_of(position)), count);
            (numbers, indices, std::slice::from_raw_parts_mut(args.to.add(position), count))
        };
        pick::<V>(numbers, indices, to);
        position += count;
    }
}

/// The numbers of a table that indices name, as bits; zero for one that names none. Those of a group are neighbours.
#[inline(always)]
fn pick<V: Vector>(numbers: &[f32], indices: &[i32], to: &mut [f32]) {
    if numbers.is_empty() {
        return to.fill(0.0);
    }
    let ends = parts(indices.len());
    let mut at = [0, ends[0], ends[1], ends[2]];
    while (0..PARTS).all(|part| at[part] < ends[part]) {
        for part in 0..PARTS {
            let range = at[part]..ends[part];
            at[part] += pick_run::<V>(numbers, &indices[range.clone()], &mut to[range]);
        }
    }
    for part in 0..PARTS {
        while at[part] < ends[part] {
            let range = at[part]..ends[part];
            at[part] += pick_run::<V>(numbers, &indices[range.clone()], &mut to[range]);
        }
    }
}

/// The number for the first index, and for those behind it that are equal; how many these are.
#[inline(always)]
#[expect(unsafe_code, reason = "reads without a jump, and writes whole vectors")]
fn pick_run<V: Vector>(numbers: &[f32], indices: &[i32], to: &mut [f32]) -> usize {
    let row = row(indices[0], numbers.len());
    // Read in any case: what is chosen then needs no jump.
    // SAFETY: a number of the table, which has one.
    let number = unsafe { *numbers.get_unchecked(row.unwrap_or(0)) };
    let number = if row.is_some() { number } else { 0.0 };
    let (Some(run), Some(to)) = (indices.get(..RUN).filter(|run| run[1] == run[0]), to.get_mut(..RUN)) else {
        to[0] = number;
        return 1;
    };
    // What lies behind the end of a run is written once more.
    for vector in 0..RUN / V::LEN {
        // SAFETY: so many places.
        unsafe { V::splat(number).store(to.as_mut_ptr().add(vector * V::LEN)) };
    }
    equal_first::<V>(run)
}

/// In how many parts indices are gone through side by side: where a run begins is known when the one before has ended, and machines can do several of
/// these at once.
const PARTS: usize = 4;

/// Where the parts end.
#[inline(always)]
fn parts(len: usize) -> [usize; PARTS] {
    let part = len / PARTS;
    [part, 2 * part, 3 * part, len]
}

/// How many indices are looked at together for where a run of equal ones ends.
const RUN: usize = 32;

/// How many of these indices, at the beginning, are equal. Nothing jumps: where a run ends could not be guessed.
#[inline(always)]
#[expect(unsafe_code, reason = "reads whole vectors")]
fn equal_first<V: Vector>(run: &[i32]) -> usize {
    assert_eq!(run.len(), RUN);
    let mut others = 0;
    for vector in 0..RUN / V::LEN {
        // SAFETY: so many indices.
        others |= unsafe { V::unlike(run.as_ptr().add(vector * V::LEN), run.as_ptr()) } << (vector * V::LEN);
    }
    // The bit behind the last: of a number that is never zero machines count the zeros by one instruction.
    (u64::from(others) | 1 << RUN).trailing_zeros() as usize
}

impl Body for Scatter {
    type Shape = TableShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &TableShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.scatter_extent());
        let len = (args.last - args.first) * s.width;
        // SAFETY: the rows of this range, which nobody else writes.
        let to = unsafe { std::slice::from_raw_parts_mut(args.to.add(args.first * s.width), len) };
        to.fill(0.0);
        let tables = args.first / s.rows.max(1)..args.last.div_ceil(s.rows.max(1));
        if s.width == 1 {
            // SAFETY: the caller's promise.
            let indices = unsafe { shared_indices(s, args) };
            let is_row = |index: &i32| row(*index, s.rows).is_some();
            // Without runs of equal ones, numbers are added in the same order as by `scatter_numbers`.
            let is_plain = |i: &&[i32]| i.iter().all(is_row) && i.windows(2).all(|pair| pair[0] != pair[1]);
            let indices = indices.filter(is_plain);
            let whole = whole_tables(args.first, args.last, s.rows);
            for table in tables {
                if let Some(indices) = indices.filter(|_| whole.contains(&table)) {
                    // SAFETY: the caller's promise; all indices are rows, and the table is in the range.
                    unsafe { scatter_alike(s, args, indices, table, to) };
                    continue;
                }
                // SAFETY: the caller's promise; the rows of this range are `to`.
                unsafe { scatter_numbers::<V>(s, args, table, to) };
            }
            return;
        }
        for at in tables.start * s.indices..tables.end * s.indices {
            // SAFETY: an index.
            let index = unsafe { *args.b.cast::<i32>().add(s.index_of(at)) };
            let place = row(index, s.rows).map(|row| at / s.indices * s.rows + row);
            let Some(place) = place.filter(|place| (args.first..args.last).contains(place)) else { continue };
            // SAFETY: a row of values.
            let values = unsafe { std::slice::from_raw_parts(args.a.add(at * s.width), s.width) };
            let to = &mut to[(place - args.first) * s.width..][..s.width];
            to.iter_mut().zip(values).for_each(|(to, value)| *to += value);
        }
    }
}

/// [`Scatter`] of rows of one number into the part of a table that lies in the range, whose rows are `to`. Sums are kept in a register
/// while neighbours have the same index.
///
/// # Safety
///
/// As for [`Routine`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn scatter_numbers<V: Vector>(s: &TableShape, args: Args, table: usize, to: &mut [f32]) {
    let start = table * s.indices;
    // SAFETY: the indices of the table and its values.
    let (indices, values) = unsafe {
        let indices = args.b.cast::<i32>().add(if s.shared { 0 } else { start });
        (std::slice::from_raw_parts(indices, s.indices), std::slice::from_raw_parts(args.a.add(start), s.indices))
    };
    // Rows before the range wrap around, to places beyond it.
    let base = (table * s.rows).wrapping_sub(args.first);
    let ends = parts(indices.len());
    let mut at = [0, ends[0], ends[1], ends[2]];
    while (0..PARTS).all(|part| at[part] < ends[part]) {
        for part in 0..PARTS {
            let range = at[part]..ends[part];
            at[part] += scatter_run::<V>(s.rows, base, &indices[range.clone()], &values[range], to);
        }
    }
    for part in 0..PARTS {
        while at[part] < ends[part] {
            let range = at[part]..ends[part];
            at[part] += scatter_run::<V>(s.rows, base, &indices[range.clone()], &values[range], to);
        }
    }
}

/// Adds the first value, and those behind it whose indices are equal, to their row of a table of so many, if it is in the part `to` that begins at `base`;
/// how many these are.
#[inline(always)]
fn scatter_run<V: Vector>(rows: usize, base: usize, indices: &[i32], values: &[f32], to: &mut [f32]) -> usize {
    let (sum, count) = sum_equal::<V>(indices, values);
    if let Some(to) = row(indices[0], rows).and_then(|row| to.get_mut(base.wrapping_add(row))) {
        *to += sum;
    }
    count
}

/// The numbers of the places of a run.
const PLACES: [f32; RUN] = {
    let mut places = [0.0; RUN];
    let mut place = 0;
    while place < RUN {
        places[place] = place as f32;
        place += 1;
    }
    places
};

/// The sum of the values at the beginning whose indices are equal, and how many these are. Each lane has a sum of its own, since additions
/// wait for one another; where a run ends nothing jumps, since nothing could be guessed there.
#[inline(always)]
#[expect(unsafe_code, reason = "reads whole vectors")]
fn sum_equal<V: Vector>(indices: &[i32], values: &[f32]) -> (f32, usize) {
    let first = indices[0];
    if indices.get(1) != Some(&first) {
        return (values[0], 1);
    }
    let (mut sum, mut count) = (V::splat(0.0), 0);
    while let (Some(run), Some(values)) = (indices.get(count..count + RUN), values.get(count..count + RUN)) {
        if run[0] != first {
            return (sum.total(), count);
        }
        let equal = equal_first::<V>(run);
        for vector in 0..RUN / V::LEN {
            // SAFETY: so many places and values.
            let (places, values) = unsafe {
                let at = vector * V::LEN;
                (V::load(PLACES.as_ptr().add(at)), V::load(values.as_ptr().add(at)))
            };
            sum = sum.add(V::splat(equal as f32).where_larger(places, values, V::splat(0.0)));
        }
        count += equal;
        if equal < RUN {
            return (sum.total(), count);
        }
    }
    let rest = indices[count..].iter().zip(&values[count..]).take_while(|(index, _)| **index == first);
    let (rest, equal) = rest.fold((0.0, 0), |(sum, count), (_, value)| (sum + value, count + 1));
    (sum.total() + rest, count + equal)
}

/// The tables whose rows, so many each, all lie between two positions.
fn whole_tables(first: usize, last: usize, rows: usize) -> Range<usize> {
    let rows = rows.max(1);
    first.div_ceil(rows)..last / rows
}

/// The indices that all tables share, if there are several.
///
/// # Safety
///
/// As for [`Routine`].
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn shared_indices<'a>(s: &TableShape, args: Args) -> Option<&'a [i32]> {
    let is_any = s.shared && s.batch > 1 && s.rows > 0;
    // SAFETY: there are so many indices.
    is_any.then(|| unsafe { std::slice::from_raw_parts(args.b.cast::<i32>(), s.indices) })
}

/// [`Gather`] of the same numbers of whole tables: channels of all pixels of an image.
///
/// # Safety
///
/// As for [`Routine`]; the tables, which have rows, lie in the range.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn gather_alike<V: Vector>(s: &TableShape, args: Args, indices: &[i32], tables: Range<usize>) {
    for table in tables {
        // SAFETY: a table, and its part of the result, which nobody else writes. Numbers are only moved.
        let (numbers, to) = unsafe {
            let numbers = std::slice::from_raw_parts(args.a.add(table * s.rows), s.rows);
            (numbers, std::slice::from_raw_parts_mut(args.to.add(table * s.indices), s.indices))
        };
        pick::<V>(numbers, indices, to);
    }
}

/// [`Scatter`] of the numbers of a table that lies in the range, whose rows are `to`, in the order of [`scatter_numbers`].
///
/// # Safety
///
/// As for [`Routine`]; each index is a row, and the table lies in the range.
#[inline(always)]
#[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
unsafe fn scatter_alike(s: &TableShape, args: Args, indices: &[i32], table: usize, to: &mut [f32]) {
    let to = to[table * s.rows - args.first..][..s.rows].as_mut_ptr();
    // SAFETY: the values of the table; each index is one of its rows.
    unsafe {
        let values = args.a.add(table * s.indices);
        let add = |at: usize| *to.add(indices[at] as usize) += *values.add(at);
        let part = indices.len() / PARTS;
        (0..part).for_each(|at| (0..PARTS).for_each(|of| add(of * part + at)));
        (PARTS * part..indices.len()).for_each(add);
    }
}

/// The row with this index, unless there is none.
#[inline(always)]
fn row(index: i32, rows: usize) -> Option<usize> {
    usize::try_from(index).ok().filter(|row| *row < rows)
}

impl Body for TopK {
    type Shape = TopShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &TopShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.rows);
        for position in args.first..args.last {
            // SAFETY: a row, and the one of the result, which nobody else writes; any bits are an integer.
            let (row, mask) = unsafe {
                let start = position * s.width;
                let row = std::slice::from_raw_parts(args.a.add(start), s.width);
                (row, std::slice::from_raw_parts_mut(args.to.cast::<u32>().add(start), s.width))
            };
            mark(row, s.k, mask);
        }
    }
}

const TRUE: u32 = u32::MAX;

/// Marks the `k` largest elements of a row.
#[inline(always)]
fn mark(row: &[f32], k: usize, mask: &mut [u32]) {
    if k == 0 || k >= row.len() {
        mask.fill(if k == 0 { 0 } else { TRUE });
        return;
    }
    let (least, equal) = least_of_top(row, k);
    let mut left = equal;
    for (mask, x) in mask.iter_mut().zip(row) {
        let ordered = order(*x);
        let chosen = ordered > least || ordered == least && left > 0;
        left -= usize::from(chosen && ordered == least);
        *mask = if chosen { TRUE } else { 0 };
    }
}

/// The `k`th largest element in the order of [`order`], and how many that are equal to it are among the `k` largest.
#[inline(always)]
fn least_of_top(row: &[f32], k: usize) -> (u32, usize) {
    // Bit after bit: the largest number that at least `k` elements reach.
    let reaching = |least: u32| row.iter().map(|x| u32::from(order(*x) >= least)).sum::<u32>() as usize;
    let least = (0..32).rev().fold(0, |least, bit| {
        let higher = least | 1 << bit;
        if reaching(higher) >= k { higher } else { least }
    });
    let above = if least == u32::MAX { 0 } else { reaching(least + 1) };
    (least, k - above)
}

/// An integer that is ordered as the numbers are; both zeros are equal, and NaN, of either sign, comes last.
#[inline(always)]
fn order(number: f32) -> u32 {
    let number = number + 0.0;
    let bits = number.to_bits();
    let ordered = bits ^ (((bits as i32 >> 31) as u32) | 1 << 31);
    if number.is_nan() { u32::MAX } else { ordered }
}

impl Body for CumSum {
    type Shape = SumShape;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a kernel over memory that the compiler has planned")]
    unsafe fn run<V: Vector>(s: &SumShape, args: Args) {
        debug_assert!(args.first <= args.last && args.last <= s.extent());
        let blocks = s.inner.div_ceil(COLUMNS);
        for position in args.first..args.last {
            let (outer, column) = (position / blocks, position % blocks * COLUMNS);
            let columns = COLUMNS.min(s.inner - column);
            let mut sums = [0.0; COLUMNS];
            let sums = &mut sums[..columns];
            for step in 0..s.len {
                let at = if s.reverse { s.len - 1 - step } else { step };
                let start = (outer * s.len + at) * s.inner + column;
                // SAFETY: a part of a row, and the one of the result, which nobody else writes.
                let (x, to) = unsafe {
                    let x = std::slice::from_raw_parts(args.a.add(start), columns);
                    (x, std::slice::from_raw_parts_mut(args.to.add(start), columns))
                };
                sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
                to.copy_from_slice(sums);
            }
        }
    }
}
