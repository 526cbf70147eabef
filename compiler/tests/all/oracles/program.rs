//! From an oracle case to the program that asks the library for the same value.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A tensor of the oracle files, row-major.
#[derive(Clone, Debug, Deserialize)]
pub struct Array {
    /// The shape.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f64>,
}

/// One line of the oracle files.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// As `GroupThreshold rectified zero group`.
    pub name: String,
    /// What is asked, where the name does not say it.
    pub program: Option<Program>,
    /// The names of each input's axes.
    pub axes: BTreeMap<String, Vec<String>>,
    /// Numbers that the case fixes.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// What the function is given.
    pub inputs: BTreeMap<String, Array>,
    /// What it must return.
    pub value: Array,
    /// What the value is multiplied with before it is differentiated.
    pub cotangent: Option<Array>,
    /// The derivative of the product by each input.
    #[serde(default)]
    pub gradients: BTreeMap<String, Array>,
}

/// The words of a question, in the file of its case: parameters are called as the inputs, those with a dot are the instance's.
#[derive(Clone, Debug, Deserialize)]
pub struct Program {
    /// As `std.layers.Lstm`; empty for names of the prelude.
    pub import: String,
    /// The instance `it`, as `Lstm[Hidden = 2]`.
    pub instance: Option<String>,
    /// As `conv2d(x, w, stride: 2)`.
    pub value: String,
}

/// A program whose objective is `sum(cotangent * value)`; its parameters hold the case's inputs.
pub struct Question {
    /// The program's text.
    pub text: String,
    /// Which parameter holds which input.
    pub params: BTreeMap<String, String>,
}

/// What stands in the layer of the question: an expression over the inputs, perhaps with an instance `it` before it.
struct Asked {
    /// As `l1`; empty for names of the prelude.
    import: &'static str,
    /// As `GroupThreshold(rectify: true)`.
    instance: Option<String>,
    /// As `it(w)`.
    value: String,
    /// Inputs that are parameters of the instance.
    inner: &'static [&'static str],
}

/// The program for `case`.
///
/// # Panics
///
/// If the library has no words for it.
pub fn question(case: &Case) -> Question {
    if let Some(program) = &case.program {
        return question_in_words(case, program);
    }
    let asked = asked(case);
    let mut body = String::new();
    let mut params = BTreeMap::new();
    for (name, array) in &case.inputs {
        if asked.inner.contains(&name.as_str()) {
            let _ = params.insert(name.clone(), format!("net.it.{name}"));
        } else {
            let _ = writeln!(body, "    param {name}_: {} = 0", axes(case, &case.axes[name], &array.shape));
            let _ = params.insert(name.clone(), format!("net.{name}_"));
        }
    }
    for (name, setting) in vectors(case) {
        let _ = writeln!(body, "    param {name}: [{}] = 0", setting.len());
        let _ = params.insert(name.clone(), format!("net.{name}"));
    }
    let _ = writeln!(body, "    param cotangent: {} = 0", result_axes(case));
    if let Some(instance) = &asked.instance {
        let _ = writeln!(body, "    it = {instance}");
    }
    let import = asked.import;
    let text = format!(
        "use {import}\n\nlayer Case() -> [] {{\n{body}    sum(cotangent * {})\n}}\n\nmodel net = Case\n\nminimize net()\n",
        asked.value
    );
    Question { text, params }
}

/// The value and its cotangent are looked at as lists: names and order of the value's axes are the library's.
fn question_in_words(case: &Case, program: &Program) -> Question {
    let Program { import, instance, value } = program;
    let declared = case.inputs.iter().filter(|(name, _)| !name.contains('.'));
    let mut body: String = declared
        .map(|(name, array)| format!("    param {name}: {} = 0\n", axes(case, &case.axes[name], &array.shape)))
        .collect();
    let _ = writeln!(body, "    param cotangent: [N: {}] = 0", case.value.data.len());
    if let Some(instance) = instance {
        let _ = writeln!(body, "    it = {instance}");
    }
    let import = if import.is_empty() { String::new() } else { format!("use {import}\n\n") };
    let text = format!(
        "{import}fn line(y: [...S]) -> [N] = reshape(y, [N])\n\nlayer Case() -> [] {{\n{body}    sum(cotangent * line({value}))\n}}\n\n\
         model net = Case\n\nminimize net()\n"
    );
    let path = |name: &String| (name.clone(), format!("net.{name}"));
    Question { text, params: case.inputs.keys().map(path).collect() }
}

