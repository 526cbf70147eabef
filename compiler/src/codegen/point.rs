//! What is computed at a point of a loop nest: one LIR instruction becomes instructions on vectors, on single
//! elements, or a call of a routine.
//!
//! A bool is a mask in a register as it is in memory: all ones or all zeros in the lanes of an `i32`.

use cranelift::codegen::ir;
use cranelift::prelude::{FloatCC, InstBuilder, IntCC, MemFlagsData, StackSlotData, StackSlotKind, types};
use spnc_runtime::kernels::LANES;

use super::kernel::{Emitter, Pos, Shape};
use super::memory::{scalar_type, vector_type};
use super::routines::{self, Routine};
use crate::lir::{DType, Def, Fold, Inst, Phase, Value};
use crate::scalar::{Binary, Unary};

/// Room on the stack for the operands and results of routines.
#[derive(Default)]
pub(super) struct Slots {
    blocks: [Option<ir::StackSlot>; 2],
}

impl Fold {
    /// What combining begins with.
    pub(super) fn start(self, is_float: bool) -> f64 {
        match (self, is_float) {
            (Fold::Sum, _) => 0.0,
            (Fold::Max, true) => f64::NEG_INFINITY,
            (Fold::Max, false) => f64::from(i32::MIN),
            (Fold::Min, true) => f64::INFINITY,
            (Fold::Min, false) => f64::from(i32::MAX),
        }
    }
}

impl Emitter<'_, '_> {
    /// Computes a definition; in `shape` if it differs between lanes, else once.
    pub fn def(&mut self, number: usize, def: &Def, shape: Shape) {
        if self.facts.varies[number] {
            let lanes = self.computed(number, def, shape);
            self.values[number].lanes = lanes;
        } else {
            let lanes = self.computed(number, def, Shape::SCALAR);
            self.set_scalar(number, lanes[0]);
        }
    }

    /// Records a value that is the same in all lanes.
    pub fn set_scalar(&mut self, number: usize, scalar: ir::Value) {
        let widths = if self.width == 4 { &[4][..] } else { &[4, self.width] };
        let widths = if self.facts.spread[number] { widths } else { &[] };
        let ty = self.b.func.dfg.value_type(scalar);
        let spread = widths.iter().map(|&width| (width, self.b.ins().splat(vector_type(ty, width), scalar))).collect();
        self.values[number].scalar = Some(scalar);
        self.values[number].spread = spread;
    }

    /// A value as an operand in `shape`.
    pub fn operand(&self, value: Value, shape: Shape) -> Vec<ir::Value> {
        let emitted = &self.values[value.0 as usize];
        if self.facts.varies[value.0 as usize] {
            return emitted.lanes.clone();
        }
        let spread = || emitted.spread.iter().find(|(width, _)| *width == shape.width).map(|(_, spread)| *spread);
        let one = if shape.width == 1 { emitted.scalar } else { spread() };
        vec![one.expect("a value is computed before it is used"); shape.unroll]
    }

    /// The stores of a phase.
    pub fn stores(&mut self, phase: &Phase, shape: Shape) {
        let index = self.kernel.phases.iter().position(|other| std::ptr::eq(other, phase)).expect("it is one of them");
        for store in &phase.stores {
            let values = self.operand(store.value, shape);
            self.store(index, store.param, &store.strides, &values, shape);
        }
    }

    fn computed(&mut self, number: usize, def: &Def, shape: Shape) -> Vec<ir::Value> {
        let phase = self.facts.phase[number];
        match &def.inst {
            Inst::Load(param, strides) => self.load(phase, *param, strides, shape),
            Inst::Const(value) => vec![self.const_of(*value, def.dtype)],
            Inst::Index(dim) => self.index(*dim, shape),
            Inst::Unary(function, a) => match routines::unary(*function) {
                Some(routine) => self.call(routine, &[*a], shape),
                None => self.each([*a], shape, |this, [a]| this.unary(*function, a)),
            },
            Inst::Binary(Binary::Pow, a, b) => self.call(Routine::Pow, &[*a, *b], shape),
            Inst::Binary(function, a, b) => {
                let operand = self.dtype(*a);
                self.each([*a, *b], shape, |this, [a, b]| this.binary(*function, operand, a, b))
            }
            Inst::Select(c, a, b) if self.drops(*c, *a, *b) => {
                self.each([*c, *a], shape, |this, [c, a]| this.keep(c, a))
            }
            Inst::Select(c, a, b) => self.each([*c, *a, *b], shape, |this, [c, a, b]| this.choose(c, a, b)),
            Inst::Convert(a) => {
                let from = self.dtype(*a);
                self.each([*a], shape, |this, [a]| this.convert(from, def.dtype, a))
            }
            Inst::Uniform { seed, step, site, strides } => self.uniform([*seed, *step], *site, phase, strides, shape),
            Inst::Fold(..) => panic!("folds get their values from their loops"),
        }
    }

