//! Instructions of the machine on virtual registers.

use iced_x86::Code;
use regalloc2::{Block, Operand, PReg, RegClass, VReg};

/// A function.
#[derive(Debug, Default)]
pub struct MachineCode {
    /// In the order in which they are laid out.
    pub blocks: Vec<BasicBlock>,
    /// How many virtual registers there are.
    pub n_registers: usize,
    /// Constants that instructions read, each as often as it fills a vector.
    pub pool: Vec<[u8; VECTOR]>,
    /// The size of what the function keeps on its stack, but for spilled registers.
    pub frame: u32,
}

/// Instructions that are done one after the other.
#[derive(Debug, Default)]
pub struct BasicBlock {
    pub params: Vec<VReg>,
    pub instructions: Vec<Instruction>,
    /// Where it goes on, with the values of the parameters there.
    pub next: Vec<(Block, Vec<VReg>)>,
    pub before: Vec<Block>,
}

/// One instruction.
#[derive(Debug)]
pub struct Instruction {
    pub kind: Kind,
    /// The registers that it reads and writes.
    pub operands: Vec<Operand>,
    /// What it is written with.
    pub args: Vec<Arg>,
}

/// What an instruction is to whoever encodes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// This one.
    Plain(Code),
    /// The function begins: its parameters are defined.
    Start,
    /// Goes on in the block's only successor.
    Jump,
    /// Goes to the block's second successor by this jump, else on in the first.
    Branch(Code),
    /// Calls the function at an address.
    Call(u64),
    Return,
}

/// What an instruction is written with.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    /// A register: the number of the operand, and how much of it is meant.
    Register(usize, View),
    Number(i64),
    /// What lies so many bytes behind an address, and behind the first register's operand times a scale.
    Memory {
        base: usize,
        index: Option<(usize, u32)>,
        offset: i32,
    },
    /// What lies so many bytes from the beginning of the frame.
    Frame(i32),
    /// A constant.
    Pool(usize),
}

/// How much of a register an instruction uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum View {
    Byte,
    Half,
    Whole,
    Xmm,
    Ymm,
}

/// Bytes in a vector.
pub const VECTOR: usize = 32;

/// Registers that a call leaves as they were.
pub const KEPT: [usize; 5] = [3, 12, 13, 14, 15];

/// Registers that a call may change.
pub const CHANGED: [usize; 9] = [0, 1, 2, 6, 7, 8, 9, 10, 11];

/// Where the parameters of a function are, in their order.
pub const PARAMS: [usize; 6] = [7, 6, 2, 1, 8, 9];

/// A general register by its number in instructions.
pub fn general(number: usize) -> PReg {
    PReg::new(number, RegClass::Int)
}

/// A vector register.
pub fn vector(number: usize) -> PReg {
    PReg::new(number, RegClass::Float)
}
