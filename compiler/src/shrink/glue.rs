//! The expressions between the instances of a layer, as text.

use super::body::{Body, Form, UNARY, number};
use super::facts::Facts;
use super::kept::count;
use super::layers::Unable;
use super::links::is_batch;
use crate::model::{DType, ExprId, Op, Reduction, Size};
use crate::scalar::{Binary, Unary};
use crate::window::{Pooling, Window};

/// How an expression stands in the text: what is written as a call of several operands at once.
enum Pattern {
    /// `relu(x)`.
    Relu(ExprId),
    /// `mean(x, …)` along these axes.
    Mean(ExprId, Vec<usize>),
    /// `avg_pool(x, …)`.
    Average(ExprId, Window),
    /// A sum one side of which is zero.
    Only(ExprId),
    /// The op as it is.
    Plain,
}

fn pattern(facts: &Facts<'_>, id: ExprId) -> Pattern {
    match &facts.node(id).op {
        Op::Select(c, a, b) if number(facts, *b) == Some(0.0) => match facts.node(*c).op {
            Op::Binary(Binary::Gt, x, zero) if x == *a && number(facts, zero) == Some(0.0) => Pattern::Relu(*a),
            _ => Pattern::Plain,
        },
        Op::Binary(Binary::Add, a, b) if facts.is_dead(*b) && !facts.is_dead(*a) => Pattern::Only(*a),
        Op::Binary(Binary::Add, a, b) if facts.is_dead(*a) && !facts.is_dead(*b) => Pattern::Only(*b),
        Op::Binary(Binary::Sub, a, b) if facts.is_dead(*b) => Pattern::Only(*a),
        Op::Binary(Binary::Div, a, b) => match (&facts.node(*a).op, number(facts, *b)) {
            (Op::Reduce(Reduction::Sum, x, axes), Some(n)) if n == elements(facts, *x, axes) => {
                Pattern::Mean(*x, axes.clone())
            }
            (Op::Pool(Pooling::Sum, window, x), None) if is_seen(facts, *b, window) => Pattern::Average(*x, *window),
            _ => Pattern::Plain,
        },
        Op::Binary(Binary::Mul, a, b) => match (&facts.node(*a).op, number(facts, *b)) {
            (Op::Pool(Pooling::Sum, window, x), Some(n)) if n == 1.0 / seen(window) => Pattern::Average(*x, *window),
            _ => Pattern::Plain,
        },
        _ => Pattern::Plain,
    }
}

fn elements(facts: &Facts<'_>, x: ExprId, axes: &[usize]) -> f64 {
    let is_known = axes.iter().all(|axis| !is_batch(facts.node(x), *axis));
    if is_known { axes.iter().map(|axis| facts.shape(x)[*axis] as f64).product() } else { f64::NAN }
}

/// Whether a value is how many elements of an image a window sees at each position.
fn is_seen(facts: &Facts<'_>, id: ExprId, window: &Window) -> bool {
    match &facts.node(id).op {
        Op::Pool(Pooling::Sum, own, ones) => own == window && number(facts, *ones) == Some(1.0),
        Op::Broadcast(a, _) | Op::Reshape(a) | Op::Transpose(a, _) => is_seen(facts, *a, window),
        _ => false,
    }
}

/// How many elements a window without padding sees.
fn seen(window: &Window) -> f64 {
    let is_padded = window.pad_lo != [0, 0] || window.pad_hi != [0, 0];
    if is_padded { f64::NAN } else { (window.size[0] * window.size[1]) as f64 }
}

/// What the text of an expression names.
pub fn sources(facts: &Facts<'_>, id: ExprId) -> Vec<ExprId> {
    match pattern(facts, id) {
        Pattern::Relu(x) | Pattern::Mean(x, _) | Pattern::Average(x, _) | Pattern::Only(x) => vec![x],
        Pattern::Plain => facts.operands(id),
    }
}

