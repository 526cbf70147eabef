//! Where `grad` and `gradcheck` look: parameters at their start, the first batch, the first step.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ndarray::ArrayD;
use spnc_runtime::data::{DataError, Dataset, Split};
use spnc_runtime::program::{Clock, Element, FieldMut};
use spnc_runtime::store;

use super::exit::Exit;
use super::front::Front;
use super::output;
use crate::diag::Sources;
use crate::exec;
use crate::lower::interface::{self, Interface};
use crate::lower::to_tir;
use crate::model::Model;
use crate::tir::interp::{self, Tensor};

/// A value for everything that a function of the program reads.
#[derive(Clone, Debug)]
pub struct Point {
    values: BTreeMap<Arc<str>, Tensor>,
    /// Samples in the batch.
    pub batch: usize,
}

/// A step that is neither the first nor beyond any sensible schedule.
const MIDDLE_STEP: f64 = 1000.0;

impl Point {
    /// The program's start: tensors drawn from its seed or taken from the file `init`, the first samples of the training split in the
    /// order of the file: as many as the plan's batch has, or `batch` of them.
    ///
    /// # Errors
    ///
    /// What is wrong with data, files or the size of the batch, which has been said.
    pub fn new(front: &mut Front, model: &Model, init: Option<&Path>, batch: Option<u32>) -> Result<Point, Exit> {
        let interface = interface::of(model);
        let wanted = match batch {
            None => front.batch(model)?,
            Some(_) if model.states.iter().any(|state| state.carried) => return Err(refuse_batch(model)),
            Some(batch) => batch as usize,
        };
        let data = front.take_data(model)?;
        let batch = if model.data.is_empty() { wanted } else { wanted.min(data.n(Split::Train)).max(1) };
        let seed = model.plan.as_ref().map_or(0, |plan| exec::short_seed(plan.seed));
        let mut point = Point { values: constants(&interface, seed), batch };
        point.start(model, &front.sources);
        if let Some(path) = init {
            point.replace(&interface, path).map_err(|error| output::data_error(&error))?;
        }
        point.gather(&interface, &data);
        Ok(point)
    }

    /// The value of an input, by name.
    pub fn get(&self, name: &str) -> Option<Tensor> {
        self.values.get(name).cloned()
    }

    /// Moves the clock to the middle of the run, where schedules that begin at nothing have begun.
    pub fn move_to_middle(&mut self, model: &Model) {
        let epochs = model.plan.as_ref().map_or(0, |plan| plan.phases().map(|phase| phase.epochs).sum());
        for (name, value) in [("step", MIDDLE_STEP), ("epoch", epochs as f64 / 2.0), ("progress", 0.5)] {
            let _ = self.values.insert(name.into(), ArrayD::from_elem(vec![], value));
        }
    }

    /// Rounds all values to single precision, which compiled programs work in.
    pub fn round(&mut self) {
        self.values.values_mut().for_each(|value| value.mapv_inplace(|x| f64::from(x as f32)));
    }

    fn start(&mut self, model: &Model, sources: &Sources) {
        let init = exec::optimised(to_tir::init(model, sources));
        let drawn =
            interp::run(&init, &|name| self.get(name)).expect("starts depend on the seed and on constants only");
        self.values.extend(drawn);
    }

    /// Takes start values from a file.
    fn replace(&mut self, interface: &Interface, path: &Path) -> Result<(), DataError> {
        for (name, value) in store::read_start_values(path)? {
            let _ = store::find_tensor(&interface.description.tensors, &name, &value)?;
            let _ = self.values.insert(name.into(), value);
        }
        Ok(())
    }

    fn gather(&mut self, interface: &Interface, data: &Dataset) {
        let rows: Vec<usize> = data.order(Split::Train, self.batch, None).into_iter().take(self.batch).collect();
        for (info, name) in interface.description.fields.iter().zip(&interface.field_names) {
            let field = data.fields().iter().position(|field| field.name == info.name);
            let field = field.expect("fields were read from the data");
            let shape = [&[self.batch], info.shape.as_slice()].concat();
            let mut values = vec![0.0; shape.iter().product()];
            match info.element {
                Element::Real | Element::Integer => data.gather(Split::Train, &rows, field, FieldMut::F64(&mut values)),
            }
            let tensor = ArrayD::from_shape_vec(shape, values).expect("the shape has as many elements");
            let _ = self.values.insert(Arc::clone(name), tensor);
        }
    }
}

/// States that are carried from batch to batch have the plan's number of streams.
fn refuse_batch(model: &Model) -> Exit {
    let streams = model.carried_batch();
    let message = format!("`--batch` changes the number of streams that the program's carried states have, {streams}");
    output::fail(&message, Some("leave `--batch` out, or change `batch` in the program"))
}

/// Constant tensors, the seed and the clock of the first step.
fn constants(interface: &Interface, seed: i32) -> BTreeMap<Arc<str>, Tensor> {
    let scalars = exec::scalars(seed, Clock::START);
    let scalars = scalars.map(|(name, value)| (Arc::from(name), ArrayD::from_elem(vec![], value)));
    interface.literals.iter().cloned().chain(scalars).collect()
}
