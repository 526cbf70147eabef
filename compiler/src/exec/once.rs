//! One function compiled by itself: how compiled numbers are compared with interpreted ones, and how a network predicts.

use std::sync::Arc;

use indexmap::IndexMap;

use super::compiled::{narrow, widen};
use crate::codegen::{self, Executable, Options};
use crate::lir::{self, BufferId};
use crate::lower::to_lir;
use crate::tir::interp::Tensor;
use crate::tir::{DType, Func, Type};

/// A function, compiled by itself.
#[derive(Debug)]
pub struct Callable {
    func: Func,
    module: lir::Module,
    code: Executable,
}

impl Callable {
    /// Compiles an optimised function.
    ///
    /// # Errors
    ///
    /// When code cannot be generated for this machine.
    pub fn new(func: &Func, options: Options) -> Result<Callable, codegen::Error> {
        Callable::with(func, &[], options)
    }

    /// The same, with inputs that stay in memory from call to call.
    ///
    /// # Errors
    ///
    /// When code cannot be generated for this machine.
    pub fn keeping(func: &Func, options: Options) -> Result<Callable, codegen::Error> {
        let inputs: Vec<_> = func.params().map(|(name, _, ty)| (Arc::clone(name), ty.clone())).collect();
        Callable::with(func, &inputs, options)
    }

    fn with(func: &Func, lasting: &[(Arc<str>, Type)], options: Options) -> Result<Callable, codegen::Error> {
        let module = to_lir::lower(std::slice::from_ref(func), lasting);
        let code = codegen::compile(&module, options)?;
        Ok(Callable { func: func.clone(), module, code })
    }

    /// Computes once more from the inputs that stayed in memory.
    ///
    /// # Panics
    ///
    /// If the function was compiled without them.
    pub fn again(&mut self) {
        assert!(self.module.lasting(&self.inputs_of_one()).is_some(), "its inputs stay in memory");
        self.code.run(self.code.func(&self.func.name).expect("it was compiled"));
    }

    fn inputs_of_one(&self) -> Arc<str> {
        self.func.params().next().map_or_else(|| "".into(), |(name, ..)| Arc::clone(name))
    }

    /// Writes the inputs for which `inputs` has a tensor, by name.
    ///
    /// # Panics
    ///
    /// If one has another shape.
    pub fn give(&mut self, inputs: &dyn Fn(&str) -> Option<Tensor>) {
        let Callable { func, module, code } = self;
        let scheduled = module.func(&func.name).expect("it was lowered");
        for (name, value, _) in func.params() {
            if let Some(buffer) = module.input(scheduled, name).or_else(|| module.lasting(name))
                && let Some(tensor) = inputs(name)
            {
                write(code, buffer, func.ty(value).dtype, &tensor);
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
        let Callable { func, module, code } = self;
        code.run(code.func(&func.name).expect("it was compiled"));
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
