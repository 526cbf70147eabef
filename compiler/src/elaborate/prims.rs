//! The primitive functions: what their arguments are called, and what they build.

use super::call::ArgValue;
use super::errors::{PartMistake, ShapeMistake};
use super::value::{LayerValue, Tensor, Value};
use super::{Elab, Eval, Failed};
use crate::diag::Span;
use crate::model::{DType, Op, Reduction, Size, Symbol};
use crate::scalar::{Binary, Unary};

/// The names of a primitive's arguments; `required` of them can't be left out, those before `placed` may go by position, and
/// axes or other values may follow where `rest` is set.
struct Signature {
    names: &'static [&'static str],
    required: usize,
    placed: usize,
    rest: bool,
}

/// What may be given to a primitive; `None` where there is no such primitive.
fn signature(prim: &str) -> Option<Signature> {
    let with =
        |names: &'static [&'static str], required| Signature { names, required, placed: names.len(), rest: false };
    let fixed = |names: &'static [&'static str]| with(names, names.len());
    let open = |names: &'static [&'static str]| Signature { rest: true, ..fixed(names) };
    Some(match prim {
        _ if Unary::from_name(prim).is_some() => fixed(&["x"]),
        "sum" | "mean" | "var" | "std" | "min" | "max" => open(&["x"]),
        "transpose" | "argmax" => open(&["x"]),
        "where" => fixed(&["c", "a", "b"]),
        "clamp" => fixed(&["x", "lo", "hi"]),
        "matmul" => fixed(&["a", "b"]),
        "reshape" => fixed(&["x", "shape"]),
        "one_hot" => fixed(&["x", "n"]),
        "quantile" => fixed(&["x", "q"]),
        "uniform" => fixed(&["lo", "hi"]),
        "normal" => fixed(&["mean", "std"]),
        "bernoulli" => fixed(&["p"]),
        "full_like" => fixed(&["x", "value"]),
        "full" => fixed(&["shape", "value"]),
        "require" => fixed(&["x", "condition"]),
        "load" => with(&["file", "name"], 1),
        "chain" => fixed(&["n", "layer"]),
        "scan" => fixed(&["cell", "x", "over", "from"]),
        "float" | "int" => fixed(&["x"]),
        "conv2d" => with(&["x", "w", "stride", "padding", "dilation", "groups"], 2),
        "conv_transpose2d" => with(&["x", "w", "stride", "padding", "output_padding", "dilation", "groups"], 2),
        "max_pool" | "avg_pool" => with(&["x", "size", "stride", "padding"], 2),
        "concat" => Signature { placed: 0, ..open(&["over"]) },
        "slice" => with(&["x", "axis", "range", "step"], 3),
        "pad" => with(&["x", "axis", "before", "after", "value"], 4),
        "gather" => with(&["table", "index", "over"], 2),
        "top_k" => open(&["x", "k"]),
        "cumsum" => fixed(&["x", "axis"]),
        "positions" => fixed(&["n"]),
        "size" => fixed(&["x", "axis"]),
        _ => return None,
    })
}

/// The arguments of a primitive: those with names in their order, then the axes.
pub(super) struct Args {
    fixed: Vec<Option<ArgValue>>,
    axes: Vec<ArgValue>,
    /// All of the call.
    pub span: Span,
}

impl Args {
    /// A required argument.
    pub(super) fn at(&self, index: usize) -> (&Value, Span) {
        self.given(index).expect("`prim_args` has checked that it is there")
    }

    /// An argument that may be left out.
    pub(super) fn given(&self, index: usize) -> Option<(&Value, Span)> {
        self.fixed[index].as_ref().map(|arg| (&arg.value, arg.span))
    }

    /// What follows.
    pub(super) fn axes(&self) -> Vec<(&Value, Span)> {
        self.axes.iter().map(|arg| (&arg.value, arg.span)).collect()
    }
}

impl Elab<'_, '_> {
    /// A call of a primitive.
    pub(super) fn prim(&mut self, name: &'static str, args: Vec<ArgValue>, span: Span) -> Eval<Value> {
        let args = self.prim_args(name, args, span)?;
        if let Some(f) = Unary::from_name(name) {
            return self.unary(f, args.at(0), span);
        }
        match name {
            "sum" | "mean" | "var" | "std" | "argmax" => self.reduction(name, &args),
            "min" | "max" => self.extreme(name, &args),
            "where" => self.select(args.at(0), args.at(1), args.at(2), span),
            "clamp" => self.clamp(&args),
            "matmul" => self.matmul(args.at(0), args.at(1), span),
            "reshape" | "transpose" | "one_hot" | "full_like" => self.other_shape(name, &args),
            "full" => self.full(&args),
            "quantile" => self.quantile(&args),
            "uniform" | "normal" | "bernoulli" => self.random(name, &args),
            "float" => self.real_of(&args),
            "int" => self.integer_of(&args),
            "load" => self.load(&args),
            "require" => self.require(&args),
            "chain" => self.chain(&args),
            "scan" => self.scan(&args),
            "conv2d" => self.conv2d(&args),
            "conv_transpose2d" => self.conv_transpose2d(&args),
            "max_pool" | "avg_pool" => self.pool(name, &args),
            "concat" => self.concat(&args),
            "slice" => self.slice(&args),
            "pad" => self.pad(&args),
            "gather" => self.gather(&args),
            "top_k" => self.top_k(&args),
            "cumsum" => self.cumsum(&args),
            "positions" => self.counted(&args),
            "size" => self.size_of_axis(&args),
            _ => Err(self.blame(ShapeMistake::Lost { span })),
        }
    }