/// An expression that is no application.
pub fn form(body: &mut Body<'_, '_>, id: ExprId) -> Result<Form, Unable> {
    if let Some(number) = number(body.facts(), id) {
        return Ok(Form::Atom(number.to_string()));
    }
    if body.facts().params.contains_key(&id) || body.facts().baked.contains_key(&id) {
        return body.own_param(id).map(Form::Atom);
    }
    match pattern(body.facts(), id) {
        Pattern::Relu(x) => body.piped(x, "relu", String::new()),
        Pattern::Only(x) => body.expr(x),
        Pattern::Average(x, window) => body.piped(x, "avg_pool", window_arguments(body, &window)?),
        Pattern::Mean(x, axes) if axes == [2, 3] && body.facts().shape(x).len() == 4 => {
            body.layers.texts.import("std.layers", "global_pool");
            body.piped(x, "global_pool", String::new())
        }
        Pattern::Mean(x, axes) => reduced(body, "mean", x, &axes),
        Pattern::Plain => plain(body, id),
    }
}

fn plain(body: &mut Body<'_, '_>, id: ExprId) -> Result<Form, Unable> {
    let node = body.facts().node(id);
    let has_batch = (0..node.ty.axes.len()).any(|axis| is_batch(node, axis));
    if !has_batch && body.facts().is_made_of_positions(id) {
        return Ok(Form::Atom(body.fixed(id)));
    }
    match &node.op {
        Op::Unary(Unary::Neg, a) => Ok(Form::Operator(format!("-{}", body.operand(*a, UNARY)?), UNARY)),
        Op::Unary(Unary::Not, a) => Ok(Form::Operator(format!("not {}", body.operand(*a, UNARY)?), UNARY)),
        Op::Unary(function, a) => body.piped(*a, function.name(), String::new()),
        Op::Binary(function, a, b) => binary(body, *function, *a, *b),
        Op::Select(c, a, b) => {
            let [c, a, b] = [body.argument(*c)?, body.argument(*a)?, body.argument(*b)?];
            Ok(Form::Atom(format!("where({c}, {a}, {b})")))
        }
        Op::Convert(a) => match node.ty.dtype {
            DType::F32 => body.piped(*a, "float", String::new()),
            DType::I32 => body.piped(*a, "int", String::new()),
            DType::Bool => Ok(Form::Operator(format!("{} != 0", body.operand(*a, 2)?), 1)),
        },
        Op::Broadcast(a, dims) => broadcast(body, id, *a, dims),
        Op::Transpose(a, perm) => {
            let (name, axes) = body.named(*a)?;
            let order: Vec<&str> = perm.iter().map(|axis| axes[*axis].as_str()).collect();
            Ok(Form::Atom(format!("transpose({name}, {})", order.join(", "))))
        }
        Op::Reshape(a) if is_flatten(body.facts(), *a, id) => {
            body.layers.texts.import("std.layers", "flatten");
            body.piped(*a, "flatten", String::new())
        }
        Op::Reshape(a) => {
            let shape = body.shape(id);
            body.piped(*a, "reshape", shape)
        }
        Op::Reduce(Reduction::Sum, a, axes) => reduced(body, "sum", *a, axes),
        Op::Reduce(Reduction::Max, a, axes) => reduced(body, "max", *a, axes),
        Op::Reduce(Reduction::Min, a, axes) => reduced(body, "min", *a, axes),
        Op::Pool(Pooling::Max, window, a) => {
            let arguments = window_arguments(body, window)?;
            body.piped(*a, "max_pool", arguments)
        }
        Op::Pad { value, lo, hi, a } => padded(body, id, *value, (lo, hi), *a),
        Op::Slice { start, step, a } => sliced(body, id, (start, step), *a),
        Op::Concat(parts, axis) => concat(body, parts, *axis),
        Op::WithGradient(a, _) => body.expr(*a),
        Op::Pool(Pooling::Sum, ..) => Err(body.unable("it sums over windows")),
        Op::Const(_) => Err(body.unable("it has a constant tensor")),
        Op::State(state) => Ok(Form::Atom(body.own_state(id, *state)?)),
        Op::Param(_) => Err(body.unable("it has parameters or states of its own beside layers")),
        Op::Field(..) | Op::Literal(_) | Op::Clock(_) | Op::SizeOf(_) => {
            Err(body.unable("it reads what is no input of it"))
        }
        Op::Gradient(_) | Op::Iota(_) | Op::Uniform { .. } => Err(body.unable("it makes tensors out of nothing")),
        Op::Contract { lhs, rhs, out, a, b } if is_matrix_product(lhs, rhs, out) => {
            let (left, right) = (body.operand(*a, 3)?, body.operand(*b, 4)?);
            Ok(Form::Operator(format!("{left} @ {right}"), 3))
        }
        Op::Gather { batch: 0, table, index } => {
            let (table, index) = (body.argument(*table)?, body.argument(*index)?);
            Ok(Form::Atom(format!("gather({table}, {index})")))
        }
        Op::Contract { .. } | Op::Conv { .. } => Err(body.unable("it has a product of its own beside layers")),
        Op::Gather { .. } | Op::TopK(..) | Op::CumSum(..) | Op::Quantile(..) => {
            Err(body.unable("it picks or orders elements"))
        }
    }
}

