//! Registers for virtual registers, by Cranelift's allocator.

use regalloc2::{
    Block, Function, Inst, InstRange, MachineEnv, Operand, Output, PReg, PRegSet, RegClass, RegallocOptions, VReg,
};

use super::code::{BasicBlock, CHANGED, Instruction, KEPT, Kind, MachineCode, VECTOR, general, vector};

/// Bytes in a slot of the stack, as slots are counted.
pub const SLOT: usize = 8;

/// Finds a place for each operand, and the moves between places.
pub fn allocate(code: &MachineCode) -> Option<Output> {
    let options = RegallocOptions { validate_ssa: cfg!(debug_assertions), ..RegallocOptions::default() };
    regalloc2::run(&numbered(code), &registers(), &options).ok()
}

/// The code with its instructions numbered.
pub fn numbered(code: &MachineCode) -> Numbered<'_> {
    let mut starts = vec![0];
    for block in &code.blocks {
        starts.push(starts[starts.len() - 1] + block.instructions.len());
    }
    let next = code.blocks.iter().map(|block| block.next.iter().map(|(to, _)| *to).collect()).collect();
    Numbered { code, starts, next }
}

/// The registers that may be used: those that a call leaves as they were have to be saved first.
fn registers() -> MachineEnv {
    let set = |registers: &[PReg]| registers.iter().fold(PRegSet::empty(), |set, register| set.with(*register));
    let vectors: Vec<PReg> = (0..16).map(vector).collect();
    MachineEnv {
        preferred_regs_by_class: [set(&CHANGED.map(general)), set(&vectors), PRegSet::empty()],
        non_preferred_regs_by_class: [set(&KEPT.map(general)), PRegSet::empty(), PRegSet::empty()],
        scratch_by_class: [None; 3],
        fixed_stack_slots: vec![],
    }
}

/// Code whose instructions are numbered from block to block.
pub struct Numbered<'a> {
    code: &'a MachineCode,
    /// The number of each block's first instruction, and of the end.
    starts: Vec<usize>,
    next: Vec<Vec<Block>>,
}

impl Numbered<'_> {
    fn block(&self, block: Block) -> &BasicBlock {
        &self.code.blocks[block.index()]
    }

    /// The instruction with a number.
    pub fn instruction(&self, number: Inst) -> &Instruction {
        let block = self.starts.partition_point(|start| *start <= number.index()) - 1;
        &self.code.blocks[block].instructions[number.index() - self.starts[block]]
    }
}

impl Function for Numbered<'_> {
    fn num_insts(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    fn num_blocks(&self) -> usize {
        self.code.blocks.len()
    }

    fn entry_block(&self) -> Block {
        Block::new(0)
    }

    fn block_insns(&self, block: Block) -> InstRange {
        InstRange::new(Inst::new(self.starts[block.index()]), Inst::new(self.starts[block.index() + 1]))
    }

    fn block_succs(&self, block: Block) -> &[Block] {
        &self.next[block.index()]
    }

    fn block_preds(&self, block: Block) -> &[Block] {
        &self.block(block).before
    }

    fn block_params(&self, block: Block) -> &[VReg] {
        &self.block(block).params
    }

    fn is_ret(&self, number: Inst) -> bool {
        self.instruction(number).kind == Kind::Return
    }

    fn is_branch(&self, number: Inst) -> bool {
        matches!(self.instruction(number).kind, Kind::Jump | Kind::Branch(_))
    }

    fn branch_blockparams(&self, block: Block, _: Inst, successor: usize) -> &[VReg] {
        &self.block(block).next[successor].1
    }

    fn inst_operands(&self, number: Inst) -> &[Operand] {
        &self.instruction(number).operands
    }

    fn inst_clobbers(&self, number: Inst) -> PRegSet {
        match self.instruction(number).kind {
            Kind::Call(_) => {
                let changed = CHANGED.into_iter().map(general).chain((0..16).map(vector));
                changed.fold(PRegSet::empty(), |set, register| set.with(register))
            }
            Kind::Plain(_) | Kind::Start | Kind::Jump | Kind::Branch(_) | Kind::Return => PRegSet::empty(),
        }
    }

    fn num_vregs(&self) -> usize {
        self.code.n_registers
    }

    fn spillslot_size(&self, class: RegClass) -> usize {
        match class {
            RegClass::Int => 1,
            RegClass::Float | RegClass::Vector => VECTOR / SLOT,
        }
    }
}
