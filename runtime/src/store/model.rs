//! The tensors of a program, out of it and into it.

use std::borrow::Cow;
use std::path::Path;

use indexmap::IndexMap;
use ndarray::ArrayD;

use crate::data::{DataError, Fault, list, near_miss, quoted, read_tensors};
use crate::program::{Clock, Program, Role, TensorInfo};

/// The tensors of a program by path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Parameters as they are trained.
    pub free: IndexMap<String, ArrayD<f64>>,
    /// Parameters as the network sees them.
    pub effective: IndexMap<String, ArrayD<f64>>,
    /// States of layers, parameterisations and optimizers.
    pub states: IndexMap<String, ArrayD<f64>>,
}

const FREE: &str = "free/";
const EFFECTIVE: &str = "effective/";
const STATE: &str = "state/";

/// Tensors that a run is saved with. They are asked for one after the other: all of them at once can be as much again as training
/// needs.
pub trait Tensors {
    /// Their names in `model.safetensors`.
    fn names(&self) -> Vec<String>;

    /// The tensor of one of these names.
    fn tensor(&self, name: &str) -> Cow<'_, ArrayD<f64>>;
}

impl Tensors for Model {
    fn names(&self) -> Vec<String> {
        self.parts().iter().flat_map(|(prefix, part)| part.keys().map(move |name| format!("{prefix}{name}"))).collect()
    }

    fn tensor(&self, name: &str) -> Cow<'_, ArrayD<f64>> {
        let tensor = self.parts().iter().find_map(|(prefix, part)| part.get(name.strip_prefix(prefix)?));
        Cow::Borrowed(tensor.expect("one of the names"))
    }
}

/// The tensors of a program, where it has them.
pub struct Held<'a> {
    program: &'a dyn Program,
    /// Where each is, by its name in `model.safetensors`.
    places: IndexMap<String, Place>,
}

/// Where a program has a tensor.
enum Place {
    /// Among those that last.
    Lasting(usize),
    /// Among those that it has computed from them, under this name.
    Computed(String),
}

impl Held<'_> {
    /// The tensors of `program`, which computes its effective parameters now, as they are at `clock`.
    pub fn by(program: &mut dyn Program, clock: Clock) -> Held<'_> {
        let computed = program.effective(clock);
        let program: &dyn Program = program;
        let infos = &program.description().tensors;
        let lasting = infos.iter().enumerate().filter_map(|(index, info)| {
            let prefix = match info.role {
                Role::Param => FREE,
                Role::State | Role::OptimizerState => STATE,
                Role::Carried => return None,
            };
            Some((format!("{prefix}{}", info.name), Place::Lasting(index)))
        });
        let is_param = |name: &str| infos.iter().any(|info| info.role == Role::Param && info.name == name);
        let effective = computed.into_iter().filter(|name| is_param(name));
        let effective = effective.map(|name| (format!("{EFFECTIVE}{name}"), Place::Computed(name)));
        Held { program, places: lasting.chain(effective).collect() }
    }
}

impl Tensors for Held<'_> {
    fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    fn tensor(&self, name: &str) -> Cow<'_, ArrayD<f64>> {
        Cow::Owned(match &self.places[name] {
            Place::Lasting(index) => self.program.read(*index),
            Place::Computed(name) => self.program.computed(name).expect("it has been computed"),
        })
    }
}

