//! A network with its trained numbers, run on samples of its data.

use std::time::{Duration, Instant};

use indexmap::IndexMap;
use ndarray::ArrayD;
use spnc_runtime::program::{Clock, Program, Role};
use spnc_runtime::store;

use super::Tensors;
use crate::cli::exit::Exit;
use crate::cli::job::Job;
use crate::cli::output;
use crate::cli::samples;
use crate::exec::{self, Callable};
use crate::lower::to_tir;
use crate::tir::interp::Tensor;
use crate::tir::{Func, Type};

/// The numbers of a network by the names of inputs: `effective.<path>` of parameters, states by path, constants.
pub struct Numbers {
    values: Tensors,
}

impl Numbers {
    /// Those of a run.
    pub fn of_run(job: &Job, run: &store::Run) -> Numbers {
        let effective = run.model.effective.iter().map(|(path, value)| (format!("effective.{path}"), value.clone()));
        let states = run.model.states.iter().map(|(path, value)| (path.clone(), value.clone()));
        Numbers::with_constants(job, effective.chain(states).collect(), run.report.clock())
    }

    /// Those of a program whose parameters the network sees as they are, at `clock`.
    pub fn of_program(job: &Job, program: &dyn Program, clock: Clock) -> Numbers {
        let infos = program.description().tensors.iter().enumerate().filter(|(_, info)| info.role != Role::Carried);
        let named = infos.map(|(index, info)| match info.role {
            Role::Param => (format!("effective.{}", info.name), program.read(index)),
            Role::State | Role::OptimizerState | Role::Carried => (info.name.clone(), program.read(index)),
        });
        Numbers::with_constants(job, named.collect(), clock)
    }

    fn with_constants(job: &Job, mut values: Tensors, clock: Clock) -> Numbers {
        let literals = job.built.interface.literals.iter().map(|(name, value)| (name.to_string(), value.clone()));
        values.extend(literals);
        for (name, value) in exec::scalars(exec::short_seed(job.plan.seed), clock) {
            let _ = values.insert(name.to_owned(), ArrayD::from_elem(vec![], value));
        }
        Numbers { values }
    }

    /// A tensor by the name of an input.
    pub fn value(&self, name: &str) -> Option<Tensor> {
        self.values.get(name).cloned()
    }
}

/// A network at one size of batches, compiled.
pub struct Network {
    func: Func,
    code: Callable,
}

impl Network {
    /// Compiles the network of a program.
    pub fn new(job: &Job, batch: usize) -> Result<Network, Exit> {
        let func = exec::optimised(to_tir::network_at(&job.model, &job.front.sources, batch));
        let is_field = |name: &str| job.built.interface.field_names.iter().any(|field| &**field == name);
        let code = Callable::given(&func, &|name| !is_field(name), job.evaluator().options());
        let code = code.map_err(|error| output::fail(&error.to_string(), None))?;
        Ok(Network { func, code })
    }

    /// What it computes from samples.
    pub fn outputs(&mut self, job: &Job, numbers: &Numbers, rows: &[usize]) -> IndexMap<String, Tensor> {
        let types: IndexMap<String, Type> =
            self.func.params().map(|(name, _, ty)| (name.to_string(), ty.clone())).collect();
        let carried = |name: &str| Tensor::zeros(types[name].shape.as_slice());
        let given = |name: &str| {
            let known = numbers.value(name).or_else(|| samples::field(job, name, rows, &types[name]));
            Some(known.unwrap_or_else(|| carried(name)))
        };
        self.code.call(&given).into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }

    /// The time that a call takes, once there are inputs.
    fn once(&mut self) -> Duration {
        let begin = Instant::now();
        self.code.again();
        begin.elapsed()
    }
}

/// The median times that calls take, in turns, so that what else the machine does is fair to both.
pub fn latencies(networks: &mut [Network; 2]) -> [Duration; 2] {
    let mut times = [vec![], vec![]];
    let start = Instant::now();
    for round in 0.. {
        let is_enough = times[0].len() >= MOST || start.elapsed() > LONGEST;
        if times[0].len() >= FEWEST && is_enough {
            break;
        }
        for (times, network) in times.iter_mut().zip(&mut *networks) {
            let took = network.once();
            if round >= WARM {
                times.push(took);
            }
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

const WARM: usize = 3;
const FEWEST: usize = 5;
const MOST: usize = 1000;
const LONGEST: Duration = Duration::from_millis(600);