/// Whether the last axis of the one is summed with the first axis of a matrix.
fn is_matrix_product(lhs: &[u8], rhs: &[u8], out: &[u8]) -> bool {
    let ([outer @ .., last], [first, column]) = (lhs, rhs) else { return false };
    last == first && *out == [outer, &[*column]].concat()[..]
}

fn binary(body: &mut Body<'_, '_>, function: Binary, a: ExprId, b: ExprId) -> Result<Form, Unable> {
    let (sign, level) = match function {
        Binary::Add => ("+", 2),
        Binary::Sub => ("-", 2),
        Binary::Mul | Binary::MulZ => ("*", 3),
        Binary::Div => ("/", 3),
        Binary::Pow => ("^", 5),
        Binary::Min => return both(body, "min", a, b),
        Binary::Max => return both(body, "max", a, b),
        Binary::Lt => ("<", 1),
        Binary::Le => ("<=", 1),
        Binary::Gt => (">", 1),
        Binary::Ge => (">=", 1),
        Binary::Eq => ("==", 1),
        Binary::Ne => ("!=", 1),
        Binary::And => ("and", 0),
        Binary::Or => ("or", 0),
    };
    let (left, right) = (body.operand(a, level)?, body.operand(b, level + 1)?);
    Ok(Form::Operator(format!("{left} {sign} {right}"), level))
}

fn both(body: &mut Body<'_, '_>, function: &str, a: ExprId, b: ExprId) -> Result<Form, Unable> {
    let (a, b) = (body.argument(a)?, body.argument(b)?);
    Ok(Form::Atom(format!("{function}({a}, {b})")))
}

/// As an operand: the axes behind the first that is there, those that are new with one element.
fn broadcast(body: &mut Body<'_, '_>, id: ExprId, a: ExprId, dims: &[usize]) -> Result<Form, Unable> {
    let node = body.facts().node(id);
    let Some(first) = dims.first() else { return body.expr(a) };
    let sizes = body.kept().shape(id);
    let size = |axis: usize| match node.ty.axes[axis].size {
        _ if !dims.contains(&axis) => "1".to_owned(),
        Size::Batch => "B".to_owned(),
        Size::Known(_) | Size::Var(_) => sizes[axis].to_string(),
    };
    let shape: Vec<String> = (*first..sizes.len()).map(size).collect();
    if shape.len() == dims.len() {
        return body.expr(a);
    }
    body.piped(a, "reshape", format!("[{}]", shape.join(", ")))
}

