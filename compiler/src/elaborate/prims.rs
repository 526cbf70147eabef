//! The primitive functions: what their arguments are called, and what they build.

use super::call::ArgValue;
use super::errors::ShapeMistake;
use super::value::{LayerValue, Tensor, Value};
use super::{Elab, Eval, Failed};
use crate::diag::Span;
use crate::model::{DType, Op, Reduction};
use crate::scalar::{Binary, Unary};

/// The names of a primitive's arguments; `required` of them can't be left out, and axes may follow where `axes` is set.
struct Signature {
    names: &'static [&'static str],
    required: usize,
    axes: bool,
}

/// What may be given to a primitive; `None` where there is no such primitive.
fn signature(prim: &str) -> Option<Signature> {
    let fixed = |names: &'static [&'static str]| Signature { names, required: names.len(), axes: false };
    Some(match prim {
        _ if Unary::from_name(prim).is_some() => fixed(&["x"]),
        "sum" | "mean" | "var" | "std" | "min" | "max" => Signature { names: &["x"], required: 1, axes: true },
        "transpose" | "argmax" => Signature { names: &["x"], required: 1, axes: true },
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
        "load" => Signature { names: &["file", "name"], required: 1, axes: false },
        "chain" => fixed(&["n", "layer"]),
        "float" | "int" => fixed(&["x"]),
        _ => return None,
    })
}

/// The arguments of a primitive: those with names in their order, then the axes.
struct Args {
    fixed: Vec<ArgValue>,
    axes: Vec<ArgValue>,
    span: Span,
}

impl Args {
    fn at(&self, index: usize) -> (&Value, Span) {
        (&self.fixed[index].value, self.fixed[index].span)
    }

    fn axes(&self) -> Vec<(&Value, Span)> {
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
            "quantile" => self.quantile(&args),
            "uniform" | "normal" | "bernoulli" => self.random(name, &args),
            "float" => self.real_of(&args),
            "int" => self.integer_of(&args),
            "load" => self.load(&args),
            "chain" => self.chain(&args),
            _ => Err(self.blame(ShapeMistake::UnsupportedFunction { span, name })),
        }
    }

    fn prim_args(&mut self, name: &'static str, args: Vec<ArgValue>, span: Span) -> Eval<Args> {
        let Some(signature) = signature(name) else {
            return Err(self.blame(ShapeMistake::UnsupportedFunction { span, name }));
        };
        let mut slots: Vec<Option<ArgValue>> = signature.names.iter().map(|_| None).collect();
        let mut axes = vec![];
        for arg in args {
            let slot = match &arg.name {
                Some(label) => signature.names.iter().position(|name| **name == *label.text),
                None => slots.iter().position(Option::is_none),
            };
            match slot {
                Some(slot) if slots[slot].is_none() => slots[slot] = Some(arg),
                None if signature.axes && arg.name.is_none() => axes.push(arg),
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
        let fixed: Vec<ArgValue> = slots.into_iter().flatten().collect();
        if fixed.iter().chain(&axes).any(|arg| matches!(arg.value, Value::Poison)) {
            return Err(Failed);
        }
        Ok(Args { fixed, axes, span })
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
        let flat = self.reshape_to(&tensor, args.at(0).1, &[(None, None)], args.span)?;
        if !share.labels.is_empty() {
            let found = self.shown(&share);
            return Err(self.blame(ShapeMistake::NotAScalar { span: args.at(1).1, what: "the share", found }));
        }
        Ok(Value::Tensor(self.emit(Op::Quantile(flat.expr, share.expr), DType::F32, vec![], args.span)))
    }

    fn random(&mut self, name: &str, args: &Args) -> Eval<Value> {
        let tensors: Vec<Tensor> =
            args.fixed.iter().map(|arg| self.real(&arg.value, arg.span)).collect::<Eval<Vec<Tensor>>>()?;
        let at = |i: usize| (&tensors[i], args.fixed[i].span);
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
        let texts: Vec<_> = args.fixed.iter().map(|arg| self.text(&arg.value, arg.span)).collect::<Eval<_>>()?;
        let name = texts.get(1).map(|name| &**name);
        self.literal(&texts[0], name, args.span).map(Value::Tensor)
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
