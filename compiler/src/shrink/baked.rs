//! Layers whose parameterisations are over: what they computed from parameters alone becomes a parameter, and what only that needed goes.
//!
//! The text of the layer stays as it was, but for these lines: `a: [C] = reshape(compete(…))` becomes `param a: [C] = 1`.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::{Layers, Origin, Unable, instance};
use super::texts::names;
use crate::diag::{FileId, Span};
use crate::model::{ExprId, Size, Symbol};
use crate::syntax::ast::{Axis, Body, ExprKind, Input, InputType, Layer, Stmt, StmtKind, TensorType};

/// A layer with other lines.
pub struct Edit {
    /// What it is called.
    pub name: String,
    /// The paths of tensors and instances that it no longer has.
    pub dropped: Vec<Symbol>,
    /// The settings that it no longer has.
    pub settings: Vec<String>,
}

impl Layers<'_> {
    /// The layer of an instance with what was computed from parameters as parameters; `None` where there is nothing of this kind.
    pub fn edited(&mut self, path: &Symbol, new_path: &str) -> Result<Option<Edit>, Unable> {
        let baked = self.facts.baked_below(path);
        if baked.is_empty() {
            return Ok(None);
        }
        let mut dropped = vec![];
        let mut renamed: BTreeMap<String, String> = BTreeMap::new();
        for child in self.facts.children(path) {
            let name = &child[path.len() + 1..];
            if let Some(edit) = self.edited(&child, &format!("{new_path}.{name}"))? {
                let _ = renamed.insert(instance(self.facts, &child).layer.to_string(), edit.name);
                dropped.extend(edit.dropped);
            }
        }
        let own: Vec<(ExprId, String)> = baked
            .into_iter()
            .filter_map(|(expr, bound)| Some((expr, bound.strip_prefix(&format!("{path}."))?.to_owned())))
            .filter(|(_, name)| !name.contains('.'))
            .collect();
        for (expr, name) in &own {
            let masks = self.kept.of(*expr).clone();
            let _ = self.tensors.insert(format!("{new_path}.{name}"), Origin::Value(*expr, masks));
        }
        let inst = instance(self.facts, path);
        let file = inst.declared.file;
        let slice = |span: Span| self.texts.slice(span);
        let layer = self.texts.layer(file, &inst.layer);
        let layer = layer.ok_or_else(|| Unable::new(path, "its declaration is not to be found"))?;
        let known = sizes_of_signature(layer, &slice);
        let types = own.iter().map(|(expr, name)| (name.clone(), self.sizes_text(path, *expr, &known))).collect();
        let rewritten = rewrite(layer, &types, &known, &slice)
            .ok_or_else(|| Unable::new(path, "its parameters are computed inside of an expression"))?;
        dropped.extend(rewritten.dropped.iter().map(|name| format!("{path}.{name}").into()));
        let text = renamed.iter().fold(rewritten.text, |text, (from, to)| with_name(&text, from, to));
        let needs = without(&text, &renamed);
        self.need_but_own(file, &needs, &inst.layer);
        let name = self.define(&inst.layer, text, "What is left of", Some(path));
        let _ = self.new_names(&own, new_path, &rewritten.kept);
        Ok(Some(Edit { name, dropped, settings: rewritten.settings }))
    }

    /// What became a parameter and is not needed is none.
    fn new_names(&mut self, own: &[(ExprId, String)], new_path: &str, kept: &BTreeSet<String>) -> usize {
        let gone = own.iter().filter(|(_, name)| !kept.contains(name));
        gone.filter(|(_, name)| self.tensors.shift_remove(&format!("{new_path}.{name}")).is_some()).count()
    }

    fn need_but_own(&mut self, file: FileId, text: &str, own: &str) {
        let text = names(text).into_iter().filter(|name| name != own).collect::<Vec<_>>().join(" ");
        self.texts.need_for(file, &text);
    }

    /// The sizes of a parameter: by the names that the signature has for them, else as numbers.
    fn sizes_text(&self, path: &str, expr: ExprId, known: &BTreeSet<String>) -> Vec<String> {
        let inst = instance(self.facts, path);
        let (before, after) = (self.facts.shape(expr), self.kept.shape(expr));
        let axis = |axis: usize| {
            let sizes = inst.sizes.iter().filter(|(name, _)| known.contains(&**name));
            let is_left = |name: &str| self.size_left(inst, name, before[axis]) == after[axis];
            let mut named = sizes.filter(|(name, size)| *size == Size::Known(before[axis]) && is_left(name));
            match (named.next(), named.next()) {
                (Some((name, _)), None) => name.to_string(),
                _ => after[axis].to_string(),
            }
        };
        (0..before.len()).map(axis).collect()
    }
}

