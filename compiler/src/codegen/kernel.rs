//! A loop nest as a Cranelift function: its loops. What happens at a point of them is in `point`, where in memory in
//! `memory`.
//!
//! The function takes a table of pointers, one for each param, and the range of the first row dimension. Loops are
//! tested at the top. The dimension that vectors run along is cut into *segments*: a loop over blocks of several
//! vectors, then what is left as straight code: single vectors, then single elements. Vectors have four numbers, or eight
//! where the machine has them and a kernel uses them.

use cranelift::codegen::ir;
use cranelift::frontend::FunctionBuilder;
use cranelift::prelude::{InstBuilder, IntCC, types};
use spnc_runtime::kernels::LANES;

use super::facts::Facts;
use super::memory::{Access, Address, Loads};
use super::point::Slots;
use super::routines::Imports;
use crate::lir::{Def, Fold, Inst, Kernel, Lanes, Phase};

/// How many elements one piece of code works on: `unroll` vectors of `width`, or single elements where `width` is 1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub width: usize,
    pub unroll: usize,
}

impl Shape {
    /// One element.
    pub const SCALAR: Shape = Shape { width: 1, unroll: 1 };

    /// The number of elements.
    pub fn lanes(self) -> usize {
        self.width * self.unroll
    }
}

/// A position along a dimension.
#[derive(Clone, Copy)]
pub(super) enum Pos {
    /// Known now.
    Known(usize),
    /// Known when it runs, an `i64`.
    Running(ir::Value),
}

/// A value of the kernel in the function, as far as it has been computed.
#[derive(Clone, Default)]
pub(super) struct Emitted {
    /// Its one number, if it is the same in all lanes.
    pub scalar: Option<ir::Value>,
    /// That number in all lanes of a vector, for each width in use.
    pub spread: Vec<(usize, ir::Value)>,
    /// Its vectors (or single elements), if it differs between lanes.
    pub lanes: Vec<ir::Value>,
}

/// Builds one function.
pub(super) struct Emitter<'a, 'b> {
    pub kernel: &'a Kernel,
    pub facts: Facts,
    pub b: FunctionBuilder<'b>,
    pub imports: &'a mut Imports,
    pub loads: Loads,
    /// The numbers in a vector: four, or eight with four for what is left.
    pub width: usize,
    pub values: Vec<Emitted>,
    /// The position along each dimension whose loop we are in.
    pub at: Vec<Pos>,
    pub accesses: Vec<Access>,
    pub addresses: Vec<Address>,
    pub slots: Slots,
}

/// What a loop does at a position, with the values it carries; returns their next ones.
type Body<'c, E> = &'c mut dyn FnMut(&mut E, Pos, &[ir::Value]) -> Vec<ir::Value>;

/// Numbers of the definitions of a phase.
type Numbers = std::ops::Range<usize>;

