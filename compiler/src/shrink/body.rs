//! The body of a layer, written down again from what it computes: applications of the instances in it, and the expressions between them.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::glue;
use super::kept::Kept;
use super::layers::{Layers, Origin, Unable};
use crate::model::{Application, Axis, DType, ExprId, Op, Size, StateId, Symbol};

/// An expression as text.
#[derive(Clone, Debug)]
pub enum Form {
    /// A name, a number or a call.
    Atom(String),
    /// Operands with an operator; the tighter it binds, the larger the number.
    Operator(String, u8),
    /// What functions of one argument do one after the other: the first value (a name, or operands with an operator), then each function
    /// with further arguments.
    Pipe(Box<Form>, Vec<(String, String)>),
}

/// A layer that is being written.
pub struct Body<'l, 'a> {
    /// What all layers have in common.
    pub layers: &'l mut Layers<'a>,
    path: Symbol,
    new_path: String,
    /// What is bound to a name.
    names: BTreeMap<ExprId, String>,
    /// The names of the axes of what is bound to a name.
    axes: BTreeMap<ExprId, Vec<String>>,
    /// The sizes that the names of axes stand for.
    sizes: BTreeMap<String, usize>,
    uses: BTreeMap<ExprId, usize>,
    /// The tensors of the layer by what they stand for.
    owned: BTreeMap<ExprId, String>,
    /// Applications of the instances right below this one, by what they compute.
    calls: BTreeMap<ExprId, &'a Application>,
    instances: Vec<(String, String)>,
    params: Vec<String>,
    lines: Vec<String>,
    n_bound: usize,
}

const OTHERS: &str = "it reads a parameter of another layer";

/// The tightest operator.
pub const UNARY: u8 = 4;

impl<'l, 'a> Body<'l, 'a> {
    /// The text of a layer behind its name, and between its braces.
    pub fn write(layers: &'l mut Layers<'a>, path: &Symbol, new_path: &str) -> Result<String, Unable> {
        let application = layers.facts.application(path).ok_or_else(|| Unable::new(path, "nothing applies it"))?;
        let [result] = application.results[..] else { return Err(Unable::new(path, "it has several results")) };
        let calls = calls(layers, path);
        let mut body = Body {
            layers,
            path: path.clone(),
            new_path: new_path.to_owned(),
            names: BTreeMap::new(),
            axes: BTreeMap::new(),
            sizes: BTreeMap::new(),
            uses: BTreeMap::new(),
            owned: BTreeMap::new(),
            calls,
            instances: vec![],
            params: vec![],
            lines: vec![],
            n_bound: 0,
        };
        let inputs = body.inputs(application)?;
        body.count_uses(result);
        let value = body.expr(result)?;
        let value = wrapped(&value, 0);
        let params: String = body.params.iter().map(|line| format!("    {line}\n")).collect();
        let instances: String = body.instances.iter().map(|(name, text)| format!("    {name} = {text}\n")).collect();
        let lines: String = body.lines.iter().map(|line| format!("    {line}\n")).collect();
        let result = body.ty(result, &[]);
        Ok(format!("({inputs}) -> {result} {{\n{params}{instances}{lines}    {value}\n}}"))
    }

    /// The facts of the network.
    pub fn facts(&self) -> &'a Facts<'a> {
        self.layers.facts
    }

