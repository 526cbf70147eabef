//! A run under way: stages, epochs, steps.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use indexmap::IndexMap;
use ndarray::ArrayD;

use super::replay::Mark;
use super::{
    Batches, Checkpoint, EpochRecord, Observer, Outcome, Phase, Plan, Position, Progress, Stage, Tally, TermValue,
    TrainError, error, tally,
};
use crate::data::{Bits, Dataset, Split, shuffle};
use crate::program::{Clock, Entry, Numbers, Program, Role};

/// The fewest steps from one look for another form to the next, which takes about as long as some of them: epochs that are shorter do not all begin
/// with it.
const FEWEST_STEPS: usize = 64;

/// A run under way.
pub(super) struct Trainer<'a> {
    pub(super) program: &'a mut dyn Program,
    pub(super) data: &'a Dataset,
    pub(super) batches: Batches,
    /// For each field of the program, its index in the data.
    pub(super) fields: Vec<usize>,
    pub(super) at: Position,
    /// The lasting tensors and the position when this epoch began, or went on.
    pub(super) mark: Mark,
    /// The start values of tensors that begin anew while a run goes on.
    pub(super) starts: Vec<(usize, Start)>,
    plan: &'a Plan,
    now: &'a dyn Fn() -> f64,
    stop: &'a AtomicBool,
    /// The order of the samples in this epoch.
    order: Vec<usize>,
    /// The terms of the objective in the last step.
    terms: Vec<f64>,
    /// The sum over samples of each term, in this epoch.
    sums: Vec<f64>,
    records: Vec<EpochRecord>,
    /// When this epoch began, and when the run did; in the past where they were interrupted.
    began: (f64, f64),
}