impl<'a, 'b> Emitter<'a, 'b> {
    /// Emits the whole function, which is left to be finalized.
    pub fn emit(
        kernel: &'a Kernel,
        imports: &'a mut Imports,
        loads: Loads,
        width: usize,
        b: FunctionBuilder<'b>,
    ) -> FunctionBuilder<'b> {
        let facts = Facts::new(kernel);
        let values = vec![Emitted::default(); facts.depth.len()];
        let accesses = Access::all(kernel);
        let slots = Slots::default();
        let (at, addresses) = (vec![], vec![]);
        let mut emitter = Emitter { kernel, facts, b, imports, loads, width, values, at, accesses, addresses, slots };
        emitter.function();
        emitter.b.seal_all_blocks();
        emitter.b
    }

    fn function(&mut self) {
        let entry = self.b.create_block();
        self.b.append_block_params_for_function_params(entry);
        self.b.switch_to_block(entry);
        let [table, start, end] = self.b.block_params(entry) else { panic!("the signature has three parameters") };
        let (table, start, end) = (*table, *start, *end);
        self.start_addresses(table);
        self.hoisted(0);
        self.rows(0, Pos::Running(start), Pos::Running(end));
        let _ = self.b.ins().return_(&[]);
    }

    /// The loops over the row dimensions from `dim` on; the range is that of `dim`.
    fn rows(&mut self, dim: usize, from: Pos, to: Pos) {
        let count = self.kernel.rows.len();
        if dim == count {
            return self.row(Shape::SCALAR);
        }
        if dim + 1 == count && self.kernel.lanes == Lanes::Rows {
            return self.lane_rows(from, to);
        }
        let _ = self.range(from, to, 1, &[], &mut |this, pos, _| {
            this.within(pos, None, &mut |this| {
                this.hoisted(dim + 1);
                let size = this.kernel.rows.get(dim + 1).copied().unwrap_or(1);
                this.rows(dim + 1, Pos::Known(0), Pos::Known(size));
            });
            vec![]
        });
    }

    /// The loop over the last row dimension, whose neighbours share vectors.
    fn lane_rows(&mut self, from: Pos, to: Pos) {
        let size = self.kernel.rows[self.kernel.rows.len() - 1];
        let main = Shape { width: self.width, unroll: unroll_of_rows(self.kernel, self.width) };
        let whole = size - size % main.lanes();
        if whole > 0 {
            let to = self.at_most(to, whole);
            let _ = self.range(from, to, main.lanes(), &[], &mut |this, pos, _| {
                this.within(pos, None, &mut |this| this.row(main));
                vec![]
            });
        }
        if whole < size {
            self.if_beyond(to, whole, &mut |this| {
                for (start, shape) in rest(whole, size, this.width) {
                    this.within(Pos::Known(start), None, &mut |this| this.row(shape));
                }
            });
        }
    }

    /// What is done for each row, or for each row of a block.
    fn row(&mut self, shape: Shape) {
        let kernel = self.kernel;
        let starts = kernel.phase_starts();
        for (phase, start) in kernel.phases.iter().zip(starts) {
            let numbers = start as usize..start as usize + phase.defs.len();
            self.defs_at(kernel.rows.len(), phase, &numbers, shape);
            if phase.inner.is_empty() {
                self.stores(phase, shape);
            } else {
                self.looped(phase, &numbers, shape);
            }
        }
    }

    /// A phase with inner dimensions: its loops, then its folds.
    fn looped(&mut self, phase: &Phase, numbers: &Numbers, shape: Shape) {
        let folds: Vec<FoldAt> = folds(phase, numbers);
        let layout = self.layout(phase, shape);
        let starts: Vec<ir::Value> = folds.iter().flat_map(|fold| self.fold_starts(*fold, &layout)).collect();
        let ends = self.inner(phase, numbers, 0, shape, &layout, &starts);
        let each = ends.len() / folds.len().max(1);
        for (index, fold) in folds.iter().enumerate() {
            let parts = &ends[index * each..(index + 1) * each];
            self.fold_end(*fold, &layout, parts);
        }
    }

    /// The loops over the inner dimensions from `dim` on, handing on the accumulators.
    fn inner(
        &mut self,
        phase: &Phase,
        numbers: &Numbers,
        dim: usize,
        shape: Shape,
        layout: &[Shape],
        carried: &[ir::Value],
    ) -> Vec<ir::Value> {
        let Some(&size) = phase.inner.get(dim) else {
            return self.point(phase, numbers, shape, layout, carried);
        };
        let depth = self.kernel.rows.len() + dim + 1;
        let in_lanes = self.kernel.lanes == Lanes::Inner && dim + 1 == phase.inner.len();
        let segments = if in_lanes { segments(size, self.main(phase)) } else { vec![(0, size, shape)] };
        let mut carried = carried.to_vec();
        for (from, to, shape) in segments {
            let step = if in_lanes { shape.lanes() } else { 1 };
            carried = self.range(Pos::Known(from), Pos::Known(to), step, &carried, &mut |this, pos, carried| {
                let mut ends = vec![];
                this.within(pos, Some(phase), &mut |this| {
                    this.defs_at(depth, phase, numbers, shape);
                    ends = this.inner(phase, numbers, dim + 1, shape, layout, carried);
                });
                ends
            });
        }
        carried
    }

    /// The innermost point: stores and the next values of the accumulators.
    fn point(
        &mut self,
        phase: &Phase,
        numbers: &Numbers,
        shape: Shape,
        layout: &[Shape],
        carried: &[ir::Value],
    ) -> Vec<ir::Value> {
        self.stores(phase, shape);
        let mut carried = carried.to_vec();
        let each: usize = layout.iter().map(|part| part.unroll).sum();
        for (index, fold) in folds(phase, numbers).into_iter().enumerate() {
            let operands = self.operand(fold.operand, shape);
            let part = layout.iter().position(|part| part.width == shape.width).expect("every segment has its part");
            let first = index * each + layout[..part].iter().map(|part| part.unroll).sum::<usize>();
            for (lane, operand) in operands.into_iter().enumerate() {
                let place = first + lane % layout[part].unroll;
                carried[place] = self.combine(fold.how, fold.is_float, carried[place], operand);
            }
        }
        carried
    }

    /// The accumulators that each fold has: in the block of rows its own shape; along an inner dimension one for each
    /// vector of a block, and one for the single elements.
    fn layout(&self, phase: &Phase, shape: Shape) -> Vec<Shape> {
        match self.kernel.lanes {
            Lanes::Rows => vec![shape],
            Lanes::Inner => {
                let size = phase.inner[phase.inner.len() - 1];
                let mut parts: Vec<Shape> = vec![];
                for (_, _, shape) in segments(size, self.main(phase)) {
                    // Single elements go into one number, one after the other.
                    let unroll = if shape.width == 1 { 1 } else { shape.unroll };
                    match parts.iter_mut().find(|part| part.width == shape.width) {
                        Some(part) => part.unroll = part.unroll.max(unroll),
                        None => parts.push(Shape { unroll, ..shape }),
                    }
                }
                parts
            }
        }
    }

    /// The blocks of the loop of a phase that vectors run along.
    fn main(&self, phase: &Phase) -> Shape {
        Shape { width: self.width, unroll: unroll(phase, self.width) }
    }

    fn fold_starts(&mut self, fold: FoldAt, layout: &[Shape]) -> Vec<ir::Value> {
        let mut starts = vec![];
        for part in layout {
            let start = self.constant(fold.how.start(fold.is_float), fold.is_float, part.width);
            starts.extend(std::iter::repeat_n(start, part.unroll));
        }
        starts
    }

    /// Makes the value of a fold from its accumulators.
    fn fold_end(&mut self, fold: FoldAt, layout: &[Shape], parts: &[ir::Value]) {
        match self.kernel.lanes {
            Lanes::Rows if self.facts.varies[fold.number] => self.values[fold.number].lanes = parts.to_vec(),
            Lanes::Rows => {
                // The same in all rows: any lane of any accumulator will do.
                let number = if layout[0].width == 1 { parts[0] } else { self.b.ins().extractlane(parts[0], 0) };
                self.set_scalar(fold.number, number);
            }
            Lanes::Inner => {
                let number = self.fold_lanes(fold, layout, parts);
                self.set_scalar(fold.number, number);
            }
        }
    }

    /// All accumulators of a fold along a dimension combined: vectors pairwise, then lanes, then single elements.
    fn fold_lanes(&mut self, fold: FoldAt, layout: &[Shape], parts: &[ir::Value]) -> ir::Value {
        let mut parts = parts;
        let mut numbers = vec![];
        for part in layout {
            let (of_part, others) = parts.split_at(part.unroll);
            parts = others;
            let Some(vector) = self.combined(fold, of_part) else { continue };
            if part.width == 1 {
                numbers.push(vector);
            } else {
                let lanes = halves(part.width);
                let lanes: Vec<ir::Value> = lanes.iter().map(|lane| self.b.ins().extractlane(vector, *lane)).collect();
                numbers.extend(self.combined(fold, &lanes));
            }
        }
        match self.combined(fold, &numbers) {
            Some(number) => number,
            None => self.constant(fold.how.start(fold.is_float), fold.is_float, 1),
        }
    }

    fn combined(&mut self, fold: FoldAt, parts: &[ir::Value]) -> Option<ir::Value> {
        let mut parts = parts.to_vec();
        while parts.len() > 1 {
            let pairs = parts.chunks(2).map(|pair| match pair {
                [a, b] => self.combine(fold.how, fold.is_float, *a, *b),
                rest => rest[0],
            });
            parts = pairs.collect();
        }
        parts.first().copied()
    }

    /// The definitions of a phase that stand in this many loops.
    fn defs_at(&mut self, depth: usize, phase: &Phase, numbers: &Numbers, shape: Shape) {
        for (number, def) in numbers.clone().zip(&phase.defs) {
            if self.facts.depth[number] == depth && !matches!(def.inst, Inst::Fold(..)) {
                self.def(number, def, shape);
            }
        }
    }

    /// The definitions of all phases that stand in this many of the row loops.
    fn hoisted(&mut self, depth: usize) {
        let kernel = self.kernel;
        if depth == kernel.rows.len() {
            return; // Once for each row: at the start of its phase.
        }
        let defs: Vec<&Def> = kernel.phases.iter().flat_map(|phase| &phase.defs).collect();
        for (number, def) in defs.into_iter().enumerate() {
            if self.facts.depth[number] == depth {
                self.def(number, def, Shape::SCALAR);
            }
        }
    }

    /// Runs `body` with the next dimension at `pos`.
    fn within(&mut self, pos: Pos, phase: Option<&Phase>, body: &mut dyn FnMut(&mut Self)) {
        let before = self.addresses.clone();
        self.advance_addresses(pos, phase);
        self.at.push(pos);
        body(self);
        let _ = self.at.pop();
        self.addresses = before;
    }

    /// A loop with the given step, tested at the top; straight code where it runs once.
    fn range(
        &mut self,
        from: Pos,
        to: Pos,
        step: usize,
        carried: &[ir::Value],
        body: Body<'_, Self>,
    ) -> Vec<ir::Value> {
        if let (Pos::Known(from), Pos::Known(to)) = (from, to) {
            match to.saturating_sub(from).div_ceil(step) {
                0 => return carried.to_vec(),
                1 => return body(self, Pos::Known(from), carried),
                _ => (),
            }
        }
        let (from, to) = (self.running(from), self.running(to));
        let [head, inside, after] = [(); 3].map(|()| self.b.create_block());
        let index = self.b.append_block_param(head, types::I64);
        let types: Vec<ir::Type> = carried.iter().map(|value| self.b.func.dfg.value_type(*value)).collect();
        let inner: Vec<ir::Value> = types.into_iter().map(|ty| self.b.append_block_param(head, ty)).collect();
        self.jump(head, from, carried);
        self.b.switch_to_block(head);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, index, to);
        let _ = self.b.ins().brif(more, inside, &[], after, &[]);
        self.b.switch_to_block(inside);
        let next_values = body(self, Pos::Running(index), &inner);
        let next = self.b.ins().iadd_imm_s(index, step as i64);
        self.jump(head, next, &next_values);
        self.b.switch_to_block(after);
        inner
    }

    fn jump(&mut self, head: ir::Block, index: ir::Value, carried: &[ir::Value]) {
        let args: Vec<ir::BlockArg> = std::iter::once(index).chain(carried.iter().copied()).map(Into::into).collect();
        let _ = self.b.ins().jump(head, &args);
    }

    /// Runs `body` only if `to` lies beyond `bound`.
    fn if_beyond(&mut self, to: Pos, bound: usize, body: &mut dyn FnMut(&mut Self)) {
        let to = match to {
            Pos::Known(to) if to > bound => return body(self),
            Pos::Known(_) => return,
            Pos::Running(to) => to,
        };
        let [inside, after] = [(); 2].map(|()| self.b.create_block());
        let beyond = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, to, bound as i64);
        let _ = self.b.ins().brif(beyond, inside, &[], after, &[]);
        self.b.switch_to_block(inside);
        body(self);
        let _ = self.b.ins().jump(after, &[]);
        self.b.switch_to_block(after);
    }

    fn at_most(&mut self, pos: Pos, bound: usize) -> Pos {
        match pos {
            Pos::Known(pos) => Pos::Known(pos.min(bound)),
            Pos::Running(pos) => {
                let bound = self.b.ins().iconst(types::I64, bound as i64);
                Pos::Running(self.b.ins().smin(pos, bound))
            }
        }
    }

    /// A position as a value.
    pub fn running(&mut self, pos: Pos) -> ir::Value {
        match pos {
            Pos::Known(pos) => self.b.ins().iconst(types::I64, pos as i64),
            Pos::Running(pos) => pos,
        }
    }
}

