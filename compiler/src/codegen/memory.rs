//! Where the params of a kernel are reached: addresses are advanced once for each loop that is entered, so that at the
//! innermost point nothing is left but a base and a displacement known now.

use cranelift::codegen::ir;
use cranelift::codegen::isa::TargetIsa;
use cranelift::prelude::{InstBuilder, MemFlagsData, types};

use super::kernel::{Emitter, Pos, Shape};
use crate::lir::{DType, Inst, Kernel, ParamId, Phase};

/// A way in which a kernel reaches a param: loads and stores with equal strides share it.
pub(super) struct Access {
    param: ParamId,
    strides: Vec<usize>,
    /// The phase that it belongs to; its inner dimensions are those of this phase.
    phase: usize,
}

/// A base, and bytes to add to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    base: ir::Value,
    offset: i64,
}

/// Bytes in an element.
const ELEMENT: usize = 4;

impl Access {
    /// All accesses of a kernel, no two alike.
    pub fn all(kernel: &Kernel) -> Vec<Access> {
        let mut all: Vec<Access> = vec![];
        for (phase, code) in kernel.phases.iter().enumerate() {
            let loads = code.defs.iter().filter_map(|def| match &def.inst {
                Inst::Load(param, strides) => Some((*param, strides)),
                Inst::Const(_) | Inst::Index(_) | Inst::Unary(..) | Inst::Binary(..) | Inst::Select(..) => None,
                Inst::Convert(_) | Inst::Uniform { .. } | Inst::Fold(..) => None,
            });
            for (param, strides) in loads.chain(code.stores.iter().map(|store| (store.param, &store.strides))) {
                if !all.iter().any(|access| access.is(phase, param, strides)) {
                    all.push(Access { param, strides: strides.clone(), phase });
                }
            }
        }
        all
    }

    fn is(&self, phase: usize, param: ParamId, strides: &[usize]) -> bool {
        self.phase == phase && self.param == param && self.strides == strides
    }
}

impl Emitter<'_, '_> {
    /// Reads the table of pointers.
    pub fn start_addresses(&mut self, table: ir::Value) {
        let flags = MemFlagsData::trusted().with_readonly();
        let pointers: Vec<ir::Value> = (0..self.kernel.params.len())
            .map(|index| self.b.ins().load(types::I64, flags, table, 8 * index as i32))
            .collect();
        let first = |access: &Access| Address { base: pointers[access.param.0 as usize], offset: 0 };
        self.addresses = self.accesses.iter().map(first).collect();
    }

    /// Advances the addresses by the position along the dimension whose loop is entered: a row dimension, or an inner one
    /// of `phase`.
    pub fn advance_addresses(&mut self, pos: Pos, phase: Option<&Phase>) {
        let dim = self.at.len();
        let mut known: Vec<(Address, usize, Address)> = vec![];
        let mut offsets: Vec<(usize, ir::Value)> = vec![];
        for index in 0..self.accesses.len() {
            let access = &self.accesses[index];
            let concerned = phase.is_none_or(|phase| std::ptr::eq(phase, &self.kernel.phases[access.phase]));
            let stride = access.strides.get(dim).copied().unwrap_or(0);
            if !concerned || stride == 0 {
                continue;
            }
            let before = self.addresses[index];
            let found = known.iter().find(|(from, by, _)| *from == before && *by == stride);
            let after = match found {
                Some((_, _, after)) => *after,
                None => self.advanced(before, pos, stride, &mut offsets),
            };
            known.push((before, stride, after));
            self.addresses[index] = after;
        }
    }

    fn advanced(&mut self, from: Address, pos: Pos, stride: usize, offsets: &mut Vec<(usize, ir::Value)>) -> Address {
        let pos = match pos {
            Pos::Known(pos) => return Address { offset: from.offset + (pos * stride * ELEMENT) as i64, ..from },
            Pos::Running(pos) => pos,
        };
        let offset = match offsets.iter().find(|(of, _)| *of == stride) {
            Some((_, offset)) => *offset,
            None => self.scaled(pos, stride * ELEMENT),
        };
        offsets.push((stride, offset));
        Address { base: self.b.ins().iadd(from.base, offset), ..from }
    }

    /// A position times a number known now.
    pub fn scaled(&mut self, pos: ir::Value, factor: usize) -> ir::Value {
        if factor.is_power_of_two() {
            self.b.ins().ishl_imm_s(pos, i64::from(factor.trailing_zeros()))
        } else {
            self.b.ins().imul_imm_s(pos, factor as i64)
        }
    }

