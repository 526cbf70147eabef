//! Ops with a window.

use super::{Cursor, Parsed};
use crate::tir::Op;
use crate::window::{ConvRole, Pooling, Window};

/// The op of this name, if it is one with a window.
pub fn read(name: &str, cursor: &mut Cursor<'_>) -> Parsed<Option<Op>> {
    if let Some(role) = ConvRole::ALL.into_iter().find(|role| role.name() == name) {
        return read_conv(role, cursor).map(Some);
    }
    if let Some(how) = Pooling::ALL.into_iter().find(|how| how.name() == name) {
        let a = cursor.value()?;
        return Ok(Some(Op::Pool(how, read_window(cursor)?, a)));
    }
    match name {
        "unpool" => {
            let a = cursor.value()?;
            Ok(Some(Op::Unpool(read_window(cursor)?, a)))
        }
        "unpool_max" => {
            let (x, ct) = cursor.two_values()?;
            Ok(Some(Op::UnpoolMax { window: read_window(cursor)?, x, ct }))
        }
        _ => Ok(None),
    }
}

fn read_conv(role: ConvRole, cursor: &mut Cursor<'_>) -> Parsed<Op> {
    let (a, b) = cursor.two_values()?;
    let window = read_window(cursor)?;
    Ok(Op::Conv { role, window, groups: cursor.labelled("groups", Cursor::number)?, a, b })
}

/// `, window [3, 3] stride [2, 2]`
fn read_window(cursor: &mut Cursor<'_>) -> Parsed<Window> {
    let mut window = Window::new(cursor.labelled("window", read_pair)?);
    if cursor.eat("stride") {
        window.stride = read_pair(cursor)?;
    }
    if cursor.eat("dilation") {
        window.dilation = read_pair(cursor)?;
    }
    if cursor.eat("pad") {
        window.pad_lo = read_pair(cursor)?;
        window.pad_hi = read_pair(cursor)?;
    }
    Ok(window)
}

fn read_pair(cursor: &mut Cursor<'_>) -> Parsed<[usize; 2]> {
    let list = cursor.list()?;
    list.try_into().map_err(|list: Vec<usize>| format!("expected two numbers, found {}", list.len()))
}
