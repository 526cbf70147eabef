//! Joins neighbouring loops that step through all memory as one, so that inner loops are long.

use crate::lir::{Inst, Kernel, Phase};

/// Joins what can be joined: rows with rows, inner loops with inner loops.
pub fn run(kernel: &mut Kernel) {
    while let Some(dim) =
        (1..kernel.rows.len()).find(|dim| kernel.phases.iter().all(|p| joins(p, *dim, kernel.rows[*dim])))
    {
        let size = kernel.rows.remove(dim);
        kernel.rows[dim - 1] *= size;
        kernel.phases.iter_mut().for_each(|phase| remove(phase, dim - 1));
    }
    let n_rows = kernel.rows.len();
    for phase in &mut kernel.phases {
        while let Some(dim) = (1..phase.inner.len()).find(|dim| joins(phase, n_rows + dim, phase.inner[*dim])) {
            let size = phase.inner.remove(dim);
            phase.inner[dim - 1] *= size;
            remove(phase, n_rows + dim - 1);
        }
    }
}

/// Whether everywhere one position of the loop before `dim` steps as far as all `size` positions of `dim`.
fn joins(phase: &Phase, dim: usize, size: usize) -> bool {
    let even = |strides: &[usize]| strides[dim - 1] == strides[dim] * size;
    let inst = |inst: &Inst| match inst {
        Inst::Load(_, strides) | Inst::Uniform { strides, .. } => even(strides),
        Inst::Index(index) => *index != dim && *index != dim - 1,
        Inst::Const(_) | Inst::Unary(..) | Inst::Binary(..) | Inst::Select(..) => true,
        Inst::Convert(_) | Inst::Fold(..) => true,
    };
    phase.defs.iter().all(|def| inst(&def.inst)) && phase.stores.iter().all(|store| even(&store.strides))
}

/// Forgets the loop `dim`; the next one takes its number.
fn remove(phase: &mut Phase, dim: usize) {
    for def in &mut phase.defs {
        match &mut def.inst {
            Inst::Load(_, strides) | Inst::Uniform { strides, .. } => {
                let _ = strides.remove(dim);
            }
            Inst::Index(index) if *index > dim => *index -= 1,
            Inst::Index(_) | Inst::Const(_) | Inst::Unary(..) | Inst::Binary(..) => {}
            Inst::Select(..) | Inst::Convert(_) | Inst::Fold(..) => {}
        }
    }
    for store in &mut phase.stores {
        let _ = store.strides.remove(dim);
    }
}