    /// What stays of it.
    pub fn kept(&self) -> &'a Kept {
        self.layers.kept
    }

    /// This layer cannot be written, because of `why`.
    pub fn unable(&self, why: &str) -> Unable {
        Unable::new(&self.path, why)
    }

    fn inputs(&mut self, application: &Application) -> Result<String, Unable> {
        let mut texts = vec![];
        for (name, input) in &application.inputs {
            let input = input.filter(|input| self.facts().alive.contains_key(input));
            let input = input.ok_or_else(|| self.unable("it has an input that it does not use"))?;
            if self.names.insert(input, name.to_string()).is_some() {
                return Err(self.unable("it is given one tensor twice"));
            }
            let axes = self.axis_names(input);
            texts.push(format!("{name}: {}", self.ty(input, &axes)));
            let _ = self.axes.insert(input, axes);
        }
        Ok(texts.join(", "))
    }

    /// Names for the axes of a tensor. Axes of one kind and size have one name in all of the layer; the batch is `B` everywhere.
    fn axis_names(&mut self, id: ExprId) -> Vec<String> {
        const IMAGES: [&str; 4] = ["N", "C", "H", "W"];
        let node = self.facts().node(id);
        let sizes = self.kept().shape(id);
        let is_elsewhere = |(axis, own): (usize, &Axis)| {
            own.name
                .as_ref()
                .is_some_and(|name| IMAGES.iter().position(|usual| *usual == &**name).is_some_and(|at| at != axis))
        };
        let is_images = node.ty.axes.len() == 4 && !node.ty.axes.iter().enumerate().any(is_elsewhere);
        let mut names: Vec<String> = vec![];
        for (axis, own) in node.ty.axes.iter().enumerate() {
            let usual = is_images.then(|| IMAGES[axis]);
            let is_word = |name: &&Symbol| name.chars().all(|c| c.is_ascii_alphabetic()) && ***name != *"B";
            let base = match (own.size, usual) {
                (Size::Batch, _) => "B",
                (_, Some(usual)) => usual,
                (_, None) => own.name.as_ref().filter(is_word).map_or("A", |name| &**name),
            };
            let name = self.axis_name(base, sizes[axis], &names);
            names.push(name);
        }
        names
    }

    fn axis_name(&mut self, base: &str, size: usize, others: &[String]) -> String {
        let candidates = std::iter::once(base.to_owned()).chain((2..).map(|n| format!("{base}{n}")));
        let is_free = |name: &String| !others.contains(name) && self.sizes.get(name).is_none_or(|known| *known == size);
        let name = candidates.into_iter().find(is_free).expect("there are as many names as one likes");
        let _ = self.sizes.insert(name.clone(), size);
        name
    }

    /// A type with what is left of its sizes; axes are named where there are names.
    fn ty(&self, id: ExprId, names: &[String]) -> String {
        let axes = &self.facts().node(id).ty.axes;
        let sizes = self.kept().shape(id);
        let axis = |axis: usize| match (axes[axis].size, names.get(axis)) {
            (Size::Batch, _) => "B".to_owned(),
            (_, Some(name)) => format!("{name}: {}", sizes[axis]),
            (_, None) => sizes[axis].to_string(),
        };
        let axes: Vec<String> = (0..axes.len()).map(axis).collect();
        let dtype = match self.facts().node(id).ty.dtype {
            DType::F32 => "",
            DType::I32 => "i32",
            DType::Bool => "bool",
        };
        format!("{dtype}[{}]", axes.join(", "))
    }

    /// The sizes that are left, as the shape argument of a function.
    pub fn shape(&self, id: ExprId) -> String {
        self.ty(id, &[]).trim_start_matches("i32").trim_start_matches("bool").to_owned()
    }

    fn count_uses(&mut self, result: ExprId) {
        let mut open = vec![result];
        while let Some(id) = open.pop() {
            let uses = self.uses.entry(id).or_insert(0);
            *uses += 1;
            if *uses == 1 && !self.names.contains_key(&id) {
                open.extend(self.sources(id));
            }
        }
    }

    /// What an expression of this layer is made from, seen from this layer.
    fn sources(&self, id: ExprId) -> Vec<ExprId> {
        match self.calls.get(&id) {
            Some(call) => call.inputs.iter().filter_map(|(_, input)| *input).collect(),
            None => glue::sources(self.facts(), id),
        }
    }

    /// An expression; what is used more than once gets a name.
    pub fn expr(&mut self, id: ExprId) -> Result<Form, Unable> {
        if let Some(name) = self.names.get(&id) {
            return Ok(Form::Atom(name.clone()));
        }
        let form = match self.calls.get(&id).copied() {
            Some(call) => self.call(call)?,
            None => glue::form(self, id)?,
        };
        let is_long = matches!(&form, Form::Pipe(_, stages) if stages.len() > 11);
        let is_constant = !self.facts().varies.contains(&id);
        if is_long || (self.uses.get(&id).is_some_and(|uses| *uses > 1) && !is_constant) {
            return Ok(Form::Atom(self.bind(id, &form, None)));
        }
        Ok(form)
    }

    /// The name of a parameter of this layer, or of what is left of its parameterisations.
    pub fn own_param(&mut self, id: ExprId) -> Result<String, Unable> {
        let masks = self.kept().of(id).clone();
        let (name, origin) = match self.facts().params.get(&id) {
            Some(param) => {
                let path = &self.facts().model.params[param.0 as usize].path;
                let name = self.below(path).filter(|name| !name.contains('.')).map(str::to_owned);
                (name, Origin::Param(*param, masks))
            }
            None => {
                let paths = &self.facts().baked[&id];
                let own = paths.iter().find_map(|path| self.below(path)).map(str::to_owned);
                let name = own.or_else(|| paths.iter().find_map(|path| self.of_result(path)));
                (name, Origin::Value(id, masks))
            }
        };
        let name = name.ok_or_else(|| self.unable(OTHERS))?;
        Ok(self.own(id, "param", &name, origin))
    }

    /// A path as it is seen from this layer, if it lies below.
    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(&*self.path)?.strip_prefix('.')
    }

    /// The name of a state of a `sparsify` line on what an instance here computes.
    pub fn own_state(&mut self, id: ExprId, state: StateId) -> Result<String, Unable> {
        let own = &self.facts().model.states[state.0 as usize];
        let name = self.of_result(&own.path).filter(|_| !own.carried);
        let name = name.ok_or_else(|| self.unable("it has parameters or states of its own beside layers"))?;
        let masks = self.kept().of(id).clone();
        Ok(self.own(id, "state", &name, Origin::State(state, masks)))
    }

    /// What a tensor of a `sparsify` line on the result of an instance here goes by: its path without this layer's.
    fn of_result(&self, path: &str) -> Option<String> {
        let below = format!("{}.", self.path);
        path.contains(&format!(".{below}")).then(|| path.replacen(&below, "", 1))
    }

    /// Makes a tensor of the layer, called like this if nothing else is.
    fn own(&mut self, id: ExprId, kind: &str, name: &str, origin: Origin) -> String {
        if let Some(name) = self.owned.get(&id) {
            return name.clone();
        }
        let name = name.replace('.', "_");
        let children = self.facts().children(&self.path);
        let below = self.path.len() + 1;
        let is_free = |name: &String| {
            !self.names.values().chain(self.owned.values()).any(|own| own == name)
                && !children.iter().any(|child| child[below..].replace('.', "_") == *name)
        };
        let names = std::iter::once(name.clone()).chain((2..).map(|n| format!("{name}_{n}")));
        let name = names.into_iter().find(is_free).expect("there are as many names as one likes");
        let _ = self.layers.tensors.insert(format!("{}.{name}", self.new_path), origin);
        self.params.push(format!("{kind} {name}: {} = 0", self.shape(id)));
        let _ = self.owned.insert(id, name.clone());
        name
    }

    /// The name of a tensor that is the same in every network of this shape, such as the weights of an interpolation: a state.
    pub fn fixed(&mut self, id: ExprId) -> String {
        let origin = Origin::Value(id, self.kept().of(id).clone());
        self.own(id, "state", "fixed", origin)
    }

    fn bind(&mut self, id: ExprId, form: &Form, ty: Option<String>) -> String {
        self.n_bound += 1;
        let name = format!("h{}", self.n_bound);
        let ty = ty.map_or(String::new(), |ty| format!(": {ty}"));
        let indent = name.len() + ty.len() + 3;
        self.lines.push(format!("{name}{ty} = {}", wrapped(form, indent)));
        let _ = self.names.insert(id, name.clone());
        name
    }

    /// A name of an expression, and the names of its axes.
    pub fn named(&mut self, id: ExprId) -> Result<(String, Vec<String>), Unable> {
        if let (Some(name), Some(axes)) = (self.names.get(&id), self.axes.get(&id)) {
            return Ok((name.clone(), axes.clone()));
        }
        let form = self.unnamed(id)?;
        let axes = self.axis_names(id);
        let ty = self.ty(id, &[]);
        let ty = named_axes(&ty, &axes);
        let name = self.bind(id, &form, Some(ty));
        let _ = self.axes.insert(id, axes.clone());
        Ok((name, axes))
    }

    /// An expression whose axes take new names: those of a product have names already, which could be some of the new ones in another order.
    fn unnamed(&mut self, id: ExprId) -> Result<Form, Unable> {
        let form = self.expr(id)?;
        let is_product = matches!(self.facts().node(id).op, Op::Contract { .. });
        Ok(if is_product { form.then("reshape", self.shape(id)) } else { form })
    }

    /// An expression as an operand of an operator of this level.
    pub fn operand(&mut self, id: ExprId, level: u8) -> Result<String, Unable> {
        Ok(match self.expr(id)? {
            Form::Operator(text, own) if own < level => format!("({text})"),
            form => form.nested(),
        })
    }

    /// An expression as an argument.
    pub fn argument(&mut self, id: ExprId) -> Result<String, Unable> {
        Ok(self.expr(id)?.nested())
    }

    /// A function of an expression, with further arguments as text.
    pub fn piped(&mut self, id: ExprId, function: &str, more: String) -> Result<Form, Unable> {
        let form = self.expr(id)?;
        Ok(form.then(function, more))
    }

    fn call(&mut self, call: &'a Application) -> Result<Form, Unable> {
        let name = call.path[self.path.len() + 1..].replace('.', "_");
        let mut given = vec![];
        for (_, input) in &call.inputs {
            let input = input.ok_or_else(|| self.unable("it gives a layer what nothing needs"))?;
            given.push(self.given(&name, &call.path, input)?);
        }
        if !self.instances.iter().any(|(known, _)| *known == name) {
            let text = self.layers.instance(&call.path, &format!("{}.{name}", self.new_path))?;
            self.instances.push((name.clone(), text));
        }
        match given.as_mut_slice() {
            [only] => Ok(std::mem::replace(only, Form::Atom(String::new())).then(&name, String::new())),
            several => {
                let texts: Vec<String> = several.iter().map(Form::nested).collect();
                Ok(Form::Atom(format!("{name}({})", texts.join(", "))))
            }
        }
    }

    /// What a layer is given: all of it, or the part that it takes.
    fn given(&mut self, name: &str, path: &str, input: ExprId) -> Result<Form, Unable> {
        if !self.facts().alive.contains_key(&input) {
            return Err(self.unable("it gives a layer what nothing needs"));
        }
        if let Some(number) = number(self.facts(), input).filter(|_| !self.facts().node(input).ty.axes.is_empty()) {
            // A signature takes axes, which a bare number has not.
            return Ok(Form::Atom(format!("full({}, {number})", self.shape(input))));
        }
        let form = self.expr(input)?;
        let cuts = &self.kept().values.cuts;
        let Some(cut) = cuts.iter().find(|cut| *cut.path == *path && cut.expr == input) else { return Ok(form) };
        let picker = format!("{name}_inputs");
        if !self.instances.iter().any(|(known, _)| *known == picker) {
            let (there, taken) = (&self.kept().of(input)[cut.axis], &self.kept().seen(path, input)[cut.axis]);
            let numbers = there.iter().zip(taken).filter(|(there, _)| **there).enumerate();
            let numbers = numbers.filter(|(_, (_, taken))| **taken).map(|(number, _)| number as f64).collect();
            let text = self.layers.picker(cut.axis, numbers, &format!("{}.{picker}", self.new_path));
            self.instances.push((picker.clone(), text));
        }
        Ok(form.then(&picker, String::new()))
    }
}

