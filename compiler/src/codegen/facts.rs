//! What the loops of a kernel mean for its values: where each is computed, and whether it differs between lanes.

use crate::lir::{Def, Inst, Kernel, Lanes, ParamId, Value};

/// Facts about the values of a kernel, by number.
pub(super) struct Facts {
    /// The loops that a value stands in: as [`Kernel::depths`], but what reads a param that the kernel writes stays
    /// within the rows.
    pub depth: Vec<usize>,
    /// Whether it differs between the lanes of a vector.
    pub varies: Vec<bool>,
    /// Whether it is the same in all lanes, yet needed as a vector.
    pub spread: Vec<bool>,
    /// The phase that defines it.
    pub phase: Vec<usize>,
}

impl Facts {
    /// Looks at every value once.
    pub fn new(kernel: &Kernel) -> Facts {
        let varies = varies(kernel);
        let phases = kernel.phases.iter().enumerate();
        let phase = phases.flat_map(|(index, phase)| std::iter::repeat_n(index, phase.defs.len())).collect();
        Facts { depth: depths(kernel), spread: spread(kernel, &varies), varies, phase }
    }
}

/// The dimension that vectors run along in a phase with this many inner dimensions; `None` where its code is scalar.
pub(super) fn lane_dim(kernel: &Kernel, inner: usize) -> Option<usize> {
    match kernel.lanes {
        Lanes::Rows => kernel.rows.len().checked_sub(1),
        Lanes::Inner if inner == 0 => None,
        Lanes::Inner => Some(kernel.rows.len() + inner - 1),
    }
}

/// Whether the kernel stores to this param.
pub(super) fn is_written(kernel: &Kernel, param: ParamId) -> bool {
    kernel.phases.iter().flat_map(|phase| &phase.stores).any(|store| store.param == param)
}

fn depths(kernel: &Kernel) -> Vec<usize> {
    let rows = kernel.rows.len();
    let mut depths = kernel.depths();
    let defs: Vec<&Def> = kernel.phases.iter().flat_map(|phase| &phase.defs).collect();
    for (value, def) in defs.iter().enumerate() {
        let own = match &def.inst {
            Inst::Load(param, _) if is_written(kernel, *param) => depths[value].max(rows),
            Inst::Fold(..) => continue,
            Inst::Load(..) | Inst::Const(_) | Inst::Index(_) | Inst::Unary(..) | Inst::Binary(..) => depths[value],
            Inst::Select(..) | Inst::Convert(_) | Inst::Uniform { .. } => depths[value],
        };
        let used = def.inst.operands();
        depths[value] = used.iter().map(|operand| depths[operand.0 as usize]).fold(own, usize::max);
    }
    depths
}

fn varies(kernel: &Kernel) -> Vec<bool> {
    let mut varies: Vec<bool> = vec![];
    for phase in &kernel.phases {
        let lane = lane_dim(kernel, phase.inner.len());
        let strided = |strides: &[usize]| lane.is_some_and(|dim| strides[dim] != 0);
        for def in &phase.defs {
            let any = |operands: &[Value]| operands.iter().any(|operand| varies[operand.0 as usize]);
            let value = match &def.inst {
                Inst::Load(_, strides) => strided(strides),
                Inst::Uniform { strides, .. } => strided(strides) || any(&def.inst.operands()),
                Inst::Index(dim) => lane == Some(*dim),
                Inst::Fold(_, operand) => kernel.lanes == Lanes::Rows && any(&[*operand]),
                Inst::Const(_) | Inst::Unary(..) | Inst::Binary(..) | Inst::Select(..) | Inst::Convert(_) => {
                    any(&def.inst.operands())
                }
            };
            varies.push(value);
        }
    }
    varies
}

fn spread(kernel: &Kernel, varies: &[bool]) -> Vec<bool> {
    let mut spread = vec![false; varies.len()];
    let mut mark = |value: Value| spread[value.0 as usize] = !varies[value.0 as usize];
    let mut number = 0;
    for phase in &kernel.phases {
        let has_lanes = lane_dim(kernel, phase.inner.len()).is_some();
        for def in &phase.defs {
            let folded = matches!(def.inst, Inst::Fold(..));
            if varies[number] || folded {
                def.inst.operands().into_iter().for_each(&mut mark);
            }
            number += 1;
        }
        phase.stores.iter().filter(|_| has_lanes).for_each(|store| mark(store.value));
    }
    spread
}
