//! One function compiled by itself: how compiled numbers are compared with interpreted ones, and how a network predicts.

use std::sync::Arc;

use indexmap::IndexMap;

use super::compiled::{narrow, widen};
use crate::codegen::{self, Executable, Options};
use crate::lir::{self, BufferId};
use crate::lower::to_lir;
use crate::tir::interp::Tensor;
use crate::tir::{DType, Func};

/// A function, compiled by itself.
#[derive(Debug)]
pub struct Callable {
    func: Func,
    module: lir::Module,
    code: Executable,
    /// Whether what depends on given inputs alone is computed.
    is_ready: bool,
}

impl Callable {
    /// Compiles an optimised function.
    ///
    /// # Errors
    ///
    /// When code cannot be generated for this machine.
    pub fn new(func: &Func, options: Options) -> Result<Callable, codegen::Error> {
        Callable::given(func, &|_| false, options)
    }

    /// The same, with inputs that seldom change from call to call: what depends on them alone is computed when they do.
    ///
    /// # Errors
    ///
    /// When code cannot be generated for this machine.
    pub fn given(func: &Func, is_given: &dyn Fn(&str) -> bool, options: Options) -> Result<Callable, codegen::Error> {
        let given = func.params().filter(|(name, ..)| is_given(name));
        let given: Vec<_> = given.map(|(name, _, ty)| (Arc::clone(name), ty.clone())).collect();
        let module = to_lir::lower_given(func, &given);
        let code = codegen::compile(&module, options)?;
        Ok(Callable { func: func.clone(), module, code, is_ready: false })
    }

    /// Computes once more from the inputs that are in memory.
    pub fn again(&mut self) {
        if !self.is_ready
            && let Some(once) = self.code.func(&to_lir::once::name(&self.func.name))
        {
            self.code.run(once);
        }
        self.is_ready = true;
        self.code.run(self.code.func(&self.func.name).expect("it was compiled"));
    }

    /// Writes the inputs for which `inputs` has a tensor, by name.
    ///
    /// # Panics
    ///
    /// If one has another shape.
    pub fn give(&mut self, inputs: &dyn Fn(&str) -> Option<Tensor>) {
        let Callable { func, module, code, is_ready } = self;
        let scheduled = module.func(&func.name).expect("it was lowered");
        for (name, value, _) in func.params() {
            let lasting = module.lasting(name);
            if let Some(buffer) = lasting.or_else(|| module.input(scheduled, name))
                && let Some(tensor) = inputs(name)
            {
                write(code, buffer, func.ty(value).dtype, &tensor);
                *is_ready &= lasting.is_none();
            }
        }
    }

    /// Calls it: `inputs` gives the tensor of each input, by name, that was not given before. Returns the results that are numbers, by name.
    ///
    /// # Panics
    ///
    /// If an input has another shape.
    pub fn call(&mut self, inputs: &dyn Fn(&str) -> Option<Tensor>) -> IndexMap<Arc<str>, Tensor> {
        self.give(inputs);
        self.again();
        let Callable { func, module, code, .. } = self;
        let scheduled = module.func(&func.name).expect("it was lowered");
        let numbers = func.results.iter().filter(|(_, value)| func.ty(*value).dtype == DType::F32);
        let read = |(name, value): &(Arc<str>, _)| {
            let buffer = module.output(scheduled, name).expect("it is a result");
            (Arc::clone(name), widen(code.floats(buffer), &func.ty(*value).shape))
        };
        numbers.map(read).collect()
    }
}

/// Compiles an optimised function and calls it once, as [`Callable`] does.
///
/// # Errors
///
/// When code cannot be generated for this machine.
///
/// # Panics
///
/// If an input has no value, or one of another shape.
pub fn run_compiled(
    func: &Func,
    inputs: &dyn Fn(&str) -> Option<Tensor>,
    options: Options,
) -> Result<IndexMap<Arc<str>, Tensor>, codegen::Error> {
    let all = |name: &str| Some(inputs(name).unwrap_or_else(|| panic!("the input {name} has no value")));
    Ok(Callable::new(func, options)?.call(&all))
}

fn write(code: &mut Executable, buffer: BufferId, dtype: DType, tensor: &Tensor) {
    match dtype {
        DType::F32 => narrow(tensor, code.floats_mut(buffer)),
        DType::I32 => code.integers_mut(buffer).iter_mut().zip(tensor).for_each(|(to, from)| *to = *from as i32),
        // A bool is all ones or all zeros.
        DType::Bool => {
            let mask = |x: f64| if x == 0.0 { 0 } else { -1 };
            code.integers_mut(buffer).iter_mut().zip(tensor).for_each(|(to, from)| *to = mask(*from));
        }
    }
}