struct Rewritten {
    text: String,
    /// Names of parameters, states and instances that are gone.
    dropped: Vec<String>,
    settings: Vec<String>,
    /// Names that the body still binds.
    kept: BTreeSet<String>,
}

/// A layer with these bindings as parameters of these sizes, of which the signature knows some by name, without the lines that its value does not need.
fn rewrite<'t>(
    layer: &Layer,
    types: &BTreeMap<String, Vec<String>>,
    known: &BTreeSet<String>,
    slice: &dyn Fn(Span) -> &'t str,
) -> Option<Rewritten> {
    let Body::Block(block) = &layer.body else { return None };
    let bound = |stmt: &Stmt| bound(stmt).into_iter().map(str::to_owned).collect::<Vec<String>>();
    let is_param = |stmt: &Stmt| matches!(&stmt.kind, StmtKind::Bind(name, ..) if types.contains_key(&*name.text));
    if !types.keys().all(|name| block.stmts.iter().any(|stmt| is_param(stmt) && bound(stmt).contains(name))) {
        return None;
    }
    let line = |stmt: &Stmt| match &stmt.kind {
        StmtKind::Bind(name, ty, _) if types.contains_key(&*name.text) => {
            let sizes = &types[&*name.text];
            let annotated = ty.as_ref().filter(|ty| ty.axes.len() == sizes.len());
            let axes = annotated.map_or_else(|| sizes.clone(), |ty| with_sizes(ty, sizes, known, slice));
            format!("param {}: [{}] = 1", name.text, axes.join(", "))
        }
        _ => slice(stmt.span).trim_end().to_owned(),
    };
    let mut needed: BTreeSet<String> = names(slice(block.value.span)).into_iter().collect();
    let mut kept = vec![false; block.stmts.len()];
    loop {
        let mut is_new = false;
        for (stmt, kept) in block.stmts.iter().zip(&mut kept) {
            if !*kept && concerns(stmt, &needed, slice) {
                (*kept, is_new) = (true, true);
                needed.extend(names(&line(stmt)));
            }
        }
        if !is_new {
            break;
        }
    }
    let lines = block.stmts.iter().zip(&kept);
    let body: String =
        lines.clone().filter(|(_, kept)| **kept).map(|(stmt, _)| format!("    {}\n", line(stmt))).collect();
    let value = slice(block.value.span).trim();
    let (head, settings) = head(layer, &format!("{body}{value}"), slice);
    let dropped = lines.clone().filter(|(stmt, kept)| !**kept || is_param(stmt)).flat_map(|(stmt, _)| bound(stmt));
    let dropped = dropped.filter(|name| !types.contains_key(name)).collect();
    let kept = lines.filter(|(_, kept)| **kept).flat_map(|(stmt, _)| bound(stmt)).collect();
    Some(Rewritten { text: format!("{head} {{\n{body}    {value}\n}}"), dropped, settings, kept })
}

/// The names of sizes that a layer knows before its first line.
fn sizes_of_signature<'t>(layer: &Layer, slice: &dyn Fn(Span) -> &'t str) -> BTreeSet<String> {
    let inputs = layer.inputs.iter().filter_map(|input| match &input.ty {
        Some(InputType::Tensor(ty)) => Some(names(slice(ty.span))),
        Some(InputType::Axis(_)) | None => None,
    });
    layer.sizes.iter().map(|(name, _)| name.text.to_string()).chain(inputs.flatten()).collect()
}

/// The axes of an annotation; one whose size the signature does not know keeps its name and is given its size.
fn with_sizes<'t>(
    ty: &TensorType,
    sizes: &[String],
    known: &BTreeSet<String>,
    slice: &dyn Fn(Span) -> &'t str,
) -> Vec<String> {
    let is_known = |size: Span| names(slice(size)).iter().all(|name| known.contains(name));
    let axis = |(axis, left): (&Axis, &String)| match axis {
        Axis::Size(size) if is_known(size.span) => slice(size.span).to_owned(),
        Axis::Size(size) if matches!(size.kind, ExprKind::Name(..)) => format!("{}: {left}", slice(size.span)),
        Axis::Named(name, size) if is_known(size.span) => format!("{}: {}", name.text, slice(size.span)),
        Axis::Named(name, _) => format!("{}: {left}", name.text),
        Axis::Rest(name) => format!("...{}", name.text),
        Axis::Size(_) => left.clone(),
    };
    ty.axes.iter().zip(sizes).map(axis).collect()
}

