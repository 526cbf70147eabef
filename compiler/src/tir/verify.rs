//! The TIR verifier. Runs after every pass in debug builds and in all tests.
//!
//! It checks, for each definition (the result type stands behind the colon):
//!
//! - every operand is defined above it;
//! - `param`: no other has its name;
//! - `const`: an `i32` is a whole number that fits, a `bool` is 0 or 1;
//! - `iota`: the axis exists; `i32` or `f32`;
//! - unary: the operand has the result's type; `not` is for bools, `neg`, `abs` and `sign` for numbers, all others
//!   for `f32`;
//! - binary: both operands have one type; comparisons by order are of numbers, `eq` and `ne` of anything, `and` and
//!   `or` of bools, `div` and `pow` of `f32`, the others of numbers; predicates give a bool of that shape, the others that type;
//! - `select`: a bool of the result's shape and two operands of the result's type;
//! - `convert`: the shape stays;
//! - `broadcast`: one entry of `dims` for each axis of the operand, strictly increasing, sizes equal, same elements;
//! - `transpose`: a permutation of the operand's axes that gives the result's shape, same elements;
//! - `reshape`: the number of elements stays, same elements;
//! - reductions: `axes` strictly increasing and existing, the result keeps the other axes; numbers only;
//! - `contract`: one label for each axis, none twice in a list, a label has one size everywhere, each label of the result
//!   occurs in an operand, each other one in both; `f32` only;
//! - `uniform`: seed and step are `i32[]`; `f32`;
//! - `quantile`: one axis of at least one `f32`, and a share `f32[]`; `f32[]`;
//! - `conv`, `conv_by_input`, `conv_by_weight`: images `x` and `y` and weights `w` (see [`Op::Conv`]); the window's sizes and steps
//!   are not 0, it fits into `x` and has a position for each pixel of `y`; the groups divide the channels; `f32`;
//! - poolings and `unpool`: images `x` and `y` of equal channels, the window as above; `f32`;
//! - `unpool_max`: `x` has the result's type, `ct` is an image as above;
//! - `pad`: three lists with an entry for each axis that give the result's sizes; the value is a constant of its type;
//! - `slice`: two lists with an entry for each axis, steps at least 1, the last element exists;
//! - `concat`: at least one operand, an existing axis; types equal but for the sizes along it, which add up to the result's;
//! - `gather`, `scatter`: numbers of rows in `i32`; table, numbers and rows fit (see [`Op::Gather`]); `scatter` is for `f32`;
//! - `sparse_product`, `sparse_sampled`: matrices `x` and `y`, elements `w` and a pattern that fits them (see [`Op::Sparse`]); `f32`;
//! - `top_k`: `f32` with a last axis of at least `k`; a bool of that shape;
//! - `cumsum`: the operand has the result's type, `f32`; the axis exists;
//! - `with_gradient`: both operands have the result's type, which is `f32`;
//! - `grad`: the derivative of an `f32[]` by an `f32`, whose type is the result's.
//!
//! And for each result: it is defined, no other has its name, and if it has the name of an input it has its type.
//!
//! A failure is a compiler bug, never the user's: it is reported as an internal error, not as a diagnostic.

mod images;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::{DType, Def, Einsum, Func, Module, Op, Type, Value};
use crate::scalar::{Binary, Unary};

/// A broken invariant, and what breaks it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct VerifyError {
    /// The offender.
    pub at: Place,
    /// What is wrong, without the place.
    pub message: String,
}

/// What an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A definition.
    Def(Value),
    /// The result with this position.
    Result(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Def(value) => write!(f, "{value}"),
            Place::Result(index) => write!(f, "result {index}"),
        }
    }
}

