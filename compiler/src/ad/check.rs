//! Checks a derivative against central differences, in `f64` on the interpreter.
//!
//! The differences are those of the surrogate (see [`crate::tir::interp`]): `a with gradient of b` moves as `b` does, and draws
//! and quantiles keep their values. Each parameter is probed along random directions and along single coordinates. One
//! random direction costs two evaluations however many elements there are, and an error hides only if the direction
//! happens to be orthogonal to it; a single coordinate says where to look.
//!
//! At a kink the differences to the left and to the right disagree however small the step is. There any derivative between
//! them is one that a convention may choose. Where several elements are at kinks, as all biases are that start at 0 before a relu, the
//! right choice for each of them need not lie between the slopes along a direction of all: then both halves of it are probed, down
//! to single elements.

use std::sync::Arc;

use spnc_runtime::random::uniform;

use crate::tir::interp::{InputError, Keep, Plan, Tensor};
use crate::tir::{Func, Value};

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The objective at the point of the check.
    pub objective: f64,
    /// Each parameter that has a gradient, in the function's order.
    pub params: Vec<ParamReport>,
}

/// What was found for one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamReport {
    /// The parameter.
    pub path: Arc<str>,
    /// The number of its elements.
    pub len: usize,
    /// Every probe.
    pub probes: Vec<Probe>,
}

/// A derivative along one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Along what.
    pub along: Direction,
    /// What the gradient says.
    pub analytic: f64,
    /// The difference to the left, by the step.
    pub left: f64,
    /// The difference to the right, by the step.
    pub right: f64,
    /// How far derivative and difference may be apart.
    pub tolerance: f64,
    /// The comparison.
    pub verdict: Verdict,
}

/// A direction of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A random one of length 1, over all elements.
    All,
    /// A random one of length 1, over the elements that are not 0.
    NonZero,
    /// One element, by its row-major position.
    Element(usize),
}

/// How a derivative compares with the differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They agree.
    Agrees,
    /// There is a kink, and the derivative lies between the slopes on its sides.
    Kink,
    /// They disagree, or a number is not finite.
    Differs,
}

/// The steps that are tried, best first; a shorter one leaves out kinks nearby, a longer one rounds less.
const STEPS: [f64; 4] = [1e-5, 1e-6, 1e-4, 1e-7];

/// How far derivative and differences may be apart, as a share of the derivative.
const RELATIVE: f64 = 1e-5;

/// How far they may be apart, as a share of the objective (whose last digits are what differences see).
const ABSOLUTE: f64 = 1e-8;

/// The most elements of a direction that is probed in halves.
const HALVED: usize = 512;

/// Checks every result `grad.<path>` of `func` against differences of its result `objective` by the input `<path>`.
/// `func` is differentiated but not optimised, because the surrogate is wanted.
///
/// # Errors
///
/// An input without a value, or with a value of the wrong shape.
///
/// # Panics
///
/// If `func` has no result `objective`, or a `grad.<path>` that is no input's.
pub fn check(func: &Func, inputs: &dyn Fn(&str) -> Option<Tensor>) -> Result<Report, InputError> {
    let mut gradient = Plan::new(func, Keep::Results);
    gradient.set_inputs(inputs)?;
    gradient.run();
    let mut differences = Differences::new(func, inputs)?;
    let paths = func.results.iter().filter_map(|(name, _)| name.strip_prefix("grad."));
    let params = paths.map(|path| {
        let gradient = gradient.result(&format!("grad.{path}")).expect("it is one of the results");
        differences.check_param(path, &gradient.iter().copied().collect::<Vec<f64>>())
    });
    let params = params.collect();
    Ok(Report { objective: differences.center, params })
}

impl Report {
    /// Whether no probe differs.
    pub fn passes(&self) -> bool {
        self.params.iter().all(|param| param.count(Verdict::Differs) == 0)
    }
}