    fn prim_args(&mut self, name: &'static str, args: Vec<ArgValue>, span: Span) -> Eval<Args> {
        let Some(signature) = signature(name) else {
            return Err(self.blame(ShapeMistake::Lost { span }));
        };
        let mut slots: Vec<Option<ArgValue>> = signature.names.iter().map(|_| None).collect();
        let mut axes = vec![];
        for arg in args {
            let slot = match &arg.name {
                Some(label) => signature.names.iter().position(|name| **name == *label.text),
                None => slots[..signature.placed].iter().position(Option::is_none),
            };
            match slot {
                Some(slot) if slots[slot].is_none() => slots[slot] = Some(arg),
                None if signature.rest && arg.name.is_none() => axes.push(arg),
                Some(_) | None => {
                    let inputs = signature.names.iter().map(|&name| name.into()).collect();
                    return Err(self.blame_argument(arg, name, inputs, None));
                }
            }
        }
        if let Some(missing) = slots[..signature.required].iter().position(Option::is_none) {
            let missing = signature.names[missing].into();
            let mistake = ShapeMistake::MissingArgument { span, callee: name.into(), missing, declared: None };
            return Err(self.blame(mistake));
        }
        if slots.iter().flatten().chain(&axes).any(|arg| matches!(arg.value, Value::Poison)) {
            return Err(Failed);
        }
        Ok(Args { fixed: slots, axes, span })
    }

    fn reduction(&mut self, name: &str, args: &Args) -> Eval<Value> {
        let (value, at) = args.at(0);
        let tensor = self.tensor(value, at)?;
        let tensor = match self.dtype(&tensor) {
            DType::I32 if name == "argmax" => tensor,
            DType::F32 | DType::I32 | DType::Bool => self.convert(&tensor, DType::F32, at),
        };
        let positions = self.positions(&tensor, at, &args.axes())?;
        let span = args.span;
        let result = match (name, positions.as_slice()) {
            ("sum", positions) => self.reduce(Reduction::Sum, &tensor, positions, span),
            ("mean", positions) => self.mean(&tensor, positions, span)?,
            ("var", positions) => self.variance(&tensor, positions, span)?,
            ("std", positions) => self.deviation(&tensor, positions, span)?,
            (_, [position]) => self.argmax(&tensor, *position, span)?,
            (_, _) => {
                let found = self.shown(&tensor);
                return Err(self.blame(ShapeMistake::OneAxis { span, tensor: at, found }));
            }
        };
        Ok(Value::Tensor(result))
    }

    /// `max(a, b)` of two values, or `max(x, A, B)` over axes.
    fn extreme(&mut self, name: &str, args: &Args) -> Eval<Value> {
        let how = if name == "min" { (Reduction::Min, Binary::Min) } else { (Reduction::Max, Binary::Max) };
        let (value, at) = args.at(0);
        if let [other] = args.axes.as_slice()
            && !self.is_axis_of(&other.value, value)
        {
            return self.binary(how.1, (value, at), (&other.value, other.span), args.span);
        }
        let tensor = self.tensor(value, at)?;
        let positions = self.positions(&tensor, at, &args.axes())?;
        Ok(Value::Tensor(self.reduce(how.0, &tensor, &positions, args.span)))
    }

    /// A size is an axis where the tensor has one of its name, else a number.
    fn is_axis_of(&self, value: &Value, tensor: &Value) -> bool {
        match (value, tensor) {
            (Value::Axes(_), _) => true,
            (Value::Size(label, _), Value::Tensor(tensor)) => tensor.labels.contains(&Some(label.clone())),
            _ => false,
        }
    }

    fn clamp(&mut self, args: &Args) -> Eval<Value> {
        let above = self.binary(Binary::Max, args.at(0), args.at(1), args.span)?;
        self.binary(Binary::Min, (&above, args.at(0).1), args.at(2), args.span)
    }