/// Checks every function of a module.
///
/// # Errors
///
/// Everything that is broken, with the name of its function.
pub fn verify_module(module: &Module) -> Result<(), Vec<(String, VerifyError)>> {
    let named = |func: &Func, errors: Vec<VerifyError>| errors.into_iter().map(|e| (func.name.clone(), e)).collect();
    let errors: Vec<_> = module
        .funcs
        .iter()
        .flat_map(|func| verify(func).err().map_or(vec![], |errors| -> Vec<_> { named(func, errors) }))
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Checks a function.
///
/// # Errors
///
/// Everything that is broken.
pub fn verify(func: &Func) -> Result<(), Vec<VerifyError>> {
    let mut errors = vec![];
    for value in func.values() {
        let checked = check_operands(func, value).and_then(|()| check_def(func, func.def(value)));
        errors.extend(checked.err().map(|message| VerifyError { at: Place::Def(value), message }));
    }
    errors.extend(find_repeated_params(func));
    errors.extend(find_bad_results(func));
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Checks a function that the compiler made.
///
/// # Panics
///
/// If anything is broken: `after` says what had just been done to it.
pub fn assert_valid(func: &Func, after: &str) {
    if let Err(errors) = verify(func) {
        let errors: Vec<String> = errors.iter().map(VerifyError::to_string).collect();
        panic!("internal error: invalid function after {after}\n{}\n{func}", errors.join("\n"));
    }
}

type Checked = Result<(), String>;

fn check(holds: bool, message: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(message()) }
}

fn check_operands(func: &Func, value: Value) -> Checked {
    let operands = func.def(value).op.operands();
    let early = operands.into_iter().find(|operand| *operand >= value);
    early.map_or(Ok(()), |operand| Err(format!("operand {operand} is not defined above")))
}

fn find_repeated_params(func: &Func) -> Vec<VerifyError> {
    let mut seen = BTreeSet::new();
    let repeated = func.params().filter(|(name, ..)| !seen.insert(Arc::clone(name)));
    let error = |name: &str| format!("there is another input named {name}");
    repeated.map(|(name, value, _)| VerifyError { at: Place::Def(value), message: error(name) }).collect()
}

fn find_bad_results(func: &Func) -> Vec<VerifyError> {
    let params: BTreeMap<&str, &Type> = func.params().map(|(name, _, ty)| (&**name, ty)).collect();
    let mut seen = BTreeSet::new();
    let mut errors = vec![];
    for (index, (name, value)) in func.results.iter().enumerate() {
        let checked = check(seen.insert(&**name), || format!("there is another result named {name}"))
            .and_then(|()| check((value.0 as usize) < func.defs.len(), || format!("{value} is not defined")))
            .and_then(|()| params.get(&**name).map_or(Ok(()), |ty| expect_type(func, *value, ty)));
        errors.extend(checked.err().map(|message| VerifyError { at: Place::Result(index), message }));
    }
    errors
}

fn expect_type(func: &Func, value: Value, expected: &Type) -> Checked {
    let found = func.ty(value);
    check(found == expected, || format!("{value} has type {found}, expected {expected}"))
}

fn expect_dtype(func: &Func, value: Value, expected: DType) -> Checked {
    let found = func.ty(value).dtype;
    check(found == expected, || format!("{value} has elements of {found}, expected {expected}"))
}

fn expect_shape(found: &[usize], expected: &[usize]) -> Checked {
    check(found == expected, || format!("the result has shape {found:?}, expected {expected:?}"))
}

fn expect_one_of(dtype: DType, allowed: &[DType]) -> Checked {
    check(allowed.contains(&dtype), || {
        let allowed: Vec<&str> = allowed.iter().map(|dtype| dtype.name()).collect();
        format!("elements of {dtype}, expected {}", allowed.join(" or "))
    })
}

const NUMBERS: &[DType] = &[DType::F32, DType::I32];
const ANY: &[DType] = &[DType::F32, DType::I32, DType::Bool];

fn check_def(func: &Func, def: &Def) -> Checked {
    let ty = &def.ty;
    match &def.op {
        Op::Param(_) => Ok(()),
        Op::Const(number) => check_const(*number, ty.dtype),
        Op::Iota(axis) => check(*axis < ty.rank(), || format!("there is no axis {axis}"))
            .and_then(|()| expect_one_of(ty.dtype, NUMBERS)),
        Op::Unary(function, a) => {
            expect_type(func, *a, ty).and_then(|()| expect_one_of(ty.dtype, unary_domain(*function)))
        }
        Op::Binary(function, a, b) => check_binary(func, *function, [*a, *b], ty),
        Op::Select(c, a, b) => expect_type(func, *c, &ty.with_dtype(DType::Bool))
            .and_then(|()| expect_type(func, *a, ty))
            .and_then(|()| expect_type(func, *b, ty)),
        Op::Convert(a) => expect_shape(&ty.shape, &func.ty(*a).shape),
        Op::Broadcast(a, dims) => expect_dtype(func, *a, ty.dtype).and_then(|()| check_dims(func.ty(*a), dims, ty)),
        Op::Transpose(a, perm) => expect_dtype(func, *a, ty.dtype).and_then(|()| check_perm(func.ty(*a), perm, ty)),
        Op::Reshape(a) => expect_dtype(func, *a, ty.dtype).and_then(|()| check_reshape(func.ty(*a), ty)),
        Op::Reduce(_, a, axes) => expect_dtype(func, *a, ty.dtype)
            .and_then(|()| expect_one_of(ty.dtype, NUMBERS))
            .and_then(|()| check_reduced(func.ty(*a), axes, ty)),
        Op::Contract(einsum, a, b) => check_contract(einsum, func.ty(*a), func.ty(*b), ty),
        Op::Uniform { seed, step, site: _ } => expect_type(func, *seed, &Type::scalar(DType::I32))
            .and_then(|()| expect_type(func, *step, &Type::scalar(DType::I32)))
            .and_then(|()| expect_one_of(ty.dtype, &[DType::F32])),
        Op::Quantile(a, q) => check_quantile(func, *a, *q, ty),
        Op::Conv { role, window, groups, a, b } => images::check_conv(func, *role, window, *groups, [*a, *b], ty),
        Op::Pool(_, window, a) => images::check_pool(func, window, *a, func.ty(*a), ty),
        Op::Unpool(window, a) => images::check_pool(func, window, *a, ty, func.ty(*a)),
        Op::UnpoolMax { window, x, ct } => images::check_unpool_max(func, window, [*x, *ct], ty),
        Op::Pad { value, lo, hi, gap, a } => rows::check_pad(func, *value, [lo, hi, gap], *a, ty),
        Op::Slice { start, step, a } => rows::check_slice(func, [start, step], *a, ty),
        Op::Concat(parts, axis) => rows::check_concat(func, parts, *axis, ty),
        Op::Gather { batch, table, index } => rows::check_rows(func, *batch, [func.ty(*table), ty], *index),
        Op::Scatter { batch, values, index } => expect_one_of(ty.dtype, &[DType::F32])
            .and_then(|()| rows::check_rows(func, *batch, [ty, func.ty(*values)], *index)),
        Op::Sparse { role, a, b, pattern } => rows::check_sparse(func, *role, [*a, *b, *pattern], ty),
        Op::TopK(a, k) => rows::check_top_k(func, *a, *k, ty),
        Op::CumSum { a, axis, reverse: _ } => rows::check_cumsum(func, *a, *axis, ty),
        Op::WithGradient(a, b) => expect_type(func, *a, ty)
            .and_then(|()| expect_type(func, *b, ty))
            .and_then(|()| expect_one_of(ty.dtype, &[DType::F32])),
        Op::Grad(y, x) => expect_type(func, *y, &Type::f32([]))
            .and_then(|()| expect_type(func, *x, ty))
            .and_then(|()| expect_one_of(ty.dtype, &[DType::F32])),
    }
}

fn check_const(number: f64, dtype: DType) -> Checked {
    let fits = match dtype {
        DType::F32 => true,
        DType::I32 => number == f64::from(number as i32),
        DType::Bool => number == 0.0 || number == 1.0,
    };
    check(fits, || format!("{number:?} is no {dtype}"))
}

fn unary_domain(function: Unary) -> &'static [DType] {
    match function {
        Unary::Not => &[DType::Bool],
        Unary::Neg | Unary::Abs | Unary::Sign => NUMBERS,
        Unary::Sqrt | Unary::Exp | Unary::Log | Unary::Erf | Unary::ErfInv => &[DType::F32],
        Unary::Tanh | Unary::Sigmoid | Unary::Sin | Unary::Cos => &[DType::F32],
        Unary::Floor | Unary::Ceil => &[DType::F32],
    }
}