/// Settings that are lists of numbers.
pub fn vectors(case: &Case) -> Vec<(String, Vec<f64>)> {
    let list = |value: &serde_json::Value| -> Option<Vec<f64>> {
        Some(value.as_array()?.iter().map(|x| x.as_f64().expect("lists hold numbers")).collect())
    };
    case.settings.iter().filter_map(|(name, value)| Some((name.clone(), list(value)?))).collect()
}

/// `[G: 3, M: 5]`; where a group is wanted, one axis alone becomes one group.
fn axes(case: &Case, names: &[String], shape: &[usize]) -> String {
    let is_group = case.name.starts_with("Competition");
    let pair = |(name, size): (&String, &usize)| format!("{name}: {size}");
    let pairs: Vec<String> = names.iter().zip(shape).map(pair).collect();
    match names {
        [only] if is_group => format!("[G: 1, {only}: {}]", shape[0]),
        _ => format!("[{}]", pairs.join(", ")),
    }
}

/// The axes of the value: those of the input that it is elementwise of.
fn result_axes(case: &Case) -> String {
    let like = case.inputs.iter().find(|(_, input)| input.shape == case.value.shape);
    match like {
        Some((name, input)) => axes(case, &case.axes[name], &input.shape),
        None if case.value.shape.len() == 1 => format!("[G: 1, M: {}]", case.value.shape[0]),
        None => axes(case, &[], &case.value.shape),
    }
}

/// The number that is set as `name`.
fn number(case: &Case, name: &str) -> f64 {
    case.settings[name].as_f64().expect("a number")
}