    /// Loads what an access of `phase` reaches at the current point.
    pub fn load(&mut self, phase: usize, param: ParamId, strides: &[usize], shape: Shape) -> Vec<ir::Value> {
        let (address, stride) = self.reached(phase, param, strides);
        let ty = scalar_type(self.kernel.params[param.0 as usize].dtype);
        (0..shape.unroll).map(|index| self.load_one(address, stride, ty, index * shape.width, shape.width)).collect()
    }

    fn load_one(&mut self, from: Address, stride: usize, ty: ir::Type, lane: usize, width: usize) -> ir::Value {
        if width == 1 || stride == 1 {
            let ty = vector_type(ty, width);
            let (base, offset) = self.displaced(from, lane * stride);
            return self.load_from(base, offset, ty);
        }
        // Lanes that are apart in memory are gathered one by one.
        let parts: Vec<ir::Value> = (0..width).map(|part| self.load_one(from, stride, ty, lane + part, 1)).collect();
        let first = self.b.ins().scalar_to_vector(vector_type(ty, width), parts[0]);
        let rest = (1..).zip(&parts[1..]);
        rest.fold(first, |vector, (part, number)| self.b.ins().insertlane(vector, *number, part))
    }

    fn load_from(&mut self, base: ir::Value, offset: i32, ty: ir::Type) -> ir::Value {
        if self.loads == Loads::Apart && ty == types::F32X4 {
            let bits = self.b.ins().load(types::I32X4, flags(), base, offset);
            return self.cast(ty, bits);
        }
        self.b.ins().load(ty, flags(), base, offset)
    }

    /// Stores to what an access of `phase` reaches at the current point.
    pub fn store(&mut self, phase: usize, param: ParamId, strides: &[usize], values: &[ir::Value], shape: Shape) {
        let (address, stride) = self.reached(phase, param, strides);
        for (index, value) in values.iter().enumerate() {
            self.store_one(address, stride, *value, index * shape.width, shape.width);
        }
    }

    fn store_one(&mut self, to: Address, stride: usize, value: ir::Value, lane: usize, width: usize) {
        if width == 1 || stride == 1 {
            let (base, offset) = self.displaced(to, lane * stride);
            let _ = self.b.ins().store(flags(), value, base, offset);
            return;
        }
        for part in 0..width {
            let number = self.b.ins().extractlane(value, part as u8);
            self.store_one(to, stride, number, lane + part, 1);
        }
    }

    /// The current address of an access, and its stride along the lanes.
    fn reached(&mut self, phase: usize, param: ParamId, strides: &[usize]) -> (Address, usize) {
        let index = self.accesses.iter().position(|access| access.is(phase, param, strides));
        let index = index.expect("all accesses were collected");
        let inner = self.kernel.phases[phase].inner.len();
        let stride = super::facts::lane_dim(self.kernel, inner).map_or(0, |dim| strides[dim]);
        (self.addresses[index], stride)
    }

    /// The base and the displacement of the element this many elements behind an address.
    fn displaced(&mut self, from: Address, elements: usize) -> (ir::Value, i32) {
        let offset = from.offset + (elements * ELEMENT) as i64;
        match i32::try_from(offset) {
            Ok(offset) => (from.base, offset),
            Err(_) => (self.b.ins().iadd_imm_s(from.base, offset), 0),
        }
    }
}

/// Whether an instruction may read a vector from memory itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loads {
    /// It may, wherever the vector lies.
    Anywhere,
    /// Instructions of x86 before AVX only read aligned vectors. Cranelift 0.135 knows that of all but comparisons of floats (`cmpps`), so that no
    /// load of floats is left where they could take it over.
    Apart,
}

impl Loads {
    pub fn of(machine: &dyn TargetIsa) -> Loads {
        let has_avx = machine.isa_flags().iter().any(|flag| flag.name == "has_avx" && flag.as_bool() == Some(true));
        if cfg!(target_arch = "x86_64") && !has_avx { Loads::Apart } else { Loads::Anywhere }
    }
}

/// The type of one element in a register.
pub(super) fn scalar_type(dtype: DType) -> ir::Type {
    match dtype {
        DType::F32 => types::F32,
        DType::I32 | DType::Bool => types::I32,
    }
}

/// The type of a vector of so many of these, or of one alone.
pub(super) fn vector_type(ty: ir::Type, width: usize) -> ir::Type {
    ty.by(width as u32).expect("vectors of four and of eight exist for the types of elements")
}

/// Memory is planned, so nothing traps; nothing is promised about alignment, since lanes may start anywhere.
pub(super) fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}