fn binary_domain(function: Binary) -> &'static [DType] {
    match function {
        Binary::And | Binary::Or => &[DType::Bool],
        Binary::Eq | Binary::Ne => ANY,
        Binary::Div | Binary::Pow => &[DType::F32],
        Binary::Add | Binary::Sub | Binary::Mul | Binary::MulZ | Binary::Min | Binary::Max => NUMBERS,
        Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => NUMBERS,
    }
}

fn check_binary(func: &Func, function: Binary, [a, b]: [Value; 2], ty: &Type) -> Checked {
    let operand = func.ty(a);
    expect_type(func, b, operand)?;
    expect_one_of(operand.dtype, binary_domain(function))?;
    let expected = if function.is_predicate() { operand.with_dtype(DType::Bool) } else { operand.clone() };
    check(*ty == expected, || format!("the result has type {ty}, expected {expected}"))
}

fn increases_strictly(axes: &[usize]) -> bool {
    axes.windows(2).all(|pair| pair[0] < pair[1])
}

fn check_dims(operand: &Type, dims: &[usize], ty: &Type) -> Checked {
    check(increases_strictly(dims), || format!("{dims:?} does not increase strictly"))?;
    check(dims.len() == operand.rank(), || format!("{dims:?} does not fit the operand's {} axes", operand.rank()))?;
    check(dims.iter().all(|dim| *dim < ty.rank()), || {
        format!("{dims:?} does not fit the result's {} axes", ty.rank())
    })?;
    let sizes: Vec<usize> = dims.iter().map(|dim| ty.shape[*dim]).collect();
    check(sizes == operand.shape, || format!("the axes {dims:?} have sizes {sizes:?}, expected {:?}", operand.shape))
}

