//! Paths: `net.fc1.w`, `net.stage*.*.bn.scale`, `mask.s`, `mnist.image`.

use std::rc::Rc;

use super::errors::GroupMistake;
use super::value::{InstanceRef, Member, Target, Tensor, Value};
use super::{Elab, Eval, Failed, Frame, Phase};
use crate::diag::Span;
use crate::model::Symbol;
use crate::resolve::hir::{DefId, DefKind, Expr, ExprKind, Name, Segment};

/// A path, taken apart.
struct PathExpr<'p> {
    base: &'p Expr,
    segments: Vec<&'p Segment>,
}

impl<'p> Elab<'p, '_> {
    /// The value at a path.
    pub(super) fn field(&mut self, frame: &mut Frame<'p>, expr: &'p Expr, raw: bool) -> Eval<Value> {
        let path = take_apart(expr);
        if let Some(value) = self.field_of_value(frame, &path, expr.span)? {
            return Ok(value);
        }
        if self.is_too_early(frame, path.base) {
            return Err(Failed);
        }
        let mut members = self.members(frame, expr)?;
        members.iter_mut().for_each(|member| member.raw |= raw);
        if members.is_empty() {
            return Err(Failed);
        }
        let exact = path.segments.iter().all(|segment| matches!(segment, Segment::Name(_)));
        match members.as_slice() {
            [member] if exact && member.cut.is_none() => Ok(Value::Tensor(self.member_tensor(member, expr.span)?)),
            _ => Ok(Value::Set(Rc::new(members))),
        }
    }

    /// While instances are being found, paths of the top level mean nothing yet.
    fn is_too_early(&self, frame: &Frame<'p>, base: &Expr) -> bool {
        self.phase == Phase::Discover && !(frame.instance.is_some() && matches!(base.kind, ExprKind::Local(_)))
    }

    /// `epochs.start`, `mnist.image`: fields of values that are no places in a model.
    fn field_of_value(&mut self, frame: &mut Frame<'p>, path: &PathExpr<'p>, span: Span) -> Eval<Option<Value>> {
        let [Segment::Name(name)] = path.segments.as_slice() else { return Ok(None) };
        if let ExprKind::Local(_) = path.base.kind
            && let Value::Range(start, end) = self.eval(frame, path.base)?
        {
            return match &*name.text {
                "start" => Ok(Some(*start)),
                "end" => Ok(Some(*end)),
                _ => Err(self.blame_segment(name, "a range", vec!["start".into(), "end".into()])),
            };
        }
        if let ExprKind::Def(def) = path.base.kind
            && let DefKind::Data(_) = self.def(def).kind
        {
            return self.of_data(frame, def, name, span).map(Some);
        }
        Ok(None)
    }

    /// A name that a thing doesn't have.
    pub(super) fn blame_segment(&mut self, name: &Name, of: &str, known: Vec<Symbol>) -> Failed {
        let (span, name, of) = (name.span, name.text.clone(), of.into());
        self.blame(GroupMistake::NoSuchName { span, name, of, known })
    }

    /// The tensors that a group, a path or a pattern means.
    pub(super) fn members(&mut self, frame: &mut Frame<'p>, expr: &'p Expr) -> Eval<Vec<Member>> {
        match &expr.kind {
            ExprKind::Def(def) if matches!(self.def(*def).kind, DefKind::Group(_)) => {
                self.named_group(*def).map(|members| members.to_vec())
            }
            ExprKind::Group(group) => self.group_value(frame, group).map(|members| members.to_vec()),
            ExprKind::Join(parts) => self.join(frame, parts, expr.span).map(|member| vec![member]),
            ExprKind::Tuple(groups) => {
                let groups: Vec<Eval<Vec<Member>>> = groups.iter().map(|group| self.members(frame, group)).collect();
                Ok(groups.into_iter().collect::<Eval<Vec<Vec<Member>>>>()?.concat())
            }
            ExprKind::Raw(inner) => {
                let mut members = self.members(frame, inner)?;
                members.iter_mut().for_each(|member| member.raw = true);
                Ok(members)
            }
            ExprKind::Field(..) => self.path_members(frame, expr),
            _ => match self.eval(frame, expr)? {
                Value::Set(members) => Ok(members.to_vec()),
                other => Err(self.blame(GroupMistake::NotAPath { span: expr.span, found: other.kind() })),
            },
        }
    }

    /// The tensors that an expression of the top level means.
    pub(super) fn members_top(&mut self, expr: &'p Expr) -> Eval<Vec<Member>> {
        let mut frame = self.top_frame();
        self.members(&mut frame, expr)
    }

    fn path_members(&mut self, frame: &mut Frame<'p>, expr: &'p Expr) -> Eval<Vec<Member>> {
        let path = take_apart(expr);
        let mut found = vec![];
        let prefixes = self.prefixes(frame, path.base)?;
        for prefix in &prefixes {
            found.extend(self.matches(prefix, &path.segments));
        }
        if found.is_empty() {
            return Err(self.blame_path(&prefixes, &path, expr.span));
        }
        let wild = path.segments.iter().any(|segment| !matches!(segment, Segment::Name(_)));
        let found = if wild { most_lasting(found) } else { found };
        Ok(found.into_iter().map(|(path, target)| Member { path, target, cut: None, raw: false }).collect())
    }

    /// The paths that the first part of a path stands for.
    fn prefixes(&mut self, frame: &mut Frame<'p>, base: &'p Expr) -> Eval<Vec<Symbol>> {
        if let ExprKind::Def(def) = base.kind
            && matches!(self.def(def).kind, DefKind::Sparsified(_) | DefKind::Group(_))
        {
            return self.parameterisation_paths(def, base.span);
        }
        match self.eval(frame, base)? {
            Value::Instance(instance) => Ok(vec![self.instances[instance.id].path.clone()]),
            Value::Instances(chain) => Ok(self.chain_path(&chain).into_iter().collect()),
            Value::Poison => Err(Failed),
            other => Err(self.blame(GroupMistake::NoPathsInto { span: base.span, found: other.kind() })),
        }
    }

    /// The path that an expression spells out without patterns, below a model.
    pub(super) fn exact_path(&mut self, expr: &'p Expr) -> Option<String> {
        let path = take_apart(expr);
        let ExprKind::Def(def) = path.base.kind else { return None };
        let DefKind::Model(_) = self.def(def).kind else { return None };
        let mut text = self.def(def).name.text.to_string();
        for segment in path.segments {
            let Segment::Name(name) = segment else { return None };
            text = format!("{text}.{}", name.text);
        }
        Some(text)
    }

    /// The model that a path (pattern) leads into.
    pub(super) fn model_of_path(&self, expr: &Expr) -> Option<Symbol> {
        let ExprKind::Def(def) = take_apart(expr).base.kind else { return None };
        matches!(self.def(def).kind, DefKind::Model(_)).then(|| self.def(def).name.text.clone())
    }

    /// The layer instances that a path (pattern) means; none where it means tensors.
    pub(super) fn instances_at(&mut self, expr: &'p Expr) -> Vec<Symbol> {
        let path = take_apart(expr);
        let ExprKind::Def(def) = path.base.kind else { return vec![] };
        let DefKind::Model(_) = self.def(def).kind else { return vec![] };
        let prefix = self.def(def).name.text.clone();
        if path.segments.is_empty() || !self.matches(&prefix, &path.segments).is_empty() {
            return vec![];
        }
        self.instances.keys().filter(|own| fits_below(&prefix, own, &path.segments)).cloned().collect()
    }

    fn chain_path(&self, chain: &[InstanceRef]) -> Option<Symbol> {
        let first = &self.instances[chain.first()?.id].path;
        first.rsplit_once('.').map(|(path, _)| path.into())
    }

    /// Where the parameterisations of a `sparsify` line live.
    fn parameterisation_paths(&mut self, def: DefId, span: Span) -> Eval<Vec<Symbol>> {
        let name = self.def(def).name.text.clone();
        let under = format!("{name}.");
        let own = |path: &Symbol| self.sparse.iter().any(|s| s.name == name && s.paths.contains(path));
        let paths: Vec<Symbol> =
            self.instances.keys().filter(|path| path.starts_with(&under) && own(path)).cloned().collect();
        let declared = self.broken_names.contains(&name) || self.sparse.iter().any(|own| own.name == name);
        if paths.is_empty() && declared && !self.diags.is_empty() {
            return Err(Failed);
        }
        if paths.is_empty() {
            return Err(self.blame(GroupMistake::NotSparsified { span, name }));
        }
        Ok(paths)
    }

    /// Every named tensor under a path, parameters first.
    pub(super) fn leaves(&mut self, prefix: &str) -> Vec<(Symbol, Target)> {
        let under = format!("{prefix}.");
        let (mut params, mut states) = (vec![], vec![]);
        for (path, inst) in self.instances.iter().filter(|(path, _)| ***path == *prefix || path.starts_with(&under)) {
            params.extend(inst.params.iter().map(|(name, id)| (join(path, name), Target::Param(*id))));
            states.extend(inst.states.iter().map(|(name, id)| (join(path, name), Target::State(*id))));
        }
        let mine = |path: &Symbol| path.starts_with(&under);
        let inner = self.inner.keys().chain(self.measures.keys());
        let inner = inner.filter(|(mode, path)| *mode == self.mode && mine(path));
        let inner = inner.map(|(_, path)| (path.clone(), Target::Inner)).collect();
        [params, states, inner].concat()
    }

    /// A value bound or measured inside an instance.
    pub(super) fn inner_tensor(&mut self, path: &Symbol) -> Option<Tensor> {
        let key = (self.mode, path.clone());
        self.reads_inner = true;
        match self.measures.get(&key) {
            Some(expr) => Some(Tensor { expr: *expr, labels: vec![] }),
            None => self.inner.get(&key).cloned(),
        }
    }

    /// The name of a parameter of the parameterisations that go by a name.
    pub(super) fn parameter_of(&self, name: &str) -> Option<Symbol> {
        let paths = self.sparse.iter().filter(|own| *own.name == *name).flat_map(|own| &own.paths);
        paths.filter_map(|path| self.instances.get(path)?.params.first()).map(|(name, _)| name.clone()).min()
    }

    fn matches(&mut self, prefix: &str, segments: &[&Segment]) -> Vec<(Symbol, Target)> {
        let mut leaves = self.leaves(prefix);
        leaves.retain(|(path, _)| {
            let names: Vec<&str> = path[prefix.len()..].split('.').skip(1).collect();
            fits(segments, &names)
        });
        leaves
    }

    /// Says which segment of a path leads nowhere.
    fn blame_path(&mut self, prefixes: &[Symbol], path: &PathExpr<'p>, span: Span) -> Failed {
        let first = prefixes.first().cloned().unwrap_or_else(|| "".into());
        let under = format!("{first}.");
        if self.failed_instances.iter().any(|path| *path == first || path.starts_with(&under)) {
            return Failed;
        }
        if path.segments.iter().any(|segment| !matches!(segment, Segment::Name(_))) {
            let known = self.leaves(&first).into_iter().filter(|(_, target)| matches!(target, Target::Param(_)));
            let known = known.map(|(path, _)| path).collect();
            return self.blame(GroupMistake::EmptyPattern { span, known });
        }
        let mut place = first;
        for segment in &path.segments {
            let Segment::Name(name) = segment else { continue };
            let known = self.children(&place);
            if !known.contains(&name.text) {
                return self.blame_segment(name, &format!("`{place}`"), known);
            }
            place = join(&place, &name.text);
        }
        let known = self.children(&place);
        self.blame(GroupMistake::PathIsALayer { span, path: place, known })
    }

    /// The names right under a path.
    fn children(&mut self, place: &str) -> Vec<Symbol> {
        let under = format!("{place}.");
        let paths = self.leaves(place).into_iter().map(|(path, _)| path);
        let paths: Vec<Symbol> = paths.chain(self.instances.keys().cloned()).collect();
        let mut names: Vec<Symbol> = vec![];
        for path in paths.iter().filter_map(|path| path.strip_prefix(&*under)) {
            let name: Symbol = path.split('.').next().unwrap_or(path).into();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

fn take_apart(expr: &Expr) -> PathExpr<'_> {
    match &expr.kind {
        ExprKind::Field(inner, segment) => {
            let mut path = take_apart(inner);
            path.segments.push(segment);
            path
        }
        _ => PathExpr { base: expr, segments: vec![] },
    }
}

/// A path with one more name.
pub(super) fn join(path: &str, name: &str) -> Symbol {
    format!("{path}.{name}").into()
}

/// A pattern means parameters where it matches any, else states, else inner values.
fn most_lasting(found: Vec<(Symbol, Target)>) -> Vec<(Symbol, Target)> {
    let is_param = |(_, target): &(Symbol, Target)| matches!(target, Target::Param(_));
    let is_state = |(_, target): &(Symbol, Target)| matches!(target, Target::State(_));
    if found.iter().any(is_param) {
        found.into_iter().filter(is_param).collect()
    } else if found.iter().any(is_state) {
        found.into_iter().filter(is_state).collect()
    } else {
        found
    }
}

/// Whether the rest of a path below `prefix` fits a pattern.
pub(super) fn fits_below(prefix: &str, path: &str, segments: &[&Segment]) -> bool {
    let Some(rest) = path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')) else { return false };
    fits(segments, &rest.split('.').collect::<Vec<&str>>())
}

/// Whether a text fits another one with stars, which stand for anything.
pub(super) fn fits_text(pattern: &str, text: &str) -> bool {
    fits_glob(pattern.as_bytes(), text.as_bytes())
}

/// Whether the names of a path fit a pattern.
fn fits(segments: &[&Segment], names: &[&str]) -> bool {
    match (segments.split_first(), names.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((Segment::Any(_), rest)), _) => (0..=names.len()).any(|skipped| fits(rest, &names[skipped..])),
        (Some(_), None) => false,
        (Some((segment, rest)), Some((name, names))) => fits_one(segment, name) && fits(rest, names),
    }
}

