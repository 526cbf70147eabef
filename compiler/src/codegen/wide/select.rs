//! Cranelift's intermediate form to instructions of the machine: what loop nests are written with, and nothing else.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that Cranelift has, this is for what loop nests are written with"
)]

mod needed;
mod opcodes;

use std::collections::HashMap;

use cranelift::codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift::codegen::ir::{self, InstructionData, Opcode, Type, Value, types};
use iced_x86::Code;
use regalloc2::{Block, Operand, RegClass, VReg};

use super::code::{Arg, BasicBlock, Instruction, Kind, MachineCode, PARAMS, VECTOR, View, general};
use needed::Needed;
use opcodes::Width;

/// The function as instructions. `None` if it has anything that is not known here.
pub fn select(func: &ir::Function, routine: &dyn Fn(ir::FuncRef) -> Option<u64>) -> Option<MachineCode> {
    let order: HashMap<ir::Block, usize> = func.layout.blocks().zip(0..).collect();
    let mut before: HashMap<ir::Block, usize> = HashMap::new();
    for block in func.layout.blocks() {
        let last = func.layout.last_inst(block)?;
        for call in func.dfg.insts[last].branch_destination(&func.dfg.jump_tables, &func.dfg.exception_tables) {
            *before.entry(call.block(&func.dfg.value_lists)).or_default() += 1;
        }
    }
    let mut code = MachineCode::default();
    code.blocks.resize_with(order.len(), BasicBlock::default);
    let mut slots = HashMap::new();
    for (slot, data) in func.sized_stack_slots.iter() {
        let _ = slots.insert(slot, code.frame as i32);
        code.frame += data.size.next_multiple_of(VECTOR as u32);
    }
    let registers = HashMap::new();
    let needed = Needed::of(func);
    let mut selector = Selector { func, routine, order, before, slots, needed, registers, code, at: 0 };
    selector.params();
    for block in func.layout.blocks() {
        selector.block(block)?;
    }
    Some(selector.finished())
}

struct Selector<'a> {
    func: &'a ir::Function,
    routine: &'a dyn Fn(ir::FuncRef) -> Option<u64>,
    order: HashMap<ir::Block, usize>,
    /// How many edges lead to a block.
    before: HashMap<ir::Block, usize>,
    slots: HashMap<ir::StackSlot, i32>,
    needed: Needed,
    registers: HashMap<Value, VReg>,
    code: MachineCode,
    /// The block that is being written.
    at: usize,
}

/// What an instruction is written with, on virtual registers.
#[derive(Clone, Copy)]
enum With {
    /// A register that it writes.
    Def(VReg, View),
    /// A register that it reads.
    Use(VReg, View),
    /// A register that it reads and that is written as another, see `Over`.
    Hidden(VReg),
    /// A register that it writes, the same one as of the first operand.
    Over(VReg, View),
    Number(i64),
    /// What lies so many bytes behind an address.
    Memory(VReg, i32),
    /// The sum of a register and so many times another.
    Sum(VReg, VReg, u32),
    Frame(i32),
    Pool(usize),
}

use With::{Def, Frame, Hidden, Memory, Number, Over, Pool, Sum, Use};