    fn other_shape(&mut self, name: &str, args: &Args) -> Eval<Value> {
        let (value, at) = args.at(0);
        let tensor = self.tensor(value, at)?;
        let span = args.span;
        Ok(Value::Tensor(match name {
            "reshape" => match args.at(1).0 {
                Value::Shape(shape) => self.reshape_to(&tensor, at, shape, span)?,
                other => return Err(self.blame(ShapeMistake::NotAShape { span: args.at(1).1, found: other.kind() })),
            },
            "transpose" => self.transpose_to(&tensor, at, &args.axes(), span)?,
            "one_hot" => self.one_hot(&tensor, args.at(1), span)?,
            _ => {
                let value = self.real(args.at(1).0, args.at(1).1)?;
                self.broadcast_to(&value, args.at(1).1, &tensor, at)?
            }
        }))
    }

    fn quantile(&mut self, args: &Args) -> Eval<Value> {
        let (tensor, share) = (self.real(args.at(0).0, args.at(0).1)?, self.real(args.at(1).0, args.at(1).1)?);
        if self.shape(&tensor).contains(&Size::Batch) {
            let (span, found, name) = (args.at(0).1, self.shown(&tensor), self.batch_name(&tensor));
            return Err(self.blame(PartMistake::SortedBatch { span, found, name }));
        }
        let flat = self.reshape_to(&tensor, args.at(0).1, &[(None, None)], args.span)?;
        if !share.labels.is_empty() {
            let found = self.shown(&share);
            return Err(self.blame(ShapeMistake::NotAScalar { span: args.at(1).1, what: "the share", found }));
        }
        Ok(Value::Tensor(self.emit(Op::Quantile(flat.expr, share.expr), DType::F32, vec![], args.span)))
    }

    /// What the batch axis of a tensor is called.
    fn batch_name(&mut self, tensor: &Tensor) -> Symbol {
        let batch = self.axes(tensor).into_iter().find(|(_, size)| *size == Size::Batch);
        batch.and_then(|(label, _)| label).map_or_else(|| "B".into(), |label| label.name)
    }

    fn random(&mut self, name: &str, args: &Args) -> Eval<Value> {
        let given = args.fixed.iter().flatten();
        let tensors: Vec<Tensor> = given.map(|arg| self.real(&arg.value, arg.span)).collect::<Eval<Vec<Tensor>>>()?;
        let at = |i: usize| (&tensors[i], args.at(i).1);
        Ok(Value::Tensor(match name {
            "uniform" => self.uniform(at(0), at(1), args.span)?,
            "normal" => self.normal(at(0), at(1), args.span)?,
            _ => self.bernoulli(at(0), args.span)?,
        }))
    }

    fn real_of(&mut self, args: &Args) -> Eval<Value> {
        match args.at(0) {
            (Value::Bool(b), _) => Ok(Value::Number(f64::from(*b))),
            (Value::Number(x), _) => Ok(Value::Number(*x)),
            (value, at) => Ok(Value::Tensor(self.real(value, at)?)),
        }
    }

    fn integer_of(&mut self, args: &Args) -> Eval<Value> {
        match args.at(0) {
            (Value::Number(x), _) => Ok(Value::Number(x.trunc())),
            (value, at) => {
                let tensor = self.tensor(value, at)?;
                Ok(Value::Tensor(self.convert(&tensor, DType::I32, args.span)))
            }
        }
    }

    fn load(&mut self, args: &Args) -> Eval<Value> {
        let texts: Vec<_> =
            args.fixed.iter().flatten().map(|arg| self.text(&arg.value, arg.span)).collect::<Eval<_>>()?;
        let name = texts.get(1).map(|name| &**name);
        self.literal(&texts[0], name, args.span).map(Value::Tensor)
    }

    /// `require(x, condition)`: x. What is not known when compiling can't be refused.
    fn require(&mut self, args: &Args) -> Eval<Value> {
        let (value, (condition, span)) = (args.at(0).0, args.at(1));
        match condition {
            Value::Bool(false) => {
                let found = if let Value::Number(x) = value { x.to_string() } else { value.kind().to_string() };
                // Of the library, the line that uses it is shown in any case.
                let call = self.calls.last().map(|call| call.span).filter(|_| !self.library.contains(&span.file));
                Err(self.blame(ShapeMistake::NotAllowed { span, found, call }))
            }
            Value::Bool(true) | Value::Tensor(_) => Ok(value.clone()),
            other => Err(self.blame(ShapeMistake::NotACondition { span, found: other.kind().to_string() })),
        }
    }

    fn chain(&mut self, args: &Args) -> Eval<Value> {
        let n = self.whole(args.at(0).0, args.at(0).1)?;
        if n > 10_000 {
            return Err(self.blame(ShapeMistake::BadSize { span: args.at(0).1, found: n as f64 }));
        }
        match args.at(1) {
            (Value::Layer(layer), _) => Ok(Value::Chain(vec![layer.clone(); n] as Vec<LayerValue>)),
            (other, span) => Err(self.blame(ShapeMistake::NotALayer { span, found: other.kind() })),
        }
    }
}