fn fits_one(segment: &Segment, name: &str) -> bool {
    match segment {
        Segment::Name(own) => *own.text == *name,
        Segment::OneOf(names, _) => names.iter().any(|own| *own.text == *name),
        Segment::Glob(glob) => fits_glob(glob.text.as_bytes(), name.as_bytes()),
        Segment::Any(_) => true,
    }
}

fn fits_glob(glob: &[u8], name: &[u8]) -> bool {
    match (glob.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|skipped| fits_glob(rest, &name[skipped..])),
        (Some((g, glob)), Some((n, name))) => g == n && fits_glob(glob, name),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::FileId;

    #[test]
    fn stars_stay_in_a_segment_and_double_stars_span_segments() {
        let span = Span { file: FileId(0), start: 0, end: 0 };
        let name = |text: &str| Name { text: text.into(), span };
        let (glob, any, w) = (Segment::Glob(name("conv*")), Segment::Any(span), Segment::Name(name("w")));
        assert!(fits(&[&glob, &w], &["conv12", "w"]));
        assert!(!fits(&[&glob, &w], &["fc", "w"]));
        assert!(!fits(&[&glob, &w], &["conv1", "bn", "w"]));
        assert!(fits(&[&any, &w], &["w"]));
        assert!(fits(&[&any, &w], &["a", "b", "c", "w"]));
        assert!(!fits(&[&any, &w], &["a", "b"]));
    }
}