    fn dtype(&self, value: Value) -> DType {
        self.kernel.def(value).0.dtype
    }

    /// Applies `to` to each vector of the operands.
    fn each<const N: usize>(
        &mut self,
        operands: [Value; N],
        shape: Shape,
        mut to: impl FnMut(&mut Self, [ir::Value; N]) -> ir::Value,
    ) -> Vec<ir::Value> {
        let operands = operands.map(|operand| self.operand(operand, shape));
        (0..shape.unroll).map(|index| to(self, std::array::from_fn(|which| operands[which][index]))).collect()
    }

    fn const_of(&mut self, value: f64, dtype: DType) -> ir::Value {
        match dtype {
            DType::F32 => self.constant(value, true, 1),
            DType::I32 => self.constant(value, false, 1),
            DType::Bool => self.constant(-value, false, 1),
        }
    }

    /// A number in all lanes of a vector, or alone.
    pub fn constant(&mut self, value: f64, is_float: bool, width: usize) -> ir::Value {
        let one = if is_float {
            self.b.ins().f32const(value as f32)
        } else {
            self.b.ins().iconst(types::I32, i64::from(value as i32) & 0xffff_ffff)
        };
        if width == 1 {
            return one;
        }
        let ty = vector_type(self.b.func.dfg.value_type(one), width);
        self.b.ins().splat(ty, one)
    }

    /// A constant of the type of `like`, in all its lanes.
    fn constant_like(&mut self, value: f64, like: ir::Value) -> ir::Value {
        let ty = self.b.func.dfg.value_type(like);
        self.constant(value, ty.lane_type() == types::F32, ty.lane_count() as usize)
    }

    fn index(&mut self, dim: usize, shape: Shape) -> Vec<ir::Value> {
        let pos = self.running(self.at[dim]);
        let first = self.b.ins().ireduce(types::I32, pos);
        if shape == Shape::SCALAR {
            return vec![first];
        }
        let lanes = 0..shape.unroll as u32;
        lanes.map(|index| self.counted(first, index * shape.width as u32, shape.width)).collect()
    }

    /// `first + from`, and the numbers behind it in the other lanes.
    fn counted(&mut self, first: ir::Value, from: u32, width: usize) -> ir::Value {
        if width == 1 {
            return self.b.ins().iadd_imm_s(first, i64::from(from));
        }
        let bytes: Vec<u8> = (from..from + width as u32).flat_map(u32::to_le_bytes).collect();
        let steps = self.b.func.dfg.constants.insert(ir::ConstantData::from(bytes.as_slice()));
        let ty = vector_type(types::I32, width);
        let steps = self.b.ins().vconst(ty, steps);
        let first = self.b.ins().splat(ty, first);
        self.b.ins().iadd(first, steps)
    }

    fn is_vector(&self, value: ir::Value) -> bool {
        self.b.func.dfg.value_type(value).is_vector()
    }

    fn is_float(&self, value: ir::Value) -> bool {
        self.b.func.dfg.value_type(value).lane_type() == types::F32
    }

    /// The bits of a vector as one of another type.
    pub fn cast(&mut self, ty: ir::Type, value: ir::Value) -> ir::Value {
        if self.b.func.dfg.value_type(value) == ty {
            return value;
        }
        self.b.ins().bitcast(ty, MemFlagsData::new().with_endianness(ir::Endianness::Little), value)
    }

    fn compare(&mut self, how: FloatCC, signed: IntCC, a: ir::Value, b: ir::Value) -> ir::Value {
        let truth = if self.is_float(a) { self.b.ins().fcmp(how, a, b) } else { self.b.ins().icmp(signed, a, b) };
        if self.is_vector(a) { truth } else { self.b.ins().bmask(types::I32, truth) }
    }

    /// `a` where `mask` holds, else `b`.
    fn choose(&mut self, mask: ir::Value, a: ir::Value, b: ir::Value) -> ir::Value {
        if !self.is_vector(a) {
            return self.b.ins().select(mask, a, b);
        }
        let ty = self.b.func.dfg.value_type(a);
        let mask = self.cast(ty, mask);
        self.b.ins().bitselect(mask, a, b)
    }

    /// Whether a choice is between `a` and zero. (Of `a` and zero the larger one is chosen by a single instruction.)
    fn drops(&self, mask: Value, a: Value, b: Value) -> bool {
        let inst = |value: Value| &self.kernel.def(value).0.inst;
        let is_largest = matches!(inst(mask), Inst::Binary(Binary::Gt, x, y) if *x == a && *y == b);
        matches!(inst(b), Inst::Const(number) if number.to_bits() == 0) && !is_largest
    }