impl<'a> Trainer<'a> {
    pub(super) fn new(
        program: &'a mut dyn Program,
        data: &'a Dataset,
        plan: &'a Plan,
        batches: Batches,
        now: &'a dyn Fn() -> f64,
        stop: &'a AtomicBool,
    ) -> Result<Trainer<'a>, TrainError> {
        if let Some((split, batch)) = batches.too_short() {
            return Err(TrainError::Short { split, batch });
        }
        let n_terms = program.description().terms.len();
        Ok(Trainer {
            fields: error::match_fields(program.description(), data)?,
            starts: restarted(program),
            program,
            data,
            plan,
            now,
            stop,
            order: batches.order(data),
            batches,
            terms: vec![0.0; n_terms],
            sums: vec![0.0; n_terms],
            at: Position::default(),
            mark: Mark::default(),
            records: vec![],
            began: (now(), now()),
        })
    }

    /// Goes to where a run was.
    pub(super) fn go_to(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let tensors = error::match_tensors(self.program.description(), checkpoint)?;
        tensors.into_iter().enumerate().for_each(|(index, value)| self.program.write(index, value));
        self.program.set_form(&checkpoint.form);
        self.at = checkpoint.position;
        self.sums.clone_from(&checkpoint.sums);
        self.records.clone_from(&checkpoint.records);
        let now = (self.now)();
        self.began = (now - checkpoint.epoch_seconds, now - checkpoint.seconds);
        Ok(())
    }

    /// Does the whole plan.
    pub(super) fn run(mut self, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        let is_done = self.stages(observer)?;
        if !is_done {
            observer.checkpoint(self.checkpoint());
        }
        let metrics = if is_done { self.last_reports() } else { IndexMap::new() };
        let (clock, seconds) = (self.clock(), (self.now)() - self.began.1);
        Ok(Outcome { records: self.records, metrics, clock, interrupted: !is_done, seconds })
    }

    /// The reports at the end, evaluated anew where something happened since the last epoch.
    fn last_reports(&mut self) -> IndexMap<String, f64> {
        match (self.plan.stages.last(), self.records.last()) {
            (Some(Stage::Phase(phase)), Some(last)) if phase.epochs > 0 => last.reports.clone(),
            (Some(_) | None, _) => self.evaluate(self.clock(), || false).unwrap_or_default(),
        }
    }

    /// Does what is left of the plan; whether it is done, and not interrupted.
    fn stages(&mut self, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        while let Some(stage) = self.plan.stages.get(self.at.stage) {
            match stage {
                Stage::Fire(event) => self.program.fire(*event, self.clock()),
                Stage::Phase(phase) => {
                    if !self.phase(phase, observer)? {
                        return Ok(false);
                    }
                }
            }
            self.at = Position { stage: self.at.stage + 1, epoch: 0, ..self.at };
        }
        Ok(true)
    }

    /// Does what is left of a phase; whether it is done.
    fn phase(&mut self, phase: &Phase, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        if phase.fresh && (self.at.epoch, self.at.index) == (0, 0) {
            self.restart(Role::OptimizerState);
        }
        while self.at.epoch < phase.epochs {
            let Some(record) = self.epoch(phase, observer)? else { return Ok(false) };
            observer.epoch(&record);
            self.records.push(record);
            self.save_if_due(observer);
        }
        Ok(true)
    }

    /// One epoch and its evaluation; `None` when interrupted.
    fn epoch(&mut self, phase: &Phase, observer: &mut dyn Observer) -> Result<Option<EpochRecord>, TrainError> {
        self.begin_epoch();
        while self.at.index < self.batches.per_epoch {
            self.step(phase, observer)?;
            self.save_if_due(observer);
            if self.is_stopped() {
                return Ok(None);
            }
        }
        let seconds = (self.now)() - self.began.0;
        let counts = self.count(phase)?;
        let (stop, is_last) = (self.stop, self.is_last_epoch());
        let Some(reports) = self.evaluate(self.clock(), || !is_last && stop.load(Ordering::Relaxed)) else {
            return Ok(None);
        };
        self.at = Position { epoch: self.at.epoch + 1, index: 0, epochs: self.at.epochs + 1, ..self.at };
        Ok(Some(self.record(phase, seconds, reports, counts)))
    }

    /// Begins an epoch, or goes on with it.
    fn begin_epoch(&mut self) {
        if self.at.index == 0 {
            self.restart(Role::Carried);
            self.sums.fill(0.0);
            self.began.0 = (self.now)();
        }
        self.order = self.batches.order(self.data);
        if self.batches.per_epoch > 1 && !self.data.sequential() {
            shuffle(&mut self.order, Bits::new(self.plan.seed, SHUFFLE + self.at.epochs as u64));
        }
        self.set_mark();
    }

    /// Whether to stop here: not after the very last step, where nothing but an evaluation is left.
    fn is_stopped(&self) -> bool {
        let is_last = self.is_last_epoch() && self.at.index == self.batches.per_epoch;
        self.stop.load(Ordering::Relaxed) && !is_last
    }

    /// Whether to look for another form of the steps to come: when a phase or an epoch begins, but not after every few steps, and within long epochs.
    fn adapts(&self, phase: &Phase) -> bool {
        let per_epoch = self.batches.per_epoch as u64;
        let stretch = |steps: u64| steps / FEWEST_STEPS as u64;
        match self.at.index {
            0 => self.at.epoch == 0 || stretch(self.at.steps) != stretch(self.at.steps - per_epoch),
            index => index.is_multiple_of(self.program.adapts_every(phase.variant).max(FEWEST_STEPS)),
        }
    }

    fn is_last_epoch(&self) -> bool {
        self.at.epochs + 1 == self.plan.epochs()
    }

    fn save_if_due(&self, observer: &mut dyn Observer) {
        if observer.is_checkpoint_due(&self.at) {
            observer.checkpoint(self.checkpoint());
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        let infos = self.program.description().tensors.iter();
        let (position, now) = (self.at, (self.now)());
        // Between two epochs, none has begun.
        let epoch_seconds = if position.index == 0 { 0.0 } else { now - self.began.0 };
        Checkpoint {
            position,
            tensors: infos.enumerate().map(|(index, info)| (info.name.clone(), self.program.read(index))).collect(),
            sums: self.sums.clone(),
            records: self.records.clone(),
            epoch_seconds,
            seconds: now - self.began.1,
            form: self.program.form(),
        }
    }

    fn step(&mut self, phase: &Phase, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let (epoch, rows) = (self.at.epochs, self.batches.train_rows(self.at.index));
        if self.adapts(phase) {
            let ahead = (phase.epochs - self.at.epoch) * self.batches.per_epoch - self.at.index;
            self.program.adapt(phase.variant, self.clock(), ahead as u64);
        }
        if !self.advance(phase) {
            return Err(self.find_non_finite(phase));
        }
        self.sums.iter_mut().zip(&self.terms).for_each(|(sum, term)| *sum += term * rows.len() as f64);
        let seconds = (self.now)() - self.began.0;
        observer.step(&Progress {
            epoch,
            phase: &phase.name,
            index: self.at.index - 1,
            of: self.batches.per_epoch,
            samples: rows.end,
            seconds,
            terms: &self.terms,
        });
        Ok(())
    }

    /// One step and the events that follow it; whether the terms of the objective are finite.
    pub(super) fn advance(&mut self, phase: &Phase) -> bool {
        let (clock, samples) = (self.clock(), self.gather_batch(phase));
        self.terms.copy_from_slice(self.program.train_step(phase.variant, samples, clock));
        self.at.index += 1;
        self.at.steps += 1;
        let due = |(every, _): &&(u64, usize)| self.at.steps.is_multiple_of(*every);
        let is_end = self.at.index == self.batches.per_epoch;
        let clock = self.clock();
        phase.every_steps.iter().filter(due).for_each(|(_, event)| self.program.fire(*event, clock));
        phase.every_epoch.iter().filter(|_| is_end).for_each(|event| self.program.fire(*event, clock));
        self.terms.iter().all(|term| term.is_finite())
    }

    /// Where the run is: what the next step gets.
    pub(super) fn clock(&self) -> Clock {
        let per_epoch = self.batches.per_epoch as f64;
        let done = (self.at.epoch * self.batches.per_epoch + self.at.index) as f64;
        let progress = match self.plan.stages.get(self.at.stage) {
            Some(Stage::Phase(phase)) => done / (per_epoch * phase.epochs as f64).max(1.0),
            // A phase has ended, if there was one.
            Some(Stage::Fire(_)) | None => f64::from(self.at.steps.min(1) as u32),
        };
        Clock { step: self.at.steps, epoch: self.at.steps as f64 / per_epoch, progress }
    }

    /// Copies the next batch of this epoch into the program's fields; its samples.
    pub(super) fn gather_batch(&mut self, phase: &Phase) -> usize {
        let rows = self.batches.train_rows(self.at.index);
        for (field, &from) in self.fields.iter().enumerate() {
            let (data, rows) = (self.data, &self.order[rows.clone()]);
            self.program.fill(Entry::Train(phase.variant), rows.len(), field, &data.batch(Split::Train, rows, from));
        }
        rows.len()
    }

    /// Gives the tensors of a role their start values.
    pub(super) fn restart(&mut self, role: Role) {
        for (index, start) in &self.starts {
            let info = &self.program.description().tensors[*index];
            if info.role == role {
                let value = start.tensor(&info.shape);
                self.program.write(*index, &value);
            }
        }
    }

    /// Counts the zeros of the effective parameters, and what they leave to do; an error if one is not finite.
    fn count(&mut self, phase: &Phase) -> Result<(Tally, Option<u64>), TrainError> {
        let infos = self.program.description().tensors.iter();
        let params: BTreeSet<String> =
            infos.filter(|info| info.role == Role::Param).map(|info| info.name.clone()).collect();
        let (mut zeros, mut is_finite) = (Tally::default(), true);
        for name in self.program.effective(self.clock()).iter().filter(|name| params.contains(*name)) {
            if let Some(value) = self.program.computed(name) {
                zeros = zeros + tally(value.view());
                is_finite &= value.iter().all(|x| x.is_finite());
            }
        }
        if is_finite { Ok((zeros, self.program.live_flops())) } else { Err(self.find_non_finite(phase)) }
    }

    fn record(
        &self,
        phase: &Phase,
        seconds: f64,
        reports: IndexMap<String, f64>,
        (zeros, live_flops): (Tally, Option<u64>),
    ) -> EpochRecord {
        let (epoch, step, samples) = (self.at.epochs, self.at.steps, self.batches.n_train);
        let means = self.sums.iter().map(|sum| sum / samples as f64);
        let texts = self.program.description().terms.iter();
        let terms: Vec<TermValue> =
            texts.zip(means).map(|(text, value)| TermValue { text: text.clone(), value }).collect();
        let objective = terms.iter().map(|term| term.value).sum();
        let phase = phase.name.clone();
        EpochRecord { epoch, phase, step, samples, seconds, objective, terms, reports, zeros, live_flops }
    }
}

