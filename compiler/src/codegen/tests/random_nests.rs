//! Random loop nests.

use std::sync::Arc;

use proptest::prelude::*;
use spnc_runtime::random;

use super::check;
use crate::lir::{
    Buffer, BufferId, Call, DType, Def, Fold, Func, Inst, Kernel, KernelId, Lanes, Module, Param, ParamId, Phase,
    Place, Role, Run, Step, Store, Value, verify,
};
use crate::scalar::{Binary, Unary};

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 40, ..ProptestConfig::default() })]
    #[test]
    fn random_nests_agree_with_the_interpreter(seed in any::<u64>()) {
        let module = module(seed);
        if let Err(errors) = verify::verify(&module) {
            panic!("{errors:#?}\n{}", super::text(&module));
        }
        check(&module, seed);
    }
}

/// A module of one function that runs one random kernel.
fn module(seed: u64) -> Module {
    let mut maker = Maker { seed, drawn: 0, kernel: empty(), lens: vec![], roles: vec![], values: vec![] };
    maker.make();
    maker.module()
}

fn empty() -> Kernel {
    Kernel { params: vec![], rows: vec![], lanes: Lanes::Rows, phases: vec![] }
}

/// Builds a kernel by drawing; the same seed gives the same kernel.
struct Maker {
    seed: u64,
    drawn: u64,
    kernel: Kernel,
    /// Elements behind each param.
    lens: Vec<usize>,
    /// Inputs are read only, outputs stored to.
    roles: Vec<Role>,
    /// What later instructions may use.
    values: Vec<Made>,
}

/// A value that exists.
#[derive(Clone, Copy)]
struct Made {
    value: Value,
    dtype: DType,
    /// Whether the interpreter's is the same, bit by bit: only then may it decide something.
    exact: bool,
    /// Whether it has one value for each row only.
    row: bool,
}

