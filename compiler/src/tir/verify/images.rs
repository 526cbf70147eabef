//! Rules about ops with a window.

use super::{Checked, check, expect_dtype, expect_type};
use crate::tir::{DType, Func, Type, Value};
use crate::window::{ConvRole, Window};

/// A convolution of `operands` in this role.
pub fn check_conv(
    func: &Func,
    role: ConvRole,
    window: &Window,
    groups: usize,
    operands: [Value; 2],
    ty: &Type,
) -> Checked {
    operands.iter().try_for_each(|operand| expect_dtype(func, *operand, DType::F32))?;
    check(ty.dtype == DType::F32, || format!("the result has elements of {}, expected f32", ty.dtype))?;
    let [x, w, y] = role.sort(func.ty(operands[0]), func.ty(operands[1]), ty).map(|ty| &ty.shape);
    let weights = [window.size[0], window.size[1], last(x)? / groups.max(1), last(y)?];
    let divides = groups > 0 && last(x)? % groups == 0 && last(y)? % groups == 0;
    check(divides, || format!("{groups} groups of {x:?} and {y:?}"))?;
    check(**w == weights, || format!("the weights have shape {w:?}, expected {weights:?}"))?;
    check_slide(window, x, y)
}

/// A pooling from `x` to `y` in either direction.
pub fn check_pool(func: &Func, window: &Window, operand: Value, x: &Type, y: &Type) -> Checked {
    expect_dtype(func, operand, DType::F32)?;
    check(x.dtype == y.dtype, || format!("the result has elements of {}, expected f32", x.dtype))?;
    check_slide(window, &x.shape, &y.shape)?;
    check(last(&x.shape)? == last(&y.shape)?, || format!("{x} and {y} differ in channels"))
}

/// The largest elements of `x` in each window take what `ct` has.
pub fn check_unpool_max(func: &Func, window: &Window, [x, ct]: [Value; 2], ty: &Type) -> Checked {
    expect_type(func, x, ty)?;
    check_pool(func, window, ct, ty, func.ty(ct))
}

fn last(shape: &[usize]) -> Result<usize, String> {
    match shape {
        [_, _, _, channels] => Ok(*channels),
        _ => Err(format!("{shape:?} is no image: it has not four axes")),
    }
}

/// The window slides over the images `x` and has as many positions as `y` has pixels.
fn check_slide(window: &Window, x: &[usize], y: &[usize]) -> Checked {
    let steps = [window.size, window.stride, window.dilation].concat();
    check(!steps.contains(&0), || format!("the window {window} has a size or a step of 0"))?;
    check(last(x).is_ok() && last(y).is_ok(), || format!("{x:?} or {y:?} has not four axes"))?;
    let positions: Vec<usize> = (0..2).filter_map(|d| window.output(d, x[1 + d])).collect();
    check(positions.len() == 2, || format!("the window {window} does not fit into {x:?}"))?;
    let expected = [x[0], positions[0], positions[1]];
    check(y[..3] == expected, || format!("the window gives {expected:?}, but there are {:?}", &y[..3]))
}
