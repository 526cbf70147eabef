//! `init net from "weights.safetensors" { fc1.w = "layers.0.weight" }`: starts that a file holds.
//!
//! A tensor is looked for under its name in the braces, else under its path, with or without that of the target in front. Nothing is left out in
//! silence: a tensor that the file lacks, a tensor of the file that nothing takes and a shape that differs are mistakes.

use ndarray::ArrayD;

use super::errors::{FileMistake, GroupMistake, PlanMistake};
use super::value::{Label, Target};
use super::{Elab, Eval};
use crate::diag::Span;
use crate::model::{DType, ExprId, Literal, Op, Size, Symbol, Type};
use crate::resolve::hir::{DeclKind, Expr, Init, Segment};

/// A tensor that is started from a file.
struct Wanted {
    path: Symbol,
    target: Target,
    ty: Type,
    declared: Option<Span>,
}

/// The tensors of a file, and which of them are taken.
struct Stored {
    file: Symbol,
    tensors: Vec<(String, ArrayD<f64>)>,
    taken: Vec<bool>,
}

impl<'p> Elab<'p, '_> {
    /// All `init … from` declarations.
    pub(super) fn start_from_files(&mut self) {
        for decl in &self.program.decls {
            if let DeclKind::Init(init) = &decl.kind {
                let started = self.start_from(init);
                let _ = self.lose(started, decl.span);
            }
        }
    }

    fn start_from(&mut self, init: &'p Init) -> Eval<()> {
        let (prefix, wanted) = self.wanted(&init.target)?;
        let mut stored = self.stored(&init.file)?;
        let names = self.file_names(init, &prefix, &wanted, &mut stored)?;
        for (wanted, name) in wanted.iter().zip(names) {
            self.start_one(init, &prefix, wanted, name, &mut stored)?;
        }
        match stored.taken.iter().position(|taken| !taken) {
            Some(index) => {
                let (name, file) = (stored.tensors[index].0.clone(), stored.file);
                Err(self.blame(FileMistake::NotUsed { span: init.file.span, name, file }))
            }
            None => Ok(()),
        }
    }

    fn stored(&mut self, file: &'p Expr) -> Eval<Stored> {
        let value = self.eval_top(file)?;
        let name = self.text(&value, file.span)?;
        match self.world.tensors(&name) {
            Ok(tensors) => Ok(Stored { file: name, taken: vec![false; tensors.len()], tensors }),
            Err(refusal) => Err(self.blame(PlanMistake::Refused { span: file.span, what: "file of tensors", refusal })),
        }
    }

    /// The tensors that a target means, and the path that those in the braces are below.
    fn wanted(&mut self, target: &'p Expr) -> Eval<(Symbol, Vec<Wanted>)> {
        let is_instance = |elab: &Self, path: &str| {
            elab.instances.keys().any(|known| **known == *path || known.starts_with(&format!("{path}.")))
        };
        let whole = self.exact_path(target).filter(|path| is_instance(self, path));
        let (prefix, found): (Symbol, Vec<(Symbol, Target)>) = match whole {
            Some(path) => {
                let mut leaves = self.leaves(&path);
                // What belongs to the sequence of batches is no part of a saved network.
                leaves.retain(|(_, target)| !matches!(target, Target::State(id) if self.states[id.0 as usize].carried));
                (path.into(), leaves)
            }
            None => {
                let members = self.members_top(target)?;
                let model = members.first().and_then(|member| member.path.split('.').next()).unwrap_or_default();
                (model.into(), members.into_iter().map(|member| (member.path, member.target)).collect())
            }
        };
        let wanted: Vec<Wanted> = found.into_iter().filter_map(|(path, target)| self.lasting(path, target)).collect();
        match wanted.is_empty() {
            true => Err(self.blame(GroupMistake::EmptyPattern { span: target.span, known: vec![] })),
            false => Ok((prefix, wanted)),
        }
    }

    fn lasting(&self, path: Symbol, target: Target) -> Option<Wanted> {
        let (ty, declared) = match &target {
            Target::Param(id) => {
                let param = &self.params[id.0 as usize];
                (param.ty.clone(), Some(param.span))
            }
            Target::State(id) => (self.states[id.0 as usize].ty.clone(), None),
            Target::Inner | Target::Joined(_) => return None,
        };
        Some(Wanted { path, target, ty, declared })
    }

    /// For each wanted tensor, what the braces call it; names that are to be left out count as taken.
    fn file_names(
        &mut self,
        init: &'p Init,
        prefix: &Symbol,
        wanted: &[Wanted],
        stored: &mut Stored,
    ) -> Eval<Vec<Option<(Symbol, Span)>>> {
        let mut names: Vec<Option<(Symbol, Span)>> = vec![None; wanted.len()];
        for mapping in &init.names {
            let value = self.eval_top(&mapping.file_name)?;
            let name = self.text(&value, mapping.file_name.span)?;
            if let [Segment::Name(word)] = mapping.path.as_slice()
                && *word.text == *"unused"
            {
                self.leave_out(&name, mapping.file_name.span, stored)?;
                continue;
            }
            let segments: Vec<&Segment> = mapping.path.iter().collect();
            let slot = wanted.iter().position(|it| super::paths::fits_below(prefix, &it.path, &segments));
            let Some(slot) = slot else {
                let known = wanted.iter().map(|it| it.path.clone()).collect();
                return Err(self.blame(GroupMistake::EmptyPattern { span: mapping.span, known }));
            };
            names[slot] = Some((name, mapping.file_name.span));
        }
        Ok(names)
    }

    fn leave_out(&mut self, pattern: &str, span: Span, stored: &mut Stored) -> Eval<()> {
        let mut any = false;
        for (taken, (name, _)) in stored.taken.iter_mut().zip(&stored.tensors) {
            if super::paths::fits_text(pattern, name) {
                (*taken, any) = (true, true);
            }
        }
        let file = stored.file.clone();
        match any {
            true => Ok(()),
            false => Err(self.blame(FileMistake::NotThere { span, name: pattern.into(), file, known: known(stored) })),
        }
    }

    fn start_one(
        &mut self,
        init: &Init,
        prefix: &str,
        wanted: &Wanted,
        name: Option<(Symbol, Span)>,
        stored: &mut Stored,
    ) -> Eval<()> {
        let at = |name: &str| stored.tensors.iter().position(|(own, _)| own == name);
        let relative = wanted.path.strip_prefix(prefix).map(|path| path.trim_start_matches('.'));
        let (index, span) = match &name {
            Some((name, span)) => (at(name), *span),
            None => (at(&wanted.path).or_else(|| relative.and_then(at)), init.file.span),
        };
        let Some(index) = index else {
            let (path, file, known) = (wanted.path.clone(), stored.file.clone(), known(stored));
            return Err(match name {
                Some((name, span)) => self.blame(FileMistake::NotThere { span, name, file, known }),
                None => self.blame(FileMistake::Missing { span, path, file, known }),
            });
        };
        stored.taken[index] = true;
        let (name, value) = stored.tensors[index].clone();
        let shape = value.shape().to_vec();
        let fits = |(axis, n): (&crate::model::Axis, &usize)| self.sizes.find(axis.size) == Size::Known(*n);
        if shape.len() != wanted.ty.axes.len() || !wanted.ty.axes.iter().zip(&shape).all(fits) {
            let (path, expected) = (wanted.path.clone(), self.shown_type(&wanted.ty));
            let (file, declared) = (stored.file.clone(), wanted.declared);
            return Err(self.blame(FileMistake::OtherShape {
                span,
                path,
                expected,
                declared,
                name,
                file,
                found: shape,
            }));
        }
        let literal = Literal { name: format!("{}:{name}", stored.file).into(), value, is_start: true };
        let start = self.started_with(literal, &shape, wanted.ty.dtype, span)?;
        match &wanted.target {
            Target::Param(id) => self.params[id.0 as usize].start = start,
            Target::State(id) => self.states[id.0 as usize].start = start,
            Target::Inner | Target::Joined(_) => {}
        }
        Ok(())
    }

    fn started_with(&mut self, literal: Literal, shape: &[usize], dtype: DType, span: Span) -> Eval<ExprId> {
        if shape.contains(&0) {
            return Err(self.blame(GroupMistake::EmptyTensor { span, shape: shape.to_vec() }));
        }
        self.literals.push(literal);
        let axes: Vec<(Option<Label>, Size)> = shape.iter().map(|n| (None, Size::Known(*n))).collect();
        let tensor = self.emit(Op::Literal(self.literals.len() - 1), DType::F32, axes, span);
        Ok(self.convert(&tensor, dtype, span).expr)
    }
}

fn known(stored: &Stored) -> Vec<Symbol> {
    stored.tensors.iter().map(|(name, _)| name.as_str().into()).collect()
}
