//! The emitter: one model expression after the other into one function, each once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::diag::{Sources, Span};
use crate::lower::interface::{field_name, literal_name, param_name, state_name};
use crate::model::{self, Clock, ExprId, Model, Size};
use crate::scalar::Binary;
use crate::tir::{DType, Einsum, Func, Op, Origin, Reduction, Type, Value};

/// `[B, C, H, W]` to `[B, H, W, C]`.
const CHANNELS_LAST: [usize; 4] = [0, 2, 3, 1];
/// And back.
const CHANNELS_SECOND: [usize; 4] = [0, 3, 1, 2];
/// `[Out, In, KH, KW]` to `[KH, KW, In, Out]`.
const WEIGHTS: [usize; 4] = [2, 3, 1, 0];

/// Builds one function of a program at one batch size.
pub struct Emitter<'a> {
    model: &'a Model,
    sources: &'a Sources,
    batch: usize,
    func: Func,
    emitted: HashMap<ExprId, Value>,
    inputs: HashMap<Arc<str>, Value>,
    origins: HashMap<(Span, Arc<str>), Arc<Origin>>,
    /// Where the definitions come from that are being appended.
    origin: Option<Arc<Origin>>,
    /// The value that [`model::Op::Gradient`] differentiates.
    pub objective: Option<Value>,
    /// Whether the size of the batch axis means the whole split (the input `samples`), as it does in reports.
    pub split_samples: bool,
}

