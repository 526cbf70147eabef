//! The text form of LIR.
//!
//! ```text
//! arena 256
//! buffer @0 lasting "w" f32 x 8 at 0
//!
//! kernel k0(p0: f32, p1: f32) rows [2] lanes inner {
//!   each [4] {
//!     %0: f32 = load p0 [4, 1]
//!     %1: f32 = fold sum %0
//!   }
//!   each [] {
//!     store p1 [1] %1
//!   }
//! }
//!
//! func "step" in [@1] out [@2] {
//!   step 2 {
//!     run k0(@0, @2+0) chunk 2 of "net.fc1"
//!     run k0(@1, @2+2) chunk 2 at 1 of "net.fc2"
//!   }
//! }
//! ```

use std::fmt::{self, Display, Write};

use super::{
    Buffer, Call, Cut, Def, Func, Gemm, Inst, Kernel, Lanes, Matrix, Module, Phase, Place, Quantile, Role, Routine,
    Store, Terms,
};

/// The text of a module; [`mod@super::parse`] reads it back.
pub fn print(module: &Module) -> String {
    let mut out = format!("arena {}\n", module.arena);
    for (index, buffer) in module.buffers.iter().enumerate() {
        let Buffer { name, role, dtype, len, offset } = buffer;
        line(&mut out, 0, format_args!("buffer @{index} {} {name:?} {dtype} x {len} at {offset}", role.name()));
    }
    for (index, k) in module.kernels.iter().enumerate() {
        line(&mut out, 0, format_args!("\nkernel k{index}{}", kernel(k)));
    }
    for func in &module.funcs {
        print_func(&mut out, func);
    }
    out
}

/// A kernel without its name: two kernels are equal if these texts are.
pub fn kernel(kernel: &Kernel) -> String {
    let params = kernel.params.iter().enumerate().map(|(index, param)| format!("p{index}: {}", param.dtype));
    let params: Vec<String> = params.collect();
    let mut out = format!("({}) rows {:?} lanes {} {{\n", params.join(", "), kernel.rows, kernel.lanes.name());
    for (phase, start) in kernel.phases.iter().zip(kernel.phase_starts()) {
        print_phase(&mut out, phase, start);
    }
    out + "}"
}

/// Appends an indented line.
fn line(out: &mut String, depth: usize, text: fmt::Arguments<'_>) {
    let pad = 2 * depth;
    writeln!(out, "{:pad$}{text}", "").expect("a string takes any text");
}

fn print_phase(out: &mut String, phase: &Phase, start: u32) {
    line(out, 1, format_args!("each {:?} {{", phase.inner));
    for (def, value) in phase.defs.iter().zip(start..) {
        line(out, 2, format_args!("%{value}: {} = {}", def.dtype, inst(def)));
    }
    for Store { param, strides, value } in &phase.stores {
        line(out, 2, format_args!("store {param} {strides:?} {value}"));
    }
    line(out, 1, format_args!("}}"));
}

fn inst(def: &Def) -> String {
    match &def.inst {
        Inst::Load(param, strides) => format!("load {param} {strides:?}"),
        Inst::Const(number) => format!("const {number:?}"),
        Inst::Index(dim) => format!("index {dim}"),
        Inst::Unary(unary, a) => format!("{unary} {a}"),
        Inst::Binary(binary, a, b) => format!("{binary} {a} {b}"),
        Inst::Select(c, a, b) => format!("select {c} {a} {b}"),
        Inst::Convert(a) => format!("convert {a}"),
        Inst::Uniform { seed, step, site, strides } => format!("uniform {seed} {step} {site} {strides:?}"),
        Inst::Fold(fold, a) => format!("fold {fold} {a}"),
    }
}

fn print_func(out: &mut String, func: &Func) {
    let Func { name, inputs, outputs, steps } = func;
    line(out, 0, format_args!("\nfunc {name:?} in [{}] out [{}] {{", list(inputs), list(outputs)));
    for step in steps {
        line(out, 1, format_args!("step {} {{", step.slices));
        for ((call, label), start) in step.labelled().zip(&step.starts) {
            let at = if *start == 0 { String::new() } else { format!(" at {start}") };
            let of = if label.is_empty() { String::new() } else { format!(" of {label:?}") };
            line(out, 2, format_args!("{}{at}{of}", print_call(call)));
        }
        line(out, 1, format_args!("}}"));
    }
    line(out, 0, format_args!("}}"));
}

fn print_call(call: &Call) -> String {
    match call {
        Call::Run(run) => format!("run {}({}) chunk {}", run.kernel, list(&run.args), run.chunk),
        Call::Gemm(gemm) => print_gemm(gemm),
        Call::Quantile(Quantile { from, len, share, to, work }) => {
            format!("quantile {from} {len} {share} {to} {work}")
        }
        Call::Routine(routine) => print_routine(routine),
    }
}

fn print_routine(routine: &Routine) -> String {
    let Routine { task, from, to, work, chunk } = routine;
    let work = work.map_or_else(String::new, |work| format!(" work {work}"));
    format!("{}{:?}({}) to {to}{work} chunk {chunk}", task.name(), task.sizes(), list(from))
}

fn print_gemm(gemm: &Gemm) -> String {
    let Gemm { m, n, k, stack, terms, a, b, in_panels, c, cut, chunk } = gemm;
    let panels = if *in_panels { " panels" } else { "" };
    let sum = match *terms {
        Terms { count: 1, .. } => String::new(),
        Terms { count, a, b } => format!(" sum {count}[{a}, {b}]"),
    };
    format!("gemm {m} {n} {k} x {stack} {c} ={sum} {a}{panels} {b} cut {} chunk {chunk}", cut_name(*cut))
}

fn list(items: &[impl Display]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.buffer)?;
        if self.start > 0 { write!(f, "+{}", self.start) } else { Ok(()) }
    }
}

impl Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}, {}, {}]", self.place, self.stack, self.row, self.col)
    }
}

impl Lanes {
    /// Its name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Lanes::Rows => "rows",
            Lanes::Inner => "inner",
        }
    }
}

/// The name of what is cut in the text form.
pub fn cut_name(cut: Cut) -> &'static str {
    match cut {
        Cut::Stack => "stack",
        Cut::Rows => "rows",
        Cut::Cols => "cols",
    }
}

impl Role {
    /// Its name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Role::Lasting => "lasting",
            Role::Input => "input",
            Role::Output => "output",
            Role::Scratch => "scratch",
            Role::Kept => "kept",
        }
    }
}
