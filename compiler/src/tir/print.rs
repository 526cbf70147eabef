//! The text form of the tensor IR: what [`super::parse`] reads back exactly.
//!
//! ```text
//! func evaluate@64 {
//!   %0 = param net.fc1.w : f32[784, 300]
//!   %1 = param data.image : f32[64, 784]  // quickstart.spnet:12:5 net
//!   %2 = contract ij,jk->ik %1, %0 : f32[64, 300]  // ct quickstart.spnet:13:9 net.fc1
//!   return partial.0 = %2
//! }
//! ```
//!
//! A definition ends in its type. Behind it, as a comment, stands its [`Origin`]: `ct` where it computes a cotangent,
//! the place (`-` if it has none) and the path (left out if it has none). Whatever could be mistaken in a name is
//! written with a backslash: `\s` is a space.

use std::fmt;

use super::{Def, Einsum, Func, Module, Op, Origin, Reduction};

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, func) in self.funcs.iter().enumerate() {
            let gap = if i > 0 { "\n" } else { "" };
            write!(f, "{gap}{func}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "func {} {{", escape(&self.name))?;
        for value in self.values() {
            writeln!(f, "  {value} = {}", self.def(value))?;
        }
        for (name, value) in &self.results {
            writeln!(f, "  return {} = {value}", escape(name))?;
        }
        writeln!(f, "}}")
    }
}

impl fmt::Display for Def {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} : {}", self.op, self.ty)?;
        match &self.origin {
            Some(origin) => write!(f, "  // {origin}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ct = if self.cotangent { "ct " } else { "" };
        write!(f, "{ct}{}", escape(&self.place))?;
        if self.path.is_empty() { Ok(()) } else { write!(f, " {}", escape(&self.path)) }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Param(name) => write!(f, "param {}", escape(name)),
            Op::Const(number) => write!(f, "const {number:?}"),
            Op::Iota(axis) => write!(f, "iota {axis}"),
            Op::Unary(function, a) => write!(f, "{function} {a}"),
            Op::Binary(function, a, b) => write!(f, "{function} {a}, {b}"),
            Op::Select(c, a, b) => write!(f, "select {c}, {a}, {b}"),
            Op::Convert(a) => write!(f, "convert {a}"),
            Op::Broadcast(a, dims) => write!(f, "broadcast {a}, {dims:?}"),
            Op::Transpose(a, perm) => write!(f, "transpose {a}, {perm:?}"),
            Op::Reshape(a) => write!(f, "reshape {a}"),
            Op::Reduce(how, a, axes) => write!(f, "{how} {a}, {axes:?}"),
            Op::Contract(einsum, a, b) => write!(f, "contract {einsum} {a}, {b}"),
            Op::Uniform { seed, step, site } => write!(f, "uniform {seed}, {step}, site {site}"),
            Op::Quantile(a, q) => write!(f, "quantile {a}, {q}"),
            Op::Conv { role, window, groups, a, b } => {
                write!(f, "{} {a}, {b}, window {window}, groups {groups}", role.name())
            }
            Op::Pool(how, window, a) => write!(f, "{} {a}, window {window}", how.name()),
            Op::Unpool(window, a) => write!(f, "unpool {a}, window {window}"),
            Op::UnpoolMax { window, x, ct } => write!(f, "unpool_max {x}, {ct}, window {window}"),
            Op::Pad { value, lo, hi, gap, a } => {
                write!(f, "pad {a}, value {value:?}, lo {lo:?}, hi {hi:?}, gap {gap:?}")
            }
            Op::Slice { start, step, a } => write!(f, "slice {a}, start {start:?}, step {step:?}"),
            Op::Concat(parts, axis) => {
                f.write_str("concat ")?;
                parts.iter().try_for_each(|part| write!(f, "{part}, "))?;
                write!(f, "axis {axis}")
            }
            Op::Gather { batch, table, index } => write!(f, "gather {table}, {index}, batch {batch}"),
            Op::Scatter { batch, values, index } => write!(f, "scatter {values}, {index}, batch {batch}"),
            Op::TopK(a, k) => write!(f, "top_k {a}, {k}"),
            Op::CumSum { a, axis, reverse } => {
                let reverse = if *reverse { ", reverse" } else { "" };
                write!(f, "cumsum {a}, axis {axis}{reverse}")
            }
            Op::Sparse { role, a, b, pattern } => write!(f, "{} {a}, {b}, {pattern}", role.name()),
            Op::WithGradient(a, b) => write!(f, "with_gradient {a}, {b}"),
            Op::Grad(y, x) => write!(f, "grad {y}, {x}"),
        }
    }
}

impl fmt::Display for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Reduction {
    /// Every way, in declaration order.
    pub const ALL: [Reduction; 3] = [Reduction::Sum, Reduction::Max, Reduction::Min];

    /// Its name in the text forms.
    pub fn name(self) -> &'static str {
        match self {
            Reduction::Sum => "reduce_sum",
            Reduction::Max => "reduce_max",
            Reduction::Min => "reduce_min",
        }
    }
}

impl fmt::Display for Einsum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}->{}", Labels(&self.lhs), Labels(&self.rhs), Labels(&self.out))
    }
}

/// Axis labels: a letter stands for itself, any other number is printed as `<7>`.
struct Labels<'a>(&'a [u8]);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|label| match label.is_ascii_alphabetic() {
            true => write!(f, "{}", *label as char),
            false => write!(f, "<{label}>"),
        })
    }
}

/// A name as one word: never empty, without white space, and told from the words of the syntax.
pub(super) fn escape(name: &str) -> String {
    match name {
        "" => "-".to_owned(),
        "-" | "ct" => format!("\\{name}"),
        _ => name.chars().map(escape_char).collect(),
    }
}

fn escape_char(c: char) -> String {
    match c {
        '\\' => "\\\\".to_owned(),
        ' ' => "\\s".to_owned(),
        _ if c.is_whitespace() || c.is_control() => format!("\\u{:x};", u32::from(c)),
        _ => c.to_string(),
    }
}
