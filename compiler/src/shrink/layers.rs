//! Instances as they are written in the smaller program: a library layer or one of the program's own with other sizes, or a layer that is
//! written anew from what is left of it.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::body::{Body, is_identity};
use super::facts::{Facts, Masks, is_below, is_within};
use super::kept::{Kept, count};
use super::texts::Texts;
use crate::model::{ExprId, Instance, ParamId, Size, StateId, Symbol, Type};
use crate::syntax::ast;

/// Why a layer cannot be written down anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unable {
    /// Its path.
    pub path: Symbol,
    /// Why.
    pub why: String,
    /// What can be done about it.
    pub help: &'static str,
}

/// Where a tensor of the smaller program comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// A parameter as the network sees it: what stays of it.
    Param(ParamId, Masks),
    /// A state: what stays of it.
    State(StateId, Masks),
    /// What is computed from parameters and states: what stays of it.
    Value(ExprId, Masks),
    /// Positions that a layer takes of its input.
    Numbers(Vec<f64>),
}

/// A layer that is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// What stands behind its name.
    pub text: String,
    /// What it is, in a sentence.
    pub about: String,
    /// The instances that became instances of it.
    pub of: Vec<Symbol>,
}

/// What all layers of the smaller program have in common.
pub struct Layers<'a> {
    /// The network.
    pub facts: &'a Facts<'a>,
    /// What stays of it.
    pub kept: &'a Kept,
    /// Layers that are not looked into.
    pub leaves: &'a BTreeSet<Symbol>,
    /// Texts that are taken over.
    pub texts: Texts<'a>,
    /// New layers.
    pub definitions: Vec<Definition>,
    /// The tensors of the smaller program by path.
    pub tensors: IndexMap<String, Origin>,
    /// The instance that each leaf of the smaller program was.
    pub origins: BTreeMap<String, Symbol>,
    /// Instances that do nothing in evaluation and are left out.
    pub idle: Vec<Symbol>,
}

const PICK_ABOUT: &str = "Those of the channels that the next layer reads, by their numbers.";
const PICK: &str = "Pick";
const PICK_TEXT: &str = "[Kept](x: [B, C, ...S]) -> [B, Kept, ...S] {
    state at: [Kept] = 0
    gather(x, int(at), over: C)
}";
const PICK_LAST: &str = "PickLast";
const PICK_LAST_TEXT: &str = "[Kept](x: [...S, C]) -> [...S, Kept] {
    state at: [Kept] = 0
    gather(x, int(at), over: C)
}";

impl<'a> Layers<'a> {
    /// The text that makes an instance like the one at `path`; in the smaller program it is at `new_path`.
    pub fn instance(&mut self, path: &Symbol, new_path: &str) -> Result<String, Unable> {
        if self.leaves.contains(path) { self.leaf(path, new_path) } else { self.composite(path, new_path) }
    }

    fn composite(&mut self, path: &Symbol, new_path: &str) -> Result<String, Unable> {
        let text = Body::write(self, path, new_path)?;
        let idle = self.facts.children(path).into_iter().filter(|child| is_idle(self.facts, child));
        self.idle.extend(idle.collect::<Vec<_>>());
        let layer = instance(self.facts, path).layer.clone();
        Ok(self.define(&layer, text, "What is left of", Some(path)))
    }

