//! Data sets and constant tensors: what the world outside says about them.

use std::collections::HashMap;

use super::errors::{GroupMistake, PlanMistake};
use super::value::{Label, ShapeAxis, TOP, Tensor, Value};
use super::{Elab, Eval, Failed, Frame, Mode};
use crate::diag::Span;
use crate::model::{DType, DataArg, DataFacts, DataId, DataSet, DataSpec, Literal, Op, Refusal, Size, Symbol};
use crate::resolve::hir::{Arg, Data, DefId, DefKind, Expr, Name};

/// A data set that could be opened.
pub(super) struct DataValue<'p> {
    def: DefId,
    name: Symbol,
    spec: DataSpec,
    facts: DataFacts,
    written: &'p [(Name, Expr)],
    memo: HashMap<(Mode, Symbol), Tensor>,
    in_progress: Vec<Symbol>,
}

impl<'p> Elab<'p, '_> {
    /// Opens every data set.
    pub(super) fn open_data(&mut self) {
        for id in (0..self.program.defs.len() as u32).map(DefId) {
            if let DefKind::Data(data) = &self.def(id).kind
                && self.open(id, data).is_err()
            {
                let _ = self.broken.insert(id);
            }
        }
    }

    fn open(&mut self, def: DefId, data: &'p Data) -> Eval<()> {
        let mut args = vec![];
        for arg in &data.args {
            let value = self.eval_top(&arg.value)?;
            let name = arg.name.as_ref().map_or(String::new(), |name| name.text.to_string());
            args.push((name, self.data_arg(value, arg.value.span)?));
        }
        let spec = DataSpec { source: data.source.text.to_string(), args };
        match self.world.data(&spec) {
            Ok(facts) => {
                let name = self.def(def).name.text.clone();
                let (written, memo, in_progress) = (data.fields.as_slice(), HashMap::new(), vec![]);
                self.data.push(DataValue { def, name, spec, facts, written, memo, in_progress });
                Ok(())
            }
            Err(refusal) => {
                let (span, what) = refused_at(data, &refusal);
                Err(self.blame(PlanMistake::Refused { span, what, refusal }))
            }
        }
    }

    fn data_arg(&mut self, value: Value, span: Span) -> Eval<DataArg> {
        match value {
            Value::Number(x) => Ok(DataArg::Number(x)),
            Value::Text(text) => Ok(DataArg::Text(text.to_string())),
            Value::Bool(b) => Ok(DataArg::Bool(b)),
            Value::Shape(axes) if axes.iter().all(|axis| matches!(axis.1, Some(Size::Known(_)))) => {
                let size = |axis: ShapeAxis| match axis.1 {
                    Some(Size::Known(n)) => Some(n as f64),
                    Some(Size::Batch | Size::Var(_)) | None => None,
                };
                Ok(DataArg::List(axes.into_iter().filter_map(size).collect()))
            }
            Value::Poison => Err(Failed),
            other => Err(self.blame(PlanMistake::DataArgument { span, found: other.kind() })),
        }
    }

    /// The value of a data set's name.
    pub(super) fn data_value(&mut self, def: DefId) -> Eval<Value> {
        self.data.iter().position(|data| data.def == def).map(Value::Data).ok_or(Failed)
    }

    /// `mnist.image`, `ptb.vocabulary`: the field as the braces define it, else as it is read; else a number that describes the data.
    pub(super) fn of_data(&mut self, frame: &Frame<'p>, def: DefId, name: &Name, span: Span) -> Eval<Value> {
        let Value::Data(index) = self.data_value(def)? else { return Err(Failed) };
        let data = &self.data[index];
        let constant = data.facts.constants.iter().find(|(own, _)| *own == name.text);
        match constant.filter(|_| !data.is_written(&name.text)) {
            Some((_, value)) => Ok(Value::Number(*value)),
            None => self.data_field(frame, def, name, span).map(Value::Tensor),
        }
    }

    /// A field, by its name.
    fn data_field(&mut self, frame: &Frame<'p>, def: DefId, name: &Name, span: Span) -> Eval<Tensor> {
        let Value::Data(index) = self.data_value(def)? else { return Err(Failed) };
        let data = &self.data[index];
        let inside = frame.fields == Some(index);
        if let Some(tensor) = data.memo.get(&(self.mode, name.text.clone())).filter(|_| !inside) {
            return Ok(tensor.clone());
        }
        if let Some((_, expr)) = data.written.iter().find(|(own, _)| own.text == name.text && !inside)
            && !data.in_progress.contains(&name.text)
        {
            return self.written_field(index, &name.text, expr);
        }
        match self.raw_field(index, &name.text, span)? {
            Some(tensor) => Ok(tensor),
            None => {
                let known = self.data[index].known_fields();
                let of = format!("`{}`", self.data[index].name);
                Err(self.blame_segment(name, &of, known))
            }
        }
    }

    fn written_field(&mut self, index: usize, name: &Symbol, expr: &'p Expr) -> Eval<Tensor> {
        self.data[index].in_progress.push(name.clone());
        let mut frame = Frame { fields: Some(index), ..self.top_frame() };
        let path = self.data[index].name.clone();
        let value = self.within(path, |elab| {
            let value = elab.eval(&mut frame, expr)?;
            elab.tensor(&value, expr.span)
        });
        let _ = self.data[index].in_progress.pop();
        let tensor = value?;
        let _ = self.data[index].memo.insert((self.mode, name.clone()), tensor.clone());
        Ok(tensor)
    }

    /// A field as it is read; `None` where there is none of this name.
    pub(super) fn raw_field(&mut self, index: usize, name: &Symbol, span: Span) -> Eval<Option<Tensor>> {
        let data = &self.data[index];
        let Some(field) = data.facts.fields.iter().position(|field| field.name == *name) else { return Ok(None) };
        let (dtype, shape) = (data.facts.fields[field].dtype, data.facts.fields[field].shape.clone());
        let samples = (Some(Label::new(&"B".into(), TOP)), Size::Batch);
        let names = image_axes(name, shape.len());
        let named =
            |(i, n): (usize, usize)| (names.get(i).map(|axis| Label::new(&(*axis).into(), TOP)), Size::Known(n));
        let axes = std::iter::once(samples).chain(shape.into_iter().enumerate().map(named)).collect();
        let path = data.name.clone();
        self.claim_data(index, span)?;
        let op = Op::Field(DataId(0), field);
        Ok(Some(self.within(path, |elab| elab.emit(op, dtype, axes, span))))
    }

    /// A program reads one data set, since its batches are of one: the first that is read.
    fn claim_data(&mut self, index: usize, span: Span) -> Eval<()> {
        let (first, at) = *self.data_read.get_or_insert((index, span));
        if first == index {
            return Ok(());
        }
        let name = |index: usize| self.data[index].name.clone();
        let (name, other) = (name(index), name(first));
        Err(self.blame(PlanMistake::TwoDataSets { span, name, first: at, other }))
    }

    /// The data set for the model: the one that is read; where none is, the first.
    pub(super) fn data_sets(&self) -> Vec<DataSet> {
        let set = |data: &DataValue<'_>| DataSet {
            name: data.name.clone(),
            spec: data.spec.clone(),
            facts: data.facts.clone(),
        };
        self.data.get(self.data_read.map_or(0, |(index, _)| index)).map(set).into_iter().collect()
    }

    /// `load("file.npz", "name")`.
    pub(super) fn literal(&mut self, file: &Symbol, name: Option<&str>, span: Span) -> Eval<Tensor> {
        let key: Symbol = name.map_or(file.clone(), |name| format!("{file}:{name}").into());
        let index = match self.literal_ids.get(&key) {
            Some(&index) => index,
            None => {
                let value = match self.world.load(file, name) {
                    Ok(value) => value,
                    Err(refusal) => return Err(self.blame(PlanMistake::Refused { span, what: "tensor", refusal })),
                };
                self.literals.push(Literal { name: key.clone(), value, is_start: false });
                let index = self.literals.len() - 1;
                let _ = self.literal_ids.insert(key, index);
                index
            }
        };
        let shape = self.literals[index].value.shape().to_vec();
        if shape.contains(&0) {
            return Err(self.blame(GroupMistake::EmptyTensor { span, shape }));
        }
        let axes = shape.into_iter().map(|n| (None, Size::Known(n))).collect();
        Ok(self.emit(Op::Literal(index), DType::F32, axes, span))
    }
}