    /// `a` where `mask` holds, else 0.
    fn keep(&mut self, mask: ir::Value, a: ir::Value) -> ir::Value {
        if !self.is_vector(a) {
            let zero = self.constant_like(0.0, a);
            return self.b.ins().select(mask, a, zero);
        }
        let ty = self.b.func.dfg.value_type(a);
        let mask = self.cast(ty, mask);
        self.b.ins().band(mask, a)
    }

    fn unary(&mut self, function: Unary, a: ir::Value) -> ir::Value {
        let is_float = self.is_float(a);
        match function {
            Unary::Neg if is_float => self.b.ins().fneg(a),
            Unary::Neg => self.b.ins().ineg(a),
            Unary::Not => self.b.ins().bnot(a),
            Unary::Abs if is_float => self.b.ins().fabs(a),
            Unary::Abs => self.b.ins().iabs(a),
            Unary::Sign => self.sign(a),
            Unary::Sqrt => self.b.ins().sqrt(a),
            Unary::Floor => self.b.ins().floor(a),
            Unary::Ceil => self.b.ins().ceil(a),
            Unary::Exp | Unary::Log | Unary::Erf | Unary::ErfInv => panic!("{function} is a routine"),
            Unary::Tanh | Unary::Sigmoid | Unary::Sin | Unary::Cos => panic!("{function} is a routine"),
        }
    }

    fn sign(&mut self, a: ir::Value) -> ir::Value {
        let [zero, one, minus] = [0.0, 1.0, -1.0].map(|value| self.constant_like(value, a));
        let below = self.compare(FloatCC::LessThan, IntCC::SignedLessThan, a, zero);
        let above = self.compare(FloatCC::GreaterThan, IntCC::SignedGreaterThan, a, zero);
        let rest = self.choose(below, minus, zero);
        self.choose(above, one, rest)
    }

    fn binary(&mut self, function: Binary, operand: DType, a: ir::Value, b: ir::Value) -> ir::Value {
        let is_float = operand == DType::F32;
        match function {
            Binary::Add if is_float => self.b.ins().fadd(a, b),
            Binary::Add => self.b.ins().iadd(a, b),
            Binary::Sub if is_float => self.b.ins().fsub(a, b),
            Binary::Sub => self.b.ins().isub(a, b),
            Binary::Mul if is_float => self.b.ins().fmul(a, b),
            Binary::MulZ if is_float => self.product_or_zero(a, b),
            Binary::Mul | Binary::MulZ => self.b.ins().imul(a, b),
            Binary::Div => self.b.ins().fdiv(a, b),
            Binary::Min => {
                let first = self.compare(FloatCC::LessThan, IntCC::SignedLessThan, a, b);
                self.choose(first, a, b)
            }
            Binary::Max => {
                let first = self.compare(FloatCC::LessThan, IntCC::SignedLessThan, b, a);
                self.choose(first, a, b)
            }
            Binary::Lt => self.compare(FloatCC::LessThan, IntCC::SignedLessThan, a, b),
            Binary::Le => self.compare(FloatCC::LessThanOrEqual, IntCC::SignedLessThanOrEqual, a, b),
            // Written the other way round, for this is the form that the larger one of two is recognised in.
            Binary::Gt => self.compare(FloatCC::LessThan, IntCC::SignedLessThan, b, a),
            Binary::Ge => self.compare(FloatCC::LessThanOrEqual, IntCC::SignedLessThanOrEqual, b, a),
            Binary::Eq => self.compare(FloatCC::Equal, IntCC::Equal, a, b),
            Binary::Ne => self.compare(FloatCC::NotEqual, IntCC::NotEqual, a, b),
            Binary::And => self.b.ins().band(a, b),
            Binary::Or => self.b.ins().bor(a, b),
            Binary::Pow => panic!("{function} is a routine"),
        }
    }

    /// `a * b`, and 0 where `a` is.
    fn product_or_zero(&mut self, a: ir::Value, b: ir::Value) -> ir::Value {
        let zero = self.constant_like(0.0, a);
        let product = self.b.ins().fmul(a, b);
        let nonzero = self.compare(FloatCC::NotEqual, IntCC::NotEqual, a, zero);
        self.keep(nonzero, product)
    }

