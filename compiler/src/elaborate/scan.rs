//! `scan(cell, x, over: T, from: carry)`: a recurrence, written out step by step.
//!
//! The cell is applied to the elements of `x` along `T`, one after the other, with the carry that it returned before; what it
//! returned is stacked along `T`, which stands first. All steps share the cell's parameters; random draws differ.

use super::call::ArgValue;
use super::errors::PartMistake;
use super::prims::Args;
use super::value::{Label, Tensor, Value};
use super::{Elab, Eval, Failed};
use crate::diag::Span;
use crate::model::{Op, Size, Symbol};

impl Elab<'_, '_> {
    /// A recurrence.
    pub(super) fn scan(&mut self, args: &Args) -> Eval<Value> {
        let (span, cell) = (args.span, self.cell(args.at(0).0)?);
        let labels = self.axis_labels(args.at(2).0, args.at(2).1)?;
        let steps = self.steps(args)?;
        let names = self.names_so_far();
        let mut carry = args.at(3).0.clone();
        let mut stacks: Vec<Vec<Tensor>> = vec![];
        for step in 0..steps {
            let x = self.element(args, step)?;
            self.forget_names_since(&names);
            let arg = |value, span| ArgValue { name: None, value, span };
            let given = vec![arg(x, args.at(1).1), arg(carry.clone(), args.at(3).1)];
            let new = self.call(cell.clone(), given, span)?;
            carry = self.carry_on(&carry, new, args)?;
            let parts = self.carry_parts(&carry, span)?;
            stacks.resize(parts.len(), vec![]);
            stacks.iter_mut().zip(parts).for_each(|(stack, part)| stack.push(part));
        }
        let stacked: Vec<Value> =
            stacks.iter().map(|parts| Value::Tensor(self.stack(parts, &labels[0], span))).collect();
        match (carry, stacked.as_slice()) {
            (Value::Tuple(_), _) => Ok(Value::Tuple(stacked)),
            (_, [only]) => Ok(only.clone()),
            (_, _) => Err(Failed),
        }
    }

    /// A layer becomes one instance for all steps.
    fn cell(&mut self, value: &Value) -> Eval<Value> {
        match value {
            Value::Layer(layer) => self.unnamed_instance(layer).map(Value::Instance),
            other => Ok(other.clone()),
        }
    }

    /// The length of the sequence: all parts of `x` agree on it.
    fn steps(&mut self, args: &Args) -> Eval<usize> {
        let mut steps = None;
        for tensor in self.sequences(args)? {
            let (_, n) = self.one_axis("scan", &tensor, args.at(1).1, args.at(2))?;
            if *steps.get_or_insert(n) != n {
                let operands = vec![(args.at(1).1, self.shown(&tensor))];
                let axis = self.axis_labels(args.at(2).0, args.at(2).1)?[0].name.clone();
                return Err(self.blame(PartMistake::Concat { span: args.span, operands, axis }));
            }
        }
        steps.ok_or(Failed)
    }

    fn sequences(&mut self, args: &Args) -> Eval<Vec<Tensor>> {
        match args.at(1) {
            (Value::Tuple(values), span) => values.iter().map(|value| self.tensor(value, span)).collect(),
            (value, span) => Ok(vec![self.tensor(value, span)?]),
        }
    }

    /// What the cell sees of `x` at a step.
    fn element(&mut self, args: &Args, step: usize) -> Eval<Value> {
        let mut elements = vec![];
        for tensor in self.sequences(args)? {
            let (axis, _) = self.one_axis("scan", &tensor, args.at(1).1, args.at(2))?;
            let part = self.part(&tensor, axis, step..step + 1, 1, args.span);
            let mut axes = self.axes(&part);
            let _ = axes.remove(axis);
            elements.push(Value::Tensor(self.reshape(&part, axes, args.span)));
        }
        match (args.at(1).0, elements.as_slice()) {
            (Value::Tuple(_), _) => Ok(Value::Tuple(elements)),
            (_, [only]) => Ok(only.clone()),
            (_, _) => Err(Failed),
        }
    }

    /// The carry of the next step: what the cell returned, in the shape and with the names of the carry before.
    fn carry_on(&mut self, old: &Value, new: Value, args: &Args) -> Eval<Value> {
        match (old, new) {
            (_, Value::Poison) => Err(Failed),
            (Value::Tuple(old), Value::Tuple(new)) if old.len() == new.len() => {
                let pairs = old.iter().zip(new);
                Ok(Value::Tuple(pairs.map(|(old, new)| self.carry_on(old, new, args)).collect::<Eval<Vec<Value>>>()?))
            }
            (Value::Tensor(old), Value::Tensor(new)) => {
                let (sizes, own) = (self.shape(old), self.shape(&new));
                let fits = sizes.len() == own.len() && sizes.iter().zip(own).all(|(a, b)| self.sizes.unify(*a, b));
                if !fits {
                    let (before, after) = (self.shown(old), self.shown(&new));
                    return Err(self.blame_carry(args, before, after));
                }
                let new = self.convert(&new, self.dtype(old), args.span);
                Ok(Value::Tensor(Tensor { expr: new.expr, labels: old.labels.clone() }))
            }
            (old @ Value::Tuple(_), new) | (old, new @ Value::Tuple(_)) => {
                let (before, after) = (parts_of(old), parts_of(&new));
                Err(self.blame_carry(args, before, after))
            }
            (Value::Number(_), new) => Ok(new),
            (_, new) => self.tensor(&new, args.span).map(Value::Tensor),
        }
    }

    fn blame_carry(&mut self, args: &Args, before: String, after: String) -> Failed {
        self.blame(PartMistake::Carry { span: args.at(3).1, cell: args.at(0).1, before, after })
    }

    fn carry_parts(&mut self, carry: &Value, span: Span) -> Eval<Vec<Tensor>> {
        match carry {
            Value::Tuple(values) => values.iter().map(|value| self.tensor(value, span)).collect(),
            value => Ok(vec![self.tensor(value, span)?]),
        }
    }

    /// Tensors of one shape along a new first axis.
    fn stack(&mut self, parts: &[Tensor], label: &Label, span: Span) -> Tensor {
        let mut axes = self.axes(&parts[0]);
        axes.insert(0, (Some(label.clone()), Size::Known(1)));
        let lifted: Vec<Tensor> = parts.iter().map(|part| self.reshape(part, axes.clone(), span)).collect();
        if let [only] = lifted.as_slice() {
            return only.clone();
        }
        axes[0].1 = Size::Known(lifted.len());
        let dtype = self.dtype(&lifted[0]);
        self.emit(Op::Concat(lifted.iter().map(|part| part.expr).collect(), 0), dtype, axes, span)
    }

    /// How many unnamed layers there are here.
    fn names_so_far(&self) -> Vec<((Symbol, Symbol), u32)> {
        let here = self.unnamed.iter().filter(|((owner, _), _)| *owner == self.path);
        here.map(|(name, count)| (name.clone(), *count)).collect()
    }

    /// Every step finds the layers that a cell without a name of its own makes where the first step made them.
    fn forget_names_since(&mut self, names: &[((Symbol, Symbol), u32)]) {
        let path = self.path.clone();
        self.unnamed.retain(|(owner, _), _| *owner != path);
        self.unnamed.extend(names.iter().cloned());
    }
}

fn parts_of(value: &Value) -> String {
    match value {
        Value::Tuple(values) => format!("{} values", values.len()),
        other => other.kind().into(),
    }
}
