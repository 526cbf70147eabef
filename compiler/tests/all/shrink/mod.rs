//! `spnc shrink`: smaller networks compute what the trained ones did.

mod networks;
mod runs;
mod values;

use std::collections::BTreeMap;

use ndarray::{ArrayD, Axis};
use spnc::diag::Sources;
use spnc::lower::to_tir;
use spnc::model::{DType, DataFacts, DataSpec, Field, Model, Refusal, World};
use spnc::shrink::{Smaller, Trained, WEIGHTS, shrink};
use spnc::tir::interp::{self, Tensor};
use spnc::{ad, elaborate, resolve, syntax};

/// Images of digits, and one file of tensors.
struct Digits(Vec<(String, Tensor)>);

impl World for Digits {
    fn data(&mut self, _: &DataSpec) -> Result<DataFacts, Refusal> {
        let field = |name: &str, dtype, shape: &[usize]| Field { name: name.into(), dtype, shape: shape.to_vec() };
        let fields = vec![field("image", DType::F32, &[8, 8]), field("label", DType::I32, &[])];
        Ok(DataFacts { fields, constants: vec![] })
    }

    fn load(&mut self, file: &str, _: Option<&str>) -> Result<ArrayD<f64>, Refusal> {
        Err(Refusal { code: "E0901", title: format!("no `{file}` here"), argument: None, help: None })
    }

    fn tensors(&mut self, file: &str) -> Result<Vec<(String, ArrayD<f64>)>, Refusal> {
        assert_eq!(file, WEIGHTS);
        Ok(self.0.clone())
    }
}

fn compile(text: &str, tensors: Vec<(String, Tensor)>) -> (Model, Sources) {
    let mut sources = Sources::default();
    let file = sources.add("main.spnet", text);
    let (parsed, errors) = syntax::parse(file, text);
    assert!(errors.is_empty(), "{errors:?}\n{text}");
    let program = resolve::resolve(&parsed, &mut sources, &mut |path| Err(path.to_owned()), &[]);
    let program = program.unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    let model = elaborate::elaborate(&program, &mut Digits(tensors));
    (model.unwrap_or_else(|errors| panic!("{errors:?}\n{text}")), sources)
}

/// A program around a network of these layers and this way through them.
fn program(layers: &str, way: &str) -> String {
    format!(
        "use std.layers.{{BatchNorm, Dense, DenseConnection, Depthwise, Linear, LinearConv2d, Lstm, Gru, Rnn, Residual, flatten, global_pool, resize}}

data digits = digits()

/// A convolution, its norm, relu.
layer Block[Out](x: [B, C, H, W]) -> [B, Out, H, W] {{
    conv = LinearConv2d[Out = Out]
    norm = BatchNorm
    x |> conv |> norm |> relu
}}

/// A filter for each channel, its norm, relu.
layer Each(x: [B, C, H, W]) -> [B, C, H, W] {{
    filter = Depthwise
    norm = BatchNorm
    x |> filter |> norm |> relu
}}

layer Net(image: [B, H, W]) -> [B, 10] {{
{layers}    {way}
}}

model net = Net

minimize cross_entropy(net(digits.image), digits.label)

train {{
    epochs    = 1
    batch     = 32
    optimizer = sgd(lr: 0.1)
}}
"
    )
}

/// The start values of a program: `effective.<path>` and states.
fn starts(model: &Model, sources: &Sources) -> BTreeMap<String, Tensor> {
    let init = ad::grad(&to_tir::init(model, sources));
    let found = interp::run(&init, &|_| Some(ArrayD::zeros(vec![]))).expect("starts depend on the seed");
    let is_param = |name: &str| model.params.iter().any(|param| *param.path == *name);
    let named = found.into_iter().filter(|(name, _)| !name.starts_with("optimizer."));
    named
        .map(|(name, value)| (if is_param(&name) { format!("effective.{name}") } else { name.to_string() }, value))
        .collect()
}

/// What a network computes from two images.
fn outputs(model: &Model, sources: &Sources, values: &dyn Fn(&str) -> Option<Tensor>) -> Tensor {
    let func = ad::grad(&to_tir::network_at(model, sources, 2));
    let image =
        || ArrayD::from_shape_fn(vec![2, 8, 8], |at| ((at[0] * 64 + at[1] * 8 + at[2]) * 37 % 64) as f64 / 32.0 - 1.0);
    let given = |name: &str| if name == "digits.image" { Some(image()) } else { values(name) };
    let found = interp::run(&func, &given).expect("every input is given");
    found.into_values().next().expect("one output")
}

/// Shrinks a network with these numbers and compares; gives the smaller program.
fn check(text: &str, values: &BTreeMap<String, Tensor>) -> Smaller {
    let (model, sources) = compile(text, vec![]);
    let value = |name: &str| values.get(name).cloned();
    let trained = Trained { model: &model, sources: &sources, value: &value, set: &[], seed: 1 };
    let smaller = shrink(&trained, &[].into()).expect("it can be written");
    let tensors: Vec<(String, Tensor)> =
        smaller.tensors.iter().map(|(path, value)| (path.clone(), value.clone())).collect();
    let (small, small_sources) = compile(&smaller.text, tensors);
    let new = |name: &str| smaller.tensors.get(name.strip_prefix("effective.").unwrap_or(name)).cloned();
    let (before, after) = (outputs(&model, &sources, &value), outputs(&small, &small_sources, &new));
    let difference = before.iter().zip(&after).fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
    let largest = before.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
    assert!(difference <= 1e-9 * largest, "{difference} of {largest}\n{}", smaller.text);
    smaller
}

/// Sets positions along an axis of a tensor to zero.
fn zero(values: &mut BTreeMap<String, Tensor>, name: &str, axis: usize, at: &[usize]) {
    let value = values.get_mut(name).unwrap_or_else(|| panic!("{name}"));
    at.iter().for_each(|at| value.index_axis_mut(Axis(axis), *at).fill(0.0));
}

/// The sizes of a tensor of the smaller program.
fn sizes(smaller: &Smaller, path: &str) -> Vec<usize> {
    smaller.tensors[path].shape().to_vec()
}