impl DataValue<'_> {
    /// Whether the braces define this field.
    fn is_written(&self, name: &Symbol) -> bool {
        self.written.iter().any(|(own, _)| own.text == *name)
    }

    fn known_fields(&self) -> Vec<Symbol> {
        let written = self.written.iter().map(|(name, _)| name.text.clone());
        let mut known: Vec<Symbol> = self.facts.fields.iter().map(|field| field.name.clone()).collect();
        known.extend(written.filter(|name| !self.facts.fields.iter().any(|field| field.name == *name)));
        known.extend(self.facts.constants.iter().map(|(name, _)| name.clone()));
        known
    }
}

/// What a refusal is about: an argument, the file, else the source.
fn refused_at(data: &Data, refusal: &Refusal) -> (Span, &'static str) {
    let argument = refusal.argument.as_deref();
    let named = |arg: &Arg| {
        let name = arg.name.as_ref().filter(|name| Some(&*name.text) == argument)?;
        Some(name.span.to(arg.value.span))
    };
    let file = || data.args.first().filter(|arg| arg.name.is_none() && argument == Some("file"));
    match (data.args.iter().find_map(named), file()) {
        (Some(span), _) => (span, "argument"),
        (None, Some(file)) => (file.value.span, "data"),
        (None, None) => (data.source.span, "data"),
    }
}

/// What the axes of a sample of an image are called.
fn image_axes(field: &str, rank: usize) -> &'static [&'static str] {
    match (field, rank) {
        ("image", 2) => &["H", "W"],
        ("image", 3) => &["C", "H", "W"],
        (_, _) => &[],
    }
}