impl Selector<'_> {
    fn fresh(&mut self, class: RegClass) -> VReg {
        self.code.n_registers += 1;
        VReg::new(self.code.n_registers - 1, class)
    }

    /// A register for a value that is computed now.
    fn define(&mut self, value: Value) -> VReg {
        let register = self.fresh(class(self.ty(value)));
        let _ = self.registers.insert(value, register);
        register
    }

    fn ty(&self, value: Value) -> Type {
        self.func.dfg.value_type(value)
    }

    fn data(&self, value: Value) -> Option<&InstructionData> {
        needed::definition(self.func, value)
    }

    fn is_next(&self, block: ir::Block) -> bool {
        self.order[&block] == self.at + 1
    }

    /// The number that an integer value is, if it is known.
    fn number(&self, value: Value) -> Option<i64> {
        needed::number(self.func, value)
    }

    /// The same, as instructions have it.
    fn short(&self, value: Value) -> Option<i64> {
        self.number(value).filter(|number| i32::try_from(*number).is_ok())
    }

    fn put(&mut self, kind: Kind, operands: Vec<Operand>, args: Vec<Arg>) {
        self.code.blocks[self.at].instructions.push(Instruction { kind, operands, args });
    }

    fn emit(&mut self, code: Code, with: &[With]) {
        let mut operands = vec![];
        let mut operand = |operand: Operand| {
            operands.push(operand);
            operands.len() - 1
        };
        let mut args = vec![];
        for with in with {
            args.push(match *with {
                Def(register, view) => Arg::Register(operand(Operand::reg_def(register)), view),
                Use(register, view) => Arg::Register(operand(Operand::reg_use(register)), view),
                Over(register, view) => Arg::Register(operand(Operand::reg_reuse_def(register, 0)), view),
                Hidden(register) => {
                    let _ = operand(Operand::reg_use(register));
                    continue;
                }
                Number(number) => Arg::Number(number),
                Memory(base, offset) => Arg::Memory { base: operand(Operand::reg_use(base)), index: None, offset },
                Sum(base, index, scale) => {
                    let base = operand(Operand::reg_use(base));
                    Arg::Memory { base, index: Some((operand(Operand::reg_use(index)), scale)), offset: 0 }
                }
                Frame(offset) => Arg::Frame(offset),
                Pool(index) => Arg::Pool(index),
            });
        }
        self.put(Kind::Plain(code), operands, args);
    }

    /// A constant of 32 bits, as often as it fills a vector.
    fn pooled(&mut self, bits: u32) -> With {
        self.pooled_bytes(&bits.to_le_bytes().repeat(VECTOR / 4))
    }

    /// A constant that begins with these bytes.
    fn pooled_bytes(&mut self, bytes: &[u8]) -> With {
        let mut constant = [0; VECTOR];
        constant[..bytes.len()].copy_from_slice(bytes);
        let known = self.code.pool.iter().position(|known| *known == constant);
        Pool(known.unwrap_or_else(|| {
            self.code.pool.push(constant);
            self.code.pool.len() - 1
        }))
    }

    /// The register that holds a value, in which a known integer is put now.
    fn register(&mut self, value: Value) -> Option<VReg> {
        let value = needed::origin(self.func, value);
        if let Some(number) = self.number(value) {
            let register = self.fresh(RegClass::Int);
            if self.ty(value) == types::I64 && i32::try_from(number).is_err() {
                self.emit(Code::Mov_r64_imm64, &[Def(register, View::Whole), Number(number)]);
            } else if number < 0 && self.ty(value) == types::I64 {
                self.emit(Code::Mov_rm64_imm32, &[Def(register, View::Whole), Number(number)]);
            } else {
                self.emit(Code::Mov_r32_imm32, &[Def(register, View::Half), Number(number & 0xffff_ffff)]);
            }
            return Some(register);
        }
        self.registers.get(&value).copied()
    }

    fn read(&mut self, value: Value) -> Option<With> {
        let register = self.register(value)?;
        Some(Use(register, view(self.ty(value))?))
    }

    fn write(&mut self, value: Value) -> Option<With> {
        let view = view(self.ty(value))?;
        Some(Def(self.define(value), view))
    }

    /// The function's parameters are in their registers when it begins; its first block has none.
    fn params(&mut self) {
        let Some(entry) = self.func.layout.entry_block() else { return };
        let params = self.func.dfg.block_params(entry).to_vec();
        let operands = params.iter().zip(PARAMS).map(|(value, place)| {
            let register = self.define(*value);
            Operand::reg_fixed_def(register, general(place))
        });
        let operands = operands.collect();
        self.put(Kind::Start, operands, vec![]);
    }

    fn block(&mut self, block: ir::Block) -> Option<()> {
        self.at = self.order[&block];
        if self.at > 0 {
            let params = self.func.dfg.block_params(block).to_vec();
            self.code.blocks[self.at].params = params.into_iter().map(|value| self.define(value)).collect();
        }
        for inst in self.func.layout.block_insts(block) {
            self.instruction(inst)?;
        }
        Some(())
    }

    fn instruction(&mut self, inst: ir::Inst) -> Option<()> {
        let data = self.func.dfg.insts[inst];
        match data {
            InstructionData::Store { args: [value, address], offset, .. } => self.store(value, address, offset.into()),
            InstructionData::Jump { destination, .. } => self.jump(destination),
            InstructionData::Brif { arg, blocks, .. } => self.branch(arg, blocks),
            InstructionData::Call { func_ref, .. } => self.call(func_ref, inst),
            InstructionData::MultiAry { opcode: Opcode::Return, .. } => {
                self.put(Kind::Return, vec![], vec![]);
                Some(())
            }
            _ => {
                let result = *self.func.dfg.inst_results(inst).first()?;
                if self.needed.is(result) { self.value(&data, result) } else { Some(()) }
            }
        }
    }

    /// Computes a value.
    fn value(&mut self, data: &InstructionData, to: Value) -> Option<()> {
        let args = |this: &Self| this.func.dfg.inst_args(this.func.dfg.value_def(to).unwrap_inst()).to_vec();
        let args = args(self);
        match (data, &args[..]) {
            // In a register when it is used.
            (InstructionData::UnaryImm { .. }, _) => Some(()),
            // The same bits where they are.
            (InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, .. }, _) => Some(()),
            (InstructionData::UnaryIeee32 { imm, .. }, _) => {
                let constant = self.pooled(imm.bits());
                let to = self.write(to)?;
                self.emit(Code::VEX_Vmovss_xmm_m32, &[to, constant]);
                Some(())
            }
            (InstructionData::UnaryConst { constant_handle, .. }, _) => {
                let bytes = self.func.dfg.constants.get(*constant_handle).as_slice().to_vec();
                let constant = self.pooled_bytes(&bytes);
                let load = opcodes::load(self.ty(to))?;
                let to = self.write(to)?;
                self.emit(load, &[to, constant]);
                Some(())
            }
            (InstructionData::Load { offset, .. }, [address]) => self.load(to, *address, (*offset).into()),
            (InstructionData::StackAddr { stack_slot, offset, .. }, _) => {
                let place = Frame(self.slots[stack_slot] + i32::from(*offset));
                let to = self.write(to)?;
                self.emit(Code::Lea_r64_m, &[to, place]);
                Some(())
            }
            (InstructionData::BinaryImm8 { opcode: Opcode::Extractlane, imm, .. }, [from]) => {
                self.extract(to, *from, usize::from(*imm))
            }
            (InstructionData::FloatCompare { cond, .. }, [a, b]) => self.compare_floats(to, *cond, *a, *b),
            (InstructionData::IntCompare { cond, .. }, [a, b]) => self.compare_integers(to, *cond, *a, *b),
            (InstructionData::Unary { opcode, .. }, [a]) => self.unary(*opcode, to, *a),
            (InstructionData::Binary { opcode, .. }, [a, b]) => self.binary(*opcode, to, *a, *b),
            (InstructionData::Ternary { opcode: Opcode::Bitselect, .. }, [mask, a, b]) => {
                self.choose(to, *mask, *a, *b)
            }
            (InstructionData::Ternary { opcode: Opcode::Select, .. }, [mask, a, b]) => {
                self.choose_one(to, *mask, *a, *b)
            }
            _ => None,
        }
    }

    /// Where an address leads.
    fn reached(&mut self, address: Value, offset: i32) -> Option<With> {
        if let Some(InstructionData::StackAddr { stack_slot, offset: more, .. }) = self.data(address) {
            let (slot, more) = (*stack_slot, i32::from(*more));
            return Some(Frame(self.slots[&slot] + more + offset));
        }
        Some(Memory(self.register(address)?, offset))
    }

    fn load(&mut self, to: Value, address: Value, offset: i32) -> Option<()> {
        let from = self.reached(address, offset)?;
        let code = opcodes::load(self.ty(to))?;
        let to = self.write(to)?;
        self.emit(code, &[to, from]);
        Some(())
    }

    fn store(&mut self, value: Value, address: Value, offset: i32) -> Option<()> {
        let to = self.reached(address, offset)?;
        let code = opcodes::store(self.ty(value))?;
        let value = self.read(value)?;
        self.emit(code, &[to, value]);
        Some(())
    }

    /// The lane of a vector: the first one is where the vector is.
    fn extract(&mut self, to: Value, from: Value, lane: usize) -> Option<()> {
        let mut vector = self.register(from)?;
        if lane >= 4 {
            let upper = self.fresh(RegClass::Float);
            let code = Code::VEX_Vextractf128_xmmm128_ymm_imm8;
            self.emit(code, &[Def(upper, View::Xmm), Use(vector, View::Ymm), Number(1)]);
            vector = upper;
        }
        let lane = (lane % 4) as i64;
        if self.ty(to) != types::F32 {
            let to = self.write(to)?;
            self.emit(Code::VEX_Vpextrd_rm32_xmm_imm8, &[to, Use(vector, View::Xmm), Number(lane)]);
        } else if lane == 0 {
            let _ = self.registers.insert(to, vector);
        } else {
            let to = self.write(to)?;
            self.emit(Code::VEX_Vpermilps_xmm_xmmm128_imm8, &[to, Use(vector, View::Xmm), Number(lane)]);
        }
        Some(())
    }

    fn compare_floats(&mut self, to: Value, cond: FloatCC, a: Value, b: Value) -> Option<()> {
        if self.ty(a) == types::F32 {
            return Some(()); // By whoever asks for the mask.
        }
        let (code, how) = (opcodes::compare(self.ty(a))?, opcodes::float_condition(cond)?);
        let (a, b, to) = (self.read(a)?, self.read(b)?, self.write(to)?);
        self.emit(code, &[to, a, b, Number(how)]);
        Some(())
    }

    fn compare_integers(&mut self, to: Value, cond: IntCC, a: Value, b: Value) -> Option<()> {
        let width = match Width::of(self.ty(a)) {
            Some(width @ (Width::Four | Width::Eight)) => width,
            Some(Width::One) | None => return Some(()), // By whoever asks.
        };
        let [equal, greater, flip] = opcodes::integer_masks(width);
        let (code, a, b, is_flipped) = match cond {
            IntCC::Equal => (equal, a, b, false),
            IntCC::NotEqual => (equal, a, b, true),
            IntCC::SignedLessThan => (greater, b, a, false),
            IntCC::SignedLessThanOrEqual => (greater, a, b, true),
            IntCC::SignedGreaterThan => (greater, a, b, false),
            IntCC::SignedGreaterThanOrEqual => (greater, b, a, true),
            _ => return None,
        };
        let (a, b) = (self.read(a)?, self.read(b)?);
        let view = view(self.ty(to))?;
        let mask = if is_flipped { self.fresh(RegClass::Float) } else { self.define(to) };
        self.emit(code, &[Def(mask, view), a, b]);
        if is_flipped {
            let ones = self.pooled(u32::MAX);
            let to = self.write(to)?;
            self.emit(flip, &[to, Use(mask, view), ones]);
        }
        Some(())
    }

    fn unary(&mut self, opcode: Opcode, to: Value, a: Value) -> Option<()> {
        let ty = self.ty(to);
        match opcode {
            Opcode::Ireduce => {
                let register = self.register(a)?;
                let _ = self.registers.insert(to, register);
                Some(())
            }
            Opcode::Splat => self.splat(to, a),
            Opcode::Bmask => self.mask(to, a),
            Opcode::Fneg | Opcode::Fabs | Opcode::Bnot
                if Width::of(ty).is_some_and(|_| class(ty) == RegClass::Float) =>
            {
                let (code, bits) = opcodes::with_bits(opcode, ty)?;
                let (constant, a) = (self.pooled(bits), self.read(a)?);
                let to = self.write(to)?;
                self.emit(code, &[to, a, constant]);
                Some(())
            }
            Opcode::Bnot | Opcode::Ineg if ty == types::I32 => {
                let code = if opcode == Opcode::Bnot { Code::Not_rm32 } else { Code::Neg_rm32 };
                let (a, to) = (self.register(a)?, self.define(to));
                self.emit(code, &[Hidden(a), Over(to, View::Half)]);
                Some(())
            }
            Opcode::Floor | Opcode::Ceil => {
                let (code, how) = opcodes::round(opcode, ty)?;
                self.of_one(code, to, a, &[Number(how)])
            }
            Opcode::FcvtFromSint if ty == types::F32 => {
                let (a, integer, to) = (self.read(a)?, self.fresh(RegClass::Float), self.write(to)?);
                self.emit(Code::VEX_Vmovd_xmm_rm32, &[Def(integer, View::Xmm), a]);
                self.emit(Code::VEX_Vcvtdq2ps_xmm_xmmm128, &[to, Use(integer, View::Xmm)]);
                Some(())
            }
            _ => self.of_one(opcodes::unary(opcode, ty)?, to, a, &[]),
        }
    }

    /// A function of one value. Instructions on single numbers take the other lanes from an operand before it.
    fn of_one(&mut self, code: Code, to: Value, a: Value, further: &[With]) -> Option<()> {
        let is_single = self.ty(to) == types::F32;
        let (a, to) = (self.read(a)?, self.write(to)?);
        let with = [to, a].into_iter().chain(is_single.then_some(a)).chain(further.iter().copied());
        let with: Vec<With> = with.collect();
        self.emit(code, &with);
        Some(())
    }

    fn splat(&mut self, to: Value, a: Value) -> Option<()> {
        let width = Width::of(self.ty(to))?;
        let bits = match self.data(a) {
            Some(InstructionData::UnaryIeee32 { imm, .. }) => Some(imm.bits()),
            _ => self.number(a).map(|number| number as u32),
        };
        if let Some(bits) = bits {
            let (constant, to) = (self.pooled(bits), self.write(to)?);
            self.emit(opcodes::splat_memory(width), &[to, constant]);
        } else if self.ty(a) == types::F32 {
            let (a, to) = (self.read(a)?, self.write(to)?);
            self.emit(opcodes::splat_float(width), &[to, a]);
        } else {
            let (a, one, to) = (self.read(a)?, self.fresh(RegClass::Float), self.write(to)?);
            self.emit(Code::VEX_Vmovd_xmm_rm32, &[Def(one, View::Xmm), a]);
            self.emit(opcodes::splat_integer(width), &[to, Use(one, View::Xmm)]);
        }
        Some(())
    }

    /// All ones where a comparison of single numbers holds, else 0.
    fn mask(&mut self, to: Value, truth: Value) -> Option<()> {
        match *self.data(truth)? {
            InstructionData::FloatCompare { cond, args: [a, b], .. } => {
                let how = opcodes::float_condition(cond)?;
                let (a, b, mask) = (self.read(a)?, self.read(b)?, self.fresh(RegClass::Float));
                self.emit(Code::VEX_Vcmpss_xmm_xmm_xmmm32_imm8, &[Def(mask, View::Xmm), a, b, Number(how)]);
                let to = self.write(to)?;
                self.emit(Code::VEX_Vmovd_rm32_xmm, &[to, Use(mask, View::Xmm)]);
            }
            InstructionData::IntCompare { cond, args: [a, b], .. } => {
                let (set, ..) = opcodes::integer_condition(cond)?;
                self.compare(a, b)?;
                let (byte, one, to) = (self.fresh(RegClass::Int), self.fresh(RegClass::Int), self.define(to));
                self.emit(set, &[Def(byte, View::Byte)]);
                self.emit(Code::Movzx_r32_rm8, &[Def(one, View::Half), Use(byte, View::Byte)]);
                self.emit(Code::Neg_rm32, &[Hidden(one), Over(to, View::Half)]);
            }
            _ => return None,
        }
        Some(())
    }

    /// Compares integers for the instruction behind.
    fn compare(&mut self, a: Value, b: Value) -> Option<()> {
        let is_long = self.ty(a) == types::I64;
        let a = self.read(a)?;
        if let Some(number) = self.short(b) {
            self.emit(if is_long { Code::Cmp_rm64_imm32 } else { Code::Cmp_rm32_imm32 }, &[a, Number(number)]);
        } else {
            let b = self.read(b)?;
            self.emit(if is_long { Code::Cmp_r64_rm64 } else { Code::Cmp_r32_rm32 }, &[a, b]);
        }
        Some(())
    }

    fn binary(&mut self, opcode: Opcode, to: Value, a: Value, b: Value) -> Option<()> {
        let ty = self.ty(to);
        if class(ty) == RegClass::Float {
            let code = opcodes::binary(opcode, ty)?;
            let (a, b, to) = (self.read(a)?, self.read(b)?, self.write(to)?);
            self.emit(code, &[to, a, b]);
            return Some(());
        }
        match (opcode, self.short(b)) {
            (Opcode::Iadd, Some(number)) => {
                let (from, to) = (Memory(self.register(a)?, number as i32), self.write(to)?);
                self.emit(Code::Lea_r64_m, &[whole(to), from]);
            }
            (Opcode::Iadd, None) => {
                let (b, scale) = needed::scaled(self.func, b).unwrap_or((b, 1));
                let (from, to) = (Sum(self.register(a)?, self.register(b)?, scale), self.write(to)?);
                self.emit(Code::Lea_r64_m, &[whole(to), from]);
            }
            (Opcode::Imul, Some(number)) => {
                let (a, to) = (Use(self.register(a)?, View::Whole), self.write(to)?);
                self.emit(Code::Imul_r64_rm64_imm32, &[whole(to), a, Number(number)]);
            }
            (Opcode::Ishl, Some(number)) if ty == types::I64 => {
                let (a, to) = (self.register(a)?, self.define(to));
                self.emit(Code::Shl_rm64_imm8, &[Hidden(a), Over(to, View::Whole), Number(number)]);
            }
            (Opcode::Smin, _) if ty == types::I64 => {
                self.compare(a, b)?;
                let (a, b, to) = (self.register(a)?, self.read(b)?, self.define(to));
                self.emit(Code::Cmovg_r64_rm64, &[Hidden(a), Over(to, View::Whole), b]);
            }
            _ => {
                let code = opcodes::single_integer(opcode).filter(|_| ty == types::I32)?;
                let (a, b, to) = (self.register(a)?, self.read(b)?, self.define(to));
                self.emit(code, &[Hidden(a), Over(to, View::Half), b]);
            }
        }
        Some(())
    }

    /// `a` where a mask holds, else `b`, lane by lane.
    fn choose(&mut self, to: Value, mask: Value, a: Value, b: Value) -> Option<()> {
        let ty = self.ty(to);
        if let Some(extreme) = needed::extreme(self.func, mask, a, b) {
            return self.binary(extreme, to, a, b);
        }
        let code = opcodes::blend(Width::of(ty)?);
        let view = view(ty)?;
        let [mask, a, b] = [self.register(mask)?, self.register(a)?, self.register(b)?];
        let to = self.define(to);
        self.emit(code, &[Def(to, view), Use(b, view), Use(a, view), Use(mask, view)]);
        Some(())
    }

    /// The same of single numbers.
    fn choose_one(&mut self, to: Value, mask: Value, a: Value, b: Value) -> Option<()> {
        if self.ty(mask) != types::I32 {
            return None;
        }
        let mask = self.read(mask)?;
        let [a, b] = [self.register(a)?, self.register(b)?];
        match self.ty(to) {
            types::F32 => {
                let (wide, to) = (self.fresh(RegClass::Float), self.define(to));
                self.emit(Code::VEX_Vmovd_xmm_rm32, &[Def(wide, View::Xmm), mask]);
                let with = [Def(to, View::Xmm), Use(b, View::Xmm), Use(a, View::Xmm), Use(wide, View::Xmm)];
                self.emit(opcodes::blend(Width::Four), &with);
            }
            types::I32 => {
                let to = self.define(to);
                self.emit(Code::Test_rm32_r32, &[mask, mask]);
                self.emit(Code::Cmovne_r32_rm32, &[Hidden(b), Over(to, View::Half), Use(a, View::Half)]);
            }
            _ => return None,
        }
        Some(())
    }

    fn call(&mut self, function: ir::FuncRef, inst: ir::Inst) -> Option<()> {
        let address = (self.routine)(function)?;
        let args = self.func.dfg.inst_args(inst).to_vec();
        let mut operands = vec![];
        for (value, place) in args.into_iter().zip(PARAMS) {
            operands.push(Operand::reg_fixed_use(self.register(value)?, general(place)));
        }
        self.put(Kind::Call(address), operands, vec![]);
        Some(())
    }

    /// The values that a jump hands on.
    fn handed(&mut self, call: ir::BlockCall) -> Option<(ir::Block, Vec<VReg>)> {
        let lists = &self.func.dfg.value_lists;
        let args: Vec<Value> = call.args(lists).map(|arg| arg.as_value()).collect::<Option<_>>()?;
        let registers = args.into_iter().map(|value| self.register(value)).collect::<Option<_>>()?;
        Some((call.block(lists), registers))
    }

    fn jump(&mut self, to: ir::BlockCall) -> Option<()> {
        let (block, args) = self.handed(to)?;
        self.code.blocks[self.at].next.push((Block::new(self.order[&block]), args));
        self.put(Kind::Jump, vec![], vec![]);
        Some(())
    }

    fn branch(&mut self, truth: Value, [then, otherwise]: [ir::BlockCall; 2]) -> Option<()> {
        let InstructionData::IntCompare { cond, args: [a, b], .. } = *self.data(truth)? else { return None };
        let (_, jump, unless) = opcodes::integer_condition(cond)?;
        let (then, otherwise) = (self.handed(then)?, self.handed(otherwise)?);
        self.compare(a, b)?;
        let is_then_next = self.is_next(then.0);
        let (code, next) = if is_then_next { (unless, [then, otherwise]) } else { (jump, [otherwise, then]) };
        let next = next.map(|(block, args)| self.edge(block, args));
        self.code.blocks[self.at].next.extend(next);
        self.put(Kind::Branch(code), vec![], vec![]);
        Some(())
    }

    /// The way from a branch to a block: a block of its own if other ways lead there, too.
    fn edge(&mut self, to: ir::Block, args: Vec<VReg>) -> (Block, Vec<VReg>) {
        let target = Block::new(self.order[&to]);
        if self.before[&to] == 1 {
            return (target, args);
        }
        let jump = Instruction { kind: Kind::Jump, operands: vec![], args: vec![] };
        let between = BasicBlock { instructions: vec![jump], next: vec![(target, args)], ..BasicBlock::default() };
        self.code.blocks.push(between);
        (Block::new(self.code.blocks.len() - 1), vec![])
    }

    fn finished(mut self) -> MachineCode {
        for index in 0..self.code.blocks.len() {
            let next: Vec<Block> = self.code.blocks[index].next.iter().map(|(block, _)| *block).collect();
            next.into_iter().for_each(|block| self.code.blocks[block.index()].before.push(Block::new(index)));
        }
        self.code
    }
}

fn whole(with: With) -> With {
    if let Def(register, _) = with { Def(register, View::Whole) } else { with }
}

/// The kind of register that holds values of a type.
fn class(ty: Type) -> RegClass {
    if ty.is_vector() || ty.is_float() { RegClass::Float } else { RegClass::Int }
}

/// How much of it they fill.
fn view(ty: Type) -> Option<View> {
    Some(match ty {
        types::I32 => View::Half,
        types::I64 => View::Whole,
        types::F32 | types::F32X4 | types::I32X4 => View::Xmm,
        types::F32X8 | types::I32X8 => View::Ymm,
        _ => return None,
    })
}