fn named_axes(ty: &str, names: &[String]) -> String {
    let (dtype, sizes) = ty.split_once('[').unwrap_or(("", ty));
    let sizes = sizes.trim_end_matches(']').split(", ");
    let axis = |(size, name): (&str, &String)| if size == "B" { size.to_owned() } else { format!("{name}: {size}") };
    let axes: Vec<String> = sizes.zip(names).map(axis).collect();
    format!("{dtype}[{}]", axes.join(", "))
}

/// The applications of instances right below `path` by what they compute. One that gives back what it was given is none.
///
/// What a `sparsify` line makes of a result belongs to a layer that is written anew, and stands behind one that is applied as it is.
fn calls<'a>(layers: &Layers<'a>, path: &Symbol) -> BTreeMap<ExprId, &'a Application> {
    let facts = layers.facts;
    let children = facts.children(path);
    let applications = facts.model.applications.iter().filter(|application| children.contains(&application.path));
    let own = applications.filter(|application| facts.computes(application) && !is_identity(application));
    let is_leaf = |application: &Application| layers.leaves.contains(&application.path);
    let results = |own: &'a Application| if is_leaf(own) { own.computed.iter() } else { own.results.iter() };
    own.flat_map(|application| results(application).map(move |result| (*result, application))).collect()
}

