//! Which instruction of the machine does what.

use cranelift::codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift::codegen::ir::{Opcode, Type, types};
use iced_x86::Code;

/// How many numbers an instruction works on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Width {
    One,
    Four,
    Eight,
}

impl Width {
    /// The numbers of a value of 32-bit numbers.
    pub fn of(ty: Type) -> Option<Width> {
        match ty {
            types::F32 | types::I32 | types::I64 => Some(Width::One),
            types::F32X4 | types::I32X4 => Some(Width::Four),
            types::F32X8 | types::I32X8 => Some(Width::Eight),
            _ => None,
        }
    }

    fn pick<T>(self, [one, four, eight]: [T; 3]) -> T {
        match self {
            Width::One => one,
            Width::Four => four,
            Width::Eight => eight,
        }
    }
}

/// Reads a value from memory.
pub fn load(ty: Type) -> Option<Code> {
    let width = Width::of(ty)?;
    Some(match ty {
        types::I64 => Code::Mov_r64_rm64,
        types::I32 => Code::Mov_r32_rm32,
        _ => width.pick([Code::VEX_Vmovss_xmm_m32, Code::VEX_Vmovups_xmm_xmmm128, Code::VEX_Vmovups_ymm_ymmm256]),
    })
}

/// Writes a value to memory.
pub fn store(ty: Type) -> Option<Code> {
    let width = Width::of(ty)?;
    Some(match ty {
        types::I64 => Code::Mov_rm64_r64,
        types::I32 => Code::Mov_rm32_r32,
        _ => width.pick([Code::VEX_Vmovss_m32_xmm, Code::VEX_Vmovups_xmmm128_xmm, Code::VEX_Vmovups_ymmm256_ymm]),
    })
}

/// A function of two values in vector registers.
pub fn binary(opcode: Opcode, ty: Type) -> Option<Code> {
    let codes = match opcode {
        Opcode::Fadd => {
            [Code::VEX_Vaddss_xmm_xmm_xmmm32, Code::VEX_Vaddps_xmm_xmm_xmmm128, Code::VEX_Vaddps_ymm_ymm_ymmm256]
        }
        Opcode::Fsub => {
            [Code::VEX_Vsubss_xmm_xmm_xmmm32, Code::VEX_Vsubps_xmm_xmm_xmmm128, Code::VEX_Vsubps_ymm_ymm_ymmm256]
        }
        Opcode::Fmul => {
            [Code::VEX_Vmulss_xmm_xmm_xmmm32, Code::VEX_Vmulps_xmm_xmm_xmmm128, Code::VEX_Vmulps_ymm_ymm_ymmm256]
        }
        Opcode::Fdiv => {
            [Code::VEX_Vdivss_xmm_xmm_xmmm32, Code::VEX_Vdivps_xmm_xmm_xmmm128, Code::VEX_Vdivps_ymm_ymm_ymmm256]
        }
        Opcode::Fmin => {
            [Code::VEX_Vminss_xmm_xmm_xmmm32, Code::VEX_Vminps_xmm_xmm_xmmm128, Code::VEX_Vminps_ymm_ymm_ymmm256]
        }
        Opcode::Fmax => {
            [Code::VEX_Vmaxss_xmm_xmm_xmmm32, Code::VEX_Vmaxps_xmm_xmm_xmmm128, Code::VEX_Vmaxps_ymm_ymm_ymmm256]
        }
        Opcode::Band => return bits([Code::VEX_Vandps_xmm_xmm_xmmm128, Code::VEX_Vandps_ymm_ymm_ymmm256], ty),
        Opcode::Bor => return bits([Code::VEX_Vorps_xmm_xmm_xmmm128, Code::VEX_Vorps_ymm_ymm_ymmm256], ty),
        Opcode::Iadd => return bits([Code::VEX_Vpaddd_xmm_xmm_xmmm128, Code::VEX_Vpaddd_ymm_ymm_ymmm256], ty),
        Opcode::Isub => return bits([Code::VEX_Vpsubd_xmm_xmm_xmmm128, Code::VEX_Vpsubd_ymm_ymm_ymmm256], ty),
        Opcode::Imul => return bits([Code::VEX_Vpmulld_xmm_xmm_xmmm128, Code::VEX_Vpmulld_ymm_ymm_ymmm256], ty),
        _ => return None,
    };
    Some(Width::of(ty)?.pick(codes))
}

/// The instruction for vectors of integers or bits; single ones are in general registers.
fn bits([four, eight]: [Code; 2], ty: Type) -> Option<Code> {
    match Width::of(ty)? {
        Width::One => None,
        Width::Four => Some(four),
        Width::Eight => Some(eight),
    }
}

/// A function of two single integers or masks, the first of which it overwrites.
pub fn single_integer(opcode: Opcode) -> Option<Code> {
    Some(match opcode {
        Opcode::Isub => Code::Sub_r32_rm32,
        Opcode::Imul => Code::Imul_r32_rm32,
        Opcode::Band => Code::And_r32_rm32,
        Opcode::Bor => Code::Or_r32_rm32,
        _ => return None,
    })
}