fn check_perm(operand: &Type, perm: &[usize], ty: &Type) -> Checked {
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    check(sorted.into_iter().eq(0..operand.rank()), || {
        format!("{perm:?} is no permutation of {} axes", operand.rank())
    })?;
    let expected: Vec<usize> = perm.iter().map(|axis| operand.shape[*axis]).collect();
    expect_shape(&ty.shape, &expected)
}

fn check_reshape(operand: &Type, ty: &Type) -> Checked {
    let (found, expected) = (ty.len(), operand.len());
    check(found == expected, || format!("the result has {found} elements, expected {expected}"))
}

fn check_reduced(operand: &Type, axes: &[usize], ty: &Type) -> Checked {
    check(increases_strictly(axes), || format!("{axes:?} does not increase strictly"))?;
    let rank = operand.rank();
    check(axes.iter().all(|axis| *axis < rank), || format!("{axes:?} does not fit the operand's {rank} axes"))?;
    let kept: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).map(|axis| operand.shape[axis]).collect();
    expect_shape(&ty.shape, &kept)
}

fn check_contract(einsum: &Einsum, a: &Type, b: &Type, ty: &Type) -> Checked {
    let mut sizes: BTreeMap<u8, usize> = BTreeMap::new();
    for (labels, ty) in [(&einsum.lhs, a), (&einsum.rhs, b), (&einsum.out, ty)] {
        expect_one_of(ty.dtype, &[DType::F32])?;
        check(labels.len() == ty.rank(), || format!("{} labels for {ty}", labels.len()))?;
        check(labels.iter().collect::<BTreeSet<_>>().len() == labels.len(), || {
            "a label occurs twice in a list".into()
        })?;
        for (label, size) in labels.iter().zip(&ty.shape) {
            let known = *sizes.entry(*label).or_insert(*size);
            check(known == *size, || format!("an axis has both size {known} and size {size}"))?;
        }
    }
    let in_operands = |label: &u8| (einsum.lhs.contains(label), einsum.rhs.contains(label));
    let allowed = |label: &u8| match (in_operands(label), einsum.out.contains(label)) {
        ((true, true), _) => true,
        ((false, false), _) => false,
        ((true, false) | (false, true), kept) => kept,
    };
    check(sizes.keys().all(allowed), || format!("{einsum} sums over an axis of one operand, or makes one"))
}

fn check_quantile(func: &Func, a: Value, q: Value, ty: &Type) -> Checked {
    let operand = func.ty(a);
    let is_list = operand.rank() == 1 && operand.dtype == DType::F32 && !operand.is_empty();
    check(is_list, || format!("{a} has type {operand}, expected one axis of at least one f32"))?;
    expect_type(func, q, &Type::f32([]))?;
    check(*ty == Type::f32([]), || format!("the result has type {ty}, expected f32[]"))
}