/// Whether all axes but the first become one.
fn is_flatten(facts: &Facts<'_>, a: ExprId, id: ExprId) -> bool {
    let (from, to) = (facts.node(a), facts.node(id));
    let is_batch_first = !from.ty.axes.is_empty() && is_batch(from, 0) && is_batch(to, 0);
    is_batch_first && to.ty.axes.len() == 2 && from.ty.axes.len() > 2
}

fn reduced(body: &mut Body<'_, '_>, function: &str, a: ExprId, axes: &[usize]) -> Result<Form, Unable> {
    let (name, names) = body.named(a)?;
    let over: Vec<&str> = axes.iter().map(|axis| names[*axis].as_str()).collect();
    Ok(Form::Atom(format!("{function}({name}, {})", over.join(", "))))
}

fn pair([height, width]: [usize; 2]) -> String {
    if height == width { height.to_string() } else { format!("({height}, {width})") }
}

fn window_arguments(body: &Body<'_, '_>, window: &Window) -> Result<String, Unable> {
    if window.pad_lo != window.pad_hi || window.dilation != [1, 1] {
        return Err(body.unable("a window of it is padded on one side"));
    }
    let mut text = pair(window.size);
    if window.stride != window.size {
        text.push_str(&format!(", stride: {}", pair(window.stride)));
    }
    if window.pad_lo != [0, 0] {
        text.push_str(&format!(", padding: {}", pair(window.pad_lo)));
    }
    Ok(text)
}

fn padded(
    body: &mut Body<'_, '_>,
    id: ExprId,
    value: f64,
    (lo, hi): (&[usize], &[usize]),
    a: ExprId,
) -> Result<Form, Unable> {
    let axes: Vec<usize> = (0..lo.len()).filter(|axis| lo[*axis] + hi[*axis] > 0).collect();
    let [axis] = axes[..] else { return Err(body.unable("it pads several axes at once")) };
    let mask = &body.kept().of(id)[axis];
    let (before, behind) = (count(&mask[..lo[axis]]), count(&mask[mask.len() - hi[axis]..]));
    let (name, names) = body.named(a)?;
    let value = if value == 0.0 { String::new() } else { format!(", value: {value}") };
    Ok(Form::Atom(format!("pad({name}, {}, {before}, {behind}{value})", names[axis])))
}

fn sliced(body: &mut Body<'_, '_>, id: ExprId, (start, step): (&[usize], &[usize]), a: ExprId) -> Result<Form, Unable> {
    let (from, to) = (body.facts().shape(a), body.facts().shape(id));
    let axes: Vec<usize> = (0..from.len()).filter(|axis| from[*axis] != to[*axis]).collect();
    let [axis] = axes[..] else { return Err(body.unable("it cuts several axes at once")) };
    let mask = body.kept().of(a)[axis].clone();
    let first = count(&mask[..start[axis]]);
    let last = first + if step[axis] == 1 { count(&body.kept().of(id)[axis]) } else { (to[axis] - 1) * step[axis] + 1 };
    let (name, names) = body.named(a)?;
    let step = if step[axis] == 1 { String::new() } else { format!(", step: {}", step[axis]) };
    Ok(Form::Atom(format!("slice({name}, {}, {first}..{last}{step})", names[axis])))
}

fn concat(body: &mut Body<'_, '_>, parts: &[ExprId], axis: usize) -> Result<Form, Unable> {
    let parts: Vec<ExprId> = parts.iter().copied().filter(|part| count(&body.kept().of(*part)[axis]) > 0).collect();
    let Some((first, rest)) = parts.split_first() else {
        return Err(body.unable("nothing is left of a concatenation"));
    };
    if rest.is_empty() {
        return body.expr(*first);
    }
    let (name, names) = body.named(*first)?;
    let mut texts = vec![name];
    for part in rest {
        texts.push(body.argument(*part)?);
    }
    Ok(Form::Atom(format!("concat({}, over: {})", texts.join(", "), names[axis])))
}