/// The names that a line binds.
fn bound(stmt: &Stmt) -> Vec<&str> {
    match &stmt.kind {
        StmtKind::Param(name, ..) | StmtKind::State(name, ..) | StmtKind::Bind(name, ..) => vec![&name.text],
        StmtKind::BindTuple(names, _) => names.iter().map(|name| &*name.text).collect(),
        StmtKind::Measure(..) | StmtKind::Update(..) | StmtKind::On(..) | StmtKind::Every(..) => vec![],
    }
}

/// Whether a line is needed for what is: it binds or writes it.
fn concerns<'t>(stmt: &Stmt, needed: &BTreeSet<String>, slice: &dyn Fn(Span) -> &'t str) -> bool {
    match &stmt.kind {
        StmtKind::Update(target, _) => names(slice(target.path.span)).iter().any(|name| needed.contains(name)),
        StmtKind::On(_, _, body) | StmtKind::Every(_, body) => body.iter().any(|stmt| concerns(stmt, needed, slice)),
        StmtKind::Measure(..) => false,
        StmtKind::Param(..) | StmtKind::State(..) | StmtKind::Bind(..) | StmtKind::BindTuple(..) => {
            bound(stmt).iter().any(|name| needed.contains(*name))
        }
    }
}

/// Sizes, settings, inputs and result of a layer, and the settings that its body no longer needs.
fn head<'t>(layer: &Layer, body: &str, slice: &dyn Fn(Span) -> &'t str) -> (String, Vec<String>) {
    let used: BTreeSet<String> = names(body).into_iter().collect();
    let size = |(name, default): &(crate::syntax::ast::Name, Option<crate::syntax::ast::Expr>)| match default {
        Some(default) => format!("{} = {}", name.text, slice(default.span)),
        None => name.text.to_string(),
    };
    let sizes: Vec<String> = layer.sizes.iter().map(size).collect();
    let sizes = if sizes.is_empty() { String::new() } else { format!("[{}]", sizes.join(", ")) };
    let (kept, dropped): (Vec<&Input>, Vec<&Input>) =
        layer.settings.iter().flatten().partition(|setting| used.contains(&*setting.name.text));
    let settings: Vec<String> = kept.into_iter().map(|setting| input(setting, slice)).collect();
    let settings = if settings.is_empty() { String::new() } else { format!("({})", settings.join(", ")) };
    let inputs: Vec<String> = layer.inputs.iter().map(|own| input(own, slice)).collect();
    let results: Vec<&str> = layer.result.iter().map(|ty| slice(ty.span)).collect();
    let result = match &results[..] {
        [] => String::new(),
        [only] => format!(" -> {only}"),
        several => format!(" -> ({})", several.join(", ")),
    };
    let dropped = dropped.into_iter().map(|setting| setting.name.text.to_string()).collect();
    (format!("{sizes}{settings}({}){result}", inputs.join(", ")), dropped)
}

fn input<'t>(own: &Input, slice: &dyn Fn(Span) -> &'t str) -> String {
    let ty = match &own.ty {
        Some(InputType::Tensor(ty)) => format!(": {}", slice(ty.span)),
        Some(InputType::Axis(span)) => format!(": {}", slice(*span)),
        None => String::new(),
    };
    let default = own.default.as_ref().map_or(String::new(), |default| format!(" = {}", slice(default.span)));
    format!("{}{ty}{default}", own.name.text)
}

/// A text with another name in place of one.
fn with_name(text: &str, from: &str, to: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let before = rest[..at].chars().next_back().or(out.chars().next_back());
        let is_whole = !before.is_some_and(is_word) && !rest[at + from.len()..].chars().next().is_some_and(is_word);
        out.push_str(&rest[..at]);
        out.push_str(if is_whole { to } else { from });
        rest = &rest[at + from.len()..];
    }
    out + rest
}

/// A text without the names of new layers, which need no import.
fn without(text: &str, renamed: &BTreeMap<String, String>) -> String {
    let is_new = |name: &String| renamed.values().any(|new| new == name);
    names(text).into_iter().filter(|name| !is_new(name)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::with_name;

    #[test]
    fn whole_names_are_replaced() {
        let text = "step = LstmStep[Hidden = Hidden] // MyLstmStep, LstmSteps";
        assert_eq!(with_name(text, "LstmStep", "Other"), "step = Other[Hidden = Hidden] // MyLstmStep, LstmSteps");
    }
}