impl<'a> Emitter<'a> {
    /// An emitter of a function with this name.
    pub fn new(name: impl Into<String>, model: &'a Model, sources: &'a Sources, batch: usize) -> Emitter<'a> {
        Emitter {
            model,
            sources,
            batch,
            func: Func::new(name),
            emitted: HashMap::new(),
            inputs: HashMap::new(),
            origins: HashMap::new(),
            origin: None,
            objective: None,
            split_samples: false,
        }
    }

    /// Where each expression is computed that has been emitted.
    pub fn values(&self) -> BTreeMap<ExprId, Value> {
        self.emitted.iter().map(|(id, value)| (*id, *value)).collect()
    }

    /// The function.
    pub fn finish(self) -> Func {
        self.func
    }

    /// Returns `value` under this name.
    pub fn result(&mut self, name: &str, value: Value) {
        self.func.results.push((name.into(), value));
    }

    /// Appends a definition that stands for no source text.
    pub fn push(&mut self, op: Op, ty: Type) -> Value {
        self.func.push(op, ty, None)
    }

    /// The sum of two values of one type.
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        let ty = self.func.ty(a).clone();
        self.push(Op::Binary(Binary::Add, a, b), ty)
    }

    /// From now on the value of `id` is the input `name`.
    pub fn replace_by_input(&mut self, id: ExprId, name: &str) {
        let ty = self.type_of(&self.model.graph.node(id).ty);
        let value = self.input(name.into(), ty);
        let _ = self.emitted.insert(id, value);
    }

    /// The value of an expression, emitting what is still missing of it, operands first.
    pub fn emit(&mut self, root: ExprId) -> Value {
        let mut stack = vec![root];
        while let Some(&id) = stack.last() {
            if self.emitted.contains_key(&id) {
                let _ = stack.pop();
                continue;
            }
            let missing = self.model.graph.node(id).op.operands().into_iter().filter(|o| !self.emitted.contains_key(o));
            let before = stack.len();
            stack.extend(missing.collect::<Vec<_>>());
            if stack.len() == before {
                let value = self.emit_node(id);
                let _ = self.emitted.insert(id, value);
            }
        }
        self.emitted[&root]
    }

    /// The derivative of the objective by the parameter with this index.
    pub fn emit_gradient(&mut self, param: usize) -> Value {
        let loss = self.objective.expect("the objective is emitted before its derivatives");
        let declared = &self.model.params[param];
        let ty = self.type_of(&declared.ty);
        let wrt = self.input(declared.path.clone(), ty.clone());
        let origin = self.origin(declared.span, &declared.path);
        self.func.push(Op::Grad(loss, wrt), ty, Some(origin))
    }

    fn emit_node(&mut self, id: ExprId) -> Value {
        let node = self.model.graph.node(id);
        let ty = self.type_of(&node.ty);
        self.origin = Some(self.origin(node.span, &node.path));
        match self.input_or_op(&node.op, &ty) {
            Ok(value) => value,
            Err(op) => {
                let origin = self.origin.clone();
                self.func.push(op, ty, origin)
            }
        }
    }

    /// The input that a leaf stands for, or the op of an inner node.
    fn input_or_op(&mut self, op: &model::Op, ty: &Type) -> Result<Value, Op> {
        let at = |id: &ExprId| self.emitted[id];
        Err(match op {
            model::Op::Param(id) => return Ok(self.input(param_name(self.model, *id), ty.clone())),
            model::Op::State(id) => return Ok(self.input(state_name(self.model, *id), ty.clone())),
            model::Op::Literal(index) => return Ok(self.input(literal_name(*index), ty.clone())),
            model::Op::Field(data, field) => {
                let data = &self.model.data[data.0 as usize];
                return Ok(self.input(field_name(&data.name, &data.facts.fields[*field].name), ty.clone()));
            }
            model::Op::Clock(clock) => return Ok(self.clock(*clock)),
            model::Op::SizeOf(size) => return Ok(self.size_of(*size)),
            model::Op::Gradient(param) => return Ok(self.emit_gradient(param.0 as usize)),
            model::Op::Uniform { site, each_step } => self.uniform(*site, *each_step),
            model::Op::Const(number) => Op::Const(*number),
            model::Op::Iota(axis) => Op::Iota(*axis),
            model::Op::Unary(f, a) => Op::Unary(*f, at(a)),
            model::Op::Binary(f, a, b) => Op::Binary(*f, at(a), at(b)),
            model::Op::Select(c, a, b) => Op::Select(at(c), at(a), at(b)),
            model::Op::Convert(a) => Op::Convert(at(a)),
            model::Op::Broadcast(a, dims) => Op::Broadcast(at(a), dims.clone()),
            model::Op::Transpose(a, perm) => Op::Transpose(at(a), perm.clone()),
            model::Op::Reshape(a) => Op::Reshape(at(a)),
            model::Op::Reduce(by, a, axes) => Op::Reduce(reduction(*by), at(a), axes.clone()),
            model::Op::Contract { lhs, rhs, out, a, b } => {
                let letters = |labels: &[u8]| labels.iter().map(|label| b'a' + label).collect();
                Op::Contract(Einsum { lhs: letters(lhs), rhs: letters(rhs), out: letters(out) }, at(a), at(b))
            }
            model::Op::Conv { .. } | model::Op::Pool(..) => return Err(self.image_op(op, ty)),
            model::Op::Pad { value, lo, hi, a } => {
                Op::Pad { value: *value, lo: lo.clone(), hi: hi.clone(), gap: vec![0; lo.len()], a: at(a) }
            }
            model::Op::Slice { start, step, a } => Op::Slice { start: start.clone(), step: step.clone(), a: at(a) },
            model::Op::Concat(parts, axis) => Op::Concat(parts.iter().map(at).collect(), *axis),
            model::Op::Gather { batch, table, index } => {
                Op::Gather { batch: *batch, table: at(table), index: at(index) }
            }
            model::Op::TopK(a, k) => Op::TopK(at(a), *k),
            model::Op::CumSum(a, axis) => Op::CumSum { a: at(a), axis: *axis, reverse: false },
            model::Op::Quantile(x, q) => Op::Quantile(at(x), at(q)),
            model::Op::WithGradient(a, b) => Op::WithGradient(at(a), at(b)),
        })
    }

    /// What slides a window works on images with the channels last; the result comes back with the channels in second place.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`input_or_op` sends the two ops here that slide windows")]
    fn image_op(&mut self, op: &model::Op, ty: &Type) -> Op {
        let last = match op {
            model::Op::Conv { role, window, groups, x, w } => {
                let a = self.transposed(self.emitted[x], CHANNELS_LAST);
                let b = self.transposed(self.emitted[w], WEIGHTS);
                Op::Conv { role: *role, window: *window, groups: *groups, a, b }
            }
            model::Op::Pool(how, window, a) => Op::Pool(*how, *window, self.transposed(self.emitted[a], CHANNELS_LAST)),
            other => panic!("{other:?} slides no window"),
        };
        let shape: Vec<usize> = CHANNELS_LAST.iter().map(|&axis| ty.shape[axis]).collect();
        let origin = self.origin.clone();
        let value = self.func.push(last, Type::f32(shape), origin);
        Op::Transpose(value, CHANNELS_SECOND.to_vec())
    }

    fn transposed(&mut self, value: Value, perm: [usize; 4]) -> Value {
        let ty = self.func.ty(value);
        let ty = Type::new(ty.dtype, perm.iter().map(|&axis| ty.shape[axis]).collect::<Vec<_>>());
        let origin = self.origin.clone();
        self.func.push(Op::Transpose(value, perm.to_vec()), ty, origin)
    }

    fn clock(&mut self, clock: Clock) -> Value {
        match clock {
            Clock::Epoch => self.input("epoch".into(), Type::f32([])),
            Clock::Progress => self.input("progress".into(), Type::f32([])),
            Clock::Step => {
                let step = self.input("step".into(), Type::scalar(DType::I32));
                self.push(Op::Convert(step), Type::f32([]))
            }
        }
    }

    fn size_of(&mut self, size: Size) -> Value {
        match size {
            Size::Batch if self.split_samples => self.input("samples".into(), Type::f32([])),
            Size::Batch | Size::Known(_) | Size::Var(_) => {
                let n = self.size(size);
                self.push(Op::Const(n as f64), Type::f32([]))
            }
        }
    }

    /// Starts are drawn at step -1, which no training step is, so that no step repeats them.
    fn uniform(&mut self, site: u64, each_step: bool) -> Op {
        let scalar = Type::scalar(DType::I32);
        let seed = self.input("seed".into(), scalar.clone());
        let step = if each_step { self.input("step".into(), scalar) } else { self.push(Op::Const(-1.0), scalar) };
        Op::Uniform { seed, step, site }
    }

    fn input(&mut self, name: Arc<str>, ty: Type) -> Value {
        if let Some(value) = self.inputs.get(&name) {
            return *value;
        }
        let value = self.push(Op::Param(name.clone()), ty);
        let _ = self.inputs.insert(name, value);
        value
    }

    fn type_of(&self, ty: &model::Type) -> Type {
        let dtype = match ty.dtype {
            model::DType::F32 => DType::F32,
            model::DType::I32 => DType::I32,
            model::DType::Bool => DType::Bool,
        };
        Type::new(dtype, ty.axes.iter().map(|axis| self.size(axis.size)).collect::<Vec<_>>())
    }

    fn size(&self, size: Size) -> usize {
        match size {
            Size::Known(n) => n,
            Size::Batch => self.batch,
            Size::Var(var) => panic!("size variable {var} is left after elaboration"),
        }
    }

    fn origin(&mut self, span: Span, path: &Arc<str>) -> Arc<Origin> {
        let sources = self.sources;
        let make = || {
            let (line, column) = sources.line_column(span);
            let place = format!("{}:{line}:{column}", sources.name(span.file));
            Arc::new(Origin { place, path: path.to_string(), cotangent: false })
        };
        self.origins.entry((span, path.clone())).or_insert_with(make).clone()
    }
}

fn reduction(by: model::Reduction) -> Reduction {
    match by {
        model::Reduction::Sum => Reduction::Sum,
        model::Reduction::Max => Reduction::Max,
        model::Reduction::Min => Reduction::Min,
    }
}
