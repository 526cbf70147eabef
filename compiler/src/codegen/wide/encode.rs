//! Instructions with registers to bytes.

use iced_x86::{Code, Encoder, Formatter, GasFormatter, Instruction, MemoryOperand, Register};
use regalloc2::{Allocation, Block, Edit, InstOrEdit, Output, PReg, RegClass};

use super::allocate::{Numbered, SLOT, numbered};
use super::code::{Arg, KEPT, Kind, MachineCode, VECTOR, View, general};

/// Where functions begin: constants and loops lie well in memory then.
pub const ALIGNMENT: u64 = 32;

/// A function in bytes.
#[derive(Debug)]
pub struct Encoded {
    /// The instructions, then the constants. They may lie anywhere that is aligned.
    pub bytes: Vec<u8>,
    instructions: Vec<Instruction>,
}

/// What jumps lead to, as far as it is known: the places of blocks and of the constants.
struct Layout {
    blocks: Vec<u64>,
    pool: u64,
}

/// Encodes a function. `None` if an instruction has no such form.
pub fn encode(code: &MachineCode, places: &Output) -> Option<Encoded> {
    // Far enough that no jump has a short form: sizes are the same when places are known.
    let unknown = Layout { blocks: vec![0; code.blocks.len()], pool: 0 };
    let numbered = numbered(code);
    let first = Writer::new(&numbered, code, places, &unknown).function()?;
    let layout = Layout { blocks: first.blocks, pool: (first.at).next_multiple_of(ALIGNMENT) };
    let mut second = Writer::new(&numbered, code, places, &layout).function()?;
    debug_assert_eq!(second.blocks, layout.blocks, "instructions keep their sizes");
    let mut bytes = second.encoder.take_buffer();
    bytes.resize(layout.pool as usize, 0);
    bytes.extend(code.pool.iter().flatten());
    Some(Encoded { bytes, instructions: second.instructions })
}

impl Encoded {
    /// For people, written as Cranelift writes instructions.
    pub fn text(&self) -> String {
        let mut formatter = GasFormatter::new();
        let mut text = String::new();
        for instruction in &self.instructions {
            text += "  ";
            formatter.format(instruction, &mut text);
            text.push('\n');
        }
        text
    }
}

struct Writer<'a> {
    code: &'a MachineCode,
    numbered: &'a Numbered<'a>,
    places: &'a Output,
    layout: &'a Layout,
    encoder: Encoder,
    at: u64,
    blocks: Vec<u64>,
    instructions: Vec<Instruction>,
    /// Registers that callers want back, and bytes of the frame.
    saved: Vec<Register>,
    frame: i32,
}

impl<'a> Writer<'a> {
    fn new(numbered: &'a Numbered<'a>, code: &'a MachineCode, places: &'a Output, layout: &'a Layout) -> Writer<'a> {
        let moved = places.edits.iter().flat_map(|(_, Edit::Move { from, to })| [*from, *to]);
        let used: Vec<PReg> = places.allocs.iter().copied().chain(moved).filter_map(Allocation::as_reg).collect();
        let saved = KEPT.into_iter().map(general).filter(|register| used.contains(register));
        let frame = code.frame as usize + places.num_spillslots * SLOT;
        Writer {
            code,
            numbered,
            places,
            layout,
            encoder: Encoder::new(64),
            at: 0,
            blocks: vec![],
            instructions: vec![],
            saved: saved.map(|place| register(place, View::Whole)).collect(),
            frame: frame.next_multiple_of(VECTOR) as i32,
        }
    }

    fn put(&mut self, instruction: Instruction) -> Option<()> {
        let mut instruction = instruction;
        instruction.set_ip(self.at);
        self.at += self.encoder.encode(&instruction, self.at).ok()? as u64;
        self.instructions.push(instruction);
        Some(())
    }

    fn function(mut self) -> Option<Writer<'a>> {
        let (places, numbered) = (self.places, self.numbered);
        for index in 0..self.code.blocks.len() {
            self.blocks.push(self.at);
            if index == 0 {
                self.begin()?;
            }
            let block = Block::new(index);
            for each in places.block_insts_and_edits(numbered, block) {
                match each {
                    InstOrEdit::Edit(Edit::Move { from, to }) => self.place_move(*from, *to)?,
                    InstOrEdit::Inst(number) => self.instruction(index, number)?,
                }
            }
        }
        Some(self)
    }