    fn convert(&mut self, from: DType, to: DType, a: ir::Value) -> ir::Value {
        let width = self.b.func.dfg.value_type(a).lane_count() as usize;
        let ty = vector_type(scalar_type(to), width);
        match (from, to) {
            (DType::F32, DType::F32) | (DType::I32, DType::I32) | (DType::Bool, DType::Bool) => a,
            (DType::F32, DType::I32) => self.b.ins().fcvt_to_sint_sat(ty, a),
            (DType::I32, DType::F32) => self.b.ins().fcvt_from_sint(ty, a),
            (DType::F32 | DType::I32, DType::Bool) => {
                let zero = self.constant_like(0.0, a);
                self.compare(FloatCC::NotEqual, IntCC::NotEqual, a, zero)
            }
            (DType::Bool, DType::F32 | DType::I32) => {
                let one = self.constant(1.0, to == DType::F32, width);
                self.keep(a, one)
            }
        }
    }

    /// One step of a fold.
    pub fn combine(&mut self, how: Fold, is_float: bool, sum: ir::Value, next: ir::Value) -> ir::Value {
        let dtype = if is_float { DType::F32 } else { DType::I32 };
        match how {
            Fold::Sum => self.binary(Binary::Add, dtype, sum, next),
            Fold::Max => self.binary(Binary::Max, dtype, next, sum),
            Fold::Min => self.binary(Binary::Min, dtype, next, sum),
        }
    }

    /// Calls a routine on all lanes at once, through blocks on the stack; lanes beyond those in use are not looked at.
    fn call(&mut self, routine: Routine, operands: &[Value], shape: Shape) -> Vec<ir::Value> {
        let mut args = vec![];
        for (block, operand) in operands.iter().enumerate() {
            let slot = self.slot(block);
            for (index, value) in self.operand(*operand, shape).into_iter().enumerate() {
                let _ = self.b.ins().stack_store(types::I64, value, slot, (4 * index * shape.width) as i32);
            }
            args.push(self.b.ins().stack_addr(types::I64, slot, 0));
        }
        args.push(args[0]);
        let reference = self.imports.reference(routine, &mut self.b);
        let _ = self.b.ins().call(reference, &args);
        self.results(shape)
    }

    /// What a routine has written to the first block.
    fn results(&mut self, shape: Shape) -> Vec<ir::Value> {
        let ty = vector_type(types::F32, shape.width);
        let slot = self.slot(0);
        (0..shape.unroll)
            .map(|index| self.b.ins().stack_load(types::I64, ty, slot, (4 * index * shape.width) as i32))
            .collect()
    }

    fn slot(&mut self, block: usize) -> ir::StackSlot {
        if let Some(slot) = self.slots.blocks[block] {
            return slot;
        }
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 4 * LANES as u32, 4);
        let slot = self.b.create_sized_stack_slot(data);
        self.slots.blocks[block] = Some(slot);
        slot
    }

    /// Draws for all lanes: in one call where they are neighbours, else one by one.
    fn uniform(
        &mut self,
        [seed, step]: [Value; 2],
        site: u64,
        phase: usize,
        strides: &[usize],
        shape: Shape,
    ) -> Vec<ir::Value> {
        let lane = super::facts::lane_dim(self.kernel, self.kernel.phases[phase].inner.len());
        let stride = lane.map_or(0, |dim| strides[dim]);
        let first = self.position(strides);
        let key = [seed, step].map(|value| self.values[value.0 as usize].scalar.expect("a run has one seed and step"));
        if stride == 1 || shape == Shape::SCALAR {
            self.draw(key, site, first, shape.lanes(), 0);
        } else {
            for lane in 0..shape.lanes() {
                let index = self.b.ins().iadd_imm_s(first, (lane * stride) as i64);
                self.draw(key, site, index, 1, lane);
            }
        }
        self.results(shape)
    }

    /// `Σ index[d] * strides[d]` at the first lane.
    fn position(&mut self, strides: &[usize]) -> ir::Value {
        let mut sum = self.b.ins().iconst(types::I64, 0);
        let at: Vec<(Pos, usize)> = self.at.iter().copied().zip(strides.iter().copied()).collect();
        for (pos, stride) in at.into_iter().filter(|(_, stride)| *stride != 0) {
            let pos = self.running(pos);
            let term = self.scaled(pos, stride);
            sum = self.b.ins().iadd(sum, term);
        }
        sum
    }

    fn draw(&mut self, [seed, step]: [ir::Value; 2], site: u64, first: ir::Value, count: usize, lane: usize) {
        let slot = self.slot(0);
        let site = self.b.ins().iconst(types::I64, site as i64);
        let count = self.b.ins().iconst(types::I64, count as i64);
        let to = self.b.ins().stack_addr(types::I64, slot, 4 * lane as i32);
        let reference = self.imports.reference(Routine::Uniform, &mut self.b);
        let _ = self.b.ins().call(reference, &[seed, step, site, first, count, to]);
    }
}