impl Maker {
    fn below(&mut self, bound: usize) -> usize {
        self.drawn += 1;
        let draw = random::uniform(self.seed as i32, (self.seed >> 32) as i32, 77, self.drawn);
        (draw * bound as f32) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A box of up to so many dimensions, of not too many points.
    fn sizes(&mut self, most: usize) -> Vec<usize> {
        let mut sizes = vec![];
        for _ in 0..self.below(most + 1) {
            let size = self.pick(&[1, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 19, 33]);
            let points = sizes.iter().product::<usize>() * size;
            sizes.push(if points <= 400 { size } else { 2 });
        }
        sizes
    }

    fn make(&mut self) {
        self.kernel.rows = self.sizes(3);
        self.kernel.lanes = self.pick(&[Lanes::Rows, Lanes::Inner]);
        for _ in 0..=self.below(3) {
            self.phase();
        }
    }

    fn phase(&mut self) {
        let inner = self.sizes(2);
        let is_row = inner.is_empty();
        self.kernel.phases.push(Phase { inner, ..Phase::default() });
        for _ in 0..2 + self.below(10) {
            self.def(is_row);
        }
        let candidates: Vec<Made> = self.values.iter().copied().filter(|made| !self.is_own_fold(made.value)).collect();
        for _ in 0..1 + self.below(2) {
            if !candidates.is_empty() {
                let made = self.pick(&candidates);
                self.store(made);
            }
        }
        self.values.retain(|made| made.row);
    }

    fn is_own_fold(&self, value: Value) -> bool {
        let (def, phase) = self.kernel.def(value);
        matches!(def.inst, Inst::Fold(..)) && phase + 1 == self.kernel.phases.len()
    }

    fn current(&mut self) -> &mut Phase {
        self.kernel.phases.last_mut().expect("there is a phase")
    }

    fn push(&mut self, inst: Inst, dtype: DType, exact: bool) {
        let value = Value(self.kernel.phases.iter().map(|phase| phase.defs.len()).sum::<usize>() as u32);
        let row = self.current().inner.is_empty() || matches!(inst, Inst::Fold(..));
        self.current().defs.push(Def { inst, dtype });
        self.values.push(Made { value, dtype, exact, row });
    }

    fn any(&mut self, fits: impl Fn(&Made) -> bool) -> Option<Made> {
        let usable = self.values.iter().copied().filter(|made| !self.is_own_fold(made.value) && fits(made));
        let usable: Vec<Made> = usable.collect();
        (!usable.is_empty()).then(|| self.pick(&usable))
    }

    fn def(&mut self, is_row: bool) {
        match self.below(12) {
            0..4 => self.load(),
            4 => self.constant(),
            5 => self.index(),
            6 => self.unary(),
            7 | 8 => self.binary(),
            9 => self.select_or_convert(),
            10 if self.below(4) == 0 => self.uniform(),
            _ if !is_row => self.fold(),
            _ => self.load(),
        }
    }

    fn dims(&mut self) -> Vec<usize> {
        let inner = self.current().inner.clone();
        self.kernel.rows.iter().copied().chain(inner).collect()
    }

    /// Strides for some of the dimensions, in some order, with some gaps; all of those from `must` on their own.
    fn strides(&mut self, all: bool) -> (Vec<usize>, usize) {
        let dims = self.dims();
        let mut order: Vec<usize> = (0..dims.len()).rev().collect();
        if self.below(3) == 0 && order.len() > 1 {
            let (a, b) = (self.below(order.len()), self.below(order.len()));
            order.swap(a, b);
        }
        let mut strides = vec![0; dims.len()];
        let mut next = self.pick(&[1, 1, 1, 1, 2, 3]);
        for dim in order {
            if all || self.below(4) > 0 {
                strides[dim] = next;
                next *= dims[dim].max(1);
            }
        }
        (strides, next.max(1))
    }

    fn param(&mut self, dtype: DType, len: usize, role: Role) -> ParamId {
        self.kernel.params.push(Param { dtype });
        self.lens.push(len);
        self.roles.push(role);
        ParamId(self.kernel.params.len() as u32 - 1)
    }

    fn load(&mut self) {
        let dtype = self.pick(&[DType::F32, DType::F32, DType::F32, DType::I32, DType::Bool]);
        let (strides, len) = self.strides(false);
        let param = self.param(dtype, len, Role::Input);
        self.push(Inst::Load(param, strides), dtype, true);
    }

    /// Stores, and half of the time reads what was there before.
    fn store(&mut self, made: Made) {
        let (strides, len) = self.strides(true);
        let param = self.param(made.dtype, len, Role::Output);
        let mut value = made.value;
        if made.dtype == DType::F32 && self.below(2) == 0 {
            self.push(Inst::Load(param, strides.clone()), DType::F32, true);
            let before = self.values[self.values.len() - 1];
            self.push(Inst::Binary(Binary::Sub, before.value, made.value), DType::F32, false);
            value = self.values[self.values.len() - 1].value;
        }
        self.current().stores.push(Store { param, strides, value });
    }

    fn constant(&mut self) {
        let dtype = self.pick(&[DType::F32, DType::I32, DType::Bool]);
        let value = match dtype {
            DType::F32 => self.pick(&[0.0, 1.0, -0.5, 0.375]),
            DType::I32 => self.pick(&[0.0, 1.0, -7.0]),
            DType::Bool => self.pick(&[0.0, 1.0]),
        };
        self.push(Inst::Const(value), dtype, true);
    }

    fn index(&mut self) {
        let dims = self.dims().len();
        if dims > 0 {
            let dim = self.below(dims);
            self.push(Inst::Index(dim), DType::I32, true);
        }
    }

    fn unary(&mut self) {
        let function = self.pick(&Unary::ALL);
        let dtypes: &[DType] = match function {
            Unary::Not => &[DType::Bool],
            Unary::Neg | Unary::Abs | Unary::Sign => &[DType::F32, DType::I32],
            Unary::Sqrt | Unary::Exp | Unary::Log | Unary::Erf | Unary::ErfInv => &[DType::F32],
            Unary::Tanh | Unary::Sigmoid | Unary::Sin | Unary::Cos => &[DType::F32],
            Unary::Floor | Unary::Ceil => &[DType::F32],
        };
        let small = |made: &Made| made.exact && dtypes.contains(&made.dtype);
        if let Some(a) = self.any(small) {
            let exact = super::super::routines::unary(function).is_none();
            self.push(Inst::Unary(function, a.value), a.dtype, exact);
        }
    }

    fn binary(&mut self) {
        let function = self.pick(&Binary::ALL);
        let dtypes: &[DType] = match function {
            Binary::And | Binary::Or => &[DType::Bool],
            Binary::Eq | Binary::Ne => &[DType::F32, DType::I32, DType::Bool],
            Binary::Div | Binary::Pow => &[DType::F32],
            Binary::Add | Binary::Sub | Binary::Mul | Binary::MulZ => &[DType::F32, DType::I32],
            Binary::Min | Binary::Max => &[DType::F32, DType::I32],
            Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => &[DType::F32, DType::I32],
        };
        let dtype = self.pick(dtypes);
        let exact = move |made: &Made| made.exact && made.dtype == dtype;
        if let (Some(a), Some(b)) = (self.any(exact), self.any(exact)) {
            let result = if function.is_predicate() { DType::Bool } else { dtype };
            // Quotients and products of quotients may be large, so nothing is built on them.
            let tame = !matches!(function, Binary::Pow | Binary::Div);
            self.push(Inst::Binary(function, a.value, b.value), result, tame);
        }
    }

    fn select_or_convert(&mut self) {
        let [Some(c), Some(a)] =
            [self.any(|made| made.exact && made.dtype == DType::Bool), self.any(|made| made.exact)]
        else {
            return;
        };
        if self.below(2) == 0 {
            let to = self.pick(&[DType::F32, DType::I32, DType::Bool]);
            return self.push(Inst::Convert(a.value), to, true);
        }
        if let Some(b) = self.any(|made| made.dtype == a.dtype) {
            self.push(Inst::Select(c.value, a.value, b.value), a.dtype, b.exact);
        }
    }

    fn uniform(&mut self) {
        let seed = self.param(DType::I32, 1, Role::Input);
        let zeros = vec![0; self.dims().len()];
        self.push(Inst::Load(seed, zeros), DType::I32, true);
        let key = self.values[self.values.len() - 1].value;
        let (strides, _) = self.strides(false);
        self.push(Inst::Uniform { seed: key, step: key, site: 5, strides }, DType::F32, true);
    }

    fn fold(&mut self) {
        let how = self.pick(&[Fold::Sum, Fold::Max, Fold::Min]);
        if let Some(a) = self.any(|made| made.exact && made.dtype != DType::Bool) {
            let exact = a.dtype == DType::I32 || how != Fold::Sum;
            self.push(Inst::Fold(how, a.value), a.dtype, exact);
        }
    }

    fn module(mut self) -> Module {
        let mut module = Module::default();
        for (index, param) in self.kernel.params.iter().enumerate() {
            let role = self.roles[index];
            let name: Arc<str> = format!("p{index}").into();
            let len = self.lens[index];
            module.buffers.push(Buffer { name, role, dtype: param.dtype, len, offset: module.arena });
            module.arena += (4 * len).next_multiple_of(64);
        }
        let only = |role: Role| {
            let ids = (0..self.roles.len()).filter(|index| self.roles[*index] == role);
            ids.map(|index| BufferId(index as u32)).collect()
        };
        let (inputs, outputs) = (only(Role::Input), only(Role::Output));
        let args = (0..self.roles.len() as u32).map(|index| Place { buffer: BufferId(index), start: 0 }).collect();
        let extent = self.kernel.extent();
        let chunk = self.pick(&[16, 32, extent.next_multiple_of(16).max(16)]);
        let run = Run { kernel: KernelId(0), args, chunk };
        let slices = extent.div_ceil(chunk).max(1);
        let step = Step::alone(Call::Run(run), slices, "".into());
        module.funcs.push(Func { name: "f".into(), inputs, outputs, steps: vec![step] });
        module.kernels.push(self.kernel);
        module
    }
}
