//! Arithmetic, comparisons and choices.

use cranelift::codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift::codegen::ir::{InstructionData, Opcode, Value, types};
use iced_x86::Code;
use regalloc2::RegClass;

use super::With::{self, Def, Hidden, Memory, Number, Over, Sum, Use};
use super::needed;
use super::opcodes::{self, Width};
use super::{Selector, View, class, view};

impl Selector<'_> {
    /// The lane of a vector: the first one is where the vector is.
    pub(super) fn extract(&mut self, to: Value, from: Value, lane: usize) -> Option<()> {
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

    pub(super) fn compare_floats(&mut self, to: Value, cond: FloatCC, a: Value, b: Value) -> Option<()> {
        if self.ty(a) == types::F32 {
            return Some(()); // By whoever asks for the mask.
        }
        let (code, how) = (opcodes::compare(self.ty(a))?, opcodes::float_condition(cond)?);
        let (a, b, to) = (self.read(a)?, self.read(b)?, self.write(to)?);
        self.emit(code, &[to, a, b, Number(how)]);
        Some(())
    }

    pub(super) fn compare_integers(&mut self, to: Value, cond: IntCC, a: Value, b: Value) -> Option<()> {
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

    pub(super) fn unary(&mut self, opcode: Opcode, to: Value, a: Value) -> Option<()> {
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
    pub(super) fn compare(&mut self, a: Value, b: Value) -> Option<()> {
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

    pub(super) fn binary(&mut self, opcode: Opcode, to: Value, a: Value, b: Value) -> Option<()> {
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
    pub(super) fn choose(&mut self, to: Value, mask: Value, a: Value, b: Value) -> Option<()> {
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
    pub(super) fn choose_one(&mut self, to: Value, mask: Value, a: Value, b: Value) -> Option<()> {
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
}

fn whole(with: With) -> With {
    if let Def(register, _) = with { Def(register, View::Whole) } else { with }
}