/// Whether an application gives back what it was given.
pub fn is_identity(application: &Application) -> bool {
    let is_input = |result: &ExprId| application.inputs.iter().any(|(_, input)| input == &Some(*result));
    application.results.iter().all(is_input)
}

impl Form {
    /// As it stands inside of a call.
    pub fn nested(&self) -> String {
        match self {
            Form::Atom(text) | Form::Operator(text, _) => text.clone(),
            Form::Pipe(first, stages) => stages.iter().fold(first.nested(), |inner, (function, more)| {
                format!("{function}({inner}{}{more})", if more.is_empty() { "" } else { ", " })
            }),
        }
    }

    fn then(self, function: &str, more: String) -> Form {
        let stage = (function.to_owned(), more);
        match self {
            first @ (Form::Atom(_) | Form::Operator(..)) => Form::Pipe(Box::new(first), vec![stage]),
            Form::Pipe(first, mut stages) => {
                stages.push(stage);
                Form::Pipe(first, stages)
            }
        }
    }
}

const WIDTH: usize = 110;

/// As it stands by itself, on several lines where it is long.
fn wrapped(form: &Form, indent: usize) -> String {
    let Form::Pipe(first, stages) = form else { return form.nested() };
    let is_operator = matches!(**first, Form::Operator(..));
    if stages.len() == 1 || (is_operator && stages.len() < 3) {
        return form.nested();
    }
    let mut text = if is_operator { format!("({})", first.nested()) } else { first.nested() };
    let mut width = indent + text.len();
    for (function, more) in stages {
        let call = if more.is_empty() { function.clone() } else { format!("{function}({more})") };
        let is_full = width + call.len() + 4 > WIDTH;
        text.push_str(if is_full { "\n        |> " } else { " |> " });
        width = if is_full { 12 } else { width + 4 } + call.len();
        text.push_str(&call);
    }
    text
}

/// Whether every element of an expression is the same number, known when compiling.
pub fn number(facts: &Facts<'_>, id: ExprId) -> Option<f64> {
    match facts.node(id).op {
        Op::Const(number) => Some(number),
        Op::Broadcast(a, _) => number(facts, a),
        _ => None,
    }
}