/// A fold of a phase.
#[derive(Clone, Copy)]
struct FoldAt {
    number: usize,
    how: Fold,
    operand: crate::lir::Value,
    is_float: bool,
}

fn folds(phase: &Phase, numbers: &Numbers) -> Vec<FoldAt> {
    let defs = numbers.clone().zip(&phase.defs);
    let folds = defs.filter_map(|(number, def)| match def.inst {
        Inst::Fold(how, operand) => {
            Some(FoldAt { number, how, operand, is_float: def.dtype == crate::lir::DType::F32 })
        }
        Inst::Load(..) | Inst::Const(_) | Inst::Index(_) | Inst::Unary(..) | Inst::Binary(..) => None,
        Inst::Select(..) | Inst::Convert(_) | Inst::Uniform { .. } => None,
    });
    folds.collect()
}

/// The lanes of a vector, such that pairs of neighbours are half a vector apart, pairs of pairs a quarter, and so on.
fn halves(width: usize) -> &'static [u8] {
    if width == 8 { &[0, 4, 2, 6, 1, 5, 3, 7] } else { &[0, 2, 1, 3] }
}

/// A dimension cut into ranges, each with the shape of its blocks.
fn segments(size: usize, main: Shape) -> Vec<(usize, usize, Shape)> {
    let whole = size - size % main.lanes();
    let blocks = std::iter::once((0, whole, main)).filter(|_| whole > 0);
    let rest = rest(whole, size, main.width).into_iter();
    blocks.chain(rest.map(|(start, shape)| (start, start + shape.lanes(), shape))).collect()
}

