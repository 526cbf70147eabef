//! The runtime's routines that generated code calls: their names, addresses and signatures.

use cranelift::codegen::ir;
use cranelift::frontend::FunctionBuilder;
use cranelift::prelude::{AbiParam, Signature, types};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module as _, ModuleError};
use spnc_runtime::kernels::Isa;
use spnc_runtime::kernels::lanes::{self, Function};

use crate::lir::Inst;
use crate::scalar::{Binary, Unary};

/// A routine of the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Routine {
    /// A function of each number of a block.
    Unary(Function),
    /// Powers of the numbers of a block.
    Pow,
    /// A row of draws.
    Uniform,
}

/// The routine for a function of one element; `None` where instructions do.
pub(super) fn unary(function: Unary) -> Option<Routine> {
    match function {
        Unary::Exp => Some(Routine::Unary(Function::Exp)),
        Unary::Log => Some(Routine::Unary(Function::Log)),
        Unary::Erf => Some(Routine::Unary(Function::Erf)),
        Unary::ErfInv => Some(Routine::Unary(Function::ErfInv)),
        Unary::Tanh => Some(Routine::Unary(Function::Tanh)),
        Unary::Sigmoid => Some(Routine::Unary(Function::Sigmoid)),
        Unary::Sin => Some(Routine::Unary(Function::Sin)),
        Unary::Cos => Some(Routine::Unary(Function::Cos)),
        Unary::Neg | Unary::Not | Unary::Abs | Unary::Sign | Unary::Sqrt | Unary::Floor | Unary::Ceil => None,
    }
}

/// Whether an instruction becomes a call of a routine.
pub(super) fn is_routine(inst: &Inst) -> bool {
    match inst {
        Inst::Unary(function, _) => unary(*function).is_some(),
        Inst::Binary(function, ..) => *function == Binary::Pow,
        Inst::Uniform { .. } => true,
        Inst::Load(..) | Inst::Const(_) | Inst::Index(_) | Inst::Select(..) | Inst::Convert(_) | Inst::Fold(..) => {
            false
        }
    }
}

impl Routine {
    fn all() -> impl Iterator<Item = Routine> {
        Function::ALL.into_iter().map(Routine::Unary).chain([Routine::Pow, Routine::Uniform])
    }

    fn name(self) -> String {
        match self {
            Routine::Unary(function) => format!("spnc_{function:?}").to_lowercase(),
            Routine::Pow => "spnc_pow".into(),
            Routine::Uniform => "spnc_uniform".into(),
        }
    }

    fn address(self, isa: Isa) -> *const u8 {
        match self {
            Routine::Unary(function) => function.routine(isa) as *const u8,
            Routine::Pow => lanes::pow(isa) as *const u8,
            Routine::Uniform => lanes::uniform(isa) as *const u8,
        }
    }

    fn params(self) -> &'static [ir::Type] {
        match self {
            Routine::Unary(_) => &[types::I64, types::I64],
            Routine::Pow => &[types::I64, types::I64, types::I64],
            Routine::Uniform => &[types::I32, types::I32, types::I64, types::I64, types::I64, types::I64],
        }
    }
}

/// Tells the linker where the routines are.
pub(super) fn register(builder: &mut JITBuilder, isa: Isa) {
    for routine in Routine::all() {
        let _ = builder.symbol(routine.name(), routine.address(isa));
    }
}

/// The routines as a module knows them, and those that the current function uses.
#[derive(Clone)]
pub(super) struct Imports {
    declared: Vec<(Routine, FuncId, Signature)>,
    used: Vec<(Routine, ir::FuncRef)>,
}

impl Imports {
    /// Declares all routines.
    pub fn declare(module: &mut JITModule) -> Result<Imports, Box<ModuleError>> {
        let declare = |routine: Routine| {
            let mut signature = module.make_signature();
            signature.params.extend(routine.params().iter().map(|ty| AbiParam::new(*ty)));
            let id = module.declare_function(&routine.name(), Linkage::Import, &signature).map_err(Box::new)?;
            Ok((routine, id, signature))
        };
        let declared = Routine::all().map(declare).collect::<Result<_, Box<ModuleError>>>()?;
        Ok(Imports { declared, used: vec![] })
    }

    /// Where a routine lies that the function that is being built calls.
    #[cfg(target_arch = "x86_64")]
    pub fn address(&self, reference: ir::FuncRef, isa: Isa) -> Option<u64> {
        let (routine, _) = self.used.iter().find(|(_, used)| *used == reference)?;
        Some(routine.address(isa) as u64)
    }

    /// Forgets the function before.
    pub fn next_function(&mut self) {
        self.used.clear();
    }

    /// The routine in the function that is being built.
    pub fn reference(&mut self, routine: Routine, b: &mut FunctionBuilder<'_>) -> ir::FuncRef {
        if let Some((_, reference)) = self.used.iter().find(|(used, _)| *used == routine) {
            return *reference;
        }
        let declared = self.declared.iter().find(|(known, ..)| *known == routine);
        let (_, id, signature) = declared.expect("all routines are declared");
        let signature = b.import_signature(signature.clone());
        let name = ir::UserExternalName { namespace: 0, index: id.as_u32() };
        let name = ir::ExternalName::user(b.func.declare_imported_user_function(name));
        let reference = b.import_function(ir::ExtFuncData { name, signature, colocated: false, patchable: false });
        self.used.push((routine, reference));
        reference
    }
}
