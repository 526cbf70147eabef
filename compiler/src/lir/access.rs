//! What a call reads and what it writes.

use spnc_runtime::kernels::conv::Phase;

use super::routine::runtime_role;
use super::{BufferId, Call, Kernel, Module, Place, Routine, Task};
use crate::window::ConvRole;

impl Call {
    /// The buffers that it may read what others have written to.
    pub fn read(&self, module: &Module) -> Vec<BufferId> {
        let places = match self {
            Call::Run(run) => args(&run.args, |param| module.kernel(run.kernel).is_loaded(param)),
            Call::Gemm(gemm) => vec![gemm.a.place, gemm.b.place],
            Call::Quantile(quantile) => vec![quantile.from, quantile.share],
            Call::Routine(routine) => routine.read(),
        };
        places.into_iter().map(|place| place.buffer).collect()
    }

    /// The buffers that it needs.
    pub fn needed(&self, module: &Module) -> Vec<BufferId> {
        [self.read(module), self.written(module)].concat()
    }

    /// The buffers that it writes to.
    pub fn written(&self, module: &Module) -> Vec<BufferId> {
        let places = match self {
            Call::Run(run) => args(&run.args, |param| module.kernel(run.kernel).is_stored(param)),
            Call::Gemm(gemm) => vec![gemm.c.place],
            Call::Quantile(quantile) => vec![quantile.to, quantile.work],
            Call::Routine(routine) => routine.written(),
        };
        places.into_iter().map(|place| place.buffer).collect()
    }
}

fn args(args: &[Place], is_used: impl Fn(usize) -> bool) -> Vec<Place> {
    args.iter().enumerate().filter(|(param, _)| is_used(*param)).map(|(_, place)| *place).collect()
}

impl Kernel {
    /// Whether a phase loads from the param with this index.
    pub fn is_loaded(&self, param: usize) -> bool {
        let mut loads = self.phases.iter().flat_map(|phase| &phase.defs).filter_map(|def| def.inst.load());
        loads.any(|(from, _)| from.0 as usize == param)
    }

    /// Whether a phase stores to the param with this index.
    pub fn is_stored(&self, param: usize) -> bool {
        self.phases.iter().flat_map(|phase| &phase.stores).any(|store| store.param.0 as usize == param)
    }
}

impl Routine {
    /// Where it reads. The phases of a convolution share operands, of which packing reads those that it packs.
    pub(super) fn read(&self) -> Vec<Place> {
        let Task::Conv(role, phase, conv) = self.task else { return self.from.clone() };
        match phase {
            Phase::Pack => {
                let packed = conv.shape().packs(runtime_role(role));
                self.from.iter().zip(packed).filter(|(_, is_packed)| *is_packed).map(|(place, _)| *place).collect()
            }
            Phase::Compute => self.from.iter().copied().chain(self.work).collect(),
            Phase::Combine => self.work.into_iter().collect(),
        }
    }

    /// Where it writes. A convolution leaves what it has packed as it is; only the slices of a sum over a batch leave their shares beside it.
    pub(super) fn written(&self) -> Vec<Place> {
        let both = || [self.to].into_iter().chain(self.work).collect();
        let Task::Conv(role, phase, _) = self.task else { return both() };
        match (phase, role) {
            (Phase::Pack, _) => self.work.into_iter().collect(),
            (Phase::Compute, ConvRole::ByWeight) => both(),
            (Phase::Compute, ConvRole::Forward | ConvRole::ByInput) | (Phase::Combine, _) => vec![self.to],
        }
    }
}
