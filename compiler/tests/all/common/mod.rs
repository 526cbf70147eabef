//! A world without files, for tests of programs.

use ndarray::{ArrayD, IxDyn};
use spnc::model::{DType, DataFacts, DataSpec, Field, Refusal, World};

/// Data sets that only exist here: their fields are what a test needs.
pub struct Fake;

impl World for Fake {
    fn data(&mut self, spec: &DataSpec) -> Result<DataFacts, Refusal> {
        let field = |name: &str, dtype, shape: &[usize]| Field { name: name.into(), dtype, shape: shape.to_vec() };
        let fields = match spec.source.as_str() {
            "idx" => vec![field("image", DType::I32, &[28, 28]), field("label", DType::I32, &[])],
            "digits" => vec![field("image", DType::F32, &[8, 8]), field("label", DType::I32, &[])],
            "csv" => vec![field("x", DType::F32, &[8]), field("y", DType::F32, &[])],
            "synthetic" => vec![field("x", DType::F32, &[20]), field("y", DType::F32, &[])],
            other => {
                let help = Some("write `digits()`".into());
                return Err(Refusal {
                    code: "E0901",
                    title: format!("no data source is called `{other}`"),
                    argument: None,
                    help,
                });
            }
        };
        Ok(DataFacts { fields, constants: vec![] })
    }

    fn load(&mut self, _: &str, name: Option<&str>) -> Result<ArrayD<f64>, Refusal> {
        match name {
            Some("w") => Ok(ArrayD::from_shape_fn(IxDyn(&[4, 3]), |at| (at[0] * 3 + at[1]) as f64 - 5.0)),
            Some("scalar") => Ok(ArrayD::from_elem(IxDyn(&[]), 2.0)),
            _ => Err(Refusal { code: "E0904", title: "no such tensor".into(), argument: None, help: None }),
        }
    }

    fn tensors(&mut self, file: &str) -> Result<Vec<(String, ArrayD<f64>)>, Refusal> {
        let tensor = |name: &str, shape: &[usize]| {
            let rank = shape.len();
            let value = |at: IxDyn| (0..rank).map(|d| at[d] as f64).sum::<f64>() + rank as f64;
            (name.to_string(), ArrayD::from_shape_fn(IxDyn(shape), value))
        };
        match file {
            "dense.safetensors" => Ok(vec![tensor("layers.0.weight", &[8, 3]), tensor("layers.0.bias", &[3])]),
            "extra.safetensors" => Ok(vec![tensor("w", &[8, 3]), tensor("b", &[3]), tensor("head.weight", &[10, 8])]),
            _ => Err(Refusal { code: "E0901", title: format!("no file `{file}`"), argument: None, help: None }),
        }
    }
}
