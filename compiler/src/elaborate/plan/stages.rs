//! Stages: phases, loops over rounds and sets, fired events.

use std::rc::Rc;

use super::super::call::ArgValue;
use super::super::errors::{EventMistake, PlanMistake};
use super::super::events::{Handler, When};
use super::super::value::{Member, Target, Value};
use super::super::{Elab, Eval, Failed, Frame};
use super::settings::{self, Settings};
use crate::diag::Span;
use crate::model::{Event, Phase, Stage, Symbol, Variant};
use crate::resolve::hir::{Expr, Fire, Interval, Local, Name, PlanEntry, PlanKind};

/// The stages so far.
#[derive(Clone, Default)]
pub(super) struct Stages {
    pub stages: Vec<Stage>,
    pub variants: Vec<Variant>,
    pub events: Vec<Event>,
    /// What the surrounding blocks fire every so often.
    steps: Vec<(u64, usize)>,
    epochs: Vec<usize>,
    /// The names and values of the surrounding loops.
    rounds: Vec<String>,
}

/// What happens every so many steps, and what every epoch: events.
type Regular = (Vec<(u64, usize)>, Vec<usize>);

/// A round of a loop.
struct Round<'p> {
    local: Local,
    value: Value,
    /// For the names of its phases.
    shown: String,
    entries: &'p [PlanEntry],
}

impl Stages {
    pub(super) fn has_phase(&self) -> bool {
        self.n_phases() > 0
    }

    fn n_phases(&self) -> usize {
        self.stages.iter().filter(|stage| matches!(stage, Stage::Phase(_))).count()
    }

    fn phase_name(&self, name: Option<&Name>) -> String {
        let own = name.map(|name| name.text.to_string());
        let rounds = self.rounds.join(", ");
        match (own, rounds.is_empty()) {
            (Some(name), true) => name,
            (Some(name), false) => format!("{name}, {rounds}"),
            (None, true) => format!("phase {}", self.n_phases() + 1),
            (None, false) => rounds,
        }
    }

    /// The index of an event; equal ones are one.
    fn event(&mut self, event: Event) -> usize {
        let known = self.events.iter().position(|old| *old == event);
        known.unwrap_or_else(|| {
            self.events.push(event);
            self.events.len() - 1
        })
    }

    fn variant(&mut self, variant: Variant) -> usize {
        let known = self.variants.iter().position(|old| *old == variant);
        known.unwrap_or_else(|| {
            self.variants.push(variant);
            self.variants.len() - 1
        })
    }
}