    /// A layer with this text behind its name: one that is there already, or a new one called like `layer`.
    pub fn define(&mut self, layer: &str, text: String, about: &str, of: Option<&Symbol>) -> String {
        let is_variant =
            |name: &str| name.strip_prefix(layer).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()));
        if let Some(known) = self.definitions.iter_mut().find(|own| own.text == text && is_variant(&own.name)) {
            known.of.extend(of.cloned());
            return known.name.clone();
        }
        let is_known = |name: &String| self.definitions.iter().any(|known| known.name == *name);
        let is_free = |name: &String| !is_known(name) && !self.is_reserved(name);
        let names = std::iter::once(layer.to_owned()).chain((2..).map(|n| format!("{layer}{n}")));
        let name = names.into_iter().find(is_free).expect("there are as many names as one likes");
        let of = of.into_iter().cloned().collect();
        self.definitions.push(Definition { name: name.clone(), text, about: about.to_owned(), of });
        name
    }

    /// Whether a layer of the program goes by this name in the smaller one, too.
    fn is_reserved(&self, name: &str) -> bool {
        let as_they_are = self.leaves.iter().filter(|leaf| self.facts.baked_below(leaf).is_empty());
        let mut layers = as_they_are.map(|leaf| instance(self.facts, leaf));
        layers.any(|own| *own.layer == *name) || self.texts.is_taken(name)
    }

    /// A layer that takes these positions of the axis of its input.
    pub fn picker(&mut self, axis: usize, numbers: Vec<f64>, new_path: &str) -> String {
        let (name, text) = if axis == 1 { (PICK, PICK_TEXT) } else { (PICK_LAST, PICK_LAST_TEXT) };
        let name = self.define(name, text.to_owned(), PICK_ABOUT, None);
        let text = format!("{name}[Kept = {}]", numbers.len());
        let _ = self.tensors.insert(format!("{new_path}.at"), Origin::Numbers(numbers));
        text
    }

    fn leaf(&mut self, path: &Symbol, new_path: &str) -> Result<String, Unable> {
        let facts = self.facts;
        let own = instance(facts, path);
        let application = facts.application(path).ok_or_else(|| Unable::new(path, "nothing applies it"))?;
        if let Some(name) = facts.lost_below(path) {
            let why = format!("a `sparsify` line makes `{name}` anew in every batch");
            let help = "let the layer of that line return what it is given where `training` is false";
            return Err(Unable { help, ..Unable::new(path, &why) });
        }
        let edit = self.edited(path, new_path)?;
        let dropped = edit.as_ref().map_or(&[][..], |edit| &edit.dropped);
        self.register(path, new_path, dropped);
        let layer = match &edit {
            Some(edit) => edit.name.clone(),
            None => own.layer.to_string(),
        };
        if edit.is_none() {
            self.texts.take(own.declared.file, &own.layer);
        }
        let is_dropped = |name: &str| edit.as_ref().is_some_and(|edit| edit.settings.iter().any(|own| own == name));
        let given = application.settings.iter().filter(|(name, _)| !is_dropped(name));
        let settings = given.map(|(name, text)| match text {
            Some(text) => Ok(format!("{name}: {text}")),
            None => Err(Unable::new(path, &format!("its setting `{name}` is no number"))),
        });
        let settings = settings.collect::<Result<Vec<_>, _>>()?;
        settings.iter().for_each(|setting| self.texts.need_for(own.declared.file, setting));
        let sizes: Vec<String> = own.sizes.iter().filter_map(|size| self.size_text(own, size)).collect();
        let sizes = if sizes.is_empty() { String::new() } else { format!("[{}]", sizes.join(", ")) };
        let settings = if settings.is_empty() { String::new() } else { format!("({})", settings.join(", ")) };
        Ok(format!("{layer}{sizes}{settings}"))
    }

    /// A size as it is given to a layer, where it has to be.
    fn size_text(&self, own: &Instance, (name, size): &(Symbol, Size)) -> Option<String> {
        let Size::Known(before) = *size else { return None };
        let after = self.size_left(own, name, before);
        let is_usual = own.defaults.iter().any(|(known, usual)| known == name && *usual == after);
        let is_said = own.inferred.contains(name) || (is_usual && after == before);
        (!is_said).then(|| format!("{name} = {after}"))
    }

    /// What is left of a size of a layer: of the axes that go by its name.
    pub fn size_left(&self, own: &Instance, name: &str, before: usize) -> usize {
        let facts = self.facts;
        let named = |ty: &Type| {
            ty.axes.iter().position(|axis| axis.name.as_deref() == Some(name) && axis.size == Size::Known(before))
        };
        let below = facts.params.iter().filter(|(expr, _)| facts.alive.contains_key(expr));
        let below = below.map(|(expr, id)| (*expr, &facts.model.params[id.0 as usize]));
        let of_param = below
            .filter(|(_, param)| is_below(&param.path, &own.path))
            .find_map(|(expr, param)| Some(count(&self.kept.of(expr)[named(&param.ty)?])));
        let of_baked = || {
            let baked = facts.baked_below(&own.path);
            baked.iter().find_map(|(expr, _)| Some(count(&self.kept.of(*expr)[named(&facts.node(*expr).ty)?])))
        };
        let of_result = || {
            let result = *facts.application(&own.path)?.results.first()?;
            let ty = own.signature.as_ref()?.1.first()?;
            let axis = named(ty).or_else(|| self.declared_axis(own, name, ty.axes.len()))?;
            Some(count(&self.kept.of(result)[axis]))
        };
        of_param.or_else(of_baked).or_else(of_result).unwrap_or(before)
    }

    /// The axis of the result of a layer that its declaration says to have a size of this name: a result goes by the names of who reads it.
    fn declared_axis(&self, own: &Instance, name: &str, rank: usize) -> Option<usize> {
        let axes = &self.texts.layer(own.declared.file, &own.layer)?.result.first()?.axes;
        let says = |axis: &ast::Axis| match axis {
            ast::Axis::Size(size) | ast::Axis::Named(_, size) => self.texts.slice(size.span) == name,
            ast::Axis::Rest(_) => false,
        };
        let at = axes.iter().position(says)?;
        let is_behind_rest = axes[..at].iter().any(|axis| matches!(axis, ast::Axis::Rest(_)));
        if is_behind_rest { (rank + at).checked_sub(axes.len()) } else { Some(at) }
    }

    /// Takes over the tensors of an instance and of all below it.
    fn register(&mut self, path: &Symbol, new_path: &str, dropped: &[Symbol]) {
        let model = self.facts.model;
        let _ = self.origins.insert(new_path.to_owned(), path.clone());
        let is_dropped = |own: &str| dropped.iter().any(|dropped| is_within(own, dropped));
        let place = |own: &str| format!("{new_path}{}", &own[path.len()..]);
        for (index, param) in model.params.iter().enumerate().filter(|(_, param)| is_below(&param.path, path)) {
            if is_dropped(&param.path) {
                continue;
            }
            let id = ParamId(index as u32);
            let masks = self.masks(self.facts.param(id), &param.ty, path);
            let _ = self.tensors.insert(place(&param.path), Origin::Param(id, masks));
        }
        let states = model.states.iter().enumerate().filter(|(_, state)| is_below(&state.path, path));
        for (index, state) in
            states.filter(|(_, state)| !state.of_optimizer && !state.carried && !is_dropped(&state.path))
        {
            let id = StateId(index as u32);
            let masks = self.masks(self.facts.state(id), &state.ty, path);
            let _ = self.tensors.insert(place(&state.path), Origin::State(id, masks));
        }
    }

    /// What stays of a tensor; one that evaluation does not read goes by what has axes of the same names and sizes.
    fn masks(&self, expr: Option<ExprId>, ty: &Type, path: &str) -> Masks {
        if let Some(expr) = expr {
            return self.kept.of(expr).clone();
        }
        let facts = self.facts;
        let read = facts.params.iter().filter(|(expr, _)| facts.alive.contains_key(expr));
        let read: Vec<(ExprId, &Type)> = read
            .map(|(expr, id)| (*expr, &facts.model.params[id.0 as usize]))
            .filter(|(_, param)| is_below(&param.path, path))
            .map(|(expr, param)| (expr, &param.ty))
            .collect();
        let like = |axis: &crate::model::Axis| {
            let found = read.iter().find_map(|(expr, ty)| {
                let index = ty.axes.iter().position(|own| own.name.is_some() && own == axis)?;
                Some(self.kept.of(*expr)[index].clone())
            });
            let Size::Known(n) = axis.size else { return vec![true] };
            found.unwrap_or_else(|| vec![true; n])
        };
        ty.axes.iter().map(like).collect()
    }
}

pub fn instance<'a>(facts: &Facts<'a>, path: &str) -> &'a Instance {
    let mut instances = facts.model.instances.iter();
    instances.find(|instance| *instance.path == *path).expect("applications are of instances")
}

fn is_idle(facts: &Facts<'_>, path: &str) -> bool {
    facts.application(path).is_some_and(is_identity)
}

impl Unable {
    /// The layer at `path` cannot be written.
    pub fn new(path: &str, why: &str) -> Unable {
        Unable { path: path.into(), why: why.to_owned(), help: "make a layer of its own of what stands there" }
    }
}