/// What is left of a dimension behind its whole blocks: some vectors, vectors of four, then some elements.
fn rest(whole: usize, size: usize, width: usize) -> Vec<(usize, Shape)> {
    let mut start = whole;
    let mut shapes = vec![];
    for width in [width, 4, 1] {
        let unroll = (size - start) / width;
        if unroll > 0 {
            shapes.push((start, Shape { width, unroll }));
            start += unroll * width;
        }
    }
    shapes
}

/// Vectors in a block of neighbouring rows: two hide latencies; where routines are called, as many as they take at once; where
/// memory is not walked through in order, a whole cache line.
fn unroll_of_rows(kernel: &Kernel, width: usize) -> usize {
    let jumps = kernel.rows.len() > 1 || kernel.phases.iter().any(|phase| !phase.inner.is_empty());
    let wide = jumps && kernel.rows.last().is_some_and(|size| *size >= LANES);
    if wide || kernel.phases.iter().any(calls_routines) { LANES / width } else { 2 }
}

/// Vectors in a block of a phase that vectors run along: also four where they are combined, each into a number of its own,
/// since a sum has to wait for the one before.
fn unroll(phase: &Phase, width: usize) -> usize {
    let folds = phase.defs.iter().any(|def| matches!(def.inst, Inst::Fold(..)));
    match () {
        () if calls_routines(phase) => LANES / width,
        () if folds => 4,
        () => 2,
    }
}