    /// Spills lie at the beginning of the frame, behind them what the function keeps there.
    fn begin(&mut self) -> Option<()> {
        self.put(Instruction::with1(Code::Push_r64, Register::RBP).ok()?)?;
        self.put(Instruction::with2(Code::Mov_r64_rm64, Register::RBP, Register::RSP).ok()?)?;
        for register in self.saved.clone() {
            self.put(Instruction::with1(Code::Push_r64, register).ok()?)?;
        }
        self.put(Instruction::with2(Code::And_rm64_imm8, Register::RSP, -(VECTOR as i32)).ok()?)?;
        self.put(Instruction::with2(Code::Sub_rm64_imm32, Register::RSP, self.frame).ok()?)
    }

    fn end(&mut self) -> Option<()> {
        self.put(Instruction::with(Code::VEX_Vzeroupper))?;
        let below = MemoryOperand::with_base_displ(Register::RBP, -8 * self.saved.len() as i64);
        self.put(Instruction::with2(Code::Lea_r64_m, Register::RSP, below).ok()?)?;
        for register in self.saved.clone().into_iter().rev() {
            self.put(Instruction::with1(Code::Pop_r64, register).ok()?)?;
        }
        self.put(Instruction::with1(Code::Pop_r64, Register::RBP).ok()?)?;
        self.put(Instruction::with(Code::Retnq))
    }

    fn instruction(&mut self, block: usize, number: regalloc2::Inst) -> Option<()> {
        let next = |which: usize| self.code.blocks[block].next[which].0.index();
        match self.numbered.instruction(number).kind {
            Kind::Start => Some(()),
            Kind::Return => self.end(),
            Kind::Jump => self.go_on(block, next(0)),
            Kind::Branch(code) => {
                let (otherwise, there) = (next(0), next(1));
                self.put(Instruction::with_branch(code, self.layout.blocks[there]).ok()?)?;
                self.go_on(block, otherwise)
            }
            Kind::Call(address) => {
                // The routine may use vectors of half the width, which would wait for the upper halves.
                self.put(Instruction::with(Code::VEX_Vzeroupper))?;
                self.put(Instruction::with2(Code::Mov_r64_imm64, Register::RAX, address).ok()?)?;
                self.put(Instruction::with1(Code::Call_rm64, Register::RAX).ok()?)
            }
            Kind::Plain(code) => {
                let allocs = self.places.inst_allocs(number);
                let args: Option<Vec<Written>> =
                    self.numbered.instruction(number).args.iter().map(|arg| self.written(arg, allocs)).collect();
                self.put(plain(code, &args?)?)
            }
        }
    }

    /// Goes to a block, if it does not lie behind.
    fn go_on(&mut self, block: usize, next: usize) -> Option<()> {
        if next == block + 1 {
            return Some(());
        }
        self.put(Instruction::with_branch(Code::Jmp_rel32_64, self.layout.blocks[next]).ok()?)
    }

    fn written(&self, arg: &Arg, allocs: &[Allocation]) -> Option<Written> {
        let register = |operand: usize, view| Some(register(allocs[operand].as_reg()?, view));
        Some(match *arg {
            Arg::Register(operand, view) => Written::Register(register(operand, view)?),
            Arg::Number(number) => Written::Number(number),
            Arg::Memory { base, index, offset } => {
                let base = register(base, View::Whole)?;
                let offset = i64::from(offset);
                Written::Memory(match index {
                    None => MemoryOperand::with_base_displ(base, offset),
                    Some((index, scale)) => {
                        let index = register(index, View::Whole)?;
                        MemoryOperand::with_base_index_scale_displ_size(base, index, scale, offset, 1)
                    }
                })
            }
            Arg::Frame(offset) => {
                let offset = (self.places.num_spillslots * SLOT) as i64 + i64::from(offset);
                Written::Memory(MemoryOperand::with_base_displ(Register::RSP, offset))
            }
            Arg::Pool(index) => {
                let place = self.layout.pool + (index * VECTOR) as u64;
                Written::Memory(MemoryOperand::with_base_displ(Register::RIP, place as i64))
            }
        })
    }