impl ParamReport {
    /// How many probes came out so.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.probes.iter().filter(|probe| probe.verdict == verdict).count()
    }

    /// The largest difference of a probe that is not at a kink, as a share of the larger of the two derivatives.
    pub fn worst(&self) -> f64 {
        let errors = self.probes.iter().filter(|probe| probe.verdict != Verdict::Kink).map(Probe::error);
        errors.fold(0.0, |worst, error| if error > worst || error.is_nan() { error } else { worst })
    }
}

impl Probe {
    /// The central difference, by the step.
    pub fn central(&self) -> f64 {
        f64::midpoint(self.left, self.right)
    }

    /// Whether the slopes on both sides are not the same one.
    fn is_at_kink(&self) -> bool {
        (self.left - self.right).abs() > 2.0 * self.tolerance
    }

    /// How far derivative and central difference are apart, as a share of the larger one.
    pub fn error(&self) -> f64 {
        let distance = (self.analytic - self.central()).abs();
        if distance == 0.0 { 0.0 } else { distance / self.analytic.abs().max(self.central().abs()) }
    }
}

/// The surrogate at one point, ready to be moved away from it.
struct Differences {
    plan: Plan,
    center: f64,
    /// What depends on the parameter that is being probed.
    moving: Vec<Value>,
}

impl Differences {
    fn new(func: &Func, inputs: &dyn Fn(&str) -> Option<Tensor>) -> Result<Differences, InputError> {
        let mut plan = Plan::new(&objective_of(func), Keep::All);
        plan.set_inputs(inputs)?;
        plan.run();
        plan.freeze();
        plan.run();
        let mut differences = Differences { plan, center: 0.0, moving: vec![] };
        differences.center = differences.objective();
        Ok(differences)
    }

    fn objective(&mut self) -> f64 {
        self.plan.rerun(&self.moving);
        *self.plan.result("objective").expect("the caller asks for it").first().expect("it is a number")
    }

    fn check_param(&mut self, path: &str, gradient: &[f64]) -> ParamReport {
        // An input that the objective does not read is not among the inputs of its plan: its derivative is 0.
        let start = self.plan.input(path).map_or_else(|| vec![0.0; gradient.len()], |values| values.to_vec());
        self.moving = self.plan.dependents(path);
        let mut probes: Vec<Probe> = vec![];
        for (index, along) in directions(&start, gradient).into_iter().enumerate() {
            let direction = along.vector(&start, index as i32);
            probes.push(self.judge(path, &start, &direction, along, gradient));
        }
        let _ = self.objective();
        ParamReport { path: path.into(), len: gradient.len(), probes }
    }

    /// Probes a direction, and its halves where kinks of several elements leave it open.
    fn judge(&mut self, path: &str, start: &[f64], direction: &[f64], along: Direction, gradient: &[f64]) -> Probe {
        let mut probe = self.probe(path, start, direction, along, gradient);
        let moved: Vec<usize> = (0..direction.len()).filter(|i| direction[*i] != 0.0).collect();
        let is_open = probe.verdict == Verdict::Differs && probe.is_at_kink() && (2..=HALVED).contains(&moved.len());
        if is_open {
            let (front, back) = moved.split_at(moved.len() / 2);
            let agrees = [front, back].into_iter().all(|half| {
                let half = half.iter().fold(vec![0.0; direction.len()], |mut part, i| {
                    part[*i] = direction[*i];
                    part
                });
                self.judge(path, start, &half, along, gradient).verdict != Verdict::Differs
            });
            probe.verdict = if agrees { Verdict::Kink } else { Verdict::Differs };
        }
        probe
    }

    fn probe(&mut self, path: &str, start: &[f64], direction: &[f64], along: Direction, gradient: &[f64]) -> Probe {
        // Where the direction does not go, the gradient does not count, not even if it is infinite.
        let parts = gradient.iter().zip(direction).filter(|(_, d)| **d != 0.0);
        let analytic: f64 = parts.map(|(g, d)| g * d).sum();
        let scale = (start.iter().map(|x| x * x).sum::<f64>() / start.len() as f64).sqrt().max(0.03);
        let mut last = None;
        for step in STEPS {
            let [left, right] = self.slopes(path, start, direction, step * scale);
            let rounding = ABSOLUTE * (1.0 + self.center.abs()) * (STEPS[0] / step).max(1.0) / scale.min(1.0);
            let tolerance = rounding + RELATIVE * analytic.abs().max(f64::midpoint(left, right).abs());
            let verdict = compare(analytic, left, right, tolerance);
            let probe = Probe { along, analytic, left, right, tolerance, verdict };
            if verdict == Verdict::Agrees {
                return probe;
            }
            // A kink must be one at the shortest step, too.
            last = Some(probe);
        }
        last.expect("there are steps to try")
    }