/// A function of one value in a vector register.
pub fn unary(opcode: Opcode, ty: Type) -> Option<Code> {
    match opcode {
        Opcode::Sqrt => Some(Width::of(ty)?.pick([
            Code::VEX_Vsqrtss_xmm_xmm_xmmm32,
            Code::VEX_Vsqrtps_xmm_xmmm128,
            Code::VEX_Vsqrtps_ymm_ymmm256,
        ])),
        Opcode::Iabs => bits([Code::VEX_Vpabsd_xmm_xmmm128, Code::VEX_Vpabsd_ymm_ymmm256], ty),
        Opcode::FcvtFromSint => bits([Code::VEX_Vcvtdq2ps_xmm_xmmm128, Code::VEX_Vcvtdq2ps_ymm_ymmm256], ty),
        _ => None,
    }
}

/// What is done to all bits of a value by a constant.
pub fn with_bits(opcode: Opcode, ty: Type) -> Option<(Code, u32)> {
    let [four, eight] = match opcode {
        Opcode::Fabs => [Code::VEX_Vandps_xmm_xmm_xmmm128, Code::VEX_Vandps_ymm_ymm_ymmm256],
        _ => [Code::VEX_Vxorps_xmm_xmm_xmmm128, Code::VEX_Vxorps_ymm_ymm_ymmm256],
    };
    let constant = match opcode {
        Opcode::Fneg => 1 << 31,
        Opcode::Fabs => u32::MAX >> 1,
        Opcode::Bnot => u32::MAX,
        _ => return None,
    };
    Some((Width::of(ty)?.pick([four, four, eight]), constant))
}

/// Rounds to integers, and in which direction.
pub fn round(opcode: Opcode, ty: Type) -> Option<(Code, i64)> {
    let code = Width::of(ty)?.pick([
        Code::VEX_Vroundss_xmm_xmm_xmmm32_imm8,
        Code::VEX_Vroundps_xmm_xmmm128_imm8,
        Code::VEX_Vroundps_ymm_ymmm256_imm8,
    ]);
    // Bit 3: that a number was rounded is nobody's business.
    Some((code, if opcode == Opcode::Floor { 0b1001 } else { 0b1010 }))
}

/// Compares vectors of floats.
pub fn compare(ty: Type) -> Option<Code> {
    bits([Code::VEX_Vcmpps_xmm_xmm_xmmm128_imm8, Code::VEX_Vcmpps_ymm_ymm_ymmm256_imm8], ty)
}

/// The number by which instructions mean a condition; it raises nothing for what is not a number.
pub fn float_condition(cond: FloatCC) -> Option<i64> {
    Some(match cond {
        FloatCC::Equal => 0x00,
        FloatCC::NotEqual => 0x04,
        FloatCC::LessThan => 0x11,
        FloatCC::LessThanOrEqual => 0x12,
        FloatCC::GreaterThan => 0x1e,
        FloatCC::GreaterThanOrEqual => 0x1d,
        _ => return None,
    })
}

/// Of vectors of integers: which are equal, which are greater; and what turns a mask around with a constant of ones.
pub fn integer_masks(width: Width) -> [Code; 3] {
    match width {
        Width::One | Width::Four => {
            [Code::VEX_Vpcmpeqd_xmm_xmm_xmmm128, Code::VEX_Vpcmpgtd_xmm_xmm_xmmm128, Code::VEX_Vxorps_xmm_xmm_xmmm128]
        }
        Width::Eight => {
            [Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256, Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256, Code::VEX_Vxorps_ymm_ymm_ymmm256]
        }
    }
}

/// Behind a comparison of single integers: sets a byte if a condition holds, jumps if it does, jumps if it does not.
pub fn integer_condition(cond: IntCC) -> Option<(Code, Code, Code)> {
    Some(match cond {
        IntCC::Equal => (Code::Sete_rm8, Code::Je_rel32_64, Code::Jne_rel32_64),
        IntCC::NotEqual => (Code::Setne_rm8, Code::Jne_rel32_64, Code::Je_rel32_64),
        IntCC::SignedLessThan => (Code::Setl_rm8, Code::Jl_rel32_64, Code::Jge_rel32_64),
        IntCC::SignedLessThanOrEqual => (Code::Setle_rm8, Code::Jle_rel32_64, Code::Jg_rel32_64),
        IntCC::SignedGreaterThan => (Code::Setg_rm8, Code::Jg_rel32_64, Code::Jle_rel32_64),
        IntCC::SignedGreaterThanOrEqual => (Code::Setge_rm8, Code::Jge_rel32_64, Code::Jl_rel32_64),
        _ => return None,
    })
}

/// Takes from the second vector where the third has its sign set, else from the first.
pub fn blend(width: Width) -> Code {
    match width {
        Width::One | Width::Four => Code::VEX_Vblendvps_xmm_xmm_xmmm128_xmm,
        Width::Eight => Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm,
    }
}

/// A number in memory, in all lanes.
pub fn splat_memory(width: Width) -> Code {
    match width {
        Width::One | Width::Four => Code::VEX_Vbroadcastss_xmm_m32,
        Width::Eight => Code::VEX_Vbroadcastss_ymm_m32,
    }
}

/// The first number of a vector register, in all lanes.
pub fn splat_float(width: Width) -> Code {
    match width {
        Width::One | Width::Four => Code::VEX_Vbroadcastss_xmm_xmm,
        Width::Eight => Code::VEX_Vbroadcastss_ymm_xmm,
    }
}

/// The same of integers.
pub fn splat_integer(width: Width) -> Code {
    match width {
        Width::One | Width::Four => Code::VEX_Vpbroadcastd_xmm_xmmm32,
        Width::Eight => Code::VEX_Vpbroadcastd_ymm_xmmm32,
    }
}
