//! Samples of a program's data, as inputs of functions of its network.

use spnc_runtime::data::Split;
use spnc_runtime::program::FieldMut;

use super::job::Job;
use crate::tir::Type;
use crate::tir::interp::Tensor;

/// The split that networks are looked at on, and the first `n` of its samples.
pub fn first(job: &Job, n: usize) -> (Split, Vec<usize>) {
    let split = job.data.evaluated().last().copied().unwrap_or(Split::Train);
    let order = job.data.order(split, 1, None);
    (split, order.into_iter().take(n).collect())
}

/// Samples of that split of a field of the data, by its name in functions; `None` where it is no field.
pub fn field(job: &Job, name: &str, rows: &[usize], ty: &Type) -> Option<Tensor> {
    let interface = &job.built.interface;
    let index = interface.field_names.iter().position(|known| **known == *name)?;
    let own = &interface.description.fields[index].name;
    let column = job.data.fields().iter().position(|info| info.name == *own)?;
    let mut values = vec![0.0; ty.len()];
    job.data.gather(first(job, 1).0, rows, column, FieldMut::F64(&mut values));
    Tensor::from_shape_vec(ty.shape.as_slice(), values).ok()
}
