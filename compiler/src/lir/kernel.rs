//! Loop nests: rows, phases, instructions. See [`lir`](super) for what they may do.

use std::fmt;

use super::DType;
use crate::scalar::{Binary, Unary};

/// A value in a kernel, printed `%3`: instructions are numbered through all phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub u32);

/// An index into [`Kernel::params`], printed `p3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamId(pub u32);

/// How [`Inst::Fold`] combines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fold {
    /// Addition, from 0.
    Sum,
    /// The largest, from negative infinity (`i32`: the smallest integer).
    Max,
    /// The smallest, from infinity (`i32`: the largest integer).
    Min,
}

/// Which dimension of a kernel vectors run along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lanes {
    /// The last row dimension: a vector holds neighbouring rows, in every phase. Folds need no horizontal step.
    Rows,
    /// The last inner dimension of each phase. Row values are scalars, spread where an inner box uses them; a phase
    /// without inner dimensions is scalar code.
    Inner,
}

/// A pointer that a kernel is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Param {
    /// The type of the elements it points to.
    pub dtype: DType,
}

/// What an instruction computes at each point. Operands have equal types unless it is said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Inst {
    /// An element of a param: one stride for each row dimension, then for each inner dimension.
    Load(ParamId, Vec<usize>),
    /// This number (bools: 0 or 1).
    Const(f64),
    /// The position along a dimension (rows first, then inner), an `i32`.
    Index(usize),
    /// A function of a value.
    Unary(Unary, Value),
    /// A function of two values of one type.
    Binary(Binary, Value, Value),
    /// Where the first (bool) holds the second, else the third.
    Select(Value, Value, Value),
    /// The same number in the result's type; to `i32` rounds toward zero and saturates, to bool tests `!= 0`.
    Convert(Value),
    /// A number in [0, 1): `spnc_runtime::random` at the position `Σ index[d] * strides[d]`; `seed` and `step` are `i32`.
    Uniform {
        /// The run's seed.
        seed: Value,
        /// The step that draws.
        step: Value,
        /// Which place of the program draws.
        site: u64,
        /// One for each row dimension, then for each inner dimension.
        strides: Vec<usize>,
    },
    /// The value combined over the inner box; a row value. Only in a phase that has inner dimensions.
    Fold(Fold, Value),
}

/// One definition of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Def {
    /// What is computed.
    pub inst: Inst,
    /// Its type.
    pub dtype: DType,
}

/// Writes a value to an element of a param.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// Where.
    pub param: ParamId,
    /// One stride for each row dimension, then for each inner dimension.
    pub strides: Vec<usize>,
    /// What: of this phase or a row value of an earlier one; not a fold of this phase.
    pub value: Value,
}

/// A loop over an inner box, or code that runs once for each row.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Phase {
    /// The inner box, outermost dimension first; empty: once for each row.
    pub inner: Vec<usize>,
    /// The instructions; the first one's number follows the last of the phase before.
    pub defs: Vec<Def>,
    /// What is written, at each point.
    pub stores: Vec<Store>,
}

/// A generated loop nest.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// The pointers it is given.
    pub params: Vec<Param>,
    /// The sizes of the row dimensions, outermost first; the first one is cut into slices.
    pub rows: Vec<usize>,
    /// Which dimension is vectorised.
    pub lanes: Lanes,
    /// What is done for each row.
    pub phases: Vec<Phase>,
}

impl Kernel {
    /// The extent that is cut: the first row dimension.
    pub fn extent(&self) -> usize {
        self.rows.first().copied().unwrap_or(1)
    }

    /// The number of the first value of each phase.
    pub fn phase_starts(&self) -> Vec<u32> {
        let starts = self.phases.iter().scan(0, |next, phase| {
            let start = *next;
            *next += phase.defs.len() as u32;
            Some(start)
        });
        starts.collect()
    }

    /// The definition of a value, and the index of its phase.
    pub fn def(&self, value: Value) -> (&Def, usize) {
        let mut index = value.0 as usize;
        for (number, phase) in self.phases.iter().enumerate() {
            match phase.defs.get(index) {
                Some(def) => return (def, number),
                None => index -= phase.defs.len(),
            }
        }
        panic!("no value {value} in the kernel")
    }

    /// For each value how many loops it must stand in. Below the number of row dimensions, it varies with none of the row loops
    /// further in and may be computed before they are entered; at that number, once for each row, at the start
    /// of its phase and not earlier (it may use a fold, or read what an earlier phase stored); above it, in that many of the loops.
    pub fn depths(&self) -> Vec<usize> {
        let mut depths: Vec<usize> = vec![];
        for def in self.phases.iter().flat_map(|phase| &phase.defs) {
            let own = match &def.inst {
                Inst::Load(_, strides) | Inst::Uniform { strides, .. } => innermost(strides),
                Inst::Index(dim) => dim + 1,
                Inst::Fold(..) => self.rows.len(),
                Inst::Const(_) | Inst::Unary(..) | Inst::Binary(..) | Inst::Select(..) | Inst::Convert(_) => 0,
            };
            let used = if matches!(def.inst, Inst::Fold(..)) { vec![] } else { def.inst.operands() };
            depths.push(used.iter().map(|v| depths[v.0 as usize]).fold(own, usize::max));
        }
        depths
    }
}

/// One more than the last dimension with a stride, 0 if there is none.
fn innermost(strides: &[usize]) -> usize {
    strides.iter().rposition(|stride| *stride != 0).map_or(0, |dim| dim + 1)
}

impl Inst {
    /// The param and the strides of a load.
    pub fn load(&self) -> Option<(ParamId, &[usize])> {
        if let Inst::Load(param, strides) = self { Some((*param, strides)) } else { None }
    }

    /// The operands, in order.
    pub fn operands(&self) -> Vec<Value> {
        match self {
            Inst::Load(..) | Inst::Const(_) | Inst::Index(_) => vec![],
            Inst::Unary(_, a) | Inst::Convert(a) | Inst::Fold(_, a) => vec![*a],
            Inst::Binary(_, a, b) => vec![*a, *b],
            Inst::Select(c, a, b) => vec![*c, *a, *b],
            Inst::Uniform { seed, step, .. } => vec![*seed, *step],
        }
    }
}

impl Fold {
    /// Its name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Fold::Sum => "sum",
            Fold::Max => "max",
            Fold::Min => "min",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Display for ParamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