/// How many numbers a vector of a kernel may have: eight where there is a loop so long, and all that differs between lanes lies side by side.
#[cfg(any(test, target_arch = "x86_64"))]
pub(super) fn widest(kernel: &Kernel) -> usize {
    let is_long = |phase: &Phase| match kernel.lanes {
        Lanes::Rows => kernel.rows.last().is_some_and(|size| *size >= 8),
        Lanes::Inner => phase.inner.last().is_some_and(|size| *size >= 8),
    };
    let is_wide =
        kernel.phases.iter().any(is_long) && kernel.phases.iter().all(|phase| lies_side_by_side(kernel, phase));
    if is_wide { 8 } else { 4 }
}

#[cfg(any(test, target_arch = "x86_64"))]
fn lies_side_by_side(kernel: &Kernel, phase: &Phase) -> bool {
    let Some(dim) = super::facts::lane_dim(kernel, phase.inner.len()) else { return true };
    let loads = phase.defs.iter().filter_map(|def| match &def.inst {
        Inst::Load(_, strides) => Some(strides),
        Inst::Const(_) | Inst::Index(_) | Inst::Unary(..) | Inst::Binary(..) | Inst::Select(..) => None,
        Inst::Convert(_) | Inst::Uniform { .. } | Inst::Fold(..) => None,
    });
    loads.chain(phase.stores.iter().map(|store| &store.strides)).all(|strides| strides[dim] <= 1)
}

fn calls_routines(phase: &Phase) -> bool {
    phase.defs.iter().any(|def| super::routines::is_routine(&def.inst))
}