    fn slopes(&mut self, path: &str, start: &[f64], direction: &[f64], step: f64) -> [f64; 2] {
        let before = self.moved(path, start, direction, -step);
        let behind = self.moved(path, start, direction, step);
        let _ = self.moved(path, start, direction, 0.0);
        [(self.center - before) / step, (behind - self.center) / step]
    }

    /// The objective where the parameter is moved.
    fn moved(&mut self, path: &str, start: &[f64], direction: &[f64], by: f64) -> f64 {
        let Some(values) = self.plan.input(path) else { return self.center };
        for ((value, start), direction) in values.iter_mut().zip(start).zip(direction) {
            *value = start + by * direction;
        }
        if by == 0.0 { self.center } else { self.objective() }
    }
}

/// `func` up to its objective, without what only the gradient needs.
fn objective_of(func: &Func) -> Func {
    let objective = func.result("objective").expect("a function to check has an objective");
    let mut func = func.clone();
    let inputs_below = func.params().any(|(_, value, _)| value > objective);
    if !inputs_below {
        func.defs.truncate(objective.0 as usize + 1);
    }
    func.results.retain(|(name, _)| &**name == "objective");
    func
}

/// Random directions, the element with the steepest slope, and some others.
fn directions(start: &[f64], gradient: &[f64]) -> Vec<Direction> {
    let mut directions = vec![Direction::All, Direction::All];
    let zeros = start.iter().filter(|x| **x == 0.0).count();
    if 0 < zeros && zeros < start.len() {
        directions.push(Direction::NonZero);
    }
    let steepness = |i: &usize| gradient[*i].abs();
    let steepest = (0..gradient.len()).max_by(|a, b| steepness(a).total_cmp(&steepness(b)));
    let others = (0..4).map(|i| (f64::from(uniform(0, i, SITE, 0)) * gradient.len() as f64) as usize);
    for element in steepest.into_iter().chain(others).filter(|element| *element < gradient.len()) {
        if !directions.contains(&Direction::Element(element)) {
            directions.push(Direction::Element(element));
        }
    }
    directions
}

/// The place that draws directions.
const SITE: u64 = 0x0063_6865_636b;

impl Direction {
    /// The direction as a vector of length 1 (or 0, where there is nothing to move).
    fn vector(self, start: &[f64], index: i32) -> Vec<f64> {
        let random = |i: usize| f64::from(uniform(1, index, SITE, i as u64)) - 0.5;
        let part = |(i, x): (usize, &f64)| match self {
            Direction::All => random(i),
            Direction::NonZero => f64::from(u8::from(*x != 0.0)) * random(i),
            Direction::Element(element) => f64::from(u8::from(i == element)),
        };
        let vector: Vec<f64> = start.iter().enumerate().map(part).collect();
        let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length == 0.0 { vector } else { vector.into_iter().map(|x| x / length).collect() }
    }
}

/// Compares a derivative with the slopes on both sides.
fn compare(analytic: f64, left: f64, right: f64, tolerance: f64) -> Verdict {
    if !(analytic.is_finite() && left.is_finite() && right.is_finite()) {
        return Verdict::Differs;
    }
    if (analytic - f64::midpoint(left, right)).abs() <= tolerance {
        return Verdict::Agrees;
    }
    let between = left.min(right) - tolerance <= analytic && analytic <= left.max(right) + tolerance;
    if between && (left - right).abs() > 2.0 * tolerance { Verdict::Kink } else { Verdict::Differs }
}
