//! Many numbers where a function takes a vector.

use super::call::ArgValue;
use super::value::{Member, Tensor, Value};
use super::{Elab, Eval};
use crate::diag::Span;
use crate::model::{DType, Op, Size};
use crate::resolve::hir::{AxisPattern, DefId, DefKind, Fn, Input, InputType};

impl<'p> Elab<'p, '_> {
    /// The arguments of a function. A set of numbers, or a list of them (`each over …`), becomes a vector for an input of one axis: summing
    /// over the set, as a function of a tensor does, would give each call a number where it takes `[N]`.
    pub(super) fn with_vectors(&mut self, def: DefId, mut args: Vec<ArgValue>) -> Eval<Vec<ArgValue>> {
        let DefKind::Fn(function) = &self.def(def).kind else { return Ok(args) };
        for place in 0..args.len() {
            if !input_at(function, &args, place).is_some_and(takes_a_vector) {
                continue;
            }
            let span = args[place].span;
            let numbers = match &args[place].value {
                Value::List(values) => Some(values.iter().map(|(_, value)| value.clone()).collect()),
                Value::Set(members) => self.numbers_of(&members.clone(), span)?,
                _ => None,
            };
            if let Some(numbers) = numbers {
                args[place].value = Value::Tensor(self.vector(&numbers, span)?);
            }
        }
        Ok(args)
    }

    /// The values of a set's members, if each of them is a number.
    fn numbers_of(&mut self, members: &[Member], span: Span) -> Eval<Option<Vec<Value>>> {
        let tensors = members.iter().map(|member| self.member_tensor(member, span)).collect::<Eval<Vec<Tensor>>>()?;
        let numbers = !tensors.is_empty() && tensors.iter().all(|tensor| tensor.labels.is_empty());
        Ok(numbers.then(|| tensors.into_iter().map(Value::Tensor).collect()))
    }

    /// Numbers side by side.
    fn vector(&mut self, numbers: &[Value], span: Span) -> Eval<Tensor> {
        let mut parts = vec![];
        for number in numbers {
            let tensor = self.tensor(number, span)?;
            if !tensor.labels.is_empty() {
                let (found, what) = (self.shown(&tensor), "an element of a vector");
                return Err(self.blame(super::errors::ShapeMistake::NotAScalar { span, what, found }));
            }
            let number = self.convert(&tensor, DType::F32, span);
            parts.push(self.reshape(&number, vec![(None, Size::Known(1))], span).expr);
        }
        let axes = vec![(None, Size::Known(parts.len()))];
        Ok(self.emit(Op::Concat(parts, 0), DType::F32, axes, span))
    }
}

/// The input that an argument goes to.
fn input_at<'p>(function: &'p Fn, args: &[ArgValue], place: usize) -> Option<&'p Input> {
    let name = |input: &Input| &function.locals[input.local.0 as usize].name.text;
    match &args[place].name {
        Some(given) => function.inputs.iter().find(|input| *name(input) == given.text),
        None => {
            let named =
                |input: &Input| args.iter().any(|arg| arg.name.as_ref().is_some_and(|n| n.text == *name(input)));
            let before = args[..place].iter().filter(|arg| arg.name.is_none()).count();
            function.inputs.iter().filter(|input| !named(input)).nth(before)
        }
    }
}

fn takes_a_vector(input: &Input) -> bool {
    matches!(&input.ty, Some(InputType::Tensor(pattern)) if matches!(pattern.axes.as_slice(), [AxisPattern::Axis { .. }]))
}