/// What a tensor begins with: the states of optimizers are as large as all parameters, and nearly always begin with one number everywhere.
pub(super) enum Start {
    Everywhere(f64),
    Numbers(Numbers),
}

impl Start {
    fn of(program: &dyn Program, tensor: usize) -> Start {
        let value = program.read(tensor);
        match value.first() {
            Some(first) if value.iter().all(|x| x.to_bits() == first.to_bits()) => Start::Everywhere(*first),
            Some(_) | None => {
                let mut numbers = Numbers::Single(vec![]);
                program.copy(tensor, &mut numbers);
                Start::Numbers(numbers)
            }
        }
    }

    fn tensor(&self, shape: &[usize]) -> ArrayD<f64> {
        match self {
            Start::Everywhere(number) => ArrayD::from_elem(shape, *number),
            Start::Numbers(numbers) => numbers.tensor(shape),
        }
    }
}

/// The values of the tensors that may begin anew.
fn restarted(program: &dyn Program) -> Vec<(usize, Start)> {
    let tensors = program.description().tensors.iter().enumerate();
    let restarts = |role| matches!(role, Role::OptimizerState | Role::Carried);
    tensors.filter(|(_, info)| restarts(info.role)).map(|(index, _)| (index, Start::of(program, index))).collect()
}

/// The uses of random bits that epochs have for themselves: this one and those above it.
const SHUFFLE: u64 = 1 << 40;