impl Model {
    /// What stands before the names of each part.
    fn parts(&self) -> [(&'static str, &IndexMap<String, ArrayD<f64>>); 3] {
        [(FREE, &self.free), (EFFECTIVE, &self.effective), (STATE, &self.states)]
    }

    /// The tensors by their names in `model.safetensors`; fails with a name that has none of the prefixes.
    pub(super) fn from_named(named: IndexMap<String, ArrayD<f64>>) -> Result<Model, String> {
        let mut model = Model::default();
        for (name, value) in named {
            let (part, name) = if let Some(path) = name.strip_prefix(FREE) {
                (&mut model.free, path)
            } else if let Some(path) = name.strip_prefix(EFFECTIVE) {
                (&mut model.effective, path)
            } else if let Some(path) = name.strip_prefix(STATE) {
                (&mut model.states, path)
            } else {
                return Err(name);
            };
            let _ = part.insert(name.to_owned(), value);
        }
        Ok(model)
    }
}

/// Start values by path, from an npz or safetensors file or from a run folder. Of the model of a run these are its free
/// parameters.
///
/// # Errors
///
/// What is wrong with the file.
pub fn read_start_values(path: &Path) -> Result<IndexMap<String, ArrayD<f64>>, DataError> {
    let file = if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() };
    let tensors = read_tensors(&file)?;
    if tensors.contains_key("") {
        let error = DataError::new(Fault::Name, quoted(&file), "tensors with names", "one without");
        return Err(error.help("save it with `numpy.savez`, named by the path of its parameter"));
    }
    match Model::from_named(tensors) {
        Ok(model) => Ok(model.free),
        Err(_) => read_tensors(&file),
    }
}

/// Overwrites lasting tensors of `program` by the start values of the same path.
///
/// # Errors
///
/// When a value belongs to no tensor or has another shape; nothing is overwritten then.
pub fn apply_start_values(program: &mut dyn Program, values: &IndexMap<String, ArrayD<f64>>) -> Result<(), DataError> {
    let infos = program.description().tensors.clone();
    let targets = values.iter().map(|(name, value)| find_tensor(&infos, name, value)).collect::<Result<Vec<_>, _>>()?;
    for (target, value) in targets.into_iter().zip(values.values()) {
        program.write(target, value);
    }
    Ok(())
}

/// Gives `program` the tensors of a run of it.
///
/// # Errors
///
/// When it has other tensors; nothing is overwritten then.
pub fn apply_model(program: &mut dyn Program, model: &Model) -> Result<(), DataError> {
    let infos = program.description().tensors.clone();
    let lasting = infos.iter().enumerate().filter(|(_, info)| info.role != Role::Carried);
    let value = |info: &TensorInfo| {
        let value = model.free.get(&info.name).or_else(|| model.states.get(&info.name));
        value.filter(|value| value.shape() == info.shape).ok_or_else(|| {
            let expected = format!("a tensor `{}` of shape {:?}", info.name, info.shape);
            let found = value.map_or("none".to_owned(), |value| format!("{:?}", value.shape()));
            DataError::new(Fault::Disagreement, "the model of the run", expected, found)
        })
    };
    let values = lasting.map(|(index, info)| Ok((index, value(info)?))).collect::<Result<Vec<_>, _>>()?;
    values.into_iter().for_each(|(index, value)| program.write(index, value));
    Ok(())
}

/// The index of the tensor that a start value is for.
///
/// # Errors
///
/// When there is no tensor of this name that is started so, or it has another shape.
pub fn find_tensor(infos: &[TensorInfo], name: &str, value: &ArrayD<f64>) -> Result<usize, DataError> {
    let place = format!("the start value `{name}`");
    let names = || infos.iter().map(|info| info.name.as_str());
    let Some(index) = names().position(|known| known == name) else {
        let expected = format!("a tensor of the program ({})", list(names()));
        let error = DataError::new(Fault::Name, place, expected, "none of this name");
        return Err(match near_miss(name, names()) {
            Some(near) => error.help(format!("name it `{near}`")),
            None => error,
        });
    };
    if matches!(infos[index].role, Role::OptimizerState | Role::Carried) {
        let expected = "a parameter, or a state of a layer";
        return Err(DataError::new(Fault::Name, place, expected, "a state that training starts by itself"));
    }
    if infos[index].shape != value.shape() {
        let (expected, found) = (format!("shape {:?}", infos[index].shape), format!("{:?}", value.shape()));
        return Err(DataError::new(Fault::Disagreement, place, expected, found));
    }
    Ok(index)
}