impl<'p> Elab<'p, '_> {
    /// The stages of a block.
    pub(super) fn stages(
        &mut self,
        frame: &mut Frame<'p>,
        settings: &Settings,
        entries: &'p [PlanEntry],
        to: &mut Stages,
    ) -> Eval<()> {
        let outer = (to.steps.clone(), to.epochs.clone());
        self.regular(frame, entries, to)?;
        for entry in entries {
            match &entry.kind {
                PlanKind::Setting(..) | PlanKind::OptimizerFor(..) | PlanKind::Every(..) => {}
                PlanKind::Fire(fire) => {
                    let event = self.fire(frame, fire)?;
                    let event = to.event(event);
                    to.stages.push(Stage::Fire(event));
                }
                PlanKind::Phase(name, entries) => {
                    let phase = (entries.as_slice(), entry.span);
                    self.phase(frame, name.as_ref(), settings, phase, to)?;
                }
                PlanKind::Repeat(..) | PlanKind::For(..) => {
                    for Round { local, value, shown, entries } in self.rounds(frame, entry)? {
                        frame.values[local.0 as usize] = Some(value);
                        to.rounds.push(shown);
                        let inner = self.settings(frame, settings, entries, settings::LOOP)?;
                        self.stages(frame, &inner, entries, to)?;
                        let _ = to.rounds.pop();
                    }
                }
            }
        }
        (to.steps, to.epochs) = outer;
        Ok(())
    }

    /// What a loop binds its name to, round by round, with a text for the names of its phases.
    fn rounds(&mut self, frame: &mut Frame<'p>, entry: &'p PlanEntry) -> Eval<Vec<Round<'p>>> {
        match &entry.kind {
            PlanKind::Repeat(local, rounds, entries) => {
                let (first, last) = self.range(frame, rounds)?;
                let name = &frame.locals[local.0 as usize].name.text;
                let round = |i: i64| Round {
                    local: *local,
                    value: Value::Number(i as f64),
                    shown: format!("{name} {i}"),
                    entries,
                };
                Ok((first..=last).map(round).collect())
            }
            PlanKind::For(local, set, entries) => {
                let members = self.members(frame, set)?;
                let round = |member: Member| {
                    let shown = member.path.to_string();
                    Round { local: *local, value: Value::Set(Rc::new(vec![member])), shown, entries }
                };
                Ok(members.into_iter().map(round).collect())
            }
            PlanKind::Setting(..) | PlanKind::OptimizerFor(..) | PlanKind::Phase(..) => Ok(vec![]),
            PlanKind::Fire(_) | PlanKind::Every(..) => Ok(vec![]),
        }
    }

    /// `1..8`, both ends included.
    fn range(&mut self, frame: &mut Frame<'p>, rounds: &'p Expr) -> Eval<(i64, i64)> {
        const MOST: f64 = 100_000.0;
        let (start, end) = match self.eval(frame, rounds)? {
            Value::Range(start, end) => (start, end),
            Value::Poison => return Err(Failed),
            other => return Err(self.blame(PlanMistake::NotRounds { span: rounds.span, found: other.kind() })),
        };
        let (first, last) = (self.number(&start, rounds.span)?, self.number(&end, rounds.span)?);
        if first.fract() != 0.0 || last.fract() != 0.0 || first.abs().max(last.abs()) > MOST || last < first {
            return Err(self.blame(PlanMistake::BadRounds { span: rounds.span, first, last, most: MOST }));
        }
        Ok((first as i64, last as i64))
    }

    /// A phase; its block and its place in the text.
    pub(super) fn phase(
        &mut self,
        frame: &mut Frame<'p>,
        name: Option<&Name>,
        outer: &Settings,
        (entries, span): (&'p [PlanEntry], Span),
        to: &mut Stages,
    ) -> Eval<()> {
        let settings = self.settings(frame, outer, entries, settings::PHASE)?;
        let Some(epochs) = settings.epochs else {
            return Err(self.blame(PlanMistake::Missing { span, key: "epochs" }));
        };
        if settings.optimizer_span().is_none() {
            return Err(self.blame(PlanMistake::Missing { span, key: "optimizer" }));
        }
        let variant = self.variant(&settings, span)?;
        let variant = to.variant(variant);
        let around = (to.steps.clone(), to.epochs.clone());
        self.regular(frame, entries, to)?;
        let (mut every_steps, mut every_epoch) = self.regular_of_layers(to)?;
        every_steps.extend(std::mem::replace(&mut to.steps, around.0));
        every_epoch.extend(std::mem::replace(&mut to.epochs, around.1));
        let name = to.phase_name(name);
        let fresh = settings.fresh;
        to.stages.push(Stage::Phase(Phase { name, epochs, variant, fresh, every_steps, every_epoch }));
        Ok(())
    }

    /// The events of a block's `every`.
    fn regular(&mut self, frame: &mut Frame<'p>, entries: &'p [PlanEntry], to: &mut Stages) -> Eval<()> {
        for entry in entries {
            let PlanKind::Every(interval, fired) = &entry.kind else { continue };
            let n = match interval {
                Interval::Epoch => None,
                Interval::Steps(n) => Some(self.step_count(frame, n)?),
            };
            let mut events = vec![];
            self.fired(frame, fired, to, &mut events)?;
            match n {
                Some(n) => to.steps.extend(events.into_iter().map(|event| (n, event))),
                None => to.epochs.extend(events),
            }
        }
        Ok(())
    }

    /// The events that a block fires.
    fn fired(
        &mut self,
        frame: &mut Frame<'p>,
        entries: &'p [PlanEntry],
        to: &mut Stages,
        events: &mut Vec<usize>,
    ) -> Eval<()> {
        for entry in entries {
            if let PlanKind::Fire(fire) = &entry.kind {
                let event = self.fire(frame, fire)?;
                events.push(to.event(event));
            }
            for Round { local, value, entries, shown: _ } in self.rounds(frame, entry)? {
                frame.values[local.0 as usize] = Some(value);
                self.fired(frame, entries, to, events)?;
            }
        }
        Ok(())
    }

    /// What layers do every so often: all that happens at one time is one event.
    fn regular_of_layers(&mut self, to: &mut Stages) -> Eval<Regular> {
        let mut lengths: Vec<u64> = vec![];
        for handler in self.handlers.values() {
            if let When::Steps(n) = handler.when
                && !lengths.contains(&n)
            {
                lengths.push(n);
            }
        }
        let mut every_steps = vec![];
        for n in lengths {
            let handlers = self.handlers_of(|when| *when == When::Steps(n));
            let event = self.event("update".into(), &handlers, (&[], None))?;
            every_steps.push((n, to.event(event)));
        }
        let handlers = self.handlers_of(|when| *when == When::Epoch);
        if handlers.is_empty() {
            return Ok((every_steps, vec![]));
        }
        let event = self.event("update".into(), &handlers, (&[], None))?;
        Ok((every_steps, vec![to.event(event)]))
    }

    /// `fire prune(0.7) on w`.
    fn fire(&mut self, frame: &mut Frame<'p>, fire: &'p Fire) -> Eval<Event> {
        let args = self.args(frame, &fire.args);
        if args.iter().any(|arg| matches!(arg.value, Value::Poison)) {
            return Err(Failed);
        }
        let name = &fire.event;
        let mut handlers = self.handlers_of(|when| matches!(when, When::On(own) if own.text == name.text));
        if handlers.is_empty() {
            // Whoever handles it may be what went wrong before.
            if self.has_mistakes() {
                return Err(Failed);
            }
            let known = self.known_events();
            return Err(self.blame(EventMistake::NobodyHandles { span: name.span, name: name.text.clone(), known }));
        }
        let mut shown = event_name(name, &args);
        if let Some(on) = &fire.on {
            let (paths, place) = self.fired_on(frame, on)?;
            handlers.retain(|handler| self.is_meant(handler, &paths));
            if handlers.is_empty() {
                let (span, name) = (on.span, name.text.clone());
                return Err(self.blame(EventMistake::NobodyThere { span, name, place }));
            }
            shown = format!("{shown} on {place}");
        }
        self.event(shown, &handlers, (&args, Some(name.span)))
    }

    fn known_events(&self) -> Vec<Symbol> {
        let mut known: Vec<Symbol> = vec![];
        for handler in self.handlers.values() {
            if let When::On(name) = &handler.when
                && !known.contains(&name.text)
            {
                known.push(name.text.clone());
            }
        }
        known
    }

    /// The paths that an event is for: of tensors, or of a layer and what is below it.
    fn fired_on(&mut self, frame: &mut Frame<'p>, on: &'p Expr) -> Eval<(Vec<Symbol>, String)> {
        if let Some(path) = self.exact_path(on)
            && self.instances.keys().any(|known| **known == *path || known.starts_with(&format!("{path}.")))
        {
            return Ok((vec![path.clone().into()], path));
        }
        let members = self.members(frame, on)?;
        let mut paths: Vec<Symbol> = vec![];
        for member in &members {
            match &member.target {
                Target::Joined(parts) => paths.extend(parts.iter().map(|part| part.path.clone())),
                Target::Param(_) | Target::State(_) | Target::Inner => paths.push(member.path.clone()),
            }
        }
        let place = paths.iter().map(|path| &**path).collect::<Vec<&str>>().join(", ");
        Ok((paths, place))
    }

    /// Whether a handler belongs to a layer at or below one of the paths, to the layer that declares the tensor at one, or to what
    /// stands for such a tensor.
    fn is_meant(&self, handler: &Handler<'p>, paths: &[Symbol]) -> bool {
        let own = &self.instances[handler.instance].path;
        let below = |path: &str, place: &Symbol| *path == **place || path.starts_with(&format!("{place}."));
        let declares = |place: &Symbol| place.rsplit_once('.').is_some_and(|(owner, _)| *owner == **own);
        let optimizes = |place: &Symbol| own.strip_prefix("optimizer.").is_some_and(|path| below(path, place));
        let stands_for = |place: &Symbol| {
            let view = self.stands_for.get(&handler.instance).map(|view| &self.sparse[*view].member);
            view.is_some_and(|member| match &member.target {
                Target::Joined(parts) => parts.iter().any(|part| below(&part.path, place)),
                Target::Param(_) | Target::State(_) | Target::Inner => below(&member.path, place),
            })
        };
        paths.iter().any(|place| below(own, place) || declares(place) || optimizes(place) || stands_for(place))
    }
}

/// `reweight(tau: 0.05)`.
fn event_name(name: &Name, args: &[ArgValue]) -> String {
    let shown = |arg: &ArgValue| {
        let value = match &arg.value {
            Value::Number(x) => x.to_string(),
            Value::Bool(b) => b.to_string(),
            _ => "…".to_string(),
        };
        arg.name.as_ref().map_or(value.clone(), |name| format!("{}: {value}", name.text))
    };
    let args: Vec<String> = args.iter().map(shown).collect();
    if args.is_empty() { name.text.to_string() } else { format!("{}({})", name.text, args.join(", ")) }
}