fn asked(case: &Case) -> Asked {
    let head = case.name.split([' ', '(']).next().expect("names are not empty");
    let plain = |import, value: String| Asked { import, instance: None, value, inner: &[] };
    let rectify = case.name.contains("rectified");
    let layer = |import, call: &str, value: &str, inner| {
        let instance = Some(format!("{head}({call})"));
        Asked { import, instance, value: value.to_owned(), inner }
    };
    let gate = format!("rectify: {rectify}");
    match head {
        "l1" => plain("std.norms.l1", "l1(w_)".into()),
        "l2_squared" => plain("std.norms.l2_squared", "l2_squared(w_)".into()),
        "l21" => plain("std.norms.l21", "l21(w_)".into()),
        "l12" => plain("std.norms.l12", "l12(w_)".into()),
        "pnorm" => plain("std.norms.pnorm", format!("pnorm(w_, p: {})", number(case, "p"))),
        "lp" => plain("std.norms.lp", format!("lp(w_, p: {})", number(case, "p"))),
        "log_l1" => plain("std.norms.log_l1", format!("log_l1(w_, tau: {})", number(case, "tau"))),
        "log_l2" => plain("std.norms.log_l2", format!("log_l2(w_, tau: {})", number(case, "tau"))),
        "prox_l1" => plain("std.prox.prox_l1", format!("prox_l1(w_, t: {})", number(case, "t"))),
        "prox_l21" => plain("std.prox.prox_l21", format!("prox_l21(w_, t: {})", number(case, "t"))),
        "prox_l12" => plain("std.prox.prox_l12", format!("prox_l12(w_, t: {})", number(case, "t"))),
        "cubic_ramp" => plain("std.schedules.cubic_ramp", at(case)),
        "bandwidth" => plain("std.schedules.bandwidth", at(case)),
        "cosine_restarts" => plain("std.schedules.cosine_restarts", at(case)),
        "SignedCompetition" if case.name.ends_with("start") => {
            let start = format!("it(full_like(cotangent, competition_start(a0_, members: {})))", number(case, "n"));
            layer("std.sparse.SignedCompetition", "", &start, &[])
        }
        "Competition" => layer("std.sparse.Competition", &gate, "it(alpha_)", &["beta"]),
        "SignedCompetition" => layer("std.sparse.SignedCompetition", &gate, "it(w_)", &["beta"]),
        "GroupThreshold" => layer("std.sparse.GroupThreshold", &gate, "it(w_)", &["beta"]),
        "ScaledGroupThreshold" => layer("std.sparse.ScaledGroupThreshold", &gate, "it(w_)", &["alpha", "beta"]),
        "RowColumnCompetition" => {
            layer("std.sparse.RowColumnCompetition", &gate, "it(alpha_)", &["beta_row", "beta_col"])
        }
        "sinkhorn" => plain("std.sparse.sinkhorn", format!("sinkhorn(a_, rounds: {})", number(case, "rounds"))),
        "sinkhorn_balanced" => {
            let value = format!("sinkhorn_balanced(a_, rounds: {})", number(case, "rounds"));
            plain("std.sparse.sinkhorn_balanced", value)
        }
        "AdaptiveThreshold" if case.name.ends_with("density") => plain("std.sparse.bell", "bell(b_)".into()),
        "AdaptiveThreshold" => layer("std.sparse.AdaptiveThreshold", "", "it(w_)", &["b"]),
        "FixedSparsity" => fixed_sparsity(case),
        "StructuredMask" if case.name.ends_with("penalty") => {
            plain("std.sparse.soft_mask", format!("sum(soft_mask(s_, sharpness: {}))", number(case, "beta")))
        }
        "StructuredMask" => {
            let mask = format!("soft_mask(s_, sharpness: {})", number(case, "beta"));
            plain("std.sparse.soft_mask", format!("w_ * ({mask} * q)"))
        }
        "Reweighted" => reweighted(case),
        "kurtosis" => plain("std.metrics.kurtosis", "kurtosis(w_)".into()),
        "average" => plain("std.sparse.average", "average(d_)".into()),
        "weighted" => plain("std.sparse.weighted", "weighted(d_, sizes)".into()),
        "two_sided" => plain("std.sparse.{weighted, two_sided}", budget("two_sided", case)),
        "one_sided" => plain("std.sparse.{weighted, one_sided}", budget("one_sided", case)),
        _ => panic!("no words for the oracle `{}`", case.name),
    }
}

/// A schedule by its own words, following the case's clock.
fn at(case: &Case) -> String {
    let clock = case.inputs.keys().next().expect("a schedule has a clock");
    let call = case.name.strip_suffix(')').expect("the name of a schedule is a call");
    format!("{call}, at: {clock}_)")
}

fn budget(penalty: &str, case: &Case) -> String {
    let (limit, weight) = (number(case, "budget"), number(case, "weight"));
    format!("{penalty}(weighted(d_, sizes), {limit}, {weight})")
}

fn fixed_sparsity(case: &Case) -> Asked {
    let gaussian = case.name.contains("gaussian");
    let instance = format!("FixedSparsity(sparsity: {}, gaussian: {gaussian})", number(case, "sparsity"));
    let value = if gaussian { "it(w_)" } else { "sum(float(it(w_) == 0))" };
    Asked { import: "std.sparse.FixedSparsity", instance: Some(instance), value: value.into(), inner: &[] }
}

fn reweighted(case: &Case) -> Asked {
    let tau = number(case, "tau");
    let (import, value) = match case.name.as_str() {
        "Reweighted omega l1" => ("std.sparse.reweight_l1", format!("reweight_l1(theta_, tau: {tau})")),
        "Reweighted omega l2" => ("std.sparse.reweight_l2", format!("reweight_l2(theta_, tau: {tau})")),
        _ => ("std.sparse.reweight_focuss", format!("reweight_focuss(theta_, tau: {tau}, p: 0.5)")),
    };
    Asked { import, instance: None, value, inner: &[] }
}