    fn place_move(&mut self, from: Allocation, to: Allocation) -> Option<()> {
        if from == to {
            return Some(());
        }
        let memory = |place: Allocation| {
            let offset = place.as_stack().map_or(0, |slot| slot.index() * SLOT);
            MemoryOperand::with_base_displ(Register::RSP, offset as i64)
        };
        let instruction = match (from.as_reg(), to.as_reg()) {
            (Some(from), Some(to)) if to.class() == RegClass::Int => {
                Instruction::with2(Code::Mov_r64_rm64, register(to, View::Whole), register(from, View::Whole))
            }
            (Some(from), Some(to)) => {
                Instruction::with2(Code::VEX_Vmovaps_ymm_ymmm256, register(to, View::Ymm), register(from, View::Ymm))
            }
            (Some(from), None) if from.class() == RegClass::Int => {
                Instruction::with2(Code::Mov_rm64_r64, memory(to), register(from, View::Whole))
            }
            (Some(from), None) => {
                Instruction::with2(Code::VEX_Vmovups_ymmm256_ymm, memory(to), register(from, View::Ymm))
            }
            (None, Some(to)) if to.class() == RegClass::Int => {
                Instruction::with2(Code::Mov_r64_rm64, register(to, View::Whole), memory(from))
            }
            (None, Some(to)) => {
                Instruction::with2(Code::VEX_Vmovups_ymm_ymmm256, register(to, View::Ymm), memory(from))
            }
            (None, None) => return None,
        };
        self.put(instruction.ok()?)
    }
}

/// What an instruction is written with, in registers.
#[derive(Clone, Copy)]
enum Written {
    Register(Register),
    Number(i64),
    Memory(MemoryOperand),
}

fn plain(code: Code, args: &[Written]) -> Option<Instruction> {
    use Written::{Memory, Number, Register};
    let instruction = match *args {
        [] => return Some(Instruction::with(code)),
        [Register(a)] => Instruction::with1(code, a),
        [Register(a), Register(b)] => Instruction::with2(code, a, b),
        [Register(a), Memory(b)] => Instruction::with2(code, a, b),
        [Memory(a), Register(b)] => Instruction::with2(code, a, b),
        [Register(a), Number(b)] => Instruction::with2(code, a, b),
        [Register(a), Register(b), Register(c)] => Instruction::with3(code, a, b, c),
        [Register(a), Register(b), Memory(c)] => Instruction::with3(code, a, b, c),
        [Register(a), Register(b), Number(c)] => Instruction::with3(code, a, b, i32::try_from(c).ok()?),
        [Register(a), Register(b), Register(c), Register(d)] => Instruction::with4(code, a, b, c, d),
        [Register(a), Register(b), Register(c), Number(d)] => Instruction::with4(code, a, b, c, i32::try_from(d).ok()?),
        _ => return None,
    };
    instruction.ok()
}

const BYTE: [Register; 16] = [
    Register::AL,
    Register::CL,
    Register::DL,
    Register::BL,
    Register::SPL,
    Register::BPL,
    Register::SIL,
    Register::DIL,
    Register::R8L,
    Register::R9L,
    Register::R10L,
    Register::R11L,
    Register::R12L,
    Register::R13L,
    Register::R14L,
    Register::R15L,
];

/// A place as instructions name it.
fn register(place: PReg, view: View) -> Register {
    let number = place.hw_enc() as u32;
    match view {
        View::Byte => BYTE[place.hw_enc()],
        View::Half => Register::EAX + number,
        View::Whole => Register::RAX + number,
        View::Xmm => Register::XMM0 + number,
        View::Ymm => Register::YMM0 + number,
    }
}
