//! Cranelift's intermediate form to instructions of the machine: what loop nests are written with, and nothing else.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that Cranelift has, this is for what loop nests are written with"
)]

mod needed;
mod opcodes;
mod values;

use std::collections::HashMap;

use cranelift::codegen::ir::{self, InstructionData, Opcode, Type, Value, types};
use iced_x86::Code;
use regalloc2::{Block, Operand, RegClass, VReg};

use super::code::{Arg, BasicBlock, Instruction, Kind, MachineCode, PARAMS, VECTOR, View, general};
use needed::Needed;

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
