//! What is needed of a function's values: loop nests share values generously, and not all of them are used.

use std::collections::HashSet;

use cranelift::codegen::ir::condcodes::FloatCC;
use cranelift::codegen::ir::{Function, InstructionData, Opcode, Value, ValueDef, types};

/// The values that are to be computed.
pub struct Needed(HashSet<Value>);

impl Needed {
    /// What stores, calls and jumps of a function need.
    pub fn of(func: &Function) -> Needed {
        let mut open: Vec<Value> = vec![];
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                let data = &func.dfg.insts[inst];
                if !data.opcode().is_terminator() && !data.opcode().is_call() && !data.opcode().can_store() {
                    continue;
                }
                open.extend(func.dfg.inst_values(inst).filter(|value| !is_place(func, data, *value)));
            }
        }
        let mut needed = HashSet::new();
        while let Some(value) = open.pop() {
            let value = origin(func, value);
            if needed.insert(value)
                && let ValueDef::Result(inst, _) = func.dfg.value_def(value)
            {
                open.extend(operands(func, &func.dfg.insts[inst], func.dfg.inst_args(inst)));
            }
        }
        Needed(needed)
    }

    /// Whether a value is to be computed.
    pub fn is(&self, value: Value) -> bool {
        self.0.contains(&value)
    }
}

/// What an instruction needs of the values that it names.
fn operands(func: &Function, data: &InstructionData, args: &[Value]) -> Vec<Value> {
    if let (InstructionData::Ternary { opcode: Opcode::Bitselect, .. }, [mask, a, b]) = (data, args)
        && extreme(func, *mask, *a, *b).is_some()
    {
        return vec![*a, *b];
    }
    if data.opcode() == Opcode::Splat && is_constant(func, args[0]) {
        return vec![];
    }
    if let (Opcode::Iadd, [a, b]) = (data.opcode(), args)
        && let Some((b, _)) = scaled(func, *b)
    {
        return vec![*a, b];
    }
    args.iter().copied().filter(|value| !is_place(func, data, *value)).collect()
}

/// The value of which an address is a multiple that instructions make by themselves when they add it to another, and how often it is taken.
pub fn scaled(func: &Function, value: Value) -> Option<(Value, u32)> {
    let InstructionData::Binary { opcode: Opcode::Ishl, args: [of, by] } = definition(func, value)? else {
        return None;
    };
    let by = number(func, *by).filter(|by| (0..=3).contains(by) && func.dfg.value_type(value) == types::I64)?;
    Some((*of, 1 << by))
}

/// Whether an instruction reads or writes a place on the stack, for which it needs no register.
fn is_place(func: &Function, data: &InstructionData, value: Value) -> bool {
    let address = match data {
        InstructionData::Load { arg, .. } => *arg,
        InstructionData::Store { args: [_, address], .. } => *address,
        _ => return false,
    };
    value == address && matches!(definition(func, value), Some(InstructionData::StackAddr { .. }))
}

fn is_constant(func: &Function, value: Value) -> bool {
    number(func, value).is_some() || matches!(definition(func, value), Some(InstructionData::UnaryIeee32 { .. }))
}

/// What computes a value, if it is no parameter of a block.
pub fn definition(func: &Function, value: Value) -> Option<&InstructionData> {
    match func.dfg.value_def(origin(func, value)) {
        ValueDef::Result(inst, _) => Some(&func.dfg.insts[inst]),
        ValueDef::Param(..) | ValueDef::Union(..) => None,
    }
}

/// The value whose register holds a value: bits stay where they are when they are seen as another type.
pub fn origin(func: &Function, value: Value) -> Value {
    let mut value = func.dfg.resolve_aliases(value);
    while let ValueDef::Result(inst, _) = func.dfg.value_def(value)
        && let InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, arg, .. } = func.dfg.insts[inst]
        && func.dfg.value_type(arg).is_vector()
    {
        value = func.dfg.resolve_aliases(arg);
    }
    value
}

/// The number that an integer value is, if it is known.
pub fn number(func: &Function, value: Value) -> Option<i64> {
    let Some(InstructionData::UnaryImm { imm, .. }) = definition(func, value) else { return None };
    let bits: i64 = (*imm).into();
    Some(if func.dfg.value_type(value) == types::I32 { i64::from(bits as i32) } else { bits })
}

/// The instruction for a choice that takes the larger, or the smaller, of two vectors of floats. Of numbers that are equal, or not numbers, it gives the
/// second one, as the choice does.
pub fn extreme(func: &Function, mask: Value, a: Value, b: Value) -> Option<Opcode> {
    let Some(InstructionData::FloatCompare { cond: FloatCC::LessThan, args: [x, y], .. }) = definition(func, mask)
    else {
        return None;
    };
    let [x, y, a, b] = [*x, *y, a, b].map(|value| origin(func, value));
    match () {
        () if (x, y) == (b, a) => Some(Opcode::Fmax),
        () if (x, y) == (a, b) => Some(Opcode::Fmin),
        () => None,
    }
}
